"""A walk round the ring: its members, as this node and its ring see them.

Each node is asked for its pointers, from successor to successor. The walk succeeds if it comes back
to this node and all neighbours on the way name each other: then there is one ring, in order, and
these are its members. Otherwise it ends with one line that says what was seen.

The walk believes what nodes say about themselves. The caller limits its length.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from chordnet.core.base.effects import Walked
from chordnet.core.base.events import Walk
from chordnet.core.base.messages import GetState, NodeRef, State, Status
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.handlers import EventHandlers
from chordnet.core.kernel.requests import Answer, Ask, Question, Requests
from chordnet.core.ring.pointers import Pointers

MAX_WALKS = 16
"""Walks at the same time; a further one fails."""


@attrs.define
class _Way:
    members: list[NodeRef]
    limit: int


class Walks:
    """The walks of one node."""

    def __init__(self, ctx: Context, ring: Pointers, requests: Requests) -> None:
        self._ctx = ctx
        self._ring = ring
        self._requests = requests
        self._ways: dict[int, _Way] = {}
        requests.handle(Ask.WALK, self._answered, self._silent)

    def start(self, event: Walk) -> None:
        """Walk round the ring once; a :class:`Walked` of the same number reports the result."""
        me = self._ctx.me
        way = _Way([me], event.limit)
        if self._ctx.status != Status.ACTIVE:
            self._end(event.op, way, f"{me.name} is in no ring")
        elif not self._ring.adoption.joined:
            self._end(event.op, way, f"the neighbours of {me.name} have not both taken it in")
        elif len(self._ways) >= MAX_WALKS:
            self._end(event.op, way, f"{len(self._ways)} walks are under way")
        else:
            self._ways[event.op] = way
            self._go_on(event.op, way, self._ring.head)

    def _go_on(self, op: int, way: _Way, node: NodeRef) -> None:
        ctx, last = self._ctx, way.members[-1]
        if node == ctx.me:
            before = self._ring.predecessor
            closed = before is not None and before == last
            self._end(op, way, "" if closed else _differ(ctx.me, before, last))
        elif last != ctx.me and ctx.distance(node) <= ctx.distance(last):
            self._end(op, way, f"{node.name} after {last.name} is out of order")
        elif len(way.members) >= way.limit:
            self._end(op, way, f"there are more than {way.limit} members")
        else:
            way.members.append(node)
            status = int(self._ctx.status)
            self._requests.ask(Ask.WALK, node, lambda rid: GetState(rid, status), detail=op)

    def _answered(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        op = question.detail
        way = self._ways.get(op)
        if way is None or not isinstance(answer, State):
            return
        before = way.members[-2]
        if answer.status != Status.ACTIVE or sender != way.members[-1]:
            self._end(op, way, f"{sender.name} is in no ring")
        elif answer.label != self._ring.label:
            self._end(op, way, f"{sender.name} is in another ring")
        elif answer.predecessor != before:
            self._end(op, way, _differ(sender, answer.predecessor, before))
        else:
            self._go_on(op, way, answer.successors[0] if answer.successors else sender)

    def _silent(self, question: Question) -> None:
        way = self._ways.get(question.detail)
        if way is not None:
            self._end(question.detail, way, f"{question.target.name} does not answer")

    def _end(self, op: int, way: _Way, problem: str) -> None:
        self._ways.pop(op, None)
        self._ctx.effects.append(Walked(op, way.members, problem))

    EVENTS: ClassVar[EventHandlers] = {
        Walk: start,
    }


def _differ(node: NodeRef, before: NodeRef | None, expected: NodeRef) -> str:
    name = before.name if before is not None else "no node"
    return f"{node.name} has {name} before it, not {expected.name}"
