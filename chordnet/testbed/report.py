"""The state of a whole network: what every node says of itself, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from chordnet.testbed.context import Testbed
from chordnet.testbed.description import NetworkDescription
from chordnet.testbed.observer import NoAnswer, Observer, Snapshot
from chordnet.testbed.verdict import Names, ring_problems
from chordnet.testbed.waiting import gather, pause
from chordnet.wire.rpc import MessageRecord, NodeStatus

SETTLE_S = 0.5
"""A message found missing may be on its way: it is looked for again after this."""
CATCH_UP_S = 10.0
"""A node that started less than this ago may still lack messages from before its start."""


@attrs.frozen
class Report:
    """Everything that was seen of a network at one moment."""

    network: NetworkDescription
    running: frozenset[int]
    snapshot: Snapshot
    problems: tuple[str, ...]

    def state(self, number: int) -> str:
        """Return a node's own word for its state, or ``stopped`` or ``unreachable``."""
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


async def look(testbed: Testbed, observer: Observer, network: NetworkDescription) -> Report:
    """Ask every node that runs, and judge the ring they make.

    :raises NetworkNotRunning: no node runs.
    """
    running = await testbed.running(network)
    snapshot = await observer.snapshot(running)
    problems = [*_absent(testbed, network, running), *ring_problems(network, running, snapshot)]
    return Report(network, running, snapshot, tuple(problems))


def _absent(
    testbed: Testbed, network: NetworkDescription, running: frozenset[int]
) -> Iterator[str]:
    for number in network.numbers:
        if number not in running and number not in network.removed:
            yield (
                f"Node {number} has stopped by itself; bring it back with: "
                f"p2pnet add-node{testbed.option} {number}"
            )


# ---- messages -------------------------------------------------------------------------------

Logs = Mapping[int, Sequence[MessageRecord]]


async def message_problems(
    testbed: Testbed, observer: Observer, report: Report, now: float
) -> tuple[list[str], list[str]]:
    """Check that every node has every message once, and that the recorded routes agree.

    :param now: the wall clock, seconds since 1970.
    :returns: what is wrong, and what is worth knowing: messages older than a node that it lacks.
    """
    numbers = sorted(n for n in report.running if report.state(n) == "active")
    problems, notes = _compare(report, await read_logs(observer, numbers), now)
    if problems:
        await pause(testbed.reactor, SETTLE_S)
        problems, notes = _compare(report, await read_logs(observer, numbers), now)
    return problems, notes


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


async def read_visitors(observer: Observer, report: Report) -> dict[str, list[MessageRecord]]:
    """Return what each visitor has recorded, by its name."""
    names = [v.node for v in report.snapshot.visitors.values() if isinstance(v, NodeStatus)]
    answers = await gather(observer.messages_at(node.address) for node in names)
    return {
        node.name: answer
        for node, answer in zip(names, answers, strict=True)
        if not isinstance(answer, NoAnswer)
    }


def _compare(report: Report, logs: Logs, now: float) -> tuple[list[str], list[str]]:
    messages = {record.id: record for log in logs.values() for record in log}
    problems: list[str] = []
    notes: list[str] = []
    for number, log in logs.items():
        seen = {record.id for record in log}
        problems += _twice(number, log)
        missing = [record for key, record in messages.items() if key not in seen]
        uptime = report.snapshot.statuses[number].uptime
        excused = now - uptime + CATCH_UP_S if uptime < CATCH_UP_S else 0.0
        blamed = [m for m in missing if m.created > excused]
        older = len(missing) - len(blamed)
        problems += [f"Node {number} lacks the message {_shown(m)}" for m in blamed]
        if older:
            notes.append(f"Node {number} started just now and still lacks {_count(older)}")
    return problems + list(_false_routes(report, logs)), notes


def _twice(number: int, log: Sequence[MessageRecord]) -> Iterator[str]:
    seen: set[str] = set()
    for record in log:
        if record.id in seen:
            yield f"Node {number} recorded the message {_shown(record)} twice"
        seen.add(record.id)


def _false_routes(report: Report, logs: Logs) -> Iterator[str]:
    """A route must be the route of the node before, as that node recorded it, and one step more."""
    names = report.names
    kept = {(number, record.id): record for number, log in logs.items() for record in log}
    for number, log in logs.items():
        for record in log:
            route = [hop.id for hop in record.route]
            sender = names.ref(route[-2]) if len(route) > 1 else 0
            known = kept.get((sender, record.id)) if isinstance(sender, int) else None
            # A sender that was restarted since may have got the message back by another way.
            if known is None or known.received_at > record.received_at:
                continue
            if [hop.id for hop in known.route] != route[:-1]:
                yield (
                    f"Node {number} recorded another route of the message {_shown(record)} "
                    f"than Node {sender}, which sent it"
                )


def _shown(record: MessageRecord) -> str:
    body = record.body if len(record.body) <= 20 else record.body[:19] + "…"
    return f"{body!r} ({record.id})"


def _count(messages: int) -> str:
    return f"{messages} message{'s' if messages > 1 else ''}"
