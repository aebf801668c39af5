"""The cluster as a synchronous, deterministic state machine: no sockets, no tasks, no clock of its own."""
