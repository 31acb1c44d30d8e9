"""The tree that a broadcast would travel, predicted from the nodes' pointers alone.

The rule is that of :class:`chordnet.core.broadcast.tree.Broadcasts`: a node responsible for the
range (self, limit) sends to its successor and to each distinct finger in it, with the next one as
that one's limit; a node that was reached through its predecessor's successor pointer, past a newer
predecessor, passes the message back to that one. In a ring at rest nothing else happens, and
messages travel as predicted. Wrong pointers show as nodes that are reached twice or not at all;
repairs are not predicted.

Source: El-Ansary, Alima, Brand, Haridi, "Efficient broadcast in structured P2P networks", IPTPS
2003, algorithm 1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

import attrs

from chordnet.core.base.identifiers import IdentifierSpace, between
from chordnet.core.base.messages import EdgeKind


@attrs.frozen
class Pointers:
    """Where one member points, as identifiers."""

    id: int
    predecessor: int | None
    successor: int | None
    """None in a ring of one."""
    fingers: frozenset[int]
    """The distinct nodes of the finger table."""


@attrs.frozen
class PredictedEdge:
    """One message of the tree."""

    sender: int
    receiver: int
    kind: EdgeKind
    depth: int
    """Edges from the origin to the receiver."""
    limit: int
    """The receiver is responsible for all nodes between itself and this identifier."""


@attrs.frozen
class Prediction:
    """What a broadcast of ``origin`` would do."""

    origin: int
    edges: tuple[PredictedEdge, ...]
    """By which a node is reached first, in the order of depth."""
    duplicates: tuple[PredictedEdge, ...]
    """To nodes that have the message by then."""
    unreached: frozenset[int]
    """Members that no edge leads to."""
    unknown: frozenset[int]
    """Nodes that would be sent the message and whose own pointers are not known."""

    @property
    def messages(self) -> int:
        """How many messages it takes."""
        return len(self.edges) + len(self.duplicates)

    @property
    def depth(self) -> int:
        """Edges from the origin to the deepest node."""
        return max((edge.depth for edge in self.edges), default=0)

    @property
    def parents(self) -> Mapping[int, PredictedEdge]:
        """The edge by which each node but the origin is reached first."""
        return {edge.receiver: edge for edge in self.edges}

    def route(self, node: int) -> list[int]:
        """Return the way from the origin to ``node``, both included.

        :raises KeyError: ``node`` is not reached.
        """
        parents, way = self.parents, [node]
        while way[-1] != self.origin:
            way.append(parents[way[-1]].sender)
        return way[::-1]


def predict(
    origin: int, members: Mapping[int, Pointers], space: IdentifierSpace, max_hops: int = 64
) -> Prediction:
    """Return the tree of a broadcast that ``origin`` would start now.

    :param members: all nodes of the ring, by identifier.
    :param max_hops: how far a broadcast may travel.
    :raises KeyError: ``origin`` is no member.
    """
    reached: dict[int, PredictedEdge | None] = {origin: None}
    waiting = deque(_fan(members[origin], origin, 1, space))
    first: list[PredictedEdge] = []
    again: list[PredictedEdge] = []
    while waiting:
        edge = waiting.popleft()
        if edge.receiver in reached:
            again.append(edge)
            continue
        reached[edge.receiver] = edge
        first.append(edge)
        receiver = members.get(edge.receiver)
        if receiver is not None and edge.depth < max_hops:
            waiting.extend(_fan(receiver, edge.limit, edge.depth + 1, space))
            waiting.extend(_back(receiver, edge, reached))
    return Prediction(
        origin,
        tuple(first),
        tuple(again),
        frozenset(members.keys() - reached.keys()),
        frozenset(reached.keys() - members.keys()),
    )


def _fan(node: Pointers, limit: int, depth: int, space: IdentifierSpace) -> Iterator[PredictedEdge]:
    """Yield what ``node`` sends to cover (node, limit), the farthest child first."""
    children = {space.distance(node.id, f): (f, EdgeKind.FINGER) for f in node.fingers}
    if node.successor is not None:
        near = space.distance(node.id, node.successor)
        children[near] = (node.successor, EdgeKind.SUCCESSOR)
    end = space.distance(node.id, limit) or space.size
    for distance in sorted(children, reverse=True):
        if 0 < distance < end:
            child, kind = children[distance]
            yield PredictedEdge(node.id, child, kind, depth, limit)
            end, limit = distance, child


def _back(
    node: Pointers, edge: PredictedEdge, reached: Mapping[int, PredictedEdge | None]
) -> Iterator[PredictedEdge]:
    """Yield the edge back to a predecessor that the tree may have passed by."""
    before = node.predecessor
    if before is None:
        return
    if edge.kind == EdgeKind.SUCCESSOR:
        passed_by = between(edge.sender, before, node.id)
    else:
        passed_by = edge.kind == EdgeKind.BACKFILL and before not in reached
    if passed_by:
        yield PredictedEdge(node.id, before, EdgeKind.BACKFILL, edge.depth + 1, node.id)
