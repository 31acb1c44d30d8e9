"""A network that is parted for five minutes, with writes on both sides."""

from __future__ import annotations

from chordnet.core.store.base import outcomes as end
from chordnet.sim.store.stage import Failed, Scenario, Stage

KEYS = [f"k{number}" for number in range(16)]


def _play(stage: Stage) -> None:
    for key in KEYS:
        stage.put("n0", key, "before")
    left, right = ["n0", "n1", "n2"], ["n3", "n4", "n5"]
    stage.world.partition(left, right)
    stage.say(f"{', '.join(left)} and {', '.join(right)} are parted")
    stage.wait(30.0)
    writers: dict[str, list[str]] = {key: [] for key in KEYS}
    for round_ in range(5):
        for key in KEYS:
            for side in (left, right):
                node = side[round_ % 3]
                outcome = stage.outcome(stage.ask(node, stage.write(key, f"of {side[0]}")))
                if isinstance(outcome, end.Done):
                    writers[key].append(side[0])
                elif not isinstance(outcome, end.Unavailable | end.Unconfirmed):
                    raise Failed(f"{key} at {node}: {outcome}")
    sides = {key: set(found) for key, found in writers.items()}
    counts = [sum(side[0] in found for found in sides.values()) for side in (left, right)]
    stage.check(
        all(len(found) <= 1 for found in sides.values()), "no key was written on both sides"
    )
    stage.check(
        all(found for found in sides.values()),
        f"each key was written on one: {counts[0]} on the left, {counts[1]} on the right",
    )
    stage.world.heal()
    stage.wait(20.0)
    stage.settle()
    for key in KEYS:
        (writer,) = sides[key]
        if stage.everywhere(key).value != f"of {writer}".encode():
            stage.check(False, f"{key} has what its side has written")
    stage.check(True, "after the split each key has what was confirmed; nothing was merged")


SCENARIO = Scenario(
    "split-merged",
    "hazelcast#11542",
    "Both halves of a parted cluster went on and took all keys over. When they met again the "
    "smaller half threw its data away and gave it to the other to merge, and part of it was "
    "lost.",
    "A key is usable on the side that has the majority of its members, and on no other: the "
    "other side is told that it is unavailable. So there are never two states to merge.",
    _play,
    nodes=6,
)
