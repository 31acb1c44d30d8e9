"""Judge if every node has every message, from short reports of the nodes.

A full history is far too much to read from every node. So each is asked for the numbers that it
has recorded, given up and still keeps, as intervals of each origin, and for the newest messages
without their bodies; both are bounded, in size and in time. A node that cannot be asked is named,
and nothing is said of it.

- A number that one node has recorded and another one neither recorded nor gave up is *lacking*.
- A number given up is *lost* to the node. While another node keeps it that is a fault; once no node
  does, it cannot be mended, and is a note.
- A number recorded that is not in the log though the log never dropped anything, and that another
  node keeps, is *not kept*.
- Logs are capped by bytes, and routes differ in length, so each node keeps another number of
  messages. That is no fault.
- Of the newest messages each must be there once, with one body everywhere, by a route that its
  sender recorded as well.

A message that is on its way must not be called lacking: everything that is wrong is checked again,
and counts if it was wrong both times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from chordnet.core.base import intervals
from chordnet.core.base.intervals import Intervals
from chordnet.survey.findings import (
    Capped,
    DifferentBodies,
    Fact,
    JustStarted,
    MoreLikeTheLast,
    RecordedTwice,
    Ref,
    Want,
    Wanting,
    WantingMore,
    WrongRoute,
    messages,
)
from chordnet.survey.verdict import Names
from chordnet.wire.rpc import KEPT_BOUNDS, MessageTrail, NodeHistory, OriginHistory

Key = tuple[str, int]
"""An origin's identifier and incarnation."""

CHECKED = 1000
"""The newest messages of each node, of which bodies and routes are compared."""
SHOWN = 8
"""Findings about one node, or of one kind; the rest is counted."""


@attrs.frozen
class Told:
    """What one node said."""

    history: NodeHistory
    trails: Sequence[MessageTrail] = ()
    just_started: bool = False
    """It may still lack messages from before its start."""


@attrs.frozen
class Comparison:
    """What is wrong with the messages at one moment."""

    messages: int
    """Different messages that nodes have recorded."""
    nodes: int
    """Nodes that were asked."""
    lacking: Sequence[Wanting] = ()
    hidden: Sequence[Wanting] = ()
    """Given up by one node and kept by another."""
    unkept: Sequence[Wanting] = ()
    lost: Sequence[Wanting] = ()
    """Given up, and kept by no node."""
    newest: Sequence[Fact] = ()
    """What is wrong with the newest messages."""
    kept: Mapping[Ref, int] = attrs.field(factory=dict)
    """Messages in the log of each node that has dropped some."""
    whole: bool = True
    """Whether every message that a node keeps was among the newest that were compared."""

    @property
    def suspicious(self) -> bool:
        """Whether anything has to be checked again."""
        return bool(self.lacking or self.hidden or self.unkept or self.newest)


# ---- judging --------------------------------------------------------------------------------


def find(told: Mapping[Ref, Told], names: Names) -> Comparison:
    """Compare what the nodes said."""
    tables = {ref: _table(each.history) for ref, each in told.items()}
    keys = sorted({key for table in tables.values() for key in table})
    count = 0
    wanting: dict[Want, list[Wanting]] = {want: [] for want in Want}
    for key in keys:
        entries = {ref: table.get(key, _nothing(key)) for ref, table in tables.items()}
        recorded = _union(_recorded(each) for each in entries.values())
        kept = _union(each.kept for each in entries.values())
        count += intervals.count(recorded)
        for ref, entry in entries.items():
            found = _wanting(entry, recorded, kept, whole=not told[ref].history.dropped)
            for want, numbers in found.items():
                if numbers:
                    origin = names.ref(key[0])
                    wanting[want].append(Wanting(ref, want, origin, key, tuple(numbers)))
    capped = {ref: each.history.kept for ref, each in told.items() if each.history.dropped}
    return Comparison(
        count,
        len(told),
        newest=tuple(_newest_wrong(told, names)),
        kept=capped,
        whole=all(len(each.trails) >= each.history.kept for each in told.values()),
        lacking=wanting[Want.LACKING],
        hidden=wanting[Want.GIVEN_UP],
        unkept=wanting[Want.NOT_KEPT],
        lost=wanting[Want.LOST],
    )


def _table(history: NodeHistory) -> dict[Key, OriginHistory]:
    return {(each.origin, each.incarnation): each for each in history.origins}


def _nothing(key: Key) -> OriginHistory:
    return OriginHistory(*key, [], [], [])


def _recorded(entry: OriginHistory) -> Intervals:
    return intervals.minus(entry.known, entry.lost) if entry.lost else entry.known


def _union(sets: Iterable[Intervals]) -> Intervals:
    together: Intervals = []
    for each in sets:
        if each != together:
            for first, end in intervals.pairs(each):
                intervals.add(together, first, end)
    return together


def _wanting(
    entry: OriginHistory, recorded: Intervals, kept: Intervals, *, whole: bool
) -> dict[Want, Intervals]:
    """Return what a node wants of one origin, by kind.

    :param recorded: what any node has recorded.
    :param kept: what any node keeps.
    :param whole: the node's log has never dropped anything.
    """
    missing = intervals.minus(recorded, entry.known) if entry.known != recorded else []
    unkept = intervals.minus(_recorded(entry), entry.kept) if whole else []
    if unkept and len(entry.kept) >= KEPT_BOUNDS:  # older ones may exist, and were left out
        intervals.remove(unkept, 1, entry.kept[0])
    return {
        Want.LACKING: missing,
        Want.GIVEN_UP: intervals.both(entry.lost, kept),
        Want.NOT_KEPT: intervals.both(unkept, kept),
        Want.LOST: intervals.minus(entry.lost, kept),
    }


def confirmed(first: Comparison, second: Comparison) -> Comparison:
    """Return the second findings, without those that were not there at the first look."""

    def both(before: Sequence[Wanting], after: Sequence[Wanting]) -> list[Wanting]:
        old = {(w.node, w.key): list(w.numbers) for w in before}
        common = [
            attrs.evolve(
                w, numbers=tuple(intervals.both(list(w.numbers), old.get((w.node, w.key), [])))
            )
            for w in after
        ]
        return [w for w in common if w.numbers]

    return attrs.evolve(
        second,
        lacking=both(first.lacking, second.lacking),
        hidden=both(first.hidden, second.hidden),
        unkept=both(first.unkept, second.unkept),
        newest=[fact for fact in second.newest if fact in first.newest],
    )


# ---- the newest messages --------------------------------------------------------------------


def _newest_wrong(told: Mapping[Ref, Told], names: Names) -> Iterator[Fact]:
    trails = {ref: {trail.id: trail for trail in each.trails} for ref, each in told.items()}
    for ref, each in told.items():
        counts = Counter(trail.id for trail in each.trails)
        twice = [message for message, times in counts.items() if times > 1]
        yield from _shortened(RecordedTwice(ref, message) for message in twice)
    yield from _shortened(_different_bodies(trails))
    yield from _shortened(_wrong_routes(trails, names))


def _different_bodies(
    trails: Mapping[Ref, Mapping[str, MessageTrail]],
) -> Iterator[DifferentBodies]:
    bodies: dict[str, dict[bytes, list[Ref]]] = {}
    for ref, log in trails.items():
        for trail in log.values():
            bodies.setdefault(trail.id, {}).setdefault(trail.digest, []).append(ref)
    for message, groups in bodies.items():
        if len(groups) > 1:
            yield DifferentBodies(message, tuple(map(tuple, groups.values())))


def _wrong_routes(
    trails: Mapping[Ref, Mapping[str, MessageTrail]], names: Names
) -> Iterator[WrongRoute]:
    """A route must be the route of the node before, as that node recorded it, and one step more."""
    for ref, log in trails.items():
        for trail in log.values():
            if len(trail.route) < 2:
                continue
            sender = names.ref(trail.route[-2])
            known = trails.get(sender, {}).get(trail.id)
            # A sender that was restarted may have got the message back by another way.
            if known is None or known.received_at > trail.received_at:
                continue
            if known.route != trail.route[:-1]:
                yield WrongRoute(ref, trail.id, sender)


def _shortened(facts: Iterable[Fact]) -> Iterator[Fact]:
    found = list(facts)
    yield from found[:SHOWN]
    if len(found) > SHOWN:
        yield MoreLikeTheLast(found[-1].kind, len(found) - SHOWN)


# ---- findings and notes ---------------------------------------------------------------------


def faults(found: Comparison, told: Mapping[Ref, Told]) -> list[Fact]:
    """Return what is wrong, a finding for each node and origin."""
    blamed = [each for each in found.lacking if not told[each.node].just_started]
    wanting = (*_counted(blamed), *_counted(found.hidden), *_counted(found.unkept))
    return [*wanting, *found.newest]


def notes(found: Comparison, told: Mapping[Ref, Told]) -> list[Fact]:
    """Return what is worth knowing and no fault."""
    excused: Counter[Ref] = Counter()
    for each in found.lacking:
        if told[each.node].just_started:
            excused[each.node] += each.count
    facts: list[Fact] = [JustStarted(ref, count) for ref, count in excused.items()]
    facts += _counted(found.lost)
    if found.kept:
        fewest = min(found.kept.items(), key=lambda item: item[1])
        most = max(found.kept.items(), key=lambda item: item[1])
        facts.append(Capped(found.messages, fewest, most))
    return facts


def headline(found: Comparison, asked_all: bool) -> str:
    """Return what was found right, and how much was looked at, as one line."""
    if not found.nodes:
        return "no node could be asked what it has recorded"
    if not found.messages:
        return "no messages yet"
    where = "every node" if asked_all else f"each of the {found.nodes} nodes that could be asked"
    total = messages(found.messages)
    exceptions = " except what the notes say" if found.lost or found.lacking else ""
    if found.whole and not found.kept:
        return f"{total}: each on {where}{exceptions}, once, by a true route"
    compared = "those kept" if found.whole else f"the newest {CHECKED:,} of each node"
    return f"{total}: each recorded by {where}{exceptions}; {compared} once, by a true route"


def _counted(wanting: Iterable[Wanting]) -> Iterator[Wanting | WantingMore]:
    """Yield the first few of each node, and how many more there are."""
    by_node: dict[Ref, list[Wanting]] = {}
    for each in wanting:
        by_node.setdefault(each.node, []).append(each)
    for ref, found in by_node.items():
        yield from found[:SHOWN]
        if rest := found[SHOWN:]:
            count = sum(each.count for each in rest)
            yield WantingMore(ref, rest[0].want, count, len(rest))
