"""One run: a store, clients, faults; then all faults end, and the history is judged.

What must hold at the end:

- the history is linearizable a key, which includes that nothing confirmed was lost;
- once the faults have stopped, every slot serves again within :data:`RECOVERY_S`, and every key can
  be read through every node, each with the same answer;
- every watch that goes on has told its key's last version by then.

Disks are taken one at a time, and only while every slot has all its members: so each run keeps what
the store's promise assumes. The same holds of disks that are replaced by an older copy, which is
done on demand only (``old_disks``).

All wall clocks are within two seconds of the true time, one at a time excepted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import attrs

from chordnet.core.store.base import outcomes as end
from chordnet.core.store.base.records import Content
from chordnet.core.store.base.requests import Get
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.judge.store.anomalies import Verdict
from chordnet.judge.store.check import HistoryFound, check_history
from chordnet.judge.store.history import Operation
from chordnet.sim.store.clients import CLOCKS_S, Client, Mix
from chordnet.sim.store.liar import Liar
from chordnet.sim.store.watchers import Audience
from chordnet.sim.store.world import Disk, StoreWorld

LEAVE_S = 3.0
"""A node that leaves waits until no slot has needed it for so long."""
RECOVERY_S = 60.0
CALM_S = 10.0
"""After the last write, until every watch has to have told of it."""
FORMING_S = 30.0
FAR_S = 60.0
"""A clock that is wrong is wrong by up to so much."""
LATE_S = 4 * CLOCKS_S
"""Nothing is read so long after its end: by then all clocks are past it, whoever set it."""


@attrs.frozen
class Plan:
    """What a run is made of."""

    nodes: int = 7
    founders: int = 3
    slots: int = 16
    keys: int = 20
    clients: int = 8
    watchers: int = 4
    """Clients that watch keys."""
    operations: int = 2000
    fault_s: float = 1.0
    """Between two faults, on average."""
    mix: Mix = attrs.field(factory=Mix)
    quiet: bool = False
    """Without faults."""
    old_disks: bool = False
    """Whether nodes come back with an older copy of their disk."""
    liars: int = 0
    """Nodes besides these that hold nothing and lie."""
    collect_pace: float = 0.05
    """Factor of the pauses before deleted keys are collected."""
    safeguards: StoreSafeguards = attrs.field(factory=StoreSafeguards)
    """What the nodes do because it goes wrong without."""


@attrs.define
class Report:
    """How a run went."""

    seed: int
    problems: list[str] = attrs.field(factory=list)
    outcomes: Counter[str] = attrs.field(factory=Counter)
    faults: Counter[str] = attrs.field(factory=Counter)
    seconds: float = 0.0
    """Virtual."""
    recovered: float = 0.0
    """Seconds after the faults until all was right."""
    collected: int = 0
    """Records without a value that members have dropped."""
    history: list[Operation] = attrs.field(factory=list)
    judged: HistoryFound | None = None


class _Faults:
    """What goes wrong in a run, drawn from the world's own source."""

    def __init__(self, world: StoreWorld, plan: Plan, report: Report) -> None:
        self._world = world
        self._plan = plan
        self._report = report
        self._made = plan.nodes
        self._leaving: set[str] = set()
        self._gone: set[str] = set()
        self._copies: dict[str, Disk] = {}
        self._off: tuple[str, float] | None = None
        """Whose clock is wrong, and by how much it was ahead before."""
        self.going = True
        self._later()

    def _later(self) -> None:
        delay = 2 * self._plan.fault_s * self._world.rng.random()
        self._world.at(self._world.now + delay, self._strike)

    def _strike(self) -> None:
        if not self.going:
            return
        kinds: dict[str, Callable[[], bool]] = {
            "killed": self._kill,
            "wiped": self._wipe,
            "joined": self._join,
            "left": self._leave,
            "partitioned": self._partition,
            "deaf": self._one_way,
            "lossy": self._lose,
            "frozen": self._freeze,
            "clock": self._clock,
        }
        if self._plan.old_disks:
            kinds |= {"copied": self._copy, "old disk": self._bring_back}
        kind = self._world.rng.choice(sorted(kinds))
        if kinds[kind]():
            self._report.faults[kind] += 1
        self._later()

    def _after(self, low: float, high: float, action: Callable[[], None]) -> None:
        world = self._world
        world.at(world.now + low + (high - low) * world.rng.random(), action)

    def _some(self) -> str | None:
        names = [p.name for p in self._world.live() if not p.frozen]
        names = [name for name in names if name not in self._world.liars]
        names = [name for name in names if name not in self._leaving]
        return self._world.rng.choice(names) if len(names) > 3 else None

    def _kill(self) -> bool:
        name = self._some()
        if name is None:
            return False
        self._world.kill(name)
        self._after(0.5, 25.0, lambda: self._back(name))
        return True

    def _back(self, name: str) -> None:
        if not self._world.processes[name].up and name not in self._leaving:
            self._world.restart(name)

    def _wipe(self) -> bool:
        name = self._some()
        if name is None or not in_step(self._world):
            return False
        self._world.kill(name)
        self._world.restart(name, wiped=True)
        return True

    def _copy(self) -> bool:
        name = self._some()
        if name is None:
            return False
        self._copies[name] = self._world.processes[name].disk.copy()
        return True

    def _bring_back(self) -> bool:
        """Start a node with the copy of its disk that was taken some time ago."""
        world = self._world
        names = [
            name
            for name, copy in self._copies.items()
            if name not in self._leaving
            and world.processes[name].up
            and not world.processes[name].frozen
            and world.processes[name].disk.store == copy.store
        ]
        if not names or not in_step(world):
            return False
        name = world.rng.choice(sorted(names))
        world.kill(name)
        world.restart(name, copy=self._copies.pop(name))
        return True

    def _join(self) -> bool:
        if len(self._world.live()) >= 2 * self._plan.nodes:
            return False
        self._made += 1
        self._world.start(f"n{self._made}")
        return True

    def _leave(self) -> bool:
        name, world = self._some(), self._world
        if name is None or len(world.live()) <= 5:
            return False
        self._leaving.add(name)
        world.vacate(name)
        self._watch_leaver(name)
        return True

    def _watch_leaver(self, name: str, since: float | None = None) -> None:
        process, now = self._world.processes[name], self._world.now
        if not process.up or process.node.seats:
            since = None
        elif since is None:
            since = now
        elif now >= since + LEAVE_S:
            self._world.kill(name)
            self._gone.add(name)
            return
        self._after(0.5, 0.6, lambda: self._watch_leaver(name, since))

    def _partition(self) -> bool:
        world = self._world
        if world.cut:
            return False
        names = [process.name for process in world.processes.values()]
        world.rng.shuffle(names)
        cut = world.rng.randrange(1, len(names))
        world.partition(names[:cut], names[cut:])
        self._after(2.0, 12.0, world.heal)
        return True

    def _one_way(self) -> bool:
        first, second, world = self._some(), self._some(), self._world
        if first is None or second is None or first == second or world.cut:
            return False
        cut = world.rng.randrange(3)
        if cut == 0:
            world.cut_one_way(first, second)
        elif cut == 1:
            world.mute(first)
        else:
            world.deafen(first)
        self._after(2.0, 12.0, world.heal)
        return True

    def _lose(self) -> bool:
        world = self._world
        world.loss = 0.2 * world.rng.random()
        self._after(1.0, 5.0, world.heal)
        return True

    def _clock(self) -> bool:
        """Set the clock of one node far wrong, for a while."""
        name, world = self._some(), self._world
        if name is None or self._off is not None:
            return False
        self._off = name, world.processes[name].offset
        world.processes[name].offset = world.rng.uniform(-FAR_S, FAR_S)
        self._after(2.0, 20.0, self._set_right)
        return True

    def _set_right(self) -> None:
        if self._off is not None:
            name, offset = self._off
            self._world.processes[name].offset = offset
            self._off = None

    def _freeze(self) -> bool:
        name, world = self._some(), self._world
        if name is None:
            return False
        world.freeze(name)
        self._after(1.0, 8.0, lambda: self._thaw(name))
        return True

    def _thaw(self, name: str) -> None:
        if self._world.processes[name].frozen:
            self._world.thaw(name)

    def end(self) -> None:
        """End all of it: what was killed comes back, but not who has left."""
        self.going = False
        world = self._world
        world.heal()
        self._set_right()
        for process in list(world.processes.values()):
            if process.frozen:
                world.thaw(process.name)
            if not process.up and process.name not in self._gone:
                world.restart(process.name)


def in_step(world: StoreWorld) -> bool:
    """Return True if every slot has all its members, live, with its newest state."""
    return not any(world.out_of_step())


def run(seed: int, plan: Plan) -> Report:
    """Do one run."""
    founders = tuple(f"n{k}" for k in range(plan.founders))
    world = StoreWorld(
        seed,
        founders,
        slots=plan.slots,
        safeguards=plan.safeguards,
        collect_pace=plan.collect_pace,
    )
    report = Report(seed)
    for k in range(plan.nodes):
        world.start(f"n{k}", offset=world.rng.uniform(-CLOCKS_S, CLOCKS_S))
    for k in range(plan.liars):
        world.liars.add(f"liar {k}")
        world.start(f"liar {k}")
    if not world.run(FORMING_S, lambda: in_step(world)):
        report.problems.append("the store was not in step in time")
        report.seconds = world.now
        return report
    clients = [
        Client(f"c{k}", world, plan.keys, plan.mix, report.history) for k in range(plan.clients)
    ]
    audience = Audience(plan.watchers, world, plan.keys)
    faults = None if plan.quiet else _Faults(world, plan, report)
    world.run(3600.0, lambda: len(report.history) >= plan.operations, poll=0.25)
    if faults is not None:
        faults.end()
    ended = world.now
    calm = world.run(RECOVERY_S, lambda: in_step(world), poll=0.25)
    report.recovered = world.now - ended
    for client in clients:
        client.going = False
    audience.stay()
    world.run(CALM_S)
    if not calm:
        report.problems.append("not in step again: " + "; ".join(list(world.out_of_step())[:4]))
    audience.settle()
    _read_all(world, plan, report, audience)
    report.collected = world.collected
    _judge(world, plan, report, audience.history)
    return report


def _judge(world: StoreWorld, plan: Plan, report: Report, watched: list[Operation]) -> None:
    """Sum a run up, and judge its history with what watchers were told."""
    report.seconds = world.now
    report.outcomes = Counter(str(operation.outcome) for operation in report.history)
    report.outcomes["told"] = len(watched)
    report.history += watched
    report.judged = check_history(sorted(report.history, key=lambda o: o.call))
    if report.judged.verdict is not Verdict.RIGHT:
        report.problems.append(f"the history is {report.judged.verdict}: {_why(report.judged)}")
    for process in world.processes.values():
        # Of what liars say of other formations people are told, and rightly.
        told = [note.text for note in process.notes if note.alarming and not plan.liars]
        report.problems += told
        report.faults["lie"] += process.node.lies if isinstance(process.node, Liar) else 0
    report.faults["old disk found"] = world.found_old
    report.faults += Counter[str]()


def _ends_now(states: list[Content], now: float) -> bool:
    """Return True if nodes told of two states because the one ended while they were asked."""
    first, *others = states
    if first.expires is None or abs(now - first.expires) > LATE_S:
        return False
    return [(each.version, each.value) for each in others] == [(first.version + 1, None)]


def _why(judged: HistoryFound) -> str:
    """Return what is wrong with the first key of a history that is not right."""
    found = next(each for each in judged.keys if each.verdict is not Verdict.RIGHT)
    kinds = sorted({str(anomaly.kind) for anomaly in found.anomalies})
    return f"{found.key}, {', '.join(kinds) or 'its operations have no order that fits'}"


def _read_all(
    world: StoreWorld, plan: Plan, report: Report, audience: Audience | None = None
) -> None:
    """Read every key through every node."""
    for number in range(plan.keys):
        told: list[end.Outcome] = []
        for process in world.live():
            if not world.ask(process.name, Get(f"k{number}".encode()), 5.0, told.append):
                report.problems.append(f"{process.name} has no store in the end")
        world.run(6.0)
        found = [outcome.content for outcome in told if isinstance(outcome, end.Found)]
        ends = [content.expires for content in found if content.expires is not None]
        if any(world.now > expires + LATE_S for expires in ends):
            report.problems.append(f"k{number} is read long after its end")
        if len(found) < len(world.live()):
            missed = [outcome for outcome in told if not isinstance(outcome, end.Found)]
            report.problems.append(f"k{number} cannot be read in the end: {missed[:1]}")
        if all(content.value is None for content in found):
            continue  # a version is told where its record is still there, and where it is not, 0
        states = sorted({content.version: content for content in found}.items())
        if len(states) > 1 and not _ends_now([content for _, content in states], world.now):
            report.problems.append(f"k{number} differs from node to node")
        if found and audience is not None:
            report.problems += audience.behind(f"k{number}", found[0])
