"""The blows of a storm, as they fall on a network and are undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from twisted.internet.defer import DeferredLock

from benchmarks.storm_field import Field
from benchmarks.storm_plan import Blow
from chordnet.survey.errors import TestbedError
from chordnet.survey.waiting import gather, pause
from chordnet.testbed.base.faults import Faults

MOST_UNDONE = 0.1
"""The share of the blows that the engine may fail to strike."""
FROZEN = ("blink", "freeze")
PEACE_S = 12.0
"""Between two wipes all nodes have to be up together for so long."""
RETURN_S = 15.0
"""A node that was away counts as back in its ring so long after it was brought back."""


class Peace:
    """Knows whether the nodes were left in peace since one of them was wiped.

    The plan leaves them the time, but what a busy engine does late would take it from them. Blinks
    do not count.
    """

    def __init__(self) -> None:
        self._since = 0.0
        self._under_way = 0
        self._wiped = False

    def allows(self, verb: str, now: float) -> bool:
        """Return whether what the last wiped node had held has new members by now."""
        self._look(now)
        return verb == "blink" or not self._wiped

    def struck(self, verb: str, now: float) -> None:
        """Note the beginning of a blow."""
        if verb != "blink":
            self._look(now)
            self._under_way += 1

    def undone(self, verb: str, now: float) -> None:
        """Note the end of a blow."""
        if verb != "blink":
            self._under_way -= 1
            self._since = now
            self._wiped = self._wiped or verb == "wipe"

    def _look(self, now: float) -> None:
        if self._under_way == 0 and now >= self._since + PEACE_S:
            self._wiped = False


class Blows:
    """Strikes what was planned.

    Args:
        field: The network.
        planned: What is to happen to it.

    Attributes:
        absences: Which node was away, or cut off, from when to when.
        done: How often each kind of blow was struck.
        hit: How many nodes it hit.
        undone: Blows that the engine could not strike.
        late: Blows that were left out, because the nodes had not had their peace after a wipe.
    """

    def __init__(self, field: Field, planned: Sequence[Blow]) -> None:
        self.planned = planned
        self._field = field
        self._reactor = field.reactor
        self._engine = field.engine
        self._turns = DeferredLock()
        self._away: Counter[int] = Counter()
        self._peace = Peace()
        self.absences: list[tuple[int, float, float]] = []
        self.done: Counter[str] = Counter()
        self.hit: Counter[str] = Counter()
        self.undone = 0
        self.late = 0

    @property
    def up(self) -> list[int]:
        """The nodes that are not away."""
        return [number for number in self._field.network.numbers if not self._away[number]]

    async def fall(self, seconds: float) -> None:
        """Let all blows fall, each at its time, and wait until so long after the beginning."""
        await gather(self._suffer(blow) for blow in self.planned)
        rest = seconds - max((blow.until for blow in self.planned), default=0.0)
        await pause(self._reactor, max(rest, 0.0))

    def summary(self) -> str:
        """Return what was struck, in one line."""
        blows = ", ".join(f"{self.done[v]} x {v} ({self.hit[v]} nodes)" for v in sorted(self.done))
        undone = f"; {self.undone} could not be struck" if self.undone else ""
        late = f"; {self.late} left out after wipes" if self.late else ""
        return f"{self.done.total()} blows: {blows}{undone}{late}"

    # ---- one blow ---------------------------------------------------------------------------

    async def _suffer(self, blow: Blow) -> None:
        await pause(self._reactor, blow.at)
        if blow.verb == "part":
            await self._part(blow)
            return
        # Where starting takes long, a node may still be away from the last time.
        nodes = [number for number in blow.nodes if not self._away[number]]
        if not nodes:
            return
        if not self._peace.allows(blow.verb, self._reactor.seconds()):
            self.late += 1
            return
        began = self._reactor.seconds()
        for number in nodes:
            self._away[number] += 1
        self._peace.struck(blow.verb, began)
        if await self._strike(blow.verb, nodes):
            self._count(blow.verb, nodes)
            await pause(self._reactor, blow.lasts)
        if blow.verb in FROZEN:
            await self._in_turn(self._engine.thaw(nodes))
        else:
            await self._in_turn(self._engine.start(self._field.network, nodes))
        for number in nodes:
            self._away[number] -= 1
        self._peace.undone(blow.verb, self._reactor.seconds())
        self._absent(nodes, began)

    async def _strike(self, verb: str, nodes: Collection[int]) -> bool:
        """Strike nodes; return True if all of them are struck."""
        if verb in FROZEN:
            return await self._freeze(nodes)
        killed = verb in ("kill", "wipe")
        await self._in_turn((self._engine.kill if killed else self._engine.stop)(nodes))
        if verb == "wipe":
            for number in nodes:
                self._field.wipe(number)
        return True

    async def _freeze(self, nodes: Collection[int]) -> bool:
        """Freeze nodes; return True if all of them are frozen.

        The kernel of a busy machine may be unable to freeze a container. The storm goes on without
        such a blow, unless there are many.
        """
        try:
            await self._in_turn(self._engine.freeze(nodes))
        except TestbedError as problem:
            self.undone += 1
            if self.undone > MOST_UNDONE * len(self.planned):
                raise
            print(f"  a blow could not be struck: {problem}", flush=True)
            return False
        return True

    async def _part(self, blow: Blow) -> None:
        everybody = self._field.network.numbers
        began = self._reactor.seconds()
        parted = Faults().with_partition([blow.nodes], everybody)
        await self._in_turn(self._shape(parted))
        self._count(blow.verb, blow.nodes)
        # A container that was started anew meanwhile has lost its part of the wall.
        await pause(self._reactor, blow.lasts)
        await self._in_turn(self._shape(Faults()))
        self._absent(everybody, began)

    def _absent(self, nodes: Collection[int], began: float) -> None:
        # A busy engine takes its time, so a blow may last far longer than it was to.
        end = self._reactor.seconds() + RETURN_S
        self.absences += [(number, began, end) for number in nodes]

    async def _shape(self, faults: Faults) -> None:
        everybody = self._field.network.numbers
        await self._engine.shape({n: faults.line(n, everybody) for n in everybody})

    async def _in_turn(self, order: Any) -> None:
        """Do one thing at a time: the engines start and end nodes for one caller only."""
        await self._turns.acquire()
        try:
            await order
        finally:
            self._turns.release()

    def _count(self, verb: str, nodes: Collection[int]) -> None:
        self.done[verb] += 1
        self.hit[verb] += len(nodes)
