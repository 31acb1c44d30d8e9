"""The messages in the database of a log: stored in batches, capped, read a page at a time.

- The kept history is capped by bytes and by age; the ledger remembers what was dropped. Bytes are
  shared among the origins: an origin with more than a fair share makes room
  (:mod:`chordnet.storage.base.fairness`), so positions may have holes.
- Checksums are checked when the file is opened and whenever a row is read. A damaged row is never
  returned. The next :meth:`MessageTable.store` drops it, and its message counts as missing.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec

from chordnet.core.base.messages import MessageId, Proof
from chordnet.storage.base.age import AgeClock
from chordnet.storage.base.database import DatabaseFile, Durability
from chordnet.storage.base.fairness import fair_level
from chordnet.storage.base.limits import SPARE
from chordnet.storage.base.rows import Row, is_sound
from chordnet.storage.log.database import log_kind
from chordnet.storage.log.recorded import Recorded
from chordnet.storage.log.rows import (
    INSERT_MESSAGE,
    SELECT_MESSAGES,
    decode_id,
    id_prefix,
    row_bytes,
)
from chordnet.storage.log.seals import SealTable

_SELECT_SIZES = "SELECT position, id, received_at, length(body) + length(route) FROM messages"
_PRUNE_ROWS = 512
_PRUNE_S = 60.0


class MessageTable:
    """One log's rows. Errors of :mod:`sqlite3` pass through, for the log to translate.

    :param path: the database; made if it is missing.
    :param durability: what storing survives.
    :param max_bytes: bodies and routes kept, in bytes; the oldest messages of the largest origins
        are dropped first.
    :param max_age: how long a message is kept, in seconds.
    :param warn: called with one line about damage.
    :param wall: returns the wall clock in seconds since 1970.
    :param seconds: a clock that never jumps.
    :param migrations: scripts from each schema version to the next.
    :raises LogFailed: the file cannot be opened or made, or a newer program has written it.
    """

    def __init__(
        self,
        path: Path,
        durability: Durability,
        max_bytes: int,
        max_age: float,
        warn: Callable[[str], object],
        wall: Callable[[], float],
        migrations: Sequence[str],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._warn = warn
        self._wall = wall
        self._seconds = seconds
        self.prune_at = 0.0
        """Wall-clock time from which messages may be too old."""
        self.unsound: dict[int, Row] = {}
        """Damaged rows that were read, by position; the next :meth:`store` drops them."""
        self.first: int
        self.next: int
        self.count: int
        self.bytes: int
        """Position of the oldest row and of the next new one; the number of rows; the bytes of
        their bodies and routes."""
        self.dropped_to: int
        """The highest position whose message was dropped because of a cap; -1 if none was."""
        self._shares: dict[bytes, int] = {}
        """The bytes of each origin's bodies and routes, by the prefix of its encoded ids."""
        self.spoiled: set[MessageId] = set()
        """Messages found damaged after the file was opened, until the node clears them."""
        kind = log_kind(migrations)
        DatabaseFile(path, kind, durability, warn, wall).open(self._restore)

    def _restore(self, db: sqlite3.Connection) -> None:
        """Read the file.

        :raises SpoiledRow: a row of the ledger is damaged.
        """
        self.db = db
        self.unsound.clear()
        self.recorded = Recorded()
        self.recorded.restore(db)
        self.seals = SealTable(db)
        self.seals.restore()
        first, last, self.count, self.bytes = db.execute(
            "SELECT min(position), max(position), count(*),"
            " coalesce(sum(length(body) + length(route)), 0) FROM messages"
        ).fetchone()
        newest = db.execute(
            "SELECT received_at FROM messages ORDER BY position DESC LIMIT 1"
        ).fetchone()
        self._age = AgeClock(newest[0] if newest else None, self._wall, self._seconds)
        self.first, self.next = (first, last + 1) if last is not None else (0, 0)
        self._shares.clear()
        self.dropped_to = self.first - 1
        expected = self.first
        for row in db.execute(f"{SELECT_MESSAGES} ORDER BY position"):
            if row[0] != expected:
                self.dropped_to = row[0] - 1
            expected = row[0] + 1
            self._take(row[1], row_bytes(row))
            if is_sound(row):
                self.recorded.note(decode_id(row[1]))
            else:
                self.unsound[row[0]] = row
        if self.unsound:
            self._insert([], {})
        self.spoiled.clear()  # the node never knew that they were recorded

    # ---- writing ----------------------------------------------------------------------------

    def store(self, rows: list[Row], proofs: Mapping[int, Proof]) -> None:
        """Add rows in one transaction, together with the changes of the ledger.

        :param proofs: the seals of the messages that have one, by position.
        :raises sqlite3.Error: it failed; nothing has changed.
        """
        places = len(rows)
        try:
            with self._undone():
                self._insert(rows, proofs)
        except sqlite3.IntegrityError:
            # A message that the ledger had forgotten came again. The first copy stays.
            rows = self._without_doubles(rows)
            with self._undone():
                self._insert(rows, proofs)
        self.seals.stored(proofs)
        self.next += places
        self.count += len(rows)
        shares = self._shares
        for row in rows:
            size = len(row[4]) + len(row[5])
            self.bytes += size
            origin = id_prefix(row[1])
            shares[origin] = shares.get(origin, 0) + size

    def _take(self, raw_id: object, size: int) -> None:
        """Add ``size`` bytes to the share of a message's origin; negative if it is dropped."""
        if isinstance(raw_id, bytes):
            origin = id_prefix(raw_id)
            share = self._shares.get(origin, 0) + size
            if share > 0:
                self._shares[origin] = share
            else:
                self._shares.pop(origin, None)

    def room(self, most: int) -> int:
        """Return how many bytes may be added before some have to be dropped, up to ``most``."""
        return min(most, self._max_bytes - self.bytes)

    def prune(self) -> None:
        """Drop a batch of what exceeds the caps; the ledger remembers that it was recorded.

        :raises sqlite3.Error: it failed; nothing has changed in the file.
        """
        due = not self.prune_at - _PRUNE_S <= self._wall() <= self.prune_at
        if self.bytes > self._max_bytes or due:
            with self._undone():
                self.prune_at = self._wall() + _PRUNE_S
                self._drop(self._too_old(self._age.now() - self._max_age))
                if self.bytes > self._max_bytes:
                    self._drop(self._too_much(self._max_bytes - self._max_bytes // SPARE))

    def _insert(self, rows: list[Row], proofs: Mapping[int, Proof]) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        if self.unsound:
            self._discard()
            for row in rows:  # one of them may be a new copy of a dropped one
                self.recorded.note(decode_id(row[1]))
        self.db.executemany(INSERT_MESSAGE, rows)
        if proofs:
            self.seals.put(rows, proofs)
        self.recorded.write(self.db)
        self.db.execute("COMMIT")

    def _without_doubles(self, rows: list[Row]) -> list[Row]:
        """Return the rows whose messages are not stored yet, each once."""
        fresh: dict[bytes, Row] = {}
        for row in rows:
            if not self.db.execute("SELECT 1 FROM messages WHERE id = ?", (row[1],)).fetchone():
                fresh.setdefault(row[1], row)
        return list(fresh.values())

    @contextlib.contextmanager
    def _undone(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):  # it may have been rolled back already
                self.db.execute("ROLLBACK")
            raise

    def _discard(self) -> None:
        """Drop damaged rows, and count their messages as missing."""
        unsound, self.unsound = self.unsound, {}
        self.seals.drop(unsound)
        for position, raw_id, *_values in unsound.values():
            message_id = self._identified(position, raw_id)
            size = self.db.execute(
                "DELETE FROM messages WHERE position = ? RETURNING length(body) + length(route)",
                (position,),
            ).fetchone()
            self.count -= 1
            self.bytes -= size[0] if size else 0
            self._take(raw_id, -size[0] if size else 0)
            if message_id is not None and self.recorded.forget(message_id):
                self.spoiled.add(message_id)
        self._warn(
            f"damaged messages in {self._path}: {len(unsound)}; they are dropped and count as"
            " missing, and neighbours give back what they keep"
        )

    def _identified(self, position: int, raw_id: object) -> MessageId | None:
        """Return which message a damaged row was, if the index agrees with it."""
        found = self.db.execute("SELECT position FROM messages WHERE id = ?", (raw_id,)).fetchone()
        try:
            return decode_id(raw_id) if found == (position,) else None  # type: ignore[arg-type]
        except (msgspec.DecodeError, TypeError):
            return None

    def _too_old(self, since: float) -> list[Row]:
        """Return the first messages that were received before ``since``."""
        oldest = self.db.execute(f"{_SELECT_SIZES} ORDER BY position LIMIT ?", (_PRUNE_ROWS,))
        rows = [row for row in oldest.fetchall() if row[0] < self.next - 1]
        times = _not_after(row[2] for row in rows)
        old = rows[: sum(1 for _ in takewhile(lambda at: at < since, times))]
        if len(old) == _PRUNE_ROWS:
            self.prune_at = 0.0
        return old

    def _too_much(self, room: int) -> list[Row]:
        """Return the oldest rows of the largest origins, which have to make room."""
        level = fair_level(self._shares.values(), room)
        shares = [(share, origin) for origin, share in self._shares.items() if share > level]
        rows: list[Row] = []
        over = self.bytes - room
        for share, origin in sorted(shares, reverse=True):
            # The index of the ids has an origin's messages in the order of their numbers. The
            # newest message of all stays, since the next position is counted from it.
            found = self.db.execute(
                f"{_SELECT_SIZES} WHERE id > ? AND id < ? AND position < ? ORDER BY id LIMIT ?",
                (origin, origin + b"\xff", self.next - 1, _PRUNE_ROWS - len(rows)),
            )
            left = share
            for row in found:
                rows.append(row)
                left -= row[3]
                over -= row[3]
                if left <= level or over <= 0:
                    break
            found.close()
            if len(rows) >= _PRUNE_ROWS or over <= 0:
                break
        return rows

    def _drop(self, rows: list[Row]) -> None:
        if not rows:
            return
        self.recorded.gone(each for each in map(_named, rows) if each is not None)
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany("DELETE FROM messages WHERE position = ?", [(row[0],) for row in rows])
        self.seals.drop(row[0] for row in rows)
        self.recorded.write(self.db)
        self.db.execute("COMMIT")
        self.first = self.db.execute("SELECT min(position) FROM messages").fetchone()[0]
        self.count -= len(rows)
        for row in rows:
            self.bytes -= row[3]
            self._take(row[1], -row[3])
            self.dropped_to = max(self.dropped_to, row[0])

    # ---- reading ----------------------------------------------------------------------------

    def find(self, raw_id: bytes) -> Row | None:
        """Return the row of a message by its encoded identifier.

        :raises sqlite3.Error: it cannot be read; other damage raises another of
            :data:`chordnet.storage.base.database.UNREADABLE`.
        """
        rows = self._select("WHERE id = ?", raw_id)
        found = self._sound(rows)
        if rows and not found:
            self.spoiled.add(decode_id(raw_id))
        return found[0] if found else None

    def beyond(self, position: int, limit: int) -> list[Row]:
        """Return up to ``limit`` sound rows after ``position``, one at least if there is one.

        :raises sqlite3.Error: as for :meth:`find`.
        """
        found: list[Row] = []
        start: int | None = position
        while start is not None and not found:
            rows = self._select("WHERE position > ? ORDER BY position LIMIT ?", start, limit)
            found = self._sound(rows)
            start = rows[-1][0] if rows else None
        return found

    def before_newest(self, limit: int) -> int:
        """Return the position after which the newest ``limit`` rows begin, if there are more rows.

        :raises sqlite3.Error: it cannot be read.
        """
        last: int = self.next - 1
        if last - limit >= self.dropped_to:
            return last - limit
        query = "SELECT position FROM messages ORDER BY position DESC LIMIT 1 OFFSET ?"
        found = self.db.execute(query, (limit,)).fetchone()
        return found[0] if found is not None else self.first - 1

    def count_beyond(self, position: int) -> int:
        """Return how many rows there are after ``position``.

        :raises sqlite3.Error: it cannot be read.
        """
        query = "SELECT count(*) FROM messages WHERE position > ?"
        count: int = self.db.execute(query, (position,)).fetchone()[0]
        return count

    def _select(self, where: str, *values: Any) -> list[Row]:
        return self.db.execute(f"{SELECT_MESSAGES} {where}", values).fetchall()

    def _sound(self, rows: list[Row]) -> list[Row]:
        """Return the undamaged rows; the next :meth:`store` drops the others."""
        for row in rows:
            if not is_sound(row):
                self.unsound[row[0]] = row
        return [row for row in rows if row[0] not in self.unsound]

    def close(self) -> None:
        """Release the file."""
        self.db.close()


def _not_after(received: Iterable[float]) -> list[float]:
    """Return when each of these rows was received, but not later than any row after it.

    A clock that was ahead for a while may have written later times.
    """
    times = list(received)
    for index in range(len(times) - 2, -1, -1):
        times[index] = min(times[index], times[index + 1])
    return times


def _named(row: Row) -> MessageId | None:
    """Return the id of a row's message; None if it is damaged."""
    try:
        return decode_id(row[1])
    except (msgspec.DecodeError, TypeError):
        return None
