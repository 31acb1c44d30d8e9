"""Play scenarios of the store: ``python -m chordnet.sim.store.scenarios [NAME…]``.

Exit status: 0 when all went as they should, 1 when one did not, 2 for bad arguments.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

from chordnet.sim.store.scenarios import (
    back_from_the_dead,
    churn_decay,
    delete_in_handoff,
    expiry_republished,
    fast_restart,
    hint_replayed,
    put_twice,
    rolling_update,
    split_merged,
    writes_in_handoff,
)
from chordnet.sim.store.stage import Failed, Scenario, played

MODULES = (
    hint_replayed,
    delete_in_handoff,
    writes_in_handoff,
    put_twice,
    fast_restart,
    rolling_update,
    split_merged,
    churn_decay,
    back_from_the_dead,
    expiry_republished,
)
SCENARIOS: dict[str, Scenario] = {m.SCENARIO.name: m.SCENARIO for m in MODULES}
GOOD, BROKEN, MISUSED = 0, 1, 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chordnet.sim.store.scenarios",
        description="Play on this store what went wrong in others, in virtual time.",
        epilog="example: python -m chordnet.sim.store.scenarios hint-replayed",
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="of " + ", ".join(SCENARIOS) + " (all)")
    add("--list", action="store_true", help="only tell which there are")
    add("--seed", type=int, default=1, metavar="N", help="of all that is random (1)")
    return parser


def main(argv: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(argv)
    for name in options.names:
        if name not in SCENARIOS:
            err.write(f"no scenario is called {name!r}; there are {', '.join(SCENARIOS)}\n")
            return MISUSED
    chosen = [SCENARIOS[name] for name in options.names or SCENARIOS]
    if options.list:
        for scenario in chosen:
            out.write(f"{scenario.name:24}{scenario.source}\n")
        return GOOD
    return play_all(chosen, options.seed, out)


def play_all(chosen: Sequence[Scenario], seed: int, out: TextIO) -> int:
    """Play scenarios one after the other; return the exit status."""
    failed = 0
    for scenario in chosen:
        out.write(f"{scenario.name} ({scenario.source})\n")
        for label, text in (("There: ", scenario.there), ("Here:  ", scenario.here)):
            out.write(textwrap.fill(text, 98, initial_indent=label, subsequent_indent="       "))
            out.write("\n")
        try:
            played(scenario, seed, lambda line: print(line, file=out))
        except Failed as problem:
            failed += 1
            out.write(f"FAILED: {problem}\n")
        out.write("\n")
    return BROKEN if failed else GOOD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
