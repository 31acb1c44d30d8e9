"""Diagrams drawn from the code's own tables.

``python docs/_ext/diagrams.py`` writes them into ``docs/diagrams``; a test compares the files there
with what the tables say now.  Where a node stands is chosen by hand, what is drawn is not.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from chordnet.core.base import effects, events  # noqa: E402
from chordnet.core.kernel import membership  # noqa: E402
from tests.unit import tidy  # noqa: E402

FOLDER = ROOT / "docs" / "diagrams"
Point = tuple[float, float]

_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" role="img" font-family="system-ui, sans-serif" font-size="14">
<title>{title}</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" \
orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="#475569"/></marker></defs>
<rect width="{width}" height="{height}" rx="12" fill="#f8fafc"/>
"""


class Drawing:
    """An SVG picture on a light ground of its own."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._parts = [_HEAD.format(width=width, height=height, title=title)]

    def box(self, at: Point, size: Point, text: str, fill: str = "#e0e7ff") -> None:
        """Draw a labelled box around the point ``at``."""
        (x, y), (w, h) = at, size
        self._parts.append(
            f'<rect x="{x - w / 2:g}" y="{y - h / 2:g}" width="{w:g}" height="{h:g}" rx="8" '
            f'fill="{fill}" stroke="#475569"/>'
        )
        self.text((x, y + 5), text)

    def text(
        self, at: Point, text: str, *, anchor: str = "middle", size: int = 14, fill: str = "#0f172a"
    ) -> None:
        """Write a line."""
        self._parts.append(
            f'<text x="{at[0]:g}" y="{at[1]:g}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{fill}">{text}</text>'
        )

    def arrow(self, edge: tuple[str, str], start: Point, end: Point, bend: float = 0.0) -> None:
        """Draw the arrow of ``edge``, bent to its left by ``bend``."""
        (x0, y0), (x1, y1) = start, end
        length = math.hypot(x1 - x0, y1 - y0)
        mx = (x0 + x1) / 2 + bend * (y1 - y0) / length
        my = (y0 + y1) / 2 - bend * (x1 - x0) / length
        self._parts.append(
            f'<path data-from="{edge[0]}" data-to="{edge[1]}" d="M{x0:.1f} {y0:.1f}Q{mx:.1f} '
            f'{my:.1f} {x1:.1f} {y1:.1f}" fill="none" stroke="#475569" stroke-width="1.4" '
            'marker-end="url(#tip)"/>'
        )

    def svg(self) -> str:
        """Return the picture."""
        return "\n".join([*self._parts, "</svg>", ""])


def _border(at: Point, size: Point, towards: Point) -> Point:
    """Return where the line from the middle of a box to ``towards`` leaves the box."""
    dx, dy = towards[0] - at[0], towards[1] - at[1]
    scale = min(
        (size[0] / 2 + 3) / abs(dx) if dx else math.inf,
        (size[1] / 2 + 3) / abs(dy) if dy else math.inf,
    )
    return at[0] + dx * scale, at[1] + dy * scale


def graph(
    drawing: Drawing, places: Mapping[str, Point], edges: Iterable[tuple[str, str]],
    size: Point, bends: Mapping[tuple[str, str], float], fills: Mapping[str, str],
) -> None:  # fmt: skip
    """Draw boxes and the arrows between them."""
    for start, end in edges:
        bend = bends.get((start, end), 0.0)
        a, b = places[start], places[end]
        length = math.hypot(b[0] - a[0], b[1] - a[1])
        # A bent arrow leaves towards the point it is bent to.
        turn = (
            (a[0] + b[0]) / 2 + bend * (b[1] - a[1]) / length,
            (a[1] + b[1]) / 2 - bend * (b[0] - a[0]) / length,
        )
        drawing.arrow((start, end), _border(a, size, turn), _border(b, size, turn), bend)
    for name, at in places.items():
        drawing.box(at, size, name, fills.get(name, "#e0e7ff"))


# ---- the life of a node ---------------------------------------------------------------------

_STATES: dict[str, Point] = {
    "unjoined": (90, 190),
    "joining": (310, 90),
    "forming": (310, 190),
    "seeking": (310, 290),
    "active": (520, 190),
    "superseded": (760, 60),
    "leaving": (700, 330),
    "left": (860, 330),
}


def membership_edges() -> list[tuple[str, str]]:
    """Every transition of ``core/kernel/membership.py``."""
    return [
        (old.name.lower(), new.name.lower())
        for old, following in membership.TRANSITIONS.items()
        for new in sorted(following)
    ]


def membership_svg() -> str:
    """Draw the states of a node and every transition between them."""
    drawing = Drawing(940, 480, "The states of a node")
    bends = {
        ("unjoined", "joining"): 16.0, ("joining", "unjoined"): 16.0,
        ("unjoined", "forming"): 16.0, ("forming", "unjoined"): 16.0,
        ("unjoined", "seeking"): 16.0, ("seeking", "unjoined"): 16.0,
        ("unjoined", "active"): -44.0, ("unjoined", "leaving"): -230.0,
        ("joining", "leaving"): 20.0, ("forming", "leaving"): -20.0,
        ("unjoined", "superseded"): 190.0, ("seeking", "superseded"): -10.0,
        ("joining", "superseded"): 20.0,
    }  # fmt: skip
    fills = {"active": "#bbf7d0", "leaving": "#bbf7d0", "left": "#e2e8f0"}
    graph(drawing, _STATES, membership_edges(), (104, 40), bends, fills)
    drawing.text((130, 30), "green: in a ring, answers lookups", size=12, fill="#475569")
    return drawing.svg()


# ---- rooms and arrows -----------------------------------------------------------------------

_ROOMS: dict[str, Point] = {
    "core": (330, 50),
    "judge": (560, 50),
    "record": (120, 140),
    "wire": (330, 140),
    "sim": (760, 140),
    "storage": (120, 230),
    "net": (330, 230),
    "survey": (560, 230),
    "web": (440, 275),
    "trust": (640, 185),
    "kinds": (225, 275),
    "settings": (120, 320),
    "service": (330, 320),
    "home": (480, 410),
    "client": (480, 320),
    "draw": (640, 320),
    "testbed": (640, 410),
    "testing": (330, 410),
    "seams": (215, 370),
    "server": (120, 410),
    "sources": (120, 500),
    "tap": (120, 590),
    "healthcheck": (330, 500),
    "recipes": (760, 230),
    "cli": (760, 500),
}


def room_edges() -> list[tuple[str, str]]:
    """The arrows of ``tests/unit/tidy.py``, from each room to those that may import it, without
    the arrows that others imply.
    """
    direct = tidy.room_arrows()

    def implied(room: str, target: str) -> bool:
        waiting, seen = [other for other in direct[room] if other != target], set[str]()
        while waiting:
            other = waiting.pop()
            seen.add(other)
            waiting += direct[other] - seen
        return target in seen

    return [
        (target, room)
        for room, targets in sorted(direct.items())
        for target in sorted(targets)
        if not implied(room, target)
    ]


def rooms_svg() -> str:
    """Draw the rooms of the package; an arrow leads to who imports."""
    drawing = Drawing(900, 640, "The rooms of the package")
    fills = dict.fromkeys(tidy.PURE, "#fde68a")
    graph(drawing, _ROOMS, room_edges(), (124, 40), {}, fills)
    drawing.text((24, 32), "yellow: pure", anchor="start", size=12, fill="#475569")
    return drawing.svg()


# ---- events in, effects out -----------------------------------------------------------------

_CAUSES = {
    "Start": "the service starts", "Begin": "the program insists",
    "Greeted": "somebody new", "Verified": "to Verify", "Walk": "the program asks",
    "Received": "a peer's frame", "LinkDown": "no connection",
    "Tick": "the deadline has come", "FindOwner": "the program asks",
    "Publish": "the program sends", "Spoiled": "damage in the log", "Leave": "the program stops",
}  # fmt: skip
_CONSEQUENCES = {
    "Send": "a frame to a peer", "Verify": "who is there?", "Judged": "to Greeted",
    "Walked": "to Walk", "Record": "the log, subscribers",
    "SendStored": "from the log",
    "Gap": "what nobody keeps", "LookupDone": "to FindOwner", "BroadcastDone": "to Publish",
    "LeftRing": "to Leave",
}  # fmt: skip


def union_names(union: Any) -> list[str]:
    """The names of the members of a union of types."""
    return [kind.__name__ for kind in union.__args__]


def step_svg() -> str:
    """Draw what goes into ``ChordNode.step`` and what comes out."""
    left, right = union_names(events.Event), union_names(effects.Effect)
    height = 70 + 34 * max(len(left), len(right))
    drawing = Drawing(900, height, "Events in, effects out")
    middle = (450.0, height / 2 + 10)
    drawing.text((170, 32), "events", size=15)
    drawing.text((730, 32), "effects, in order", size=15)
    for names, x, meanings in ((left, 170.0, _CAUSES), (right, 730.0, _CONSEQUENCES)):
        top = middle[1] - 34 * (len(names) - 1) / 2
        for index, name in enumerate(names):
            at = (x, top + 34 * index)
            inner = (x + 118, at[1]) if x < middle[0] else (x - 118, at[1])
            edge = (middle[0] - 92, middle[1]) if x < middle[0] else (middle[0] + 92, middle[1])
            start, end = (inner, edge) if x < middle[0] else (edge, inner)
            drawing.arrow((name, "step") if x < middle[0] else ("step", name), start, end)
            meaning = meanings.get(name, "notice")
            drawing.box(
                at, (232, 28), f"{name}: {meaning}", "#e0e7ff" if meaning != "notice" else "#e2e8f0"
            )
    drawing.box(middle, (180, 64), "ChordNode.step", "#fde68a")
    return drawing.svg()


DRAWINGS = {"membership": membership_svg, "rooms": rooms_svg, "step": step_svg}


def main() -> None:
    """Write every drawing."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
