"""Checks signed receipts at the client, so that it need not believe the node that it talks to.

A client with an identity has the roots of the network. What a node says of others is then taken
only with their signatures. A node that lies can still leave nodes out, which makes the receipt
partial if they are expected, or show the receipt of an earlier message with the same body.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import structs

from chordnet.core.base.messages import MessageId
from chordnet.trust.base.bundle import Bundle
from chordnet.trust.receipts import SignedMessage
from chordnet.wire.rpc import Receipt


def checked(
    receipt: Receipt, body: str, expect: Collection[str], bundle: Bundle, now: float
) -> Receipt:
    """Return a signed receipt with the nodes alone whose signatures are right.

    :param body: the message that was sent.
    :param expect: names of nodes without which it is partial.
    :param bundle: the network's roots, and what is revoked.
    """
    evidence = receipt.evidence
    signatures, named = [], dict[str, None]()
    if evidence is not None:
        try:
            message_id = MessageId.parse(receipt.id)
        except ValueError:
            message_id = MessageId(b"", 0, 0)
        signed = SignedMessage(
            message_id, body.encode(), evidence.first, evidence.count, evidence.path, bundle
        )
        for each in evidence.signatures:
            name = signed.signer(each.raw, each.incarnation, each.signature, each.chain, now)
            if name is not None and name not in named:
                named[name] = None
                signatures.append(each)
        evidence = structs.replace(evidence, signatures=signatures)
    missing = sorted(set(expect) - named.keys())
    unsigned = max(0, receipt.recorded - len(named))
    return structs.replace(
        receipt,
        partial=receipt.partial or bool(missing or unsigned),
        named=sorted(named),
        missing=missing,
        unsigned=unsigned,
        evidence=evidence,
    )
