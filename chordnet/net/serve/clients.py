"""Answers clients on the node's own port.

A client's requests (``wire/rpc.py``) are answered as their results come, in any order. A client may
have a limited number of them in flight, and when it does not read its replies, its requests are
not read either. A follower is sent messages only as fast as it reads: what waits for it stays in
the node's log, of which the session remembers its place, so a slow follower costs nothing. A client
that reads nothing at all while replies wait is cut off after a while, with a reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Protocol

from chordnet.core.base.errors import Busy, ChordnetError, RemoteProtocolError
from chordnet.net.base.interfaces import Core, LookupDoneWith, MessageLog, ReceiptDone
from chordnet.net.base.journal import Journal
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.load import Load
from chordnet.net.base.turn import Turn
from chordnet.net.links.protocol import Connection
from chordnet.net.observe.accounts import history, trails
from chordnet.net.observe.traces import Traces
from chordnet.net.observe.views import Views
from chordnet.net.serve.reading import Reader, ReceivedReader, open_reader, position_of, trace_of
from chordnet.wire.codec import read_request
from chordnet.wire.greeting import Bye
from chordnet.wire.rpc import (
    BeginRing,
    ClientRequest,
    Done,
    Failure,
    Follow,
    GetHistory,
    GetMessages,
    GetStatus,
    GetTrace,
    GetTrails,
    HistoryReply,
    LeaveRing,
    Lookup,
    LookupReply,
    LookupResult,
    Messages,
    NodeStatus,
    Receipt,
    SendMessage,
    Sent,
    StatusReply,
    TraceReply,
    Trails,
    Unfollow,
)

_MAX_FOLLOWS = 16
"""Follow requests of one client at the same time."""


class Node(Protocol):
    """What clients need of a node (:class:`chordnet.net.runtime.node.LocalNode`)."""

    core: Core
    log: MessageLog
    journal: Journal
    limits: NetworkLimits
    load: Load
    views: Views
    traces: Traces
    turn: Turn
    clock: Any
    wall: Callable[[], float]

    def publish(self, body: str, done: ReceiptDone) -> None: ...
    def find(self, key: str, done: LookupDoneWith, *, iterative: bool = False) -> None: ...
    def status(self) -> NodeStatus: ...
    def begin(self) -> None:
        """Create a ring now, unless the node is in one or about to be."""

    def follow(self, callback: Callable[[], None]) -> Callable[[], None]: ...


class Desk(Protocol):
    """Who let a client in (:class:`chordnet.net.serve.desk.ClientDesk`)."""

    node: Node
    leave: Callable[[Callable[[], None]], None]

    def gone(self, session: ClientSession) -> None:
        """Forget a session."""


class ClientSession:
    """Handles a connection whose other end has greeted as a client."""

    def __init__(self, desk: Desk, connection: Connection) -> None:
        self._desk = desk
        self._node = desk.node
        self._connection = connection
        self._backlog: deque[bytes] = deque()
        self._reading = True
        self._in_flight = 0
        self._unread = 0
        """Bytes of receipts that may not have been handed to the system yet."""
        self._follows: dict[int, Reader] = {}
        self._unaware: set[int] = set()
        """Followers who are to be told when they have been sent all that there is."""
        self._wake: Any = None
        self._unfollow: Callable[[], None] | None = None
        self._stall: Any = None
        self._idle: Any = None
        self._requests = 0
        self._seen = -1
        self.since = self.asked_at = self._node.clock.seconds()
        """When it came, and when it asked last, on the reactor's clock."""
        self._watch_idle()

    @property
    def asked(self) -> bool:
        """Whether it has asked anything yet."""
        return self._requests > 0

    @property
    def busy(self) -> bool:
        """Whether an answer or a following is under way."""
        return bool(self._in_flight or self._follows or self._backlog)

    # -- what the connection reports -----------------------------------------------------------

    def frames(self, frames: list[bytes]) -> None:
        self.asked_at = self._node.clock.seconds()
        self._backlog += frames
        self._work()

    def _work(self) -> None:
        """Handle requests as long as their replies are read; then read no more requests."""
        backlog = self._backlog
        while backlog and not self._connection.paused and not self._connection.closing:
            request = read_request(backlog.popleft())
            if isinstance(request, Bye):
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
        self._node.journal.limited(
            "client_violations", "closed the connection with a client at {address}: {reason}",
            address=self._connection.peer_name, reason=reason,
        )  # fmt: skip
        self.close("protocol", reason)

    def overloaded(self) -> None:
        self._complain_of_slowness()

    def held(self) -> None:
        if self._stall is None and not self._connection.closing:
            self._stall = self._node.clock.callLater(
                self._node.limits.client_stall_s, self._stalled
            )

    def drained(self) -> None:
        self._stop_stall()
        self._let_go()
        try:
            self._work()
        except RemoteProtocolError as error:
            self.violated(str(error))
        self._pump()

    def lost(self) -> None:
        self._desk.gone(self)
        self._stop_stall()
        self._let_go()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self._follows.clear()
        self._stop_following()

    def close(self, code: str, text: str) -> None:
        """Say goodbye and close."""
        self._follows.clear()
        self._connection.send(Bye(code, text))
        self._connection.close()

    # -- requests ------------------------------------------------------------------------------

    def _handle(self, request: ClientRequest) -> None:
        self._node.journal.counters["requests"] += 1
        self._requests += 1
        if self._in_flight >= self._node.limits.client_in_flight:
            self._fail(request.rid, Busy(f"{self._in_flight} requests are in flight already"))
            return
        try:
            self._handlers[type(request)](self, request)
        except ChordnetError as error:
            self._fail(request.rid, error)
        except Exception:  # noqa: BLE001 - logged with its traceback
            self._node.journal.failure("request_errors", "a client's request failed unexpectedly")
            self._reply(
                Failure(request.rid, "ChordnetError", "an error inside the node; see its log")
            )

    def _send_message(self, request: SendMessage) -> None:
        if not request.wait:
            self._node.publish(request.body, lambda _result: None)
            self._reply(Done(request.rid))
            return
        self._in_flight += 1
        try:
            self._node.publish(request.body, partial(self._sent, request.rid))
        except ChordnetError:
            self._in_flight -= 1
            raise

    def _sent(self, rid: int, result: Receipt | ChordnetError) -> None:
        self._in_flight -= 1
        if isinstance(result, ChordnetError):
            self._fail(rid, result)
        else:
            self._keep_until_read(len(result.body))
            self._reply(Sent(rid, result))

    def _keep_until_read(self, size: int) -> None:
        """Count the bytes of a receipt among what the node holds until the system has taken them.

        A client that reads no receipts would otherwise have the node hold ever more of them.
        """
        if self._connection.closing:
            return
        if not self._unread:
            self._node.turn.after(self._let_go_of_read)
        self._unread += size
        self._node.load.keep(size)

    def _let_go_of_read(self) -> None:
        if not self._connection.paused:
            self._let_go()

    def _let_go(self) -> None:
        self._node.load.give(self._unread)
        self._unread = 0

    def _lookup(self, request: Lookup) -> None:
        done = partial(self._looked_up, request.rid)
        self._in_flight += 1
        try:
            self._node.find(request.key, done, iterative=request.iterative)
        except ChordnetError:
            self._in_flight -= 1
            raise

    def _looked_up(self, rid: int, result: LookupResult | ChordnetError) -> None:
        self._in_flight -= 1
        if isinstance(result, ChordnetError):
            self._fail(rid, result)
        else:
            self._reply(LookupReply(rid, result))

    def _get_status(self, request: GetStatus) -> None:
        self._reply(StatusReply(request.rid, self._node.status()))

    def _get_messages(self, request: GetMessages) -> None:
        start, limit = self._place(request)
        self._reply(Messages(request.rid, *ReceivedReader(self._node, start).read(limit)))
        # At once, so that a client that does not read is noticed before the next long reply.
        self._connection.flush_now()

    def _place(self, request: GetMessages | GetTrails) -> tuple[int, int]:
        """Return the position that the messages asked for come after, and how many they are."""
        log = self._node.log
        limit = request.limit if request.limit > 0 else len(log)
        start = position_of(log, request.since) if request.since else log.before_newest(limit)
        return start, limit

    def _get_history(self, request: GetHistory) -> None:
        self._reply(HistoryReply(request.rid, *history(self._node, request.after)))
        self._connection.flush_now()

    def _get_trails(self, request: GetTrails) -> None:
        self._reply(Trails(request.rid, *trails(self._node, *self._place(request))))
        self._connection.flush_now()

    def _get_trace(self, request: GetTrace) -> None:
        self._reply(TraceReply(request.rid, trace_of(self._node, request.id)))

    def _begin(self, request: BeginRing) -> None:
        self._node.begin()
        self._reply(Done(request.rid))

    def _leave(self, request: LeaveRing) -> None:
        self._desk.leave(lambda: self._reply(Done(request.rid)))

    # -- following -----------------------------------------------------------------------------

    def _follow(self, request: Follow) -> None:
        if len(self._follows) >= _MAX_FOLLOWS:
            raise Busy(f"a client may follow {_MAX_FOLLOWS} times at once")
        self._follows[request.rid] = open_reader(self._node, request.order, request.since)
        if request.order != "received":
            self._unaware.add(request.rid)
        if self._unfollow is None:
            self._unfollow = self._node.follow(self._pump)
        self._pump()

    def _end_follow(self, request: Unfollow) -> None:
        self._drop(request.rid)
        if not self._follows:
            self._stop_following()
        self._reply(Done(request.rid))

    def _drop(self, rid: int) -> None:
        self._follows.pop(rid, None)
        self._unaware.discard(rid)

    def _stop_following(self) -> None:
        self._wake_at(None)
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None

    def _pump(self) -> None:
        """Send followers what they have not seen, until the connection is full."""
        more = False
        for rid, reader in list(self._follows.items()):
            try:
                more |= self._pump_one(rid, reader)
            except ChordnetError as error:
                self._drop(rid)
                self._fail(rid, error)
        deadlines = [r.deadline for r in self._follows.values() if r.deadline is not None]
        self._wake_at(0.0 if more else min(deadlines, default=None))

    def _pump_one(self, rid: int, reader: Reader) -> bool:
        """Send one follower what it has not seen; return whether there is more to look at first.

        A reader that has far to go before it finds something to send goes on in a later turn.
        """
        more = True
        while more and not self._connection.paused and not self._connection.closing:
            entries, more = reader.read()
            if not entries and more:
                return True
            if entries or rid in self._unaware:
                self._reply(reader.reply(rid, entries, more))
                self._connection.flush_now()
            if not more:
                self._unaware.discard(rid)
        return False

    def _wake_at(self, moment: float | None) -> None:
        """Pump again at a moment of the wall clock, too."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        # A connection that is full pumps when it has drained.
        if moment is not None and not (self._connection.paused or self._connection.closing):
            delay = max(0.0, moment - self._node.wall())
            self._wake = self._node.clock.callLater(delay, self._woken)

    def _woken(self) -> None:
        self._wake = None
        with self._node.turn:
            self._pump()

    # -- replies, and a client that does not read them -------------------------------------------

    def _reply(self, message: Any) -> None:
        self._connection.send(message)

    def _fail(self, rid: int, error: ChordnetError) -> None:
        self._reply(Failure(rid, type(error).__name__, str(error)))

    def _stalled(self) -> None:
        self._stall = None
        self._complain_of_slowness()
        self.close("slow", "nothing was read for too long while replies waited")

    def _complain_of_slowness(self) -> None:
        self._node.journal.limited(
            "clients_overloaded", "cut off a client at {address}: it reads too slowly",
            address=self._connection.peer_name,
        )  # fmt: skip

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _watch_idle(self) -> None:
        self._idle = self._node.clock.callLater(self._node.limits.idle_s, self._look_for_idle)

    def _look_for_idle(self) -> None:
        self._idle = None
        busy = self._in_flight or self._follows or self._requests != self._seen
        self._seen = self._requests
        if not busy:
            with self._node.turn:
                self.close("idle", "nothing was asked for a long time")
            return
        self._watch_idle()

    _handlers: ClassVar[dict[type, Callable[[ClientSession, Any], None]]] = {
        SendMessage: _send_message,
        GetMessages: _get_messages,
        Follow: _follow,
        Unfollow: _end_follow,
        GetStatus: _get_status,
        Lookup: _lookup,
        GetTrace: _get_trace,
        GetHistory: _get_history,
        GetTrails: _get_trails,
        LeaveRing: _leave,
        BeginRing: _begin,
    }
