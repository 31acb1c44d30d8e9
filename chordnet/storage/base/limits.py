"""How much of the history a node keeps, in memory or on disk."""

HISTORY_BYTES = 64 * 1024 * 1024
HISTORY_S = 24 * 3600.0
"""How much of the history is kept by default, in bytes and in seconds."""
SPARE = 64
"""Of a history that takes too much, one part in so many goes beyond what has to, so that a full log
does not drop something for every message."""
