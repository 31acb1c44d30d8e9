"""One command at a time changes a network.

The lock is the operating system's (``flock``): it ends with the process that holds it, however
that ends. The file may be removed by its holder (``stop-network --purge``), so whoever gets the
lock checks that it is still the file that the path names.
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
    """Return a descriptor that holds the lock of ``path``, ``None`` if another process does."""
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

    :param timeout: seconds to wait for its holder.
    :raises TestbedError: it was held longer than that.
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
