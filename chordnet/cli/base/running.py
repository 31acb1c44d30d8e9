"""Run a command's coroutine in the reactor, and end it cleanly on a signal.

The first SIGINT, SIGTERM or SIGHUP cancels the coroutine, which then stops everything that it
started; that takes a bounded time, and further signals do not cut it short.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure

from chordnet.cli.base.failures import Interrupted, complain

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Run:
    """One coroutine, from its start to the reactor's stop."""

    def __init__(self, reactor: Any, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> None:
        self._reactor = reactor
        self._work = work
        self._deferred: Deferred[Any] | None = None
        self.outcome: Any = None
        self.signal: int | None = None

    def begin(self) -> None:
        self._deferred = Deferred.fromCoroutine(self._work(self._reactor))
        self._deferred.addBoth(self._end)

    def _end(self, outcome: Any) -> None:
        self.outcome = outcome
        self._reactor.stop()

    def interrupt(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            return
        self.signal = number
        self._reactor.callFromThread(self._cancel)

    def _cancel(self) -> None:
        if self._deferred is not None:
            complain("interrupted")
            self._deferred.cancel()

    def result(self) -> Any:
        if not isinstance(self.outcome, Failure):
            return self.outcome
        if self.signal is not None and self.outcome.check(CancelledError):
            raise Interrupted(self.signal)
        return self.outcome.raiseException()


def run_in_reactor(work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Run ``work(reactor)`` to its end and return what it returned, or raise what it raised.

    :raises Interrupted: a signal asked it to end and it did.
    """
    from twisted.internet import reactor  # noqa: PLC0415 - importing it installs it

    # Unexpected errors go to stderr, and nothing else that is logged.
    errors = FilteringLogObserver(
        textFileLogObserver(sys.stderr), [LogLevelFilterPredicate(LogLevel.error)]
    )
    globalLogBeginner.beginLoggingTo([errors], discardBuffer=True, redirectStandardIO=False)
    return run_in(reactor, work)


def run_in(reactor: Any, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Do the same as :func:`run_in_reactor` in this reactor, which does not run yet."""
    run = _Run(reactor, work)
    reactor.callWhenRunning(run.begin)
    # Under nohup a command outlives its terminal.
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    heeded = [number for number in SIGNALS if not (nohup and number is signal.SIGHUP)]
    before = {number: signal.signal(number, run.interrupt) for number in heeded}
    try:
        reactor.run(installSignalHandlers=False)
    finally:
        for number, handler in before.items():
            # A second Ctrl-C must not change the exit status of the first.
            signal.signal(number, handler if run.signal is None else signal.SIG_IGN)
    result: T = run.result()
    return result
