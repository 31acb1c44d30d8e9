"""Files that no other user may read, since they hold every message of the network.

Directories are made with mode 0700 and files with 0600. If an earlier version gave wider
permissions, they are narrowed when the file is used again. A directory in which every user may
write (``/tmp``), or that belongs to another user, keeps its mode.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_directory(path: Path) -> None:
    """Make a directory for its owner alone, and those above it that are missing.

    :raises OSError: it cannot be made.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(exist_ok=True)  # raises if it is not a directory
    if not path.stat().st_mode & stat.S_ISVTX:
        narrow([path])


def narrow(paths: Iterable[Path]) -> None:
    """Remove the permissions of other users from those of these files that are ours."""
    for path in paths:
        with contextlib.suppress(OSError):  # it is gone, or belongs to another user
            mode = path.stat().st_mode
            if mode & _OTHERS:
                path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def sync_directory(path: Path, sync: Callable[[int], None]) -> None:
    """Have the disk hold which files are in a directory; other systems than POSIX cannot be asked.

    :param sync: called with a file descriptor of the directory.
    :raises OSError: it could not be done.
    """
    if os.name != "posix":
        return
    directory = os.open(path, os.O_RDONLY)
    try:
        sync(directory)
    finally:
        os.close(directory)


def private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file, creating it for its owner alone: an ``opener`` for :func:`open`.

    :raises OSError: it cannot be opened.
    """
    return os.open(path, flags, 0o600)
