"""The message log on disk: a database (SQLite), with the latest records in a file ahead of it.

Messages are committed once a turn of the reactor, before anything that depends on them is sent. So
a burst costs few commits, a node never confirms what it has not recorded, and it never records a
message twice (:mod:`chordnet.storage.log.recorded` knows what was recorded, kept or not).

A commit is one write to the file of :mod:`chordnet.storage.base.ahead`. A checkpoint, at a quiet
moment, moves the contents of that file into the database in one transaction. A commit is itself a
checkpoint if it has more to say than which messages came (others were dropped, damaged or given
up), or if as much is written ahead already as is allowed.

There are two degrees of durability:

- ``process``: a commit is handed to the operating system. It survives the death of every process
  (``kill -9``), but not the loss of power.
- ``power``: a commit is on the disk before the node goes on.

The kept history is capped; a damaged row counts as a missing message, which neighbours give back
(:mod:`chordnet.storage.log.table`). After any other failure (a full disk, a broken page) every
further commit raises :class:`LogFailed`. What can be read is still read, and what was committed is
there when the log is opened again, with or without a checkpoint. How the database is opened, and
what is done about a damaged one, is in :mod:`chordnet.storage.base.database`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from itertools import chain, repeat
from pathlib import Path
from typing import ClassVar

import msgspec

from chordnet.core.base.effects import Record
from chordnet.core.base.errors import ChordnetError, LogFailed
from chordnet.core.base.intervals import Intervals
from chordnet.core.base.messages import LedgerState, MessageId, Proof, Range
from chordnet.core.log.ledger import OriginKey
from chordnet.storage.base.ahead import SYNC, UnknownKind, WriteAhead
from chordnet.storage.base.database import UNREADABLE, Durability
from chordnet.storage.base.limits import HISTORY_BYTES, HISTORY_S
from chordnet.storage.base.paging import KeptMessage, PagedLog
from chordnet.storage.base.rows import Row, SpoiledRow, encode
from chordnet.storage.log.database import MIGRATIONS, log_kind
from chordnet.storage.log.rows import (
    Recorded,
    body_bytes,
    decoded_row,
    encoded_rows,
    kept_message,
)
from chordnet.storage.log.seals import Sealed, proof_of
from chordnet.storage.log.table import MessageTable

AHEAD_MESSAGES = 256
AHEAD_BYTES = 2 * 1024 * 1024
"""The most that is written ahead: a commit that would go beyond it is a checkpoint."""


class SqliteLog(PagedLog):
    """Implements :class:`chordnet.net.base.interfaces.MessageLog` on a file.

    :param path: the database; made if it is missing. Files beside it have its name and an ending.
    :param durability: what a commit survives.
    :param max_bytes: bodies and routes kept, in bytes; the oldest messages of the largest origins
        are dropped first.
    :param max_age: how long a message is kept, in seconds.
    :param warn: called with one line about a damaged file.
    :param wall: returns the wall clock in seconds since 1970.
    :param seconds: a clock that never jumps.
    :raises LogFailed: the file cannot be opened or made, or a newer program has written it.
    """

    migrations: ClassVar[Sequence[str]] = MIGRATIONS

    def __init__(
        self,
        path: Path,
        *,
        durability: Durability = "process",
        max_bytes: int = HISTORY_BYTES,
        max_age: float = HISTORY_S,
        warn: Callable[[str], object] = lambda _text: None,
        wall: Callable[[], float] = time.time,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._warn = warn
        self._pending: list[KeptMessage] = []
        self._index: dict[MessageId, KeptMessage] = {}
        """Pending messages by id. :meth:`find` adds those that came since it was called last."""
        self._rows: list[Row] = []
        """Rows of the pending messages that are committed, that is, written ahead."""
        self._room: int
        """Bytes that may still be written ahead."""
        self._refused = False
        """Whether a message was appended after a failure: the next commit has to raise."""
        self.failed = ""
        """Why nothing more can be kept; empty while all is well."""
        self.waiting: int
        """How many messages are written ahead and wait for a checkpoint."""
        self._table = MessageTable(
            path, durability, max_bytes, max_age, warn, wall, self.migrations, seconds
        )
        self.spoiled = self._table.spoiled
        """Messages found damaged after the file was opened, until the node clears them."""
        ahead = path.with_name(f"{path.name}-ahead")
        with ExitStack() as opened:
            opened.callback(self._table.close)
            try:
                sync = SYNC if durability == "power" else None
                self._ahead = WriteAhead(ahead, (Recorded, Sealed), sync)
                opened.callback(self._ahead.close)
                self._take_back()
            except (OSError, msgspec.DecodeError, SpoiledRow, UnknownKind) as error:
                raise log_kind().failure(ahead, "opened", error) from None
            opened.pop_all()

    def _take_back(self) -> None:
        """Read what was written ahead and not moved by a checkpoint.

        :raises OSError: it cannot be read.
        :raises UnknownKind: a newer version of this program has written it.
        :raises msgspec.DecodeError: another program has written it.
        :raises SpoiledRow: the same.
        """
        for values, proof in chain.from_iterable(map(_written, self._ahead.read())):
            kept = kept_message(decoded_row(values))
            if proof is not None:
                kept = _with_proof(kept, self._table.seals.whole(proof))
            if kept.record.id not in self._table.recorded.ledger:
                self._table.recorded.note(kept.record.id)
                # The position is a new one, since the database may have been set aside.
                place = self._table.next + len(self._pending)
                self._pending.append(KeptMessage(place, kept.received_at, kept.record))
        self._rows = encoded_rows(self._pending)[0]
        self.waiting = len(self._rows)
        self._room = self._table.room(AHEAD_BYTES) - self._ahead.size
        if self._ahead.damaged:
            self._warn(
                f"{self._ahead.damaged} damaged bytes of what was written ahead of {self._path};"
                " the messages in them count as missing, and neighbours give back what they keep"
            )

    def _failure(self, what: str, error: Exception) -> ChordnetError:
        problem = log_kind().failure(self._path, what, error)
        self.failed = str(problem)
        return problem

    # ---- writing ----------------------------------------------------------------------------

    @property
    def first(self) -> int:
        return self._table.first

    @property
    def last(self) -> int:
        return self._table.next + len(self._pending) - 1

    @property
    def dropped_to(self) -> int:
        return self._table.dropped_to

    def __len__(self) -> int:
        return self._table.count + len(self._pending)

    @property
    def bytes(self) -> int:
        """Bytes of the bodies and routes that are committed."""
        return self._table.bytes + body_bytes(self._rows)

    def append(self, record: Record, received_at: float) -> KeptMessage:
        """Take ``record`` as the newest; :meth:`commit` keeps it."""
        kept = KeptMessage(self._table.next + len(self._pending), received_at, record)
        if self.failed:
            self._refused = True
        else:
            self._pending.append(kept)
            self._table.recorded.note(record.id)
        return kept

    def skip(self, ranges: Iterable[Range]) -> None:
        """Give up messages that no node keeps any more."""
        self._table.recorded.skip(ranges)

    def commit(self) -> None:
        """Make everything so far as durable as was asked for.

        :raises LogFailed: it could not be written; nothing of it counts as recorded.
        """
        # On the way of every message, where calls of small functions cost more than their work.
        table = self._table
        fresh = self._pending[len(self._rows) :]
        touched = table.unsound or table.recorded.touched
        if not (fresh or touched or self._refused):
            return
        if self.failed:
            raise LogFailed(self.failed)
        rows, encoded = encoded_rows(fresh)
        proofs = table.seals.ahead(fresh)
        room = self._room
        for values in chain(encoded, proofs):
            room -= len(values)
        try:
            if (
                touched
                or room < 0
                or self.waiting >= AHEAD_MESSAGES
                or fresh[-1].received_at > table.prune_at
            ):
                self._store(self._rows + rows)
            else:
                self._ahead.commit(Sealed(encoded, proofs) if proofs else Recorded(encoded))
                self._rows += rows
                self._room = room
                self.waiting = len(self._rows)
        except (sqlite3.Error, OSError) as error:
            del self._pending[len(self._rows) :]
            self._index.clear()
            raise self._failure("written", error) from None

    def checkpoint(self) -> None:
        """Move what was written ahead into the database; its durability does not change.

        :raises LogFailed: it failed.
        """
        if self._rows and not self.failed:
            try:
                self._store(self._rows)
            except (sqlite3.Error, OSError) as error:
                raise self._failure("written", error) from None

    def _store(self, rows: list[Row]) -> None:
        """Put the first pending messages into the database, and drop what exceeds the caps.

        :raises sqlite3.Error: what was committed is in the database or still ahead of it.
        :raises OSError: it is in both.
        """
        stored = self._pending[: len(rows)]
        proofs = {each.position: each.record.proof for each in stored if each.record.proof}
        self._table.store(rows, proofs)
        del self._pending[: len(rows)]
        self._index.clear()
        self._rows, self.waiting = [], 0
        self._ahead.clear()
        self._table.prune()
        self._room = self._table.room(AHEAD_BYTES)

    # ---- reading ----------------------------------------------------------------------------

    def ledger(self) -> list[LedgerState]:
        """Return what was recorded, kept or not, and what was given up."""
        return self._table.recorded.ledger.states()

    def kept(self, key: OriginKey) -> Intervals:
        recorded = self._table.recorded
        _ = recorded.ledger
        return recorded.kept.of(key)

    def find(self, message_id: MessageId) -> KeptMessage | None:
        index = self._index
        for kept in self._pending[len(index) :]:  # those that came since the last look
            index[kept.record.id] = kept
        if message_id in index:
            return index[message_id]
        try:
            row = self._table.find(encode(message_id))
            if row is None:
                return None
            return _with_proof(kept_message(row), self._table.seals.find(row[0]))
        except UNREADABLE as error:
            raise self._failure("read", error) from None

    def beyond(self, position: int, limit: int) -> Sequence[KeptMessage]:
        try:
            found = [kept_message(row) for row in self._table.beyond(position, limit)]
        except UNREADABLE as error:
            raise self._failure("read", error) from None
        pending = self._pending[max(0, position + 1 - self._table.next) :]
        return (found + pending)[:limit]

    def missing_beyond(self, position: int) -> int:
        try:
            kept = self._table.count_beyond(position)
        except sqlite3.Error as error:
            raise self._failure("read", error) from None
        return max(0, self._table.next - 1 - position - kept)

    def _before_newest(self, limit: int) -> int:
        if limit <= len(self._pending):
            return self.last - limit
        try:
            return self._table.before_newest(limit - len(self._pending))
        except sqlite3.Error as error:
            raise self._failure("read", error) from None

    def close(self) -> None:
        """Release the files."""
        try:
            self.checkpoint()
        except LogFailed as error:  # the next start reads what is written ahead
            self._warn(str(error))
        self._ahead.close()
        self._table.close()


def _written(entry: Recorded | Sealed | bytes) -> Iterable[tuple[bytes, Proof | None]]:
    """Return the messages of one entry that was written ahead, each with its seal.

    :raises msgspec.DecodeError: another program has written it.
    """
    if isinstance(entry, bytes):
        return [(entry, None)]
    proofs = map(proof_of, entry.proofs) if isinstance(entry, Sealed) else repeat(None)
    return zip(entry.rows, proofs, strict=False)


def _with_proof(kept: KeptMessage, proof: Proof | None) -> KeptMessage:
    if proof is None:
        return kept
    record = msgspec.structs.replace(kept.record, proof=proof)
    return KeptMessage(kept.position, kept.received_at, record)


__all__ = ["Durability", "SqliteLog"]
