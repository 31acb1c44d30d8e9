"""Restart a whole network: all nodes together, or one after the other so that it stays in use.

A rolling restart asks each node, before it stops it, if every slot that it holds keeps a majority
without it, and waits after its start until the ring is right and the node has caught up. So no key
becomes unavailable and no confirmed write is lost, as long as no other node fails meanwhile.
"""

from __future__ import annotations

import attrs

from chordnet.core.base.errors import Busy
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.store.standing import at_risk, slot_words
from chordnet.survey.verdict import Names
from chordnet.survey.waiting import pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.convergence import Counted
from chordnet.testbed.actions.lifecycle import Wish, bring_up, start_network, stop_network
from chordnet.testbed.base.lock import locked
from chordnet.wire.stores import StoreStanding

PAUSE_S = 0.25
"""Between two questions if a node can be stopped."""
ANSWER_S = 5.0
"""How long it may take to answer."""
ENOUGH = 3
"""With fewer nodes each of them is needed for every slot."""


@attrs.frozen(kw_only=True)
class Restarted:
    """The outcome of a restart."""

    network: NetworkDescription
    nodes: tuple[int, ...]
    """Those that were restarted, in this order."""
    members: int
    """Nodes in the ring."""
    seconds: float
    killed: tuple[int, ...] = ()
    """Those of them that took too long to leave in order."""


async def restart_all(testbed: Testbed, timeout: float) -> Restarted:
    """Stop all nodes and start them again.

    :param timeout: seconds for the nodes to become a ring, and to wait for another command.
    :raises TestbedError: it could not be done.
    """
    network = testbed.description()
    began = testbed.reactor.seconds()
    await testbed.running(network)
    stopped = await stop_network(testbed, purge=False, timeout=timeout)
    wish = Wish(
        nodes=network.size,
        base_port=network.base_port,
        engine=network.engine,
        secured=network.secured,
        advertise=network.advertise,
    )
    started = await start_network(testbed, wish, timeout)
    return Restarted(
        network=started.network,
        nodes=started.started,
        members=started.members,
        seconds=testbed.reactor.seconds() - began,
        killed=stopped.killed,
    )


async def restart_rolling(testbed: Testbed, timeout: float) -> Restarted:
    """Restart all running nodes, one after the other.

    :param timeout: seconds that each node may take to become dispensable, and then to come back.
    :raises TestbedError: a node cannot be stopped, or does not come back; the others run.
    """
    network = testbed.description()
    async with locked(testbed.reactor, testbed.home.lock_path, timeout):
        network = testbed.description()
        numbers = sorted(await testbed.running(network))
        engine = testbed.engine(network.engine)
        conditions = await engine.conditions()
        for number in numbers:
            if number in conditions:
                raise TestbedError(conditions[number].line(number, testbed.command))
        if len(numbers) < ENOUGH:
            raise TestbedError(
                f"with fewer than {ENOUGH} nodes each is needed for every key; to restart them "
                f"together: {testbed.command('restart-network')}"
            )
        await engine.prepare(network, testbed.say)
        began, members, killed = testbed.reactor.seconds(), 0, list[int]()
        for done, number in enumerate(numbers):
            text = f"{done} of {len(numbers)} nodes restarted; next is Node {number}"
            testbed.watch(Counted((done, len(numbers)), text))
            try:
                await _until_dispensable(testbed, network, number, timeout)
                killed += await engine.stop([number])
                members = (await bring_up(testbed, network, [number], timeout)).members
            except TestbedError as problem:
                raise _ended_early(testbed, number, numbers[:done], problem) from problem
        seconds = testbed.reactor.seconds() - began
        return Restarted(
            network=network,
            nodes=tuple(numbers),
            members=members,
            seconds=seconds,
            killed=tuple(killed),
        )


def _ended_early(
    testbed: Testbed, number: int, done: list[int], problem: TestbedError
) -> TestbedError:
    some = f"{len(done)} nodes were" if len(done) != 1 else "1 node was"
    again = testbed.command("restart-network --rolling")
    return TestbedError(
        f"{problem}; {some} restarted before Node {number}, and it can be begun again: {again}",
        problem.details,
    )


async def _until_dispensable(
    testbed: Testbed, network: NetworkDescription, number: int, timeout: float
) -> None:
    """Wait until every slot of a node keeps a majority without it.

    :raises TestbedError: that was not so in time.
    """
    deadline = testbed.reactor.seconds() + timeout
    while True:
        found = await _standing(testbed, number)
        if found is not None and found.can_stop:
            return
        if testbed.reactor.seconds() >= deadline:
            why = "it is busy" if found is None else at_risk(number, found)
            if found is not None and found.slots:
                why += f" ({slot_words(found.slots[0], number, Names(network))})"
            raise TestbedError(
                f"Node {number} was not stopped, since after {timeout:g} s {why}; "
                f"see: {testbed.command('store')}"
            )
        await pause(testbed.reactor, PAUSE_S)


async def _standing(testbed: Testbed, number: int) -> StoreStanding | None:
    try:
        return await testbed.ask(number, lambda client: client.can_stop(), ANSWER_S)
    except Busy:
        return None
