"""Signs seals of origin and receipts with a node's identity, and checks those of other nodes.

A chain of certificates is verified once; after that only its dates, the revocations and the
signature itself are looked at. What is remembered of chains is bounded, and forgotten as soon as
the network's roots or revocations change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import attrs
from cryptography.exceptions import InvalidSignature

from chordnet.core.base.outcomes import Fault
from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.certificates import Certificate, read_certificate
from chordnet.trust.base.errors import (
    CHAIN,
    EXPIRED,
    NOT_YET,
    REVOKED,
    Untrusted,
)
from chordnet.trust.identity import Identity
from chordnet.trust.verifying import verify, verify_role

MOST_SIGNERS: Final = 1024
"""Chains that are remembered, a few kilobytes each."""
SPAN_S: Final = 86_400.0
"""What is sent now says so by its origin's clock, which may differ from ours by this much."""

_FAULTS: Final = {
    CHAIN: Fault.SEAL_AUTHORITY,
    EXPIRED: Fault.SEAL_EXPIRED,
    NOT_YET: Fault.SEAL_EXPIRED,
    REVOKED: Fault.SEAL_REVOKED,
}
"""What is wrong with a seal whose certificate is not believed; a lie if it is not listed here."""


@attrs.frozen
class _Signer:
    """A chain that has been verified."""

    leaf: Certificate
    issuer: Certificate | None
    raw: bytes

    def is_valid(self, at: float) -> bool:
        """Return True if both certificates are valid at a time; a root outlives them."""
        issuer = self.issuer
        return self.leaf.since <= at <= self.leaf.until and (
            issuer is None or issuer.since <= at <= issuer.until
        )

    def is_revoked(self, bundle: Bundle, now: float) -> bool:
        """Return True if one of them is not believed any more."""
        issuer = self.issuer
        return bundle.revokes(self.leaf, now) or (
            issuer is not None and bundle.revokes(issuer, now)
        )


class SealNotary:
    """One node's notary, as :class:`chordnet.core.seals.notary.Notary` describes it.

    :param identity: returns the node's identity at this moment.
    :param identifier: returns the identifier of the node with a name.
    :param wall: returns the wall clock in seconds since 1970.
    :param always: whether every message has to be sealed.
    :param room: how many chains are remembered; the one used last is the last to go.
    """

    def __init__(
        self,
        identity: Callable[[], Identity],
        identifier: Callable[[str], bytes],
        wall: Callable[[], float],
        *,
        always: bool,
        room: int = MOST_SIGNERS,
    ) -> None:
        self._identity = identity
        self._identifier = identifier
        self._wall = wall
        self.always = always
        self._room = room
        self.network = bytes.fromhex(identity().network)
        self._bundle = identity().bundle
        self._signers: OrderedDict[tuple[bytes, ...], _Signer] = OrderedDict()
        self._right: tuple[bytes, bytes, bytes] | None = None
        """Key, signature and text of what was found right last: messages that were sent together
        are often handed over one after the other."""

    def __len__(self) -> int:
        """Return how many chains are remembered."""
        return len(self._signers)

    def sign(self, text: bytes) -> tuple[list[bytes], bytes]:
        """Return the node's chain of certificates, and its signature of ``text``."""
        identity = self._identity()
        return list(identity.chain), identity.sign(text)

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
        """Return what is wrong with a signature; ``Fault.NONE`` if nothing is."""
        now = self._wall()
        if at > now + SPAN_S or (live and at < now - SPAN_S):
            return Fault.SEAL_TIME
        try:
            signer = self._signer(tuple(chain), at)
        except Untrusted as error:
            return _FAULTS.get(error.code, Fault.SEAL_FORGED)
        if signer.raw != raw:
            return Fault.SEAL_FORGED
        signed = (signer.leaf.der, signature, text)
        if signed != self._right:
            try:
                signer.leaf.key.verify(signature, text)
            except InvalidSignature:
                return Fault.SEAL_FORGED
            self._right = signed
        if signer.is_revoked(self._bundle, now):
            return Fault.SEAL_REVOKED
        if not signer.is_valid(at) or (live and not signer.is_valid(now)):
            return Fault.SEAL_EXPIRED
        return Fault.NONE

    def _signer(self, chain: tuple[bytes, ...], at: float) -> _Signer:
        """Return the node that a chain names.

        :raises Untrusted: the chain is not believed.
        """
        bundle = self._identity().bundle
        if bundle is not self._bundle:
            self._bundle = bundle
            self._signers.clear()
        signer = self._signers.get(chain)
        if signer is not None:
            self._signers.move_to_end(chain)
            return signer
        subject = verify(chain, bundle, at)
        verify_role(subject, peer=True)
        leaf, *issuers = map(read_certificate, chain)
        signer = _Signer(leaf, issuers[0] if issuers else None, self._identifier(subject.name))
        self._signers[chain] = signer
        if len(self._signers) > self._room:
            self._signers.popitem(last=False)
        return signer
