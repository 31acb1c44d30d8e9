"""Dialling: one attempt to reach an address and greet what listens there."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionRefusedError as Declined
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from chordnet.core.base.errors import ConfigError
from chordnet.core.base.events import LinkFault
from chordnet.net.base.addresses import Endpoints, client_endpoint
from chordnet.net.base.interfaces import IReactor
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.links.greeters import Caller
from chordnet.net.links.protocol import Connection, Handler
from chordnet.net.streams.layer import SecureLayer
from chordnet.net.tls.credentials import Credentials
from chordnet.wire.greeting import Hello, Refuse, Welcome


@attrs.frozen
class DialSettings:
    """What every dial of one node or client needs."""

    reactor: IReactor
    turn: Turn
    limits: NetworkLimits
    frame_limit: int
    """Bytes of the longest frame that is taken."""
    endpoints: Endpoints = client_endpoint
    credentials: Credentials | None = None
    """What is shown, and whom is believed, over TLS; None to speak without."""


class Dial:
    """One attempt; reports exactly one outcome unless cancelled.

    When it is over it drops its references to the connection's handler. Twisted's connector, which
    is part of a reference cycle, then holds on to neither, and the garbage collector, which a node
    runs rarely, has little left to find.

    :param greeted: called with the connection and the Welcome; returns the next handler.
    :param failed: called with the kind of fault, one line of text and the refusal if there was one.
    """

    def __init__(
        self,
        settings: DialSettings,
        *,
        address: str,
        hello: Hello,
        greeted: Callable[[Connection, Welcome], Handler],
        failed: Callable[[LinkFault, str, Refuse | None], None],
    ) -> None:
        self._settings = settings
        self._address = address
        self._greeted = greeted
        self._failed = failed
        self._caller: Caller | None = Caller(
            hello,
            welcomed=self._welcomed,
            refused=self._refused,
            failed=self._ended,
            distrusted=self._distrusted,
        )
        """Does the greeting; None when the attempt is over."""
        self._factory = _OneConnection(self)
        self._timeout: IDelayedCall | None = None
        self._connecting: Deferred[IProtocol] | None = None

    @property
    def connected(self) -> bool:
        """Whether the greeting has been sent; the other side may have accepted it already."""
        return self._caller is None or self._caller.greeted

    def start(self) -> None:
        """Begin; the outcome may be reported before this returns."""
        settings = self._settings
        try:
            timeout_s = settings.limits.connect_timeout_s
            endpoint = settings.endpoints(settings.reactor, self._address, timeout_s)
        except ConfigError as error:
            self._report(LinkFault.UNREACHABLE, str(error))
        except Exception:  # noqa: BLE001 - the embedding program's; logged with its traceback
            settings.turn.failed(f"the endpoint for {self._address}")
            self._report(LinkFault.UNREACHABLE, "no endpoint could be made for it")
        else:
            self._connecting = maybeDeferred(lambda: endpoint.connect(self._factory))
            self._connecting.addCallbacks(self._connected, self._not_connected)

    def cancel(self) -> None:
        """Give up without reporting an outcome."""
        caller = self._caller
        self._end()
        if caller is not None and caller.connection is not None:
            caller.give_up("cancelled")
        elif self._connecting is not None:
            self._connecting.cancel()

    def build(self) -> Connection | SecureLayer | None:
        """Return the protocol of a connection that was made; None if the attempt is over."""
        if self._caller is None:
            return None
        given, trusted = self._settings, self._settings.credentials
        connection = Connection(
            given.reactor, given.turn, self._caller, given.limits, given.frame_limit
        )
        if trusted is None:
            return connection
        layer = SecureLayer(connection, given.turn, trusted.dial, trusted, dialled=True)
        connection.security = layer
        return layer

    def _connected(self, _protocol: IProtocol) -> None:
        # The endpoint's own timeout covers the connection alone.
        if self._caller is not None:
            self._timeout = self._settings.reactor.callLater(
                self._settings.limits.greeting_timeout_s,
                self._caller.give_up,
                "the greeting was not answered",
            )

    def _not_connected(self, failure: Failure) -> None:
        fault = LinkFault.REFUSED if failure.check(Declined) else LinkFault.UNREACHABLE
        self._report(fault, failure.getErrorMessage())

    def _welcomed(self, connection: Connection, welcome: Welcome) -> Handler:
        self._end()
        return self._greeted(connection, welcome)

    def _refused(self, refusal: Refuse) -> None:
        self._report(LinkFault.REJECTED, refusal.text[:300], refusal)

    def _distrusted(self, reason: str) -> None:
        self._report(LinkFault.REJECTED, reason[:300])

    def _ended(self, reason: str) -> None:
        self._report(LinkFault.UNREACHABLE, reason)

    def _report(self, fault: LinkFault, text: str, refusal: Refuse | None = None) -> None:
        if self._caller is not None:
            self._end()
            with self._settings.turn:
                self._failed(fault, text, refusal)

    def _end(self) -> None:
        self._caller = self._factory.dial = None
        if self._timeout is not None and self._timeout.active():
            self._timeout.cancel()


class _OneConnection(ClientFactory):
    noisy = False

    def __init__(self, dial: Dial) -> None:
        self.dial: Dial | None = dial
        """None once the attempt is over: nothing is built any more."""

    def buildProtocol(self, _addr: IAddress | None) -> Connection | SecureLayer | None:
        return self.dial.build() if self.dial is not None else None
