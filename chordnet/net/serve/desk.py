"""Lets clients in, up to a limit, and keeps their sessions.

At the limit, an idle client gives way to a new one: first the oldest of those that have sent no
request yet, then the one whose last request is oldest. A client that waits for an answer or follows
keeps its place. If nobody gives way, there are a few places more for operators, so that a node full
of busy clients can still be looked at and stopped. Where clients have certificates, the owner of
one has a quarter of the places at most.
"""

from __future__ import annotations

from collections.abc import Callable

from chordnet.net.links.protocol import Connection
from chordnet.net.links.trusting import still_trusted
from chordnet.net.serve.clients import ClientSession
from chordnet.net.serve.permissions import Permissions
from chordnet.net.serve.seams import Node
from chordnet.trust.base.subjects import Subject
from chordnet.wire.codec import LONG_OF_CLIENTS
from chordnet.wire.greeting import Refuse
from chordnet.wire.parts import PartsRoom
from chordnet.wire.trust.cookies import Shown

SILENT_S = 1.0
"""How long a client may take for its first request before it gives way to another one."""
SHARES = 4
"""The owner of one certificate may have one in so many of the places."""
QUIET_S = 5.0
"""How long a client keeps its place after a request while others want it."""


class ClientDesk:
    """Lets clients in and keeps their sessions.

    :param node: answers their requests.
    :param leave: makes the whole node leave in order and stop; calls back when it has left.
    :param permissions: what each client may do.
    """

    def __init__(
        self,
        node: Node,
        leave: Callable[[Callable[[], None]], None],
        permissions: Permissions | None = None,
    ) -> None:
        self.node = node
        self.leave = leave
        self._permissions = permissions or Permissions()
        self._sessions: dict[ClientSession, Connection] = {}
        """In the order in which they connected."""
        self._parts_room = PartsRoom(node.limits.parts_bytes, node.clock.seconds)
        self._stopped = False

    @property
    def clients(self) -> int:
        """Connections with clients."""
        return len(self._sessions)

    def refuse(self, *, operates: bool = False, subject: Subject | None = None) -> Refuse | None:
        """Return why a further client is refused, None if it is welcome.

        :param operates: it is an operator, for whom places are kept.
        :param subject: whom its certificate names.
        """
        if self._stopped:
            return Refuse("full", "this node is shutting down")
        limits = self.node.limits
        if subject is not None and self._held_by(subject) >= max(1, limits.max_clients // SHARES):
            return Refuse(
                "full",
                f"{subject.name!r} has as many connections with this node as one certificate may",
            )
        if len(self._sessions) < limits.max_clients or self._make_room():
            return None
        if operates and len(self._sessions) < limits.max_clients + limits.kept_clients:
            return None
        return Refuse("full", "this node has as many clients as it accepts; try another node")

    def _held_by(self, subject: Subject) -> int:
        """Return how many connections the owner of a certificate has."""
        owners = (connection.subject for connection in self._sessions.values())
        names = [(each.role, each.name) for each in owners if each is not None]
        return names.count((subject.role, subject.name))

    def _make_room(self) -> bool:
        """Disconnect an idle client; return True if there was one.

        Clients that have sent no request yet go first, then the one whose last request is oldest.
        """
        now = self.node.clock.seconds()
        idle = [s for s in self._sessions if not s.busy]
        silent = [s for s in idle if not s.has_asked and now - s.since >= SILENT_S]
        quiet = [s for s in idle if s.has_asked and now - s.asked_at >= QUIET_S]
        if not (silent or quiet):
            return False
        session = silent[0] if silent else min(quiet, key=lambda each: each.asked_at)
        self.forget(session)
        session.close("idle", "no request came for a while, and other clients are waiting")
        return True

    def attach(self, connection: Connection, shown: Shown | None = None) -> ClientSession:
        """Take over a connection on which a client has greeted.

        :param shown: what it has shown of its cookies.
        """
        access = self._permissions.access(connection.subject, shown)
        session = ClientSession(self, connection, access)
        self._sessions[session] = connection
        connection.accept_long(self._parts_room, LONG_OF_CLIENTS, session.crowded)
        return session

    def forget(self, session: ClientSession) -> None:
        """Forget a session."""
        self._sessions.pop(session, None)

    def look_again(self) -> None:
        """End the connections with clients whose certificates are not believed any more."""
        for session, connection in list(self._sessions.items()):
            reason = still_trusted(connection)
            if reason is not None:
                session.close("idle", reason)

    def stop(self) -> None:
        """Say goodbye to every client."""
        self._stopped = True
        with self.node.turn:
            for session in list(self._sessions):
                session.close("leaving", "the node is shutting down")
