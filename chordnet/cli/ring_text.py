"""The ring in a terminal: a circle with its nodes, chords across it, and a table beside it.

Without a message the chords are the fingers of one node; with one they are the message's tree.
Where the output takes no braille characters the same is drawn in ASCII; colours are rich's, which
keeps to NO_COLOR.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chordnet.cli.output import plain
from chordnet.cli.ring_canvas import COLUMNS, ROWS, Canvas
from chordnet.cli.ring_model import Ref, RingModel, RingNode, Tree, point

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

CIRCLE_ROWS = 19
LABEL_CELLS = 4
"""Room around the circle for the labels."""
BIG = 24
"""Rings of more nodes have their table below."""
DEPTH_STYLES = ("blue", "green", "yellow", "red", "magenta", "cyan")
TURN_STEP = 1 / 240
MAX_STEPS = 60


def print_ring(out: Console, model: RingModel, focus: Ref | None, *, ascii_only: bool) -> None:
    """Print the drawing.

    :param focus: the node whose fingers are drawn when there is no message.
    """
    drawing = _drawing(model, focus, ascii_only=ascii_only)
    table = list(_table(model, focus, ascii_only=ascii_only))
    for line in _heading(model, focus):
        out.print(line)
    if len(model.nodes) > BIG:
        for line in [*drawing, *table]:
            out.print(line)
        return
    height = max(len(drawing), len(table))
    top = (height - len(table)) // 2
    for row in range(height):
        line = drawing[row] if row < len(drawing) else drawing[0].blank_copy()
        line.pad_right(2)
        if 0 <= row - top < len(table):
            line.append_text(table[row - top])
        line.rstrip()
        out.print(line, no_wrap=True, overflow="crop" if ascii_only else "ellipsis")


def _heading(model: RingModel, focus: Ref | None) -> Iterator[Text]:
    from rich.text import Text  # noqa: PLC0415 - slow to import

    count = len(model.nodes)
    yield Text(f"network '{model.network}': {count} node{'' if count == 1 else 's'}", "bold")
    if model.tree is not None:
        tree = model.tree
        body = tree.body if len(tree.body) <= 40 else tree.body[:37] + "..."
        yield Text(
            f"{plain(body)} from {_label(tree.origin)}: "
            f"{len(tree.arrivals) - 1} messages, depth {tree.depth}"
        )
    elif focus is not None:
        yield Text(f"across it the fingers of {_label(focus)}")


def _label(ref: Ref) -> str:
    return f"Node {ref}" if isinstance(ref, int) else plain(ref)


# ---- the circle -----------------------------------------------------------------------------


def _drawing(model: RingModel, focus: Ref | None, *, ascii_only: bool) -> list[Text]:
    rows = CIRCLE_ROWS if len(model.nodes) <= BIG else 2 * CIRCLE_ROWS
    height = rows + 2
    width = 2 * rows + 2 * LABEL_CELLS
    canvas = Canvas(width, height, ascii_only=ascii_only)
    centre = (width * COLUMNS / 2, height * ROWS / 2)
    radius = rows * ROWS / 2 - 2
    for step in range(720):
        canvas.dot(*point(step / 720, radius, centre), "bright_black")
    for start, end, style in _lines(model, focus):
        canvas.line(start.at(radius - 3, centre), end.at(radius - 3, centre), style)
    marks = [(node, node.at(radius, centre)) for node in model.nodes]
    for node, (x, y) in marks:
        mark = "o" if ascii_only else "●"
        canvas.text(round(x) // COLUMNS, round(y) // ROWS, mark, _style(model, focus, node))
    for node in model.nodes:
        _place_label(canvas, model, focus, node, radius, centre)
    return canvas.lines()


def _lines(model: RingModel, focus: Ref | None) -> Iterator[tuple[RingNode, RingNode, str]]:
    if model.tree is not None:
        for ref, arrival in model.tree.arrivals.items():
            start = model.node(arrival.route[-2]) if arrival.depth else None
            end = model.node(ref)
            if start is not None and end is not None:
                yield start, end, _depth_style(arrival.depth)
        return
    centre = model.node(focus) if focus is not None else None
    for finger in centre.fingers if centre else ():
        end = model.node(finger.node)
        if centre is not None and end is not None:
            yield centre, end, "cyan"


def _depth_style(depth: int) -> str:
    return DEPTH_STYLES[(depth - 1) % len(DEPTH_STYLES)]


def _style(model: RingModel, focus: Ref | None, node: RingNode) -> str:
    if model.tree is None:
        return "bold cyan" if node.ref == focus else "bold"
    arrival = model.tree.arrivals.get(node.ref)
    if arrival is None:
        return "dim"
    return f"bold {_depth_style(arrival.depth)}" if arrival.depth else "bold reverse"


def _place_label(
    canvas: Canvas,
    model: RingModel,
    focus: Ref | None,
    node: RingNode,
    radius: float,
    centre: tuple[float, float],
) -> None:
    """Write the number outside the circle, beside its mark or as near to it as there is room."""
    text = str(node.ref)[:LABEL_CELLS] if isinstance(node.ref, int) else plain(node.ref)[:3]
    for step in range(MAX_STEPS):
        aside = (step + 1) // 2 * TURN_STEP * (1 if step % 2 else -1)
        for offset in (5.0, 9.0):
            x, y = point(node.turn + aside, radius + offset, centre)
            column = round(x / COLUMNS - len(text) / 2)
            if node.turn % 0.5 > 0.06 and (node.turn % 0.5) < 0.44:
                right = node.turn < 0.5
                column = round(x / COLUMNS - (0.4 if right else len(text) - 0.6))
            if canvas.free(column, int(y) // ROWS, len(text)):
                canvas.text(column, int(y) // ROWS, text, _style(model, focus, node))
                return


# ---- the table ------------------------------------------------------------------------------


def _table(model: RingModel, focus: Ref | None, *, ascii_only: bool) -> Iterator[Text]:
    from rich.text import Text  # noqa: PLC0415 - slow to import

    arrow = "->" if ascii_only else "→"
    head = "node  route" if model.tree else "node  id        successor, fingers"
    yield Text(head, "dim")
    for node in model.nodes:
        line = Text(f"{_short(node.ref):>4}  ", _style(model, focus, node))
        if model.tree is not None:
            line.append(_route(model.tree, node, arrow))
        else:
            line.append(f"{node.id:0{model.bits // 4}x}"[:8], "dim")
            line.append("  ")
            line.append(" ".join(_short(finger.node) for finger in node.fingers))
        yield line


def _short(ref: Ref) -> str:
    return str(ref) if isinstance(ref, int) else plain(ref)[:12]


def _route(tree: Tree, node: RingNode, arrow: str) -> str:
    arrival = tree.arrivals.get(node.ref)
    if arrival is None:
        return "did not record it"
    if arrival.depth == 0:
        return "sent it"
    repair = f" ({arrival.kind})" if arrival.is_repair else ""
    return plain(arrival.text(arrow)) + repair
