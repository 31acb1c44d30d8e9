"""Messages written ahead of the database: recorded by one write, put into their table later.

A commit to a database touches far more than the bytes to be kept. So what a turn records is
appended to a file beside it, and that is the commit; a checkpoint then moves many messages at once
into the database and empties the file (the write-ahead logging of Mohan et al., "ARIES", ACM TODS
17(1), 1992). When the log is opened again, what stands here and not there is part of
the history.

A commit is one frame, whole or not there: the length and the CRC-32 of what follows, the CRC-32 of
these eight bytes (four bytes each, big-endian), then a list in MessagePack of what each row's own
checksum is taken over. The last frame is cut off if it is not whole, for its commit never ended. A
frame that is not what was written is passed over; its messages count as missing.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from chordnet.storage.base.private import narrow, private
from chordnet.storage.log.rows import Row

_FIRST = struct.Struct(">II")
_HEAD = struct.Struct(">III")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode
_decode_row = msgspec.msgpack.Decoder(list[object]).decode


class WriteAhead:
    """The file of frames. Whoever has the database locked has this, too.

    :param path: the file; made if it is missing.
    :param sync: has the disk hold what a file descriptor stands for, before an :meth:`append`
        returns; None leaves that to the system.
    :raises OSError: the file cannot be used.
    """

    def __init__(self, path: Path, sync: Callable[[int], None] | None) -> None:
        self._path = path
        self._sync = sync
        new = not path.exists()
        self._file = io.FileIO(path, "ab", opener=private)
        narrow([path])
        if new and sync is not None:
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                sync(directory)
            finally:
                os.close(directory)
        self.size = path.stat().st_size
        """Bytes in the file."""
        self.damaged = 0
        """Bytes that :meth:`read` has found damaged."""

    def read(self) -> list[Row]:
        """Return the rows that are here, and cut off what is no whole frame at the end.

        :raises OSError: it cannot be read or cut.
        :raises msgspec.DecodeError: another program has written it.
        """
        rows: list[Row] = []
        data, start = self._path.read_bytes(), 0
        while start + _HEAD.size <= len(data):
            length, checksum, check = _HEAD.unpack_from(data, start)
            if zlib.crc32(data[start : start + _FIRST.size]) != check:
                # Nobody knows where the next one begins: what looks like one may be in a body.
                self.damaged += len(data) - start
                break
            begin, end = start + _HEAD.size, start + _HEAD.size + length
            if end > len(data):
                break
            if zlib.crc32(data[begin:end]) == checksum:
                rows += map(_row, _decode(data[begin:end]))
            else:
                self.damaged += end - start
            start = end
        if start < len(data):
            self._file.truncate(start)
            self.size = start
        return rows

    def append(self, rows: list[bytes]) -> None:
        """Commit rows.

        :param rows: of each row the values before its checksum, in MessagePack.
        :raises OSError: they could not be written; nothing of them stays.
        """
        content = _encode(rows)
        first = _FIRST.pack(len(content), zlib.crc32(content))
        frame = b"%b%b%b" % (first, zlib.crc32(first).to_bytes(4, "big"), content)
        try:
            written = self._file.write(frame)
            while written < len(frame):
                written += self._file.write(frame[written:])
            if self._sync is not None:
                self._sync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # else the next start cuts it off
                self._file.truncate(self.size)
            raise
        self.size += len(frame)

    def clear(self) -> None:
        """Drop everything: the database has it.

        :raises OSError: it could not be done; what stands there stands there still.
        """
        self._file.truncate(0)
        self.size = 0

    def close(self) -> None:
        """Release the file; an empty one goes."""
        if not self._file.closed:
            self._file.close()
            if not self.size:
                self._path.unlink(missing_ok=True)


def _row(values: bytes) -> Row:
    return (*_decode_row(values), zlib.crc32(values))
