"""One run of the broadcast campaign: a ring, a broadcast, and faults meanwhile.

A broadcast takes some 20 ms here when all is well; if messages are lost, about 2.5 s, until they
are sent again. Kills and joins fall into both: each with a probability of one half into the first
:data:`TREE_S`, otherwise anywhere in the first :data:`REPAIR_S`. Messages are lost from the first
step to the last.

A newcomer's bootstrap peers are two members that stay. (A node whose bootstrap peers are all dead
forms a ring of its own, by design, and no other node can find it.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

import attrs

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.messages import MessageId
from chordnet.sim.campaign.evidence import REPAIRS, Evidence
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.latency import happens
from chordnet.sim.world.network import Network

MOST_NODES = 100_000
TREE_S = 0.025
REPAIR_S = 2.5
BEFORE_S = 0.1
"""How long the ring runs before the broadcast."""
POLL_S = 0.02
INSTANT_S = 0.003
"""An origin that dies does so within this time, :data:`TREE_S` or :data:`REPAIR_S`."""
FREEZE_S = 6.0
"""The longest freeze; a silent node is taken for dead after two or three seconds."""
MOST_PARTED_S = 20.0
"""A broadcast's deadline: a longer partition would not change what its receipt says."""
CONTACTS = 2
_SALT = 0x9E3779B97F4A7C15
"""Keeps the random source of the faults apart from that of the nodes."""


def large_ring() -> ProtocolConfig:
    """Return the settings of a campaign: the defaults, with a list for thousands of nodes."""
    return ProtocolConfig(successors=16)


def crippled() -> ProtocolConfig:
    """Return settings that repair no broadcast: nothing is sent again, no digests are compared."""
    never = 1e6
    return attrs.evolve(
        large_ring(),
        ack_timeout_s=never,
        covered_check_s=never,
        broadcast_deadline_s=2 * never,
        grace_s=never,
    )


@attrs.frozen(kw_only=True)
class Plan:
    """What to run.

    :raises ConfigError: a value is out of range; the text names it.
    """

    nodes: int = 1000
    kills: float = 0.0
    """The fraction of the nodes that are killed."""
    joins: int = 20
    loss: float = 0.05
    freezes: float = 0.0
    """The fraction of the nodes that stop for a while and go on: others take them for dead."""
    parted_s: float = 0.0
    """How long the network is cut into two halves meanwhile; 0 for not at all."""
    broadcasts: int = 1
    """How many, each by another origin; the origins stay alive unless ``origin_dies``."""
    origin_dies: bool = False
    within_s: float = 60.0
    """Virtual time from the broadcast to all conditions; the run ends as soon as they hold."""
    linger_s: float = 0.25
    """Virtual time after that, in which nothing may come a second time."""
    crippled: bool = False
    """Leave out what repairs a broadcast, to see that the campaign finds it."""

    def __attrs_post_init__(self) -> None:
        if not 2 <= self.nodes <= MOST_NODES:
            raise ConfigError(f"nodes must be from 2 to {MOST_NODES}, not {self.nodes}")
        for name in ("kills", "loss", "freezes"):
            if not 0 <= getattr(self, name) <= 0.9:
                raise ConfigError(f"{name} must be from 0 to 0.9, not {getattr(self, name):g}")
        if not 0 <= self.joins <= self.nodes:
            raise ConfigError(f"joins must be from 0 to nodes, not {self.joins}")
        stay = self.nodes - int(self.kills * self.nodes) - int(self.freezes * self.nodes)
        if not 0 <= self.parted_s <= MOST_PARTED_S:
            raise ConfigError(
                f"parted_s must be from 0 to {MOST_PARTED_S:g}, not {self.parted_s:g}"
            )
        if not 1 <= self.broadcasts <= stay - CONTACTS:
            raise ConfigError("broadcasts must be from 1 to the number of nodes that stay, less 2")
        if not self.within_s > 0:
            raise ConfigError(f"within_s must be greater than 0, not {self.within_s:g}")

    @property
    def undisturbed(self) -> bool:
        """Whether nothing happens to the broadcast, so that its cost is known beforehand."""
        faults = (self.kills, self.loss, self.joins, self.freezes, self.parted_s, self.origin_dies)
        return not any(faults) and self.broadcasts == 1


@attrs.frozen(kw_only=True)
class CampaignResult:
    """The outcome of one seed's run."""

    seed: int
    live: int
    """Processes that were alive at the end, newcomers included."""
    missed: int
    """Live processes without a message, counted once for each message."""
    twice: int
    untrue: int
    receipts: int
    partial: int
    unreached: int
    """Nodes that receipts name as unreached."""
    lacked: int
    """Live members that had not recorded a message when its receipt, not partial, came."""
    early: int
    """Receipts that were not partial and came before a live member had recorded the message."""
    confirmed_s: float | None
    """When the last receipt came."""
    settled_s: float | None
    """When all conditions held."""
    bcasts: int
    answers: int
    """Acknowledgements and reports."""
    edges: dict[str, int]
    """Records by the kind of their last edge."""
    lost: int
    """Messages that died with their origins, without a receipt and without a trace."""
    failures: tuple[str, ...]
    steps: int
    cpu_s: float = 0.0
    """Processor time of the run, if it was measured."""

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong."""
        return not self.failures

    @property
    def repairs(self) -> int:
        """Records that came by an edge of a repair."""
        return sum(self.edges.get(kind.name.lower(), 0) for kind in REPAIRS)


class CampaignRun:
    """The run of ``plan`` with one seed."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.seed = seed
        self.network = Network(seed, crippled() if plan.crippled else large_ring())
        self.evidence = Evidence(self.network)
        self._rng = Random(seed ^ _SALT)
        self._ops: dict[int, tuple[str, MessageId]] = {}
        self._busy_until = 0.0

    def play(self) -> CampaignResult:
        """Play the run to its end and judge it."""
        failures = []
        try:
            self._begin()
            settled = self.network.run(self.plan.within_s, self._settled, POLL_S)
            at = self.network.now - self._began if settled else None
            self.network.run(self.plan.linger_s)
        # Any exception of the core is a finding: report it with its seed.
        except Exception as error:  # noqa: BLE001
            failures.append(f"{self.network.now:.6f} s: {type(error).__name__}: {error}")
            at = None
        return self._result([*failures, *self._failures()], at)

    # ---- what happens -----------------------------------------------------------------------

    def _begin(self) -> None:
        network, plan, rng = self.network, self.plan, self._rng
        names = [f"n{number}" for number in range(plan.nodes)]
        for host in right_ring(network, names, names[:CONTACTS]):
            self.evidence.joined(host)
            self.evidence.members.add(host.ref.raw)
        network.weather.loss = plan.loss
        network.run(BEFORE_S)
        self._began = network.now
        rng.shuffle(names)
        origins, others = names[: plan.broadcasts], names[plan.broadcasts :]
        victims, stay = _split(others, int(plan.kills * plan.nodes))
        for name in victims:
            self._soon(partial(network.kill, name))
        frozen, stay = _split(stay, int(plan.freezes * plan.nodes))
        for name in frozen:
            self._soon(partial(self._freeze, name))
        if plan.parted_s:
            self._soon(partial(self._part, names))
        for number in range(plan.joins):
            self._soon(partial(self._join, f"j{number}", rng.sample(stay, CONTACTS)))
        for number, name in enumerate(origins):
            self._publish(name, f"message-{number}")
        if plan.origin_dies:
            # In half of the runs everything that the origin has on its way is lost as well.
            span = rng.choice((INSTANT_S, TREE_S, REPAIR_S))
            at = span * rng.random()
            self._at(at, partial(self._die, origins[0], lose=happens(rng, 0.5)))

    def _soon(self, action: Callable[[], None]) -> None:
        span = TREE_S if happens(self._rng, 0.5) else REPAIR_S
        self._at(span * self._rng.random(), action)

    def _later(self, pause: float, action: Callable[[], None]) -> None:
        self._at(self.network.now - self._began + pause, action)

    def _at(self, after: float, action: Callable[[], None]) -> None:
        at = self._began + after
        self._busy_until = max(self._busy_until, at)
        self.network.at(at, action)

    def _freeze(self, name: str) -> None:
        network = self.network
        network.freeze(name)
        self._at(
            network.now - self._began + FREEZE_S * self._rng.random(), partial(network.thaw, name)
        )

    def _part(self, names: list[str]) -> None:
        network = self.network
        half = set(self._rng.sample(names, len(names) // 2))
        # A node that joins later is on neither side.
        network.partition(half, set(network.hosts) - half)
        self._later(self.plan.parted_s, network.heal)

    def _join(self, name: str, contacts: list[str]) -> None:
        self.evidence.joined(self.network.add(name, contacts))

    def _publish(self, name: str, body: str) -> None:
        ref = self.network.hosts[name].ref
        message_id = MessageId(ref.raw, ref.incarnation, 1)
        self.evidence.published(message_id, body.encode())
        self._ops[self.network.publish(name, body)] = name, message_id

    def _die(self, name: str, *, lose: bool) -> None:
        if lose:
            for address in list(self.network.hosts[name].links):
                self.network.sever(name, address)
        self.network.kill(name)

    # ---- the end ----------------------------------------------------------------------------

    def _settled(self) -> bool:
        if self.network.now < self._busy_until or self._unanswered():
            return False
        return self.evidence.complete or not self.evidence.missing(self._lost())

    def _unanswered(self) -> list[str]:
        hosts, receipts = self.network.hosts, self.evidence.receipts
        return [n for op, (n, _) in self._ops.items() if hosts[n].up and op not in receipts]

    def _lost(self) -> set[MessageId]:
        """Return the messages that died with their origins: no receipt was given, and they are
        neither with a node nor on their way. Here no message travels for longer than a moment.
        """
        if self.network.now < self._busy_until + REPAIR_S:
            return set()
        hosts, evidence = self.network.hosts, self.evidence
        return {
            key
            for op, (name, key) in self._ops.items()
            if not hosts[name].up and op not in evidence.receipts and not evidence.holders(key)
        }

    def _failures(self) -> list[str]:
        """Return everything that went wrong, from what the processes hold and from the evidence."""
        evidence = self.evidence
        lost = self._lost()
        found = evidence.missing(lost)
        found += [*evidence.twice, *evidence.untrue]
        found += [f"{name} got no receipt" for name in self._unanswered()]
        for host in self.network.hosts.values():
            found += [f"{host.ref.name} blames {m.peer.name}: {m.reason}" for m in host.misbehaved]
        keys = {key for _, key in self._ops.values()} - lost
        for host in self.network.live():
            ids = [record.id for record in host.records]
            if len(ids) != len(set(ids)) or set(ids) != keys:
                found.append(f"{host.ref.name} holds {len(ids)} records of {len(keys)} messages")
        sent, edges = self.network.sent, self.plan.nodes - 1
        answers = sent["Ack"] + sent["Covered"]
        if self.plan.undisturbed and (sent["Bcast"] != edges or answers > 2 * edges):
            found.append(f"{sent['Bcast']} broadcasts and {answers} answers for {edges} edges")
        return found

    def _result(self, failures: list[str], settled: float | None) -> CampaignResult:
        network, evidence = self.network, self.evidence
        given = evidence.receipts.values()
        firm = [each for each in given if not each.done.partial and each.done.id is not None]
        confirmed = max((each.at for each in given), default=None)
        edges = dict(evidence.counts)
        edges.pop("origin", None)
        sent = network.sent
        return CampaignResult(
            seed=self.seed,
            live=len(network.live()),
            missed=len(evidence.missing(self._lost())),
            twice=len(evidence.twice),
            untrue=len(evidence.untrue),
            receipts=len(given),
            partial=sum(each.done.partial for each in given),
            unreached=sum(len(each.done.unreached) for each in given),
            lacked=sum(len(each.lacking) for each in firm),
            early=sum(bool(each.lacking) for each in firm),
            confirmed_s=None if confirmed is None else confirmed - self._began,
            settled_s=settled,
            bcasts=sent["Bcast"],
            answers=sent["Ack"] + sent["Covered"],
            edges=edges,
            lost=len(self._lost()),
            failures=tuple(failures),
            steps=network.steps,
        )


def _split(names: list[str], count: int) -> tuple[list[str], list[str]]:
    return names[:count], names[count:]
