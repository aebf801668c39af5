"""The documented procedure, and what protects a pod."""
