"""The finger table: finger[i] = successor(self + 2**i), and its upkeep.

A slot is *wanted* when it has to be looked up: after the node in it died, after a hint about it,
and once in every pass over the table. Wanted slots are looked up in order, one at a time, and each
result fills all following slots whose start it covers. So a pass costs one lookup for each distinct
finger beyond the successor list: slots within the list's reach are filled from it, and slots whose
start lies in (predecessor, self] stay empty. At rest, the node in a slot is asked if it still owns
the slot's start, which costs two messages rather than a whole path.

Passes come fast while they find something to change, then more and more slowly. Repair does not
wait for them:

- The slots of a failed node are wanted immediately.
- A node whose successor changes tells the nodes whose fingers are concerned (``hints.py``).

:class:`~chordnet.core.base.config.FingerUpkeep` turns off what is not in the published Chord.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import ClassVar

from chordnet.core.base.effects import FingersChanged
from chordnet.core.base.messages import NodeRef
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.handlers import Hearers, Ringers
from chordnet.core.kernel.signals import DIED, ENTERED, PREDECESSOR_CHANGED, SUCCESSORS_CHANGED
from chordnet.core.kernel.timers import Alarm
from chordnet.core.lookup.lookup import Lookups, Purpose, Result
from chordnet.core.ring.pointers import Pointers
from chordnet.core.ring.routing import Routes

RETRY_S = 0.5
"""Pause after a finger's lookup failed."""
CHECK_TTL = 8
"""Hops of the check of a finger: from it back along predecessors to the slot's owner."""


class Fingers:
    """The finger table of one node."""

    def __init__(self, ctx: Context, ring: Pointers, routes: Routes, lookups: Lookups) -> None:
        self._ctx = ctx
        self._ring = ring
        self._routes = routes
        self._lookups = lookups
        self.slots: list[NodeRef | None] = [None] * ctx.config.bits
        self._wanted = 0
        """Wanted slots, as the bits of a number."""
        self._measured: list[NodeRef] = []
        """The successor list that ``_near`` was computed from."""
        self._near: list[int] = []
        """The distances of its nodes."""
        self._untold = False
        """Whether a slot has changed that the rest of the node was not told of."""
        self._looking: int | None = None
        self._upkeep = ctx.config.finger_upkeep
        self._pace = ctx.config.fingers_fast_s
        self._changed = True
        lookups.handle(Purpose.FINGER, self._found)
        lookups.handle(Purpose.FINGER_CHECK, self._checked)

    def distinct(self) -> list[NodeRef]:
        """Return the distinct nodes of the table, nearest first."""
        nodes = {node.raw: node for node in self.slots if node is not None}
        return sorted(nodes.values(), key=self._ctx.distance)

    @property
    def may_check(self) -> bool:
        """Whether the node in a slot may be asked instead of looking the slot up.

        This is so at rest: when the last passes found nothing to change.
        """
        at_rest = self._pace >= self._ctx.config.fingers_idle_s and not self._changed
        return at_rest and self._upkeep.checks

    def start(self, slot: int) -> int:
        """Return the identifier whose successor belongs in ``slot``."""
        return (self._ctx.my_id + (1 << slot)) % self._ctx.space.size

    def place(self, slots: Mapping[int, NodeRef]) -> None:
        """Set these fingers, as if the ring had been at rest for a long time."""
        ctx, idle = self._ctx, self._ctx.config.fingers_idle_s
        for slot, node in slots.items():
            self.slots[slot] = node
        self._pace, self._changed = idle, False
        ctx.alarms.set(Alarm.FINGERS, ctx.now + ctx.rng.random() * idle)

    def reroute(self) -> None:
        """Rebuild the routes from the successor list and the table."""
        self._routes.rebuild(self._ring.successors, self.distinct())

    # ---- what makes a slot wanted -----------------------------------------------------------

    def refresh(self) -> None:
        """Begin a pass over every slot when the ``fingers`` alarm rings."""
        ctx, config = self._ctx, self._ctx.config
        slower = min(2 * self._pace, config.fingers_idle_s)
        self._pace = config.fingers_fast_s if self._changed else slower
        self._changed = False
        ctx.alarms.set(Alarm.FINGERS, ctx.jittered(self._pace))
        self.want((1 << config.bits) - 1)

    def _successors_changed(self, _old_head: NodeRef | None) -> None:
        self.reroute()
        self.neighbours_changed()

    def _predecessor_changed(self, _old: NodeRef | None) -> None:
        self.neighbours_changed()

    def neighbours_changed(self) -> None:
        """Refill the slots that the successor list or the predecessor determines."""
        for slot in range(self._fill_near(), self._ctx.config.bits):
            if self._ring.owns(self.start(slot)):
                self._put(slot, slot + 1, None)
            elif self.slots[slot] is None and self._upkeep.repair_on_use:
                self._wanted |= 1 << slot
        self._tell()
        self._work()

    def died(self, peer: NodeRef) -> None:
        """Empty the slots of ``peer``, which is dead, and have them looked up."""
        if not self._ctx.is_member:
            return
        lost = [
            slot
            for slot, node in enumerate(self.slots)
            if node is not None and self._ctx.peers.is_life_of(node, peer)
        ]
        if lost:
            for slot in lost:
                self.slots[slot] = None
            self._untold = True
            self._tell()
            if self._upkeep.repair_on_use:
                self.want(sum(1 << slot for slot in lost))

    def want(self, slots: int) -> None:
        """Have the slots looked up that are set as bits of ``slots``."""
        self._wanted |= slots
        self._work()

    # ---- working the wanted slots off -------------------------------------------------------

    def _reach(self) -> int:
        """Return how many slots start no further than the last node of the successor list."""
        successors = self._ring.successors
        if successors is not self._measured:
            self._measured = successors
            self._near = [self._ctx.distance(node) for node in successors]
        return self._near[-1].bit_length() if self._near else 0

    def _fill_near(self) -> int:
        """Fill all slots within the successor list's reach; return their number."""
        reach, end = self._reach(), 0
        for distance, node in zip(self._near, self._measured, strict=True):
            begin, end = end, distance.bit_length()
            if begin < end:
                self._put(begin, end, node)
        return reach

    def _fill(self, slot: int, reach: int) -> bool:
        """Fill the slot if the neighbours determine what belongs in it; return True if so.

        :param reach: how many slots lie within the successor list's reach.
        """
        if slot < reach:
            self._put(slot, slot + 1, self._measured[bisect_left(self._near, 1 << slot)])
        elif self._ring.owns(self.start(slot)):
            self._put(slot, slot + 1, None)
        else:
            return False
        return True

    def _work(self) -> None:
        if self._looking is not None or not self._wanted:
            return
        reach = self._reach()
        if ~self._wanted & ((1 << reach) - 1) == 0:
            self._fill_near()
        while self._wanted:
            slot = (self._wanted & -self._wanted).bit_length() - 1  # the lowest bit
            if not self._fill(slot, reach):
                self._looking = slot
                break
        self._tell()
        if self._looking is None:
            return
        slot = self._looking
        node, key = self.slots[slot], self.start(slot)
        if node is None or not self.may_check:
            self._lookups.start(Purpose.FINGER, slot, key)
        else:
            self._lookups.start(Purpose.FINGER_CHECK, slot, key, via=node, last=True, ttl=CHECK_TTL)

    def _checked(self, result: Result) -> None:
        """Take the word of the node in a slot if it is of our ring; otherwise look the slot up."""
        if result.node is None or result.label != self._ring.label:
            # Its owner is too far away, it is gone, or it is in another ring: our own ring knows.
            self._lookups.start(Purpose.FINGER, result.tag, self.start(result.tag))
        else:
            self._found(result)

    def _found(self, result: Result) -> None:
        self.looked_up(result.tag, result.node)

    def looked_up(self, slot: int, node: NodeRef | None) -> None:
        """Fill the slots that ``node`` covers from ``slot`` on; it is None if the lookup failed."""
        ctx = self._ctx
        self._looking = None
        if node is None or ctx.peers.is_dead(node, ctx.now):
            ctx.alarms.sooner(Alarm.FINGERS, ctx.jittered(RETRY_S))
            self._wanted = 0
            return
        filler = None if node.raw == ctx.me.raw else node
        end = ctx.distance(node).bit_length() if filler is not None else ctx.config.bits
        if slot < end:
            self._put(slot, end, filler)
        self._tell()
        self._work()

    def _put(self, begin: int, end: int, node: NodeRef | None) -> None:
        """Put ``node`` in the slots from ``begin`` up to ``end``, which are no longer wanted."""
        slots = [node] * (end - begin)
        if self.slots[begin:end] != slots:
            self.slots[begin:end] = slots
            self._untold = True
        self._wanted &= ~((1 << end) - (1 << begin))

    def _tell(self) -> None:
        if self._untold:
            self._untold, self._changed = False, True
            if self._upkeep.prompt:
                pause = self._ctx.jittered(self._ctx.config.fingers_fast_s)
                self._ctx.alarms.sooner(Alarm.FINGERS, pause)
            self.reroute()
            self._ctx.effects.append(FingersChanged(self.distinct()))

    ALARMS: ClassVar[Ringers] = {
        Alarm.FINGERS: refresh,
    }

    HEARS: ClassVar[Hearers] = {
        ENTERED: refresh,
        SUCCESSORS_CHANGED: _successors_changed,
        PREDECESSOR_CHANGED: _predecessor_changed,
        DIED: died,
    }
