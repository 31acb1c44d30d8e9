"""The memory of a process with a large simulation in it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import msgspec

MIB = 1 << 20


@contextmanager
def kept() -> Iterator[None]:
    """Keep the cycle collector away from objects made in this context, for good.

    Otherwise it searches millions of objects again and again, only to find that all are in use. Use
    it for what lives until the process ends: cyclic garbage made here is never freed.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def peak_mib() -> float | None:
    """Return the most memory that this process has had resident, in MiB; None on Windows."""
    try:
        import resource  # noqa: PLC0415  not there on every system
    except ImportError:
        return None
    return in_mib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, sys.platform)


def in_mib(maxrss: int, platform: str) -> float:
    """Return in MiB what a system tells as ``ru_maxrss``: bytes on macOS, KiB elsewhere."""
    return maxrss / MIB if platform == "darwin" else maxrss / 1024


_LEAVES = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


def held_bytes(root: Any, leaves: tuple[type, ...] = ()) -> int:
    """Return the bytes of all objects that can be reached from ``root``, each counted once.

    :param leaves: types of objects that are not entered.
    """
    seen: set[int] = set()
    todo, total, stop = [root], 0, (*_LEAVES, *leaves)
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, stop):
            continue
        seen.add(id(each))
        total += each.__sizeof__()
        if isinstance(each, msgspec.Struct):  # the collector does not track them
            todo += [getattr(each, name) for name in each.__struct_fields__]
        else:
            todo += gc.get_referents(each)
    return total
