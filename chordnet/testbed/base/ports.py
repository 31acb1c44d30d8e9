"""Which ports are free on 127.0.0.1, and which program holds one that is not."""

from __future__ import annotations

import contextlib
import errno
import socket
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from chordnet.survey.description import HOST, MAX_PORT

_LISTENING = "0A"
_TRIES = 200
_DOCKER_PROXY = "docker-proxy"
"""The program that listens on the ports that containers publish."""
_CONTAINER = '{{.Names}} {{.Label "com.docker.compose.project"}}'
_DOCKER_TIMEOUT_S = 3.0


def is_free(port: int) -> bool:
    """Return True if a server could listen on ``port`` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Twisted does: old connections in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as problem:
            if problem.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def taken_by(port: int) -> str | None:
    """Return what listens on ``port``, as :func:`holder` does; None if it is free."""
    return None if is_free(port) else holder(port)


def free_range(first: int, count: int, free: Callable[[int], bool] = is_free) -> int | None:
    """Return the lowest base port from ``first`` with ``count`` free ports, in steps of 100.

    :param free: returns True if a server could listen on a port.
    """
    beyond = MAX_PORT - count + 2
    for base in range(first, min(first + _TRIES * 100, beyond), 100):
        if all(free(port) for port in range(base, base + count)):
            return base
    return None


def docker_publisher(port: int) -> str:
    """Return which container publishes ``port``; an empty text if Docker does not say."""
    words = ["docker", "ps", "--filter", f"publish={port}", "--format", _CONTAINER]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=_DOCKER_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    name, _, project = (done.stdout.splitlines() or [""])[0].partition(" ")
    of = f" of the Compose project {project}" if project else ""
    return f"the Docker container {name}{of}" if name else ""


def holder(port: int, publisher: Callable[[int], str] = docker_publisher) -> str:
    """Return what listens on ``port``, as far as this user may know: ``python3 (pid 4242)``.

    :param publisher: returns which container publishes a port, if any.
    """
    inodes = _listening_inodes(port)
    for pid in _processes():
        if inodes & _socket_inodes(pid):
            found = f"{_command(pid)} (pid {pid.name})"
            container = publisher(port) if found.startswith(_DOCKER_PROXY) else ""
            return container or found
    return "another program"


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with contextlib.suppress(OSError):
            for line in table.read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                local, state, inode = fields[1], fields[3], fields[9]
                if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                    found.add(inode)
    return found


def _processes() -> Iterable[Path]:
    with contextlib.suppress(OSError):
        yield from (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _socket_inodes(process: Path) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):  # another user's process, or it has ended
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def _command(process: Path) -> str:
    with contextlib.suppress(OSError):
        line = (process / "cmdline").read_bytes().decode(errors="replace").rstrip("\0")
        words = line.split("\0" if "\0" in line else None)  # a process with its own title: one text
        names = [Path(word).name for word in words[:2] if word and not word.startswith("-")]
        if names:
            return " ".join(names)
    return "a process"
