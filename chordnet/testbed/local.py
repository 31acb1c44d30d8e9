"""The local engine: one ``twistd chordnode`` process a node, with the Python that runs this.

A node has a directory of its own with ``pid`` (its process while it runs), ``log`` and ``state``.
Nodes are started in sessions of their own: what is typed at the terminal of the command that
started them is not for them, and they outlive it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from chordnet.testbed.description import HOST, NetworkDescription
from chordnet.testbed.engine import Say
from chordnet.testbed.errors import TestbedError
from chordnet.testbed.home import NetworkHome, write_atomically
from chordnet.testbed.logs import follow_file, last_lines, rotate
from chordnet.testbed.processes import ProcessIdentity, identify, is_running, send_signal
from chordnet.testbed.waiting import Clock, pause

LEAVE_GRACE_S = 15.0
"""How long a node that was told to leave may take before it is ended."""
KILL_GRACE_S = 5.0
POLL_S = 0.02
LOG_LIMIT_BYTES = 4 * 1024 * 1024
"""A log longer than this is put aside (one of them) when its node starts."""


def twistd_command() -> list[str]:
    """Return the words that run ``twistd`` with this very Python."""
    script = Path(sys.executable).parent / "twistd"
    if script.is_file():
        return [sys.executable, str(script)]
    return [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


class LocalEngine:
    """Nodes as processes of this machine."""

    kind = "local"

    def __init__(self, reactor: Clock, home: NetworkHome) -> None:
        self._reactor = reactor
        self._home = home
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._log_start: dict[int, int] = {}

    async def prepare(self, network: NetworkDescription, say: Say) -> None:
        """Nothing is needed: what runs this runs the nodes."""

    async def start(self, network: NetworkDescription, numbers: Collection[int]) -> None:
        """Start one process a node without waiting for any of them."""
        for number in sorted(numbers):
            try:
                self._spawn(network, number)
            except OSError as problem:
                raise TestbedError(
                    f"Node {number} could not be started: {problem.strerror or problem}"
                ) from problem

    def _spawn(self, network: NetworkDescription, number: int) -> None:
        directory = self._home.node_directory(number)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "pid").unlink(missing_ok=True)
        rotate(directory / "log", LOG_LIMIT_BYTES)
        with (directory / "log").open("ab") as log:
            self._log_start[number] = log.tell()
            child = subprocess.Popen(
                [*twistd_command(), "--nodaemon", "--pidfile=", *self._words(network, number)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                env=_environment(),
                start_new_session=True,
            )
        self._children[child.pid] = child
        process = identify(child.pid)
        if process is not None:  # otherwise it has ended already, and running() will tell
            write_atomically(directory / "pid", f"{process}\n")

    def _words(self, network: NetworkDescription, number: int) -> list[str]:
        words = ["chordnode", "--network", network.name, "--name", network.node_name(number)]
        words += ["--interface", HOST, "--port", str(network.port(number))]
        words += ["--state-dir", str(self._home.node_directory(number) / "state")]
        for peer in network.peers(number):
            words += ["--peer", network.address(peer)]
        return words

    async def running(self) -> frozenset[int]:
        """Return the nodes whose process runs; nothing is started or asked for that."""
        return frozenset(n for n in self._known() if self._process(n) is not None)

    def _known(self) -> list[int]:
        nodes = self._home.directory / "nodes"
        if not nodes.is_dir():
            return []
        return sorted(int(entry.name) for entry in nodes.iterdir() if entry.name.isdigit())

    def _process(self, number: int) -> ProcessIdentity | None:
        # A stale file stays where it is: only who holds the network's lock may remove it.
        try:
            text = (self._home.node_directory(number) / "pid").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return None
        process = ProcessIdentity.parse(text)
        return process if process is not None and self._alive(process) else None

    def _alive(self, process: ProcessIdentity) -> bool:
        child = self._children.get(process.pid)
        if child is not None and child.poll() is not None:  # collects it, so that no zombie stays
            del self._children[process.pid]
        return is_running(process)

    async def stop(self, numbers: Collection[int]) -> frozenset[int]:
        """Send SIGTERM to all of them at once; those that take too long are killed."""
        # A frozen process gets its SIGTERM when it is woken.
        await self._end(numbers, (signal.SIGTERM, signal.SIGCONT), LEAVE_GRACE_S)
        late = frozenset(n for n in numbers if self._process(n) is not None)
        await self.kill(late)
        return late

    async def kill(self, numbers: Collection[int]) -> None:
        """Send SIGKILL to all of them."""
        await self._end(numbers, (signal.SIGKILL,), KILL_GRACE_S)
        for number in numbers:
            if (process := self._process(number)) is not None:
                raise TestbedError(f"Node {number} (pid {process.pid}) cannot be ended")

    async def _end(
        self, numbers: Collection[int], signals: Collection[signal.Signals], grace: float
    ) -> None:
        for process in filter(None, map(self._process, sorted(numbers))):
            for number in signals:
                send_signal(process, number)
        deadline = self._reactor.seconds() + grace
        while any(self._process(n) for n in numbers) and self._reactor.seconds() < deadline:
            await pause(self._reactor, POLL_S)
        self._forget_ended(numbers)

    def _forget_ended(self, numbers: Collection[int]) -> None:
        for number in numbers:
            if self._process(number) is None:
                (self._home.node_directory(number) / "pid").unlink(missing_ok=True)

    async def clean(self, *, purge: bool) -> None:
        """Remove stale pid files; with ``purge`` the nodes' state and logs too."""
        self._forget_ended(self._known())
        if purge:
            shutil.rmtree(self._home.directory / "nodes", ignore_errors=True)

    async def tail(self, number: int, lines: int) -> list[str]:
        """Return the last lines of the node's log file; of a node started here, since then."""
        path = self._home.node_directory(number) / "log"
        return last_lines(path, lines, self._log_start.get(number, 0))

    async def follow(self, number: int, lines: int, write: Callable[[str], None]) -> None:
        """Read on in the node's log file until the node has ended."""
        await follow_file(
            self._reactor,
            self._home.node_directory(number) / "log",
            lines,
            write,
            lambda: self._process(number) is not None,
        )


def _environment() -> dict[str, str]:
    """Return this process's environment without what would change a node's settings."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("CHORDNODE_", "CHORDNET_"))}
