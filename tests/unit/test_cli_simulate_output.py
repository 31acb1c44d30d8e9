"""What a simulation shows of itself: its words, its plots, and what it runs with unless told."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.lab.paper import _prepare_worker, announcement, paper_json, paper_lines, show
from chordnet.cli.lab.progress import progress
from chordnet.cli.lab.simulate import run_lines, simulate
from chordnet.core.base.errors import ChordnetError
from chordnet.sim.measured import paper
from chordnet.sim.measured.experiment import Figures, Report, Sample, Settings
from chordnet.sim.measured.published import Figure, Row, Table
from tests.unit.test_cli_simulate import need_extra, p2pnet

LOOKUPS = Figures(
    count=30, failed=2, path=3.456, path_deviation=1.234, paths={3: 20, 4: 8}, timeouts=0.256,
    mean_s=0.456, p99_s=1.234,
)  # fmt: skip
REPORT = Report(
    joined=3, departed=2, members=13, lookups=LOOKUPS, reasons={"timed out": 2},
    messages_per_node_s=1.26, steps=987, settled_s=4.6, judged=True,
    course=(Sample(10.0, 12, 4, 1, 2), Sample(20.0, 13, 0, 3, 5)),
)  # fmt: skip


class WordsTests(SynchronousTestCase):
    def lines(self, **changes: Any) -> list[str]:
        return run_lines(attrs.evolve(REPORT, **changes), Settings(nodes=12, duration_s=20, seed=7))

    def test_a_run_is_told_in_seven_lines(self) -> None:
        self.assertEqual(
            self.lines(),
            [
                "12 nodes, 20 virtual seconds, seed 7: 3 joined, 2 departed, 13 at the end",
                "lookups: 30, of which 2 failed; timed out: 2",
                "path: 3.46 nodes on average (standard deviation 1.23); 0.26 timeouts a lookup",
                "time: 0.46 s on average, 1.23 s for all but 1 %",
                "traffic: 1.3 messages a node and second",
                "987 protocol steps in all",
                "one right ring 5 s after the end",
            ],
        )

    def test_how_a_run_ended_is_told_however_it_ended(self) -> None:
        for changes, last in (
            ({"judged": False, "settled_s": None}, "the ring was not judged: too large"),
            ({"members": 0}, "no node is left"),
            ({"settled_s": None}, "no one right ring within a minute of the end"),
            ({"settled_s": 0.0}, "one right ring 0 s after the end"),
        ):
            self.assertEqual(self.lines(**changes)[-1], last)

    def test_without_options_the_run_is_the_usual_one(self) -> None:
        defaults = {option.name: option.default for option in simulate.params}
        expected = {
            "nodes": 100, "duration": 300.0, "seed": 1, "churn": "none", "orderly": 0.0,
            "failures": 0.0, "lookups": 1.0, "latency": "exponential 0.05", "loss": 0.0,
            "successors": 16,
        }  # fmt: skip
        self.assertEqual({name: defaults[name] for name in expected}, expected)

    def test_seeds_and_processes_have_their_ranges(self) -> None:
        for words in (
            ("--seed", "-1"), ("--seed", str(1 << 63)), ("--paper", "--jobs", "0"),
            ("--paper", "--jobs", "257"),
        ):  # fmt: skip
            status, out, err = p2pnet(*words)
            self.assertEqual((status, out), (2, ""))
            self.assertIn("is not in the range", err)

    def test_an_option_that_would_not_be_heeded_is_refused(self) -> None:
        for words, said in (
            (("--paper", "--failures-at", "3"), "--failures-at does not go with --paper"),
            (("--quick",), "--quick goes with --paper"),
            (("--jobs", "2"), "--jobs goes with --paper"),
        ):
            status, _out, err = p2pnet(*words)
            self.assertEqual((status, err), (2, f"p2pnet: simulate: {said}\n"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ProgressTests(SynchronousTestCase):
    def shown(self, stream: io.StringIO, term: str = "xterm") -> str:
        before = {name: os.environ.get(name) for name in ("TERM", "COLUMNS")}
        self.addCleanup(self.restore, before)
        os.environ |= {"TERM": term, "COLUMNS": "80"}
        with contextlib.redirect_stderr(stream), progress("simulating") as (bar, task):
            bar.update(task, completed=50.0)
            bar.refresh()
        return stream.getvalue()

    def restore(self, before: dict[str, str | None]) -> None:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    def test_on_a_terminal_it_is_shown_how_far_the_run_is(self) -> None:
        text = self.shown(Terminal())
        self.assertIn("simulating", text)
        self.assertIn("50%", text)
        self.assertTrue(text.endswith("\x1b[2K"), "it is gone at the end")

    def test_without_a_terminal_not_a_letter_of_progress_is_written(self) -> None:
        self.assertEqual(self.shown(io.StringIO()), "")
        self.assertEqual(self.shown(Terminal(), "dumb"), "")


class AnnouncementTests(SynchronousTestCase):
    def announced(self, cpu_s: float, jobs: int = 1, *, quick: bool = False) -> str:
        class Task:
            def __init__(self) -> None:
                self.cpu_s, self.quick = cpu_s, quick

        return announcement([Task()], jobs)  # type: ignore[list-item]

    def test_an_announcement_says_how_long_the_run_takes(self) -> None:
        for cpu_s, jobs, words in (
            (1.0, 1, "about 10 s with 1"), (44.0, 1, "about 40 s"), (99.0, 1, "about 100 s"),
            (100.0, 1, "about 2 min"), (4000.0, 2, "about 33 min with 2"), (4999.0, 1, "83 min"),
            (5000.0, 1, "about 1.4 h"), (36_000.0, 4, "about 2.5 h with 4"),
        ):  # fmt: skip
            self.assertIn(words, self.announced(cpu_s, jobs))
        self.assertTrue(self.announced(1.0).endswith(" at a time, on idle cores"))

    def test_an_announcement_says_which_seeds_are_run(self) -> None:
        self.assertTrue(self.announced(1.0).startswith("seeds 1 to 20: "))
        self.assertTrue(self.announced(1.0, quick=True).startswith("a few seeds: "))

    def test_the_work_of_all_tasks_is_counted(self) -> None:
        tasks = paper.tasks(quick=False)
        hours = sum(task.cpu_s for task in tasks) / 3600
        self.assertIn(f"about {hours:.1f} h with 1 ", announcement(tasks, 1))


ROWS = (
    Row("2^3", (Figure("path", 4.8123456, 4.84, error=0.0123456), Figure("other", 1.5, None)),
        {4: 3, 5: 1}),
    Row("2^4", (Figure("path", 5.0, 5.1), Figure("other", 2.5, 3.0)), {6: 2}),
)  # fmt: skip
TABLE = Table("paths", "Paths", "nodes", "few", ROWS)


class DocumentTests(SynchronousTestCase):
    def test_a_figure_has_four_places_and_no_error_where_none_is_known(self) -> None:
        document = paper_json([TABLE], quick=False, plots=[Path("x.png")])
        self.assertEqual(document["seeds"], list(range(1, 21)))
        self.assertEqual(document["plots"], ["x.png"])
        first, second = document["tables"][0]["rows"]
        self.assertEqual((first["figures"][0]["ours"], first["figures"][0]["error"]),
                         (4.8123, 0.0123))  # fmt: skip
        self.assertIsNone(second["figures"][0]["error"])
        self.assertEqual(first["paths"], [{"nodes": 4, "lookups": 3}, {"nodes": 5, "lookups": 1}])

    def test_only_what_is_found_is_said_at_the_end(self) -> None:
        lines = paper_lines([TABLE], quick=False)
        self.assertEqual(lines[-1], "0 figures agree, 0 disagree")
        self.assertNotIn("quick", lines[0])

    def shown(self, table: Table, plot: Path | None = None, **how: bool) -> tuple[int, str]:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            status = show([table], plot, **({"quick": False, "as_json": False} | how))
        return status, out.getvalue()

    def test_the_command_fails_if_a_figure_disagrees_and_only_then(self) -> None:
        self.assertEqual(self.shown(TABLE)[0], 0)
        wrong = Row("2^5", (Figure("path", 9.0, 4.0, 0.03), Figure("other", 1.0, 1.0, 0.03)))
        status, out = self.shown(attrs.evolve(TABLE, rows=(wrong,)))
        self.assertEqual(status, 1)
        self.assertIn("1 figures agree, 1 disagree, marked !", out)

    def test_the_output_is_words_or_one_document(self) -> None:
        self.assertEqual(self.shown(TABLE)[1], "\n".join(paper_lines([TABLE], quick=False)) + "\n")
        document = json.loads(self.shown(TABLE, as_json=True, quick=True)[1])
        self.assertEqual((document["quick"], document["plots"]), (True, []))

    def test_what_was_plotted_is_said(self) -> None:
        need_extra()
        directory = Path(self.mktemp())
        directory.mkdir()
        plots = [str(directory / name) for name in ("paths.png", "path-distribution.png")]
        out = self.shown(TABLE, directory)[1]
        self.assertTrue(out.endswith("".join(f"plotted: {path}\n" for path in plots)), out)
        self.assertEqual(json.loads(self.shown(TABLE, directory, as_json=True)[1])["plots"], plots)
        self.assertNotIn("plotted", self.shown(TABLE)[1])

    def test_a_ctrl_c_is_the_commands_alone_and_not_its_workers(self) -> None:
        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _prepare_worker()
        self.assertIs(signal.getsignal(signal.SIGINT), signal.SIG_IGN)

    def test_a_worker_seldom_looks_for_garbage(self) -> None:
        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        _prepare_worker()
        self.assertEqual(gc.get_threshold(), (100_000, 50, 100))


class PlotTests(SynchronousTestCase):
    def setUp(self) -> None:
        need_extra()

    def drawn(self, axes: Any) -> dict[str, list[tuple[float, float]]]:
        """Return the points of each line that has a label."""
        return {
            line.get_label(): [(float(x), round(float(y), 6)) for x, y in line.get_xydata()]
            for line in axes.lines
        }

    def words(self, axes: Any) -> tuple[str, str, str]:
        return axes.get_title(), axes.get_xlabel(), axes.get_ylabel()

    def test_the_paths_of_a_run_are_bars(self) -> None:
        from chordnet.cli.lab.plot import paths_of_run  # noqa: PLC0415 - may be missing

        (axes,) = paths_of_run(REPORT).axes
        bars = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in axes.patches}
        self.assertEqual(bars, {3: 20, 4: 8})
        self.assertEqual(self.words(axes), ("Path length of lookups", "nodes passed", "lookups"))

    def test_the_course_of_a_run_is_its_members_and_its_trouble(self) -> None:
        from chordnet.cli.lab.plot import course_of_run  # noqa: PLC0415 - may be missing

        figure = course_of_run(REPORT)
        members, trouble = figure.axes
        self.assertEqual([*self.drawn(members).values()], [[(10.0, 12.0), (20.0, 13.0)]])
        self.assertEqual(
            self.drawn(trouble),
            {
                "timeouts a lookup": [(10.0, 0.5), (20.0, 5.0)],
                "failed lookups": [(10.0, 1.0), (20.0, 3.0)],
            },
        )
        self.assertEqual(self.words(members), ("Members", "virtual seconds", "members"))
        self.assertEqual(self.words(trouble), ("Trouble", "virtual seconds", ""))
        self.assertIsNotNone(trouble.get_legend())
        self.assertEqual(tuple(figure.get_size_inches()), (10.0, 4.0))

    def test_a_table_is_ours_beside_what_was_published_of_every_row(self) -> None:
        from chordnet.cli.lab.plot import figures_of  # noqa: PLC0415 - may be missing

        path, other = figures_of(TABLE).axes
        published = self.drawn(path)["published"]
        self.assertEqual(published, [(0.0, 4.84), (1.0, 5.1)])
        self.assertNotIn("published", self.drawn(other))
        (container,) = path.containers
        self.assertEqual(container.get_label(), "ours")
        line, _caps, (bars,) = container
        self.assertEqual([round(y, 4) for _x, y in line.get_xydata()], [4.8123, 5.0])
        spans = [round(float(segment[1][1] - segment[0][1]), 4) for segment in bars.get_segments()]
        self.assertEqual(spans, [0.0247, 0.0])
        for axes, name in ((path, "path"), (other, "other")):
            self.assertEqual(self.words(axes), ("Paths", "nodes", name))
            self.assertEqual(axes.get_ylim()[0], 0.0)
            self.assertIsNotNone(axes.get_legend())

    def test_the_distribution_is_in_parts_of_the_lookups(self) -> None:
        from chordnet.cli.lab.plot import distributions  # noqa: PLC0415 - may be missing

        (axes,) = distributions(TABLE).axes
        self.assertEqual(
            self.drawn(axes), {"2^3 nodes": [(4.0, 0.75), (5.0, 0.25)], "2^4 nodes": [(6.0, 1.0)]}
        )
        self.assertEqual(
            self.words(axes),
            ("Distribution of path lengths", "nodes passed", "fraction of lookups"),
        )
        self.assertIsNotNone(axes.get_legend())

    def test_a_place_that_cannot_be_written_is_named(self) -> None:
        from chordnet.cli.lab.plot import plot_run  # noqa: PLC0415 - may be missing

        directory = Path(self.mktemp())
        problem = self.assertRaises(ChordnetError, plot_run, REPORT, directory)
        self.assertEqual(
            str(problem), f"cannot write {directory / 'paths.png'}: No such file or directory"
        )
