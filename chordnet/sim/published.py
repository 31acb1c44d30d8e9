"""What was published about Chord, and how ours is held against it.

Lookups are iterative. The *path* are the live nodes that the initiator asks, itself left out, up to
the one that has the key between itself and its successor. So counts the paper's own simulator (Ion
Stoica's, in MIT's repository ``dht``, folder ``simulator``: ``request.c`` and ``README``).

*Timeouts* are the dead nodes that a lookup tries to contact, the paper's definition as we recall
it (ToN 2003, section VI-D): all of them, those on the last edge too, from the node that knows the
owner to the owner, for chordnet asks it. The paper's simulator looks there without asking, and
counts the dead nodes on the way only; so counted they are shown beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from statistics import fmean, stdev

import attrs

PATHS = {
    10: (4.84, 1.50), 12: (5.86, 1.68), 14: (6.86, 1.81),
    16: (7.86, 1.93), 18: (8.87, 2.07), 20: (9.83, 2.18),
}  # fmt: skip
"""log2 N: mean and standard deviation of the path length on ideal tables, r = 1, by an independent
simulation; the published rule is half of log2 N (Stoica et al., ToN 11(1), 2003, section VI-C)."""
FAILURES = {
    0.0: (3.84, 0.0), 0.1: (4.03, 0.60), 0.2: (4.22, 1.17),
    0.3: (4.44, 2.02), 0.4: (4.69, 3.23), 0.5: (5.09, 5.10),
}  # fmt: skip
"""Fraction dead: path length and timeouts a lookup (the same, table II). None failed."""
CHURN = {
    0.05: (3.90, 0.05, 0),
    0.10: (3.83, 0.11, 0),
    0.20: (3.81, 0.23, 5),
    0.40: (4.06, 0.46, 15),
}
"""Joins, and as many departures, a second: path length, timeouts a lookup, failed of 10,000 (the
same, table III)."""
KEYS = {1: (0.01, 4.6), 20: (0.51, 1.65)}
"""Virtual nodes: 1st and 99th percentile of keys per node, as multiples of the mean (the same,
figures 8 and 9)."""

NODES = 1000
"""Of the second and third table."""
SUCCESSORS = 20
"""r in these."""

PATH_TOLERANCE = 0.03
TIMEOUT_TOLERANCE = 0.20
KEYS_TOLERANCE = 0.10


def expected_timeouts(path: float, dead: float) -> float:
    """Return the timeouts of a lookup whose path has ``path`` live nodes, by the paper's estimate.

    Each of m nodes asked is dead with probability p: m * p timeouts, and m * (1 - p) is the path
    (the same, section VI-D).
    """
    return path * dead / (1 - dead)


def expected_churn_timeouts(path: float, rate: float) -> float:
    """Return the timeouts of a lookup while ``rate`` nodes a second depart, as the paper does.

    A use of a finger meets a dead node if the last thing that happened to that finger was the
    departure, and neither a stabilisation nor a lookup that came by (the same, section VI-E: 0.041
    at 0.05 a second and 0.31 at 0.4). A path has ``path`` such uses.
    """
    log_n = log2(NODES)
    departs, stabilised, used = rate / NODES, path / (90 * log_n), path / (NODES * log_n)
    return path * departs / (departs + stabilised + used)


@attrs.frozen
class Figure:
    """One number of ours beside the published one.

    :param tolerance: how far they may be apart, as a fraction; None: shown only.
    :param at_most: less than published is right as well.
    """

    name: str
    ours: float
    published: float | None
    """None: nothing was published."""
    tolerance: float | None = None
    at_most: bool = False
    grain: float = 0.01
    """In what steps it was published: half of one may be lost in rounding."""
    error: float | None = None
    """The standard error of ours; None: not known, or of no use."""

    @property
    def deviation(self) -> float | None:
        """Ours over published less one; None where nothing was published, or 0."""
        return self.ours / self.published - 1 if self.published else None

    @property
    def judged(self) -> bool:
        """Whether ours has to agree."""
        return self.tolerance is not None and self.published is not None

    @property
    def agrees(self) -> bool:
        """Whether ours is within the tolerance, and what rounding may hide."""
        if self.tolerance is None or self.published is None:
            return True
        apart = self.ours - self.published
        apart = max(apart, 0.0) if self.at_most else abs(apart)
        return apart <= self.tolerance * self.published + self.grain / 2


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
    """What the rows differ by."""
    note: str
    rows: tuple[Row, ...]

    @property
    def agrees(self) -> bool:
        """Whether every figure does."""
        return all(figure.agrees for row in self.rows for figure in row.figures)


def spread(groups: Sequence[Sequence[float]]) -> float:
    """Return how much the mean of one of ``groups`` differs from the next, as a standard deviation:
    what a published figure from a single network may be off by. 0 for a single group.
    """
    means = [fmean(group) for group in groups if group]
    return stdev(means) if len(means) > 1 else 0.0


def mean_and_error(groups: Sequence[Sequence[float]]) -> tuple[float, float | None]:
    """Return the mean of all numbers and its standard error, from the means of ``groups``.

    What is measured on one ring, or soon after one another, hangs together: only the groups are
    independent of each other. Of a single group the error is not known.
    """
    means = [fmean(group) for group in groups if group]
    error = stdev(means) / len(means) ** 0.5 if len(means) > 1 else None
    return fmean(each for group in groups for each in group), error
