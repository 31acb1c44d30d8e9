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
   two nodes that say the same are believed. If there is nobody else to ask, so is the only other
   node, after a minute.

A node tells others what it believes and never what it was merely told. So a false claim ends at the
nodes that heard it, and rule 3 needs two nodes that lie together, while all members are away.

A claim that jumps far ahead is believed from nobody. Epochs are counted one by one, so the
distance is some bound on the damage that a member's false word can do: the slot can still be taken
further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from chordnet.core.store.node.directory import Directory, Listed
from chordnet.core.store.node.surroundings import For, Surroundings
from chordnet.core.store.node.talk import LISTED_IN_ONE, Where

CLAIMANTS = 8
"""Nodes of which a claim about one slot is remembered."""
BATCH_S = 0.01
"""A new claim waits so long, so that many slots are asked about together."""
ASK_AGAIN_S = 0.3
"""After the first question the members are asked again; doubled every time."""
SELDOM_S = 15.0
"""The longest pause between two questions."""
QUIET_S = 1.0
"""Members that have been asked and said nothing for so long count as silent."""
LOST_S = 5.0
"""For so long a node that could not be reached is not asked."""
ALONE_S = 60.0
"""For so long this node waits for a second voice where there is only one other."""
FORGET_S = 120.0
"""A claim that was not confirmed within this time is forgotten."""
MOST_AHEAD = 1 << 20
"""The most epochs or generations that a claim may be ahead of what is known."""


@attrs.define
class _Doubt:
    """A slot of which others have said what is not confirmed."""

    since: float
    due: float
    """When to ask next."""
    tries: int = 0
    said: dict[str, Listed] = attrs.field(factory=dict)
    """Who has said what."""

    def next(self, now: float) -> float:
        """Return when to look at it again."""
        waits = (self.since + QUIET_S, self.since + ALONE_S)
        return min([self.due, *(at for at in waits if at > now)])


class Claims:
    """What others have said of slots, and this node does not know.

    :param believe: called with what turns out to be so.
    """

    def __init__(
        self,
        around: Surroundings,
        formation: bytes,
        directory: Directory,
        believe: Callable[[Listed], None],
    ) -> None:
        self._around = around
        self._formation = formation
        self._directory = directory
        self._believe = believe
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
            soonest = min(doubt.next(now) for doubt in self._doubts.values())
            self._around.sooner(For.DOUBT, 0, max(BATCH_S, soonest - now))

    def is_possible(self, listed: Listed) -> bool:
        """Return True if this can be said of a slot, and is not far ahead of what is known."""
        if not listed.is_sound(self._directory.slots):
            return False
        said, present = listed.configuration, self._directory.of(listed.slot).configuration
        return (
            said.epoch <= present.epoch + MOST_AHEAD
            and said.generation <= present.generation + MOST_AHEAD
        )

    def _is_news(self, listed: Listed) -> bool:
        """Return True if this may be so, and says more than is known."""
        return self.is_possible(listed) and listed.is_news_to(self._directory.of(listed.slot))

    def _members(self, slot: int) -> set[str]:
        known = self._directory.of(slot)
        both = (known.configuration, known.before)
        return {each.node for which in both if which is not None for each in which.members}

    def _others(self, slot: int) -> list[str]:
        return sorted(self._members(slot) - {self._around.me.node})

    def _whom(self, slot: int, doubt: _Doubt) -> list[str]:
        """Return whom to ask: one member, then all; the neighbours, too, if no member answers."""
        around = self._around
        members = [node for node in self._others(slot) if not around.is_lost(node, LOST_S)]
        if not doubt.tries and members:
            return [around.rng.choice(members)]
        if self._is_silent(slot, doubt):
            return list(dict.fromkeys([*members, *around.place.near]))
        return members

    def _is_silent(self, slot: int, doubt: _Doubt) -> bool:
        """Return True if no member can be reached or, though asked, has said anything."""
        around, others = self._around, self._others(slot)
        if all(around.is_lost(node, LOST_S) for node in others):
            return True
        patient = doubt.tries > 0 and around.now >= doubt.since + QUIET_S
        return patient and not any(
            around.heard.get(node, doubt.since) > doubt.since for node in others
        )

    def _vouched(self, slot: int, doubt: _Doubt) -> Iterator[Listed]:
        """Yield what enough nodes say, of a slot of which no member can be asked."""
        if not self._is_silent(slot, doubt):
            return
        voices = self._around.place.near
        alone = self._around.now >= doubt.since + ALONE_S and len(voices) == 1
        for listed in set(doubt.said.values()):
            said = [node for node, each in doubt.said.items() if _vouches(each, listed)]
            if len(said) >= 2 or (alone and said == voices):
                yield listed


def _vouches(said: Listed, listed: Listed) -> bool:
    """Return True if who says the one says the other as well."""
    if said.configuration != listed.configuration:
        return False
    return said == listed or said.serves
