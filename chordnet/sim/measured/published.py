"""What was published about Chord, and how our figures are compared with it.

Lookups are iterative. The *path* is the live nodes that the initiator asks, itself left out, up to
the one that has the key between itself and its successor. The paper's own simulator counts like
this (Ion Stoica's, in MIT's repository ``dht``, folder ``simulator``: ``request.c`` and
``README``).

*Timeouts* are the failed nodes that a lookup tries to contact, the paper's definition (ToN 2003,
section VI-D): all of them, in every row, those on the last edge too, from the node that knows the
owner to the owner, since chordnet asks it. The paper's simulator looks there without asking, and
counts only the dead nodes on the way; that count is shown beside ours, and not judged.

The seeds, and the rules by which each figure is judged, were settled before anything was measured:

- a mean of all seeds agrees with the published one within the tolerance of its kind; timeouts among
  simultaneous failures also if they are as close to the authors' own estimate;
- percentiles there (of each seed, the mean of all) are at most one hop, or one timeout, apart;
- of failed lookups under churn, the published number lies within the range that the seeds span;
- all else under churn but the path is shown and not judged: the paper leaves the counting open.
"""

from __future__ import annotations

from enum import Enum

import attrs

SEEDS = range(1, 21)
"""All of them are run, and their mean is judged."""
QUICK_SEEDS = range(1, 5)

PATHS = {
    10: (4.84, 1.50),
    12: (5.86, 1.68),
    14: (6.86, 1.81),
    16: (7.86, 1.93),
    18: (8.87, 2.07),
    20: (9.83, 2.18),
}
"""log2 N: mean and standard deviation of the path length on ideal tables, r = 1, by an independent
simulation; the published rule is half of log2 N (Stoica et al., ToN 11(1), 2003, section VI-C)."""


@attrs.frozen
class Spread:
    """A published mean with its 1st and 99th percentile."""

    mean: float
    first: int
    last: int


FAILURES = {
    0.0: (Spread(3.84, 2, 5), Spread(0.0, 0, 0)),
    0.1: (Spread(4.03, 2, 6), Spread(0.60, 0, 2)),
    0.2: (Spread(4.22, 2, 6), Spread(1.17, 0, 3)),
    0.3: (Spread(4.44, 2, 6), Spread(2.02, 0, 5)),
    0.4: (Spread(4.69, 2, 7), Spread(3.23, 0, 8)),
    0.5: (Spread(5.09, 3, 8), Spread(5.10, 0, 11)),
}
"""Fraction dead: path length and timeouts a lookup (the same, table II, by the first 10,000 lookups
on one network). None failed."""
ESTIMATES = {0.1: 0.45, 0.2: 1.06, 0.3: 1.90, 0.4: 3.13, 0.5: 5.06}
"""Fraction dead: the timeouts that the authors expect from the measured paths (the same, section
VI-D)."""
CHURN = {
    0.05: (Spread(3.90, 1, 9), Spread(0.05, 0, 2), 0),
    0.10: (Spread(3.83, 1, 9), Spread(0.11, 0, 2), 0),
    0.15: (Spread(3.84, 1, 9), Spread(0.16, 0, 2), 2),
    0.20: (Spread(3.81, 1, 9), Spread(0.23, 0, 3), 5),
    0.25: (Spread(3.83, 1, 9), Spread(0.30, 0, 3), 6),
    0.30: (Spread(3.91, 1, 9), Spread(0.34, 0, 4), 8),
    0.35: (Spread(3.94, 1, 10), Spread(0.42, 0, 4), 16),
    0.40: (Spread(4.06, 1, 10), Spread(0.46, 0, 5), 15),
}
"""Joins, and as many departures, a second: path length, timeouts a lookup, failed of 10,000 (the
same, table III)."""
KEYS = {1: (0.01, 4.6), 20: (0.51, 1.65)}
"""Virtual nodes: 1st and 99th percentile of keys per node, as multiples of the mean (the same,
figures 8 and 9)."""

NODES = 1000
"""Of the second and third table."""
SUCCESSORS = 20
"""r in those tables."""

IDEAL_TOLERANCE = 0.03
"""Of path lengths on ideal tables; twice that for their deviation."""
PATH_TOLERANCE = 0.04
TIMEOUT_TOLERANCE = 0.20
KEYS_TOLERANCE = 0.10
PERCENTILE_APART = 1.0
"""Hops, or timeouts."""
ERRORS_GRANTED = 6.0
"""Standard errors beyond the tolerance from which a quick run says that a figure disagrees."""


def expected_timeouts(path: float, dead: float) -> float:
    """Return the timeouts of a lookup whose path has ``path`` live nodes, by the paper's estimate.

    Each of m nodes asked is dead with probability p: m * p timeouts, and m * (1 - p) is the path
    (the same, section VI-D).
    """
    return path * dead / (1 - dead)


class Verdict(Enum):
    """How a figure of ours compares with the published one."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNDECIDED = "undecided"
    """Too few samples to say that it disagrees."""
    SHOWN = "shown"
    """It is not judged."""


@attrs.frozen
class Figure:
    """One number of ours beside the published one.

    :param tolerance: how far they may be apart, as a fraction of the published one; with ``apart``
        and ``span`` None as well it is shown only.
    """

    name: str
    ours: float
    published: float | None
    """None: nothing was published."""
    tolerance: float | None = None
    apart: float | None = None
    """How far they may be apart, in the figure's own unit."""
    span: tuple[float, float] | None = None
    """The lowest and the highest of all seeds; the published one has to lie between."""
    estimate: float | None = None
    """The authors' own estimate of the published one: to agree with either is enough."""
    grain: float = 0.01
    """The step in which it was published: half of one may be lost in rounding."""
    error: float | None = None
    """The standard error of ours; None if it is not known, or of no use."""
    quick: bool = False
    """There are so few samples that a difference within the error is left undecided."""

    @property
    def deviation(self) -> float | None:
        """Ours over published less one; None where nothing was published, or 0."""
        return self.ours / self.published - 1 if self.published else None

    @property
    def estimate_deviation(self) -> float | None:
        """Ours over the authors' estimate less one; None where there is none."""
        return self.ours / self.estimate - 1 if self.estimate else None

    @property
    def judged(self) -> bool:
        """Whether ours has to agree."""
        rules = (self.tolerance, self.apart, self.span)
        return self.published is not None and any(rule is not None for rule in rules)

    @property
    def verdict(self) -> Verdict:
        """Whether ours is close enough, allowing for rounding."""
        if not self.judged:
            return Verdict.SHOWN
        if self._too_far() <= 0:
            return Verdict.AGREES
        if self.quick and (self.error is None or self._too_far() <= ERRORS_GRANTED * self.error):
            return Verdict.UNDECIDED
        return Verdict.DISAGREES

    def _too_far(self) -> float:
        """Return by how much ours is out of bounds; 0 or less if it is not."""
        assert self.published is not None
        if self.span is not None:
            low, high = self.span
            return max(low - self.published, self.published - high) - self.grain / 2
        targets = [each for each in (self.published, self.estimate) if each is not None]
        return min(abs(self.ours - each) - self._leeway(each) for each in targets)

    def _leeway(self, published: float) -> float:
        if self.apart is not None:
            return self.apart
        return (self.tolerance or 0.0) * published + self.grain / 2


@attrs.frozen
class Row:
    """A line of a table."""

    label: str
    figures: tuple[Figure, ...]
    distribution: dict[int, int] = attrs.field(factory=dict)
    """How many lookups had a path of which length."""


@attrs.frozen
class Table:
    """One published table, reproduced."""

    key: str
    title: str
    label: str
    """What the rows vary."""
    note: str
    rows: tuple[Row, ...]

    def count(self, verdict: Verdict) -> int:
        """Return how many figures have this verdict."""
        return sum(figure.verdict == verdict for row in self.rows for figure in row.figures)
