"""Frames: four bytes of big-endian length, then that many bytes.

A long one may come in parts (:mod:`chordnet.wire.parts`) once that is agreed on.

The limit is checked as soon as a length is known, so a frame that is too long is never
collected. The first frame of a connection is its greeting and has a much smaller limit, which
bounds what a stranger can make this program hold.
"""

from __future__ import annotations

from chordnet.core.base.errors import RemoteProtocolError
from chordnet.wire.parts import HEADER_BYTES, MORE, Joining


class FrameDecoder:
    """Cuts a stream of bytes into frames.

    Every byte is copied at most twice, however small the pieces are in which the stream arrives.

    :param limit: the longest frame accepted whole, in bytes, its header not counted.
    :param first_limit: the same for the first frame; by default ``limit``.
    """

    __slots__ = ("_buffer", "_limit", "_need", "_next_limit", "fault", "joining")

    def __init__(self, limit: int, first_limit: int | None = None) -> None:
        self._limit = limit
        self._next_limit = limit if first_limit is None else first_limit
        self._buffer = bytearray()
        self._need = HEADER_BYTES
        self.fault = ""
        """Why the stream cannot be read further; empty while it can."""
        self.joining: Joining | None = None
        """Puts long frames together; None while none are accepted."""

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the frames that they complete.

        :raises RemoteProtocolError: a frame longer than the limit is announced. Frames that
            were complete before it are returned first, and ``fault`` is set.
        """
        if self.fault:
            raise RemoteProtocolError(self.fault)
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._need:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        elif int.from_bytes(data[:HEADER_BYTES]) == len(data) - HEADER_BYTES <= self._next_limit:
            # The usual case: one frame, in one piece.
            self._next_limit = self._limit
            return [data[HEADER_BYTES:]]
        return self._cut(data)

    def _cut(self, data: bytes) -> list[bytes]:
        frames = []
        position, end = 0, len(data)
        while (start := position + HEADER_BYTES) <= end:
            length = size = int.from_bytes(data[position:start])
            in_parts = length > self._next_limit
            if in_parts:
                size = self._announced(length)
                if self.fault:
                    break
            stop = start + size
            if stop > end:
                self._need = HEADER_BYTES + size
                break
            frame = data[start:stop] if not in_parts else self._joined(data[start:stop], length)
            if frame is not None:
                frames.append(frame)
            elif self.fault:
                break
            position = stop
            self._next_limit = self._limit
        else:
            self._need = HEADER_BYTES
        if self.fault:
            if not frames:
                raise RemoteProtocolError(self.fault)
        else:
            self._buffer += data[position:]
        return frames

    def _announced(self, length: int) -> int:
        """Return the size of a part from its header; see ``fault``."""
        if self.joining is None or length < MORE:
            self.fault = (
                f"a frame of {length} bytes is announced, at most {self._next_limit} are accepted"
            )
            return 0
        size = self.joining.announce(length)
        self.fault = self.joining.fault
        return size

    def _joined(self, part: bytes, length: int) -> bytes | None:
        """Return the frame that a part completes; None if it does not; see ``fault``."""
        assert self.joining is not None
        frame = self.joining.take(part, length)
        self.fault = self.joining.fault
        return frame
