"""What the judge of whole rings says is wrong, word for word, and where its conditions begin."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import EdgeKind
from chordnet.judge.explain import Pointers, predict
from chordnet.judge.invariants import (
    RingView,
    dead_ends,
    ideal_successor,
    ideal_view,
    inductive_problems,
    list_problems,
    live_successor,
    principals,
    problems,
    ring_problems,
    skipped,
)
from chordnet.judge.problems import Problem

SPACE = IdentifierSpace(6)


def words(problem: Problem) -> str:
    return problem.words(SPACE.hex)


def view(me: int, *successors: int) -> RingView:
    return RingView(me, None, list(successors), {})


class InvariantWordTests(SynchronousTestCase):
    def test_a_list_out_of_order_is_named_with_the_entry_that_is_too_near(self) -> None:
        for successors, at in (((10, 5), 5), ((10, 10), 10), ((10, 3), 3), ((3,), 3)):
            (problem,) = list_problems(view(3, *successors), SPACE)
            listed = ", ".join(f"{each:02x}" for each in successors)
            self.assertEqual(
                words(problem),
                f"03: successor list is out of order at {at:02x}: [{listed}]",
            )
            self.assertEqual((problem.kind, problem.nodes[0]), ("order", 3))
            self.assertEqual(set(problem.nodes), {3, *successors})
        self.assertEqual(list_problems(view(60, 1, 2), SPACE), [])

    def test_who_has_no_live_entry_is_named(self) -> None:
        (problem,) = dead_ends([view(3, 4, 5), view(10, 3)])
        self.assertEqual(
            (problem.kind, words(problem), problem.nodes),
            ("dead-end", "03: no entry of its successor list is live", (3,)),
        )
        self.assertEqual(inductive_problems([view(3)], SPACE, 1), [])

    def test_principals_are_counted_from_rings_of_one_more_than_a_list_on(self) -> None:
        # Two nodes pass one another by: there is none, and with lists of two none is expected.
        pair = [view(3, 20, 3), view(20, 3)]
        self.assertEqual(principals([view(3, 40), view(20, 3), view(40, 3)]), [3])
        self.assertNotIn("principals", [p.kind for p in inductive_problems(pair, SPACE, 2)])
        three = [view(3, 40), view(20, 40), view(40, 3)]
        (problem,) = (p for p in inductive_problems(three, SPACE, 2) if p.kind == "principals")
        self.assertEqual(words(problem), "2 principals among 3 members, should be 3 or more")
        self.assertEqual(problem.nodes, ())
        self.assertEqual(inductive_problems(three, SPACE, 1), [])

    def test_rings_are_named_by_their_least_members(self) -> None:
        apart = {3: 17, 17: 3, 10: 29, 29: 10}
        (problem,) = ring_problems(apart, SPACE)
        self.assertEqual(
            (problem.kind, words(problem), problem.nodes),
            ("split", "2 rings instead of one, with the members 03, 0a", (3, 10)),
        )
        (problem,) = ring_problems({3: 17, 17: 10, 10: 29, 29: 3}, SPACE)
        self.assertEqual(
            (problem.kind, words(problem), problem.nodes),
            ("loopy", "the ring of 03 goes round 2 times", (3,)),
        )
        (problem,) = ring_problems({3: None, 10: None}, SPACE)
        self.assertEqual(
            (words(problem), problem.nodes),
            ("no member's successors lead back to it", ()),
        )
        for alone in ({3: None}, {}, {3: 3}):
            self.assertEqual(ring_problems(alone, SPACE), [])

    def test_two_nodes_with_one_identifier_are_all_that_is_said(self) -> None:
        (problem,) = problems([view(3), view(3, 10)], SPACE, 2)
        self.assertEqual(
            (words(problem), problem.nodes), ("two nodes have the identifier 03", (3,))
        )

    def test_members_between_two_entries_are_skipped_and_the_entries_are_not(self) -> None:
        members = [3, 10, 17, 29]
        for left, right, between in (
            (3, 17, [10]), (3, 10, []), (4, 9, []), (9, 11, [10]), (17, 10, [29, 3]),
            (29, 3, []), (10, 10, [17, 29, 3]),
        ):  # fmt: skip
            self.assertEqual(skipped(left, right, members), between, (left, right))

    def test_the_owner_of_a_key_is_the_first_member_at_it_or_after_it(self) -> None:
        for key, owner in ((3, 3), (4, 10), (10, 10), (11, 3), (0, 3)):
            self.assertEqual(ideal_successor([3, 10], key), owner)
        self.assertEqual(live_successor([4, 10, 3], [3, 10]), 10)
        self.assertIsNone(live_successor([4, 11], [3, 10]))

    def test_the_right_pointers_of_a_ring_of_one_and_of_two(self) -> None:
        self.assertEqual(ideal_view([3], 0, SPACE, 2), RingView(3, 3, [], {}))
        found = ideal_view([3, 10], 0, SPACE, 2)
        # From 3 + 8 on the next node is 3 itself.
        self.assertEqual(found, RingView(3, 10, [10], {0: 10, 1: 10, 2: 10}))


class PredictionTests(SynchronousTestCase):
    def chain(self, count: int) -> dict[int, Pointers]:
        ids = list(range(count))
        return {
            each: Pointers(each, ids[each - 1], ids[(each + 1) % count], frozenset())
            for each in ids
        }

    def test_a_broadcast_travels_64_edges_and_no_further(self) -> None:
        space = IdentifierSpace(8)
        for count, unreached in ((65, set()), (66, {65}), (70, {65, 66, 67, 68, 69})):
            found = predict(0, self.chain(count), space)
            self.assertEqual((found.depth, found.unreached), (64, frozenset(unreached)))
            self.assertEqual(found.messages, 64)
        self.assertEqual(predict(0, self.chain(70), space, max_hops=2).depth, 2)

    def test_a_route_is_the_way_from_the_origin(self) -> None:
        found = predict(1, self.chain(4), IdentifierSpace(8))
        self.assertEqual(found.route(3), [1, 2, 3])
        self.assertEqual(found.route(1), [1])
        self.assertRaises(KeyError, found.route, 77)
        self.assertEqual([edge.depth for edge in found.edges], [1, 2, 3])
        self.assertEqual({edge.kind for edge in found.edges}, {EdgeKind.SUCCESSOR})

    def test_a_finger_at_the_limit_of_a_range_is_passed_by(self) -> None:
        members = {
            0: Pointers(0, 40, 10, frozenset({10, 20, 40})),
            10: Pointers(10, 0, 20, frozenset({20, 40})),
            20: Pointers(20, 10, 40, frozenset({40})),
            40: Pointers(40, 20, 0, frozenset({0})),
        }
        found = predict(0, members, SPACE)
        self.assertEqual(
            [(e.sender, e.receiver, e.depth, e.limit) for e in found.edges],
            [(0, 40, 1, 0), (0, 20, 1, 40), (0, 10, 1, 20)],
        )
        self.assertEqual((found.duplicates, found.unreached, found.unknown),
                         ((), frozenset(), frozenset()))  # fmt: skip
