"""What can be wrong with the history of a key: records with a kind, and no text.

An operation is named by its number in the history, from 1, which is its line in a file. Words are
made where a record is shown.
"""

from __future__ import annotations

import enum

import attrs


class Kind(enum.StrEnum):
    """What is wrong, where two or three operations show it by themselves."""

    ENDS_FIRST = "ends-before-it-begins"
    """An operation returned before it was called."""
    IMPOSSIBLE_VERSION = "impossible-version"
    """A write at version v made another version than v + 1, or a version is 0."""
    NEEDLESS_CONFLICT = "needless-conflict"
    """A conflict with the very version that was expected, or of a write that expected none."""
    VERSION_TWICE = "version-told-twice"
    """One version stands for two writes, or was told with two values."""
    UNWRITTEN_VALUE = "value-nobody-wrote"
    """A value was read that no write could have written by then."""
    UNWRITTEN_VERSION = "version-nobody-wrote"
    """A version was read, and all writes of its value made other versions."""
    GOES_BACK = "version-goes-back"
    """A client was told a version below one that the same client had been told before."""
    WATCH_BACK = "watch-goes-back"
    """A watch told a version that is not above the one that it had told before."""
    STALE = "stale"
    """A version was told below one that any client had been told before this one asked."""


@attrs.frozen
class Anomaly:
    """Something that needs no search to be seen."""

    kind: Kind
    numbers: tuple[int, ...]
    """The operation that cannot be right, and what it contradicts."""


class Reason(enum.StrEnum):
    """Why an operation cannot be placed next."""

    VERSION = "version"
    """It was told another version than it would have here."""
    VALUE = "value"
    """It was told another value."""
    ABSENT = "absent"
    """It was told of a value, and there is none."""
    PRESENT = "present"
    """It was told of no value, and there is one."""
    CONDITION = "condition"
    """It happened, and its condition does not hold."""
    TAKEN = "taken"
    """The version that it would make was made by another write."""


@attrs.frozen
class Stuck:
    """An operation that has to be placed next, and why it cannot be."""

    number: int
    reason: Reason


@attrs.frozen
class Placed:
    """One step of a sequence of operations, and what the register was after it."""

    number: int
    version: int
    value: str | None
    """None if there was none."""
    expiry: bool = False
    """The step is the end of what this operation wrote, not the operation."""


@attrs.frozen
class Counterexample:
    """Why no sequence of a key's operations explains what clients were told."""

    longest: tuple[Placed, ...]
    """The longest sequence that explains what it contains."""
    stuck: tuple[Stuck, ...]
    """What would have to come next."""
    core: tuple[int, ...]
    """Operations that contradict each other whenever the others happened."""


class Verdict(enum.StrEnum):
    """What a check comes to."""

    RIGHT = "right"
    WRONG = "wrong"
    UNDECIDED = "undecided"
    """It was too large to decide within the limits."""
