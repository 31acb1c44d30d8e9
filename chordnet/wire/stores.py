"""What a node says of the store of keys and values: results of a client's methods."""

from __future__ import annotations

import msgspec


class _Value(msgspec.Struct, frozen=True, array_like=True, gc=False):
    pass


class SlotMember(_Value, frozen=True):
    """A disk that holds a slot: a node, and the number of its store in hexadecimal."""

    node: str
    store: str


class HeldKey(_Value, frozen=True):
    """A key with a value that a node holds, as that node has it."""

    key: str
    version: int
    bytes: int
    """Of the value."""
    expires: float | None
    """When it expires, in seconds since 1970 on the clock of the node that wrote it."""
    slot: int


class SlotState(_Value, frozen=True):
    """What a node knows of one slot, a part of the keys."""

    slot: int
    generation: int
    epoch: int
    """Counts the changes of its members; the newest that the node knows of."""
    members: list[SlotMember]
    serves: bool
    """Whether a majority of the members is known to have installed that epoch."""
    installed: int | None
    """The epoch that this node's own disk has installed; None if it holds nothing of the slot."""
    sealed: bool
    """Whether this node's disk waits for the next epoch."""
    keys: int
    """Keys with a value that this node's disk has of the slot."""
    bytes: int
    """Of these keys and their values."""
    deleted: int = 0
    """Records on this node's disk of keys without a value, until they are collected."""


class SlotRecovery(_Value, frozen=True):
    """What came of the recovery of one slot, or what it would cost."""

    slot: int
    fate: str
    """``recovered``; ``begun``, and its members have yet to say that they have its state;
    ``has_majority``, so that there is nothing to recover; ``loses``, what the rest says, and
    nothing was done; ``overtaken``, by another order, or not in time; ``nobody``, because no live
    node can hold it."""
    generation: int
    epoch: int
    members: list[str]
    """Who holds the slot now."""
    missing: list[str]
    """Members that were gone, or came back without their disks."""
    left: list[str]
    """The nodes whose disks have what is left of it."""
    behind: int
    """How many epochs older than the last one that is."""
    keys: int
    """Keys with a value that are left, at least."""
    written: float
    """When the last write arrived at one of them, in seconds since 1970; 0: none since its
    start."""


class StoreState(_Value, frozen=True):
    """What a node knows of the store of keys and values, and of its own part in it."""

    formation: str
    """Names the store, in hexadecimal; empty if the node belongs to none."""
    reason: str
    """Why it belongs to none, in words."""
    founders: list[str]
    """The nodes that began the store, or are to begin it."""
    slot_count: int
    replicas: int
    """How many nodes hold a slot where there are so many."""
    store: str
    """Names the node's disk; empty if it keeps no store."""
    run: int
    """Counts the starts with this disk."""
    seat: bool
    """Whether the node may hold slots."""
    vacating: bool
    """Whether it gives up its slots."""
    seats: int
    """How many slots need its disk."""
    changing: int
    """Slots whose members it is changing."""
    keys: int
    """Keys with a value on its disk."""
    bytes: int
    """Of these keys and their values."""
    failed: str
    """Why its store has stopped; empty while it works."""
    slots: list[SlotState]
    deleted: int = 0
    """Records on its disk of keys without a value, until they are collected."""


class SlotStanding(_Value, frozen=True):
    """A slot that a node holds, as it would be without that node."""

    slot: int
    epoch: int
    members: list[str]
    """All of them, the node included if it is one."""
    answering: list[str]
    """The others that answer for it, and are not about to stop."""
    leaving: list[str]
    """The others that are about to stop, or have stopped in order and are not back."""
    keeps_majority: bool
    """Whether the slot can be used without the node."""


class StoreStanding(_Value, frozen=True):
    """If a node can be stopped while every key that it holds can be read and written."""

    can_stop: bool
    held: int
    """How many slots need the node."""
    at_risk: int
    """How many of them would be without a majority; none if it can be stopped."""
    slots: list[SlotStanding]
    """Those, or the first of them if there are very many."""


class KeyMember(_Value, frozen=True):
    """What one of the nodes that hold a key has of it."""

    node: str
    store: str
    """Its disk, in hexadecimal."""
    after: float | None
    """Seconds until its answer; None: it gave none."""
    why: str
    """Why it does not say what it has: ``MOVED``, ``SEALED``, ``NOT_INSTALLED``, ``STORE`` or so;
    empty if it does, or if it does not answer."""
    version: int | None
    """The version that it has, 0 for none yet; None if it does not say."""
    accepted: str
    """Names the write or repair by which it has that: two members with the same have the same."""
    bytes: int | None
    """Of the value; None if there is none."""
    expires: float | None
    """When the value expires, seconds since 1970."""


class KeyMembers(_Value, frozen=True):
    """What the nodes that hold a key have of it."""

    slot: int
    generation: int
    epoch: int
    members: list[KeyMember]
