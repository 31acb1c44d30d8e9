"""A predecessor that has just come in between: who else knows of it yet?

A newcomer is known to its successor first, by NOTIFY. The node before it would learn of it at its
next round only; it is told to look (CHANGED), and knows once it has asked for our state after that.
Until then a broadcast may pass the newcomer by.
"""

from __future__ import annotations

from chordnet.core.context import Context
from chordnet.core.identifiers import between, between_left
from chordnet.core.messages import Changed, NodeRef


class Newcomer:
    """What one node knows of its predecessor's first moments."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._range: tuple[int, int] | None = None
        """From the node that the newcomer came in behind up to the newcomer."""
        self._until = 0.0

    @property
    def unknown(self) -> bool:
        """Whether the node before our predecessor cannot know our predecessor yet."""
        return self._range is not None and self._ctx.now <= self._until

    def adopted(self, old: NodeRef | None, new: NodeRef) -> None:
        """Our predecessor is another one now."""
        ctx, self._range = self._ctx, None
        if old is not None and between(old.id, new.id, ctx.my_id):
            ctx.send(old, Changed())
            self._range = old.id, new.id
            # By then it has asked, or it is dead, or is not the one next to the newcomer.
            self._until = ctx.now + ctx.config.stabilise_fast_s

    def told(self, node: NodeRef) -> None:
        """``node`` is answered a question about our state."""
        if self._range is not None and between_left(self._range[0], node.id, self._range[1]):
            self._range = None
