"""Becoming a member with a token, once: what was given is kept, and used from then on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
import msgspec

from chordnet.core.base.errors import ConfigError
from chordnet.core.base.naming import usable_address, usable_name
from chordnet.net.enrol.blocking import ask_all_now
from chordnet.net.enrol.talks import Gift, JoinTalk, RenewTalk
from chordnet.net.tls.credentials import Credentials
from chordnet.trust.base.errors import IdentityError
from chordnet.trust.base.files import read_file, write_private
from chordnet.trust.enrolment import Newcomer, check_usable
from chordnet.trust.identity import CERTIFICATE, Identity
from chordnet.trust.tokens import Token, authority_hash, read_token

NETWORK: Final = "network.json"
"""What else a member has been told, beside its identity."""


class Told(msgspec.Struct, frozen=True):
    """What a newcomer has been told of its network."""

    ring: str
    """The network's name, as greetings have it."""
    bits: int
    addresses: list[str]
    """Of nodes to join through."""


@attrs.frozen
class Member:
    """An identity, and how to reach its network."""

    identity: Identity
    directory: Path
    told: Told
    new: bool
    """Whether the identity was given just now."""


def become_member(
    text: str,
    directory: Path,
    wish: str = "",
    *,
    peer: bool,
    wall: Callable[[], float] = time.time,
    ask: Callable[..., Gift] = ask_all_now,
) -> Member:
    """Return the member that a directory holds; if it holds none, become one with a token.

    :param text: the token. If the directory holds an identity of its network, it is not used again.
    :param wish: the name to ask for; the token may give another one, or add a suffix.
    :param peer: whether a node joins; otherwise a client.
    :raises ChordnetError: the token is refused, or nobody answers; nothing was kept.
    """
    token = read_token(text)
    if (directory / CERTIFICATE).exists():
        return _present(token, directory, peer=peer)
    gift = ask(JoinTalk(Newcomer(token, wish, peer), wall), token.addresses)
    check_usable(gift.identity, peer=peer)
    addresses = [*token.addresses, *filter(usable_address, [gift.address])]
    # What an issuer says besides what it signs must not keep a node from starting.
    told = Told(
        gift.ring if usable_name(gift.ring) else "",
        gift.bits if 3 <= gift.bits <= 256 else 0,
        list(dict.fromkeys(addresses)),
    )
    gift.identity.save(directory)
    write_private(directory / NETWORK, msgspec.json.format(msgspec.json.encode(told)))
    return Member(gift.identity, directory, told, new=True)


def renew_here(
    identity: Identity,
    directory: Path,
    addresses: Sequence[str],
    *,
    wall: Callable[[], float] = time.time,
    ask: Callable[..., Gift] = ask_all_now,
) -> Identity:
    """Return the renewed identity, which takes the place of the one in a directory.

    :raises ChordnetError: nobody renews it; the present one is kept.
    """
    talk = RenewTalk(Credentials(identity, wall, directory), wall)
    renewed = ask(talk, addresses).identity
    renewed.save(directory)
    return renewed


def _present(token: Token, directory: Path, *, peer: bool) -> Member:
    identity = Identity.load(directory)
    check_usable(identity, peer=peer)
    roots = [authority_hash(anchor.key_info) for anchor in identity.bundle.anchors]
    if token.authority not in (*roots, bytes.fromhex(identity.network)):
        raise ConfigError(
            f"{directory} holds the identity of {identity.subject.name!r} in another network than"
            " the token's; name another directory with --identity"
        )
    told = load_told(directory)
    return Member(identity, directory, told or Told("", 0, list(token.addresses)), new=False)


def load_told(directory: Path) -> Told | None:
    """Return what the member in a directory was told; None if that is not kept there.

    :raises IdentityError: the file is damaged.
    """
    path = directory / NETWORK
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(read_file(path, what="a network's name"), type=Told)
    except msgspec.DecodeError as error:
        raise IdentityError(f"{path} is damaged: {error}"[:300]) from None
