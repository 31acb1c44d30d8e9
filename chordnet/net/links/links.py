"""The way to one peer, and the session on a connection with it.

Two things make up where a link is: whether there is a session, and what this node does about
dialling. The two are independent, since a peer may call while its own address is being dialled::

    no session    IDLE    IN_LINE    DIALLING       PAUSED
    a session     UP      UP_IN_LINE UP_DIALLING    -

- *in line*: as many dials are under way as the limit allows; this one begins when another ends.
- *dialling*: an attempt is under way, until its greeting is answered or fails.
- *paused*: the last attempt failed; the next may begin when the pause is over. Nothing pauses while
  there is a session, since the peer was reached.

:attr:`Link.TRANSITIONS` has every step; any other is a bug, and raises.

``queue`` is filled only while there is no session. When the attempt fails the queue is dropped; the
protocol recovers from the loss.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

from twisted.internet.interfaces import IDelayedCall

from chordnet.core.base.errors import LocalProtocolError
from chordnet.core.base.events import Event, Received
from chordnet.core.base.messages import NodeRef
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.guard.pace import Pace
from chordnet.net.links.dialler import Dial
from chordnet.net.links.protocol import Connection
from chordnet.wire.codec import UNREADABLE, malformed, read_peer
from chordnet.wire.greeting import Bye
from chordnet.wire.trust.bundles import BundleMessage, BundleText, BundleVersion

_BESIDES = frozenset({Bye, BundleVersion, BundleText})
"""Messages of the connection; all others are the core's."""


class LinkState(enum.Enum):
    """Where a link is."""

    IDLE = "idle"
    IN_LINE = "in line"
    DIALLING = "dialling"
    PAUSED = "paused"
    UP = "up"
    UP_IN_LINE = "up and in line"
    UP_DIALLING = "up and dialling"


class LinkStep(enum.Enum):
    """What happens to a link."""

    LINED_UP = "stand in line"
    LEFT_LINE = "leave the line"
    DIALLED = "begin a dial"
    DIAL_ENDED = "end a dial"
    PAUSED = "pause"
    PAUSE_ENDED = "end a pause"
    ATTACHED = "get a session"
    DETACHED = "lose its session"


class Link:
    """What is known of the way to one peer."""

    __slots__ = (
        "active",
        "dial",
        "failures",
        "node",
        "pace",
        "pause",
        "queue",
        "queued_bytes",
        "session",
        "state",
        "told",
        "wanted",
    )

    TRANSITIONS: ClassVar[Mapping[tuple[LinkState, LinkStep], LinkState]] = {
        (LinkState.IDLE, LinkStep.LINED_UP): LinkState.IN_LINE,
        (LinkState.IDLE, LinkStep.DIALLED): LinkState.DIALLING,
        (LinkState.IDLE, LinkStep.PAUSED): LinkState.PAUSED,
        (LinkState.IDLE, LinkStep.ATTACHED): LinkState.UP,
        (LinkState.IN_LINE, LinkStep.LEFT_LINE): LinkState.IDLE,
        (LinkState.IN_LINE, LinkStep.ATTACHED): LinkState.UP_IN_LINE,
        (LinkState.DIALLING, LinkStep.DIAL_ENDED): LinkState.IDLE,
        (LinkState.DIALLING, LinkStep.ATTACHED): LinkState.UP_DIALLING,
        (LinkState.PAUSED, LinkStep.PAUSE_ENDED): LinkState.IDLE,
        # The peer took the place of a session that it no longer knows of, or of a second one.
        (LinkState.UP, LinkStep.ATTACHED): LinkState.UP,
        (LinkState.UP, LinkStep.DETACHED): LinkState.IDLE,
        (LinkState.UP_IN_LINE, LinkStep.LEFT_LINE): LinkState.UP,
        (LinkState.UP_IN_LINE, LinkStep.ATTACHED): LinkState.UP_IN_LINE,
        (LinkState.UP_IN_LINE, LinkStep.DETACHED): LinkState.IN_LINE,
        (LinkState.UP_DIALLING, LinkStep.DIAL_ENDED): LinkState.UP,
        (LinkState.UP_DIALLING, LinkStep.ATTACHED): LinkState.UP_DIALLING,
        (LinkState.UP_DIALLING, LinkStep.DETACHED): LinkState.DIALLING,
    }

    def __init__(self, node: NodeRef) -> None:
        self.node = node
        """The newest incarnation known here, or a contact."""
        self.state = LinkState.IDLE
        self.session: PeerSession | None = None
        self.dial: Dial | None = None
        self.pause: IDelayedCall | None = None
        """The delayed call that ends the pause after a failed dial."""
        self.queue: list[bytes] = []
        self.queued_bytes = 0
        self.failures = 0
        """Failed dials in a row."""
        self.told = False
        """Whether its address is known only because a peer named it."""
        self.wanted = False
        """Whether this node has sent it anything but answers."""
        self.active = True
        """Whether a message passed since the last look for idle links."""
        self.pace: Pace | None = None
        """How fast it is read. A new connection does not begin anew."""

    @property
    def dialled(self) -> bool:
        """Whether a dial is under way or will be, sooner or later."""
        return self.state not in (LinkState.IDLE, LinkState.UP)

    @property
    def empty(self) -> bool:
        """Whether nothing would be lost by forgetting it."""
        return self.state in (LinkState.IDLE, LinkState.IN_LINE) and not self.queue

    def queue_limit(self, limits: NetworkLimits) -> int:
        """Return how many bytes may wait for a dial."""
        # A peer that names many addresses must not make this node hold a full queue for each.
        return limits.dial_queue_bytes // 16 if self.told else limits.dial_queue_bytes

    def is_crowded(self, size: int, limits: NetworkLimits) -> bool:
        """Return True if too much waits already for so many bytes more of a letter.

        Letters leave a quarter of the room to other messages while a dial is under way. On a
        connection they have a room of their own.
        """
        if self.session is not None:
            waiting = self.session.connection.waiting
            return bool(waiting) and waiting + size > limits.send_buffer_bytes
        most = self.queue_limit(limits)
        return bool(self.queue) and self.queued_bytes + size > most - most // 4

    def take_queue(self) -> list[bytes]:
        """Return the waiting frames and forget them."""
        queue, self.queue, self.queued_bytes = self.queue, [], 0
        return queue

    # -- the steps of the table ------------------------------------------------------------------

    def line_up(self) -> None:
        """Stand in the line of dials to come."""
        self._step(LinkStep.LINED_UP)

    def leave_line(self) -> None:
        """Leave the line."""
        self._step(LinkStep.LEFT_LINE)

    def begin_dial(self, dial: Dial) -> None:
        """Note that ``dial`` is under way."""
        self._step(LinkStep.DIALLED)
        self.dial = dial

    def end_dial(self) -> None:
        """Note that the attempt is over, whether it succeeded or failed."""
        self._step(LinkStep.DIAL_ENDED)
        self.dial = None

    def begin_pause(self, pause: IDelayedCall) -> None:
        """Begin no dial until ``pause`` has been called."""
        self._step(LinkStep.PAUSED)
        self.pause = pause

    def end_pause(self) -> None:
        """Note that the pause is over, because of the time or because the peer was reached."""
        self._step(LinkStep.PAUSE_ENDED)
        self.pause = None

    def attach(self, session: PeerSession) -> None:
        """Write to ``session`` from now on."""
        self._step(LinkStep.ATTACHED)
        self.session = session

    def detach(self) -> None:
        """Stop writing to the session."""
        self._step(LinkStep.DETACHED)
        self.session = None

    def _step(self, step: LinkStep) -> None:
        after = self.TRANSITIONS.get((self.state, step))
        if after is None:
            raise LocalProtocolError(f"a link that is {self.state.value} cannot {step.value}")
        self.state = after


class Owner(Protocol):
    """The transport, as a session sees it."""

    post: Callable[[Event], None]
    teller: bytes

    def on_bye(self, session: PeerSession, bye: Bye) -> None: ...
    def on_bundle(self, session: PeerSession, message: BundleMessage) -> None: ...
    def session_ended(self, session: PeerSession, problem: str) -> None: ...
    def session_overloaded(self, session: PeerSession) -> None: ...


class Bundles(Protocol):
    """Keeps roots and revocations up to date (:class:`chordnet.net.enrol.spreading.Spreading`)."""

    def met(self, line: Connection) -> None:
        """Say which are in force here, on a new connection."""

    def heard(self, line: Connection, message: BundleMessage) -> None:
        """Take what the peer says.

        :raises RemoteProtocolError: it is not believed.
        """


class PeerSession:
    """Handles a connection whose other end has greeted as a peer.

    :param outgoing: whether this side dialled.
    :param since: when it was greeted, on the reactor's clock.
    """

    __slots__ = ("_owner", "connection", "link", "node", "outgoing", "said_bye", "since")

    def __init__(
        self,
        owner: Owner,
        connection: Connection,
        link: Link,
        node: NodeRef,
        *,
        outgoing: bool,
        since: float,
    ) -> None:
        self._owner = owner
        self.connection = connection
        self.link = link
        self.node = node
        self.outgoing = outgoing
        self.since = since
        self.said_bye = False

    def frames(self, frames: list[bytes]) -> None:
        # On the way of every message: what is looked up is looked up once for all frames.
        node, post, decode = self.node, self._owner.post, read_peer.decode
        self.link.active = True
        self._owner.teller = node.raw
        for frame in frames:
            try:
                message = decode(frame)
            except UNREADABLE as error:
                self._owner.teller = b""
                raise malformed(error) from None
            if type(message) in _BESIDES:
                if isinstance(message, Bye):
                    self._owner.teller = b""
                    self._owner.on_bye(self, message)
                    return
                self._owner.on_bundle(self, message)  # type: ignore[arg-type]
                continue
            post(Received(node, message))  # type: ignore[arg-type]
        self._owner.teller = b""

    def say_bye(self, code: str, patience_s: float) -> None:
        """Send nothing more, and wait for the other side's goodbye for a while."""
        if not self.said_bye:
            self.said_bye = True
            self.connection.send(Bye(code))
            self.connection.cut_after(patience_s)

    def violated(self, reason: str) -> None:
        self.connection.send(Bye("protocol", reason))
        self.connection.close()
        self._owner.session_ended(self, reason)

    def overloaded(self) -> None:
        self._owner.session_overloaded(self)

    def held(self) -> None:
        """Do nothing: the send buffer's limit is enough."""

    def drained(self) -> None:
        """Do nothing: nothing waits for it."""

    def lost(self) -> None:
        self._owner.session_ended(self, "")
