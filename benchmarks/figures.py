"""What is measured, what it should be, and whether it is, pure."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from attrs import frozen

from benchmarks.stats import median, paired_ratio


class Verdict(enum.Enum):
    """How a figure stands to its target."""

    AIM = "met, aim too"
    MET = "met"
    MISSED = "MISSED"
    NONE = "no target"
    UNKNOWN = "not measured"


class Bound(enum.Enum):
    """On which side of the bound a figure should lie."""

    BELOW = "below"
    AT_MOST = "at most"
    AT_LEAST = "at least"

    def holds(self, value: float, bound: float) -> bool:
        """Return True if `value` is on the right side of `bound`."""
        if self is Bound.BELOW:
            return value < bound
        return value <= bound if self is Bound.AT_MOST else value >= bound

    @property
    def sign(self) -> str:
        """The usual sign for it."""
        return {Bound.BELOW: "<", Bound.AT_MOST: "≤", Bound.AT_LEAST: "≥"}[self]


@frozen
class Target:
    """What a figure, or its ratio to a rival's, has to reach.

    Attributes:
        bound: The side of `limit` to be on.
        limit: In the figure's unit, or a factor when `relative`.
        aim: A stricter limit to strive for, if there is one.
        relative: Whether the limit is a factor of the rival's figure.
    """

    bound: Bound
    limit: float
    aim: float | None = None
    relative: bool = False

    def verdict(self, value: float | None) -> Verdict:
        """Judge a figure (or a ratio, when relative)."""
        if value is None:
            return Verdict.UNKNOWN
        if not self.bound.holds(value, self.limit):
            return Verdict.MISSED
        if self.aim is not None and self.bound.holds(value, self.aim):
            return Verdict.AIM
        return Verdict.MET

    def describe(self, unit: str) -> str:
        """Say the target in a few characters, such as ``≤ 1.5 x (aim 1 x)``."""
        suffix = " x" if self.relative else f" {unit}"
        text = f"{self.bound.sign} {self.limit:g}{suffix}"
        return text if self.aim is None else f"{text} (aim {self.aim:g}{suffix})"


@frozen
class Gauge:
    """One number that a measurement yields.

    Attributes:
        key: Its name in the measurement's result.
        label: What a reader sees.
        unit: Its unit, such as ``ms`` or ``/s``.
        target: What it should be, if anything.
        rivals: Whether the rivals have it too.
    """

    key: str
    label: str
    unit: str
    target: Target | None = None
    rivals: bool = True


@frozen
class Figure:
    """A gauge with what was measured for it.

    Attributes:
        name: The benchmark it belongs to, as given to ``--only``.
        gauge: What the numbers mean.
        ours: chordnet's number of each round, empty when it did not run.
        rival: The rival's name, empty when there is none.
        theirs: The rival's number of each round.
        reference: Shown for comparison only; the target does not apply.
        note: Why something is missing, in one line.
    """

    name: str
    gauge: Gauge
    ours: Sequence[float] = ()
    rival: str = ""
    theirs: Sequence[float] = ()
    reference: bool = False
    note: str = ""

    @property
    def value(self) -> float | None:
        """The median of our rounds."""
        return median(self.ours) if self.ours else None

    @property
    def rival_value(self) -> float | None:
        """The median of the rival's rounds."""
        return median(self.theirs) if self.theirs else None

    @property
    def ratio(self) -> float | None:
        """The median over the rounds of ours divided by theirs."""
        return paired_ratio(self.ours, self.theirs)

    @property
    def verdict(self) -> Verdict:
        """How the figure stands to its target."""
        target = self.gauge.target
        if target is None or self.reference:
            return Verdict.NONE
        return target.verdict(self.ratio if target.relative else self.value)
