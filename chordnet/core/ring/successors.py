"""Successor list and predecessor: the ring itself, by Zave's corrected Chord.

Source: P. Zave, "Reasoning about identifier spaces: How to make Chord correct", IEEE TSE 43(12),
2017 (arXiv:1610.01140). The operations, with ``list`` this node's successor list:

- *join*: in one step at member m's answer, where self in (m, m.successor): take m's whole list,
  and m as predecessor.
- *stabilise from successor*: ask s = list[0] for its list and predecessor. s is dead: drop it, go
  on at once with the next. s is alive: list := [s] + s.list, cut to r. If s.predecessor lies in
  (self, s), stabilise from that predecessor next, otherwise notify s.
- *stabilise from predecessor*: ask p = s.predecessor. Alive, and s still the head: list := [p] +
  p.list, notify p. Otherwise: unchanged, notify s.
- *rectify(new)*, on notify: adopt ``new`` if it lies in (predecessor, self), or if the predecessor
  is dead, which is asked first. The predecessor is never set to nothing.

A question about our state that arrives while such a question of our own is out is answered after
it, so that every operation is atomic at the moment of the asked node's answer. All nodes doing
this at once would wait for each other in a circle: after ``defer_s``, or at once when two nodes
ask one another and this one has the smaller identifier, the own question is given up.

A ring of one has an empty list and itself as predecessor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

from chordnet.core.base.effects import RingChanged
from chordnet.core.base.identifiers import between, between_right
from chordnet.core.base.messages import (
    Changed,
    GetState,
    Leaving,
    NodeRef,
    Notify,
    Ping,
    RingLabel,
    State,
    Status,
)
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import Handlers, Ringers
from chordnet.core.kernel.requests import Answer, Ask, Question, Requests
from chordnet.core.kernel.timers import Alarm
from chordnet.core.ring.adoption import Adoption
from chordnet.core.ring.offers import Offers

PATIENCE = 1.6
"""A predecessor stabilises every idle pause, jitter included; silence for this many is suspect."""


class RingHooks(Protocol):
    """What the ring tells the rest of its node."""

    def status(self) -> Status: ...
    def state_answer(self, rid: int) -> State:
        """Build the answer to a question about state."""

    def successors_changed(self, old_head: NodeRef | None) -> None: ...
    def predecessor_changed(self, old: NodeRef | None) -> None: ...
    def label_seen(self, label: RingLabel, through: NodeRef) -> None: ...
    def joined(self) -> None: ...
    def last_resort(self) -> NodeRef | None:
        """Return some live node to go on with when the whole successor list is dead."""


class Ring:
    """This node's place in the ring."""

    def __init__(
        self, ctx: Context, requests: Requests, detector: Detector, hooks: RingHooks
    ) -> None:
        self._ctx = ctx
        self._requests = requests
        self._detector = detector
        self._hooks = hooks
        self._safe = ctx.config.safeguards
        self._prompt = ctx.config.finger_upkeep.prompt
        self.predecessor: NodeRef | None = None
        self.successors: list[NodeRef] = []
        self.label: RingLabel | None = None
        self.before: RingLabel | None = None
        """The label that was given up for this one."""
        self.adoption = Adoption()
        self._asking: Question | None = None
        self._deferred: list[tuple[NodeRef, GetState]] = []
        self._changed = False
        self._pace = ctx.config.stabilise_fast_s
        self._last_start = float("-inf")
        self._predecessor_heard = 0.0
        self._offers = Offers(ctx)
        requests.handle(Ask.STABILISE_SUCCESSOR, self._successor_answered, self._successor_silent)
        requests.handle(
            Ask.STABILISE_PREDECESSOR, self._predecessor_answered, self._predecessor_silent
        )
        requests.handle(Ask.RECTIFY, self._rectify_alive, self._rectify_silent)
        requests.handle(Ask.OFFERED_PREDECESSOR, self._offered_alive, self._offered_silent)

    # ---- reading ----------------------------------------------------------------------------

    @property
    def head(self) -> NodeRef:
        """The successor; this node itself in a ring of one."""
        return self.successors[0] if self.successors else self._ctx.me

    def owns(self, key: int) -> bool:
        """Return True if key lies in (predecessor, self]."""
        predecessor = self.predecessor
        if predecessor is None:
            return False
        return between_right(predecessor.id, key, self._ctx.my_id)

    def predecessor_is_dead(self) -> bool:
        """Return True if the predecessor died and nobody has taken its place yet."""
        predecessor = self.predecessor
        return predecessor is not None and self._ctx.peers.is_dead(predecessor, self._ctx.now)

    # ---- entering ---------------------------------------------------------------------------

    def create(self, label: RingLabel) -> None:
        """Become a ring of one."""
        self.label = label
        self.predecessor = self._ctx.me
        self.successors = []
        self._started()

    def join(self, member: NodeRef, state: State) -> None:
        """Take the place after ``member``, whose answer ``state`` is."""
        self.label = state.label
        self.predecessor = member
        # The member may still name an earlier life of ours.
        offered = [node for node in state.successors if node.raw != self._ctx.me.raw]
        if not self._safe.whole_list:
            offered = offered[:1]
        self.successors = self._offers.usable(offered) or [member]
        self._open_links(self.successors)
        self._started()
        self._hooks.successors_changed(None)
        self._hooks.predecessor_changed(None)

    def check_joined(self) -> None:
        """Take note if both neighbours have taken this node in."""
        alone = not self.successors and self.predecessor == self._ctx.me
        if self._hooks.status() == Status.ACTIVE and self.adoption.complete(alone=alone):
            self._hooks.joined()

    def _taken_in_by(self, node: NodeRef) -> None:
        if node == self.predecessor:
            self.adoption.before = True
            self.check_joined()

    def place(self, label: RingLabel, predecessor: NodeRef, successors: Iterable[NodeRef]) -> None:
        """Have these pointers from now on, as if the ring had been at rest for long."""
        ctx, config = self._ctx, self._ctx.config
        self.label, self.predecessor, self.successors = label, predecessor, list(successors)
        self.adoption.joined = self.adoption.behind = self.adoption.answered = True
        self._pace = config.stabilise_idle_s
        ctx.alarms.set(Alarm.STABILISE, ctx.now + ctx.rng.random() * config.stabilise_idle_s)
        ctx.alarms.set(Alarm.PREDECESSOR, ctx.jittered(1.5 * config.stabilise_idle_s))
        self._tell()

    def _started(self) -> None:
        ctx = self._ctx
        self.soon()
        self._predecessor_heard = ctx.now
        ctx.alarms.set(Alarm.PREDECESSOR, ctx.now + PATIENCE * ctx.config.stabilise_idle_s)
        self._tell()

    # ---- stabilise --------------------------------------------------------------------------

    def soon(self) -> None:
        """Stabilise as soon as is reasonable, and keep the fast pace for a while."""
        if not self._prompt:
            return
        # Twenty runs to the fast pause: quick enough to settle a ring in milliseconds, and a
        # storm of changes still cannot make a node do nothing but stabilise.
        fast = self._ctx.config.stabilise_fast_s
        self._pace = fast
        self._ctx.alarms.sooner(Alarm.STABILISE, max(self._ctx.now, self._last_start + fast / 20))

    def stabilise(self) -> None:
        """The ``stabilise`` alarm has rung."""
        ctx = self._ctx
        if self._asking is not None:
            return
        self._last_start = ctx.now
        self._changed = False
        if self.successors:
            self._ask(Ask.STABILISE_SUCCESSOR, self.successors[0])
        elif self.predecessor is not None and self.predecessor.raw != ctx.me.raw:
            self._ask(Ask.STABILISE_PREDECESSOR, self.predecessor)
        else:
            self._finish()

    def _ask(self, ask: Ask, target: NodeRef) -> None:
        status = self._hooks.status()
        head = ask == Ask.STABILISE_SUCCESSOR
        self._asking = self._requests.ask(
            ask, target, lambda rid: GetState(rid, status, head), subject=self.head
        )

    def _finish(self) -> None:
        """The operation is over: answer who had to wait, and plan the next one."""
        ctx, config = self._ctx, self._ctx.config
        self._asking = None
        self._answer_deferred()
        if self._changed and self._prompt:
            self.soon()
        else:
            self._pace = min(self._pace * config.stabilise_backoff, config.stabilise_idle_s)
            ctx.alarms.sooner(Alarm.STABILISE, ctx.jittered(self._pace))

    def _successor_answered(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        if not self._is_current(question) or not isinstance(answer, State):
            return
        if self.head.raw != sender.raw:
            self._changed = True
        elif answer.status != Status.ACTIVE:
            self._detector.condemn(sender)
        else:
            self._take_label(answer, sender)
            self._adopt([sender, *answer.successors])
            between_us = answer.predecessor
            self._offers.notice_twin(between_us)
            if between_us == self._ctx.me and self.head == sender:
                self.adoption.behind = True
                self.check_joined()
            if between_us is not None and self._is_between(between_us, sender):
                if self._safe.ask_before_adopting:
                    self._ask(Ask.STABILISE_PREDECESSOR, between_us)
                    return
                self._adopt(self._list_from(between_us, [sender, *answer.successors]))
                sender = between_us
            else:
                self.adoption.answered = True
            if between_us is None or between_us != self._ctx.me:
                self._ctx.send(sender, Notify())
        self._finish()

    def _successor_silent(self, question: Question) -> None:
        self._detector.suspect(question.target)
        if self._is_current(question):
            self._finish()

    def _predecessor_answered(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        head = question.subject
        if head is None or not self._is_current(question):
            return
        if isinstance(answer, State) and (head.raw == self.head.raw or not self._safe.same_head):
            if answer.status == Status.ACTIVE and self._is_between(sender, head):
                self._take_label(answer, sender)
                self._adopt(self._list_from(sender, answer.successors))
                self._ctx.send(sender, Notify())
            elif head.raw != self._ctx.me.raw:
                self._ctx.send(head, Notify())
        self._finish()

    def _predecessor_silent(self, question: Question) -> None:
        self._detector.suspect(question.target)
        head = question.subject
        if not self._is_current(question):
            return
        if head is not None and head.raw == self.head.raw and head.raw != self._ctx.me.raw:
            self._ctx.send(head, Notify())
        self._finish()

    def _is_current(self, question: Question) -> bool:
        return self._asking is not None and self._asking.rid == question.rid

    def _is_between(self, node: NodeRef, head: NodeRef) -> bool:
        ctx = self._ctx
        return (
            between(ctx.my_id, node.id, head.id)
            and not ctx.peers.is_dead(node, ctx.now)
            and not self._offers.is_another(node)
        )

    # ---- answering questions about state ----------------------------------------------------

    def asked(self, sender: NodeRef, message: GetState) -> None:
        """Answer at once, or after our own question."""
        if message.successor:
            self._taken_in_by(sender)
        asking = self._asking if self._safe.answer_later else None
        if asking is None or message.status not in (Status.ACTIVE, Status.JOINING):
            self._ctx.send(sender, self._hooks.state_answer(message.rid))
            return
        if asking.target.raw == sender.raw and self._ctx.me.raw < sender.raw:
            self._give_up()
            self._ctx.send(sender, self._hooks.state_answer(message.rid))
        elif len(self._deferred) < self._ctx.config.max_deferred:
            if not self._deferred:
                self._ctx.alarms.set(Alarm.DEFER, self._ctx.jittered(self._ctx.config.defer_s))
            self._deferred.append((sender, message))

    def defer_over(self) -> None:
        """The ``defer`` alarm has rung: others have waited long enough."""
        if self._deferred:
            self._give_up()

    def _give_up(self) -> None:
        # The question itself stays open: silence must not go unnoticed because we were asked.
        self._ctx.counters.add(CoreMetric.STABILISE_GIVEN_UP)
        self._changed = True
        self._finish()

    def _answer_deferred(self) -> None:
        self._ctx.alarms.cancel(Alarm.DEFER)
        waiting, self._deferred = self._deferred, []
        for sender, message in waiting:
            self._ctx.send(sender, self._hooks.state_answer(message.rid))

    # ---- rectify ----------------------------------------------------------------------------

    def on_notify(self, sender: NodeRef, _message: Notify) -> None:
        """``sender`` takes us for its successor."""
        self.notified(sender)

    def on_changed(self, sender: NodeRef, _message: Changed) -> None:
        """``sender`` has another predecessor."""
        if self.head.raw == sender.raw:
            self.soon()

    def notified(self, new: NodeRef) -> None:
        """``new`` believes that it is our predecessor."""
        ctx, old = self._ctx, self.predecessor
        if new.raw == ctx.me.raw:
            return
        if (
            old is None
            or between(old.id, new.id, ctx.my_id)
            or self.predecessor_is_dead()
            or (old.raw == new.raw and new.incarnation > old.incarnation)
        ):
            self._set_predecessor(new)
        elif old.raw != new.raw:
            self._requests.ask(Ask.RECTIFY, old, Ping, subject=new)
        self._taken_in_by(new)

    def _rectify_alive(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        pass

    def _rectify_silent(self, question: Question) -> None:
        if self.predecessor_is_dead():
            if question.subject is not None:
                self.notified(question.subject)
        else:
            self._detector.suspect(question.target)

    def _set_predecessor(self, new: NodeRef) -> None:
        old, self.predecessor = self.predecessor, new
        self.adoption.before = False
        self._predecessor_heard = self._ctx.now
        self._tell()
        if not self.successors:
            self.soon()
        self._hooks.predecessor_changed(old)

    def heard(self, peer: NodeRef) -> None:
        """A message of ``peer`` has arrived."""
        if self.predecessor is not None and peer.raw == self.predecessor.raw:
            self._predecessor_heard = self._ctx.now

    def check_predecessor(self) -> None:
        """The ``predecessor`` alarm has rung: a silent predecessor is probed."""
        ctx, predecessor = self._ctx, self.predecessor
        patience = PATIENCE * ctx.config.stabilise_idle_s
        if self._predecessor_heard + patience <= ctx.now:
            if predecessor is not None:
                self._detector.suspect(predecessor)
            self._predecessor_heard = ctx.now
        ctx.alarms.set(Alarm.PREDECESSOR, self._predecessor_heard + patience)

    # ---- deaths and departures --------------------------------------------------------------

    def evict(self, peer: NodeRef) -> None:
        """``peer`` is dead (or leaving): drop it from the list."""
        kept = [s for s in self.successors if not self._ctx.peers.is_life_of(s, peer)]
        if len(kept) != len(self.successors):
            if not kept and (resort := self._hooks.last_resort()) is not None:
                kept = [resort]
            self._set_successors(kept)
            self.soon()
        if self.predecessor_is_dead():
            if not self.successors:
                self._set_predecessor(self._ctx.me)
                self.check_joined()
            elif not self._safe.keep_predecessor:
                self.predecessor = None

    def departing(self, peer: NodeRef, message: Leaving) -> None:
        """A neighbour is about to leave; what it offers are hints, checked before use."""
        was_predecessor = self.predecessor is not None and self.predecessor.raw == peer.raw
        offered = message.predecessor
        if not self.successors:
            self._adopt([n for n in message.successors if n.raw != peer.raw])
        if was_predecessor and offered is not None and offered.raw != self._ctx.me.raw:
            self._requests.ask(Ask.OFFERED_PREDECESSOR, offered, Ping)

    def _offered_alive(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        if self.predecessor_is_dead():
            self._set_predecessor(sender)

    def _offered_silent(self, question: Question) -> None:
        pass

    # ---- merging ----------------------------------------------------------------------------

    def consider(self, node: NodeRef, state: State) -> bool:
        """Adopt ``node``, which just answered ``state``, if it lies before the successor."""
        if state.status != Status.ACTIVE or not self._is_between(node, self.head):
            return False
        self._adopt([node, *state.successors])
        self._ctx.send(node, Notify())
        self.soon()
        return True

    def _take_label(self, state: State, sender: NodeRef) -> None:
        if state.label is not None and state.label != self.label:
            self._hooks.label_seen(state.label, sender)

    def set_label(self, label: RingLabel) -> None:
        """Belong to the ring called ``label`` from now on."""
        self.before, self.label = self.label, label
        self._tell()

    # ---- the list ---------------------------------------------------------------------------

    def _list_from(self, head: NodeRef, its_list: list[NodeRef]) -> list[NodeRef]:
        """Return the list to take over with a new head."""
        return [head, *(its_list if self._safe.whole_list else self.successors[1:])]

    def _adopt(self, offered: list[NodeRef]) -> None:
        new = self._offers.usable(offered)
        if new and new != self.successors:
            self._set_successors(new)

    def _set_successors(self, new: list[NodeRef]) -> None:
        old = self.successors
        old_head = old[0] if old else None
        self.successors = new
        self._changed = True
        if not new or old_head != new[0]:
            self.adoption.behind = self.adoption.answered = False
        self._open_links([node for node in new if node not in old])
        if self.predecessor is not None and self.predecessor.raw != self._ctx.me.raw:
            self._ctx.send(self.predecessor, Changed())
        self._tell()
        self._hooks.successors_changed(old_head)

    def _open_links(self, nodes: list[NodeRef]) -> None:
        """Ping nodes just taken over on another's word: a dead one shows at once, and the open
        connection makes its later death known at once.
        """
        for node in nodes:
            if not self._ctx.peers.spoken_to(node):
                self._ctx.send(node, Ping(self._ctx.rid()))

    def _tell(self) -> None:
        self._ctx.effects.append(RingChanged(self.predecessor, list(self.successors), self.label))

    MESSAGES: ClassVar[Handlers] = {
        Notify: on_notify,
        Changed: on_changed,
    }

    ALARMS: ClassVar[Ringers] = {
        Alarm.STABILISE: stabilise,
        Alarm.DEFER: defer_over,
        Alarm.PREDECESSOR: check_predecessor,
    }
