"""``StoreNode``: the store of one node as a pure machine. Events in, effects out.

It stands beside the ring's machine (``chordnet.core.node``) and meets it only through events: who
the neighbours are, who cannot be reached, and letters. Like that one it reads no clock, opens no
socket or file, and draws randomness only from the source that it was given.

A node takes part as soon as it knows its formation (:mod:`chordnet.core.store.begin.founders`);
what it does then is in ``formation.py``. Nodes learn of each other's formation and disk by hails:
from their neighbours, from those that hold slots in their care, and while a store begins from its
founders.

What a node says to itself never leaves this file. What it says to others leaves at the end of a
step, after everything that has to be on disk before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import attrs

from chordnet.core.kernel.timers import Alarms
from chordnet.core.store.base import events as ev
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.effects import Entry, Keep, NodeEffect, Noted, Outdated, Post, Say
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept, Mark
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.begin.fitting import misfit
from chordnet.core.store.begin.founders import Founders
from chordnet.core.store.begin.hails import Hail, fault_of
from chordnet.core.store.begin.marks import ASK_S, Back, Known, Marks
from chordnet.core.store.begin.settings import StoreSettings
from chordnet.core.store.begin.voices import Voices
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.formation import Formation
from chordnet.core.store.node.holdings import StoreView
from chordnet.core.store.node.seats import Holder
from chordnet.core.store.node.surroundings import For, Place, Surroundings, remember
from chordnet.core.store.node.talk import letters, read

ALL = StoreSafeguards()
HAIL_S = 15.0
"""Between two greetings of the same nodes. Neighbours that are new are greeted immediately."""
SEEK_S = 0.5
"""The same, for a founder that waits for others, until it complains."""
NEAREST = 4
"""Successors that are greeted again and again; the ring knows if the others live."""
OVERDUE_S = 15.0
"""A store that has not begun for so long is complained of."""
MOST_NOTICES = 4096
"""Different faults of peers that are told of."""
OF_DISKS = frozenset({Mark, Back, Known})
_NEVER = float("inf")


class _Disks:
    """What this node says of its disk, and hears of those of others."""

    def __init__(self, around: Surroundings, kept: Kept, rng: Random) -> None:
        self.marks = marks = Marks(around.me, kept, rng, lambda node: node in around.lost)
        self._around = around
        around.may_answer = lambda members: marks.may_answer(members, around.now)

    def ask(self, formation: Formation | None) -> None:
        """Ask the fellow members, after a start, how far they know this disk to be."""
        fellows = () if formation is None else formation.fellows()
        asked = self.marks.whom_to_ask(fellows, self._around.now)
        for node in asked:
            self._around.say(node, Back(self.marks.mine))
        if asked:
            self._around.sooner(For.BACK, 0, ASK_S)

    def take(self, sender: str, message: Mark | Back | Known) -> list[NodeEffect]:
        """Take what a node says of its disk or of this one; return what is to be done first."""
        around, entries, known = self._around, list[Entry](), None
        if isinstance(message, Known):
            self.marks.on_known(sender, message.mark)
        elif isinstance(message, Back):
            entries, known = self.marks.on_back(sender, message.mark, around.now)
        else:
            entries, known = self.marks.on_mark(sender, message, around.now)
        if known is not None:
            around.say(sender, Known(known))
        return [Keep(tuple(entries))] if entries else []

    def numbered(self, effects: list[NodeEffect]) -> list[NodeEffect]:
        """Number the write of this step, if there is one, and mark all letters with it."""
        last, keep = -1, None
        for index, effect in enumerate(effects):
            if type(effect) is Keep:
                last, keep = index, effect
        if keep is None:
            return effects
        effects[last] = Keep((*keep.entries, *self.marks.wrote()))
        if self._around.said:
            mine = self.marks.mine
            for messages in self._around.said.values():
                messages.append(mine)
        return effects


class StoreNode:
    """The store of one node.

    :param me: the node's name.
    :param kept: what its disk has.
    :param rng: the only source of randomness.
    """

    def __init__(
        self,
        settings: StoreSettings,
        me: str,
        kept: Kept,
        rng: Random,
        safeguards: StoreSafeguards = ALL,
    ) -> None:
        self.settings = settings
        self._kept: Kept | None = kept
        self.around = Surroundings(
            Member(me, kept.store), rng, kept.run, safeguards, settings.collect_pace
        )
        self.holders: dict[str, Holder] = {}
        """What other nodes said of their stores, this node's included."""
        self.vacating = False
        """Whether this node gives up its seats."""
        self.formation: Formation | None = None
        """This node's part in its formation; None until it belongs to one."""
        self.misfit = misfit(settings, self.around.me, kept)
        """Why this node keeps out of the store, with the disk that it has; empty if it does not."""
        self.founders = Founders(settings, self.around.me, kept)
        """This node's part in the beginning of a store."""
        self._disks = _Disks(self.around, kept, rng)
        self._voices = Voices([name for name in settings.founders if name != me])
        self._greetings: dict[str, bool] = {}
        """Nodes to greet at the end of this step; whether to ask them to answer."""
        self._first: list[NodeEffect] = []
        """What comes before all answers and letters of this step."""
        self._noticed: set[str] = set()
        self._told_misfit = False
        self._since: float | None = None
        """When this node was in a ring and had no formation first."""
        self._hold_self()

    # ---- the machine ------------------------------------------------------------------------

    def step(self, event: ev.Event, now: float, wall: float) -> list[NodeEffect]:
        """Take one event.

        :param now: seconds on a clock that never goes back.
        :param wall: the wall clock, seconds since 1970.
        :returns: what to do, to be performed in this order.
        """
        return self.steps((event,), now, wall)

    def steps(self, events: Sequence[ev.Event], now: float, wall: float) -> list[NodeEffect]:
        """Take several events, one after another, and say what comes of all of them together.

        So what there is to be said to one node travels in one letter, and is kept in one write.
        """
        self.around.now, self.around.wall = now, wall
        for event in events:
            if not self.misfit:
                self._take(event)
                self._work()
        if not self.misfit:
            return self._done()
        told, self._told_misfit = self._told_misfit, True
        outdated = self._disks.marks.outdated
        why = Outdated(outdated) if outdated else Noted(self.misfit, alarming=True)
        return [] if told else [why]

    def _take(self, event: ev.Event) -> None:
        if isinstance(event, ev.Mail):
            self._mail(event)
        elif isinstance(event, ev.Ask):
            assert self.formation is not None, "who asks looks at `founding` first"
            self.formation.ask(event)
        elif isinstance(event, ev.Neighbours):
            self._neighbours(event)
        elif isinstance(event, ev.Lost):
            _lost(self, event.node)
        elif isinstance(event, ev.Watch | ev.Unwatch):
            assert self.formation is not None, "who watches looks at `founding` first"
            self.formation.asides.heed(event)
        elif isinstance(event, ev.Vacate):
            self._vacate()
        elif isinstance(event, ev.Begin):
            self._begin(event.founders)
        else:
            self._tick()
        if self._disks.marks.outdated:
            self.misfit, self._told_misfit = self._disks.marks.outdated, False
            self.around.alarms = Alarms(self.around.horizon)

    @property
    def deadline(self) -> float | None:
        """When the next ``Tick`` is due, on the clock of ``now``; None if nothing waits."""
        soonest = self.around.alarms.next()
        self.around.horizon.bound = _NEVER if soonest is None else soonest
        return soonest

    @property
    def bound(self) -> float:
        """Lower bound on :attr:`deadline`; O(1) to read."""
        return self.around.horizon.bound

    def _done(self) -> list[NodeEffect]:
        """Do what concerns this node only, and return the rest."""
        around = self.around
        if around.unknown:
            self._hail(around.unknown)
            around.unknown.clear()
        result, self._first = [*self._first, *around.answers], []
        around.answers.clear()
        for node, asks in self._greetings.items():
            hail = self.founders.hail(self.vacating, asks=asks)
            around.said.setdefault(node, []).insert(0, hail)
            around.said[node].append(self._disks.marks.mine)
        self._greetings.clear()
        result = self._disks.numbered(result)
        if around.said:
            for node, messages in around.said.items():
                for letter in letters(messages):
                    result.append(Post(node, letter))
            around.said.clear()
        return result

    def _work(self) -> None:
        """Do what the parts of this node have asked for."""
        around = self.around
        queue, said, me = around.effects, around.said, around.me.node
        while queue:
            effects: list[Any] = queue[:]
            queue.clear()
            for effect in effects:
                kind = type(effect)
                if kind is Keep:
                    self.founders.empty = False
                    self._first.append(effect)
                elif kind is Say and effect.to != me:
                    if effect.to in said:
                        said[effect.to].append(effect.message)
                    else:
                        said[effect.to] = [effect.message]
                elif self.formation is not None:
                    self.formation.perform(effect)

    # ---- the ring ---------------------------------------------------------------------------

    def _neighbours(self, event: ev.Neighbours) -> None:
        around = self.around
        before = set(around.place.near)
        around.place = Place(event.member, event.predecessor, event.successors)
        if set(around.place.near) != before:
            around.settled = around.now
        for node in event.successors:
            around.found(node)
        if not event.member:
            return
        self._first += self.founders.begin()
        self._hail(node for node in around.place.near if node not in before)
        around.sooner(For.HAIL, 0, around.jittered(self._pause))
        if self.formation is not None:
            self.formation.moved()
        self._catch_up()
        self._disks.ask(self.formation)

    # ---- letters and hails ------------------------------------------------------------------

    def _mail(self, event: ev.Mail) -> None:
        try:
            messages: list[Any] = read(event.letter)
        except ValueError as error:
            self._notice(f"{event.sender} has sent a letter that cannot be read: {error}")
            return
        sender = event.sender
        self.around.hear(sender)
        # Hails first: one may end an empty formation, which must not have promised anything before.
        for message in messages:
            if type(message) is Hail:
                self._hailed(sender, message)
        formation = self.formation
        for message in messages:
            kind = type(message)
            if kind in OF_DISKS:
                self._first += self._disks.take(sender, message)
            elif formation is not None and kind is not Hail:
                formation.take(sender, message)
        if formation is not None:
            formation.asking.heard(sender)

    def _hail(self, nodes: Iterable[str], *, asks: bool = True) -> None:
        for node in nodes:
            if node != self.around.me.node:
                self._greetings[node] = asks or self._greetings.get(node, False)

    def _hailed(self, sender: str, hail: Hail) -> None:
        founders = self.founders
        fault = fault_of(sender, hail)
        if fault:
            self._notice(f"{sender} has sent a hail that {fault}")
            return
        before = founders.vote, founders.founding
        place, now = self.around.place, self.around.now
        if self._voices.suffice(founders, sender, hail.founding, place.near, now):
            self._first += founders.on_hail(sender, hail)
        else:
            self.around.sooner(For.HAIL, 0, self.around.jittered(self._pause))
        if hail.asks:
            self._hail([sender], asks=False)
        self._catch_up()
        if (founders.vote, founders.founding) != before:
            self._hail(sorted({*self.around.place.near, *founders.wanted, sender}))
        if self.formation is not None and hail.founding == self.formation.founding:
            known = self.holders.get(sender)
            remember(self.holders, sender, Holder(hail.store, hail.seat, hail.vacating))
            self._hold_self()
            if hail.vacating and (known is None or not known.vacating):
                self.formation.seats.hurry()

    def _hold_self(self) -> None:
        me = self.around.me
        self.holders[me.node] = Holder(me.store, self.settings.seat, self.vacating)

    @property
    def _pause(self) -> float:
        seeks = self.formation is None and (self.founders.wanted or self._voices.heard)
        patient = self._since is None or self.around.now < self._since + OVERDUE_S
        return SEEK_S if seeks and patient else HAIL_S

    def _catch_up(self) -> None:
        """Begin with a formation that is new to this node."""
        founding = self.founders.founding
        if founding is None or founding == self.founding:
            return
        if self.formation is not None:
            self.formation.close()
            self._work()
            # All that was under way ends before this node is a part of another one.
            self.around.alarms = Alarms(self.around.horizon)
            self.around.sooner(For.HAIL, 0, self.around.jittered(HAIL_S))
            self.holders.clear()  # the hail that ends the formation fills it again
        kept = self._kept
        same = kept is not None and kept.founding == founding
        self._kept = None
        self.formation = Formation(self.around, founding, kept if same else None, self.holders)
        self.formation.moved()
        self._hail(self.around.place.near)

    def _begin(self, founders: tuple[str, ...]) -> None:
        if self.founders.why_not(founders):
            return
        self.settings = attrs.evolve(self.settings, founders=founders)
        self._voices = Voices(founders)
        self._since = None
        self._first += self.founders.order(founders)
        self._hail(self.founders.wanted)
        self.around.alarms.set((For.HAIL, 0), self.around.now + SEEK_S)
        self._catch_up()

    def _vacate(self) -> None:
        self.vacating = True
        self._hold_self()
        # The owners of its slots are to know immediately, and they are among the slots' members.
        others = set() if self.formation is None else self.formation.fellows()
        self._hail(sorted({*self.holders, *others}), asks=False)
        if self.formation is not None:
            self.formation.seats.hurry()

    # ---- time -------------------------------------------------------------------------------

    def _tick(self) -> None:
        for what, number in self.around.alarms.due(self.around.now):
            if what == For.HAIL:
                self._greet()
            elif what == For.BACK:
                self._disks.ask(self.formation)
            elif self.formation is not None:
                self.formation.ring(what, number)

    def _greet(self) -> None:
        """Greet the neighbours, and those that concern the slots in this node's care."""
        around, formation = self.around, self.formation
        if not around.place.member:
            return
        around.sooner(For.HAIL, 0, around.jittered(self._pause))
        others = set() if formation is None else formation.seats.members_of_arc()
        before = around.place.predecessor
        near = [*around.place.successors[:NEAREST], *([] if before is None else [before])]
        self._hail(sorted({*near, *self.founders.wanted, *others}))
        if formation is not None:
            formation.news.compare()
        else:
            self._since = around.now if self._since is None else self._since
            if around.now >= self._since + OVERDUE_S:
                self._first += self.founders.overdue()

    def _notice(self, text: str) -> None:
        """Say something once."""
        if text not in self._noticed and len(self._noticed) < MOST_NOTICES:
            self._noticed.add(text)
            self.around.answers.append(Noted(text))

    # ---- to look at -------------------------------------------------------------------------

    @property
    def founding(self) -> Founding | None:
        """The formation that this node's store belongs to; None if there is none yet."""
        return None if self.formation is None else self.formation.founding

    @property
    def seats(self) -> int:
        """How many slots need this disk."""
        return 0 if self.formation is None else self.formation.needed

    @property
    def stock(self) -> tuple[int, int]:
        """How many keys with a value this disk holds, and their bytes and those of the values."""
        served = [] if self.formation is None else list(self.formation.holdings.served)
        stocks = [held.registers.stock for held in served]
        return sum(each.keys for each in stocks), sum(each.bytes for each in stocks)

    def listed(self) -> Iterable[Listed]:
        """Return what this node knows of every slot; nothing without a formation."""
        return () if self.formation is None else self.formation.directory.named()

    def view(self) -> StoreView:
        """Return what this node knows of its store."""
        formation = self.formation
        slots = () if formation is None else formation.view()
        changing = 0 if formation is None else len(formation.seats.changes)
        me = self.around.me
        return StoreView(
            me, self.around.run, self.founding, self.vacating, self.seats, changing, slots
        )


def _lost(at: StoreNode, node: str) -> None:
    if node != at.around.me.node:
        at.around.lose(node)
        if at.formation is not None:
            at.formation.lost(node)
