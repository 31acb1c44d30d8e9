"""What happens to a network in a storm and when, drawn from a seed beforehand, pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

from attrs import frozen

MOST_AWAY = 5
"""Nodes that are killed, stopped or frozen at the same time."""
PAUSE_S = (1.0, 4.0)
"""Between one blow and the next."""
QUIET_S = 3.0
"""At the beginning."""
WIPE_S = 25.0
"""For so long after a wiped node is back, nothing but blinks happens, and no further wipe."""
ALONE_S = 8.0
"""A wipe comes only if whatever was struck before it is undone so soon after it."""


@frozen
class Verb:
    """A kind of blow.

    Attributes:
        weight: How often it comes, beside the others.
        nodes: Fewest and most nodes that it hits together.
        lasts: Shortest and longest time until it is undone, in seconds.
    """

    weight: int
    nodes: tuple[int, int]
    lasts: tuple[float, float]


VERBS = {
    "kill": Verb(8, (1, 2), (0.2, 12.0)),
    "stop": Verb(2, (1, 1), (0.2, 6.0)),
    "blink": Verb(4, (1, 2), (0.1, 2.0)),
    "freeze": Verb(4, (1, 2), (4.0, 15.0)),
    "part": Verb(3, (2, 8), (1.0, 15.0)),
    "remove": Verb(1, (1, 1), (18.0, 30.0)),
    "wipe": Verb(3, (1, 1), (0.2, 5.0)),
}
"""A blink is a freeze that ends before anybody can take the node for dead; a frozen node is held
for dead by the others and learns of it when it is thawed. Parting leaves all nodes up. A removed
node is stopped, and stays away until others hold its keys; a wiped one is killed and comes back
without anything that it had on its disk."""

LOCAL = ("kill", "stop", "blink", "freeze")
"""What the local engine can do: its nodes share one loopback interface, which cannot be parted."""
DOCKER = (*LOCAL, "part")
LOCAL_KEYS = (*LOCAL, "remove", "wipe")
"""The same for a storm over keys. A container's disk cannot be wiped by itself."""
DOCKER_KEYS = (*DOCKER, "remove")


@frozen
class Blow:
    """Something that happens to nodes, and is undone after a while."""

    at: float
    verb: str
    nodes: tuple[int, ...]
    lasts: float

    @property
    def until(self) -> float:
        """When it is undone."""
        return self.at + self.lasts


def plan(rng: Random, seconds: float, nodes: Sequence[int], verbs: Sequence[str]) -> list[Blow]:
    """Return the blows of a storm of that length, in order.

    No node is hit while it is away, no more than `MOST_AWAY` are away at a time, and a partition
    ends before the next one begins. Around a wipe there is so little else that whatever the node
    had on its disk can be given to a new member of each slot before another one is wiped: a slot
    may lose the disks of fewer than a majority of its members.
    """
    blows: list[Blow] = []
    weights = [VERBS[verb].weight for verb in verbs]
    at = QUIET_S
    while at < seconds:
        verb = rng.choices(verbs, weights)[0]
        blow = _blow(rng, at, verb, nodes, [blow for blow in blows if blow.until > at])
        if blow is not None and _may_follow(blow, blows):
            blows.append(blow)
        at += rng.uniform(*PAUSE_S)
    return blows


def _may_follow(blow: Blow, before: Sequence[Blow]) -> bool:
    """Return whether wipes leave room for this blow."""
    wiped = max((each.until + WIPE_S for each in before if each.verb == "wipe"), default=0.0)
    if blow.verb == "wipe":
        ends = max((each.until for each in before), default=0.0)
        return blow.at >= wiped and ends <= blow.at + ALONE_S
    return blow.verb == "blink" or blow.at >= wiped


def _blow(
    rng: Random, at: float, verb: str, nodes: Collection[int], others: Sequence[Blow]
) -> Blow | None:
    kind = VERBS[verb]
    count, lasts = rng.randint(*kind.nodes), rng.uniform(*kind.lasts)
    if verb == "part":
        parted = any(blow.verb == "part" for blow in others)
        chosen = rng.sample(sorted(nodes), min(count, len(nodes) - 1))
        return None if parted else Blow(at, verb, tuple(sorted(chosen)), lasts)
    away = {number for blow in others if blow.verb != "part" for number in blow.nodes}
    room = min(count, MOST_AWAY - len(away))
    if room < 1:
        return None
    return Blow(at, verb, tuple(rng.sample(sorted(set(nodes) - away), room)), lasts)
