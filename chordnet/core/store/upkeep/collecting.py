"""The collection of what deleted and expired keys have left behind, at one node.

Every member goes through its own records now and then. Three kinds of them can go:

- A *tombstone*, with the consent of all members (:mod:`chordnet.core.store.slot.collecting`). It is
  left alone for :data:`AFTER_S` first: who asks again for a write without a certain end may learn
  until then whether it was done. The first member of a slot leads. The next ones lead later, by
  :data:`RANK_S` for each place of their rank, so they find only what the ones before them have not
  finished.
- A record that was *only promised*. Its member drops it by itself.
- A value that has *expired*, and that nobody has asked for since. It is read, by which a tombstone
  takes its place, and that is collected like any other.

All of this is paced: one page of one slot at a time, and a pause after it. A slot of which a member
cannot be reached has to wait. Tombstones that a member does not have yet are given to it by repair,
and are asked about again later.

How old a record is, is not on any disk. A member notes now and then how many changes it has written
in a slot, so it knows what is older than such a note. After a start all that it finds counts as old
once the first note is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from random import Random
from typing import Protocol

import attrs

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE
from chordnet.core.store.base.effects import Effect
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.slot.collecting import Collection, Gathering
from chordnet.core.store.slot.registers import Registers

AFTER_S = 60.0
"""A record without a value stays for so long at least."""
RANK_S = 30.0
"""For so much longer it is left to the member before in rank."""
ROUND_S = 10.0
"""Between two rounds through all slots."""
STEP_S = 0.05
"""Between two pages."""
PATIENCE_S = 2.0
"""A member that has not answered for so long is asked in a later round."""
EXPIRED_S = 10.0
"""A value that expired so long ago is buried, if nobody has done it yet."""
IN_ONE = 256
"""Tombstones that are asked about, or promises that are dropped, at once."""
SEEN_AT_ONCE = 4096
"""Old records without a value that are looked through for those that were only promised."""
BURIED_AT_ONCE = 16
"""Expired values of one slot that are read in one round."""


class Around(Protocol):
    """What the node's surroundings are needed for."""

    now: float
    wall: float
    rng: Random
    effects: list[Effect]
    safeguards: StoreSafeguards
    collect_pace: float

    def rid(self) -> int:
        """Return a number for a new collection."""

    def lost_for(self, node: str) -> float:
        """Return for how many seconds a node has been out of reach."""


@attrs.define
class _Notes:
    """How many changes a slot had at which times."""

    taken: list[tuple[float, int]] = attrs.field(factory=list)

    def take(self, now: float, changes: int, oldest: float) -> None:
        """Take a note, and forget those that no question needs.

        :param oldest: the greatest age that is asked about.
        """
        if not self.taken or self.taken[-1][1] != changes:
            self.taken.append((now, changes))
        while len(self.taken) > 1 and self.taken[1][0] <= now - oldest:
            del self.taken[0]

    def before(self, at: float) -> int:
        """Return how many changes there were at a time, as far as is known; -1 if it is not."""
        return max((changes for taken, changes in self.taken if taken <= at), default=-1)


class Collecting:
    """The collections that one node leads.

    :param served: returns the slots that this disk serves, by number.
    :param read: has a key read, so that what has expired there is buried.
    :param later: has :meth:`step` called after so many seconds.
    """

    def __init__(
        self,
        around: Around,
        formation: bytes,
        served: Callable[[], Iterable[Registers]],
        read: Callable[[bytes], None],
        later: Callable[[float], None],
    ) -> None:
        self._around = around
        self._formation = formation
        self._served = served
        self._read = read
        self._later = later
        self._notes: dict[int, _Notes] = {}
        self._queue: list[int] = []
        self._slot = -1
        """The slot of the collection under way."""
        self._asked: tuple[msg.Tombstone, ...] = ()
        self._patience = 0.0
        self.collection: Collection | None = None
        """The one under way."""
        self.dropped = 0
        """Tombstones that all members were told to drop."""

    def start(self) -> None:
        """Begin the first round soon."""
        self._later(self._pace(ROUND_S))

    def get(self, rid: int) -> Collection | None:
        """Return the collection with this number."""
        collection = self.collection
        return collection if collection is not None and collection.rid == rid else None

    def _pace(self, seconds: float) -> float:
        return seconds * self._around.collect_pace

    def step(self) -> None:
        """Go on: with the next slot, or with a new round."""
        around = self._around
        if self.collection is not None:
            if around.now < self._patience:
                self._later(self._patience - around.now)
                return
            self.collection = None
            self._later(STEP_S if self._queue else self._pace(ROUND_S))
            return
        if not self._queue:
            self._queue = list(self._worth())
            around.rng.shuffle(self._queue)
        while self._queue and self.collection is None:
            registers = self._serving(self._queue.pop())
            if registers is not None and self._look_at(registers):
                break
        if self.collection is None:
            self._later(STEP_S if self._queue else self._pace(ROUND_S))

    def _worth(self) -> Iterator[int]:
        """Yield the slots with something that may go, and note how old it is."""
        known, self._notes = self._notes, {}
        for registers in self._served():
            slot, members = registers.head.slot, registers.head.configuration.members
            if registers.stock.dead:
                notes = self._notes[slot] = known.get(slot, _Notes())
                oldest = self._pace(AFTER_S + RANK_S * len(members))
                notes.take(self._around.now, registers.changes, oldest)
            if registers.stock.dead or registers.stock.expiring:
                yield slot

    def _serving(self, slot: int) -> Registers | None:
        found = (each for each in self._served() if each.head.slot == slot)
        return next((each for each in found if not each.head.sealed), None)

    # ---- one slot ---------------------------------------------------------------------------

    def _look_at(self, registers: Registers) -> bool:
        """Do what there is to do in a slot; return True if that was anything."""
        members = registers.head.configuration.members
        rank = members.index(registers.me)
        expired = self._bury(registers, self._pace(EXPIRED_S + RANK_S * rank))
        old = islice(self._old(registers, self._pace(AFTER_S)), SEEN_AT_ONCE)
        promises = [(key, NONE) for key in old if registers.records[key].accepted == NONE][:IN_ONE]
        registers.drop(promises)
        if any(self._around.lost_for(member.node) for member in members):
            return expired or bool(promises)
        older = self._old(registers, self._pace(AFTER_S + RANK_S * rank))
        found = ((key, registers.records[key].accepted) for key in older)
        self._asked = msg.page((each for each in found if each[1] != NONE), IN_ONE)
        if self._asked:
            self._lead(registers)
        return expired or bool(promises or self._asked)

    def _old(self, registers: Registers, age: float) -> Iterator[bytes]:
        """Yield the keys that have been without a value for so long, the oldest first."""
        notes = self._notes.get(registers.head.slot)
        last = -1 if notes is None else notes.before(self._around.now - age)
        for key, change in registers.stock.dead.items():
            if change > last:
                return
            yield key

    def _bury(self, registers: Registers, age: float) -> bool:
        """Have a few expired values read, so that tombstones take their places."""
        wall = self._around.wall - age
        expired = [key for key, at in registers.stock.expiring.items() if at <= wall]
        for key in expired[:BURIED_AT_ONCE]:
            self._read(key)
        return bool(expired)

    def _lead(self, registers: Registers) -> None:
        around, head = self._around, registers.head
        self._slot = head.slot
        self.collection = Collection(
            around.rid(),
            (self._formation, head.slot),
            around.effects,
            Gathering(head.configuration, self._asked),
            around.safeguards,
        )
        self._patience = around.now + PATIENCE_S
        self._later(PATIENCE_S)
        self.collection.begin()

    def went_on(self) -> None:
        """Look whether the collection under way is over, and go on if it is."""
        collection = self.collection
        if collection is None or not collection.gathering.over:
            return
        self.collection = None
        left = collection.gathering.tombstones
        self.dropped += len(left)
        registers = self._serving(self._slot)
        if registers is not None:
            agreed = set(left)
            # What not all members have comes last, so that it keeps nothing else waiting.
            for key, ballot in self._asked:
                if (key, ballot) not in agreed:
                    registers.stock.postpone(key, registers.changes + 1)
            self._queue.append(self._slot)
        self._later(STEP_S)
