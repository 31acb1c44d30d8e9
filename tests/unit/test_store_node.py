"""A node's store: letters, hails, and the formation that it belongs to."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import effects as fx
from chordnet.core.store.base import events as ev
from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept, Mark
from chordnet.core.store.base.messages import Address
from chordnet.core.store.base.outcomes import Done, Unavailable
from chordnet.core.store.base.records import Applied, Content, Record
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.begin.hails import Hail, fault_of
from chordnet.core.store.begin.voices import Voices
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.holdings import StoreView
from chordnet.core.store.node.seats import Holder
from chordnet.core.store.node.surroundings import For
from chordnet.core.store.node.talk import Lists, read
from tests.unit.store_node_support import (
    FORMATION,
    FOUNDING,
    NEAR,
    A,
    B,
    C,
    D,
    E,
    Node,
    address,
    hail,
)

CONTENT = Content(b"value", 1, None, (Applied(1, b"r"),))
ALONE = Founding("net", 8, 4, 3, (A,))
"""The formation of one that A founds when it knows of nobody."""
Z = Member("Z", 26)
BY_Z = Founding("net", 8, 4, 3, (Z,))
OTHERS = Founding("net", 8, 4, 3, (B, C, D))


def alone(**more: object) -> Node:
    """Return a node with an empty formation of one."""
    return Node(A, ALONE, founders=("A",), **more)  # type: ignore[arg-type]


def adopted() -> Node:
    """Return a node that has adopted the formation of one of Z, which leaves it then."""
    node = Node(A, None, founders=(), kept=Kept(A.store, 1), near=())
    node.near("Z", before=None)
    node.hear("Z", hail(Z, BY_Z, empty=True))
    node.near(*NEAR)
    assert node.machine.founding == BY_Z
    return node


class DroppedFormationTests(SynchronousTestCase):
    """An empty formation of one gives way to a lasting one."""

    def test_a_formation_of_one_that_is_empty_gives_way_to_one_of_several_founders(self) -> None:
        node = alone()
        self.assertEqual(node.machine.founding, ALONE)
        node.hear("B", hail(B, OTHERS))
        self.assertEqual(node.machine.founding, OTHERS)
        self.assertEqual(node.entries, [fx.FoundingKept(OTHERS)])

    def test_the_word_of_one_stranger_is_not_enough_for_it_to_give_way_soon(self) -> None:
        node = alone()
        for _ in range(3):
            node.hear("X", hail(Member("X", 24), OTHERS))
            node.wait(9.9)
        self.assertEqual(node.machine.founding, ALONE)
        node.hear("Y", hail(Member("Y", 25), OTHERS))
        self.assertEqual(node.machine.founding, OTHERS)

    def test_after_half_a_minute_the_only_voice_is_enough_for_it_to_give_way(self) -> None:
        node = alone()
        node.hear("X", hail(Member("X", 24), OTHERS))
        node.wait(30.0)
        node.hear("X", hail(Member("X", 24), OTHERS))
        self.assertEqual(node.machine.founding, OTHERS)

    def test_nothing_is_promised_in_a_formation_that_a_hail_of_the_same_letter_ends(self) -> None:
        node = alone()
        to = Address(ALONE.id, 0, 1, 1, A.store)
        prepare = msg.Prepare(to, 5, b"b", Ballot(1, 1, "B", 1))
        node.hear("B", prepare, hail(B, OTHERS))
        self.assertEqual(node.machine.founding, OTHERS)
        self.assertEqual(node.entries, [fx.FoundingKept(OTHERS)])
        ((_to, refused),) = node.take(msg.Refused)
        self.assertEqual(refused.formation, OTHERS.id)

    def test_operations_of_a_formation_that_ends_are_answered(self) -> None:
        node = adopted()
        node.ask(1, Get(b"b"))
        node.ask(2, Put(b"b", b"new", b"mine"))
        node.hear("Z", hail(Z, OTHERS))
        missing = Unavailable(1, (Z,), 1)
        self.assertEqual(node.outcomes, {1: missing, 2: missing})

    def test_an_operation_that_waits_for_news_of_its_slot_ends_with_its_formation(self) -> None:
        node = adopted()
        node.step(ev.Lost("Z"))
        node.ask(1, Get(b"b"))
        self.assertEqual(node.outcomes, {})
        node.hear("Z", hail(Z, OTHERS))
        self.assertEqual(node.outcomes, {1: Unavailable(1, (Z,), 1)})

    def test_alarms_of_a_formation_that_has_ended_ring_no_more(self) -> None:
        node = adopted()
        news = Listed(0, Configuration(1, 2, (A, Z)))
        node.hear("Z", Lists(BY_Z.id, (news,)))
        self.assertTrue(node.machine.around.alarms.is_set((For.TELL, 0)))
        node.hear("Z", hail(Z, OTHERS))
        alarms = node.machine.around.alarms
        self.assertFalse(alarms.is_set((For.TELL, 0)))
        self.assertFalse(alarms.is_set((For.INSTALL, 0)))
        # Hails, a look at the slots, and repair go on; from when the new formation began.
        self.assertTrue(alarms.is_set((For.HAIL, 0)))
        self.assertTrue(alarms.is_set((For.SEATS, 0)))
        self.assertTrue(alarms.is_set((For.REPAIR, 0)))
        node.take(Hail)
        node.wait(14.99)
        self.assertEqual(node.to(Hail), [])
        node.wait(0.01)
        self.assertEqual(node.to(Hail), ["B", "C", "D", "E", "F"])

    def test_who_holds_a_store_in_a_formation_that_has_ended_is_forgotten(self) -> None:
        node = adopted()
        node.hear("C", hail(C, BY_Z))
        self.assertEqual(list(node.machine.holders), ["A", "Z", "C"])
        node.hear("Z", hail(Z, OTHERS))
        self.assertEqual(
            node.machine.holders, {"A": Holder(1, True, False), "Z": Holder(26, True, False)}
        )


class MisfitTests(SynchronousTestCase):
    """A disk with which a node may not take part in the store."""

    def refused(self, kept: Kept, **settings: object) -> Node:
        node = Node(A, kept=kept, **settings)  # type: ignore[arg-type]
        self.assertEqual(len(node.alarms), 1)
        self.assertEqual(node.notes, node.order)
        node.hear("B", hail(B))
        node.near("B")
        node.step(ev.Vacate())
        node.wait(20.0)
        self.assertEqual(len(node.notes), 1)
        self.assertEqual((node.sent, node.entries), ([], []))
        self.assertIsNone(node.machine.founding)
        self.assertIsNone(node.machine.deadline)
        self.assertEqual(node.machine.misfit, node.alarms[0])
        return node

    def test_a_node_keeps_out_of_the_store_with_a_disk_of_another_network(self) -> None:
        node = self.refused(Kept(1, 1, FOUNDING, FOUNDING), network="other")
        self.assertEqual(
            node.alarms[0],
            f"this disk is of the store {FORMATION.hex()}, for the network net of 8 bits, and"
            " this node was started for the network other of 8 bits: it keeps out of the store;"
            " start it as before, or with an empty store",
        )

    def test_a_node_keeps_out_of_the_store_with_a_disk_of_a_ring_of_other_identifiers(self) -> None:
        self.refused(Kept(1, 1, FOUNDING, FOUNDING), bits=16)

    def test_a_node_keeps_out_of_the_store_with_a_vote_for_another_network(self) -> None:
        self.refused(Kept(1, 1, FOUNDING, None), network="other")

    def test_a_node_keeps_out_of_the_store_with_the_disk_of_a_founder_of_another_name(self) -> None:
        disks = Founding("net", 8, 4, 3, (Member("A", 2), Member("X", 1)))
        node = self.refused(Kept(1, 1, None, disks))
        self.assertEqual(
            node.alarms[0],
            f"this disk is that of X in the store {disks.id.hex()}, and this node is called A:"
            " it keeps out of the store; start it under that name, or with an empty store",
        )
        self.refused(Kept(1, 1, disks, None))
        self.refused(Kept(1, 1, disks, Founding("net", 8, 4, 3, (Member("A", 1), Member("B", 2)))))

    def test_a_disk_fits_whose_formation_names_it_or_has_other_disks_only(self) -> None:
        others = Founding("net", 8, 4, 3, (Member("A", 2), Member("B", 3)))
        mine = Founding("net", 8, 4, 3, (Member("A", 1), Member("B", 3)))
        for vote, founding in ((None, others), (mine, mine), (mine, others), (mine, None)):
            node = Node(A, kept=Kept(1, 1, vote, founding))
            self.assertEqual(node.alarms, [])
            self.assertEqual(node.machine.misfit, "")
            self.assertEqual(node.machine.founding, founding)


class HoldersTests(SynchronousTestCase):
    """What is remembered of other nodes' stores."""

    def test_what_a_node_of_the_same_formation_says_of_its_store_is_remembered(self) -> None:
        node = Node()
        self.assertEqual(node.machine.holders, {"A": Holder(1, seat=True, vacating=False)})
        node.hear("B", hail(B, seat=False, vacating=True))
        node.hear("C", hail(Member("C", 9)))
        node.hear("D", hail(D, OTHERS))
        node.hear("E", hail(Member("E", 5), None))
        self.assertEqual(
            node.machine.holders,
            {
                "A": Holder(1, seat=True, vacating=False),
                "B": Holder(2, seat=False, vacating=True),
                "C": Holder(9, seat=True, vacating=False),
            },
        )

    def test_a_node_without_a_seat_holds_none_itself(self) -> None:
        node = Node(seat=False)
        self.assertEqual(node.machine.holders, {"A": Holder(1, seat=False, vacating=False)})

    def test_stores_of_4096_nodes_and_of_this_one_are_remembered_and_the_last_heard_stay(
        self,
    ) -> None:
        node = Node()
        for number in range(4100):
            node.hear(f"n{number}", hail(Member(f"n{number}", number)))
        holders = node.machine.holders
        self.assertIn(len(holders), (4096, 4097))
        self.assertIn("A", holders)
        self.assertNotIn("n3", holders)
        self.assertEqual(holders["n4099"].store, 4099)
        self.assertEqual(len(node.machine.around.heard), 4096)


class HailTests(SynchronousTestCase):
    """Whom a node greets, and when."""

    def test_a_node_greets_each_new_neighbour_at_once_and_asks_for_an_answer(self) -> None:
        node = Node(near=())
        node.near("B", "C", before="D")
        hails = node.take(Hail)
        self.assertEqual([to for to, _hail in hails], ["B", "C", "D"])
        self.assertTrue(all(each.asks for _to, each in hails))
        node.near("B", "E", before="D")
        self.assertEqual(node.to(Hail), ["E"])

    def test_a_node_that_is_in_no_ring_greets_nobody(self) -> None:
        node = Node(near=())
        node.near("B", member=False)
        node.wait(30.0)
        self.assertEqual((node.sent, node.machine.founding), ([], None))

    def test_a_node_that_comes_into_a_ring_greets_those_that_it_knew_of_before(self) -> None:
        node = Node(near=())
        node.near("B", member=False)
        node.near("B")
        self.assertEqual(node.to(Hail), ["B", "F"])

    def test_a_node_that_has_left_its_ring_greets_nobody_until_it_is_in_one_again(self) -> None:
        node = Node()
        node.near("B", member=False)
        node.sent.clear()
        node.wait(30.0)
        self.assertEqual(node.to(Hail), [])
        node.near("B", "C")
        node.take(Hail)
        node.wait(15.0)
        self.assertEqual(node.to(Hail), ["B", "C", "F"])

    def test_a_node_greets_its_nearest_neighbours_every_15_seconds(self) -> None:
        node = Node(near=())
        node.near("B", "C", "D", "E", "G", "H", before="F")
        node.take(Hail)
        for _ in range(2):
            node.wait(14.9)
            self.assertEqual(node.to(Hail), [])
            node.wait(0.1)
            self.assertEqual(node.to(Hail), ["B", "C", "D", "E", "F"])

    def test_a_change_of_the_ring_changes_nothing_about_when_neighbours_are_greeted(self) -> None:
        node = Node()
        node.wait(14.0)
        node.near("B", "C")
        node.take(Hail)
        for _ in range(2):
            node.wait(0.9)
            self.assertEqual(node.to(Hail), [])
            node.wait(0.2)
            self.assertEqual(node.to(Hail), ["B", "C", "F"])
            node.wait(13.9)

    def test_a_node_greets_those_that_hold_the_slots_in_its_care_as_well(self) -> None:
        node = Node(near=())
        node.near("F", before="F")
        node.hear("B", Lists(FORMATION, (Listed(0, Configuration(1, 2, (A, D))),)))
        node.take(Hail)
        node.wait(15.0)
        self.assertEqual(sorted(node.to(Hail)), ["B", "C", "D", "F"])

    def test_a_node_without_a_formation_greets_twice_a_second_and_its_founders_as_well(
        self,
    ) -> None:
        node = Node(A, None, near=())
        node.near("D", before="D")
        node.take(Hail)
        for _ in range(2):
            node.wait(0.49)
            self.assertEqual(node.to(Hail), [])
            node.wait(0.01)
            self.assertEqual(node.to(Hail), ["B", "C", "D"])

    def test_a_greeting_that_asks_is_answered_with_one_that_does_not(self) -> None:
        node = Node()
        node.take(Hail)
        node.hear("X", hail(Member("X", 24), asks=True))
        ((to, answer),) = node.take(Hail)
        self.assertEqual((to, answer.asks), ("X", False))
        node.hear("X", hail(Member("X", 24)))
        self.assertEqual(node.take(Hail), [])

    def test_a_greeting_says_what_the_node_is(self) -> None:
        node = Node(kept=Kept(1, 6, FOUNDING, FOUNDING))
        ((_to, said),) = node.take(Hail, "B")
        self.assertEqual(said, replace(hail(A, asks=True, empty=True), run=6))
        node.wait(10.0)  # until it is sure that its disk is no older copy
        node.hear("B", msg.PrepareChange(address(), 5, Ballot(1, 1, "B", 1)))
        node.hear("B", hail(B, asks=True))
        ((_to, said),) = node.take(Hail, "B")
        self.assertEqual(said, replace(hail(A), run=6))

    def test_a_greeting_comes_first_in_its_letter(self) -> None:
        node = Node()
        node.hear("B", msg.Read(address(), 5, b"k"), hail(B, asks=True))
        letters = [each for each in node.order if isinstance(each, fx.Post)]
        self.assertEqual(len(letters), 1)
        self.assertEqual([type(each) for each in read(letters[0].letter)], [Hail, msg.Told, Mark])

    def test_whoever_may_change_its_vote_or_formation_tells_all_that_it_concerns_in_order(
        self,
    ) -> None:
        node = Node(A, None, kept=Kept(1, 1), near=())
        node.near("T", "S", before="R")
        node.take(Hail)
        for member in (B, C):
            node.hear(member.node, hail(member, None))
        self.assertEqual([type(each) for each in node.entries], [fx.VoteKept])
        hails = node.take(Hail)
        self.assertEqual([to for to, _hail in hails], ["B", "C", "R", "S", "T"])
        self.assertEqual({(each.vote, each.asks) for _to, each in hails}, {(FOUNDING, True)})
        node.hear("B", hail(B, None, vote=FOUNDING))
        self.assertEqual(node.to(Hail), [])
        node.hear("C", hail(C, None, vote=FOUNDING))
        self.assertEqual(node.machine.founding, FOUNDING)
        self.assertEqual(sorted(node.to(Hail)), ["C", "R", "S", "T"])

    def test_a_greeting_with_a_fault_is_told_of_once_and_changes_nothing(self) -> None:
        node = Node(A, None, kept=Kept(1, 1))
        faulty = replace(hail(B, asks=True), bits=2)
        node.take(Hail)
        for _ in range(2):
            node.hear("B", faulty)
        self.assertEqual(node.texts, [f"B has sent a hail that {fault_of('B', faulty)}"])
        self.assertEqual((node.take(Hail), node.machine.founding), ([], None))

    def test_a_node_that_gives_up_its_seats_tells_all_that_it_knows(self) -> None:
        node = Node()
        for member in (B, C):
            node.hear(member.node, hail(member))
        node.sent.clear()
        node.step(ev.Vacate())
        hails = node.take(Hail)
        self.assertEqual([to for to, _hail in hails], ["B", "C"])
        for _to, each in hails:
            self.assertEqual((each.vacating, each.asks), (True, False))
        self.assertEqual(node.machine.holders["A"], Holder(1, seat=True, vacating=True))
        self.assertTrue(node.machine.view().vacating)
        self.assertFalse(Node().machine.view().vacating)


class LetterTests(SynchronousTestCase):
    def test_a_letter_that_cannot_be_read_is_told_of_once_and_its_sender_not_heard(self) -> None:
        node = Node()
        for _ in range(2):
            node.step(ev.Mail("B", b"\xc1"))
        (text,) = node.texts
        self.assertTrue(text.startswith("B has sent a letter that cannot be read: "), text)
        self.assertEqual(node.alarms, [])
        self.assertEqual(node.machine.around.heard, {})

    def test_of_4096_different_faults_of_peers_a_node_tells(self) -> None:
        node = Node()
        for number in range(4100):
            node.step(ev.Mail(f"n{number}", b"\xc1"))
        self.assertEqual(len(node.notes), 4096)

    def test_who_sends_a_letter_is_heard_and_no_longer_lost(self) -> None:
        node = Node()
        node.step(ev.Lost("B"))
        self.assertEqual(node.machine.around.lost, {"B": node.now})
        node.now += 1.0
        node.hear("B", msg.Read(address(), 1, b"k"))
        self.assertEqual(node.machine.around.lost, {})
        self.assertEqual(node.machine.around.heard, {"B": node.now})

    def test_a_node_never_loses_itself(self) -> None:
        node = Node()
        node.step(ev.Lost("A"))
        self.assertEqual(node.machine.around.lost, {})

    def test_operations_hear_of_a_node_that_is_lost(self) -> None:
        node = Node(near=())
        node.near(before=None)
        node.ask(1, Get(b"b"))
        for name in "BC":
            self.assertEqual(node.outcomes, {})
            node.step(ev.Lost(name))
        self.assertEqual(node.outcomes, {1: Unavailable(1, (B, C), 3)})

    def test_a_node_without_a_formation_may_lose_others_and_get_letters(self) -> None:
        node = Node(A, None, kept=Kept(1, 1))
        node.sent.clear()
        node.step(ev.Lost("B"))
        node.hear("B", msg.Read(address(), 1, b"k"))
        self.assertEqual(node.sent, [])

    def test_a_node_that_becomes_successor_is_no_longer_lost(self) -> None:
        node = Node()
        node.step(ev.Lost("B"))
        node.step(ev.Lost("F"))
        node.near("B", "C")
        self.assertEqual(list(node.machine.around.lost), ["F"])


class OrderTests(SynchronousTestCase):
    def test_what_has_to_be_on_disk_comes_first_then_answers_then_letters(self) -> None:
        node = Node(A, ALONE, founders=("A",))
        node.hear(
            "X",
            msg.Prepare(Address(ALONE.id, 0, 1, 1, A.store), 5, b"b", Ballot(1, 1, "X", 1)),
            hail(Member("X", 24), ALONE, asks=True),
        )
        self.assertEqual([type(each) for each in node.order], [fx.Keep, fx.Post])
        node.ask(1, Put(b"c", b"v", b"r"))
        kinds = [type(each) for each in node.order]
        self.assertEqual(kinds, [fx.Keep, fx.Keep, fx.Answered])
        self.assertIsInstance(node.outcomes[1], Done)
        node.step(ev.Tick())
        self.assertEqual([each for each in node.order if not isinstance(each, fx.Post)], [])

    def test_a_formation_in_which_anything_was_kept_does_not_give_way(self) -> None:
        node = alone()
        node.hear("B", hail(B, OTHERS, empty=True))
        self.assertEqual(node.machine.founding, OTHERS)
        node = alone()
        node.ask(1, Put(b"b", b"v", b"r"))
        node.hear("B", hail(B, OTHERS))
        self.assertEqual(node.machine.founding, ALONE)
        self.assertEqual(len(node.alarms), 1)

    def test_members_tell_the_wall_clock_that_a_step_was_given(self) -> None:
        node = Node()
        node.hear("X", msg.Prepare(address(), 5, b"b", Ballot(1, 1, "X", 1)))
        ((_to, promised),) = node.take(msg.Promised)
        self.assertEqual(promised.wall, node.now + 5000.0)


class JoiningTests(SynchronousTestCase):
    """One node's word is not enough to join a formation for ever."""

    def newcomer(self, *near: str, founders: tuple[str, ...] = ()) -> Node:
        node = Node(E, None, founders=founders, kept=Kept(E.store, 1), near=())
        node.near(*near, before=None)
        return node

    def test_two_that_name_the_same_formation_are_believed_and_one_is_not(self) -> None:
        node = self.newcomer("X", "B", "D")
        node.hear("X", hail(Member("X", 24), OTHERS))
        self.assertIsNone(node.machine.founding)
        node.hear("B", hail(B, FOUNDING))
        self.assertIsNone(node.machine.founding)
        node.hear("X", hail(Member("X", 24), OTHERS))
        self.assertIsNone(node.machine.founding)
        node.hear("D", hail(D, FOUNDING))
        self.assertEqual(node.machine.founding, FOUNDING)

    def test_a_founder_that_this_node_was_told_of_is_believed(self) -> None:
        node = self.newcomer("X", "B", founders=("A", "B", "C"))
        node.hear("X", hail(Member("X", 24), OTHERS))
        self.assertIsNone(node.machine.founding)
        node.hear("B", hail(B, FOUNDING))
        self.assertEqual(node.machine.founding, FOUNDING)

    def test_the_only_neighbour_is_believed(self) -> None:
        node = self.newcomer("D")
        node.hear("D", hail(D, FOUNDING))
        self.assertEqual(node.machine.founding, FOUNDING)

    def test_who_was_told_of_founders_and_hears_none_waits_for_a_second_voice_half_a_minute(
        self,
    ) -> None:
        voices = Voices(("A", "B"))
        self.assertFalse(voices.agree("D", FOUNDING.id, ("D",), 10.0))
        self.assertFalse(voices.agree("D", FOUNDING.id, ("D",), 39.9))
        self.assertTrue(voices.agree("D", FOUNDING.id, ("D",), 40.0))

    def test_one_of_several_neighbours_is_believed_after_a_while_if_none_says_another(
        self,
    ) -> None:
        for other in (False, True):
            node = self.newcomer("D", "X")
            for _ in range(30):
                if other:
                    node.hear("X", hail(Member("X", 24), OTHERS))
                node.hear("D", hail(D, FOUNDING))
                node.wait(0.25)
            self.assertEqual(node.machine.founding, None if other else FOUNDING)

    def test_a_node_that_has_heard_one_asks_its_neighbours_again_soon(self) -> None:
        node = self.newcomer("B", "D")
        node.take(Hail)
        node.hear("D", hail(D, FOUNDING))
        node.wait(0.6)
        self.assertEqual(sorted(node.to(Hail)), ["B", "D"])

    def test_the_names_of_many_formations_are_not_remembered(self) -> None:
        voices = Voices(())
        for number in range(200):
            self.assertFalse(voices.agree(f"n{number}", bytes([number]), ("a", "b"), 1.0))
        self.assertEqual(len(voices._said), 64)


class BeginningTests(SynchronousTestCase):
    def test_a_node_that_is_its_own_only_founder_begins_its_store_in_its_ring(self) -> None:
        node = Node(A, None, kept=Kept(1, 1), near=(), founders=("A",))
        self.assertIsNone(node.machine.founding)
        node.near("B")
        self.assertEqual(node.machine.founding, ALONE)
        self.assertEqual(node.entries, [fx.VoteKept(ALONE), fx.FoundingKept(ALONE)])
        self.assertEqual(node.machine.seats, 4)

    def test_a_store_that_has_not_begun_for_15_seconds_in_a_ring_is_complained_of(self) -> None:
        node = Node(A, None, kept=Kept(1, 1), near=())
        node.wait(100.0)
        node.near("D")
        node.wait(0.5)
        node.wait(14.99)
        self.assertEqual(node.notes, [])
        node.wait(0.02)
        self.assertEqual(node.alarms, ["no store yet: it waits for the founders B, C"])
        node.wait(60.0)
        self.assertEqual(len(node.notes), 1)

    def test_a_store_that_has_begun_is_not_complained_of(self) -> None:
        node = Node()
        node.wait(60.0)
        self.assertEqual(node.notes, [])

    def test_a_node_that_joins_adopts_the_formation_that_it_meets(self) -> None:
        node = Node(D, None, kept=Kept(4, 1))
        node.take(Hail)
        node.hear("B", hail(B))
        self.assertEqual(node.machine.founding, FOUNDING)
        self.assertEqual(node.entries, [fx.FoundingKept(FOUNDING)])
        self.assertEqual(node.to(Hail), ["B", "C", "E", "F"])

    def test_records_on_disk_of_a_formation_belong_to_no_other(self) -> None:
        records = ((0, b"b", Record(Ballot(1, 1, "B", 1), Ballot(1, 1, "B", 1), CONTENT)),)
        node = Node(A, kept=Kept(1, 1, FOUNDING, FOUNDING, (), records))
        self.assertEqual(node.machine.view().slots[0].keys, 1)
        node = Node(A, None, kept=Kept(1, 1, FOUNDING, None, (), records))
        for member in (B, C):
            node.hear(member.node, hail(member))
        self.assertEqual(node.machine.founding, FOUNDING)
        self.assertEqual(node.machine.view().slots[0].keys, 0)


class DeadlineTests(SynchronousTestCase):
    def test_nothing_waits_at_a_node_that_is_in_no_ring(self) -> None:
        node = Node(near=())
        self.assertEqual(node.machine.bound, float("inf"))
        self.assertIsNone(node.machine.deadline)
        self.assertEqual(node.machine.bound, float("inf"))

    def test_the_bound_is_exact_after_the_deadline_was_asked_for_and_no_later_before(self) -> None:
        node = Node()
        node.wait(2.0)
        deadline = node.machine.deadline
        assert deadline is not None
        self.assertEqual(node.machine.bound, deadline)
        node.ask(1, Get(b"b"), timeout=0.01)
        self.assertEqual(node.machine.bound, node.now + 0.01)
        self.assertEqual(node.machine.deadline, node.now + 0.01)


class SeenTests(SynchronousTestCase):
    def test_without_a_formation_there_is_nothing_to_see(self) -> None:
        node = Node(A, None, kept=Kept(1, 1))
        machine = node.machine
        self.assertEqual((machine.seats, list(machine.listed())), (0, []))
        self.assertEqual(machine.view(), StoreView(A, 1, None, False, 0, 0, ()))

    def test_a_node_shows_what_it_knows_of_its_store(self) -> None:
        node = Node()
        view = node.machine.view()
        self.assertEqual((view.me, view.founding, view.seats, view.changing), (A, FOUNDING, 4, 0))
        self.assertEqual([each.slot for each in view.slots], [0, 1, 2, 3])
        first = Configuration(1, 1, (A, B, C))
        self.assertEqual(list(node.machine.listed()), [Listed(s, first) for s in range(4)])
