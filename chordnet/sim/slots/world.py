"""One slot as one value: its nodes, what is under way, what was sent; and what may happen next.

What was sent stays on its way. It may arrive at any time, as often as it likes, or never: that is
loss, duplication and reordering in one. A question that nobody can take any more is dropped.

Steps are as coarse as they may be without hiding anything that matters. A coordinator that asks for
promises, contents or states gets the answers of one majority in one step. What changes the course
of events by being at one member only, an accept, a vote, an installation, arrives by itself. With
``every_message`` each question arrives by itself, and its answer may be lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.slot.attempts import Attempt
from chordnet.core.store.slot.collecting import Gathering
from chordnet.core.store.slot.reconfigure import Underway
from chordnet.core.store.slot.reserving import Pending
from chordnet.sim.slots.cell import Cell, Sent
from chordnet.sim.slots.judge import Judge, Node, Past, record_of
from chordnet.sim.slots.kept import Kept
from chordnet.sim.slots.plan import AT_MEMBERS, EXPIRES, KEY, NAMES, OF_SLOTS, Job, Kind, SlotPlan

ROUNDS = (msg.Prepare, msg.Reserve, msg.Read, msg.PrepareChange, msg.Fetch)
"""Questions that a whole majority answers in one step."""


class Task(NamedTuple):
    """A job, and how far it has come."""

    state: Attempt | Underway | Gathering | Pending | None = None
    """None: it has not begun, or is over."""
    over: bool = False
    bound: int = 0
    """The highest version that a client was told before it began."""
    attempts: int = 0
    asking: tuple[Sent, ...] = ()
    """Questions of the round under way."""
    asked: Get | Put | None = None
    """What a client asked for; None: no client did."""
    at: str = ""
    """The node that coordinates it."""
    retried: bool = False
    """Whether it was unconfirmed, and asked for again at another node."""


class State(NamedTuple):
    """All there is."""

    nodes: tuple[Node, ...]
    tasks: tuple[Task, ...]
    sent: tuple[Sent, ...]
    past: Past
    crashes: int = 0
    losses: int = 0


class Action(NamedTuple):
    """Something that may happen."""

    verb: str
    task: int = -1
    node: str = ""
    """Who crashes, loses its disk, or has a clock that goes on."""
    sent: Sent | None = None
    """What arrives."""
    at: tuple[str, ...] = ()
    """Of a round: who answers."""
    heard: bool = True
    """Whether the answer arrives."""


class World:
    """All states of one slot."""

    def __init__(self, plan: SlotPlan) -> None:
        self.plan = plan
        self.names = NAMES[: plan.nodes]
        members = tuple(Member(name, 1) for name in self.names[: plan.members])
        self.first = Configuration(1, 1, members)
        self.kept = Kept()
        self.judge = Judge(plan.wanted)
        self.cell = Cell(self.first, plan.safeguards, self.kept, one_round=plan.one_round)
        self.asked = [self._asked(number, job) for number, job in enumerate(plan.jobs)]

    @staticmethod
    def _asked(number: int, job: Job) -> Get | Put | None:
        request = f"w{number + 1}".encode()
        match job.kind:
            case Kind.GET:
                return Get(KEY)
            case Kind.PUT:
                return Put(KEY, request, request)
            case Kind.CREATE:
                return Put(KEY, request, request, if_version=0)
            case Kind.LEASE:
                return Put(KEY, request, request, expires=EXPIRES)
            case Kind.DELETE:
                return Put(KEY, None, request)
            case _:
                return None

    def beginning(self) -> State:
        """Return the state before anything has happened."""
        nodes = tuple(self.cell.new(name, 1, 1) for name in self.names)
        tasks = tuple(self.kept.same(Task()) for _ in self.plan.jobs)
        return State(nodes, tasks, (), self.kept.same(Past((self.first.members,))))

    def node(self, state: State, name: str) -> Node:
        """Return the node of this name."""
        return state.nodes[self.names.index(name)]

    # ---- what may happen --------------------------------------------------------------------

    def actions(self, state: State) -> Iterator[Action]:
        """Yield everything that may happen."""
        plan = self.plan
        for number, task in enumerate(state.tasks):
            yield from self._of_task(state, number, task)
        for sent in state.sent:
            yield from self._arrivals(sent)
        for name in self.names:
            if state.crashes < plan.crashes:
                yield Action("crash", node=name)
            if state.losses < plan.losses:
                yield Action("lose", node=name)
        late = sum(node.late for node in state.nodes)
        for node in state.nodes:
            if late < plan.clocks and not node.late:
                yield Action("tick", node=node.me.node)

    def _of_task(self, state: State, number: int, task: Task) -> Iterator[Action]:
        if task.state is None:
            if not task.over and self._is_next(state, number):
                yield from self._with_majorities("begin", number, self._asked_first(state, number))
        elif isinstance(task.state, Gathering):
            return
        elif task.asking:
            yield from self._with_majorities("round", number, _asked_now(task.state))
        elif isinstance(task.state, Pending):
            return
        elif task.attempts < self.plan.attempts:
            yield from self._with_majorities("again", number, _asked_now(task.state))
        if self.plan.deadlines and isinstance(task.asked, Put):
            assert isinstance(task.state, Attempt)
            if task.state.since is None:
                yield Action("expire", number)
            elif self.plan.retries and not task.retried:
                yield Action("retry", number)

    def _asked_first(self, state: State, number: int) -> Configuration:
        job = self.plan.jobs[number]
        if job.kind is Kind.CHANGE:
            return self.node(state, job.node).head.configuration
        return self.first

    def _with_majorities(self, verb: str, number: int, asked: Configuration) -> Iterator[Action]:
        kind = self.plan.jobs[number].kind
        if self.plan.every_message or kind in AT_MEMBERS or kind is Kind.COLLECT:
            yield Action(verb, number)
            return
        for members in combinations(asked.members, asked.majority):
            yield Action(verb, number, at=tuple(member.node for member in members))

    def _is_next(self, state: State, number: int) -> bool:
        """Return True if a job may begin; of equal ones it makes no difference which is first."""
        job = self.plan.jobs[number]
        if job.kind in OF_SLOTS:
            node = self.node(state, job.node)
            if node.me not in node.head.configuration.members:
                return False
            if job.kind is not Kind.CHANGE and not self._can(state, job.kind, node):
                return False
        return all(
            task.state is not None or task.over
            for task, other in zip(state.tasks[:number], self.plan.jobs, strict=False)
            if other == job
        )

    def _can(self, state: State, kind: Kind, node: Node) -> bool:
        """Return True if a member may do this with the records that it has."""
        record = record_of(node.records)
        if node.head.sealed:
            return False
        if kind is Kind.LIFT:
            return self.highest(state) > node.head.floor.promised
        if record is None or record.content.value is not None:
            return False
        return (kind is Kind.CLEAR) == (record.accepted == NONE)

    @staticmethod
    def highest(state: State) -> Ballot:
        """Return the highest ballot that any member has promised for the key."""
        records = [record_of(node.records) for node in state.nodes]
        return max((each.promised for each in records if each is not None), default=NONE)

    def _arrivals(self, sent: Sent) -> Iterator[Action]:
        if self.plan.every_message:
            yield Action("arrive", sent=sent)
            yield Action("arrive", sent=sent, heard=False)
        elif isinstance(sent.message, msg.Chosen):
            told = sent.message
            for members in combinations(told.previous.members, told.previous.majority):
                yield Action("arrive", sent=sent, at=tuple(each.node for each in members))
            for member in told.configuration.members:
                if member.node != sent.to:
                    yield Action("arrive", sent=sent, at=(member.node,))
        else:
            yield Action("arrive", sent=sent)

    def gathering(self, node: Node) -> Gathering:
        """Return a collection that has not begun, of what a member has on its disk."""
        record = record_of(node.records)
        assert record is not None
        return Gathering(node.head.configuration, ((KEY, record.accepted),))

    def wanted(self, job: Job, configuration: Configuration, nodes: tuple[Node, ...]) -> Underway:
        """Return a change that has not begun, from what its leader has installed."""
        seated = configuration.members
        stay = tuple(each for each in seated if each.node != job.leaver)
        comers = [each.me for each in nodes if each.me.node == job.comer]
        possible = (len(stay) < len(seated)) == bool(job.leaver) and not any(
            each.node == job.comer for each in stay
        )
        members = tuple(sorted((*stay, *comers))) if possible else seated
        return Underway(configuration, members)


def _asked_now(state: Attempt | Underway | Pending) -> Configuration:
    return state.old if isinstance(state, Underway) else state.configuration
