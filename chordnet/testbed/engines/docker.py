"""The docker engine: one container a node.

Docker Compose builds the image and starts nodes. All else goes to the engine itself, through the
``docker`` package: which nodes run, their state and logs, and stopping a network, which needs no
compose file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from chordnet.home import COOKIE
from chordnet.survey.conditions import Condition
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import (
    EngineUnavailable,
    ImageNotBuilt,
    OtherHome,
    TestbedError,
    TookTooLong,
)
from chordnet.survey.waiting import Reactor, gather, pause
from chordnet.testbed.base import netlink
from chordnet.testbed.base.commands import Finished, Run, run_program
from chordnet.testbed.base.engine import Say
from chordnet.testbed.base.faults import Line
from chordnet.testbed.base.home import NetworkHome, write_atomically
from chordnet.testbed.base.logs import last_lines
from chordnet.testbed.engines.compose_file import (
    HOME_LABEL,
    checkout,
    compose_project,
    service_name,
)
from chordnet.testbed.engines.docker_host import DockerHost
from chordnet.testbed.engines.docker_project import DockerProject
from chordnet.testbed.engines.docker_state import (
    PROJECT_LABEL,
    SERVICE_LABEL,
    Container,
    Found,
    address,
    is_alive,
    networks,
    other_home,
)
from chordnet.testbed.identities.archive import IDENTITY, archive_of

BUILD_TIMEOUT_S = 1200.0
COMPOSE_TIMEOUT_S = 180.0
SHAPE_TIMEOUT_S = 60.0
CODE_NOT_RUN = 125
"""Exit statuses from here on come from Docker or a signal, not from the program that ran."""
CLEANING_LOOKS = 5
"""How often to look for containers to remove; each look removes what it finds."""
ATTEMPTS = 3
"""Attempts at what a busy engine, or a container just starting or ending, may prevent."""
FREEZE_ATTEMPTS = 6
AGAIN_S = 0.5
"""Pause between two attempts; when freezing a container, doubled each time."""
HANGS = "the engine hangs, or is overloaded"
FAILURE_LINES = 15
FAILURE_WIDTH = 240


class DockerEngine:
    """Nodes as containers of one Compose project.

    :param host: the engine.
    :param run: runs a program, as :func:`chordnet.testbed.base.commands.run_program`.
    :param find_checkout: returns the checkout to build the image from.
    """

    kind = "docker"

    def __init__(
        self,
        reactor: Reactor,
        home: NetworkHome,
        host: DockerHost | None = None,
        run: Run = run_program,
        find_checkout: Callable[[], Path | None] = checkout,
    ) -> None:
        self._reactor = reactor
        self._home = home
        self._host = host or DockerHost(reactor)
        self._ask = self._host.ask
        self._run_program = run
        self._find_checkout = find_checkout
        self._project = DockerProject(home, self._host)

    # ---- by Compose -------------------------------------------------------------------------

    async def prepare(self, network: NetworkDescription, say: Say) -> None:
        """Write the network's compose file and build the image from the present code."""
        root = self._find_checkout()
        if root is None:
            raise EngineUnavailable(
                "the docker engine builds its image from a checkout of chordnet, and this is an "
                "installed package; use --engine local, or run p2pnet from a checkout"
            )
        await self._ask(self._project.containers)
        await self._look_at_volumes(say)
        shape = root / "compose" / "compose.yaml"
        template = await self._run(
            ["docker", "compose", "--file", str(shape), "config", "--format", "json"],
            "the compose file cannot be read",
            failure=ImageNotBuilt,
        )
        project = compose_project(
            json.loads(template.output), network, self._project.owner, self._project.name
        )
        write_atomically(self._home.compose_path, json.dumps(project, indent=2) + "\n")
        say("building the image from the present code")
        await self._compose(
            ["build", service_name(1)],
            "the image cannot be built",
            timeout=BUILD_TIMEOUT_S,
            failure=ImageNotBuilt,
        )
        await self._ask(self._project.remove_untagged)

    async def _look_at_volumes(self, say: Say) -> None:
        volumes = await self._ask(self._project.volumes)
        if home := other_home(volumes.values(), self._project.owner):
            raise OtherHome(self._home.name, home, "data")
        if volumes and not self._home.compose_path.exists():
            ours = any(HOME_LABEL in found for found in volumes.values())
            say(
                f"{len(volumes)} volumes of {'this' if ours else 'no'} home hold data of network "
                f"'{self._home.name}' from before: its nodes go on with it"
            )

    async def start(self, network: NetworkDescription, numbers: Collection[int]) -> None:
        """Start those containers from the compose file that :meth:`prepare` has written."""
        assert max(numbers) <= network.size
        known = await self._ask(self._project.containers)
        # Compose recreates a container whose definition has changed, and its log is lost.
        await self._save_logs({n: c for n, c in known.items() if n in numbers})
        await self._up(numbers, "--no-start")
        await self._place_keys(network, numbers)
        await self._up(numbers, "--detach")

    async def _up(self, numbers: Collection[int], how: str) -> None:
        services = [service_name(number) for number in sorted(numbers)]
        await self._compose(
            ["up", how, "--no-build", "--no-deps", *services],
            "the containers cannot be started",
            attempts=ATTEMPTS,
        )

    async def _place_keys(self, network: NetworkDescription, numbers: Collection[int]) -> None:
        """Put into each node's volume what it needs when it starts.

        That is its identity, or the cookie that clients show to operate it.
        """
        if not network.secured:
            self._home.make_cookie()
        await gather(
            self._ask(
                self._project.unpack,
                n,
                archive_of(
                    {IDENTITY: self._home.identity_directory(n)}
                    if network.secured
                    else {COOKIE: self._home.cookie_path}
                ),
                what=f"Node {n} cannot be given its {IDENTITY if network.secured else COOKIE}",
            )
            for n in sorted(numbers)
        )

    async def _compose(
        self,
        words: list[str],
        complaint: str,
        timeout: float = COMPOSE_TIMEOUT_S,
        failure: type[TestbedError] = TestbedError,
        attempts: int = 1,
    ) -> Finished:
        command = ["docker", "compose", "--ansi", "never", "--progress", "plain"]
        command += ["--project-name", self._project.name, "--file", str(self._home.compose_path)]
        return await self._run([*command, *words], complaint, timeout, failure, attempts)

    async def _run(
        self,
        words: list[str],
        complaint: str,
        timeout: float = COMPOSE_TIMEOUT_S,
        failure: type[TestbedError] = TestbedError,
        attempts: int = 1,
    ) -> Finished:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COMPOSE_")}
        try:
            done = await self._run_program(
                self._reactor, words, timeout=timeout, environment=environment
            )
        except TookTooLong as problem:
            raise failure(f"{complaint}: {problem}; {HANGS}") from problem
        if done.status != 0 and attempts > 1:
            await pause(self._reactor, AGAIN_S)
            return await self._run(words, complaint, timeout, failure, attempts - 1)
        if done.status != 0:
            # The output of pip in a build is on standard output, Compose's own errors are not.
            lines = [
                line[:FAILURE_WIDTH]
                for text in (done.output, done.errors)
                for line in text.splitlines()[-FAILURE_LINES:]
                if line.strip()
            ]
            raise failure(
                f"{complaint}: {done.last_line()[:FAILURE_WIDTH]}; --engine local needs no Docker",
                tuple(lines) if len(lines) > 1 else (),
            )
        return done

    # ---- what there is ----------------------------------------------------------------------

    async def found(self) -> Found:
        """Return everything that the engine has of this network, of any home."""
        return await self._ask(self._project.found)

    async def running(self) -> frozenset[int]:
        """Return the nodes whose container runs or is paused."""
        containers = await self._ask(self._project.containers)
        return frozenset(n for n, container in containers.items() if is_alive(container))

    async def conditions(self) -> dict[int, Condition]:
        """Return what the engine knows to be wrong with nodes."""
        return await self._ask(self._project.conditions)

    async def _alive(self, numbers: Collection[int]) -> list[int]:
        containers = await self._ask(self._project.containers)
        return sorted(n for n in numbers if n in containers and is_alive(containers[n]))

    # ---- ending -----------------------------------------------------------------------------

    async def stop(self, numbers: Collection[int]) -> frozenset[int]:
        """Stop those containers together: SIGTERM, and SIGKILL to those that take too long."""
        late = await gather(
            self._ask(self._project.stop, n, what=f"Node {n} cannot be stopped")
            for n in await self._alive(numbers)
        )
        return frozenset(filter(None, late))

    async def kill(self, numbers: Collection[int]) -> None:
        """Kill those containers."""
        await gather(
            self._ask(self._project.kill, n, what=f"Node {n} cannot be killed")
            for n in await self._alive(numbers)
        )

    async def clean(self, *, purge: bool) -> None:
        """Remove containers and network; with ``purge`` the volumes that hold the data too.

        Without it the containers' logs are saved first.
        """
        containers = await self._ask(self._project.containers)
        if not purge:
            await self._save_logs(containers)
        # The engine may still be making containers for a start that was interrupted.
        for looks in range(CLEANING_LOOKS):
            listed = await self._ask(self._project.listed, self._project.name)
            if not listed:
                break
            if looks:
                await pause(self._reactor, AGAIN_S)
            await gather(self._ask(self._project.remove_container, c["Id"]) for c in listed)
        await self._ask(self._project.remove_networks)
        if purge:
            await self._ask(self._project.remove_volumes)
        await self._ask(self._project.remove_untagged)

    # ---- breaking on purpose ----------------------------------------------------------------

    async def freeze(self, numbers: Collection[int]) -> None:
        """Pause those containers."""
        await self._pause(numbers, {"running", "restarting"}, "pause", "frozen")

    async def thaw(self, numbers: Collection[int]) -> None:
        """Let paused containers go on."""
        await self._pause(numbers, {"paused"}, "unpause", "thawed")

    async def _pause(
        self, numbers: Collection[int], states: Collection[str], verb: str, participle: str
    ) -> None:
        """Change all containers that are in one of ``states``, until none is left in them.

        One that refuses may have ended, or may just be starting: another look shows which.
        """
        refused: dict[int, str] = {}
        for attempt in range(FREEZE_ATTEMPTS):
            if attempt:
                await pause(self._reactor, AGAIN_S * 2 ** (attempt - 1))
            known = await self._ask(self._project.containers)
            chosen = {
                n: known[n]["Id"] for n in numbers if n in known and known[n]["State"] in states
            }
            answers = await gather(
                self._ask(
                    self._project.pause, container, verb, what=f"Node {n} cannot be {participle}"
                )
                for n, container in chosen.items()
            )
            refused = {n: text for n, text in zip(chosen, answers, strict=True) if text}
            if not refused:
                return
        number, text = min(refused.items())
        raise TestbedError(
            f"Node {number} cannot be {participle}: {text[:FAILURE_WIDTH]}"
            f" ({FREEZE_ATTEMPTS} attempts)"
        )

    async def connect(self, numbers: Collection[int]) -> None:
        """Connect those containers to their network again, and restart their nodes.

        A node announces its address only when it starts, and its new address differs.
        """
        await gather(
            self._ask(self._project.connect, n, what=f"Node {n} cannot be connected")
            for n in await self._alive(numbers)
        )

    async def shape(self, lines: Mapping[int, Line]) -> None:
        """Have :mod:`chordnet.testbed.base.netlink` change the containers' networks from outside.

        It runs once, in a container that sees the host's processes: the nodes need no rights at
        all, and all lines change at nearly the same moment. It is run again if it was killed, or if
        a container had ended since it was looked at; a second run replaces the work of the first.
        """
        for attempt in range(ATTEMPTS):
            if attempt:
                await pause(self._reactor, AGAIN_S)
            done = await self._shape(lines)
            if done.status == 0:
                return
            if done.status != netlink.GONE and 0 < done.status < CODE_NOT_RUN:
                break
        times = f" ({attempt + 1} attempts)" if attempt else ""
        raise TestbedError(
            f"the lines between the nodes' containers cannot be changed: "
            f"{done.last_line()[:FAILURE_WIDTH]}{times}"
        )

    async def _shape(self, lines: Mapping[int, Line]) -> Finished:
        containers = await self._ask(self._project.containers)
        # Without a network there is no line to shape; that is done once the node is connected
        # again.
        alive = {n: c for n, c in containers.items() if is_alive(c) and networks(c)}
        pids = await gather(self._ask(self._project.pid, c["Id"]) for c in alive.values())
        wanted = [
            _wanted(n, pid, lines[n], alive)
            for n, pid in zip(alive, pids, strict=True)
            if n in lines and pid
        ]
        if not wanted:
            return Finished(0, "", "")
        image = next(iter(alive.values()))["ImageID"]
        try:
            return await self._run_program(
                self._reactor, [*_SHAPER, image, *_python(wanted)], timeout=SHAPE_TIMEOUT_S
            )
        except TookTooLong as problem:
            raise TookTooLong(
                f"the lines between the nodes' containers cannot be changed: {problem}; {HANGS}"
            ) from problem

    # ---- logs -------------------------------------------------------------------------------

    async def _save_logs(self, containers: Mapping[int, Container]) -> None:
        """Append the containers' new log lines to files, which outlive them."""
        await gather(self._ask(self._project.save_log, n, c["Id"]) for n, c in containers.items())

    async def tail(self, number: int, lines: int) -> list[str]:
        """Return the last lines of the container's log, or of its saved log if it is gone."""

        def read() -> list[str]:
            known = self._project.containers().get(number)
            if known is None:
                return last_lines(self._project.log_path(number), lines)
            log: bytes = self._host.client.api.logs(known["Id"], tail=lines)
            return log.decode(errors="replace").splitlines()

        return await self._ask(read)

    async def follow(self, number: int, lines: int, write: Callable[[str], None]) -> None:
        """Stream what the container writes."""

        def open_stream() -> Any:
            if number not in self._project.containers():
                return None
            return self._project.container(number).logs(stream=True, follow=True, tail=lines)

        stream = await self._ask(open_stream)
        if stream is None:
            for line in last_lines(self._project.log_path(number), lines):
                write(line)
            return

        def pump() -> None:
            for line in _lines(stream):
                self._reactor.callFromThread(write, line)

        try:
            await self._ask(pump, again=False)
        finally:
            stream.close()


_SHAPER = (
    *("docker", "run", "--rm", "--pid", "host", "--network", "none", "--user", "0:0"),
    # To look into another container's process, to enter its network, and to change the network.
    *("--cap-drop", "ALL", "--cap-add", "SYS_PTRACE"),
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"),
    *("--security-opt", "apparmor=unconfined", "--read-only", "--no-healthcheck"),
    # The image has these labels from the network that built it, but this is no node of it.
    *("--label", f"{PROJECT_LABEL}=", "--label", f"{SERVICE_LABEL}="),
)


def _python(wanted: list[dict[str, Any]]) -> list[str]:
    source = Path(netlink.__file__).read_text(encoding="utf-8")
    return ["python3", "-I", "-S", "-c", source, json.dumps(wanted)]


def _wanted(
    number: int, pid: int, line: Line, containers: Mapping[int, Container]
) -> dict[str, Any]:
    slow = [line.delay_ms, line.jitter_ms, line.loss_percent]
    cut = (address(containers[n]) for n in sorted(line.cut) if n in containers)
    return {
        "node": number,
        "pid": pid,
        "cut": list(filter(None, cut)),
        "netem": slow if any(slow) else None,
    }


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in complete)
