"""The store of a running node: its machine, what it keeps, and what clients ask of it."""
