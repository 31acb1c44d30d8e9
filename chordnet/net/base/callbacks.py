"""Calls of the embedding program's own functions, plain ones and coroutines (``async def``).

What such a function raises is reported to the caller of :func:`call` and goes no further. A
coroutine is waited for, so that a subscriber handles one event at a time, in order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

Failed = Callable[[Failure], None]


def call(
    function: Callable[..., object], arguments: tuple[object, ...], failed: Failed
) -> Deferred[None] | None:
    """Call ``function``.

    :param failed: called with what it raised.
    :return: a Deferred that fires when its coroutine has ended; None if there is none to wait for.
    """
    try:
        result = function(*arguments)
    except Exception:  # noqa: BLE001 - passed on with its traceback
        failed(Failure())
        return None
    if not inspect.iscoroutine(result):
        return None
    over: Deferred[None] = Deferred.fromCoroutine(result).addErrback(failed)
    return None if over.called else over
