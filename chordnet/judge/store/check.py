"""Judges the history of a store, key by key, and says what contradicts what where it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from chordnet.judge.store.anomalies import Anomaly, Counterexample, Verdict
from chordnet.judge.store.glance import glance
from chordnet.judge.store.history import Operation, Outcome
from chordnet.judge.store.model import (
    EMPTY,
    Op,
    State,
    doubted,
    first_word,
    op_of,
    relaxed,
    since,
    taken,
)
from chordnet.judge.store.registers import Limits, Search


@attrs.frozen
class KeyFound:
    """What the history of one key comes to."""

    key: str
    verdict: Verdict
    operations: int
    """All of them, also those that say nothing."""
    steps: int
    """Of the search."""
    anomalies: tuple[Anomaly, ...]
    """Contradictions seen without a search; if there are any, there was none."""
    counterexample: Counterexample | None


@attrs.frozen
class HistoryFound:
    """What a history comes to."""

    keys: tuple[KeyFound, ...]
    operations: int
    clients: int
    unconfirmed: int
    stale: int
    """Reads that may be answered from the past: nothing is asked of them."""
    complete: bool
    """Whether the whole history was looked at, and not only as much as the limits allow."""

    @property
    def verdict(self) -> Verdict:
        """Wrong if a key is, else undecided if a key is, or if there was more of it."""
        found = {each.verdict for each in self.keys}
        if Verdict.WRONG in found:
            return Verdict.WRONG
        if Verdict.UNDECIDED in found or not self.complete:
            return Verdict.UNDECIDED
        return Verdict.RIGHT


def check_history(
    history: Iterable[Operation], limits: Limits | None = None, skew: float = 0.0
) -> HistoryFound:
    """Judge a history, which begins when no key exists.

    :param limits: what the check may take; None: the usual.
    :param skew: seconds by which clocks of two clients, or of a client and the store, may differ.
        Operations of different clients that are nearer to each other have no order.
    """
    limits = limits or Limits()
    keys: dict[str, dict[int, Operation]] = {}
    clients: set[str] = set()
    unconfirmed = stale = operations = 0
    complete = True
    for number, operation in enumerate(history, 1):
        if number > limits.operations:
            complete = False
            break
        keys.setdefault(operation.key, {})[number] = operation
        clients.add(operation.client)
        unconfirmed += operation.outcome is Outcome.UNCONFIRMED
        stale += operation.stale
        operations = number
    return HistoryFound(
        tuple(check_key(key, numbered, limits, skew) for key, numbered in keys.items()),
        operations,
        len(clients),
        unconfirmed,
        stale,
        complete,
    )


def check_key(key: str, history: dict[int, Operation], limits: Limits, skew: float) -> KeyFound:
    """Judge the history of one key, given by the numbers of its operations in ascending order."""
    anomalies = glance(history, skew)
    if anomalies:
        return KeyFound(key, Verdict.WRONG, len(history), 0, tuple(anomalies), None)
    ops = [op_of(number, each) for number, each in history.items() if taken(each)]
    search = Search(ops, skew, limits)
    found = search.run()
    example = None
    if found.verdict is Verdict.WRONG:
        example = Counterexample(
            search.sequence(found.longest),
            search.stuck(found.longest),
            core(ops, skew, limits, found.longest.state.version),
        )
    return KeyFound(key, found.verdict, len(history), found.steps, (), example)


def core(ops: Sequence[Op], skew: float, limits: Limits, near: int) -> tuple[int, ...]:
    """Return a small number of operations that contradict each other, if all writes happened.

    The operations are relaxed in ever smaller groups as long as the history stays wrong: a read is
    left out, a write loses its time. If even that leaves no operation, the versions of the writes
    contradict each other; then these are left out in the same way. The limit on steps holds for
    all of it, and beyond it more operations remain than have to.

    :param ops: of a history that is wrong.
    :param near: the version at which it goes wrong: what comes shortly before is tried first.
    """
    ease = _Easing(skew, limits)
    for base in _bases(ops, near):
        if base is None:
            start, part, known = EMPTY, list(ops), []
        else:
            assert base.version is not None
            start = State(base.version, base.value, None)
            part, known = since(base, ops, skew), [base, first_word(base, ops)]
        if not ease.wrong(part, start):
            continue
        sure, unsure = [op for op in part if op.sure], [op for op in part if not op.sure]
        sharp, eased = ease.smallest(sure, unsure, relaxed, start)
        if not sharp:
            writes = [op for op in eased if op.timeless]
            others = [op for op in eased if not op.timeless]
            sharp, _ = ease.smallest(writes, others, doubted, start)
        return tuple(sorted({op.number for op in (*known, *sharp)}))
    return tuple(sorted(op.number for op in ops if op.sure))


def _bases(ops: Sequence[Op], near: int) -> Iterator[Op | None]:
    """Yield writes to begin at, ever further back from a version, and at last the beginning."""
    writes = {
        op.version: op
        for op in ops
        if not op.reads and op.version and op.version <= near and op.expires_at is None
    }
    latest = sorted(writes, reverse=True)
    width = 1
    while width <= len(latest):
        yield writes[latest[width - 1]]
        width *= 2
    yield None


class _Easing:
    """Makes wrong histories say less, within one limit on steps."""

    def __init__(self, skew: float, limits: Limits) -> None:
        self._skew = skew
        self._left = limits

    def wrong(self, ops: Sequence[Op], start: State) -> bool:
        """Return whether operations are still found wrong, with the steps that are left."""
        if self._left.steps <= 0:
            return False
        found = Search(ops, self._skew, self._left, start).run()
        self._left = attrs.evolve(self._left, steps=self._left.steps - found.steps)
        return found.verdict is Verdict.WRONG

    def smallest(
        self, sharp: list[Op], others: list[Op], ease: Callable[[Op], Op | None], start: State
    ) -> tuple[list[Op], list[Op]]:
        """Ease as many operations as the history stays wrong without.

        :returns: those that remain, and all others.
        """
        size = len(sharp)
        while size:
            at = 0
            while at < len(sharp):
                eased = [ease(op) for op in sharp[at : at + size]]
                fewer = sharp[:at] + sharp[at + size :]
                rest = others + [op for op in eased if op is not None]
                if self.wrong([*fewer, *rest], start):
                    sharp, others = fewer, rest
                else:
                    at += size
            size //= 2
        return sharp, others
