"""Find a network in the Docker engine that has no description here.

Its home may have been removed, an older version may have left it, or Compose alone may have started
it. A network that belongs to this home, or to none, is taken over: it gets a description of its
present state, and every command works on it. One that belongs to another home is reported and left
alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import EngineUnavailable, OtherHome, TestbedError, UnreadableNetwork
from chordnet.testbed.base.engine import Say
from chordnet.testbed.base.home import NetworkHome, make_directory
from chordnet.testbed.engines.compose_file import BY_HAND, project_name

if TYPE_CHECKING:
    from chordnet.testbed.engines.docker_state import Found

LOOK_TIMEOUT_S = 3
SOCKET = Path("/var/run/docker.sock")

Look = Callable[[Any, NetworkHome], Coroutine[Any, Any, "Found | None"]]
"""Returns what the Docker engine has of a network; None if there is no engine to ask."""


async def look_nowhere(_reactor: object, _home: NetworkHome) -> Found | None:
    """Find nothing."""
    return None


async def look_in_docker(
    reactor: Any, home: NetworkHome, environment: Mapping[str, str] = os.environ
) -> Found | None:
    """Ask the Docker engine, if this machine has one that answers soon."""
    if not (environment.get("DOCKER_HOST") or SOCKET.exists()):
        return None
    from chordnet.testbed.engines.docker import DockerEngine  # noqa: PLC0415 - slow to import
    from chordnet.testbed.engines.docker_host import DockerHost, connect  # noqa: PLC0415

    host = DockerHost(reactor, lambda: connect(LOOK_TIMEOUT_S))
    found: Found | None = None
    with contextlib.suppress(EngineUnavailable):  # commands that need the engine will report that
        found = await DockerEngine(reactor, home, host).found()
    return found


async def take_over(reactor: Any, home: NetworkHome, say: Say, look: Look) -> str:
    """Describe the nodes of this network that run in Docker, if no description matches them.

    :returns: what to tell the user if the network turns out not to be running.
    """
    try:
        network = home.load()
    except UnreadableNetwork:  # the next command that reads it says so
        return ""
    if network is not None and not network.stopped and network.engine != "docker":
        return ""
    found = await look(reactor, home)
    if found is None:
        return ""
    if found.home and found.home != str(home.root.resolve()):
        return str(OtherHome(home.name, found.home, "containers" if found.containers else "data"))
    described = describe(home.name, found)
    if described is not None and _differs(network, described):
        if found.identities:
            take_identities(home, Path(found.identities))
        elif found.issuer:
            _recover(home, found.issuer)
        home.save(described)
        say(f"found {words(home.name, found)}; it is this home's network from now on")
    return ""


def _recover(home: NetworkHome, issuer: Mapping[str, bytes]) -> None:
    from chordnet.testbed.identities.keeping import (  # noqa: PLC0415 - only secured networks
        NetworkIdentities,
    )
    from chordnet.testbed.identities.recovering import keep_issuer  # noqa: PLC0415 - the same

    keep_issuer(home, issuer)
    NetworkIdentities(home).provide([])


def take_identities(home: NetworkHome, other: Path) -> None:
    """Link to the identities of a network that were made in another place.

    There is only one authority of a network: what is revoked here is revoked there, too.

    :raises TestbedError: they cannot be read or linked to.
    """
    source = NetworkHome(other, home.name)
    if source.directory.resolve() == home.directory.resolve():
        return
    try:
        make_directory(home.directory)
        for name in ("authority", "operator", "identities"):
            link = home.directory / name
            if link.is_symlink():
                link.unlink()
            elif link.exists():  # of another network, which had this name before
                link.rename(link.with_name(f"{name}.before"))
            link.symlink_to((source.directory / name).resolve())
        for link in source.links_directory.glob("*"):
            if link.is_symlink() and link.resolve() == source.operator_directory.resolve():
                home.link_operator(link.name)
    except OSError as problem:
        raise TestbedError(f"cannot take {source.directory} over: {problem}") from problem


def _differs(network: NetworkDescription | None, found: NetworkDescription) -> bool:
    return (
        network is None
        or network.stopped
        or network.base_port != found.base_port
        or network.secured != found.secured
        or network.size < found.size
    )


def describe(name: str, found: Found) -> NetworkDescription | None:
    """Return the description of a network whose containers run; None if it is not possible."""
    bases = {port - number + 1 for number, port in found.ports.items()}
    if len(bases) != 1 or (base := bases.pop()) < 1:
        return None
    size = max(found.ports)
    removed = frozenset(range(1, size + 1)) - set(found.ports)
    return NetworkDescription(
        name=name,
        engine="docker",
        size=size,
        base_port=base,
        removed=removed,
        secured=found.secured,
    )


def words(name: str, found: Found) -> str:
    """Return what was found and where it may have come from, in words."""
    count = f"{len(found.ports)} containers of network '{name}' in Docker"
    if found.project == BY_HAND != project_name(name):
        return f"{count}, which Compose alone has started (project {found.project})"
    return f"{count}, {'left by this home' if found.home else 'which belong to no home'}"
