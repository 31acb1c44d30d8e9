"""Keys and certificates of a simulated network: as hard to forge as real ones, and much faster.

A certificate is the node's identifier. A signature is a keyed hash, whose key only the node's own
notary uses to sign; the others use it only to check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random

from chordnet.core.base.outcomes import Fault

_WORD = b"certificate of "


class Registry:
    """The authority of one simulated network.

    :param rng: the keys come from it.
    :param always: every message has to be sealed.
    """

    def __init__(self, rng: Random, *, always: bool = True) -> None:
        self.network = rng.randbytes(16)
        self.always = always
        self._keys: dict[bytes, bytes] = {}
        self._rng = rng
        self.revoked: set[bytes] = set()
        """Identifiers of nodes that are no members any more."""

    def notary(self, raw: bytes) -> NodeNotary:
        """Return the notary of the node with this identifier, which has one key for all lives."""
        if raw not in self._keys:
            self._keys[raw] = self._rng.randbytes(32)
        return NodeNotary(self, raw)

    def signature(self, raw: bytes, text: bytes) -> bytes | None:
        """Return what the node's signature of ``text`` must be; None if there is no such node."""
        key = self._keys.get(raw)
        return None if key is None else hashlib.blake2b(text, key=key, digest_size=64).digest()


class NodeNotary:
    """One node's notary, as :class:`chordnet.core.seals.notary.Notary` describes it."""

    def __init__(self, registry: Registry, raw: bytes) -> None:
        self._registry = registry
        self._raw = raw
        self.always = registry.always
        self.network = registry.network

    def sign(self, text: bytes) -> tuple[list[bytes], bytes]:
        """Return the node's certificate, and its signature of ``text``."""
        signature = self._registry.signature(self._raw, text)
        assert signature is not None, "the registry has made this notary's key"
        return [_WORD + self._raw], signature

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
        """Return what is wrong with a signature; in virtual time nothing expires."""
        if list(chain) != [_WORD + raw]:
            return Fault.SEAL_FORGED
        if raw in self._registry.revoked:
            return Fault.SEAL_REVOKED
        right = signature == self._registry.signature(raw, text)
        return Fault.NONE if right else Fault.SEAL_FORGED
