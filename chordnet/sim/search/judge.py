"""What must be true of every state of a small ring, with any messages under way.

Source: P. Zave, "Reasoning about identifier spaces: How to make Chord correct", IEEE TSE 43(12),
2017. Her inductive invariant is *live entry* and *principals*; it implies the others, which are
still judged on their own.

Members are the nodes that are active and do not leave. A member's *extended list* is itself and its
successor list. A *principal* is a member that no two adjacent entries of any other member's
extended list skip. The *best successor* is the first live entry.

Zave's nodes are identifiers. Ours have incarnations, and a pointer to an earlier life of a node
that came back is dropped when that life is found dead, which skips the node's present life. So the
node counts as skipped from the moment it is back until such pointers are gone.

Her operations are atomic. Ours take effect when the asked node answers: until the answer arrives
the asker tells no node its old list, so an answer on its way counts as the asker's list.
"""

from __future__ import annotations

import enum
from itertools import pairwise

from chordnet.core.base import messages as msg
from chordnet.sim.search.cell import LIVES, NOBODY, Ref
from chordnet.sim.search.table import State
from chordnet.sim.search.world import World


class Property(enum.Enum):
    """A property of a state; the value says what is wrong without it."""

    LIVE_ENTRY = "a member has no live entry in its successor list"
    PRINCIPALS = "fewer members than the base has are skipped by no list"
    LOST_PRINCIPAL = "a step other than a death made a list skip a member"
    ONE_RING = "the best successors form no ring, or more than one"
    ORDERED_RING = "the ring is not in the order of identifiers"
    ORDERED_LIST = "a successor list is out of order, or names a node twice or its own holder"
    CONVERGENCE = "left alone, the ring does not become right again"


class Judge:
    """Judges states.

    :param length: r, the length of successor lists; the base has r + 1 members.
    :param founded: True if there is a base from the start, so that there must always be one.
    """

    def __init__(self, world: World, length: int, *, founded: bool) -> None:
        self._world = world
        self._length = length
        self._founded = founded
        self.base = length + 1
        self._skipped: dict[int, int] = {}

    def members(self, state: State) -> list[int]:
        """Return the places of the members."""
        situations = self._world.situations
        return [
            place
            for place in range(self._world.places)
            if (situation := situations[state[place]]) is not None and not situation.leaving
        ]

    def principals(self, state: State) -> int:
        """Return the places of the principals, as bits."""
        world, places, found, skipped = self._world, self._world.places, 0, 0
        for place in self.members(state):
            found |= 1 << place
            over = self._skips(state[place])
            skipped |= over << place | over >> (places - place)
            situation = world.situations[state[place]]
            assert situation is not None
            for ref in situation.successors:
                at, incarnation = world.target(place, ref)
                now = world.situations[state[at]]
                if now is not None and now.incarnation != incarnation:
                    skipped |= 1 << at
        for entry in state[places:]:
            skipped |= self._skipped_by_answer(entry)
        return found & ~skipped

    def _skipped_by_answer(self, entry: int) -> int:
        """Return, as bits, the places that the asker will skip once it has this answer."""
        world = self._world
        place, envelope = world.in_flight(entry)
        message = envelope.message
        if message.kind is not msg.State:
            return 0
        asker = world.target(place, message.to)[0]
        return self._passed_over(
            asker, [place, *(world.target(place, ref)[0] for ref in message.successors)]
        )

    def _passed_over(self, last: int, places: list[int]) -> int:
        """Return, as bits, what lies strictly between neighbours of ``last`` and ``places``."""
        bits, holder = 0, last
        for here in places:
            place = (last + 1) % self._world.places
            while place != here:
                bits |= 1 << place
                place = (place + 1) % self._world.places
            last = here
        # A list out of order passes its own holder, which is no skip of another member.
        return bits & ~(1 << holder)

    def _skips(self, number: int) -> int:
        """Return what the extended list of this situation skips: bit d for the place d ahead."""
        bits = self._skipped.get(number)
        if bits is None:
            situation = self._world.situations[number]
            assert situation is not None
            # The only member of a ring is its own successor: all others lie between.
            listed = [ref // LIVES for ref in situation.successors or (0,)]
            bits = self._skipped[number] = self._passed_over(0, listed)
        return bits

    def live_entries(self, state: State, place: int) -> list[int]:
        """Return the places of the live members in the list of the node at ``place``."""
        world = self._world
        situation = world.at(state, place)
        assert situation is not None
        return [
            world.target(place, ref)[0]
            for ref in situation.successors
            if world.is_member(state, place, ref)
        ]

    def may_die(self, state: State, place: int, *, keep_base: bool) -> bool:
        """Return True if Zave's assumptions let the member at ``place`` die.

        No node is left without a live entry. With ``keep_base``, a principal may not die while
        there are no more of them than the base has.
        """
        for other in self.members(state):
            if other != place and not set(self.live_entries(state, other)) - {place}:
                return False
        if not keep_base:
            return True
        principals = self.principals(state)
        return not principals >> place & 1 or principals.bit_count() > self.base

    # ---- the properties ---------------------------------------------------------------------

    def faults(self, state: State) -> list[Property]:
        """Return what the state lacks, the inductive invariant's own conditions first."""
        members = self.members(state)
        alone = len(members) == 1
        best: dict[int, int] = {}
        for place in members:
            live = self.live_entries(state, place)
            if live or alone:
                best[place] = live[0] if live else place
        found = []
        # A member whose list is empty is the whole of its ring, as the first one is.
        lonely = [place for place in members if place not in best]
        if len(lonely) > 1 or any(self._has_list(state, place) for place in lonely):
            found.append(Property.LIVE_ENTRY)
        best |= {place: place for place in lonely}
        if self._founded and self.principals(state).bit_count() < self.base:
            found.append(Property.PRINCIPALS)
        found += self._ring_faults(members, best)
        if any(self._disordered(state, place) for place in members):
            found.append(Property.ORDERED_LIST)
        return found

    def _has_list(self, state: State, place: int) -> bool:
        situation = self._world.at(state, place)
        return situation is not None and bool(situation.successors)

    def _ring_faults(self, members: list[int], best: dict[int, int]) -> list[Property]:
        if not members:
            return []
        ring = _cycle(members[0], best)
        found = []
        rings = {frozenset(_cycle(place, best)) for place in members}
        if len(rings) > 1:
            found.append(Property.ONE_RING)
        first = ring.index(min(ring))
        if ring[first:] + ring[:first] != sorted(ring):
            found.append(Property.ORDERED_RING)
        return found

    def _disordered(self, state: State, place: int) -> bool:
        situation = self._world.at(state, place)
        assert situation is not None
        steps = [ref // LIVES for ref in situation.successors]
        return 0 in steps or any(a >= b for a, b in pairwise(steps))

    def is_right(self, state: State) -> bool:
        """Return True if every pointer is the only right one and nothing is in flight."""
        world, members = self._world, self.members(state)
        length = min(self._length, len(members) - 1)
        if len(state) > world.places:
            return False
        for index, place in enumerate(members):
            situation = world.at(state, place)
            assert situation is not None
            right = [members[(index + 1 + k) % len(members)] for k in range(length)]
            if len(situation.successors) != length or not self._points(
                state,
                place,
                [*situation.successors, situation.predecessor],
                [*right, members[index - 1]],
            ):
                return False
        return all(not number or place in members for place, number in enumerate(state))

    def _points(self, state: State, place: int, refs: list[Ref], right: list[int]) -> bool:
        world = self._world
        return all(
            ref != NOBODY
            and world.is_member(state, place, ref)
            and world.target(place, ref)[0] == wanted
            for ref, wanted in zip(refs, right, strict=True)
        )


def _cycle(place: int, best: dict[int, int]) -> list[int]:
    """Return the cycle that best successors lead to from ``place``."""
    seen: list[int] = []
    while place not in seen:
        seen.append(place)
        place = best[place]
    return seen[seen.index(place) :]
