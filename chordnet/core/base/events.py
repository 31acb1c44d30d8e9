"""What can happen to a node: the closed union that :meth:`ChordNode.step` takes."""

from __future__ import annotations

import enum

import msgspec

from chordnet.core.base.messages import Hop, LedgerState, MessageId, NodeRef, PeerMessage, RingLabel


class _Event(msgspec.Struct, frozen=True, gc=False, tag=True):
    pass


class Recent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message that was recorded shortly before this node started."""

    id: MessageId
    route: list[Hop]
    digest: bytes
    """:func:`chordnet.core.base.messages.digest_of` its body."""


class Start(_Event, frozen=True):
    """Begin to join. Bootstrap addresses (``host:port``) come from the configuration, ``known``
    peers from the state directory.
    """

    bootstrap: list[str]
    known: list[NodeRef]
    ledger: list[LedgerState] = []
    """What an earlier life of this node recorded, and what it gave up."""
    recent: list[Recent] = []
    """What it recorded lately: the tree may bring those messages again."""
    alone: bool = False
    """Create a ring if none of the peers answers."""
    wall: float | None = None
    """The program's wall clock, seconds since 1970; None: incarnations are not held against it."""


class Received(_Event, frozen=True):
    """A peer's message arrived; ``sender`` is who its connection's greeting said it is."""

    sender: NodeRef
    message: PeerMessage


class LinkFault(enum.IntEnum):
    """Why there is no connection to a peer."""

    BROKEN = 0
    """An established connection ended without a word."""
    REFUSED = 1
    """Nobody listens at the address."""
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
    """There is no connection to ``peer`` (a contact, if its node was never known)."""

    peer: NodeRef
    fault: LinkFault
    text: str = ""
    """What went wrong in words, for people to read."""
    holder: str = ""
    """The address of another node that has our name, if that is why."""


class Greeted(_Event, frozen=True):
    """Somebody greets as a node that has to be judged first. Answered by ``Judged``."""

    node: NodeRef
    rival: NodeRef | None
    """Who is connected under that name."""
    dialled: bool
    """It answered when we dialled the address that it states."""
    wall: float
    """The program's wall clock, seconds since 1970."""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """Where a node stands, as it says itself when it is asked who it is."""

    node: NodeRef
    status: int
    label: RingLabel | None
    before: RingLabel | None
    """The label that its ring gave up for this one."""


class Verified(_Event, frozen=True):
    """Who answers at the address of ``asked``, which was to be verified."""

    asked: NodeRef
    found: Standing | None


class Begin(_Event, frozen=True):
    """Create a ring now rather than go on looking for one."""


class Tick(_Event, frozen=True):
    """``ChordNode.deadline`` has come."""


class FindOwner(_Event, frozen=True):
    """The program asks who owns ``key`` (raw identifier). Answered by ``LookupDone``."""

    op: int
    key: bytes
    iterative: bool = False


class Walk(_Event, frozen=True):
    """The program asks who is in the ring. Answered by ``Walked``."""

    op: int
    limit: int
    """Members to visit at most, this node included."""


class Publish(_Event, frozen=True):
    """The program broadcasts messages; each is answered by a ``BroadcastDone`` of its ``op``."""

    messages: list[tuple[int, bytes]]
    """Each with the program's own number (``op``) for it."""
    wall: float
    """The program's wall clock, seconds since 1970."""


class Spoiled(_Event, frozen=True):
    """What this node kept of these messages is damaged: they count as missing from now on."""

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
    | Spoiled
    | Leave
)
