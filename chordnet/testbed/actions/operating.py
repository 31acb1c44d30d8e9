"""What people decide about a store: recover slots, begin one, set one of two aside."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import attrs

from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.findings import Ref, called
from chordnet.survey.observer import NoAnswer, Observer
from chordnet.survey.store.asking import look_at_store
from chordnet.survey.store.merged import Store
from chordnet.survey.waiting import pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.looking import look
from chordnet.wire.stores import SlotRecovery

SLOTS_AT_ONCE = 64
"""Slots of one order to a node."""
ANSWER_S = 3.0
"""How much longer than a recovery its answer is waited for."""
BEGUN_PAUSE_S = 0.1
FOUNDERS = 3


async def see(testbed: Testbed, observer: Observer, network: NetworkDescription) -> Store:
    """Return what all nodes that run say of the store."""
    report = await look(testbed, observer, network)
    visitors = report.snapshot.visitors.values()
    return await look_at_store(observer, network, report.running - report.unwell, visitors)


@attrs.frozen
class Rescue:
    """What came of an order to recover slots."""

    network: NetworkDescription
    coordinator: Ref
    recoveries: tuple[SlotRecovery, ...]


async def recover_slots(
    testbed: Testbed,
    slots: Sequence[int],
    timeout: float,
    *,
    accept_loss: bool,
) -> Rescue:
    """Have a node recover slots, or say what would be lost.

    :param slots: empty: all that have lost their majority.
    :param timeout: seconds for all of it.
    :raises TestbedError: there is no store, or no such slot, or no node does it in time.
    """
    network, reactor = testbed.description(), testbed.reactor
    deadline = reactor.seconds() + timeout
    observer = testbed.observer(network, timeout)
    try:
        seen = await see(testbed, observer, network)
        if not seen.formation:
            raise TestbedError(f"network '{network.name}' has no store of keys; nothing to recover")
        known = {slot.number for slot in seen.slots}
        for slot in slots:
            if slot not in known:
                raise TestbedError(
                    f"there is no slot {slot}; the store has slots 0 to {seen.slot_count - 1}"
                )
        wanted = sorted(set(slots)) or [slot.number for slot in seen.lost]
        coordinator = _coordinator(seen)
        found: list[SlotRecovery] = []
        for first in range(0, len(wanted), SLOTS_AT_ONCE):
            some = wanted[first : first + SLOTS_AT_ONCE]
            left = max(1.0, deadline - reactor.seconds())
            answer = await observer.ask(
                network.address(coordinator),
                lambda client, some=some, left=left: client.recover(  # type: ignore[misc]
                    some, accept_loss=accept_loss, timeout_s=left
                ),
                left + ANSWER_S,
            )
            if isinstance(answer, NoAnswer):
                raise TestbedError(f"{called(coordinator)} cannot recover slots: {answer.why}")
            found += answer
        return Rescue(network, coordinator, tuple(found))
    finally:
        observer.close()


def _coordinator(seen: Store) -> int:
    """Return the node whose knowledge of the slots is newest."""
    newest = {slot.number: (slot.generation, slot.epoch) for slot in seen.slots}
    known: dict[int, int] = {}
    for ref, state in seen.states.items():
        if isinstance(ref, int) and state.formation == seen.formation and not state.failed:
            known[ref] = sum(
                newest.get(each.slot) == (each.generation, each.epoch) for each in state.slots
            )
    if not known:
        raise TestbedError("no node of the store answers; nothing can be recovered")
    return max(sorted(known), key=known.__getitem__)


@attrs.frozen
class Begun:
    """A store that has begun."""

    formation: str
    founders: tuple[Ref, ...]


async def begin_store(testbed: Testbed, numbers: Collection[int], timeout: float) -> Begun:
    """Have nodes begin a store together, and wait until all of them belong to it.

    :param numbers: the founders; none: the first three that run and can hold keys.
    :raises TestbedError: there is a store already, or a founder refuses, or it does not begin in
        time.
    """
    network, reactor = testbed.description(), testbed.reactor
    deadline = reactor.seconds() + timeout
    observer = testbed.observer(network, timeout)
    try:
        seen = await see(testbed, observer, network)
        if seen.formation:
            raise TestbedError(
                f"network '{network.name}' has a store already, {seen.formation[:8]};"
                f" see: {testbed.command('store')}"
            )
        able = [ref for ref, state in seen.states.items() if isinstance(ref, int) and state.seat]
        chosen = sorted(set(numbers)) or sorted(able)[:FOUNDERS]
        if not chosen:
            raise TestbedError("no node that runs can hold keys; start them with a state directory")
        for number in chosen:
            if number not in able:
                raise TestbedError(f"{called(number)} does not run, or holds no keys")
        names = [network.node_name(number) for number in chosen]
        for number in chosen:
            told = await observer.ask(
                network.address(number),
                lambda client: client.begin_store(names).addCallback(lambda _: True),
            )
            if isinstance(told, NoAnswer):
                raise TestbedError(f"{called(number)} cannot begin a store: {told.why}")
        while True:
            states = [await observer.store_state(network.address(n)) for n in chosen]
            formations = {"" if isinstance(s, NoAnswer) else s.formation for s in states}
            if len(formations) == 1 and formations != {""}:
                return Begun(formations.pop(), tuple(chosen))
            if reactor.seconds() >= deadline:
                why = next(
                    (s.why if isinstance(s, NoAnswer) else s.reason for s in states), "no answer"
                )
                raise TestbedError(f"the store has not begun in {timeout:g} s: {why}")
            await pause(reactor, BEGUN_PAUSE_S)
    finally:
        observer.close()


@attrs.frozen
class Aside:
    """A store that was set aside."""

    formation: str
    where: dict[Ref, str]
    """By node: where its data is."""
    refused: dict[Ref, str]
    """Nodes that did not do it, and why."""


async def set_store_aside(testbed: Testbed, formation: str, timeout: float) -> Aside:
    """Have all nodes of a formation set their stores aside, and join the other one.

    :param formation: the first digits of its id.
    :raises TestbedError: there is no such formation, several are like that, or it is the only one.
    """
    network = testbed.description()
    observer = testbed.observer(network, timeout)
    try:
        seen = await see(testbed, observer, network)
        found = [each for each in seen.formations if each.startswith(formation.lower())]
        known = ", ".join(each[:8] for each in seen.formations) or "none"
        if len(found) != 1:
            several = "several stores are" if found else "there is no store"
            raise TestbedError(f"{several} called '{formation}'; there are: {known}")
        if len(seen.formations) == 1:
            raise TestbedError(
                f"{found[0][:8]} is the only store of network '{network.name}'; it is not set aside"
            )
        where: dict[Ref, str] = {}
        refused: dict[Ref, str] = {}
        for ref in seen.formations[found[0]]:
            if not isinstance(ref, int):
                refused[ref] = "it is not a node of this network"
                continue
            answer = await observer.ask(
                network.address(ref), lambda client: client.set_store_aside(found[0])
            )
            if isinstance(answer, NoAnswer):
                refused[ref] = answer.why
            else:
                where[ref] = answer
        return Aside(found[0], where, refused)
    finally:
        observer.close()


async def state_of_stopped(testbed: Testbed, number: int) -> Path:
    """Return the state directory of a node that does not run.

    :raises TestbedError: it runs, or it is in a container.
    """
    network = testbed.checked(number)
    if network.engine != "local":
        raise TestbedError(
            f"the state of Node {number} is in a container; run this command there, with"
            " --state-dir"
        )
    if number in await testbed.engine(network.engine).running():
        stop = testbed.command(f"remove-node {number} --no-wait")
        raise TestbedError(f"Node {number} runs; stop it first: {stop}")
    return testbed.home.node_directory(number) / "state"
