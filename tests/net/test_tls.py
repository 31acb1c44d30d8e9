"""A ring whose program has its nodes listen and dial with TLS."""

from __future__ import annotations

import datetime
import random
import socket
from pathlib import Path

from twisted.internet import reactor, ssl
from twisted.internet.defer import gatherResults
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from chordnet import ChordService, P2PNetClient
from chordnet.core.base.errors import ConnectFailed
from chordnet.net.base.addresses import parse_address
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.streams.sockets import tcp_socket

NAME = "ring.example"


def certificate() -> tuple[bytes, bytes]:
    """Return a key and a certificate that signs itself, in PEM."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return secret, made.public_bytes(serialization.Encoding.PEM)


class TlsTests(TestCase):
    timeout = 60

    def setUp(self):
        self.key, self.certificate = certificate()
        pair = ssl.PrivateCertificate.loadPEM(self.key + self.certificate)
        self.server = pair.options()
        self.root = ssl.Certificate.loadPEM(self.certificate)
        self.services: list[ChordService] = []
        self.clients: list[P2PNetClient] = []

    async def tearDown(self):
        for client in self.clients:
            await client.close()
        await gatherResults([service.stopService() for service in self.services])

    def dial(self, reactor, address, timeout):
        host, port = parse_address(address)
        plain = TCP4ClientEndpoint(reactor, host, port, timeout)
        return wrapClientTLS(ssl.optionsForClientTLS(NAME, trustRoot=self.root), plain)

    async def service(self, number: int, *peers: ChordService, listen=None) -> ChordService:
        service = ChordService(
            reactor,
            listen or SSL4ServerEndpoint(reactor, 0, self.server, interface="127.0.0.1"),
            [peer.address for peer in peers],
            name=f"Node {number}",
            rng=random.Random(number),
            limits=NetworkLimits(unacknowledged_s=7.0),
            endpoints=self.dial,
        )
        service.startService()
        self.services.append(service)
        await service.started()
        return service

    async def ring(self) -> list[ChordService]:
        first = await self.service(1)
        ring = [first, await self.service(2, first), await self.service(3, first)]
        await gatherResults([service.joined() for service in ring])
        return ring

    async def test_a_ring_over_tls_confirms_broadcasts_and_answers_clients(self):
        ring = await self.ring()
        while (receipt := await ring[1].broadcast("apple")).recorded < 3:
            await deferLater(reactor, 0.05)
        self.assertFalse(receipt.partial)
        client = P2PNetClient(ring[2].address, reactor, endpoints=self.dial)
        self.clients.append(client)
        receipt = await client.send_message("pear")
        self.assertEqual((receipt.recorded, receipt.partial), (3, False))
        for service in ring:
            self.assertIn("pear", [message.body for message in await service.messages()])
            counters = service.node.counters()
            self.assertEqual(counters.get("turn_errors", 0), 0)
            self.assertEqual(counters.get("dials_failed", 0), 0)

    async def test_the_system_gives_up_a_broken_line_under_tls(self):
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is None:
            raise SkipTest("this system has no such option")
        first, second, _third = await self.ring()
        for service in (first, second):
            seen = [
                tcp_socket(connection.transport).getsockopt(socket.IPPROTO_TCP, option)
                for connection in service.node.turn.open
            ]
            self.assertEqual(set(seen), {7000})

    async def test_an_endpoint_described_in_words_serves_over_tls(self):
        files = {}
        for name, text in (("key", self.key), ("certificate", self.certificate)):
            files[name] = Path(self.mktemp()).absolute()
            files[name].write_bytes(text)
        words = "ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
        listen = serverFromString(reactor, words.format(**files))
        first = await self.service(1, listen=listen)
        second = await self.service(2, first)
        await gatherResults([first.joined(), second.joined()])
        while (await second.broadcast("apple")).recorded < 2:
            await deferLater(reactor, 0.05)

    async def test_a_client_without_tls_is_told_that_nothing_answers_it(self):
        service = await self.service(1)
        client = P2PNetClient(service.address, reactor)
        self.clients.append(client)
        await self.assertFailure(client.status(), ConnectFailed)
        await service.joined()
