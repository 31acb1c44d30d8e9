"""Random tests that say their seed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from random import Random, SystemRandom


@contextlib.contextmanager
def said_seed() -> Iterator[Random]:
    """Return a source of random numbers; whatever fails with it says its seed."""
    seed = SystemRandom().randrange(1 << 32)
    try:
        yield Random(seed)
    except Exception as problem:
        raise AssertionError(f"seed {seed}: {problem!r}") from problem
