"""The invitations that an issuer has given: to what, how often, and until when.

An invitation is known by its id; that somebody was given it, he proves with its secret. What it
allows counts as it is written down here. The table is kept in one file of the issuer's directory,
written before anybody gets a certificate, so that no restart makes a used invitation usable again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import attrs
import msgspec

from chordnet.core.base.errors import Busy, ConfigError
from chordnet.core.base.naming import NAME_LIMIT, usable_name
from chordnet.trust.base.certificates import DAY, HOUR, Draw, draw_secret
from chordnet.trust.base.errors import IdentityError, Refusal
from chordnet.trust.base.files import make_private_directory, read_file, write_private
from chordnet.trust.base.subjects import Role
from chordnet.trust.tokens import ID_BYTES, SECRET_BYTES
from chordnet.trust.verifying import moment

INVITATIONS: Final = "invitations.json"

MOST_INVITATIONS: Final = 256
"""Usable ones and those that are remembered, so that a late user is told what is wrong."""
MOST_USES: Final = 1000
LONGEST: Final = 30 * DAY
"""How long an invitation can be used at most."""
DEFAULT_LIFETIME: Final = HOUR
REMEMBERED: Final = DAY
"""How long an invitation is remembered when it cannot be used any more."""
MOST_GRANTS: Final = 16
"""Of one invitation, the grants that are given again if the answer was lost on its way."""

SUFFIX_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
SUFFIX_LENGTH = 6
LONGEST_PREFIX: Final = NAME_LIMIT - SUFFIX_LENGTH - 1

_PROOF = b"chordnet join v1\x00"


class Grant(msgspec.Struct, frozen=True):
    """What an invitation has been used for."""

    key: str
    """The beginning of the SHA-256 of the request."""
    name: str


class Invitation(msgspec.Struct):
    """One invitation."""

    id: str
    secret: str
    role: Role
    name: str
    """The name that its user gets; empty if it is made for each user."""
    prefix: str
    """What a made name begins with; empty: with what the user wishes."""
    uses: int
    """How often it can still be used."""
    expires: float
    granted: list[Grant] = []


@attrs.frozen
class Asked:
    """What a newcomer asks for."""

    id: bytes
    """Of the invitation."""
    request: bytes
    """The certificate signing request (DER)."""
    wish: str
    """The name that it would like to have; may be empty."""
    peer: bool
    """Whether it is a node; otherwise a client."""
    proof: bytes = b""
    """What :meth:`proved` returns for the invitation's secret, on the same connection."""

    def proved(self, secret: bytes, exporter: bytes) -> bytes:
        """Return what shows that the owner of a secret asks for this on this connection.

        :param exporter: what the two ends of the TLS connection have in common, so that whoever is
            between them can use the proof nowhere.
        """
        kind = b"peer" if self.peer else b"client"
        parts = (exporter, self.id, self.request, self.wish.encode(), kind)
        text = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(secret, _PROOF + text, "sha256")


class Invitations:
    """The table of one issuer.

    :param save: writes the table down; raises :class:`IdentityError` if it cannot.
    """

    def __init__(
        self,
        save: Callable[[bytes], None],
        entries: list[Invitation] | None = None,
        draw: Draw = draw_secret,
    ) -> None:
        self._save = save
        self._entries = {each.id: each for each in entries or ()}
        self._draw = draw

    @classmethod
    def open(cls, directory: Path, draw: Draw = draw_secret) -> Self:
        """Read the table of the issuer in a directory; it is empty if there is no file.

        :raises IdentityError: the file is damaged or open to others.
        """
        path = directory / INVITATIONS

        def save(data: bytes) -> None:
            make_private_directory(directory)
            write_private(path, data)

        if not path.exists():
            return cls(save, draw=draw)
        data = read_file(path, what="the invitations of an issuer", secret=True)
        try:
            entries = msgspec.json.decode(data, type=list[Invitation])
        except msgspec.DecodeError as error:
            raise IdentityError(
                f"{path} is damaged: {error}; remove it, and invite again"[:300]
            ) from None
        return cls(save, entries[-MOST_INVITATIONS:], draw)

    def __len__(self) -> int:
        return len(self._entries)

    def usable(self, now: float) -> int:
        """Return how many invitations can be used."""
        return sum(each.uses > 0 and each.expires > now for each in self._entries.values())

    def make(
        self,
        role: Role,
        now: float,
        *,
        name: str = "",
        prefix: str = "",
        uses: int = 1,
        lifetime: float = DEFAULT_LIFETIME,
    ) -> Invitation:
        """Write down a new invitation.

        :raises ConfigError: it cannot be given like that.
        :raises Busy: too many are in use.
        :raises IdentityError: it cannot be written down.
        """
        _check(name, prefix, uses, lifetime)
        self._forget(now)
        if len(self._entries) >= MOST_INVITATIONS:
            raise Busy(f"{MOST_INVITATIONS} invitations are in use; wait until some have expired")
        made = Invitation(
            self._draw(ID_BYTES).hex(),
            self._draw(SECRET_BYTES).hex(),
            role,
            name,
            prefix,
            uses,
            now + lifetime,
        )
        self._entries[made.id] = made
        try:
            self._write()
        except IdentityError:
            del self._entries[made.id]
            raise
        return made

    def redeem(self, asked: Asked, exporter: bytes, now: float) -> tuple[Role, str]:
        """Use an invitation; return the role and the name that its user gets.

        If the same request comes again, its answer was lost: it gets the same, and that is no
        further use.

        :param exporter: what both ends of the connection have in common.
        :raises Refusal: it cannot be used, and why.
        :raises IdentityError: the use cannot be written down.
        """
        found = self._entries.get(asked.id.hex())
        secret = bytes.fromhex(found.secret) if found is not None else bytes(SECRET_BYTES)
        right = hmac.compare_digest(asked.proved(secret, exporter), asked.proof)
        if found is None:
            raise Refusal(
                "invitation",
                "this issuer knows no such invitation: it expired more than a day ago, was"
                " withdrawn, or somebody else gave it; ask for a new token",
            )
        if not right:
            raise Refusal("invitation", "the token's secret is wrong; ask for a new token")
        if (found.role is Role.PEER) != asked.peer:
            use = "twistd -n chordnode --join TOKEN" if not asked.peer else "p2pnet join TOKEN"
            raise Refusal(
                "invitation", f"the token is for the role {found.role.value!r}; use it with {use}"
            )
        key = hashlib.sha256(asked.request).hexdigest()[:32]
        again = next((grant for grant in found.granted if grant.key == key), None)
        if again is not None and now < found.expires:
            return found.role, again.name
        if now >= found.expires:
            raise Refusal(
                "invitation",
                f"the token expired on {moment(found.expires)}, and here it is {moment(now)};"
                " ask for a new one",
            )
        if found.uses < 1:
            raise Refusal("invitation", "the token has been used already; ask for a new one")
        return found.role, self._use(found, key, asked.wish)

    def _use(self, found: Invitation, key: str, wish: str) -> str:
        """Write down one use; return the name for it."""
        name = found.name or self._suffixed(found.prefix or wish or found.role.value)
        granted = found.granted
        found.uses -= 1
        found.granted = [*granted, Grant(key, name)][-MOST_GRANTS:]
        try:
            self._write()
        except IdentityError:
            found.uses += 1
            found.granted = granted
            raise
        return name

    def withdraw(self, name: str) -> None:
        """Forget the invitations that give a name that is revoked.

        :raises IdentityError: it cannot be written down.
        """
        gone = [each.id for each in self._entries.values() if each.name == name]
        for id_ in gone:
            del self._entries[id_]
        if gone:
            self._write()

    def _suffixed(self, beginning: str) -> str:
        """Return a name that nobody can choose: it decides where in the ring a node is."""
        letters = len(SUFFIX_LETTERS)
        drawn = int.from_bytes(self._draw(16))
        suffix = ""
        for _ in range(SUFFIX_LENGTH):
            drawn, at = divmod(drawn, letters)
            suffix += SUFFIX_LETTERS[at]
        beginning = beginning if usable_name(beginning) else "node"
        return f"{beginning[:LONGEST_PREFIX]}-{suffix}"

    def _forget(self, now: float) -> None:
        """Drop what is over for long; when there is no room, also what is over at all."""
        entries = self._entries.values()
        kept = [each for each in entries if each.expires + REMEMBERED > now]
        if len(kept) >= MOST_INVITATIONS:
            kept = [each for each in kept if each.expires > now and each.uses > 0]
        self._entries = {each.id: each for each in kept}

    def _write(self) -> None:
        self._save(msgspec.json.encode(list(self._entries.values())))


def _check(name: str, prefix: str, uses: int, lifetime: float) -> None:
    """Check what an invitation should be.

    :raises ConfigError: it cannot be given like that.
    """
    if name and prefix:
        raise ConfigError("an invitation has a name or a name's beginning, not both")
    if name and not usable_name(name):
        raise ConfigError(f"the name {name[:80]!r} must be 1 to {NAME_LIMIT} printable letters")
    if prefix and (not usable_name(prefix) or len(prefix) > LONGEST_PREFIX):
        raise ConfigError(
            f"the beginning of a name must be 1 to {LONGEST_PREFIX} printable letters"
        )
    if not 1 <= uses <= MOST_USES:
        raise ConfigError(f"an invitation can be used from 1 to {MOST_USES} times, not {uses}")
    if name and uses > 1:
        raise ConfigError("a name belongs to one node: an invitation with a name has one use")
    if not 1 <= lifetime <= LONGEST:  # NaN is not, either
        raise ConfigError(
            f"an invitation can be used for at most {LONGEST / DAY:.0f} days, and for a second"
        )
