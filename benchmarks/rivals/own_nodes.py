"""Nodes of a rival's package, a process each."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.effort import NODES, Effort
from benchmarks.keys import measure
from benchmarks.rivals.daemon import missing_parts
from benchmarks.workers import Worker


class OwnNodes:
    """Sixteen nodes of a package from PyPI, a process each, all but the first of which join it.

    Args:
        port: The first node's; the others have the next ones.
        package: The package, as it is imported and installed.
        node: What one process does, with its port and that of the node that it joins.
    """

    def __init__(self, port: int, package: str, node: Callable[..., None]) -> None:
        self._port, self._package, self._node = port, package, node
        self._nodes: list[Worker] = []
        self._round = 0

    def missing(self) -> str | None:
        """Return how to install the package, or None."""
        return missing_parts({}, {self._package: self._package})

    def start(self) -> None:
        """Start the nodes, one after another."""
        for index in range(NODES):
            bootstrap = self._port if index else None
            self._nodes.append(Worker(self._node, self._port + index, bootstrap))

    def stop(self) -> None:
        """End the nodes."""
        while self._nodes:
            self._nodes.pop().stop()


class KeysOfOwnNodes(OwnNodes):
    """The same, measured as a store of keys."""

    def measure(self, effort: Effort) -> dict[str, float]:
        """Take one round, through other nodes than the round before."""
        self._round += 1
        return measure(self._ask, effort, self._round)

    def _ask(self, place: int, *question: object) -> object:
        return self._nodes[place % NODES].ask(*question, timeout=300)
