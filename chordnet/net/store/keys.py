"""Reads and writes of keys, as the node's program and its clients ask for them.

A request is checked and handed to the store as an operation; how that ended becomes a result or an
exception, with the words for people. A node that keeps no store refuses each of them.

How a write may end, and what is certain then:

- a receipt (``Written``): it is done;
- ``Conflict``, ``Unavailable``, or a refusal before it was begun: it was not done, and never is;
- ``Unconfirmed``: anything else, the end of the node in the middle of it included;
- ``Untold``: asked for again after that, and nobody knows any more.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

import attrs

from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    Conflict,
    NoStore,
    NotInRing,
    NotPermitted,
    Unavailable,
    Untold,
)
from chordnet.core.base.outcomes import Entry, Revision, StaleEntry
from chordnet.core.store.base import outcomes
from chordnet.core.store.base.records import Content
from chordnet.core.store.base.requests import Get, Put
from chordnet.net.base.allowance import Load
from chordnet.net.base.interfaces import KeyStore
from chordnet.net.base.shared import Shared
from chordnet.wire.keys import check_key_request, check_watch, done_to, quoted, unconfirmed
from chordnet.wire.rpc import DeleteKey, GetKey, KeyRequest, PutKey, Written
from chordnet.wire.watches import WatchKey

MAX_OPERATIONS = 4096
"""Operations on keys of one node in flight; a further one is answered "busy"."""
REQUEST_BYTES = 16
"""Bytes of the id of a write that was asked for without one."""

BEGIN = "start its founders with --founders a,b,c or type p2pnet store begin"
NO_STORE = f"this node keeps no store; {BEGIN}"

KeyResult = Written | Entry | StaleEntry | None
KeyResultDone = Callable[[KeyResult | ChordnetError], None]


@attrs.frozen
class _Begun:
    """An operation under way."""

    asked: KeyRequest
    operation: Get | Put
    done: KeyResultDone


class Keys:
    """What can be asked of one node about keys.

    :param store: None: the node keeps none.
    :param check_member: raises ``NotInRing`` unless the node is a member of a ring.
    :param load: counts the bytes of the values that are being written.
    """

    def __init__(
        self,
        shared: Shared,
        store: KeyStore | None,
        *,
        check_member: Callable[[], None],
        load: Load,
    ) -> None:
        self.store = store
        self._check_member = check_member
        self._load = load
        self._wall = shared.wall
        self._kept = shared.operate_keys
        self._number = 0
        self._begun: dict[int, _Begun] = {}
        self._idle: list[Callable[[], None]] = []
        self._watches: dict[int, Callable[[ChordnetError], None]] = {}

    def are_kept_to_operators(self, key: str) -> bool:
        """Return True if only those may write this key who may operate the network."""
        return bool(self._kept) and key.startswith(self._kept)

    def ask(self, asked: KeyRequest, done: KeyResultDone, *, operates: bool = True) -> None:
        """Begin an operation; ``done`` gets the receipt, or the entry that was read.

        This node coordinates the operation, so it is the one that checks who asks for it.

        :param operates: whether who asks may also write the keys that are kept to operators.
        :raises NotPermitted: the key is one of those.
        :raises LocalProtocolError: the request is impossible, as ``InvalidKey`` or ``InvalidValue``
            if the key or the value is.
        :raises NoStore: this node keeps no store.
        :raises NotInRing: it is not a member of a ring.
        :raises Busy: too many operations, or too many bytes, are in flight.
        """
        operation = self._operation(asked, check_key_request(asked))
        writes = isinstance(operation, Put)
        if writes and not operates and self.are_kept_to_operators(asked.key):
            raise NotPermitted(
                f"keys that begin with {quoted(self._kept)} are written by operators alone"
                " (--operate-keys); show the node's cookie, or a certificate with the role operate"
            )
        if self.store is None:
            raise NoStore(NO_STORE)
        self._check_member()
        if len(self._begun) >= MAX_OPERATIONS:
            raise Busy(f"{len(self._begun)} operations on keys are in flight; retry after a moment")
        self._load.take(_size(operation))
        self._number += 1
        number = self._number
        # Before it begins: the outcome may come before ask() returns.
        self._begun[number] = _Begun(asked, operation, done)
        try:
            self.store.ask(operation, asked.timeout_s, partial(self._over, number))
        except Exception:
            self._forget(number)
            raise

    def when_idle(self, done: Callable[[], None]) -> None:
        """Call ``done`` as soon as no operation is under way; now, if none is."""
        self._idle.append(done)
        self._look_if_idle()

    def _look_if_idle(self) -> None:
        if not self._begun:
            waiting, self._idle = self._idle, []
            for done in waiting:
                done()

    def watch(
        self,
        asked: WatchKey,
        told: Callable[[Revision], None],
        ended: Callable[[ChordnetError], None],
    ) -> Callable[[], None]:
        """Begin a watch; ``ended`` is called once, if it cannot go on. Return what ends it.

        :raises LocalProtocolError: the request is impossible, as ``InvalidKey`` if the key is.
        :raises NoStore: this node keeps no store.
        :raises NotInRing: it is not a member of a ring.
        """
        key = check_watch(asked)
        if self.store is None:
            raise NoStore(NO_STORE)
        self._check_member()
        self._number += 1
        number = self._number
        self._watches[number] = ended
        try:
            stop = self.store.watch(
                key,
                asked.since,
                lambda content, gap: self._told(number, told, content, gap),
                partial(self._unwatched, number),
            )
        except Exception:
            del self._watches[number]
            raise

        def stop_it() -> None:
            if self._watches.pop(number, None) is not None:
                stop()

        return stop_it

    def _told(
        self,
        number: int,
        told: Callable[[Revision], None],
        content: Content,
        gap: tuple[int, int] | None,
    ) -> None:
        if number in self._watches:
            told(Revision(content.version, content.value, content.expires, gap))

    def _unwatched(self, number: int, problem: ChordnetError) -> None:
        ended = self._watches.pop(number, None)
        if ended is not None:
            ended(problem)

    def end(self, reason: str) -> None:
        """Let all operations and watches under way end, because the node does."""
        for number in list(self._begun):
            self._over(number, NotInRing(reason))
        for number in list(self._watches):
            self._unwatched(number, NotInRing(reason))

    def _operation(self, asked: KeyRequest, key: bytes) -> Get | Put:
        if isinstance(asked, GetKey):
            return Get(key, stale=asked.stale)
        # Not from the node's own source, which a program may have seeded like that of other nodes:
        # of two writes with one name only one would be done.
        request = asked.request or secrets.token_bytes(REQUEST_BYTES)
        value, expires = None, None
        if isinstance(asked, PutKey):
            value = asked.value
            if asked.expires_s is not None:
                expires = self._wall() + asked.expires_s
        return Put(key, value, request, asked.if_version, expires, asked.since)

    def _over(self, number: int, ended: outcomes.Outcome | ChordnetError) -> None:
        begun = self._forget(number)
        if begun is None:  # the node has ended before its store said this
            return
        begun.done(self._result(begun, ended))
        self._look_if_idle()

    def _forget(self, number: int) -> _Begun | None:
        begun = self._begun.pop(number, None)
        if begun is not None:
            self._load.give(_size(begun.operation))
        return begun

    def _result(
        self, begun: _Begun, ended: outcomes.Outcome | ChordnetError
    ) -> KeyResult | ChordnetError:
        asked, operation = begun.asked, begun.operation
        if isinstance(ended, outcomes.Unavailable):
            assert self.store is not None
            return unavailable(asked, ended, self.store.slot_of(operation.key))
        if isinstance(ended, outcomes.Found):
            return entry_of(ended.content)
        if isinstance(ended, outcomes.Stale):
            return StaleEntry(entry_of(ended.content), ended.node, ended.epoch, ended.age_s)
        if isinstance(ended, outcomes.Done):
            return written(ended, self._wall())
        if isinstance(asked, GetKey) or isinstance(operation, Get):
            assert isinstance(ended, ChordnetError)
            return ended
        return uncertain(asked, operation.request, ended)


def _size(operation: Get | Put) -> int:
    value = operation.value if isinstance(operation, Put) else None
    return len(value or b"")


def entry_of(content: Content) -> Entry | None:
    """Return what a key has, None if it has no value."""
    if content.value is None:
        return None
    return Entry(content.value, content.version, content.expires)


def written(done: outcomes.Done, at: float) -> Written:
    """Return the receipt of a write."""
    return Written(
        version=done.version,
        formation=done.formation.hex(),
        slot=done.slot,
        epoch=done.epoch,
        acknowledged=[member.node for member in done.acknowledged],
        others=[member.node for member in done.others],
        at=at,
    )


def conflict(asked: PutKey | DeleteKey, present: Entry | None) -> Conflict:
    """Return what a write ends with that was meant for another version."""
    key = quoted(asked.key)
    if present is None:
        has = f"{key} has no value"
    elif asked.if_version == 0:
        has = f"{key} exists already, with version {present.version}"
    else:
        has = f"{key} has version {present.version}, not {asked.if_version}"
    return Conflict(f"{has}; it was not {done_to(asked)}: read it and decide again", present)


def uncertain(
    asked: PutKey | DeleteKey,
    request: bytes,
    ended: outcomes.Conflict | outcomes.Unconfirmed | outcomes.Untold | ChordnetError,
) -> ChordnetError:
    """Return what a write ends with that is not known to be done.

    :param request: names it.
    """
    if isinstance(ended, outcomes.Conflict):
        return conflict(asked, entry_of(ended.present))
    if isinstance(ended, outcomes.Untold):
        return untold(asked)
    if isinstance(ended, NoStore | Busy):
        return ended
    if isinstance(ended, outcomes.Unconfirmed):
        why = "too few of the nodes that hold it have answered in time"
        return unconfirmed(asked, why, request, ended.since)
    return unconfirmed(asked, str(ended), request)


def untold(asked: PutKey | DeleteKey) -> Untold:
    """Return what a write ends with of which nobody knows any more whether it was done."""
    return Untold(
        f"it cannot be told any more whether {quoted(asked.key)} was {done_to(asked)}, since others"
        " have written it so often meanwhile; nothing more will happen: read it and decide again"
    )


def unavailable(asked: KeyRequest, ended: outcomes.Unavailable, slot: int | None) -> Unavailable:
    """Return what a request ends with when too few of the key's members answer."""
    what = "read" if isinstance(asked, GetKey) else done_to(asked)
    missing = [member.node for member in ended.missing]
    return Unavailable(
        f"{quoted(asked.key)} cannot be {what} now: {reason(ended, slot)}",
        slot,
        ended.epoch,
        ended.members,
        missing,
    )


def reason(ended: outcomes.Unavailable, slot: int | None) -> str:
    """Return ``slot 63: 1 of 3 members answers; Node 4, Node 9 missing``."""
    where = "" if slot is None else f"slot {slot}: "
    answering = ended.members - len(ended.missing)
    verb = "answers" if answering == 1 else "answer"
    text = f"{where}{answering} of {ended.members} members {verb}"
    if ended.missing:
        text += f"; {', '.join(member.node for member in ended.missing)} missing"
    if answering > ended.members // 2:
        text += "; others were faster until the time was up, so ask again"
    return text
