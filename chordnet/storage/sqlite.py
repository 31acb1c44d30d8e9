"""The message log on disk: SQLite from the standard library, one file, written ahead (WAL).

Messages and the ledger (what has been recorded, :mod:`chordnet.core.ledger`) are committed
together, once a turn of the reactor, before anything that presupposes them is sent: a burst costs
few commits, and a node never confirms what it has not recorded, nor records a message twice.

Two degrees of durability:

- ``process``: a commit is in the operating system's hands. It survives the death of every process
  (``kill -9``), not the loss of power.
- ``power``: a commit is on the disk before the node goes on.

The kept history is capped by bytes and by age; the ledger remembers what was dropped. A file that
is found damaged when it is opened is set aside with one warning, and the node starts with an empty
log: its neighbours give it what they keep. Once anything has failed (a full disk, damage found
while reading) every further commit raises :class:`LogFailed`; what can be read is still read.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from chordnet.core.config import ProtocolConfig
from chordnet.core.effects import Record
from chordnet.core.errors import LogFailed
from chordnet.core.ledger import Ledger
from chordnet.core.messages import Hop, MessageId, OriginState
from chordnet.storage.memory import KeptMessage

Durability = Literal["process", "power"]
HISTORY_BYTES = 64 * 1024 * 1024
HISTORY_S = 24 * 3600.0
"""How much of the history is kept by default, in bytes and in seconds."""

MIGRATIONS = (
    """
    CREATE TABLE messages (
        position INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        created REAL NOT NULL,
        received_at REAL NOT NULL,
        route BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE ledger (
        origin BLOB NOT NULL,
        incarnation INTEGER NOT NULL,
        watermark INTEGER NOT NULL,
        above BLOB NOT NULL,
        PRIMARY KEY (origin, incarnation)
    ) WITHOUT ROWID;
    """,
)
"""Step n brings a file of schema version n to version n + 1 (``PRAGMA user_version``)."""

_COLUMNS = "position, id, created, received_at, route, body"
_INSERT = "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)"
_PRUNE_ROWS = 512
_encode = msgspec.msgpack.Encoder().encode
_decode_route = msgspec.msgpack.Decoder(list[Hop]).decode
_decode_above = msgspec.msgpack.Decoder(list[int]).decode
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""What SQLite says of a file that is no log: broken pages, another format, missing tables."""
_UNREADABLE = (sqlite3.Error, msgspec.DecodeError, TypeError, ValueError)
"""What damage to a row can cause: any page may hold values of any type."""
_decode_id = msgspec.msgpack.Decoder(MessageId).decode


class SqliteLog:
    """Implements :class:`chordnet.net.interfaces.MessageLog` on a file.

    :param path: the file; made if it is missing.
    :param durability: what a commit survives.
    :param max_bytes: bodies and routes kept, in bytes; the oldest messages go first.
    :param max_age: how long a message is kept, in seconds.
    :param warn: told in one line about a damaged file.
    :param wall: returns the wall clock in seconds since 1970.
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
    ) -> None:
        self._path = path
        self._durability = durability
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._wall = wall
        self._pending: list[KeptMessage] = []
        self._touched: set[tuple[bytes, int]] = set()
        self._prune_at = 0.0
        self.failed = ""
        """Why nothing more can be kept; empty while all is well."""
        try:
            self._open()
        except _Damaged as damage:
            warn(f"{path} is damaged ({damage}); it is kept as {self._set_aside().name}, and the"
                 " log starts empty: neighbours give back what they keep")  # fmt: skip
            self._open()

    # ---- opening ----------------------------------------------------------------------------

    def _open(self) -> None:
        """Open the file and read what it remembers.

        :raises LogFailed: it cannot be used.
        :raises _Damaged: it can be set aside.
        """
        self._forget()
        try:
            self._db = sqlite3.connect(self._path, isolation_level=None, cached_statements=64)
        except sqlite3.Error as error:
            raise self._failure("opened", error) from None
        try:
            self._prepare()
            self._restore()
        except _UNREADABLE as error:
            self._db.close()
            if _is_damage(error):
                raise _Damaged(str(error)) from None
            raise self._failure("opened", error) from None
        except LogFailed:
            self._db.close()
            raise

    def _forget(self) -> None:
        config = ProtocolConfig()
        self._ledger = Ledger(config.max_ledger_window, config.max_origins)
        self._max_origins = config.max_origins
        self._next = self._first = self._count = self.bytes = 0

    def _prepare(self) -> None:
        execute = self._db.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {'FULL' if self._durability == 'power' else 'OFF'}")
        version, newest = execute("PRAGMA user_version").fetchone()[0], len(self.migrations)
        if version > newest:
            raise LogFailed(
                f"the message log {self._path} was written by a newer version of this program"
                f" (its schema is {version}, {newest} is known here); use that one, or name another"
                " --state-dir"
            )
        if version < 0:
            raise ValueError(f"its schema version is {version}")
        for step in range(version, newest):
            script = self.migrations[step]
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version = {step + 1}; COMMIT;")
        verdict = execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise ValueError(" ".join(verdict.split()).removeprefix("*** in database main *** "))

    def _restore(self) -> None:
        execute = self._db.execute
        # In the order of starts, for the ledger forgets the origins that it was told of first.
        rows = execute("SELECT origin, incarnation, watermark, above FROM ledger ORDER BY 2")
        states = [_state(row) for row in rows]
        for state in states[: max(0, len(states) - self._max_origins)]:
            execute(
                "DELETE FROM ledger WHERE origin = ? AND incarnation = ?",
                (state.origin, state.incarnation),
            )
        self._ledger.restore(states)
        first, last, self._count, self.bytes = execute(
            "SELECT min(position), max(position), count(*),"
            " coalesce(sum(length(body) + length(route)), 0) FROM messages"
        ).fetchone()
        if last is not None:
            self._next, self._first = last + 1, first

    def _set_aside(self) -> Path:
        """Rename the file, and what was written ahead of it, for a person to look at."""
        aside = self._path.with_name(f"{self._path.name}.damaged-{int(self._wall())}")
        try:
            self._path.rename(aside)
            for suffix in ("-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    beside = self._path.with_name(self._path.name + suffix)
                    beside.rename(aside.with_name(aside.name + suffix))
        except OSError as error:
            raise self._failure("set aside", error) from None
        return aside

    def _failure(self, what: str, error: Exception) -> LogFailed:
        self.failed = f"the message log {self._path} cannot be {what}: {error}"
        return LogFailed(self.failed)

    # ---- writing ----------------------------------------------------------------------------

    @property
    def first(self) -> int:
        """Position of the oldest message kept (of the next one, if none is)."""
        return self._first

    @property
    def last(self) -> int:
        """Position of the newest message kept (one before ``first``, if none is)."""
        return self._next - 1

    def __len__(self) -> int:
        return self._count + len(self._pending)

    def append(self, record: Record, received_at: float) -> KeptMessage:
        """Take ``record`` as the newest; :meth:`commit` keeps it."""
        kept = KeptMessage(self._next, received_at, record)
        self._next += 1
        if not self.failed:
            self._pending.append(kept)
        self._enter(record.id)
        return kept

    def skip(self, ids: Iterable[MessageId]) -> None:
        """Count messages as recorded that nobody keeps any more."""
        for message_id in ids:
            self._enter(message_id)

    def _enter(self, message_id: MessageId) -> None:
        self._ledger.add(message_id)
        self._touched.add((message_id.origin, message_id.incarnation))

    def commit(self) -> None:
        """Make everything so far as durable as was asked for.

        :raises LogFailed: it could not be written; nothing of it counts as recorded.
        """
        if not self._pending and not self._touched:
            return
        pending, touched = self._pending, self._touched
        self._pending, self._touched = [], set()
        if self.failed:
            raise LogFailed(self.failed)
        rows = _rows(pending)
        try:
            self._write(rows, touched)
            self._count += len(rows)
            self.bytes += sum(len(row[4]) + len(row[5]) for row in rows)
            if self.bytes > self._max_bytes or self._wall() > self._prune_at:
                self._prune()
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):  # it may have been rolled back already
                self._db.execute("ROLLBACK")
            raise self._failure("written", error) from None

    def _write(self, rows: list[tuple[Any, ...]], touched: set[tuple[bytes, int]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(_INSERT, rows)
        states = (self._ledger.state(key) for key in sorted(touched))
        self._db.executemany(
            "INSERT INTO ledger (origin, incarnation, watermark, above) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET watermark = excluded.watermark, above = excluded.above",
            ((s.origin, s.incarnation, s.watermark, _encode(s.above)) for s in states),
        )
        self._db.execute("COMMIT")

    def _prune(self) -> None:
        """Drop the oldest messages that are over the caps."""
        now = self._wall()
        self._prune_at = now + 60.0
        oldest = self._db.execute(
            "SELECT position, received_at, length(body) + length(route) FROM messages"
            " ORDER BY position LIMIT ?",
            (_PRUNE_ROWS,),
        ).fetchall()
        last, dropped = None, 0
        for position, received_at, size in oldest[: max(0, self._count - 1)]:
            if self.bytes <= self._max_bytes and received_at >= now - self._max_age:
                break
            last, dropped = position, dropped + 1
            self.bytes -= size
        if last is not None:
            self._db.execute("DELETE FROM messages WHERE position <= ?", (last,))
            self._first = last + 1
            self._count -= dropped
            if dropped == len(oldest):
                self._prune_at = 0.0

    # ---- reading ----------------------------------------------------------------------------

    def ledger(self) -> list[OriginState]:
        """Return what has been recorded, kept or not."""
        return self._ledger.states(None, 1 << 62, 1 << 62)

    def find(self, message_id: MessageId) -> KeptMessage | None:
        """Return a message if it is kept."""
        for kept in self._pending:
            if kept.record.id == message_id:
                return kept
        rows = self._select("WHERE id = ?", _encode(message_id))
        return rows[0] if rows else None

    def newest(self, limit: int) -> Sequence[KeptMessage]:
        """Return the last ``limit`` messages, oldest first."""
        return self.beyond(max(self._first, self._next - limit) - 1, limit)

    def after(self, message_id: str, limit: int) -> Sequence[KeptMessage]:
        """Return up to ``limit`` messages after ``message_id`` ("" for the beginning).

        :raises KeyError: no such message is kept.
        """
        return self.beyond(self.position(message_id), limit)

    def position(self, message_id: str) -> int:
        """Return where ``message_id`` stands; "" stands before everything.

        :raises KeyError: no such message is kept.
        """
        if not message_id:
            return self._first - 1
        try:
            kept = self.find(MessageId.parse(message_id))
        except ValueError:
            kept = None
        if kept is None:
            raise KeyError(message_id)
        return kept.position

    def beyond(self, position: int, limit: int) -> Sequence[KeptMessage]:
        """Return up to ``limit`` messages after ``position``."""
        rows = self._select("WHERE position > ? ORDER BY position LIMIT ?", position, limit)
        fresh = [kept for kept in self._pending if kept.position > position]
        return (rows + fresh)[:limit]

    def _select(self, where: str, *values: Any) -> list[KeptMessage]:
        try:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM messages {where}", values)  # noqa: S608 - no input in it
            return list(map(_kept, rows))
        except _UNREADABLE as error:
            raise self._failure("read", error) from None

    def close(self) -> None:
        """Release the file."""
        self._db.close()


def _rows(pending: list[KeptMessage]) -> list[tuple[Any, ...]]:
    rows = []
    last, encoded = None, b""
    for kept in pending:
        record = kept.record
        # Messages that travelled together share one route.
        if record.route is not last:
            last, encoded = record.route, _encode(record.route)
        row = (kept.position, _encode(record.id), record.created, kept.received_at, encoded,
               record.body)  # fmt: skip
        rows.append(row)
    return rows


def _kept(row: tuple[Any, ...]) -> KeptMessage:
    position, raw_id, created, received_at, route, body = row
    if not (type(body) is bytes and type(created) is type(received_at) is float):
        raise ValueError(f"the message at position {position} is damaged")
    try:
        record = Record(_decode_id(raw_id), created, body, _decode_route(route))
    except (msgspec.DecodeError, TypeError) as error:
        raise ValueError(f"the message at position {position} is damaged ({error})") from None
    return KeptMessage(position, received_at, record)


def _state(row: tuple[Any, ...]) -> OriginState:
    origin, incarnation, watermark, above = row
    if type(origin) is not bytes or type(watermark) is not int or watermark < 0:
        raise ValueError("a row of the ledger is damaged")
    return OriginState(origin, incarnation, watermark, _decode_above(above))


class _Damaged(LogFailed):
    """The file is no log, or no longer one."""


def _is_damage(error: Exception) -> bool:
    """Tell damage from what another time or place may mend: a full disk, a lock, no permission."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE
    return True
