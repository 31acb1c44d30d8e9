"""What went wrong with broadcasts on their way down the tree, for ``p2pnet trace``.

A healthy broadcast leaves nothing here: its recorded routes show its way. There are limits on the
number of troubled broadcasts, on what is remembered of each, and of all together; the oldest are
dropped first. Everything takes half a MB at most.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from chordnet.core.base.effects import Traced, TraceKind
from chordnet.core.base.messages import MessageId, NodeRef

MAX_BROADCASTS = 512
MAX_HAPPENINGS = 64
"""Broadcasts remembered, and happenings of each (later ones are not noted)."""
MAX_NOTED = 2048
"""Happenings of all broadcasts together."""


class Happening(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened to a broadcast at this node."""

    at: float
    """This node's wall clock, seconds since 1970."""
    what: TraceKind
    peer: NodeRef


class Traces:
    """The bounded memory of one node."""

    def __init__(self, max_batch: int) -> None:
        self._max_batch = max_batch
        self._broadcasts: dict[MessageId, tuple[int, list[Happening]]] = {}
        self._noted = 0

    def __len__(self) -> int:
        """Return how many happenings are remembered."""
        return self._noted

    def note(self, effect: Traced, at: float) -> None:
        """Remember ``effect``, which happened ``at`` (seconds since 1970)."""
        entry = self._broadcasts.get(effect.id)
        if entry is None:
            if len(self._broadcasts) >= MAX_BROADCASTS:
                self._forget_oldest()
            entry = self._broadcasts[effect.id] = (effect.count, [])
        if len(entry[1]) < MAX_HAPPENINGS:
            entry[1].append(Happening(at, effect.what, effect.peer))
            self._noted += 1
            if self._noted > MAX_NOTED:
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        _count, happenings = self._broadcasts.pop(next(iter(self._broadcasts)))
        self._noted -= len(happenings)

    def of(self, message_id: MessageId) -> Sequence[Happening]:
        """Return what happened to a message, or to the broadcast that it shared with others."""
        for offset in range(min(self._max_batch, message_id.sequence)):
            count, happenings = self._broadcasts.get(message_id.plus(-offset), (0, ()))
            if offset < count:
                return happenings
        return ()
