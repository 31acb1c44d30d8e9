"""What is drawn and printed of fixed rings, stroke for stroke, as it was when somebody last looked.

Whoever changes a drawing looks at it and writes it down anew:
``python -m tests.unit.test_golden_drawings``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.commands.explain import explained_json
from chordnet.cli.commands.ring import model_json
from chordnet.cli.commands.status import report_json, status_table
from chordnet.draw.journey import journey_model, trace_json, trace_lines
from chordnet.draw.model import (
    Arrival,
    Finger,
    Overlay,
    Ref,
    RingModel,
    RingNode,
    Tree,
    ring_model,
)
from chordnet.draw.svg import draw_svg
from chordnet.draw.text import print_ring
from chordnet.survey.findings import Finding, Silent
from chordnet.survey.journey import foretell, put_together
from chordnet.survey.observer import Snapshot
from chordnet.survey.report import Report
from chordnet.wire.rpc import NodeInfo
from tests.unit.test_cli_ring import model
from tests.unit.test_testbed_journey import ID, clean, report, troubled
from tests.unit.testbed_fakes import ideal_ring, network

STORED = Path(__file__).with_name("golden") / "drawings"


def terminal(width: int, color: str | None = None) -> Console:
    return Console(
        file=io.StringIO(), width=width, highlight=False, color_system=color,  # type: ignore[arg-type]
        force_terminal=color is not None, legacy_windows=False, _environ={},
    )  # fmt: skip


def printed(out: Console) -> str:
    text: str = out.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def ring_in_terminal(size: int, width: int, chosen: int | None, *, message: bool = False) -> str:
    out = terminal(width, "standard")
    print_ring(out, model(size, message=message), chosen, ascii_only=False)
    return printed(out)


def ring_in_ascii() -> str:
    out = terminal(80)
    print_ring(out, model(9), 3, ascii_only=True)
    return printed(out)


def table(width: int) -> str:
    described = network(16, base_port=7001)
    statuses = ideal_ring(described, described.numbers)
    running = frozenset(statuses)
    del statuses[16]
    visitor = NodeInfo("ff" * 20, "guest", "10.0.0.9:7101")
    seen = Report(described, running, Snapshot(statuses, {}, {visitor.id: visitor}), ())
    out = terminal(width)
    out.print(status_table(seen, short=width < 140))
    return printed(out)


def status_document() -> str:
    described = network(4, base_port=7001)
    statuses = ideal_ring(described, (1, 2, 3))
    silent = Finding(Silent(4, "silent"))
    snapshot = Snapshot(statuses, {4: "silent"}, {})
    seen = Report(described, frozenset({1, 2, 3, 4}), snapshot, (silent,))
    return json.dumps(report_json(seen), indent=1) + "\n"


def trouble_drawn() -> str:
    journey = troubled()
    seen = report(*(n for n in journey.gone if isinstance(n, int)))
    return draw_svg(journey_model(ring_model(seen), seen, journey, "all that can go wrong"))


def crowded(count: int = 15, tree: Tree | None = None) -> RingModel:
    """Return a ring of 1024 places: some nodes close together, guests, and one that is gone."""
    places = (0, 1, 2, 3, 5, 255, 256, 257, 511, 512, 513, 700, 768, 769, 1023)[:count]
    names: dict[int, Ref] = {3: "a-guest\x1b", 9: "<another> guest & long", 12: "c"}
    refs = [names.get(n, n) for n in range(1, count + 1)]

    def finger(index: int, step: int) -> Finger:
        other = (index + step) % count
        return Finger(refs[other], 10 - ((places[other] - places[index]) % 1024).bit_length())

    nodes = [
        RingNode(
            refs[index], place, place / 1024, refs[(index + 1) % count],
            tuple(finger(index, step) for step in (1, 2, 4, 7) if step < count), gone=place == 700,
        )
        for index, place in enumerate(places)
    ]  # fmt: skip
    return RingModel("lab", 10, tuple(nodes), tree)


def even() -> RingModel:
    """Return a ring of 32 nodes at equal distances, two of them where the halves of it meet."""
    nodes = [RingNode(n, n, n / 32, (n + 1) % 32, (Finger((n + 1) % 32, 4),)) for n in range(32)]
    return RingModel("lab", 5, tuple(nodes))


def slanted() -> RingModel:
    """Return a ring of nodes just where labels begin to stand beside their marks."""
    names = ("upper right", "lower right", "lower left", "upper left")
    turns = zip(names, (0.06, 0.44, 0.56, 0.94), strict=True)
    return RingModel("lab", 8, tuple(RingNode(n, int(t * 256), t, None, ()) for n, t in turns))


def deep_tree() -> Tree:
    """Return the tree of a message that went deeper than there are colours, and was repaired."""
    route: tuple[Ref, ...] = (1, 2, "a-guest\x1b", 4, 5, 6, 7, 8, "<another> guest & long")
    arrivals = {
        route[depth]: Arrival(route[: depth + 1], "extend" if depth in (3, 8) else "finger")
        for depth in range(len(route))
    }
    arrivals |= {
        10: Arrival((1, 10), "successor", "after 3 ms"),
        11: Arrival((1, 99, 11), "finger"),
        98: Arrival((1, 98), "finger"),
    }
    overlays = (
        Overlay(1, 10, "duplicate"), Overlay(10, 13, "lost"), Overlay(13, 1, "predicted"),
        Overlay(1, 97, "lost"), Overlay(97, 1, "lost"),
    )  # fmt: skip
    return Tree("m", "a<b&" + "c" * 60, arrivals, overlays=overlays)


def in_terminal(drawn: RingModel, width: int, chosen: Ref | None, *, ascii_only: bool) -> str:
    out = terminal(width, None if ascii_only else "standard")
    print_ring(out, drawn, chosen, ascii_only=ascii_only)
    text: str = out.file.getvalue()  # type: ignore[attr-defined]
    return text


def documents() -> str:
    told, prediction = foretell(report(), 4)
    found = [trace_json(troubled()), explained_json(4, told, prediction), model_json(model(8))]
    return json.dumps(found, indent=1) + "\n"


DRAWINGS: dict[str, Callable[[], str]] = {
    "ring-1.svg": lambda: draw_svg(model(1)),
    "ring-16.svg": lambda: draw_svg(model(16)),
    "ring-40.svg": lambda: draw_svg(model(40)),
    "message.svg": lambda: draw_svg(model(16, message=True)),
    "trouble.svg": trouble_drawn,
    "ring-0.svg": lambda: draw_svg(crowded(0)),
    "ring-2.svg": lambda: draw_svg(crowded(2)),
    "ring-3.svg": lambda: draw_svg(model(3)),
    "crowded.svg": lambda: draw_svg(crowded()),
    "even.svg": lambda: draw_svg(even()),
    "deep.svg": lambda: draw_svg(crowded(tree=deep_tree())),
    "ring-2.txt": lambda: ring_in_terminal(2, 80, 1),
    "ring-16.txt": lambda: ring_in_terminal(16, 100, 4),
    "ring-40.txt": lambda: ring_in_terminal(40, 120, None),
    "message.txt": lambda: ring_in_terminal(16, 100, None, message=True),
    "ascii.txt": ring_in_ascii,
    "crowded.txt": lambda: in_terminal(crowded(), 80, 1, ascii_only=False),
    "crowded-30.txt": lambda: in_terminal(crowded(), 30, "c", ascii_only=True),
    "deep.txt": lambda: in_terminal(crowded(tree=deep_tree()), 60, None, ascii_only=False),
    "deep-ascii.txt": lambda: in_terminal(crowded(tree=deep_tree()), 120, None, ascii_only=True),
    "slanted.txt": lambda: in_terminal(slanted(), 80, None, ascii_only=True),
    "ring-3-17.txt": lambda: in_terminal(model(3), 17, 1, ascii_only=True),
    "ring-9-76.txt": lambda: in_terminal(model(9), 76, 1, ascii_only=True),
    "ring-9-75.txt": lambda: in_terminal(model(9), 75, 1, ascii_only=True),
    "ring-64.txt": lambda: in_terminal(model(64), 50, 7, ascii_only=False),
    "status-80.txt": lambda: table(80),
    "status-160.txt": lambda: table(160),
    "status.json": status_document,
    "trace-clean.txt": lambda: "\n".join(trace_lines(put_together(report(), ID, clean(4)))) + "\n",
    "trace-trouble.txt": lambda: "\n".join(trace_lines(troubled())) + "\n",
    "documents.json": documents,
}


class GoldenTests(SynchronousTestCase):
    maxDiff = None

    def test_every_drawing_is_as_it_was(self) -> None:
        for name, draw in DRAWINGS.items():
            self.assertEqual(draw(), (STORED / name).read_text("utf-8"), name)


if __name__ == "__main__":
    STORED.mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        (STORED / name).write_text(draw(), encoding="utf-8")
