"""A tiny ring as one value: every node's situation, the messages in flight, what may happen next.

How much is done in one step is set by :class:`Grain`:

- *operation*: a question and its answer, the notification and the check that it causes. A node
  whose own question is pending is asked only after it: waiting is left to *message*;
- *notification*: notifications travel, so that everything may happen before one is delivered; the
  grain of Zave's model;
- *message*: questions and answers travel too, and wait. Messages between two nodes stay in order.

In each of them, asking a successor's predecessor is a step of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from chordnet.sim.search.cell import NOBODY, Cell, End, Situation
from chordnet.sim.search.step import Action, Execution, Grain
from chordnet.sim.search.table import State, Table


class World(Table):
    """All states of one small ring.

    :param cell: runs the nodes.
    :param lives: an identifier comes back only while fewer of its incarnations than this are named
        anywhere. With 1, only once it is forgotten.
    """

    def __init__(self, cell: Cell, grain: Grain, lives: int) -> None:
        super().__init__(cell)
        self.grain = grain
        self.lives = lives

    # ---- what may happen next ---------------------------------------------------------------

    def maintenance(self, state: State) -> Iterator[Action]:
        """Yield the actions that the nodes may take next by themselves."""
        for place in range(self.places):
            situation = self.situations[state[place]]
            if situation is None:
                continue
            if situation.deferred:
                yield Action("defer", place)
            if situation.leaving:
                yield Action("left", place)
                continue
            if situation.asking is None and not self._would_wait(state, place, situation):
                yield Action("stabilise", place)
            named = {situation.predecessor, *situation.successors}
            if situation.asking is not None:
                named.add(situation.asking[1])
            for ref in named - {NOBODY}:
                if not self.runs(state, place, ref):
                    yield Action("detect", place, ref)
        yield from self._deliveries(state)

    def _deliveries(self, state: State) -> Iterator[Action]:
        """Yield the arrival of the first message in flight of each pair of nodes."""
        channels = set()
        for entry in state[self.places :]:
            place, envelope = self.in_flight(entry)
            to = self.target(place, envelope.message.to)[0]
            if (place, to) not in channels:
                channels.add((place, to))
                yield Action("deliver", place, to)

    def _would_wait(self, state: State, place: int, situation: Situation) -> bool:
        """Return True if a question would have to wait and the grain leaves waiting out."""
        if self.grain == Grain.MESSAGE:
            return False
        asked = (*situation.successors, situation.predecessor)[0]
        other = self.situations[state[self.target(place, asked)[0]]]
        return other is not None and other.asking is not None

    def unfinished(self, state: State) -> Action | None:
        """Return one thing that has to come to an end before the ring is at rest."""
        if len(state) > self.places:
            place, envelope = self.in_flight(state[self.places])
            return Action("deliver", place, self.target(place, envelope.message.to)[0])
        waited_for = None
        for place in range(self.places):
            situation = self.situations[state[place]]
            if situation is None:
                continue
            if situation.leaving:
                return Action("left", place)
            asking = situation.asking
            if asking is not None and not self.runs(state, place, asking[1]):
                return Action("detect", place, asking[1])
            if situation.deferred:
                waited_for = Action("defer", place)
        return waited_for

    def joins(self, state: State) -> Iterator[Action]:
        """Yield every attempt to join: the new node, and the member that it asks."""
        for place in range(self.places):
            if state[place]:
                continue
            for member in range(self.places):
                situation = self.situations[state[member]]
                if situation is not None and not situation.leaving and situation.asking is None:
                    yield Action("join", place, member)

    # ---- making it happen -------------------------------------------------------------------

    def after(self, state: State, action: Action) -> list[State]:
        """Return the states that ``action`` may lead to, none if it turns out impossible."""
        first = self._step(state, End.LOW)
        if not first.perform(action):
            return []
        states = [first.state()]
        if first.forked:
            second = self._step(state, End.HIGH)
            second.perform(action)
            states.append(second.state())
        return states

    def _step(self, state: State, end: End) -> Execution:
        return Execution(self, state, end, grain=self.grain, lives=self.lives)
