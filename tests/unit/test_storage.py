"""The message log in memory, and the state directory with whatever can happen to its files."""

from __future__ import annotations

import gc
import json
import os
import random
import sqlite3
import stat

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Record
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.messages import Hop, MessageId, NodeRef
from chordnet.storage.base.fairness import fair_level
from chordnet.storage.log.memory import MemoryLog, MemoryState
from chordnet.storage.log.sqlite import SqliteLog
from chordnet.storage.statedir import StateDirectory
from chordnet.storage.store.disk import StoreDisk
from tests.unit.storage_support import StateDirectoryCase

ORIGIN = bytes(20)


def record(sequence: int, body: bytes = b"apple") -> Record:
    return Record(MessageId(ORIGIN, 1, sequence), 5.0, body, [Hop(ORIGIN, "Node 1", 0)])


def bodies(messages) -> list[bytes]:
    return [kept.record.body for kept in messages]


class MemoryLogTests(SynchronousTestCase):
    def filled(self, count: int, **limits: int) -> MemoryLog:
        log = MemoryLog(**limits)
        for number in range(count):
            log.append(record(number, b"%d" % number), float(number))
        return log

    def test_what_was_appended_comes_back_in_order(self):
        log = self.filled(5)
        self.assertEqual(len(log), 5)
        self.assertEqual(bodies(log.newest(2)), [b"3", b"4"])
        self.assertEqual(bodies(log.newest(99)), [b"0", b"1", b"2", b"3", b"4"])
        self.assertEqual(bodies(log.after("", 2)), [b"0", b"1"])
        self.assertEqual(bodies(log.after(str(record(2).id), 99)), [b"3", b"4"])
        self.assertEqual(bodies(log.after(str(record(4).id), 99)), [])

    def test_an_empty_log_has_nothing_to_read(self):
        log = MemoryLog()
        self.assertEqual((len(log), log.first, log.position("")), (0, 0, -1))
        self.assertEqual(list(log.newest(5)), [])

    def test_what_is_not_kept_is_a_key_error(self):
        log = self.filled(3)
        for unknown in (str(record(9).id), "nonsense", "zz.1.2", "a.b"):
            self.assertRaises(KeyError, log.after, unknown, 1)
        self.assertIsNone(log.find(record(9).id))
        self.assertEqual(log.find(record(1).id).record.body, b"1")

    def test_the_oldest_go_beyond_the_number_kept(self):
        log = self.filled(1000, max_messages=10)
        self.assertEqual((len(log), log.first, log.dropped), (10, 990, 990))
        self.assertEqual(bodies(log.newest(2)), [b"998", b"999"])
        self.assertEqual(bodies(log.beyond(994, 2)), [b"995", b"996"])
        self.assertEqual(bodies(log.beyond(3, 1)), [b"990"])
        self.assertRaises(KeyError, log.position, str(record(5).id))
        self.assertLess(len(log._kept), 30)
        self.assertEqual(len(log._by_id), 10)

    def test_as_many_bytes_as_may_be_kept_are_and_with_one_more_the_oldest_goes(self):
        each = 1000 + 64 + 256  # a body, a hop, the rest
        for most, kept in ((3 * each, 3), (3 * each - 1, 2)):
            log = MemoryLog(max_bytes=most)
            for number in range(3):
                log.append(record(number, bytes(1000)), 1.0)
            self.assertEqual((len(log), log.bytes), (kept, kept * each))
            self.assertEqual((log.dropped_to, log.first), (2 - kept, 3 - kept))

    def test_a_full_log_makes_room_for_a_64th_more_than_it_has_to(self):
        self.assertEqual(len(self.filled(64, max_messages=64)), 64)
        self.assertEqual(len(self.filled(65, max_messages=64)), 63)
        each = 1000 + 64 + 256
        log = MemoryLog(max_bytes=64 * each)
        for number in range(65):
            log.append(record(number, bytes(1000)), 1.0)
        self.assertEqual((len(log), log.bytes), (63, 63 * each))

    def test_the_newest_message_stays_even_if_it_alone_is_too_much(self):
        log = MemoryLog(max_bytes=100)
        for number in (1, 2):
            log.append(record(number, bytes(1000)), 1.0)
            self.assertEqual([kept.record.id.sequence for kept in log.newest(9)], [number])
        self.assertEqual((log.first, log.last, log.dropped, log.dropped_to), (1, 1, 1, 0))

    def test_what_comes_again_is_kept_once_and_what_was_dropped_is_counted_beyond_a_place(self):
        log = self.filled(5, max_messages=3)
        self.assertEqual(log.append(record(4), 9.0).received_at, 4.0)
        self.assertEqual((len(log), log.last, log.dropped_to), (3, 4, 1))
        self.assertEqual([log.missing_beyond(place) for place in (-1, 0, 1, 4)], [2, 1, 0, 0])
        self.assertEqual([log.before_newest(limit) for limit in (0, 1, 2, 3, 9)], [4, 3, 2, 1, 1])
        self.assertEqual([each.known for each in log.ledger()], [[2, 5]])

    def test_the_oldest_go_beyond_the_bytes_kept(self):
        log = MemoryLog(max_bytes=10_000)
        for number in range(100):
            log.append(record(number, bytes(1000)), 1.0)
        self.assertLessEqual(log.bytes, 10_000)
        self.assertEqual(len(log) + log.dropped, 100)
        log.append(record(100, bytes(50_000)), 1.0)
        self.assertEqual(len(log), 1)


class FairnessTests(SynchronousTestCase):
    def test_the_level_is_the_highest_at_which_all_fit(self):
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        for _ in range(300):
            shares = [rng.randrange(1, 100) for _ in range(rng.randrange(1, 9))]
            room = rng.randrange(0, 500)
            level = fair_level(shares, room)
            if sum(shares) <= room:
                self.assertGreaterEqual(level, max(shares))
            else:
                self.assertLessEqual(sum(min(s, level) for s in shares), room, f"seed {seed}")
                self.assertGreater(sum(min(s, level + 1) for s in shares), room, f"seed {seed}")

    def test_the_level_of_an_empty_log_is_the_whole_room(self):
        self.assertEqual(fair_level([], 10), 10)


class MemoryStateTests(SynchronousTestCase):
    def test_the_first_incarnation_is_1_where_the_clock_says_nothing(self):
        state = MemoryState(lambda: 0.0)
        self.assertEqual([state.next_incarnation() for _ in range(2)], [1, 2])

    def test_the_peers_kept_last_are_known_and_nobody_else_changes_them(self):
        state = MemoryState(lambda: 1000.0)
        self.assertEqual(state.known_peers(), [])
        peers = [NodeRef(b"x" * 20, 1, "host:1", "Node 1")]
        state.keep_peers(peers)
        expected = [*peers]
        peers.clear()
        self.assertEqual(state.known_peers(), expected)
        state.close()
        self.assertEqual(state.known_peers(), expected)

    def test_incarnations_grow_when_the_clock_does_not(self):
        state = MemoryState(lambda: 1000.0)
        self.assertEqual(state.next_incarnation(), 1_000_000)
        self.assertEqual(state.next_incarnation(), 1_000_001)


class StateDirectoryTests(StateDirectoryCase):
    def restarted(self) -> int:
        state = self.open()
        incarnation = state.next_incarnation()
        state.close()
        return incarnation

    def modes(self) -> dict[str, int]:
        return {f.name: f.stat().st_mode & 0o777 for f in (self.path, *self.path.iterdir())}

    def fill(self) -> None:
        """Have every file made that a node makes."""
        state = self.open()
        state.next_incarnation()
        state.keep_peers([NodeRef(b"x" * 20, 1, "host:1", "Node 1")])
        log = SqliteLog(self.path / "messages.db")
        log.append(record(1), 5.0)
        log.commit()
        self.addCleanup(log.close)
        store = StoreDisk(self.path / "store.db", random.Random(1))
        store.open()
        self.addCleanup(store.close)

    def test_only_its_own_user_may_read_what_a_node_keeps(self):
        self.addCleanup(os.umask, os.umask(0))
        self.fill()
        modes = self.modes()
        self.assertEqual(modes.pop(self.path.name), 0o700)
        self.assertTrue({"messages.db", "messages.db-wal", "messages.db-ahead"} <= modes.keys())
        self.assertTrue({"store.db", "store.db-wal", "store.db-ahead"} <= modes.keys())
        self.assertEqual(set(modes.values()), {0o600}, modes)

    def test_what_an_earlier_version_left_for_all_to_read_is_narrowed(self):
        self.path.mkdir(mode=0o755)
        for name in ("lock", "peers.json.damaged", "store.db.damaged-1", "mine.txt"):
            (self.path / name).touch()
        for name in ("incarnation", "messages.db-ahead", "store.db-ahead"):
            (self.path / name).touch()
        with sqlite3.connect(self.path / "messages.db") as database:
            database.execute("PRAGMA journal_mode = WAL")
        for file in (self.path, *self.path.iterdir()):
            file.chmod(0o755 if file.is_dir() else 0o644)
        self.fill()
        modes = self.modes()
        self.assertEqual(modes.pop("mine.txt"), 0o644)
        self.assertEqual(modes.pop(self.path.name), 0o700)
        self.assertEqual(set(modes.values()), {0o600}, modes)

    def test_a_directory_in_which_everybody_may_write_keeps_its_mode(self):
        self.path.mkdir()
        self.path.chmod(0o1777)
        self.open()
        self.assertEqual(self.path.stat().st_mode & 0o7777, 0o1777)

    def test_incarnations_grow_over_restarts_and_clocks_put_back(self):
        first = self.restarted()
        self.assertEqual(first, 1_000_000)
        self.wall = 10.0
        self.assertEqual(self.restarted(), first + 1)
        self.wall = 2000.0
        self.assertEqual(self.restarted(), 2_000_000)
        self.assertEqual(self.warnings, [])

    def test_a_crash_after_the_number_was_given_out_does_not_give_it_out_again(self):
        state = self.open()
        first = state.next_incarnation()
        self.assertEqual((self.path / "incarnation").read_text(), f"{first}\n")

    def test_a_number_is_on_the_disk_before_its_name_is_and_both_before_it_is_given_out(self):
        synced: list[tuple[str, str]] = []

        def sync(descriptor: int) -> None:
            kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
            found = {each.name: each.read_text() for each in self.path.iterdir()}
            written = found.get("incarnation.new", "") + found.get("incarnation", "")
            synced.append((kind, written))

        state = StateDirectory(self.path, self.warnings.append, lambda: self.wall, sync)
        self.addCleanup(state.close)
        self.assertEqual(state.next_incarnation(), 1_000_000)
        self.assertEqual(synced, [("file", "1000000\n"), ("directory", "1000000\n")])
        self.assertFalse((self.path / "incarnation.new").exists())
        state.keep_peers([])
        self.assertEqual(len(synced), 2, "peers may be lost")

    def test_peers_come_back(self):
        peers = [NodeRef(b"\x01" * 20, 7, "10.0.0.1:7001", "Nœud 1")]
        state = self.open()
        self.assertEqual(state.known_peers(), [])
        state.keep_peers(peers)
        state.close()
        self.assertEqual(self.open().known_peers(), peers)

    def test_keeping_peers_leaves_nothing_for_the_collector_of_cycles(self):
        state = self.open()
        peers = [NodeRef(bytes([n] * 20), n, f"host:{n}", f"Node {n}") for n in range(1, 9)]
        state.keep_peers(peers)
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        for _ in range(20):
            state.keep_peers(peers)
        self.assertLess(gc.collect(), 20)
        self.assertEqual(state.known_peers(), peers)

    def test_damaged_peers_cost_a_warning_and_are_set_aside(self):
        self.open().close()
        for damage in ("{", "[1]", "7", '[{"id": "zz"}]', "[" * 100_000, '[{"id": 5}]', "null"):
            (self.path / "peers.json").write_text(damage)
            self.warnings.clear()
            state = self.open()
            self.assertEqual(state.known_peers(), [], damage[:20])
            self.assertEqual(len(self.warnings), 1)
            self.assertIn("is damaged", self.warnings[0])
            self.assertEqual((self.path / "peers.json.damaged").read_text(), damage)
            state.close()

    def test_peers_with_values_of_the_wrong_kind_are_damage(self):
        entry = {"id": "01", "incarnation": 1, "address": 5, "name": "x"}
        self.open().close()
        (self.path / "peers.json").write_text(json.dumps([entry]))
        self.assertEqual(self.open().known_peers(), [])
        self.assertEqual(len(self.warnings), 1)

    def test_a_damaged_incarnation_costs_a_warning_and_the_clock_decides(self):
        self.restarted()
        for damage in ("", "abc", "-5", str(2**70), "\u0665"):
            (self.path / "incarnation").write_text(damage, encoding="utf-8")
            self.warnings.clear()
            self.assertEqual(self.restarted(), 1_000_000, damage)
            self.assertEqual(len(self.warnings), 1, damage)

    def test_two_nodes_cannot_share_a_directory(self):
        first = self.open()
        error = self.assertRaises(ConfigError, self.open)
        self.assertIn(f"in use by another node (process {os.getpid()})", str(error))
        first.close()
        self.open()

    def test_a_directory_that_cannot_be_made_is_a_failure_in_words(self):
        self.path.write_text("a file")
        error = self.assertRaises(ConfigError, self.open)
        self.assertIn("choose another directory", str(error))

    def test_peers_that_cannot_be_written_cost_a_warning(self):
        state = self.open()
        (self.path / "peers.json.new").mkdir()
        state.keep_peers([])
        self.assertIn("could not be written", self.warnings[0])
