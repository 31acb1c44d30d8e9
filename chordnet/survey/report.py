"""The state of a whole network: what every node says of itself, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from chordnet.survey.conditions import HAS_STOPPED, Condition
from chordnet.survey.description import NetworkDescription
from chordnet.survey.findings import Finding, Unwell
from chordnet.survey.observer import NoAnswer, Observer, Snapshot
from chordnet.survey.verdict import Names, ring_problems
from chordnet.survey.waiting import gather
from chordnet.wire.rpc import MessageRecord, NodeStatus


@attrs.frozen
class Side:
    """Nodes that ought to be one ring: all that run, or one side of a partition made on purpose."""

    numbers: frozenset[int]
    snapshot: Snapshot


@attrs.frozen
class Report:
    """Everything that was seen of a network at one moment."""

    network: NetworkDescription
    running: frozenset[int]
    snapshot: Snapshot
    problems: tuple[Finding, ...]
    parted: tuple[Side, ...] = ()
    """The sides of a partition; empty if there is none."""
    unwell: frozenset[int] = frozenset()
    """Nodes that run and, as the engine knows, can neither answer nor be members."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """The nodes that ought to be a ring each."""
        return self.parted or (Side(self.running - self.unwell, self.snapshot),)

    def state(self, number: int) -> str:
        """Return the state that a node reports, or ``stopped`` or ``unreachable``."""
        if number not in self.running:
            return "stopped"
        status = self.snapshot.statuses.get(number)
        return "unreachable" if status is None else status.state

    @property
    def names(self) -> Names:
        """Names for every identifier that was seen."""
        names = Names(self.network)
        for visitor in self.snapshot.visitors.values():
            names.meet(visitor.node if isinstance(visitor, NodeStatus) else visitor)
        return names


async def survey(
    observer: Observer,
    network: NetworkDescription,
    running: frozenset[int],
    conditions: Mapping[int, Condition],
    parts: Sequence[frozenset[int]],
) -> Report:
    """Ask nodes, and judge the ring that they form, or that of each side of a partition.

    :param running: the nodes that run.
    :param conditions: what is known to be wrong with some of them. One that runs and is frozen
        or without a network can neither answer nor be a member.
    :param parts: the nodes to ask, which ought to be one ring each.
    """
    problems = [Finding(each) for each in _unwell(network, running, conditions)]
    snapshots = await gather(observer.snapshot(part) for part in parts)
    sides = tuple(Side(part, seen) for part, seen in zip(parts, snapshots, strict=True))
    for side in sides:
        found = ring_problems(network, side.numbers, side.snapshot)
        problems += [Finding(each, side_of(sides, side)) for each in found]
    parted = sides if len(sides) > 1 else ()
    unwell = running & conditions.keys()
    together = Snapshot(
        statuses={n: status for seen in snapshots for n, status in sorted(seen.statuses.items())},
        silent={n: why for seen in snapshots for n, why in seen.silent.items()},
        visitors={i: visitor for seen in snapshots for i, visitor in seen.visitors.items()},
    )
    return Report(network, running, together, tuple(problems), parted, unwell)


def side_of(sides: Sequence[Side], side: Side) -> frozenset[int] | None:
    """Return the nodes of one side of a partition; None if there is only one."""
    return side.numbers if len(sides) > 1 else None


def _unwell(
    network: NetworkDescription,
    running: frozenset[int],
    conditions: Mapping[int, Condition],
) -> Iterator[Unwell]:
    """Yield what is wrong with each node that ought to be in the ring and cannot be."""
    for number in network.numbers:
        if number in running and number in conditions:
            yield Unwell(number, conditions[number], network.name)
        elif number not in running and number not in network.removed:
            yield Unwell(number, conditions.get(number, HAS_STOPPED), network.name)


# ---- message logs ------------------------------------------------------------------------------


async def read_logs(
    observer: Observer, numbers: Sequence[int], limit: int = 0
) -> dict[int, list[MessageRecord]]:
    """Return what each node has recorded (last); a node that does not answer is left out."""
    answers = await gather(observer.messages(number, limit) for number in numbers)
    return {
        number: answer
        for number, answer in zip(numbers, answers, strict=True)
        if not isinstance(answer, NoAnswer)
    }


async def read_message(
    observer: Observer, report: Report, message: str
) -> dict[int | str, list[MessageRecord]]:
    """Return what each node and each visitor has recorded of one message.

    :param message: its id, or ``last`` for the one that was sent last.
    """
    nodes: dict[int | str, str] = {
        number: report.network.address(number) for number in sorted(report.snapshot.statuses)
    }
    guests = [v.node for v in report.snapshot.visitors.values() if isinstance(v, NodeStatus)]
    nodes |= {guest.name: guest.address for guest in guests}
    if message == "last":
        answers = await gather(observer.messages_at(where, 1) for where in nodes.values())
        newest = [each for log in answers if not isinstance(log, NoAnswer) for each in log]
        if not newest:
            return {}
        message = max(newest, key=lambda record: record.created).id
    traces = await gather(observer.trace(where, message) for where in nodes.values())
    return {
        ref: [trace.record]
        for ref, trace in zip(nodes, traces, strict=True)
        if not isinstance(trace, NoAnswer) and trace.record is not None
    }
