"""What runs in a workspace before its user's code does; standard library but for `kernels`."""
