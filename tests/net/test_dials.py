"""What a node may dial, when, and how many at once: the parts by themselves, with fakes around."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Judged
from chordnet.core.base.events import Greeted, LinkFault, Standing, Verified
from chordnet.core.base.messages import NodeRef, RingLabel, contact
from chordnet.net.base.allowance import Allowance
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.guard.hearsay import Hearsay
from chordnet.net.links.dials import Dials
from chordnet.net.links.judging import Judging
from chordnet.net.links.links import Link
from chordnet.net.links.verifying import Verifier
from chordnet.wire.greeting import Bye, Refuse, Welcome
from tests.net.hosts import node_ref


class AllowanceTests(SynchronousTestCase):
    def test_a_burst_may_be_spent_at_once_and_then_so_many_a_second(self) -> None:
        allowance = Allowance(2, 4, 10.0)
        rows = [
            (10.0, True), (10.0, True), (10.0, False),
            (10.25, True), (10.25, False), (10.375, False), (10.5, True),
            (100.0, True), (100.0, True), (100.0, False),
        ]  # fmt: skip
        for now, expected in rows:
            self.assertIs(allowance.take(now), expected, now)

    def test_a_clock_that_goes_back_gives_and_takes_nothing(self) -> None:
        allowance = Allowance(1, 1, 10.0)
        self.assertIs(allowance.take(5.0), True)
        self.assertIs(allowance.take(5.5), False)
        self.assertIs(allowance.take(6.0), True)

    def test_what_was_not_left_in_full_is_kept_until_it_is(self) -> None:
        allowance = Allowance(1.5, 0.25, 0.0)
        self.assertEqual([allowance.take(at) for at in (0.0, 0.0, 2.0)], [True, False, True])


class HearsayTests(SynchronousTestCase):
    def hearsay(self, **limits: Any) -> Hearsay:
        return Hearsay(NetworkLimits(**limits), 0.0)

    def test_of_the_addresses_met_the_latest_are_remembered_as_many_as_there_may_be_links(
        self,
    ) -> None:
        hearsay = self.hearsay(max_links=2)
        one, two, three = (node_ref("n", f"10.0.0.{number}:1") for number in (1, 2, 3))
        hearsay.met(one.address, two.address)
        self.assertEqual([hearsay.knows(n) for n in (one, two, three)], [True, True, False])
        hearsay.met(one.address)
        hearsay.met(three.address)
        self.assertEqual([hearsay.knows(n) for n in (one, two, three)], [True, False, True])

    def test_a_contact_is_no_hearsay(self) -> None:
        hearsay = self.hearsay(told_dials=1)
        for _ in range(3):
            self.assertIs(hearsay.may_dial(contact("10.0.0.9:1"), b"x", 0.0), True)

    def test_on_the_word_of_one_peer_a_quarter_of_the_dials_are_made_at_once_and_in_the_long_run(
        self,
    ) -> None:
        hearsay = self.hearsay(told_dials=8, told_dials_per_s=16.0)
        node = node_ref("n", "10.0.0.9:1")

        def dialled(teller: bytes, now: float) -> int:
            return sum(hearsay.may_dial(node, teller, now) for _ in range(20))

        self.assertEqual([dialled(b"x", 0.0), dialled(b"y", 0.0)], [2, 2])
        self.assertEqual([dialled(b"", 0.0), dialled(b"z", 0.0)], [4, 0])
        self.assertEqual([dialled(b"x", 0.25), dialled(b"y", 0.25)], [1, 1])
        self.assertEqual([dialled(b"", 0.25)], [2])

    def test_1024_peers_are_remembered_as_tellers_and_the_oldest_is_forgotten_first(self) -> None:
        hearsay = self.hearsay(told_dials=4, told_dials_per_s=0.001, max_links=10_000)
        node = node_ref("n", "10.0.0.9:1")
        hearsay._all = Allowance(1e9, 1.0, 0.0)

        def may_dial(teller: int) -> bool:
            return hearsay.may_dial(node, b"%d" % teller, 0.0)

        self.assertTrue(all(may_dial(teller) for teller in range(1024)))
        self.assertFalse(any(may_dial(teller) for teller in range(1024)))
        self.assertTrue(may_dial(1024))
        self.assertEqual([may_dial(teller) for teller in (1024, 1023, 2, 1)], [False] * 4)
        self.assertTrue(may_dial(0))


class FakeDial:
    """Begins nothing; notes what is asked of it."""

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.told: list[str] = []
        self.connected = False

    def start(self) -> None:
        self.told.append("start")

    def cancel(self) -> None:
        self.told.append("cancel")


class Exact:
    """No chance: the pause is as it was meant; the bounds are noted."""

    def __init__(self) -> None:
        self.bounds: set[tuple[float, float]] = set()

    def uniform(self, low: float, high: float) -> float:
        self.bounds.add((low, high))
        return 1.0


class DialsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turn = Turn(self.clock, self.fail)
        self.rng: Any = Exact()
        self.made: list[FakeDial] = []
        self.failed: list[Any] = []

    def dials(self, **limits: Any) -> Dials:
        def make(**given: Any) -> Any:
            self.made.append(FakeDial(**given))
            return self.made[-1]

        return Dials(
            self.clock, self.turn, NetworkLimits(**limits), self.rng, make,
            lambda _link, _connection, _welcome: "handler", self._failed,
        )  # fmt: skip

    def _failed(self, link: Link, *what: Any) -> None:
        self.failed.append((link.node.name, *what))

    def link(self, name: str = "b", *, told: bool = False) -> Link:
        link = Link(node_ref(name, "10.0.0.9:1"))
        link.told = told
        link.queue.append(b"x")
        return link


class PauseTests(DialsCase):
    def pauses(self, link: Link, count: int, **limits: Any) -> list[float]:
        """Return how long the pauses after failed dials are, each just to the end."""
        dials, found = self.dials(**limits), []
        for _ in range(count):
            dials.pause(link)
            assert link.pause is not None
            found.append(round(link.pause.getTime() - self.clock.seconds(), 6))
            link.queue.clear()
            self.clock.advance(found[-1])
            self.assertIsNone(link.pause)
        return found

    def test_a_pause_is_twice_as_long_each_time_up_to_a_second(self) -> None:
        self.assertEqual(self.pauses(self.link(), 8), [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0])
        self.assertEqual(self.rng.bounds, {(0.75, 1.25)})

    def test_where_only_a_peer_named_the_address_a_pause_grows_up_to_15_seconds(self) -> None:
        self.assertEqual(
            self.pauses(self.link(told=True), 11),
            [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0],
        )

    def test_a_pause_is_doubled_16_times_however_long_it_may_be(self) -> None:
        for failures, expected in ((15, 1638.4), (16, 3276.8), (17, 3276.8), (5000, 3276.8)):
            link = self.link()
            link.failures = failures
            self.assertEqual(self.pauses(link, 1, redial_max_s=1e6), [expected])

    def test_after_the_pause_the_dial_is_made_if_something_waits_for_it(self) -> None:
        dials, link, empty = self.dials(), self.link(), self.link("c")
        empty.queue.clear()
        for each in (link, empty):
            dials.pause(each)
        self.clock.advance(0.05)
        self.assertEqual((dials.made, link.dial), (1, self.made[0]))
        self.assertIsNone(empty.dial)

    def test_a_link_that_is_dialled_or_pauses_already_gets_no_pause(self) -> None:
        dials, link, other = self.dials(), self.link(), self.link("c")
        dials.want(link)
        dials.pause(link)
        dials.pause(other)
        dials.pause(other)
        self.assertEqual((link.failures, other.failures), (0, 1))

    def test_a_peer_that_was_reached_is_paused_for_as_short_as_at_first(self) -> None:
        dials, link = self.dials(), self.link()
        link.failures = 9
        dials.pause(link)
        dials.reached(link)
        self.assertEqual((link.pause, link.failures), (None, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LineTests(DialsCase):
    def test_as_many_are_dialled_at_once_as_may_be_and_the_others_in_their_order(self) -> None:
        dials = self.dials(max_dials=2)
        links = [self.link(f"n{number}") for number in range(4)]
        for link in links:
            dials.want(link)
        self.assertEqual((dials.under_way, dials.made), (2, 2))
        self.assertEqual([link.dial is not None for link in links], [True, True, False, False])
        dials.cancel(links[1])
        self.assertEqual(self.made[1].told, ["start", "cancel"])
        self.assertEqual((dials.under_way, dials.made), (2, 3))
        self.assertIsNotNone(links[2].dial)

    def test_a_link_that_is_wanted_twice_is_dialled_once(self) -> None:
        dials, link = self.dials(max_dials=1), self.link()
        waiting = self.link("c")
        for each in (link, link, waiting, waiting):
            dials.want(each)
        self.assertEqual((dials.made, len(dials._line)), (1, 1))

    def test_one_in_line_for_which_nothing_waits_any_more_is_passed_over(self) -> None:
        dials = self.dials(max_dials=1)
        first, idle, last = self.link("n1"), self.link("n2"), self.link("n3")
        for each in (first, idle, last):
            dials.want(each)
        idle.queue.clear()
        dials.cancel(first)
        self.assertEqual((idle.dial, idle.dialled), (None, False))
        self.assertIsNotNone(last.dial)

    def test_after_a_stop_those_in_line_are_not_dialled(self) -> None:
        dials, first, second = self.dials(max_dials=1), self.link("n1"), self.link("n2")
        dials.want(first)
        dials.want(second)
        dials.stop()
        dials.cancel(first)
        self.assertEqual((dials.made, dials.under_way), (1, 0))

    def test_a_dial_that_was_reached_before_its_greeting_is_given_up_and_one_after_it_is_not(
        self,
    ) -> None:
        for connected in (False, True):
            dials, link = self.dials(), self.link()
            dials.want(link)
            self.made[-1].connected = connected
            dials.reached(link)
            self.assertEqual("cancel" in self.made[-1].told, not connected)
            self.assertEqual(dials.under_way, int(connected))

    def test_a_failed_dial_pauses_and_is_told_of_unless_the_peer_is_connected_meanwhile(
        self,
    ) -> None:
        for connected in (False, True):
            self.failed.clear()
            dials, link = self.dials(), self.link()
            dials.want(link)
            if connected:
                link.attach(SimpleNamespace())  # type: ignore[arg-type]
            self.made[-1].given["failed"](LinkFault.REFUSED, "no", None)
            expected = [] if connected else [("b", LinkFault.REFUSED, "no", None)]
            self.assertEqual(self.failed, expected)
            self.assertEqual((link.pause is None, dials.under_way), (connected, 0))
            dials.cancel(link)

    def test_a_dial_that_was_greeted_makes_room_for_the_next(self) -> None:
        dials, first, second = self.dials(max_dials=1), self.link("n1"), self.link("n2")
        dials.want(first)
        dials.want(second)
        handler = self.made[0].given["greeted"]("connection", "welcome")
        self.assertEqual(handler, "handler")
        self.assertEqual((first.dial, dials.under_way, dials.made), (None, 1, 2))


class Names:
    """Knows one node, and doubts others as told."""

    def __init__(self, known: NodeRef | None = None, *, doubted: bool = False) -> None:
        self._known = known
        self._doubted = doubted

    def known(self, raw: bytes) -> NodeRef | None:
        return self._known if self._known is not None and raw == self._known.raw else None

    def doubts(self, _node: NodeRef) -> bool:
        return self._doubted

    def doubt(self, node: NodeRef) -> str:
        return f"{node.name} is doubted"


class JudgingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.posted: list[Any] = []
        self.refusals: list[Refuse | None] = []

    def judging(self, names: Names | None, rival: NodeRef | None = None, most: int = 2) -> Judging:
        return Judging(names, self.posted.append, lambda: 7.5, lambda _node: rival, most)

    def test_a_node_is_doubted_if_its_name_is_or_if_another_one_is_connected_under_it(
        self,
    ) -> None:
        node, other = node_ref("b", "10.0.0.2:1"), node_ref("b", "10.0.0.3:1")
        rows = [
            # What is known, whether it is doubted, who else is connected, whether it is judged.
            (None, True, other, False),
            (Names(), False, None, False),
            (Names(), True, None, True),
            (Names(), False, other, True),
            (Names(node), False, other, False),
            (Names(node), True, other, True),
            (Names(other), False, other, True),
        ]
        for number, (names, doubted, rival, expected) in enumerate(rows):
            if names is not None:
                names._doubted = doubted
            self.assertIs(self.judging(names, rival).doubts(node), expected, number)

    def test_a_node_that_answers_where_it_is_known_to_be_is_said_to_be_at_home(self) -> None:
        node, moved = node_ref("b", "10.0.0.2:1"), node_ref("b", "10.0.0.3:1")
        rows = [
            (Names(node), node, node.address, True),
            (Names(node), node, "10.0.0.9:1", False),
            (Names(node), moved, moved.address, False),
            (Names(moved), node, node.address, False),
            (Names(), node, node.address, False),
            (None, node, node.address, False),
        ]
        for names, answering, dialled, at_home in rows:
            self.posted.clear()
            self.judging(names, moved).judge_answer(answering, dialled)
            self.assertEqual(self.posted, [Greeted(answering, moved, at_home, 7.5)])

    def test_so_many_names_are_judged_at_a_time_and_one_of_them_may_wait_twice(self) -> None:
        judging = self.judging(Names())
        one, two, three = (node_ref(f"n{number}", "10.0.0.2:1") for number in (1, 2, 3))
        for node in (one, two, one):
            judging.wait(node, self.refusals.append)
        self.assertEqual((self.refusals, len(self.posted)), ([], 3))
        judging.wait(three, self.refusals.append)
        full = Refuse("full", "too many names are being checked; try again")
        self.assertEqual((self.refusals, len(self.posted)), ([full], 3))
        judging.judged(Judged(one, ""))
        self.assertEqual(self.refusals, [full, None, None])
        judging.judged(Judged(one, ""))
        judging.wait(three, self.refusals.append)
        self.assertEqual((len(self.refusals), len(self.posted)), (3, 4))

    def test_a_judgement_is_told_in_900_letters_with_the_holder_of_the_name_if_there_is_one(
        self,
    ) -> None:
        node = node_ref("b", "10.0.0.2:1")
        rows = [
            ("x" * 899 + "yz", "10.0.0.3:1", Refuse("name", "x" * 899 + "y", "10.0.0.3:1")),
            ("it is over", "", Refuse("incarnation", "it is over", "")),
        ]
        for reason, holder, expected in rows:
            judging = self.judging(Names())
            judging.wait(node, self.refusals.append)
            judging.judged(Judged(node, reason, holder))
            self.assertEqual(self.refusals.pop(), expected)


class FakeConnection:
    """Notes what is sent and whether it is closed."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.closed = False

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def close(self) -> None:
        self.closed = True


class VerifierTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.made: list[FakeDial] = []
        self.posted: list[Any] = []

        def make(**given: Any) -> Any:
            self.made.append(FakeDial(**given))
            return self.made[-1]

        self.verifier = Verifier(make, self.posted.append)

    def node(self, number: int) -> NodeRef:
        return node_ref(f"n{number}", f"10.0.0.{number}:1")

    def test_32_nodes_are_asked_at_a_time_each_once(self) -> None:
        for number in range(1, 35):
            self.verifier.verify(self.node(number))
            self.verifier.verify(self.node(number))
        self.assertEqual(len(self.made), 32)
        self.assertEqual(self.made[0].given["address"], "10.0.0.1:1")
        self.assertEqual(self.made[0].told, ["start"])

    def test_one_that_answers_and_one_that_does_not_make_room_and_are_told_of(self) -> None:
        label = RingLabel(bytes(20), 1)
        for number in range(1, 33):
            self.verifier.verify(self.node(number))
        connection = FakeConnection()
        found = Welcome(2, self.node(9), "default", 160, 3, label, None)
        handler = self.made[0].given["greeted"](connection, found)
        self.made[1].given["failed"](LinkFault.REFUSED, "no", None)
        self.assertEqual(
            self.posted,
            [
                Verified(self.node(1), Standing(self.node(9), 3, label, None)),
                Verified(self.node(2), None),
            ],
        )
        self.assertEqual((connection.sent, connection.closed), ([Bye("idle")], True))
        for event in (handler.overloaded, handler.held, handler.drained, handler.lost):
            event()
        handler.frames([b"x"])
        handler.violated("x")
        self.assertEqual((connection.sent, len(self.posted)), ([Bye("idle")], 2))
        for number in range(33, 36):
            self.verifier.verify(self.node(number))
        self.assertEqual(len(self.made), 34)

    def test_a_stop_gives_up_every_dial_and_forgets_it(self) -> None:
        self.verifier.verify(self.node(1))
        self.verifier.stop()
        self.verifier.stop()
        self.assertEqual(self.made[0].told, ["start", "cancel"])
        self.verifier.verify(self.node(1))
        self.assertEqual(len(self.made), 2)
