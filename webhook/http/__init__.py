"""The webhook's HTTP: its routes, the bearer token, its page."""
