"""How far an iterative lookup has come: whom it asks next, and whom not."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.limits import MAX_EXCLUDE
from chordnet.core.lookup.iterative import MAX_CANDIDATES, MAX_STEPS, Walk
from tests.unit.core_support import ids, raw, ref, refs


class WalkTests(SynchronousTestCase):
    def walk(self, *trail: int, silent: tuple[int, ...] = (), last: bool = False) -> Walk:
        walk = Walk(dict.fromkeys(map(raw, silent)))
        walk.trail = [(node, False) for node in refs(*trail)]
        walk.last = last
        return walk

    def asked(self, walk: Walk) -> list[tuple[int, bool]]:
        """Everybody whom it would ask now, one after the other."""
        return [(node.id, last) for node, last in iter(walk.best, None)]

    def test_what_was_named_last_comes_first(self):
        walk = self.walk(10)
        walk.advised(refs(20, 30), last=False)
        walk.offered(refs(40, 50), last=True)
        self.assertEqual(self.asked(walk), [(40, True), (50, True), (20, False), (30, False)])

    def test_advice_of_this_node_comes_before_what_was_named_earlier(self):
        walk = self.walk(10)
        walk.offered(refs(20, 30), last=False)
        walk.advised(refs(40), last=True)
        self.assertEqual(self.asked(walk), [(40, True), (20, False), (30, False)])

    def test_nobody_is_asked_twice_for_the_same_and_nobody_who_is_silent(self):
        walk = self.walk(10, silent=(30,))
        for last in (False, True, False, True):
            walk.offered(refs(20, 30), last=last)
        self.assertEqual(sorted(self.asked(walk)), [(20, False), (20, True)])

    def test_a_limited_number_is_kept_in_mind(self):
        walk = self.walk(10)
        walk.offered(refs(*range(20, 60)), last=False)
        self.assertEqual(len(self.asked(walk)), MAX_CANDIDATES)

    def test_only_a_neighbour_vouches_for_a_silent_node(self):
        for was_owner, says_owner in ((False, False), (False, True), (True, False)):
            walk = self.walk(10, silent=(20,), last=was_owner)
            walk.offered(refs(20), last=says_owner)
            self.assertEqual((self.asked(walk), walk.exclude), ([], [raw(20)]))
        walk = self.walk(10, silent=(20,), last=True)
        walk.offered(refs(20), last=True)
        self.assertEqual((self.asked(walk), walk.exclude), ([(20, True)], []))

    def test_whoever_answered_last_can_be_asked_again(self):
        walk = self.walk(10)
        walk.advised(refs(20), last=False)
        walk.trail.append(walk.best())
        self.assertEqual(ids(walk.path), [10, 20])
        walk.ask_again()
        self.assertEqual((ids(walk.path), self.asked(walk)), ([10], [(20, False)]))

    def test_a_walk_begins_again_only_if_some_silent_node_is_not_known_to_be_dead(self):
        walk = self.walk(10, 20, silent=(30, 40))
        dead = dict.fromkeys(map(raw, (30, 40)))
        self.assertFalse(walk.begin_again(ref(10), dead))
        self.assertEqual(ids(walk.path), [10, 20])
        self.assertTrue(walk.begin_again(ref(10), {raw(30): None}))
        self.assertEqual((ids(walk.path), walk.exclude), ([10], [raw(30)]))

    def test_the_latest_silent_nodes_are_named(self):
        walk = self.walk(10, silent=tuple(range(100, 101 + MAX_EXCLUDE)))
        self.assertEqual(walk.exclude, [raw(n) for n in range(101, 101 + MAX_EXCLUDE)])

    def test_the_steps_of_a_walk_are_counted_and_limited(self):
        walk = self.walk(10)
        steps = [walk.may_go_on() for _ in range(MAX_STEPS + 2)]
        self.assertEqual((sum(steps), steps[-2:]), (MAX_STEPS, [False, False]))
