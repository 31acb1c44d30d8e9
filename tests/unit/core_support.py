"""What the core's tests share: pointers in a small ring, fakes of the seams, a wire to read.

Most tests run in a ring of 64 identifiers (m = 6), where every pointer can be checked by eye:
``ref(12)`` is the node with the identifier 12, called n12.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, ClassVar, TypeVar

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import NodeRef, RingLabel, State, Status
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.requests import Requests
from chordnet.core.kernel.signals import DIED, SIGNALS, Signal
from chordnet.core.lookup.answering import Answering
from chordnet.core.lookup.lookup import Lookups, Purpose, Result
from chordnet.core.node import ChordNode
from chordnet.core.parts import PARTS, hearers
from chordnet.core.ring.leave import Departure
from chordnet.core.ring.pointers import Pointers
from chordnet.core.ring.rectify import Rectify
from chordnet.core.ring.routing import Routes
from chordnet.core.ring.stabilise import Stabilise
from chordnet.judge.invariants import ideal_view

T = TypeVar("T")
BITS = 6
LABEL = RingLabel(0, 7)


def ref(identifier: int, incarnation: int = 1) -> NodeRef:
    """A pointer to the node with this identifier in the small ring."""
    name = f"n{identifier}"
    return NodeRef(bytes([identifier]), incarnation, name, name)


def refs(*identifiers: int) -> list[NodeRef]:
    return [ref(identifier) for identifier in identifiers]


def ids(nodes: Iterable[NodeRef | None]) -> list[int | None]:
    return [None if node is None else node.id for node in nodes]


def raw(identifier: int) -> bytes:
    return bytes([identifier])


def config(**changes: Any) -> ProtocolConfig:
    """Settings of the small ring, without jitter so that times can be asserted."""
    return ProtocolConfig(**{"bits": BITS, "successors": 3, "jitter": 0.0, **changes})


def make_context(me: int = 10, **changes: Any) -> Context:
    return Context(config(**changes), ref(me), Random(0))


def sent(source: Context | list[fx.Effect], kind: type[T] | None = None) -> list[tuple[int, T]]:
    """The messages (of one kind) that were asked to be sent, each with its target's identifier.

    A contact counts as -1.
    """
    effects = source.effects if isinstance(source, Context) else source
    return [
        (-1 if effect.to.is_contact else effect.to.id, effect.message)
        for effect in effects
        if isinstance(effect, fx.Send) and (kind is None or isinstance(effect.message, kind))
    ]


def targets(source: Context | list[fx.Effect], kind: type[Any]) -> list[int]:
    return [target for target, _ in sent(source, kind)]


def due(part: Any) -> float | None:
    """When something of this part of a node is due next."""
    times = (expiry.next() for expiry in part.expiries)
    return min((at for at in times if at is not None), default=None)


def effects_of(effects: list[fx.Effect], kind: type[T]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]


def state(
    rid: int,
    successors: Iterable[int] = (),
    predecessor: int | None = None,
    status: Status = Status.ACTIVE,
    label: RingLabel | None = LABEL,
    candidate: int | None = None,
) -> State:
    """An answer to a question about state."""
    return State(
        rid,
        int(status),
        label,
        None if predecessor is None else ref(predecessor),
        refs(*successors),
        None if candidate is None else ref(candidate),
    )


def _plain(value: Any) -> Any:
    """A node as its identifier, anything else as it is."""
    return value.id if isinstance(value, NodeRef) else value


def _note(signal: Signal[...]) -> Callable[..., None]:
    def note(parts: Parts, *what: Any) -> None:
        parts.told.append((signal.name, *map(_plain, what)))

    return note


HEARING = [part for part in PARTS if part.name in ("stabilise", "rectify", "lookups")]


class Parts:
    """The parts below a node, wired as a node wires them; deaths are noted and change nothing."""

    HEARERS: ClassVar = {
        **hearers(HEARING, {signal: _note(signal) for signal in SIGNALS}),
        DIED: [(None, _note(DIED))],
    }

    def __init__(self, me: int = 10, **changes: Any) -> None:
        self.ctx = Context(config(**changes), ref(me), Random(0), self, self.HEARERS)
        self.ctx.set_status(Status.ACTIVE)
        self.told: list[tuple[Any, ...]] = []
        """The signals, by name, and what came with them."""
        self.results: list[Result] = []
        self.routes = Routes(self.ctx)
        self.requests = Requests(self.ctx)
        self.detector = Detector(self.ctx)
        self.ring = Pointers(self.ctx)
        self.stabilise = Stabilise(
            self.ctx, self.ring, self.routes, self.requests, self.detector, self.state
        )
        self.rectify = Rectify(self.ctx, self.ring, self.requests, self.detector)
        self.departure = Departure(self.ctx, self.ring, self.requests, self.detector, lambda: 0)
        self.answering = Answering(self.ctx, self.ring, self.routes, self.detector)
        self.lookups = Lookups(self.ctx, self.ring, self.answering, self.requests, self.detector)
        for purpose in Purpose:
            self.lookups.handle(purpose, self.results.append)

    def state(self, rid: int) -> State:
        ring, status = self.ring, int(self.ctx.status)
        return State(rid, status, ring.label, ring.predecessor, list(ring.successors), None)

    @property
    def verdicts(self) -> list[tuple[str, int]]:
        """What the failure detector has found."""
        return [word for word in self.told if word[0] in ("suspected", "died", "survived")]

    def evict(self, peer: NodeRef) -> None:
        """What the ring does when ``peer`` is dead."""
        self.stabilise.died(peer)
        self.rectify.died(peer)

    def place(self, predecessor: int, *successors: int, fingers: Iterable[int] = ()) -> None:
        """Put the node into a ring."""
        self.ring.label = LABEL
        self.ring.predecessor = ref(predecessor)
        self.ring.successors = refs(*successors)
        adoption = self.ring.adoption
        adoption.joined = adoption.behind = adoption.answered = True
        self.routes.rebuild(self.ring.successors, refs(*fingers))
        for identifier in {predecessor, *successors, *fingers} - {self.ctx.my_id}:
            self.ctx.peers.note(ref(identifier))
            self.ctx.peers.heard(ref(identifier))

    def fresh(self) -> None:
        """Forget the effects and the words so far."""
        self.ctx.effects = []
        self.told = [word for word in self.told if word in self.verdicts]

    def asked(self, kind: type[Any] = msg.GetState) -> tuple[int, int]:
        """Target and request number of the only question of this kind that was sent."""
        ((target, question),) = sent(self.ctx, kind)
        return target, question.rid

    def advance(self, seconds: float) -> None:
        self.ctx.now += seconds


def place(
    node: ChordNode, predecessor: int, successors: Iterable[int], fingers: dict[int, int] | None
) -> None:
    """Make ``node`` a member with these pointers, as if it had long been one."""
    node.ctx.set_status(Status.ACTIVE)
    node.ring.label = LABEL
    node.ring.adoption.joined = node.ring.adoption.behind = node.ring.adoption.answered = True
    node.ring.predecessor = ref(predecessor)
    node.ring.successors = refs(*successors)
    for slot, identifier in (fingers or {}).items():
        node.fingers.slots[slot] = ref(identifier)
    node.fingers.reroute()
    # In a certain order: what an audit chooses by chance must not depend on the hashing of bytes.
    for known in dict.fromkeys([*node.routes.nodes(), ref(predecessor)]):
        node.ctx.peers.note(known)
        node.ctx.peers.heard(known)


def placed(me: int, members: Iterable[int], **changes: Any) -> ChordNode:
    """A node with the right pointers in the ring of these ``members`` (itself included)."""
    settings = config(**changes)
    node = ChordNode(settings, ref(me), Random(me))
    ring = sorted(members)
    view = ideal_view(ring, ring.index(me), node.ctx.space, settings.successors)
    assert view.predecessor is not None
    place(node, view.predecessor, view.successors, dict(view.fingers))
    return node


def step(node: ChordNode, sender: int | NodeRef, message: msg.PeerMessage, now: float = 0.0):
    """Let ``node`` receive a message; who sent it answers for itself if that is asked for."""
    source = ref(sender) if isinstance(sender, int) else sender
    effects = node.step(ev.Received(source, message), now)
    if fx.Verify(source) in effects:
        standing = ev.Standing(source, int(Status.ACTIVE), LABEL, None)
        effects += node.step(ev.Verified(source, standing), now)
    return effects


class Wire:
    """Right ring of nodes, joined by links that take a millisecond and can be told to misbehave.

    Nodes have no alarms set at first, so nothing happens but what the test begins; with ``ticking``
    the nodes are also told when their time has come.
    """

    DELAY_S = 0.001

    def __init__(self, members: Iterable[int], *, ticking: bool = True, **changes: Any) -> None:
        ring = sorted(members)
        self.nodes = {member: placed(member, ring, **changes) for member in ring}
        self.now = 0.0
        self.ticking = ticking
        self.log: list[tuple[float, int, int, msg.PeerMessage]] = []
        self.effects: list[tuple[int, fx.Effect]] = []
        self.dropped: Callable[[int, int, msg.PeerMessage], bool] = lambda *_: False
        self._dead: set[int] = set()
        self._silent: set[int] = set()
        self._heap: list[tuple[float, int, int, ev.Event]] = []
        self._count = 0

    def event(self, member: int, event: ev.Event, delay: float = 0.0) -> None:
        """Let something happen to a node ``delay`` seconds from now."""
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, member, event))

    def add(self, member: int, bootstrap: int, **changes: Any) -> None:
        """Start a node that is in no ring yet."""
        self.nodes[member] = ChordNode(config(**changes), ref(member), Random(member))
        self.event(member, ev.Start([f"n{bootstrap}"], []))

    def kill(self, member: int, *, noticed: bool = True) -> None:
        """End a node; those who point at it find their connection broken if ``noticed``."""
        self._dead.add(member)
        for other, node in self.nodes.items():
            before = node.predecessor
            points = raw(member) in node.routes.raws or (before is not None and before.id == member)
            if noticed and points and other not in self._dead:
                self.event(other, ev.LinkDown(ref(member), ev.LinkFault.BROKEN), self.DELAY_S)

    def silence(self, member: int) -> None:
        """Freeze a node: what is sent to it is lost without a word."""
        self._silent.add(member)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while True:
            at, member = min(
                (
                    (node.deadline, member)
                    for member, node in self.nodes.items()
                    if self.ticking and node.deadline is not None and self._lives(member)
                ),
                default=(float("inf"), -1),
            )
            first = self._heap[0][0] if self._heap else float("inf")
            if min(at, first) > end:
                break
            if at < first:
                self.now = max(self.now, at)
                self._step(member, ev.Tick())
            else:
                self.now, _, member, event = heapq.heappop(self._heap)
                self._step(member, event)
        self.now = end

    def messages(self, kind: type[T]) -> list[tuple[int, int, T]]:
        """What was sent of one kind: (from, to, message)."""
        return [(a, b, m) for _, a, b, m in self.log if isinstance(m, kind)]

    def told(self, kind: type[T]) -> list[tuple[int, T]]:
        """Effects of one kind, each with the node it comes from."""
        return [(member, e) for member, e in self.effects if isinstance(e, kind)]

    def records(self) -> dict[int, list[fx.Record]]:
        """What every node recorded."""
        found: dict[int, list[fx.Record]] = {member: [] for member in self.nodes}
        for member, record in self.told(fx.Record):
            found[member].append(record)
        return found

    def _lives(self, member: int) -> bool:
        return member not in self._dead and member not in self._silent

    def _step(self, member: int, event: ev.Event) -> None:
        if not self._lives(member):
            return
        for effect in self.nodes[member].step(event, self.now):
            self.effects.append((member, effect))
            if isinstance(effect, fx.Send):
                self._send(member, effect.to, effect.message)
            elif isinstance(effect, fx.Verify):
                target = int(effect.node.address[1:])
                lives = target in self.nodes and self._lives(target)
                found = self.nodes[target].standing() if lives else None
                self.event(member, ev.Verified(effect.node, found), 2 * self.DELAY_S)

    def _send(self, member: int, to: NodeRef, message: msg.PeerMessage) -> None:
        target = int(to.address[1:])
        self.log.append((self.now, member, target, message))
        if target in self._dead or target not in self.nodes:
            self.event(member, ev.LinkDown(to, ev.LinkFault.REFUSED), self.DELAY_S)
        elif not self.dropped(member, target, message):
            self.event(target, ev.Received(ref(member), message), self.DELAY_S)
