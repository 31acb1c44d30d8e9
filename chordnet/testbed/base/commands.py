"""Run another program and wait for it without blocking the reactor.

The program gets a session of its own, so that a Ctrl-C at the terminal reaches this process alone,
which decides how the program ends. Its current directory is the root: files in the user's must not
affect it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as ReactorTimeout

from chordnet.survey.errors import TestbedError, TookTooLong
from chordnet.survey.waiting import Reactor, in_thread, pause

END_GRACE_S = 10.0
POLL_S = 0.05


@attrs.frozen
class Finished:
    """How a program ended."""

    status: int
    output: str
    """What it wrote on standard output."""
    errors: str
    """What it wrote on standard error."""

    def last_line(self) -> str:
        """Return the last line of its errors (or output) that is not blank."""
        lines = [line.strip() for line in (self.errors or self.output).splitlines()]
        return next((line for line in reversed(lines) if line), ending(self.status))


def ending(status: int) -> str:
    """Return how a program ended, by its exit status.

    A container's status is 128 plus the signal's number if a signal has ended it.
    """
    number = -status if status < 0 else status - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"exit status {status}"
    return f"ended by {name}" if status < 0 else f"exit status {status} ({name})"


Run = Callable[..., Coroutine[Any, Any, Finished]]
"""Runs a program, as :func:`run_program`."""


async def run_program(
    reactor: Reactor,
    words: Sequence[str],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run ``words`` to its end; end it when this is cancelled.

    :param timeout: seconds after which it is ended.
    :raises TookTooLong: it was ended.
    :raises TestbedError: it cannot be run.
    """
    try:
        program = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if environment is None else dict(environment),
            cwd=os.sep,
            start_new_session=True,
        )
    except OSError as problem:
        raise TestbedError(f"{words[0]} cannot be run: {problem.strerror}") from problem
    work = Deferred.fromCoroutine(in_thread(reactor, program.communicate))
    try:
        output, errors = await work.addTimeout(timeout, reactor)
    except BaseException as reason:
        await _end(reactor, program)
        if isinstance(reason, ReactorTimeout):
            raise TookTooLong(f"{words[0]} took longer than {timeout:.0f} s") from reason
        raise
    return Finished(
        program.returncode, output.decode(errors="replace"), errors.decode(errors="replace")
    )


async def _end(reactor: Reactor, program: subprocess.Popen[bytes]) -> None:
    deadline = reactor.seconds() + END_GRACE_S
    _signal(program, signal.SIGTERM)
    while program.poll() is None and reactor.seconds() < deadline:
        await pause(reactor, POLL_S)
    _signal(program, signal.SIGKILL)


def _signal(program: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if program.poll() is None:
        os.killpg(program.pid, number)
