"""How many bytes a node holds for the clients and programs that ask it to broadcast.

Limits on single connections do not bound a node: many clients, each within its own limit, could
together make it hold more than its machine or container has. So there is one total, over all
clients and the embedding program: the bodies of broadcasts that are not confirmed yet, and the
receipts that a client has not read. Beyond it a broadcast is refused as busy.
"""

from __future__ import annotations

from chordnet.core.base.errors import Busy


class Load:
    """Counts the bytes that are held.

    :param limit: the most bytes; a single broadcast is let in even if it is longer.
    """

    __slots__ = ("_limit", "held")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0
        """Bytes held now."""

    def take(self, size: int) -> None:
        """Hold ``size`` bytes of a new broadcast.

        :raises Busy: too much is held already; nothing was added.
        """
        if self.held and self.held + size > self._limit:
            raise Busy(
                f"{self.held} bytes of messages are in flight through this node; "
                "retry after a moment"
            )
        self.held += size

    def keep(self, size: int) -> None:
        """Hold ``size`` bytes of an answer, which cannot be refused any more."""
        self.held += size

    def give(self, size: int) -> None:
        """Release ``size`` bytes."""
        self.held -= size
