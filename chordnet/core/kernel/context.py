"""What the parts of a node share: who it is, what time it is, and where effects go."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import Effect, Send
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef, PeerMessage
from chordnet.core.base.metrics import CoreMetric, Counters
from chordnet.core.kernel.peers import PEERS_PAUSE_S, PeerBook
from chordnet.core.kernel.timers import Alarm, Alarms, Horizon


class Context:
    """One node's surroundings, handed to each of its parts.

    ``now`` and ``effects`` are set by :meth:`ChordNode.step` for the step under way.
    """

    def __init__(self, config: ProtocolConfig, me: NodeRef, rng: Random) -> None:
        self.config = config
        self.space = IdentifierSpace(config.bits)
        self.me = me
        self.my_id = me.id
        self.rng = rng
        self.now = 0.0
        self.wall: float | None = None
        """The wall clock when it was told of last; None if it is not known."""
        self.effects: list[Effect] = []
        self.horizon = Horizon()
        self.alarms: Alarms[Alarm] = Alarms(self.horizon)
        self.peers = PeerBook(config, me)
        self.counters: Counters[CoreMetric] = Counters()
        self.on_hint: Callable[[NodeRef], None] = _ignore
        self._rid = 0

    def hint(self, node: NodeRef) -> None:
        """``node`` is named by others, and differs from who is known under that name."""
        self.on_hint(node)

    def send(self, to: NodeRef, message: PeerMessage) -> None:
        """Ask for ``message`` to be sent."""
        self.effects.append(Send(to, message))

    def rid(self) -> int:
        """Return a number for a new request or lookup."""
        self._rid += 1
        return self._rid

    def answered(self, peer: NodeRef) -> None:
        """``peer`` has answered a question of ours: it is worth keeping on disk."""
        if self.peers.answered(peer):
            self.alarms.sooner(Alarm.PEERS, self.now + PEERS_PAUSE_S)

    def jittered(self, pause: float) -> float:
        """Return ``now`` plus ``pause``, varied so that nodes do not march in step."""
        spread = self.config.jitter
        return self.now + pause * (1 + spread * (2 * self.rng.random() - 1))

    def distance(self, ref: NodeRef) -> int:
        """Return how far ``ref`` lies clockwise of this node."""
        return (ref.id - self.my_id) % self.space.size


def _ignore(_node: NodeRef) -> None:
    pass
