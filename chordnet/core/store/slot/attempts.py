"""All that an operation on a key knows: how far it has come, and what was answered.

The rules are at the head of :mod:`chordnet.core.store.slot.operations`.
"""

from __future__ import annotations

import enum
from collections import Counter

import msgspec
from msgspec.structs import replace

from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Following, Member
from chordnet.core.store.base.messages import Address
from chordnet.core.store.base.outcomes import Done, Outcome
from chordnet.core.store.base.records import Content
from chordnet.core.store.base.requests import Get, Put


class Phase(enum.IntEnum):
    """How far an operation has come."""

    READ = enum.auto()
    PREPARE = enum.auto()
    ACCEPT = enum.auto()
    WAIT = enum.auto()
    ENDED = enum.auto()


class Heard(msgspec.Struct, frozen=True, order=True, array_like=True):
    """What a member said that it had accepted."""

    member: Member
    accepted: Ballot
    content: Content
    floor: int = 0
    wall: float = 0.0
    """The member's wall clock."""
    left_out: int = 0
    """Bytes of the value, if it did not come with the content."""


class Attempt(msgspec.Struct, frozen=True):
    """All that an operation knows."""

    configuration: Configuration
    phase: Phase
    ballot: Ballot = NONE
    heard: tuple[Heard, ...] = ()
    """Answers of the first round, one a member."""
    acknowledged: tuple[Member, ...] = ()
    silent: tuple[Member, ...] = ()
    """Members that will not answer, or cannot."""
    outrun: tuple[Member, ...] = ()
    """Members that answer no more in this attempt: they have promised a higher ballot, or the slot
    is about to move."""
    highest: Ballot = NONE
    """The highest ballot that anybody named."""
    content: Content | None = None
    """What is to be accepted."""
    then: Outcome | None = None
    """How the operation ends once that is; None: it begins again from there."""
    since: int | None = None
    """The lowest base onto which an accept of this write may have been sent; None: none was."""
    spare: tuple[Member, ...] = ()
    """Members that are not asked for promises or contents unless one of the others does not do."""
    lasting: bool = False
    """Whether a write asks for the promise of the ballot for the next one."""
    ahead: Following | None = None
    """What this node has been promised for its next write of the key; used once."""
    hasty: bool = False
    """Whether this is such a write, and not every member has answered."""
    newest: Configuration | None = None
    """Where the slot has moved meanwhile, if it has."""
    following: Ballot = NONE
    """The promise that is asked for with the accept."""
    promised: tuple[Member, ...] = ()
    """Who has given it."""
    fetches: int = 0
    """How often the value was asked for that was left out of the answers to a read."""

    @property
    def base(self) -> Content:
        """The content with the highest ballot that was heard of."""
        return max(self.heard, key=lambda each: each.accepted).content

    def agreed(self, *, own_epoch: bool) -> Content | None:
        """Return the content that is confirmed: a majority has accepted it in this epoch.

        :param own_epoch: believe a majority only if its ballot is of this epoch.
        """
        votes = Counter(each.accepted for each in self.heard)
        ballot = max(votes, key=votes.__getitem__)
        if votes[ballot] < self.configuration.majority:
            return None
        if own_epoch and ballot not in (NONE, replace(ballot, epoch=self.configuration.epoch)):
            return None
        found = [each for each in self.heard if each.accepted == ballot]
        return min(found, key=lambda each: each.left_out).content

    @property
    def left_out(self) -> int:
        """Bytes of the longest value that did not come with its content."""
        return max((each.left_out for each in self.heard), default=0)

    @property
    def answered(self) -> frozenset[Member]:
        """The members that have done what the present phase asks for."""
        return frozenset(each.member for each in self.heard).union(self.acknowledged)

    @property
    def settled(self) -> Attempt | None:
        """What is left of a write in one round when every member has answered; None before."""
        members, refused = set(self.configuration.members), set(self.outrun)
        if members - refused.union(self.acknowledged, self.silent):
            return None
        return replace(self, hasty=False, since=None if members <= refused else self.since)

    def address(self, where: tuple[bytes, int], member: Member) -> Address:
        """Return where a question to a member is to arrive.

        :param where: the formation and the slot.
        """
        formation, slot = where
        present = self.configuration
        return Address(formation, slot, present.generation, present.epoch, member.store)

    def receipt(self, where: tuple[bytes, int], version: int) -> Done:
        """Return how a write ends that has made this version."""
        formation, slot = where
        present, taken = self.configuration, self.acknowledged
        others = tuple(each for each in present.members if each not in taken)
        return Done(formation, slot, present.epoch, version, taken, others)

    def has_expired(self, content: Content, *, most_clocks: bool) -> bool:
        """Return True if the clocks of a majority have passed the expiry.

        :param most_clocks: otherwise one clock is enough.
        """
        expires = content.expires
        if expires is None:
            return False
        needed = self.configuration.majority if most_clocks else 1
        return sum(each.wall >= expires for each in self.heard) >= needed


def follows(following: Following, asked: Get | Put, configuration: Configuration) -> bool:
    """Return True if a write can be done in one round with what was promised."""
    return (
        isinstance(asked, Put)
        and asked.since is None
        and following.configuration == configuration
        and asked.fits(following.base)
        and following.base.version_of(asked.request) is None
    )
