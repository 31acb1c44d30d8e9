"""Repair: the members of a slot compare what they have, and give each other what is missing.

A member that was away lacks what was written meanwhile. Readers do not need it, since a majority
has everything; but one more loss might. So each member goes through its slots, one after another,
soon after it starts and then again and again. It tells another member of the slot the digest of its
records. If that one has another, it answers with a list of its keys and ballots, a page at a time,
and both give each other the records that the other has in an older state, or not at all. One
question is answered with a limited number of bytes. While that brings the two closer to each other,
they are soon compared again; if it does not, a few times more, with longer and longer pauses.

**To repair is to ask for an accept again**, with the ballot under which the record was accepted. So
a member takes it only if it has promised no higher ballot since, and only within one epoch. Members
may also differ in what they installed with the epoch, in what was never confirmed. And a member may
have promised a higher ballot, for a key that it has in an older state, or by its floor for all keys
of which it has nothing. In both cases a read has what it finds accepted anew, with a ballot that is
high enough. A tombstone is not given to a member below whose floor it is: nothing older is there,
nor will be, and the tombstone will be collected. A record that was read from a damaged place is
never part of this: its disk is another one by then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import attrs
import msgspec

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.messages import Address
from chordnet.core.store.node.holdings import Held, Holdings
from chordnet.core.store.node.surroundings import For, Surroundings
from chordnet.core.store.node.talk import STOCK_IN_ONE, Missing, Stock, Sum
from chordnet.core.store.slot.registers import Registers

STEP_S = 0.1
"""Between two slots."""
ROUND_S = 60.0
"""Between two rounds through all slots."""
SOON_S = 1.0
"""After a start the first round begins."""
GIVEN_AT_ONCE = 64
"""Records that one question is answered with."""
GIVEN_BYTES = 2_097_152
"""Bytes of their values; one record is given whatever its size."""
AGAIN_S = 0.25
"""After so long two members are compared again that could not give each other everything."""
MOST_AGAIN = 256
"""So often in one round; the next round brings the rest."""
MOST_IN_VAIN = 6
"""So often in a row without being closer to each other, with pauses that double."""

_encode = msgspec.msgpack.Encoder().encode


@attrs.define
class _Unequal:
    """How far a slot is from being the same at both members."""

    after: bytes | None = None
    """In the page that begins after this key..."""
    keys: int = 0
    """...so many keys differed when it was compared last."""
    times: int = 0
    """How often it was compared again,"""
    in_vain: int = 0
    """and how often in a row that brought the two no closer."""


@attrs.define
class _Known:
    """The digest of a slot, as long as it has not changed."""

    changes: int
    digest: int


class Repair:
    """The repair of the slots of one disk.

    :param write_again: has what a key has accepted anew, with a ballot above the one given.
    """

    def __init__(
        self,
        around: Surroundings,
        formation: bytes,
        holdings: Holdings,
        write_again: Callable[[bytes, Ballot], None],
    ) -> None:
        self._write_again = write_again
        self._around = around
        self._formation = formation
        self._holdings = holdings
        self._known: dict[int, _Known] = {}
        self._queue: list[int] = []
        self._unequal: dict[int, _Unequal] = {}
        """In this round, by slot."""
        self.given = 0
        """Records that other members lacked."""

    def start(self) -> None:
        """Begin the first round soon."""
        self._around.sooner(For.REPAIR, 0, self._around.jittered(SOON_S))

    def step(self) -> None:
        """Compare one slot with another member."""
        around = self._around
        if not self._queue:
            self._queue = [held.registers.head.slot for held in self._holdings.served]
            around.rng.shuffle(self._queue)
            self._unequal.clear()
        while self._queue:
            registers = self._serving(self._queue.pop())
            others = [] if registers is None else self._others(registers)
            if registers is not None and others:
                member = around.rng.choice(others)
                address = self._address(registers, member)
                around.say(member.node, Sum(self._formation, address, self._digest(registers)))
                break
        around.sooner(For.REPAIR, 0, STEP_S if self._queue else around.jittered(ROUND_S))

    # ---- what others say --------------------------------------------------------------------

    def on_sum(self, sender: str, message: Sum) -> None:
        """Answer with what is here, if that is not the same."""
        registers = self._meant(message.address)
        if registers is not None and self._digest(registers) != message.digest:
            self._list(sender, registers, None)

    def on_stock(self, sender: str, message: Stock) -> None:
        """Give what the sender lacks, and ask for what is lacking here."""
        registers = self._meant(message.address)
        member = Member(sender, message.store)
        if registers is None or member not in registers.head.configuration.members:
            return
        theirs = dict(message.accepted)
        low, high = message.after, None
        if message.more and message.accepted:
            high = message.accepted[-1][0]
        lacking, below = list[bytes](), list[bytes]()
        for key, record in registers.records.items():
            inside = (low is None or key > low) and (high is None or key <= high)
            if inside and record.accepted > theirs.get(key, NONE):
                held_up = key not in theirs and record.accepted <= message.floor
                (below if held_up else lacking).append(key)
        self._give(member, registers, lacking)
        given = self._give_above(registers, below, message.floor)
        wanted = self._want(member, registers, message)
        address = self._address(registers, member)
        if high is not None:
            self._around.say(sender, Missing(self._formation, address, (), high))
        if wanted or lacking or given:
            self._again(registers.head.slot, low, wanted + len(lacking) + given)

    def _again(self, slot: int, after: bytes | None, keys: int) -> None:
        """Compare the slot again soon, and less soon if no fewer keys differ than the last time.

        What was given may be on its way, or on its way to the disk.
        """
        before = self._unequal.setdefault(slot, _Unequal())
        closer = not before.times or before.after != after or keys < before.keys
        in_vain = 0 if closer else before.in_vain + 1
        if in_vain <= MOST_IN_VAIN and before.times < MOST_AGAIN:
            self._unequal[slot] = _Unequal(after, keys, before.times + 1, in_vain)
            if slot not in self._queue:
                self._queue.insert(0 if in_vain else len(self._queue), slot)
            self._around.sooner(For.REPAIR, 0, AGAIN_S * 2**in_vain)

    def on_missing(self, sender: str, message: Missing) -> None:
        """Give what is asked for, or list what comes next."""
        registers = self._meant(message.address)
        members = () if registers is None else registers.head.configuration.members
        member = next((each for each in members if each.node == sender), None)
        if registers is None or member is None:
            return
        self._give(member, registers, [key for key in message.keys if key in registers.records])
        self._give_above(registers, list(message.below), message.promised)
        if message.after is not None:
            self._list(sender, registers, message.after)

    # ---- what is said -----------------------------------------------------------------------

    def _want(self, member: Member, registers: Registers, message: Stock) -> int:
        """Ask for what is lacking here, or is in an older state; return how much that is."""
        wanted, below, promised = list[bytes](), list[bytes](), NONE
        for key, accepted in message.accepted:
            mine = registers.records.get(key)
            if mine is None and accepted <= registers.head.floor.promised:
                below.append(key)
                promised = max(promised, registers.head.floor.promised)
            elif mine is None or (mine.accepted < accepted and mine.promised <= accepted):
                wanted.append(key)
            elif mine.accepted == NONE:
                below.append(key)
                promised = max(promised, mine.promised)
            elif mine.accepted < accepted:
                self._write_again(key, mine.promised)
        if wanted or below:
            address = self._address(registers, member)
            asked = Missing(self._formation, address, tuple(wanted), None, tuple(below), promised)
            self._around.say(member.node, asked)
        return len(wanted)

    def _give_above(self, registers: Registers, keys: list[bytes], promised: Ballot) -> int:
        """Have records accepted anew, above what a member that lacks them has promised.

        A tombstone is none of them: it can go instead. Return how many there are.
        """
        given = 0
        for key in keys:
            record = registers.records.get(key)
            if record is not None and record.content.value is not None:
                given += 1
                self._write_again(key, promised)
                if given == GIVEN_AT_ONCE:
                    break
        self.given += given
        return given

    def _give(self, member: Member, registers: Registers, keys: list[bytes]) -> None:
        """Give a member the first of these records, as many as go together."""
        address = self._address(registers, member)
        room, given = GIVEN_BYTES, 0
        for key in keys:
            record = registers.records[key]
            if record.accepted == NONE:
                continue
            room -= len(record.content.value or b"")
            if given and (room < 0 or given == GIVEN_AT_ONCE):
                break
            given += 1
            if record.accepted.epoch != address.epoch:
                self._write_again(key, NONE)
            else:
                accept = msg.Accept(address, 0, key, record.accepted, record.content)
                self._around.say(member.node, accept)
        self.given += given

    def _list(self, to: str, registers: Registers, after: bytes | None) -> None:
        keys = sorted(key for key in registers.records if after is None or key > after)
        page = msg.page(((key, registers.records[key].accepted) for key in keys), STOCK_IN_ONE)
        member = next((m for m in registers.head.configuration.members if m.node == to), None)
        if member is not None:
            address = self._address(registers, member)
            store, more = registers.me.store, len(page) < len(keys)
            floor = registers.head.floor.promised
            self._around.say(to, Stock(self._formation, address, store, after, page, more, floor))

    def _digest(self, registers: Registers) -> int:
        slot = registers.head.slot
        known = self._known.get(slot)
        if known is None or known.changes != registers.changes:
            known = self._known[slot] = _Known(registers.changes, digest_of(registers))
        return known.digest

    # ---- where it holds ---------------------------------------------------------------------

    def _serving(self, slot: int) -> Registers | None:
        held: Held | None = self._holdings.slots.get(slot)
        if held is None or not held.serves or held.registers.head.sealed:
            return None
        return held.registers

    def _meant(self, address: Address) -> Registers | None:
        """Return the registers that a message is meant for, if they are in that epoch."""
        registers = self._serving(address.slot)
        if registers is None or self._address(registers, registers.me) != address:
            return None
        return registers

    def _address(self, registers: Registers, member: Member) -> Address:
        present = registers.head.configuration
        return Address(
            self._formation,
            registers.head.slot,
            present.generation,
            present.epoch,
            member.store,
        )

    def _others(self, registers: Registers) -> list[Member]:
        me = registers.me
        return [
            member
            for member in registers.head.configuration.members
            if member != me and not self._around.lost_for(member.node)
        ]


def digest_of(registers: Registers) -> int:
    """Return a digest of which keys a member has, accepted under which ballots."""
    total = 0
    for key, record in registers.records.items():
        if record.accepted != NONE:
            entry = _encode((key, record.accepted))
            total += int.from_bytes(hashlib.blake2b(entry, digest_size=7).digest())
    return total % (1 << 56)
