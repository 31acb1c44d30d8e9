"""Short dials that ask which node listens at an address, for the core to judge names by.

The connection greets in the role ``who``, is told which node listens and its standing, and ends. It
counts as neither a peer's nor a client's, and disturbs no other connection.
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
"""Such dials at the same time. Beyond them none is made, and the known node keeps the name."""


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
        """Dial ``node`` and post which node answers."""
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
        """Give up the dials that are under way."""
        dials, self._dials = self._dials, {}
        for dial in dials.values():
            dial.cancel()


class _Ended:
    """Handles a connection that has served its purpose."""

    def frames(self, frames: list[bytes]) -> None:
        """Drop frames that still come."""

    def violated(self, reason: str) -> None:
        """Do nothing: the connection is being closed."""

    def overloaded(self) -> None:
        """Do nothing: nothing is sent."""

    def held(self) -> None:
        """Do nothing: nothing is sent."""

    def drained(self) -> None:
        """Do nothing: nothing waits."""

    def lost(self) -> None:
        """Do nothing: it is over."""
