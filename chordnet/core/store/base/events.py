"""What can happen to a node's store: the closed union that its ``step`` takes.

The store meets the ring only through these. Nodes are called by their names.
"""

from __future__ import annotations

import msgspec

from chordnet.core.store.base.requests import Enquiry, Get, Put


class _Event(msgspec.Struct, frozen=True, tag=True):
    pass


class Neighbours(_Event, frozen=True):
    """This node's place in the ring, as its ring part sees it now."""

    member: bool
    """Whether it is in a ring."""
    predecessor: str | None
    """None if there is none, or it is this node."""
    successors: tuple[str, ...]
    """Nearest first, without this node."""


class Mail(_Event, frozen=True):
    """A letter has arrived from a node."""

    sender: str
    letter: bytes


class Lost(_Event, frozen=True):
    """The ring believes that a node is dead, or no node of this name can be found."""

    node: str


class Ask(_Event, frozen=True):
    """A client asks this node for something; answered by ``Answered`` with the same number."""

    op: int
    asked: Get | Put | Enquiry
    timeout: float
    """Seconds until it has to end."""


class Watch(_Event, frozen=True):
    """A client watches a key; it is told by ``Revised`` with the same number."""

    watch: int
    key: bytes
    since: int | None
    """The version that it knows already; None: it is told what there is, too."""


class Unwatch(_Event, frozen=True):
    """A watch is not wanted any more."""

    watch: int


class Vacate(_Event, frozen=True):
    """Give up all seats, because this node is about to leave."""


class Begin(_Event, frozen=True):
    """People have this node begin a store together with others."""

    founders: tuple[str, ...]


class Tick(_Event, frozen=True):
    """The deadline has come."""


Event = Neighbours | Mail | Lost | Ask | Watch | Unwatch | Vacate | Begin | Tick
