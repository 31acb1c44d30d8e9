"""Whole rings that keep a store, in virtual time, with nodes that stop, die and return."""

from __future__ import annotations

import random
from pathlib import Path

from twisted.logger import formatEvent, globalLogPublisher

from chordnet import ChordService
from chordnet.core.base.errors import (
    Conflict,
    NoStore,
    StoreFailed,
    Unavailable,
    Unconfirmed,
)
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.store.runner import StoreRunner
from chordnet.settings import NodeSettings
from chordnet.storage.statedir import StateDirectory
from chordnet.storage.store.memory import MemoryStore
from tests.net.test_service import ServiceCase

FOUNDERS = ("Node 1", "Node 2", "Node 3")
FEW = NodeSettings(slots=4)


class FailingDisk(MemoryStore):
    """A store on a disk that is full once ``full`` says so."""

    full = False

    def commit(self) -> None:
        if self.full:
            raise StoreFailed("the disk is full")
        super().commit()


class StoreCase(ServiceCase):
    def setUp(self):
        super().setUp()
        self.lines: list[str] = []
        self.levels: list[str] = []
        globalLogPublisher.addObserver(self.note)
        self.addCleanup(globalLogPublisher.removeObserver, self.note)

    def note(self, event):
        text = formatEvent(event)
        if "store" in text:
            self.lines.append(text)
            self.levels.append(event["log_level"].name)

    def founded(self, size: int, **options) -> list[ChordService]:
        """Start a ring whose first three nodes found a store."""
        options = {"store": "memory", "founders": FOUNDERS, "settings": FEW, **options}
        ring = self.ring(size, **options)
        self.until(lambda: all(self.store(s).founding for s in ring))
        return ring

    def until(self, reached, seconds: float = 30.0) -> None:
        for _ in range(round(seconds * 4)):
            if reached():
                return
            self.network.run(0.25)
        self.fail("not reached in time")

    def store(self, service: ChordService) -> StoreRunner:
        node = service.node
        assert node is not None
        assert node.store is not None
        return node.store

    def value(self, service: ChordService, key: str, seconds: float = 6.0) -> bytes | None:
        entry = self.result(service.get(key, timeout_s=5), seconds)
        return None if entry is None else entry.value


class WholeRings(StoreCase):
    def test_keys_are_written_and_read_through_every_node_and_a_client(self):
        ring = self.founded(4)
        self.assertEqual(len({self.store(s).founding for s in ring}), 1)
        for number, service in enumerate(ring):
            written = self.result(service.put("key", b"%d" % number))
            self.assertEqual(written.version, number + 1)
            self.assertEqual(self.value(ring[number - 1], "key"), b"%d" % number)
        self.assertEqual(len({written.slot, self.store(ring[3]).slot_of(b"key")}), 1)
        error = self.result(ring[0].put("key", b"no", if_version=3)).value
        self.assertIsInstance(error, Conflict)
        self.assertEqual(error.present.version, 4)
        self.assertEqual(self.result(ring[1].put("key", b"yes", if_version=4)).version, 5)
        self.assertEqual(self.result(self.client(4).get("key")).value, b"yes")
        self.result(ring[3].delete("key"))
        self.assertIsNone(self.value(ring[0], "key"))

    def test_a_key_of_a_node_that_dies_is_read_again_and_one_that_returns_elsewhere_answers(self):
        disk = MemoryStore(random.Random(2))
        self.service(2, (1,), store="memory", founders=FOUNDERS, settings=FEW, keeper=disk)
        for n in (1, 3):
            self.service(n, (2,), store="memory", founders=FOUNDERS, settings=FEW)
        self.until(lambda: all(s.node.active and self.store(s).founding for s in self.services))
        second, first, _third = self.services
        for key in ("a", "b", "c", "d"):
            self.result(first.put(key, key.encode()))
        self.network.kill(self.address(3))
        for key in ("a", "b", "c", "d"):
            self.assertEqual(self.value(first, key), key.encode())
        self.network.kill(self.address(2))
        self.network.run(3)
        text = self.failure(first.get("a", timeout_s=3), Unavailable, 4)
        self.assertIn("1 of 3 members answers; Node 2, Node 3 missing", text)
        self.result(second.stopService(), 8)
        # The same disk and name, at another address.
        moved = self.network.service(
            "10.0.0.9:7001", [self.address(1)],
            name="Node 2", store="memory", settings=FEW, keeper=disk,
        )  # fmt: skip
        self.services.append(moved)
        moved.startService()
        self.network.run(8)
        self.assertEqual(self.value(first, "a", 10), b"a")
        self.assertEqual(self.value(moved, "b", 10), b"b")


class BeginningTests(StoreCase):
    def test_a_node_that_is_alone_and_holds_keys_founds_its_own_store(self):
        (alone,) = self.ring(1, store="memory")
        self.assertEqual(self.result(alone.put("k", b"v")).acknowledged, ["Node 1"])
        self.assertEqual(self.value(alone, "k"), b"v")

    def test_a_node_without_a_directory_asks_others_and_holds_no_keys_itself(self):
        founder = self.service(1, store="memory")
        others = [self.service(2, (1,)), self.service(3, (1,), store="none")]
        self.until(lambda: all(s.node.active and self.store(s).founding for s in self.services))
        for other in others:
            self.assertEqual(self.result(other.put("k", b"v")).acknowledged, ["Node 1"])
        self.network.run(10)
        self.assertEqual([self.store(s).machine.seats for s in others], [0, 0])
        self.assertGreater(self.store(founder).machine.seats, 0)

    def test_without_founders_there_is_no_store_and_it_is_said_how_one_begins(self):
        ring = self.ring(2)
        text = self.failure(ring[0].get("k"), NoStore)
        self.assertIn("start its founders with --founders a,b,c", text)

    def test_a_store_whose_founder_is_missing_does_not_begin_and_it_is_logged(self):
        ring = self.ring(2, store="memory", founders=FOUNDERS)
        text = self.failure(ring[0].put("k", b"v"), NoStore)
        self.assertEqual(text, "the store has not begun: its founders are Node 1, Node 2, Node 3")
        self.until(lambda: len(self.lines) >= 2, 40)
        line = "Node 1: no store yet: it waits for the founders Node 3"
        self.assertEqual(self.levels[self.lines.index(line)], "warn")
        self.service(3, (1,), store="memory", founders=FOUNDERS)
        self.until(lambda: self.store(ring[0]).founding)
        self.assertEqual(self.result(ring[0].put("k", b"v")).version, 1)


class DiskTests(StoreCase):
    def directory(self, number: int) -> Path:
        return self.root / str(number)

    def setUp(self):
        super().setUp()
        self.root = Path(self.mktemp())
        self.root.mkdir()

    def test_all_keys_are_there_after_a_restart_of_all_nodes_with_their_directories(self):
        def started():
            return [
                self.service(
                    n, () if n == 1 else (1,), state_dir=self.directory(n), founders=FOUNDERS,
                    settings=FEW,
                )
                for n in (1, 2, 3)
            ]  # fmt: skip

        ring = started()
        self.until(lambda: all(s.node.active and self.store(s).founding for s in ring))
        founding = self.store(ring[0]).founding
        for key in ("a", "b", "c", "d"):
            self.result(ring[1].put(key, key.encode()))
        for service in ring:
            self.result(service.stopService(), 3)
        again = started()
        self.until(lambda: all(s.node.active and self.store(s).founding for s in again))
        self.assertEqual(self.store(again[2]).founding, founding)
        for key in ("a", "b", "c", "d"):
            self.assertEqual(self.value(again[2], key), key.encode())

    def test_a_store_that_cannot_be_opened_keeps_the_node_from_starting_in_words(self):
        self.directory(1).mkdir()
        (self.directory(1) / "store.db").mkdir()
        service = self.service(1, state_dir=self.directory(1))
        text = self.failure(service.started(), StoreFailed, 0.1)
        self.assertIn("store.db", text)
        with self.assertRaises(StoreFailed):
            service.check_storage()
        # Nothing is left locked.
        state = StateDirectory(self.directory(1), lambda _text: None, lambda: 0.0)
        state.close()

    def test_a_node_whose_disk_fails_stays_in_its_ring_and_says_why_it_has_no_store(self):
        disk = FailingDisk(random.Random(3))
        ring = [
            self.service(
                n, (1,) if n > 1 else (), store="memory", founders=FOUNDERS, settings=FEW,
                keeper=disk if n == 3 else None,
            )
            for n in (1, 2, 3)
        ]  # fmt: skip
        self.until(lambda: all(s.node.active and self.store(s).founding for s in ring))
        self.result(ring[0].put("a", b"1"))
        disk.full = True
        error = self.result(ring[2].put("a", b"2", timeout_s=5), 6).value
        self.assertIsInstance(error, Unconfirmed)
        self.assertIn("the store of Node 3 has stopped: the disk is full", str(error))
        text = self.failure(ring[2].get("a"), NoStore)
        self.assertEqual(text, "the store of Node 3 has stopped: the disk is full")
        self.assertEqual(self.result(ring[2].broadcast("apple")).recorded, 3)
        self.assertEqual(self.result(self.client(3).status()).state, "active")
        self.assertEqual(ring[2].node.counters()["store_failures"], 1)
        self.assertIn(self.value(ring[0], "a"), (b"1", b"2"))
        self.assertEqual(self.result(ring[1].put("a", b"3", timeout_s=8), 9).others, ["Node 3"])


class SlowMemberTests(StoreCase):
    limits = NetworkLimits(send_buffer_bytes=1_000_000, parts_bytes=3_000_000)

    def overloaded(self, ring: list[ChordService]) -> list[int]:
        return [service.node.counters().get("peers_overloaded", 0) for service in ring]

    def test_a_member_that_reads_slowly_misses_values_and_keeps_its_links(self):
        ring = self.founded(3, limits=self.limits)
        self.network.frozen.add(self.address(3))
        writes = [ring[0].put(f"key {number}", bytes(60_000)) for number in range(60)]
        written = [self.result(each, 0.02) for each in writes]
        self.assertEqual({each.version for each in written}, {1})
        self.assertEqual({tuple(each.others) for each in written}, {("Node 3",)})
        receipt = ring[0].broadcast("hello")
        self.network.thaw(self.address(3))
        self.assertEqual(self.result(receipt).recorded, 3)
        self.assertEqual(self.overloaded(ring), [0, 0, 0])
        self.assertGreater(ring[0].node.counters()["letters_dropped"], 0)

    def test_many_large_values_read_at_a_time_come_without_the_loss_of_a_link(self):
        ring = self.founded(3, limits=self.limits)
        self.result(ring[0].put("key", bytes(60_000)))
        reads = [ring[1].get("key") for _ in range(100)]
        for each in reads:
            self.assertEqual(self.result(each, 0.2).version, 1)
        self.assertEqual(self.overloaded(ring), [0, 0, 0])
