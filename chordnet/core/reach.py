"""Nodes that cannot be reached: what a broken connection means, and which deaths are reported.

A broken connection is evidence against the node at its other end. The failure detector weighs it if
that node matters to this one (:meth:`Reach.matters`); otherwise only the questions to it end. If
another node answers at an address, this says nothing about the node that was named with it: that
one may be alive at the address from which it sent us messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from chordnet.core.base.effects import PeerDied
from chordnet.core.base.events import LinkDown, LinkFault
from chordnet.core.base.messages import NodeRef
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.join.joining import Joining
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import EventHandlers, Hearers
from chordnet.core.kernel.requests import Requests
from chordnet.core.kernel.signals import DIED
from chordnet.core.ring.identities import Identities
from chordnet.core.ring.pointers import Pointers
from chordnet.core.ring.routing import Routes


class Reach:
    """Judges the broken connections of one node.

    :param under_way: returns how many broadcasts are not covered yet.
    """

    def __init__(
        self,
        ctx: Context,
        ring: Pointers,
        routes: Routes,
        requests: Requests,
        detector: Detector,
        identities: Identities,
        joining: Joining,
        under_way: Callable[[], int],
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._routes = routes
        self._requests = requests
        self._detector = detector
        self._identities = identities
        self._joining = joining
        self._under_way = under_way

    def matters(self, peer: NodeRef) -> bool:
        """Return True if it matters to this node whether ``peer`` is alive."""
        before = self._ring.predecessor
        return (
            peer.raw in self._routes.raws
            or (before is not None and before.raw == peer.raw)
            or self._under_way() > 0
            or self._detector.suspects(peer.raw)
            or not self._ctx.is_member
        )

    def _link_down(self, event: LinkDown) -> None:
        peer, fault = event.peer, event.fault
        known = self._ctx.peers.get(peer.raw)
        if event.holder:
            self._identities.twin(event.holder)
        if fault == LinkFault.OVERLOADED:
            self._ctx.counters.add(CoreMetric.OVERLOADED)
        elif peer.is_contact:
            self._joining.fault(event)
            self._requests.died(peer)
        elif known is not None and known.address != peer.address:
            # Not the node's own address, so this says nothing about the node.
            self._requests.died(peer)
        elif self.matters(peer):
            self._detector.link_down(peer, fault)
        elif fault != LinkFault.CLOSED:
            self._requests.died(peer)

    def _died(self, peer: NodeRef) -> None:
        if self.matters(peer):
            left = self._detector.leaving == peer
            self._ctx.effects.append(PeerDied(peer, left=left))

    EVENTS: ClassVar[EventHandlers] = {
        LinkDown: _link_down,
    }

    HEARS: ClassVar[Hearers] = {
        DIED: _died,
    }
