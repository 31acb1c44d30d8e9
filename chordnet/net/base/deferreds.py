"""Deferreds at the edge of the API, made of the callbacks that the node itself works with.

Each fires once. Whoever has cancelled one, or has let it time out, is told nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from chordnet.core.base.errors import ChordnetError

T = TypeVar("T")


def asked(ask: Callable[[Callable[[T | ChordnetError], None]], None]) -> Deferred[T]:
    """Return a Deferred for what ``ask`` will hand to its callback; it may refuse by raising."""
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


def told(tell: Callable[[], T]) -> Deferred[T]:
    """Return a Deferred of what ``tell`` returns, or of the :class:`ChordnetError` it raises."""
    try:
        return succeed(tell())
    except ChordnetError as error:
        return fail(error)


class Waiters:
    """Those who wait for one thing to happen."""

    def __init__(self) -> None:
        self._waiting: dict[Deferred[None], None] = {}

    def wait(self) -> Deferred[None]:
        """Return a Deferred of what :meth:`tell` is called with next."""
        waiter: Deferred[None] = Deferred(self._cancelled)
        self._waiting[waiter] = None
        return waiter

    def _cancelled(self, waiter: Deferred[None]) -> None:
        self._waiting.pop(waiter, None)

    def tell(self, problem: ChordnetError | Failure | None) -> None:
        """Tell all who wait that it has happened, or why it will not."""
        told, self._waiting = self._waiting, {}
        for waiter in told:
            if waiter.called:  # another one's callback has cancelled it
                continue
            if problem is None:
                waiter.callback(None)
            else:
                waiter.errback(problem)
