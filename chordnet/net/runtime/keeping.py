"""What outlives a restart of a node, opened together: its state and its message log."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import attrs

from chordnet.core.base.errors import StoreFailed
from chordnet.core.base.events import Recent
from chordnet.core.base.messages import digest_of
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.begin.settings import StoreSettings
from chordnet.net.base.interfaces import MessageLog, NodeState, StoreKeeper
from chordnet.net.store.runner import Anew
from chordnet.storage.base.limits import HISTORY_BYTES, HISTORY_S
from chordnet.storage.log.memory import MemoryLog, MemoryState
from chordnet.storage.log.sqlite import Durability, SqliteLog
from chordnet.storage.statedir import StateDirectory
from chordnet.storage.store.aside import formations_aside, set_formation_aside
from chordnet.storage.store.disk import StoreDisk
from chordnet.storage.store.memory import MemoryStore

StoreChoice = Literal["auto", "memory", "none"]
"""Where a node holds keys: on its disk if it has one, in memory, or nowhere."""

RECENT_MESSAGES = 4096
"""The most messages that a restarted node looks up."""
_PAGE = 256


def recent_messages(log: MessageLog, since: float) -> list[Recent]:
    """Return the messages recorded since a moment of the wall clock.

    Their broadcasts may still be under way, so a restarted node has to recognise them.

    :raises LogFailed: the log cannot be read.
    """
    found: list[Recent] = []
    end = log.last
    while end >= log.first and len(found) < RECENT_MESSAGES:
        page = [kept for kept in log.beyond(end - _PAGE, _PAGE) if kept.position <= end]
        recent = [kept for kept in page if kept.received_at >= since]
        for kept in recent:
            record = kept.record
            found.append(Recent(record.id, record.route, digest_of([record.body])))
        end -= _PAGE
        if len(recent) < len(page):
            break
    return found


@attrs.define
class Storage:
    """Where one node keeps things: in a directory, or in memory without one.

    :param directory: of this node alone; None for memory.
    :param given_log: a message log to use instead of one made here; it is not closed.
    :param durability: what a recorded message survives.
    :param history_bytes: bodies and routes kept, in bytes.
    :param history_s: how long a message is kept on disk, in seconds.
    :param warn: called with one line about damaged files.
    :param wall: returns the wall clock in seconds since 1970.
    :param rng: where the number of a new store comes from.
    :param store: where keys are held.
    :param given_keeper: keeps them instead of what is made here; it is not closed.
    """

    directory: str | os.PathLike[str] | None
    warn: Callable[[str], None]
    wall: Callable[[], float]
    given_log: MessageLog | None = None
    durability: Durability = "process"
    history_bytes: int = HISTORY_BYTES
    history_s: float = HISTORY_S
    rng: random.Random = attrs.field(factory=random.SystemRandom)
    store: StoreChoice = "auto"
    given_keeper: StoreKeeper | None = None
    _aside: tuple[bytes, ...] = ()
    _memory_store: MemoryStore | None = None
    _keeper: StoreKeeper | None = None
    _memory: tuple[MemoryState, MemoryLog] | None = None
    _state: NodeState | None = None
    _log: MessageLog | None = None

    def open(self) -> tuple[NodeState, MessageLog]:
        """Return the state and the log. In memory they are the same objects every time.

        :raises ConfigError: the directory cannot be used.
        :raises LogFailed: the log cannot be opened.
        """
        if self.directory is None:
            if self._memory is None:
                self._memory = MemoryState(self.wall), MemoryLog(max_bytes=self.history_bytes)
            state, memory = self._memory
            self._state = state
            return state, self.given_log if self.given_log is not None else memory
        self._state = StateDirectory(self.directory, self.warn, self.wall)
        if self.given_log is not None:
            return self._state, self.given_log
        self._log = SqliteLog(
            Path(self.directory) / "messages.db",
            durability=self.durability,
            max_bytes=self.history_bytes,
            max_age=self.history_s,
            warn=self.warn,
            wall=self.wall,
        )
        return self._state, self._log

    @property
    def holds_keys(self) -> bool:
        """Whether the node holds keys for others, and not only asks for them."""
        if self.store == "auto":
            return self.directory is not None
        return self.store == "memory"

    def open_store(self) -> tuple[StoreKeeper, Kept]:
        """Return where the store keeps things, and what it has kept.

        :raises StoreFailed: the files cannot be opened.
        """
        if self.given_keeper is not None:
            return self.given_keeper, self.given_keeper.open()
        keeper: StoreKeeper
        if self.directory is None or self.store != "auto":
            if self._memory_store is None:
                self._memory_store = MemoryStore(self.rng)
            keeper = self._memory_store
        else:
            keeper = StoreDisk(
                Path(self.directory) / "store.db",
                self.rng,
                durability=self.durability,
                warn=self.warn,
                wall=self.wall,
            )
        kept = keeper.open()
        self._keeper = keeper
        return keeper, kept

    @property
    def aside(self) -> tuple[bytes, ...]:
        """Formations whose stores were set aside here."""
        return self._aside if self.directory is None else formations_aside(self.directory)

    def of_store(self, make: Callable[..., StoreSettings]) -> StoreSettings:
        """Return the settings of a store that is kept here.

        :param make: makes them from whether it holds keys, and what was set aside.
        """
        return make(seat=self.holds_keys, aside=self.aside)

    def anew(self, make: Callable[..., StoreSettings], formation: bytes) -> Anew:
        """Set the store aside that is open, and open an empty one.

        :raises StoreFailed: it cannot be moved, or opened.
        """
        where = self.set_aside(formation)
        keeper, kept = self.open_store()
        return Anew(self.of_store(make), keeper, kept, where)

    def set_aside(self, formation: bytes) -> str:
        """Move the store aside that is open; return where it is now, for people.

        Afterwards :meth:`open_store` returns an empty one.

        :raises StoreFailed: it cannot be moved, and is closed.
        """
        if self.given_keeper is not None:
            raise StoreFailed("the store of this node belongs to its program")
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        if self.directory is None or self.store != "auto":
            self._memory_store = None
            self._aside = (*self._aside, formation)
            return "nowhere, since it was in memory"
        return str(set_formation_aside(self.directory, formation))

    def close(self) -> None:
        """Release what is open."""
        for opened in (self._keeper, self._log, self._state):
            if opened is not None:
                opened.close()
        self._keeper = self._log = self._state = None
