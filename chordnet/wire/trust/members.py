"""Invitations and certificates, as clients ask a node for them (:mod:`chordnet.wire.rpc`)."""

from __future__ import annotations

import msgspec


class _Value(msgspec.Struct, frozen=True, array_like=True, gc=False):
    pass


class Certified(_Value, frozen=True):
    """Somebody's certificate."""

    name: str
    role: str
    """peer, read, send or operate."""
    serial: str
    """In hexadecimal."""
    since: float
    """Seconds since 1970."""
    until: float
    issuer: str
    """The name of the node whose issuer has signed it; empty if a root has."""


class NodeCertificates(_Value, frozen=True):
    """What a node knows of its own certificate, of those who are connected, and of the network."""

    network: str
    """The network's identifier, 32 hexadecimal digits."""
    own: Certified
    renews_at: float
    """When the node is going to renew its certificate."""
    problem: str
    """Why its certificate, which should be renewed, is not; empty if all is well."""
    bundle: int
    """The version of the roots and revocations that are in force at the node."""
    roots: list[str]
    """Of the roots that it trusts the beginnings of their hashes, the newest last."""
    root: str
    """The same of the root that its certificate comes from; empty if it trusts that no more."""
    revoked: list[str]
    """Names, and beginnings of serial numbers, that are revoked."""
    issuers: list[str]
    """The names of the nodes that issue certificates."""
    issues_until: float | None
    """Until when this node can issue certificates; None if it is no issuer."""
    invitations: int
    """How many invitations of this node can be used."""
    clients: list[Certified]
    """The certificates of clients that are connected with the node."""
    wall: float
    """The node's wall clock."""


class _Rpc(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    rid: int


class Invite(_Rpc, frozen=True, tag=210):
    """Make a token with which others can join."""

    role: str
    name: str = ""
    """The name that its user gets; empty if it gets one of its own, with a suffix."""
    prefix: str = ""
    """What that name begins with; empty for what the user wishes."""
    uses: int = 1
    lifetime_s: float = 3600.0


class GetCertificates(_Rpc, frozen=True, tag=211):
    """Ask for :class:`NodeCertificates`."""


class GiveBundle(_Rpc, frozen=True, tag=212):
    """Put a bundle in force, which the authority has signed."""

    bundle: bytes


class AskIssuerKey(_Rpc, frozen=True, tag=213):
    """Ask for a certificate signing request of the node's issuer."""


class CertifyIssuer(_Rpc, frozen=True, tag=214):
    """Give the node's issuer another certificate."""

    certificate: bytes


class InviteReply(_Rpc, frozen=True, tag=220):
    """The invitation is made."""

    token: str
    expires: float
    """Seconds since 1970."""


class CertificatesReply(_Rpc, frozen=True, tag=221):
    """What the node knows of certificates."""

    certificates: NodeCertificates


class BundleReply(_Rpc, frozen=True, tag=222):
    """The bundle was taken over, or is older than the one in force."""

    version: int
    """The version that is in force at the node now."""


class IssuerKeyReply(_Rpc, frozen=True, tag=223):
    """The request of the node's issuer."""

    request: bytes
    """PKCS #10, DER."""


class IssuerReply(_Rpc, frozen=True, tag=224):
    """The node's issuer has its new certificate."""

    until: float
    """Until when it can issue certificates."""


MemberRequest = Invite | GetCertificates | GiveBundle | AskIssuerKey | CertifyIssuer
MemberReply = InviteReply | CertificatesReply | BundleReply | IssuerKeyReply | IssuerReply
MEMBER_REPLIES: dict[type, tuple[type, ...]] = {
    Invite: (InviteReply,),
    GetCertificates: (CertificatesReply,),
    GiveBundle: (BundleReply,),
    AskIssuerKey: (IssuerKeyReply,),
    CertifyIssuer: (IssuerReply,),
}
"""The types of replies to each request, other than ``Failure``."""
