"""Reads of large values: who sends them, how often, and how many at the same time."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.configurations import Head, Member
from chordnet.core.store.base.effects import Effect, Large, Say
from chordnet.core.store.base.outcomes import Found
from chordnet.core.store.base.records import Applied, Content, Record
from chordnet.core.store.base.requests import Get
from chordnet.core.store.node.surroundings import For
from chordnet.core.store.node.talk import letters, read
from chordnet.core.store.slot.registers import Registers
from tests.unit.store_node_support import FIRST, FORMATION, A, B, address
from tests.unit.store_support import A as FIRST_A
from tests.unit.store_support import B as FIRST_B
from tests.unit.store_support import C as FIRST_C
from tests.unit.store_support import Led, ballot, to
from tests.unit.test_store_node_asking import GET, Coordinator

MIB = 1_048_576
KEY = b"k"
WHOLE = Content(b"x" * MIB, 3, None, (Applied(3, b"r"),))
BARE = replace(WHOLE, value=b"")


class MemberTests(SynchronousTestCase):
    def told(self, size: int, *, whole: bool = False, sender: str = "X") -> msg.Told:
        accepted = Ballot(1, 1, "B", 1)
        record = Record(accepted, accepted, replace(WHOLE, value=bytes(size)))
        effects: list[Effect] = []
        registers = Registers(A, Head(FORMATION, 0, FIRST), {KEY: record}, effects)
        registers.on_read(sender, msg.Read(address(), 5, KEY, whole))
        (said,) = effects
        assert isinstance(said, Say)
        assert isinstance(said.message, msg.Told)
        self.assertEqual(said.message.accepted, accepted)
        self.assertEqual(said.message.content.version, 3)
        return said.message

    def test_a_value_of_more_than_64_kib_is_left_out_unless_the_whole_is_asked_for(self) -> None:
        for size, whole, left_out in (
            (65_536, False, 0), (65_537, False, 65_537), (MIB, False, MIB), (MIB, True, 0),
        ):  # fmt: skip
            told = self.told(size, whole=whole)
            self.assertEqual(told.left_out, left_out)
            self.assertEqual(told.content.value, b"" if left_out else bytes(size))

    def test_a_member_tells_itself_everything(self) -> None:
        self.assertEqual(self.told(MIB, sender="A").left_out, 0)


class LetterTests(SynchronousTestCase):
    def test_no_more_bytes_can_have_been_left_out_than_a_value_has(self) -> None:
        for left_out in (MIB, MIB + 1):
            told = msg.Told(address(), 5, Ballot(1, 1, "B", 1), BARE, left_out)
            (letter,) = letters([told])
            if left_out == MIB:
                self.assertEqual(read(letter), [told])
            else:
                self.assertRaises(ValueError, read, letter)


class OperationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.led = Led(Get(KEY))
        self.led.asks  # noqa: B018 - what is asked at first is no matter here

    def told(self, member: Member, *, counter: int = 1, whole: bool = False) -> None:
        content, left_out = (WHOLE, 0) if whole else (BARE, MIB)
        answer = msg.Told(to(member), 5, ballot(counter), content, left_out)
        self.led.operation.on_told(member.node, answer)

    def large(self) -> int:
        """Return how often it was said that a large value is needed."""
        found = sum(each == Large(5, MIB) for each in self.led.effects)
        self.led.effects[:] = [each for each in self.led.effects if not isinstance(each, Large)]
        return found

    def test_one_member_is_asked_for_the_value_that_a_majority_has(self) -> None:
        self.told(FIRST_A)
        self.assertEqual(self.large(), 0)
        self.told(FIRST_B)
        self.assertEqual((self.large(), self.led.outcome), (1, None))
        self.led.operation.go_on()
        ((node, read),) = self.led.asks
        self.assertIn(node, "AB")
        self.assertEqual(read, msg.Read(to(FIRST_A), 5, KEY, whole=True))
        self.told(FIRST_C)
        self.assertEqual(self.large(), 0, "it has been asked for")
        self.told(FIRST_A if node == "A" else FIRST_B, whole=True)
        self.assertEqual(self.led.outcome, Found(WHOLE))

    def test_nothing_is_asked_for_if_one_of_the_majority_has_sent_the_whole(self) -> None:
        self.told(FIRST_A, whole=True)
        self.told(FIRST_C)
        self.assertEqual((self.large(), self.led.outcome), (0, Found(WHOLE)))

    def test_another_member_is_asked_the_next_time(self) -> None:
        self.told(FIRST_A)
        self.told(FIRST_B)
        asked = []
        for _ in range(3):
            self.led.operation.go_on()
            asked += [node for node, _read in self.led.asks]
        self.assertEqual(asked[0], asked[2])
        self.assertEqual(set(asked), {"A", "B"})

    def test_members_that_differ_are_asked_for_promises_when_there_is_room(self) -> None:
        self.told(FIRST_A)
        self.told(FIRST_B, counter=2)
        self.assertEqual(self.large(), 1)
        self.assertEqual(self.led.asks, [])
        self.led.operation.go_on()
        self.assertEqual({kind for _node, kind in self.led.kinds}, {msg.Prepare})

    def test_who_has_accepted_something_else_meanwhile_is_heeded(self) -> None:
        self.told(FIRST_A)
        self.told(FIRST_B)
        self.led.operation.go_on()
        ((node, _read),) = self.led.asks
        self.large()
        self.told(FIRST_A if node == "A" else FIRST_B, counter=2, whole=True)
        self.assertIsNone(self.led.outcome)
        self.assertEqual(self.large(), 1)
        self.led.operation.go_on()
        self.assertEqual({kind for _node, kind in self.led.kinds}, {msg.Prepare})

    def test_an_operation_that_has_ended_asks_nobody(self) -> None:
        self.told(FIRST_A, whole=True)
        self.told(FIRST_B, whole=True)
        self.led.operation.go_on()
        self.assertEqual(self.led.asks, [])


class RoomTests(SynchronousTestCase):
    """A node that is no member reads several keys at the same time."""

    def setUp(self) -> None:
        self.node = Coordinator()
        self.asked: list[int] = []

    def read(self, size: int = MIB) -> int:
        """Begin a read that a majority answers without the value."""
        rid = self.node.start(GET)
        self.note()
        for member in (A, B):
            self.told(rid, member, size)
        return rid

    def told(self, rid: int, member: Member, size: int, *, whole: bool = False) -> None:
        content, left_out = (WHOLE, 0) if whole else (BARE, size)
        answer = msg.Told(address(member), rid, Ballot(1, 1, "B", 1), content, left_out)
        self.node.operation(rid).on_told(member.node, answer)

    def note(self) -> None:
        for _node, message in self.node.work():
            if isinstance(message, msg.Read) and message.whole:
                self.asked.append(message.rid)

    def fetches(self) -> list[int]:
        """Return which values were asked for since the last time."""
        self.note()
        asked, self.asked = self.asked, []
        return asked

    def test_4_mib_are_on_their_way_at_the_same_time_and_the_next_follow_as_these_arrive(
        self,
    ) -> None:
        rids = [self.read() for _ in range(6)]
        self.assertEqual(self.fetches(), rids[:4])
        self.told(rids[2], A, MIB, whole=True)
        self.assertEqual(self.fetches(), [rids[4]])
        self.told(rids[0], B, MIB, whole=True)
        self.assertEqual(self.fetches(), [rids[5]])

    def test_a_value_that_does_not_come_is_asked_for_again_after_its_time(self) -> None:
        rid = self.read()
        self.assertEqual(self.fetches(), [rid])
        asked: list[Any] = []
        for _ in range(4):
            self.node.later(0.5)
            self.node.asking.remind(rid)
            asked.append(self.fetches())
        self.assertEqual(asked, [[], [], [rid], []])

    def test_a_read_that_runs_out_of_time_makes_room(self) -> None:
        rids = [self.read() for _ in range(5)]
        self.assertEqual(self.fetches(), rids[:4])
        self.node.asking.expire(rids[1])
        self.assertEqual(self.fetches(), [rids[4]])
        self.assertIsNone(self.node.rings(For.REMINDER, rids[1]))
