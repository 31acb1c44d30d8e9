"""How much a node gives in one go to another that lacks messages, and what it says is lost."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Record
from chordnet.core.base.messages import Hop, MessageId, Range
from chordnet.net.runtime.giving import Giving
from chordnet.storage.log.memory import MemoryLog

ORIGIN = bytes(20)


def asked(first: int, end: int, incarnation: int = 1) -> Range:
    return Range(ORIGIN, incarnation, first, end)


class GivingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.log = MemoryLog()
        self.giving = Giving(self.log)

    def record(self, *numbers: int, size: int = 1) -> None:
        for number in numbers:
            message_id = MessageId(ORIGIN, 1, number)
            self.log.append(Record(message_id, 1.5, bytes(size), [Hop(ORIGIN, "one", 0)]), 2.0)

    def give(self, *ranges: Range) -> bool:
        return self.giving.give(list(ranges))

    def caught(self) -> list[int]:
        return [each.id.sequence for each in self.giving.found]

    def lost(self) -> list[tuple[int, int]]:
        return [(each.first, each.end) for each in self.giving.lost]

    def test_what_is_kept_is_given_and_what_is_not_is_said_to_be_lost(self) -> None:
        self.record(2, 3, 6)
        self.assertTrue(self.give(asked(1, 5), asked(6, 9), asked(1, 2, incarnation=2)))
        self.assertEqual(self.caught(), [2, 3, 6])
        self.assertEqual(self.lost(), [(1, 2), (4, 5), (7, 9), (1, 2)])
        self.assertEqual([each.incarnation for each in self.giving.lost], [1, 1, 1, 2])
        first = self.giving.found[0]
        self.assertEqual((first.created, first.body), (1.5, b"\0"))
        self.assertEqual(first.route, [Hop(ORIGIN, "one", 0)])

    def test_all_of_512_messages_are_given_at_once_and_of_one_more_the_first_512(self) -> None:
        self.record(*range(1, 514))
        self.assertTrue(self.give(asked(1, 513)))
        self.assertEqual(len(self.caught()), 512)
        self.giving = Giving(self.log)
        self.assertFalse(self.give(asked(1, 514), asked(600, 601)))
        self.assertEqual((self.caught()[-1], self.lost()), (512, []))

    def test_bodies_of_512_kib_are_given_at_once_and_no_byte_more(self) -> None:
        self.record(1, 2, size=256 * 1024)
        self.assertTrue(self.give(asked(1, 3)))
        self.giving = Giving(self.log)
        self.record(3, size=1)
        self.assertFalse(self.give(asked(1, 4)))
        self.assertEqual(self.caught(), [1, 2])

    def test_256_ranges_are_said_to_be_lost_at_once(self) -> None:
        self.record(*range(2, 511, 2))
        self.assertTrue(self.give(asked(1, 510)))
        self.assertEqual(len(self.lost()), 255)
        self.assertFalse(self.give(asked(1001, 1002), asked(2001, 2002)))
        self.assertEqual((len(self.lost()), self.lost()[-1]), (256, (1001, 1002)))

    def test_no_more_than_256_gaps_of_one_question_are_said_to_be_lost(self) -> None:
        self.record(*range(2, 601, 2))
        self.assertFalse(self.give(asked(1, 602)))
        self.assertEqual((len(self.lost()), self.lost()[-1]), (256, (511, 512)))

    def test_a_message_that_is_damaged_is_not_said_to_be_lost(self) -> None:
        self.record(1)
        self.log.spoiled = {MessageId(ORIGIN, 1, 3), MessageId(ORIGIN, 2, 5)}
        self.assertTrue(self.give(asked(1, 7)))
        self.assertEqual((self.caught(), self.lost()), ([1], [(2, 3), (4, 7)]))
