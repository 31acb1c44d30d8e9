"""The standard streams: all three there, and none that fails for want of a letter.

A program can be started with a stream closed (``p2pnet status >&-``). Python then has None for it,
and the next file or socket that is opened gets its number and whatever is printed there.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def prepare_streams() -> None:
    """Open what is closed, before anything else is opened.

    What a command prints to a closed standard output cannot be written, which it says as for a full
    disk; a closed standard error takes everything and shows nothing.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != number:  # one below it is still closed, which the loop does not leave
                os.dup2(opened, number)
                os.close(opened)
    # Python's own encoding for them, and their way of ending lines, are kept where they are there.
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # What a terminal's encoding lacks is shown as an escape, never as a traceback.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
