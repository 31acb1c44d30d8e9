"""``P2PNetClient``: talks to one node over one connection.

The connection is made when it is first needed, carries any number of calls at once, and is made
again by the next call after it was lost. Every call has a time limit, and what waits for the node
to take it has a limit in bytes (``send_buffer_bytes``): beyond it a call fails at once as ``Busy``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

from twisted.internet.defer import Deferred

from chordnet.core.base import errors
from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    ConnectFailed,
    LocalProtocolError,
    Refused,
    RemoteProtocolError,
    TimedOut,
)
from chordnet.core.base.events import LinkFault
from chordnet.net.base.addresses import client_endpoint, format_address, parse_address
from chordnet.net.base.arguments import CALL, SETTING, refusing
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.links.dialler import Dial, Endpoints
from chordnet.net.links.greeters import client_hello
from chordnet.net.links.protocol import Connection
from chordnet.net.serve.following import Following, Listing
from chordnet.net.serve.pages import all_messages, all_trails, whole_history
from chordnet.wire.codec import encode_frame, frame_limit, read_reply
from chordnet.wire.framing import HEADER_BYTES
from chordnet.wire.greeting import Bye, Refuse, Welcome
from chordnet.wire.rpc import (
    PHRASE_BYTES,
    BeginRing,
    ClientRequest,
    Done,
    Failure,
    Follow,
    GetStatus,
    GetTrace,
    LeaveRing,
    Lookup,
    LookupReply,
    LookupResult,
    MessageRecord,
    Messages,
    MessageTrace,
    MessageTrail,
    NodeHistory,
    NodeStatus,
    Order,
    Ordered,
    OrderedEntry,
    Receipt,
    SendMessage,
    Sent,
    ServerReply,
    StatusReply,
    TraceReply,
    Unfollow,
    check_key,
    check_phrase,
)

T = TypeVar("T")

_EXAMPLE = 'P2PNetClient("127.0.0.1:7001", reactor), or leave it out'
_LONGEST = frame_limit(PHRASE_BYTES)


class P2PNetClient:
    """A client of the node at ``address``.

    :param address: ``host:port``.
    :param reactor: ``IReactorTCP`` and ``IReactorTime``; the process's reactor when left out.
    :param network: refuse to talk to a node of another network; empty for any.
    :param timeout_s: how long a call may wait for its answer.
    :param send_timeout_s: the same for :meth:`send_message`, which waits for all nodes.
    :raises ConfigError: ``address`` is no address.
    """

    def __init__(
        self, address: str = "127.0.0.1:7001", reactor: Any = None, *, network: str = "",
        timeout_s: float = 15.0, send_timeout_s: float = 30.0,
        limits: NetworkLimits | None = None, endpoints: Endpoints = client_endpoint,
    ) -> None:  # fmt: skip
        SETTING.text("address", address)
        SETTING.text("network", network)
        for timeout in (timeout_s, send_timeout_s):
            SETTING.seconds("a time limit", timeout)
        self.address = format_address(*parse_address(address))
        self._reactor: Any = reactor if reactor is not None else _process_reactor()
        SETTING.methods("reactor", self._reactor, ("seconds", "callLater"), _EXAMPLE)
        self._network = network
        self._timeout_s = timeout_s
        self._send_timeout_s = send_timeout_s
        self._limits = limits or NetworkLimits()
        self._endpoints = endpoints
        self._turn = Turn(self._reactor, self._failed_inside)
        self._rid = 0
        self._calls: dict[int, _Call] = {}
        self._follows: dict[int, Following] = {}
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._dial: Dial | None = None
        self._session: _Session | None = None

    # -- calls -----------------------------------------------------------------------------------

    @refusing
    def send_message(self, body: str, wait: bool = True) -> Deferred[Receipt]:
        """Broadcast ``body``, one phrase without white space, through the node.

        :param wait: wait until every node has recorded it. Otherwise the Deferred fires as soon as
            the node has taken it, with an empty receipt.

        Fails with :class:`InvalidMessage`, :class:`NotInRing`, :class:`BroadcastFailed`,
        or as every call with :class:`Busy`, :class:`ConnectFailed`, :class:`Refused` or
        :class:`TimedOut`.
        """
        check_phrase(body)
        CALL.flag("wait", wait)
        timeout = self._send_timeout_s if wait else self._timeout_s
        answer = self._call(lambda rid: SendMessage(rid, body, wait), (Sent, Done), timeout)
        return answer.addCallback(lambda reply: _receipt(reply, body))

    @refusing
    def get_messages(self, limit: int = 0, since: str = "") -> Deferred[list[MessageRecord]]:
        """Return recorded messages in the order received, however many replies that takes.

        :param limit: at most so many: the newest, or with ``since`` the first after it; 0 for all.
        :param since: only those after this message id.
        """
        CALL.span(limit, since)
        return Deferred.fromCoroutine(all_messages(self._ask, limit, since))

    @refusing
    def get_ordered(self, limit: int = 0, since: str = "") -> Deferred[list[OrderedEntry]]:
        """Return messages and gaps in per-origin order, as ``follow(…, order="origin")`` would.

        What is held back for a missing message at this moment is not among them.

        :param limit: at most so many messages: the newest, or with ``since`` the first after it.
        :param since: only what comes after this message id.
        """
        CALL.span(limit, since)
        return Listing(self, limit, since, self._reactor, self._timeout_s).finished

    def follow(
        self, callback: Callable[[Any], object], since: str = "", order: Order = "received",
        caught_up: Callable[[], object] = lambda: None,
    ) -> Following:  # fmt: skip
        """Have ``callback`` called with every message after ``since`` and all that come.

        Returns a handle; its ``finished`` Deferred tells of the end.

        :param order: ``"received"``: called with a :class:`MessageRecord` each. ``"origin"``: the
            messages of one origin in ascending sequence, called with an :class:`OrderedEntry` each,
            a message or a gap.
        :param caught_up: called whenever the node has nothing more at the moment.

        Both must be plain functions: whatever they wait for, messages come on.
        """
        self._rid += 1
        following = Following(self, self._rid, callback, caught_up, order)
        try:
            for function in (callback, caught_up):
                CALL.plain_function("a follower's callback", function)
            CALL.text("since", since)
            CALL.one_of("order", order, get_args(Order))
            frame = _frame(Follow(self._rid, since, order))
            self._require_room(frame)
        except (Busy, LocalProtocolError) as error:
            following.ended(error)
            return following
        self._follows[self._rid] = following
        self._send(frame)
        return following

    def status(self) -> Deferred[NodeStatus]:
        """Return the node's view of itself and its neighbours."""
        answer = self._call(GetStatus, (StatusReply,), self._timeout_s)
        return answer.addCallback(_status)

    @refusing
    def lookup(self, key: str, iterative: bool = False) -> Deferred[LookupResult]:
        """Find the owner of ``key`` and the path to it; may fail with :class:`LookupFailed`."""
        check_key(key)
        CALL.flag("iterative", iterative)
        answer = self._call(
            lambda rid: Lookup(rid, key, iterative), (LookupReply,), self._timeout_s
        )
        return answer.addCallback(_result)

    @refusing
    def trace(self, message_id: str) -> Deferred[MessageTrace]:
        """Return what the node knows of a message's way: its record, and what went wrong there."""
        CALL.text("message_id", message_id)
        answer = self._call(lambda rid: GetTrace(rid, message_id), (TraceReply,), self._timeout_s)
        return answer.addCallback(_trace)

    def history(self) -> Deferred[NodeHistory]:
        """Return which messages the node has recorded and keeps, as numbers of each origin."""
        return Deferred.fromCoroutine(whole_history(self._ask))

    @refusing
    def trails(self, limit: int = 0, since: str = "") -> Deferred[list[MessageTrail]]:
        """Return recorded messages as :meth:`get_messages` does, without their bodies."""
        CALL.span(limit, since)
        return Deferred.fromCoroutine(all_trails(self._ask, limit, since))

    def begin(self) -> Deferred[None]:
        """Make a node that finds none of its peers create a ring, alone at first."""
        answer = self._call(BeginRing, (Done,), self._timeout_s)
        return answer.addCallback(_nothing)

    def leave(self) -> Deferred[None]:
        """Make the node leave the ring in order and stop."""
        answer = self._call(LeaveRing, (Done,), self._timeout_s)
        return answer.addCallback(_nothing)

    def close(self) -> Deferred[None]:
        """End the connection, every following and every call in flight.

        A later call connects again.
        """
        for following in list(self._follows.values()):
            following.stop()
        self._abandon(ConnectFailed(f"the client for {self.address} was closed"))
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        session, self._session = self._session, None
        if session is not None:
            with self._turn:
                session.connection.send(Bye("leaving"))
            session.connection.close()
        closed: Deferred[None] = Deferred()
        self._turn.when_empty(lambda: closed.callback(None))
        return closed

    # -- the machinery behind them ---------------------------------------------------------------
    def _ask(self, make: Callable[[int], ClientRequest], expected: type) -> Deferred[Any]:
        return self._call(make, (expected,), self._timeout_s)

    @refusing
    def _call(
        self, make: Callable[[int], ClientRequest], expected: tuple[type, ...], timeout_s: float
    ) -> Deferred[Any]:
        self._rid += 1
        rid = self._rid
        frame = _frame(make(rid))
        self._require_room(frame)
        call = _Call(expected, Deferred(lambda _answer: self._forget(rid)))
        call.timer = self._reactor.callLater(timeout_s, self._timed_out, rid, timeout_s)
        self._calls[rid] = call
        self._send(frame)
        return call.answer

    def _require_room(self, frame: bytes) -> None:
        """Let one call fail rather than the connection with all of them.

        :raises Busy: so much waits for the node already that ``frame`` would be too much.
        """
        session = self._session
        waiting = self._unsent_bytes if session is None else session.connection.waiting
        if waiting and waiting + len(frame) > self._limits.send_buffer_bytes:
            raise Busy(
                f"{waiting} bytes of requests wait for {self.address} to take them;"
                " retry after a moment"
            )

    def _send(self, frame: bytes) -> None:
        if self._session is not None:
            self._session.connection.send_frame(frame)
            return
        self._unsent.append(frame)
        self._unsent_bytes += len(frame)
        if self._dial is None:
            self._dial = Dial(
                self._reactor, self._turn, self._limits, _LONGEST,
                address=self.address, hello=client_hello(self._network),
                greeted=self._greeted, failed=self._not_connected, endpoints=self._endpoints,
            )  # fmt: skip
            self._dial.start()

    def _greeted(self, connection: Connection, _welcome: Welcome) -> _Session:
        self._dial = None
        self._session = _Session(self, connection)
        unsent, self._unsent, self._unsent_bytes = self._unsent, [], 0
        for frame in unsent:
            connection.send_frame(frame)
        return self._session

    def _not_connected(self, _fault: LinkFault, text: str, refusal: Refuse | None) -> None:
        self._dial = None
        if refusal is not None:
            self._abandon(Refused(f"{self.address} refused this client: {text}"))
        else:
            self._abandon(
                ConnectFailed(
                    f"cannot connect to {self.address}: {text}; does a node listen there?"
                )
            )

    def replied(self, reply: ServerReply) -> None:
        """Hand a reply to whoever waits for it."""
        following = self._follows.get(reply.rid)
        if following is not None:
            self._followed(following, reply)
            return
        call = self._take(reply.rid)
        if call is None:
            return
        if isinstance(reply, Failure):
            call.answer.errback(_error(reply))
        elif isinstance(reply, call.expected):
            call.answer.callback(reply)
        else:
            call.answer.errback(RemoteProtocolError(f"an unexpected {type(reply).__name__} came"))

    def _followed(self, following: Following, reply: ServerReply) -> None:
        if isinstance(reply, Messages | Ordered):
            following.received(reply)
        elif isinstance(reply, Failure):
            del self._follows[reply.rid]
            following.ended(_error(reply))

    def unfollow(self, rid: int) -> None:
        """Tell the node that a follower stopped."""
        if self._follows.pop(rid, None) is not None and self._session is not None:
            self._session.connection.send(Unfollow(rid))

    def lost(self, session: _Session, reason: str) -> None:
        """The connection is gone or is being closed by the node."""
        if self._session is session:
            self._session = None
            self._abandon(ConnectFailed(f"the connection with {self.address} ended: {reason}"))

    def _abandon(self, error: ChordnetError) -> None:
        self._unsent.clear()
        self._unsent_bytes = 0
        for rid in list(self._calls):
            call = self._take(rid)
            if call is not None:
                call.answer.errback(error)
        follows, self._follows = self._follows, {}
        for following in follows.values():
            following.ended(error)

    def _timed_out(self, rid: int, timeout_s: float) -> None:
        call = self._take(rid)
        if call is not None:
            call.answer.errback(TimedOut(f"{self.address} did not answer within {timeout_s:g} s"))

    def _take(self, rid: int) -> _Call | None:
        call = self._calls.pop(rid, None)
        if call is not None and call.timer.active():
            call.timer.cancel()
        return call

    def _forget(self, rid: int) -> None:
        """A caller gave up on its own."""
        self._take(rid)

    def _failed_inside(self, what: str) -> None:
        from twisted.logger import Logger  # noqa: PLC0415 - only ever needed after a bug

        Logger(namespace="chordnet.client").failure("the client failed on {what}", what=what)


class _Call:
    __slots__ = ("answer", "expected", "timer")
    timer: Any

    def __init__(self, expected: tuple[type, ...], answer: Deferred[Any]) -> None:
        self.expected = expected
        self.answer = answer


class _Session:
    """Handles the connection once the node has welcomed this client."""

    def __init__(self, client: P2PNetClient, connection: Connection) -> None:
        self._client = client
        self.connection = connection

    def frames(self, frames: list[bytes]) -> None:
        for frame in frames:
            reply = read_reply(frame)
            if isinstance(reply, Bye):
                self._client.lost(self, reply.text or f"the node said goodbye ({reply.code})")
                self.connection.close()
                return
            self._client.replied(reply)

    def violated(self, reason: str) -> None:
        self.connection.abort()
        self._client.lost(self, reason)

    def overloaded(self) -> None:
        self._client.lost(self, "the node reads too slowly")

    def held(self) -> None:
        """Every call has a time limit."""

    def drained(self) -> None:
        """Nothing waits for it."""

    def lost(self) -> None:
        self._client.lost(self, "it broke")


def _process_reactor() -> Any:  # for a script, which has none to pass on
    from twisted.internet import reactor  # noqa: PLC0415

    return reactor


def _frame(request: ClientRequest) -> bytes:
    """Encode a request before anything is done for it: what cannot be sent fails its call alone.

    :raises LocalProtocolError: it cannot be expressed, or is longer than the node accepts.
    """
    frame = encode_frame(request)
    if len(frame) - HEADER_BYTES > _LONGEST:
        raise LocalProtocolError(
            f"{type(request).__name__} has {len(frame)} bytes, at most {_LONGEST} can be sent"
        )
    return frame


def _receipt(reply: Sent | Done, body: str) -> Receipt:
    if isinstance(reply, Sent):
        return reply.receipt
    return Receipt("", body, 0, 0, 0, 0, 0.0, False, [])


def _status(reply: StatusReply) -> NodeStatus:
    return reply.status


def _trace(reply: TraceReply) -> MessageTrace:
    return reply.trace


def _result(reply: LookupReply) -> LookupResult:
    return reply.result


def _nothing(_reply: Done) -> None: ...


def _error(failure: Failure) -> ChordnetError:
    """Return the exception that a failure names; an unknown name is a plain ChordnetError."""
    kind = getattr(errors, failure.code, None)
    if isinstance(kind, type) and issubclass(kind, ChordnetError):
        return kind(failure.text)
    return ChordnetError(failure.text)


p2pnetClient = P2PNetClient  # noqa: N816 - the name in older programs
