"""Who is in the ring, who owns a key, and services and clients as context managers."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chordnet import ChordService
from chordnet.core.base.errors import ConfigError, LocalProtocolError, LookupFailed, NotInRing
from chordnet.testing import FailingServer
from tests.net.test_service import ServiceCase


class ManagedTests(ServiceCase):
    """``async with``."""

    def guest(self, **options) -> ChordService:
        return self.network.service("10.0.1.9:7001", name="guest", **options)

    def test_a_service_is_a_member_inside_and_has_left_afterwards(self):
        (first,) = self.ring(1)

        async def use() -> list[str]:
            node = self.guest(peers=[first.address])
            async with node as entered:
                self.assertIs(entered, node)
                self.assertTrue(node.node.joined)
                return [each.name for each in await first.members()]

        names = self.result(Deferred.fromCoroutine(use()), 10)
        self.assertEqual(sorted(names), ["Node 1", "guest"])
        self.assertEqual([each.name for each in self.result(first.members())], ["Node 1"])

    def test_a_service_that_cannot_start_raises_and_holds_nothing(self):
        node = self.guest()
        node._endpoint = FailingServer(OSError("no"))

        async def use() -> None:
            async with node:
                raise AssertionError

        self.failure(Deferred.fromCoroutine(use()), ConfigError)
        self.assertFalse(node.running)

    def test_what_is_raised_inside_passes_and_the_service_is_stopped(self):
        node = self.guest()

        async def use() -> None:
            async with node:
                raise ZeroDivisionError

        self.failure(Deferred.fromCoroutine(use()), ZeroDivisionError, 10)
        self.assertIsNone(node.node)

    def test_a_client_is_closed_afterwards(self):
        self.ring(1)
        client = self.client(1)

        async def use() -> str:
            async with client as entered:
                self.assertIs(entered, client)
                return (await entered.status()).node.name

        self.assertEqual(self.result(Deferred.fromCoroutine(use()), 10), "Node 1")
        self.assertEqual([pair for pair in self.network.connections if "10.9" in str(pair)], [])
        self.assertIsNone(client._channel._session)


class MemberTests(ServiceCase):
    def names(self, of) -> list[str]:
        return [node.name for node in self.result(of.members())]

    def test_a_node_and_its_clients_name_the_members_in_the_order_of_the_ring(self):
        ring = self.ring(5)
        by_id = sorted(ring, key=lambda each: each.node.me.id)
        at = by_id.index(ring[2])
        expected = [service.node.me.name for service in [*by_id[at:], *by_id[:at]]]
        self.assertEqual(self.names(ring[2]), expected)
        self.assertEqual(self.names(self.client(3)), expected)

    def test_each_key_has_one_owner_and_it_is_the_one_that_a_lookup_finds(self):
        ring = self.ring(5)
        for number in range(20):
            key = f"key {number}"
            found = self.result(ring[0].lookup(key)).owner.name
            self.assertEqual([s.node.me.name for s in ring if s.owns(key)], [found])

    def test_a_node_alone_owns_every_key(self):
        (only,) = self.ring(1)
        self.assertTrue(all(only.owns(f"key {number}") for number in range(20)))

    def test_a_node_in_no_ring_names_nobody_and_owns_nothing(self):
        node = self.network.service("10.0.1.9:7001", ["10.0.1.8:7001"], name="guest")
        self.assertRaises(NotInRing, node.owns, "key")
        self.failure(node.members(), NotInRing)
        self.services.append(node)
        node.startService()
        self.network.run(0.1)
        self.assertFalse(node.owns("key"))
        self.failure(node.members(), NotInRing)

    def test_a_key_that_is_no_text_is_refused(self):
        (only,) = self.ring(1)
        self.assertRaises(LocalProtocolError, only.owns, b"key")

    def test_a_walk_that_does_not_come_round_is_a_failure_in_words(self):
        ring = self.ring(3)
        self.network.frozen.add(self.address(2))
        self.network.unreachable.add(self.address(2))
        text = self.failure(ring[0].members(), LookupFailed, 8)
        self.assertIn("the walk round the ring did not come round", text)
