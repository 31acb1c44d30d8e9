"""Every knob of the protocol: unit in the name, formula, consequence.

All times are seconds. The defaults suit nodes on one machine or one data centre;
:meth:`ProtocolConfig.wide_area` gives those for nodes across networks.
"""

from __future__ import annotations

from typing import Any

import attrs

from chordnet.core.base.errors import ConfigError
from chordnet.core.base.limits import PHRASE_BYTES


def _positive(instance: object, attribute: Any, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigError(f"{attribute.name} must be greater than 0, not {value!r}")
    if attribute.type == "int" and not isinstance(value, int):
        raise ConfigError(f"{attribute.name} must be a whole number, not {value!r}")


def _fraction(instance: object, attribute: Any, value: Any) -> None:
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ConfigError(f"{attribute.name} must be in [0, 1), not {value!r}")


def _width(_instance: object, attribute: Any, value: Any) -> None:
    if not isinstance(value, int) or not 3 <= value <= 256:
        raise ConfigError(f"{attribute.name} must be from 3 to 256, not {value!r}")


@attrs.frozen(kw_only=True)
class Safeguards:
    """What the corrected Chord does and the first published Chord did not. For teaching only.

    Without them the ring breaks as Zave showed ("Using lightweight modeling to understand Chord",
    ACM CCR 42(2), 2012); ``python -m chordnet.sim.search --without NAME`` finds how. A network that
    is to work keeps them all.
    """

    ask_before_adopting: bool = True
    """Adopt the successor's predecessor only once it has answered, so it is alive."""
    whole_list: bool = True
    """With a new successor take over its whole list; otherwise the tail stays the old one (when
    joining: empty), and is brought up to date by the next round."""
    same_head: bool = True
    """Drop the answer of the successor's predecessor if the successor has changed since."""
    keep_predecessor: bool = True
    """Keep a dead predecessor until there is a live one; otherwise set it to nothing."""
    recheck_place: bool = True
    """Join after a member only if this node still lies between it and its successor when it
    answers; otherwise trust the lookup."""
    answer_later: bool = True
    """Answer questions about our pointers only after a question of our own that may change them."""


@attrs.frozen(kw_only=True)
class FingerUpkeep:
    """What chordnet does for its fingers beyond the published upkeep, a lookup of each in turn.

    All off, a node's fingers are kept as in Stoica et al., ToN 11(1), 2003, sections IV-E and VI-A,
    at the published pace: to compare with the figures published there. A network that is to work
    keeps them all.
    """

    hints: bool = True
    """Tell the nodes whose fingers are concerned that a successor has come or is suspected."""
    repair_on_use: bool = True
    """Look the slots of a dead finger up immediately; otherwise they stay empty until the next
    pass."""
    checks: bool = True
    """At rest, ask the finger itself if it still owns its slot; otherwise look the slot up."""
    prompt: bool = True
    """A change brings the next pass over the fingers forward, and the next stabilisation;
    otherwise both keep their pace whatever happens."""


@attrs.frozen(kw_only=True)
class ProtocolConfig:
    """Settings of a node's protocol core.

    :raises ConfigError: a value is out of range; the text names it.
    """

    bits: int = attrs.field(default=160, validator=_width)
    """m, the width of identifiers. With a small m (6), a whole ring can be shown on one line. All
    nodes of a network must agree."""

    successors: int = attrs.field(default=8, validator=_positive)
    """r. The ring survives fewer than r adjacent deaths between two repairs. Keep N * p**r below
    1e-3 for a fraction p of simultaneous deaths: 8 for 16 nodes, 16 for thousands."""

    safeguards: Safeguards = Safeguards()
    """All on, except to teach or to test."""

    finger_upkeep: FingerUpkeep = FingerUpkeep()
    """All on, except to measure what they are worth."""

    # -- maintenance pace ---------------------------------------------------------------------
    stabilise_fast_s: float = attrs.field(default=0.1, validator=_positive)
    """Pause between stabilisations while the neighbourhood changes."""
    stabilise_idle_s: float = attrs.field(default=1.0, validator=_positive)
    """Pause once nothing has changed for a while; also the heartbeat of the successor. A frozen
    neighbour is noticed after 1.25 times this + request_timeout_s + probe_timeout_s at most."""
    stabilise_backoff: float = attrs.field(default=1.5, validator=_positive)
    """Factor by which every quiet round lengthens the pause, from the fast one to the idle one."""
    fingers_fast_s: float = attrs.field(default=0.3, validator=_positive)
    """Pause before the next pass over the finger table after one that changed something."""
    fingers_idle_s: float = attrs.field(default=10.0, validator=_positive)
    """Pause between two passes over the finger table; repairs on use and hints do not wait for it.
    Traffic of a node is about 3 / stabilise_idle_s + log2(N) / fingers_idle_s messages/s."""
    jitter: float = attrs.field(default=0.25, validator=_fraction)
    """Every pause varies by up to this fraction either way, so that nodes do not march in step."""

    # -- failure detection --------------------------------------------------------------------
    request_timeout_s: float = attrs.field(default=0.4, validator=_positive)
    """How long a question may go unanswered before its target is probed."""
    probe_interval_s: float = attrs.field(default=0.4, validator=_positive)
    """Pause between the pings of a probe."""
    probe_timeout_s: float = attrs.field(default=1.2, validator=_positive)
    """A probed peer that has been silent for this long is dead. A shorter time finds frozen nodes
    sooner, but also takes the pauses of a slow machine for deaths."""
    broken_timeout_s: float = attrs.field(default=0.7, validator=_positive)
    """The same after the connection broke, which is strong evidence already."""
    dead_memory_s: float = attrs.field(default=30.0, validator=_positive)
    """How long a dead incarnation is kept out of tables that peers offer; a message of its own ends
    that."""
    defer_s: float = attrs.field(default=0.05, validator=_positive)
    """Longest wait of a question about our state while a question of our own may change it."""

    # -- starting and merging -----------------------------------------------------------------
    join_retry_s: float = attrs.field(default=0.15, validator=_positive)
    """Pause between two attempts to join."""
    form_rounds: int = attrs.field(default=3, validator=_positive)
    """Rounds without news of a smaller identifier before an unjoined node creates a ring."""
    seed_s: float = attrs.field(default=2.0, validator=_positive)
    """A node that has met no other for this long is seeking; with --alone it creates a ring."""
    audit_s: float = attrs.field(default=10.0, validator=_positive)
    """Pause between two audits for split or loopy rings; 45 across networks."""
    audit_min_s: float = attrs.field(default=0.25, validator=_positive)
    """Shortest pause between audits that evidence (another ring's label, a lost peer) calls for."""

    # -- lookup -------------------------------------------------------------------------------
    lookup_timeout_s: float = attrs.field(default=0.5, validator=_positive)
    """A recursive lookup without an answer for this long is continued iteratively."""
    lookup_deadline_s: float = attrs.field(default=10.0, validator=_positive)
    """A lookup without an answer for this long has failed."""

    # -- broadcast ----------------------------------------------------------------------------
    ack_timeout_s: float = attrs.field(default=0.4, validator=_positive)
    """A delegate that has not answered for this long is sent the message once more, then
    suspected."""
    ack_delay_s: float = attrs.field(default=0.05, validator=_positive)
    """An acknowledgement waits this long for the COVERED that would make it superfluous. Must be
    well below ack_timeout_s."""
    covered_check_s: float = attrs.field(default=1.0, validator=_positive)
    """Pause between probes of a delegate that has acknowledged but not covered its range."""
    broadcast_deadline_s: float = attrs.field(default=20.0, validator=_positive)
    """A range not covered by then is reported as unreached."""
    broadcast_memory_s: float = attrs.field(default=20.0, validator=_positive)
    """How long the tree of a finished broadcast is remembered: to answer late copies, and to pass
    the broadcast on to a node that has just joined. It is kept for at least broadcast_deadline_s,
    because until then it may be sent again. A copy that comes after that is not passed on, and
    makes the receipt partial."""

    # -- leaving ------------------------------------------------------------------------------
    leave_drain_s: float = attrs.field(default=0.2, validator=_positive)
    """A leaving node goes on serving this long after it has told its neighbours."""
    leave_limit_s: float = attrs.field(default=2.0, validator=_positive)
    """Longest time that it waits for broadcasts that it has not covered yet."""

    # -- anti-entropy -------------------------------------------------------------------------
    grace_s: float = attrs.field(default=1.0, validator=_positive)
    """Younger messages are left to the tree: at least 3 times what a broadcast takes."""
    sync_s: float = attrs.field(default=5.0, validator=_positive)
    """Pause between comparisons with a random finger; successors are compared at every
    stabilisation."""

    # -- limits -------------------------------------------------------------------------------
    max_hops: int = attrs.field(default=64, validator=_positive)
    """Time to live of a lookup or a broadcast, in hops."""
    max_route: int = attrs.field(default=160, validator=_positive)
    """Nodes of a recorded route, at least ``max_hops`` + 1. Each hand-over to a node that lacked a
    message makes a route longer. One that is too long to fit a frame is refused."""
    max_body_bytes: int = attrs.field(default=PHRASE_BYTES, validator=_positive)
    """The longest message of the program. It sets the limit of a frame, so nodes must agree."""
    max_batch: int = attrs.field(default=256, validator=_positive)
    """Messages published together that share one tree; in total no longer than max_body_bytes."""
    max_broadcasts: int = attrs.field(default=4096, validator=_positive)
    """Broadcasts of our own in flight; one more is answered "busy"."""
    max_casts: int = attrs.field(default=4096, validator=_positive)
    """Finished broadcast trees remembered; the oldest are forgotten first. Twice as many may be
    under way, half of them of one origin; further ones are refused, and their senders send them
    again."""
    max_cast_bytes: int = attrs.field(default=16 * 1024 * 1024, validator=_positive)
    """Bytes of their bodies and routes; beyond that the oldest trees are forgotten early."""
    max_active_bytes: int = attrs.field(default=64 * 1024 * 1024, validator=_positive)
    """The same for broadcasts under way, half of it for those of one origin; further ones are
    refused."""
    max_lookups: int = attrs.field(default=4096, validator=_positive)
    """Lookups of our own under way; one more fails as "busy"."""
    max_deferred: int = attrs.field(default=64, validator=_positive)
    """Questions about our pointers that wait for one of our own; further ones go unanswered."""
    max_known_peers: int = attrs.field(default=64, validator=_positive)
    """Peers remembered for audits and on disk; the least recently heard of are forgotten first."""
    max_origins: int = attrs.field(default=65536, validator=_positive)
    """Origins remembered, one for each start of a node. Those with few messages are forgotten
    first, and of these the least recently recorded."""

    def __attrs_post_init__(self) -> None:
        if self.max_route <= self.max_hops:
            raise ConfigError("max_route must be greater than max_hops")
        if self.ack_delay_s * 2 > self.ack_timeout_s:
            raise ConfigError("ack_delay_s must be at most half of ack_timeout_s")

    @classmethod
    def wide_area(cls) -> ProtocolConfig:
        """Return defaults for nodes across networks: slower pace, longer patience."""
        return cls(
            stabilise_fast_s=0.5,
            stabilise_idle_s=2.0,
            request_timeout_s=1.5,
            probe_interval_s=1.0,
            probe_timeout_s=4.0,
            broken_timeout_s=2.0,
            defer_s=0.3,
            join_retry_s=0.5,
            seed_s=5.0,
            audit_s=45.0,
            audit_min_s=1.0,
            lookup_timeout_s=3.0,
            lookup_deadline_s=20.0,
            ack_timeout_s=1.5,
            ack_delay_s=0.1,
            successors=16,
        )
