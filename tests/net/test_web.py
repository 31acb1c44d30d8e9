"""The pages that a node serves by HTTP, over real sockets on 127.0.0.1."""

from __future__ import annotations

import json
from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater

from chordnet import ChordService, ConfigError, NodeSettings
from chordnet.web.site import MOST_CONNECTIONS
from tests.net.test_sockets import SocketCase


class Asker(Protocol):
    """Sends a request, and collects what comes until the connection ends."""

    def __init__(self, request: bytes) -> None:
        self.request, self.got, self.ended = request, b"", Deferred[bytes]()

    def connectionMade(self) -> None:
        self.transport.write(self.request)

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, _reason=None) -> None:
        self.ended.callback(self.got)


class WebTests(SocketCase):
    async def serving(self, name: str, http: str = "0", *peers, **options) -> ChordService:
        return await self.service(name, *peers, settings=NodeSettings(http=http), **options)

    def port(self, node: ChordService) -> int:
        web = node._life._close_beside.__self__
        return web._listening.getHost().port

    async def ask(self, node: ChordService, request: bytes) -> bytes:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port(node))
        return await (await connectProtocol(endpoint, Asker(request))).ended

    async def page(self, node: ChordService, path: str, host: str = "127.0.0.1:1") -> tuple:
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        answer = await self.ask(node, request.encode())
        head, _empty, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode(), head.decode()

    async def test_a_member_is_live_and_ready_and_says_that_it_is_alone(self) -> None:
        node = await self.serving("one")
        await node.joined()
        self.assertEqual((await self.page(node, "/live"))[:2], (200, "live\n"))
        status, text, head = await self.page(node, "/ready")
        self.assertEqual(status, 200, text)
        self.assertEqual(text.splitlines()[:2], ["ready", "note: no other node is in its ring"])
        self.assertIn("no-store", head)

    async def test_a_node_that_seeks_its_peers_is_live_and_not_ready(self) -> None:
        node = await self.serving("one", "0", SimpleNamespace(address="127.0.0.1:1"))
        self.assertEqual((await self.page(node, "/live"))[0], 200)
        status, text, _head = await self.page(node, "/ready")
        self.assertEqual(status, 503)
        self.assertRegex(text, "^not ready: the node is (seeking|unjoined|joining)")

    async def test_prometheus_reads_the_metrics_and_its_labels_are_few(self) -> None:
        node = await self.serving("one", store="memory")
        await node.joined()
        await node.broadcast("hello")
        status, text, head = await self.page(node, "/metrics")
        self.assertEqual(status, 200)
        self.assertIn("text/plain; version=", head)
        families = {family.name: family for family in text_string_to_metric_families(text)}
        samples = {
            (sample.name, sample.labels.get("kind")): sample
            for family in families.values()
            for sample in family.samples
        }
        self.assertEqual(samples["chordnet_recorded_total", None].value, 1)
        self.assertEqual(samples["chordnet_ready", None].value, 1)
        self.assertEqual(samples["chordnet_state", "active"].value, 1)
        self.assertEqual(samples["chordnet_state", "seeking"].value, 0)
        labels = {name for sample in samples.values() for name in sample.labels}
        self.assertEqual(labels, {"network", "node", "kind", "le"})
        own = {sample.labels.get("node") for sample in samples.values() if sample.labels}
        self.assertEqual(own, {"one"})

    async def test_operations_on_keys_are_a_histogram_in_seconds(self) -> None:
        node = await self.serving("one", store="memory")
        await node.joined()
        while True:
            state = await node.store_state()
            if state.slots and all(slot.serves for slot in state.slots):
                break
            await deferLater(reactor, 0.05, lambda: None)
        await node.put("k", b"v")
        _status, text, _head = await self.page(node, "/metrics")
        name = "chordnet_key_duration_seconds"
        (family,) = (f for f in text_string_to_metric_families(text) if f.name == name)
        puts = [s for s in family.samples if s.labels["kind"] == "put"]
        buckets = [s.value for s in puts if s.name == f"{name}_bucket"]
        self.assertEqual(buckets, sorted(buckets))
        self.assertEqual(buckets[-1], 1)
        (count,) = (s.value for s in puts if s.name == f"{name}_count")
        (total,) = (s.value for s in puts if s.name == f"{name}_sum")
        self.assertEqual(count, 1)
        self.assertGreater(total, 0)

    async def test_the_status_is_a_document_for_this_machine_alone(self) -> None:
        node = await self.serving("one")
        await node.joined()
        status, text, _head = await self.page(node, "/status", "localhost:9101")
        document = json.loads(text)
        self.assertEqual(status, 200)
        self.assertEqual(document["node"]["node"]["name"], "one")
        self.assertEqual((document["ready"], document["reasons"]), (True, []))
        for host in ("evil.example", "evil.example:9101", "127.0.0.1.evil.example"):
            self.assertEqual((await self.page(node, "/status", host))[0], 403, host)
        for host in ("127.0.0.1:5", "[::1]:5", "localhost"):
            self.assertEqual((await self.page(node, "/status", host))[0], 200, host)

    async def test_beyond_this_machine_the_status_is_not_served(self) -> None:
        node = await self.serving("one", "0.0.0.0:0")
        self.assertEqual((await self.page(node, "/status"))[0], 403)
        self.assertEqual((await self.page(node, "/live"))[0], 200)
        self.assertEqual((await self.page(node, "/"))[1], "/live\n/ready\n/metrics\n")

    async def test_other_pages_and_methods_are_refused_in_a_line(self) -> None:
        node = await self.serving("one")
        for path in ("/nothing", "/live/below", "/metrics/"):
            status, text, _head = await self.page(node, path)
            self.assertEqual((status, text), (404, "there is no such page; / lists them\n"), path)
        answer = await self.ask(node, b"DELETE /live HTTP/1.0\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.0 405"), answer[:60])
        self.assertNotIn(b"Traceback", answer)

    async def test_a_request_with_a_body_is_cut_and_nothing_of_it_is_kept(self) -> None:
        node = await self.serving("one")
        for length in (b"Content-Length: 1000000000", b"Transfer-Encoding: chunked"):
            request = b"POST /live HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n\r\nxxx"
            self.assertNotIn(b"200", await self.ask(node, request))

    async def test_connections_beyond_the_limit_are_closed_at_once(self) -> None:
        node = await self.serving("one")
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port(node))
        waiting = [
            await connectProtocol(endpoint, Asker(b"")) for _number in range(MOST_CONNECTIONS)
        ]
        self.assertEqual(await self.ask(node, b"GET /live HTTP/1.0\r\n\r\n"), b"")
        await node.stopService()
        for each in waiting:
            self.assertEqual(await each.ended, b"", "a stop cuts them")

    async def test_a_port_in_use_ends_the_start_in_one_line(self) -> None:
        first = await self.serving("one")
        taken = f"127.0.0.1:{self.port(first)}"
        with self.assertRaisesRegex(ConfigError, f"cannot listen on {taken}.*another program"):
            await self.serving("two", taken)

    def test_an_address_that_is_none_is_refused_in_one_line(self) -> None:
        for wrong in ("", "x", "70000", "-1", "example.org:80", "1.2.3.4", "1.2.3.4:x", ":80"):
            with self.assertRaisesRegex(ConfigError, "^http must be a port, or an IP address"):
                NodeSettings(http=wrong)
        for right in ("0", "9101", "127.0.0.1:9101", "localhost:9101", "[::1]:9101", "0.0.0.0:0"):
            self.assertEqual(NodeSettings(http=right).http, right)
