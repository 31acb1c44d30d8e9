"""What one node knows of its store, for people and programs to look at."""

from __future__ import annotations

import attrs

from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.holdings import Held


@attrs.frozen
class SlotView:
    """One slot."""

    slot: int
    configuration: Configuration
    """The newest that this node knows of."""
    serves: bool
    """Whether a majority of its members is known to have installed it."""
    installed: tuple[int, int] | None
    """Generation and epoch that this disk has installed; None if it holds nothing of the slot."""
    sealed: bool
    """Whether this disk waits for the next epoch."""
    keys: int
    """Keys with a value that this disk holds."""
    bytes: int
    """Bytes of these keys and values."""
    deleted: int = 0
    """Records of keys without a value on this disk, which are still to be collected."""


@attrs.frozen
class StoreView:
    """The store as one node sees it."""

    me: Member
    run: int
    """Counts the starts with this disk."""
    founding: Founding | None
    vacating: bool
    seats: int
    """Slots that need this disk."""
    changing: int
    """Slots whose members this node is changing."""
    slots: tuple[SlotView, ...]


def slot_view(listed: Listed, held: Held | None) -> SlotView:
    """Return the view of one slot."""
    known = listed.slot, listed.configuration, listed.serves
    if held is None or not held.serves:
        return SlotView(*known, None, sealed=False, keys=0, bytes=0)
    head, stock = held.registers.head, held.registers.stock
    installed = head.configuration.generation, head.configuration.epoch
    return SlotView(*known, installed, head.sealed, stock.keys, stock.bytes, len(stock.dead))
