"""Who works on a foundation: takes requests, holds the lease, executes runs."""
