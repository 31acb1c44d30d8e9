"""Broadcasts that came as a header alone, and wait for their bodies.

The sender of a header is asked for the bodies, and only nodes that were asked may send them. The
number of waiting headers and their bytes are limited, because headers carry routes. A header is
forgotten after a while, and when its sender dies.
"""

from __future__ import annotations

from chordnet.core.base.messages import (
    Bcast,
    MarkedBcast,
    MessageId,
    NodeRef,
    chain_bytes,
    route_bytes,
)
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.timers import LEISURE_S, Expiry

MAX_HEADLESS = 1024
"""Messages whose bodies have been asked for."""
MAX_HEADLESS_BYTES = 4 * 1024 * 1024
"""Memory that their headers may take up."""

Header = tuple[NodeRef, Bcast]
"""The sender, and the header."""


class Headless:
    """The headers that wait at one node, by message."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._waiting: dict[MessageId, list[Header]] = {}
        self.bytes = 0
        """About how many bytes the headers take up."""
        self.memory: Expiry[MessageId] = Expiry(
            ctx.config.broadcast_memory_s, self._waiting.__contains__, LEISURE_S
        )

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, sender: NodeRef, message: Bcast) -> None:
        """Add a header, replacing one of the same sender for the same range."""
        waiting = self._waiting.get(message.id)
        if waiting is None:
            waiting = self._waiting[message.id] = []
            self.memory.add(message.id, self._ctx.now)
        for at, (parent, header) in enumerate(waiting):
            if parent.raw == sender.raw and header.limit == message.limit:
                self.bytes += _cost(message) - _cost(header)
                waiting[at] = sender, message
                break
        else:
            # A range comes from few nodes: the delegating one and those that repair after it.
            if len(waiting) < self._ctx.config.successors:
                waiting.append((sender, message))
                self.bytes += _cost(message)
        while len(self._waiting) > MAX_HEADLESS or self.bytes > MAX_HEADLESS_BYTES:
            self.take(next(iter(self._waiting)))

    def awaits(self, message_id: MessageId, sender: NodeRef) -> bool:
        """Return True if ``sender`` has been asked for the bodies of this message."""
        waiting = self._waiting.get(message_id, ())
        return any(parent.raw == sender.raw for parent, _header in waiting)

    def take(self, message_id: MessageId) -> list[Header]:
        """Remove and return what waits for the bodies of one message."""
        waiting = self._waiting.pop(message_id, [])
        self.bytes -= sum(_cost(header) for _parent, header in waiting)
        return waiting

    def died(self, peer: NodeRef) -> None:
        """Forget what ``peer`` sent."""
        sent = [
            (message_id, header)
            for message_id, waiting in self._waiting.items()
            for header in waiting
            if header[0].raw == peer.raw
        ]
        for message_id, header in sent:
            self._waiting[message_id].remove(header)
            self.bytes -= _cost(header[1])
            if not self._waiting[message_id]:
                del self._waiting[message_id]

    def tick(self) -> None:
        """Forget what has waited for too long."""
        for message_id in self.memory.due(self._ctx.now):
            self.take(message_id)


def _cost(header: Bcast) -> int:
    detours = sum(route_bytes(detour.hops) for detour in header.detours)
    seal = header.seal if isinstance(header, MarkedBcast) else None
    chain = 0 if seal is None else chain_bytes(seal.chain)
    return 512 + route_bytes(header.hops) + detours + chain
