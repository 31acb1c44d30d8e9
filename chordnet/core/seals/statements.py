"""The texts that are signed, byte for byte.

Numbers are big-endian; what can have several lengths has its length before it, in one byte. Each
text begins with its own domain string, so that no signature can be taken for one of another kind:
the same keys sign TLS handshakes.
"""

from __future__ import annotations

import struct

from chordnet.core.base.messages import MessageId

SEAL = b"chordnet seal 1\0"
"""Begins what the origin of messages signs."""
RECEIPT = b"chordnet receipt 1\0"
"""Begins what a node signs that has recorded them."""

_pack_seal = struct.Struct(">QQLd").pack
_pack_receipt = struct.Struct(">QQL").pack


def _sized(value: bytes) -> bytes:
    return len(value).to_bytes(1) + value


def seal_text(network: bytes, first: MessageId, count: int, created: float, root: bytes) -> bytes:
    """Return what the origin of ``count`` messages signs.

    :param network: the network's id.
    :param first: the id of the first message.
    :param created: when they were sent, by the origin's wall clock.
    :param root: of the tree of their bodies.
    """
    numbers = _pack_seal(first.incarnation, first.sequence, count, created)
    return SEAL + _sized(network) + _sized(first.origin) + numbers + root


def receipt_text(
    network: bytes, first: MessageId, count: int, root: bytes, raw: bytes, incarnation: int
) -> bytes:
    """Return what a node signs that has recorded ``count`` messages.

    :param raw: the node's identifier.
    :param incarnation: of its present life.
    """
    numbers = _pack_receipt(first.incarnation, first.sequence, count)
    node = _sized(raw) + incarnation.to_bytes(8)
    return RECEIPT + _sized(network) + _sized(first.origin) + numbers + root + node
