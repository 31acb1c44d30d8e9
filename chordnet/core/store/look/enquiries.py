"""Questions about members, as people and programs that look after nodes ask them.

Two things can be asked: what each member of a key's slot has of the key, and which slots would be
without a majority if this node stopped. Both are found out by what a coordinator asks as well, a
read of a key at each member: whoever answers it has installed the slot's newest configuration, is
not sealed, and can be reached. Nothing is changed by it, and nobody else asks in this way, so a
member cannot tell such a question from a read.

A node that is about to stop says so to the members that hold slots with it. Two of them that stop
at the same time, like those of a whole network, do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE
from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.effects import Effect, Say
from chordnet.core.store.base.messages import Address
from chordnet.core.store.base.outcomes import Inspected, MemberSeen, Report, SlotSeen, Standing

ANY_KEY = b"\0"
"""Which key is read does not matter where only the answer does."""
MOST_ENQUIRIES = 16
"""Of one node under way; a further one is refused by whoever passes it on."""
LEAVES_S = 60.0
"""A node that said it was about to stop counts as leaving for so long, unless it is heard from."""
LAST_WORDS_S = 2.0
"""What a node says so soon afterwards it may say while it leaves. It repeats that it leaves."""
MOST_LEAVING = 4096

Seat = tuple[int, Member]


@attrs.define
class Enquiry:
    """One question, to many members."""

    op: int
    began: float
    questions: dict[Seat, msg.Read]
    make: Callable[[Enquiry], Report]
    answers: dict[Seat, MemberSeen] = attrs.field(factory=dict)

    @property
    def over(self) -> bool:
        """Whether nobody is left to wait for."""
        return len(self.answers) == len(self.questions)


class Enquiries:
    """The questions about members that are under way at one node.

    :param formation: the formation's id.
    :param effects: where what is said goes.
    :param ended: called with the client's number and the report when one is over.
    :param now: returns the time.
    :param heard: returns when a node was heard from last.
    """

    def __init__(
        self,
        me: Member,
        formation: bytes,
        effects: list[Effect],
        ended: Callable[[int, Report], None],
        now: Callable[[], float],
        heard: Callable[[str], float],
    ) -> None:
        self._me = me
        self._formation = formation
        self._effects = effects
        self._ended = ended
        self._now = now
        self._heard = heard
        self.ongoing: dict[int, Enquiry] = {}
        self._leaving: dict[str, float] = {}
        """Nodes that are about to stop -> when they said so last."""

    # ---- asking -----------------------------------------------------------------------------

    def inspect(self, rid: int, op: int, key: bytes, slot: int, listed: Configuration) -> None:
        """Ask each member of a slot what it has of a key.

        :param rid: names this question.
        """

        def report(enquiry: Enquiry) -> Report:
            seen = (enquiry.answers.get((slot, each), _silent(each)) for each in listed.members)
            return Inspected(slot, listed, tuple(seen))

        self._begin(rid, op, [(slot, listed)], listed.members, key, report)

    def may_stop(self, rid: int, op: int, seats: Iterable[tuple[int, Configuration]]) -> None:
        """Ask the other members of these slots if they answer."""
        held = list(seats)
        others = {each for _slot, present in held for each in present.members} - {self._me}

        def report(enquiry: Enquiry) -> Report:
            return Standing(tuple(self._slot(enquiry, *each) for each in held))

        self._begin(rid, op, held, others, ANY_KEY, report)

    def _slot(self, enquiry: Enquiry, slot: int, present: Configuration) -> SlotSeen:
        others = [each for each in present.members if each != self._me]
        answers = enquiry.answers
        leaving = tuple(each for each in others if self.leaves(each.node))
        answering = tuple(
            each
            for each in others
            if each not in leaving and (slot, each) in answers and answers[slot, each].tells
        )
        return SlotSeen(slot, present, answering, leaving)

    def _begin(
        self,
        rid: int,
        op: int,
        slots: Iterable[tuple[int, Configuration]],
        asked: Iterable[Member],
        key: bytes,
        make: Callable[[Enquiry], Report],
    ) -> None:
        whom = set(asked)
        questions = {
            (slot, member): msg.Read(self._address(slot, present, member), rid, key)
            for slot, present in slots
            for member in present.members
            if member in whom
        }
        self.ongoing[rid] = enquiry = Enquiry(op, self._now(), questions, make)
        self._effects += [Say(member.node, read) for (_, member), read in questions.items()]
        self._look_on(rid, enquiry)

    def _address(self, slot: int, present: Configuration, member: Member) -> Address:
        return Address(self._formation, slot, present.generation, present.epoch, member.store)

    # ---- what comes back --------------------------------------------------------------------

    def on_answer(self, sender: str, answer: msg.StoreMessage) -> None:
        """Take an answer to one of these questions; any other is none of them."""
        enquiry = self.ongoing.get(answer.rid)
        seat = answer.address.slot, Member(sender, answer.address.store)
        if enquiry is None or seat in enquiry.answers or seat not in enquiry.questions:
            return
        if answer.address != enquiry.questions[seat].address:
            return
        after = self._now() - enquiry.began
        if isinstance(answer, msg.Told):
            seen = MemberSeen(
                seat[1], after, None, answer.accepted, answer.content, answer.left_out
            )
        elif isinstance(answer, msg.Refused):
            seen = MemberSeen(seat[1], after, answer.why, NONE, None)
        else:
            return
        enquiry.answers[seat] = seen
        self._look_on(answer.rid, enquiry)

    def lost(self, node: str) -> None:
        """Wait no more for a node that cannot be reached."""
        for rid, enquiry in list(self.ongoing.items()):
            for seat in enquiry.questions:
                if seat[1].node == node and seat not in enquiry.answers:
                    enquiry.answers[seat] = _silent(seat[1])
            self._look_on(rid, enquiry)

    def expire(self, rid: int) -> None:
        """Report what has been answered so far."""
        enquiry = self.ongoing.pop(rid, None)
        if enquiry is not None:
            self._ended(enquiry.op, enquiry.make(enquiry))

    def close(self) -> None:
        """End all of them: this node leaves the formation."""
        for rid in list(self.ongoing):
            self.expire(rid)

    def _look_on(self, rid: int, enquiry: Enquiry) -> None:
        if enquiry.over:
            self.expire(rid)

    # ---- who leaves -------------------------------------------------------------------------

    def on_leaving(self, node: str) -> None:
        """Note that a node is about to stop."""
        self._leaving.pop(node, None)
        if len(self._leaving) >= MOST_LEAVING:
            del self._leaving[next(iter(self._leaving))]
        self._leaving[node] = self._now()

    def leaves(self, node: str) -> bool:
        """Return True if a node is about to stop or has done so, and has not come back."""
        said = self._leaving.get(node)
        if said is None or self._now() >= said + LEAVES_S:
            return False
        return self._heard(node) <= said + LAST_WORDS_S


def _silent(member: Member) -> MemberSeen:
    return MemberSeen(member, None, None, NONE, None)
