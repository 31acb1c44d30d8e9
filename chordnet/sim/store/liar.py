"""A node that lies: it coordinates operations as it should, holds nothing, and says what is false.

It is a real node of the ring and of the formation, so others know it and it knows the directory.
Now and then it sends a false message of a kind drawn at random to some other node: of slots, their
members and what they have, of itself, of the formation, as a question or as an answer.

What it does not do is write to the keys of the clients: any node may do that, and what a register
has after it is what was written.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from chordnet.core.store.base import events as ev
from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.configurations import Configuration, Member, Vote
from chordnet.core.store.base.effects import NodeEffect, Post
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.messages import Address, Why
from chordnet.core.store.base.records import EMPTY, GROUND, Applied, Content, Floor, Record
from chordnet.core.store.begin.hails import Hail
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.formation import Formation
from chordnet.core.store.node.node import StoreNode
from chordnet.core.store.node.talk import (
    Digest,
    Lists,
    Message,
    Missing,
    Stock,
    Suggest,
    Sum,
    Where,
    letters,
)
from chordnet.core.store.upkeep.offers import Offer, Ready

LIE_S = 0.02
"""Between two lies, on average."""
OWN_KEY = b"a key of the liar"
INVENTED = tuple(Member(f"invented {number}", number) for number in range(1, 6))


class _Parts:
    """What the lies of one node are made of."""

    def __init__(self, node: StoreNode, formation: Formation, draw: Random) -> None:
        self._node = node
        self._formation = formation
        self._founding = formation.founding
        self._draw = draw

    def _slot(self) -> int:
        return self._draw.randrange(self._founding.slots)

    def _listed_of(self, slot: int) -> Listed:
        return self._formation.directory.of(slot)

    def _member(self) -> Member:
        """Return a member that there is or that there is not, this liar included."""
        draw = self._draw
        real = [Member(node, holder.store) for node, holder in sorted(self._node.holders.items())]
        kinds = [*real, *INVENTED, self._node.around.me]
        member = draw.choice(kinds)
        return member if draw.random() < 0.8 else Member(member.node, draw.getrandbits(40))

    def _members(self) -> tuple[Member, ...]:
        found = {member.node: member for member in (self._member() for _ in range(5))}
        return tuple(sorted(found.values()))[: self._draw.randint(1, 3)]

    def _later(self, slot: int) -> Configuration:
        draw, present = self._draw, self._listed_of(slot).configuration
        ahead = draw.choice([0, 1, 1, 1, 2, 3, 1000, 1 << 30, (1 << 61) - 1])
        older = draw.choice([0, 0, 0, 0, 1, 1 << 30])
        return Configuration(present.generation + older, present.epoch + ahead, self._members())

    def _listed(self) -> Listed:
        slot = self._slot()
        new = self._later(slot)
        if self._draw.random() < 0.5:
            return Listed(slot, new)
        before = Configuration(new.generation, max(new.epoch - 1, 0), self._members())
        return Listed(slot, new, serves=False, before=before)

    def _address(self, victim: str, slot: int | None = None) -> Address:
        """Return where the victim would take a request, most of the time."""
        slot = self._slot() if slot is None else slot
        present = self._listed_of(slot).configuration
        holder = self._node.holders.get(victim)
        store = 1 if holder is None else holder.store
        for member in present.members:
            store = member.store if member.node == victim else store
        epoch = max(present.epoch + self._draw.choice([0, 0, 0, 0, 1, -1]), 0)
        return Address(self._founding.id, slot, present.generation, epoch, store)

    def _ballot(self, epoch: int) -> Ballot:
        draw = self._draw
        node = draw.choice([self._node.around.me.node, self._member().node])
        return Ballot(epoch, draw.choice([1, 50, 1000, 10**6]), node, draw.getrandbits(60))

    def _rid(self) -> int:
        return self._draw.choice([0, 1, self._draw.getrandbits(40)])

    def _key(self) -> bytes:
        return f"k{self._draw.randrange(20)}".encode()

    def _content(self) -> Content:
        draw = self._draw
        return Content(b"a lie", draw.getrandbits(40), None, (Applied(1, b"lie"),))

    def _record(self, epoch: int) -> Record:
        ballot = self._ballot(epoch)
        return Record(ballot, ballot, self._content())


class Lies(_Parts):
    """The lies of one node, a kind each; drawn anew each time."""

    def tell(self, victim: str) -> Message:
        """Return a lie for a node."""
        return self._draw.choice(self.KINDS)(self, victim)

    def _lists(self, _victim: str) -> Message:
        listed = tuple(self._listed() for _ in range(self._draw.randint(1, 8)))
        return Lists(self._founding.id, listed)

    def _chosen(self, victim: str) -> Message:
        slot = self._slot()
        to, new = self._address(victim, slot), self._later(slot)
        if self._draw.random() < 0.5:
            others = [member for member in new.members if member.node != victim]
            new = Configuration(new.generation, new.epoch, (*others, Member(victim, to.store)))
        to = Address(to.formation, slot, new.generation, new.epoch, to.store)
        old = Configuration(new.generation, max(new.epoch - 1, 0), self._members())
        return msg.Chosen(to, self._rid(), old, new)

    def _forget(self, victim: str) -> Message:
        slot = self._slot()
        return msg.Forget(self._address(victim, slot), self._rid(), self._later(slot))

    def _change(self, victim: str) -> Message:
        to = self._address(victim)
        ballot = self._ballot(to.epoch)
        if self._draw.random() < 0.3:
            return msg.PrepareChange(to, self._rid(), ballot)
        return msg.AcceptChange(to, self._rid(), ballot, self._members())

    def _suggest(self, _victim: str) -> Message:
        slot = self._slot()
        present = self._listed_of(slot).configuration
        members = self._members()
        if self._draw.random() < 0.5:
            members = tuple(sorted({m.node: m for m in (*present.members, *members)}.values()))[-3:]
        return Suggest(self._founding.id, slot, present.generation, present.epoch, members)

    def _offer(self, _victim: str) -> Message:
        draw, slot, me = self._draw, self._slot(), self._founding.id
        if draw.random() < 0.5:
            return Ready(me, self._rid(), self._member().store)
        return Offer(me, self._rid(), slot, 1, self._later(slot).epoch)

    def _key_request(self, victim: str) -> Message:
        to = self._address(victim)
        ballot = self._ballot(to.epoch)
        kind = self._draw.randrange(4)
        if kind == 0:
            return msg.Read(to, self._rid(), self._key())
        if kind == 1:
            return msg.Prepare(to, self._rid(), self._key(), ballot)
        if kind == 2 and ballot.node != self._node.around.me.node:
            # Under the ballot of another node, which a stranger may not use.
            return msg.Accept(to, self._rid(), self._key(), ballot, self._content())
        return msg.Accept(to, self._rid(), OWN_KEY, ballot, self._content())

    def _fetch(self, victim: str) -> Message:
        to = self._address(victim)
        return msg.Fetch(to, self._rid(), to.epoch + 1, self._draw.choice([None, b"k1"]))

    def _answer(self, victim: str) -> Message:
        draw, to, rid = self._draw, self._address(victim), self._rid()
        ballot = self._ballot(to.epoch)
        vote = Vote(ballot, self._members())
        answers: list[Message] = [
            msg.Promised(to, rid, ballot, ballot, self._content(), 1 << 40, 1e12),
            msg.Accepted(to, rid, ballot),
            msg.Told(to, rid, ballot, EMPTY),
            msg.Outrun(to, rid, ballot, Ballot(to.epoch, 1 << 50, "z", 1)),
            msg.ChangePromised(to, rid, ballot, vote),
            msg.ChangeAccepted(to, rid, ballot),
            msg.Installed(to, rid),
            msg.Forgotten(to, rid),
        ]
        return draw.choice(answers)

    def _refused(self, victim: str) -> Message:
        to, draw = self._address(victim), self._draw
        newest, why = self._later(to.slot), draw.choice(list(Why))
        sealed = draw.random() < 0.5
        return msg.Refused(to, self._rid(), why, self._founding.id, to.store, newest, sealed)

    def _snapshot(self, victim: str) -> Message:
        to = self._address(victim)
        records = ((self._key(), self._record(to.epoch)),)
        floor = self._draw.choice([GROUND, Floor(self._ballot(to.epoch), 1 << 40)])
        return msg.Snapshot(to, self._rid(), None, records, floor, self._draw.random() < 0.5)

    def _repair(self, victim: str) -> Message:
        to, draw, me = self._address(victim), self._draw, self._founding.id
        kind = draw.randrange(3)
        if kind == 0:
            return Sum(me, to, draw.getrandbits(50))
        if kind == 1:
            has = ((self._key(), self._ballot(to.epoch)),)
            return Stock(me, to, self._member().store, None, has, draw.random() < 0.5)
        return Missing(me, to, (self._key(),), draw.choice([None, b""]))

    def _where(self, _victim: str) -> Message:
        if self._draw.random() < 0.5:
            return Digest(self._founding.id, self._draw.getrandbits(50), self._draw.random() < 0.5)
        return Where(self._founding.id, tuple(self._slot() for _ in range(20)))

    def _hailing(self, _victim: str) -> Message:
        """Greet as a node of an invented formation of the true founders, or with another disk."""
        true, draw = self._founding, self._draw
        founders = tuple(Member(each.node, draw.getrandbits(40)) for each in true.founders)
        false = Founding(true.network, true.bits, true.slots, true.replicas, founders)
        return Hail(
            draw.choice([self._node.around.me.store, draw.getrandbits(40)]),
            draw.getrandbits(10),
            False,  # otherwise it would be given seats, and members are believed
            draw.random() < 0.5,
            true.network,
            true.bits,
            true.slots,
            true.replicas,
            tuple(each.node for each in founders),
            None,
            draw.choice([true, false, None]),
            draw.random() < 0.5,
            draw.random() < 0.1,
        )

    KINDS: tuple[Callable[[Lies, str], Message], ...] = (
        _lists,
        _lists,
        _chosen,
        _forget,
        _change,
        _suggest,
        _offer,
        _key_request,
        _fetch,
        _answer,
        _refused,
        _snapshot,
        _repair,
        _where,
        _hailing,
    )


class Liar(StoreNode):
    """The store of a node that lies."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lying = Random(self.around.rng.getrandbits(64))
        self._next: float | None = None
        self.lies = 0

    @property
    def deadline(self) -> float | None:
        """When the next ``Tick`` is due: for what an honest node has to do, or for a lie."""
        soonest = super().deadline
        if self._next is None:
            return soonest
        return self._next if soonest is None else min(soonest, self._next)

    def step(self, event: ev.Event, now: float, wall: float) -> list[NodeEffect]:
        """Take one event as an honest node does, and lie if it is time."""
        effects = super().step(event, now, wall)
        if self.formation is None:
            return effects
        if self._next is None or now >= self._next:
            if self._next is not None:
                effects += self._lie()
            self._next = now + 2 * LIE_S * self._lying.random()
        return effects

    def _lie(self) -> list[NodeEffect]:
        assert self.formation is not None
        draw = self._lying
        victims = sorted({*self.holders, *self.around.place.near} - {self.around.me.node})
        if not victims:
            return []
        self.lies += 1
        victim = draw.choice(victims)
        lie = Lies(self, self.formation, draw).tell(victim)
        return [Post(victim, letter) for letter in letters([lie])]
