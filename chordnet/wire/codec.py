"""Messages to bytes and back: each frame is one MessagePack document, decoded into its type.

Readers raise :class:`RemoteProtocolError`, with a short reason, for any bytes that are wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from chordnet.core.base.errors import LocalProtocolError, RemoteProtocolError
from chordnet.core.base.limits import MAX_VALUE_BYTES
from chordnet.core.base.messages import PeerMessage, StoreMail
from chordnet.wire.greeting import Bye, Hello, Refuse, Welcome
from chordnet.wire.parts import HEADER_BYTES, PART_BYTES, tag_of
from chordnet.wire.rpc import (
    ClientRequest,
    ConflictReply,
    EntryReply,
    PutKey,
    ServerReply,
)
from chordnet.wire.trust.bundles import BundleMessage
from chordnet.wire.trust.enrolment import Ask, Enrol, Granted, Referral, Renew, Roots
from chordnet.wire.watches import Revisions, StaleReply

FRAME_SLACK = 196608
"""Bytes of a frame in addition to the longest body: the longest route, lists of nodes."""

_REASON_LIMIT = 160
_BEGINNING = 32
"""Bytes of a frame that show its tag."""

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""Everything that decoding can raise."""

T = TypeVar("T")

_encode = msgspec.msgpack.Encoder().encode


def frame_limit(max_body_bytes: int) -> int:
    """Return the longest frame in a network whose bodies have at most ``max_body_bytes``."""
    return max_body_bytes + FRAME_SLACK


LONG_LIMIT = frame_limit(MAX_VALUE_BYTES)
"""Bytes of the longest frame that may come in parts."""


def _tags(*kinds: type[msgspec.Struct]) -> frozenset[int]:
    return frozenset(int(kind.__struct_config__.tag or 0) for kind in kinds)


LONG_OF_PEERS = _tags(StoreMail)
LONG_OF_CLIENTS = _tags(PutKey)
LONG_OF_NODES = _tags(EntryReply, ConflictReply, Revisions, StaleReply)
"""Tags of what may come in parts: from peers, from clients, and from a node to a client."""


def goes_in_parts(frame: bytes, tags: frozenset[int]) -> bool:
    """Return True if a frame, its header included, is long, and of a kind that comes in parts."""
    if len(frame) <= HEADER_BYTES + PART_BYTES:
        return False
    return tag_of(frame[HEADER_BYTES:_BEGINNING]) in tags


def encode_frame(message: msgspec.Struct) -> bytes:
    """Return ``message`` as a frame, its header included.

    :raises LocalProtocolError: a value cannot be encoded (an integer of more than 64 bits).
    """
    try:
        payload = _encode(message)
    except (OverflowError, UnicodeEncodeError, TypeError) as error:
        raise LocalProtocolError(f"{type(message).__name__} cannot be encoded: {error}") from None
    return len(payload).to_bytes(HEADER_BYTES) + payload


class Reader(Generic[T]):
    """Reads frames of one union of messages.

    :param union: the type, or union of tagged types, that a frame may hold.
    """

    def __init__(self, union: Any) -> None:
        self.decode: Callable[[bytes], T] = msgspec.msgpack.Decoder(union).decode
        """Like a call of the reader, but raises any of ``UNREADABLE``: for loops over frames."""

    def __call__(self, frame: bytes) -> T:
        """Return the message in ``frame`` (without its header).

        :raises RemoteProtocolError: it is not MessagePack, or not a message of the union.
        """
        try:
            return self.decode(frame)
        except UNREADABLE as error:
            raise malformed(error) from None


def malformed(error: Exception) -> RemoteProtocolError:
    """Return the error for a frame that could not be decoded."""
    reason = "nested too deep" if isinstance(error, RecursionError) else str(error)[:_REASON_LIMIT]
    return RemoteProtocolError(f"malformed frame: {reason}")


read_hello: Reader[Hello] = Reader(Hello)
"""What a program that was dialled accepts first."""
read_opening: Reader[Hello | Refuse] = Reader(Hello | Refuse)
"""The same over TLS: the program that has dialled may not believe this one."""
read_answer: Reader[Welcome | Refuse] = Reader(Welcome | Refuse)
"""What a program that has dialled accepts first."""
read_peer: Reader[PeerMessage | BundleMessage | Bye] = Reader(PeerMessage | BundleMessage | Bye)
read_request: Reader[ClientRequest | Bye] = Reader(ClientRequest | Bye)
read_reply: Reader[ServerReply | Bye] = Reader(ServerReply | Bye)

read_ask: Reader[Ask] = Reader(Ask)
"""What a node accepts first where certificates are asked for."""
read_wanted: Reader[Enrol | Renew] = Reader(Enrol | Renew)
read_offer: Reader[Roots | Referral | Refuse] = Reader(Roots | Referral | Refuse)
read_grant: Reader[Granted | Refuse] = Reader(Granted | Refuse)
