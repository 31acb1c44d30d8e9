"""Every node in turn comes back with an empty disk, and nobody reads the keys."""

from __future__ import annotations

from chordnet.sim.store.stage import Scenario, Stage, some

KEYS = [f"k{number}" for number in range(40)]


def _play(stage: Stage) -> None:
    for number, key in enumerate(KEYS):
        stage.put(some(stage.names, number), key, key)
    stage.say(f"{len(KEYS)} keys are written, and never read")
    for name in sorted(stage.names):
        stage.world.kill(name)
        stage.wait(1.0)
        stage.world.restart(name, wiped=True)
        stage.settle()
        stage.say(f"{name} was replaced by one with an empty disk; every slot has its members")
    copies = [stage.copies(key, key) for key in KEYS]
    stage.check(min(copies) >= 2, f"each key is on {min(copies)} of its disks or more, unread")
    stage.wait(120.0)
    copies = [stage.copies(key, key) for key in KEYS]
    stage.check(set(copies) == {3}, "two minutes later each is on three")
    found = [stage.everywhere(key) for key in KEYS]
    stage.check(
        [content.value for content in found] == [key.encode() for key in KEYS],
        "all are read through every node, as they were written",
    )


SCENARIO = Scenario(
    "rolling-update",
    "olric#55",
    "Copies were only made again when a key was read. In a rolling update the nodes were "
    "replaced one by one, and keys that were seldom read were gone after the last one.",
    "A node that lost its disk is another member. The slot gets a new epoch with it, and before "
    "it counts for anything it has installed all keys of the slot. The next node is stopped "
    "when every slot has all its members, which `p2pnet store` and the doctor tell.",
    _play,
)
