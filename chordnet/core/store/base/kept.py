"""What a node's store finds on its disk when it starts."""

from __future__ import annotations

import msgspec

from chordnet.core.store.base.configurations import Head
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.records import Record


class Kept(msgspec.Struct, frozen=True):
    """What a node's store has on its disk."""

    store: int
    """The random number that names this disk."""
    run: int
    """Counts the starts with this disk; of this one."""
    vote: Founding | None = None
    founding: Founding | None = None
    heads: tuple[Head, ...] = ()
    records: tuple[tuple[int, bytes, Record], ...] = ()
    """(slot, key, record)."""
