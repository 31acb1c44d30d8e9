"""A node's store: letters, hails, and the formation that it belongs to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import effects as fx
from chordnet.core.store.base import events as ev
from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.messages import Address
from chordnet.core.store.base.outcomes import Unavailable
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.begin.hails import Hail
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.seats import Holder
from chordnet.core.store.node.surroundings import For
from chordnet.core.store.node.talk import Lists
from tests.unit.store_node_support import (
    FORMATION,
    FOUNDING,
    A,
    B,
    C,
    D,
    Node,
    hail,
)

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
    node = Node(A, None, founders=(), kept=Kept(A.store, 1))
    node.hear("Z", hail(Z, BY_Z, empty=True))
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
        node.wait(4.99)
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

    def test_who_is_heard_again_is_remembered_longest(self) -> None:
        node = Node()
        for number in [*range(4096), 0, *range(5000, 5010)]:
            node.hear(f"n{number}", hail(Member(f"n{number}", number)))
        self.assertIn("n0", node.machine.holders)
        self.assertNotIn("n1", node.machine.holders)
