"""The bounds of what a message carries for seals and signed receipts.

Only shapes are checked here. If a signature is right is found out later, and only for messages that
would be recorded (:mod:`chordnet.core.seals.sealing`).
"""

from __future__ import annotations

from collections.abc import Sequence

from chordnet.core.base.limits import (
    COUNT_LIMIT,
    MAX_CERTIFICATE,
    MAX_CHAIN,
    MAX_PATH,
    MAX_WITNESS_BYTES,
    MAX_WITNESSES,
    SIGNATURE_BYTES,
)
from chordnet.core.base.messages import Ask, Proof, Seal, Witness, witness_bytes
from chordnet.core.base.outcomes import Fault

_LAST_ASK = max(Ask)
_HASH_BYTES = 32


def _signed(chain: Sequence[bytes], signature: bytes) -> Fault:
    fits = (
        len(chain) <= MAX_CHAIN
        and all(len(each) <= MAX_CERTIFICATE for each in chain)
        and len(signature) == SIGNATURE_BYTES
    )
    return Fault.NONE if fits else Fault.TOO_LONG


def mark_fault(seal: Seal | None, ask: int) -> Fault:
    """Return what is wrong with the mark of a broadcast."""
    if not 0 <= ask <= _LAST_ASK:
        return Fault.WRONG_NUMBER
    return Fault.NONE if seal is None else _signed(seal.chain, seal.signature)


def proof_fault(proof: Proof | None) -> Fault:
    """Return what is wrong with the seal of a message that was handed over."""
    if proof is None:
        return Fault.NONE
    if not (0 < proof.first < COUNT_LIMIT and 0 < proof.count < COUNT_LIMIT):
        return Fault.WRONG_NUMBER
    if (
        len(proof.certificate) != _HASH_BYTES
        or len(proof.path) > MAX_PATH
        or any(len(each) != _HASH_BYTES for each in proof.path)
    ):
        return Fault.TOO_LONG
    return _signed(proof.chain, proof.signature)


def witnesses_fault(witnesses: Sequence[Witness]) -> Fault:
    """Return what is wrong with the nodes that are said to have recorded a message."""
    if len(witnesses) > MAX_WITNESSES:
        return Fault.TOO_LONG
    for each in witnesses:
        if not 0 <= each.incarnation < COUNT_LIMIT:
            return Fault.WRONG_NUMBER
        if (each.signature or each.chain) and _signed(each.chain, each.signature):
            return Fault.TOO_LONG
    return Fault.TOO_LONG if witness_bytes(witnesses) > MAX_WITNESS_BYTES else Fault.NONE
