"""A network of :class:`ChordNode` in virtual time, all of it from one seed.

Messages take a random time, may be lost, and keep their order on each pair of nodes as they do on a
connection. A killed node's peers find its connections broken or refused; a frozen one is silent.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from random import Random

import attrs

from chordnet.core import effects as fx
from chordnet.core import events as ev
from chordnet.core.config import ProtocolConfig
from chordnet.core.events import LinkFault
from chordnet.core.identifiers import IdentifierSpace
from chordnet.core.invariants import Problem, RingView, problems
from chordnet.core.messages import Bcast, NodeRef, PeerMessage, Status
from chordnet.core.node import ChordNode

REFUSAL_S = 0.0005
"""How soon a sender learns that nobody listens at an address."""


@attrs.define
class Host:
    """One simulated process."""

    node: ChordNode
    bootstrap: list[str]
    up: bool = True
    frozen: bool = False
    backlog: list[tuple[NodeRef, PeerMessage]] = attrs.field(factory=list)
    ticking: float | None = None
    records: list[fx.Record] = attrs.field(factory=list)
    done: dict[int, fx.LookupDone | fx.BroadcastDone] = attrs.field(factory=dict)
    left: bool = False

    @property
    def ref(self) -> NodeRef:
        """The node's pointer."""
        return self.node.me


class Network:
    """Hosts by address, and the heap of what is about to happen.

    :param latency: draws a message's travel time in seconds.
    :param loss: probability that a message is lost.
    """

    def __init__(
        self,
        seed: int,
        config: ProtocolConfig | None = None,
        *,
        latency: Callable[[Random], float] = lambda rng: rng.uniform(0.0005, 0.0015),
        loss: float = 0.0,
    ) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.config = config or ProtocolConfig()
        self.space = IdentifierSpace(self.config.bits)
        self.latency = latency
        self.loss = loss
        self.now = 0.0
        self.hosts: dict[str, Host] = {}
        self.sent: Counter[str] = Counter()
        self.edges: set[tuple[str, bytes, bytes]] = set()
        self.steps = 0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._arrival: dict[tuple[str, str], float] = {}
        self._op = 0

    # ---- hosts ------------------------------------------------------------------------------

    def add(self, name: str, bootstrap: list[str], incarnation: int = 1) -> Host:
        """Start a node; its address is its name."""
        ref = NodeRef(self.space.raw(self.space.hash(name.encode())), incarnation, name, name)
        node = ChordNode(self.config, ref, Random(self.rng.getrandbits(64)))
        host = self.hosts[name] = Host(node, bootstrap)
        self.at(self.now, lambda: self._step(host, ev.Start(bootstrap, [])))
        return host

    def kill(self, name: str) -> None:
        """End a process without a word; whoever points at it finds the connection broken."""
        victim = self.hosts[name]
        victim.up = False
        for host in self.live():
            if host is not victim and victim.ref.raw in host.node.routes.raws:
                self._later(REFUSAL_S, host, ev.LinkDown(victim.ref, LinkFault.BROKEN))

    def leave(self, name: str) -> None:
        """Let a node leave in order."""
        self._step(self.hosts[name], ev.Leave())

    def freeze(self, name: str) -> None:
        """Stop a process; what is sent to it waits."""
        self.hosts[name].frozen = True

    def thaw(self, name: str) -> None:
        """Let a frozen process go on."""
        host = self.hosts[name]
        host.frozen = False
        backlog, host.backlog = host.backlog, []
        for sender, message in backlog:
            self._later(0.0, host, ev.Received(sender, message))
        self._later(0.0, host, ev.Tick())

    def live(self) -> list[Host]:
        """Return the hosts whose process runs and has not left."""
        return [host for host in self.hosts.values() if host.up and not host.left]

    # ---- time -------------------------------------------------------------------------------

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do ``action`` at ``time``."""
        self._count += 1
        heapq.heappush(self._heap, (time, self._count, action))

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass, at most ``seconds``; stop as soon as ``until`` holds and say whether."""
        end = self.now + seconds
        check_at = self.now
        while self._heap and self._heap[0][0] <= end:
            if until is not None and self._heap[0][0] >= check_at:
                if until():
                    return True
                check_at = self._heap[0][0] + 0.01
            self.now, _, action = heapq.heappop(self._heap)
            action()
        self.now = end
        return until() if until is not None else False

    # ---- operations -------------------------------------------------------------------------

    def publish(self, name: str, body: str) -> int:
        """Broadcast from a node; the receipt appears in ``host.done`` under the returned number."""
        self._op += 1
        self._step(self.hosts[name], ev.Publish(self._op, body.encode(), self.now))
        return self._op

    def lookup(self, name: str, key: int, *, iterative: bool = False) -> int:
        """Look up from a node; the result appears in ``host.done``."""
        self._op += 1
        event = ev.FindOwner(self._op, self.space.raw(key), iterative)
        self._step(self.hosts[name], event)
        return self._op

    def problems(self) -> list[Problem]:
        """Judge the ring of all live hosts from their pointers."""
        views = []
        for host in self.live():
            node = host.node
            if node.status() != Status.ACTIVE:
                return [Problem("state", f"{host.ref.name} is {node.status().name}", ())]
            views.append(
                RingView(
                    id=host.ref.id,
                    predecessor=node.predecessor.id if node.predecessor else None,
                    successors=[n.id for n in node.successors],
                    fingers={i: n.id for i, n in node.finger_slots},
                )
            )
        return problems(views, self.space, self.config.successors)

    # ---- performing effects -----------------------------------------------------------------

    def _later(self, delay: float, host: Host, event: ev.Event) -> None:
        self.at(self.now + delay, lambda: self._step(host, event))

    def _step(self, host: Host, event: ev.Event) -> None:
        if not host.up or host.left:
            return
        if host.frozen:
            if isinstance(event, ev.Received):
                host.backlog.append((event.sender, event.message))
            return
        self.steps += 1
        for effect in host.node.step(event, self.now):
            self._perform(host, effect)
        self._arm(host)

    def _arm(self, host: Host) -> None:
        deadline = host.node.deadline
        if deadline is None or (host.ticking is not None and host.ticking <= deadline):
            return
        host.ticking = at = max(deadline, self.now)
        self.at(at, lambda: self._tick(host, at))

    def _tick(self, host: Host, at: float) -> None:
        if host.ticking == at:
            host.ticking = None
            self._step(host, ev.Tick())

    def _perform(self, host: Host, effect: fx.Effect) -> None:
        if isinstance(effect, fx.Send):
            self._send(host, effect.to, effect.message)
        elif isinstance(effect, fx.Record):
            host.records.append(effect)
        elif isinstance(effect, fx.LookupDone | fx.BroadcastDone):
            host.done[effect.op] = effect
        elif isinstance(effect, fx.LeftRing):
            host.left = True

    def _send(self, host: Host, to: NodeRef, message: PeerMessage) -> None:
        self.sent[type(message).__name__] += 1
        target = self.hosts.get(to.address)
        if target is None or not target.up or target.left:
            self._later(REFUSAL_S, host, ev.LinkDown(to, LinkFault.REFUSED))
            return
        if to.raw and target.ref.incarnation != to.incarnation:
            self._later(REFUSAL_S, host, ev.LinkDown(to, LinkFault.REJECTED))
            return
        if self.rng.random() < self.loss:
            return
        if isinstance(message, Bcast):
            self.edges.add((str(message.id), host.ref.raw, target.ref.raw))
        pair = (host.ref.address, target.ref.address)
        arrival = max(self.now + self.latency(self.rng), self._arrival.get(pair, 0.0))
        self._arrival[pair] = arrival
        sender = host.ref
        self.at(arrival, lambda: self._step(target, ev.Received(sender, message)))
