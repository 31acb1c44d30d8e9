"""Whole rings in virtual time with a program among them that speaks the wire format and lies."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.hostile import HostilePeer, identity
from chordnet import ChordService
from chordnet.core.base.messages import MessageId, NodeRef
from chordnet.sim.world.heap import held_bytes
from chordnet.testing import WALL, MemoryNetwork, MemoryTransport
from chordnet.wire.rpc import Receipt

X_ADDRESS = "10.6.6.6:7001"
MIB = 1 << 20


class HostileCase(SynchronousTestCase):
    """A ring of services, and what a hostile peer does to it."""

    nodes = 8

    def setUp(self):
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.services: list[ChordService] = []
        self.peers: list[HostilePeer] = []
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self._logged)
        self.addCleanup(globalLogPublisher.removeObserver, self._logged)

    def tearDown(self):
        for peer in self.peers:
            peer.hang_up()
        for service in self.services:
            if service.running:
                service.stopService()
        self.network.run(8)
        self.flushLoggedErrors()

    def _logged(self, event: dict[str, Any]) -> None:
        if str(event.get("log_namespace", "")).startswith("chordnet"):
            self.lines.append(formatEvent(event))

    # ---- the ring ---------------------------------------------------------------------------

    def address(self, number: int) -> str:
        return f"10.0.0.{number}:7001"

    def service(self, number: int, peers: Iterable[int] = (1, 2), **options: Any) -> ChordService:
        service = self.network.service(
            self.address(number), [self.address(peer) for peer in peers if peer != number],
            name=f"Node {number}", **options,
        )  # fmt: skip
        self.services.append(service)
        service.startService()
        return service

    def ring(self, **options: Any) -> list[ChordService]:
        """Return a settled ring."""
        ring = [self.service(number, **options) for number in range(1, self.nodes + 1)]
        self.network.run(4)
        self.assertTrue(all(s.node is not None and s.node.active for s in ring))
        return ring

    def state_dir(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.mktemp_dir()))

    def mktemp_dir(self) -> str:
        path = Path(self.mktemp())
        path.mkdir(parents=True)
        return str(path)

    def result(self, waiting: Deferred[Any], seconds: float = 1.0) -> Any:
        """Let time pass and return what the Deferred came to."""
        outcome: list[Any] = []
        waiting.addBoth(outcome.append)
        for _ in range(max(1, round(seconds * 10))):
            if outcome:
                break
            self.network.run(0.1)
        self.assertEqual(len(outcome), 1, "no result in time")
        return outcome[0]

    def broadcast(self, service: ChordService, body: str, seconds: float = 30.0) -> Receipt:
        receipt = self.result(service.broadcast(body), seconds)
        self.assertIsInstance(receipt, Receipt, receipt)
        return receipt

    def bodies(self, service: ChordService) -> list[str]:
        return [message.body for message in self.result(service.messages())]

    def assert_confirmed(self, service: ChordService, body: str) -> None:
        """A message of ``service`` is confirmed by all, and all have it, once."""
        receipt = self.broadcast(service, body)
        held = [self.bodies(other).count(body) for other in self.services]
        self.assertEqual(
            (receipt.recorded, receipt.partial, held), (self.nodes, False, [1] * self.nodes)
        )

    def ref(self, service: ChordService) -> NodeRef:
        assert service.node is not None
        return service.node.me

    def next_id(self, service: ChordService, ahead: int = 1) -> MessageId:
        """Return the id of a message that ``service`` has not sent yet."""
        me, sent = self.ref(service), 0
        for message in self.result(service.messages()):
            origin, incarnation, sequence = message.id.split(".")
            if origin == me.raw.hex() and int(incarnation) == me.incarnation:
                sent = max(sent, int(sequence))
        return MessageId(me.raw, me.incarnation, sent + ahead)

    # ---- the hostile peer -------------------------------------------------------------------

    def hostile(
        self, service: ChordService, name: str = "X", *, address: str = X_ADDRESS,
        incarnation: int | None = None, expect: bool = True, **options: Any,
    ) -> HostilePeer:  # fmt: skip
        """Return a hostile program that has greeted ``service`` as ``name``."""
        if incarnation is None:
            incarnation = int((WALL + self.clock.seconds()) * 1000)
        peer = HostilePeer(identity(name, address, incarnation), **options)
        factory = Factory.forProtocol(lambda: peer)
        dialler = self.network.dialling_from(address)(None, service.address, 3.0)
        self.result(dialler.connect(factory))
        self.network.run(0.01)
        self.peers.append(peer)
        if expect:
            self.assertTrue(peer.welcomed, peer.welcome)
        return peer

    def counted(self, name: str) -> int:
        """Return the sum of one counter over all nodes."""
        return sum(s.node.counters().get(name, 0) for s in self.services if s.node is not None)

    def held(self, service: ChordService) -> int:
        """Return the bytes that protocol and connections of a node hold."""
        node = service.node
        assert node is not None
        return held_bytes([node.core, node.transport], (Clock, MemoryNetwork, MemoryTransport))

    def well(self, service: ChordService) -> None:
        """Nothing in a node failed."""
        assert service.node is not None
        self.assertEqual(service.node.failure, "")
        errors = {k: v for k, v in service.node.counters().items() if "error" in k and v}
        self.assertEqual(errors, {})
