"""What a node says about itself: that it is alive, its state, and its neighbours.

Every question is answered in every state. A member answers with its pointers and the digest of what
it has recorded. A node in no ring answers with the unjoined node of the smallest identifier that it
has heard of (:mod:`chordnet.core.join.joining`). Each part that an answer concerns is told.
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
    """Answers questions about one node's state, and takes such answers from others."""

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
        """Answer that this node is alive."""
        self._ctx.send(sender, Pong(message.rid, int(self._ctx.status)))

    def on_pong(self, sender: NodeRef, message: Pong) -> None:
        """Note that ``sender`` is alive, or about to leave."""
        if message.status in _GONE:
            self._detector.departs(sender)
        self._requests.answered(sender, message)

    def on_get_state(self, sender: NodeRef, message: GetState) -> None:
        """Answer ``sender`` with our state."""
        if self._ctx.status in MEMBER:
            self._newcomer.told(sender)
            self._stabilise.asked(sender, message)
            return
        self._joining.asked(sender, message.status)
        self._ctx.send(sender, self.state(message.rid))

    def on_state(self, sender: NodeRef, message: State) -> None:
        """Take the state of ``sender``: its pointers, and the digest of what it has recorded."""
        self._requests.answered(sender, message)
        if message.status == Status.ACTIVE:
            self._sync.compared(sender, message.digest)

    MESSAGES: ClassVar[Handlers] = {
        Ping: on_ping,
        Pong: on_pong,
        GetState: on_get_state,
        State: on_state,
    }
