"""Sixteen nodes to be hit, and everything that is asked of them before and after."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from benchmarks.storm_judge import Entry, entries
from chordnet.cli.base import session
from chordnet.survey.description import NetworkDescription
from chordnet.survey.waiting import pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.convergence import wait_converged
from chordnet.testbed.base.home import NetworkHome, remove_tree
from chordnet.wire.rpc import NodeHistory

NAME = "storm"
NODES = 16
RING_S = 90.0
"""How long the nodes may take to be one right ring, at the beginning and at the end."""
EVEN_S = 90.0
"""How long the logs may take after that to be equally long."""
EVEN_HOSTILE_S = 30.0
"""The same after lies: forged numbers of a node are on every node but itself."""
CALM_S = 8.0
"""For how long they have to stay so."""
LOG_LINES = 100_000
"""Of a node's log that are kept."""
PATIENCE_S = 5.0
"""How long one node may take to tell its status."""


class Field:
    """A network of its own.

    Args:
        reactor: Twisted's.
        directory: Where its data is kept.
        kind: ``local`` or ``docker``.
        base_port: Of the first node.
    """

    def __init__(self, reactor: Any, directory: Path, kind: str, base_port: int) -> None:
        self.reactor = reactor
        self.directory = directory
        self.network = NetworkDescription(name=NAME, engine=kind, size=NODES, base_port=base_port)
        self._home = NetworkHome(directory, NAME)
        self._home.directory.mkdir(parents=True)
        self._testbed = Testbed(reactor, self._home, session.connector(reactor, NAME))
        self.engine = self._testbed.engine(kind)
        space = self.network.space
        self.identifiers = {n: space.hex(self.network.identifier(n)) for n in self.network.numbers}

    async def start(self) -> None:
        """Start all nodes and wait until they are one right ring."""
        await self.engine.prepare(self.network, print)
        await self.engine.start(self.network, list(self.network.numbers))
        await self.converge(self.network.numbers)

    async def mend(self, even_s: float = EVEN_S) -> None:
        """Bring all nodes back, and wait for one right ring with even logs.

        Args:
            even_s: How long the logs may take to be even.

        Raises:
            TestbedError: There was none in time.
        """
        await self.bring_back()
        await self.settle(self.network.numbers, even_s)

    async def bring_back(self) -> None:
        """Thaw what is frozen and start what is down."""
        numbers = list(self.network.numbers)
        await self.engine.thaw(numbers)
        missing = set(numbers) - await self.engine.running()
        if missing:
            await self.engine.start(self.network, missing)

    def wipe(self, number: int) -> None:
        """Delete what a node that does not run has on its disk, with the local engine."""
        remove_tree(self._home.node_directory(number) / "state")

    async def settle(self, numbers: Collection[int], even_s: float = EVEN_S) -> None:
        """Wait until these nodes are one right ring and their logs are even.

        Raises:
            TestbedError: They were none in time.
        """
        await self.converge(numbers)
        await self._even(numbers, even_s)

    async def converge(self, numbers: Collection[int]) -> None:
        """Wait until these nodes are one right ring.

        Raises:
            TestbedError: They were none in time.
        """
        observer = self._testbed.observer(self.network, PATIENCE_S)
        try:
            await wait_converged(self.reactor, self.network, observer, numbers, timeout=RING_S)
        finally:
            observer.close()

    async def _even(self, numbers: Collection[int], even_s: float) -> None:
        """Wait until the logs are equally long and stay so. What is wrong then is the judge's."""
        observer = self._testbed.observer(self.network, PATIENCE_S)
        try:
            deadline, since, last = self.reactor.seconds() + even_s, None, None
            while self.reactor.seconds() < deadline:
                snapshot = await observer.statuses(numbers)
                found = {status.messages for status in snapshot.statuses.values()}
                even = len(found) == 1 and len(snapshot.statuses) == len(numbers)
                if since is None or not even or found != last:
                    since, last = self.reactor.seconds(), found if even else None
                elif self.reactor.seconds() - since >= CALM_S:
                    return
                await pause(self.reactor, 0.5)
        finally:
            observer.close()

    async def logs(self, numbers: Collection[int]) -> dict[int, list[Entry]]:
        """Read the logs of these nodes, one after the other."""
        found: dict[int, list[Entry]] = {}
        connect = session.connector(self.reactor, NAME)
        for number in numbers:
            client = connect(self.network.address(number))
            try:
                found[number] = entries(await client.get_messages())
            finally:
                await client.close()
        return found

    async def histories(self, numbers: Collection[int]) -> dict[int, NodeHistory]:
        """Ask these nodes which numbers they know, have given up and keep."""
        found: dict[int, NodeHistory] = {}
        connect = session.connector(self.reactor, NAME)
        for number in numbers:
            client = connect(self.network.address(number))
            try:
                found[number] = await client.history()
            finally:
                await client.close()
        return found

    async def keep(self, directory: Path) -> None:
        """Write what every node has logged into files."""
        directory.mkdir(parents=True, exist_ok=True)
        for number in self.network.numbers:
            lines = await self.engine.tail(number, LOG_LINES)
            text = "".join(f"{line}\n" for line in lines)
            (directory / f"node-{number:02}.log").write_text(text, encoding="utf-8")

    async def end(self) -> None:
        """Leave nothing running."""
        await self.engine.thaw(list(self.network.numbers))
        await self.engine.kill(sorted(await self.engine.running()))
        await self.engine.clean(purge=True)
