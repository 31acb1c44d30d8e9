"""The way to one peer, and the session on a connection with it.

A link is in one of these conditions, decided by what it has:

    session    messages are written to its connection at once
    dial       an attempt is under way; messages wait in the queue
    pause      the last attempt failed; messages wait for the next one
    nothing    the link may be forgotten

``queue`` is only ever filled without a session. When the attempt fails the queue is dropped: the
protocol repairs what got lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from chordnet.core.base.messages import NodeRef, PeerMessage
from chordnet.net.links.dialler import Dial
from chordnet.net.links.protocol import Connection
from chordnet.wire.codec import UNREADABLE, malformed, read_peer
from chordnet.wire.greeting import Bye


class Link:
    """What is known of the way to one peer."""

    __slots__ = (
        "active", "dial", "failures", "node", "pause", "queue", "queued_bytes", "session",
        "told", "waiting", "wanted",
    )  # fmt: skip

    def __init__(self, node: NodeRef) -> None:
        self.node = node
        """The newest incarnation known here, or a contact."""
        self.session: PeerSession | None = None
        self.dial: Dial | None = None
        self.pause: Any = None
        """The delayed call that ends the pause after a failed dial."""
        self.waiting = False
        """Whether it stands in the line of dials to come."""
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

    @property
    def dialled(self) -> bool:
        """Whether a dial is under way or will be, sooner or later."""
        return self.dial is not None or self.pause is not None or self.waiting

    @property
    def empty(self) -> bool:
        """Whether nothing would be lost by forgetting it."""
        return self.session is None and self.dial is None and self.pause is None and not self.queue

    def take_queue(self) -> list[bytes]:
        """Return the waiting frames and forget them."""
        queue, self.queue, self.queued_bytes = self.queue, [], 0
        return queue


class Owner(Protocol):
    """The transport, as a session sees it."""

    received: Callable[[NodeRef, PeerMessage], None]
    teller: bytes

    def session_said_bye(self, session: PeerSession, bye: Bye) -> None: ...
    def session_ended(self, session: PeerSession, problem: str) -> None: ...
    def session_overloaded(self, session: PeerSession) -> None: ...


class PeerSession:
    """Handles a connection whose other end has greeted as a peer.

    :param outgoing: whether this side dialled.
    :param since: when it was greeted, on the reactor's clock.
    """

    __slots__ = ("_owner", "connection", "link", "node", "outgoing", "said_bye", "since")

    def __init__(
        self, owner: Owner, connection: Connection, link: Link, node: NodeRef, *,
        outgoing: bool, since: float,
    ) -> None:  # fmt: skip
        self._owner = owner
        self.connection = connection
        self.link = link
        self.node = node
        self.outgoing = outgoing
        self.since = since
        self.said_bye = False

    def frames(self, frames: list[bytes]) -> None:
        node, received, decode = self.node, self._owner.received, read_peer.decode
        self.link.active = True
        self._owner.teller = node.raw
        for frame in frames:
            try:
                message = decode(frame)
            except UNREADABLE as error:
                self._owner.teller = b""
                raise malformed(error) from None
            if type(message) is Bye:
                self._owner.teller = b""
                self._owner.session_said_bye(self, message)
                return
            received(node, message)  # type: ignore[arg-type]
        self._owner.teller = b""

    def say_bye(self, code: str, patience_s: float) -> None:
        """Send nothing more and wait for the other side to say the same."""
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
        """The send buffer's limit is enough."""

    def drained(self) -> None:
        """Nothing waits for it."""

    def lost(self) -> None:
        self._owner.session_ended(self, "")
