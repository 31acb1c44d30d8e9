"""Short accounts of what a node has recorded, for a program that compares many nodes.

Whole logs would be too much to send. An account lists the recorded messages as intervals of numbers
of each origin, which take a few bytes however many there are; messages are listed without bodies.
"""

from __future__ import annotations

from typing import Protocol

from chordnet.core.base.errors import LocalProtocolError
from chordnet.core.log.ledger import OriginKey
from chordnet.net.base.interfaces import Core, MessageLog
from chordnet.net.observe.views import Views
from chordnet.wire.rpc import KEPT_BOUNDS, MessageTrail, NodeHistory, OriginHistory

PAGE_ORIGINS = 256
PAGE_BOUNDS = 8192
PAGE_TRAILS = 64
"""What one reply holds at most: origins, bounds of their intervals (and those of one origin more),
messages. The bodies of the messages are read, though not sent."""


class Source(Protocol):
    """What is needed of a node (:class:`chordnet.net.runtime.node.LocalNode`)."""

    core: Core
    log: MessageLog
    views: Views


def history(source: Source, after: str) -> tuple[NodeHistory, bool]:
    """Return what is recorded of the origins behind ``after``, and whether there are others.

    :param after: ``origin.incarnation``, "" for the beginning.
    :raises LocalProtocolError: ``after`` is something else.
    """
    core, log, views = source.core, source.log, source.views
    origins, last, bounds = list[OriginHistory](), None, 0
    for account in core.recorded(_parsed(after), PAGE_ORIGINS):
        last = account.origin, account.incarnation
        entry = views.history(account, log.kept(last)[-KEPT_BOUNDS:])
        origins.append(entry)
        bounds += len(entry.known) + len(entry.lost) + len(entry.kept)
        if bounds >= PAGE_BOUNDS:
            break
    more = last is not None and bool(core.recorded(last, 1))
    return NodeHistory(origins, len(log), log.dropped), more


def _parsed(after: str) -> OriginKey | None:
    if not after:
        return None
    try:
        origin, incarnation = after.split(".")
        return bytes.fromhex(origin), int(incarnation)
    except ValueError:
        raise LocalProtocolError(f"{after[:120]!r} is not ORIGIN.INCARNATION") from None


def trails(source: Source, position: int, limit: int) -> tuple[list[MessageTrail], bool]:
    """Return up to ``limit`` messages after ``position`` in short, and whether more are kept."""
    log = source.log
    stored = log.beyond(position, min(limit, PAGE_TRAILS))
    found = [source.views.trail(each) for each in stored]
    return found, bool(found) and len(found) < limit and stored[-1].position < log.last
