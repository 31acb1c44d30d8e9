"""The memory of a process with a large simulation in it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MIB = 1 << 20


@contextmanager
def kept() -> Iterator[None]:
    """Keep the cycle collector away from what is made here, now and after it.

    Otherwise it walks through millions of objects, again and again, to find that all are in use.
    For what stays until the process ends: what becomes garbage in cycles here is never freed.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def peak_mib() -> float | None:
    """Return how much memory this process has had resident at most, in MiB; None on Windows."""
    try:
        import resource  # noqa: PLC0415  not there on every system
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024
