"""What can be wrong with a broadcast that a peer sends.

This is checked before anything in it is used: a recorded message is written to disk and passed on.
"""

from __future__ import annotations

from math import isfinite

from chordnet.core.base.limits import COUNT_LIMIT
from chordnet.core.base.messages import Bcast, NodeRef
from chordnet.core.base.outcomes import Fault
from chordnet.core.kernel.context import Context


def fault_of(message: Bcast, sender: NodeRef, ctx: Context) -> Fault:
    """Return what is wrong with ``message``, which ``sender`` has sent."""
    config, bodies = ctx.config, message.bodies
    if not 0 < message.count <= config.max_batch:
        return Fault.COUNT
    first, space = message.id, ctx.space
    if not (
        len(message.limit) == space.width == len(first.origin)
        and 0 <= first.incarnation < COUNT_LIMIT
        and 0 < first.sequence <= COUNT_LIMIT - message.count
    ):
        return Fault.IDENTIFIER
    if not isfinite(message.created):
        return Fault.TIME
    if not 0 < len(message.hops) < config.max_route:
        return Fault.ROUTE
    if message.hops[-1].raw != sender.raw:
        return Fault.ROUTE_END
    if message.detours and not _detours_fit(message, sender, ctx):
        return Fault.DETOURS
    return Fault.NONE if bodies is None else bodies_fault(bodies, message.count, ctx)


def bodies_fault(bodies: list[bytes], count: int, ctx: Context) -> Fault:
    """Return what is wrong with the bodies of ``count`` messages."""
    if len(bodies) != count:
        return Fault.BODY_COUNT
    if sum(map(len, bodies)) > ctx.config.max_body_bytes:
        return Fault.BODY_SIZE
    return Fault.NONE


def _detours_fit(message: Bcast, sender: NodeRef, ctx: Context) -> bool:
    hops = len(message.hops) + sum(len(detour.hops) for detour in message.detours)
    return hops <= ctx.config.max_route and all(
        0 <= detour.first < detour.first + detour.count <= message.count
        and detour.hops
        and detour.hops[-1].raw == sender.raw
        for detour in message.detours
    )
