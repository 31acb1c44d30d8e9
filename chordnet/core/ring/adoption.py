"""Whether both neighbours have taken this node in; then it has *joined*.

The predecessor does so by notifying this node, or by asking it as its successor; the successor, by
naming it as its predecessor. A new neighbour has to do so again. A ring of one has taken itself in.
A node that has joined remains so for the rest of its life: it may be left alone, but no tree of its
ring passes it by because it is not known.
"""

from __future__ import annotations


class Adoption:
    """What the neighbours of one node have said."""

    def __init__(self) -> None:
        self.joined = False
        """Whether both have taken this node in, at some time in this life."""
        self.before = False
        """Whether the predecessor has said that this node is its successor."""
        self.behind = False
        """Whether the successor has said that this node is its predecessor."""
        self.answered = False
        """Whether the successor has said so, or named a node that this one believes dead."""

    def complete(self, *, alone: bool) -> bool:
        """Return True once: when both neighbours have taken this node in."""
        if self.joined or not (alone or (self.before and self.behind)):
            return False
        self.joined = True
        return True
