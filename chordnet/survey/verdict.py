"""Judge a ring from what its members said, by their identifiers alone.

The rules are :func:`chordnet.judge.invariants.problems`; here the nodes get their names, and the
slots of a finger table that share a mistake become one finding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from chordnet.judge.invariants import RingView, ideal_view, problems
from chordnet.judge.problems import Problem, together
from chordnet.survey.description import NetworkDescription, ranges
from chordnet.survey.findings import (
    Fact,
    Insecure,
    LeftForGood,
    NotInRing,
    OtherNetwork,
    Ref,
    Silent,
    WrongIdentifier,
    WrongRing,
    called,
)
from chordnet.survey.observer import Snapshot
from chordnet.wire.rpc import NodeInfo, NodeStatus


class Names:
    """Numbers and names for identifiers."""

    def __init__(self, network: NetworkDescription) -> None:
        space = self._space = network.space
        self._hex = space.hex
        self._numbers = {space.hex(network.identifier(n)): n for n in network.numbers}
        self._visitors: dict[str, str] = {}
        self.network = network.name

    def meet(self, info: NodeInfo) -> None:
        """Remember the name of any other node."""
        if info.id not in self._numbers:
            self._visitors[info.id] = info.name or info.address

    def ref(self, identifier: str, name: str = "") -> Ref:
        """Return the number of a node of the network, the name of another one."""
        known = self._numbers.get(identifier)
        return known or name or self._visitors.get(identifier) or identifier[:12]

    def named(self, name: str) -> Ref:
        """Return the number of the network's node with this name, the name of any other."""
        return self.ref(self._hex(self._space.hash(name.encode())), name)

    def all_named(self, names: Iterable[str]) -> list[Ref]:
        """Return the same for several of them."""
        return [self.named(name) for name in names]

    @staticmethod
    def called(ref: Ref) -> str:
        """Return ``Node 4`` for 4, and a name as it is."""
        return called(ref)

    def wrong(self, problem: Problem) -> WrongRing:
        """Return what the judge found, with the names of the nodes in it."""
        return WrongRing(problem, {node: self.ref(self._hex(node)) for node in problem.nodes})

    def label(self, identifier: str, name: str = "") -> str:
        """Return ``Node 4``, or the name of any other node."""
        return self.called(self.ref(identifier, name))


def ring_view(status: NodeStatus) -> RingView:
    """Return a node's pointers as the judge takes them."""
    return RingView(
        id=int(status.node.id, 16),
        predecessor=int(status.predecessor.id, 16) if status.predecessor else None,
        successors=[int(node.id, 16) for node in status.successors],
        fingers={finger.index: int(finger.node.id, 16) for finger in status.fingers},
    )


def insecure(snapshot: Snapshot, names: Names) -> list[Fact]:
    """Return which nodes anybody can reach, as one fact; an empty list if there are none."""
    guests = [each for each in snapshot.visitors.values() if isinstance(each, NodeStatus)]
    found: list[Ref] = [n for n, each in snapshot.statuses.items() if _is_insecure(each)]
    found += [names.ref(v.node.id, v.node.name) for v in guests if _is_insecure(v)]
    if not found:
        return []
    numbers = [each for each in found if isinstance(each, int)]
    who = [f"Node {ranges(numbers)}"] if numbers else []
    who += [each for each in found if isinstance(each, str)]
    text = f"insecure: who reaches {', '.join(who)} may join, read and send (--insecure)"
    return [Insecure(tuple(found), "none", text)]


def _is_insecure(status: NodeStatus) -> bool:
    return status.security == "insecure"


def ring_problems(
    network: NetworkDescription, expected: Collection[int], snapshot: Snapshot
) -> list[Fact]:
    """Return everything that keeps ``expected`` from being one correct ring.

    Visitors belong to the ring. One that cannot be asked still counts as a member: what the others
    say of it is judged.
    """
    names = Names(network)
    for visitor in snapshot.visitors.values():
        names.meet(visitor.node if isinstance(visitor, NodeStatus) else visitor)
    found: list[Fact] = [Silent(n, why) for n, why in snapshot.silent.items() if n in expected]
    for number, status in snapshot.statuses.items():
        found += _identity_problems(network, number, status)
    members = [s for s in snapshot.statuses.values() if s.state == "active"]
    views = [ring_view(status) for status in members]
    views += _visitor_views(network, views, snapshot)
    wrong = together(problems(views, network.space, network.successors))
    return [*found, *map(names.wrong, wrong)]


def _identity_problems(
    network: NetworkDescription, number: int, status: NodeStatus
) -> Iterator[Fact]:
    right = network.space.hex(network.identifier(number))
    if status.node.id != right:
        yield WrongIdentifier(number, status.node.id, right)
    if status.network != network.name:
        yield OtherNetwork(number, status.network)
    if status.state == "failed":
        yield LeftForGood(number, status.reason, network.name)
    elif status.state != "active":
        yield NotInRing(number, status.state, status.reason)


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
