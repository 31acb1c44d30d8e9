"""What a ledger says of each origin to somebody who compares nodes from outside."""

from __future__ import annotations

import msgspec

from chordnet.core import intervals
from chordnet.core.intervals import Intervals
from chordnet.core.ledger import Ledger, OriginKey

MAX_NUMBERS = 4096
"""A page ends early beyond so many numbers above the watermarks."""


class OriginAccount(msgspec.Struct, frozen=True, gc=False):
    """The numbers of one life of one origin."""

    origin: bytes
    incarnation: int
    known: Intervals
    """Recorded and given up."""
    lost: Intervals
    """Given up; part of those known."""


def page(ledger: Ledger, after: OriginKey | None, origins: int) -> list[OriginAccount]:
    """Return the accounts of up to ``origins`` origins behind ``after``, in order of their keys."""
    return [
        OriginAccount(
            state.origin, state.incarnation, _known(state.watermark, state.above), []
        )
        for state in ledger.states(after, origins, MAX_NUMBERS)
    ]  # fmt: skip


def _known(watermark: int, above: list[int]) -> Intervals:
    bounds = intervals.of(above)
    if watermark:
        intervals.add(bounds, 1, watermark + 1)
    return bounds
