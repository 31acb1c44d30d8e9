"""What a program may ask of a receipt besides how many nodes have recorded the message."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from chordnet.core.base.errors import LocalProtocolError
from chordnet.core.base.messages import Ask

MOST_EXPECTED: Final = 1024
"""Names of nodes that a receipt may be compared with."""

_ASKS: dict[str, Ask] = {"counted": Ask.NOTHING, "named": Ask.NAME, "signed": Ask.SIGNATURE}


def asked(receipt: str, expect: Collection[str], *, signs: bool) -> Ask:
    """Return what the nodes are to be asked for.

    :param receipt: what a receipt is to say of them.
    :param expect: names of nodes without which it is partial; so they have to be named.
    :param signs: this node has a certificate, and can check those of others.
    :raises LocalProtocolError: that cannot be asked for here.
    """
    ask = _ASKS.get(receipt)
    if ask is None:
        kinds = " or ".join(map(repr, _ASKS))
        raise LocalProtocolError(f"receipt must be {kinds}, not {receipt!r}"[:200])
    if ask == Ask.SIGNATURE and not signs:
        raise LocalProtocolError(
            "this network has no certificates, so its nodes cannot sign; ask for a receipt with"
            " their names alone ('named')"
        )
    if len(expect) > MOST_EXPECTED:
        raise LocalProtocolError(f"at most {MOST_EXPECTED} nodes can be expected in a receipt")
    return Ask.NAME if expect and ask == Ask.NOTHING else ask
