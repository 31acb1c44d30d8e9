"""The place of a key in a drawing of the ring: the key, its slot, and the nodes that hold that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from xml.sax.saxutils import escape

import attrs

from chordnet.draw.phrases import plain
from chordnet.survey.description import NetworkDescription
from chordnet.survey.findings import Ref, called
from chordnet.survey.store.merged import Store, names_of
from chordnet.survey.store.places import place_of

COLOUR = "#D55E00"
STYLE = f"""
.slot {{ fill: none; stroke: {COLOUR}; stroke-width: 7; stroke-linecap: round; }}
.key {{ fill: {COLOUR}; }}
.holds {{ fill: none; stroke: {COLOUR}; stroke-width: 2.4; }}
.away {{ stroke-dasharray: 4 3; }}
"""
LEAST_ARC = 1 / 240
"""Of the ring: a shorter arc could not be seen."""


@attrs.frozen
class KeyMark:
    """Where a key is on the ring, and which nodes hold it."""

    key: str
    turn: float
    """Of its identifier: 0 at the top, clockwise, in [0, 1)."""
    slot: int
    begins: float
    """Where the slot does."""
    share: float
    """Of the ring that the slot takes."""
    members: tuple[Ref, ...]
    missing: tuple[Ref, ...]

    def words(self) -> str:
        """Return this in one line."""
        text = f"{plain(self.key)} is in slot {self.slot}, held by {names_of(self.members)}"
        if self.missing:
            verb = "is" if len(self.missing) == 1 else "are"
            text += f"; {names_of(self.missing)} {verb} missing"
        return text


def key_mark(network: NetworkDescription, seen: Store, key: str) -> KeyMark | None:
    """Return the mark of a key; None if no store holds it."""
    found = place_of(network, seen, key)
    if found.slot is None:
        return None
    size = network.space.size
    return KeyMark(
        key,
        found.identifier / size,
        found.slot.number,
        found.place / size,
        1 / seen.slot_count,
        found.slot.members,
        found.slot.missing,
    )


def mark_json(mark: KeyMark) -> dict[str, object]:
    """Return a mark for a JSON document."""
    return {
        "key": mark.key,
        "turn": round(mark.turn, 6),
        "slot": mark.slot,
        "members": list(mark.members),
        "missing": list(mark.missing),
    }


def drawn(
    mark: KeyMark,
    centre: tuple[float, float],
    radius: float,
    dots: Mapping[Ref, tuple[float, float]],
    point: Callable[[float, float, tuple[float, float]], tuple[float, float]],
) -> Iterator[str]:
    """Return the parts of a picture that show a key.

    :param dots: where the nodes are.
    :param point: returns the place of a turn on a circle.
    """
    yield f"<style>{STYLE}</style>"
    share = max(mark.share, LEAST_ARC)
    (x1, y1), (x2, y2) = (
        point(turn, radius, centre) for turn in (mark.begins, mark.begins + min(share, 0.999))
    )
    tip = escape(f"slot {mark.slot}")
    yield (
        f'<path class="slot" d="M{x1:.1f} {y1:.1f}A{radius:.1f} {radius:.1f} 0 '
        f'{int(share > 0.5)} 1 {x2:.1f} {y2:.1f}"><title>{tip}</title></path>'
    )
    x, y = point(mark.turn, radius - 15, centre)
    yield (
        f'<path class="key" d="M{x:.1f} {y - 8:.1f}l8 8l-8 8l-8 -8z">'
        f"<title>{escape(plain(mark.key))}</title></path>"
    )
    for rank, ref in enumerate(mark.members, 1):
        if ref not in dots:
            continue
        x, y = dots[ref]
        style = "holds away" if ref in mark.missing else "holds"
        tip = escape(f"{plain(called(ref))} holds slot {mark.slot} ({rank} of {len(mark.members)})")
        yield (
            f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="13">'
            f"<title>{tip}</title></circle>"
        )
