"""What is on record: the journal of a foundation, where it is stored, and the lease."""
