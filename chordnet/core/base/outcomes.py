"""How requests of the program can fail, and how messages of a peer can be wrong: closed lists.

Recordings contain the values. The text for people is made from them at the edge
(:mod:`chordnet.net.observe.views`). ``Entry`` is what a request about a key finds.
"""

from __future__ import annotations

import enum

import msgspec


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a key has: its value, and the version of that."""

    value: bytes
    version: int
    """Grows with every write of the key and never goes back."""
    expires: float | None = None
    """When it expires, in seconds since 1970 on the clock of the node that wrote it."""


class Revision(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a watch tells: a state that a key had, and that nobody is told something older after."""

    version: int
    """0: there is no value, and the version of that is not known, or there never was one."""
    value: bytes | None
    """None: the key was deleted, has expired, or never had a value."""
    expires: float | None = None
    """When it expires, in seconds since 1970 on the clock of the node that wrote it."""
    gap: tuple[int, int] | None = None
    """The first and the last version that was passed over, because it was overwritten before
    anybody looked, or never existed; None if none was."""


class StaleEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one node had of a key: it may be old, and may never have been confirmed."""

    entry: Entry | None
    """None: it had no value."""
    node: str
    """The name of the node that had it."""
    epoch: int
    """Counts the changes of the nodes that hold the key's slot, as far as that node took part."""
    age_s: float | None
    """How many seconds before its answer it had last heard from a majority of them; None: not since
    it was started."""


class Failed(enum.StrEnum):
    """Why a lookup or a broadcast of the program failed; empty if it did not."""

    NO = ""
    NOT_IN_RING = "not in a ring"
    BUSY = "busy"
    """Too many are under way, so this one was not begun."""
    TIMED_OUT = "timed out"
    """No answer came before the deadline."""
    NODE_DIED = "the node asked is dead"
    NO_WAY = "no way to it was found"
    """All nodes on the way were silent, or named only silent ones."""
    REFUSED = "refused"
    """The node that was asked could not answer or pass the question on."""
    TOO_LONG = "too long"
    """The message is longer than ``max_body_bytes``."""
    NUMBER_TAKEN = "number taken"
    """The ledger knows numbers of this node that it has not used: it is damaged, or a copy."""

    @classmethod
    def _missing_(cls, value: object) -> Failed | None:
        """Read the reason that a peer gave, which earlier versions recorded."""
        return cls.REFUSED if isinstance(value, str) else None


class Fault(enum.StrEnum):
    """What is wrong with a message that a peer has sent; empty if nothing is."""

    NONE = ""
    WRONG_IDENTIFIER = "names an impossible identifier"
    WRONG_NODE = "names an impossible node"
    WRONG_NUMBER = "has a number that is out of range"
    TOO_LONG = "has a list or text that is too long"
    # A broadcast.
    COUNT = "broadcast of no or too many messages"
    IDENTIFIER = "broadcast with an impossible identifier"
    TIME = "broadcast of no time"
    ROUTE = "broadcast with a route of no or too many hops"
    ROUTE_END = "broadcast whose route does not end at its sender"
    DETOURS = "broadcast with impossible detours"
    BODY_COUNT = "broadcast with more or fewer bodies than it says"
    BODY_SIZE = "broadcast with bodies that are too long"
    OTHER_BODIES = "bodies other than the header promised"
    FORGED = "a broadcast in our name that we have not sent"
    # Anti-entropy.
    LEDGER = "a ledger with an impossible origin"
    RANGES = "names impossible or too many messages"
    CAUGHT = "a caught-up message out of bounds"
    # A seal.
    UNSEALED = "a message without the seal that this network asks for"
    SEAL_FORGED = "a message with a seal that its origin has not made"
    SEAL_AUTHORITY = "its origin's certificate is of no authority that is known here"
    SEAL_EXPIRED = "its origin's certificate was not valid when the message was sent, or is not now"
    SEAL_REVOKED = "its origin's certificate is revoked"
    SEAL_TIME = "it was sent at another time than now, by the clock of this node"
