"""The inductive invariant is stated so that each way to break it is seen."""

from __future__ import annotations

from random import Random

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.judge.invariants import (
    RingView,
    ideal_view,
    inductive_problems,
    principals,
    ring_problems,
)
from chordnet.judge.problems import DeadEnd
from chordnet.sim.scenarios.checker import RingChecker

SPACE = IdentifierSpace(6)
MEMBERS = [3, 10, 17, 29, 40, 55]
R = 2


def views(members=MEMBERS, r=R):
    return [ideal_view(members, index, SPACE, r) for index in range(len(members))]


def kinds(found):
    return {problem.kind for problem in found}


class Stated(SynchronousTestCase):
    """:func:`inductive_problems`."""

    def test_a_right_ring_has_no_problem(self):
        self.assertEqual(inductive_problems(views(), SPACE, R), [])
        self.assertEqual(principals(views()), MEMBERS)

    def test_a_ring_of_one_has_no_problem(self):
        self.assertEqual(inductive_problems([RingView(3, 3, [], {})], SPACE, R), [])

    def replaced(self, index, successors):
        broken = views()
        broken[index] = attrs.evolve(broken[index], successors=successors)
        return inductive_problems(broken, SPACE, R)

    def test_a_list_out_of_order_is_a_problem(self):
        self.assertIn("order", kinds(self.replaced(0, [17, 10])))

    def test_a_duplicate_in_a_list_is_a_problem(self):
        self.assertIn("order", kinds(self.replaced(0, [10, 10])))

    def test_a_list_that_comes_round_is_a_problem(self):
        self.assertIn("order", kinds(self.replaced(0, [10, 3])))

    def test_a_list_without_a_live_entry_is_a_problem(self):
        self.assertIn("dead-end", kinds(self.replaced(0, [5, 8])))

    def test_skipped_members_are_no_principals(self):
        """Zave, TSE 2017: a principal is skipped by no member's extended list."""
        broken = views()
        broken[0] = attrs.evolve(broken[0], successors=[17, 29])
        self.assertEqual(principals(broken), [3, 17, 29, 40, 55])

    def test_too_few_principals(self):
        self.assertIn("principals", kinds(self.replaced(0, [55])))

    def test_appendages_are_fine(self):
        """A node that has joined and that nobody points at yet."""
        joined = [*views(), RingView(12, 10, [17, 29], {})]
        self.assertEqual(inductive_problems(joined, SPACE, R), [])

    def test_two_rings_are_a_problem(self):
        apart = ring_problems({3: 17, 17: 40, 40: 3, 10: 29, 29: 55, 55: 10}, SPACE)
        self.assertEqual(kinds(apart), {"split"})

    def test_a_loopy_ring_is_a_problem(self):
        twice = ring_problems({3: 17, 17: 40, 40: 10, 10: 29, 29: 55, 55: 3}, SPACE)
        self.assertEqual(kinds(twice), {"loopy"})

    def test_a_ring_in_which_nobody_leads_back_is_a_problem(self):
        self.assertEqual(kinds(ring_problems({3: 10, 10: None}, SPACE)), {"split"})


class Incremental(SynchronousTestCase):
    """:class:`RingChecker` counts as it goes along, and comes to the same verdict."""

    def checker(self):
        checker = RingChecker(SPACE, R)
        for view in views():
            checker.changed(view.id, view.successors, trusted=False)
        return checker

    def test_the_invariant_is_in_force_once_the_ring_is_right(self):
        checker = self.checker()
        self.assertTrue(checker.in_force)
        self.assertEqual(checker.principals, 6)

    def test_a_ring_that_is_only_beginning_breaks_nothing(self):
        checker = RingChecker(SPACE, R)
        self.assertEqual(checker.changed(3, [10], trusted=True), [])
        self.assertEqual((checker.in_force, checker.checks), (False, 0))

    def test_only_those_without_a_live_entry_are_named(self):
        checker = self.checker()
        found = checker.changed(3, [5], trusted=True)
        self.assertEqual([p for p in found if p.kind == "dead-end"], [DeadEnd(3)])

    def test_one_ring_is_looked_for_with_every_change_or_every_so_many(self):
        """A cycle that goes round twice, which no node can see."""
        for count, every in ((63, 1), (65, 2), (127, 2), (129, 3)):
            space = IdentifierSpace(8)
            checker = RingChecker(space, R)
            for node in range(count):
                checker.changed(node, [(node + 2) % count, (node + 4) % count], trusted=False)
            seen = ["loopy" in kinds(checker._problems()) for _ in range(4 * every)]
            at = seen.index(True)
            expected = [turn % every == at for turn in range(4 * every)]
            self.assertEqual(seen, expected, count)

    def test_a_step_that_breaks_the_invariant_is_a_problem(self):
        checker = self.checker()
        self.assertEqual(kinds(checker.changed(3, [55], trusted=True)), {"principals"})
        self.assertFalse(checker.in_force)

    def test_what_cannot_be_trusted_is_not_held_against_anybody(self):
        checker = self.checker()
        self.assertEqual(checker.changed(3, [55], trusted=False), [])
        self.assertFalse(checker.in_force)

    def test_failures_may_end_the_invariant_and_repairs_bring_it_back(self):
        checker = self.checker()
        checker.failed(10)
        self.assertTrue(checker.in_force)
        checker.failed(17)
        self.assertFalse(checker.in_force)
        self.assertEqual(checker.changed(3, [29, 40], trusted=True), [])
        self.assertTrue(checker.in_force)

    def test_entries_of_an_earlier_life_are_dead(self):
        """A member that restarts is another one: whoever points at its old life misses it."""
        checker = self.checker()
        checker.changed(3, [10], trusted=False)
        checker.failed(10)
        self.assertFalse(checker.in_force)
        checker.changed(10, [17, 29], trusted=True)
        self.assertFalse(checker.in_force)
        checker.changed(3, [10, 17], trusted=True)
        self.assertTrue(checker.in_force)

    def test_who_is_named_by_an_earlier_life_only_is_skipped(self):
        checker = self.checker()
        before = checker.principals
        checker.failed(10)
        self.assertEqual(checker.principals, before - 1)
        checker.changed(10, [17, 29], trusted=False)
        self.assertEqual(checker.principals, before - 1)  # others name its last life
        for view in views():
            checker.changed(view.id, view.successors, trusted=False)
        self.assertEqual(checker.principals, before)

    def test_the_checker_agrees_with_the_statement_on_random_rings(self):
        """Random lists, joins and failures: the running count equals a count from scratch."""
        rng, nodes = Random(2017), range(1, 60, 6)
        for _ in range(300):
            checker, lists, dead = RingChecker(SPACE, R), {}, set()
            for _ in range(rng.randint(1, 25)):
                node = rng.choice([n for n in nodes if n not in dead])
                if node in lists and len(lists) > 2 and rng.random() < 0.2:
                    del lists[node]
                    dead.add(node)
                    checker.failed(node)
                else:
                    lists[node] = rng.sample(nodes, rng.randint(0, 3))
                    checker.changed(node, lists[node], trusted=False)
            stated = [RingView(node, None, entries, {}) for node, entries in lists.items()]
            self.assertEqual(checker.principals, len(principals(stated)))
            if len(lists) > R:
                wanted = inductive_problems(stated, SPACE, R)
                self.assertEqual(kinds(checker._problems()), kinds(wanted))
