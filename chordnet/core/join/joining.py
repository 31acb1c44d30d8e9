"""Joining a ring, or creating one.

All nodes of a network may start in the same second, in any order, none of them in a ring:

- Every ``join_retry_s`` an unjoined node asks its bootstrap peers (and, if those stay silent, known
  peers from an earlier life) for their state.
- One of them is in a ring: the node looks up its place there through it (*joining*). The member m
  with self in (m, m.successor) is asked for its list; if that no longer holds, look again.
- All that answer are unjoined: each answer names the smallest identifier that its sender has heard
  of, and the node that is asked remembers the asker, so that all nodes know the smallest one after
  a few rounds. It is also asked directly, so that they do not wait for a dead node. A node that
  finds itself the smallest for ``form_rounds`` rounds creates a ring (*forming*).
- No peer answers for ``seed_s``: the node is *seeking* and goes on asking. A node that was given
  peers, but confirms messages in a ring of its own, misleads its users. So a node creates a ring
  alone only if it has no peers, or is told to (``alone`` of :class:`Start`, :class:`Begin`).
- A node that has met another one in this life stops seeking: if all others go, it creates a ring.

If rings are created side by side all the same, the audit merges them.
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
"""Known peers asked in one round while the bootstrap peers stay silent."""
ALONE_FACTOR = 4
"""After this many times ``seed_s`` without a ring, create one whatever others say."""
AGREED, ALONE = 0, 1
"""Epochs of new labels. The smaller label survives a merge, so a ring created by agreement outlives
one created alone."""
ASKING = frozenset({Status.UNJOINED, Status.FORMING, Status.SEEKING})
"""The states in which a node asks around."""
MAX_TOLD = 3
"""Peers that a reason names at most."""
MAX_FAULT = 200
"""Characters that a reason quotes for each of them."""
_FAULTS = {
    LinkFault.REFUSED: "nothing listens there",
    LinkFault.UNREACHABLE: "it cannot be reached",
    LinkFault.REJECTED: "it refused this node",
}


class Joining:
    """Brings one node into a ring."""

    def __init__(self, ctx: Context, ring: Pointers, requests: Requests, lookups: Lookups) -> None:
        self._ctx = ctx
        self._ring = ring
        self._requests = requests
        self._lookups = lookups
        self.bootstrap: list[NodeRef] = []
        self._alone = False
        self._clock = ""
        """What is wrong with our own clock; empty if nothing is."""
        self._faults: dict[str, str] = {}
        """Bootstrap address -> what went wrong there last."""
        self._candidate: NodeRef | None = None
        self._rounds = 0
        self._began = ctx.now
        self._met = False
        """Whether another node has been met in this life."""
        self._joining_since = ctx.now
        lookups.handle(Purpose.JOIN, self.looked_up)
        requests.handle(Ask.JOIN_SCAN, self._scanned, lambda asked: self.forget(asked.target))
        requests.handle(Ask.JOIN_OFFER, self._offered, self._offer_silent)

    # ---- asking around ----------------------------------------------------------------------

    def start(self, bootstrap: list[str], *, alone: bool = False) -> None:
        """Begin to ask around; create a ring immediately if there is no peer to ask.

        :param alone: also create a ring if no peer answers.
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
        """Create a ring now, unless this node is in one or about to enter one."""
        if self._ctx.status in ASKING:
            self._create(ALONE)

    def _entered(self) -> None:
        self._ctx.alarms.cancel(Alarm.JOIN)

    @property
    def reason(self) -> str:
        """Why this node is in no ring yet, in words."""
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
        """Note that this node's clock is behind: it would refuse every node that it meets."""
        self._clock = reason
        if self._ctx.status in ASKING and not self._met:
            self._ctx.become(Status.SEEKING, reason)

    def fault(self, down: LinkDown) -> None:
        """Note why a contact cannot be reached; drop an address that is our own."""
        address = down.peer.address
        if down.fault == LinkFault.SELF:
            # One of our own addresses: if there is no other peer, there is no reason to wait.
            self.bootstrap = [peer for peer in self.bootstrap if peer.address != address]
            unmet = not self._met and self._ctx.status in ASKING
            if unmet and not self.bootstrap and not self._ctx.peers.known:
                self._create(ALONE)
        elif any(peer.address == address for peer in self.bootstrap):
            text = "".join(c if c.isprintable() else "?" for c in down.text[:MAX_FAULT])
            self._faults[address] = text or _FAULTS.get(down.fault, "the connection broke")

    def tick(self) -> None:
        """Ask around again when the ``join`` alarm rings."""
        ctx, status = self._ctx, self._ctx.status
        if status == Status.JOINING and ctx.now - self._joining_since > ctx.config.seed_s:
            # The ring that was found does not let us in, and may be gone: begin again.
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
        """Note that ``sender``, which is in the state ``status``, has asked for our state."""
        if status not in ABOUT or self._ctx.status not in (*ASKING, Status.JOINING):
            return
        self._meet()
        if status != Status.ACTIVE:
            self.heard_of(sender)
        elif self._ctx.status != Status.JOINING:
            self._look_through(sender)

    def _meet(self) -> None:
        """Note that there is another node."""
        if not self._met:
            self._met = True
            # How long this node waits for an agreement counts from the first meeting.
            self._began = self._ctx.now
        if self._ctx.status == Status.SEEKING:
            self._ctx.become(Status.UNJOINED)

    def heard_of(self, node: NodeRef) -> None:
        """Remember an unjoined node if no smaller identifier is known."""
        ctx = self._ctx
        if (
            node.raw < self.candidate().raw
            and not ctx.peers.is_dead(node, ctx.now)
            and not ctx.peers.differs(node)
        ):
            self._candidate = node
            self._rounds = 0

    def forget(self, peer: NodeRef) -> None:
        """Stop waiting for ``peer`` to create a ring: it is dead, or in a ring already."""
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

    def _judge(self) -> None:
        """Create a ring after a round if it is up to this node."""
        ctx, config = self._ctx, self._ctx.config
        waited = ctx.now - self._began
        if self._candidate is None and self._met:
            # Several rounds, because a smaller identifier may still be on its way to us.
            self._rounds += 1
            if self._ctx.status == Status.UNJOINED:
                self._ctx.become(Status.FORMING)
            if self._rounds >= config.form_rounds:
                self._create(AGREED)
        elif self._met and waited >= ALONE_FACTOR * config.seed_s:
            # The smallest node answers and creates no ring: it may not know of us, or be broken.
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
        self._look_up_place(member)

    def _look_up_place(self, member: NodeRef) -> None:
        self._lookups.start(Purpose.JOIN, 0, self._ctx.my_id, kind=FindKind.PREDECESSOR, via=member)

    def looked_up(self, result: Result) -> None:
        """Ask the member before our place for its pointers."""
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
        # Another node may have come in between since the lookup was answered.
        placed = between(sender.id, ctx.my_id, head.id) or not ctx.config.safeguards.recheck_place
        if answer.status == Status.ACTIVE and placed:
            self._ring.join(sender, answer)
            self._ctx.become(Status.ACTIVE)
        elif answer.status == Status.ACTIVE:
            self._look_up_place(head)
        else:
            self._ctx.become(Status.UNJOINED)

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
