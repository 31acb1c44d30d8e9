"""One operation on one key: the coordinator's side, at whichever node was asked.

A read asks all members what they have accepted. **If a majority of members that are not sealed
names the same ballot of the present epoch, that is the key's state** (to have no record is a
ballot, too). Otherwise the reader promises and accepts what it found, and only then tells of it:
otherwise the next reader, with another majority, might be told something older.

**A ballot of an earlier epoch proves nothing, even if a majority names it.** Each member may have
installed the epoch from another majority of the one before. So what one member had accepted there
may be at two of them now, and what another had accepted, with a higher ballot and without knowing
of the first, at the third. Whoever asks that one finds the other content.

A write asks for promises, takes the content with the highest ballot among a majority as its base,
and has what follows from it accepted. It ends, and says exactly how:

- *Done*: a majority has it on disk.
- *Conflict*: the base has another version than the write is meant for. This tells of a state, so it
  is confirmed like a read.
- *Unconfirmed*: time ran out after an accept was sent. It may happen later.
- *Unavailable*: time ran out, or a majority cannot be had, before any accept of this write was
  sent. So it never happens.
- *Untold*: it was asked for again, and the key's record does not reach back far enough to tell
  whether it had been done. Nothing is done.

**What was sent once may still lie at a single member.** After the first accept of a write, whatever
ends it without doing it (a conflict, untold) is written at the operation's own ballot first, even
if a majority named the same ballot: only what has a higher ballot keeps the old accept from being
found, and carried on, by a later coordinator. For the same reason ``since``, from which on the list
of requests has to be complete, is the lowest base of any attempt, not the last one.

**Expiry is a write.** Members say with their promises what time it is. What has expired by most of
these clocks is buried, with a tombstone of a version of its own, before anything else is done or
told. So one wrong clock ends no lease early, and clocks order nothing.

**A key without a version begins above the highest floor of a majority**: an earlier record of it
may have been dropped, and no version is made twice. Which requests made the versions up to there,
nobody knows any more. So ``since`` counts from the floor, too, and a write that may have been done
below it cannot be told.
**One round.** With the accept of a write the coordinator asks for the promise of a *following*
ballot, unless it was another node that wrote the key last. If a majority gives it together with the
acceptance, phase 1 of the next write of this key is done: that majority has accepted nothing else
below the following ballot. So the next write is to be accepted under it immediately, once, in the
same epoch, if what was accepted lets it be written. Whatever else there is to say (a conflict, a
write that was asked for before, something that may expire) takes both rounds, for others may have
been faster meanwhile. If they were, this write is tried again in two rounds. A member that has
refused a ballot never takes it. So if *all* members have, nothing of it is left anywhere, and it is
as if it had not been sent. That matters: the others may have written more often than a record
remembers, and then it could not be told any more whether this write is done.

**New keys.** A coordinator may have a ballot promised for all keys of a slot of which a majority
has no record (:mod:`chordnet.core.store.slot.reserving`). Each of these keys may be written in one
round under that ballot, once.

An answer counts only if it is from the epoch and for the ballot of the present attempt. A member
that says that the slot has moved is believed, and the operation goes on there, with a new ballot.
When others were faster, or the slot is about to move, the operation asks to ``Wait``: who runs it
calls ``again`` after a pause, or ``moved``.
Time is not known here; ``expire`` is called when the operation's deadline has passed.

::

    READ ----------> ENDED
      |               ^
      v               |
    PREPARE <-> WAIT  |     every phase but ENDED: moved -> the first phase, in the later epoch
      |          ^    |                             expire -> ENDED
      v          |    |
    ACCEPT ------+----+

Sources: Attiya, Bar-Noy, Dolev, "Sharing memory robustly" (1995) for the reader that writes back;
CASPaxos (Rystsov, arXiv:1802.07000) for changing a register in two phases without a log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot, Ballots
from chordnet.core.store.base.configurations import Configuration, Following, Member
from chordnet.core.store.base.effects import Effect, Ended, Follows, Large, Say, Wait
from chordnet.core.store.base.messages import Address, Why
from chordnet.core.store.base.outcomes import (
    Conflict,
    Done,
    Found,
    Outcome,
    Unavailable,
    Unconfirmed,
    Untold,
)
from chordnet.core.store.base.records import Content
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.slot.attempts import Attempt, Heard, Phase

ALL = StoreSafeguards()
PASSING = frozenset({Why.SEALED, Why.NOT_INSTALLED, Why.RETURNED})
"""Reasons of members that will answer soon, in this epoch or in the next."""


class Operation:
    """One operation of this node's.

    :param rid: this node's number for it.
    :param attempt: how far it has come; that of :meth:`at_first` to begin with.
    """

    def __init__(
        self,
        rid: int,
        asked: Get | Put,
        where: tuple[bytes, int],
        ballots: Ballots,
        effects: list[Effect],
        attempt: Attempt,
        safeguards: StoreSafeguards = ALL,
        wall: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._wall = wall
        self.rid = rid
        self.asked = asked
        self.attempt = attempt
        self._where = where
        self._ballots = ballots
        self._effects = effects
        self._safeguards = safeguards

    @staticmethod
    def at_first(
        asked: Get | Put,
        configuration: Configuration,
        spare: tuple[Member, ...] = (),
        ahead: Following | None = None,
        *,
        lasting: bool = False,
        above: Ballot = NONE,
    ) -> Attempt:
        """Return the state of an operation that has not begun; ``configuration`` may be old.

        :param spare: members that need not be asked for promises or contents as long as the others,
            a majority, answer.
        :param ahead: what was promised for the next write of the key; it is not used again, so only
            where :func:`follows` says that it can be used.
        :param lasting: whether to have the next write of the key promised, too.
        :param above: its ballots are to be above this one.
        """
        since = asked.since if isinstance(asked, Put) else None
        return Attempt(
            configuration,
            Phase.WAIT,
            highest=above,
            since=since,
            spare=spare,
            lasting=lasting,
            ahead=ahead,
        )

    def begin(self) -> None:
        """Ask the members, for the first time or in a later epoch."""
        attempt, asked = self.attempt, self.asked
        if isinstance(asked, Put):
            if attempt.ahead is None:
                self._prepare()
            else:
                ballot = attempt.ahead.ballot
                self.attempt = replace(
                    attempt, ballot=ballot, highest=ballot, spare=(), ahead=None, hasty=True
                )
                self._write(asked, attempt.ahead.base, attempt.ahead.floor)
            return
        if asked.anew:
            self._prepare()
            return
        self.attempt = Attempt(
            attempt.configuration,
            Phase.READ,
            highest=attempt.highest,
            since=attempt.since,
            spare=attempt.spare,
            lasting=attempt.lasting,
        )
        self.remind()

    def again(self) -> None:
        """Try again with a higher ballot, after a pause."""
        if self.attempt.phase != Phase.ENDED:
            self._prepare()

    def expire(self) -> None:
        """End: the deadline has passed."""
        if self.attempt.phase != Phase.ENDED:
            self._give_up()

    def moved(self, configuration: Configuration) -> None:
        """Go on in a later configuration, if this is one."""
        if self.attempt.phase == Phase.ENDED:
            return
        if not configuration.follows(self.attempt.configuration):
            return
        if self.attempt.hasty:
            self.attempt = replace(self.attempt, newest=configuration)
        else:
            if configuration.generation != self.attempt.configuration.generation:
                # Its ballots count anew; one of an older epoch would hide them.
                self.attempt = replace(self.attempt, highest=NONE)
            self.attempt = replace(self.attempt, configuration=configuration, spare=(), ahead=None)
            self.begin()

    def unreachable(self, member: Member) -> None:
        """Count a member as silent: it cannot be reached, or is known to be dead."""
        attempt = self.attempt
        known = member in attempt.silent or member not in attempt.configuration.members
        if known or attempt.phase in (Phase.WAIT, Phase.ENDED):
            return
        self.attempt = replace(attempt, silent=tuple(sorted((*attempt.silent, member))))
        self._look_on()

    # ---- the phases -------------------------------------------------------------------------

    def _prepare(self) -> None:
        attempt = self.attempt
        ballot = self._ballots.above(attempt.highest, attempt.configuration.epoch)
        self.attempt = Attempt(
            attempt.configuration,
            Phase.PREPARE,
            ballot,
            highest=ballot,
            since=attempt.since,
            spare=attempt.spare,
            lasting=attempt.lasting,
        )
        self.remind()

    def on_told(self, sender: str, answer: msg.Told) -> None:
        """Take the answer to a read."""
        member = self._counts(sender, answer.address, Phase.READ)
        if member is None:
            return
        left_out = answer.left_out
        self._hear(Heard(member, answer.accepted, answer.content, left_out=left_out))
        agreed, lacking = self._found()
        if agreed is not None and not lacking:
            self._end(Found(agreed))
        elif len(self.attempt.heard) >= self.attempt.configuration.majority:
            if self.attempt.left_out:
                if agreed is None or not self.attempt.fetches:
                    self._effects.append(Large(self.rid, self.attempt.left_out))
            elif self._safeguards.second_phase:
                self._prepare()
            else:
                self._end(Found(self.attempt.base))

    def _found(self) -> tuple[Content | None, list[Member]]:
        """Return what a majority has accepted, and who has its value if that was left out."""
        agreed = self.attempt.agreed(own_epoch=self._safeguards.own_epoch)
        expires = None if agreed is None else agreed.expires
        if agreed is None or (expires is not None and self._wall() >= expires):
            return None, []
        heard = self.attempt.heard
        ballot = next(each.accepted for each in heard if each.content is agreed)
        same = [each for each in heard if each.accepted == ballot]
        if any(not each.left_out for each in same):
            return agreed, []
        return agreed, [each.member for each in same]

    def go_on(self) -> None:
        """Have a value sent that was left out of the answers, or go on to the second phase.

        Another member is asked each time.
        """
        attempt = self.attempt
        if attempt.phase != Phase.READ or len(attempt.heard) < attempt.configuration.majority:
            return
        agreed, lacking = self._found()
        if agreed is None:
            self._prepare()
        elif lacking:
            member = lacking[(self.rid + attempt.fetches) % len(lacking)]
            self.attempt = replace(attempt, fetches=attempt.fetches + 1)
            read = msg.Read(
                self.attempt.address(self._where, member), self.rid, self.asked.key, whole=True
            )
            self._effects.append(Say(member.node, read))

    def on_promised(self, sender: str, answer: msg.Promised) -> None:
        """Take a promise; with those of a majority go on."""
        member = self._counts(sender, answer.address, Phase.PREPARE, answer.ballot)
        if member is None:
            return
        self._hear(Heard(member, answer.accepted, answer.content, answer.floor, answer.wall))
        if len(self.attempt.heard) >= self.attempt.configuration.majority:
            self._decide(self.attempt.base, max(each.floor for each in self.attempt.heard))

    def _decide(self, base: Content, floor: int) -> None:
        """Go on from what a majority had accepted."""
        asked, since = self.asked, self.attempt.since
        # A key with a version goes on from there; what was dropped of other keys is not its own.
        floor = 0 if base.version else floor
        if self.attempt.has_expired(base, most_clocks=self._safeguards.most_clocks):
            self._settle(base.buried(floor), None)
            return
        confirmed = self.attempt.agreed(own_epoch=self._safeguards.own_epoch) is not None
        if isinstance(asked, Get):
            self._settle(base, Found(base), told=confirmed and not asked.anew)
            return
        version = base.version_of(asked.request)
        if version is not None:
            self._settle(base, self.attempt.receipt(self._where, version))
        elif since is not None and not base.reaches_back(since, floor):
            self._settle(base, Untold())
        elif not asked.fits(base):
            if since is not None and self._safeguards.written_conflict:
                confirmed = False
            self._settle(base, Conflict(base), told=confirmed)
        else:
            last = max(each.accepted for each in self.attempt.heard)
            if last != NONE and last.node != self._ballots.node:
                # Other nodes write this key as well: a promise would only be in their way.
                self.attempt = replace(self.attempt, lasting=False)
            self._write(asked, base, floor)

    def _write(self, asked: Put, base: Content, floor: int) -> None:
        content = base.written(asked.value, asked.request, expires=asked.expires, floor=floor)
        since, least = self.attempt.since, max(base.version, floor)
        since = least if since is None else min(since, least)
        self.attempt = replace(self.attempt, since=since)
        self._settle(content, self.attempt.receipt(self._where, content.version))

    def _settle(self, content: Content, then: Outcome | None, *, told: bool = False) -> None:
        """Have ``content`` accepted and end so; or go on from there, if ``then`` is None.

        :param told: it is confirmed already.
        """
        if told and then is not None:
            self._end(then)
            return
        ballot, following = self.attempt.ballot, NONE
        stays = content.value is not None and content.expires is None
        if self.attempt.lasting and stays and isinstance(then, Done):
            following = self._ballots.above(ballot, ballot.epoch)
        self.attempt = replace(
            self.attempt,
            phase=Phase.ACCEPT,
            heard=(),
            silent=(),
            outrun=(),
            content=content,
            then=then,
            following=following,
        )
        self.remind()

    def on_accepted(self, sender: str, answer: msg.Accepted) -> None:
        """Count who has accepted; with a majority the operation is over."""
        member = self._counts(sender, answer.address, Phase.ACCEPT, answer.ballot)
        attempt = self.attempt
        if member is None or member in attempt.acknowledged:
            return
        acknowledged = tuple(sorted((*attempt.acknowledged, member)))
        promised = attempt.promised
        if answer.following == attempt.following != NONE:
            promised = (*promised, member)
        self.attempt = attempt = replace(attempt, acknowledged=acknowledged, promised=promised)
        if len(acknowledged) < attempt.configuration.majority:
            return
        then = attempt.then
        if then is None:
            self._prepare()
        else:
            if attempt.content is not None and len(promised) >= attempt.configuration.majority:
                base = replace(attempt.content, value=b"")
                following = Following(attempt.configuration, attempt.following, base)
                self._effects.append(Follows(self.rid, following))
            self._end(
                self.attempt.receipt(self._where, then.version) if isinstance(then, Done) else then
            )

    def on_outrun(self, sender: str, answer: msg.Outrun) -> None:
        """Take note that another coordinator was faster at one member."""
        attempt = self.attempt
        member = self._counts(sender, answer.address, attempt.phase, answer.ballot)
        if member is None or member in attempt.outrun:
            return
        self.attempt = replace(
            attempt,
            outrun=tuple(sorted((*attempt.outrun, member))),
            highest=max(attempt.highest, answer.promised),
        )
        self._look_on()

    def on_refused(self, sender: str, answer: msg.Refused) -> None:
        """Follow the slot where it has moved, or wait until it has; or do without this member."""
        attempt = self.attempt
        member = self._counts(sender, answer.address, attempt.phase)
        if member is None:
            return
        ours = answer.formation == self._where[0] and answer.why != Why.SLOT
        later = answer.newest if ours and answer.newest.follows(attempt.configuration) else None
        if attempt.hasty and answer.why in (Why.NOT_INSTALLED, Why.RETURNED):
            self.attempt = attempt = replace(attempt, hasty=False)  # it may take it later
        if attempt.hasty:
            outrun = tuple(sorted({*attempt.outrun, member}))
            newest = attempt.newest if later is None else later
            self.attempt = replace(attempt, outrun=outrun, newest=newest)
            self._look_on()
        elif later is not None:
            self.moved(later)
        elif answer.why not in PASSING:
            self.unreachable(member)
        elif member not in attempt.outrun:
            self.attempt = replace(attempt, outrun=tuple(sorted((*attempt.outrun, member))))
            self._look_on()

    # ---- what answers amount to -------------------------------------------------------------

    def _counts(
        self, sender: str, address: Address, phase: Phase, ballot: Ballot | None = None
    ) -> Member | None:
        """Return the member whose answer this is; None if it is not to the present question."""
        attempt = self.attempt
        configuration = attempt.configuration
        if attempt.phase != phase or phase in (Phase.WAIT, Phase.ENDED):
            return None
        if ballot is not None and ballot != attempt.ballot:
            return None
        member = Member(sender, address.store)
        asked = (
            self.attempt.address(self._where, member) == address and member in configuration.members
        )
        return member if asked else None

    def _hear(self, heard: Heard) -> None:
        others = [each for each in self.attempt.heard if each.member != heard.member]
        self.attempt = replace(
            self.attempt,
            heard=tuple(sorted((*others, heard))),
            highest=max(self.attempt.highest, heard.accepted),
        )

    def ask_spare(self) -> None:
        """Ask the members that were spared, because one of the others does not do."""
        spare = self.attempt.spare
        if spare:
            self.attempt = replace(self.attempt, spare=())
            self.remind(spare)

    def _look_on(self) -> None:
        """Wait, or give up, if what is still to come can be no majority."""
        self.ask_spare()
        if self.attempt.hasty:
            settled = self.attempt.settled
            if settled is None:
                return
            self.attempt = settled
        attempt = self.attempt
        if attempt.newest is not None and attempt.newest.follows(attempt.configuration):
            self.moved(attempt.newest)
            return
        members = len(attempt.configuration.members)
        majority = attempt.configuration.majority
        if members - len(attempt.silent) < majority:
            self._give_up()
        elif members - len({*attempt.silent, *attempt.outrun}) < majority:
            self.attempt = replace(attempt, phase=Phase.WAIT)
            self._effects.append(Wait(self.rid))

    # ---- ends -------------------------------------------------------------------------------

    def _give_up(self) -> None:
        attempt = self.attempt
        members = attempt.configuration.members
        if attempt.since is not None:
            self._end(Unconfirmed(attempt.since))
            return
        # This node itself answers, and may not have come to it yet.
        heard = {each for each in members if each.node == self._ballots.node}
        heard = heard.difference(attempt.silent).union(attempt.answered, attempt.outrun)
        missing = tuple(each for each in members if each not in heard)
        self._end(Unavailable(attempt.configuration.epoch, missing, len(members)))

    def _end(self, outcome: Outcome) -> None:
        configuration, since = self.attempt.configuration, self.attempt.since
        self.attempt = Attempt(configuration, Phase.ENDED, since=since)
        self._effects.append(Ended(self.rid, outcome))

    # ---- asking -----------------------------------------------------------------------------

    def remind(self, of: tuple[Member, ...] | None = None) -> None:
        """Ask the members that have not answered in the present phase, or those of ``of``."""
        refused = self.attempt.outrun or self.attempt.newest
        if self.attempt.hasty and of is None and refused:
            self.attempt = replace(self.attempt, hasty=False)
            self._look_on()
        attempt, rid, key = self.attempt, self.rid, self.asked.key
        done = attempt.answered.union(attempt.silent, attempt.outrun)
        if attempt.phase != Phase.ACCEPT:
            done = done.union(attempt.spare)
        for member in attempt.configuration.members if of is None else of:
            to = self.attempt.address(self._where, member)
            question: msg.Request
            if member in done:
                continue
            if attempt.phase == Phase.READ:
                question = msg.Read(to, rid, key)
            elif attempt.phase == Phase.PREPARE:
                question = msg.Prepare(to, rid, key, attempt.ballot)
            elif attempt.phase == Phase.ACCEPT and attempt.content is not None:
                ballot, following = attempt.ballot, attempt.following
                question = msg.Accept(to, rid, key, ballot, attempt.content, following)
            else:
                return
            self._effects.append(Say(member.node, question))


AT_OPERATION: dict[type, Callable[[Any, str, Any], None]] = {
    msg.Told: Operation.on_told,
    msg.Promised: Operation.on_promised,
    msg.Accepted: Operation.on_accepted,
    msg.Outrun: Operation.on_outrun,
    msg.Refused: Operation.on_refused,
}
"""What an operation does with each answer."""
