"""The ring as a picture: an SVG file that stands by itself, in light and in dark.

Every node is a dot at the place of its identifier. Labels stand to the left and to the right,
pushed apart where identifiers are close, and a fine line leads each to its dot. Without a message
the fingers are drawn, coloured by how far they reach; with one, its spanning tree, coloured by
depth, over the fingers in the background. The colours are Okabe and Ito's, which stay apart for
colour-blind readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, pi, sin, sqrt
from xml.sax.saxutils import escape

import attrs

from chordnet.draw import keymark
from chordnet.draw.layout import spread
from chordnet.draw.model import RingModel, RingNode, Tree, point

PALETTE = ("#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#56B4E9")
"""Okabe, Ito: "Color Universal Design", 2008."""
LABEL_GAP = 40
LABEL_WIDTH = 190
LABEL_OFFSET = 56
MIN_RADIUS = 250
MARGIN = 28
MIN_BOW = 62
"""How far an edge between two touching dots is pulled inwards, so that it can be seen."""
TITLE_HEIGHT = 96
LEGEND_HEIGHT = 62
SHORT_ID = 10

STYLE = """
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.card { fill: #ffffff; stroke: #d8dee6; }
.title { fill: #17202b; font-size: 22px; font-weight: 600; }
.subtitle { fill: #5a6675; font-size: 14px; }
.ring { fill: none; stroke: #b6c0cc; stroke-width: 2.5; }
.tick { stroke: #b6c0cc; stroke-width: 1.5; }
.scale { fill: #8793a1; font-size: 12px; }
.leader { fill: none; stroke: #b6c0cc; stroke-width: 1; }
.name { fill: #17202b; font-size: 15px; font-weight: 600; }
.note { fill: #5a6675; font-size: 12px; }
.mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
.dot { stroke: #ffffff; stroke-width: 2; }
.plain { fill: #3b4754; }
.chord { fill: none; stroke-width: 1.6; stroke-opacity: .62; }
.faint { fill: none; stroke: #8793a1; stroke-width: 1; stroke-opacity: .22; }
.edge { fill: none; stroke-width: 2.6; }
.repair { stroke-dasharray: 7 5; }
.over { fill: none; stroke-width: 2; }
.duplicate { stroke: #8793a1; stroke-dasharray: 2 4; }
.lost { stroke: #C1272D; stroke-dasharray: 9 4 2 4; stroke-width: 2.4; }
.predicted { stroke: #8793a1; stroke-opacity: .8; }
.cross { stroke: #C1272D; stroke-width: 2.6; stroke-linecap: round; }
.gone { fill: #ffffff; stroke: #C1272D; stroke-width: 2; stroke-dasharray: 3 2.5; }
@media (prefers-color-scheme: dark) {
  .card { fill: #11161d; stroke: #2b3440; }
  .title, .name { fill: #e8edf3; }
  .subtitle, .note { fill: #9aa7b5; }
  .ring, .tick, .leader { stroke: #465362; }
  .dot { stroke: #11161d; }
  .plain { fill: #c3ccd6; }
  .gone { fill: #11161d; }
}
"""


@attrs.frozen
class _Sheet:
    """The measures of one drawing."""

    radius: float
    width: float
    height: float
    centre: tuple[float, float]


@attrs.frozen
class _Label:
    node: RingNode
    x: float
    y: float
    right: bool


def draw_svg(model: RingModel) -> str:
    """Return the picture as an SVG document."""
    sheet = _sheet(model)
    parts = [
        _opening(model, sheet),
        f"<title>{escape(_title(model))}</title>",
        f"<style>{STYLE}</style>",
        *_markers(),
        _card(sheet),
        *_heading(model),
        *_circle(sheet),
        *_chords(model, sheet),
        *(_tree(model, model.tree, sheet) if model.tree else []),
        *(_overlays(model, model.tree, sheet) if model.tree else []),
        *_nodes(model, sheet),
        *_key(model, sheet),
        *_legend(model, sheet),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _opening(model: RingModel, sheet: _Sheet) -> str:
    label = escape(_title(model), {'"': "&quot;"})
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {sheet.width:.0f} '
        f'{sheet.height:.0f}" width="{sheet.width:.0f}" height="{sheet.height:.0f}" role="img" '
        f'aria-label="{label}">'
    )


def _card(sheet: _Sheet) -> str:
    width, height = sheet.width - 1, sheet.height - 1
    return f'<rect class="card" x=".5" y=".5" width="{width:.0f}" height="{height:.0f}" rx="14"/>'


def _sheet(model: RingModel) -> _Sheet:
    sides = [sum(node.turn < 0.5 for node in model.nodes)]
    rows = max(sides[0], len(model.nodes) - sides[0])
    radius = max(MIN_RADIUS, rows * LABEL_GAP / 2 - LABEL_OFFSET)
    reach = radius + LABEL_OFFSET
    longest = max((len(_note(model, node)) for node in model.nodes), default=0)
    width = 2 * (reach + max(LABEL_WIDTH, 6.6 * longest) + MARGIN)
    height = TITLE_HEIGHT + 2 * reach + LEGEND_HEIGHT + MARGIN
    return _Sheet(radius, width, height, (width / 2, TITLE_HEIGHT + reach))


def _title(model: RingModel) -> str:
    count = sum(not node.gone for node in model.nodes)
    return f"Network '{model.network}': {count} node{'' if count == 1 else 's'} in one ring"


def _heading(model: RingModel) -> Iterator[str]:
    yield f'<text class="title" x="{MARGIN}" y="44">{escape(_title(model))}</text>'
    if model.mark is not None:
        text = model.mark.words()
    elif model.tree is None:
        text = "every node at its identifier, clockwise; the fingers it asks for what lies far off"
    elif model.tree.heading:
        text = model.tree.heading
    else:
        tree = model.tree
        body = tree.body if len(tree.body) <= 40 else tree.body[:39] + "…"
        text = (
            f"“{body}” from {_name(tree.origin)}: {len(tree.arrivals) - 1} messages to "
            f"{len(tree.arrivals) - 1} other nodes, depth {tree.depth}"
        )
    yield f'<text class="subtitle" x="{MARGIN}" y="68">{escape(_visible(text))}</text>'


def _name(ref: int | str) -> str:
    return f"Node {ref}" if isinstance(ref, int) else ref


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)


def _markers() -> Iterator[str]:
    yield "<defs>"
    for name, colour in (("duplicate", "#8793a1"), ("lost", "#C1272D"), ("predicted", "#8793a1")):
        yield (
            f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="5.5" '
            f'markerHeight="5.5" orient="auto"><path d="M0 .8 10 5 0 9.2 2.4 5z" fill="{colour}"/>'
            "</marker>"
        )
    for index, colour in enumerate(PALETTE):
        for name, size in (("finger", 5), ("edge", 5.5)):
            yield (
                f'<marker id="{name}{index}" viewBox="0 0 10 10" refX="9" refY="5" '
                f'markerWidth="{size}" markerHeight="{size}" orient="auto">'
                f'<path d="M0 .8 10 5 0 9.2 2.4 5z" fill="{colour}"/></marker>'
            )
    yield "</defs>"


def _circle(sheet: _Sheet) -> Iterator[str]:
    x, y = sheet.centre
    yield f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="{sheet.radius:.1f}"/>'
    for quarters, text in enumerate("0¼½¾"):
        (x1, y1), (x2, y2), (x3, y3) = (
            point(quarters / 4, sheet.radius + offset, sheet.centre) for offset in (-6, 6, 19)
        )
        yield f'<line class="tick" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
        place = f'x="{x3:.1f}" y="{y3 + 4:.1f}"'
        yield f'<text class="scale" {place} text-anchor="middle">{text}</text>'


def _curve(
    sheet: _Sheet, start: RingNode, end: RingNode, inset: float = 9, aside: float = 0
) -> str:
    """Return a chord bent towards the centre, which ends a little before its node's dot.

    :param aside: how far to the side its middle is pushed.
    """
    apart = min((end.turn - start.turn) % 1, (start.turn - end.turn) % 1)
    # Neighbours are joined by a shallow bow inside the ring, far nodes by a line near the centre.
    off, chord = cos(pi * apart), 2 * sin(pi * apart)  # from the centre, in radii; its length
    depth = max(0.6 * chord, MIN_BOW / sheet.radius)
    pull = max(0.82 - 1.1 * apart, 1 - depth / max(off, 0.01))
    x1, y1 = start.at(sheet.radius - 2, sheet.centre)
    x2, y2 = end.at(sheet.radius - 2, sheet.centre)
    cx, cy = sheet.centre
    mx, my = (x1 + x2) / 2, (y1 + y2) / 2
    along = sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2) or 1.0
    qx = cx + (mx - cx) * pull + (y2 - y1) / along * aside
    qy = cy + (my - cy) * pull - (x2 - x1) / along * aside
    length = sqrt((x2 - qx) ** 2 + (y2 - qy) ** 2) or 1.0
    x2, y2 = x2 - (x2 - qx) / length * inset, y2 - (y2 - qy) / length * inset
    return f"M{x1:.1f} {y1:.1f}Q{qx:.1f} {qy:.1f} {x2:.1f} {y2:.1f}"


def _chords(model: RingModel, sheet: _Sheet) -> Iterator[str]:
    for node in model.nodes:
        for finger in node.fingers:
            other = model.node(finger.node)
            if other is None or (finger.node == node.successor and model.tree):
                continue
            colour = min(finger.reach, len(PALETTE) - 1)
            path = _curve(sheet, node, other)
            if model.tree is None:
                yield (
                    f'<path class="chord" d="{path}" stroke="{PALETTE[colour]}" '
                    f'marker-end="url(#finger{colour})"/>'
                )
            else:
                yield f'<path class="faint" d="{path}"/>'


def _tree(model: RingModel, tree: Tree, sheet: _Sheet) -> Iterator[str]:
    # The deepest first, so that the edges near the origin lie on top.
    for ref, arrival in sorted(tree.arrivals.items(), key=lambda item: -item[1].depth):
        if arrival.depth == 0:
            continue
        start, end = model.node(arrival.route[-2]), model.node(ref)
        if start is None or end is None:
            continue
        colour = _depth_colour(arrival.depth)
        style = "edge repair" if arrival.is_repair else "edge"
        yield (
            f'<path class="{style}" d="{_curve(sheet, start, end)}" stroke="{PALETTE[colour]}" '
            f'marker-end="url(#edge{colour})"/>'
        )


def _overlays(model: RingModel, tree: Tree, sheet: _Sheet) -> Iterator[str]:
    for overlay in tree.overlays:
        start, end = model.node(overlay.start), model.node(overlay.end)
        if start is not None and end is not None:
            # Beside the edge of the tree that may join the same two nodes.
            path = _curve(sheet, start, end, aside=14)
            yield (
                f'<path class="over {overlay.kind}" d="{path}" marker-end="url(#{overlay.kind})"/>'
            )


def _depth_colour(depth: int) -> int:
    return min(depth, len(PALETTE)) - 1


def _key(model: RingModel, sheet: _Sheet) -> Iterator[str]:
    if model.mark is not None:
        dots = {node.ref: node.at(sheet.radius, sheet.centre) for node in model.nodes}
        yield from keymark.drawn(model.mark, sheet.centre, sheet.radius, dots, point)


def _labels(model: RingModel, sheet: _Sheet) -> Iterator[_Label]:
    cx, cy = sheet.centre
    reach = sheet.radius + LABEL_OFFSET
    for right in (True, False):
        side = [node for node in model.nodes if (node.turn < 0.5) == right]
        side.sort(key=lambda node: node.at(reach, sheet.centre)[1])
        wanted = [node.at(reach, sheet.centre)[1] for node in side]
        for node, y in zip(side, spread(wanted, LABEL_GAP, cy - reach, cy + reach), strict=True):
            bow = sqrt(max(reach**2 - (y - cy) ** 2, 44**2))
            yield _Label(node, cx + bow if right else cx - bow, y, right)


def _nodes(model: RingModel, sheet: _Sheet) -> Iterator[str]:
    labels = list(_labels(model, sheet))
    for label in labels:
        x, y = label.node.at(sheet.radius + 8, sheet.centre)
        knee = label.x - 14 if label.right else label.x + 14
        yield (
            f'<path class="leader" d="M{x:.1f} {y:.1f}L{knee:.1f} {label.y - 5:.1f}'
            f'H{label.x:.1f}"/>'
        )
    for label in labels:
        yield from _dot(model, sheet, label.node)
        yield from _caption(model, label)


def _dot(model: RingModel, sheet: _Sheet, node: RingNode) -> Iterator[str]:
    x, y = node.at(sheet.radius, sheet.centre)
    arrival = model.tree.arrivals.get(node.ref) if model.tree else None
    tip = escape(f"{node.label}, {model.hex(node)}")
    if arrival is not None and arrival.depth == 0:
        yield f'<circle class="plain" cx="{x:.1f}" cy="{y:.1f}" r="11" fill-opacity=".28"/>'
    if node.gone:
        yield f'<circle class="gone" cx="{x:.1f}" cy="{y:.1f}" r="7"><title>{tip}</title></circle>'
        for way in (1, -1):
            yield (
                f'<line class="cross" x1="{x - 4:.1f}" y1="{y - 4 * way:.1f}" x2="{x + 4:.1f}" '
                f'y2="{y + 4 * way:.1f}"/>'
            )
        return
    colour = f' fill="{PALETTE[_depth_colour(arrival.depth)]}"' if arrival and arrival.depth else ""
    style = "dot" if colour else "dot plain"
    yield (
        f'<circle class="{style}"{colour} cx="{x:.1f}" cy="{y:.1f}" r="7">'
        f"<title>{tip}</title></circle>"
    )


def _caption(model: RingModel, label: _Label) -> Iterator[str]:
    anchor = "start" if label.right else "end"
    x = label.x + (6 if label.right else -6)
    name = escape(_visible(label.node.label))
    note, style = _note(model, label.node), "note mono" if model.tree is None else "note"
    yield (
        f'<text class="name" x="{x:.1f}" y="{label.y:.1f}" text-anchor="{anchor}">{name}</text>'
        f'<text class="{style}" x="{x:.1f}" y="{label.y + 15:.1f}" text-anchor="{anchor}">'
        f"{escape(_visible(note))}</text>"
    )


def _note(model: RingModel, node: RingNode) -> str:
    """Return the text below a node's name."""
    if model.tree is None:
        return model.hex(node)[:SHORT_ID] + "…"
    arrival = model.tree.arrivals.get(node.ref)
    if arrival is None:
        return "not in the ring" if node.gone else model.tree.absent
    route = model.tree.start if arrival.depth == 0 else arrival.text()
    return f"{route} · {arrival.note}" if arrival.note else route


def _legend(model: RingModel, sheet: _Sheet) -> Iterator[str]:
    if model.tree is None:
        deepest = max((f.reach for node in model.nodes for f in node.fingers), default=-1)
        texts = ["½ of the ring away", "¼", "⅛", "1/16", "1/32", "nearer"][: deepest + 1]
        title = "Finger that reaches at least"
    else:
        texts = [f"hop {depth}" for depth in range(1, min(model.tree.depth, len(PALETTE)) + 1)]
        title = "Edge of the message's tree"
    bottom = sheet.height - MARGIN - 6
    two_rows = model.tree is not None and bool(model.tree.overlays)
    y = bottom - 26 if two_rows else bottom
    x = float(MARGIN)
    yield f'<text class="note" x="{x}" y="{y + 4:.0f}">{title}</text>'
    x += 7.2 * len(title) + 14
    for index, text in enumerate(texts):
        yield (
            f'<line class="edge" x1="{x:.0f}" y1="{y:.0f}" x2="{x + 26:.0f}" y2="{y:.0f}" '
            f'stroke="{PALETTE[index]}" marker-end="url(#edge{index})"/>'
            f'<text class="note" x="{x + 34:.0f}" y="{y + 4:.0f}">{text}</text>'
        )
        x += 34 + 7.2 * len(text) + 24
    yield from _legend_rest(model, MARGIN if two_rows else x, bottom)


def _legend_rest(model: RingModel, x: float, y: float) -> Iterator[str]:
    if model.tree is None:
        return
    if any(arrival.is_repair for arrival in model.tree.arrivals.values()):
        yield (
            f'<line class="edge repair" x1="{x:.0f}" y1="{y:.0f}" x2="{x + 36:.0f}" y2="{y:.0f}" '
            f'stroke="#8793a1"/><text class="note" x="{x + 44:.0f}" y="{y + 4:.0f}">repair</text>'
        )
        x += 110
    words = {"duplicate": "duplicate", "lost": "got lost", "predicted": "predicted, not taken"}
    for kind in sorted({overlay.kind for overlay in model.tree.overlays}):
        yield (
            f'<line class="over {kind}" x1="{x:.0f}" y1="{y:.0f}" x2="{x + 36:.0f}" y2="{y:.0f}" '
            f'marker-end="url(#{kind})"/><text class="note" x="{x + 44:.0f}" y="{y + 4:.0f}">'
            f"{words[kind]}</text>"
        )
        x += 44 + 7.2 * len(words[kind]) + 24
    yield (
        f'<line class="faint" x1="{x:.0f}" y1="{y:.0f}" x2="{x + 26:.0f}" y2="{y:.0f}" '
        f'style="stroke-opacity:.6"/><text class="note" x="{x + 34:.0f}" y="{y + 4:.0f}">'
        "finger not used</text>"
    )
