"""A node's log file: its last lines, and new ones as they come."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from chordnet.survey.waiting import Clock, pause

TAIL_BYTES = 256 * 1024
"""The most bytes that are read to find the last lines."""
POLL_S = 0.1
CHUNK_BYTES = 64 * 1024


def open_log(path: Path, *, anew: bool = False) -> IO[bytes]:
    """Open a log file for writing, readable by this user alone.

    :param anew: drop its present contents.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if anew else 0)
    file = os.fdopen(os.open(path, flags, 0o600), "ab")
    path.chmod(0o600)  # an earlier version let all users read it
    return file


def rotate(path: Path, limit: int) -> None:
    """Rename ``path`` to ``path.1`` if it is longer than ``limit`` bytes."""
    if path.exists() and path.stat().st_size > limit:
        path.replace(path.with_name(path.name + ".1"))


def last_lines(path: Path, count: int, start: int = 0) -> list[str]:
    """Return the last ``count`` lines of ``path``; an empty list if there is no such file.

    :param start: how many bytes at the beginning to skip.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-count:] if count else []


async def follow_file(
    reactor: Clock,
    path: Path,
    lines: int,
    write: Callable[[str], None],
    alive: Callable[[], bool],
) -> None:
    """Write the last ``lines`` lines and then each new one, until ``alive`` returns False."""
    for text in last_lines(path, lines):
        write(text)
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        rest = b""
        while True:
            ended = not alive()  # ask first: what the node wrote before it ended is read below
            while chunk := file.read(CHUNK_BYTES):
                *complete, rest = (rest + chunk).split(b"\n")
                for line in complete:
                    write(line.decode(errors="replace"))
            if ended:
                return
            await pause(reactor, POLL_S)
