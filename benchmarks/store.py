"""``python -m benchmarks.store``: keys and values, beside other stores in one run.

Every participant is started once and measured in turn, every other round in the opposite order.
What the others promise is less, or, of etcd, the same: the table says it.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from attrs import evolve
from rich.console import Console

from benchmarks.effort import FULL, QUICK, Effort
from benchmarks.errors import BenchmarkError, notes_of
from benchmarks.figures import Figure
from benchmarks.machine import machine, versions
from benchmarks.report import Report, as_json, markdown, terminal
from benchmarks.rivals.etcd import Etcd
from benchmarks.rivals.kademlia_keys import KademliaKeys
from benchmarks.rivals.opendht import OpenDht
from benchmarks.rounds import interleave
from benchmarks.sides import Side
from benchmarks.store_sides import DURABLE, KEYS, METHODS, StoreSide, figures

WIDTH = 120
STEP = 50
"""Ports of one participant."""


class Run:
    """One run; collects promises and tracebacks.

    Args:
        effort: How much of everything.
        base_port: First of the ports to use.
        tell: Called with what is happening.
    """

    def __init__(self, effort: Effort, base_port: int, tell: object) -> None:
        self._effort = effort
        self._base_port = base_port
        self._tell = tell
        self.promises: dict[str, str] = {}
        self.traces: list[str] = []

    def beside(self, names: Sequence[str]) -> list[Figure]:
        """Measure chordnet and its rivals in interleaved rounds."""
        port = self._base_port
        sides: list[Side] = []
        if KEYS in names:
            sides += [
                StoreSide("chordnet", "process", port),
                OpenDht(port + STEP),
                KademliaKeys(port + 2 * STEP),
            ]
        if DURABLE in names:
            sides += [StoreSide("chordnet, power", "power", port + 3 * STEP), Etcd(port + 4 * STEP)]
        results = interleave(sides, self._effort, self._tell)
        self.promises |= {side.name: side.promise for side in sides}
        self.traces += [trace for result in results for trace in result.traces]
        found = figures(KEYS, results[0], results[1:3]) if KEYS in names else []
        if DURABLE in names:
            found += figures(DURABLE, results[-2], results[-1:])
        return found


NAMES = (KEYS, DURABLE)


@click.command()
@click.option(
    "--only", "names", multiple=True, type=click.Choice(NAMES), help="Just this one; repeatable."
)
@click.option("--quick", is_flag=True, help="Fewer rounds and keys; not to be quoted.")
@click.option("--rounds", type=click.IntRange(1, 100), help="Interleaved rounds.")
@click.option(
    "--save", type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file to write; a Markdown table is written beside it.",
)  # fmt: skip
@click.option(
    "--base-port", type=click.IntRange(1024, 65000), default=9300, show_default=True,
    help="Ports from here up to 300 above are used on 127.0.0.1.",
)  # fmt: skip
def main(
    *, names: tuple[str, ...], quick: bool, rounds: int | None, save: Path | None, base_port: int
) -> None:
    """Measure the store beside other stores on this machine.

    Example: python -m benchmarks.store --rounds 7
    """
    load = os.getloadavg()[0]
    effort = QUICK if quick else FULL
    if rounds:
        effort = evolve(effort, rounds=rounds)
    errors = Console(stderr=True)
    try:
        with errors.status("") as status:
            run = Run(effort, base_port, status.update)
            found = run.beside(names or NAMES)
    except BenchmarkError as error:
        raise click.ClickException("\n".join([str(error), *notes_of(error)])) from None
    for trace in run.traces:
        errors.print(trace)
    report = Report(
        command=" ".join(["python -m benchmarks.store", *sys.argv[1:]]),
        measured=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        machine=machine(),
        versions=versions(),
        figures=found,
        methods={name: METHODS[name] for name in names or NAMES},
        promises=run.promises,
        load=(load, os.getloadavg()[0]),
    )
    Console(width=WIDTH).print(terminal(report))
    if save is not None:
        save.write_text(json.dumps(as_json(report), indent=2) + "\n")
        save.with_suffix(".md").write_text(markdown(report))


if __name__ == "__main__":
    main()
