"""Stabilise: keep the successor list right, by asking the successor and the node before it.

With ``list`` this node's successor list (Zave's corrected Chord, see ``pointers.py``):

- *from the successor*: ask s = list[0] for its list and predecessor. If s is dead, drop it and go
  on with the next one. If s is alive, list := [s] + s.list, cut to r; if s.predecessor lies in
  (self, s), stabilise from that predecessor next, otherwise notify s.
- *from the predecessor*: ask p = s.predecessor. If p is alive and s is still the head,
  list := [p] + p.list, and notify p. Otherwise leave the list unchanged and notify s.

A question about our state that arrives while such a question of our own is out is answered after
it. This makes every operation atomic at the moment of the asked node's answer. If all nodes do this
at the same time, they wait for each other in a circle. So we give our own question up after
``defer_s``; or immediately, if two nodes ask each other and this one has the smaller identifier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from chordnet.core.base.messages import Changed, GetState, NodeRef, Notify, State, Status
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import Handlers, Hearers, Ringers
from chordnet.core.kernel.requests import Answer, Ask, Question, Requests
from chordnet.core.kernel.signals import (
    DIED,
    ENTERED,
    PLACED,
    PREDECESSOR_CHANGED,
    SUCCESSORS_CHANGED,
)
from chordnet.core.kernel.timers import Alarm
from chordnet.core.ring.pointers import Pointers
from chordnet.core.ring.routing import Routes


class Stabilise:
    """Keeps the successor list of one node.

    :param state: builds the answer to a question about this node's state, by its request number.
    """

    def __init__(
        self,
        ctx: Context,
        ring: Pointers,
        routes: Routes,
        requests: Requests,
        detector: Detector,
        state: Callable[[int], State],
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._routes = routes
        self._requests = requests
        self._detector = detector
        self._state = state
        self._safe = ctx.config.safeguards
        self._prompt = ctx.config.finger_upkeep.prompt
        self.asking: Question | None = None
        """The question of ours that is out."""
        self.deferred: list[tuple[NodeRef, GetState]] = []
        """Questions of others that wait until it is answered."""
        self._changed: bool = False
        """Whether the list has changed since the operation under way, or the last one, began."""
        self._pace = ctx.config.stabilise_fast_s
        self._last_start = float("-inf")
        requests.handle(Ask.STABILISE_SUCCESSOR, self._successor_answered, self._successor_silent)
        requests.handle(
            Ask.STABILISE_PREDECESSOR, self._predecessor_answered, self._predecessor_silent
        )

    # ---- when -------------------------------------------------------------------------------

    def soon(self) -> None:
        """Stabilise as soon as is reasonable, and keep the fast pace for a while."""
        if not self._prompt:
            return
        # At most twenty rounds in a fast pause: enough to settle a ring in milliseconds, and a
        # storm of changes still cannot make a node do nothing but stabilise.
        fast = self._ctx.config.stabilise_fast_s
        self._pace = fast
        self._ctx.alarms.sooner(Alarm.STABILISE, max(self._ctx.now, self._last_start + fast / 20))

    def place(self) -> None:
        """Go on at the idle pace, from a random phase."""
        ctx, idle = self._ctx, self._ctx.config.stabilise_idle_s
        self._pace = idle
        ctx.alarms.set(Alarm.STABILISE, ctx.now + ctx.rng.random() * idle)

    def _entered(self) -> None:
        self._ctx.alarms.sooner(Alarm.STABILISE, self._ctx.now)
        self._ring.check_joined()

    def _list_changed(self, _old_head: NodeRef | None) -> None:
        self._changed = True

    def _predecessor_changed(self, _old: NodeRef | None) -> None:
        if not self._ring.successors:
            self.soon()

    def on_changed(self, sender: NodeRef, _message: Changed) -> None:
        """Stabilise soon if ``sender``, whose pointers have changed, is our successor."""
        if self._ring.head.raw == sender.raw:
            self.soon()

    # ---- asking -----------------------------------------------------------------------------

    def stabilise(self) -> None:
        """Begin an operation when the ``stabilise`` alarm rings."""
        ctx, ring = self._ctx, self._ring
        if self.asking is not None:
            return  # the operation under way plans the next one
        self._last_start = ctx.now
        self._changed = False
        if ring.successors:
            self._ask(Ask.STABILISE_SUCCESSOR, ring.successors[0])
        elif ring.predecessor is not None and ring.predecessor.raw != ctx.me.raw:
            # A ring of one that was notified: its predecessor is its successor, too.
            self._ask(Ask.STABILISE_PREDECESSOR, ring.predecessor)
        else:
            self._finish()

    def _ask(self, ask: Ask, target: NodeRef) -> None:
        status, head = self._ctx.status, ask == Ask.STABILISE_SUCCESSOR
        self.asking = self._requests.ask(
            ask, target, lambda rid: GetState(rid, status, head), subject=self._ring.head
        )

    def _finish(self) -> None:
        """End the operation: answer the questions that had to wait, and plan the next one."""
        ctx, config = self._ctx, self._ctx.config
        self.asking = None
        ctx.alarms.cancel(Alarm.DEFER)
        waiting, self.deferred = self.deferred, []
        for sender, message in waiting:
            ctx.send(sender, self._state(message.rid))
        if self._changed and self._prompt:
            self.soon()
        else:
            self._pace = min(self._pace * config.stabilise_backoff, config.stabilise_idle_s)
            ctx.alarms.sooner(Alarm.STABILISE, ctx.jittered(self._pace))

    def _is_current(self, question: Question) -> bool:
        return self.asking is not None and self.asking.rid == question.rid

    def _successor_answered(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        if not self._is_current(question) or not isinstance(answer, State):
            return
        ring = self._ring
        if ring.head.raw != sender.raw:
            # The head changed while the question was out: the answer is of no use. The next round
            # comes soon, because the list has changed.
            self._finish()
            return
        if answer.status != Status.ACTIVE:
            # It is alive, but no member: to this ring it is as good as dead.
            self._detector.condemn(sender)
        else:
            ring.take_label(answer, sender)
            ring.adopt([sender, *answer.successors])
            between_us = answer.predecessor
            ring.offers.notice_twin(between_us)
            if between_us == self._ctx.me and ring.head == sender:
                ring.named_by_successor()
            if between_us is not None and ring.is_between(between_us, sender):
                if self._safe.ask_before_adopting:
                    self._ask(Ask.STABILISE_PREDECESSOR, between_us)
                    return
                ring.adopt(ring.list_from(between_us, [sender, *answer.successors]))
                sender = between_us
            else:
                ring.adoption.answered = True
            if between_us != self._ctx.me:
                # At rest the successor names us, and needs no notification.
                self._ctx.send(sender, Notify())
        self._finish()

    def _successor_silent(self, question: Question) -> None:
        self._detector.suspect(question.target)
        if self._is_current(question):
            self._finish()

    def _predecessor_answered(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        head, ring = question.subject, self._ring
        if head is None or not self._is_current(question):
            return
        # If the head is another one by now, this answer is about a gap that no longer exists.
        if isinstance(answer, State) and (head.raw == ring.head.raw or not self._safe.same_head):
            if answer.status == Status.ACTIVE and ring.is_between(sender, head):
                ring.take_label(answer, sender)
                ring.adopt(ring.list_from(sender, answer.successors))
                self._ctx.send(sender, Notify())
            elif head.raw != self._ctx.me.raw:
                self._ctx.send(head, Notify())
        self._finish()

    def _predecessor_silent(self, question: Question) -> None:
        self._detector.suspect(question.target)
        head = question.subject
        if not self._is_current(question):
            return
        if head is not None and head.raw == self._ring.head.raw and head.raw != self._ctx.me.raw:
            self._ctx.send(head, Notify())
        self._finish()

    # ---- answering --------------------------------------------------------------------------

    def asked(self, sender: NodeRef, message: GetState) -> None:
        """Answer a question about our state, now or after our own question."""
        ctx = self._ctx
        if message.successor:
            self._ring.taken_in_by(sender)
        asking = self.asking if self._safe.answer_later else None
        if asking is None or message.status not in (Status.ACTIVE, Status.JOINING):
            ctx.send(sender, self._state(message.rid))
            return
        if asking.target.raw == sender.raw and ctx.me.raw < sender.raw:
            # Each waits for the other; exactly one of them has the smaller identifier.
            self._give_up()
            ctx.send(sender, self._state(message.rid))
        elif len(self.deferred) < ctx.config.max_deferred:
            if not self.deferred:
                ctx.alarms.set(Alarm.DEFER, ctx.jittered(ctx.config.defer_s))
            self.deferred.append((sender, message))

    def defer_over(self) -> None:
        """Give our own question up when the ``defer`` alarm rings: others have waited enough."""
        if self.deferred:
            self._give_up()

    def _give_up(self) -> None:
        # The question itself stays open: the asked node's silence must still be noticed.
        self._ctx.counters.add(CoreMetric.STABILISE_GIVEN_UP)
        self._changed = True
        self._finish()

    # ---- deaths, and nodes that another ring names ------------------------------------------

    def died(self, peer: NodeRef) -> None:
        """Drop ``peer``, which is dead or leaves, from the list."""
        ctx, ring = self._ctx, self._ring
        if not ctx.is_member:
            return
        kept = [node for node in ring.successors if not ctx.peers.is_life_of(node, peer)]
        if len(kept) == len(ring.successors):
            return
        if not kept:
            # The whole list is dead: go on with the nearest live node that is known.
            before = [ring.predecessor] if ring.predecessor is not None else []
            nodes = [*self._routes.nodes(), *before]
            live = (n for n in nodes if n.raw != ctx.me.raw and not ctx.peers.is_dead(n, ctx.now))
            kept = list(live)[:1]
        ring.set_successors(kept)
        self.soon()

    def consider(self, node: NodeRef, state: State) -> bool:
        """Adopt ``node``, which has just answered ``state``, if it lies before the successor.

        :returns: True if it was adopted.
        """
        ring = self._ring
        if state.status != Status.ACTIVE or not ring.is_between(node, ring.head):
            return False
        ring.adopt([node, *state.successors])
        self._ctx.send(node, Notify())
        self.soon()
        return True

    MESSAGES: ClassVar[Handlers] = {
        Changed: on_changed,
    }

    ALARMS: ClassVar[Ringers] = {
        Alarm.STABILISE: stabilise,
        Alarm.DEFER: defer_over,
    }

    HEARS: ClassVar[Hearers] = {
        PLACED: soon,
        ENTERED: _entered,
        SUCCESSORS_CHANGED: _list_changed,
        PREDECESSOR_CHANGED: _predecessor_changed,
        DIED: died,
    }
