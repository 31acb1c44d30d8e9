"""What is asked of the system's socket, under plain TCP, TLS, UNIX sockets and none at all."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.internet import reactor, ssl, tcp
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    wrapClientTLS,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

from chordnet.core.base.messages import FindFailed, Ping
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.links.protocol import Connection
from chordnet.net.streams.sockets import SystemSocket, tcp_socket
from chordnet.wire.codec import encode_frame
from tests.net.test_connection import CountedTransport, Notes
from tests.net.test_tls import NAME, certificate
from tests.net.test_transport import A, B, C, TransportCase

BIG = 200_000


class Other(Protocol):
    """The other end: keeps what comes, and tells of a number of bytes and of the end."""

    def __init__(self) -> None:
        self.got = b""
        self.wanted = 0
        self.enough: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.got += data
        if len(self.got) >= self.wanted > 0:
            self.wanted = 0
            self.enough.callback(None)

    def connectionLost(self, reason: object) -> None:
        self.ended.callback(None)


class Meeting(Notes):
    """The first handler of a connection that was accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.met: Deferred[Connection] = Deferred()
        self.over: Deferred[None] = Deferred()

    def made(self, connection: Connection) -> None:
        self.met.callback(connection)

    def lost(self) -> None:
        self.over.callback(None)


class EndpointCase(TestCase):
    """One :class:`Connection` of ours that was accepted, and the other end."""

    timeout = 60

    async def connect(self, server, client) -> tuple[Connection, Other]:
        self.failed: list[str] = []
        turn = Turn(reactor, self.failed.append)
        self.handler = Meeting()
        limits = NetworkLimits(send_buffer_bytes=4 * BIG)
        factory = Factory.forProtocol(
            lambda: Connection(reactor, turn, self.handler, limits, 2 * BIG)
        )
        self.port = await server.listen(factory)
        self.other = await client(self.port).connect(Factory.forProtocol(Other))
        self.connection = await self.handler.met
        return self.connection, self.other

    async def connect_tcp(self) -> tuple[Connection, Other]:
        def client(port):
            return TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)

        server = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        return await self.connect(server, client)

    async def connect_tls(self) -> tuple[Connection, Other]:
        key, signed = certificate()
        pair = ssl.PrivateCertificate.loadPEM(key + signed)
        options = ssl.optionsForClientTLS(NAME, trustRoot=ssl.Certificate.loadPEM(signed))

        def client(port):
            plain = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
            return wrapClientTLS(options, plain)

        server = SSL4ServerEndpoint(reactor, 0, pair.options(), interface="127.0.0.1")
        return await self.connect(server, client)

    async def connect_unix(self) -> tuple[Connection, Other]:
        path = self.mktemp()
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return await self.connect(
            UNIXServerEndpoint(reactor, path), lambda _port: UNIXClientEndpoint(reactor, path)
        )

    async def tearDown(self):
        self.connection.abort()
        await self.handler.over
        await self.other.ended
        await self.port.stopListening()
        self.assertEqual(self.failed, [])

    async def assert_sends(self) -> None:
        """A small frame and a large one arrive in this order, as they were sent."""
        messages = [Ping(1), FindFailed(2, "x" * BIG), Ping(3)]
        expected = b"".join(encode_frame(message) for message in messages)
        self.other.wanted = len(expected)
        for message in messages:
            self.connection.send(message)
        await self.other.enough
        self.assertEqual(self.other.got, expected)


class TcpTests(EndpointCase):
    async def test_a_tcp_socket_is_tuned_and_given_up_and_written_to(self):
        connection, _other = await self.connect_tcp()
        handle = tcp_socket(connection.transport)
        self.assertIs(handle, connection.transport.getHandle())
        self.assertNotEqual(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 0)
        self.assertNotEqual(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 0)
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        why = connection.give_up_after(7.5)
        if option is None:
            self.assertEqual(why, "this system has no TCP_USER_TIMEOUT")
        else:
            self.assertEqual(why, "")
            self.assertEqual(handle.getsockopt(socket.IPPROTO_TCP, option), 7500)
        await self.assert_sends()

    async def test_a_value_that_the_system_refuses_is_said_in_words(self):
        if not hasattr(socket, "TCP_USER_TIMEOUT"):
            raise SkipTest("this system has no such option")
        connection, _other = await self.connect_tcp()
        why = connection.give_up_after(-1.0)
        self.assertEqual(why, "the system refuses TCP_USER_TIMEOUT (Invalid argument)")

    async def test_a_connection_that_is_being_closed_is_left_alone(self):
        connection, _other = await self.connect_tcp()
        connection.abort()
        self.assertEqual(connection.give_up_after(-1.0), "")


class TlsTests(EndpointCase):
    async def test_the_socket_below_tls_is_tuned_and_given_up(self):
        connection, _other = await self.connect_tls()
        handle = tcp_socket(connection.transport)
        self.assertIsInstance(handle, socket.socket)
        self.assertIsNot(handle, connection.transport.getHandle())
        self.assertNotEqual(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 0)
        self.assertNotEqual(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), 0)
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is not None:
            self.assertEqual(connection.give_up_after(7.5), "")
            self.assertEqual(handle.getsockopt(socket.IPPROTO_TCP, option), 7500)

    async def test_nothing_is_written_to_the_socket_past_tls(self):
        await self.connect_tls()
        await self.assert_sends()

    async def test_abort_ends_a_tls_connection_at_once(self):
        connection, other = await self.connect_tls()
        connection.abort()
        await other.ended
        other.ended = succeed(None)


class UnixTests(EndpointCase):
    async def test_a_unix_socket_has_nothing_to_tune_and_says_so(self):
        connection, _other = await self.connect_unix()
        self.assertIsNone(tcp_socket(connection.transport))
        why = connection.give_up_after(7.5)
        self.assertEqual(why, "there is no TCP socket under the connection")
        await self.assert_sends()


class Layer(StringTransport):
    """A transport on top of another, that claims to have its handle."""

    def __init__(self, under: object) -> None:
        super().__init__()
        self.transport = under

    def getHandle(self) -> object:
        return "no socket"


class OtherTransportTests(SynchronousTestCase):
    def test_a_transport_in_memory_is_written_to_and_has_no_socket(self) -> None:
        transport = CountedTransport()
        system = SystemSocket(transport)
        system.tune()
        self.assertEqual(system.give_up_after(1.0), "there is no TCP socket under the connection")
        system.write(b"apple")
        self.assertEqual(transport.value(), b"apple")
        system.abort()
        self.assertTrue(transport.disconnected)

    def test_a_layer_on_a_transport_in_memory_has_no_socket(self) -> None:
        self.assertIsNone(tcp_socket(Layer(Layer(StringTransport()))))

    def test_layers_in_a_circle_come_to_an_end(self) -> None:
        layer = Layer(None)
        layer.transport = layer
        self.assertIsNone(tcp_socket(layer))

    def test_a_socket_is_found_below_seven_layers_and_below_no_more(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as plain:
            bottom = tcp.Connection(plain, None, None)
            for layers, expected in ((0, plain), (1, plain), (7, plain), (8, None)):
                transport = bottom
                for _ in range(layers):
                    transport = Layer(transport)
                self.assertIs(tcp_socket(transport), expected, layers)

    def test_a_transport_that_cannot_be_cut_is_closed(self) -> None:
        class Gentle:
            closed = False

            def loseConnection(self) -> None:
                self.closed = True

        transport = Gentle()
        SystemSocket(transport).abort()
        self.assertTrue(transport.closed)


class SaidOnceTests(TransportCase):
    def test_that_broken_lines_are_not_given_up_is_said_once_for_all_peers(self) -> None:
        a, b, c = self.host("a", A), self.host("b", B), self.host("c", C)
        a.send(b, Ping(1))
        a.send(c, Ping(1))
        self.run_for(0.1)
        said = [line for line in a.lines if "broken connections" in line]
        why = "there is no TCP socket under the connection"
        self.assertEqual(
            said, [f"a: broken connections with peers are noticed later than usual: {why}"]
        )
