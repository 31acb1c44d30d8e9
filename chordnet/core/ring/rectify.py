"""Rectify: keep the predecessor right, by notifications and by noticing its silence.

*rectify(new)*, on notify: adopt ``new`` if it lies in (predecessor, self). Otherwise ask the
predecessor, and adopt ``new`` if that is dead (Zave's corrected Chord, see ``pointers.py``).

A predecessor is heard from whenever it stabilises; one that is silent for longer is probed.
"""

from __future__ import annotations

from typing import ClassVar

from chordnet.core.base.identifiers import between
from chordnet.core.base.messages import NodeRef, Notify, Ping
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import Handlers, Hearers, Ringers
from chordnet.core.kernel.requests import Ask, Question, Requests, ignore
from chordnet.core.kernel.signals import DIED, PLACED
from chordnet.core.kernel.timers import Alarm
from chordnet.core.ring.pointers import Pointers

PATIENCE = 1.6
"""Silence for this many idle pauses is suspect. A live predecessor stabilises at least every 1.25
of them, with the default jitter; the rest is for its question to travel."""


class Rectify:
    """Keeps the predecessor of one node."""

    def __init__(
        self, ctx: Context, ring: Pointers, requests: Requests, detector: Detector
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._requests = requests
        self._detector = detector
        self._safe = ctx.config.safeguards
        requests.handle(Ask.RECTIFY, ignore, self._silent)

    def on_notify(self, sender: NodeRef, _message: Notify) -> None:
        """Take note that ``sender`` has us as its successor."""
        self.notified(sender)

    def notified(self, new: NodeRef) -> None:
        """Adopt ``new``, which believes that it is our predecessor, if it is right."""
        ctx, ring, old = self._ctx, self._ring, self._ring.predecessor
        if new.raw == ctx.me.raw:
            return
        if (
            old is None
            or between(old.id, new.id, ctx.my_id)
            or ring.predecessor_is_dead()
            or (old.raw == new.raw and new.incarnation > old.incarnation)
        ):
            ring.set_predecessor(new)
        elif old.raw != new.raw:
            # ``new`` may know that the predecessor is dead before we do.
            self._requests.ask(Ask.RECTIFY, old, Ping, subject=new)
        ring.taken_in_by(new)

    def _silent(self, question: Question) -> None:
        if self._ring.predecessor_is_dead():
            if question.subject is not None:
                self.notified(question.subject)
        else:
            # One silence may be a lost message. If the probe finds it dead, ``new`` notifies again.
            self._detector.suspect(question.target)

    def died(self, _peer: NodeRef) -> None:
        """Keep a dead predecessor until another node notifies us; be alone if there is none."""
        ring = self._ring
        if self._ctx.is_member and ring.predecessor_is_dead():
            if not ring.successors:
                ring.set_predecessor(self._ctx.me)
                ring.check_joined()
            elif not self._safe.keep_predecessor:
                ring.predecessor = None

    # ---- silence ----------------------------------------------------------------------------

    def check(self) -> None:
        """Probe a silent predecessor when the ``predecessor`` alarm rings."""
        ctx, ring = self._ctx, self._ring
        patience = PATIENCE * ctx.config.stabilise_idle_s
        if ring.heard_at + patience <= ctx.now:
            if ring.predecessor is not None:
                self._detector.suspect(ring.predecessor)
            ring.heard_at = ctx.now
        ctx.alarms.set(Alarm.PREDECESSOR, ring.heard_at + patience)

    def place(self) -> None:
        """Watch the predecessor, as if the ring had been at rest for a long time."""
        ctx = self._ctx
        ctx.alarms.set(Alarm.PREDECESSOR, ctx.jittered(1.5 * ctx.config.stabilise_idle_s))

    def _placed(self) -> None:
        ctx = self._ctx
        ctx.alarms.set(Alarm.PREDECESSOR, ctx.now + PATIENCE * ctx.config.stabilise_idle_s)

    MESSAGES: ClassVar[Handlers] = {
        Notify: on_notify,
    }

    ALARMS: ClassVar[Ringers] = {
        Alarm.PREDECESSOR: check,
    }

    HEARS: ClassVar[Hearers] = {
        PLACED: _placed,
        DIED: died,
    }
