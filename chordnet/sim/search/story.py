"""A history found by the search, written for people to follow."""

from __future__ import annotations

from collections.abc import Iterator

from chordnet.core.base import messages as msg
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.sim.search.cell import NOBODY, Ref, Situation
from chordnet.sim.search.explore import Search, Verdict
from chordnet.sim.search.judge import Property
from chordnet.sim.search.step import Action
from chordnet.sim.search.table import State

ROUNDS_TOLD = 3
VERBS = {
    "join": "{node} joins after {other}",
    "leave": "{node} leaves and tells its neighbours",
    "left": "{node} has left",
    "fail": "{node} dies",
    "stabilise": "{node} stabilises: asks its successor {head}",
    "defer": "{node} gives up its question and answers those that wait",
}
NAMES = {
    msg.GetState: "the question of {node}",
    msg.State: "the answer of {node}",
    msg.Notify: "the notification of {node}",
    msg.Leaving: "the farewell of {node}",
}
ON_THE_WAY = {kind: name + " to {other}" for kind, name in NAMES.items()}
CARRIED = {kind: name + " reaches {other}" for kind, name in NAMES.items()}


def told(search: Search, verdict: Verdict) -> Iterator[str]:
    """Yield the lines: what happened, and after each step the pointers that it changed."""
    story = _Story(search)
    before: State | None = None
    for number, (action, state) in enumerate(verdict.history):
        if action is None or before is None:
            yield "At the beginning:"
        else:
            yield f"{number}. {story.sentence(action, before)}"
        yield from story.changes(before, state)
        before = state
    if before is None:
        return
    if verdict.broken is Property.CONVERGENCE:
        yield from story.left_alone(before)
    else:
        broken = [] if verdict.broken is None else [verdict.broken]
        faults = search.judge.faults(before) or broken
        yield "Now: " + "; ".join(fault.value for fault in faults) + "."


class _Story:
    def __init__(self, search: Search) -> None:
        self._search = search
        self._world = search.world
        plan = search.plan
        self._space = IdentifierSpace(plan.bits)
        self._step = self._space.size // plan.nodes

    def name(self, place: int, incarnation: int = 1) -> str:
        """Return the identifier, with a slash and the number of the life unless it is the first."""
        text = str(place * self._step)
        return text if incarnation == 1 else f"{text}/{incarnation}"

    def _named(self, state: State, place: int, ref: Ref) -> str:
        if ref == NOBODY:
            return "nothing"
        mark = "" if self._world.runs(state, place, ref) else " (dead)"
        return self.name(*self._world.target(place, ref)) + mark

    def sentence(self, action: Action, before: State) -> str:
        """Return what happened, in words."""
        world, place = self._world, action.place
        situation = world.at(before, place)
        node = self.name(place, situation.incarnation if situation is not None else 1)
        if action.verb == "detect":
            return f"{node} finds {self._named(before, place, action.other)} dead"
        if action.verb == "deliver":
            return self._delivery(action, before)
        head = ""
        if situation is not None:
            heads = [*situation.successors, situation.predecessor]
            head = self._named(before, place, heads[0])
        other = self.name(action.other) if action.other >= 0 else ""
        return VERBS[action.verb].format(node=node, other=other, head=head)

    def _delivery(self, action: Action, before: State) -> str:
        world = self._world
        for entry in before[world.places :]:
            place, envelope = world.in_flight(entry)
            at = world.target(place, envelope.message.to)[0]
            if (place, at) == (action.place, action.other):
                other = self._named(before, place, envelope.message.to)
                node = self.name(place, envelope.incarnation)
                return CARRIED[envelope.message.kind].format(node=node, other=other)
        raise AssertionError("nothing to deliver")

    def changes(self, before: State | None, after: State) -> Iterator[str]:
        """Yield a line for each node whose pointers changed."""
        for place in range(self._world.places):
            situation = self._world.at(after, place)
            if situation is None:
                continue
            line = self._line(place, situation, after)
            old = self._world.at(before, place) if before is not None else None
            if before is None or old is None or line != self._line(place, old, before):
                yield "      " + line
        yield from self._on_the_way(before, after)

    def _on_the_way(self, before: State | None, after: State) -> list[str]:
        world, lines = self._world, []
        old = before[world.places :] if before is not None else ()
        for entry in after[world.places :]:
            place, envelope = world.in_flight(entry)
            if entry not in old:
                other = self._named(after, place, envelope.message.to)
                node = self.name(place, envelope.incarnation)
                what = ON_THE_WAY[envelope.message.kind]
                lines.append(f"      on the way: {what.format(node=node, other=other)}")
        return lines

    def _line(self, place: int, situation: Situation, state: State) -> str:
        listed = ", ".join(self._named(state, place, s) for s in situation.successors)
        line = (
            f"{self.name(place, situation.incarnation)}: successors [{listed}], "
            f"predecessor {self._named(state, place, situation.predecessor)}"
        )
        if situation.leaving:
            line += ", leaving"
        if situation.asking is not None:
            line += f", asking {self._named(state, place, situation.asking[1])}"
        return line

    def left_alone(self, state: State) -> Iterator[str]:
        """Yield what becomes of a ring that does not become right again."""
        yield "Left alone, with no further fault:"
        for number in range(1, ROUNDS_TOLD + 1):
            after = self._search.round(state)
            lines = list(self.changes(state, after))
            yield f"   round {number}:" + ("" if lines else " nothing changes")
            yield from lines
            if not lines:
                return
            state = after
