"""What is counted of a node's store: operations and how they end, letters, and what is held.

Operations are those of this node's own clients and program. What other nodes ask of it as a member
is in the letters.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from chordnet.core.store.base import outcomes
from chordnet.core.store.base.effects import AllDropped, HeadKept, Keep
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.node.node import StoreNode
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import WITHIN_S, NetMetric

_OUTCOMES: dict[type, str] = {
    outcomes.Done: "done",
    outcomes.Conflict: "conflict",
    outcomes.Unavailable: "unavailable",
    outcomes.Unconfirmed: "unconfirmed",
    outcomes.Untold: "untold",
}
_BOUNDS = tuple(WITHIN_S)
_WITHIN = tuple(WITHIN_S.values())


class StoreCounts:
    """Counts for one store.

    :param seconds: a clock that never goes back.
    """

    def __init__(self, journal: Journal, seconds: Callable[[], float]) -> None:
        self._counters = journal.counters
        self._seconds = seconds
        self._begun: dict[int, tuple[str, float]] = {}
        """Operations under way: what they are, and since when."""

    def began(self, op: int, asked: Get | Put) -> None:
        """Note the beginning of an operation."""
        kind = "get" if isinstance(asked, Get) else "delete" if asked.value is None else "put"
        self._begun[op] = kind, self._seconds()

    def ended(self, op: int, outcome: object) -> None:
        """Count an operation and the time that it took; other questions are not counted."""
        begun = self._begun.pop(op, None)
        if begun is None:
            return
        kind, began = begun
        took = self._seconds() - began
        if isinstance(outcome, outcomes.Found):
            how = "absent" if outcome.content.value is None else "value"
        else:
            how = _OUTCOMES.get(type(outcome), "failed")
        self._counters.add(NetMetric.KEY_OPERATIONS, kind, how)
        self._counters.add(NetMetric.KEY_MICROSECONDS, kind, by=round(took * 1e6))
        within = bisect_left(_BOUNDS, took)
        self._counters.add(NetMetric.KEY_LATENCY, kind, (*_WITHIN, "longer")[within])

    def sent(self, letter: bytes) -> None:
        """Count a letter to another node."""
        self._counters.add(NetMetric.LETTERS, "sent")
        self._counters.add(NetMetric.LETTER_BYTES, "sent", by=len(letter))

    def received(self, letter: bytes) -> None:
        """Count a letter of another node."""
        self._counters.add(NetMetric.LETTERS, "received")
        self._counters.add(NetMetric.LETTER_BYTES, "received", by=len(letter))

    def keeps(self, keep: Keep) -> None:
        """Count what is to be kept, and the configurations that are installed with it."""
        self._counters.add(NetMetric.STORE_ENTRIES, by=len(keep.entries))
        dropped = any(isinstance(each, AllDropped) for each in keep.entries)
        for each in keep.entries:
            if isinstance(each, HeadKept) and dropped and not each.head.emptied:
                self._counters.add(NetMetric.STORE_INSTALLED)


def held(machine: StoreNode) -> dict[str, int]:
    """Return what a store holds now, and has read for its repair, by the names of the metrics."""
    formation = machine.formation
    registers = [] if formation is None else [e.registers for e in formation.holdings.served]
    numbers = {
        NetMetric.STORE_SLOTS: len(registers),
        NetMetric.STORE_RECORDS: sum(len(each.records) for each in registers),
        NetMetric.STORE_KEYS: sum(each.stock.keys for each in registers),
        NetMetric.STORE_BYTES: sum(each.stock.bytes for each in registers),
        NetMetric.STORE_REPAIRS: 0 if formation is None else formation.asking.repairs,
    }
    return {metric.row.name: number for metric, number in numbers.items()}
