"""Clients of a simulated store: each does one operation after another, and keeps its history."""

from __future__ import annotations

from random import Random

import attrs

from chordnet.core.store.base import outcomes as end
from chordnet.core.store.base.requests import Get, Put
from chordnet.judge.store.history import Action, Operation, Outcome
from chordnet.sim.store.world import StoreWorld

TIMEOUT_S = 2.0
"""For which a node tries."""
PATIENCE_S = 3.0
"""A client that has heard nothing for so long gives up: the node is gone."""
PAUSE_S = 0.2
"""Between two operations of a client, on average."""
CLOCKS_S = 2.0
"""Wall clocks are at most so far from the true time, one node's at a time excepted."""
LEASE_S = (1.0, 20.0)
"""Values that expire do so after a time between these."""


@attrs.define
class Mix:
    """What clients do, in shares."""

    get: float = 0.45
    put: float = 0.30
    change: float = 0.15
    """Puts at the version that the client saw last."""
    delete: float = 0.10
    expiring: float = 0.15
    """How many of the first two kinds of puts expire."""
    again: float = 0.5
    """How often an unconfirmed write is asked for again."""


class Client:
    """One client.

    :param history: where its operations go, as it was told.
    """

    def __init__(
        self, name: str, world: StoreWorld, keys: int, mix: Mix, history: list[Operation]
    ) -> None:
        self.name = name
        self.going = True
        self._world = world
        self._rng = Random(world.rng.getrandbits(64))
        self._keys = keys
        self._mix = mix
        self._history = history
        self._seen: dict[str, int] = {}
        self._number = 0
        self._awaits = 0
        self._next(0.0)

    def _next(self, delay: float) -> None:
        self._world.at(self._world.now + delay, self._begin)

    def _begin(self) -> None:
        if not self.going:
            return
        world, rng, mix = self._world, self._rng, self._mix
        names = [process.name for process in world.live()]
        node = rng.choice(names)
        key = f"k{rng.randrange(self._keys)}"
        self._number += 1
        draw = rng.random()
        asked: Get | Put
        expires: float | None = None
        if rng.random() < mix.expiring:
            expires = world.now + world.processes[node].offset + rng.uniform(*LEASE_S)
        request, value = f"{self.name}.{self._number}".encode(), f"{self.name}-{self._number}"
        if draw < mix.get:
            asked = Get(key.encode())
        elif draw < mix.get + mix.put:
            asked = Put(key.encode(), value.encode(), request, expires=expires)
        elif draw < mix.get + mix.put + mix.change:
            seen = self._seen.get(key, 0)
            asked = Put(key.encode(), value.encode(), request, if_version=seen, expires=expires)
        else:
            asked = Put(key.encode(), None, request)
        self._ask(node, asked, world.now, first=True)

    def _ask(self, node: str, asked: Get | Put, began: float, *, first: bool) -> None:
        world = self._world
        self._awaits += 1
        number = self._awaits

        def done(outcome: end.Outcome) -> None:
            if number == self._awaits:
                self._awaits += 1
                self._ended(asked, began, outcome, first=first)

        def gone() -> None:
            if number == self._awaits:
                self._awaits += 1
                self._record(asked, began, None)
                self._next(PAUSE_S)

        if world.ask(node, asked, TIMEOUT_S, done):
            world.at(world.now + PATIENCE_S, gone)
        elif first:
            self._awaits += 1
            self._next(PAUSE_S)
        else:
            gone()

    def _ended(self, asked: Get | Put, began: float, outcome: end.Outcome, *, first: bool) -> None:
        rng = self._rng
        if isinstance(outcome, end.Unconfirmed) and isinstance(asked, Put):
            if rng.random() < self._mix.again:
                node = rng.choice([process.name for process in self._world.live()])
                retried = again(asked, outcome.since)
                self._ask(node, retried, began, first=False)
                return
            self._record(asked, began, None)
        elif not first and isinstance(outcome, end.Unavailable | end.Untold):
            # What was asked for first may still happen, or has.
            self._record(asked, began, None)
        else:
            self._record(asked, began, outcome)
        self._next(2 * PAUSE_S * rng.random())

    def _record(self, asked: Get | Put, began: float, outcome: end.Outcome | None) -> None:
        key = asked.key.decode()
        operation = recorded(self.name, asked, began, self._world.now, outcome)
        if operation.version is not None:
            self._seen[key] = operation.version if operation.outcome is not Outcome.ABSENT else 0
        self._history.append(operation)


def again(asked: Put, since: int) -> Put:
    """Return the same write, to be done unless it is done."""
    return Put(asked.key, asked.value, asked.request, asked.if_version, asked.expires, since)


def recorded(
    client: str, asked: Get | Put, call: float, returned: float, outcome: end.Outcome | None
) -> Operation:
    """Return the line of a history; ``outcome`` is None if the client does not know it.

    What expires may be gone when the fastest of the clocks that are right says so.
    """
    action, value, if_version, expires = Action.GET, None, None, None
    if isinstance(asked, Put):
        action = Action.DELETE if asked.value is None else Action.PUT
        value = None if asked.value is None else asked.value.decode()
        if_version = asked.if_version
        if asked.expires is not None:
            expires = max(0.0, asked.expires - call - CLOCKS_S)
    told, version, found = Outcome.UNCONFIRMED, None, None
    answered: float | None = returned
    if isinstance(outcome, end.Done):
        told, version = Outcome.DONE, outcome.version
    elif isinstance(outcome, end.Found):
        content = outcome.content
        told = Outcome.ABSENT if content.value is None else Outcome.VALUE
        if content.value is not None:
            version, found = content.version, content.value.decode()
    elif isinstance(outcome, end.Conflict):
        present = outcome.present
        told, version = Outcome.CONFLICT, 0 if present.value is None else present.version
        found = None if present.value is None else present.value.decode()
    elif isinstance(outcome, end.Unavailable | end.Untold):
        told = Outcome.UNAVAILABLE
    else:
        answered = None
    return Operation(
        client=client,
        key=asked.key.decode(),
        action=action,
        value=value,
        if_version=if_version,
        expires=expires,
        call=call,
        returned=answered,
        outcome=told,
        version=version,
        found=found,
    )
