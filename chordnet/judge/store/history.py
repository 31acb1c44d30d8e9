"""The history of a store as its clients saw it: one operation a line, as JSON.

An operation begins with its *call* and ends with its *return*, on a clock that all lines of a file
share. Its outcome is what the client was told; an operation that nobody answered is unconfirmed
and has no return. Nothing here opens a file or reads a clock: lines come from an iterable and go to
a callable, and times are arguments.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from chordnet.core.base.errors import ChordnetError

MAX_LINE_BYTES = 1024 * 1024
"""A line that is longer is no operation."""
MAX_TEXT_BYTES = 64
"""A value that is longer is told by its digest."""
DIGEST_BYTES = 16
_DIGEST = "blake2b:"


class HistoryError(ChordnetError):
    """A line is no operation.

    :param line: its number, from 1.
    :param reason: what is wrong with it.
    """

    wrong_words = True

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line} is no operation: {reason}")
        self.line = line
        self.reason = reason


class Action(enum.StrEnum):
    """What was asked for."""

    PUT = "put"
    GET = "get"
    DELETE = "delete"
    WATCH = "watch"
    """Nothing by itself: one line is one revision that a watch told of."""


class Outcome(enum.StrEnum):
    """What a client was told."""

    DONE = "done"
    """A write happened."""
    CONFLICT = "conflict"
    """A write did not happen, since the present version is not the expected one."""
    UNCONFIRMED = "unconfirmed"
    """A write may have happened, may happen later, or never; a read brought nothing."""
    UNAVAILABLE = "unavailable"
    """Nothing happened, and nothing will."""
    VALUE = "value"
    """A read found a value."""
    ABSENT = "absent"
    """A read found that there is none."""


Version = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One operation of one client on one key."""

    client: str
    """Does one thing at a time; a program that asks for several at once is several clients."""
    key: str
    action: Action = msgspec.field(name="operation")
    value: str | None = None
    """What a put writes."""
    if_version: Version | None = None
    """A write happens only at this version; 0: only if the key does not exist."""
    since: Version | None = None
    """Of a watch: the version that it was to begin after."""
    expires: Annotated[float, Meta(ge=0)] | None = None
    """Seconds after which the store deletes what a put wrote."""
    stale: bool = False
    """A read that may be answered from the past."""
    call: float
    returned: float | None = msgspec.field(name="return", default=None)
    """None if there was no answer."""
    outcome: Outcome
    version: Version | None = None
    """Of what was written, or read; of a conflict, the present one, 0 if the key did not exist."""
    found: str | None = None
    """The value that a get found, or that a conflict told."""


_decode = msgspec.json.Decoder(Operation).decode
_encode = msgspec.json.Encoder().encode

_READS = frozenset({Outcome.VALUE, Outcome.ABSENT, Outcome.UNCONFIRMED, Outcome.UNAVAILABLE})
_TOLD = frozenset({Outcome.VALUE, Outcome.ABSENT})
_WRITES = frozenset({Outcome.DONE, Outcome.CONFLICT, Outcome.UNCONFIRMED, Outcome.UNAVAILABLE})


def read_history(lines: Iterable[bytes]) -> Iterator[Operation]:
    """Yield the operations of a history; the number of one is the number of its line.

    :raises HistoryError: a line is none.
    """
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_BYTES:
            raise HistoryError(number, f"it has more than {MAX_LINE_BYTES} bytes")
        if not line.strip():
            raise HistoryError(number, "it is empty")
        try:
            operation: Operation = _decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            raise HistoryError(number, str(problem)) from None
        complaint = contradiction(operation)
        if complaint:
            raise HistoryError(number, complaint)
        yield operation


def contradiction(operation: Operation) -> str:
    """Return why the fields do not belong together; empty if they do."""
    action, outcome = operation.action, operation.outcome
    put, get, watch = (action is each for each in (Action.PUT, Action.GET, Action.WATCH))
    ends = _READS if get else _TOLD if watch else _WRITES
    read = outcome is Outcome.VALUE
    conflict = outcome is Outcome.CONFLICT
    answered = operation.returned is not None
    found = operation.found is not None
    rules = (
        (outcome in ends, f"a {action} cannot end as {outcome}"),
        (operation.value is not None or not put, "a put has a `value`"),
        (operation.value is None or put, f"a {action} has no `value`"),
        (operation.expires is None or put, f"a {action} has no `expires`"),
        (operation.if_version is None or not (get or watch), f"a {action} has no `if_version`"),
        (operation.since is None or watch, f"a {action} has no `since`"),
        (not operation.stale or get, f"a {action} is never `stale`"),
        (answered or outcome is Outcome.UNCONFIRMED, "without a `return` it is unconfirmed"),
        (found or not read, "a value that was read is in `found`"),
        (read or conflict or not found, f"nothing is `found` by what ends as {outcome}"),
        (not conflict or not found or bool(operation.version), "nothing there has no `found`"),
    )
    return next((words for holds, words in rules if not holds), "")


def value_text(value: bytes) -> str:
    """Return what stands for a value in a history: its text if it is short, else its digest."""
    if len(value) <= MAX_TEXT_BYTES:
        try:
            text = value.decode()
        except UnicodeDecodeError:
            pass
        else:
            # A text that looks like a digest could be taken for another value.
            if not text.startswith(_DIGEST):
                return text
    return _DIGEST + hashlib.blake2b(value, digest_size=DIGEST_BYTES).hexdigest()


class Pending(msgspec.Struct, frozen=True):
    """An operation that was called and has no answer yet."""

    number: int
    """Of the recorder's operations."""
    operation: Operation
    """As it stands if no answer comes: unconfirmed."""


class HistoryRecorder:
    """Writes the history of one client.

    A line is written when the answer is there, and by :meth:`close` for what was never answered. A
    write that is asked again under the same request id is one operation, from the first call to
    the last answer.

    :param client: its name in the history.
    :param write: takes one line, with its line feed.
    """

    def __init__(self, client: str, write: Callable[[bytes], object]) -> None:
        self._client = client
        self._write = write
        self._calls = 0
        self._open: dict[int, Operation] = {}

    def put(
        self,
        now: float,
        key: str,
        value: bytes,
        *,
        if_version: int | None = None,
        expires: float | None = None,
    ) -> Pending:
        """Note that a put was called at ``now``; returns what :meth:`answered` takes."""
        text = value_text(value)
        return self._called(
            Operation(
                client=self._client,
                key=key,
                action=Action.PUT,
                value=text,
                if_version=if_version,
                expires=expires,
                call=now,
                outcome=Outcome.UNCONFIRMED,
            )
        )

    def delete(self, now: float, key: str, *, if_version: int | None = None) -> Pending:
        """Note that a delete was called at ``now``."""
        return self._called(
            Operation(
                client=self._client,
                key=key,
                action=Action.DELETE,
                if_version=if_version,
                call=now,
                outcome=Outcome.UNCONFIRMED,
            )
        )

    def get(self, now: float, key: str, *, stale: bool = False) -> Pending:
        """Note that a get was called at ``now``."""
        return self._called(
            Operation(
                client=self._client,
                key=key,
                action=Action.GET,
                stale=stale,
                call=now,
                outcome=Outcome.UNCONFIRMED,
            )
        )

    def told(
        self,
        began: float,
        now: float,
        key: str,
        *,
        version: int,
        found: bytes | None,
        since: int | None = None,
    ) -> None:
        """Write a revision that a watch was told of at ``now``.

        A watch is a client of its own, with a recorder that nothing else uses.

        :param began: when the watch was asked for.
        :param found: the value; None: there is none.
        """
        self._write(
            line_of(
                Operation(
                    client=self._client,
                    key=key,
                    action=Action.WATCH,
                    since=since,
                    call=began,
                    returned=now,
                    outcome=Outcome.ABSENT if found is None else Outcome.VALUE,
                    version=version,
                    found=None if found is None else value_text(found),
                )
            )
        )

    def answered(
        self,
        pending: Pending,
        now: float,
        outcome: Outcome,
        *,
        version: int | None = None,
        found: bytes | None = None,
    ) -> None:
        """Write an operation that was answered at ``now``.

        :param found: what a get or a conflict told of the value.
        :raises ValueError: it was answered before, or its outcome is none that it can have.
        """
        if pending.number not in self._open:
            raise ValueError("this operation has been answered, or the recorder is closed")
        operation = msgspec.structs.replace(
            pending.operation,
            returned=now,
            outcome=outcome,
            version=version,
            found=None if found is None else value_text(found),
        )
        complaint = contradiction(operation)
        if complaint:
            raise ValueError(complaint)
        del self._open[pending.number]
        self._write(line_of(operation))

    def close(self) -> None:
        """Write what was never answered, in the order of the calls."""
        waiting, self._open = self._open, {}
        for operation in waiting.values():
            self._write(line_of(operation))

    def _called(self, operation: Operation) -> Pending:
        self._calls += 1
        self._open[self._calls] = operation
        return Pending(self._calls, operation)


def line_of(operation: Operation) -> bytes:
    """Return an operation as a line of a history."""
    return _encode(operation) + b"\n"
