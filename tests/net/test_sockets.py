"""The same over real sockets on 127.0.0.1: rings, clients, strangers, and nothing left behind."""

from __future__ import annotations

import random
import socket

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from benchmarks.joined import RIGHT, connected
from chordnet import ChordService, P2PNetClient
from chordnet.core.base.errors import ConfigError, ConnectFailed, Refused
from chordnet.core.base.messages import Ping
from chordnet.net.base.limits import NetworkLimits
from chordnet.wire.codec import encode_frame, read_answer
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import Hello, Refuse
from chordnet.wire.rpc import GetMessages
from tests.net.hosts import node_ref

LISTEN = "tcp:0:interface=127.0.0.1"


class Stranger(Protocol):
    """Remembers what it is sent and when the connection ends."""

    def __init__(self):
        self.data = b""
        self.ended: Deferred[None] = Deferred()

    def dataReceived(self, data):
        self.data += data

    def connectionLost(self, reason):
        self.ended.callback(None)


COOKIE = b"whoever has this may operate the nodes"


class SocketCase(TestCase):
    timeout = 60

    def setUp(self):
        self.services: list[ChordService] = []
        self.clients: list[P2PNetClient] = []

    async def tearDown(self):
        for client in self.clients:
            await client.close()
        await gatherResults([service.stopService() for service in self.services])

    async def service(self, name: str, *peers: ChordService, **options) -> ChordService:
        service = ChordService(
            reactor, options.pop("listen", LISTEN), [peer.address for peer in peers], name=name,
            rng=random.Random(name), cookies=[COOKIE], **options,
        )  # fmt: skip
        service.startService()
        await service.started()
        self.services.append(service)
        return service

    def client(self, service: ChordService, **options) -> P2PNetClient:
        options.setdefault("cookie", COOKIE)
        client = P2PNetClient(service.address, reactor, **options)
        self.clients.append(client)
        return client

    async def stranger(self, service: ChordService) -> Stranger:
        host, port = service.address.split(":")
        endpoint = TCP4ClientEndpoint(reactor, host, int(port))
        return await endpoint.connect(Factory.forProtocol(Stranger))


class RingTests(SocketCase):
    async def test_a_ring_over_sockets_broadcasts_looks_up_and_stops(self):
        first = await self.service("Node 1")
        others = [await self.service(f"Node {n}", first) for n in range(2, 6)]
        await gatherResults([service.joined() for service in [first, *others]])
        receipt = await others[1].broadcast("apple")
        self.assertEqual((receipt.recorded, receipt.partial), (5, False))
        self.assertEqual(len(await others[1].settled(members=5)), 5)
        found = [await service.lookup("apple") for service in (first, *others)]
        self.assertEqual(len({result.owner for result in found}), 1)
        await others[2].stopService()
        while (receipt := await others[1].broadcast("pear")).recorded != 4:
            await deferLater(reactor, 0.05)
        for service in (first, others[0], others[3]):
            messages = await service.messages()
            self.assertIn("pear", [message.body for message in messages])

    async def test_the_first_receipt_after_joined_counts_every_node(self):
        for seed in range(5):
            self.assertEqual(await connected(reactor, seed), RIGHT, seed)

    async def test_peers_on_a_broken_line_are_given_up_by_the_system(self):
        """Otherwise it repeats what was sent up to two minutes apart, and no partition heals."""
        limits = NetworkLimits(unacknowledged_s=7.0)
        first = await self.service("Node 1", limits=limits)
        second = await self.service("Node 2", first, limits=limits)
        await gatherResults([first.joined(), second.joined()])
        client = self.client(first)
        await client.status()
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        if option is None:
            raise SkipTest("this system has no such option")
        seen = [
            [c.transport.getHandle().getsockopt(socket.IPPROTO_TCP, option) for c in node.turn.open]
            for node in (first.node, second.node)
        ]
        self.assertIn(7000, seen[0])
        self.assertIn(7000, seen[1])
        self.assertIn(0, seen[0])  # a client may be slow; see client_stall_s

    async def test_a_port_in_use_is_said_in_one_line(self):
        first = await self.service("Node 1")
        port = first.address.split(":")[1]
        second = ChordService(reactor, f"tcp:{port}:interface=127.0.0.1")
        second.startService()
        with self.assertRaises(ConfigError) as raised:
            await second.started()
        self.assertIn(f"cannot listen on 127.0.0.1:{port}", str(raised.exception))
        await second.stopService()

    async def test_what_is_advertised_is_a_port_and_an_address_that_others_can_use(self):
        node = await self.service("Node 1", advertise="chord.example:0")
        self.assertRegex(node.address, r"^chord\.example:[1-9][0-9]*$")
        node = await self.service("Node 2", advertise="198.51.100.7:9999")
        self.assertEqual(node.address, "198.51.100.7:9999")
        node = await self.service("Node 3", listen="tcp:0")
        self.assertRegex(node.address, r"^[1-9][0-9.]*:[1-9][0-9]*$")
        self.assertNotIn("0.0.0.0", node.address)


class ClientTests(SocketCase):
    async def test_a_client_sends_reads_and_follows(self):
        node = await self.service("Node 1")
        await node.joined()
        client = self.client(node)
        heard: list[str] = []
        client.follow(lambda message: heard.append(message.body))
        receipts = await gatherResults([client.send_message(f"m{n}") for n in range(200)])
        self.assertEqual({receipt.recorded for receipt in receipts}, {1})
        self.assertEqual(len(await client.get_messages()), 200)
        self.assertEqual(sorted(heard), sorted(f"m{n}" for n in range(200)))
        self.assertEqual((await client.status()).state, "active")

    async def test_a_call_where_nobody_listens_fails(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            client = P2PNetClient(f"127.0.0.1:{unused.getsockname()[1]}", reactor)
            with self.assertRaises(ConnectFailed):
                await client.status()

    async def test_a_client_of_several_addresses_finds_one_that_answers(self):
        silent = reactor.listenTCP(0, Factory.forProtocol(Stranger), interface="127.0.0.1")
        self.addCleanup(silent.stopListening)
        first = await self.service("Node 1")
        second = await self.service("Node 2", first)
        await gatherResults([first.joined(), second.joined()])
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            addresses = [
                f"127.0.0.1:{unused.getsockname()[1]}", f"127.0.0.1:{silent.getHost().port}",
                first.address, second.address,
            ]  # fmt: skip
            client = P2PNetClient(*addresses, reactor, limits=NetworkLimits(greeting_timeout_s=0.1))
            self.clients.append(client)
            self.assertEqual((await client.send_message("apple")).recorded, 2)
            self.assertEqual(client.address, first.address)
            following = client.follow(lambda _message: None)
            await client.status()
            await first.stopService()
            with self.assertRaises(ConnectFailed):
                await following.finished
            messages = await client.get_messages()
            self.assertEqual([message.body for message in messages], ["apple"])
            self.assertEqual(client.address, second.address)
            await second.stopService()
            with self.assertRaises(ConnectFailed) as raised:
                await client.status()
        for address in addresses:
            self.assertIn(address, str(raised.exception))
        self.assertIn("the greeting was not answered", str(raised.exception))

    async def test_a_client_of_another_network_is_refused(self):
        node = await self.service("Node 1")
        with self.assertRaises(Refused):
            await self.client(node, network="other").status()

    async def test_a_call_to_what_is_no_node_fails(self):
        port = reactor.listenTCP(0, Factory.forProtocol(Stranger), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        client = P2PNetClient(
            f"127.0.0.1:{port.getHost().port}", reactor,
            limits=NetworkLimits(greeting_timeout_s=0.1),
        )  # fmt: skip
        with self.assertRaises(ConnectFailed) as raised:
            await client.status()
        self.assertIn("the greeting was not answered", str(raised.exception))
        await client.close()


class StrangerTests(SocketCase):
    """A node among strangers goes on serving."""

    async def assert_serving(self, node: ChordService) -> None:
        client = self.client(node)
        self.assertEqual((await client.send_message("still-here")).recorded, 1)

    async def test_random_bytes_oversized_frames_and_wrong_versions_do_no_harm(self):
        node = await self.service("Node 1")
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        me = node_ref("stranger", "127.0.0.1:1")
        attacks = [rng.randbytes(5000) for _ in range(20)]
        attacks += [b"\x7f\xff\xff\xff" + bytes(70_000), b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n"]
        attacks += [encode_frame(Hello("chordnet", 99, "default", 160, "peer", me))]
        attacks += [encode_frame(Hello("chordnet", 2, "other", 160, "peer", me))]
        attacks += [encode_frame(Ping(1)) * 1000]
        for attack in attacks:
            stranger = await self.stranger(node)
            stranger.transport.write(attack)
            await stranger.ended
            frames = FrameDecoder(9999).feed(stranger.data)
            self.assertTrue(
                all(isinstance(read_answer(frame), Refuse) for frame in frames), f"seed {seed}"
            )
        counters = (await node.status()).counters
        self.assertEqual(counters["refused_version"], 1)
        self.assertEqual(counters["refused_network"], 1)
        self.assertGreaterEqual(counters["refused_greeting"], 22)
        await self.assert_serving(node)

    async def test_oversized_and_malformed_frames_after_a_good_greeting_do_no_harm(self):
        node = await self.service("Node 1")
        hello = Hello("chordnet", 2, "default", 160, "peer", node_ref("x", "127.0.0.1:1"))
        client_hello = Hello("chordnet", 2, "", 0, "client")
        for greeting in (hello, client_hello):
            for junk in (b"\x10\0\0\0", b"\0\0\0\x01\xc1", encode_frame(hello)):
                stranger = await self.stranger(node)
                stranger.transport.write(encode_frame(greeting) + junk)
                await stranger.ended
        counters = (await node.status()).counters
        self.assertEqual(counters["peer_violations"], 3)
        self.assertEqual(counters["client_violations"], 3)
        await self.assert_serving(node)

    async def test_silent_and_half_open_connections_are_closed(self):
        limits = NetworkLimits(greeting_timeout_s=0.2, max_ungreeted=5)
        node = await self.service("Node 1", limits=limits)
        silent = [await self.stranger(node) for _ in range(20)]
        silent[0].transport.write(b"\0\0\0")
        silent[1].transport.loseWriteConnection()
        await gatherResults([stranger.ended for stranger in silent])
        counters = (await node.status()).counters
        self.assertGreater(counters["refused_silent"] + counters["turned_away"], 15)
        await self.assert_serving(node)

    async def test_a_client_that_never_reads_is_cut_off_and_costs_little(self):
        limits = NetworkLimits(client_stall_s=0.3, close_timeout_s=0.2)
        node = await self.service("Node 1", limits=limits)
        await node.joined()
        for n in range(40):
            await node.broadcast(f"{n}" + "x" * 65000)
        stranger = await self.stranger(node)
        stranger.transport.pauseProducing()
        stranger.transport.write(encode_frame(Hello("chordnet", 2, "", 0, "client")))
        stranger.transport.write(b"".join(encode_frame(GetMessages(n)) for n in range(500)))
        while (await node.status()).counters.get("clients_overloaded", 0) < 1:
            await deferLater(reactor, 0.05)
        stranger.transport.resumeProducing()
        await stranger.ended
        await self.assert_serving(node)
