"""What a client may broadcast, and what it may look up: the checks of both sides."""

from __future__ import annotations

from chordnet.core.base.errors import InvalidMessage, LocalProtocolError
from chordnet.core.base.limits import PHRASE_BYTES


def check_phrase(body: str, limit: int = PHRASE_BYTES) -> bytes:
    """Return ``body`` as it is broadcast.

    :raises InvalidMessage: it is not a ``str``, is empty, contains white space, is longer than
        ``limit`` bytes of UTF-8 or cannot be encoded in UTF-8.
    """
    if not isinstance(body, str):
        raise InvalidMessage(f"the message must be a text (str), not {type(body).__name__}")
    if not body:
        raise InvalidMessage("the message is empty; give one phrase without white space")
    if body.split() != [body]:
        raise InvalidMessage("the message has white space in it; join its words, as in red-apple")
    try:
        encoded = body.encode()
    except UnicodeEncodeError:
        raise InvalidMessage("the message is not valid text (UTF-8)") from None
    if len(encoded) > limit:
        raise InvalidMessage(f"the message has {len(encoded)} bytes, at most {limit} are accepted")
    return encoded


def check_key(key: str) -> bytes:
    """Return ``key`` as it is hashed; escaped bytes that are not UTF-8 are restored.

    :raises LocalProtocolError: it is not a ``str``, or cannot be encoded.
    """
    if not isinstance(key, str):
        raise LocalProtocolError(f"the key must be a text (str), not {type(key).__name__}")
    try:
        return key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise LocalProtocolError("the key is not valid text (UTF-8)") from None
