"""The local engine: one ``twistd chordnode`` process for each node, under this same Python.

A node has a directory of its own with ``pid`` (its process while it runs), ``log`` and ``state``.
Nodes are started by the nursery (:mod:`chordnet.testbed.engines.nursery`) in sessions of their own,
so that they get no Ctrl-C from the terminal of the command that started them, and outlive it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping

import msgspec

from chordnet.core.base.naming import format_address
from chordnet.survey.conditions import Condition, Matter
from chordnet.survey.description import HOST, NetworkDescription
from chordnet.survey.errors import CannotWrite, TestbedError
from chordnet.survey.waiting import Clock, pause
from chordnet.testbed.base.engine import Say
from chordnet.testbed.base.faults import Line
from chordnet.testbed.base.home import NetworkHome, make_directory, remove_tree
from chordnet.testbed.base.logs import follow_file, last_lines, open_log, rotate
from chordnet.testbed.engines.nursery import Birth
from chordnet.testbed.engines.processes import ProcessIdentity, is_running, is_stopped, send_signal

NURSERY = (sys.executable, "-P", "-m", "chordnet.testbed.engines.nursery")
"""Starts the nodes; with -P a random.py in the current directory does not hide Python's own."""
LEAVE_GRACE_S = 15.0
"""Time for a node to leave in order before it is killed."""
KILL_GRACE_S = 5.0
POLL_S = 0.02
RECORD_BYTES = 64 * 1024 * 1024
"""The longest recording of a node; it keeps at most two, of this life and the one before."""
LOG_LIMIT_BYTES = 4 * 1024 * 1024
"""A log longer than this is renamed (one old file is kept) when its node starts."""


class LocalEngine:
    """Nodes as processes of this machine."""

    kind = "local"

    def __init__(self, reactor: Clock, home: NetworkHome) -> None:
        self._reactor = reactor
        self._home = home
        self._nursery: subprocess.Popen[bytes] | None = None
        self._log_start: dict[int, int] = {}

    async def prepare(self, network: NetworkDescription, say: Say) -> None:
        """Do nothing: the nodes run under this same Python."""

    async def start(self, network: NetworkDescription, numbers: Collection[int]) -> None:
        """Start one process for each node, without waiting for any of them to listen."""
        self._home.make_cookie()
        births = [self._birth(network, number) for number in sorted(numbers)]
        path = self._home.directory / "nursery.log"
        try:
            nursery_log = open_log(path, anew=True)
        except OSError as problem:
            raise CannotWrite(path, problem) from problem
        with nursery_log as log:
            self._nursery = subprocess.Popen(
                NURSERY,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=node_environment(),
                start_new_session=True,
            )
        assert self._nursery.stdin is not None
        with contextlib.suppress(BrokenPipeError), self._nursery.stdin as births_in:
            births_in.write(msgspec.json.encode(births))
        while self._nursery.poll() is None:
            await pause(self._reactor, POLL_S)
        if self._nursery.returncode:
            lines = last_lines(path, 1) or ["it said nothing"]
            raise TestbedError(f"the nodes could not be started: {lines[-1]}")

    def _birth(self, network: NetworkDescription, number: int) -> Birth:
        directory = self._home.node_directory(number)
        try:
            make_directory(directory)
            (directory / "pid").unlink(missing_ok=True)
            rotate(directory / "log", LOG_LIMIT_BYTES)
            with open_log(directory / "log") as log:
                self._log_start[number] = log.tell()
        except OSError as problem:
            what = f"Node {number} could not be started: cannot write {directory}"
            raise CannotWrite(directory, problem, what) from problem
        words = ["--nodaemon", "--pidfile=", *self._words(network, number)]
        return Birth(str(directory), words)

    def _end_nursery(self) -> None:
        """End the nursery; the nodes that it has started have their pid files."""
        if self._nursery is not None and self._nursery.poll() is None:
            self._nursery.terminate()
            self._nursery.wait()

    def _words(self, network: NetworkDescription, number: int) -> list[str]:
        words = ["chordnode", "--network", network.name, "--name", network.node_name(number)]
        words += [*_reached_at(network, number), "--port", str(network.port(number))]
        words += ["--cookie", str(self._home.cookie_path)]
        words += ["--state-dir", str(self._home.node_directory(number) / "state")]
        for peer in network.peers(number):
            words += ["--peer", network.address(peer)]
        words += ["--founders", ",".join(network.founders)]
        if network.secured:
            words += ["--identity", str(self._home.identity_directory(number))]
        if (path := network.recording(number)) is not None:
            words += ["--record", path, "--record-bytes", str(RECORD_BYTES)]
        return words

    async def running(self) -> frozenset[int]:
        """Return the nodes whose process runs, without starting or asking anything."""
        return frozenset(n for n in self._known() if self._process(n) is not None)

    async def conditions(self) -> dict[int, Condition]:
        """Return which nodes' processes are stopped; why one has ended is not known."""
        processes = {number: self._process(number) for number in self._known()}
        return {
            number: Condition(Matter.FROZEN, "is frozen (SIGSTOP)")
            for number, process in processes.items()
            if process is not None and is_stopped(process)
        }

    def _known(self) -> list[int]:
        nodes = self._home.directory / "nodes"
        if not nodes.is_dir():
            return []
        return sorted(int(entry.name) for entry in nodes.iterdir() if entry.name.isdigit())

    def _process(self, number: int) -> ProcessIdentity | None:
        # A stale file stays where it is: only the holder of the network's lock may remove it.
        try:
            text = (self._home.node_directory(number) / "pid").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return None
        process = ProcessIdentity.parse(text)
        return process if process is not None and is_running(process) else None

    async def stop(self, numbers: Collection[int]) -> frozenset[int]:
        """Send SIGTERM to all of them; kill those that take too long."""
        self._end_nursery()
        # A frozen process gets its SIGTERM when it runs again.
        await self._end(numbers, (signal.SIGTERM, signal.SIGCONT), LEAVE_GRACE_S)
        late = frozenset(n for n in numbers if self._process(n) is not None)
        await self.kill(late)
        return late

    async def kill(self, numbers: Collection[int]) -> None:
        """Send SIGKILL to all of them."""
        self._end_nursery()
        await self._end(numbers, (signal.SIGKILL,), KILL_GRACE_S)
        for number in numbers:
            if (process := self._process(number)) is not None:
                raise TestbedError(f"Node {number} (pid {process.pid}) cannot be ended")

    async def freeze(self, numbers: Collection[int]) -> None:
        """Send SIGSTOP to all of them."""
        self._signal(numbers, signal.SIGSTOP)

    async def thaw(self, numbers: Collection[int]) -> None:
        """Send SIGCONT to all of them."""
        self._signal(numbers, signal.SIGCONT)

    def _signal(self, numbers: Collection[int], signal_number: signal.Signals) -> None:
        for process in filter(None, map(self._process, sorted(numbers))):
            send_signal(process, signal_number)

    async def connect(self, numbers: Collection[int]) -> None:
        """Do nothing: no process can lose the loopback interface."""

    async def shape(self, lines: Mapping[int, Line]) -> None:
        """Refuse any fault: local nodes share one loopback interface."""
        if not all(line.sound for line in lines.values()):
            raise TestbedError(
                "the local engine cannot part, delay or lose what its nodes send, since they share "
                "one loopback interface; the docker engine can: start-network --engine docker"
            )

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
        """Remove stale pid files; with ``purge`` also the nodes' state and logs."""
        self._forget_ended(self._known())
        if purge:
            remove_tree(self._home.directory / "nodes")

    async def tail(self, number: int, lines: int) -> list[str]:
        """Return the last lines of the node's log; if this object started it, only since then."""
        path = self._home.node_directory(number) / "log"
        return last_lines(path, lines, self._log_start.get(number, 0))

    async def follow(self, number: int, lines: int, write: Callable[[str], None]) -> None:
        """Follow the node's log file until the node has ended."""
        await follow_file(
            self._reactor,
            self._home.node_directory(number) / "log",
            lines,
            write,
            lambda: self._process(number) is not None,
        )


def _reached_at(network: NetworkDescription, number: int) -> list[str]:
    """Return where a node listens: for this machine alone, unless the network says otherwise."""
    if network.advertise is None:
        return ["--interface", HOST]
    return ["--advertise", format_address(network.advertise, network.port(number))]


def node_environment() -> dict[str, str]:
    """Return this process's environment without variables that would change a node's settings.

    In it no Python looks for modules in the current directory.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHORDNODE_", "CHORDNET_"))}
    return kept | {"PYTHONSAFEPATH": "1"}
