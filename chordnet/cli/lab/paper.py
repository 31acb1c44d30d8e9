"""``p2pnet simulate --paper``: the published figures with ours beside them."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from chordnet.cli.base.output import print_json
from chordnet.cli.lab.progress import progress
from chordnet.sim.measured import paper as papers
from chordnet.sim.measured.published import QUICK_SEEDS, SEEDS, Figure, Row, Table, Verdict
from chordnet.sim.world.workers import worker_context

RULES = """\
judged, by rules settled beforehand, is the mean of all seeds: path lengths within 4 %, on ideal
tables within 3 %; timeouts among simultaneous failures within 20 % of the published figure or of
the authors' own estimate of it; percentiles there within one; that the published failures under
churn lie in the range of the seeds. A timeout is each dead node that a lookup tries to contact.
Figures in parentheses are shown without a verdict."""
QUICK_NOTE = """\
quick: fewer seeds and lookups, shorter runs, smaller rings. Percentiles and churn are not judged,
and what so few samples cannot decide is marked ?. Leave --quick out for all of it."""
_HEAD = f"{'':<23}{'ours':>8}{'+-':>7}{'publ.':>8}{'deviation':>11}"
_MARKS = {Verdict.DISAGREES: " !", Verdict.UNDECIDED: " ?"}
COLLECT_AFTER = 100_000
"""A worker's threshold for garbage collection: it makes little garbage and has many objects."""


def reproduce(jobs: int | None, plot: Path | None, *, quick: bool, as_json: bool) -> int:
    """Reproduce the published figures, show them, and return the command's exit status."""
    import chordnet.sim.measured.analysis  # noqa: F401, PLC0415 - fails early if numpy is missing

    tasks, jobs = papers.tasks(quick=quick), jobs or os.cpu_count() or 1
    click.echo(announcement(tasks, jobs), err=True)
    return show(papers.tables(_found(tasks, jobs)), plot, quick=quick, as_json=as_json)


def show(tables: list[Table], plot: Path | None, *, quick: bool, as_json: bool) -> int:
    """Show the tables, and plot them if wanted; return the command's exit status."""
    plots = []
    if plot is not None:
        from chordnet.cli.lab.plot import plot_paper  # noqa: PLC0415 - imports matplotlib

        plots = plot_paper(tables, plot)
    if as_json:
        print_json(paper_json(tables, quick=quick, plots=plots))
    else:
        for line in paper_lines(tables, quick=quick):
            print(line)
        for path in plots:
            print(f"plotted: {path}")
    return 1 if _count(tables, Verdict.DISAGREES) else 0


def announcement(tasks: list[papers.Task], jobs: int) -> str:
    """Return a line about what will run and how long it takes."""
    seeds = f"seeds {SEEDS[0]} to {SEEDS[-1]}" if not tasks[0].quick else "a few seeds"
    cpu_s = sum(task.cpu_s for task in tasks)
    return f"{seeds}: about {_duration(cpu_s / jobs)} with {jobs} at a time, on idle cores"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{max(round(seconds, -1), 10):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5000 else f"{seconds / 3600:.1f} h"


def _found(tasks: list[papers.Task], jobs: int) -> dict[papers.Task, papers.Found]:
    """Run all tasks, the longest first."""
    done = dict.fromkeys(tasks)
    by_length = sorted(tasks, key=lambda task: -task.cpu_s)
    with progress("reproducing", len(tasks)) as (bar, shown):
        for task, found in _worked(by_length, jobs):
            done[task] = found
            bar.advance(shown)
    return {task: found for task, found in done.items() if found is not None}


def _worked(tasks: list[papers.Task], jobs: int) -> Iterator[tuple[papers.Task, papers.Found]]:
    with worker_context().Pool(jobs, _prepare_worker) as pool:
        yield from zip(tasks, pool.imap(papers.Task.work, tasks), strict=True)


def _prepare_worker() -> None:
    # Ctrl-C reaches the workers as well; leaving the pool ends them silently.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(COLLECT_AFTER, 50, 100)


def _count(tables: list[Table], verdict: Verdict) -> int:
    return sum(table.count(verdict) for table in tables)


def paper_lines(tables: list[Table], *, quick: bool) -> list[str]:
    """Return the tables as text, a line for each figure."""
    lines = QUICK_NOTE.splitlines() if quick else []
    for table in tables:
        lines += ["", f"{table.title} ({table.note})"]
        lines.append(f"{table.label:>13}  {_HEAD}")
        lines += [line for row in table.rows for line in _row(row)]
    agree, wrong, open_ = (
        _count(tables, verdict)
        for verdict in (Verdict.AGREES, Verdict.DISAGREES, Verdict.UNDECIDED)
    )
    verdict = f"{agree} figures agree, {wrong} disagree" + (", marked !" if wrong else "")
    if open_:
        verdict += f", {open_} not decided by so few samples, marked ?"
    return [*lines, "", *RULES.splitlines(), "", verdict]


def _row(row: Row) -> Iterator[str]:
    label = row.label
    for figure in row.figures:
        for line in _figure(figure):
            yield f"{label:>13}  {line}"
            label = ""


def _figure(figure: Figure) -> Iterator[str]:
    name = figure.name if figure.judged else f"({figure.name})"
    error = "" if figure.error is None else f"{figure.error:.2f}"
    published = "" if figure.published is None else f"{figure.published:.2f}"
    mark = _MARKS.get(figure.verdict, "")
    numbers = f"{figure.ours:>8.2f}{error:>7}{published:>8}{_apart(figure):>11}"
    yield f"{name:<23}{numbers}{mark}".rstrip()
    if figure.estimate is not None:
        apart = _percent(figure.estimate_deviation)
        yield f"{'  estimated':<23}{'':>8}{'':>7}{figure.estimate:>8.2f}{apart:>11}"
    if figure.span is not None:
        yield f"{'  seeds span':<23}{'{:.2f} to {:.2f}'.format(*figure.span):>15}"


def _apart(figure: Figure) -> str:
    """Return how far a figure is from the published one, in the unit in which it is judged."""
    if figure.apart is not None and figure.published is not None:
        return f"{figure.ours - figure.published:+.2f}  "
    return "" if figure.span is not None else _percent(figure.deviation)


def _percent(part: float | None) -> str:
    return "" if part is None else f"{100 * part:+.1f} %"


def paper_json(tables: list[Table], *, quick: bool, plots: list[Path]) -> dict[str, Any]:
    """Return the tables as a JSON document."""
    return {
        "quick": quick,
        "seeds": list(QUICK_SEEDS if quick else SEEDS),
        "agrees": not _count(tables, Verdict.DISAGREES),
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
                                "error": figure.error and round(figure.error, 4),
                                "published": figure.published,
                                "deviation": figure.deviation,
                                "estimate": figure.estimate,
                                "span": figure.span,
                                "verdict": figure.verdict.value,
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
