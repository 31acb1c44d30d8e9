"""The connection of a client, made when it is needed to the first address that answers.

Requests wait while a connection is made. When an address cannot be reached or refuses, the next one
is tried, each once. When none can be used, every request that waits fails with an error that says
what was wrong with each address.

A request that has been handed to the system is never sent again, since the node may have received
it. When the connection is lost such a request fails, and so does a following. A request that has
not been handed over yet goes to the next address.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from chordnet.client.calls import Call, error_of
from chordnet.client.cookies import Cookies
from chordnet.client.identities import Identities
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
from chordnet.core.base.limits import PHRASE_BYTES
from chordnet.net.base.addresses import Endpoints
from chordnet.net.base.interfaces import IReactor
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.links.dialler import Dial, DialSettings
from chordnet.net.links.greeters import client_hello
from chordnet.net.links.protocol import Connection
from chordnet.wire.codec import (
    LONG_LIMIT,
    LONG_OF_CLIENTS,
    LONG_OF_NODES,
    encode_frame,
    frame_limit,
    goes_in_parts,
    read_reply,
)
from chordnet.wire.greeting import Bye, Refuse, Welcome
from chordnet.wire.parts import HEADER_BYTES, PartsRoom
from chordnet.wire.rpc import (
    ClientRequest,
    Failure,
    Messages,
    Ordered,
    PutKey,
    ServerReply,
    Unfollow,
)
from chordnet.wire.watches import Revisions

T = TypeVar("T")

Doubt = Callable[[ChordnetError], ChordnetError]
"""Makes the error of a call that was sent and is not answered, from the reason."""

_LONGEST = frame_limit(PHRASE_BYTES)


class Followed(Protocol):
    """What a client has asked a node to send, one reply after the other."""

    def received(self, reply: Any) -> None:
        """Take one reply."""

    def ended(self, error: ChordnetError) -> None:
        """Take note that nothing more comes."""

    def stop(self) -> None:
        """Ask for no more."""


class Channel:
    """Sends requests over one connection at a time, and matches replies to them.

    :param addresses: ``host:port`` each; tried in this order, beginning with the last one used.
    :param network: the network's name; empty for any.
    :param cookies: what is shown of them to each node.
    :param identities: what the client shows of itself to a network that is secured.
    """

    def __init__(
        self,
        reactor: IReactor,
        addresses: Sequence[str],
        network: str,
        limits: NetworkLimits,
        endpoints: Endpoints,
        cookies: Cookies,
        identities: Identities,
    ) -> None:
        self._reactor = reactor
        self._identities = identities
        self._addresses = tuple(addresses)
        self._at = 0
        self._network = network
        self._limits = limits
        self._endpoints = endpoints
        self._cookies = cookies
        self._turn = Turn(reactor, _failed_inside)
        self._rid = 0
        self._waiting: dict[int, _Waiting] = {}
        self._follows: dict[int, Followed] = {}
        self._unsent: dict[int, bytes] = {}
        """Frames that wait for a connection, by their requests."""
        self._unsent_bytes = 0
        self._failures: list[_Attempt] = []
        """What was wrong with the addresses tried since a node last replied."""
        self._dial: Dial | None = None
        self._session: _Session | None = None

    @property
    def address(self) -> str:
        """The address that is connected, or that is dialled next."""
        return self._addresses[self._at]

    # -- requests --------------------------------------------------------------------------------

    def ask(
        self,
        call: Call[T],
        arguments: Sequence[object],
        timeout_s: float,
        doubt: Doubt | None = None,
    ) -> Deferred[T]:
        """Send a request; the Deferred fires with the value of its reply.

        :param doubt: makes the error of a request that was sent and is not answered, from the
            reason; None for the reason itself.
        :raises Busy: too many bytes wait for the node already.
        :raises LocalProtocolError: the request cannot be expressed, or is too long.
        """
        rid = self.number()
        frame = _frame(call.request(rid, *arguments))
        self._require_room(frame)
        answer: Deferred[Any] = Deferred(lambda _answer: self._cancelled(rid))
        timer = self._reactor.callLater(timeout_s, self._timed_out, rid, timeout_s)
        self._waiting[rid] = _Waiting(call, answer, timer, doubt)
        self._send(rid, frame)
        return answer

    def number(self) -> int:
        """Return a number for a request."""
        self._rid += 1
        return self._rid

    def follow(self, following: Followed, request: ClientRequest) -> None:
        """Send a request, and pass what comes for it to ``following``.

        :raises Busy: too many bytes wait for the node already.
        :raises LocalProtocolError: the request cannot be expressed, or is too long.
        """
        frame = _frame(request)
        self._require_room(frame)
        self._follows[request.rid] = following
        self._send(request.rid, frame)

    def unfollow(self, rid: int) -> None:
        """Forget a following, and have the node end it."""
        if self._follows.pop(rid, None) is None:
            return
        self._withdraw(rid)
        if self._session is not None:  # else the node has never heard of it, or is gone
            self._session.send(self.number(), encode_frame(Unfollow(rid)))

    def close(self) -> Deferred[None]:
        """End the connection, every following and every call in flight; fires when it is closed."""
        for following in list(self._follows.values()):
            following.stop()
        dial, self._dial = self._dial, None
        if dial is not None:
            dial.cancel()
        session, self._session = self._session, None
        if session is not None:
            with self._turn:
                session.connection.send(Bye("leaving"))
            session.connection.close()
        self._abandon(ConnectFailed(f"the client for {self.address} was closed"))
        closed: Deferred[None] = Deferred()
        self._turn.when_empty(lambda: closed.callback(None))
        return closed

    def _require_room(self, frame: bytes) -> None:
        """Require room for a frame: it is better that one call fails than the connection.

        :raises Busy: too many bytes wait for the node already.
        """
        session = self._session
        waiting = self._unsent_bytes if session is None else session.connection.waiting
        if waiting and waiting + len(frame) > self._limits.send_buffer_bytes:
            raise Busy(
                f"{waiting} bytes of requests wait for {self.address} to take them;"
                " retry after a moment"
            )

    def _send(self, rid: int, frame: bytes) -> None:
        if self._session is not None:
            self._session.send(rid, frame)
            return
        self._hold(rid, frame)
        if self._dial is None:
            self._failures.clear()
            self._connect()

    def _hold(self, rid: int, frame: bytes) -> None:
        self._unsent[rid] = frame
        self._unsent_bytes += len(frame)

    def _withdraw(self, rid: int) -> bool:
        """Drop a request that waits for a connection; return True if it did."""
        frame = self._unsent.pop(rid, b"")
        self._unsent_bytes -= len(frame)
        return bool(frame)

    # -- the connection --------------------------------------------------------------------------

    def _connect(self) -> None:
        self._dial = Dial(
            DialSettings(
                self._reactor,
                self._turn,
                self._limits,
                _LONGEST,
                self._endpoints,
                self._identities.current(),
            ),
            address=self.address,
            hello=client_hello(self._network, self._cookies.shown(self.address)),
            greeted=self._greeted,
            failed=self._not_connected,
        )
        self._dial.start()

    def _greeted(self, connection: Connection, _welcome: Welcome) -> _Session:
        self._dial = None
        room = PartsRoom(LONG_LIMIT, self._reactor.seconds)  # for all of the one connection
        connection.accept_long(room, LONG_OF_NODES, dropped=lambda: None)
        self._session = session = _Session(self, self._turn, connection)
        unsent, self._unsent, self._unsent_bytes = self._unsent, {}, 0
        for rid, frame in unsent.items():
            session.send(rid, frame)
        return session

    def _not_connected(self, fault: LinkFault, text: str, refusal: Refuse | None) -> None:
        self._dial = None
        what = "refused this client" if refusal is not None else ""
        if refusal is None and fault is LinkFault.REJECTED:
            what = "is not trusted"
        again, why = self._identities.find(refusal)
        if not again:
            text = f"{text} ({why})" if why else text
            refused = refusal is not None
            self._failures.append(_Attempt(self.address, text, what, refused=refused))
            self._next()
        self._go_on()

    def lost(self, session: _Session, reason: str, *, well: bool = False) -> None:
        """Deal with a connection that is gone or is being closed by the node.

        :param well: the node is in order, and later requests go to it again.
        """
        if self._session is not session:
            return
        self._session = None
        error = ConnectFailed(f"the connection with {self.address} ended: {reason}")
        for rid, frame in session.unsent().items():
            if rid in self._waiting or rid in self._follows:
                self._hold(rid, frame)
        if self._unsent:
            self._failures.append(_Attempt(self.address, f"the connection ended: {reason}"))
        if self._unsent or not well:
            self._next()
        self._abandon(error, but=set(self._unsent))
        self._go_on(error if len(self._addresses) == 1 else None)

    def _next(self) -> None:
        self._at = (self._at + 1) % len(self._addresses)

    def _go_on(self, error: ChordnetError | None = None) -> None:
        """Try the next address for the requests that wait, or let them fail if all have been tried.

        :param error: what they fail with; None for an error about each address.
        """
        # A callback that was given a failure may have made a new call, which connects again.
        if not self._unsent or self._dial is not None or self._session is not None:
            return
        if len(self._failures) < len(self._addresses):
            self._connect()
        else:
            self._abandon(error or _unreachable(self._failures))

    # -- replies ---------------------------------------------------------------------------------

    def on_reply(self, reply: ServerReply) -> None:
        """Pass a reply to its caller or following."""
        if self._failures:
            self._failures.clear()
        following = self._follows.get(reply.rid)
        waiting, _unsent = self._forget(reply.rid)
        if following is not None:
            self._pass_on(following, reply)
        elif waiting is not None:
            self._answer(waiting, reply)

    def _pass_on(self, following: Followed, reply: ServerReply) -> None:
        if isinstance(reply, Messages | Ordered | Revisions):
            following.received(reply)
        elif isinstance(reply, Failure):
            del self._follows[reply.rid]
            following.ended(error_of(reply))

    def _answer(self, waiting: _Waiting, reply: ServerReply) -> None:
        if isinstance(reply, Failure):
            error, session = error_of(reply), self._session
            if session is not None and not session.connection.secured:
                error = self._cookies.explained(error)
            waiting.answer.errback(error)
        elif isinstance(reply, waiting.call.replies):
            value = waiting.call.value(reply)
            if isinstance(value, ChordnetError):
                waiting.answer.errback(value)
            else:
                waiting.answer.callback(value)
        else:
            waiting.answer.errback(
                RemoteProtocolError(f"an unexpected {type(reply).__name__} came")
            )

    def _abandon(self, error: ChordnetError, but: Container[int] = ()) -> None:
        """Let all calls and followings fail, except those in ``but``."""
        follows = [rid for rid in self._follows if rid not in but]
        for rid in [rid for rid in self._waiting if rid not in but]:
            waiting, unsent = self._forget(rid)
            if waiting is not None:  # None: the callback of another call has cancelled it
                waiting.fail(error, unsent=unsent)
        for rid in follows:
            following = self._follows.pop(rid, None)
            if following is not None:
                self._withdraw(rid)
                following.ended(error)

    def _timed_out(self, rid: int, timeout_s: float) -> None:
        waiting, unsent = self._forget(rid)
        if waiting is None:
            return
        if self._session is None and len(self._addresses) > 1:
            who = f"none of {', '.join(self._addresses)} answered"
        else:
            who = f"{self.address} did not answer"
        waiting.fail(TimedOut(f"{who} within {timeout_s:g} s"), unsent=unsent)

    def _cancelled(self, rid: int) -> None:
        """Forget a call that its caller has cancelled."""
        self._forget(rid)

    def _forget(self, rid: int) -> tuple[_Waiting | None, bool]:
        """Forget a call that is answered or given up; if it still waits, it is not sent.

        The second value is True if it still waited for a connection.
        """
        unsent = self._withdraw(rid)
        waiting = self._waiting.pop(rid, None)
        if waiting is not None and waiting.timer.active():
            waiting.timer.cancel()
        return waiting, unsent


class _Waiting:
    """A call that is not answered yet."""

    __slots__ = ("_doubt", "answer", "call", "timer")

    def __init__(
        self,
        call: Call[Any],
        answer: Deferred[Any],
        timer: IDelayedCall,
        doubt: Doubt | None,
    ) -> None:
        self.call = call
        self.answer = answer
        self.timer = timer
        self._doubt = doubt

    def fail(self, error: ChordnetError, *, unsent: bool) -> None:
        """Let the call fail because there is no answer.

        :param unsent: it was not sent, so the node has done nothing for it.
        """
        sent_in_vain = self._doubt if not unsent else None
        self.answer.errback(error if sent_in_vain is None else sent_in_vain(error))


class _Attempt(msgspec.Struct, frozen=True):
    """What was wrong with one address."""

    address: str
    text: str
    what: str = ""
    """What became of it, if there was an answer."""
    refused: bool = False


def _unreachable(attempts: Sequence[_Attempt]) -> ChordnetError:
    """Return the error of calls when no address can be used."""
    kind = Refused if all(attempt.refused for attempt in attempts) else ConnectFailed
    if len(attempts) == 1:
        (one,) = attempts
        if one.what:
            return kind(f"{one.address} {one.what}: {one.text}")
        return ConnectFailed(
            f"cannot connect to {one.address}: {one.text.rstrip('.')}; does a node listen there?"
        )
    each = "; ".join(
        f"{attempt.address}{attempt.what and ' ' + attempt.what}:"
        f" {' '.join(attempt.text.split()).rstrip('.')}"
        for attempt in attempts
    )
    return kind(f"none of {len(attempts)} addresses can be used: {each}")


class _Session:
    """Handles the connection once the node has welcomed this client."""

    def __init__(self, channel: Channel, turn: Turn, connection: Connection) -> None:
        self._channel = channel
        self._turn = turn
        self.connection = connection
        self._queued: dict[int, bytes] = {}
        """Frames sent last, by their requests: they may still be queued."""

    def send(self, rid: int, frame: bytes) -> None:
        """Send the request ``rid``."""
        if not self.connection.queued:
            self._queued.clear()
        if not self._queued:
            self._turn.after(self._let_go)
        self._queued[rid] = frame
        if goes_in_parts(frame, LONG_OF_CLIENTS):
            self.connection.send_value(frame)
        else:
            self.connection.send_frame(frame)

    def unsent(self) -> dict[int, bytes]:
        """Return the requests that were not handed to the system, not even in part."""
        return dict(self._queued) if self.connection.queued else {}

    def _let_go(self) -> None:
        if not self.connection.queued:
            self._queued.clear()

    def frames(self, frames: list[bytes]) -> None:
        for frame in frames:
            reply = read_reply(frame)
            if isinstance(reply, Bye):
                self._on_bye(reply)
                return
            self._channel.on_reply(reply)

    def _on_bye(self, bye: Bye) -> None:
        reason = bye.text or f"the node said goodbye ({bye.code})"
        queued = self.connection.queued
        self._channel.lost(self, reason, well=bye.code == "idle")
        if queued:  # the requests go to another node now, and must not reach this one as well
            self.connection.abort()
        else:
            self.connection.close()

    def violated(self, reason: str) -> None:
        self.connection.abort()
        self._channel.lost(self, reason)

    def overloaded(self) -> None:
        self._channel.lost(self, "the node reads too slowly")

    def held(self) -> None:
        """Do nothing: every call has a time limit."""

    def drained(self) -> None:
        """Do nothing: nothing waits for it."""

    def lost(self) -> None:
        self._channel.lost(self, "it broke")


def _frame(request: ClientRequest) -> bytes:
    """Encode a request before anything else is done, so that a bad one fails only its own call.

    :raises LocalProtocolError: it cannot be expressed, or is longer than the node accepts.
    """
    frame = encode_frame(request)
    most = LONG_LIMIT if isinstance(request, PutKey) else _LONGEST
    if len(frame) - HEADER_BYTES > most:
        raise LocalProtocolError(
            f"{type(request).__name__} has {len(frame)} bytes, at most {most} can be sent"
        )
    return frame


def _failed_inside(what: str) -> None:
    from twisted.logger import Logger  # noqa: PLC0415 - only ever needed after a bug

    Logger(namespace="chordnet.client").failure("the client failed on {what}", what=what)
