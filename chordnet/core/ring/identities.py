"""Which node has a name, and so whose messages are heeded.

The rules for incarnations and for two nodes of one name:

- The first node of a name keeps it while it answers. A pointer that differs from the known one (in
  incarnation or address) is only a hint, and begins a *contest*. Its address is dialled, and has to
  answer as exactly that node. If the known node has another address, that one is dialled as well:
  if it answers as itself, a member or about to be one, it keeps the name.
- For a node that has never sent us a message, the latest pointer to the same address is taken
  without a contest (``Offers`` in ``pointers.py``): what we know of it is only a pointer, too.
- So a restart at the same address takes over, even with a lower incarnation if its clock went back.
  A copy elsewhere, or a message that claims a name, does not.
- A node that is refused for its name dials the node that has it, or hears of a *twin* in the ring.
  The twin in the ring whose label was given up leaves as *superseded*; a node that is in no ring
  gives way to one that is, or that was first.
- An incarnation more than a day ahead of our wall clock is refused. If a node refuses the first
  three nodes that it meets for this reason, its own clock is behind, and it says so.

The runtime dials: the effect :class:`Verify` is answered by the event :class:`Verified`. Contests
are limited in number and, for each name, in time.

A message is heeded if its sender has a right to its name. If that is in doubt, the message waits
until it is settled, or is dropped. Then the message has to pass the checks
(:mod:`chordnet.core.kernel.checks`), and to be one that is taken in this node's state
(:data:`chordnet.core.kernel.membership.HEEDED`). Only then does a part see it.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

from chordnet.core.base.effects import Judged, Verify
from chordnet.core.base.events import Greeted, Standing, Verified
from chordnet.core.base.limits import CLOCK_AHEAD_S
from chordnet.core.base.messages import ABOUT, NodeRef, PeerMessage, RingLabel, Status, contact
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import EventHandlers, Hearers
from chordnet.core.kernel.peers import PEERS_PAUSE_S
from chordnet.core.kernel.signals import ADMITTED, CLOCK_BEHIND, HINTED, RETURNED, SUPERSEDED
from chordnet.core.kernel.timers import Alarm
from chordnet.core.ring.pointers import Pointers

MAX_CONTESTS = 64
"""Contests at the same time; further ones are put off."""
VERIFY_S = 10.0
"""A contest without an answer for this long is over, and the known node keeps the name."""
PAUSE_S = 1.0
"""For this long after a node lost a contest it loses the next one as well, without a dial."""
HINT_PAUSE_S = 5.0
"""For this much longer, pointers to it from others do not begin a contest."""
MAX_HELD = 32
"""Messages of a sender that wait for the end of its contest."""
BEHIND = 3
"""If this many nodes are refused as too far ahead and none is accepted, our clock is behind."""
_NONE = RingLabel(-1, -1)
_SHOWN = 80
"""Characters of a name that a reason quotes."""


@attrs.define
class _Contest:
    node: NodeRef
    known: NodeRef
    until: float
    asked: NodeRef
    waiting: bool
    """Whether the node itself waits for the outcome; otherwise others have named it."""
    held: list[PeerMessage] = attrs.field(factory=list)


class Identities:
    """Decides for one node which others have their names, and heeds only those."""

    def __init__(self, ctx: Context, ring: Pointers, detector: Detector) -> None:
        self._ctx = ctx
        self._detector = detector
        self._ring = ring
        self._contests: dict[bytes, _Contest] = {}
        self._lost: dict[bytes, tuple[float, NodeRef, str, str]] = {}
        """Contests lost lately: (end of the pause, loser, reason, address of the node that has the
        name)."""
        self._ahead: set[bytes] = set()
        self._accepted = False
        """Whether a node was met whose incarnation is not too far ahead."""
        self._twin_asked = float("-inf")

    # ---- heeding -----------------------------------------------------------------------------

    def admits(self, sender: NodeRef, message: PeerMessage) -> bool:
        """Return True if the message is to be heeded; note that its sender is alive.

        The node asks only if something may be new about the sender.
        """
        ctx, peers = self._ctx, self._ctx.peers
        if sender.raw == ctx.me.raw or not ctx.space.valid_raw(sender.raw):
            ctx.counters.add(CoreMetric.MESSAGES_IGNORED)
            return False
        if self.doubts(sender):
            self._spoke(sender, message)
            return False
        self._accepted = True
        peers.note(sender)
        returned = peers.heard(sender)
        self._detector.heard(sender)
        self._ring.heard(sender)
        if peers.changed:
            ctx.alarms.sooner(Alarm.PEERS, ctx.now + PEERS_PAUSE_S)
        if returned:
            ctx.tell(RETURNED, sender)
        return True

    def _spoke(self, node: NodeRef, message: PeerMessage) -> None:
        """Hold the message of a sender in doubt until the end of its contest, or drop it."""
        self.greeted(node)
        contest = self._contests.get(node.raw)
        if contest is not None and contest.node == node and len(contest.held) < MAX_HELD:
            contest.held.append(message)
        else:
            self._ctx.counters.add(CoreMetric.MESSAGES_IGNORED)

    def on_greeted(self, event: Greeted) -> None:
        """Judge the node at the other end of a new connection."""
        self._ctx.wall = event.wall
        if event.dialled:
            self.replace(event.node)
        else:
            self.greeted(event.node, event.rival)

    # ---- judging -----------------------------------------------------------------------------

    def is_ahead(self, node: NodeRef) -> bool:
        """Return True if the incarnation of ``node`` is further ahead than a clock may be."""
        wall = self._ctx.wall
        return wall is not None and node.incarnation > (wall + CLOCK_AHEAD_S) * 1000

    def doubts(self, node: NodeRef) -> bool:
        """Return True if ``node`` has to be judged before its messages are heeded."""
        known = self._ctx.peers.get(node.raw)
        differs = known is not None and _differ(known, node)
        return differs or self.is_ahead(node)

    def doubt(self, node: NodeRef) -> str:
        """Return why ``node`` has to be judged, in words for both sides."""
        if not self.is_ahead(node):
            return f"whether {node.name[:_SHOWN]!r} may have its name is checked"
        return (
            f"{node.name[:_SHOWN]!r} was started by a clock that is more than a day ahead of the"
            f" clock of {self._ctx.me.name[:_SHOWN]!r}"
        )

    def greeted(self, node: NodeRef, rival: NodeRef | None = None) -> None:
        """Judge ``node``, which greets us and is in doubt; a :class:`Judged` answers.

        :param rival: the node that is connected under that name.
        """
        known = self._ctx.peers.get(node.raw) or rival
        if self.is_ahead(node):
            self._too_far(node)
            self._judge(node, self.doubt(node))
        elif known is None or not _differ(known, node):
            self._judge(node, "")
        else:
            self._contest(node, known, waiting=True)

    def hint(self, node: NodeRef) -> None:
        """Begin a contest about ``node``, which others name, if it is not the known one."""
        known = self._ctx.peers.get(node.raw)
        if node.raw == self._ctx.me.raw:
            self.twin(node.address)
        elif known is not None and _differ(known, node) and not self.is_ahead(node):
            lost = self._lost.get(node.raw)
            again = lost is not None and lost[1] == node and self._ctx.now < lost[0] + HINT_PAUSE_S
            if node.raw not in self._contests and not again:
                self._contest(node, known, waiting=False)

    # ---- contests ----------------------------------------------------------------------------

    def _contest(self, node: NodeRef, known: NodeRef, *, waiting: bool) -> None:
        ctx = self._ctx
        open_ = self._contests.get(node.raw)
        if open_ is not None and ctx.now < open_.until:
            if open_.node == node:
                open_.waiting |= waiting
            elif waiting:
                self._judge(node, f"another claim to the name {node.name!r} is being checked")
            return
        lost = self._lost.get(node.raw)
        if lost is not None and lost[1] == node and ctx.now < lost[0]:
            self._judge(node, *lost[2:])
            return
        self._contests = {r: c for r, c in self._contests.items() if ctx.now < c.until}
        if len(self._contests) >= MAX_CONTESTS:
            if waiting:
                self._judge(node, "too many names are being checked; try again")
            return
        ctx.counters.add(CoreMetric.CONTESTS)
        self._contests[node.raw] = _Contest(node, known, ctx.now + VERIFY_S, node, waiting)
        ctx.effects.append(Verify(node))

    def verified(self, event: Verified) -> None:
        """Take the answer to a :class:`Verify`, and decide the contest or dial the known node."""
        asked, found = event.asked, event.found
        if asked.is_contact:
            if found is not None:
                self._twin_found(found)
            return
        contest = self._contests.get(asked.raw)
        if contest is None or contest.asked != asked:
            return
        node, known = contest.node, contest.known
        if asked == node:
            if found is None or _differ(found.node, node):
                self._lose(
                    contest, f"no node {node.name!r} of this start answers at {node.address}"
                )
            elif node.address == known.address:
                self._win(contest)
            else:
                # Two addresses: the first node keeps the name if it still answers at its own.
                contest.asked = known
                self._ctx.effects.append(Verify(known))
        elif found is not None and self._holds(found, known):
            self._lose(
                contest,
                f"the name {node.name!r} belongs to the node at {known.address}, which answers;"
                f" give the one at {node.address} another name",
                known.address,
            )
        else:
            self._win(contest)

    @staticmethod
    def _holds(found: Standing, known: NodeRef) -> bool:
        """Return True if the node found at the known node's address keeps the name."""
        return (
            found.node.raw == known.raw
            and found.node.incarnation >= known.incarnation
            and found.status in ABOUT
        )

    def replace(self, node: NodeRef) -> None:
        """Let ``node`` have its name: it answered when we dialled the known node's address."""
        known = self._ctx.peers.get(node.raw)
        if known is not None and _differ(known, node) and not self.is_ahead(node):
            contest = self._contests.get(node.raw)
            held = contest.held if contest is not None and contest.node == node else []
            self._win(_Contest(node, known, 0.0, node, waiting=True, held=held))

    def _win(self, contest: _Contest) -> None:
        node = contest.node
        self._contests.pop(node.raw, None)
        self._lost.pop(node.raw, None)
        # All parts drop their pointers to the earlier life before the new one is known.
        self._detector.condemn(contest.known)
        self._ctx.peers.replace(node)
        if contest.waiting:
            self._judge(node, "")
        self._ctx.tell(ADMITTED, node, contest.held)

    def _lose(self, contest: _Contest, reason: str, holder: str = "") -> None:
        node = contest.node
        self._contests.pop(node.raw, None)
        if len(self._lost) >= MAX_CONTESTS:
            del self._lost[next(iter(self._lost))]
        self._lost[node.raw] = (self._ctx.now + PAUSE_S, node, reason, holder)
        if contest.waiting:
            self._judge(node, reason, holder)

    def _judge(self, node: NodeRef, reason: str, holder: str = "") -> None:
        self._ctx.effects.append(Judged(node, reason, holder))

    # ---- our own name ------------------------------------------------------------------------

    def twin(self, address: str) -> None:
        """Dial ``address``, where another node may have our name."""
        ctx = self._ctx
        if address == ctx.me.address or ctx.now < self._twin_asked + PAUSE_S:
            return
        if self._ctx.status in ABOUT:
            self._twin_asked = ctx.now
            ctx.effects.append(Verify(contact(address)))

    def _twin_found(self, twin: Standing) -> None:
        me, status = self._ctx.me, self._ctx.status
        if twin.node.raw != me.raw or twin.node == me or status not in ABOUT:
            return
        if twin.status not in ABOUT:
            return
        member = twin.label is not None
        if status != Status.ACTIVE:
            gives_way = member or twin.node.incarnation < me.incarnation
        else:
            mine = self._ring.standing()
            gives_way = member and twin.label == mine.label and _rank(mine) > _rank(twin)
        if gives_way:
            self._ctx.tell(
                SUPERSEDED,
                f"the name {me.name!r} belongs to the node at {twin.node.address}; give the one at"
                f" {me.address} another name and start it again",
            )

    # ---- our own clock -----------------------------------------------------------------------

    def _too_far(self, node: NodeRef) -> None:
        if not self._accepted and len(self._ahead) < BEHIND:
            self._ahead.add(node.raw)
            if len(self._ahead) == BEHIND:
                self._ctx.tell(
                    CLOCK_BEHIND,
                    "the clock of this node is behind: the first nodes that it met were started"
                    " more than a day ahead of it",
                )

    EVENTS: ClassVar[EventHandlers] = {
        Greeted: on_greeted,
        Verified: verified,
    }

    HEARS: ClassVar[Hearers] = {
        HINTED: hint,
    }


def _differ(known: NodeRef, node: NodeRef) -> bool:
    return known.incarnation != node.incarnation or known.address != node.address


def _rank(standing: Standing) -> tuple[RingLabel, int]:
    """Return the rank of a node; of two nodes of one name in one ring, the smaller one stays."""
    return standing.before or _NONE, standing.node.incarnation
