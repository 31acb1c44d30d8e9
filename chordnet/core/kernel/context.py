"""What the parts of a node share: its own pointer, the time, and the list of effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import Any

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import Effect, Send, StatusChanged
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef, PeerMessage, Status
from chordnet.core.base.metrics import CoreMetric, Counters
from chordnet.core.kernel import membership
from chordnet.core.kernel.peers import PEERS_PAUSE_S, PeerBook
from chordnet.core.kernel.signals import ENTERED, HINTED, P, Signal
from chordnet.core.kernel.timers import Alarm, Alarms, Horizon

Table = Mapping[Signal[...], Sequence[tuple[str | None, Callable[..., None]]]]
"""Signal -> its hearers, in order: the owner's attribute (None: the owner itself), its method."""
NOT_HEARD: Table = MappingProxyType({})


class Context:
    """One node's surroundings, handed to each of its parts.

    ``now`` and ``effects`` are set by :meth:`ChordNode.step` for the step under way.

    :param config: the node's settings.
    :param me: its own pointer.
    :param rng: its only source of randomness.
    :param owner: the object that holds the parts; passed to the hearers of a signal.
    :param hearers: the hearers of each signal.
    """

    def __init__(
        self,
        config: ProtocolConfig,
        me: NodeRef,
        rng: Random,
        owner: Any = None,
        hearers: Table = NOT_HEARD,
    ) -> None:
        self.config = config
        self.space = IdentifierSpace(config.bits)
        self.me = me
        self.my_id = me.id
        self.rng = rng
        self.now = 0.0
        self.wall: float | None = None
        """The wall clock as last told by an event; None if it is not known."""
        self.effects: list[Effect] = []
        self.horizon = Horizon()
        self.alarms: Alarms[Alarm] = Alarms(self.horizon)
        self.peers = PeerBook(config, me)
        self.counters: Counters[CoreMetric] = Counters()
        self.status = Status.UNJOINED
        """Where the node is in its life; :meth:`become` changes it."""
        self.is_member = False
        """Whether the node is active in a ring."""
        self._owner = owner
        self._hearers = hearers
        self._rid = 0

    def become(self, status: Status, reason: str = "") -> None:
        """Change the status; tell :data:`ENTERED` if the node is now a member.

        :param reason: why, if the status does not say it.
        :raises LocalProtocolError: the present status does not allow it.
        """
        old = self.status
        if old == status:
            return
        membership.check(old, status)
        self.set_status(status)
        self.effects.append(StatusChanged(old, status, reason))
        if status == Status.ACTIVE:
            self.tell(ENTERED)

    def set_status(self, status: Status) -> None:
        """Set the status without a check and without a signal."""
        self.status = status
        self.is_member = status == Status.ACTIVE

    def tell(self, signal: Signal[P], *args: P.args, **kwargs: P.kwargs) -> None:
        """Tell every part that hears this signal."""
        owner = self._owner
        for name, hear in self._hearers.get(signal, ()):
            hear(owner if name is None else getattr(owner, name), *args, **kwargs)

    def hint(self, node: NodeRef) -> None:
        """Tell :data:`HINTED`: others name ``node``, which differs from the known one."""
        self.tell(HINTED, node)

    def send(self, to: NodeRef, message: PeerMessage) -> None:
        """Ask for ``message`` to be sent."""
        self.effects.append(Send(to, message))

    def rid(self) -> int:
        """Return a number for a new request or lookup."""
        self._rid += 1
        return self._rid

    def answered(self, peer: NodeRef) -> None:
        """Note that ``peer`` has answered a question of ours, so it is worth keeping on disk."""
        if self.peers.answered(peer):
            self.alarms.sooner(Alarm.PEERS, self.now + PEERS_PAUSE_S)

    def jittered(self, pause: float) -> float:
        """Return ``now`` plus ``pause``, varied so that nodes do not march in step."""
        spread = self.config.jitter
        return self.now + pause * (1 + spread * (2 * self.rng.random() - 1))

    def distance(self, ref: NodeRef) -> int:
        """Return how far ``ref`` lies clockwise of this node."""
        return (ref.id - self.my_id) % self.space.size
