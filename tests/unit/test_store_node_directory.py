"""The directory: what is news of a slot, what can be told of one, and what is known in a digest."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Head
from chordnet.core.store.base.records import EMPTY, Applied, Content, Record
from chordnet.core.store.node.directory import Directory, Listed, listed_as_chosen
from chordnet.core.store.node.holdings import Held, SlotView, slot_view
from chordnet.core.store.slot.reconfigure import Installation
from chordnet.core.store.slot.registers import Registers
from tests.unit.store_node_support import FIRST, FORMATION, FOUNDING, A, B, C, D, later

SECOND = later(2, A, B, D)
THIRD = later(3, A, B, C)
UNSURE = Listed(1, SECOND, serves=False, before=FIRST)
SURE = Listed(1, SECOND)


class NewsTests(SynchronousTestCase):
    def test_a_later_configuration_is_news_to_an_earlier_one_whether_it_serves_or_not(self) -> None:
        for newer in (SURE, UNSURE):
            self.assertTrue(newer.is_news_to(Listed(1, FIRST)))
            self.assertFalse(Listed(1, FIRST).is_news_to(newer))
        self.assertTrue(Listed(1, Configuration(2, 1, (A,))).is_news_to(SURE))

    def test_that_a_configuration_serves_is_news_once(self) -> None:
        self.assertTrue(SURE.is_news_to(UNSURE))
        for old, same in ((SURE, SURE), (UNSURE, UNSURE), (SURE, UNSURE)):
            self.assertFalse(same.is_news_to(old))

    def test_what_was_before_is_news_to_who_does_not_know_it(self) -> None:
        unknown = listed_as_chosen(1, SECOND, later(7, A))
        self.assertEqual(unknown, Listed(1, SECOND, serves=False, before=later(1)))
        self.assertTrue(unknown.is_sound(4))
        self.assertTrue(UNSURE.is_news_to(unknown))
        self.assertTrue(SURE.is_news_to(unknown))
        self.assertFalse(unknown.is_news_to(UNSURE))
        self.assertFalse(unknown.is_news_to(unknown))
        self.assertEqual(listed_as_chosen(1, SECOND, FIRST), UNSURE)

    def test_what_serves_is_told_without_the_configuration_before(self) -> None:
        self.assertTrue(Listed(1, FIRST).serves)
        self.assertTrue(SURE.is_sound(4))
        self.assertFalse(Listed(1, SECOND, serves=False).is_sound(4))

    def test_what_may_not_serve_yet_is_told_with_the_configuration_just_before(self) -> None:
        self.assertTrue(UNSURE.is_sound(4))
        for before in (SECOND, THIRD, Configuration(2, 1, (A,)), Configuration(1, 0, (A,))):
            self.assertFalse(Listed(1, SECOND, serves=False, before=before).is_sound(4))

    def test_what_is_told_is_of_a_slot_that_there_is_and_has_members(self) -> None:
        for slot, sound in ((-1, False), (0, True), (3, True), (4, False)):
            self.assertEqual(Listed(slot, SECOND).is_sound(4), sound)
        self.assertFalse(Listed(1, later(2)).is_sound(4))


class DirectoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Directory(FOUNDING)

    def test_every_slot_is_in_its_first_configuration_to_begin_with(self) -> None:
        self.assertEqual(self.directory.slots, 4)
        self.assertEqual(list(self.directory.named()), [Listed(slot, FIRST) for slot in range(4)])
        self.assertEqual(self.directory.of(3), Listed(3, FIRST))
        self.assertEqual((self.directory.digest, self.directory.later()), (0, []))

    def test_news_is_taken_and_nothing_else(self) -> None:
        self.assertTrue(self.directory.learn(UNSURE))
        self.assertEqual(self.directory.of(1), UNSURE)
        self.assertFalse(self.directory.learn(UNSURE))
        self.assertFalse(self.directory.learn(Listed(1, FIRST)))
        self.assertTrue(self.directory.learn(SURE))
        self.assertEqual(self.directory.of(1), SURE)

    def test_slots_that_have_changed_are_listed_in_order(self) -> None:
        self.directory.learn(Listed(3, SECOND))
        self.directory.learn(UNSURE)
        self.directory.learn(SURE)
        self.assertEqual(self.directory.later(), [SURE, Listed(3, SECOND)])

    def test_who_knows_the_same_has_the_same_digest_whatever_the_way_to_it(self) -> None:
        other = Directory(FOUNDING)
        for each in (UNSURE, Listed(1, THIRD), Listed(2, SECOND), Listed(3, SECOND)):
            self.directory.learn(each)
        for each in (Listed(3, SECOND), Listed(2, SECOND), Listed(1, THIRD)):
            self.assertNotEqual(other.digest, self.directory.digest)
            other.learn(each)
        self.assertEqual(other.digest, self.directory.digest)

    def test_the_digest_tells_apart_epochs_generations_and_what_serves(self) -> None:
        digests = {0}
        for listed in (
            UNSURE,
            SURE,
            Listed(2, SECOND),
            Listed(1, THIRD),
            Listed(1, Configuration(2, 2, SECOND.members)),
        ):
            directory = Directory(FOUNDING)
            directory.learn(listed)
            digests.add(directory.digest)
        self.assertEqual(len(digests), 6)

    def test_a_digest_is_always_a_number_that_a_letter_may_contain(self) -> None:
        for epoch in range(2, 40):
            for slot in range(4):
                self.directory.learn(Listed(slot, later(epoch, A)))
                self.assertTrue(0 <= self.directory.digest < 2**62)

    def test_digests_are_the_same_in_every_release(self) -> None:
        self.directory.learn(SURE)
        self.assertEqual(self.directory.digest, 769612973493409597)


class ViewTests(SynchronousTestCase):
    def test_the_view_of_a_slot_counts_keys_with_a_value_and_their_bytes(self) -> None:
        here = Ballot(2, 1, "A", 1)
        records = {
            b"one": Record(here, here, Content(b"12345", 1, None, (Applied(1, b"r"),))),
            b"three": Record(here, here, Content(b"", 1, None, ())),
            b"gone": Record(here, here, Content(None, 2, None, ())),
            b"promised": Record(here, NONE, EMPTY),
        }
        held = holding(Head(FORMATION, 1, SECOND, sealed=True), records)
        view = slot_view(UNSURE, held)
        self.assertEqual(view, SlotView(1, SECOND, False, (1, 2), True, 2, 13, 2))

    def test_the_view_of_a_slot_that_this_disk_does_not_serve_is_empty(self) -> None:
        empty = SlotView(1, SECOND, True, None, False, 0, 0)
        self.assertEqual(slot_view(SURE, None), empty)
        left = holding(Head(FORMATION, 1, later(1, B, C), sealed=True), {})
        self.assertEqual(slot_view(SURE, left), empty)
        emptied = holding(Head(FORMATION, 1, FIRST, sealed=True, emptied=True), {})
        self.assertEqual(slot_view(SURE, emptied), empty)


def holding(head: Head, records: dict[bytes, Record]) -> Held:
    registers = Registers(A, head, records, [])
    return Held(registers, Installation(registers, []))
