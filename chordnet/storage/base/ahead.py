"""Changes written ahead of a database: committed by one write, put into its tables later.

A commit to a database writes much more than the bytes to be kept. So the records of a turn are
appended to a file beside the database, and that is the commit. A checkpoint then moves many changes
into the database together and empties the file (write-ahead logging; Mohan et al., "ARIES", ACM
TODS 17(1), 1992). When the database is opened again, the changes in this file belong to it.

A commit is one frame: the length and the CRC-32 of the content, the CRC-32 of these eight bytes
(four bytes each, big-endian), then the content. A frame at the end that is not complete is cut off,
since its commit never ended. What becomes of a frame with a wrong checksum is up to the reader: the
message log skips it, and its messages count as missing.

The content is a MessagePack list of entries. An entry is a list itself: the name of its kind, then
its fields. Parts of a node that commit together put entries of their kinds into one frame, so that
all of them are kept or none.

The rule for versions: a kind never changes. A different format gets a new kind with another name,
and the older kind can still be read. A reader skips nothing: a kind that it does not know was
written by a newer version, and the file is refused and left alone. Version 0.1.0 wrote messages
only, as plain byte strings without a kind; such entries may come before others in one file, and are
returned as they are.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Callable
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import msgspec

from chordnet.storage.base.private import narrow, private, sync_directory

SYNC: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter
"""Has the disk hold the content of a file."""

_FIRST = struct.Struct(">II")
_HEAD = struct.Struct(">III")
_encode = msgspec.msgpack.Encoder().encode


class Entry(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base class of the kinds of entries; ``tag`` is the name of a kind."""


class UnknownKind(ValueError):
    """An entry is of an unknown kind."""


class DamagedFrame(ValueError):
    """A frame is not what was written."""


class WriteAhead:
    """The file of frames. The lock of the database covers it, too.

    :param path: the file; made if it is missing.
    :param kinds: every kind of entry that may stand in it.
    :param sync: flushes a file descriptor to the disk before :meth:`commit` returns; None leaves
        that to the system.
    :raises OSError: the file cannot be used.
    """

    def __init__(
        self, path: Path, kinds: tuple[type[Entry], ...], sync: Callable[[int], None] | None
    ) -> None:
        self._path = path
        self._kinds = {kind.__struct_config__.tag for kind in kinds}
        union: Any = reduce(or_, kinds, bytes)
        self._decode = msgspec.msgpack.Decoder(list[union]).decode
        self._frame: list[Entry] = []
        self._sync = sync
        new = not path.exists()
        self._file = io.FileIO(path, "ab", opener=private)
        narrow([path])
        if new and sync is not None:
            sync_directory(path.parent, sync)
        self.size = path.stat().st_size
        """Bytes in the file."""
        self.damaged = 0
        """Bytes that :meth:`read` has found damaged."""

    def read(self, *, whole: bool = False) -> list[Any]:
        """Return the entries in the file, and cut off an incomplete frame at its end.

        Entries without a kind are bytes.

        :param whole: damage raises, and leaves the file as it is; otherwise damaged frames are
            skipped and counted.
        :raises OSError: it cannot be read or cut.
        :raises DamagedFrame: ``whole``, and a frame is damaged.
        :raises UnknownKind: a newer version of this program has written it.
        :raises msgspec.DecodeError: another program has written it.
        """
        entries: list[Any] = []
        data, start = self._path.read_bytes(), 0
        while start + _HEAD.size <= len(data):
            length, checksum, check = _HEAD.unpack_from(data, start)
            if zlib.crc32(data[start : start + _FIRST.size]) != check:
                # Where the next frame begins is not known: what looks like one may be in a body.
                self._found_damage(start, len(data), whole)
                break
            begin, end = start + _HEAD.size, start + _HEAD.size + length
            if end > len(data):
                break
            if zlib.crc32(data[begin:end]) == checksum:
                entries += self._entries(data[begin:end])
            else:
                self._found_damage(start, end, whole)
            start = end
        if start < len(data):
            self._file.truncate(start)
            self.size = start
        return entries

    def _found_damage(self, start: int, end: int, whole: bool) -> None:
        if whole:
            raise DamagedFrame(f"what was written ahead of it is damaged from byte {start} on")
        self.damaged += end - start

    def _entries(self, content: bytes) -> list[Any]:
        """Return the entries of a frame.

        :raises UnknownKind: a newer version of this program has written it.
        :raises msgspec.DecodeError: another program has written it.
        """
        try:
            return self._decode(content)
        except msgspec.ValidationError:
            for entry in msgspec.msgpack.decode(content, type=list[Any]):
                kind = entry[0] if isinstance(entry, list) and entry else None
                if isinstance(kind, str) and kind not in self._kinds:
                    raise UnknownKind(
                        "it was written by a newer version of this program (what it calls"
                        f" {kind[:50]!r} is not known here); use that one, or choose another state"
                        " directory"
                    ) from None
            raise

    def put(self, entry: Entry) -> None:
        """Have the next :meth:`commit` write ``entry``."""
        self._frame.append(entry)

    def drop(self) -> None:
        """Forget what was put since the last commit."""
        self._frame.clear()

    def commit(self, *entries: Entry) -> None:
        """Write what was put since the last commit, and ``entries``, as one frame.

        :raises OSError: it could not be written; nothing of it remains, here or in the file.
        """
        if self._frame:
            entries = (*self._frame, *entries)
            self._frame.clear()
        if not entries:
            return
        content = _encode(entries)
        first = _FIRST.pack(len(content), zlib.crc32(content))
        frame = b"".join((first, zlib.crc32(first).to_bytes(4, "big"), content))
        try:
            written = self._file.write(frame)
            while written < len(frame):
                written += self._file.write(frame[written:])
            if self._sync is not None:
                self._sync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # if this fails, the next start cuts the frame off
                self._file.truncate(self.size)
            raise
        self.size += len(frame)

    def clear(self) -> None:
        """Drop every frame: the database has what is in them.

        :raises OSError: it failed; the frames are still there.
        """
        self._file.truncate(0)
        self.size = 0

    def close(self) -> None:
        """Release the file, and delete it if it is empty."""
        if not self._file.closed:
            self._file.close()
            if not self.size:
                self._path.unlink(missing_ok=True)
