"""The metrics of connections, clients and callbacks, and the table of all that a node counts.

See :mod:`chordnet.core.base.metrics` for how they are declared and counted.
"""

from __future__ import annotations

import enum

from chordnet.core.base.effects import TraceKind
from chordnet.core.base.metrics import CoreMetric, Declared, Kind, Label, Metric
from chordnet.wire.greeting import CODES

WITHIN_S = {
    0.001: "1ms",
    0.003: "3ms",
    0.01: "10ms",
    0.03: "30ms",
    0.1: "100ms",
    0.3: "300ms",
    1.0: "1s",
    3.0: "3s",
}
"""The bounds by which operations on keys are counted, in seconds, and how each is called."""
_KEY_KIND = Label("kind", ("get", "put", "delete"))
_WAY = Label("way", ("sent", "received"))
_REASONS = tuple(sorted(CODES - {"self"}))


@enum.unique
class NetMetric(Declared):
    """The metrics of a node beside the protocol's."""

    # -- connections -------------------------------------------------------------------------
    CONNECTIONS = Metric(
        "connections", "connections", "connections with peers, clients and strangers", Kind.GAUGE
    )
    DIALS = Metric("dials", "dials", "dials of peers that were begun")
    DIALS_FAILED = Metric("dials_failed", "dials", "dials of peers that failed")
    DIALS_REFUSED = Metric(
        "dials_refused",
        "dials",
        "dials that were not begun because a peer names too many new addresses",
    )
    REFUSED = Metric(
        "refused",
        "greetings",
        "greetings refused here, by the reason",
        labels=(Label("reason", (*_REASONS, "silent")),),
    )
    REJECTED = Metric(
        "rejected",
        "greetings",
        "greetings of this node that a peer refused, by the reason",
        labels=(Label("reason", (*_REASONS, "")),),
    )
    RENEWALS_FAILED = Metric(
        "renewals_failed", "attempts", "attempts to renew the node's certificate that failed"
    )
    TURNED_AWAY = Metric(
        "turned_away",
        "connections",
        "connections turned away because too many others had not greeted yet",
    )

    # -- peers -------------------------------------------------------------------------------
    MESSAGES_DROPPED = Metric(
        "messages_dropped",
        "messages",
        "messages to peers dropped because no connection was made",
    )
    MISBEHAVED = Metric("misbehaved", "messages", "messages dropped because they broke a rule")
    SEALS_TOLD = Metric(
        "seals_told",
        "messages",
        "messages dropped because of a seal that their sender may have found right",
    )
    PEER_VIOLATIONS = Metric(
        "peer_violations", "connections", "connections closed because the peer broke the format"
    )
    PEER_COMPLAINED = Metric(
        "peer_complained", "connections", "connections that a peer closed with a complaint"
    )
    PEERS_OVERLOADED = Metric(
        "peers_overloaded", "connections", "connections cut because the peer reads too slowly"
    )

    PEERS_SLOWED = Metric(
        "peers_slowed", "pauses", "pauses in reading from a peer that sends too fast"
    )

    # -- clients -----------------------------------------------------------------------------
    REQUESTS = Metric("requests", "requests", "requests of clients")
    REQUESTS_NOT_PERMITTED = Metric(
        "requests_not_permitted", "requests", "requests of clients that may not ask for this"
    )
    CLIENT_VIOLATIONS = Metric(
        "client_violations", "connections", "connections closed because a client broke the format"
    )
    CLIENTS_OVERLOADED = Metric(
        "clients_overloaded", "connections", "connections cut because a client reads too slowly"
    )

    # -- broadcasts and the log --------------------------------------------------------------
    BROADCAST = Metric(
        "broadcast",
        "events",
        "what happened to broadcasts on their way, by kind",
        labels=(Label("what", tuple(kind.name.lower() for kind in TraceKind)),),
    )
    RECORDED = Metric("recorded", "messages", "messages recorded since the start")
    GAPS_TOLD = Metric(
        "gaps_told", "events", "times that messages were given up because no node keeps them"
    )
    LOG_FAILURES = Metric(
        "log_failures", "failures", "failures of the message log, which end the node's membership"
    )

    # -- keys --------------------------------------------------------------------------------
    LETTERS_DROPPED = Metric(
        "letters_dropped",
        "messages",
        "letters of the store dropped because too much waited for the peer",
    )
    PARTS_DROPPED = Metric(
        "parts_dropped",
        "messages",
        "long letters and requests thrown away half-way because there were too many",
    )
    STORE_COPIES = Metric(
        "store_copies", "disks", "disks of the node's store that were found to be older copies"
    )
    KEY_OPERATIONS = Metric(
        "key_operations",
        "operations",
        "operations on keys of this node's clients and program, by how they ended",
        labels=(
            _KEY_KIND,
            Label(
                "outcome",
                (
                    "done",
                    "value",
                    "absent",
                    "conflict",
                    "unavailable",
                    "unconfirmed",
                    "untold",
                    "failed",
                ),
            ),
        ),
    )
    KEY_MICROSECONDS = Metric(
        "key_microseconds",
        "microseconds",
        "time that these operations took, together",
        labels=(_KEY_KIND,),
    )
    KEY_LATENCY = Metric(
        "key_latency",
        "operations",
        "the same operations, by the first bound within which they ended",
        labels=(_KEY_KIND, Label("within", (*WITHIN_S.values(), "longer"))),
    )
    LETTERS = Metric("letters", "messages", "letters between stores", labels=(_WAY,))
    LETTER_BYTES = Metric("letter_bytes", "bytes", "bytes of these letters", labels=(_WAY,))
    STORE_ENTRIES = Metric(
        "store_entries", "entries", "records and heads of slots that the store wrote on its disk"
    )
    STORE_INSTALLED = Metric(
        "store_installed", "configurations", "configurations of slots that were installed here"
    )
    STORE_REPAIRS = Metric(
        "store_repairs", "keys", "keys that were read because another member has something newer"
    )
    STORE_SLOTS = Metric("store_slots", "slots", "slots that the store answers for", Kind.GAUGE)
    STORE_RECORDS = Metric(
        "store_records", "records", "records in these slots, those of deleted keys too", Kind.GAUGE
    )
    STORE_KEYS = Metric("store_keys", "keys", "keys with a value in these slots", Kind.GAUGE)
    STORE_BYTES = Metric("store_bytes", "bytes", "bytes of these keys and values", Kind.GAUGE)
    STORE_FAILURES = Metric(
        "store_failures", "failures", "failures of the node's store, which end its part in it"
    )

    # -- defects, each logged with its traceback ---------------------------------------------
    CORE_ERRORS = Metric("core_errors", "failures", "failures of the protocol on an event")
    EFFECT_ERRORS = Metric(
        "effect_errors", "failures", "failures to perform what the protocol asked for"
    )
    TURN_ERRORS = Metric(
        "turn_errors", "failures", "failures on what came in, or at the end of a turn"
    )
    REQUEST_ERRORS = Metric("request_errors", "failures", "failures on a client's request")
    START_ERRORS = Metric("start_errors", "failures", "failures to start the node")
    CALLBACK_ERRORS = Metric(
        "callback_errors",
        "failures",
        "failures of the embedding program's callbacks, and callbacks that fell too far behind",
    )


METRICS: tuple[Declared, ...] = (*CoreMetric, *NetMetric)
"""All that a node counts."""
