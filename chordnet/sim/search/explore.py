"""Breadth-first search through all states of a small ring.

Starting from the right ring of the first members, every :class:`Action` is tried in every state
until no new state turns up. Each new state is judged (:class:`Judge`), and then left alone: the
nodes stabilise in turn, with no further fault, until the ring is right (*convergence*). States from
which the ring became right are remembered, so that this costs a round or two for each new one.

Since the search is breadth-first, any history that it finds is one of the shortest.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Callable, Iterable, Iterator

import attrs

from chordnet.core.base.config import ProtocolConfig, Safeguards
from chordnet.sim.search.cell import LIVES, Cell, Situation
from chordnet.sim.search.judge import Judge, Property
from chordnet.sim.search.merge import Merger
from chordnet.sim.search.step import Action, Grain
from chordnet.sim.search.table import State
from chordnet.sim.search.world import World

MAX_ROUNDS = 64
"""Rounds of maintenance after which a ring that is still not right is given up."""
DEATHS = frozenset({"fail", "leave"})


class Fault(enum.Enum):
    """What may happen to the ring from outside."""

    JOIN = "join"
    FAIL = "fail"
    LEAVE = "leave"


@attrs.frozen(kw_only=True)
class Plan:
    """What to search."""

    nodes: int = 4
    """Identifiers on the ring."""
    bits: int = 4
    """m."""
    successors: int = 2
    """r."""
    first: int = 3
    """Members at the beginning, spread evenly; with fewer than r + 1 there is no base yet."""
    grain: Grain = Grain.NOTIFICATION
    lives: int = 2
    """Incarnations of one identifier that may be named at the same time; 1: no node comes back
    before it is forgotten.
    """
    faults: frozenset[Fault] = frozenset(Fault)
    keep_base: bool = True
    """Assume with Zave that no principal dies while only r + 1 are left; the Chord papers assume
    only that no node is left without a live successor.
    """
    safeguards: Safeguards = attrs.field(factory=Safeguards)
    wanted: frozenset[Property] = frozenset(Property)
    """Properties to check."""
    max_states: int = 10_000_000


@attrs.frozen
class Verdict:
    """How a search ended."""

    states: int
    """Distinct states found."""
    steps: int
    """Actions tried."""
    runs: int
    """Times that a real node was run; the others were remembered."""
    depth: int
    """Actions from the beginning to the farthest state."""
    broken: Property | None
    """The property that the last state of :attr:`history` lacks; None if no state lacks any."""
    history: list[tuple[Action | None, State]]
    """From the beginning to the broken state: what happened, and the state after it."""
    complete: bool
    """Whether every reachable state was seen."""


class Search:
    """One search.

    :param progress: called often, with the numbers of states found and looked at, and the depth.
    """

    def __init__(
        self, plan: Plan, progress: Callable[[int, int, int], None] = lambda *numbers: None
    ) -> None:
        self.plan = plan
        config = ProtocolConfig(
            bits=plan.bits, successors=plan.successors, safeguards=plan.safeguards
        )
        self.world = World(Cell(config, plan.nodes), plan.grain, plan.lives)
        self.merger = Merger(self.world)
        self.judge = Judge(self.world, plan.successors, founded=plan.first > plan.successors)
        self._progress = progress
        self._settled: set[State] = set()
        self._numbers: dict[State, int] = {}
        self._order: list[State] = []
        self._parents = array("q")
        self._principals = bytearray()
        self.steps = 0

    def first_state(self) -> State:
        """Return the right ring of the first members."""
        plan, world = self.plan, self.world
        places = [index * plan.nodes // plan.first for index in range(plan.first)]
        state = [0] * plan.nodes
        for index, place in enumerate(places):

            def ref(steps: int, index: int = index, place: int = place) -> int:
                return (places[(index + steps) % plan.first] - place) % plan.nodes * LIVES + 1

            length = min(plan.successors, plan.first - 1)
            successors = tuple(ref(k) for k in range(1, length + 1))
            state[place] = world.number(
                Situation(1, False, ref(-1), successors, None, (), (), (), (), (), ())
            )
        return tuple(state)

    # ---- searching --------------------------------------------------------------------------

    def run(self) -> Verdict:
        """Search until everything is seen, something is broken or the limit is reached."""
        first = self.merger.canonical(self.first_state())
        self._add(first, -1)
        broken = self._judged(first)
        if broken is not None:
            return self._verdict(0, broken, [first])
        depth, level_end, looked_at = 0, 1, 0
        while looked_at < len(self._order):
            if looked_at == level_end:
                depth, level_end = depth + 1, len(self._order)
            for new, broken in self._look_at(looked_at):
                if broken is not None:
                    return self._verdict(depth + 1, broken, [*self._way_to(looked_at), new])
            looked_at += 1
            if not looked_at % 1024:
                self._progress(len(self._order), looked_at, depth)
            if len(self._order) > self.plan.max_states:
                return self._verdict(depth)
        return self._verdict(depth, complete=True)

    def _look_at(self, number: int) -> Iterator[tuple[State, Property | None]]:
        """Try every action in a state; yield the resulting states with the properties they lack."""
        state, principals = self._order[number], self._principals[number]
        guarded = Property.LOST_PRINCIPAL in self.plan.wanted
        for action in self.actions(state):
            self.steps += 1
            for after in self.world.after(state, action):
                new = self.merger.canonical(after)
                reached = self._numbers.get(new)
                broken = None
                if reached is None:
                    reached = self._add(new, number)
                    broken = self._judged(new)
                fewer = self._principals[reached] < principals
                if broken is None and guarded and fewer and action.verb not in DEATHS:
                    broken = Property.LOST_PRINCIPAL
                yield new, broken

    def _add(self, state: State, parent: int) -> int:
        number = self._numbers[state] = len(self._order)
        self._order.append(state)
        self._parents.append(parent)
        self._principals.append(self.judge.principals(state).bit_count())
        return number

    def _judged(self, state: State) -> Property | None:
        wanted = self.plan.wanted
        for fault in self.judge.faults(state):
            if fault in wanted:
                return fault
        if Property.CONVERGENCE in wanted and not self.settles(state):
            return Property.CONVERGENCE
        return None

    def actions(self, state: State) -> Iterator[Action]:
        """Yield everything that may happen in ``state``."""
        plan = self.plan
        yield from self.world.maintenance(state)
        if Fault.JOIN in plan.faults:
            yield from self.world.joins(state)
        deaths = [f.value for f in (Fault.FAIL, Fault.LEAVE) if f in plan.faults]
        if deaths:
            for place in self.judge.members(state):
                if self.judge.may_die(state, place, keep_base=plan.keep_base):
                    for verb in deaths:
                        yield Action(verb, place)

    # ---- leaving a ring alone ---------------------------------------------------------------

    def settles(self, state: State) -> bool:
        """Return True if maintenance alone makes the ring right again."""
        settled = self._settled
        passed: list[State] = []
        now = state
        for _ in range(MAX_ROUNDS):
            if now in settled or self.judge.is_right(now):
                settled.update(passed)
                return True
            if now in passed:
                return False
            passed.append(now)
            now = self.merger.canonical(self.round(now))
        return False

    def round(self, state: State) -> State:
        """Let everything in flight arrive, then every node stabilise once, one after another."""
        state = self._drain(state)
        for place in range(self.world.places):
            situation = self.world.at(state, place)
            if situation is not None and not situation.leaving and situation.asking is None:
                state = self._drain(self.world.after(state, Action("stabilise", place))[0])
        return state

    def _drain(self, state: State) -> State:
        while (action := self.world.unfinished(state)) is not None:
            state = self.world.after(state, action)[0]
        return state

    # ---- the way there ----------------------------------------------------------------------

    def _verdict(
        self,
        depth: int,
        broken: Property | None = None,
        way: Iterable[State] = (),
        *,
        complete: bool = False,
    ) -> Verdict:
        history = [] if broken is None else self.replayed(way)
        return Verdict(
            len(self._order), self.steps, self.world.cell.runs, depth, broken, history, complete
        )

    def _way_to(self, number: int) -> list[State]:
        way = []
        while number >= 0:
            way.append(self._order[number])
            number = self._parents[number]
        return way[::-1]

    def replayed(self, way: Iterable[State]) -> list[tuple[Action | None, State]]:
        """Return the history of a path through canonical states, with no place ever renamed."""
        world = self.world
        state = self.first_state()
        history: list[tuple[Action | None, State]] = [(None, state)]
        for goal in list(way)[1:]:
            action, state = next(
                (action, after)
                for action in self.actions(state)
                for after in map(self.merger.forgotten, world.after(state, action))
                if self.merger.canonical(after) == goal
            )
            history.append((action, state))
        return history
