"""Deferreds at the edge of the API, made from the callbacks that the node uses internally.

Each fires once. One that was cancelled, or has timed out, gets nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from chordnet.core.base.errors import ChordnetError

T = TypeVar("T")


def from_callback(ask: Callable[[Callable[[T | ChordnetError], None]], None]) -> Deferred[T]:
    """Return a Deferred for what ``ask`` passes to its callback; ``ask`` may refuse by raising."""
    answer: Deferred[T] = Deferred()

    def done(result: T | ChordnetError) -> None:
        if answer.called:
            return
        if isinstance(result, ChordnetError):
            answer.errback(result)
        else:
            answer.callback(result)

    try:
        ask(done)
    except ChordnetError as error:
        return fail(error)
    return answer


def from_call(tell: Callable[[], T]) -> Deferred[T]:
    """Return a fired Deferred: what ``tell`` returned, or the :class:`ChordnetError` it raised."""
    try:
        return succeed(tell())
    except ChordnetError as error:
        return fail(error)


class Waiters:
    """Deferreds that wait for one thing to happen."""

    def __init__(self) -> None:
        self._waiting: dict[Deferred[None], None] = {}

    def wait(self) -> Deferred[None]:
        """Return a Deferred that the next :meth:`tell` fires."""
        waiter: Deferred[None] = Deferred(self._cancelled)
        self._waiting[waiter] = None
        return waiter

    def _cancelled(self, waiter: Deferred[None]) -> None:
        self._waiting.pop(waiter, None)

    def tell(self, problem: ChordnetError | Failure | None) -> None:
        """Fire all waiting Deferreds.

        :param problem: why it will not happen; None if it has.
        """
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            if waiter.called:  # another one's callback has cancelled it
                continue
            if problem is None:
                waiter.callback(None)
            else:
                waiter.errback(problem)
