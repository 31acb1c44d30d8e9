"""Runs a node's store: feeds its machine, and performs what it asks for.

The machine is :class:`chordnet.core.store.node.node.StoreNode`. Its letters travel on the links of
the ring (:mod:`chordnet.net.store.letters`), and who its neighbours are it learns from the ring's
machine.

What a letter or an answer rests on is on disk before it leaves, so both wait for the commit of
their turn (:mod:`chordnet.net.store.records`). If something cannot be kept, the store of this node
stops for good; the node stays in its ring, the other members go on, and clients are told why.

What a turn brings for the store is done together at its end, when the ring's messages have been
sent. So the letters of one read, or the requests of one client, are answered in one letter to each
node and one write on disk. A turn does only so much of it; the rest waits until other connections
have been read, so that a busy store does not hold up broadcasts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall

from chordnet.core.base.effects import Joined, Mailed, PeerDied, RingChanged, StatusChanged
from chordnet.core.base.errors import (
    Busy,
    ChordnetError,
    NoStore,
    NotInRing,
    StoreFailed,
)
from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import NodeRef, Status
from chordnet.core.store.base import events as ev
from chordnet.core.store.base.effects import (
    Answered,
    Keep,
    NodeEffect,
    Noted,
    Outdated,
    Post,
    Revised,
    Unwatched,
)
from chordnet.core.store.base.founding import Founding, Slots
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.outcomes import Report
from chordnet.core.store.base.requests import Enquiry, Get, Put
from chordnet.core.store.begin.settings import StoreSettings
from chordnet.core.store.look.enquiries import MOST_ENQUIRIES
from chordnet.core.store.node.node import StoreNode
from chordnet.net.base.interfaces import Down, KeyDone, StoreKeeper, Told
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.shared import Shared
from chordnet.net.store.counts import StoreCounts
from chordnet.net.store.keys import BEGIN
from chordnet.net.store.letters import Letters, Ring
from chordnet.net.store.records import StoreRecords
from chordnet.net.store.watches import Ended, StoreWatches

AT_ONCE = 32
"""Events of the store that one turn handles."""
MAX_OPERATIONS = 4096
"""Operations of one node's clients at the same time."""
_GONE = frozenset({LinkFault.REFUSED, LinkFault.REJECTED, LinkFault.UNREACHABLE})
_NEVER = float("inf")

Performers = dict[type, Callable[[Any], None]]


@attrs.frozen
class Anew:
    """An empty store, in place of one that was set aside."""

    settings: StoreSettings
    keeper: StoreKeeper
    kept: Kept
    where: str
    """Where the old one is, for people."""


class StoreRunner:
    """Runs one store; what clients ask of it is :class:`chordnet.net.base.interfaces.KeyStore`.

    :param kept: what ``keeper`` had when it was opened.
    :param ring: the node.
    :param make: makes the machine.
    :param anew: sets the store of a formation aside, and returns an empty one.
    """

    def __init__(
        self,
        shared: Shared,
        settings: StoreSettings,
        kept: Kept,
        keeper: StoreKeeper,
        ring: Ring,
        make: Callable[[StoreSettings, str, Kept, Random], StoreNode] = StoreNode,
        anew: Callable[[bytes], Anew] | None = None,
    ) -> None:
        self._shared = shared
        self._make, self._anew = make, anew
        rng = Random(shared.rng.getrandbits(64))
        self.machine = make(settings, shared.me.name, kept, rng)
        self._ring = ring
        self._turn = shared.turn
        self._journal = shared.journal
        self._records = StoreRecords(shared.turn, keeper, self._give_up)
        shared.turn.join(self._records)
        self.failed = ""
        """Why the store has stopped; empty while it works."""
        self._counts = StoreCounts(shared.journal, shared.seconds)
        self._op = 0
        self._asked: dict[int, Callable[[Any], None]] = {}
        self._watches = StoreWatches(self.post)
        self._letters = Letters(shared, ring, lambda name: self.post(ev.Lost(name)))
        self._waiting: deque[ev.Event] = deque()
        self._due = False
        """Whether what waits is handled at the end of this turn, or soon."""
        self._rest: IDelayedCall | None = None
        """The call that handles what was too much for one turn."""
        self._timer: IDelayedCall | None = None
        self._armed = _NEVER
        self._view: ev.Neighbours | None = None
        self._stopped = False

    # ---- what clients ask -------------------------------------------------------------------

    @property
    def founding(self) -> Founding | None:
        """The formation that the store belongs to."""
        return self.machine.founding

    def ask(self, asked: Get | Put, timeout_s: float, done: KeyDone) -> None:
        """Begin an operation, as :class:`chordnet.net.base.interfaces.KeyStore` says."""
        if self.failed:
            raise NoStore(self._why_stopped)
        if self.founding is None:
            raise NoStore(self.why_none())
        if len(self._asked) >= MAX_OPERATIONS:
            raise Busy(f"{len(self._asked)} operations on keys are in flight; retry in a moment")
        self._op += 1
        self._asked[self._op] = done
        self._counts.began(self._op, asked)
        self.post(ev.Ask(self._op, asked, timeout_s))

    def enquire(
        self, asked: Enquiry, timeout_s: float, done: Callable[[Report | ChordnetError], None]
    ) -> None:
        """Find out about members; ``done`` is called once.

        :raises NoStore: this node belongs to no store, or its store has stopped.
        :raises Busy: too much of this is under way.
        """
        if self.failed:
            raise NoStore(self._why_stopped)
        formation = self.machine.formation
        if formation is None:
            raise NoStore(self.why_none())
        if len(formation.enquiries.ongoing) >= MOST_ENQUIRIES:
            raise Busy("too many questions about the store are under way; retry in a moment")
        self._op += 1
        self._asked[self._op] = done
        self.post(ev.Ask(self._op, asked, timeout_s))

    def watch(self, key: bytes, since: int | None, told: Told, ended: Ended) -> Callable[[], None]:
        """Begin a watch, as :class:`chordnet.net.base.interfaces.KeyStore` says."""
        if self.failed:
            raise NoStore(self._why_stopped)
        if self.founding is None:
            raise NoStore(self.why_none())
        self._op += 1
        return self._watches.begin(self._op, key, since, told, ended)

    def slot_of(self, key: bytes) -> int | None:
        """Return the slot of a key; None while the node belongs to no store."""
        founding = self.founding
        return None if founding is None else Slots(founding.bits, founding.slots).of(key)

    def why_none(self) -> str:
        """Return why the node belongs to no store, in words; empty if it does."""
        if self.founding is not None:
            return ""
        if self.machine.misfit:
            return self.machine.misfit
        founders = self.machine.settings.founders
        if founders:
            return f"the store has not begun: its founders are {', '.join(founders)}"
        name = self._shared.me.name
        return f"{name} has met no store yet, so ask again in a moment, or begin one: {BEGIN}"

    # ---- what happens in the ring -----------------------------------------------------------

    def performing(self, others: Performers) -> Performers:
        """Return what performs the effects of the ring's machine, with what this store heeds."""

        def and_moved(perform: Callable[[Any], None], effect: Any) -> None:
            perform(effect)
            self.moved()

        def died(effect: PeerDied) -> None:
            others[PeerDied](effect)
            self._lose(effect.peer.name)

        kinds = (RingChanged, StatusChanged, Joined)
        moved: Performers = {kind: partial(and_moved, others[kind]) for kind in kinds}
        mailed: Performers = {Mailed: lambda effect: self.mailed(effect.sender, effect.letter)}
        return {**others, **moved, PeerDied: died, **mailed}

    def heeding(self, down: Down) -> Down:
        """Return ``down`` as it is called so that this store hears of it, too."""

        def heard(peer: NodeRef, fault: LinkFault, text: str = "", holder: str = "") -> None:
            down(peer, fault, text, holder)
            if fault in _GONE and peer.name:
                self._lose(peer.name)

        return heard

    def mailed(self, sender: NodeRef, letter: bytes) -> None:
        """Take a letter."""
        self._letters.heard(sender)
        self._counts.received(letter)
        self.post(ev.Mail(sender.name, letter))

    def moved(self) -> None:
        """Look at the ring again, where something has changed."""
        core = self._ring.core
        before, me = core.predecessor, self._shared.me
        view = ev.Neighbours(
            core.status() in (Status.ACTIVE, Status.LEAVING),
            None if before is None or before.raw == me.raw else before.name,
            tuple(node.name for node in core.successors if node.raw != me.raw),
        )
        if view != self._view:
            self._view = view
            self.post(view)

    def _lose(self, name: str) -> None:
        # It may have begun another life, at another address: the next letter looks it up.
        self._letters.forget(name)
        self.post(ev.Lost(name))

    def vacate(self) -> None:
        """Give up all seats.

        :raises NoStore: this store works no more.
        """
        if self.failed:
            raise NoStore(self._why_stopped)
        self.post(ev.Vacate())

    def begin_anew(self, formation: bytes, copy: str = "") -> str:
        """Set the store of a formation aside, or an older copy of one; go on with an empty one.

        :param copy: why it is known to be an older copy; empty if people have ordered this.
        :returns: where the old one is.
        :raises NoStore: it cannot be set aside.
        :raises StoreFailed: it cannot be moved; this store works no more.
        """
        if self._stopped and copy:
            return ""
        if self._anew is None and not copy:
            raise NoStore("the store of this node cannot be set aside")
        what = copy or f"the store {formation.hex()} was set aside"
        # A write under way may be done by others all the same, so this is no refusal.
        self._end(StoreFailed(what))
        settings = self.machine.settings
        try:
            if self._anew is None or copy:
                kept, where = self._records.begin_anew()
            else:
                anew = self._anew(formation)
                settings, kept, where = anew.settings, anew.kept, anew.where
                self._records.renew(anew.keeper)
        except StoreFailed as problem:
            self._give_up(str(problem))
            raise
        rng = Random(self._shared.rng.getrandbits(64))
        self.machine = self._make(settings, self._shared.me.name, kept, rng)
        self._armed, self._view = _NEVER, None
        if copy:
            self._journal.counters.add(NetMetric.STORE_COPIES)
            text = "{what}; it is set aside ({where}), and an empty store begins, as a new member"
            self._journal.error(text, what=what, where=where)
        else:
            self._journal.warn("{what}: {where}", what=what, where=where)
        self.moved()
        return where

    # ---- the machine ------------------------------------------------------------------------

    def post(self, event: ev.Event) -> None:
        """Handle ``event`` at the end of this turn, together with all others that it brings."""
        if self._stopped:
            return
        self._waiting.append(event)
        if not self._due:
            self._due = True
            self._turn.after(self._run)

    def _run(self) -> None:
        """Handle what waits, or as much of it as one turn may."""
        self._rest, waiting = None, self._waiting
        events = [waiting.popleft() for _ in range(min(AT_ONCE, len(waiting)))]
        if events and not self._stopped:
            with self._turn:
                self._handle(events)
                self._arm()
        # What it brought about itself, and what is left, waits for others.
        self._due = bool(self._waiting)
        if self._due:
            self._rest = self._shared.reactor.callLater(0, self._run)

    def _handle(self, events: Sequence[ev.Event]) -> None:
        shared = self._shared
        try:
            effects = self.machine.steps(events, shared.seconds(), shared.wall())
        except Exception:  # noqa: BLE001 - logged with its traceback
            kinds = ", ".join(dict.fromkeys(type(event).__name__ for event in events))
            self._journal.failure(NetMetric.CORE_ERRORS, f"the store failed on {kinds}")
            # It may have promised something that was never to be kept: it must not go on.
            self._give_up("its protocol has failed; the log says where")
            return
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: NodeEffect) -> None:
        if isinstance(effect, Post):
            self._counts.sent(effect.letter)
            self._records.when_kept(partial(self._letters.send, effect.to, effect.letter))
        elif isinstance(effect, Keep):
            self._counts.keeps(effect)
            self._records.keep(effect)
        elif isinstance(effect, Answered):
            self._records.when_kept(partial(self._answer, effect))
        elif isinstance(effect, Revised | Unwatched):
            self._records.when_kept(partial(self._watches.tell, effect))
        elif isinstance(effect, Noted):
            log = self._journal.warn if effect.alarming else self._journal.info
            log("{what}", what=effect.text)
        elif isinstance(effect, Outdated):
            self._turn.after(partial(self.begin_anew, b"", effect.text))

    def _answer(self, effect: Answered) -> None:
        done = self._asked.pop(effect.op, None)
        if done is not None:
            self._counts.ended(effect.op, effect.outcome)
            done(effect.outcome)

    def _arm(self) -> None:
        if self._stopped or self.machine.bound >= self._armed:
            return
        deadline = self.machine.deadline
        if deadline is None or deadline >= self._armed:
            return
        self._armed = deadline
        delay = max(0.0, deadline - self._shared.seconds())
        if self._timer is not None:
            self._timer.reset(delay)
        else:
            self._timer = self._shared.reactor.callLater(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._armed = _NEVER
        with self._turn:
            self.post(ev.Tick())
            self._turn.after(self._records.rest)

    # ---- the end ----------------------------------------------------------------------------

    def _give_up(self, why: str) -> None:
        """Stop: what was promised cannot be kept."""
        self.failed = why
        self._journal.counters.add(NetMetric.STORE_FAILURES)
        self._journal.error("the store of this node has stopped: {why}", why=why)
        self._stopped = True
        # Not in the middle of the commit that failed, but still within this turn. A write that is
        # under way may be done by others all the same, so this is no refusal.
        self._turn.after(partial(self._end, StoreFailed(self._why_stopped)))

    @property
    def _why_stopped(self) -> str:
        return f"the store of {self._shared.me.name} has stopped: {self.failed}"

    def stop(self, reason: str) -> None:
        """Handle no more events and cancel the timer; answer what waits that the node has ended."""
        self._stopped = True
        self._end(NotInRing(reason))

    def _end(self, problem: ChordnetError) -> None:
        self._waiting.clear()
        self._due = False
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        asked, self._asked = self._asked, {}
        for op, done in asked.items():
            self._counts.ended(op, problem)
            done(problem)
        self._watches.end(problem)
