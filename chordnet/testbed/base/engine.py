"""The seam between a network and what makes its nodes run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from chordnet.survey.conditions import Condition
from chordnet.survey.description import NetworkDescription
from chordnet.testbed.base.faults import Line

Say = Callable[[str], None]
"""Takes one line about progress."""


class Engine(Protocol):
    """Makes nodes run and stop. Nothing here waits for a ring: that is judged from outside.

    Every method may raise :class:`chordnet.survey.errors.TestbedError`.
    """

    kind: str

    async def prepare(self, network: NetworkDescription, say: Say) -> None:
        """Make ready whatever starting needs (build the image), or say why it cannot be."""

    async def start(self, network: NetworkDescription, numbers: Collection[int]) -> None:
        """Start those nodes, all at once. Their ports were found free."""

    async def running(self) -> frozenset[int]:
        """Return the nodes that run at this moment, frozen ones included."""

    async def conditions(self) -> Mapping[int, Condition]:
        """Return what is known to be the matter with nodes, those that do not run included."""

    async def stop(self, numbers: Collection[int]) -> frozenset[int]:
        """Tell those nodes to leave the ring in order, and return when they have ended.

        :returns: those that did not end in time and were killed.
        """

    async def kill(self, numbers: Collection[int]) -> None:
        """End those nodes without giving them a chance to leave."""

    async def freeze(self, numbers: Collection[int]) -> None:
        """Stop those nodes in the middle of whatever they do; their connections stand."""

    async def thaw(self, numbers: Collection[int]) -> None:
        """Let frozen nodes go on as if nothing had happened."""

    async def connect(self, numbers: Collection[int]) -> None:
        """Give nodes that run without a network theirs back."""

    async def shape(self, lines: Mapping[int, Line]) -> None:
        """Make those nodes' lines to the others what is wanted, sound ones too.

        :raises TestbedError: this engine cannot; nothing was changed, or not everything.
        """

    async def clean(self, *, purge: bool) -> None:
        """Remove what is left of a network whose nodes have ended; with ``purge`` data too."""

    async def tail(self, number: int, lines: int) -> list[str]:
        """Return a node's last log lines, oldest first."""

    async def follow(self, number: int, lines: int, write: Callable[[str], None]) -> None:
        """Hand over the last log lines and every new one until cancelled or the node has ended."""
