"""Authorities and identities for tests: made fast, and the same at every run."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import attrs

from chordnet.trust.authority import Authority
from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.certificates import Draw
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.trust.issuing import Issuer

NOW = 1_800_000_000.0
"""2027-01-15, 08:00 UTC."""
DAY = 86_400.0
HOUR = 3600.0


def seeded(seed: int = 1) -> Draw:
    """Return a source of chance that always gives the same bytes."""
    return Random(seed).randbytes


@attrs.define
class TrustedNetwork:
    """An authority, and the identities of nodes and clients by name."""

    authority: Authority
    identities: dict[str, Identity]
    issuers: dict[str, Issuer]

    @property
    def bundle(self) -> Bundle:
        return self.authority.bundle

    def __getitem__(self, name: str) -> Identity:
        return self.identities[name]

    def client(self, role: Role, name: str = "laptop", now: float = NOW) -> Identity:
        """Return the identity of a new client."""
        return self.authority.identity(role, name, now)


def make_network(
    names: Iterable[str] = ("one", "two"),
    now: float = NOW,
    *,
    issuers: int = 0,
    seed: int = 1,
    name: str = "chordnet",
) -> TrustedNetwork:
    """Return a network whose nodes have identities; the first ``issuers`` of them may issue."""
    authority = Authority.create(name, now, seeded(seed))
    identities = {each: authority.identity(Role.PEER, each, now) for each in names}
    issuing = {each: authority.issuer(each, now) for each in list(identities)[:issuers]}
    return TrustedNetwork(authority, identities, issuing)
