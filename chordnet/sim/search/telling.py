"""What a search through all states says while it runs, and how it ended."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Protocol, TextIO

FINE, BROKEN, MISUSED, UNFINISHED = 0, 1, 2, 3
"""The exit statuses: all is well, something is broken, bad arguments, a limit was reached."""
PROGRESS_S = 5.0


class Ending(Protocol):
    """How a search ended."""

    @property
    def states(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def runs(self) -> int: ...
    @property
    def broken(self) -> enum.Enum | None:
        """The property that does not hold."""

    @property
    def complete(self) -> bool:
        """Whether every reachable state was seen."""


def progress(
    began: float, err: TextIO, clock: Callable[[], float]
) -> Callable[[int, int, int], None]:
    """Return a function that reports the progress of a search every now and then."""
    last = began

    def tell(found: int, looked_at: int, depth: int) -> None:
        nonlocal last
        now = clock()
        if now - last >= PROGRESS_S:
            last = now
            err.write(
                f"{now - began:6.0f} s  {found} states, {found - looked_at} to look at, "
                f"{depth} steps deep\n"
            )

    return tell


def report(
    ending: Ending, seconds: float, out: TextIO, run: str, limit: str, story: Iterable[str]
) -> int:
    """Write how a search ended; return the exit status.

    :param run: what was run again and again.
    :param limit: what may have ended the search early.
    :param story: the lines of the history that breaks something.
    """
    out.write(
        f"{ending.states} states, {ending.steps} steps, {ending.depth} deep, "
        f"{ending.runs} runs of a {run}, {seconds:.1f} s\n"
    )
    if ending.broken is not None:
        out.write(f"Broken: {ending.broken.value}.\n\n")
        for line in story:
            out.write(line + "\n")
        return BROKEN
    if ending.complete:
        out.write("Every reachable state was seen, and all of them are as they should be.\n")
        return FINE
    out.write(f"Not every state was seen ({limit}); those seen are as they should be.\n")
    return UNFINISHED
