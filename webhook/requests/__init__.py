"""From an alert to a decision. Pure."""
