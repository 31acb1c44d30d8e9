"""The identity of a node that is started by hand and joins a secured network of the same home.

Whoever has the home of a network operates it, so such a node needs no invitation: it is known by
its bootstrap peers, which are nodes of the network, and gets an identity when it starts.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from chordnet.core.base.naming import format_address
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError, UnreadableNetwork
from chordnet.testbed.base.home import NetworkHome, home_directory


def host_name() -> str:
    """Return the name of this machine, without its domain."""
    return socket.gethostname().partition(".")[0] or "visitor"


def visitor_identity(
    environment: Mapping[str, str],
    peers: Collection[str],
    name: str | None,
    port: int,
    host: Callable[[], str] = host_name,
) -> Path | None:
    """Return the directory of a new node's identity; None if it visits no secured network here.

    :param peers: where it looks for a ring.
    :param name: what it is to be called; None for a name made from the machine's and the port.
    :raises TestbedError: there is such a network, and no identity can be made.
    """
    try:
        root = home_directory(environment)
    except TestbedError:  # without a home there is no network of it
        return None
    for home, network in _secured(root):
        if _addresses(network).isdisjoint(peers) or not home.authority_directory.is_dir():
            continue
        from chordnet.testbed.identities.keeping import (  # noqa: PLC0415 - only secured networks
            NetworkIdentities,
        )

        chosen = name or f"{host()}-{port}"
        directory = home.directory / "visitors" / quote(chosen, safe=" ")
        NetworkIdentities(home).provide_visitor(directory, chosen)
        return directory
    return None


def _secured(root: Path) -> Iterator[tuple[NetworkHome, NetworkDescription]]:
    for path in sorted((root / "networks").glob("*/network.json")):
        home = NetworkHome(root, path.parent.name)
        try:
            network = home.load()
        except UnreadableNetwork:  # a command about that network says so
            continue
        if network is not None and network.secured and not network.stopped:
            yield home, network


def _addresses(network: NetworkDescription) -> set[str]:
    hosts = {"127.0.0.1", "localhost", *filter(None, [network.advertise])}
    return {format_address(host, network.port(n)) for host in hosts for n in network.numbers}
