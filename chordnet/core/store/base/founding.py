"""The beginning of a store: what its founders agree on, and all that follows from it.

The founders are a few nodes that their configuration names. Together they decide once who they are,
each with its disk, and the store's figures (:mod:`chordnet.core.store.begin.founders`). From that
follow the name of the formation, which slot a key belongs to, and who holds every slot at first.

The identifier space is cut into equal arcs, the *slots*. A key lives in the slot of its identifier.
A slot's *place* is its first identifier: its proper members are the first live nodes from there on,
clockwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import msgspec

from chordnet.core.base.identifiers import IdentifierSpace, between_right
from chordnet.core.store.base.configurations import Configuration, Member

SLOTS = 256
"""Slots of a store that is not told another number; enough for about 64 nodes."""
MOST_SLOTS = 4096
REPLICAS = 3
"""Members of a slot."""
MOST_REPLICAS = 9
MOST_FOUNDERS = 9
FIRST_GENERATION = 1
FIRST_EPOCH = 1

_encode = msgspec.msgpack.Encoder().encode


class Founding(msgspec.Struct, frozen=True, array_like=True):
    """What the founders agree on."""

    network: str
    bits: int
    """Of the identifiers of the ring."""
    slots: int
    """A power of two."""
    replicas: int
    """Members that a slot has where there are so many nodes; odd."""
    founders: tuple[Member, ...]
    """In order."""

    @property
    def id(self) -> bytes:
        """The name of the formation, 16 bytes."""
        return hashlib.blake2b(_encode(self), digest_size=16).digest()


class Slots:
    """How a formation cuts the identifier space.

    :param slots: a power of two, no more than there are identifiers.
    """

    def __init__(self, bits: int, slots: int) -> None:
        self.count = slots
        self._space = IdentifierSpace(bits)
        self._arc = self._space.size // slots

    def of(self, key: bytes) -> int:
        """Return the slot of a key."""
        return self._space.hash(key) // self._arc

    def place(self, slot: int) -> int:
        """Return the first identifier of a slot."""
        return slot * self._arc

    def identifier(self, name: str) -> int:
        """Return the identifier of a node."""
        return self._space.hash(name.encode())

    def lies(self, slot: int, low: int, high: int) -> bool:
        """Return True if the slot's place is in ``(low, high]``."""
        return between_right(low, self.place(slot), high)

    def clockwise(self, slot: int, names: Iterable[str]) -> list[str]:
        """Return node names in the order in which they come, clockwise from the slot's place."""
        place, size = self.place(slot), self._space.size
        return sorted(names, key=lambda name: ((self.identifier(name) - place) % size, name))


def first_members(founding: Founding) -> Callable[[int], Configuration]:
    """Return the function that gives the first configuration of each slot."""
    slots = Slots(founding.bits, founding.slots)
    members = {member.node: member for member in founding.founders}

    def configuration(slot: int) -> Configuration:
        names = slots.clockwise(slot, members)[: founding.replicas]
        return Configuration(
            FIRST_GENERATION, FIRST_EPOCH, tuple(sorted(members[name] for name in names))
        )

    return configuration
