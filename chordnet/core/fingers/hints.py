"""Hints: telling other nodes that this node's successor is new, or may be dead.

A node whose successor changes tells the nodes whose fingers are concerned: for each i, those in
(self - 2**i, successor - 2**i] (after ``update_others`` and ``fix_fingers`` of Stoica et al.,
SIGCOMM 2001, figures 6 and 7; the predecessor knows exactly which range points to a node). A hint
is routed to the first of them and handed from successor to successor. It is only a hint: the
receiver itself looks up, or probes.
"""

from __future__ import annotations

from typing import ClassVar

from chordnet.core.base.identifiers import between_left, between_right
from chordnet.core.base.limits import HINT_TTL
from chordnet.core.base.messages import FingerHint, NodeRef
from chordnet.core.fingers.table import Fingers
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import Handlers, Hearers
from chordnet.core.kernel.signals import DIED, SUCCESSORS_CHANGED, SURVIVED, SUSPECTED
from chordnet.core.ring.pointers import Pointers
from chordnet.core.ring.routing import Routes


class Hints:
    """The hints that one node gives, passes on and takes."""

    def __init__(
        self, ctx: Context, ring: Pointers, routes: Routes, detector: Detector, fingers: Fingers
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._routes = routes
        self._detector = detector
        self._fingers = fingers
        self._upkeep = ctx.config.finger_upkeep
        self._told: NodeRef | None = None
        """The suspected successor that others were told of."""

    # ---- giving -----------------------------------------------------------------------------

    def _successors_changed(self, old_head: NodeRef | None) -> None:
        head = self._ring.head
        if head.raw != self._ctx.me.raw and (old_head is None or old_head.raw != head.raw):
            self.tell_others(head, alive=True)

    def _suspected(self, peer: NodeRef) -> None:
        ring = self._ring
        if self._ctx.is_member and ring.successors and ring.head.raw == peer.raw:
            self._told = peer
            self.tell_others(peer, alive=False)

    def _survived(self, _peer: NodeRef) -> None:
        self._told = None

    def _died(self, peer: NodeRef) -> None:
        if self._ctx.is_member and self._ring.head.raw == peer.raw and self._told != peer:
            self.tell_others(peer, alive=False)

    def tell_others(self, subject: NodeRef, *, alive: bool) -> None:
        """Send hints about ``subject``, our new or suspected successor.

        Predecessors that have us in their successor lists learn of it by stabilising. How far their
        lists reach is estimated from our own list's reach, halved to be on the safe side.
        """
        ctx, space = self._ctx, self._ctx.space
        listed = self._ring.successors
        if not self._upkeep.hints or len(listed) < ctx.config.successors:
            return
        near = ctx.distance(listed[-1]) // 2
        for slot in range(max(near.bit_length() - 1, 0), ctx.config.bits):
            low = (ctx.my_id - (1 << slot)) % space.size
            high = (subject.id - (1 << slot)) % space.size
            hint = FingerHint(subject, alive, space.raw(low), space.raw(high), HINT_TTL)
            # We may lie in the range, but not be the first node there.
            if self._ring.owns((low + 1) % space.size):
                self.on_finger_hint(self._ctx.me, hint)
            else:
                self._pass_on(hint)

    # ---- taking and passing on --------------------------------------------------------------

    def on_finger_hint(self, _sender: NodeRef, hint: FingerHint) -> None:
        """Act on a hint, pass it on, or drop it if no node is left to tell."""
        ctx, ring = self._ctx, self._ring
        low, high = int.from_bytes(hint.low), int.from_bytes(hint.high)
        if hint.ttl <= 0:
            return
        if not between_right(low, ctx.my_id, high):
            self._pass_on(hint)
            return
        self._take(hint)
        if not ring.successors or between_left(ctx.my_id, high, ring.head.id):
            return
        if between_right(low, ring.head.id, high):
            ctx.send(ring.head, _older(hint))

    def _pass_on(self, hint: FingerHint) -> None:
        """Send a hint towards the first node of its range; drop it if that range is empty."""
        ctx, ring = self._ctx, self._ring
        target = (int.from_bytes(hint.low) + 1) % ctx.space.size
        if ring.owns(target) or not ring.successors:
            return
        if between_right(ctx.my_id, target, ring.head.id):
            next_hop: NodeRef | None = ring.head
        else:
            next_hop = self._routes.preceding((target - ctx.my_id) % ctx.space.size)
        if next_hop is not None:
            ctx.send(next_hop, _older(hint))

    def _take(self, hint: FingerHint) -> None:
        ctx, subject, slots = self._ctx, hint.subject, self._fingers.slots
        if subject.raw == ctx.me.raw:
            return
        if not hint.alive:
            # Its predecessor watches it anyway, and its suspicion would only cause more hints.
            if self._ring.head.raw != subject.raw and any(
                node is not None and node.raw == subject.raw for node in slots
            ):
                self._detector.suspect(subject)
            return
        better = 0
        for slot, node in enumerate(slots):
            end = ctx.my_id if node is None else node.id
            if between_left(self._fingers.start(slot), subject.id, end):
                better |= 1 << slot
        self._fingers.want(better)

    MESSAGES: ClassVar[Handlers] = {
        FingerHint: on_finger_hint,
    }

    HEARS: ClassVar[Hearers] = {
        SUCCESSORS_CHANGED: _successors_changed,
        SUSPECTED: _suspected,
        DIED: _died,
        SURVIVED: _survived,
    }


def _older(hint: FingerHint) -> FingerHint:
    return FingerHint(hint.subject, hint.alive, hint.low, hint.high, hint.ttl - 1)
