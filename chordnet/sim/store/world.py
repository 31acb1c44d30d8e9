"""Nodes' stores in virtual time, determined by one seed.

The nodes are the real :class:`~chordnet.core.store.node.node.StoreNode`. The ring is not: each node
is told its neighbours as they are, after a while that is drawn at random, so views differ for a
time. (Stores above the ring's own machine are run by the tests of the runtime.) Letters take a
random time and may overtake one another; they may be lost. A disk keeps what was written to it when
its process ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import attrs

from chordnet.core.store.base import effects as fx
from chordnet.core.store.base import events as ev
from chordnet.core.store.base.configurations import Head
from chordnet.core.store.base.founding import Founding, Slots
from chordnet.core.store.base.kept import Kept, Mark
from chordnet.core.store.base.outcomes import Outcome, Report, Salvage, Salvages
from chordnet.core.store.base.records import Record
from chordnet.core.store.base.requests import Get, Put, Recover
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.begin.settings import StoreSettings
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.node import StoreNode
from chordnet.sim.store.liar import Liar
from chordnet.sim.world.latency import Latency, uniform
from chordnet.sim.world.schedule import Schedule

ALL = StoreSafeguards()
SUCCESSORS = 6
"""Successors that a node is told of."""
NOTICE_S = 1.5
"""A node learns within this time that others have come, gone or are cut off."""
REFUSED_S = 0.002
"""After this time a node knows that nothing runs at an address."""


@attrs.define
class Disk:
    """What one node has on its disk."""

    store: int
    run: int = 0
    vote: Founding | None = None
    founding: Founding | None = None
    heads: dict[int, Head] = attrs.field(factory=dict)
    records: dict[int, dict[bytes, Record]] = attrs.field(factory=dict)
    secret: bytes = b""
    number: int = 0
    marks: dict[str, Mark] = attrs.field(factory=dict)

    def write(self, keep: fx.Keep) -> None:
        """Keep all entries of one write."""
        for entry in keep.entries:
            if isinstance(entry, fx.HeadKept):
                self.heads[entry.head.slot] = entry.head
            elif isinstance(entry, fx.RecordKept):
                self.records.setdefault(entry.slot, {})[entry.key] = entry.record
            elif isinstance(entry, fx.RecordDropped):
                self.records.get(entry.slot, {}).pop(entry.key, None)
            elif isinstance(entry, fx.AllDropped):
                self.records.pop(entry.slot, None)
            elif isinstance(entry, fx.VoteKept):
                self.vote = entry.founding
            elif isinstance(entry, fx.FoundingKept):
                self.founding = entry.founding
            elif isinstance(entry, fx.SecretKept):
                self.secret = entry.secret
            elif isinstance(entry, fx.NumberKept):
                self.number = entry.number
            else:
                self.marks[entry.node] = entry.mark

    def copy(self) -> Disk:
        """Return a copy of all that is on it now, as a backup or a snapshot takes it."""
        records = {slot: dict(kept) for slot, kept in self.records.items()}
        return attrs.evolve(self, heads=dict(self.heads), records=records, marks=dict(self.marks))

    def read(self) -> Kept:
        """Return what a node that starts finds."""
        self.run += 1
        return Kept(
            self.store,
            self.run,
            self.vote,
            self.founding,
            tuple(self.heads.values()),
            tuple((s, key, r) for s, kept in self.records.items() for key, r in kept.items()),
            self.secret,
            self.number,
            tuple(self.marks.items()),
        )


@attrs.define(eq=False)
class Process:
    """One node's process."""

    name: str
    node: StoreNode
    disk: Disk
    offset: float
    """Of its wall clock, in seconds."""
    up: bool = True
    frozen: bool = False
    backlog: list[ev.Event] = attrs.field(factory=list)
    ticking: float | None = None
    waiting: dict[int, Callable[[Outcome], None]] = attrs.field(factory=dict)
    watches: dict[int, Callable[[fx.Revised | fx.Unwatched], None]] = attrs.field(factory=dict)
    salvaging: dict[int, Callable[[tuple[Salvage, ...]], None]] = attrs.field(factory=dict)
    view: ev.Neighbours | None = None
    notes: list[fx.Noted] = attrs.field(factory=list)


def _untold(_effect: object) -> None:
    """Take what nobody waits for any more."""


def _tell(process: Process, effect: fx.Answered | fx.Revised | fx.Unwatched) -> None:
    """Tell whoever asked a process."""
    if not isinstance(effect, fx.Answered):
        process.watches.get(effect.watch, _untold)(effect)
        return
    done = process.waiting.pop(effect.op, None)
    if done is not None and not isinstance(effect.outcome, Report):
        done(effect.outcome)
    elif isinstance(effect.outcome, Salvages):
        process.salvaging.pop(effect.op)(effect.outcome.each)


class StoreWorld(Schedule):
    """Processes by name, and what is about to happen.

    :param founders: names of the nodes that begin the store.
    """

    def __init__(
        self,
        seed: int,
        founders: tuple[str, ...],
        *,
        slots: int = 16,
        replicas: int = 3,
        bits: int = 32,
        safeguards: StoreSafeguards = ALL,
        latency: Latency = uniform(0.0005, 0.003),  # noqa: B008  the function keeps no state
        most_steps: int = 20_000_000,
    ) -> None:
        super().__init__(most_steps)
        self.rng = Random(seed)
        self.founders = founders
        self.slots, self.replicas, self.bits = slots, replicas, bits
        self.safeguards = safeguards
        self.collect_pace = 1.0
        """What the pauses before something is collected are multiplied with."""
        self.collected = 0
        """Records without a value that members have dropped."""
        self.latency = latency
        self.loss = 0.0
        self.processes: dict[str, Process] = {}
        self.liars: set[str] = set()
        """Names of nodes that hold nothing and lie."""
        self.cut: set[tuple[str, str]] = set()
        """(from, to): letters on the way are lost."""
        self.found_old = 0
        """How many older copies of disks were found, and set aside."""
        self.slow: set[tuple[str, str]] = set()
        """(from, to): letters are kept back until they are let go."""
        self._kept_back: list[tuple[str, ev.Mail]] = []
        self._space = Slots(bits, slots)
        self._op = 0

    # ---- processes --------------------------------------------------------------------------

    def start(self, name: str, disk: Disk | None = None, offset: float = 0.0) -> Process:
        """Start a node, with the disk that it had or with an empty one."""
        disk = disk if disk is not None else Disk(self.rng.getrandbits(62))
        settings = StoreSettings(
            network="sim",
            bits=self.bits,
            founders=self.founders,
            slots=self.slots,
            replicas=self.replicas,
            seat=name not in self.liars,
            collect_pace=self.collect_pace,
        )
        rng = Random(self.rng.getrandbits(64))
        make = Liar if name in self.liars else StoreNode
        node = make(settings, name, disk.read(), rng, self.safeguards)
        self.processes[name] = Process(name, node, disk, offset)
        self._ring_changed()
        return self.processes[name]

    def kill(self, name: str) -> None:
        """End a process; its disk stays."""
        process = self.processes[name]
        process.up = False
        self._ring_changed()

    def restart(self, name: str, *, wiped: bool = False, copy: Disk | None = None) -> None:
        """Start a process that has ended again.

        :param wiped: with an empty disk.
        :param copy: with this one.
        """
        old = self.processes[name]
        self.start(name, None if wiped else copy or old.disk, old.offset)

    def freeze(self, name: str) -> None:
        """Stop a process; what is sent to it waits."""
        self.processes[name].frozen = True

    def thaw(self, name: str) -> None:
        """Let a frozen process go on."""
        process = self.processes[name]
        process.frozen = False
        backlog, process.backlog = process.backlog, []
        for event in backlog:
            self._schedule(self.now, self._deliver, process, event)
        self._schedule(self.now, self._deliver, process, ev.Tick())

    def vacate(self, name: str) -> None:
        """Have a node give up its seats."""
        self._step(self.processes[name], ev.Vacate())

    def live(self) -> list[Process]:
        """Return the processes that run."""
        return [process for process in self.processes.values() if process.up]

    # ---- the ring and the network -----------------------------------------------------------

    def partition(self, *groups: list[str]) -> None:
        """Cut groups of nodes off from one another."""
        for group in groups:
            others = [name for other in groups if other is not group for name in other]
            self.cut |= {(a, b) for a in group for b in others}
        self._ring_changed()

    def cut_one_way(self, source: str, target: str) -> None:
        """Lose what one node sends to another."""
        self.cut.add((source, target))

    def mute(self, name: str) -> None:
        """Lose all that a node sends; it hears the others."""
        self.cut |= {(name, other) for other in self.processes if other != name}

    def deafen(self, name: str) -> None:
        """Lose all that is sent to a node; the others hear it."""
        self.cut |= {(other, name) for other in self.processes if other != name}

    def let_go(self) -> int:
        """Have what was kept back arrive now; return how many letters that are."""
        kept, self._kept_back = self._kept_back, []
        self.slow.clear()
        for to, mail in kept:
            self._schedule(self.now, self._deliver, self.processes[to], mail)
        return len(kept)

    def heal(self) -> None:
        """Have all letters arrive again."""
        self.cut.clear()
        self.loss = 0.0
        self._ring_changed()

    def _ring_changed(self) -> None:
        """Tell every process of its neighbours, each after a while."""
        for process in self.live():
            after = NOTICE_S * self.rng.random()
            self._schedule(self.now + after, self._tell_neighbours, process)

    def _tell_neighbours(self, process: Process, _a: object, _b: object) -> None:
        if not process.up:
            return
        me = process.name
        near = [
            other.name
            for other in self.live()
            if other is process or not {(me, other.name), (other.name, me)} <= self.cut
        ]
        place = self._space.identifier(me)
        size = 1 << self.bits
        order = sorted(near, key=lambda name: (self._space.identifier(name) - place) % size)
        others = order[1:]
        view = ev.Neighbours(True, others[-1] if others else None, tuple(others[:SUCCESSORS]))
        if view != process.view:
            process.view = view
            self._step(process, view)

    # ---- clients ----------------------------------------------------------------------------

    def ask(
        self, name: str, asked: Get | Put, timeout: float, done: Callable[[Outcome], None]
    ) -> bool:
        """Have a node do an operation; return False if it cannot begin."""
        process = self.processes[name]
        if not process.up or process.frozen or process.node.founding is None:
            return False
        self._op += 1
        process.waiting[self._op] = done
        self._step(process, ev.Ask(self._op, asked, timeout))
        return True

    def watch(
        self,
        name: str,
        key: bytes,
        since: int | None,
        told: Callable[[fx.Revised | fx.Unwatched], None],
    ) -> int | None:
        """Have a node watch a key; return what names the watch, None if it cannot begin."""
        process = self.processes[name]
        if not process.up or process.frozen or process.node.founding is None:
            return None
        self._op += 1
        process.watches[self._op] = told
        self._step(process, ev.Watch(self._op, key, since))
        return self._op

    def unwatch(self, name: str, watch: int) -> None:
        """End a watch, whatever has become of its node."""
        process = self.processes[name]
        if process.watches.pop(watch, None) is not None:
            self._step(process, ev.Unwatch(watch))

    def recover(
        self,
        name: str,
        slots: tuple[int, ...],
        done: Callable[[tuple[Salvage, ...]], None],
        *,
        accept_loss: bool = True,
        timeout: float = 20.0,
    ) -> None:
        """Order the recovery of slots at a node."""
        process = self.processes[name]
        self._op += 1
        process.salvaging[self._op] = done
        self._step(process, ev.Ask(self._op, Recover(slots, accept_loss), timeout))

    # ---- performing -------------------------------------------------------------------------

    def _deliver(self, process: Process, event: ev.Event, _: object) -> None:
        self._step(process, event)

    def _step(self, process: Process, event: ev.Event) -> None:
        if not process.up:
            return
        if process.frozen:
            if not isinstance(event, ev.Tick):
                process.backlog.append(event)
            return
        self.steps += 1
        effects = process.node.step(event, self.now, self.now + process.offset)
        for effect in effects:
            if isinstance(effect, fx.Keep):
                process.disk.write(effect)
                self.collected += sum(isinstance(e, fx.RecordDropped) for e in effect.entries)
            elif isinstance(effect, fx.Post):
                self._post(process, effect)
            elif isinstance(effect, fx.Noted | fx.Outdated):
                _noted(self, process, effect)
            else:
                _tell(process, effect)
        self._arm(process)

    def _arm(self, process: Process) -> None:
        deadline = process.node.deadline
        if deadline is None or (process.ticking is not None and process.ticking <= deadline):
            return
        process.ticking = max(deadline, self.now)
        self._schedule(process.ticking, self._tick, process, process.ticking)

    def _tick(self, process: Process, at: float, _: object) -> None:
        if process.ticking == at:
            process.ticking = None
            self._step(process, ev.Tick())

    def _post(self, process: Process, post: fx.Post) -> None:
        target = self.processes.get(post.to)
        if target is None or not target.up:
            self._schedule(self.now + REFUSED_S, self._deliver, process, ev.Lost(post.to))
            return
        if (process.name, post.to) in self.cut or self.rng.random() < self.loss:
            return
        event = ev.Mail(process.name, post.letter)
        if (process.name, post.to) in self.slow:
            self._kept_back.append((post.to, event))
            return
        self._schedule(self.now + self.latency(self.rng), self._deliver, target, event)

    # ---- what is the case -------------------------------------------------------------------

    def newest(self) -> list[Listed]:
        """Return the newest that any live node knows of each slot."""
        found: dict[int, Listed] = {}
        for process in self.live():
            for listed in process.node.listed():
                if listed.slot not in found or listed.is_news_to(found[listed.slot]):
                    found[listed.slot] = listed
        return [found[slot] for slot in sorted(found)]

    def out_of_step(self) -> Iterator[str]:
        """Yield what is missing, in words, until every slot has its full number of members.

        They are live, and have installed its newest configuration.
        """
        for process in self.live():
            if process.node.founding is None:
                yield f"{process.name} has no formation"
        able = [each for each in self.live() if each.name not in self.liars]
        seats = sum(1 for process in able if not process.node.vacating)
        for listed in self.newest():
            members = listed.configuration.members
            if len(members) < min(self.replicas, seats):
                yield f"slot {listed.slot} has {len(members)} members"
            for member in members:
                if member.node not in self.processes:
                    yield f"slot {listed.slot} is said to be held by {member.node}"
                    continue
                process = self.processes[member.node]
                head = process.disk.heads.get(listed.slot)
                epoch = 1 if head is None else head.configuration.epoch
                if not process.up or process.disk.store != member.store:
                    yield f"slot {listed.slot} misses {member.node}"
                elif epoch != listed.configuration.epoch:
                    yield f"slot {listed.slot}: {member.node} is in epoch {epoch}"
                elif head is not None and head.sealed:
                    yield f"slot {listed.slot}: {member.node} is sealed"


def _noted(world: StoreWorld, process: Process, effect: fx.Noted | fx.Outdated) -> None:
    """Keep what is told to people; start a node anew whose disk is an older copy."""
    if isinstance(effect, fx.Noted):
        process.notes.append(effect)
        return
    world.found_old += 1
    world.kill(process.name)
    world.restart(process.name, wiped=True)
