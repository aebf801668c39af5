"""The Kubernetes API: a synchronous dispatcher on the cluster, and HTTP on top of it."""
