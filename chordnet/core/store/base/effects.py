"""What the store asks of whoever runs it, to be done in the order given.

``Keep`` comes before whatever rests on it: what it holds is on disk, or the answer is not sent. All
entries of one ``Keep`` are one write: all of them are there after a crash, or none.

The parts of one node say things to nodes one by one (``Say``). What leaves the node is letters
(``Post``), each with all that one step has to say to one node.
"""

from __future__ import annotations

import enum

import msgspec

from chordnet.core.store.base.configurations import (
    Configuration,
    Following,
    Head,
    Reservation,
)
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Mark
from chordnet.core.store.base.messages import StoreMessage
from chordnet.core.store.base.outcomes import Outcome, Report
from chordnet.core.store.base.records import Content, Record


class _Effect(msgspec.Struct, frozen=True, tag=True):
    pass


class HeadKept(_Effect, frozen=True):
    """The slot's head is this from now on."""

    head: Head


class RecordKept(_Effect, frozen=True):
    """A key's record is this from now on."""

    slot: int
    key: bytes
    record: Record


class RecordDropped(_Effect, frozen=True):
    """A key has no record from now on; the head in the same write has a floor for it."""

    slot: int
    key: bytes


class AllDropped(_Effect, frozen=True):
    """The slot has no records from now on; those that follow in the same write are new."""

    slot: int


class VoteKept(_Effect, frozen=True):
    """This founder has voted for this founding, and never votes for another."""

    founding: Founding


class FoundingKept(_Effect, frozen=True):
    """This node's store belongs to this formation from now on, and to no other.

    If it belonged to another, nothing was ever kept of that one.
    """

    founding: Founding


class SecretKept(_Effect, frozen=True):
    """This disk proves its marks with this from now on."""

    secret: bytes


class NumberKept(_Effect, frozen=True):
    """This disk has been written to so often."""

    number: int


class MarkKept(_Effect, frozen=True):
    """The disk of another node was seen in this run."""

    node: str
    mark: Mark


Entry = (
    HeadKept
    | RecordKept
    | RecordDropped
    | AllDropped
    | VoteKept
    | FoundingKept
    | SecretKept
    | NumberKept
    | MarkKept
)


class Keep(_Effect, frozen=True):
    """Have these on disk before anything that follows is done."""

    entries: tuple[Entry, ...]


class Say(_Effect, frozen=True):
    """Send a message to a node."""

    to: str
    message: StoreMessage


class Wait(_Effect, frozen=True):
    """Call ``again`` after a pause: another coordinator was faster, and two should not duel."""

    rid: int


class Large(_Effect, frozen=True):
    """Call ``go_on`` when there is room for so many bytes of a value: a read needs it."""

    rid: int
    size: int


class Ended(_Effect, frozen=True):
    """An operation is over."""

    rid: int
    outcome: Outcome


class Follows(_Effect, frozen=True):
    """The key of this operation can be written in one round next time."""

    rid: int
    following: Following


class Reserves(_Effect, frozen=True):
    """New keys of a slot can be written in one round from now on."""

    slot: int
    reservation: Reservation


class Changed(_Effect, frozen=True):
    """A change is over: it has brought about this configuration, or somebody else has chosen it."""

    rid: int
    configuration: Configuration
    serves: bool = False
    """Whether a majority of its members has said to this node that they have installed it."""


Effect = Keep | Say | Wait | Large | Ended | Follows | Reserves | Changed
"""What the parts of one node ask for."""


class Post(_Effect, frozen=True):
    """Send a letter to a node; it may be lost."""

    to: str
    letter: bytes


class Answered(_Effect, frozen=True):
    """What was asked for by ``Ask`` with this number is over."""

    op: int
    outcome: Outcome | Report


class Revised(_Effect, frozen=True):
    """Tell a watch, by the number that it was begun with, of a confirmed state of its key."""

    watch: int
    content: Content
    gap: tuple[int, int] | None
    """The first and the last of the versions before this one that nobody here has read."""


class WatchEnd(enum.Enum):
    """Why a node ends a watch."""

    FULL = enum.auto()
    """Too many are under way, so this one was not begun."""
    BACK = enum.auto()
    """The key has a version below one that its client knows: that was of another store, or it was
    lost."""
    CLOSED = enum.auto()
    """The node has left its formation for another one."""


class Unwatched(_Effect, frozen=True):
    """Nothing more is told to this watch."""

    watch: int
    end: WatchEnd


class Noted(_Effect, frozen=True):
    """Something that the people who look after the node should know."""

    text: str
    alarming: bool = False


class Outdated(_Effect, frozen=True):
    """This disk is an older copy: set it aside, and start with an empty store."""

    text: str
    """How that is known."""


NodeEffect = Keep | Post | Answered | Revised | Unwatched | Noted | Outdated
"""What a node's store asks for."""
