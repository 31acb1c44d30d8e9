"""The collection of tombstones: when the records of deleted keys can go.

A key that was deleted, or has expired, has a record without a value: the tombstone. It must stay as
long as a member may have an older value, because whoever finds only that would bring it back. So
**a tombstone is dropped only when every member of one epoch has installed it and has this tombstone
on its disk**, never because of its age alone. Whoever leads a collection asks all members for that,
a page of tombstones at a time, and tells all of them to drop those that every one has::

    ASK --> DROP --> OVER         a member refuses: OVER

What a member answers stays true for as long as it is in this epoch. It has this tombstone, or it
has nothing of the key and takes nothing up to that ballot any more; and it is never in an older
state again. So answers and orders may arrive late, several times or never, several members may lead
at the same time, and some may drop while others do not. In a later epoch nobody takes them.

What is left of a dropped record is the slot's floor (``registers.py``).

Sources: "every replica has acknowledged" as the condition to forget a deletion is that of Wuu and
Bernstein, "Efficient solutions to the replicated log and dictionary problems" (1984).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.effects import Effect, Say
from chordnet.core.store.base.messages import Address, Tombstone
from chordnet.core.store.base.safeguards import StoreSafeguards

ALL = StoreSafeguards()


class Gathering(msgspec.Struct, frozen=True):
    """All that the leader of a collection knows."""

    configuration: Configuration
    tombstones: tuple[Tombstone, ...]
    """Those that all who have answered have."""
    answered: tuple[Member, ...] = ()
    over: bool = False


class Collection:
    """One collection, at its leader.

    :param rid: this node's number for it.
    :param where: formation and slot.
    :param gathering: how far it has come.
    """

    def __init__(
        self,
        rid: int,
        where: tuple[bytes, int],
        effects: list[Effect],
        gathering: Gathering,
        safeguards: StoreSafeguards = ALL,
    ) -> None:
        self.rid = rid
        self.gathering = gathering
        self._where = where
        self._effects = effects
        self._safeguards = safeguards

    def begin(self) -> None:
        """Ask all members."""
        for member in self.gathering.configuration.members:
            asked = msg.Collect(self._address(member), self.rid, self.gathering.tombstones)
            self._effects.append(Say(member.node, asked))

    def on_collectable(self, sender: str, answer: msg.Collectable) -> None:
        """Take an answer; when all have answered have dropped what all of them have."""
        now = self.gathering
        member = self._counts(sender, answer.address)
        if member is None or member in now.answered:
            return
        theirs = set(answer.tombstones)
        left = tuple(each for each in now.tombstones if each in theirs)
        answered = (*now.answered, member)
        configuration = now.configuration
        every = self._safeguards.every_member
        needed = len(configuration.members) if every else configuration.majority
        done = len(answered) >= needed
        self.gathering = replace(
            now, tombstones=left, answered=tuple(sorted(answered)), over=done or not left
        )
        if done and left:
            for each in configuration.members:
                order = msg.Drop(self._address(each), self.rid, left)
                self._effects.append(Say(each.node, order))

    def on_refused(self, sender: str, answer: msg.Refused) -> None:
        """End: a member is not in this epoch, or not for long."""
        if self._counts(sender, answer.address) is not None:
            self.gathering = replace(self.gathering, over=True)

    def _counts(self, sender: str, address: Address) -> Member | None:
        """Return the member whose answer this is; None if it is not to the present question."""
        member = Member(sender, address.store)
        mine = member in self.gathering.configuration.members
        if self.gathering.over or not mine or self._address(member) != address:
            return None
        return member

    def _address(self, member: Member) -> Address:
        present = self.gathering.configuration
        return Address(*self._where, present.generation, present.epoch, member.store)


AT_COLLECTION: dict[type, Callable[[Any, str, Any], None]] = {
    msg.Collectable: Collection.on_collectable,
    msg.Refused: Collection.on_refused,
}
"""What the leader of a collection does with each answer."""
