"""A lock, so that one command at a time changes a network.

The lock is the operating system's (``flock``), so it ends with the process that holds it, even if
that is killed. Its holder may remove the file (``stop-network --purge``), so a process that gets
the lock checks that the path still names the same file.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chordnet.survey.errors import CannotWrite, TestbedError
from chordnet.survey.waiting import Clock, pause
from chordnet.testbed.base.home import make_directory

RETRY_S = 0.05


def _try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock of ``path``; None if another process holds it."""
    try:
        make_directory(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        raise CannotWrite(path, problem) from problem
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


@asynccontextmanager
async def locked(reactor: Clock, path: Path, timeout: float) -> AsyncIterator[None]:
    """Hold the lock of ``path``.

    :param timeout: seconds to wait for another holder.
    :raises TestbedError: the lock was held longer than that.
    """
    deadline = reactor.seconds() + timeout
    while (descriptor := _try_lock(path)) is None:
        if reactor.seconds() >= deadline:
            raise TestbedError(
                "another p2pnet command is changing this network; try again when it is done"
            )
        await pause(reactor, RETRY_S)
    try:
        yield
    finally:
        os.close(descriptor)
