"""What the parts of a node's store share: who it is, the time, its alarms, and what it asks for."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from random import Random
from typing import TypeVar

import attrs

from chordnet.core.kernel.timers import Alarms, Horizon
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.effects import Effect, NodeEffect, Say
from chordnet.core.store.base.messages import StoreMessage
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.node.talk import Message

MOST_NAMES = 4096
"""Other nodes of which anything is remembered."""


@enum.unique
class For(enum.IntEnum):
    """What an alarm of the store is for; with the number of an operation, a change or a slot."""

    DEADLINE = 0
    REMINDER = 1
    RETRY = 2
    REFRESH = 3
    LEAD = 4
    SEATS = 5
    INSTALL = 6
    FINISH = 7
    TELL = 8
    HAIL = 9
    REPAIR = 10
    DOUBT = 16
    BACK = 17
    ENQUIRY = 11
    RECOVER = 12
    COLLECT = 13
    RENEW = 20
    LOOK = 21
    HINT = 22
    SWEEP = 23
    PEEK = 24


Alarm = tuple[For, int]
T = TypeVar("T")


def remember(table: dict[str, T], node: str, value: T) -> None:
    """Note something of a node; what was noted longest ago gives way."""
    table.pop(node, None)
    if len(table) >= MOST_NAMES:
        del table[next(iter(table))]
    table[node] = value


@attrs.frozen
class Place:
    """This node's place in the ring, as it was told last."""

    member: bool = False
    predecessor: str | None = None
    successors: tuple[str, ...] = ()

    @property
    def near(self) -> list[str]:
        """The neighbours, each once."""
        before = [self.predecessor] if self.predecessor is not None else []
        return list(dict.fromkeys([*self.successors, *before]))


@attrs.define
class Surroundings:
    """One node's surroundings, handed to each part of its store."""

    me: Member
    rng: Random
    run: int
    safeguards: StoreSafeguards = attrs.field(factory=StoreSafeguards)
    collect_pace: float = 1.0
    """Factor of the pauses of the collection."""
    place: Place = attrs.field(factory=Place)
    settled: float = float("-inf")
    """Since when this node has had the neighbours that it has."""
    now: float = attrs.field(init=False)
    """On a clock that never goes back."""
    wall: float = attrs.field(init=False)
    """The wall clock, seconds since 1970."""
    effects: list[Effect] = attrs.field(factory=list)
    """What the parts have asked for and nobody has done yet."""
    answers: list[NodeEffect] = attrs.field(factory=list)
    said: dict[str, list[Message]] = attrs.field(factory=dict)
    """What is to be said to other nodes at the end of this step."""
    horizon: Horizon = attrs.field(factory=Horizon)
    alarms: Alarms[Alarm] = attrs.field(init=False)
    lost: dict[str, float] = attrs.field(factory=dict)
    """Nodes that cannot be reached -> since when."""
    unknown: dict[str, None] = attrs.field(factory=dict)
    """Nodes that a part has to know more of: greeted at the end of this step."""
    tried: dict[str, float] = attrs.field(factory=dict)
    """The same nodes -> when that was last seen to be so."""
    may_answer: Callable[[Iterable[Member]], bool] = lambda _members: True
    """Returns False while this disk may be an older copy, and the members of a slot are asked."""
    slow: dict[str, float] = attrs.field(factory=dict)
    """Nodes that were waited for in vain, and have said nothing since -> when."""
    heard: dict[str, float] = attrs.field(factory=dict)
    """When other nodes were heard from last."""
    _rid: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.alarms = Alarms(self.horizon)
        # Late answers to an earlier life of this node must not meet its present questions.
        self._rid = self.rng.getrandbits(40)

    def rid(self) -> int:
        """Return a number for a new operation or change."""
        self._rid += 1
        return self._rid

    def say(self, to: str, message: Message) -> None:
        """Have ``message`` sent to another node when this step ends."""
        self.said.setdefault(to, []).append(message)

    def pass_on(self, message: StoreMessage) -> None:
        """Hand a message of a slot to this node itself."""
        self.effects.append(Say(self.me.node, message))

    def sooner(self, alarm: For, number: int, delay: float) -> None:
        """Set an alarm, unless it rings earlier anyway."""
        self.alarms.sooner((alarm, number), self.now + delay)

    def collect_later(self, delay: float) -> None:
        """Set the alarm of the collection of deleted keys, replacing an earlier one."""
        self.alarms.set((For.COLLECT, 0), self.now + delay)

    def jittered(self, delay: float) -> float:
        """Return a delay of at least the half of this one, so that nodes do not march in step."""
        return delay * (0.5 + self.rng.random())

    def hears(self, node: str, within_s: float) -> bool:
        """Return True if the node has said something in the last ``within_s`` seconds."""
        if node == self.me.node:
            return True
        return node in self.heard and self.now <= self.heard[node] + within_s

    def heard_at(self, node: str) -> float:
        """Return when a node has said something last; if it never has, long ago."""
        return self.heard.get(node, float("-inf"))

    def hear(self, node: str) -> None:
        """Note that a node has said something."""
        self.found(node)
        remember(self.heard, node, self.now)

    def found(self, node: str) -> None:
        """Note that a node can be reached."""
        self.lost.pop(node, None)
        self.tried.pop(node, None)
        self.slow.pop(node, None)

    def lose(self, node: str) -> None:
        """Note that a node cannot be reached."""
        remember(self.lost, node, self.lost.get(node, self.now))
        remember(self.tried, node, self.now)

    def slow_down(self, node: str) -> None:
        """Note that a node has not answered in time."""
        if node != self.me.node:
            remember(self.slow, node, self.now)

    def is_slow(self, node: str, memory_s: float) -> bool:
        """Return True if the node has not answered in time, not longer ago than that."""
        since = self.slow.get(node)
        return since is not None and self.now < since + memory_s

    def is_lost(self, node: str, memory_s: float) -> bool:
        """Return True if the node could not be reached in the last ``memory_s`` seconds."""
        tried = self.tried.get(node)
        return tried is not None and self.now < tried + memory_s

    def lost_for(self, node: str) -> float:
        """Return for how many seconds the node has been out of reach; 0 if it is not."""
        return self.now - self.lost.get(node, self.now)
