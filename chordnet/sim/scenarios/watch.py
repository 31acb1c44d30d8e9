"""Show a simulated network to the checkers, and collect what they find.

This module finds out what the checkers need and a ring's pointers do not show:

- A process that is killed, leaves or begins to leave is a failed member.
- *Trust*: the invariant assumes that no node takes a live member for dead. Frozen processes,
  partitions and lost messages can bring that about; from then on, and until the mistake must be
  forgotten (``dead_memory_s``), a broken invariant is no fault of the protocol. Nor is it for
  ``request_timeout_s`` after the invariant has come back into force: answers that were given before
  may still be under way. If as many nodes as a list is long die while an answer is under way, that
  counts as if they had died together.
- *Once*: a process records a message once, with a route that begins at the message's origin, ends
  at itself, and visits no node twice.
"""

from __future__ import annotations

from itertools import pairwise

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.messages import EdgeKind, MessageId, NodeRef, Status
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.kernel.timers import GRAIN_S
from chordnet.sim.scenarios.checker import RingChecker
from chordnet.sim.world.host import Host
from chordnet.sim.world.network import Network

MARGIN_S = 1.0
"""Added to the time for which a mistake is remembered."""
MAX_VIOLATIONS = 20


class Watch:
    """A watcher of ``network`` that judges every step.

    :param within: addresses of the hosts that are expected to be in the ring; by default all.
    """

    def __init__(self, network: Network, outsiders: frozenset[str] = frozenset()) -> None:
        self._network = network
        self._outsiders = outsiders
        self.checker = RingChecker(network.space, network.config.successors)
        self.violations: list[str] = []
        self.mistakes = 0
        """How often a live node was taken for dead."""
        self._distrust_until = float("-inf")
        self._patience = 1.1 * network.config.request_timeout_s + GRAIN_S
        """How old an answer may be that is still taken."""
        self._died: dict[int, float] = {}
        """When each member last failed."""
        self._regained = float("-inf")
        """When the invariant last came into force."""
        self._recorded: dict[int, set[MessageId]] = {}
        network.watchers.append(self)

    @property
    def trusted(self) -> bool:
        """Whether those assumptions of the invariant hold that pointers do not show."""
        return self._network.now >= max(self._distrust_until, self._regained + self._patience)

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        """Judge what ``host`` has just done."""
        changed = False
        for effect in effects:
            kind = type(effect)
            if kind is fx.RingChanged or kind is fx.StatusChanged:
                changed = True
            elif isinstance(effect, fx.Record):
                self._record(host, effect)
        deaths = host.node.ctx.counters.number(CoreMetric.DEATHS)
        if deaths != host.deaths:
            host.deaths = deaths
            self._look_for_mistakes(host)
        if changed:
            self._ring_changed(host)

    def faulted(self, host: Host, what: str) -> None:
        """Note what was done to ``host``."""
        if what in ("killed", "left"):
            self._died[host.ref.id] = self._network.now
            self.checker.failed(host.ref.id)
        elif what == "placed":
            # No step of the protocol: a ring that is being put together is not judged.
            successors = [ref.id for ref in host.node.successors]
            self.checker.changed(host.ref.id, successors, trusted=False)

    # ---- the ring ---------------------------------------------------------------------------

    def _ring_changed(self, host: Host) -> None:
        node, checker = host.node, self.checker
        status = node.status()
        if host.ref.address in self._outsiders:
            return
        if status == Status.ACTIVE:
            successors = [ref.id for ref in node.successors]
            # That a node which reaches no other creates a ring of its own is no operation of the
            # proof.
            created = not successors and not checker.is_member(host.ref.id)
            trusted = self.trusted and not created
            before = checker.in_force
            stale = frozenset(ref.id for ref in node.successors if self._is_over(ref))
            found = checker.changed(host.ref.id, successors, trusted=trusted, stale=stale)
            for problem in [] if self._died_meanwhile(successors) else found:
                text = problem.words(self._network.space.hex)
                self.report(f"{host.ref.name} broke the invariant: {text}")
            if checker.in_force and not before:
                self._regained = self._network.now
        elif status in (Status.LEAVING, Status.LEFT):
            checker.failed(host.ref.id)

    def _is_over(self, ref: NodeRef) -> bool:
        """Return True if the life that ``ref`` points at is over, even if no other has begun."""
        host = self._network.hosts[ref.address]
        status = host.node.status()
        gone = not host.up or status in (Status.LEAVING, Status.LEFT)
        return gone or host.ref.incarnation != ref.incarnation

    def _died_meanwhile(self, successors: list[int]) -> bool:
        """Return True if a whole list died while the answer it was taken from was under way."""
        since = self._network.now - self._patience
        died = self._died
        return bool(successors) and all(died.get(s, float("-inf")) >= since for s in successors)

    def _look_for_mistakes(self, host: Host) -> None:
        """See whether ``host`` has just taken a live node for dead."""
        network, peers = self._network, host.node.ctx.peers
        for other in network.live():
            if other.node.status() in (Status.LEAVING, Status.LEFT):
                continue
            dead = peers.is_dead(other.ref, host.clock(network.now))
            if dead and not peers.is_old(other.ref):
                self.mistakes += 1
                memory = network.config.dead_memory_s / min(host.rate, 1.0)
                self._distrust_until = network.now + memory + MARGIN_S

    # ---- records ----------------------------------------------------------------------------

    def _record(self, host: Host, record: fx.Record) -> None:
        seen = self._recorded.setdefault(host.number, set())
        if record.id in seen:
            self.report(f"{host.ref.name} recorded {record.id} twice")
        seen.add(record.id)
        raws = [hop.raw for hop in record.route]
        # Only a repair visits a node again: one that was restarted, or had forgotten the tree.
        repaired = any(hop.kind >= EdgeKind.REASSIGN for hop in record.route)
        twice = len(set(raws)) != len(raws) and not repaired
        if raws[0] != record.id.origin or raws[-1] != host.ref.raw or twice:
            names = " -> ".join(hop.name for hop in record.route)
            self.report(f"{host.ref.name} recorded {record.id} with the route {names}")
        for a, hop in pairwise(record.route):
            # A node asks for what it lacks: that edge has no Bcast of its own.
            caught_up = hop.kind == EdgeKind.CAUGHT_UP
            if not caught_up and (str(record.id), a.raw, hop.raw) not in self._network.edges:
                names = " -> ".join(hop.name for hop in record.route)
                self.report(f"{host.ref.name} recorded an edge that was never travelled: {names}")

    def report(self, text: str) -> None:
        """Add a violation."""
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(f"{self._network.now:.6f} s: {text}")
