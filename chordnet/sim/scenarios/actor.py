"""Performs a scenario's actions on a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chordnet.sim.scenarios.scenario import Action, Scenario, name_of, selection
from chordnet.sim.world.network import Network
from chordnet.sim.world.weather import Rule


class Actor:
    """Performs the actions of ``scenario`` on ``network``."""

    def __init__(self, scenario: Scenario, network: Network) -> None:
        self._scenario = scenario
        self._network = network
        self._published = 0
        self._verbs: dict[str, Callable[[str], object]] = {
            "kill": network.kill,
            "vanish": lambda name: network.kill(name, silent=True),
            "restart": network.restart,
            "restart_empty": lambda name: network.restart(name, disk=False),
            "restart_old": self._restart_old,
            "freeze": network.freeze,
            "thaw": network.thaw,
            "leave": network.leave,
            "publish": self._publish,
            "lookup": self._look_up,
        }
        self._others: dict[str, Callable[[Any], None]] = {
            "add": self._add,
            "partition": lambda groups: network.partition(*map(self.nodes, groups)),
            "heal": lambda _: network.heal(),
            "loss": self._lose,
            "sever": self._sever,
            "block": lambda value: self._one_way(value, block=True),
            "clog": lambda value: self._one_way(value, clog=True),
            "slow": lambda value: self._one_way(value, delay=float(value[2])),
            "lossy": lambda value: self._one_way(value, loss=float(value[2])),
        }

    def act(self, action: Action) -> None:
        """Perform ``action`` now. Nodes that do not exist are skipped."""
        verb = self._verbs.get(action.verb)
        if verb is None:
            self._others[action.verb](action.value)
            return
        for name in self.nodes(action.value):
            if name in self._network.hosts:
                verb(name)

    def nodes(self, text: int | str) -> list[str]:
        """Return the names of the nodes meant."""
        network = self._network
        if text == "all":
            return [host.ref.name for host in network.live()]
        names = []
        for number, first, last in selection(text):
            if not first:
                names += [name_of(n) for n in range(number, last + 1)]
                continue
            ring = sorted(network.live(), key=lambda host: host.ref.id)
            middle = network.space.hash(name_of(number).encode())
            after = [h for h in ring if h.ref.id > middle] + [h for h in ring if h.ref.id < middle]
            names += [host.ref.name for host in after[first - 1 : last]]
        return names

    def peers(self, number: int) -> list[str]:
        """Return the bootstrap addresses of a node; those that any node may ask for 0."""
        return [name_of(peer) for peer in self._scenario.bootstrap if peer != number]

    def skew(self, name: str) -> None:
        """Let a node's clock start anywhere and run a little fast or slow."""
        skew, rng = self._scenario.skew, self._network.rng
        if skew:
            rate = 1.0 + skew * (2 * rng.random() - 1)
            self._network.skew(name, 1000.0 * rng.random(), rate)

    # ---- verbs ------------------------------------------------------------------------------

    def _restart_old(self, name: str) -> None:
        incarnation = self._network.hosts[name].disk.incarnation - 1
        self._network.restart(name, disk=False, incarnation=incarnation)

    def _publish(self, name: str) -> None:
        self._published += 1
        self._network.publish(name, f"message-{self._published}")

    def _look_up(self, name: str) -> None:
        self._network.lookup(name, self._network.rng.getrandbits(self._network.space.bits))

    def _add(self, value: int | str) -> None:
        for name in self.nodes(value):
            if name not in self._network.hosts:
                self._network.add(name, [peer for peer in self.peers(0) if peer != name])
                self.skew(name)

    def _lose(self, value: float) -> None:
        self._network.weather.loss = float(value)

    def _sever(self, value: list[int | str]) -> None:
        ends = [name for end in value for name in self.nodes(end)]
        if len(ends) == 2 and all(end in self._network.hosts for end in ends):
            self._network.sever(ends[0], ends[1])

    def _one_way(
        self,
        value: list[Any],
        *,
        block: bool = False,
        clog: bool = False,
        delay: float = 0.0,
        loss: float = 0.0,
    ) -> None:
        sources, targets = (frozenset(self.nodes(end)) for end in value[:2])
        self._network.disturb([Rule(sources, targets, block, clog, delay, loss)])
