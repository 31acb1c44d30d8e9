"""The finger table: finger[i] = successor(self + 2**i), and its upkeep.

A slot is *wanted* when it has to be looked up: after the node in it died, after a neighbour's
change was hinted at, and once for all slots in every pass. Wanted slots are worked off in order,
one lookup at a time, and each result fills all following slots whose start it covers, so a pass
costs one lookup for each distinct finger beyond the successor list: slots within the list's reach
are filled from it, and slots whose start lies in (predecessor, self] stay empty. At rest the node
in a slot is asked whether it still owns the slot's start: two messages rather than a whole path.

Passes come fast while they still find something to change, then ever more slowly. Repair does not
wait for them:

- A failed node's slots are wanted at once.
- A node whose successor changes tells those whose fingers are concerned: for each i, the nodes in
  (self - 2**i, successor - 2**i] (after ``update_others`` and ``fix_fingers`` of Stoica et al.,
  SIGCOMM 2001, figures 6 and 7, with the pointed-to range known exactly to the predecessor). A hint
  is routed to the first of them and handed from successor to successor. It is only a hint: the
  receiver looks up, or probes, itself.

:class:`~chordnet.core.base.config.FingerUpkeep` turns what is not published Chord off.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import ClassVar, Protocol

from chordnet.core.base.effects import FingersChanged
from chordnet.core.base.identifiers import between_left, between_right
from chordnet.core.base.limits import HINT_TTL
from chordnet.core.base.messages import FingerHint, NodeRef
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.detector import Detector
from chordnet.core.kernel.handlers import Handlers, Ringers
from chordnet.core.kernel.timers import Alarm
from chordnet.core.ring.routing import Routes
from chordnet.core.ring.successors import Ring

RETRY_S = 0.5
"""Pause after a finger's lookup failed."""


class FingerHooks(Protocol):
    """What the table asks of its node."""

    def look_up_finger(self, slot: int, key: int) -> None: ...
    def tables_changed(self) -> None: ...


class Fingers:
    """The finger table of one node."""

    def __init__(
        self, ctx: Context, ring: Ring, routes: Routes, detector: Detector, hooks: FingerHooks
    ) -> None:
        self._ctx = ctx
        self._ring = ring
        self._routes = routes
        self._detector = detector
        self._hooks = hooks
        self.slots: list[NodeRef | None] = [None] * ctx.config.bits
        self._wanted = 0
        """Wanted slots, as the bits of a number."""
        self._measured: list[NodeRef] = []
        """The successor list that ``_near`` is about."""
        self._near: list[int] = []
        """How far those are."""
        self._untold = False
        """Whether a slot has changed and the rest of the node was not told."""
        self._looking: int | None = None
        self._upkeep = ctx.config.finger_upkeep
        self._pace = ctx.config.fingers_fast_s
        self._changed = True

    def distinct(self) -> list[NodeRef]:
        """Return the distinct nodes of the table, nearest first."""
        nodes = {node.raw: node for node in self.slots if node is not None}
        return sorted(nodes.values(), key=self._ctx.distance)

    @property
    def may_check(self) -> bool:
        """Whether the node in a slot may be asked instead of looking the slot up: at rest, when
        the last passes found nothing to change.
        """
        at_rest = self._pace >= self._ctx.config.fingers_idle_s and not self._changed
        return at_rest and self._upkeep.checks

    def start(self, slot: int) -> int:
        """Return the identifier whose successor belongs into ``slot``."""
        return (self._ctx.my_id + (1 << slot)) % self._ctx.space.size

    def place(self, slots: Mapping[int, NodeRef]) -> None:
        """Have these fingers from now on, as if the ring had been at rest for long."""
        ctx, idle = self._ctx, self._ctx.config.fingers_idle_s
        for slot, node in slots.items():
            self.slots[slot] = node
        self._pace, self._changed = idle, False
        ctx.alarms.set(Alarm.FINGERS, ctx.now + ctx.rng.random() * idle)

    # ---- what makes a slot wanted -----------------------------------------------------------

    def refresh(self) -> None:
        """The ``fingers`` alarm has rung: look at every slot again."""
        ctx, config = self._ctx, self._ctx.config
        slower = min(2 * self._pace, config.fingers_idle_s)
        self._pace = config.fingers_fast_s if self._changed else slower
        self._changed = False
        ctx.alarms.set(Alarm.FINGERS, ctx.jittered(self._pace))
        self._want((1 << config.bits) - 1)

    def neighbours_changed(self) -> None:
        """Successor list or predecessor changed: refill the slots that they determine."""
        for slot in range(self._fill_near(), self._ctx.config.bits):
            if self._ring.owns(self.start(slot)):
                self._put(slot, slot + 1, None)
            elif self.slots[slot] is None and self._upkeep.repair_on_use:
                self._wanted |= 1 << slot
        self._tell()
        self._work()

    def evict(self, peer: NodeRef) -> None:
        """``peer`` is dead: empty its slots and have them looked up."""
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
                self._want(sum(1 << slot for slot in lost))

    def _want(self, slots: int) -> None:
        self._wanted |= slots
        self._work()

    # ---- working the wanted slots off -------------------------------------------------------

    def _reach(self) -> int:
        """Return how many slots lie within the successor list's reach: their starts are no
        further than its last node.
        """
        successors = self._ring.successors
        if successors is not self._measured:
            self._measured = successors
            self._near = [self._ctx.distance(node) for node in successors]
        return self._near[-1].bit_length() if self._near else 0

    def _fill_near(self) -> int:
        """Fill all slots within the list's reach; return how many they are."""
        reach, end = self._reach(), 0
        for distance, node in zip(self._near, self._measured, strict=True):
            begin, end = end, distance.bit_length()
            if begin < end:
                self._put(begin, end, node)
        return reach

    def _fill(self, slot: int, reach: int) -> bool:
        """Fill the slot if the neighbours determine what belongs there; return True if they do.

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
            slot = _lowest(self._wanted)
            if not self._fill(slot, reach):
                self._looking = slot
                break
        self._tell()
        if self._looking is not None:
            self._hooks.look_up_finger(self._looking, self.start(self._looking))

    def looked_up(self, slot: int, node: NodeRef | None) -> None:
        """A finger's lookup has ended; ``node`` is None when it failed."""
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
        """Let ``node`` be in the slots from ``begin`` up to ``end``, wanted no longer."""
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
            self._hooks.tables_changed()
            self._ctx.effects.append(FingersChanged(self.distinct()))

    # ---- hints ------------------------------------------------------------------------------

    def tell_others(self, subject: NodeRef, *, alive: bool) -> None:
        """Hint at ``subject``, our new or suspected successor, to whom it may concern.

        Nodes within our predecessors' successor lists learn of it by stabilising; the estimate of
        how far those reach is our own list's, halved to be on the safe side.
        """
        ctx, space = self._ctx, self._ctx.space
        listed = self._ring.successors
        if not self._upkeep.hints or len(listed) < ctx.config.successors:
            return
        near = ctx.distance(listed[-1]) // 2
        for slot in range(max(near.bit_length() - 1, 0), ctx.config.bits):
            low = (ctx.my_id - (1 << slot)) % space.size
            high = (subject.id - (1 << slot)) % space.size
            hint = FingerHint(subject, alive, space.raw(low), space.raw(high), HINT_TTL)
            # We may lie in the range ourselves, yet not be the first there.
            if self._ring.owns((low + 1) % space.size):
                self.on_finger_hint(self._ctx.me, hint)
            else:
                self._pass_on(hint)

    def on_finger_hint(self, _sender: NodeRef, hint: FingerHint) -> None:
        """Act on a hint, pass it on, or drop it when there is nobody left to tell."""
        ctx, ring = self._ctx, self._ring
        low, high = int.from_bytes(hint.low), int.from_bytes(hint.high)
        if hint.ttl <= 0:
            return
        if not between_right(low, ctx.my_id, high):
            self._pass_on(hint)
            return
        self._take(hint)
        if not ring.successors or between_left(ctx.my_id, high, ring.head.id):
            return
        if between_right(low, ring.head.id, high):
            ctx.send(ring.head, _older(hint))

    def _pass_on(self, hint: FingerHint) -> None:
        """Send a hint towards the first node of its range; drop it when that range is empty."""
        ctx, ring = self._ctx, self._ring
        target = (int.from_bytes(hint.low) + 1) % ctx.space.size
        if ring.owns(target) or not ring.successors:
            return
        if between_right(ctx.my_id, target, ring.head.id):
            next_hop: NodeRef | None = ring.head
        else:
            next_hop = self._routes.preceding((target - ctx.my_id) % ctx.space.size)
        if next_hop is not None:
            ctx.send(next_hop, _older(hint))

    def _take(self, hint: FingerHint) -> None:
        ctx, subject = self._ctx, hint.subject
        if subject.raw == ctx.me.raw:
            return
        if not hint.alive:
            # Its predecessor watches it anyway, and would answer each hint with new ones.
            if self._ring.head.raw != subject.raw and any(
                node is not None and node.raw == subject.raw for node in self.slots
            ):
                self._detector.suspect(subject)
            return
        self._want(
            sum(1 << s for s, node in enumerate(self.slots) if self._better(subject, s, node))
        )

    def _better(self, subject: NodeRef, slot: int, node: NodeRef | None) -> bool:
        """Return True if ``subject`` would belong into the slot rather than ``node``."""
        end = self._ctx.my_id if node is None else node.id
        return between_left(self.start(slot), subject.id, end)

    MESSAGES: ClassVar[Handlers] = {
        FingerHint: on_finger_hint,
    }

    ALARMS: ClassVar[Ringers] = {
        Alarm.FINGERS: refresh,
    }


def _lowest(slots: int) -> int:
    """Return the number of the lowest bit that is set."""
    return (slots & -slots).bit_length() - 1


def _older(hint: FingerHint) -> FingerHint:
    return FingerHint(hint.subject, hint.alive, hint.low, hint.high, hint.ttl - 1)
