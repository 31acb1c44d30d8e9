"""What must be true of a whole ring, judged from the outside and from identifiers alone.

Used by tests, the simulator and ``p2pnet doctor``. No node's own verdict counts here:

- :func:`problems` is what is wrong with a ring that should be at rest: the members' identifiers
  determine the one right ring, and every pointer is compared with it.
- :func:`inductive_problems` is what must never be wrong with a ring that started right, in the
  middle of joins, failures and repairs (Zave, "Reasoning about identifier spaces: How to make Chord
  correct", IEEE TSE 43(12), 2017, section 5): every member has a live entry in its list, and at
  least r + 1 members are *principals*, skipped by no list. It follows that there is one ordered
  ring; that is checked on its own as well.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise

import attrs

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.judge.problems import (
    DeadEnd,
    Duplicate,
    FewPrincipals,
    Loopy,
    OutOfOrder,
    Problem,
    Split,
    WrongFinger,
    WrongPredecessor,
    WrongSuccessors,
)


@attrs.frozen
class RingView:
    """One member's pointers. Identifiers are numbers."""

    id: int
    predecessor: int | None
    successors: Sequence[int]
    """The successor list, nearest first, without the member itself."""
    fingers: Mapping[int, int]
    """Slot index -> node, for every slot whose node is another one."""


def ideal_successor(members: Sequence[int], key: int) -> int:
    """Return successor(key): the first of the sorted ``members`` at or after ``key``."""
    return members[bisect_left(members, key) % len(members)]


def ideal_view(members: Sequence[int], index: int, space: IdentifierSpace, r: int) -> RingView:
    """Return the only right pointers of ``members[index]`` (sorted identifiers)."""
    count = len(members)
    me = members[index]
    length = min(r, count - 1)
    fingers = {}
    for slot in range(space.bits):
        node = ideal_successor(members, (me + (1 << slot)) % space.size)
        if node != me:
            fingers[slot] = node
    return RingView(
        id=me,
        predecessor=members[index - 1],
        successors=[members[(index + 1 + k) % count] for k in range(length)],
        fingers=fingers,
    )


def problems(views: Sequence[RingView], space: IdentifierSpace, r: int) -> list[Problem]:
    """Compare every member's pointers with the one right ring of exactly these members.

    :param views: all members, in any order.
    :param r: length of the successor list; the effective one is ``min(r, len(views) - 1)``.
    :returns: every difference; empty when the ring is right.
    """
    members = sorted(view.id for view in views)
    found: list[Problem] = [Duplicate(a) for a, b in pairwise(members) if a == b]
    if found:
        return found
    position = {member: index for index, member in enumerate(members)}
    for view in views:
        found += _compare(view, ideal_view(members, position[view.id], space, r))
    return found


def _compare(view: RingView, ideal: RingView) -> list[Problem]:
    found: list[Problem] = []
    if view.predecessor != ideal.predecessor:
        found.append(WrongPredecessor(view.id, view.predecessor, ideal.predecessor))
    has, wants = tuple(view.successors), tuple(ideal.successors)
    if has != wants:
        found.append(WrongSuccessors(view.id, has, wants))
    for slot in sorted(view.fingers.keys() | ideal.fingers.keys()):
        node, right = view.fingers.get(slot), ideal.fingers.get(slot)
        if node != right:
            found.append(WrongFinger(view.id, (slot,), node, right))
    return found


# ---- the inductive invariant ----------------------------------------------------------------


def inductive_problems(views: Sequence[RingView], space: IdentifierSpace, r: int) -> list[Problem]:
    """Check Zave's inductive invariant and what follows from it.

    :param views: the live members. Entries of their lists may be dead.
    :param r: length of the successor list. The invariant is about rings of at least r + 1 members;
        for smaller ones nothing is said about principals.
    :returns: every violation; empty when the invariant holds.
    """
    members = sorted(view.id for view in views)
    found = [problem for view in views for problem in list_problems(view, space)]
    if len(members) > 1:
        found += dead_ends(views)
    if len(members) > r:
        count = len(principals(views))
        if count <= r:
            found.append(FewPrincipals(count, len(members), r + 1))
    heads = {view.id: live_successor(view.successors, members) for view in views}
    found += ring_problems(heads, space)
    return found


def list_problems(view: RingView, space: IdentifierSpace) -> list[Problem]:
    """Check that a member's list is ordered, without duplicates, and does not reach round to it."""
    last = 0
    for node in view.successors:
        distance = space.distance(view.id, node)
        if distance <= last:
            return [OutOfOrder(view.id, node, tuple(view.successors))]
        last = distance
    return []


def live_successor(successors: Sequence[int], members: Sequence[int]) -> int | None:
    """Return the first entry that is one of the sorted ``members``; None if all are dead."""

    def is_live(node: int) -> bool:
        index = bisect_left(members, node)
        return index < len(members) and members[index] == node

    return next(filter(is_live, successors), None)


def dead_ends(views: Sequence[RingView]) -> list[Problem]:
    """Find members none of whose list entries is live."""
    members = sorted(view.id for view in views)
    return [DeadEnd(v.id) for v in views if live_successor(v.successors, members) is None]


def skipped(left: int, right: int, members: Sequence[int]) -> list[int]:
    """Return those of the sorted ``members`` that lie strictly between two adjacent entries."""
    low, high = bisect_right(members, left), bisect_left(members, right)
    if left < right:
        return list(members[low:high])
    return [*members[low:], *members[:high]]


def principals(views: Sequence[RingView]) -> list[int]:
    """Return the members that no two adjacent entries of any ``[self] + list`` skip."""
    members = sorted(view.id for view in views)
    passed_over = {
        member
        for view in views
        for left, right in pairwise([view.id, *view.successors])
        for member in skipped(left, right, members)
    }
    return [member for member in members if member not in passed_over]


def ring_problems(heads: Mapping[int, int | None], space: IdentifierSpace) -> list[Problem]:
    """Check that the live successors form one cycle, and that it goes round once.

    Members outside of the cycle (appendages: they have joined, and no node points at them yet) are
    fine as long as they lead into it.

    :param heads: member -> its first live successor. A single member has none.
    """
    cycles = _cycles(heads)
    found: list[Problem] = []
    if len(cycles) > 1 or (not cycles and len(heads) > 1):
        found.append(Split(tuple(min(cycle) for cycle in cycles)))
    for cycle in cycles:
        way = sum(space.distance(a, b) for a, b in pairwise([*cycle, cycle[0]]))
        if way not in (0, space.size):  # a member that leads to itself goes no way at all
            found.append(Loopy(min(cycle), way // space.size))
    return found


def _cycles(heads: Mapping[int, int | None]) -> list[list[int]]:
    """Return the cycles that following ``heads`` leads into."""
    colour: dict[int, int] = {}
    cycles = []
    for number, start in enumerate(sorted(heads)):
        path: list[int] = []
        node: int | None = start
        while node is not None and node not in colour:
            colour[node] = number
            path.append(node)
            node = heads.get(node)
        if node is not None and colour[node] == number:
            cycles.append(path[path.index(node) :])
    return cycles
