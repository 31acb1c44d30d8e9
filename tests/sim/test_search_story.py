"""What the search says: histories word for word, its report, its progress and its words."""

from __future__ import annotations

from io import StringIO

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import messages as msg
from chordnet.core.kernel.requests import Ask
from chordnet.sim.search import __main__ as search
from chordnet.sim.search.cell import NOBODY, Message, Situation
from chordnet.sim.search.explore import Fault, Plan, Search, Verdict
from chordnet.sim.search.judge import Property
from chordnet.sim.search.step import Action, Grain
from chordnet.sim.search.story import _Story, told
from chordnet.sim.search.table import State
from tests.sim.test_search import CONVERGENCE, JOIN_FAIL, at, situation, without

RIGHT = situation(at(3), at(1), at(2))


class HistoryTests(SynchronousTestCase):
    maxDiff = None

    def story(self, **plan: object) -> list[str]:
        found = Search(Plan(faults=JOIN_FAIL, **plan))  # type: ignore[arg-type]
        return list(told(found, found.run()))

    def test_a_lost_principal_step_by_step(self) -> None:
        self.assertEqual(
            self.story(safeguards=without("whole_list")),
            [
                "At the beginning:",
                "      0: successors [4, 8], predecessor 8",
                "      4: successors [8, 0], predecessor 0",
                "      8: successors [0, 4], predecessor 4",
                "1. 12 joins after 8",
                "      12: successors [0], predecessor 8",
                "2. 12 stabilises: asks its successor 0",
                "      12: successors [0, 4], predecessor 8",
                "      on the way: the notification of 12 to 0",
                "3. the notification of 12 reaches 0",
                "      0: successors [4, 8], predecessor 12",
                "4. 8 stabilises: asks its successor 0",
                "      8: successors [0, 4], predecessor 4, asking 12",
                "      on the way: the question of 8 to 12",
                "5. the question of 8 reaches 12",
                "      8: successors [12, 4], predecessor 4",
                "      on the way: the notification of 8 to 12",
                "Now: fewer members than the base has are skipped by no list.",
            ],
        )

    def test_a_ring_that_does_not_become_right_is_left_alone_for_three_rounds(self) -> None:
        story = self.story(
            first=2, keep_base=False, wanted=CONVERGENCE,
            safeguards=without("ask_before_adopting", "whole_list"),
        )  # fmt: skip
        self.assertEqual(
            story[story.index("5. 4 dies") :],
            [
                "5. 4 dies",
                "6. 12 dies",
                "Left alone, with no further fault:",
                "   round 1:",
                "      0: successors [4 (dead)], predecessor 12 (dead)",
                "      8: successors [12 (dead), 4 (dead)], predecessor 4 (dead)",
                "   round 2:",
                "      0: successors [12 (dead)], predecessor 12 (dead)",
                "      8: successors [4 (dead)], predecessor 4 (dead)",
                "   round 3:",
                "      0: successors [], predecessor 0",
                "      8: successors [], predecessor 8",
            ],
        )

    def test_a_history_of_nothing_is_not_told(self) -> None:
        found = Search(Plan())
        self.assertEqual(list(told(found, Verdict(1, 0, 0, 0, None, [], complete=True))), [])

    def test_where_nothing_changes_any_more_nothing_more_is_told(self) -> None:
        found = Search(Plan())
        verdict = Verdict(
            1, 0, 0, 0, Property.CONVERGENCE, [(None, found.first_state())], complete=False
        )
        self.assertEqual(
            list(told(found, verdict))[4:],
            ["Left alone, with no further fault:", "   round 1: nothing changes"],
        )

    def test_everything_else_that_is_broken_at_the_end_is_told(self) -> None:
        found = Search(Plan())
        wrong = found.world.number(situation(at(3), at(2), at(1)))
        right = found.world.number(RIGHT)
        for broken in (Property.LOST_PRINCIPAL, None):
            state = (right, right, right, wrong)
            verdict = Verdict(1, 0, 0, 0, broken, [(None, state)], complete=False)
            last = list(told(found, verdict))[-1]
            self.assertEqual(
                last,
                f"Now: {Property.PRINCIPALS.value}; {Property.ORDERED_LIST.value}.",
            )
            verdict = Verdict(1, 0, 0, 0, broken, [(None, found.first_state())], complete=False)
            last = list(told(found, verdict))[-1]
            text = Property.LOST_PRINCIPAL.value if broken else ""
            self.assertEqual(last, f"Now: {text}.")


class SentenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.search = Search(Plan(bits=5))
        self.story = _Story(self.search)

    def state(self, *nodes: Situation | None, flight: tuple[int, ...] = ()) -> State:
        numbers = (0 if each is None else self.search.world.number(each) for each in nodes)
        return (*numbers, *flight)

    def test_each_thing_that_happens_has_its_sentence(self) -> None:
        back = RIGHT._replace(incarnation=2)
        alone = situation(at(3, 2))
        state = self.state(RIGHT, alone, None, back)
        for action, sentence in (
            (Action("join", 2, 0), "16 joins after 0"),
            (Action("leave", 3), "24/2 leaves and tells its neighbours"),
            (Action("left", 0), "0 has left"),
            (Action("fail", 0), "0 dies"),
            (Action("stabilise", 0), "0 stabilises: asks its successor 8"),
            (Action("stabilise", 3), "24/2 stabilises: asks its successor 0"),
            (Action("stabilise", 1), "8 stabilises: asks its successor 0/2 (dead)"),
            (Action("defer", 0), "0 gives up its question and answers those that wait"),
            (Action("detect", 0, at(2)), "0 finds 16 (dead) dead"),
            (Action("detect", 0, at(3)), "0 finds 24 (dead) dead"),
        ):
            self.assertEqual(self.story.sentence(action, state), sentence)

    def test_each_message_that_arrives_has_its_sentence(self) -> None:
        world = self.search.world
        for kind, name in (
            (msg.GetState, "the question of 8 reaches 16"),
            (msg.State, "the answer of 8 reaches 16"),
            (msg.Notify, "the notification of 8 reaches 16"),
            (msg.Leaving, "the farewell of 8 reaches 16"),
        ):
            other = world.entry(3, 1, Message(msg.Notify, at(1)))
            entry = world.entry(1, 1, Message(kind, at(1)))
            state = self.state(RIGHT, RIGHT, RIGHT, RIGHT, flight=(other, entry))
            self.assertEqual(self.story.sentence(Action("deliver", 1, 2), state), name)
            self.assertEqual(
                self.story._on_the_way((*state[:4], other), state),
                [f"      on the way: {name.replace(' reaches', ' to')}"],
            )
        nothing = self.state(RIGHT, RIGHT, RIGHT, RIGHT)
        self.assertRaises(AssertionError, self.story.sentence, Action("deliver", 1, 2), nothing)

    def test_each_node_that_changed_is_told_with_all_that_it_points_to(self) -> None:
        busy = RIGHT._replace(
            leaving=True, predecessor=NOBODY, asking=(int(Ask.STABILISE_SUCCESSOR), at(2), at(2))
        )
        before = self.state(RIGHT, RIGHT, RIGHT, None)
        after = self.state(RIGHT, busy, None, RIGHT)
        self.assertEqual(
            list(self.story.changes(before, after)),
            [
                "      0: successors [8, 16 (dead)], predecessor 24",
                "      8: successors [16 (dead), 24], predecessor nothing, leaving, asking 24",
                "      24: successors [0, 8], predecessor 16 (dead)",
            ],
        )
        self.assertEqual(list(self.story.changes(before, before)), [])


class CommandTests(SynchronousTestCase):
    maxDiff = None

    def run_search(self, *words: str) -> tuple[int, list[str], list[str]]:
        out, err = StringIO(), StringIO()
        clock = iter(range(0, 10**9, 6)).__next__
        status = search.main(words, out, err, clock)
        return status, out.getvalue().splitlines(), err.getvalue().splitlines()

    def test_the_report_says_how_much_was_seen_and_in_what_time(self) -> None:
        self.assertEqual(
            self.run_search("--nodes", "3", "--lives", "1", "--grain", "operation"),
            (
                0,
                ["1 states, 3 steps, 0 deep, 6 runs of a node, 6.0 s",
                 "Every reachable state was seen, and all of them are as they should be."],
                [],
            ),
        )  # fmt: skip

    def test_what_is_broken_is_told_with_its_history(self) -> None:
        status, out, err = self.run_search("--without", "recheck_place")
        self.assertEqual((status, err), (1, []))
        self.assertEqual(
            out[:3],
            ["2 states, 4 steps, 1 deep, 22 runs of a node, 6.0 s",
             "Broken: fewer members than the base has are skipped by no list.", ""],
        )  # fmt: skip
        self.assertEqual(out[-1], "Now: fewer members than the base has are skipped by no list.")

    def test_a_search_ends_with_the_first_state_beyond_the_limit(self) -> None:
        for limit, states in (("10", 11), ("12", 13)):
            status, out, _ = self.run_search("--max-states", limit)
            self.assertEqual(status, 3)
            self.assertGreaterEqual(int(out[0].split()[0]), states)
            self.assertEqual(
                out[1],
                "Not every state was seen (--max-states); those seen are as they should be.",
            )

    def test_progress_is_told_no_sooner_than_after_five_seconds(self) -> None:
        err, now = StringIO(), [100.0]
        tell = search.progress(100.0, err, lambda: now[0])
        for number, seconds in enumerate((4.9, 5.0, 9.9, 10.0, 16.0)):
            now[0] = 100.0 + seconds
            tell(2000 + number, 1024, number)
        self.assertEqual(
            err.getvalue().splitlines(),
            [
                "     5 s  2001 states, 977 to look at, 1 steps deep",
                "    10 s  2003 states, 979 to look at, 3 steps deep",
                "    16 s  2004 states, 980 to look at, 4 steps deep",
            ],
        )

    def test_without_a_word_the_ring_has_four_nodes_and_everything_befalls_it(self) -> None:
        parsed = search._parser().parse_args
        self.assertEqual(search.planned(parsed([])), Plan())
        plan = attrs.asdict(Plan(), recurse=False)
        self.assertTrue(all(attrs.astuple(plan.pop("safeguards"))))
        self.assertEqual(
            plan,
            {
                "nodes": 4, "bits": 4, "successors": 2, "first": 3, "grain": Grain.NOTIFICATION,
                "lives": 2, "faults": frozenset(Fault), "keep_base": True,
                "wanted": frozenset(Property), "max_states": 10_000_000,
            },
        )  # fmt: skip
        self.assertFalse(parsed([]).quiet)

    def test_each_word_changes_what_it_says(self) -> None:
        parsed = search._parser().parse_args
        for words, changes in (
            (["--nodes", "6"], {"nodes": 6}),
            (["--bits", "8"], {"bits": 8}),
            (["--successors", "3"], {"successors": 3, "first": 4}),
            (["--first", "2"], {"first": 2}),
            (["--grain", "message"], {"grain": Grain.MESSAGE}),
            (["--faults", "join, leave"], {"faults": frozenset({Fault.JOIN, Fault.LEAVE})}),
            (["--faults", ""], {"faults": frozenset()}),
            (["--lives", "3"], {"lives": 3}),
            (["--lose-base"], {"keep_base": False}),
            (["--without", "whole_list,answer_later"],
             {"safeguards": without("whole_list", "answer_later")}),
            (["--check", "convergence"], {"wanted": CONVERGENCE}),
            (["--max-states", "7"], {"max_states": 7}),
        ):  # fmt: skip
            self.assertEqual(search.planned(parsed(words)), attrs.evolve(Plan(), **changes), words)
