"""How much of the ring and of the store each node has."""

from __future__ import annotations

import attrs

from chordnet.survey.findings import Ref
from chordnet.survey.store.merged import Store


@attrs.frozen
class Share:
    """What one node has."""

    held: int
    """Keys on its disk."""
    owned: int
    """Those of them that are in slots of which it is the first node."""
    slots: int
    """Slots that need its disk."""
    of: int
    """Slots that there are."""
    ring: float
    """The part of the ring from the node before it to itself."""


def share_of(store: Store, ref: Ref) -> Share | None:
    """Return what a node has; None if it does not say so, or there is no store."""
    state = store.states.get(ref)
    if state is None or not state.formation or store.circle is None:
        return None
    first = {slot.number for slot in store.slots if slot.proper[:1] == (ref,)}
    owned = sum(slot.keys for slot in state.slots if slot.slot in first)
    ring = store.circle.share(ref, store.states)
    return Share(state.keys, owned, state.seats, store.slot_count, ring)
