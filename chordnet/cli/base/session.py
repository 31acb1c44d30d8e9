"""Give a command the testbed of its network, inside the reactor."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from chordnet.cli.base.output import Progress
from chordnet.cli.base.running import run_in_reactor
from chordnet.cli.base.words import MAX_TIMEOUT_S
from chordnet.survey.errors import NoSuchNode
from chordnet.survey.observer import Client, Connect
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.base.home import NetworkHome, home_directory
from chordnet.testbed.engines.adoption import Look, look_in_docker

T = TypeVar("T")

Work = Callable[[Testbed], Coroutine[Any, Any, T]]


def network_home(network: str) -> NetworkHome:
    """Return where ``network`` is kept."""
    return NetworkHome(home_directory(os.environ), network)


def connector(reactor: Any, network: str, home: NetworkHome | None = None) -> Connect:
    """Return a function that makes clients of the nodes of ``network``.

    The commands have time limits of their own, so the client's are made longer.

    :param home: of the network; if it is secured, the clients show its operator's identity.
    """
    from chordnet.client import P2PNetClient  # noqa: PLC0415 - not every command talks to a node

    def connect(address: str) -> Client:
        identity = None
        if home is not None and (described := home.load()) is not None and described.secured:
            identity = _identity(home)
        return P2PNetClient(
            address,
            reactor,
            network=network,
            identity=identity,
            timeout_s=MAX_TIMEOUT_S,
            send_timeout_s=MAX_TIMEOUT_S,
        )

    return connect


def _identity(home: NetworkHome) -> Any:
    """Return the operator's identity as it is now: a command may replace it.

    One that has become old is renewed, if the authority is here: nothing else renews it while the
    network runs.
    """
    from chordnet.trust.identity import (  # noqa: PLC0415 - only secured networks
        CERTIFICATE,
        Identity,
    )

    directory = home.operator_directory
    try:
        stamp = (directory / CERTIFICATE).stat().st_mtime_ns
    except OSError:
        stamp = 0  # loading it says what is wrong
    if _loaded.get(directory, (None, 0))[1] != stamp or not stamp:
        identity = Identity.load(directory)
        if identity.subject.since < time.time() - _OLD_S:
            identity = _renewed(home) or identity
        _loaded[directory] = identity, stamp
    return _loaded[directory][0]


def _renewed(home: NetworkHome) -> Any:
    """Return the operator's identity, renewed by the authority; None if that is not here."""
    from chordnet.testbed.identities.keeping import (  # noqa: PLC0415 - only secured networks
        NetworkIdentities,
    )
    from chordnet.trust.authority import AUTHORITY  # noqa: PLC0415 - the same
    from chordnet.trust.identity import Identity  # noqa: PLC0415 - the same

    if not (home.authority_directory / AUTHORITY).exists():
        return None
    NetworkIdentities(home).provide(())
    return Identity.load(home.operator_directory)


_OLD_S = 10 * 86_400.0
_loaded: dict[Path, tuple[Any, int]] = {}


class Bench(Protocol):
    """Where a command's work is done. One in the command's context (click's ``obj``) comes before
    the reactor and the nodes of this machine.
    """

    def run(self, network: str, work: Work[T]) -> T: ...


def with_testbed(network: str, work: Work[T]) -> T:
    """Run ``work(testbed)`` in the reactor and return its result."""
    bench: Bench | None = click.get_current_context().obj
    return run_here(network, work) if bench is None else bench.run(network, work)


def run_here(network: str, work: Work[T]) -> T:
    """Run ``work(testbed)`` on this machine."""
    home = network_home(network)
    return run_in_reactor(lambda reactor: work_with(reactor, home, work))


async def work_with(
    reactor: Any, home: NetworkHome, work: Work[T], look: Look = look_in_docker
) -> T:
    """Run ``work(testbed)`` with this machine's part of the network, and show its progress.

    :param look: finds what Docker has of it.
    """
    with Progress() as progress:
        testbed = Testbed(
            reactor,
            home,
            connector(reactor, home.name, home),
            say=progress.say,
            watch=progress.watch,
            look=look,
        )
        await testbed.take_over()
        return await work(testbed)


def chosen_node(network: str, node: int | str) -> int:
    """Return the number that NODE stands for.

    :raises NoSuchNode: the network has no such node; the text says the range.
    :raises UsageError: it is no number, and no network gives a range.
    """
    description = network_home(network).load()
    if description is not None and (isinstance(node, str) or node not in description.numbers):
        raise NoSuchNode(f"'{node}'" if isinstance(node, str) else node, description.size)
    if isinstance(node, str) or node < 1:
        raise click.UsageError(f"NODE is a number from 1 to the network's size, not '{node}'")
    return node
