"""One round of keys, the same for every participant: written, then read through another node."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.effort import Effort
from benchmarks.stats import percentile

Ask = Callable[..., Any]
"""Called with a place (a small number), "put" or "get", keys and how many at a time; the seconds of
each operation if that is one, and otherwise how many there were a second."""
WARM = 5
"""Operations of each kind before those that count: the first ones make connections."""


def measure(ask: Ask, effort: Effort, number: int) -> dict[str, float]:
    """Take one round.

    Args:
        ask: Has a participant write or read.
        effort: How much.
        number: Of the round; every round is taken at other places.
    """
    salt = os.urandom(6).hex()
    single = [f"{salt}-{index}" for index in range(effort.keys + WARM)]
    many = [f"{salt}-m{index}" for index in range(effort.keys_flood)]
    here, there = number * 5, number * 5 + 4
    puts, again = ask(here, "put", single, 1), ask(here, "put", single, 1)
    gets = ask(there, "get", single, 1)
    return {
        **_latencies("put", puts),
        **_latencies("again", again),
        **_latencies("get", gets),
        "put rate": ask(here, "put", many, effort.keys_window),
        "again rate": ask(here, "put", many, effort.keys_window),
        "get rate": ask(there, "get", many, effort.keys_window),
    }


def _latencies(verb: str, seconds: Sequence[float]) -> dict[str, float]:
    counted = seconds[WARM:]
    return {
        f"{verb} p50": percentile(counted, 50) * 1e3,
        f"{verb} p99": percentile(counted, 99) * 1e3,
    }
