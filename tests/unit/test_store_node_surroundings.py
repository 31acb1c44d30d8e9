"""What the parts of a node's store share: what is remembered of other nodes, and for how long."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.effects import Say
from chordnet.core.store.node.surroundings import For, Place
from tests.unit.store_node_support import START, A, Even, address, surroundings


class RememberedTests(SynchronousTestCase):
    def test_a_node_is_heard_for_as_long_as_it_was_heard_in_that_time(self) -> None:
        around = surroundings(A, "B")
        around.now = START + 8.0
        self.assertTrue(around.hears("B", 8.0))
        around.now = START + 8.1
        self.assertFalse(around.hears("B", 8.0))

    def test_a_node_always_hears_itself_and_never_who_has_said_nothing(self) -> None:
        around = surroundings()
        around.now = 0.0
        self.assertTrue(around.hears("A", 0.0))
        self.assertFalse(around.hears("B", 8.0))

    def test_a_node_is_out_of_reach_since_it_was_lost_first(self) -> None:
        around = surroundings()
        self.assertEqual(around.lost_for("B"), 0.0)
        around.lose("B")
        self.assertEqual(around.lost_for("B"), 0.0)
        around.now = START + 3.0
        around.lose("B")
        self.assertEqual(around.lost_for("B"), 3.0)

    def test_a_node_is_taken_for_lost_for_a_while_after_the_last_try(self) -> None:
        around = surroundings()
        self.assertFalse(around.is_lost("B", 5.0))
        around.lose("B")
        around.now = START + 3.0
        around.lose("B")
        around.now = START + 7.9
        self.assertTrue(around.is_lost("B", 5.0))
        around.now = START + 8.0
        self.assertFalse(around.is_lost("B", 5.0))

    def test_a_node_that_was_found_or_heard_is_lost_no_more(self) -> None:
        around = surroundings()
        around.lose("B")
        around.lose("C")
        around.now = START + 3.0
        around.found("B")
        around.hear("C")
        for node in "BC":
            self.assertEqual((around.lost_for(node), around.is_lost(node, 5.0)), (0.0, False))
        self.assertEqual(around.heard, {"C": START + 3.0})

    def test_4096_nodes_are_remembered_and_who_was_noted_longest_ago_gives_way(self) -> None:
        around = surroundings()
        for number in (*range(9), 0, *range(9, 4096)):
            around.lose(f"lost {number}")
            around.hear(f"heard {number}")
        for number in range(2, 4096):
            around.lose(f"lost {number}")
            around.hear(f"heard {number}")
        for table in (around.lost, around.tried, around.heard):
            self.assertEqual(len(table), 4096)
        around.lose("another")
        around.hear("one more")
        self.assertEqual(len(around.lost), 4096)
        self.assertEqual(list(around.lost), list(around.tried))
        self.assertEqual(len(around.heard), 4096)
        self.assertIn("lost 0", around.lost)
        self.assertNotIn("lost 1", around.lost)
        self.assertIn("heard 0", around.heard)
        self.assertNotIn("heard 1", around.heard)


class SharedTests(SynchronousTestCase):
    def test_the_neighbours_are_the_successors_and_then_the_predecessor_each_once(self) -> None:
        self.assertEqual(Place(True, "P", ("S", "T")).near, ["S", "T", "P"])
        self.assertEqual(Place(True, "T", ("S", "T")).near, ["S", "T"])
        self.assertEqual(Place(True, None, ("S",)).near, ["S"])
        self.assertEqual(Place().near, [])
        self.assertFalse(Place().member)

    def test_numbers_begin_at_random_and_go_up_by_one(self) -> None:
        around = surroundings()
        first = Even(1).getrandbits(40)
        self.assertEqual([around.rid(), around.rid()], [first + 1, first + 2])

    def test_what_is_jittered_takes_from_half_as_long_to_one_and_a_half_times(self) -> None:
        around = surroundings()
        self.assertEqual(around.jittered(8.0), 8.0)
        for drawn, delay in ((0.0, 4.0), (0.25, 6.0), (1.0, 12.0)):
            around.rng = Drawn(drawn)
            self.assertEqual(around.jittered(8.0), delay)

    def test_an_alarm_that_is_wanted_sooner_rings_sooner_and_not_later(self) -> None:
        around = surroundings()
        around.sooner(For.SEATS, 0, 2.0)
        around.sooner(For.SEATS, 0, 3.0)
        self.assertEqual(around.alarms.next(), START + 2.0)
        self.assertEqual(around.horizon.bound, START + 2.0)
        around.sooner(For.SEATS, 0, 1.0)
        self.assertEqual(around.alarms.due(START + 1.0), [(For.SEATS, 0)])

    def test_what_is_said_to_a_node_keeps_its_order_and_what_is_passed_on_stays_here(self) -> None:
        around = surroundings()
        one, two = msg.Read(address(), 1, b"k"), msg.Read(address(), 2, b"k")
        around.say("B", one)
        around.say("B", two)
        around.pass_on(one)
        self.assertEqual(around.said, {"B": [one, two]})
        self.assertEqual(around.effects, [Say("A", one)])

    def test_each_alarm_is_another_one(self) -> None:
        self.assertEqual(len(set(For)), len(For.__members__))


class Drawn(Even):
    """Draws one number again and again."""

    def __init__(self, drawn: float) -> None:
        super().__init__()
        self.drawn = drawn

    def random(self) -> float:
        return self.drawn
