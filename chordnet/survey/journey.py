"""The way that a message took, put together from what every node knows of it.

A node's recorded route says by which edge the message came to it first; its trace says what else
happened there: duplicates, repeated sendings, dead delegates, repairs. Times are from the nodes'
own wall clocks, in milliseconds since the origin recorded the message, and as accurate as those
clocks agree. The result is compared with the tree that the present fingers predict.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import attrs

from chordnet.core.base import intervals
from chordnet.core.base.intervals import Intervals
from chordnet.judge.explain import Pointers, Prediction, predict
from chordnet.survey.errors import TestbedError, command
from chordnet.survey.observer import NoAnswer, Observer
from chordnet.survey.report import Report, read_logs
from chordnet.survey.verdict import Names
from chordnet.survey.waiting import gather
from chordnet.wire.rpc import MessageRecord, MessageTrace, NodeStatus

Ref = int | str
"""A node's number, or the name of any other node."""

HISTORY_PATIENCE_S = 10.0
"""How long one node may take to say which messages it keeps."""


@attrs.frozen
class Leg:
    """How a message came to a node first."""

    node: Ref
    parent: Ref | None
    """None for the origin."""
    kind: str
    depth: int
    """Edges from the origin."""
    ms: float | None = None
    """Since the origin recorded it; None if the node cannot be asked any more (or in advance)."""


@attrs.frozen
class Incident:
    """What else happened at a node."""

    node: Ref
    what: str
    """duplicate, resent, lost_child, repaired or gave_up."""
    peer: Ref
    ms: float


class Cause(enum.Enum):
    """How it is known on which edge a message got lost."""

    LOST_CHILD = "lost_child"
    """The sender saw the node die."""
    GAVE_UP = "gave_up"
    """The sender gave up on the node."""
    PREDICTED = "predicted"
    """No sender reports it; the fingers predict the edge."""
    NO_FINGER = "no_finger"
    """No finger leads to the node as the fingers are now."""


_REPORTED = frozenset({Cause.LOST_CHILD.value, Cause.GAVE_UP.value})


@attrs.frozen
class Missed:
    """A member that has not recorded the message."""

    node: Ref
    sender: Ref | None
    """From which it should have come; None if no finger leads to the node."""
    cause: Cause

    @property
    def edge(self) -> tuple[Ref, Ref] | None:
        """The edge on which it got lost."""
        return None if self.sender is None else (self.sender, self.node)

    @property
    def why(self) -> str:
        """The cause in words."""
        match self.cause:
            case Cause.PREDICTED:
                return "the predicted edge"
            case Cause.NO_FINGER:
                return "no finger leads to it"
        assert self.sender is not None
        did = "saw the death of" if self.cause is Cause.LOST_CHILD else "gave up on"
        return f"{label(self.sender)} {did} it"


@attrs.frozen
class Difference:
    """A node that the message reached by another way than the present fingers predict."""

    node: Ref
    travelled: Ref | None
    predicted: Ref | None
    """The node before it; None if no way is predicted."""


@attrs.frozen
class Journey:
    """Everything that is known of a message's way, or predicted of one."""

    message: str
    body: str
    origin: Ref
    legs: Mapping[Ref, Leg]
    """By node, in the order of depth and time."""
    incidents: Sequence[Incident] = ()
    missed: Sequence[Missed] = ()
    differences: Sequence[Difference] = ()
    gone: frozenset[Ref] = frozenset()
    """Nodes on the way that are not in the ring any more."""

    @property
    def recorded(self) -> int:
        """Members that have it."""
        return len(self.legs.keys() - self.gone)

    @property
    def depth(self) -> int:
        """Edges from the origin to the deepest node."""
        return max(leg.depth for leg in self.legs.values())

    def route(self, node: Ref) -> list[Ref]:
        """Return the way to ``node``; it begins elsewhere than at the origin if a part is lost."""
        way: list[Ref] = []
        here: Ref | None = node
        while here is not None and here not in way:
            way.append(here)
            here = self.legs[here].parent if here in self.legs else None
        return way[::-1]


# ---- what the nodes say ---------------------------------------------------------------------


def pointers(report: Report) -> dict[int, Pointers]:
    """Return every member's pointers, as it reports them."""
    found = {}
    for status in _members(report):
        before = status.predecessor
        identifier = int(status.node.id, 16)
        after = [int(node.id, 16) for node in status.successors[:1]]
        found[identifier] = Pointers(
            identifier,
            int(before.id, 16) if before is not None else None,
            after[0] if after and after[0] != identifier else None,
            frozenset(int(finger.node.id, 16) for finger in status.fingers),
        )
    return found


def _members(report: Report) -> list[NodeStatus]:
    visitors = report.snapshot.visitors.values()
    answers = [*report.snapshot.statuses.values(), *visitors]
    return [s for s in answers if isinstance(s, NodeStatus) and s.state == "active"]


async def resolve(observer: Observer, report: Report, text: str) -> str:
    """Return the whole id that ``text`` stands for: ``last``, the id, its beginning or its end.

    :raises TestbedError: it stands for none or for several.
    """
    numbers = sorted(report.snapshot.statuses)
    if text == "last":
        newest = await read_logs(observer, numbers, 1)
        records = [record for log in newest.values() for record in log]
        if not records:
            raise TestbedError("no node has recorded a message yet")
        return max(records, key=lambda record: record.created).id
    if _is_whole(report, text):
        return text
    fits = await _fitting(observer, report, text) if text else set()
    if len(fits) != 1:
        many = "several messages have an id" if fits else "no message has an id"
        raise TestbedError(
            f"{many} that begins or ends with '{text}'; "
            f"ids are shown by: {command('get-messages NODE --json', report.network.name)}"
        )
    return fits.pop()


async def _fitting(observer: Observer, report: Report, text: str) -> set[str]:
    """Return the ids of kept messages that begin or end with ``text``, two of them at most.

    They follow from the numbers that the nodes say they keep; no message is read.
    """
    addresses = [report.network.address(number) for number in sorted(report.snapshot.statuses)]
    told = await gather(observer.history(where, HISTORY_PATIENCE_S) for where in addresses)
    kept: dict[str, Intervals] = {}
    for history in told:
        for each in history.origins if not isinstance(history, NoAnswer) else []:
            together = kept.setdefault(f"{each.origin}.{each.incarnation}", [])
            for first, end in intervals.pairs(each.kept):
                intervals.add(together, first, end)
    ids = (
        f"{life}.{number}"
        for life, bounds in kept.items()
        for first, end in intervals.pairs(bounds)
        for number in range(first, end)
    )
    return set(islice((i for i in ids if i.startswith(text) or i.endswith(text)), 2))


def _is_whole(report: Report, text: str) -> bool:
    origin, *numbers = text.split(".")
    digits = len(report.network.space.hex(0))
    return len(origin) == digits and len(numbers) == 2 and all(n.isdigit() for n in numbers)


async def follow_back(observer: Observer, report: Report, message: str) -> Journey:
    """Ask every member for its part of a message's way and put it together.

    :raises TestbedError: no member has recorded it.
    """
    members = _members(report)
    answers = await gather(observer.trace(status.node.address, message) for status in members)
    names = report.names
    traces = {
        names.ref(status.node.id, status.node.name): answer
        for status, answer in zip(members, answers, strict=True)
        if not isinstance(answer, NoAnswer)
    }
    return put_together(report, message, traces)


def put_together(report: Report, message: str, traces: Mapping[Ref, MessageTrace]) -> Journey:
    """Return the way of ``message`` from each node's part of it.

    :raises TestbedError: no node has recorded it.
    """
    records = {ref: trace.record for ref, trace in traces.items() if trace.record is not None}
    if not records:
        raise TestbedError(
            f"no node has recorded a message with the id '{message}'; "
            f"ids are shown by: {command('get-messages NODE --json', report.network.name)}"
        )
    names = report.names
    some = next(iter(records.values()))
    origin = names.ref(some.route[0].id, some.route[0].name)
    start = records[origin].received_at if origin in records else some.created
    legs = _legs(names, records, start)
    incidents = sorted(
        (
            Incident(ref, e.what, names.ref(e.peer.id, e.peer.name), 1000 * (e.at - start))
            for ref, trace in traces.items()
            for e in trace.events
        ),
        key=lambda incident: incident.ms,
    )
    told = _prediction(report, int(some.route[0].id, 16))
    before = _predicted_parents(names, report, told)
    return Journey(
        message,
        some.body,
        origin,
        legs,
        incidents,
        missed=tuple(_missed(traces, records, incidents, before)),
        differences=tuple(_differences(legs, records, before, origin)) if told else (),
        gone=frozenset(legs.keys() - traces.keys()),
    )


def _legs(names: Names, records: Mapping[Ref, MessageRecord], start: float) -> dict[Ref, Leg]:
    legs: dict[Ref, Leg] = {}
    for ref, record in records.items():
        route = [names.ref(hop.id, hop.name) for hop in record.route]
        parent = route[-2] if len(route) > 1 else None
        ms = 1000 * (record.received_at - start)
        legs[ref] = Leg(ref, parent, record.route[-1].kind, len(route) - 1, ms)
    for record in records.values():  # nodes on the way that cannot be asked any more
        route = [names.ref(hop.id, hop.name) for hop in record.route]
        for depth, (ref, hop) in enumerate(zip(route, record.route, strict=True)):
            parent = route[depth - 1] if depth else None
            legs.setdefault(ref, Leg(ref, parent, hop.kind, depth))
    ordered = sorted(legs.values(), key=lambda leg: (leg.depth, leg.ms or 0.0))
    return {leg.node: leg for leg in ordered}


# ---- beside what is predicted -----------------------------------------------------------------


def _prediction(report: Report, origin: int) -> Prediction | None:
    members = pointers(report)
    return predict(origin, members, report.network.space) if origin in members else None


def _predicted_parents(names: Names, report: Report, told: Prediction | None) -> dict[Ref, Ref]:
    if told is None:
        return {}
    space = report.network.space
    return {
        names.ref(space.hex(edge.receiver)): names.ref(space.hex(edge.sender))
        for edge in told.edges
    }


def _missed(
    traces: Mapping[Ref, MessageTrace],
    records: Mapping[Ref, MessageRecord],
    incidents: Sequence[Incident],
    before: Mapping[Ref, Ref],
) -> Iterator[Missed]:
    for ref in traces:
        if ref in records:
            continue
        blamed = next((i for i in incidents if i.peer == ref and i.what in _REPORTED), None)
        if blamed is not None:
            yield Missed(ref, blamed.node, Cause(blamed.what))
        elif ref in before:
            yield Missed(ref, before[ref], Cause.PREDICTED)
        else:
            yield Missed(ref, None, Cause.NO_FINGER)


def label(ref: Ref) -> str:
    """Return ``Node 4``, or the name of any other node."""
    return f"Node {ref}" if isinstance(ref, int) else ref


def _differences(
    legs: Mapping[Ref, Leg],
    records: Mapping[Ref, MessageRecord],
    before: Mapping[Ref, Ref],
    origin: Ref,
) -> Iterator[Difference]:
    for ref, leg in legs.items():
        predicted = before.get(ref)
        if ref in records and ref != origin and leg.parent != predicted:
            yield Difference(ref, leg.parent, predicted)


def foretell(report: Report, number: int) -> tuple[Journey, Prediction]:
    """Return the way that a message sent from Node ``number`` would take now.

    :raises TestbedError: the node is not in the ring.
    """
    told = _prediction(report, report.network.identifier(number))
    if told is None:
        see = command("status", report.network.name)
        raise TestbedError(f"Node {number} is not in the ring; see: {see}")
    names, space = report.names, report.network.space

    def ref(identifier: int) -> Ref:
        return names.ref(space.hex(identifier))

    legs: dict[Ref, Leg] = {number: Leg(number, None, "origin", 0)}
    for edge in told.edges:
        child = ref(edge.receiver)
        legs[child] = Leg(child, ref(edge.sender), edge.kind.name.lower(), edge.depth)
    missed = [Missed(ref(node), None, Cause.NO_FINGER) for node in sorted(told.unreached)]
    gone = frozenset(ref(node) for node in told.unknown)
    return Journey("", "", number, legs, missed=missed, gone=gone), told
