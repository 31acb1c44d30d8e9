"""One broadcast as one node sees it: its range, its delegates, and the nodes it must report to.

Ranges are kept as clockwise distances from this node: a node responsible for ``(self, limit)``
covers the distances ``0 < d < cover``; the whole ring is ``2**bits``.

:class:`Casts` has all broadcasts that a node knows of: those under way, and a bounded memory of
finished ones. A finished broadcast is kept as a small record for ``broadcast_memory_s``, or as long
as it may be sent again if that is longer: to answer late copies, and to pass it on to a predecessor
that has just come in. Asking for it turns it into a :class:`Cast` under way again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from chordnet.core.base.effects import BroadcastDone
from chordnet.core.base.limits import MAX_WITNESS_BYTES, MAX_WITNESSES
from chordnet.core.base.messages import (
    Covered,
    Detour,
    EdgeKind,
    Hop,
    MarkedCovered,
    MessageId,
    NodeRef,
    Witness,
    witness_bytes,
)
from chordnet.core.base.outcomes import Failed
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.timers import LEISURE_S, Expiry
from chordnet.core.seals.sealing import Mark

HOP_BYTES = 512
"""Assumed cost of a hop, with room for the longest name: names are not measured, because this is
computed for every broadcast."""


def cost_of(
    bodies: list[bytes], route: list[Hop], detours: list[Detour], mark: Mark | None = None
) -> int:
    """Return about how many bytes a broadcast takes up in memory."""
    cost = sum(map(len, bodies)) + 64 * len(bodies) + HOP_BYTES * len(route)
    if mark is not None:
        # The tree over the bodies has twice as many hashes as there are bodies.
        cost += mark.bytes + 160 * len(bodies)
    return cost + HOP_BYTES * sum(len(each.hops) for each in detours) if detours else cost


def marked(report: Covered, witnesses: list[Witness]) -> MarkedCovered:
    """Return a report with the names of nodes; with as many as fit if there are too many."""
    room, fit = MAX_WITNESS_BYTES, 0
    for each in witnesses[:MAX_WITNESSES]:
        room -= witness_bytes([each])
        if room < 0:
            break
        fit += 1
    return MarkedCovered(
        report.id,
        report.limit,
        report.count,
        report.messages,
        report.depth,
        report.partial,
        report.unreached,
        report.conflict,
        report.lost,
        witnesses[:fit],
    )


class Branch:
    """A range that was delegated to a child. Its answer is COVERED with the same limit."""

    __slots__ = (
        "acked",
        "bodies_sent",
        "child",
        "conflict",
        "count",
        "depth",
        "done",
        "end",
        "kind",
        "limit",
        "looks",
        "lost",
        "messages",
        "partial",
        "resent",
        "start",
        "unreached",
        "witnesses",
    )

    def __init__(self, child: NodeRef, limit: bytes, start: int, end: int, kind: EdgeKind) -> None:
        self.child = child
        self.limit = limit
        self.start = start
        self.end = end
        self.kind = kind
        self.resent = 0
        """How often the message was sent again because no acknowledgement came."""
        self.looks = 0
        """How often it was found to be late."""
        self.bodies_sent = 0
        """How often the child was sent the bodies that a header left out."""
        self.acked = False
        self.done = False
        self.count = 0
        self.messages = 0
        self.depth = 0
        self.partial = False
        self.unreached: list[NodeRef] = []
        self.witnesses: list[Witness] = []
        self.conflict = 0
        self.lost = 0

    def missed(self, node: NodeRef | None) -> None:
        """Count the range as not covered, because of ``node``."""
        self.partial = True
        self.unreached = [node] if node is not None else []


class Waiter:
    """The node that gave us a range and is owed a COVERED; without ``parent``, our own program."""

    __slots__ = ("end", "kind", "limit", "parent")

    def __init__(
        self, parent: NodeRef | None, limit: bytes, end: int, kind: int = EdgeKind.ORIGIN
    ) -> None:
        self.parent = parent
        self.limit = limit
        self.end = end
        self.kind = kind


class Tally(msgspec.Struct, frozen=True, gc=False):
    """The result for a range: nodes that recorded the message, messages spent, deepest edge."""

    count: int
    messages: int
    depth: int
    partial: bool
    unreached: list[NodeRef]
    conflict: int = 0
    lost: int = 0
    witnesses: list[Witness] = []

    def covered(self, first: MessageId, limit: bytes) -> Covered:
        """Return the report to the node that gave the range up to ``limit``."""
        report = Covered(
            first,
            limit,
            self.count,
            self.messages,
            self.depth,
            self.partial,
            self.unreached,
            self.conflict,
            self.lost,
        )
        return marked(report, self.witnesses) if self.witnesses else report

    def receipt(self, op: int, message: MessageId, shared: int) -> BroadcastDone:
        """Return the receipt of one message for our own program.

        :param op: the program's number for it.
        :param shared: how many messages shared the tree.
        """
        return BroadcastDone(
            op,
            message,
            self.count,
            self.messages,
            self.depth,
            self.partial,
            self.unreached,
            shared,
            Failed.NO,
            self.conflict,
            self.lost,
        )


class Finished(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of a covered broadcast: little, because there are many."""

    id: MessageId
    created: float
    bodies: list[bytes]
    route: list[Hop]
    ttl: int
    cover: int
    tally: Tally
    told: bytes
    """Raw identifier of the parent that counts this node; empty for our own program."""
    told_end: int
    told_kind: int
    detours: list[Detour]
    cost: int
    """About how many bytes it takes up."""
    mark: Mark | None = None


class Cast:
    """The state of one broadcast at this node until every report is sent and no search is open.

    A broadcast is one or more messages of one origin that travel together.

    :param message_id: the first message.
    :param route: this node's recorded route, from the origin to itself.
    :param ttl: how many more hops it may travel.
    :param deadline: when ranges that are not covered are given up as unreached.
    :param detours: the messages that were recorded with another route.
    :param mark: what it carries besides its messages.
    """

    __slots__ = (
        "bodies",
        "branches",
        "cost",
        "cover",
        "created",
        "deadline",
        "detours",
        "id",
        "mark",
        "open",
        "ops",
        "past",
        "route",
        "searching",
        "told",
        "told_end",
        "told_kind",
        "ttl",
        "waiters",
        "whole",
    )

    def __init__(
        self,
        message_id: MessageId,
        created: float,
        bodies: list[bytes],
        route: list[Hop],
        ttl: int,
        deadline: float,
        detours: list[Detour],
        mark: Mark | None = None,
    ) -> None:
        self.id = message_id
        self.created = created
        self.bodies = bodies
        self.route = route
        self.ttl = ttl
        self.deadline = deadline
        self.detours = detours
        self.mark = mark
        self.cost = cost_of(bodies, route, detours, mark)
        """About how many bytes it takes up."""
        self.cover = 0
        self.ops: list[int] = []
        """Our own program's numbers for the messages, if it published them."""
        self.branches: list[Branch] = []
        self.open = 0
        """How many branches are not done."""
        self.waiters: list[Waiter] = []
        self.searching: dict[int, int] = {}
        """Lookups under way for this cast: their tag -> the distance where their range starts."""
        self.told = b""
        self.told_end = 0
        self.told_kind = int(EdgeKind.ORIGIN)
        """The parent (raw) that counts this node, the distance up to which a report was sent, and
        the kind of the edge from that parent.
        """
        self.whole: Tally | None = None
        """What the whole range came to, if that was summed up since the last branch was added."""
        self.past: Finished | None = None
        """What was covered before this broadcast was resumed."""

    @classmethod
    def resumed(cls, past: Finished, deadline: float) -> Cast:
        """Resume a finished broadcast."""
        cast = cls(
            past.id,
            past.created,
            past.bodies,
            past.route,
            past.ttl,
            deadline,
            past.detours,
            past.mark,
        )
        cast.cost = past.cost
        cast.cover, cast.past = past.cover, past
        cast.told, cast.told_end, cast.told_kind = past.told, past.told_end, past.told_kind
        return cast

    def finish(self) -> Finished:
        """Return what to remember."""
        return Finished(
            self.id,
            self.created,
            self.bodies,
            self.route,
            self.ttl,
            self.cover,
            self.tally(0, self.cover + 1),
            self.told,
            self.told_end,
            self.told_kind,
            self.detours,
            self.cost,
            self.mark,
        )

    def tally(self, start: int, end: int) -> Tally:
        """Sum up what was covered from distance ``start`` to ``end``.

        Back-fills lie before distance 0, and are counted with what begins there.
        """
        # Nothing of a branch changes any more once it is closed.
        whole = not start and end >= self.cover and not self.open
        if whole and self.whole is not None:
            return self.whole
        count, messages, depth, partial = 0, 0, len(self.route) - 1, False
        conflict = lost = 0
        unreached: list[NodeRef] = []
        witnesses: list[Witness] = []
        for branch in self.branches:
            if start <= branch.start < end or (branch.start < 0 and not start):
                count += branch.count
                messages += branch.messages
                depth = max(depth, branch.depth)
                partial = partial or branch.partial
                conflict += branch.conflict
                lost += branch.lost
                if branch.unreached:
                    unreached += branch.unreached
                if branch.witnesses:
                    witnesses += branch.witnesses
        if self.past is not None and not start:
            past = self.past.tally
            count, messages = count + past.count, messages + past.messages
            depth, partial = max(depth, past.depth), partial or past.partial
            conflict, lost = conflict + past.conflict, lost + past.lost
            witnesses = [*past.witnesses, *witnesses]
        tally = Tally(count, messages, depth, partial, unreached, conflict, lost, witnesses)
        if whole:
            self.whole = tally
        return tally

    def add(self, branch: Branch) -> None:
        """Wait for one more branch."""
        self.branches.append(branch)
        self.open += 1
        self.whole = None

    def close(self, branch: Branch) -> None:
        """Wait for ``branch`` no longer."""
        if not branch.done:
            branch.done = True
            self.open -= 1

    def pending(self, end: int) -> bool:
        """Return True if anything below distance ``end`` has not been covered yet."""
        if not self.open and not self.searching:
            return False
        # Whatever is open lies below ``cover``, so a wide range needs no look at the branches.
        return end >= self.cover or (
            any(not b.done and b.start < end for b in self.branches)
            or any(start < end for start in self.searching.values())
        )

    @property
    def idle(self) -> bool:
        """Whether no report is owed and nothing is under way."""
        return not (self.waiters or self.open or self.searching)

    def branch(self, child: bytes, limit: bytes) -> Branch | None:
        """Return the branch that a child's answer belongs to.

        There may be two, because a range may come back to a child that was believed dead. The open
        one is meant.
        """
        found = None
        for branch in self.branches:
            if branch.limit == limit and branch.child.raw == child:
                if not branch.done:
                    return branch
                found = branch
        return found


class _Share:
    """What one origin has of the broadcasts under way."""

    __slots__ = ("bytes", "trees")

    def __init__(self) -> None:
        self.trees = 0
        self.bytes = 0


class Casts:
    """Broadcasts by message id."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._active: dict[MessageId, Cast] = {}
        self.active: Callable[[MessageId], Cast | None] = self._active.get
        """Returns a broadcast that is under way."""
        self._shares: dict[bytes, _Share] = {}
        """What each origin has of those that are under way."""
        self._finished: dict[MessageId, Finished] = {}
        self._finished_bytes = 0
        self.active_bytes = 0
        """About how many bytes those under way take up."""
        # Until its deadline it may be sent again, and would be taken for a new broadcast.
        memory_s = max(ctx.config.broadcast_memory_s, ctx.config.broadcast_deadline_s)
        self.memory: Expiry[MessageId] = Expiry(memory_s, self._finished.__contains__, LEISURE_S)

    def __len__(self) -> int:
        return len(self._active)

    def __iter__(self) -> Iterator[Cast]:
        return iter(list(self._active.values()))

    def add(self, cast: Cast) -> None:
        """Add a broadcast that is under way."""
        self._active[cast.id] = cast
        self.active_bytes += cast.cost
        share = self._shares.get(cast.id.origin)
        if share is None:
            share = self._shares[cast.id.origin] = _Share()
        share.trees += 1
        share.bytes += cast.cost

    def get(self, message_id: MessageId) -> Cast | None:
        """Return a broadcast; resume it if it is finished."""
        cast = self._active.get(message_id)
        if cast is None and (past := self._take(message_id)) is not None:
            cast = self._resume(past)
        return cast

    def fresh(self, limit: int) -> list[Cast]:
        """Return the newest broadcasts, finished ones first, and resume those."""
        active = list(self._active.values())
        recent = list(self._finished)[max(0, len(self._finished) + len(active) - limit) :]
        taken = [past for key in recent if (past := self._take(key)) is not None]
        return [*map(self._resume, taken), *active][-limit:]

    def finish(self, cast: Cast) -> None:
        """Move a broadcast to the finished ones if it is idle."""
        if cast.idle and self._active.pop(cast.id, None) is not None:
            self.active_bytes -= cast.cost
            share = self._shares[cast.id.origin]
            share.trees -= 1
            share.bytes -= cast.cost
            if not share.trees:
                del self._shares[cast.id.origin]
            self.keep(cast.finish())

    def weigh(self, cast: Cast, more: int) -> None:
        """Note that a broadcast under way takes up ``more`` bytes than before."""
        cast.cost += more
        self.active_bytes += more

    @property
    def full(self) -> bool:
        """Whether there is no room for another one under way."""
        config = self._ctx.config
        return (
            len(self._active) >= 2 * config.max_casts
            or self.active_bytes >= config.max_active_bytes
        )

    def refuses(self, origin: bytes) -> bool:
        """Return True if there is no room for another one of ``origin`` under way.

        An origin has at most half of the room, which is as much as an honest one can use: so
        however much it sends, there is room for the broadcasts of others.
        """
        if self.full:
            return True
        share = self._shares.get(origin)
        if share is None:
            return False
        config = self._ctx.config
        return share.trees >= config.max_casts or share.bytes >= config.max_active_bytes // 2

    def keep(self, finished: Finished) -> None:
        """Remember a covered broadcast, and forget the oldest ones if there is no room."""
        config = self._ctx.config
        self._finished[finished.id] = finished
        self._finished_bytes += finished.cost
        self.memory.add(finished.id, self._ctx.now)
        while len(self._finished) > config.max_casts or (
            self._finished_bytes > config.max_cast_bytes and len(self._finished) > 1
        ):
            self._take(next(iter(self._finished)))

    def forget(self) -> None:
        """Forget finished broadcasts that have expired."""
        for message_id in self.memory.due(self._ctx.now):
            self._take(message_id)

    def _take(self, message_id: MessageId) -> Finished | None:
        """Remove a finished broadcast and return it; None if there is none."""
        past = self._finished.pop(message_id, None)
        if past is not None:
            self._finished_bytes -= past.cost
        return past

    def _resume(self, past: Finished) -> Cast:
        deadline = self._ctx.now + self._ctx.config.broadcast_deadline_s
        cast = Cast.resumed(past, deadline)
        self.add(cast)
        return cast
