"""``python -m benchmarks``: measure, print the table, save it."""

from __future__ import annotations

import datetime
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import click
from attrs import evolve
from rich.console import Console

from benchmarks.contests import CONTESTS, promises
from benchmarks.effort import FULL, QUICK
from benchmarks.errors import BenchmarkError, notes_of
from benchmarks.machine import machine, versions
from benchmarks.report import Report, as_json, command_line, markdown, notes, terminal
from benchmarks.session import NAMES, Session
from benchmarks.solos import SOLOS

RESULTS = Path(__file__).with_name("results")
WIDTH = 120


@click.command()
@click.option(
    "--only", "names", multiple=True, type=click.Choice(NAMES), help="Just this one; repeatable."
)
@click.option("--quick", is_flag=True, help="Fewer rounds and messages; not to be quoted.")
@click.option("--rounds", type=click.IntRange(1, 100), help="Interleaved rounds.")
@click.option("--rivals", "rivals_only", is_flag=True, help="The rivals without chordnet.")
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    default=RESULTS / "latest.json",
    show_default="benchmarks/results/latest.json",
    help="JSON file to write; a Markdown table is written beside it.",
)
@click.option(
    "--base-port", type=click.IntRange(1024, 65000), default=9300, show_default=True,
    help="Ports from here up to 200 above are used on 127.0.0.1.",
)  # fmt: skip
def main(
    *,
    names: tuple[str, ...],
    quick: bool,
    rounds: int | None,
    rivals_only: bool,
    save: Path,
    base_port: int,
) -> None:
    """Measure chordnet and its rivals side by side on this machine.

    Example: python -m benchmarks --only broadcast --only lookup
    """
    signal.signal(signal.SIGTERM, _terminate)
    load = os.getloadavg()[0]
    effort = QUICK if quick else FULL
    if rounds:
        effort = evolve(effort, rounds=rounds)
    errors = Console(stderr=True)
    with errors.status("") as status:
        session = Session(effort, base_port, names or NAMES, tell=status.update)
        try:
            figures = session.run(with_chordnet=not rivals_only)
        except BenchmarkError as error:
            raise click.ClickException("\n".join([str(error), *notes_of(error)])) from None
    report = Report(
        command=command_line(sys.argv[1:]),
        measured=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        machine=machine(),
        versions=versions(),
        figures=figures,
        methods={each.name: each.method for each in (*SOLOS, *CONTESTS)},
        promises=promises(names or NAMES),
        load=(load, os.getloadavg()[0]),
    )
    _console().print(terminal(report))
    _write(save, json.dumps(as_json(report), indent=1) + "\n")
    _write(save.with_suffix(".md"), markdown(report))
    for trace in session.traces:
        errors.print(trace, markup=False, highlight=False)
    failed = any(not note.partition(": ")[2].startswith("skipped") for note in notes(figures))
    sys.exit(1 if failed else 0)


def _console() -> Console:
    """Return the terminal; a file or pipe gets lines wide enough for the table."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _terminate(number: int, _frame: FrameType | None) -> None:
    """Leave through every ``finally``, so that no process is left behind."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
