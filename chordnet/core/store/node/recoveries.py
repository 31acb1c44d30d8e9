"""The recoveries of slots that people have ordered at this node.

Each slot of an order is a :class:`chordnet.core.store.slot.recovery.Recovering`, and this is the
time that it takes: whom it asks, how long it waits for answers, when it begins again. So many are
under way side by side; the others wait.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from msgspec.structs import replace

from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.effects import Answered
from chordnet.core.store.base.founding import Founding, Slots
from chordnet.core.store.base.outcomes import Fate, Salvage, Salvages
from chordnet.core.store.base.requests import Recover
from chordnet.core.store.node.directory import Directory, Listed
from chordnet.core.store.node.seats import Seats, change_of
from chordnet.core.store.node.surroundings import For, Surroundings
from chordnet.core.store.node.talk import Lists
from chordnet.core.store.slot.recovery import Findings, Recovering, Stage

AT_ONCE = 16
"""Slots that one node recovers at the same time."""
STEP_S = 0.5
"""Between two times that the same question is asked."""
ANSWER_S = 3.0
"""A node that has not answered for so long is taken for gone."""
LOST_S = 15.0
"""A node that could not be reached in so many seconds is not waited for."""
MOST_TRIES = 8
"""After so many tries others, who were faster every time, are left to it."""


@attrs.define
class _Order:
    """What was asked for."""

    op: int
    accept_loss: bool
    ends: float
    waiting: list[int]
    salvages: dict[int, Salvage] = attrs.field(factory=dict)
    ongoing: int = 0


@attrs.define
class _Ongoing:
    """The recovery of one slot."""

    order: _Order
    slot: int
    recovering: Recovering
    first: Configuration
    """What was known of the slot when it began."""
    since: float
    """When the present questions were asked first."""
    tries: int = 0
    salvage: Salvage | None = None
    """What it comes to, once it takes place."""


class Recoveries:
    """The recoveries under way at one node.

    :param learn: told what is news of a slot.
    """

    def __init__(
        self,
        around: Surroundings,
        founding: Founding,
        directory: Directory,
        seats: Seats,
        learn: Callable[[Listed], None],
    ) -> None:
        self._around = around
        self._founding = founding
        self._slots = Slots(founding.bits, founding.slots)
        self._directory = directory
        self._seats = seats
        self._learn = learn
        self.orders: list[_Order] = []
        self.ongoing: dict[int, _Ongoing] = {}

    def start(self, op: int, asked: Recover, timeout: float) -> None:
        """Begin; slots that do not exist are left out."""
        found = sorted({slot for slot in asked.slots if 0 <= slot < self._founding.slots})
        order = _Order(op, asked.accept_loss, self._around.now + timeout, found[::-1])
        self.orders.append(order)
        self._go_on(order)

    def get(self, rid: int) -> Recovering | None:
        """Return the recovery with this number."""
        return self.ongoing[rid].recovering if rid in self.ongoing else None

    def close(self) -> None:
        """End all orders: this node leaves the formation."""
        for order in list(self.orders):
            order.waiting.clear()
        for rid, ongoing in list(self.ongoing.items()):
            self._finish(rid, ongoing, ongoing.recovering.salvage(Fate.OVERTAKEN))

    # ---- orders -----------------------------------------------------------------------------

    def _go_on(self, order: _Order) -> None:
        while order.waiting and len(self.ongoing) < AT_ONCE:
            order.ongoing += 1
            self._begin(order, order.waiting.pop())
        if not order.waiting and not order.ongoing and order in self.orders:
            self.orders.remove(order)
            salvages = tuple(order.salvages[slot] for slot in sorted(order.salvages))
            self._around.answers.append(Answered(order.op, Salvages(salvages)))
            for other in self.orders[:1]:
                self._go_on(other)

    def _begin(self, order: _Order, slot: int) -> None:
        around, rid = self._around, self._around.rid()
        listed = self._directory.of(slot)
        recovering = Recovering(
            rid,
            (self._founding.id, slot),
            around.effects,
            Findings(listed.configuration, listed.before),
            self._founding.replicas,
            lambda: around.rng.getrandbits(40),
            self._fits,
            lambda nodes: self._slots.clockwise(slot, nodes),
        )
        self.ongoing[rid] = _Ongoing(order, slot, recovering, listed.configuration, around.now)
        self._inquire(rid)

    def _inquire(self, rid: int) -> None:
        """Ask all nodes that this one knows of."""
        ongoing, around = self.ongoing[rid], self._around
        ongoing.since = around.now
        holders = self._seats.holders
        ongoing.recovering.inquire({around.me.node, *around.place.near, *holders})
        around.alarms.set((For.RECOVER, rid), around.now + STEP_S)

    def _fits(self, member: Member) -> bool:
        holder = self._seats.holders.get(member.node)
        if holder is None:
            return False
        return holder.store == member.store and holder.takes_seats

    # ---- what happens to them ---------------------------------------------------------------

    def ring(self, rid: int) -> None:
        """Ask again, or go on without those that have not answered."""
        ongoing = self.ongoing.get(rid)
        if ongoing is None:
            return
        around, recovering = self._around, ongoing.recovering
        around.alarms.set((For.RECOVER, rid), around.now + STEP_S)
        if around.now >= ongoing.order.ends:
            self._run_out(rid, ongoing)
        elif recovering.findings.stage == Stage.OVERTAKEN:
            ongoing.tries += 1
            if ongoing.tries > MOST_TRIES:
                self._finish(rid, ongoing, recovering.salvage(Fate.OVERTAKEN))
            else:
                self._inquire(rid)
        else:
            recovering.remind()
            self.advance(rid)

    def _run_out(self, rid: int, ongoing: _Ongoing) -> None:
        ongoing.order.waiting.clear()
        salvage = ongoing.salvage
        if salvage is None:
            salvage = ongoing.recovering.salvage(Fate.OVERTAKEN)
        self._finish(rid, ongoing, salvage)

    def advance(self, rid: int) -> None:
        """Go on as far as what was heard allows."""
        ongoing = self.ongoing.get(rid)
        if ongoing is None:
            return
        recovering = ongoing.recovering
        stage = recovering.findings.stage
        if stage in (Stage.INQUIRE, Stage.PROMISE) and self._is_complete(ongoing):
            recovering.weigh()
            self._weighed(rid, ongoing)
        elif stage == Stage.ACCEPT and self._around.now >= ongoing.since + ANSWER_S:
            ongoing.tries += 1
            self._inquire(rid)
        elif stage == Stage.INSTALL:
            self._install(rid, ongoing)
        elif stage == Stage.OVERTAKEN:
            # Two that disturb each other should not begin again in step.
            pause = self._around.jittered(STEP_S)
            self._around.alarms.set((For.RECOVER, rid), self._around.now + pause)

    def _is_complete(self, ongoing: _Ongoing) -> bool:
        if self._around.now >= ongoing.since + ANSWER_S:
            return True
        silent = ongoing.recovering.findings.silent
        return all(self._around.is_lost(node, LOST_S) for node in silent)

    def _weighed(self, rid: int, ongoing: _Ongoing) -> None:
        recovering = ongoing.recovering
        findings = recovering.findings
        if findings.stage == Stage.INQUIRE:
            if not ongoing.order.accept_loss:
                self._finish(rid, ongoing, recovering.salvage(Fate.LOSES))
            elif not recovering.promise():
                self._finish(rid, ongoing, recovering.salvage(Fate.NOBODY))
            ongoing.since = self._around.now
        elif findings.stage == Stage.ACCEPT:
            ongoing.since = self._around.now
        elif findings.stage == Stage.INSTALL:
            self._install(rid, ongoing)
        elif findings.fate is not None:
            salvage = recovering.salvage(findings.fate)
            if findings.fate == Fate.HAS_MAJORITY:
                self._learn(Listed(ongoing.slot, salvage.configuration))
            newer = salvage.configuration.generation > ongoing.first.generation
            if ongoing.tries and newer and findings.fate == Fate.HAS_MAJORITY:
                salvage = replace(salvage, fate=Fate.RECOVERED)  # others have
            self._finish(rid, ongoing, salvage)

    def _install(self, rid: int, ongoing: _Ongoing) -> None:
        """Have the members of the new generation take its state, and wait until it serves."""
        recovery = ongoing.recovering.findings.recovery
        assert recovery is not None
        new = recovery.configuration
        if ongoing.salvage is None:
            salvage = ongoing.recovering.salvage(Fate.BEGUN)
            ongoing.salvage = replace(salvage, configuration=new)
            listed = Listed(ongoing.slot, new, serves=False, before=recovery.left)
            self._learn(listed)
            # Those that are left have accepted it, and others believe them.
            for member in recovery.left.members:
                if member != self._around.me:
                    self._around.say(member.node, Lists(self._founding.id, (listed,)))
            if self._directory.of(ongoing.slot) == listed:
                self._seats.lead(ongoing.slot, change_of(listed, new.members))
        known = self._directory.of(ongoing.slot)
        if known.serves and not new.follows(known.configuration):
            self._finish(rid, ongoing, replace(ongoing.salvage, fate=Fate.RECOVERED))

    def learned(self, listed: Listed) -> None:
        """Heed what is news of a slot."""
        for rid, ongoing in list(self.ongoing.items()):
            if ongoing.slot == listed.slot:
                self.advance(rid)

    def _finish(self, rid: int, ongoing: _Ongoing, salvage: Salvage) -> None:
        if self.ongoing.pop(rid, None) is None:
            return
        self._around.alarms.cancel((For.RECOVER, rid))
        order = ongoing.order
        order.ongoing -= 1
        order.salvages[ongoing.slot] = salvage
        self._go_on(order)
