"""Lookups: who is responsible for a key, and by which path was that found.

One lookup is one object, here at the node that asked. It lives through::

    recursive --(no answer for lookup_timeout_s, or a failure)--> iterative --> done | failed

- *Recursive*: the question travels from node to node and the last one answers the asker directly,
  about (h + 1) * RTT / 2 for h hops. Nothing is kept on the way.
- *Iterative*: the asker asks each node on the way itself, h * RTT. Slower, but it learns which node
  is silent, has it probed, and goes round it: the fallback, and good for teaching.

Only the owner itself answers for a key, when the key lies in (predecessor, self]. A node that was
believed to be the owner and is not passes the question on to its predecessor. When all nodes from
the key on are unreachable, the last live node before the key is asked, rather than failing. A node
that the asker alone finds silent stays the owner: its successor answers in its place only once it
holds it for dead itself, and until then sends the asker back to it.

Source of the routing rule: Stoica et al., ToN 2003, figure 3 (closest preceding node).
"""

from __future__ import annotations

import enum
from collections.abc import Container
from typing import Protocol

import attrs

from chordnet.core.context import Context
from chordnet.core.detector import Detector
from chordnet.core.identifiers import between_right
from chordnet.core.membership import MEMBER
from chordnet.core.messages import (
    Find,
    FindFailed,
    FindKind,
    FindNext,
    Found,
    Next,
    NodeRef,
    RingLabel,
    Status,
)  # fmt: skip
from chordnet.core.requests import Answer, Ask, Question, Requests
from chordnet.core.routing import Routes
from chordnet.core.successors import Ring
from chordnet.core.timers import Expiry

ALTERNATIVES = 3
"""Nodes that one step of an iterative lookup offers."""
MAX_STEPS = 512
"""Questions that one iterative lookup may ask."""
MAX_EXCLUDE = 64
"""Silent nodes that a question names."""
MAX_CANDIDATES = 16
"""Nodes that an iterative lookup keeps in mind."""


class Purpose(enum.IntEnum):
    """On whose behalf a lookup runs; its result is told to whoever registered for it."""

    PROGRAM = 0
    JOIN = 1
    FINGER = 2
    AUDIT = 3
    REASSIGN = 4
    EXTEND = 5
    FINGER_CHECK = 6


@attrs.define
class Lookup:
    """One lookup under way."""

    number: int
    purpose: Purpose
    tag: int
    """The number by which its owner knows it (an operation, a finger slot, …)."""
    key: int
    kind: FindKind
    deadline: float
    via: NodeRef | None
    """Begin at this node rather than at this node's own tables."""
    iterative: bool = False
    trail: list[tuple[NodeRef, bool]] = attrs.field(factory=list)
    """Nodes that answered so far; with each, whether it was asked as the supposed owner."""
    candidates: list[tuple[NodeRef, bool]] = attrs.field(factory=list)
    silent: dict[bytes, None] = attrs.field(factory=dict)
    """Nodes found silent, the latest at the end."""
    asked: set[tuple[bytes, bool]] = attrs.field(factory=set)
    steps: int = 0
    last: bool = False


@attrs.frozen
class Result:
    """The end of a lookup; ``node`` is None when it failed, and ``reason`` says why."""

    purpose: Purpose
    tag: int
    node: NodeRef | None
    path: list[NodeRef]
    label: RingLabel | None = None
    reason: str = ""


class LookupHooks(Protocol):
    """What lookups ask of their node."""

    def status(self) -> Status: ...
    def looked_up(self, result: Result) -> None: ...


class Lookups:
    """All lookups of this node, and its part in those of others."""

    def __init__(
        self,
        ctx: Context,
        ring: Ring,
        routes: Routes,
        requests: Requests,
        detector: Detector,
        hooks: LookupHooks,
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._routes = routes
        self._requests = requests
        self._detector = detector
        self._hooks = hooks
        self._open: dict[int, Lookup] = {}
        config = ctx.config
        self._patience: Expiry[int] = Expiry(config.lookup_timeout_s, self._is_recursive)
        self._deadlines: Expiry[int] = Expiry(config.lookup_deadline_s, self._open.__contains__)
        self.expiries = (self._patience, self._deadlines)
        """Each says when something of ours is due."""
        requests.handle(Ask.FIND_NEXT, self._step_answered, self._step_silent)

    def __len__(self) -> int:
        return len(self._open)

    def _is_recursive(self, number: int) -> bool:
        lookup = self._open.get(number)
        return lookup is not None and not lookup.iterative

    # ---- asking -----------------------------------------------------------------------------

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
        """Begin a lookup; :meth:`LookupHooks.looked_up` is told the result, perhaps at once.

        :param via: begin at this node rather than at this node's own tables.
        :param last: ``via`` is believed to own the key.
        :param ttl: hops; ``max_hops`` by default.
        """
        ctx = self._ctx
        if len(self._open) >= ctx.config.max_lookups:
            self._hooks.looked_up(Result(purpose, tag, None, [], reason="busy"))
            return
        ctx.counters["lookups"] += 1
        number = ctx.rid()
        lookup = Lookup(
            number, purpose, tag, key, kind, ctx.now + ctx.config.lookup_deadline_s, via
        )
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
            self._route(question, key)

    def tick(self) -> None:
        """Look after lookups that have waited too long."""
        now = self._ctx.now
        for number in self._deadlines.due(now):
            self._fail(self._open[number], "timed out")
        for number in self._patience.due(now):
            self._ctx.counters["lookups_retried"] += 1
            self._go_iterative(self._open[number])

    def died(self, peer: NodeRef) -> None:
        """``peer`` is dead: what was asked through it will not be answered."""
        for lookup in list(self._open.values()):
            if lookup.via is not None and lookup.via.raw == peer.raw and not lookup.iterative:
                self._fail(lookup, "the node asked is dead")

    # ---- recursive: passing on --------------------------------------------------------------

    def find(self, question: Find) -> None:
        """A recursive lookup (of another node's, or our own come back) has arrived."""
        if question.ttl <= 0:
            self._refuse(question, "it was passed on too many times")
        elif self._hooks.status() not in MEMBER:
            self._refuse(question, f"{self._ctx.me.name or self._ctx.me.address} is in no ring")
        else:
            self._route(question, int.from_bytes(question.key))

    def _route(self, question: Find, key: int) -> None:
        ctx = self._ctx
        path = [*question.path, ctx.me]
        if self._answers(key, question.kind, last=question.last):
            self._answer(question, path)
            return
        target, last = self._next_hop(key, question.kind, last=question.last)
        if target is None:
            self._refuse(question, f"{ctx.me.name or ctx.me.address} knows no way to it")
            return
        ctx.send(
            target,
            Find(
                question.lookup, question.origin, question.key, question.kind, path,
                question.ttl - 1, last,
            ),
        )  # fmt: skip

    def _answers(self, key: int, kind: int, *, last: bool) -> bool:
        """Tell whether this node is what is looked for."""
        ring = self._ring
        if kind == FindKind.PREDECESSOR:
            return between_right(self._ctx.my_id, key, ring.head.id)
        if self._hooks.status() == Status.LEAVING and ring.successors:
            return False
        return ring.owns(key) or not ring.successors or (last and ring.predecessor_is_dead())

    def _next_hop(self, key: int, kind: int, *, last: bool) -> tuple[NodeRef | None, bool]:
        """Return the node to pass a question on to, and whether it should be the last."""
        ctx, ring = self._ctx, self._ring
        leaving = self._hooks.status() == Status.LEAVING
        if kind == FindKind.OWNER and (
            (leaving and ring.owns(key)) or between_right(ctx.my_id, key, ring.head.id)
        ):
            return ring.head, True
        if last and ring.predecessor is not None:
            return ring.predecessor, True
        return self._routes.preceding((key - ctx.my_id) % ctx.space.size or ctx.space.size), False

    def _answer(self, question: Find, path: list[NodeRef]) -> None:
        ctx = self._ctx
        answer = Found(question.lookup, ctx.me, path, self._ring.label)
        if question.origin.raw == ctx.me.raw:
            self.found(ctx.me, answer)
        else:
            ctx.send(question.origin, answer)

    def _refuse(self, question: Find, reason: str) -> None:
        ctx = self._ctx
        if question.origin.raw == ctx.me.raw:
            self.find_failed(FindFailed(question.lookup, reason))
        else:
            ctx.send(question.origin, FindFailed(question.lookup, reason))

    def found(self, sender: NodeRef, answer: Found) -> None:
        """The answer to a recursive lookup has arrived."""
        lookup = self._open.get(answer.lookup)
        if lookup is not None and answer.node.raw == sender.raw:
            self._finish(lookup, answer.node, answer.path, answer.label)

    def find_failed(self, answer: FindFailed) -> None:
        """Some node could not pass our lookup on."""
        lookup = self._open.get(answer.lookup)
        if lookup is None or lookup.iterative:
            return
        if lookup.via is not None or self._hooks.status() not in MEMBER:
            self._fail(lookup, answer.reason)
        else:
            self._go_iterative(lookup)

    # ---- iterative --------------------------------------------------------------------------

    def _go_iterative(self, lookup: Lookup) -> None:
        ctx = self._ctx
        lookup.iterative = True
        lookup.silent = self._known_dead()
        if lookup.via is not None:
            lookup.candidates = [(lookup.via, False)]
        else:
            lookup.trail = [(ctx.me, False)]
            if not self._advise_self(lookup):
                return
        self._step(lookup)

    def _known_dead(self) -> dict[bytes, None]:
        ctx = self._ctx
        return dict.fromkeys(reversed(ctx.peers.dead_raws(ctx.now, MAX_EXCLUDE)))

    def _advise_self(self, lookup: Lookup) -> bool:
        """Take a step at this node, the last of the trail; tell whether there is another to take.

        Nobody sends a message to himself, and others may well name this node as the owner.
        """
        as_owner = lookup.trail[-1][1]
        done, nodes, last = self._advise(lookup.key, lookup.kind, lookup.silent, last=as_owner)
        if done:
            path = [node for node, _ in lookup.trail]
            self._finish(lookup, self._ctx.me, path, self._ring.label)
        else:
            lookup.candidates[:0] = [(node, last) for node in nodes]
        return not done

    @staticmethod
    def _best(lookup: Lookup) -> tuple[NodeRef, bool] | None:
        """Take out the first candidate that is worth asking."""
        while lookup.candidates:
            node, last = lookup.candidates.pop(0)
            if node.raw not in lookup.silent and (node.raw, last) not in lookup.asked:
                lookup.asked.add((node.raw, last))
                return node, last
        return None

    def _step(self, lookup: Lookup) -> None:
        while lookup.steps < MAX_STEPS:
            lookup.steps += 1
            best = self._best(lookup)
            if best is not None and best[0].raw != self._ctx.me.raw:
                self._ask_next(lookup, *best)
                return
            if best is not None:
                lookup.trail.append(best)
            elif not self._begin_again(lookup):
                break
            if not self._advise_self(lookup):
                return
        self._fail(lookup, "no way to it was found")

    def _ask_next(self, lookup: Lookup, target: NodeRef, last: bool) -> None:
        exclude = list(lookup.silent)[-MAX_EXCLUDE:]
        key, kind = self._ctx.space.raw(lookup.key), int(lookup.kind)
        self._requests.ask(
            Ask.FIND_NEXT,
            target,
            lambda rid: FindNext(rid, key, kind, exclude, last),
            detail=lookup.number,
        )
        lookup.last = last

    def _begin_again(self, lookup: Lookup) -> bool:
        """Nobody is left to ask: try those anew that were silent and are not known to be dead."""
        dead = self._known_dead()
        if lookup.via is not None or lookup.silent.keys() <= dead.keys():
            return False
        lookup.silent = dead
        lookup.asked.clear()
        lookup.trail = [(self._ctx.me, False)]
        return True

    def find_next(self, sender: NodeRef, message: FindNext) -> None:
        """Another node's iterative lookup asks for its next step."""
        ctx = self._ctx
        if self._hooks.status() not in MEMBER:
            ctx.send(sender, Next(message.rid, False, [], False, None))
            return
        exclude = set(message.exclude)
        for node in self._routes.nodes():
            if node.raw in exclude:
                self._detector.suspect(node)
        key = int.from_bytes(message.key)
        done, nodes, last = self._advise(key, message.kind, exclude, last=message.last)
        ctx.send(sender, Next(message.rid, done, nodes, last, self._ring.label))

    def _advise(
        self, key: int, kind: int, exclude: Container[bytes], *, last: bool
    ) -> tuple[bool, list[NodeRef], bool]:
        """Say whether this node is the answer; if not, whom to ask, and whether those should be."""
        ctx, ring = self._ctx, self._ring
        live = [node for node in ring.successors if node.raw not in exclude] or ring.successors
        head = live[0] if live else ctx.me
        before = ring.predecessor
        orphan = before is None or ring.predecessor_is_dead()
        leaving = self._hooks.status() == Status.LEAVING and bool(live)
        if kind == FindKind.PREDECESSOR:
            if between_right(ctx.my_id, key, head.id):
                return True, [], False
        elif ring.owns(key) or not live or (last and orphan):
            return (False, live[:ALTERNATIVES], True) if leaving else (True, [], False)
        elif between_right(ctx.my_id, key, head.id):
            return False, live[:ALTERNATIVES], True
        elif last and before is not None:
            return False, [before], True
        distance = (key - ctx.my_id) % ctx.space.size or ctx.space.size
        nodes = self._routes.closest(distance, exclude, ALTERNATIVES)
        return False, nodes or live[:1], False

    def _step_answered(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        lookup = self._open.get(question.detail)
        if lookup is None or not isinstance(answer, Next):
            return
        lookup.trail.append((sender, lookup.last))
        if answer.done:
            self._finish(lookup, sender, [node for node, _ in lookup.trail], answer.label)
            return
        offered = [(node, answer.last) for node in answer.nodes[:ALTERNATIVES]]
        if lookup.last and answer.last:
            # Its own neighbour vouches for it: the silence may have been a lost message.
            for again in offered:
                lookup.silent.pop(again[0].raw, None)
                lookup.asked.discard((again[0].raw, True))
        lookup.candidates = [*offered, *lookup.candidates][:MAX_CANDIDATES]
        self._step(lookup)

    def _step_silent(self, question: Question) -> None:
        self._detector.suspect(question.target)
        lookup = self._open.get(question.detail)
        if lookup is None:
            return
        lookup.silent[question.target.raw] = None
        # Whoever named the silent node knows others: it is asked again, without that one.
        if lookup.trail and lookup.trail[-1][0].raw == self._ctx.me.raw:
            if not self._advise_self(lookup):
                return
        elif lookup.trail:
            again = lookup.trail.pop()
            lookup.asked.discard((again[0].raw, again[1]))
            lookup.candidates.insert(0, again)
        self._step(lookup)

    # ---- ending -----------------------------------------------------------------------------

    def _finish(
        self, lookup: Lookup, node: NodeRef, path: list[NodeRef], label: RingLabel | None
    ) -> None:
        del self._open[lookup.number]
        self._ctx.counters["lookup_hops"] += len(path) - 1
        self._hooks.looked_up(Result(lookup.purpose, lookup.tag, node, path, label))

    def _fail(self, lookup: Lookup, reason: str) -> None:
        del self._open[lookup.number]
        self._ctx.counters["lookups_failed"] += 1
        path = [node for node, _ in lookup.trail]
        self._hooks.looked_up(Result(lookup.purpose, lookup.tag, None, path, None, reason))
