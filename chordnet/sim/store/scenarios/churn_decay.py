"""Node after node dies for good, and new ones come."""

from __future__ import annotations

from chordnet.sim.store.stage import Scenario, Stage, some

KEYS = [f"k{number}" for number in range(20)]
ROUNDS = 18


def _play(stage: Stage) -> None:
    for number, key in enumerate(KEYS):
        stage.put(some(stage.names, number), key, key)
    first = set(stage.names)
    for number in range(ROUNDS):
        dies = sorted(stage.names, key=lambda name: int(name[1:]))[0]
        stage.world.kill(dies)
        stage.world.start(f"n{100 + number}")
        stage.wait(16.0)
        stage.settle()
    stage.say(f"{ROUNDS} times the oldest node has died for good, and a new one has joined")
    stage.check(not first & set(stage.names), "no node of the beginning is left")
    stage.wait(120.0)
    copies = [stage.copies(key, key) for key in KEYS]
    stage.check(set(copies) == {3}, "each key is on three disks")
    found = [stage.everywhere(key) for key in KEYS]
    stage.check(
        [(content.value, content.version) for content in found]
        == [(key.encode(), 1) for key in KEYS],
        "all are read through every node, with the version that they had",
    )


SCENARIO = Scenario(
    "churn-decay",
    "rings#612",
    "Values were stored at several places and never copied again. With every node that went the "
    "copies became fewer, and a value was lost when its last holder was.",
    "A dead member keeps its seat for 15 s. Then another node copies the slot, and takes the "
    "seat in a new epoch; the number of members never falls by itself.",
    _play,
)
