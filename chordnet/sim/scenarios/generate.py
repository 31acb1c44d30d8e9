"""Random scenarios: a seed makes a network, its weather and a schedule of faults.

Everything is drawn from the seed, so a seed always means the same scenario (in one version of this
program; a scenario worth keeping is kept as a file).

A scenario leaves the network a chance, and no more than that: Nodes 1 and 2 are the bootstrap peers
of all nodes and run at the end; so do all others that crashed or were frozen and not replaced.
After the last fault every rule is lifted, losses end, and there has to be one right ring within
:data:`WITHIN_S`.
"""

from __future__ import annotations

from random import Random
from typing import Any

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.sim.scenarios.scenario import Action, Scenario, name_of
from chordnet.sim.world.latency import happens

WITHIN_S = 45.0
"""Virtual seconds from the last fault to one right ring, whatever happened before."""
LATENCIES = (
    "constant 0.001",
    "uniform 0.0005 0.0015",
    "uniform 0.0001 0.02",
    "exponential 0.005",
    "lognormal 0.01 0.5",
    "pareto 0.001 1.5",
)
LOSSES = (0.0, 0.0, 0.0, 0.001, 0.01, 0.05)


class _Schedule:
    """Draws actions, and remembers which nodes run."""

    def __init__(self, rng: Random, nodes: int, most: int) -> None:
        self.rng = rng
        self.running = list(range(1, nodes + 1))
        self.down: list[int] = []
        self.frozen: list[int] = []
        self.next = nodes + 1
        self.most = most
        self.cut = False
        self.verbs = (
            self.kill,
            self.kill,
            self.kill_neighbours,
            self.vanish,
            self.restart,
            self.restart,
            self.restart_running,
            self.freeze,
            self.freeze,
            self.thaw,
            self.thaw,
            self.leave,
            self.add,
            self.add,
            self.partition,
            self.one_way,
            self.heal,
            self.heal,
            self.sever,
            self.sever,
            self.publish,
            self.publish,
            self.lookup,
        )

    def draw(self) -> tuple[str, Any] | None:
        """Return what to do next; None for nothing."""
        return self.rng.choice(self.verbs)()

    def _spare(self, least: int = 3) -> int | None:
        """Return a running node that may go; seldom one of the bootstrap peers."""
        able = [n for n in self.running if n > 2 or happens(self.rng, 0.2)]
        return self.rng.choice(able) if able and len(self.running) > least else None

    def kill(self) -> tuple[str, Any] | None:
        return self._down("kill", self._spare())

    def vanish(self) -> tuple[str, Any] | None:
        return self._down("vanish", self._spare())

    def _down(self, verb: str, node: int | None) -> tuple[str, Any] | None:
        if node is None:
            return None
        self.running.remove(node)
        self.down.append(node)
        return verb, str(node)

    def kill_neighbours(self) -> tuple[str, Any] | None:
        count = self.rng.randint(2, 3)
        if len(self.running) < count + 4:
            return None
        victims = self.rng.sample(self.running, count)
        for node in victims:
            self._down("kill", node)
        return "kill", " ".join(map(str, victims))

    def restart(self) -> tuple[str, Any] | None:
        if not self.down:
            return None
        node = self.rng.choice(self.down)
        self.down.remove(node)
        self.running.append(node)
        return self.rng.choice(("restart", "restart", "restart_empty")), str(node)

    def restart_running(self) -> tuple[str, Any] | None:
        return "restart", str(self.rng.choice(self.running))

    def freeze(self) -> tuple[str, Any] | None:
        node = self._spare()
        if node is None:
            return None
        self.running.remove(node)
        self.frozen.append(node)
        return "freeze", str(node)

    def thaw(self) -> tuple[str, Any] | None:
        if not self.frozen:
            return None
        node = self.frozen.pop(0)
        self.running.append(node)
        return "thaw", str(node)

    def leave(self) -> tuple[str, Any] | None:
        able = [n for n in self.running if n > 2]
        if len(able) < 3:
            return None
        node = self.rng.choice(able)
        self.running.remove(node)
        return "leave", str(node)

    def add(self) -> tuple[str, Any] | None:
        if self.next > self.most:
            return None
        self.running.append(self.next)
        self.next += 1
        return "add", str(self.next - 1)

    def partition(self) -> tuple[str, Any] | None:
        everybody = [*range(1, self.next)]
        self.rng.shuffle(everybody)
        middle = self.rng.randint(1, len(everybody) - 1)
        sides = (sorted(everybody[:middle]), sorted(everybody[middle:]))
        return "partition", [" ".join(map(str, side)) for side in sides]

    def one_way(self) -> tuple[str, Any] | None:
        source, target = self.rng.sample(range(1, self.next), 2)
        verb = self.rng.choice(("block", "clog", "slow", "lossy"))
        ends = [str(source), str(target)]
        amounts = {"slow": [round(self.rng.uniform(0.05, 1.0), 3)], "lossy": [0.5]}
        return verb, [*ends, *amounts.get(verb, [])]

    def heal(self) -> tuple[str, Any] | None:
        return "heal", True

    def sever(self) -> tuple[str, Any] | None:
        node = self.rng.choice(self.running)
        return "sever", [str(node), f"{node}+{self.rng.randint(1, 3)}"]

    def publish(self) -> tuple[str, Any] | None:
        return "publish", str(self.rng.choice(self.running))

    def lookup(self) -> tuple[str, Any] | None:
        return "lookup", str(self.rng.choice(self.running))


def generate(seed: int) -> Scenario:
    """Return the scenario of ``seed``."""
    rng = Random(f"scenario {seed}")
    nodes = rng.choice((3, 5, 8, 12, 16, 16, 24))
    bits = rng.choice((16, 32, 160))
    most = _distinct(IdentifierSpace(bits), nodes + 8)
    schedule = _Schedule(rng, nodes := min(nodes, most), most)
    lossy = rng.choice(LOSSES)
    actions, time = [], rng.uniform(0.0, 6.0)
    pause = rng.choice((0.02, 0.2, 1.0, 4.0))
    for _ in range(rng.randint(3, 40)):
        time = round(time + rng.expovariate(1.0 / pause), 4)
        deed = schedule.draw()
        if deed is not None:
            actions.append(Action(time, *deed))
    end = round(time + pause, 4)
    actions += [Action(end, "thaw", str(node)) for node in schedule.frozen]
    actions.append(Action(end, "heal", True))
    actions.append(Action(end, "loss", 0.0))
    back = [n for n in schedule.down if n <= 2 or happens(rng, 0.7)]
    actions += [Action(end, "restart", str(node)) for node in back]
    return Scenario(
        name=f"seed-{seed}",
        seed=seed,
        nodes=nodes,
        start=(start := rng.choice(("together", "rings", "rings"))),
        rings=(nodes,) if start == "rings" else (),
        within_s=WITHIN_S,
        config={"bits": bits, "successors": rng.choice((2, 3, 4, 8))},
        latency=rng.choice(LATENCIES),
        loss=lossy,
        duplicate=rng.choice((0.0, 0.0, 0.01, 0.05)),
        reorder=rng.choice((0.0, 0.0, 0.01, 0.05)),
        skew=rng.choice((0.0, 0.0, 0.01)),
        actions=tuple(actions),
    )


def _distinct(space: IdentifierSpace, count: int) -> int:
    """Return how many nodes, up to ``count``, get different identifiers."""
    seen: set[int] = set()
    for number in range(1, count + 1):
        identifier = space.hash(name_of(number).encode())
        if identifier in seen:
            return number - 1
        seen.add(identifier)
    return count
