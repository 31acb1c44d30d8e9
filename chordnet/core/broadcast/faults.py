"""What can be wrong with a broadcast that a peer sends, in a few words; empty if nothing is.

Checked before anything of it is believed: what is recorded is written to disk and passed on.
"""

from __future__ import annotations

from math import isfinite

from chordnet.core.base.limits import COUNT_LIMIT
from chordnet.core.base.messages import Bcast, NodeRef
from chordnet.core.kernel.context import Context


def fault_of(message: Bcast, sender: NodeRef, ctx: Context) -> str:
    """Return what is wrong with ``message``, which ``sender`` has sent."""
    config, bodies = ctx.config, message.bodies
    if not 0 < message.count <= config.max_batch:
        return "broadcast of no or too many messages"
    first, space = message.id, ctx.space
    if not (
        len(message.limit) == space.width == len(first.origin)
        and 0 <= first.incarnation < COUNT_LIMIT
        and 0 < first.sequence <= COUNT_LIMIT - message.count
    ):
        return "broadcast with an impossible identifier"
    if not isfinite(message.created):
        return "broadcast of no time"
    if not 0 < len(message.hops) < config.max_route:
        return "broadcast with a route of no or too many hops"
    if message.hops[-1].raw != sender.raw:
        return "broadcast whose route does not end at its sender"
    if message.detours and not _detours_fit(message, sender, ctx):
        return "broadcast with impossible detours"
    return "" if bodies is None else bodies_fault(bodies, message.count, ctx)


def bodies_fault(bodies: list[bytes], count: int, ctx: Context) -> str:
    """Return what is wrong with the bodies of ``count`` messages."""
    if len(bodies) != count:
        return "broadcast with more or fewer bodies than it says"
    if sum(map(len, bodies)) > ctx.config.max_body_bytes:
        return "broadcast with bodies that are too long"
    return ""


def _detours_fit(message: Bcast, sender: NodeRef, ctx: Context) -> bool:
    hops = len(message.hops) + sum(len(detour.hops) for detour in message.detours)
    return hops <= ctx.config.max_route and all(
        0 <= detour.first < detour.first + detour.count <= message.count
        and detour.hops
        and detour.hops[-1].raw == sender.raw
        for detour in message.detours
    )
