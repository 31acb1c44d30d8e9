"""The watches of one store's clients: whom to tell of what, by the numbers of the machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chordnet.core.base.errors import Busy, ChordnetError, WatchEnded
from chordnet.core.store.base import events as ev
from chordnet.core.store.base.effects import Revised, Unwatched, WatchEnd
from chordnet.net.base.interfaces import Told

WHY = {
    WatchEnd.BACK: "it has a lower version than you were told of: that was lost when its slot was"
    " recovered, or it was the version of another store; begin again without since",
    WatchEnd.CLOSED: "this node has left its store for another one; begin again without since",
}
"""How a watch was ended, for people."""

Ended = Callable[[ChordnetError], None]


class StoreWatches:
    """The watches under way.

    :param post: gives the machine an event.
    """

    def __init__(self, post: Callable[[ev.Event], None]) -> None:
        self._post = post
        self._watches: dict[int, tuple[Told, Ended]] = {}

    def begin(
        self, number: int, key: bytes, since: int | None, told: Told, ended: Ended
    ) -> Callable[[], None]:
        """Begin a watch, and return what ends it."""
        self._watches[number] = told, ended
        self._post(ev.Watch(number, key, since))
        return partial(self._stop, number)

    def _stop(self, number: int) -> None:
        if self._watches.pop(number, None) is not None:
            self._post(ev.Unwatch(number))

    def tell(self, effect: Revised | Unwatched) -> None:
        """Tell a watch what is new, or that it has ended."""
        if effect.watch not in self._watches:
            return
        told, ended = self._watches[effect.watch]
        if isinstance(effect, Revised):
            told(effect.content, effect.gap)
            return
        del self._watches[effect.watch]
        if effect.end is WatchEnd.FULL:
            ended(Busy("this node watches as many keys as it can; watch through another node"))
        else:
            ended(WatchEnded(f"the watch has ended: {WHY[effect.end]}"))

    def end(self, problem: ChordnetError) -> None:
        """Tell all of them that the store has ended."""
        watches, self._watches = self._watches, {}
        for _told, ended in watches.values():
            ended(problem)
