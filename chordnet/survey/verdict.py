"""Judges a ring from what its members said, by their identifiers alone, in words for people.

The rules are :func:`chordnet.judge.invariants.problems`; here they get the nodes' names, and the
slots of a finger table that share a mistake share a line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from chordnet.judge.invariants import Problem, RingView, ideal_view, problems
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import command
from chordnet.survey.observer import Snapshot
from chordnet.wire.rpc import NodeInfo, NodeStatus


def left_for_good(network: str, number: int) -> str:
    """Return the words for a node that has left its ring because it can record nothing."""
    see = command(f"logs {number}", network)
    return f"Node {number} has left the ring, for it can record nothing; see: {see}"


_FINGER = re.compile(r"finger (\d+) is")


class Names:
    """Numbers and names for identifiers."""

    def __init__(self, network: NetworkDescription) -> None:
        space = network.space
        self._width = len(space.hex(0))
        self._numbers = {space.hex(network.identifier(n)): n for n in network.numbers}
        self._visitors: dict[str, str] = {}
        self.network = network.name

    def meet(self, info: NodeInfo) -> None:
        """Remember the name of a node that is none of the network's."""
        if info.id not in self._numbers:
            self._visitors[info.id] = info.name or info.address

    def ref(self, identifier: str, name: str = "") -> int | str:
        """Return the number of a node of the network, the name of another one."""
        known = self._numbers.get(identifier)
        return known or name or self._visitors.get(identifier) or identifier[:12]

    @staticmethod
    def called(ref: int | str) -> str:
        """Return ``Node 4`` for 4, and a name as it is."""
        return f"Node {ref}" if isinstance(ref, int) else ref

    def put_into(self, text: str, nodes: Sequence[int]) -> str:
        """Replace the identifiers ``nodes`` in ``text`` by what they are called."""
        for node in nodes:
            identifier = f"{node:0{self._width}x}"
            text = text.replace(identifier, self.label(identifier))
        return text

    def label(self, identifier: str, name: str = "") -> str:
        """Return ``Node 4``, or the name of a node that is none of the network's."""
        return self.called(self.ref(identifier, name))


def ring_view(status: NodeStatus) -> RingView:
    """Return a node's pointers as the judge takes them."""
    return RingView(
        id=int(status.node.id, 16),
        predecessor=int(status.predecessor.id, 16) if status.predecessor else None,
        successors=[int(node.id, 16) for node in status.successors],
        fingers={finger.index: int(finger.node.id, 16) for finger in status.fingers},
    )


def ring_problems(
    network: NetworkDescription, expected: Collection[int], snapshot: Snapshot
) -> list[str]:
    """Say everything that keeps ``expected`` from being one correct ring, a line each.

    Visitors belong to the ring. One that cannot be asked is believed: what the others say of it
    is judged all the same.
    """
    names = Names(network)
    for visitor in snapshot.visitors.values():
        names.meet(visitor.node if isinstance(visitor, NodeStatus) else visitor)
    found = [
        f"Node {n} does not answer: {why}" for n, why in snapshot.silent.items() if n in expected
    ]
    for number, status in snapshot.statuses.items():
        found += _identity_problems(network, number, status)
    members = [s for s in snapshot.statuses.values() if s.state == "active"]
    views = [ring_view(status) for status in members]
    views += _visitor_views(network, views, snapshot)
    return found + list(_in_words(problems(views, network.space, network.successors), names))


def _identity_problems(
    network: NetworkDescription, number: int, status: NodeStatus
) -> Iterator[str]:
    who = f"Node {number}"
    right = network.space.hex(network.identifier(number))
    if status.node.id != right:
        yield f"{who}: its identifier is {status.node.id}, its name gives {right}"
    if status.network != network.name:
        yield f"{who}: it belongs to the network '{status.network}'"
    if status.state == "failed":
        yield left_for_good(network.name, number)
    elif status.state != "active":
        yield f"{who} is {status.state}, not in the ring{_because(status.reason)}"


def _because(reason: str) -> str:
    """Return what a node says of its state, without anything that a terminal would obey."""
    shown = "".join(c if c.isprintable() else "?" for c in reason)
    return f": {shown}" if shown else ""


def _visitor_views(
    network: NetworkDescription, views: Sequence[RingView], snapshot: Snapshot
) -> list[RingView]:
    asked = [v for v in snapshot.visitors.values() if isinstance(v, NodeStatus)]
    unasked = [int(v.id, 16) for v in snapshot.visitors.values() if isinstance(v, NodeInfo)]
    answered = [ring_view(status) for status in asked]
    members = sorted({view.id for view in [*views, *answered]} | set(unasked))
    ideal = (
        ideal_view(members, members.index(identifier), network.space, network.successors)
        for identifier in unasked
    )
    return [*answered, *ideal]


def _in_words(found: Sequence[Problem], names: Names) -> Iterator[str]:
    slots: dict[str, list[int]] = {}
    for problem in found:
        match = _FINGER.search(problem.text)
        text = _FINGER.sub("finger * is", problem.text)
        slots.setdefault(names.put_into(text, problem.nodes), []).extend(
            [int(match[1])] if match else []
        )
    for text, indices in slots.items():
        yield text.replace("finger * is", f"{_slots(indices)} is") if indices else text


def _slots(indices: Sequence[int]) -> str:
    """Return ``finger 7`` or ``each of fingers 0-150, 153``."""
    if len(indices) == 1:
        return f"finger {indices[0]}"
    runs: list[list[int]] = []
    for index in indices:
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    texts = (f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"each of fingers {', '.join(texts)}"
