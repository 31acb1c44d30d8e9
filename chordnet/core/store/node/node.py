"""``StoreNode``: the store of one node as a pure machine. Events in, effects out.

It stands beside the ring's machine (``chordnet.core.node``) and meets it only through events: who
the neighbours are, who cannot be reached, and letters. Like that one it reads no clock, opens no
socket or file, and draws randomness only from the source that it was given.

A node takes part as soon as it knows its formation (``founders.py``). Then it

- answers for the slots that its disk holds (``holdings.py``, and ``slot/registers.py`` for each);
- coordinates the operations of its own clients (``asking.py``, ``slot/operations.py``);
- looks after the slots of its arc of the ring (``seats.py``, ``slot/reconfigure.py``);
- passes on what is news of a slot (``directory.py``).

What it says to itself never leaves this file. What it says to others leaves at the end of a step,
after everything that has to be on disk before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from chordnet.core.store.base import events as ev
from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballots
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.effects import (
    Changed,
    Effect,
    Ended,
    Keep,
    NodeEffect,
    Noted,
    Post,
    Say,
    Wait,
)
from chordnet.core.store.base.founding import Founding, Slots
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.node.asking import Asking
from chordnet.core.store.node.directory import Directory, Listed
from chordnet.core.store.node.founders import Founders
from chordnet.core.store.node.hails import Hail, fault_of
from chordnet.core.store.node.holdings import Holdings
from chordnet.core.store.node.repair import Repair
from chordnet.core.store.node.seats import Holder, Seats
from chordnet.core.store.node.settings import StoreSettings
from chordnet.core.store.node.surroundings import For, Surroundings
from chordnet.core.store.node.talk import (
    LISTED_IN_ONE,
    Digest,
    Lists,
    Message,
    Missing,
    Stock,
    Sum,
    Where,
    letters,
    read,
)
from chordnet.core.store.node.view import SlotView, StoreView, slot_view
from chordnet.core.store.slot.operations import Operation
from chordnet.core.store.slot.reconfigure import Change

HAIL_S = 5.0
"""Between two greetings of the same nodes."""
SEEK_S = 0.5
"""The same, for a node that has no formation yet."""
OVERDUE_S = 15.0
"""A store that has not begun for so long is complained of."""
TELL_S = 0.02
"""News of slots wait so long, so that many of them travel together."""
MOST_NAMES = 4096
"""Other nodes of which anything is remembered."""
_NEVER = float("inf")


REQUESTS = (
    msg.Prepare,
    msg.Accept,
    msg.Read,
    msg.PrepareChange,
    msg.AcceptChange,
    msg.Chosen,
    msg.Fetch,
    msg.Forget,
)
FOR_OPERATIONS: dict[type, Callable[[Any, str, Any], None]] = {
    msg.Told: Operation.on_told,
    msg.Promised: Operation.on_promised,
    msg.Accepted: Operation.on_accepted,
    msg.Outrun: Operation.on_outrun,
    msg.Refused: Operation.on_refused,
}
FOR_CHANGES: dict[type, Callable[[Any, str, Any], None]] = {
    msg.ChangePromised: Change.on_change_promised,
    msg.ChangeAccepted: Change.on_change_accepted,
    msg.Installed: Change.on_installed,
    msg.Outrun: Change.on_outrun,
    msg.Refused: Change.on_refused,
}


class _Formed:
    """What a node has once it knows its formation."""

    def __init__(self, node: StoreNode, founding: Founding, kept: Kept | None) -> None:
        around = node.around
        # The number of the disk's run would not do: it begins again with an empty disk, and an
        # older copy of a disk brings it twice.
        ballots = Ballots(around.me.node, around.rng.getrandbits(61))
        self.founding = founding
        self.id = founding.id
        self.slots = Slots(founding.bits, founding.slots)
        self.directory = Directory(founding)
        self.holdings = Holdings(around, founding, kept)
        self.asking = Asking(around, founding, self.directory, ballots, node.near)
        self.seats = Seats(
            around, founding, self.directory, ballots, node.holders, node.arc, node.order
        )
        self.repair = Repair(around, self.id, self.holdings, self.asking.look_up)
        self.repair.start()
        self.news: dict[int, None] = {}
        for head in (held.registers.head for held in self.holdings.slots.values()):
            known = head.known
            listed = Listed(head.slot, known, head.newest is None)
            if listed.is_sound(founding.slots):
                self.directory.learn(listed)


class StoreNode:
    """The store of one node.

    :param me: the node's name.
    :param kept: what its disk has.
    :param rng: the only source of randomness.
    """

    def __init__(self, settings: StoreSettings, me: str, kept: Kept, rng: Random) -> None:
        self.settings = settings
        self._kept: Kept | None = kept
        self.around = Surroundings(Member(me, kept.store), rng, kept.run)
        self.holders: dict[str, Holder] = {}
        """What other nodes said of their stores, this node's included."""
        self.vacating = False
        """Whether this node gives up its seats."""
        self._member = False
        self._predecessor: str | None = None
        self._successors: tuple[str, ...] = ()
        self._formed: _Formed | None = None
        self._noticed: set[str] = set()
        self._noted: list[NodeEffect] = []
        self._since: float | None = None
        """When this node was in a ring and had no formation first."""
        self._founders = Founders(settings, self.around.me, kept)
        self._greetings: dict[str, bool] = {}
        """Nodes to greet at the end of this step; whether to ask them to answer."""
        self._hold_self()

    # ---- the machine ------------------------------------------------------------------------

    def step(self, event: ev.Event, now: float, wall: float) -> list[NodeEffect]:
        """Take one event.

        :param now: seconds on a clock that never goes back.
        :param wall: the wall clock, seconds since 1970.
        :returns: what to do, to be performed in this order.
        """
        around = self.around
        around.now, around.wall = now, wall
        if isinstance(event, ev.Mail):
            self._mail(event)
        elif isinstance(event, ev.Ask):
            self._ask(event)
        elif isinstance(event, ev.Neighbours):
            self._neighbours(event)
        elif isinstance(event, ev.Lost):
            self._lost(event.node)
        elif isinstance(event, ev.Vacate):
            self._vacate()
        else:
            self._tick()
        return self._done()

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
        result: list[NodeEffect] = []
        queue = around.effects
        result += self._noted
        self._noted.clear()
        while queue:
            effects, queue[:] = queue[:], []
            for effect in effects:
                if isinstance(effect, Keep):
                    self._founders.empty = False
                    result.append(effect)
                else:
                    self._perform(effect)
        result += around.answers
        around.answers.clear()
        for node, asks in self._greetings.items():
            hail = self._founders.hail(self.vacating, asks=asks)
            around.said.setdefault(node, []).insert(0, hail)
        self._greetings.clear()
        for node, messages in around.said.items():
            result += [Post(node, letter) for letter in letters(messages)]
        around.said.clear()
        return result

    def _perform(self, effect: Effect) -> None:
        around, formed = self.around, self._formed
        if isinstance(effect, Say) and effect.to != around.me.node:
            around.say(effect.to, effect.message)
        elif formed is None:
            return
        elif isinstance(effect, Say):
            self._slot_message(formed, effect.to, effect.message)
        elif isinstance(effect, Wait):
            if effect.rid in formed.seats.changes:
                formed.seats.wait(effect.rid)
            elif effect.rid in formed.asking.ongoing:
                formed.asking.wait(effect.rid)
        elif isinstance(effect, Ended):
            formed.asking.ended(effect.rid, effect.outcome)
        elif isinstance(effect, Changed):
            listed = formed.seats.over(effect.rid, effect.configuration)
            if listed is not None:
                self._learn(formed, listed)

    # ---- the ring ---------------------------------------------------------------------------

    def order(self) -> list[str]:
        """Return this node and its successors, in ring order."""
        return [self.around.me.node, *self._successors]

    def near(self) -> list[str]:
        """Return the neighbours, each once."""
        before = [self._predecessor] if self._predecessor is not None else []
        return list(dict.fromkeys([*self._successors, *before]))

    def arc(self) -> Iterable[int]:
        """Return the slots in this node's care: their places lie after its predecessor's.

        That is (predecessor, me].
        """
        formed = self._formed
        if formed is None or not self._member:
            return ()
        if self._predecessor is None:
            return range(formed.slots.count)
        low, high = (formed.slots.identifier(n) for n in (self._predecessor, self.around.me.node))
        return [s for s in range(formed.slots.count) if formed.slots.lies(s, low, high)]

    def _neighbours(self, event: ev.Neighbours) -> None:
        around = self.around
        before = set(self.near())
        self._member = event.member
        self._predecessor = event.predecessor
        self._successors = event.successors
        for node in event.successors:
            self._found(node)
        if not event.member:
            return
        self._noted += self._founders.begin()
        self._hail(node for node in self.near() if node not in before)
        around.sooner(For.HAIL, 0, around.jittered(self._pause()))
        if self._formed is not None:
            self._formed.seats.settled_at = around.now
            around.sooner(For.SEATS, 0, 0.0)
        self._catch_up()

    def _found(self, node: str) -> None:
        self.around.lost.pop(node, None)
        self.around.tried.pop(node, None)

    def _lost(self, node: str) -> None:
        around = self.around
        if node == around.me.node:
            return
        if len(around.lost) >= MOST_NAMES:
            for table in (around.lost, around.tried, around.heard):
                table.clear()
        around.lost.setdefault(node, around.now)
        around.tried[node] = around.now
        if self._formed is not None:
            self._formed.asking.lost(node)

    # ---- letters ----------------------------------------------------------------------------

    def _mail(self, event: ev.Mail) -> None:
        try:
            messages = read(event.letter)
        except ValueError as error:
            self._notice(f"{event.sender} has sent a letter that cannot be read: {error}")
            return
        self._found(event.sender)
        self.around.heard[event.sender] = self.around.now
        for message in messages:
            if isinstance(message, Hail):
                self._hailed(event.sender, message)
            elif self._formed is not None:
                self._message(self._formed, event.sender, message)

    def _message(self, formed: _Formed, sender: str, message: Message) -> None:
        if not isinstance(message, Lists | Digest | Where | Sum | Stock | Missing):
            assert not isinstance(message, Hail)
            self._slot_message(formed, sender, message)
        elif message.formation != formed.id:
            return
        elif isinstance(message, Sum):
            formed.repair.on_sum(sender, message)
        elif isinstance(message, Stock):
            formed.repair.on_stock(sender, message)
        elif isinstance(message, Missing):
            formed.repair.on_missing(sender, message)
        elif isinstance(message, Lists):
            for listed in message.listed:
                if listed.is_sound(formed.founding.slots):
                    self._learn(formed, listed)
        elif isinstance(message, Digest):
            self._compared(formed, sender, message)
        else:
            known = [s for s in message.slots if s < formed.founding.slots]
            self._list(formed, sender, [formed.directory.of(slot) for slot in known])

    def _slot_message(self, formed: _Formed, sender: str, message: msg.StoreMessage) -> None:
        """Take a message about a slot, from another node or from this one."""
        if message.address.slot >= formed.founding.slots:
            return
        if isinstance(message, msg.Snapshot):
            formed.holdings.snapshot(sender, message)
            return
        if isinstance(message, REQUESTS):
            known = formed.directory.of(message.address.slot)
            formed.holdings.take(sender, message, known)
            if isinstance(message, msg.Chosen):
                new, old = message.configuration, message.previous
                listed = Listed(message.address.slot, new, serves=False, before=old)
                if listed.is_sound(formed.founding.slots):
                    self._learn(formed, listed)
            self._look_sealed(formed, message)
            return
        operation, change = formed.asking.get(message.rid), formed.seats.get(message.rid)
        for_operation, for_change = (
            table.get(type(message)) for table in (FOR_OPERATIONS, FOR_CHANGES)
        )
        if operation is not None and for_operation is not None:
            for_operation(operation, sender, message)
        elif change is not None and for_change is not None:
            for_change(change, sender, message)

    def _look_sealed(self, formed: _Formed, message: msg.Request) -> None:
        if isinstance(message, msg.AcceptChange):
            held = formed.holdings.slots.get(message.address.slot)
            if held is not None:
                formed.seats.sealed(held.registers.head, self.around.me)

    # ---- the formation ----------------------------------------------------------------------

    @property
    def founding(self) -> Founding | None:
        """The formation that this node's store belongs to; None if there is none yet."""
        return None if self._formed is None else self._formed.founding

    def listed(self) -> Iterable[Listed]:
        """Return what this node knows of every slot; nothing without a formation."""
        return () if self._formed is None else self._formed.directory.named()

    @property
    def seats(self) -> int:
        """How many slots need this disk: as a member, or for what the next members fetch."""
        formed, me = self._formed, self.around.me
        if formed is None:
            return 0
        named = {
            listed.slot for listed in formed.directory.named() if me in listed.configuration.members
        }
        return len(named.union(held.registers.head.slot for held in formed.holdings.served))

    def view(self) -> StoreView:
        """Return what this node knows of its store."""
        formed = self._formed
        slots: tuple[SlotView, ...] = ()
        if formed is not None:
            held = formed.holdings.slots
            slots = tuple(slot_view(each, held.get(each.slot)) for each in self.listed())
        changing = 0 if formed is None else len(formed.seats.changes)
        return StoreView(self.around.me, self.founding, self.vacating, self.seats, changing, slots)

    def _pause(self) -> float:
        return SEEK_S if self._formed is None else HAIL_S

    def _hail(self, nodes: Iterable[str], *, asks: bool = True) -> None:
        for node in nodes:
            if node != self.around.me.node:
                self._greetings[node] = asks or self._greetings.get(node, False)

    def _hailed(self, sender: str, hail: Hail) -> None:
        founders = self._founders
        fault = fault_of(sender, hail)
        if fault:
            self._notice(f"{sender} has sent a hail that {fault}")
            return
        before = founders.vote, founders.founding
        self._noted += founders.on_hail(sender, hail)
        if hail.asks:
            self._hail([sender], asks=False)
        self._catch_up()
        if (founders.vote, founders.founding) != before:
            self._hail({*self.near(), *founders.wanted, sender})
        if self._formed is not None and hail.founding == self._formed.founding:
            if len(self.holders) >= MOST_NAMES and sender not in self.holders:
                self.holders.clear()
                self.around.heard.clear()
                self._hold_self()
            self.holders[sender] = Holder(hail.store, hail.seat, hail.vacating)

    def _hold_self(self) -> None:
        me = self.around.me
        self.holders[me.node] = Holder(me.store, self.settings.seat, self.vacating)

    def _catch_up(self) -> None:
        """Begin with a formation that is new to this node."""
        founding = self._founders.founding
        if founding is None or founding == self.founding:
            return
        kept = self._kept
        same = kept is not None and kept.founding == founding
        self._formed = _Formed(self, founding, kept if same else None)
        self._kept = None
        self._formed.seats.settled_at = self.around.now
        self.around.sooner(For.SEATS, 0, 0.0)
        self._hail(self.near())
        for held in self._formed.holdings.slots.values():
            self._formed.seats.sealed(held.registers.head, self.around.me)

    def _vacate(self) -> None:
        self.vacating = True
        self._hold_self()
        self._hail(self.holders, asks=False)

    # ---- the directory ----------------------------------------------------------------------

    def _learn(self, formed: _Formed, listed: Listed) -> None:
        if not formed.directory.learn(listed):
            return
        formed.news[listed.slot] = None
        self.around.sooner(For.TELL, 0, TELL_S)
        formed.holdings.learned(listed)
        formed.asking.learned(listed)

    def _tell_news(self, formed: _Formed) -> None:
        news = [formed.directory.of(slot) for slot in formed.news]
        formed.news.clear()
        near = [self._predecessor, *self._successors[:1]]
        for node in dict.fromkeys(near):
            if node is not None:
                self._list(formed, node, news)

    def _list(self, formed: _Formed, to: str, listed: list[Listed]) -> None:
        for start in range(0, len(listed), LISTED_IN_ONE):
            page = tuple(listed[start : start + LISTED_IN_ONE])
            self.around.say(to, Lists(formed.id, page))

    def _compared(self, formed: _Formed, sender: str, message: Digest) -> None:
        digest = formed.directory.digest
        if message.digest != digest:
            self._list(formed, sender, formed.directory.later())
            if not message.back:
                self.around.say(sender, Digest(formed.id, digest, back=True))

    # ---- clients ----------------------------------------------------------------------------

    def _ask(self, event: ev.Ask) -> None:
        assert self._formed is not None, "who asks looks at `founding` first"
        self._formed.asking.start(event.op, event.asked, event.timeout)

    # ---- time -------------------------------------------------------------------------------

    def _tick(self) -> None:
        for what, number in self.around.alarms.due(self.around.now):
            if what == For.HAIL:
                self._greet()
            elif self._formed is not None:
                self._ring(self._formed, what, number)

    def _greet(self) -> None:
        """Greet the neighbours, and those that concern the slots in this node's care."""
        around, formed = self.around, self._formed
        if not self._member:
            return
        around.sooner(For.HAIL, 0, around.jittered(self._pause()))
        others = set() if formed is None else formed.seats.members_of_arc()
        self._hail(sorted({*self.near(), *self._founders.wanted, *others}))
        if formed is None:
            self._since = around.now if self._since is None else self._since
            if around.now >= self._since + OVERDUE_S:
                self._noted += self._founders.overdue()
        if formed is not None:
            for node in self._successors[:1]:
                around.say(node, Digest(formed.id, formed.directory.digest))

    def _ring(self, formed: _Formed, what: For, number: int) -> None:
        on_alarm: dict[For, Callable[[int], None]] = {
            For.DEADLINE: formed.asking.expire,
            For.REMINDER: formed.asking.remind,
            For.RETRY: formed.asking.retry,
            For.REFRESH: formed.asking.give_up,
            For.LEAD: formed.seats.again,
            For.SEATS: lambda _number: formed.seats.look(),
            For.INSTALL: lambda slot: formed.holdings.install(formed.directory.of(slot)),
            For.FINISH: lambda slot: formed.seats.finish(
                formed.holdings.slots[slot].registers.head, self.around.me
            ),
            For.REPAIR: lambda _number: formed.repair.step(),
            For.TELL: lambda _number: self._tell_news(formed),
        }
        on_alarm[what](number)

    def _notice(self, text: str) -> None:
        """Say something once."""
        if text not in self._noticed and len(self._noticed) < MOST_NAMES:
            self._noticed.add(text)
            self.around.answers.append(Noted(text))
