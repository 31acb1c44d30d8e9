"""Runs a node's store: feeds its machine, and performs what it asks for.

The machine is :class:`chordnet.core.store.node.node.StoreNode`. Its letters travel on the links of
the ring, and who its neighbours are it learns from the ring's machine. It calls other nodes by
name; a name that was not heard of is looked up in the ring, and what is to be sent there waits.

What an answer rests on is on disk before the answer leaves (:mod:`chordnet.net.store.records`). If
something cannot be kept, the store of this node stops for good; the node stays in its ring, the
other members go on, and clients are told why.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Protocol

import attrs
from twisted.internet.interfaces import IDelayedCall

from chordnet.core.base.effects import Joined, Mailed, PeerDied, RingChanged, StatusChanged
from chordnet.core.base.errors import Busy, ChordnetError, NoStore
from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import NodeRef, Status, StoreMail
from chordnet.core.store.base import events as ev
from chordnet.core.store.base.effects import Answered, Keep, NodeEffect, Noted, Post
from chordnet.core.store.base.founding import Founding, Slots
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.begin.settings import StoreSettings
from chordnet.core.store.node.node import StoreNode
from chordnet.net.base.interfaces import (
    Core,
    Down,
    KeyDone,
    LookupDoneWith,
    StoreKeeper,
    Transport,
)
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.shared import Shared
from chordnet.net.store.keys import NO_STORE
from chordnet.net.store.records import StoreRecords
from chordnet.wire.rpc import LookupResult

MAX_WAITING_BYTES = 1 << 20
"""Letters that wait until the node they are for is found."""
MAX_NAMES = 4096
"""Nodes of which the pointer is remembered."""
MAX_OPERATIONS = 4096
"""Operations of one node's clients at the same time."""
_GONE = frozenset({LinkFault.REFUSED, LinkFault.REJECTED, LinkFault.UNREACHABLE})
_NEVER = float("inf")

Performers = dict[type, Callable[[Any], None]]


class Ring(Protocol):
    """What a store needs of the node that it belongs to."""

    @property
    def core(self) -> Core: ...
    @property
    def transport(self) -> Transport: ...
    def find(self, key: str, done: LookupDoneWith) -> None:
        """Look up the owner of a key."""


@attrs.define
class _Addressee:
    """A node that letters wait for."""

    letters: deque[bytes] = attrs.field(factory=deque)


class StoreRunner:
    """Runs one store; what clients ask of it is :class:`chordnet.net.base.interfaces.KeyStore`.

    :param kept: what ``keeper`` had when it was opened.
    :param ring: the node.
    """

    def __init__(
        self,
        shared: Shared,
        settings: StoreSettings,
        kept: Kept,
        keeper: StoreKeeper,
        ring: Ring,
    ) -> None:
        rng = Random(shared.rng.getrandbits(64))
        self.machine = StoreNode(settings, shared.me.name, kept, rng)
        self._shared = shared
        self._ring = ring
        self._turn = shared.turn
        self._journal = shared.journal
        self._records = StoreRecords(shared.turn, keeper, self._give_up)
        shared.turn.join(self._records)
        self.failed = ""
        """Why the store has stopped; empty while it works."""
        self._op = 0
        self._asked: dict[int, KeyDone] = {}
        self._refs: dict[str, NodeRef] = {}
        self._looked_up: dict[str, _Addressee] = {}
        self._waiting_bytes = 0
        self._waiting: deque[ev.Event] = deque()
        self._stepping = False
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
            raise NoStore(self._stopped_because())
        if self.founding is None:
            raise NoStore(self.why_none())
        if len(self._asked) >= MAX_OPERATIONS:
            raise Busy(f"{len(self._asked)} operations on keys are in flight; retry in a moment")
        self._op += 1
        self._asked[self._op] = done
        self._post(ev.Ask(self._op, asked, timeout_s))

    def slot_of(self, key: bytes) -> int | None:
        """Return the slot of a key; None while the node belongs to no store."""
        founding = self.founding
        return None if founding is None else Slots(founding.bits, founding.slots).of(key)

    def why_none(self) -> str:
        """Return why the node belongs to no store, in words; empty if it does."""
        if self.founding is not None:
            return ""
        founders = self.machine.settings.founders
        if founders:
            return f"the store has not begun: its founders are {', '.join(founders)}"
        return NO_STORE

    # ---- what happens in the ring -----------------------------------------------------------

    def performing(self, others: Performers) -> Performers:
        """Return what performs the effects of the ring's machine, with what this store heeds."""
        moved: Performers = {
            kind: partial(self._and_moved, others[kind])
            for kind in (RingChanged, StatusChanged, Joined)
        }
        died = partial(self._and_died, others[PeerDied])
        mailed: Performers = {Mailed: lambda effect: self.mailed(effect.sender, effect.letter)}
        return {**others, **moved, PeerDied: died, **mailed}

    def _and_moved(self, perform: Callable[[Any], None], effect: Any) -> None:
        perform(effect)
        self.moved()

    def _and_died(self, perform: Callable[[Any], None], effect: PeerDied) -> None:
        perform(effect)
        self._lose(effect.peer.name)

    def heeding(self, down: Down) -> Down:
        """Return ``down`` as it is called so that this store hears of it, too."""

        def heard(peer: NodeRef, fault: LinkFault, text: str = "", holder: str = "") -> None:
            down(peer, fault, text, holder)
            if fault in _GONE and peer.name:
                self._lose(peer.name)

        return heard

    def mailed(self, sender: NodeRef, letter: bytes) -> None:
        """Take a letter."""
        if len(self._refs) >= MAX_NAMES:
            self._refs.clear()
        self._refs[sender.name] = sender
        self._post(ev.Mail(sender.name, letter))

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
            self._post(view)

    def _lose(self, name: str) -> None:
        # It may have begun another life, at another address: the next letter looks it up.
        self._refs.pop(name, None)
        self._post(ev.Lost(name))

    def vacate(self) -> None:
        """Give up all seats.

        :raises NoStore: this store works no more.
        """
        if self.failed:
            raise NoStore(self._stopped_because())
        self._post(ev.Vacate())

    # ---- the machine ------------------------------------------------------------------------

    def _post(self, event: ev.Event) -> None:
        """Handle ``event`` now, or after the one that is being handled."""
        if self._stopped or self.failed:
            return
        self._waiting.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._waiting:
                self._handle(self._waiting.popleft())
        finally:
            self._stepping = False
        self._arm()

    def _handle(self, event: ev.Event) -> None:
        shared = self._shared
        try:
            effects = self.machine.step(event, shared.seconds(), shared.wall())
        except Exception:  # noqa: BLE001 - logged with its traceback
            self._journal.failure(
                NetMetric.CORE_ERRORS, f"the store failed on {type(event).__name__}"
            )
            return
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: NodeEffect) -> None:
        if isinstance(effect, Post):
            self._send(effect.to, effect.letter)
        elif isinstance(effect, Keep):
            self._records.keep(effect)
        elif isinstance(effect, Answered):
            done = self._asked.pop(effect.op, None)
            if done is not None:
                self._records.when_kept(partial(done, effect.outcome))
        elif isinstance(effect, Noted):
            log = self._journal.warn if effect.alarming else self._journal.info
            log("{what}", what=effect.text)

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
            self._post(ev.Tick())
            self._turn.after(self._records.rest)
        self._arm()

    # ---- letters ----------------------------------------------------------------------------

    def _send(self, name: str, letter: bytes) -> None:
        ref = self._refs.get(name)
        if ref is not None:
            self._ring.transport.send(ref, StoreMail(letter))
            return
        if self._waiting_bytes + len(letter) > MAX_WAITING_BYTES:
            return  # letters may be lost: it is asked again
        self._waiting_bytes += len(letter)
        addressee = self._looked_up.get(name)
        if addressee is not None:
            addressee.letters.append(letter)
            return
        self._looked_up[name] = _Addressee(deque([letter]))
        # Not in the middle of a step: the ring's machine may be in one itself.
        self._turn.before(partial(self._look_up, name))

    def _look_up(self, name: str) -> None:
        """Find a node: it owns the key that is its name."""
        try:
            self._ring.find(name, partial(self._found, name))
        except ChordnetError as problem:
            self._found(name, problem)

    def _found(self, name: str, found: LookupResult | ChordnetError) -> None:
        letters = self._looked_up.pop(name).letters
        self._waiting_bytes -= sum(map(len, letters))
        space = self._shared.space
        ref = self._ring.core.known(space.raw(space.hash(name.encode())))
        if isinstance(found, ChordnetError) or found.owner.name != name or ref is None:
            self._post(ev.Lost(name))
            return
        self._refs[name] = ref
        for letter in letters:
            self._ring.transport.send(ref, StoreMail(letter))

    # ---- the end ----------------------------------------------------------------------------

    def _give_up(self, why: str) -> None:
        """Stop: what was promised cannot be kept."""
        self.failed = why
        self._journal.error("the store of this node has stopped: {why}", why=why)
        self._end(self._stopped_because())

    def _stopped_because(self) -> str:
        return f"the store of {self._shared.me.name} has stopped: {self.failed}"

    def stop(self, reason: str) -> None:
        """Handle no more events and cancel the timer."""
        self._stopped = True
        self._end(reason)

    def _end(self, reason: str) -> None:
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        asked, self._asked = self._asked, {}
        for done in asked.values():
            done(NoStore(reason))
