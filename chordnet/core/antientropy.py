"""Anti-entropy: whoever lacks a message gets it, however it came to lack it.

Neighbours compare digests of what they have recorded whenever one stabilises with the other, and
every ``sync_s`` a node compares with one random finger. The digests differ::

    A -> B  HAVE: A's ledger, a page of it
    B -> A  what A lacks (GIVEN ends it), B -> A  WANT: what B lacks
    A -> B  what B lacks

Messages younger than ``grace_s`` stay out of digests and are not given: the tree may still be on
its way with them, and racing it would only make duplicates. A message that is asked for and no
longer kept is reported as LOST: the asker counts a gap and asks no more.

One exchange at a time, of a bounded number of messages; ``more`` asks for the next one. A route
that ends in such a hand-over says so (``caught_up``).

Source: anti-entropy after Demers et al., "Epidemic algorithms for replicated database maintenance",
PODC 1987.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby, islice
from math import isfinite

from chordnet.core.checks import is_message_id, is_origin_state
from chordnet.core.context import Context
from chordnet.core.effects import Gap, Misbehaved, Record, SendStored
from chordnet.core.ledger import MASK, Ledger
from chordnet.core.messages import (
    Bcast,
    Caught,
    Compare,
    Detour,
    EdgeKind,
    Have,
    Hop,
    Lost,
    MessageId,
    NodeRef,
    OriginState,
    Want,
)  # fmt: skip
from chordnet.core.routing import Routes
from chordnet.core.timers import LEISURE_S, Expiry

PAGE_ORIGINS = 512
PAGE_NUMBERS = 16_384
"""Origins, and numbers above their watermarks, that one HAVE names."""
MAX_GIVE = 512
"""Messages asked for or given in one exchange."""
MAX_CAUGHT = 16_384
"""Routes of messages caught up lately that are remembered."""
EXCHANGE_S = 5.0
"""An exchange that has not ended by then is given up."""


class AntiEntropy:
    """One node's comparisons with others.

    :param ledger: what has been recorded.
    :param is_member: tells whether this node is active in a ring.
    """

    def __init__(
        self, ctx: Context, ledger: Ledger, routes: Routes, is_member: Callable[[], bool]
    ) -> None:
        self._ctx = ctx
        self._ledger = ledger
        self._routes = routes
        self._is_member = is_member
        self._young: set[MessageId] = set()
        self._young_sum = 0
        self._ripening: Expiry[MessageId] = Expiry(
            ctx.config.grace_s, self._young.__contains__, LEISURE_S
        )
        self.ways: dict[MessageId, list[Hop]] = {}
        """The routes of messages that were handed over lately."""
        self._fading: Expiry[MessageId] = Expiry(
            ctx.config.broadcast_deadline_s, self.ways.__contains__, LEISURE_S
        )
        self._partner: bytes | None = None
        self._until = 0.0
        self._cursor: tuple[bytes, int] | None = None
        self.expiries = (self._ripening, self._fading)
        """Each says when something of ours is due."""

    @property
    def digest(self) -> int:
        """A digest of everything recorded that is no longer young, 64 bits."""
        self._ripen()
        return (self._ledger.digest - self._young_sum) & MASK

    def recorded(self, message_id: MessageId, weight: int) -> None:
        """A message has just been entered in the ledger, as ``weight`` of its digest."""
        self._young.add(message_id)
        self._young_sum += weight
        self._ripening.add(message_id, self._ctx.now)

    def spoiled(self, ids: Iterable[MessageId]) -> None:
        """Messages that were recorded are missing now: the others are asked for them."""
        for message_id in ids:
            weight = self._ledger.weight(message_id)
            if self._ledger.forget(message_id):
                self._ctx.counters["spoiled"] += 1
                if message_id in self._young:
                    self._young.discard(message_id)
                    self._young_sum -= weight

    def tick(self) -> None:
        """Let messages come of age."""
        self._ripen()
        for message_id in self._fading.due(self._ctx.now):
            del self.ways[message_id]

    def _ripen(self) -> None:
        # To the moment wherever it matters: two nodes compare the same, however late their timers.
        for message_id in self._ripening.due(self._ctx.now):
            self._young.discard(message_id)
            self._young_sum -= self._ledger.weight(message_id)

    def detours(self, message: Bcast, here: Hop) -> list[Detour]:
        """Return which messages of a broadcast this node has recorded, or records, with another
        route than that of the broadcast.

        A node has one route for a message, the one recorded, and that is what it must pass on. The
        tree may bring what was handed over before, some or all of what travels together, and may
        bring it from a node that got it in two ways itself.
        """
        routes: list[list[Hop] | None] = [None] * message.count
        for detour in message.detours:
            hops = [*detour.hops, here]
            routes[detour.first : detour.first + detour.count] = [hops] * detour.count
        for k in range(message.count):
            routes[k] = self.ways.get(message.id.plus(k), routes[k])
        # All routes together have to fit a frame; what does not is passed on with the tree's.
        found, first, room = list[Detour](), 0, self._ctx.config.max_route - len(message.hops) - 1
        for route, run in groupby(routes):
            count = len(list(run))
            if route is not None and len(route) <= room:
                found.append(Detour(first, count, route))
                room -= len(route)
            first += count
        return found

    # ---- comparing --------------------------------------------------------------------------

    def start(self) -> None:
        """This node has become a member."""
        self._ctx.alarms.sooner("sync", self._ctx.jittered(self._ctx.config.sync_s))

    def place(self) -> None:
        """This node has been put into a ring that is there already."""
        ctx = self._ctx
        ctx.alarms.set("sync", ctx.now + ctx.rng.random() * ctx.config.sync_s)

    def compare_with_some(self) -> None:
        """The ``sync`` alarm has rung: compare with a random finger or successor."""
        ctx = self._ctx
        nodes = self._routes.nodes()
        if nodes and self._is_member():
            ctx.send(ctx.rng.choice(nodes), Compare(self.digest))
        ctx.alarms.set("sync", ctx.jittered(ctx.config.sync_s))

    def compared(self, peer: NodeRef, digest: int) -> None:
        """``peer``'s digest is known: if it differs from ours, tell it what we have."""
        busy = self._partner is not None and self._ctx.now < self._until
        if digest != self.digest and self._is_member() and not busy:
            self._exchange(peer)

    def _exchange(self, peer: NodeRef) -> None:
        ctx = self._ctx
        self._partner = peer.raw
        self._until = ctx.now + EXCHANGE_S
        ctx.counters["exchanges"] += 1
        states = self._ledger.states(self._cursor, PAGE_ORIGINS, PAGE_NUMBERS)
        first, last = self._cursor, (states[-1].origin, states[-1].incarnation) if states else None
        # A page ends at one limit or the other: whether it is the last one, the ledger alone knows.
        self._cursor = last if self._ledger.states(last, 1, 0) else None
        ctx.send(peer, Have(_key(first), _key(self._cursor), states))

    # ---- exchanging -------------------------------------------------------------------------

    def told(self, peer: NodeRef, message: Have) -> None:
        """``peer`` tells what it has: give it what it lacks, ask for what we lack."""
        ctx, ledger = self._ctx, self._ledger
        if not self._is_member() or not self._sound(peer, message.origins):
            return
        self._ripen()
        after, last = _range(message.after), _range(message.last)
        candidates = ledger.missing_from(message.origins, after, last)
        give = list(islice((i for i in candidates if i not in self._young), MAX_GIVE + 1))
        ctx.effects.append(SendStored(peer, give[:MAX_GIVE], len(give) > MAX_GIVE))
        want = list(islice(ledger.lacking(message.origins), MAX_GIVE))
        if want:
            ctx.send(peer, Want(want))

    def _sound(self, peer: NodeRef, states: Iterable[OriginState]) -> bool:
        if all(is_origin_state(state, self._ctx.space) for state in states):
            return True
        self._ctx.effects.append(Misbehaved(peer, "a ledger with an impossible origin"))
        return False

    def wanted(self, peer: NodeRef, message: Want) -> None:
        """``peer`` asks for messages."""
        if len(message.ids) > MAX_GIVE:
            self._ctx.effects.append(Misbehaved(peer, "asks for too many messages at once"))
            return
        self._ripen()
        give = [i for i in message.ids if i in self._ledger and i not in self._young]
        if give:
            self._ctx.effects.append(SendStored(peer, give, None))

    def given(self, peer: NodeRef, *, more: bool) -> None:
        """``peer`` has given all that it is going to give in this exchange."""
        if peer.raw == self._partner:
            self._partner = None
            if more:
                self._exchange(peer)

    def caught(self, peer: NodeRef, message: Caught) -> None:
        """A message that we lacked has come."""
        ctx = self._ctx
        if not self._fits(peer, message):
            return
        weight = self._ledger.add(message.id)
        if weight is None:
            ctx.counters["caught_up_twice"] += 1
            return
        ctx.counters["caught_up"] += 1
        self.recorded(message.id, weight)
        route = [*message.hops, Hop(ctx.me.raw, ctx.me.name, int(EdgeKind.CAUGHT_UP))]
        self.remember(message.id, route)
        ctx.effects.append(Record(message.id, message.created, message.body, route))

    def remember(self, message_id: MessageId, route: list[Hop]) -> None:
        """Take note of the route of a message that came here on another way than the tree's."""
        self.ways[message_id] = route
        self._fading.add(message_id, self._ctx.now)
        if len(self.ways) > MAX_CAUGHT:
            del self.ways[next(iter(self.ways))]

    def _fits(self, peer: NodeRef, message: Caught) -> bool:
        config = self._ctx.config
        if (
            is_message_id(message.id, self._ctx.space)
            and isfinite(message.created)
            and 0 < len(message.hops) < config.max_route
            and message.hops[-1].raw == peer.raw
            and len(message.body) <= config.max_body_bytes
        ):
            return True
        self._ctx.effects.append(Misbehaved(peer, "a caught-up message out of bounds"))
        return False

    def lost(self, peer: NodeRef, message: Lost) -> None:
        """``peer`` no longer keeps messages that we lack: count the gap and ask no more."""
        if not all(is_message_id(i, self._ctx.space) for i in message.ids[:MAX_GIVE]):
            self._ctx.effects.append(Misbehaved(peer, "has lost what cannot be"))
            return
        ids = [i for i in message.ids[:MAX_GIVE] if i not in self._ledger]
        for message_id in ids:
            self._ledger.add(message_id)
        if ids:
            self._ctx.counters["gaps"] += len(ids)
            self._ctx.effects.append(Gap(peer, ids))


def _key(key: tuple[bytes, int] | None) -> list[tuple[bytes, int]]:
    return [] if key is None else [key]


def _range(keys: list[tuple[bytes, int]]) -> tuple[bytes, int] | None:
    return keys[0] if keys else None
