"""The published figures of Chord, worked out again (:mod:`chordnet.sim.published`).

- *Path lengths* on ideal finger tables, with numpy (:mod:`chordnet.sim.analysis`).
- *Simultaneous failures* (ToN 2003, section VI-D, table II) and *churn* (section VI-E, table III):
  lookups of the protocol core itself (:mod:`chordnet.sim.paper_runs`), with finger upkeep as near
  to the published as it goes; under churn beside it a stricter one and chordnet's own.
- *Keys per node* (section VI-B): 10,000 nodes and a million keys.

``quick`` takes fewer lookups, shorter runs and smaller rings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from chordnet.sim.meter import Measured
from chordnet.sim.paper_runs import LEFT_EMPTY, OURS, WARM_UP_S, churned, failures
from chordnet.sim.published import (
    CHURN,
    FAILURES,
    KEYS,
    KEYS_TOLERANCE,
    PATH_TOLERANCE,
    PATHS,
    TIMEOUT_TOLERANCE,
    Figure,
    Row,
    Table,
    expected_churn_timeouts,
    expected_timeouts,
    mean_and_error,
    spread,
)

FULL = 7200.0, 1200.0, WARM_UP_S
"""Seconds of a full run under churn that are judged, those that are only shown, and the ones before
either."""
NETWORKS = 3
"""Networks under churn that are judged together: the timeouts of one differ from the next's by up
to a tenth."""
Groups = Sequence[Sequence[Measured]]
"""Lookups by the ring, or by the time, that they were measured on."""


# ---- static tables --------------------------------------------------------------------------


def path_row(bits: int, seed: int, *, quick: bool) -> Row:
    """Look keys up on ideal finger tables of 2**bits nodes."""
    from chordnet.sim import analysis  # noqa: PLC0415 - needs numpy, and the other tables do not

    rings, lookups = (2, 5_000) if quick else (8, 25_000)
    # The last edge, from the node that knows the owner to the owner, is not counted.
    groups = [
        (analysis.random_ring(1 << bits, each).random_lookups(lookups, each).hops - 1).clip(0)
        for each in range(seed, seed + rings)
    ]
    lengths = [group.tolist() for group in groups]
    mean, deviation = PATHS[bits]
    path, error = mean_and_error(lengths)
    spread, spread_error = mean_and_error([[float(group.std())] for group in groups])
    return Row(
        f"2^{bits}",
        (
            Figure("path", path, mean, PATH_TOLERANCE, error=error),
            Figure("deviation", spread, deviation, 2 * PATH_TOLERANCE, error=spread_error),
        ),
        distribution([length for group in lengths for length in group]),
    )


def keys_row(virtual: int, seed: int, *, quick: bool) -> Row:
    """Spread keys over nodes of so many virtual ones."""
    from chordnet.sim import analysis  # noqa: PLC0415 - needs numpy, and the other tables do not

    nodes = 2_000 if quick else 10_000
    counts = sorted(analysis.keys_per_node(nodes, virtual, 100 * nodes, seed).tolist())
    low, high = (counts[round((nodes - 1) * part)] / 100 for part in (0.01, 0.99))
    names = ("1st percentile", "99th percentile")
    return Row(
        str(virtual),
        tuple(
            Figure(name, ours, published, KEYS_TOLERANCE, grain=0.02)  # one key is 0.01
            for name, ours, published in zip(names, (low, high), KEYS[virtual], strict=True)
        ),
    )


def distribution(lengths: Sequence[int]) -> dict[int, int]:
    """Return how many paths have which length."""
    return {length: lengths.count(length) for length in sorted(set(lengths))}


# ---- lookups of the core --------------------------------------------------------------------


def measure(
    groups: Groups, name: str, of: Callable[[Measured], float], published: float | None,
    tolerance: float | None = None, *, grain: float = 0.01, at_most: bool = False,
) -> Figure:  # fmt: skip
    """Return the mean of something about lookups beside the published one."""
    ours, error = mean_and_error([[of(each) for each in group] for group in groups])
    return Figure(name, ours, published, tolerance, at_most, grain, error)


def has_failed(lookup: Measured) -> bool:
    """Tell whether a lookup found no owner, or a wrong one."""
    return bool(lookup.failure) or not lookup.done


def lengths(groups: Groups) -> dict[int, int]:
    """Return how many lookups have a path of which length."""
    return distribution([each.path for group in groups for each in group])


# ---- simultaneous failures ------------------------------------------------------------------


def failure_row(dead: float, seed: int, *, quick: bool) -> Row:
    """Let each node vanish with a probability and look keys up, with no repair."""
    rings, lookups = (2, 400) if quick else (16, 1000)
    return of_failures(dead, [failures(dead, each, lookups) for each in range(seed, seed + rings)])


def of_failures(dead: float, found: Groups) -> Row:
    """Judge the lookups of some rings; every dead node that one tried to contact is a timeout."""
    path, timeouts = FAILURES[dead]
    failed = sum(has_failed(each) for group in found for each in group)
    return Row(
        f"{dead:.1f}",
        (
            measure(found, "path", lambda m: m.path, path, PATH_TOLERANCE),
            measure(found, "timeouts", lambda m: m.timeouts, timeouts, TIMEOUT_TOLERANCE),
            Figure("one ring to the next", spread_of_timeouts(found), None),
            measure(found, "before the last edge", lambda m: m.way_timeouts, timeouts),
            measure(
                found, "the paper's estimate", lambda m: m.way_timeouts,
                expected_timeouts(path, dead),
            ),
            Figure(f"failed of {sum(map(len, found))}", failed, 0, 0.0, grain=1),
        ),
        lengths(found),
    )  # fmt: skip


def spread_of_timeouts(rings: Groups) -> float:
    """Return how much the timeouts of one ring differ from the next."""
    return spread([[each.timeouts for each in ring] for ring in rings])


# ---- churn ----------------------------------------------------------------------------------


def churn_row(rate: float, seed: int, *, quick: bool) -> Row:
    """Let nodes come and go while keys are looked up."""
    judged_s, shown_s, warm_up_s = (300.0, 150.0, WARM_UP_S / 2) if quick else FULL
    found = [
        piece
        for each in range(seed, seed + (1 if quick else NETWORKS))
        for piece in churned(rate, each, judged_s, warm_up_s=warm_up_s)
    ]
    empty = churned(rate, seed, shown_s, upkeep=LEFT_EMPTY, warm_up_s=warm_up_s)
    own = churned(rate, seed, shown_s, upkeep=OURS, warm_up_s=150.0 if quick else warm_up_s)
    return beside_published(rate, found, empty, own)


def beside_published(rate: float, found: Groups, empty: Groups, own: Groups) -> Row:
    """Judge the lookups whose dead fingers are replaced; show those with empty slots and ours."""
    path, timeouts, failed = CHURN[rate]
    return Row(
        f"{rate:.2f}",
        (
            measure(found, "path", lambda m: m.path, path, PATH_TOLERANCE),
            measure(found, "timeouts", lambda m: m.timeouts, timeouts, TIMEOUT_TOLERANCE),
            measure(
                found, "the paper's estimate", lambda m: m.way_timeouts,
                expected_churn_timeouts(path, rate),
            ),
            measure(
                found, "failed of 10,000", lambda m: 10_000 * has_failed(m), failed, 0.0,
                grain=1, at_most=True,
            ),
            *beside("left empty", empty, rate),
            *beside("upkeep on", own, rate),
        ),
        lengths(found),
    )  # fmt: skip


def beside(name: str, found: Groups, rate: float) -> tuple[Figure, ...]:
    """Show lookups under churn that nothing is judged by."""
    path, timeouts, failed = CHURN[rate]
    return (
        measure(found, f"{name}: path", lambda m: m.path, path),
        measure(found, f"{name}: timeouts", lambda m: m.timeouts, timeouts),
        measure(found, f"{name}: failed", lambda m: 10_000 * has_failed(m), failed),
    )


# ---- all of it ------------------------------------------------------------------------------


@attrs.frozen
class Task:
    """One row to work out; workers may do so in any order."""

    table: str
    value: float
    seed: int
    quick: bool


MAKERS: dict[str, Callable[..., Row]] = {
    "paths": path_row, "failures": failure_row, "churn": churn_row, "keys": keys_row,
}  # fmt: skip
_WORDS = {
    "paths": ("Path length against the number of nodes", "nodes",
              "ideal finger tables, 64-bit identifiers"),
    "failures": ("Simultaneous failures", "dead",
                 "1000 nodes, successor lists of 20, no repair"),
    "churn": ("Lookups under churn", "joins/s",
              "1000 nodes, stabilising every 30 s, dead fingers replaced at once"),
    "keys": ("Keys per node", "virtual nodes", "100 keys a node; as multiples of the mean"),
}  # fmt: skip


def tasks(seed: int, *, quick: bool) -> list[Task]:
    """Return all rows to work out."""
    values: dict[str, list[float]] = {
        "paths": [bits for bits in PATHS if not quick or bits <= 16],
        "failures": list(FAILURES),
        "churn": list(CHURN),
        "keys": list(KEYS),
    }
    return [Task(table, value, seed, quick) for table in MAKERS for value in values[table]]


def work(task: Task) -> Row:
    """Work one row out."""
    return MAKERS[task.table](task.value, task.seed, quick=task.quick)


def tables(done: list[tuple[Task, Row]]) -> list[Table]:
    """Put the rows into their tables."""
    return [
        Table(key, *_WORDS[key], tuple(row for task, row in done if task.table == key))
        for key in MAKERS
    ]
