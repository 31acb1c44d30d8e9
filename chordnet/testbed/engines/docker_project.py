"""What the Docker engine has of one network: containers, volumes, the network between them.

Everything here blocks and runs in a thread (:mod:`chordnet.testbed.engines.docker_host`).
Containers and volumes are labelled with the home that they belong to: two homes on one machine
share the engine, and neither may touch the other's networks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from docker.errors import APIError, NotFound

from chordnet.survey.conditions import Condition
from chordnet.survey.errors import CannotWrite, NodeStopped, OtherHome
from chordnet.testbed.base.home import NetworkHome, make_directory
from chordnet.testbed.base.logs import open_log, rotate
from chordnet.testbed.engines.compose_file import (
    BY_HAND,
    HOME_LABEL,
    HOST_HOME,
    IDENTITIES,
    IDENTITY_VARIABLE,
    STATE_DIRECTORY,
    project_name,
    service_name,
)
from chordnet.testbed.engines.docker_host import (
    CONFLICT,
    FORBIDDEN,
    NOT_FOUND,
    SERVER_ERROR,
    DockerHost,
    tolerated,
)
from chordnet.testbed.engines.docker_state import (
    CODE_KILLED,
    HASH_LABEL,
    PROJECT_LABEL,
    SERVICE_LABEL,
    Container,
    Found,
    by_number,
    condition_alive,
    condition_ended,
    is_alive,
    labels,
    mounted,
    other_home,
    published,
)
from chordnet.testbed.identities.archive import IDENTITY, issuer_files

LEAVE_GRACE_S = 15
SAVED_LINES = 20_000
"""Lines of a container's log that are kept when the container is removed."""
LOG_LIMIT_BYTES = 4 * 1024 * 1024
"""A saved log longer than this is renamed (one old file is kept) before more is added."""
OUR_MARK = "CHORDNET_STATE_DIR="
"""In the environment of every image that the project's Dockerfile has made."""


class DockerProject:
    """The Compose project of one network.

    :param host: the engine.
    """

    def __init__(self, home: NetworkHome, host: DockerHost) -> None:
        self._home = home
        self._host = host
        self.owner = str(home.root.resolve())
        self.name = project_name(home.name)
        """The project in which the containers were last found, or will be."""

    @property
    def _api(self) -> Any:
        return self._host.client.api

    # ---- what there is ----------------------------------------------------------------------

    def listed(self, project: str) -> list[Container]:
        """Return every container that Compose has made for a project.

        An image that Compose has built has the labels of project and service, and so has any other
        container made from it. Only Compose's own containers have the hash.
        """
        found: list[Container] = self._api.containers(
            all=True, filters={"label": [f"{PROJECT_LABEL}={project}", HASH_LABEL]}
        )
        return found

    def containers(self) -> dict[int, Container]:
        """Return the containers of this network's nodes.

        If there are none, Compose alone may have started the network.

        :raises OtherHome: they belong to another home.
        """
        name = project_name(self._home.name)
        found = self.listed(name)
        if not found and (by_hand := self._by_hand()):
            name, found = BY_HAND, by_hand
        self.name = name
        if home := other_home(map(labels, found), self.owner):
            raise OtherHome(self._home.name, home, "containers")
        return by_number(found)

    def _by_hand(self) -> list[Container]:
        listed = self.listed(BY_HAND)
        if self.name == BY_HAND:  # seen running before, and ended by this command
            return listed
        running = [container for container in listed if is_alive(container)]
        if not running:
            return []
        inspected = self._api.inspect_container(running[0]["Id"])
        environment: list[str] = inspected["Config"].get("Env") or []
        return listed if f"CHORDNET_NETWORK={self._home.name}" in environment else []

    def volumes(self) -> dict[str, Mapping[str, str]]:
        """Return the labels of each volume of this network's nodes, by the volume's name."""
        listed = self._api.volumes(filters={"label": f"{PROJECT_LABEL}={self.name}"})
        return {v["Name"]: v.get("Labels") or {} for v in listed.get("Volumes") or ()}

    def networks(self) -> list[str]:
        """Return the networks between the containers, by their ids."""
        found = self._api.networks(filters={"label": f"{PROJECT_LABEL}={self.name}"})
        return [network["Id"] for network in found]

    def found(self) -> Found:
        """Return everything that exists of this network, of any home."""
        home = ""
        try:
            containers = self.containers()
        except OtherHome as problem:
            home, containers = problem.home, by_number(self.listed(self.name))
        volumes = self.volumes()
        listed = self.listed(self.name)
        secured, identities = self._secured(containers.values()), _operators(listed)
        lost = secured and not identities and not self._home.operator_directory.exists()
        homes = [labels(c).get(HOME_LABEL, "") for c in containers.values()]
        homes += [found.get(HOME_LABEL, "") for found in volumes.values()]
        ports = {n: published(c) for n, c in containers.items() if is_alive(c)}
        return Found(
            project=self.name,
            ports={n: port for n, port in ports.items() if port is not None},
            containers=len(containers),
            volumes=len(volumes),
            networks=len(self.networks()),
            home=home or other_home(volumes.values(), self.owner) or max(homes, default=""),
            secured=secured,
            identities=identities,
            issuer=self._issuer(containers.values()) if lost and not home else {},
        )

    def _secured(self, containers: Iterable[Container]) -> bool:
        """Return True if the nodes that run have identities."""
        alive = next(filter(is_alive, containers), None)
        if alive is None:
            return False
        environment = self._api.inspect_container(alive["Id"])["Config"].get("Env") or []
        return any(setting.startswith(f"{IDENTITY_VARIABLE}=") for setting in environment)

    def _issuer(self, containers: Iterable[Container]) -> dict[str, bytes]:
        """Return the files of the first node that issues certificates; empty if none does."""
        for container in containers:
            try:
                archive, _ = self._api.get_archive(container["Id"], f"{STATE_DIRECTORY}/{IDENTITY}")
            except NotFound:
                continue
            if files := issuer_files(archive):
                return files
        return {}

    def conditions(self) -> dict[int, Condition]:
        """Return what is wrong with nodes, including those that have ended."""
        found = {}
        for number, container in self.containers().items():
            if is_alive(container):
                condition = condition_alive(container)
            else:
                condition = condition_ended(self._api.inspect_container(container["Id"]))
            if condition is not None:
                found[number] = condition
        return found

    def container(self, number: int) -> Any:
        """Return a node's container as the ``docker`` package has it.

        :raises NodeStopped: it has no container.
        """
        known = self.containers().get(number)
        if known is None:
            raise NodeStopped(f"Node {number} has no container")
        return self._host.client.containers.get(known["Id"])

    # ---- one container ----------------------------------------------------------------------

    def stop(self, number: int) -> int | None:
        """Let a node leave; return its number if it took too long and was killed."""
        try:
            container = self.container(number)
            if container.status == "paused":
                tolerated(container.unpause, CONFLICT)
            container.stop(timeout=LEAVE_GRACE_S)
            container.reload()
        except (NodeStopped, NotFound):  # it has ended and been removed in the meantime
            return None
        return number if container.attrs["State"]["ExitCode"] == CODE_KILLED else None

    def kill(self, number: int) -> None:
        """Kill a container."""
        # It may have ended or been removed in the meantime.
        with contextlib.suppress(NodeStopped, NotFound):
            container = self.container(number)
            tolerated(container.kill, CONFLICT)
            container.wait(timeout=LEAVE_GRACE_S)

    def pause(self, container: str, verb: str) -> str:
        """Pause a container, or let it go on; return the engine's reason if it refuses.

        Docker freezes a container's processes one after the other. It gives up, and lets them run
        again, if one of them does not stop in time; that one may be writing to a busy disk.

        :param verb: ``pause`` or ``unpause``.
        """
        order = partial(getattr(self._api, verb), container)
        return tolerated(order, CONFLICT, NOT_FOUND, SERVER_ERROR)

    def connect(self, number: int) -> None:
        """Connect a container to the network again and restart its node."""
        api = self._api
        container = self.container(number)
        for network in self.networks():
            tolerated(
                partial(
                    api.connect_container_to_network,
                    container.id,
                    network,
                    aliases=[service_name(number)],
                ),
                CONFLICT,
                FORBIDDEN,
            )
        container.restart(timeout=LEAVE_GRACE_S)

    def pid(self, container: str) -> int:
        """Return the pid of a container's first process, 0 if it has ended."""
        try:
            pid: int = self._api.inspect_container(container)["State"]["Pid"]
        except NotFound:
            return 0
        return pid

    def log_path(self, number: int) -> Path:
        """Return the file in which a removed container's log is saved."""
        return self._home.node_directory(number) / "log"

    def save_log(self, number: int, container: str) -> None:
        """Append a container's new log lines to the file that outlives it."""
        path = self.log_path(number)
        try:
            since = path.stat().st_mtime if path.exists() else None
            text = self._log(container, since)
            make_directory(path.parent)
            rotate(path, LOG_LIMIT_BYTES)
            with open_log(path) as file:
                file.write(text)
        except OSError as problem:
            raise CannotWrite(path, problem) from problem

    def _log(self, container: str, since: float | None) -> bytes:
        try:
            text: bytes = self._api.logs(container, tail=SAVED_LINES, since=since)
        except APIError as problem:  # some logging drivers cannot be read
            return f"this log could not be saved: {problem.explanation}\n".encode()
        return text

    def unpack(self, number: int, archive: bytes) -> None:
        """Unpack a tar archive into a node's volume, also if its container does not run.

        :raises NodeStopped: it has no container.
        """
        self.container(number).put_archive(STATE_DIRECTORY, archive)

    # ---- removing ---------------------------------------------------------------------------

    def remove_container(self, container: str) -> None:
        """Remove a container and its anonymous volumes."""
        api = self._api
        tolerated(lambda: api.remove_container(container, v=True, force=True), NOT_FOUND, CONFLICT)

    def remove_networks(self) -> None:
        """Remove the networks between the containers, which have ended."""
        for network in self.networks():
            tolerated(partial(self._api.remove_network, network), NOT_FOUND)

    def remove_volumes(self) -> None:
        """Remove the volumes of all nodes, also of those no longer in the compose file.

        :raises OtherHome: they belong to another home; none was removed.
        """
        volumes = self.volumes()
        if home := other_home(volumes.values(), self.owner):
            raise OtherHome(self._home.name, home, "data")
        for name in volumes:
            self._api.remove_volume(name, force=True)

    def remove_untagged(self) -> None:
        """Remove the project's untagged images: replaced by later ones and used by no container."""
        api = self._api
        for image in api.images(filters={"dangling": True}):
            environment = (api.inspect_image(image["Id"]).get("Config") or {}).get("Env") or []
            if any(setting.startswith(OUR_MARK) for setting in environment):
                tolerated(partial(api.remove_image, image["Id"]), CONFLICT, NOT_FOUND)


def _operators(listed: Iterable[Container]) -> str:
    """Return the directory in which Compose alone has put the operator's identity; or empty."""
    found = (mounted(c, HOST_HOME) for c in listed if labels(c).get(SERVICE_LABEL) == IDENTITIES)
    return next(filter(None, found), "")
