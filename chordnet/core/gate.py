"""The gate: whose messages are heeded. It comes before :mod:`chordnet.core.kernel.checks`.

A message is heeded if its sender has a right to its name (:mod:`chordnet.core.ring.identities`). If
that is in doubt, the message waits until it is settled, or is dropped. Then the message has to pass
the checks, and to be one that is taken in this node's state
(:data:`chordnet.core.kernel.membership.HEEDED`). Only then does a part see it.
"""

from __future__ import annotations

from typing import ClassVar

from chordnet.core.base.events import Greeted
from chordnet.core.base.messages import NodeRef, PeerMessage
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.join.audit import Audit
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import EventHandlers
from chordnet.core.kernel.peers import PEERS_PAUSE_S
from chordnet.core.kernel.timers import Alarm
from chordnet.core.ring.identities import Identities
from chordnet.core.ring.pointers import Pointers


class Gate:
    """Decides for one node which senders it heeds."""

    def __init__(
        self,
        ctx: Context,
        ring: Pointers,
        detector: Detector,
        identities: Identities,
        audit: Audit,
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._detector = detector
        self._identities = identities
        self._audit = audit

    def admits(self, sender: NodeRef, message: PeerMessage) -> bool:
        """Return True if the message is to be heeded; note that its sender is alive.

        The node asks only if something may be new about the sender.
        """
        ctx, peers = self._ctx, self._ctx.peers
        if sender.raw == ctx.me.raw or not ctx.space.valid_raw(sender.raw):
            ctx.counters.add(CoreMetric.MESSAGES_IGNORED)
            return False
        if self._identities.doubts(sender):
            self._identities.spoke(sender, message)
            return False
        self._identities.accepted()
        peers.note(sender)
        lost = peers.heard(sender)
        self._detector.heard(sender)
        self._ring.heard(sender)
        if peers.changed:
            ctx.alarms.sooner(Alarm.PEERS, ctx.now + PEERS_PAUSE_S)
        if lost and ctx.is_member:
            self._audit.evidence(sender)
        return True

    def _greeted(self, event: Greeted) -> None:
        self._ctx.wall = event.wall
        if event.dialled:
            self._identities.replace(event.node)
        else:
            self._identities.greeted(event.node, event.rival)

    EVENTS: ClassVar[EventHandlers] = {
        Greeted: _greeted,
    }
