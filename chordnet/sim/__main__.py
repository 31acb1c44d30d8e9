"""``python -m chordnet.sim``: play scenarios, one random seed, or many of them.

Exit status: 0 all went well, 1 something failed, 2 the arguments are wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ChordnetError
from chordnet.sim.campaign import byzantine_command
from chordnet.sim.campaign import command as campaign_command
from chordnet.sim.scenarios.generate import generate
from chordnet.sim.scenarios.play import PlayResult, play
from chordnet.sim.scenarios.scenario import Scenario, dumps, loads, name_of
from chordnet.sim.scenarios.shrink import report, shrink
from chordnet.sim.scenarios.soak import SeedResult, Tally, soak
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.heap import kept, peak_mib
from chordnet.sim.world.network import Network

TELL_S = 10.0
"""Seconds between two lines about a long run's progress."""


def say(*lines: str) -> None:
    """Print lines and flush them, also into a pipe."""
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds greater than 0")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    # `python -m chordnet.sim 42` is short for `... seed 42`.
    if words and words[0].isdigit():
        words.insert(0, "seed")
    options = _parser().parse_args(words)
    try:
        status: int = options.run(options)
    except (ChordnetError, OSError) as error:
        sys.stderr.write(f"chordnet.sim: {error}\n")
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chordnet.sim", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("seed", help="play the random scenarios of some seeds")
    one.add_argument("seeds", nargs="+", type=int, metavar="SEED")
    one.set_defaults(run=_seeds)
    file = commands.add_parser("play", help="play scenario files")
    file.add_argument("files", nargs="+", type=Path, metavar="FILE")
    file.set_defaults(run=_files)
    for command in (one, file):
        command.add_argument(
            "--history",
            type=int,
            default=0,
            metavar="N",
            help="print the last N lines of what happened",
        )
        command.add_argument(
            "--write", type=Path, metavar="FILE", help="write the scenario (shrunk, if it fails)"
        )
        command.add_argument(
            "--no-shrink", action="store_true", help="do not look for a shorter failing history"
        )
    many = commands.add_parser("soak", help="play random seeds for long, on all cores")
    many.add_argument("--steps", type=_count, default=10_000_000, help="stop after so many steps")
    many.add_argument("--first", type=int, default=0, metavar="SEED", help="begin at this seed")
    many.add_argument("--jobs", type=_count, default=os.cpu_count() or 1, help="processes")
    many.add_argument(
        "--failures", type=_count, default=20, metavar="N", help="stop after N failed seeds"
    )
    many.set_defaults(run=_soak)
    ring = commands.add_parser("ring", help="watch one large ring at rest, for speed and traffic")
    ring.add_argument("--nodes", type=_count, default=10_000)
    ring.add_argument("--seconds", type=_seconds, default=600.0, help="of virtual time")
    ring.add_argument("--seed", type=int, default=1)
    ring.set_defaults(run=_ring)
    campaign = campaign_command.add_words(commands)
    campaign.set_defaults(run=lambda options: campaign_command.run(options, say))
    byzantine = byzantine_command.add_words(commands)
    byzantine.set_defaults(run=lambda options: byzantine_command.run(options, say))
    return parser


def _seeds(options: argparse.Namespace) -> int:
    return max(
        _show(generate(seed), options, f"python -m chordnet.sim {seed}") for seed in options.seeds
    )


def _files(options: argparse.Namespace) -> int:
    return max(
        _show(loads(file.read_text("utf-8")), options, f"python -m chordnet.sim play {file}")
        for file in options.files
    )


def _show(scenario: Scenario, options: argparse.Namespace, command: str) -> int:
    """Play one scenario and print how it went; a failing one is shrunk."""
    began = time.perf_counter()
    outcome = play(scenario, hashed=True, history=options.history)
    took = time.perf_counter() - began
    say(_line(outcome, took), *outcome.history)
    if outcome.ok:
        if options.write:
            options.write.write_text(dumps(scenario), "utf-8")
        return 0
    say(*(f"  {failure}" for failure in outcome.failures))
    shorter = scenario if options.no_shrink else shrink(scenario)
    again = play(shorter, history=options.history or 40)
    say(*report(again, scenario), "its last steps:", *again.history, f"replay: {command}")
    if options.write:
        options.write.write_text(dumps(shorter), "utf-8")
        say(f"replay the short one: python -m chordnet.sim play {options.write}")
    return 1


def _line(outcome: PlayResult, took: float) -> str:
    scenario = outcome.scenario
    settled = "never" if outcome.settled_s is None else f"after {outcome.settled_s:.2f} s"
    return (
        f"{'ok    ' if outcome.ok else 'FAILED'} {scenario.name}: {outcome.steps} steps in "
        f"{outcome.now:.1f} virtual s ({outcome.steps / max(took, 1e-9):.0f}/s), one right ring "
        f"{settled}, {outcome.checks} changes judged, {outcome.mistakes} live nodes taken for "
        f"dead, trace {outcome.digest}"
    )


def _ring(options: argparse.Namespace) -> int:
    """Build a right ring with wide-area settings, leave it alone, and print the cost."""
    # A simulation leaves no garbage in cycles: the collector would search millions of objects in
    # vain.
    with kept():
        network = Network(options.seed, ProtocolConfig.wide_area())
        names = [name_of(number) for number in range(1, options.nodes + 1)]
        began = time.perf_counter()
        right_ring(network, names, names[:2])
        say(f"{options.nodes} nodes in one ring, built in {time.perf_counter() - began:.1f} s")
        began, cpu = time.perf_counter(), time.process_time()
        pause = min(10.0, options.seconds / 5)
        while network.now < options.seconds:
            network.run(min(pause, options.seconds - network.now))
            took = time.perf_counter() - began
            say(f"{network.now:.1f} virtual s, {network.steps} steps, {network.steps / took:.0f}/s")
        cpu, peak = time.process_time() - cpu, peak_mib()
        wrong = len(network.problems())
        say(
            f"{network.steps} steps in {took:.0f} s, {cpu:.0f} s of CPU"
            f" ({network.steps / cpu:.0f} steps a CPU second,"
            f" {network.steps / options.nodes / options.seconds:.2f} a node and virtual second)",
            *([] if peak is None else [f"at most {peak:.0f} MiB resident"]),
            f"messages: {dict(network.sent.most_common())}",
            f"{wrong} pointers are wrong",
        )
        return 1 if wrong else 0


def _soak(
    options: argparse.Namespace,
    clock: Callable[[], float] = time.perf_counter,
    played: Callable[..., Tally] = soak,
) -> int:
    began = told = clock()

    def tell(tally: Tally, result: SeedResult) -> None:
        nonlocal told
        if result.failures:
            say(f"seed {result.seed} FAILED: {result.failures[0]}")
        if clock() - told >= TELL_S:
            told = clock()
            say(f"{tally.seeds} seeds, {tally.steps} steps, {len(tally.failed)} failed")

    tally = played(options.first, options.steps, options.jobs, tell, options.failures)
    took = clock() - began
    last = options.first + tally.seeds - 1
    say(
        f"seeds {options.first} to {last}: {tally.steps} steps in {tally.virtual_s:.0f} virtual s,"
        f" {took:.0f} s of work by {options.jobs} processes ({tally.steps / took:.0f}/s)",
        f"{tally.checks} changes of rings judged while the invariant was in force;"
        f" {tally.mistakes} times a live node was taken for dead",
        f"slowest to one right ring after the last fault: {tally.slowest_s:.2f} s"
        f" (seed {tally.slowest_seed})",
        f"{len(tally.failed)} seeds failed",
        *(f"  replay: python -m chordnet.sim {result.seed}" for result in tally.failed),
    )
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
