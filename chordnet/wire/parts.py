"""Long frames: they travel in parts, and other frames go in between.

A frame that is longer than a part would have everything wait that is sent after it, a heartbeat as
much as a broadcast. So it is cut. A part is sent like a frame, but the highest bit of its length is
set, and in the last part the second highest, too::

    10.. | 65,536       a part, and more come
    11.. | 1 to 65,536  the last part

Parts of one frame come in their order, and no part of another long frame comes between them. Whole
frames may. Every part but the last is full, so the number of parts is limited by the length alone.

What a peer says in parts is held until the last one is here. That is limited three times: by kind,
since only what carries a value may be long, which the first part shows; by the length of one frame;
and by a room that all connections share. When the room is full, a frame that has not gone on for a
while gives way. If there is none, the new part's frame does. The parts of a frame that has given
way are thrown away as they come, and the connection stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection

HEADER_BYTES = 4
PART_BYTES = 65_536
"""Bytes of every part but the last; a longer frame may come in parts."""
MORE = 0b10 << 30
LAST = 0b11 << 30
_LENGTH = (1 << 30) - 1
STALLED_S = 5.0
"""A frame without a further part for so long gives way to others when the room is full."""
_WIDTHS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
"""MessagePack: bytes of unsigned numbers, by their first byte."""


class LongFrames:
    """Frames that wait until a connection has room, and leave part by part."""

    __slots__ = ("_at", "_frames", "waiting")

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._at = 0
        """Bytes of the first one that have left."""
        self.waiting = 0
        """Bytes that have not left."""

    def put(self, frame: bytes) -> None:
        """Add a frame, its header included."""
        self._frames.append(frame)
        self.waiting += len(frame)

    def take(self) -> bytes:
        """Return what leaves next: a part, or a frame that is no longer than one."""
        frame, at = self._frames[0], self._at
        if len(frame) <= HEADER_BYTES + PART_BYTES:
            self._frames.popleft()
            self.waiting -= len(frame)
            return frame
        start = at or HEADER_BYTES
        stop = min(start + PART_BYTES, len(frame))
        self.waiting -= stop - at
        if stop == len(frame):
            self._frames.popleft()
            self._at, kind = 0, LAST
        else:
            self._at, kind = stop, MORE
        return (kind | stop - start).to_bytes(HEADER_BYTES) + frame[start:stop]

    def clear(self) -> None:
        """Forget them all."""
        self._frames.clear()
        self._at = self.waiting = 0


class PartsRoom:
    """Limits what all connections together hold of frames that are not whole yet.

    :param limit: the most bytes.
    :param seconds: a clock that never goes back.
    """

    __slots__ = ("_limit", "_seconds", "_since", "held")

    def __init__(self, limit: int, seconds: Callable[[], float]) -> None:
        self._limit = limit
        self._seconds = seconds
        self._since: dict[Joining, float] = {}
        """Frames under way -> when their last part came; the one that waits longest is first."""
        self.held = 0
        """Bytes held now."""

    def take(self, joining: Joining, size: int) -> bool:
        """Hold ``size`` bytes more of a frame; return False if there is no room for them."""
        now = self._seconds()
        while self.held + size > self._limit:
            oldest = next(iter(self._since), joining)
            if oldest is joining or now < self._since[oldest] + STALLED_S:
                return False
            oldest.give_way()
        self._since.pop(joining, None)
        self._since[joining] = now
        self.held += size
        return True

    def give(self, joining: Joining, size: int) -> None:
        """Let go of a frame."""
        if self._since.pop(joining, None) is not None:
            self.held -= size


class Joining:
    """Puts the long frames of one connection together.

    :param room: what all connections share.
    :param limit: the longest frame, in bytes.
    :param tags: of the messages that may come in parts.
    :param dropped: called when a frame has given way.
    """

    __slots__ = ("_held", "_limit", "_parts", "_room", "_tags", "_total", "dropped", "fault")

    def __init__(
        self,
        room: PartsRoom,
        limit: int,
        tags: Collection[int],
        dropped: Callable[[], object],
    ) -> None:
        self._room = room
        self._limit = limit
        self._tags = tags
        self.dropped = dropped
        self._parts: list[bytes] = []
        self._held = 0
        """Bytes of them."""
        self._total = 0
        """Bytes that have come of the present frame, those that were thrown away included."""
        self.fault = ""
        """Which rule the other side broke; empty while it keeps them all."""

    def announce(self, length: int) -> int:
        """Return how many bytes a part has whose header says ``length``; see ``fault``."""
        size, last = length & _LENGTH, length >= LAST
        if last and not self._total:
            self.fault = "the last part of a frame comes without those before it"
        elif size != PART_BYTES and not (last and 0 < size < PART_BYTES):
            self.fault = f"a part of {size} bytes is announced; all but the last have {PART_BYTES}"
        elif self._total + size > self._limit:
            self.fault = f"a frame in parts is longer than the {self._limit} bytes accepted"
        return size

    def take(self, part: bytes, length: int) -> bytes | None:
        """Take a part that was announced; return the frame if it is whole; see ``fault``."""
        if not self._total and tag_of(part) not in self._tags:
            self.fault = f"a message with tag {tag_of(part)} comes in parts"
            return None
        thrown_away = self._total > self._held
        self._total += len(part)
        if not thrown_away:
            if self._room.take(self, len(part)):
                self._parts.append(part)
                self._held += len(part)
            else:
                self.give_way()
        if length < LAST:
            return None
        frame = b"".join(self._parts) if self._total == self._held else None
        self.close()
        return frame

    def give_way(self) -> None:
        """Throw away what has come of a frame."""
        self._let_go()
        self.dropped()

    def close(self) -> None:
        """Let go of everything: a frame has ended, or the connection."""
        self._let_go()
        self._total = 0

    def _let_go(self) -> None:
        self._room.give(self, self._held)
        self._parts, self._held = [], 0


def tag_of(part: bytes) -> int | None:
    """Return the tag of the message that begins with ``part``; None if none does."""
    first = part[0]
    at = 1 if 0x90 <= first < 0xA0 else {0xDC: 3, 0xDD: 5}.get(first)
    if at is None:
        return None
    if part[at] < 0x80:
        return part[at]
    width = _WIDTHS.get(part[at], 0)
    return int.from_bytes(part[at + 1 : at + 1 + width]) if width else None
