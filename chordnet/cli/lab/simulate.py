"""``p2pnet simulate``: any number of nodes in virtual time, or the published figures reproduced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import click

from chordnet.cli.base.output import print_json
from chordnet.cli.base.words import Command, WholeNumber, json_option
from chordnet.cli.lab.paper import reproduce
from chordnet.cli.lab.progress import progress
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ChordnetError, ConfigError
from chordnet.sim.measured import churn as churns
from chordnet.sim.measured.experiment import Experiment, Report, Settings, as_json


class SimulationFailed(ChordnetError):
    """A simulation's input cannot be read, or its result cannot be written; the text says why."""


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
@click.option("--nodes", default=100, show_default=True, metavar="N", help="Nodes at first.")
@click.option(
    "--duration", default=300.0, show_default=True, metavar="SECONDS", help="In virtual time."
)
@click.option(
    "--seed",
    type=WholeNumber(0, (1 << 63) - 1),
    default=1,
    show_default=True,
    metavar="N",
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
    "--failures", default=0.0, metavar="FRACTION", help="Nodes that crash together.  [default: 0]"
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
@click.option(
    "--successors", default=16, show_default=True, metavar="N", help="Length of successor lists."
)
@click.option("--paper", is_flag=True, help="Reproduce the published figures instead.")
@click.option("--quick", is_flag=True, help="With --paper: a smaller run.")
@click.option(
    "--jobs",
    type=WholeNumber(1, 256),
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
    Chord (path lengths, simultaneous failures, churn, keys per node) and prints ours beside it, the
    mean of seeds 1 to 20, which takes hours and says how many; the exit status is 1 if a figure
    disagrees.
    """
    _check_heeded(ctx, paper=paper)
    if plot is not None:
        _prepare(plot)
    if paper:
        return reproduce(words["jobs"], plot, quick=words["quick"], as_json=as_json)
    try:
        settings = _settings(words)
    except ConfigError as problem:
        raise click.UsageError(str(problem), ctx) from None
    with progress("simulating") as (bar, task):
        report = Experiment(settings, lambda part: bar.update(task, completed=100 * part)).run()
    plots = []
    if plot is not None:
        from chordnet.cli.lab.plot import plot_run  # noqa: PLC0415 - imports matplotlib

        plots = plot_run(report, plot)
    if as_json:
        print_json(run_json(report, words, plots))
        return 0
    for line in [*run_lines(report, settings), *(f"plotted: {path}" for path in plots)]:
        print(line)
    return 0


def _check_heeded(ctx: click.Context, *, paper: bool) -> None:
    """Refuse an option that the run would ignore."""
    heeded = {"paper", "plot", "as_json"}
    for name in ctx.params:
        given = ctx.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE
        if given and name not in heeded and paper != (name in {"quick", "jobs"}):
            option = f"--{name.replace('_', '-')}"
            text = f"{option} does not go with --paper" if paper else f"{option} goes with --paper"
            raise click.UsageError(text, ctx)


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
        nodes=words["nodes"],
        duration_s=words["duration"],
        seed=words["seed"],
        churn=model,
        orderly=words["orderly"],
        failures=words["failures"],
        failures_at_s=words["failures_at"],
        lookups_per_s=words["lookups"],
        latency=words["latency"],
        loss=words["loss"],
        config=attrs.evolve(ProtocolConfig.wide_area(), successors=words["successors"]),
    )


def _prepare(directory: Path) -> None:
    """Check before a long run that its plots can be drawn and written."""
    import chordnet.cli.lab.plot  # noqa: F401, PLC0415 - fails early if matplotlib is missing

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise SimulationFailed(f"cannot make {directory}: {problem.strerror}") from None


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
        lines.append("no node is left")
    elif report.settled_s is None:
        lines.append("no one right ring within a minute of the end")
    else:
        lines.append(f"one right ring {report.settled_s:.0f} s after the end")
    return lines
