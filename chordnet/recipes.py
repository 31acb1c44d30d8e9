"""Locks and leaders on the keys of a store.

A :class:`Lock` is a key with a value that expires. Its writer holds the lock, and renews it
long before it expires. The *fence* is the version that the key had when the lock was taken; the
fence of a later holder is always higher.

The store ends a lease by the clocks of its nodes, and the holder counts by its own. So the holder
counts from before it sent the last renewal that was confirmed, by a clock that nobody sets, and
takes the lease for lost a margin before its end. That keeps two from holding the lock at a time, as
long as the clocks of the nodes are no further apart than the margin. It cannot keep a holder that
is frozen between a check and what it does next from doing it late: what the lock protects has to
refuse a fence that is lower than one it has seen.

Source: Burrows, "The Chubby lock service for loosely-coupled distributed systems" (OSDI 2006),
2.4: sequencers.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from secrets import token_hex
from types import TracebackType
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as WaitedLong
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    ConfigError,
    Conflict,
    ConnectFailed,
    LocalProtocolError,
    NotInRing,
    TimedOut,
    Unavailable,
    Unconfirmed,
    Untold,
)
from chordnet.core.base.outcomes import Entry, Revision
from chordnet.wire.rpc import Written

POLL_S = 1.0
"""Between two looks at a lock that another holds, on average, if its key cannot be watched."""
WATCHED_S = 10.0
"""The same while its key is watched: a look for the case that the watch is told nothing."""
AGAIN_S = 0.2
"""Before something that failed is tried again."""

_PASSING = (Busy, ConnectFailed, NotInRing, TimedOut, Unavailable)
"""What was asked for was not done, and may be a moment later."""


def steady() -> float:
    """Return seconds of a clock that nobody sets, and that runs while the machine sleeps."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class Watch(Protocol):
    """What a lock needs of a :class:`chordnet.KeyWatch`."""

    @property
    def finished(self) -> Deferred[None]: ...
    def stop(self) -> None: ...


class Keys(Protocol):
    """What a lock needs of a :class:`chordnet.ChordService` or a :class:`chordnet.P2PNetClient`."""

    def get(self, key: str, *, timeout_s: float = ...) -> Deferred[Entry | None]: ...

    def put(
        self,
        key: str,
        value: bytes,
        *,
        if_version: int | None = ...,
        expires_s: float | None = ...,
        request: bytes | None = ...,
        since: int | None = ...,
        timeout_s: float = ...,
    ) -> Deferred[Written]: ...

    def delete(
        self,
        key: str,
        *,
        if_version: int | None = ...,
        request: bytes | None = ...,
        since: int | None = ...,
        timeout_s: float = ...,
    ) -> Deferred[Written]: ...

    def watch(
        self,
        key: str,
        callback: Callable[[Revision], object] | None = ...,
        *,
        since: int | None = ...,
    ) -> Watch: ...


class LockLost(ChordnetError):
    """The lock is not held any more; the text says why. Another program may hold it."""


class Holding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the key of a lock has as its value, as JSON."""

    owner: str
    """Random; another one every time that the lock is taken."""
    fence: int | None = None
    """None before the first renewal: then it is the version of the entry."""


_encode = msgspec.json.Encoder().encode


def holding_of(entry: Entry) -> Holding | None:
    """Return what the entry of a lock says; None if something else was written to its key."""
    try:
        found = msgspec.json.decode(entry.value, type=Holding)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return msgspec.structs.replace(found, fence=found.fence or entry.version)


class Lock:
    """A lock that one program of a network holds at a time.

    ::

        lock = Lock(client, "job", reactor)
        async with lock as fence:
            for part in parts:
                lock.check()
                await protected.write(part, fence)

    It is held from the time that the ``async with`` begins until the block ends, or until it is
    *lost*: because it could not be renewed in time, or because something else was written to its
    key. Then :meth:`check` raises :class:`LockLost`, and so does the end of the block, unless
    another exception ends it. One that takes the lock and ends in the middle of it leaves the key
    to expire.

    :param keys: a ``ChordService`` or a ``P2PNetClient``.
    :param key: the key. Nothing else may be written to it.
    :param reactor: ``IReactorTime``.
    :param ttl_s: seconds after which the lock of a program that has died is free.
    :param margin_s: seconds before that in which its holder takes it for lost.
    :param seconds: a clock that nobody sets.
    :param rng: where the pauses come from.
    :raises ConfigError: there is not enough time for a renewal.
    """

    def __init__(
        self,
        keys: Keys,
        key: str,
        reactor: IReactorTime,
        *,
        ttl_s: float = 15.0,
        margin_s: float = 1.0,
        seconds: Callable[[], float] = steady,
        rng: Random | None = None,
    ) -> None:
        if not 0 <= margin_s < ttl_s / 2:
            raise ConfigError(f"margin_s={margin_s:g}: must be from 0 to less than half of ttl_s")
        self._keys = keys
        self._key = key
        self._reactor = reactor
        self._ttl_s = ttl_s
        self._margin_s = margin_s
        self._seconds = seconds
        self._rng = rng or Random()
        self._taken = False
        """Whether it is held, or somebody waits for it."""
        self._lease: _Lease | None = None

    @property
    def fence(self) -> int | None:
        """The fence, if the lock is held."""
        lease = self._lease
        return lease.fence if lease is not None and lease.held else None

    def check(self) -> int:
        """Return the fence.

        :raises LockLost: the lock is not held.
        """
        if self._lease is None:
            raise LockLost(f"the lock {self._key!r} is not held")
        self._lease.check()
        return self._lease.fence

    def when_lost(self) -> Deferred[LockLost]:
        """Return a Deferred that fires when the lock is lost, and never if it is released."""
        if self._lease is None:
            raise LockLost(f"the lock {self._key!r} is not held")
        return self._lease.when_lost()

    async def acquire(self) -> int:
        """Wait until the lock is free, and take it; return the fence.

        :raises LocalProtocolError: it is held already by this object, the key is impossible, or the
            network has no store.
        """
        if self._taken:
            raise LocalProtocolError(f"this object has taken the lock {self._key!r} already")
        self._taken = True
        vacancy: _Vacancy | None = None
        try:
            while self._lease is None:
                self._lease = await self._try()
                if self._lease is None:
                    vacancy = vacancy or _Vacancy(self._keys, self._key, self._reactor, self._rng)
                    await vacancy.wait()
        except BaseException:
            self._taken = False
            raise
        finally:
            if vacancy is not None:
                vacancy.close()
        self._lease.begin()
        return self._lease.fence

    async def release(self) -> None:
        """Give the lock back.

        :raises LockLost: it was not held any more.
        """
        lease, self._lease = self._lease, None
        if lease is None:
            raise LockLost(f"the lock {self._key!r} is not held")
        try:
            await lease.release()
        finally:
            self._taken = False
        lease.check_lost()

    async def __aenter__(self) -> int:
        return await self.acquire()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.release()
        except LockLost:
            if kind is None:
                raise

    async def _try(self) -> _Lease | None:
        """Take the lock if it is free."""
        lease = _Lease(
            self._keys, self._key, self._reactor, self._seconds, self._ttl_s, self._margin_s
        )
        try:
            if await self._keys.get(self._key, timeout_s=lease.patience_s) is not None:
                return None
            return lease if await lease.take() else None
        except _PASSING:
            return None


class _Vacancy:
    """Waits until the key of a lock may have no value."""

    def __init__(self, keys: Keys, key: str, reactor: IReactorTime, rng: Random) -> None:
        self._reactor = reactor
        self._rng = rng
        self._free = False
        """Whether the last that was heard is that there is no value."""
        self._blind = False
        """Whether nothing will be heard."""
        self._waiting: Deferred[None] | None = None
        self._watch = keys.watch(key, self._told)
        self._watch.finished.addErrback(self._failed)

    def _told(self, revision: Revision) -> None:
        self._free = revision.value is None
        if self._free:
            self._wake()

    def _failed(self, _why: object) -> None:
        # What is wrong is told by the next attempt to take the lock, if it goes on being wrong.
        self._blind = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def wait(self) -> None:
        """Wait until the key was seen without a value, or for a while."""
        if not self._free:
            pause = POLL_S if self._blind else WATCHED_S
            self._waiting = Deferred()
            try:
                await self._waiting.addTimeout(pause * (0.5 + self._rng.random()), self._reactor)
            except WaitedLong:
                return
            finally:
                self._waiting = None
        # Those that wait are told at the same moment, and one of them is enough.
        await deferLater(self._reactor, AGAIN_S * self._rng.random())

    def close(self) -> None:
        """Watch no more."""
        self._watch.stop()


class _Lease:
    """One holding of a lock, from its taking to its end.

    Attributes:
        fence: the version at which it was taken.
        lost: why it is held no more; None while it is, and after its release.
    """

    def __init__(
        self,
        keys: Keys,
        key: str,
        reactor: IReactorTime,
        seconds: Callable[[], float],
        ttl_s: float,
        margin_s: float,
    ) -> None:
        self._keys = keys
        self._key = key
        self._reactor = reactor
        self._seconds = seconds
        self._ttl_s = ttl_s
        self._margin_s = margin_s
        self._owner = token_hex(8)
        self.patience_s = ttl_s / 6
        """For how long a node may try: so there is time for another attempt."""
        self.fence = 0
        self._version = 0
        self._sent = seconds()
        """When the last confirmed renewal was sent."""
        self.lost: LockLost | None = None
        self._waiting: list[Deferred[LockLost]] = []
        self._timer: IDelayedCall | None = None
        self._over = False
        self._pausing: Deferred[None] | None = None
        self._renewing: Deferred[None] | None = None

    @property
    def _deadline(self) -> float:
        return self._sent + self._ttl_s - self._margin_s

    @property
    def held(self) -> bool:
        """Whether it is neither lost nor given back, and its time is not over."""
        return not self._over and self._seconds() < self._deadline

    # ---- taking it --------------------------------------------------------------------------

    async def take(self) -> bool:
        """Write the key if there is nothing; return whether the lock is held then."""
        self._sent = self._seconds()
        ask = partial(
            self._keys.put,
            self._key,
            _encode(Holding(self._owner)),
            if_version=0,
            expires_s=self._ttl_s,
            timeout_s=self.patience_s,
        )
        try:
            version = (await self._certain(ask)).version
        except (Conflict, Unconfirmed):
            return False  # a value that is ours nevertheless is never renewed, and expires
        except Untold:
            entry = await self._keys.get(self._key, timeout_s=self.patience_s)
            found = None if entry is None else holding_of(entry)
            if entry is None or found is None or found.owner != self._owner:
                return False
            version = entry.version
        self.fence = self._version = version
        return self._seconds() < self._deadline

    async def _certain(self, ask: Callable[..., Awaitable[Written]]) -> Written:
        """Ask for a write until its end is known, and no longer than the lease may last.

        :raises Unconfirmed: the end is not known by then.
        """
        again: dict[str, Any] = {}
        doubt: Unconfirmed | None = None
        while True:
            try:
                return await ask(**again)
            except Unconfirmed as problem:
                again = {"request": problem.request, "since": problem.since}
                doubt = problem
            except _PASSING:
                if doubt is None:
                    raise
            if self._seconds() + AGAIN_S >= self._deadline:
                raise doubt
            await deferLater(self._reactor, AGAIN_S)

    # ---- keeping it -------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin to renew it, and to watch its end."""
        self._look()
        self._renewing = Deferred.fromCoroutine(self._renew())

    def check(self) -> None:
        """Raise :class:`LockLost` if the time of the lease is over, or it was lost before."""
        if not self.held:
            self._lose("it could not be renewed in time")
        self.check_lost()

    def check_lost(self) -> None:
        """Raise :class:`LockLost` if it was lost."""
        if self.lost is not None:
            raise LockLost(str(self.lost))

    def when_lost(self) -> Deferred[LockLost]:
        """Return a Deferred that fires when it is lost."""
        waiting: Deferred[LockLost] = Deferred()
        if self.lost is not None:
            waiting.callback(self.lost)
        else:
            self._waiting.append(waiting)
        return waiting

    def _look(self) -> None:
        """End the lease when its time is over, also if nobody checks."""
        self._timer = None
        left = self._deadline - self._seconds()
        if left > 0:
            self._timer = self._reactor.callLater(left, self._look)
        else:
            self._lose("it could not be renewed in time")

    async def _renew(self) -> None:
        pause_s = self._ttl_s / 3
        while await self._pause(self._sent + pause_s - self._seconds()):
            sent = self._seconds()
            value = _encode(Holding(self._owner, self.fence))
            ask = partial(
                self._keys.put,
                self._key,
                value,
                if_version=self._version,
                expires_s=self._ttl_s,
                timeout_s=self.patience_s,
            )
            try:
                self._version = (await self._certain(ask)).version
                self._sent = sent
            except (Conflict, Untold):
                self._lose("something else was written to its key")
            except Unconfirmed:
                self._lose("it could not be renewed in time")
            except ChordnetError:
                # Not done. There may be time for another attempt, and if not check() knows.
                if not await self._pause(AGAIN_S):
                    return

    async def _pause(self, seconds: float) -> bool:
        """Wait; return whether to go on."""
        if self._over:
            return False
        self._pausing = deferLater(self._reactor, max(seconds, 0.0))
        try:
            await self._pausing
        except CancelledError:
            return False
        finally:
            self._pausing = None
        return not self._over

    # ---- its end ----------------------------------------------------------------------------

    def _lose(self, why: str) -> None:
        if self.lost is None:
            self.lost = LockLost(f"the lock {self._key!r} was lost: {why}")
            self._end()
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(self.lost)

    def _end(self) -> None:
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pausing is not None:
            self._pausing.cancel()

    async def release(self) -> None:
        """Renew it no more, and delete the key if it is still held."""
        self._waiting.clear()
        if not self.held:
            self._lose("it could not be renewed in time")
            return
        self._end()
        if self._renewing is not None:
            await self._renewing  # it may have made another version
        if self.lost is not None:
            return
        ask = partial(
            self._keys.delete, self._key, if_version=self._version, timeout_s=self.patience_s
        )
        try:
            await self._certain(ask)
        except (Conflict, Untold):
            self._lose("something else was written to its key")
        except ChordnetError:
            return  # the key expires by itself


class Leader:
    """Takes a lock whenever it is free, and says when it is held and when not.

    :param lock: a lock that nothing else uses.
    :param gained: called with the fence when it was taken.
    :param lost: called with the reason when it was lost or given back.
    """

    def __init__(
        self, lock: Lock, gained: Callable[[int], object], lost: Callable[[str], object]
    ) -> None:
        self._lock = lock
        self._gained = gained
        self._lost = lost
        self._running: Deferred[None] | None = None

    @property
    def fence(self) -> int | None:
        """The fence, while this is the leader."""
        return self._lock.fence

    def check(self) -> int:
        """Return the fence.

        :raises LockLost: this is not the leader.
        """
        return self._lock.check()

    def start(self) -> Deferred[None]:
        """Begin; the Deferred fires when it was stopped, or fails with what makes it impossible."""
        self._running = Deferred.fromCoroutine(self._run())
        return self._running

    def stop(self) -> None:
        """Give the lock back, or stop waiting for it."""
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        try:
            while True:
                fence = await self._lock.acquire()
                await self._lead(fence)
        except CancelledError:
            return

    async def _lead(self, fence: int) -> None:
        why = "stopped"
        try:
            self._gained(fence)
            why = str(await self._lock.when_lost())
        finally:
            self._lost(why)
            await self._give_back()

    async def _give_back(self) -> None:
        try:
            await self._lock.release()
        except LockLost:
            return  # that was told
