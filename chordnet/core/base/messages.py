"""What nodes say to each other: frozen requests and replies, encoded as tagged arrays.

Every message is one member of the closed union :data:`PeerMessage`. Identifiers are raw
(:meth:`IdentifierSpace.raw`). ``rid`` pairs a reply with its request; it is the asker's own
counter. The sender is known from the connection's greeting and is not repeated in a message.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable

import msgspec


class NodeRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A pointer to a node.

    A *contact* has an empty ``raw``: an address from the configuration whose node is not yet known.
    """

    raw: bytes
    """The node's identifier, fixed width; empty for a contact."""
    incarnation: int
    """Increases with every start of the node; a higher one supersedes a lower one."""
    address: str
    """``host:port`` at which other nodes reach it."""
    name: str = ""

    @property
    def id(self) -> int:
        """The identifier as a number."""
        return int.from_bytes(self.raw)

    @property
    def is_contact(self) -> bool:
        """Whether only the address is known."""
        return not self.raw


def contact(address: str) -> NodeRef:
    """Return a pointer to the node that listens at ``address`` (``host:port``)."""
    return NodeRef(b"", 0, address, "")


class Status(enum.IntEnum):
    """The state of a node's life (``membership.py``)."""

    UNJOINED = 0
    JOINING = 1
    FORMING = 2
    ACTIVE = 3
    LEAVING = 4
    LEFT = 5
    SEEKING = 6
    SUPERSEDED = 7


ABOUT = frozenset({Status.UNJOINED, Status.JOINING, Status.FORMING, Status.ACTIVE, Status.SEEKING})
"""The states of a node that is, or may become, a member; a node that has met one is not alone."""


class EdgeKind(enum.IntEnum):
    """Why a broadcast travelled an edge; the last three are repairs."""

    ORIGIN = 0
    SUCCESSOR = 1
    FINGER = 2
    REASSIGN = 3
    EXTEND = 4
    BACKFILL = 5
    CAUGHT_UP = 6


class RingLabel(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """Names a ring; when two rings meet, the smaller label survives."""

    epoch: int
    ring_id: int


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    pass


# ---- liveness and ring maintenance ----------------------------------------------------------


class Ping(_Message, frozen=True, tag=1):
    """Are you alive? Answered immediately in every state."""

    rid: int


class Pong(_Message, frozen=True, tag=2):
    """Answer to :class:`Ping`; ``status`` is a :class:`Status`."""

    rid: int
    status: int


class GetState(_Message, frozen=True, tag=3):
    """Ask for pointers. An unjoined asker becomes known to the receiver as a candidate."""

    rid: int
    status: int
    """The asker's own :class:`Status`."""
    successor: bool = False
    """The asker has the receiver as its successor."""


class State(_Message, frozen=True, tag=4):
    """Answer to :class:`GetState`; pointers are empty unless the node is in a ring."""

    rid: int
    status: int
    label: RingLabel | None
    predecessor: NodeRef | None
    successors: list[NodeRef]
    candidate: NodeRef | None
    """While unjoined: the unjoined node with the smallest identifier that this one has heard of."""
    digest: int = 0
    """Digest of the messages that the sender has recorded, if it is a member."""


class Notify(_Message, frozen=True, tag=5):
    """I believe that I am your predecessor."""


class Changed(_Message, frozen=True, tag=6):
    """My pointers have changed; you, my predecessor, may want to stabilise now."""


class Leaving(_Message, frozen=True, tag=7):
    """I am about to leave on purpose; the pointers are hints."""

    predecessor: NodeRef | None
    successors: list[NodeRef]


class FingerHint(_Message, frozen=True, tag=8):
    """The owner of part of the ring changed: nodes in ``(low, high]`` point fingers at ``subject``.

    Routed to the first node after ``low`` and handed from successor to successor up to ``high``.
    """

    subject: NodeRef
    alive: bool
    """Whether ``subject`` has come (look it up) or is suspected (probe it)."""
    low: bytes
    high: bytes
    ttl: int


class TryMerge(_Message, frozen=True, tag=9):
    """Consider ``candidate`` as your successor: two rings have met (audit)."""

    candidate: NodeRef
    ttl: int


# ---- lookup ---------------------------------------------------------------------------------


class FindKind(enum.IntEnum):
    """What a lookup looks for."""

    OWNER = 0
    """successor(key): the node that owns the key."""
    PREDECESSOR = 1
    """The member m with key in (m, m.successor]."""


class Find(_Message, frozen=True, tag=10):
    """A recursive lookup on its way; the last node answers ``origin`` directly."""

    lookup: int
    origin: NodeRef
    key: bytes
    kind: int
    path: list[NodeRef]
    """Every node that handled it so far, the asked one first."""
    ttl: int
    last: bool
    """The sender believes the receiver to own the key."""


class Found(_Message, frozen=True, tag=11):
    """Answer to :class:`Find`, from the node that was looked for (``node``) itself."""

    lookup: int
    node: NodeRef
    path: list[NodeRef]
    label: RingLabel | None


class FindFailed(_Message, frozen=True, tag=12):
    """A node could not pass a lookup on (it is in no ring, or the time to live is used up)."""

    lookup: int
    reason: str


class FindNext(_Message, frozen=True, tag=13):
    """One step of an iterative lookup."""

    rid: int
    key: bytes
    kind: int
    exclude: list[bytes]
    """Raw identifiers of nodes that the asker found silent."""
    last: bool
    """The asker was told that the receiver should own the key."""


class Next(_Message, frozen=True, tag=14):
    """Answer to :class:`FindNext`."""

    rid: int
    done: bool
    """The sender is the node that was looked for."""
    nodes: list[NodeRef]
    """Otherwise: the nodes to ask next, best first."""
    last: bool
    """They should own the key."""
    label: RingLabel | None


# ---- broadcast ------------------------------------------------------------------------------


class MessageId(
    msgspec.Struct, frozen=True, array_like=True, order=True, gc=False, cache_hash=True
):
    """Names one broadcast in the whole network for all time."""

    origin: bytes
    incarnation: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.origin.hex()}.{self.incarnation}.{self.sequence}"

    def plus(self, offset: int) -> MessageId:
        """Return the id of the message ``offset`` after this one of the same origin."""
        return MessageId(self.origin, self.incarnation, self.sequence + offset)

    @classmethod
    def parse(cls, text: str) -> MessageId:
        """Read what ``str()`` wrote.

        :raises ValueError: ``text`` is not such a text.
        """
        origin, incarnation, sequence = text.split(".")
        return cls(bytes.fromhex(origin), int(incarnation), int(sequence))


class Hop(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One node of a recorded route and the kind of the edge that led to it."""

    raw: bytes
    name: str
    kind: int


def route_bytes(route: Iterable[Hop]) -> int:
    """Return about how many bytes a route takes up in memory."""
    return sum([200 + len(hop.name) for hop in route])


class Detour(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Messages of a broadcast that came to the sender by another route than the rest."""

    first: int
    """The first of them, counted from 0."""
    count: int
    hops: list[Hop]
    """The route that the sender recorded for them, the origin first and the sender last."""


def digest_of(bodies: Iterable[bytes]) -> bytes:
    """Return a digest, 16 bytes, of these bodies in this order."""
    digest = hashlib.blake2b(digest_size=16)
    for body in bodies:
        digest.update(len(body).to_bytes(4))
        digest.update(body)
    return digest.digest()


class Bcast(_Message, frozen=True, tag=20):
    """A broadcast, and the range ``(receiver, limit)`` that the receiver is to cover.

    Messages that one origin publishes together travel together: ``count`` messages with consecutive
    sequence numbers, the first of which is ``id``, share the tree, its acknowledgements and its
    receipt.
    """

    id: MessageId
    count: int
    created: float
    """The origin's wall clock, seconds since 1970."""
    ttl: int
    limit: bytes
    kind: int
    hops: list[Hop]
    """The sender's own recorded route, the origin first and the sender last."""
    bodies: list[bytes] | None
    """Missing on repair edges: the receiver asks for them if it has none."""
    detours: list[Detour] = []
    """Where the sender recorded another route than ``hops``."""
    digest: bytes = b""
    """Without bodies: BLAKE2b, 16 bytes, of the sender's (:func:`digest_of`)."""


class Ack(_Message, frozen=True, tag=21):
    """The sender has taken the range on; sent only if its :class:`Covered` would be late."""

    id: MessageId
    limit: bytes
    need_bodies: bool


class Bodies(_Message, frozen=True, tag=22):
    """The bodies that an :class:`Ack` asked for."""

    id: MessageId
    bodies: list[bytes]


class Covered(_Message, frozen=True, tag=23):
    """The result for the range that :class:`Bcast` gave: how many nodes recorded the messages."""

    id: MessageId
    limit: bytes
    count: int
    """Nodes that recorded the messages, the sender included."""
    messages: int
    """Bcast messages spent below the sender."""
    depth: int
    """Edges from the origin to the deepest of them."""
    partial: bool
    """Whether some nodes of the range have not recorded the messages."""
    unreached: list[NodeRef]
    """These nodes, as far as they are known."""
    conflict: int = 0
    """How many of them hold another body under the number of a message."""
    lost: int = 0
    """How many of them had given up a number as lost."""


# ---- what is signed -------------------------------------------------------------------------


class Ask(enum.IntEnum):
    """What the origin of a broadcast wants to know of each node besides the number of them."""

    NOTHING = 0
    NAME = 1
    """Its name."""
    SIGNATURE = 2
    """Its name, and its signature that it has recorded the messages."""


class Seal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The origin's signature for all messages of a broadcast."""

    chain: list[bytes]
    """Its certificate (DER), and the one of the issuer if that is not the authority itself."""
    signature: bytes


class Proof(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A seal, and what it takes to check one message of the broadcast by it."""

    first: int
    """The number of the broadcast's first message."""
    count: int
    """How many messages it had."""
    signature: bytes
    certificate: bytes
    """SHA-256 of the origin's certificate."""
    path: list[bytes]
    """From the message's body to the root of the tree of the bodies."""
    chain: list[bytes] = []
    """As in :class:`Seal`; empty if the same node has sent it shortly before."""


class Witness(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A node that has recorded the messages of a broadcast, as it says itself."""

    raw: bytes
    name: str
    incarnation: int
    signature: bytes = b""
    chain: list[bytes] = []
    """As in :class:`Seal`."""


def chain_bytes(chain: Iterable[bytes]) -> int:
    """Return about how many bytes certificates take up in memory."""
    return sum([64 + len(each) for each in chain])


def witness_bytes(witnesses: Iterable[Witness]) -> int:
    """Return about how many bytes these take up on the wire, and in memory."""
    return sum([120 + len(each.name.encode()) + chain_bytes(each.chain) for each in witnesses])


class MarkedBcast(Bcast, frozen=True, tag=24):
    """A broadcast with a seal, or one whose origin wants to know the nodes' names."""

    seal: Seal | None = None
    ask: int = Ask.NOTHING


class MarkedCovered(Covered, frozen=True, tag=25):
    """The answer to :class:`MarkedBcast` if names are asked for."""

    witnesses: list[Witness] = []
    """Nodes among those counted, the sender included; not all of them if there are too many."""


# ---- anti-entropy ---------------------------------------------------------------------------


class OriginState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The numbers of one incarnation of one origin that are known: recorded, or given up."""

    origin: bytes
    incarnation: int
    known: list[int]
    """Intervals, flat and ascending: ``[a, b, c, d]`` stands for a <= n < b and c <= n < d."""


class LedgerState(OriginState, frozen=True):
    """What a node knows of one incarnation of one origin, as it is kept on disk."""

    lost: list[int] = []
    """Those of the known numbers that were given up, as intervals."""


class Range(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The numbers ``first <= n < end`` of one incarnation of one origin."""

    origin: bytes
    incarnation: int
    first: int
    end: int


class Compare(_Message, frozen=True, tag=30):
    """A digest of what the sender has recorded; answered by :class:`Have` if it differs."""

    digest: int


class Have(_Message, frozen=True, tag=31):
    """A page of the sender's ledger: its origins in ``(after, last]``, in order.

    An origin is ``(identifier, incarnation)``; an empty list stands for no bound.
    """

    after: list[tuple[bytes, int]]
    last: list[tuple[bytes, int]]
    origins: list[OriginState]


class Want(_Message, frozen=True, tag=32):
    """Ask for messages that the sender lacks; only after a :class:`Have` of the receiver."""

    ranges: list[Range]


class Caught(_Message, frozen=True, tag=33):
    """A recorded message for a node that lacks it."""

    id: MessageId
    created: float
    hops: list[Hop]
    """The sender's own recorded route."""
    body: bytes


class MarkedCaught(Caught, frozen=True, tag=36):
    """A recorded message with the seal that it came with."""

    proof: Proof | None = None


class Lost(_Message, frozen=True, tag=34):
    """Messages that were asked for and that the sender no longer keeps; only as an answer."""

    ranges: list[Range]


class Given(_Message, frozen=True, tag=35):
    """The answer to a :class:`Have` is complete; ``more`` if there was more to give."""

    more: bool


# ---- the store ------------------------------------------------------------------------------


class StoreMail(_Message, frozen=True, tag=40):
    """A letter of the sender's store to the receiver's."""

    letter: bytes


PeerMessage = (
    Ping
    | Pong
    | GetState
    | State
    | Notify
    | Changed
    | Leaving
    | FingerHint
    | TryMerge
    | Find
    | Found
    | FindFailed
    | FindNext
    | Next
    | Bcast
    | Ack
    | Bodies
    | Covered
    | MarkedBcast
    | MarkedCovered
    | Compare
    | Have
    | Want
    | Caught
    | MarkedCaught
    | Lost
    | Given
    | StoreMail
)
