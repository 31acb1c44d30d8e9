"""Asking issuers for a certificate: one connection after the other, until one gives it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from chordnet.core.base.errors import ChordnetError, ConnectFailed, RemoteProtocolError
from chordnet.core.base.naming import usable_address
from chordnet.net.base.addresses import Endpoints, client_endpoint
from chordnet.net.base.interfaces import IReactor
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.enrol.rounds import Referred, Round
from chordnet.net.enrol.talks import Gift, Talk
from chordnet.net.links.protocol import Connection
from chordnet.net.streams.layer import SecureLayer
from chordnet.trust.base.bundle import BUNDLE_LIMIT
from chordnet.trust.base.errors import Refusal, Untrusted
from chordnet.wire.codec import read_answer, read_grant, read_offer
from chordnet.wire.greeting import Refuse
from chordnet.wire.trust import enrolment as wire

_FRAME_BYTES = BUNDLE_LIMIT + 32 * 1024


@attrs.frozen
class AskSettings:
    """What every conversation with an issuer needs."""

    reactor: IReactor
    turn: Turn
    limits: NetworkLimits
    endpoints: Endpoints = client_endpoint


async def ask_all(settings: AskSettings, talk: Talk, addresses: Sequence[str]) -> Gift:
    """Ask the nodes at these addresses, and those that they name, until one gives a certificate.

    :raises Refusal: an issuer has said that it gives none to this one.
    :raises Untrusted: what answered is not to be believed.
    :raises NobodyIssues: nobody has given one, for other reasons.
    """
    asking = Round(addresses)
    while (address := asking.next()) is not None:
        try:
            return await ask_one(settings, talk, address)
        except ChordnetError as error:
            asking.failed(error)
    raise asking.verdict()


def ask_one(settings: AskSettings, talk: Talk, address: str) -> Deferred[Gift]:
    """Ask the node at one address; the Deferred fires once.

    Fails with :class:`ConnectFailed`, :class:`Referred`, :class:`Refusal` or :class:`Untrusted`.
    """
    outcome: Deferred[Gift] = Deferred()
    limits, reactor = settings.limits, settings.reactor
    call = _Call(talk, outcome)
    try:
        endpoint = settings.endpoints(reactor, address, limits.connect_timeout_s)
    except ChordnetError as error:
        call.fail(error)
        return outcome
    connecting = maybeDeferred(lambda: endpoint.connect(_OneCall(settings, call)))

    def failed(failure: Failure) -> None:
        call.fail(ConnectFailed(failure.getErrorMessage()))

    connecting.addErrback(failed)
    patience = limits.connect_timeout_s + limits.greeting_timeout_s
    return outcome.addTimeout(patience, reactor, onTimeoutCancel=partial(_late, call, connecting))


def _late(call: _Call, connecting: Deferred[Any], _result: object, seconds: float) -> Failure:
    connecting.cancel()
    call.hang_up()
    return Failure(ConnectFailed(f"it has not answered within {seconds:g} s"))


class _OneCall(ClientFactory):
    noisy = False

    def __init__(self, settings: AskSettings, call: _Call) -> None:
        self._settings = settings
        self._call = call

    def buildProtocol(self, _addr: IAddress | None) -> SecureLayer | None:
        if self._call.over:
            return None
        given = self._settings
        connection = Connection(given.reactor, given.turn, self._call, given.limits, _FRAME_BYTES)
        layer = SecureLayer(connection, given.turn, self._call.begin, None, dialled=True)
        connection.security = layer
        return layer


class _Call:
    """Handles the connection to one node that is asked."""

    def __init__(self, talk: Talk, outcome: Deferred[Gift]) -> None:
        self._talk = talk
        self._outcome = outcome
        self._connection: Connection | None = None
        self._asked = False
        self.begin = talk.begin
        self.over = False

    def made(self, connection: Connection) -> None:
        self._connection = connection

    def handshaken(self) -> None:
        assert self._connection is not None
        self._connection.send(wire.Ask(wire.MAGIC, wire.VERSION, self._talk.about))

    def frames(self, frames: list[bytes]) -> None:
        for frame in frames:
            if self.over:
                return
            self._hear(frame)

    def _hear(self, frame: bytes) -> None:
        connection = self._connection
        assert connection is not None
        security = connection.security
        assert security is not None
        if not connection.secured:
            answer = read_answer(frame)
            said = answer.text if isinstance(answer, Refuse) else "it answers without TLS"
            self.fail(RemoteProtocolError(said))
            return
        try:
            if self._asked:
                self._end_with(read_grant(frame), security)
            else:
                self._ask(read_offer(frame), connection, security)
        except Untrusted as error:
            self.fail(error)

    def _ask(
        self,
        offer: wire.Roots | wire.Referral | Refuse,
        connection: Connection,
        security: SecureLayer,
    ) -> None:
        if isinstance(offer, wire.Referral):
            named = offer.addresses[: wire.MOST_REFERRED]
            self.fail(Referred([each for each in named if usable_address(each)]))
        elif isinstance(offer, Refuse):
            self._refused(offer)
        else:
            self._asked = True
            connection.send(self._talk.ask(offer, security))

    def _end_with(self, answer: wire.Granted | Refuse, security: SecureLayer) -> None:
        if isinstance(answer, Refuse):
            self._refused(answer)
            return
        gift = self._talk.accept(answer, security)
        self.hang_up()
        self._outcome.callback(gift)

    def _refused(self, refusal: Refuse) -> None:
        text = refusal.text[:500]
        final = refusal.code in ("invitation", "certificate")
        self.fail(Refusal(refusal.code, text) if final else ConnectFailed(text))

    def violated(self, reason: str) -> None:
        self.fail(ConnectFailed(f"no answer of a chordnet node: {reason}"))

    def fail(self, error: ChordnetError) -> None:
        """Report why there is no certificate, unless the call is over."""
        if not self.over:
            self.hang_up()
            self._outcome.errback(error)

    def hang_up(self) -> None:
        """Close the connection; nothing is reported any more."""
        self.over = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def overloaded(self) -> None:
        """Do nothing: what is said here never comes near a limit."""

    def held(self) -> None:
        """Do nothing: the send buffer's limit is enough."""

    def drained(self) -> None:
        """Do nothing: nothing waits for it."""

    def lost(self) -> None:
        self._connection = None
        self.fail(ConnectFailed("the connection ended without an answer"))
