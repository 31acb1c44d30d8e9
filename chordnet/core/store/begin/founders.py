"""How a store begins, and which formation a node's store belongs to.

A store begins once, by its *founders*, a short list of node names that all of them are configured
with. They vote::

    hears every founder --> VOTES for all disks and figures --> sees all votes --> BELONGS
    meets a formation ------------------------------------------------------------^

1. *One vote a disk.* A founder votes when every founder has said which disk it has, and all say the
   same list and the same figures. The vote is on disk before anybody hears of it, and a disk never
   votes again.
2. *All have to vote*, for the same. Then the formation exists, and its name is the hash of what was
   voted for. A count could not do this: with two votes of three, one disk that is lost on the way
   votes again with the third founder, and there are two stores. With all, two formations would need
   two votes of every disk that is in both, and a list of the same names with other disks needs a
   vote of those that have voted already.
3. *A node that belongs to a formation never votes*, and an empty one (no formation, no vote) adopts
   the formation that it meets. So a founder that lost its disk comes back to the others' store, and
   a node that is no founder joins it. But a disk that is voted for in that formation and has no
   vote on it has forgotten it: it is an older copy, which may have forgotten promises, too.
4. *A founder that has voted* adopts what it voted for, as soon as anybody says that it exists. It
   refuses any other formation, loudly: its own may be complete somewhere. But if the very disk of
   one of its fellow founders says that it belongs to another, one of them has not voted and never
   will. Then the vote is void, and binds no longer.
5. *What stops the beginning is told loudly*, once for each cause: founders with other lists or
   figures, one without a store, one that lost its disk after it was voted for. Nothing was stored
   yet, so nothing is lost; the founders begin again with empty stores.
6. *Two formations refuse each other*, loudly, and nothing is changed in either.

A formation of one founder is the exception to the last rule. A node that knows of no other nodes is
its own founder, and has often begun a store before it meets the ring that it was meant for. Such a
formation is given up without asking while it is *empty*: its founder has kept no record and no head
of a slot, thus has promised nothing, accepted nothing, and never voted on a slot's next members.

- All its slots are held by its founder's disk alone, so nobody else has anything of it either. That
  is why the heads count and not only the records: once its founder has let another node into a
  slot, records may be there.
- The disk keeps its store id. What makes a disk another member when it has forgotten something is
  that others may rest on what it said. Nobody can rest on anything that this one said: it has given
  no promise. Whatever still comes for the old formation names that formation, and is refused.
- A disk never comes back to a formation that it left, so it has not forgotten anything there. A
  founder leaves its own only for one that lasts (of several founders, or no longer empty) or, if
  both are empty, for the one with the smaller id; a node that had adopted it follows the founder,
  when that disk itself says that it has left. Each move is to one that lasts or to a smaller id.
- Both sides see the same two ids, so one of them moves and not both.
- A founder among several that is still waiting for the others does not adopt an empty formation
  that is none of theirs: that one will come over when theirs is complete.

Sources: bootstrapping of etcd (a fixed list, all of the same cluster id) and Elasticsearch
(``initial_master_nodes``, which counts a majority, and warns of two clusters).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import NamedTuple

import attrs

from chordnet.core.base.naming import usable_name
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.effects import FoundingKept, Keep, NodeEffect, Noted, VoteKept
from chordnet.core.store.base.founding import MOST_FOUNDERS, Founding
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.begin.hails import Hail
from chordnet.core.store.begin.settings import StoreSettings

MOST_TOLD = 256
"""Causes of which a run tells; a peer could make up any number of them."""


class Choice(enum.Enum):
    """What to do about another formation."""

    ADOPT = enum.auto()
    WAIT = enum.auto()
    """It will come over to ours, or more has to be known."""
    REFUSE = enum.auto()


class Founders:
    """One node's part in the beginning, and the formation that it belongs to.

    Whoever runs it sends hails: now and then to the nodes beside it; to those in ``wanted``, with a
    question; to all of them when ``vote`` or ``founding`` has changed; and as an answer to those
    that ask. What the methods return is to be done before the next hail is sent.

    :param me: this node and its disk.
    """

    def __init__(self, settings: StoreSettings, me: Member, kept: Kept) -> None:
        self.vote = kept.vote
        self.founding = kept.founding
        """The formation that this node belongs to."""
        self.empty = not kept.heads and not kept.records
        """Whoever runs it sets this to False before the first head or record of a slot is kept."""
        self._settings = attrs.evolve(settings, founders=tuple(sorted(set(settings.founders))))
        self._me = me
        self._run = kept.run
        self._effects: list[NodeEffect] = []
        self._heard: dict[str, Hail] = {}
        """The last hail of each other founder, until this node has voted."""
        self._agreed: set[Member] = {me}
        """Disks that have voted as this one has."""
        self._doubts: set[str] = set()
        """Founders of formations of one, whose own word decides."""
        self._told: set[str] = set()

    @property
    def wanted(self) -> tuple[str, ...]:
        """The nodes whose hails this one waits for, in order."""
        if self.founding is not None:
            return tuple(sorted(self._doubts))
        if self.vote is not None:
            return tuple(each.node for each in self.vote.founders if each not in self._agreed)
        return tuple(name for name in self._names if name != self._me.node)

    def hail(self, vacating: bool, *, asks: bool) -> Hail:
        """Return what this node has to say now."""
        settings = self._settings
        return Hail(
            self._me.store,
            self._run,
            settings.seat,
            vacating,
            settings.network,
            settings.bits,
            settings.slots,
            settings.replicas,
            settings.founders,
            self.vote if self.founding is None else None,
            self.founding,
            self.empty,
            asks,
        )

    def begin(self) -> list[NodeEffect]:
        """Begin, after a start; a node that is its own only founder founds its store at once."""
        if self.founding is None:
            if self._me.node in self._settings.founders and not self._settings.seat:
                self._alarm("this node is a founder and keeps no store: no store can begin with it")
            self._advance()
        return self._done()

    def why_not(self, founders: tuple[str, ...]) -> str:
        """Return why this node cannot begin a store with these founders; empty if it can."""
        if not self._settings.seat:
            return "this node keeps no store, so it cannot be a founder"
        if self.founding is not None:
            return f"this node belongs to {_called(self.founding)} already"
        if self.vote is not None:
            return (
                f"this node has voted for the founders {_listed(_names_of(self.vote))} already, and"
                " a vote is never taken back; start all of them, or begin with empty stores"
            )
        usable = 0 < len(founders) <= MOST_FOUNDERS and all(map(usable_name, founders))
        if not usable or len(set(founders)) < len(founders):
            return f"founders are 1 to {MOST_FOUNDERS} names of nodes, each once"
        if self._me.node not in founders:
            return f"{self._me.node} is not one of the founders {_listed(founders)}"
        return ""

    def order(self, founders: tuple[str, ...]) -> list[NodeEffect]:
        """Begin a store with these founders, in place of those in the configuration."""
        self._settings = attrs.evolve(self._settings, founders=tuple(sorted(founders)))
        self._heard.clear()
        self._advance()
        return self._done()

    def on_hail(self, sender: str, hail: Hail) -> list[NodeEffect]:
        """Learn from a hail in which :mod:`chordnet.core.store.begin.hails` finds no fault."""
        if sender != self._me.node:
            if hail.founding is not None:
                self._meet(Member(sender, hail.store), hail, hail.founding)
            elif self.founding is None and sender in self._names:
                self._listen(sender, hail)
        return self._done()

    def overdue(self) -> list[NodeEffect]:
        """Say which founders are missing; to be called if the store has not begun for long."""
        missing = [name for name in self.wanted if name not in self._heard]
        if self.founding is None and missing:
            self._alarm(f"no store yet: it waits for the founders {_listed(missing)}")
        return self._done()

    def _done(self) -> list[NodeEffect]:
        effects, self._effects = self._effects, []
        return effects

    # ---- the vote -------------------------------------------------------------------------------

    @property
    def _names(self) -> tuple[str, ...]:
        """The founders that this node is one of; none if it is not."""
        if self.vote is not None:
            return _names_of(self.vote)
        settings = self._settings
        takes_part = settings.seat and self._me.node in settings.founders
        return settings.founders if takes_part else ()

    def _listen(self, sender: str, hail: Hail) -> None:
        if self.vote is None:
            self._heard[sender] = hail
        else:
            if hail.vote == self.vote:
                self._agreed.add(Member(sender, hail.store))
            self._is_obstacle(sender, hail, self.vote)
        self._advance()

    def _advance(self) -> None:
        if self.vote is None and self._names:
            self._consider()
        if self.vote is not None and self._all_agree(self.vote):
            self._belong(self.vote, "the store has begun")

    def _consider(self) -> None:
        """Vote, if all founders are known and say the same."""
        settings, heard = self._settings, self._heard
        disks = [self._me, *(Member(name, heard[name].store) for name in heard)]
        plan = Founding(
            settings.network,
            settings.bits,
            settings.slots,
            settings.replicas,
            tuple(sorted(disks)),
        )
        obstacles = [name for name in heard if self._is_obstacle(name, heard[name], plan)]
        if not obstacles and len(disks) == len(self._names):
            self.vote = plan
            self._effects.append(Keep((VoteKept(plan),)))
            self._agreed.update(d for d in disks[1:] if heard[d.node].vote == plan)
            self._heard = {}

    def _all_agree(self, vote: Founding) -> bool:
        return self._agreed.issuperset(vote.founders)

    def _is_obstacle(self, sender: str, hail: Hail, plan: Founding) -> bool:
        """Return True if ``plan`` cannot be voted for because of this founder, and tell of it."""
        said = hail.vote
        theirs = _Plan.of(hail, hail.founders) if said is None else _Plan.of(said, _names_of(said))
        ours = _Plan.of(plan, self._names)
        if not hail.seat:
            self._alarm(f"the founder {sender} keeps no store: no store can begin with it")
            return True
        if theirs != ours:
            done = "was started with" if said is None else "has voted for"
            self._alarm(
                f"the founder {sender} {done} {theirs}, and here it is {ours}: no store begins"
                " until all founders say the same"
            )
            return True
        disks = {each.node: each.store for each in plan.founders}
        named = (Member(sender, hail.store), *(() if said is None else said.founders))
        other = {each.node for each in named if disks.get(each.node, each.store) != each.store}
        if other:
            voter = self._me.node if said is None else sender
            self._alarm(
                f"the store cannot begin: {_listed(sorted(other))} had another disk when a founder"
                f" ({voter}) voted; if no node has the store yet, nothing is lost: start all"
                " founders with empty stores"
            )
        return bool(other)

    # ---- formations -----------------------------------------------------------------------------

    def _meet(self, peer: Member, hail: Hail, theirs: Founding) -> None:
        """Meet the formation of a node that has the disk ``peer``."""
        mine, settings = self.founding, self._settings
        if theirs == mine:
            return
        if theirs.id in settings.aside:
            self._alarm(f"{peer.node} belongs to {_called(theirs)}, which was set aside here")
            return
        if (theirs.network, theirs.bits) != (settings.network, settings.bits):
            self._alarm(
                f"{peer.node} belongs to {_called(theirs)}, which is for the network"
                f" {theirs.network} of {theirs.bits} bits: this node has nothing to do with it"
            )
            return
        if self._me in theirs.founders and self.vote != theirs:
            self._alarm(
                f"this disk is a founder of {_called(theirs)}, as {peer.node} says, and does not"
                " know of its vote: it is an older copy of a disk; start with an empty store"
            )
            return
        # A node that has kept anything of a formation of one was let in by its founder, which has
        # kept that, too, and will never leave.
        lasts = len(theirs.founders) > 1 or not hail.empty
        choice = (
            self._without(peer, theirs, lasts=lasts)
            if mine is None
            else self._within(mine, peer, theirs, lasts=lasts)
        )
        if choice is Choice.ADOPT:
            left = "" if mine is None else f" in place of {_called(mine)}, which was empty"
            self._belong(theirs, f"met at {peer.node}{left}")
        elif choice is Choice.REFUSE:
            bound = (
                f"belongs to {_called(mine)}"
                if mine is not None
                else "has voted for another, which may have begun"
            )
            self._alarm(
                f"{peer.node} belongs to {_called(theirs)}, but this node {bound}: they refuse"
                " each other, and nothing is changed in either"
            )

    def _without(self, peer: Member, theirs: Founding, *, lasts: bool) -> Choice:
        """Choose while this node belongs to none."""
        vote = self.vote
        if vote is None:
            others = set(self._settings.founders) - {self._me.node}
            own_affair = not others.isdisjoint((peer.node, theirs.founders[0].node))
            return Choice.ADOPT if lasts or own_affair or not others else Choice.WAIT
        if vote == theirs or peer in vote.founders:
            return Choice.ADOPT
        return Choice.REFUSE if lasts else Choice.WAIT

    def _within(self, mine: Founding, peer: Member, theirs: Founding, *, lasts: bool) -> Choice:
        """Choose while this node belongs to ``mine``."""
        if self.empty and len(mine.founders) == 1:
            if peer in mine.founders:
                return Choice.ADOPT
            if self._me in mine.founders:
                if lasts or theirs.id < mine.id:
                    return Choice.ADOPT
                self._doubts.add(theirs.founders[0].node)
            else:
                self._doubts.add(mine.founders[0].node)
        comes_over = not lasts and peer in theirs.founders
        return Choice.WAIT if comes_over else Choice.REFUSE

    def _belong(self, founding: Founding, why: str) -> None:
        self.founding = founding
        self._doubts.clear()
        self._effects += [
            Keep((FoundingKept(founding),)),
            Noted(f"belongs to {_called(founding)}: {why}"),
        ]

    def _alarm(self, text: str) -> None:
        if text not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(text)
            self._effects.append(Noted(text, alarming=True))


def _names_of(founding: Founding) -> tuple[str, ...]:
    return tuple(each.node for each in founding.founders)


class _Plan(NamedTuple):
    """All that founders are configured with, and have to agree on."""

    founders: tuple[str, ...]
    slots: int
    replicas: int
    bits: int
    network: str

    @classmethod
    def of(cls, said: Hail | Founding, founders: tuple[str, ...]) -> _Plan:
        return cls(founders, said.slots, said.replicas, said.bits, said.network)

    def __str__(self) -> str:
        return (
            f"founders {_listed(self.founders)}, {self.slots} slots, {self.replicas} replicas,"
            f" {self.bits} bits, network {self.network}"
        )


def _called(founding: Founding) -> str:
    return f"the store {founding.id.hex()} of {_listed(_names_of(founding))}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "(none)"
