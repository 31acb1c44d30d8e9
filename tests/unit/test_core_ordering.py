"""Per-origin order (chordnet/core/log/ordering.py): each rule, and what holds of any history."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import MessageId
from chordnet.core.log.ordering import Delivered, Missing, OriginOrder, Outcome

WAIT_S = 2.0


def told(outcomes: list[Outcome[str]]) -> list[str]:
    """Return outcomes as ``a3``, ``late a3`` or ``gap a1-2``."""
    lines = []
    for outcome in outcomes:
        if isinstance(outcome, Missing):
            kind = "dropped" if outcome.dropped else "gap"
            lines.append(f"{kind} {outcome.origin.decode()}{outcome.first}-{outcome.last}")
        else:
            lines.append(f"late {outcome.item}" if outcome.late else outcome.item)
    return lines


class OrderCase(SynchronousTestCase):
    def setUp(self):
        self.order: OriginOrder[str] = OriginOrder(WAIT_S, max_held=4)
        self.now = 100.0

    def push(self, *names: str) -> list[str]:
        """Push messages such as ``a3`` (origin a, number 3) at the present time."""
        lines = []
        for name in names:
            message_id = MessageId(name[:1].encode(), 1, int(name[1:]))
            lines += told(self.order.push(message_id, self.now, name))
        return lines

    def wait(self, seconds: float) -> list[str]:
        self.now += seconds
        return told(self.order.advance(self.now))


class RuleTests(OrderCase):
    def test_what_comes_in_order_goes_through_at_once(self):
        self.assertEqual(self.push("a1", "b1", "a2", "b2"), ["a1", "b1", "a2", "b2"])
        self.assertIsNone(self.order.deadline)

    def test_what_is_ahead_waits_for_what_is_missing(self):
        self.assertEqual(self.push("a1", "a3", "a4", "b1"), ["a1", "b1"])
        self.assertEqual(self.order.held, 2)
        self.assertEqual(self.push("a2"), ["a2", "a3", "a4"])
        self.assertEqual(self.order.held, 0)
        self.assertIsNone(self.order.deadline)

    def test_the_first_message_of_an_origin_waits_for_what_is_missing(self):
        self.assertEqual(self.push("a2"), [])
        self.assertEqual(self.push("a1"), ["a1", "a2"])

    def test_after_the_wait_the_gap_is_marked_and_what_follows_is_delivered(self):
        self.push("a1", "a4")
        self.assertEqual(self.order.deadline, 102.0)
        self.assertEqual(self.wait(1.9), [])
        self.push("a5", "a7")
        self.assertEqual(self.wait(0.2), ["gap a2-3", "a4", "a5"])
        self.assertEqual(self.wait(1.9), ["gap a6-6", "a7"])

    def test_an_earlier_number_that_came_later_goes_with_the_number_whose_time_is_up(self):
        self.push("a5")
        self.wait(1)
        self.push("a3")
        self.assertEqual(self.wait(1), ["gap a1-2", "a3", "gap a4-4", "a5"])

    def test_what_comes_after_its_gap_was_reported_is_late(self):
        self.push("a1", "a4")
        self.wait(2)
        self.assertEqual(self.push("a3", "a5", "a2"), ["late a3", "a5", "late a2"])

    def test_the_time_of_a_message_counts_before_the_message(self):
        self.push("a2")
        self.now += WAIT_S
        self.assertEqual(self.push("a1"), ["gap a1-1", "a2", "late a1"])

    def test_time_does_not_go_back(self):
        self.push("a2")
        self.now -= 50
        self.assertEqual(self.push("b2"), [])
        self.assertEqual(self.order.deadline, 102.0)
        self.now = 102.0
        self.assertEqual(self.wait(0), ["gap a1-1", "a2", "gap b1-1", "b2"])

    def test_a_full_buffer_lets_the_message_go_that_was_held_for_longest(self):
        self.assertEqual(self.push("a3", "b3", "a5", "b5"), [])
        self.assertEqual(self.push("c2"), ["gap a1-2", "a3"])
        self.assertEqual(self.push("c4"), ["gap b1-2", "b3"])
        self.assertEqual(self.order.held, 4)

    def test_each_incarnation_of_an_origin_counts_from_one(self):
        out = [self.order.push(MessageId(b"a", i, 1), 0.0, f"life {i}") for i in (1, 2)]
        self.assertEqual([told(o) for o in out], [["life 1"], ["life 2"]])


class DroppedHistoryTests(OrderCase):
    def test_without_its_beginning_an_origin_goes_on_with_whatever_comes_first(self):
        self.order.whole = False
        self.assertEqual(self.push("a101", "a102"), ["dropped a1-100", "a101", "a102"])
        self.assertEqual(self.push("a104"), [])
        self.assertEqual(self.push("a100", "a103"), ["late a100", "a103", "a104"])

    def test_after_a_cut_nobody_waits_for_what_was_dropped(self):
        self.push("a1", "b1", "c1", "c3")
        self.order.cut()
        self.assertEqual(self.push("a5", "b2"), ["dropped a2-4", "a5", "b2"])
        self.assertEqual(self.push("a7", "b4"), [])
        self.assertEqual(self.push("c2"), ["c2", "c3"])

    def test_after_a_cut_nobody_waits_for_the_beginning_of_an_origin_met_later(self):
        self.push("a1")
        self.order.cut()
        self.assertEqual(self.push("d5", "d7"), ["dropped d1-4", "d5"])

    def test_an_origin_that_was_forgotten_is_not_waited_for(self):
        self.order = OriginOrder(WAIT_S, max_held=4, max_origins=2)
        self.push("a1", "b1", "c1")
        self.assertEqual(self.push("a2"), ["dropped a1-1", "a2"])

    def test_as_many_origins_as_may_be_are_all_remembered(self):
        self.order = OriginOrder(WAIT_S, max_held=4, max_origins=2)
        self.push("a1", "b1")
        self.assertEqual(self.push("a3", "b2"), ["b2"])
        self.assertTrue(self.order.whole)
        self.assertEqual(self.push("a2"), ["a2", "a3"])

    def test_the_origin_heard_of_least_lately_is_forgotten_but_none_of_which_something_waits(self):
        self.order = OriginOrder(WAIT_S, max_held=4, max_origins=2)
        self.push("a1", "b1", "a2", "c1")
        self.assertEqual(self.push("a3"), ["a3"])
        self.push("a5", "d1", "e1")
        self.assertEqual(self.push("a4"), ["a4", "a5"])


Step = tuple[int, int, float]
"""Which origin, how far ahead of the others its number may be taken, seconds before it."""

history = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 5), st.floats(0, 1.5)), max_size=60
)  # fmt: skip


def shuffled(steps: list[Step]) -> list[tuple[MessageId, float]]:
    """Return a history in which each number comes once, some of them ahead of others or never."""
    left = {origin: list(range(1, len(steps) + 10)) for origin in range(3)}
    now, pushed = 0.0, []
    for origin, ahead, pause in steps:
        now += pause
        numbers = left[origin]
        number = numbers.pop(ahead)
        pushed.append((MessageId(b"%d" % origin, 1, number), now))
    return pushed


def run(pushed: list[tuple[MessageId, float]], max_held: int, cuts: frozenset[int] = frozenset()):
    """Return what comes of a history, to the end of all waiting."""
    order: OriginOrder[MessageId] = OriginOrder(WAIT_S, max_held)
    out: list[Outcome[MessageId]] = []
    for index, (message_id, at) in enumerate(pushed):
        if index in cuts:
            order.cut()
        out += order.push(message_id, at, message_id)
        assert order.held <= max_held
        assert order.deadline is None or order.deadline > at
    out += order.advance(1e9)
    assert not order.held
    return out


class PropertyTests(SynchronousTestCase):
    def check(self, pushed, out) -> None:
        delivered = [o.item for o in out if isinstance(o, Delivered)]
        self.assertEqual(sorted(delivered), sorted(message_id for message_id, _ in pushed))
        for origin in {m.origin for m in delivered}:
            self.check_origin([o for o in out if _origin(o) == origin])

    def check_origin(self, out) -> None:
        """Walk along the numbers: each is delivered, or in a gap and perhaps late."""
        reached, reported = 0, set()
        for index, outcome in enumerate(out):
            if isinstance(outcome, Missing):
                self.assertEqual(outcome.first, reached + 1)
                self.assertGreaterEqual(outcome.last, outcome.first)
                reported.update(range(outcome.first, outcome.last + 1))
                reached = outcome.last
                follower = out[index + 1]
                self.assertEqual((follower.item.sequence, follower.late), (reached + 1, False))
            elif outcome.late:
                self.assertIn(outcome.item.sequence, reported)
                reported.remove(outcome.item.sequence)
            else:
                self.assertEqual(outcome.item.sequence, reached + 1)
                reached += 1

    @settings(max_examples=200, deadline=None)
    @given(history, st.integers(1, 8), st.frozensets(st.integers(0, 59), max_size=3))
    def test_nothing_is_lost_repeated_or_out_of_order(self, steps, max_held, cuts):
        pushed = shuffled(steps)
        self.check(pushed, run(pushed, max_held, cuts))

    def test_in_long_histories_nothing_is_lost_repeated_or_out_of_order(self):
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        for max_held in (1, 3, 100):
            ahead = (0, 0, 0, 0, 1, 3)
            steps = [(rng.randrange(3), rng.choice(ahead), rng.random()) for _ in range(500)]
            pushed = shuffled(steps)
            try:
                self.check(pushed, run(pushed, max_held))
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, at most {max_held} held") from error

    @settings(max_examples=100, deadline=None)
    @given(history, st.lists(st.floats(0, 60), max_size=10))
    def test_when_the_clock_is_read_does_not_matter(self, steps, readings):
        """The same history in the same order, however often somebody asks in between."""
        pushed = shuffled(steps)
        order: OriginOrder[MessageId] = OriginOrder(WAIT_S, 8)
        out: list[Outcome[MessageId]] = []
        for message_id, at in pushed:
            for reading in sorted(readings):
                if reading <= at:
                    out += order.advance(reading)
            out += order.push(message_id, at, message_id)
        out += order.advance(1e9)
        self.assertEqual(out, run(pushed, 8))


def _origin(outcome: Outcome[MessageId]) -> bytes:
    return outcome.origin if isinstance(outcome, Missing) else outcome.item.origin
