"""Who may do what at a node.

Each request needs a role (:data:`chordnet.net.serve.calls.CALLS`). On a secured connection the
client has the role of its certificate. On a plain one everybody may ask and send, and who shows the
node's cookie (:mod:`chordnet.wire.cookies`) may operate it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal

import attrs

from chordnet.core.base.errors import NotPermitted
from chordnet.wire.cookies import SKEW_S, Shown, proves

Role = Literal["read", "send", "operate"]
"""What a client must be allowed to do: see what the node sees, keys included; broadcast, and write
keys; change the node itself, or the network."""

_RANKS = {"read": 1, "send": 2, "operate": 3}


@attrs.frozen
class Access:
    """What one client may do."""

    role: Role
    who: str = "a client"
    """As it is named in the log."""
    why: str = "this client showed none"
    """Why it may not operate the node, if it is for want of the cookie."""

    def covers(self, needed: Role) -> bool:
        """Return True if it may do what takes this role."""
        return _RANKS[self.role] >= _RANKS[needed]

    def require(self, needed: Role, doing: str) -> None:
        """Make sure that it may do what takes this role.

        :param doing: says what it wants.
        :raises NotPermitted: it may not.
        """
        if not self.covers(needed):
            raise NotPermitted(f"{doing} takes the node's cookie, and {self.why}")


OWNER = Access("operate", "the program itself")
"""What the program may do that runs the node."""


class Permissions:
    """What decides which access a client has.

    :param cookies: those of the node.
    :param ports: where clients reach it.
    :param wall: returns the wall clock in seconds since 1970.
    """

    def __init__(
        self,
        cookies: Sequence[bytes] = (),
        ports: Collection[int] = (),
        wall: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._cookies = tuple(cookies)
        self._ports = frozenset(ports)
        self._wall = wall

    def access(self, shown: Shown | None) -> Access:
        """Return what a client may do that has shown this on a plain connection."""
        why = self._missing(shown)
        if why:
            return Access("send", why=why)
        return Access("operate", "a client with the cookie")

    def _missing(self, shown: Shown | None) -> str:
        """Return why a client may not operate the node; empty if it may."""
        if not self._cookies:
            return "this node has none: start it with a state directory, or with --cookie FILE"
        if shown is None or not shown.proofs:
            return "this client showed none"
        if not proves(shown, self._cookies):
            return "this client showed another one"
        if shown.port not in self._ports:
            ports = " or ".join(map(str, sorted(self._ports)))
            return f"this client showed it for port {shown.port}, but the node is at port {ports}"
        ahead = shown.at - self._wall()
        if abs(ahead) > SKEW_S:
            side = "ahead of" if ahead > 0 else "behind"
            return f"this client's clock is {abs(ahead):.0f} s {side} the node's"
        return ""
