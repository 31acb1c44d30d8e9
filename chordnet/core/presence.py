"""What a node says of itself: that it lives, in which state it is, and who its neighbours are.

Every question is answered in every state. A member answers with its pointers and the digest of what
it has recorded; a node in no ring, with the smallest identifier of such nodes that it has heard of
(:mod:`chordnet.core.join.joining`). An answer may concern several parts, and each is told.
"""

from __future__ import annotations

from typing import ClassVar

from chordnet.core.base.messages import GetState, NodeRef, Ping, Pong, State, Status
from chordnet.core.broadcast.newcomer import Newcomer
from chordnet.core.join.joining import Joining
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import Handlers
from chordnet.core.kernel.membership import MEMBER
from chordnet.core.kernel.requests import Requests
from chordnet.core.log.antientropy import AntiEntropy
from chordnet.core.ring.pointers import Pointers
from chordnet.core.ring.stabilise import Stabilise

_GONE = (Status.LEAVING, Status.LEFT, Status.SUPERSEDED)


class Presence:
    """Answers for the state of one node, and takes such answers of others."""

    def __init__(
        self,
        ctx: Context,
        ring: Pointers,
        stabilise: Stabilise,
        requests: Requests,
        detector: Detector,
        joining: Joining,
        sync: AntiEntropy,
        newcomer: Newcomer,
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._stabilise = stabilise
        self._requests = requests
        self._detector = detector
        self._joining = joining
        self._sync = sync
        self._newcomer = newcomer

    def state(self, rid: int) -> State:
        """Build the answer to a question about this node's state."""
        ring, status = self._ring, self._ctx.status
        if status not in MEMBER:
            return State(rid, int(status), None, None, [], self._joining.candidate())
        successors, digest = list(ring.successors), self._sync.digest
        return State(rid, int(status), ring.label, ring.predecessor, successors, None, digest)

    def on_ping(self, sender: NodeRef, message: Ping) -> None:
        """``sender`` wants to know if this node lives."""
        self._ctx.send(sender, Pong(message.rid, int(self._ctx.status)))

    def on_pong(self, sender: NodeRef, message: Pong) -> None:
        """``sender`` lives, and may be about to leave."""
        if message.status in _GONE:
            self._detector.departs(sender)
        self._requests.answered(sender, message)

    def on_get_state(self, sender: NodeRef, message: GetState) -> None:
        """``sender`` asks for our pointers, or if we have any."""
        if self._ctx.status in MEMBER:
            self._newcomer.told(sender)
            self._stabilise.asked(sender, message)
            return
        self._joining.asked(sender, message.status)
        self._ctx.send(sender, self.state(message.rid))

    def on_state(self, sender: NodeRef, message: State) -> None:
        """``sender`` tells its pointers, and the digest of what it has recorded."""
        self._requests.answered(sender, message)
        if message.status == Status.ACTIVE:
            self._sync.compared(sender, message.digest)

    MESSAGES: ClassVar[Handlers] = {
        Ping: on_ping,
        Pong: on_pong,
        GetState: on_get_state,
        State: on_state,
    }
