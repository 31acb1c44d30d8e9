"""What one node knows of its store, for people and programs to look at."""

from __future__ import annotations

from collections.abc import Container, Iterator

import attrs

from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.records import Content
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.holdings import Held, Holdings


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


def held_keys(
    holdings: Holdings, arc: Container[int] | None, first: int, after: bytes | None
) -> Iterator[tuple[int, bytes, Content]]:
    """Yield (slot, key, content) of the keys with a value on a disk, by slot and key.

    :param arc: the slots that are wanted; None for all.
    :param first: the slot to begin with; there after this key.
    """
    for held in sorted(holdings.served, key=lambda each: each.registers.head.slot):
        slot, records = held.registers.head.slot, held.registers.records
        if slot < first or (arc is not None and slot not in arc):
            continue
        beyond = after if slot == first else None
        for key in sorted(k for k in records if beyond is None or k > beyond):
            content = records[key].content
            if content.value is not None:
                yield slot, key, content


def slot_view(listed: Listed, held: Held | None) -> SlotView:
    """Return the view of one slot."""
    known = listed.slot, listed.configuration, listed.serves
    if held is None or not held.serves:
        return SlotView(*known, None, sealed=False, keys=0, bytes=0)
    head, stock = held.registers.head, held.registers.stock
    installed = head.configuration.generation, head.configuration.epoch
    return SlotView(*known, installed, head.sealed, stock.keys, stock.bytes)
