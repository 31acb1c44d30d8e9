"""One network as the commands see it: its description, its engine, its nodes' clients."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as ReactorTimeout

from chordnet.core.base.errors import ConnectFailed, Refused, TimedOut
from chordnet.survey.conditions import IS_REVOKED, Condition, Matter
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import (
    NetworkNotRunning,
    NodeSilent,
    NodeStopped,
    NoSuchNode,
    TestbedError,
    command,
)
from chordnet.survey.observer import Client, Connect, Observer
from chordnet.survey.waiting import Clock
from chordnet.testbed.actions.convergence import Watch
from chordnet.testbed.base.descriptors import provide_descriptors
from chordnet.testbed.base.engine import Engine, Say
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.base.ports import taken_by
from chordnet.testbed.engines.adoption import Look, look_nowhere, take_over
from chordnet.testbed.engines.choice import Choose, choose_engine, make_engine

T = TypeVar("T")

MakeEngine = Callable[[str, Clock, NetworkHome], Engine]


class Identities(Protocol):
    """What vouches for the members of a secured network, kept in its home."""

    def provide(self, numbers: Collection[int]) -> None:
        """Make what those nodes and the operator need and lack, or what has become old.

        :raises TestbedError: it cannot be made, read or written; the text says what to do.
        """

    def revoked(self, numbers: Collection[int]) -> frozenset[int]:
        """Return those of the nodes whose certificates are revoked.

        :raises TestbedError: it cannot be read; the text says what to do.
        """


def network_identities(home: NetworkHome) -> Identities:
    """Return what vouches for the members of the network of ``home``."""
    from chordnet.testbed.identities.keeping import (  # noqa: PLC0415 - only secured networks
        NetworkIdentities,
    )

    return NetworkIdentities(home)


@attrs.frozen
class Engines:
    """Which engines there are, and what their nodes are given."""

    make: MakeEngine = make_engine
    """Makes an engine of a kind."""
    choose: Choose = choose_engine
    """Chooses the engine of a new network."""
    identities: Callable[[NetworkHome], Identities] = network_identities
    """Makes the identities of a secured network."""


def _ignore(_: object) -> None:
    pass


class Testbed:
    """What every command needs of one network.

    :param connect: makes a client for ``host:port`` in this network.
    :param say: shows a line about progress.
    :param watch: shows how far a ring has got.
    :param engines: the engines there are, and the choice for a new network.
    :param look: finds what Docker has of a network without a description.
    :param taken_by: returns what listens on a port of this machine; None if it is free.
    """

    __test__ = False  # no test case, despite its name

    def __init__(
        self,
        reactor: Clock,
        home: NetworkHome,
        connect: Connect,
        *,
        say: Say = _ignore,
        watch: Watch = _ignore,
        look: Look = look_nowhere,
        engines: Engines = Engines(),
        taken_by: Callable[[int], str | None] = taken_by,
    ) -> None:
        self.reactor = reactor
        self.home = home
        self.connect = connect
        self.say = say
        self.watch = watch
        self.look = look
        self.engines = engines
        self.elsewhere = ""
        """What to tell the user if the network does not run here."""
        self.taken_by = taken_by
        self._made: dict[str, Engine] = {}

    def engine(self, kind: str) -> Engine:
        """Return the one engine of that kind for this network."""
        if kind not in self._made:
            self._made[kind] = self.engines.make(kind, self.reactor, self.home)
        return self._made[kind]

    def provide_identities(self, numbers: Collection[int]) -> None:
        """Make what those nodes and the operator need to prove who they are.

        :raises TestbedError: it cannot be made; the text says what to do.
        """
        self.engines.identities(self.home).provide(numbers)

    async def conditions(
        self, network: NetworkDescription, running: Collection[int]
    ) -> dict[int, Condition]:
        """Return what keeps nodes from being members, whoever asks them and whatever they say.

        Where the certificates of this home cannot be read, that is said, and who runs is asked.
        """
        found = dict(await self.engine(network.engine).conditions())
        if network.secured and running:
            try:
                revoked = self.engines.identities(self.home).revoked(running)
            except TestbedError as problem:
                self.say(str(problem))
                revoked = frozenset()
            for number in revoked:
                found.setdefault(number, IS_REVOKED)
        return found

    async def take_over(self) -> None:
        """Take over what Docker has of this network, if its description differs or is missing."""
        self.elsewhere = await take_over(self.reactor, self.home, self.say, self.look)

    def description(self) -> NetworkDescription:
        """Return the network's description.

        :raises NetworkNotRunning: there is none.
        """
        network = self.home.load()
        if network is None:
            raise NetworkNotRunning(self.home.name, self.elsewhere)
        return network

    def checked(self, number: int) -> NetworkDescription:
        """Return the description of a network that has a node ``number``.

        :raises NoSuchNode: it has no such node; the text says the range.
        """
        network = self.description()
        if number not in network.numbers:
            raise NoSuchNode(number, network.size)
        return network

    async def running(self, network: NetworkDescription) -> frozenset[int]:
        """Return the nodes that run.

        :raises NetworkNotRunning: no node does.
        """
        running = await self.engine(network.engine).running()
        if not running:
            raise NetworkNotRunning(network.name, self.elsewhere)
        return running

    def observer(self, network: NetworkDescription, patience: float = 2.0) -> Observer:
        """Return a new observer of the network; close it.

        :raises TestbedError: the system allows too few open files to ask every node.
        """
        provide_descriptors(network.size)
        return Observer(self.reactor, network, self.connect, patience)

    async def ask(
        self, number: int, question: Callable[[Client], Deferred[T]], timeout: float
    ) -> T:
        """Ask one node one question.

        :param timeout: seconds.
        :raises TestbedError: the network or the node does not run, or the node does not answer.
        :raises ChordnetError: the node's own refusal.
        """
        network = self.checked(number)
        if network.engine == "local":  # a look at its pid file costs nothing, so it comes first
            await self._check_running(network, number)
        client = self.connect(network.address(number))
        try:
            return await question(client).addTimeout(timeout, self.reactor)
        except (ReactorTimeout, TimedOut) as problem:
            await self._check_well(network, number)
            raise NodeSilent(
                f"Node {number} did not answer within {timeout:g} s; "
                f"see: {self.command(f'logs {number}')}"
            ) from problem
        except (ConnectFailed, Refused) as problem:
            await self._check_running(network, number)
            await self._check_well(network, number)
            raise NodeSilent(
                f"Node {number} runs and cannot be talked to: {problem}; "
                f"see: {self.command(f'logs {number}')}"
            ) from problem
        finally:
            client.close()

    async def check(self, number: int) -> NetworkDescription:
        """Return the description of a network whose node ``number`` runs and is well.

        :raises TestbedError: there is no such node, it does not run, or it is frozen or cut off.
        """
        network = self.checked(number)
        await self._check_running(network, number)
        await self._check_well(network, number)
        return network

    async def _check_running(self, network: NetworkDescription, number: int) -> None:
        if number not in await self.running(network):
            raise await self.stopped(network, number)

    async def _check_well(self, network: NetworkDescription, number: int) -> None:
        condition = (await self.engine(network.engine).conditions()).get(number)
        if condition is not None:
            raise NodeSilent(condition.line(number, self.command))

    async def stopped(self, network: NetworkDescription, number: int) -> TestbedError:
        """Return the error for a node that does not run, with the cause if there is one."""
        condition = Condition(Matter.ENDED, "is stopped")
        if number not in network.removed:
            conditions = await self.engine(network.engine).conditions()
            condition = conditions.get(number, condition)
        return NodeStopped(condition.line(number, self.command))

    def command(self, words: str) -> str:
        """Return a command about this network for people to type."""
        return command(words, self.home.name)
