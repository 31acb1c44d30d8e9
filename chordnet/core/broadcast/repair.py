"""Repair of a broadcast under way: which node takes over the range of a dead delegate.

- A delegate is dead: look up successor(its id). If that node lies in the delegate's range, give it
  the rest of the range (*reassign*); otherwise the range is empty.
- A range extends beyond the one already covered: look up its first node and give it the range
  (*extend*).
- The successor is in doubt: look up the first node of our range and give it the range (*extend*).
  If the lookup fails, or ends beyond the successor, repeat it at each ``covered_check_s`` until the
  successor has answered and names no live node between us. If it never does, report it as
  unreached.
- A live delegate does not accept the message after ``MAX_RESENDS`` more attempts (it may crash
  whenever it reads it): report it as unreached, and extend to what lies beyond it.
- A delegate is late: probe it at each ``covered_check_s`` and send it the message again, less and
  less often after ``PROMPT_LOOKS`` looks. Report a range that is not covered by the deadline of the
  broadcast as unreached.
- The predecessor is new: give it fresh messages (*backfill*), whose range lies before this node. As
  long as its own predecessor does not know it, do so for messages that come over any edge.

Source: protocol of El-Ansary et al. (IPTPS 2003) for the tree; the repair is chordnet's own.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from chordnet.core.base.effects import TraceKind
from chordnet.core.base.identifiers import between
from chordnet.core.base.messages import EdgeKind, MessageId, NodeRef
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.broadcast.cast import Branch, Cast, Casts
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.timers import Expiry
from chordnet.core.lookup.lookup import Lookups, Purpose, Result
from chordnet.core.ring.pointers import Pointers

MAX_TRIES = 3
"""Lookups for one heir before its range counts as unreached."""
MAX_RESENDS = 8
"""How often a message is sent again to a live delegate that does not acknowledge it."""
PROMPT_LOOKS = 8
"""Looks in a row at which a delegate that works on its range is asked; then the pause doubles."""
MAX_BACKFILL = 256
"""Fresh messages passed back to one new predecessor."""


@attrs.frozen
class _Search:
    """A lookup of the node that is to be given the range ``[start, end)``."""

    message: MessageId
    purpose: Purpose
    branch: Branch | None
    start: int
    end: int
    limit: bytes
    tries: int = 0
    """Lookups that have failed so far."""
    doubt: bool = False
    """The reason is that the successor is in doubt."""


class Tree(Protocol):
    """What repair asks of the broadcast machine."""

    def delegate(self, cast: Cast, branch: Branch) -> None: ...
    def send(self, cast: Cast, branch: Branch, *, header_only: bool) -> None: ...
    def check(self, cast: Cast) -> None: ...
    def trace(self, cast: Cast, what: TraceKind, peer: NodeRef) -> None: ...


class Repairs:
    """The repairs of one node's broadcasts."""

    def __init__(
        self,
        ctx: Context,
        casts: Casts,
        ring: Pointers,
        lookups: Lookups,
        detector: Detector,
        tree: Tree,
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._casts = casts
        self._lookups = lookups
        self._detector = detector
        self._tree = tree
        self._searches: dict[int, _Search] = {}
        for purpose in (Purpose.REASSIGN, Purpose.EXTEND):
            lookups.handle(purpose, self.looked_up)
        self.late: Expiry[tuple[Cast, Branch]] = Expiry(ctx.config.covered_check_s, still_open)
        self.doubts: Expiry[tuple[Cast, int, _Search]] = Expiry(
            ctx.config.covered_check_s, lambda entry: entry[1] in entry[0].searching
        )

    # ---- deaths -----------------------------------------------------------------------------

    def died(self, peer: NodeRef) -> None:
        """Give the ranges of ``peer``, which is dead, to others; owe it no reports."""
        for cast in self._casts:
            # A copy: a lookup may fail before it returns, which adds a branch.
            for branch in list(cast.branches):
                if not branch.done and branch.child.raw == peer.raw:
                    self._reassign(cast, branch)
            cast.waiters = [w for w in cast.waiters if w.parent is None or w.parent.raw != peer.raw]
            self._tree.check(cast)

    def survived(self, peer: NodeRef) -> None:
        """Send ``peer``, which was suspected and lives, what it may have missed."""
        for cast in self._casts:
            for branch in cast.branches:
                if not branch.done and not branch.acked and branch.child.raw == peer.raw:
                    self.resend(cast, branch)
            self._tree.check(cast)

    def resend(self, cast: Cast, branch: Branch) -> None:
        """Send a message that was not acknowledged again, or go on without the delegate."""
        if branch.resent < MAX_RESENDS:
            branch.resent += 1
            self._tree.trace(cast, TraceKind.RESENT, branch.child)
            self._tree.send(cast, branch, header_only=False)
            return
        self._tree.trace(cast, TraceKind.GAVE_UP, branch.child)
        branch.missed(branch.child)
        cast.close(branch)
        # A back-fill starts below 0, and there is nothing beyond its delegate to cover.
        if branch.start >= 0 and branch.start + 1 < branch.end:
            self.extend(cast, branch.start + 1, branch.end, branch.limit)

    def _reassign(self, cast: Cast, branch: Branch) -> None:
        cast.close(branch)
        self._tree.trace(cast, TraceKind.LOST_CHILD, branch.child)
        self._search(
            _Search(cast.id, Purpose.REASSIGN, branch, branch.start, branch.end, branch.limit),
            cast,
        )

    def extend(self, cast: Cast, start: int, end: int, limit: bytes) -> None:
        """Cover the distances from ``start`` to ``end`` as well."""
        self._search(_Search(cast.id, Purpose.EXTEND, None, start, end, limit), cast)

    def doubt(self, cast: Cast, end: int, limit: bytes) -> None:
        """Cover the distances up to ``end``: no node is known there, but there may be one."""
        self._search(_Search(cast.id, Purpose.EXTEND, None, 1, end, limit, doubt=True), cast)

    # ---- looking for an heir ----------------------------------------------------------------

    def _search(self, search: _Search, cast: Cast) -> None:
        ctx = self._ctx
        tag = ctx.rid()
        cast.searching[tag] = search.start
        self._searches[tag] = search
        if search.branch is not None:
            key = search.branch.child.id
        else:
            key = (ctx.my_id + search.start) % ctx.space.size
        ctx.counters.add(CoreMetric.BROADCAST_REPAIRS)
        self._lookups.start(search.purpose, tag, key)

    def looked_up(self, result: Result) -> None:
        """Give the range of a search that has ended to the node found, or search again."""
        search = self._searches.pop(result.tag, None)
        cast = self._casts.active(search.message) if search is not None else None
        if search is None or cast is None:
            return
        cast.searching.pop(result.tag, None)
        heir = result.node
        if heir is not None and self._is_credible(search, heir):
            self._take_over(cast, search, heir)
        elif search.doubt:
            # The entry stays in ``searching`` during the pause, so that the cast is not covered.
            cast.searching[result.tag] = search.start
            self.doubts.add((cast, result.tag, search), self._ctx.now)
        elif search.tries < MAX_TRIES and self._ctx.now < cast.deadline:
            self._search(attrs.evolve(search, tries=search.tries + 1), cast)
        else:
            self._give_up(cast, search)
        self._tree.check(cast)

    def _is_credible(self, search: _Search, heir: NodeRef) -> bool:
        ctx = self._ctx
        if ctx.peers.is_dead(heir, ctx.now):
            return False
        # A node beyond the successor only shows that the lookup passed the successor by.
        return not search.doubt or ctx.distance(heir) <= ctx.distance(self._ring.head)

    def _doubt_again(self, cast: Cast, tag: int, search: _Search) -> None:
        """Go on if the successor has confirmed its place; otherwise look again."""
        del cast.searching[tag]
        if self._ring.adoption.answered:
            self._take_over(cast, search, self._ring.head)
        elif self._ctx.now < cast.deadline:
            self._search(search, cast)
        else:
            self._give_up(cast, search)
        self._tree.check(cast)

    def _take_over(self, cast: Cast, search: _Search, heir: NodeRef) -> None:
        ctx = self._ctx
        if heir.raw == ctx.me.raw:
            return
        branch = search.branch
        if branch is not None and branch.kind == EdgeKind.BACKFILL:
            # Its range ends at us: only a node between the dead one and us can take it over.
            if between(branch.child.id, heir.id, ctx.my_id):
                self.backfill(cast, heir)
            return
        distance = ctx.distance(heir)
        if search.start <= distance < search.end:
            extends = search.purpose == Purpose.EXTEND
            kind = EdgeKind.EXTEND if extends else EdgeKind.REASSIGN
            self._tree.delegate(cast, Branch(heir, search.limit, distance, search.end, kind))

    def _give_up(self, cast: Cast, search: _Search) -> None:
        # A branch that is closed without an answer makes the report partial.
        lost = Branch(self._ctx.me, b"", search.start, search.end, EdgeKind.EXTEND)
        missed = search.branch.child if search.branch is not None else None
        lost.missed(self._ring.head if search.doubt else missed)
        cast.add(lost)
        cast.close(lost)

    # ---- lateness ---------------------------------------------------------------------------

    def tick(self) -> None:
        """Check on late delegates: are they alive, and do they work on their ranges?"""
        ctx = self._ctx
        for cast, tag, search in self.doubts.due(ctx.now):
            self._doubt_again(cast, tag, search)
        for cast, branch in self.late.due(ctx.now):
            if ctx.now >= cast.deadline:
                self._tree.trace(cast, TraceKind.GAVE_UP, branch.child)
                branch.missed(branch.child)
                cast.close(branch)
                self._tree.check(cast)
                continue
            if ctx.peers.is_dead(branch.child, ctx.now):
                self._reassign(cast, branch)
                self._tree.check(cast)
                continue
            probed = self._detector.suspects(branch.child.raw)
            self._detector.suspect(branch.child)
            branch.looks += 1
            if not branch.done and not branch.acked:
                # A probe under way is about to show if it is dead, which is another case.
                if not probed:
                    self.resend(cast, branch)
                    self._tree.check(cast)
            elif not branch.done and _asks_again(branch.looks):
                self._tree.send(cast, branch, header_only=True)
            if not branch.done:
                self.late.add((cast, branch), ctx.now)

    # ---- back-fill --------------------------------------------------------------------------

    def predecessor_changed(self) -> None:
        """Pass fresh messages back to a predecessor that has just come in."""
        new = self._ring.predecessor
        if new is None or new.raw == self._ctx.me.raw:
            return
        for cast in self._casts.fresh(MAX_BACKFILL):
            if all(hop.raw != new.raw for hop in cast.route):
                self.backfill(cast, new)
            self._tree.check(cast)

    def backfill(self, cast: Cast, node: NodeRef) -> None:
        """Give ``node``, our predecessor, the range between it and us unless it has it already.

        One back-fill may lead to the next, up to the time to live of the broadcast.
        """
        if cast.ttl <= 0:
            return
        given = cast.branch(node.raw, self._ctx.me.raw)
        # It is asked again only if it was given up before: then nothing was counted for it.
        if given is not None and (given.count or not given.done):
            return
        self._tree.delegate(cast, Branch(node, self._ctx.me.raw, -1, 0, EdgeKind.BACKFILL))


def _asks_again(looks: int) -> bool:
    """Return True if a delegate is asked again at its ``looks``-th look.

    A lost report delays the receipt until the next question, so the first questions come often.
    Later ones come at powers of two, because a message that is repeated is work for both nodes.
    """
    return looks <= PROMPT_LOOKS or looks & (looks - 1) == 0


def still_open(entry: tuple[Cast, Branch]) -> bool:
    """Return True if the answer of a branch is still to come."""
    return not entry[1].done
