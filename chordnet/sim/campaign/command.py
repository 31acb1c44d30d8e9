"""``python -m chordnet.sim campaign``: its options, its table, its file.

With ``--json FILE`` every run is kept in the file, and a run that is in the file already is not
played again: a long campaign can be done in slices.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from chordnet import __version__
from chordnet.core.base.errors import ChordnetError
from chordnet.sim.campaign.run import CampaignResult, Plan
from chordnet.sim.campaign.series import Row, results, summed

FORMAT = 1
TELL_S = 30.0
"""Seconds between two lines about a long campaign's progress."""
SHOWN = 5
"""Failures of one run that are printed."""

Say = Callable[..., None]


class UnusableFile(ChordnetError):
    """Results cannot be added to a file; the text says why."""


def add_words(commands: Any) -> argparse.ArgumentParser:
    """Add the command to a program's ``commands``."""
    words: argparse.ArgumentParser = commands.add_parser(
        "campaign", help="broadcasts under kills, joins and loss, judged by the transport's log"
    )
    words.add_argument("--nodes", type=int, default=1000)
    words.add_argument(
        "--kills",
        type=float,
        nargs="+",
        default=[0.0, 1.0, 5.0, 20.0],
        metavar="PERCENT",
        help="of the nodes; one row each",
    )
    words.add_argument("--joins", type=int, default=20, help="newcomers meanwhile")
    words.add_argument("--loss", type=float, default=5.0, metavar="PERCENT", help="of messages")
    words.add_argument(
        "--freezes",
        type=float,
        default=0.0,
        metavar="PERCENT",
        help="of the nodes, for up to 6 s each",
    )
    words.add_argument(
        "--parted",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="cut the network into halves for so long",
    )
    words.add_argument("--broadcasts", type=int, default=1, help="at once, by as many origins")
    words.add_argument("--origin-dies", action="store_true", help="while its broadcast is young")
    words.add_argument(
        "--crippled", action="store_true", help="without what repairs a broadcast, to see it fail"
    )
    words.add_argument("--first", type=int, default=1, metavar="SEED", help="begin at this seed")
    words.add_argument("--seeds", type=int, default=200, help="how many, for each row")
    words.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    words.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
    words.add_argument("--json", type=Path, metavar="FILE", help="keep every run there")
    return words


def plans(options: argparse.Namespace) -> list[Plan]:
    """Return what the options ask for, a plan for each row.

    :raises ConfigError: a value is out of range; the text names it.
    """
    return [
        Plan(
            nodes=options.nodes,
            kills=percent / 100,
            joins=options.joins,
            loss=options.loss / 100,
            freezes=options.freezes / 100,
            parted_s=options.parted,
            broadcasts=options.broadcasts,
            origin_dies=options.origin_dies,
            crippled=options.crippled,
        )
        for percent in options.kills
    ]


def run(
    options: argparse.Namespace,
    say: Say,
    clock: Callable[[], float] = time.monotonic,
    played: Callable[..., Iterable[CampaignResult]] = results,
) -> int:
    """Play, print and keep what the options ask for; return 1 if anything went wrong."""
    file = File(options.json)
    rows = []
    until = clock() + 60 * options.minutes
    seeds = range(options.first, options.first + options.seeds)
    for plan in plans(options):
        play = partial(played, plan, jobs=options.jobs)
        found = _series(plan, seeds, play, file, until, say, clock)
        if found:
            rows.append(summed(plan, found))
        for each in sorted(found, key=lambda result: result.seed):
            if not each.ok:
                say(*_story(plan, each))
    say(*table(rows), f"python {platform.python_version()}, chordnet {__version__}")
    return 1 if any(row.failed for row in rows) else 0


def _series(
    plan: Plan,
    seeds: Sequence[int],
    play: Callable[[list[int]], Iterable[CampaignResult]],
    file: File,
    until: float,
    say: Say,
    clock: Callable[[], float],
) -> list[CampaignResult]:
    found = file.known(plan, seeds)
    todo = [seed for seed in seeds if seed not in {result.seed for result in found}]
    told = clock()
    if todo and told < until:
        for result in play(todo):
            found.append(result)
            if not result.ok:
                say(f"seed {result.seed} FAILED: {result.failures[0]}")
            if clock() - told >= TELL_S:
                told = clock()
                say(f"{plan.kills:.0%} killed: {len(found)} of {len(seeds)} seeds")
                file.keep(plan, found)
            if clock() >= until:
                break
        file.keep(plan, found)
    return found


class File:
    """The results of earlier slices, by plan."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._plans: list[dict[str, Any]] = []
        if path is not None and path.exists():
            self._plans = self._read(path)

    def _read(self, path: Path) -> list[dict[str, Any]]:
        try:
            document = json.loads(path.read_text("utf-8"))
            same = (document["format"], document["chordnet"]) == (FORMAT, __version__)
            kept: list[dict[str, Any]] = document["plans"] if same else []
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise UnusableFile(f"cannot add to {path}: {problem}; name another file") from None
        if not same:
            raise UnusableFile(f"{path} is of another version of chordnet; name another file")
        return kept

    def known(self, plan: Plan, seeds: Sequence[int]) -> list[CampaignResult]:
        """Return the results that the file has of these seeds."""
        entry = self._entry(plan)
        try:
            found = [_result(fields) for fields in entry["runs"]]
        except (TypeError, KeyError) as problem:
            raise UnusableFile(f"cannot read {self._path}: {problem}; name another file") from None
        return [result for result in found if result.seed in seeds]

    def keep(self, plan: Plan, found: Sequence[CampaignResult]) -> None:
        """Add results to the file."""
        if self._path is None:
            return
        runs = {run["seed"]: run for run in self._entry(plan)["runs"]}
        runs |= {result.seed: attrs.asdict(result) for result in found}
        entry = self._entry(plan)
        entry["runs"] = [runs[seed] for seed in sorted(runs)]
        document = {"format": FORMAT, "chordnet": __version__, "plans": self._plans}
        part = self._path.with_name(self._path.name + ".part")
        part.write_text(json.dumps(document, separators=(",", ":")) + "\n", "utf-8")
        part.replace(self._path)

    def _entry(self, plan: Plan) -> dict[str, Any]:
        fields = attrs.asdict(plan)
        for entry in self._plans:
            if entry["plan"] == fields:
                return entry
        self._plans.append({"plan": fields, "runs": []})
        return self._plans[-1]


def _result(fields: dict[str, Any]) -> CampaignResult:
    return CampaignResult(**fields | {"failures": tuple(fields["failures"])})


# ---- words ----------------------------------------------------------------------------------


def table(rows: Sequence[Row]) -> list[str]:
    """Return the rows as a table, under its head."""
    head = (
        "nodes",
        "killed",
        "seeds",
        "failed",
        "survivors",
        "missed",
        "twice",
        "untrue",
        "routes",
        "repaired",
        "caught up",
        "receipts",
        "partial",
        "unreached",
        "early",
        "lacked",
        "receipt s",
        "all s",
        "cpu s",
    )
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return [*lines, *_notes(rows)]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"{row.plan.nodes}",
        f"{row.plan.kills:.3g}",
        f"{row.seeds}",
        f"{len(row.failed)}",
        f"{row.survivors}",
        f"{row.missed}",
        f"{row.twice}",
        f"{row.untrue}",
        f"{row.records}",
        f"{row.repaired}",
        f"{row.caught_up}",
        f"{row.receipts}",
        f"{row.partial}",
        f"{row.unreached}",
        f"{row.early}",
        f"{row.lacked}",
        f"{row.confirmed_s[0]:.2f}-{row.confirmed_s[1]:.2f}",
        f"{row.settled_s[0]:.2f}-{row.settled_s[1]:.2f}",
        f"{row.cpu_s:.1f}",
    )


def _notes(rows: Sequence[Row]) -> list[str]:
    lines = [
        "receipt s, all s: median-longest",
        "early: receipts, not partial, that came before a live member had it; lacked: such members",
    ]
    for row in rows:
        if row.plan.undisturbed:
            lines.append(
                f"undisturbed, {row.plan.nodes} nodes: {row.bcasts[0]}-{row.bcasts[1]} broadcasts,"
                f" {row.answers[0]}-{row.answers[1]} acknowledgements and reports"
            )
        if row.plan.origin_dies:
            lines.append(
                f"{row.plan.kills:.0%} killed and the origin: {row.receipts} receipts given;"
                f" without a receipt, on every node: {row.orphans_held}, on none:"
                f" {row.orphans_lost}"
            )
    return lines


def _story(plan: Plan, result: CampaignResult) -> list[str]:
    more = len(result.failures) - SHOWN
    return [
        f"seed {result.seed}, {plan.kills:.3g} killed:",
        *(f"  {failure}" for failure in result.failures[:SHOWN]),
        *([f"  and {more} more"] if more > 0 else []),
        f"  replay: {replay(plan, result.seed)}",
    ]


def replay(plan: Plan, seed: int) -> str:
    """Return the command that plays one run again."""
    words = [
        "python -m chordnet.sim campaign",
        f"--nodes {plan.nodes}",
        f"--kills {plan.kills * 100:g}",
        f"--joins {plan.joins}",
        f"--loss {plan.loss * 100:g}",
        f"--freezes {plan.freezes * 100:g}",
        f"--parted {plan.parted_s:g}",
        f"--broadcasts {plan.broadcasts}",
        *(["--origin-dies"] if plan.origin_dies else []),
        *(["--crippled"] if plan.crippled else []),
        f"--first {seed} --seeds 1 --jobs 1",
    ]
    return " ".join(words)
