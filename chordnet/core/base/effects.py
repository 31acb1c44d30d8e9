"""What a node asks for: the closed union that :meth:`ChordNode.step` returns.

Effects must be performed in the order given. ``Record`` comes before any message that presupposes
it, so a runtime that keeps the order never confirms what it has not recorded.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

import msgspec

from chordnet.core.base.messages import (
    Caught,
    Given,
    Hop,
    Lost,
    MarkedCaught,
    MessageId,
    NodeRef,
    PeerMessage,
    Proof,
    Range,
    RingLabel,
    Status,
    Witness,
)
from chordnet.core.base.outcomes import Failed, Fault


class _Effect(msgspec.Struct, frozen=True, gc=False, tag=True):
    pass


class Send(_Effect, frozen=True):
    """Send ``message`` to ``to`` (a node, or a contact with only an address)."""

    to: NodeRef
    message: PeerMessage


class Verify(_Effect, frozen=True):
    """Dial the address of ``node`` and ask which node is there. Answered by ``Verified``."""

    node: NodeRef


class Judged(_Effect, frozen=True):
    """Answer to ``Greeted``: ``node`` is welcome if ``reason`` is empty."""

    node: NodeRef
    reason: str
    holder: str = ""
    """The address of the node that has the name."""


class Record(_Effect, frozen=True, omit_defaults=True):
    """Add a message to the log, and tell subscribers. Happens once per message and node."""

    id: MessageId
    created: float
    body: bytes
    route: list[Hop]
    """From the origin to this node, both included; each hop with the edge that led to it."""
    proof: Proof | None = None
    """The seal that it came with, to be kept with it."""

    def caught(self, told: set[bytes]) -> Caught:
        """Return the message as it is handed over to a node that lacks it.

        :param told: the certificates that the node has been sent already; this one's is added.
        """
        proof = self.proof
        if proof is None:
            return Caught(self.id, self.created, self.route, self.body)
        if proof.certificate in told:
            proof = msgspec.structs.replace(proof, chain=[])
        told.add(proof.certificate)
        return MarkedCaught(self.id, self.created, self.route, self.body, proof)


class SendStored(_Effect, frozen=True, omit_defaults=True):
    """Send recorded messages from the log, each as ``Caught``, to a node that lacks them.

    Those that the log no longer keeps are reported as ``Lost``, as ranges. The runtime may stop
    after any number of messages or bytes. Unless ``more`` is None, a ``Given`` comes last; its
    ``more`` is true if this one is, or if the runtime stopped early.
    """

    to: NodeRef
    ranges: list[Range]
    more: bool | None
    sealed: bool = False
    """Messages that are kept without a seal count as those that are not kept."""

    def answers(
        self, found: Iterable[Record], lost: list[Range], *, complete: bool
    ) -> Iterator[PeerMessage]:
        """Return what to send, in order.

        :param found: what the log keeps of the ranges.
        :param lost: what it no longer keeps.
        :param complete: the runtime did not stop early.
        """
        told = set[bytes]()
        for record in found:
            yield record.caught(told)
        if lost:
            yield Lost(lost)
        if self.more is not None:
            yield Given(self.more or not complete)


class Gap(_Effect, frozen=True):
    """Messages that this node lacks and has given up.

    ``peer`` is the node that was the last to report them lost; or this node itself, if it has no
    room to remember that it lacks them.
    """

    peer: NodeRef
    ranges: list[Range]


class LookupDone(_Effect, frozen=True):
    """Answer to ``FindOwner``. ``owner`` is None if it failed; ``reason`` says why."""

    op: int
    owner: NodeRef | None
    path: list[NodeRef]
    """Nodes that handled it, this one first and the owner last."""
    reason: Failed = Failed.NO


class Walked(_Effect, frozen=True):
    """Answer to ``Walk``. If ``problem`` is empty, ``members`` form one ring, in order."""

    op: int
    members: list[NodeRef]
    """The nodes that were visited, this node first."""
    problem: str


class BroadcastDone(_Effect, frozen=True):
    """Answer to ``Publish``: the receipt, or a failure with ``reason`` (then ``id`` is None)."""

    op: int
    id: MessageId | None
    recorded: int = 0
    messages: int = 0
    depth: int = 0
    partial: bool = False
    unreached: list[NodeRef] = []
    shared: int = 1
    """How many messages, published together, shared this tree."""
    reason: Failed = Failed.NO
    conflict: int = 0
    """How many nodes hold another body under the number of this message, or of one that shared its
    tree: a peer has taken the number."""
    lost: int = 0
    """How many nodes had given up one of these numbers as lost."""


class WitnessedDone(BroadcastDone, frozen=True):
    """The receipt of a broadcast whose origin asked for names, or signatures.

    It is partial as well if signatures are asked for, and fewer came than nodes are counted.
    """

    witnesses: list[Witness] = []
    """The nodes that have recorded it, this one included: as they say themselves, or as the
    signatures show, which have been checked."""
    unsigned: int = 0
    """With signatures: how many nodes are counted and have not signed."""
    first: int = 0
    """The number of the first message of the tree, which all signatures are for."""
    path: list[bytes] = []
    """From the message's body to the root of the tree of the bodies."""


class LeftRing(_Effect, frozen=True):
    """The neighbours were told and the drain time is over: the program may close everything."""


# ---- notices: for logs, hooks and metrics, never needed for correctness ---------------------


class StatusChanged(_Effect, frozen=True):
    """This node's status changed."""

    old: Status
    new: Status
    reason: str = ""
    """Why, if the status does not say it: for a node that is seeking, or superseded."""


class Joined(_Effect, frozen=True):
    """Both neighbours have taken this node in: from now on every receipt of its ring counts it.

    Comes once in a node's life.
    """


class RingChanged(_Effect, frozen=True):
    """Predecessor, successor list or label changed."""

    predecessor: NodeRef | None
    successors: list[NodeRef]
    label: RingLabel | None


class FingersChanged(_Effect, frozen=True):
    """The finger table changed."""

    fingers: list[NodeRef]
    """The distinct other nodes of the finger table, nearest first."""


class PeerDied(_Effect, frozen=True):
    """A node that mattered to this one is dead."""

    peer: NodeRef
    left: bool = False
    """It is not dead, but has left in order."""


class PeersKnown(_Effect, frozen=True):
    """The known peers that are worth keeping on disk have changed."""

    peers: list[NodeRef]


class TraceKind(enum.IntEnum):
    """What happened to a broadcast apart from its regular way down the tree."""

    DUPLICATE = 0
    """``peer`` sent a broadcast that was here already."""
    RESENT = 1
    """``peer`` had not answered in time and was sent the broadcast again."""
    LOST_CHILD = 2
    """``peer`` died before it had covered its range."""
    REPAIRED = 3
    """``peer`` was given a range by a repair edge: reassign, extend or backfill."""
    GAVE_UP = 4
    """The range given to ``peer`` could not be covered before the deadline."""


class Traced(_Effect, frozen=True):
    """Something out of the ordinary happened to the broadcast whose first message is ``id``."""

    id: MessageId
    count: int
    """Messages that travelled with it, itself included."""
    what: TraceKind
    peer: NodeRef


class Misbehaved(_Effect, frozen=True):
    """A peer broke a rule; the message was dropped."""

    peer: NodeRef
    reason: Fault


class SealRefused(_Effect, frozen=True):
    """A message was dropped because of its seal, and ``peer``, which sent it, may be honest."""

    peer: NodeRef
    id: MessageId
    """The message, or the first of its broadcast."""
    reason: Fault


class Mailed(_Effect, frozen=True):
    """A letter has come for this node's store."""

    sender: NodeRef
    letter: bytes


Effect = (
    Send
    | Verify
    | Judged
    | Record
    | SendStored
    | Gap
    | LookupDone
    | Walked
    | BroadcastDone
    | WitnessedDone
    | LeftRing
    | StatusChanged
    | Joined
    | RingChanged
    | FingersChanged
    | PeerDied
    | PeersKnown
    | Traced
    | Misbehaved
    | SealRefused
    | Mailed
)
