"""What follows from the beginning of a store: its name, its slots, and who holds them at first."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.founding import Founding, Slots, first_members

A, B, C, D = (Member(name, number) for number, name in enumerate("abcd", 1))
FOUNDING = Founding("net", 8, 4, 3, (A, B, C, D))
IDENTIFIERS = {"d": 24, "f": 37, "c": 46, "b": 62, "e": 63, "h": 170, "a": 202, "g": 205}


class SlotsTests(SynchronousTestCase):
    """Four slots in a space of 256 identifiers."""

    def setUp(self) -> None:
        self.slots = Slots(8, 4)

    def test_slots_are_equal_arcs_and_a_place_is_the_first_identifier(self) -> None:
        self.assertEqual(self.slots.count, 4)
        self.assertEqual([self.slots.place(slot) for slot in range(4)], [0, 64, 128, 192])

    def test_a_key_is_in_the_slot_in_which_its_identifier_lies(self) -> None:
        for name, identifier in IDENTIFIERS.items():
            self.assertEqual(self.slots.identifier(name), identifier)
            self.assertEqual(self.slots.of(name.encode()), identifier // 64)

    def test_a_slot_lies_where_its_place_does(self) -> None:
        for low, high, expected in (
            (63, 64, True), (64, 65, False), (63, 63, True), (0, 63, False), (200, 100, True),
            (100, 200, False),
        ):  # fmt: skip
            self.assertEqual(self.slots.lies(1, low, high), expected, (low, high))

    def test_nodes_are_ordered_clockwise_from_the_place_of_the_slot(self) -> None:
        for slot, names in enumerate(("dfcbehag", "hagdfcbe", "hagdfcbe", "agdfcbeh")):
            self.assertEqual("".join(self.slots.clockwise(slot, "abcdefgh")), names)

    def test_a_node_at_the_place_itself_comes_first(self) -> None:
        names = {self.slots.identifier(str(number)): str(number) for number in range(2000)}
        found = self.slots.clockwise(1, [names[63], names[65], names[64]])
        self.assertEqual(found, [names[64], names[65], names[63]])


class FoundingTests(SynchronousTestCase):
    def test_a_formation_has_a_name_of_16_bytes_that_follows_from_all_that_was_agreed(self) -> None:
        self.assertEqual(FOUNDING.id.hex(), "a21cf09af1fa8aa54dd9272ee64d6cb4")
        others = [
            replace(FOUNDING, network="other"), replace(FOUNDING, bits=9),
            replace(FOUNDING, slots=8), replace(FOUNDING, replicas=5),
            replace(FOUNDING, founders=(A, B, C, Member("d", 5))),
        ]  # fmt: skip
        self.assertEqual(len({each.id for each in (FOUNDING, *others)}), 6)

    def test_the_first_members_of_a_slot_are_the_founders_that_come_first_clockwise(self) -> None:
        configuration = first_members(FOUNDING)
        self.assertEqual(configuration(0), Configuration(1, 1, (B, C, D)))
        for slot in (1, 2, 3):
            self.assertEqual(configuration(slot), Configuration(1, 1, (A, C, D)))

    def test_founders_that_are_fewer_than_a_slot_wants_are_all_its_members(self) -> None:
        configuration = first_members(replace(FOUNDING, founders=(A, B)))
        self.assertEqual(configuration(3), Configuration(1, 1, (A, B)))
