"""How much of the history a node keeps, in memory or on disk."""

HISTORY_BYTES = 64 * 1024 * 1024
HISTORY_S = 24 * 3600.0
"""How much of the history is kept by default, in bytes and in seconds."""
SPARE = 64
"""A full history drops 1/64 more than it has to, so that it does not drop something for every
message."""
