"""A simulated process, what it keeps on disk, and its connections.

A process is one life of a node: a restart makes a new :class:`Host` at the same address, with a
higher incarnation and, if the disk survived, the peers that the last life knew.
"""

from __future__ import annotations

from collections import deque

import attrs

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import intervals
from chordnet.core.base.messages import NodeRef, PeerMessage, Range
from chordnet.core.node import ChordNode
from chordnet.judge.invariants import RingView

MAX_BACKLOG = 65536
"""Events that wait for a frozen process, as its sockets' buffers would hold; more are lost."""

MAX_GIVEN = 512
"""Messages, and ranges of lost ones, that a process gives to another in one piece."""


class Link:
    """One direction of the connection between two processes, as the sender sees it."""

    __slots__ = (
        "arrival",
        "blocked",
        "clogged",
        "delay",
        "epoch",
        "loss",
        "noticing",
        "source",
        "target",
    )

    def __init__(self, source: Host, target: Host) -> None:
        self.source = source
        self.target = target
        self.arrival = 0.0
        """When the last message sent arrives: the next one arrives no earlier."""
        self.epoch = 0
        """Grows when the connection breaks: what was in flight before is lost."""
        self.blocked = False
        """Everything is lost silently (a partition)."""
        self.clogged: deque[PeerMessage] | None = None
        """If not None, everything waits here."""
        self.delay = 0.0
        """Added to every message's travel time, seconds."""
        self.loss = 0.0
        """Probability of loss besides that of the whole network."""
        self.noticing = False
        """The sender is going to learn that the other side cannot be reached."""


@attrs.define
class Disk:
    """What survives a crash: the last incarnation and the known peers."""

    incarnation: int
    known: list[NodeRef] = attrs.field(factory=list)


@attrs.define(eq=False)
class Host:
    """One simulated process.

    Its clock reads ``offset + rate * t`` at virtual time ``t``.
    """

    node: ChordNode
    bootstrap: list[str]
    disk: Disk
    offset: float = 0.0
    rate: float = 1.0
    number: int = 0
    """Processes are numbered in the order of their creation."""
    up: bool = True
    frozen: bool = False
    left: bool = False
    ref: NodeRef = attrs.field(init=False)
    """The node's pointer."""
    links: dict[str, Link] = attrs.field(factory=dict)
    """Connections to others, by their address."""
    inbound: dict[str, Link] = attrs.field(factory=dict)
    """Connections of others to this one, by their address."""
    backlog: list[ev.Event] = attrs.field(factory=list)
    ticking: float | None = None
    """When a tick is due."""
    latest: float = float("-inf")
    """The clock's reading at the last step: it never goes back."""
    records: list[fx.Record] = attrs.field(factory=list)
    done: dict[int, fx.LookupDone | fx.BroadcastDone] = attrs.field(factory=dict)
    misbehaved: list[fx.Misbehaved] = attrs.field(factory=list)
    deaths: int = 0
    """Deaths that the watcher has looked at so far."""

    def __attrs_post_init__(self) -> None:
        self.ref = self.node.me

    @property
    def runs(self) -> bool:
        """Whether the process exists, frozen or not."""
        return self.up and not self.left

    def clock(self, time: float) -> float:
        """Return what this process's clock reads at virtual ``time``."""
        return self.offset + self.rate * time

    def due(self, clock: float) -> float:
        """Return the virtual time at which this process's clock reads ``clock``."""
        return (clock - self.offset) / self.rate

    def keep(self, event: ev.Event) -> None:
        """Let ``event`` wait until the process is thawed."""
        if len(self.backlog) < MAX_BACKLOG:
            self.backlog.append(event)

    def kept(
        self, ranges: list[Range], *, sealed: bool = False
    ) -> tuple[list[fx.Record], list[Range], bool]:
        """Return what this process keeps of ``ranges``, what it lacks, and whether that is all.

        :param sealed: what is kept without a seal counts as lacking.
        """
        numbers: dict[tuple[bytes, int], dict[int, fx.Record]] = {}
        for record in self.records:
            if sealed and record.proof is None:
                continue
            key = record.id.origin, record.id.incarnation
            numbers.setdefault(key, {})[record.id.sequence] = record
        found, lost = list[fx.Record](), list[Range]()
        for asked in ranges:
            kept = numbers.get((asked.origin, asked.incarnation), {})
            within = sorted(number for number in kept if asked.first <= number < asked.end)
            found += [kept[number] for number in within]
            missing = intervals.minus([asked.first, asked.end], intervals.of(within))
            for first, end in intervals.pairs(missing):
                lost.append(Range(asked.origin, asked.incarnation, first, end))
        return found[:MAX_GIVEN], lost[:MAX_GIVEN], max(len(found), len(lost)) <= MAX_GIVEN

    def view(self) -> RingView:
        """Return the node's pointers as the judge takes them."""
        node = self.node
        return RingView(
            id=self.ref.id,
            predecessor=node.predecessor.id if node.predecessor else None,
            successors=[each.id for each in node.successors],
            fingers={slot: each.id for slot, each in node.finger_slots},
        )
