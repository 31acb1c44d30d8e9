"""The table of calls that a client can make: request, handler, role.

To add a call, add its request and reply to ``wire/rpc.py``, and here a handler and a row of
``CALLS``. A handler returns the reply, or None if the reply comes later (``asker.later``) or a
following sends it. It refuses by raising a :class:`ChordnetError`, which is sent to the client as a
:class:`Failure`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from chordnet.core.base.limits import MAX_WITNESS_BYTES
from chordnet.core.base.outcomes import Entry, StaleEntry
from chordnet.net.observe.accounts import history, trails
from chordnet.net.serve import certificates
from chordnet.net.serve.reading import ReceivedReader, position_of, trace_of
from chordnet.net.serve.seams import Asker, Node
from chordnet.trust.base.subjects import Role
from chordnet.wire.orders import (
    AsideReply,
    BeginStore,
    RecoverSlots,
    RecoveryReply,
    SetStoreAside,
)
from chordnet.wire.rpc import (
    BeginRing,
    CanStop,
    DeleteKey,
    Done,
    EntryReply,
    Follow,
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
    KeyMembersReply,
    LeaveRing,
    Lookup,
    LookupReply,
    MembersReply,
    Messages,
    PutKey,
    SendMessage,
    Sent,
    ServerReply,
    StandingReply,
    StatusReply,
    StoreStateReply,
    TraceReply,
    Trails,
    Unfollow,
    VacateSeats,
    WrittenReply,
)
from chordnet.wire.trust.members import (
    AskIssuerKey,
    CertifyIssuer,
    GetCertificates,
    GiveBundle,
    Invite,
)
from chordnet.wire.watches import GetHeldKeys, HeldKeysReply, StaleReply, WatchKey

_ABOUT = 64
"""Bytes of a reply with a key's value, besides that."""

Handler = Callable[[Asker, Any], ServerReply | None]


@attrs.frozen
class Call:
    """One row of the table."""

    request: type
    handler: Handler
    role: Role
    """What the client needs."""
    long: bool = False
    """The reply may be long: it is flushed before the next request is handled, so that a client
    that does not read its replies is noticed."""
    doing: str = "asking this node"
    """What it does, in words that a refusal and the log begin with."""


# ---- handlers -------------------------------------------------------------------------------


def send_message(asker: Asker, request: SendMessage) -> ServerReply | None:
    """Broadcast a message; with ``wait`` the receipt is the reply."""
    body = request.body
    publish = partial(asker.node.publish, receipt=request.receipt, expect=request.expect)
    if request.wait:
        # A signed receipt is much longer than its message.
        held = len(body) + (MAX_WITNESS_BYTES if request.receipt == "signed" else 0)
        asker.later(request.rid, Sent, publish, body, held=held)
        return None
    publish(body, lambda _receipt: None)
    return Done(request.rid)


def get_messages(asker: Asker, request: GetMessages) -> ServerReply:
    """Return recorded messages, as many as fit into one reply."""
    start, limit = _span(asker.node, request)
    return Messages(request.rid, *ReceivedReader(asker.node, start).read(limit))


def get_trails(asker: Asker, request: GetTrails) -> ServerReply:
    """Return recorded messages without their bodies."""
    return Trails(request.rid, *trails(asker.node, *_span(asker.node, request)))


def get_history(asker: Asker, request: GetHistory) -> ServerReply:
    """Return which messages are recorded and kept, as numbers."""
    return HistoryReply(request.rid, *history(asker.node, request.after))


def get_trace(asker: Asker, request: GetTrace) -> ServerReply:
    """Return what is known of the way that a message took."""
    return TraceReply(request.rid, trace_of(asker.node, request.id))


def get_status(asker: Asker, request: GetStatus) -> ServerReply:
    """Return the node's view of itself."""
    return StatusReply(request.rid, asker.node.status())


def lookup(asker: Asker, request: Lookup) -> None:
    """Find the owner of a key."""
    find = partial(asker.node.find, iterative=request.iterative)
    asker.later(request.rid, LookupReply, find, request.key)


def follow(asker: Asker, request: Follow) -> None:
    """Begin a following, which sends messages as they come."""
    asker.followings.begin(request)


def unfollow(asker: Asker, request: Unfollow) -> ServerReply:
    """End a following, or a watch."""
    asker.followings.end(request.rid)
    asker.key_watches.end(request.rid)
    return Done(request.rid)


def begin_ring(asker: Asker, request: BeginRing) -> ServerReply:
    """Create a ring, unless the node is in one or about to be."""
    asker.node.begin()
    return Done(request.rid)


def leave_ring(asker: Asker, request: LeaveRing) -> None:
    """Leave the ring and stop; the reply comes when the ring is left."""
    asker.later(request.rid, _done, lambda done: asker.leave(partial(done, None)))


def get_key(asker: Asker, request: GetKey) -> None:
    """Read a key."""
    asker.later(request.rid, partial(_entry, asker, request), asker.node.keys.ask, request)


def write_key(asker: Asker, request: PutKey | DeleteKey) -> None:
    """Write or delete a key; the receipt is the reply."""
    ask = partial(asker.node.keys.ask, operates=asker.access.role.covers(Role.OPERATE))
    asker.later(request.rid, WrittenReply, ask, request)


def get_store_state(asker: Asker, request: GetStoreState) -> ServerReply:
    """Return what the node knows of the store, as many slots as fit into one reply."""
    return StoreStateReply(request.rid, *asker.node.store_state(request.first))


def watch_key(asker: Asker, request: WatchKey) -> None:
    """Begin a watch, which sends the states of a key as they come."""
    asker.key_watches.begin(request)


def get_held_keys(asker: Asker, request: GetHeldKeys) -> ServerReply:
    """Return keys that the node holds, as many as fit into one reply."""
    return HeldKeysReply(request.rid, *asker.node.held_keys(request.after, owned=request.owned))


def vacate_seats(asker: Asker, request: VacateSeats) -> ServerReply:
    """Give up all slots; how far that is the state of the store tells."""
    asker.node.vacate()
    return Done(request.rid)


def can_stop(asker: Asker, request: CanStop) -> None:
    """Find out if every slot of the node keeps a majority without it."""
    asker.later(request.rid, StandingReply, asker.node.standings.can_stop)


def inspect_key(asker: Asker, request: InspectKey) -> None:
    """Find out what each of the nodes that hold a key has of it."""
    asker.later(request.rid, KeyMembersReply, asker.node.standings.inspect, request.key)


def get_members(asker: Asker, request: GetMembers) -> None:
    """Walk round the ring, and say who is in it."""
    asker.later(request.rid, MembersReply, asker.node.members)


def recover_slots(asker: Asker, request: RecoverSlots) -> None:
    """Recover slots that lost their majority; the reply says what came of it."""
    recover = partial(asker.node.orders.recover, accept_loss=request.accept_loss)
    asker.later(request.rid, RecoveryReply, recover, request.slots, request.timeout_s)


def begin_store(asker: Asker, request: BeginStore) -> ServerReply:
    """Begin a store together with the other founders; the state of the store tells when it has."""
    asker.node.orders.begin(request.founders)
    return Done(request.rid)


def set_store_aside(asker: Asker, request: SetStoreAside) -> ServerReply:
    """Set the store of this node aside."""
    return AsideReply(request.rid, asker.node.orders.set_aside(request.formation))


def _entry(
    asker: Asker, request: GetKey, rid: int, found: Entry | StaleEntry | None
) -> ServerReply | None:
    entry = found.entry if isinstance(found, StaleEntry) else found
    size = 0 if entry is None else len(entry.value) + _ABOUT
    if not asker.has_room(size):
        asker.ask_again(request, size)  # to wait costs less than to hold the value
        return None
    return StaleReply(rid, found) if isinstance(found, StaleEntry) else EntryReply(rid, entry)


def _done(rid: int, _result: None) -> Done:
    return Done(rid)


def _span(node: Node, request: GetMessages | GetTrails) -> tuple[int, int]:
    """Return the position after which the requested messages begin, and how many they are."""
    log = node.log
    limit = request.limit if request.limit > 0 else len(log)
    start = position_of(log, request.since) if request.since else log.before_newest(limit)
    return start, limit


# ---- the table ------------------------------------------------------------------------------

CALLS = (
    Call(SendMessage, send_message, Role.SEND, doing="sending a message"),
    Call(GetMessages, get_messages, Role.READ, long=True),
    Call(Follow, follow, Role.READ),
    Call(Unfollow, unfollow, Role.READ),
    Call(GetStatus, get_status, Role.READ),
    Call(Lookup, lookup, Role.READ),
    Call(LeaveRing, leave_ring, Role.OPERATE, doing="making the node leave"),
    Call(GetTrace, get_trace, Role.READ),
    Call(GetHistory, get_history, Role.READ, long=True),
    Call(GetTrails, get_trails, Role.READ, long=True),
    Call(BeginRing, begin_ring, Role.OPERATE, doing="making the node create a ring"),
    Call(GetKey, get_key, Role.READ),
    Call(PutKey, write_key, Role.SEND, doing="writing a key"),
    Call(DeleteKey, write_key, Role.SEND, doing="deleting a key"),
    Call(GetStoreState, get_store_state, Role.READ, long=True),
    Call(VacateSeats, vacate_seats, Role.OPERATE, doing="making the node give up its slots"),
    Call(CanStop, can_stop, Role.READ),
    Call(InspectKey, inspect_key, Role.READ),
    Call(GetMembers, get_members, Role.READ, long=True),
    Call(WatchKey, watch_key, Role.READ),
    Call(GetHeldKeys, get_held_keys, Role.READ, long=True),
    Call(RecoverSlots, recover_slots, Role.OPERATE, doing="recovering slots of the store"),
    Call(BeginStore, begin_store, Role.OPERATE, doing="beginning a store"),
    Call(SetStoreAside, set_store_aside, Role.OPERATE, doing="setting the node's store aside"),
    Call(Invite, certificates.invite, Role.OPERATE, doing="inviting"),
    Call(GetCertificates, certificates.get_certificates, Role.READ, long=True),
    Call(GiveBundle, certificates.give_bundle, Role.OPERATE, doing="changing who is trusted"),
    Call(AskIssuerKey, certificates.ask_issuer_key, Role.OPERATE, doing="making an issuer"),
    Call(CertifyIssuer, certificates.certify_issuer, Role.OPERATE, doing="making an issuer"),
)
BY_REQUEST: dict[type, Call] = {call.request: call for call in CALLS}
