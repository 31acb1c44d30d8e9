"""The requests and replies of clients, and the results that a client's methods return.

The same Structs are the wire form and the result values of :class:`chordnet.P2PNetClient`.
A request carries ``rid``, the client's own counter; the reply (or :class:`Failure`) repeats it.
Identifiers are hexadecimal here, in their full width.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from chordnet.core.base.errors import (
    ChordnetError,
    Conflict,
    Unavailable,
    Unconfirmed,
)
from chordnet.core.base.limits import OPERATION_S
from chordnet.core.base.outcomes import Entry
from chordnet.wire.orders import (
    AsideReply,
    BeginStore,
    RecoverSlots,
    RecoveryReply,
    SetStoreAside,
)
from chordnet.wire.receipts import Evidence
from chordnet.wire.stores import KeyMembers, StoreStanding, StoreState
from chordnet.wire.trust.members import MEMBER_REPLIES, MemberReply, MemberRequest
from chordnet.wire.watches import GetHeldKeys, HeldKeysReply, Revisions, StaleReply, WatchKey

Order = Literal["received", "origin"]
"""The order in which messages are delivered: as this node received them, or per origin."""


class _Value(msgspec.Struct, frozen=True, array_like=True, gc=False):
    pass


class NodeInfo(_Value, frozen=True):
    """A node as a client sees it."""

    id: str
    name: str
    address: str


class RouteHop(_Value, frozen=True):
    """One node of a recorded route; ``kind`` is the edge that led to it."""

    id: str
    name: str
    kind: str
    """origin, successor, finger, reassign, extend, backfill or caught_up."""


class MessageRecord(_Value, frozen=True):
    """A message as one node recorded it."""

    id: str
    body: str
    created: float
    """The origin's wall clock, seconds since 1970."""
    received_at: float
    """This node's wall clock, seconds since 1970."""
    route: list[RouteHop]


class MessageGap(_Value, frozen=True):
    """Messages of one origin, by number, that did not come in time or are not kept any more."""

    origin: str
    name: str
    """The origin's name; empty if it is not known."""
    incarnation: int
    first: int
    last: int
    dropped: bool
    """Whether they may have been in a part of the history that the node does not keep any more."""


class OrderedEntry(_Value, frozen=True):
    """One entry in per-origin order: a message or a gap."""

    record: MessageRecord | None
    """None for a gap."""
    late: bool = False
    """The message came after its number had been reported in a gap."""
    gap: MessageGap | None = None


class Receipt(_Value, frozen=True):
    """What became of a broadcast."""

    id: str
    body: str
    recorded: int
    members: int
    messages: int
    depth: int
    seconds: float
    partial: bool
    unreached: list[NodeInfo]
    shared: int = 1
    """How many messages, published together, shared one tree and so the count ``messages``."""
    conflict: int = 0
    """How many nodes hold another body under the message's number, which a peer has taken."""
    lost: int = 0
    """How many nodes had given the number up for good."""
    named: list[str] = []
    """If names were asked for: the nodes that have recorded it, by their names."""
    missing: list[str] = []
    """Nodes that were expected among them, and are not."""
    unsigned: int = 0
    """If signatures were asked for: how many nodes are counted and have not signed."""
    evidence: Evidence | None = None
    """The signatures, if they were asked for."""


class FingerEntry(_Value, frozen=True):
    """One slot of the finger table: successor(self + 2**index)."""

    index: int
    node: NodeInfo


class NodeStatus(_Value, frozen=True):
    """A node's view of itself and its neighbours."""

    node: NodeInfo
    network: str
    version: str
    bits: int
    incarnation: int
    state: str
    """unjoined, seeking, joining, forming, active, leaving, left or superseded; failed if its log
    cannot be written."""
    predecessor: NodeInfo | None
    successors: list[NodeInfo]
    fingers: list[FingerEntry]
    """Every slot whose node is not this one, by index."""
    ring: str
    """The ring's label, ``epoch:ring_id``; empty outside of a ring."""
    messages: int
    keys: int
    uptime: float
    """Seconds since the node started."""
    counters: dict[str, int]
    reason: str = ""
    """Why it is seeking, superseded or failed, in words."""
    joined: bool = False
    """Whether both its neighbours have accepted it: every receipt of its ring counts it."""
    security: str = ""
    """``loopback``: only programs of its machine reach it; ``secured``: others show a certificate
    of the network; ``insecure``: anybody can reach it. Empty if an older version does not say."""


class TraceEvent(_Value, frozen=True):
    """Something unusual that happened to a broadcast at one node."""

    at: float
    """That node's wall clock, seconds since 1970."""
    what: str
    """duplicate, resent, lost_child, repaired or gave_up."""
    peer: NodeInfo


class MessageTrace(_Value, frozen=True):
    """What one node knows of the way of a message."""

    id: str
    record: MessageRecord | None
    """None if the node has not recorded it or does not keep it any more."""
    events: list[TraceEvent]
    """In the order in which they happened; those of the last few thousand troubled messages."""


KEPT_BOUNDS = 2048


class OriginHistory(_Value, frozen=True):
    """What one node knows of the messages of one life of one origin.

    The numbers are intervals in flat lists, each the first number and the one after the last:
    ``[1, 41, 42, 100]`` is 1 to 40 and 42 to 99.
    """

    origin: str
    incarnation: int
    known: list[int]
    """Recorded, kept or not, and given up."""
    lost: list[int]
    """Given up, because no node kept them any more; a part of ``known``."""
    kept: list[int]
    """Still in the log: at most the newest 1,024 intervals."""


class NodeHistory(_Value, frozen=True):
    """What one node has recorded, by origin."""

    origins: list[OriginHistory]
    """In the order of their identifiers."""
    kept: int
    """Messages in the log."""
    dropped: int
    """Messages that were dropped from the log because of its limits."""


class MessageTrail(_Value, frozen=True):
    """A recorded message without its body."""

    id: str
    digest: bytes
    """BLAKE2b of the body, 16 bytes."""
    received_at: float
    """The node's wall clock, seconds since 1970."""
    route: list[str]
    """Identifiers of the nodes from the origin to this one."""


class LookupResult(_Value, frozen=True):
    """The owner of a key and the path to it, from the node that was asked to the owner."""

    key: str
    id: str
    owner: NodeInfo
    path: list[NodeInfo]


class Written(_Value, frozen=True):
    """The receipt of a write of a key."""

    version: int
    """The version that this write made."""
    formation: str
    """Names the store, in hexadecimal."""
    slot: int
    """The part of the keys that this one belongs to."""
    epoch: int
    """Counts the changes of the nodes that hold the slot."""
    acknowledged: list[str]
    """The names of the nodes that have it for certain: a majority of those that hold the slot."""
    others: list[str]
    """The names of the others that hold the slot, which had not said so by then."""
    at: float
    """When it was certain, on the clock of the node that was asked, in seconds since 1970."""


# ---- requests -------------------------------------------------------------------------------


class _Rpc(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    rid: int


class SendMessage(_Rpc, frozen=True, tag=101):
    """Broadcast ``body``. With ``wait`` the reply comes with the receipt, otherwise immediately."""

    body: str
    wait: bool = True
    receipt: str = "counted"
    """What it says of the nodes: their number (``counted``), their names (``named``), or their
    names with signatures (``signed``)."""
    expect: list[str] = []
    """Names of nodes without which it is partial."""


class GetMessages(_Rpc, frozen=True, tag=102):
    """Ask for recorded messages in the order received: those after ``since`` (a message id, or ""
    for all), at most ``limit`` of them; without ``since`` the newest ``limit``.
    """

    limit: int = 0
    """0 means as many as fit into one frame; ``more`` in the reply says if there are others."""
    since: str = ""


class Follow(_Rpc, frozen=True, tag=103):
    """Ask for every message after ``since`` and all that come.

    They come as :class:`Messages` replies with the same ``rid``; :class:`Unfollow` ends it.
    """

    since: str = ""
    order: str = "received"
    """``received``, or ``origin``: then they come as :class:`Ordered` replies."""


class Unfollow(_Rpc, frozen=True, tag=104):
    pass


class GetStatus(_Rpc, frozen=True, tag=105):
    pass


class Lookup(_Rpc, frozen=True, tag=106):
    key: str
    iterative: bool = False


class LeaveRing(_Rpc, frozen=True, tag=107):
    """Leave the ring in order and stop. Answered when the node has left."""


class GetTrace(_Rpc, frozen=True, tag=108):
    """Ask what the node knows of the way of the message ``id``."""

    id: str


class GetHistory(_Rpc, frozen=True, tag=109):
    """Ask which messages the node has recorded, as numbers of each origin, not one by one."""

    after: str = ""
    """``origin.incarnation`` of the last entry of the reply before; "" for the beginning."""


class GetTrails(_Rpc, frozen=True, tag=110):
    """Ask for recorded messages as :class:`GetMessages` does, but without their bodies."""

    limit: int = 0
    since: str = ""


class BeginRing(_Rpc, frozen=True, tag=111):
    """Create a ring, unless the node is in one or about to be. ``Done`` is the immediate reply."""


class GetKey(_Rpc, frozen=True, tag=112):
    """Read a key."""

    key: str
    timeout_s: float = OPERATION_S
    stale: bool = False
    """Whatever one of the nodes that hold the key has will do."""


class PutKey(_Rpc, frozen=True, tag=113):
    """Write a key."""

    key: str
    value: bytes
    if_version: int | None = None
    """Only if this is the present version; 0: only if there is no value. None: in any case."""
    expires_s: float | None = None
    """Seconds after which it expires; None: never."""
    request: bytes | None = None
    """Names this write, however often it is asked for; None: the node makes a name."""
    since: int | None = None
    """From :class:`UnconfirmedReply`: do it, unless it was done as a later version than this."""
    timeout_s: float = OPERATION_S


class DeleteKey(_Rpc, frozen=True, tag=114):
    """Delete a key; its version grows by that, too."""

    key: str
    if_version: int | None = None
    request: bytes | None = None
    since: int | None = None
    timeout_s: float = OPERATION_S


class GetStoreState(_Rpc, frozen=True, tag=115):
    """Ask what the node knows of the store."""

    first: int = 0
    """The first slot of the reply."""


class VacateSeats(_Rpc, frozen=True, tag=116):
    """Give up all slots; ``Done`` is the immediate reply, and ``seats`` of the state tells."""


class CanStop(_Rpc, frozen=True, tag=181):
    """Ask if every slot of the node keeps a majority without it."""


class InspectKey(_Rpc, frozen=True, tag=182):
    """Ask what each of the nodes that hold a key has of it."""

    key: str


class GetMembers(_Rpc, frozen=True, tag=183):
    """Ask who is in the node's ring."""


KeyRequest = GetKey | PutKey | DeleteKey


# ---- replies --------------------------------------------------------------------------------


class Sent(_Rpc, frozen=True, tag=121):
    receipt: Receipt


class Messages(_Rpc, frozen=True, tag=122):
    messages: list[MessageRecord]
    more: bool


class Ordered(_Rpc, frozen=True, tag=129):
    """Messages and gaps in per-origin order.

    The first reply without ``more`` ends what there was at the time of the request.
    """

    entries: list[OrderedEntry]
    more: bool


class StatusReply(_Rpc, frozen=True, tag=123):
    status: NodeStatus


class LookupReply(_Rpc, frozen=True, tag=124):
    result: LookupResult


class Done(_Rpc, frozen=True, tag=125):
    pass


class Failure(_Rpc, frozen=True, tag=126):
    """The request failed. ``code`` names an exception of ``core/base/errors.py``."""

    code: str
    text: str


class TraceReply(_Rpc, frozen=True, tag=128):
    trace: MessageTrace


class HistoryReply(_Rpc, frozen=True, tag=130):
    history: NodeHistory
    more: bool


class Trails(_Rpc, frozen=True, tag=131):
    trails: list[MessageTrail]
    more: bool


class WrittenReply(_Rpc, frozen=True, tag=132):
    written: Written


class EntryReply(_Rpc, frozen=True, tag=133):
    entry: Entry | None
    """None: the key has no value."""


class ConflictReply(_Rpc, frozen=True, tag=134):
    """The write was not done, and never is: the key has another version."""

    text: str
    present: Entry | None


class UnconfirmedReply(_Rpc, frozen=True, tag=135):
    """The write may have been done, or be done later, or never."""

    text: str
    request: bytes
    since: int
    """If it was done, then as a later version than this."""


class UnavailableReply(_Rpc, frozen=True, tag=136):
    """Too few of the nodes that hold the key answer. Nothing was done, and nothing will be."""

    text: str
    slot: int | None
    epoch: int
    members: int
    missing: list[str]


class StoreStateReply(_Rpc, frozen=True, tag=137):
    state: StoreState
    more: bool
    """Whether there are slots after these."""


class StandingReply(_Rpc, frozen=True, tag=191):
    standing: StoreStanding


class KeyMembersReply(_Rpc, frozen=True, tag=192):
    members: KeyMembers


class MembersReply(_Rpc, frozen=True, tag=193):
    members: list[NodeInfo]
    """In the order of the ring, beginning with the node that was asked."""


def failure(
    rid: int, error: ChordnetError
) -> Failure | ConflictReply | UnconfirmedReply | UnavailableReply:
    """Return ``error`` as a client is sent it."""
    text = str(error)
    if isinstance(error, Conflict):
        return ConflictReply(rid, text, error.present)
    if isinstance(error, Unconfirmed):
        return UnconfirmedReply(rid, error.what, error.request, error.since)
    if isinstance(error, Unavailable):
        missing = list(error.missing)
        return UnavailableReply(rid, text, error.slot, error.epoch, error.members, missing)
    return Failure(rid, type(error).__name__, text)


ClientRequest = (
    SendMessage
    | GetMessages
    | Follow
    | Unfollow
    | GetStatus
    | Lookup
    | LeaveRing
    | GetTrace
    | GetHistory
    | GetTrails
    | BeginRing
    | GetKey
    | PutKey
    | DeleteKey
    | GetStoreState
    | VacateSeats
    | CanStop
    | InspectKey
    | GetMembers
    | WatchKey
    | GetHeldKeys
    | RecoverSlots
    | BeginStore
    | SetStoreAside
    | MemberRequest
)
ServerReply = (
    Sent
    | Messages
    | Ordered
    | StatusReply
    | LookupReply
    | Done
    | Failure
    | TraceReply
    | HistoryReply
    | Trails
    | WrittenReply
    | EntryReply
    | ConflictReply
    | UnconfirmedReply
    | UnavailableReply
    | StoreStateReply
    | StandingReply
    | KeyMembersReply
    | MembersReply
    | Revisions
    | HeldKeysReply
    | StaleReply
    | RecoveryReply
    | AsideReply
    | MemberReply
)
REPLIES: dict[type, tuple[type, ...]] = {
    SendMessage: (Sent, Done),
    GetMessages: (Messages,),
    Follow: (Messages, Ordered),
    Unfollow: (Done,),
    GetStatus: (StatusReply,),
    Lookup: (LookupReply,),
    LeaveRing: (Done,),
    GetTrace: (TraceReply,),
    GetHistory: (HistoryReply,),
    GetTrails: (Trails,),
    BeginRing: (Done,),
    GetKey: (EntryReply, StaleReply, UnavailableReply),
    PutKey: (WrittenReply, ConflictReply, UnconfirmedReply, UnavailableReply),
    DeleteKey: (WrittenReply, ConflictReply, UnconfirmedReply, UnavailableReply),
    GetStoreState: (StoreStateReply,),
    VacateSeats: (Done,),
    CanStop: (StandingReply,),
    InspectKey: (KeyMembersReply,),
    GetMembers: (MembersReply,),
    WatchKey: (Revisions,),
    GetHeldKeys: (HeldKeysReply,),
    RecoverSlots: (RecoveryReply,),
    BeginStore: (Done,),
    SetStoreAside: (AsideReply,),
    **MEMBER_REPLIES,
}
"""The types of replies to each request, other than :class:`Failure`."""
