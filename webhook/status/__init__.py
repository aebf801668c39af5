"""What a person is told about a foundation: pure sentences and figures, and the watch that feeds them."""
