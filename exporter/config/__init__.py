"""The config file that a person writes: its model, and how it is read, resolved and checked."""
