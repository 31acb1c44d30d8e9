"""Measure lookups on a simulated network: the path, the timeouts, and if the answer was right.

Path lengths are counted as they are published: nodes passed until one knows the owner. The last
edge, from that node to the owner itself, is not counted, though chordnet travels it as well.

A *timeout* is a question of a lookup to a node that does not run any more. Those on the last edge,
where the paper's simulator asks no node (:mod:`chordnet.sim.measured.published`), are also counted
by themselves. A lookup has *failed* when it ends without an answer, or names a node that was the
key's owner neither when it began nor when it ended.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from random import Random

import attrs

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.messages import FindNext, Status
from chordnet.judge.invariants import ideal_successor
from chordnet.sim.world.host import Host
from chordnet.sim.world.network import Network


@attrs.define
class Measured:
    """One lookup."""

    began_s: float
    owner: int
    """The key's owner when the lookup began."""
    took_s: float = 0.0
    path: int = 0
    timeouts: int = 0
    last_timeouts: int = 0
    """How many of these were on the last edge, from the node that knew the owner."""
    done: bool = False
    failure: str = ""
    """Why it failed; empty when it did not."""

    @property
    def way_timeouts(self) -> int:
        """Timeouts on the way to the node that knew the owner: without those on the last edge."""
        return self.timeouts - self.last_timeouts


class LookupMeter:
    """A watcher of ``network`` that asks for lookups and judges their answers.

    :param rng: draws the askers and the keys.
    """

    def __init__(self, network: Network, rng: Random) -> None:
        self._network = network
        self._rng = rng
        self._open: dict[tuple[int, int], tuple[int, Measured]] = {}
        """By the asking host and its operation."""
        self._keys: dict[bytes, Measured] = {}
        self.members: list[int] = []
        """The identifiers of all members, in order."""
        self._names: dict[int, str] = {}
        self.lookups: list[Measured] = []
        network.watchers.append(self)

    @property
    def under_way(self) -> int:
        """How many lookups have not ended yet."""
        return len(self._open)

    def random_member(self) -> str:
        """Return the name of a node that is in the ring."""
        return self._names[self._rng.choice(self.members)]

    def ask(self) -> None:
        """Let a random member look up a random key, iteratively as in the published runs."""
        network = self._network
        if not self.members:
            return
        name = self.random_member()
        host = network.hosts[name]
        key = self._rng.getrandbits(network.space.bits)
        measured = Measured(network.now, ideal_successor(self.members, key))
        self.lookups.append(measured)
        self._keys[network.space.raw(key)] = measured
        op = network.lookup(name, key, iterative=True)
        self._open[host.number, op] = key, measured
        if op in host.done:
            self._end(host, op)

    def asker_gone(self) -> None:
        """Forget the lookups of askers that do not run any more."""
        runs = {host.number for host in self._network.live()}
        for number, op in [each for each in self._open if each[0] not in runs]:
            key, measured = self._open.pop((number, op))
            del self._keys[self._network.space.raw(key)]
            self.lookups.remove(measured)

    # ---- watching ---------------------------------------------------------------------------

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        """Count the questions of lookups, and note their ends."""
        for effect in effects:
            if isinstance(effect, fx.Send):
                self._sent(effect)
            elif isinstance(effect, fx.LookupDone):
                self._end(host, effect.op)
            elif isinstance(effect, fx.StatusChanged):
                self._member(host, active=effect.new == Status.ACTIVE)

    def faulted(self, host: Host, what: str) -> None:
        """Note which members come and go."""
        if what in ("killed", "left", "placed"):
            self._member(host, active=what == "placed")

    def _member(self, host: Host, *, active: bool) -> None:
        identifier = host.ref.id
        if active and identifier not in self._names:
            insort(self.members, identifier)
            self._names[identifier] = host.ref.name
        elif not active and self._names.pop(identifier, None) is not None:
            del self.members[bisect_left(self.members, identifier)]

    def _sent(self, effect: fx.Send) -> None:
        message = effect.message
        if isinstance(message, FindNext):
            measured = self._keys.get(message.key)
            if measured is not None:
                target = self._network.hosts.get(effect.to.address)
                if target is None or not target.runs or target.ref != effect.to:
                    measured.timeouts += 1
                    measured.last_timeouts += message.last

    def _end(self, host: Host, op: int) -> None:
        found = self._open.pop((host.number, op), None)
        if found is None:
            return
        key, measured = found
        answer = host.done.pop(op)
        del self._keys[self._network.space.raw(key)]
        measured.done = True
        measured.took_s = self._network.now - measured.began_s
        if not isinstance(answer, fx.LookupDone) or answer.owner is None:
            measured.failure = getattr(answer, "reason", "") or "no answer"
            return
        measured.path = max(len(answer.path) - 2, 0)
        if answer.owner.id not in (measured.owner, ideal_successor(self.members, key)):
            measured.failure = f"wrong owner: {answer.owner.name}"
