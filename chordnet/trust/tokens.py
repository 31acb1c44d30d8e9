"""Join tokens: one printable word with all that a newcomer needs to become a member.

A token names where an issuer listens and the hash of the authority's key, by which the newcomer
knows that it talks to that network, and it holds a secret, by which the issuer knows that the
newcomer was invited. What the newcomer may become is written down at the issuer, not in the token.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

import attrs
import msgspec

from chordnet.core.base.errors import ConfigError
from chordnet.core.base.naming import usable_address

PREFIX: Final = "chordnet1-"
SECRET_BYTES: Final = 16
ID_BYTES: Final = 8
HASH_BYTES: Final = 16
MOST_ADDRESSES: Final = 8
TOKEN_LIMIT: Final = 4096
"""Letters of the longest token."""

_CHECK_BYTES = 4
_BROKEN = (
    "the token is not complete, or a letter of it is wrong; copy it again, as `p2pnet invite`"
    " printed it"
)


class _Content(msgspec.Struct, frozen=True, array_like=True):
    addresses: list[str]
    authority: bytes
    id: bytes
    secret: bytes


@attrs.frozen
class Token:
    """What a token says."""

    addresses: tuple[str, ...]
    """``HOST:PORT`` of issuers, to be tried in this order."""
    authority: bytes
    """The first 16 bytes of the SHA-256 of the authority's SubjectPublicKeyInfo."""
    id: bytes
    """Names the invitation."""
    secret: bytes = attrs.field(repr=False)

    def __str__(self) -> str:
        """Return the word to pass on."""
        content = _Content(list(self.addresses), self.authority, self.id, self.secret)
        data = msgspec.msgpack.encode(content)
        word = base64.b32encode(data + _check(data)).decode().rstrip("=").lower()
        return PREFIX + word


def read_token(text: str) -> Token:
    """Read a token.

    :raises ConfigError: it is none, or was damaged on its way; one line says what to do.
    """
    word = text.strip().lower()
    if not word.startswith(PREFIX):
        raise ConfigError(
            f"{text.strip()[:40]!r} is not a join token: one begins with {PREFIX}, and"
            " `p2pnet invite` prints it"
        )
    if len(word) > TOKEN_LIMIT:
        raise ConfigError(_BROKEN)
    try:
        word = word.removeprefix(PREFIX).upper()
        data = base64.b32decode(word + "=" * (-len(word) % 8))
    except (ValueError, binascii.Error):
        raise ConfigError(_BROKEN) from None
    data, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    if not hmac.compare_digest(_check(data), check):
        raise ConfigError(_BROKEN)
    try:
        content = msgspec.msgpack.decode(data, type=_Content)
    except msgspec.DecodeError:
        raise ConfigError(_BROKEN) from None
    token = Token(tuple(content.addresses), content.authority, content.id, content.secret)
    if not _usable(token):
        raise ConfigError("the token was made by another version of chordnet; update this one")
    return token


def authority_hash(key_info: bytes) -> bytes:
    """Return the hash of an authority's SubjectPublicKeyInfo as tokens have it."""
    return hashlib.sha256(key_info).digest()[:HASH_BYTES]


def _usable(token: Token) -> bool:
    lengths = (len(token.authority), len(token.id), len(token.secret))
    return (
        lengths == (HASH_BYTES, ID_BYTES, SECRET_BYTES)
        and 1 <= len(token.addresses) <= MOST_ADDRESSES
        and all(map(usable_address, token.addresses))
    )


def _check(data: bytes) -> bytes:
    return hashlib.sha256(b"chordnet token\x00" + data).digest()[:_CHECK_BYTES]
