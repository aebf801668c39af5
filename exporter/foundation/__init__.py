"""What is known of one foundation, and what it means."""
