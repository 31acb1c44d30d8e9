"""Make the standard streams safe: all three open, and any character printable.

A program can be started with a stream closed (``p2pnet status >&-``). Python then has None for it,
and the next file or socket that is opened gets its descriptor and everything that is printed there.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def prepare_streams() -> None:
    """Open the closed streams, before anything else is opened.

    Printing to a closed standard output fails, which a command reports like a full disk; a closed
    standard error silently takes everything.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != number:  # a lower one is still closed, which the loop makes impossible
                os.dup2(opened, number)
                os.close(opened)
    # Streams that are open keep Python's own encoding and line endings.
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A character that the terminal's encoding lacks is shown as an escape, never as a
        # traceback.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
