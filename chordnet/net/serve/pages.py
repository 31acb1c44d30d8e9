"""Long answers, put together from as many replies as a node gives them in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from chordnet.wire.rpc import (
    ClientRequest,
    GetHistory,
    GetMessages,
    GetTrails,
    HistoryReply,
    MessageRecord,
    Messages,
    MessageTrail,
    NodeHistory,
    OriginHistory,
    Trails,
)

Ask = Callable[[Callable[[int], ClientRequest], type], Deferred[Any]]
"""Sends the request that is made from its number, and returns the reply of that type."""


async def all_messages(ask: Ask, limit: int, since: str) -> list[MessageRecord]:
    """Return the messages after ``since``, ``limit`` at most, or without it the newest ``limit``.

    :param limit: 0 for all.
    """
    found: list[MessageRecord] = []
    more = True
    while more and (not limit or len(found) < limit):
        request = partial(_messages, _rest(limit, found), found[-1].id if found else since)
        page: Messages = await ask(request, Messages)
        found += page.messages
        more = page.more and bool(page.messages)
    return found


async def all_trails(ask: Ask, limit: int, since: str) -> list[MessageTrail]:
    """Return the same messages as :func:`all_messages`, without their bodies."""
    found: list[MessageTrail] = []
    more = True
    while more and (not limit or len(found) < limit):
        request = partial(_trails, _rest(limit, found), found[-1].id if found else since)
        page: Trails = await ask(request, Trails)
        found += page.trails
        more = page.more and bool(page.trails)
    return found


async def whole_history(ask: Ask) -> NodeHistory:
    """Return what is recorded of every origin."""
    origins: list[OriginHistory] = []
    after = ""
    while True:
        reply: HistoryReply = await ask(partial(_history, after), HistoryReply)
        page = reply.history
        origins += page.origins
        if not reply.more or not page.origins:
            return NodeHistory(origins, page.kept, page.dropped)
        after = f"{origins[-1].origin}.{origins[-1].incarnation}"


def _rest(limit: int, found: Sequence[object]) -> int:
    return limit - len(found) if limit else 0


def _messages(limit: int, since: str, rid: int) -> GetMessages:
    return GetMessages(rid, limit, since)


def _trails(limit: int, since: str, rid: int) -> GetTrails:
    return GetTrails(rid, limit, since)


def _history(after: str, rid: int) -> GetHistory:
    return GetHistory(rid, after)
