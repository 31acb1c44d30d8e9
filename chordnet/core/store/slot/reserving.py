"""New keys in one round: a coordinator has a ballot promised for all keys that nobody knows yet.

A write in two rounds asks for promises first, because it has to know what a majority has accepted
for its key. For a new key the answer is nothing, and a majority can say so of all new keys of a
slot together. So a coordinator that writes many asks the members of a slot to *reserve* it::

    ASK --> HELD        a member has promised more, or refuses: OVER

- A member **promises the ballot for every key of which it has no record**, by raising the slot's
  floor to just below it. A key without a record counts as promised at the floor, so it takes
  nothing below this ballot any more. That is on disk before it is answered, as every promise is.
- It names **the keys of which it has a record**, by fingerprints: for these it promises nothing.
- If a majority has promised, phase 1 is done for every key that none of them has named: nothing was
  accepted for it at any of them, nor will be below the ballot. So the coordinator writes such a key
  immediately, under that ballot, **once**: whatever it has begun to write counts as named, too.
  Two keys may share a ballot, as the registers of two keys have nothing to do with each other.
- The version of a new key is above the highest floor of that majority, as in two rounds.

The first time in an epoch the ballot is the coordinator's *lowest*, with a counter of 0. So it is
below all that others write with in two rounds, and gets in nobody's way. It is asked for once for
each slot: were it promised twice, a key could be written twice with it.

Others may write the same keys at any time with higher ballots, and then this ballot is refused at a
majority. Another coordinator may reserve the slot, too, and then all that is left to the first one
is refused. A write to which that happens is tried again in two rounds, as any other in one round
(:mod:`chordnet.core.store.slot.operations`).

**A dropped record leaves its promise in the floor**, which is above the ballot if the record was
written after the reservation, and its version, which is told if it was dropped before. So a key
that was deleted and collected takes nothing under the ballot either, or its next version is known.

A fingerprint is short: a key that nobody has may be taken for one that somebody has, and is then
written in two rounds.

Source: phase 1 for all instances together is that of Lamport, "The part-time parliament" (1998);
here the instances are keys, and those that have begun are left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot, Ballots
from chordnet.core.store.base.configurations import (
    Configuration,
    Following,
    Member,
    Reservation,
)
from chordnet.core.store.base.effects import Effect, Reserves, Say
from chordnet.core.store.base.messages import Address
from chordnet.core.store.base.records import EMPTY
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.base.safeguards import StoreSafeguards

MOST_KNOWN = 4096
"""A slot of which a member has more records is not reserved."""
MOST_LEAP = 1 << 32
"""By how much the counter of a ballot may be above that of the floor: a peer that lies must not use
up the ballots of all new keys."""
RESERVED_S = 10.0
"""A slot that one node has reserved is not given to another one so soon."""
PRINT_BYTES = 2
_MASK = (1 << 8 * PRINT_BYTES) - 1
ALL = StoreSafeguards()


def fingerprint(key: bytes) -> int:
    """Return a small number that stands for a key."""
    return zlib.crc32(key) & _MASK


def fingerprints(keys: Iterable[bytes]) -> bytes:
    """Return the fingerprints of these keys, in order, each once."""
    numbers = sorted({fingerprint(key) for key in keys})
    return b"".join(number.to_bytes(PRINT_BYTES) for number in numbers)


def numbers_in(known: bytes) -> list[int]:
    """Return the fingerprints as numbers."""
    return [
        int.from_bytes(known[at : at + PRINT_BYTES]) for at in range(0, len(known), PRINT_BYTES)
    ]


def is_possible(ballot: Ballot, floor: Ballot) -> bool:
    """Return True if an honest coordinator can ask for this ballot."""
    counter = floor.counter if floor.epoch == ballot.epoch else 0
    return ballot.run > 0 and ballot.counter <= counter + MOST_LEAP


def fits(reservation: Reservation, asked: Get | Put, configuration: Configuration) -> bool:
    """Return True if a write can be done in one round if its key is new."""
    return (
        isinstance(asked, Put)
        and asked.since is None
        and asked.value is not None
        and reservation.configuration == configuration
        and asked.fits(EMPTY)
    )


def following(reservation: Reservation) -> Following:
    """Return what a new key can be written with."""
    ballot, floor = reservation.ballot, reservation.floor
    return Following(reservation.configuration, ballot, EMPTY, floor)


class Pending(msgspec.Struct, frozen=True):
    """All that a coordinator knows that reserves a slot."""

    configuration: Configuration
    first: bool = False
    """Whether this coordinator has not asked for this slot in this epoch before."""
    ballot: Ballot = NONE
    spare: tuple[Member, ...] = ()
    """Members that are not asked: the others are a majority."""
    answered: tuple[Member, ...] = ()
    floor: int = 0
    known: bytes = b""
    over: bool = False


class Reserving:
    """One reservation, at its coordinator.

    :param rid: this node's number for it.
    :param where: formation and slot.
    :param pending: how far it has come.
    """

    def __init__(
        self,
        rid: int,
        where: tuple[bytes, int],
        ballots: Ballots,
        effects: list[Effect],
        pending: Pending,
    ) -> None:
        self.rid = rid
        self.pending = pending
        self._where = where
        self._ballots = ballots
        self._effects = effects

    def begin(self) -> None:
        """Ask the members."""
        now, ballots = self.pending, self._ballots
        epoch = now.configuration.epoch
        ballot = ballots.lowest(epoch) if now.first else ballots.above(NONE, epoch)
        self.pending = replace(now, ballot=ballot)
        for member in now.configuration.members:
            if member not in now.spare:
                asked = msg.Reserve(self._address(member), self.rid, ballot)
                self._effects.append(Say(member.node, asked))

    def on_reserved(self, sender: str, answer: msg.Reserved) -> None:
        """Take a promise; with those of a majority the slot is reserved."""
        now = self.pending
        member = self._counts(sender, answer.address)
        if member is None or member in now.answered or answer.ballot != now.ballot:
            return
        answered = tuple(sorted((*now.answered, member)))
        found = sorted({*numbers_in(now.known), *numbers_in(answer.known)})
        known = b"".join(number.to_bytes(PRINT_BYTES) for number in found)
        floor = max(now.floor, answer.floor)
        over = len(answered) >= now.configuration.majority
        self.pending = replace(now, answered=answered, floor=floor, known=known, over=over)
        if over:
            held = Reservation(now.configuration, now.ballot, floor, known)
            self._effects.append(Reserves(self._where[1], held))

    def on_outrun(self, sender: str, answer: msg.Outrun) -> None:
        """End: a member has promised more; the next ballot is to be above that."""
        if (
            self._counts(sender, answer.address) is not None
            and answer.ballot == self.pending.ballot
        ):
            self._ballots.see(answer.promised)
            self.pending = replace(self.pending, over=True)

    def on_refused(self, sender: str, answer: msg.Refused) -> None:
        """End: a member does not answer in this epoch, or knows too many keys."""
        if self._counts(sender, answer.address) is not None:
            self.pending = replace(self.pending, over=True)

    def _counts(self, sender: str, address: Address) -> Member | None:
        """Return the member whose answer this is; None if it is not to the present question."""
        member = Member(sender, address.store)
        mine = member in self.pending.configuration.members
        if self.pending.over or not mine or self._address(member) != address:
            return None
        return member

    def _address(self, member: Member) -> Address:
        present = self.pending.configuration
        return Address(*self._where, present.generation, present.epoch, member.store)


AT_RESERVATION: dict[type, Callable[[Any, str, Any], None]] = {
    msg.Reserved: Reserving.on_reserved,
    msg.Outrun: Reserving.on_outrun,
    msg.Refused: Reserving.on_refused,
}
"""What a coordinator that reserves a slot does with each answer."""
