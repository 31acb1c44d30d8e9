"""Checks the signatures of a receipt as a client does, which believes the authority and no node."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature

from chordnet.core.base.messages import MessageId
from chordnet.core.seals.merkle import root_of
from chordnet.core.seals.statements import receipt_text
from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.certificates import read_certificate
from chordnet.trust.base.errors import Untrusted
from chordnet.trust.verifying import verify, verify_role


class SignedMessage:
    """A message, and where it stands in the broadcast that its receipt is for.

    :param message_id: the message.
    :param first: the number of the first message of the broadcast.
    :param count: how many it had.
    :param path: from the body to the root of the tree of the bodies.
    :param bundle: the authority, and what is revoked.
    """

    def __init__(
        self,
        message_id: MessageId,
        body: bytes,
        first: int,
        count: int,
        path: Sequence[bytes],
        bundle: Bundle,
    ) -> None:
        self._first = message_id.plus(first - message_id.sequence)
        self._count = count
        self._root = root_of(body, message_id.sequence - first, count, path)
        self._bundle = bundle

    def signer(
        self, raw: bytes, incarnation: int, signature: bytes, chain: Sequence[bytes], now: float
    ) -> str | None:
        """Return the name of the node that has signed for the message; None if none has.

        :param raw: the identifier that the node states, and its incarnation.
        """
        bundle = self._bundle
        try:
            subject = verify(chain, bundle, now)
            verify_role(subject, peer=True)
            if self._root is None:
                return None
            network = bytes.fromhex(bundle.network)
            text = receipt_text(network, self._first, self._count, self._root, raw, incarnation)
            read_certificate(chain[0]).key.verify(signature, text)
        except (Untrusted, InvalidSignature, OverflowError, struct.error):
            return None
        return subject.name
