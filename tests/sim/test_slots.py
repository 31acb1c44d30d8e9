"""The search over all states of one slot, and the proof that it can fail."""

from __future__ import annotations

from io import StringIO

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ConfigError
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.sim.slots import __main__ as slots
from chordnet.sim.slots.explore import Search, Verdict
from chordnet.sim.slots.judge import Past
from chordnet.sim.slots.kept import Kept
from chordnet.sim.slots.plan import VISIBLE, Job, Kind, Property, SlotPlan, jobs
from chordnet.sim.slots.story import told
from chordnet.sim.slots.turn import after
from chordnet.sim.slots.world import Action, State, Task


def searched(text: str, **plan: object) -> Verdict:
    return Search(SlotPlan(jobs=jobs(text), **plan)).run()  # type: ignore[arg-type]


TWO_CREATIONS = "create@A/A,create@B/C,change@B/C=BC/A=AB/B=AB,get@A,get@B"
# A takes the one, C the other; then all install the next epoch: A and B from the states of these
# two, C from those of B and itself.


class AllIsWell(SynchronousTestCase):
    """With every safeguard on, every reachable state is as it should be.

    How many there are is told exactly: a search that looks at fewer would not be one of all.
    """

    def check_all(self, text: str, states: int, steps: int, depth: int, **plan: object) -> None:
        verdict = searched(text, **plan)
        self.assertIsNone(verdict.broken, verdict.text)
        self.assertTrue(verdict.complete)
        self.assertEqual((verdict.states, verdict.steps, verdict.depth), (states, steps, depth))

    def test_a_writer_and_a_reader(self) -> None:
        self.check_all("put@A,get@B", 199, 519, 8)

    def test_two_writers_and_a_reader(self) -> None:
        self.check_all("put@A,put@B,get@C", 6415, 17166, 11)

    def test_a_write_on_a_condition_against_another_with_deadlines(self) -> None:
        self.check_all("create@A,put@B,get@C", 6883, 21366, 11, deadlines=True)

    def test_a_write_that_is_asked_for_again_elsewhere_while_another_reads(self) -> None:
        self.check_all("put@A,get@C", 2501, 7695, 12, deadlines=True, retries=True)

    def test_a_disk_lost_and_a_restart_after_a_write_was_confirmed(self) -> None:
        plan = {"losses": 1, "crashes": 1, "attempts": 2}
        self.check_all("put@A/AB,get@C", 3011, 9195, 9, **plan)

    def test_a_slot_of_one_member_that_moves_while_it_is_written_and_read(self) -> None:
        self.check_all("put@A,get@B,change@A:AB", 218, 379, 11, nodes=2, members=1)

    def test_a_slot_that_goes_from_three_members_to_two(self) -> None:
        self.check_all("put@A/BC,get@C,change@A:C-", 7320, 50401, 16)

    def test_a_slot_that_grows_from_one_member_to_two(self) -> None:
        self.check_all("put@A,get@B,change@A:-B", 1067, 2598, 14, nodes=2, members=1)

    def test_a_member_that_deleted_its_records_gives_no_state_to_those_that_come_late(self) -> None:
        self.check_all("put@A/AC,change@A:CD", 195, 1987, 7, nodes=4)

    def test_two_leaders_that_want_different_members(self) -> None:
        self.check_all("change@A:CD,change@B:AD", 6784, 82999, 14, nodes=4)

    def test_two_creations_that_each_reached_one_member_before_the_members_changed(self) -> None:
        self.check_all(TWO_CREATIONS, 900, 2242, 11)

    def test_a_tombstone_that_is_collected_while_another_reads_that_missed_the_deletion(self):
        self.check_all("put@A/ABC,delete@A/AB,collect@A,get@C", 139, 414, 12)

    def test_a_key_that_is_written_again_while_its_tombstone_is_collected(self) -> None:
        self.check_all("put@A/ABC,delete@B/ABC,collect@A,put@C,get@B", 7244, 21215, 15)

    def test_a_tombstone_that_one_member_missed_and_then_raised_its_floor_above(self) -> None:
        self.check_all("put@A/AB,delete@B/AB,lift@C,collect@A,get@C", 711, 2161, 13)

    def test_what_was_only_promised_dropped_at_any_time(self) -> None:
        self.check_all("put@A,get@B,clear@A,clear@C", 446, 1139, 9)

    def test_a_tombstone_collected_in_an_epoch_installed_from_different_majorities(self) -> None:
        text = "put@A/ABC,delete@B/AB,change@A/A=AB/B=AB/C=BC,collect@A,get@C"
        self.check_all(text, 476, 1333, 13)

    def test_a_tombstone_that_only_one_member_has_installed_collected_above_other_floors(self):
        text = "delete@B/A,change@A/A=AB/B=BC/C=BC,collect@A,lift@B,lift@C,put@C"
        self.check_all(text, 1652, 5945, 12)

    def test_a_slot_that_grows_while_a_key_is_collected_and_written_again(self) -> None:
        text = "put@A/A,delete@A/A,collect@A,put@B,change@A:-B"
        self.check_all(text, 225, 522, 12, nodes=2, members=1)


class Clocks(SynchronousTestCase):
    """Writes that expire, while the clocks of nodes pass their end one by one."""

    check_all = AllIsWell.check_all

    def test_one_clock_of_three_ends_no_lease(self) -> None:
        self.check_all("lease@A/ABC,get@B", 12, 21, 3, clocks=1)

    def test_a_lease_whose_end_is_read(self) -> None:
        self.check_all("lease@A/ABC,get@B", 190, 475, 11, clocks=3)

    def test_a_lease_that_another_takes_after_its_end(self) -> None:
        self.check_all("lease@A/AC,put@B,get@C", 10977, 36101, 14, clocks=3)


class OneRound(SynchronousTestCase):
    """The same, with writes that have the next one promised."""

    check_all = AllIsWell.check_all

    def test_a_writer_that_another_interrupts(self) -> None:
        self.check_all("put@A,put@C,put@A", 3209, 6417, 9, one_round=True)

    def test_a_writer_whose_slot_moves(self) -> None:
        plan = {"one_round": True, "nodes": 2, "members": 1}
        self.check_all("put@A,put@A,get@B,change@A:AB", 1733, 3691, 15, **plan)

    def test_a_writer_that_a_member_has_forgotten(self) -> None:
        plan = {"one_round": True, "losses": 1, "crashes": 1}
        self.check_all("put@A/AC,put@A,get@B", 6099, 17639, 9, **plan)


class NewKeys(SynchronousTestCase):
    """The same, with coordinators that have been promised all new keys."""

    check_all = AllIsWell.check_all

    def test_a_key_that_another_writes_before_during_or_after_the_reservation(self) -> None:
        self.check_all("put@B,reserve@A,put@A", 2027, 5760, 8)

    def test_a_slot_that_is_reserved_twice_and_written_twice(self) -> None:
        self.check_all("reserve@A,put@A,reserve@A,put@A", 6799, 18969, 9)

    def test_a_key_that_was_only_promised_and_is_dropped_while_the_slot_is_reserved(self) -> None:
        self.check_all("put@C,clear@C,reserve@A,put@A", 3667, 10059, 9)

    def test_a_deleted_key_that_is_collected_while_the_slot_is_reserved(self) -> None:
        text = "put@A/AB,delete@B/AB,lift@C,collect@A,reserve@A,put@A"
        self.check_all(text, 3820, 13955, 12)

    def test_a_slot_of_one_member_that_moves_while_it_is_reserved_and_written(self) -> None:
        plan = {"nodes": 2, "members": 1}
        self.check_all("reserve@A,put@A,get@B,change@A:AB", 685, 1431, 12, **plan)


class ItCanFail(SynchronousTestCase):
    """Each safeguard that is switched off lets a client see what must not be."""

    def check_found(self, off: str, text: str, depth: int, **plan: object) -> Verdict:
        guards = attrs.evolve(StoreSafeguards(), **{off: False})
        plan.setdefault("wanted", VISIBLE)
        verdict = searched(text, safeguards=guards, **plan)
        self.assertIsNotNone(verdict.broken, f"nothing found without {off}")
        self.assertEqual(verdict.depth, depth)
        return verdict

    def test_without_the_second_phase_of_reads_a_second_reader_sees_something_older(self) -> None:
        self.check_found("second_phase", "put@A,get@B,get@C", 4)

    def test_without_the_promise_of_a_majority_a_write_in_one_round_makes_a_version_twice(self):
        self.check_found("following_promised", "put@A,put@C,put@A", 9, one_round=True)

    def test_without_knowing_which_keys_there_are_a_first_write_is_done_twice(self) -> None:
        self.check_found("reserved_unknown", "put@A/AB,reserve@B,reserve@B,put@B", 5)

    def test_without_promises_on_disk_two_writers_make_the_same_version(self) -> None:
        self.check_found("promise_on_disk", "put@A,put@C", 7, crashes=1)

    def test_without_store_ids_an_empty_disk_votes_a_confirmed_write_away(self) -> None:
        self.check_found("store_id", "put@A/AC,get@B", 2, losses=1)

    def test_without_a_seal_the_old_members_confirm_a_write_that_the_new_ones_lack(self) -> None:
        self.check_found("seal", "put@A,get@B,change@A:AB", 8, nodes=2, members=1)

    def test_without_installing_first_the_new_members_have_forgotten_a_write(self) -> None:
        self.check_found("installed_first", "put@A/AB,get@D,change@B:AD", 7, nodes=4)

    def test_without_replacing_all_records_a_stale_one_becomes_the_state(self) -> None:
        text = "put@A/ABC,put@B/BC,get@A,change@B:CC"
        self.check_found("whole_state", text, 11, losses=1)

    def test_believing_in_ballots_of_an_earlier_epoch_lets_two_readers_see_two_histories(self):
        self.check_found("own_epoch", TWO_CREATIONS, 7)

    def test_without_most_clocks_a_lease_is_over_by_a_single_one(self) -> None:
        verdict = self.check_found("most_clocks", "lease@A/ABC,get@B", 3, clocks=1)
        self.assertEqual(verdict.text, "a lease is ended by 1 of 3 clocks")

    def test_without_every_member_a_deleted_value_comes_back(self) -> None:
        self.check_found("every_member", "put@A/ABC,delete@A/AB,collect@A,get@C", 8)

    def test_without_a_floor_a_key_that_is_written_again_has_its_old_version(self) -> None:
        text = "put@A/A,delete@A/A,collect@A,put@A"
        self.check_found("floor", text, 5, nodes=1, members=1)

    def test_without_a_floor_a_member_takes_what_is_older_than_it_has_dropped(self) -> None:
        every = frozenset(Property)
        text = "put@A/A,delete@A/A,collect@A"
        verdict = self.check_found("floor", text, 3, nodes=1, members=1, wanted=every)
        self.assertIs(verdict.broken, Property.NEVER_BACK)

    def test_what_breaks_inside_is_found_sooner_than_what_a_client_sees(self) -> None:
        every = frozenset(Property)
        text = "put@A/AB,get@D,change@B:AD"
        verdict = self.check_found("installed_first", text, 4, nodes=4, wanted=every)
        self.assertIs(verdict.broken, Property.CARRIED_OVER)
        text = "put@A,get@B,change@A:AB"
        verdict = self.check_found("seal", text, 3, nodes=2, members=1, wanted=every)
        self.assertIs(verdict.broken, Property.SILENT_WHEN_SEALED)
        verdict = self.check_found("promise_on_disk", "put@A", 2, crashes=1, wanted=every)
        self.assertIs(verdict.broken, Property.NEVER_BACK)


class PartTests(SynchronousTestCase):
    def test_a_job_that_has_not_begun_is_as_empty_as_can_be(self) -> None:
        self.assertEqual(Task(), (None, False, 0, 0, (), None, "", False))
        self.assertEqual(Action("begin"), ("begin", -1, "", None, (), True))
        self.assertEqual(State((), (), (), Past(())), ((), (), (), Past(()), 0, 0))
        self.assertEqual(Past(()), ((), (), (), (), (), 0, frozenset(), ()))

    def test_a_node_that_loses_its_disk_is_another_member_and_one_that_restarts_the_same(self):
        world = Search(SlotPlan(jobs=jobs("put@A"))).world
        first = world.beginning()
        node = world.node(first, "A")
        self.assertEqual((node.me, node.run, node.counter), (Member("A", 1), 1, 0))
        back = world.node(after(world, first, Action("crash", node="A")), "A")
        self.assertEqual((back.me, back.run, back.counter), (Member("A", 1), 2, 0))
        empty = after(world, first, Action("lose", node="A"))
        node = world.node(empty, "A")
        self.assertEqual((node.me, node.run, node.counter), (Member("A", 2), 2, 0))
        self.assertEqual((empty.crashes, empty.losses), (0, 1))

    def test_a_clock_goes_on_whatever_becomes_of_its_nodes_disk(self) -> None:
        world = Search(SlotPlan(jobs=jobs("lease@A"), clocks=2)).world
        state = world.beginning()
        ticks = [action.node for action in world.actions(state) if action.verb == "tick"]
        self.assertEqual(ticks, ["A", "B", "C"])
        for verb, node in (("tick", "B"), ("crash", "B"), ("lose", "B"), ("tick", "A")):
            state = after(world, state, Action(verb, node=node))
        self.assertEqual([node.late for node in state.nodes], [True, True, False])
        self.assertNotIn("tick", [action.verb for action in world.actions(state)])

    def test_equal_parts_are_one_object_with_one_number(self) -> None:
        kept = Kept()
        one, other = (Task(at="".join(["a", "b"])) for _ in "12")
        self.assertIsNot(one, other)
        self.assertIs(kept.same(one), kept.same(other))
        self.assertEqual((kept.number(one), kept.number(other), kept.number(Task())), (0, 0, 1))
        self.assertEqual(kept.at(1), Task())
        runs = []
        for _ in range(2):
            made = kept.remembered(lambda part: runs.append(part) or Task(at="x"), kept.same(one))
            self.assertEqual(made, Task(at="x"))
        self.assertEqual(len(runs), 2, "another function is another case")


class StoryTests(SynchronousTestCase):
    def test_a_history_is_told_step_by_step_with_what_clients_are_told(self) -> None:
        guards = StoreSafeguards(second_phase=False)
        plan = SlotPlan(jobs=jobs("put@A,get@B,get@C"), safeguards=guards, wanted=VISIBLE)
        search = Search(plan)
        lines = list(told(search, search.run()))
        self.assertEqual(
            lines,
            [
                "At the beginning:",
                "      A: epoch 1 (A, B, C), holds nothing",
                "      B: epoch 1 (A, B, C), holds nothing",
                "      C: epoch 1 (A, B, C), holds nothing",
                "1. A writes (w1); answers: A, B",
                "      A: epoch 1 (A, B, C), promised 1.1A, holds nothing",
                "      B: epoch 1 (A, B, C), promised 1.1A, holds nothing",
                "2. A is asked by A to take w1 (version 1)",
                "      A: epoch 1 (A, B, C), holds w1 (version 1) by 1.1A",
                "3. B reads; answers: A, B",
                "      read of B finds w1 (version 1)",
                "4. C reads; answers: B, C",
                "      read of C finds nothing",
                "Now a client is told of version 0; version 1 is out.",
            ],
        )

    def test_a_history_of_a_collection_tells_who_asks_and_who_drops(self) -> None:
        guards = StoreSafeguards(every_member=False)
        text = "put@A/ABC,delete@A/AB,collect@A,get@C"
        search = Search(SlotPlan(jobs=jobs(text), safeguards=guards, wanted=VISIBLE))
        story = "\n".join(told(search, search.run()))
        for sentence in (
            "A asks which members have its tombstone, too",
            "B is asked by A if it has the tombstone",
            "A is told by A that all members have the tombstone",
            "A: epoch 1 (A, B, C), floor 1.2A (version 2), holds nothing",
            "Now a client is told of version 1; version 2 is out.",
        ):
            self.assertIn(sentence, story)

    def test_a_history_of_a_change_and_a_lost_disk_names_both(self) -> None:
        guards = StoreSafeguards(whole_state=False)
        text = "put@A/ABC,put@B/BC,get@A,change@B:CC"
        search = Search(SlotPlan(jobs=jobs(text), losses=1, safeguards=guards, wanted=VISIBLE))
        story = "\n".join(told(search, search.run()))
        for sentence in (
            "C loses its disk and restarts",
            "B proposes C in place of C",
            "A is asked by B to vote for A, B, C(2)",
            "is told that epoch 2 is chosen, with the state of",
        ):
            self.assertIn(sentence, story)


class CommandTests(SynchronousTestCase):
    """``python -m chordnet.sim.slots``."""

    def run_it(self, *argv: str) -> tuple[int, str, str]:
        out, err = StringIO(), StringIO()
        ticks = iter(range(1_000_000))
        status = slots.main([*argv], out, err, lambda: 10.0 * next(ticks))
        return status, out.getvalue(), err.getvalue()

    def test_all_states_seen_and_well_is_status_0(self) -> None:
        status, out, _ = self.run_it("put@A,get@B")
        self.assertEqual(status, 0)
        self.assertIn("199 states, 519 steps, 8 deep", out)
        self.assertIn("Every reachable state was seen", out)

    def test_something_broken_is_status_1_with_its_history(self) -> None:
        status, out, _ = self.run_it("--without", "second_phase")
        self.assertEqual(status, 1)
        self.assertIn("Broken: one_history.", out)
        self.assertIn("4. C reads", out)

    def test_a_limit_on_states_or_depth_is_status_3(self) -> None:
        for limit in (["--max-states", "50"], ["--max-depth", "3"]):
            status, out, _ = self.run_it("put@A,get@B", *limit)
            self.assertEqual(status, 3)
            self.assertIn("Not every state was seen", out)

    def test_what_makes_no_sense_is_status_2_and_says_why(self) -> None:
        for argv, why in (
            (["write@A"], "no job"),
            (["put@D"], "not one of A, B, C"),
            (["--nodes", "2"], "--members"),
            (["--attempts", "0"], "--attempts"),
            (["--without", "luck"], "no safeguard is called 'luck'"),
            (["--check", "luck"], "no property is called 'luck'"),
        ):
            status, _, err = self.run_it(*argv)
            self.assertEqual(status, 2, argv)
            self.assertIn(why, err)

    def test_the_progress_of_a_long_search_is_told_unless_it_is_to_be_quiet(self) -> None:
        argv = ["put@A,put@B,get@C", "--max-states", "4000"]
        self.assertRegex(self.run_it(*argv)[2], r"\d+ s  \d+ states, \d+ to look at, \d+ steps")
        self.assertEqual(self.run_it(*argv, "--quiet")[2], "")

    def test_a_command_without_a_word_searches_a_write_and_two_reads_of_three_nodes(self) -> None:
        options = slots._parser().parse_args([])
        self.assertEqual(
            vars(options),
            {
                "jobs": "put@A,get@B,get@C", "nodes": 3, "members": 3, "attempts": 1,
                "crashes": 0, "losses": 0, "clocks": 0, "deadlines": False, "retries": False,
                "one_round": False, "every_message": False, "without": "", "check": "",
                "max_states": 1_000_000,
                "max_depth": 1_000, "quiet": False,
            },
        )  # fmt: skip
        plan = slots.planned(options)
        self.assertEqual(plan, SlotPlan(jobs=jobs("put@A,get@B,get@C")))
        self.assertEqual(
            attrs.asdict(plan, recurse=False),
            {
                "jobs": plan.jobs, "nodes": 3, "members": 3, "attempts": 1, "crashes": 0,
                "losses": 0, "clocks": 0, "deadlines": False, "retries": False,
                "one_round": False,
            "every_message": False,
                "safeguards": StoreSafeguards(), "wanted": frozenset(Property),
                "max_states": 1_000_000, "max_depth": 1_000,
            },
        )  # fmt: skip

    def test_every_word_of_the_command_is_heeded(self) -> None:
        words = "put@A --nodes 5 --members 2 --attempts 4 --crashes 6 --losses 7 --deadlines "
        words += "--retries --every-message --max-states 8 --max-depth 9 --without seal,store_id "
        plan = slots.planned(slots._parser().parse_args(words.split()))
        guards = StoreSafeguards(seal=False, store_id=False)
        self.assertEqual(
            plan,
            SlotPlan(
                jobs=jobs("put@A"), nodes=5, members=2, attempts=4, crashes=6, losses=7,
                deadlines=True, retries=True, every_message=True, safeguards=guards,
                wanted=VISIBLE, max_states=8, max_depth=9,
            ),
        )  # fmt: skip
        words += "--check never_back"
        plan = slots.planned(slots._parser().parse_args(words.split()))
        self.assertEqual(plan.wanted, frozenset({Property.NEVER_BACK}))

    def test_arguments_may_reach_their_limits(self) -> None:
        for words in (
            "put@A --nodes 1 --members 1",
            "put@E --nodes 5 --members 5",
            "put@E/DE,change@D:EC --nodes 5",
            "change@A:CD/D=AB/A=AB --nodes 4",
        ):
            slots.planned(slots._parser().parse_args(words.split()))
        for words in (
            "put@A --nodes 1 --members 0",
            "put@A --nodes 6 --members 5",
            "put@A --nodes 2 --members 3",
            "put@A/D",
            "change@A:DA",
            "change@A:AD",
            "change@A/B=AD",
            "change@A:CD/C=AB --nodes 4",
            "change@A/D=AB --nodes 4",
        ):
            self.assertEqual(self.run_it(*words.split())[0], 2, words)

    def test_the_time_that_a_search_took_is_told_from_its_beginning_to_its_end(self) -> None:
        # The clock is read at the beginning and at the end alone, ten seconds apart.
        self.assertIn(" runs of a class, 10.0 s\n", self.run_it("put@A,get@B")[1])

    def test_jobs_are_read_as_they_are_typed(self) -> None:
        self.assertEqual(
            jobs(
                "put@A/BC, change@B:CD,change@C,change@A:C-,change@A:-C,get@D,change@B:CD/D=AB/A=BC"
            ),
            (
                Job(Kind.PUT, "A", done_at="BC"),
                Job(Kind.CHANGE, "B", "C", "D"),
                Job(Kind.CHANGE, "C"),
                Job(Kind.CHANGE, "A", "C", ""),
                Job(Kind.CHANGE, "A", "", "C"),
                Job(Kind.GET, "D"),
                Job(Kind.CHANGE, "B", "C", "D", installed=(("D", "AB"), ("A", "BC"))),
            ),
        )
        self.assertRaises(ConfigError, jobs, "put@A,,get")
        self.assertEqual(
            jobs("collect@A,clear@B,lift@C"),
            (Job(Kind.COLLECT, "A"), Job(Kind.CLEAR, "B"), Job(Kind.LIFT, "C")),
        )
