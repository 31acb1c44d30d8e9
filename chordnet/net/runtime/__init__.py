"""The loop around the core, and the life of a node in a process."""
