"""Many random scenarios on all cores, until a number of steps has been taken.

The seeds are played in blocks by worker processes; how many of them there are changes how soon a
failure is found, not which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from chordnet.sim.scenarios.generate import generate
from chordnet.sim.scenarios.play import play
from chordnet.sim.world.workers import worker_context


@attrs.frozen
class SeedResult:
    """The outcome of one seed's play."""

    seed: int
    steps: int
    checks: int
    mistakes: int
    virtual_s: float
    settled_s: float | None
    failures: tuple[str, ...]


@attrs.define
class Tally:
    """The sum of all plays."""

    seeds: int = 0
    steps: int = 0
    checks: int = 0
    mistakes: int = 0
    virtual_s: float = 0.0
    slowest_s: float = 0.0
    """The longest time that a ring took to be right again after the last fault."""
    slowest_seed: int = 0
    failed: list[SeedResult] = attrs.field(factory=list)

    def add(self, result: SeedResult) -> None:
        """Count one play."""
        self.seeds += 1
        self.steps += result.steps
        self.checks += result.checks
        self.mistakes += result.mistakes
        self.virtual_s += result.virtual_s
        if result.settled_s is not None and result.settled_s > self.slowest_s:
            self.slowest_s, self.slowest_seed = result.settled_s, result.seed
        if result.failures:
            self.failed.append(result)


def play_seed(seed: int) -> SeedResult:
    """Play the random scenario of ``seed``."""
    outcome = play(generate(seed))
    return SeedResult(
        seed,
        outcome.steps,
        outcome.checks,
        outcome.mistakes,
        outcome.now,
        outcome.settled_s,
        tuple(outcome.failures),
    )


def results(first: int, jobs: int) -> Iterator[SeedResult]:
    """Play one seed after the other, from ``first`` on without end, in ``jobs`` processes."""
    if jobs == 1:
        seed = first
        while True:
            yield play_seed(seed)
            seed += 1
    context = worker_context()
    with context.Pool(jobs) as pool:
        block = 8 * jobs
        while True:
            yield from pool.imap(play_seed, range(first, first + block))
            first += block


def soak(
    first: int, steps: int, jobs: int, told: Callable[[Tally, SeedResult], None], most_failed: int
) -> Tally:
    """Play seeds until ``steps`` steps were taken or ``most_failed`` seeds have failed.

    :param told: called with every result.
    """
    tally = Tally()
    for result in results(first, jobs):
        tally.add(result)
        told(tally, result)
        if tally.steps >= steps or len(tally.failed) >= most_failed:
            break
    return tally
