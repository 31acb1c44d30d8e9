"""Reads and writes of keys, by a node's program and by its clients, of a store that is a fake."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from chordnet import ChordService, P2PNetClient
from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    Conflict,
    ConnectFailed,
    InvalidKey,
    InvalidValue,
    LocalProtocolError,
    NoStore,
    NotInRing,
    TimedOut,
    Unavailable,
    Unconfirmed,
    Untold,
)
from chordnet.core.base.outcomes import Entry
from chordnet.core.store.base.outcomes import Found
from chordnet.core.store.base.outcomes import Unconfirmed as NotConfirmed
from chordnet.core.store.base.records import EMPTY
from chordnet.core.store.base.requests import Get, Put
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.store.keys import MAX_OPERATIONS
from chordnet.wire.codec import encode_frame
from chordnet.wire.rpc import Failure, GetKey, PutKey, UnconfirmedReply, Written
from tests.net.fake_store import FORMATION, FakeStore, unavailable
from tests.net.test_calls import Line
from tests.net.test_service import ServiceCase

Asker = ChordService | P2PNetClient


class KeyCase(ServiceCase):
    """One node with a store, its program, and a client of it."""

    def setUp(self) -> None:
        super().setUp()
        self.store = FakeStore(self.wall)
        (self.node,) = self.ring(1, keys=self.store)
        self.remote = self.client(1)

    def wall(self) -> float:
        return self.network.wall + self.clock.seconds()

    @property
    def askers(self) -> tuple[Asker, Asker]:
        return self.node, self.remote

    def error(self, waiting: Deferred[Any], kind: type, seconds: float = 0.5) -> Any:
        error = self.result(waiting, seconds).value
        self.assertIs(type(error), kind, error)
        self.assertNotIn("\n", str(error))
        return error

    def request(self) -> bytes:
        """Return the request id of the last write."""
        asked, _timeout_s = self.store.asked[-1]
        assert isinstance(asked, Put)
        return asked.request


class RegisterTests(KeyCase):
    def test_a_value_is_written_read_and_deleted_through_a_program_and_through_a_client(self):
        version = 0
        for asker in self.askers:
            before = self.wall()
            written = self.result(asker.put("config", b"blue \xff"))
            version += 1
            self.assertEqual(
                written,
                Written(
                    version, FORMATION.hex(), 63, 1, ["Node 4", "Node 9"], ["Node 12"], written.at
                ),
            )
            self.assertTrue(before <= written.at <= self.wall(), written.at)
            for reader in self.askers:
                self.assertEqual(self.result(reader.get("config")), Entry(b"blue \xff", version))
            version += 1
            self.assertEqual(self.result(asker.delete("config")).version, version)
            for reader in self.askers:
                self.assertIsNone(self.result(reader.get("config")))

    def test_the_store_is_asked_for_just_what_the_caller_said(self):
        for asker in self.askers:
            before = self.wall()
            self.result(asker.put("ä", b"v", if_version=0, expires_s=60, request=b"one"))
            asked, timeout_s = self.store.asked[-1]
            self.assertTrue(before + 60 <= asked.expires <= self.wall() + 60, asked.expires)
            self.assertEqual(asked, Put("ä".encode(), b"v", b"one", 0, asked.expires, None))
            self.assertEqual(timeout_s, 10.0)
            self.result(asker.put("ä", b"w", request=b"two", since=0, timeout_s=3))
            expected = Put("ä".encode(), b"w", b"two", None, None, 0)
            self.assertEqual(self.store.asked[-1], (expected, 3))
            self.result(asker.get("ä", timeout_s=2.5))
            self.assertEqual(self.store.asked[-1], (Get("ä".encode()), 2.5))
            self.result(asker.delete("ä", if_version=2, request=b"x", since=1, timeout_s=4))
            self.assertEqual(self.store.asked[-1], (Put("ä".encode(), None, b"x", 2, None, 1), 4))
            self.store.contents.clear()

    def test_an_entry_says_when_it_expires_and_then_is_gone(self):
        for asker in self.askers:
            before = self.wall()
            self.result(asker.put("lease", b"a", expires_s=20))
            entry = self.result(asker.get("lease"))
            self.assertTrue(before + 20 <= entry.expires <= self.wall() + 20, entry.expires)
            self.network.run(21)
            self.assertIsNone(self.result(asker.get("lease")))

    def test_the_largest_key_and_value_travel(self):
        for asker in self.askers:
            self.result(asker.put("k" * 1024, bytes(1_048_576)))
            self.assertEqual(self.result(asker.get("k" * 1024)).value, bytes(1_048_576))

    def test_nodes_with_one_source_of_randomness_name_their_writes_differently(self):
        requests = set()
        for number in (2, 3):
            store = FakeStore(self.wall)
            service = self.service(number, keys=store, rng=random.Random(5))
            self.network.run(4)
            self.result(service.put("k", b"v"))
            requests |= {asked.request for asked, _ in store.asked}
        self.assertEqual(len(requests), 2)

    def test_each_write_without_a_request_id_is_given_its_own(self):
        requests = set()
        for asker in self.askers:
            for _ in range(3):
                self.result(asker.put("k", b"v"))
                requests.add(self.request())
                self.result(asker.delete("k"))
                requests.add(self.request())
        self.assertEqual(len(requests), 12)
        self.assertEqual({len(each) for each in requests}, {16})


class EndTests(KeyCase):
    """Every way in which an operation ends without being done, or perhaps done."""

    def test_a_conflict_has_what_is_present(self):
        self.result(self.node.put("config", b"blue"))
        for asker in self.askers:
            error = self.error(asker.put("config", b"x", if_version=7), Conflict)
            self.assertEqual(error.present, Entry(b"blue", 1))
            self.assertEqual(
                str(error),
                "'config' has version 1, not 7; it was not written: read it and decide again",
            )
            error = self.error(asker.put("config", b"x", if_version=0), Conflict)
            self.assertIn("'config' exists already, with version 1; it was not written", str(error))
            error = self.error(asker.delete("config", if_version=2), Conflict)
            self.assertIn("has version 1, not 2; it was not deleted", str(error))
            error = self.error(asker.put("none", b"x", if_version=1), Conflict)
            self.assertIsNone(error.present)
            self.assertIn("'none' has no value; it was not written", str(error))
            self.assertEqual(self.result(asker.get("config")), Entry(b"blue", 1))

    def test_a_key_whose_members_are_missing_is_unavailable_and_says_which(self):
        asks: list[tuple[str, Callable[[Asker], Deferred[Any]]]] = [
            ("written", lambda asker: asker.put("config", b"x")),
            ("deleted", lambda asker: asker.delete("config")),
            ("read", lambda asker: asker.get("config")),
        ]
        for asker in self.askers:
            for what, ask in asks:
                self.store.ends = [unavailable(4, 9)]
                error = self.error(ask(asker), Unavailable)
                self.assertEqual(
                    str(error),
                    f"'config' cannot be {what} now: slot 63: 1 of 3 members answers;"
                    " Node 4, Node 9 missing",
                )
                self.assertEqual(
                    (error.slot, error.epoch, error.members, error.missing),
                    (63, 1, 3, ("Node 4", "Node 9")),
                )

    def test_the_words_about_an_unavailable_key_fit_the_numbers(self):
        self.store.slot = None
        for missing, words in (
            ((4, 9, 12), "now: 0 of 3 members answer; Node 4, Node 9, Node 12 missing"),
            ((12,), "2 of 3 members answer; Node 12 missing; others were faster"),
            ((), "3 of 3 members answer; others were faster until the time was up, so ask again"),
        ):
            for asker in self.askers:
                self.store.ends = [unavailable(*missing)]
                error = self.error(asker.get("config"), Unavailable)
                self.assertTrue(str(error).endswith(words) or words in str(error), str(error))
                self.assertIsNone(error.slot)

    def test_an_unconfirmed_write_is_done_once_when_it_is_asked_for_again(self):
        for asker, again in ((self.node, self.remote), (self.remote, self.node)):
            self.result(asker.put("config", b"first"))
            before = self.result(asker.get("config")).version
            self.store.ends = [self.store.lost]
            error = self.error(asker.put("config", b"blue"), Unconfirmed)
            self.assertEqual((error.request, error.since), (self.request(), before))
            self.assertIn("it is not known whether 'config' was written", str(error))
            self.assertEqual(
                str(error),
                "it is not known whether 'config' was written: too few of the nodes that hold it"
                " have answered in time; to be certain ask again with the same request and"
                f" since={before}",
            )
            written = self.result(
                again.put("config", b"blue", request=error.request, since=error.since)
            )
            self.assertEqual(written.version, before + 1)
            self.assertEqual(self.result(again.get("config")), Entry(b"blue", before + 1))

    def test_an_unconfirmed_write_that_was_not_done_is_done_when_it_is_asked_for_again(self):
        for asker in self.askers:
            before = self.store.present(b"config").version
            self.store.ends = [NotConfirmed(before)]
            error = self.error(asker.delete("config"), Unconfirmed)
            self.assertIn("was deleted", str(error))
            self.assertEqual(self.store.present(b"config").version, before)
            written = self.result(asker.delete("config", request=error.request, since=error.since))
            self.assertEqual(written.version, before + 1)

    def test_after_very_many_other_writes_it_cannot_be_told_any_more(self):
        for asker in self.askers:
            self.store.ends = [NotConfirmed(self.store.present(b"config").version)]
            error = self.error(asker.put("config", b"blue"), Unconfirmed)
            for _ in range(17):
                self.result(self.node.put("config", b"other"))
            again = {"request": error.request, "since": error.since}
            text = str(self.error(asker.put("config", b"blue", **again), Untold))
            self.assertIn("it cannot be told any more whether 'config' was written", text)
            text = str(self.error(asker.delete("config", **again), Untold))
            self.assertIn("was deleted", text)
            self.assertEqual(self.store.present(b"config").value, b"other")

    def test_an_error_in_the_middle_of_a_write_leaves_open_whether_it_was_done(self):
        for asker in self.askers:
            self.store.ends = [NotInRing("left"), NotInRing("left"), ChordnetError("odd")]
            error = self.error(asker.put("config", b"x", if_version=3), Unconfirmed)
            self.assertEqual((error.request, error.since), (self.request(), 3))
            self.assertIn("was written: left; to be certain", str(error))
            self.assertEqual(str(self.error(asker.get("config"), NotInRing)), "left")
            self.assertIn("odd", str(self.error(asker.delete("config"), Unconfirmed)))

    def test_a_store_that_begins_nothing_leaves_nothing_open(self):
        for asker in self.askers:
            for refusal in (NoStore("none"), Busy("full"), NotInRing("alone")):
                self.store.refuses = refusal
                for ask in (asker.put("k", b"x" * 60_000), asker.delete("k"), asker.get("k")):
                    self.assertEqual(str(self.error(ask, type(refusal))), str(refusal))
            self.store.refuses = None
            self.store.ends = [NoStore("none"), Busy("full")]
            self.error(asker.put("k", b"x"), NoStore)
            self.error(asker.put("k", b"x"), Busy)
        self.assertEqual(self.node.node.load.held, 0)
        self.assertEqual(self.result(self.node.put("k", b"x")).version, 1)

    def test_the_end_of_the_node_ends_what_is_under_way(self):
        self.store.ends = [self.store.silent] * 4
        own = [self.node.get("k"), self.node.put("k", b"x")]
        others = [self.remote.get("k"), self.remote.put("k", b"x", if_version=2)]
        self.network.run(0.1)
        self.node.stopService()
        self.assertIn("shutting down", str(self.error(own[0], NotInRing, 8)))
        self.error(own[1], Unconfirmed, 0)
        self.result(others[0], 0)
        error = self.error(others[1], Unconfirmed, 0)
        self.assertEqual(error.since, 2)
        for done in self.store.held:  # the store, too, ends what it has
            done(NotInRing("the store ends"))
        self.assertEqual(self.store.contents, {})


class RefusalTests(KeyCase):
    def test_what_a_request_may_not_say_is_refused_where_it_is_made(self):
        for asker in self.askers:
            for kind, waiting in (
                (InvalidKey, asker.get("")), (InvalidKey, asker.get(5)),
                (InvalidKey, asker.put("k" * 1025, b"")), (InvalidKey, asker.delete("")),
                (InvalidValue, asker.put("k", "v")),
                (InvalidValue, asker.put("k", bytes(1_048_577))),
                (LocalProtocolError, asker.put("k", b"", if_version=-1)),
                (LocalProtocolError, asker.put("k", b"", expires_s=0)),
                (LocalProtocolError, asker.put("k", b"", since=0)),
                (LocalProtocolError, asker.put("k", b"", request="r")),
                (LocalProtocolError, asker.put("k", b"", timeout_s=0)),
                (LocalProtocolError, asker.delete("k", if_version=1.5)),
                (LocalProtocolError, asker.get("k", timeout_s=None)),
            ):  # fmt: skip
                self.error(waiting, kind, 0)
        self.assertEqual(self.store.asked, [])
        self.assertEqual(self.network.connections, [])

    def test_a_node_that_has_met_no_store_says_how_one_begins(self):
        service = self.service(2, (1,))
        client = self.client(2)
        self.network.run(4)
        for asker in (service, client):
            for waiting in (asker.get("k"), asker.put("k", b""), asker.delete("k")):
                self.assertEqual(
                    str(self.error(waiting, NoStore)),
                    "Node 2 has met no store yet, so ask again in a moment, or begin one: start"
                    " its founders with --founders a,b,c or type p2pnet store begin",
                )

    def test_a_node_that_does_not_run_or_is_in_no_ring_asks_its_store_nothing(self):
        lonely = self.service(3, (9,), keys=self.store)
        self.network.run(0.5)
        self.assertIn("not in a ring", str(self.error(lonely.get("k"), NotInRing, 0)))
        self.result(self.node.stopService(), 3)
        self.error(self.node.put("k", b""), NotInRing, 0)
        self.assertEqual(self.store.asked, [])

    def test_a_node_takes_no_more_operations_than_it_can_hold(self):
        self.store.ends = [self.store.silent] * MAX_OPERATIONS
        waiting = [self.node.get("k") for _ in range(MAX_OPERATIONS)]
        text = str(self.error(self.node.get("k"), Busy, 0))
        self.assertIn(f"{MAX_OPERATIONS} operations on keys are in flight", text)
        self.store.held[0](unavailable())
        self.assertIsNone(self.result(self.node.get("k"), 0))
        for done in self.store.held:
            done(Found(EMPTY))
        self.error(waiting[0], Unavailable, 0)

    def test_values_under_way_count_as_bytes_in_flight(self):
        limits = NetworkLimits(in_flight_bytes=100_000)
        store = FakeStore(self.wall)
        service = self.service(2, limits=limits, keys=store)
        self.network.run(4)
        store.ends = [store.silent]
        waiting = service.put("a", bytes(60_000))
        self.error(service.put("b", bytes(60_000)), Busy, 0)
        self.assertEqual(self.result(service.put("b", bytes(40_000)), 0).version, 1)
        store.held[0](unavailable(4, 9))
        self.error(waiting, Unavailable, 0)
        self.assertEqual(self.result(service.put("b", bytes(60_000)), 0).version, 2)
        self.assertEqual(service.node.load.held, 0)


class LostAnswerTests(KeyCase):
    def test_a_write_whose_answer_is_lost_with_the_connection_is_unconfirmed(self):
        self.store.ends = [self.store.silent] * 3
        waiting = self.remote.put("config", b"x", if_version=4), self.remote.delete("config")
        read = self.remote.get("config")
        self.network.run(0.1)
        requests = [asked.request for asked, _ in self.store.asked if isinstance(asked, Put)]
        self.network.connections[0][0].abortConnection()
        error = self.error(waiting[0], Unconfirmed)
        self.assertEqual((error.request, error.since), (requests[0], 4))
        self.assertIn("was written: the connection with 10.0.0.1:7001 ended", str(error))
        self.assertEqual(self.error(waiting[1], Unconfirmed, 0).request, requests[1])
        self.error(read, ConnectFailed, 0)

    def test_a_write_whose_answer_does_not_come_in_time_is_unconfirmed(self):
        self.store.ends = [self.store.silent] * 2
        write = self.remote.put("config", b"x", timeout_s=3)
        read = self.remote.get("config", timeout_s=3)
        self.network.run(4.9)
        self.assertFalse(write.called or read.called)
        error = self.error(write, Unconfirmed)
        self.assertEqual((error.request, error.since), (self.request_of_write(), 0))
        self.assertIn("10.0.0.1:7001 did not answer within 5 s", str(error))
        self.error(read, TimedOut, 0)

    def request_of_write(self) -> bytes:
        (request,) = (a.request for a, _ in self.store.asked if isinstance(a, Put))
        return request

    def test_a_write_that_was_never_sent_was_not_done(self):
        self.network.unreachable.add(self.address(9))
        client = self.client(9, timeout_s=1)
        self.error(client.put("config", b"x"), ConnectFailed, 5)
        self.assertEqual(self.store.asked, [])
        silent = self.client(9)
        waiting = silent.put("config", b"x", timeout_s=0.5)
        self.error(waiting, TimedOut, 2.6)
        closed = self.client(9)
        waiting = closed.put("config", b"x")
        closed.close()
        self.error(waiting, ConnectFailed, 0)

    def test_closing_the_client_leaves_open_what_was_sent(self):
        self.store.ends = [self.store.silent]
        waiting = self.remote.put("config", b"x")
        self.network.run(0.1)
        self.remote.close()
        self.error(waiting, Unconfirmed, 0)

    def test_a_write_that_its_caller_gives_up_is_told_nothing(self):
        self.store.ends = [self.store.silent]
        waiting = self.remote.put("config", b"x")
        self.network.run(0.1)
        waiting.cancel()
        self.assertIs(type(self.result(waiting, 0).value), CancelledError)
        own = self.node.put("config", b"x")
        self.assertEqual(self.result(own, 0).version, 1)

    def test_a_store_that_fails_unexpectedly_leaves_open_whether_it_wrote(self):
        self.store.ends = [lambda _asked, _done: 1 / 0]
        text = str(self.error(self.remote.put("config", b"x"), Unconfirmed))
        self.assertIn("an error inside the node", text)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.node.node.load.held, 0)


class ForeignClientTests(KeyCase):
    """Requests that chordnet's own client does not send."""

    def answers(self, *requests: Any) -> list[Any]:
        line = Line()
        session = self.node._life.desk.attach(line)
        session.frames([encode_frame(each)[4:] for each in requests])
        session.lost()
        return line.sent

    def test_impossible_requests_are_answered_and_the_connection_stays(self):
        found = self.answers(
            GetKey(1, ""), GetKey(2, "k" * 1025), PutKey(3, "k", bytes(1_048_577)),
            PutKey(4, "k", b"", if_version=-1), PutKey(5, "k", b"", expires_s=float("nan")),
            PutKey(6, "k", b"", since=2), PutKey(7, "k", b"", request=b""),
            PutKey(8, "k", b"", timeout_s=-1), PutKey(9, "k", b"", if_version=2**64 - 1),
            GetKey(10, "k"),
        )  # fmt: skip
        self.assertEqual([type(each) for each in found[:-1]], [Failure] * 9)
        self.assertEqual(
            [each.code for each in found[:-1]],
            ["InvalidKey", "InvalidKey", "InvalidValue", *["LocalProtocolError"] * 6],
        )
        self.assertEqual([each.rid for each in found], list(range(1, 11)))
        self.assertIsNone(found[-1].entry)

    def test_the_node_names_a_write_that_comes_without_a_name(self):
        self.store.ends = [NotConfirmed(5)]
        (answer,) = self.answers(PutKey(1, "k", b"v"))
        self.assertIsInstance(answer, UnconfirmedReply)
        self.assertEqual((answer.request, answer.since), (self.request(), 5))
        self.assertEqual(len(answer.request), 16)

    def test_a_client_that_does_not_read_is_not_sent_more_than_may_wait_for_it(self):
        self.result(self.node.put("k", bytes(1000)))
        limit = self.node.node.limits.send_buffer_bytes
        for waiting, expected in ((limit - 1064, [bytes(1000)]), (limit - 1063, [])):
            line = Line()
            line.waiting = waiting
            session = self.node._life.desk.attach(line)
            session.frames([encode_frame(GetKey(1, "k"))[4:], encode_frame(GetKey(2, "none"))[4:]])
            session.lost()
            found = {each.rid: each.entry for each in line.sent}
            self.assertIsNone(found.pop(2))
            self.assertEqual([each.value for each in found.values()], expected)

    def test_a_read_waits_until_its_reply_has_room_and_is_done_again_then(self):
        self.result(self.node.put("k", bytes(1000)))
        line = Line()
        limit = line.waiting = self.node.node.limits.send_buffer_bytes
        session = self.node._life.desk.attach(line)
        self.addCleanup(session.lost)
        session.frames([encode_frame(GetKey(rid, "k"))[4:] for rid in (1, 2, 3)])
        self.assertEqual(line.sent, [])
        self.assertTrue(session.busy)
        self.result(self.node.put("k", bytes(900)))
        line.waiting = limit - 2200
        session.drained()
        self.assertEqual(
            [(each.rid, len(each.entry.value)) for each in line.sent], [(1, 900), (2, 900)]
        )
        session.drained()
        self.assertEqual([each.rid for each in line.sent], [1, 2, 3])
        self.assertFalse(session.busy)

    def test_reads_that_wait_for_room_count_as_requests_in_flight(self):
        self.result(self.node.put("k", bytes(1000)))
        line = Line()
        limits = self.node.node.limits
        line.waiting = limits.send_buffer_bytes
        session = self.node._life.desk.attach(line)
        self.addCleanup(session.lost)
        many = limits.client_in_flight
        session.frames([encode_frame(GetKey(rid, "k"))[4:] for rid in range(many + 1)])
        self.assertEqual([(each.rid, each.code) for each in line.sent], [(many, "Busy")])
