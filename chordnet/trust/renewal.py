"""When a certificate should be renewed, and why."""

from __future__ import annotations

from typing import Final

from chordnet.trust.base.certificates import DAY, read_certificate
from chordnet.trust.base.subjects import line_text
from chordnet.trust.identity import Identity

SPREAD: Final = 1 * DAY
"""Renewals begin at half life and are spread over so long, so that not all come together."""


def renew_at(identity: Identity, share: float) -> float:
    """Return when a certificate should be renewed because of its age.

    :param share: where in the spread this node renews, from 0 to 1.
    """
    leaf = identity.leaf
    life = leaf.until - leaf.since
    # A certificate that lives shorter, since its issuer ends, has a shorter spread as well.
    return leaf.since + life / 2 + share * min(SPREAD, life / 4)


def why_renew(identity: Identity, now: float, share: float) -> str:
    """Return why the certificate should be renewed now, in words; empty if it should not."""
    if now >= renew_at(identity, share):
        return "half of its time is over"
    issuer = read_certificate(identity.chain[1]) if len(identity.chain) > 1 else None
    top = issuer or identity.leaf
    if not top.signed_by(identity.bundle.anchors[-1]):
        return "the authority has a new root"
    if issuer is not None:
        line = line_text(issuer.serial)
        if any(each.line == line for each in identity.bundle.revoked):
            return "its issuer is revoked"
    return ""
