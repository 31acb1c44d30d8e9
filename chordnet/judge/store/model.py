"""The register that a key is, and the operations on it as the search takes them.

A register has a version, and a value or none. Every write makes the next version: of a key that
exists exactly the next one, of a key that does not exist any greater one, because a store that has
collected what a delete left behind knows only that its versions were not greater than some bound.
What a put wrote with ``expires`` may be deleted by the store itself, as a write, from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

import attrs

from chordnet.judge.store.history import Action, Operation, Outcome


class State(NamedTuple):
    """What a register is."""

    version: int
    """Of the last write; for a key without a value a lower bound is enough."""
    value: str | None
    lease: int | None
    """The index of the put that wrote the value, if it expires."""


EMPTY = State(0, None, None)


@attrs.frozen(eq=False)
class Op:
    """One operation that a sequence has to contain, or may contain."""

    number: int
    """In the history."""
    client: str
    call: float
    end: float
    """When it was over; infinite for what may happen at any later time."""
    reads: bool
    """It changes nothing: a get, or a conflict."""
    sure: bool
    """A sequence has to contain it."""
    value: str | None
    """What it wrote, or read; None: a delete, nothing there, or, of a conflict, not told."""
    version: int | None
    """As told; 0 for nothing there; None if it is not known."""
    condition: int | None
    expires_at: float | None
    timeless: bool = False
    """It happened, at any moment, and its version is known."""

    def before(self, other: Op) -> bool:
        """Return whether one client was done with this before it began with ``other``."""
        return self.client == other.client and (self.end, self.number) < (other.call, other.number)

    def fits(self, state: State) -> bool:
        """Return whether a read could have been told what it was told."""
        if self.version == 0:
            return state.value is None
        if state.value is None or self.version not in (None, state.version):
            return False
        return self.value is None or self.value == state.value

    def allowed(self, state: State) -> bool:
        """Return whether the condition of a write holds."""
        if self.condition is None:
            return True
        if state.value is None:
            return self.condition == 0
        return self.condition == state.version

    def hopeless(self, state: State) -> bool:
        """Return whether it can be placed nowhere from here on, as versions only grow."""
        if self.reads:
            return bool(self.version) and self.version < state.version  # type: ignore[operator]
        if self.version is not None:
            return self.version <= state.version
        if not self.condition:
            return False
        return self.condition < state.version or (
            self.condition == state.version and state.value is None
        )


def taken(operation: Operation) -> bool:
    """Return whether an operation says anything: neither refused, nor a read without an answer."""
    if operation.outcome is Outcome.UNAVAILABLE or operation.stale:
        return False
    return operation.action is not Action.GET or operation.outcome is not Outcome.UNCONFIRMED


def told_version(operation: Operation) -> int | None:
    """Return the version that an answer tells of, 0 for nothing there, None if it tells of none."""
    version, outcome = operation.version, operation.outcome
    if outcome is Outcome.ABSENT:
        return 0
    if version is None and outcome is Outcome.CONFLICT:
        return 0
    if version is None and outcome is Outcome.DONE and operation.if_version:
        return operation.if_version + 1
    return version


def op_of(number: int, operation: Operation) -> Op:
    """Return an operation that is :func:`taken` as the search takes it."""
    outcome = operation.outcome
    reads = operation.action in (Action.GET, Action.WATCH) or outcome is Outcome.CONFLICT
    version = told_version(operation)
    sure = outcome is not Outcome.UNCONFIRMED
    expires = operation.expires
    return Op(
        number=number,
        client=operation.client,
        call=operation.call,
        end=operation.returned if sure and operation.returned is not None else inf,
        reads=reads,
        sure=sure,
        value=operation.found if reads else operation.value,
        version=version if sure else None,
        condition=operation.if_version,
        expires_at=None if expires is None else operation.call + expires,
    )


def relaxed(op: Op) -> Op | None:
    """Return ``op`` with less to say: None for a read, a write without its time.

    A history that is right stays right if any of its operations are relaxed. A write whose version
    is not known becomes one that may have happened.
    """
    if op.reads:
        return None
    if op.version is None:
        return doubted(op)
    return attrs.evolve(op, call=-inf, end=inf, timeless=True)


def doubted(op: Op) -> Op:
    """Return a write that may have happened, and of which no more is known than what it writes."""
    return attrs.evolve(op, version=None, call=-inf, end=inf, sure=False, timeless=False)


def first_word(base: Op, ops: Iterable[Op]) -> Op:
    """Return the operation after whose end it is certain that a write had happened.

    :param base: a write that made a known version.
    """
    assert base.version is not None
    later = [op for op in ops if op.version is not None and op.version >= base.version]
    return min(later, key=lambda op: op.end)


def since(base: Op, ops: Sequence[Op], skew: float) -> list[Op]:
    """Return the operations that are placed after a write, and those that may be.

    If no sequence of them explains their answers, beginning with what ``base`` made, then none of
    all ``ops`` does.

    :param base: a write that happened, and made a known version.
    """
    assert base.version is not None
    certain = first_word(base, ops).end + skew
    found = []
    for op in ops:
        if op.version:
            if op.version > base.version:
                found.append(op)
        elif not op.sure or certain < op.call:
            found.append(op)
        elif not op.reads:
            found.append(doubted(op))
    return found


def in_order(ops: Iterable[Op]) -> list[Op]:
    """Return operations in the order of their calls."""
    return sorted(ops, key=lambda op: (op.call, op.number))


def with_their_versions(ops: Sequence[Op]) -> list[Op]:
    """Return operations with the versions of those puts that reads tell of.

    If a version was read with a value, some put of this value made it. If there is only one such
    put, it happened, and this is its version.
    """
    numbered = {op.version for op in ops if op.version and not op.reads}
    puts: dict[str, list[int]] = {}
    for index, op in enumerate(ops):
        if not op.reads and op.version is None and op.value is not None:
            puts.setdefault(op.value, []).append(index)
    found = list(ops)
    for op in ops:
        if not op.reads or not op.version or op.value is None or op.version in numbered:
            continue
        might = puts.get(op.value, [])
        if len(might) == 1 and found[might[0]].version is None:
            found[might[0]] = attrs.evolve(ops[might[0]], version=op.version, sure=True)
            numbered.add(op.version)
    return found
