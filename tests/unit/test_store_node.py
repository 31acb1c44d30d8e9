"""A node's store: letters, hails, and the formation that it belongs to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import effects as fx
from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.messages import Address
from tests.unit.store_node_support import (
    A,
    B,
    C,
    D,
    Node,
    hail,
)

ALONE = Founding("net", 8, 4, 3, (A,))
"""The formation of one that A founds when it knows of nobody."""
OTHERS = Founding("net", 8, 4, 3, (B, C, D))


def alone(**more: object) -> Node:
    """Return a node with an empty formation of one."""
    return Node(A, ALONE, founders=("A",), **more)  # type: ignore[arg-type]


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
