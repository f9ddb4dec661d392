"""What runs in a workspace before the researcher's own code does; standard library only."""
