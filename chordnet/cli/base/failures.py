"""Turn a failure into one line on stderr that says what to do, and an exit status.

0 done, 1 it could not be done, 2 wrong usage, 128 + n ended by signal n.
"""

from __future__ import annotations

import errno
import sys

import click

from chordnet.core.base.errors import ChordnetError
from chordnet.draw.phrases import plain

FAILED = 1
WRONG_WORDS = 2
INTERRUPTED = 130


class Interrupted(Exception):
    """A signal asked the command to end, and it has cleaned up.

    :param number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by signal {number}")
        self.number = number


def complain(text: str, details: tuple[str, ...] = ()) -> None:
    """Print what went wrong on stderr: one line, and details below it.

    They may have words of a node or a path in them, so nothing in them controls the terminal.
    """
    lines = [f"p2pnet: {text}", *(f"  {line}" for line in details)]
    print("\n".join(map(plain, lines)), file=sys.stderr)


def system_problem(problem: OSError) -> str:
    """Return one line about what the system refused."""
    if problem.errno in (errno.EMFILE, errno.ENFILE):
        return "too many files are open; raise the limit first, for example with: ulimit -n 4096"
    if problem.filename is None and problem.errno == errno.EBADF:
        return "standard output is closed, so nothing could be shown"
    return f"{problem.filename or 'the output'}: {problem.strerror or problem}"


def status_of(problem: BaseException) -> int | None:
    """Print what went wrong and return the exit status; None if it was unexpected."""
    if isinstance(problem, click.exceptions.Exit):
        return int(problem.exit_code)
    if isinstance(problem, click.Abort):
        return INTERRUPTED
    if isinstance(problem, Interrupted):
        return 128 + problem.number
    if isinstance(problem, click.UsageError):
        command = problem.ctx.info_name if problem.ctx and problem.ctx.parent else None
        where = f"{command}: " if command else ""
        complain(f"{where}{_one_line(problem.format_message())}")
        return WRONG_WORDS
    if isinstance(problem, click.ClickException):
        complain(_one_line(problem.format_message()))
        return FAILED
    if isinstance(problem, ChordnetError):
        complain(_one_line(str(problem)), getattr(problem, "details", ()))
        return WRONG_WORDS if getattr(problem, "wrong_words", False) else FAILED
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
