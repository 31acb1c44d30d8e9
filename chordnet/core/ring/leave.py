"""Leaving: how this node leaves, and what it does when a neighbour leaves.

A node that leaves tells both neighbours which nodes take its place. It goes on serving for a short
while, longer if a broadcast is under way, but no longer than ``leave_limit_s``. What a leaving
neighbour offers is a claim: the new predecessor is asked before it is adopted.

A node whose name belongs to another one (*superseded*) also tells its neighbours, and enters no
ring again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from chordnet.core.base.effects import LeftRing
from chordnet.core.base.events import Leave
from chordnet.core.base.messages import Leaving, NodeRef, Ping, Status
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import EventHandlers, Handlers, Hearers, Ringers
from chordnet.core.kernel.requests import Answer, Ask, Question, Requests, ignore
from chordnet.core.kernel.signals import SUPERSEDED
from chordnet.core.kernel.timers import Alarm
from chordnet.core.ring.pointers import Pointers

DRAIN_PAUSE_S = 0.05
"""Pause between two looks at the broadcasts that are still under way."""
_OF_MEMBERS = tuple(a for a in Alarm if a not in (Alarm.PROBES, Alarm.PEERS, Alarm.LEAVE))
"""Alarms that a node no longer needs once it is out of the ring for good."""


class Departure:
    """The departure of one node, and those of its neighbours.

    :param under_way: returns how many broadcasts are not covered yet.
    """

    def __init__(
        self,
        ctx: Context,
        ring: Pointers,
        requests: Requests,
        detector: Detector,
        under_way: Callable[[], int],
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._requests = requests
        self._detector = detector
        self._under_way = under_way
        self._limit = ctx.now
        self.reason = ""
        """Why this node was superseded."""
        requests.handle(Ask.OFFERED_PREDECESSOR, self._offered_alive, ignore)

    # ---- our own ----------------------------------------------------------------------------

    def leave(self, _event: Leave) -> None:
        """Leave the ring in order."""
        ctx = self._ctx
        if ctx.status in (Status.LEAVING, Status.LEFT):
            return
        was_member = ctx.is_member
        ctx.become(Status.LEAVING)
        told = was_member and self._say_goodbye()
        ctx.alarms.cancel(Alarm.JOIN)
        ctx.alarms.cancel(Alarm.STABILISE)
        self._limit = ctx.now + ctx.config.leave_limit_s
        if told:
            ctx.alarms.set(Alarm.LEAVE, ctx.now + ctx.config.leave_drain_s)
        else:
            self.drained()

    def drained(self) -> None:
        """End the departure: the neighbours have had time to close the ring (``leave`` alarm)."""
        ctx = self._ctx
        if self._under_way() and ctx.now < self._limit:
            ctx.alarms.set(Alarm.LEAVE, ctx.now + DRAIN_PAUSE_S)
            return
        ctx.become(Status.LEFT)
        ctx.effects.append(LeftRing())

    def superseded(self, reason: str) -> None:
        """Leave for good: another node has our name, and keeps it."""
        ctx = self._ctx
        self.reason = reason
        was_member = ctx.is_member
        ctx.become(Status.SUPERSEDED, reason)
        if was_member:
            self._say_goodbye()
        for alarm in _OF_MEMBERS:
            ctx.alarms.cancel(alarm)

    def _say_goodbye(self) -> bool:
        """Tell both neighbours that this node leaves; return False if there are none."""
        ring = self._ring
        if not ring.successors:
            return False
        word = Leaving(ring.predecessor, list(ring.successors))
        neighbours = {n.raw: n for n in (ring.head, ring.predecessor) if n is not None}
        for neighbour in neighbours.values():
            self._ctx.send(neighbour, word)
        return True

    # ---- a neighbour's ----------------------------------------------------------------------

    def on_leaving(self, sender: NodeRef, message: Leaving) -> None:
        """Drop ``sender``, which leaves; the pointers that it offers are checked before use."""
        self._detector.departs(sender)
        if not self._ctx.is_member:
            return
        ring, offered = self._ring, message.predecessor
        was_predecessor = ring.predecessor is not None and ring.predecessor.raw == sender.raw
        if not ring.successors:
            ring.adopt([node for node in message.successors if node.raw != sender.raw])
        if was_predecessor and offered is not None and offered.raw != self._ctx.me.raw:
            self._requests.ask(Ask.OFFERED_PREDECESSOR, offered, Ping)

    def _offered_alive(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        if self._ring.predecessor_is_dead():
            self._ring.set_predecessor(sender)

    EVENTS: ClassVar[EventHandlers] = {
        Leave: leave,
    }

    MESSAGES: ClassVar[Handlers] = {
        Leaving: on_leaving,
    }

    ALARMS: ClassVar[Ringers] = {
        Alarm.LEAVE: drained,
    }

    HEARS: ClassVar[Hearers] = {
        SUPERSEDED: superseded,
    }
