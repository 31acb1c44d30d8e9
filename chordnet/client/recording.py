"""The history of what a client asked of keys and was told, for the judge of such histories.

A client of a history does one thing at a time, and a program may have many operations under way. So
each operation is written under a name that no other one under way has: the client's own, or
``name/2``, ``name/3`` and so on. A write that ended unconfirmed stays under way until it has been
asked for again and its end is known.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from chordnet.core.base.errors import (
    ChordnetError,
    Conflict,
    Unavailable,
    Unconfirmed,
    Untold,
)
from chordnet.core.base.outcomes import Entry, Revision, StaleEntry
from chordnet.judge.store.history import HistoryRecorder, Outcome, Pending
from chordnet.wire.rpc import DeleteKey, GetKey, KeyRequest, PutKey, Written

Ended = Callable[[object], None]


class ClientHistory:
    """Records the operations of one client on keys.

    :param name: the client's, different from all others of the history.
    :param write: takes one line, with its line feed, when an operation has ended.
    :param seconds: the clock of the whole history; that of this machine, which its processes share.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[bytes], object],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._write = write
        self._seconds = seconds
        self._watches = 0
        self._free: list[HistoryRecorder] = []
        self._all: list[HistoryRecorder] = []
        self._unconfirmed: dict[bytes, tuple[HistoryRecorder, Pending]] = {}

    def called(self, asked: KeyRequest) -> Ended:
        """Note that an operation was called; the function returned is told how it ended."""
        if not isinstance(asked, GetKey) and asked.since is not None:
            before = self._unconfirmed.pop(asked.request or b"", None)
            if before is not None:
                return partial(self._wrote, *before, asked, True)
        recorder = self._recorder()
        now = self._seconds()
        if isinstance(asked, GetKey):
            pending = recorder.get(now, asked.key, stale=asked.stale)
            return partial(self._read, recorder, pending)
        if isinstance(asked, PutKey):
            pending = recorder.put(
                now, asked.key, asked.value, if_version=asked.if_version, expires=asked.expires_s
            )
        else:
            pending = recorder.delete(now, asked.key, if_version=asked.if_version)
        return partial(self._wrote, recorder, pending, asked, asked.since is not None)

    def watched(self, key: str, since: int | None) -> Callable[[Revision], object]:
        """Note that a watch was asked for; the function returned is told each revision."""
        self._watches += 1
        recorder = HistoryRecorder(f"{self._name}/watch-{self._watches}", self._write)
        began = self._seconds()

        def told(revision: Revision) -> None:
            version, found = revision.version, revision.value
            recorder.told(began, self._seconds(), key, version=version, found=found, since=since)

        return told

    def close(self) -> None:
        """Write what has no certain end, as unconfirmed."""
        for recorder in self._all:
            recorder.close()
        self._all, self._free = [], []
        self._unconfirmed.clear()

    def _recorder(self) -> HistoryRecorder:
        if self._free:
            return self._free.pop()
        number = len(self._all) + 1
        name = self._name if number == 1 else f"{self._name}/{number}"
        recorder = HistoryRecorder(name, self._write)
        self._all.append(recorder)
        return recorder

    def _read(self, recorder: HistoryRecorder, pending: Pending, told: object) -> None:
        if isinstance(told, StaleEntry):
            told = told.entry
        if isinstance(told, Entry):
            self._end(recorder, pending, Outcome.VALUE, told)
        elif told is None:
            self._end(recorder, pending, Outcome.ABSENT)
        elif isinstance(told, Unavailable):
            self._end(recorder, pending, Outcome.UNAVAILABLE)
        else:
            self._end(recorder, pending, Outcome.UNCONFIRMED)

    def _wrote(
        self,
        recorder: HistoryRecorder,
        pending: Pending,
        asked: PutKey | DeleteKey,
        again: bool,
        told: object,
    ) -> None:
        """Note how a write ended.

        :param again: it had been asked for before, and may have been done then.
        """
        if isinstance(told, Written):
            self._end(recorder, pending, Outcome.DONE, version=told.version)
        elif isinstance(told, Conflict):
            self._end(recorder, pending, Outcome.CONFLICT, told.present)
        elif isinstance(told, Untold):
            self._end(recorder, pending, Outcome.UNCONFIRMED)
        elif again or isinstance(told, Unconfirmed) or not isinstance(told, ChordnetError):
            self._unconfirmed[asked.request or b""] = recorder, pending
        else:
            self._end(recorder, pending, Outcome.UNAVAILABLE)

    def _end(
        self,
        recorder: HistoryRecorder,
        pending: Pending,
        outcome: Outcome,
        entry: Entry | None = None,
        *,
        version: int | None = None,
    ) -> None:
        if recorder not in self._all:  # the history has been closed
            return
        recorder.answered(
            pending,
            self._seconds(),
            outcome,
            version=version if entry is None else entry.version,
            found=None if entry is None else entry.value,
        )
        self._free.append(recorder)
