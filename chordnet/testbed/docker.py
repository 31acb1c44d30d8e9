"""The docker engine: one container a node.

Docker Compose builds the image, brings nodes up and takes a network down; what runs, its state
and its logs come from the engine itself, through the ``docker`` package. That package blocks, so
its calls are made in the reactor's threads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from chordnet.testbed import netlink
from chordnet.testbed.commands import Finished, run_program
from chordnet.testbed.compose_file import (
    checkout,
    compose_project,
    project_name,
    service_name,
    service_number,
)
from chordnet.testbed.description import NetworkDescription
from chordnet.testbed.engine import Say
from chordnet.testbed.errors import EngineUnavailable, NodeStopped, TestbedError
from chordnet.testbed.faults import Line
from chordnet.testbed.home import NetworkHome, write_atomically
from chordnet.testbed.waiting import Reactor, gather, in_thread

T = TypeVar("T")

BUILD_TIMEOUT_S = 1200.0
COMPOSE_TIMEOUT_S = 180.0
SHAPE_TIMEOUT_S = 60.0
LEAVE_GRACE_S = 15
ALIVE = frozenset({"running", "paused", "restarting"})
FAILURE_LINES = 15
FAILURE_WIDTH = 240


class DockerEngine:
    """Nodes as containers of one Compose project."""

    kind = "docker"

    def __init__(self, reactor: Reactor, home: NetworkHome) -> None:
        self._reactor = reactor
        self._home = home

    # ---- by Compose -------------------------------------------------------------------------

    async def prepare(self, network: NetworkDescription, say: Say) -> None:
        """Write the network's compose file and build the image from the present code."""
        root = checkout()
        if root is None:
            raise EngineUnavailable(
                "the docker engine builds its image from a checkout of chordnet, and this is an "
                "installed package; use --engine local, or run p2pnet from a checkout"
            )
        shape = root / "compose" / "compose.yaml"
        template = await self._run(
            ["docker", "compose", "--file", str(shape), "config", "--format", "json"],
            "the compose file cannot be read",
        )
        project = compose_project(json.loads(template.output), network)
        write_atomically(self._home.compose_path, json.dumps(project, indent=2) + "\n")
        say("building the image from the present code")
        await self._compose(
            ["build", service_name(1)], "the image cannot be built", timeout=BUILD_TIMEOUT_S
        )

    async def start(self, network: NetworkDescription, numbers: Collection[int]) -> None:
        """Bring those containers up; :meth:`prepare` has written what they are."""
        assert max(numbers) <= network.size
        services = [service_name(number) for number in sorted(numbers)]
        await self._compose(
            ["up", "--detach", "--no-build", "--no-deps", *services],
            "the containers cannot be started",
        )

    async def clean(self, *, purge: bool) -> None:
        """Remove containers and network; with ``purge`` the volumes that hold the data too."""
        volumes = ["--volumes"] if purge else []
        await self._compose(
            ["down", "--remove-orphans", "--timeout", str(LEAVE_GRACE_S), *volumes],
            "the containers cannot be removed",
        )
        if purge:
            await self._ask(self._remove_volumes)

    def _remove_volumes(self) -> None:
        """Remove the volumes of nodes, too, that the compose file has no longer."""
        for volume in self._docker.volumes.list(filters={"label": self._label}):
            volume.remove(force=True)

    async def _compose(
        self, words: list[str], complaint: str, timeout: float = COMPOSE_TIMEOUT_S
    ) -> Finished:
        command = ["docker", "compose", "--ansi", "never", "--progress", "plain"]
        command += ["--project-name", project_name(self._home.name)]
        if self._home.compose_path.exists():
            command += ["--file", str(self._home.compose_path)]
        return await self._run([*command, *words], complaint, timeout)

    async def _run(
        self, words: list[str], complaint: str, timeout: float = COMPOSE_TIMEOUT_S
    ) -> Finished:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COMPOSE_")}
        done = await run_program(self._reactor, words, timeout=timeout, environment=environment)
        if done.status != 0:
            lines = tuple(done.errors.splitlines()[-FAILURE_LINES:])
            raise TestbedError(
                f"{complaint}: {done.last_line()[:FAILURE_WIDTH]}; --engine local needs no Docker",
                lines if len(lines) > 1 else (),
            )
        return done

    # ---- by the engine itself ---------------------------------------------------------------

    @cached_property
    def _docker(self) -> docker.DockerClient:
        return docker.from_env(timeout=30)

    async def _ask(self, work: Callable[..., T], *arguments: Any) -> T:
        try:
            return await in_thread(self._reactor, work, *arguments)
        except (DockerException, RequestException) as problem:
            raise EngineUnavailable(
                f"the Docker engine does not do what it is asked: {_one_line(problem)}"
            ) from problem

    @property
    def _label(self) -> str:
        return f"com.docker.compose.project={project_name(self._home.name)}"

    def _containers(self) -> dict[int, dict[str, Any]]:
        found = {}
        for container in self._docker.api.containers(all=True, filters={"label": self._label}):
            number = service_number(container["Labels"].get("com.docker.compose.service", ""))
            if number is not None:
                found[number] = container
        return found

    def _container(self, number: int) -> Any:
        known = self._containers().get(number)
        if known is None:
            raise NodeStopped(f"Node {number} has no container")
        return self._docker.containers.get(known["Id"])

    async def running(self) -> frozenset[int]:
        """Return the nodes whose container runs or is paused."""
        containers = await self._ask(self._containers)
        return frozenset(n for n, container in containers.items() if container["State"] in ALIVE)

    async def stop(self, numbers: Collection[int]) -> frozenset[int]:
        """Stop those containers at once: SIGTERM, and SIGKILL to those that take too long."""
        late = await gather(self._ask(self._stop_one, n) for n in await self._alive(numbers))
        return frozenset(filter(None, late))

    def _stop_one(self, number: int) -> int | None:
        container = self._container(number)
        if container.status == "paused":
            container.unpause()
        container.stop(timeout=LEAVE_GRACE_S)
        container.reload()
        return number if container.attrs["State"]["ExitCode"] == 137 else None

    async def kill(self, numbers: Collection[int]) -> None:
        """Kill those containers at once."""
        await gather(self._ask(self._kill_one, n) for n in await self._alive(numbers))

    def _kill_one(self, number: int) -> None:
        container = self._container(number)
        container.kill()
        container.wait(timeout=LEAVE_GRACE_S)

    async def freeze(self, numbers: Collection[int]) -> None:
        """Pause those containers."""
        await self._pause(numbers, "running", "pause")

    async def thaw(self, numbers: Collection[int]) -> None:
        """Let paused containers go on."""
        await self._pause(numbers, "paused", "unpause")

    async def _pause(self, numbers: Collection[int], state: str, verb: str) -> None:
        containers = await self._ask(self._containers)
        chosen = [n for n in numbers if n in containers and containers[n]["State"] == state]
        await gather(
            self._ask(getattr(self._docker.api, verb), containers[n]["Id"]) for n in chosen
        )

    async def shape(self, lines: Mapping[int, Line]) -> None:
        """Have :mod:`chordnet.testbed.netlink` change the containers' networks from outside.

        It runs once, in a container that sees the host's processes: the nodes keep having no rights
        at all, and all lines change at nearly the same moment.
        """
        containers = await self._ask(self._containers)
        alive = {n: c for n, c in containers.items() if c["State"] in ALIVE}
        pids = await gather(self._ask(self._pid, c["Id"]) for c in alive.values())
        wanted = [
            _wanted(pid, lines[n], alive) for n, pid in zip(alive, pids, strict=True) if n in lines
        ]
        if not wanted:
            return
        image = next(iter(alive.values()))["ImageID"]
        done = await run_program(
            self._reactor, [*_SHAPER, image, *_python(wanted)], timeout=SHAPE_TIMEOUT_S
        )
        if done.status != 0:
            raise TestbedError(f"Docker cannot do that here: {done.last_line()[:FAILURE_WIDTH]}")

    def _pid(self, container: str) -> int:
        pid: int = self._docker.api.inspect_container(container)["State"]["Pid"]
        return pid

    async def _alive(self, numbers: Collection[int]) -> list[int]:
        containers = await self._ask(self._containers)
        return sorted(n for n in numbers if n in containers and containers[n]["State"] in ALIVE)

    async def tail(self, number: int, lines: int) -> list[str]:
        """Return the last lines that the container wrote."""

        def read() -> bytes:
            log: bytes = self._container(number).logs(tail=lines)
            return log

        return (await self._ask(read)).decode(errors="replace").splitlines()

    async def follow(self, number: int, lines: int, write: Callable[[str], None]) -> None:
        """Stream what the container writes."""

        def open_stream() -> Any:
            return self._container(number).logs(stream=True, follow=True, tail=lines)

        stream = await self._ask(open_stream)

        def pump() -> None:
            for line in _lines(stream):
                self._reactor.callFromThread(write, line)

        try:
            await self._ask(pump)
        finally:
            stream.close()


_SHAPER = (
    *("docker", "run", "--rm", "--pid", "host", "--network", "none", "--user", "0:0"),
    # To look into another container's process, to enter its network, and to change that.
    *("--cap-drop", "ALL", "--cap-add", "SYS_PTRACE"),
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"),
    *("--security-opt", "apparmor=unconfined", "--read-only", "--no-healthcheck"),
)


def _python(wanted: list[dict[str, Any]]) -> list[str]:
    source = Path(netlink.__file__).read_text(encoding="utf-8")
    return ["python3", "-I", "-S", "-c", source, json.dumps(wanted)]


def _wanted(pid: int, line: Line, containers: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    slow = [line.delay_ms, line.jitter_ms, line.loss_percent]
    cut = (_address(containers[n]) for n in sorted(line.cut) if n in containers)
    return {"pid": pid, "cut": list(filter(None, cut)), "netem": slow if any(slow) else None}


def _address(container: dict[str, Any]) -> str:
    """Return a container's address among the others; empty while it has none."""
    networks = container["NetworkSettings"]["Networks"].values()
    address: str = next((network["IPAddress"] for network in networks), "")
    return address


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in complete)


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split())[:300]
