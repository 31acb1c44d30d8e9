"""Every limit of the runtime: unit in the name, consequence beside it."""

from __future__ import annotations

from typing import Any, TypeVar

import attrs

from chordnet.core.base.errors import ConfigError

T = TypeVar("T", int, float)


def _positive(_instance: object, attribute: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigError(f"{attribute.name} must be greater than 0, not {value!r}")
    if attribute.type == "int" and not isinstance(value, int):
        raise ConfigError(f"{attribute.name} must be a whole number, not {value!r}")


def _limit(default: T) -> T:
    value: T = attrs.field(default=default, validator=_positive)
    return value


@attrs.frozen(kw_only=True)
class NetworkLimits:
    """What connections may cost a node.

    Memory held for connections is at most about ``max_ungreeted`` * 4 KiB + (``max_peers`` +
    ``kept_peers`` + ``max_clients`` + ``kept_clients``) * (2 * ``send_buffer_bytes`` + one frame) +
    3 * ``parts_bytes``, and in practice a small part of it.

    :raises ConfigError: a value is not greater than 0; the text names it.
    """

    max_ungreeted: int = _limit(128)
    """Connections that have not greeted yet; one more takes the place of one that has been
    silent for a second, or is turned away. A host from which nobody was let in within a day has
    half of them at most."""
    max_peers: int = _limit(1024)
    """Connections with peers; a further one takes the place of a caller to which this node
    has sent only answers, or is refused as "full"."""
    max_clients: int = _limit(256)
    """Connections with clients; a further one takes the place of one that asks nothing, or is
    refused as "full"."""
    kept_peers: int = _limit(32)
    """Further connections for peers that this node has sent more than answers: a neighbour whose
    connection broke comes back, however many others there are."""
    kept_clients: int = _limit(8)
    """Further connections for operators, who show it by their cookie or certificate: a node full of
    other clients can still be looked at and stopped."""
    max_links: int = _limit(4096)
    """Peers that the node keeps something about (a connection, a pause before the next dial)."""
    max_dials: int = _limit(64)
    """Dials at the same time; further ones wait for their turn."""
    told_dials: int = _limit(128)
    """Dials that a burst may make to addresses known only because peers named them, a quarter of
    them on the word of one peer; messages to a further address are dropped."""
    told_dials_per_s: float = _limit(16.0)
    """Such dials a second in the long run, a quarter of them on the word of one peer."""

    read_frames_per_s: float = _limit(20_000.0)
    """Frames that are read from one peer a second in the long run, and twice as many at once.
    Beyond that its connection is not read for a moment, so that it has to wait. Between two nodes
    that did all they could for their clients there were 5,300 a second."""
    read_bytes_per_s: float = _limit(256.0 * 1024 * 1024)
    """The same in bytes: there were 71 MB a second."""

    send_buffer_bytes: int = _limit(4 * 1024 * 1024)
    """Unsent bytes of one connection; beyond them the connection is given up as overloaded. As many
    may wait besides that carry values of keys. Beyond that, letters to peers' stores share the room
    of ``parts_bytes``, and what does not fit is dropped; the store says it again. A client's
    request is answered "busy"."""
    parts_bytes: int = _limit(32 * 1024 * 1024)
    """Bytes of long messages, values of keys, of which not all parts have come yet, from all peers
    together, and as many from all clients. Beyond them a letter of a peer's store is thrown away,
    and a client is disconnected; one that has stalled goes first. As many bytes of letters may wait
    for peers."""
    dial_queue_bytes: int = _limit(1024 * 1024)
    """Messages that wait for one dial; further ones are dropped, the protocol repairs it."""
    client_in_flight: int = _limit(1024)
    """Requests of one client that are not answered yet; a further one is answered "busy"."""
    in_flight_bytes: int = _limit(4 * 1024 * 1024)
    """Bodies of broadcasts asked of this node, by all its clients and its own program together,
    that are not confirmed yet or whose receipts are not read, and values of keys that are being
    written; a further one is answered "busy". No
    more than ``send_buffer_bytes``, so that a slow peer is rarely cut off for what this node alone
    sends. The node needs up to twenty times as much memory while they are in flight."""
    reply_bytes: int = _limit(128 * 1024)
    """A list of messages is continued in another reply beyond this size."""

    order_held: int = _limit(4096)
    """Messages that one reader in per-origin order holds back for missing ones; beyond them the gap
    before the one held for longest is reported early."""
    order_wait_s: float = _limit(5.0)
    """How long a reader in per-origin order waits for a missing message before it reports a gap.
    Longer than anti-entropy takes to bring it (``grace_s`` and a stabilisation). A reader that goes
    on from a message finds its place by going through the history with the same two values."""

    connect_timeout_s: float = _limit(3.0)
    """How long a dial may take until the connection is up."""
    greeting_timeout_s: float = _limit(3.0)
    """How long a new connection may stay silent on either side."""
    close_timeout_s: float = _limit(2.0)
    """How long an orderly close may take before the connection is cut."""
    unacknowledged_s: float = _limit(5.0)
    """A connection with a peer whose system acknowledges nothing for this long is given up, so that
    after a partition peers meet again on a new one (Linux)."""
    idle_s: float = _limit(600.0)
    """A connection without a message for this long (up to half as long again) is closed."""
    client_stall_s: float = _limit(20.0)
    """A client that has read nothing for this long while replies wait is cut off."""
    duplicate_window_s: float = _limit(3.0)
    """Two connections with one peer made within this time were dialled by both simultaneously, and
    the one dialled by the smaller identifier stays. Later the newer one stays: a peer that dials
    again has lost the older."""
    redial_min_s: float = _limit(0.05)
    """Pause after the first failed dial; doubled by each further failure, varied by a quarter."""
    redial_max_s: float = _limit(1.0)
    """Longest such pause. The protocol asks for dials at its own pace; this only caps it."""
    redial_told_max_s: float = _limit(15.0)
    """The same for an address that is known only because a peer named it."""
