"""What can happen to a node: the closed union that :meth:`ChordNode.step` takes."""

from __future__ import annotations

import enum

import msgspec

from chordnet.core.base.messages import (
    Ask,
    Hop,
    LedgerState,
    MessageId,
    NodeRef,
    PeerMessage,
    RingLabel,
)


class _Event(msgspec.Struct, frozen=True, gc=False, tag=True):
    pass


class Recent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message that was recorded shortly before this node started."""

    id: MessageId
    route: list[Hop]
    digest: bytes
    """:func:`chordnet.core.base.messages.digest_of` its body."""


class Start(_Event, frozen=True):
    """Begin to join.

    Bootstrap addresses (``host:port``) come from the configuration, ``known`` peers from the state
    directory.
    """

    bootstrap: list[str]
    known: list[NodeRef]
    ledger: list[LedgerState] = []
    """What an earlier life of this node recorded, and what it gave up."""
    recent: list[Recent] = []
    """What it recorded shortly before its end: the tree may bring those messages again."""
    alone: bool = False
    """Create a ring if none of the peers answers."""
    wall: float | None = None
    """The program's wall clock, seconds since 1970; None if incarnations are not compared with it.
    """


class Received(_Event, frozen=True):
    """A peer's message has arrived; ``sender`` is the node named in its connection's greeting."""

    sender: NodeRef
    message: PeerMessage


class LinkFault(enum.IntEnum):
    """Why there is no connection to a peer."""

    BROKEN = 0
    """An established connection ended without a word."""
    REFUSED = 1
    """Nothing listens at the address."""
    UNREACHABLE = 2
    """The attempt timed out or the host cannot be reached."""
    REJECTED = 3
    """The other side refused the greeting, or another node answered at the address."""
    CLOSED = 4
    """The other side closed it in order (idle, or leaving)."""
    OVERLOADED = 5
    """The peer reads too slowly: its send buffer's limit is reached and messages were dropped."""
    SELF = 6
    """This node itself answered at the address."""


class LinkDown(_Event, frozen=True):
    """There is no connection to ``peer`` (a contact, if its node is not known)."""

    peer: NodeRef
    fault: LinkFault
    text: str = ""
    """What went wrong in words, for people to read."""
    holder: str = ""
    """The address of another node that has our name, if that is why."""


class Greeted(_Event, frozen=True):
    """A node that has to be judged first has greeted us. Answered by ``Judged``."""

    node: NodeRef
    rival: NodeRef | None
    """The node that is connected under that name."""
    dialled: bool
    """The node answered when we dialled the address that it states."""
    wall: float
    """The program's wall clock, seconds since 1970."""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """What a node says about itself when it is dialled."""

    node: NodeRef
    status: int
    label: RingLabel | None
    before: RingLabel | None
    """The label that its ring gave up for this one."""


class Verified(_Event, frozen=True):
    """The node ``found`` answers at the address of ``asked``; None if no node does."""

    asked: NodeRef
    found: Standing | None


class Begin(_Event, frozen=True):
    """Create a ring now rather than go on looking for one."""


class Tick(_Event, frozen=True):
    """``ChordNode.deadline`` has come."""


class FindOwner(_Event, frozen=True):
    """Find the owner of ``key`` (raw identifier). Answered by ``LookupDone``."""

    op: int
    key: bytes
    iterative: bool = False


class Walk(_Event, frozen=True):
    """Visit all members of the ring. Answered by ``Walked``."""

    op: int
    limit: int
    """How many members to visit at most, this node included."""


class Publish(_Event, frozen=True):
    """Broadcast messages of the program; a ``BroadcastDone`` with its ``op`` answers each."""

    messages: list[tuple[int, bytes]]
    """Each with the program's own number (``op``) for it."""
    wall: float
    """The program's wall clock, seconds since 1970."""


class PublishAsking(Publish, frozen=True):
    """Broadcast messages, and find out about each node that records them.

    A ``WitnessedDone`` answers each.
    """

    ask: int = Ask.NAME
    """One of :class:`Ask`."""


class Spoiled(_Event, frozen=True):
    """These messages are damaged in this node's log: they count as missing from now on."""

    ids: list[MessageId]


class Leave(_Event, frozen=True):
    """Leave the ring in order. Answered by the ``LeftRing`` effect."""


Event = (
    Start
    | Begin
    | Greeted
    | Verified
    | Received
    | LinkDown
    | Tick
    | FindOwner
    | Walk
    | Publish
    | PublishAsking
    | Spoiled
    | Leave
)
