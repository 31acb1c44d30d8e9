"""Who may do what at a node.

Each request needs a role (:data:`chordnet.net.serve.calls.CALLS`). On a secured connection the
client has the role of its certificate. On a plain one everybody may ask and send, and who shows the
node's cookie (:mod:`chordnet.wire.trust.cookies`) may operate it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import attrs

from chordnet.core.base.errors import NotPermitted
from chordnet.net.links.protocol import Connection
from chordnet.trust.base.subjects import Role, Subject
from chordnet.wire.greeting import Hello
from chordnet.wire.trust.cookies import SKEW_S, Shown, proves


@attrs.frozen
class Access:
    """What one client may do."""

    role: Role
    who: str
    """As it is named in the log."""
    lacking: str = ""
    """What it would take to operate the node, and why this client does not have it."""

    def require(self, needed: Role, doing: str) -> None:
        """Make sure that it may do what takes this role.

        :param doing: says what it wants.
        :raises NotPermitted: it may not.
        """
        if not self.role.covers(needed):
            raise NotPermitted(f"{doing} takes {self.lacking or self._other(needed)}")

    def _other(self, needed: Role) -> str:
        return f"a certificate with the role {needed}, and this client is {self.who}"


class Permissions:
    """What decides which access a client has.

    :param cookies: those of the node.
    :param ports: where clients reach it.
    :param wall: returns the wall clock in seconds since 1970.
    """

    def __init__(
        self,
        cookies: Iterable[bytes] = (),
        ports: Collection[int] = (),
        wall: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._cookies = tuple(cookies)
        self._ports = frozenset(ports)
        self._wall = wall

    def access(self, subject: Subject | None, shown: Shown | None) -> Access:
        """Return what a client may do.

        :param subject: whom its certificate names; None on a plain connection.
        :param shown: what it has shown of its cookies.
        """
        if subject is not None:
            return Access(subject.role, f"{subject.name!r} ({subject.role})")
        why = self._missing(shown)
        if why:
            return Access(Role.SEND, "a client", f"the node's cookie, and {why}")
        return Access(Role.OPERATE, "a client with the cookie")

    def operates(self, connection: Connection, hello: Hello) -> bool:
        """Return True if a client that greets may operate the node."""
        return self.access(connection.subject, hello.shown).role is Role.OPERATE

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
