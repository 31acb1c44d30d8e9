"""A network of :class:`ChordNode` in virtual time, determined by one seed.

Nothing waits for a real clock (:mod:`chordnet.sim.world.schedule`). Messages take a random time and
keep their order on each connection. A killed process's peers find their connections broken and then
refused; a frozen one is silent and finds its messages when it is thawed. What else can go wrong on
the way is :class:`~chordnet.sim.world.weather.Weather`.

Two networks made from the same seed and driven alike go through the same steps, on every
supported Python. (The distributions that need logarithms rely on the platform's ``libm``.)
"""

from __future__ import annotations

import heapq
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, Protocol

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.events import LinkFault
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import Ask, Bcast, MarkedBcast, NodeRef, PeerMessage, Status
from chordnet.core.node import ChordNode
from chordnet.core.seals.notary import Notary
from chordnet.judge.invariants import problems
from chordnet.judge.problems import NotActive, Problem
from chordnet.sim.world.asking import REFUSAL_S, UNREACHABLE_S, Asking
from chordnet.sim.world.host import Disk, Host, Link
from chordnet.sim.world.latency import Latency, happens, uniform
from chordnet.sim.world.schedule import Entry, Schedule
from chordnet.sim.world.weather import MAX_CLOGGED, Rule, Weather

ROUNDING_S = 1e-9
"""The largest error of a clock's arithmetic."""


class Watcher(Protocol):
    """Is shown every step, as :mod:`chordnet.sim.world.trace` is."""

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        """Note that ``host`` has taken ``event`` and asked for ``effects``."""

    def faulted(self, host: Host, what: str) -> None:
        """Note what was done to ``host`` from outside: killed, frozen, thawed, placed, left."""


class Network(Schedule):
    """Hosts by address, and the heap of what is about to happen.

    :param latency: draws a message's travel time in seconds; see :mod:`chordnet.sim.world.latency`.
    :param loss: probability that a message is lost.
    :param watchers: are shown every step.
    :param most_steps: a run that takes more raises :class:`Storm`.
    """

    def __init__(
        self,
        seed: int,
        config: ProtocolConfig | None = None,
        *,
        latency: Latency = uniform(0.0005, 0.0015),  # noqa: B008  the function keeps no state
        loss: float = 0.0,
        watchers: Iterable[Watcher] = (),
        most_steps: int = sys.maxsize,
    ) -> None:
        super().__init__(most_steps)
        self.seed = seed
        self.rng = Random(seed)
        self.config = config or ProtocolConfig()
        self.space = IdentifierSpace(self.config.bits)
        self.latency = latency
        self.weather = Weather(loss)
        self.watchers = list(watchers)
        self.hosts: dict[str, Host] = {}
        """The latest process at each address."""
        self.cores: dict[str, type[ChordNode]] = {}
        """The class that runs at an address, if it is not an honest node."""
        self.notary_of: Callable[[bytes], Notary | None] = lambda _raw: None
        """Makes the notary of each new node, by its identifier; by default they have none."""
        self.dials: Counter[str] = Counter()
        """How often each address has tried to connect with another."""
        self.edges: set[tuple[str, bytes, bytes]] = set()
        """Every (broadcast, sender, receiver) for which a Bcast was sent."""
        self._sent: defaultdict[type, int] = defaultdict(int)
        self._made = 0
        self._op = 0
        self._dark: set[str] = set()
        self._asking = Asking(self.hosts, self._is_dark, self._later, self._ask, self._step)

    @property
    def sent(self) -> Counter[str]:
        """How many messages of each type were sent."""
        return Counter({kind.__name__: count for kind, count in self._sent.items()})

    @property
    def loss(self) -> float:
        """Probability that a message is lost."""
        return self.weather.loss

    # ---- hosts ------------------------------------------------------------------------------

    def make(
        self, name: str, bootstrap: list[str], incarnation: int = 1, identifier: int | None = None
    ) -> Host:
        """Make a node's process without starting it; its address is its name."""
        if identifier is None:
            identifier = self.space.hash(name.encode())
        ref = NodeRef(self.space.raw(identifier), incarnation, name, name)
        core = self.cores.get(name, ChordNode)
        rng = Random(self.rng.getrandbits(64))
        node = core(self.config, ref, rng, None, self.notary_of(ref.raw))
        host = Host(node, bootstrap, Disk(incarnation), number=self._made)
        self._made += 1
        self.hosts[name] = host
        self._dark.discard(name)
        return host

    def add(
        self, name: str, bootstrap: list[str], incarnation: int = 1, identifier: int | None = None
    ) -> Host:
        """Start a node that asks the addresses ``bootstrap`` for a ring."""
        host = self.make(name, bootstrap, incarnation, identifier)
        self._later(0.0, host, ev.Start(bootstrap, []))
        return host

    def placed(self, host: Host) -> None:
        """Start the node of ``host``, made a member by other means, with links to all that it
        points to.
        """
        node = host.node
        for ref in (*node.routes.nodes(), *([node.predecessor] if node.predecessor else [])):
            if ref.raw != host.ref.raw and ref.address not in host.links:
                self._connect(host, ref)
        self._tell(host, "placed")
        if host.node.deadline is not None:
            self._arm(host, host.due(host.node.deadline))

    def restart(self, name: str, *, disk: bool = True, incarnation: int | None = None) -> Host:
        """Start a process again where the last one ended (it is killed if it runs).

        :param disk: whether it finds the peers that its last life knew.
        :param incarnation: the new life's; by default one more than the last.
        """
        old = self.hosts[name]
        if old.runs:
            self.kill(name)
        if incarnation is None:
            incarnation = old.disk.incarnation + 1
        host = self.make(name, old.bootstrap, incarnation, old.ref.id)
        host.offset, host.rate = old.offset, old.rate
        known = old.disk.known if disk else []
        host.disk.known = known
        host.disk.incarnation = max(incarnation, old.disk.incarnation)
        self._later(0.0, host, ev.Start(old.bootstrap, known))
        return host

    def kill(self, name: str, *, silent: bool = False) -> None:
        """End a process without warning; its peers find their connections broken.

        ``silent``: the machine is gone as well, so a peer finds that out only by asking.
        """
        victim = self.hosts[name]
        if not victim.runs:
            return
        victim.up = False
        if silent:
            self._dark.add(name)
        self._cut_off(victim, None if silent else LinkFault.BROKEN)
        self._tell(victim, "killed")

    def leave(self, name: str) -> None:
        """Let a node leave in order."""
        self._step(self.hosts[name], ev.Leave())

    def freeze(self, name: str) -> None:
        """Stop a process; what is sent to it waits."""
        host = self.hosts[name]
        if host.runs and not host.frozen:
            host.frozen = True
            self._tell(host, "frozen")

    def thaw(self, name: str) -> None:
        """Let a frozen process go on."""
        host = self.hosts[name]
        if not host.frozen or not host.runs:
            return
        host.frozen = False
        backlog, host.backlog = host.backlog, []
        for event in backlog:
            self._later(0.0, host, event)
        self._later(0.0, host, ev.Tick())
        self._tell(host, "thawed")

    def skew(self, name: str, offset: float, rate: float = 1.0) -> None:
        """Let a process's clock read ``offset + rate * now``; do so before it starts."""
        host = self.hosts[name]
        host.offset, host.rate = offset, rate

    def live(self) -> list[Host]:
        """Return the hosts whose process runs and has not left."""
        return [host for host in self.hosts.values() if host.up and not host.left]

    # ---- faults between them ----------------------------------------------------------------

    def disturb(self, rules: Iterable[Rule]) -> None:
        """Add ``rules`` to those in force."""
        self.weather.rules.extend(rules)
        self._expose()

    def heal(self) -> None:
        """Remove all rules."""
        self.weather.rules.clear()
        self._expose()

    def partition(self, *groups: Iterable[str]) -> None:
        """Cut groups of addresses off from one another."""
        self.disturb(self.weather.partition([frozenset(group) for group in groups]))

    def sever(self, a: str, b: str) -> None:
        """Break the connection of two hosts: what is in flight is lost, and both notice."""
        for source, target in ((a, b), (b, a)):
            host, other = self.hosts[source], self.hosts[target]
            link = host.links.get(target)
            if link is not None:
                link.epoch += 1
                link.arrival = self.now
            if host.runs and (link is not None or target in host.inbound):
                self._later(REFUSAL_S, host, ev.LinkDown(other.ref, LinkFault.BROKEN))

    def _expose(self) -> None:
        for link, freed in self.weather.change(self.hosts.values()):
            for message in freed:
                self._dispatch(link, self.now + self.latency(self.rng), message)

    def _cut_off(self, host: Host, fault: LinkFault | None) -> None:
        """Take away the connections of a process that ends."""
        peers = {link.source: None for link in host.inbound.values()}
        peers |= {link.target: None for link in host.links.values()}
        for peer in peers:
            link = host.links.get(peer.ref.address)
            # What the process sent before its end still arrives before the end of the connection.
            after = max(self.now + REFUSAL_S, link.arrival if link is not None else 0.0)
            peer.links.pop(host.ref.address, None)
            peer.inbound.pop(host.ref.address, None)
            if fault is not None:
                self._schedule(after, self._deliver_event, peer, ev.LinkDown(host.ref, fault))
        host.links, host.inbound = {}, {}

    # ---- operations -------------------------------------------------------------------------

    def publish(self, name: str, body: str, ask: int = Ask.NOTHING) -> int:
        """Broadcast from a node; the receipt appears in ``host.done`` under the returned number.

        :param ask: what the receipt is to say of each node.
        """
        self._op += 1
        messages = [(self._op, body.encode())]
        event = ev.PublishAsking(messages, self.now, ask) if ask else ev.Publish(messages, self.now)
        self._step(self.hosts[name], event)
        return self._op

    def lookup(self, name: str, key: int, *, iterative: bool = False) -> int:
        """Look up from a node; the result appears in ``host.done``."""
        self._op += 1
        event = ev.FindOwner(self._op, self.space.raw(key), iterative)
        self._step(self.hosts[name], event)
        return self._op

    def say(
        self, name: str, to: NodeRef, message: PeerMessage, speaker: NodeRef | None = None
    ) -> None:
        """Let a host send a message that its node has not asked for.

        :param speaker: the node that the connection's greeting names; by default the host's own.
        """
        host = self.hosts[name]
        if not host.runs:
            return
        if speaker is None:
            self._send(host, to, message)
        elif to.address in self.hosts and self.hosts[to.address].runs:
            target = self.hosts[to.address]
            self._later(self.latency(self.rng), target, ev.Received(speaker, message))

    def problems(self) -> list[Problem]:
        """Judge the ring of all live hosts from their pointers."""
        views = []
        for host in self.live():
            if host.node.status() != Status.ACTIVE:
                return [NotActive(host.ref.id, host.ref.name, host.node.status().name)]
            views.append(host.view())
        return problems(views, self.space, self.config.successors)

    # ---- performing effects -----------------------------------------------------------------

    def _later(self, delay: float, host: Host, event: ev.Event) -> None:
        self._schedule(self.now + delay, self._deliver_event, host, event)

    def _deliver_event(self, host: Host, event: ev.Event, _: None) -> None:
        self._step(host, event)

    def _deliver(self, link: Link, epoch: int, message: PeerMessage) -> None:
        if link.epoch == epoch:
            self._step(link.target, ev.Received(link.source.ref, message))

    def _step(self, host: Host, event: ev.Event) -> None:
        if not host.up or host.left:
            return
        if host.frozen:
            if type(event) is not ev.Tick:
                host.keep(event)
            return
        self.steps += 1
        node = host.node
        now = host.offset + host.rate * self.now
        now = max(now, host.latest)
        host.latest = now
        effects = node.step(event, now)
        for effect in effects:
            if type(effect) is fx.Send:
                self._send(host, effect.to, effect.message)
            else:
                self._perform(host, effect)
        for watcher in self.watchers:
            watcher.stepped(host, event, effects)
        if host.ticking is not None and (node.bound - host.offset) / host.rate >= host.ticking:
            return
        deadline = node.deadline
        if deadline is not None:
            at = (deadline - host.offset) / host.rate
            if host.ticking is None or at < host.ticking:
                self._arm(host, at)

    def _arm(self, host: Host, at: float) -> None:
        at = max(at, self.now)
        host.ticking = at
        self._count += 1
        entry: Entry = (at, self._count, self._tick, host, at, None)
        heapq.heappush(self._heap, entry)

    def _tick(self, host: Host, at: float, _: None) -> None:
        if host.ticking != at:
            return
        host.ticking = None
        deadline = host.node.deadline
        if deadline is None:
            return
        clock = host.offset + host.rate * self.now
        if deadline > clock + ROUNDING_S:
            self._arm(host, host.due(deadline))
        else:
            # A skewed clock is rounded: it must not wake its process just before the deadline.
            host.latest = max(host.latest, deadline)
            self._step(host, _TICK)

    def _perform(self, host: Host, effect: fx.Effect) -> None:
        if isinstance(effect, fx.Record):
            host.records.append(effect)
        elif isinstance(effect, fx.SendStored):
            found, lost, complete = host.kept(effect.ranges, sealed=effect.sealed)
            for message in effect.answers(found, lost, complete=complete):
                self._send(host, effect.to, message)
        elif isinstance(effect, fx.LookupDone | fx.BroadcastDone):
            host.done[effect.op] = effect
        elif isinstance(effect, fx.Verify):
            self._asking.verify(host, effect.node)
        elif isinstance(effect, fx.Judged):
            self._asking.judged(host, effect)
        elif isinstance(effect, fx.PeersKnown):
            host.disk.known = effect.peers
        elif isinstance(effect, fx.Misbehaved):
            host.misbehaved.append(effect)
        elif isinstance(effect, fx.LeftRing):
            host.left = True
            self._cut_off(host, LinkFault.CLOSED)
            self._tell(host, "left")

    def _ask(self, call: Callable[..., Any], host: Host, question: Any) -> None:
        after = self.latency(self.rng) + self.latency(self.rng)
        self._schedule(self.now + after, call, host, question)

    def _is_dark(self, source: str, target: str) -> bool:
        return target in self._dark or self.weather.parts(source, target)

    def _tell(self, host: Host, what: str) -> None:
        for watcher in self.watchers:
            watcher.faulted(host, what)

    # ---- messages on their way --------------------------------------------------------------

    def _send(self, host: Host, to: NodeRef, message: PeerMessage) -> None:
        self._sent[type(message)] += 1
        link = host.links.get(to.address) or self._connect(host, to)
        if link is None:
            return
        target = link.target.ref
        if (
            to is not target
            and to.raw
            and (to.incarnation != target.incarnation or to.raw != target.raw)
        ):
            self._later(REFUSAL_S, host, ev.LinkDown(to, LinkFault.REJECTED))
            return
        if type(message) is Bcast or type(message) is MarkedBcast:
            self.edges.add((str(message.id), host.ref.raw, target.raw))
        arrival = self.now + self.latency(self.rng)
        if not self.weather.calm:
            delay = self._befall(link, arrival, message)
            if delay is None:
                return
            arrival += delay
        self._dispatch(link, arrival, message)

    def _dispatch(self, link: Link, arrival: float, message: PeerMessage) -> None:
        """Let ``message`` arrive, no earlier than what was sent on the connection before it."""
        arrival = max(arrival, link.arrival)
        link.arrival = arrival
        self._count += 1
        heapq.heappush(self._heap, (arrival, self._count, self._deliver, link, link.epoch, message))

    def _connect(self, host: Host, to: NodeRef) -> Link | None:
        target = self.hosts.get(to.address)
        source = host.ref.address
        self.dials[source] += 1
        if self._is_dark(source, to.address):
            self._later(UNREACHABLE_S, host, ev.LinkDown(to, LinkFault.UNREACHABLE))
            return None
        if target is None or not target.runs or target is host:
            self._later(REFUSAL_S, host, ev.LinkDown(to, LinkFault.REFUSED))
            return None
        link = host.links[to.address] = target.inbound[source] = Link(host, target)
        if self.weather.rules:
            self.weather.expose(link)
        return link

    def _befall(self, link: Link, arrival: float, message: PeerMessage) -> float | None:
        """Return how much later the faults let a message arrive; None if not in order."""
        weather, rng = self.weather, self.rng
        if link.blocked:
            # The sender finds that out after a while, once.
            if not link.noticing:
                link.noticing = True
                self._schedule(self.now + UNREACHABLE_S, self._noticed, link)
            return None
        if link.clogged is not None:
            if len(link.clogged) < MAX_CLOGGED:
                link.clogged.append(message)
            return None
        if happens(rng, weather.loss) or (link.loss and happens(rng, link.loss)):
            return None
        for chance, again in ((weather.duplicate, True), (weather.reorder, False)):
            if chance and happens(rng, chance):
                late = arrival + link.delay + weather.spread * rng.random()
                self._count += 1
                heapq.heappush(
                    self._heap, (late, self._count, self._deliver, link, link.epoch, message)
                )
                if not again:
                    return None
        return link.delay

    def _noticed(self, link: Link, _: None, __: None) -> None:
        link.noticing = False
        if link.blocked:
            down = ev.LinkDown(link.target.ref, LinkFault.UNREACHABLE)
            self._step(link.source, down)


_TICK = ev.Tick()
