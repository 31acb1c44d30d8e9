"""A write that reaches one member long after the key was deleted."""

from __future__ import annotations

from chordnet.sim.store.stage import Scenario, Stage

KEY = "k"


def _play(stage: Stage) -> None:
    members, (writer, *_) = stage.members(KEY), stage.others(KEY)
    late = members[-1]
    stage.say(f"{KEY} is held by {', '.join(members)}; what {writer} says to {late} is kept back")
    stage.world.slow.add((writer, late))
    version = stage.put(writer, KEY, "v")
    stage.say(f"{writer} has written v; {late} has not heard of it")
    gone = stage.put(members[0], KEY, None)
    stage.check(gone > version, f"{KEY} is deleted, as version {gone}")
    # Long enough for repairs, and for the tombstone to be collected where that is done.
    stage.wait(300.0)
    left = [stage.on_disk(name, KEY) for name in members]
    count = sum(content is not None for content in left)
    stage.say(f"five minutes later {count} of {len(members)} members have a record of the delete")
    letters = stage.world.let_go()
    stage.check(letters > 0, f"the {letters} letters that were kept back arrive at {late} now")
    stage.wait(1.0)
    held = stage.on_disk(late, KEY)
    stage.check(held is None or held.value is None, f"{late} does not take them")
    stage.wait(120.0)
    found = stage.everywhere(KEY)
    stage.check(found.value is None, f"{KEY} is absent through every node")
    version = stage.put(late, KEY, "new")
    stage.check(version > gone, f"what is written next is version {version}, above the delete's")


SCENARIO = Scenario(
    "hint-replayed",
    "scylladb#23712",
    "A node kept a hint, a write for a replica that was down. The replica came back, the row "
    "was deleted, a repair allowed the tombstone to be dropped, and then the hint was replayed: "
    "no tombstone was left to shadow it, and the deleted row was back.",
    "A write carries its ballot, and the delete was promised under a higher one. A member takes "
    "nothing below what it has promised, however late it comes; where the record of the delete "
    "is dropped, the slot's floor keeps that promise.",
    _play,
)
