"""The stage of a told scenario: a store in virtual time, done to and asked step by step.

Each step is told with its virtual time. What has to hold is stated where it has to hold, and at the
end the history of all that was asked is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

import attrs

from chordnet.core.store.base import outcomes as end
from chordnet.core.store.base.founding import Slots
from chordnet.core.store.base.records import Content
from chordnet.core.store.base.requests import Get, Put
from chordnet.judge.store.anomalies import Verdict
from chordnet.judge.store.check import check_history
from chordnet.judge.store.history import Operation
from chordnet.sim.store.clients import again, recorded
from chordnet.sim.store.world import StoreWorld

TIMEOUT_S = 4.0
"""For which a node tries to do what it is asked for."""
BEGUN_S = 5.0
"""A node that was started can be asked within this time."""
PLACED_S = 30.0
SETTLE_S = 90.0
"""Every slot has to have all its members again within this time."""


class Failed(Exception):
    """What had to hold did not; the text says what."""


@attrs.frozen
class Scenario:
    """Something that went wrong in another system, played on this one."""

    name: str
    source: str
    """Where it is told: project#issue, or the project."""
    there: str
    """What happened there."""
    here: str
    """What happens here, and why."""
    play: Callable[[Stage], None]
    nodes: int = 5
    founders: int = 3
    slots: int = 4


class Asked:
    """One operation under way."""

    def __init__(self) -> None:
        self.outcome: end.Outcome | None = None


class Stage:
    """A store that is in step, and what happens to it.

    :param say: is told each step, a line each.
    """

    def __init__(
        self, scenario: Scenario, seed: int = 1, say: Callable[[str], None] = lambda line: None
    ) -> None:
        names = [f"n{k}" for k in range(scenario.nodes)]
        self.world = StoreWorld(seed, tuple(names[: scenario.founders]), slots=scenario.slots)
        self.history: list[Operation] = []
        self._line = say
        self._numbers = count(1)
        for name in names:
            self.world.start(name)
        self.settle()
        # Until the slots, which are empty, are with the nodes that should hold them.
        self.wait(PLACED_S)
        self.settle()

    # ---- telling ----------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Tell what happens now."""
        self._line(f"{self.world.now:9.1f} s  {text}")

    def check(self, held: bool, text: str) -> None:
        """State what has to hold now.

        :raises Failed: it does not.
        """
        if not held:
            raise Failed(f"at {self.world.now:.1f} s it does not hold that {text}")
        self.say(f"so {text}")

    # ---- time -------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run(seconds)

    def settle(self) -> None:
        """Wait until every slot has all its members.

        :raises Failed: it does not come to that in time.
        """
        if not self.world.run(SETTLE_S, lambda: not any(self.world.out_of_step()), poll=0.1):
            lacking = "; ".join(list(self.world.out_of_step())[:3])
            raise Failed(f"the store is not in step {SETTLE_S:g} s later: {lacking}")

    # ---- clients ----------------------------------------------------------------------------

    def ask(self, node: str, asked: Get | Put) -> Asked:
        """Have a node do something; it is under way until time passes."""
        process = self.world.processes[node]
        self.world.run(BEGUN_S, lambda: process.node.founding is not None)
        client, began, asking = f"c{next(self._numbers)}", self.world.now, Asked()

        def done(outcome: end.Outcome) -> None:
            asking.outcome = outcome
            known = None if isinstance(outcome, end.Unconfirmed) else outcome
            self.history.append(recorded(client, asked, began, self.world.now, known))

        if not self.world.ask(node, asked, TIMEOUT_S, done):
            raise Failed(f"{node} cannot be asked")
        return asking

    def outcome(self, asking: Asked) -> end.Outcome:
        """Wait for the end of an operation, and return it."""
        self.world.run(TIMEOUT_S + 1.0, lambda: asking.outcome is not None)
        if asking.outcome is None:
            raise Failed("an operation has no end")
        return asking.outcome

    def write(
        self,
        key: str,
        value: str | None,
        *,
        expires: float | None = None,
        if_version: int | None = None,
    ) -> Put:
        """Return a write with a request of its own."""
        request = f"w{next(self._numbers)}".encode()
        return Put(
            key.encode(), None if value is None else value.encode(), request, if_version, expires
        )

    def put(self, node: str, key: str, value: str | None) -> int:
        """Write a key, or delete it; return its version.

        :raises Failed: that is not confirmed.
        """
        outcome = self.outcome(self.ask(node, self.write(key, value)))
        if not isinstance(outcome, end.Done):
            raise Failed(f"{key} is not written by {node}: {outcome}")
        return outcome.version

    def get(self, node: str, key: str) -> Content:
        """Read a key.

        :raises Failed: it cannot be read.
        """
        outcome = self.outcome(self.ask(node, Get(key.encode())))
        if not isinstance(outcome, end.Found):
            raise Failed(f"{key} is not read by {node}: {outcome}")
        return outcome.content

    def everywhere(self, key: str) -> Content:
        """Read a key through every node; return what all of them find.

        :raises Failed: they find different things.
        """
        found = {process.name: self.get(process.name, key) for process in self.world.live()}
        states = {(content.version, content.value) for content in found.values()}
        if len({value for _, value in states}) != 1:
            raise Failed(f"{key} differs from node to node: {found}")
        return max(found.values(), key=lambda content: content.version)

    def retry(self, node: str, asked: Put, unconfirmed: end.Unconfirmed) -> Asked:
        """Ask another node for a write that is unconfirmed."""
        return self.ask(node, again(asked, unconfirmed.since))

    # ---- what is where ----------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The nodes that run."""
        return [process.name for process in self.world.live()]

    def members(self, key: str) -> list[str]:
        """Return the nodes that hold a key, as its slot's newest configuration names them."""
        slot = self._slot(key)
        listed = next(each for each in self.world.newest() if each.slot == slot)
        return [member.node for member in listed.configuration.members]

    def others(self, key: str) -> list[str]:
        """Return the nodes that run and do not hold a key."""
        return [name for name in self.names if name not in self.members(key)]

    def on_disk(self, name: str, key: str) -> Content | None:
        """Return what a node has of a key on its disk; None if it has no record."""
        records = self.world.processes[name].disk.records.get(self._slot(key), {})
        record = records.get(key.encode())
        return None if record is None else record.content

    def _slot(self, key: str) -> int:
        return Slots(self.world.bits, self.world.slots).of(key.encode())

    def copies(self, key: str, value: str) -> int:
        """Return on how many disks of its members a key has this value."""
        held = (self.on_disk(name, key) for name in self.members(key))
        return sum(content is not None and content.value == value.encode() for content in held)

    # ---- the end ----------------------------------------------------------------------------

    def judge(self) -> None:
        """Judge all that was asked.

        :raises Failed: it cannot all be true.
        """
        found = check_history(sorted(self.history, key=lambda operation: operation.call))
        if found.verdict is not Verdict.RIGHT:
            raise Failed(f"the history is {found.verdict}")
        self.say(f"all {len(self.history)} answers fit one order of events for each key")


def played(
    scenario: Scenario, seed: int = 1, say: Callable[[str], None] = lambda line: None
) -> Stage:
    """Play a scenario to its end.

    :raises Failed: something did not hold.
    """
    stage = Stage(scenario, seed, say)
    scenario.play(stage)
    stage.judge()
    return stage


def some(names: Iterable[str], number: int) -> str:
    """Return one of the names, another for the next number."""
    each = sorted(names)
    return each[number % len(each)]
