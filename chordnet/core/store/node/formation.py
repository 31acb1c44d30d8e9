"""What a node does as a part of a formation.

It answers for the slots that its disk holds, coordinates operations, looks after the slots of its
arc of the ring, and passes on what is news of a slot. This file hands each message and each alarm
to the part that it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from msgspec.structs import replace

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballots
from chordnet.core.store.base.configurations import Head
from chordnet.core.store.base.effects import (
    Answered,
    Changed,
    Effect,
    Ended,
    Follows,
    Large,
    NodeEffect,
    Reserves,
    Say,
    Wait,
)
from chordnet.core.store.base.events import Ask
from chordnet.core.store.base.founding import FIRST_EPOCH, Founding, Slots
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.messages import Why
from chordnet.core.store.base.outcomes import Outcome
from chordnet.core.store.base.records import EMPTY
from chordnet.core.store.base.requests import Get, Inspect, Put, Recover
from chordnet.core.store.look.enquiries import Enquiries
from chordnet.core.store.node.asking import LOST_S, OWN_TIMEOUT_S, Asking
from chordnet.core.store.node.claims import Claims, News
from chordnet.core.store.node.directory import Directory, Listed, listed_as_chosen
from chordnet.core.store.node.holdings import Holdings, SlotView, slot_view
from chordnet.core.store.node.recoveries import Recoveries
from chordnet.core.store.node.repair import Repair
from chordnet.core.store.node.seats import Holder, Seats, Suggestions
from chordnet.core.store.node.surroundings import For, Surroundings
from chordnet.core.store.node.talk import (
    Digest,
    Leaving,
    Lists,
    Missing,
    Stock,
    Suggest,
    Sum,
    Talk,
    Where,
)
from chordnet.core.store.slot.collecting import AT_COLLECTION
from chordnet.core.store.slot.operations import AT_OPERATION
from chordnet.core.store.slot.reconfigure import AT_LEADER
from chordnet.core.store.slot.recovery import AT_RECOVERY
from chordnet.core.store.slot.reserving import AT_RESERVATION
from chordnet.core.store.upkeep.collecting import Collecting
from chordnet.core.store.upkeep.offers import Offer, Pledges, Ready
from chordnet.core.store.watch.asides import Asides
from chordnet.core.store.watch.host import Bell
from chordnet.core.store.watch.messages import Aside, AsideMessage, Peek, Peeked
from chordnet.core.store.watch.peeks import nothing

SPOKE_S = 75.0
"""A member that has spoken so lately, and was not lost since, is there: they compare their slots
once a minute."""

WITH_BALLOTS = frozenset({msg.Prepare, msg.Accept, msg.Reserve})
"""Requests whose ballots this node keeps up with."""
FOR_RECOVERY = frozenset({msg.Inquire, msg.Recover})
BELLS = {
    Bell.RENEW: For.RENEW,
    Bell.LOOK: For.LOOK,
    Bell.HINT: For.HINT,
    Bell.SWEEP: For.SWEEP,
    Bell.PEEK: For.PEEK,
}


def _snapshot(formation: Formation, sender: str, message: msg.Snapshot) -> None:
    formation.holdings.snapshot(sender, message)
    formation.holdings.settle(formation.directory.of(message.address.slot))


def _wait(formation: Formation, effect: Wait) -> None:
    if effect.rid in formation.seats.changes:
        formation.seats.wait(effect.rid)
    elif effect.rid in formation.asking.ongoing:
        formation.asking.wait(effect.rid)


def _changed(formation: Formation, effect: Changed) -> None:
    listed = formation.seats.over(effect.rid, effect.configuration, serves=effect.serves)
    if listed is not None:
        formation.learn(listed)


class Formation:
    """One node's part in a formation.

    :param kept: what its disk had at the start; None if it was of no or of another formation.
    :param holders: what is known of other nodes' stores, by name; this node's included.
    """

    def __init__(
        self,
        around: Surroundings,
        founding: Founding,
        kept: Kept | None,
        holders: dict[str, Holder],
    ) -> None:
        # The number of the disk's run would not do alone: it begins again with an empty disk, and
        # an older copy of a disk brings it twice.
        run = around.rng.getrandbits(41) << 20 | around.run % (1 << 20)
        ballots = Ballots(around.me.node, run)
        self.founding = founding
        self.id = founding.id
        self.around = around
        self.slots = Slots(founding.bits, founding.slots)
        self.directory = Directory(founding)
        self.holdings = Holdings(around, founding, kept)
        self.asking = Asking(around, founding, self.directory, ballots)
        self.seats = seats = Seats(around, founding, self.directory, ballots, holders, self.arc)
        self.claims = Claims(around, self.id, self.directory, self.learn, seats.has_other_disk)
        self.suggestions = Suggestions(around, founding, self.directory, holders, self.seats)
        self.pledges = Pledges(
            around, self.id, founding.slots, lambda: holders[around.me.node].takes_seats
        )
        self.recoveries = Recoveries(around, founding, self.directory, self.seats, self.learn)
        self.repair = Repair(around, self.id, self.holdings, self.asking.write_again)
        self.collecting = Collecting(
            around, self.id, self.holdings.serving, self.asking.look_up, around.collect_later
        )
        self.enquiries = Enquiries(
            around.me,
            self.id,
            around.effects,
            lambda op, report: around.answers.append(Answered(op, report)),
            lambda: around.now,
            around.heard_at,
        )
        self.asides = Asides(host := _Host(self), host.version, host.own)
        self.news = News(around, self.id, self.directory)
        self._start()

    def _start(self) -> None:
        self.repair.start()
        self.collecting.start()
        for held in self.holdings.slots.values():
            self._remember(held.registers.head)

    def _remember(self, head: Head) -> None:
        """Go on from what the disk says of a slot."""
        installed = head.configuration
        if head.newest is not None:
            self.directory.learn(listed_as_chosen(head.slot, head.newest, installed))
        elif head.settled or installed.epoch == FIRST_EPOCH:
            self.directory.learn(Listed(head.slot, installed))
        elif installed.members:
            # Perhaps nobody else has installed it, and those that it leaves out are still needed.
            self.directory.learn(listed_as_chosen(head.slot, installed, installed))
        self.seats.sealed(head, self.around.me)
        self.holdings.resume(self.directory.of(head.slot))

    def arc(self) -> Iterable[int]:
        """Return the slots in this node's care: their places lie in (predecessor, this node]."""
        place, slots = self.around.place, self.slots
        if not place.member:
            return ()
        if place.predecessor is None:
            return range(slots.count)
        low, high = map(slots.identifier, (place.predecessor, self.around.me.node))
        return [slot for slot in range(slots.count) if slots.lies(slot, low, high)]

    def moved(self) -> None:
        """Heed that the ring has changed near this node."""
        self.seats.settled_at = self.around.now
        self.around.sooner(For.SEATS, 0, 0.0)

    # ---- messages ---------------------------------------------------------------------------

    def take(self, sender: str, message: Any) -> None:
        """Take a message of another node."""
        # Most messages are about a key.
        kind = type(message)
        if kind in self.OF_SLOTS:
            self.take_of_slot(sender, message)
        elif isinstance(message, Aside):
            if message.formation == self.id:
                self.asides.take(sender, message)
        elif isinstance(message, Talk | Offer | Ready) and message.formation == self.id:
            on_talk: dict[type, Callable[[str, Any], None]] = {
                Lists: self._listed,
                Digest: self.news.on_digest,
                Where: self.news.on_where,
                Sum: self.repair.on_sum,
                Stock: self.repair.on_stock,
                Missing: self.repair.on_missing,
                Suggest: lambda _sender, suggested: self.suggestions.on_suggest(suggested),
                Offer: self.pledges.on_offer,
                Ready: self.seats.offers.on_ready,
                Leaving: lambda node, _message: self.enquiries.on_leaving(node),
            }
            on_talk[kind](sender, message)

    def take_of_slot(self, sender: str, message: msg.StoreMessage) -> None:
        """Take a message about a slot, from another node or from this one."""
        if message.address.slot < self.founding.slots:
            self.OF_SLOTS[type(message)](self, sender, message)

    def _asked(self, sender: str, message: Any) -> None:
        address, kind = message.address, type(message)
        slot = address.slot
        if kind in WITH_BALLOTS:
            self.asking.ballots.see(message.ballot)
        known = self.directory.of(slot)
        if address.generation > known.configuration.generation and address.formation == self.id:
            # The sender knows of a later generation, in which this node must not answer.
            self.around.say(sender, Where(self.id, (slot,)))
        if kind not in FOR_RECOVERY or self._may_recover(sender, message, known):
            self.holdings.take(sender, message, known)
        if kind is msg.Accept:
            self.asides.watchers.accepted(message.key)
        elif kind is msg.AcceptChange and slot in self.holdings.slots:
            head = self.holdings.slots[slot].registers.head
            self.seats.sealed(head, self.around.me)

    def _may_recover(self, sender: str, message: msg.Request, known: Listed) -> bool:
        """Return False if this would recover a slot that has a majority: no honest node would.

        Nor would one ask for a promise that keeps all further recoveries out.

        Who asks what is left of a slot has this node find out which other members are there.
        """
        around, me, present = self.around, self.around.me, known.configuration
        if isinstance(message, msg.Inquire):
            for member in present.members:
                if member != me:
                    around.say(member.node, Where(self.id, (known.slot,)))
            return self.claims.is_near(known.slot, message.generation)
        if not isinstance(message, msg.Recover) or not known.serves:
            return True
        there = [
            member
            for member in present.members
            if member == me
            or (
                around.hears(member.node, SPOKE_S)
                and not around.lost_for(member.node)
                and not self.seats.has_other_disk(member)
            )
        ]
        if len(there) < present.majority:
            return True
        self.holdings.refuse(sender, message, present, Why.STRANGER)
        return False

    def _answered(self, sender: str, answer: Any) -> None:
        operation = self.asking.get(answer.rid)
        if operation is not None:
            handle = AT_OPERATION.get(type(answer))
            if handle is not None:
                handle(operation, sender, answer)
                return
        change = self.seats.get(answer.rid)
        collection = self.collecting.get(answer.rid)
        reserving = self.asking.reservations.get(answer.rid)
        if change is not None and type(answer) in AT_LEADER:
            members = (*change.underway.old.members, *change.new.members)
            if any(member.node == sender for member in members):
                AT_LEADER[type(answer)](change, sender, answer)
        elif collection is not None and type(answer) in AT_COLLECTION:
            AT_COLLECTION[type(answer)](collection, sender, answer)
            self.collecting.went_on()
        elif reserving is not None and type(answer) in AT_RESERVATION:
            AT_RESERVATION[type(answer)](reserving, sender, answer)
            self.asking.reservations.went_on(answer.rid)
        else:
            recovering = self.recoveries.get(answer.rid)
            if recovering is not None and type(answer) in AT_RECOVERY:
                AT_RECOVERY[type(answer)](recovering, sender, answer)
                self.recoveries.advance(answer.rid)
            else:
                self.enquiries.on_answer(sender, answer)

    def _chosen(self, sender: str, told: msg.Chosen) -> None:
        """Install what is chosen, if it is known to be."""
        slot, new = told.address.slot, told.configuration
        if told.address.formation != self.id:
            return
        listed = Listed(slot, new, serves=False, before=told.previous)
        if self.claims.trusts(sender, slot) or self.holdings.has_accepted(listed):
            if self.claims.is_possible(listed):
                self.holdings.chosen(sender, told)
                self.learn(listed)
            return
        known = self.directory.of(slot)
        if known.configuration == new:
            # It is so, whoever says it. Not what came before: the state is fetched from there.
            before = new if known.before is None else known.before
            self.holdings.chosen(sender, replace(told, previous=before))
        else:
            self.claims.take(sender, listed)

    def _forget(self, sender: str, told: msg.Forget) -> None:
        """Delete what others hold now, if that is known to be so."""
        slot, new = told.address.slot, told.configuration
        if told.address.formation != self.id:
            return
        listed, held = Listed(slot, new), self.holdings.slots.get(slot)
        sure = self.claims.trusts(sender, slot) and self.claims.is_possible(listed)
        if held is not None and (sure or self.directory.of(slot) == listed):
            held.registers.on_forget(sender, told)
        self.claims.take(sender, listed)

    def perform(self, effect: Effect) -> None:
        """Do what a part of this node has asked for."""
        self.PERFORMERS[type(effect)](self, effect)

    # ---- what clients ask -------------------------------------------------------------------

    def ask(self, event: Ask) -> None:
        """Begin what a client asks for."""
        asked, around = event.asked, self.around
        if isinstance(asked, Get) and asked.stale:
            present = self.directory.of(self.slots.of(asked.key)).configuration
            self.asides.peeks.start(event.op, asked.key, event.timeout, present)
            return
        if isinstance(asked, Get | Put):
            self.asking.start(event.op, asked, event.timeout)
            return
        if isinstance(asked, Recover):
            self.recoveries.start(event.op, asked, event.timeout)
            return
        rid = around.rid()
        around.sooner(For.ENQUIRY, rid, event.timeout)
        if isinstance(asked, Inspect):
            slot = self.slots.of(asked.key)
            present = self.directory.of(slot).configuration
            self.enquiries.inspect(rid, event.op, asked.key, slot, present)
            return
        if asked.leaving:
            for node in sorted(self.fellows() - {around.me.node}):
                around.say(node, Leaving(self.id))
        seats = [(slot, self.directory.of(slot).configuration) for slot in sorted(self.needing())]
        self.enquiries.may_stop(rid, event.op, seats)

    def lost(self, node: str) -> None:
        """Heed that a node cannot be reached."""
        self.asking.lost(node)
        self.asides.peeks.lost(node)
        self.enquiries.lost(node)

    def close(self) -> None:
        """End all that clients have asked for: this node leaves the formation."""
        self.asides.close()
        self.asking.close()
        self.enquiries.close()
        self.recoveries.close()

    # ---- the directory ----------------------------------------------------------------------

    def learn(self, listed: Listed) -> None:
        """Heed what is news of a slot."""
        if not listed.is_sound(self.founding.slots) or not self.directory.learn(listed):
            return
        self.news.add(listed.slot)
        self.seats.learned(listed)
        self.holdings.learned(listed)
        self.asking.learned(listed)
        self.asides.watching.moved()
        self.recoveries.learned(listed)

    def _listed(self, sender: str, message: Lists) -> None:
        for listed in message.listed:
            if self.claims.is_possible(listed) and self.holdings.has_accepted(listed):
                self.learn(listed)
            self.claims.take(sender, listed)

    # ---- time -------------------------------------------------------------------------------

    def ring(self, what: For, number: int) -> None:
        """Heed an alarm."""
        on_alarm: dict[For, Callable[[int], None]] = {
            For.DEADLINE: self.asking.expire,
            For.REMINDER: self.asking.remind,
            For.RETRY: self.asking.retry,
            For.REFRESH: self.asking.give_up,
            For.LEAD: self.seats.again,
            For.SEATS: lambda _number: self.seats.look(),
            For.INSTALL: lambda slot: self.holdings.install(self.directory.of(slot)),
            For.FINISH: self._finish,
            For.RECOVER: self.recoveries.ring,
            For.REPAIR: lambda _number: self.repair.step(),
            For.COLLECT: lambda _number: self.collecting.step(),
            For.DOUBT: lambda _number: self.claims.look(),
            For.TELL: lambda _number: self._tell(),
            For.ENQUIRY: self.enquiries.expire,
        }
        for bell, alarm in BELLS.items():
            on_alarm[alarm] = partial(self.asides.ring, bell)
        on_alarm[what](number)

    def _finish(self, slot: int) -> None:
        self.seats.finish(self.holdings.slots[slot].registers.head, self.around.me)

    def _tell(self) -> None:
        self.holdings.tell_outdated()
        self.news.tell()

    # ---- to look at -------------------------------------------------------------------------

    @property
    def needed(self) -> int:
        """How many slots need this disk, or may soon if it is about to leave."""
        slots = self.needing()
        if self.seats.leaves(self.around.me):
            slots |= self.pledges.open(lambda slot: self.directory.of(slot).configuration)
        return len(slots)

    def needing(self) -> set[int]:
        """Return the slots that need this disk: as a member, or for what the next members fetch."""
        me = self.around.me
        named = {
            listed.slot for listed in self.directory.named() if me in listed.configuration.members
        }
        return named.union(held.registers.head.slot for held in self.holdings.served)

    def fellows(self) -> set[str]:
        """Return the nodes that hold slots together with this one."""
        me = self.around.me
        found = (each.configuration.members for each in self.directory.named())
        return {member.node for members in found if me in members for member in members}

    def view(self) -> tuple[SlotView, ...]:
        """Return what this node knows of every slot."""
        held = self.holdings.slots
        return tuple(slot_view(each, held.get(each.slot)) for each in self.directory.named())

    # ---- the tables, one for all nodes ------------------------------------------------------

    OF_SLOTS: ClassVar[dict[type, Callable[[Formation, str, Any], None]]] = {
        **dict.fromkeys(msg.Request.__args__, _asked),
        **dict.fromkeys(msg.Answer.__args__, _answered),
        msg.Snapshot: _snapshot,
        msg.Chosen: _chosen,
        msg.Forget: _forget,
    }
    """What is done with each message about a slot."""
    PERFORMERS: ClassVar[dict[type, Callable[[Formation, Any], None]]] = {
        Say: lambda self, effect: self.take_of_slot(effect.to, effect.message),
        Wait: _wait,
        Large: lambda self, effect: self.asking.large(effect.rid, effect.size),
        Ended: lambda self, effect: self.asking.ended(effect.rid, effect.outcome),
        Follows: lambda self, effect: self.asking.follow(effect.rid, effect.following),
        Reserves: lambda self, it: self.asking.reservations.hold(it.slot, it.reservation),
        Changed: _changed,
    }
    """What is done with each effect of a part of this node."""


class _Host:
    """The node, as what it does beside operations sees it."""

    def __init__(self, formation: Formation) -> None:
        self._of = formation
        self._around = formation.around
        self.formation = formation.id
        self.me = formation.around.me.node

    @property
    def now(self) -> float:
        return self._around.now

    @property
    def wall(self) -> float:
        return self._around.wall

    def rid(self) -> int:
        return self._around.rid()

    def jittered(self, delay: float) -> float:
        return self._around.jittered(delay)

    def say(self, to: str, message: AsideMessage) -> None:
        if to == self.me:
            self._of.take(to, message)
        else:
            self._around.say(to, message)

    def tell(self, effect: NodeEffect) -> None:
        self._around.answers.append(effect)

    def read(self, key: bytes, then: Callable[[Outcome], None]) -> None:
        self._of.asking.start(None, Get(key), OWN_TIMEOUT_S, then)

    def heard_at(self, node: str) -> float:
        return self._around.heard_at(node)

    def is_lost(self, node: str) -> bool:
        return self._around.is_lost(node, LOST_S)

    def members(self, key: bytes) -> Sequence[str]:
        listed = self._of.directory.of(self._of.slots.of(key))
        return [member.node for member in listed.configuration.members]

    def version(self, key: bytes) -> int | None:
        """Return the version that was accepted here; None if this disk does not hold the slot."""
        held = self._of.holdings.slots.get(self._of.slots.of(key))
        if held is None or not held.serves:
            return None
        record = held.registers.records.get(key)
        return 0 if record is None else record.content.version

    def own(self, peek: Peek) -> Peeked:
        """Return what this disk has of a key."""
        held, around = self._of.holdings.slots.get(self._of.slots.of(peek.key)), self._around
        if held is None or not held.serves:
            return nothing(peek)
        registers = held.registers
        record = registers.records.get(peek.key)
        present = registers.head.configuration
        heard = sorted(
            (
                around.now if member == around.me else around.heard.get(member.node, -1.0)
                for member in present.members
            ),
            reverse=True,
        )[present.majority - 1]
        age = -1.0 if heard < 0 else around.now - heard
        content = EMPTY if record is None else record.content
        return Peeked(self.formation, peek.rid, present.epoch, content, age)

    def sooner(self, bell: Bell, number: int, delay: float) -> None:
        self._around.sooner(BELLS[bell], number, delay)

    def later(self, bell: Bell, number: int, delay: float) -> None:
        self._around.alarms.set((BELLS[bell], number), self._around.now + delay)

    def cancel(self, bell: Bell, number: int) -> None:
        self._around.alarms.cancel((BELLS[bell], number))
