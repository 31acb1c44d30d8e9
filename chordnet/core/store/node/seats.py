"""Who should hold a slot, and the changes that bring it about.

The *owner* of a slot's place, the first live node from there on, looks after the slot: it compares
the members with the nodes that should be, itself and its next successors, and leads a change where
they differ. Two nodes may both believe that they are the owner; changes are agreed on by the slot's
members, so that costs only time.

What the owner proposes, for R members:

- A member that has been out of reach for :data:`REPLACE_AFTER_S`, that came back with another disk,
  or that is about to leave, gives its seat to a live node. Without one a dead member keeps its
  seat: the number of members never falls by itself. One that leaves on purpose comes last, and is
  left out without a replacement if all the others are there.
- A slot with fewer than R members takes as many as are missing, in one step.
- A live member is replaced by a better placed node after a while without changes, which doubles
  with every recent change of the slot.
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
from chordnet.core.store.base.founding import FIRST_EPOCH, Founding
from chordnet.core.store.node.directory import Directory, Listed
from chordnet.core.store.node.surroundings import For, Surroundings
from chordnet.core.store.slot.reconfigure import Change, Step, Underway, finish_after

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
SERVES_AFTER_S = 2.0
"""A configuration that is chosen should serve by then; otherwise its members are told again."""


@attrs.frozen
class Holder:
    """What another node said about its store."""

    store: int
    seat: bool
    """Whether it can hold slots."""
    vacating: bool


@attrs.define
class _Slot:
    """What is remembered of a slot in this node's care."""

    changed: list[float] = attrs.field(factory=list)
    """When it changed lately."""
    chosen: float | None = None
    """Since when its configuration is chosen and does not serve."""


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
        busy = {slot for slot, _change in self.changes.values()}
        for slot in arc:
            if len(self.changes) >= MOST_CHANGES:
                return
            if slot not in busy:
                self._look_at(slot)

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

    def _look_at(self, slot: int) -> None:
        listed, now = self._directory.of(slot), self._around.now
        state = self._slots[slot]
        if not listed.serves and listed.before is not None:
            state.chosen = now if state.chosen is None else state.chosen
            if now >= state.chosen + SERVES_AFTER_S:
                state.chosen = now
                self.tell(listed)
            return
        state.chosen = None
        wanted = self.wanted(listed.configuration, state.changed)
        if wanted != listed.configuration.members:
            needed = wanted if len(wanted) < len(listed.configuration.members) else ()
            self._lead(slot, Underway(listed.configuration, wanted, needed=needed))

    def wanted(self, present: Configuration, changed: Iterable[float] = ()) -> tuple[Member, ...]:
        """Return the members that the next configuration should have; the same if all is well.

        :param changed: when the slot changed lately.
        """
        around, replicas = self._around, self._replicas
        proper = self._proper()[:replicas]
        members = present.members
        gone = [each for each in members if self._is_gone(each)]
        fresh = [each for each in proper if each not in members]
        well = not gone and not any(around.lost_for(each.node) for each in members)
        first = present.epoch == FIRST_EPOCH and not recoveries(present.generation)
        if first and fresh and well and len(members) <= len(proper):
            return tuple(sorted(proper)) if self._quiet(()) else members
        seats = max(1, (replicas - 1) // 2)
        if gone:
            # One that leaves can still vote, and may have to, for those that cannot.
            leaving = sorted(gone, key=self._leaves)[:seats]
            names = {each.node for each in members if each not in leaving}
            coming = [each for each in fresh if each.node not in names][: len(leaving)]
            over = [each for each in leaving[len(coming) :] if not self._leaves(each)]
            leaving = [each for each in leaving if each not in over]
        elif len(members) < replicas:
            leaving, coming = [], fresh[: replicas - len(members)]
        elif fresh and self._quiet(changed):
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
            if holder is None or not holder.seat or holder.vacating:
                continue
            if not self._around.lost_for(node) and self._around.hears(node, HEARD_S):
                found.append(Member(node, holder.store))
        return found

    def _is_gone(self, member: Member) -> bool:
        holder = self.holders.get(member.node)
        if holder is not None and (holder.store != member.store or holder.vacating):
            return True
        return self._around.lost_for(member.node) >= REPLACE_AFTER_S

    def _leaves(self, member: Member) -> bool:
        holder = self.holders.get(member.node)
        return holder is not None and holder.vacating and holder.store == member.store

    def _quiet(self, changed: Iterable[float]) -> bool:
        recent = self._recent(changed)
        since = max([self.settled_at, *recent])
        return self._around.now >= since + MOVE_AFTER_S * 2.0 ** len(recent)

    def _recent(self, changed: Iterable[float]) -> list[float]:
        return [at for at in changed if self._around.now < at + RECENT_S]

    # ---- changes under way ------------------------------------------------------------------

    def tell(self, listed: Listed) -> None:
        """Tell the members of a configuration that is chosen and may not serve yet."""
        new, before = listed.configuration, listed.before
        if before is not None:
            generation = new.generation if begins_generation(before, new) else 0
            underway = Underway(
                before, new.members, Step.INSTALL, members=new.members, generation=generation
            )
            self._lead(listed.slot, underway)

    def _lead(self, slot: int, underway: Underway) -> None:
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
        if self._tries[rid] > MOST_TRIES:
            # Nothing has to be undone; the next look at the slot decides what to do now.
            self._drop(rid)
            return
        change.again()
        self._around.sooner(For.LEAD, rid, self._around.jittered(LEAD_AGAIN_S))

    def over(self, rid: int, configuration: Configuration) -> Listed | None:
        """Take the end of a change; return what is known of the slot now."""
        if rid not in self.changes:
            return None
        slot, change = self.changes[rid]
        self._drop(rid)
        if any(holder.vacating for holder in self.holders.values()):
            self.hurry()
        old = change.underway.old
        if slot in self._slots:
            state = self._slots[slot]
            state.changed = [*self._recent(state.changed), self._around.now]
        if configuration == change.new:
            return Listed(slot, configuration)
        listed = Listed(slot, configuration, serves=False, before=old)
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
            self._lead(head.slot, Underway(head.configuration, head.configuration.members))
