"""The ring's arithmetic: identifiers modulo 2**m, intervals and hashing.

An identifier is an ``int`` in ``[0, 2**bits)`` inside the program, fixed-width big-endian
``bytes`` on the wire ("raw") and zero-padded hex at the edge.

Intervals run clockwise and wrap around zero. ``between(a, x, a)`` is true for every ``x != a``:
the interval from a node round to itself is the whole ring less that node (Stoica et al.,
"Chord: A Scalable Peer-to-peer Lookup Protocol for Internet Applications", IEEE/ACM ToN 11(1),
2003, section IV; Zave, "Reasoning about identifier spaces: How to make Chord correct",
IEEE TSE 43(12), 2017, section 3).
"""

from __future__ import annotations

import hashlib

import attrs


def between(a: int, x: int, b: int) -> bool:
    """Return True if ``x`` lies strictly inside the clockwise interval ``(a, b)``."""
    if a < b:
        return a < x < b
    return a < x or x < b if a != b else x != a


def between_right(a: int, x: int, b: int) -> bool:
    """Return True if ``x`` lies in ``(a, b]``; ``(a, a]`` is the whole ring."""
    if a < b:
        return a < x <= b
    return a == b or a < x or x <= b


def between_left(a: int, x: int, b: int) -> bool:
    """Return True if ``x`` lies in ``[a, b)``; ``[a, a)`` is the whole ring."""
    if a < b:
        return a <= x < b
    return a == b or a <= x or x < b


@attrs.frozen
class IdentifierSpace:
    """Identifiers modulo ``2**bits``.

    :param bits: m, the width of an identifier, 3 to 256 (SHA-256 gives no more).
    :raises ValueError: ``bits`` is out of that range.
    """

    bits: int = attrs.field(default=160)
    size: int = attrs.field(init=False)
    width: int = attrs.field(init=False)
    """Bytes of a raw identifier."""
    whole_bytes: bool = attrs.field(init=False)
    """Whether every value of ``width`` bytes is an identifier."""

    @bits.validator
    def _check_bits(self, _attribute: object, value: int) -> None:
        if not 3 <= value <= 256:
            raise ValueError(f"identifier bits must be from 3 to 256, not {value}")

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "size", 1 << self.bits)
        object.__setattr__(self, "width", (self.bits + 7) // 8)
        object.__setattr__(self, "whole_bytes", self.bits % 8 == 0)

    def hash(self, data: bytes) -> int:
        """Map ``data`` onto the ring: the leading ``bits`` bits of its SHA-256 digest."""
        return int.from_bytes(hashlib.sha256(data).digest()) >> (256 - self.bits)

    def distance(self, a: int, b: int) -> int:
        """Return how far ``b`` lies clockwise of ``a``, in ``[0, 2**bits)``."""
        return (b - a) % self.size

    def raw(self, identifier: int) -> bytes:
        """Return the fixed-width wire form of ``identifier``."""
        return identifier.to_bytes(self.width)

    def hex(self, identifier: int) -> str:
        """Return ``identifier`` as zero-padded hex of the whole width."""
        return f"{identifier:0{(self.bits + 3) // 4}x}"

    def valid_raw(self, raw: bytes) -> bool:
        """Return True if ``raw`` is the wire form of an identifier of this space."""
        return len(raw) == self.width and (self.whole_bytes or int.from_bytes(raw) < self.size)
