"""``p2pnet simulate --paper``: the published figures, ours beside them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chordnet.cli.output import print_json
from chordnet.cli.simulate_progress import progress
from chordnet.sim import paper as papers
from chordnet.sim.published import Figure, Row, Table
from chordnet.sim.workers import worker_context

QUICK_NOTE = "quick: fewer lookups, shorter runs, smaller rings; leave --quick out for all of it"
_HEAD = f"{'':<23}{'ours':>8}{'+-':>7}{'publ.':>8}{'deviation':>11}"


def reproduce(seed: int, jobs: int | None, plot: Path | None, *, quick: bool, as_json: bool) -> int:
    """Work the published figures out, show them, and return the command's exit status."""
    import chordnet.sim.analysis  # noqa: F401, PLC0415 - says at once if numpy is missing

    tables = papers.tables(_rows(papers.tasks(seed, quick=quick), jobs))
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


def _rows(tasks: list[papers.Task], jobs: int | None) -> list[tuple[papers.Task, Row]]:
    """Work all rows out, the longest first, and return them in the order of ``tasks``."""
    jobs = jobs or os.cpu_count() or 1
    done: dict[papers.Task, Row] = {}
    by_length = sorted(tasks, key=lambda task: (task.table != "churn", -task.value))
    with progress("reproducing", len(tasks)) as (bar, shown):
        for task, row in _worked(by_length, jobs):
            done[task] = row
            bar.advance(shown)
    return [(task, done[task]) for task in tasks]


def _worked(tasks: list[papers.Task], jobs: int) -> Iterator[tuple[papers.Task, Row]]:
    if jobs == 1:
        yield from ((task, papers.work(task)) for task in tasks)
        return
    # Ctrl-C reaches the workers as well; leaving the pool ends them without a word.
    context = worker_context()
    with context.Pool(jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield from zip(tasks, pool.imap(papers.work, tasks), strict=True)


def paper_lines(tables: list[Table], *, quick: bool) -> list[str]:
    """Return the tables as text, a line for each figure."""
    lines = [QUICK_NOTE] if quick else []
    for table in tables:
        lines += ["", f"{table.title} ({table.note})"]
        lines.append(f"{table.label:>13}  {_HEAD}")
        lines += [line for row in table.rows for line in _row(row)]
    wrong = sum(not f.agrees for table in tables for row in table.rows for f in row.figures)
    verdict = f"{wrong} figures disagree, marked !" if wrong else "every figure agrees"
    return [*lines, "", f"{verdict}; figures in parentheses are not judged"]


def _row(row: Row) -> Iterator[str]:
    label = row.label
    for figure in row.figures:
        yield f"{label:>13}  {_figure(figure)}"
        label = ""


def _figure(figure: Figure) -> str:
    name = figure.name if figure.judged else f"({figure.name})"
    error = "" if figure.error is None else f"{figure.error:.2f}"
    published = "" if figure.published is None else f"{figure.published:.2f}"
    deviation = "" if figure.deviation is None else f"{100 * figure.deviation:+.1f} %"
    mark = "" if figure.agrees else " !"
    return f"{name:<23}{figure.ours:>8.2f}{error:>7}{published:>8}{deviation:>11}{mark}".rstrip()


def paper_json(tables: list[Table], *, quick: bool, plots: list[Path]) -> dict[str, Any]:
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
                                "error": figure.error and round(figure.error, 4),
                                "published": figure.published,
                                "deviation": figure.deviation,
                                "judged": figure.judged,
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
