"""Search every interleaving of recoveries of one slot with one key.

``python -m chordnet.sim.generations put@A/AB,recover@C,recover@B,put@A``

Jobs are ``put@A`` and ``get@A`` at a node, ``put@A/AB``, which was done before and which A and B
have taken, ``recover@A``, ordered at A, ``change@A``, by which A proposes the same members again,
and ``change@A:CD``, by which it proposes D in place of C. Whom a coordinator hears is open, so
every disk may be lost, cut off, or late; each promise and each acceptance of a recovery arrives by
itself, at any time, often or never, and its answer may be lost, and so does each vote for a change
and each installation. With ``--behind C`` the slot has come to its second epoch, and C has not
installed that. The real classes are run, as in the search of ``chordnet.sim.slots``.

Exit status: 0 when every reachable state was seen and all is well, 1 when something is broken (the
history is printed), 2 for bad arguments, 3 when the limit was reached first.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import TextIO

from chordnet.core.base.errors import ConfigError
from chordnet.sim.generations.plan import NAMES, BrokenError, Job, Plan, State, Verdict
from chordnet.sim.generations.world import World

_JOB = re.compile(r"(put|get|recover|change)@([A-D])(?:/([A-D]+)|:([A-D]{2}))?")


def search(plan: Plan) -> Verdict:
    """Try everything, breadth first, so that a history that is found is one of the shortest."""
    world = World(plan)
    first = world.tidied(world.beginning())
    came: dict[State, tuple[State | None, str]] = {first: (None, "")}
    level, depth, steps = [first], 0, 0
    while level:
        depth += 1
        following: list[State] = []
        for state in level:
            try:
                for text, after in world.steps(state):
                    steps += 1
                    new = world.tidied(after)
                    if new not in came:
                        came[new] = state, text
                        following.append(new)
            except BrokenError as error:
                return Verdict(
                    len(came), steps, depth, error.lacking, str(error), _way(came, state), False
                )
            if len(came) > plan.max_states:
                return Verdict(len(came), steps, depth, complete=False)
        level = following
    return Verdict(len(came), steps, depth)


def _way(came: dict[State, tuple[State | None, str]], state: State) -> tuple[str, ...]:
    texts: list[str] = []
    at: State | None = state
    while at is not None:
        at, text = came[at]
        texts.append(text)
    return tuple(texts[-2::-1])


def planned(words: Sequence[str]) -> Plan:
    """Return the plan that the command line asks for.

    :raises ConfigError: it makes no sense.
    """
    parser = argparse.ArgumentParser(
        prog="python -m chordnet.sim.generations",
        description="Try every interleaving of recoveries of one slot.",
    )
    add = parser.add_argument
    add("jobs", nargs="?", default="put@A/AB,recover@B,recover@C", help="what is done")
    add("--nodes", type=int, default=3, metavar="N", help="nodes that keep a store (3)")
    add("--behind", default="", metavar="NODES", help="members that lack the second epoch")
    add("--without-promises", action="store_true", help="disks forget what they promised")
    add("--max-states", type=int, default=1_000_000, metavar="N", help="a limit (1000000)")
    options = parser.parse_args(words)
    names = NAMES[: options.nodes]
    if not 3 <= options.nodes <= len(NAMES):
        raise ConfigError(f"there must be 3 to {len(NAMES)} nodes")
    found = []
    for word in filter(None, (word.strip() for word in options.jobs.split(","))):
        match = _JOB.fullmatch(word)
        kind, *at = ("", "") if match is None else [each or "" for each in match.groups()]
        if match is None or set("".join(at)) - set(names):
            raise ConfigError(f"{word!r} is no job of {names}; there are put@A, get@B, recover@C")
        found.append(Job(kind, *at))
    if set(options.behind) - set(names[:3]):
        raise ConfigError(f"--behind takes members, which are {names[:3]}")
    return Plan(
        jobs=tuple(found),
        nodes=options.nodes,
        behind=options.behind,
        promises=not options.without_promises,
        max_states=options.max_states,
    )


def main(words: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run the command; return its exit status."""
    try:
        plan = planned(words)
    except ConfigError as error:
        err.write(f"{error}\n")
        return 2
    verdict = search(plan)
    for number, text in enumerate(verdict.history, 1):
        out.write(f"{number}. {text}\n")
    if verdict.broken is not None:
        out.write(f"{verdict.broken.value} does not hold: {verdict.text}\n")
    seen = "every reachable state" if verdict.complete else "not all states"
    out.write(
        f"{verdict.states} states, {verdict.steps} steps tried, {verdict.depth} deep: {seen}\n"
    )
    if verdict.broken is not None:
        return 1
    return 0 if verdict.complete else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
