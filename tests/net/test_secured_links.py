"""Secured connections, in virtual time: who is let in, and what both sides are told if not."""

from __future__ import annotations

import attrs
from cryptography.x509 import load_der_x509_certificate
from OpenSSL import SSL
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol

from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import Ping, Pong
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.net.links.dialler import Dial, DialSettings
from chordnet.net.links.greeters import client_hello, peer_hello
from chordnet.net.tls.credentials import ENROLMENT, MEMBERS, Credentials, enrolling_end
from chordnet.net.tls.end import TlsEnd
from chordnet.trust.base.errors import IdentityError
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.wire.codec import encode_frame, read_answer
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import Refuse, Welcome
from tests.net.hosts import FRAME_LIMIT, Host, node_ref
from tests.net.test_tls_end import Writer, secret_of
from tests.net.test_transport import A, B, C, TransportCase
from tests.unit.trust_support import DAY, HOUR, NOW, make_network

EXPIRY = "2027-02-14 08:00 UTC"
"""When certificates made at NOW expire."""


class SecuredCase(TransportCase):
    """Hosts with identities; their clocks begin at NOW."""

    def setUp(self):
        super().setUp()
        self.trusted = make_network(["a", "b", "c"])
        self.credentials: dict[str, Credentials] = {}

    def wall(self, ahead_s: float = 0.0):
        return lambda: NOW + ahead_s + self.clock.seconds()

    def secured(self, name: str, address: str, *, identity: Identity | None = None,
                ahead_s: float = 0.0, **options) -> Host:  # fmt: skip
        """Return a host that shows ``identity``; its clock is ``ahead_s`` ahead of NOW."""
        credentials = Credentials(identity or self.trusted[name], self.wall(ahead_s))
        self.credentials[name] = credentials
        return self.host(name, address, credentials=credentials, **options)

    def reason(self, a: Host, b: Host) -> str:
        """Return why ``a`` could not reach ``b``, as its core is told."""
        texts: list[str] = []
        a.transport._on_down = lambda _peer, _fault, text="", _holder="": texts.append(text)
        a.send(b, Ping(1))
        self.run_for(0.5)
        self.assertEqual(len(texts), 1, texts)
        return texts[0]

    def assert_told(self, a: Host, b: Host, reason: str, line: str = "") -> None:
        """``a`` dials ``b`` in vain, and both learn why."""
        self.assertEqual(self.reason(a, b), reason)
        self.assertEqual(b.received, [])
        self.assertTrue(a.logged(reason), a.lines)
        self.assertTrue(b.logged(line or reason), b.lines)
        for host in (a, b):
            self.assertEqual(host.journal.counters.number(NetMetric.TURN_ERRORS), 0, host.lines)


class MeetingTests(SecuredCase):
    def test_peers_of_one_network_meet_and_know_each_other(self):
        a, b = self.secured("a", A), self.secured("b", B)
        a.send(b, Ping(1))
        self.run_for(0.1)
        self.assertEqual(b.received, [("a", Ping(1))])
        b.send(a, Pong(1, 3))
        self.run_for(0.1)
        self.assertEqual(a.received, [("b", Pong(1, 3))])
        self.assertEqual(len(self.network.connections), 1)
        for host, other in ((a, "b"), (b, "a")):
            (connection,) = host.turn.open
            self.assertTrue(connection.secured)
            self.assertEqual(connection.subject, self.trusted[other].subject)

    def test_a_connection_without_credentials_has_no_subject(self):
        a, b = self.host("a", A), self.host("b", B)
        a.send(b, Ping(1))
        self.run_for(0.1)
        (connection,) = b.turn.open
        self.assertIsNone(connection.subject)
        self.assertFalse(connection.secured)

    def test_messages_of_one_turn_are_one_write_on_each_side(self):
        a, b = self.secured("a", A), self.secured("b", B)
        a.send(b, Ping(0))
        self.run_for(0.1)
        ((end, _other),) = self.network.connections
        writes = end.writes
        a.send(b, *(Ping(rid) for rid in range(1, 9)))
        self.run_for(0.1)
        self.assertEqual(end.writes, writes + 1)
        self.assertEqual(b.got(), [Ping(rid) for rid in range(9)])

    def test_a_handshake_and_a_greeting_take_three_writes_of_the_dialler_and_two_of_the_other(self):
        a, b = self.secured("a", A), self.secured("b", B)
        a.send(b, Ping(0))
        self.run_for(0.1)
        ((end, other),) = self.network.connections
        self.assertEqual(sorted((end.writes, other.writes)), [2, 3])

    def test_peers_that_dial_each_other_at_the_same_time_keep_one_connection(self):
        a, b = self.secured("a", A), self.secured("b", B)
        a.send(b, Ping(1))
        b.send(a, Ping(2))
        self.run_for(3)
        self.assertEqual(len(self.network.connections), 1)
        self.assertEqual((a.got(), b.got()), ([Ping(2)], [Ping(1)]))

    def test_the_handshake_counts_as_greeting_and_a_slow_one_is_cut(self):
        a, b = self.secured("a", A), self.secured("b", B)
        self.network.frozen.add(A)
        a.send(b, Ping(1))
        self.run_for(1)
        self.assertEqual(b.door.waiting, 1)
        self.run_for(b.door._limits.greeting_timeout_s)
        self.assertEqual(b.door.waiting, 0)
        self.assertTrue(b.logged("it did not greet in time"), b.lines)

    def test_a_dial_that_is_not_answered_in_tls_gives_up_in_time(self):
        class Mute(Protocol):
            pass

        self.network.bind(B, Factory.forProtocol(Mute))
        a = self.secured("a", A)
        a.send(node_ref("b", B), Ping(1))
        self.run_for(4)
        self.assertEqual(a.downs, [("b", LinkFault.UNREACHABLE)])


class RefusalTests(SecuredCase):
    def test_a_certificate_of_another_network(self):
        foreign = make_network(["a"], seed=9)
        a, b = self.secured("a", A, identity=foreign["a"]), self.secured("b", B)
        ours, theirs = self.trusted.bundle.network, foreign.bundle.network
        self.assert_told(
            a,
            b,
            f"the certificate of 'b' is of another network, {ours}, and this one is {theirs}",
        )

    def test_an_expired_certificate_of_the_dialler(self):
        a = self.secured("a", A, ahead_s=31 * DAY)
        fresh = make_renewed(self, "b", NOW + 20 * DAY)
        b = self.secured("b", B, identity=fresh, ahead_s=31 * DAY)
        self.assert_told(
            a,
            b,
            f"the certificate of 'a' expired on {EXPIRY}, and here it is 2027-02-15 08:00 UTC",
        )

    def test_an_expired_certificate_of_the_node_that_is_dialled(self):
        fresh = make_renewed(self, "a", NOW + 20 * DAY)
        a = self.secured("a", A, identity=fresh, ahead_s=31 * DAY)
        b = self.secured("b", B, ahead_s=31 * DAY)
        self.assert_told(
            a,
            b,
            f"the certificate of 'b' expired on {EXPIRY}, and here it is 2027-02-15 08:00 UTC",
            "does not accept this node: the certificate of 'b' expired on",
        )

    def test_a_clock_that_is_two_hours_behind(self):
        a, b = self.secured("a", A), self.secured("b", B, ahead_s=-2 * HOUR)
        reason = self.reason(a, b)
        self.assertRegex(reason, "the certificate of 'a' is valid from .* set the clocks")
        self.assertTrue(b.logged(reason))

    def test_a_clock_that_is_an_hour_off_does_no_harm(self):
        a, b = self.secured("a", A, ahead_s=HOUR - 60), self.secured("b", B, ahead_s=-HOUR + 60)
        a.send(b, Ping(1))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(1)])

    def test_a_client_s_certificate_does_not_make_a_node(self):
        client = self.trusted.client(Role.OPERATE, "a")
        a, b = self.secured("a", A, identity=client), self.secured("b", B)
        self.assert_told(
            a,
            b,
            "the certificate of 'a' is for the role 'operate', and a node's is needed",
        )

    def test_what_is_dialled_has_to_be_a_node(self):
        client = self.trusted.client(Role.OPERATE, "b")
        a, b = self.secured("a", A), self.secured("b", B, identity=client)
        self.assert_told(
            a,
            b,
            "the certificate of 'b' is for the role 'operate', and a node's is needed",
            "does not accept this node: the certificate of 'b' is for the role 'operate'",
        )

    def test_a_name_that_is_not_that_of_the_certificate(self):
        a, b = self.secured("a", A, identity=self.trusted["c"]), self.secured("b", B)
        self.assert_told(a, b, "the certificate is for 'c', not for 'a'")

    def test_an_answer_in_another_name_than_that_of_the_certificate(self):
        a, b = self.secured("a", A), self.secured("b", B, identity=self.trusted["c"])
        self.assert_told(a, b, "the certificate is for 'c', not for 'b'")

    def test_a_revoked_certificate(self):
        a = self.secured("a", A)
        self.trusted.authority.revoke(NOW, name="a")
        revoking = self.trusted["b"].with_bundle(self.trusted.bundle)
        b = self.secured("b", B, identity=revoking)
        self.assert_told(a, b, "the certificate of 'a' is revoked")

    def test_a_node_without_an_identity_at_a_secured_one(self):
        a, b = self.host("a", A), self.secured("b", B)
        self.assert_told(
            a,
            b,
            "this network is secured, and only its members are let in; join with twistd -n"
            " chordnode --join TOKEN (`p2pnet invite` makes a token)",
        )

    def test_a_secured_node_at_one_without_an_identity(self):
        a, b = self.secured("a", A), self.host("b", B)
        self.assert_told(
            a,
            b,
            "this node is not secured and does not speak TLS; connect without an identity, or give"
            " the node one",
            "it speaks TLS, and this node is not secured",
        )

    def test_nothing_but_a_text_is_taken_from_an_answer_without_tls(self):
        """It may come from anybody on the way: it must not make the node give up its name."""
        holder = encode_frame(Refuse("name", "I have your name", "10.9.9.9:1", "ab" * 16))
        welcome = encode_frame(Welcome(2, node_ref("b", B)))
        for answer, reason in (
            (holder, "I have your name"),
            (welcome, "no answer of a chordnet node: it answers without TLS"),
        ):
            told: list[object] = []

            class Liar(Protocol):
                def dataReceived(self, _data: bytes, answer: bytes = answer) -> None:
                    self.transport.write(answer)

            self.network.bind(B, Factory.forProtocol(Liar))
            settings = DialSettings(
                self.clock, self.host("x", C).turn, NetworkLimits(), FRAME_LIMIT,
                self.network.dialling_from(A), Credentials(self.trusted["a"], self.wall()),
            )  # fmt: skip
            dial = Dial(
                settings, address=B, hello=peer_hello(node_ref("a", A), "default", 160),
                greeted=lambda *_: self.fail("it was believed"),
                failed=lambda *outcome, told=told: told.extend(outcome),
            )  # fmt: skip
            dial.start()
            self.run_for(0.5)
            self.assertEqual(told[1], reason)
            if told[2] is not None:
                self.assertEqual(told[2], Refuse("plain", "I have your name"))

    def test_a_stranger_that_sends_neither_tls_nor_a_greeting_is_told_so(self):
        b = self.secured("b", B)
        frames = talk(self, b, [b"GET / HTTP/1.1\r\n\r\n"])
        self.assertEqual([type(each) for each in frames], [Refuse])
        self.assertEqual(frames[0].code, "greeting")

    def test_one_peer_that_is_always_refused_does_not_flood_the_log(self):
        a = self.secured("a", A, identity=self.trusted["c"])
        b = self.secured("b", B)
        for rid in range(200):
            a.send(b, Ping(rid))
            self.run_for(0.05)
        for host in (a, b):
            self.assertLess(len(host.lines), 12, host.lines)

    def test_a_failed_handshake_is_told_to_both_sides(self):
        a, b = self.secured("a", A), self.secured("b", B)
        del a
        end = Ends(self, b)
        end.say(b"\x16\x03\x01\x00\x10" + b"\xff" * 16)
        self.assertTrue(b.logged("no chordnet greeting: the TLS handshake failed:"), b.lines)
        self.assertEqual(end.heard[:1], b"\x15", "an alert of TLS")
        self.assertTrue(end.over)

    def test_a_member_that_speaks_another_protocol_inside_is_told_so(self):
        b = self.secured("b", B)
        context = self.credentials["b"]._context("h2")
        frames = talk(self, b, [hello_of("a")], TlsEnd(context, server=False))
        self.assertEqual(
            frames, [Refuse("greeting", "this is a chordnet node; inside TLS it speaks chordnet/1"
                            " (ALPN)")],
        )  # fmt: skip

    def test_somebody_without_a_certificate_is_told_so(self):
        b = self.secured("b", B)
        end = enrolling_end()
        frames = talk(self, b, [hello_of("a")], end)
        self.assertEqual(
            frames,
            [Refuse("certificate", "no certificates are issued here; ask another node")],
        )


class ClientRoleTests(SecuredCase):
    def test_a_node_s_certificate_does_not_make_a_client(self):
        b = self.secured("b", B)
        credentials = Credentials(self.trusted["a"], self.wall())
        frames = talk(self, b, [encode_frame(client_hello(""))], credentials.dial())
        self.assertEqual(
            frames,
            [
                Refuse(
                    "certificate",
                    "the certificate of 'a' is for the role 'peer', and a client's is needed",
                )
            ],
        )

    def test_a_client_without_tls_is_told_which_network_it_is(self):
        b = self.secured("b", B)
        (refusal,) = talk(self, b, [encode_frame(client_hello(""))])
        self.assertEqual(
            refusal,
            Refuse(
                "secured",
                "this network is secured, and only its members are let in; use an identity of it"
                " (`p2pnet invite` makes a token)",
                trust=self.trusted.bundle.network,
            ),
        )


class EnrolmentTests(SecuredCase):
    def test_one_that_would_enrol_is_handed_over_and_keeps_the_place_of_one_that_greets(self):
        b = self.secured("b", B)
        heard: list[object] = []

        class Issuer:
            def __init__(self, connection):
                self.connection = connection

            def frames(self, frames):
                heard.append((self.connection.security.application, frames))
                self.connection.send_frame(encode_frame(Refuse("full", "later")))

            def lost(self):
                heard.append("lost")

        b.door.enrol = Issuer
        end = Ends(self, b, enrolling_end())
        end.say(encode_frame(Ping(7)))
        self.assertEqual(heard, [(ENROLMENT, [encode_frame(Ping(7))[4:]])])
        self.assertEqual(end.frames(), [Refuse("full", "later")])
        self.assertEqual(b.door.waiting, 1)
        self.run_for(b.door._limits.greeting_timeout_s + 1)
        self.assertEqual(b.door.waiting, 0)
        self.assertTrue(end.over)
        end.hang_up()
        self.assertEqual(heard[1:], ["lost"])


class LiveTests(SecuredCase):
    """What happens to connections in use when identities change."""

    def meet(self) -> tuple[Host, Host]:
        a, b = self.secured("a", A), self.secured("b", B)
        a.send(b, Ping(1))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(1)])
        return a, b

    def test_a_revoked_peer_is_cut_off_in_the_same_turn(self):
        a, b = self.meet()
        self.trusted.authority.revoke(NOW, name="a")
        a.send(b, Ping(2))  # on its way when it is revoked
        own = self.credentials["b"]
        own.replace(own.current().with_bundle(self.trusted.bundle))
        self.assertEqual(b.downs, [("a", LinkFault.BROKEN)])
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(1)])
        self.assertEqual(self.network.connections, [])
        self.assertTrue(b.logged("closed the connection with a: the certificate of 'a' is revoked"))
        self.assertTrue(a.logged("b closed the connection: the certificate of 'a' is revoked"))
        a.send(b, Ping(3))
        self.run_for(1)
        self.assertEqual(b.got(), [Ping(1)])

    def test_a_replacement_that_changes_nothing_for_a_peer_keeps_its_connection(self):
        a, b = self.meet()
        (pair,) = self.network.connections
        self.credentials["b"].replace(make_renewed(self, "b", NOW + DAY))
        self.run_for(1)
        self.assertEqual(self.network.connections, [pair])
        a.send(b, Ping(2))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(1), Ping(2)])

    def test_a_connection_whose_certificate_has_expired_is_ended_in_order_within_an_hour(self):
        limits = NetworkLimits(idle_s=90 * DAY)
        a, b = (self.secured(name, at, limits=limits) for name, at in (("a", A), ("b", B)))
        a.send(b, Ping(1))
        self.run_for(0.1)
        for name in "ab":
            self.credentials[name].replace(make_renewed(self, name, NOW + 20 * DAY))
        self.clock.advance(30 * DAY - 60)
        self.run_for(0.1)
        self.assertEqual(len(self.network.connections), 1)
        self.clock.advance(2 * HOUR)
        self.run_for(0.1)
        self.assertEqual(self.network.connections, [])
        self.assertEqual(b.downs + a.downs, [])
        a.send(b, Ping(2))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(1), Ping(2)])

    def test_an_identity_of_somebody_else_is_not_taken(self):
        self.secured("a", A)
        error = self.assertRaises(IdentityError, self.credentials["a"].replace, self.trusted["b"])
        self.assertEqual(
            str(error), "an identity of peer 'a' cannot be replaced by one of peer 'b'"
        )


class BoundTests(SecuredCase):
    def test_a_thousand_failed_handshakes_leave_nothing_behind(self):
        b = self.secured("b", B)
        for round_ in range(1000):
            protocol = b.door.buildProtocol(IPv4Address("TCP", f"10.1.{round_ % 250}.1", 4000))
            if protocol is None:
                continue
            transport = Recorder()
            protocol.makeConnection(transport)
            protocol.dataReceived(b"\x16\x03\x01\x00\x10" + bytes([round_ % 256]) * 16)
            protocol.connectionLost()
        self.assertEqual(b.door.waiting, 0)
        self.assertEqual(b.turn.open, set())
        self.assertLess(len(b.lines), 8, b.lines)
        self.run_for(5)

    def test_handshakes_that_never_end_hold_as_many_places_as_plain_greetings(self):
        b = self.secured("b", B, limits=NetworkLimits(max_ungreeted=4))
        ends = [Ends(self, b, self.dialling("a")) for _ in range(9)]
        self.assertLessEqual(b.door.waiting, 4)
        del ends

    def dialling(self, name: str) -> TlsEnd:
        return Credentials(self.trusted[name], self.wall()).dial()

    def test_a_peer_that_reads_nothing_is_given_up_at_the_limit_of_plain_connections(self):
        limits = NetworkLimits(send_buffer_bytes=100_000)
        a, b = self.secured("a", A, limits=limits), self.secured("b", B)
        a.send(b, Ping(1))
        self.run_for(0.1)
        self.network.frozen.add(B)
        for rid in range(60):
            a.send(b, Pong(rid, 10**12), *(Ping(rid) for _ in range(500)))
            self.run_for(0.002)
        self.assertIn(("b", LinkFault.OVERLOADED), a.downs)

    def test_a_peer_that_asks_for_new_keys_and_reads_nothing_is_cut_off(self):
        """Each request is paid for by a record that says something, and each is answered."""
        b = self.secured("b", B)
        secrets: dict[str, bytes] = {}
        context = self.other_program("a", secrets)
        end = Ends(self, b, TlsEnd(context, server=False))
        end.say(hello_of("a"))
        (connection,) = b.turn.open
        connection.pauseProducing()  # as the transport does when the other side does not read
        writer = Writer(secrets["CLIENT_TRAFFIC_SECRET_0"], 1)
        ping = encode_frame(Ping(1))
        asked = 0
        while not end.over and asked < 400:
            end.deliver(writer.new_key() + writer.record(ping))
            asked += 1
        self.assertLess(asked, 200)
        self.assertTrue(b.logged("it asks for new keys and reads nothing"), b.lines)

    def other_program(self, name: str, secrets: dict[str, bytes]) -> SSL.Context:
        """Return the context of a program that gives away its secrets."""
        context = SSL.Context(SSL.TLS_METHOD)
        leaf, *others = map(load_der_x509_certificate, self.trusted[name].chain)
        context.use_privatekey(self.trusted[name].key)
        context.use_certificate(leaf)
        for other in others:
            context.add_extra_chain_cert(other)
        context.set_alpn_protos([MEMBERS.encode()])
        context.set_tls13_ciphersuites(b"TLS_AES_256_GCM_SHA384")
        context.set_keylog_callback(lambda _end, line: secrets.update([secret_of(line)]))
        return context

    def test_bytes_that_arrive_one_by_one_are_understood(self):
        b = self.secured("b", B)
        end = Ends(self, b, self.dialling("a"), step=1)
        end.say(hello_of("a"))
        (welcome,) = end.frames()
        self.assertIsInstance(welcome, Welcome)
        self.assertEqual(welcome.node.name, "b")


def make_renewed(case: SecuredCase, name: str, now: float) -> Identity:
    """Return the identity of ``name`` with a certificate made at ``now``."""
    return attrs.evolve(case.trusted.authority.identity(Role.PEER, name, now))


def hello_of(name: str) -> bytes:
    return encode_frame(peer_hello(node_ref(name, A), "default", 160))


class Recorder:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def registerProducer(self, _producer: object, _streaming: bool) -> None:
        pass

    def unregisterProducer(self) -> None:
        pass

    def loseConnection(self) -> None:
        self.closed = True

    def abortConnection(self) -> None:
        self.closed = True

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "10.9.9.9", 4000)


class Ends:
    """A program that speaks TLS by itself with a host's door.

    :param end: its end of TLS; None to speak without.
    :param step: how many bytes arrive at once.
    """

    def __init__(
        self, case: SecuredCase, host: Host, end: TlsEnd | None = None, step: int = 65_536
    ):
        self._case, self._step, self._end = case, step, end
        self._protocol = host.door.buildProtocol(IPv4Address("TCP", "10.9.9.9", 4000))
        self._transport = Recorder()
        self.heard = b""
        self.plain = b""
        if self._protocol is None:
            return
        self._protocol.makeConnection(self._transport)
        case.addCleanup(self.hang_up)
        while end is not None and end.pending:
            self._send(end.take())

    def hang_up(self) -> None:
        self._protocol.connectionLost()

    @property
    def over(self) -> bool:
        return self._transport.closed

    def _send(self, data: bytes) -> None:
        for at in range(0, len(data), self._step):
            self._protocol.dataReceived(data[at : at + self._step])
            self._listen()

    def _listen(self) -> None:
        data = bytes(self._transport.written)
        self._transport.written.clear()
        self.heard += data
        self.plain += self._end.receive(data) if self._end is not None else data

    def say(self, data: bytes) -> None:
        self._send(self._end.protect(data) if self._end is not None else data)

    def deliver(self, data: bytes) -> None:
        """Have bytes arrive that the end did not make."""
        self._protocol.dataReceived(data)

    def frames(self) -> list[object]:
        return [read_answer(frame) for frame in FrameDecoder(9999).feed(self.plain)]


def talk(case: SecuredCase, host: Host, said: list[bytes], end: TlsEnd | None = None) -> list:
    """Say something to a host's door, and return the frames of the answer."""
    ends = Ends(case, host, end)
    for data in said:
        ends.say(data)
    return ends.frames()
