"""The finger table: what the neighbours determine, what is looked up, what hints do.

This node is 10 in a ring of 64; finger i is successor(10 + 2**i): the starts are 11, 12, 14, 18,
26 and 42.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import FingerUpkeep
from chordnet.core.base.effects import FingersChanged, Misbehaved
from chordnet.core.base.identifiers import between_right
from chordnet.core.base.messages import FingerHint, RingLabel
from chordnet.core.fingers.hints import Hints
from chordnet.core.fingers.table import Fingers
from chordnet.core.lookup.lookup import Purpose, Result
from chordnet.judge.invariants import ideal_successor, ideal_view
from tests.unit.core_support import (
    LABEL,
    Parts,
    effects_of,
    ids,
    placed,
    raw,
    ref,
    sent,
    step,
    targets,
)


class FakeLookups:
    """Writes down the lookups that are begun, as (slot, key), and for which purpose."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.purposes: list[Purpose] = []
        self.how: list[dict] = []
        self.told: dict[Purpose, Callable[[Result], None]] = {}

    def handle(self, purpose, on_result) -> None:
        self.told[purpose] = on_result

    def start(self, purpose, tag, key, **how) -> None:
        self.begun.append((tag, key))
        self.how.append(how)
        self.purposes.append(purpose)


class FingerTestCase(SynchronousTestCase):
    def setUp(self):
        self.make(10)

    def make(self, me: int, **changes) -> None:
        self.parts = Parts(me, **changes)
        self.ctx = self.parts.ctx
        self.asked = FakeLookups()
        ring, routes = self.parts.ring, self.parts.routes
        self.fingers = Fingers(self.ctx, ring, routes, self.asked)
        self.hints = Hints(self.ctx, ring, routes, self.parts.detector, self.fingers)

    def lookups(self) -> list[tuple[int, int]]:
        """The lookups asked for since last time: (slot, key)."""
        found, self.asked.begun = self.asked.begun, []
        return found

    def assert_slots(self, *identifiers: int | None) -> None:
        self.assertEqual(ids(self.fingers.slots), list(identifiers))


class DeterminedSlotTests(FingerTestCase):
    def test_at_first_the_table_is_empty(self):
        self.assert_slots(*[None] * 6)
        self.assertEqual(self.fingers.distinct(), [])

    def test_in_a_ring_of_one_the_first_pass_finds_nothing_and_the_second_comes_soon(self):
        self.parts.place(10)
        self.fingers.refresh()
        self.assertEqual(effects_of(self.ctx.effects, FingersChanged), [])
        self.assertEqual(self.lookups(), [])
        self.assertEqual(self.ctx.alarms.next(), self.ctx.config.fingers_fast_s)

    def test_only_starts_beyond_the_list_can_be_this_nodes_own(self):
        """A slot within the list's reach keeps its node, though the start is this node's own."""
        self.parts.place(12, 12)
        self.fingers.neighbours_changed()
        self.assert_slots(12, 12, None, None, None, None)

    def test_starts_lie_a_power_of_two_ahead_and_wrap(self):
        self.assertEqual([self.fingers.start(i) for i in range(6)], [11, 12, 14, 18, 26, 42])
        self.make(50)
        self.assertEqual([self.fingers.start(i) for i in range(6)], [51, 52, 54, 58, 2, 18])

    def test_slots_within_the_lists_reach_are_filled_from_it(self):
        self.parts.place(5, 12, 20, 30)
        self.fingers.neighbours_changed()
        self.assert_slots(12, 12, 20, 20, 30, None)
        self.assertEqual(self.lookups(), [(5, 42)], "only what lies beyond is looked up")

    def test_a_start_that_this_node_owns_leaves_its_slot_empty(self):
        self.parts.place(40, 12, 20, 30)
        self.fingers.neighbours_changed()
        self.assert_slots(12, 12, 20, 20, 30, None)
        self.assertEqual(self.lookups(), [], "42 lies in (40, 10]")

    def test_a_ring_of_one_has_no_fingers_and_looks_nothing_up(self):
        self.parts.ring.create(None)
        self.fingers.refresh()
        self.assert_slots(*[None] * 6)
        self.assertEqual(self.lookups(), [])

    def test_a_new_neighbour_takes_over_what_it_now_determines(self):
        self.parts.place(5, 12, 20, 30)
        self.fingers.neighbours_changed()
        self.parts.place(5, 11, 12, 20)
        self.fingers.neighbours_changed()
        self.assert_slots(11, 12, 20, 20, 30, None)

    def test_distinct_nodes_stand_in_the_order_of_the_ring(self):
        self.parts.place(5, 12, 20, 30)
        self.fingers.neighbours_changed()
        self.fingers.looked_up(5, ref(50))
        self.assertEqual(ids(self.fingers.distinct()), [12, 20, 30, 50])


class WantedSlotTests(FingerTestCase):
    def setUp(self):
        super().setUp()
        self.parts.place(5, 12)

    def test_one_lookup_is_out_at_a_time(self):
        self.fingers.refresh()
        self.assertEqual(self.lookups(), [(2, 14)])
        self.fingers.refresh()
        self.assertEqual(self.lookups(), [])

    def test_a_result_fills_every_following_slot_that_it_covers(self):
        self.fingers.refresh()
        self.lookups()
        self.fingers.looked_up(2, ref(30))
        self.assert_slots(12, 12, 30, 30, 30, None)
        self.assertEqual(self.lookups(), [(5, 42)])

    def test_a_pass_costs_one_lookup_for_each_distinct_finger_beyond_the_list(self):
        members = [5, 10, 12, 30, 45]
        self.parts.place(5, 12)
        self.fingers.refresh()
        asked = 0
        while found := self.lookups():
            ((slot, key),) = found
            asked += 1
            self.fingers.looked_up(slot, ref(ideal_successor(members, key)))
        self.assert_slots(12, 12, 30, 30, 30, 45)
        self.assertEqual(asked, 2)

    def test_the_answer_that_this_node_owns_the_start_empties_the_rest(self):
        self.parts.ring.predecessor = None
        self.fingers.refresh()
        self.fingers.looked_up(2, ref(10))
        self.assert_slots(12, 12, None, None, None, None)
        self.assertEqual(self.fingers._wanted, 0)

    def test_a_failed_lookup_is_tried_again_later_and_not_at_once(self):
        self.fingers.refresh()
        self.ctx.alarms.cancel("fingers")
        self.lookups()
        self.fingers.looked_up(2, None)
        self.assertEqual(self.lookups(), [])
        self.assertEqual(self.ctx.alarms.next(), self.ctx.now + 0.5)

    def test_a_dead_answer_counts_as_failed(self):
        self.fingers.refresh()
        self.ctx.peers.died(ref(30), 0.0)
        self.fingers.looked_up(2, ref(30))
        self.assert_slots(12, 12, None, None, None, None)

    def test_a_table_that_changed_is_told_and_one_that_did_not_is_not(self):
        self.fingers.refresh()
        self.fingers.looked_up(2, ref(30))
        self.fingers.looked_up(5, ref(45))
        self.parts.fresh()
        self.fingers.refresh()
        self.fingers.looked_up(2, ref(30))
        self.assertEqual(effects_of(self.ctx.effects, FingersChanged), [])
        self.fingers.looked_up(5, ref(50))
        notice = effects_of(self.ctx.effects, FingersChanged)[-1]
        self.assertEqual(ids(notice.fingers), [12, 30, 50])

    def test_passes_are_fast_while_they_find_something_and_then_ever_slower(self):
        config = self.ctx.config
        pauses = []
        for _ in range(8):
            self.ctx.alarms.due(1e9)
            self.fingers.refresh()
            pauses.append(self.ctx.alarms.next() - self.ctx.now)
            for slot, key in self.lookups():
                self.fingers.looked_up(slot, ref(ideal_successor([5, 10, 12], key)))
        self.assertEqual(pauses[0], config.fingers_fast_s)
        self.assertEqual(pauses, sorted(pauses))
        self.assertAlmostEqual(pauses[-1], config.fingers_idle_s)


class EvictionTests(FingerTestCase):
    def setUp(self):
        super().setUp()
        self.parts.place(5, 12)
        self.fingers.refresh()
        self.fingers.looked_up(2, ref(30))
        self.fingers.looked_up(5, ref(45))
        self.lookups()

    def test_the_dead_nodes_slots_are_emptied_and_looked_up_at_once(self):
        self.fingers.died(ref(30))
        self.assert_slots(12, 12, None, None, None, 45)
        self.assertEqual(self.lookups(), [(2, 14)])
        self.fingers.looked_up(2, ref(33))
        self.assert_slots(12, 12, 33, 33, 33, 45)

    def test_a_node_that_is_no_finger_changes_nothing(self):
        self.parts.fresh()
        self.fingers.died(ref(50))
        self.assertEqual(self.ctx.effects, [])
        self.assertEqual(self.lookups(), [])

    def test_a_later_life_is_not_evicted_with_the_earlier(self):
        self.fingers.slots[5] = ref(45, 2)
        self.fingers.died(ref(45, 1))
        self.assertEqual(self.fingers.slots[5], ref(45, 2))

    def test_a_death_while_a_lookup_is_out_is_worked_off_after_it(self):
        self.fingers.died(ref(30))
        self.fingers.died(ref(45))
        self.assertEqual(self.lookups(), [(2, 14)])
        self.fingers.looked_up(2, ref(33))
        self.assertEqual(self.lookups(), [(5, 42)])


class PublishedUpkeepTests(FingerTestCase):
    """Without the upkeep of our own, fingers change in passes only."""

    def make(self, me: int, **changes) -> None:
        super().make(me, finger_upkeep=FingerUpkeep(**dict.fromkeys(self.off, False)), **changes)

    off: tuple[str, ...] = ("repair_on_use", "hints", "checks", "prompt")

    def setUp(self):
        super().setUp()
        self.parts.place(5, 12)
        self.fingers.refresh()
        self.fingers.looked_up(2, ref(30))
        self.fingers.looked_up(5, ref(45))
        self.lookups()

    def test_a_dead_fingers_slots_stay_empty_until_the_next_pass(self):
        self.fingers.died(ref(30))
        self.fingers.neighbours_changed()
        self.assert_slots(12, 12, None, None, None, 45)
        self.assertEqual(self.lookups(), [])
        self.fingers.refresh()
        self.assertEqual(self.lookups(), [(2, 14)])

    def test_nobody_is_told_of_a_change(self):
        self.make(10, successors=3)
        self.parts.place(5, 12, 13, 14)
        self.parts.fresh()
        self.hints.tell_others(ref(12), alive=True)
        self.assertEqual(sent(self.ctx.effects, FingerHint), [])
        self.off = ()
        self.make(10, successors=3)
        self.parts.place(5, 12, 13, 14)
        self.parts.fresh()
        self.hints.tell_others(ref(12), alive=True)
        self.assertNotEqual(sent(self.ctx.effects, FingerHint), [])

    def test_a_change_brings_no_pass_forward(self):
        for off, next_pass in ((("prompt",), 1000.0), ((), 3.0)):
            self.off = off
            self.make(10, fingers_fast_s=2.0)
            self.parts.place(5, 12)
            self.fingers.slots[2] = ref(30)
            self.ctx.alarms.set("fingers", self.ctx.now + 1000.0)
            self.fingers.died(ref(30))
            self.assertIsNone(self.fingers.slots[2])
            self.assertLessEqual(self.ctx.alarms.next() - self.ctx.now, next_pass, off)
            self.assertGreater(self.ctx.alarms.next() - self.ctx.now, next_pass / 3, off)

    def test_a_finger_is_never_asked_in_place_of_a_lookup(self):
        for off, checks in ((("checks",), False), ((), True)):
            self.off = off
            self.make(10)
            self.parts.place(5, 12)
            self.fingers.place({2: ref(30)})
            self.assertEqual(self.fingers.may_check, checks)

    def test_a_finger_that_is_silent_or_of_another_ring_is_looked_up_after_all(self):
        other = RingLabel(1, 99)
        for node, label, again in (
            (ref(30), LABEL, False), (None, None, True), (None, LABEL, True), (ref(30), other, True)
        ):  # fmt: skip
            self.off = ()
            self.make(10)
            self.parts.place(5, 12)
            self.fingers.place({slot: ref(30) for slot in (2, 3, 4)} | {5: ref(50)})
            self.fingers.want(1 << 2)
            self.assertEqual(self.asked.purposes, [Purpose.FINGER_CHECK])
            self.assertEqual(self.asked.how, [{"via": ref(30), "last": True, "ttl": 8}])
            self.asked.told[Purpose.FINGER_CHECK](Result(Purpose.FINGER_CHECK, 2, node, [], label))
            self.assertEqual(self.asked.purposes[1:], [Purpose.FINGER] * again, (node, label))

    def test_a_finger_is_asked_only_when_the_table_has_been_at_rest_for_long(self):
        self.off = ()
        self.make(10, fingers_fast_s=1.0, fingers_idle_s=8.0)
        self.parts.place(5, 12)
        self.fingers.place({2: ref(30)})
        self.assertTrue(self.fingers.may_check)
        self.fingers.looked_up(2, ref(31))
        self.assertFalse(self.fingers.may_check, "the last pass found another node")
        paces = []
        for _ in range(5):
            self.fingers.refresh()
            paces.append(self.fingers.may_check)
        self.assertEqual(paces, [False, False, False, False, True], "1, 1, 2, 4, 8 seconds")


class HintTests(FingerTestCase):
    """After ``update_others`` (Stoica et al., SIGCOMM 2001, figure 6): who points here is told."""

    def hint(self, subject: int, low: int, high: int, *, alive: bool = True, ttl: int = 64):
        return FingerHint(ref(subject), alive, raw(low), raw(high), ttl)

    def put(self, me: int, *members: int, **changes) -> None:
        """Make this node a member of the right ring of ``members``."""
        self.make(me, **changes)
        ring = sorted({me, *members})
        view = ideal_view(ring, ring.index(me), self.ctx.space, self.ctx.config.successors)
        self.parts.place(view.predecessor, *view.successors, fingers=set(view.fingers.values()))
        self.fingers.slots = [ref(view.fingers[i]) if i in view.fingers else None for i in range(6)]
        self.parts.fresh()

    def test_a_hint_within_its_range_makes_the_concerned_slot_be_looked_up(self):
        self.put(10, 5, 12, 30, 45, successors=1)
        self.hints.on_finger_hint(ref(5), self.hint(20, low=5, high=10))
        self.assertEqual(self.lookups(), [(2, 14)])

    def test_a_hint_alone_changes_no_slot(self):
        self.put(10, 5, 12, 30, 45, successors=1)
        self.hints.on_finger_hint(ref(5), self.hint(20, low=5, high=10))
        self.assert_slots(12, 12, 30, 30, 30, 45)

    def test_a_subject_that_belongs_into_no_slot_is_not_looked_up(self):
        self.put(10, 5, 12, 30, 45, successors=1)
        self.hints.on_finger_hint(ref(5), self.hint(31, low=5, high=10))
        self.hints.on_finger_hint(ref(5), self.hint(10, low=5, high=10))
        self.assertEqual(self.lookups(), [])

    def test_word_of_a_suspected_finger_starts_a_probe(self):
        self.put(10, 5, 12, 30, 45, successors=1)
        self.hints.on_finger_hint(ref(5), self.hint(30, low=5, high=10, alive=False))
        self.assertEqual(self.parts.verdicts, [("suspected", 30)])
        self.hints.on_finger_hint(ref(5), self.hint(50, low=5, high=10, alive=False))
        self.assertEqual(self.parts.verdicts, [("suspected", 30)], "not of others'")

    def test_a_hint_is_handed_from_successor_to_successor_within_the_range(self):
        self.put(10, 5, 12, 30, 45)
        self.hints.on_finger_hint(ref(5), self.hint(20, low=5, high=30))
        ((target, onward),) = sent(self.ctx, FingerHint)
        self.assertEqual((target, onward.ttl), (12, 63))

    def test_a_hint_stops_when_its_range_ends_here_or_before_the_successor(self):
        for high in (10, 11):
            self.put(10, 5, 12, 30, 45)
            self.hints.on_finger_hint(ref(5), self.hint(20, low=5, high=high))
            self.assertEqual(sent(self.ctx, FingerHint), [], high)

    def test_a_hint_outside_of_its_range_is_routed_to_the_first_node_of_the_range(self):
        self.put(10, 5, 12, 30, 45)
        self.hints.on_finger_hint(ref(5), self.hint(3, low=35, high=50))
        self.assertEqual(targets(self.ctx, FingerHint), [30], "closest before 36")
        self.assertEqual(self.lookups(), [])

    def test_a_range_with_nobody_in_it_ends_at_the_node_after_it(self):
        self.put(12, 5, 10, 30, 45)
        self.hints.on_finger_hint(ref(5), self.hint(3, low=10, high=11))
        self.assertEqual(sent(self.ctx, FingerHint), [])

    def test_a_range_across_zero_is_followed_across_zero(self):
        self.put(60, 2, 12, 30, 45)
        self.hints.on_finger_hint(ref(5), self.hint(20, low=55, high=5))
        self.assertEqual(targets(self.ctx, FingerHint), [2])
        self.put(2, 12, 30, 45, 60)
        self.hints.on_finger_hint(ref(5), self.hint(20, low=55, high=5))
        self.assertEqual(targets(self.ctx, FingerHint), [], "12 lies beyond 5")

    def test_a_hint_whose_time_to_live_is_used_up_is_dropped(self):
        self.put(10, 5, 12, 30, 45)
        self.hints.on_finger_hint(ref(5), self.hint(20, low=5, high=30, ttl=0))
        self.assertEqual(sent(self.ctx, FingerHint), [])
        self.assertEqual(self.lookups(), [])

    def test_a_ring_of_one_has_nobody_to_pass_a_hint_on_to(self):
        self.parts.ring.create(None)
        self.parts.fresh()
        self.hints.on_finger_hint(ref(5), self.hint(20, low=30, high=40))
        self.assertEqual(sent(self.ctx, FingerHint), [])

    def told(self, head: int) -> list[int]:
        """Tell others of a new head; return where the ranges begin that are passed on."""
        self.parts.fresh()
        self.hints.tell_others(ref(head), alive=True)
        return [hint.low[0] for _, hint in sent(self.ctx, FingerHint)]

    def test_those_are_told_who_lie_beyond_half_of_what_the_list_reaches(self):
        for successors, lows in (
            ((12, 14, 18), [6, 2, 58, 42]),
            ((12, 14, 17), [8, 6, 2, 58, 42]),
            ((12, 14, 25), [6, 2, 58, 42]),
            ((12, 14, 26), [2, 58, 42]),
            ((12, 14, 16), [8, 6, 2, 58, 42]),
        ):
            self.make(10)
            self.parts.place(9, *successors)
            self.assertEqual(self.told(12), lows, successors)

    def test_a_node_before_this_one_in_the_range_is_told_first(self):
        self.parts.place(7, 14, 16, 18)
        self.assertIn(6, self.told(14))

    def test_this_node_itself_takes_the_hint_where_it_is_the_first_in_the_range(self):
        self.parts.place(58, 30, 40, 50)
        self.assertNotIn(58, self.told(30))
        self.assert_slots(30, 30, 30, 30, 30, None)

    def test_the_death_of_another_node_than_the_successor_is_told_nobody(self):
        self.parts.place(9, 12, 14, 18)
        for node, told in ((14, 0), (12, 4)):
            self.parts.fresh()
            self.hints._died(ref(node))
            self.assertEqual(len(sent(self.ctx, FingerHint)), told, node)
        self.hints._suspected(ref(12))
        self.parts.fresh()
        self.hints._died(ref(12))
        self.assertEqual(sent(self.ctx, FingerHint), [], "they were told of the suspicion")

    def test_nobody_is_told_when_the_lists_reach_everybody(self):
        self.put(10, 5, 12)
        self.hints.tell_others(ref(12), alive=True)
        self.assertEqual(sent(self.ctx, FingerHint), [])

    def test_the_hints_of_a_change_reach_all_whose_fingers_it_concerns(self):
        """Walk every hint through a right ring of nodes; compare with the definition."""
        for seed in range(30):
            rng = Random(seed)
            members = sorted(rng.sample(range(64), 24))
            newcomer, before = self.newcomer(rng, members)
            reached = self.walk(members, before, newcomer)
            ring = sorted([*members, newcomer])
            for member in members:
                slots = [
                    i
                    for i in range(6)
                    if ideal_successor(ring, (member + (1 << i)) % 64) == newcomer
                ]
                beyond = [i for i in slots if (1 << i) > self.lists_reach(members, member)]
                if beyond:
                    self.assertIn(member, reached, f"seed {seed}: slots {beyond} of {member}")

    def newcomer(self, rng: Random, members: list[int]) -> tuple[int, int]:
        newcomer = rng.choice([n for n in range(64) if n not in members])
        return newcomer, members[members.index(ideal_successor(members, newcomer)) - 1]

    def lists_reach(self, members: list[int], member: int) -> int:
        at = members.index(member)
        return (members[(at + 3) % len(members)] - member) % 64

    def walk(self, members: list[int], before: int, newcomer: int) -> set[int]:
        """Let the newcomer's predecessor tell others; return who got a hint about its slots."""
        nodes = {member: placed(member, members) for member in members}
        teller = nodes[before]
        teller.ctx.effects = []
        teller.hints.tell_others(ref(newcomer), alive=True)
        reached: set[int] = set()
        queue = [(before, *pair) for pair in sent(teller.ctx, FingerHint)]
        while queue:
            source, target, hint = queue.pop()
            if between_right(hint.low[0], target, hint.high[0]):
                reached.add(target)
            queue += [
                (target, *pair) for pair in sent(step(nodes[target], source, hint), FingerHint)
            ]
            self.assertLess(len(reached), 64)
        return reached

    def test_a_hint_may_visit_64_nodes_and_no_more(self):
        self.put(10, 5, 12, 30, 45)
        self.hints.tell_others(ref(11), alive=True)
        self.assertEqual({hint.ttl for _, hint in sent(self.ctx, FingerHint)}, {63})
        node = placed(10, [5, 10, 12, 30, 45])
        for ttl, refused in ((64, False), (65, True), (-1, True)):
            effects = step(node, 5, self.hint(20, low=5, high=30, ttl=ttl))
            self.assertEqual(bool(effects_of(effects, Misbehaved)), refused, ttl)
