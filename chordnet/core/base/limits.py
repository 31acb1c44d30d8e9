"""Limits of what a message may contain, and others that several parts of the program share.

The part that sends a message keeps to these, and the checks (:mod:`chordnet.core.kernel.checks`)
hold every peer to them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

PHRASE_BYTES = 65_536
"""UTF-8 bytes of a message that is broadcast, unless a network is configured otherwise."""
MAX_KEY_BYTES = 1024
"""UTF-8 bytes of a key of the store."""
MAX_VALUE_BYTES = 1_048_576
"""Bytes of a key's value."""
MAX_REQUEST_BYTES = 64
"""Bytes of the id of a write that may be asked for again."""
MAX_EXPIRES_S = 315_360_000.0
"""Ten years: the longest time after which a value may expire."""
OPERATION_S = 10.0
"""How long an operation on a key may take, unless it is told otherwise."""
RECOVERY_S = 20.0
"""How long the recovery of slots of the store may take, unless it is told otherwise."""
MAX_OPERATION_S = 86_400.0
"""The longest time that it may be told."""
CLOCK_AHEAD_S = 86_400.0
"""If an incarnation is further ahead of our clock than this, one of the two clocks is wrong."""

COUNT_LIMIT = 1 << 62
"""Incarnations, sequence numbers and request numbers are smaller."""
Count = Annotated[int, Meta(ge=0, lt=COUNT_LIMIT)]
"""A number below it: any other is refused as soon as a message is decoded."""
StoreKey = Annotated[bytes, Meta(min_length=1, max_length=MAX_KEY_BYTES)]
"""A key of the store, likewise."""
LABEL_LIMIT = 1 << 63
DIGEST_LIMIT = 1 << 64
NODES_LIMIT = 1 << 31
"""The number of nodes of a ring, or of messages of a broadcast, is smaller."""

MAX_POINTERS = 64
"""Pointers in one list, or twice our own ``successors`` if that is more."""
MAX_TTL = 255
"""Time to live of a lookup or broadcast, or our own ``max_hops`` if that is more."""
HINT_TTL = 64
"""Nodes that one hint about a finger may visit."""
MERGE_TTL = 4096
"""Nodes that one TRYMERGE may visit."""
MAX_EXCLUDE = 64
"""Silent nodes that a question names."""
MAX_UNREACHED = 32
"""Nodes that a COVERED names as unreached."""
MAX_WITNESSES = 1024
MAX_WITNESS_BYTES = 163_840
"""Nodes that a COVERED names as having recorded, and their bytes with certificates and signatures:
about 200 nodes if they sign."""
MAX_CHAIN = 2
MAX_CERTIFICATE = 4096
"""Certificates of a chain, a node's and its issuer's, and the bytes of one of them."""
SIGNATURE_BYTES = 64
"""Bytes of an Ed25519 signature."""
MAX_PATH = 32
"""Hashes from a message to the root of its broadcast's tree of bodies."""
MAX_RANGES = 256
"""Ranges that one Want or Lost names."""
MAX_LISTED = 16_384
"""Origins, ids or ranges that one message of anti-entropy lists."""
MAX_REASON = 500
"""Characters of a reason."""
