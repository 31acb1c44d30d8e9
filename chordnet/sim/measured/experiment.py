"""One measured run: a right ring, churn and failures, constant lookups, and the ring afterwards.

Everything follows from the seed. Each lookup is made by a random member for a random key, and each
newcomer gets four random members as bootstrap peers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from random import Random
from statistics import fmean, pstdev
from typing import Any

import attrs

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.sim.measured import churn
from chordnet.sim.scenarios.scenario import name_of
from chordnet.sim.world import latency
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.latency import happens
from chordnet.sim.world.meter import LookupMeter, Measured
from chordnet.sim.world.network import Network

MOST_NODES = 100_000
MOST_JUDGED = 20_000
"""Nodes up to which every pointer is judged at the end."""
MOST_LOOKUPS = 10_000_000
"""Lookups of one run."""
CONTACTS = 4
"""Bootstrap peers of a newcomer."""
SAMPLES = 60
"""Points of a run's course."""
QUIET_PART = 0.9
"""The part of its drain time for which a node that departs quietly stays."""
AFTERMATH_S = 60.0
"""How long pending lookups may take, and the ring to become right."""


@attrs.frozen(kw_only=True)
class Settings:
    """What to run.

    :raises ConfigError: a value is out of range; the text names it.
    """

    nodes: int = 100
    duration_s: float = 300.0
    seed: int = 1
    churn: churn.Model = churn.none
    orderly: float = 0.0
    """The fraction of departures that tell the ring; the others crash."""
    quiet: bool = False
    """Tell only the two neighbours of an orderly departure, as in a network without connections."""
    failures: float = 0.0
    """The fraction of nodes that vanish in the same moment."""
    failures_at_s: float | None = None
    """When; by default half-way."""
    lookups_per_s: float = 1.0
    settle: bool = True
    """Whether the ring is judged after the end until it is right."""
    latency: str = "exponential 0.05"
    loss: float = 0.0
    config: ProtocolConfig = attrs.field(factory=ProtocolConfig.wide_area)

    def __attrs_post_init__(self) -> None:
        if not 1 <= self.nodes <= MOST_NODES:
            raise ConfigError(f"nodes must be from 1 to {MOST_NODES}, not {self.nodes}")
        for name in ("duration_s", "lookups_per_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be greater than 0, not {getattr(self, name)!r}")
        if self.duration_s * self.lookups_per_s > MOST_LOOKUPS:
            raise ConfigError(
                f"{self.duration_s * self.lookups_per_s:.0f} lookups are more than {MOST_LOOKUPS}"
            )
        when = self.failures_at_s
        if when is not None and not 0 <= when <= self.duration_s:
            raise ConfigError(f"failures_at_s must lie within the run's duration, not {when!r}")
        for name in ("failures", "loss", "orderly"):
            top = 1.0 if name == "orderly" else 0.99
            if not 0 <= getattr(self, name) <= top:
                raise ConfigError(f"{name} must be from 0 to {top}, not {getattr(self, name)!r}")
        try:
            latency.parse(self.latency)
        except ValueError as problem:
            raise ConfigError(str(problem)) from None


@attrs.frozen
class Sample:
    """The figures of one interval of the run."""

    until_s: float
    members: int
    lookups: int
    failed: int
    timeouts: int


@attrs.frozen
class Figures:
    """Figures about a set of lookups."""

    count: int
    failed: int
    path: float
    path_deviation: float
    paths: dict[int, int]
    """How many lookups passed so many nodes."""
    timeouts: float
    """Per lookup."""
    mean_s: float
    p99_s: float


@attrs.frozen
class Report:
    """The outcome of a run."""

    joined: int
    departed: int
    members: int
    lookups: Figures
    reasons: dict[str, int]
    """Why lookups failed, and how often."""
    messages_per_node_s: float
    steps: int
    settled_s: float | None
    """How long after the run's end there was one right ring; None: not in time."""
    judged: bool
    """Whether the ring was judged: that was asked for, and the ring was small enough."""
    course: tuple[Sample, ...]


def figures(lookups: Iterable[Measured]) -> Figures:
    """Sum lookups up; paths and times are those of the lookups that succeeded."""
    every = list(lookups)
    good = [each for each in every if not each.failure]
    paths = sorted(each.path for each in good)
    times = sorted(each.took_s for each in good)
    return Figures(
        count=len(every),
        failed=len(every) - len(good),
        path=fmean(paths) if paths else 0.0,
        path_deviation=pstdev(paths) if paths else 0.0,
        paths={length: paths.count(length) for length in sorted(set(paths))},
        timeouts=fmean(each.timeouts for each in every) if every else 0.0,
        mean_s=fmean(times) if times else 0.0,
        p99_s=times[min(len(times) * 99 // 100, len(times) - 1)] if times else 0.0,
    )


class Experiment:
    """A run of ``settings``.

    :param told: called now and then with the fraction of the run that is over.
    """

    def __init__(
        self, settings: Settings, told: Callable[[float], None] = lambda fraction: None
    ) -> None:
        self._settings = settings
        self._told = told
        self.network = Network(
            settings.seed,
            settings.config,
            latency=latency.parse(settings.latency),
            loss=settings.loss,
        )
        self._rng = Random(f"experiment {settings.seed}")
        self.meter = LookupMeter(self.network, Random(f"lookups {settings.seed}"))
        """Measures each lookup."""
        self._joined = self._departed = 0
        self._course: list[Sample] = []

    def run(self) -> Report:
        """Run the experiment and return its report."""
        settings, network = self._settings, self.network
        names = [name_of(number) for number in range(1, settings.nodes + 1)]
        right_ring(network, names, names[:CONTACTS])
        for change in settings.churn(self._rng, settings.nodes, settings.duration_s):
            network.at(change.at, lambda change=change: self._change(change))  # type: ignore[misc]
        if settings.failures:
            when = settings.failures_at_s
            network.at(settings.duration_s / 2 if when is None else when, self._fail)
        self._ask_later()
        before = 0
        for number in range(1, SAMPLES + 1):
            network.run(max(settings.duration_s * number / SAMPLES - network.now, 0.0))
            self._sample(before)
            before = len(self.meter.lookups)
            self._told(number / SAMPLES)
        sent, members = sum(network.sent.values()), len(self.meter.members)
        network.run(AFTERMATH_S, until=lambda: not self.meter.under_way, poll=0.5)
        self.meter.asker_gone()
        judged = self._settings.settle and members <= MOST_JUDGED
        settled = self._settle() if judged else None
        reasons: dict[str, int] = {}
        for each in self.meter.lookups:
            if each.failure:
                reason = each.failure.partition(":")[0]
                reasons[reason] = reasons.get(reason, 0) + 1
        return Report(
            self._joined,
            self._departed,
            members,
            figures(self.meter.lookups),
            reasons,
            sent / settings.duration_s / max(members, 1),
            network.steps,
            settled,
            judged,
            tuple(self._course),
        )

    def _settle(self) -> float | None:
        network, end = self.network, self._settings.duration_s
        right = network.run(AFTERMATH_S, until=lambda: not network.problems(), poll=1.0)
        return network.now - end if right else None

    # ---- what happens meanwhile -------------------------------------------------------------

    def _ask_later(self) -> None:
        at = self.network.now + self._rng.expovariate(self._settings.lookups_per_s)
        if at < self._settings.duration_s:
            self.network.at(at, self._ask)

    def _ask(self) -> None:
        self.meter.ask()
        self._ask_later()

    def _change(self, change: churn.Change) -> None:
        name, network = name_of(change.node), self.network
        host = network.hosts.get(name)
        runs = host is not None and host.runs
        if change.verb == "join":
            if runs or not self.meter.members:
                return
            self._joined += 1
            if host is not None:
                network.restart(name)
            else:
                network.add(name, [self.meter.random_member() for _ in range(CONTACTS)])
        elif runs:
            self._departed += 1
            orderly = change.verb == "depart" and happens(self._rng, self._settings.orderly)
            if change.verb != "leave" and not orderly:
                network.kill(name, silent=True)
                return
            network.leave(name)
            if self._settings.quiet:
                # End it just before it would close its connections in order, which others would
                # notice.
                until = network.now + QUIET_PART * self._settings.config.leave_drain_s
                network.at(until, lambda: network.kill(name, silent=True))

    def _fail(self) -> None:
        names = [host.ref.name for host in self.network.live()]
        for name in self._rng.sample(names, round(self._settings.failures * len(names))):
            self._departed += 1
            self.network.kill(name, silent=True)

    def _sample(self, before: int) -> None:
        recent = self.meter.lookups[before:]
        self._course.append(
            Sample(
                self.network.now,
                len(self.meter.members),
                len(recent),
                sum(1 for each in recent if each.failure),
                sum(each.timeouts for each in recent),
            )
        )


def as_json(report: Report) -> dict[str, Any]:
    """Return ``report`` as a JSON document."""
    document = attrs.asdict(report)
    lookups = document["lookups"]
    lookups["paths"] = [{"nodes": k, "lookups": v} for k, v in report.lookups.paths.items()]
    document["course"] = list(document["course"])
    document["reasons"] = [{"reason": k, "lookups": v} for k, v in report.reasons.items()]
    return document
