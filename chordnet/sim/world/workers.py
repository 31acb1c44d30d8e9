"""Processes that share the work of many runs."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.context import SpawnContext


def worker_context() -> SpawnContext:
    """Return what makes worker processes, each a fresh Python.

    They look for no module in the current directory, where a ``random.py`` may lie; what this
    process can import, they can. A forked process would inherit a reactor's signal handlers, and
    ignore the SIGTERM with which a pool ends it.
    """
    os.environ["PYTHONSAFEPATH"] = "1"
    return multiprocessing.get_context("spawn")
