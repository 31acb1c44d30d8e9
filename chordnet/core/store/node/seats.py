"""Who should hold a slot, and the changes that bring it about.

The *owner* of a slot's place, the first live node from there on, looks after the slot: it compares
the members with the nodes that should be, itself and its next successors, and leads a change where
they differ. Two nodes may both believe that they are the owner; changes are agreed on by the slot's
members, so that costs only time.

**Only members lead changes**, since any node can say that it is an owner. An owner that is no
member suggests the change to one of them (:class:`Suggestions`).

What the owner proposes, for R members:

- A member that has been out of reach for :data:`REPLACE_AFTER_S`, that came back with another disk,
  or that is about to leave, gives its seat to a live node. Without one a dead member keeps its
  seat: the number of members never falls by itself. One that leaves on purpose comes last, and is
  left out without a replacement if all the others are there.
- A slot with fewer than R members takes as many as are missing, in one step.
- A live member is replaced by a better placed node after a while in which all members can be
  reached and nothing changes; it doubles with every recent change of the slot.
- A disk that is to come is asked first (:mod:`chordnet.core.store.upkeep.offers`). If it does not
  answer, another one is.
- At most (R - 1) / 2 seats change at once, so the members that stay are a majority and hold the
  data. Only a slot that is still in its first configuration takes all its seats in one step, while
  all its members live: it is empty, or was written by a few nodes that have just begun.

A sealed member that hears of no result finishes the change itself, after a second times its rank.
A configuration that is chosen and does not serve is told again, by the owner.

Sources: the pause before a dead member is replaced, Chun et al., "Efficient replica maintenance for
distributed storage systems" (Carbonite, NSDI 2006).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from chordnet.core.store.base.ballots import Ballots
from chordnet.core.store.base.configurations import (
    Configuration,
    Head,
    Member,
    begins_generation,
    recoveries,
)
from chordnet.core.store.base.founding import FIRST_EPOCH, Founding, Slots
from chordnet.core.store.node.directory import Directory, Listed, listed_as_chosen
from chordnet.core.store.node.surroundings import For, Surroundings
from chordnet.core.store.node.talk import Suggest
from chordnet.core.store.slot.reconfigure import Change, Step, Underway, finish_after
from chordnet.core.store.upkeep.offers import Offers

LOOK_S = 0.5
"""Between two looks at the slots of this node's arc."""
HURRY_S = 0.02
"""The same while somebody gives up slots; what comes to its end meanwhile is looked at together."""
REPLACE_AFTER_S = 15.0
"""A member that has been out of reach for so long loses its seat."""
HEARD_S = 40.0
"""A node that was not heard from for so long gets no seat."""
MOVE_AFTER_S = 2.0
"""A live member at the wrong place keeps it so long after the last change, of slot or ring."""
RECENT_S = 120.0
"""A change of a slot counts as recent for so long."""
MOST_CHANGES = 16
"""Changes that one node leads at the same time."""
LEAD_AGAIN_S = 1.0
"""A change without a result is tried again."""
MOST_TRIES = 5
"""After so many tries a change is given up, for another one may be right by then."""
MOST_TRIES_COMING = 2
"""The same for a change with disks that are to come, until it is chosen: what they have said grows
old."""
SERVES_AFTER_S = 2.0
"""A configuration that is chosen should serve by then; otherwise its members are told again."""

SPOKE_S = 10.0
"""A member that has said something in this time does not lose its seat because others miss it."""
GREET_AGAIN_S = 2.0
"""A node that is to come, and that a member does not know, is greeted again after this time."""
MOST_GREETED = 64
"""Nodes that are greeted for this within that time."""


@attrs.frozen
class Holder:
    """What another node said about its store."""

    store: int
    seat: bool
    """Whether it can hold slots."""
    vacating: bool

    @property
    def takes_seats(self) -> bool:
        """Whether it can be given slots."""
        return self.seat and not self.vacating


@attrs.define
class _Slot:
    """What is remembered of a slot in this node's care."""

    changed: list[float] = attrs.field(factory=list)
    """When it changed lately."""
    chosen: float | None = None
    """Since when its configuration is chosen and does not serve."""
    suggested: float | None = None
    """When a change was suggested to a member that has not come about."""


class Seats:
    """The changes that one node leads.

    :param holders: what is known of other nodes' stores, this node's included, by name.
    :param arc: returns the slots in this node's care.
    """

    def __init__(
        self,
        around: Surroundings,
        founding: Founding,
        directory: Directory,
        ballots: Ballots,
        holders: dict[str, Holder],
        arc: Callable[[], Iterable[int]],
    ) -> None:
        self._around = around
        self._formation = founding.id
        self._replicas = founding.replicas
        self._directory = directory
        self._ballots = ballots
        self.holders = holders
        self.offers = Offers(around, founding.id)
        """Seats that were offered, for changes that wait for the answers."""
        self._arc = arc
        self._slots: dict[int, _Slot] = {}
        self.settled_at = around.now
        """When the ring changed last near this node."""
        self.changes: dict[int, tuple[int, Change]] = {}
        """By number: the slot, and its change."""
        self._tries: dict[int, int] = {}

    # ---- what the owner sees ----------------------------------------------------------------

    def look(self) -> None:
        """Compare the slots in this node's care with what they should be."""
        self._around.sooner(For.SEATS, 0, self._around.jittered(LOOK_S))
        arc = list(self._arc())
        self._slots = {slot: self._slots.get(slot, _Slot()) for slot in arc}
        self.offers.look(lambda slot: self._directory.of(slot).configuration)
        busy = {slot for slot, _change in self.changes.values()}
        waits = {slot for slot, state in self._slots.items() if self._awaits(state)}
        waits |= self.offers.slots
        for slot in arc:
            if len(self.changes) + len(waits) >= MOST_CHANGES:
                return
            if slot not in busy and slot not in waits and self._look_at(slot):
                waits.add(slot)

    def is_busy(self, slot: int) -> bool:
        """Return True if this node changes nothing more: this slot, or enough others."""
        changing = {other for other, _change in self.changes.values()} | self.offers.slots
        return slot in changing or len(changing) >= MOST_CHANGES

    def hurry(self) -> None:
        """Look soon: somebody waits until its slots are held by others."""
        self._around.sooner(For.SEATS, 0, HURRY_S)

    def members_of_arc(self) -> set[str]:
        """Return the nodes that hold the slots in this node's care."""
        return {
            member.node
            for slot in self._arc()
            for member in self._directory.of(slot).configuration.members
        }

    def _awaits(self, state: _Slot) -> bool:
        """Return True if a member that was asked to change the slot may still be about it."""
        at = state.suggested
        return at is not None and self._around.now < at + LEAD_AGAIN_S

    def learned(self, listed: Listed) -> None:
        """Heed news of a slot."""
        state = self._slots.get(listed.slot)
        if state is None:
            return
        waited, state.suggested = state.suggested is not None, None
        if listed.serves:
            state.changed = [*self._recent(state.changed), self._around.now]
            if waited and any(holder.vacating for holder in self.holders.values()):
                self.hurry()

    def _look_at(self, slot: int) -> bool:
        """Begin what a slot needs; return True if that waits for others."""
        listed, now = self._directory.of(slot), self._around.now
        state = self._slots[slot]
        if not listed.serves and listed.before is not None:
            state.chosen = now if state.chosen is None else state.chosen
            if now >= state.chosen + SERVES_AFTER_S:
                state.chosen = now
                return self.propose(listed, listed.configuration.members)
            return False
        state.chosen = None
        wanted = self.wanted(listed.configuration, state.changed)
        return wanted != listed.configuration.members and self.propose(listed, wanted)

    def propose(self, listed: Listed, members: tuple[Member, ...]) -> bool:
        """Have a slot changed, after those that are to come have said that they are ready.

        Return True if that waits for them, or for the member that it was suggested to.
        """
        slot, present = listed.slot, listed.configuration
        coming = [each for each in members if each not in present.members]
        offered = self.offers.make(slot, present, coming, lambda: self._carry_out(listed, members))
        return offered or (slot in self._slots and self._awaits(self._slots[slot]))

    def _carry_out(self, listed: Listed, members: tuple[Member, ...]) -> None:
        """Lead a change, or suggest it to a member, if the slot is still as it was."""
        around, slot, present = self._around, listed.slot, listed.configuration
        coming = [each for each in members if each not in present.members]
        if self._directory.of(slot) != listed or any(map(self.is_gone, coming)):
            return
        old = () if listed.before is None else listed.before.members
        voters = {member.node for member in (*present.members, *old)}
        if around.me.node in voters:
            self.lead(slot, change_of(listed, members))
            return
        able, state = sorted(n for n in voters if not around.lost_for(n)), self._slots.get(slot)
        if able and state is not None:
            at = present.generation, present.epoch
            state.suggested = around.now
            around.say(around.rng.choice(able), Suggest(self._formation, slot, *at, members))

    # ---- what should be ---------------------------------------------------------------------

    def wanted(self, present: Configuration, changed: Iterable[float] = ()) -> tuple[Member, ...]:
        """Return the members that the next configuration should have; the same if all is well.

        :param changed: when the slot changed lately.
        """
        around, replicas = self._around, self._replicas
        members = present.members
        proper, mute = self._proper(), self.offers.is_mute
        heard = [each for each in proper if each in members or not mute(each.node)]
        if len(heard) < len(proper) and all(each in members for each in heard):
            return members  # those that could come do not answer now
        proper = heard[:replicas]
        gone = [each for each in members if self.is_gone(each)]
        fresh = [each for each in proper if each not in members]
        lost = any(around.lost_for(each.node) for each in members)
        first = present.epoch == FIRST_EPOCH and not recoveries(present.generation)
        if first and fresh and not gone and not lost and len(members) <= len(proper):
            return tuple(sorted(proper)) if self._quiet(()) else members
        seats = max(1, (replicas - 1) // 2)
        if gone:
            # One that leaves can still vote, and may have to, for those that cannot.
            leaving = sorted(gone, key=self.leaves)[:seats]
            names = {each.node for each in members if each not in leaving}
            coming = [each for each in fresh if each.node not in names][: len(leaving)]
            over = [each for each in leaving[len(coming) :] if not self.leaves(each)]
            leaving = [each for each in leaving if each not in over]
        elif len(members) < replicas:
            leaving, coming = [], fresh[: replicas - len(members)]
        elif fresh and not lost and self._quiet(changed):
            # One that has just been lost may be starting again: it keeps its seat until it is gone.
            leaving = [each for each in members if each not in proper][:seats]
            coming = fresh[: len(leaving)]
        else:
            return members
        remaining = [each for each in members if each not in leaving]
        return tuple(sorted([*remaining, *coming])) or members

    def _proper(self) -> list[Member]:
        found = []
        for node in (self._around.me.node, *self._around.place.successors):
            holder = self.holders.get(node)
            if holder is None or not holder.takes_seats:
                continue
            if not self._around.lost_for(node) and self._around.hears(node, HEARD_S):
                found.append(Member(node, holder.store))
        return found

    def is_gone(self, member: Member) -> bool:
        """Return True if a member is to lose its seat."""
        holder = self.holders.get(member.node)
        if holder is not None and (holder.store != member.store or holder.vacating):
            return True
        return self._around.lost_for(member.node) >= REPLACE_AFTER_S

    def has_other_disk(self, member: Member) -> bool:
        """Return True if a member's node came back without its disk."""
        holder = self.holders.get(member.node)
        return holder is not None and holder.store != member.store

    def leaves(self, member: Member) -> bool:
        """Return True if a member gives up its seats, because it wants to leave."""
        holder = self.holders.get(member.node)
        return holder is not None and holder.vacating and holder.store == member.store

    def _quiet(self, changed: Iterable[float]) -> bool:
        recent = self._recent(changed)
        since = max([self.settled_at, *recent])
        return self._around.now >= since + MOVE_AFTER_S * 2.0 ** len(recent)

    def _recent(self, changed: Iterable[float]) -> list[float]:
        return [at for at in changed if self._around.now < at + RECENT_S]

    # ---- changes under way ------------------------------------------------------------------

    def lead(self, slot: int, underway: Underway) -> None:
        """Lead a change."""
        around = self._around
        rid = around.rid()
        change = Change(rid, (self._formation, slot), self._ballots, around.effects, underway)
        self.changes[rid] = (slot, change)
        around.sooner(For.LEAD, rid, around.jittered(LEAD_AGAIN_S))
        change.begin()

    def get(self, rid: int) -> Change | None:
        """Return the change with this number."""
        return self.changes[rid][1] if rid in self.changes else None

    def wait(self, rid: int) -> None:
        """Have a change that was disturbed go on later."""
        self._around.alarms.set(
            (For.LEAD, rid), self._around.now + self._around.jittered(LEAD_AGAIN_S / 4)
        )

    def again(self, rid: int) -> None:
        """Go on with a change that has no result yet, unless the slot has moved meanwhile."""
        if rid not in self.changes:
            return
        slot, change = self.changes[rid]
        newest = self._directory.of(slot).configuration
        reached = change.new if change.underway.step == Step.INSTALL else change.underway.old
        if newest.follows(reached):
            self._drop(rid)
            return
        self._tries[rid] = self._tries.get(rid, 0) + 1
        if self._tries[rid] > _most_tries(change.underway):
            # Nothing has to be undone; the next look at the slot decides what to do now.
            self._drop(rid)
            return
        change.again()
        self._around.sooner(For.LEAD, rid, self._around.jittered(LEAD_AGAIN_S))

    def over(self, rid: int, configuration: Configuration, *, serves: bool) -> Listed | None:
        """Take the end of a change; return what is known of the slot now.

        :param serves: a majority has installed it. Somebody else may have chosen the same members
            as this node wanted, and then that is not known.
        """
        if rid not in self.changes:
            return None
        slot, change = self.changes[rid]
        self._drop(rid)
        if any(holder.vacating for holder in self.holders.values()):
            self.hurry()
        old = change.underway.old
        if serves:
            return Listed(slot, configuration)
        listed = listed_as_chosen(slot, configuration, old)
        return listed if listed.is_sound(self._directory.slots) else None

    def _drop(self, rid: int) -> None:
        del self.changes[rid]
        self._tries.pop(rid, None)
        self._around.alarms.cancel((For.LEAD, rid))

    # ---- sealed members ---------------------------------------------------------------------

    def sealed(self, head: Head, me: Member) -> bool:
        """Finish the change that sealed this member later, if nobody else does.

        Return True if there is one.
        """
        after = finish_after(head, me, self._around.rng.random())
        if after is not None:
            self._around.sooner(For.FINISH, head.slot, after)
        return after is not None

    def finish(self, head: Head, me: Member) -> None:
        """Lead the change that sealed this member, with the same members where that is free."""
        busy = {slot for slot, _change in self.changes.values()}
        if self.sealed(head, me) and head.slot not in busy:
            self.lead(head.slot, Underway(head.configuration, head.configuration.members))


class Suggestions:
    """Changes that other nodes suggest, and what a member finds out before it leads one.

    Any node can say that it is the owner of a slot and that something is to change there, so a
    member leads it only if all that it knows itself fits:

    - It is a member in the epoch that is meant, and changes nothing else of the slot.
    - Each disk that is to come has said of itself that it holds slots of this formation, lately.
      One that is not known is greeted; the owner suggests it again soon.
    - No more seats change at once than may, and the number of members falls only by those that
      leave.
    - A member that has been heard lately gives way only to a node that is nearer to the slot's
      place, which follows from their names, or because it leaves or has another disk.

    So a node that lies can become a member where its name would make it one anyway, and can have
    members replaced by other live nodes that are nearer.

    :param holders: what is known of other nodes' stores, by name.
    :param seats: leads the changes.
    """

    def __init__(
        self,
        around: Surroundings,
        founding: Founding,
        directory: Directory,
        holders: dict[str, Holder],
        seats: Seats,
    ) -> None:
        self._around = around
        self._replicas = founding.replicas
        self._places = Slots(founding.bits, founding.slots)
        self._directory = directory
        self._holders = holders
        self._seats = seats
        self._greeted: dict[str, float] = {}

    def on_suggest(self, suggested: Suggest) -> None:
        """Lead a change that another node finds due, if there is nothing against it."""
        slot = suggested.slot
        if slot >= self._directory.slots or self._seats.is_busy(slot):
            return
        listed, me = self._directory.of(slot), self._around.me
        present, members = listed.configuration, suggested.members
        if (suggested.generation, suggested.epoch) != (present.generation, present.epoch):
            return
        if not listed.serves and listed.before is not None:
            if me in (*present.members, *listed.before.members):
                self._seats.lead(slot, change_of(listed, present.members))
        elif me in present.members and self._is_fit(slot, present, members):
            self._seats.propose(listed, tuple(sorted(members)))

    def _is_fit(self, slot: int, present: Configuration, members: tuple[Member, ...]) -> bool:
        """Return True if nothing that is known here is against these members."""
        coming = [each for each in members if each not in present.members]
        leaving = [each for each in present.members if each not in members]
        most = max(1, (self._replicas - 1) // 2)
        if not 0 < len(members) <= self._replicas or not (coming or leaving):
            return False
        if len(leaving) > most and present.epoch != FIRST_EPOCH:
            return False
        if len(leaving) - len(coming) > sum(map(self._seats.leaves, leaving)):
            return False
        known = [self._is_holder(each) for each in coming]
        return all(known) and all(self._may_go(slot, each, coming) for each in leaving)

    def _is_holder(self, member: Member) -> bool:
        """Return True if the node itself has said that it has this disk; ask it otherwise."""
        around, node = self._around, member.node
        holder = self._holders.get(node)
        if holder is not None and around.hears(node, HEARD_S) and not around.lost_for(node):
            return holder.store == member.store and holder.takes_seats
        self._greet(node)
        return False

    def _greet(self, node: str) -> None:
        """Ask a node what disk it has, before the same is suggested again."""
        now = self._around.now
        self._greeted = {n: at for n, at in self._greeted.items() if now < at + GREET_AGAIN_S}
        if node not in self._greeted and len(self._greeted) < MOST_GREETED:
            self._greeted[node] = now
            self._around.unknown[node] = None

    def _may_go(self, slot: int, member: Member, coming: list[Member]) -> bool:
        """Return True if a member may lose its seat to one of these."""
        around = self._around
        if self._seats.is_gone(member) or around.lost_for(member.node):
            return True
        if member != around.me and not around.hears(member.node, SPOKE_S):
            return True
        names = [member.node, *(each.node for each in coming)]
        if self._places.clockwise(slot, names)[0] != member.node:
            return True
        # It may be here with another disk, and have told others of it.
        self._greet(member.node)
        return False


def _most_tries(underway: Underway) -> int:
    """Return how often a change is tried before it is given up."""
    proposes = underway.step != Step.INSTALL
    comes = set(underway.wanted) - set(underway.old.members)
    return MOST_TRIES_COMING if proposes and comes else MOST_TRIES


def change_of(listed: Listed, members: tuple[Member, ...]) -> Underway:
    """Return the change of a slot to these members; of one that does not serve, to its own."""
    present = listed.configuration
    before = listed.before
    if before is not None:
        generation = present.generation if begins_generation(before, present) else 0
        return Underway(
            before, present.members, Step.INSTALL, members=present.members, generation=generation
        )
    return Underway(present, members, needed=members if len(members) < len(present.members) else ())
