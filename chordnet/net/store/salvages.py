"""What came of a recovery, as clients are told."""

from __future__ import annotations

from chordnet.core.base.errors import ChordnetError
from chordnet.core.store.base.outcomes import Salvage
from chordnet.wire.stores import SlotRecovery


def recovered(ended: tuple[Salvage, ...] | ChordnetError) -> list[SlotRecovery] | ChordnetError:
    """Return what clients are told of the end of a recovery."""
    return ended if isinstance(ended, ChordnetError) else [_told(each) for each in ended]


def _told(salvage: Salvage) -> SlotRecovery:
    present = salvage.configuration
    return SlotRecovery(
        slot=salvage.slot,
        fate=salvage.fate.value,
        generation=present.generation,
        epoch=present.epoch,
        members=[member.node for member in present.members],
        missing=list(salvage.missing),
        left=list(salvage.left),
        behind=salvage.behind,
        keys=salvage.keys,
        written=salvage.written,
    )
