"""Search every interleaving of one slot: ``python -m chordnet.sim.slots put@A,get@B,change@A:CD``.

Exit status: 0 when every reachable state was seen and all is well, 1 when something is broken (the
history is printed), 2 for bad arguments, 3 when a limit was reached first.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

import attrs

from chordnet.core.base.errors import ConfigError
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.sim.search.telling import MISUSED, progress, report
from chordnet.sim.slots.explore import Search
from chordnet.sim.slots.plan import NAMES, VISIBLE, Property, SlotPlan, jobs
from chordnet.sim.slots.story import told

SAFEGUARDS = [field.name for field in attrs.fields(StoreSafeguards)]
PROPERTIES = [p.value for p in Property]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chordnet.sim.slots",
        description="Try every interleaving of what may happen to one slot of the store.",
    )
    add = parser.add_argument
    add(
        "jobs",
        nargs="?",
        default="put@A,get@B,get@C",
        help="what is done: put, delete, create, lease or get@NODE, put@NODE/MEMBERS for a "
        "write that these have taken before, change@NODE:XY for Y in place of X, X- and -Y for one "
        "less and one more, change@NODE/X=YZ for one made before, that X has installed from Y and "
        "Z; reserve@NODE for the promise of all new keys (put@A,get@B,get@C)",
    )
    add("--nodes", type=int, default=3, metavar="N", help="nodes that keep a store (3)")
    add("--members", type=int, default=3, metavar="R", help="members at the beginning (3)")
    add("--attempts", type=int, default=1, metavar="N", help="ballots of one job (1)")
    add("--crashes", type=int, default=0, metavar="N", help="restarts with the disk kept (0)")
    add("--losses", type=int, default=0, metavar="N", help="disks lost (0)")
    add("--clocks", type=int, default=0, metavar="N", help="clocks that pass the end of leases (0)")
    add("--deadlines", action="store_true", help="writes may run out of time")
    add("--retries", action="store_true", help="and are asked for again, if they are unconfirmed")
    add("--one-round", action="store_true", help="writes have the next one of the key promised")
    add("--every-message", action="store_true", help="each message by itself; answers are lost")
    add(
        "--without",
        default="",
        metavar="LIST",
        help="safeguards to turn off, of " + ", ".join(SAFEGUARDS),
    )
    add(
        "--check",
        default="",
        metavar="LIST",
        help="properties to check (all; what clients see, if a safeguard is off), of "
        + ", ".join(PROPERTIES),
    )
    add("--max-states", type=int, default=1_000_000, metavar="N", help="a limit (1000000)")
    add("--max-depth", type=int, default=1_000, metavar="N", help="another, in steps (1000)")
    add("--quiet", action="store_true", help="no progress")
    return parser


def _known(kind: str, text: str, known: Sequence[str]) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in known:
            raise ConfigError(f"no {kind} is called {word!r}; there are {', '.join(known)}")
    return words


def planned(options: argparse.Namespace) -> SlotPlan:
    """Return the plan that the command line asks for.

    :raises ConfigError: it makes no sense; the text says why.
    """
    if not 1 <= options.members <= options.nodes <= len(NAMES):
        raise ConfigError(f"there must be 1 <= --members <= --nodes <= {len(NAMES)}")
    if options.attempts < 1:
        raise ConfigError("--attempts must be at least 1")
    found = jobs(options.jobs)
    names = NAMES[: options.nodes]
    for job in found:
        if job.named - set(names):
            raise ConfigError(f"a job names a node that is not one of {', '.join(names)}")
        seated = {*names[: options.members], job.comer} - {job.leaver}
        if {member for member, _ in job.installed} - seated:
            raise ConfigError("only members of the new configuration have installed it")
    off = _known("safeguard", options.without, SAFEGUARDS)
    wanted = [Property(word) for word in _known("property", options.check, PROPERTIES)]
    return SlotPlan(
        jobs=found,
        nodes=options.nodes,
        members=options.members,
        attempts=options.attempts,
        crashes=options.crashes,
        losses=options.losses,
        clocks=options.clocks,
        deadlines=options.deadlines,
        retries=options.retries,
        one_round=options.one_round,
        every_message=options.every_message,
        safeguards=StoreSafeguards(**dict.fromkeys(off, False)),
        wanted=frozenset(wanted) or (VISIBLE if off else frozenset(Property)),
        max_states=options.max_states,
        max_depth=options.max_depth,
    )


def main(argv: Sequence[str], out: TextIO, err: TextIO, clock: Callable[[], float]) -> int:
    """Run the command; return its exit status.

    :param clock: seconds, for the progress and the report.
    """
    try:
        options = _parser().parse_args(argv)
        plan = planned(options)
    except ConfigError as error:
        err.write(f"{error}\n")
        return MISUSED
    began = clock()
    search = Search(plan) if options.quiet else Search(plan, progress(began, err, clock))
    verdict = search.run()
    seconds, story = clock() - began, told(search, verdict)
    return report(verdict, seconds, out, "class", "a limit", story)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr, time.monotonic))
