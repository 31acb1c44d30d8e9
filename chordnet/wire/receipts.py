"""What a client may ask of a receipt, and what makes a signed one evidence."""

from __future__ import annotations

from typing import Literal

import msgspec

ReceiptKind = Literal["counted", "named", "signed"]
"""What a receipt says of the nodes that have recorded a message."""


class _Value(msgspec.Struct, frozen=True, array_like=True, gc=False):
    pass


class NodeSignature(_Value, frozen=True):
    """A node's signature that it has recorded a broadcast."""

    name: str
    raw: bytes
    """The node's identifier."""
    incarnation: int
    signature: bytes
    chain: list[bytes]
    """The node's certificate (DER), and its issuer's."""


class Evidence(_Value, frozen=True):
    """What it takes to check the signatures of a receipt without believing the node asked."""

    first: int
    """The number of the first message that travelled in the same broadcast."""
    count: int
    """How many did."""
    path: list[bytes]
    """From the message's body to the root of the tree of the bodies."""
    signatures: list[NodeSignature]
