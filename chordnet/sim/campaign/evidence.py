"""What a simulated network delivered and what its nodes recorded, judged from outside the nodes.

The log is the transport's: it holds what the simulated network handed to a process, with sender and
receiver. A message that was sent and lost is not in it. Rules for a record with the route r:

- it is the process's only one of this message, with the body that was published;
- r begins at the message's origin and ends at the process;
- the last but one node of r has recorded the message before, and its route is r without the end;
- the edge between the two is in the log: a ``Bcast`` of the kind that the route names, or the
  ``Caught`` of a hand-over.

As every record is judged when it is made, the rules for its last edge make its whole route true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import attrs

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.messages import Bcast, Bodies, Caught, EdgeKind, Hop, MessageId
from chordnet.sim.world.host import Host
from chordnet.sim.world.network import Network

MAX_FAULTS = 20
"""Faults of one kind that are described; the rest is counted."""
REPAIRS = frozenset({EdgeKind.REASSIGN, EdgeKind.EXTEND, EdgeKind.BACKFILL})

_BODIES = -1
"""Stands in the log for the bodies that a header's receiver asked for."""

Edge = tuple[MessageId, bytes, bytes]


@attrs.frozen
class Given:
    """A receipt, and the state of the ring at the moment when it was given."""

    done: fx.BroadcastDone
    at: float
    lacking: tuple[str, ...]
    """Live members that had not recorded the message yet."""


class Evidence:
    """A watcher of ``network`` that keeps the log and checks every record against it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._log: dict[Edge, set[int]] = {}
        self._bodies: dict[MessageId, bytes] = {}
        self._records: dict[MessageId, dict[bytes, list[Hop]]] = {}
        self._lacking: dict[MessageId, dict[bytes, str]] = {}
        self._expected: dict[bytes, str] = {}
        self.members: set[bytes] = set()
        """The members of the ring before anything happened."""
        self.receipts: dict[int, Given] = {}
        self.twice: list[str] = []
        self.untrue: list[str] = []
        self.counts: Counter[str] = Counter()
        """Edges by kind, and ``borrowed``: the route names the header's sender and the body came
        from another node."""
        network.watchers.append(self)

    # ---- what is expected -------------------------------------------------------------------

    def published(self, message_id: MessageId, body: bytes) -> None:
        """Expect every node to record this message. Call it before the message exists."""
        self._bodies[message_id] = body
        self._records[message_id] = {}
        self._lacking[message_id] = dict(self._expected)

    def joined(self, host: Host) -> None:
        """Expect one more process to record everything."""
        self._expected[host.ref.raw] = host.ref.name
        for lacking in self._lacking.values():
            lacking[host.ref.raw] = host.ref.name

    @property
    def complete(self) -> bool:
        """Whether every live process has recorded everything."""
        return not any(self._lacking.values())

    def missing(self, but: Collection[MessageId] = ()) -> list[str]:
        """Return a line for each message that a live process lacks, except those in ``but``."""
        return [
            f"{name} lacks {message_id}"
            for message_id, lacking in self._lacking.items()
            if message_id not in but
            for name in lacking.values()
        ]

    def holders(self, message_id: MessageId) -> int:
        """Return how many live processes have recorded a message."""
        return len(self._expected) - len(self._lacking[message_id])

    # ---- what happens -----------------------------------------------------------------------

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        """Log what was delivered, and judge what it led to."""
        if type(event) is ev.Received:
            message = event.message
            if isinstance(message, Bcast):
                self._deliver(event.sender.raw, host, message.id, message.count, message.kind)
                if message.bodies is not None:
                    self._deliver(event.sender.raw, host, message.id, message.count, _BODIES)
            elif type(message) is Bodies:
                count = len(message.bodies)
                self._deliver(event.sender.raw, host, message.id, count, _BODIES)
            elif isinstance(message, Caught):
                self._deliver(event.sender.raw, host, message.id, 1, EdgeKind.CAUGHT_UP)
        for effect in effects:
            if type(effect) is fx.Record:
                self._recorded(host, effect)
            elif type(effect) is fx.BroadcastDone:
                lacking = self._lacking.get(effect.id, {}) if effect.id is not None else {}
                names = tuple(name for raw, name in lacking.items() if raw in self.members)
                self.receipts[effect.op] = Given(effect, self._network.now, names)

    def faulted(self, host: Host, what: str) -> None:
        """Expect nothing of a process that has ended."""
        if what in ("killed", "left"):
            self._expected.pop(host.ref.raw, None)
            for lacking in self._lacking.values():
                lacking.pop(host.ref.raw, None)

    def _deliver(self, sender: bytes, host: Host, first: MessageId, count: int, kind: int) -> None:
        for offset in range(count):
            key = (first.plus(offset) if offset else first, sender, host.ref.raw)
            self._log.setdefault(key, set()).add(kind)

    # ---- records ----------------------------------------------------------------------------

    def _recorded(self, host: Host, record: fx.Record) -> None:
        records = self._records.setdefault(record.id, {})
        if host.ref.raw in records:
            _put(self.twice, f"{host.ref.name} recorded {record.id} twice")
            return
        fault = self._fault(host, record)
        if fault:
            names = " -> ".join(hop.name for hop in record.route)
            _put(self.untrue, f"{host.ref.name}, {record.id}, route {names}: {fault}")
        records[host.ref.raw] = record.route
        self._lacking.get(record.id, {}).pop(host.ref.raw, None)

    def _fault(self, host: Host, record: fx.Record) -> str:
        """Return what is wrong with a record; an empty text if nothing is."""
        route = record.route
        if record.id not in self._bodies:
            return "no node has published it"
        if record.body != self._bodies[record.id]:
            return "its body is another one than was published"
        if not route or route[0].raw != record.id.origin or route[-1].raw != host.ref.raw:
            return "the route does not lead from the origin to here"
        if len(route) == 1:
            self.counts["origin"] += 1
            return "" if route[0].kind == EdgeKind.ORIGIN else "it begins with an edge"
        parent, last = route[-2], route[-1]
        if self._records[record.id].get(parent.raw) != route[:-1]:
            return f"{parent.name} has not recorded the route up to itself"
        travelled = self._log.get((record.id, parent.raw, host.ref.raw), set())
        if last.kind not in travelled:
            return f"no {EdgeKind(last.kind).name.lower()} edge from {parent.name} was delivered"
        self.counts[EdgeKind(last.kind).name.lower()] += 1
        if last.kind != EdgeKind.CAUGHT_UP and _BODIES not in travelled:
            self.counts["borrowed"] += 1
        return ""


def _put(faults: list[str], text: str) -> None:
    if len(faults) < MAX_FAULTS:
        faults.append(text)
