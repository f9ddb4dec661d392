"""Where pure decisions meet I/O: gather, decide, render, apply, write status once."""
