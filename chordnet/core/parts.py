"""The parts of a node, in the order in which they are made, and in which they hear signals.

A part is a class whose rules stand at the head of its file. It knows only what it is given here. It
declares which events and messages it takes (``EVENTS``, ``MESSAGES``), which alarms it sets
(``ALARMS``) and which signals it hears (``HEARS``); a node's tables are built from these. A new
part is its own file and one line in :data:`PARTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from chordnet.core.base.messages import Status
from chordnet.core.broadcast.newcomer import Newcomer
from chordnet.core.broadcast.records import Records
from chordnet.core.broadcast.reports import Reports
from chordnet.core.broadcast.tree import Broadcasts
from chordnet.core.fingers.hints import Hints
from chordnet.core.fingers.table import Fingers
from chordnet.core.join.audit import Audit
from chordnet.core.join.joining import Joining
from chordnet.core.kernel import signals
from chordnet.core.kernel.context import Table
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.membership import HEEDED
from chordnet.core.kernel.requests import Requests
from chordnet.core.kernel.signals import Signal
from chordnet.core.kernel.timers import Alarm
from chordnet.core.log.antientropy import AntiEntropy
from chordnet.core.log.ledger import Ledger
from chordnet.core.lookup.answering import Answering
from chordnet.core.lookup.lookup import Lookups
from chordnet.core.mailroom import Mailroom
from chordnet.core.presence import Presence
from chordnet.core.reach import Reach
from chordnet.core.ring.identities import Identities
from chordnet.core.ring.leave import Departure
from chordnet.core.ring.pointers import Pointers
from chordnet.core.ring.rectify import Rectify
from chordnet.core.ring.routing import Routes
from chordnet.core.ring.stabilise import Stabilise
from chordnet.core.ring.walk import Walks
from chordnet.core.seals.sealing import Seals


@attrs.frozen
class Part:
    """One part: the node's attribute that holds it, its class, and how a node makes it."""

    name: str
    kind: type
    make: Callable[[Any], Any]


# fmt: off
PARTS = (
    Part("routes", Routes, lambda n: Routes(n.ctx)),
    Part("requests", Requests, lambda n: Requests(n.ctx)),
    Part("detector", Detector, lambda n: Detector(n.ctx)),
    Part("ring", Pointers, lambda n: Pointers(n.ctx)),
    Part("stabilise", Stabilise, lambda n: Stabilise(
        n.ctx, n.ring, n.routes, n.requests, n.detector, n.state)),
    Part("rectify", Rectify, lambda n: Rectify(n.ctx, n.ring, n.requests, n.detector)),
    Part("answering", Answering, lambda n: Answering(n.ctx, n.ring, n.routes, n.detector)),
    Part("lookups", Lookups, lambda n: Lookups(
        n.ctx, n.ring, n.answering, n.requests, n.detector)),
    Part("fingers", Fingers, lambda n: Fingers(n.ctx, n.ring, n.routes, n.lookups)),
    Part("hints", Hints, lambda n: Hints(n.ctx, n.ring, n.routes, n.detector, n.fingers)),
    Part("joining", Joining, lambda n: Joining(n.ctx, n.ring, n.requests, n.lookups)),
    Part("audit", Audit, lambda n: Audit(
        n.ctx, n.ring, n.stabilise, n.routes, n.requests, n.lookups, n.joining)),
    Part("ledger", Ledger, lambda n: Ledger(n.config.max_origins, n.ctx.peers.has_met)),
    Part("seals", Seals, lambda n: Seals(n.ctx, n.notary)),
    Part("sync", AntiEntropy, lambda n: AntiEntropy(n.ctx, n.ledger, n.routes, n.seals)),
    Part("newcomer", Newcomer, lambda n: Newcomer(n.ctx, n.ring)),
    Part("records", Records, lambda n: Records(n.ctx, n.ledger, n.sync)),
    Part("reports", Reports, lambda n: Reports(n.ctx, n.seals)),
    Part("broadcasts", Broadcasts, lambda n: Broadcasts(
        n.ctx, n.ring, n.routes, n.lookups, n.detector, n.records, n.reports, n.newcomer)),
    Part("identities", Identities, lambda n: Identities(n.ctx, n.ring, n.detector)),
    Part("walks", Walks, lambda n: Walks(n.ctx, n.ring, n.requests)),
    Part("departure", Departure, lambda n: Departure(
        n.ctx, n.ring, n.requests, n.detector, lambda: n.broadcasts.under_way)),
    Part("presence", Presence, lambda n: Presence(
        n.ctx, n.ring, n.stabilise, n.requests, n.detector, n.joining, n.sync, n.newcomer)),
    Part("reach", Reach, lambda n: Reach(
        n.ctx, n.ring, n.routes, n.requests, n.detector, n.identities, n.joining,
        lambda: n.broadcasts.under_way)),
    Part("mailroom", Mailroom, lambda n: Mailroom(n.ctx)),
)
# fmt: on

ORDER: dict[Signal[...], tuple[str, ...]] = {
    # Stabilise comes last: a ring of one reports there that it has joined.
    signals.ENTERED: ("joining", "fingers", "audit", "sync", "stabilise"),
    signals.PLACED: ("stabilise", "rectify"),
    # Hints travel by the new routes.
    signals.SUCCESSORS_CHANGED: ("stabilise", "fingers", "hints"),
    signals.PREDECESSOR_CHANGED: ("stabilise", "fingers", "newcomer", "broadcasts"),
    # Hints travel by the old routes, while the dead node is still the successor. Broadcasts are
    # repaired last, when the pointers are right again.
    signals.DIED: (
        "reach",
        "hints",
        "stabilise",
        "rectify",
        "fingers",
        "joining",
        "requests",
        "lookups",
        "broadcasts",
    ),
    signals.SURVIVED: ("hints", "broadcasts"),
}
"""Signal -> names of the parts that hear it first, in this order; other parts come after them."""

Handler = Callable[..., None]
Place = tuple[str | None, Handler]
"""The node's attribute that holds the part (None: the node itself), and the handler, its method.

A node calls the method itself, so that a message goes from the node to the part and nowhere else.
"""
OnEvent = dict[type, Place]
OnAlarm = dict[Alarm, Place]
OnMessage = dict[type, tuple[str, Handler, frozenset[Status] | None]]
"""As :data:`Place`, and the states in which the message is taken; None: in each."""


def events(parts: Iterable[Part], own: Mapping[type, Handler]) -> OnEvent:
    """Return the handler of each event.

    :param own: the handlers of the node itself.
    """
    table: OnEvent = {kind: (None, handler) for kind, handler in own.items()}
    for part in parts:
        for kind, handler in getattr(part.kind, "EVENTS", {}).items():
            assert kind not in table, f"{kind.__name__} is taken twice"
            table[kind] = (part.name, handler)
    return table


def messages(parts: Iterable[Part]) -> OnMessage:
    """Return the handler of each message, and in which states it is called."""
    table: OnMessage = {}
    for part in parts:
        for kind, handler in getattr(part.kind, "MESSAGES", {}).items():
            assert kind not in table, f"{kind.__name__} is taken twice"
            states = HEEDED[kind]
            table[kind] = (part.name, handler, None if len(states) == len(Status) else states)
    return table


def alarms(parts: Iterable[Part], own: Mapping[Alarm, Handler]) -> OnAlarm:
    """Return the handler of each alarm.

    :param own: the handlers of the node itself.
    """
    table: OnAlarm = {alarm: (None, handler) for alarm, handler in own.items()}
    for part in parts:
        for alarm, handler in getattr(part.kind, "ALARMS", {}).items():
            assert alarm not in table, f"{alarm} is declared twice"
            table[alarm] = (part.name, handler)
    return table


def hearers(parts: Iterable[Part], own: Mapping[Signal[...], Handler]) -> Table:
    """Return the hearers of each signal, in order.

    :param own: the hearers of the node itself, which come before any part.
    """
    heard: dict[Signal[...], dict[str, Place]] = {}
    for part in parts:
        for signal, handler in getattr(part.kind, "HEARS", {}).items():
            heard.setdefault(signal, {})[part.name] = (part.name, handler)
    table: dict[Signal[...], tuple[Place, ...]] = {}
    for signal in signals.SIGNALS:
        by_name = heard.get(signal, {})
        first = [by_name.pop(name) for name in ORDER.get(signal, ()) if name in by_name]
        mine: list[Place] = [(None, own[signal])] if signal in own else []
        table[signal] = (*mine, *first, *by_name.values())
    return table
