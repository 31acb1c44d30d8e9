"""The judge of a whole ring must find each kind of problem, and none in a right ring."""

from __future__ import annotations

from random import Random

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.judge.invariants import (
    RingView,
    ideal_successor,
    ideal_view,
    inductive_problems,
    principals,
    problems,
    ring_problems,
)
from chordnet.judge.problems import FewPrincipals, Loopy, Problem, Split

SPACE = IdentifierSpace(6)


def words(problem: Problem) -> str:
    return problem.words(SPACE.hex)


R = 3


def right_ring(*members: int, r: int = R) -> dict[int, RingView]:
    ring = sorted(members)
    return {m: ideal_view(ring, i, SPACE, r) for i, m in enumerate(ring)}


def kinds(views: dict[int, RingView], r: int = R) -> list[str]:
    return [problem.kind for problem in problems(list(views.values()), SPACE, r)]


class RightRingTests(SynchronousTestCase):
    def test_the_pointers_in_a_ring_of_five_are_the_expected_ones(self):
        view = right_ring(5, 10, 20, 40, 60)[10]
        self.assertEqual(view.predecessor, 5)
        self.assertEqual(list(view.successors), [20, 40, 60])
        self.assertEqual(view.fingers, {0: 20, 1: 20, 2: 20, 3: 20, 4: 40, 5: 60})

    def test_a_list_is_no_longer_than_there_are_others(self):
        self.assertEqual(list(right_ring(5, 10)[5].successors), [10])

    def test_a_ring_of_one_points_at_nobody_but_itself(self):
        view = right_ring(5)[5]
        self.assertEqual((view.predecessor, list(view.successors), view.fingers), (5, [], {}))
        self.assertEqual(kinds({5: view}), [])

    def test_a_finger_that_would_be_the_node_itself_is_empty(self):
        self.assertEqual(right_ring(5, 10)[5].fingers, {0: 10, 1: 10, 2: 10})

    def test_the_successor_of_a_key_wraps(self):
        self.assertEqual(ideal_successor([5, 10, 20], 20), 20)
        self.assertEqual(ideal_successor([5, 10, 20], 21), 5)

    def test_a_right_ring_has_no_problems(self):
        @settings(derandomize=True, max_examples=100)
        @given(st.sets(st.integers(0, 63), min_size=1, max_size=20), st.integers(1, 8))
        def check(members: set[int], r: int) -> None:
            views = right_ring(*members, r=r)
            assert kinds(views, r) == []
            assert inductive_problems(list(views.values()), SPACE, r) == []

        check()


class ProblemTests(SynchronousTestCase):
    def setUp(self):
        self.views = right_ring(5, 10, 20, 40, 60)

    def change(self, member: int, **changes) -> None:
        self.views[member] = attrs.evolve(self.views[member], **changes)

    def the_problem(self):
        (problem,) = problems(list(self.views.values()), SPACE, R)
        return problem

    def test_a_wrong_predecessor_is_a_problem(self):
        self.change(20, predecessor=5)
        problem = self.the_problem()
        self.assertEqual(problem.kind, "predecessor")
        self.assertEqual(words(problem), "14: predecessor is 05, should be 0a")
        self.assertEqual(problem.nodes, (20, 5, 10))

    def test_a_missing_predecessor_is_a_problem(self):
        self.change(20, predecessor=None)
        self.assertEqual(words(self.the_problem()), "14: predecessor is none, should be 0a")

    def test_a_wrong_missing_or_superfluous_successor_is_a_problem(self):
        for successors in ([10, 40, 60], [40, 60], [40, 60, 5, 10], [], [60, 40, 5]):
            self.setUp()
            self.change(20, successors=successors)
            problem = self.the_problem()
            self.assertEqual(problem.kind, "successors")
            self.assertIn("should be [28, 3c, 05]", words(problem))

    def test_a_wrong_missing_or_superfluous_finger_is_a_problem(self):
        right = dict(self.views[20].fingers)
        self.change(20, fingers={**right, 4: 60})
        self.assertEqual(words(self.the_problem()), "14: finger 4 is 3c, should be 28")
        self.change(20, fingers={k: v for k, v in right.items() if k != 4})
        self.assertEqual(words(self.the_problem()), "14: finger 4 is none, should be 28")
        self.views = right_ring(5, 10)
        self.change(5, fingers={**self.views[5].fingers, 5: 10})
        self.assertEqual(words(self.the_problem()), "05: finger 5 is 0a, should be none")

    def test_an_identifier_used_twice_is_a_problem(self):
        views = [*self.views.values(), self.views[20]]
        self.assertEqual([p.kind for p in problems(views, SPACE, R)], ["duplicate"])

    def test_a_member_that_is_gone_is_missed_by_its_neighbours(self):
        del self.views[20]
        self.assertLessEqual({"predecessor", "successors", "finger"}, set(kinds(self.views)))

    def test_two_right_rings_are_not_one(self):
        views = right_ring(5, 20, 50) | right_ring(10, 40, 60)
        self.assertEqual(kinds(views).count("predecessor"), 6)

    def test_any_one_wrong_pointer_is_found(self):
        for seed in range(100):
            rng = Random(seed)
            members = rng.sample(range(64), rng.randrange(2, 12))
            self.views = right_ring(*members)
            victim = rng.choice(members)
            wrong = rng.choice([n for n in range(64) if n != self.views[victim].predecessor])
            self.change(victim, predecessor=wrong)
            self.assertEqual(self.the_problem().nodes[0], victim, f"seed {seed}")


class InductiveTests(SynchronousTestCase):
    """Zave (TSE 2017): what must hold in the middle of everything."""

    def kinds(self, views: dict[int, RingView], r: int = 2) -> set[str]:
        return {problem.kind for problem in inductive_problems(list(views.values()), SPACE, r)}

    def view(self, member: int, *successors: int) -> RingView:
        return RingView(member, None, successors, {})

    def views(self, **lists: tuple[int, ...]) -> dict[int, RingView]:
        return {int(k[1:]): self.view(int(k[1:]), *v) for k, v in lists.items()}

    def test_a_ring_in_the_middle_of_a_join_is_fine(self):
        """20 has joined; nobody points at it yet."""
        views = right_ring(5, 10, 40, 60, r=2) | self.views(n20=(40, 60))
        self.assertEqual(self.kinds(views), set())

    def test_a_ring_with_a_dead_member_is_fine(self):
        views = right_ring(5, 10, 20, 40, 60, r=2)
        del views[20]
        self.assertEqual(self.kinds(views), set())

    def test_a_list_out_of_order_or_with_duplicates_or_beyond_the_member_is_a_problem(self):
        for wrong in ((40, 20), (20, 20), (20, 10), (60, 40)):
            views = right_ring(5, 10, 20, 40, 60, r=2) | {10: self.view(10, *wrong)}
            self.assertIn("order", self.kinds(views), wrong)

    def test_a_member_without_a_live_successor_is_a_problem(self):
        views = right_ring(5, 10, 20, 40, 60, r=2)
        del views[20], views[40]
        self.assertIn("dead-end", self.kinds(views))

    def test_too_few_principals_are_a_problem(self):
        views = self.views(n5=(20, 40), n10=(40, 60), n20=(60, 5), n40=(5, 10), n60=(10, 20))
        self.assertIn("principals", self.kinds(views))

    def test_two_rings_are_a_problem(self):
        views = right_ring(5, 20, 50, r=2) | right_ring(10, 40, 60, r=2)
        self.assertIn("split", self.kinds(views))

    def test_a_ring_that_goes_round_twice_is_a_problem(self):
        views = self.views(n5=(20,), n20=(50,), n50=(10,), n10=(40,), n40=(60,), n60=(5,))
        self.assertIn("loopy", self.kinds(views, r=1))

    def test_of_two_members_each_without_a_live_successor_both_are_dead_ends(self):
        found = inductive_problems([self.view(5, 7), self.view(10, 7)], SPACE, 2)
        self.assertEqual([problem.kind for problem in found], ["dead-end", "dead-end", "split"])

    def test_one_member_alone_needs_no_successor(self):
        for successors in ((), (7,)):
            self.assertEqual(inductive_problems([self.view(5, *successors)], SPACE, 2), [])

    def test_one_principal_more_than_a_list_is_long_is_enough_and_one_less_is_too_few(self):
        lists = {n: (n + 1, n + 2) for n in range(1, 7)} | {5: (6, 1), 6: (1, 2), 7: (1, 3)}
        # 7 is passed over by 6, and 2 by 7.
        views = [self.view(member, *successors) for member, successors in lists.items()]
        self.assertEqual(principals(views), [1, 3, 4, 5, 6])
        for r, expected in ((4, []), (5, [FewPrincipals(5, 7, 6)]), (6, [FewPrincipals(5, 7, 7)])):
            found = inductive_problems(views, SPACE, r)
            self.assertEqual([p for p in found if isinstance(p, FewPrincipals)], expected, r)
        self.assertEqual(
            words(FewPrincipals(5, 7, 6)), "5 principals among 7 members, should be 6 or more"
        )


class CycleTests(SynchronousTestCase):
    def test_live_successors_must_be_one_cycle_that_goes_round_once(self):
        for heads, expected in (
            ({}, []),
            ({5: None}, []),
            ({5: 5}, []),
            ({5: None, 10: None}, [Split(())]),
            ({5: 10, 10: None}, [Split(())]),
            ({5: 10, 10: 5}, []),
            ({5: 10, 10: 5, 20: 5, 30: 20}, []),
            ({5: 10, 10: 5, 20: 30, 30: 20}, [Split((5, 20))]),
            ({5: 5, 20: 30, 30: 20}, [Split((5, 20))]),
            ({5: 20, 20: 10, 10: 30, 30: 5}, [Loopy(5, 2)]),
            ({9: 5, 5: 20, 20: 10, 10: 30, 30: 5}, [Loopy(5, 2)]),
            ({1: 40, 40: 20, 20: 10, 10: 1}, [Loopy(1, 3)]),
        ):
            self.assertEqual(ring_problems(heads, SPACE), expected, heads)
