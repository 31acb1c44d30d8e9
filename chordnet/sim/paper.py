"""The published figures of Chord, and ours beside them.

- *Path lengths* on ideal finger tables: half of log2 N (Stoica et al., ToN 11(1), 2003, section
  VI-C); the figures for each N are those of an independent simulation of ideal tables.
- *Simultaneous failures* (the same, table II): 1000 nodes with successor lists of 20; a fraction
  vanishes at once; nothing is repaired while 10,000 lookups run. Here the protocol core itself does
  them, with its maintenance at a standstill; each live node has found out that its predecessor is
  dead, since chordnet's owner answers only then. As with paths, the last edge is not counted;
  timeouts with it, since chordnet asks the owner itself, are shown beside, and not judged.
- *Churn* (table III): 1000 nodes stabilise every 15 to 45 s and refresh one finger each time; nodes
  join and vanish by a Poisson process; one lookup a second. The same core at that pace; what the
  paper's nodes lack, hints about new and dead nodes, cannot be turned off, so fewer timeouts are
  expected.
- *Keys per node* (figures 8 and 9): 10,000 nodes and a million keys.

``quick`` takes fewer lookups, shorter runs and smaller rings.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from statistics import fmean

import attrs

from chordnet.core.config import ProtocolConfig
from chordnet.sim import churn
from chordnet.sim.build import right_ring
from chordnet.sim.experiment import Experiment, Settings
from chordnet.sim.latency import uniform
from chordnet.sim.meter import LookupMeter
from chordnet.sim.network import Network
from chordnet.sim.scenario import name_of

PATHS = {
    10: (4.84, 1.50), 12: (5.86, 1.68), 14: (6.86, 1.81),
    16: (7.86, 1.93), 18: (8.87, 2.07), 20: (9.83, 2.18),
}  # fmt: skip
"""log2 N: mean and standard deviation of the path length."""
FAILURES = {
    0.0: (3.84, 0.0), 0.1: (4.03, 0.60), 0.2: (4.22, 1.17),
    0.3: (4.44, 2.02), 0.4: (4.69, 3.23), 0.5: (5.09, 5.10),
}  # fmt: skip
"""Fraction dead: path length and timeouts a lookup. None failed."""
CHURN = {
    0.05: (3.90, 0.05, 0),
    0.10: (3.83, 0.11, 0),
    0.20: (3.81, 0.23, 5),
    0.40: (4.06, 0.46, 15),
}
"""Joins (and departures) a second: path length, timeouts a lookup, failed of 10,000."""
KEYS = {1: (0.01, 4.6), 20: (0.51, 1.65)}
"""Virtual nodes: 1st and 99th percentile of keys per node, as multiples of the mean."""

PATH_TOLERANCE = 0.03
TIMEOUT_TOLERANCE = 0.20
KEYS_TOLERANCE = 0.10
NODES = 1000
NEVER_S = 1e7
"""A pause that no run outlives."""


@attrs.frozen
class Figure:
    """One number of ours beside the published one.

    :param tolerance: how far they may be apart, as a fraction; None: shown only.
    :param at_most: less than published is right as well.
    """

    name: str
    ours: float
    published: float
    tolerance: float | None = None
    at_most: bool = False
    grain: float = 0.01
    """In what steps it was published: half of one may be lost in rounding."""

    @property
    def deviation(self) -> float | None:
        """Ours over published less one; None where nothing was published but 0."""
        return self.ours / self.published - 1 if self.published else None

    @property
    def agrees(self) -> bool:
        """Whether ours is within the tolerance, and what rounding may hide."""
        if self.tolerance is None:
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


# ---- static tables --------------------------------------------------------------------------


def path_row(bits: int, seed: int, *, quick: bool) -> Row:
    """Look keys up on ideal finger tables of 2**bits nodes."""
    from chordnet.sim import analysis  # noqa: PLC0415 - needs numpy, and the other tables do not

    hops = analysis.random_ring(1 << bits, seed).random_lookups(
        10_000 if quick else 100_000, seed
    ).hops  # fmt: skip
    # The last edge, from the node that knows the owner to the owner, is not counted.
    before = (hops - 1).clip(0)
    mean, deviation = PATHS[bits]
    counts = {length: int((before == length).sum()) for length in range(int(before.max()) + 1)}
    return Row(
        f"2^{bits}",
        (
            Figure("path", float(before.mean()), mean, PATH_TOLERANCE),
            Figure("deviation", float(before.std()), deviation, 2 * PATH_TOLERANCE),
        ),
        counts,
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


# ---- the core at work -----------------------------------------------------------------------


def failure_row(dead: float, seed: int, *, quick: bool) -> Row:
    """Let a fraction of the nodes vanish and look keys up, with no repair."""
    rings, lookups = (1, 1000) if quick else (5, 2000)
    measured = [
        each for ring in range(rings) for each in _failures(dead, seed + ring, lookups).lookups
    ]
    path, timeouts = FAILURES[dead]
    failed = sum(1 for each in measured if each.failure or not each.done)
    lengths = [each.path for each in measured]
    return Row(
        f"{dead:.1f}",
        (
            Figure("path", fmean(lengths), path, PATH_TOLERANCE),
            Figure(
                "timeouts",
                fmean(m.timeouts - m.last_timeouts for m in measured),
                timeouts,
                TIMEOUT_TOLERANCE,
            ),
            Figure("with the last edge", fmean(m.timeouts for m in measured), timeouts),
            Figure("failed", failed, 0, 0.0, grain=1),
        ),
        {length: lengths.count(length) for length in sorted(set(lengths))},
    )


def _failures(dead: float, seed: int, lookups: int) -> LookupMeter:
    """Return the lookups of one ring.

    Everything happens within the time for which a silent connection is waited for, so that nothing
    is evicted: the lookups start at once, and each timeout is short.
    """
    config = ProtocolConfig(
        successors=20, stabilise_fast_s=NEVER_S, stabilise_idle_s=NEVER_S, fingers_fast_s=NEVER_S,
        fingers_idle_s=NEVER_S, probe_timeout_s=NEVER_S, probe_interval_s=NEVER_S,
        broken_timeout_s=0.01, audit_s=NEVER_S, audit_min_s=NEVER_S, sync_s=NEVER_S,
        request_timeout_s=0.05, lookup_deadline_s=60.0,
    )  # fmt: skip
    network, rng = Network(seed, config, latency=uniform(0.0001, 0.0002)), Random(f"dead {seed}")
    meter = LookupMeter(network, rng)
    names = [name_of(number) for number in range(1, NODES + 1)]
    hosts = right_ring(network, names, names[:2])
    gone = set(rng.sample(names, round(dead * NODES)))
    for before, after in zip(hosts, hosts[1:] + hosts[:1], strict=True):
        if before.ref.name in gone:
            network.sever(before.ref.name, after.ref.name)
    for host in hosts:
        if host.ref.name in gone:
            network.kill(host.ref.name, silent=True)
    network.run(0.1)
    for _ in range(lookups):
        meter.ask()
    network.run(config.lookup_deadline_s, until=lambda: not meter.under_way)
    return meter


def churn_row(rate: float, seed: int, *, quick: bool) -> Row:
    """Let nodes come and go while keys are looked up."""
    path, timeouts, failed = CHURN[rate]
    pause_s = 30.0
    config = attrs.evolve(
        ProtocolConfig.wide_area(), successors=20, jitter=0.5, sync_s=NEVER_S,
        stabilise_fast_s=pause_s, stabilise_idle_s=pause_s,
        # One of about log2 N distinct fingers at each stabilisation is all of them in ten.
        fingers_fast_s=10 * pause_s, fingers_idle_s=10 * pause_s,
    )  # fmt: skip
    found = Experiment(
        Settings(
            nodes=NODES, duration_s=300.0 if quick else 1800.0, seed=seed, config=config,
            churn=churn.poisson(rate), lookups_per_s=1.0,
        )
    ).run().lookups  # fmt: skip
    return Row(
        f"{rate:.2f}",
        (
            Figure("path", found.path, path, PATH_TOLERANCE, at_most=True),
            Figure("timeouts", found.timeouts, timeouts, TIMEOUT_TOLERANCE, at_most=True),
            Figure("failed of 10,000", found.failed * 10_000 / max(found.count, 1), failed,
                   0.0, at_most=True, grain=1),
        ),
        found.paths,
    )  # fmt: skip


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
              "1000 nodes, stabilising every 30 s; less than published agrees as well"),
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
