"""Where the limits of a client's calls begin and end, and what it says when something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.client.calls import error_of
from chordnet.client.channel import _frame
from chordnet.client.following import Following, Listing
from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    ConnectFailed,
    LocalProtocolError,
    NotInRing,
    Refused,
    RemoteProtocolError,
    TimedOut,
)
from chordnet.net.base.limits import NetworkLimits
from chordnet.wire.codec import encode_frame, frame_limit
from chordnet.wire.greeting import VERSION, Bye, Refuse, Welcome
from chordnet.wire.rpc import (
    Done,
    Failure,
    GetStatus,
    GetTrace,
    MessageGap,
    MessageRecord,
    Messages,
    Ordered,
    OrderedEntry,
    Receipt,
)
from tests.net.hosts import node_ref
from tests.net.test_client_addresses import AddressesCase
from tests.net.test_transport_edges import Scripted

STATUS = len(encode_frame(GetStatus(1)))
"""Bytes of a request for the status."""


class RoomTests(AddressesCase):
    def outcomes(self, room: int, calls: int) -> list[str]:
        """Return what becomes of calls of a client before there is a connection."""
        client = self.client_of(9, limits=NetworkLimits(send_buffer_bytes=room))
        waiting = [client.status() for _ in range(calls)]
        return [type(getattr(each, "result", None)).__name__ for each in self.peek(waiting)]

    def peek(self, waiting: list[Deferred[Any]]) -> list[Deferred[Any]]:
        for each in waiting:
            each.addErrback(lambda failure: failure.value)
        return waiting

    def test_what_waits_for_a_connection_may_fill_its_room_to_the_last_byte(self) -> None:
        taken, busy = "NoneType", "Busy"
        self.assertEqual(self.outcomes(3 * STATUS, 4), [taken, taken, taken, busy])
        self.assertEqual(self.outcomes(3 * STATUS - 1, 4), [taken, taken, busy, busy])

    def test_a_request_for_which_nothing_has_to_wait_is_taken_however_long_it_is(self) -> None:
        self.assertEqual(self.outcomes(1, 2), ["NoneType", "Busy"])

    def test_a_client_that_is_one_request_too_far_is_told_how_much_waits_and_for_which_node(
        self,
    ) -> None:
        client = self.client_of(9, limits=NetworkLimits(send_buffer_bytes=2 * STATUS))
        self.peek([client.status(), client.status()])
        self.assertEqual(
            self.failure(client.status(), Busy, 0),
            f"{2 * STATUS} bytes of requests wait for 10.0.0.9:7001 to take them;"
            " retry after a moment",
        )

    def test_a_request_that_was_given_up_makes_exactly_its_own_room(self) -> None:
        client = self.client_of(9, limits=NetworkLimits(send_buffer_bytes=2 * STATUS))
        first, second = self.peek([client.status(), client.status()])
        first.cancel()
        third, fourth = self.peek([client.status(), client.status()])
        self.assertIsInstance(fourth.result, Busy)
        self.assertFalse(second.called or third.called)

    def test_a_connection_that_was_made_and_lost_leaves_all_the_room_that_there_was(self) -> None:
        self.ring(1)
        client = self.client_of(1, limits=NetworkLimits(send_buffer_bytes=2 * STATUS))
        self.result(client.status())
        self.cut(client)
        self.network.run(0.01)
        first, second, third = self.peek([client.status() for _ in range(3)])
        self.assertFalse(first.called or second.called)
        self.assertIsInstance(third.result, Busy)

    def test_a_request_may_be_as_long_as_a_node_takes_and_no_longer(self) -> None:
        longest = frame_limit(65536)
        overhead = len(encode_frame(GetTrace(1, "x" * 100_000))) - 100_000 - 4
        fits = "x" * (longest - overhead)
        self.assertEqual(len(_frame(GetTrace(1, fits))), longest + 4)
        error = self.assertRaises(LocalProtocolError, _frame, GetTrace(1, fits + "x"))
        self.assertEqual(
            str(error), f"GetTrace has {longest + 5} bytes, at most {longest} can be sent"
        )


class WordsTests(AddressesCase):
    def test_a_call_that_is_not_answered_in_time_names_the_node_or_all_that_were_tried(
        self,
    ) -> None:
        self.service(1)
        self.service(2)
        self.network.unreachable |= {self.address(8), self.address(9)}
        one, two, eight, nine = (self.address(n) for n in (1, 2, 8, 9))
        rows = [
            ((9,), False, f"{nine} did not answer within 0.5 s"),
            ((9, 8), False, f"none of {nine}, {eight} answered within 0.5 s"),
            ((1,), True, f"{one} did not answer within 0.5 s"),
            ((2, 1), True, f"{two} did not answer within 0.5 s"),
        ]
        for numbers, connected, expected in rows:
            client = self.client_of(*numbers, timeout_s=0.5)
            if connected:
                self.result(client.status())
                self.network.frozen.add(client.address)
            self.assertEqual(self.failure(client.status(), TimedOut), expected)
            client.close()

    def test_when_no_address_can_be_used_each_has_its_own_reason(self) -> None:
        self.network.bind("10.0.0.1:7001", Factory.forProtocol(lambda: Scripted(REFUSAL)))
        none = "none of 2 addresses can be used: "
        refused = "10.0.0.1:7001 refused this client: go away"
        declined = "10.0.0.9:7001: Connection was refused by other side"
        listens = "; does a node listen there?"
        rows = [
            ((1,), Refused, f"{refused}."),
            ((9,), ConnectFailed, f"cannot connect to {declined}{listens}"),
            ((1, 9), ConnectFailed, f"{none}{refused}; {declined}"),
            ((1, 1), Refused, f"{none}{refused}; {refused}"),
        ]
        for numbers, kind, expected in rows:
            client = self.client_of(*numbers)
            error = self.result(client.status()).value
            self.assertEqual((type(error), str(error)), (kind, expected))

    def test_a_failure_is_the_exception_that_it_names_and_a_plain_one_if_it_names_none(
        self,
    ) -> None:
        rows = [
            ("NotInRing", NotInRing),
            ("Busy", Busy),
            ("ChordnetError", ChordnetError),
            ("NoSuchError", ChordnetError),
            ("", ChordnetError),
            ("annotations", ChordnetError),
            ("__name__", ChordnetError),
            ("__builtins__", ChordnetError),
        ]
        for code, kind in rows:
            error = error_of(Failure(1, code, "the text"))
            self.assertEqual((type(error), str(error)), (kind, "the text"), code)


REFUSAL = Refuse("full", "go away.")
WELCOME = Welcome(VERSION, node_ref("Node 1", "10.0.0.1:7001"), "", 160)


class ReceiptTests(AddressesCase):
    def test_the_receipt_of_a_message_that_nobody_waits_for_is_empty(self) -> None:
        self.ring(1)
        found = self.result(self.client(1).send_message("apple", wait=False))
        self.assertEqual(found, Receipt("", "apple", 0, 0, 0, 0, 0.0, False, []))


class ScriptedNodeTests(AddressesCase):
    """What a client makes of a node that answers from a script."""

    def setUp(self) -> None:
        super().setUp()
        self.ends: list[Scripted] = []

        def build() -> Scripted:
            self.ends.append(Asked())
            return self.ends[-1]

        self.network.bind("10.0.0.1:7001", Factory.forProtocol(build))

    def asked(self, *numbers: int) -> tuple[Any, Deferred[Any], Scripted]:
        """Return a client, its call under way, and the node's end of the connection."""
        client = self.client_of(*(numbers or (1,)))
        waiting = client.leave()
        self.network.run(0.05)
        return client, waiting, self.ends[-1]

    def test_requests_are_numbered_from_one_on(self) -> None:
        client, waiting, end = self.asked()
        others = [client.leave() for _ in range(2)]
        self.network.run(0.01)
        self.assertEqual(end.asked, 3)
        end.say(Done(3), Done(1), Done(2))
        self.network.run(0.01)
        for each in (waiting, *others):
            self.assertIsNone(self.successResultOf(each))

    def test_a_reply_to_a_request_that_nobody_waits_for_is_dropped(self) -> None:
        _client, waiting, end = self.asked()
        end.say(Done(0), Failure(2, "Busy", "x"), Messages(7, [], False), Done(1))
        self.assertIsNone(self.result(waiting))

    def test_a_reply_of_another_kind_fails_its_call_with_the_name_of_what_came(self) -> None:
        _client, waiting, end = self.asked()
        end.say(Messages(1, [], False))
        self.assertEqual(self.failure(waiting, RemoteProtocolError), "an unexpected Messages came")

    def test_a_goodbye_without_a_text_is_told_by_its_code_and_one_with_a_text_by_that(
        self,
    ) -> None:
        for bye, told in (
            (Bye("leaving"), "the node said goodbye (leaving)"),
            (Bye("slow", "too slow"), "too slow"),
        ):
            _client, waiting, end = self.asked()
            end.say(bye)
            self.assertEqual(
                self.failure(waiting, ConnectFailed),
                f"the connection with 10.0.0.1:7001 ended: {told}",
            )
            self.assertTrue(end.closed)

    def test_what_comes_behind_a_goodbye_is_not_read(self) -> None:
        _client, waiting, end = self.asked()
        end.say(Bye("leaving"), Done(1))
        self.failure(waiting, ConnectFailed)

    def test_bytes_that_are_no_reply_end_the_connection_and_fail_the_call(self) -> None:
        _client, waiting, end = self.asked()
        end.transport.write(b"\x00\x00\x00\x01\xc1")
        self.assertIn("malformed", self.failure(waiting, ConnectFailed))
        self.assertTrue(end.closed)

    def test_a_node_that_reads_too_slowly_is_cut_off_and_every_call_is_told(self) -> None:
        client = self.client_of(1, limits=NetworkLimits(send_buffer_bytes=100))
        waiting = [client.leave()]
        self.network.run(0.05)
        self.network.frozen.add(self.address(1))
        for _ in range(3):
            waiting.append(client.trace("x" * 60_000))
            self.network.run(0.01)
        told = "the connection with 10.0.0.1:7001 ended: the node reads too slowly"
        for each in waiting:
            self.assertEqual(self.failure(each, ConnectFailed, 0), told)

    def test_a_closed_client_says_goodbye_and_its_calls_fail(self) -> None:
        client, waiting, end = self.asked()
        closed = client.close()
        self.assertEqual(
            self.failure(waiting, ConnectFailed, 0), "the client for 10.0.0.1:7001 was closed"
        )
        self.assertFalse(closed.called)
        self.assertIsNone(self.result(closed))
        self.assertEqual(end.byes, [Bye("leaving")])
        self.assertTrue(end.closed)

    def test_a_client_that_is_not_connected_is_closed_at_once(self) -> None:
        self.assertIsNone(self.successResultOf(self.client_of(1).close()))

    def test_what_was_wrong_with_an_address_is_forgotten_once_a_node_has_replied(self) -> None:
        client, waiting, end = self.asked(9, 1)
        end.say(Done(1))
        self.result(waiting)
        self.cut(client)
        again = client.leave()
        text = self.failure(again, ConnectFailed)
        self.assertIn("10.0.0.1:7001: the connection ended: it broke; 10.0.0.9:7001: Conn", text)
        self.assertEqual(self.dialled, [self.address(n) for n in (9, 1, 9)])

    def test_a_following_is_ended_once_however_often_it_is_stopped(self) -> None:
        client, waiting, end = self.asked()
        following = client.follow(lambda _message: None)
        self.network.run(0.01)
        self.assertEqual(end.asked, 2)
        for _ in range(3):
            following.stop()
        self.network.run(0.01)
        self.assertEqual(end.asked, 3)
        end.say(Done(1))
        self.result(waiting)

    def test_a_following_may_be_stopped_by_one_whose_call_the_lost_connection_has_failed(
        self,
    ) -> None:
        client, waiting, _end = self.asked()
        following = client.follow(lambda _message: None)
        self.network.run(0.01)
        waiting.addErrback(lambda _failure: following.stop())
        self.cut(client)
        self.assertIsNone(self.result(waiting))
        self.assertIsNone(self.successResultOf(following.finished))

    def test_a_following_that_the_node_has_ended_is_forgotten(self) -> None:
        client, waiting, end = self.asked()
        following = client.follow(lambda _message: None)
        end.say(Failure(2, "LocalProtocolError", "no such message"), Done(1))
        self.result(waiting)
        self.assertEqual(self.failure(following.finished, LocalProtocolError), "no such message")
        self.assertEqual(client._channel._follows, {})
        following.stop()
        self.network.run(0.01)
        self.assertEqual(end.asked, 2)

    def test_a_following_for_which_there_is_no_room_fails_by_itself(self) -> None:
        client = self.client_of(1, limits=NetworkLimits(send_buffer_bytes=1))
        client.status().addErrback(lambda _failure: None)
        self.failure(client.follow(lambda _message: None).finished, Busy, 0)

    def test_a_connection_that_broke_is_followed_by_the_next_address_even_if_nothing_waits(
        self,
    ) -> None:
        rows = [(None, 2), (Bye("idle"), 1), (Bye("leaving"), 2), (Bye("slow"), 2)]
        for bye, number in rows:
            client, waiting, end = self.asked(1, 2)
            end.say(Done(1))
            self.result(waiting)
            if bye is None:
                self.cut(client)
            else:
                end.say(bye)
            self.network.run(0.05)
            self.assertEqual(client.address, self.address(number), bye)


class Asked(Scripted):
    """Welcomes a client and counts its requests."""

    def __init__(self) -> None:
        super().__init__(WELCOME)
        self.asked = 0
        self.byes: list[Bye] = []

    def dataReceived(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            if self.answer is not None:
                self.say(self.answer)
                self.answer = None
            elif frame[1] == 63:
                self.byes.append(self._read.decode(frame))
            else:
                self.asked += 1


def entry(number: int) -> OrderedEntry:
    return OrderedEntry(MessageRecord(f"id-{number}", "body", 1.0, 2.0, []))


def gap(number: int) -> OrderedEntry:
    return OrderedEntry(None, gap=MessageGap("0a", "Node 1", 1, number, number, dropped=False))


class FakeChannel:
    """Notes what is unfollowed."""

    def __init__(self) -> None:
        self.unfollowed: list[int] = []

    def unfollow(self, rid: int) -> None:
        self.unfollowed.append(rid)


class FollowingTests(SynchronousTestCase):
    def following(
        self, callback: Callable[[Any], object], *, order: str = "received",
        caught_up: Callable[[], object] = lambda: None,
    ) -> Following:  # fmt: skip
        self.channel = FakeChannel()
        return Following(self.channel, 5, callback, caught_up, order)  # type: ignore[arg-type]

    def test_the_program_is_told_when_there_is_nothing_more_and_not_before(self) -> None:
        heard: list[object] = []
        following = self.following(
            lambda e: heard.append(e.record.id), order="origin",
            caught_up=lambda: heard.append("caught up"),
        )  # fmt: skip
        following.received(Ordered(5, [entry(1)], True))
        self.assertEqual(heard, ["id-1"])
        following.received(Ordered(5, [entry(2)], False))
        self.assertEqual(heard, ["id-1", "id-2", "caught up"])

    def test_a_callback_that_stops_its_following_hears_nothing_more_of_the_same_reply(self) -> None:
        heard: list[object] = []

        def callback(each: OrderedEntry) -> None:
            heard.append(each)
            following.stop()

        following = self.following(
            callback, order="origin", caught_up=lambda: heard.append("caught up")
        )
        following.received(Ordered(5, [entry(1), entry(2)], False))
        self.assertEqual(heard, [entry(1)])
        self.assertEqual(self.channel.unfollowed, [5])
        self.assertIsNone(self.successResultOf(following.finished))

    def test_a_callback_that_stops_its_following_at_the_last_message_is_not_told_of_the_end(
        self,
    ) -> None:
        heard: list[object] = []
        following = self.following(
            lambda _each: following.stop(), order="origin",
            caught_up=lambda: heard.append("caught up"),
        )  # fmt: skip
        following.received(Ordered(5, [entry(1)], False))
        self.assertEqual(heard, [])

    def test_a_callback_that_raises_ends_the_following_with_what_it_raised(self) -> None:
        following = self.following(lambda _each: 1 // 0, order="origin")
        following.received(Ordered(5, [entry(1)], True))
        self.failureResultOf(following.finished, ZeroDivisionError)
        self.assertEqual(self.channel.unfollowed, [5])

    def test_a_coroutine_is_no_callback_and_is_told_so(self) -> None:
        async def callback(_each: object) -> None:
            pass

        following = self.following(callback, order="origin")
        following.received(Ordered(5, [entry(1)], True))
        failed = self.failureResultOf(following.finished, LocalProtocolError)
        self.assertIn("must be a plain function, not async def", failed.getErrorMessage())

    def test_a_node_too_old_for_the_order_asked_for_ends_the_following(self) -> None:
        following = self.following(lambda _each: None, order="origin")
        following.received(Messages(5, [], False))
        failed = self.failureResultOf(following.finished, RemoteProtocolError)
        self.assertEqual(
            failed.getErrorMessage(), "the node's program is too old for per-origin order"
        )
        self.assertEqual(self.channel.unfollowed, [5])

    def test_the_first_end_of_a_following_is_the_one_that_counts(self) -> None:
        following = self.following(lambda _each: None)
        following.ended(Busy("first"))
        following.ended(NotInRing("second"))
        following.stop()
        self.failureResultOf(following.finished, Busy)

    def test_a_following_whose_deferred_is_cancelled_is_stopped(self) -> None:
        following = self.following(lambda _each: None)
        following.finished.addErrback(lambda _failure: None)
        following.finished.cancel()
        self.assertEqual(self.channel.unfollowed, [5])


class Fed:
    """A client whose followings are fed by hand."""

    address = "10.0.0.1:7001"

    def __init__(self) -> None:
        self.channel = FakeChannel()

    def follow(
        self, callback: Callable[[Any], object], since: str, order: str,
        caught_up: Callable[[], object],
    ) -> Following:  # fmt: skip
        self.since, self.order = since, order
        self.following = Following(self.channel, 5, callback, caught_up, "origin")
        return self.following


class ListingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.fed = Fed()

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def listing(self, limit: int, since: str = "") -> Deferred[list[OrderedEntry]]:
        fed: Any = self.fed
        return Listing(fed, limit, since, self.clock, 2.5).finished

    def test_the_newest_or_with_a_place_the_first_so_many_messages_with_the_gaps_between(
        self,
    ) -> None:
        m1, m2, m3, g1, g2 = entry(1), entry(2), entry(3), gap(1), gap(2)
        fed = [g1, m1, g2, m2, m3]
        rows = [
            (0, "", fed),
            (1, "", [m3]),
            (2, "", [g2, m2, m3]),
            (3, "", fed),
            (4, "", fed),
            (0, "x", fed),
            (1, "x", [g1, m1]),
            (2, "x", [g1, m1, g2, m2]),
            (3, "x", fed),
            (4, "x", fed),
        ]
        for limit, since, expected in rows:
            with self.subTest(f"{limit} {since}"):
                finished = self.listing(limit, since)
                self.assertEqual((self.fed.since, self.fed.order), (since, "origin"))
                self.fed.following.received(Ordered(5, fed[:2], True))
                self.fed.following.received(Ordered(5, fed[2:], False))
                self.assertEqual(self.successResultOf(finished), expected)

    def test_gaps_at_the_end_belong_to_the_newest_messages(self) -> None:
        finished = self.listing(1)
        self.fed.following.received(Ordered(5, [entry(1), entry(2), gap(1)], False))
        self.assertEqual(self.successResultOf(finished), [entry(2), gap(1)])

    def test_a_log_with_nothing_but_gaps_is_listed(self) -> None:
        finished = self.listing(1)
        self.fed.following.received(Ordered(5, [gap(1), gap(2)], False))
        self.assertEqual(self.successResultOf(finished), [gap(1), gap(2)])

    def test_a_node_may_take_its_time_for_every_entry_anew_and_no_longer(self) -> None:
        finished = self.listing(0)
        for number in range(3):
            self.clock.advance(2.25)
            self.fed.following.received(Ordered(5, [entry(number)], True))
        self.clock.advance(2.25)
        self.assertNoResult(finished)
        self.clock.advance(0.25)
        failed = self.failureResultOf(finished, TimedOut)
        self.assertEqual(failed.getErrorMessage(), "10.0.0.1:7001 did not answer within 2.5 s")
        self.assertEqual(self.fed.channel.unfollowed, [5])

    def test_a_following_that_fails_fails_the_listing(self) -> None:
        finished = self.listing(0)
        self.fed.following.ended(ConnectFailed("gone"))
        self.failureResultOf(finished, ConnectFailed)

    def test_a_listing_that_is_cancelled_ends_its_following(self) -> None:
        finished = self.listing(0)
        finished.addErrback(lambda _failure: None)
        finished.cancel()
        self.assertEqual(self.fed.channel.unfollowed, [5])
