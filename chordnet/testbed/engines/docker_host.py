"""The Docker engine as something that is asked, and what it means when it does not answer.

The ``docker`` package blocks, so its calls are made in the reactor's threads. An engine that is
down, or that accepts a connection and then says nothing, is said to be that in one line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import Any, TypeVar

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import RequestException, Timeout

from chordnet.survey.errors import EngineUnavailable
from chordnet.survey.waiting import Reactor, in_thread, pause

T = TypeVar("T")

ANSWER_TIMEOUT_S = 10
"""How long the engine may take for one answer; a busy one takes a second or two."""
AGAIN_S = 0.5
"""Between a request that a busy engine has failed and the same one once more."""
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409
SERVER_ERROR = 500

_NOBODY_THERE = FileNotFoundError | ConnectionRefusedError | PermissionError

Ask = Callable[..., Coroutine[Any, Any, Any]]


def connect(timeout: int = ANSWER_TIMEOUT_S) -> Any:
    """Return a ``docker.DockerClient`` of the engine that the environment names.

    :param timeout: seconds that each answer may take.
    """
    return docker.from_env(timeout=timeout)


class DockerHost:
    """Asks the engine in the reactor's threads.

    :param connect: returns a ``docker.DockerClient``.
    :param thread: runs a function in a thread.
    """

    def __init__(
        self,
        reactor: Reactor,
        connect: Callable[[], Any] = connect,
        thread: Ask = in_thread,
    ) -> None:
        self._reactor = reactor
        self._connect = connect
        self._thread = thread

    @cached_property
    def client(self) -> Any:
        """The ``docker.DockerClient``; made in a thread, for it asks the engine its version."""
        return self._connect()

    async def ask(
        self, work: Callable[..., T], *arguments: Any, what: str = "", again: bool = True
    ) -> T:
        """Run ``work``, which uses :attr:`client`, in a thread.

        A busy engine may fail once at what it does the next moment, so ``work`` is run once more
        after such a failure. What it orders may have been done the first time.

        :param what: the sentence that says what failed, for people.
        :param again: whether ``work`` may be run twice.
        :raises EngineUnavailable: the engine does not answer, or refuses.
        """
        try:
            try:
                result: T = await self._thread(self._reactor, work, *arguments)
            except (DockerException, RequestException) as problem:
                # An engine that has not said a word yet hangs, or is none.
                if not (again and "client" in vars(self) and is_passing(problem)):
                    raise
                await pause(self._reactor, AGAIN_S)
                result = await self._thread(self._reactor, work, *arguments)
        except (DockerException, RequestException) as problem:
            text = why(problem)
            raise EngineUnavailable(f"{what}: {text}" if what else text) from problem
        return result


def is_passing(problem: Exception) -> bool:
    """Return True if the same request may well succeed a moment later."""
    if isinstance(problem, APIError):
        code = problem.status_code
        ending = code == FORBIDDEN and "active endpoints" in explanation(problem)
        return ending or (code is not None and code >= SERVER_ERROR)
    causes = _causes(problem)
    if any(isinstance(cause, _NOBODY_THERE) for cause in causes):
        return False
    return any(isinstance(cause, Timeout | RequestsConnectionError) for cause in causes)


def explanation(problem: APIError) -> str:
    """Return in one line what the engine says of a request that it did not fulfil."""
    return " ".join(str(problem.explanation or problem).split())[:300]


def why(problem: Exception) -> str:
    """Say in one line what is the matter with the engine, and what to do about it."""
    if isinstance(problem, APIError):
        return f"the Docker engine does not do what it is asked: {explanation(problem)}"
    at = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if any(isinstance(cause, Timeout | TimeoutError) for cause in _causes(problem)):
        return (
            f"the Docker engine at {at} was asked and has said nothing for "
            f"{ANSWER_TIMEOUT_S} s: it hangs, or is overloaded; restart it, then try again"
        )
    reasons = [c.strerror for c in _causes(problem) if isinstance(c, OSError) and c.strerror]
    reason = reasons[-1] if reasons else " ".join(str(problem).split())[:200]
    return f"no Docker engine answers at {at} ({reason}); start Docker, then try again"


def _causes(problem: BaseException) -> list[BaseException]:
    """Return an exception and those that it was raised for, however they were wrapped."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [problem]
    while waiting:
        cause = waiting.pop(0)
        if cause is None or cause in found:
            continue
        found.append(cause)
        waiting += [cause.__cause__, cause.__context__]
        waiting += [inner for inner in cause.args if isinstance(inner, BaseException)]
    return found


def tolerated(work: Callable[[], object], *codes: int) -> str:
    """Run ``work``; what the engine refuses with one of ``codes`` is so already.

    :returns: what it says then; empty if it did what it was asked.
    """
    try:
        work()
    except APIError as problem:
        if problem.status_code not in codes:
            raise
        return explanation(problem)
    return ""
