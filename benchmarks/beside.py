"""``python -m benchmarks.beside``: is this checkout slower than another one?

Both run a network of sixteen nodes, each with its own code and interpreter, and are measured in
turn, every other round in the opposite order. Machines drift by a third within minutes, so what
counts is the median of the rounds' ratios, with its 95 % interval from order statistics.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from attrs import evolve, frozen

from benchmarks.effort import FULL, Effort
from benchmarks.errors import BenchmarkError, notes_of
from benchmarks.overlay.checkout import CheckoutSide
from benchmarks.report import quantity
from benchmarks.rounds import Results, interleave
from benchmarks.sides import Side
from benchmarks.stats import median, median_interval

ROOT = Path(__file__).parents[1]
FEWEST_ROUNDS = 6
"""With fewer, no 95 % interval of the median exists."""
PORTS = 50
"""The other checkout's ports lie so far above ours."""


@frozen
class Question:
    """One number that both sides have.

    Attributes:
        key: Its name in a round's result.
        label: What a reader sees.
        unit: Its unit.
        less: Whether less of it is better.
    """

    key: str
    label: str
    unit: str
    less: bool


QUESTIONS = (
    Question("p50", "broadcast, one at a time, all 16 have it, p50", "ms", less=True),
    Question("receipt", "the same, until its sender has the receipt, p50", "ms", less=True),
    Question("rate 64", "receipts, 64 in flight", "/s", less=False),
    Question("rate 256", "receipts, 256 in flight", "/s", less=False),
)


@frozen
class Comparison:
    """One number of both, round by round.

    Attributes:
        question: What was measured.
        ours: Of this checkout.
        theirs: Of the other one.
        tolerance: How much worse ours may be, as a fraction.
    """

    question: Question
    ours: Sequence[float]
    theirs: Sequence[float]
    tolerance: float

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs, of each round that both finished."""
        return [a / b for a, b in zip(self.ours, self.theirs, strict=False) if b > 0]

    @property
    def near_end(self) -> float | None:
        """The end of the interval that speaks for this checkout."""
        interval = median_interval(self.ratios)
        return None if interval is None else interval[0 if self.question.less else 1]

    @property
    def passes(self) -> bool:
        """Whether the interval's near end is within the tolerance: nothing shows that it is not."""
        near = self.near_end
        if near is None:
            return False
        return near <= 1 + self.tolerance if self.question.less else near >= 1 - self.tolerance

    def text(self) -> str:
        """Return it in a line."""
        question, interval = self.question, median_interval(self.ratios)
        if interval is None:
            return f"{question.label}: {len(self.ratios)} rounds of both, too few"
        within = "within" if self.passes else "NOT within"
        return (
            f"{question.label}: {quantity(median(self.ours), question.unit)} beside "
            f"{quantity(median(self.theirs), question.unit)}, ratio {median(self.ratios):.3f} "
            f"({interval[0]:.3f} to {interval[1]:.3f}), {within} {self.tolerance:.0%}"
        )


def compare(ours: Results, theirs: Results, tolerance: float) -> list[Comparison]:
    """Put the rounds of both beside each other."""
    return [
        Comparison(each, ours.numbers(each.key), theirs.numbers(each.key), tolerance)
        for each in QUESTIONS
    ]


def measure(sides: Sequence[Side], effort: Effort) -> list[Results]:
    """Measure both in turn, after a round that does not count."""
    results = interleave(
        sides, evolve(effort, rounds=effort.rounds + 1), lambda text: click.echo(text, err=True)
    )
    for result in results:
        del result.rounds[:1]
        if result.note:
            error = BenchmarkError(f"{result.name}: {result.note}")
            for trace in result.traces:
                error.add_note(trace)
            raise error
    return results


@click.command()
@click.option(
    "--other", required=True, metavar="DIR", help="The checkout to be compared with.",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
)  # fmt: skip
@click.option(
    "--other-python", metavar="FILE", type=click.Path(path_type=Path),
    help="Its interpreter.  [default: DIR/.venv-make/bin/python]",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(FEWEST_ROUNDS, 1000), default=20, show_default=True,
    help="Interleaved rounds that count.",
)  # fmt: skip
@click.option(
    "--tolerance", type=click.FloatRange(0, 1), default=0.05, show_default=True,
    help="How much slower this checkout may be, as a fraction.",
)  # fmt: skip
@click.option(
    "--base-port", type=click.IntRange(1024, 65000), default=9600, show_default=True,
    help="Ports from here up to 66 above are used on 127.0.0.1.",
)  # fmt: skip
def main(
    *, other: Path, other_python: Path | None, rounds: int, tolerance: float, base_port: int
) -> None:
    """Measure broadcasts of this checkout beside another one's, in interleaved rounds.

    The exit status is 1 if a figure is not within the tolerance: the whole 95 % interval of the
    median ratio lies beyond it.
    """
    python = other_python or other / ".venv-make" / "bin" / "python"
    sides = [
        CheckoutSide("this checkout", ROOT, Path(sys.executable), base_port),
        CheckoutSide("the other one", other, python, base_port + PORTS),
    ]
    before = os.getloadavg()[0]
    try:
        ours, theirs = measure(sides, evolve(FULL, rounds=rounds))
    except BenchmarkError as error:
        raise click.ClickException("\n".join([str(error), *notes_of(error)])) from None
    comparisons = compare(ours, theirs, tolerance)
    for comparison in comparisons:
        click.echo(comparison.text())
    click.echo(
        f"this checkout beside {other}: medians of {rounds} interleaved rounds, the median of the "
        "rounds' ratios, its 95 % interval, and whether its near end is within the limit; "
        f"load {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    )
    sys.exit(0 if all(each.passes for each in comparisons) else 1)


if __name__ == "__main__":
    main()
