"""The calls of a client: the request, its replies, and the value that the caller gets."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Generic, TypeVar

import attrs

from chordnet.core.base import errors
from chordnet.core.base.errors import ChordnetError, Conflict, Unavailable, Unconfirmed
from chordnet.core.base.outcomes import Entry, StaleEntry
from chordnet.wire.orders import (
    BeginStore,
    RecoverSlots,
    SetStoreAside,
)
from chordnet.wire.rpc import (
    REPLIES,
    BeginRing,
    CanStop,
    ConflictReply,
    DeleteKey,
    Done,
    EntryReply,
    Failure,
    GetHistory,
    GetKey,
    GetMembers,
    GetMessages,
    GetStatus,
    GetStoreState,
    GetTrace,
    GetTrails,
    HistoryReply,
    InspectKey,
    LeaveRing,
    Lookup,
    LookupResult,
    Messages,
    MessageTrace,
    NodeInfo,
    NodeStatus,
    PutKey,
    Receipt,
    SendMessage,
    Sent,
    StoreStateReply,
    Trails,
    UnavailableReply,
    UnconfirmedReply,
    VacateSeats,
    Written,
    WrittenReply,
)
from chordnet.wire.stores import KeyMembers, SlotRecovery, StoreStanding
from chordnet.wire.trust.members import (
    AskIssuerKey,
    CertifyIssuer,
    GetCertificates,
    GiveBundle,
    Invite,
    InviteReply,
    NodeCertificates,
)
from chordnet.wire.watches import GetHeldKeys, HeldKeysReply, StaleReply

T = TypeVar("T")


@attrs.frozen
class Call(Generic[T]):
    """One call."""

    request: type
    """Made from the request's number and the call's arguments."""
    value: Callable[[Any], T | ChordnetError]
    """Returns the caller's value from the reply, or the error that the caller gets."""

    @property
    def replies(self) -> tuple[type, ...]:
        """The types of its replies, other than ``Failure``."""
        return REPLIES[self.request]


def _same(reply: Any) -> Any:
    return reply


def _nothing(_reply: Done) -> None: ...


def _receipt(reply: Sent | Done) -> Receipt | None:
    return reply.receipt if isinstance(reply, Sent) else None


def _ended(
    reply: WrittenReply
    | EntryReply
    | StaleReply
    | ConflictReply
    | UnconfirmedReply
    | UnavailableReply,
) -> Any:
    if isinstance(reply, WrittenReply):
        return reply.written
    if isinstance(reply, EntryReply):
        return reply.entry
    if isinstance(reply, StaleReply):
        return reply.stale
    if isinstance(reply, ConflictReply):
        return Conflict(reply.text, reply.present)
    if isinstance(reply, UnconfirmedReply):
        return Unconfirmed(reply.text, reply.request, reply.since)
    return Unavailable(reply.text, reply.slot, reply.epoch, reply.members, reply.missing)


SEND: Call[Receipt | None] = Call(SendMessage, _receipt)
"""Without ``wait`` there is no receipt."""
MESSAGES: Call[Messages] = Call(GetMessages, _same)
TRAILS: Call[Trails] = Call(GetTrails, _same)
HISTORY: Call[HistoryReply] = Call(GetHistory, _same)
STATUS: Call[NodeStatus] = Call(GetStatus, attrgetter("status"))
LOOKUP: Call[LookupResult] = Call(Lookup, attrgetter("result"))
TRACE: Call[MessageTrace] = Call(GetTrace, attrgetter("trace"))
BEGIN: Call[None] = Call(BeginRing, _nothing)
LEAVE: Call[None] = Call(LeaveRing, _nothing)
GET: Call[Entry | StaleEntry | None] = Call(GetKey, _ended)
PUT: Call[Written] = Call(PutKey, _ended)
DELETE: Call[Written] = Call(DeleteKey, _ended)
STORE_STATE: Call[StoreStateReply] = Call(GetStoreState, _same)
VACATE: Call[None] = Call(VacateSeats, _nothing)
MEMBERS: Call[list[NodeInfo]] = Call(GetMembers, attrgetter("members"))
CAN_STOP: Call[StoreStanding] = Call(CanStop, attrgetter("standing"))
INSPECT: Call[KeyMembers] = Call(InspectKey, attrgetter("members"))
HELD_KEYS: Call[HeldKeysReply] = Call(GetHeldKeys, _same)
RECOVER: Call[list[SlotRecovery]] = Call(RecoverSlots, attrgetter("recoveries"))
BEGIN_STORE: Call[None] = Call(BeginStore, _nothing)
ASIDE: Call[str] = Call(SetStoreAside, attrgetter("where"))
INVITE: Call[InviteReply] = Call(Invite, _same)
CERTIFICATES: Call[NodeCertificates] = Call(GetCertificates, attrgetter("certificates"))
GIVE_BUNDLE: Call[int] = Call(GiveBundle, attrgetter("version"))
ISSUER_KEY: Call[bytes] = Call(AskIssuerKey, attrgetter("request"))
CERTIFY_ISSUER: Call[float] = Call(CertifyIssuer, attrgetter("until"))

CALLS: tuple[Call[Any], ...] = (
    SEND,
    MESSAGES,
    TRAILS,
    HISTORY,
    STATUS,
    LOOKUP,
    TRACE,
    BEGIN,
    LEAVE,
    GET,
    PUT,
    DELETE,
    STORE_STATE,
    VACATE,
    CAN_STOP,
    INSPECT,
    MEMBERS,
    HELD_KEYS,
    RECOVER,
    BEGIN_STORE,
    ASIDE,
    INVITE,
    CERTIFICATES,
    GIVE_BUNDLE,
    ISSUER_KEY,
    CERTIFY_ISSUER,
)


def error_of(failure: Failure) -> ChordnetError:
    """Return the exception that a failure names; an unknown name is a plain ChordnetError."""
    kind = getattr(errors, failure.code, None)
    if isinstance(kind, type) and issubclass(kind, ChordnetError):
        return kind(failure.text)
    return ChordnetError(failure.text)
