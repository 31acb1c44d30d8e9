"""Broadcast along the finger tables' spanning tree, with acknowledgement, receipt and repair.

Base: a node responsible for the range (self, limit) sends to each distinct finger in it, with the
next finger as that one's limit: N - 1 messages in a depth of about log2 N (El-Ansary, Alima,
Brand, Haridi, "Efficient broadcast in structured P2P networks", IPTPS 2003). On top of it:

- *COVERED*: a node that has recorded the message reports its range covered when every delegate has
  reported; without delegates, immediately. The origin thereby knows that every node has it, and
  how.
- *ACK*: sent only when COVERED would be late, so a healthy tree costs N - 1 messages down and
  N - 1 up.
- *Repair*: a silent delegate is sent the message again, a few times, and probed. If it is dead,
  successor(its id) takes its range over (*reassign*), provided that it lies in the range. If it
  lives and accepts nothing, others are given what lies beyond it, and it is reported as unreached.
- *Extension*: a node given a range beyond the one it already covers delegates only the rest.
- *Doubt*: the list that a successor comes from is another node's word, which may leave out any
  number of nodes. Until the successor has said that this node is its predecessor, this node looks
  up the first node of its range before it reports that there is none.
- *Back-fill*: a node reached through its predecessor's successor pointer that knows a newer
  predecessor in between passes the message back to it; so does a node that adopts a predecessor
  while a message is fresh, and one whose predecessor has only just come in, whatever edge reached
  it, also if the message is its own. Repair edges carry no bodies, but a digest of them; they are
  asked for if missing.
- *Conflict*: a node that holds another body under the number of a message than the one that comes
  keeps the first, does not pass the second on and reports the conflict: the origin's receipt is
  partial and says so. Nodes below it get the message by anti-entropy.

Messages that the program publishes together travel as one broadcast and share all of this.

A message's route is fixed when it is first accepted: the sender's own stored route and this node.
Messages that travel together may have reached the sender by different routes (*detours*).
Each node records a message once (:mod:`chordnet.core.log.ledger`), but also passes on a message
that it recorded earlier (before a crash, or by :mod:`chordnet.core.log.antientropy`): it does not
know whether the range was covered then.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import structs

from chordnet.core.base.effects import BroadcastDone, Misbehaved, Send, Traced, TraceKind
from chordnet.core.base.events import Publish, PublishAsking
from chordnet.core.base.identifiers import between
from chordnet.core.base.limits import MAX_UNREACHED
from chordnet.core.base.messages import (
    Ack,
    Ask,
    Bcast,
    Bodies,
    Covered,
    Detour,
    EdgeKind,
    Hop,
    MarkedBcast,
    MarkedCovered,
    MessageId,
    NodeRef,
    digest_of,
)
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.base.outcomes import Failed, Fault
from chordnet.core.broadcast.cast import Branch, Cast, Casts, Finished, Tally, Waiter, cost_of
from chordnet.core.broadcast.faults import bodies_fault, fault_of
from chordnet.core.broadcast.headless import Headless
from chordnet.core.broadcast.newcomer import Newcomer
from chordnet.core.broadcast.records import Records
from chordnet.core.broadcast.repair import Repairs, still_open
from chordnet.core.broadcast.reports import Reports
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import EventHandlers, Handlers, Hearers
from chordnet.core.kernel.signals import DIED, PREDECESSOR_CHANGED, SURVIVED
from chordnet.core.kernel.timers import Expiry
from chordnet.core.log.lives import NewOrigins
from chordnet.core.lookup.lookup import Lookups
from chordnet.core.ring.pointers import Pointers
from chordnet.core.ring.routing import Routes
from chordnet.core.seals.sealing import Mark

MAX_BODIES_SENT = 8
"""How often one delegate is sent the bodies that a header left out. Without a limit, a peer could
have 64 kB sent for every acknowledgement of a few bytes."""
REPAIR = frozenset({EdgeKind.REASSIGN, EdgeKind.EXTEND, EdgeKind.BACKFILL})


class Broadcasts:
    """All broadcasts that this node takes part in."""

    def __init__(
        self,
        ctx: Context,
        ring: Pointers,
        routes: Routes,
        lookups: Lookups,
        detector: Detector,
        records: Records,
        reports: Reports,
        newcomer: Newcomer,
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._routes = routes
        config = ctx.config
        self._here = [Hop(ctx.me.raw, ctx.me.name, int(kind)) for kind in EdgeKind]
        self._records, self._reports = records, reports
        self._ledger, self._sync = records.ledger, records.sync
        self._new = NewOrigins(ctx, records.ledger)
        self._in_flight = 0
        self._casts = Casts(ctx)
        self._newcomer = newcomer
        self.repairs = Repairs(ctx, self._casts, ring, lookups, detector, self)
        self.headless = Headless(ctx)
        self._ack_due: Expiry[tuple[Cast, Waiter]] = Expiry(
            config.ack_delay_s, lambda entry: entry[1] in entry[0].waiters
        )
        self._first_check: Expiry[tuple[Cast, Branch]] = Expiry(config.ack_timeout_s, still_open)
        queues = (self._ack_due, self._first_check, self.repairs.late, self.repairs.doubts)
        self.expiries = (*queues, self._casts.memory, self.headless.memory)
        """The queues whose earliest entry limits the node's deadline."""

    @property
    def under_way(self) -> int:
        """How many broadcasts are not covered yet."""
        return len(self._casts)

    # ---- publishing -------------------------------------------------------------------------

    def publish(self, event: Publish) -> None:
        """Broadcast messages of this node's own program, as many as fit in one tree."""
        config, ask = self._ctx.config, int(Ask.NOTHING)
        if isinstance(event, PublishAsking):
            ask = event.ask
        batch: list[tuple[int, bytes]] = []
        size = 0
        for op, body in event.messages:
            fault = self._unfit(body)
            if fault:
                self._ctx.effects.append(BroadcastDone(op, None, reason=fault))
                continue
            if len(batch) >= config.max_batch or size + len(body) > config.max_body_bytes:
                self._publish(batch, event.wall, ask)
                batch, size = [], 0
            batch.append((op, body))
            self._in_flight += 1
            size += len(body)
        if batch:
            self._publish(batch, event.wall, ask)

    def _unfit(self, body: bytes) -> Failed:
        config = self._ctx.config
        if not self._ctx.is_member:
            return Failed.NOT_IN_RING
        if len(body) > config.max_body_bytes:
            return Failed.TOO_LONG
        return Failed.BUSY if self._in_flight >= config.max_broadcasts else Failed.NO

    def _publish(self, batch: list[tuple[int, bytes]], wall: float, ask: int) -> None:
        ctx, sync, before = self._ctx, self._sync, self._ring.predecessor
        known = self._ledger.last(ctx.me.raw, ctx.me.incarnation)
        if known > sync.published:
            # The ledger knows numbers of ours that we have not used: it is damaged, or a copy.
            ctx.counters.add(CoreMetric.OWN_NUMBERS_TAKEN, by=len(batch))
            sync.published = known
            self._in_flight -= len(batch)
            for op, _body in batch:
                ctx.effects.append(BroadcastDone(op, None, reason=Failed.NUMBER_TAKEN))
            return
        message_id = MessageId(ctx.me.raw, ctx.me.incarnation, sync.published + 1)
        sync.published += len(batch)
        route = [self._here[EdgeKind.ORIGIN]]
        bodies = [body for _, body in batch]
        mark = self._reports.seals.make(message_id, wall, bodies, ask)
        self._records.record(message_id, wall, bodies, route, [], mark)
        cast = self._take_on(message_id, wall, bodies, route, ctx.config.max_hops, [], mark)
        cast.ops = [op for op, _ in batch]
        cast.waiters.append(Waiter(None, ctx.me.raw, ctx.space.size))
        self._fan(cast, ctx.space.size, ctx.me.raw)
        if (
            self._newcomer.unknown
            and before is not None
            and before.raw != ctx.me.raw
            and not self._ring.predecessor_is_dead()
        ):
            # The tree may pass by a predecessor that the node before it does not know yet.
            self.repairs.backfill(cast, before)
        self.check(cast)

    def _take_on(
        self,
        message_id: MessageId,
        created: float,
        bodies: list[bytes],
        route: list[Hop],
        ttl: int,
        detours: list[Detour],
        mark: Mark | None,
    ) -> Cast:
        ctx = self._ctx
        deadline = ctx.now + ctx.config.broadcast_deadline_s
        cast = Cast(message_id, created, bodies, route, ttl, deadline, detours, mark)
        self._casts.add(cast)
        return cast

    # ---- delegating -------------------------------------------------------------------------

    def _fan(self, cast: Cast, end: int, limit: bytes) -> None:
        """Cover the distances up to ``end`` (``limit`` on the wire), farthest child first."""
        cast.cover, whole = end, end
        if cast.ttl <= 0:
            return
        # The farthest child has the widest range, so it starts first; each child's distance is the
        # limit of the next one.
        for distance, node, kind in reversed(self._routes.tree):
            if distance < end:
                self.delegate(cast, Branch(node, limit, distance, end, kind))
                end, limit = distance, node.raw
        if end == whole and self._routes.tree and not self._ring.adoption.behind:
            # No child lies in the range, but an unconfirmed list may leave nodes out.
            self.repairs.doubt(cast, end, limit)

    def delegate(self, cast: Cast, branch: Branch) -> None:
        """Give a child its range."""
        cast.add(branch)
        repair = branch.kind in REPAIR
        if repair:
            self.trace(cast, TraceKind.REPAIRED, branch.child)
        self.send(cast, branch, header_only=repair)
        self._first_check.add((cast, branch), self._ctx.now)

    def trace(self, cast: Cast, what: TraceKind, peer: NodeRef) -> None:
        """Report something out of the ordinary."""
        self._ctx.effects.append(Traced(cast.id, len(cast.bodies), what, peer))

    def send(self, cast: Cast, branch: Branch, *, header_only: bool) -> None:
        """Send a child the message (again)."""
        branch.messages += 1
        bodies, digest = (None, digest_of(cast.bodies)) if header_only else (cast.bodies, b"")
        mark = cast.mark
        kind, more = (Bcast, ()) if mark is None else (MarkedBcast, (mark.seal, mark.ask))
        message = kind(
            cast.id,
            len(cast.bodies),
            cast.created,
            cast.ttl - 1,
            branch.limit,
            int(branch.kind),
            cast.route,
            bodies,
            cast.detours,
            digest,
            *more,
        )
        self._ctx.effects.append(Send(branch.child, message))

    # ---- receiving --------------------------------------------------------------------------

    def on_bcast(self, sender: NodeRef, message: Bcast) -> None:
        """Take on a range of a broadcast."""
        fault = fault_of(message, sender, self._ctx)
        if not fault and message.id.origin == self._ctx.me.raw and self._is_forged(message):
            fault = Fault.FORGED
            # An honest node may have passed it on: answer, so that it does not send it again.
            self._reports.contradict(sender, message, conflict=1)
        if fault:
            self._ctx.effects.append(Misbehaved(sender, fault))
            return
        cast = self._casts.get(message.id)
        if cast is not None:
            self._again(cast, sender, message)
        elif self._casts.refuses(message.id.origin) or not self._new.take(sender.raw, message.id):
            self._ctx.counters.add(CoreMetric.BROADCASTS_REFUSED)
        elif message.bodies is None:
            self.headless.add(sender, message)
            self._ctx.send(sender, Ack(message.id, message.limit, True))
        else:
            self._first(sender, message, message.bodies)

    def _is_forged(self, message: Bcast) -> bool:
        """Return True if a broadcast claims numbers of our present life that we have not used."""
        me, given = self._ctx.me, message.id
        if given.incarnation != me.incarnation:
            return False
        return given.sequence + message.count - 1 > self._sync.published

    def _end(self, limit: bytes) -> int:
        ctx = self._ctx
        return (int.from_bytes(limit) - ctx.my_id) % ctx.space.size or ctx.space.size

    def _first(self, sender: NodeRef, message: Bcast, bodies: list[bytes]) -> None:
        ctx = self._ctx
        mark, fault = self._reports.seals.read(message, bodies)
        if fault:
            self._reports.refuse(sender, message, fault)
            return
        here = self._here[message.kind]
        route = [*message.hops, here]
        usual = not (self._sync.ways or message.detours)
        detours = [] if usual else self._sync.detours(message, here)
        had_all = message.kind == EdgeKind.BACKFILL and all(
            message.id.plus(k) in self._ledger for k in range(message.count)
        )
        conflict, lost, strayed = self._records.record(
            message.id, message.created, bodies, route, detours, mark
        )
        if conflict or lost:
            self._reports.contradict(sender, message, conflict=min(conflict, 1), lost=min(lost, 1))
            return
        if had_all:
            # It was passed back because we might lack it. We do not; others cover the range.
            self._reports.covered(sender, message, mark)
            return
        end = self._end(message.limit)
        before, tree = self._ring.predecessor, self._routes.tree
        if strayed:
            # Passing it on would spread the copy's route, which is not how the message came here.
            # Other nodes in the range may lack it; anti-entropy brings it to them.
            ctx.counters.add(CoreMetric.LATE_COPIES)
            others = bool(tree) and tree[0][0] < end
            self._reports.covered(sender, message, mark, others=others)
            return
        lacks = before is not None and self._may_lack(before, sender, message)
        alone = not tree or (tree[0][0] >= end and self._ring.adoption.behind)
        if alone and not lacks and message.ttl > 0:
            self._alone(sender, message, bodies, route, detours, mark)
            return
        cast = self._take_on(message.id, message.created, bodies, route, message.ttl, detours, mark)
        waiter = Waiter(sender, message.limit, end, message.kind)
        cast.waiters.append(waiter)
        self._fan(cast, end, message.limit)
        if before is not None and lacks:
            self.repairs.backfill(cast, before)
        if cast.branches or cast.searching:
            self._ack_due.add((cast, waiter), ctx.now)
        self.check(cast)

    def _alone(
        self,
        sender: NodeRef,
        message: Bcast,
        bodies: list[bytes],
        route: list[Hop],
        detours: list[Detour],
        mark: Mark | None,
    ) -> None:
        """Report immediately: no node in the range is known, so there is nothing to wait for."""
        depth, end = len(message.hops), self._end(message.limit)
        self._reports.covered(sender, message, mark)
        self._casts.keep(
            Finished(
                message.id,
                message.created,
                bodies,
                route,
                message.ttl,
                end,
                Tally(0, 0, depth, False, []),
                sender.raw,
                end,
                message.kind,
                detours,
                cost_of(bodies, route, detours, mark),
                mark,
            )
        )

    def _may_lack(self, before: NodeRef, sender: NodeRef, message: Bcast) -> bool:
        """Return True if our predecessor is so new that the tree may have passed it by."""
        if before.raw in (sender.raw, self._ctx.me.raw):
            return False
        if message.kind == EdgeKind.SUCCESSOR and between(sender.id, before.id, self._ctx.my_id):
            passed = True
        elif message.kind == EdgeKind.BACKFILL or self._newcomer.unknown:
            passed = all(hop.raw != before.raw for hop in message.hops)
        else:
            passed = False
        return passed and not self._ring.predecessor_is_dead()

    def _again(self, cast: Cast, sender: NodeRef, message: Bcast) -> None:
        """Take a message that we have: from another parent, again, or for a wider range."""
        if not _carries(message, cast.bodies):
            bodies = message.bodies
            fault = Fault.NONE if bodies is None else self._reports.seals.read(message, bodies)[1]
            if fault:
                # The origin has not sent these bodies: it is no conflict, but a lie.
                self._reports.refuse(sender, message, fault)
                self._casts.finish(cast)
                return
            self._reports.contradict(sender, message, conflict=1)
            self._casts.finish(cast)
            return
        self.trace(cast, TraceKind.DUPLICATE, sender)
        end = self._end(message.limit)
        if not any(
            w.parent is not None and w.parent.raw == sender.raw and w.limit == message.limit
            for w in cast.waiters
        ):
            cast.waiters.append(Waiter(sender, message.limit, end, message.kind))
        if end > cast.cover:
            start, cast.cover = cast.cover, end
            if message.kind != EdgeKind.BACKFILL:
                self.repairs.extend(cast, start, end, message.limit)
        if cast.pending(end):
            self._ctx.send(sender, Ack(cast.id, message.limit, False))
        self.check(cast)

    # ---- bodies -----------------------------------------------------------------------------

    def on_bodies(self, sender: NodeRef, message: Bodies) -> None:
        """Take the bodies that we asked for."""
        if not self.headless.awaits(message.id, sender):
            self._ctx.counters.add(CoreMetric.ANSWERS_IGNORED)
            return
        waiting, digest = self.headless.take(message.id), digest_of(message.bodies)
        # The node that brought the bodies comes first, so that the recorded route leads over it.
        for parent, header in sorted(waiting, key=lambda entry: entry[0].raw != sender.raw):
            cast = self._casts.get(message.id)
            fault = bodies_fault(message.bodies, header.count, self._ctx)
            if parent.raw == sender.raw and (fault or header.digest != digest):
                fault = fault or Fault.OTHER_BODIES
                self._ctx.effects.append(Misbehaved(sender, fault))
            elif header.digest != digest:
                self.headless.add(parent, header)
            elif cast is not None:
                self._again(cast, parent, header)
            else:
                self._first(parent, header, message.bodies)

    def on_ack(self, sender: NodeRef, message: Ack) -> None:
        """Note that a delegate has taken its range on; send it the bodies if it lacks them."""
        cast = self._casts.active(message.id)
        branch = cast.branch(sender.raw, message.limit) if cast is not None else None
        if cast is None or branch is None:
            return
        branch.acked = True
        if message.need_bodies and branch.bodies_sent < MAX_BODIES_SENT:
            branch.bodies_sent += 1
            self._ctx.send(sender, Bodies(cast.id, cast.bodies))

    # ---- covering ---------------------------------------------------------------------------

    def on_covered(self, sender: NodeRef, message: Covered) -> None:
        """Note that a delegate's range is covered."""
        cast = self._casts.active(message.id)
        branch = cast.branch(sender.raw, message.limit) if cast is not None else None
        if cast is None or branch is None or branch.done:
            return
        cast.close(branch)
        branch.count = message.count
        branch.messages += message.messages
        branch.depth = message.depth
        branch.partial = message.partial
        branch.unreached = message.unreached
        branch.conflict, branch.lost = message.conflict, message.lost
        self._reports.heard(self._casts, cast, branch, message)
        self.check(cast)

    def check(self, cast: Cast) -> None:
        """Answer every waiter whose range is covered."""
        waiters = cast.waiters
        if cast.open or cast.searching:
            for waiter in list(waiters):
                if not cast.pending(waiter.end):
                    waiters.remove(waiter)
                    self._report(cast, waiter)
        else:
            # Nothing is under way, so there is no need to look at any branch.
            while waiters:
                self._report(cast, waiters.pop(0))
            self._casts.finish(cast)

    def _report(self, cast: Cast, waiter: Waiter) -> None:
        parent = waiter.parent
        another = bool(cast.told) and self._told_another(cast, waiter)
        # The other parent counts us and everything up to told_end; this one gets the rest.
        start, ourselves = (cast.told_end, 0) if another else (0, 1)
        found = cast.tally(start, waiter.end)
        cut_short = cast.ttl <= 0 and bool(self._routes.tree)
        missed = found.unreached or found.conflict or found.lost
        tally = Tally(
            found.count + ourselves,
            found.messages,
            found.depth,
            bool(found.partial or missed or cut_short),
            found.unreached[:MAX_UNREACHED],
            found.conflict,
            found.lost,
            found.witnesses,
        )
        if cast.mark is not None and ourselves:
            own = self._reports.own(cast.mark, cast)
            tally = structs.replace(tally, witnesses=[*own, *found.witnesses])
        if parent is not None:
            cast.told_end = max(cast.told_end, waiter.end)
            if not another:
                cast.told, cast.told_kind = parent.raw, waiter.kind
            report = tally.covered(cast.id, waiter.limit)
            self._ctx.effects.append(Send(parent, report))
            return
        self._in_flight -= len(cast.ops)
        self._reports.receipts(cast, tally)

    def _told_another(self, cast: Cast, waiter: Waiter) -> bool:
        """Return True if another live parent was told already, so that no node is counted twice.

        A range that comes by reassignment or extension belonged to a dead node. What we reported to
        that one, along the tree, is lost; what we reported over a repair edge reached a live node.
        """
        parent = waiter.parent
        if parent is None or cast.told == parent.raw:
            return False
        if waiter.kind in {EdgeKind.REASSIGN, EdgeKind.EXTEND} and cast.told_kind not in REPAIR:
            return False
        other = self._ctx.peers.get(cast.told)
        return other is not None and not self._ctx.peers.is_dead(other, self._ctx.now)

    # ---- time -------------------------------------------------------------------------------

    def tick(self) -> None:
        """Send acknowledgements that are due, chase silent delegates, forget old trees."""
        now = self._ctx.now
        for cast, waiter in self._ack_due.due(now):
            if waiter.parent is not None:
                self._ctx.send(waiter.parent, Ack(cast.id, waiter.limit, False))
        for cast, branch in self._first_check.due(now):
            if not branch.acked:
                self.repairs.resend(cast, branch)
            self.repairs.late.add((cast, branch), now)
        self.repairs.tick()
        self.headless.tick()
        self._casts.forget()

    # ---- news -------------------------------------------------------------------------------

    def _died(self, peer: NodeRef) -> None:
        self.repairs.died(peer)
        self.headless.died(peer)

    EVENTS: ClassVar[EventHandlers] = {
        Publish: publish,
        PublishAsking: publish,
    }

    MESSAGES: ClassVar[Handlers] = {
        Bcast: on_bcast,
        MarkedBcast: on_bcast,
        Covered: on_covered,
        MarkedCovered: on_covered,
        Ack: on_ack,
        Bodies: on_bodies,
    }

    HEARS: ClassVar[Hearers] = {
        PREDECESSOR_CHANGED: lambda self, _old: self.repairs.predecessor_changed(),
        DIED: _died,
        SURVIVED: lambda self, peer: self.repairs.survived(peer),
    }


def _carries(message: Bcast, bodies: list[bytes]) -> bool:
    """Return True if a broadcast brings, or promises, exactly these bodies."""
    if message.bodies is not None:
        return message.bodies == bodies
    return message.count == len(bodies) and message.digest == digest_of(bodies)
