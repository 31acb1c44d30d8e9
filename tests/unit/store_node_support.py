"""What the tests of a node's store share: one node whose time is a number, and its surroundings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import TypeVar

import msgspec

from chordnet.core.store.base import effects as fx
from chordnet.core.store.base import events as ev
from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept, Mark
from chordnet.core.store.base.messages import Address
from chordnet.core.store.base.outcomes import Outcome
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.begin.hails import Hail
from chordnet.core.store.begin.settings import StoreSettings
from chordnet.core.store.node.formation import Formation
from chordnet.core.store.node.node import StoreNode
from chordnet.core.store.node.surroundings import Place, Surroundings
from chordnet.core.store.node.talk import Message, read

A, B, C, D, E, F = (Member(name, store) for store, name in enumerate("ABCDEF", 1))
NEAR = ("B", "C", "D", "E", "F")
FOUNDING = Founding("net", 8, 4, 3, (A, B, C))
"""Every slot is held by A, B and C."""
FORMATION = FOUNDING.id
FIRST = Configuration(1, 1, (A, B, C))
START = 1000.0
"""The clock when a test begins."""
WALL = 5000.0
"""What the wall clock is ahead of it."""

M = TypeVar("M")
encode = msgspec.msgpack.Encoder().encode


class Even(Random):
    """Draws the middle, so that what is jittered takes exactly as long as it says."""

    def random(self) -> float:
        return 0.5


def address(member: Member = A, slot: int = 0, epoch: int = 1) -> Address:
    return Address(FORMATION, slot, 1, epoch, member.store)


def later(epoch: int, *members: Member) -> Configuration:
    return Configuration(1, epoch, members)


def surroundings(me: Member = A, *successors: str, run: int = 7) -> Surroundings:
    """Return the surroundings of a node that has heard of its successors just now."""
    around = Surroundings(me, Even(1), run)
    around.now, around.wall = START, START + WALL
    around.place = Place(True, None, successors)
    around.heard = dict.fromkeys(successors, START)
    return around


def hail(
    member: Member,
    founding: Founding | None = FOUNDING,
    *,
    seat: bool = True,
    vacating: bool = False,
    asks: bool = False,
    empty: bool = False,
    vote: Founding | None = None,
    founders: tuple[str, ...] = ("A", "B", "C"),
) -> Hail:
    return Hail(
        member.store, 1, seat, vacating, "net", 8, 4, 3, founders, vote, founding, empty, asks
    )


class Node:
    """One node's store with all that it asked for, and a clock."""

    def __init__(
        self,
        me: Member = A,
        founding: Founding | None = FOUNDING,
        *,
        kept: Kept | None = None,
        near: tuple[str, ...] = NEAR,
        seed: int = 1,
        **settings: object,
    ) -> None:
        chosen: dict[str, object] = {
            "network": "net",
            "bits": 8,
            "founders": ("A", "B", "C"),
            "slots": 4,
            **settings,
        }
        kept = Kept(me.store, 1, founding, founding) if kept is None else kept
        self.machine = StoreNode(StoreSettings(**chosen), me.node, kept, Even(seed))  # type: ignore[arg-type]
        self.now = START
        self.order: list[fx.NodeEffect] = []
        """All effects of the last step."""
        self.entries: list[fx.Entry] = []
        self.notes: list[fx.Noted] = []
        self.told: list[fx.Revised | fx.Unwatched] = []
        """What watches were told."""
        self.outcomes: dict[int, Outcome] = {}
        self.sent: list[tuple[str, Message]] = []
        self.marks: list[tuple[str, Message]] = []
        """What was said with it of how far this disk is."""
        self.outdated: list[str] = []
        if near:
            self.near(*near)

    @property
    def formation(self) -> Formation:
        formation = self.machine.formation
        assert formation is not None
        return formation

    def step(self, event: ev.Event) -> None:
        self.order = self.machine.step(event, self.now, self.now + WALL)
        for effect in self.order:
            if isinstance(effect, fx.Keep):
                kinds = (fx.NumberKept, fx.SecretKept, fx.MarkKept)
                self.entries += [each for each in effect.entries if not isinstance(each, kinds)]
            elif isinstance(effect, fx.Outdated):
                self.outdated.append(effect.text)
            elif isinstance(effect, fx.Noted):
                self.notes.append(effect)
            elif isinstance(effect, fx.Answered):
                assert effect.op not in self.outcomes
                self.outcomes[effect.op] = effect.outcome
            elif isinstance(effect, fx.Revised | fx.Unwatched):
                self.told.append(effect)
            else:
                for message in read(effect.letter):
                    told = self.marks if isinstance(message, Mark) else self.sent
                    told.append((effect.to, message))

    def near(self, *successors: str, before: str | None = "F", member: bool = True) -> None:
        self.step(ev.Neighbours(member, before, successors))

    def hear(self, sender: str, *messages: Message) -> None:
        self.step(ev.Mail(sender, encode(messages)))

    def ask(self, op: int, asked: Get | Put, timeout: float = 10.0) -> None:
        self.step(ev.Ask(op, asked, timeout))

    def wait(self, seconds: float) -> None:
        """Let time pass; whatever is due rings at its time."""
        end = self.now + seconds
        while (deadline := self.machine.deadline) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.step(ev.Tick())
        self.now = end

    def take(self, kind: type[M], to: str | None = None) -> list[tuple[str, M]]:
        """Return and forget what was sent of a kind."""
        found = [(node, m) for node, m in self.sent if isinstance(m, kind) and to in (None, node)]
        self.sent = [
            (node, m) for node, m in self.sent if not isinstance(m, kind) or to not in (None, node)
        ]
        return found

    def to(self, kind: type[M]) -> list[str]:
        """Return to whom messages of a kind were sent, and forget them."""
        return [node for node, _message in self.take(kind)]

    @property
    def texts(self) -> list[str]:
        return [note.text for note in self.notes]

    @property
    def alarms(self) -> list[str]:
        return [note.text for note in self.notes if note.alarming]


class Network:
    """A few nodes in one ring; every letter arrives, at once, unless its node is down."""

    def __init__(self, *nodes: Node) -> None:
        self.nodes = {node.machine.around.me.node: node for node in nodes}
        self.down: set[str] = set()

    def deliver(self) -> None:
        """Deliver letters until there are none."""
        while letters := list(self._letters()):
            for sender, receiver, message in letters:
                if receiver in self.nodes and not {sender, receiver} & self.down:
                    self.nodes[receiver].hear(sender, message)

    def _letters(self) -> Iterator[tuple[str, str, Message]]:
        for name, node in self.nodes.items():
            sent, node.sent = node.sent, []
            for receiver, message in sent:
                yield name, receiver, message

    def wait(self, seconds: float, step: float = 0.01) -> None:
        """Let time pass for all nodes together."""
        for _ in range(round(seconds / step)):
            for name, node in self.nodes.items():
                if name not in self.down:
                    node.wait(step)
            self.deliver()


def names(members: Iterable[Member]) -> str:
    return "".join(member.node for member in members)
