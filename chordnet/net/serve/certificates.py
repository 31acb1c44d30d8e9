"""What clients ask of a node about certificates; rows of the table in ``calls.py``."""

from __future__ import annotations

from chordnet.core.base.errors import LocalProtocolError
from chordnet.net.serve.seams import Asker, Certificates
from chordnet.wire.trust.members import (
    AskIssuerKey,
    BundleReply,
    CertificatesReply,
    CertifyIssuer,
    GetCertificates,
    GiveBundle,
    Invite,
    InviteReply,
    IssuerKeyReply,
    IssuerReply,
)


def invite(asker: Asker, request: Invite) -> InviteReply:
    """Make a token."""
    token, expires = _membership(asker).invite(
        request.role,
        name=request.name,
        prefix=request.prefix,
        uses=request.uses,
        lifetime_s=request.lifetime_s,
    )
    return InviteReply(request.rid, token, expires)


def get_certificates(asker: Asker, request: GetCertificates) -> CertificatesReply:
    """Return what the node knows of certificates."""
    return CertificatesReply(request.rid, _membership(asker).certificates())


def give_bundle(asker: Asker, request: GiveBundle) -> BundleReply:
    """Put roots and revocations in force."""
    return BundleReply(request.rid, _membership(asker).give_bundle(request.bundle))


def ask_issuer_key(asker: Asker, request: AskIssuerKey) -> IssuerKeyReply:
    """Return a request for a certificate of the node's issuer."""
    return IssuerKeyReply(request.rid, _membership(asker).issuer_request())


def certify_issuer(asker: Asker, request: CertifyIssuer) -> IssuerReply:
    """Give the node's issuer another certificate."""
    return IssuerReply(request.rid, _membership(asker).certify_issuer(request.certificate))


def _membership(asker: Asker) -> Certificates:
    membership = asker.node.membership
    if membership is None:
        raise LocalProtocolError(
            "this node is not secured, so it has no certificate and knows no other's; see"
            " `p2pnet start-network --secure`"
        )
    return membership
