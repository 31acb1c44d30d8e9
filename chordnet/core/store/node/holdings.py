"""The slots that this node's disk holds, or has held: a head of each, and the records."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import attrs
from msgspec.structs import replace

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.configurations import Configuration, Head, Member, blank
from chordnet.core.store.base.effects import Noted
from chordnet.core.store.base.founding import FIRST_EPOCH, FIRST_GENERATION, Founding, first_members
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.messages import Address, Why
from chordnet.core.store.base.records import Record
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.surroundings import For, Surroundings
from chordnet.core.store.slot.reconfigure import Installation
from chordnet.core.store.slot.registers import AT_MEMBER, Registers, inquired

SHOWN = 10
"""Slots that one notice names."""
MEMBERS_ONLY = (msg.PrepareChange, msg.AcceptChange, msg.Collect, msg.Drop)
INSTALL_AFTER_S = 0.3
"""A member that hears by the way of its configuration waits so long for its leader."""
INSTALL_AGAIN_S = 1.0
"""An installation of which nothing arrives for so long asks again; twice as long each time."""
LONGEST_AGAIN_S = 8.0


@attrs.frozen
class Held:
    """One slot."""

    registers: Registers
    installation: Installation

    @property
    def serves(self) -> bool:
        """Whether this disk answers for keys of the slot."""
        head = self.registers.head
        return self.registers.me in head.configuration.members and not head.emptied


class Holdings:
    """All slots of this disk.

    :param kept: what the disk had at the start; None if it is of another formation.
    """

    def __init__(self, around: Surroundings, founding: Founding, kept: Kept | None) -> None:
        self._around = around
        self._formation = founding.id
        self.slots: dict[int, Held] = {}
        self._outdated: list[int] = []
        """Slots that were recovered without this disk, and of which people were not told yet."""
        records: dict[int, dict[bytes, Record]] = {}
        for slot, key, record in kept.records if kept is not None else ():
            records.setdefault(slot, {})[key] = record
        for head in kept.heads if kept is not None else ():
            if head.formation == self._formation:  # not of one that this node has dropped
                self._hold(head, records.get(head.slot, {}))
        first = first_members(founding)
        for slot in range(founding.slots):
            configuration = first(slot)
            # The first configuration follows from the founding and need not be on any disk.
            if slot not in self.slots and around.me in configuration.members:
                head = Head(self._formation, slot, configuration)
                self._hold(head, records.get(slot, {}))

    def _hold(self, head: Head, records: dict[bytes, Record]) -> Held:
        around = self._around
        registers = Registers(
            around.me, head, records, around.effects, around.safeguards, lambda: around.wall
        )
        held = self.slots[head.slot] = Held(registers, Installation(registers, around.effects))
        return held

    @property
    def served(self) -> Iterable[Held]:
        """The slots that this disk answers for."""
        return (held for held in self.slots.values() if held.serves)

    def serving(self) -> Iterable[Registers]:
        """Return what this disk has of the slots that it answers for."""
        return (held.registers for held in self.served)

    # ---- requests of peers ------------------------------------------------------------------

    def take(self, sender: str, request: msg.Request, known: Listed) -> None:
        """Do what another node asks of a slot.

        :param known: what the directory has of it.
        """
        held = self.slots.get(request.address.slot)
        if held is None and isinstance(request, msg.Inquire):
            self._has_nothing(sender, request, known.configuration)
        elif held is None:
            self.refuse(sender, request, known.configuration)
        elif not self._around.may_answer(
            chain(held.registers.head.configuration.members, known.configuration.members)
        ):
            self.refuse(sender, request, held.registers.head.known, Why.RETURNED)
        elif self._is_stranger(sender, held.registers.head, request, known):
            self.refuse(sender, request, held.registers.head.known, Why.STRANGER)
        else:
            AT_MEMBER[type(request)](held.registers, sender, request)

    def _is_stranger(self, sender: str, head: Head, request: msg.Request, known: Listed) -> bool:
        """Return True if a node asks for what only the slot's members may ask for.

        Members of the epoch change it, and collect what was deleted. A state is fetched by them,
        and by those that this member has voted for or knows to be chosen. A slot is recovered by
        order of a person, at any node. What concerns keys is the right of every node, with ballots
        of its own; members give each other records under the ballots of others.
        """
        if isinstance(request, msg.Prepare | msg.Accept | msg.Reserve):
            if sender == request.ballot.node:
                return False
            return sender not in {member.node for member in head.configuration.members}
        if type(request) is msg.Read:
            return False
        address, installed = request.address, head.configuration
        lists = [installed.members]
        if isinstance(request, msg.Fetch):
            vote = () if head.vote is None else head.vote.members
            before = () if known.before is None else known.before.members
            lists += [head.known.members, vote, known.configuration.members, before]
        elif not isinstance(request, MEMBERS_ONLY):
            return False
        here = (address.generation, address.epoch) == (installed.generation, installed.epoch)
        names = {member.node for members in lists for member in members}
        return here and sender not in {*names, self._around.me.node}

    def refuse(
        self,
        sender: str,
        request: msg.Request,
        newest: Configuration,
        why: Why | None = None,
    ) -> None:
        """Say why a request is not done, and what is known of the slot."""
        address, me = request.address, self._around.me
        if why is None:
            why = Why.SLOT if address.store == me.store else Why.STORE
        answer = msg.Refused(
            address, request.rid, why, self._formation, me.store, newest, sealed=False
        )
        self._answer(sender, answer)

    def _has_nothing(self, sender: str, request: msg.Inquire, newest: Configuration) -> None:
        address = request.address
        if address.formation == self._formation:
            head = blank(self._formation, address.slot, FIRST_GENERATION)
            head = replace(head, newest=newest)
            self._answer(sender, inquired(request, self._around.me, head))

    def _answer(self, sender: str, answer: msg.Answer) -> None:
        if sender == self._around.me.node:
            self._around.pass_on(answer)
        else:
            self._around.say(sender, answer)

    # ---- installing -------------------------------------------------------------------------

    def chosen(self, sender: str, told: msg.Chosen) -> None:
        """Install a configuration that names this disk."""
        slot, me = told.address.slot, self._around.me
        if me not in told.configuration.members or told.address.formation != self._formation:
            return
        held = self.slots.get(slot) or self._hold(
            blank(self._formation, slot, FIRST_GENERATION), {}
        )
        copying = held.installation.copying
        if copying is None or (copying.leader, copying.told) != (sender, told):
            held.installation.on_chosen(sender, told)
            self._await(held)

    def snapshot(self, sender: str, answer: msg.Snapshot) -> None:
        """Take a page of a state."""
        held = self.slots.get(answer.address.slot)
        if held is not None:
            before = held.installation.copying
            held.installation.on_snapshot(sender, answer)
            if held.installation.copying is not before:
                self._await(held)

    def _await(self, held: Held) -> None:
        """Have an installation ask again if nothing of it arrives for a while."""
        around, alarm = self._around, (For.INSTALL, held.registers.head.slot)
        copying = held.installation.copying
        if copying is not None:
            # Large pages may take long, and asking for them again makes it longer.
            pause = min(INSTALL_AGAIN_S * 2.0 ** (copying.tries - 1), LONGEST_AGAIN_S)
            around.alarms.set(alarm, around.now + around.jittered(pause))

    def learned(self, listed: Listed) -> None:
        """Heed what is news of a slot: install it, or give it up."""
        slot, me, new = listed.slot, self._around.me, listed.configuration
        held = self.slots.get(slot)
        if held is not None:
            head = held.registers.head
            takes_part = head.recovery is not None and head.recovery.configuration == new
            if held.serves and new.generation > head.known.generation and not takes_part:
                self._outdated.append(slot)
            held.registers.learn(new)
            self.settle(listed)
            if listed.serves and me not in new.members:
                held.registers.forget(new)
        self.resume(listed)

    def settle(self, listed: Listed) -> None:
        """Keep that a configuration serves, if this disk has installed it; the first one does."""
        held, new = self.slots.get(listed.slot), listed.configuration
        if held is None or not listed.serves or new.epoch == FIRST_EPOCH:
            return
        if held.registers.head.configuration == new:
            held.registers.learn(new, serves=True)

    def resume(self, listed: Listed) -> None:
        """Install a slot's newest configuration soon, if this disk should have it."""
        slot, me, new = listed.slot, self._around.me, listed.configuration
        held = self.slots.get(slot)
        if me not in new.members or not self._lacks(held, new):
            return
        copying = None if held is None else held.installation.copying
        if copying is None or copying.told.configuration != new:
            self._around.sooner(For.INSTALL, slot, self._around.jittered(INSTALL_AFTER_S))

    def has_accepted(self, listed: Listed) -> bool:
        """Return True if this disk has accepted this recovery, so that anybody may say it is so."""
        held = self.slots.get(listed.slot)
        recovery = None if held is None else held.registers.head.recovery
        if recovery is None:
            return False
        return (recovery.configuration, recovery.left) == (listed.configuration, listed.before)

    def tell_outdated(self) -> None:
        """Tell people of the slots that were recovered without this disk."""
        outdated, self._outdated = sorted(self._outdated), []
        if outdated:
            which = ", ".join(map(str, outdated[:SHOWN]))
            more = f" and {len(outdated) - SHOWN} more" if len(outdated) > SHOWN else ""
            text = (
                f"slots were recovered without this disk: {which}{more}; what it has of them is"
                " outdated, and is dropped"
            )
            self._around.answers.append(Noted(text, alarming=True))

    def install(self, listed: Listed) -> None:
        """Fetch the state of a slot's newest configuration, if this disk lacks it."""
        slot, me, new = listed.slot, self._around.me, listed.configuration
        if me not in new.members or not self._lacks(self.slots.get(slot), new):
            return
        address = Address(self._formation, slot, new.generation, new.epoch, me.store)
        held = self.slots.get(slot)
        before = listed.before or self._own_before(held, new)
        copying = None if held is None else held.installation.copying
        if held is not None and copying is not None and copying.takes(before, new):
            held.installation.again()
            self._await(held)
            return
        self.chosen(me.node, msg.Chosen(address, self._around.rid(), before, new))

    def _own_before(self, held: Held | None, new: Configuration) -> Configuration:
        """Return the configuration before as this disk has it; ``new`` itself if it has another.

        That ``new`` serves may be said of members of which none is left that has its state, but
        those of the epoch before still have what theirs begins with.
        """
        own = new if held is None else held.registers.head.configuration
        comes_before = (own.generation, own.epoch + 1) == (new.generation, new.epoch)
        return own if comes_before else new

    def _lacks(self, held: Held | None, new: Configuration) -> bool:
        return held is None or new.follows(held.registers.head.configuration)


# ---- to look at -----------------------------------------------------------------------------


@attrs.frozen
class SlotView:
    """One slot."""

    slot: int
    configuration: Configuration
    """The newest that this node knows of."""
    serves: bool
    """Whether a majority of its members is known to have installed it."""
    installed: tuple[int, int] | None
    """Generation and epoch that this disk has installed; None if it holds nothing of the slot."""
    sealed: bool
    """Whether this disk waits for the next epoch."""
    keys: int
    """Keys with a value that this disk holds."""
    bytes: int
    """Bytes of these keys and values."""
    deleted: int = 0
    """Records of keys without a value on this disk, which are still to be collected."""


@attrs.frozen
class StoreView:
    """The store as one node sees it."""

    me: Member
    run: int
    """Counts the starts with this disk."""
    founding: Founding | None
    vacating: bool
    seats: int
    """Slots that need this disk."""
    changing: int
    """Slots whose members this node is changing."""
    slots: tuple[SlotView, ...]


def slot_view(listed: Listed, held: Held | None) -> SlotView:
    """Return the view of one slot."""
    known = listed.slot, listed.configuration, listed.serves
    if held is None or not held.serves:
        return SlotView(*known, None, sealed=False, keys=0, bytes=0)
    head, stock = held.registers.head, held.registers.stock
    installed = head.configuration.generation, head.configuration.epoch
    return SlotView(*known, installed, head.sealed, stock.keys, stock.bytes, len(stock.dead))
