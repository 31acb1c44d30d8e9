"""Breadth-first search through all states of one slot.

From the first state every :class:`Action` is tried in every state, until no new state turns up or a
limit is reached. Breadth-first means that a history that is found is one of the shortest.

A state is kept as a few small numbers, one for each of its parts, since most parts are those of
other states as well.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable

import attrs

from chordnet.sim.slots.judge import BrokenError
from chordnet.sim.slots.plan import Job, Property, SlotPlan
from chordnet.sim.slots.turn import after
from chordnet.sim.slots.world import Action, State, World

Code = tuple[int, ...]


@attrs.frozen
class Verdict:
    """How a search ended."""

    states: int
    """Distinct states found."""
    steps: int
    """Actions tried."""
    runs: int
    """Times that a real class was run; the others were remembered."""
    depth: int
    """Actions from the beginning to the farthest state."""
    broken: Property | None
    text: str
    """What is wrong."""
    history: list[tuple[Action | None, State | None]]
    """From the beginning: what happened, and the state after it; None where it broke."""
    complete: bool
    """Whether every reachable state was seen."""


class Search:
    """One search.

    :param progress: told the numbers of states found, of those looked at and the depth, often.
    """

    def __init__(
        self, plan: SlotPlan, progress: Callable[[int, int, int], None] = lambda *numbers: None
    ) -> None:
        self.plan = plan
        self.world = World(plan)
        self._progress = progress
        self._numbers: dict[Code, int] = {}
        self._order: list[Code] = []
        self._parents = array("q")
        self.steps = 0

    def first_state(self) -> State:
        """Return the state in which the search begins: what is done before it, done."""
        world = self.world
        state = world.beginning()
        for number, job in enumerate(self.plan.jobs):
            if not job.is_before:
                continue
            state = after(world, state, Action("begin", number, at=self._promising(job)))
            for sent in state.sent:
                if sent.to in job.done_at or job.installed:
                    state = after(world, state, Action("arrive", sent=sent))
            for member, sources in job.installed:
                chosen = next(each for each in state.sent if each.to == member)
                state = after(world, state, Action("arrive", sent=chosen, at=tuple(sources)))
            # What was not to arrive is lost.
            state = state._replace(sent=())
        return state

    def _promising(self, job: Job) -> tuple[str, ...]:
        """Return who promises a write of before the search: who took it, up to a majority."""
        others = [job.node, *(member.node for member in self.world.first.members)]
        names = dict.fromkeys([*job.done_at, *others])
        return tuple(names)[: max(len(job.done_at), self.world.first.majority)]

    def run(self) -> Verdict:
        """Search until everything is seen, something is broken or a limit is reached."""
        self._add(self.first_state(), -1)
        depth, level_end, looked_at = 0, 1, 0
        while looked_at < len(self._order):
            if looked_at == level_end:
                depth, level_end = depth + 1, len(self._order)
                if depth >= self.plan.max_depth:
                    return self._verdict(depth)
            broken = self._look_at(looked_at)
            if broken is not None:
                return self._verdict(depth + 1, broken, looked_at)
            looked_at += 1
            if not looked_at % 1024:
                self._progress(len(self._order), looked_at, depth)
            if len(self._order) > self.plan.max_states:
                return self._verdict(depth)
        return self._verdict(depth, complete=True)

    def _look_at(self, number: int) -> tuple[Action, State | None, BrokenError] | None:
        """Try every action in a state; return what is broken by one, if anything is."""
        state = self._state(self._order[number])
        for action in self.world.actions(state):
            self.steps += 1
            new = None
            try:
                new = after(self.world, state, action)
                if self._add(new, number):
                    self.world.judge.check(new.past, new.nodes)
            except BrokenError as error:
                return action, new, error
        return None

    def _add(self, state: State, parent: int) -> bool:
        code = self._code(state)
        if code in self._numbers:
            return False
        self._numbers[code] = len(self._order)
        self._order.append(code)
        self._parents.append(parent)
        return True

    def _code(self, state: State) -> Code:
        number = self.world.kept.number
        return (
            *map(number, state.nodes),
            *map(number, state.tasks),
            number(state.past),
            state.crashes,
            state.losses,
            *sorted(map(number, state.sent)),
        )

    def _state(self, code: Code) -> State:
        at, nodes = self.world.kept.at, self.plan.nodes
        rest = nodes + len(self.plan.jobs)
        return State(
            tuple(map(at, code[:nodes])),
            tuple(map(at, code[nodes:rest])),
            tuple(map(at, code[rest + 3 :])),
            at(code[rest]),
            code[rest + 1],
            code[rest + 2],
        )

    # ---- the way there ----------------------------------------------------------------------

    def _verdict(
        self,
        depth: int,
        broken: tuple[Action, State | None, BrokenError] | None = None,
        number: int = -1,
        *,
        complete: bool = False,
    ) -> Verdict:
        history: list[tuple[Action | None, State | None]] = []
        lacking, text = None, ""
        if broken is not None:
            action, last, error = broken
            lacking, text = error.lacking, error.text
            history = [*self._way_to(number), (action, last)]
        runs = self.world.cell.runs
        states = len(self._order)
        return Verdict(states, self.steps, runs, depth, lacking, text, history, complete)

    def _way_to(self, number: int) -> list[tuple[Action | None, State | None]]:
        codes = []
        while number >= 0:
            codes.append(self._order[number])
            number = self._parents[number]
        state = self._state(codes.pop())
        history: list[tuple[Action | None, State | None]] = [(None, state)]
        while codes:
            goal = codes.pop()
            action, state = next(
                (action, new)
                for action in self.world.actions(state)
                for new in [after(self.world, state, action)]
                if self._code(new) == goal
            )
            history.append((action, state))
        return history
