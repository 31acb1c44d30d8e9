"""``python -m chordnet.sim byzantine``: many runs with a lying node, a row for each kind."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from chordnet.sim.campaign.byzantine import ByzantineResult, ByzantineRun
from chordnet.sim.campaign.liar import KINDS
from chordnet.sim.campaign.sealed import SEALED_KINDS, SealedRun
from chordnet.sim.world.workers import worker_context

WAYS = (*KINDS, *SEALED_KINDS)
ALL = "all"
SHOWN = 3
"""Failures of one run that are printed."""
MOST_SHOWN = 10
"""Failed runs of a kind that are printed."""

Say = Callable[..., None]


def add_words(commands: Any) -> argparse.ArgumentParser:
    """Add the command to a program's ``commands``."""
    words: argparse.ArgumentParser = commands.add_parser(
        "byzantine", help="broadcasts beside a node that says anything, judged from outside"
    )
    words.add_argument("--kind", choices=(ALL, *WAYS), default=ALL, help="of its lies")
    words.add_argument("--first", type=int, default=1, metavar="SEED", help="begin at this seed")
    words.add_argument("--seeds", type=_count, default=500, help="how many, for each kind")
    words.add_argument("--jobs", type=_count, default=os.cpu_count() or 1, help="processes")
    return words


def played(kind: str, seed: int) -> ByzantineResult:
    """Play one seed of one kind."""
    return (SealedRun if kind in SEALED_KINDS else ByzantineRun)(kind, seed).play()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return number


def results(kind: str, seeds: Sequence[int], jobs: int) -> Iterator[ByzantineResult]:
    """Yield the results of these seeds as they come."""
    if jobs == 1:
        yield from (played(kind, seed) for seed in seeds)
        return
    with worker_context().Pool(jobs) as pool:
        yield from pool.imap_unordered(partial(played, kind), seeds, 4)


def run(
    options: argparse.Namespace,
    say: Say,
    source: Callable[..., Iterable[ByzantineResult]] = results,
) -> int:
    """Play and print what the options ask for; return 1 if anything went wrong."""
    kinds = list(WAYS) if options.kind == ALL else [options.kind]
    seeds = range(options.first, options.first + options.seeds)
    say(_line(*HEAD))
    failed = 0
    for kind in kinds:
        found = list(source(kind, seeds, options.jobs))
        say(row(kind, found))
        wrong = sorted((each for each in found if not each.ok), key=lambda each: each.seed)
        failed += len(wrong)
        for each in wrong[:MOST_SHOWN]:
            say(*story(each))
        if len(wrong) > MOST_SHOWN:
            say(f"  and {len(wrong) - MOST_SHOWN} more failed seeds of {kind}")
    say(f"{len(kinds) * len(seeds)} runs, {failed} failed")
    return 1 if failed else 0


HEAD = (
    "kind",
    "seeds",
    "failed",
    "lies",
    "blamed",
    "complete",
    "late",
    "partial",
    "of X",
    "conflict",
    "vouched",
    "kB",
    "dials",
    "resent",
    "lines",
    "compared/s",
)


def row(kind: str, found: Sequence[ByzantineResult]) -> str:
    """Return the table row for one kind; what a node holds and does is the largest of all runs."""

    def total(numbers: Iterable[int]) -> str:
        return f"{sum(numbers)}"

    return _line(
        kind,
        f"{len(found)}",
        total(not each.ok for each in found),
        total(each.frames for each in found),
        total(each.blamed for each in found),
        total(each.complete for each in found),
        total(each.late for each in found),
        total(each.partial for each in found),
        total(each.without_x for each in found),
        total(each.conflict for each in found),
        total(each.vouched for each in found),
        f"{max(each.bytes for each in found) // 1000}",
        f"{max(each.dials for each in found)}",
        f"{max(each.resent for each in found)}",
        f"{max(each.lines for each in found)}",
        f"{max(each.comparisons for each in found):.2f}",
    )


def _line(kind: str, *cells: str) -> str:
    return kind.ljust(9) + "".join(cell.rjust(11) for cell in cells)


def story(result: ByzantineResult) -> list[str]:
    """Return what went wrong with one seed, and how to see it again."""
    more = len(result.failures) - SHOWN
    again = f"--kind {result.kind} --first {result.seed} --seeds 1 --jobs 1"
    return [
        f"  seed {result.seed}:",
        *(f"    {failure}" for failure in result.failures[:SHOWN]),
        *([f"    and {more} more"] if more > 0 else []),
        f"    again: python -m chordnet.sim byzantine {again}",
    ]
