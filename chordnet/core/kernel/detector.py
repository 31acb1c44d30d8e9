"""The failure detector: one probe for each peer that is suspected of being dead.

- Suspicion starts a probe: a ping now, another every ``probe_interval_s``.
- Any message of the peer ends the probe: it is alive.
- The peer is dead after a silence of ``probe_timeout_s`` (``broken_timeout_s`` if its connection
  broke), or if nothing listens at its address. A death is reported once (:data:`DIED`).
- A peer that crashes and comes back has a higher incarnation; the old one is dead at that moment.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import NodeRef, Ping
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.handlers import Ringers
from chordnet.core.kernel.signals import DIED, SURVIVED, SUSPECTED
from chordnet.core.kernel.timers import Alarm

MAX_PROBES = 1024
"""Probes at the same time; further suspects are not probed."""


@attrs.define
class _Probe:
    peer: NodeRef
    deadline: float
    next_ping: float


class Detector:
    """All probes under way, by raw identifier."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.probes: dict[bytes, _Probe] = {}
        """The probes under way; empty most of the time."""
        self.leaving: NodeRef | None = None
        """The node that is just being declared dead because it leaves."""

    def suspect(self, peer: NodeRef, *, broken: bool = False) -> None:
        """Begin to probe ``peer``.

        :param broken: its connection broke, which is evidence already: be less patient.
        """
        ctx = self._ctx
        if peer.raw == ctx.me.raw or not peer.raw or ctx.peers.is_dead(peer, ctx.now):
            return
        patience = ctx.config.broken_timeout_s if broken else ctx.config.probe_timeout_s
        probe = self.probes.get(peer.raw)
        if probe is not None:
            probe.deadline = min(probe.deadline, ctx.now + patience)
        elif len(self.probes) < MAX_PROBES:
            ctx.counters.add(CoreMetric.PROBES)
            probe = _Probe(peer, ctx.now + patience, ctx.now + ctx.config.probe_interval_s)
            self.probes[peer.raw] = probe
            ctx.send(peer, Ping(ctx.rid()))
            ctx.tell(SUSPECTED, peer)
        self._arm()

    def suspects(self, raw: bytes) -> bool:
        """Return True if a probe of this node is under way."""
        return raw in self.probes

    def heard(self, peer: NodeRef) -> None:
        """End the probe of ``peer``, from which a message has arrived."""
        if self.probes and peer.raw in self.probes:
            probe = self.probes[peer.raw]
            if peer.incarnation >= probe.peer.incarnation:
                del self.probes[peer.raw]
                self._ctx.tell(SURVIVED, peer)

    def link_down(self, peer: NodeRef, fault: LinkFault) -> None:
        """Weigh the fault of the connection to ``peer``: suspect it, or declare it dead."""
        if fault in (LinkFault.REFUSED, LinkFault.REJECTED):
            self.condemn(peer)
        elif fault in (LinkFault.BROKEN, LinkFault.UNREACHABLE, LinkFault.CLOSED):
            self.suspect(peer, broken=True)

    def condemn(self, peer: NodeRef) -> None:
        """Declare ``peer`` dead, without a probe."""
        self.probes.pop(peer.raw, None)
        ctx = self._ctx
        if peer.raw and peer.raw != ctx.me.raw and not ctx.peers.is_dead(peer, ctx.now):
            ctx.peers.died(peer, ctx.now)
            ctx.counters.add(CoreMetric.DEATHS)
            ctx.tell(DIED, peer)

    def departs(self, peer: NodeRef) -> None:
        """Declare ``peer`` dead because it leaves on purpose, whatever it still says."""
        self.leaving = peer
        self.condemn(peer)
        self.leaving = None
        self._ctx.peers.departed(peer, self._ctx.now)

    def tick(self) -> None:
        """Ping again, or give up, when the ``probes`` alarm rings."""
        ctx = self._ctx
        for probe in list(self.probes.values()):
            if probe.deadline <= ctx.now:
                self.condemn(probe.peer)
            elif probe.next_ping <= ctx.now:
                probe.next_ping = ctx.now + ctx.config.probe_interval_s
                ctx.send(probe.peer, Ping(ctx.rid()))
        self._arm()

    def _arm(self) -> None:
        if self.probes:
            at = min(min(p.deadline, p.next_ping) for p in self.probes.values())
            self._ctx.alarms.set(Alarm.PROBES, at)

    ALARMS: ClassVar[Ringers] = {
        Alarm.PROBES: tick,
    }
