"""The slots that this node's disk holds, or has held: a head of each, and the records."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.configurations import Configuration, Head, blank
from chordnet.core.store.base.founding import FIRST_GENERATION, Founding, first_members
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.messages import Address, Why
from chordnet.core.store.base.records import Record
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.surroundings import For, Surroundings
from chordnet.core.store.slot.reconfigure import Installation
from chordnet.core.store.slot.registers import Registers

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

    # ---- requests of peers ------------------------------------------------------------------

    def take(self, sender: str, request: msg.Request, known: Listed) -> None:
        """Do what another node asks of a slot.

        :param known: what the directory has of it.
        """
        held = self.slots.get(request.address.slot)
        if held is None:
            self._refuse(sender, request, known.configuration)
        elif self._is_stranger(sender, held.registers.head, request, known):
            self._refuse(sender, request, held.registers.head.known, Why.STRANGER)
        elif isinstance(request, msg.Prepare):
            held.registers.on_prepare(sender, request)
        elif isinstance(request, msg.Accept):
            held.registers.on_accept(sender, request)
        elif isinstance(request, msg.Read):
            held.registers.on_read(sender, request)
        elif isinstance(request, msg.PrepareChange):
            held.registers.on_prepare_change(sender, request)
        elif isinstance(request, msg.AcceptChange):
            held.registers.on_accept_change(sender, request)
        elif isinstance(request, msg.Fetch):
            held.registers.on_fetch(sender, request)

    def _is_stranger(self, sender: str, head: Head, request: msg.Request, known: Listed) -> bool:
        """Return True if a node asks for what only the slot's members may ask for.

        Members of the epoch change it. A state is fetched by them, and by those that this member
        has voted for or knows to be chosen. What concerns keys is the right of every node, with
        ballots of its own; members give each other records under the ballots of others.
        """
        if isinstance(request, msg.Prepare | msg.Accept):
            names = {member.node for member in head.configuration.members}
            return sender != request.ballot.node and sender not in names
        address, installed = request.address, head.configuration
        lists = [installed.members]
        if isinstance(request, msg.Fetch):
            vote = () if head.vote is None else head.vote.members
            before = () if known.before is None else known.before.members
            lists += [head.known.members, vote, known.configuration.members, before]
        elif not isinstance(request, msg.PrepareChange | msg.AcceptChange):
            return False
        here = (address.generation, address.epoch) == (installed.generation, installed.epoch)
        names = {member.node for members in lists for member in members}
        return here and sender not in {*names, self._around.me.node}

    def _refuse(
        self,
        sender: str,
        request: msg.Request,
        newest: Configuration,
        why: Why | None = None,
    ) -> None:
        address, me = request.address, self._around.me
        if why is None:
            why = Why.SLOT if address.store == me.store else Why.STORE
        answer = msg.Refused(
            address, request.rid, why, self._formation, me.store, newest, sealed=False
        )
        if sender == me.node:
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
            held.registers.learn(new)
            if listed.serves and me not in new.members:
                held.registers.forget(new)
        if me not in new.members or not self._lacks(held, new):
            return
        copying = None if held is None else held.installation.copying
        if copying is None or copying.told.configuration != new:
            self._around.sooner(For.INSTALL, slot, self._around.jittered(INSTALL_AFTER_S))

    def install(self, listed: Listed) -> None:
        """Fetch the state of a slot's newest configuration, if this disk should have it."""
        slot, me, new = listed.slot, self._around.me, listed.configuration
        if me not in new.members or not self._lacks(self.slots.get(slot), new):
            return
        address = Address(self._formation, slot, new.generation, new.epoch, me.store)
        before = new if listed.before is None else listed.before
        held = self.slots.get(slot)
        copying = None if held is None else held.installation.copying
        if held is not None and copying is not None and copying.takes(before, new):
            held.installation.again()
            self._await(held)
            return
        self.chosen(me.node, msg.Chosen(address, self._around.rid(), before, new))

    def _lacks(self, held: Held | None, new: Configuration) -> bool:
        return held is None or new.follows(held.registers.head.configuration)
