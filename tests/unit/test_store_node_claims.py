"""What a node believes of what others say about the configurations of slots."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Member, Recovery
from chordnet.core.store.base.effects import AllDropped, HeadKept
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.records import EMPTY, GROUND, Content, Record
from chordnet.core.store.base.requests import Get
from chordnet.core.store.node.claims import CLAIMANTS, Claims
from chordnet.core.store.node.directory import Directory, Listed
from chordnet.core.store.node.surroundings import Place
from chordnet.core.store.node.talk import Lists, Where
from tests.unit.store_node_support import (
    FIRST,
    FORMATION,
    FOUNDING,
    A,
    B,
    C,
    D,
    E,
    F,
    Node,
    address,
    later,
    surroundings,
)

SECOND = later(2, A, B, D)
SURE = Listed(1, SECOND)
UNSURE = Listed(1, SECOND, serves=False, before=FIRST)
X, Y, Z = (Member(name, 77) for name in "XYZ")
INVENTED = Configuration(1, 1000, (X, Y, Z))
FALSE = Listed(1, INVENTED)
KEY = b"b"
"""It lives in slot 0."""


class Hearer:
    """The claims that one node has heard, in a formation of A, B and C."""

    def __init__(self, me: Member = D, near: str = "XEF", founding: Founding = FOUNDING) -> None:
        self.around = surroundings(me)
        self.around.place = Place(True, None, tuple(near))
        self.directory = Directory(founding)
        self.believed: list[Listed] = []
        self.claims = Claims(self.around, FORMATION, self.directory, self._believe)

    def _believe(self, listed: Listed) -> None:
        assert self.directory.learn(listed)
        self.believed.append(listed)

    def hear(self, sender: str, listed: Listed) -> None:
        self.around.hear(sender)
        self.claims.take(sender, listed)

    def wait(self, seconds: float) -> list[str]:
        """Let time pass; return who was asked meanwhile."""
        around, asked = self.around, list[str]()
        end = around.now + seconds
        while (at := around.alarms.next()) is not None and at <= end:
            around.now = at
            around.alarms.due(at)
            self.claims.look()
            asked += self.asked()
        around.now = end
        return asked

    def asked(self) -> list[str]:
        said = [(to, each) for to, many in self.around.said.items() for each in many]
        self.around.said.clear()
        return [to for to, each in said if isinstance(each, Where)]

    def lose(self, names: Iterable[str]) -> None:
        for name in names:
            self.around.lose(name)


class BeliefTests(SynchronousTestCase):
    def test_a_member_is_believed_and_nobody_else(self) -> None:
        for sender, believed in (("A", [SURE]), ("B", [SURE]), ("X", []), ("E", [])):
            hearer = Hearer()
            hearer.hear(sender, SURE)
            self.assertEqual(hearer.believed, believed, sender)

    def test_a_node_that_only_its_own_claim_names_is_no_member(self) -> None:
        hearer = Hearer()
        hearer.hear("X", FALSE)
        self.assertFalse(hearer.claims.trusts("X", 1))
        self.assertEqual(hearer.believed, [])

    def test_members_of_the_configuration_before_are_believed_until_the_next_one_serves(
        self,
    ) -> None:
        hearer = Hearer()
        hearer.hear("A", UNSURE)
        self.assertTrue(hearer.claims.trusts("C", 1))
        self.assertTrue(hearer.claims.trusts("D", 1))
        hearer.hear("C", SURE)
        self.assertEqual(hearer.believed, [UNSURE, SURE])
        self.assertFalse(hearer.claims.trusts("C", 1))

    def test_a_node_trusts_itself(self) -> None:
        self.assertTrue(Hearer(E).claims.trusts("E", 0))

    def test_what_jumps_far_ahead_is_believed_from_nobody(self) -> None:
        for generation, epoch in ((1, 2 + (1 << 20)), (2 + (1 << 20), 2), (1 << 60, 1 << 60)):
            hearer = Hearer()
            hearer.hear("A", Listed(1, Configuration(generation, epoch, (A, B))))
            self.assertEqual(hearer.believed, [])
        hearer.hear("A", Listed(1, Configuration(1, 1 + (1 << 20), (A, B))))
        self.assertEqual(len(hearer.believed), 1)

    def test_what_is_known_or_cannot_be_makes_no_question(self) -> None:
        for listed in (Listed(1, FIRST), Listed(9, SECOND), Listed(1, later(2))):
            hearer = Hearer()
            hearer.hear("X", listed)
            self.assertEqual(hearer.wait(60.0), [])


class AskingTests(SynchronousTestCase):
    def test_one_member_is_asked_about_a_strangers_claim_and_its_answer_is_believed(self) -> None:
        hearer = Hearer()
        hearer.hear("X", SURE)
        (asked,) = hearer.wait(0.02)
        self.assertIn(asked, "ABC")
        hearer.hear(asked, SURE)
        self.assertEqual(hearer.believed, [SURE])
        self.assertEqual(hearer.wait(200.0), [])

    def test_all_members_are_asked_if_the_first_does_not_confirm_it_soon(self) -> None:
        hearer = Hearer()
        hearer.hear("X", SURE)
        hearer.wait(0.02)
        hearer.hear("A", Listed(1, FIRST))
        self.assertEqual(hearer.wait(0.4), ["A", "B", "C"])

    def test_who_is_out_of_reach_is_not_asked(self) -> None:
        hearer = Hearer()
        hearer.lose("AC")
        hearer.hear("X", SURE)
        self.assertEqual(hearer.wait(0.4), ["B", "B"])

    def test_a_false_claim_is_asked_about_ever_less_and_then_forgotten(self) -> None:
        hearer = Hearer()
        hearer.hear("X", FALSE)
        asked = 0
        for _ in range(200):
            hearer.wait(1.0)
            hearer.around.hear("A")
            asked += len(hearer.asked())
        self.assertEqual(hearer.believed, [])
        self.assertEqual(hearer.around.alarms.next(), None)
        self.assertLess(asked, 50)

    def test_many_slots_are_asked_about_together(self) -> None:
        founding = Founding("net", 16, 512, 3, (A, B, C))
        hearer = Hearer(founding=founding)
        hearer.lose("AB")
        for slot in range(300):
            hearer.hear("X", Listed(slot, SECOND))
        self.assertEqual(hearer.wait(0.02), ["C", "C"])

    def test_the_claims_of_a_few_nodes_are_remembered_and_the_oldest_gives_way(self) -> None:
        hearer = Hearer()
        for number in range(2 * CLAIMANTS):
            hearer.hear(f"liar {number}", Listed(1, later(number + 2, X)))
        said = hearer.claims._doubts[1].said
        self.assertEqual(list(said), [f"liar {number}" for number in range(8, 16)])
        hearer.hear("liar 8", FALSE)
        self.assertEqual(list(said)[-1], "liar 8")
        self.assertEqual(len(said), CLAIMANTS)


class SilentMembersTests(SynchronousTestCase):
    """A node that was away, and all that it knew have gone."""

    def test_two_that_say_the_same_are_believed_if_no_member_can_be_reached(self) -> None:
        hearer = Hearer()
        hearer.lose("ABC")
        hearer.hear("E", SURE)
        self.assertEqual(hearer.wait(0.02), ["X", "E", "F"])
        self.assertEqual(hearer.believed, [])
        hearer.hear("F", SURE)
        hearer.wait(0.02)
        self.assertEqual(hearer.believed, [SURE])

    def test_one_is_not_believed_whatever_it_says_and_however_often(self) -> None:
        hearer = Hearer()
        hearer.lose("ABC")
        for number in range(100):
            hearer.lose("ABC")
            hearer.hear("X", Listed(1, later(2 + number, X)))
            hearer.wait(1.0)
        self.assertEqual(hearer.believed, [])

    def test_a_liar_beside_two_honest_nodes_does_not_keep_them_from_being_believed(self) -> None:
        hearer = Hearer()
        hearer.lose("ABC")
        for sender, said in (("X", FALSE), ("E", SURE), ("F", SURE)):
            hearer.hear(sender, said)
        hearer.wait(0.02)
        self.assertEqual(hearer.believed, [SURE])

    def test_who_knows_that_it_serves_says_as_well_that_it_is_chosen(self) -> None:
        hearer = Hearer()
        hearer.lose("ABC")
        hearer.hear("E", UNSURE)
        hearer.hear("F", SURE)
        hearer.wait(0.02)
        self.assertEqual(hearer.believed, [UNSURE])

    def test_members_that_were_asked_and_are_silent_for_a_second_count_as_gone(self) -> None:
        hearer = Hearer()
        hearer.hear("E", SURE)
        hearer.hear("F", SURE)
        hearer.wait(0.99)
        self.assertEqual(hearer.believed, [])
        hearer.wait(0.05)
        self.assertEqual(hearer.believed, [SURE])

    def test_two_members_that_speak_and_do_not_confirm_it_are_enough_against_two(self) -> None:
        hearer = Hearer()
        hearer.hear("X", FALSE)
        hearer.hear("E", FALSE)
        for _ in range(30):
            hearer.wait(0.5)
            hearer.around.hear("C")
            hearer.around.hear("B")
            hearer.lose("A")
        self.assertEqual(hearer.believed, [])

    def test_one_member_that_was_away_as_well_is_enough_against_two_for_five_seconds(self) -> None:
        hearer = Hearer()
        hearer.hear("E", SURE)
        hearer.hear("F", SURE)
        for _ in range(9):
            hearer.wait(0.5)
            hearer.around.hear("C")
            hearer.lose("AB")
        self.assertEqual(hearer.believed, [])
        hearer.wait(1.0)
        self.assertEqual(hearer.believed, [SURE])

    def test_the_only_other_node_is_believed_after_a_minute(self) -> None:
        hearer = Hearer(near="E")
        hearer.lose("ABC")
        hearer.hear("E", SURE)
        for _ in range(58):
            hearer.lose("ABC")
            hearer.wait(1.0)
        self.assertEqual(hearer.believed, [])
        for _ in range(20):
            hearer.lose("ABC")
            hearer.wait(1.0)
        self.assertEqual(hearer.believed, [SURE])

    def test_the_minute_begins_when_there_is_only_one_other_node(self) -> None:
        hearer = Hearer(near="E")
        hearer.lose("ABC")
        hearer.hear("E", SURE)
        hearer.wait(50.0)
        hearer.around.settled = hearer.around.now
        for believed, seconds in (([], 58), ([SURE], 3)):
            for _ in range(seconds):
                hearer.lose("ABC")
                hearer.wait(1.0)
            self.assertEqual(hearer.believed, believed)


class NodeTests(SynchronousTestCase):
    """What a whole node does about words of a stranger, called X."""

    def said(self, node: Node, *messages: object) -> None:
        node.sent.clear()
        node.entries.clear()
        node.hear("X", *messages)  # type: ignore[arg-type]

    def holder(self) -> Node:
        records = (
            (
                1,
                b"k",
                Record(Ballot(1, 1, "B", 1), Ballot(1, 1, "B", 1), Content(b"v", 1, None, ())),
            ),
        )
        return Node(kept=Kept(1, 1, FOUNDING, FOUNDING, (), records), near=("X", "B", "C"))

    def test_no_word_of_a_stranger_seals_a_member_or_empties_it_or_reaches_its_disk(self) -> None:
        mine = Configuration(1, 2, (A, X, Y))
        for message in (
            Lists(FORMATION, (FALSE,)),
            Lists(FORMATION, (replace(FALSE, serves=False, before=later(999, X)),)),
            Lists(FORMATION, (Listed(1, mine),)),
            msg.Chosen(address(A, 1, 1000), 7, later(999, X), INVENTED),
            msg.Chosen(address(A, 1, 2), 7, FIRST, mine),
            msg.Forget(address(A, 1), 7, INVENTED),
            msg.Forget(address(A, 1), 7, later(2, B, C)),
            msg.AcceptChange(address(A, 1), 7, Ballot(1, 9, "X", 1), (X, Y, Z)),
            msg.PrepareChange(address(A, 1), 7, Ballot(1, 1 << 61, "X", 1)),
            msg.Refused(address(A, 1), 7, msg.Why.MOVED, FORMATION, 1, INVENTED, sealed=True),
            msg.Snapshot(address(A, 1, 1000), 7, None, (), GROUND, more=False),
            msg.Installed(address(A, 1, 1000), 7),
        ):
            node = self.holder()
            self.said(node, message)
            node.wait(1.0)
            for name in "BC":
                node.hear(name, Lists(FORMATION, (Listed(1, FIRST),)))
            node.wait(200.0)
            kept = [each for each in node.entries if isinstance(each, HeadKept | AllDropped)]
            self.assertEqual(kept, [], message)
            self.assertEqual(node.formation.directory.of(1), Listed(1, FIRST))
            self.assertEqual(node.machine.stock, (1, 2))
            self.assertEqual(node.take(Lists), [])

    def test_an_operation_stays_with_the_members_that_are_known(self) -> None:
        node = Node(near=("X", "B", "C"))
        node.ask(1, Get(KEY))
        node.wait(0.1)
        member, read = node.take(msg.Read)[0]
        self.said(node, Lists(FORMATION, (Listed(0, INVENTED),)))
        self.assertEqual(node.to(msg.Read), [])
        node.hear(member, msg.Told(read.address, read.rid, NONE, EMPTY))
        self.assertEqual(list(node.outcomes), [1])

    def test_the_state_of_a_slot_is_not_fetched_from_where_a_stranger_says(self) -> None:
        node = Node(D, near=("X", "E"))
        node.hear("A", Lists(FORMATION, (UNSURE,)))
        told = msg.Chosen(address(D, 1, 2), 7, later(1, X, Y, Z), SECOND)
        self.said(node, told)
        self.assertEqual(node.to(msg.Fetch), ["A", "A", "B", "B", "C"])

    def test_a_stranger_that_leads_what_is_chosen_is_told_when_it_is_installed(self) -> None:
        node = Node(D, near=("X", "E"))
        node.hear("A", Lists(FORMATION, (SURE,)))
        self.said(node, msg.Chosen(address(D, 1, 2), 7, FIRST, SECOND))
        self.assertEqual(sorted(set(node.to(msg.Fetch))), ["A", "B"])
        node.hear("A", msg.Snapshot(address(A, 1, 2), 7, None, (), GROUND, more=False))
        self.assertEqual(node.take(msg.Installed), [("X", msg.Installed(address(D, 1, 2), 7))])

    def test_a_new_member_that_hears_of_it_by_a_stranger_asks_and_then_installs(self) -> None:
        node = Node(D, near=("X", "E"))
        self.said(node, msg.Chosen(address(D, 1, 2), 7, FIRST, SECOND))
        self.assertEqual(node.to(msg.Fetch), [])
        node.wait(0.02)
        ((member, where),) = node.take(Where)
        self.assertEqual(where.slots, (1,))
        node.hear(member, Lists(FORMATION, (UNSURE,)))
        node.wait(0.31)
        self.assertEqual(node.to(msg.Fetch), ["A", "A", "B", "B", "C"])

    def test_records_are_deleted_when_a_member_says_that_others_hold_the_slot(self) -> None:
        node = self.holder()
        without = later(2, B, C, D)
        node.hear("B", msg.Forget(address(A, 1), 7, without))
        self.assertEqual(node.to(msg.Forgotten), ["B"])
        self.assertEqual(node.machine.stock, (0, 0))
        self.assertEqual(node.formation.directory.of(1), Listed(1, without))
        node.hear("B", msg.Forget(address(A, 1), 7, without))
        self.assertEqual(node.to(msg.Refused), ["B"])

    def test_a_stranger_is_told_what_is_believed_and_not_what_was_said(self) -> None:
        node = Node(near=("X", "B", "C"))
        self.said(node, Lists(FORMATION, (FALSE,)))
        node.hear("E", Where(FORMATION, (1, 1, 1)))
        self.assertEqual(node.take(Lists), [("E", Lists(FORMATION, (Listed(1, FIRST),)))])

    def test_words_of_a_foreign_formation_are_let_go(self) -> None:
        node = Node(near=("B", "C"))
        for message in (
            msg.Chosen(replace(address(A, 1, 2), formation=bytes(16)), 7, FIRST, SECOND),
            msg.Forget(replace(address(A, 1), formation=bytes(16)), 7, later(2, B, C)),
        ):
            node.hear("B", message)
        self.assertEqual(node.formation.directory.of(1), Listed(1, FIRST))

    def test_a_node_that_was_away_for_long_finds_the_members_of_now(self) -> None:
        node = Node(D, near=("X", "E", "F"))
        for name in "ABC":
            node.machine.around.lose(name)
        seventh = Listed(0, later(7, E, F))
        node.ask(1, Get(KEY))
        self.assertEqual(sorted(node.to(Where)), ["A", "B", "C", "E", "F", "X"])
        node.take(msg.Read)
        node.hear("X", Lists(FORMATION, (Listed(0, INVENTED),)))
        for name in "EF":
            node.hear(name, Lists(FORMATION, (seventh,)))
        node.wait(0.1)
        self.assertEqual(set(node.to(msg.Read)), {"E", "F"})
        for member in (E, F):
            ((to, rid),) = {
                (msg.Address(FORMATION, 0, 1, 7, member.store), o.operation.rid)
                for o in node.formation.asking.ongoing.values()
            }
            node.hear(member.node, msg.Told(to, rid, NONE, EMPTY))
        self.assertEqual(list(node.outcomes), [1])


class RecoveryTests(SynchronousTestCase):
    """What a member lets a stranger do by the word that the slot is lost."""

    def setUp(self) -> None:
        self.node = Node(near=("X", "B", "C"))
        self.new = Configuration((1 << 40) + 1, 2, (X, Y, Z))

    def recovered(self, left: Configuration) -> bool:
        order = msg.Recover(address(A, 1), 7, Recovery(self.new, left))
        self.node.sent.clear()
        self.node.entries.clear()
        self.node.hear("X", order)
        return any(isinstance(each, HeadKept) for each in self.node.entries)

    def test_a_slot_is_not_recovered_while_a_majority_of_its_members_is_there(self) -> None:
        self.node.hear("B", Lists(FORMATION, (Listed(1, FIRST),)))
        self.assertFalse(self.recovered(replace(FIRST, members=(A,))))
        ((_to, refused),) = self.node.take(msg.Refused, "X")
        self.assertEqual(refused.why, msg.Why.STRANGER)

    def test_a_slot_whose_other_members_are_lost_is_recovered_by_whoever_orders_it(self) -> None:
        self.node.hear("B", Lists(FORMATION, (Listed(1, FIRST),)))
        self.node.machine.around.lose("B")
        self.node.wait(1.0)
        self.assertTrue(self.recovered(replace(FIRST, members=(A,))))

    def test_who_asks_what_is_left_has_a_member_find_out_who_is_there(self) -> None:
        self.node.hear("X", msg.Inquire(address(A, 1), 7, 0))
        self.assertEqual(self.node.to(Where), ["B", "C"])

    def test_a_promise_far_ahead_of_any_recovery_is_not_given(self) -> None:
        self.node.hear("X", msg.Inquire(address(A, 1), 7, (1 << 62) - 1))
        self.assertEqual([e for e in self.node.entries if isinstance(e, HeadKept)], [])
