"""Values that expire, while their copies are made again and again."""

from __future__ import annotations

from chordnet.core.store.base import outcomes as end
from chordnet.sim.store.stage import Failed, Scenario, Stage

KEYS = [f"k{number}" for number in range(8)]
LIFE_S = 100.0


def _play(stage: Stage) -> None:
    ends = stage.world.now + LIFE_S
    for key in KEYS:
        asked = stage.write(key, "v", expires=ends)
        outcome = stage.outcome(stage.ask("n1", asked))
        if not isinstance(outcome, end.Done):
            raise Failed(f"{key}: {outcome}")
    stage.say(f"{len(KEYS)} keys are written, to last until {ends:.0f} s")
    for number in range(3):
        stage.world.start(f"n{7 + number}")
        stage.world.kill(f"n{number + 2}")
        stage.wait(16.0)
        stage.settle()
        stage.say(f"n{number + 2} has died, n{7 + number} has joined; the keys were copied again")
    stage.check(stage.world.now < ends - 10.0, "their time is not over yet")
    found = [stage.everywhere(key) for key in KEYS]
    stage.check(all(content.value == b"v" for content in found), "all are there")
    stage.check({content.expires for content in found} == {ends}, "they end when they ever did")
    stage.wait(ends - stage.world.now + 0.1)
    found = [stage.everywhere(key) for key in KEYS]
    stage.check(all(content.value is None for content in found), "then all are gone, everywhere")


SCENARIO = Scenario(
    "expiry-republished",
    "kademlia#104",
    "Nodes published what they held anew every hour, and each copy counted its time from when "
    "it came. Values whose time to live was longer than that never expired.",
    "The time at which a value ends is part of its content, and is the same in every copy. To "
    "copy, to repair and to install it change nothing. When a majority of clocks is past it, a "
    "tombstone with a version of its own is written.",
    _play,
)
