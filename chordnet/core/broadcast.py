"""Broadcast along the finger tables' spanning tree, with acknowledgement, receipt and repair.

Base: a node responsible for the range (self, limit) sends to each distinct finger in it, with the
next finger as that one's limit: N - 1 messages in a depth of about log2 N (El-Ansary, Alima,
Brand, Haridi, "Efficient broadcast in structured P2P networks", IPTPS 2003). On top of it:

- *COVERED*: a node that has recorded the message and whose every delegate has reported its range
  covered reports its own. The origin thereby knows that everybody has it, and how.
- *ACK*: sent only when COVERED would be late, so a healthy tree costs N - 1 messages down and
  N - 1 up.
- *Repair*: a delegate that stays silent is sent the message once more, then probed. When it is
  dead, successor(its id) takes its range over (*reassign*), if that lies in the range.
- *Extension*: a node given a range beyond the one it already covers delegates only the rest.
- *Back-fill*: a node reached through its predecessor's successor pointer that knows a newer
  predecessor in between passes the message back to it; so does a node that adopts a predecessor
  while a message is fresh. Repair edges carry no body; it is asked for if it is missing.

A message's route is fixed when it is first accepted: the sender's own stored route and this node.
Each node records a message once (:mod:`chordnet.core.ledger`).
"""

from __future__ import annotations

from typing import Protocol

from chordnet.core.cast import Branch, Cast, Waiter
from chordnet.core.context import Context
from chordnet.core.detector import Detector
from chordnet.core.effects import BroadcastDone, Misbehaved, Record
from chordnet.core.events import Publish
from chordnet.core.identifiers import between
from chordnet.core.ledger import Ledger
from chordnet.core.lookup import Lookups, Purpose, Result
from chordnet.core.messages import (
    Ack,
    Bcast,
    Body,
    Covered,
    EdgeKind,
    Hop,
    MessageId,
    NodeRef,
)  # fmt: skip
from chordnet.core.routing import Routes
from chordnet.core.successors import Ring
from chordnet.core.timers import Expiry

MAX_HEADLESS = 1024
"""Messages whose body has been asked for."""
MAX_SEARCH_TRIES = 3
MAX_UNREACHED = 32
"""Unreached nodes that a report names; more are only counted as partial."""
MAX_BACKFILL = 256
"""Fresh messages passed back to a new predecessor."""
REPAIR = frozenset({EdgeKind.REASSIGN, EdgeKind.EXTEND, EdgeKind.BACKFILL})


class BroadcastHooks(Protocol):
    """What broadcast asks of its node."""

    def is_member(self) -> bool: ...


class Broadcasts:
    """All broadcasts that this node takes part in."""

    def __init__(
        self,
        ctx: Context,
        ring: Ring,
        routes: Routes,
        lookups: Lookups,
        detector: Detector,
        hooks: BroadcastHooks,
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._routes = routes
        self._lookups = lookups
        self._detector = detector
        self._hooks = hooks
        config = ctx.config
        self.ledger = Ledger(config.max_ledger_window, config.max_origins)
        self.recorded = 0
        self._sequence = 0
        self._casts: dict[MessageId, Cast] = {}
        self._finished: dict[MessageId, Cast] = {}
        self._headless: dict[MessageId, list[tuple[NodeRef, Bcast]]] = {}
        self._searches: dict[int, tuple[MessageId, Branch | None, int, int]] = {}
        self._ack_due: Expiry[tuple[Cast, Waiter]] = Expiry(config.ack_delay_s, _still_waits)
        self._first_check: Expiry[tuple[Cast, Branch]] = Expiry(config.ack_timeout_s, _still_open)
        self._later_check: Expiry[tuple[Cast, Branch]] = Expiry(config.covered_check_s, _still_open)
        self._memory: Expiry[MessageId] = Expiry(
            config.broadcast_memory_s, self._finished.__contains__
        )

        queues = (self._ack_due, self._first_check, self._later_check, self._memory)
        self.clocks = tuple(queue.next for queue in queues)
        """Each says when something of ours is due."""

    @property
    def under_way(self) -> int:
        """How many broadcasts are not covered yet."""
        return len(self._casts)

    # ---- publishing -------------------------------------------------------------------------

    def publish(self, event: Publish) -> None:
        """Broadcast a message of this node's own program."""
        ctx, config = self._ctx, self._ctx.config
        if not self._hooks.is_member():
            self._fail(event.op, "not in a ring")
        elif len(event.body) > config.max_body_bytes:
            self._fail(event.op, f"the message is longer than {config.max_body_bytes} bytes")
        elif len(self._casts) >= config.max_broadcasts:
            self._fail(event.op, "busy")
        else:
            self._sequence += 1
            message_id = MessageId(ctx.me.raw, ctx.me.incarnation, self._sequence)
            cast = self._record(message_id, event.wall, event.body, [], EdgeKind.ORIGIN)
            cast.op, cast.ttl = event.op, config.max_hops
            cast.waiters.append(Waiter(None, ctx.me.raw, ctx.space.size))
            self._fan(cast, ctx.space.size, ctx.me.raw)
            self._check(cast)

    def _fail(self, op: int, reason: str) -> None:
        self._ctx.effects.append(BroadcastDone(op, None, reason=reason))

    def _record(
        self, message_id: MessageId, created: float, body: bytes, hops: list[Hop], kind: int
    ) -> Cast:
        ctx = self._ctx
        route = [*hops, Hop(ctx.me.raw, ctx.me.name, int(kind))]
        self.ledger.add(message_id)
        self.recorded += 1
        ctx.effects.append(Record(message_id, created, body, route))
        deadline = ctx.now + ctx.config.broadcast_deadline_s
        cast = Cast(message_id, created, body, route, 0, deadline)
        self._casts[message_id] = cast
        return cast

    # ---- delegating -------------------------------------------------------------------------

    def _fan(self, cast: Cast, end: int, limit: bytes) -> None:
        """Cover the distances up to ``end`` (``limit`` on the wire), farthest child first."""
        cast.cover = end
        if cast.ttl <= 0:
            return
        for distance, node, kind in reversed(self._routes.tree):
            if distance < end:
                self._delegate(cast, Branch(node, limit, distance, end, kind))
                end, limit = distance, node.raw

    def _delegate(self, cast: Cast, branch: Branch) -> None:
        cast.add(branch)
        self._send(cast, branch, header_only=branch.kind in REPAIR)
        self._first_check.add((cast, branch), self._ctx.now)

    def _send(self, cast: Cast, branch: Branch, *, header_only: bool) -> None:
        branch.messages += 1
        self._ctx.send(
            branch.child,
            Bcast(
                cast.id, cast.created, cast.ttl - 1, branch.limit, int(branch.kind), cast.route,
                None if header_only else cast.body,
            ),
        )  # fmt: skip

    # ---- receiving --------------------------------------------------------------------------

    def received(self, sender: NodeRef, message: Bcast) -> None:
        """A range of a broadcast is given to us."""
        fault = self._fault(sender, message)
        if fault:
            self._ctx.effects.append(Misbehaved(sender, fault))
            return
        cast = self._casts.get(message.id) or self._finished.get(message.id)
        if cast is not None:
            self._again(cast, sender, message)
        elif message.id in self.ledger:
            # Covered and forgotten since.
            self._ctx.send(
                sender, Covered(message.id, message.limit, 1, 0, len(message.hops), False, [])
            )
        elif message.body is None:
            self._want_body(sender, message)
        else:
            self._first(sender, message, message.body)

    def _fault(self, sender: NodeRef, message: Bcast) -> str:
        config, width = self._ctx.config, self._ctx.space.width
        if len(message.limit) != width or len(message.id.origin) != width:
            return "broadcast with an identifier of the wrong width"
        if not message.hops or len(message.hops) > config.max_hops:
            return "broadcast with a route of no or too many hops"
        if message.hops[-1].raw != sender.raw:
            return "broadcast whose route does not end at its sender"
        if message.body is not None and len(message.body) > config.max_body_bytes:
            return "broadcast with a body that is too long"
        return ""

    def _end(self, limit: bytes) -> int:
        ctx = self._ctx
        return (int.from_bytes(limit) - ctx.my_id) % ctx.space.size or ctx.space.size

    def _first(self, sender: NodeRef, message: Bcast, body: bytes) -> None:
        ctx = self._ctx
        cast = self._record(message.id, message.created, body, message.hops, message.kind)
        cast.ttl = message.ttl
        end = self._end(message.limit)
        waiter = Waiter(sender, message.limit, end)
        cast.waiters.append(waiter)
        self._fan(cast, end, message.limit)
        before = self._ring.predecessor
        if before is not None and self._may_lack(before, sender, message):
            self._backfill(cast, before)
        if cast.branches:
            self._ack_due.add((cast, waiter), ctx.now)
        self._check(cast)

    def _may_lack(self, before: NodeRef, sender: NodeRef, message: Bcast) -> bool:
        """Tell whether our predecessor came in so lately that the tree may have passed it by."""
        if before.raw in (sender.raw, self._ctx.me.raw):
            return False
        if message.kind == EdgeKind.SUCCESSOR:
            return between(sender.id, before.id, self._ctx.my_id)
        return message.kind == EdgeKind.BACKFILL and all(h.raw != before.raw for h in message.hops)

    def _again(self, cast: Cast, sender: NodeRef, message: Bcast) -> None:
        """A message that we have: from another parent, once more, or for a wider range."""
        self._casts[cast.id] = cast
        self._finished.pop(cast.id, None)
        end = self._end(message.limit)
        if not any(w.parent is not None and w.parent.raw == sender.raw and w.limit == message.limit
                   for w in cast.waiters):  # fmt: skip
            cast.waiters.append(Waiter(sender, message.limit, end))
        if end > cast.cover:
            start, cast.cover = cast.cover, end
            if message.kind != EdgeKind.BACKFILL or start == 0:
                self._search(cast, Purpose.EXTEND, None, start, end, message.limit)
        if cast.pending(end):
            self._ctx.send(sender, Ack(cast.id, message.limit, False))
        self._check(cast)

    # ---- bodies -----------------------------------------------------------------------------

    def _want_body(self, sender: NodeRef, message: Bcast) -> None:
        waiting = self._headless.setdefault(message.id, [])
        if len(self._headless) > MAX_HEADLESS:
            self._headless.pop(next(iter(self._headless)))
        if len(waiting) < self._ctx.config.successors:
            waiting.append((sender, message))
        self._ctx.send(sender, Ack(message.id, message.limit, True))

    def body(self, sender: NodeRef, message: Body) -> None:
        """The body that we asked for has come."""
        if len(message.body) > self._ctx.config.max_body_bytes:
            self._ctx.effects.append(Misbehaved(sender, "a body that is too long"))
            return
        for parent, header in self._headless.pop(message.id, []):
            cast = self._casts.get(message.id) or self._finished.get(message.id)
            if cast is not None:
                self._again(cast, parent, header)
            elif message.id not in self.ledger:
                self._first(parent, header, message.body)

    def acknowledged(self, sender: NodeRef, message: Ack) -> None:
        """A delegate has taken its range on."""
        cast = self._casts.get(message.id) or self._finished.get(message.id)
        if cast is None:
            return
        branch = cast.branch(sender.raw, message.limit)
        if branch is not None:
            branch.acked = True
            if message.need_body:
                self._ctx.send(sender, Body(cast.id, cast.body))

    # ---- covering ---------------------------------------------------------------------------

    def covered(self, sender: NodeRef, message: Covered) -> None:
        """A delegate's range is covered."""
        cast = self._casts.get(message.id)
        branch = cast.branch(sender.raw, message.limit) if cast is not None else None
        if cast is None or branch is None or branch.done:
            return
        cast.close(branch)
        branch.count = message.count
        branch.messages += message.messages
        branch.depth = message.depth
        branch.partial = message.partial
        branch.unreached = message.unreached
        self._check(cast)

    def _check(self, cast: Cast) -> None:
        """Answer every waiter whose range is covered."""
        waiters = cast.waiters
        if len(waiters) == 1 and not cast.open and not cast.searching:
            self._report(cast, waiters.pop())
        else:
            for waiter in list(waiters):
                if not cast.pending(waiter.end):
                    waiters.remove(waiter)
                    self._report(cast, waiter)
        if cast.finished() and self._casts.pop(cast.id, None) is not None:
            self._finished[cast.id] = cast
            self._memory.add(cast.id, self._ctx.now)
            if len(self._finished) > self._ctx.config.max_casts:
                del self._finished[next(iter(self._finished))]

    def _report(self, cast: Cast, waiter: Waiter) -> None:
        ctx = self._ctx
        # What another parent, still alive, was told already must not be counted twice.
        start = 0
        counted = 1
        if cast.reported_to is not None:
            parent, end = cast.reported_to
            told_other = waiter.parent is not None and parent.raw != waiter.parent.raw
            if told_other and not ctx.peers.is_dead(parent, ctx.now):
                start, counted = end, 0
        count, messages, depth = counted, 0, len(cast.route) - 1
        partial, unreached = cast.ttl <= 0 and bool(self._routes.tree), []
        for branch in cast.branches:
            if start <= branch.start < waiter.end or (branch.start < 0 and not start):
                count += branch.count
                messages += branch.messages
                depth = max(depth, branch.depth)
                partial = partial or branch.partial
                unreached += branch.unreached
        partial = partial or bool(unreached)
        unreached = unreached[:MAX_UNREACHED]
        if waiter.parent is not None:
            cast.reported_to = (waiter.parent, waiter.end)
            ctx.send(
                waiter.parent,
                Covered(cast.id, waiter.limit, count, messages, depth, partial, unreached),
            )
        elif cast.op is not None:
            done = BroadcastDone(cast.op, cast.id, count, messages, depth, partial, unreached)
            ctx.effects.append(done)

    # ---- repair -----------------------------------------------------------------------------

    def died(self, peer: NodeRef) -> None:
        """``peer`` is dead: others take over what it was given."""
        for cast in list(self._casts.values()):
            for branch in list(cast.branches):
                if not branch.done and branch.child.raw == peer.raw:
                    self._reassign(cast, branch)
            for waiter in list(cast.waiters):
                if waiter.parent is not None and waiter.parent.raw == peer.raw:
                    cast.waiters.remove(waiter)
            self._check(cast)

    def survived(self, peer: NodeRef) -> None:
        """``peer`` was suspected and lives: it may have missed what it was sent."""
        for cast in self._casts.values():
            for branch in cast.branches:
                if not branch.done and not branch.acked and branch.child.raw == peer.raw:
                    self._send(cast, branch, header_only=False)

    def _reassign(self, cast: Cast, branch: Branch) -> None:
        cast.close(branch)
        self._search(cast, Purpose.REASSIGN, branch, branch.start, branch.end, branch.limit)

    def _search(
        self, cast: Cast, purpose: Purpose, branch: Branch | None, start: int, end: int,
        limit: bytes, tries: int = 0,
    ) -> None:  # fmt: skip
        """Find the first live node at or after ``start`` to give the range up to ``end`` to."""
        ctx = self._ctx
        tag = ctx.rid()
        cast.searching[tag] = start
        self._searches[tag] = (cast.id, branch, tries, self._end(limit))
        key = branch.child.id if branch is not None else (ctx.my_id + start) % ctx.space.size
        ctx.counters["broadcast_repairs"] += 1
        self._lookups.start(purpose, tag, key)

    def looked_up(self, result: Result) -> None:
        """A repair's lookup has ended."""
        message_id, branch, tries, end = self._searches.pop(result.tag, (None, None, 0, 0))
        cast = self._casts.get(message_id) if message_id is not None else None
        if cast is None:
            return
        start = cast.searching.pop(result.tag, 0)
        self._take_over(cast, branch, tries, start, end, result)
        self._check(cast)

    def _take_over(
        self, cast: Cast, branch: Branch | None, tries: int, start: int, end: int, result: Result
    ) -> None:
        ctx, heir = self._ctx, result.node
        purpose = result.purpose
        limit = (
            branch.limit
            if branch is not None
            else ctx.space.raw((ctx.my_id + end) % ctx.space.size)
        )
        if heir is None or ctx.peers.is_dead(heir, ctx.now):
            if tries < MAX_SEARCH_TRIES:
                self._search(cast, purpose, branch, start, end, limit, tries + 1)
            else:
                self._give_up(cast, branch, start, end)
            return
        if heir.raw == ctx.me.raw:
            return
        outside = branch is not None and branch.start < 0
        distance = ctx.distance(heir)
        if outside and branch is not None:
            if between(branch.child.id, heir.id, ctx.my_id):
                self._delegate(cast, Branch(heir, limit, -1, 0, EdgeKind.BACKFILL))
        elif start <= distance < end:
            kind = EdgeKind.EXTEND if purpose == Purpose.EXTEND else EdgeKind.REASSIGN
            self._delegate(cast, Branch(heir, limit, distance, end, kind))

    def _give_up(self, cast: Cast, branch: Branch | None, start: int, end: int) -> None:
        if branch is None:
            branch = Branch(self._ctx.me, b"", start, end, EdgeKind.EXTEND)
            cast.add(branch)
        else:
            branch.unreached = [branch.child]
        branch.partial = True
        cast.close(branch)

    def predecessor_changed(self, new: NodeRef) -> None:
        """Pass fresh messages back to a node that has just come in before us."""
        fresh = [*self._finished.values(), *self._casts.values()][-MAX_BACKFILL:]
        for cast in fresh:
            if all(hop.raw != new.raw for hop in cast.route):
                self._finished.pop(cast.id, None)
                self._casts[cast.id] = cast
                self._backfill(cast, new)

    def _backfill(self, cast: Cast, node: NodeRef) -> None:
        self._delegate(cast, Branch(node, self._ctx.me.raw, -1, 0, EdgeKind.BACKFILL))

    # ---- time -------------------------------------------------------------------------------

    def tick(self) -> None:
        """Send late acknowledgements, look after silent delegates, forget old trees."""
        now = self._ctx.now
        for cast, waiter in self._ack_due.due(now):
            if waiter.parent is not None:
                self._ctx.send(waiter.parent, Ack(cast.id, waiter.limit, False))
        for cast, branch in self._first_check.due(now):
            if not branch.acked:
                self._send(cast, branch, header_only=False)
            self._later_check.add((cast, branch), now)
        for cast, branch in self._later_check.due(now):
            self._look_after(cast, branch)
        for message_id in self._memory.due(now):
            self._finished.pop(message_id, None)

    def _look_after(self, cast: Cast, branch: Branch) -> None:
        """A delegate is late: is it alive, and does it still have the range in hand?"""
        if self._ctx.now >= cast.deadline:
            self._give_up(cast, branch, branch.start, branch.end)
            self._check(cast)
            return
        self._detector.suspect(branch.child)
        self._send(cast, branch, header_only=branch.acked)
        self._later_check.add((cast, branch), self._ctx.now)


def _still_waits(entry: tuple[Cast, Waiter]) -> bool:
    return entry[1] in entry[0].waiters


def _still_open(entry: tuple[Cast, Branch]) -> bool:
    return not entry[1].done
