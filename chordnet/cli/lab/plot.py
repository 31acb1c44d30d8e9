"""The plots of ``p2pnet simulate``, as PNG files. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from chordnet.core.base.errors import ChordnetError
from chordnet.sim.measured.experiment import Report
from chordnet.sim.measured.published import Table

try:
    from matplotlib.figure import Figure
except ImportError as problem:
    raise ChordnetError("--plot needs matplotlib: pip install 'chordnet[simulate]'") from problem
except ValueError as problem:  # such as an unknown backend in MPLBACKEND
    raise ChordnetError(f"--plot cannot use matplotlib: {problem}") from problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 120


def plot_run(report: Report, directory: Path) -> list[Path]:
    """Draw a run's path lengths and its course; return the files written."""
    return [
        _save(paths_of_run(report), directory / "paths.png"),
        _save(course_of_run(report), directory / "course.png"),
    ]


def paths_of_run(report: Report) -> Figure:
    """Draw how many lookups passed so many nodes."""
    figure, axes = _sheet(1)
    lengths = report.lookups.paths
    axes[0].bar(list(lengths), list(lengths.values()))
    _label(axes[0], "Path length of lookups", "nodes passed", "lookups")
    return figure


def course_of_run(report: Report) -> Figure:
    """Draw the number of members, and failures, over time."""
    figure, axes = _sheet(2)
    times = [sample.until_s for sample in report.course]
    axes[0].plot(times, [sample.members for sample in report.course])
    _label(axes[0], "Members", "virtual seconds", "members")
    rates = [sample.timeouts / max(sample.lookups, 1) for sample in report.course]
    failed = [sample.failed for sample in report.course]
    axes[1].plot(times, rates, label="timeouts a lookup")
    axes[1].plot(times, failed, label="failed lookups")
    axes[1].legend()
    _label(axes[1], "Trouble", "virtual seconds", "")
    return figure


def plot_paper(tables: list[Table], directory: Path) -> list[Path]:
    """Draw each table, ours beside the published figures; return the files written."""
    written = []
    for table in tables:
        written.append(_save(figures_of(table), directory / f"{table.key}.png"))
        if table.key == "paths":
            written.append(_save(distributions(table), directory / "path-distribution.png"))
    return written


def figures_of(table: Table) -> Figure:
    """Draw each figure of a table over its rows, with its error, beside the published one."""
    names = [figure.name for figure in table.rows[0].figures]
    figure, axes = _sheet(len(names))
    labels = [row.label for row in table.rows]
    for place, name in enumerate(names):
        ax = axes[place]
        figures = [row.figures[place] for row in table.rows]
        published = [each.published for each in figures if each.published is not None]
        if len(published) == len(labels):
            ax.plot(labels, published, "o--", label="published")
        ours, errors = [each.ours for each in figures], [each.error or 0.0 for each in figures]
        ax.errorbar(labels, ours, yerr=errors, fmt="x-", label="ours")
        ax.set_ylim(bottom=0)
        ax.legend()
        _label(ax, table.title, table.label, name)
    return figure


def distributions(table: Table) -> Figure:
    """Draw the distribution of path lengths, one line for each row."""
    figure, axes = _sheet(1)
    for row in table.rows:
        total = sum(row.distribution.values())
        parts = [count / total for count in row.distribution.values()]
        axes[0].plot(list(row.distribution), parts, ".-", label=f"{row.label} nodes")
    axes[0].legend()
    _label(axes[0], "Distribution of path lengths", "nodes passed", "fraction of lookups")
    return figure


def _sheet(count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(5.0 * count, 4.0), layout="constrained")
    axes: Any = figure.subplots(1, count, squeeze=False)
    return figure, list(axes[0])


def _label(ax: Axes, title: str, x: str, y: str) -> None:
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)


def _save(figure: Figure, path: Path) -> Path:
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as problem:
        raise ChordnetError(f"cannot write {path}: {problem.strerror}") from problem
    return path
