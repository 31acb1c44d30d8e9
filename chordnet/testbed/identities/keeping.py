"""The authority of a network and the identities that it has issued, in the network's home.

Whoever has the home operates the network: it holds the keys of the authority, of an operator and
of every node. Each node is given its own identity and nothing else.

A node renews its certificate by itself while it runs. One that did not run for a long time could
not, so a start issues anew what is older than a day. That also keeps a certificate that a container
has renewed from being replaced by an older one: a node renews much later than after a day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path

from chordnet.survey.description import node_name
from chordnet.survey.errors import TestbedError
from chordnet.testbed.base.home import NetworkHome, make_directory
from chordnet.testbed.identities.recovering import Recovered, load_recovered
from chordnet.trust.authority import AUTHORITY, Authority
from chordnet.trust.base.certificates import DAY
from chordnet.trust.base.errors import IdentityError, Untrusted
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import CERTIFICATE, Identity
from chordnet.trust.issuing import Issuer
from chordnet.trust.verifying import verify

OPERATOR = "operator"
"""The name on the operator's certificate."""
ISSUERS = (1, 2)
"""The nodes that can renew the certificates of the others, and let new members in."""
FRESH_S = 1.0 * DAY
"""A certificate that is older is issued anew."""
FRESH_ISSUER_S = 180.0 * DAY
"""The same of an issuer's certificate."""


class NetworkIdentities:
    """What vouches for the members of one network.

    :param now: returns the time of day, POSIX seconds.
    """

    def __init__(self, home: NetworkHome, now: Callable[[], float] = time.time) -> None:
        self._home = home
        self._now = now

    def provide(self, numbers: Collection[int]) -> None:
        """Make what those nodes and the operator need and lack, or what has become old.

        :raises TestbedError: it cannot be made, read or written; the text says what to do.
        """
        home, now = self._home, self._now()
        try:
            authority = _authority(home, now)
            if isinstance(authority, Authority):
                self._provide_issuers(authority, numbers, now)
            _provide(authority, home.operator_directory, Role.OPERATE, OPERATOR, now)
            for number in sorted(numbers):
                directory = home.identity_directory(number)
                _provide(authority, directory, Role.PEER, node_name(number), now)
        except IdentityError as problem:
            raise TestbedError(str(problem)) from problem
        home.link_operator(authority.network)

    def _provide_issuers(self, authority: Authority, numbers: Collection[int], now: float) -> None:
        before = authority.bundle
        for number in sorted(set(numbers).intersection(ISSUERS)):
            directory = self._home.identity_directory(number)
            _provide_issuer(authority, directory, node_name(number), now)
        # The bundle names the issuers, and every identity holds the bundle.
        if authority.bundle != before:
            authority.save(self._home.authority_directory)

    def revoked(self, numbers: Collection[int]) -> frozenset[int]:
        """Return those of the nodes whose certificates, as they were made here, are revoked.

        :raises TestbedError: one cannot be read; the text says what to do.
        """
        try:
            authority = _known_authority(self._home)
            return frozenset(
                number
                for number in numbers
                if authority is not None and self._is_revoked(authority, number)
            )
        except IdentityError as problem:
            raise TestbedError(str(problem)) from problem

    def _is_revoked(self, authority: Authority | Recovered, number: int) -> bool:
        directory = self._home.identity_directory(number)
        made = (directory / CERTIFICATE).exists()
        return made and authority.bundle.revokes(Identity.load(directory).leaf, self._now())

    def provide_visitor(self, directory: Path, name: str) -> None:
        """Make the identity of a node that is started by hand, or renew it.

        :raises TestbedError: it cannot be made, read or written; the text says what to do.
        """
        now = self._now()
        try:
            _provide(_authority(self._home, now), directory, Role.PEER, name, now)
        except IdentityError as problem:
            raise TestbedError(str(problem)) from problem


def _authority(home: NetworkHome, now: float) -> Authority | Recovered:
    known = _known_authority(home)
    if known is not None:
        return known
    directory, authority = home.authority_directory, Authority.create(home.name, now)
    make_directory(directory)
    authority.save(directory)
    return authority


def _known_authority(home: NetworkHome) -> Authority | Recovered | None:
    directory = home.authority_directory
    if (directory / AUTHORITY).exists():
        return Authority.load(directory)
    return load_recovered(home)


def _provide(
    authority: Authority | Recovered, directory: Path, role: Role, name: str, now: float
) -> None:
    """Make or renew one identity, unless it is fresh."""
    old = Identity.load(directory) if (directory / CERTIFICATE).exists() else None
    if old is None or old.network != authority.network or authority.bundle.revokes(old.leaf, now):
        make_directory(directory)
        authority.identity(role, name, now).save(directory)
    elif now - old.subject.since > FRESH_S or not _believed(old, authority, now):
        chain = authority.root.renew(old.key.public_key(), old.subject, now)
        old.with_chain(chain).with_bundle(authority.bundle).save(directory)
    elif old.bundle.version < authority.bundle.version:
        old.with_bundle(authority.bundle).save_bundle(directory)


def _believed(identity: Identity, authority: Authority | Recovered, now: float) -> bool:
    """Return True if the members of a network that knows the newest roots believe a certificate."""
    try:
        verify(identity.chain, authority.bundle, now)
    except Untrusted:
        return False
    return True


def _provide_issuer(authority: Authority, directory: Path, name: str, now: float) -> None:
    """Make a node an issuer, unless it is one whose certificate is fresh."""
    old = Issuer.load(directory)
    if (
        old is None
        or now - old.certificate.since > FRESH_ISSUER_S
        or authority.bundle.revokes(old.certificate, now)
        or not old.certificate.signed_by(authority.root.certificate)
    ):
        make_directory(directory)
        authority.issuer(name, now).save(directory)
