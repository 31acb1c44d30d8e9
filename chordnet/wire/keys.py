"""What a request about a key may say, and the words about how one ended.

The checks are made before a request is sent, and by the node that gets it: a client in another
language is answered with the same line.
"""

from __future__ import annotations

from chordnet.core.base.errors import InvalidKey, InvalidValue, LocalProtocolError, Unconfirmed
from chordnet.core.base.limits import (
    COUNT_LIMIT,
    MAX_EXPIRES_S,
    MAX_KEY_BYTES,
    MAX_OPERATION_S,
    MAX_REQUEST_BYTES,
    MAX_VALUE_BYTES,
)
from chordnet.wire.rpc import DeleteKey, GetKey, KeyRequest, PutKey
from chordnet.wire.watches import WatchKey

_SHOWN = 60
_LONGEST_INT = 64
"""Bits of the longest number that is shown; a sender may send no longer one."""


def check_store_key(key: object) -> bytes:
    """Return ``key`` as it is kept.

    :raises InvalidKey: it is not a ``str``, is empty or too long, or cannot be encoded in UTF-8.
    """
    if not isinstance(key, str):
        raise InvalidKey(f"the key must be a text (str), not {type(key).__name__}")
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise InvalidKey("the key is not valid text (UTF-8)") from None
    if not encoded:
        raise InvalidKey(f"the key is empty; give a text of 1 to {MAX_KEY_BYTES} bytes")
    if len(encoded) > MAX_KEY_BYTES:
        raise InvalidKey(f"the key has {len(encoded)} bytes, at most {MAX_KEY_BYTES} are accepted")
    return encoded


def check_value(value: object) -> None:
    """Check the value of a key.

    :raises InvalidValue: it is not ``bytes``, or too long.
    """
    if not isinstance(value, bytes):
        hint = "; a text becomes bytes by .encode()" if isinstance(value, str) else ""
        raise InvalidValue(f"the value must be bytes, not {type(value).__name__}{hint}")
    if len(value) > MAX_VALUE_BYTES:
        raise InvalidValue(
            f"the value has {len(value)} bytes, at most {MAX_VALUE_BYTES} are accepted"
        )


def check_key_request(asked: KeyRequest) -> bytes:
    """Return the key of a request as it is kept, if all that the request says is possible.

    :raises InvalidKey: the key is not.
    :raises InvalidValue: the value is not.
    :raises LocalProtocolError: anything else is not.
    """
    key = check_store_key(asked.key)
    if isinstance(asked, GetKey) and not isinstance(asked.stale, bool):
        raise LocalProtocolError(f"stale must be True or False, not {_shown(asked.stale)}")
    _check_seconds("timeout_s", asked.timeout_s, MAX_OPERATION_S)
    if isinstance(asked, GetKey):
        return key
    if isinstance(asked, PutKey):
        check_value(asked.value)
        if asked.expires_s is not None:
            _check_seconds("expires_s", asked.expires_s, MAX_EXPIRES_S)
    for what, version in (("if_version", asked.if_version), ("since", asked.since)):
        if version is not None:
            _check_version(what, version)
    if asked.request is not None:
        _check_request(asked.request)
    elif asked.since is not None:
        raise LocalProtocolError("since is given without the request that it belongs to")
    return key


def check_watch(asked: WatchKey) -> bytes:
    """Return the key of a watch as it is kept, if all that the request says is possible.

    :raises InvalidKey: the key is not.
    :raises LocalProtocolError: the version is not.
    """
    key = check_store_key(asked.key)
    if asked.since is not None:
        _check_version("since", asked.since)
    return key


def _check_request(request: object) -> None:
    if not isinstance(request, bytes) or not 0 < len(request) <= MAX_REQUEST_BYTES:
        raise LocalProtocolError(
            f"request must be bytes, 1 to {MAX_REQUEST_BYTES} of them, not {_shown(request)}"
        )


def _check_seconds(what: str, value: object, most: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= most:  # type: ignore[operator]  # nor is it with NaN
        raise LocalProtocolError(
            f"{what} must be a number of seconds, more than 0 and at most {most:.0f},"
            f" not {_shown(value)}"
        )


def _check_version(what: str, value: object) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not 0 <= value < COUNT_LIMIT:  # type: ignore[operator]
        raise LocalProtocolError(
            f"{what} must be a whole number, 0 or a key's version, not {_shown(value)}"
        )


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > _LONGEST_INT:
        return "a number of very many digits"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def quoted(key: str) -> str:
    """Return a key in quotes, on one line, shortened if it is long."""
    return _shown(key)


def done_to(asked: PutKey | DeleteKey) -> str:
    """Return what the request does to its key: ``written`` or ``deleted``."""
    return "written" if isinstance(asked, PutKey) else "deleted"


def unconfirmed(
    asked: PutKey | DeleteKey, why: str, request: bytes, since: int | None = None
) -> Unconfirmed:
    """Return what a write ends with of which is not known whether it was done.

    :param request: names the write, also if ``asked`` leaves that to the node.
    :param since: if it was done, then as a later version than this; None if the answer that says so
        is missing: then it is what follows from the request alone.
    """
    if since is None:
        # A write for a version can only have made a later one.
        since = asked.since if asked.since is not None else asked.if_version or 0
    return Unconfirmed(
        f"it is not known whether {quoted(asked.key)} was {done_to(asked)}: {why}",
        request,
        since,
    )
