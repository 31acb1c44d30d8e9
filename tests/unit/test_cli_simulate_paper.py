"""``p2pnet simulate --paper``: how figures are worked out, judged and shown."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.lab.paper import announcement, paper_json, paper_lines
from chordnet.core.base.config import FingerUpkeep
from chordnet.sim.measured import paper, paper_runs
from chordnet.sim.measured.published import ESTIMATES, FAILURES, Figure, Row, Table, Verdict
from chordnet.sim.measured.tally import Look, Tally, error_of, mean_of, percentile_of, spread_of
from chordnet.sim.world.meter import Measured
from tests.unit.test_cli_simulate import need_extra


def tally(*looks: tuple[Look, int]) -> Tally:
    """Return the lookups of a ring: of each kind so many."""
    return Tally(dict(looks))


def figures(row: Row) -> dict[str, Figure]:
    return {figure.name: figure for figure in row.figures}


class TallyTests(SynchronousTestCase):
    def test_the_spread_is_that_of_one_ring(self) -> None:
        rings = [tally((Look(1), 1), (Look(3), 1)), tally((Look(4), 1), (Look(6), 1))]
        self.assertAlmostEqual(spread_of(rings, paper.path_of), 4.5**0.5)
        self.assertEqual(spread_of(rings[:1], paper.path_of), 0.0)

    def test_the_error_is_that_between_rings(self) -> None:
        rings = [tally((Look(1), 4)), tally((Look(3), 4))]
        self.assertEqual(mean_of(rings, paper.path_of), 2)
        self.assertEqual(error_of(rings, paper.path_of), 1)
        self.assertIsNone(error_of(rings[:1], paper.path_of))

    def test_rings_that_are_alike_by_chance_do_not_make_the_error_small(self) -> None:
        rings = [tally((Look(0), 50), (Look(10), 50))] * 2
        self.assertAlmostEqual(error_of(rings, paper.path_of) or 0, 5 / 200**0.5)

    def test_every_lookup_has_the_same_weight_in_the_mean(self) -> None:
        self.assertEqual(mean_of([tally((Look(1), 3)), tally((Look(5), 1))], paper.path_of), 2)

    def test_percentiles_are_those_of_each_ring_and_their_mean(self) -> None:
        ring = tally((Look(1), 1), (Look(4), 98), (Look(9), 1))
        other = tally((Look(3), 2), (Look(8), 98))
        found = [ring.percentile(part, paper.path_of) for part in (0.01, 0.02, 0.5, 0.99, 1.0)]
        self.assertEqual(found, [1, 4, 4, 4, 9])
        self.assertEqual(percentile_of([ring, other], 0.01, paper.path_of), 2)
        self.assertEqual(percentile_of([ring, other], 0.99, paper.path_of), 6)


class VerdictTests(SynchronousTestCase):
    def test_a_mean_agrees_within_its_tolerance_both_ways(self) -> None:
        for ours, verdict in ((3.84, "agrees"), (3.73, "agrees"), (3.71, "disagrees"),
                              (3.97, "disagrees")):  # fmt: skip
            self.assertEqual(Figure("path", ours, 3.84, 0.03).verdict.value, verdict, ours)
        self.assertEqual(Figure("failed", 1, 0, 0.0, grain=1).verdict, Verdict.DISAGREES)
        self.assertIsNone(Figure("failed", 1, 0).deviation)
        self.assertEqual(Figure("shown", 9, 1).verdict, Verdict.SHOWN)
        self.assertFalse(Figure("unknown", 9, None, 0.1).judged)

    def test_timeouts_agree_with_the_published_ones_or_with_the_authors_estimate(self) -> None:
        for ours, verdict in (
            (0.35, "disagrees"), (0.37, "agrees"), (0.50, "agrees"), (0.70, "agrees"),
            (0.74, "disagrees"),
        ):  # fmt: skip
            figure = Figure("timeouts", ours, 0.60, 0.20, estimate=0.45)
            self.assertEqual(figure.verdict.value, verdict, ours)

    def test_percentiles_may_be_one_apart(self) -> None:
        for ours, verdict in ((5.0, "agrees"), (7.0, "agrees"), (7.05, "disagrees")):
            self.assertEqual(Figure("path, 99th", ours, 6, apart=1.0).verdict.value, verdict, ours)

    def test_the_published_failures_lie_within_the_range_of_the_seeds(self) -> None:
        for published, verdict in (
            (2, "agrees"),
            (5, "agrees"),
            (6, "disagrees"),
            (1, "disagrees"),
        ):
            figure = Figure("failed", 3.0, published, span=(1.6, 5.0), grain=1)
            self.assertEqual(figure.verdict.value, verdict, published)
        self.assertEqual(Figure("failed", 0.7, 0, span=(0.4, 1), grain=1).verdict, Verdict.AGREES)

    def test_few_samples_disagree_only_far_outside_of_their_error(self) -> None:
        for ours, error, verdict in (
            (4.10, 0.10, "agrees"), (4.40, 0.10, "undecided"), (9.00, 0.10, "disagrees"),
            (9.00, None, "undecided"),
        ):  # fmt: skip
            figure = Figure("path", ours, 4.03, 0.04, error=error, quick=True)
            self.assertEqual(figure.verdict.value, verdict, ours)
        self.assertEqual(Figure("path", 4.40, 4.03, 0.04, error=0.1).verdict, Verdict.DISAGREES)

    def test_the_estimates_are_those_of_the_papers_formula(self) -> None:
        for dead, timeouts in ESTIMATES.items():
            expected = expected_timeouts(FAILURES[dead][0].mean, dead)
            self.assertLess(abs(expected - timeouts), 0.031, dead)


def expected_timeouts(path: float, dead: float) -> float:
    """Of m nodes asked m * p are dead, and m * (1 - p) are the path (the paper's section VI-D)."""
    return path * dead / (1 - dead)


class PaperTests(SynchronousTestCase):
    def test_every_dead_node_that_was_asked_is_judged_and_those_on_the_way_are_shown(self) -> None:
        lookup = Measured(0.0, 7, path=5, timeouts=5, last_timeouts=2, done=True)
        row = paper.failure_row(0.5, [Tally.measured([lookup] * n) for n in (3, 1)], quick=False)
        found = figures(row)
        self.assertEqual((found["timeouts"].ours, found["timeouts"].published), (5, 5.10))
        self.assertEqual((found["timeouts"].estimate, found["timeouts"].judged), (5.06, True))
        on_the_way = found["before the last edge"]
        self.assertEqual((on_the_way.ours, on_the_way.published), (3, 5.10))
        self.assertFalse(on_the_way.judged)
        self.assertEqual(found["failed of 4"].ours, 0)
        self.assertEqual((found["path, 1st"].ours, found["path, 1st"].published), (5, 3))
        self.assertEqual(found["path, 1st"].verdict, Verdict.DISAGREES)
        self.assertEqual(found["timeouts, 99th"].verdict, Verdict.DISAGREES)

    def test_a_failed_lookup_among_simultaneous_failures_is_always_a_disagreement(self) -> None:
        lost = Measured(0.0, 7, failure="no answer", done=True)
        unanswered = Measured(0.0, 7)
        for quick in (False, True):
            rings = [Tally.measured([lost, unanswered])]
            failed = figures(paper.failure_row(0.1, rings, quick=quick))["failed of 2"]
            self.assertEqual((failed.ours, failed.verdict), (2, Verdict.DISAGREES))

    def test_dead_nodes_cost_timeouts_and_no_lookup(self) -> None:
        lookups = paper_runs.failures(0.5, seed=3, lookups=200)
        self.assertEqual(len(lookups), 200)
        found = Tally.measured(lookups)
        self.assertEqual(found.mean(paper.failed_of), 0)
        path = found.mean(paper.path_of)
        self.assertLess(abs(path / 5.09 - 1), 0.15)
        # Deaths are independent of each other: so many timeouts belong to such a path.
        timeouts = found.mean(paper.way_timeouts_of)
        self.assertLess(abs(timeouts / expected_timeouts(path, 0.5) - 1), 0.25)

    def churned(self, upkeep: FingerUpkeep) -> Tally:
        """Measure few nodes under churn."""
        return Tally.measured(
            paper_runs.churned(0.4, 1, 600.0, upkeep=upkeep, nodes=40, warm_up_s=60.0)
        )

    def test_under_churn_paths_and_failures_of_one_run_are_judged_and_two_more_runs_shown(
        self,
    ) -> None:
        runs = (paper_runs.REPLACED, paper_runs.LEFT_EMPTY, paper_runs.OURS)
        found, empty, own = (self.churned(upkeep) for upkeep in runs)
        beside = {"left empty": [empty], "upkeep on": [own]}
        row = paper.churn_row(0.4, [found], beside, quick=False)
        judged = [figure.name for figure in row.figures if figure.judged]
        self.assertEqual(judged, ["path", "failed of 10,000"])
        ours = {figure.name: figure.ours for figure in row.figures}
        self.assertGreater(ours["timeouts"], ours["upkeep on: timeouts"])
        self.assertGreater(ours["left empty: timeouts"], ours["upkeep on: timeouts"])
        quick = paper.churn_row(0.4, [found], {}, quick=True)
        self.assertEqual([figure.name for figure in quick.figures if figure.judged], [])

    def test_failures_under_churn_span_what_the_seeds_had(self) -> None:
        good, bad = Look(4), Look(4, failed=True)
        rings = [tally((good, 9996), (bad, bads)) for bads in (4, 14, 9)]
        failed = figures(paper.churn_row(0.4, rings, {}, quick=False))["failed of 10,000"]
        low, high = failed.span or (0, 0)
        self.assertAlmostEqual(low, 4.0)
        self.assertAlmostEqual(high, 14 * 10000 / 10010)
        self.assertEqual((failed.published, failed.verdict), (15, Verdict.DISAGREES))

    def test_the_full_run_takes_the_seeds_and_the_rows_that_were_settled(self) -> None:
        tasks = paper.tasks(quick=False)
        for part, rows in (("failures", 6), ("churn", 8), ("paths", 6), ("keys", 2)):
            found = [task for task in tasks if task.part == part]
            self.assertEqual(len({task.value for task in found}), rows, part)
            self.assertEqual({task.seed for task in found}, set(range(1, 21)), part)
            self.assertEqual(len(found), 20 * rows, part)

    def test_what_is_going_to_be_run_is_announced_with_its_time(self) -> None:
        full, quick = paper.tasks(quick=False), paper.tasks(quick=True)
        self.assertRegex(announcement(full, 1), r"^seeds 1 to 20: about \d\.\d h with 1 at a time")
        self.assertRegex(announcement(quick, 2), r"^a few seeds: about [12]0 s with 2 at a time")
        dead = next(task for task in full if task.part == "failures")
        for count, text in ((1, "10 s"), (8, "50 s"), (500, "50 min"), (2000, "3.3 h")):
            self.assertIn(f"about {text} with 1 at", announcement([dead] * count, 1))

    def test_a_quick_run_of_dead_nodes_does_not_disagree_for_lack_of_samples(self) -> None:
        failures = self.rows(("failures",))[1]
        self.assertEqual(
            [row.label for row in failures.rows], ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]
        )
        self.assertEqual(failures.count(Verdict.DISAGREES), 0)
        self.assertGreater(failures.count(Verdict.AGREES), 12)

    def rows(self, tables: tuple[str, ...]) -> list[Table]:
        some = [task for task in paper.tasks(quick=True) if task.part in tables]
        return paper.tables({task: task.work() for task in some})

    def test_static_tables_agree_and_are_shown(self) -> None:
        need_extra()
        tables = [table for table in self.rows(("paths", "keys")) if table.rows]
        self.assertEqual(sum(table.count(Verdict.AGREES) for table in tables), 12)
        lines = "\n".join(paper_lines(tables, quick=True))
        for words in ("quick", "2^10", "4.84", "+-", "12 figures agree, 0 disagree"):
            self.assertIn(words, lines)
        document = json.loads(json.dumps(paper_json(tables, quick=True, plots=[])))
        self.assertEqual((document["agrees"], document["quick"]), (True, True))
        self.assertEqual(document["seeds"], [1, 2, 3, 4])

    def test_a_figure_that_disagrees_is_marked(self) -> None:
        judged = (
            Figure("path", 9.0, 4.03, 0.03, error=0.25), Figure("other", 1.0, None),
            Figure("timeouts", 0.5, 0.6, 0.2, estimate=0.45),
            Figure("path, 99th", 7.5, 6, apart=1.0),
            Figure("failed", 2.0, 15, span=(0.0, 4.5), grain=1),
            Figure("open", 9.0, 8.0, 0.03, quick=True),
        )  # fmt: skip
        table = Table("failures", "Failures", "dead", "of none", (Row("0.1", judged, {9: 1}),))
        lines = "\n".join(paper_lines([table], quick=False))
        self.assertRegex(lines, r"\n +0\.1 +path +9\.00 +0\.25 +4\.03 +\+123\.3 % !\n")
        self.assertRegex(lines, r"\n +\(other\) +1\.00\n")
        self.assertRegex(
            lines, r"\n +timeouts +0\.50 +0\.60 +-16\.7 %\n +estimated +0\.45 +\+11\.1 %\n"
        )
        self.assertRegex(lines, r"\n +path, 99th +7\.50 +6\.00 +\+1\.50 +!\n")
        self.assertRegex(lines, r"\n +failed +2\.00 +15\.00 +!\n +seeds span +0\.00 to 4\.50\n")
        self.assertRegex(lines, r"\n +open +9\.00 +8\.00 +\+12\.5 % \?\n")
        verdict = "1 figures agree, 3 disagree, marked !, 1 not decided by so few samples, marked ?"
        self.assertTrue(lines.endswith(verdict), lines)
        document = paper_json([table], quick=False, plots=[])
        self.assertFalse(document["agrees"])
        verdicts = [each["verdict"] for each in document["tables"][0]["rows"][0]["figures"]]
        self.assertEqual(
            verdicts, ["disagrees", "shown", "agrees", "disagrees", "disagrees", "undecided"]
        )

    def test_figures_are_given_to_four_decimals(self) -> None:
        figure = Figure("path", 9.123456, 4.03, 0.03, error=0.256789)
        table = Table("failures", "Failures", "dead", "of none", (Row("0.1", (figure,), {}),))
        document = paper_json([table], quick=False, plots=[Path("a.png")])
        (found,) = document["tables"][0]["rows"][0]["figures"]
        self.assertEqual((found["ours"], found["error"]), (9.1235, 0.2568))
        self.assertEqual(document["plots"], ["a.png"])

    def test_each_table_has_its_plot(self) -> None:
        need_extra()
        from chordnet.cli.lab.plot import plot_paper  # noqa: PLC0415 - may be missing

        row = Row("2^10", (Figure("path", 4.8, 4.84), Figure("deviation", 1.5, None)), {4: 9})
        table = Table("paths", "Paths", "nodes", "few", (row, attrs.evolve(row, label="2")))
        directory = Path(self.mktemp())
        directory.mkdir()
        written = [path.name for path in plot_paper([table], directory)]
        self.assertEqual(written, ["paths.png", "path-distribution.png"])
