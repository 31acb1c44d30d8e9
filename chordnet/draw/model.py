"""What a drawing of a ring shows: its nodes by identifier, their fingers, the tree of a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import cos, pi, sin
from typing import Any

import attrs

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.draw.keymark import KeyMark
from chordnet.survey.errors import TestbedError, command
from chordnet.survey.report import Report
from chordnet.survey.verdict import Names
from chordnet.wire.rpc import MessageRecord, NodeStatus

Ref = int | str
"""A node's number, or the name of any other node."""

REPAIRS = frozenset({"reassign", "extend", "backfill", "caught_up"})


@attrs.frozen
class Finger:
    """A pointer across the ring."""

    node: Ref
    reach: int
    """The highest slot that holds it, counted from the top: 0 reaches at least half round the
    ring, 1 at least a quarter, and so on."""


@attrs.frozen
class RingNode:
    """A node on the ring."""

    ref: Ref
    id: int
    turn: float
    """Where it stands: 0 at the top, clockwise, in [0, 1)."""
    successor: Ref | None
    fingers: tuple[Finger, ...]
    gone: bool = False
    """It is not in the ring (any more) and drawn because a message concerned it."""

    @property
    def label(self) -> str:
        """``Node 4``, or a visitor's name."""
        return f"Node {self.ref}" if isinstance(self.ref, int) else self.ref

    def at(self, radius: float, centre: tuple[float, float]) -> tuple[float, float]:
        """Return its place on a circle; y grows downwards."""
        return point(self.turn, radius, centre)


def point(turn: float, radius: float, centre: tuple[float, float]) -> tuple[float, float]:
    """Return the point ``turn`` of the way round a circle, clockwise from the top."""
    angle = 2 * pi * turn
    return centre[0] + radius * sin(angle), centre[1] - radius * cos(angle)


@attrs.frozen
class Arrival:
    """How a message came to a node."""

    route: tuple[Ref, ...]
    kind: str
    note: str = ""
    """What to say beside the route."""

    @property
    def depth(self) -> int:
        """Edges from the origin."""
        return len(self.route) - 1

    @property
    def is_repair(self) -> bool:
        """Whether the last edge was travelled to repair the tree."""
        return self.kind in REPAIRS

    def text(self, arrow: str = "→") -> str:
        """Return ``4 → 12 → 8``."""
        return f" {arrow} ".join(str(ref) for ref in self.route)


@attrs.frozen
class Overlay:
    """An arrow over the tree that is not one of its edges."""

    start: Ref
    end: Ref
    kind: str
    """duplicate, lost or predicted."""


@attrs.frozen
class Tree:
    """The spanning tree that a message travelled."""

    message: str
    body: str
    arrivals: Mapping[Ref, Arrival]
    """By the node that recorded it."""
    heading: str = ""
    """What the picture says of it; empty for the usual words."""
    overlays: tuple[Overlay, ...] = ()
    absent: str = "did not record it"
    """What is said of a node without an arrival."""
    start: str = "sent it"
    """What is said of the origin."""

    @property
    def depth(self) -> int:
        """Edges from the origin to the deepest node."""
        return max(arrival.depth for arrival in self.arrivals.values())

    @property
    def origin(self) -> Ref:
        """The node that sent it first."""
        return next(iter(self.arrivals.values())).route[0]


@attrs.frozen
class RingModel:
    """Everything that a drawing shows."""

    network: str
    bits: int
    nodes: tuple[RingNode, ...]
    """In the order of the ring."""
    tree: Tree | None = None
    mark: KeyMark | None = None
    """A key that is shown."""

    def node(self, ref: Ref) -> RingNode | None:
        """Return the node called ``ref`` if it is on the ring."""
        return next((node for node in self.nodes if node.ref == ref), None)

    def hex(self, node: RingNode) -> str:
        """Return the identifier of ``node`` as zero-padded hex of the whole width."""
        return IdentifierSpace(self.bits).hex(node.id)


def ring_model(report: Report, tree: Tree | None = None) -> RingModel:
    """Return the drawing's contents from what the nodes said."""
    names, space = report.names, report.network.space
    statuses = [s for s in report.snapshot.statuses.values() if s.state == "active"]
    statuses += [v for v in report.snapshot.visitors.values() if isinstance(v, NodeStatus)]
    nodes = sorted((_node(names, space, status) for status in statuses), key=lambda n: n.id)
    return RingModel(report.network.name, space.bits, tuple(nodes), tree)


def _node(names: Names, space: IdentifierSpace, status: NodeStatus) -> RingNode:
    identifier = int(status.node.id, 16)
    highest = {names.ref(f.node.id, f.node.name): f.index for f in status.fingers}
    successors = [names.ref(node.id, node.name) for node in status.successors[:1]]
    return RingNode(
        ref=names.ref(status.node.id, status.node.name),
        id=identifier,
        turn=identifier / space.size,
        successor=successors[0] if successors else None,
        fingers=tuple(Finger(ref, space.bits - 1 - slot) for ref, slot in highest.items()),
    )


def message_tree(names: Names, logs: Mapping[Any, Sequence[MessageRecord]], message: str) -> Tree:
    """Return the tree of a message from what each node recorded of it.

    :param message: its id, or ``last`` for the one that was sent last.
    :raises TestbedError: no node has recorded it.
    """
    if message == "last":
        every = [record for log in logs.values() for record in log]
        message = max(every, key=lambda record: record.created).id if every else message
    records = [record for log in logs.values() for record in log if record.id == message]
    if not records:
        raise TestbedError(
            f"no node has recorded a message with the id '{message}'; "
            f"ids are shown by: {command('get-messages NODE --json', names.network)}"
        )
    arrivals = {}
    for record in sorted(records, key=lambda r: len(r.route)):
        route = tuple(names.ref(hop.id, hop.name) for hop in record.route)
        arrivals[route[-1]] = Arrival(route, record.route[-1].kind)
    return Tree(message, records[0].body, arrivals)
