"""The parts of a node and what they tell each other: who hears of what, in which order.

A part knows the others only through the hooks that its own file states; this class implements all
of them. :class:`chordnet.core.node.ChordNode` adds what comes from outside: events and messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from chordnet.core.base import effects as fx
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.events import Standing
from chordnet.core.base.messages import LedgerState, NodeRef, RingLabel, Status
from chordnet.core.broadcast.tree import Broadcasts
from chordnet.core.join.audit import Audit
from chordnet.core.join.joining import Joining
from chordnet.core.kernel import membership
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.requests import Requests
from chordnet.core.kernel.timers import Alarm
from chordnet.core.log.antientropy import AntiEntropy
from chordnet.core.log.ledger import Ledger, OriginKey
from chordnet.core.lookup.answering import Answering
from chordnet.core.lookup.lookup import Lookups, Purpose, Result
from chordnet.core.parts import PARTS
from chordnet.core.ring.fingers import Fingers
from chordnet.core.ring.identities import Identities
from chordnet.core.ring.routing import Routes
from chordnet.core.ring.successors import Ring
from chordnet.core.ring.walk import Walks

MAX_RECORDED = 8192
"""Bounds of intervals in one answer about what is recorded."""
_OF_MEMBERS = tuple(a for a in Alarm if a not in (Alarm.PROBES, Alarm.PEERS, Alarm.LEAVE))
"""Alarms that mean nothing to a node in no ring for good."""
CHECK_TTL = 8
"""Hops of the check of a finger: from it back along predecessors to the slot's owner."""


class Wiring:
    """The parts of one node.

    :param config: its settings.
    :param me: its own pointer.
    :param rng: the only source of randomness.
    """

    routes: Routes
    requests: Requests
    detector: Detector
    ring: Ring
    answering: Answering
    lookups: Lookups
    fingers: Fingers
    joining: Joining
    audit: Audit
    ledger: Ledger
    sync: AntiEntropy
    broadcasts: Broadcasts
    identities: Identities
    walks: Walks

    def __init__(self, config: ProtocolConfig, me: NodeRef, rng: Random) -> None:
        self.config = config
        self.me = me
        self._status = Status.UNJOINED
        self._superseded = ""
        self.ctx = ctx = Context(config, me, rng)
        for part in PARTS:
            setattr(self, part.name, part.make(self))
        ctx.on_hint = self.identities.hint
        self.lookups.handle(Purpose.FINGER, self._finger_found)
        self.lookups.handle(Purpose.FINGER_CHECK, self._finger_checked)
        self.lookups.handle(Purpose.PROGRAM, self._program_answered)
        self._hinted: NodeRef | None = None
        self.departing: NodeRef | None = None
        """Who is being held for dead because it leaves."""

    def place(
        self,
        label: RingLabel,
        predecessor: NodeRef,
        successors: Sequence[NodeRef],
        fingers: Mapping[int, NodeRef],
        bootstrap: Sequence[str],
        now: float,
    ) -> list[fx.Effect]:
        """Be a member of a ring from now on, with these pointers, instead of joining one.

        For simulators and tests that need a large or a wrong ring at once. Upkeep goes on at its
        idle pace from a random phase.

        :param fingers: slot -> node, for every slot whose node is another one.
        """
        ctx = self.ctx
        ctx.now, ctx.effects = now, []
        membership.check(self._status, Status.ACTIVE)
        self._status = Status.ACTIVE
        self.joining.know(bootstrap)
        for node in (predecessor, *successors, *fingers.values()):
            ctx.peers.note(node)
        self.ring.place(label, predecessor, successors)
        self.fingers.place(fingers)
        self.tables_changed()
        self.audit.start()
        self.sync.place()
        ctx.effects.append(fx.StatusChanged(Status.UNJOINED, Status.ACTIVE))
        return ctx.effects

    # ---- what a runtime or a test may look at -----------------------------------------------

    @property
    def predecessor(self) -> NodeRef | None:
        """The predecessor; itself in a ring of one, None outside of any ring."""
        return self.ring.predecessor

    @property
    def successors(self) -> Sequence[NodeRef]:
        """The successor list, nearest first, without this node."""
        return self.ring.successors

    @property
    def has_joined(self) -> bool:
        """Whether both neighbours have taken this node in, at some time in this life."""
        return self.ring.adoption.joined

    @property
    def label(self) -> RingLabel | None:
        """The label of the ring that this node is in."""
        return self.ring.label

    @property
    def finger_slots(self) -> Sequence[tuple[int, NodeRef]]:
        """Every slot of the finger table whose node is another one: (index, node)."""
        return [(i, node) for i, node in enumerate(self.fingers.slots) if node is not None]

    @property
    def counters(self) -> dict[str, int]:
        """Counts of what happened since the start, by the names of :class:`CoreMetric`."""
        return self.ctx.counters.named()

    def recorded(self, after: OriginKey | None, origins: int) -> Sequence[LedgerState]:
        """Return what is recorded of up to ``origins`` origins behind ``after``, in order."""
        return self.ledger.page(after, origins, MAX_RECORDED)

    def status(self) -> Status:
        """Return where this node is in its life."""
        return self._status

    def is_member(self) -> bool:
        """Return True if this node is active in a ring."""
        return self._status == Status.ACTIVE

    @property
    def reason(self) -> str:
        """Why this node is in no ring, in words; empty where the status says all."""
        if self._status == Status.SUPERSEDED:
            return self._superseded
        return self.joining.reason if self._status == Status.SEEKING else ""

    def known(self, raw: bytes) -> NodeRef | None:
        """Return the node that has this identifier, as far as is known here."""
        return self.ctx.peers.get(raw)

    def doubts(self, node: NodeRef) -> bool:
        """Return True if ``node`` has to be judged (``Greeted``) before it is listened to."""
        return self.identities.doubts(node)

    def doubt(self, node: NodeRef) -> str:
        """Return why it has to be, in words."""
        return self.identities.doubt(node)

    def standing(self) -> Standing:
        """Return what this node says when it is asked who it is."""
        label = self.ring.label if self._status in membership.MEMBER else None
        return Standing(self.me, int(self._status), label, self.ring.before)

    def superseded(self, reason: str) -> None:
        """Identities: another node has our name, and keeps it."""
        self._superseded = reason
        was_member = self.is_member()
        self.become(Status.SUPERSEDED, reason)
        if was_member:
            self.say_goodbye()
        for alarm in _OF_MEMBERS:
            self.ctx.alarms.cancel(alarm)

    def admitted(self, node: NodeRef, held: list[msg.PeerMessage]) -> None:
        """Identities: ``node`` has its name from now on."""
        raise NotImplementedError

    def say_goodbye(self) -> bool:
        """Tell both neighbours that this node leaves; return False if there are none."""
        ring = self.ring
        if not ring.successors:
            return False
        word = msg.Leaving(ring.predecessor, list(ring.successors))
        neighbours = {n.raw: n for n in (ring.head, ring.predecessor) if n is not None}
        for neighbour in neighbours.values():
            self.ctx.send(neighbour, word)
        return True

    def clock_behind(self, reason: str) -> None:
        """Identities: the clock of this node is behind."""
        self.joining.clock_behind(reason)

    def become(self, status: Status, reason: str = "") -> None:
        """Change the status and do what the new one brings with it."""
        old = self._status
        if old == status:
            return
        membership.check(old, status)
        self._status = status
        ctx = self.ctx
        ctx.effects.append(fx.StatusChanged(old, status, reason))
        if status == Status.ACTIVE:
            ctx.alarms.cancel(Alarm.JOIN)
            ctx.alarms.sooner(Alarm.STABILISE, ctx.now)
            self.fingers.refresh()
            self.audit.start()
            self.sync.start()
            self.ring.check_joined()

    def state_answer(self, rid: int) -> msg.State:
        """Build the answer to a question about this node's state."""
        ring, status = self.ring, int(self._status)
        if self._status in membership.MEMBER:
            return msg.State(
                rid, status, ring.label, ring.predecessor, list(ring.successors), None,
                self.sync.digest,
            )  # fmt: skip
        return msg.State(rid, status, None, None, [], self.joining.candidate())

    def matters(self, peer: NodeRef) -> bool:
        """Return True if this node has any use for knowing that ``peer`` lives."""
        before = self.ring.predecessor
        return (
            peer.raw in self.routes.raws
            or (before is not None and before.raw == peer.raw)
            or self.broadcasts.under_way > 0
            or self.detector.suspects(peer.raw)
            or not self.is_member()
        )

    # ---- what the parts tell each other -----------------------------------------------------

    def successors_changed(self, old_head: NodeRef | None) -> None:
        """Ring: the successor list is another one now."""
        self.tables_changed()
        self.fingers.neighbours_changed()
        head = self.ring.head
        if head.raw != self.me.raw and (old_head is None or old_head.raw != head.raw):
            self.fingers.tell_others(head, alive=True)

    def predecessor_changed(self, old: NodeRef | None) -> None:
        """Ring: the predecessor is another one now."""
        self.fingers.neighbours_changed()
        new = self.ring.predecessor
        if new is not None and new.raw != self.me.raw:
            self.broadcasts.newcomer.adopted(old, new)
            self.broadcasts.repairs.predecessor_changed(new)

    def tables_changed(self) -> None:
        """Ring or fingers: the routes have to be made anew."""
        self.routes.rebuild(self.ring.successors, self.fingers.distinct())

    def joined(self) -> None:
        """Ring: both neighbours have taken this node in."""
        self.ctx.effects.append(fx.Joined())

    def label_seen(self, label: RingLabel, through: NodeRef) -> None:
        """Ring: a neighbour's ring has this label."""
        self.audit.label_seen(label, through)

    def last_resort(self) -> NodeRef | None:
        """Ring: some live node, now that the whole successor list is dead."""
        ctx = self.ctx
        before = self.ring.predecessor
        nodes = [*self.fingers.distinct(), *([before] if before is not None else [])]
        live = (n for n in nodes if n.raw != self.me.raw and not ctx.peers.is_dead(n, ctx.now))
        return next(live, None)

    def look_up_finger(self, slot: int, key: int) -> None:
        """Fingers: find the owner of this slot's start; at rest, ask the node in the slot."""
        node = self.fingers.slots[slot]
        if node is None or not self.fingers.may_check:
            self.lookups.start(Purpose.FINGER, slot, key)
        else:
            self.lookups.start(Purpose.FINGER_CHECK, slot, key, via=node, last=True, ttl=CHECK_TTL)

    def bootstrap(self) -> list[NodeRef]:
        """Audit: the contacts from the configuration."""
        return self.joining.bootstrap

    def points_at(self, peer: NodeRef) -> bool:
        """Audit: whether ``peer`` is in the successor list or the finger table."""
        return peer.raw in self.routes.raws

    def own_answer(self, answer: msg.Found | msg.FindFailed) -> None:
        """Answering: a question of our own has ended at this node itself."""
        if isinstance(answer, msg.Found):
            self.lookups.on_found(self.me, answer)
        else:
            self.lookups.on_find_failed(self.me, answer)

    def _finger_found(self, result: Result) -> None:
        """Lookups: one for the owner of a finger's slot has ended."""
        self.fingers.looked_up(result.tag, result.node)

    def _finger_checked(self, result: Result) -> None:
        """Lookups: the node in a slot has said whether it still owns it."""
        if result.node is None or result.label != self.ring.label:
            # Too far off, gone, or of another ring: our own ring knows.
            self.lookups.start(Purpose.FINGER, result.tag, self.fingers.start(result.tag))
        else:
            self._finger_found(result)

    def _program_answered(self, result: Result) -> None:
        """Lookups: one that the program asked for has ended."""
        done = fx.LookupDone(result.tag, result.node, result.path, result.reason)
        self.ctx.effects.append(done)

    def suspected(self, peer: NodeRef) -> None:
        """Detector: a probe of ``peer`` has begun."""
        if self.is_member() and self.ring.successors and self.ring.head.raw == peer.raw:
            self._hinted = peer
            self.fingers.tell_others(peer, alive=False)

    def died(self, peer: NodeRef) -> None:
        """Detector: ``peer`` is dead."""
        if self.matters(peer):
            self.ctx.effects.append(fx.PeerDied(peer, left=self.departing == peer))
        if self.is_member():
            if self.ring.head.raw == peer.raw and self._hinted != peer:
                self.fingers.tell_others(peer, alive=False)
            self.ring.evict(peer)
            self.fingers.evict(peer)
        self.joining.forget(peer)
        self.requests.died(peer)
        self.lookups.died(peer)
        self.broadcasts.repairs.died(peer)
        self.broadcasts.headless.died(peer)

    def survived(self, peer: NodeRef) -> None:
        """Detector: ``peer`` was suspected and lives."""
        self._hinted = None
        self.broadcasts.repairs.survived(peer)
