"""The Kubernetes API, for reading."""
