"""Is what a peer says possible at all? Every identifier in a message must be one of this ring.

A pointer that cannot be one would be followed, listed and passed on for as long as somebody answers
at its address. Broadcast and anti-entropy check their own messages, where they are received: what
is recorded is written to disk, where not every number has room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from chordnet.core import messages as msg
from chordnet.core.identifiers import IdentifierSpace
from chordnet.core.messages import MessageId, NodeRef, OriginState, PeerMessage


def _state(message: msg.State) -> Iterable[NodeRef | None]:
    return (message.predecessor, message.candidate, *message.successors)


def _leaving(message: msg.Leaving) -> Iterable[NodeRef | None]:
    return (message.predecessor, *message.successors)


POINTERS: dict[type, Callable[[Any], Iterable[NodeRef | None]]] = {
    msg.State: _state,
    msg.Leaving: _leaving,
    msg.FingerHint: lambda message: (message.subject,),
    msg.TryMerge: lambda message: (message.candidate,),
    msg.Find: lambda message: (message.origin, *message.path),
    msg.Found: lambda message: (message.node, *message.path),
    msg.Next: lambda message: message.nodes,
}
"""The pointers in a message, by its type."""

KEYS: dict[type, Callable[[Any], Iterable[bytes]]] = {
    msg.FingerHint: lambda message: (message.low, message.high),
    msg.Find: lambda message: (message.key,),
    msg.FindNext: lambda message: (message.key, *message.exclude),
}
"""The other identifiers in it."""

CHECKED = frozenset(POINTERS) | frozenset(KEYS)


COUNT_LIMIT = 1 << 62
"""Incarnations and sequence numbers are smaller."""


def is_message_id(message_id: MessageId, space: IdentifierSpace) -> bool:
    """Tell whether a message may have this id."""
    return (
        len(message_id.origin) == space.width
        and 0 <= message_id.incarnation < COUNT_LIMIT
        and 0 < message_id.sequence < COUNT_LIMIT
    )


def is_origin_state(state: OriginState, space: IdentifierSpace) -> bool:
    """Tell whether this may have been recorded of an origin."""
    return (
        len(state.origin) == space.width
        and 0 <= state.incarnation < COUNT_LIMIT
        and 0 <= state.watermark < COUNT_LIMIT
        and all(0 < number < COUNT_LIMIT for number in state.above)
    )


def is_possible(message: PeerMessage, space: IdentifierSpace) -> bool:
    """Tell whether every identifier in ``message`` belongs to ``space``."""
    kind, valid = type(message), space.valid_raw
    pointers, keys = POINTERS.get(kind), KEYS.get(kind)
    # Plain loops, and no call for the usual pointer: this runs for every message.
    width = space.width if space.whole_bytes else -1
    if pointers is not None:
        for node in pointers(message):
            if node is not None and len(node.raw) != width and not valid(node.raw):
                return False
    if keys is not None:
        for key in keys(message):
            if not valid(key):
                return False
    return True
