"""The search through recoveries of one slot: what it states, and that it can fail."""

from __future__ import annotations

import io

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.sim.generations.__main__ import main, planned, search
from chordnet.sim.generations.plan import Property


class SearchTests(SynchronousTestCase):
    def test_two_recoveries_of_a_slot_are_right_in_every_order_of_events(self) -> None:
        for words in (
            "put@A/AB,recover@C",
            "put@A/AB,recover@B,recover@C",
            "put@A/AB,recover@B,recover@A --behind C",
        ):
            with self.subTest(words):
                verdict = search(planned(words.split()))
                self.assertEqual((verdict.broken, verdict.complete), (None, True), verdict.history)

    def test_without_promises_two_recoveries_take_place_from_the_same_disks(self) -> None:
        words = ["put@A/AB,recover@B,recover@C", "--without-promises"]
        verdict = search(planned(words))
        self.assertIs(verdict.broken, Property.ONE_OF_TWO)
        self.assertLessEqual(len(verdict.history), 8)

    def test_a_change_of_members_is_right_in_every_order_of_events(self) -> None:
        verdict = search(planned(["change@A"]))
        self.assertEqual((verdict.broken, verdict.complete), (None, True), verdict.history)
        self.assertEqual(verdict.states, 179)

    def test_a_recovery_while_the_members_change_is_right_as_far_as_it_is_looked_at(self) -> None:
        for words in ("put@A/AB,change@A,recover@C", "put@A/AB,change@A:CD,recover@D --nodes 4"):
            verdict = search(planned([*words.split(), "--max-states", "1500"]))
            self.assertIsNone(verdict.broken, verdict.history)

    def test_members_that_answer_before_they_have_installed_an_epoch_lose_what_was_confirmed(
        self,
    ) -> None:
        plan = planned(["put@A/AB,change@B:AD,get@D", "--nodes", "4"])
        guards = StoreSafeguards(installed_first=False)
        verdict = search(attrs.evolve(plan, safeguards=guards))
        self.assertIs(verdict.broken, Property.ONE_HISTORY)
        self.assertEqual(len(verdict.history), 5)


class CommandTests(SynchronousTestCase):
    def run_with(self, words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        return main(words.split(), out, err), out.getvalue(), err.getvalue()

    def test_a_search_that_sees_everything_says_so_and_ends_with_0(self) -> None:
        status, out, _ = self.run_with("recover@A")
        self.assertEqual(status, 0)
        self.assertIn("every reachable state", out)

    def test_a_search_that_finds_something_prints_how_it_came_about(self) -> None:
        status, out, _ = self.run_with("put@A/AB,recover@B,recover@C --without-promises")
        self.assertEqual(status, 1)
        self.assertIn("1. ", out)
        self.assertIn("one_of_two does not hold: two recoveries take place", out)

    def test_a_search_that_reaches_its_limit_ends_with_3(self) -> None:
        status, out, _ = self.run_with("recover@A,recover@B --max-states 50")
        self.assertEqual((status, "not all states" in out), (3, True))

    def test_what_is_no_job_is_refused_in_one_line(self) -> None:
        for words, why in (
            ("jump@A", "'jump@A' is no job of ABC"),
            ("put@D", "'put@D' is no job of ABC"),
            ("change@A:CD", "'change@A:CD' is no job of ABC"),
            ("put@A --nodes 2", "there must be 3 to 4 nodes"),
            ("put@A --behind D", "--behind takes members, which are ABC"),
        ):
            status, _, err = self.run_with(words)
            self.assertEqual(status, 2)
            self.assertIn(why, err)
