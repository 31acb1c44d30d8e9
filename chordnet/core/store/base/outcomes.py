"""How operations on a key end.

A write ends as ``Done``, ``Conflict``, ``Unconfirmed``, ``Unavailable`` or ``Untold``; a read as
``Found`` or ``Unavailable``. Whatever an outcome says of the key's state has been confirmed by a
majority, and whoever asks later is told the same or something newer. Only ``Stale``, the end of a
read that was asked for so, says what a single member has.
"""

from __future__ import annotations

import enum

import msgspec

from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.messages import Why
from chordnet.core.store.base.records import Content


class _Outcome(msgspec.Struct, frozen=True, tag=True):
    pass


class Found(_Outcome, frozen=True):
    """The key's state; a value of None means that there is none."""

    content: Content


class Stale(_Outcome, frozen=True):
    """What one member had of the key; it may be old, and may never have been confirmed."""

    content: Content
    node: str
    """The member."""
    epoch: int
    """Of the slot's members, as that member has installed it last."""
    age_s: float | None
    """How long ago it heard from a majority of them; None: not since its start."""


class Done(_Outcome, frozen=True):
    """The receipt of a write."""

    formation: bytes
    slot: int
    epoch: int
    version: int
    """The version that this write made."""
    acknowledged: tuple[Member, ...]
    """Those that have it on disk for certain."""
    others: tuple[Member, ...]
    """Those that have not said so yet."""


class Conflict(_Outcome, frozen=True):
    """The key has another version than the write was meant for. It was not done, and never is."""

    present: Content


class Unconfirmed(_Outcome, frozen=True):
    """It may have been done, or be done later."""

    since: int
    """If it was, then as a later version than this: to be said when it is asked for again."""


class Unavailable(_Outcome, frozen=True):
    """No majority of the slot answers. It was not done, and never is."""

    epoch: int
    missing: tuple[Member, ...]
    """Those that gave no usable answer."""
    members: int


class Untold(_Outcome, frozen=True):
    """So much was written meanwhile that it cannot be told any more whether it was done.

    It was, before this answer, or it never is.
    """


class Fate(enum.Enum):
    """How the recovery of a slot ends."""

    RECOVERED = "recovered"
    BEGUN = "begun"
    """It is decided on, and too few of its members have said yet that they have its state."""
    HAS_MAJORITY = "has_majority"
    """There is nothing to recover."""
    LOSES = "loses"
    """It would cost what the salvage says; nothing was done."""
    OVERTAKEN = "overtaken"
    """Others recover it, and nothing was done here."""
    NOBODY = "nobody"
    """No live node can hold it."""


class Salvage(msgspec.Struct, frozen=True):
    """The recovery of one slot, and what is left of it."""

    slot: int
    fate: Fate
    configuration: Configuration
    """The slot's newest one."""
    missing: tuple[str, ...] = ()
    """Members of the last configuration that are gone, or came back without their disks."""
    left: tuple[str, ...] = ()
    """Nodes whose disks have what is left."""
    behind: int = 0
    """How many epochs older than the last one that is."""
    keys: int = 0
    """Keys with a value that are left, at least."""
    written: float = 0.0
    """When the last write arrived at one of those disks, by the wall clock; 0: not known."""


class Salvages(msgspec.Struct, frozen=True, tag=True):
    """What came of an order to recover slots."""

    each: tuple[Salvage, ...]


Outcome = Found | Stale | Done | Conflict | Unconfirmed | Unavailable | Untold


# ---- what is found out about members ----------------------------------------------------------


class MemberSeen(msgspec.Struct, frozen=True):
    """What one member said of a key."""

    member: Member
    after: float | None
    """Seconds until its answer; None: it gave none."""
    why: Why | None
    """Why it does not say what it has."""
    accepted: Ballot
    content: Content | None
    """What it has; None if it does not say."""
    left_out: int = 0
    """Bytes of the value, if it was left out of that."""

    @property
    def tells(self) -> bool:
        """Whether it answers for the slot."""
        return self.content is not None


class Inspected(_Outcome, frozen=True):
    """What the members of a key's slot have of the key."""

    slot: int
    configuration: Configuration
    members: tuple[MemberSeen, ...]


class SlotSeen(msgspec.Struct, frozen=True):
    """A slot that this node holds, and what it would be without it."""

    slot: int
    configuration: Configuration
    answering: tuple[Member, ...]
    """Other members that answer, and are not about to stop."""
    leaving: tuple[Member, ...]
    """Other members that are about to stop, or have done so."""

    @property
    def keeps_majority(self) -> bool:
        """Whether the slot can be used without this node."""
        return len(self.answering) >= self.configuration.majority


class Standing(_Outcome, frozen=True):
    """The slots that this node holds, as they would be without it."""

    slots: tuple[SlotSeen, ...]


Report = Inspected | Standing | Salvages
