"""Break a running network on purpose, and mend it, with a look at the ring before and after.

The nodes that can still reach each other ought to become a ring of their own: all of them except
those that are killed or frozen, or each side of a partition. A command waits for that, and judges
it by the doctor's checks. Faults are written down before they are made, so that healing finds them
even if the command is interrupted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection

import attrs

from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import NotConverged, TestbedError
from chordnet.survey.examination import examine_messages
from chordnet.survey.findings import Fact, Finding
from chordnet.survey.observer import Observer
from chordnet.survey.report import Report
from chordnet.survey.verdict import ring_problems
from chordnet.survey.waiting import gather, pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.convergence import wait_converged
from chordnet.testbed.actions.lifecycle import bring_up, check_ports
from chordnet.testbed.actions.store import Settle, wait_for_store
from chordnet.testbed.base.faults import Faults, load_faults, save_faults
from chordnet.testbed.base.lock import locked

RETRY_S = 0.2

Change = Callable[[Faults, NetworkDescription], Faults]
"""Returns the faults as they are to be, from those in force."""


@attrs.frozen
class Part:
    """Nodes that ought to be one ring, and the doctor's findings about them."""

    nodes: tuple[int, ...]
    messages: int
    """Different messages that they have recorded."""
    problems: tuple[Fact, ...]


@attrs.frozen(kw_only=True)
class Acted:
    """The outcome of a verb."""

    before: tuple[Part, ...]
    after: tuple[Part, ...]
    seconds: float
    """Time until every part was right, or was given up."""
    faults: Faults
    """The faults in force now."""

    @property
    def right(self) -> bool:
        """Whether every part is one right ring."""
        return not any(part.problems for part in self.after)


async def act(testbed: Testbed, change: Change, timeout: float) -> Acted:
    """Change the faults in force.

    :param timeout: seconds for the nodes to become right rings, and to wait for another command.
    :raises TestbedError: it cannot be done; the faults are as they were before.
    """
    testbed.description()
    async with locked(testbed.reactor, testbed.home.lock_path, timeout):
        network = testbed.description()
        running = await testbed.running(network)
        old = load_faults(testbed.home).with_running(running)
        old = old.as_seen(await testbed.engine(network.engine).conditions())
        new = change(old, network)
        observer = testbed.observer(network)
        try:
            before = await _look(testbed, observer, network, old.parts(running))
            began = testbed.reactor.seconds()
            await _apply(testbed, network, running, old, new, timeout)
            network = testbed.description()
            parts = new.parts(await testbed.engine(network.engine).running())
            after = await _settle(testbed, observer, network, parts, timeout)
        finally:
            observer.close()
        return Acted(
            before=before, after=after, seconds=testbed.reactor.seconds() - began, faults=new
        )


def kill(numbers: Collection[int]) -> Change:
    """Return the change that ends nodes without warning."""
    return lambda old, _: attrs.evolve(
        old, killed=old.killed | set(numbers), frozen=old.frozen - set(numbers)
    )


def freeze(numbers: Collection[int]) -> Change:
    """Return the change that stops nodes where they are."""
    return lambda old, _: attrs.evolve(old, frozen=old.frozen | set(numbers))


def thaw(numbers: Collection[int]) -> Change:
    """Return the change that lets frozen nodes go on; all of them if no node is named."""
    return lambda old, _: attrs.evolve(old, frozen=old.frozen - set(numbers or old.frozen))


def heal(_old: Faults, _network: NetworkDescription) -> Faults:
    """Return no faults at all: the change that undoes everything."""
    return Faults()


# ---- doing it -------------------------------------------------------------------------------


async def _apply(
    testbed: Testbed,
    network: NetworkDescription,
    running: frozenset[int],
    old: Faults,
    new: Faults,
    timeout: float,
) -> None:
    for number in sorted((new.killed - old.killed) | (new.frozen - old.frozen)):
        if number not in running:
            raise await testbed.stopped(network, number)
    save_faults(testbed.home, new)
    try:
        await _shape(testbed, network, running, old, new)
    except TestbedError:
        await _shape(testbed, network, running, new, old)
        save_faults(testbed.home, old)
        raise
    engine = testbed.engine(network.engine)
    if thawed := old.frozen - new.frozen:
        await engine.thaw(thawed)
    if off := old.off - new.off:
        await engine.connect(off)
    if frozen := new.frozen - old.frozen:
        await engine.freeze(frozen)
    if killed := new.killed - old.killed:
        testbed.home.save(network.with_removed(*killed))
        await engine.kill(killed)
    if back := old.killed - new.killed:
        await _bring_back(testbed, back, timeout)


async def _shape(
    testbed: Testbed,
    network: NetworkDescription,
    running: frozenset[int],
    old: Faults,
    new: Faults,
) -> None:
    everybody = network.numbers
    before = {n: old.line(n, everybody) for n in running}
    lines = {n: new.line(n, everybody) for n in running}
    # A node that was restarted has lost the faults of its line.
    changed = {n: line for n, line in lines.items() if line != before[n] or not line.sound}
    if changed:
        await testbed.engine(network.engine).shape(changed)


async def _bring_back(testbed: Testbed, numbers: Collection[int], timeout: float) -> None:
    network = testbed.description()
    numbers = set(numbers) & set(network.numbers)
    if numbers:
        wanted = network.with_wanted(*numbers)
        check_ports(testbed, wanted, numbers)
        await testbed.engine(network.engine).prepare(wanted, testbed.say)
        await bring_up(testbed, wanted, numbers, timeout, Settle.CAUGHT_UP)


# ---- looking at it --------------------------------------------------------------------------


async def _settle(
    testbed: Testbed,
    observer: Observer,
    network: NetworkDescription,
    parts: list[frozenset[int]],
    timeout: float,
) -> tuple[Part, ...]:
    deadline = testbed.reactor.seconds() + timeout

    async def become_right(part: frozenset[int]) -> None:
        with contextlib.suppress(NotConverged):  # the look below finds what is wrong
            ring = await wait_converged(testbed.reactor, network, observer, part, timeout=timeout)
            await wait_for_store(testbed, network, observer, part, ring, deadline)

    await gather(become_right(part) for part in parts)
    while True:
        seen = await _look(testbed, observer, network, parts)
        right = not any(part.problems for part in seen)
        if right or testbed.reactor.seconds() >= deadline:
            return seen
        await pause(testbed.reactor, RETRY_S)


async def _look(
    testbed: Testbed, observer: Observer, network: NetworkDescription, parts: list[frozenset[int]]
) -> tuple[Part, ...]:
    return tuple(await gather(_judge(testbed, observer, network, part) for part in parts))


async def _judge(
    testbed: Testbed, observer: Observer, network: NetworkDescription, part: frozenset[int]
) -> Part:
    snapshot = await observer.snapshot(part)
    problems = ring_problems(network, part, snapshot)
    report = Report(network, part, snapshot, tuple(map(Finding, problems)))
    seen = await examine_messages(testbed.reactor, observer, report, report.sides[0])
    return Part(tuple(sorted(part)), seen.messages, (*problems, *seen.problems))
