"""Who is there? One short dial to an address, for the core to judge names by.

The connection greets in the role ``who``, is told who listens and where that node stands, and ends.
It counts among nobody's peers or clients, and disturbs no connection that there is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chordnet.core.base.events import Event, LinkFault, Standing, Verified
from chordnet.core.base.messages import NodeRef
from chordnet.net.links.dialler import Dial
from chordnet.net.links.protocol import Connection
from chordnet.wire.greeting import Bye, Refuse, Welcome

MAX_VERIFYING = 32
"""Such dials at the same time. A further one is not made: who is known keeps the name."""


class Verifier:
    """Performs :class:`chordnet.core.base.effects.Verify`.

    :param make: makes a :class:`Dial` from ``address``, ``greeted`` and ``failed``.
    :param post: takes the answer, an event for the core.
    """

    def __init__(self, make: Callable[..., Dial], post: Callable[[Event], None]) -> None:
        self._make = make
        self._post = post
        self._dials: dict[NodeRef, Dial] = {}

    def verify(self, node: NodeRef) -> None:
        """Dial ``node`` and post who answers."""
        if node in self._dials or len(self._dials) >= MAX_VERIFYING:
            return
        dial = self._dials[node] = self._make(
            address=node.address,
            greeted=partial(self._greeted, node),
            failed=partial(self._failed, node),
        )
        dial.start()

    def _greeted(self, node: NodeRef, connection: Connection, welcome: Welcome) -> _Ended:
        self._dials.pop(node, None)
        connection.send(Bye("idle"))
        connection.close()
        found = Standing(welcome.node, welcome.status, welcome.label, welcome.before)
        self._post(Verified(node, found))
        return _Ended()

    def _failed(
        self, node: NodeRef, _fault: LinkFault, _text: str, _refusal: Refuse | None
    ) -> None:
        self._dials.pop(node, None)
        self._post(Verified(node, None))

    def stop(self) -> None:
        """Give up what is under way."""
        dials, self._dials = self._dials, {}
        for dial in dials.values():
            dial.cancel()


class _Ended:
    """Handles a connection of which nothing more is wanted."""

    def frames(self, frames: list[bytes]) -> None:
        """Drop what still comes."""

    def violated(self, reason: str) -> None:
        """It is over anyway."""

    def overloaded(self) -> None:
        """Nothing is sent."""

    def held(self) -> None:
        """Nothing is sent."""

    def drained(self) -> None:
        """Nothing waits."""

    def lost(self) -> None:
        """It is over."""
