"""What is wrong with a key's history at a glance: contradictions of two or three operations.

Each of them shows by itself that the history is not right, whatever else happened. A history in
which nothing is found here may still be wrong; that is for the search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf

import msgspec

from chordnet.judge.store.anomalies import Anomaly, Kind
from chordnet.judge.store.history import Action, Operation, Outcome
from chordnet.judge.store.model import taken, told_version

Numbered = Mapping[int, Operation]
"""The operations of one key by their numbers, in ascending order."""

SHOWN = 3
"""At most so many other operations are named beside the one that cannot be right."""


def glance(history: Numbered, skew: float) -> list[Anomaly]:
    """Return every contradiction that needs no search, one an operation, in their order.

    :param skew: how far clocks of two clients may be apart.
    """
    found: dict[int, Anomaly] = {}
    said = {
        number: msgspec.structs.replace(each, version=told_version(each))
        for number, each in history.items()
        if taken(each)
    }
    for look in (_ends_first, _impossible_versions, _needless_conflicts, _told_twice):
        for anomaly in look(said):
            found.setdefault(anomaly.numbers[0], anomaly)
    for anomaly in (*_unwritten(history, said, skew), *_watched(history), *_backwards(said, skew)):
        found.setdefault(anomaly.numbers[0], anomaly)
    return sorted(found.values(), key=lambda anomaly: anomaly.numbers[0])


def _ends_first(said: Numbered) -> Iterator[Anomaly]:
    for number, each in said.items():
        if each.returned is not None and each.returned < each.call:
            yield Anomaly(Kind.ENDS_FIRST, (number,))


def _impossible_versions(said: Numbered) -> Iterator[Anomaly]:
    for number, each in said.items():
        if each.version is None or each.outcome not in (Outcome.DONE, Outcome.VALUE):
            continue
        expected = each.if_version + 1 if each.if_version else each.version
        if each.version == 0 or each.version != expected:
            yield Anomaly(Kind.IMPOSSIBLE_VERSION, (number,))


def _needless_conflicts(said: Numbered) -> Iterator[Anomaly]:
    for number, each in said.items():
        if each.outcome is Outcome.CONFLICT and each.if_version in (None, each.version or 0):
            yield Anomaly(Kind.NEEDLESS_CONFLICT, (number,))


def _told_twice(said: Numbered) -> Iterator[Anomaly]:
    """Compare whatever tells of a version with the write that made it, or else with the first."""
    tellers: dict[int, list[int]] = {}
    for number, each in said.items():
        if each.version:
            tellers.setdefault(each.version, []).append(number)
    for numbers in tellers.values():
        by_writes_first = sorted(numbers, key=lambda n: said[n].outcome is not Outcome.DONE)
        first = by_writes_first[0]
        for number in by_writes_first[1:]:
            if said[first].outcome is Outcome.CONFLICT and said[first].found is None:
                first = number
            if _contradicts(said[first], said[number]):
                yield Anomaly(Kind.VERSION_TWICE, (number, first))


def _contradicts(first: Operation, other: Operation) -> bool:
    """Return whether two that tell of one version cannot both be true; writes come first."""
    if other.outcome is Outcome.DONE:
        return first is not other
    if first.outcome is Outcome.DONE:
        if first.action is Action.DELETE:
            return True
        return other.found not in (None, first.value)
    return other.found not in (None, first.found)


def _unwritten(history: Numbered, said: Numbered, skew: float) -> Iterator[Anomaly]:
    """Look for the write of everything that was read."""
    puts: dict[str, list[int]] = {}
    for number, each in history.items():
        if each.value is not None:
            puts.setdefault(each.value, []).append(number)
    for number, each in said.items():
        if each.found is None:
            continue
        end = inf if each.returned is None else each.returned
        named = puts.get(each.found, [])
        could = [
            n
            for n in named
            if history[n].outcome in (Outcome.DONE, Outcome.UNCONFIRMED)
            and history[n].call <= end + skew
        ]
        if not could:
            yield Anomaly(Kind.UNWRITTEN_VALUE, (number, *named[:SHOWN]))
        elif each.version and not any(history[n].version in (None, each.version) for n in could):
            yield Anomaly(Kind.UNWRITTEN_VERSION, (number, *could[:SHOWN]))


def _watched(history: Numbered) -> Iterator[Anomaly]:
    """Look for revisions that a watch told in the wrong order, or that had a value after all."""
    last: dict[str, tuple[int, int]] = {}
    told = [(number, each) for number, each in history.items() if each.action is Action.WATCH]
    values = {each.version: n for n, each in history.items() if _has_value(each)}
    for number, each in sorted(told, key=lambda item: (item[1].returned or 0.0, item[0])):
        version = each.version or 0
        before, teller = last.get(each.client, (each.since or 0, number))
        if version and version <= before:
            yield Anomaly(Kind.WATCH_BACK, (number, teller))
        if version:
            last[each.client] = version, number
        if each.outcome is Outcome.ABSENT and version in values:
            yield Anomaly(Kind.VERSION_TWICE, (number, values[version]))


def _has_value(operation: Operation) -> bool:
    """Return True if the operation tells that its version is that of a value."""
    if operation.outcome is Outcome.DONE:
        return operation.action is Action.PUT
    return operation.outcome is Outcome.VALUE or bool(operation.found)


def _backwards(said: Numbered, skew: float) -> Iterator[Anomaly]:
    """Look for versions below one that had been told before the operation began."""
    clients: dict[str, dict[int, Operation]] = {}
    for number, each in said.items():
        clients.setdefault(each.client, {})[number] = each
    for own in clients.values():
        yield from _sweep(Kind.GOES_BACK, own, lambda number, end: (end, number))
    yield from _sweep(Kind.STALE, said, lambda _number, end: (end + skew, inf))


def _sweep(
    kind: Kind, said: Numbered, over: Callable[[int, float], tuple[float, float]]
) -> Iterator[Anomaly]:
    """Go through calls and returns in order, with the highest version that was told so far.

    :param over: when an operation was over for those that follow, to compare with calls.
    """
    answers = sorted(
        (over(number, each.returned), number)
        for number, each in _telling(said)
        if each.returned is not None
    )
    highest = teller = at = 0
    for number, each in sorted(_telling(said), key=lambda item: (item[1].call, item[0])):
        while at < len(answers) and answers[at][0] < (each.call, number):
            version = said[answers[at][1]].version
            assert version is not None
            if version > highest:
                highest, teller = version, answers[at][1]
            at += 1
        assert each.version is not None
        makes = each.outcome is Outcome.DONE
        if each.version < highest + makes:
            yield Anomaly(kind, (number, teller))


def _telling(said: Numbered) -> Iterable[tuple[int, Operation]]:
    return ((number, each) for number, each in said.items() if each.version)
