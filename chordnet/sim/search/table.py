"""Small numbers for situations and messages, and the meaning of the pointers in them.

A state is a tuple of such numbers: for each place on the ring the number of its node's situation
(0: no node is there), then for each message in flight its number, times the number of places, plus
the sender's place.
"""

from __future__ import annotations

from typing import NamedTuple

from chordnet.sim.search.cell import LIVES, NOBODY, Cell, End, Message, Ref, Situation, Stimulus

State = tuple[int, ...]


class Envelope(NamedTuple):
    """A message in flight, without the sender's place."""

    incarnation: int
    message: Message


class Transition(NamedTuple):
    """The result of an event: the number of the next situation, and what was sent."""

    number: int
    sent: tuple[Message, ...]


class Table:
    """Situations and messages by number, and what the nodes did so far.

    :param cell: runs the nodes.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.places = cell.places
        self.situations: list[Situation | None] = [None]
        self.envelopes: list[Envelope] = []
        self.pointed: list[int] = [0]
        """For each situation the bits of all pointers, bit number = pointer."""
        self.mentioned: list[int] = [0]
        """The same, with what is known of the dead and of newer incarnations."""
        self.remembers = [False]
        """For each situation whether anything is known of the dead and of newer incarnations."""
        self.enclosed: list[int] = []
        """For each message in flight the bits of all pointers."""
        self._situation_number: dict[Situation, int] = {}
        self._envelope_number: dict[Envelope, int] = {}
        self._ran: dict[tuple[int, Stimulus], tuple[Transition, Transition]] = {}
        self._full = (1 << (self.places * LIVES)) - 1

    def number(self, situation: Situation) -> int:
        """Return the number under which ``situation`` is kept."""
        number = self._situation_number.get(situation)
        if number is None:
            number = self._situation_number[situation] = len(self.situations)
            self.situations.append(situation)
            bits = 1 << situation.incarnation
            for ref in situation.pointers():
                bits |= 1 << ref
            self.pointed.append(bits)
            memories = (*situation.dead, *situation.departed, *situation.heard)
            self.remembers.append(bool(memories))
            for ref in memories:
                bits |= 1 << ref
            self.mentioned.append(bits)
        return number

    def entry(self, place: int, incarnation: int, message: Message) -> int:
        """Return the entry of a state for a message in flight from ``place``."""
        envelope = Envelope(incarnation, message)
        number = self._envelope_number.get(envelope)
        if number is None:
            number = self._envelope_number[envelope] = len(self.envelopes)
            self.envelopes.append(envelope)
            bits = 1 << incarnation | 1 << message.to
            for ref in (message.predecessor, *message.successors):
                bits |= 1 << ref if ref != NOBODY else 0
            self.enclosed.append(bits)
        return number * self.places + place

    def in_flight(self, entry: int) -> tuple[int, Envelope]:
        """Return the sender's place and the message of an entry of a state."""
        number, place = divmod(entry, self.places)
        return place, self.envelopes[number]

    def turn(self, bits: int, places: int) -> int:
        """Return the bits of pointers as seen from ``places`` places before."""
        shift = places % self.places * LIVES
        return (bits << shift | bits >> (self.places * LIVES - shift)) & self._full

    # ---- reading a state --------------------------------------------------------------------

    def at(self, state: State, place: int) -> Situation | None:
        """Return the situation of the node at ``place``; None if there is none."""
        return self.situations[state[place]]

    def seen_from(self, place: int, ref: Ref, other: int) -> Ref:
        """Return the pointer ``ref`` of the node at ``place`` as the node at ``other`` sees it."""
        if ref == NOBODY:
            return ref
        return (ref + (place - other) * LIVES) % (self.places * LIVES)

    def target(self, place: int, ref: Ref) -> tuple[int, int]:
        """Return the place and the incarnation that ``ref`` of the node at ``place`` means."""
        delta, incarnation = divmod(ref, LIVES)
        return (place + delta) % self.places, incarnation

    def runs(self, nodes: list[int] | State, place: int, ref: Ref) -> bool:
        """Return True if the process that the node at ``place`` points to by ``ref`` still runs."""
        at, incarnation = self.target(place, ref)
        situation = self.situations[nodes[at]]
        return situation is not None and situation.incarnation == incarnation

    def is_member(self, nodes: list[int] | State, place: int, ref: Ref) -> bool:
        """Return True if ``ref`` of the node at ``place`` is a live member that does not leave."""
        at, incarnation = self.target(place, ref)
        situation = self.situations[nodes[at]]
        return (
            situation is not None and situation.incarnation == incarnation and not situation.leaving
        )

    def ran(self, number: int, stimulus: Stimulus) -> tuple[Transition, Transition]:
        """Return the results of an event at both ends of the identifier space."""
        key = (number, stimulus)
        results = self._ran.get(key)
        if results is None:
            situation = self.situations[number]
            assert situation is not None
            low, high = (
                Transition(self.number(reaction.situation), reaction.sent)
                for reaction in (self.cell.run(situation, stimulus, end) for end in End)
            )
            results = self._ran[key] = (low, high)
        return results
