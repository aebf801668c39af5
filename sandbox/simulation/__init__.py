"""Deterministic simulation: whole incidents, in one process, under a virtual clock and one seeded scheduler."""
