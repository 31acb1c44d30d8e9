"""What the simulator's commands print while they run and at their end, and what they keep."""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet import __version__
from chordnet.sim.__main__ import _parser, _soak
from chordnet.sim.campaign import command
from chordnet.sim.campaign.run import CampaignResult, Plan
from chordnet.sim.scenarios.scenario import loads
from chordnet.sim.scenarios.soak import SeedResult, Tally
from tests.sim.test_commands import run
from tests.sim.test_reports import result


class CampaignTests(SynchronousTestCase):
    """The campaign over results that are made up, by a clock that goes on with each of them."""

    def setUp(self) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.asked: list[tuple[Plan, list[int], int]] = []
        self.file = Path(self.mktemp())

    def played(self, plan: Plan, seeds: list[int], jobs: int) -> Iterator[CampaignResult]:
        self.asked.append((plan, seeds, jobs))
        for seed in reversed(seeds):
            self.now += self.step
            failures = ("it went wrong", "and again") if seed in self.bad else ()
            yield result(seed, failures=failures)

    def run_it(self, *words: str, step: float = 1.0, bad: tuple[int, ...] = ()) -> int:
        self.step, self.bad = step, bad
        self.said.clear()
        self.asked.clear()
        options = _parser().parse_args(["campaign", "--nodes", "20", "--joins", "2", *words])
        return command.run(
            options, lambda *lines: self.said.extend(lines), lambda: self.now, self.played
        )

    def test_progress_is_told_every_thirty_seconds(self) -> None:
        self.run_it("--kills", "10", "--seeds", "7", step=15.0)
        self.assertEqual(
            [line for line in self.said if line.endswith(" seeds")],
            ["10% killed: 2 of 7 seeds", "10% killed: 4 of 7 seeds", "10% killed: 6 of 7 seeds"],
        )
        self.run_it("--kills", "10", "--seeds", "2", step=14.9)
        self.assertEqual([line for line in self.said if line.endswith(" seeds")], [])

    def test_the_results_that_are_there_are_kept_while_a_campaign_goes_on(self) -> None:
        kept = []

        def played(plan: Plan, seeds: list[int], jobs: int) -> Iterator[CampaignResult]:
            for each in self.played(plan, seeds, jobs):
                kept.append(self.file.exists())
                yield each

        self.step, self.bad = 30.0, ()
        words = ["campaign", "--nodes", "20", "--joins", "2", "--kills", "0", "--seeds", "3"]
        options = _parser().parse_args([*words, "--json", str(self.file)])
        command.run(options, lambda *lines: None, lambda: self.now, played)
        self.assertEqual(kept, [False, True, True])

    def test_a_failed_seed_is_told_at_once_and_with_its_story_at_the_end(self) -> None:
        status = self.run_it("--kills", "10", "--seeds", "3", bad=(1, 3))
        self.assertEqual(status, 1)
        self.assertEqual(
            self.said[:2], ["seed 3 FAILED: it went wrong", "seed 1 FAILED: it went wrong"]
        )
        self.assertEqual(
            [line for line in self.said if line.startswith("seed ") and "FAILED" not in line],
            ["seed 1, 0.1 killed:", "seed 3, 0.1 killed:"],
        )
        self.assertEqual(
            self.said[-1], f"python {platform.python_version()}, chordnet {__version__}"
        )
        self.assertEqual(self.run_it("--kills", "10", "--seeds", "3"), 0)

    def test_every_row_is_asked_for_with_its_seeds_and_processes(self) -> None:
        self.run_it("--kills", "0", "20", "--first", "5", "--seeds", "2", "--jobs", "3")
        self.assertEqual(
            [(plan.kills, seeds, jobs) for plan, seeds, jobs in self.asked],
            [(0.0, [5, 6], 3), (0.2, [5, 6], 3)],
        )

    def test_a_campaign_stops_once_so_many_minutes_are_over(self) -> None:
        self.run_it("--kills", "0", "5", "--seeds", "9", "--minutes", "1", step=20.0)
        self.assertEqual(len(self.asked), 1)
        row = next(line for line in self.said if line.split()[0] == "20")
        self.assertEqual(row.split()[2], "3", "the third of them ended at the minute")

    def test_a_file_keeps_every_run_of_every_plan_in_the_order_of_seeds(self) -> None:
        words = ("--json", str(self.file), "--kills", "0", "5")
        self.run_it(*words, "--first", "4", "--seeds", "2")
        self.run_it(*words, "--first", "1", "--seeds", "2")
        document = json.loads(self.file.read_text())
        self.assertEqual((document["format"], document["chordnet"]), (1, __version__))
        for plan in document["plans"]:
            self.assertEqual([each["seed"] for each in plan["runs"]], [1, 2, 4, 5])
        self.assertEqual([plan["plan"]["kills"] for plan in document["plans"]], [0.0, 0.05])
        self.assertEqual(list(self.file.parent.glob("*.part")), [])
        self.run_it(*words, "--first", "1", "--seeds", "5")
        self.assertEqual([seeds for _, seeds, _ in self.asked], [[3], [3]])

    def test_what_cannot_be_read_is_told_with_the_name_of_the_file(self) -> None:
        self.run_it("--json", str(self.file), "--kills", "0", "--seeds", "1")
        whole = json.loads(self.file.read_text())
        other = f"{self.file} is of another version of chordnet; name another file"
        for change, told in (
            ({"format": 2}, other), ({"chordnet": "0"}, other),
            ({"plans": [{**whole["plans"][0], "runs": [{"seed": 1}]}]},
             f"cannot read {self.file}: 'failures'; name another file"),
        ):  # fmt: skip
            self.file.write_text(json.dumps(whole | change))
            error = self.assertRaises(
                command.UnusableFile, self.run_it, "--json", str(self.file), "--kills", "0"
            )
            self.assertEqual(str(error), told)


class SoakTests(SynchronousTestCase):
    """A soak over plays that are made up."""

    def soak(self, *results: tuple[float, SeedResult]) -> tuple[int, list[str], tuple[Any, ...]]:
        """Return the status, what was printed, and what was asked for."""
        now, asked = [0.0], []

        def played(first: int, steps: int, jobs: int, tell: Any, failures: int) -> Tally:
            asked.append((first, steps, jobs, failures))
            tally = Tally()
            for seconds, each in results:
                now[0] += seconds
                tally.add(each)
                tell(tally, each)
            return tally

        options = _parser().parse_args(["soak", "--jobs", "3", "--first", "7", "--steps", "99"])
        out = io.StringIO()
        with redirect_stdout(out):
            status = _soak(options, lambda: now[0], played)
        return status, out.getvalue().splitlines(), asked[0]

    def test_the_sums_are_told_at_the_end(self) -> None:
        one = SeedResult(7, 100, 20, 3, 10.4, 1.5, ())
        two = SeedResult(8, 300, 50, 4, 20.4, 2.25, ())
        status, said, asked = self.soak((2.0, one), (3.0, two))
        self.assertEqual((status, asked), (0, (7, 99, 3, 20)))
        judged = "70 changes of rings judged while the invariant was in force;"
        judged += " 7 times a live node was taken for dead"
        self.assertEqual(
            said,
            [
                "seeds 7 to 8: 400 steps in 31 virtual s, 5 s of work by 3 processes (80/s)",
                judged,
                "slowest to one right ring after the last fault: 2.25 s (seed 8)",
                "0 seeds failed",
            ],
        )

    def test_failed_seeds_are_told_at_once_and_with_their_replay(self) -> None:
        bad = SeedResult(9, 100, 20, 3, 10.0, None, ("it went wrong", "more"))
        status, said, _ = self.soak((2.0, bad))
        self.assertEqual(status, 1)
        self.assertEqual(said[0], "seed 9 FAILED: it went wrong")
        self.assertEqual(said[-2:], ["1 seeds failed", "  replay: python -m chordnet.sim 9"])

    def test_progress_is_told_every_ten_seconds(self) -> None:
        fine = SeedResult(9, 100, 20, 3, 10.0, 1.0, ())
        _, said, _ = self.soak(*[(5.0, fine)] * 5)
        self.assertEqual(said[:2], ["2 seeds, 200 steps, 0 failed", "4 seeds, 400 steps, 0 failed"])
        self.assertEqual(len(said), 2 + 4)
        _, said, _ = self.soak((9.9, fine))
        self.assertEqual(len(said), 4)


class PlayTests(SynchronousTestCase):
    GOOD = 'name = "good"\nnodes = 3\nstart = "rings"\nrings = [3]\nlookups = 2\n'
    BAD = 'name = "bad"\nseed = 9\nnodes = 3\nstart = "rings"\nrings = [3]\nmembers = 5\n'

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.good, self.bad = self.folder / "good.toml", self.folder / "bad.toml"
        self.good.write_text(self.GOOD)
        self.bad.write_text(self.BAD)

    def play(self, *words: str | Path) -> tuple[int, list[str]]:
        status, out, _ = run("play", *map(str, words))
        return status, out.splitlines()

    def test_one_scenario_that_fails_fails_the_command_wherever_it_stands(self) -> None:
        for files in ((self.good, self.bad), (self.bad, self.good)):
            status, said = self.play(*files, "--no-shrink")
            self.assertEqual(status, 1)
            self.assertEqual(sum(line.startswith(("ok ", "FAILED ")) for line in said), 2)
        self.assertEqual(self.play(self.good, self.good)[0], 0)

    def test_the_last_steps_are_shown_when_asked_for_or_after_a_failure(self) -> None:
        self.assertEqual(len(self.play(self.good)[1]), 1)
        self.assertEqual(len(self.play(self.good, "--history", "3")[1]), 4)
        for words, count in (((), 40), (("--history", "5"), 5)):
            _, said = self.play(self.bad, "--no-shrink", *words)
            begin, end = said.index("its last steps:"), len(said) - 1
            self.assertEqual(end - begin - 1, count)
            self.assertEqual(said[end], f"replay: python -m chordnet.sim play {self.bad}")

    def test_a_failure_is_told_before_its_shortest_history(self) -> None:
        _, said = self.play(self.bad, "--no-shrink")
        self.assertEqual(said[1], "  the ring has 3 members, should have 5")
        self.assertEqual(said[2], "seed 9 fails: the ring has 3 members, should have 5")

    def test_the_scenario_is_written_as_it_was_or_shrunk_if_it_fails(self) -> None:
        out = self.folder / "out.toml"
        self.play(self.good, "--write", out)
        self.assertEqual(loads(out.read_text()), loads(self.GOOD))
        _, said = self.play(self.bad, "--no-shrink", "--write", out)
        self.assertEqual(loads(out.read_text()), loads(self.BAD))
        self.assertEqual(said[-1], f"replay the short one: python -m chordnet.sim play {out}")
        self.play(self.bad, "--write", out)
        self.assertEqual(loads(out.read_text()).name, "bad-shrunk")

    def test_a_number_alone_is_a_seed(self) -> None:
        status, out, _ = run("5")
        self.assertEqual((status, out.split()[1]), (0, "seed-5:"))

    def test_what_is_no_scenario_is_one_line(self) -> None:
        self.bad.write_text("nodes = ")
        status, out, err = run("play", str(self.bad))
        self.assertEqual((status, out, err.count("\n")), (1, "", 1))
        self.assertTrue(err.startswith("chordnet.sim: the scenario is not TOML"), err)

    def test_without_a_command_or_with_an_unknown_one_the_words_are_wrong(self) -> None:
        for words in ((), ("dance",), ("seed",), ("play",), ("seed", "x")):
            status, out, _ = run(*words)
            self.assertEqual((status, out), (2, ""), words)
