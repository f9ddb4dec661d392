"""The node agent: in-pod network lock, dataset views, homes, and the end of a pod's cgroup."""
