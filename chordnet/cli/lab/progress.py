"""The progress bar of a simulation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chordnet.cli.base.output import console, moves

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def progress(text: str, total: float | None = 100.0) -> Iterator[tuple[Progress, Any]]:
    """Show a progress bar on stderr, if that is a terminal."""
    from rich.progress import Progress  # noqa: PLC0415 - slow to import

    err = console(stderr=True)
    live = moves(sys.stderr)
    bar = Progress(console=err, transient=True, disable=not live)
    task = bar.add_task(text, total=total)
    if not live:
        yield bar, task
        return
    with bar:
        yield bar, task
