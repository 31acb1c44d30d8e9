"""What a node does that is offered seats: it says that it takes them, and keeps to that."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import events as ev
from chordnet.core.store.base.configurations import Configuration
from chordnet.core.store.begin.hails import Hail
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.upkeep.offers import PLEDGE_S, Offer, Pledges, Ready
from tests.unit.store_node_support import (
    FORMATION,
    START,
    A,
    B,
    C,
    D,
    Node,
    hail,
    later,
    surroundings,
)


def offer(
    slot: int = 0, epoch: int = 1, *, number: int = 77, formation: bytes = FORMATION
) -> Offer:
    return Offer(formation, number, slot, 1, epoch)


class PledgeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.around = surroundings(D)
        self.takes = True
        self.pledges = Pledges(self.around, FORMATION, 4, lambda: self.takes)
        self.present = later(1, A, B, C)

    def open(self, at: float = 0.0) -> set[int]:
        self.around.now = START + at
        return self.pledges.open(lambda _slot: self.present)

    def test_a_node_says_with_the_offers_number_which_disk_would_take_the_seat(self) -> None:
        self.pledges.on_offer("A", offer())
        self.assertEqual(self.around.said, {"A": [Ready(FORMATION, 77, D.store)]})

    def test_a_node_that_takes_no_seats_greets_who_offers_one(self) -> None:
        self.takes = False
        self.pledges.on_offer("A", offer())
        self.assertEqual((self.around.said, list(self.around.unknown)), ({}, ["A"]))
        self.assertEqual(self.open(), set())

    def test_an_offer_of_a_slot_that_there_is_not_is_let_go(self) -> None:
        self.pledges.on_offer("A", offer(4))
        self.assertEqual((self.around.said, self.open()), ({}, set()))

    def test_a_pledge_holds_for_ten_seconds_after_the_last_offer(self) -> None:
        self.pledges.on_offer("A", offer(2))
        self.assertEqual(self.open(6.0), {2})
        self.pledges.on_offer("B", offer(2))
        self.assertEqual(self.open(6.0 + PLEDGE_S - 0.1), {2})
        self.assertEqual(self.open(6.0 + PLEDGE_S), set())

    def test_a_pledge_ends_when_a_later_epoch_or_generation_is_known(self) -> None:
        for present in (later(2, A, B, C), Configuration(2, 1, (A, B, C))):
            self.present = later(1, A, B, C)
            self.pledges.on_offer("A", offer(2))
            self.assertEqual(self.open(), {2})
            self.present = present
            self.assertEqual(self.open(), set())

    def test_there_is_one_pledge_for_each_slot_at_most(self) -> None:
        for number in range(100):
            self.pledges.on_offer("A", offer(number % 4, number))
        self.assertEqual(self.open(), {0, 1, 2, 3})


class LeavingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node(D, near=("A", "B", "C"))
        for member in (A, B, C):
            self.node.hear(member.node, hail(member))
        self.node.take(Hail)

    def test_a_node_that_leaves_waits_for_what_becomes_of_its_pledges(self) -> None:
        self.node.hear("A", offer())
        self.assertEqual(self.node.take(Ready), [("A", Ready(FORMATION, 77, D.store))])
        self.assertEqual(self.node.machine.seats, 0)
        self.node.step(ev.Vacate())
        self.assertEqual(self.node.machine.seats, 1)
        self.node.wait(PLEDGE_S)
        self.assertEqual(self.node.machine.seats, 0)

    def test_a_node_that_leaves_and_was_chosen_needs_to_give_up_that_seat(self) -> None:
        self.node.hear("A", offer())
        self.node.step(ev.Vacate())
        self.node.formation.directory.learn(Listed(0, later(2, A, B, D)))
        self.node.wait(PLEDGE_S)
        self.assertEqual(self.node.machine.seats, 1)

    def test_a_node_that_leaves_takes_no_seat_and_says_so(self) -> None:
        self.node.step(ev.Vacate())
        self.node.take(Hail)
        self.node.hear("A", offer())
        self.assertEqual(self.node.take(Ready), [])
        ((to, said),) = self.node.take(Hail)
        self.assertEqual((to, said.vacating), ("A", True))
        self.assertEqual(self.node.machine.seats, 0)

    def test_an_offer_of_another_formation_is_let_go(self) -> None:
        self.node.hear("A", offer(formation=bytes(16)))
        self.assertEqual(self.node.take(Ready), [])
