"""What others do not keep: the word of one node is a doubt, that of a second makes it sure."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.log.doubts import Doubts

KEY, OTHER = (b"origin", 1), (b"origin", 2)


class DoubtsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.doubts = Doubts()

    def test_what_two_nodes_say_is_sure_and_the_rest_stays_in_doubt(self) -> None:
        self.assertEqual(self.doubts.add(b"1", KEY, [1, 5]), [])
        self.assertEqual(self.doubts.add(b"2", KEY, [3, 8]), [3, 5])
        self.assertEqual(len(self.doubts), 4)
        self.assertEqual(self.doubts.add(b"3", KEY, [1, 10]), [1, 3, 5, 8])
        self.assertEqual(len(self.doubts), 4)
        self.assertEqual(self.doubts.add(b"4", KEY, [1, 10]), [3, 5, 8, 10])

    def test_a_node_that_repeats_its_word_makes_nothing_sure(self) -> None:
        for _ in range(3):
            self.assertEqual(self.doubts.add(b"1", KEY, [1, 5]), [])
        self.assertEqual(len(self.doubts), 2)

    def test_the_lives_of_an_origin_are_doubted_apart(self) -> None:
        self.doubts.add(b"1", KEY, [1, 5])
        self.assertEqual(self.doubts.add(b"2", OTHER, [1, 5]), [])
        self.assertEqual(self.doubts.add(b"2", KEY, [4, 5]), [4, 5])
        self.assertEqual(self.doubts.add(b"1", OTHER, [1, 2]), [1, 2])
        self.assertEqual(len(self.doubts), 4)

    def test_what_a_node_said_is_forgotten_with_the_node(self) -> None:
        self.doubts.add(b"1", KEY, [1, 5])
        self.doubts.forget(b"1")
        self.doubts.forget(b"1")
        self.assertEqual((len(self.doubts), self.doubts.add(b"2", KEY, [1, 5])), (0, []))

    def test_1024_bounds_of_one_node_are_remembered_and_with_one_more_it_begins_anew(self) -> None:
        many = [bound for first in range(1, 1024, 2) for bound in (2 * first, 2 * first + 1)]
        self.assertEqual(len(many), 1024)
        self.doubts.add(b"1", KEY, many[:-2])
        self.doubts.add(b"1", KEY, many[-2:])
        self.doubts.add(b"2", KEY, [100_001, 100_002])
        self.assertEqual(len(self.doubts), 1026)
        self.doubts.add(b"1", KEY, [200_001, 200_002])
        self.assertEqual(len(self.doubts), 4)
        self.assertEqual(
            self.doubts.add(b"3", KEY, [1, 300_000]), [100_001, 100_002, 200_001, 200_002]
        )
