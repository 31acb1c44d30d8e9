"""Whether both neighbours have taken this node in; it has *joined* then.

The predecessor says so by notifying this node, or by asking it as its successor; the successor says
so by naming it as its predecessor. What an earlier neighbour said counts for nothing. A ring of one
has taken itself in. Once joined, a node stays so for the rest of its life: it may be left alone,
but no tree of its ring passes it by for want of being known.
"""

from __future__ import annotations


class Adoption:
    """What this node's neighbours have said."""

    def __init__(self) -> None:
        self.joined = False
        """Whether both have taken this node in, at some time in this life."""
        self.before = False
        """Whether the predecessor has said that this node is its successor."""
        self.behind = False
        """Whether the successor has said that this node is its predecessor."""
        self.answered = False
        """Whether the successor has said so, or named a node that this one holds for dead."""

    def complete(self, *, alone: bool) -> bool:
        """Return True once: at the moment at which both have."""
        if self.joined or not (alone or (self.before and self.behind)):
            return False
        self.joined = True
        return True
