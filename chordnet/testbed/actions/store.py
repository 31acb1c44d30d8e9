"""Wait for the store: until its slots have caught up, and until a node holds none any more."""

from __future__ import annotations

import enum
from collections.abc import Collection

from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.observer import NoAnswer, Observer, Snapshot
from chordnet.survey.store.asking import look_at_store
from chordnet.survey.store.merged import Store
from chordnet.survey.waiting import pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.convergence import Counted
from chordnet.wire.stores import StoreState

PAUSE_S = 0.1
PAUSE_FACTOR = 3.0
"""Pause, as a multiple of the time of the last question: a quarter of the time goes to asking."""
MAX_PAUSE_S = 1.0
EMPTY_S = 0.2
"""A node holds no slot any more if that is so for as long."""
STALLED_S = 2.0
"""If no slot has gone for as long, it is looked why."""


class Settle(enum.Enum):
    """What of a store a command waits for, once it has begun."""

    NOTHING = "nothing"
    """It is looked at once, and what still moves is told."""
    CAUGHT_UP = "caught up"
    """Each member that answers has installed its slot's newest epoch."""
    IN_STEP = "in step"
    """Dead members are replaced as well, and a store that has just begun is spread over the
    nodes."""


async def wait_for_store(
    testbed: Testbed,
    network: NetworkDescription,
    observer: Observer,
    numbers: Collection[int],
    snapshot: Snapshot,
    deadline: float,
    settle: Settle = Settle.CAUGHT_UP,
) -> Store:
    """Wait until the store has begun, all nodes belong to it, and its slots have settled.

    Slots without a majority, and a store that is not to begin, are told in one line and not waited
    for.

    :param snapshot: the ring that the nodes are.
    :param deadline: by when, on the reactor's clock; then the wait is over as well.
    """
    reactor, most = testbed.reactor, 0
    while True:
        began = reactor.seconds()
        seen = await look_at_store(observer, network, numbers, snapshot.visitors.values())
        unfinished = seen.unfinished() if settle is Settle.CAUGHT_UP else seen.moving_on()
        now = reactor.seconds()
        if not unfinished or now >= deadline or settle is Settle.NOTHING:
            break
        most = max(most, len(unfinished))
        left = len(unfinished)
        text = f"the store is not in step yet: {left} of {most} to go"
        testbed.watch(Counted((most - left, most), text))
        await pause(reactor, min(max(PAUSE_S, PAUSE_FACTOR * (now - began)), MAX_PAUSE_S))
    for line in _lines(testbed, seen, unfinished):
        testbed.say(line)
    return seen


def _lines(testbed: Testbed, seen: Store, unfinished: list[str]) -> list[str]:
    look = f"see: {testbed.command('store')}"
    if unfinished:
        more = f" and {len(unfinished) - 1} more" if len(unfinished) > 1 else ""
        return [f"the store is not in step yet: {unfinished[0]}{more}; {look}"]
    if not seen.formation:
        why = next(iter([*seen.without.values(), *seen.silent.values()]), "")
        return [f"no store of keys: {why}"] if why else []
    lost = seen.lost
    if not lost:
        return []
    slots = "slot has" if len(lost) == 1 else "slots have"
    return [f"{len(lost)} {slots} no majority ({lost[0].words()}); {look}"]


async def give_up_slots(
    testbed: Testbed,
    network: NetworkDescription,
    observer: Observer,
    number: int,
    running: Collection[int],
    deadline: float,
) -> int:
    """Have a node give up its slots, and wait until others hold them.

    A slot without a majority cannot be handed over by anybody, and what the node has of it stays on
    its disk. Such slots are told in one line, and hold nothing up.

    :param running: all nodes that run, this one included.
    :returns: how many were handed over; 0 if it keeps no store.
    :raises TestbedError: others do not take them in time; the node stays.
    """
    address, reactor = network.address(number), testbed.reactor
    before = await observer.store_state(address)
    if isinstance(before, NoAnswer) or not before.formation or before.failed:
        return 0
    await _order(testbed, observer, network.address(number), number, before)
    most, empty_since, now = before.seats, None, reactor.seconds()
    state: StoreState | NoAnswer = before
    left, moved_at = most, now
    while empty_since is None or now < empty_since + EMPTY_S:
        if now >= deadline:
            raise _stays(testbed, number, state, "no other node has taken them in time")
        await pause(reactor, PAUSE_S)
        state, now = await observer.store_state(address), reactor.seconds()
        if isinstance(state, NoAnswer) or state.seats:
            empty_since = None
        elif empty_since is None:
            empty_since = now
        if isinstance(state, StoreState):
            most = max(most, state.seats)
            given = most - state.seats
            text = f"Node {number} has handed over {given} of {most} slots"
            testbed.watch(Counted((given, most), text))
            if state.seats != left:
                left, moved_at = state.seats, now
            elif left and now >= moved_at + STALLED_S:
                moved_at = now
                if await _are_lost(testbed, network, observer, number, running, left):
                    return most - left
    return most


async def _order(
    testbed: Testbed, observer: Observer, address: str, number: int, before: StoreState
) -> None:
    """Tell a node to give up its slots.

    :raises TestbedError: it cannot be told.
    """
    told = await observer.ask(address, lambda client: client.vacate().addCallback(lambda _: True))
    if isinstance(told, NoAnswer):
        raise _stays(testbed, number, before, f"it cannot be told to: {told.why}")


async def _are_lost(
    testbed: Testbed,
    network: NetworkDescription,
    observer: Observer,
    number: int,
    running: Collection[int],
    left: int,
) -> bool:
    """Return True, and say so, if all slots that a node still holds have no majority."""
    seen = await look_at_store(observer, network, running)
    lost = [slot for slot in seen.lost if number in slot.members]
    if len(lost) < left:
        return False
    what = "1 slot has" if left == 1 else f"{left} slots have"
    testbed.say(
        f"{what} no majority and cannot be handed over ({lost[0].words()}); what Node {number} has"
        " of that stays on its disk"
    )
    return True


def _stays(testbed: Testbed, number: int, state: StoreState | NoAnswer, why: str) -> TestbedError:
    seats = "slots" if isinstance(state, NoAnswer) else f"{state.seats} slots"
    if isinstance(state, StoreState) and state.seats == 1:
        seats = "1 slot"
    return TestbedError(
        f"Node {number} still holds {seats} and was not removed: {why}; add a node or see: "
        f"{testbed.command('store')}; to remove it all the same: "
        f"{testbed.command(f'remove-node {number} --no-wait')}"
    )
