"""A node that was away for long comes back with what was deleted meanwhile."""

from __future__ import annotations

from chordnet.sim.store.stage import Scenario, Stage

KEYS = [f"k{number}" for number in range(8)]
AWAY_S = 3600.0


def _play(stage: Stage) -> None:
    for key in KEYS:
        stage.put("n1", key, "v")
    stage.wait(30.0)
    sleeper = "n0"
    held = [key for key in KEYS if stage.on_disk(sleeper, key) is not None]
    stage.check(bool(held), f"{sleeper} holds {len(held)} of the keys, and is stopped")
    stage.world.kill(sleeper)
    for key in KEYS:
        stage.put("n1", key, None)
    stage.say("all keys are deleted")
    stage.world.start("n8")
    stage.world.run(AWAY_S)
    stage.say("an hour later, with another node in its seats where that was possible:")
    old = [stage.on_disk(sleeper, key) for key in held]
    values = all(each is not None and each.value == b"v" for each in old)
    stage.check(values, f"{sleeper} still has the values on its disk, and is started")
    stage.world.restart(sleeper)
    for key in KEYS:
        if stage.get(sleeper, key).value is not None:
            stage.check(False, f"{key} is absent through {sleeper}")
    stage.check(True, f"all keys are absent, asked through {sleeper} right away")
    stage.wait(180.0)
    stage.settle()
    found = [stage.everywhere(key) for key in KEYS]
    stage.check(all(content.value is None for content in found), "they stay absent everywhere")
    again = [stage.put(sleeper, key, "new") for key in KEYS]
    stage.check(min(again) >= 3, "what is written next has a version above the delete's")


SCENARIO = Scenario(
    "back-from-the-dead",
    "cassandra",
    "Tombstones are dropped after a time (ten days by default). A node that was away for longer "
    "came back with the values that had been deleted, nobody had a tombstone against them any "
    "more, and repair spread them to all.",
    "No clock decides when a tombstone goes. A member that was replaced meanwhile is in no "
    "epoch that serves, whatever it holds; one that still has its seat is given what it missed, "
    "and the delete is kept until it has it.",
    _play,
    nodes=4,
)
