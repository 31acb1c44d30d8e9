"""Judges every change of a ring; knows :mod:`chordnet.judge.invariants` and nothing else.

The checker hears of every change of a member's list and of every member that fails, and reports if
a step of the protocol broke the inductive invariant (:func:`inductive_problems`):

- The invariant is *in force* from the moment it holds in a ring of at least r + 1 members.
- A failure may end that: more neighbours died together than the lists are long, or one of the last
  r + 1 principals did. These are the assumptions of the proof; no protocol can keep them. From then
  on the invariant is not in force until it holds again.
- Any other step must keep it: if it held before and does not after, that is a violation.

Lists, live entries and principals are kept up to date with each change, at a cost of O(r log N);
after a change of the membership they are counted anew. That there is one ordered ring follows from
them; it is checked on its own as well, with every change of up to 64 members, and of N members with
every N/64th change.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import pairwise

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.judge.invariants import (
    RingView,
    list_problems,
    live_successor,
    ring_problems,
    skipped,
)
from chordnet.judge.problems import DeadEnd, FewMembers, FewPrincipals, Problem

SMALL = 64
"""Members up to which one ring is checked with every change."""


class RingChecker:
    """The members of what should be one ring, and whether the invariant is in force.

    :param r: length of the successor lists.
    """

    def __init__(self, space: IdentifierSpace, r: int) -> None:
        self._space = space
        self._r = r
        self._lists: dict[int, tuple[int, ...]] = {}
        self._stale: dict[int, frozenset[int]] = {}
        self._members: list[int] = []
        self._heads: dict[int, int | None] = {}
        self._skips: dict[int, int] = {}
        self._disorder: dict[int, Problem] = {}
        self._ends = 0
        """Members without a live entry."""
        self._principals = 0
        self._unchecked = 0
        self.in_force = False
        self.checks = 0
        """How many changes were judged while the invariant was in force."""

    @property
    def members(self) -> Sequence[int]:
        """The live members, sorted."""
        return self._members

    @property
    def principals(self) -> int:
        """How many members are skipped by no list."""
        return self._principals

    # ---- being told -------------------------------------------------------------------------

    def failed(self, member: int) -> None:
        """Note that ``member`` died or began to leave: the fault is not the protocol's."""
        if member in self._lists:
            del self._lists[member]
            del self._stale[member]
            # Pointers to it are to a life that is over, even once its next one has begun.
            for other, successors in self._lists.items():
                if member in successors:
                    self._stale[other] |= {member}
            self._members.remove(member)
            self._disorder.pop(member, None)
            self._count()
            self.in_force = not self._problems()

    def changed(
        self,
        member: int,
        successors: Sequence[int],
        *,
        trusted: bool,
        stale: frozenset[int] = frozenset(),
    ) -> list[Problem]:
        """Note the list that ``member`` has now, by a step of the protocol.

        :param stale: entries that point at a life that is over; they count as dead even if the node
            has come back.
        :param trusted: whether the assumptions hold that the checker cannot see for itself (no node
            takes a live member for dead).
        :returns: what the step broke; empty when all is well or nothing can be expected.
        """
        self._take(member, tuple(successors), stale)
        found = self._problems()
        broke = found if self.in_force and trusted else []
        self.checks += self.in_force
        self.in_force = not found
        return broke

    # ---- keeping count ----------------------------------------------------------------------

    def _take(self, member: int, successors: tuple[int, ...], stale: frozenset[int]) -> None:
        old = self._named(member) if member in self._lists else None
        self._lists[member], self._stale[member] = successors, stale
        disorder = list_problems(RingView(member, None, successors, {}), self._space)
        if disorder:
            self._disorder[member] = disorder[0]
        else:
            self._disorder.pop(member, None)
        if old is None:
            insort(self._members, member)
            self._count()
            return
        self._ends -= self._heads[member] is None
        self._heads[member] = self._head(member)
        self._ends += self._heads[member] is None
        self._skip(member, old, -1)
        self._skip(member, self._named(member), +1)

    def _named(self, member: int) -> tuple[int, ...]:
        """Return the list of a member without pointers to earlier lives of present members.

        Such a pointer does not name the node that came back: when it is dropped, the list skips it.
        """
        successors, stale = self._lists[member], self._stale[member]
        if not stale:
            return successors
        return tuple(n for n in successors if not (n in stale and self.is_member(n)))

    def _skip(self, member: int, successors: tuple[int, ...], sign: int) -> None:
        skips = self._skips
        for left, right in pairwise((member, *successors)):
            for node in skipped(left, right, self._members):
                before = skips[node]
                skips[node] = after = before + sign
                self._principals += (after == 0) - (before == 0)

    def _count(self) -> None:
        """Count everything again: the membership has changed."""
        members = self._members
        self._heads = {member: self._head(member) for member in self._lists}
        self._ends = sum(head is None for head in self._heads.values())
        self._skips = dict.fromkeys(members, 0)
        self._principals = len(members)
        for member in self._lists:
            self._skip(member, self._named(member), +1)

    def _head(self, member: int) -> int | None:
        return live_successor(self._named(member), self._members)

    # ---- judging ----------------------------------------------------------------------------

    def _problems(self) -> list[Problem]:
        """Return what is wrong now; in a ring of r members or fewer, that it is too small."""
        count, r = len(self._members), self._r
        found = list(self._disorder.values())
        if count <= r:
            return [*found, FewMembers(count, r + 1)]
        if self._ends:
            found += [DeadEnd(member) for member, head in self._heads.items() if head is None]
        if self._principals <= r:
            found.append(FewPrincipals(self._principals, count, r + 1))
        self._unchecked += 1
        if count <= SMALL or self._unchecked * SMALL >= count:
            self._unchecked = 0
            found += ring_problems(self._heads, self._space)
        return found

    def is_member(self, node: int) -> bool:
        """Return True if ``node`` is a live member."""
        index = bisect_left(self._members, node)
        return index < len(self._members) and self._members[index] == node
