"""Deletes while the keys move to other nodes."""

from __future__ import annotations

from chordnet.sim.store.stage import Scenario, Stage, some

KEYS = [f"k{number}" for number in range(24)]


def _play(stage: Stage) -> None:
    for number, key in enumerate(KEYS):
        stage.put(some(stage.names, number), key, f"v{number}")
    leaver = stage.members(KEYS[0])[0]
    stage.say(f"{len(KEYS)} keys are written; {leaver} is told to leave, and a node joins")
    stage.world.start("n9")
    stage.world.vacate(leaver)
    moved = [key for key in KEYS if leaver in stage.members(key)]
    stage.check(bool(moved), f"{len(moved)} of the keys have to move away from {leaver}")
    for number, key in enumerate(KEYS):
        stage.put(some(stage.names, number), key, None)
    stage.say("all keys are deleted meanwhile")
    gone = stage.world.run(60.0, lambda: not stage.world.processes[leaver].node.seats, poll=0.1)
    stage.check(gone, f"no slot needs {leaver} any more")
    stage.world.kill(leaver)
    stage.settle()
    absent = all(stage.everywhere(key).value is None for key in KEYS)
    stage.check(absent, "all keys are absent through every node")
    held = [stage.on_disk(name, key) for key in KEYS for name in stage.members(key)]
    values = sum(content is not None and content.value is not None for content in held)
    stage.check(values == 0, "no member of any slot has a value on its disk")


SCENARIO = Scenario(
    "delete-in-handoff",
    "riak_kv#1850",
    "While a partition was handed off, deletes were done by the old owner and not forwarded to "
    "the new one, so that the new owner kept what the old one had removed.",
    "A delete is a write like any other, and needs a majority of the members of one epoch. The "
    "next epoch begins with what a sealed majority of the one before has, so a delete that was "
    "confirmed is part of it, and one that comes later goes to the new members.",
    _play,
)
