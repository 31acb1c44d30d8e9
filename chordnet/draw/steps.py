"""A history step by step, as a picture: a line down for each node, time runs downwards.

A step says at the left what happens. On the lines it shows who does it, whom that reaches, and what
a node is afterwards, if that has changed. What a client is told is coloured, and the last row says
what cannot be.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from xml.sax.saxutils import escape

import attrs

from chordnet.draw.svg import MARGIN, PALETTE, STYLE

TEXT_WIDTH = 330
LANE_WIDTH = 196
BOX_WIDTH = 184
LINE = 15
HEAD = 112
CELLS = 46
"""Characters in a line at the left."""
BOX_CELLS = 29
"""The same, in a box."""
TITLE_PIXELS, SUBTITLE_PIXELS = 12.5, 7.8
"""About how wide a character is."""

_OWN_STYLE = """
.lane { stroke: #b6c0cc; stroke-width: 1.5; stroke-dasharray: 2 4; }
.step { fill: #17202b; font-size: 13px; }
.told { fill: #0072B2; font-size: 13px; font-weight: 600; }
.wrong { fill: #C1272D; font-size: 14px; font-weight: 600; }
.box { fill: #eef3f8; stroke: #b6c0cc; }
.state { fill: #17202b; font-size: 11.5px; }
.way { fill: none; stroke: #0072B2; stroke-width: 1.8; }
@media (prefers-color-scheme: dark) {
  .lane { stroke: #465362; }
  .step, .state { fill: #e8edf3; }
  .told { fill: #56B4E9; }
  .wrong { fill: #ff8a80; }
  .box { fill: #1b2430; stroke: #465362; }
}
"""


@attrs.frozen
class Step:
    """One row."""

    text: str
    actor: str = ""
    """The node that does it; empty: no single one."""
    reached: tuple[str, ...] = ()
    gives: bool = False
    """Whether it is they who give it something."""
    changes: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    """What nodes are from now on, a few words a line."""
    told: tuple[str, ...] = ()
    """What clients are told."""


@attrs.frozen
class Steps:
    """A whole history."""

    title: str
    subtitle: str
    nodes: tuple[str, ...]
    steps: tuple[Step, ...]
    wrong: str
    """What cannot be; empty: nothing."""


@attrs.frozen
class _Row:
    step: Step
    text: tuple[str, ...]
    told: tuple[str, ...]
    boxes: dict[str, tuple[str, ...]]
    """By lane."""
    top: float
    height: float


def draw_steps(model: Steps) -> str:
    """Return the picture as an SVG document."""
    rows = list(_rows(model))
    bottom = rows[-1].top + rows[-1].height if rows else HEAD
    width = _width(model)
    height = bottom + (3 * LINE if model.wrong else 0) + MARGIN
    label = escape(model.title, {'"': "&quot;"})
    marker = (
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" '
        f'markerHeight="6" orient="auto"><path d="M0 .8 10 5 0 9.2 2.4 5z" fill="{PALETTE[0]}"/>'
        "</marker></defs>"
    )
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" '
        f'width="{width}" height="{height:.0f}" role="img" aria-label="{label}">'
    )
    parts = [
        opening,
        f"<title>{escape(model.title)}</title>",
        f"<style>{STYLE}{_OWN_STYLE}</style>",
        marker,
        f'<rect class="card" x=".5" y=".5" width="{width - 1}" height="{height - 1:.0f}" rx="14"/>',
        f'<text class="title" x="{MARGIN}" y="42">{escape(model.title)}</text>',
        f'<text class="subtitle" x="{MARGIN}" y="66">{escape(model.subtitle)}</text>',
        *_lanes(model, bottom),
        *(line for row in rows for line in _row(model, row)),
    ]
    if model.wrong:
        y = bottom + 1.5 * LINE
        parts.append(f'<text class="wrong" x="{MARGIN}" y="{y:.1f}">{escape(model.wrong)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _width(model: Steps) -> int:
    lanes = TEXT_WIDTH + LANE_WIDTH * len(model.nodes)
    heading = max(TITLE_PIXELS * len(model.title), SUBTITLE_PIXELS * len(model.subtitle))
    return 2 * MARGIN + max(lanes, int(heading))


def _rows(model: Steps) -> Iterator[_Row]:
    top = float(HEAD)
    for step in model.steps:
        text = tuple(wrap(step.text, CELLS))
        told = tuple(line for each in step.told for line in wrap(each, CELLS))
        boxes = {
            _lane_of(model, name): tuple(line for word in words for line in wrap(word, BOX_CELLS))
            for name, words in step.changes.items()
        }
        most = max((len(lines) for lines in boxes.values()), default=0)
        height = max(LINE * (len(text) + len(told)), LINE * most + 24.0) + 12
        yield _Row(step, text, told, boxes, top, height)
        top += height


def _lane_of(model: Steps, name: str) -> str:
    """Return the lane of a node, which may have come back as another: ``C(2)`` is in that of C."""
    return name if name in model.nodes else name.partition("(")[0]


def _x(model: Steps, name: str) -> float:
    return MARGIN + TEXT_WIDTH + LANE_WIDTH * (model.nodes.index(_lane_of(model, name)) + 0.5)


def _lanes(model: Steps, bottom: float) -> Iterator[str]:
    for name in model.nodes:
        x = _x(model, name)
        yield f'<text class="name" x="{x:g}" y="94" text-anchor="middle">{escape(name)}</text>'
        yield f'<line class="lane" x1="{x:g}" y1="102" x2="{x:g}" y2="{bottom:.1f}"/>'


def _row(model: Steps, row: _Row) -> Iterator[str]:
    y = row.top + 12
    for lines, style in ((row.text, "step"), (row.told, "told")):
        for line in lines:
            yield f'<text class="{style}" x="{MARGIN}" y="{y:.1f}">{escape(line)}</text>'
            y += LINE
    yield from _ways(model, row.step, row.top + 8)
    for name, words in row.boxes.items():
        yield from _box(_x(model, name), row.top + 18, words)


def _ways(model: Steps, step: Step, y: float) -> Iterator[str]:
    """Yield the dot of who acts, those of whom that reaches, and the arrows between them."""
    if not step.actor:
        return
    x = _x(model, step.actor)
    for name in step.reached:
        other = _x(model, name)
        start, end = (other, x) if step.gives else (x, other)
        if start != end:
            end += -7 if end > start else 7
            yield f'<path class="way" d="M{start:g} {y:.1f}H{end:g}" marker-end="url(#tip)"/>'
    for name in step.reached:
        yield f'<circle cx="{_x(model, name):g}" cy="{y:.1f}" r="4" fill="{PALETTE[5]}"/>'
    yield f'<circle cx="{x:g}" cy="{y:.1f}" r="5.5" fill="{PALETTE[0]}"/>'


def _box(x: float, top: float, lines: tuple[str, ...]) -> Iterator[str]:
    left, height = x - BOX_WIDTH / 2, LINE * len(lines) + 6
    yield (
        f'<rect class="box" x="{left:g}" y="{top:.1f}" width="{BOX_WIDTH}" height="{height}" '
        'rx="6"/>'
    )
    for number, line in enumerate(lines):
        y = top + LINE * (number + 1) - 1
        yield (
            f'<text class="state" x="{x:g}" y="{y:.1f}" text-anchor="middle">{escape(line)}</text>'
        )
