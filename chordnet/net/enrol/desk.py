"""A node's side of enrolment and renewal: it gives certificates, or says who does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from chordnet.core.base.errors import RemoteProtocolError
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import NetMetric
from chordnet.net.tls.credentials import Credentials
from chordnet.trust.base.errors import IdentityError, Refusal
from chordnet.trust.enrolment import EXPORTER_BYTES, EXPORTER_LABEL, Registrar
from chordnet.trust.identity import Identity
from chordnet.trust.invitations import Asked
from chordnet.wire.codec import read_ask, read_wanted
from chordnet.wire.greeting import Refuse
from chordnet.wire.trust import enrolment as wire

Locate = Callable[[Callable[[Sequence[str]], None]], None]
"""Finds the addresses of nodes that issue certificates, and calls back with them."""


class Security(Protocol):
    """What TLS says of a connection (:class:`chordnet.net.streams.layer.SecureLayer`)."""

    @property
    def chain(self) -> tuple[bytes, ...]: ...
    def export(self, label: bytes, context: bytes, size: int) -> bytes: ...


class Line(Protocol):
    """A connection, as a conversation sees it (:class:`..links.protocol.Connection`)."""

    peer_name: str
    closing: bool

    @property
    def security(self) -> Security | None: ...
    def send(self, message: wire.Roots | wire.Granted | wire.Referral | Refuse) -> None: ...
    def close(self) -> None: ...


@attrs.frozen
class Ring:
    """What a newcomer has to know to join."""

    address: str
    name: str
    bits: int


class EnrolmentDesk:
    """Has conversations with those who want a certificate.

    :param registrar: returns what decides about certificates; None while the node is no issuer.
    :param locate: finds those who issue certificates if this node does not.
    """

    def __init__(
        self,
        credentials: Credentials,
        registrar: Callable[[], Registrar | None],
        locate: Locate,
        ring: Ring,
        wall: Callable[[], float],
        journal: Journal,
    ) -> None:
        self.credentials = credentials
        self.registrar = registrar
        self.locate = locate
        self.ring = ring
        self.wall = wall
        self.journal = journal

    def attend(self, line: Line) -> Conversation:
        """Return what handles a connection on which enrolment is spoken."""
        return Conversation(self, line)


class Conversation:
    """One conversation, from the handshake on."""

    def __init__(self, desk: EnrolmentDesk, line: Line) -> None:
        self._desk = desk
        self._line = line
        self._about = ""
        """What was announced; empty until then."""
        self._over = False

    def frames(self, frames: list[bytes]) -> None:
        """Handle what has come.

        :raises RemoteProtocolError: it is not what may come now.
        """
        for frame in frames:
            if self._over or self._line.closing:
                return
            if self._about:
                self._decide(read_wanted(frame))
            else:
                self._begin(read_ask(frame))

    def _begin(self, ask: wire.Ask) -> None:
        if ask.magic != wire.MAGIC or ask.about not in (wire.JOIN, wire.RENEW):
            raise RemoteProtocolError("it asks for nothing that there is")
        if ask.version < wire.VERSION:
            self._refuse(Refuse("version", "this node speaks a newer version of enrolment"))
            return
        self._about = ask.about
        desk = self._desk
        if desk.registrar() is None:
            desk.locate(self._refer)
        else:
            self._line.send(wire.Roots(list(desk.credentials.current().bundle.roots)))

    def _refer(self, addresses: Sequence[str]) -> None:
        if self._over or self._line.closing:
            return
        if addresses:
            self._line.send(wire.Referral(list(addresses)[: wire.MOST_REFERRED]))
            self._end()
        else:
            self._refuse(
                Refuse(
                    "issuer",
                    "this node issues no certificates, and it reaches none that does; try again"
                    " when those run that hold an issuer's key (`p2pnet certificates`)",
                )
            )

    def _decide(self, wanted: wire.Enrol | wire.Renew) -> None:
        registrar, security, now = self._desk.registrar(), self._line.security, self._desk.wall()
        assert security is not None
        if registrar is None or isinstance(wanted, wire.Renew) != (self._about == wire.RENEW):
            raise RemoteProtocolError("it asks for something else than it has announced")
        try:
            if isinstance(wanted, wire.Renew):
                chain = registrar.renew(security.chain, now)
            else:
                exporter = security.export(EXPORTER_LABEL, b"", EXPORTER_BYTES)
                asked = Asked(wanted.id, wanted.request, wanted.wish, wanted.peer, wanted.proof)
                chain = registrar.enrol(asked, exporter, now)
        except Refusal as error:
            self._refuse(Refuse(error.code, str(error)))
        except IdentityError as error:
            self._desk.journal.error("gave no certificate: {why}", why=str(error))
            self._refuse(Refuse("issuer", "the issuer cannot write down what it gives; try later"))
        else:
            self._grant(chain)

    def _grant(self, chain: tuple[bytes, ...]) -> None:
        desk = self._desk
        own = desk.credentials.current()
        given = Identity(own.key, chain, own.bundle).subject
        desk.journal.info(
            "gave {name} a certificate ({about}, role {role}) at {address}",
            name=given.name,
            about=self._about,
            role=given.role.value,
            address=self._line.peer_name,
        )
        ring = desk.ring
        self._line.send(
            wire.Granted(list(chain), own.bundle.encode(), ring.address, ring.name, ring.bits)
        )
        self._end()

    def _refuse(self, refusal: Refuse) -> None:
        self._desk.journal.limited(
            NetMetric.REFUSED,
            "refused a certificate to {address}: {reason}",
            labels=("certificate",),
            address=self._line.peer_name,
            reason=refusal.text,
        )
        self._line.send(refusal)
        self._end()

    def _end(self) -> None:
        self._over = True
        self._line.close()

    # -- what else may happen to a connection ----------------------------------------------------

    def violated(self, reason: str) -> None:
        """Refuse somebody who has broken a rule."""
        self._refuse(Refuse("greeting", reason))

    def overloaded(self) -> None:
        """Do nothing: the few bytes of a conversation never come near a limit."""

    def held(self) -> None:
        """Do nothing: the send buffer's limit is enough."""

    def drained(self) -> None:
        """Do nothing: nothing waits for it."""

    def lost(self) -> None:
        """Note that nobody waits for an answer any more."""
        self._over = True
