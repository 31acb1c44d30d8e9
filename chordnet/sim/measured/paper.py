"""The published figures of Chord, reproduced and judged (:mod:`chordnet.sim.measured.published`).

- *Path lengths* on ideal finger tables, with numpy (:mod:`chordnet.sim.measured.analysis`).
- *Simultaneous failures* (ToN 2003, section VI-D, table II) and *churn* (section VI-E, table III):
  lookups of the protocol core itself (:mod:`chordnet.sim.measured.paper_runs`), with finger upkeep
  as near to the published as possible; for churn also with a stricter upkeep and with chordnet's
  own.
- *Keys per node* (section VI-B): 10,000 nodes and a million keys.

Every seed is a :class:`Task` of its own, so that workers share them. ``quick`` takes fewer seeds
and lookups, shorter runs and smaller rings. Its runs under churn end long before the perfect tables
of the start have faded, so they are shown without a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev

import attrs

from chordnet.core.base.config import FingerUpkeep
from chordnet.sim.measured.paper_runs import (
    LEFT_EMPTY,
    OURS,
    REPLACED,
    WARM_UP_S,
    churned,
    failures,
)
from chordnet.sim.measured.published import (
    CHURN,
    ESTIMATES,
    FAILURES,
    IDEAL_TOLERANCE,
    KEYS,
    KEYS_TOLERANCE,
    PATH_TOLERANCE,
    PATHS,
    PERCENTILE_APART,
    QUICK_SEEDS,
    SEEDS,
    TIMEOUT_TOLERANCE,
    Figure,
    Row,
    Spread,
    Table,
)
from chordnet.sim.measured.tally import (
    Look,
    Of,
    Tally,
    distribution,
    error_of,
    mean_of,
    percentile_of,
    spread_of,
)
from chordnet.sim.world.meter import Measured

JUDGED_S = 1800.0
"""Virtual seconds of a full run under churn that are judged, at one lookup a second: 36,000 lookups
a row over all seeds."""
SHOWN_S = 1200.0
"""The same for the runs that are shown without a verdict."""
QUICK_S, QUICK_WARM_UP_S = 120.0, 60.0
"""Both under churn, quickly."""
LOOKUPS = 10_000
"""Of each ring of which some nodes are dead, as published."""
QUICK_LOOKUPS = 200

Tallies = Sequence[Tally]
Shares = tuple[float, float]
"""1st and 99th percentile of keys per node."""
Found = Tally | Shares
"""The result of a task."""


@attrs.frozen
class Task:
    """The work for one seed of a row; workers may do tasks in any order."""

    part: str
    """A key of :data:`PARTS`."""
    value: float
    """The row."""
    seed: int
    quick: bool

    @property
    def cpu_s(self) -> float:
        """Estimated seconds of processor time, on the machine of the documentation."""
        return PARTS[self.part].quick_s if self.quick else PARTS[self.part].full_s

    def work(self) -> Found:
        """Work it out."""
        return PARTS[self.part].make(self)


# ---- working out ----------------------------------------------------------------------------


def ideal_paths(task: Task) -> Tally:
    """Look keys up on ideal finger tables of 2**bits nodes."""
    from chordnet.sim.measured import analysis  # noqa: PLC0415 - needs numpy, and the other tables do not

    ring = analysis.random_ring(1 << int(task.value), task.seed)
    hops = ring.random_lookups(5_000 if task.quick else 25_000, task.seed).hops
    # The last edge, from the node that knows the owner to the owner, is not counted.
    return Tally.of(Look(path) for path in (hops - 1).clip(0).tolist())


def with_dead(task: Task, run: Callable[..., list[Measured]] = failures) -> Tally:
    """Let each node vanish with a probability and look up keys, with no repair."""
    lookups = QUICK_LOOKUPS if task.quick else LOOKUPS
    return Tally.measured(run(task.value, task.seed, lookups))


def under_churn(
    upkeep: FingerUpkeep, full_s: float, run: Callable[..., list[Measured]] = churned
) -> Callable[[Task], Tally]:
    """Return a function that looks up keys under churn, with this finger upkeep."""

    def work(task: Task) -> Tally:
        measured_s, warm_up_s = (QUICK_S, QUICK_WARM_UP_S) if task.quick else (full_s, WARM_UP_S)
        return Tally.measured(
            run(task.value, task.seed, measured_s, upkeep=upkeep, warm_up_s=warm_up_s)
        )

    return work


def keys(task: Task) -> Shares:
    """Spread keys over nodes of so many virtual ones."""
    from chordnet.sim.measured import analysis  # noqa: PLC0415 - needs numpy, and the other tables do not

    nodes = 2_000 if task.quick else 10_000
    counts = analysis.keys_per_node(nodes, int(task.value), 100 * nodes, task.seed)
    ordered = sorted(counts.tolist())
    low, high = (ordered[round((nodes - 1) * part)] / 100 for part in (0.01, 0.99))
    return low, high


@attrs.frozen
class Part:
    """One kind of task."""

    make: Callable[[Task], Found]
    values: tuple[float, ...]
    """The rows of a full run."""
    full_s: float
    """Seconds of processor time of one task, as measured."""
    quick_s: float
    quick_values: tuple[float, ...] = attrs.field(
        default=attrs.Factory(lambda self: self.values, takes_self=True)
    )
    seeds: Sequence[int] = SEEDS
    quick_seeds: Sequence[int] = QUICK_SEEDS


PARTS = {
    "paths": Part(ideal_paths, tuple(PATHS), 0.4, 0.1, (10, 12, 14, 16)),
    "failures": Part(with_dead, tuple(FAILURES), 6.0, 0.4),
    "churn": Part(
        under_churn(REPLACED, JUDGED_S),
        tuple(CHURN),
        30.0,
        1.2,
        (min(CHURN), max(CHURN)),
        quick_seeds=QUICK_SEEDS[:1],
    ),
    "left empty": Part(
        under_churn(LEFT_EMPTY, SHOWN_S), tuple(CHURN), 25.0, 0.0, (), seeds=SEEDS[:1]
    ),
    "upkeep on": Part(under_churn(OURS, SHOWN_S), tuple(CHURN), 25.0, 0.0, (), seeds=SEEDS[:1]),
    "keys": Part(keys, tuple(KEYS), 0.2, 0.1),
}
"""The parts that are named in quotes on their own, ``left empty`` and ``upkeep on``, are shown in
the rows of the table of churn."""


def tasks(*, quick: bool) -> list[Task]:
    """Return every task of the run."""
    return [
        Task(name, value, seed, quick)
        for name, part in PARTS.items()
        for value in (part.quick_values if quick else part.values)
        for seed in (part.quick_seeds if quick else part.seeds)
    ]


# ---- judging --------------------------------------------------------------------------------


def path_of(look: Look) -> float:
    """Return a lookup's path length."""
    return look.path


def timeouts_of(look: Look) -> float:
    """Return a lookup's timeouts, all of them: the counting of every row."""
    return look.timeouts


def way_timeouts_of(look: Look) -> float:
    """Return a lookup's timeouts before the last edge."""
    return look.way_timeouts


def failed_of(look: Look) -> float:
    """Return 1 for a failed lookup."""
    return look.failed


def mean(
    tallies: Tallies,
    name: str,
    of: Of,
    published: float | None,
    tolerance: float | None = None,
    *,
    estimate: float | None = None,
    quick: bool = False,
) -> Figure:
    """Return the mean of a property of lookups beside the published one."""
    return Figure(
        name,
        mean_of(tallies, of),
        published,
        tolerance,
        estimate=estimate,
        error=error_of(tallies, of),
        quick=quick,
    )


def percentiles(
    tallies: Tallies, name: str, of: Of, published: Spread, apart: float | None
) -> tuple[Figure, ...]:
    """Return the 1st and the 99th percentile of a property beside the published ones."""
    return tuple(
        Figure(f"{name}, {text}", percentile_of(tallies, part, of), beside, apart=apart)
        for text, part, beside in (("1st", 0.01, published.first), ("99th", 0.99, published.last))
    )


def path_row(bits: int, tallies: Tallies, *, quick: bool) -> Row:
    """Judge lookups on ideal finger tables."""
    published, deviation = PATHS[bits]
    deviations = [tally.variance(path_of) ** 0.5 for tally in tallies]
    return Row(
        f"2^{bits}",
        (
            mean(tallies, "path", path_of, published, IDEAL_TOLERANCE, quick=quick),
            Figure(
                "deviation",
                fmean(deviations),
                deviation,
                2 * IDEAL_TOLERANCE,
                error=stdev(deviations) / len(deviations) ** 0.5,
                quick=quick,
            ),
        ),
        distribution(tallies),
    )


def failure_row(dead: float, tallies: Tallies, *, quick: bool) -> Row:
    """Judge the lookups of some rings; every dead node that one tried to contact is a timeout."""
    path, timeouts = FAILURES[dead]
    count = sum(tally.count for tally in tallies)
    failed = round(mean_of(tallies, failed_of) * count)
    apart = None if quick else PERCENTILE_APART
    return Row(
        f"{dead:.1f}",
        (
            mean(tallies, "path", path_of, path.mean, PATH_TOLERANCE, quick=quick),
            *percentiles(tallies, "path", path_of, path, apart),
            mean(
                tallies,
                "timeouts",
                timeouts_of,
                timeouts.mean,
                TIMEOUT_TOLERANCE,
                estimate=ESTIMATES.get(dead),
                quick=quick,
            ),
            *percentiles(tallies, "timeouts", timeouts_of, timeouts, apart),
            Figure("one ring to the next", spread_of(tallies, timeouts_of), None),
            mean(tallies, "before the last edge", way_timeouts_of, timeouts.mean),
            Figure(f"failed of {count}", failed, 0, 0.0, grain=1),
        ),
        distribution(tallies),
    )


def churn_row(rate: float, tallies: Tallies, beside: dict[str, Tallies], *, quick: bool) -> Row:
    """Judge the lookups whose dead fingers are replaced; show those with empty slots and ours."""
    path, timeouts, failed = CHURN[rate]
    each = [10_000 * tally.mean(failed_of) for tally in tallies]
    return Row(
        f"{rate:.2f}",
        (
            mean(tallies, "path", path_of, path.mean, None if quick else PATH_TOLERANCE),
            *percentiles(tallies, "path", path_of, path, None),
            mean(tallies, "timeouts", timeouts_of, timeouts.mean),
            *percentiles(tallies, "timeouts", timeouts_of, timeouts, None),
            Figure(
                "failed of 10,000",
                10_000 * mean_of(tallies, failed_of),
                failed,
                span=None if quick else (min(each), max(each)),
                grain=1,
            ),
            *(
                figure
                for name, others in beside.items()
                if others
                for figure in (
                    mean(others, f"{name}: path", path_of, path.mean),
                    mean(others, f"{name}: timeouts", timeouts_of, timeouts.mean),
                )
            ),
        ),
        distribution(tallies),
    )


def keys_row(virtual: int, shares: Sequence[Shares], *, quick: bool) -> Row:
    """Judge how evenly keys are spread."""
    names = ("1st percentile", "99th percentile")
    figures = []
    for number, name in enumerate(names):
        ours, published = [each[number] for each in shares], KEYS[virtual][number]
        error = stdev(ours) / len(ours) ** 0.5
        figures.append(
            Figure(
                name,
                fmean(ours),
                published,
                KEYS_TOLERANCE,
                grain=0.02,
                error=error,
                quick=quick,  # one key is 0.01
            )
        )
    return Row(str(virtual), tuple(figures))


_WORDS = {
    "paths": (
        "Path length against the number of nodes",
        "nodes",
        "ideal finger tables, 64-bit identifiers",
    ),
    "failures": ("Simultaneous failures", "dead", "1000 nodes, successor lists of 20, no repair"),
    "churn": (
        "Lookups under churn",
        "joins/s",
        "1000 nodes, stabilising every 30 s, dead fingers replaced at once",
    ),
    "keys": ("Keys per node", "virtual nodes", "100 keys a node; as multiples of the mean"),
}


def tables(done: dict[Task, Found]) -> list[Table]:
    """Put the results into tables."""
    quick = any(task.quick for task in done)

    def tallies(part: str, value: float) -> list[Tally]:
        found = [each for task, each in done.items() if (task.part, task.value) == (part, value)]
        return [each for each in found if isinstance(each, Tally)]

    def shares(value: float) -> list[Shares]:
        found = [each for task, each in done.items() if (task.part, task.value) == ("keys", value)]
        return [each for each in found if not isinstance(each, Tally)]

    makers: dict[str, Callable[[float], Row]] = {
        "paths": lambda v: path_row(int(v), tallies("paths", v), quick=quick),
        "failures": lambda v: failure_row(v, tallies("failures", v), quick=quick),
        "churn": lambda v: churn_row(
            v,
            tallies("churn", v),
            {name: tallies(name, v) for name in ("left empty", "upkeep on")},
            quick=quick,
        ),
        "keys": lambda v: keys_row(int(v), shares(v), quick=quick),
    }
    values = {key: dict.fromkeys(t.value for t in done if t.part == key) for key in makers}
    return [
        Table(key, *_WORDS[key], tuple(make(value) for value in values[key]))
        for key, make in makers.items()
    ]
