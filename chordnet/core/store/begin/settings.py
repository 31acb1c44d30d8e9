"""What a node's store is told by its configuration."""

from __future__ import annotations

import attrs

from chordnet.core.store.base.founding import REPLICAS, SLOTS


@attrs.frozen(kw_only=True)
class StoreSettings:
    """The settings of one node's store."""

    network: str
    bits: int
    founders: tuple[str, ...] = ()
    """The names of the nodes that begin the store; empty: it joins one that others have begun."""
    slots: int = SLOTS
    replicas: int = REPLICAS
    aside: tuple[bytes, ...] = ()
    """Formations that people have decided against here: the node joins none of them."""
    seat: bool = True
    """Whether this node holds slots; without, it only asks others."""
    collect_pace: float = 1.0
    """Factor of the pauses before deleted keys are collected; below 1 in simulations."""
