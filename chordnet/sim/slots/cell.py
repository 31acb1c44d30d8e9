"""One node's classes as functions: what it is and what reaches it give what it is afterwards.

The real :class:`Registers`, :class:`Installation`, :class:`Operation` and :class:`Change` are put
into a state, take one thing, and are read back. Nothing of the protocol is modelled here. As they
are pure, each case is run once and remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot, Ballots
from chordnet.core.store.base.configurations import (
    Configuration,
    Following,
    Head,
    Member,
    Reservation,
    blank,
)
from chordnet.core.store.base.effects import (
    AllDropped,
    Changed,
    Effect,
    Ended,
    Follows,
    HeadKept,
    Keep,
    RecordDropped,
    RecordKept,
    Reserves,
    Say,
)
from chordnet.core.store.base.messages import Address
from chordnet.core.store.base.outcomes import Outcome
from chordnet.core.store.base.records import Content, Record
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.slot.attempts import Attempt, follows
from chordnet.core.store.slot.collecting import AT_COLLECTION, Collection, Gathering
from chordnet.core.store.slot.operations import AT_OPERATION, Operation
from chordnet.core.store.slot.reconfigure import AT_LEADER, Change, Copying, Installation, Underway
from chordnet.core.store.slot.registers import AT_MEMBER, Registers
from chordnet.core.store.slot.reserving import (
    AT_RESERVATION,
    Pending,
    Reserving,
    fingerprint,
    fits,
    following,
    numbers_in,
)
from chordnet.sim.slots.judge import Node
from chordnet.sim.slots.kept import Kept
from chordnet.sim.slots.plan import EXPIRES, KEY

WHERE = (b"f", 0)
ANOTHER = b"another"
"""A key that was deleted, at version :data:`HIGH`."""
HIGH = 9
BURIED = Content(None, HIGH, None, ())
ANSWERS = msg.Answer.__args__


class Sent(NamedTuple):
    """A message between two nodes."""

    sender: str
    to: str
    message: msg.StoreMessage


class AtMember(NamedTuple):
    """What came of a message to a member."""

    node: Node
    answers: tuple[Sent, ...]
    asks: tuple[Sent, ...]
    """What it asks others in turn."""


class AtCoordinator(NamedTuple):
    """What came of something to a coordinator."""

    node: Node
    state: Attempt | Underway | Gathering | Pending
    asks: tuple[Sent, ...]
    outcome: Outcome | None
    """How the operation ended, if it did."""
    over: bool


AT_NEW_MEMBER: dict[type, Callable[..., None]] = {
    msg.Chosen: Installation.on_chosen,
    msg.Snapshot: Installation.on_snapshot,
}


class Cell:
    """Runs the real classes.

    :param first: the configuration of epoch 1.
    :param one_round: whether coordinators have their next write promised.
    """

    def __init__(
        self,
        first: Configuration,
        safeguards: StoreSafeguards,
        kept: Kept,
        *,
        one_round: bool = False,
    ) -> None:
        self.one_round = one_round
        self.first = first
        self.safeguards = safeguards
        self.runs = 0
        self._kept = kept

    # ---- nodes ------------------------------------------------------------------------------

    def new(self, name: str, store: int, run: int, *, late: bool = False) -> Node:
        """Return a node with an empty disk.

        :param late: its clock has passed the end of leases.
        """
        me = Member(name, store)
        by_name = name in [each.node for each in self.first.members]
        mine = me in self.first.members if self.safeguards.store_id else by_name
        head = Head(*WHERE, self.first) if mine else blank(*WHERE, self.first.generation)
        return self._kept.same(Node(me, run, 0, head, (), head, (), late=late))

    def restarted(self, node: Node) -> Node:
        """Return a node as it comes back with its disk."""
        head, records = node.disk_head, node.disk_records
        run = node.run + 1
        back = Node(node.me, run, 0, head, records, head, records, late=node.late)
        return self._kept.same(back)

    def ticked(self, node: Node) -> Node:
        """Return a node whose clock has passed the end of leases."""
        return self._kept.same(node._replace(late=True))

    def _registers(
        self, node: Node, records: dict[bytes, Record], effects: list[Effect]
    ) -> Registers:
        return Registers(node.me, node.head, records, effects, self.safeguards, clock_of(node))

    def without_copying(self, node: Node) -> Node:
        """Return a node that hears nothing more for its installation."""
        return node if node.copying is None else self._kept.same(node._replace(copying=None))

    def at_member(self, node: Node, sent: Sent) -> AtMember:
        """Let a message reach the member that a node is."""
        return self._kept.remembered(self._at_member, node, sent)

    def _at_member(self, node: Node, sent: Sent) -> AtMember:
        self.runs += 1
        effects: list[Effect] = []
        registers = self._registers(node, dict(node.records), effects)
        copying = node.copying
        assert copying is None or isinstance(copying, Copying)
        installation = Installation(registers, effects, copying)
        kind = type(sent.message)
        if kind in AT_MEMBER:
            AT_MEMBER[kind](registers, sent.sender, sent.message)
        else:
            AT_NEW_MEMBER[kind](installation, sent.sender, sent.message)
        after = node._replace(
            head=registers.head,
            records=tuple(sorted(registers.records.items())),
            copying=installation.copying,
        )
        for effect in effects:
            if isinstance(effect, Keep):
                after = _written(after, effect)
        said = list(self._said(sent.to, effects))
        return AtMember(
            self._kept.same(after),
            tuple(each for each in said if isinstance(each.message, ANSWERS)),
            tuple(each for each in said if not isinstance(each.message, ANSWERS)),
        )

    def cleared(self, node: Node) -> Node:
        """Return a node that has dropped what it has only promised."""
        return self._kept.remembered(self._cleared, node)

    def _cleared(self, node: Node) -> Node:
        effects: list[Effect] = []
        registers = self._registers(node, dict(node.records), effects)
        registers.drop([(KEY, NONE)])
        return self._by_itself(node, registers, effects)

    def lifted(self, node: Node, ballot: Ballot) -> Node:
        """Return a node that has dropped the tombstone of another key, of this ballot."""
        return self._kept.remembered(self._lifted, node, self._kept.same(ballot))

    def _lifted(self, node: Node, ballot: Ballot) -> Node:
        effects: list[Effect] = []
        records = {**dict(node.records), ANOTHER: Record(ballot, ballot, BURIED)}
        registers = self._registers(node, records, effects)
        installed = node.head.configuration
        address = Address(*WHERE, installed.generation, installed.epoch, node.me.store)
        registers.on_drop(node.me.node, msg.Drop(address, 0, ((ANOTHER, ballot),)))
        return self._by_itself(node, registers, effects)

    def _by_itself(self, node: Node, registers: Registers, effects: list[Effect]) -> Node:
        self.runs += 1
        records = tuple(sorted(registers.records.items()))
        after = node._replace(head=registers.head, records=records)
        for effect in effects:
            assert isinstance(effect, Keep)
            after = _written(after, effect)
        return self._kept.same(after)

    def _said(self, name: str, effects: list[Effect]) -> Iterator[Sent]:
        for effect in effects:
            if isinstance(effect, Say):
                yield self._kept.same(Sent(name, effect.to, effect.message))

    # ---- coordinators -----------------------------------------------------------------------

    def begun(self, node: Node, asked: Get | Put) -> tuple[Node, Attempt]:
        """Return an operation that has not begun, and its node, with what it was promised used."""
        ahead, reserved = node.ahead, node.reserved
        if isinstance(ahead, Following) and follows(ahead, asked, self.first):
            node = node._replace(ahead=None)
        elif isinstance(reserved, Reservation) and _is_new(reserved, asked, self.first):
            ahead, node = following(reserved), node._replace(reserved=None)
        else:
            ahead = None
        attempt = Operation.at_first(asked, self.first, (), ahead, lasting=self.one_round)
        return self._kept.same(node), self._kept.same(attempt)

    def operate(
        self, node: Node, rid: int, asked: Get | Put, attempt: Attempt, what: str | Sent
    ) -> AtCoordinator:
        """Let an operation of a node's begin, go on, run out of time, or hear an answer."""
        return self._kept.remembered(self._operate, node, rid, asked, attempt, what)

    def _operate(
        self, node: Node, rid: int, asked: Get | Put, attempt: Attempt, what: str | Sent
    ) -> AtCoordinator:
        effects: list[Effect] = []
        ballots = Ballots(node.me.node, node.run, node.counter)
        operation = Operation(
            rid, asked, WHERE, ballots, effects, attempt, self.safeguards, clock_of(node)
        )
        _hear(operation, AT_OPERATION, what)
        return self._came_of(node, ballots, operation.attempt, effects)

    def lead(self, node: Node, rid: int, underway: Underway, what: str | Sent) -> AtCoordinator:
        """Let a change that a node leads begin or hear an answer."""
        return self._kept.remembered(self._lead, node, rid, underway, what)

    def _lead(self, node: Node, rid: int, underway: Underway, what: str | Sent) -> AtCoordinator:
        effects: list[Effect] = []
        ballots = Ballots(node.me.node, node.run, node.counter)
        change = Change(rid, WHERE, ballots, effects, underway)
        _hear(change, AT_LEADER, what)
        return self._came_of(node, ballots, change.underway, effects)

    def collect(self, node: Node, rid: int, now: Gathering, what: str | Sent) -> AtCoordinator:
        """Let a collection that a node leads begin or hear an answer."""
        return self._kept.remembered(self._collect, node, rid, now, what)

    def _collect(self, node: Node, rid: int, now: Gathering, what: str | Sent) -> AtCoordinator:
        effects: list[Effect] = []
        ballots = Ballots(node.me.node, node.run, node.counter)
        collection = Collection(rid, WHERE, effects, now, self.safeguards)
        _hear(collection, AT_COLLECTION, what)
        over = collection.gathering.over
        return self._came_of(node, ballots, collection.gathering, effects)._replace(over=over)

    def reserve(self, node: Node, rid: int, now: Pending, what: str | Sent) -> AtCoordinator:
        """Let the reservation of a slot begin or hear an answer."""
        return self._kept.remembered(self._reserve, node, rid, now, what)

    def _reserve(self, node: Node, rid: int, now: Pending, what: str | Sent) -> AtCoordinator:
        effects: list[Effect] = []
        ballots = Ballots(node.me.node, node.run, node.counter)
        reserving = Reserving(rid, WHERE, ballots, effects, now)
        _hear(reserving, AT_RESERVATION, what)
        over = reserving.pending.over
        return self._came_of(node, ballots, reserving.pending, effects)._replace(over=over)

    def _came_of(
        self, node: Node, ballots: Ballots, state: Any, effects: list[Effect]
    ) -> AtCoordinator:
        self.runs += 1
        outcomes = [each.outcome for each in effects if isinstance(each, Ended)]
        changed = any(isinstance(each, Changed) for each in effects)
        ahead = [each.following for each in effects if isinstance(each, Follows)]
        held = [each.reservation for each in effects if isinstance(each, Reserves)]
        after = node._replace(
            counter=ballots.counter,
            ahead=ahead[0] if ahead else node.ahead,
            reserved=held[0] if held else node.reserved,
        )
        return AtCoordinator(
            self._kept.same(after),
            self._kept.same(state),
            tuple(self._said(node.me.node, effects)),
            self._kept.same(outcomes[0]) if outcomes else None,
            bool(outcomes) or changed,
        )


def _hear(
    coordinator: object, table: dict[type, Callable[[Any, str, Any], None]], what: str | Sent
) -> None:
    """Have a coordinator begin, or do whatever else is named, or hear a message if it knows it."""
    if isinstance(what, str):
        getattr(coordinator, what)()
    elif type(what.message) in table:
        table[type(what.message)](coordinator, what.sender, what.message)


def _is_new(reserved: Reservation, asked: Get | Put, configuration: Configuration) -> bool:
    """Return True if a write can be done with what was promised for all new keys."""
    known = fingerprint(KEY) in numbers_in(reserved.known)
    return fits(reserved, asked, configuration) and not known


def clock_of(node: Node) -> Callable[[], float]:
    """Return what tells the time at a node."""
    return lambda: 2 * EXPIRES if node.late else 0.0


def _written(node: Node, keep: Keep) -> Node:
    """Write to a node's disk: all of it, or the node would not answer."""
    head, records = node.disk_head, dict(node.disk_records)
    for entry in keep.entries:
        if isinstance(entry, HeadKept):
            head = entry.head
        elif isinstance(entry, AllDropped):
            records.clear()
        elif isinstance(entry, RecordKept):
            records[entry.key] = entry.record
        elif isinstance(entry, RecordDropped):
            records.pop(entry.key, None)
    return node._replace(disk_head=head, disk_records=tuple(sorted(records.items())))
