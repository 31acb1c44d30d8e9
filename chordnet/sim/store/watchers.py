"""Clients of a simulated store that watch its keys, and keep what they were told as a history."""

from __future__ import annotations

from random import Random

from chordnet.core.store.base import effects as fx
from chordnet.core.store.base.records import Content
from chordnet.judge.store.history import Action, Operation, Outcome
from chordnet.sim.store.world import StoreWorld

SHORTEST_S, LONGEST_S = 2.0, 30.0
"""How long a watch lasts."""
LOOK_S = 0.5
"""Between two looks if the node still runs."""
RESUMED = 0.7
"""How often a watch whose node ended is begun again elsewhere, where it was."""


class Watcher:
    """Watches one key after the other, through nodes drawn at random.

    :param history: where its lines go: each watch is a client of its own, called ``name.number``.
    """

    def __init__(self, name: str, world: StoreWorld, keys: int, history: list[Operation]) -> None:
        self.name = name
        self.going = True
        self.ended: list[fx.WatchEnd] = []
        """Why nodes have ended watches."""
        self.key = ""
        self.told: Content | None = None
        """What the present watch told last; None if nothing, or if there is no watch."""
        self._settled: int | None = None
        """What is known by :meth:`settle`; None if that may have expired since."""
        self._since: int | None = None
        self._lasts = True
        """Whether what is known does not expire; also if it was told before a watch was resumed."""
        self._watch: int | None = None
        self._world = world
        self._rng = Random(world.rng.getrandbits(64))
        self._keys = keys
        self._history = history
        self._number = 0
        self._node = ""
        self._until = 0.0
        self._heard = 0.0
        world.at(world.now + self._rng.random(), self._look)

    @property
    def version(self) -> int | None:
        """The version that its client knows; None if it knows none."""
        return self._since if self.told is None else self.told.version

    def _look(self) -> None:
        world = self._world
        if self._watch is not None:
            lost = not world.processes[self._node].up or self._watch not in self._watches()
            if lost or (world.now >= self._until and self.going):
                self._end(resume=lost and self._rng.random() < RESUMED)
        if self._watch is None and self.going:
            self._begin()
        world.at(world.now + LOOK_S, self._look)

    def _watches(self) -> dict[int, object]:
        return dict(self._world.processes[self._node].watches)

    def _begin(self) -> None:
        world, rng = self._world, self._rng
        if not self.key:
            self.key = f"k{rng.randrange(self._keys)}"
        self._node = rng.choice([process.name for process in world.live()])
        self._number += 1
        self._until = world.now + SHORTEST_S + (LONGEST_S - SHORTEST_S) * rng.random()
        self._heard = world.now
        self._watch = world.watch(self._node, self.key.encode(), self._since, self._hear)

    def _end(self, *, resume: bool) -> None:
        assert self._watch is not None
        self._world.unwatch(self._node, self._watch)
        self._watch = None
        self._since = self.version if resume else None
        self.key = self.key if resume else ""
        self._lasts = self._lasts or not resume
        self.told = None

    def _hear(self, effect: fx.Revised | fx.Unwatched) -> None:
        if isinstance(effect, fx.Unwatched):
            self.ended.append(effect.end)
            self._world.processes[self._node].watches.pop(effect.watch, None)
            return
        now, content = self._world.now, effect.content
        found = None if content.value is None else content.value.decode()
        self._history.append(
            Operation(
                client=f"{self.name}.{self._number}",
                key=self.key,
                action=Action.WATCH,
                since=self._since,
                # It was read after the one before was told, and here that takes no time.
                call=self._heard,
                returned=now,
                outcome=Outcome.ABSENT if found is None else Outcome.VALUE,
                version=content.version,
                found=found,
            )
        )
        self._heard = now
        self.told = content
        self._lasts = content.expires is None

    def settle(self) -> None:
        """Note what is known by now, before reads that may help it on."""
        self._settled = self.version if self._lasts else None

    def behind(self, present: Content) -> str:
        """Return what is wrong if this is what the key has, and had at :meth:`settle`."""
        if self._watch is None or not self._world.processes[self._node].up:
            return ""
        known = self._settled
        if known is None and (self.version or 0) >= present.version:
            return ""  # it may have been told already that what was read has expired
        if known == present.version or (present.value is None and present.version == 0):
            return ""
        return f"{self.name} at {self._node} was told {known} of {self.key}: {present.version}"


class Audience:
    """All watchers of a run, and what they were told."""

    def __init__(self, many: int, world: StoreWorld, keys: int) -> None:
        self.history: list[Operation] = []
        self._watchers = [Watcher(f"w{k}", world, keys, self.history) for k in range(many)]

    def stay(self) -> None:
        """Begin no more watches, and go on with those under way."""
        for watcher in self._watchers:
            watcher.going = False

    def settle(self) -> None:
        """Note what each knows by now."""
        for watcher in self._watchers:
            watcher.settle()

    def behind(self, key: str, present: Content) -> list[str]:
        """Return what is wrong with watches of a key, if this is what it has."""
        found = [each.behind(present) for each in self._watchers if each.key == key]
        return [text for text in found if text]
