"""Run whole stores in virtual time, with clients and faults: ``python -m chordnet.sim.store``.

Exit status: 0 when all runs went as they should, 1 when one did not (each is printed), 2 for bad
arguments.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

import attrs

from chordnet.core.base.errors import ConfigError
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.judge.store.history import line_of
from chordnet.sim.store.trials import Plan, Report, run
from chordnet.sim.world.workers import worker_context

SAFEGUARDS = [field.name for field in attrs.fields(StoreSafeguards)]
GOOD, BROKEN, MISUSED = 0, 1, 2
MOST_LIARS = 8


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chordnet.sim.store",
        description="Run whole stores in virtual time, with clients and faults, and judge what the "
        "clients were told.",
    )
    plan, add = Plan(), parser.add_argument
    add("--first", type=int, default=1, metavar="SEED", help="the first seed (1)")
    add("--seeds", type=int, default=10, metavar="N", help="how many runs (10)")
    add("--nodes", type=int, default=plan.nodes, metavar="N", help="at the start (%(default)s)")
    add("--founders", type=int, default=plan.founders, metavar="N", help="of them (%(default)s)")
    add("--slots", type=int, default=plan.slots, metavar="N", help="(%(default)s)")
    add("--keys", type=int, default=plan.keys, metavar="N", help="(%(default)s)")
    add("--clients", type=int, default=plan.clients, metavar="N", help="(%(default)s)")
    add("--watchers", type=int, default=plan.watchers, metavar="N", help="(%(default)s)")
    add(
        "--operations",
        type=int,
        default=plan.operations,
        metavar="N",
        help="operations of all clients, about (%(default)s)",
    )
    add(
        "--pause",
        type=float,
        default=plan.fault_s,
        metavar="SECONDS",
        help="between two faults, on average (%(default)s)",
    )
    add("--calm", action="store_true", help="no faults")
    add(
        "--old-disks",
        action="store_true",
        help="nodes also come back with an older copy of their disk",
    )
    add("--liars", type=int, default=0, metavar="N", help="further nodes that lie (0)")
    add(
        "--without",
        default="",
        metavar="LIST",
        help="safeguards to turn off, of " + ", ".join(SAFEGUARDS),
    )
    add("--jobs", type=int, default=1, metavar="N", help="processes (1)")
    add("--history", type=Path, metavar="FILE", help="where to write the last run's history")
    return parser


def planned(options: argparse.Namespace) -> Plan:
    """Return the plan that the command line asks for.

    :raises ConfigError: it makes no sense; the text says why.
    """
    words = [word.strip() for word in options.without.split(",") if word.strip()]
    for word in words:
        if word not in SAFEGUARDS:
            raise ConfigError(f"no safeguard is called {word!r}; there are {', '.join(SAFEGUARDS)}")
    for name in ("seeds", "keys", "clients", "operations", "jobs", "founders"):
        if getattr(options, name) < 1:
            raise ConfigError(f"--{name} must be at least 1")
    if options.watchers < 0:
        raise ConfigError("--watchers must be at least 0")
    if options.founders > min(options.nodes, 9):
        raise ConfigError("--founders must be at most --nodes, and at most 9")
    if options.slots not in [1 << power for power in range(13)]:
        raise ConfigError("--slots must be a power of two from 1 to 4096")
    if not 0 <= options.liars <= MOST_LIARS:
        raise ConfigError(f"--liars must be from 0 to {MOST_LIARS}")
    if not options.pause > 0:
        raise ConfigError("--pause must be more than 0")
    return Plan(
        nodes=options.nodes,
        founders=options.founders,
        slots=options.slots,
        keys=options.keys,
        clients=options.clients,
        watchers=options.watchers,
        operations=options.operations,
        fault_s=options.pause,
        quiet=options.calm,
        old_disks=options.old_disks,
        liars=options.liars,
        safeguards=StoreSafeguards(**dict.fromkeys(words, False)),
    )


def _runs(options: argparse.Namespace, plan: Plan) -> Iterable[Report]:
    seeds = range(options.first, options.first + options.seeds)
    if options.jobs == 1:
        yield from map(partial(run, plan=plan), seeds)
        return
    with worker_context().Pool(options.jobs) as pool:
        yield from pool.imap(partial(run, plan=plan), seeds)


def told(report: Report) -> str:
    """Return what a run came to, in one line."""
    ends = ", ".join(f"{count} {end}" for end, count in sorted(report.outcomes.items()))
    problem = f"WRONG: {report.problems[0]}; " if report.problems else ""
    return f"seed {report.seed}: {problem}{ends}; right again {report.recovered:.1f} s after faults"


def main(argv: Sequence[str], out: TextIO, err: TextIO, clock: Callable[[], float]) -> int:
    """Run the command; return its exit status.

    :param clock: seconds, for the report.
    """
    options = _parser().parse_args(argv)
    try:
        plan = planned(options)
    except ConfigError as error:
        err.write(f"{error}\n")
        return MISUSED
    began, wrong, slowest, collected = clock(), 0, 0.0, 0
    outcomes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for report in _runs(options, plan):
        if report.problems or options.seeds <= 10:
            out.write(told(report) + "\n")
            out.flush()
        wrong += bool(report.problems)
        slowest = max(slowest, report.recovered)
        collected += report.collected
        outcomes += report.outcomes
        faults += report.faults
        if options.history is not None:
            options.history.write_bytes(b"".join(map(line_of, report.history)))
    revisions = outcomes.pop("told", 0)
    for what, counts in (("operations", outcomes), ("faults", faults)):
        parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        out.write(f"{counts.total()} {what}: {parts or 'none'}\n")
    out.write(f"{collected} records without a value collected\n")
    out.write(f"{revisions} revisions told to clients that watch\n")
    out.write(
        f"{options.seeds} runs, {wrong} of them wrong; right again {slowest:.1f} s after the"
        f" faults at the latest; {clock() - began:.0f} s\n"
    )
    return BROKEN if wrong else GOOD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr, time.monotonic))
