"""Reads and writes of keys through a node.

A write that was sent and has no answer may have been done. It ends as :class:`Unconfirmed`, with
all that is needed to ask for it again, through the same node or another one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chordnet.client.calls import DELETE, GET, PUT, Call
from chordnet.client.channel import Channel
from chordnet.client.recording import ClientHistory
from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    Conflict,
    ConnectFailed,
    LocalProtocolError,
    NotPermitted,
    Refused,
    TimedOut,
    Unavailable,
    Unconfirmed,
    Untold,
)
from chordnet.core.base.outcomes import Revision
from chordnet.net.handles.watching import KeyWatch
from chordnet.wire.keys import check_key_request, check_watch, unconfirmed
from chordnet.wire.rpc import DeleteKey, GetKey, KeyRequest, PutKey
from chordnet.wire.watches import Revisions, WatchKey

REQUEST_BYTES = 16
"""Bytes of the id of a write that was asked for without one."""
MARGIN_S = 2.0
"""How much longer an answer is waited for than the node may take."""

_CERTAIN = (
    Busy,
    Conflict,
    ConnectFailed,
    LocalProtocolError,
    NotPermitted,
    Refused,
    TimedOut,
    Unavailable,
    Unconfirmed,
    Untold,
)
"""Errors of a write that say what became of it. A call that was sent and is not answered ends as
``Unconfirmed``, so ``ConnectFailed``, ``Refused`` and ``TimedOut`` are those of unsent ones."""


Doubt = Callable[[ChordnetError], ChordnetError]
"""Returns what a write ends with that was sent, and whose answer is missing."""


class KeyCalls:
    """Asks one node at a time.

    :param history: where the operations are recorded.
    """

    def __init__(self, channel: Channel, history: ClientHistory | None) -> None:
        self._channel = channel
        self._history = history

    def get(self, asked: GetKey) -> Deferred[Any]:
        """Read a key.

        :raises ChordnetError: the request is impossible, or could not be begun.
        """
        check_key_request(asked)
        return self._ask(GET, asked, None)

    def watch(
        self, key: str, callback: Callable[[Revision], object] | None, since: int | None
    ) -> KeyWatch:
        """Begin a watch; what prevents it is the end of it."""
        channel, rid = self._channel, self._channel.number()
        watch = KeyWatch(lambda: channel.unfollow(rid), callback, since)
        try:
            asked = WatchKey(rid, key, since)
            check_watch(asked)
            told = self._history.watched(key, since) if self._history is not None else None
            channel.follow(_Followed(watch, told), asked)
        except ChordnetError as error:
            watch.ended(error)
        return watch

    def write(self, asked: PutKey | DeleteKey) -> Deferred[Any]:
        """Write or delete a key.

        :raises ChordnetError: the request is impossible, or could not be begun.
        """
        check_key_request(asked)
        request = asked.request or secrets.token_bytes(REQUEST_BYTES)
        asked = msgspec.structs.replace(asked, request=request)
        doubt = partial(_doubt, asked, request)
        return self._ask(PUT if isinstance(asked, PutKey) else DELETE, asked, doubt)

    def _ask(self, call: Call[Any], asked: KeyRequest, doubt: Doubt | None) -> Deferred[Any]:
        _rid, *arguments = msgspec.structs.astuple(asked)
        ended = self._history.called(asked) if self._history is not None else None
        try:
            answer = self._channel.ask(call, arguments, asked.timeout_s + MARGIN_S, doubt)
        except ChordnetError as error:
            if ended is not None:
                ended(error)
            raise
        if doubt is not None:
            answer.addErrback(_without_certainty, doubt)
        if ended is not None:
            answer.addBoth(_recorded, ended)
        return answer


@attrs.frozen
class _Followed:
    """A watch, as the channel follows it."""

    watch: KeyWatch
    told: Callable[[Revision], object] | None
    """Records what comes."""

    def received(self, reply: Any) -> None:
        """Take one reply."""
        if not isinstance(reply, Revisions):
            return
        if self.told is not None:
            for revision in reply.revisions:
                self.told(revision)
        self.watch.received(reply.revisions)

    def ended(self, error: ChordnetError) -> None:
        """Take note that nothing more comes."""
        self.watch.ended(error)

    def stop(self) -> None:
        """Ask for no more."""
        self.watch.stop()


def _doubt(asked: PutKey | DeleteKey, request: bytes, error: ChordnetError) -> ChordnetError:
    """Return what a write ends with that was sent, and whose answer is missing."""
    return unconfirmed(asked, str(error), request)


def _without_certainty(failure: Failure, doubt: Any) -> Failure:
    error = failure.value
    if not isinstance(error, ChordnetError) or isinstance(error, _CERTAIN):
        return failure
    return Failure(doubt(error))


def _recorded(outcome: Any, ended: Any) -> Any:
    ended(outcome.value if isinstance(outcome, Failure) else outcome)
    return outcome
