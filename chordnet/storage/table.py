"""The messages in the database of a log: stored many at once, capped, read a page at a time.

- The kept history is capped by bytes and by age; the ledger remembers what was dropped.
- A row that is not what was written, which its checksum shows when the file is opened and whenever
  it is read, is never given to anybody. The next :meth:`MessageTable.store` drops it, and its
  message counts as missing.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from chordnet.core.messages import MessageId
from chordnet.storage.database import Durability, LogFile
from chordnet.storage.recorded import Recorded
from chordnet.storage.rows import (
    INSERT_MESSAGE,
    SELECT_MESSAGES,
    Row,
    body_bytes,
    decode_id,
    is_sound,
)

_PRUNE_ROWS = 512
_PRUNE_S = 60.0
_SPARE = 64
"""When the bytes kept are too many, one part in so many goes beyond what has to: a full log need
not drop something for every message."""


class MessageTable:
    """One log's rows. What it raises of :mod:`sqlite3` is for the log to make a word of.

    :param path: the database; made if it is missing.
    :param durability: what storing survives.
    :param max_bytes: bodies and routes kept, in bytes; the oldest messages go first.
    :param max_age: how long a message is kept, in seconds.
    :param warn: told in one line about damage.
    :param wall: returns the wall clock in seconds since 1970.
    :param migrations: how a file comes from one schema version to the next.
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
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._warn = warn
        self._wall = wall
        self.prune_at = 0.0
        """Wall-clock time from which on messages may be too old."""
        self.unsound: dict[int, Row] = {}
        """Damaged rows that were read, by position; stored next, they are dropped."""
        self.first = self.next = self.count = self.bytes = 0
        """Position of the oldest row and of the one to come; how many there are; the bytes of their
        bodies and routes."""
        self.spoiled: set[MessageId] = set()
        """Messages found damaged after the file was opened, until somebody takes note of them."""
        LogFile(path, durability, migrations, warn, wall).open(self._restore)

    def _restore(self, db: sqlite3.Connection) -> None:
        """Read what the file remembers.

        :raises SpoiledRow: a row of the ledger is damaged.
        """
        self.db = db
        self.unsound.clear()
        self.recorded = Recorded()
        self.recorded.restore(db)
        first, last, self.count, self.bytes = db.execute(
            "SELECT min(position), max(position), count(*),"
            " coalesce(sum(length(body) + length(route)), 0) FROM messages"
        ).fetchone()
        self.first, self.next = (first, last + 1) if last is not None else (0, 0)
        for row in db.execute(f"{SELECT_MESSAGES} ORDER BY position"):
            if is_sound(row):
                self.recorded.note(decode_id(row[1]))
            else:
                self.unsound[row[0]] = row
        if self.unsound:
            self._insert([])
        self.spoiled.clear()  # nobody has been told that they were recorded

    # ---- writing ----------------------------------------------------------------------------

    def store(self, rows: list[Row]) -> None:
        """Add rows in one transaction, with all else that there is to store.

        :raises sqlite3.Error: it failed; nothing has changed.
        """
        with self._undone():
            self._insert(rows)
        self.next += len(rows)
        self.count += len(rows)
        self.bytes += body_bytes(rows)

    def room(self, most: int) -> int:
        """Return how many bytes may come before some have to go, ``most`` at most."""
        return min(most, self._max_bytes - self.bytes)

    def prune(self) -> None:
        """Drop the oldest messages that are over the caps, and remember that they were here.

        :raises sqlite3.Error: it failed; nothing has changed in the file.
        """
        if self.bytes > self._max_bytes or self._wall() > self.prune_at:
            with self._undone():
                self._prune()

    def _insert(self, rows: list[Row]) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        if self.unsound:
            self._discard()
            for row in rows:  # one of them may have come anew
                self.recorded.note(decode_id(row[1]))
        self.db.executemany(INSERT_MESSAGE, rows)
        self.recorded.write(self.db)
        self.db.execute("COMMIT")

    @contextlib.contextmanager
    def _undone(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):  # it may have been rolled back already
                self.db.execute("ROLLBACK")
            raise

    def _discard(self) -> None:
        """Drop rows that are damaged, and count their messages as missing."""
        unsound, self.unsound = self.unsound, {}
        for position, raw_id, *_values in unsound.values():
            message_id = self._identified(position, raw_id)
            size = self.db.execute(
                "DELETE FROM messages WHERE position = ? RETURNING length(body) + length(route)",
                (position,),
            ).fetchone()
            self.count -= 1
            self.bytes -= size[0] if size else 0
            if message_id is not None and self.recorded.forget(message_id):
                self.spoiled.add(message_id)
        self._warn(
            f"damaged messages in {self._path}: {len(unsound)}; they are dropped and count as"
            " missing, and neighbours give back what they keep"
        )

    def _identified(self, position: int, raw_id: object) -> MessageId | None:
        """Return which message a damaged row was, if its index still says so, too."""
        found = self.db.execute("SELECT position FROM messages WHERE id = ?", (raw_id,)).fetchone()
        try:
            return decode_id(raw_id) if found == (position,) else None  # type: ignore[arg-type]
        except (msgspec.DecodeError, TypeError):
            return None

    def _prune(self) -> None:
        now = self._wall()
        self.prune_at = now + _PRUNE_S
        oldest = self.db.execute(
            "SELECT position, id, received_at, length(body) + length(route) FROM messages"
            " ORDER BY position LIMIT ?",
            (_PRUNE_ROWS,),
        ).fetchall()
        room = self._max_bytes - self._max_bytes // _SPARE if self.bytes > self._max_bytes else None
        dropped: list[Row] = []
        for row in oldest[: max(0, self.count - 1)]:
            if (room is None or self.bytes <= room) and row[2] >= now - self._max_age:
                break
            dropped.append(row)
            self.bytes -= row[3]
        if dropped:
            self._drop(dropped)
            if len(dropped) == len(oldest):
                self.prune_at = 0.0

    def _drop(self, rows: list[Row]) -> None:
        last = rows[-1][0]
        self.recorded.gone(each for each in map(_named, rows) if each is not None)
        self.db.execute("BEGIN IMMEDIATE")
        self.db.execute("DELETE FROM messages WHERE position <= ?", (last,))
        self.recorded.write(self.db)
        self.db.execute("COMMIT")
        self.first = last + 1
        self.count -= len(rows)

    # ---- reading ----------------------------------------------------------------------------

    def find(self, raw_id: bytes) -> Row | None:
        """Return the row of a message by its encoded identifier.

        :raises sqlite3.Error: it cannot be read; other damage raises another of
            :data:`chordnet.storage.database.UNREADABLE`.
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

    def _select(self, where: str, *values: Any) -> list[Row]:
        return self.db.execute(f"{SELECT_MESSAGES} {where}", values).fetchall()

    def _sound(self, rows: list[Row]) -> list[Row]:
        """Return the rows that are what was written; the others are dropped when next stored."""
        for row in rows:
            if not is_sound(row):
                self.unsound[row[0]] = row
        return [row for row in rows if row[0] not in self.unsound]

    def close(self) -> None:
        """Release the file."""
        self.db.close()


def _named(row: Row) -> MessageId | None:
    """Return which message a row is; None if that is damaged."""
    try:
        return decode_id(row[1])
    except (msgspec.DecodeError, TypeError):
        return None
