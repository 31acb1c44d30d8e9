"""What a node's store keeps: committed with every turn, before anything leaves that rests on it.

- What one turn has the store keep is one commit. What rests on it, letters and answers, is done
  after it (:meth:`StoreRecords.when_kept`).
- A checkpoint, which moves many commits to their final place, is made when a timer fires, or after
  a turn if too many entries wait for one.
- If something could not be kept, nothing that rests on it is ever done, and the store keeps nothing
  more: its protocol has counted on it already. Whoever runs the store is told once. What else
  belongs to the turn, messages of the ring and of broadcasts, does not rest on it and leaves.
"""

from __future__ import annotations

from collections.abc import Callable

from chordnet.core.base.errors import StoreFailed
from chordnet.core.store.base.effects import Keep
from chordnet.core.store.base.kept import Kept
from chordnet.net.base.interfaces import StoreKeeper
from chordnet.net.base.turn import Turn

_CHECKPOINT_AT_REST = 128
_CHECKPOINT_SOON = 512
"""Entries waiting for a checkpoint that are enough for one at a timer, and that are enough for one
right after a turn. The nodes on one machine have their timers at different times, so most
checkpoints should come from the first."""


class StoreRecords:
    """What one node's store keeps, and the callbacks that wait for it; a turn participant.

    :param failed: called once, with why nothing more can be kept.
    """

    def __init__(self, turn: Turn, keeper: StoreKeeper, failed: Callable[[str], None]) -> None:
        self._turn = turn
        self._keeper = keeper
        self._failed = failed
        self._given_up = False
        self._unkept = False
        """Whether something was put and is not committed yet."""
        self._waiting: list[Callable[[], object]] = []

    def renew(self, keeper: StoreKeeper) -> None:
        """Keep another store from now on; what waits for the old one is dropped."""
        self._keeper = keeper
        self._given_up = self._unkept = False
        self._waiting.clear()

    def keep(self, effect: Keep) -> None:
        """Have the end of the turn keep all entries."""
        if self._given_up:
            return
        for entry in effect.entries:
            self._keeper.put(entry)
        if not self._unkept:
            self._unkept = True
            # A turn without a message to send would not commit.
            self._turn.before(_nothing)

    def when_kept(self, callback: Callable[[], object]) -> None:
        """Call back once all that was to be kept so far is kept; immediately if it is.

        If it cannot be kept, ``callback`` is never called.
        """
        if self._given_up:
            return
        if self._unkept:
            self._waiting.append(callback)
        else:
            callback()

    def begin_anew(self) -> tuple[Kept, str]:
        """Set aside what is kept, and begin empty; return that, and where the old store is.

        What waits for a commit is dropped with it.

        :raises StoreFailed: that is not possible.
        """
        self._keeper.drop()
        self._unkept = False
        self._waiting.clear()
        return self._keeper.renew()

    # -- once a turn -----------------------------------------------------------------------------

    def commit(self) -> bool:
        """Keep what this turn changed, and return True: nothing but callbacks rests on it.

        If that fails, the store gives up, and the callbacks are dropped.
        """
        if self._unkept:
            try:
                self._keeper.commit()
            except StoreFailed as problem:
                self._give_up(str(problem))
        return True

    def abandon(self) -> None:
        """Drop what this turn changed, and keep nothing more."""
        self._give_up("what belongs to the same turn could not be kept")

    def committed(self) -> None:
        """Have those called who waited, and see to what was left for later."""
        if not self._unkept:
            return  # most turns keep nothing of the store
        self._unkept = False
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            self._turn.after(callback)
        if self._keeper.waiting >= _CHECKPOINT_SOON:
            self._turn.after(self._checkpoint)

    def rest(self) -> None:
        """Make a checkpoint, if enough entries wait for one."""
        if self._keeper.waiting >= _CHECKPOINT_AT_REST:
            self._checkpoint()

    def _checkpoint(self) -> None:
        if not self._given_up:
            try:
                self._keeper.checkpoint()
            except StoreFailed as problem:
                self._give_up(str(problem))

    def _give_up(self, why: str) -> None:
        if not self._given_up:
            self._given_up = True
            self._unkept = False
            self._waiting.clear()
            self._keeper.drop()
            self._failed(why)


def _nothing() -> None:
    pass
