"""From one configuration of a slot to the next: who proposes, who installs, who finishes.

A change is led by a member, or by anybody whom a member has told the configuration; several may
lead one at the same time. It has four steps::

    PREPARE --> ACCEPT --> INSTALL --> OVER        outrun -> WAIT -> PREPARE
                                                   moved  -> OVER

1. *Propose.* Single-decree Paxos among the members of the present epoch. **A leader that finds an
   accepted proposal in its majority goes on with the highest one**, not with its own.
2. *Seal.* Whoever accepts a proposal is sealed by that (``registers.py``). When a majority has
   accepted the same one, the next configuration is chosen.
3. *Install.* Its members are told. The state of the new epoch is, for each key, the record with the
   highest ballot among a majority of the old members, **all of which were sealed when they
   answered**: a sealed member's records are final, and every content that was ever chosen in the
   old epoch was accepted by one of them. Its floor is at or above all of theirs. Or it is all that
   one member has that has installed the new epoch already.
4. *Clear.* When a majority has installed it, old members without a seat delete their records.

Nothing has to be undone when a leader stops half way. Before anybody is sealed nothing has
happened; after that, a sealed member that hears of no result leads the change itself, a second
times its rank later, so that seldom two do. With a free choice and no proposal to go on with, it
proposes the same members again.

At most so many seats change at once that the members that stay are a majority, and hold the data.

Sources: CATS (Arad, Shafaat, Haridi, 2012) and Scatter (Glendenning et al., SOSP 2011) for
configurations as part of what is agreed on; Lamport, Malkhi and Zhou, "Reconfiguring a state
machine" (2010) for choosing the next configuration in the present one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import msgspec
from msgspec.structs import replace

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot, Ballots
from chordnet.core.store.base.configurations import (
    Configuration,
    Head,
    Member,
    Vote,
    begins_generation,
    recoveries,
)
from chordnet.core.store.base.effects import Changed, Effect, Say, Wait
from chordnet.core.store.base.messages import Address, Why
from chordnet.core.store.base.records import GROUND, VERSION_BITS, Floor, Record
from chordnet.core.store.slot.pages import AtHand, Records, Source
from chordnet.core.store.slot.registers import Registers

FINISH_AFTER_S = 1.0
"""Pause of a sealed member before it finishes a change, for each place of its rank."""


def keeps_majority(old: Configuration, members: Iterable[Member]) -> bool:
    """Return True if of the old members a majority stays."""
    return old.is_majority(members)


def finish_after(head: Head, me: Member, jitter: float) -> float | None:
    """Return after how many seconds a member finishes the change that sealed it.

    :param jitter: from 0 to 1, so that members of the same rank elsewhere do not march in step.
    :return: None if there is nothing to finish, or it is the affair of others.
    """
    members = head.configuration.members
    if not head.sealed or head.newest is not None or me not in members:
        return None
    return FINISH_AFTER_S * (members.index(me) + 1 + jitter)


def _address(where: tuple[bytes, int], configuration: Configuration, member: Member) -> Address:
    return Address(*where, configuration.generation, configuration.epoch, member.store)


class Step(enum.IntEnum):
    """How far a change has come."""

    PREPARE = enum.auto()
    ACCEPT = enum.auto()
    INSTALL = enum.auto()
    WAIT = enum.auto()
    OVER = enum.auto()


class Underway(msgspec.Struct, frozen=True):
    """All that the leader of a change knows."""

    old: Configuration
    wanted: tuple[Member, ...]
    """Its own proposal, if it is free to choose."""
    step: Step = Step.WAIT
    ballot: Ballot = NONE
    highest: Ballot = NONE
    answered: tuple[Member, ...] = ()
    """Members that have done what this step asks for."""
    outrun: tuple[Member, ...] = ()
    vote: Vote | None = None
    """The highest accepted proposal among the answers."""
    members: tuple[Member, ...] = ()
    """What is proposed, and then chosen."""
    generation: int = 0
    """Of the next configuration, if it begins one; 0: that of the old one."""
    needed: tuple[Member, ...] = ()
    """Members whose promises this leader waits for besides: those that are to stay when the number
    of members falls, since a pair of which one is dead could do nothing more."""


class Change:
    """One change, at its leader.

    :param rid: this node's number for it.
    :param where: formation and slot.
    :param underway: how far it has come.
    """

    def __init__(
        self,
        rid: int,
        where: tuple[bytes, int],
        ballots: Ballots,
        effects: list[Effect],
        underway: Underway,
    ) -> None:
        self.rid = rid
        self.underway = underway
        self._where = where
        self._ballots = ballots
        self._effects = effects

    def begin(self) -> None:
        """Ask the present members for promises."""
        self.again()

    def again(self) -> None:
        """Ask again after a pause, with a higher ballot; what is chosen is told of again."""
        now = self.underway
        if now.step == Step.INSTALL:
            self._tell()
        if now.step in (Step.INSTALL, Step.OVER):
            return
        ballot = self._ballots.above(now.highest, now.old.epoch)
        self.underway = Underway(
            now.old,
            now.wanted,
            Step.PREPARE,
            ballot,
            max(now.highest, ballot),
            needed=now.needed,
        )
        self._ask(now.old, lambda to: msg.PrepareChange(to, self.rid, ballot))

    @property
    def new(self) -> Configuration:
        """The next configuration, as it is proposed."""
        old = self.underway.old
        generation = self.underway.generation or old.generation
        return Configuration(generation, old.epoch + 1, self.underway.members)

    def on_change_promised(self, sender: str, answer: msg.ChangePromised) -> None:
        """Take a promise; with those of a majority propose."""
        now = self.underway
        member = self._counts(sender, answer.address, Step.PREPARE, answer.ballot)
        if member is None:
            return
        vote = now.vote
        if answer.vote is not None and (vote is None or answer.vote.ballot > vote.ballot):
            vote = answer.vote
        self.underway = now = replace(now, answered=self._with(member), vote=vote)
        if len(now.answered) < now.old.majority:
            return
        if vote is None and not set(now.needed) <= set(now.answered):
            return
        members = now.wanted if vote is None else vote.members
        self.underway = replace(now, step=Step.ACCEPT, answered=(), outrun=(), members=members)
        ballot = now.ballot
        self._ask(now.old, lambda to: msg.AcceptChange(to, self.rid, ballot, members))

    def on_change_accepted(self, sender: str, answer: msg.ChangeAccepted) -> None:
        """Count a vote; with a majority the configuration is chosen, and its members are told."""
        member = self._counts(sender, answer.address, Step.ACCEPT, answer.ballot)
        if member is None:
            return
        self.underway = now = replace(self.underway, answered=self._with(member))
        if len(now.answered) < now.old.majority:
            return
        self.underway = replace(now, step=Step.INSTALL, answered=(), outrun=())
        self._tell()

    def _tell(self) -> None:
        old, new = self.underway.old, self.new
        self._ask(new, lambda to: msg.Chosen(to, self.rid, old, new))

    def on_installed(self, sender: str, answer: msg.Installed) -> None:
        """Count who has installed; with a majority the epoch serves, and the others may forget."""
        new, now = self.new, self.underway
        member = Member(sender, answer.address.store)
        if now.step != Step.INSTALL or answer.address != _address(self._where, new, member):
            return
        if member not in new.members:
            return
        self.underway = now = replace(now, answered=self._with(member))
        if len(now.answered) >= new.majority:
            for left in now.old.members:
                if left not in new.members:
                    to = _address(self._where, now.old, left)
                    self._effects.append(Say(left.node, msg.Forget(to, self.rid, new)))
            self._over(new, serves=True)

    def on_outrun(self, sender: str, answer: msg.Outrun) -> None:
        """Take note of another leader that was faster; with a majority lost, wait."""
        now = self.underway
        member = self._counts(sender, answer.address, now.step, answer.ballot)
        if member is None or member in now.outrun:
            return
        self.underway = now = replace(
            now,
            outrun=tuple(sorted((*now.outrun, member))),
            highest=max(now.highest, answer.promised),
        )
        if len(now.old.members) - len(now.outrun) < now.old.majority:
            self.underway = replace(now, step=Step.WAIT)
            self._effects.append(Wait(self.rid))

    def on_refused(self, sender: str, answer: msg.Refused) -> None:
        """End, if a later configuration is chosen already."""
        now = self.underway
        if now.step == Step.OVER or answer.formation != self._where[0] or answer.why == Why.SLOT:
            return
        # Those that are told of the new epoch know of it, of course.
        reached = self.new if now.step == Step.INSTALL else now.old
        if answer.newest.follows(reached):
            self._over(answer.newest, serves=False)

    def _over(self, configuration: Configuration, *, serves: bool) -> None:
        self.underway = replace(self.underway, step=Step.OVER, answered=(), outrun=())
        self._effects.append(Changed(self.rid, configuration, serves))

    def _with(self, member: Member) -> tuple[Member, ...]:
        return tuple(sorted({*self.underway.answered, member}))

    def _counts(self, sender: str, address: Address, step: Step, ballot: Ballot) -> Member | None:
        """Return the old member whose answer this is; None if it is to no present question."""
        now = self.underway
        if now.step != step or step not in (Step.PREPARE, Step.ACCEPT) or ballot != now.ballot:
            return None
        member = Member(sender, address.store)
        asked = _address(self._where, now.old, member) == address and member in now.old.members
        return member if asked else None

    def _ask(
        self, configuration: Configuration, question: Callable[[Address], msg.Request]
    ) -> None:
        for member in configuration.members:
            to = _address(self._where, configuration, member)
            self._effects.append(Say(member.node, question(to)))


class Copying(msgspec.Struct, frozen=True):
    """An installation under way."""

    leader: str
    """Who said that the configuration is chosen, and is told when it is installed."""
    told: msg.Chosen
    finals: tuple[tuple[Member, Records, Floor], ...] = ()
    """The final states that sealed members of the old epoch have sent."""
    pages: tuple[tuple[Source, Records], ...] = ()
    """What has arrived of states that are not complete, by where it comes from."""
    reading: Source | None = None
    """Whose state is read on; a first page of the others is enough until then."""
    tries: int = 0
    """How often all were asked since the last page arrived."""

    def takes(self, old: Configuration, new: Configuration) -> bool:
        """Return True if the state comes from the members of these."""
        return (self.told.previous, self.told.configuration) == (old, new)


class Installation:
    """How a member comes by the state of a new epoch.

    :param registers: what this member has of the slot.
    :param copying: what is under way; None: nothing.
    """

    def __init__(
        self, registers: Registers, effects: list[Effect], copying: Copying | None = None
    ) -> None:
        self.copying = copying
        self._registers = registers
        self._effects = effects
        self._at_hand = AtHand()

    def on_chosen(self, sender: str, told: msg.Chosen) -> None:
        """Fetch the state of the new epoch; a member that has it says so."""
        head, me, new = self._registers.head, self._registers.me, told.configuration
        where = (head.formation, head.slot)
        if told.address != _address(where, new, me) or me not in new.members:
            return
        self._registers.learn(new)
        if not new.follows(self._registers.head.configuration):
            if new == self._registers.head.configuration:
                self._effects.append(Say(sender, msg.Installed(told.address, told.rid)))
            return
        before = self.copying
        self.copying = Copying(sender, told)
        if begins_generation(told.previous, new) and not told.previous.members:
            self._install(self.copying, *recovered(new, (), GROUND))  # nothing was left of the slot
            return
        if before is not None and before.takes(told.previous, new):
            # What sealed members have is final, so what has come of it stays good.
            self.copying = Copying(sender, told, before.finals, before.pages)
        else:
            self._at_hand.forget()
            self._at_hand.add(self._registers.records.items())
        self.again()

    def again(self) -> None:
        """Ask all whose state is not here, each for what comes next of it."""
        copying = self.copying
        if copying is None:
            return
        self.copying = replace(copying, reading=None, tries=copying.tries + 1)
        head, me, told = self._registers.head, self._registers.me, copying.told
        pages = dict(copying.pages)
        here = {member for member, _records, _floor in copying.finals}
        for configuration in (told.previous, told.configuration):
            for member in configuration.members:
                old = configuration is told.previous
                if member not in here if old else member != me:
                    where = (head.formation, head.slot)
                    source = member.node, _address(where, configuration, member)
                    self._fetch(source, pages.get(source, ()))

    def _fetch(self, source: Source, records: Records) -> None:
        """Ask for the page after these records."""
        assert self.copying is not None
        told, (node, to) = self.copying.told, source
        after = records[-1][0] if records else None
        have = self._at_hand.offer(source, after)
        fetch = msg.Fetch(to, told.rid, told.configuration.epoch, after, have)
        self._effects.append(Say(node, fetch))

    def on_snapshot(self, sender: str, answer: msg.Snapshot) -> None:
        """Install what one member of the new epoch has, or what a majority of the old one had."""
        copying, head = self.copying, self._registers.head
        if copying is None or answer.rid != copying.told.rid:
            return
        where, told = (head.formation, head.slot), copying.told
        member = Member(sender, answer.address.store)
        new, old = told.configuration, told.previous
        installed = answer.address == _address(where, new, member) and member in new.members
        final = answer.address == _address(where, old, member) and member in old.members
        if not (installed or final):
            return
        records = self._taken(sender, copying, answer)
        if records is None:
            return
        assert self.copying is not None
        copying = self.copying
        if installed:
            self._install(copying, records, answer.floor)
        else:
            others = [each for each in copying.finals if each[0] != member]
            finals = tuple(sorted([*others, (member, records, answer.floor)]))
            self.copying = copying = replace(copying, finals=finals)
            begins = begins_generation(old, new)
            if len(finals) >= (len(old.members) if begins else old.majority):
                newest = newest_of(records for _, records, _ in finals)
                floor = reduce(Floor.raised, (floor for _, _, floor in finals), GROUND)
                state = recovered(new, newest, floor) if begins else (newest, floor)
                self._install(copying, *state)
            else:
                self._read_on()

    def _taken(self, sender: str, copying: Copying, answer: msg.Snapshot) -> Records | None:
        """Return the whole state once its last page is here; None if more is to come.

        A member's records may change between two pages if it has installed the new epoch. That does
        no harm: keys are independent, and what it has of one at any time holds all that was chosen
        before.
        """
        source = sender, answer.address
        pages, reading = dict(copying.pages), copying.reading
        before = pages.pop(source, ())
        if answer.after != (before[-1][0] if before else None):
            return None  # this page has been here already
        page = self._at_hand.filled(source, answer.records)
        if page is None:
            return None
        records, more = (*before, *page), answer.more and bool(page)
        if more:
            pages[source] = records
            reading = reading or source
        elif reading == source:
            reading = None
        self.copying = replace(
            copying, pages=tuple(sorted(pages.items())), reading=reading, tries=1
        )
        if more and reading == source:
            self._fetch(source, records)
        return None if more else records

    def _read_on(self) -> None:
        """Go on with the state of another member of which a first page is here."""
        copying = self.copying
        if copying is None or copying.reading is not None or not copying.pages:
            return
        source, records = copying.pages[0]
        self.copying = replace(copying, reading=source)
        self._fetch(source, records)

    def _install(
        self, copying: Copying, records: Iterable[tuple[bytes, Record]], floor: Floor
    ) -> None:
        told = copying.told
        self.copying = None
        self._at_hand.forget()
        self._registers.install(told.configuration, records, floor)
        self._effects.append(Say(copying.leader, msg.Installed(told.address, told.rid)))


def recovered(
    new: Configuration, records: Iterable[tuple[bytes, Record]], floor: Floor
) -> tuple[Records, Floor]:
    """Return the state with which a generation begins, from all that is left.

    Every ballot is new, below those that will be made in the generation; every version is above
    those of earlier generations, of which some may have been lost. The same at every member.
    """
    count = recoveries(new.generation)
    ballot = Ballot(new.epoch, 0, "", 0)
    state = tuple(
        (key, Record(ballot, ballot, record.content.recovered(count)))
        for key, record in records
        if record.content.version
    )
    return state, Floor(floor.promised, max(floor.version, count << VERSION_BITS))


def newest_of(
    states: Iterable[Iterable[tuple[bytes, Record]]],
) -> tuple[tuple[bytes, Record], ...]:
    """Return for each key the record with the highest accepted ballot."""
    newest: dict[bytes, Record] = {}
    for records in states:
        for key, record in records:
            if key not in newest or record.accepted > newest[key].accepted:
                newest[key] = record
    return tuple(sorted(newest.items()))


AT_LEADER: dict[type, Callable[[Any, str, Any], None]] = {
    msg.ChangePromised: Change.on_change_promised,
    msg.ChangeAccepted: Change.on_change_accepted,
    msg.Installed: Change.on_installed,
    msg.Outrun: Change.on_outrun,
    msg.Refused: Change.on_refused,
}
"""What the leader of a change does with each answer."""
