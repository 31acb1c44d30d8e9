"""What the tests of the store share: members, a slot's messages, and a network that is a list."""

from __future__ import annotations

from msgspec.structs import replace

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballot, Ballots
from chordnet.core.store.base.configurations import Configuration, Head, Member, blank
from chordnet.core.store.base.effects import (
    AllDropped,
    Effect,
    Ended,
    HeadKept,
    Keep,
    RecordDropped,
    Say,
)
from chordnet.core.store.base.messages import Address
from chordnet.core.store.base.records import Applied, Content, Record
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.slot.operations import Operation
from chordnet.core.store.slot.reconfigure import Change, Installation, Underway
from chordnet.core.store.slot.registers import Registers

WHERE = (b"formation", 7)
KEY = b"key"
A, B, C, D = (Member(name, 1) for name in "ABCD")
FIRST = Configuration(1, 1, (A, B, C))
SECOND = Configuration(1, 2, (A, B, D))


def ballot(counter: int, node: str = "A", epoch: int = 1) -> Ballot:
    return Ballot(epoch, counter, node, 1)


def content(version: int, value: bytes | None = b"value") -> Content:
    requests = tuple(Applied(v, b"request %d" % v) for v in range(1, version + 1))
    return Content(value, version, None, requests[-16:])


def record(counter: int, version: int) -> Record:
    return Record(ballot(counter), ballot(counter), content(version))


def to(member: Member = A, epoch: int = 1, **other: object) -> Address:
    return replace(Address(*WHERE, 1, epoch, member.store), **other)


class Disk:
    """A member of the slot with all that it asked for: what it said, and what is on its disk."""

    def __init__(
        self,
        me: Member = A,
        configuration: Configuration | None = FIRST,
        safeguards: StoreSafeguards | None = None,
        **head: object,
    ) -> None:
        begun = blank(*WHERE, 1) if configuration is None else Head(*WHERE, configuration, **head)  # type: ignore[arg-type]
        self.effects: list[Effect] = []
        self.head, self.records = begun, dict[bytes, Record]()
        self.registers = Registers(me, begun, {}, self.effects, safeguards or StoreSafeguards())
        self.installation = Installation(self.registers, self.effects)

    def take(self, message: msg.StoreMessage, sender: str = "X") -> list[msg.StoreMessage]:
        """Let a message arrive; return what is said, with what was kept before it on disk."""
        self.arrives(message, sender)
        return self.said()

    def arrives(self, message: msg.StoreMessage, sender: str) -> None:
        handler = {
            msg.Prepare: self.registers.on_prepare,
            msg.Accept: self.registers.on_accept,
            msg.Read: self.registers.on_read,
            msg.Collect: self.registers.on_collect,
            msg.Drop: self.registers.on_drop,
            msg.PrepareChange: self.registers.on_prepare_change,
            msg.AcceptChange: self.registers.on_accept_change,
            msg.Fetch: self.registers.on_fetch,
            msg.Forget: self.registers.on_forget,
            msg.Chosen: self.installation.on_chosen,
            msg.Snapshot: self.installation.on_snapshot,
        }[type(message)]
        handler(sender, message)  # type: ignore[operator]

    def said(self) -> list[msg.StoreMessage]:
        return [message for _, message in self.sent()]

    def sent(self) -> list[tuple[str, msg.StoreMessage]]:
        found = []
        for effect in self.effects:
            if isinstance(effect, Keep):
                self._write(effect)
            elif isinstance(effect, Say):
                # Whatever is answered is on disk by then.
                assert (self.head, self.records) == (
                    self.registers.head,
                    self.registers.records,
                )
                found.append((effect.to, effect.message))
        self.effects.clear()
        return found

    def _write(self, keep: Keep) -> None:
        for entry in keep.entries:
            if isinstance(entry, HeadKept):
                self.head = entry.head
            elif isinstance(entry, AllDropped):
                self.records.clear()
            elif isinstance(entry, RecordDropped):
                del self.records[entry.key]
            else:
                self.records[entry.key] = entry.record

    def why(self, message: msg.Request) -> msg.Why:
        """Return why a message is refused."""
        (answer,) = self.take(message)
        assert isinstance(answer, msg.Refused), answer
        return answer.why

    def prepare(self, counter: int, **address: object) -> msg.StoreMessage:
        (answer,) = self.take(msg.Prepare(to(**address), 1, KEY, ballot(counter)))  # type: ignore[arg-type]
        return answer

    def accept(self, counter: int, version: int, **address: object) -> msg.StoreMessage:
        message = msg.Accept(to(**address), 1, KEY, ballot(counter), content(version))  # type: ignore[arg-type]
        (answer,) = self.take(message)
        return answer

    def vote(self, counter: int, *members: Member) -> msg.StoreMessage:
        (answer,) = self.take(msg.AcceptChange(to(), 1, ballot(counter), members))
        return answer


class Led:
    """An operation, by itself: what it asks, and how it ends."""

    def __init__(
        self,
        asked: Get | Put,
        counter: int = 0,
        where: Configuration = FIRST,
        wall: float = 0.0,
        *,
        lasting: bool = False,
        **safeguards: bool,
    ) -> None:
        self.effects: list[Effect] = []
        ballots = Ballots("X", 1, counter)
        attempt = Operation.at_first(asked, where, lasting=lasting)
        guards = StoreSafeguards(**safeguards)
        self.operation = Operation(
            5, asked, WHERE, ballots, self.effects, attempt, guards, wall=lambda: wall
        )
        self.operation.begin()

    @property
    def asks(self) -> list[tuple[str, msg.StoreMessage]]:
        found = [(e.to, e.message) for e in self.effects if isinstance(e, Say)]
        self.effects[:] = [e for e in self.effects if not isinstance(e, Say)]
        return found

    @property
    def kinds(self) -> list[tuple[str, type]]:
        return [(name, type(message)) for name, message in self.asks]

    @property
    def outcome(self) -> object:
        ends = [each.outcome for each in self.effects if isinstance(each, Ended)]
        assert len(ends) <= 1, ends
        return ends[0] if ends else None

    @property
    def ballot(self) -> Ballot:
        return self.operation.attempt.ballot

    def told(self, member: Member, counter: int, version: int) -> None:
        accepted, known = _accepted(counter, version)
        self.operation.on_told(member.node, msg.Told(to(member), 5, accepted, known))

    def promised(self, member: Member, counter: int = 0, version: int = 0, **more: int) -> None:
        accepted, known = _accepted(counter, version)
        floor = more.get("floor", 0)
        answer = msg.Promised(to(member), 5, self.ballot, accepted, known, floor)
        self.operation.on_promised(member.node, answer)

    def expiring(self, member: Member, wall: float) -> None:
        """Promise; the key has a value that expires at 100, and it is ``wall`` here."""
        known = replace(content(1), expires=100.0)
        answer = msg.Promised(to(member), 5, self.ballot, ballot(1), known, 0, wall)
        self.operation.on_promised(member.node, answer)

    def accepted(self, *members: Member) -> None:
        for member in members:
            answer = msg.Accepted(to(member), 5, self.ballot)
            self.operation.on_accepted(member.node, answer)

    def outrun(self, member: Member, by: int) -> None:
        answer = msg.Outrun(to(member), 5, self.ballot, ballot(by))
        self.operation.on_outrun(member.node, answer)

    def refused(self, member: Member, why: msg.Why, newest: Configuration = FIRST) -> None:
        answer = msg.Refused(to(member), 5, why, WHERE[0], member.store, newest, False)
        self.operation.on_refused(member.node, answer)


def _accepted(counter: int, version: int) -> tuple[Ballot, Content]:
    if not counter:
        return Ballot(0, 0, "", 0), Content(None, 0, None, ())
    return ballot(counter), content(version)


class Leader:
    """A change, by itself."""

    def __init__(
        self, *wanted: Member, old: Configuration = FIRST, needed: tuple[Member, ...] = ()
    ) -> None:
        self.effects: list[Effect] = []
        underway = Underway(old, wanted, needed=needed)
        self.change = Change(9, WHERE, Ballots("X", 1), self.effects, underway)
        self.change.begin()

    @property
    def asks(self) -> list[tuple[str, msg.StoreMessage]]:
        found = [(e.to, e.message) for e in self.effects if isinstance(e, Say)]
        self.effects[:] = [e for e in self.effects if not isinstance(e, Say)]
        return found
