"""Hails: what a node says to others of itself and of its formation.

A hail is a claim like everything that a peer says, so it is checked before it is used: every number
is in its range, every list and text no longer than an honest node's, every list in order.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec

from chordnet.core.base.limits import COUNT_LIMIT
from chordnet.core.base.naming import usable_name
from chordnet.core.base.outcomes import Fault
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.founding import (
    MOST_FOUNDERS,
    MOST_REPLICAS,
    MOST_SLOTS,
    Founding,
)

LEAST_BITS, MOST_BITS = 3, 256
"""Of the identifiers of a ring."""


class Hail(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What a node is, and what it belongs to or hopes for."""

    store: int
    """The number that names its disk."""
    run: int
    seat: bool
    """It keeps a store and may hold slots."""
    vacating: bool
    """It is giving up its slots, and takes no others."""
    network: str
    bits: int
    slots: int
    """As it is configured; what counts is the founding."""
    replicas: int
    founders: tuple[str, ...]
    """As it is configured, in order; none if it was told none."""
    vote: Founding | None
    """What it has voted for as a founder, while it belongs to no formation."""
    founding: Founding | None
    """The formation that it belongs to."""
    empty: bool
    """It never kept a head or a record of a slot: it has done nothing that could be lost."""
    asks: bool
    """Please answer with yours."""


def fault_of(sender: str, hail: Hail) -> Fault:
    """Return what is wrong with a hail of ``sender``."""
    if not (0 <= hail.store < COUNT_LIMIT and 0 <= hail.run < COUNT_LIMIT):
        return Fault.WRONG_NUMBER
    fault = _fault_of_figures(hail) or _fault_of_names(hail.founders)
    for founding in (hail.vote, hail.founding):
        if founding is not None:
            fault = fault or _fault_of_founding(founding)
    if hail.vote is not None and Member(sender, hail.store) not in hail.vote.founders:
        fault = fault or Fault.WRONG_NODE
    return fault


def _fault_of_founding(founding: Founding) -> Fault:
    if not founding.founders:
        return Fault.WRONG_NODE
    if not all(0 <= member.store < COUNT_LIMIT for member in founding.founders):
        return Fault.WRONG_NUMBER
    return _fault_of_figures(founding) or _fault_of_names([m.node for m in founding.founders])


def _fault_of_figures(said: Hail | Founding) -> Fault:
    if not usable_name(said.network):
        return Fault.TOO_LONG
    possible = (
        LEAST_BITS <= said.bits <= MOST_BITS
        and 0 < said.slots <= min(MOST_SLOTS, 1 << said.bits)
        and said.slots & (said.slots - 1) == 0
        and said.replicas in range(1, MOST_REPLICAS + 1, 2)
    )
    return Fault.NONE if possible else Fault.WRONG_NUMBER


def _fault_of_names(names: tuple[str, ...] | list[str]) -> Fault:
    if len(names) > MOST_FOUNDERS:
        return Fault.TOO_LONG
    in_order = all(first < second for first, second in pairwise(names))
    return Fault.NONE if in_order and all(map(usable_name, names)) else Fault.WRONG_NODE
