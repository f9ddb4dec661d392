"""Pure decisions, each a named check that reads as the sentence it denies.

Input is what was observed, output a verdict with the rule's name. No I/O, no clock, no randomness.
"""
