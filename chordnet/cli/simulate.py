"""``p2pnet simulate``: any number of nodes in virtual time, and the published figures again."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import click

from chordnet.cli.output import console, print_json
from chordnet.cli.words import Command, json_option
from chordnet.core.config import ProtocolConfig
from chordnet.core.errors import ChordnetError, ConfigError
from chordnet.sim import churn as churns
from chordnet.sim import paper as papers
from chordnet.sim.experiment import Experiment, Report, Settings, as_json

if TYPE_CHECKING:
    from rich.progress import Progress

QUICK_NOTE = "quick: fewer lookups, shorter runs, smaller rings; leave --quick out for all of it"


class SimulationFailed(ChordnetError):
    """A simulation's input cannot be read or its result not be written; the text says why."""


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet simulate --nodes 1000 --duration 600 --churn "poisson 0.1"
  p2pnet simulate --churn "weibull 600 0.6" --orderly 0.5 --json
  p2pnet simulate --nodes 200 --failures 0.3 --plot plots
  p2pnet simulate --paper --quick
""",
)
@click.option("--nodes", default=100, show_default=True, help="Nodes at first.")
@click.option("--duration", default=300.0, show_default=True, help="Virtual seconds.")
@click.option(
    "--seed",
    type=click.IntRange(0, 1 << 63),
    default=1,
    show_default=True,
    help="The same seed, the same run.",
)
@click.option(
    "--churn",
    default="none",
    show_default=True,
    metavar="MODEL",
    help='"poisson RATE" (joins a second, and as many departures), "weibull MEAN SHAPE" (of the '
    "nodes' stays, in seconds), none.",
)
@click.option(
    "--trace",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Churn as recorded: lines TIME join|leave|crash NODE.",
)
@click.option(
    "--orderly",
    default=0.0,
    metavar="FRACTION",
    help="Departures that tell the ring; the others crash.  [default: 0]",
)
@click.option(
    "--failures", default=0.0, metavar="FRACTION", help="Nodes that vanish at once.  [default: 0]"
)
@click.option(
    "--failures-at", type=float, metavar="SECONDS", help="When they do.  [default: half-way]"
)
@click.option(
    "--lookups",
    default=1.0,
    show_default=True,
    metavar="RATE",
    help="Lookups a second, in the whole network.",
)
@click.option(
    "--latency",
    default="exponential 0.05",
    show_default=True,
    metavar="DISTRIBUTION",
    help="How long a message travels.",
)
@click.option("--loss", default=0.0, metavar="FRACTION", help="Messages lost.  [default: 0]")
@click.option("--successors", default=16, show_default=True, help="Length of successor lists.")
@click.option("--paper", is_flag=True, help="Reproduce the published figures instead.")
@click.option("--quick", is_flag=True, help="With --paper: a smaller run.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="With --paper: processes.  [default: one a core]",
)
@click.option(
    "--plot",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write plots into this directory.",
)
@json_option
@click.pass_context
def simulate(
    ctx: click.Context, /, paper: bool, plot: Path | None, as_json: bool, **words: Any
) -> int:
    """Run many nodes in virtual time: a right ring, churn and failures, lookups all the while.

    The same protocol core runs here as on the network. --paper reproduces what was published about
    Chord (path lengths, simultaneous failures, churn, keys per node) and prints ours beside it; the
    exit status is 1 if a figure disagrees.
    """
    if plot is not None:
        _prepare(plot)
    if paper:
        return _paper(words, plot, as_json=as_json)
    if words["quick"]:
        raise click.UsageError("--quick goes with --paper", ctx)
    try:
        settings = _settings(words)
    except ConfigError as problem:
        raise click.UsageError(str(problem), ctx) from None
    with _bar("simulating") as (bar, task):
        report = Experiment(settings, lambda part: bar.update(task, completed=100 * part)).run()
    _show_run(report, settings, words, plot, json=as_json)
    return 0


def _settings(words: dict[str, Any]) -> Settings:
    if words["trace"] is not None and words["churn"] != "none":
        raise ConfigError("--churn and --trace exclude one another")
    model = churns.parse(words["churn"])
    if words["trace"] is not None:
        try:
            model = churns.trace(words["trace"].read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as problem:
            raise SimulationFailed(f"cannot read {words['trace']}: {problem}") from None
    return Settings(
        nodes=words["nodes"], duration_s=words["duration"], seed=words["seed"], churn=model,
        orderly=words["orderly"], failures=words["failures"], failures_at_s=words["failures_at"],
        lookups_per_s=words["lookups"], latency=words["latency"], loss=words["loss"],
        config=attrs.evolve(ProtocolConfig.wide_area(), successors=words["successors"]),
    )  # fmt: skip


def _prepare(directory: Path) -> None:
    """Find out before a long run whether its plots can be drawn and written."""
    import chordnet.cli.simulate_plot  # noqa: F401, PLC0415 - says what is missing

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise SimulationFailed(f"cannot make {directory}: {problem.strerror}") from None


@contextmanager
def _bar(text: str, total: float = 100.0) -> Iterator[tuple[Progress, Any]]:
    """Show a progress bar on stderr, if that is a terminal."""
    from rich.progress import Progress  # noqa: PLC0415 - slow to import

    err = console(stderr=True)
    bar = Progress(console=err, transient=True, disable=not err.is_terminal)
    task = bar.add_task(text, total=total)
    if not err.is_terminal:
        yield bar, task
        return
    with bar:
        yield bar, task


def _show_run(
    report: Report, settings: Settings, words: dict[str, Any], plot: Path | None, *, json: bool
) -> None:
    plots = []
    if plot is not None:
        from chordnet.cli.simulate_plot import plot_run  # noqa: PLC0415 - imports matplotlib

        plots = plot_run(report, plot)
    if json:
        print_json(run_json(report, words, plots))
        return
    for line in [*run_lines(report, settings), *(f"plotted: {path}" for path in plots)]:
        print(line)


def run_json(report: Report, words: dict[str, Any], plots: list[Path]) -> dict[str, Any]:
    """Return a run's report as a JSON document."""
    names = ("nodes", "duration", "seed", "churn", "trace", "orderly", "failures")
    asked = {name: words[name] for name in names}
    asked["trace"] = None if words["trace"] is None else str(words["trace"])
    return {**asked, **as_json(report), "plots": [str(path) for path in plots]}


def run_lines(report: Report, settings: Settings) -> list[str]:
    """Return a run's report in words."""
    found = report.lookups
    reasons = "".join(f"; {reason}: {times}" for reason, times in report.reasons.items())
    run = f"{settings.nodes} nodes, {settings.duration_s:.0f} virtual seconds, seed {settings.seed}"
    path = f"{found.path:.2f} nodes on average (standard deviation {found.path_deviation:.2f})"
    lines = [
        f"{run}: {report.joined} joined, {report.departed} departed, {report.members} at the end",
        f"lookups: {found.count}, of which {found.failed} failed{reasons}",
        f"path: {path}; {found.timeouts:.2f} timeouts a lookup",
        f"time: {found.mean_s:.2f} s on average, {found.p99_s:.2f} s for all but 1 %",
        f"traffic: {report.messages_per_node_s:.1f} messages a node and second",
        f"{report.steps} protocol steps in all",
    ]
    if not report.judged:
        lines.append("the ring was not judged: too large")
    elif not report.members:
        lines.append("nobody is left")
    elif report.settled_s is None:
        lines.append("no one right ring within a minute of the end")
    else:
        lines.append(f"one right ring {report.settled_s:.0f} s after the end")
    return lines


# ---- the published figures ------------------------------------------------------------------


def _paper(words: dict[str, Any], plot: Path | None, *, as_json: bool) -> int:
    import chordnet.sim.analysis  # noqa: F401, PLC0415 - says at once if numpy is missing

    quick = words["quick"]
    tables = papers.tables(_rows(papers.tasks(words["seed"], quick=quick), words["jobs"]))
    plots = []
    if plot is not None:
        from chordnet.cli.simulate_plot import plot_paper  # noqa: PLC0415 - imports matplotlib

        plots = plot_paper(tables, plot)
    if as_json:
        print_json(paper_json(tables, quick=quick, plots=plots))
    else:
        for line in paper_lines(tables, quick=quick):
            print(line)
        for path in plots:
            print(f"plotted: {path}")
    return 0 if all(table.agrees for table in tables) else 1


def _rows(tasks: list[papers.Task], jobs: int | None) -> list[tuple[papers.Task, papers.Row]]:
    """Work all rows out, the longest first, and return them in the order of ``tasks``."""
    jobs = jobs or os.cpu_count() or 1
    done: dict[papers.Task, papers.Row] = {}
    by_length = sorted(tasks, key=lambda task: (task.table != "churn", -task.value))
    with _bar("reproducing", len(tasks)) as (bar, shown):
        for task, row in _worked(by_length, jobs):
            done[task] = row
            bar.advance(shown)
    return [(task, done[task]) for task in tasks]


def _worked(tasks: list[papers.Task], jobs: int) -> Iterator[tuple[papers.Task, papers.Row]]:
    if jobs == 1:
        yield from ((task, papers.work(task)) for task in tasks)
        return
    # Ctrl-C reaches the workers as well; leaving the pool ends them without a word.
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield from zip(tasks, pool.imap(papers.work, tasks), strict=True)


def paper_lines(tables: list[papers.Table], *, quick: bool) -> list[str]:
    """Return the tables as text."""
    lines = [QUICK_NOTE] if quick else []
    for table in tables:
        names = [figure.name for figure in table.rows[0].figures]
        head = "".join(f"{name:>26}" for name in names)
        lines += ["", f"{table.title} ({table.note})", f"{table.label:>14}{head}"]
        lines.append(" " * 14 + f"{'ours':>7}{'publ.':>8}{'deviation':>10} " * len(names))
        lines += [f"{row.label:>14}" + "".join(map(_figure, row.figures)) for row in table.rows]
    wrong = sum(not f.agrees for table in tables for row in table.rows for f in row.figures)
    lines += ["", "every figure agrees" if not wrong else f"{wrong} figures disagree, marked !"]
    return lines


def _figure(figure: papers.Figure) -> str:
    deviation = figure.deviation
    shown = "-" if deviation is None else f"{100 * deviation:+.1f} %"
    mark = " " if figure.agrees else "!"
    return f"{figure.ours:>7.2f}{figure.published:>8.2f}{shown:>10}{mark}"


def paper_json(tables: list[papers.Table], *, quick: bool, plots: list[Path]) -> dict[str, Any]:
    """Return the tables as a JSON document."""
    return {
        "quick": quick,
        "agrees": all(table.agrees for table in tables),
        "tables": [
            {
                "table": table.key,
                "title": table.title,
                "by": table.label,
                "rows": [
                    {
                        "value": row.label,
                        "figures": [
                            {
                                "name": figure.name,
                                "ours": round(figure.ours, 4),
                                "published": figure.published,
                                "deviation": figure.deviation,
                                "agrees": figure.agrees,
                            }
                            for figure in row.figures
                        ],
                        "paths": [
                            {"nodes": length, "lookups": count}
                            for length, count in row.distribution.items()
                        ],
                    }
                    for row in table.rows
                ],
            }
            for table in tables
        ],
        "plots": [str(path) for path in plots],
    }
