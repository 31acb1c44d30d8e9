"""The judge of tiny rings: each of its conditions alone, broken by hand."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import messages as msg
from chordnet.sim.search.cell import NOBODY, Message, Situation
from chordnet.sim.search.explore import Plan, Search
from chordnet.sim.search.judge import Property
from chordnet.sim.search.table import State
from tests.sim.test_search import at, situation

RIGHT = situation(at(3), at(1), at(2))


class JudgeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.make()

    def make(self, **plan: object) -> None:
        self.search = Search(Plan(**plan))  # type: ignore[arg-type]
        self.judge, self.world = self.search.judge, self.search.world

    def state(self, *nodes: Situation | None, flight: tuple[int, ...] = ()) -> State:
        numbers = (0 if each is None else self.world.number(each) for each in nodes)
        return (*numbers, *flight)

    def faults(self, *nodes: Situation | None) -> list[Property]:
        return self.judge.faults(self.state(*nodes))


class MemberTests(JudgeCase):
    def test_who_leaves_is_no_member(self) -> None:
        leaving = RIGHT._replace(leaving=True)
        self.assertEqual(self.judge.members(self.state(RIGHT, leaving, None, RIGHT)), [0, 3])

    def test_live_entries_are_those_of_members_in_the_order_of_the_list(self) -> None:
        leaving, back = RIGHT._replace(leaving=True), RIGHT._replace(incarnation=2)
        listed = situation(at(3), at(1), at(2), at(3))
        for nodes, live in (
            ((listed, RIGHT, RIGHT, RIGHT), [1, 2, 3]),
            ((listed, leaving, RIGHT, RIGHT), [2, 3]),
            ((listed, RIGHT, None, back), [1]),
        ):
            self.assertEqual(self.judge.live_entries(self.state(*nodes), 0), live)


class PrincipalTests(JudgeCase):
    def principals(self, *nodes: Situation | None, flight: tuple[int, ...] = ()) -> str:
        return f"{self.judge.principals(self.state(*nodes, flight=flight)):04b}"[::-1]

    def test_who_is_passed_over_by_a_list_is_no_principal(self) -> None:
        wide = situation(at(3), at(2), at(3))
        self.assertEqual(self.principals(RIGHT, RIGHT, RIGHT, RIGHT), "1111")
        self.assertEqual(self.principals(wide, RIGHT, RIGHT, RIGHT), "1011")
        self.assertEqual(self.principals(RIGHT, RIGHT, wide, RIGHT), "1110")
        self.assertEqual(self.principals(RIGHT, RIGHT, RIGHT, wide), "0111")

    def test_an_empty_list_passes_over_everybody_else(self) -> None:
        self.assertEqual(self.principals(situation(at(0)), RIGHT, RIGHT, RIGHT), "1000")

    def test_a_list_that_goes_round_passes_over_everybody_but_its_holder(self) -> None:
        # From the node two places on all the way round to the node one place on.
        round_ = situation(at(3), at(2), at(1))
        self.assertEqual(self.principals(round_, RIGHT, RIGHT, RIGHT), "1010")

    def test_an_answer_on_its_way_counts_as_a_list_of_who_asked(self) -> None:
        def answer(kind: type[msg.PeerMessage], *successors: int) -> tuple[int, ...]:
            return (self.world.entry(1, 1, Message(kind, at(3), 1, 0, NOBODY, successors)),)

        nodes = (RIGHT, RIGHT, RIGHT, RIGHT)
        # Node 0 has asked node 1, which names node 3 as its next.
        self.assertEqual(self.principals(*nodes, flight=answer(msg.State, at(2))), "1101")
        self.assertEqual(self.principals(*nodes, flight=answer(msg.State, at(1), at(2))), "1111")
        self.assertEqual(self.principals(*nodes, flight=answer(msg.Leaving, at(2))), "1111")
        far = (self.world.entry(2, 1, Message(msg.State, at(2), 1, 0, NOBODY, ())),)
        self.assertEqual(self.principals(*nodes, flight=far), "1011", "whom it asked counts, too")

    def test_who_leaves_is_no_principal_and_passes_over_nobody(self) -> None:
        leaving = situation(at(3), at(3))._replace(leaving=True)
        self.assertEqual(self.principals(RIGHT, leaving, RIGHT, RIGHT), "1011")


class DeathTests(JudgeCase):
    def test_nobody_may_be_left_without_a_live_entry(self) -> None:
        short = situation(at(3), at(1))
        state = self.state(short, RIGHT, RIGHT, RIGHT)
        may = [self.judge.may_die(state, place, keep_base=False) for place in range(4)]
        self.assertEqual(may, [True, False, True, True])

    def test_a_principal_may_not_die_while_there_are_no_more_than_the_base_has(self) -> None:
        wide = situation(at(3), at(2), at(3))
        state = self.state(wide, RIGHT, RIGHT, RIGHT)
        may = [self.judge.may_die(state, place, keep_base=True) for place in range(4)]
        self.assertEqual(may, [False, True, False, False])
        may = [self.judge.may_die(state, place, keep_base=False) for place in range(4)]
        self.assertEqual(may, [True] * 4)
        state = self.state(RIGHT, RIGHT, RIGHT, RIGHT)
        self.assertTrue(self.judge.may_die(state, 0, keep_base=True))


class FaultTests(JudgeCase):
    def test_one_member_alone_is_a_ring_whatever_it_points_to(self) -> None:
        self.make(first=1)
        for alone in (situation(at(0)), situation(at(3), at(1), at(2))):
            self.assertEqual(self.faults(alone, None, None, None), [])
        self.assertEqual(self.faults(None, None, None, None), [])

    def test_a_base_is_expected_only_where_there_was_one(self) -> None:
        pair = situation(at(2), at(2))
        self.assertEqual(self.faults(pair, None, pair, None), [Property.PRINCIPALS])
        self.make(first=2)
        self.assertEqual(self.faults(pair, None, pair, None), [])

    def test_as_many_principals_as_the_base_has_are_enough(self) -> None:
        wide = situation(at(3), at(2), at(3))
        self.assertEqual(self.faults(wide, RIGHT, RIGHT, RIGHT), [])
        self.assertEqual(self.judge.base, 3)

    def test_one_member_with_an_empty_list_is_a_ring_and_two_lack_entries(self) -> None:
        self.make(first=1)
        lonely, joined = situation(at(0)), situation(NOBODY, at(3))
        self.assertEqual(self.faults(lonely, joined, None, None), [])
        found = self.faults(lonely, lonely, None, None)
        self.assertEqual(found, [Property.LIVE_ENTRY, Property.ONE_RING])

    def test_a_list_of_the_dead_is_a_fault(self) -> None:
        self.make(first=1)
        dead = situation(at(3), at(1))
        other = situation(at(2), at(2))
        self.assertIn(Property.LIVE_ENTRY, self.faults(dead, None, other, None))

    def test_two_rings_are_not_one(self) -> None:
        self.make(first=1)
        pair = situation(at(2), at(2))
        self.assertEqual(self.faults(pair, pair, pair, pair), [Property.ONE_RING])
        self.assertEqual(self.faults(pair, situation(NOBODY, at(1)), pair, None), [])

    def test_a_ring_that_goes_round_twice_is_out_of_order(self) -> None:
        self.make(nodes=5, bits=5, first=1)
        jump = situation(at(3), at(2))
        self.assertEqual(self.faults(jump, jump, jump, jump, jump), [Property.ORDERED_RING])

    def test_lists_name_each_node_once_in_order_and_not_their_holder(self) -> None:
        for wrong in (
            situation(at(3), at(1), at(1, 2)), situation(at(3), at(0, 2), at(1)),
            situation(at(3), at(2), at(1)),
        ):  # fmt: skip
            self.assertIn(Property.ORDERED_LIST, self.faults(wrong, RIGHT, RIGHT, RIGHT))
        self.assertEqual(self.faults(situation(at(3), at(1), at(3)), RIGHT, RIGHT, RIGHT), [])


class RightTests(JudgeCase):
    def right(self, *nodes: Situation | None, flight: tuple[int, ...] = ()) -> bool:
        return self.judge.is_right(self.state(*nodes, flight=flight))

    def test_every_pointer_is_compared(self) -> None:
        self.assertTrue(self.right(RIGHT, RIGHT, RIGHT, RIGHT))
        for wrong in (
            situation(at(2), at(1), at(2)), situation(at(3, 2), at(1), at(2)),
            situation(at(3), at(1)), situation(at(3), at(1), at(2), at(3)),
            situation(at(3), at(2), at(3)), situation(at(3), at(1), at(2, 2)),
            situation(NOBODY, at(1), at(2)), RIGHT._replace(leaving=True),
        ):  # fmt: skip
            self.assertFalse(self.right(RIGHT, wrong, RIGHT, RIGHT), wrong)

    def test_lists_are_shorter_where_there_are_fewer_members(self) -> None:
        pair, alone = situation(at(2), at(2)), situation(at(0))
        self.assertTrue(self.right(pair, None, pair, None))
        self.assertFalse(self.right(situation(at(2), at(2), at(0)), None, pair, None))
        self.assertTrue(self.right(None, alone, None, None))
        three = (situation(at(2), at(1), at(2)), situation(at(3), at(1), at(3)),
                 situation(at(3), at(2), at(3)))  # fmt: skip
        self.assertTrue(self.right(*three, None))

    def test_nothing_is_on_its_way(self) -> None:
        entry = self.world.entry(0, 1, Message(msg.Notify, at(1)))
        self.assertFalse(self.right(RIGHT, RIGHT, RIGHT, RIGHT, flight=(entry,)))
