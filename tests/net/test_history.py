"""The history that a node gives to clients over its restarts: no gap, no repeat, nothing silent."""

from __future__ import annotations

from pathlib import Path

from chordnet.client import Following
from chordnet.core.base.effects import SendStored
from chordnet.core.base.errors import ConnectFailed, LocalProtocolError
from chordnet.storage.log.sqlite import SqliteLog
from chordnet.wire.rpc import MessageRecord
from tests.net.test_service import ServiceCase, only


class HistoryTests(ServiceCase):
    def setUp(self):
        super().setUp()
        self.directory = Path(self.mktemp())
        self.seen: list[MessageRecord] = []
        self.ended: list[object] = []

    def start_ring(self, **options) -> None:
        """Start three nodes; the third one keeps its messages on disk."""
        for n in (1, 2):
            self.service(n, (3 - n,))
        self.service(3, (1, 2), state_dir=self.directory, **options)
        self.network.run(4)
        self.assertTrue(all(s.node.active for s in self.services))

    def send(self, *bodies: str, through: int = 1) -> None:
        for body in bodies:
            self.result(self.services[through - 1].broadcast(body))

    def restart(self) -> None:
        self.result(self.services[2].stopService(), 2)
        self.services[2].startService()
        self.result(self.services[2].joined(), 5)

    def follow(self, since: str = "") -> Following:
        following = self.client(3).follow(self.seen.append, since)
        following.finished.addBoth(self.ended.append)
        self.network.run(1)
        return following

    def bodies(self) -> list[str]:
        return [record.body for record in self.seen]

    def read(self, since: str = "", limit: int = 0) -> list[str]:
        records = self.result(self.client(3).get_messages(limit, since))
        return [record.body for record in records]

    def test_a_follower_goes_on_after_a_restart_where_it_was(self):
        self.start_ring()
        self.send("a", "b")
        self.follow()
        self.send("c")
        self.assertEqual(self.bodies(), ["a", "b", "c"])
        self.result(self.services[2].stopService(), 2)
        self.assertIsInstance(self.ended[0].value, ConnectFailed)
        self.send("d", "e")
        self.services[2].startService()
        self.result(self.services[2].joined(), 5)
        self.follow(since=self.seen[-1].id)
        self.send("f")
        self.network.run(8)
        self.assertEqual(sorted(self.bodies()), ["a", "b", "c", "d", "e", "f"])
        self.assertEqual(self.bodies()[:3], ["a", "b", "c"])
        self.assertEqual(self.read(), self.bodies())

    def test_any_message_is_a_place_to_go_on_from_after_any_number_of_restarts(self):
        self.start_ring()
        for letter in "abcd":
            self.send(letter, letter * 2, through=3)
            self.restart()
        records = self.result(self.client(3).get_messages())
        bodies = [record.body for record in records]
        self.assertEqual(bodies, ["a", "aa", "b", "bb", "c", "cc", "d", "dd"])
        self.assertEqual(len({record.id for record in records}), 8)
        for index, record in enumerate(records):
            self.assertEqual(self.read(since=record.id), bodies[index + 1 :])
            self.assertEqual(self.read(since=record.id, limit=2), bodies[index + 1 :][:2])
        self.assertEqual(self.read(limit=3), bodies[-3:])

    def test_what_was_caught_up_comes_after_what_was_there_and_once(self):
        self.start_ring()
        self.send("a", "b")
        last = self.result(self.client(3).get_messages())[-1].id
        self.result(self.services[2].stopService(), 2)
        self.send(*(f"m{n}" for n in range(20)))
        self.services[2].startService()
        self.result(self.services[2].joined(), 5)
        self.send("z")
        self.network.run(8)
        caught = self.read(since=last)
        self.assertEqual(sorted(caught), sorted(["z", *(f"m{n}" for n in range(20))]))
        self.restart()
        self.assertEqual(self.read(since=last), caught)

    def test_after_a_restart_the_node_knows_the_routes_of_what_it_recorded_lately(self):
        self.start_ring()
        self.send("old")
        self.network.run(25)
        self.send("a", "b")
        self.restart()
        log = self.services[2].node.log
        expected = {kept.record.id: kept.record.route for kept in log.newest(2)}
        self.assertEqual(self.services[2].node.core.sync.ways, expected)

    def spoil(self, log: SqliteLog, body: str) -> None:
        log.checkpoint()
        log._table.db.execute("UPDATE messages SET body = x'00' WHERE body = ?", (body.encode(),))

    def test_a_damaged_row_is_missing_and_comes_back_from_a_neighbour(self):
        self.start_ring()
        self.send("a", "b", "c")
        self.network.run(3)
        self.spoil(self.services[2].node.log, "b")
        self.assertEqual(self.read(), ["a", "c"])
        self.network.run(8)
        self.assertEqual(self.read(), ["a", "c", "b"])
        again = self.result(self.client(3).get_messages())[-1]
        self.assertEqual(again.route[-1].kind, "caught_up")
        counters = self.result(self.services[2].status()).counters
        self.assertEqual((counters["spoiled"], counters["caught_up"]), (1, 1))
        self.assertEqual(self.services[2].node.state, "active")

    def test_a_damaged_row_is_not_given_to_others_nor_called_lost(self):
        self.start_ring()
        self.send("a", "b")
        self.network.run(3)
        node, other = self.services[2].node, self.services[0].node
        self.spoil(node.log, "b")
        (kept,) = other.log.newest(1)
        with node.turn:
            node.history.send_stored(SendStored(other.me, [only(kept.record.id)], False))
        self.network.run(8)
        self.assertEqual(self.read(), ["a", "b"])
        self.assertEqual(self.result(self.services[0].status()).counters.get("gaps", 0), 0)

    def test_a_row_found_damaged_at_the_start_comes_back_from_a_neighbour(self):
        self.start_ring()
        self.send("a", "b", "c")
        self.spoil(self.services[2].node.log, "b")
        self.restart()
        self.network.run(8)
        self.assertEqual(self.read(), ["a", "c", "b"])

    def test_a_following_that_has_ended_leaves_nothing_behind(self):
        self.start_ring()
        followers = self.services[2].node.history._followers
        following = self.follow()
        self.assertEqual(len(followers), 1)
        following.stop()
        self.network.run(0.5)
        self.assertEqual(len(followers), 0)
        self.follow()
        self.assertEqual(len(followers), 1)
        self.result(self.clients[-1].close())
        self.network.run(0.5)
        self.assertEqual(len(followers), 0)

    def test_a_place_that_is_not_kept_any_more_is_refused_not_skipped(self):
        self.start_ring(history_bytes=2000)
        self.send("first")
        first = self.result(self.client(3).get_messages())[0].id
        self.send(*("x" * 300 + str(n) for n in range(12)))
        self.restart()
        text = self.failure(self.client(3).get_messages(since=first), LocalProtocolError)
        self.assertIn(f"no message '{first}' is kept here", text)
        self.follow(since=first)
        self.assertIn("is kept here", str(self.ended[0].value))
        kept = self.read()
        self.assertEqual(kept[-1], "x" * 300 + "11")
        self.assertLess(len(kept), 12)
