"""A network of sixteen on this machine, driven by the words a user types."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.effort import NODES
from benchmarks.errors import BenchmarkError

NAME = "bench"
COMMAND_SECONDS = 120.0


class Network:
    """The network, in a state directory of its own.

    Args:
        base_port: Port of node 1; the others follow.
        settings: Variables of the environment in which the nodes are started.
        secured: Whether its members are known, and speak TLS.
    """

    def __init__(
        self,
        base_port: int,
        settings: Mapping[str, str] | None = None,
        *,
        secured: bool = False,
    ) -> None:
        self._settings = dict(settings or {})
        self._secured = secured
        self.ports = [base_port + index for index in range(NODES)]
        self._home = tempfile.mkdtemp(prefix="chordnet-bench-")

    def start(self) -> float:
        """Start it and return the seconds until `p2pnet` returned: one correct ring."""
        begin = time.perf_counter()
        self._p2pnet(
            "start-network", "--engine", "local", "--nodes", str(NODES),
            "--base-port", str(self.ports[0]), *(["--secure"] if self._secured else []),
        )  # fmt: skip
        return time.perf_counter() - begin

    @property
    def identity(self) -> str | None:
        """Where its operator's identity is; None if it has none."""
        return str(Path(self._home, "networks", NAME, "operator")) if self._secured else None

    def renew(self) -> float:
        """Start it from nothing again, without messages or known peers; as `start`."""
        self.stop()
        return self.start()

    def stop(self) -> None:
        """Stop it and forget its data."""
        self._p2pnet("stop-network", "--purge")

    def close(self) -> None:
        """Stop it, by force if need be, and remove the state directory.

        Raises:
            BenchmarkError: It did not stop as it should.
        """
        try:
            self.stop()
        finally:
            for pid in self.pids().values():
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self._home, ignore_errors=True)

    def add(self, number: int) -> None:
        """Bring a killed node back and wait for the whole ring to be right."""
        self._p2pnet("add-node", str(number))
        self.converge()

    def remove(self, number: int) -> None:
        """Have a node hand over its slots and leave; `add` brings it back."""
        self._p2pnet("remove-node", str(number), "--timeout", str(COMMAND_SECONDS - 10))

    def converge(self) -> None:
        """Wait until every table of every node is right."""
        self._p2pnet("doctor", "--wait-converged")

    def check(self) -> None:
        """Check from identifiers alone that there is one ring in order.

        Raises:
            BenchmarkError: There is not.
        """
        nodes = json.loads(self._p2pnet("status", "--json"))["nodes"]
        ring = [node["node"] for node in sorted(nodes, key=lambda node: str(node["id"]))]
        following = dict(zip(ring, ring[1:] + ring[:1], strict=True))
        for node in nodes:
            if node["state"] != "active" or node["successors"][0] != following[node["node"]]:
                raise BenchmarkError(f"Node {node['node']} is not in its place in the ring")

    def pids(self) -> dict[int, int]:
        """Return the process of every running node, by its number.

        Found by its command line, so that nothing is presumed of where pids are kept.
        """
        found = {}
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_text(errors="replace").replace("\0", " ").split()
            except OSError:
                continue  # it ended meanwhile
            if "chordnode" in words and any(word.startswith(self._home) for word in words):
                port = int(words[words.index("--port") + 1])
                found[self.ports.index(port) + 1] = int(path.parent.name)
        return found

    def _p2pnet(self, *words: str) -> str:
        environment: dict[str, Any] = {
            **os.environ, **self._settings, "CHORDNET_HOME": self._home,
        }  # fmt: skip
        command = [str(Path(sys.executable).with_name("p2pnet")), *words, "--network", NAME]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False,
                stdin=subprocess.DEVNULL, timeout=COMMAND_SECONDS,
            )  # fmt: skip
        except FileNotFoundError:
            raise BenchmarkError("p2pnet is not installed beside this Python") from None
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"p2pnet {words[0]} took over {COMMAND_SECONDS:g} s") from None
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            error = BenchmarkError(f"p2pnet {words[0]}: {lines[0]}")
            error.add_note("\n".join(lines[1:]))
            raise error
        return done.stdout
