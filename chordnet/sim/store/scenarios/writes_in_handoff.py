"""Writes, one after another, while many slots move at the same time."""

from __future__ import annotations

from functools import partial

from chordnet.core.store.base import outcomes as end
from chordnet.sim.store.stage import Scenario, Stage, some

KEYS = [f"k{number}" for number in range(12)]


def _join(stage: Stage, name: str) -> None:
    stage.world.start(name)


def _play(stage: Stage) -> None:
    stage.say("three nodes join, one leaves and one is killed, one after the other")
    for number, name in enumerate(("n7", "n8", "n9")):
        stage.world.at(stage.world.now + 2.0 * number, partial(_join, stage, name))
    stage.world.at(stage.world.now + 3.0, lambda: stage.world.vacate("n4"))
    stage.world.at(stage.world.now + 9.0, lambda: stage.world.kill("n0"))
    last: dict[str, tuple[int, str]] = {}
    ends: dict[str, int] = {}
    for number in range(600):
        key, value = KEYS[number % len(KEYS)], f"v{number}"
        names = [name for name in stage.names if name != "n0"]
        outcome = stage.outcome(stage.ask(some(names, number), stage.write(key, value)))
        ends[type(outcome).__name__] = ends.get(type(outcome).__name__, 0) + 1
        if isinstance(outcome, end.Done):
            last[key] = outcome.version, value
        stage.wait(0.05)
    told = ", ".join(f"{count} {name.lower()}" for name, count in sorted(ends.items()))
    stage.check(ends["Done"] > 500, f"of 600 writes meanwhile: {told}")
    stage.settle()
    for key, (version, value) in last.items():
        found = stage.everywhere(key)
        kept = found.version > version or found.value == value.encode()
        if found.version < version or not kept:
            stage.check(False, f"{key} has its last confirmed write, version {version}")
    stage.check(True, "every key has its last confirmed write, or a later one, through every node")


SCENARIO = Scenario(
    "writes-in-handoff",
    "riak_kv#1754",
    "Under heavy hand-off of partitions, writes that had been confirmed a moment before were "
    "lost: a request was forwarded by one node to a second and by that one to a third, the "
    "first took the silence for a failure and had the write done again, later, over newer ones.",
    "Whoever coordinates asks the members themselves. A member that has moved on says so, and "
    "the write begins again in the later epoch, with a higher ballot and under the same "
    "request, so that it is done once. What a majority has confirmed is part of every later "
    "epoch.",
    _play,
)
