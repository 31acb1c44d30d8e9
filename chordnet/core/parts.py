"""The parts of a node, in the order in which they are made.

A part is a class with its rules at the head of its file. It knows the others only through what it
is given here and through the hooks that its own file states. It declares in ``MESSAGES`` which
messages it takes and in ``ALARMS`` which alarms it sets; the tables that a node looks into are put
together from all of them. A new part is its own file and one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import attrs

from chordnet.core.base.messages import Status
from chordnet.core.broadcast.tree import Broadcasts
from chordnet.core.join.audit import Audit
from chordnet.core.join.joining import Joining
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.membership import HEEDED
from chordnet.core.kernel.requests import Requests
from chordnet.core.kernel.timers import Alarm
from chordnet.core.log.antientropy import AntiEntropy
from chordnet.core.log.ledger import Ledger
from chordnet.core.lookup.answering import Answering
from chordnet.core.lookup.lookup import Lookups
from chordnet.core.ring.fingers import Fingers
from chordnet.core.ring.identities import Identities
from chordnet.core.ring.routing import Routes
from chordnet.core.ring.successors import Ring
from chordnet.core.ring.walk import Walks


@attrs.frozen
class Part:
    """One part: the node's attribute that holds it, its class, and how a node makes it."""

    name: str
    kind: type
    make: Callable[[Any], Any]


PARTS = (
    Part("routes", Routes, lambda n: Routes(n.ctx)),
    Part("requests", Requests, lambda n: Requests(n.ctx)),
    Part("detector", Detector, lambda n: Detector(n.ctx, n)),
    Part("ring", Ring, lambda n: Ring(n.ctx, n.requests, n.detector, n)),
    Part("answering", Answering, lambda n: Answering(n.ctx, n.ring, n.routes, n.detector, n)),
    Part("lookups", Lookups, lambda n: Lookups(
        n.ctx, n.ring, n.answering, n.requests, n.detector, n)),
    Part("fingers", Fingers, lambda n: Fingers(n.ctx, n.ring, n.routes, n.detector, n)),
    Part("joining", Joining, lambda n: Joining(n.ctx, n.ring, n.requests, n.lookups, n)),
    Part("audit", Audit, lambda n: Audit(n.ctx, n.ring, n.requests, n.lookups, n)),
    Part("ledger", Ledger, lambda n: Ledger(n.config.max_origins, n.ctx.peers.has_met)),
    Part("sync", AntiEntropy, lambda n: AntiEntropy(n.ctx, n.ledger, n.routes, n.is_member)),
    Part("broadcasts", Broadcasts, lambda n: Broadcasts(
        n.ctx, n.ring, n.routes, n.lookups, n.detector, n.ledger, n.sync, n)),
    Part("identities", Identities, lambda n: Identities(n.ctx, n.detector, n)),
    Part("walks", Walks, lambda n: Walks(n.ctx, n.ring, n.requests, n)),
)  # fmt: skip

Handler = Callable[[Any, Any, Any], None]
OnMessage = dict[type, Handler]
"""Type of message -> (node, sender, message)."""
OnAlarm = dict[Alarm, Callable[[Any], None]]
"""Alarm -> (node)."""


def messages(parts: Iterable[Part], own: OnMessage) -> OnMessage:
    """Return what takes each message.

    :param own: those that the node itself takes, because they concern several parts.
    """
    table = dict(own)
    for part in parts:
        for kind, handler in getattr(part.kind, "MESSAGES", {}).items():
            assert kind not in table, f"{kind.__name__} is taken twice"
            table[kind] = _to_part(part.name, handler)
    return {kind: _when(HEEDED[kind], handler) for kind, handler in table.items()}


def alarms(parts: Iterable[Part], own: OnAlarm) -> OnAlarm:
    """Return what each alarm calls."""
    table = dict(own)
    for part in parts:
        for alarm, handler in getattr(part.kind, "ALARMS", {}).items():
            assert alarm not in table, f"{alarm} is declared twice"
            table[alarm] = _of_part(part.name, handler)
    return table


def _to_part(
    name: str, handler: Callable[[Any, Any, Any], None]
) -> Callable[[Any, Any, Any], None]:
    part_of = attrgetter(name)
    return lambda node, sender, message: handler(part_of(node), sender, message)


def _of_part(name: str, handler: Callable[[Any], None]) -> Callable[[Any], None]:
    part_of = attrgetter(name)
    return lambda node: handler(part_of(node))


def _when(states: frozenset[Status], handler: Handler) -> Handler:
    """Return a handler that does nothing in other states."""
    if len(states) == len(Status):
        return handler

    def heed(node: Any, sender: Any, message: Any) -> None:
        if node.status() in states:
            handler(node, sender, message)

    return heed
