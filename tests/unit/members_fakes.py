"""The nodes of a secured network, as far as certificates are concerned, for tests of commands."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred, fail, maybeDeferred

from chordnet.core.base.errors import ConnectFailed, NotIssuer
from chordnet.net.enrol.membership import certified, short_hash
from chordnet.testbed.base.home import NetworkHome
from chordnet.trust.authority import Authority
from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.certificates import read_certificate
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.trust.invitations import Invitations
from chordnet.trust.issuing import Issuer, make_request
from chordnet.trust.tokens import Token, authority_hash
from chordnet.wire.trust.members import InviteReply, NodeCertificates
from tests.unit.trust_support import seeded


@attrs.define
class FakeMember:
    """One node: what a bundle or an issuer's certificate changes, it shows at once."""

    fakes: FakeMembers
    number: int
    identity: Identity
    issuer: Issuer | None
    problem: str = ""
    ahead: float = 0.0
    renews: bool = True

    def _do(self, work: Callable[[], Any]) -> Deferred[Any]:
        if self.number in self.fakes.silent:
            return fail(ConnectFailed(f"nobody listens at {self.number}"))
        return maybeDeferred(work)

    def certificates(self) -> Deferred[NodeCertificates]:
        return self._do(self._told)

    def _told(self) -> NodeCertificates:
        bundle = self.identity.bundle
        top = read_certificate(self.identity.chain[-1])
        root = [short_hash(each) for each in bundle.anchors if top.signed_by(each)]
        return NodeCertificates(
            network=bundle.network,
            own=certified(self.identity.chain),
            renews_at=self.identity.subject.since + 15 * 86_400,
            problem=self.problem,
            bundle=bundle.version,
            roots=[short_hash(each) for each in bundle.anchors],
            root=root[0] if root else "",
            revoked=[each.name or each.line for each in bundle.revoked],
            issuers=list(bundle.issuers),
            issues_until=self.issuer.certificate.until if self.issuer else None,
            invitations=0,
            clients=[certified(each.chain) for each in self.fakes.clients],
            wall=time.time() + self.ahead,
        )

    def invite(self, role: str, **how: Any) -> Deferred[InviteReply]:
        return self._do(lambda: self._invite(role, **how))

    def _invite(self, role: str, *, lifetime_s: float, **how: Any) -> InviteReply:
        if self.issuer is None:
            raise NotIssuer("this node issues no certificates; these do: Node 1")
        made = self.fakes.invitations.make(Role(role), time.time(), lifetime=lifetime_s, **how)
        token = Token(
            (f"127.0.0.1:{7000 + self.number}",),
            authority_hash(self.identity.bundle.anchors[-1].key_info),
            bytes.fromhex(made.id),
            bytes.fromhex(made.secret),
        )
        return InviteReply(0, str(token), made.expires)

    def give_bundle(self, data: bytes) -> Deferred[int]:
        return self._do(lambda: self.fakes.spread(Bundle.decode(data)))

    def issuer_request(self) -> Deferred[bytes]:
        return self._do(self._request)

    def _request(self) -> bytes:
        if self.issuer is None:
            raise NotIssuer("it issues none")
        return make_request(self.issuer.key, "x")

    def certify_issuer(self, certificate: bytes) -> Deferred[float]:
        return self._do(lambda: self._certify(certificate))

    def _certify(self, certificate: bytes) -> float:
        assert self.issuer is not None
        self.issuer = self.issuer.certified(certificate)
        self.fakes.renew(self.issuer)
        return self.issuer.certificate.until


class FakeMembers:
    """All nodes of one network, and its authority, which is saved in the network's home."""

    def __init__(self, home: NetworkHome, count: int, issuers: int = 2) -> None:
        now = time.time()
        self.home = home
        self.silent: set[int] = set()
        self.cut: set[int] = set()
        """Nodes that answer, and hear of nothing from the others."""
        self.invitations = Invitations(lambda _data: None, draw=seeded(2))
        authority = Authority.create("default", now, seeded())
        made = {n: authority.issuer(f"Node {n}", now) for n in range(1, issuers + 1)}
        self.nodes = {
            n: FakeMember(self, n, authority.identity(Role.PEER, f"Node {n}", now), made.get(n))
            for n in range(1, count + 1)
        }
        operator = authority.identity(Role.OPERATE, "operator", now)
        operator.save(home.operator_directory)
        authority.save(home.authority_directory)
        self.clients = [operator]
        self.versions: list[int] = []
        """The versions of bundles that were spread."""

    @property
    def authority(self) -> Authority:
        return Authority.load(self.home.authority_directory)

    def __call__(self, number: int) -> FakeMember:
        return self.nodes[number]

    def spread(self, bundle: Bundle) -> int:
        for each in self.nodes.values():
            if each.number not in self.silent | self.cut and bundle.follows(each.identity.bundle):
                each.identity = each.identity.with_bundle(bundle)
        self.versions.append(bundle.version)
        return bundle.version

    def renew(self, issuer: Issuer) -> None:
        for each in self.nodes.values():
            if each.number in self.silent or not each.renews:
                continue
            old = each.identity
            chain = issuer.renew(old.key.public_key(), old.subject, time.time())
            each.identity = old.with_chain(chain)
