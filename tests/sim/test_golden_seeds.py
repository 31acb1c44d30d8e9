"""What a seed means: a reported seed can be played again only while it means what it meant.

``golden/seeds.json`` holds a digest of what each source of chance draws. A change on purpose is
written down anew with ``python -m tests.sim.test_golden_seeds``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import Hop, MessageId, NodeRef, RingLabel, Status, contact
from chordnet.sim.campaign import byzantine
from chordnet.sim.campaign import run as campaign
from chordnet.sim.campaign.liar import KINDS, Liar
from chordnet.sim.campaign.run import Plan
from chordnet.sim.measured import churn
from chordnet.sim.scenarios.generate import generate
from chordnet.sim.scenarios.scenario import dumps
from chordnet.sim.world import latency
from chordnet.sim.world.host import Host
from chordnet.sim.world.network import Network
from chordnet.sim.world.trace import TraceHash
from chordnet.sim.world.weather import Rule

GOLDEN = Path(__file__).parent / "golden" / "seeds.json"
encode = msgspec.msgpack.Encoder().encode

REFS = [NodeRef(bytes([n]) * 20, n, f"10.0.0.{n}:1", f"n{n}") for n in range(1, 9)]
ME, VICTIM, *_ = REFS
ID = MessageId(VICTIM.raw, VICTIM.incarnation, 5)
HEARD: list[Any] = [
    msg.Bcast(ID, 1, 1.5, 60, REFS[4].raw, 2, [Hop(VICTIM.raw, "n2", 0)], [b"body"]),
    msg.Want([msg.Range(VICTIM.raw, 2, 1, 9)]),
    msg.Have([], [], [msg.OriginState(VICTIM.raw, 2, [1, 6])]),
    msg.Find(7, REFS[3], b"k" * 20, 0, [], 9, False),
    msg.FindNext(3, b"k" * 20, 0, [], False),
    msg.State(4, 3, RingLabel(0, 1), REFS[2], REFS[3:6], None),
    msg.Compare(77),
]
"""What a liar hears, and may twist."""


def lies(kind: str) -> Iterable[bytes]:
    """Everything that a liar of this kind says in twelve acts, with what it provokes and twists."""
    for seed in range(12):
        liar = Liar(ME, Random(seed), REFS[1:], VICTIM, published=seed)
        liar.earlier = list(HEARD)
        liar.seen.extend(HEARD)
        for _ in range(2):
            yield encode([(to.name, frame) for to, frame in KINDS[kind](liar)])
            yield encode([liar.speaker, liar.serves])
            for message in HEARD:
                if liar.reply is not None:
                    yield encode([(to.name, m) for to, m in liar.reply(REFS[3], message)])
                if liar.twist is not None:
                    yield encode(liar.twist(REFS[3], message))


def scenarios() -> Iterable[bytes]:
    return (dumps(generate(seed)).encode() for seed in range(120))


def delays(words: str) -> Iterable[bytes]:
    rng, draw = Random(1), latency.parse(words)
    return (f"{draw(rng):.9e}".encode() for _ in range(500))


def changes(words: str) -> Iterable[bytes]:
    for seed in range(20):
        for each in churn.parse(words)(Random(seed), 6, 400.0):
            yield f"{each.at:.6f} {each.verb} {each.node}".encode()


class Chatter:
    """A core without a protocol: it talks, asks, keeps and answers, all at random."""

    def __init__(self, _config: ProtocolConfig, me: NodeRef, rng: Random, *_more: None) -> None:
        self.me, self.rng = me, rng
        self.deadline: float | None = None
        self.known: list[NodeRef] = []
        self.sequence = 0

    @property
    def bound(self) -> float:
        return math.inf if self.deadline is None else self.deadline

    def status(self) -> Status:
        return Status.ACTIVE

    def standing(self) -> ev.Standing:
        return ev.Standing(self.me, int(Status.ACTIVE), None, None)

    def step(self, event: ev.Event, now: float) -> list[fx.Effect]:
        if isinstance(event, ev.Start):
            self.known = [*map(contact, event.bootstrap), *event.known]
            self.deadline = now + self.rng.random()
        elif isinstance(event, ev.Tick):
            self.deadline = now + 0.2 + self.rng.random()
            return self.chat()
        elif isinstance(event, ev.Received):
            return self.hear(event.sender, event.message)
        elif isinstance(event, ev.Publish):
            return self.publish(event.messages[0][0])
        elif isinstance(event, ev.FindOwner):
            return [fx.LookupDone(event.op, self.me, [self.me])]
        elif isinstance(event, ev.Leave):
            return [*(fx.Send(ref, msg.Leaving(None, [])) for ref in self.known), fx.LeftRing()]
        return []

    def chat(self) -> list[fx.Effect]:
        rng, known = self.rng, self.known
        real = [ref for ref in known if ref.raw] or [self.me]
        drawn = rng.choice(real)
        wanted = [msg.Range(ref.raw, 1, 1, 9) for ref in real]
        return [
            *(fx.Send(rng.choice(known), msg.Ping(rng.randrange(99))) for _ in range(2)),
            fx.Verify(drawn),
            fx.Judged(drawn, rng.choice(("", "no")), "n1"),
            fx.PeersKnown(known[-3:]),
            fx.Misbehaved(drawn, "it does"),
            *([fx.SendStored(drawn, wanted, rng.choice((None, True, False)))] * rng.randrange(2)),
        ]

    def hear(self, sender: NodeRef, message: msg.PeerMessage) -> list[fx.Effect]:
        if sender not in self.known:
            self.known = [*self.known, sender][-6:]
        if isinstance(message, msg.Ping):
            return [fx.Send(sender, msg.Pong(message.rid, 3))]
        if isinstance(message, msg.Bcast):
            return [fx.Record(message.id, 0.0, b"x", message.hops)]
        return []

    def publish(self, op: int) -> list[fx.Effect]:
        self.sequence += 1
        key = MessageId(self.me.raw, self.me.incarnation, self.sequence)
        hops = [Hop(self.me.raw, self.me.name, 0)]
        said = msg.Bcast(key, 1, 0.0, 60, self.me.raw, 2, hops, [b"x"])
        return [
            fx.Record(key, 0.0, b"x", hops),
            *(fx.Send(ref, said) for ref in self.known),
            fx.BroadcastDone(op, key, recorded=1),
        ]


def weather(kind: str) -> Iterable[bytes]:
    """All that happens to eight chatting hosts in twenty seconds of one kind of weather."""
    names = [f"n{number}" for number in range(1, 9)]
    network = Network(7, ProtocolConfig(bits=32), latency=latency.uniform(0.001, 0.05))
    network.cores = dict.fromkeys(names, Chatter)  # type: ignore[arg-type]
    history = TraceHash(network)
    for number, name in enumerate(names):
        network.add(name, [n for n in names[:3] if n != name], incarnation=number % 3 + 1)
        network.skew(name, 10.0 * number, 1.0 + number / 100)
    network.at(1.0, lambda: WEATHERS[kind](network))
    for at, name in ((2.0, "n1"), (2.5, "n5"), (6.0, "n5")):
        network.at(at, lambda name=name: network.publish(name, "x"))
    network.at(3.0, lambda: network.lookup("n2", 77, iterative=True))
    network.at(6.0, network.heal)
    network.run(20.0)
    yield history.digest().encode()
    for host in network.hosts.values():
        yield encode([host.records, sorted(host.done.items()), host.misbehaved, host.disk.known])
        yield encode([host.ref, host.up, host.left, host.frozen, sorted(host.links)])
    yield encode([sorted(network.sent.items()), sorted(network.dials.items()), network.steps])
    yield encode([sorted(network.edges), [host.ref.name for host in network.live()]])


def _set(network: Network, **values: float) -> None:
    for name, value in values.items():
        setattr(network.weather, name, value)


def _ends(network: Network) -> None:
    network.kill("n1")
    network.kill("n2", silent=True)
    network.leave("n3")
    network.at(2.0, lambda: network.restart("n1"))
    network.at(3.0, lambda: network.restart("n2", disk=False))
    network.at(3.5, lambda: network.restart("n3", incarnation=1))
    network.at(4.0, lambda: network.restart("n4"))


def _pauses(network: Network) -> None:
    for name in ("n1", "n2"):
        network.freeze(name)
    network.at(2.1, lambda: network.thaw("n1"))
    network.at(4.0, lambda: network.kill("n2"))
    network.at(4.1, lambda: network.thaw("n2"))
    network.sever("n3", "n4")
    network.say("n3", network.hosts["n4"].ref, msg.Notify())
    network.say("n3", network.hosts["n4"].ref, msg.Notify(), network.hosts["n5"].ref)


def _between(**wrong: Any) -> Callable[[Network], None]:
    rule = Rule(frozenset({"n1", "n2", "n5"}), frozenset({"n3", "n4", "n1"}), **wrong)
    return lambda network: network.disturb([rule, rule])


WEATHERS: dict[str, Callable[[Network], None]] = {
    "calm": lambda _: None,
    "lossy": lambda network: _set(network, loss=0.3),
    "doubling": lambda network: _set(network, duplicate=0.4),
    "mixed up": lambda network: _set(network, reorder=0.4),
    "parted": lambda network: network.partition(["n1", "n2"], ["n3", "n4"], ["n5"]),
    "one way": _between(block=True),
    "clogged": _between(clog=True),
    "slow": _between(delay=0.4),
    "losing": _between(loss=0.4),
    "ends": _ends,
    "pauses": _pauses,
}


class Fates:
    """Keeps what befalls the hosts of a network, and when."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.lines: list[str] = []
        network.watchers.append(self)

    def add(self, *words: object) -> None:
        self.lines.append(f"{self._network.now:.6f} {words}")

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        if isinstance(event, ev.Start):
            self.add("joins", host.ref.name, list(event.bootstrap))

    def faulted(self, host: Host, what: str) -> None:
        self.add(what, host.ref.name)


PLANS = {
    "kills and joins": Plan(nodes=12, kills=0.25, joins=3),
    "freezes": Plan(nodes=12, joins=2, freezes=0.25, loss=0.0),
    "a partition": Plan(nodes=12, joins=2, parted_s=1.5),
    "a dying origin": Plan(nodes=12, joins=1, broadcasts=2, origin_dies=True),
}


def befalls(plan: Plan) -> Iterable[bytes]:
    """What befalls the ring of a campaign, whatever its nodes do."""
    for seed in range(3):
        run = campaign.CampaignRun(plan, seed)
        fates = Fates(run.network)
        run.network.at(plan.parted_s + 1.0, lambda fates=fates, run=run: fates.add(_parts(run)))
        run.play()
        fates.add(*sorted(name for name, _key in run._ops.values()))
        yield "\n".join(fates.lines).encode()


def _parts(run: campaign.CampaignRun) -> list[list[str]]:
    return [sorted(rule.sources) for rule in run.network.weather.rules]


def attacks(kind: str) -> Iterable[bytes]:
    """When a ring with a lying node broadcasts, and when the node lies, whatever it says."""
    for seed in range(5):
        run = byzantine.ByzantineRun(kind, seed)
        fates = Fates(run.network)
        run._act = lambda liar, fates=fates: fates.add("lies") or []
        run._attack()
        for told in run.told.values():
            fates.add(told.sender, told.body, f"{told.at:.6f}")
        fates.add(sorted(run.network.hosts), run._x, run._y, run._z)
        fates.add(run.liar.rng.random(), run.liar.victim, run.liar.published)
        yield "\n".join(fates.lines).encode()


def digests() -> dict[str, str]:
    sources: dict[str, Callable[[], Iterable[bytes]]] = {"scenarios": scenarios}
    sources |= {f"lies of kind {kind}": (lambda kind=kind: lies(kind)) for kind in KINDS}
    for words in (
        "constant 0.001", "uniform 0.0005 0.0015", "exponential 0.02", "lognormal 0.03 0.6",
        "pareto 0.01 1.5",
    ):  # fmt: skip
        sources[f"latency {words}"] = lambda words=words: delays(words)
    for words in ("none", "poisson 0.1", "weibull 60 0.6", "weibull 60 3"):
        sources[f"churn {words}"] = lambda words=words: changes(words)
    for kind in WEATHERS:
        sources[f"network, {kind}"] = lambda kind=kind: weather(kind)
    return digested(sources)


def fates() -> dict[str, str]:
    sources: dict[str, Callable[[], Iterable[bytes]]] = {}
    for name, plan in PLANS.items():
        sources[f"campaign with {name}"] = lambda plan=plan: befalls(plan)
    for kind in ("mutate", "replay"):
        sources[f"attacks of kind {kind}"] = lambda kind=kind: attacks(kind)
    return digested(sources)


def digested(sources: dict[str, Callable[[], Iterable[bytes]]]) -> dict[str, str]:
    return {
        name: hashlib.blake2b(b"\n".join(draw()), digest_size=8).hexdigest()
        for name, draw in sources.items()
    }


def text() -> str:
    return json.dumps(digests() | fates(), indent=1) + "\n"


class SeedTests(SynchronousTestCase):
    maxDiff = None

    def test_every_source_of_chance_draws_what_it_drew(self) -> None:
        self.assert_golden(digests())

    def test_what_befalls_a_ring_is_what_befell_it(self) -> None:
        self.assert_golden(fates())

    def assert_golden(self, found: dict[str, str]) -> None:
        golden = json.loads(GOLDEN.read_text("utf-8"))
        self.assertEqual(found, {name: golden.get(name) for name in found})


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(text(), encoding="utf-8")
