"""Long answers, put together from several replies."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeVar

from msgspec.structs import replace

from chordnet.client.calls import HELD_KEYS, HISTORY, MESSAGES, STORE_STATE, TRAILS, Call
from chordnet.client.channel import Channel
from chordnet.core.base.errors import ConnectFailed
from chordnet.wire.rpc import (
    MessageRecord,
    MessageTrail,
    NodeHistory,
    OriginHistory,
)
from chordnet.wire.stores import HeldKey, SlotState, StoreState

T = TypeVar("T")


class Pages:
    """Asks one node for one page after the other.

    The end of a page means nothing to another node, since each has received the messages in its own
    order.
    """

    def __init__(self, channel: Channel, timeout_s: float) -> None:
        self._channel = channel
        self._timeout_s = timeout_s
        self._node = ""

    async def messages(self, limit: int, since: str) -> list[MessageRecord]:
        """Return the messages after ``since``, ``limit`` at most, or without it the newest
        ``limit``.

        :param limit: 0 for all.
        """
        return await self._all(MESSAGES, attrgetter("messages"), limit, since)

    async def trails(self, limit: int, since: str) -> list[MessageTrail]:
        """Return the same messages as :meth:`messages`, without their bodies."""
        return await self._all(TRAILS, attrgetter("trails"), limit, since)

    async def _all(
        self, call: Call[Any], listed: Callable[[Any], list[Any]], limit: int, since: str
    ) -> list[Any]:
        """Put the lists of all pages together.

        :param listed: returns the list of one page; its entries have ids.
        """
        found: list[Any] = []
        more = True
        while more and (not limit or len(found) < limit):
            rest = limit - len(found) if limit else 0
            page = await self._ask(call, rest, found[-1].id if found else since)
            found += listed(page)
            more = page.more and bool(listed(page))
        return found

    async def history(self) -> NodeHistory:
        """Return what is recorded of every origin."""
        origins: list[OriginHistory] = []
        after = ""
        while True:
            reply = await self._ask(HISTORY, after)
            page = reply.history
            origins += page.origins
            if not reply.more or not page.origins:
                return NodeHistory(origins, page.kept, page.dropped)
            after = f"{origins[-1].origin}.{origins[-1].incarnation}"

    async def store_state(self) -> StoreState:
        """Return the state of the store with all slots."""
        slots: list[SlotState] = []
        formation = ""
        while True:
            reply = await self._ask(STORE_STATE, len(slots))
            page = reply.state
            if slots and page.formation != formation:  # the node has met another one meanwhile
                slots = []
                continue
            formation = page.formation
            slots += page.slots
            if not reply.more or not page.slots:
                return replace(page, slots=slots)

    async def held_keys(self, limit: int, after: str, *, owned: bool) -> list[HeldKey]:
        """Return the keys after ``after`` that the node holds, ``limit`` at most; 0 for all."""
        found: list[HeldKey] = []
        more = True
        while more and (not limit or len(found) < limit):
            page = await self._ask(HELD_KEYS, found[-1].key if found else after, owned)
            found += page.keys
            more = page.more and bool(page.keys)
        return found[:limit] if limit else found

    async def _ask(self, call: Call[T], *arguments: object) -> T:
        page = await self._channel.ask(call, arguments, self._timeout_s)
        node = self._channel.address
        if self._node not in ("", node):
            raise ConnectFailed(
                f"the connection with {self._node} ended in the middle of its answer; ask again"
            )
        self._node = node
        return page
