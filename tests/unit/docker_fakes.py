"""A Docker engine in memory: what is used of the ``docker`` package, and of programs that run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
from docker.errors import APIError, NotFound
from twisted.internet.task import Clock

from chordnet.testbed.base.commands import Finished, Run
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.engines.compose_file import HOME_LABEL
from chordnet.testbed.engines.docker import DockerEngine
from chordnet.testbed.engines.docker_host import DockerHost
from chordnet.testbed.engines.docker_state import HASH_LABEL, PROJECT_LABEL, SERVICE_LABEL


def refusal(code: int, text: str) -> APIError:
    response = SimpleNamespace(status_code=code, reason=text, url="")
    return (NotFound if code == 404 else APIError)(text, response=response, explanation=text)


TEMPLATE = '{"services": {"node-1": {"build": {}}, "node-2": {"environment": {}}}}'
"""What ``docker compose config`` says, shortened."""


@attrs.define
class FakeContainer:
    """One container, as the engine and as the ``docker`` package show it."""

    number: int
    project: str
    home: str = ""
    state: str = "running"
    connected: bool = True
    port: int = 0
    ended: dict[str, Any] = attrs.field(factory=dict)
    """Of the inspected state, where it is not usual."""
    environment: list[str] = attrs.field(factory=list)
    service: str = ""
    """What it is, if it is no node."""
    mounts: list[dict[str, str]] = attrs.field(factory=list)
    log: bytes = b""
    dies_before_kill: bool = False
    by_compose: bool = True
    """Made by Compose, not from its image by other means."""
    pid: int | None = None
    """Of its process, if it is not the usual one."""
    refuses: list[tuple[str, Exception, str]] = attrs.field(factory=list)
    """Calls that fail, each once: which, with what, and the container's state after it."""
    calls: list[str] = attrs.field(factory=list)
    graces: list[float] = attrs.field(factory=list)
    """Seconds that it was given to end."""
    reloaded: bool = False
    archives: dict[str, bytes] = attrs.field(factory=dict)
    """Directories in it that can be read, by their paths."""
    unpacked: list[tuple[str, bytes]] = attrs.field(factory=list)
    """Archives that were put into it, and where."""
    stream: Any = None
    """What it was last followed by, kept so that it ends only when it is closed."""

    @property
    def id(self) -> str:
        return f"{self.project}/{self.number}"

    @property
    def _pid(self) -> int:
        return 1000 + self.number if self.pid is None else self.pid

    @property
    def listed(self) -> dict[str, Any]:
        service = self.service or f"node-{self.number}"
        labels = {PROJECT_LABEL: self.project, SERVICE_LABEL: service}
        networks = {"default": {"IPAddress": f"10.0.0.{self.number}"}} if self.connected else {}
        return {
            "Id": self.id,
            "State": self.state,
            "Labels": labels
            | ({HOME_LABEL: self.home} if self.home else {})
            | ({HASH_LABEL: "hash"} if self.by_compose else {}),
            "Ports": [{"PublicPort": self.port}] if self.port and self.state == "running" else [],
            "NetworkSettings": {"Networks": networks},
            "ImageID": "image",
            "Mounts": self.mounts,
        }

    @property
    def inspected(self) -> dict[str, Any]:
        return {
            "State": {"Status": self.state, "ExitCode": 0, "Pid": self._pid} | self.ended,
            "HostConfig": {"Memory": 256 * 1024 * 1024},
            "Config": {"Env": self.environment},
        }

    def called(self, call: str) -> None:
        for refused in self.refuses:
            if refused[0] == call:
                self.refuses.remove(refused)
                self.state = refused[2]
                raise refused[1]
        self.calls.append(call)

    # what the ``docker`` package's Container has

    @property
    def status(self) -> str:
        return self.state

    @property
    def attrs(self) -> dict[str, Any]:
        """What the engine said when it was asked last."""
        return self.inspected if self.reloaded else {"State": {"Status": "running", "ExitCode": 0}}

    def reload(self) -> None:
        self.reloaded = True

    def kill(self) -> None:
        self.called("kill")
        if self.dies_before_kill or self.state != "running":
            self.state = "exited"
            raise refusal(409, f"Cannot kill container: {self.id} is not running")
        self.state = "exited"

    def wait(self, timeout: float) -> None:
        self.graces.append(timeout)

    def stop(self, timeout: int) -> None:
        self.graces.append(timeout)
        self.called("stop")
        if self.state == "paused":  # it hears nothing, and is killed when its time is up
            self.ended = {"ExitCode": 137}
        self.state = "exited"

    def unpause(self) -> None:
        self.state = "running"

    def put_archive(self, path: str, data: bytes) -> None:
        self.called("put_archive")
        self.unpacked.append((path, data))

    def restart(self, timeout: int) -> None:
        self.graces.append(timeout)
        self.called("restart")

    def logs(self, *, stream: bool, follow: bool, tail: int) -> Any:
        assert stream
        self.calls.append(f"logs follow={follow} tail={tail}")
        self.stream = self._chunks()
        return self.stream

    def _chunks(self) -> Iterator[bytes]:
        """What it wrote, in pieces that care for no line."""
        try:
            yield from (self.log[at : at + 5] for at in range(0, len(self.log), 5))
        finally:
            self.calls.append("closed")


@attrs.define
class FakeDocker:
    """The engine; ``api`` and ``containers`` are what a ``docker.DockerClient`` has."""

    there: list[FakeContainer] = attrs.field(factory=list)
    volumes_there: dict[str, dict[str, str]] = attrs.field(factory=dict)
    networks_there: dict[str, str] = attrs.field(factory=dict)
    """Projects by the network's id."""
    comes_late: list[FakeContainer] = attrs.field(factory=list)
    """One more of these is there after each removal of a container."""
    images_there: dict[str, list[str]] = attrs.field(factory=dict)
    """The environment of each untagged image."""
    used_images: set[str] = attrs.field(factory=set)
    connected: list[tuple[str, str, list[str]]] = attrs.field(factory=list)
    down: Exception | None = None
    failing: list[Exception] = attrs.field(factory=list)
    """What each next request to the engine fails with."""
    refuses_to_connect: list[Exception] = attrs.field(factory=list)
    tails: list[int] = attrs.field(factory=list)
    """How many lines were asked for of each log."""
    unreadable: Exception | None = None
    """What keeps a log from being read."""
    without_configuration: set[str] = attrs.field(factory=set)
    """Images of which the engine tells nothing."""
    asked: int = 0
    leaving: list[Exception] = attrs.field(factory=list)
    """What the next attempts to remove a network fail with."""

    @property
    def api(self) -> FakeDocker:
        if self.down is not None:
            raise self.down
        self.asked += 1
        if self.failing:
            raise self.failing.pop(0)
        return self

    def add(self, *numbers: int, project: str = "chordnet-lab", **fields: Any) -> None:
        self.there += [FakeContainer(n, project, **({"port": 8000 + n} | fields)) for n in numbers]

    @property
    def numbers(self) -> list[int]:
        return [container.number for container in self.there]

    def __getitem__(self, number: int) -> FakeContainer:
        return next(c for c in self.there if c.number == number)

    @staticmethod
    def _project(filters: Mapping[str, str]) -> str:
        label, _, project = filters["label"].partition("=")
        assert label == PROJECT_LABEL
        return project

    # what the ``docker`` package's APIClient has; ``containers`` is both a call and a collection

    @property
    def containers(self) -> Any:
        fake = self

        class Containers:
            def __call__(
                self,
                all: bool,  # noqa: A002
                filters: Mapping[str, list[str]],
            ) -> list[dict[str, Any]]:
                assert all
                wanted = [text.partition("=") for text in filters["label"]]
                return [
                    listed for listed in (c.listed for c in fake.there)
                    if all_have(listed["Labels"], wanted)
                ]  # fmt: skip

            def get(self, identity: str) -> FakeContainer:
                return fake._by_id(identity)

        return Containers()

    def _by_id(self, identity: str) -> FakeContainer:
        found = next((c for c in self.there if c.id == identity), None)
        if found is None:
            raise refusal(404, f"No such container: {identity}")
        return found

    def inspect_container(self, identity: str) -> dict[str, Any]:
        return self._by_id(identity).inspected

    def get_archive(self, identity: str, path: str) -> tuple[list[bytes], dict[str, Any]]:
        archive = self._by_id(identity).archives.get(path)
        if archive is None:
            raise refusal(404, f"Could not find the file {path}")
        return [archive[at : at + 700] for at in range(0, len(archive), 700)], {}

    def pause(self, identity: str) -> None:
        self._by_id(identity).called("pause")
        self._by_id(identity).state = "paused"

    def unpause(self, identity: str) -> None:
        self._by_id(identity).called("unpause")
        self._by_id(identity).state = "running"

    def logs(self, identity: str, tail: int, since: float | None = None) -> bytes:
        log = self._by_id(identity).log
        self.tails.append(tail)
        if self.unreadable is not None:
            raise self.unreadable
        return b"" if since else b"\n".join(log.split(b"\n")[-tail - 1 :])

    def remove_container(self, identity: str, v: bool, force: bool) -> None:
        assert (v, force) == (True, True)
        self.there.remove(self._by_id(identity))
        self.there += self.comes_late[:1]
        del self.comes_late[:1]

    def volumes(self, filters: Mapping[str, str]) -> dict[str, Any]:
        project = self._project(filters)
        named = {n: found for n, found in self.volumes_there.items() if n.startswith(project + "_")}
        return {"Volumes": [{"Name": name, "Labels": found} for name, found in named.items()]}

    def remove_volume(self, name: str, force: bool) -> None:
        assert force
        del self.volumes_there[name]

    def networks(self, filters: Mapping[str, str]) -> list[dict[str, str]]:
        project = self._project(filters)
        return [{"Id": i} for i, found in self.networks_there.items() if found == project]

    def remove_network(self, identity: str) -> None:
        if self.leaving:
            raise self.leaving.pop(0)
        del self.networks_there[identity]

    def connect_container_to_network(
        self, container: str, network: str, aliases: list[str]
    ) -> None:
        if self.refuses_to_connect:
            raise self.refuses_to_connect.pop(0)
        self.connected.append((container, network, aliases))
        self._by_id(container).connected = True

    def images(self, filters: Mapping[str, bool]) -> list[dict[str, str]]:
        assert filters == {"dangling": True}
        return [{"Id": identity} for identity in self.images_there]

    def inspect_image(self, identity: str) -> dict[str, Any]:
        if identity in self.without_configuration:
            return {}
        return {"Config": {"Env": self.images_there[identity]}}

    def remove_image(self, identity: str) -> None:
        if identity in self.used_images:
            raise refusal(409, "image is being used by running container")
        del self.images_there[identity]


def all_have(labels: Mapping[str, str], wanted: Sequence[tuple[str, str, str]]) -> bool:
    return all(
        labels.get(name) == value if equals else name in labels for name, equals, value in wanted
    )


async def at_once(_reactor: object, work: Callable[..., Any], *arguments: Any) -> Any:
    """Run ``work`` here instead of in a thread."""
    return work(*arguments)


@attrs.define
class FakePrograms:
    """Runs programs by writing down their words."""

    ran: list[list[str]] = attrs.field(factory=list)
    limits: list[float] = attrs.field(factory=list)
    """Seconds that each may take."""
    environments: list[Mapping[str, str] | None] = attrs.field(factory=list)
    ends: dict[str, list[Finished | Exception]] = attrs.field(factory=dict)
    """How a program that has this among its words ends the next times; as usual after that."""

    async def __call__(
        self,
        _reactor: object,
        words: Sequence[str],
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
    ) -> Finished:
        self.ran.append(list(words))
        self.limits.append(timeout)
        self.environments.append(environment)
        for word, ends in self.ends.items():
            if word in words and ends:
                end = ends.pop(0)
                if isinstance(end, Exception):
                    raise end
                return end
        return Finished(0, TEMPLATE, "")

    def times(self, word: str) -> int:
        return sum(word in words for words in self.ran)


class AtOnce(Clock):
    """A reactor that has no threads to come from."""

    def callFromThread(self, work: Callable[..., Any], *arguments: Any) -> None:
        work(*arguments)


def make_engine(
    home: NetworkHome, fake: FakeDocker, run: Run | None = None, clock: AtOnce | None = None
) -> DockerEngine:
    clock = clock or AtOnce()
    host = DockerHost(clock, lambda: fake, at_once)
    return DockerEngine(clock, home, host, run or FakePrograms())


def lab(root: Path) -> NetworkHome:
    """Return the home of a network called lab."""
    return NetworkHome(root, "lab")
