"""Interpret the Docker engine's data about containers: whose they are, what is wrong with them.

Everything here works on the plain data of the engine's answers, without any request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from chordnet.survey.conditions import Condition, Matter
from chordnet.testbed.engines.compose_file import HOME_LABEL, service_number

Container = Mapping[str, Any]
"""One of ``GET /containers/json``."""

ALIVE = frozenset({"running", "paused", "restarting"})
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
HASH_LABEL = "com.docker.compose.config-hash"
"""Only containers that Compose has made have it."""
CODE_KILLED = 137
_MIB = 1024 * 1024


@attrs.frozen(kw_only=True)
class Found:
    """What the engine has of a network, with or without a description."""

    project: str
    """The Compose project."""
    ports: Mapping[int, int] = attrs.field(factory=dict)
    """The containers that run: the port on this machine of each node."""
    containers: int = 0
    """All containers, including those that have ended."""
    volumes: int = 0
    networks: int = 0
    home: str = ""
    """The home on their label; empty if they belong to none."""
    secured: bool = False
    """Whether the nodes have identities."""
    identities: str = ""
    """The directory of this machine's in which Compose alone has put the operator's identity."""
    issuer: Mapping[str, bytes] = attrs.field(factory=dict, repr=False)
    """The files of a node that issues certificates, if this home has no operator's identity."""


def labels(thing: Container) -> Mapping[str, str]:
    """Return the labels of a container, whose answer may hold none."""
    return thing.get("Labels") or {}


def by_number(containers: Iterable[Container]) -> dict[int, Container]:
    """Return the containers of nodes by the nodes' numbers."""
    found = {}
    for container in containers:
        number = service_number(labels(container).get(SERVICE_LABEL, ""))
        if number is not None:
            found[number] = container
    return found


def other_home(labelled: Iterable[Mapping[str, str]], home: str) -> str:
    """Return the first home other than ``home`` that one belongs to; an empty text if none."""
    homes = {found[HOME_LABEL] for found in labelled if found.get(HOME_LABEL)}
    return next(iter(sorted(homes - {home})), "")


def mounted(container: Container, destination: str) -> str:
    """Return what of this machine a container has as ``destination``; empty if nothing."""
    mounts = container.get("Mounts") or ()
    return next((str(m["Source"]) for m in mounts if m.get("Destination") == destination), "")


def is_alive(container: Container) -> bool:
    """Return True if a container runs or is paused."""
    return container["State"] in ALIVE


def published(container: Container) -> int | None:
    """Return the port of this machine that leads to a container."""
    ports = (port.get("PublicPort") for port in container.get("Ports") or ())
    return next((int(port) for port in ports if port), None)


def networks(container: Container) -> Mapping[str, Any]:
    """Return the networks that a container is connected to, by name."""
    found: Mapping[str, Any] = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return found


def address(container: Container) -> str:
    """Return a container's address among the others; an empty text while it has none."""
    return next((str(network["IPAddress"]) for network in networks(container).values()), "")


def condition_alive(container: Container) -> Condition | None:
    """Return what is wrong with a container that runs; None if nothing is."""
    if container["State"] == "paused":
        return Condition(Matter.FROZEN, "is frozen (docker pause)")
    if not networks(container):
        return Condition(
            Matter.CUT_OFF, "is off the containers' network (docker network disconnect)"
        )
    return None


def condition_ended(inspected: Mapping[str, Any]) -> Condition:
    """Return why a container does not run.

    :param inspected: the answer of ``GET /containers/ID/json``.
    """
    state = inspected["State"]
    code = state.get("ExitCode", 0)
    if state.get("OOMKilled"):
        limit = (inspected.get("HostConfig") or {}).get("Memory") or 0
        size = f" ({limit // _MIB} MiB)" if limit else ""
        return Condition(Matter.ENDED, f"was killed: out of memory{size}")
    if state.get("Error"):
        error = " ".join(state["Error"].split())[:200]
        return Condition(Matter.ENDED, f"could not be started: {error}")
    if state.get("Status") == "created":
        return Condition(Matter.ENDED, "was never started")
    if code == CODE_KILLED:
        return Condition(Matter.ENDED, "was killed (SIGKILL)")
    if code > 128:
        return Condition(Matter.ENDED, f"was ended by signal {code - 128}")
    if code:
        return Condition(Matter.ENDED, f"ended by itself with status {code}")
    return Condition(Matter.ENDED, "was stopped, by docker stop or by a client")
