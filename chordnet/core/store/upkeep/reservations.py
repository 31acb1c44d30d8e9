"""The slots whose new keys this node can write in one round, as a coordinator.

What a reservation is, and why it may be relied on, is in
:mod:`chordnet.core.store.slot.reserving`. Here is when one is asked for:

- After the second new key of a few seconds in slots with the same members, for all of these slots
  together, so that the questions travel in one letter to each member. Who writes a new key now and
  then asks for nothing.
- A reservation lasts until its slot moves, or until a write finds that another node has reserved
  the slot. Then this node leaves the slot alone for a while, and longer each time: two nodes that
  take it from each other would be slower than without.

An answer that does not come is not waited for. Writes go on in two rounds meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Protocol

import attrs

from chordnet.core.store.base.ballots import Ballots
from chordnet.core.store.base.configurations import (
    Configuration,
    Following,
    Member,
    Reservation,
)
from chordnet.core.store.base.effects import Effect
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.slot.reserving import (
    Pending,
    Reserving,
    fingerprint,
    fits,
    following,
    numbers_in,
)

WITHIN_S = 10.0
"""Two new keys in this time are reason enough to ask."""
AT_ONCE = 16
"""Slots that are asked for together."""
MOST_HELD = 512
"""Slots that one node has reserved; the one used longest ago gives way."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 64.0
"""So long a slot is left alone that was asked for, or that another node has reserved; doubled every
time, unless nothing happened for long."""
_NEVER = float("-inf")
_PRINTS = 1 << 16


class Around(Protocol):
    """What the node's surroundings are needed for."""

    now: float
    effects: list[Effect]

    def rid(self) -> int:
        """Return a number for a new reservation."""


class _Held:
    """One reserved slot, and which keys of it are new no more."""

    __slots__ = ("_known", "reservation")

    def __init__(self, reservation: Reservation) -> None:
        self.reservation = reservation
        self._known = bytearray(_PRINTS // 8)
        for number in numbers_in(reservation.known):
            self.take(number)

    def take(self, number: int) -> bool:
        """Count a key as known; return True if it was not."""
        byte, bit = number >> 3, 1 << (number & 7)
        new = not self._known[byte] & bit
        self._known[byte] |= bit
        return new


@attrs.define
class _Left:
    """A slot that is left alone."""

    until: float
    pause: float


class Reservations:
    """The reservations of one node.

    :param formation: whose slots these are.
    :param slots: how many there are.
    :param configuration: returns the newest one of a slot that is known here.
    :param spare: returns the members that need not be asked, by a number and a configuration.
    """

    def __init__(
        self,
        around: Around,
        formation: bytes,
        slots: int,
        ballots: Ballots,
        configuration: Callable[[int], Configuration],
        spare: Callable[[int, Configuration], tuple[Member, ...]],
    ) -> None:
        self._around = around
        self._formation = formation
        self._slots = slots
        self._ballots = ballots
        self._configuration = configuration
        self._spare = spare
        self._held: dict[int, _Held] = {}
        self._pending: dict[int, tuple[int, Reserving]] = {}
        """Slot and reservation, by the number of the latter."""
        self._asked: dict[int, Configuration] = {}
        """The epochs in which slots were asked for last."""
        self._left: dict[int, _Left] = {}
        """Slots for which nothing is asked for a while."""
        self._new: dict[tuple[Member, ...], float] = {}
        """When a new key was written in two rounds last, by the members of its slot."""

    def use(self, slot: int, asked: Get | Put, configuration: Configuration) -> Following | None:
        """Return what a write can be done with in one round, if its key is new; used once."""
        held = self._held.get(slot)
        if held is None or not fits(held.reservation, asked, configuration):
            return None
        if not held.take(fingerprint(asked.key)):
            return None
        return following(held.reservation)

    def failed(self, slot: int) -> None:
        """Give a reservation up: a write under it was refused."""
        if self._held.pop(slot, None) is not None:
            self._leave(slot)

    def wrote_new(self, slot: int) -> None:
        """Note that a new key was written in two rounds, and ask for the slot if that repeats."""
        now, members = self._around.now, self._configuration(slot).members
        before = self._new.pop(members, _NEVER)
        if len(self._new) >= MOST_HELD:
            del self._new[next(iter(self._new))]
        self._new[members] = now
        if now <= before + WITHIN_S:
            for each in self._like(slot, members):
                self._ask(each)

    def _like(self, slot: int, members: tuple[Member, ...]) -> list[int]:
        """Return a slot, and those beside it with the same members that can be asked for."""
        beside = ((slot + step) % self._slots for far in range(AT_ONCE) for step in (far, -far))
        alike = (
            each for each in dict.fromkeys(beside) if self._configuration(each).members == members
        )
        return list(islice(filter(self._may_ask, alike), AT_ONCE))

    def _may_ask(self, slot: int) -> bool:
        left, held = self._left.get(slot), self._held.get(slot)
        if left is not None and self._around.now < left.until:
            return False
        return held is None or held.reservation.configuration != self._configuration(slot)

    def _ask(self, slot: int) -> None:
        around, rid = self._around, self._around.rid()
        present = self._configuration(slot)
        first = self._asked.get(slot) != present
        self._asked[slot] = present
        pending = Pending(present, first, spare=self._spare(rid, present))
        where = (self._formation, slot)
        reserving = Reserving(rid, where, self._ballots, around.effects, pending)
        for old in [number for number, (of, _) in self._pending.items() if of == slot]:
            del self._pending[old]
        self._pending[rid] = slot, reserving
        self._leave(slot)
        reserving.begin()

    def _leave(self, slot: int) -> None:
        before, now, pause = self._left.get(slot), self._around.now, FIRST_PAUSE_S
        if before is not None and now <= before.until + before.pause + WITHIN_S:
            pause = min(before.pause * 2, LONGEST_PAUSE_S)
        self._left[slot] = _Left(now + pause, pause)

    # ---- answers ----------------------------------------------------------------------------

    def get(self, rid: int) -> Reserving | None:
        """Return the reservation under way with this number."""
        found = self._pending.get(rid)
        return None if found is None else found[1]

    def went_on(self, rid: int) -> None:
        """Forget a reservation under way if it is over."""
        found = self._pending.get(rid)
        if found is not None and found[1].pending.over:
            del self._pending[rid]

    def hold(self, slot: int, reservation: Reservation) -> None:
        """Take note that a slot is reserved."""
        self._held.pop(slot, None)
        if len(self._held) >= MOST_HELD:
            del self._held[next(iter(self._held))]
        self._held[slot] = _Held(reservation)
