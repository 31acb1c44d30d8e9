"""Small helpers around Deferreds: pauses, concurrent coroutines, work in a thread."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, DeferredList, FirstError
from twisted.internet.interfaces import IReactorTime

T = TypeVar("T")


Clock: TypeAlias = IReactorTime
"""A reactor of which only the time is used."""
Reactor: TypeAlias = Any
"""A reactor of which ``IReactorTime`` and ``IReactorThreads`` are used; no interface is both."""


def pause(reactor: Clock, seconds: float) -> Deferred[None]:
    """Return a Deferred that fires after ``seconds``; cancelling it ends the wait."""
    done: Deferred[None] = Deferred(lambda _: call.cancel())
    call = reactor.callLater(seconds, done.callback, None)
    return done


async def gather(coroutines: Iterable[Coroutine[Deferred[Any], Any, T]]) -> list[T]:
    """Run coroutines concurrently and return their results in order.

    The first failure is raised; the others are cancelled.
    """
    deferreds = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]
    together = DeferredList(deferreds, fireOnOneErrback=True, consumeErrors=True)
    try:
        results = await together
    except FirstError as failure:
        failure.subFailure.raiseException()
    finally:
        for deferred in deferreds:
            deferred.cancel()
    return [result for _, result in results]


async def first_of(*coroutines: Coroutine[Deferred[Any], Any, T]) -> T:
    """Return the result of the coroutine that ends first, or raise its failure.

    The others are cancelled.
    """
    deferreds = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]
    race = DeferredList(
        deferreds, fireOnOneCallback=True, fireOnOneErrback=True, consumeErrors=True
    )
    try:
        result, _ = await race
    except FirstError as failure:
        failure.subFailure.raiseException()
    finally:
        for deferred in deferreds:
            deferred.cancel()
    return result


async def in_thread(reactor: Reactor, work: Callable[..., T], *arguments: Any) -> T:
    """Run ``work(*arguments)`` in one of the reactor's threads and return its result."""
    from twisted.internet.threads import deferToThreadPool  # noqa: PLC0415 - docker alone needs it

    deferred: Deferred[T] = deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)
    return await deferred
