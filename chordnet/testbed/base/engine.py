"""The interface between a network and what makes its nodes run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from chordnet.survey.conditions import Condition
from chordnet.survey.description import NetworkDescription
from chordnet.testbed.base.faults import Line

Say = Callable[[str], None]
"""Takes one line about progress."""


class Engine(Protocol):
    """Makes nodes run and stop. No method waits for a ring: that is judged from outside.

    Every method may raise :class:`chordnet.survey.errors.TestbedError`.
    """

    kind: str

    async def prepare(self, network: NetworkDescription, say: Say) -> None:
        """Prepare everything that starting needs, such as the image, or say why that fails."""

    async def start(self, network: NetworkDescription, numbers: Collection[int]) -> None:
        """Start those nodes, all together. Their ports were found free."""

    async def running(self) -> frozenset[int]:
        """Return the nodes that run at this moment, frozen ones included."""

    async def conditions(self) -> Mapping[int, Condition]:
        """Return what is known to be wrong with nodes, including those that do not run."""

    async def stop(self, numbers: Collection[int]) -> frozenset[int]:
        """Tell those nodes to leave the ring in order, and return when they have ended.

        :returns: those that did not end in time and were killed.
        """

    async def kill(self, numbers: Collection[int]) -> None:
        """End those nodes without giving them a chance to leave."""

    async def freeze(self, numbers: Collection[int]) -> None:
        """Stop those nodes in the middle of their work; their connections stay open."""

    async def thaw(self, numbers: Collection[int]) -> None:
        """Let frozen nodes go on as if nothing had happened."""

    async def connect(self, numbers: Collection[int]) -> None:
        """Connect nodes that run without a network to it again."""

    async def shape(self, lines: Mapping[int, Line]) -> None:
        """Give those nodes' lines to the others the wanted faults, or none.

        :raises TestbedError: this engine cannot do that; some lines may have been changed.
        """

    async def clean(self, *, purge: bool) -> None:
        """Remove what is left of a network whose nodes have ended; with ``purge`` data too."""

    async def tail(self, number: int, lines: int) -> list[str]:
        """Return a node's last log lines, oldest first."""

    async def follow(self, number: int, lines: int, write: Callable[[str], None]) -> None:
        """Write the last log lines and every new one, until cancelled or the node has ended."""
