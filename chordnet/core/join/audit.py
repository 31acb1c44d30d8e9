"""Finding and merging split rings: one mechanism for split and loopy rings and partitions.

Every ``audit_s``, and without delay when another ring's label is seen or a lost peer is heard from
again (but not more often than every ``audit_min_s``)::

    c := a random one of the bootstrap peers, the known peers and the peers believed dead;
         every other time one that we do not point at
    s := find_successor(self.id + 1), asked through c
    if s in (self, successor) and s is alive:
        old := successor; adopt [s] + s.list; notify s
        send TRYMERGE{candidate: old} to s
    if s lies beyond the successor, which that ring passes by:
        send TRYMERGE{candidate: s} to the node of our own ring before s, found by a lookup
    on TRYMERGE{candidate}, once the candidate has answered:
        candidate in (self, successor): adopt it, pass TRYMERGE{old successor} on to it
        otherwise: pass TRYMERGE{candidate} on to the successor

Two interleaved rings thereby close like a zip, from wherever a node of the one knows a node of the
other. The smaller label survives.

Sources: strong stabilisation (Liben-Nowell, Balakrishnan, Karger, PODC 2002) and ring unification
(Shafaat, Ghodsi, Haridi, P2P 2007).
"""

from __future__ import annotations

from typing import ClassVar

from chordnet.core.base.identifiers import between
from chordnet.core.base.limits import MERGE_TTL
from chordnet.core.base.messages import (
    FindKind,
    GetState,
    NodeRef,
    RingLabel,
    State,
    Status,
    TryMerge,
    contact,
)
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.join.joining import Joining
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.handlers import Handlers, Hearers, Ringers
from chordnet.core.kernel.requests import Answer, Ask, Question, Requests, ignore
from chordnet.core.kernel.signals import ENTERED, LABEL_SEEN, RETURNED
from chordnet.core.kernel.timers import Alarm
from chordnet.core.lookup.lookup import Lookups, Purpose, Result
from chordnet.core.ring.pointers import Pointers
from chordnet.core.ring.routing import Routes
from chordnet.core.ring.stabilise import Stabilise

SUCCESSOR, PLACE = 0, 1
"""What an audit looks up: our successor in that ring, or a stray node's place in ours."""


class Audit:
    """The audit of one node."""

    def __init__(
        self,
        ctx: Context,
        ring: Pointers,
        stabilise: Stabilise,
        routes: Routes,
        requests: Requests,
        lookups: Lookups,
        joining: Joining,
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._stabilise = stabilise
        self._routes = routes
        self._requests = requests
        self._lookups = lookups
        self._joining = joining
        self._last = float("-inf")
        self._through: NodeRef | None = None
        self._stray: NodeRef | None = None
        lookups.handle(Purpose.AUDIT, self.looked_up)
        requests.handle(Ask.AUDIT, self._answered, ignore)
        requests.handle(Ask.MERGE, self._answered, ignore)

    def start(self) -> None:
        """Plan the first audit of a new member."""
        # It comes early: rings are created side by side when many nodes start together.
        self._ctx.alarms.set(Alarm.AUDIT, self._ctx.jittered(self._ctx.config.audit_s / 4))

    def evidence(self, through: NodeRef) -> None:
        """Audit soon, through this node: it may be in another part of the ring."""
        ctx = self._ctx
        self._through = through
        ctx.alarms.sooner(Alarm.AUDIT, max(ctx.now, self._last + ctx.config.audit_min_s))

    def _returned(self, peer: NodeRef) -> None:
        if self._ctx.is_member:
            self.evidence(peer)

    def label_seen(self, label: RingLabel, through: NodeRef) -> None:
        """Merge with the ring called ``label``, which ``through`` is in, if it is another one."""
        mine = self._ring.label
        if self._ctx.status != Status.ACTIVE or mine is None or label == mine:
            return
        if label < mine:
            # The smaller label spreads from neighbour to neighbour as they stabilise.
            self._ring.set_label(label)
        self.evidence(through)

    def tick(self) -> None:
        """Ask another ring for our successor there when the ``audit`` alarm rings."""
        ctx = self._ctx
        self._last = ctx.now
        ctx.peers.forget(ctx.now)
        # No message of another ring reaches a ring of one by chance, so it looks more often.
        alone = not self._ring.successors
        pause = ctx.config.join_retry_s * 4 if alone else ctx.config.audit_s
        ctx.alarms.set(Alarm.AUDIT, ctx.jittered(pause))
        through, self._through = self._through, None
        if through is None:
            through = self._choose()
        if through is not None:
            ctx.counters.add(CoreMetric.AUDITS)
            # From the next identifier on: a ring that knows this node must not answer with it.
            start = (ctx.my_id + 1) % ctx.space.size
            self._lookups.start(Purpose.AUDIT, SUCCESSOR, start, via=through)

    def _choose(self) -> NodeRef | None:
        ctx = self._ctx
        pool = [*self._joining.bootstrap, *ctx.peers.known]
        # A node that is not in our tables may be in another ring: every other audit asks those.
        strangers = [peer for peer in pool if peer.raw not in self._routes.raws]
        if strangers and ctx.rng.random() < 0.5:
            pool = strangers
        chosen = ctx.rng.choice(pool) if pool else None
        if chosen is not None and ctx.peers.is_dead(chosen, ctx.now):
            # A later incarnation may listen at its address now.
            return contact(chosen.address)
        return chosen

    def looked_up(self, result: Result) -> None:
        """Compare the owner that a lookup found with our own pointers."""
        node = result.node
        if node is None or self._ctx.status != Status.ACTIVE:
            return
        if result.tag == PLACE:
            self._place_found(node)
        elif node.raw != self._ctx.me.raw:
            self._successor_found(node, result.label)

    def _successor_found(self, node: NodeRef, label: RingLabel | None) -> None:
        """Ask ``node``, our successor by the word of the chosen peer's ring, or place it."""
        head = self._ring.head
        if label is not None:
            self.label_seen(label, node)
        if between(self._ctx.my_id, node.id, head.id):
            self._ask_state(Ask.AUDIT, node, MERGE_TTL)
        elif node.raw != head.raw:
            self._stray = node
            self._lookups.start(Purpose.AUDIT, PLACE, node.id, kind=FindKind.PREDECESSOR)

    def _place_found(self, before: NodeRef) -> None:
        """Offer the stray node to ``before``, the node of our ring that it should follow."""
        stray, self._stray = self._stray, None
        if stray is None:
            return
        if before.raw == self._ctx.me.raw:
            self.on_try_merge(self._ctx.me, TryMerge(stray, MERGE_TTL))
        else:
            self._ctx.send(before, TryMerge(stray, MERGE_TTL))

    def _ask_state(self, ask: Ask, node: NodeRef, ttl: int) -> None:
        status = int(self._ctx.status)
        self._requests.ask(ask, node, lambda rid: GetState(rid, status), detail=ttl)

    def _answered(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        if isinstance(answer, State):
            self._adopt(sender, answer, question.detail)

    def _adopt(self, node: NodeRef, state: State, ttl: int) -> None:
        old = self._ring.head
        if not self._stabilise.consider(node, state):
            return
        if state.label is not None:
            self.label_seen(state.label, node)
        if old.raw != self._ctx.me.raw and ttl > 0:
            self._ctx.send(node, TryMerge(old, ttl - 1))

    def on_try_merge(self, _sender: NodeRef, message: TryMerge) -> None:
        """Ask an offered successor, or pass the offer on to ours."""
        ctx, candidate = self._ctx, message.candidate
        if self._ctx.status != Status.ACTIVE or candidate.raw == ctx.me.raw:
            return
        if between(ctx.my_id, candidate.id, self._ring.head.id):
            self._ask_state(Ask.MERGE, candidate, message.ttl)
        elif message.ttl > 0 and self._ring.head.raw not in (candidate.raw, ctx.me.raw):
            ctx.send(self._ring.head, TryMerge(candidate, message.ttl - 1))

    MESSAGES: ClassVar[Handlers] = {
        TryMerge: on_try_merge,
    }

    ALARMS: ClassVar[Ringers] = {
        Alarm.AUDIT: tick,
    }

    HEARS: ClassVar[Hearers] = {
        ENTERED: start,
        LABEL_SEEN: label_seen,
        RETURNED: _returned,
    }
