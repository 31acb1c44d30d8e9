"""Answers one client on the node's own port.

The table of calls (``calls.py``) says how each request is answered. Replies are sent as results
come, in any order. A client may have a limited number of requests in flight, and if it does not
read its replies, its requests are not read either. What it follows is in ``followings.py``, and
when it is disconnected in ``watches.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    Conflict,
    NotPermitted,
    RemoteProtocolError,
)
from chordnet.net.base.metrics import NetMetric
from chordnet.net.links.protocol import Connection
from chordnet.net.serve.audit import Audit
from chordnet.net.serve.calls import BY_REQUEST
from chordnet.net.serve.followings import Followings
from chordnet.net.serve.permissions import Access
from chordnet.net.serve.revisions import KeyWatches
from chordnet.net.serve.seams import Node
from chordnet.net.serve.watches import IdleWatch, ReadingWatch
from chordnet.trust.base.subjects import Role
from chordnet.wire.codec import encode_frame, read_request
from chordnet.wire.greeting import Bye
from chordnet.wire.rpc import (
    ClientRequest,
    ConflictReply,
    DeleteKey,
    EntryReply,
    GetKey,
    PutKey,
    ServerReply,
    failure,
)
from chordnet.wire.watches import StaleReply

T = TypeVar("T")


class Desk(Protocol):
    """What a session needs of the :class:`chordnet.net.serve.desk.ClientDesk` that made it."""

    node: Node
    leave: Callable[[Callable[[], None]], None]

    def forget(self, session: ClientSession) -> None:
        """Forget a session."""


class ClientSession:
    """Handles a connection whose other end has greeted as a client."""

    def __init__(self, desk: Desk, connection: Connection, access: Access) -> None:
        self.node = desk.node
        self.access = access
        self._audit = Audit(self.node.journal, access.who, connection.peer_name)
        self.leave = desk.leave
        self.followings = Followings(self.node, connection)
        self.key_watches = KeyWatches(self.node, connection)
        self._desk = desk
        self._connection = connection
        self._backlog: deque[bytes] = deque()
        self._postponed: deque[tuple[GetKey, int]] = deque()
        """Reads that are to be done again when there is room for so many bytes."""
        self._reading = True
        self._in_flight = 0
        self._requests = 0
        self.since = self.asked_at = self.node.clock.seconds()
        """When the client connected, and when it sent its last request, on the reactor's clock."""
        self._slowness = ReadingWatch(self.node, connection, self.close)
        self._idleness = IdleWatch(self.node, self._used, self.close)

    @property
    def has_asked(self) -> bool:
        """Whether the client has sent a request yet."""
        return self._requests > 0

    @property
    def busy(self) -> bool:
        """Whether an answer, a following or a watch is under way."""
        return bool(self._backlog) or self._awaits

    @property
    def _awaits(self) -> bool:
        return bool(self._owed or self.followings or self.key_watches)

    @property
    def _owed(self) -> int:
        """How many requests are not answered yet."""
        return self._in_flight + len(self._postponed)

    def _used(self) -> tuple[int, bool]:
        return self._requests, self._awaits

    # -- what the connection reports -----------------------------------------------------------

    def frames(self, frames: list[bytes]) -> None:
        self.asked_at = self.node.clock.seconds()
        self._backlog += frames
        self._work()

    def _work(self) -> None:
        """Handle requests while their replies are read; otherwise stop reading requests."""
        backlog = self._backlog
        while backlog and not self._connection.paused and not self._connection.closing:
            request = read_request(backlog.popleft())
            if isinstance(request, Bye):
                self._connection.hurry()
                self._connection.send(Bye(request.code[:20]))
                self._connection.close()
            else:
                self._handle(request)
        if backlog and not self._connection.closing:
            self._reading = False
            self._connection.pause_reading()
        elif not self._reading:
            self._reading = True
            self._connection.resume_reading()

    def violated(self, reason: str) -> None:
        self.node.journal.limited(
            NetMetric.CLIENT_VIOLATIONS,
            "closed the connection with a client at {address}: {reason}",
            address=self._connection.peer_name,
            reason=reason,
        )
        self.close("protocol", reason)

    def overloaded(self) -> None:
        self._slowness.complain()

    def held(self) -> None:
        self._slowness.held()

    def drained(self) -> None:
        self._slowness.drained()
        try:
            self._work()
        except RemoteProtocolError as error:  # only frames() may raise it to the connection
            self.violated(str(error))
        self._do_postponed()
        self.followings.pump()
        self.key_watches.pump()

    def lost(self) -> None:
        self._desk.forget(self)
        self._postponed.clear()
        self._slowness.stop()
        self._idleness.stop()
        self.followings.stop()
        self.key_watches.stop()

    def close(self, code: str, text: str) -> None:
        """Say goodbye and close."""
        self.followings.clear()
        if code != "slow":
            self._connection.hurry()
        self.key_watches.stop()
        self._connection.send(Bye(code, text))
        self._connection.close()

    def crowded(self) -> None:
        """React to a request that was thrown away half-way: the client would wait in vain."""
        self.node.journal.counters.add(NetMetric.PARTS_DROPPED)
        self.close("full", "too many long requests come at the same time; retry after a moment")

    # -- requests ------------------------------------------------------------------------------

    def _handle(self, request: ClientRequest) -> None:
        self.node.journal.counters.add(NetMetric.REQUESTS)
        self._requests += 1
        if self._owed >= self.node.limits.client_in_flight:
            full = Busy(f"{self._owed} requests are in flight already")
            self._connection.send(failure(request.rid, full))
            return
        self._begin(request)

    def _begin(self, request: ClientRequest) -> None:
        call, rid = BY_REQUEST[type(request)], request.rid
        try:
            self.access.require(call.role, call.doing)
            if call.role is Role.OPERATE or self._concerns_kept_keys(request):
                self._audit.begins(request, call.doing)
            answer = call.handler(self, request)
            if answer is None and call.role is Role.OPERATE:
                self._audit.goes_on(rid)
            if answer is not None:
                self._audit.ends(rid)
                self._connection.send(answer)
                if call.long:
                    self._connection.flush_now()
        except NotPermitted as error:
            self._audit.refused(rid, error)
            self._connection.send(failure(rid, error))
        except ChordnetError as error:
            self._audit.ends(rid, error)
            self._connection.send(failure(rid, error))
        except Exception:  # noqa: BLE001 - logged with its traceback
            self.node.journal.failure(
                NetMetric.REQUEST_ERRORS, "a client's request failed unexpectedly"
            )
            broken = ChordnetError("an error inside the node; see its log")
            self._audit.ends(rid, broken)
            self._connection.send(failure(rid, broken))

    def _concerns_kept_keys(self, request: ClientRequest) -> bool:
        if not isinstance(request, PutKey | DeleteKey):
            return False
        return self.node.keys.are_kept_to_operators(request.key)

    def later(
        self,
        rid: int,
        reply: Callable[[int, T], ServerReply | None],
        begin: Callable[..., None],
        *arguments: object,
        held: int = 0,
    ) -> None:
        """Begin something that takes time, and reply when it ends; see :class:`.seams.Asker`."""
        # Before it begins: the result may come before begin() returns.
        self._in_flight += 1
        try:
            begin(*arguments, partial(self._over, rid, reply, held))
        except Exception:
            self._in_flight -= 1
            raise

    def has_room(self, size: int) -> bool:
        """Return True if a reply of so many bytes may be sent now; see :class:`.seams.Asker`."""
        return self._connection.waiting + size <= self.node.limits.send_buffer_bytes

    def _over(
        self,
        rid: int,
        reply: Callable[[int, T], ServerReply | None],
        held: int,
        result: T | ChordnetError,
    ) -> None:
        self._in_flight -= 1
        if isinstance(result, ChordnetError):
            self._audit.ends(rid, result)
            self._fail(rid, result)
            return
        self._audit.ends(rid)
        # The node has let go of the broadcast, but its receipt holds the body as well.
        if held:
            self._slowness.keep(held)
        answer = reply(rid, result)
        if answer is not None:
            self._reply(answer)

    def ask_again(self, request: GetKey, size: int) -> None:
        """Handle a request once more when there is room; see :class:`.seams.Asker`."""
        self._postponed.append((request, size))

    def _do_postponed(self) -> None:
        """Begin as many reads again as there is room for; the others at the next time."""
        wanted = 0
        while self._postponed and not self._connection.closing:
            request, size = self._postponed[0]
            wanted += size
            if not self.has_room(wanted):
                return
            self._postponed.popleft()
            self._begin(request)

    def _fail(self, rid: int, error: ChordnetError) -> None:
        present = error.present if isinstance(error, Conflict) else None
        if present is not None and not self.has_room(len(present.value)):
            # This says as well that it was not done.
            error = Busy("the replies before this one wait to be read; ask again")
        self._reply(failure(rid, error))

    def _reply(self, reply: ServerReply) -> None:
        if isinstance(reply, EntryReply | StaleReply | ConflictReply):
            self._connection.send_value(encode_frame(reply))
        else:
            self._connection.send(reply)
