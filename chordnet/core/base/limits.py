"""What a message may say at most, and other limits that several parts of the program keep.

The part that sends a message keeps to these, and the gate (:mod:`chordnet.core.kernel.checks`)
holds every peer to them.
"""

PHRASE_BYTES = 65_536
"""Bytes of the UTF-8 of a message that is broadcast, unless a network is configured otherwise."""
CLOCK_AHEAD_S = 86_400.0
"""An incarnation further ahead of the clock than this was made by a clock that is wrong."""

COUNT_LIMIT = 1 << 62
"""Incarnations, sequence numbers and request numbers are smaller."""
LABEL_LIMIT = 1 << 63
DIGEST_LIMIT = 1 << 64
NODES_LIMIT = 1 << 31
"""No ring has so many nodes, and no broadcast takes so many messages."""

MAX_POINTERS = 64
"""Pointers in one list; twice our own successor list, if that is more."""
MAX_TTL = 255
"""Times to live of lookups and broadcasts are no longer, unless our own are."""
HINT_TTL = 64
"""Nodes that one hint about a finger may visit."""
MERGE_TTL = 4096
"""Nodes that one TRYMERGE may visit."""
MAX_EXCLUDE = 64
"""Silent nodes that a question names."""
MAX_UNREACHED = 32
"""Nodes that a COVERED names as unreached."""
MAX_RANGES = 256
"""Ranges that one Want or Lost names."""
MAX_LISTED = 16_384
"""Origins, ids or ranges that one message of anti-entropy lists."""
MAX_REASON = 500
"""Characters of a reason."""
