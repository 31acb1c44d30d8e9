"""The routes of a node, sorted by distance: which node to pass a key or a broadcast on to.

They are rebuilt from the successor list and the finger table whenever one of them changes, and
searched by bisection.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Iterable, Sequence

from chordnet.core.base.messages import EdgeKind, NodeRef
from chordnet.core.kernel.context import Context


class Routes:
    """Sorted pointers. Distances are clockwise from this node, in ``(0, 2**bits)``."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._distances: list[int] = []
        self._nodes: list[NodeRef] = []
        self.raws: frozenset[bytes] = frozenset()
        """The identifiers of all nodes pointed to."""
        self.tree: list[tuple[int, NodeRef, EdgeKind]] = []
        """Successor and distinct fingers, nearest first: the edges of broadcast trees."""

    def rebuild(self, successors: Sequence[NodeRef], fingers: Iterable[NodeRef]) -> None:
        """Rebuild the routes from the tables as they are now."""
        distance = self._ctx.distance
        by_distance = {distance(node): node for node in fingers}
        tree = {d: (d, node, EdgeKind.FINGER) for d, node in by_distance.items()}
        if successors:
            d = distance(successors[0])
            tree[d] = (d, successors[0], EdgeKind.SUCCESSOR)
        self.tree = [tree[d] for d in sorted(tree)]
        by_distance.update((distance(node), node) for node in successors)
        self._distances = sorted(by_distance)
        self._nodes = [by_distance[d] for d in self._distances]
        self.raws = frozenset(node.raw for node in self._nodes)

    def preceding(self, distance: int) -> NodeRef | None:
        """Return the node closest before ``distance`` (closest preceding node, ToN 2003 fig. 3)."""
        index = bisect_left(self._distances, distance)
        return self._nodes[index - 1] if index else None

    def closest(self, distance: int, exclude: Container[bytes], limit: int) -> list[NodeRef]:
        """Return up to ``limit`` nodes before ``distance``, closest first, without ``exclude``."""
        index = bisect_left(self._distances, distance)
        found: list[NodeRef] = []
        while index and len(found) < limit:
            index -= 1
            if self._nodes[index].raw not in exclude:
                found.append(self._nodes[index])
        return found

    def nodes(self) -> list[NodeRef]:
        """Return every node pointed to, nearest first."""
        return self._nodes
