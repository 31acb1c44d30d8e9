"""Whether every node has every message, judged from what the nodes say in short.

A full history is far too much to be read from every node. So each is asked for the numbers that it
has recorded, given up and still keeps, as intervals of each origin, and for the newest messages
without their bodies; both are bounded, in size and in time. A node that cannot be asked is named,
and nothing is said of it.

- A number that one node has recorded and another one neither recorded nor gave up is *lacking*.
- A number given up is *lost* to the node. While another node keeps it that is a fault; once nobody
  does, it cannot be mended, and is a note.
- A number recorded that is not in the log though the log never dropped anything, and that another
  node keeps, is *not kept*.
- Logs are capped by bytes, and routes differ in length, so each node keeps another number of
  messages. That is no fault.
- Of the newest messages each must be there once, with one body everywhere, by a route that its
  sender recorded as well.

What is on its way must not be called lacking: whatever is wrong is looked at once more, and counts
if it was wrong both times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from chordnet.core.base import intervals
from chordnet.core.base.intervals import Intervals
from chordnet.survey.verdict import Names
from chordnet.wire.rpc import KEPT_BOUNDS, MessageTrail, NodeHistory, OriginHistory

Ref = int | str
"""A node's number, or the name of a node that is none of the network's."""
Key = tuple[str, int]
"""An origin's identifier and incarnation."""

CHECKED = 1000
"""The newest messages of each node, of which bodies and routes are compared."""
SHOWN = 8
"""Lines about one node, or of one kind; the rest is counted."""
SHOWN_RANGES = 4
"""Ranges in one line; the rest is counted."""


@attrs.frozen
class Told:
    """What one node said."""

    history: NodeHistory
    trails: Sequence[MessageTrail] = ()
    just_started: bool = False
    """It may still lack messages from before its start."""


@attrs.frozen
class Wanting:
    """Numbers of one origin that one node ought to have."""

    node: Ref
    key: Key
    numbers: Sequence[int]
    """Intervals."""


@attrs.frozen
class Findings:
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
    """Given up, and kept by nobody."""
    newest: Sequence[str] = ()
    """What is wrong with the newest messages, in words."""
    kept: Mapping[Ref, int] = attrs.field(factory=dict)
    """Messages in the log of each node that has dropped some."""
    whole: bool = True
    """Whether every message that a node keeps was among the newest that were compared."""

    @property
    def suspicious(self) -> bool:
        """Whether anything has to be looked at once more."""
        return bool(self.lacking or self.hidden or self.unkept or self.newest)


# ---- judging --------------------------------------------------------------------------------


def find(told: Mapping[Ref, Told], names: Names) -> Findings:
    """Compare what the nodes said."""
    tables = {ref: _table(each.history) for ref, each in told.items()}
    keys = sorted({key for table in tables.values() for key in table})
    messages = 0
    kinds: dict[str, list[Wanting]] = {"lacking": [], "hidden": [], "unkept": [], "lost": []}
    for key in keys:
        entries = {ref: table.get(key, _nothing(key)) for ref, table in tables.items()}
        recorded = _union(_recorded(each) for each in entries.values())
        kept = _union(each.kept for each in entries.values())
        messages += intervals.count(recorded)
        for ref, entry in entries.items():
            found = _wanting(entry, recorded, kept, whole=not told[ref].history.dropped)
            for kind, numbers in found.items():
                if numbers:
                    kinds[kind].append(Wanting(ref, key, tuple(numbers)))
    capped = {
        ref: each.history.kept for ref, each in told.items() if each.history.dropped
    }  # fmt: skip
    return Findings(
        messages, len(told), newest=tuple(_newest_wrong(told, names)), kept=capped,
        whole=all(len(each.trails) >= each.history.kept for each in told.values()),
        **kinds,
    )  # fmt: skip


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
) -> dict[str, Intervals]:
    """Return what a node wants of one origin, by kind.

    :param recorded: what any node has recorded.
    :param kept: what any node keeps.
    :param whole: the node's log has never dropped anything.
    """
    missing = intervals.minus(recorded, entry.known) if entry.known != recorded else []
    unkept = intervals.minus(_recorded(entry), entry.kept) if whole else []
    if unkept and len(entry.kept) >= KEPT_BOUNDS:  # there may be older ones, which were left out
        intervals.remove(unkept, 1, entry.kept[0])
    return {
        "lacking": missing,
        "hidden": intervals.both(entry.lost, kept),
        "unkept": intervals.both(unkept, kept),
        "lost": intervals.minus(entry.lost, kept),
    }


def confirmed(first: Findings, second: Findings) -> Findings:
    """Return the second findings without what was not wrong at the first look already."""

    def both(before: Sequence[Wanting], after: Sequence[Wanting]) -> list[Wanting]:
        old = {(w.node, w.key): list(w.numbers) for w in before}
        common = [
            attrs.evolve(w, numbers=intervals.both(list(w.numbers), old.get((w.node, w.key), [])))
            for w in after
        ]
        return [w for w in common if w.numbers]

    return attrs.evolve(
        second,
        lacking=both(first.lacking, second.lacking),
        hidden=both(first.hidden, second.hidden),
        unkept=both(first.unkept, second.unkept),
        newest=[text for text in second.newest if text in first.newest],
    )


# ---- the newest messages --------------------------------------------------------------------


def _newest_wrong(told: Mapping[Ref, Told], names: Names) -> Iterator[str]:
    trails = {ref: {trail.id: trail for trail in each.trails} for ref, each in told.items()}
    for ref, each in told.items():
        counts = Counter(trail.id for trail in each.trails)
        twice = [message for message, times in counts.items() if times > 1]
        yield from _shortened(
            f"{Names.called(ref)} recorded the message {each} twice" for each in twice
        )
    yield from _shortened(_different_bodies(trails))
    yield from _shortened(_false_routes(trails, names))


def _different_bodies(trails: Mapping[Ref, Mapping[str, MessageTrail]]) -> Iterator[str]:
    bodies: dict[str, dict[bytes, list[Ref]]] = {}
    for ref, log in trails.items():
        for trail in log.values():
            bodies.setdefault(trail.id, {}).setdefault(trail.digest, []).append(ref)
    for message, groups in bodies.items():
        if len(groups) > 1:
            parts = " and ".join(", ".join(map(Names.called, refs)) for refs in groups.values())
            yield f"the message {message} is not the same everywhere: it differs between {parts}"


def _false_routes(trails: Mapping[Ref, Mapping[str, MessageTrail]], names: Names) -> Iterator[str]:
    """A route must be the route of the node before, as that node recorded it, and one step more."""
    for ref, log in trails.items():
        for trail in log.values():
            if len(trail.route) < 2:
                continue
            sender = names.ref(trail.route[-2])
            known = trails.get(sender, {}).get(trail.id)
            # A sender that was restarted since may have got the message back by another way.
            if known is None or known.received_at > trail.received_at:
                continue
            if known.route != trail.route[:-1]:
                yield (
                    f"{Names.called(ref)} recorded another route of the message {trail.id} "
                    f"than {Names.called(sender)}, which sent it"
                )


def _shortened(texts: Iterable[str]) -> Iterator[str]:
    found = list(texts)
    yield from found[:SHOWN]
    if len(found) > SHOWN:
        yield f"and {len(found) - SHOWN} more like the last"


# ---- in words -------------------------------------------------------------------------------


def problem_lines(found: Findings, told: Mapping[Ref, Told], names: Names) -> list[str]:
    """Say what is wrong, a line for each node and origin."""
    blamed = [each for each in found.lacking if not told[each.node].just_started]
    return [
        *_lines(blamed, names, "{node} lacks {what}"),
        *_lines(found.hidden, names, "{node} has given up {what}, which other nodes keep"),
        *_lines(found.unkept, names, "{node} counts as recorded and does not keep {what}"),
        *found.newest,
    ]


def note_lines(found: Findings, told: Mapping[Ref, Told], names: Names) -> list[str]:
    """Say what is worth knowing and no fault."""
    excused: Counter[Ref] = Counter()
    for each in found.lacking:
        if told[each.node].just_started:
            excused[each.node] += intervals.count(list(each.numbers))
    notes = [
        f"{Names.called(ref)} started just now and still lacks {_count(messages)}"
        for ref, messages in excused.items()
    ]
    notes += _lines(found.lost, names, "{node} will never have {what}: no node keeps them any more")
    if found.kept:
        fewest = min(found.kept, key=lambda ref: found.kept[ref])
        most = max(found.kept, key=lambda ref: found.kept[ref])
        less = f"{Names.called(fewest)} keeps the newest {found.kept[fewest]:,}"
        more = f", {Names.called(most)} the newest {found.kept[most]:,}" if most != fewest else ""
        notes.append(f"histories are capped: of {_count(found.messages)} {less}{more}")
    return notes


def headline(found: Findings, asked_all: bool) -> str:
    """Say what was found right, and how much of it was looked at."""
    if not found.nodes:
        return "no node could be asked what it has recorded"
    if not found.messages:
        return "no messages yet"
    where = "every node" if asked_all else f"each of the {found.nodes} nodes that could be asked"
    total = _count(found.messages)
    lost = sum(intervals.count(list(each.numbers)) for each in found.lost)
    exceptions = " except what the notes say" if lost or found.lacking else ""
    if found.whole and not found.kept:
        return f"{total}: each on {where}{exceptions}, once, by a true route"
    compared = "those kept" if found.whole else f"the newest {CHECKED:,} of each node"
    return f"{total}: each recorded by {where}{exceptions}; {compared} once, by a true route"


def _lines(wanting: Iterable[Wanting], names: Names, text: str) -> Iterator[str]:
    by_node: dict[Ref, list[Wanting]] = {}
    for each in wanting:
        by_node.setdefault(each.node, []).append(each)
    for ref, found in by_node.items():
        for each in found[:SHOWN]:
            yield text.format(node=Names.called(ref), what=_what(each, names))
        if rest := found[SHOWN:]:
            count = sum(intervals.count(list(each.numbers)) for each in rest)
            what = f"{_count(count)} of {len(rest)} other origins"
            yield text.format(node=Names.called(ref), what=what)


def _what(wanting: Wanting, names: Names) -> str:
    numbers = list(wanting.numbers)
    origin, incarnation = wanting.key
    runs = [
        f"{first}" if end == first + 1 else f"{first}-{end - 1}"
        for first, end in intervals.pairs(numbers)
    ]
    more = f" and {len(runs) - SHOWN_RANGES} ranges more" if len(runs) > SHOWN_RANGES else ""
    word = "number" if intervals.count(numbers) == 1 else "numbers"
    return (
        f"{_count(intervals.count(numbers))} of {names.label(origin)}, {word} "
        f"{', '.join(runs[:SHOWN_RANGES])}{more} (from {origin}.{incarnation}.{numbers[0]})"
    )


def _count(messages: int) -> str:
    return f"{messages:,} message{'' if messages == 1 else 's'}"
