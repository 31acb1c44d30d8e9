"""Temporary."""

from __future__ import annotations

import msgspec

from chordnet.core.store.base.founding import Founding


class Hail(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Who I am."""

    store: int
    run: int
    seat: bool
    vacating: bool
    network: str
    bits: int
    founding: Founding | None
    founders: tuple[str, ...]
    slots: int
    replicas: int
    vote: Founding | None
    asks: bool
