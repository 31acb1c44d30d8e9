"""The store of a network as seen from outside: what its nodes say of it, put together.

Of each slot the newest configuration counts that any node knows of. A member is a disk: a node that
answers with another one is not that member. A slot is *in step* when it has its full number of
members, all of them answer and have installed its newest epoch, and none is giving up its seat. It
has a *majority* while more than half of its members answer. It is *placed* if its members are the
first nodes from its place on round the ring; other members are as good, and give way in time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from chordnet.core.store.base.founding import FIRST_EPOCH, Slots
from chordnet.survey.findings import Ref, called
from chordnet.survey.verdict import Names
from chordnet.wire.stores import SlotMember, SlotState, StoreState


@attrs.frozen
class Slot:
    """One slot."""

    number: int
    generation: int
    epoch: int
    members: tuple[Ref, ...]
    missing: tuple[Ref, ...] = ()
    """Members that do not answer, whose store has stopped, or that came back with another disk."""
    behind: tuple[Ref, ...] = ()
    """Members that answer and have not installed the epoch."""
    vacating: tuple[Ref, ...] = ()
    lacking: int = 0
    """Members fewer than there could be."""
    keys: int = 0
    bytes: int = 0
    deleted: int = 0
    """Records of deleted keys that a member still has."""
    proper: tuple[Ref, ...] = ()
    """The nodes that should hold it; empty if that is not known."""

    @property
    def placed(self) -> bool:
        """Whether the nodes that should hold it do."""
        return not self.proper or set(self.proper) == set(self.members)

    @property
    def has_majority(self) -> bool:
        """Whether more than half of the members answer."""
        return 2 * len(self.missing) < len(self.members)

    @property
    def in_step(self) -> bool:
        """Whether nothing is left to do for it."""
        return not (self.missing or self.behind or self.vacating or self.lacking)

    @property
    def installed(self) -> bool:
        """Whether all members that answer have installed its newest epoch."""
        return not self.behind

    def words(self) -> str:
        """Return what is to be said of it in one line, if it is not in step."""
        if not self.has_majority:
            count, answering = len(self.members), len(self.members) - len(self.missing)
            are = "is" if len(self.missing) == 1 else "are"
            return (
                f"slot {self.number}: {answering} of {count} members "
                f"answer{'s' if answering == 1 else ''}; {names_of(self.missing)} {are} missing"
            )
        said = []
        if self.missing:
            said.append(f"{names_of(self.missing)} {_is(self.missing)} missing")
        if self.behind:
            has = "has" if len(self.behind) == 1 else "have"
            said.append(f"{names_of(self.behind)} {has} not reached epoch {self.epoch} yet")
        if self.vacating:
            said.append(f"{names_of(self.vacating)} {_is(self.vacating)} giving it up")
        if self.lacking:
            full = len(self.members) + self.lacking
            said.append(f"it has {len(self.members)} of {full} members")
        return f"slot {self.number}: {', '.join(said)}"


def names_of(refs: Iterable[Ref]) -> str:
    """Return ``Node 4``, ``Node 4 and Node 9`` or ``Node 4, Node 9 and Node 12``."""
    *before, last = [called(ref) for ref in refs] or ["nobody"]
    return f"{', '.join(before)} and {last}" if before else last


def _is(refs: Sequence[Ref]) -> str:
    return "is" if len(refs) == 1 else "are"


@attrs.frozen
class Store:
    """What was seen of a network's store."""

    states: Mapping[Ref, StoreState]
    """What the nodes that answer say."""
    silent: Mapping[Ref, str] = attrs.field(factory=dict)
    """Nodes that did not answer this, and why."""
    slots: tuple[Slot, ...] = ()
    formation: str = ""
    """The one that most nodes belong to; empty if none does."""
    founders: tuple[Ref, ...] = ()
    """Those of the formation, or those that are to begin one."""
    slot_count: int = 0
    """How many slots there are, as most nodes say; 0 without a formation."""
    replicas: int = 0
    circle: Circle | None = None
    """Where the nodes stand, if that is known."""

    @property
    def formations(self) -> dict[str, list[Ref]]:
        """Formations, and the nodes that belong to each."""
        found: dict[str, list[Ref]] = {}
        for ref, state in self.states.items():
            if state.formation:
                found.setdefault(state.formation, []).append(ref)
        return found

    @property
    def without(self) -> dict[Ref, str]:
        """Nodes that belong to no formation, and why."""
        return {ref: each.reason for ref, each in self.states.items() if not each.formation}

    @property
    def stopped(self) -> dict[Ref, str]:
        """Nodes whose store has stopped, and why."""
        return {ref: each.failed for ref, each in self.states.items() if each.failed}

    @property
    def keys(self) -> int:
        """Keys with a value."""
        return sum(slot.keys for slot in self.slots)

    @property
    def bytes(self) -> int:
        """Of these keys and their values; each is kept by as many nodes as hold its slot."""
        return sum(slot.bytes for slot in self.slots)

    @property
    def deleted(self) -> int:
        """Records of deleted keys, until they are collected."""
        return sum(slot.deleted for slot in self.slots)

    @property
    def lost(self) -> list[Slot]:
        """Slots without a majority."""
        return [slot for slot in self.slots if not slot.has_majority]

    @property
    def moving(self) -> list[Slot]:
        """Slots that have a majority and are not in step."""
        return [slot for slot in self.slots if slot.has_majority and not slot.in_step]

    @property
    def misplaced(self) -> list[Slot]:
        """Slots in step that other nodes hold than should; they move when the ring is quiet."""
        return [slot for slot in self.slots if slot.in_step and not slot.placed]

    @property
    def in_step(self) -> bool:
        """Whether there is one store, every node takes part and every slot is in step."""
        whole = len(self.formations) == 1 and not self.without and not self.stopped
        return whole and not self.silent and all(slot.in_step for slot in self.slots)

    @property
    def can_begin(self) -> bool:
        """Whether there is no formation yet and all its founders answer, so that one begins."""
        if self.formation or not self.founders:
            return False
        return all(ref in self.states and self.states[ref].founders for ref in self.founders)

    def unfinished(self) -> list[str]:
        """Return what will be done soon and is not, each in words; nothing else is worth a wait."""
        if not self.formation:
            return ["the store has not begun"] if self.can_begin else []
        late = [ref for ref, each in self.states.items() if not each.formation and each.store]
        found = [f"{called(ref)} does not belong to the store yet" for ref in late]
        slots = [slot for slot in self.slots if slot.has_majority and not slot.installed]
        return [*found, *(slot.words() for slot in slots)]

    def moving_on(self) -> list[str]:
        """Return what goes on by itself until the store is in step, each in words.

        Dead members are replaced, and a store that has just begun spreads over the nodes.
        """
        began = [slot for slot in self.misplaced if slot.epoch == FIRST_EPOCH]
        late = [slot.words() for slot in self.moving if slot.installed]
        spreads = [
            f"slot {slot.number}: it goes from {names_of(slot.members)} to {names_of(slot.proper)}"
            for slot in began
        ]
        return [*self.unfinished(), *late, *spreads]


@attrs.frozen
class Circle:
    """Where nodes stand on the ring."""

    bits: int
    identifiers: Mapping[Ref, int]

    def first(self, place: int, refs: Iterable[Ref], count: int) -> tuple[Ref, ...]:
        """Return the first ``count`` of these nodes from an identifier on."""
        size = 1 << self.bits
        known = [ref for ref in refs if ref in self.identifiers]
        found = sorted(known, key=lambda ref: (self.identifiers[ref] - place) % size)
        return tuple(found[:count])

    def share(self, ref: Ref, refs: Iterable[Ref]) -> float:
        """Return the part of the ring between the node before one and that one, among these."""
        if ref not in self.identifiers:
            return 0.0
        size, own = 1 << self.bits, self.identifiers[ref]
        others = [self.identifiers[each] for each in refs if each in self.identifiers]
        gaps = [(own - other) % size for other in others if other != own]
        return min(gaps, default=size) / size


def together(
    names: Names,
    states: Mapping[Ref, StoreState],
    silent: Mapping[Ref, str] | None = None,
    circle: Circle | None = None,
) -> Store:
    """Put together what nodes say of the store.

    :param silent: nodes that did not answer, and why.
    :param circle: where the nodes stand, if it is to be said if slots are where they should be.
    """
    counted = Counter(state.formation for state in states.values() if state.formation)
    formation = max(counted, key=lambda each: (counted[each], each), default="")
    ours = {ref: state for ref, state in states.items() if state.formation == formation}
    founders = next((state.founders for state in ours.values() if state.founders), [])
    store = Store(states, silent or {}, (), formation, tuple(names.all_named(founders)))
    if not formation:
        return store
    # A node that lies is outvoted.
    ((slot_count, replicas), _), *_ = Counter(
        (each.slot_count, each.replicas) for each in ours.values()
    ).most_common()
    free = [r for r, each in ours.items() if each.seat and not each.vacating and not each.failed]
    newest: dict[int, SlotState] = {}
    said: dict[int, dict[Ref, SlotState]] = {}
    for ref, state in ours.items():
        for slot in state.slots:
            said.setdefault(slot.slot, {})[ref] = slot
            known = newest.get(slot.slot)
            if known is None or _age(slot) > _age(known):
                newest[slot.slot] = slot
    slots = [
        _slot(newest[number], said[number], ours, names, min(replicas, len(free)))
        for number in sorted(newest)
    ]
    if circle is not None and 0 < slot_count <= 1 << circle.bits:
        arcs = Slots(circle.bits, slot_count)
        slots = [
            attrs.evolve(slot, proper=circle.first(arcs.place(slot.number), free, replicas))
            if slot.number < slot_count
            else slot
            for slot in slots
        ]
    return attrs.evolve(
        store, slots=tuple(slots), slot_count=slot_count, replicas=replicas, circle=circle
    )


def _age(slot: SlotState) -> tuple[int, int, bool]:
    return slot.generation, slot.epoch, slot.serves


def _slot(
    newest: SlotState,
    said: Mapping[Ref, SlotState],
    states: Mapping[Ref, StoreState],
    names: Names,
    wanted: int,
) -> Slot:
    refs = {names.named(member.node): member for member in newest.members}
    live = [ref for ref, member in refs.items() if _lives(states.get(ref), member)]
    # A node that lies may say nothing of a slot that it is a member of.
    reached = [ref for ref in live if ref in said and _reached(said[ref], newest)]
    return Slot(
        newest.slot,
        newest.generation,
        newest.epoch,
        tuple(refs),
        missing=tuple(ref for ref in refs if ref not in live),
        behind=tuple(ref for ref in live if ref not in reached),
        vacating=tuple(ref for ref in live if states[ref].vacating),
        lacking=max(0, wanted - len(refs)),
        keys=max((said[ref].keys for ref in reached), default=0),
        bytes=max((said[ref].bytes for ref in reached), default=0),
        deleted=max((said[ref].deleted for ref in reached), default=0),
    )


def _lives(state: StoreState | None, member: SlotMember) -> bool:
    return state is not None and state.store == member.store and not state.failed


def _reached(own: SlotState, newest: SlotState) -> bool:
    return (own.generation, own.installed) == (newest.generation, newest.epoch) and not own.sealed
