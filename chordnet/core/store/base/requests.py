"""What clients ask of a key, and of the members that hold it."""

from __future__ import annotations

import msgspec

from chordnet.core.store.base.records import Content


class Get(msgspec.Struct, frozen=True, tag=True):
    """Read a key."""

    key: bytes
    anew: bool = False
    """Have what is there accepted again, even if a majority agrees on it: for repair."""
    stale: bool = False
    """Whatever one member has is enough."""


class Put(msgspec.Struct, frozen=True, tag=True):
    """Write a key, or delete it (a value of None).

    With ``since`` it has been asked for before: do it, unless it is done.
    """

    key: bytes
    value: bytes | None
    request: bytes
    """Names this write, however often it is asked for."""
    if_version: int | None = None
    """Only if the key has this version; 0: only if it has no value. None: in any case."""
    expires: float | None = None
    since: int | None = None
    """From the answer ``Unconfirmed``."""

    def fits(self, present: Content) -> bool:
        """Return True if it may be written onto this."""
        if self.if_version is None:
            return True
        if self.if_version == 0:
            return present.value is None
        return present.value is not None and present.version == self.if_version


class Inspect(msgspec.Struct, frozen=True, tag=True):
    """Say what each member of the key's slot has of it."""

    key: bytes


class MayStop(msgspec.Struct, frozen=True, tag=True):
    """Say what the slots that this node holds would be without it."""

    leaving: bool = False
    """It is about to stop: tell those that hold slots with it."""


class Recover(msgspec.Struct, frozen=True, tag=True):
    """Recover slots that have lost their majority for good."""

    slots: tuple[int, ...]
    accept_loss: bool
    """Otherwise only find out what would be lost."""


Enquiry = Inspect | MayStop | Recover
