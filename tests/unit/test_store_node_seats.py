"""Who should hold a slot: what its owner proposes and when, and how it leads the changes."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballot, Ballots
from chordnet.core.store.base.configurations import Configuration, Head, Member, Vote
from chordnet.core.store.base.effects import Say
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.node.directory import Directory, Listed
from chordnet.core.store.node.seats import Holder, Seats
from chordnet.core.store.node.surroundings import For
from chordnet.core.store.slot.reconfigure import Step
from chordnet.core.store.upkeep.offers import Offer, Ready
from tests.unit.store_node_support import (
    FIRST,
    FORMATION,
    FOUNDING,
    START,
    A,
    B,
    C,
    D,
    E,
    later,
    names,
    surroundings,
)


def member(name: str) -> Member:
    return Member(name, ord(name) - 64)


def members(some: str) -> tuple[Member, ...]:
    return tuple(map(member, some))


class Owner:
    """The seats of A, whose successors are given, and all that it has heard of them."""

    def __init__(
        self, ring: str = "BCDEF", founding: Founding = FOUNDING, arc: Iterable[int] = (0,)
    ) -> None:
        self.around = surroundings(A, *ring)
        self.holders = {
            name: Holder(member(name).store, seat=True, vacating=False) for name in "ABCDEFGHIJ"
        }
        self.directory = Directory(founding)
        self.arc = list(arc)
        self.seats = Seats(
            self.around, founding, self.directory, Ballots("A", 1), self.holders, lambda: self.arc
        )
        self.seats.settled_at = START - 1000.0

    def wanted(self, present: str, epoch: int = 2, changed: Iterable[float] = ()) -> str:
        """Return the members wanted; a disk that is new is written small."""
        found = self.seats.wanted(later(epoch, *members(present)), changed)
        assert list(found) == sorted(found), found
        return "".join(
            each.node if each == member(each.node) else each.node.lower() for each in found
        )

    def lost(self, names_of: str, seconds: float) -> None:
        for name in names_of:
            self.around.lost[name] = self.around.now - seconds

    def other_disk(self, *names_of: str) -> None:
        for name in names_of:
            self.holders[name] = Holder(99, seat=True, vacating=False)

    def vacates(self, *names_of: str) -> None:
        for name in names_of:
            self.holders[name] = Holder(member(name).store, seat=True, vacating=True)

    def look(self, after: float = 0.0) -> list[tuple[str, msg.StoreMessage]]:
        """Look at the slots after some time; return what is said."""
        self.around.now += after
        for name in self.around.place.successors:
            self.around.heard[name] = self.around.now
        self.seats.look()
        self.answer_offers()
        return self.said()

    def offers(self) -> list[tuple[str, Offer]]:
        """Return and forget the offers that were made."""
        found = [
            (to, each)
            for to, messages in self.around.said.items()
            for each in messages
            if isinstance(each, Offer)
        ]
        for to, offer in found:
            self.around.said[to].remove(offer)
        return found

    def answer_offers(self) -> None:
        """Have all nodes that are offered seats say that they take them."""
        for to, offer in self.offers():
            self.seats.offers.on_ready(to, Ready(FORMATION, offer.number, self.holders[to].store))

    def said(self) -> list[tuple[str, msg.StoreMessage]]:
        found = [(each.to, each.message) for each in self.around.effects if isinstance(each, Say)]
        self.around.effects.clear()
        return found

    def wanted_of(self, slot: int) -> str:
        """Return what is wanted by the change of a slot that is under way."""
        return "".join(
            names(change.underway.wanted)
            for at, change in self.seats.changes.values()
            if at == slot
        )

    def rings(self, what: For, number: int = 0) -> float | None:
        """Return in how many seconds an alarm rings, and take it off; None if it is not set."""
        alarms = self.around.alarms
        if not alarms.is_set((what, number)):
            return None
        while True:
            at = alarms.next()
            assert at is not None
            if (what, number) in alarms.due(at):
                return at - self.around.now


class ProposalTests(SynchronousTestCase):
    def test_nothing_is_proposed_where_the_members_are_those_that_should_be(self) -> None:
        for epoch in (1, 2):
            self.assertEqual(Owner().wanted("ABC", epoch), "ABC")

    def test_a_member_that_was_out_of_reach_for_15_seconds_is_replaced(self) -> None:
        for seconds, wanted in ((14.9, "ABC"), (15.0, "ACD"), (100.0, "ACD")):
            for epoch in (1, 2):
                owner = Owner()
                owner.seats.settled_at = START
                owner.lost("B", seconds)
                self.assertEqual(owner.wanted("ABC", epoch), wanted)

    def test_a_member_that_came_back_with_another_disk_is_replaced_at_once_in_any_epoch(
        self,
    ) -> None:
        for epoch in (1, 2):
            owner = Owner()
            owner.seats.settled_at = START
            owner.other_disk("C")
            self.assertEqual(owner.wanted("ABC", epoch), "ABc")

    def test_a_member_that_is_about_to_leave_is_replaced_at_once(self) -> None:
        for epoch in (1, 2):
            owner = Owner()
            owner.seats.settled_at = START
            owner.vacates("B")
            self.assertEqual(owner.wanted("ABC", epoch), "ACD")

    def test_a_dead_member_keeps_its_seat_while_there_is_nobody_to_take_it(self) -> None:
        owner = Owner("BC")
        owner.lost("C", 100.0)
        self.assertEqual(owner.wanted("ABC"), "ABC")

    def test_a_member_that_leaves_is_left_out_if_there_is_nobody_to_take_its_seat(self) -> None:
        owner = Owner("BC")
        owner.vacates("C")
        self.assertEqual(owner.wanted("ABC"), "AB")

    def test_the_only_member_keeps_its_seat_when_it_wants_to_leave(self) -> None:
        owner = Owner("")
        owner.vacates("A")
        self.assertEqual(owner.wanted("A"), "A")

    def test_those_that_are_gone_are_replaced_before_those_that_leave(self) -> None:
        owner = Owner("BCD")
        owner.vacates("B")
        owner.other_disk("C")
        self.assertEqual(owner.wanted("ABC"), "ABc")
        owner.lost("D", 100.0)
        owner.holders["C"] = Holder(3, seat=True, vacating=False)
        owner.lost("C", 100.0)
        self.assertEqual(owner.wanted("ABC"), "ABC")

    def test_no_seat_is_given_to_a_disk_of_a_node_whose_old_disk_keeps_its_seat(self) -> None:
        owner = Owner("CB")
        owner.other_disk("B", "C")
        self.assertEqual(owner.wanted("ABC"), "AbC")

    def test_of_those_that_are_gone_only_so_many_are_replaced_as_there_are_to_take_their_seats(
        self,
    ) -> None:
        owner = Owner("BCDEF", replicas(5))
        owner.lost("DE", 100.0)
        self.assertEqual(owner.wanted("ABCDE"), "ABCEF")
        owner.vacates("E")
        self.assertEqual(owner.wanted("ABCDE"), "ABCF")

    def test_at_most_half_of_the_other_seats_change_at_once(self) -> None:
        for number, present, dead, misplaced in (
            (1, "J", "A", "A"),
            (3, "HIJ", "AIJ", "AIJ"),
            (5, "FGHIJ", "ABHIJ", "ABHIJ"),
            (7, "DEFGHIJ", "ABCGHIJ", "ABCDEFG"),
        ):
            owner = Owner("BCDEFGHIJ", replicas(number))
            self.assertEqual(owner.wanted(present), misplaced)
            owner.lost(present, 20.0)
            self.assertEqual(owner.wanted(present), dead)

    def test_a_slot_with_too_few_members_takes_as_many_as_are_missing_in_one_step(self) -> None:
        owner = Owner("BCDEF", replicas(5))
        owner.seats.settled_at = START
        for present, wanted in (("A", "ABCDE"), ("AB", "ABCDE"), ("ABCF", "ABCDF")):
            self.assertEqual(owner.wanted(present, changed=[START]), wanted)

    def test_a_slot_with_too_few_members_takes_those_that_there_are(self) -> None:
        self.assertEqual(Owner("B").wanted("A"), "AB")
        self.assertEqual(Owner("").wanted("A"), "A")

    def test_a_slot_with_too_few_members_of_which_one_is_gone_has_that_one_replaced(self) -> None:
        owner = Owner("BCD")
        owner.lost("B", 20.0)
        self.assertEqual(owner.wanted("AB"), "AC")

    def test_a_live_member_at_the_wrong_place_is_replaced_one_at_a_time(self) -> None:
        owner = Owner("DEBC")
        self.assertEqual(owner.wanted("ABC"), "ACD")
        self.assertEqual(owner.wanted("ACD"), "ADE")
        self.assertEqual(owner.wanted("ADE"), "ADE")

    def test_a_live_member_moves_2_seconds_after_the_ring_has_changed_last(self) -> None:
        for epoch, wanted in ((1, "ADE"), (2, "ACD")):
            owner = Owner("DEBC")
            for seconds, found in ((1.99, "ABC"), (2.0, wanted)):
                owner.seats.settled_at = START - seconds
                self.assertEqual(owner.wanted("ABC", epoch), found)

    def test_the_pause_before_a_live_member_moves_doubles_with_every_recent_change(self) -> None:
        owner = Owner("DEBC")
        for times, pause in ((1, 4.0), (2, 8.0), (3, 16.0), (5, 64.0)):
            early, due = [START - pause + 0.01] * times, [START - pause] * times
            self.assertEqual(owner.wanted("ABC", changed=early), "ABC", times)
            self.assertEqual(owner.wanted("ABC", changed=due), "ACD", times)

    def test_a_change_counts_as_recent_for_120_seconds(self) -> None:
        owner = Owner("DEBC")
        for seconds, wanted in ((119.9, "ABC"), (120.0, "ACD")):
            changed = [START - seconds] * 6
            self.assertEqual(owner.wanted("ABC", changed=changed), wanted)

    def test_the_pause_begins_with_the_last_of_the_changes_of_slot_and_ring(self) -> None:
        owner = Owner("DEBC")
        owner.seats.settled_at = START - 3.0
        self.assertEqual(owner.wanted("ABC", changed=[START - 60.0]), "ABC")
        owner.seats.settled_at = START - 4.0
        self.assertEqual(owner.wanted("ABC", changed=[START - 60.0]), "ACD")
        self.assertEqual(owner.wanted("ABC", changed=[START - 60.0, START - 7.0]), "ABC")

    def test_a_slot_in_its_first_configuration_takes_all_its_seats_in_one_step(self) -> None:
        self.assertEqual(Owner("DEBC").wanted("ABC", 1), "ADE")
        self.assertEqual(Owner("BC").wanted("A", 1), "ABC")

    def test_a_slot_does_not_move_while_a_member_that_may_come_back_is_out_of_reach(self) -> None:
        for epoch in (1, 2):
            for lost in "BC":
                owner = Owner("DEBC")
                owner.lost(lost, 14.9)
                self.assertEqual(owner.wanted("ABC", epoch), "ABC")
        owner = Owner("DEBC")
        owner.lost("B", 15.0)
        self.assertEqual(owner.wanted("ABC"), "ACD")

    def test_a_slot_in_its_first_configuration_moves_step_by_step_if_a_disk_is_gone(self) -> None:
        owner = Owner("DEBC")
        owner.lost("D", 0.1)
        self.assertEqual(owner.wanted("ABC", 1), "ABE")
        owner = Owner("DEBC")
        owner.other_disk("C")
        self.assertEqual(owner.wanted("ABC", 1), "ABD")

    def test_a_slot_in_its_first_configuration_does_not_become_smaller_in_one_step(self) -> None:
        owner = Owner("DB")
        owner.holders["B"] = Holder(2, seat=False, vacating=False)
        self.assertEqual(owner.wanted("ABC", 1), "ACD")

    def test_seats_are_for_this_node_and_the_next_ones_that_can_hold_slots(self) -> None:
        def without(change: str, holder: Holder | None) -> str:
            owner = Owner()
            if holder is None:
                del owner.holders[change]
            else:
                owner.holders[change] = holder
            return owner.wanted("A", 2)

        self.assertEqual(without("B", Holder(2, seat=True, vacating=False)), "ABC")
        self.assertEqual(without("B", None), "ACD")
        self.assertEqual(without("B", Holder(2, seat=False, vacating=False)), "ACD")
        self.assertEqual(without("B", Holder(2, seat=True, vacating=True)), "ACD")

    def test_no_seat_is_for_a_node_that_is_lost_or_was_not_heard_for_40_seconds(self) -> None:
        owner = Owner()
        owner.around.heard["B"] = START - 40.0
        self.assertEqual(owner.wanted("A"), "ABC")
        owner.around.heard["B"] = START - 40.1
        self.assertEqual(owner.wanted("A"), "ACD")
        owner = Owner()
        owner.lost("B", 0.01)
        self.assertEqual(owner.wanted("A"), "ACD")


class LookTests(SynchronousTestCase):
    def test_the_slots_are_looked_at_every_half_second(self) -> None:
        owner = Owner()
        owner.look()
        self.assertEqual(owner.rings(For.SEATS), 0.5)

    def test_the_owner_leads_a_change_where_members_differ_and_only_one_a_slot(self) -> None:
        owner = Owner("DEBC", arc=(0, 2))
        owner.directory.learn(Listed(2, later(2, A, D, member("E"))))
        said = owner.look()
        self.assertEqual([to for to, _message in said], ["A", "B", "C"])
        for _to, message in said:
            assert isinstance(message, msg.PrepareChange)
            self.assertEqual((message.address.slot, message.address.formation), (0, FORMATION))
        self.assertEqual(owner.wanted_of(0), "ADE")
        self.assertEqual(owner.look(), [])

    def test_a_node_leads_16_changes_at_once_and_another_when_one_is_over(self) -> None:
        owner = Owner("DEBC", Founding("net", 8, 32, 3, (A, B, C)), arc=range(32))
        owner.look()
        self.assertEqual([slot for slot, _change in owner.seats.changes.values()], [*range(16)])
        owner.look()
        self.assertEqual(len(owner.seats.changes), 16)
        rid = next(iter(owner.seats.changes))
        listed = owner.seats.over(rid, owner.seats.changes[rid][1].new, serves=True)
        assert listed is not None
        owner.look()
        self.assertEqual(len(owner.seats.changes), 16)

    def test_all_that_stay_have_to_answer_before_a_slot_becomes_smaller(self) -> None:
        owner = Owner("BC")
        owner.vacates("C")
        owner.look()
        ((_slot, change),) = owner.seats.changes.values()
        self.assertEqual(names(change.underway.needed), "AB")
        owner = Owner("BCD")
        owner.vacates("C")
        owner.look()
        ((_slot, change),) = owner.seats.changes.values()
        self.assertEqual((names(change.underway.wanted), change.underway.needed), ("ABD", ()))

    def test_the_nodes_that_hold_the_slots_in_this_nodes_care_are_known(self) -> None:
        owner = Owner(arc=(0, 1))
        owner.directory.learn(Listed(1, later(2, A, D)))
        self.assertEqual(owner.seats.members_of_arc(), {"A", "B", "C", "D"})
        owner.arc = [1]
        self.assertEqual(owner.seats.members_of_arc(), {"A", "D"})

    def test_a_change_of_a_slot_is_remembered_as_long_as_the_slot_is_in_this_nodes_care(
        self,
    ) -> None:
        for forgotten, pause in ((False, 4.0), (True, 2.0)):
            owner = Owner("DEBC")
            owner.directory.learn(Listed(0, later(2, A, B, C)))
            owner.look()
            owner.directory.learn(settled(owner))
            self.assertEqual(owner.directory.of(0), Listed(0, later(3, A, C, D)))
            owner.seats.settled_at = owner.around.now
            if forgotten:
                owner.arc = []
                owner.look()
                owner.arc = [0]
                owner.look()
            owner.look(pause - 0.1)
            self.assertEqual(owner.wanted_of(0), "")
            owner.look(0.1)
            self.assertEqual(owner.wanted_of(0), "ADE")

    def test_earlier_changes_of_a_slot_count_as_long_as_they_are_recent(self) -> None:
        owner = Owner("DEBC")
        owner.directory.learn(Listed(0, later(2, A, B, C)))
        owner.look()
        owner.directory.learn(settled(owner))
        owner.look(4.0)
        owner.directory.learn(settled(owner))
        owner.directory.learn(Listed(0, later(5, A, B, C)))
        owner.look(7.9)
        self.assertEqual(owner.wanted_of(0), "")
        owner.look(0.1)
        self.assertEqual(owner.wanted_of(0), "ACD")

    def test_the_end_of_a_change_of_a_slot_of_others_is_taken_without_a_memory_of_it(self) -> None:
        owner = Owner(arc=())
        owner.seats.finish(sealed_head(), A)
        owner.seats.over(next(iter(owner.seats.changes)), later(2, A, B, C), serves=False)
        self.assertEqual(owner.seats.changes, {})

    def test_a_node_that_has_just_begun_waits_as_after_a_change_of_the_ring(self) -> None:
        owner = Owner("DEBC")
        seats = Seats(owner.around, FOUNDING, owner.directory, Ballots("A", 1), owner.holders, list)
        self.assertEqual(seats.wanted(later(2, A, B, C)), (A, B, C))
        owner.around.now += 2.0
        self.assertEqual(names(seats.wanted(later(2, A, B, C))), "ACD")


class OfferTests(SynchronousTestCase):
    """What is asked of those that are to come, before they are proposed."""

    def setUp(self) -> None:
        self.owner = Owner("DEFBC")
        self.owner.directory.learn(Listed(0, later(2, A, B, C)))
        self.owner.lost("C", 20.0)
        self.seats = self.owner.seats

    def offers(self, after: float = 0.0) -> list[str]:
        """Look at the slots after some time; return who was offered a seat."""
        self.owner.around.now += after
        for name in self.owner.around.place.successors:
            self.owner.around.heard[name] = self.owner.around.now
        self.seats.look()
        self.made = self.owner.offers()
        return [to for to, _offer in self.made]

    def ready(self, sender: str, store: int | None = None, number: int | None = None) -> str:
        """Have a node say that it takes the seat; return who is proposed then."""
        (_to, offer), *_others = self.made
        store = member(sender).store if store is None else store
        number = offer.number if number is None else number
        self.seats.offers.on_ready(sender, Ready(FORMATION, number, store))
        return self.owner.wanted_of(0)

    def test_nobody_is_proposed_before_it_has_said_that_it_takes_the_seat(self) -> None:
        self.assertEqual(self.offers(), ["D"])
        ((_to, offer),) = self.made
        self.assertEqual((offer.formation, offer.slot), (FORMATION, 0))
        self.assertEqual((offer.generation, offer.epoch), (1, 2))
        self.assertEqual((self.owner.said(), self.seats.changes), ([], {}))
        self.assertEqual(self.ready("D"), "ABD")

    def test_a_change_waits_for_all_that_are_to_come(self) -> None:
        self.owner = Owner("DEBC")
        self.seats = self.owner.seats
        self.assertEqual(self.offers(), ["D", "E"])
        self.assertEqual(self.ready("E"), "")
        self.assertEqual(self.ready("E"), "")
        self.assertEqual(self.ready("D"), "ADE")

    def test_only_the_node_that_was_asked_is_believed_and_only_as_the_answer_to_the_offer(
        self,
    ) -> None:
        self.offers()
        self.assertEqual(self.ready("E"), "")
        self.assertEqual(self.ready("E", D.store), "")
        self.assertEqual(self.ready("D", number=self.made[0][1].number + 1), "")
        self.assertEqual(list(self.owner.around.unknown), [])
        self.assertEqual(self.ready("D"), "ABD")

    def test_a_node_with_another_disk_than_the_one_meant_is_not_proposed_but_greeted(self) -> None:
        self.offers()
        self.assertEqual(self.ready("D", 99), "")
        self.assertEqual(list(self.owner.around.unknown), ["D"])
        self.assertEqual(self.ready("D"), "")
        self.owner.other_disk("D")
        self.assertEqual(self.offers(), ["D"])
        self.seats.offers.on_ready("D", Ready(FORMATION, self.made[0][1].number, 99))
        ((_slot, change),) = self.seats.changes.values()
        self.assertIn(Member("D", 99), change.underway.wanted)

    def test_an_offer_is_repeated_every_half_second_and_another_node_is_asked_after_2_seconds(
        self,
    ) -> None:
        self.assertEqual(self.offers(), ["D"])
        for after, asked in ((0.4, []), (0.1, ["D"]), (0.4, []), (0.1, ["D"]), (0.5, ["D"])):
            self.assertEqual(self.offers(after), asked)
        self.assertEqual(self.offers(0.5), ["E"])
        self.assertEqual(self.ready("D"), "")
        self.assertEqual(self.ready("E"), "ABE")

    def test_a_node_that_does_not_answer_is_asked_again_5_seconds_later(self) -> None:
        self.offers()
        self.offers(2.0)
        self.owner.lost("EF", 1.0)
        self.offers(0.1)
        self.assertEqual(self.offers(4.8), [])
        self.assertEqual(self.offers(0.1), ["D"])

    def test_a_member_that_does_not_answer_for_another_slot_is_not_moved_for_that(self) -> None:
        self.owner = Owner("DEBC", arc=(0, 1))
        self.seats = self.owner.seats
        self.owner.directory.learn(Listed(0, later(2, A, B, C)))
        self.owner.directory.learn(Listed(1, later(2, A, D, E)))
        self.offers()
        self.offers(2.0)
        self.assertEqual(self.seats.wanted(later(2, A, D, E)), (A, D, E))

    def test_a_member_leaves_without_a_replacement_only_if_nobody_could_come(self) -> None:
        for ring, wanted in (("DBC", "ABC"), ("BC", "AB")):
            self.owner = Owner(ring)
            self.seats = self.owner.seats
            self.owner.directory.learn(Listed(0, later(2, A, B, C)))
            self.owner.vacates("C")
            self.offers()
            self.offers(2.0)
            self.assertEqual(names(self.seats.wanted(later(2, A, B, C))), wanted)

    def test_who_is_lost_meanwhile_gives_way_to_another_immediately(self) -> None:
        self.offers()
        self.owner.lost("D", 0.1)
        self.assertEqual(self.offers(0.1), ["E"])

    def test_nothing_is_proposed_if_the_slot_has_changed_meanwhile(self) -> None:
        self.offers()
        self.owner.directory.learn(Listed(0, later(3, A, B, C)))
        self.assertEqual(self.ready("D"), "")
        self.assertEqual(self.owner.said(), [])

    def test_who_says_meanwhile_that_it_leaves_is_not_proposed(self) -> None:
        self.offers()
        self.owner.vacates("D")
        self.assertEqual(self.ready("D"), "")

    def test_offers_count_as_changes(self) -> None:
        self.owner = Owner("DEBC", Founding("net", 8, 32, 3, (A, B, C)), arc=range(32))
        self.seats = self.owner.seats
        self.assertEqual(sorted(self.offers()), ["D"] * 16 + ["E"] * 16)
        self.assertTrue(self.seats.is_busy(31))
        self.ready("D")
        self.ready("E")
        self.assertEqual((len(self.seats.changes), len(self.seats.offers.slots)), (1, 15))
        self.assertEqual(self.offers(0.1), [])


class ToldAgainTests(SynchronousTestCase):
    """A configuration that is chosen and does not serve."""

    def setUp(self) -> None:
        self.owner = Owner("BCD")
        self.second = later(2, A, B, D)
        self.owner.directory.learn(Listed(0, self.second, serves=False, before=FIRST))

    def test_a_chosen_configuration_that_does_not_serve_after_2_seconds_is_told_again(self) -> None:
        self.assertEqual(self.owner.look(), [])
        self.assertEqual(self.owner.look(1.9), [])
        said = self.owner.look(0.1)
        self.assertEqual([to for to, _message in said], ["A", "B", "D"])
        for _to, message in said:
            assert isinstance(message, msg.Chosen)
            self.assertEqual(message.previous, FIRST)
            self.assertEqual(message.configuration, self.second)

    def test_a_configuration_that_serves_is_not_told_again(self) -> None:
        owner = Owner("BCD")
        owner.directory.learn(Listed(0, later(2, A, B, C), before=FIRST))
        owner.look()
        self.assertEqual(owner.look(3.0), [])

    def test_a_configuration_that_does_not_serve_is_told_once_more_after_2_more_seconds(
        self,
    ) -> None:
        self.owner.look()
        self.owner.look(2.0)
        (rid,) = self.owner.seats.changes
        for _ in range(6):
            self.owner.seats.again(rid)
        self.assertEqual(self.owner.seats.changes, {})
        self.owner.said()
        self.assertEqual(self.owner.look(1.9), [])
        self.assertEqual(len(self.owner.look(0.1)), 3)

    def test_the_2_seconds_begin_again_with_another_configuration(self) -> None:
        self.owner.look()
        self.owner.directory.learn(Listed(0, self.second))
        self.owner.holders["C"] = Holder(3, seat=False, vacating=False)
        self.owner.look(1.0)
        self.owner.seats.changes.clear()
        third = later(3, A, B, C)
        self.owner.directory.learn(Listed(0, third, serves=False, before=self.second))
        self.owner.said()
        self.assertEqual(self.owner.look(1.0), [])
        self.assertEqual(self.owner.look(1.9), [])
        self.assertEqual(len(self.owner.look(0.1)), 3)


class LeadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.owner = Owner("DEBC")
        self.owner.look()
        ((self.rid, (_slot, self.change)),) = self.owner.seats.changes.items()
        self.owner.said()

    def test_a_change_is_known_by_its_number(self) -> None:
        self.assertIs(self.owner.seats.get(self.rid), self.change)
        self.assertIsNone(self.owner.seats.get(self.rid + 1))

    def test_a_change_without_a_result_is_tried_again_after_a_second_and_given_up_after_5_tries(
        self,
    ) -> None:
        self.choose()
        self.tries(5)

    def test_a_change_with_disks_that_are_to_come_is_given_up_after_2_tries_unless_it_is_chosen(
        self,
    ) -> None:
        self.tries(2)

    def test_a_change_without_disks_that_are_to_come_is_given_up_after_5_tries(self) -> None:
        self.owner = Owner("DEBC", arc=())
        self.owner.seats.finish(sealed_head(), A)
        ((self.rid, _change),) = self.owner.seats.changes.items()
        self.owner.said()
        self.tries(5)

    def tries(self, number: int) -> None:
        for _ in range(number):
            self.assertEqual(self.owner.rings(For.LEAD, self.rid), 1.0)
            self.owner.seats.again(self.rid)
            self.assertEqual(len(self.owner.said()), 3)
        self.owner.seats.again(self.rid)
        self.assertEqual((self.owner.seats.changes, self.owner.said()), ({}, []))
        self.assertIsNone(self.owner.rings(For.LEAD, self.rid))
        self.owner.seats.again(self.rid)

    def test_the_tries_of_each_change_are_counted_by_themselves(self) -> None:
        for _ in range(3):
            self.owner.seats.again(self.rid)
        self.owner.seats.changes[self.rid] = (0, self.change)
        self.owner.seats.again(self.rid)
        self.assertIn(self.rid, self.owner.seats.changes)

    def test_a_change_that_was_disturbed_goes_on_after_a_quarter_of_a_second(self) -> None:
        self.owner.seats.wait(self.rid)
        self.assertEqual(self.owner.rings(For.LEAD, self.rid), 0.25)
        self.owner.seats.again(self.rid)
        self.owner.around.now += 0.9
        self.owner.seats.wait(self.rid)
        self.assertEqual(self.owner.rings(For.LEAD, self.rid), 0.25)

    def test_a_change_is_dropped_when_its_slot_has_moved_meanwhile(self) -> None:
        self.owner.directory.learn(Listed(0, later(2, A, B, C)))
        self.owner.seats.again(self.rid)
        self.assertEqual((self.owner.seats.changes, self.owner.said()), ({}, []))
        self.assertIsNone(self.owner.rings(For.LEAD, self.rid))

    def test_a_change_that_is_chosen_goes_on_until_a_later_one_is_known(self) -> None:
        self.choose()
        new = self.change.new
        self.owner.directory.learn(Listed(0, new, serves=False, before=FIRST))
        self.owner.seats.again(self.rid)
        self.assertEqual([type(message) for _to, message in self.owner.said()], [msg.Chosen] * 3)
        self.owner.directory.learn(Listed(0, later(3, A, B, C)))
        self.owner.seats.again(self.rid)
        self.assertEqual(self.owner.seats.changes, {})

    def test_when_the_new_members_have_installed_it_a_configuration_serves(self) -> None:
        self.choose()
        new = self.change.new
        self.assertEqual(self.owner.seats.over(self.rid, new, serves=True), Listed(0, new))
        self.assertEqual(self.owner.seats.changes, {})
        self.assertIsNone(self.owner.rings(For.LEAD, self.rid))

    def test_that_another_leader_has_chosen_the_same_members_does_not_mean_that_it_serves(
        self,
    ) -> None:
        self.choose()
        new = self.change.new
        listed = self.owner.seats.over(self.rid, new, serves=False)
        self.assertEqual(listed, Listed(0, new, serves=False, before=FIRST))

    def test_when_a_change_meets_another_one_that_one_is_known_and_may_not_serve_yet(self) -> None:
        other = later(2, A, B, C)
        listed = self.owner.seats.over(self.rid, other, serves=False)
        self.assertEqual(listed, Listed(0, other, serves=False, before=FIRST))

    def test_of_a_configuration_that_is_no_next_one_it_is_not_known_what_was_before(self) -> None:
        listed = Listed(0, later(4, A, B, C), serves=False, before=later(3))
        self.assertEqual(self.owner.seats.over(self.rid, later(4, A, B, C), serves=False), listed)
        self.assertEqual(self.owner.seats.changes, {})
        self.assertIsNone(self.owner.seats.over(self.rid, later(2, A, B, C), serves=False))

    def choose(self) -> None:
        for each in FIRST.members[:2]:
            to = msg.Address(FORMATION, 0, 1, 1, each.store)
            answer = msg.ChangePromised(to, self.rid, self.change.underway.ballot, None)
            self.change.on_change_promised(each.node, answer)
        for each in FIRST.members[:2]:
            to = msg.Address(FORMATION, 0, 1, 1, each.store)
            voted = msg.ChangeAccepted(to, self.rid, self.change.underway.ballot)
            self.change.on_change_accepted(each.node, voted)
        self.assertEqual(self.change.underway.step, Step.INSTALL)
        self.owner.said()


class SealedTests(SynchronousTestCase):
    def test_a_sealed_member_finishes_the_change_a_second_times_its_rank_later(self) -> None:
        for me, pause in ((A, 1.5), (B, 2.5), (C, 3.5)):
            owner = Owner()
            self.assertTrue(owner.seats.sealed(sealed_head(), me))
            self.assertEqual(owner.rings(For.FINISH, 2), pause)

    def test_there_is_nothing_to_finish_for_who_is_not_sealed_or_knows_the_result(self) -> None:
        for head, me in (
            (Head(FORMATION, 2, FIRST), A),
            (Head(FORMATION, 2, FIRST, sealed=True, newest=later(2, A)), A),
            (sealed_head(), D),
        ):
            owner = Owner()
            self.assertFalse(owner.seats.sealed(head, me))
            owner.seats.finish(head, me)
            self.assertEqual((owner.seats.changes, owner.said()), ({}, []))
            self.assertIsNone(owner.rings(For.FINISH, 2))

    def test_a_change_is_finished_with_the_same_members_where_the_choice_is_free(self) -> None:
        owner = Owner("DEBC", arc=())
        owner.seats.finish(sealed_head(), A)
        self.assertEqual(owner.wanted_of(2), "ABC")
        self.assertEqual([to for to, _message in owner.said()], ["A", "B", "C"])
        self.assertEqual(owner.rings(For.FINISH, 2), 1.5)

    def test_a_change_is_not_finished_by_who_leads_one_of_that_slot_already(self) -> None:
        owner = Owner("DEBC", arc=())
        owner.seats.finish(sealed_head(), A)
        owner.said()
        owner.seats.finish(sealed_head(), A)
        self.assertEqual((len(owner.seats.changes), owner.said()), (1, []))
        owner.seats.finish(sealed_head(3), A)
        self.assertEqual(len(owner.seats.changes), 2)


def replicas(number: int) -> Founding:
    return Founding("net", 8, 4, number, (A, B, C))


def sealed_head(slot: int = 2) -> Head:
    return Head(FORMATION, slot, FIRST, sealed=True, vote=Vote(Ballot(1, 1, "B", 1), (A, B, D)))


def settled(owner: Owner) -> Listed:
    """End the only change as its leader wishes, and return what is known of its slot then."""
    ((rid, (slot, change)),) = owner.seats.changes.items()
    old = change.underway.old
    new = Configuration(old.generation, old.epoch + 1, change.underway.wanted)
    listed = owner.seats.over(rid, new, serves=True)
    assert listed is not None
    owner.said()
    owner.seats.learned(Listed(slot, new))
    return Listed(slot, new)
