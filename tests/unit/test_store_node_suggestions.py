"""What an owner that is no member suggests, and what members do about it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.founding import Founding, Slots
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.seats import Suggestions
from chordnet.core.store.node.talk import Suggest
from chordnet.core.store.slot.reconfigure import Step
from tests.unit.store_node_support import FORMATION, FOUNDING, START, A, B, C, D, later, names
from tests.unit.test_store_node_seats import Owner, member, members


def suggestions_of(owner: Owner) -> Suggestions:
    return Suggestions(owner.around, FOUNDING, owner.directory, owner.holders, owner.seats)


def told(owner: Owner, suggested: Suggest) -> None:
    suggestions_of(owner).on_suggest(suggested)
    owner.answer_offers()


class SuggestionTests(SynchronousTestCase):
    """What an owner that is no member has a member do."""

    def suggestions(self, owner: Owner) -> list[tuple[str, Suggest]]:
        found = [
            (to, each)
            for to, said in owner.around.said.items()
            for each in said
            if isinstance(each, Suggest)
        ]
        owner.around.said.clear()
        return found

    def owner(self, present: str = "BCD", ring: str = "BCDEF") -> Owner:
        owner = Owner(ring)
        owner.directory.learn(Listed(0, later(3, *members(present))))
        return owner

    def suggested(self, owner: Owner, wanted: str, epoch: int = 1, slot: int = 0) -> str:
        """Suggest members to A, one of the present ones; return who is wanted then."""
        told(owner, Suggest(FORMATION, slot, 1, epoch, members(wanted)))
        return owner.wanted_of(slot)

    def test_an_owner_that_is_no_member_suggests_a_change_to_one_that_can_be_reached(self) -> None:
        owner = self.owner()
        owner.lost("CD", 15.0)
        self.assertEqual(owner.look(), [])
        self.assertEqual(owner.seats.changes, {})
        ((to, said),) = self.suggestions(owner)
        self.assertEqual((to, names(said.members)), ("B", "ABD"))
        self.assertEqual((said.slot, said.generation, said.epoch), (0, 1, 3))

    def test_a_suggestion_is_made_again_after_a_second_or_at_news_of_the_slot(self) -> None:
        owner = self.owner()
        owner.lost("C", 20.0)
        owner.look()
        self.assertEqual(len(self.suggestions(owner)), 1)
        owner.look(0.9)
        self.assertEqual(self.suggestions(owner), [])
        owner.look(0.2)
        self.assertEqual(len(self.suggestions(owner)), 1)
        fourth = Listed(0, later(4, *members("BCE")))
        owner.directory.learn(fourth)
        owner.seats.learned(fourth)
        owner.look(0.1)
        ((_to, said),) = self.suggestions(owner)
        self.assertEqual(said.epoch, 4)

    def test_nothing_is_suggested_if_no_member_can_be_reached(self) -> None:
        owner = self.owner()
        owner.lost("BCD", 20.0)
        owner.look()
        self.assertEqual(self.suggestions(owner), [])

    def test_so_many_suggestions_wait_at_once_as_changes_are_led(self) -> None:
        founding = Founding("net", 8, 32, 3, (B, C, D))
        owner = Owner("BCDEF", founding, range(32))
        owner.lost("C", 20.0)
        owner.look()
        self.assertEqual(len(self.suggestions(owner)), 16)
        owner.look(1.1)
        self.assertEqual(len(self.suggestions(owner)), 16)

    def test_a_configuration_that_does_not_serve_is_told_again_by_a_member(self) -> None:
        owner = Owner()
        before, present = later(3, B, C, D), later(4, B, C, member("E"))
        owner.directory.learn(Listed(0, present, serves=False, before=before))
        owner.look()
        owner.look(2.0)
        ((_to, said),) = self.suggestions(owner)
        self.assertEqual((said.epoch, said.members), (4, present.members))
        asked = Owner()
        present = later(4, A, C, D)
        asked.directory.learn(Listed(0, present, serves=False, before=before))
        told(asked, Suggest(FORMATION, 0, 1, 4, present.members))
        ((_slot, change),) = asked.seats.changes.values()
        self.assertEqual((change.underway.step, change.new), (Step.INSTALL, present))
        other = Owner()
        other.directory.learn(Listed(0, later(4, B, C, D), serves=False, before=before))
        told(other, Suggest(FORMATION, 0, 1, 4, (B, C, D)))
        self.assertEqual(other.seats.changes, {})

    def test_a_member_leads_what_is_suggested_if_it_finds_nothing_wrong(self) -> None:
        owner = Owner()
        owner.lost("C", 1.0)
        self.assertEqual(self.suggested(owner, "ABD"), "ABD")
        self.assertEqual(self.suggested(owner, "ABE"), "ABD")  # one at a time

    def test_a_member_asks_those_that_are_to_come_itself(self) -> None:
        owner = Owner()
        owner.lost("C", 1.0)
        suggestions_of(owner).on_suggest(Suggest(FORMATION, 0, 1, 1, members("ABD")))
        self.assertEqual(owner.wanted_of(0), "")
        suggestions_of(owner).on_suggest(Suggest(FORMATION, 0, 1, 1, members("ABD")))
        ((to, _offer),) = owner.offers()
        self.assertEqual(to, "D")

    def test_what_is_suggested_for_another_epoch_or_by_a_wrong_number_is_let_go(self) -> None:
        for epoch, slot in ((2, 0), (0, 0), (1, 4)):
            owner = Owner()
            owner.lost("C", 20.0)
            self.assertEqual(self.suggested(owner, "ABD", epoch, slot), "")
        owner = Owner()
        owner.directory.learn(Listed(0, later(2, B, C, D)))
        owner.lost("C", 20.0)
        self.assertEqual(self.suggested(owner, "ABD", 2), "")

    def test_only_disks_that_have_spoken_for_themselves_are_let_in(self) -> None:
        def silent(owner: Owner) -> None:
            del owner.around.heard["D"]

        for spoil in (
            lambda owner: owner.other_disk("D"),
            lambda owner: owner.vacates("D"),
            lambda owner: owner.lost("D", 1.0),
            lambda owner: owner.holders.pop("D"),
            silent,
        ):
            owner = Owner()
            owner.lost("C", 20.0)
            spoil(owner)
            self.assertEqual(self.suggested(owner, "ABD"), "")

    def test_a_node_that_is_not_known_is_greeted_and_not_again_immediately(self) -> None:
        owner = Owner()
        owner.lost("C", 20.0)
        del owner.holders["D"]
        suggestions = suggestions_of(owner)
        for after, greeted in ((0.0, ["D"]), (1.0, []), (1.1, ["D"])):
            owner.around.now += after
            suggestions.on_suggest(Suggest(FORMATION, 0, 1, 1, members("ABD")))
            self.assertEqual(owner.wanted_of(0), "")
            self.assertEqual(list(owner.around.unknown), greeted)
            owner.around.unknown.clear()

    def test_a_stranger_cannot_have_any_number_of_nodes_greeted(self) -> None:
        owner = Owner()
        suggestions = suggestions_of(owner)
        for number in range(100):
            comer = Member(f"unknown {number}", 1)
            suggestions.on_suggest(Suggest(FORMATION, 0, 1, 1, (A, B, comer)))
        self.assertEqual(len(owner.around.unknown), 64)

    def test_a_live_member_gives_way_only_to_a_node_nearer_to_the_place_or_when_it_leaves(
        self,
    ) -> None:
        # Clockwise from the place of slot 0: D is at 63, A at 85, B at 223, F at 246.
        for later_epoch in (1, 2):
            for wanted in ("ABD", "ABF"):
                owner = Owner()
                if later_epoch > 1:
                    owner.directory.learn(Listed(0, later(2, A, B, C)))
                found = self.suggested(owner, wanted, later_epoch)
                nearer = Slots(8, 4).clockwise(0, ["C", wanted[-1]])[0] != "C"
                self.assertEqual(bool(found), nearer, wanted)
        for act in (
            lambda owner: owner.vacates("C"),
            lambda owner: owner.other_disk("C"),
            lambda owner: owner.lost("C", 0.1),
            lambda owner: owner.around.heard.update(C=START - 10.1),
        ):
            owner = Owner()
            act(owner)
            self.assertEqual(self.suggested(owner, "ABF"), "ABF")

    def test_a_live_member_that_others_miss_is_asked_which_disk_it_has(self) -> None:
        owner = Owner()
        suggestions = suggestions_of(owner)
        suggestions.on_suggest(Suggest(FORMATION, 0, 1, 1, members("ABF")))
        self.assertEqual((owner.wanted_of(0), list(owner.around.unknown)), ("", ["C"]))
        owner.other_disk("C")
        told(owner, Suggest(FORMATION, 0, 1, 1, members("ABF")))
        self.assertEqual(owner.wanted_of(0), "ABF")

    def test_no_more_seats_change_than_may_except_at_first(self) -> None:
        owner = Owner()
        owner.directory.learn(Listed(0, later(2, A, B, C)))
        owner.lost("BC", 20.0)
        self.assertEqual(self.suggested(owner, "ADE", 2), "")
        self.assertEqual(self.suggested(owner, "ABCD", 2), "")
        owner = Owner()
        owner.lost("BC", 20.0)
        self.assertEqual(self.suggested(owner, "ADE"), "ADE")

    def test_the_number_of_members_falls_only_by_those_that_leave(self) -> None:
        owner = Owner()
        owner.lost("C", 20.0)
        self.assertEqual(self.suggested(owner, "AB"), "")
        self.assertEqual(self.suggested(owner, ""), "")
        owner.vacates("C")
        self.assertEqual(self.suggested(owner, "AB"), "AB")
        ((_slot, change),) = owner.seats.changes.values()
        self.assertEqual(change.underway.needed, (A, B))

    def test_members_that_are_as_they_are_are_no_change(self) -> None:
        owner = Owner()
        self.assertEqual(self.suggested(owner, "CBA"), "")
