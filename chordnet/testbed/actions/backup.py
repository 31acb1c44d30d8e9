"""Export the keys of a store to a file, and import them.

An export asks every node which keys it holds and reads each of them, as any client reads. So what
is in the file of one key was its value at a moment of the export; different keys are read at
different moments. An import writes a key only if it has no value, unless it is told to overwrite,
and then only over the value that it has seen.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as ReactorTimeout

from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    Conflict,
    ConnectFailed,
    NotInRing,
    TimedOut,
    Unavailable,
    Unconfirmed,
)
from chordnet.core.base.limits import MAX_EXPIRES_S
from chordnet.core.base.outcomes import Entry
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.observer import Client
from chordnet.survey.store.backup import MAX_LINE, BadBackup, Saved, end, head, line_of, read_backup
from chordnet.survey.waiting import gather, pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.convergence import Counted
from chordnet.wire.rpc import Written
from chordnet.wire.stores import HeldKey

T = TypeVar("T")

AT_ONCE = 32
"""Keys that are read or written at the same time."""
PAGE_KEYS = 1000
ANSWER_S = 5.0
"""How much longer than an operation may take its answer is waited for."""
TRIES = 5
"""Through another node each time."""
TRY_AGAIN_S = 0.5
_PASSING = (Busy, ConnectFailed, NotInRing, TimedOut, Unavailable, ReactorTimeout)
"""What another try may mend, through another node or a moment later."""
SHOWN = 5


@attrs.frozen(kw_only=True)
class Exported:
    """The outcome of an export."""

    keys: int
    bytes: int
    """Of the values."""
    unread: tuple[str, ...] = ()
    """Keys that could not be read, and why; they are not in the file."""


@attrs.define(kw_only=True)
class Imported:
    """The outcome of an import."""

    written: int = 0
    same: int = 0
    """Keys that had this value already."""
    overwritten: int = 0
    expired: int = 0
    """Keys whose time was over."""
    conflicts: list[str] = attrs.field(factory=list)
    """Keys that have another value, which was left."""
    failed: list[str] = attrs.field(factory=list)
    """Keys that were not written, or nobody knows if they were, and why."""

    @property
    def done(self) -> int:
        """Keys that are dealt with."""
        count = self.written + self.same + self.overwritten + self.expired
        return count + len(self.conflicts) + len(self.failed)


class _Nodes:
    """The nodes that run, each asked in its turn."""

    def __init__(self, testbed: Testbed, network: NetworkDescription, numbers: list[int]) -> None:
        self._testbed = testbed
        self.numbers = numbers
        self._clients = {n: testbed.connect(network.address(n)) for n in numbers}
        self._next = 0

    async def ask(
        self, number: int, question: Callable[[Client], Deferred[T]], timeout: float
    ) -> T:
        """Ask one of them."""
        return await question(self._clients[number]).addTimeout(timeout, self._testbed.reactor)

    async def any(self, question: Callable[[Client], Deferred[T]], timeout: float) -> T:
        """Ask one after the other until one can answer.

        :raises ChordnetError: the last one's refusal.
        """
        for attempt in range(TRIES):
            self._next += 1
            number = self.numbers[self._next % len(self.numbers)]
            try:
                return await self.ask(number, question, timeout + ANSWER_S)
            except _PASSING as problem:
                if attempt == TRIES - 1:
                    if isinstance(problem, ReactorTimeout):
                        raise TimedOut(f"Node {number} has not answered in time") from problem
                    raise
                await pause(self._testbed.reactor, TRY_AGAIN_S)
        raise AssertionError

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            client.close()


async def _nodes(testbed: Testbed) -> _Nodes:
    network = testbed.description()
    running = await testbed.running(network)
    conditions = await testbed.conditions(network, running)
    numbers = sorted(running - conditions.keys())
    if not numbers:
        raise TestbedError("no node can be asked; see: " + testbed.command("status"))
    return _Nodes(testbed, network, numbers)


# ---- export -----------------------------------------------------------------------------------


async def export_keys(
    testbed: Testbed, path: Path, wall: float, timeout: float, *, allow_gaps: bool
) -> Exported:
    """Write the keys of the store into a file.

    The file appears when it is whole, in place of what was there.

    :param wall: the time, seconds since 1970.
    :param timeout: seconds that one read may take.
    :param allow_gaps: leave out keys that cannot be read, and say so; otherwise one such key means
        that there is no file.
    :raises TestbedError: the nodes cannot be asked, or a key cannot be read, or the file not be
        written.
    """
    nodes = await _nodes(testbed)
    try:
        formation, keys = await _listed(nodes, timeout)
        unread: list[str] = []
        with _replacing(path) as file:
            print(head(testbed.home.name, formation, wall), file=file)
            count, size = 0, 0
            for first in range(0, len(keys), AT_ONCE):
                testbed.watch(_copying("read", first, len(keys)))
                some = keys[first : first + AT_ONCE]
                for saved in await gather(_read(nodes, key, timeout, unread) for key in some):
                    if saved is not None:
                        count, size = count + 1, size + len(saved.entry.value)
                        print(line_of(saved), file=file)
                if unread and not allow_gaps:
                    raise TestbedError(
                        f"{unread[0]}; no file was written (with --partial without such keys)"
                    )
            print(end(count), file=file)
        return Exported(keys=count, bytes=size, unread=tuple(unread))
    except OSError as problem:
        raise TestbedError(f"cannot write {path}: {problem.strerror or problem}") from problem
    finally:
        nodes.close()


async def _listed(nodes: _Nodes, timeout: float) -> tuple[str, list[str]]:
    """Return the name of the store and all keys that any node holds, in order.

    :raises TestbedError: a node does not say what it holds, or there is no store.
    """
    formations: set[str] = set()
    found: set[str] = set()
    for number in nodes.numbers:
        try:
            state = await nodes.ask(number, lambda client: client.store_state(), timeout + ANSWER_S)
            if not state.formation or state.failed:
                continue
            formations.add(state.formation)
            found |= await _held(nodes, number, timeout)
        except (ChordnetError, ReactorTimeout) as problem:
            why = str(problem) or "it has not answered in time"
            raise TestbedError(
                f"Node {number} does not say which keys it holds: {why}"
            ) from problem
    if not formations:
        raise TestbedError("no node that runs belongs to a store of keys")
    if len(formations) > 1:
        raise TestbedError("the nodes belong to several stores, which cannot go into one file")
    return formations.pop(), sorted(found, key=str.encode)


async def _held(nodes: _Nodes, number: int, timeout: float) -> set[str]:
    found: set[str] = set()
    after = ""
    while True:
        page = await nodes.ask(number, partial(_page, after), timeout + ANSWER_S)
        found.update(each.key for each in page)
        if len(page) < PAGE_KEYS:
            return found
        after = page[-1].key


def _page(after: str, client: Client) -> Deferred[list[HeldKey]]:
    return client.held_keys(PAGE_KEYS, after)


async def _read(nodes: _Nodes, key: str, timeout: float, unread: list[str]) -> Saved | None:
    try:
        entry = await nodes.any(lambda client: client.get(key, timeout_s=timeout), timeout)
    except ChordnetError as problem:
        unread.append(str(problem))
        return None
    return None if entry is None else Saved(key, entry)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """Open a file that takes the place of ``path`` when it is closed without an error."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


# ---- import -----------------------------------------------------------------------------------


async def import_keys(
    testbed: Testbed, path: Path, wall: Callable[[], float], timeout: float, *, overwrite: bool
) -> Imported:
    """Write the keys of a file into the store.

    :param wall: returns the time, seconds since 1970.
    :param timeout: seconds that one write may take.
    :param overwrite: write keys as well that have another value.
    :raises TestbedError: the file cannot be read or is damaged: then nothing was written.
    """
    total = sum(1 for _ in _of(path))
    nodes = await _nodes(testbed)
    done = Imported()
    try:
        some: list[Saved] = []
        for saved in _of(path):
            some.append(saved)
            if len(some) == AT_ONCE:
                testbed.watch(_copying("written", done.done, total))
                await gather(_write(nodes, each, wall, timeout, overwrite, done) for each in some)
                some = []
        await gather(_write(nodes, each, wall, timeout, overwrite, done) for each in some)
        return done
    finally:
        nodes.close()


def _of(path: Path) -> Iterator[Saved]:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            yield from read_backup(iter(lambda: file.readline(MAX_LINE), ""))
    except BadBackup as problem:
        raise TestbedError(f"{path}, {problem}") from None
    except OSError as problem:
        raise TestbedError(f"cannot read {path}: {problem.strerror or problem}") from problem


async def _write(
    nodes: _Nodes,
    saved: Saved,
    wall: Callable[[], float],
    timeout: float,
    overwrite: bool,
    done: Imported,
) -> None:
    entry = saved.entry
    expires = None if entry.expires is None else entry.expires - wall()
    if expires is not None and expires <= 0:
        done.expired += 1
        return
    if expires is not None:
        expires = min(expires, MAX_EXPIRES_S)
    version = 0
    for _ in range(TRIES):
        try:
            await _put(nodes, saved, version, expires, timeout)
        except Conflict as conflict:
            present = conflict.present
            if present is not None and _alike(present, entry):
                done.same += 1
                return
            if not overwrite:
                done.conflicts.append(saved.key)
                return
            version = 0 if present is None else present.version
        except ChordnetError as problem:
            done.failed.append(str(problem))
            return
        else:
            if version:
                done.overwritten += 1
            else:
                done.written += 1
            return
    done.failed.append(f"{saved.key!r} is written by others again and again")


def _alike(present: Entry, entry: Entry) -> bool:
    return present.value == entry.value and (present.expires is None) == (entry.expires is None)


async def _put(
    nodes: _Nodes, saved: Saved, version: int, expires: float | None, timeout: float
) -> None:
    """Write a key; if it is not known whether it was, ask again until it is."""
    request: bytes | None = None
    since: int | None = None
    for attempt in range(TRIES):
        try:
            put = partial(_put_by, saved, version, expires, request, since, timeout)
            await nodes.any(put, timeout)
            return
        except Unconfirmed as doubt:
            if attempt == TRIES - 1:
                raise
            request, since = doubt.request, doubt.since


def _put_by(
    saved: Saved,
    version: int,
    expires: float | None,
    request: bytes | None,
    since: int | None,
    timeout: float,
    client: Client,
) -> Deferred[Written]:
    return client.put(
        saved.key,
        saved.entry.value,
        if_version=version,
        expires_s=expires,
        request=request,
        since=since,
        timeout_s=timeout,
    )


def _copying(what: str, count: int, of: int) -> Counted:
    return Counted((count, of), f"{count} of {of} keys {what}")
