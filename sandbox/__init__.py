"""A foundation in a box: an embedded Kubernetes API, a stand-in Cloud Foundry on it, and switches to break it."""
