"""``ChordNode``: one node of the ring as a pure machine. Events in, effects out.

:meth:`ChordNode.step` takes one event and returns what to do, in order. It reads no clock, opens no
socket and draws randomness only from the source it was given, so the same events at the same times
give the same effects, in a container, in a test, in a simulation and in a replay.

A node consists of parts (:mod:`chordnet.core.parts`), each in a file of its own. This file makes
them, hands them events, and shows what a runtime may look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import LedgerState, NodeRef, RingLabel, Status
from chordnet.core.base.naming import Names
from chordnet.core.broadcast.newcomer import Newcomer
from chordnet.core.broadcast.records import Records
from chordnet.core.broadcast.reports import Reports
from chordnet.core.broadcast.tree import Broadcasts
from chordnet.core.fingers.hints import Hints
from chordnet.core.fingers.table import Fingers
from chordnet.core.join.audit import Audit
from chordnet.core.join.joining import Joining
from chordnet.core.kernel import membership, signals
from chordnet.core.kernel.checks import Checks, NamingRules
from chordnet.core.kernel.context import Context, Table
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.requests import Requests
from chordnet.core.kernel.timers import Alarm
from chordnet.core.log.antientropy import AntiEntropy
from chordnet.core.log.ledger import Ledger, OriginKey
from chordnet.core.lookup.answering import Answering
from chordnet.core.lookup.lookup import Lookups
from chordnet.core.mailroom import Mailroom
from chordnet.core.parts import (
    PARTS,
    OnAlarm,
    OnEvent,
    OnMessage,
    alarms,
    events,
    hearers,
    messages,
)
from chordnet.core.presence import Presence
from chordnet.core.reach import Reach
from chordnet.core.ring.identities import Identities
from chordnet.core.ring.leave import Departure
from chordnet.core.ring.pointers import Pointers
from chordnet.core.ring.rectify import Rectify
from chordnet.core.ring.routing import Routes
from chordnet.core.ring.stabilise import Stabilise
from chordnet.core.ring.walk import Walks
from chordnet.core.seals.notary import Notary
from chordnet.core.seals.sealing import Seals

MAX_RECORDED = 8192
"""Bounds of intervals in one page of what is recorded."""
_NEVER = float("inf")


class ChordNode:
    """One node.

    :param config: its settings; all nodes of a network must agree on ``bits``.
    :param me: its own pointer; the incarnation must be higher than that of every earlier life.
    :param rng: the only source of randomness: jitter, labels, lookup numbers, choices of peers.
    :param names: the rules for the names and addresses that peers send; None accepts all.
    :param notary: makes and checks seals of origin; None for a network without certificates.
    """

    routes: Routes
    requests: Requests
    detector: Detector
    ring: Pointers
    stabilise: Stabilise
    rectify: Rectify
    answering: Answering
    lookups: Lookups
    fingers: Fingers
    hints: Hints
    joining: Joining
    audit: Audit
    ledger: Ledger
    sync: AntiEntropy
    seals: Seals
    newcomer: Newcomer
    records: Records
    reports: Reports
    broadcasts: Broadcasts
    identities: Identities
    walks: Walks
    departure: Departure
    presence: Presence
    reach: Reach
    mailroom: Mailroom

    def __init__(
        self,
        config: ProtocolConfig,
        me: NodeRef,
        rng: Random,
        names: NamingRules | None = None,
        notary: Notary | None = None,
    ) -> None:
        self.config = config
        self.me = me
        self.notary = notary
        self.ctx = ctx = Context(config, me, rng, self, self._hearers)
        for part in PARTS:
            setattr(self, part.name, part.make(self))
        self.checks = Checks(config, ctx.space, names)
        self._check_of = self.checks.of
        self._waiting = (self.requests, self.lookups, self.broadcasts, self.sync)
        for waiting in self._waiting:
            for expiry in waiting.expiries:
                expiry.horizon = ctx.horizon
        self._told_peers: set[tuple[bytes, int]] = set()

    def place(
        self,
        label: RingLabel,
        predecessor: NodeRef,
        successors: Sequence[NodeRef],
        fingers: Mapping[int, NodeRef],
        bootstrap: Sequence[str],
        now: float,
    ) -> list[fx.Effect]:
        """Become a member of a ring with these pointers, instead of joining one.

        For simulators and tests that need a large or a wrong ring from the start. Upkeep goes on at
        its idle pace, from a random phase.

        :param fingers: slot -> node, for every slot whose node is another one.
        """
        ctx = self.ctx
        ctx.now, ctx.effects = now, []
        membership.check(ctx.status, Status.ACTIVE)
        ctx.set_status(Status.ACTIVE)
        self.joining.know(bootstrap)
        for node in (predecessor, *successors, *fingers.values()):
            ctx.peers.note(node)
        self.stabilise.place()
        self.rectify.place()
        self.ring.place(label, predecessor, successors)
        self.fingers.place(fingers)
        self.fingers.reroute()
        self.audit.start()
        self.sync.place()
        ctx.effects.append(fx.StatusChanged(Status.UNJOINED, Status.ACTIVE))
        return ctx.effects

    # ---- the machine ------------------------------------------------------------------------

    def step(self, event: ev.Event, now: float) -> list[fx.Effect]:
        """Take one event.

        :param now: seconds on a clock that never goes back; any origin, the same for all events.
        :returns: what to do, to be performed in this order.
        """
        ctx = self.ctx
        ctx.now = now
        effects: list[fx.Effect] = []
        ctx.effects = effects
        name, handler = self._on_event[type(event)]
        handler(self if name is None else getattr(self, name), event)
        return effects

    @property
    def deadline(self) -> float | None:
        """When the next ``Tick`` is due, on the clock of ``now``; None if nothing waits."""
        horizon, soonest = self.ctx.horizon, self.ctx.alarms.next()
        # A copy: an expiry that turns out to be empty removes itself from the list.
        for expiry in horizon.waiting.copy():
            at = expiry.next()
            if at is not None and (soonest is None or at < soonest):
                soonest = at
        horizon.bound = _NEVER if soonest is None else soonest
        return soonest

    @property
    def bound(self) -> float:
        """Lower bound on :attr:`deadline`; O(1) to read."""
        return self.ctx.horizon.bound

    def _tick(self, event: ev.Tick) -> None:
        for alarm in self.ctx.alarms.due(self.ctx.now):
            name, handler = self._on_alarm[alarm]
            handler(self if name is None else getattr(self, name))
        for waiting in self._waiting:
            if any(waiting.expiries):  # most parts wait for nothing, most of the time
                waiting.tick()

    # ---- what comes from outside, and concerns several parts --------------------------------

    def _start(self, event: ev.Start) -> None:
        self.ctx.wall = event.wall
        for peer in event.known:
            if self.checks.accepts(peer) and not self.identities.is_ahead(peer):
                self.ctx.peers.note(peer)
        self.ledger.restore(event.ledger)
        for recent in event.recent:
            self.records.remember(recent)
        self.joining.start(event.bootstrap, alone=event.alone)

    def _received(self, event: ev.Received) -> None:
        sender, message = event.sender, event.message
        if self.ctx.peers.is_routine(sender) and not self.detector.probes:
            self.ring.heard(sender)
        elif not self.identities.admits(sender, message):
            return
        kind = type(message)
        check = self._check_of(kind)
        if check is not None:
            fault = check(message)
            if fault:
                self.ctx.effects.append(fx.Misbehaved(sender, fault))
                return
        name, handler, states = self._on_message[kind]
        if states is None or self.ctx.status in states:
            handler(getattr(self, name), sender, message)

    def _admitted(self, node: NodeRef, held: list[msg.PeerMessage]) -> None:
        """Heed the messages that ``node`` sent before it was admitted."""
        if self.ctx.is_member:
            self.stabilise.soon()
        for message in held:
            self._received(ev.Received(node, message))

    def state(self, rid: int) -> msg.State:
        """Build the answer to a question about this node's state."""
        return self.presence.state(rid)

    def _tell_peers(self) -> None:
        """Report the peers worth keeping, if they have changed, when the ``peers`` alarm rings."""
        self.ctx.peers.changed = False
        peers = self.ctx.peers.worth_keeping(self.routes.raws)
        told = {(peer.raw, peer.incarnation) for peer in peers}
        if told != self._told_peers:
            self._told_peers = told
            self.ctx.effects.append(fx.PeersKnown(peers))

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
        """Whether both neighbours have taken this node in at some time in this life."""
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
        """Counts of what happened since the start."""
        return self.ctx.counters.named()

    def recorded(self, after: OriginKey | None, origins: int) -> Sequence[LedgerState]:
        """Return what is recorded of up to ``origins`` origins after ``after``, in order."""
        return self.ledger.page(after, origins, MAX_RECORDED)

    def status(self) -> Status:
        """Return the state of this node's life."""
        return self.ctx.status

    def is_member(self) -> bool:
        """Return True if this node is active in a ring."""
        return self.ctx.is_member

    @property
    def reason(self) -> str:
        """Why this node is in no ring, in words; empty if the status says all."""
        if self.ctx.status == Status.SUPERSEDED:
            return self.departure.reason
        return self.joining.reason if self.ctx.status == Status.SEEKING else ""

    def known(self, raw: bytes) -> NodeRef | None:
        """Return the node with this identifier, as far as it is known here."""
        return self.ctx.peers.get(raw)

    def doubts(self, node: NodeRef) -> bool:
        """Return True if ``node`` has to be judged (``Greeted``) before it is heeded."""
        return self.identities.doubts(node)

    def doubt(self, node: NodeRef) -> str:
        """Return why ``node`` has to be judged, in words."""
        return self.identities.doubt(node)

    def standing(self) -> ev.Standing:
        """Return what this node says about itself when it is dialled."""
        return self.ring.standing()

    # ---- the tables of handlers, one for all nodes ------------------------------------------

    _on_event: ClassVar[OnEvent] = events(
        PARTS, {ev.Start: _start, ev.Received: _received, ev.Tick: _tick}
    )
    _on_message: ClassVar[OnMessage] = messages(PARTS)
    _on_alarm: ClassVar[OnAlarm] = alarms(PARTS, {Alarm.PEERS: _tell_peers})
    _hearers: ClassVar[Table] = hearers(PARTS, {signals.ADMITTED: _admitted})


def real_node(
    config: ProtocolConfig, me: NodeRef, rng: Random, notary: Notary | None = None
) -> ChordNode:
    """Return a node that holds its peers to the rules for names and addresses of real networks."""
    return ChordNode(config, me, rng, Names(IdentifierSpace(config.bits)), notary)
