"""Where a key is: its identifier, its slot, and what is known of that."""

from __future__ import annotations

import attrs

from chordnet.core.store.base.founding import Slots
from chordnet.survey.description import NetworkDescription
from chordnet.survey.store.merged import Slot, Store


@attrs.frozen
class KeyPlace:
    """Where a key is."""

    identifier: int
    place: int
    """The first identifier of its slot; of no meaning without a store."""
    slot: Slot | None
    """None if there is no store, or nobody says anything of the slot."""


def place_of(network: NetworkDescription, seen: Store, key: str) -> KeyPlace:
    """Return where a key is."""
    space, raw = network.space, key.encode()
    identifier = space.hash(raw)
    if not 0 < seen.slot_count <= space.size:
        return KeyPlace(identifier, 0, None)
    slots = Slots(space.bits, seen.slot_count)
    number = slots.of(raw)
    found = next((slot for slot in seen.slots if slot.number == number), None)
    return KeyPlace(identifier, slots.place(number), found)
