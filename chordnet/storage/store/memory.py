"""The store of a node that keeps nothing on disk."""

from __future__ import annotations

import random

from chordnet.core.store.base.effects import Entry
from chordnet.core.store.base.kept import Kept
from chordnet.storage.store.entries import Contents, Written, written


class MemoryStore:
    """Implements :class:`chordnet.net.base.interfaces.StoreKeeper`.

    What is kept lasts as long as this object, so a node that starts again with it in the same
    process is the same member.

    :param rng: where the store's number comes from.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._store = rng.getrandbits(62)
        self._run = 0
        self._contents = Contents()
        self._put: list[Written] = []
        self.failed = ""
        """Why nothing more can be kept; always empty."""
        self.waiting = 0
        """How many entries wait for a checkpoint; always 0."""

    def open(self) -> Kept:
        """Return what is kept, with a new run number."""
        self.drop()
        self._run += 1
        return self._contents.kept(self._store, self._run)

    def renew(self) -> tuple[Kept, str]:
        """Forget everything, and begin an empty store; return that, and where the old one is."""
        self._store, self._run, self._contents = self._rng.getrandbits(62), 0, Contents()
        return self.open(), "nowhere: it was in memory only"

    def put(self, entry: Entry) -> None:
        """Have the next :meth:`commit` keep ``entry``."""
        self._put.append(written(entry))

    def drop(self) -> None:
        """Forget what was put since the last commit."""
        self._put = []

    def commit(self) -> None:
        """Keep what was put."""
        self._contents.take(self._put)
        # There is no earlier state from which these would have to be taken away.
        self._contents.gone.clear()
        self._contents.emptied.clear()
        self.drop()

    def checkpoint(self) -> None:
        """Do nothing: commits leave nothing for later."""

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
