"""A node's membership in a secured network: its certificate, and what it does for those of others.

It puts together what else is in this folder: the desk for those who want a certificate, the renewal
of its own one, and the spreading of roots and revocations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from chordnet.core.base.errors import LocalProtocolError, NotIssuer
from chordnet.net.base.shared import Shared
from chordnet.net.enrol.asking import AskSettings, ask_all
from chordnet.net.enrol.desk import EnrolmentDesk, Ring
from chordnet.net.enrol.locating import Find, Locator
from chordnet.net.enrol.renewing import Renewal
from chordnet.net.enrol.spreading import Spreading
from chordnet.net.enrol.talks import RenewTalk
from chordnet.net.tls.credentials import Credentials
from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.certificates import Certificate, read_certificate
from chordnet.trust.base.errors import IdentityError, Untrusted
from chordnet.trust.base.subjects import Role, Subject
from chordnet.trust.enrolment import Registrar
from chordnet.trust.identity import Identity
from chordnet.trust.invitations import Invitations
from chordnet.trust.issuing import Issuer, make_request
from chordnet.trust.tokens import Token, authority_hash
from chordnet.trust.verifying import verify_issuer
from chordnet.wire.trust.bundles import BundleMessage
from chordnet.wire.trust.members import Certified, NodeCertificates

MOST_CLIENTS_TOLD = 64
MOST_REVOKED_TOLD = 64


@attrs.frozen
class Surroundings:
    """What a membership needs of its node."""

    find: Find
    """Looks up the owner of a key."""
    neighbours: Callable[[], Sequence[str]]
    """Returns addresses of nodes that may know an issuer."""
    tell_all: Callable[[BundleMessage], None]
    """Sends a message to every peer that is connected."""
    chains: Callable[[], Iterable[tuple[Subject, tuple[bytes, ...]]]]
    """Returns whom the present connections belong to, and the certificates that they have shown."""


class Membership:
    """Everything about certificates at one node.

    :raises IdentityError: the files of the node's issuer or its invitations cannot be used.
    """

    def __init__(self, shared: Shared, credentials: Credentials, around: Surroundings) -> None:
        self._shared = shared
        self._wall = shared.wall
        self._journal = shared.journal
        self._credentials = credentials
        self._around = around
        self._known: list[str] = []
        directory = self._directory = credentials.directory
        self.issuer = None if directory is None else Issuer.load(directory)
        nowhere = Invitations(lambda _data: None)
        self.invitations = nowhere if directory is None else Invitations.open(directory)
        self._registrar = Registrar(self._issuing, self.invitations, self._bundle)
        locate = Locator(
            shared.reactor, around.find, lambda: self._bundle().issuers, shared.me.name, shared.rng
        )
        self._locate = locate
        ring = Ring(shared.me.address, shared.network, shared.space.bits)
        self.desk = EnrolmentDesk(
            credentials, self.registrar, locate, ring, self._wall, self._journal
        )
        self.spreading = Spreading(credentials, self._adopt, around.tell_all)
        self.renewal = Renewal(
            shared.reactor,
            self._wall,
            credentials,
            issuer=self._usable_issuer,
            ask=self._ask,
            changed=self._changed,
            rng=shared.rng,
            journal=self._journal,
        )

    def start(self, known: Sequence[str]) -> None:
        """Begin to keep the certificate fresh.

        :param known: addresses of nodes, to ask while this one is in no ring.
        """
        self._known = list(known)
        self.renewal.start()

    def stop(self) -> None:
        """End what is under way."""
        self.renewal.stop()

    # -- the issuer ------------------------------------------------------------------------------

    def registrar(self) -> Registrar | None:
        """Return what decides about certificates; None if this node issues none."""
        return None if self._usable_issuer() is None else self._registrar

    def _issuing(self) -> Issuer:
        assert self.issuer is not None
        return self.issuer

    def _usable_issuer(self) -> Issuer | None:
        if self.issuer is None:
            return None
        try:
            verify_issuer(self.issuer.certificate, self._bundle(), self._wall())
        except Untrusted:
            return None
        return self.issuer

    def invite(
        self, role: str, *, name: str, prefix: str, uses: int, lifetime_s: float
    ) -> tuple[str, float]:
        """Return a token, and until when it can be used.

        :raises NotIssuer: this node issues no certificates.
        :raises ConfigError: it cannot be given like that.
        :raises Busy: too many are in use.
        """
        if self._usable_issuer() is None:
            raise NotIssuer(self._why_no_issuer())
        if role not in list(Role):
            raise LocalProtocolError(f"there is no role {role[:40]!r}")
        made = self.invitations.make(
            Role(role), self._wall(), name=name, prefix=prefix, uses=uses, lifetime=lifetime_s
        )
        root = self._bundle().anchors[-1]
        token = Token(
            (self._shared.me.address,),
            authority_hash(root.key_info),
            bytes.fromhex(made.id),
            bytes.fromhex(made.secret),
        )
        self._journal.info(
            "made an invitation for {role} {name}, {uses} uses",
            role=role,
            name=name or f"{prefix}…",
            uses=uses,
        )
        return str(token), made.expires

    def _why_no_issuer(self) -> str:
        names = ", ".join(self._bundle().issuers) or "no node does"
        if self.issuer is not None:
            return (
                f"this node can issue no certificates now; its issuer has to be renewed ({names})"
            )
        return f"this node issues no certificates; these do: {names}"

    def issuer_request(self) -> bytes:
        """Return a certificate signing request of this node's issuer.

        :raises NotIssuer: it has none.
        """
        if self.issuer is None:
            raise NotIssuer(self._why_no_issuer())
        return make_request(self.issuer.key, self._shared.me.name)

    def certify_issuer(self, certificate: bytes) -> float:
        """Give this node's issuer another certificate; return until when that is valid.

        :raises NotIssuer: it has none.
        :raises Untrusted: the certificate is not for it.
        :raises IdentityError: it cannot be written down.
        """
        if self.issuer is None:
            raise NotIssuer(self._why_no_issuer())
        new = self.issuer.certified(certificate)
        verify_issuer(new.certificate, self._bundle(), self._wall())
        if self._directory is not None:
            new.save(self._directory)
        self.issuer = new
        self.renewal.hurry()
        return new.certificate.until

    # -- the node's own certificate, and what it believes ----------------------------------------

    def _bundle(self) -> Bundle:
        return self._credentials.current().bundle

    def _ask(self) -> Deferred[Identity]:
        located: Deferred[Sequence[str]] = Deferred()
        self._locate(located.callback)
        return located.addCallback(self._ask_these)

    def _ask_these(self, issuers: Sequence[str]) -> Deferred[Identity]:
        shared = self._shared
        own = shared.me.address
        issuers = shared.rng.sample(list(issuers), len(issuers))
        others = [*issuers, *self._around.neighbours(), *self._known]
        settings = AskSettings(shared.reactor, shared.turn, shared.limits, shared.endpoints)
        talk = RenewTalk(self._credentials, self._wall)
        asking = ask_all(settings, talk, [each for each in others if each != own])
        return Deferred.fromCoroutine(asking).addCallback(lambda gift: gift.identity)

    def _changed(self, identity: Identity) -> None:
        """Go on with another certificate, and perhaps with another bundle."""
        newer = identity.bundle if identity.bundle != self._bundle() else None
        identity = identity.with_bundle(self._bundle())
        self._keep(identity.save)
        self._credentials.replace(identity)
        if newer is not None:
            self.spreading.take(newer)

    def give_bundle(self, data: bytes) -> int:
        """Put a bundle in force if it is newer; return the version that is in force then.

        :raises Untrusted: it is of another network, or no trusted root has signed it.
        """
        self.spreading.take(Bundle.decode(data))
        return self._bundle().version

    def _adopt(self, bundle: Bundle) -> None:
        before = {(each.name, each.line) for each in self._bundle().revoked}
        identity = self._credentials.current().with_bundle(bundle)
        self._keep(identity.save_bundle)
        new = [each for each in bundle.revoked if (each.name, each.line) not in before]
        for name in {each.name for each in new if each.name}:
            try:
                self.invitations.withdraw(name)
            except IdentityError as error:
                self._journal.error("invitations are not withdrawn: {why}", why=str(error))
        self._journal.info(
            "roots and revocations of version {version} are in force{what}",
            version=bundle.version,
            what=f", {len(new)} newly revoked" if new else "",
        )
        self._credentials.replace(identity)
        self.renewal.hurry()

    def _keep(self, save: Callable[[Any], None]) -> None:
        """Write the identity down; without that the node goes on until it is restarted."""
        if self._directory is None:
            return
        try:
            save(self._directory)
        except IdentityError as error:
            self._journal.error("the identity is not kept: {why}", why=str(error))

    # -- what is told ----------------------------------------------------------------------------

    def certificates(self) -> NodeCertificates:
        """Return what this node knows of certificates."""
        identity, bundle = self._credentials.current(), self._bundle()
        issuer = self._usable_issuer()
        top = read_certificate(identity.chain[-1])
        root = next((anchor for anchor in bundle.anchors if top.signed_by(anchor)), None)
        clients = [
            certified(chain)
            for subject, chain in self._around.chains()
            if subject.role is not Role.PEER
        ]
        return NodeCertificates(
            network=identity.network,
            own=certified(identity.chain),
            renews_at=self.renewal.due,
            problem=self.renewal.problem,
            bundle=bundle.version,
            roots=[short_hash(anchor) for anchor in bundle.anchors],
            root=short_hash(root) if root is not None else "",
            revoked=list(bundle.revoked_names[-MOST_REVOKED_TOLD:]),
            issuers=list(bundle.issuers),
            issues_until=issuer.certificate.until if issuer is not None else None,
            invitations=self.invitations.usable(self._wall()),
            clients=clients[:MOST_CLIENTS_TOLD],
            wall=self._wall(),
        )


def certified(chain: Sequence[bytes]) -> Certified:
    """Return a certificate as clients are told of it."""
    leaf = read_certificate(chain[0])
    issuer = read_certificate(chain[1]).name if len(chain) > 1 else ""
    return Certified(leaf.name, leaf.kind, f"{leaf.serial:x}", leaf.since, leaf.until, issuer)


def short_hash(root: Certificate) -> str:
    """Return the beginning of the hash of a root's key, for people."""
    return hashlib.sha256(root.key_info).hexdigest()[:16]
