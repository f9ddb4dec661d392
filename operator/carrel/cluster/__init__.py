"""The only floor that speaks to the Kubernetes API.

One Protocol, one deadline per call, library errors translated once.
"""
