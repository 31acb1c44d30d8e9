"""Take one node away from a running network, or bring one back."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import NetworkNotRunning, NodeStopped
from chordnet.survey.observer import Observer
from chordnet.survey.waiting import gather
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.convergence import wait_converged
from chordnet.testbed.actions.lifecycle import Started, bring_up, check_ports, check_size
from chordnet.testbed.actions.store import Settle, give_up_slots, wait_for_store
from chordnet.testbed.base.engine import Engine
from chordnet.testbed.base.lock import locked


@attrs.frozen(kw_only=True)
class Removed:
    """The outcome of removing a node."""

    node: int
    killed: bool
    members: int
    """Nodes in the ring that is left."""
    seconds: float
    """From the order to leave until the ring and every finger of the others were right."""
    slots: int = 0
    """Slots of the store that it has handed over before."""


async def remove_node(
    testbed: Testbed, number: int, *, kill: bool, timeout: float, wait: bool = True
) -> Removed:
    """Stop one node and wait until the others have repaired ring and fingers.

    :param kill: end the node without letting it leave in order.
    :param wait: let it first give its slots of the store to others, unless it is killed or is
        the last one, and wait until the store of the others is in step again.
    :raises TestbedError: the node does not run, or the others did not repair the ring in time, or
        did not take its slots; then it is not removed.
    """
    network = testbed.checked(number)
    async with locked(testbed.reactor, testbed.home.lock_path, timeout):
        network = testbed.checked(number)
        running = await testbed.running(network)
        if number not in running:
            raise await testbed.stopped(network, number)
        observer = testbed.observer(network)
        try:
            # Ask beforehand, so that connections exist when the time is measured. A node that is
            # silent or has failed already does not have to be right afterwards.
            seen = await observer.statuses(running - {number})
            unwell = (await testbed.conditions(network, running)).keys()
            others = set(seen.statuses) - seen.failed - unwell
            slots = 0
            if wait and not kill and others:
                until = testbed.reactor.seconds() + timeout
                slots = await give_up_slots(testbed, network, observer, number, running, until)
            testbed.home.save(network.with_removed(number))
            until = testbed.reactor.seconds() + timeout
            settle = Settle.IN_STEP if wait else Settle.NOTHING
            engine = testbed.engine(network.engine)
            repaired, _ = await gather(
                [
                    _repaired(testbed, network, observer, others, until, settle),
                    _end(testbed, engine, number, kill),
                ]
            )
            assert repaired is not None
            members, seconds = repaired
            return Removed(node=number, killed=kill, members=members, seconds=seconds, slots=slots)
        finally:
            observer.close()


async def _repaired(
    testbed: Testbed,
    network: NetworkDescription,
    observer: Observer,
    others: Collection[int],
    until: float,
    settle: Settle,
) -> tuple[int, float]:
    """Wait until ring and store of the others are right again.

    :returns: how many nodes the ring has, and after how many seconds it was right.
    """
    if not others:
        return 0, 0.0
    began = testbed.reactor.seconds()
    snapshot = await wait_converged(
        testbed.reactor, network, observer, others, timeout=until - began, watch=testbed.watch
    )
    seconds = testbed.reactor.seconds() - began
    await wait_for_store(testbed, network, observer, others, snapshot, until, settle)
    return len(snapshot.statuses) + len(snapshot.visitors), seconds


async def _end(testbed: Testbed, engine: Engine, number: int, kill: bool) -> None:
    if kill:
        await engine.kill([number])
    elif await engine.stop([number]):
        testbed.say(f"Node {number} took too long to leave and was killed")


async def add_node(
    testbed: Testbed, number: int | None, timeout: float, settle: Settle = Settle.IN_STEP
) -> tuple[int, Started]:
    """Bring a stopped node back, or add the next number, and wait for one correct ring.

    :param settle: what is waited for of the store.

    :returns: the node's number and the outcome of its start.
    :raises TestbedError: the node runs already, or could not become part of the ring.
    """
    network = testbed.description() if number is None else testbed.checked(number)
    async with locked(testbed.reactor, testbed.home.lock_path, timeout):
        network = testbed.description()
        running = await testbed.engine(network.engine).running()
        # The last node of a network may come back; a network that was stopped has to be started.
        if not running and (number is None or network.stopped):
            raise NetworkNotRunning(network.name)
        wanted = network.size + 1 if number is None else number
        if wanted in running:
            conditions = await testbed.conditions(network, [wanted])
            if wanted in conditions:
                raise NodeStopped(conditions[wanted].line(wanted, testbed.command))
            raise NodeStopped(f"Node {wanted} is running already")
        grown = network.with_wanted(wanted)
        check_size(grown)
        check_ports(testbed, grown, [wanted], fixed=True)
        await testbed.engine(network.engine).prepare(grown, testbed.say)
        return wanted, await bring_up(testbed, grown, [wanted], timeout, settle)
