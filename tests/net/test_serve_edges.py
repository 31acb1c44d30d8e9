"""Which clients are served, for how long, and up to which limits: the parts by themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Record
from chordnet.core.base.errors import Busy, LocalProtocolError
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import Hop, MessageId
from chordnet.net.base.allowance import Load
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.turn import Turn
from chordnet.net.links.greeters import client_hello
from chordnet.net.observe.traces import Traces
from chordnet.net.observe.views import Views
from chordnet.net.runtime.delivery import Delivery
from chordnet.net.runtime.keeping import recent_messages
from chordnet.net.serve.calls import CALLS
from chordnet.net.serve.desk import ClientDesk
from chordnet.net.serve.followings import Followings
from chordnet.net.serve.reading import ReceivedReader, open_reader, trace_of
from chordnet.net.serve.watches import IdleWatch, ReadingWatch
from chordnet.storage.log.memory import MemoryLog
from chordnet.trust.base.subjects import Role, Subject
from chordnet.wire.codec import read_reply
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import Bye, Refuse
from chordnet.wire.rpc import Follow, GetMessages, GetStatus, Messages, Ordered, SendMessage
from tests.net.hosts import FRAME_LIMIT, quiet_journal
from tests.net.test_service import ServiceCase
from tests.net.test_transport_edges import Scripted

ORIGIN = bytes(20)


class CountedLog(MemoryLog):
    """Notes what is read from it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[int, int]] = []

    def beyond(self, position: int, limit: int) -> Any:
        self.reads.append((position, limit))
        return super().beyond(position, limit)


class FakeConnection:
    """Notes what is sent and when it is flushed."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.flushes = 0
        self.paused = False
        self.closing = False
        self.resumed = 0
        self.waiting = 0
        self.peer_name = "10.9.9.9:1"

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def flush_now(self) -> None:
        self.flushes += 1

    def close(self) -> None:
        self.closing = True


class FakeNode:
    """What the parts here need of a node."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.turn = Turn(self.clock, self._fail)
        self.journal, self.lines = quiet_journal(self.clock, "me")
        self.limits = NetworkLimits(**limits)
        self.load = Load(100)
        self.log = MemoryLog()
        self.views = Views(IdentifierSpace(160))
        self.traces = Traces(64)
        self.followers = 0

    def _fail(self, what: str) -> None:
        raise AssertionError(what)

    def wall(self) -> float:
        return self.clock.seconds()

    def follow(self, callback: Any) -> Any:
        self.followers += 1
        self.told = callback

        def end() -> None:
            self.followers -= 1
            self.told = lambda: None

        return end

    def record(self, number: int, body: bytes = b"x") -> str:
        made = MessageId(ORIGIN, 1, number)
        self.log.append(Record(made, 1.0, body, [Hop(ORIGIN, "one", 0)]), self.wall())
        return str(made)


class NodeCase(SynchronousTestCase):
    def make(self, **limits: Any) -> Any:
        self.node: Any = FakeNode(**limits)
        self.connection: Any = FakeConnection()
        self.closed: list[tuple[str, str]] = []
        return self.node

    def close(self, code: str, text: str) -> None:
        self.closed.append((code, text))


class FakeSession(SimpleNamespace):
    """What the desk sees of a session."""

    __hash__ = object.__hash__


class Owned:
    """A connection that shows a certificate, or none."""

    def __init__(self, subject: Subject | None) -> None:
        self.subject = subject


class DeskTests(NodeCase):
    def session(self, name: str, since: float, asked_at: float | None, *, busy: bool) -> Any:
        def close(code: str, text: str) -> None:
            self.closed.append((name, f"{code}: {text}"))

        return FakeSession(
            name=name, since=since, asked_at=since if asked_at is None else asked_at,
            has_asked=asked_at is not None, busy=busy, close=close,
        )  # fmt: skip

    def test_the_client_that_gives_way_is_the_oldest_silent_one_or_else_the_quietest(
        self,
    ) -> None:
        """Without a request for one second, or five after the last; who is busy stays."""
        now = 100.0
        rows: list[tuple[str, list[tuple[str, float, float | None, bool]]]] = [
            ("", [("a", 99.25, None, False)]),
            ("a", [("a", 99.0, None, False)]),
            ("", [("a", 50.0, None, True)]),
            ("", [("a", 50.0, 95.25, False)]),
            ("a", [("a", 50.0, 95.0, False)]),
            ("", [("a", 50.0, 60.0, True)]),
            ("a", [("a", 50.0, None, False), ("b", 60.0, None, False)]),
            ("b", [("a", 50.0, 60.0, False), ("b", 99.0, None, False)]),
            ("b", [("a", 50.0, 70.0, False), ("b", 60.0, 65.0, False)]),
        ]
        for name, rows_of in rows:
            node = self.make(max_clients=len(rows_of))
            node.clock.advance(now)
            desk = ClientDesk(node, lambda _done: None)
            for each, since, asked_at, busy in rows_of:
                desk._sessions[self.session(each, since, asked_at, busy=busy)] = None
            refusal = desk.refuse()
            with self.subTest(str(rows_of)):
                self.assertIs(refusal is None, bool(name))
                text = "idle: no request came for a while, and other clients are waiting"
                self.assertEqual(self.closed, [(name, text)] if name else [])
                self.assertEqual(desk.clients, len(rows_of) - len(self.closed))

    def test_a_client_is_refused_when_there_is_no_room_or_no_more_time(self) -> None:
        node = self.make(max_clients=1, kept_clients=2)
        desk = ClientDesk(node, lambda _done: None)
        self.assertIsNone(desk.refuse())
        desk._sessions[self.session("a", 0.0, None, busy=True)] = None
        full = "this node has as many clients as it accepts; try another node"
        self.assertEqual(desk.refuse(), Refuse("full", full))
        self.assertEqual(desk.refuse(operates=False), Refuse("full", full))
        for name in ("b", "c"):
            self.assertIsNone(desk.refuse(operates=True))
            desk._sessions[self.session(name, 0.0, None, busy=True)] = None
        self.assertEqual(desk.refuse(operates=True), Refuse("full", full))
        desk.stop()
        leaving = "leaving: the node is shutting down"
        self.assertEqual(self.closed, [(name, leaving) for name in "abc"])
        self.assertEqual(desk.refuse(), Refuse("full", "this node is shutting down"))

    def test_the_owner_of_one_certificate_has_a_quarter_of_the_places(self) -> None:
        desk = ClientDesk(self.make(max_clients=9), lambda _done: None)
        owners = [
            Subject("n", role, name, 1, 0.0, 1.0)
            for role, name in ((Role.READ, "a"), (Role.SEND, "a"), (Role.READ, "b"))
        ]
        for number, owner in enumerate(owners):
            for again in range(2):
                self.assertIsNone(desk.refuse(subject=owner))
                session = self.session(f"{number}-{again}", 0.0, None, busy=True)
                desk._sessions[session] = Owned(owner)
            full = f"{owner.name!r} has as many connections with this node as one certificate may"
            self.assertEqual(desk.refuse(subject=owner), Refuse("full", full))
            self.assertEqual(desk.refuse(subject=owner, operates=True), Refuse("full", full))
        desk._sessions[self.session("plain", 0.0, None, busy=True)] = Owned(None)
        self.assertIsNone(desk.refuse())

    def test_where_there_are_few_places_everybody_may_have_one(self) -> None:
        desk = ClientDesk(self.make(max_clients=3), lambda _done: None)
        owner = Subject("n", Role.READ, "a", 1, 0.0, 1.0)
        self.assertIsNone(desk.refuse(subject=owner))
        desk._sessions[self.session("a", 0.0, None, busy=True)] = Owned(owner)
        self.assertIsNotNone(desk.refuse(subject=owner))


class IdleWatchTests(NodeCase):
    def watch(self, uses: list[tuple[int, bool]]) -> IdleWatch:
        self.make(idle_s=10)
        return IdleWatch(self.node, lambda: uses[0], self.close)

    def test_a_client_is_sent_away_after_two_looks_between_which_it_asked_nothing(self) -> None:
        uses = [(0, False)]
        self.watch(uses)
        expected = [("idle", "no request came for a long time")]
        for asked, at, closed in ((0, 10, []), (1, 20, []), (2, 30, []), (2, 40, expected)):
            uses[0] = (asked, False)
            self.node.clock.advance(at - 0.25 - self.node.clock.seconds())
            self.assertEqual(self.closed, [], at)
            self.node.clock.advance(0.25)
            self.assertEqual(self.closed, closed, at)
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_a_client_for_which_something_is_under_way_is_not_idle(self) -> None:
        uses = [(0, True)]
        self.watch(uses)
        self.node.clock.pump([10] * 5)
        self.assertEqual(self.closed, [])
        uses[0] = (0, False)
        self.node.clock.advance(10)
        self.assertEqual(len(self.closed), 1)

    def test_a_watch_that_is_stopped_before_or_after_it_has_acted_does_nothing_more(self) -> None:
        watch = self.watch([(0, False)])
        watch.stop()
        watch.stop()
        self.assertEqual(self.node.clock.getDelayedCalls(), [])
        watch = self.watch([(0, False)])
        self.node.clock.pump([10, 10])
        self.assertEqual(len(self.closed), 1)
        watch.stop()
        self.node.clock.advance(100)
        self.assertEqual(len(self.closed), 1)


class ReadingWatchTests(NodeCase):
    def watch(self) -> ReadingWatch:
        self.make(client_stall_s=4)
        return ReadingWatch(self.node, self.connection, self.close)

    def test_a_client_that_reads_nothing_is_cut_off_when_the_time_is_up(self) -> None:
        watch = self.watch()
        watch.held()
        self.node.clock.advance(3)
        watch.held()
        self.node.clock.advance(0.75)
        self.assertEqual(self.closed, [])
        self.node.clock.advance(0.25)
        text = "nothing was read for too long while replies waited"
        self.assertEqual(self.closed, [("slow", text)])
        self.assertEqual(
            self.node.lines, ["me: cut off a client at 10.9.9.9:1: it reads too slowly"]
        )
        self.assertEqual(self.node.journal.counters.number(NetMetric.CLIENTS_OVERLOADED), 1)
        watch.stop()
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_a_client_that_has_read_everything_has_its_whole_time_again(self) -> None:
        watch = self.watch()
        watch.held()
        self.node.clock.advance(3)
        watch.drained()
        self.assertEqual(self.node.clock.getDelayedCalls(), [])
        watch.held()
        self.node.clock.advance(3.75)
        self.assertEqual(self.closed, [])
        self.node.clock.advance(0.25)
        self.assertEqual(len(self.closed), 1)

    def test_a_connection_that_is_being_closed_is_not_watched_and_keeps_nothing(self) -> None:
        watch = self.watch()
        self.connection.closing = True
        watch.held()
        watch.keep(5)
        self.assertEqual((self.node.clock.getDelayedCalls(), self.node.load.held), ([], 0))

    def test_receipts_count_until_the_turn_ends_if_the_client_reads(self) -> None:
        watch = self.watch()
        for _ in range(2):
            with self.node.turn:
                watch.keep(5)
                watch.keep(7)
                self.assertEqual(self.node.load.held, 12)
            self.assertEqual(self.node.load.held, 0)

    def test_receipts_count_until_they_are_read_or_the_client_is_gone(self) -> None:
        for end in ("drained", "stop"):
            watch = self.watch()
            with self.node.turn:
                watch.keep(5)
                self.connection.paused = True
            with self.node.turn:
                watch.keep(7)
            self.assertEqual(self.node.load.held, 12)
            getattr(watch, end)()
            self.assertEqual(self.node.load.held, 0)


class FollowingsTests(NodeCase):
    def followings(self, **limits: Any) -> Followings:
        self.make(**limits)
        return Followings(self.node, self.connection)

    def test_a_client_may_follow_16_times_and_no_more(self) -> None:
        followings = self.followings()
        for rid in range(1, 17):
            followings.begin(Follow(rid, ""))
        error = self.assertRaises(Busy, followings.begin, Follow(17, ""))
        self.assertEqual(str(error), "a client may have at most 16 followings")
        self.assertEqual((len(followings), self.node.followers), (16, 1))
        followings.end(1)
        followings.begin(Follow(17, ""))
        self.assertEqual(len(followings), 16)

    def test_the_node_is_followed_as_long_as_the_client_follows_something(self) -> None:
        followings = self.followings()
        followings.begin(Follow(1, ""))
        followings.begin(Follow(2, ""))
        followings.end(1)
        followings.end(7)
        self.assertEqual(self.node.followers, 1)
        followings.end(2)
        self.assertEqual(self.node.followers, 0)
        followings.end(2)
        followings.stop()
        self.assertEqual(self.node.followers, 0)
        followings.begin(Follow(3, ""))
        self.assertEqual(self.node.followers, 1)

    def test_nothing_more_is_sent_once_the_followings_are_cleared(self) -> None:
        followings = self.followings()
        followings.begin(Follow(1, ""))
        followings.clear()
        self.node.record(1)
        followings.pump()
        self.assertEqual((len(followings), self.connection.sent), (0, []))
        followings.stop()
        self.assertEqual(self.node.followers, 0)

    def test_a_client_is_told_once_that_it_has_everything_if_it_asked_for_an_order(self) -> None:
        followings = self.followings()
        followings.begin(Follow(1, "", "origin"))
        followings.begin(Follow(2, ""))
        self.assertEqual(self.connection.sent, [Ordered(1, [], False)])
        followings.pump()
        self.assertEqual(len(self.connection.sent), 1)
        self.node.record(1)
        followings.pump()
        self.assertEqual([type(each) for each in self.connection.sent[1:]], [Ordered, Messages])
        self.assertEqual([each.rid for each in self.connection.sent], [1, 1, 2])
        self.assertEqual(self.connection.flushes, 3)

    def test_a_place_far_behind_in_the_log_is_looked_for_in_several_turns(self) -> None:
        followings = self.followings()
        for number in range(1, 601):
            last = self.node.record(number)
        followings.begin(Follow(1, last, "origin"))
        for _ in range(2):
            self.assertEqual(self.connection.sent, [])
            self.assertEqual(len(self.node.clock.getDelayedCalls()), 1)
            followings.pump()
        self.assertEqual(self.connection.sent, [Ordered(1, [], False)])
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_a_long_history_is_sent_to_its_end_and_only_the_last_reply_says_so(self) -> None:
        followings = self.followings()
        for number in range(1, 601):
            self.node.record(number)
        followings.begin(Follow(1, ""))
        sent = [(len(each.messages), each.more) for each in self.connection.sent]
        self.assertEqual(sent, [(256, True), (256, True), (88, False)])

    def test_nothing_is_read_for_a_client_that_does_not_read_or_is_being_closed(self) -> None:
        for state in ("paused", "closing"):
            followings = self.followings()
            self.node.record(1)
            setattr(self.connection, state, True)
            followings.begin(Follow(1, "", "origin"))
            self.assertEqual(self.connection.sent, [])
            self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_what_is_held_back_for_a_missing_message_is_sent_when_its_time_has_come(self) -> None:
        followings = self.followings(order_wait_s=3)
        followings.begin(Follow(1, "", "origin"))
        self.node.record(2)
        followings.pump()
        self.assertEqual(len(self.connection.sent), 1)
        (call,) = self.node.clock.getDelayedCalls()
        self.assertEqual(call.getTime(), 3.0)
        self.node.clock.advance(3)
        entries = self.connection.sent[-1].entries
        self.assertEqual([entry.record is None for entry in entries], [True, False])
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_a_following_that_ends_takes_its_alarm_with_it(self) -> None:
        followings = self.followings(order_wait_s=3)
        followings.begin(Follow(1, "", "origin"))
        self.node.record(2)
        followings.pump()
        followings.end(1)
        self.assertEqual(self.node.clock.getDelayedCalls(), [])
        followings.stop()
        followings.begin(Follow(2, "", "origin"))
        self.assertEqual(len(self.node.clock.getDelayedCalls()), 1)


class DeliveryTests(NodeCase):
    """What the program's own subscribers are given."""

    def delivery(self, callback: Any, since: str | None = "", order: str = "received") -> Delivery:
        reader = open_reader(self.node, order, since)
        return Delivery(self.node, reader, callback, self.ended.append)

    def setUp(self) -> None:
        self.make(order_wait_s=3)
        self.ended: list[Delivery] = []
        self.heard: list[str] = []

    def hear(self, record: Any) -> None:
        self.heard.append(record.id[-1])

    def test_what_is_kept_comes_in_the_next_turn_and_what_is_new_when_it_is_told_of(self) -> None:
        self.node.record(1)
        delivery = self.delivery(self.hear)
        self.assertEqual(self.heard, [])
        self.node.clock.advance(0)
        self.assertEqual(self.heard, ["1"])
        self.node.record(2)
        self.node.told()
        self.assertEqual((self.heard, self.node.clock.getDelayedCalls()), (["1", "2"], []))
        delivery.stop()
        delivery.stop()
        self.assertEqual((self.node.followers, self.ended[0]), (-1, delivery))
        self.node.record(3)
        self.node.told()
        self.node.clock.advance(0)
        self.assertEqual(self.heard, ["1", "2"])

    def test_a_long_history_comes_to_its_end_although_nothing_new_is_recorded(self) -> None:
        for number in range(1, 601):
            self.node.record(number)
        self.delivery(self.hear)
        counts = []
        for _ in range(4):
            self.node.clock.advance(0)
            counts.append(len(self.heard))
        self.assertEqual((counts[-1], self.heard), (600, [str(n)[-1] for n in range(1, 601)]))
        self.assertEqual(self.node.clock.getDelayedCalls(), [])

    def test_a_coroutine_is_waited_for_before_the_next_message(self) -> None:
        gates: list[Deferred[None]] = []

        async def callback(record: Any) -> None:
            self.hear(record)
            gates.append(Deferred())
            await gates[-1]

        for number in (1, 2, 3):
            self.node.record(number)
        self.delivery(callback)
        for count in (1, 2, 3):
            self.node.clock.advance(0)
            self.node.told()
            self.assertEqual(len(self.heard), count)
            gates[-1].callback(None)
            self.assertEqual(len(self.heard), count)
        self.node.clock.advance(0)
        self.assertEqual((self.heard, self.node.clock.getDelayedCalls()), (["1", "2", "3"], []))

    def test_what_is_held_back_comes_when_its_time_has_come(self) -> None:
        self.node.record(2)
        entries: list[Any] = []
        self.delivery(entries.append, order="origin")
        self.node.clock.advance(0)
        self.assertEqual(entries, [])
        self.node.clock.advance(2.75)
        self.assertEqual(entries, [])
        self.node.clock.advance(0.25)
        self.assertEqual([entry.record is None for entry in entries], [True, False])

    def test_a_subscription_that_cannot_go_on_ends_with_the_reason_in_the_log(self) -> None:
        self.node.log = MemoryLog(max_messages=2)
        delivery = self.delivery(self.hear)
        self.node.clock.advance(0)
        for number in range(1, 6):
            self.node.record(number)
        self.node.told()
        self.assertEqual(self.ended, [delivery])
        (line,) = self.node.lines
        self.assertTrue(line.startswith("me: a subscription has ended: 3 messages were"), line)

    def test_a_callback_that_stops_its_subscription_is_called_no_more(self) -> None:
        for number in (1, 2):
            self.node.record(number)

        def callback(record: Any) -> None:
            self.hear(record)
            delivery.stop()

        delivery = self.delivery(callback)
        self.node.clock.advance(0)
        self.assertEqual((self.heard, self.node.clock.getDelayedCalls()), (["1"], []))


class ReadingTests(NodeCase):
    def test_an_unknown_order_is_told_in_20_letters_and_an_unknown_message_in_120(self) -> None:
        self.make()
        rows = [
            (lambda: open_reader(self.node, "x" * 30, ""), f"order '{'x' * 20}' is not known;"),
            (lambda: open_reader(self.node, "origin", "x" * 130), f"no message '{'x' * 120}' is"),
            (lambda: trace_of(self.node, "x" * 130), f"'{'x' * 120}' is not a message id"),
        ]
        for read, expected in rows:
            error = self.assertRaises(LocalProtocolError, read)
            self.assertTrue(str(error).startswith(expected), str(error))

    def test_a_message_dropped_before_the_reader_began_is_not_missed_by_it(self) -> None:
        self.make()
        self.node.log = MemoryLog(max_messages=4)
        for number in range(1, 8):
            self.node.record(number)
        self.assertGreaterEqual(self.node.log.dropped_to, 0)
        reader = open_reader(self.node, "received", "")
        entries, more = reader.read()
        self.assertEqual(([each.id[-1] for each in entries], more), (["4", "5", "6", "7"], False))

    def test_messages_are_read_from_the_log_once_and_not_again_to_be_sent(self) -> None:
        self.make()
        self.node.log = log = CountedLog()
        for number in range(1, 301):
            self.node.record(number)
        reader = open_reader(self.node, "origin", "")
        self.assertEqual([len(reader.read()[0]) for _ in range(2)], [256, 44])
        self.assertEqual(log.reads, [(-1, 256), (255, 256)])

    def test_a_restarted_node_looks_back_256_messages_at_a_time(self) -> None:
        self.make()
        self.node.log = log = CountedLog()
        for number in range(1, 601):
            self.node.clock.advance(1)
            self.node.record(number)
        for since, found, expected in (
            (601.0, 0, [(343, 256)]),
            (345.0, 256, [(343, 256), (87, 256)]),
            (344.0, 257, [(343, 256), (87, 256)]),
            (0.0, 600, [(343, 256), (87, 256), (-169, 256)]),
        ):
            log.reads.clear()
            recent = recent_messages(self.node.log, since)
            self.assertEqual((len(recent), log.reads), (found, expected), since)

    def test_there_is_more_until_all_are_read_or_as_many_as_are_wanted(self) -> None:
        self.make()
        for number in range(1, 513):
            self.node.record(number)
        rows: list[tuple[int | None, list[tuple[int, bool]]]] = [
            (None, [(256, True), (256, False), (0, False)]),
            (255, [(255, False)]),
            (256, [(256, False)]),
            (257, [(256, True)]),
            (1, [(1, False)]),
        ]
        for limit, expected in rows:
            reader = ReceivedReader(self.node, -1)
            read = [reader.read(limit) for _ in expected]
            self.assertEqual([(len(found), more) for found, more in read], expected, limit)


class TableTests(SynchronousTestCase):
    def test_the_replies_that_may_be_long_are_those_with_lists(self) -> None:
        long = {call.request.__name__ for call in CALLS if call.long}
        lists = {
            "GetMessages", "GetHistory", "GetTrails", "GetStoreState", "GetHeldKeys", "GetMembers",
            "GetCertificates",
        }  # fmt: skip
        self.assertEqual(long, lists)


class SessionTests(ServiceCase):
    def client_end(self, *says: Any) -> Any:
        end = self.network.connect("10.9.9.9:1", self.address(1), Factory.forProtocol(Requesting))
        end.say(client_hello(""), *says)
        self.network.run(0.05)
        return end

    def test_a_goodbye_is_answered_with_its_code_of_20_letters_at_most(self) -> None:
        self.ring(1)
        for code in ("leaving", "x" * 20, "x" * 19 + "yz"):
            end = self.client_end(Bye(code, "text"))
            self.assertEqual(end.replies, [Bye(code[:20])])
            self.assertTrue(end.closed)

    def test_what_comes_behind_a_goodbye_is_not_answered(self) -> None:
        self.ring(1)
        end = self.client_end(Bye("leaving"), GetStatus(1))
        self.assertEqual(end.replies, [Bye("leaving")])

    def test_as_many_messages_are_returned_as_were_asked_for_and_all_for_none(self) -> None:
        (service,) = self.ring(1)
        for number in range(4):
            self.result(service.broadcast(f"m{number}"), 0.01)
        limits = (1, 2, 4, 5, 0, -1)
        end = self.client_end(*[GetMessages(rid, limit, "") for rid, limit in enumerate(limits)])
        self.assertEqual([len(reply.messages) for reply in end.replies], [1, 2, 4, 4, 4, 4])
        self.assertEqual([reply.more for reply in end.replies], [False] * 6)
        self.assertEqual(end.replies[0].messages[0].body, "m3")

    def test_followers_in_the_order_received_get_a_long_history_at_once_and_then_hear_of_its_end(
        self,
    ) -> None:
        (service,) = self.ring(1)
        for number in range(600):
            self.result(service.broadcast(f"m{number}"), 0.002)
        expected = [f"m{number}" for number in range(600)]
        heard: list[Any] = []
        client = self.client(1)
        client.follow(
            lambda each: heard.append(each.body), caught_up=lambda: heard.append("caught up")
        )
        told: list[str] = []
        service.subscribe(lambda each: told.append(each.body), since="")
        self.network.run(0.1)
        self.assertEqual(heard, [*expected, "caught up"])
        self.assertEqual(told, expected)

    def test_what_breaks_a_rule_is_told_when_it_is_read_however_long_it_waited(self) -> None:
        (service,) = self.ring(1)
        for number in range(40):
            self.result(service.broadcast(f"{number:04}" + "x" * 4000), 0.002)
        end = self.client_end()
        end.transport.pauseProducing()
        end.say(*[GetMessages(rid, 40, "") for rid in range(1, 11)])
        end.transport.write(b"\x00\x00\x00\x01\xc1")
        self.network.run(0.1)
        self.assertEqual(len(self.network.connections), 1)
        end.transport.resumeProducing()
        self.network.run(1)
        self.assertEqual([type(each) for each in end.replies], [Messages] * 10 + [Bye])
        self.assertEqual(end.replies[-1].code, "protocol")
        self.assertEqual(self.network.connections, [])

    def test_so_many_requests_may_be_in_flight_and_one_more_is_told_how_many(self) -> None:
        self.ring(2, limits=NetworkLimits(client_in_flight=2))
        self.network.frozen.add(self.address(2))
        end = self.client_end(*[SendMessage(rid, f"m{rid}") for rid in (2, 3, 4, 5)])
        told = [reply.text for reply in end.replies if hasattr(reply, "code")]
        self.assertEqual(told, ["2 requests are in flight already"] * 2)
        end.transport.abortConnection()


class Requesting(Scripted):
    """A client that keeps the replies."""

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[Any] = []
        self._frames = FrameDecoder(FRAME_LIMIT, FRAME_LIMIT)
        self._welcomed = False

    def dataReceived(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            if self._welcomed:
                self.replies.append(read_reply(frame))
            self._welcomed = True
