"""The store on disk: a database (SQLite), with the latest changes in a file ahead of it.

A member of a slot answers only what rests on its disk: a promise that was forgotten is a broken
one. So a commit, once a turn of the reactor and before anything leaves that rests on it, is one
write to the file of :mod:`chordnet.storage.base.ahead`. A checkpoint, at a quiet moment, moves what
stands there into the database in one transaction. A commit is itself a checkpoint if as much is
written ahead already as is allowed. The two degrees of durability are those of the message log
(:mod:`chordnet.storage.log.sqlite`).

The protocol's machine has all heads and records in memory. So this keeps none of them but what
waits for a checkpoint, and reads the disk only when it is opened.

- **A store is whole or it is another one.** A damaged record is a forgotten promise, and a database
  that is older than what was written ahead of it is many. If any of that is found at the start, all
  files are set aside with one warning, and an empty store begins. Its number is a new one, so it
  is a new member, and the others give it what they have. Only a frame at the end that is not
  complete is cut off: its commit never ended, so nothing rests on it.
- **The files belong together.** The first entry ahead says which store and which checkpoint it
  follows. If it is an earlier checkpoint, a crash came before the file could be emptied, and the
  database has all of it. Another store's, or a later checkpoint, is damage.
- **The run number** is one more at each start, and on disk before :meth:`StoreDisk.open` returns.

The message log has files of its own. A checkpoint of either then need not move what the other has
written, and a damaged log leaves the store as it is.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from chordnet.core.base.errors import ChordnetError, StoreFailed
from chordnet.core.store.base.effects import Entry
from chordnet.core.store.base.kept import Kept
from chordnet.storage.base.ahead import SYNC, UnknownKind, WriteAhead
from chordnet.storage.base.database import UNREADABLE, DatabaseFile, Durability
from chordnet.storage.base.rows import SpoiledRow
from chordnet.storage.store.entries import KINDS, Contents, Follows, RecordWritten, Written, written
from chordnet.storage.store.tables import MIGRATIONS, Identity, Tables, store_kind

AHEAD_ENTRIES = 1024
AHEAD_BYTES = 2 * 1024 * 1024
"""The most that is written ahead: a commit that would go beyond it is a checkpoint."""


class StoreDisk:
    """Implements :class:`chordnet.net.base.interfaces.StoreKeeper` on files.

    :param path: the database; made if it is missing. Files beside it have its name and an ending.
    :param rng: where the number of a new store comes from.
    :param durability: what a commit survives.
    :param warn: called with one line about a damaged file.
    :param wall: returns the wall clock in seconds since 1970.
    :param sync: has the disk hold the content of a file, by its descriptor; for "power".
    """

    migrations: ClassVar[Sequence[str]] = MIGRATIONS

    def __init__(
        self,
        path: Path,
        rng: random.Random,
        *,
        durability: Durability = "process",
        warn: Callable[[str], object] = lambda _text: None,
        wall: Callable[[], float] = time.time,
        sync: Callable[[int], None] = SYNC,
    ) -> None:
        self._path = path
        self._ahead_path = path.with_name(f"{path.name}-ahead")
        self._rng = rng
        self._durability = durability
        self._warn = warn
        self._wall = wall
        self._sync = sync if durability == "power" else None
        self._kind = store_kind(self.migrations)
        self._opened = ExitStack()
        self._begin()

    def _begin(self) -> None:
        self.drop()
        self._changes = Contents()
        """What is committed and waits for a checkpoint."""
        self.waiting = 0
        """How many entries are written ahead and wait for a checkpoint."""
        self.failed = ""
        """Why nothing more can be kept; empty while all is well."""

    def open(self) -> Kept:
        """Return what is on the disk, with a run number that is on the disk, too.

        :raises StoreFailed: the files cannot be opened or made, or a newer program has written
            them.
        """
        kept = self._file.open(self._restore)
        self._begin()
        return kept

    def renew(self) -> tuple[Kept, str]:
        """Set this store aside, and begin an empty one; return that, and where the old one is.

        :raises StoreFailed: the files cannot be renamed, or new ones not be made.
        """
        self.close()
        aside = self._file.set_aside("old-copy")
        return self.open(), str(aside)

    @property
    def _file(self) -> DatabaseFile:
        return DatabaseFile(self._path, self._kind, self._durability, self._warn, self._wall)

    def _restore(self, db: sqlite3.Connection) -> Kept:
        """Read the files, and move what is written ahead into the database.

        :raises SpoiledRow: a part of it is damaged.
        :raises DamagedFrame: the same.
        :raises msgspec.DecodeError: the same.
        :raises StoreFailed: the file ahead of the database cannot be used.
        """
        with ExitStack() as opened:
            opened.callback(db.close)
            self._tables = Tables(db)
            found, contents = self._tables.read()
            with self._using_ahead():
                self._ahead = WriteAhead(self._ahead_path, KINDS, self._sync)
                opened.callback(self._ahead.close)
                entries = self._ahead.read(whole=True)
            changes = Contents()
            changes.take(_not_moved(entries, found))
            contents.take(_not_moved(entries, found))
            if found is None:
                found = Identity(self._rng.getrandbits(62), 0, 0)
            self._identity = Identity(found.store, found.run + 1, found.checkpoint + 1)
            kept = contents.kept(self._identity.store, self._identity.run)
            self._tables.write(changes, self._identity)
            with self._using_ahead():
                self._ahead.clear()
            self._opened = opened.pop_all()
        return kept

    @contextmanager
    def _using_ahead(self) -> Iterator[None]:
        try:
            yield
        except (OSError, UnknownKind, msgspec.DecodeError) as error:
            raise self._kind.failure(self._ahead_path, "opened", error) from None

    def put(self, entry: Entry) -> None:
        """Have the next :meth:`commit` keep ``entry``, together with all others."""
        each = written(entry)
        self._put.append(each)
        if isinstance(each, RecordWritten):
            self._put_bytes += len(each.record)

    def drop(self) -> None:
        """Forget what was put since the last commit."""
        self._put: list[Written] = []
        self._put_bytes = 0

    def commit(self) -> None:
        """Make what was put as durable as was asked for: all of it or none.

        :raises StoreFailed: it could not be written, or an earlier commit or checkpoint could not.
        """
        if self.failed:
            raise StoreFailed(self.failed)
        put, size = self._put, self._put_bytes
        if not put:
            return
        self.drop()
        try:
            if self.waiting + len(put) > AHEAD_ENTRIES or self._ahead.size + size > AHEAD_BYTES:
                self._changes.take(put)
                self._move()
            else:
                if not self._ahead.size:
                    self._ahead.put(Follows(self._identity.store, self._identity.checkpoint))
                self._ahead.commit(*put)
                self._changes.take(put)
                self.waiting += len(put)
        except (OSError, *UNREADABLE) as error:
            raise self._failure(error) from None

    def checkpoint(self) -> None:
        """Move what was written ahead into the database; its durability does not change.

        :raises StoreFailed: it failed; what was committed is still there.
        """
        if self.waiting and not self.failed:
            try:
                self._move()
            except (OSError, *UNREADABLE) as error:
                raise self._failure(error) from None

    def _move(self) -> None:
        """Write all changes into the database, and empty the file ahead of it."""
        identity = msgspec.structs.replace(self._identity, checkpoint=self._identity.checkpoint + 1)
        self._tables.write(self._changes, identity)
        self._identity = identity
        self._changes, self.waiting = Contents(), 0
        self._ahead.clear()

    def _failure(self, error: Exception) -> ChordnetError:
        problem = self._kind.failure(self._path, "written", error)
        self.failed = str(problem)
        return problem

    def close(self) -> None:
        """Release the files; what was put and not committed is dropped."""
        try:
            self.checkpoint()
        except StoreFailed as problem:  # the next start reads what is written ahead
            self._warn(str(problem))
        self._opened.close()


def _not_moved(entries: Sequence[Any], found: Identity | None) -> Sequence[Any]:
    """Return the entries that the database does not have yet.

    :param found: whose database it is; None if it is new.
    :raises SpoiledRow: they do not belong to this database.
    """
    if not entries:
        return ()
    first = entries[0]
    if (
        found is None
        or not isinstance(first, Follows)
        or first.store != found.store
        or first.checkpoint > found.checkpoint
    ):
        raise SpoiledRow("what was written ahead of it does not belong to it")
    return entries[1:] if first.checkpoint == found.checkpoint else ()
