"""One step: everything that follows at once from one action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot, below
from chordnet.core.store.base.configurations import Head, Member
from chordnet.core.store.base.outcomes import Outcome
from chordnet.core.store.base.records import Record
from chordnet.core.store.base.requests import Put
from chordnet.core.store.slot.attempts import Attempt, Phase
from chordnet.core.store.slot.collecting import Gathering
from chordnet.core.store.slot.operations import Operation
from chordnet.core.store.slot.reconfigure import Step, Underway
from chordnet.core.store.slot.reserving import Pending
from chordnet.sim.slots.cell import AtCoordinator, Sent
from chordnet.sim.slots.judge import Node, Past, record_of
from chordnet.sim.slots.plan import AT_MEMBERS, Kind
from chordnet.sim.slots.world import ROUNDS, Action, State, Task, World

Told = tuple[int, Outcome]
"""Which job has ended, and how."""


def after(
    world: World, state: State, action: Action, told: Callable[[Told], None] | None = None
) -> State:
    """Return what comes of an action.

    :param told: is told how operations end.
    :raises BrokenError: something that must never happen.
    """
    return _Turn(world, state, told).perform(action)


class _Turn:
    def __init__(self, world: World, state: State, told: Callable[[Told], None] | None) -> None:
        self._world = world
        self._told = told
        self._cell = world.cell
        self._kept = world.kept
        self._judge = world.judge
        self._nodes = list(state.nodes)
        self._tasks = list(state.tasks)
        self._sent = {id(each): each for each in state.sent}
        self._past = state.past
        self._before = state

    def perform(self, action: Action) -> State:
        crashes, losses = self._before.crashes, self._before.losses
        if action.verb == "begin":
            self._begin(action.task)
        elif action.verb in ("again", "expire"):
            self._coordinate(action.task, action.verb)
        elif action.verb == "retry":
            self._retry(action.task)
        if action.verb in ("begin", "again", "round") and action.at:
            self._round(action.task, action.at)
        elif action.verb == "arrive":
            assert action.sent is not None
            self._arrive(action.sent, action.at, heard=action.heard)
        elif action.verb == "tick":
            index = self._index(action.node)
            self._nodes[index] = self._cell.ticked(self._nodes[index])
        elif action.verb in ("crash", "lose"):
            self._stop(action.node, lost=action.verb == "lose")
            crashes += action.verb == "crash"
            losses += action.verb == "lose"
        sent = tuple(each for each in self._sent.values() if not self._is_stale(each))
        return State(tuple(self._nodes), tuple(self._tasks), sent, self._past, crashes, losses)

    def _remember(self, note: Callable[..., Past], *parts: Any) -> None:
        self._past = self._kept.remembered(note, self._past, *parts)

    # ---- nodes ------------------------------------------------------------------------------

    def _index(self, name: str) -> int:
        return self._world.names.index(name)

    def _stop(self, name: str, *, lost: bool) -> None:
        index = self._index(name)
        node = self._nodes[index]
        if lost:
            after = self._cell.new(name, node.me.store + 1, node.run + 1, late=node.late)
        else:
            after = self._cell.restarted(node)
        self._become(index, after)
        for number, task in enumerate(self._tasks):
            if task.at == name:
                self._tasks[number] = self._kept.same(Task(over=True))

    def _become(self, index: int, after: Node) -> None:
        before = self._nodes[index]
        if after is before:
            return
        self._nodes[index] = after
        if after.head is not before.head or after.records is not before.records:
            self._judge.moved_on(before, after)
            self._remember(self._judge.dropped, before, after)
        if after.head.configuration != before.head.configuration and after.me == before.me:
            self._remember(self._judge.installed, after)

    def _arrive(self, sent: Sent, at: tuple[str, ...], *, heard: bool) -> None:
        """Let a question reach a member; ``at`` says who answers what that asks in turn."""
        for each in self._take(sent, heard=heard):
            if self._world.plan.every_message:
                self._sent[id(each)] = each
            elif each.to in at:
                self._take(each, heard=True)
        if at:
            # The answers of those that were not asked come too late to change anything.
            index = self._index(sent.to)
            self._nodes[index] = self._cell.without_copying(self._nodes[index])

    def _take(self, sent: Sent, *, heard: bool) -> tuple[Sent, ...]:
        """Let a member take a message; return what it asks others in turn."""
        index = self._index(sent.to)
        before = self._nodes[index]
        ran = self._cell.at_member(before, sent)
        self._become(index, ran.node)
        for answer in ran.answers:
            self._judge.heed(before, answer.message)
            if isinstance(answer.message, msg.Accepted | msg.ChangeAccepted):
                self._remember(self._judge.accepted, before.me, answer.message)
            if heard:
                self._hear(answer)
        return ran.asks

    def _hear(self, answer: Sent) -> None:
        if isinstance(answer.message, msg.Snapshot):
            self._take(answer, heard=True)
        elif self._tasks[answer.message.rid].at == answer.to:
            self._coordinate(answer.message.rid, answer)

    # ---- coordinators -----------------------------------------------------------------------

    def _begin(self, number: int) -> None:
        world, job = self._world, self._world.plan.jobs[number]
        state: Attempt | Underway | Gathering | Pending
        asked = world.asked[number]
        index = self._index(job.node)
        node = self._nodes[index]
        if job.kind is Kind.CLEAR:
            self._become(index, self._cell.cleared(node))
        elif job.kind is Kind.LIFT:
            self._become(index, self._cell.lifted(node, world.highest(self._before)))
        if job.kind in AT_MEMBERS:
            self._tasks[number] = self._kept.same(Task(over=True))
            return
        if asked is not None:
            self._nodes[index], state = self._cell.begun(node, asked)
        elif job.kind is Kind.COLLECT:
            state = world.gathering(node)
        elif job.kind is Kind.RESERVE:
            state = Pending(world.first, first=self._is_first(number))
        else:
            installed = node.head.configuration
            state = world.wanted(job, installed, tuple(self._nodes))
        state, bound = self._kept.same(state), self._past.version
        task = Task(state, bound=bound, asked=asked, at=job.node)
        self._tasks[number] = self._kept.same(task)
        self._coordinate(number, "begin")

    def _is_first(self, number: int) -> bool:
        """Return True if a node has not begun a job of this kind before."""
        job = self._world.plan.jobs[number]
        same = zip(self._tasks, self._world.plan.jobs, strict=True)
        return not any(
            (task.over or task.state is not None)
            and (other.kind, other.node) == (job.kind, job.node)
            for task, other in same
        )

    def _retry(self, number: int) -> None:
        """Let a write run out of time, and its client ask for it again at the next node."""
        task, names = self._tasks[number], self._world.names
        asked = task.asked
        assert isinstance(asked, Put)
        assert isinstance(task.state, Attempt)
        self._coordinate(number, "expire")
        asked = self._kept.same(replace(asked, since=task.state.since))
        state = self._kept.same(Operation.at_first(asked, self._world.first))
        at = names[(names.index(task.at) + 1) % len(names)]
        task = Task(state, bound=task.bound, asked=asked, at=at, retried=True)
        self._tasks[number] = self._kept.same(task)
        self._coordinate(number, "begin")

    def _coordinate(self, number: int, what: str | Sent) -> None:
        task = self._tasks[number]
        index = self._index(task.at)
        asked, state = task.asked, task.state
        if isinstance(state, Attempt):
            assert asked is not None
            ran = self._cell.operate(self._nodes[index], number, asked, state, what)
        elif isinstance(state, Gathering):
            ran = self._cell.collect(self._nodes[index], number, state, what)
        elif isinstance(state, Pending):
            ran = self._cell.reserve(self._nodes[index], number, state, what)
        else:
            assert state is not None
            ran = self._cell.lead(self._nodes[index], number, state, what)
        self._nodes[index] = ran.node
        for sent in ran.asks:
            if isinstance(sent.message, msg.Accept) and isinstance(ran.state, Attempt):
                members = ran.state.configuration.members
                self._judge.buried(self._past, sent.message.content, members, self._nodes)
            if isinstance(sent.message, msg.Accept | msg.AcceptChange):
                self._remember(self._judge.proposed, sent.message)
        if ran.outcome is not None:
            if self._told is not None:
                self._told((number, ran.outcome))
            request = asked.request if isinstance(asked, Put) else b""
            self._remember(self._judge.ended, ran.outcome, request, task.bound)
        every = self._world.plan.every_message
        if every:
            self._sent |= {id(sent): sent for sent in ran.asks}
        else:
            asks = [sent for sent in ran.asks if not isinstance(sent.message, ROUNDS)]
            self._sent |= {id(sent): sent for sent in asks}
        self._tasks[number] = self._kept.remembered(_next, task, ran, every)

    def _round(self, number: int, at: tuple[str, ...]) -> None:
        asking = self._tasks[number].asking
        for sent in asking:
            if sent.to in at and self._tasks[number].asking == asking:
                self._take(sent, heard=True)
        if self._tasks[number].asking == asking:
            task = self._tasks[number]._replace(asking=())
            self._tasks[number] = self._kept.same(task)

    # ---- what nobody can take any more ------------------------------------------------------

    def _is_stale(self, sent: Sent) -> bool:
        """Return True if a question changes nothing any more, now or ever."""
        guards = self._world.plan.safeguards
        if not (guards.promise_on_disk and guards.store_id):
            return False
        node = self._nodes[self._index(sent.to)]
        if self._cell.at_member(node, sent).node is not node:
            # The rules below say what a member does not take; but that is for the member to say.
            return False
        every = self._world.plan.every_message
        if (every or isinstance(sent.message, msg.Collect)) and self._awaits(sent):
            return self._kept.remembered(_is_misdirected, node, sent)
        return self._kept.remembered(_changes_nothing, node, sent)

    def _awaits(self, sent: Sent) -> bool:
        """Return True if the asker still waits for an answer to this."""
        message = sent.message
        if isinstance(message, msg.Fetch):
            return self._nodes[self._index(sent.sender)].copying is not None
        state = self._tasks[message.rid].state
        if isinstance(message, msg.Collect):
            member = Member(sent.to, message.address.store)
            return isinstance(state, Gathering) and member not in state.answered
        if isinstance(message, msg.Drop) or isinstance(state, Gathering):
            return False
        if isinstance(message, msg.Read):
            return isinstance(state, Attempt) and state.phase == Phase.READ
        if isinstance(message, msg.Chosen):
            return isinstance(state, Underway) and state.step == Step.INSTALL
        if isinstance(message, msg.Forget) or state is None:
            return False
        ballots = msg.Prepare | msg.Accept | msg.Reserve | msg.PrepareChange | msg.AcceptChange
        assert isinstance(message, ballots)
        return state.ballot == message.ballot


def _next(task: Task, ran: AtCoordinator, every_message: bool) -> Task:
    """Return a task as it is after its coordinator has run."""
    if ran.over:
        return Task(over=True)
    before, state = task.state, ran.state
    assert before is not None
    if isinstance(before, Gathering) or isinstance(state, Gathering):
        return task._replace(state=state)
    if isinstance(before, Pending) or isinstance(state, Pending):
        asks = () if every_message else ran.asks
        return task._replace(state=state, asking=asks or task.asking)
    attempts = task.attempts + (state.ballot > before.ballot)
    asking = task.asking if _round_of(before) == _round_of(state) else ()
    if not every_message:
        asking = tuple(s for s in ran.asks if isinstance(s.message, ROUNDS)) or asking
    return task._replace(state=state, attempts=attempts, asking=asking)


def _round_of(state: Attempt | Underway) -> tuple[object, ...]:
    if isinstance(state, Attempt):
        return state.configuration, state.phase, state.ballot
    return state.step, state.ballot


def _is_misdirected(node: Node, sent: Sent) -> bool:
    """Return True if a question is for another disk, or for an epoch that its member has left."""
    address = sent.message.address
    return address.store != node.me.store or node.head.configuration.epoch > address.epoch


def _changes_nothing(node: Node, sent: Sent) -> bool:
    """Return True if a question whose answer nobody waits for is of no use any more."""
    head, message = node.head, sent.message
    if _is_misdirected(node, sent) or isinstance(message, msg.Read | msg.Fetch | msg.Collect):
        return True
    if isinstance(message, msg.Chosen):
        return head.configuration.epoch == message.address.epoch
    if isinstance(message, msg.Forget):
        return head.emptied
    if head.configuration.epoch < message.address.epoch:
        return False
    if isinstance(message, msg.AcceptChange | msg.PrepareChange):
        promised, done = head.promised, NONE if head.vote is None else head.vote.ballot
    elif isinstance(message, msg.Reserve):
        return head.floor.promised >= below(message.ballot)
    else:
        assert isinstance(message, msg.Accept | msg.Prepare | msg.Drop)
        record = record_of(node.records)
        if isinstance(message, msg.Drop):
            return head.sealed or _is_dropped(head, record, message.tombstones[0][1])
        if record is None:
            return head.floor.promised >= message.ballot
        promised, done = record.promised, record.accepted
    if isinstance(message, msg.Prepare | msg.PrepareChange):
        done = promised
    return done == message.ballot or promised > message.ballot


def _is_dropped(head: Head, record: Record | None, ballot: Ballot) -> bool:
    """Return True if a member has no such tombstone, and takes none."""
    if record is None:
        return head.floor.promised >= ballot
    return record.accepted > ballot or (record.accepted == NONE and record.promised > ballot)
