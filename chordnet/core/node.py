"""``ChordNode``: one node of the ring as a pure machine. Events in, effects out.

:meth:`ChordNode.step` takes one event and returns what to do, in order. It reads no clock, opens no
socket and draws randomness only from the source it was given, so the same events at the same times
give the same effects, in a container, in a test, in a simulation and in a replay.

The parts, each a file of its own: membership and joining, the ring (successors, predecessor),
fingers, lookups, the audit, broadcasts, the failure detector, connected in ``wiring.py``. This file
takes what comes from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, ClassVar

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef, Status
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.base.naming import Names
from chordnet.core.kernel import membership
from chordnet.core.kernel.checks import Checks, NamingRules
from chordnet.core.kernel.peers import PEERS_PAUSE_S
from chordnet.core.kernel.timers import Alarm
from chordnet.core.lookup.lookup import Purpose
from chordnet.core.parts import PARTS, OnAlarm, OnMessage, alarms, messages
from chordnet.core.wiring import Wiring

DRAIN_PAUSE_S = 0.05
_NEVER = float("inf")


class ChordNode(Wiring):
    """One node.

    :param config: its settings; all nodes of a network must agree on ``bits``.
    :param me: its own pointer; the incarnation must be higher than that of every earlier life.
    :param rng: the only source of randomness, for jitter, labels and the choice of audit peers.
    :param names: the rules for the names and addresses that peers tell of; None accepts all.
    """

    def __init__(
        self, config: ProtocolConfig, me: NodeRef, rng: Random, names: NamingRules | None = None
    ) -> None:
        super().__init__(config, me, rng)
        self.checks = Checks(config, self.ctx.space, names)
        self._check_of = self.checks.of
        for part in (self.requests, self.lookups, self.broadcasts, self.sync):
            for expiry in part.expiries:
                expiry.horizon = self.ctx.horizon
        self._leave_limit = 0.0
        self._told_peers: set[tuple[bytes, int]] = set()

    # ---- the machine ------------------------------------------------------------------------

    def step(self, event: ev.Event, now: float) -> list[fx.Effect]:
        """Take one event.

        :param now: seconds on a clock that never goes back; any origin, the same for all events.
        :returns: what to do, in this order.
        """
        ctx = self.ctx
        ctx.now = now
        effects: list[fx.Effect] = []
        ctx.effects = effects
        self._on_event[type(event)](self, event)
        return effects

    @property
    def deadline(self) -> float | None:
        """When a ``Tick`` is due next, on the clock of ``now``; None while nothing waits."""
        horizon, soonest = self.ctx.horizon, self.ctx.alarms.next()
        # A copy: what has nothing to wait for any more drops out of the list.
        for expiry in horizon.waiting.copy():
            at = expiry.next()
            if at is not None and (soonest is None or at < soonest):
                soonest = at
        horizon.bound = _NEVER if soonest is None else soonest
        return soonest

    @property
    def bound(self) -> float:
        """A time before which no ``Tick`` is due: ``deadline`` is no sooner, and dearer to know."""
        return self.ctx.horizon.bound

    def _tick(self, event: ev.Tick) -> None:
        for name in self.ctx.alarms.due(self.ctx.now):
            self._on_alarm[name](self)
        if self.ctx.horizon.waiting:
            self.requests.tick()
            self.lookups.tick()
            self.broadcasts.tick()
            self.sync.tick()

    # ---- events -----------------------------------------------------------------------------

    def _start(self, event: ev.Start) -> None:
        self.ctx.wall = event.wall
        for peer in event.known:
            if self.checks.accepts(peer) and not self.identities.is_ahead(peer):
                self.ctx.peers.note(peer)
        self.ledger.restore(event.ledger)
        for recent in event.recent:
            self.broadcasts.remember(recent)
        self.joining.start(event.bootstrap, alone=event.alone)

    def _greeted(self, event: ev.Greeted) -> None:
        self.ctx.wall = event.wall
        if event.dialled:
            self.identities.replace(event.node)
        else:
            self.identities.greeted(event.node, event.rival)

    def admitted(self, node: NodeRef, held: list[msg.PeerMessage]) -> None:
        """Identities: ``node`` has its name from now on."""
        if self.is_member():
            self.ring.soon()
        for message in held:
            self._received(ev.Received(node, message))

    def _begin(self, event: ev.Begin) -> None:
        self.joining.begin()

    def _received(self, event: ev.Received) -> None:
        sender = event.sender
        if self.ctx.peers.is_routine(sender) and not self.detector.probes:
            self.ring.heard(sender)
        elif not self._meet(sender, event.message):
            return
        message = event.message
        kind = type(message)
        check = self._check_of(kind)
        if check is not None:
            fault = check(message)
            if fault:
                self.ctx.effects.append(fx.Misbehaved(sender, fault))
                return
        self._on_message[kind](self, sender, message)

    def _meet(self, sender: NodeRef, message: msg.PeerMessage) -> bool:
        """Take note of who is speaking; return True if it is to be heeded."""
        ctx, peers = self.ctx, self.ctx.peers
        if sender.raw == ctx.me.raw or not ctx.space.valid_raw(sender.raw):
            ctx.counters.add(CoreMetric.MESSAGES_IGNORED)
            return False
        if self.identities.doubts(sender):
            self.identities.spoke(sender, message)
            return False
        self.identities.accepted()
        peers.note(sender)
        lost = peers.heard(sender)
        self.detector.heard(sender)
        self.ring.heard(sender)
        if peers.changed:
            ctx.alarms.sooner(Alarm.PEERS, ctx.now + PEERS_PAUSE_S)
        if lost and self.is_member():
            self.audit.evidence(sender)
        return True

    def _link_down(self, event: ev.LinkDown) -> None:
        peer, fault = event.peer, event.fault
        if event.holder:
            self.identities.twin(event.holder)
        if fault == ev.LinkFault.OVERLOADED:
            self.ctx.counters.add(CoreMetric.OVERLOADED)
        elif peer.is_contact:
            self.joining.fault(event)
            self.requests.died(peer)
        elif self._is_misnamed(peer):
            self.requests.died(peer)
        elif self.matters(peer):
            self.detector.link_down(peer, fault)
        elif fault != ev.LinkFault.CLOSED:
            self.requests.died(peer)

    def _is_misnamed(self, peer: NodeRef) -> bool:
        """Return True if a pointer at another address than the node's own led nowhere.

        A peer has named it so. The node itself may be alive where it has spoken from.
        """
        known = self.ctx.peers.get(peer.raw)
        return known is not None and known.address != peer.address

    def _publish(self, event: ev.Publish) -> None:
        self.broadcasts.publish(event)

    def _find_owner(self, event: ev.FindOwner) -> None:
        if not self.is_member():
            self.ctx.effects.append(fx.LookupDone(event.op, None, [], "not in a ring"))
        else:
            key = int.from_bytes(event.key)
            self.lookups.start(Purpose.PROGRAM, event.op, key, iterative=event.iterative)

    def _spoiled(self, event: ev.Spoiled) -> None:
        self.sync.spoiled(event.ids)

    def _leave(self, event: ev.Leave) -> None:
        ctx = self.ctx
        if self._status in (Status.LEAVING, Status.LEFT):
            return
        was_member = self.is_member()
        self.become(Status.LEAVING)
        told = was_member and self.say_goodbye()
        ctx.alarms.cancel(Alarm.JOIN)
        ctx.alarms.cancel(Alarm.STABILISE)
        self._leave_limit = ctx.now + ctx.config.leave_limit_s
        if told:
            ctx.alarms.set(Alarm.LEAVE, ctx.now + ctx.config.leave_drain_s)
        else:
            self._drained()

    def _drained(self) -> None:
        ctx = self.ctx
        if self.broadcasts.under_way and ctx.now < self._leave_limit:
            ctx.alarms.set(Alarm.LEAVE, ctx.now + DRAIN_PAUSE_S)
            return
        self.become(Status.LEFT)
        ctx.effects.append(fx.LeftRing())

    def _tell_peers(self) -> None:
        self.ctx.peers.changed = False
        peers = self.ctx.peers.worth_keeping(self.routes.raws)
        told = {(peer.raw, peer.incarnation) for peer in peers}
        if told != self._told_peers:
            self._told_peers = told
            self.ctx.effects.append(fx.PeersKnown(peers))

    # ---- messages that concern several parts ------------------------------------------------

    def on_ping(self, sender: NodeRef, message: msg.Ping) -> None:
        """Somebody wants to know whether this node lives."""
        self.ctx.send(sender, msg.Pong(message.rid, int(self._status)))

    def on_pong(self, sender: NodeRef, message: msg.Pong) -> None:
        """``sender`` lives, and may be about to leave."""
        if message.status in (Status.LEAVING, Status.LEFT, Status.SUPERSEDED):
            self._depart(sender)
        self.requests.answered(sender, message)

    def on_get_state(self, sender: NodeRef, message: msg.GetState) -> None:
        """Somebody asks for our pointers, or whether we have any."""
        if self._status in membership.MEMBER:
            self.broadcasts.newcomer.told(sender)
            self.ring.asked(sender, message)
            return
        self.joining.asked(sender, message.status)
        self.ctx.send(sender, self.state_answer(message.rid))

    def on_state(self, sender: NodeRef, message: msg.State) -> None:
        """``sender`` tells its pointers, and the digest of what it has recorded."""
        self.requests.answered(sender, message)
        if message.status == Status.ACTIVE:
            self.sync.compared(sender, message.digest)

    def on_leaving(self, sender: NodeRef, message: msg.Leaving) -> None:
        """``sender`` leaves the ring."""
        self._depart(sender)
        if self.is_member():
            self.ring.departing(sender, message)

    def _depart(self, peer: NodeRef) -> None:
        """``peer`` leaves on purpose: as good as dead, whatever it still says."""
        self.departing = peer
        self.detector.condemn(peer)
        self.departing = None
        self.ctx.peers.departed(peer, self.ctx.now)

    # ---- what is handled where (one table for all nodes) ------------------------------------

    _on_event: ClassVar[dict[type, Callable[[ChordNode, Any], None]]] = {
        ev.Start: _start,
        ev.Begin: _begin,
        ev.Greeted: _greeted,
        ev.Verified: lambda node, event: node.identities.verified(event),
        ev.Received: _received,
        ev.LinkDown: _link_down,
        ev.Tick: _tick,
        ev.FindOwner: _find_owner,
        ev.Walk: lambda node, event: node.walks.start(event),
        ev.Publish: _publish,
        ev.Spoiled: _spoiled,
        ev.Leave: _leave,
    }
    _on_message: ClassVar[OnMessage] = messages(
        PARTS,
        {
            msg.Ping: on_ping,
            msg.Pong: on_pong,
            msg.GetState: on_get_state,
            msg.State: on_state,
            msg.Leaving: on_leaving,
        },
    )
    _on_alarm: ClassVar[OnAlarm] = alarms(PARTS, {Alarm.PEERS: _tell_peers, Alarm.LEAVE: _drained})


def real_node(config: ProtocolConfig, me: NodeRef, rng: Random) -> ChordNode:
    """Return a node that holds its peers to the rules for names and addresses of real networks."""
    return ChordNode(config, me, rng, Names(IdentifierSpace(config.bits)))
