"""One write that two nodes coordinate at the same time."""

from __future__ import annotations

from chordnet.core.store.base import outcomes as end
from chordnet.core.store.base.requests import Put
from chordnet.sim.store.stage import Failed, Scenario, Stage

KEY = "k"


def _unconfirmed(stage: Stage, node: str, members: list[str]) -> tuple[int, Put, end.Unconfirmed]:
    """Have a write end so that nobody knows whether it was done.

    Return the version before it, the write, and what its client was told.
    """
    for delay in range(40):
        version = stage.put(node, KEY, "before")
        asked = stage.write(KEY, "once")
        asking = stage.ask(node, asked)
        stage.wait(delay * 0.0005)
        stage.world.slow |= {(node, member) for member in members}
        stage.world.slow |= {(member, node) for member in members}
        outcome = stage.outcome(asking)
        if isinstance(outcome, end.Unconfirmed):
            return version, asked, outcome
        stage.world.let_go()
        stage.wait(1.0)
    raise Failed("no write is unconfirmed")


def _play(stage: Stage) -> None:
    members = stage.members(KEY)
    first, second = stage.others(KEY)[:2]
    version, asked, outcome = _unconfirmed(stage, first, members)
    stage.say(f"{first} has asked {', '.join(members)} to take a value; that is kept back")
    stage.say(f"its client is told: unconfirmed, since version {outcome.since}")
    retried = stage.retry(second, asked, outcome)
    stage.world.let_go()
    stage.say(f"{second} is asked for the same write, and the letters of {first} arrive as well")
    done = stage.outcome(retried)
    stage.check(isinstance(done, end.Done), "the second coordinator has it done")
    stage.wait(30.0)
    found = stage.everywhere(KEY)
    stage.check(found.value == b"once", f"{KEY} has the value")
    stage.check(found.version == version + 1, f"it was done once: version {found.version}")
    requests = [each.request for each in found.requests]
    stage.check(requests.count(asked.request) == 1, "the record names the request once")


SCENARIO = Scenario(
    "put-coordinated-twice",
    "riak_kv#1046",
    "A put reached a node that was handing its partition off and was forwarded with the order "
    "to coordinate it, so that two nodes did; the one write became two siblings, and each read "
    "and write of a correct client made more of them.",
    "A write has a name, its request, and the record keeps the last sixteen of them. A second "
    "coordinator that finds the request in the record has nothing to write. If both are under "
    "way, ballots put one before the other, and the later one finds what the earlier one did.",
    _play,
)
