"""A real Kubernetes node from Go modules, in namespaces of its own, for one machine."""
