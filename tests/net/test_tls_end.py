"""Both ends of TLS in memory: handshakes, records, what may not be sent, and what is said of it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.x509 import load_der_x509_certificate
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from chordnet.net.tls.credentials import ENROLMENT, MEMBERS, Credentials, enrolling_end
from chordnet.net.tls.end import EMPTY_RECORDS, HANDSHAKE_BYTES, PLAIN_BYTES, TlsEnd
from tests.unit.trust_support import NOW, TrustedNetwork, make_network


def trusted(network: TrustedNetwork, name: str, now: float = NOW) -> Credentials:
    return Credentials(network[name], lambda: now)


def converse(a: TlsEnd, b: TlsEnd, cut: Callable[[bytes], list[bytes]] | None = None) -> None:
    """Carry what TLS itself has to say between two ends, until neither has anything."""
    cut = cut or (lambda data: [data])
    while a.pending or b.pending:
        for source, target in ((a, b), (b, a)):
            for piece in cut(source.take()):
                target.receive(piece)


def by_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


class EndCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = make_network(["one", "two"])
        self.one, self.two = (trusted(self.network, name) for name in ("one", "two"))

    def pair(self) -> tuple[TlsEnd, TlsEnd]:
        """Return the ends of a connection that the first one has dialled, shaken hands."""
        client, server = self.one.dial(), self.two.accept()
        converse(client, server)
        return client, server

    def context(self, **_changes: object) -> SSL.Context:
        """Return a context of another program, with the certificate of node one."""
        context = SSL.Context(SSL.TLS_METHOD)
        leaf, *others = map(load_der_x509_certificate, self.network["one"].chain)
        context.use_privatekey(self.network["one"].key)
        context.use_certificate(leaf)
        for other in others:
            context.add_extra_chain_cert(other)
        return context


class HandshakeTests(EndCase):
    def test_both_ends_learn_the_certificates_of_the_other_and_the_protocol(self) -> None:
        client, server = self.pair()
        self.assertTrue(client.established and server.established)
        self.assertEqual((client.fault, server.fault), ("", ""))
        self.assertEqual(client.chain(), self.network["two"].chain)
        self.assertEqual(server.chain(), self.network["one"].chain)
        self.assertEqual((client.application, server.application), (MEMBERS, MEMBERS))

    def test_an_issuer_of_a_certificate_is_shown_with_it(self) -> None:
        network = make_network(["one", "two"], issuers=1)
        issued = network["two"]
        credentials = Credentials(issued, lambda: NOW)
        client, server = trusted(network, "one").dial(), credentials.accept()
        converse(client, server)
        self.assertEqual(client.chain(), issued.chain)

    def test_a_handshake_may_arrive_byte_by_byte_together_with_the_first_words(self) -> None:
        client, server = self.one.dial(), self.two.accept()
        for piece in by_bytes(client.take()):
            self.assertEqual(server.receive(piece), b"")
        for piece in by_bytes(server.take()):
            client.receive(piece)
        self.assertTrue(client.established)
        heard = b"".join(map(server.receive, by_bytes(client.protect(b"hello"))))
        self.assertTrue(server.established)
        self.assertEqual(heard, b"hello")
        answer = b"".join(map(client.receive, by_bytes(server.protect(b"welcome"))))
        self.assertEqual(answer, b"welcome")

    def test_the_first_words_in_the_same_piece_as_the_end_of_the_handshake_are_heard(self) -> None:
        client, server = self.one.dial(), self.two.accept()
        server.receive(client.take())
        client.receive(server.take())
        self.assertEqual(server.receive(client.protect(b"hello")), b"hello")

    def test_somebody_without_an_identity_can_enrol_and_shows_no_certificate(self) -> None:
        client, server = enrolling_end(), self.two.accept()
        converse(client, server)
        self.assertTrue(server.established)
        self.assertEqual(server.chain(), ())
        self.assertEqual(server.application, ENROLMENT)
        self.assertEqual(client.chain(), self.network["two"].chain)

    def test_an_identity_can_be_shown_to_get_a_new_one(self) -> None:
        client, server = self.one.enrol(), self.two.accept()
        converse(client, server)
        self.assertEqual(server.chain(), self.network["one"].chain)
        self.assertEqual(server.application, ENROLMENT)

    def test_both_ends_and_no_other_connection_export_the_same_secret(self) -> None:
        client, server = self.pair()
        secret = client.export(b"EXPORTER-test", b"context", 32)
        self.assertEqual(server.export(b"EXPORTER-test", b"context", 32), secret)
        self.assertNotEqual(server.export(b"EXPORTER-test", b"another", 32), secret)
        self.assertNotEqual(self.pair()[0].export(b"EXPORTER-test", b"context", 32), secret)

    def test_no_session_is_resumed(self) -> None:
        context = self.context()
        context.set_alpn_protos([MEMBERS.encode()])
        server = self.two.accept()
        client = SSL.Connection(context, None)
        client.set_connect_state()
        shake(client, server)
        session = client.get_session()
        assert session is not None
        again = SSL.Connection(context, None)
        again.set_session(session)
        again.set_connect_state()
        server = self.two.accept()
        sizes = shake(again, server)
        self.assertGreater(max(sizes), 1500, "the server has sent its certificate once more")
        self.assertTrue(server.established)

    def test_a_program_that_speaks_no_tls_1_3_is_refused_in_words(self) -> None:
        context = self.context()
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        client = SSL.Connection(context, None)
        client.set_connect_state()
        server = self.two.accept()
        error = self.assertRaises(SSL.Error, shake, client, server)
        self.assertIn("protocol version", str(error))
        self.assertEqual(
            server.fault,
            "the TLS handshake failed: TLS 1.3 is spoken here, and the other side offers none",
        )

    def test_a_server_that_speaks_no_tls_1_3_is_refused_in_words(self) -> None:
        context = self.context()
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        server = SSL.Connection(context, None)
        server.set_accept_state()
        client = self.one.dial()
        self.assertRaises(SSL.Error, shake, server, client)
        self.assertEqual(
            client.fault, "the TLS handshake failed: the other side does not speak TLS 1.3"
        )

    def test_with_a_program_of_another_protocol_none_is_agreed_on(self) -> None:
        context = self.context()
        context.set_alpn_protos([b"h2"])
        client, server = TlsEnd(context, server=False), self.two.accept()
        converse(client, server)
        self.assertEqual((client.application, server.application), ("", ""))

    def test_a_certificate_without_its_key_is_of_no_use(self) -> None:
        """A thief of the certificate alone cannot finish a handshake."""
        thief = SSL.Context(SSL.TLS_METHOD)
        thief.set_alpn_protos([MEMBERS.encode()])
        leaf = load_der_x509_certificate(self.network["one"].chain[0])
        thief.use_certificate(leaf)
        self.assertRaises(SSL.Error, thief.use_privatekey, self.network["two"].key)

    def test_garbage_after_the_first_byte_is_refused_in_words(self) -> None:
        server = self.two.accept()
        self.assertEqual(server.receive(b"\x16\x03\x01\x00\x10" + b"\xff" * 16), b"")
        self.assertRegex(server.fault, "the TLS handshake failed: [a-z ]+")
        self.assertTrue(server.take())
        self.assertEqual(server.receive(b"more"), b"")
        self.assertEqual(server.protect(b"an answer"), b"")

    def test_random_garbage_never_raises(self) -> None:
        seed = random.randrange(1 << 30)
        rng = random.Random(seed)
        for _ in range(200):
            server = self.two.accept()
            for _ in range(rng.randrange(1, 5)):
                server.receive(b"\x16\x03\x01" + rng.randbytes(rng.randrange(1, 300)))
                server.take()
            self.assertFalse(server.established, f"seed {seed}")

    def test_a_handshake_that_is_too_long_is_broken_off(self) -> None:
        server = self.two.accept()
        hello = b"\x01\x00\xff\xff" + bytes(8000)  # announces a ClientHello of 64 KiB
        record = b"\x16\x03\x01" + len(hello).to_bytes(2) + hello
        came = 0
        while not server.fault:
            server.receive(record)
            came += len(record)
        self.assertLessEqual(came, HANDSHAKE_BYTES + len(record))


class RecordTests(EndCase):
    def test_what_is_said_is_heard_in_pieces_of_any_size(self) -> None:
        seed = random.randrange(1 << 30)
        rng = random.Random(seed)
        client, server = self.pair()
        said, heard = bytearray(), bytearray()
        for _ in range(60):
            text = rng.randbytes(rng.choice((1, 20, PLAIN_BYTES, PLAIN_BYTES + 1, 100_000)))
            said += text
            data = client.protect(text)
            while data:
                step = rng.choice((1, 3, 22, 1460, 65_536))
                heard += server.receive(data[:step])
                data = data[step:]
        self.assertEqual(heard, said, f"seed {seed}")
        self.assertEqual(server.fault, "")

    def test_a_short_text_grows_by_22_bytes(self) -> None:
        client, _server = self.pair()
        client.take()
        self.assertEqual(len(client.protect(b"x" * 100)), 122)

    def test_a_byte_that_was_changed_on_the_way_ends_the_connection(self) -> None:
        client, server = self.pair()
        data = bytearray(client.protect(b"apple") + client.protect(b"pear"))
        data[-1] ^= 1
        self.assertEqual(server.receive(bytes(data)), b"apple")
        self.assertEqual(server.fault, "TLS failed: what came was changed on its way")
        client.receive(server.take())
        self.assertRegex(client.fault, "TLS failed: .*bad record mac")

    def test_a_record_that_is_too_long_is_refused_before_it_has_come(self) -> None:
        client, server = self.pair()
        client.take()
        server.receive(b"\x17\x03\x03\xff\xff")
        self.assertRegex(server.fault, "TLS failed: .+")

    def test_an_end_that_says_goodbye_sends_nothing_more(self) -> None:
        client, server = self.pair()
        data = client.protect(b"bye") + client.finish()
        self.assertEqual(server.receive(data), b"bye")
        self.assertTrue(server.ended)
        self.assertEqual(server.fault, "")
        self.assertEqual(server.receive(b"\x17\x03\x03\x00\x10" + bytes(16)), b"")
        self.assertTrue(server.finish())

    def test_too_many_requests_for_new_keys_end_the_connection(self) -> None:
        server, writer = self.written_to()
        asked = 0
        while not server.fault and asked < 10 * EMPTY_RECORDS:
            server.receive(writer.new_key())
            asked += 1
        self.assertEqual(server.fault, "too many TLS records came that carry nothing")
        self.assertEqual(asked, EMPTY_RECORDS + 1)

    def test_records_that_say_something_pay_for_as_many_requests_for_new_keys(self) -> None:
        server, writer = self.written_to()
        for _ in range(5 * EMPTY_RECORDS):
            server.receive(writer.new_key())
            self.assertEqual(server.receive(writer.record(b"x")), b"x")
        self.assertEqual(server.fault, "")

    def test_a_request_for_new_keys_is_answered_in_a_few_bytes(self) -> None:
        server, writer = self.written_to()
        server.take()
        for _ in range(3):
            server.receive(writer.new_key())
            self.assertTrue(server.pending)
            self.assertLessEqual(len(server.take()), 40)

    def test_empty_records_of_content_end_the_connection_as_well(self) -> None:
        server, writer = self.written_to()
        for _ in range(2 * EMPTY_RECORDS):
            server.receive(writer.record(b""))
        self.assertTrue(server.fault)

    def written_to(self) -> tuple[TlsEnd, Writer]:
        """Return an accepting end, and what writes any records to it."""
        secrets: dict[str, bytes] = {}
        context = self.context()
        context.set_alpn_protos([MEMBERS.encode()])
        context.set_keylog_callback(lambda _end, line: secrets.update([secret_of(line)]))
        client, server = TlsEnd(context, server=False), self.two.accept()
        converse(client, server)
        self.assertTrue(server.established)
        return server, Writer(secrets["CLIENT_TRAFFIC_SECRET_0"])


class Writer:
    """Writes any records as the other end, from its secret (RFC 8446, sections 5.2 and 7).

    :param number: how many records it has written so far.
    """

    def __init__(self, secret: bytes, number: int = 0) -> None:
        self._begin(secret)
        self._number = number

    def _begin(self, secret: bytes) -> None:
        self._secret, self._number = secret, 0
        self._key = AESGCM(self._derived(b"key", 32))
        self._nonce = int.from_bytes(self._derived(b"iv", 12))

    def _derived(self, label: bytes, size: int) -> bytes:
        full = b"tls13 " + label
        info = size.to_bytes(2) + bytes([len(full)]) + full + b"\0"
        return HKDFExpand(SHA384(), size, info).derive(self._secret)

    def record(self, content: bytes, kind: int = 23) -> bytes:
        """Return a record with this content."""
        nonce = (self._nonce ^ self._number).to_bytes(12)
        self._number += 1
        header = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2)
        return header + self._key.encrypt(nonce, content + bytes([kind]), header)

    def new_key(self) -> bytes:
        """Return a record that changes the keys, and asks the other end to change its own."""
        record = self.record(b"\x18\0\0\x01\x01", kind=22)
        self._begin(self._derived(b"traffic upd", 48))
        return record


def secret_of(line: bytes) -> tuple[str, bytes]:
    label, _random, secret = line.decode().split()
    return label, bytes.fromhex(secret)


def shake(other: SSL.Connection, end: TlsEnd) -> list[int]:
    """Shake hands with another program; return the sizes of what this end has sent."""
    sizes = []
    for _round in range(4):
        if end.pending:
            data = end.take()
            sizes.append(len(data))
            if data:
                other.bio_write(data)
        problem = None
        try:
            other.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            problem = error
        with contextlib.suppress(SSL.WantReadError):
            end.receive(other.bio_read(65_536))
        if problem is not None:
            raise problem
    return sizes
