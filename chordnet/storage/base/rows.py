"""Rows of a database with a checksum that shows when they were changed.

Every row ends with the CRC-32 of its values. It costs a microsecond and finds accidental changes by
a disk, a cable or a person; it does not protect against an attacker.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

Row = tuple[Any, ...]

encode = msgspec.msgpack.Encoder().encode


class SpoiledRow(ValueError):
    """A row is not what was written."""


def checksum(*values: object) -> int:
    """Return the checksum of a row's other values, of any types that SQLite can hold."""
    return zlib.crc32(encode(values))


def is_sound(row: Row) -> bool:
    """Return True if a row is what was written."""
    try:
        return bool(zlib.crc32(encode(row[:-1])) == row[-1])
    except (TypeError, ValueError):  # damage can turn a value into one of any type
        return False
