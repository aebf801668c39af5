"""What every program has: flags, logs, HTTP, access control, the text of /metrics."""
