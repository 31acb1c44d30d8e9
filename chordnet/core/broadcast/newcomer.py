"""A predecessor that has just come in between, and may not be known to the node before it.

A newcomer's successor is the first to know it, by NOTIFY. The node before it would learn of it only
at its next round. So we send that node CHANGED: it asks for our state, and knows the newcomer when
our answer arrives. Broadcasts that it passed on earlier may pass the newcomer by, and may reach us
later by another route. Therefore the newcomer counts as unknown for a while longer; broadcasts that
reach us, or begin here, are passed back to it.
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
    """Tracks for one node whether its predecessor is known to the node before that."""

    def __init__(self, ctx: Context, ring: Pointers) -> None:
        self._ctx = ctx
        self._ring = ring
        self._range: tuple[int, int] | None = None
        """From the node before the newcomer to the newcomer; None after that node has asked."""
        self._until: float | None = None

    @property
    def unknown(self) -> bool:
        """Whether a tree may have passed our predecessor by because it was not known."""
        return self._until is not None and self._ctx.now <= self._until

    def predecessor_changed(self, old: NodeRef | None) -> None:
        """Watch a predecessor that came in between; tell the node before it."""
        ctx, new = self._ctx, self._ring.predecessor
        if new is None or new.raw == ctx.me.raw:
            return
        self._range = self._until = None
        if old is not None and between(old.id, new.id, ctx.my_id):
            ctx.send(old, Changed())
            self._range = old.id, new.id
            # A round at the fast pace: by then that node has asked, knows from elsewhere, is dead,
            # or is not the one before the newcomer.
            self._until = ctx.now + ctx.config.stabilise_fast_s

    def told(self, node: NodeRef) -> None:
        """Note that ``node`` is sent our state, which names the newcomer."""
        # Any node from there up to the newcomer may be the one before it by now.
        if self._range is not None and between_left(self._range[0], node.id, self._range[1]):
            self._range = None
            self._until = self._ctx.now + self._ctx.config.stabilise_fast_s

    HEARS: ClassVar[Hearers] = {
        PREDECESSOR_CHANGED: predecessor_changed,
    }
