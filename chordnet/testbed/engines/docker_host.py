"""Requests to the Docker engine, and the meaning of its failures.

The ``docker`` package blocks, so its calls are made in the reactor's threads. If the engine is
down, or accepts a connection and then says nothing, the error says so in one line.
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
"""Pause before a request that a busy engine has failed is sent again."""
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409
SERVER_ERROR = 500

_NOBODY_THERE = FileNotFoundError | ConnectionRefusedError | PermissionError

Ask = Callable[..., Coroutine[Any, Any, Any]]


def connect(timeout: int = ANSWER_TIMEOUT_S) -> Any:
    """Return a ``docker.DockerClient`` for the engine that the environment names.

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
        """The ``docker.DockerClient``; made in a thread, since it asks the engine its version."""
        return self._connect()

    async def ask(
        self, work: Callable[..., T], *arguments: Any, what: str = "", again: bool = True
    ) -> T:
        """Run ``work``, which uses :attr:`client`, in a thread.

        A busy engine may fail a request that succeeds a moment later, so ``work`` is run again
        after such a failure. Its effect may have happened the first time already.

        :param what: what failed, as a sentence for people.
        :param again: True if ``work`` may be run twice.
        :raises EngineUnavailable: the engine does not answer, or refuses.
        """
        try:
            try:
                result: T = await self._thread(self._reactor, work, *arguments)
            except (DockerException, RequestException) as problem:
                # An engine that has never answered hangs, or is none.
                if not (again and "client" in vars(self) and is_passing(problem)):
                    raise
                await pause(self._reactor, AGAIN_S)
                result = await self._thread(self._reactor, work, *arguments)
        except (DockerException, RequestException) as problem:
            text = why(problem)
            raise EngineUnavailable(f"{what}: {text}" if what else text) from problem
        return result


def is_passing(problem: Exception) -> bool:
    """Return True if the same request may succeed a moment later."""
    if isinstance(problem, APIError):
        code = problem.status_code
        ending = code == FORBIDDEN and "active endpoints" in explanation(problem)
        return ending or (code is not None and code >= SERVER_ERROR)
    causes = _causes(problem)
    if any(isinstance(cause, _NOBODY_THERE) for cause in causes):
        return False
    return any(isinstance(cause, Timeout | RequestsConnectionError) for cause in causes)


def explanation(problem: APIError) -> str:
    """Return the engine's explanation of a refused request, as one line."""
    return " ".join(str(problem.explanation or problem).split())[:300]


def why(problem: Exception) -> str:
    """Return one line that says what is wrong with the engine, and what to do about it."""
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
    """Return an exception and its causes, including those passed as arguments."""
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
    """Run ``work``; a refusal with one of ``codes`` means that nothing had to be done.

    :returns: the engine's words if it refused; otherwise an empty text.
    """
    try:
        work()
    except APIError as problem:
        if problem.status_code not in codes:
            raise
        return explanation(problem)
    return ""
