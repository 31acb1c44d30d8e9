"""All nodes restart, one right after the other."""

from __future__ import annotations

from chordnet.sim.store.stage import Scenario, Stage

KEYS = [f"k{number}" for number in range(10)]


def _play(stage: Stage) -> None:
    for key in KEYS:
        stage.put("n0", key, f"value of {key}")
    stage.say(f"{len(KEYS)} keys are on two nodes, which need both of them")
    for name in ("n1", "n0"):
        stage.world.kill(name)
        stage.world.restart(name)
        stage.say(f"{name} is restarted")
        stage.wait(0.2)
    stage.settle()
    for key in KEYS:
        if stage.everywhere(key).value != f"value of {key}".encode():
            stage.check(False, f"{key} is there")
    stage.check(True, "all keys are there, through both nodes")
    stage.world.kill("n1")
    stage.world.kill("n0")
    stage.world.restart("n0")
    stage.wait(5.0)
    stage.say("both are stopped, and one is back")
    asked = stage.outcome(stage.ask("n0", stage.write(KEYS[0], "new")))
    stage.check(type(asked).__name__ == "Unavailable", "one of two does not decide alone")
    stage.world.restart("n1")
    stage.settle()
    found = stage.everywhere(KEYS[0])
    stage.check(found.value == b"value of k0", "with both, the value is there again")


SCENARIO = Scenario(
    "fast-restart",
    "olric#225",
    "Two nodes kept two copies in memory. The one restarted, and before it had got its copies "
    "back the other restarted as well: the key was gone, and no error said so.",
    "A member is a disk. One that restarts has what it had promised and accepted, and needs "
    "nothing from the others before it answers. With two nodes both are needed, so that one "
    "alone says that the key is unavailable, and never that it is not there.",
    _play,
    nodes=2,
    founders=2,
)
