"""The operations that this node's clients have asked for.

An operation goes to the members of its slot as this node's directory names them, which may be old.
Whoever is asked and knows better says so, and the operation goes on there. Only if a majority of
those members cannot be reached is somebody else asked where the slot is now, for a moment.

- Promises and contents are asked of a majority only, and of this node itself if it is a member. If
  one of them does not answer soon, all others are asked as well, and for a while that one only
  then.
- Questions without an answer are sent again, since a connection may have broken with them on it.
- A member that does not answer for :data:`SILENT_S` seconds, or that the ring believes dead, counts
  as silent for this operation, which may then end before its deadline. Before an operation ends for
  want of members that were only believed dead, they are asked: one may have been started again.
- Two coordinators of one key that disturb each other each wait for a while, drawn at random, longer
  every time.
- The first write of a key goes to its members in one round if this node has reserved the slot
  (:mod:`chordnet.core.store.upkeep.reservations`).
- There is a limit to the operations of one node; who comes beyond it is told so by its caller.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from msgspec.structs import replace

from chordnet.core.store.base.ballots import NONE, Ballot, Ballots
from chordnet.core.store.base.configurations import Configuration, Following, Member
from chordnet.core.store.base.effects import Answered
from chordnet.core.store.base.founding import Founding, Slots
from chordnet.core.store.base.outcomes import Outcome, Unavailable
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.node.directory import Directory, Listed
from chordnet.core.store.node.surroundings import For, Surroundings
from chordnet.core.store.node.talk import Where
from chordnet.core.store.slot.attempts import Phase, follows
from chordnet.core.store.slot.operations import Operation
from chordnet.core.store.upkeep.reservations import Reservations

HEDGE_S = 0.05
"""If a majority of the members has not answered after so long, the others are asked, too."""
SLOW_S = 5.0
"""For so long a member that was waited for in vain is asked only if the others do not do."""
REMINDER_S = 0.5
"""Between two times that the same question is asked."""
SILENT_S = 3.0
"""A member that has not answered for so long counts as silent for the operation."""
BYTES_PER_S = 1_048_576
"""A value of so many bytes may take a second longer to arrive, before anything is done about it."""
SHORT_BYTES = 65_536
"""A value of no more bytes may not."""
FETCHED_BYTES = 4_194_304
"""Bytes of large values that a node has sent to it at the same time to be read; one in any case."""
LOST_S = 5.0
"""For so long a node that could not be reached is taken for unreachable without a try."""
REFRESH_S = 0.3
"""An operation whose members cannot be reached waits so long for news of where the slot is."""
FIRST_PAUSE_S = 0.004
"""Of a coordinator that was disturbed; doubled every time."""
LONGEST_PAUSE_S = 0.5
OWN_TIMEOUT_S = 5.0
MOST_AHEAD = 4096
"""Keys of which a promise for the next write is remembered."""
MOST_OWN = 64
"""A node begins no operation of its own while so many are under way."""


@attrs.define
class Ongoing:
    """One operation."""

    op: int | None
    """The client's number; None: no client has asked for it."""
    slot: int
    asked: Get | Put
    operation: Operation
    began: float
    """When its present members were asked first."""
    tries: int = 0
    refreshing: Unavailable | None = None
    """How it ends unless there is news of the slot."""
    refreshed: bool = False
    presumed: set[str] = attrs.field(factory=set)
    """Members that are believed dead because of what was asked before, and have not been tried."""
    then: Callable[[Outcome], None] | None = None
    """Called at the end, for an operation of this node's own."""
    reserved: bool = False
    """Whether it relies on a reservation of its slot."""


class Asking:
    """The operations under way at one node."""

    def __init__(
        self,
        around: Surroundings,
        founding: Founding,
        directory: Directory,
        ballots: Ballots,
    ) -> None:
        self._around = around
        self._formation = founding.id
        self._slots = Slots(founding.bits, founding.slots)
        self._directory = directory
        self.ballots = ballots
        self.ongoing: dict[int, Ongoing] = {}
        self.repairs = 0
        """Counts the reads for a repair."""
        self._ahead: dict[bytes, Following] = {}
        """Keys that can be written in one round."""
        self.reservations = Reservations(
            around,
            founding.id,
            founding.slots,
            ballots,
            lambda slot: directory.of(slot).configuration,
            self._spare,
        )
        """Slots whose new keys can be, too."""
        self._refreshing: set[int] = set()
        """Those that wait for news of their slot."""
        self._large: dict[int, int] = {}
        """Reads that wait until there is room for their values, of so many bytes."""
        self._fetched: dict[int, tuple[int, float]] = {}
        """Those whose values are on their way, of so many bytes, and since when."""

    def start(
        self,
        op: int | None,
        asked: Get | Put,
        timeout: float,
        then: Callable[[Outcome], None] | None = None,
        above: Ballot = NONE,
    ) -> None:
        """Begin an operation.

        :param op: the client's number of it; None: it is this node's own.
        :param then: called with its end.
        :param above: its ballots are to be above this one.
        """
        around = self._around
        rid, slot = around.rid(), self._slots.of(asked.key)
        configuration = self._directory.of(slot).configuration
        where = (self._formation, slot)
        spare = self._spare(rid, configuration)
        ahead, reserved = None, False
        # One round may turn out to have been too late. Only when all members have refused it is it
        # as if it had not been sent, and a member that is gone refuses nothing.
        if not any(each.node in around.lost for each in configuration.members):
            ahead = self._ahead.get(asked.key)
            if ahead is not None and follows(ahead, asked, configuration):
                del self._ahead[asked.key]  # each ballot is for one write
            else:
                ahead = self.reservations.use(slot, asked, configuration)
                reserved = ahead is not None
        attempt = Operation.at_first(asked, configuration, spare, ahead, lasting=True, above=above)
        operation = Operation(
            rid,
            asked,
            where,
            self.ballots,
            around.effects,
            attempt,
            around.safeguards,
            lambda: around.wall,
        )
        now = around.now
        ongoing = Ongoing(op, slot, asked, operation, now, then=then, reserved=reserved)
        self.ongoing[rid] = ongoing
        around.sooner(For.DEADLINE, rid, timeout)
        pause = HEDGE_S if spare else REMINDER_S
        around.sooner(For.REMINDER, rid, pause + _longer(_size(asked)))
        operation.begin()
        self._weigh(ongoing)

    def follow(self, rid: int, following: Following) -> None:
        """Remember what was promised for the next write of a key."""
        ongoing = self.ongoing.get(rid)
        if ongoing is not None:
            key = ongoing.asked.key
            self._ahead.pop(key, None)
            if len(self._ahead) >= MOST_AHEAD:
                del self._ahead[next(iter(self._ahead))]
            self._ahead[key] = following
            # A record remembers which requests wrote it, so this one was its first.
            if len(following.base.requests) == 1 and not ongoing.reserved:
                self.reservations.wrote_new(ongoing.slot)

    def _spare(self, rid: int, configuration: Configuration) -> tuple[Member, ...]:
        """Return the members that need not be asked first: the others are a majority.

        Every operation begins with another member, so that all have the same share of the work.
        """
        around, members = self._around, configuration.members
        if len(members) == configuration.majority:
            return ()

        def rank(place: int) -> tuple[bool, bool, int]:
            node = members[place].node
            missing = around.is_lost(node, LOST_S) or around.is_slow(node, SLOW_S)
            return node != around.me.node, missing, (place + rid) % len(members)

        ranked = sorted(range(len(members)), key=rank)
        return tuple(members[place] for place in ranked[configuration.majority :])

    def look_up(self, key: bytes) -> None:
        """Read a key for its repair, which no client waits for."""
        if len(self.ongoing) < MOST_OWN:
            self.repairs += 1
            self.start(None, Get(key), OWN_TIMEOUT_S)

    def write_again(self, key: bytes, above: Ballot = NONE) -> None:
        """Have what a key has accepted anew by its members, for its repair.

        :param above: what a member has promised that could not take it otherwise.
        """
        if len(self.ongoing) < MOST_OWN:
            self.repairs += 1
            self.start(None, Get(key, anew=True), OWN_TIMEOUT_S, above=above)

    def get(self, rid: int) -> Operation | None:
        """Return the operation with this number."""
        ongoing = self.ongoing.get(rid)
        return None if ongoing is None else ongoing.operation

    def _weigh(self, ongoing: Ongoing, silent: bool = False) -> None:
        """Count the members that cannot be reached; all that have not answered, if ``silent``."""
        operation = ongoing.operation
        members = operation.attempt.configuration.members
        lost = {each.node for each in members if self._around.is_lost(each.node, LOST_S)}
        ongoing.presumed = set() if silent else lost
        for member in members:
            if (silent or member.node in lost) and member not in operation.attempt.answered:
                operation.unreachable(member)

    # ---- what happens to them ---------------------------------------------------------------

    def lost(self, node: str) -> None:
        """Count a node that cannot be reached as silent."""
        for ongoing in list(self.ongoing.values()):
            ongoing.presumed.discard(node)
            for member in ongoing.operation.attempt.configuration.members:
                if member.node == node and member not in ongoing.operation.attempt.answered:
                    ongoing.operation.unreachable(member)

    def learned(self, listed: Listed) -> None:
        """Go on in a later configuration of a slot."""
        for ongoing in list(self.ongoing.values()):
            if ongoing.slot == listed.slot:
                self._follow(ongoing, listed.configuration)

    def _follow(self, ongoing: Ongoing, configuration: Configuration) -> None:
        old = ongoing.operation.attempt.configuration
        if not configuration.follows(old):
            return
        if ongoing.refreshing is not None:
            self._once_more(ongoing, configuration)
        else:
            ongoing.began = self._around.now
            ongoing.operation.moved(configuration)
            pause = REMINDER_S + _longer(_size(ongoing.asked))
            self._around.sooner(For.REMINDER, ongoing.operation.rid, pause)
        self._weigh(ongoing)

    def wait(self, rid: int) -> None:
        """Have an operation that was disturbed try again: at once, and then after longer pauses.

        Most often the other was only there before, and is no rival: it has reserved the slot.
        """
        ongoing = self.ongoing[rid]
        if ongoing.reserved:
            ongoing.reserved = False
            self.reservations.failed(ongoing.slot)
        longer = FIRST_PAUSE_S * 2.0 ** (ongoing.tries - 1)
        pause = min(longer, LONGEST_PAUSE_S) if ongoing.tries else 0.0
        ongoing.tries += 1
        self._around.alarms.set((For.RETRY, rid), self._around.now + self._around.jittered(pause))

    def large(self, rid: int, size: int) -> None:
        """Have a read go on that needs a large value, when not too many are on their way."""
        if rid in self._fetched:
            self._fetch(rid, size)
        elif rid in self.ongoing:
            self._large[rid] = size
            self._fetch_next()

    def _fetch_next(self) -> None:
        for rid, size in list(self._large.items()):
            under_way = sum(each for each, _since in self._fetched.values())
            if under_way and under_way + size > FETCHED_BYTES:
                return
            del self._large[rid]
            self._fetch(rid, size)

    def _fetch(self, rid: int, size: int) -> None:
        ongoing, now = self.ongoing[rid], self._around.now
        self._fetched[rid] = size, now
        # It may have waited for its turn for long, and no member has been silent for it meanwhile.
        ongoing.began = now
        self._around.alarms.set((For.REMINDER, rid), now + REMINDER_S + _longer(size))
        ongoing.operation.go_on()

    def retry(self, rid: int) -> None:
        """Try again."""
        ongoing = self.ongoing.get(rid)
        if ongoing is not None and ongoing.operation.attempt.phase == Phase.WAIT:
            newest = self._directory.of(ongoing.slot).configuration
            ongoing.began = self._around.now
            if newest.follows(ongoing.operation.attempt.configuration):
                ongoing.operation.moved(newest)
            else:
                ongoing.operation.again()
            self._weigh(ongoing)

    def remind(self, rid: int) -> None:
        """Ask those again that have not answered, or those first that were spared."""
        ongoing = self.ongoing.get(rid)
        if ongoing is None or ongoing.refreshing is not None:
            return
        size, since = self._fetched.get(rid, (_size(ongoing.asked), self._around.now))
        longer = _longer(size)
        operation, spared = ongoing.operation, ongoing.operation.attempt.spare
        self._weigh(ongoing, silent=self._around.now >= ongoing.began + SILENT_S + longer)
        if rid not in self.ongoing:
            return
        if spared:
            attempt = operation.attempt
            for member in attempt.configuration.members:
                if member not in attempt.answered and member not in spared:
                    self._around.slow_down(member.node)
            operation.ask_spare()
        else:
            operation.remind()
            overdue = self._around.now >= since + REMINDER_S + longer
            if overdue and operation.attempt.phase == Phase.READ:
                self._fetch(rid, size)
        self._around.sooner(For.REMINDER, rid, REMINDER_S + longer)

    def expire(self, rid: int) -> None:
        """End an operation whose time is up."""
        ongoing = self.ongoing.get(rid)
        if ongoing is None:
            return
        if ongoing.refreshing is not None:
            self._finish(rid, ongoing.refreshing)
        else:
            ongoing.refreshed = True
            ongoing.operation.expire()

    def close(self) -> None:
        """End all operations: this node leaves the formation."""
        for rid in list(self.ongoing):
            self.expire(rid)

    # ---- how they end -----------------------------------------------------------------------

    def ended(self, rid: int, outcome: Outcome) -> None:
        """Take the end of an operation; if nobody was there, find out where the slot is now."""
        ongoing = self.ongoing[rid]
        if not isinstance(outcome, Unavailable) or ongoing.refreshed:
            self._finish(rid, outcome)
            return
        ongoing.refreshed = True
        newest = self._directory.of(ongoing.slot).configuration
        if newest.follows(ongoing.operation.attempt.configuration):
            self._await(rid, ongoing, outcome)
            self._follow(ongoing, newest)
            return
        others = set(self._around.place.near)
        if ongoing.presumed:
            # It has ended before anybody could answer: find out who would have.
            members = ongoing.operation.attempt.configuration.members
            others.update(member.node for member in members)
            others.discard(self._around.me.node)
            outcome = _without(outcome, self._around.me.node)
        if not others:
            self._finish(rid, outcome)
            return
        self._await(rid, ongoing, outcome)
        for node in sorted(others):
            self._around.say(node, Where(self._formation, (ongoing.slot,)))
        self._around.sooner(For.REFRESH, rid, REFRESH_S)

    def heard(self, node: str) -> None:
        """Ask the members again if one of those that were missing says something."""
        for rid in sorted(self._refreshing):
            ongoing = self.ongoing[rid]
            if node in ongoing.presumed:
                self._once_more(ongoing, ongoing.operation.attempt.configuration)
            elif ongoing.refreshing is not None and ongoing.presumed:
                ongoing.refreshing = _without(ongoing.refreshing, node)

    def _await(self, rid: int, ongoing: Ongoing, outcome: Unavailable) -> None:
        ongoing.refreshing = outcome
        self._refreshing.add(rid)

    def _once_more(self, ongoing: Ongoing, configuration: Configuration) -> None:
        """Begin an operation again that has ended before anything was sent that may happen later.

        All members are asked, those that are believed dead as well.
        """
        ongoing.refreshing = None
        ongoing.presumed.clear()
        self._refreshing.discard(ongoing.operation.rid)
        ongoing.began = self._around.now
        ongoing.operation.attempt = Operation.at_first(ongoing.asked, configuration, lasting=True)
        ongoing.operation.begin()
        # Reminders stop while there is nobody to remind.
        self._around.alarms.set(
            (For.REMINDER, ongoing.operation.rid), self._around.now + REMINDER_S
        )

    def give_up(self, rid: int) -> None:
        """End an operation for whose slot there was no news."""
        ongoing = self.ongoing.get(rid)
        if ongoing is not None and ongoing.refreshing is not None:
            self._finish(rid, ongoing.refreshing)

    def _finish(self, rid: int, outcome: Outcome) -> None:
        ongoing = self.ongoing.pop(rid)
        self._refreshing.discard(rid)
        self._large.pop(rid, None)
        if self._fetched.pop(rid, None) is not None:
            self._fetch_next()
        for alarm in (For.DEADLINE, For.REMINDER, For.RETRY, For.REFRESH):
            self._around.alarms.cancel((alarm, rid))
        if ongoing.op is not None:
            self._around.answers.append(Answered(ongoing.op, outcome))
        if ongoing.then is not None:
            ongoing.then(outcome)


def _size(asked: Get | Put) -> int:
    """Return how many bytes are to be written."""
    return len(asked.value or b"") if isinstance(asked, Put) else 0


def _longer(size: int) -> float:
    """Return for how many seconds more members may be silent because of a value's size."""
    return size / BYTES_PER_S if size > SHORT_BYTES else 0.0


def _without(outcome: Unavailable, node: str) -> Unavailable:
    """Return the outcome if this node is not missing."""
    missing = tuple(member for member in outcome.missing if member.node != node)
    return replace(outcome, missing=missing)
