"""The node agent: the in-pod lock and its proof, dataset views and homes.

Nothing is imported here: `carrel.node.gate` starts in every workspace pod and must be quick.
"""
