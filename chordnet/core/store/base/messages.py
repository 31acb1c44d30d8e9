"""What nodes say to each other about a slot.

Every request names where it is meant to arrive: formation, slot, generation, epoch and store id.
Every answer repeats that, so a coordinator counts an answer only within the epoch in which it
asked. ``rid`` is the asker's own number of its operation.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from chordnet.core.base.limits import MAX_VALUE_BYTES, Count, StoreKey
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Member, Recovery, Vote
from chordnet.core.store.base.founding import MOST_SLOTS
from chordnet.core.store.base.records import Content, Floor, Record

FORMATION_BYTES = 16
"""Of the name of a formation."""
T = TypeVar("T")

PAGE_BYTES = 65_536
"""The most bytes of one list in a message, so that any message fits into a frame."""

SHORT_BYTES = 65_536
"""A value of no more bytes is part of every answer to a read."""

_encode = msgspec.msgpack.Encoder().encode


def page(items: Iterable[T], most: int | None = None) -> tuple[T, ...]:
    """Return the first of these items, as many as one message may list; at least one, if any.

    :param most: how many items it may list besides.
    """
    taken: list[T] = []
    room = PAGE_BYTES
    for item in items:
        room -= len(_encode(item))
        if taken and (room < 0 or len(taken) == most):
            break
        taken.append(item)
    return tuple(taken)


class Address(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Whom a request is meant for, in which epoch of which slot."""

    formation: Annotated[bytes, Meta(min_length=FORMATION_BYTES, max_length=FORMATION_BYTES)]
    slot: Annotated[int, Meta(ge=0, lt=MOST_SLOTS)]
    generation: Count
    epoch: Count
    store: Count


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    address: Address
    rid: Count


# ---- keys -----------------------------------------------------------------------------------


class Prepare(_Message, frozen=True):
    """Promise to take nothing below ``ballot`` for this key, and say what was accepted."""

    key: StoreKey
    ballot: Ballot


class Promised(_Message, frozen=True):
    """Answer to ``Prepare``."""

    ballot: Ballot
    accepted: Ballot
    content: Content
    floor: Count
    """The version of the member's floor."""
    wall: float = 0.0
    """The member's wall clock, seconds since 1970."""


class Accept(_Message, frozen=True):
    """Take ``content`` for this key; a write, or the repair of what was found."""

    key: StoreKey
    ballot: Ballot
    content: Content
    following: Ballot = NONE
    """Promise this one as well, for the next write of the same coordinator."""


class Accepted(_Message, frozen=True):
    """Answer to ``Accept``."""

    ballot: Ballot
    following: Ballot = NONE
    """The same as was asked for, if it is promised and nothing above it."""


class Reserve(_Message, frozen=True):
    """Promise to take nothing below ``ballot`` for any key of which there is no record here."""

    ballot: Ballot


class Reserved(_Message, frozen=True):
    """Answer to ``Reserve``."""

    ballot: Ballot
    floor: Count
    """The version of the member's floor."""
    known: bytes
    """The fingerprints of all keys of which there is a record, so that this is no promise for them:
    two bytes each."""


class Read(_Message, frozen=True):
    """Say what was accepted for this key."""

    key: StoreKey
    whole: bool = False
    """Also if the value has more than :data:`SHORT_BYTES` bytes; otherwise it is left out then."""


class Told(_Message, frozen=True):
    """Answer to ``Read``."""

    accepted: Ballot
    content: Content
    left_out: Annotated[int, Meta(ge=0, le=MAX_VALUE_BYTES)] = 0
    """Bytes of the value, if it was left out."""


class Outrun(_Message, frozen=True):
    """``ballot`` comes too late: a higher one was promised."""

    ballot: Ballot
    promised: Ballot


Tombstone = tuple[bytes, Ballot]
"""A key, and the ballot under which it was accepted that it has no value."""


class Collect(_Message, frozen=True):
    """Say which of these tombstones you have, too, on your disk."""

    tombstones: tuple[Tombstone, ...]


class Collectable(_Message, frozen=True):
    """Answer to ``Collect``: of these keys nothing older is here, nor will be."""

    tombstones: tuple[Tombstone, ...]


class Drop(_Message, frozen=True):
    """All members have these tombstones: drop their records."""

    tombstones: tuple[Tombstone, ...]


# ---- configurations -------------------------------------------------------------------------


class PrepareChange(_Message, frozen=True):
    """Promise to take no proposal below ``ballot`` for the next epoch; say what was accepted."""

    ballot: Ballot


class ChangePromised(_Message, frozen=True):
    """Answer to ``PrepareChange``."""

    ballot: Ballot
    vote: Vote | None


class AcceptChange(_Message, frozen=True):
    """Vote for these members in the next epoch, and by that seal this one."""

    ballot: Ballot
    members: tuple[Member, ...]


class ChangeAccepted(_Message, frozen=True):
    """Answer to ``AcceptChange``."""

    ballot: Ballot


class Chosen(_Message, frozen=True):
    """This configuration is chosen, and names you: install it."""

    previous: Configuration
    configuration: Configuration


class Installed(_Message, frozen=True):
    """Answer to ``Chosen``: it is installed."""


class Fetch(_Message, frozen=True):
    """Send the slot's records, for an installation of ``epoch``: a page of them at a time."""

    epoch: int
    after: bytes | None = None
    """The last key that has arrived; None for the first page."""
    have: tuple[tuple[bytes, Ballot], ...] = ()
    """Keys of which the sender has what was accepted under this ballot, with a large value."""


class Snapshot(_Message, frozen=True):
    """Answer to ``Fetch``: the records that come next, by key, and the floor."""

    after: bytes | None
    """As it was asked."""
    records: tuple[tuple[bytes, Record | None], ...]
    """None: it is the one that was said to be there already."""
    floor: Floor
    more: bool
    """Whether there are records after these."""


class Forget(_Message, frozen=True):
    """A majority has installed this configuration, and you are not in it: delete the records."""

    configuration: Configuration


class Forgotten(_Message, frozen=True):
    """Answer to ``Forget``."""


# ---- recovery -------------------------------------------------------------------------------


class Inquire(_Message, frozen=True):
    """Say what you have of the slot. The address names formation and slot only."""

    generation: int
    """Promise to accept no recovery to an earlier one; 0: promise nothing."""


class Inquired(_Message, frozen=True):
    """Answer to ``Inquire``."""

    store: int
    configuration: Configuration
    """The one that is installed; of epoch 0 where none is."""
    emptied: bool
    newest: Configuration
    recovering: int
    recovery: Recovery | None
    keys: int
    """Keys with a value."""
    written: float
    """When the last write arrived here, on this node's wall clock; 0: none since its start."""


class Recover(_Message, frozen=True):
    """Accept that the slot is recovered so; the epoch of the address ends with that."""

    recovery: Recovery


class RecoverAccepted(_Message, frozen=True):
    """Answer to ``Recover``."""


# ---- refusals -------------------------------------------------------------------------------


@enum.unique
class Why(enum.IntEnum):
    """Why a member does not do what it is asked."""

    FORMATION = 0
    """It is of another formation."""
    SLOT = 1
    """It knows nothing of the slot."""
    GENERATION = 2
    STORE = 3
    """It is another disk than the one meant."""
    MOVED = 4
    """A later configuration is chosen."""
    SEALED = 5
    """It has voted on the next configuration and knows no result: ask somebody to finish."""
    NOT_INSTALLED = 6
    """It has not installed this epoch yet."""
    NOT_SEALED = 7
    """Its records may still change, so they are not the state of the next epoch."""
    BALLOT = 8
    """The ballot is of another epoch than the request."""
    STRANGER = 16
    """It is asked for by a node that is no member of the slot, and only members may."""
    RETURNED = 17
    """It has just started, and asks the other members first if its disk is an older copy."""
    CROWDED = 18
    """Another node has just reserved the slot, or it has too many records to name them all."""


class Refused(_Message, frozen=True):
    """The request was not done; with what the member knows."""

    why: Why
    formation: bytes
    store: int
    """The store id that it has now."""
    newest: Configuration
    sealed: bool


Request = (
    Prepare
    | Accept
    | Reserve
    | Read
    | Collect
    | Drop
    | PrepareChange
    | AcceptChange
    | Chosen
    | Fetch
    | Forget
    | Inquire
    | Recover
)
Answer = (
    Promised
    | Accepted
    | Reserved
    | Told
    | Outrun
    | Collectable
    | ChangePromised
    | ChangeAccepted
    | Installed
    | Snapshot
    | Forgotten
    | Inquired
    | RecoverAccepted
    | Refused
)
StoreMessage = Request | Answer
