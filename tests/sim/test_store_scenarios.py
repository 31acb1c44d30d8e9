"""What went wrong in other systems does not go wrong here: each scenario, and that it can fail."""

from __future__ import annotations

import io
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import outcomes as end
from chordnet.core.store.base.requests import Get
from chordnet.sim.store.scenarios import __main__ as command
from chordnet.sim.store.stage import Failed, Scenario, Stage, played, some

SEEDS = (1, 2)


class ScenarioTests(SynchronousTestCase):
    def play(self, name: str) -> None:
        for seed in SEEDS:
            lines: list[str] = []
            try:
                played(command.SCENARIOS[name], seed, lines.append)
            except Failed as problem:
                self.fail("\n".join([f"{name}, seed {seed}: {problem}", *lines]))

    def test_a_write_that_arrives_after_its_key_was_deleted_does_not_bring_it_back(self) -> None:
        self.play("hint-replayed")

    def test_deletes_while_keys_move_hold_at_their_new_members(self) -> None:
        self.play("delete-in-handoff")

    def test_no_confirmed_write_is_lost_while_many_slots_move(self) -> None:
        self.play("writes-in-handoff")

    def test_a_write_that_two_nodes_coordinate_is_done_once(self) -> None:
        self.play("put-coordinated-twice")

    def test_nodes_that_restart_one_right_after_the_other_lose_nothing(self) -> None:
        self.play("fast-restart")

    def test_keys_that_are_never_read_outlive_every_disk_that_they_were_on(self) -> None:
        self.play("rolling-update")

    def test_a_key_is_written_on_one_side_of_a_split_and_nothing_is_merged_away(self) -> None:
        self.play("split-merged")

    def test_keys_have_three_copies_after_all_nodes_of_the_beginning_have_died(self) -> None:
        self.play("churn-decay")

    def test_a_node_that_was_away_for_an_hour_brings_nothing_deleted_back(self) -> None:
        self.play("back-from-the-dead")

    def test_copies_of_a_value_end_when_it_was_to_end_however_often_it_was_copied(self) -> None:
        self.play("expiry-republished")

    def test_the_same_seed_plays_the_same(self) -> None:
        told: list[list[str]] = [[], []]
        for lines in told:
            played(command.SCENARIOS["writes-in-handoff"], 5, lines.append)
        self.assertEqual(*told)


QUIET = Scenario("quiet", "nowhere", "Nothing.", "Nothing.", lambda stage: None, nodes=4)


class StageTests(SynchronousTestCase):
    """A stage sees what does not hold."""

    def test_what_does_not_hold_ends_the_scenario_with_its_time(self) -> None:
        lines: list[str] = []

        def play(stage: Stage) -> None:
            stage.check(True, "one is one")
            stage.check(False, "one is two")

        error = self.assertRaises(Failed, played, attrs.evolve(QUIET, play=play), 1, lines.append)
        self.assertRegex(str(error), r"^at \d+\.\d s it does not hold that one is two$")
        self.assertRegex(lines[0], r"^ +\d+\.\d s  so one is one$")
        self.assertEqual(len(lines), 1)

    def test_a_key_without_a_majority_can_neither_be_written_nor_read(self) -> None:
        stage = Stage(QUIET)
        for name in stage.members("k")[:2]:
            stage.world.kill(name)
        (node, *_) = stage.names
        self.assertRaises(Failed, stage.put, node, "k", "v")
        self.assertRaises(Failed, stage.get, node, "k")
        self.assertRaises(Failed, stage.settle)

    def test_a_node_that_does_not_run_cannot_be_asked(self) -> None:
        stage = Stage(QUIET)
        stage.world.kill("n0")
        self.assertRaises(Failed, stage.ask, "n0", Get(b"k"))

    def test_a_stage_tells_where_a_key_is(self) -> None:
        stage = Stage(QUIET)
        self.assertEqual(stage.put("n0", "k", "v"), 1)
        stage.wait(10.0)
        members, others = stage.members("k"), stage.others("k")
        self.assertEqual(sorted(members + others), stage.names)
        self.assertEqual((len(members), stage.copies("k", "v"), stage.copies("k", "w")), (3, 3, 0))
        self.assertIsNone(stage.on_disk(others[0], "k"))
        self.assertEqual(stage.everywhere("k").value, b"v")

    def test_a_history_that_cannot_be_true_is_a_failure(self) -> None:
        stage = Stage(QUIET)
        stage.put("n0", "k", "v")
        stage.get("n0", "k")
        stage.judge()
        stage.history.append(stage.history[0])
        self.assertRaises(Failed, stage.judge)

    def test_an_unconfirmed_write_is_asked_for_again_under_the_same_name(self) -> None:
        stage = Stage(QUIET)
        asked = stage.write("k", "v")
        first = stage.outcome(stage.ask("n0", asked))
        second = stage.outcome(stage.retry("n1", asked, end.Unconfirmed(0)))
        self.assertIsInstance(second, end.Done)
        self.assertEqual((first.version, second.version), (1, 1))

    def test_some_is_another_name_for_the_next_number(self) -> None:
        self.assertEqual([some("ba", number) for number in range(3)], ["a", "b", "a"])

    def test_letters_that_are_kept_back_arrive_when_they_are_let_go(self) -> None:
        stage = Stage(QUIET)
        stage.wait(30.0)
        members, (writer,) = stage.members("k"), stage.others("k")
        stage.world.slow |= {(writer, member) for member in members}
        asking = stage.ask(writer, stage.write("k", "v"))
        stage.wait(1.0)
        self.assertIsNone(asking.outcome)
        self.assertGreaterEqual(stage.world.let_go(), 3)
        self.assertEqual(stage.world.let_go(), 0)
        self.assertIsInstance(stage.outcome(asking), end.Done)


class CommandTests(SynchronousTestCase):
    """``python -m chordnet.sim.store.scenarios``."""

    def run_it(self, *words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        status = command.main(words, out, err)
        return status, out.getvalue(), err.getvalue()

    def test_a_scenario_is_told_with_what_happened_there_and_what_happens_here(self) -> None:
        status, out, err = self.run_it("fast-restart")
        self.assertEqual((status, err), (0, ""))
        lines = out.splitlines()
        self.assertEqual(lines[0], "fast-restart (olric#225)")
        self.assertTrue(lines[1].startswith("There: Two nodes kept two copies"))
        self.assertIn("all 33 answers fit one order of events for each key", out)
        self.assertLessEqual(max(map(len, lines)), 100)

    def test_the_list_names_all_of_them_and_plays_none(self) -> None:
        status, out, _ = self.run_it("--list")
        self.assertEqual(status, 0)
        self.assertEqual([line.split()[0] for line in out.splitlines()], list(command.SCENARIOS))

    def test_a_name_that_is_none_is_refused_in_one_line(self) -> None:
        status, out, err = self.run_it("slow-restart")
        self.assertEqual((status, out, err.count("\n")), (2, "", 1))
        self.assertIn("no scenario is called 'slow-restart'; there are hint-replayed, ", err)

    def test_one_that_fails_is_told_and_is_the_exit_status(self) -> None:
        def play(stage: Stage) -> None:
            stage.check(False, "pigs fly")

        bad = attrs.evolve(QUIET, play=play)
        out = io.StringIO()
        self.assertEqual(command.play_all([bad, QUIET], 1, out), 1)
        self.assertRegex(out.getvalue(), r"FAILED: at \d+\.\d s it does not hold that pigs fly")


class PageTests(SynchronousTestCase):
    def test_the_page_of_anomalies_has_each_scenario_with_its_source(self) -> None:
        page = (Path(__file__).parents[2] / "docs" / "anomalies.md").read_text("utf-8")
        for scenario in command.SCENARIOS.values():
            self.assertIn(f"| `{scenario.name}` | {scenario.source} |", page)
