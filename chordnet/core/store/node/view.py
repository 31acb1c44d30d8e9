"""What one node knows of its store, for people and programs to look at."""

from __future__ import annotations

from collections.abc import Iterable

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


@attrs.frozen
class StoreView:
    """The store as one node sees it."""

    me: Member
    founding: Founding | None
    vacating: bool
    seats: int
    """Slots that need this disk."""
    changing: int
    """Slots whose members this node is changing."""
    slots: tuple[SlotView, ...]


def slot_view(listed: Listed, held: Held | None) -> SlotView:
    """Return the view of one slot."""
    installed, sealed, keys, size = None, False, 0, 0
    if held is not None and held.serves:
        head = held.registers.head
        installed = head.configuration.generation, head.configuration.epoch
        sealed = head.sealed
        keys, size = _stock(
            (key, record.content.value) for key, record in held.registers.records.items()
        )
    return SlotView(listed.slot, listed.configuration, listed.serves, installed, sealed, keys, size)


def _stock(values: Iterable[tuple[bytes, bytes | None]]) -> tuple[int, int]:
    present = [(key, value) for key, value in values if value is not None]
    return len(present), sum(len(key) + len(value) for key, value in present)
