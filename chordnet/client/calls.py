"""What a client asks: the request, what answers it, and what the caller gets of the reply."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Generic, TypeVar

import attrs

from chordnet.core.base import errors
from chordnet.core.base.errors import ChordnetError
from chordnet.wire.rpc import (
    BeginRing,
    Done,
    Failure,
    GetHistory,
    GetMessages,
    GetStatus,
    GetTrace,
    GetTrails,
    HistoryReply,
    LeaveRing,
    Lookup,
    LookupReply,
    LookupResult,
    Messages,
    MessageTrace,
    NodeStatus,
    Receipt,
    SendMessage,
    Sent,
    StatusReply,
    TraceReply,
    Trails,
)

T = TypeVar("T")


@attrs.frozen
class Call(Generic[T]):
    """One thing that can be asked."""

    request: type
    """Made from the request's number and the call's arguments."""
    replies: tuple[type, ...]
    """What answers it, beside a ``Failure``."""
    value: Callable[[Any], T]
    """Returns what the caller gets of the reply."""


def _same(reply: Any) -> Any:
    return reply


def _nothing(_reply: Done) -> None: ...


def _receipt(reply: Sent | Done) -> Receipt | None:
    return reply.receipt if isinstance(reply, Sent) else None


SEND: Call[Receipt | None] = Call(SendMessage, (Sent, Done), _receipt)
"""Without ``wait`` there is no receipt."""
MESSAGES: Call[Messages] = Call(GetMessages, (Messages,), _same)
TRAILS: Call[Trails] = Call(GetTrails, (Trails,), _same)
HISTORY: Call[HistoryReply] = Call(GetHistory, (HistoryReply,), _same)
STATUS: Call[NodeStatus] = Call(GetStatus, (StatusReply,), attrgetter("status"))
LOOKUP: Call[LookupResult] = Call(Lookup, (LookupReply,), attrgetter("result"))
TRACE: Call[MessageTrace] = Call(GetTrace, (TraceReply,), attrgetter("trace"))
BEGIN: Call[None] = Call(BeginRing, (Done,), _nothing)
LEAVE: Call[None] = Call(LeaveRing, (Done,), _nothing)

CALLS: tuple[Call[Any], ...] = (
    SEND, MESSAGES, TRAILS, HISTORY, STATUS, LOOKUP, TRACE, BEGIN, LEAVE,
)  # fmt: skip


def error_of(failure: Failure) -> ChordnetError:
    """Return the exception that a failure names; an unknown name is a plain ChordnetError."""
    kind = getattr(errors, failure.code, None)
    if isinstance(kind, type) and issubclass(kind, ChordnetError):
        return kind(failure.text)
    return ChordnetError(failure.text)
