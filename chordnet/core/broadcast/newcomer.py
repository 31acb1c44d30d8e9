"""A predecessor that has just come in between: who else knows of it yet?

A newcomer is known to its successor first, by NOTIFY. The node before it would learn of it at its
next round only; it is told to look (CHANGED), and knows as soon as the answer to its question about
our state has reached it. What it has passed on before that may pass the newcomer by, and may reach
us later on some other way: so the newcomer counts as unknown for a while longer, and what reaches
us, or begins here, is passed back to it.
"""

from __future__ import annotations

from typing import ClassVar

from chordnet.core.base.identifiers import between, between_left
from chordnet.core.base.messages import Changed, NodeRef
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.handlers import Hearers
from chordnet.core.kernel.signals import PREDECESSOR_CHANGED
from chordnet.core.ring.pointers import Pointers


class Newcomer:
    """What one node knows of its predecessor's first moments."""

    def __init__(self, ctx: Context, ring: Pointers) -> None:
        self._ctx = ctx
        self._ring = ring
        self._range: tuple[int, int] | None = None
        """From the node that the newcomer came in behind up to the newcomer; None once that one has
        asked."""
        self._until: float | None = None

    @property
    def unknown(self) -> bool:
        """Whether a tree may have passed our predecessor by, for want of being known."""
        return self._until is not None and self._ctx.now <= self._until

    def predecessor_changed(self, old: NodeRef | None) -> None:
        """Our predecessor is another one now."""
        ctx, new = self._ctx, self._ring.predecessor
        if new is None or new.raw == ctx.me.raw:
            return
        self._range = self._until = None
        if old is not None and between(old.id, new.id, ctx.my_id):
            ctx.send(old, Changed())
            self._range = old.id, new.id
            # By then it has asked, or knows from elsewhere, or is dead or not the one before it.
            self._until = ctx.now + ctx.config.stabilise_fast_s

    def told(self, node: NodeRef) -> None:
        """``node`` is answered a question about our state."""
        if self._range is not None and between_left(self._range[0], node.id, self._range[1]):
            self._range = None
            self._until = self._ctx.now + self._ctx.config.stabilise_fast_s

    HEARS: ClassVar[Hearers] = {
        PREDECESSOR_CHANGED: predecessor_changed,
    }
