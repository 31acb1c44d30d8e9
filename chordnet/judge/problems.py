"""What can be wrong with a ring: one small class per kind, each with the words for it.

A problem names nodes by their identifiers and carries no text. Words are made where it is shown,
with the names that nodes have there: the simulator prints identifiers in hexadecimal, ``p2pnet
doctor`` the names of nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, TypeAlias

import attrs

Naming: TypeAlias = Callable[[int], str]
"""Returns what to call the node with an identifier."""


@attrs.frozen
class _OfOne:
    """A problem of one node."""

    node: int

    @property
    def nodes(self) -> tuple[int, ...]:
        """The identifiers in this problem, each once; the member concerned comes first."""
        return (self.node,)


@attrs.frozen
class Duplicate(_OfOne):
    """Two nodes have one identifier."""

    kind: ClassVar[str] = "duplicate"

    def words(self, name: Naming) -> str:
        """Return one line about it."""
        return f"two nodes have the identifier {name(self.node)}"


@attrs.frozen
class WrongPredecessor:
    """A member's predecessor is not the member before it."""

    kind: ClassVar[str] = "predecessor"
    node: int
    found: int | None
    expected: int | None

    @property
    def nodes(self) -> tuple[int, ...]:
        return _each_once(self.node, self.found, self.expected)

    def words(self, name: Naming) -> str:
        has, wants = _name(name, self.found), _name(name, self.expected)
        return f"{name(self.node)}: predecessor is {has}, should be {wants}"


@attrs.frozen
class WrongSuccessors:
    """A member's successor list is not the members after it."""

    kind: ClassVar[str] = "successors"
    node: int
    found: tuple[int, ...]
    expected: tuple[int, ...]

    @property
    def nodes(self) -> tuple[int, ...]:
        return _each_once(self.node, *self.found, *self.expected)

    def words(self, name: Naming) -> str:
        has, wants = _names(name, self.found), _names(name, self.expected)
        return f"{name(self.node)}: successor list is [{has}], should be [{wants}]"


@attrs.frozen
class WrongHead:
    """The first entry of a member's successor list is not the member after it."""

    kind: ClassVar[str] = "successor"
    node: int
    found: int | None
    expected: int

    @property
    def nodes(self) -> tuple[int, ...]:
        return _each_once(self.node, self.found, self.expected)

    def words(self, name: Naming) -> str:
        has = _name(name, self.found)
        return f"{name(self.node)}: successor is {has}, should be {name(self.expected)}"


@attrs.frozen
class WrongFinger:
    """Slots of a member's finger table that share a mistake."""

    kind: ClassVar[str] = "finger"
    node: int
    slots: tuple[int, ...]
    found: int | None
    """None if the slot is empty, since it leads to the member itself; ``expected`` likewise."""
    expected: int | None

    @property
    def nodes(self) -> tuple[int, ...]:
        return _each_once(self.node, self.found, self.expected)

    def words(self, name: Naming) -> str:
        has, wants = _name(name, self.found), _name(name, self.expected)
        return f"{name(self.node)}: {_slots(self.slots)} is {has}, should be {wants}"


@attrs.frozen
class OutOfOrder:
    """A member's successor list is not in the order of the ring."""

    kind: ClassVar[str] = "order"
    node: int
    at: int
    """The first entry that is not beyond the one before it."""
    successors: tuple[int, ...]

    @property
    def nodes(self) -> tuple[int, ...]:
        return _each_once(self.node, self.at, *self.successors)

    def words(self, name: Naming) -> str:
        where, has = name(self.at), _names(name, self.successors)
        return f"{name(self.node)}: successor list is out of order at {where}: [{has}]"


@attrs.frozen
class DeadEnd(_OfOne):
    """No entry of a member's successor list is live."""

    kind: ClassVar[str] = "dead-end"

    def words(self, name: Naming) -> str:
        return f"{name(self.node)}: no entry of its successor list is live"


@attrs.frozen
class FewPrincipals:
    """Too few members are skipped by no list."""

    kind: ClassVar[str] = "principals"
    nodes: ClassVar[tuple[int, ...]] = ()
    principals: int
    members: int
    required: int

    def words(self, _name: Naming) -> str:
        count, members = self.principals, self.members
        return f"{count} principals among {members} members, should be {self.required} or more"


@attrs.frozen
class FewMembers:
    """The ring is too small for the inductive invariant."""

    kind: ClassVar[str] = "members"
    nodes: ClassVar[tuple[int, ...]] = ()
    members: int
    required: int

    def words(self, _name: Naming) -> str:
        return f"{self.members} members are too few, should be {self.required} or more"


@attrs.frozen
class Split:
    """The live successors do not form one cycle."""

    kind: ClassVar[str] = "split"
    nodes: tuple[int, ...]
    """The least member of each cycle; empty if there is no cycle at all."""

    def words(self, name: Naming) -> str:
        if not self.nodes:
            return "no member's successors lead back to it"
        return (
            f"{len(self.nodes)} rings instead of one, with the members {_names(name, self.nodes)}"
        )


@attrs.frozen
class Loopy(_OfOne):
    """A cycle goes round the identifiers more than once; named is its least member."""

    kind: ClassVar[str] = "loopy"
    rounds: int

    def words(self, name: Naming) -> str:
        return f"the ring of {name(self.node)} goes round {self.rounds} times"


@attrs.frozen
class NotActive(_OfOne):
    """A host that should be a member is not active."""

    kind: ClassVar[str] = "state"
    name: str
    state: str

    def words(self, _name: Naming) -> str:
        return f"{self.name} is {self.state}"


Problem: TypeAlias = (
    Duplicate
    | WrongPredecessor
    | WrongSuccessors
    | WrongHead
    | WrongFinger
    | OutOfOrder
    | DeadEnd
    | FewPrincipals
    | FewMembers
    | Split
    | Loopy
    | NotActive
)
"""One thing that is wrong."""


def together(found: Iterable[Problem]) -> list[Problem]:
    """Return ``found`` with the slots of a finger table that share a mistake as one problem."""
    slots: dict[Problem, tuple[int, ...]] = {}
    for problem in found:
        if isinstance(problem, WrongFinger):
            shared = attrs.evolve(problem, slots=())
            slots[shared] = slots.get(shared, ()) + problem.slots
        else:
            slots[problem] = ()
    return [
        attrs.evolve(problem, slots=which) if isinstance(problem, WrongFinger) else problem
        for problem, which in slots.items()
    ]


def _each_once(*nodes: int | None) -> tuple[int, ...]:
    return tuple(dict.fromkeys(node for node in nodes if node is not None))


def _name(name: Naming, node: int | None) -> str:
    return "none" if node is None else name(node)


def _names(name: Naming, nodes: Iterable[int]) -> str:
    return ", ".join(map(name, nodes))


def _slots(slots: Sequence[int]) -> str:
    """Return ``finger 7`` or ``each of fingers 0-150, 153``."""
    if len(slots) == 1:
        return f"finger {slots[0]}"
    runs: list[list[int]] = []
    for slot in sorted(slots):
        if runs and runs[-1][-1] == slot - 1:
            runs[-1].append(slot)
        else:
            runs.append([slot])
    texts = (f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"each of fingers {', '.join(texts)}"
