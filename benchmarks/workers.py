"""Processes of our own: each runs one function at the other end of a pipe.

Every subscriber, publisher, rival node and measuring client is a separate
process, so that no interpreter lock is shared. The function receives a
`Connection` and answers what it reads there; ``None`` asks it to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import traceback
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

from attrs import frozen

from benchmarks.errors import BenchmarkError
from chordnet.sim.world.workers import worker_context

_SPAWN = worker_context()

ANSWER_SECONDS = 60.0
STOP_SECONDS = 3.0


@frozen
class Failure:
    """What a worker answers when its function raised."""

    text: str
    traceback: str


class Worker:
    """One process that runs ``function(connection, *arguments)``.

    The function must send one answer when it is ready.

    Raises:
        BenchmarkError: The function failed or was not ready in time.
    """

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_run, args=(theirs, function, arguments), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self.receive()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process.pid is not None
        return self._process.pid

    def send(self, *request: Any) -> None:
        """Put a question to the function, without waiting."""
        self._pipe.send(request)

    def receive(self, timeout: float = ANSWER_SECONDS) -> Any:
        """Return the function's next answer.

        Raises:
            BenchmarkError: It failed, ended or stayed silent for `timeout` seconds.
        """
        if not self._pipe.poll(timeout):
            raise BenchmarkError(f"{self._name} did not answer in {timeout:g} s")
        try:
            answer = self._pipe.recv()
        except EOFError:
            raise BenchmarkError(f"{self._name} ended unexpectedly") from None
        if isinstance(answer, Failure):
            error = BenchmarkError(f"{self._name}: {answer.text}")
            error.add_note(answer.traceback)
            raise error
        return answer

    def ask(self, *request: Any, timeout: float = ANSWER_SECONDS) -> Any:
        """Put a question and return the answer.

        Raises:
            BenchmarkError: As for `receive`.
        """
        self.send(*request)
        return self.receive(timeout)

    def stop(self) -> None:
        """End the process: asked first, then made to."""
        with contextlib.suppress(OSError):  # it may have ended already
            self._pipe.send(None)
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()


def _run(pipe: Connection, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # Linux shares the processors out by session first; chordnet's nodes have one each, too.
    os.setsid()
    try:
        function(pipe, *arguments)
    except (EOFError, KeyboardInterrupt, BrokenPipeError):
        pass  # the run was given up; there is nobody left to tell
    except Exception as error:  # noqa: BLE001 - told to whoever asked
        pipe.send(Failure(f"{type(error).__name__}: {error}", traceback.format_exc()))


async def serve(pipe: Connection, handle: Callable[..., Awaitable[Any]]) -> None:
    """Answer questions in an asyncio program until asked to end."""
    loop = asyncio.get_running_loop()
    while (request := await loop.run_in_executor(None, pipe.recv)) is not None:
        pipe.send(await handle(*request))
