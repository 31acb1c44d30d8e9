"""The ring in a terminal: a circle with its nodes, chords across it, and a table beside it.

Without a message the chords are the fingers of one node; with one they are the message's tree. If
the output cannot show braille characters, the drawing is in ASCII; rich makes the colours and heeds
NO_COLOR.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from chordnet.draw.canvas import COLUMNS, ROWS, Canvas
from chordnet.draw.model import Ref, RingModel, RingNode, Tree, point
from chordnet.draw.phrases import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

CIRCLE_ROWS = 19
LEAST_ROWS = 5
LABEL_CELLS = 4
"""Room around the circle for the labels, at least."""
LONGEST_LABEL = 12
"""Letters of a name that are shown beside the circle; a longer name ends in a mark."""
BIG = 24
"""Rings of more nodes have their table below."""
BESIDE = 28
"""Columns of a table beside the circle; fewer if it needs fewer."""
DEPTH_STYLES = ("blue", "green", "yellow", "red", "magenta", "cyan")
TURN_STEP = 1 / 240
MAX_STEPS = 60


def print_ring(out: Console, model: RingModel, focus: Ref | None, *, ascii_only: bool) -> None:
    """Print the drawing. No line is wider than the terminal; where it has no room, the table comes
    below, its lines wrapped, and the circle gets smaller.

    :param focus: the node whose fingers are drawn when there is no message.
    """
    drawing = _drawing(model, focus, out.width, ascii_only=ascii_only)
    rows = list(_table(model, focus, ascii_only=ascii_only))
    for line in _heading(model, focus):
        out.print(line)
    room = out.width - len(drawing[0]) - 2
    widest = max(len(head) + len(rest) for head, rest in rows)
    if len(model.nodes) > BIG or room < min(widest, BESIDE):
        lines = [*drawing, *_wrapped(out, rows, out.width)]
    else:
        lines = _side_by_side(drawing, _wrapped(out, rows, room))
    for line in lines:
        line.rstrip()
        out.print(line, no_wrap=True, overflow="crop")


def _side_by_side(drawing: list[Text], table: list[Text]) -> list[Text]:
    height = max(len(drawing), len(table))
    top = (height - len(table)) // 2
    blank = " " * len(drawing[0])
    lines = []
    for row in range(height):
        line = drawing[row] if row < len(drawing) else drawing[0].blank_copy(blank)
        line.pad_right(2)
        if 0 <= row - top < len(table):
            line.append_text(table[row - top])
        lines.append(line)
    return lines


def _wrapped(out: Console, rows: Iterable[tuple[Text, Text]], width: int) -> list[Text]:
    """Return the lines of a table whose second column goes on below itself."""
    lines = []
    for head, rest in rows:
        parts = rest.wrap(out, max(width - len(head), 1)) if rest else [rest]
        for number, part in enumerate(parts):
            start = head.copy() if number == 0 else head.blank_copy(" " * len(head))
            part.rstrip()
            lines.append(start.append_text(part))
    return lines


def _heading(model: RingModel, focus: Ref | None) -> Iterator[Text]:
    from rich.text import Text  # noqa: PLC0415 - slow to import

    count = len(model.nodes)
    yield Text(f"network '{model.network}': {count} node{'' if count == 1 else 's'}", "bold")
    if model.mark is not None:
        yield Text(model.mark.words())
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


def _drawing(model: RingModel, focus: Ref | None, room: int, *, ascii_only: bool) -> list[Text]:
    labels = [_shortened(_called(node.ref), LONGEST_LABEL, ascii_only) for node in model.nodes]
    around = max(LABEL_CELLS, 1 + max(map(len, labels)))
    wanted = CIRCLE_ROWS if len(model.nodes) <= BIG else 2 * CIRCLE_ROWS
    rows = max(LEAST_ROWS, min(wanted, room // 2 - around))
    height = rows + 2
    width = 2 * rows + 2 * around
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
        _place_label(
            canvas, node, _style(model, focus, node), radius, centre, ascii_only=ascii_only
        )
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
    node: RingNode,
    style: str,
    radius: float,
    centre: tuple[float, float],
    *,
    ascii_only: bool,
) -> None:
    """Write the label outside the circle, beside its mark or as near to it as there is room."""
    name = _called(node.ref)
    for most in (LONGEST_LABEL, 8, LABEL_CELLS):
        text = _shortened(name, most, ascii_only)
        for step in range(MAX_STEPS):
            aside = (step + 1) // 2 * TURN_STEP * (1 if step % 2 else -1)
            for offset in (5.0, 9.0):
                x, y = point(node.turn + aside, radius + offset, centre)
                column = round(x / COLUMNS - len(text) / 2)
                if node.turn % 0.5 > 0.06 and (node.turn % 0.5) < 0.44:
                    right = node.turn < 0.5
                    column = round(x / COLUMNS - (0.4 if right else len(text) - 0.6))
                if canvas.free(column, int(y) // ROWS, len(text)):
                    canvas.text(column, int(y) // ROWS, text, style)
                    return


def _called(ref: Ref) -> str:
    return str(ref) if isinstance(ref, int) else plain(ref)


def _shortened(text: str, most: int, ascii_only: bool) -> str:
    """Return ``text`` with at most ``most`` letters; a shortened one ends in a mark."""
    mark = "~" if ascii_only else "…"
    return text if len(text) <= most else text[: most - 1] + mark


# ---- the table ------------------------------------------------------------------------------


def _table(model: RingModel, focus: Ref | None, *, ascii_only: bool) -> Iterator[tuple[Text, Text]]:
    """Yield each line in two parts, of which the second may be wrapped."""
    from rich.text import Text  # noqa: PLC0415 - slow to import

    arrow = "->" if ascii_only else "→"
    names = [_shortened(_called(node.ref), LONGEST_LABEL, ascii_only) for node in model.nodes]
    width = max(4, *map(len, names))
    head = f"{'node':>{width}}  "
    yield (
        (Text(head, "dim"), Text("route", "dim"))
        if model.tree
        else (Text(f"{head}id        ", "dim"), Text("successor, fingers", "dim"))
    )
    for node, name in zip(model.nodes, names, strict=True):
        line = Text(f"{name:>{width}}  ", _style(model, focus, node))
        if model.tree is not None:
            yield line, Text(_route(model.tree, node, arrow))
            continue
        line.append(model.hex(node)[:8], "dim")
        line.append("  ")
        fingers = (_shortened(_called(f.node), LONGEST_LABEL, ascii_only) for f in node.fingers)
        yield line, Text(" ".join(fingers))


def _route(tree: Tree, node: RingNode, arrow: str) -> str:
    arrival = tree.arrivals.get(node.ref)
    if arrival is None:
        return "did not record it"
    if arrival.depth == 0:
        return "sent it"
    repair = f" ({arrival.kind})" if arrival.is_repair else ""
    return plain(arrival.text(arrow)) + repair
