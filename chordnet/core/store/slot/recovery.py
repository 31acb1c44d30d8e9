"""The recovery of a slot that has lost its majority for good, out of what is left of it.

Whatever the lost majority confirmed without those that are left is gone. So it is done only when
people order it, never by itself. It begins a new *generation* of the slot::

    INQUIRE --> PROMISE --> ACCEPT --> INSTALL --> OVER
       ^           |          |
       +-----------+----------+  somebody else was faster, or somebody does not answer any more

1. *What is left.* All nodes that may have something of the slot say what that is. Of the disks that
   answer, those in the last epoch are what is left. **What an earlier epoch has counts for
   nothing**: all that was ever confirmed in it was installed by every member of the later one, and
   what is missing there was deleted.
2. *One at a time.* A recovery has a number, that of its generation, which nobody else ever draws.
   Each disk that is left promises not to accept an earlier one. **Only a recovery that all disks
   that are left have accepted takes place.** Who finds in the promises that another one may have,
   goes on with that one. So two people who see the same disks come to the same result.
3. *Sealed.* To accept a recovery is to be sealed. The state of the new generation is, for each
   key, the record with the highest ballot among **all** disks that are left, not a majority of
   them: what was confirmed may be on one only.
4. *New numbers.* All records begin with a ballot of the new generation, and every version grows
   above all those of earlier generations (:func:`chordnet.core.store.slot.reconfigure.recovered`).

Two people on two sides of a partition see different disks, so both recoveries may take place. They
have different generations, since the numbers differ. The later one wins: a member of an earlier
generation steps down as soon as it hears of it, and what was written there meanwhile is lost. So
does a member that was taken for lost and comes back.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.configurations import (
    MOST_RECOVERIES,
    Configuration,
    Member,
    Recovery,
    next_generation,
    recoveries,
)
from chordnet.core.store.base.effects import Effect, Say
from chordnet.core.store.base.messages import Address
from chordnet.core.store.base.outcomes import Fate, Salvage


class Stage(enum.IntEnum):
    """How far a recovery has come."""

    INQUIRE = enum.auto()
    PROMISE = enum.auto()
    ACCEPT = enum.auto()
    INSTALL = enum.auto()
    """It takes place: its members are to be told."""
    OVERTAKEN = enum.auto()
    """Begin again, after a pause."""
    OVER = enum.auto()


class Findings(msgspec.Struct, frozen=True):
    """All that the coordinator of a recovery knows."""

    known: Configuration
    """The newest that it knew of when it began."""
    before: Configuration | None = None
    """The one before, if that one may not serve."""
    stage: Stage = Stage.INQUIRE
    generation: int = 0
    """Its number."""
    asked: tuple[str, ...] = ()
    heard: tuple[tuple[str, msg.Inquired], ...] = ()
    """What nodes have, in their order."""
    recovery: Recovery | None = None
    """What is to be accepted."""
    accepted: tuple[Member, ...] = ()
    fate: Fate | None = None
    """How it ended, before anything was done."""

    @property
    def silent(self) -> tuple[str, ...]:
        """The nodes that have not answered the question of this stage."""
        if self.stage == Stage.ACCEPT and self.recovery is not None:
            left = self.recovery.left.members
            return tuple(each.node for each in left if each not in self.accepted)
        heard = dict(self.heard)
        return tuple(node for node in self.asked if node not in heard)


class Recovering:
    """The recovery of one slot, at its coordinator.

    :param rid: this node's number for it.
    :param where: formation and slot.
    :param replicas: how many members the slot should have.
    :param draw: returns a number at random.
    :param fits: returns True if this disk may get a seat.
    :param clockwise: returns nodes in the order in which they should get one.
    """

    def __init__(
        self,
        rid: int,
        where: tuple[bytes, int],
        effects: list[Effect],
        findings: Findings,
        replicas: int,
        draw: Callable[[], int],
        fits: Callable[[Member], bool],
        clockwise: Callable[[Iterable[str]], list[str]],
    ) -> None:
        self.rid = rid
        self.findings = findings
        self._where = where
        self._effects = effects
        self._replicas = replicas
        self._draw = draw
        self._fits = fits
        self._clockwise = clockwise

    # ---- what is there ----------------------------------------------------------------------

    def inquire(self, nodes: Iterable[str]) -> None:
        """Ask what nodes have, and the members that are known; nothing is promised yet."""
        now = self.findings
        known = (now.known.members, () if now.before is None else now.before.members)
        members = [each.node for each in (*known[0], *known[1])]
        asked = tuple(sorted({*now.asked, *nodes, *members}))
        self.findings = replace(
            now, stage=Stage.INQUIRE, asked=asked, heard=(), recovery=None, accepted=()
        )
        self.remind()

    def promise(self) -> bool:
        """Ask for promises, with a new number; return False if there are no more numbers."""
        now = self.findings
        seen = max(
            now.generation,
            now.known.generation,
            *(max(a.recovering, a.newest.generation) for _, a in now.heard),
        )
        if recoveries(seen) + 1 >= MOST_RECOVERIES:
            return False
        generation = next_generation(seen, self._draw())
        self.findings = replace(now, stage=Stage.PROMISE, generation=generation, heard=())
        self.remind()
        return True

    def on_inquired(self, sender: str, answer: msg.Inquired) -> None:
        """Take what a node has; ask the members that it names, too."""
        now = self.findings
        if now.stage not in (Stage.INQUIRE, Stage.PROMISE) or sender not in now.asked:
            return
        if now.stage == Stage.PROMISE and answer.recovering > now.generation:
            self.findings = replace(now, stage=Stage.OVERTAKEN, heard=((sender, answer),))
            return
        if now.stage == Stage.PROMISE and not self._has_promised(answer):
            return
        others = [each for each in now.heard if each[0] != sender]
        heard = tuple(sorted([*others, (sender, answer)], key=lambda each: each[0]))
        more = {each.node for each in (*answer.newest.members, *answer.configuration.members)}
        new = tuple(sorted(more - set(now.asked)))
        asked = tuple(sorted((*now.asked, *new)))
        self.findings = replace(now, heard=heard, asked=asked)
        if new:
            self._inquire_at(new)

    def _has_promised(self, answer: msg.Inquired) -> bool:
        """Return True unless this is the answer to a question without a promise.

        Who has nothing of the slot promises nothing, and need not.
        """
        return answer.recovering == self.findings.generation or not answer.configuration.epoch

    def weigh(self) -> None:
        """Decide what to do, by what was heard until now."""
        now = self.findings
        newest = self._newest()
        chosen = self._recovery_to(newest)
        if self._goes_on(newest):
            if chosen is not None and not any(self._has(m, newest) for m in newest.members):
                self._take_place(chosen)
            else:
                self._over(Fate.HAS_MAJORITY)
            return
        if now.stage == Stage.INQUIRE:
            return
        left = self._left(newest)
        members = self._members(left)
        recovery = Recovery(Configuration(now.generation, left.epoch + 1, members), left)
        if not members:
            self._over(Fate.NOBODY)
        elif not left.members:
            self._take_place(recovery)
        else:
            self.findings = replace(now, stage=Stage.ACCEPT, recovery=recovery, accepted=())
            self.remind()

    def salvage(self, fate: Fate) -> Salvage:
        """Return what is left of the slot."""
        newest = self._newest()
        left = self._left(newest)
        live = [each for each in newest.members if self._lives(each)]
        answers = [answer for node, answer in self.findings.heard if node in _names(left)]
        return Salvage(
            self._where[1],
            fate,
            newest,
            tuple(each.node for each in newest.members if each not in live),
            _names(left),
            max(0, newest.epoch - left.epoch),
            max((each.keys for each in answers), default=0),
            max((each.written for each in answers), default=0.0),
        )

    def _over(self, fate: Fate) -> None:
        self.findings = replace(self.findings, stage=Stage.OVER, fate=fate)

    def _take_place(self, recovery: Recovery) -> None:
        self.findings = replace(self.findings, stage=Stage.INSTALL, recovery=recovery)

    # ---- what was heard ---------------------------------------------------------------------

    def _newest(self) -> Configuration:
        """Return the newest configuration that is, or may be, chosen."""
        found = [self.findings.known, *(self._real(a) for _, a in self.findings.heard)]
        return max(found, key=_age)

    def _real(self, answer: msg.Inquired) -> Configuration:
        recovery = answer.recovery
        if recovery is None or recovery.configuration != answer.newest:
            return answer.newest
        return answer.configuration if self._is_off(recovery) else answer.newest

    def _is_off(self, recovery: Recovery) -> bool:
        """Return True if a recovery can never take place: not all have accepted it, or ever will.

        That is certain only of those that have promised not to.
        """
        if self.findings.stage != Stage.PROMISE:
            return False
        heard = dict(self.findings.heard)
        without = [
            each
            for each in recovery.left.members
            if self._has(each, recovery.left) and heard[each.node].recovery != recovery
        ]
        installed = any(
            answer.configuration.generation >= recovery.configuration.generation
            for answer in heard.values()
        )
        return bool(without) and not installed

    def _recovery_to(self, newest: Configuration) -> Recovery | None:
        found = (answer.recovery for _, answer in self.findings.heard)
        return next((r for r in found if r is not None and r.configuration == newest), None)

    def _lives(self, member: Member) -> bool:
        answer = dict(self.findings.heard).get(member.node)
        return answer is not None and answer.store == member.store

    def _has(self, member: Member, configuration: Configuration) -> bool:
        """Return True if a disk has what it installed of this configuration."""
        answer = dict(self.findings.heard).get(member.node)
        return (
            answer is not None
            and self._lives(member)
            and _age(answer.configuration) == _age(configuration)
            and not answer.emptied
        )

    def _goes_on(self, newest: Configuration) -> bool:
        """Return True if the slot serves, or will without anybody's help."""
        live = [each for each in newest.members if self._lives(each)]
        if not newest.is_majority(live):
            return False
        if any(self._has(each, newest) for each in live):
            return True
        chosen = self._recovery_to(newest)
        if chosen is not None:
            heard, left = dict(self.findings.heard), chosen.left
            return all(
                self._has(each, left) and heard[each.node].recovery == chosen
                for each in left.members
            )
        installed = [answer.configuration for _, answer in self.findings.heard]
        found = (each for each in installed if each.generation == newest.generation)
        before = next((each for each in found if each.epoch + 1 == newest.epoch), None)
        if before is None:
            return False
        return before.is_majority(each for each in before.members if self._has(each, before))

    def _left(self, newest: Configuration) -> Configuration:
        """Return what is left: the last configuration of any disk, with those members only."""
        found = [
            (answer.configuration, Member(node, answer.store))
            for node, answer in self.findings.heard
            if not answer.emptied
        ]
        held = [(each, member) for each, member in found if member in each.members]
        if not held:
            return Configuration(newest.generation, newest.epoch, ())
        last = max((each for each, _ in held), key=_age)
        disks = sorted(member for each, member in held if _age(each) == _age(last))
        return Configuration(last.generation, last.epoch, tuple(disks))

    def _members(self, left: Configuration) -> tuple[Member, ...]:
        """Return who gets the seats: who has the data first, then the proper nodes."""
        stay = [each for each in left.members if self._fits(each)][: self._replicas]
        disks = {node: Member(node, answer.store) for node, answer in self.findings.heard}
        others = [disks[node] for node in self._clockwise(disks) if disks[node] not in stay]
        others = [each for each in others if self._fits(each)]
        found = [*stay, *others][: self._replicas] or list(left.members)
        return tuple(sorted(found))

    # ---- acceptance -------------------------------------------------------------------------

    def on_accepted(self, sender: str, answer: msg.RecoverAccepted) -> None:
        """Count who has accepted; with all the recovery takes place."""
        now, member = self.findings, Member(sender, answer.address.store)
        recovery = now.recovery
        if now.stage != Stage.ACCEPT or recovery is None or member not in recovery.left.members:
            return
        if answer.address != self._address(recovery.left, member):
            return
        accepted = tuple(sorted({*now.accepted, member}))
        self.findings = now = replace(now, accepted=accepted)
        if accepted == recovery.left.members:
            self._take_place(recovery)

    def on_refused(self, sender: str, answer: msg.Refused) -> None:
        """Begin again: another recovery was faster, or the disk has moved on."""
        now, member = self.findings, Member(sender, answer.address.store)
        recovery = now.recovery
        if now.stage == Stage.ACCEPT and recovery is not None and member in recovery.left.members:
            self.findings = replace(now, stage=Stage.OVERTAKEN)

    # ---- asking -----------------------------------------------------------------------------

    def remind(self) -> None:
        """Ask those that have not answered."""
        now = self.findings
        if now.stage in (Stage.INQUIRE, Stage.PROMISE):
            self._inquire_at(now.silent)
        elif now.stage == Stage.ACCEPT and now.recovery is not None:
            for member in now.recovery.left.members:
                if member not in now.accepted:
                    to = self._address(now.recovery.left, member)
                    self._say(member.node, msg.Recover(to, self.rid, now.recovery))

    def _inquire_at(self, nodes: Iterable[str]) -> None:
        now = self.findings
        generation = now.generation if now.stage == Stage.PROMISE else 0
        to = Address(*self._where, 0, 0, 0)
        for node in nodes:
            self._say(node, msg.Inquire(to, self.rid, generation))

    def _say(self, to: str, message: msg.Request) -> None:
        self._effects.append(Say(to, message))

    def _address(self, left: Configuration, member: Member) -> Address:
        return Address(*self._where, left.generation, left.epoch, member.store)


def _age(configuration: Configuration) -> tuple[int, int]:
    return configuration.generation, configuration.epoch


def _names(configuration: Configuration) -> tuple[str, ...]:
    return tuple(each.node for each in configuration.members)


AT_RECOVERY: dict[type, Callable[[Any, str, Any], None]] = {
    msg.Inquired: Recovering.on_inquired,
    msg.RecoverAccepted: Recovering.on_accepted,
    msg.Refused: Recovering.on_refused,
}
"""What a recovery does with each answer."""
