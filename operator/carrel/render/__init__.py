"""Desired Kubernetes objects and node rule sets, computed whole from decided values.

What renders cannot call: no client, no clock. Two calls with equal input give equal output.
"""
