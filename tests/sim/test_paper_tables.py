"""The published tables: what they show is what the page shows, and what they judge is its rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.lab.paper import paper_lines
from chordnet.core.base.config import ProtocolConfig
from chordnet.sim.measured import paper, paper_runs
from chordnet.sim.measured.published import (
    SEEDS,
    Figure,
    Row,
    Table,
    Verdict,
    expected_timeouts,
)
from chordnet.sim.measured.tally import Look, Tally, distribution
from chordnet.sim.world.meter import Measured
from tests.unit.test_cli_simulate import need_extra

PAGE = Path(__file__).parents[2] / "docs" / "simulate.md"
FULL = "$ p2pnet simulate --paper\n```\n\n```text\n"


def made_up(task: paper.Task) -> paper.Found:
    """Return something that a task might come to; no two seeds come to the same."""
    if task.part == "keys":
        return 0.5 + task.seed / 1000, 1.5
    count = 10_000 if task.part == "failures" else 100
    return Tally({Look(4): count - task.seed, Look(7, 2, 1): task.seed})


def shape(line: str) -> tuple[str, bool, str, str]:
    """Return what a line of a table says whatever was measured: its name and the published figure,
    whether there is an error, and in what unit the two are apart.
    """
    apart = line[61:72]
    unit = "" if not apart.strip() else "%" if "%" in apart else "of its own"
    return line[:38].rstrip(), bool(line[46:53].strip()), line[53:61].strip(), unit


class PageTests(SynchronousTestCase):
    maxDiff = None

    def test_every_row_and_every_published_figure_is_the_pages(self) -> None:
        _, _, rest = PAGE.read_text("utf-8").partition(FULL)
        shown, _, _ = rest.partition("\njudged, by rules")
        tables = paper.tables({task: made_up(task) for task in paper.tasks(quick=False)})
        lines = paper_lines(tables, quick=False)
        made = lines[
            1 : lines.index(
                "", lines.index("Keys per node (100 keys a node; as multiples of the mean)")
            )
        ]
        expected = [line for line in shown.splitlines() if line]
        self.assertGreater(len(expected), 150)
        self.assertEqual([shape(line) for line in made if line], [shape(line) for line in expected])

    def test_the_fewer_rows_of_a_quick_run_are_some_of_them(self) -> None:
        tables = paper.tables({task: made_up(task) for task in paper.tasks(quick=True)})
        self.assertEqual(
            {table.key: [row.label for row in table.rows] for table in tables},
            {
                "paths": ["2^10", "2^12", "2^14", "2^16"],
                "failures": ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"],
                "churn": ["0.05", "0.40"],
                "keys": ["1", "20"],
            },
        )
        self.assertEqual(
            {table.key: table.label for table in tables},
            {"paths": "nodes", "failures": "dead", "churn": "joins/s", "keys": "virtual nodes"},
        )

    def test_a_table_of_which_nothing_was_worked_out_has_no_rows(self) -> None:
        some = [task for task in paper.tasks(quick=True) if task.part == "keys"]
        tables = paper.tables({task: made_up(task) for task in some})
        self.assertEqual([len(table.rows) for table in tables], [0, 0, 0, 2])


class TaskTests(SynchronousTestCase):
    def test_a_quick_run_takes_four_seeds_and_one_under_churn(self) -> None:
        seeds: dict[str, set[int]] = {}
        for task in paper.tasks(quick=True):
            self.assertTrue(task.quick)
            seeds.setdefault(task.part, set()).add(task.seed)
        four = {1, 2, 3, 4}
        self.assertEqual(seeds, {"paths": four, "failures": four, "churn": {1}, "keys": four})

    def test_a_full_run_shows_one_seed_with_each_other_upkeep_at_every_rate(self) -> None:
        for part in ("left empty", "upkeep on"):
            found = [task for task in paper.tasks(quick=False) if task.part == part]
            self.assertEqual([task.seed for task in found], [1] * 8)
            self.assertEqual(
                [task.value for task in found], [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4]
            )
            self.assertFalse(any(task.quick for task in found))

    def test_what_the_tasks_take_is_known_beforehand(self) -> None:
        full = {task.part: task.cpu_s for task in paper.tasks(quick=False)}
        self.assertEqual(
            full,
            {"paths": 0.4, "failures": 6.0, "churn": 30.0, "left empty": 25.0,
             "upkeep on": 25.0, "keys": 0.2},
        )  # fmt: skip
        quick = {task.part: task.cpu_s for task in paper.tasks(quick=True)}
        self.assertEqual(quick, {"paths": 0.1, "failures": 0.4, "churn": 1.2, "keys": 0.1})
        never = [paper.PARTS[name].quick_s for name in ("left empty", "upkeep on")]
        self.assertEqual(never, [0.0, 0.0])

    def test_dead_nodes_are_met_by_ten_thousand_lookups_and_quickly_by_two_hundred(self) -> None:
        def failures(dead: float, seed: int, lookups: int) -> list[Measured]:
            asked.append((dead, seed, lookups))
            return [Measured(0.0, 7, path=3, done=True)] * 2

        asked: list[tuple[float, int, int]] = []
        for quick in (False, True):
            found = paper.with_dead(paper.Task("failures", 0.3, 9, quick), failures)
            self.assertEqual(found.looks, {Look(3): 2})
        self.assertEqual(asked, [(0.3, 9, 10_000), (0.3, 9, 200)])

    def test_churn_is_measured_for_half_an_hour_after_its_beginning_and_quickly_for_less(
        self,
    ) -> None:
        def churned(rate: float, seed: int, measured_s: float, **more: Any) -> list[Measured]:
            asked.append((rate, seed, measured_s, more["warm_up_s"], more["upkeep"]))
            return [Measured(0.0, 7, path=3, done=True)] * 2

        asked: list[tuple[Any, ...]] = []
        for quick in (False, True):
            work = paper.under_churn(paper_runs.OURS, 1800.0, churned)
            self.assertEqual(work(paper.Task("churn", 0.1, 9, quick)).looks, {Look(3): 2})
        ours = paper_runs.OURS
        self.assertEqual(asked, [(0.1, 9, 1800.0, 2760.0, ours), (0.1, 9, 120.0, 60.0, ours)])

    def test_paths_are_those_of_lookups_on_a_ring_of_two_to_the_power(self) -> None:
        need_extra()
        from chordnet.sim.measured import analysis  # noqa: PLC0415 - needs numpy

        for quick, count in ((False, 25_000), (True, 5_000)):
            hops = analysis.random_ring(32, 7).random_lookups(count, 7).hops.tolist()
            found = paper.ideal_paths(paper.Task("paths", 5.0, 7, quick))
            self.assertEqual(found, Tally.of(Look(max(each - 1, 0)) for each in hops))

    def test_keys_are_spread_over_ten_thousand_nodes_and_quickly_over_two_thousand(self) -> None:
        need_extra()
        from chordnet.sim.measured import analysis  # noqa: PLC0415 - needs numpy

        for quick, nodes, low, high in ((False, 10_000, 100, 9899), (True, 2_000, 20, 1979)):
            counts = sorted(analysis.keys_per_node(nodes, 3, 100 * nodes, 7).tolist())
            found = paper.keys(paper.Task("keys", 3.0, 7, quick))
            self.assertEqual(found, (counts[low] / 100, counts[high] / 100))


class RuleTests(SynchronousTestCase):
    """What the page says under "How it is judged"."""

    def tables(self, *, quick: bool) -> dict[str, Table]:
        found = paper.tables({task: made_up(task) for task in paper.tasks(quick=quick)})
        return {table.key: table for table in found}

    def rules(self, row: Row) -> dict[str, tuple[float | None, float | None, float]]:
        judged = (figure for figure in row.figures if figure.judged)
        return {each.name: (each.tolerance, each.apart, each.grain) for each in judged}

    def test_the_tolerances_of_a_full_run_are_those_that_are_written_down(self) -> None:
        tables = self.tables(quick=False)
        for row in tables["paths"].rows:
            self.assertEqual(
                self.rules(row), {"path": (0.03, None, 0.01), "deviation": (0.06, None, 0.01)}
            )
        one = (None, 1.0, 0.01)
        for row in tables["failures"].rows:
            self.assertEqual(
                self.rules(row),
                {
                    "path": (0.04, None, 0.01), "path, 1st": one, "path, 99th": one,
                    "timeouts": (0.2, None, 0.01), "timeouts, 1st": one, "timeouts, 99th": one,
                    "failed of 200000": (0.0, None, 1),
                },
            )  # fmt: skip
        for row in tables["churn"].rows:
            self.assertEqual(
                self.rules(row), {"path": (0.04, None, 0.01), "failed of 10,000": (None, None, 1)}
            )
        for row in tables["keys"].rows:
            key = (0.1, None, 0.02)
            self.assertEqual(self.rules(row), {"1st percentile": key, "99th percentile": key})

    def test_a_full_run_decides_everything_and_a_quick_one_what_it_can(self) -> None:
        for quick in (False, True):
            for name, table in self.tables(quick=quick).items():
                if name == "churn":
                    continue
                for figure in (f for row in table.rows for f in row.figures if f.judged):
                    never = figure.name.startswith("failed of")
                    self.assertEqual(figure.quick, quick and not never, (name, figure.name))

    def test_a_quick_run_judges_no_percentiles_and_nothing_under_churn(self) -> None:
        tables = self.tables(quick=True)
        self.assertEqual({name for row in tables["churn"].rows for name in self.rules(row)}, set())
        for row in tables["failures"].rows:
            self.assertEqual([*self.rules(row)], ["path", "timeouts", "failed of 40000"])

    def test_errors_are_those_of_a_mean_of_seeds(self) -> None:
        row = paper.keys_row(1, [(0.01, 4.0), (0.03, 6.0), (0.02, 5.0), (0.02, 5.0)], quick=False)
        first, last = row.figures
        self.assertEqual((first.published, last.published), (0.01, 4.6))
        self.assertAlmostEqual(first.ours, 0.02)
        self.assertAlmostEqual(last.ours, 5.0)
        self.assertAlmostEqual(last.error or 0, (2 / 3) ** 0.5 / 2)
        spread = [Tally({Look(2): 1, Look(4): 1}), Tally({Look(1): 1, Look(7): 1})]
        deviation = paper.path_row(10, spread, quick=False).figures[1]
        self.assertAlmostEqual(deviation.ours, 2.0)
        self.assertAlmostEqual(deviation.error or 0, 1.0)

    def test_the_failures_of_a_row_are_counted_and_not_averaged(self) -> None:
        bad, good = Look(4, failed=True), Look(4)
        rings = [Tally({good: 7, bad: 3}), Tally({good: 19, bad: 1})]
        found = {each.name: each for each in paper.failure_row(0.2, rings, quick=False).figures}
        self.assertEqual(found["failed of 30"].ours, 4)
        self.assertAlmostEqual(found["one ring to the next"].ours, 0.0)
        under = {each.name: each for each in paper.churn_row(0.2, rings, {}, quick=True).figures}
        self.assertAlmostEqual(under["failed of 10,000"].ours, 10_000 * 4 / 30)

    def test_the_expected_timeouts_are_those_of_the_papers_formula(self) -> None:
        self.assertAlmostEqual(expected_timeouts(6.0, 0.25), 2.0)
        self.assertEqual(expected_timeouts(6.0, 0.0), 0.0)


class FigureTests(SynchronousTestCase):
    def test_half_a_step_of_the_published_figure_is_granted_and_no_more(self) -> None:
        for grain in (0.01, 1.0):
            edge = 2.0 * 1.1 + grain / 2
            for ours, verdict in ((edge - 1e-9, Verdict.AGREES), (edge + 1e-6, Verdict.DISAGREES)):
                figure = Figure("f", ours, 2.0, 0.1, grain=grain)
                self.assertIs(figure.verdict, verdict, grain)
        for published, verdict in ((4.5, Verdict.AGREES), (4.51, Verdict.DISAGREES)):
            figure = Figure("f", 3.0, published, span=(2.0, 4.0), grain=1)
            self.assertIs(figure.verdict, verdict)

    def test_what_is_exactly_at_the_edge_agrees(self) -> None:
        self.assertIs(Figure("f", 7.0, 6, apart=1.0).verdict, Verdict.AGREES)
        self.assertIs(Figure("f", 3.0, 2.0, 0.5, grain=0.0).verdict, Verdict.AGREES)

    def test_a_quick_run_disagrees_from_six_errors_beyond_the_tolerance_on(self) -> None:
        for ours, verdict in ((3.0, Verdict.UNDECIDED), (3.1, Verdict.DISAGREES)):
            figure = Figure("f", ours, 1.0, 0.5, grain=0.0, error=0.25, quick=True)
            self.assertIs(figure.verdict, verdict)

    def test_deviations_are_parts_of_what_was_published_and_estimated(self) -> None:
        figure = Figure("f", 3.0, 2.0, estimate=4.0)
        self.assertEqual((figure.deviation, figure.estimate_deviation), (0.5, -0.25))
        nothing = Figure("f", 3.0, 0)
        self.assertEqual((nothing.deviation, nothing.estimate_deviation), (None, None))


class CountingTests(SynchronousTestCase):
    def test_a_lookup_counts_its_path_its_timeouts_and_whether_it_failed(self) -> None:
        lookups = [
            Measured(0.0, 7, path=3, timeouts=4, last_timeouts=1, done=True),
            Measured(0.0, 7, path=3, timeouts=4, last_timeouts=1, done=True),
            Measured(0.0, 7, path=2, done=True, failure="wrong owner: x"),
            Measured(0.0, 7),
        ]
        self.assertEqual(
            Tally.measured(lookups).looks,
            {Look(3, 4, 3, False): 2, Look(2, 0, 0, True): 1, Look(0, 0, 0, True): 1},
        )
        self.assertEqual(Look(3), (3, 0, 0, False))

    def test_the_distribution_of_paths_is_over_all_rings_and_in_order(self) -> None:
        rings = [Tally({Look(5): 2, Look(3): 1}), Tally({Look(3, 1): 4, Look(3): 1})]
        self.assertEqual(list(distribution(rings).items()), [(3, 6), (5, 2)])

    def test_more_than_all_lookups_have_no_percentile(self) -> None:
        self.assertRaises(ValueError, Tally({Look(5): 2}).percentile, 1.5, paper.path_of)


class ChurnSettingTests(SynchronousTestCase):
    def test_a_published_node_keeps_the_papers_pace(self) -> None:
        found = paper_runs.churn_config(paper_runs.REPLACED)
        wide = ProtocolConfig.wide_area()
        changed = {
            field: value
            for field, value in attrs.asdict(found, recurse=False).items()
            if value != getattr(wide, field)
        }
        never = 1e7
        self.assertEqual(
            changed,
            {
                "successors": 20, "jitter": 0.5, "sync_s": never, "stabilise_fast_s": 30.0,
                "stabilise_idle_s": 30.0, "fingers_fast_s": 1380.0, "fingers_idle_s": 1380.0,
                "request_timeout_s": 0.5, "probe_timeout_s": 0.5, "probe_interval_s": 0.25,
                "broken_timeout_s": 0.5, "leave_drain_s": 0.5,
                "finger_upkeep": paper_runs.REPLACED, "audit_s": never, "audit_min_s": never,
            },
        )  # fmt: skip
        ours = paper_runs.churn_config(paper_runs.OURS)
        self.assertEqual((ours.audit_s, ours.audit_min_s), (wide.audit_s, wide.audit_min_s))

    def test_the_upkeeps_differ_by_what_happens_to_a_dead_finger(self) -> None:
        empty, replaced, ours = map(
            attrs.asdict, (paper_runs.LEFT_EMPTY, paper_runs.REPLACED, paper_runs.OURS)
        )
        self.assertEqual(set(empty.values()), {False})
        self.assertEqual([name for name, on in replaced.items() if on], ["repair_on_use"])
        self.assertEqual(set(ours.values()), {True})

    def test_lookups_of_the_warm_up_are_not_measured(self) -> None:
        found = paper_runs.churned(0.4, 1, 40.0, nodes=30, warm_up_s=60.0)
        self.assertGreater(len(found), 20)
        self.assertTrue(all(60.0 <= each.began_s < 100.0 for each in found))
        everything = paper_runs.churned(0.4, 1, 100.0, nodes=30, warm_up_s=0.0)
        self.assertGreater(len(everything), len(found) + 30)


class SeedTests(SynchronousTestCase):
    def test_the_seeds_are_1_to_20(self) -> None:
        self.assertEqual([*SEEDS], list(range(1, 21)))
