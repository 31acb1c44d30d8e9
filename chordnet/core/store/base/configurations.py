"""Configurations: who holds a slot, and where one member stands in the succession of them.

A member is a disk and not a name: (node, store id). The store id is random and is made with an
empty store, so whoever lost its disk, and with it its promises, comes back as another member.

A configuration is chosen for each epoch of a generation, one at most. A *generation* begins with
the slot, or when people have it recovered from what is left of it
(:mod:`chordnet.core.store.slot.recovery`); epochs go on counting through generations.

A member is in one epoch of the slot at a time: the last that it has *installed*. There it is either
open, or *sealed*: it has voted on the next configuration, and does nothing for keys in this epoch
any more.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from chordnet.core.base.limits import Count
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.records import GROUND, Content, Floor


class Member(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """A disk that holds a slot."""

    node: str
    store: Count


class Configuration(msgspec.Struct, frozen=True, array_like=True):
    """The members of a slot in one epoch."""

    generation: int
    epoch: int
    members: tuple[Member, ...]

    @property
    def majority(self) -> int:
        """How many members decide."""
        return len(self.members) // 2 + 1

    def is_majority(self, members: Iterable[Member]) -> bool:
        """Return True if ``members`` has a majority of these in it."""
        return len(set(members).intersection(self.members)) >= self.majority

    def follows(self, other: Configuration) -> bool:
        """Return True if this is a later one than ``other``."""
        return (self.generation, self.epoch) > (other.generation, other.epoch)


DRAWN_BITS = 40
"""Of a generation's number; the rest counts the recoveries of the slot."""
MOST_RECOVERIES = 1 << 21


def recoveries(generation: int) -> int:
    """Return how many times the slot had been recovered when this generation began."""
    return generation >> DRAWN_BITS


def next_generation(seen: int, drawn: int) -> int:
    """Return the number of a generation after ``seen``.

    :param drawn: at random, so that two recoveries at the same time never make the same one.
    """
    return (recoveries(seen) + 1 << DRAWN_BITS) | drawn % (1 << DRAWN_BITS)


class Recovery(msgspec.Struct, frozen=True, array_like=True):
    """The beginning of a generation."""

    configuration: Configuration
    """The first one of the generation."""
    left: Configuration
    """What its state is made of: the members, of the last epoch that any disk had, that were left.
    All of them are needed."""

    def is_sound(self) -> bool:
        """Return True if a recovery can be like that."""
        new, left = self.configuration, self.left
        return bool(new.members) and begins_generation(left, new)


def begins_generation(before: Configuration, new: Configuration) -> bool:
    """Return True if ``new`` can be made of what is left of ``before``."""
    return new.generation > before.generation and new.epoch == before.epoch + 1


class Vote(msgspec.Struct, frozen=True, array_like=True):
    """A proposal for the next configuration, as a member has accepted it."""

    ballot: Ballot
    members: tuple[Member, ...]


class Following(msgspec.Struct, frozen=True, array_like=True):
    """What lets a coordinator write a key in one round: it was not interrupted since its last one.

    A majority has promised ``ballot`` in the same moment in which it accepted ``base``, or had no
    record of the key. It is as if the coordinator had asked for promises and found that.
    """

    configuration: Configuration
    ballot: Ballot
    base: Content
    """Without the value itself, which is not needed any more."""
    floor: int = 0
    """For a key without a record: the next version is above this one."""


class Reservation(msgspec.Struct, frozen=True, array_like=True):
    """What lets a coordinator write new keys of a slot in one round.

    A majority has promised ``ballot`` for every key of which it had no record.
    """

    configuration: Configuration
    ballot: Ballot
    floor: int
    """The highest version of a floor of that majority."""
    known: bytes
    """The fingerprints of the keys of which one of them had a record, two bytes each."""


class Head(msgspec.Struct, frozen=True, array_like=True):
    """All that a member keeps of a slot, besides the records."""

    formation: bytes
    slot: int
    configuration: Configuration
    """The last one that is installed here; of epoch 0 where none is."""
    sealed: bool = False
    promised: Ballot = NONE
    """On the next configuration."""
    vote: Vote | None = None
    """On the next configuration; the last one counts."""
    newest: Configuration | None = None
    """The newest known to be chosen, if that is later than the one installed."""
    emptied: bool = False
    """The records were deleted, because the slot is held by others: what is left is no copy."""
    floor: Floor = GROUND
    recovering: int = 0
    """No recovery to an earlier generation than this is accepted any more."""
    recovery: Recovery | None = None
    """The one that was accepted last; its configuration is ``newest``, or older."""
    settled: bool = False
    """A majority of the members is known to have installed ``configuration``. Otherwise it may be
    this one alone, and the members before still have what the others need."""

    @property
    def known(self) -> Configuration:
        """The newest configuration that this member knows of."""
        return self.configuration if self.newest is None else self.newest


def blank(formation: bytes, slot: int, generation: int) -> Head:
    """Return the head of a member that has installed nothing yet."""
    return Head(formation, slot, Configuration(generation, 0, ()))
