"""All states of one slot that is recovered, and what may happen in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from typing import Any

from msgspec.structs import replace

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballots
from chordnet.core.store.base.configurations import (
    Configuration,
    Head,
    Member,
    Recovery,
    blank,
    recoveries,
)
from chordnet.core.store.base.effects import Changed, Effect, Ended, Say, Wait
from chordnet.core.store.base.outcomes import Conflict, Done, Found, Outcome
from chordnet.core.store.base.records import GROUND
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.slot.attempts import Attempt, Phase
from chordnet.core.store.slot.operations import Operation
from chordnet.core.store.slot.reconfigure import (
    AT_LEADER,
    Change,
    Installation,
    Step,
    Underway,
    newest_of,
    recovered,
)
from chordnet.core.store.slot.recovery import Findings, Recovering, Stage
from chordnet.core.store.slot.registers import AT_MEMBER, Registers
from chordnet.sim.generations.plan import (
    NAMES,
    BrokenError,
    Disk,
    Job,
    Past,
    Plan,
    Property,
    Sent,
    State,
    Task,
)

WHERE = (b"f", 0)
KEY = b"k"
ROUNDS = (msg.Prepare, msg.Read)
FOR_KEYS = msg.Promised | msg.Accepted | msg.Told


Happening = tuple[str, State]


class World:
    """All states of one slot."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.names = NAMES[: plan.nodes]
        self.members = tuple(Member(name, 1) for name in self.names[:3])

    # ---- the real classes -------------------------------------------------------------------

    def _at(self, disk: Disk, sender: str, message: Any) -> tuple[Disk, list[Say]]:
        """Let a member take a request."""
        effects: list[Effect] = []
        registers = self._registers(disk, effects)
        AT_MEMBER[type(message)](registers, sender, message)
        head = registers.head
        if not self.plan.promises and isinstance(message, msg.Inquire):
            head = replace(head, recovering=disk.head.recovering)
        after = Disk(disk.me, head, tuple(sorted(registers.records.items())))
        return after, [each for each in effects if isinstance(each, Say)]

    def _registers(self, disk: Disk, effects: list[Effect]) -> Registers:
        return Registers(disk.me, disk.head, dict(disk.records), effects, self.plan.safeguards)

    def _operation(self, number: int, state: Attempt, effects: list[Effect]) -> Operation:
        job = self.plan.jobs[number]
        request = f"w{number + 1}".encode()
        asked = Get(KEY) if job.kind == "get" else Put(KEY, request, request)
        return Operation(number, asked, WHERE, Ballots(job.node, number + 1), effects, state)

    def _recovering(self, number: int, state: Findings, effects: list[Effect]) -> Recovering:
        return Recovering(
            number, WHERE, effects, state, 3, lambda: number, lambda _member: True, sorted
        )

    # ---- the beginning ----------------------------------------------------------------------

    def beginning(self) -> State:
        """Return the state after what was done before, or that the slot began with."""
        first = Configuration(1, 1, self.members)
        disks = []
        for name in self.names:
            me = Member(name, 1)
            head = Head(*WHERE, first) if me in self.members else blank(*WHERE, 1)
            disks.append(Disk(me, head))
        state = State(tuple(disks), tuple(Task() for _ in self.plan.jobs), frozenset(), Past())
        for number, job in enumerate(self.plan.jobs):
            if job.done_at:
                state = self._begin(state, number, first, tuple(job.done_at))
                for sent in sorted(state.sent, key=repr):
                    if sent.to in job.done_at:
                        state = self._deliver(state, sent, heard=True)
                state = state._replace(sent=frozenset())
        return _second_epoch(self, state) if self.plan.behind else state

    # ---- what may happen --------------------------------------------------------------------

    def steps(self, state: State) -> Iterator[Happening]:
        """Yield everything that may happen, and what comes of it."""
        for number, (job, task) in enumerate(zip(self.plan.jobs, state.tasks, strict=True)):
            if isinstance(task.state, Findings):
                yield from self._of_recovery(state, number, task.state)
            elif task.state is None and not task.over:
                yield from self._beginnings(state, number, job)
        for sent in sorted(state.sent, key=repr):
            yield from self._arrivals(state, sent)

    def _beginnings(self, state: State, number: int, job: Job) -> Iterator[Happening]:
        """Yield how a job may begin: with which majority."""
        head = self._disk(state, job.node).head
        if job.kind == "recover":
            yield f"{job.node} begins a recovery", self._order(state, number)
            return
        is_member = job.node in [member.node for member in head.configuration.members]
        if job.kind == "change" and not is_member:
            return
        known = head.known if head.known.members else Configuration(1, 1, self.members)
        for at in _majorities(head.configuration if job.kind == "change" else known):
            text = f"{job.node} does {job.kind} with {', '.join(at)}"
            if job.kind == "change":
                yield text, self._change(state, number, at)
            else:
                yield text, self._begin(state, number, known, at)

    def _of_recovery(self, state: State, number: int, now: Findings) -> Iterator[Happening]:
        job = self.plan.jobs[number]
        if now.stage != Stage.PROMISE:
            return
        for node in now.silent:
            for heard in (True, False):
                lost = "" if heard else "; the answer is lost"
                yield (
                    f"{node} promises recovery {number + 1}{lost}",
                    self._inquire(state, number, node, heard=heard),
                )
        if now.heard:
            heard_of = ", ".join(node for node, _ in now.heard)
            yield f"{job.node} decides by {heard_of}", self._weigh(state, number)

    def _arrivals(self, state: State, sent: Sent) -> Iterator[Happening]:
        what = type(sent.message).__name__
        if isinstance(sent.message, msg.Chosen):
            told, new = sent.message, sent.message.configuration
            sources = [tuple(each.node for each in told.previous.members)]
            if told.previous.generation == new.generation:
                sources = list(_majorities(told.previous))
            sources += [(each.node,) for each in new.members]
            for at in dict.fromkeys(sources):
                text = f"{sent.to} is told of job {told.rid + 1}"
                yield f"{text}, state from {', '.join(at)}", self._install(state, sent, at)
            return
        for heard in (True, False):
            lost = "" if heard else "; the answer is lost"
            yield (
                f"{what} of {sent.sender} reaches {sent.to}{lost}",
                self._deliver(state, sent, heard=heard),
            )

    def _disk(self, state: State, name: str) -> Disk:
        return state.disks[self.names.index(name)]

    # ---- recoveries -------------------------------------------------------------------------

    def _order(self, state: State, number: int) -> State:
        job, effects = self.plan.jobs[number], list[Effect]()
        known = self._disk(state, job.node).head.known
        known = known if known.members else Configuration(1, 1, self.members)
        recovering = self._recovering(number, Findings(known), effects)
        recovering.inquire(self.names)
        recovering.promise()
        return _with_task(state, number, Task(recovering.findings))

    def _inquire(self, state: State, number: int, node: str, *, heard: bool) -> State:
        task, effects = state.tasks[number], list[Effect]()
        assert isinstance(task.state, Findings)
        sender, disk = self.plan.jobs[number].node, self._disk(state, node)
        question = msg.Inquire(msg.Address(*WHERE, 0, 0, 0), number, task.state.generation)
        after, said = self._at(disk, sender, question)
        state = self._with_disk(state, disk, after)
        recovering = self._recovering(number, task.state, effects)
        if heard:
            for say in said:
                assert isinstance(say.message, msg.Inquired)
                recovering.on_inquired(node, say.message)
        return _with_task(state, number, task._replace(state=recovering.findings))

    def _weigh(self, state: State, number: int) -> State:
        task, effects = state.tasks[number], list[Effect]()
        assert isinstance(task.state, Findings)
        recovering = self._recovering(number, task.state, effects)
        recovering.weigh()
        return self._after_recovery(state, number, recovering, effects)

    def _after_recovery(
        self, state: State, number: int, recovering: Recovering, effects: list[Effect]
    ) -> State:
        now, job = recovering.findings, self.plan.jobs[number]
        sent = {
            Sent(job.node, each.to, each.message)
            for each in effects
            if isinstance(each, Say) and isinstance(each.message, msg.Recover)
        }
        state = state._replace(sent=state.sent | sent)
        if now.stage == Stage.INSTALL and now.recovery is not None:
            state = self._takes_place(state, number, now.recovery)
        over = now.stage in (Stage.INSTALL, Stage.OVER, Stage.OVERTAKEN)
        return _with_task(state, number, Task(None if over else now, over))

    def _takes_place(self, state: State, number: int, recovery: Recovery) -> State:
        past, new = state.past, recovery.configuration
        task = state.tasks[number].state
        heard = task.heard if isinstance(task, Findings) else ()
        knows = frozenset(answer.newest for _, answer in heard)
        for other, known in past.chosen:
            if other == recovery or other.configuration in knows or new in known:
                continue
            if _age(other.configuration) == _age(new):
                raise BrokenError(Property.ONE_CONFIGURATION, f"there are two of {_age(new)}")
            if recovery.left.members and other.left == recovery.left:
                raise BrokenError(
                    Property.ONE_OF_TWO, "two recoveries take place from the same disks"
                )
        if recovery not in [each for each, _ in past.chosen]:
            left = [self._disk(state, member.node) for member in recovery.left.members]
            records, _ = recovered(new, newest_of(disk.records for disk in left), GROUND)
            content = next((record.content for _, record in records), None)
            chosen = tuple(sorted((*past.chosen, (recovery, knows)), key=repr))
            kept = (*past.kept, (new.generation, content))
            past = past._replace(chosen=chosen, kept=kept)
        sender = self.plan.jobs[number].node
        told = {
            Sent(
                sender,
                member.node,
                msg.Chosen(_to(new, member), number, recovery.left, new),
            )
            for member in new.members
        }
        return state._replace(past=past, sent=state.sent | told)

    def _install(self, state: State, sent: Sent, at: tuple[str, ...]) -> State:
        """Let a member of a new generation take its state from those in ``at``."""
        disk, effects = self._disk(state, sent.to), list[Effect]()
        registers = self._registers(disk, effects)
        installation = Installation(registers, effects)
        assert isinstance(sent.message, msg.Chosen)
        installation.on_chosen(sent.sender, sent.message)
        asked = [each for each in effects if isinstance(each, Say) and each.to in at]
        for say in asked:
            if not isinstance(say.message, msg.Fetch):
                continue
            if say.to == sent.to:
                registers.on_fetch(sent.to, say.message)
                said = [each for each in effects if isinstance(each, Say)][-1:]
            else:
                _, said = self._at(self._disk(state, say.to), sent.to, say.message)
            for each in said:
                if isinstance(each.message, msg.Snapshot):
                    installation.on_snapshot(say.to, each.message)
        after = Disk(disk.me, registers.head, tuple(sorted(registers.records.items())))
        state = self._with_disk(state, disk, after)
        now = state.tasks[sent.message.rid].state
        messages = (effect.message for effect in effects if isinstance(effect, Say))
        has = [(sent.to, each) for each in messages if isinstance(each, msg.Installed)]
        if not has or not isinstance(now, Underway):
            return state
        return self._led(state, sent.message.rid, now, has)

    # ---- changes ----------------------------------------------------------------------------

    def _change(self, state: State, number: int, at: tuple[str, ...]) -> State:
        """Begin a change of what its leader has installed."""
        job = self.plan.jobs[number]
        installed = self._disk(state, job.node).head.configuration
        stay = {each for each in installed.members if each.node not in job.seats[:1]}
        comers = {disk.me for disk in state.disks if disk.me.node in job.seats[1:]}
        fits = len(stay) < len(installed.members) and not comers & stay
        members = tuple(sorted(stay | comers)) if fits else installed.members
        return self._led(state, number, Underway(installed, members), [], at)

    def _led(
        self,
        state: State,
        number: int,
        now: Underway,
        answers: list[tuple[str, Any]],
        at: tuple[str, ...] = (),
    ) -> State:
        """Let the leader of a change hear answers, or begin; those in ``at`` promise."""
        node, effects = self.plan.jobs[number].node, list[Effect]()
        change = Change(number, WHERE, Ballots(node, number + 1), effects, now)
        if at:
            change.begin()
        over, chosen = False, now.step == Step.INSTALL
        while answers or effects:
            if answers:
                sender, answer = answers.pop(0)
                if type(answer) in AT_LEADER:
                    AT_LEADER[type(answer)](change, sender, answer)
                continue
            effect = effects.pop(0)
            over = over or isinstance(effect, Changed | Wait)
            if isinstance(effect, Say) and isinstance(effect.message, msg.PrepareChange):
                if effect.to in at:
                    disk = self._disk(state, effect.to)
                    after, said = self._at(disk, node, effect.message)
                    state = self._with_disk(state, disk, after)
                    answers += [(effect.to, each.message) for each in said]
            elif isinstance(effect, Say):
                message: Any = effect.message
                state = state._replace(sent=state.sent | {Sent(node, effect.to, message)})
        if change.underway.step == Step.INSTALL and not chosen:
            state = state._replace(past=_chosen(state.past, change.new))
        return _with_task(state, number, Task(None if over else change.underway, over))

    # ---- operations -------------------------------------------------------------------------

    def _begin(self, state: State, number: int, known: Configuration, at: tuple[str, ...]) -> State:
        effects: list[Effect] = []
        asked = self._operation(number, Attempt(known, Phase.WAIT), effects)
        asked.begin()
        task = Task(asked.attempt, bound=state.past.highest)
        return self._go_on(_with_task(state, number, task), number, asked, effects, at)

    def _go_on(
        self,
        state: State,
        number: int,
        operation: Operation,
        effects: list[Effect],
        at: tuple[str, ...] = (),
    ) -> State:
        """Send what an operation asks for; rounds are answered by those in ``at``."""
        node = self.plan.jobs[number].node
        ends: list[Outcome] = []
        while effects:
            effect = effects.pop(0)
            if isinstance(effect, Ended):
                ends.append(effect.outcome)
            elif isinstance(effect, Say) and isinstance(effect.message, ROUNDS):
                if effect.to in at:
                    disk = self._disk(state, effect.to)
                    after, said = self._at(disk, node, effect.message)
                    state = self._with_disk(state, disk, after, said)
                    for each in said:
                        _hear(operation, effect.to, each.message)
            elif isinstance(effect, Say):
                message: Any = effect.message
                state = state._replace(sent=state.sent | {Sent(node, effect.to, message)})
        task = state.tasks[number]
        stuck = operation.attempt.phase in (Phase.WAIT, Phase.ENDED)
        for outcome in ends:
            generation = operation.attempt.configuration.generation
            state = state._replace(past=_told(state.past, task, generation, outcome, number))
        after_task = Task(over=True) if stuck or ends else task._replace(state=operation.attempt)
        return _with_task(state, number, after_task)

    # ---- messages ---------------------------------------------------------------------------

    def _deliver(self, state: State, sent: Sent, *, heard: bool) -> State:
        disk = self._disk(state, sent.to)
        after, said = self._at(disk, sent.sender, sent.message)
        state = self._with_disk(state, disk, after, said)
        number, effects = sent.message.rid, list[Effect]()
        now = state.tasks[number].state
        if not heard or now is None:
            return state
        if isinstance(now, Attempt):
            operation = self._operation(number, now, effects)
            for each in said:
                _hear(operation, sent.to, each.message)
            return self._go_on(state, number, operation, effects)
        if isinstance(now, Underway):
            return self._led(state, number, now, [(sent.to, each.message) for each in said])
        recovering = self._recovering(number, now, effects)
        for each in said:
            if isinstance(each.message, msg.RecoverAccepted):
                recovering.on_accepted(sent.to, each.message)
            elif isinstance(each.message, msg.Refused):
                recovering.on_refused(sent.to, each.message)
        return self._after_recovery(state, number, recovering, effects)

    # ---- states -----------------------------------------------------------------------------

    def _with_disk(
        self, state: State, before: Disk, after: Disk, said: Iterable[Say] = ()
    ) -> State:
        name = before.me.node
        for each in said:
            answer = each.message
            if isinstance(answer, FOR_KEYS):
                generation = answer.address.generation
                if before.head.known.generation > generation:
                    raise BrokenError(
                        Property.STEPS_DOWN, f"{name} answers in an outdated generation"
                    )
        if _standing(after.head) < _standing(before.head):
            raise BrokenError(Property.NEVER_BACK, f"the head of {name} goes back")
        if after.head.configuration != before.head.configuration:
            _check_beginning(state.past, after)
        index = self.names.index(name)
        return state._replace(disks=(*state.disks[:index], after, *state.disks[index + 1 :]))

    def tidied(self, state: State) -> State:
        """Drop messages that change nothing any more, whenever they arrive."""
        return state._replace(
            sent=frozenset(sent for sent in state.sent if self._matters(state, sent))
        )

    def _matters(self, state: State, sent: Sent) -> bool:
        disk = self._disk(state, sent.to)
        if isinstance(sent.message, msg.Chosen):
            return sent.message.configuration.follows(disk.head.configuration)
        if state.tasks[sent.message.rid].state is not None:
            return True
        return self._at(disk, sent.sender, sent.message)[0] != disk


def _second_epoch(world: World, state: State) -> State:
    second = Configuration(1, 2, world.members)
    records = newest_of(disk.records for disk in state.disks)
    disks = []
    for disk in state.disks:
        effects: list[Effect] = []
        registers = Registers(disk.me, disk.head, dict(disk.records), effects)
        if disk.me.node in world.plan.behind:
            registers.learn(second)
        elif disk.me in world.members:
            registers.install(second, records, GROUND)
        disks.append(Disk(disk.me, registers.head, tuple(sorted(registers.records.items()))))
    return state._replace(disks=tuple(disks))


def _told(past: Past, task: Task, generation: int, outcome: Outcome, number: int) -> Past:
    if isinstance(outcome, Found | Conflict):
        content = outcome.content if isinstance(outcome, Found) else outcome.present
        version, least = content.version, 0
        made = [(each.version, each.request) for each in content.requests]
    elif isinstance(outcome, Done):
        version, least = outcome.version, 1
        made = [(version, f"w{number + 1}".encode())]
    else:
        return past
    if version < dict(task.bound).get(generation, 0) + least:
        raise BrokenError(Property.ONE_HISTORY, f"version {version} is told after a later one")
    told = {*past.told, *((generation, *each) for each in made)}
    inside = [(v, r) for g, v, r in told if g == generation]
    if len({v for v, _ in inside}) < len(inside) or len({r for _, r in inside}) < len(inside):
        raise BrokenError(Property.ONE_HISTORY, "clients are told two histories")
    for other, v, _request in told:
        earlier = recoveries(other) < recoveries(generation)
        if earlier and any(v >= mine for mine, _ in inside):
            raise BrokenError(Property.ONE_HISTORY, f"version {v} is told in two generations")
    highest = {**dict(past.highest)}
    highest[generation] = max(version, highest.get(generation, 0))
    return past._replace(told=tuple(sorted(told)), highest=tuple(sorted(highest.items())))


def _majorities(configuration: Configuration) -> Iterator[tuple[str, ...]]:
    for some in combinations(configuration.members, configuration.majority):
        yield tuple(member.node for member in some)


def _chosen(past: Past, new: Configuration) -> Past:
    """Take note of a configuration that members have chosen."""
    if any(_age(other) == _age(new) and other != new for other in past.changes):
        raise BrokenError(Property.ONE_CONFIGURATION, f"there are two of {_age(new)}")
    return past._replace(changes=tuple(sorted({*past.changes, new}, key=repr)))


def _age(configuration: Configuration) -> tuple[int, int]:
    return configuration.generation, configuration.epoch


def _to(configuration: Configuration, member: Member) -> msg.Address:
    return msg.Address(*WHERE, *_age(configuration), member.store)


def _standing(head: Head) -> tuple[object, ...]:
    return _age(head.configuration), _age(head.known), head.recovering


def _hear(operation: Operation, sender: str, answer: Any) -> None:
    handlers: dict[type, Callable[[str, Any], None]] = {
        msg.Promised: operation.on_promised,
        msg.Told: operation.on_told,
        msg.Accepted: operation.on_accepted,
        msg.Outrun: operation.on_outrun,
    }
    # Where the slot is now a new operation finds out; this one ends without a result.
    if type(answer) in handlers:
        handlers[type(answer)](sender, answer)


def _with_task(state: State, number: int, task: Task) -> State:
    tasks = (*state.tasks[:number], task, *state.tasks[number + 1 :])
    return state._replace(tasks=tasks)


def _check_beginning(past: Past, disk: Disk) -> None:
    """Hold what a member has installed against what its generation begins with."""
    generation = disk.head.configuration.generation
    kept = dict(past.kept)
    if generation not in kept:
        return
    record = next((record for _, record in disk.records), None)
    began = record is None or record.accepted.counter == 0
    content = None if record is None or record.accepted == NONE else record.content
    if began and content != kept[generation]:
        text = f"{disk.me.node} begins generation {generation} with something else"
        raise BrokenError(Property.NOTHING_BEHIND, text)
