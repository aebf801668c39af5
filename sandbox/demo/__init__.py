"""The demo: everything started on loopback, broken once or by hand, and what happened told as a time line."""
