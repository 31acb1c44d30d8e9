"""Ballots and the contents of registers."""

from __future__ import annotations

from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.ballots import NONE, Ballot, Ballots
from chordnet.core.store.base.records import EMPTY, GROUND, MOST_REQUESTS, Applied, Content, Floor
from tests.unit.store_support import ballot, content


def written(times: int) -> Content:
    now = EMPTY
    for number in range(1, times + 1):
        now = now.written(b"value", b"request %d" % number)
    return now


class BallotTests(SynchronousTestCase):
    def test_ballots_are_compared_by_epoch_then_counter_then_node_then_run(self) -> None:
        rising = [
            NONE,
            Ballot(1, 1, "B", 2),
            Ballot(1, 2, "A", 1),
            Ballot(1, 2, "A", 2),
            Ballot(1, 2, "B", 1),
            Ballot(2, 1, "A", 1),
        ]
        for lower, higher in pairwise(rising):
            self.assertLess(lower, higher)

    def test_no_ballot_at_all_is_below_the_lowest_that_anybody_makes(self) -> None:
        self.assertEqual(NONE, Ballot(0, 0, "", 0))
        self.assertEqual(GROUND, Floor(Ballot(0, 0, "", 0), 0))
        self.assertLess(NONE, Ballots("", 0).above(NONE, 0))

    def test_the_first_ballot_of_a_run_counts_one_more_than_it_had_used(self) -> None:
        self.assertEqual(Ballots("A", 3).above(NONE, 1), Ballot(1, 1, "A", 3))
        self.assertEqual(Ballots("A", 3, 6).above(NONE, 1), Ballot(1, 7, "A", 3))

    def test_a_new_ballot_is_above_the_one_seen_and_above_all_earlier_ones_of_its_run(self) -> None:
        ballots = Ballots("A", 3)
        self.assertEqual(ballots.above(ballot(7, "B"), 1), Ballot(1, 8, "A", 3))
        self.assertEqual(ballots.above(NONE, 1), Ballot(1, 9, "A", 3))

    def test_a_ballot_of_a_later_epoch_need_not_count_higher_than_those_of_earlier_ones(self):
        ballots = Ballots("A", 3)
        made = ballots.above(ballot(7, "B"), 2)
        self.assertEqual(made, Ballot(2, 1, "A", 3))
        self.assertGreater(made, ballot(7, "B"))


class ContentTests(SynchronousTestCase):
    def test_the_version_grows_by_one_with_every_write_and_every_delete(self) -> None:
        deleted = written(2).written(None, b"delete")
        self.assertEqual((deleted.value, deleted.version), (None, 3))
        self.assertEqual(deleted.written(b"again", b"put").version, 4)

    def test_a_version_is_above_the_floor(self) -> None:
        self.assertEqual(EMPTY.written(b"value", b"request", floor=9).version, 10)
        self.assertEqual(written(12).written(b"value", b"request", floor=9).version, 13)

    def test_a_content_remembers_which_request_made_which_version(self) -> None:
        self.assertEqual(written(3).version_of(b"request 2"), 2)
        self.assertIsNone(written(3).version_of(b"request 4"))

    def test_only_the_last_requests_are_remembered(self) -> None:
        now = written(MOST_REQUESTS + 2)
        self.assertEqual(len(now.requests), MOST_REQUESTS)
        self.assertEqual(now.requests[0], Applied(3, b"request 3"))

    def test_a_list_that_was_never_full_reaches_back_to_the_beginning(self) -> None:
        self.assertTrue(written(MOST_REQUESTS - 1).reaches_back(0))

    def test_a_full_list_reaches_back_to_the_version_before_its_oldest(self) -> None:
        now = written(MOST_REQUESTS + 2)
        self.assertTrue(now.reaches_back(2))
        self.assertFalse(now.reaches_back(1))

    def test_a_content_of_the_version_asked_for_reaches_back(self) -> None:
        self.assertTrue(content(40).reaches_back(40))
        self.assertTrue(content(40).reaches_back(41))

    def test_sixteen_requests_are_remembered(self) -> None:
        for since, reaches in ((24, True), (23, False)):
            self.assertEqual(content(40).reaches_back(since), reaches)
            self.assertEqual(written(40).reaches_back(since), reaches)
        self.assertTrue(written(15).reaches_back(0))
        self.assertTrue(written(16).reaches_back(0))
        self.assertFalse(written(17).reaches_back(0))
