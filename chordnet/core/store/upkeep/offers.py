"""Seats that are offered before they are given: is the disk that is to come really there?

What a node has heard of another may be half a minute old. Meanwhile that one may have lost its
disk, or be about to leave. If two of three new members are gone when they are chosen, nobody can
install the slot's state: it is unavailable until people have it recovered, though nothing was lost.

So **who proposes members asks those that are to come first**, and proposes them only if all say
within :data:`PATIENCE_S`, in answer to this question, that they have the disk that is meant and
take the seat. The owner of a slot does so before it suggests a change, since it has to choose
others for those that say nothing; and the member that leads the change does, since the owner may
have been wrong.

**Who says so keeps to it** for :data:`PLEDGE_S`: a node that is about to leave counts the slot as
one that needs it, until it knows of a later epoch. So it learns that it was chosen before it goes.

This is a rule of availability. Whoever installs asks a majority of the old members for the state,
whatever was said here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import attrs
import msgspec

from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.safeguards import StoreSafeguards

AGAIN_S = 0.5
"""Who has not answered an offer is asked again."""
PATIENCE_S = 2.0
"""Who has not answered by then gets no seat for now."""
MUTE_S = 5.0
"""A node that did not answer is offered nothing for so long."""
PLEDGE_S = 10.0
"""For so long a node that leaves waits for what becomes of a seat that it has said it takes. Longer
than a change without a result is tried."""


class Offer(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Do you take a seat of this slot, in the epoch after this one?"""

    formation: bytes
    number: int
    slot: int
    generation: int
    epoch: int


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Answer to ``Offer``: the sender takes the seat, with this disk."""

    formation: bytes
    number: int
    """As in the offer."""
    store: int


class Around(Protocol):
    """What the node's surroundings are needed for."""

    me: Member
    now: float
    safeguards: StoreSafeguards
    unknown: dict[str, None]

    def rid(self) -> int:
        """Return a number for a new offer."""

    def say(self, to: str, message: Offer | Ready) -> None:
        """Have a message sent at the end of this step."""

    def lost_for(self, node: str) -> float:
        """Return for how many seconds a node has been out of reach."""


@attrs.define
class _Open:
    """Seats of one slot that are offered, and what is to happen when all are taken."""

    number: int
    present: Configuration
    waits_for: set[Member]
    since: float
    asked: float
    then: Callable[[], None]


class Offers:
    """The seats that one node offers to others."""

    def __init__(self, around: Around, formation: bytes) -> None:
        self._around = around
        self._formation = formation
        self._open: dict[int, _Open] = {}
        self._mute: dict[str, float] = {}

    @property
    def slots(self) -> set[int]:
        """Slots of which seats are offered now."""
        return set(self._open)

    def is_mute(self, node: str) -> bool:
        """Return True if a node has lately not answered an offer."""
        since = self._mute.get(node)
        return since is not None and self._around.now < since + MUTE_S

    def make(
        self,
        slot: int,
        present: Configuration,
        coming: Iterable[Member],
        then: Callable[[], None],
    ) -> bool:
        """Offer seats of a slot; return False if nobody has to be asked.

        :param coming: the disks that are to come; this node's own is ready.
        :param then: called when all others have said that they are; before this returns, if there
            are none.
        """
        waits_for = set(coming) - {self._around.me}
        if not waits_for or not self._around.safeguards.asked_first:
            then()
            return False
        now = self._around.now
        self._open[slot] = _Open(self._around.rid(), present, waits_for, now, now, then)
        self._ask(slot)
        return True

    def on_ready(self, sender: str, ready: Ready) -> None:
        """Take the word of a node that was asked."""
        for slot, offered in self._open.items():
            if offered.number != ready.number:
                continue
            member = Member(sender, ready.store)
            if member in offered.waits_for:
                offered.waits_for.remove(member)
                if not offered.waits_for:
                    del self._open[slot]
                    offered.then()
            elif any(each.node == sender for each in offered.waits_for):
                # Another disk than the one meant; its hail says which.
                del self._open[slot]
                self._around.unknown[sender] = None
            return

    def look(self, present: Callable[[int], Configuration]) -> None:
        """Ask again, and give up what takes too long or is of no use any more.

        :param present: returns the newest configuration of a slot.
        """
        around, now = self._around, self._around.now
        self._mute = {node: at for node, at in self._mute.items() if now < at + MUTE_S}
        for slot, offered in list(self._open.items()):
            nodes = [member.node for member in offered.waits_for]
            if present(slot) != offered.present or any(map(around.lost_for, nodes)):
                del self._open[slot]
            elif now >= offered.since + PATIENCE_S:
                del self._open[slot]
                self._mute.update(dict.fromkeys(nodes, now))
            elif now >= offered.asked + AGAIN_S:
                self._ask(slot)

    def _ask(self, slot: int) -> None:
        offered, around = self._open[slot], self._around
        offered.asked = around.now
        at = offered.present.generation, offered.present.epoch
        for member in sorted(offered.waits_for):
            around.say(member.node, Offer(self._formation, offered.number, slot, *at))


class Pledges:
    """The seats that this node has said that it takes.

    :param may_take: returns True if it takes seats, and is not about to leave.
    """

    def __init__(
        self, around: Around, formation: bytes, slots: int, may_take: Callable[[], bool]
    ) -> None:
        self._around = around
        self._formation = formation
        self._slots = slots
        self._may_take = may_take
        self._made: dict[int, tuple[int, int, float]] = {}
        """By slot: generation and epoch of the offer, and when the pledge ends."""

    def on_offer(self, sender: str, offer: Offer) -> None:
        """Say that this node takes the seat; if it takes none, greet the sender, which says so."""
        around = self._around
        if offer.slot >= self._slots:
            return
        if not self._may_take():
            around.unknown[sender] = None
            return
        self._made[offer.slot] = offer.generation, offer.epoch, around.now + PLEDGE_S
        around.say(sender, Ready(self._formation, offer.number, around.me.store))

    def open(self, present: Callable[[int], Configuration]) -> set[int]:
        """Return the slots of which this node may still be chosen as a member.

        :param present: returns the newest configuration of a slot.
        """
        self._made = {
            slot: (generation, epoch, until)
            for slot, (generation, epoch, until) in self._made.items()
            if self._around.now < until
            and (present(slot).generation, present(slot).epoch) <= (generation, epoch)
        }
        return set(self._made)
