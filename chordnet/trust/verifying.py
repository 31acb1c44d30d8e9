"""Decides if a chain of certificates is believed, and whom it names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.certificates import Certificate, read_certificate
from chordnet.trust.base.errors import (
    CHAIN,
    EXPIRED,
    FOREIGN,
    MALFORMED,
    NOT_YET,
    REVOKED,
    ROLE,
    Untrusted,
)
from chordnet.trust.base.subjects import ISSUER, ROOT, Subject

MOST_CERTIFICATES = 2
"""A leaf, and the issuer between it and a root."""


def verify(chain: Sequence[bytes], bundle: Bundle, now: float, *, grace: float = 0.0) -> Subject:
    """Return whom a chain of certificates names.

    A chain is the leaf's certificate and, unless a root has signed that, its issuer's (DER). A
    root's certificate at its end does not count.

    :param now: POSIX seconds. Since certificates begin an hour before they are made, a clock that
        is an hour behind does no harm.
    :param grace: seconds for which an expired leaf is accepted nevertheless, to be renewed.
    :raises Untrusted: it is not believed; its ``code`` and text say why.
    """
    leaf, issuer = _read(chain)
    if leaf.network != bundle.network:
        raise Untrusted(
            FOREIGN,
            f"the certificate of {leaf.name!r} is of another network, {leaf.network},"
            f" and this one is {bundle.network}",
        )
    top = issuer or leaf
    if issuer is not None and not leaf.signed_by(issuer):
        raise Untrusted(CHAIN, f"the certificate of {leaf.name!r} is not signed by its issuer")
    root = next((anchor for anchor in bundle.anchors if top.signed_by(anchor)), None)
    if root is None:
        raise Untrusted(CHAIN, _unsigned(leaf))
    for each in (leaf, issuer):
        if each is not None and bundle.revokes(each, now):
            raise Untrusted(REVOKED, f"{_whose(each, leaf)} is revoked", leaf.subject)
    for each, late in ((root, 0.0), (issuer, 0.0), (leaf, grace)):
        if each is not None:
            _check_dates(each, leaf, now, late)
    return leaf.subject


def verify_issuer(certificate: Certificate, bundle: Bundle, now: float) -> None:
    """Check that what an issuer signs is believed.

    :raises Untrusted: it is not, and why.
    """
    if not any(certificate.signed_by(anchor) for anchor in bundle.anchors):
        raise Untrusted(
            CHAIN, f"no root that is trusted has signed the issuer {certificate.name!r}"
        )
    if bundle.revokes(certificate, now):
        raise Untrusted(REVOKED, f"the issuer {certificate.name!r} is revoked")
    if not certificate.since <= now <= certificate.until:
        raise Untrusted(
            EXPIRED,
            f"the issuer {certificate.name!r} is valid from {moment(certificate.since)} to"
            f" {moment(certificate.until)}, and here it is {moment(now)}",
        )


def verify_role(subject: Subject, *, peer: bool) -> None:
    """Check that a subject may be a peer, or a client.

    :raises Untrusted: its role is the other one.
    """
    if peer != (subject.role.value == "peer"):
        wanted = "a node's" if peer else "a client's"
        raise Untrusted(
            ROLE,
            f"the certificate of {subject.name!r} is for the role {subject.role.value!r},"
            f" and {wanted} is needed",
            subject,
        )


def _read(chain: Sequence[bytes]) -> tuple[Certificate, Certificate | None]:
    if not 1 <= len(chain) <= MOST_CERTIFICATES + 1:
        raise Untrusted(
            MALFORMED,
            f"{len(chain)} certificates were shown; it takes one's own and its issuer's",
        )
    leaf, *others = map(read_certificate, chain)
    # OpenSSL adds the root by itself for a client that was told to trust it. Which root to believe
    # the bundle says, so this one does not count.
    if others and others[-1].kind == ROOT:
        others.pop()
    kinds = [each.kind for each in others]
    if not leaf.is_leaf or kinds not in ([], [ISSUER]):
        raise Untrusted(MALFORMED, "the certificates shown are not a member's and its issuer's")
    issuer = others[0] if others else None
    if issuer is not None and issuer.network != leaf.network:
        raise Untrusted(MALFORMED, "the certificate and its issuer's name two networks")
    return leaf, issuer


def _check_dates(each: Certificate, leaf: Certificate, now: float, grace: float) -> None:
    """Check that a certificate is valid now.

    :raises Untrusted: it is not valid yet, or no more.
    """
    if now < each.since:
        raise Untrusted(
            NOT_YET,
            f"{_whose(each, leaf)} is valid from {moment(each.since)} on, and here it is"
            f" {moment(now)}; set the clocks",
            leaf.subject,
        )
    if now > each.until + grace:
        raise Untrusted(
            EXPIRED,
            f"{_whose(each, leaf)} expired on {moment(each.until)}, and here it is {moment(now)}",
            leaf.subject,
        )


def _whose(each: Certificate, leaf: Certificate) -> str:
    text = f"the certificate of {leaf.name!r}"
    if each is leaf:
        return text
    return f"the {each.kind} {each.name!r} that has signed {text}"


def _unsigned(leaf: Certificate) -> str:
    return (
        f"no root that is trusted here has signed the certificate of {leaf.name!r}: it was issued"
        " before the authority was rotated, or by somebody else"
    )


def moment(seconds: float) -> str:
    """Return a time for people to read, in UTC; one that no calendar has is shown as a number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s"
