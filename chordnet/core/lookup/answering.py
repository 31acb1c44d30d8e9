"""What a node answers when a lookup asks it about a key: that it is the owner, or who is closer.

The question was passed on from node to node (``Find``), or is one step of an iterative lookup
(``FindNext``). In both cases a node judges by its own tables alone, and keeps no state:

- Only the owner itself answers for a key, which lies in (predecessor, self].
- A key in (self, successor] goes to the successor, as the supposed owner.
- A supposed owner that is not the owner points back at its predecessor; if that is dead, it is the
  owner. A node that only the asker finds silent remains the owner: its successor answers in its
  place only when it believes it dead itself, and until then sends the asker back.
- A node that leaves hands its keys to its successor.
- Any other key goes to the closest node before it.

If the lookup is for the place of a joining node (``FindKind.PREDECESSOR``), the member before it
answers, for which the key lies in (self, successor].

Source of the routing rule: Stoica et al., ToN 2003, figure 3 (closest preceding node).
"""

from __future__ import annotations

from collections.abc import Container
from typing import ClassVar

from chordnet.core.base.identifiers import between_right
from chordnet.core.base.messages import (
    Find,
    FindFailed,
    FindKind,
    FindNext,
    Found,
    Next,
    NodeRef,
    Status,
)
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import Handlers
from chordnet.core.kernel.membership import MEMBER
from chordnet.core.kernel.signals import ANSWERED_HERE
from chordnet.core.ring.pointers import Pointers
from chordnet.core.ring.routing import Routes

ALTERNATIVES = 3
"""Nodes that one step of an iterative lookup offers."""


class Answering:
    """This node's part in all lookups, its own included."""

    def __init__(self, ctx: Context, ring: Pointers, routes: Routes, detector: Detector) -> None:
        self._ctx = ctx
        self._ring = ring
        self._routes = routes
        self._detector = detector

    # ---- recursive: answering or passing on -------------------------------------------------

    def on_find(self, _sender: NodeRef, question: Find) -> None:
        """Answer or pass on a recursive lookup, of another node or our own that has come back."""
        if question.ttl <= 0:
            self._refuse(question, "it was passed on too many times")
        elif self._ctx.status not in MEMBER:
            self._refuse(question, f"{self._ctx.me.name or self._ctx.me.address} is in no ring")
        else:
            self.route(question, int.from_bytes(question.key))

    def route(self, question: Find, key: int) -> None:
        """Answer a question about ``key`` to the node that asked it first, or pass it on."""
        ctx = self._ctx
        path = [*question.path, ctx.me]
        if self._answers(key, question.kind, last=question.last):
            self._answer(question, Found(question.lookup, ctx.me, path, self._ring.label))
            return
        target, last = self._next_hop(key, question.kind, last=question.last)
        if target is None:
            self._refuse(question, f"{ctx.me.name or ctx.me.address} knows no way to it")
            return
        ctx.send(
            target,
            Find(
                question.lookup,
                question.origin,
                question.key,
                question.kind,
                path,
                question.ttl - 1,
                last,
            ),
        )

    def _answers(self, key: int, kind: int, *, last: bool) -> bool:
        """Return True if this node is the one looked for."""
        ring = self._ring
        if kind == FindKind.PREDECESSOR:
            return between_right(self._ctx.my_id, key, ring.head.id)
        if self._ctx.status == Status.LEAVING and ring.successors:
            return False
        return ring.owns(key) or not ring.successors or (last and ring.predecessor_is_dead())

    def _next_hop(self, key: int, kind: int, *, last: bool) -> tuple[NodeRef | None, bool]:
        """Return the node to pass a question on to, and whether it is the supposed owner."""
        ctx, ring = self._ctx, self._ring
        leaving = self._ctx.status == Status.LEAVING
        if kind == FindKind.OWNER and (
            (leaving and ring.owns(key)) or between_right(ctx.my_id, key, ring.head.id)
        ):
            return ring.head, True
        if last and ring.predecessor is not None:
            return ring.predecessor, True
        return self._routes.preceding((key - ctx.my_id) % ctx.space.size or ctx.space.size), False

    def _refuse(self, question: Find, reason: str) -> None:
        self._answer(question, FindFailed(question.lookup, reason))

    def _answer(self, question: Find, answer: Found | FindFailed) -> None:
        if question.origin.raw == self._ctx.me.raw:
            self._ctx.tell(ANSWERED_HERE, answer)
        else:
            self._ctx.send(question.origin, answer)

    # ---- iterative: advice for one step -----------------------------------------------------

    def on_find_next(self, sender: NodeRef, message: FindNext) -> None:
        """Advise another node's iterative lookup on its next step."""
        ctx = self._ctx
        if self._ctx.status not in MEMBER:
            ctx.send(sender, Next(message.rid, False, [], False, None))
            return
        exclude = set(message.exclude)
        for node in self._routes.nodes():
            if node.raw in exclude:
                self._detector.suspect(node)
        key = int.from_bytes(message.key)
        done, nodes, last = self.advise(key, message.kind, exclude, last=message.last)
        ctx.send(sender, Next(message.rid, done, nodes, last, self._ring.label))

    def advise(
        self, key: int, kind: int, exclude: Container[bytes], *, last: bool
    ) -> tuple[bool, list[NodeRef], bool]:
        """Return what this node advises: that it is the answer, or which nodes to ask next.

        :param exclude: nodes that the asker has found silent.
        :param last: the asker believes that this node is the answer.
        :returns: whether this node is the answer, the nodes to ask, and whether these are supposed
            to be the answer.
        """
        ctx, ring = self._ctx, self._ring
        live = [node for node in ring.successors if node.raw not in exclude] or ring.successors
        head = live[0] if live else ctx.me
        before = ring.predecessor
        orphan = before is None or ring.predecessor_is_dead()
        leaving = self._ctx.status == Status.LEAVING and bool(live)
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

    MESSAGES: ClassVar[Handlers] = {
        Find: on_find,
        FindNext: on_find_next,
    }
