"""What signs for a node and checks what others have signed: keys and certificates are not its own.

The core states what is signed (:mod:`chordnet.core.seals.statements`); keys, certificates, the
authority's list of what is revoked and the wall clock are behind this seam. A node without a notary
seals nothing and checks nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chordnet.core.base.outcomes import Fault


class Notary(Protocol):
    """Signs with a node's key, and checks other nodes' signatures."""

    always: bool
    """Whether every message has to be sealed; otherwise only those of signed receipts are."""
    network: bytes
    """The id of the network that the certificates are for."""

    def sign(self, text: bytes) -> tuple[list[bytes], bytes]:
        """Return the node's chain of certificates, and its signature of ``text``."""

    def check(
        self,
        raw: bytes,
        chain: Sequence[bytes],
        signature: bytes,
        text: bytes,
        at: float,
        *,
        live: bool,
    ) -> Fault:
        """Return what is wrong with a signature; ``Fault.NONE`` if nothing is.

        The chain must be valid at ``at``, lead to an authority of the network, be for the node with
        the identifier ``raw``, and not be revoked by now.

        :param at: when it was signed, by its signer's wall clock.
        :param live: it is said to be signed just now, so the chain must be valid now, too.
        """


HONEST = frozenset({Fault.SEAL_AUTHORITY, Fault.SEAL_EXPIRED, Fault.SEAL_REVOKED, Fault.SEAL_TIME})
"""What may be wrong with a seal that an honest node has found right: its clock differs from ours,
or it has not heard yet of a new authority or of what is revoked."""
