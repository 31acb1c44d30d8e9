"""Play a scenario and judge it.

A play has failed when a step broke an invariant or raised an exception, when there is not one
right ring within ``within_s`` after the last fault, or when lookups or the broadcast that follow go
wrong.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from functools import partial

import attrs

from chordnet.core.base import effects as fx
from chordnet.core.base.messages import MessageId, Status
from chordnet.judge.invariants import RingView, ideal_successor, problems
from chordnet.judge.problems import NotActive, Problem, WrongHead
from chordnet.sim.scenarios.actor import Actor
from chordnet.sim.scenarios.scenario import FAULTLESS, Scenario, name_of
from chordnet.sim.scenarios.watch import Watch
from chordnet.sim.world import latency
from chordnet.sim.world.build import loopy_ring, right_ring
from chordnet.sim.world.network import Network
from chordnet.sim.world.trace import History, TraceHash

LARGE = 64
"""Members beyond which successors are compared before everything else, for speed."""
STORM = 50_000
"""Steps for each node after which a play ends: the nodes keep each other busy for nothing."""
HOLD_S = 3.0
"""How long a ring has to stay right before it counts (if no messages are lost)."""
SHOWN = 5
"""Problems of a ring that are named."""
ASK_S = 25.0
"""How long lookups at the end may take: a lookup's deadline and some more."""
BROADCAST_S = 45.0
"""How long the receipt of the broadcast at the end may take: its deadline and some more."""
CATCH_UP_S = 60.0
"""How long nodes may take to catch up with what a partial broadcast missed."""


@attrs.frozen
class PlayResult:
    """How a play went."""

    scenario: Scenario
    failures: list[str]
    """One line each; empty when all went well."""
    settled_s: float | None
    """How long after the last fault there was one right ring; None: not in time."""
    now: float
    """Virtual seconds played."""
    steps: int
    checks: int
    """Changes of the ring that were judged while the invariant was in force."""
    mistakes: int
    """How often a live node was taken for dead."""
    digest: str
    """Hash of the whole history; empty when not asked for."""
    history: list[str]
    """The last steps, when asked for."""
    sent: dict[str, int] = attrs.field(factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong."""
        return not self.failures


class Play:
    """One run of ``scenario``.

    :param hashed: hash the whole history.
    :param history: how many of the last steps to keep as text.
    """

    def __init__(self, scenario: Scenario, *, hashed: bool = False, history: int = 0) -> None:
        self.scenario = scenario
        self.network = network = Network(
            scenario.seed,
            scenario.protocol(),
            latency=latency.parse(scenario.latency),
            loss=scenario.loss,
            most_steps=scenario.most_steps or STORM * scenario.nodes,
        )
        network.weather.duplicate = scenario.duplicate
        network.weather.reorder = scenario.reorder
        outsiders = frozenset(name_of(number) for number in scenario.outsiders)
        self._outsiders = outsiders
        self.watch = Watch(network, outsiders)
        self._hash = TraceHash(network) if hashed else None
        self._history = History(network, history) if history else None
        self._settled: float | None = None
        self._poll = 0.05 if scenario.nodes <= 64 else 0.5
        self._actor = Actor(scenario, network)

    # ---- the play ---------------------------------------------------------------------------

    def run(self) -> PlayResult:
        """Play the scenario to its end."""
        try:
            failures = self._acts()
        # Any exception of the core is a finding: report it with its seed.
        except Exception as error:  # noqa: BLE001
            where = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{where.filename.rpartition('/')[2]}:{where.lineno}"
            failures = [f"{self.network.now:.6f} s: {type(error).__name__} at {at}: {error}"]
        network, checker = self.network, self.watch.checker
        return PlayResult(
            self.scenario,
            [*self.watch.violations, *failures],
            self._settled,
            network.now,
            network.steps,
            checker.checks,
            self.watch.mistakes,
            self._hash.digest() if self._hash else "",
            self._history.lines() if self._history else [],
            dict(network.sent),
        )

    def _acts(self) -> list[str]:
        network, scenario = self.network, self.scenario
        self._begin()
        began = network.now
        for action in scenario.actions:
            network.at(began + action.at, partial(self._actor.act, action))
        faults = [a.at for a in scenario.actions if a.verb not in FAULTLESS]
        last = began + max(faults, default=0.0)
        network.run(last - began)
        if self.watch.violations:
            return []
        if not self._settle(last):
            return [] if self.watch.violations else self._unsettled()
        rest = began + max((a.at for a in scenario.actions), default=0.0) - network.now
        network.run(max(rest, 0.0))
        return [*self._count(), *self._check_lookups(), *self._check_broadcast()]

    def _settle(self, last: float) -> bool:
        """Wait for one right ring that stays right for a while; return True if it came in time."""
        network, end = self.network, last + self.scenario.within_s

        def over() -> bool:
            return bool(self.watch.violations) or not self.problems()

        while network.now <= end:
            if not network.run(end - network.now, over, self._poll):
                return False
            if self.watch.violations:
                return False
            settled = network.now - last
            # If messages are lost, a live node may be taken for dead at any time.
            network.run(0.0 if network.loss else HOLD_S)
            if network.loss or not self.problems():
                self._settled = settled
                return True
        return False

    def problems(self) -> list[Problem]:
        """Judge the ring of all hosts that are expected in it."""
        network = self.network
        hosts = [h for h in network.live() if h.ref.address not in self._outsiders]
        for host in hosts:
            if host.node.status() != Status.ACTIVE:
                return [NotActive(host.ref.id, host.ref.name, host.node.status().name)]
        views = [host.view() for host in hosts]
        if len(views) > LARGE and (found := _wrong_head(views)):
            return found
        return problems(views, network.space, network.config.successors)

    def _unsettled(self) -> list[str]:
        found = self.problems()
        more = f" (and {len(found) - SHOWN} more)" if len(found) > SHOWN else ""
        texts = "; ".join(problem.words(self.network.space.hex) for problem in found[:SHOWN])
        return [f"no right ring {self.scenario.within_s} s after the last fault: {texts}{more}"]

    # ---- the beginning ----------------------------------------------------------------------

    def _begin(self) -> None:
        scenario, network = self.scenario, self.network
        names = [name_of(number) for number in range(1, scenario.nodes + 1)]
        if scenario.start == "rings":
            begin = 0
            for size in scenario.rings:
                right_ring(network, names[begin : begin + size], self._actor.peers(0))
                begin += size
        elif scenario.start == "loopy":
            loopy_ring(network, names, self._actor.peers(0))
        else:
            for number, name in enumerate(names, 1):
                network.add(name, self._actor.peers(number))
                self._actor.skew(name)
                if scenario.start == "one by one":
                    network.run(2.0, network.hosts[name].node.is_member)

    # ---- the end ----------------------------------------------------------------------------

    def _inside(self) -> list[str]:
        return [h.ref.name for h in self.network.live() if h.ref.address not in self._outsiders]

    def _count(self) -> list[str]:
        wanted, found = self.scenario.members, len(self._inside())
        if wanted is not None and wanted != found:
            return [f"the ring has {found} members, should have {wanted}"]
        return []

    def _check_lookups(self) -> list[str]:
        network, names = self.network, self._inside()
        members = sorted(network.hosts[name].ref.id for name in names)
        asked = []
        for _ in range(self.scenario.lookups):
            name, key = network.rng.choice(names), network.rng.getrandbits(network.space.bits)
            asked.append((network.hosts[name], key, network.lookup(name, key)))
        network.run(ASK_S, lambda: all(op in host.done for host, _, op in asked))
        wrong, failed = [], []
        for host, key, op in asked:
            done, owner = host.done.get(op), ideal_successor(members, key)
            if not isinstance(done, fx.LookupDone) or done.owner is None:
                reason = done.reason if isinstance(done, fx.LookupDone) else "no answer"
                failed.append(f"a lookup by {host.ref.name} failed: {reason}")
            elif done.owner.id != owner:
                wrong.append(f"a lookup by {host.ref.name} found {done.owner.name}, not the owner")
        # If messages are lost, as many lookups may run out of time, but none may be wrong.
        tolerated = network.weather.loss * len(asked)
        return [*wrong, *(failed if len(failed) > tolerated else [])][:SHOWN]

    def _check_broadcast(self) -> list[str]:
        if not self.scenario.publish:
            return []
        network, names = self.network, self._inside()
        origin = network.hosts[network.rng.choice(names)]
        op = network.publish(origin.ref.name, "the last message")
        network.run(BROADCAST_S, lambda: op in origin.done)
        done = origin.done.get(op)
        if not isinstance(done, fx.BroadcastDone) or done.id is None:
            return [f"the broadcast of {origin.ref.name} was not confirmed"]
        # A node taken for dead is skipped, but still catches up with what it missed.
        exact = self.watch.trusted and not done.partial and not self._outsiders
        if exact and done.recorded != len(names):
            return [f"the receipt says {done.recorded} nodes, there are {len(names)}"]
        network.run(0.0 if exact else CATCH_UP_S, lambda: not self._missing(done.id, names))
        missed = self._missing(done.id, names)
        if missed:
            return [f"the broadcast of {origin.ref.name} missed {', '.join(missed[:SHOWN])}"]
        return []

    def _missing(self, message_id: MessageId | None, names: list[str]) -> list[str]:
        hosts = self.network.hosts
        return [name for name in names if all(r.id != message_id for r in hosts[name].records)]


def _wrong_head(views: Sequence[RingView]) -> list[Problem]:
    members = sorted(v.id for v in views)
    after = dict(zip(members, [*members[1:], members[0]], strict=True))
    for v in views:
        head = next(iter(v.successors), None)
        if head != after[v.id]:
            return [WrongHead(v.id, head, after[v.id])]
    return []


def play(scenario: Scenario, *, hashed: bool = False, history: int = 0) -> PlayResult:
    """Play ``scenario``; see :class:`Play`."""
    return Play(scenario, hashed=hashed, history=history).run()
