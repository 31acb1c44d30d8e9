"""One broadcast as one node sees it: what it covers, whom it delegated to, who waits for word.

Ranges are kept as clockwise distances from this node: a node responsible for ``(self, limit)``
covers the distances ``0 < d < cover``; the whole ring is ``2**bits``.
"""

from __future__ import annotations

from chordnet.core.messages import EdgeKind, Hop, MessageId, NodeRef


class Branch:
    """A range that was delegated to a child. Its answer is COVERED with the same limit."""

    __slots__ = (
        "acked", "child", "count", "depth", "done", "end", "kind", "limit", "messages",
        "partial", "start", "tries", "unreached",
    )  # fmt: skip

    def __init__(self, child: NodeRef, limit: bytes, start: int, end: int, kind: EdgeKind) -> None:
        self.child = child
        self.limit = limit
        self.start = start
        self.end = end
        self.kind = kind
        self.tries = 0
        self.acked = False
        self.done = False
        self.count = 0
        self.messages = 0
        self.depth = 0
        self.partial = False
        self.unreached: list[NodeRef] = []


class Waiter:
    """Whoever gave us a range and is owed a COVERED; no ``parent`` means our own program."""

    __slots__ = ("end", "limit", "parent")

    def __init__(self, parent: NodeRef | None, limit: bytes, end: int) -> None:
        self.parent = parent
        self.limit = limit
        self.end = end


class Cast:
    """The state of one broadcast at this node."""

    __slots__ = (
        "body", "branches", "cover", "created", "deadline", "id", "op", "open", "reported_to",
        "route", "searching", "ttl", "waiters",
    )  # fmt: skip

    def __init__(
        self,
        message_id: MessageId,
        created: float,
        body: bytes,
        route: list[Hop],
        ttl: int,
        deadline: float,
    ) -> None:
        self.id = message_id
        self.created = created
        self.body = body
        self.route = route
        self.ttl = ttl
        self.deadline = deadline
        self.cover = 0
        self.op: int | None = None
        self.branches: list[Branch] = []
        self.open = 0
        """How many branches are not done."""
        self.waiters: list[Waiter] = []
        self.searching: dict[int, int] = {}
        """Lookups under way for this cast: their tag -> the distance where their range starts."""
        self.reported_to: tuple[NodeRef, int] | None = None
        """Whom the counts of which distance were reported to last."""

    def add(self, branch: Branch) -> None:
        """Wait for one more branch."""
        self.branches.append(branch)
        self.open += 1

    def close(self, branch: Branch) -> None:
        """Wait for ``branch`` no longer."""
        if not branch.done:
            branch.done = True
            self.open -= 1

    def pending(self, end: int) -> bool:
        """Tell whether anything below distance ``end`` has not been covered yet."""
        if not self.open and not self.searching:
            return False
        return (
            end >= self.cover
            or any(not b.done and b.start < end for b in self.branches)
            or any(start < end for start in self.searching.values())
        )

    def finished(self) -> bool:
        """Tell whether nobody waits and nothing is under way."""
        return not (self.waiters or self.open or self.searching)

    def branch(self, child: bytes, limit: bytes) -> Branch | None:
        """Return the branch that a child's answer belongs to."""
        for branch in self.branches:
            if branch.limit == limit and branch.child.raw == child:
                return branch
        return None
