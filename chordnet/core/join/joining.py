"""From nothing into a ring.

All nodes of a network may start in the same second, in any order, none of them in a ring:

- Every ``join_retry_s`` an unjoined node asks its bootstrap peers (and, if those stay silent, known
  peers from an earlier life) for their state.
- One of them is in a ring: look up the place there through it, *joining*. The member m with
  self in (m, m.successor) is asked for its list; if the condition no longer holds, look again.
- All that answer are unjoined: each answer names the smallest identifier that its sender has heard
  of, and the asked node remembers the asker, so that the smallest of all becomes known to all in
  a few rounds. The named one is asked directly too, so a dead one is not waited for. Whoever is
  itself the smallest for ``form_rounds`` rounds creates a ring (*forming*); the others ask again.
- Nobody answers for ``seed_s``: the node is *seeking* and goes on asking. A node that was given
  peers and confirms messages alone misleads its users. Only one without peers, or one that was
  told to (``alone`` of :class:`Start`, :class:`Begin`), creates a ring alone.
- Once a node has met another one in this life it is seeking no more: if all others go, it creates
  a ring.

Rings that are created side by side all the same are merged by the audit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from chordnet.core.base.events import Begin, LinkDown, LinkFault
from chordnet.core.base.identifiers import between
from chordnet.core.base.messages import (
    ABOUT,
    FindKind,
    GetState,
    NodeRef,
    RingLabel,
    State,
    Status,
    contact,
)
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.handlers import EventHandlers, Hearers, Ringers
from chordnet.core.kernel.requests import Answer, Ask, Question, Requests
from chordnet.core.kernel.signals import CLOCK_BEHIND, DIED, ENTERED
from chordnet.core.kernel.timers import Alarm
from chordnet.core.lookup.lookup import Lookups, Purpose, Result
from chordnet.core.ring.pointers import Pointers

KNOWN_ASKED = 4
"""Known peers asked in one round when the bootstrap peers stay silent."""
ALONE_FACTOR = 4
"""After this many seed times without a ring, create one whatever others say."""
AGREED, ALONE = 0, 1
"""Epochs of new labels: a ring created by agreement outlives one created alone."""
ASKING = frozenset({Status.UNJOINED, Status.FORMING, Status.SEEKING})
"""The states in which a node asks around."""
MAX_TOLD = 3
"""Peers that a reason names."""
MAX_FAULT = 200
"""Letters of what went wrong with one of them."""
_FAULTS = {
    LinkFault.REFUSED: "nothing listens there",
    LinkFault.UNREACHABLE: "it cannot be reached",
    LinkFault.REJECTED: "it refused this node",
}


class Joining:
    """The way of one node into a ring."""

    def __init__(self, ctx: Context, ring: Pointers, requests: Requests, lookups: Lookups) -> None:
        self._ctx = ctx
        self._ring = ring
        self._requests = requests
        self._lookups = lookups
        self.bootstrap: list[NodeRef] = []
        self._alone = False
        self._clock = ""
        """What is wrong with our own clock."""
        self._faults: dict[str, str] = {}
        """What went wrong last with each bootstrap address."""
        self._candidate: NodeRef | None = None
        self._rounds = 0
        self._round = 0
        self._began = 0.0
        self._met = False
        """Whether a node that is about has been met in this life."""
        self._joining_since = 0.0
        lookups.handle(Purpose.JOIN, self.looked_up)
        requests.handle(Ask.JOIN_SCAN, self._scanned, self._scan_silent)
        requests.handle(Ask.JOIN_OFFER, self._offered, self._offer_silent)

    # ---- asking around ----------------------------------------------------------------------

    def start(self, bootstrap: list[str], *, alone: bool = False) -> None:
        """Begin to ask around; with nobody to ask, create a ring at once.

        :param alone: create a ring, too, if nobody answers.
        """
        ctx = self._ctx
        self.know(bootstrap)
        self._alone = alone
        self._began = ctx.now
        if not self.bootstrap and not ctx.peers.known:
            self._create(ALONE)
        else:
            self._scan()

    def know(self, bootstrap: Iterable[str]) -> None:
        """Keep the bootstrap addresses, for joining and for audits."""
        own = self._ctx.me.address
        self.bootstrap = [contact(a) for a in dict.fromkeys(bootstrap) if a != own]

    def begin(self, _event: Begin) -> None:
        """Create a ring now, unless there is one for this node already."""
        if self._ctx.status in ASKING:
            self._create(ALONE)

    def _entered(self) -> None:
        self._ctx.alarms.cancel(Alarm.JOIN)

    @property
    def reason(self) -> str:
        """Why no peer was met, in words."""
        if self._clock:
            return self._clock
        told = [
            f"{peer.address}: {self._faults.get(peer.address, 'it does not answer')}"
            for peer in self.bootstrap[:MAX_TOLD]
        ]
        more = len(self.bootstrap) - MAX_TOLD
        if more > 0:
            told.append(f"and {more} more")
        return f"no peer has let this node in yet ({'; '.join(told)})"

    def clock_behind(self, reason: str) -> None:
        """This node's clock is behind: it can let nobody in."""
        self._clock = reason
        if self._ctx.status in ASKING and not self._met:
            self._ctx.become(Status.SEEKING, reason)

    def fault(self, down: LinkDown) -> None:
        """There is no way to a contact."""
        address = down.peer.address
        if down.fault == LinkFault.SELF:
            self.bootstrap = [peer for peer in self.bootstrap if peer.address != address]
            unmet = not self._met and self._ctx.status in ASKING
            if unmet and not self.bootstrap and not self._ctx.peers.known:
                self._create(ALONE)
        elif any(peer.address == address for peer in self.bootstrap):
            text = "".join(c if c.isprintable() else "?" for c in down.text[:MAX_FAULT])
            self._faults[address] = text or _FAULTS.get(down.fault, "the connection broke")

    def tick(self) -> None:
        """The ``join`` alarm has rung."""
        ctx, status = self._ctx, self._ctx.status
        if status == Status.JOINING and ctx.now - self._joining_since > ctx.config.seed_s:
            self._ctx.become(Status.UNJOINED)
            status = Status.UNJOINED
        if status in ASKING:
            self._judge()
        if self._ctx.status in ASKING:
            self._scan()
        elif self._ctx.status == Status.JOINING:
            ctx.alarms.set(Alarm.JOIN, ctx.jittered(ctx.config.join_retry_s))

    def _scan(self) -> None:
        ctx = self._ctx
        self._round += 1
        asked = list(self.bootstrap)
        if self._candidate is not None:
            asked.append(self._candidate)
        known = ctx.peers.known
        if not self._met and known:
            asked += ctx.rng.sample(known, min(KNOWN_ASKED, len(known)))
        status = int(self._ctx.status)
        for peer in asked:
            self._requests.ask(Ask.JOIN_SCAN, peer, lambda rid: GetState(rid, status))
        ctx.alarms.set(Alarm.JOIN, ctx.jittered(ctx.config.join_retry_s))

    def candidate(self) -> NodeRef:
        """Return the unjoined node with the smallest identifier heard of, this one included."""
        return self._candidate or self._ctx.me

    def asked(self, sender: NodeRef, status: int) -> None:
        """A node in this state has asked for ours."""
        if status not in ABOUT or self._ctx.status not in (*ASKING, Status.JOINING):
            return
        self._meet()
        if status != Status.ACTIVE:
            self.heard_of(sender)
        elif self._ctx.status != Status.JOINING:
            self._look_through(sender)

    def _meet(self) -> None:
        """This node is not the only one."""
        if not self._met:
            self._met = True
            self._began = self._ctx.now
        if self._ctx.status == Status.SEEKING:
            self._ctx.become(Status.UNJOINED)

    def heard_of(self, node: NodeRef) -> None:
        """An unjoined node is known to be about."""
        ctx = self._ctx
        if (
            node.raw < self.candidate().raw
            and not ctx.peers.is_dead(node, ctx.now)
            and not ctx.peers.differs(node)
        ):
            self._candidate = node
            self._rounds = 0

    def forget(self, peer: NodeRef) -> None:
        """``peer`` is dead or in a ring: it creates none."""
        if self._candidate is not None and self._candidate.raw == peer.raw:
            self._candidate = None
            self._rounds = 0

    def _scanned(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        if not isinstance(answer, State) or answer.status not in ABOUT:
            return
        if self._ctx.status not in ASKING:
            return
        self._meet()
        if answer.status == Status.ACTIVE:
            self._rounds = 0
            self.forget(sender)
            self._look_through(sender)
        else:
            self.heard_of(sender)
            if answer.candidate is not None:
                self.heard_of(answer.candidate)

    def _scan_silent(self, question: Question) -> None:
        self.forget(question.target)

    def _judge(self) -> None:
        """Decide after a round whether it is this node that creates the ring."""
        ctx, config = self._ctx, self._ctx.config
        waited = ctx.now - self._began
        if self._candidate is None and self._met:
            self._rounds += 1
            if self._ctx.status == Status.UNJOINED:
                self._ctx.become(Status.FORMING)
            if self._rounds >= config.form_rounds:
                self._create(AGREED)
        elif self._met and waited >= ALONE_FACTOR * config.seed_s:
            self._create(ALONE)
        elif not self._met and waited >= config.seed_s:
            if self._alone or not self.bootstrap:
                self._create(ALONE)
            else:
                self._ctx.become(Status.SEEKING, self.reason)
        elif self._candidate is not None and self._ctx.status == Status.FORMING:
            self._ctx.become(Status.UNJOINED)

    def _create(self, epoch: int) -> None:
        self._ring.create(RingLabel(epoch, self._ctx.rng.getrandbits(63)))
        self._ctx.become(Status.ACTIVE)

    # ---- entering a ring that was found -----------------------------------------------------

    def _look_through(self, member: NodeRef) -> None:
        self._ctx.become(Status.JOINING)
        self._joining_since = self._ctx.now
        self._lookups.start(Purpose.JOIN, 0, self._ctx.my_id, kind=FindKind.PREDECESSOR, via=member)

    def looked_up(self, result: Result) -> None:
        """The lookup of our place has ended."""
        if self._ctx.status != Status.JOINING:
            return
        if result.node is None or result.node.raw == self._ctx.me.raw:
            self._ctx.become(Status.UNJOINED)
            return
        status = int(Status.JOINING)
        self._requests.ask(Ask.JOIN_OFFER, result.node, lambda rid: GetState(rid, status))

    def _offered(self, question: Question, sender: NodeRef, answer: Answer) -> None:
        if self._ctx.status != Status.JOINING or not isinstance(answer, State):
            return
        ctx = self._ctx
        others = [node for node in answer.successors if node.raw != ctx.me.raw]
        head = others[0] if others else sender
        placed = between(sender.id, ctx.my_id, head.id) or not ctx.config.safeguards.recheck_place
        if answer.status == Status.ACTIVE and placed:
            self._ring.join(sender, answer)
            self._ctx.become(Status.ACTIVE)
        elif answer.status == Status.ACTIVE:
            self._look_through_again(head)
        else:
            self._ctx.become(Status.UNJOINED)

    def _look_through_again(self, member: NodeRef) -> None:
        self._lookups.start(Purpose.JOIN, 0, self._ctx.my_id, kind=FindKind.PREDECESSOR, via=member)

    def _offer_silent(self, question: Question) -> None:
        if self._ctx.status == Status.JOINING:
            self._ctx.become(Status.UNJOINED)

    ALARMS: ClassVar[Ringers] = {
        Alarm.JOIN: tick,
    }

    EVENTS: ClassVar[EventHandlers] = {
        Begin: begin,
    }

    HEARS: ClassVar[Hearers] = {
        CLOCK_BEHIND: clock_behind,
        ENTERED: _entered,
        DIED: forget,
    }
