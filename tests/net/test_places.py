"""Places of connections that have not greeted: who has one, who gives way, who is turned away."""

from __future__ import annotations

import random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.net.guard.places import FAILURES_PER_S, MOST_FAILURES, MOST_HOSTS, SHARED_S, Places
from chordnet.trust.base.subjects import Subject
from chordnet.wire.codec import encode_frame
from chordnet.wire.greeting import CLIENT, Hello, Refuse
from tests.net.hosts import node_ref
from tests.net.test_door import B, DoorCase


class Guest:
    """A connection that has not greeted."""

    def __init__(self, places: Places, host: str, since: float, *, silent: bool = True) -> None:
        self.host = host
        self.since = since
        self.silent = silent
        self.turned_away = ""
        self._places = places

    def turn_away(self, reason: str) -> None:
        self.turned_away = reason
        self._places.leave(self, failed=True)

    def abort(self) -> None:
        self._places.leave(self)


class PlacesCase(SynchronousTestCase):
    most = 8

    def setUp(self) -> None:
        self.clock = Clock()
        self.places = Places(self.most, self.clock.seconds)

    def come(self, host: str, *, silent: bool = True) -> Guest | None:
        """Return a new guest from ``host``, or None if it is turned away."""
        if not self.places.make_room(host):
            return None
        guest = Guest(self.places, host, self.clock.seconds(), silent=silent)
        self.places.take(guest)
        return guest

    def let_in(self, host: str) -> None:
        guest = self.come(host)
        assert guest is not None
        self.places.leave(guest, let_in=True)

    def fail_greetings(self, host: str, times: int) -> int:
        """Have connections come and fail; return how many had a place."""
        had = 0
        for _ in range(times):
            guest = self.come(host)
            if guest is not None:
                had += 1
                self.places.leave(guest, failed=True)
        return had


class ShareTests(PlacesCase):
    def test_a_host_has_half_of_the_places_and_others_have_the_rest(self) -> None:
        self.assertEqual([self.come("h") is not None for _ in range(5)], [True] * 4 + [False])
        self.assertEqual([self.come("i") is not None for _ in range(5)], [True] * 4 + [False])
        self.assertEqual(len(self.places), 8)

    def test_an_only_place_is_not_halved(self) -> None:
        self.places = Places(1, self.clock.seconds)
        self.assertIsNotNone(self.come("h"))
        self.assertIsNone(self.come("h"))

    def test_a_hosts_own_silent_connection_gives_way_when_its_half_is_full(self) -> None:
        self.come("i")
        first = self.come("h", silent=False)
        second = self.come("h")
        self.come("h")
        self.come("h")
        self.clock.advance(0.999)
        self.assertIsNone(self.come("h"))
        self.clock.advance(0.001)
        self.assertIsNotNone(self.come("h"))
        assert first is not None
        assert second is not None
        self.assertEqual(first.turned_away, "")
        self.assertEqual(second.turned_away, "too many connections are waiting to greet")

    def test_loopback_and_addresses_without_a_host_have_all_the_places(self) -> None:
        for host in ("127.0.0.1", "127.4.5.6", "::1", "::ffff:127.0.0.1", ""):
            self.setUp()
            got = [self.come(host) is not None for _ in range(9)]
            self.assertEqual(got, [True] * 8 + [False], host)

    def test_an_address_from_which_somebody_was_let_in_is_shared_for_a_day(self) -> None:
        self.let_in("h")
        self.assertIs(self.places.is_shared("h"), True)
        self.assertEqual(sum(self.come("h") is not None for _ in range(9)), 8)
        self.clock.advance(SHARED_S - 0.001)
        self.assertIs(self.places.is_shared("h"), True)
        self.clock.advance(0.001)
        self.assertIs(self.places.is_shared("h"), False)

    def test_the_host_with_most_places_gives_its_oldest_to_a_host_with_fewer(self) -> None:
        self.let_in("h")
        held = [self.come("h", silent=False) for _ in range(8)]
        for number in range(3):
            self.assertIsNotNone(self.come("i", silent=False))
            gone = held[number]
            assert gone is not None
            self.assertEqual(gone.turned_away, "too many connections are waiting to greet")
        # Five and three: one more would be four and four, and it goes on to four.
        self.assertIsNotNone(self.come("i", silent=False))
        self.assertIsNone(self.come("i", silent=False))
        self.assertIsNone(self.come("h", silent=False))

    def test_whoever_left_has_no_place_to_leave_a_second_time(self) -> None:
        guest = self.come("h")
        assert guest is not None
        self.places.leave(guest, failed=True)
        self.places.leave(guest, let_in=True)
        self.assertEqual(len(self.places), 0)
        self.assertIs(self.places.is_shared("h"), False)


class FailureTests(PlacesCase):
    def test_a_host_that_fails_and_fails_is_turned_away_until_time_has_passed(self) -> None:
        self.assertEqual((MOST_FAILURES, FAILURES_PER_S), (64, 4.0))
        self.assertEqual(self.fail_greetings("h", 1000), 64)
        self.clock.advance(0.249)
        self.assertEqual(self.fail_greetings("h", 10), 0)
        self.clock.advance(0.001)
        self.assertEqual(self.fail_greetings("h", 10), 1)
        self.clock.advance(10.0)
        self.assertEqual(self.fail_greetings("h", 100), 40)

    def test_the_failures_of_one_host_are_nothing_to_another(self) -> None:
        self.fail_greetings("h", 1000)
        self.assertIsNotNone(self.come("i"))

    def test_loopback_is_not_turned_away_for_its_failures(self) -> None:
        self.assertEqual(self.fail_greetings("127.0.0.1", 1000), 1000)

    def test_an_address_that_others_were_let_in_from_is_not_turned_away(self) -> None:
        self.let_in("h")
        self.assertEqual(self.fail_greetings("h", 1000), 1000)

    def test_who_is_let_in_is_forgiven(self) -> None:
        self.fail_greetings("h", 63)
        self.let_in("h")
        self.clock.advance(SHARED_S)
        self.assertEqual(self.fail_greetings("h", 100), 64)

    def test_an_end_that_is_no_failure_is_not_counted(self) -> None:
        for _ in range(1000):
            guest = self.come("h")
            assert guest is not None
            self.places.leave(guest)

    def test_only_so_many_hosts_are_remembered(self) -> None:
        self.fail_greetings("first", 1000)
        self.let_in("friend")
        for number in range(MOST_HOSTS - 1):
            self.fail_greetings(f"h{number}", 1)
            self.let_in(f"f{number}")
        self.assertIsNone(self.come("first"))
        self.assertIs(self.places.is_shared("friend"), True)
        self.fail_greetings("one more", 1)
        self.let_in("one more friend")
        self.assertIsNotNone(self.come("first"))
        self.assertIs(self.places.is_shared("friend"), False)


class RandomTests(PlacesCase):
    def test_no_host_of_a_stranger_has_more_than_half_and_all_have_no_more_than_all(self) -> None:
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        inside: list[Guest] = []
        for _ in range(3000):
            self.clock.advance(rng.choice((0.0, 0.0, 0.1, 2.0)))
            host = rng.choice(("h", "i", "j", "127.0.0.1"))
            if rng.random() < 0.6:
                guest = self.come(host, silent=rng.random() < 0.5)
                inside += [guest] if guest is not None else []
            elif inside:
                guest = inside.pop(rng.randrange(len(inside)))
                self.places.leave(guest, failed=rng.random() < 0.5)
            held = [each.host for each in self.places.holders()]
            self.assertLessEqual(len(held), 8, f"seed {seed}")
            self.assertEqual(len(held), len(self.places), f"seed {seed}")
            for each in ("h", "i", "j"):
                self.assertLessEqual(held.count(each), 4, f"seed {seed}")


class DoorPlacesTests(DoorCase):
    def test_a_flood_of_junk_from_one_host_is_turned_away_and_others_are_served(self) -> None:
        had = 0
        for _ in range(1000):
            protocol, _transport = self.connect("10.0.0.66")
            if protocol is not None:
                had += 1
                protocol.dataReceived(b"\xff" * 10)
                protocol.connectionLost()
        self.transports.clear()
        counters = self.host.journal.counters
        self.assertEqual(had, 64)
        self.assertEqual(counters.number(NetMetric.REFUSED, "greeting"), 64)
        self.assertEqual(counters.number(NetMetric.TURNED_AWAY), 936)
        self.assert_serving()

    def test_refusals_in_words_are_no_failures(self) -> None:
        me = node_ref("friend", B)
        hello = encode_frame(Hello("chordnet", 2, "other", 160, "peer", me, 2))
        for _ in range(100):
            protocol, transport = self.connect("10.0.0.66")
            self.assertIsNotNone(protocol)
            protocol.dataReceived(hello)
            self.assertTrue(transport.disconnecting)
            protocol.connectionLost()
        self.transports.clear()

    def test_silence_and_an_end_without_a_word_are_failures(self) -> None:
        for number in range(64):
            protocol, transport = self.connect("10.0.0.66")
            self.assertIsNotNone(protocol)
            if number % 2:
                self.clock.advance(3.0)
                self.assertTrue(transport.aborted)
            protocol.connectionLost()
        self.clock.advance(0.0)
        # 32 times 3 s bring more than they took: the rest is taken by ends without a word.
        for _ in range(64):
            protocol, _transport = self.connect("10.0.0.66")
            if protocol is not None:
                protocol.connectionLost()
        self.transports.clear()
        self.assertIsNone(self.connect("10.0.0.66")[0])

    def test_who_asks_who_listens_is_neither_let_in_nor_a_failure(self) -> None:
        hello = encode_frame(Hello("chordnet", 2, "default", 160, "who", None, 2))
        for _ in range(100):
            protocol, _transport = self.connect("10.0.0.66")
            protocol.dataReceived(hello)
            protocol.connectionLost()
        self.transports.clear()
        self.assertIs(self.host.door.places.is_shared("10.0.0.66"), False)

    def test_a_peer_that_is_welcome_makes_its_address_one_that_others_may_share(self) -> None:
        protocol, _transport = self.connect("10.0.0.66")
        hello = Hello("chordnet", 2, "default", 160, "peer", node_ref("friend", B), 2)
        protocol.dataReceived(encode_frame(hello))
        self.assertIs(self.host.door.places.is_shared("10.0.0.66"), True)


class KeptPeersTests(DoorCase):
    def setUp(self) -> None:
        super().setUp()
        self.host.transport._limits = NetworkLimits(max_peers=2, kept_peers=1)

    def greet(self, name: str, port: int) -> list[object]:
        me = node_ref(name, f"10.0.0.2:{port}")
        hello = Hello("chordnet", 2, "default", 160, "peer", me, 2)
        answers, _transport = self.answers(encode_frame(hello))
        return answers

    def test_a_neighbour_whose_connection_broke_comes_back_though_all_places_are_taken(
        self,
    ) -> None:
        full = Refuse("full", "this node has as many connections as it accepts")
        transport = self.host.transport
        self.greet("b", 1)
        transport._links[node_ref("b", B).raw].wanted = True
        self.transports[-1][0].connectionLost()
        self.transports.pop()
        for number, name in enumerate(("c", "d"), start=2):
            self.greet(name, number)
            transport._links[node_ref(name, B).raw].wanted = True
        self.assertEqual(transport.connected, 2)
        self.assertEqual(self.greet("e", 5), [full])
        self.assertNotIsInstance(self.greet("b", 1)[0], Refuse)
        self.assertEqual(transport.connected, 3)
        # Its place is the only one that was kept.
        self.assertEqual(self.greet("f", 6), [full])


class OperatorTests(DoorCase):
    def test_the_door_asks_whether_a_client_operates_and_tells_the_desk(self) -> None:
        asked: list[bool] = []

        class Desk:
            def refuse(
                self, *, operates: bool = False, subject: Subject | None = None
            ) -> Refuse | None:
                asked.append(operates)
                return Refuse("full", "no room")

        door = self.host.door
        door.clients = Desk()
        hello = Hello("chordnet", 2, "default", 0, CLIENT, None, 2)
        self.answers(encode_frame(hello))
        greeted: list[Hello] = []
        door._operates = lambda _connection, hello: bool(greeted.append(hello)) or True
        self.answers(encode_frame(hello))
        self.assertEqual((asked, greeted), ([False, True], [hello]))
