"""Which states of a small ring are equivalent, and which one represents them.

States are equivalent when they differ only by a turn of the ring, by how often a node came back, or
by memories that can never matter again: that a node is dead to which no pointer is left.
"""

from __future__ import annotations

from chordnet.sim.search.cell import LIVES, NOBODY, Ref, Situation
from chordnet.sim.search.table import State, Table


class Merger:
    """Finds the state that represents its equivalents."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._places = table.places
        self._kept: dict[tuple[int, int], int] = {}
        self._renumbered: dict[tuple[int, int], int] = {}
        self._first_lives = sum(1 << (place * LIVES + 1) for place in range(table.places))

    def canonical(self, state: State) -> State:
        """Return the one state that represents all those equivalent to ``state``."""
        return self._turned(self.tidied(state))

    def forgotten(self, state: State) -> State:
        """Drop memories that can never matter again."""
        return self.tidied(state, renumber=False)

    def tidied(self, state: State, *, renumber: bool = True) -> State:
        """Drop memories that can never matter again, and number incarnations from 1."""
        places, nodes = self._places, list(state[: self._places])
        pointed = 0
        for entry in state[places:]:
            number, place = divmod(entry, places)
            pointed |= self._table.turn(self._table.enclosed[number], place)
        for place in range(places):
            pointed |= self._table.turn(self._table.pointed[nodes[place]], place)
        for place, number in enumerate(nodes):
            if self._table.remembers[number]:
                nodes[place] = self._keep(number, self._table.turn(pointed, -place))
        for place, number in enumerate(nodes):
            if self._table.remembers[number]:
                pointed |= self._table.turn(self._table.mentioned[number], place)
        if not renumber or not pointed & ~self._first_lives:
            return (*nodes, *state[places:])
        return self._renumber(nodes, state[places:], pointed)

    def _keep(self, number: int, pointed: int) -> int:
        """Forget dead nodes and newer lives that no pointer anywhere can bring up again."""
        key = (number, pointed)
        kept = self._kept.get(key)
        if kept is None:
            situation = self._table.situations[number]
            assert situation is not None

            def lives(ref: Ref) -> int:
                return pointed >> (ref - ref % LIVES) & ((1 << LIVES) - 1)

            kept = self._kept[key] = self._table.number(
                situation._replace(
                    dead=tuple(r for r in situation.dead if lives(r) & ((2 << r % LIVES) - 1)),
                    departed=tuple(r for r in situation.departed if pointed >> r & 1),
                    heard=tuple(r for r in situation.heard if lives(r) & ((1 << r % LIVES) - 1)),
                )
            )
        return kept

    def _renumber(self, nodes: list[int], flight: tuple[int, ...], used: int) -> State:
        renamed = [
            self._rename(number, self._table.turn(used, -place)) if number else 0
            for place, number in enumerate(nodes)
        ]
        entries = []
        for entry in flight:
            place, envelope = self._table.in_flight(entry)
            new = _renaming(self._table.turn(used, -place))
            message = envelope.message
            entries.append(
                self._table.entry(
                    place,
                    new[envelope.incarnation],
                    message._replace(
                        to=new[message.to],
                        predecessor=new.get(message.predecessor, NOBODY),
                        successors=tuple(new[r] for r in message.successors),
                    ),
                )
            )
        return (*renamed, *entries)

    def _rename(self, number: int, used: int) -> int:
        key = (number, used)
        renamed = self._renumbered.get(key)
        if renamed is None:
            old = self._table.situations[number]
            assert old is not None
            new = _renaming(used)
            renamed = self._renumbered[key] = self._table.number(
                Situation(
                    new[old.incarnation],
                    old.leaving,
                    new.get(old.predecessor, NOBODY),
                    tuple(new[r] for r in old.successors),
                    old.asking
                    and (old.asking[0], new[old.asking[1]], new.get(old.asking[2], NOBODY)),
                    tuple((new[who], status, rid) for who, status, rid in old.deferred),
                    tuple((ask, new[to], new.get(about, NOBODY)) for ask, to, about in old.pings),
                    tuple(new[r] for r in old.suspects),
                    tuple(new[r] for r in old.dead),
                    tuple(new[r] for r in old.departed),
                    tuple(new[r] for r in old.heard),
                )
            )
        return renamed

    def _turned(self, state: State) -> State:
        """Return the smallest of all turns of the ring."""
        places = self._places
        nodes, flight = state[:places], state[places:]
        smallest = min(nodes)
        turns = sorted(
            (nodes[first:] + nodes[:first], first)
            for first in range(places)
            if nodes[first] == smallest
        )
        best = turns[0][0]
        if not flight:
            return best
        return best + min(self._sorted(flight, first) for turned, first in turns if turned == best)

    def _sorted(self, flight: tuple[int, ...], first: int) -> tuple[int, ...]:
        """Return the messages in flight after a turn, those of one pair of nodes in order."""
        places, entries = self._places, []
        for entry in flight:
            number, place = divmod(entry, places)
            place = (place - first) % places
            to = (place + self._table.envelopes[number].message.to // LIVES) % places
            entries.append((place, to, number * places + place))
        entries.sort(key=lambda item: item[:2])
        return tuple(entry for _, _, entry in entries)


def _renaming(used: int) -> dict[Ref, Ref]:
    """Number the incarnations in use of each place from 1, in their order."""
    new, place = {}, 0
    while used >> (place * LIVES):
        lives = [life for life in range(LIVES) if used >> (place * LIVES + life) & 1]
        for rank, life in enumerate(lives, 1):
            new[place * LIVES + life] = place * LIVES + rank
        place += 1
    return new
