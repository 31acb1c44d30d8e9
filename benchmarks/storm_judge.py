"""What every node holds after a storm, against what was confirmed, pure."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen

from chordnet.core.base import intervals
from chordnet.core.base.intervals import Intervals
from chordnet.wire.rpc import MessageRecord, NodeHistory

SHOWN = 10
"""Complaints of one kind that are put into words; the rest is counted."""


@frozen
class Entry:
    """One record of one node."""

    id: str
    body: str
    route: tuple[str, ...]
    """Identifiers of the nodes, from the origin to this one."""
    kind: str
    """Of the last edge."""


@frozen
class Verdict:
    """What is wrong, one line each, and some counts."""

    messages: int
    records: int
    repaired: int
    """Records whose last edge is one of a repair."""
    caught_up: int
    unconfirmed: int
    """Messages that every node has and of which no sender was told."""
    counts: Mapping[str, int] = field(factory=dict)
    """How many complaints of each kind; empty when all is well."""
    complaints: tuple[str, ...] = ()


def entries(records: Iterable[MessageRecord]) -> list[Entry]:
    """Return records without what is not judged. Equal strings are kept once: there are many."""
    return [
        Entry(
            sys.intern(each.id), sys.intern(each.body),
            tuple(sys.intern(hop.id) for hop in each.route), sys.intern(each.route[-1].kind),
        )
        for each in records
    ]  # fmt: skip


def judge(
    confirmed: Mapping[str, str],
    logs: Mapping[int, Sequence[Entry]],
    identifiers: Mapping[int, str],
) -> Verdict:
    """Compare what was confirmed with the logs of all nodes.

    Every confirmed message has to be in every log once, with its body; every other message in all
    logs or in none. Every route has to lead from the message's origin to the node, over a node that
    recorded it with the same route up to itself. (What a node recorded whose log is not among them
    is not known.)

    Args:
        confirmed: The body of each message, by its id.
        logs: What each node has recorded.
        identifiers: The identifier of each node.
    """
    by_node = {identifiers[number]: {e.id: e for e in log} for number, log in logs.items()}
    bodies = {e.id: e.body for log in logs.values() for e in log} | dict(confirmed)
    counts: Counter[str] = Counter()
    complaints: list[str] = []

    def complain(kind: str, text: str) -> None:
        counts[kind] += 1
        if counts[kind] <= SHOWN:
            complaints.append(f"{kind}: {text}")

    for number, log in logs.items():
        held = Counter(entry.id for entry in log)
        for key in bodies:
            if key not in held:
                kind = "missing" if key in confirmed else "not everywhere"
                complain(kind, f"Node {number} lacks {bodies[key]!r} ({key})")
            elif held[key] > 1:
                complain("twice", f"Node {number} has {bodies[key]!r} ({key}) {held[key]} times")
        for entry in log:
            if entry.body != bodies[entry.id]:
                complain("body", f"Node {number} has {entry.body!r} as {entry.id}")
            fault = _untrue(entry, identifiers[number], by_node)
            if fault:
                complain("route", f"Node {number}, {entry.body!r} ({entry.id}): {fault}")
    kinds = Counter(entry.kind for log in logs.values() for entry in log)
    return Verdict(
        messages=len(bodies),
        records=kinds.total(),
        repaired=sum(kinds[kind] for kind in ("reassign", "extend", "backfill")),
        caught_up=kinds["caught_up"],
        unconfirmed=len(bodies) - len(confirmed),
        counts=dict(counts),
        complaints=tuple(complaints),
    )


def lacking(
    confirmed: Iterable[str],
    logs: Mapping[int, Sequence[Entry]],
    histories: Mapping[int, NodeHistory],
) -> list[str]:
    """Say which numbers each node lacks, and what it says of them itself."""
    lines = []
    for number, log in logs.items():
        held = {entry.id for entry in log}
        absent: dict[tuple[str, int], Intervals] = {}
        for key in confirmed:
            if key not in held:
                origin, life, sequence = key.split(".")
                numbers = absent.setdefault((origin, int(life)), [])
                intervals.add(numbers, int(sequence), int(sequence) + 1)
        said = {(each.origin, each.incarnation): each for each in histories[number].origins}
        for (origin, life), numbers in absent.items():
            told = said.get((origin, life))
            known, lost = (told.known, told.lost) if told is not None else ([], [])
            lines.append(
                f"Node {number} lacks {intervals.count(numbers)} of {origin[:8]}.{life}:"
                f" {_runs(numbers)}; it says: known {_runs(known)}, given up {_runs(lost)}"
            )
    return lines


def differing(
    confirmed: Mapping[str, str],
    recorded: Mapping[str, int],
    logs: Mapping[int, Sequence[Entry]],
    identifiers: Mapping[int, str],
) -> list[str]:
    """Say more of bodies and routes that are wrong: what was confirmed, and both routes.

    Args:
        confirmed: The body of each message, by its id.
        recorded: How many nodes had recorded each, by its receipt.
        logs: What each node has recorded.
        identifiers: The identifier of each node.
    """
    by_node = {identifiers[number]: {e.id: e for e in log} for number, log in logs.items()}
    numbers = {identifier: str(number) for number, identifier in identifiers.items()}
    lines = []

    def over(entry: Entry) -> str:
        return "-".join(numbers.get(each, each[:8]) for each in entry.route) + f" {entry.kind}"

    for number, log in logs.items():
        for entry in log:
            if entry.body != confirmed[entry.id]:
                nodes = recorded[entry.id]
                lines.append(f"Node {number}, {entry.body!r} over {over(entry)}: {nodes} confirmed")
            elif "another route" in _untrue(entry, identifiers[number], by_node):
                there = over(by_node[entry.route[-2]][entry.id])
                lines.append(f"Node {number}, {entry.body!r} over {over(entry)}: there {there}")
    return lines[: 2 * SHOWN]


def _runs(numbers: Sequence[int]) -> str:
    runs = [f"{first}-{end - 1}" for first, end in intervals.pairs(list(numbers))]
    more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
    return ", ".join(runs[:SHOWN]) + more or "none"


def _untrue(entry: Entry, here: str, by_node: Mapping[str, Mapping[str, Entry]]) -> str:
    """Return what is wrong with a route; empty if nothing."""
    route = entry.route
    if not route or route[-1] != here or route[0] != entry.id.partition(".")[0]:
        return "the route does not lead from the origin to here"
    if len(route) == 1:
        return "" if entry.kind == "origin" else f"it begins with an edge ({entry.kind})"
    if route[-2] not in by_node:
        return ""
    parent = by_node[route[-2]].get(entry.id)
    if parent is None:
        return "the node before has not recorded it"
    return "" if parent.route == route[:-1] else "the node before recorded another route"
