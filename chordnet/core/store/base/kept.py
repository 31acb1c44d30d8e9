"""What a node's store finds on its disk when it starts."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from chordnet.core.base.limits import Count
from chordnet.core.store.base.configurations import Head
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.records import Record

PROOF_BYTES = 12


class Mark(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """How far a disk is, as its node has said (:mod:`chordnet.core.store.begin.marks`)."""

    store: Count
    run: Count
    life: Count
    """Tells two runs of one number apart."""
    number: Count
    """Writes of this disk, those of all runs."""
    proof: Annotated[bytes, Meta(min_length=PROOF_BYTES, max_length=PROOF_BYTES)]
    """Shows to the disk that it has said so itself."""


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
    secret: bytes = b""
    """What the disk proves its marks with; empty before the first write."""
    number: int = 0
    """Writes of this disk."""
    marks: tuple[tuple[str, Mark], ...] = ()
    """Of other nodes' disks: which runs were seen."""
