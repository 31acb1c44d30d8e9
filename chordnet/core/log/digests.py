"""Which body was recorded under which number: a digest for the newest numbers of every origin.

As long as messages carry no seal, a peer can take the next number of another node for a body of its
own. A node that has recorded it, and then gets the origin's own message, must notice.

Digests are kept in chunks of ``CHUNK`` numbers, eight bytes a number. An origin has room for the
newest 16,384 numbers, all origins together for 16 times as many; beyond that the origin with the
most chunks loses its oldest one. Only the two most recent lives of a node have digests: an earlier
one no longer sends anything. A body without a digest counts as unknown, not as the same.

A digest is Python's own hash of a body, SipHash with a key that the process draws at its start. It
costs a fraction of a cryptographic hash, and a peer cannot aim for a collision because it does not
know the key. It never leaves the process, and affects what a node does only if two bodies collide
(2**-64).
"""

from __future__ import annotations

from array import array

CHUNK = 64
"""Numbers in a chunk."""
ORIGIN_CHUNKS = 256
"""Chunks of one origin: 16,384 numbers, if they follow on one another."""
MAX_CHUNKS = 4096
"""Chunks of all origins together, 0.7 kB each."""

MAX_LIVES = 2
"""Lives of one node whose digests are kept."""

OriginKey = tuple[bytes, int]
_NONE = 0
_EMPTY = array("q", bytes(8 * CHUNK))
"""What chunks are copied from. A copy takes 512 bytes, which Python's allocator serves from a pool;
an array made from bytes would have room to spare, and would fragment the heap."""


def digest(body: bytes) -> int:
    """Return the digest of ``body``; never 0."""
    return hash(body) or 1


class Digests:
    """The digests of one node's recorded messages."""

    def __init__(self) -> None:
        self._chunks: dict[OriginKey, dict[int, array[int]]] = {}
        self._count = 0
        self._lives: dict[bytes, list[int]] = {}
        """The incarnations of each node that have digests, in the order they were first seen."""
        self._sizes: list[dict[OriginKey, None]] = [{} for _ in range(ORIGIN_CHUNKS + 2)]
        """Number of chunks -> the origins that have that many."""

    def __len__(self) -> int:
        """Return how many chunks are kept."""
        return self._count

    def put(self, key: OriginKey, number: int, body: bytes) -> None:
        """Remember what was recorded under a number."""
        index, place = divmod(number, CHUNK)
        chunks = self._chunks.get(key)
        chunk = chunks.get(index) if chunks is not None else None
        if chunk is None:
            chunk = self._new_chunk(key, index)
        chunk[place] = hash(body) or 1

    def same(self, key: OriginKey, number: int, body: bytes) -> bool:
        """Return True if ``body`` is known to be what was recorded under the number."""
        return self._get(key, number) == digest(body)

    def differs(self, key: OriginKey, number: int, body: bytes) -> bool:
        """Return True if another body is known to have been recorded under the number."""
        return self._get(key, number) not in (_NONE, digest(body))

    def forget(self, key: OriginKey) -> None:
        """Drop all digests of an origin."""
        chunks = self._chunks.pop(key, {})
        self._count -= len(chunks)
        self._sizes[len(chunks)].pop(key, None)
        self._end_life(key)

    def _get(self, key: OriginKey, number: int) -> int:
        index, place = divmod(number, CHUNK)
        chunk = self._chunks.get(key, {}).get(index)
        return _NONE if chunk is None else chunk[place]

    def _new_chunk(self, key: OriginKey, index: int) -> array[int]:
        chunks = self._chunks.get(key)
        if chunks is None:
            chunks = self._chunks[key] = {}
            self._begin_life(key)
        chunk = chunks[index] = _EMPTY[:]
        self._count += 1
        self._resized(key, len(chunks) - 1)
        if len(chunks) > ORIGIN_CHUNKS:
            self._drop_oldest(key)
        elif self._count > MAX_CHUNKS:
            largest = next(keys for keys in reversed(self._sizes) if keys)
            self._drop_oldest(next(iter(largest)))
        return chunk

    def _drop_oldest(self, key: OriginKey) -> None:
        chunks = self._chunks[key]
        del chunks[next(iter(chunks))]
        self._count -= 1
        self._resized(key, len(chunks) + 1)

    def _resized(self, key: OriginKey, before: int) -> None:
        size = len(self._chunks[key])
        self._sizes[before].pop(key, None)
        if size:
            self._sizes[size][key] = None
        else:
            del self._chunks[key]
            self._end_life(key)

    def _begin_life(self, key: OriginKey) -> None:
        lives = self._lives.setdefault(key[0], [])
        lives.append(key[1])
        if len(lives) > MAX_LIVES:
            self.forget((key[0], lives[0]))

    def _end_life(self, key: OriginKey) -> None:
        lives = self._lives.get(key[0], [])
        if key[1] in lives:
            lives.remove(key[1])
            if not lives:
                del self._lives[key[0]]
