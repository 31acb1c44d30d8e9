"""The message log on disk: SQLite from the standard library, one file, written ahead (WAL).

Messages and the ledger (what has been recorded, :mod:`chordnet.core.ledger`) are committed
together, once a turn of the reactor, before anything that presupposes them is sent: a burst costs
few commits, and a node never confirms what it has not recorded, nor records a message twice.

Two degrees of durability:

- ``process``: a commit is in the operating system's hands. It survives the death of every process
  (``kill -9``), not the loss of power.
- ``power``: a commit is on the disk before the node goes on.

The kept history is capped by bytes and by age; the ledger remembers what was dropped. A damaged
file is set aside with one warning and the node starts with an empty log: its neighbours give it
what they keep. A write that fails (a full disk) raises :class:`LogFailed`, and so does every later
one.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

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
_decode_id = msgspec.msgpack.Decoder(MessageId).decode


class SqliteLog:
    """Implements :class:`chordnet.net.interfaces.MessageLog` on a file.

    :param path: the file; made if it is missing.
    :param durability: what a commit survives.
    :param max_bytes: bodies and routes kept, in bytes; the oldest messages go first.
    :param max_age: how long a message is kept, in seconds.
    :param warn: told in one line about a damaged file.
    :param wall: returns the wall clock in seconds since 1970.
    :raises LogFailed: the file cannot be opened or made.
    """

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
        self.failed = False
        config = ProtocolConfig()
        self._ledger = Ledger(config.max_ledger_window, config.max_origins)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise self._failure(error) from None
            warn(f"{path} is damaged ({error}); it is kept as {self._set_aside()}, and the log "
                 "starts empty: neighbours give back what they keep")  # fmt: skip
            try:
                self._open()
            except sqlite3.Error as again:
                raise self._failure(again) from None
        except OSError as error:
            raise self._failure(error) from None

    # ---- opening ----------------------------------------------------------------------------

    def _open(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None, cached_statements=64)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        execute = self._db.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {'FULL' if self._durability == 'power' else 'OFF'}")
        version = execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise sqlite3.OperationalError(
                f"schema version {version} is newer than this program's {len(MIGRATIONS)}"
            )
        for step in range(version, len(MIGRATIONS)):
            script = MIGRATIONS[step]
            self._db.executescript(f"BEGIN; {script} PRAGMA user_version = {step + 1}; COMMIT;")
        if execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("database disk image is malformed")
        rows = execute("SELECT origin, incarnation, watermark, above FROM ledger")
        self._ledger.restore(OriginState(o, i, w, _decode_above(above)) for o, i, w, above in rows)
        first, last, count, size = execute(
            "SELECT min(position), max(position), count(*),"
            " coalesce(sum(length(body) + length(route)), 0) FROM messages"
        ).fetchone()
        self._next: int = 0 if last is None else last + 1
        self._first: int = self._next if first is None else first
        self._count: int = count
        self.bytes: int = size

    def _set_aside(self) -> Path:
        aside = self._path.with_name(f"{self._path.name}.damaged-{int(self._wall())}")
        self._path.rename(aside)
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        return aside

    def _failure(self, error: Exception) -> LogFailed:
        self.failed = True
        return LogFailed(f"the message log {self._path} cannot be written: {error}")

    # ---- writing ----------------------------------------------------------------------------

    @property
    def first(self) -> int:
        """Position of the oldest message kept (of the next one, if none is)."""
        return self._first

    def __len__(self) -> int:
        return self._count + len(self._pending)

    def append(self, record: Record, received_at: float) -> KeptMessage:
        """Take ``record`` as the newest; :meth:`commit` keeps it."""
        kept = KeptMessage(self._next, received_at, record)
        self._next += 1
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
        if self.failed:
            raise LogFailed(f"the message log {self._path} has failed before")
        pending, touched = self._pending, self._touched
        self._pending, self._touched = [], set()
        rows = _rows(pending)
        try:
            self._write(rows, touched)
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise self._failure(error) from None
        self._count += len(rows)
        self.bytes += sum(len(row[4]) + len(row[5]) for row in rows)
        if self.bytes > self._max_bytes or self._wall() > self._prune_at:
            self._prune()

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
        if self.failed:
            return []
        try:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM messages {where}", values)  # noqa: S608 - no input in it
            return list(map(_kept, rows))
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise self._failure(error) from None

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
    record = Record(_decode_id(raw_id), created, body, _decode_route(route))
    return KeptMessage(position, received_at, record)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return not isinstance(error, sqlite3.OperationalError)
