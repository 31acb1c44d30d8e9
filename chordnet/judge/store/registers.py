"""The search for a sequence of a key's operations that explains what its clients were told.

A history is *linearizable* if every operation can be given one moment between its call and its
return such that the register, asked at these moments, answers as clients were told. Keys are judged
one by one: a history of several registers is linearizable if that of each is (Herlihy and Wing,
"Linearizability: a correctness condition for concurrent objects", ACM TOPLAS 12(3), 1990).

The search is Wing and Gong's ("Testing and verifying concurrent objects", J. Parallel and
Distributed Computing 17, 1993): an operation may come next if no other that is still to be placed
had ended before it began; it is placed if the register allows it, and taken back if that leads
nowhere. What has been visited is remembered, as Lowe does ("Testing for linearizability",
Concurrency and Computation 29(4), 2017; Porcupine is built in this way): the same operations placed
in another order, with the same register after them, lead nowhere again. Since all that was called
before some moment is placed but for a few, the few and the moment are what is remembered.

Five things keep the search narrow, and none of them changes its answer:

- A read that may come next and fits is placed at once. It changes nothing for the others.
- The next version is known, and so is who made it, where a receipt tells of it. No other write can
  be next, nor can a write that would skip a version that somebody was told of.
- A put that alone can have written what somebody read happened, and made that version.
- Of unconfirmed writes that are the same, the first is taken. Two values that nobody read are the
  same.
- What can be placed nowhere any more, because versions only grow, ends the branch at once if it has
  to be placed, and is forgotten otherwise.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf
from typing import TypeAlias

import attrs

from chordnet.judge.store.anomalies import Placed, Reason, Stuck, Verdict
from chordnet.judge.store.model import EMPTY, Op, State, in_order, with_their_versions

MAX_STEPS = 2_000_000
"""Ten seconds or so."""
MAX_REMEMBERED = 5_000_000
"""About 150 MB."""
MAX_OPERATIONS = 1_000_000
"""About 400 MB."""

UNSEEN = b""
"""In the place of a value that nobody read."""

Path: TypeAlias = "tuple[Path, int | None, State] | None"
"""What was placed: all before the last, the last, and the register after it.

None in the place of an operation: the store deletes what expired.
"""


@attrs.frozen
class Limits:
    """How much a check may take; beyond it nothing is said about a key."""

    steps: int = MAX_STEPS
    """Operations looked at in the search of one key."""
    remembered: int = MAX_REMEMBERED
    """Waiting operations in the visited places that are remembered."""
    operations: int = MAX_OPERATIONS
    """In one history."""


@attrs.frozen(eq=False)
class Node:
    """A place in the search."""

    opened: int
    """So many operations, in the order of calls, are placed or among the waiting."""
    held: tuple[int, ...]
    """Waiting, and have to be placed."""
    loose: tuple[int, ...]
    """Waiting, and may be left out."""
    state: State
    path: Path = None
    placed: int = 0
    """How many of those that have to be are."""


@attrs.frozen
class Found:
    """How a search ended."""

    verdict: Verdict
    steps: int
    longest: Node
    """The end of the sequence that places most; if the history is right, of one that places all."""


class Search:
    """Searches the history of one key.

    :param ops: its operations. No version is told by two writes.
    :param skew: how far clocks of two clients, or of a client and the store, may be apart.
    :param start: what the register is before all of them.
    """

    def __init__(
        self, ops: Sequence[Op], skew: float, limits: Limits, start: State = EMPTY
    ) -> None:
        self.ops = with_their_versions(in_order(ops))
        self.steps = 0
        self._start = start
        self._skew = skew
        self._limits = limits
        self._sure = sum(op.sure for op in self.ops)
        self._timeless = frozenset(i for i, op in enumerate(self.ops) if op.timeless)
        """Not among the waiting: their turn comes with their version."""
        self._seen = {op.value for op in self.ops if op.reads}
        self._writer: dict[int, int] = {}
        """Version -> the write that made it, if that is known."""
        self._read: dict[int, str | None] = {}
        """Version -> the value that somebody was told it had; None if only that there was one."""
        self._conditions = {op.condition for op in self.ops if op.condition and not op.reads}
        for index, op in enumerate(self.ops):
            if op.reads and op.version and self._read.get(op.version) is None:
                self._read[op.version] = op.value
            elif op.version and not op.reads:
                self._writer[op.version] = index
                if op.condition:
                    self._read.setdefault(op.condition, None)
        self._told = sorted(self._writer.keys() | self._read.keys())
        self._visited: set[tuple[object, ...]] = set()
        self._kept = 0
        self._unnumbered = sum(not op.reads and op.version is None for op in self.ops)

    def run(self) -> Found:
        """Search until there is an answer or a limit is reached."""
        longest = Node(0, (), (), self._start)
        untried: list[Iterator[Node]] = [iter([longest])]
        while untried:
            tried = next(untried[-1], None)
            if tried is None:
                untried.pop()
                continue
            node = self._settled(tried)
            if node is None:
                continue
            if node.placed > longest.placed or not longest.opened:
                longest = node
            if node.placed == self._sure:
                return Found(Verdict.RIGHT, self.steps, node)
            if self.steps > self._limits.steps or self._kept > self._limits.remembered:
                return Found(Verdict.UNDECIDED, self.steps, longest)
            following = self._following(node)
            first, second = next(following, None), next(following, None)
            if first is not None and (second is None or self._new(node)):
                known = (first,) if second is None else (first, second)
                untried.append(chain(known, following))
        return Found(Verdict.WRONG, self.steps, longest)

    def _new(self, node: Node) -> bool:
        """Return whether no other sequence has led to the same place, and remember it."""
        place = (node.opened, node.held, node.loose, node.state)
        if place in self._visited:
            return False
        self._visited.add(place)
        self._kept += len(node.held) + len(node.loose) + 1
        return True

    # ---- what may come next ----------------------------------------------------------------

    def _settled(self, node: Node) -> Node | None:
        """Open what may come next and place every read that fits; None if all hope is lost."""
        ops, state = self.ops, node.state
        opened, held, loose = node.opened, list(node.held), list(node.loose)
        path, placed = node.path, node.placed
        while True:
            opened = self._open(opened, held, loose)
            self.steps += len(held) + len(loose) + 1
            if any(ops[index].hopeless(state) for index in held):
                return None
            fitting = [index for index in held if ops[index].reads and ops[index].fits(state)]
            fitting = self._ready(fitting, held)
            if not fitting:
                break
            for index in fitting:
                held.remove(index)
                path = (path, index, state)
            placed += len(fitting)
        left = tuple(index for index in loose if not ops[index].hopeless(state))
        return Node(opened, tuple(held), left, state, path, placed)

    def _open(self, opened: int, held: list[int], loose: list[int]) -> int:
        """Add everything that was called before any of ``held`` had ended."""
        ops = self.ops
        first_end = min((ops[index].end for index in held), default=inf)
        while opened < len(ops) and ops[opened].call <= first_end + self._skew:
            op = ops[opened]
            if op.timeless:
                pass
            elif op.sure:
                held.append(opened)
                first_end = min(first_end, op.end)
            else:
                loose.append(opened)
            opened += 1
        return opened

    def _ready(self, among: Sequence[int], held: Sequence[int]) -> list[int]:
        """Return those that do not have to wait for one of ``held`` of the same client."""
        ops = self.ops
        last: dict[str, list[Op]] = {}
        for index in held:
            last.setdefault(ops[index].client, []).append(ops[index])
        return [
            index
            for index in among
            if not any(op.before(ops[index]) for op in last.get(ops[index].client, ()))
        ]

    def _following(self, node: Node) -> Iterator[Node]:
        """Yield every place that one write leads to, those that have to be placed first."""
        state = node.state
        for index in self._candidates(node):
            op = self.ops[index]
            held, loose = node.held, node.loose
            if op.sure:
                held = tuple(other for other in held if other != index)
            else:
                loose = tuple(other for other in loose if other != index)
            for after in self._after(index, state):
                path = (node.path, index, after)
                yield Node(node.opened, held, loose, after, path, node.placed + op.sure)
        if self._may_expire(node):
            after = State(state.version + 1, None, None)
            expired: Path = (node.path, None, after)
            yield Node(node.opened, node.held, node.loose, after, expired, node.placed)

    def _candidates(self, node: Node) -> Iterator[int]:
        """Yield the writes that may come next, if the register allows them."""
        ops, state = self.ops, node.state
        told = self._next_told(state.version)
        writer = None if told is None else self._writer.get(told)
        if writer in self._timeless:
            yield writer
        elif writer is not None and writer in node.held:
            yield from self._ready((writer,), node.held)
        if writer is not None and state.value is not None and told == state.version + 1:
            return
        unnumbered = [i for i in node.held if not ops[i].reads and ops[i].version is None]
        yield from self._ready(unnumbered, node.held)
        tried = set()
        for index in self._ready(node.loose, node.held):
            op = ops[index]
            value = op.value if op.value is None or op.value in self._seen else UNSEEN
            same = (value, op.condition, op.expires_at)
            if same not in tried:
                tried.add(same)
                yield index

    def _next_told(self, version: int) -> int | None:
        """Return the next version above ``version`` that somebody was told of."""
        at = bisect_right(self._told, version)
        return self._told[at] if at < len(self._told) else None

    def _may_expire(self, node: Node) -> bool:
        state = node.state
        version = state.version + 1
        if state.lease is None or version in self._writer or version in self._read:
            return False
        expires_at = self.ops[state.lease].expires_at
        assert expires_at is not None
        # What has not been opened ends later than anything that is held.
        return all(self.ops[index].end + self._skew >= expires_at for index in node.held)

    # ---- what a write does -----------------------------------------------------------------

    def _after(self, index: int, state: State) -> Iterator[State]:
        """Yield what the register may be after a write; nothing if the write is not allowed."""
        op = self.ops[index]
        if not op.allowed(state):
            return
        if state.value is None and op.value is None and op.version is None:
            if op.sure:  # It need not have written anything; else nothing is gained by it.
                yield state
            return
        for version in self._versions(op, state):
            if self._possible(version, index, state):
                yield State(version, op.value, None if op.expires_at is None else index)

    def _versions(self, op: Op, state: State) -> Iterator[int]:
        """Yield the versions that a write may make."""
        following = state.version + 1
        if state.value is not None:
            if op.version in (None, following):
                yield following
        elif op.version is not None:
            yield op.version
        else:
            yield from self._greater(state.version)

    def _greater(self, version: int) -> Iterator[int]:
        """Yield the versions that matter of all that a key may get which does not exist.

        Some number of writes without a known version can lead from there to the next version that
        somebody was told of, or to one that a write waits for. Of the others one is like another.
        """
        told = self._next_told(version)
        targets = [] if told is None else [told]
        targets += [c for c in self._conditions if version < c < (told or inf)]
        matter = {version + 1}
        for target in targets:
            matter.update(range(max(target - self._unnumbered, version + 1), target + 1))
        yield from sorted(matter, reverse=True)

    def _possible(self, version: int, index: int, state: State) -> bool:
        """Return whether a write can have made a version, by what was told of it and before it."""
        if self._writer.get(version, index) != index:
            return False
        told = self._next_told(state.version)
        if told is not None and told < version:
            return False
        if version not in self._read:
            return True
        value, read = self.ops[index].value, self._read[version]
        return value is not None and read in (None, value)

    # ---- what to say of it -----------------------------------------------------------------

    def sequence(self, node: Node) -> tuple[Placed, ...]:
        """Return what was placed on the way to ``node``, in order."""
        steps = []
        path = node.path
        while path is not None:
            path, index, state = path
            steps.append((index, state))
        placed, lease = [], None
        for index, state in reversed(steps):
            of = lease if index is None else index
            assert of is not None
            number = self.ops[of].number
            placed.append(Placed(number, state.version, state.value, index is None))
            lease = state.lease
        return tuple(placed)

    def stuck(self, node: Node) -> tuple[Stuck, ...]:
        """Return what would have to be placed next after ``node``, and why it cannot be."""
        ready = self._ready(node.held, node.held)
        return tuple(
            Stuck(self.ops[index].number, self._reason(index, node.state)) for index in ready
        )

    def _reason(self, index: int, state: State) -> Reason:
        op = self.ops[index]
        if op.reads:
            if op.version == 0:
                return Reason.PRESENT
            if state.value is None:
                return Reason.ABSENT
            return Reason.VERSION if op.version not in (None, state.version) else Reason.VALUE
        if not op.allowed(state):
            return Reason.CONDITION
        return Reason.TAKEN if op.version is None else Reason.VERSION
