"""The compose file of a network, modelled on the checkout's ``compose/compose.yaml``.

``docker compose config`` returns that file as data, with its variables filled in. Its first
service says how the image is built and its second how a node runs; a network of any size and any
ports is those two multiplied.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from chordnet.survey.description import HOST, NetworkDescription
from chordnet.testbed.identities.archive import IDENTITY

_SERVICE = re.compile(r"node-([0-9]{1,6})")
STATE_DIRECTORY = "/var/lib/chordnet"
BY_HAND = "chordnet"
"""The project of ``compose/compose.yaml`` if Compose alone starts it."""
IDENTITIES = "identities"
"""The service of ``compose/compose.yaml`` that makes the identities of its nodes."""
HOST_HOME = "/host-home"
"""Where that service sees the directory of the host's for the operator's identity."""
IDENTITY_VARIABLE = "CHORDNET_IDENTITY"
INSECURE_VARIABLE = "CHORDNET_INSECURE"
HOME_LABEL = "chordnet.home"
"""The label that says which ``CHORDNET_HOME`` a container or a volume belongs to. Those that an
older version made, or Compose alone, lack it: they belong to no home, and any home may take them.
"""

_LEFT_OUT = ("build", "networks", "depends_on")
"""Of a node's service there: the image is built and the identities are made beforehand."""


def checkout() -> Path | None:
    """Return the checkout that this code runs from; None if it was installed without one."""
    root = Path(__file__).parents[3]
    needed = ("pyproject.toml", "compose/compose.yaml", "compose/Dockerfile")
    return root if all((root / name).is_file() for name in needed) else None


def project_name(network: str) -> str:
    """Return the Compose project of a network."""
    return f"chordnet-{network}"


def service_name(number: int) -> str:
    """Return the Compose service of a node, which is also its host name among the containers."""
    return f"node-{number}"


def service_number(service: str) -> int | None:
    """Return the node of a Compose service."""
    match = _SERVICE.fullmatch(service)
    return int(match[1]) if match else None


def compose_project(
    template: dict[str, Any], network: NetworkDescription, home: str, project: str
) -> dict[str, Any]:
    """Return the compose file of ``network`` as data.

    :param template: what ``docker compose config --format json`` makes of the checkout's file.
    :param home: the directory that the network belongs to.
    :param project: the Compose project of its containers.
    """
    labels = {HOME_LABEL: home}
    services = template["services"]
    shape = {k: v for k, v in services[service_name(2)].items() if k not in _LEFT_OUT}
    shape |= {"labels": shape.get("labels", {}) | labels}
    nodes = {service_name(n): _service(shape, network, n) for n in network.numbers}
    nodes[service_name(1)]["build"] = services[service_name(1)]["build"]
    return {
        "name": project,
        "services": nodes,
        "volumes": {service_name(n): {"labels": labels} for n in network.numbers},
    }


def _service(shape: dict[str, Any], network: NetworkDescription, number: int) -> dict[str, Any]:
    port = network.port(number)
    secured = {IDENTITY_VARIABLE: f"{STATE_DIRECTORY}/{IDENTITY}"}
    access = secured if network.secured else {INSECURE_VARIABLE: "yes"}
    environment = {k: v for k, v in shape["environment"].items() if k != IDENTITY_VARIABLE}
    peers = [f"{service_name(peer)}:{network.port(peer)}" for peer in network.peers(number)]
    return shape | {
        "environment": environment
        | {
            "CHORDNET_NETWORK": network.name,
            "CHORDNET_NAME": network.node_name(number),
            "CHORDNET_PORT": str(port),
            "CHORDNET_PEERS": ",".join(peers),
            "CHORDNET_FOUNDERS": ",".join(network.founders),
        }
        | access,
        "ports": [f"{HOST}:{port}:{port}"],
        "volumes": [f"{service_name(number)}:{STATE_DIRECTORY}"],
        # A separate build makes the image before anything starts.
        "pull_policy": "never",
    }
