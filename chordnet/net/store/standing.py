"""What a node finds out about the nodes that hold slots with it, and its stop that heeds that.

A node that is told to stop keeps its seats: it will be back, or others take them later. It waits
for a moment at which every slot that it holds keeps a majority without it, but not for long, and
not for slots that no wait would help: those of which another member leaves too, and those of fewer
than three members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chordnet.core.base.errors import Busy, ChordnetError, NoStore
from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.outcomes import Inspected, MemberSeen, Report, SlotSeen, Standing
from chordnet.core.store.base.requests import Enquiry, Inspect, MayStop
from chordnet.net.base.turn import Turn
from chordnet.net.store.keys import NO_STORE
from chordnet.wire.keys import check_store_key
from chordnet.wire.stores import KeyMember, KeyMembers, SlotStanding, StoreStanding

ANSWER_S = 1.0
"""How long members are waited for."""
AGAIN_S = 0.25
"""Between two questions of a node that waits until it can stop."""
MOST_AT_RISK = 64
"""Slots that one reply tells of; how many there are is told, too."""


class Enquirer(Protocol):
    """The part of :class:`chordnet.net.store.runner.StoreRunner` that is used here."""

    failed: str

    def enquire(
        self, asked: Enquiry, timeout_s: float, done: Callable[[Report | ChordnetError], None]
    ) -> None: ...
    def why_none(self) -> str: ...


class Standings:
    """Asks about the members of one node's slots.

    :param store: None if the node keeps no store.
    """

    def __init__(self, clock: IReactorTime, turn: Turn, store: Enquirer | None) -> None:
        self._clock = clock
        self._turn = turn
        self._store = store

    def can_stop(self, done: Callable[[StoreStanding | ChordnetError], None]) -> None:
        """Find out if every slot of this node keeps a majority without it.

        :raises Busy: too many such questions are under way.
        """
        if self._store is None or self._store.failed or self._store.why_none():
            done(StoreStanding(True, 0, 0, []))  # it answers for no slot
            return
        self._enquire(MayStop(), lambda found: done(_standing(found)))

    def inspect(self, key: str, done: Callable[[KeyMembers | ChordnetError], None]) -> None:
        """Find out what each member of the key's slot has of it.

        :raises InvalidKey: it can be no key.
        :raises NoStore: this node keeps no store.
        :raises Busy: too many such questions are under way.
        """
        raw = check_store_key(key)
        if self._store is None:
            raise NoStore(NO_STORE)
        self._enquire(Inspect(raw), lambda found: done(_members(found)))

    def before_stop(self, limit_s: float, done: Callable[[], None]) -> None:
        """Call ``done`` when the node can stop, or after ``limit_s`` seconds."""
        _Waiting(self, self._clock, limit_s, done).ask()

    def leaves(self, done: Callable[[Report | ChordnetError], None]) -> None:
        """Tell the other members that this node leaves, and find out what they are without it."""
        if self._store is None or self._store.failed or self._store.why_none():
            done(Standing(()))
            return
        try:
            self._enquire(MayStop(leaving=True), done)
        except (Busy, NoStore) as problem:
            done(problem)

    def _enquire(self, asked: Enquiry, done: Callable[[Report | ChordnetError], None]) -> None:
        assert self._store is not None
        with self._turn:
            self._store.enquire(asked, ANSWER_S, done)


class _Waiting:
    """Waits until a node can stop."""

    def __init__(
        self,
        standings: Standings,
        clock: IReactorTime,
        limit_s: float,
        done: Callable[[], None],
    ) -> None:
        self._standings = standings
        self._clock = clock
        self._done: Callable[[], None] | None = done
        self._calls: list[IDelayedCall] = [clock.callLater(limit_s, self._end)]

    def ask(self) -> None:
        """Tell the others that the node leaves, and go on from what they answer."""
        self._standings.leaves(self._answered)

    def _answered(self, found: Report | ChordnetError) -> None:
        if self._done is None:
            return
        risky = isinstance(found, Standing) and any(map(worth_a_wait, found.slots))
        if risky or isinstance(found, Busy):
            self._calls[1:] = [self._clock.callLater(AGAIN_S, self.ask)]
        else:
            self._end()

    def _end(self) -> None:
        done, self._done = self._done, None
        for call in self._calls:
            if call.active():
                call.cancel()
        if done is not None:
            done()


def worth_a_wait(seen: SlotSeen) -> bool:
    """Return True if a slot needs the node now, and may do without it in a moment."""
    if seen.keeps_majority or seen.leaving:
        return False
    return len(seen.configuration.members) - 1 >= seen.configuration.majority


# ---- for clients ------------------------------------------------------------------------------


def _standing(found: Report | ChordnetError) -> StoreStanding | ChordnetError:
    if not isinstance(found, Standing):
        assert isinstance(found, ChordnetError)
        return found
    at_risk = [seen for seen in found.slots if not seen.keeps_majority]
    slots = [_slot(seen) for seen in at_risk[:MOST_AT_RISK]]
    return StoreStanding(not at_risk, len(found.slots), len(at_risk), slots)


def _slot(seen: SlotSeen) -> SlotStanding:
    present = seen.configuration
    return SlotStanding(
        seen.slot,
        present.epoch,
        [each.node for each in present.members],
        [each.node for each in seen.answering],
        [each.node for each in seen.leaving],
        seen.keeps_majority,
    )


def _members(found: Report | ChordnetError) -> KeyMembers | ChordnetError:
    if not isinstance(found, Inspected):
        assert isinstance(found, ChordnetError)
        return found
    present = found.configuration
    members = [_member(each) for each in found.members]
    return KeyMembers(found.slot, present.generation, present.epoch, members)


def _member(seen: MemberSeen) -> KeyMember:
    content = seen.content
    value = None if content is None else content.value
    return KeyMember(
        node=seen.member.node,
        store=f"{seen.member.store:016x}",
        after=seen.after,
        why="" if seen.why is None else seen.why.name,
        version=None if content is None else content.version,
        accepted="" if content is None else _named(seen.accepted),
        bytes=None if value is None else seen.left_out or len(value),
        expires=None if content is None else content.expires,
    )


def _named(ballot: Ballot) -> str:
    return f"{ballot.epoch}.{ballot.counter} {ballot.node} {ballot.run:x}"
