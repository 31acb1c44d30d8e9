"""The rows of the message log on disk; each ends with its checksum."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import msgspec

from chordnet.core.base import intervals
from chordnet.core.base.effects import Record
from chordnet.core.base.limits import COUNT_LIMIT
from chordnet.core.base.messages import Hop, LedgerState, MessageId
from chordnet.storage.base.ahead import Entry
from chordnet.storage.base.paging import KeptMessage
from chordnet.storage.base.rows import Row, SpoiledRow, checksum, encode, is_sound

SELECT_MESSAGES = "SELECT position, id, created, received_at, route, body, checksum FROM messages"
SELECT_LEDGER = "SELECT origin, incarnation, known, lost, checksum FROM ledger"
INSERT_MESSAGE = (
    "INSERT INTO messages (position, id, created, received_at, route, body, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
UPSERT_LEDGER = (
    "INSERT INTO ledger (origin, incarnation, known, lost, checksum) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET"
    " known = excluded.known, lost = excluded.lost, checksum = excluded.checksum"
)


class Recorded(Entry, frozen=True, gc=False, tag="recorded"):
    """Messages of one commit that are written ahead of the database."""

    rows: list[bytes]
    """The values of each message's row without the checksum, in MessagePack."""


decode_id = msgspec.msgpack.Decoder(MessageId).decode
_decode_route = msgspec.msgpack.Decoder(list[Hop]).decode
_decode_row = msgspec.msgpack.Decoder(list[object]).decode
_decode_numbers = msgspec.msgpack.Decoder(list[int]).decode


def encoded_rows(messages: Iterable[KeptMessage]) -> tuple[list[Row], list[bytes]]:
    """Return the rows of messages, and the encoded values that each checksum covers."""
    rows: list[Row] = []
    encoded: list[bytes] = []
    last, route = None, b""
    for kept in messages:
        record = kept.record
        # Messages that travelled together share one route.
        if record.route is not last:
            last, route = record.route, encode(record.route)
        row = (
            kept.position,
            encode(record.id),
            float(record.created),
            float(kept.received_at),
            route,
            record.body,
        )
        values = encode(row)
        rows.append((*row, zlib.crc32(values)))
        encoded.append(values)
    return rows, encoded


def decoded_row(values: bytes) -> Row:
    """Return the row with these encoded values.

    :raises msgspec.DecodeError: it is not a row.
    """
    return (*_decode_row(values), zlib.crc32(values))


def body_bytes(rows: Iterable[Row]) -> int:
    """Return the bytes of the bodies and routes of rows."""
    return sum(len(row[4]) + len(row[5]) for row in rows)


def row_bytes(row: Row) -> int:
    """Return the bytes of the body and route of a row, which may be damaged."""
    return sum(len(value) for value in row[4:6] if isinstance(value, bytes | str))


def id_prefix(raw_id: bytes) -> bytes:
    """Return the prefix that the encoded ids of all messages of this origin have, and no others.

    The incarnation and the sequence number follow it, and encoded ids sort by them.
    """
    # An array of three (one byte), a binary of up to 255 bytes (its type and length: two bytes).
    return raw_id[: 3 + raw_id[2]] if len(raw_id) > 3 else raw_id


def kept_message(row: Row) -> KeptMessage:
    """Return the message of a sound row.

    :raises SpoiledRow: this program has not written it.
    """
    try:
        position, raw_id, created, received_at, route, body, _checksum = row
        record = Record(decode_id(raw_id), created, body, _decode_route(route))
    except (msgspec.DecodeError, TypeError, ValueError) as error:
        raise SpoiledRow(f"the message at position {row[0]} is damaged ({error})") from None
    return KeptMessage(position, received_at, record)


def ledger_row(state: LedgerState) -> Row:
    """Return the row of one origin."""
    row = (state.origin, state.incarnation, encode(state.known), encode(state.lost))
    return (*row, checksum(*row))


def ledger_state(row: Row) -> LedgerState:
    """Return the state of one origin from its row.

    :raises SpoiledRow: the row is damaged.
    """
    if not is_sound(row):
        raise SpoiledRow("a row of the ledger is damaged")
    origin, incarnation, known, lost, _checksum = row
    state = LedgerState(origin, incarnation, _decode_numbers(known), _decode_numbers(lost))
    if (
        type(origin) is not bytes
        or type(incarnation) is not int
        or not intervals.is_sound(state.known, COUNT_LIMIT)
        or not intervals.is_sound(state.lost, COUNT_LIMIT)
        or intervals.minus(state.lost, state.known)
    ):
        raise SpoiledRow("a row of the ledger is damaged")
    return state


def known_from(watermark: int, above: bytes) -> bytes:
    """Return the intervals of an older ledger's row: a watermark and numbers above it.

    :raises ValueError: the row is damaged.
    """
    numbers = sorted(_decode_numbers(above))
    known = [1, watermark + 1] if watermark > 0 else []
    for first, end in intervals.pairs(intervals.of(dict.fromkeys(numbers))):
        intervals.add(known, first, end)
    if watermark < 0 or not intervals.is_sound(known, COUNT_LIMIT):
        raise ValueError("a row of the ledger is damaged")
    return encode(known)
