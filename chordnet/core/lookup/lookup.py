"""Lookups: which node is responsible for a key, and by which path it was found.

A lookup is one object, at the node that asked. Its states are::

    recursive --(no answer for lookup_timeout_s, or a failure)--> iterative --> done | failed

- *Recursive*: the question travels from node to node and the last one answers the asker directly,
  about (h + 1) * RTT / 2 for h hops. Nodes on the way keep no state.
- *Iterative*: the asker asks each node on the way itself, h * RTT. This is slower, but the asker
  learns which node is silent, has it probed, and avoids it: the fallback, and good for teaching.

This is the asking side. What a node answers, to others and to itself, is in ``answering.py``; the
progress of an iterative lookup is in ``iterative.py``. If all nodes from the key on are
unreachable, the last live node before the key is asked, rather than failing. Every lookup has a
deadline, and the number of open lookups is limited.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import ClassVar

import attrs

from chordnet.core.base.effects import LookupDone
from chordnet.core.base.events import FindOwner
from chordnet.core.base.limits import MAX_EXCLUDE
from chordnet.core.base.messages import (
    Find,
    FindFailed,
    FindKind,
    FindNext,
    Found,
    Next,
    NodeRef,
    RingLabel,
)
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.base.outcomes import Failed
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import EventHandlers, Handlers, Hearers
from chordnet.core.kernel.membership import MEMBER
from chordnet.core.kernel.requests import Answer, Ask, Question, Requests
from chordnet.core.kernel.signals import ANSWERED_HERE, DIED
from chordnet.core.kernel.timers import Expiry
from chordnet.core.lookup.answering import ALTERNATIVES, Answering
from chordnet.core.lookup.iterative import Walk
from chordnet.core.ring.pointers import Pointers


class Purpose(enum.IntEnum):
    """What a lookup is for: decides which part of the node is told its result."""

    PROGRAM = enum.auto()
    JOIN = enum.auto()
    FINGER = enum.auto()
    AUDIT = enum.auto()
    REASSIGN = enum.auto()
    EXTEND = enum.auto()
    FINGER_CHECK = enum.auto()


@attrs.define
class Lookup:
    """One lookup under way."""

    number: int
    purpose: Purpose
    tag: int
    """The number by which its owner knows it (an operation, a finger slot, …)."""
    key: int
    kind: FindKind
    via: NodeRef | None
    """Begin at this node rather than at this node's own tables."""
    walk: Walk | None = None
    """The steps of the iterative lookup; None while it is recursive."""


@attrs.frozen
class Result:
    """The result of a lookup; ``node`` is None if it failed, and ``reason`` says why."""

    purpose: Purpose
    tag: int
    node: NodeRef | None
    path: list[NodeRef]
    label: RingLabel | None = None
    reason: Failed = Failed.NO


OnResult = Callable[[Result], None]


class Lookups:
    """All lookups of this node."""

    def __init__(
        self,
        ctx: Context,
        ring: Pointers,
        answering: Answering,
        requests: Requests,
        detector: Detector,
    ) -> None:
        self._handlers: dict[Purpose, OnResult] = {}
        self._ctx = ctx
        self._ring = ring
        self._answering = answering
        self._requests = requests
        self._detector = detector
        self._open: dict[int, Lookup] = {}
        config = ctx.config
        self._patience: Expiry[int] = Expiry(config.lookup_timeout_s, self._is_recursive)
        self._deadlines: Expiry[int] = Expiry(config.lookup_deadline_s, self._open.__contains__)
        self.expiries = (self._patience, self._deadlines)
        """The queues whose earliest entry limits the node's deadline."""
        requests.handle(Ask.FIND_NEXT, self._step_answered, self._step_silent)
        self.handle(Purpose.PROGRAM, self._program_answered)

    def __len__(self) -> int:
        return len(self._open)

    def _is_recursive(self, number: int) -> bool:
        lookup = self._open.get(number)
        return lookup is not None and lookup.walk is None

    # ---- asking -----------------------------------------------------------------------------

    def handle(self, purpose: Purpose, on_result: OnResult) -> None:
        """Register what is called with the results of lookups for this purpose."""
        self._handlers[purpose] = on_result

    def start(
        self,
        purpose: Purpose,
        tag: int,
        key: int,
        *,
        kind: FindKind = FindKind.OWNER,
        via: NodeRef | None = None,
        last: bool = False,
        ttl: int | None = None,
        iterative: bool = False,
    ) -> None:
        """Begin a lookup. The handler of the purpose may be called before this returns.

        :param via: begin at this node rather than at this node's own tables.
        :param last: ``via`` is believed to own the key.
        :param ttl: hops; ``max_hops`` by default.
        """
        ctx = self._ctx
        if len(self._open) >= ctx.config.max_lookups:
            self._tell(Result(purpose, tag, None, [], reason=Failed.BUSY))
            return
        ctx.counters.add(CoreMetric.LOOKUPS)
        # Any node may turn out to be the owner, so only the number shows that it was asked: it must
        # be hard to guess.
        number = ctx.rng.getrandbits(62)
        lookup = Lookup(number, purpose, tag, key, kind, via)
        self._open[number] = lookup
        self._deadlines.add(number, ctx.now)
        if iterative:
            self._go_iterative(lookup)
            return
        self._patience.add(number, ctx.now)
        ttl = ctx.config.max_hops if ttl is None else ttl
        question = Find(number, ctx.me, ctx.space.raw(key), int(kind), [], ttl, last)
        if via is not None:
            ctx.send(via, question)
        else:
            self._answering.route(question, key)

    def find_owner(self, event: FindOwner) -> None:
        """Look up the owner of a key for the program."""
        if self._ctx.is_member:
            key = int.from_bytes(event.key)
            self.start(Purpose.PROGRAM, event.op, key, iterative=event.iterative)
        else:
            self._ctx.effects.append(LookupDone(event.op, None, [], Failed.NOT_IN_RING))

    def _program_answered(self, result: Result) -> None:
        done = LookupDone(result.tag, result.node, result.path, result.reason)
        self._ctx.effects.append(done)

    def tick(self) -> None:
        """Fail lookups that are out of time; go on iteratively with those that wait too long."""
        now = self._ctx.now
        for number in self._deadlines.due(now):
            self._fail(self._open[number], Failed.TIMED_OUT)
        for number in self._patience.due(now):
            self._ctx.counters.add(CoreMetric.LOOKUPS_RETRIED)
            self._go_iterative(self._open[number])

    def died(self, peer: NodeRef) -> None:
        """Fail the lookups that began at ``peer``, which is dead."""
        for lookup in list(self._open.values()):
            if lookup.via is not None and lookup.via.raw == peer.raw and lookup.walk is None:
                self._fail(lookup, Failed.NODE_DIED)

    # ---- recursive --------------------------------------------------------------------------

    def on_found(self, sender: NodeRef, answer: Found) -> None:
        """End the lookup that the node looked for has answered."""
        lookup = self._open.get(answer.lookup)
        if lookup is not None and answer.node.raw == sender.raw:
            self._ctx.answered(sender)
            self._finish(lookup, answer.node, answer.path, answer.label)

    def on_find_failed(self, _sender: NodeRef, answer: FindFailed) -> None:
        """Go on iteratively with a lookup that a node could not pass on, or fail it."""
        lookup = self._open.get(answer.lookup)
        if lookup is None or lookup.walk is not None:
            return
        if self._ctx.status not in MEMBER:
            self._fail(lookup, Failed.NOT_IN_RING)
        elif lookup.via is not None:
            # The question was for that node's ring: our own tables would answer another one.
            self._fail(lookup, Failed.REFUSED)
        else:
            self._go_iterative(lookup)

    def _answered_here(self, answer: Found | FindFailed) -> None:
        """Take the answer of this node itself to a lookup of its own."""
        if isinstance(answer, Found):
            self.on_found(self._ctx.me, answer)
        else:
            self.on_find_failed(self._ctx.me, answer)

    # ---- iterative --------------------------------------------------------------------------

    def _go_iterative(self, lookup: Lookup) -> None:
        ctx = self._ctx
        walk = lookup.walk = Walk(self._known_dead())
        if lookup.via is not None:
            walk.candidates = [(lookup.via, False)]
        else:
            walk.trail = [(ctx.me, False)]
            if not self._advise_self(lookup, walk):
                return
        self._step(lookup, walk)

    def _known_dead(self) -> dict[bytes, None]:
        ctx = self._ctx
        return dict.fromkeys(reversed(ctx.peers.dead_raws(ctx.now, MAX_EXCLUDE)))

    def _advise_self(self, lookup: Lookup, walk: Walk) -> bool:
        """Take a step at this node, the last of the trail; return False if it ends the lookup.

        A node sends no messages to itself, but others may name it as the owner.
        """
        done, nodes, last = self._answering.advise(
            lookup.key, lookup.kind, walk.silent, last=walk.trail[-1][1]
        )
        if done:
            self._finish(lookup, self._ctx.me, walk.path, self._ring.label)
        else:
            walk.advised(nodes, last=last)
        return not done

    def _step(self, lookup: Lookup, walk: Walk) -> None:
        me = self._ctx.me
        while walk.may_go_on():
            best = walk.best()
            if best is not None and best[0].raw != me.raw:
                self._ask_next(lookup, walk, *best)
                return
            if best is not None:
                walk.trail.append(best)
            elif lookup.via is not None or not walk.begin_again(me, self._known_dead()):
                break
            if not self._advise_self(lookup, walk):
                return
        self._fail(lookup, Failed.NO_WAY)

    def _ask_next(self, lookup: Lookup, walk: Walk, target: NodeRef, last: bool) -> None:
        key, kind, exclude = self._ctx.space.raw(lookup.key), int(lookup.kind), walk.exclude
        self._requests.ask(
            Ask.FIND_NEXT,
            target,
            lambda rid: FindNext(rid, key, kind, exclude, last),
            detail=lookup.number,
        )
        walk.last = last

    def _walking(self, question: Question) -> tuple[Lookup, Walk] | None:
        """Return the lookup that asked this question, if it is still open."""
        lookup = self._open.get(question.detail)
        if lookup is None or lookup.walk is None:
            return None
        return lookup, lookup.walk

    def _step_answered(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        walking = self._walking(question)
        if walking is None or not isinstance(answer, Next):
            return
        lookup, walk = walking
        walk.trail.append((sender, walk.last))
        if answer.done:
            self._finish(lookup, sender, walk.path, answer.label)
            return
        walk.offered(answer.nodes[:ALTERNATIVES], last=answer.last)
        self._step(lookup, walk)

    def _step_silent(self, question: Question) -> None:
        self._detector.suspect(question.target)
        walking = self._walking(question)
        if walking is None:
            return
        lookup, walk = walking
        walk.silent[question.target.raw] = None
        # The node that named the silent one knows others: ask it again, without that one.
        if walk.trail and walk.trail[-1][0].raw == self._ctx.me.raw:
            if not self._advise_self(lookup, walk):
                return
        elif walk.trail:
            walk.ask_again()
        self._step(lookup, walk)

    # ---- ending -----------------------------------------------------------------------------

    def _finish(
        self, lookup: Lookup, node: NodeRef, path: list[NodeRef], label: RingLabel | None
    ) -> None:
        del self._open[lookup.number]
        self._ctx.counters.add(CoreMetric.LOOKUP_HOPS, by=len(path) - 1)
        self._tell(Result(lookup.purpose, lookup.tag, node, path, label))

    def _tell(self, result: Result) -> None:
        self._handlers[result.purpose](result)

    def _fail(self, lookup: Lookup, reason: Failed) -> None:
        del self._open[lookup.number]
        self._ctx.counters.add(CoreMetric.LOOKUPS_FAILED)
        path = lookup.walk.path if lookup.walk is not None else []
        self._tell(Result(lookup.purpose, lookup.tag, None, path, None, reason))

    MESSAGES: ClassVar[Handlers] = {
        Found: on_found,
        FindFailed: on_find_failed,
    }

    EVENTS: ClassVar[EventHandlers] = {
        FindOwner: find_owner,
    }

    HEARS: ClassVar[Hearers] = {
        ANSWERED_HERE: _answered_here,
        DIED: died,
    }
