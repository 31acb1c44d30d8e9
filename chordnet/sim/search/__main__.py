"""Search every interleaving on a tiny ring: ``python -m chordnet.sim.search --nodes 5``.

Exit status: 0 when every reachable state was seen and all is well, 1 when something is broken (the
history is printed), 2 for bad arguments, 3 when the limit on states was reached first.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

import attrs

from chordnet.core.base.config import Safeguards
from chordnet.core.base.errors import ConfigError
from chordnet.sim.search.cell import LIVES
from chordnet.sim.search.explore import Fault, Plan, Search
from chordnet.sim.search.judge import Property
from chordnet.sim.search.step import Grain
from chordnet.sim.search.story import told
from chordnet.sim.search.telling import MISUSED, progress, report

SAFEGUARDS = [field.name for field in attrs.fields(Safeguards)]
PROPERTIES = [p.name.lower() for p in Property]


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chordnet.sim.search",
        description="Try every interleaving of events in a tiny Chord ring.",
    )
    add = parser.add_argument
    add("--nodes", type=int, default=4, metavar="N", help="identifiers on the ring (4)")
    add("--bits", type=int, default=4, metavar="M", help="bits of an identifier (4)")
    add("--successors", type=int, default=2, metavar="R", help="length of successor lists (2)")
    add("--first", type=int, metavar="N", help="members at the beginning (r + 1)")
    add(
        "--grain",
        choices=[g.name.lower() for g in Grain],
        default="notification",
        help="how much happens in one step (notification)",
    )
    add(
        "--faults",
        default="join,fail,leave",
        metavar="LIST",
        help="faults that may happen, of join, fail, leave (all)",
    )
    add(
        "--lives",
        type=int,
        default=2,
        metavar="N",
        help="incarnations of one identifier named at the same time (2)",
    )
    add(
        "--lose-base",
        action="store_true",
        help="assume only that no node is left without a live successor",
    )
    _add_judgement(add)
    add("--quiet", action="store_true", help="no progress")
    return parser


def _add_judgement(add: Callable[..., object]) -> None:
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
        help="properties to check (all), of " + ", ".join(PROPERTIES),
    )
    add(
        "--max-states",
        type=int,
        default=10_000_000,
        metavar="N",
        help="give up beyond so many states (10000000)",
    )


def _one_of(kind: str, words: Sequence[str], known: Sequence[str]) -> list[str]:
    for word in words:
        if word not in known:
            raise ConfigError(f"no {kind} is called {word!r}; there are {', '.join(known)}")
    return list(words)


def planned(options: argparse.Namespace) -> Plan:
    """Return the plan that the command line asks for.

    :raises ConfigError: it is not a possible plan; the text says why.
    """
    first = options.successors + 1 if options.first is None else options.first
    if not 3 <= options.bits <= 256:
        raise ConfigError(f"--bits must be from 3 to 256, not {options.bits}")
    if not 2 <= options.nodes <= 1 << options.bits:
        raise ConfigError(f"--nodes must be from 2 to 2**bits = {1 << options.bits}")
    if not 1 <= first <= options.nodes:
        raise ConfigError(f"--first must be from 1 to {options.nodes}, the number of nodes")
    if options.successors < 1:
        raise ConfigError("--successors must be at least 1")
    if not 1 <= options.lives < LIVES:
        raise ConfigError(f"--lives must be from 1 to {LIVES - 1}")
    faults = _one_of("fault", _words(options.faults), [f.value for f in Fault])
    off = _one_of("safeguard", _words(options.without), SAFEGUARDS)
    wanted = _one_of("property", _words(options.check), PROPERTIES) or PROPERTIES
    return Plan(
        nodes=options.nodes,
        bits=options.bits,
        successors=options.successors,
        first=first,
        grain=Grain[options.grain.upper()],
        lives=options.lives,
        faults=frozenset(Fault(fault) for fault in faults),
        keep_base=not options.lose_base,
        safeguards=attrs.evolve(Safeguards(), **dict.fromkeys(off, False)),
        wanted=frozenset(Property[name.upper()] for name in wanted),
        max_states=options.max_states,
    )


def main(argv: Sequence[str], out: TextIO, err: TextIO, clock: Callable[[], float]) -> int:
    """Run the command; return its exit status.

    :param clock: returns seconds, for the progress and the report.
    """
    try:
        options = _parser().parse_args(argv)
        plan = planned(options)
        began = clock()
        search = Search(plan) if options.quiet else Search(plan, progress(began, err, clock))
        verdict = search.run()
    except ConfigError as error:
        err.write(f"{error}\n")
        return MISUSED
    seconds, story = clock() - began, told(search, verdict)
    return report(verdict, seconds, out, "node", "--max-states", story)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr, time.monotonic))
