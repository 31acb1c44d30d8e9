"""The signals by which the parts of a node tell each other news.

A part tells a signal through :meth:`~chordnet.core.kernel.context.Context.tell` and does not know
its hearers. A part that hears one names its method in ``HEARS``, class-level like ``MESSAGES``. The
hearers are called before ``tell`` returns, in the order given in :mod:`chordnet.core.parts`. A
signal brings news, never a question: a part that needs an answer is given, when it is made, the
part to ask.
"""

from __future__ import annotations

from typing import Generic, ParamSpec

from chordnet.core.base.messages import FindFailed, Found, NodeRef, PeerMessage, RingLabel

P = ParamSpec("P")


class Signal(Generic[P]):
    """A kind of news, and what comes with it."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<signal {self.name}>"


# ---- this node's life -----------------------------------------------------------------------

ENTERED: Signal[[]] = Signal("entered")
"""This node is a member of a ring from now on."""
CLOCK_BEHIND: Signal[[str]] = Signal("clock_behind")
"""This node's clock is behind; the text says how that was noticed."""
SUPERSEDED: Signal[[str]] = Signal("superseded")
"""Another node has this node's name, and keeps it; the text says which."""

# ---- the ring -------------------------------------------------------------------------------

PLACED: Signal[[]] = Signal("placed")
"""This node has a predecessor and successors, after it had none."""
SUCCESSORS_CHANGED: Signal[[NodeRef | None]] = Signal("successors_changed")
"""The successor list has changed; with the head of the old one."""
PREDECESSOR_CHANGED: Signal[[NodeRef | None]] = Signal("predecessor_changed")
"""The predecessor has changed; with the old one."""
LABEL_SEEN: Signal[[RingLabel, NodeRef]] = Signal("label_seen")
"""A node's ring has this label; with the node."""
ANSWERED_HERE: Signal[[Found | FindFailed]] = Signal("answered_here")
"""A lookup of this node's own has ended at this node."""

# ---- other nodes ----------------------------------------------------------------------------

SUSPECTED: Signal[[NodeRef]] = Signal("suspected")
"""A probe of the node has begun."""
DIED: Signal[[NodeRef]] = Signal("died")
"""The node is dead, or as good as dead because it leaves."""
SURVIVED: Signal[[NodeRef]] = Signal("survived")
"""The node was suspected, and lives."""
RETURNED: Signal[[NodeRef]] = Signal("returned")
"""The node was believed dead, and has sent a message."""
HINTED: Signal[[NodeRef]] = Signal("hinted")
"""Others name the node, and it differs from the one known under that name."""
ADMITTED: Signal[[NodeRef, list[PeerMessage]]] = Signal("admitted")
"""The node has its name from now on; with its messages that waited for that."""

SIGNALS: tuple[Signal[...], ...] = (
    ENTERED,
    CLOCK_BEHIND,
    SUPERSEDED,
    PLACED,
    SUCCESSORS_CHANGED,
    PREDECESSOR_CHANGED,
    LABEL_SEEN,
    ANSWERED_HERE,
    SUSPECTED,
    DIED,
    SURVIVED,
    RETURNED,
    HINTED,
    ADMITTED,
)
"""All signals."""
