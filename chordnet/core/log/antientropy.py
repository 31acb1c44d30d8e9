"""Anti-entropy: a node that lacks a message gets it, for whatever reason it lacks it.

Neighbours compare digests of what they know whenever one stabilises with the other, and every
``sync_s`` a node compares with one random finger. If the digests differ::

    A -> B  HAVE: A's ledger, a page of it
    B -> A  what A lacks (GIVEN ends it), B -> A  WANT: what B lacks
    A -> B  what B lacks

Messages are asked for, reported lost and given up as *ranges* of numbers, however wide these are.
Messages younger than ``grace_s`` are left out of digests and are not given: the tree may still be
about to bring them, and racing it would only make duplicates.

What a peer says here is a claim:

- CAUGHT and LOST are taken only as answers: from the node that our HAVE went to, for its page, or
  from the one that our WANT went to, for what was wanted; and only for a short while. A WANT is
  served once for each HAVE of ours.
- LOST says that the sender does not keep something. A number is given up only when two nodes that
  this one points at have said so (one, if it points at no other). So a single liar cannot make a
  node give up what others have, and greeting under several names does not help it.
- For this node's own incarnation, only numbers that it has published are taken.
- A comparison that brings nothing is not repeated with the same node for a while, twice as long
  each time up to ``MAX_PAUSE_S``. So ledgers that can never agree cost almost nothing.

There is one exchange at a time, of a limited number of messages; ``more`` asks for the next one, if
this one brought anything. A route that ends in such a hand-over says so (``caught_up``).

Source: anti-entropy after Demers et al., "Epidemic algorithms for replicated database maintenance",
PODC 1987.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from math import isfinite
from typing import ClassVar

import attrs

from chordnet.core.base import intervals
from chordnet.core.base.effects import Gap, Misbehaved, Record, SendStored
from chordnet.core.base.events import Spoiled
from chordnet.core.base.intervals import Intervals
from chordnet.core.base.limits import MAX_RANGES
from chordnet.core.base.messages import (
    Bcast,
    Caught,
    Compare,
    Detour,
    EdgeKind,
    Given,
    Have,
    Hop,
    Lost,
    MarkedCaught,
    MessageId,
    NodeRef,
    OriginState,
    Range,
    Want,
    route_bytes,
)
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.base.outcomes import Fault
from chordnet.core.kernel.checks import is_message_id, is_origin_state, is_range
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.handlers import EventHandlers, Handlers, Hearers, Ringers
from chordnet.core.kernel.signals import ENTERED
from chordnet.core.kernel.timers import LEISURE_S, Alarm, Expiry
from chordnet.core.log.doubts import Doubts
from chordnet.core.log.ledger import MASK, Ledger, OriginKey
from chordnet.core.ring.routing import Routes
from chordnet.core.seals.sealing import Seals

PAGE_ORIGINS = 512
PAGE_BOUNDS = 16_384
"""Origins, and bounds of their intervals, that one HAVE names at most."""
MAX_CAUGHT = 16_384
MAX_CAUGHT_BYTES = 8 * 1024 * 1024
"""Routes of recently caught-up messages that are remembered, and the memory they may take up."""
EXCHANGE_S = 5.0
"""An exchange is given up, and answers are refused, after this time."""
MIN_PAUSE_S = 1.0
MAX_PAUSE_S = 8.0
"""Pause before a node is compared with again: after one exchange that brought nothing, and after
many."""
NOT_TO_BE_HAD = frozenset({Fault.SEAL_AUTHORITY, Fault.SEAL_EXPIRED, Fault.SEAL_REVOKED})
"""A message that comes with such a seal cannot be recorded here, whoever gives it. Or else it would
be asked for without end. It counts as lost, as soon as two nodes have given it."""
MAX_PARTNERS = 256
"""Nodes for which it is remembered what they were asked, and what they do not keep."""


@attrs.define
class _Partner:
    """What one node was asked recently."""

    until: float = 0.0
    """When answers are no longer taken."""
    page: tuple[OriginKey | None, OriginKey | None] | None = None
    """The origins of our HAVE: after the first key, up to the second."""
    wanted: list[Range] = attrs.field(factory=list)
    """The ranges of our WANT."""
    may_want: bool = False
    """Whether our HAVE entitles it to a WANT."""
    not_before: float = 0.0
    """When it may be compared with again."""
    pause: float = 0.0
    """How long the present pause is, to be doubled."""


@attrs.define
class _Exchange:
    """The exchange of ours that is under way."""

    peer: bytes
    until: float
    """When it is given up."""
    gained: bool = False
    """Whether it has brought anything."""


class AntiEntropy:
    """One node's comparisons with others.

    :param ledger: what has been recorded.
    """

    def __init__(self, ctx: Context, ledger: Ledger, routes: Routes, seals: Seals) -> None:
        self._ctx = ctx
        self._ledger = ledger
        self._routes = routes
        self._seals = seals
        self._young: dict[MessageId, int] = {}
        """Messages younger than ``grace_s``, with their shares of the ledger's digest."""
        self._young_sum = 0
        self._ripening: Expiry[MessageId] = Expiry(
            ctx.config.grace_s, self._young.__contains__, LEISURE_S
        )
        self.ways: dict[MessageId, list[Hop]] = {}
        """The routes of messages that were handed over recently."""
        self._fading: Expiry[MessageId] = Expiry(
            ctx.config.broadcast_deadline_s, self.ways.__contains__, LEISURE_S
        )
        self._ways_bytes = 0
        self._under_way: _Exchange | None = None
        self._partners: dict[bytes, _Partner] = {}
        self._doubts = Doubts()
        self._cursor: OriginKey | None = None
        self.published = 0
        """Our own last number: no node can know a higher one."""
        self.expiries = (self._ripening, self._fading)
        """The queues whose earliest entry limits the node's deadline."""

    @property
    def digest(self) -> int:
        """A digest, 64 bits, of everything recorded at least ``grace_s`` ago."""
        self._ripen()
        return (self._ledger.digest - self._young_sum) & MASK

    def recorded(self, message_id: MessageId, weight: int) -> None:
        """Note a message that was just added to the ledger, as ``weight`` of its digest."""
        self._young[message_id] = weight
        self._young_sum += weight
        self._ripening.add(message_id, self._ctx.now)

    def spoiled(self, ids: Iterable[MessageId]) -> None:
        """Count recorded messages as missing, so that other nodes are asked for them."""
        for message_id in ids:
            if self._ledger.forget(message_id):
                self._ctx.counters.add(CoreMetric.SPOILED)
                # The ledger's digest no longer has its share, so ours must not subtract it again.
                self._young_sum -= self._young.pop(message_id, 0)

    def tick(self) -> None:
        """Admit messages older than ``grace_s`` to the digest; forget old routes."""
        self._ripen()
        for message_id in self._fading.due(self._ctx.now):
            self._forget_way(message_id)

    def _ripen(self) -> None:
        # Called wherever the digest is used: two nodes must compare the same messages, however late
        # their timers are.
        for message_id in self._ripening.due(self._ctx.now):
            self._young_sum -= self._young.pop(message_id)

    def detours(self, message: Bcast, here: Hop) -> list[Detour]:
        """Return the messages of a broadcast whose recorded route is not that of the broadcast.

        A node records one route for a message, and must pass on that one. The tree may bring
        messages that were handed over before, and the sender may have got them by several routes
        itself.
        """
        routes: list[list[Hop] | None] = [None] * message.count
        for detour in message.detours:
            hops = [*detour.hops, here]
            routes[detour.first : detour.first + detour.count] = [hops] * detour.count
        for k in range(message.count):
            routes[k] = self.ways.get(message.id.plus(k), routes[k])
        # All routes together have to fit into a frame; what does not fit is passed on with the
        # route of the tree.
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
        """Plan the first comparison of a new member."""
        self._ctx.alarms.sooner(Alarm.SYNC, self._ctx.jittered(self._ctx.config.sync_s))

    def place(self) -> None:
        """Plan the next comparison, from a random phase."""
        ctx = self._ctx
        ctx.alarms.set(Alarm.SYNC, ctx.now + ctx.rng.random() * ctx.config.sync_s)

    def compare_with_some(self) -> None:
        """Compare with a random finger or successor when the ``sync`` alarm rings."""
        ctx = self._ctx
        nodes = self._routes.nodes()
        if nodes and self._ctx.is_member:
            ctx.send(ctx.rng.choice(nodes), Compare(self.digest))
        ctx.alarms.set(Alarm.SYNC, ctx.jittered(ctx.config.sync_s))

    def compared(self, peer: NodeRef, digest: int) -> None:
        """Begin an exchange with ``peer`` if its digest differs from ours."""
        now = self._ctx.now
        busy = self._under_way is not None and now < self._under_way.until
        if digest == self.digest or not self._ctx.is_member or busy:
            return
        if now >= self._partner(peer).not_before:
            self._exchange(peer)

    def _partner(self, peer: NodeRef) -> _Partner:
        # Removed and added again: the first in order is the one not used for longest.
        partner = self._partners.pop(peer.raw, None) or _Partner()
        self._partners[peer.raw] = partner
        if len(self._partners) > MAX_PARTNERS:
            gone = next(iter(self._partners))
            del self._partners[gone]
            self._doubts.forget(gone)
        return partner

    def _exchange(self, peer: NodeRef) -> None:
        ctx, ledger = self._ctx, self._ledger
        until = ctx.now + EXCHANGE_S
        self._under_way = _Exchange(peer.raw, until)
        ctx.counters.add(CoreMetric.EXCHANGES)
        page = ledger.page(self._cursor, PAGE_ORIGINS, PAGE_BOUNDS)
        states = [OriginState(each.origin, each.incarnation, each.known) for each in page]
        first, last = self._cursor, (states[-1].origin, states[-1].incarnation) if states else None
        # The next exchange goes on after this page, with whichever node it is: a ledger is only
        # compared page by page, and only the ledger knows if this page was the last.
        self._cursor = last if last is not None and ledger.any_after(last) else None
        partner = self._partner(peer)
        partner.page, partner.until, partner.may_want = (first, self._cursor), until, True
        # Doubled in advance: ``_worth_while`` ends the pause if the exchange brings anything.
        partner.pause = min(MAX_PAUSE_S, 2 * partner.pause) or MIN_PAUSE_S
        partner.not_before = ctx.now + partner.pause
        ctx.send(peer, Have(_key(first), _key(self._cursor), states))

    def _worth_while(self, partner: _Partner) -> None:
        """End the pause of a node that has given us something: comparing with it is worthwhile."""
        if self._under_way is not None:
            self._under_way.gained = True
        partner.pause = partner.not_before = 0.0

    # ---- exchanging -------------------------------------------------------------------------

    def on_have(self, peer: NodeRef, message: Have) -> None:
        """Give ``peer``, which says what it has, what it lacks; ask for what we lack."""
        ctx, ledger = self._ctx, self._ledger
        if not ctx.is_member:
            return
        if not all(is_origin_state(state, ctx.space) for state in message.origins):
            ctx.effects.append(Misbehaved(peer, Fault.LEDGER))
            return
        self._ripen()
        after, last = _range(message.after), _range(message.last)
        young = self._young_numbers()
        give, lost, more = list[Range](), list[Range](), False
        for key, recorded, given_up in ledger.missing_from(message.origins, after, last):
            if len(give) >= MAX_RANGES or len(lost) >= MAX_RANGES:
                more = True
                break
            lost += _ranges(key, given_up)
            give += _ranges(key, intervals.minus(recorded, young.get(key, [])))
        self._answer(peer, give, lost, more=more or max(len(give), len(lost)) > MAX_RANGES)
        want = list(self._lacking(message.origins))
        if want:
            partner = self._partner(peer)
            partner.wanted, partner.until = want, ctx.now + EXCHANGE_S
            ctx.send(peer, Want(want))

    def _answer(
        self, peer: NodeRef, give: list[Range], lost: list[Range], *, more: bool | None
    ) -> None:
        if lost:
            self._ctx.send(peer, Lost(lost[:MAX_RANGES]))
        self._ctx.effects.append(SendStored(peer, give[:MAX_RANGES], more, self._seals.always))

    def _lacking(self, states: Iterable[OriginState]) -> Iterator[Range]:
        """Yield up to ``MAX_RANGES`` ranges that other nodes know and this one does not."""
        me, found = self._ctx.me, 0
        for lacked in self._ledger.lacking(states):
            if (lacked.origin, lacked.incarnation) == (me.raw, me.incarnation):
                if lacked.first > self.published:
                    continue
                own_end = min(lacked.end, self.published + 1)
                yield Range(lacked.origin, lacked.incarnation, lacked.first, own_end)
            else:
                yield lacked
            found += 1
            if found == MAX_RANGES:
                return

    def _young_numbers(self) -> dict[OriginKey, Intervals]:
        """Return the numbers that may not be given yet, by origin."""
        young: dict[OriginKey, list[int]] = {}
        for each in self._young:
            young.setdefault((each.origin, each.incarnation), []).append(each.sequence)
        return {key: intervals.of(sorted(numbers)) for key, numbers in young.items()}

    def on_want(self, peer: NodeRef, message: Want) -> None:
        """Give ``peer`` messages that it asks for, if a HAVE of ours entitles it to that."""
        if not self._ranges_fit(peer, message.ranges):
            return
        partner = self._partner(peer)
        if not partner.may_want or self._ctx.now >= partner.until:
            self._ctx.counters.add(CoreMetric.WANTS_IGNORED)
            return
        partner.may_want = False
        self._ripen()
        young = self._young_numbers()
        give, lost = list[Range](), list[Range]()
        for asked in message.ranges:
            key = asked.origin, asked.incarnation
            recorded, given_up = self._ledger.known_of(asked)
            lost += _ranges(key, given_up)
            give += _ranges(key, intervals.minus(recorded, young.get(key, [])))
        if give or lost:
            self._worth_while(partner)
            self._answer(peer, give, lost, more=None)

    def _ranges_fit(self, peer: NodeRef, ranges: list[Range]) -> bool:
        fit = len(ranges) <= MAX_RANGES and all(is_range(r, self._ctx.space) for r in ranges)
        if not fit:
            self._ctx.effects.append(Misbehaved(peer, Fault.RANGES))
        return fit

    def on_compare(self, sender: NodeRef, message: Compare) -> None:
        """Compare the digest of ``sender`` with ours."""
        self.compared(sender, message.digest)

    def on_given(self, peer: NodeRef, message: Given) -> None:
        """End the exchange with ``peer``; begin the next one if there is more to come."""
        ended = self._under_way
        if ended is not None and ended.peer == peer.raw:
            self._under_way = None
            # ``more`` is a claim: if nothing came, it could keep us busy without end.
            if message.more and ended.gained:
                self._exchange(peer)

    # ---- taking answers ---------------------------------------------------------------------

    def _was_asked(self, peer: NodeRef, asked: Range) -> bool:
        """Return True if ``peer`` owes us an answer about these messages."""
        ctx, me = self._ctx, self._ctx.me
        partner = self._partners.get(peer.raw)
        if partner is None or ctx.now >= partner.until:
            return False
        key = asked.origin, asked.incarnation
        if key == (me.raw, me.incarnation) and asked.end > self.published + 1:
            return False
        if partner.page is not None:
            after, last = partner.page
            if (after is None or key > after) and (last is None or key <= last):
                return True
        return any(
            key == (each.origin, each.incarnation)
            and each.first <= asked.first
            and asked.end <= each.end
            for each in partner.wanted
        )

    def on_caught(self, peer: NodeRef, message: Caught) -> None:
        """Record a message that we asked for."""
        ctx, ledger = self._ctx, self._ledger
        if not self._fits(peer, message):
            return
        each = message.id
        number = Range(each.origin, each.incarnation, each.sequence, each.sequence + 1)
        if not self._was_asked(peer, number):
            ctx.counters.add(CoreMetric.ANSWERS_IGNORED)
            return
        # A number that was given up is recorded after all if its message comes.
        if ledger.is_known(each) and not ledger.may_record(each):
            ctx.counters.add(CoreMetric.CAUGHT_UP_TWICE)
            return
        proof, fault = self._seals.read_caught(message)
        if fault:
            self._seals.refuse(peer, each, fault)
            if fault in NOT_TO_BE_HAD:
                self.on_lost(peer, Lost([number]))
            return
        weight = ledger.add(each, message.body)
        assert weight is not None, "it is new, or may be recorded"
        ctx.counters.add(CoreMetric.CAUGHT_UP)
        self._worth_while(self._partner(peer))
        self.recorded(each, weight)
        route = [*message.hops, Hop(ctx.me.raw, ctx.me.name, int(EdgeKind.CAUGHT_UP))]
        self.remember(each, route)
        ctx.effects.append(Record(each, message.created, message.body, route, proof))
        self.tell_gaps()

    def on_lost(self, peer: NodeRef, message: Lost) -> None:
        """Give messages up that ``peer`` does not keep, once a second node has said the same."""
        if not self._ranges_fit(peer, message.ranges):
            return
        given_up = []
        # One program can greet under many names, but cannot choose the nodes that we point at.
        pointed_at = peer.raw in self._routes.raws
        for each in message.ranges:
            if pointed_at and self._was_asked(peer, each):
                given_up += self._doubt(peer, each)
            else:
                self._ctx.counters.add(CoreMetric.ANSWERS_IGNORED)
        if given_up:
            self._worth_while(self._partner(peer))
            self._ctx.counters.add(CoreMetric.GAPS, by=sum(map(self._ledger.lose, given_up)))
            self._ctx.effects.append(Gap(peer, given_up))
            self.tell_gaps()

    def _doubt(self, peer: NodeRef, said: Range) -> list[Range]:
        """Note that ``peer`` lacks ``said`` as well; return what is to be given up."""
        key = said.origin, said.incarnation
        new = list(self._ledger.lacking([OriginState(*key, [said.first, said.end])]))
        lacked: Intervals = [bound for each in new for bound in (each.first, each.end)]
        if any(node.raw != peer.raw for node in self._routes.nodes()):
            lacked = self._doubts.add(peer.raw, key, lacked)
        return _ranges(key, lacked)

    def tell_gaps(self) -> None:
        """Report the gaps that the ledger has closed because it had no room for them."""
        if self._ledger.given_up:
            closed, self._ledger.given_up = self._ledger.given_up, []
            self._ctx.counters.add(
                CoreMetric.GAPS, by=sum(each.end - each.first for each in closed)
            )
            self._ctx.effects.append(Gap(self._ctx.me, closed))

    def remember(self, message_id: MessageId, route: list[Hop]) -> None:
        """Remember the route of a message that did not come by the tree."""
        self._forget_way(message_id)
        self.ways[message_id] = route
        self._ways_bytes += route_bytes(route)
        self._fading.add(message_id, self._ctx.now)
        while len(self.ways) > MAX_CAUGHT or (
            self._ways_bytes > MAX_CAUGHT_BYTES and len(self.ways) > 1
        ):
            self._forget_way(next(iter(self.ways)))

    def _forget_way(self, message_id: MessageId) -> None:
        route = self.ways.pop(message_id, None)
        if route is not None:
            self._ways_bytes -= route_bytes(route)

    def _fits(self, peer: NodeRef, message: Caught) -> bool:
        config = self._ctx.config
        fits = (
            is_message_id(message.id, self._ctx.space)
            and isfinite(message.created)
            and 0 < len(message.hops) < config.max_route
            and message.hops[-1].raw == peer.raw
            and len(message.body) <= config.max_body_bytes
        )
        if not fits:
            self._ctx.effects.append(Misbehaved(peer, Fault.CAUGHT))
        return fits

    MESSAGES: ClassVar[Handlers] = {
        Compare: on_compare,
        Have: on_have,
        Want: on_want,
        Caught: on_caught,
        MarkedCaught: on_caught,
        Lost: on_lost,
        Given: on_given,
    }

    ALARMS: ClassVar[Ringers] = {
        Alarm.SYNC: compare_with_some,
    }

    EVENTS: ClassVar[EventHandlers] = {
        Spoiled: lambda self, event: self.spoiled(event.ids),
    }

    HEARS: ClassVar[Hearers] = {
        ENTERED: start,
    }


def _key(key: tuple[bytes, int] | None) -> list[tuple[bytes, int]]:
    return [] if key is None else [key]


def _ranges(key: OriginKey, numbers: Intervals) -> list[Range]:
    return [Range(*key, first, end) for first, end in intervals.pairs(numbers)]


def _range(keys: list[tuple[bytes, int]]) -> tuple[bytes, int] | None:
    return keys[0] if keys else None
