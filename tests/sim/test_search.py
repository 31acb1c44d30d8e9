"""The search over all states of tiny rings, and the proof that it can fail."""

from io import StringIO

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig, Safeguards
from chordnet.core.kernel.requests import Ask
from chordnet.sim.search import __main__ as search
from chordnet.sim.search.cell import LIVES, NOBODY, Cell, End, Message, Situation, Stimulus
from chordnet.sim.search.explore import Fault, Plan, Search
from chordnet.sim.search.judge import Property
from chordnet.sim.search.step import Action, Grain
from chordnet.sim.search.story import told
from chordnet.sim.search.telling import BROKEN, FINE, MISUSED, UNFINISHED, progress

JOIN_FAIL = frozenset({Fault.JOIN, Fault.FAIL})
CONVERGENCE = frozenset({Property.CONVERGENCE})


def without(*names: str) -> Safeguards:
    return attrs.evolve(Safeguards(), **dict.fromkeys(names, False))


def at(steps: int, life: int = 1) -> int:
    """A pointer to the node so many places on."""
    return steps * LIVES + life


def situation(predecessor: int, *successors: int, **more: object) -> Situation:
    plain = Situation(1, False, predecessor, successors, None, (), (), (), (), (), ())
    return plain._replace(**more)


class AllIsWell(SynchronousTestCase):
    """With every safeguard on, every reachable state is as it should be.

    How many there are is told exactly: a search that looks at fewer would not be one of all.
    """

    def check_all(self, states: int, steps: int, depth: int, **plan: object) -> None:
        verdict = Search(Plan(**plan)).run()  # type: ignore[arg-type]
        self.assertIsNone(verdict.broken, verdict.history)
        self.assertTrue(verdict.complete)
        self.assertEqual((verdict.states, verdict.steps, verdict.depth), (states, steps, depth))

    def test_all_is_well_while_four_nodes_join_and_fail(self):
        self.check_all(787, 6751, 35, faults=JOIN_FAIL, lives=1)

    def test_all_is_well_while_four_nodes_join_fail_leave_and_come_back(self):
        self.check_all(2503, 18819, 30, grain=Grain.OPERATION)

    def test_all_is_well_from_a_ring_of_one(self):
        self.check_all(588, 3238, 18, nodes=3, first=1, faults=JOIN_FAIL)

    def test_all_is_well_after_joins_with_every_message_on_its_way(self):
        # With everybody answering at once there are far fewer states, and they are well too.
        self.check_all(
            627, 2607, 22, nodes=4, first=3, faults=frozenset({Fault.JOIN}), grain=Grain.MESSAGE,
            safeguards=without("answer_later"),
        )  # fmt: skip

    def test_all_is_well_among_three_members_with_every_message_on_its_way(self):
        self.check_all(308, 1225, 30, nodes=3, grain=Grain.MESSAGE)


class TheSearchCanFail(SynchronousTestCase):
    """With a safeguard off, the search finds what is published."""

    def broken(self, **plan: object) -> list[str]:
        """Search, and return the story of what was found."""
        found = Search(Plan(**plan))  # type: ignore[arg-type]
        self.verdict = found.run()
        self.assertIsNotNone(self.verdict.broken)
        return list(told(found, self.verdict))

    def test_ring_of_two_takes_over_a_dead_node(self):
        """Zave, CCR 2012, figure 6 (AtLeastOneRing): the ring is lost for good."""
        story = self.broken(
            first=2, faults=JOIN_FAIL, keep_base=False, wanted=CONVERGENCE,
            safeguards=without("ask_before_adopting", "whole_list"),
        )  # fmt: skip
        self.assertEqual(self.verdict.broken, Property.CONVERGENCE)
        self.assertIn("1. 4 joins after 0", story)
        self.assertIn("Left alone, with no further fault:", story)
        self.assertEqual(
            [line.strip() for line in story[-2:]],
            ["0: successors [], predecessor 0", "8: successors [], predecessor 8"],
        )

    def test_a_ring_of_two_is_not_lost_if_only_one_of_both_safeguards_is_off(self):
        for name in ("ask_before_adopting", "whole_list"):
            verdict = Search(
                Plan(
                    nodes=3,
                    first=2,
                    faults=JOIN_FAIL,
                    keep_base=False,
                    lives=1,
                    wanted=CONVERGENCE,
                    safeguards=without(name),
                )
            ).run()
            self.assertIsNone(verdict.broken)
            self.assertTrue(verdict.complete)

    def test_a_new_head_with_an_old_tail_skips_members(self):
        """Zave, TSE 2017: the base of principals is lost though nobody died."""
        self.broken(faults=JOIN_FAIL, safeguards=without("whole_list"))
        self.assertEqual(self.verdict.broken, Property.PRINCIPALS)
        self.assertNotIn("fail", [action.verb for action, _ in self.verdict.history if action])

    def test_joining_at_a_wrong_place_skips_members(self):
        story = self.broken(faults=JOIN_FAIL, safeguards=without("recheck_place"))
        self.assertEqual(self.verdict.broken, Property.PRINCIPALS)
        self.assertEqual(len(self.verdict.history), 2)
        self.assertTrue(story[-1].startswith("Now: "))

    def test_histories_are_the_same_every_time(self):
        plan = {"faults": JOIN_FAIL, "safeguards": without("whole_list")}
        self.assertEqual(self.broken(**plan), self.broken(**plan))

    def test_every_safeguard_is_on_by_default(self):
        self.assertTrue(all(attrs.astuple(ProtocolConfig().safeguards)))


class Parts(SynchronousTestCase):
    def test_what_is_not_said_of_a_message_or_an_action_is_nothing(self):
        self.assertEqual(Message(msg.Ping, 9), (msg.Ping, 9, 0, 0, -1, ()))
        self.assertEqual(Stimulus("stabilise"), ("stabilise", -1, 0, 0, -1, ()))
        self.assertEqual(Action("join", 3), ("join", 3, -1))
        self.assertEqual((LIVES, NOBODY), (8, -1))

    def test_progress_is_told_after_five_seconds_and_not_before(self):
        times = iter([4.9, 5.0, 9.9, 10.0])
        err = StringIO()
        tell = progress(0.0, err, times.__next__)
        for found in (10, 20, 30, 40):
            tell(found, found // 2, 3)
        self.assertEqual(
            err.getvalue(),
            "     5 s  20 states, 10 to look at, 3 steps deep\n"
            "    10 s  40 states, 20 to look at, 3 steps deep\n",
        )

    def test_a_search_ends_with_a_status_for_each_way_to_end(self):
        self.assertEqual((FINE, BROKEN, MISUSED, UNFINISHED), (0, 1, 2, 3))


class Cells(SynchronousTestCase):
    """A real node put into a situation and read back."""

    def setUp(self):
        self.cell = Cell(ProtocolConfig(bits=4, successors=2), 4)

    def test_what_is_put_is_read(self):
        rich = Situation(
            incarnation=2,
            leaving=False,
            predecessor=at(3),
            successors=(at(1), at(2)),
            asking=(int(Ask.STABILISE_SUCCESSOR), at(1), at(1)),
            deferred=((at(3), int(msg.Status.ACTIVE), 1),),
            pings=((int(Ask.RECTIFY), at(3), at(2)),),
            suspects=(at(2),),
            dead=(at(1),),
            departed=(),
            heard=(at(1), at(2), at(3)),
        )
        for end in End:
            node = self.cell._put(rich, end)
            self.assertEqual(self.cell._read(node, end), rich)

    def test_a_dead_head_is_dropped(self):
        before = situation(at(3), at(1), at(2))
        outcome = self.cell.run(before, Stimulus(ev.LinkDown, at(1)), End.LOW)
        self.assertEqual(outcome.situation.successors, (at(2),))
        self.assertEqual(outcome.situation.dead, (at(1),))

    def test_the_end_of_the_identifier_space_matters_to_mutual_questions_only(self):
        asking = situation(at(3), at(1), at(2), asking=(int(Ask.STABILISE_SUCCESSOR), at(1), at(1)))
        question = Stimulus(msg.GetState, at(1), 1, int(msg.Status.ACTIVE))
        low, high = (self.cell.run(asking, question, end) for end in End)
        self.assertIsNone(low.situation.asking)
        self.assertEqual(len(high.situation.deferred), 1)
        idle = asking._replace(asking=None)
        low, high = (self.cell.run(idle, question, end) for end in End)
        self.assertEqual(low, high)


class Merging(SynchronousTestCase):
    """States that cannot be told apart."""

    def setUp(self):
        self.search = Search(Plan())
        self.first = self.search.first_state()

    def test_turns_of_the_ring_are_one_state(self):
        canonical = self.search.merger.canonical
        turns = {canonical(self.first[k:] + self.first[:k]) for k in range(4)}
        self.assertEqual(len(turns), 1)

    def test_what_is_in_flight_turns_with_the_ring(self):
        world, canonical = self.search.world, self.search.merger.canonical
        joined = world.after(self.first, Action("join", 3, 2))[0]
        told_them = world.after(joined, Action("stabilise", 3))[0]
        entry = told_them[4]
        place, envelope = world.in_flight(entry)
        turned = told_them[1:4] + told_them[:1]
        turned += (world.entry((place - 1) % 4, envelope.incarnation, envelope.message),)
        self.assertNotEqual(turned, told_them)
        self.assertEqual(canonical(turned), canonical(told_them))

    def test_an_incarnation_that_nobody_names_is_forgotten(self):
        world = self.search.world
        old = tuple(world.number(situation(at(3), at(1), at(2))) for _ in range(4))
        new = tuple(
            world.number(
                situation(at(3, 2), at(1, 2), at(2, 2), incarnation=2, dead=(at(1), at(2), at(3)))
            )
            for _ in range(4)
        )
        canonical = self.search.merger.canonical
        self.assertEqual(canonical(new), canonical(old))


class Judging(SynchronousTestCase):
    """Each property, broken by hand."""

    def faults(self, *nodes: Situation | None) -> set[Property]:
        search = Search(Plan())
        state = tuple(0 if n is None else search.world.number(n) for n in nodes)
        return set(search.judge.faults(state))

    def test_a_right_ring_has_no_fault(self):
        right = situation(at(3), at(1), at(2))
        self.assertEqual(self.faults(right, right, right, right), set())

    def test_a_list_without_a_live_entry_is_a_fault(self):
        stale = situation(at(3), at(1, 2), at(2, 2))
        right = situation(at(3), at(1), at(2))
        self.assertIn(Property.LIVE_ENTRY, self.faults(stale, right, right, right))

    def test_two_rings_are_a_fault(self):
        opposite = situation(at(2), at(2))
        found = self.faults(opposite, opposite, opposite, opposite)
        self.assertLessEqual({Property.ONE_RING, Property.PRINCIPALS}, found)

    def test_a_ring_in_disorder_is_a_fault(self):
        backwards = situation(at(1), at(3))
        found = self.faults(backwards, backwards, backwards, backwards)
        self.assertIn(Property.ORDERED_RING, found)

    def test_a_list_in_disorder_is_a_fault(self):
        right = situation(at(3), at(1), at(2))
        for wrong in (situation(at(3), at(2), at(1)), situation(at(3), at(1), at(1)),
                      situation(at(3), at(1), at(0))):  # fmt: skip
            self.assertIn(Property.ORDERED_LIST, self.faults(wrong, right, right, right))

    def test_pointer_to_an_earlier_life_skips_the_node(self):
        right = situation(at(3), at(1), at(2))
        back = right._replace(incarnation=2)
        search = Search(Plan())
        state = tuple(search.world.number(n) for n in (right, right, right, back))
        self.assertEqual(search.judge.principals(state), 0b0111)

    def test_unsettled_ring_is_not_right(self):
        search = Search(Plan())
        right = search.world.number(situation(at(3), at(1), at(2)))
        orphan = search.world.number(situation(NOBODY, at(1), at(2)))
        self.assertTrue(search.judge.is_right((right,) * 4))
        self.assertFalse(search.judge.is_right((right, right, right, orphan)))
        self.assertTrue(search.settles((right, right, right, orphan)))


class CommandLine(SynchronousTestCase):
    """``python -m chordnet.sim.search``."""

    def run_search(self, *words: str) -> tuple[int, str, str]:
        out, err = StringIO(), StringIO()
        clock = iter(range(0, 10**9, 6)).__next__
        return search.main(words, out, err, clock), out.getvalue(), err.getvalue()

    def test_all_is_well(self):
        status, out, err = self.run_search("--nodes", "4", "--lives", "1", "--grain", "operation")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("Every reachable state was seen", out)

    def test_a_broken_property_is_told_with_its_history_and_status_1(self):
        status, out, _ = self.run_search("--without", "recheck_place")
        self.assertEqual(status, 1)
        self.assertIn("1. 12 joins after 0", out)

    def test_a_search_that_did_not_see_every_state_has_status_3(self):
        status, out, _ = self.run_search("--max-states", "1100")
        self.assertEqual(status, 3)
        self.assertIn("Not every state was seen", out)

    def test_progress_is_told_unless_the_search_is_to_be_quiet(self):
        words = ["--max-states", "2000"]
        self.assertIn("states", self.run_search(*words)[2])
        self.assertEqual(self.run_search(*words, "--quiet")[2], "")

    def test_a_command_without_a_word_searches_four_identifiers_with_every_fault(self):
        options = search._parser().parse_args([])
        self.assertEqual(
            vars(options),
            {
                "nodes": 4, "bits": 4, "successors": 2, "first": None, "grain": "notification",
                "faults": "join,fail,leave", "lives": 2, "lose_base": False, "without": "",
                "check": "", "max_states": 10_000_000, "quiet": False,
            },
        )  # fmt: skip
        plan = search.planned(options)
        self.assertEqual(plan, Plan())
        self.assertEqual(
            attrs.asdict(plan, recurse=False),
            {
                "nodes": 4, "bits": 4, "successors": 2, "first": 3, "grain": Grain.NOTIFICATION,
                "lives": 2, "faults": frozenset(Fault), "keep_base": True,
                "safeguards": Safeguards(), "wanted": frozenset(Property),
                "max_states": 10_000_000,
            },
        )  # fmt: skip

    def test_every_word_of_the_command_is_heeded(self):
        words = "--nodes 7 --bits 5 --successors 3 --grain message --faults fail --lives 4 "
        words += "--lose-base --without whole_list --check live_entry --max-states 6"
        found = search.planned(search._parser().parse_args(words.split()))
        expected = Plan(
            nodes=7, bits=5, successors=3, first=4, grain=Grain.MESSAGE,
            faults=frozenset({Fault.FAIL}), lives=4, keep_base=False,
            safeguards=without("whole_list"), wanted=frozenset({Property.LIVE_ENTRY}),
            max_states=6,
        )  # fmt: skip
        self.assertEqual(found, expected)
        found = search.planned(search._parser().parse_args([*words.split(), "--first", "2"]))
        self.assertEqual(found, attrs.evolve(expected, first=2))

    def test_the_time_that_a_search_took_is_told_from_its_beginning_to_its_end(self):
        out = self.run_search("--without", "recheck_place", "--quiet")[1]
        self.assertIn(" runs of a node, 6.0 s\n", out)

    def test_arguments_may_reach_their_limits(self):
        parsed = search._parser().parse_args
        for words in (
            ["--bits", "3"], ["--bits", "256"], ["--nodes", "16"], ["--first", "4"],
            ["--nodes", "2", "--first", "1"], ["--lives", "1"], ["--lives", "7"],
            ["--successors", "1"],
        ):  # fmt: skip
            search.planned(parsed(words))

    def test_bad_arguments_are_refused_with_what_is_possible(self):
        for words, said in (
            (["--nodes", "17"], "--nodes must be from 2 to 2**bits = 16"),
            (["--first", "5"], "--first must be from 1 to 4"),
            (["--successors", "0"], "--successors must be at least 1"),
            (["--lives", "8"], "--lives must be from 1 to 7"),
            (["--bits", "2"], "--bits must be from 3 to 256"),
            (["--bits", "257"], "bits must be from 3 to 256"),
            (["--nodes", "1"], "--nodes must be from 2"),
            (["--first", "0"], "--first must be from 1 to 4"),
            (["--lives", "0"], "--lives must be from 1 to 7"),
            (["--without", "seatbelt"], "no safeguard is called 'seatbelt'"),
            (["--faults", "explode"], "no fault is called 'explode'"),
            (["--check", "beauty"], "no property is called 'beauty'"),
        ):
            with self.subTest(words):
                status, out, err = self.run_search(*words)
                self.assertEqual((status, out), (2, ""))
                self.assertIn(said, err)
                self.assertEqual(err.count("\n"), 1)
