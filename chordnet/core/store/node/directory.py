"""The directory: the newest configuration of each slot that this node knows of.

It is a hint, and can be old: whoever asks an old member is told of a later configuration, and every
member keeps that for ever. It is told round the ring. A node that learns of a later configuration
tells both neighbours, and so does each that it is news to. Now and then each node compares digests
with its successor, and both exchange what differs. So a node that was away catches up.

A configuration *serves* from when a majority of its members has installed it. Until then the one
before is told with it, because the new members fetch the slot's state from that one's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from chordnet.core.base.limits import COUNT_LIMIT
from chordnet.core.store.base.configurations import Configuration, begins_generation
from chordnet.core.store.base.founding import Founding, first_members

_encode = msgspec.msgpack.Encoder().encode


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one slot."""

    slot: int
    configuration: Configuration
    serves: bool = True
    """Whether a majority of the members is known to have installed it."""
    before: Configuration | None = None
    """The configuration before, while this one may not serve yet; without members if they are not
    known any more."""

    @property
    def _known(self) -> int:
        before = self.before
        return 2 if self.serves else int(before is not None and bool(before.members))

    def is_news_to(self, other: Listed) -> bool:
        """Return True if this says more than ``other``."""
        if self.configuration == other.configuration:
            return self._known > other._known
        return self.configuration.follows(other.configuration)

    def is_sound(self, slots: int) -> bool:
        """Return True if it can be told of a formation with so many slots."""
        present, before = self.configuration, self.before
        if not 0 <= self.slot < slots or not present.members:
            return False
        if before is None:
            return self.serves
        if begins_generation(before, present):
            return True
        return (before.generation, before.epoch + 1) == (present.generation, present.epoch)


def listed_as_chosen(slot: int, chosen: Configuration, before: Configuration) -> Listed:
    """Return what is known of a slot whose newest configuration was chosen, and may not serve.

    :param before: an earlier one; of use only if it is the one before.
    """
    last = chosen.generation, chosen.epoch - 1
    if (before.generation, before.epoch) != last:
        before = Configuration(*last, ())
    return Listed(slot, chosen, serves=False, before=before)


class Directory:
    """What one node knows of all slots of its formation."""

    def __init__(self, founding: Founding) -> None:
        first = first_members(founding)
        self.slots = founding.slots
        self._listed = [Listed(slot, first(slot)) for slot in range(founding.slots)]
        self.digest = 0
        """The same at nodes that know the same; of what differs from the beginning."""
        self._later: dict[int, None] = {}
        """Slots that are not in their first configuration any more."""

    def of(self, slot: int) -> Listed:
        """Return what is known of a slot."""
        return self._listed[slot]

    def learn(self, listed: Listed) -> bool:
        """Take what is news; return True if it is."""
        old = self._listed[listed.slot]
        if not listed.is_news_to(old):
            return False
        if listed.slot in self._later:
            self.digest -= _checksum(old)
        self._later[listed.slot] = None
        self.digest = (self.digest + _checksum(listed)) % COUNT_LIMIT
        self._listed[listed.slot] = listed
        return True

    def later(self) -> list[Listed]:
        """Return what is known of the slots that have changed since the beginning."""
        return [self._listed[slot] for slot in sorted(self._later)]

    def named(self) -> Iterable[Listed]:
        """Return what is known of every slot."""
        return self._listed


def _checksum(listed: Listed) -> int:
    present = listed.configuration
    key = _encode((listed.slot, present.generation, present.epoch, listed.serves))
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest())
