"""The witness: signs that a log only ever grew. Small, with a key and a memory of its own."""
