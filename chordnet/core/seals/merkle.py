"""The hash tree over the bodies of one broadcast, so that one signature covers all of them.

It is the tree of RFC 9162 (Certificate Transparency), section 2.1, with SHA-256: a leaf is the hash
of 00 and the body, an inner node the hash of 01 and its two children. On every level neighbours are
paired from the left, and one that is left over moves up. The *path* of a body is what it is paired
with on the way to the root: a body that is handed over by itself is checked with its path alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from chordnet.core.base.limits import MAX_PATH

_HASH_BYTES = 32

_sha256 = hashlib.sha256


def leaf_of(body: bytes) -> bytes:
    """Return the leaf of a body."""
    return _sha256(b"\0" + body).digest()


class HashTree:
    """The tree over some bodies, one at least.

    :param bodies: in the order of their numbers.
    """

    __slots__ = ("_levels", "root")

    def __init__(self, bodies: Sequence[bytes]) -> None:
        level = [leaf_of(body) for body in bodies]
        self._levels: list[list[bytes]] = []
        while len(level) > 1:
            self._levels.append(level)
            pairs = zip(level[::2], level[1::2], strict=False)
            above = [_sha256(b"\1" + left + right).digest() for left, right in pairs]
            if len(level) % 2:
                above.append(level[-1])
            level = above
        self.root = level[0]

    def path(self, index: int) -> list[bytes]:
        """Return the path of the body number ``index``, counted from 0."""
        path = []
        for level in self._levels:
            beside = index ^ 1
            if beside < len(level):
                path.append(level[beside])
            index >>= 1
        return path


def root_of(body: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root of the tree of ``count`` bodies in which ``body`` has this place and path.

    :returns: None if no body with this place has a path of this length.
    """
    if not 0 <= index < count or len(path) > MAX_PATH:
        return None
    found, rest = leaf_of(body), list(path)
    while count > 1:
        if index ^ 1 < count:
            if not rest:
                return None
            beside = rest.pop(0)
            if len(beside) != _HASH_BYTES:
                return None
            pair = beside + found if index & 1 else found + beside
            found = _sha256(b"\1" + pair).digest()
        index, count = index >> 1, count + 1 >> 1
    return None if rest else found
