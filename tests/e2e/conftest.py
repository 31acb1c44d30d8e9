"""A real network of sixteen nodes, started once for the whole run, on each engine in turn.

The local engine always runs; the docker engine where ``CHORDNET_E2E_DOCKER=1`` says so. Every run
has a home, a network name and a range of ports of its own and leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chordnet.testbed.base.ports import free_range

SIZE = 16
COMMAND_LIMIT_S = 240
FIRST_PORT = 20000 + os.getpid() % 100 * 100
"""Two runs at once are unlikely to look for free ports in the same place. All of it lies below the
ports that the system gives to outgoing connections: a node could find one of its own in use."""


class P2PNet:
    """Runs ``p2pnet`` as a user does, for one network."""

    def __init__(self, home: Path, engine: str, name: str, base_port: int) -> None:
        self.home = home
        self.engine = engine
        self.name = name
        self.base_port = base_port
        self.environment = os.environ | {"CHORDNET_HOME": str(home), "NO_COLOR": "1"}

    @property
    def start_words(self) -> list[str]:
        return ["start-network", "--engine", self.engine, "--base-port", str(self.base_port)]

    @property
    def identity(self) -> str | None:
        """Where the operator's identity is; None if the network is not secured."""
        directory = self.home / "networks" / self.name / "operator"
        return str(directory) if directory.exists() else None

    def command(self, *words: str) -> list[str]:
        network = [] if "--help" in words else ["--network", self.name]
        program = [sys.executable, "-c", "from chordnet.cli import main; main()"]
        return [*program, words[0], *network, *words[1:]]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_LIMIT_S,
            env=self.environment,
        )

    def ok(self, *words: str) -> str:
        """Run a command that has to succeed, and return what it printed."""
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def json(self, *words: str) -> Any:
        """Run a command that has to succeed, and return its JSON document."""
        return json.loads(self.ok(words[0], "--json", *words[1:]))

    def fails(self, status: int, *words: str) -> str:
        """Run a command that has to fail, and return its one line."""
        done = self.run(*words)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        assert done.stdout == "", words
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    def popen(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def state_directory(self, number: int) -> Path:
        """Return where a node of the local engine keeps its state."""
        return self.home / "networks" / self.name / "nodes" / f"{number:02}" / "state"

    def pids(self) -> list[int]:
        """Return the processes of a network of the local engine."""
        paths = self.home.glob(f"networks/{self.name}/nodes/*/pid")
        return [int(path.read_text().split()[0]) for path in paths]

    def leftovers(self) -> list[str]:
        """Return everything of this network that still runs or lies about."""
        found = [str(path) for path in self.home.glob("networks/*/nodes/*/pid")]
        found += _lines("pgrep", "-f", f"chordnode --network {self.name} ")
        if self.engine == "docker":
            project = f"label=com.docker.compose.project=chordnet-{self.name}"
            found += _lines("docker", "ps", "--all", "--quiet", "--filter", project)
            found += _lines("docker", "network", "ls", "--quiet", "--filter", project)
        return found

    def volumes(self) -> list[str]:
        project = f"label=com.docker.compose.project=chordnet-{self.name}"
        return _lines("docker", "volume", "ls", "--quiet", "--filter", project)


def _lines(*words: str) -> list[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()


def _engines() -> list[Any]:
    without = pytest.mark.skipif(
        os.environ.get("CHORDNET_E2E_DOCKER") != "1",
        reason="needs Docker with Compose; set CHORDNET_E2E_DOCKER=1 (make test-docker)",
    )
    return ["local", pytest.param("docker", marks=without)]


@pytest.fixture(scope="session", params=_engines())
def engine(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def _network(home: Path, engine: str, name: str, count: int) -> P2PNet:
    base_port = free_range(FIRST_PORT, count)
    assert base_port is not None
    return P2PNet(home, engine, f"{name}-{engine}-{os.getpid()}", base_port)


@pytest.fixture(scope="session")
def sixteen(home: Path, engine: str) -> Iterator[P2PNet]:
    """Sixteen nodes in one ring; a test that takes one away brings it back."""
    network = _network(home, engine, "e2e", SIZE + 4)
    started = network.json(*network.start_words)
    assert started["members"] == SIZE
    assert started["started"] == list(range(1, SIZE + 1))
    yield network
    stopped = network.json("stop-network", "--purge")
    assert stopped["killed"] == []
    assert network.leftovers() == []
    assert engine != "docker" or network.volumes() == []
    assert not (home / "networks" / network.name).exists()


@pytest.fixture
def unstarted(tmp_path: Path) -> Iterator[P2PNet]:
    """A network of the local engine that does not exist yet, with room for sixteen nodes."""
    network = _network(tmp_path, "local", "unstarted", SIZE)
    yield network
    network.run("stop-network", "--purge")
    assert network.leftovers() == []


@pytest.fixture
def fresh(tmp_path: Path, engine: str) -> Iterator[P2PNet]:
    """A network that does not exist yet, with room for a few nodes."""
    network = _network(tmp_path, engine, "fresh", 8)
    yield network
    network.ok("stop-network", "--purge")
    assert network.leftovers() == []
    assert engine != "docker" or network.volumes() == []
