"""Interleaved rounds: every participant measured in turn, again and again.

The machine's speed drifts by a third within minutes. Within one round all are
measured within seconds of each other, and every other round in the opposite
order, so no one always follows the same neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from attrs import Factory, define

from benchmarks.effort import Effort
from benchmarks.errors import BenchmarkError, notes_of
from benchmarks.sides import Side

Tell = Callable[[str], None]


@define
class Results:
    """What one participant achieved, round by round.

    Attributes:
        name: The participant.
        rounds: The gauges of each round that was finished.
        note: Why it took no part or dropped out, in one line.
        failed: Whether that was a failure rather than a missing program.
        traces: Tracebacks of its processes, if it failed.
    """

    name: str
    rounds: list[dict[str, float]] = Factory(list)
    note: str = ""
    failed: bool = False
    traces: list[str] = Factory(list)

    def numbers(self, key: str) -> list[float]:
        """Return one gauge's number of each round."""
        return [result[key] for result in self.rounds if key in result]


def interleave(sides: Sequence[Side], effort: Effort, tell: Tell) -> list[Results]:
    """Measure all sides and return their results in the same order.

    A side that is not installed is skipped; one that fails drops out.
    """
    results = [Results(side.name) for side in sides]
    with ExitStack() as stack:
        running = []
        for side, result in zip(sides, results, strict=True):
            if hint := side.missing():
                result.note = f"skipped: {hint}"
                continue
            stack.callback(side.stop)
            tell(f"starting {side.name}")
            if _attempt(result, side.start):
                running.append((side, result))
        for number in range(effort.rounds):
            for side, result in reversed(running) if number % 2 else running:
                if not result.failed:
                    tell(f"round {number + 1} of {effort.rounds}: {side.name}")
                    _attempt(result, partial(_measure, side, effort, result))
    return results


def _measure(side: Side, effort: Effort, result: Results) -> None:
    result.rounds.append(side.measure(effort))


def _attempt(result: Results, action: Callable[[], None]) -> bool:
    try:
        action()
    except BenchmarkError as error:
        result.note, result.failed = str(error), True
        result.traces += notes_of(error)
    return not result.failed
