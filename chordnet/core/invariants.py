"""What must be true of a whole ring, judged from the outside and from identifiers alone.

Used by tests, the simulator and ``p2pnet doctor``. Nothing here believes a node's own verdict:
the members' identifiers determine the one right ring, and every pointer is compared with it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise

import attrs

from chordnet.core.identifiers import IdentifierSpace


@attrs.frozen
class RingView:
    """One member's pointers. Identifiers are numbers."""

    id: int
    predecessor: int | None
    successors: Sequence[int]
    """The successor list, nearest first, without the member itself."""
    fingers: Mapping[int, int]
    """Slot index -> node, for every slot whose node is another one."""


@attrs.frozen
class Problem:
    """One thing that is wrong."""

    kind: str
    """duplicate, predecessor, successors or finger."""
    text: str
    """One line; identifiers as zero-padded hex."""
    nodes: tuple[int, ...]
    """The member concerned, then the nodes named in ``text``."""


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
    found = [
        Problem("duplicate", f"two nodes have the identifier {space.hex(a)}", (a,))
        for a, b in pairwise(members)
        if a == b
    ]
    if found:
        return found
    position = {member: index for index, member in enumerate(members)}
    for view in views:
        found += _compare(view, ideal_view(members, position[view.id], space, r), space)
    return found


def _compare(view: RingView, ideal: RingView, space: IdentifierSpace) -> list[Problem]:
    me = space.hex(view.id)
    found = []
    if view.predecessor != ideal.predecessor:
        assert ideal.predecessor is not None
        found.append(
            Problem(
                "predecessor",
                f"{me}: predecessor is {_hex(space, view.predecessor)}, "
                f"should be {space.hex(ideal.predecessor)}",
                _named(view.id, [view.predecessor, ideal.predecessor]),
            )
        )
    if list(view.successors) != list(ideal.successors):
        found.append(
            Problem(
                "successors",
                f"{me}: successor list is [{', '.join(map(space.hex, view.successors))}], "
                f"should be [{', '.join(map(space.hex, ideal.successors))}]",
                _named(view.id, [*view.successors, *ideal.successors]),
            )
        )
    for slot in sorted(view.fingers.keys() | ideal.fingers.keys()):
        has, wants = view.fingers.get(slot), ideal.fingers.get(slot)
        if has != wants:
            found.append(
                Problem(
                    "finger",
                    f"{me}: finger {slot} is {_hex(space, has)}, should be {_hex(space, wants)}",
                    _named(view.id, [has, wants]),
                )
            )
    return found


def _hex(space: IdentifierSpace, node: int | None) -> str:
    return "none" if node is None else space.hex(node)


def _named(me: int, nodes: Sequence[int | None]) -> tuple[int, ...]:
    return (me, *dict.fromkeys(node for node in nodes if node is not None))
