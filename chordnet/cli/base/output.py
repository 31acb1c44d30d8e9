"""What a command prints: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from chordnet.draw.phrases import plain
from chordnet.survey.verdict import Names
from chordnet.testbed.actions.convergence import Stage
from chordnet.wire.rpc import MessageRecord, NodeInfo, OrderedEntry

if TYPE_CHECKING:
    from rich.console import Console

BAR = 16
PIPE_WIDTH = 160
FIRST_S, LAST_S = -62_135_596_800.0, 253_402_300_799.0
"""The first and the last second that RFC 3339 can say."""


def print_json(document: Any) -> None:
    """Print one JSON document in ASCII, so that it works in any locale and controls no terminal."""
    print(json.dumps(document, indent=2))


def print_json_line(document: Any) -> None:
    """Print one JSON document on a line of its own, and flush it."""
    print(json.dumps(document), flush=True)


def rfc3339(moment: float) -> str:
    """Return a wall-clock time as RFC 3339, in UTC.

    A node may have said anything. A time that no calendar has becomes the nearest that one has.
    """
    near = min(LAST_S, max(FIRST_S, moment))  # in this order NaN becomes the first
    return datetime.fromtimestamp(near, UTC).isoformat(timespec="milliseconds")


def refs(names: Names, nodes: Iterable[NodeInfo]) -> list[int | str]:
    """Return node numbers, and the names of other nodes."""
    return [names.ref(node.id, node.name) for node in nodes]


def record_json(names: Names, record: MessageRecord) -> dict[str, Any]:
    """Return a recorded message as its JSON document."""
    route = [names.ref(hop.id, hop.name) for hop in record.route]
    return {
        "id": record.id,
        "body": record.body,
        "origin": route[0] if route else None,
        "route": route,
        "hops": [
            {"node": node, "kind": hop.kind}
            for node, hop in zip(route[1:], record.route[1:], strict=True)
        ],
        "received_at": rfc3339(record.received_at),
    }


def ordered_json(names: Names, entry: OrderedEntry) -> dict[str, Any]:
    """Return a message or a gap in per-origin order as its JSON document."""
    if entry.record is not None:
        return {**record_json(names, entry.record), "late": entry.late}
    gap = entry.gap
    assert gap is not None
    return {
        "gap": {
            "origin": names.ref(gap.origin, gap.name),
            "incarnation": gap.incarnation,
            "first": gap.first,
            "last": gap.last,
            "dropped": gap.dropped,
        }
    }


def ordered_text(names: Names, entry: OrderedEntry) -> str:
    """Return the line of a message or a gap in per-origin order."""
    if entry.record is not None:
        late = ", late" if entry.late else ""
        return f"- {plain(entry.record.body)} ({route_text(names, entry.record)}{late})"
    gap = entry.gap
    assert gap is not None
    origin = plain(names.label(gap.origin, gap.name))
    lack = "is not kept any more" if gap.dropped else "is missing"
    if gap.first == gap.last:
        return f"  message {gap.first} of {origin} {lack}"
    lack = lack.replace("is", "are", 1)
    return f"  messages {gap.first} to {gap.last} of {origin} {lack}"


def route_text(names: Names, record: MessageRecord) -> str:
    """Return ``Node 4 -> Node 12 -> Node 8``."""
    return " -> ".join(plain(names.label(hop.id, hop.name)) for hop in record.route)


def console(*, stderr: bool = False) -> Console:
    """Return a rich console; output into a pipe is not limited to 80 columns."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, and few commands draw

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def moves(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return True if a line on ``stream`` can be overwritten: it is a terminal, no dumb one."""
    return stream.isatty() and environ.get("TERM", "").lower() not in ("dumb", "unknown")


class Progress:
    """Lines about progress on stderr; on a terminal also one line that changes."""

    def __init__(self) -> None:
        self._live = moves(sys.stderr)
        self._shown = False

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._clear()
        print(plain(text), file=sys.stderr)

    def watch(self, progress: Stage) -> None:
        """Show how far a ring has got, a node that hands over its slots, or a restart."""
        if not self._live:
            return
        done, of = progress.done
        full = BAR * done // max(of, 1)
        bar = "█" * full + "░" * (BAR - full)
        text = f"{bar} {progress.words()}"
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{text[:width]}", end="", file=sys.stderr, flush=True)
        self._shown = True

    def _clear(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clear()
