"""Is what a peer says possible at all? Every identifier in a message must be one of this ring.

A pointer that cannot be one would be followed, listed and passed on for as long as somebody answers
at its address. Broadcast and anti-entropy check their own messages, where they are received.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from chordnet.core import messages as msg
from chordnet.core.identifiers import IdentifierSpace
from chordnet.core.messages import NodeRef, PeerMessage


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


def is_possible(message: PeerMessage, space: IdentifierSpace) -> bool:
    """Tell whether every identifier in ``message`` belongs to ``space``."""
    kind = type(message)
    if kind in POINTERS and not all(
        node is None or space.valid_raw(node.raw) for node in POINTERS[kind](message)
    ):
        return False
    return kind not in KEYS or all(space.valid_raw(key) for key in KEYS[kind](message))
