"""Secured rings and their clients over real sockets, and what a user reads when one is refused."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from chordnet import ChordService, P2PNetClient
from chordnet.core.base.errors import ConfigError, ConnectFailed, Refused
from chordnet.core.base.messages import Ping
from chordnet.net.streams.sockets import tcp_socket
from chordnet.trust.base.errors import IdentityError
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from tests.unit.trust_support import DAY, make_network

NAMES = [f"node-{number:02}" for number in range(1, 17)]
KEY_BYTES = 300_000


class SecuredCase(TestCase):
    """Services on this machine; each test has an authority of its own."""

    timeout = 120

    def setUp(self) -> None:
        self.now = time.time()
        self.trusted = make_network(NAMES, self.now - DAY)
        self.services: list[ChordService] = []
        self.clients: list[P2PNetClient] = []
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self._logged)
        self.addCleanup(globalLogPublisher.removeObserver, self._logged)

    def _logged(self, event: dict[str, Any]) -> None:
        if str(event.get("log_namespace", "")).startswith("chordnet"):
            self.lines.append(formatEvent(event))

    async def tearDown(self) -> None:
        for client in self.clients:
            await client.close()
        await gatherResults([service.stopService() for service in self.services])

    async def service(self, *peers: ChordService, **options: Any) -> ChordService:
        service = ChordService(
            reactor,
            "tcp:0:interface=127.0.0.1",
            [peer.address for peer in peers],
            rng=random.Random(len(self.services)),
            **options,
        )
        self.services.append(service)
        service.startService()
        await service.started()
        return service

    async def ring(self, count: int, **options: Any) -> list[ChordService]:
        ring: list[ChordService] = []
        for name in NAMES[:count]:
            ring.append(await self.service(*ring[:1], identity=self.trusted[name], **options))
        await gatherResults([service.joined() for service in ring])
        await ring[0].settled(count)
        return ring

    def client(self, service: ChordService, identity: Identity | None) -> P2PNetClient:
        client = P2PNetClient(service.address, reactor, identity=identity)
        self.clients.append(client)
        return client

    def visitor(self, role: Role = Role.OPERATE) -> Identity:
        return self.trusted.client(role, "laptop", self.now - DAY)

    async def until_logged(self, text: str) -> None:
        while not any(text in line for line in self.lines):
            await deferLater(reactor, 0.02)


class RingTests(SecuredCase):
    async def test_sixteen_nodes_confirm_messages_and_keep_keys(self) -> None:
        ring = await self.ring(16, founders=NAMES[:3], store="memory")
        self.assertEqual([service.node.me.name for service in ring], NAMES)
        client = self.client(ring[5], self.visitor())
        receipts = await gatherResults([client.send_message(f"word-{n}") for n in range(50)])
        self.assertEqual({receipt.recorded for receipt in receipts}, {16})
        self.assertEqual({receipt.partial for receipt in receipts}, {False})
        value = random.Random(1).randbytes(KEY_BYTES)
        while not (await client.store_state()).formation:
            await deferLater(reactor, 0.05)
        written = await client.put("key", value)
        self.assertGreaterEqual(len(written.acknowledged), 2)
        entry = await self.client(ring[11], self.visitor(Role.READ)).get("key")
        self.assertEqual(entry.value, value)
        for service in ring:
            counters = service.node.counters()
            for name in ("turn_errors", "dials_failed", "effect_errors", "core_errors"):
                self.assertEqual(counters.get(name, 0), 0, name)
            for connection in service.node.turn.open:
                self.assertTrue(connection.secured)

    async def test_the_system_gives_up_a_broken_line_of_a_secured_link(self) -> None:
        first, _second = await self.ring(2)
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is not None:
            for connection in first.node.turn.open:
                seen = tcp_socket(connection.transport).getsockopt(socket.IPPROTO_TCP, option)
                self.assertEqual(seen, 5000)

    async def test_what_tls_makes_of_a_frame_is_handed_to_the_system_within_the_turn(self) -> None:
        first, _second = await self.ring(2)
        for connection in first.node.turn.open:
            below = connection.transport.transport
            with first.node.turn:
                connection.send(Ping(1))
            self.assertTrue(connection.secured)
            self.assertFalse(below._tempDataBuffer or below.dataBuffer, "it waits for the reactor")

    async def test_a_revoked_node_is_out_of_the_ring(self) -> None:
        ring = await self.ring(4)
        self.trusted.authority.revoke(self.now, name=NAMES[2])
        for service in (ring[0], ring[1], ring[3]):
            credentials = service.credentials
            credentials.replace(credentials.current().with_bundle(self.trusted.bundle))
        for service in (ring[0], ring[1], ring[3]):
            names = {
                connection.subject.name
                for connection in service.node.turn.open
                if connection.subject is not None and not connection.closing
            }
            self.assertNotIn(NAMES[2], names)
        await ring[0].settled(3)
        await self.until_logged(f"the certificate of '{NAMES[2]}' is revoked")


class ServiceTests(SecuredCase):
    async def test_a_service_takes_a_directory_and_the_name_of_its_certificate(self) -> None:
        directory = Path(self.mktemp())
        self.trusted[NAMES[0]].save(directory)
        service = await self.service(identity=str(directory))
        self.assertEqual(service.node.me.name, NAMES[0])

    def test_a_directory_without_an_identity_is_refused_in_words(self) -> None:
        error = self.assertRaises(
            IdentityError, ChordService, reactor, "tcp:0", identity=self.mktemp()
        )
        self.assertIn("holds no identity", str(error))

    def test_a_client_s_identity_makes_no_node_and_a_node_s_no_client(self) -> None:
        error = self.assertRaises(
            IdentityError, ChordService, reactor, "tcp:0", identity=self.visitor()
        )
        self.assertEqual(
            str(error), "the certificate of 'laptop' is for the role 'operate', and a node's is"
            " needed",
        )  # fmt: skip
        error = self.assertRaises(
            IdentityError, P2PNetClient, "127.0.0.1:1", reactor, identity=self.trusted[NAMES[0]]
        )
        self.assertEqual(
            str(error), "the certificate of 'node-01' is for the role 'peer', and a client's is"
            " needed",
        )  # fmt: skip

    def test_another_name_than_that_of_the_certificate_is_refused(self) -> None:
        error = self.assertRaises(
            ConfigError, ChordService, reactor, "tcp:0", identity=self.trusted[NAMES[0]], name="x"
        )
        self.assertIn("the identity is for a node called 'node-01', not 'x'", str(error))


class RefusalTests(SecuredCase):
    """What the user of a client, and the operator of the node, read."""

    async def refusal(self, service: ChordService, identity: Identity | None, kind=Refused) -> str:
        error = await self.assertFailure(self.client(service, identity).status(), kind)
        return str(error).removeprefix(service.address).strip()

    async def test_a_client_without_an_identity(self) -> None:
        service = await self.service(identity=self.trusted[NAMES[0]])
        said = await self.refusal(service, None)
        self.assertTrue(
            said.startswith(
                "refused this client: this network is secured, and only its members are let in; use"
                " an identity of it (`p2pnet invite` makes a token) (no identity for it is kept in "
            )
        )
        await self.until_logged("refused a client at 127.0.0.1:")

    async def test_a_client_with_an_identity_at_a_node_without_one(self) -> None:
        service = await self.service(name="plain")
        said = await self.refusal(service, self.visitor())
        self.assertEqual(
            said,
            "refused this client: this node is not secured and does not speak TLS; connect without"
            " an identity, or give the node one",
        )
        await self.until_logged("it speaks TLS, and this node is not secured")

    async def test_a_client_of_another_network(self) -> None:
        other = make_network(NAMES[:1], self.now - DAY, seed=7)
        service = await self.service(identity=other[NAMES[0]])
        said = await self.refusal(service, self.visitor(), ConnectFailed)
        self.assertRegex(
            said, "^is not trusted: the certificate of 'node-01' is of another network"
        )
        await self.until_logged("does not accept this node: the certificate of 'node-01' is of")

    async def test_a_client_whose_certificate_has_expired(self) -> None:
        service = await self.service(identity=self.trusted[NAMES[0]])
        late = self.trusted.client(Role.READ, "late", self.now - 40 * DAY)
        said = await self.refusal(service, late)
        self.assertRegex(said, "^refused this client: the certificate of 'late' expired on ")
        await self.until_logged("refused a client at")
        await self.until_logged("the certificate of 'late' expired on ")

    async def test_nothing_listens(self) -> None:
        service = await self.service(identity=self.trusted[NAMES[0]])
        address = service.address
        await service.stopService()
        client = P2PNetClient(address, reactor, identity=self.visitor())
        self.clients.append(client)
        error = await self.assertFailure(client.status(), ConnectFailed)
        self.assertIn("does a node listen there?", str(error))

    async def test_a_node_that_is_refused_says_why_it_is_in_no_ring(self) -> None:
        first = await self.service(identity=self.trusted[NAMES[0]])
        stranger = await self.service(first, name="stranger")
        await self.until_logged("this network is secured, and only its members are let in")
        while "secured" not in (await stranger.status()).reason:
            await deferLater(reactor, 0.05)
        self.assertIn(
            "join with twistd -n chordnode --join TOKEN", (await stranger.status()).reason
        )
