"""Claims: what other nodes say of the configuration of a slot, and when that is believed.

A configuration that is believed has consequences. Members that it leaves out are sealed and delete
their records, operations go to those that it names, and it is told round the ring. So one false
word of any node must not be enough.

1. **A member is believed.** What a node knows of a slot it knows from the disk, or because it was
   believed by these rules. If a member of that configuration (or of the one before it, while it
   does not serve yet) says that there is a later one, there is: members choose it, and keep for
   ever what they voted for and what they heard. Only members lead changes, too.
2. **What anybody else says makes this node ask.** It asks the members that it knows: one of them,
   then all. An honest claim is confirmed by their answer, a moment later. A false one is not, and
   is forgotten.
3. **If none of the members can be reached**, the neighbours are asked as well. This is the case of
   a node that was away while the slot moved on more than once, and all that it knew have left. Then
   two nodes that say the same are believed. If there has been nobody else to ask for a minute, so
   is the only other node. Fewer than a majority of the members may know as little as this node,
   since they may have been away with it. So if no more of them can be reached for a while, that is
   the same case.

4. **A later generation** (a slot that was recovered) may be unknown to every member of the earlier
   one that can be asked. So the nodes that it names and the neighbours are asked as well, and two
   nodes that say the same are believed. If nothing is said to be left of the slot, none of the
   members that are known here can be reached either, and this node is none of them, one voice is
   enough: nobody could confirm it.

A node tells others what it believes and never what it was merely told. So a false claim ends at the
nodes that heard it, and rules 3 and 4 need two nodes that lie together, rule 3 while most members
are away.

A claim that jumps far ahead is believed from nobody. Epochs are counted one by one, so the
distance is some bound on the damage that a member's false word can do: the slot can still be taken
further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.configurations import Member, recoveries
from chordnet.core.store.base.founding import FIRST_GENERATION
from chordnet.core.store.node.directory import Directory, Listed
from chordnet.core.store.node.surroundings import For, Surroundings, remember
from chordnet.core.store.node.talk import LISTED_IN_ONE, Digest, Lists, Where

TELL_S = 0.02
"""News of slots wait so long, so that many of them travel together."""
LIST_AGAIN_S = 5.0
"""A node is given the whole directory once in this time."""
CLAIMANTS = 8
"""Nodes of which a claim about one slot is remembered."""
BATCH_S = 0.01
"""A new claim waits so long, so that many slots are asked about together."""
ASK_AGAIN_S = 0.3
"""After the first question the members are asked again; doubled every time."""
SELDOM_S = 15.0
"""The longest pause between two questions."""
FEW_S = 5.0
"""If so few members can be reached for so long that they may know nothing, others are believed."""
QUIET_S = 1.0
"""Members that have been asked and said nothing for so long count as silent."""
LOST_S = 5.0
"""For so long a node that could not be reached is not asked."""
ALONE_S = 60.0
"""For so long this node waits for a second voice where there is only one other."""
FORGET_S = 120.0
"""A claim that was not confirmed within this time is forgotten."""
MOST_AHEAD = 1 << 20
"""The most epochs that a claim may be ahead of what is known."""
MOST_RECOVERIES = 1024
"""The same for recoveries of a slot. Far fewer are left than epochs, and people order them."""


@attrs.define
class _Doubt:
    """A slot of which others have said what is not confirmed."""

    since: float
    due: float
    """When to ask next."""
    tries: int = 0
    said: dict[str, Listed] = attrs.field(factory=dict)
    """Who has said what."""

    def next(self, now: float, alone_at: float) -> float:
        """Return when to look at it again.

        :param alone_at: when the only other node is believed, if there is only one.
        """
        waits = (self.since + QUIET_S, self.since + FEW_S, self.since + ALONE_S, alone_at)
        return min([self.due, *(at for at in waits if at > now)])


class Claims:
    """What others have said of slots, and this node does not know.

    :param believe: called with what turns out to be so.
    :param has_other_disk: returns True if a member's node came back without its disk.
    """

    def __init__(
        self,
        around: Surroundings,
        formation: bytes,
        directory: Directory,
        believe: Callable[[Listed], None],
        has_other_disk: Callable[[Member], bool] = lambda _member: False,
    ) -> None:
        self._around = around
        self._formation = formation
        self._directory = directory
        self._believe = believe
        self._has_other_disk = has_other_disk
        self._doubts: dict[int, _Doubt] = {}

    def trusts(self, node: str, slot: int) -> bool:
        """Return True if the node is a member of the slot as it is known here, or is this one."""
        around = self._around
        if node == around.me.node or not around.safeguards.claims_checked:
            return True
        return node in self._members(slot)

    def take(self, sender: str, listed: Listed) -> None:
        """Heed what a node says of a slot: believe it, or find out if it is so."""
        if not self._is_news(listed):
            return
        if self.trusts(sender, listed.slot):
            self._believe(listed)
            return
        around = self._around
        now = around.now
        doubt = self._doubts.setdefault(listed.slot, _Doubt(now, now + BATCH_S))
        doubt.said.pop(sender, None)
        if len(doubt.said) >= CLAIMANTS:
            del doubt.said[next(iter(doubt.said))]
        doubt.said[sender] = listed
        around.sooner(For.DOUBT, 0, BATCH_S)

    def look(self) -> None:
        """Ask about the slots of which something was claimed, and believe what has voices enough.

        To be called when the alarm :attr:`For.DOUBT` rings.
        """
        now = self._around.now
        asked: dict[str, list[int]] = {}
        for slot, doubt in list(self._doubts.items()):
            for listed in self._vouched(slot, doubt):
                self._believe(listed)
            doubt.said = {node: each for node, each in doubt.said.items() if self._is_news(each)}
            if not doubt.said or now >= doubt.since + FORGET_S:
                del self._doubts[slot]
            elif now >= doubt.due:
                for node in self._whom(slot, doubt):
                    asked.setdefault(node, []).append(slot)
                pause = min(ASK_AGAIN_S * 2.0**doubt.tries, SELDOM_S)
                doubt.tries += 1
                doubt.due = now + self._around.jittered(pause)
        for node, slots in asked.items():
            for first in range(0, len(slots), LISTED_IN_ONE):
                page = tuple(slots[first : first + LISTED_IN_ONE])
                self._around.say(node, Where(self._formation, page))
        if self._doubts:
            alone_at = self._around.settled + ALONE_S
            soonest = min(doubt.next(now, alone_at) for doubt in self._doubts.values())
            self._around.sooner(For.DOUBT, 0, max(BATCH_S, soonest - now))

    def is_possible(self, listed: Listed) -> bool:
        """Return True if this can be said of a slot, and is not far ahead of what is known."""
        if not listed.is_sound(self._directory.slots):
            return False
        said, present = listed.configuration, self._directory.of(listed.slot).configuration
        if said.generation != FIRST_GENERATION and not recoveries(said.generation):
            return False
        is_near = self.is_near(listed.slot, said.generation)
        return said.epoch <= present.epoch + MOST_AHEAD and is_near

    def is_near(self, slot: int, generation: int) -> bool:
        """Return True unless a generation is far ahead of the one that is known."""
        present = self._directory.of(slot).configuration.generation
        return recoveries(generation) <= recoveries(present) + MOST_RECOVERIES

    def _is_news(self, listed: Listed) -> bool:
        """Return True if this may be so, and says more than is known."""
        return self.is_possible(listed) and listed.is_news_to(self._directory.of(listed.slot))

    def _members(self, slot: int) -> set[str]:
        known = self._directory.of(slot)
        both = (known.configuration, known.before)
        return {each.node for which in both if which is not None for each in which.members}

    def _others(self, slot: int) -> list[str]:
        """Return the other nodes that may still have a disk of the slot."""
        known = self._directory.of(slot)
        before = () if known.before is None else known.before.members
        disks = {*known.configuration.members, *before}
        there = {each.node for each in disks if not self._has_other_disk(each)}
        return sorted(there - {self._around.me.node})

    def _whom(self, slot: int, doubt: _Doubt) -> list[str]:
        """Return whom to ask: one member, then all; the neighbours, too, if too few answer."""
        around = self._around
        members = [node for node in self._others(slot) if not around.is_lost(node, LOST_S)]
        later = [each.configuration for each in doubt.said.values() if self._begins(slot, each)]
        if later:
            named = [each.node for new in later for each in new.members]
            found = dict.fromkeys([*members, *around.place.near, *named])
            return [node for node in found if node != around.me.node]
        if not doubt.tries and members:
            return [around.rng.choice(members)]
        if self._is_silent(slot, doubt):
            return list(dict.fromkeys([*members, *around.place.near]))
        return members

    def _begins(self, slot: int, listed: Listed) -> bool:
        """Return True if this is of a later generation than what is known."""
        known = self._directory.of(slot).configuration
        return listed.configuration.generation > known.generation

    def _is_silent(self, slot: int, doubt: _Doubt) -> bool:
        """Return True if none of the members can be reached, or for a while only a few.

        A majority has chosen a later configuration, if there is one. So of any majority at least
        one member knows of it, and of fewer perhaps none.
        """
        known, me = self._directory.of(slot), self._around.me
        answer = {node for node in self._others(slot) if self._answers(node, doubt)}
        if not answer:
            return True
        patient = self._around.now >= doubt.since + FEW_S
        return patient and not any(
            len([each for each in which.members if each == me or each.node in answer])
            >= which.majority
            for which in (known.configuration, known.before)
            if which is not None
        )

    def _answers(self, node: str, doubt: _Doubt) -> bool:
        """Return True unless the node cannot be reached or has, though asked, said nothing."""
        around = self._around
        patient = doubt.tries > 0 and around.now >= doubt.since + QUIET_S
        heard = not patient or around.heard.get(node, doubt.since) > doubt.since
        return heard and not around.is_lost(node, LOST_S)

    def _vouched(self, slot: int, doubt: _Doubt) -> Iterator[Listed]:
        """Yield what enough nodes say, of a slot of which too few members can be asked."""
        silent = self._is_silent(slot, doubt)
        voices, me = self._around.place.near, self._around.me
        holds = me in self._directory.of(slot).configuration.members
        # Lies may have been told for long when a partition leaves this node with the liar alone.
        since = max(doubt.since, self._around.settled)
        alone = self._around.now >= since + ALONE_S and len(voices) == 1
        for listed in dict.fromkeys(doubt.said.values()):
            if not silent and not self._begins(slot, listed):
                continue
            said = [node for node, each in doubt.said.items() if _vouches(each, listed)]
            nothing = listed.before is not None and not listed.before.members and not holds
            if len(said) >= 2 or (alone and said == voices) or (silent and nothing):
                yield listed


class News:
    """What this node tells others of slots: what it believes, and nothing else."""

    def __init__(self, around: Surroundings, formation: bytes, directory: Directory) -> None:
        self._around = around
        self._formation = formation
        self._directory = directory
        self._news: dict[int, None] = {}
        self._listed_at: tuple[dict[str, float], dict[str, float]] = ({}, {})
        """When nodes were given the whole directory, and when they were for an answer of theirs."""

    def add(self, slot: int) -> None:
        """Tell both neighbours of a slot, in a moment."""
        self._news[slot] = None
        self._around.sooner(For.TELL, 0, TELL_S)

    def on_digest(self, sender: str, message: Digest) -> None:
        """Give a node the directory, if that differs from its own."""
        digest, at = self._directory.digest, self._listed_at[message.back]
        # A small question with a long answer, so not as often as a node may ask.
        if self._around.now < at.get(sender, -LIST_AGAIN_S) + LIST_AGAIN_S:
            return
        if message.digest != digest:
            remember(at, sender, self._around.now)
            self._list(sender, self._directory.later())
            if not message.back:
                self._around.say(sender, Digest(self._formation, digest, back=True))

    def on_where(self, sender: str, message: Where) -> None:
        """Say what is known of some slots."""
        known = [slot for slot in dict.fromkeys(message.slots) if slot < self._directory.slots]
        self._list(sender, [self._directory.of(slot) for slot in known])

    def tell(self) -> None:
        """Tell both neighbours what is new."""
        news = [self._directory.of(slot) for slot in self._news]
        self._news.clear()
        place = self._around.place
        for node in dict.fromkeys([place.predecessor, *place.successors[:1]]):
            if node is not None:
                self._list(node, news)

    def _list(self, to: str, listed: list[Listed]) -> None:
        while listed:
            page = msg.page(listed, LISTED_IN_ONE)
            self._around.say(to, Lists(self._formation, page))
            listed = listed[len(page) :]

    def compare(self) -> None:
        """Compare directories with the next node."""
        for node in self._around.place.successors[:1]:
            self._around.say(node, Digest(self._formation, self._directory.digest))


def _vouches(said: Listed, listed: Listed) -> bool:
    """Return True if who says the one says the other as well."""
    if said.configuration != listed.configuration:
        return False
    return said == listed or said.serves
