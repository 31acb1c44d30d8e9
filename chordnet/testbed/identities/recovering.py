"""Operate a secured network whose home was removed, with what an issuer's container still holds.

Whoever may talk to the Docker engine can read everything that a container has, so nothing is given
away. An issuer can certify an operator and nodes; the authority's own key is gone, and with it
revocation and rotation.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from chordnet.survey.errors import TestbedError
from chordnet.testbed.base.home import NetworkHome, make_directory
from chordnet.testbed.identities.archive import ISSUER_FILES
from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.certificates import new_key
from chordnet.trust.base.errors import IdentityError
from chordnet.trust.base.files import write_private
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity, load_bundle
from chordnet.trust.issuing import Issuer


@attrs.frozen
class Recovered:
    """An issuer in the place of the authority."""

    root: Issuer
    bundle: Bundle

    @property
    def network(self) -> str:
        """The network's identifier."""
        return self.bundle.network

    def identity(self, role: Role, name: str, now: float) -> Identity:
        """Return a new identity, its key included."""
        key = new_key()
        return Identity(
            key,
            self.root.issue(key.public_key(), role, name, self.bundle.after(name, now)),
            self.bundle,
        )


def keep_issuer(home: NetworkHome, files: Mapping[str, bytes]) -> None:
    """Keep the files of an issuer in the place of the authority.

    :raises TestbedError: they cannot be written.
    """
    try:
        make_directory(home.authority_directory)
        for name in ISSUER_FILES:
            write_private(home.authority_directory / name, files[name])
    except IdentityError as problem:
        raise TestbedError(str(problem)) from problem


def load_recovered(home: NetworkHome) -> Recovered | None:
    """Return the issuer that is in the place of the authority, if one is.

    :raises IdentityError: its files cannot be used.
    """
    issuer = Issuer.load(home.authority_directory)
    return None if issuer is None else Recovered(issuer, load_bundle(home.authority_directory))
