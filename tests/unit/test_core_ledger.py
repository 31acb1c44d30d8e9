"""New messages told from recorded ones, in bounded space."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.ledger import MASK, Ledger
from chordnet.core.messages import MessageId
from tests.unit.core_support import raw


def mid(sequence: int, origin: int = 1, incarnation: int = 1) -> MessageId:
    return MessageId(raw(origin), incarnation, sequence)


class LedgerTests(SynchronousTestCase):
    def setUp(self):
        self.ledger = Ledger(max_window=4, max_origins=3)

    def add(self, *sequences: int) -> None:
        for sequence in sequences:
            self.ledger.add(mid(sequence))

    def test_nothing_is_recorded_at_first(self):
        self.assertNotIn(mid(1), self.ledger)
        self.assertEqual(self.ledger.watermark(raw(1), 1), 0)

    def test_in_order_only_the_watermark_moves(self):
        self.add(1, 2, 3)
        self.assertEqual(self.ledger.watermark(raw(1), 1), 3)
        self.assertIn(mid(3), self.ledger)
        self.assertNotIn(mid(4), self.ledger)

    def test_a_gap_is_not_recorded_and_closes_later(self):
        self.add(1, 3, 4)
        self.assertEqual(self.ledger.watermark(raw(1), 1), 1)
        self.assertNotIn(mid(2), self.ledger)
        self.assertIn(mid(4), self.ledger)
        self.add(2)
        self.assertEqual(self.ledger.watermark(raw(1), 1), 4)

    def test_recording_twice_is_recording_once(self):
        self.add(1, 1, 3, 3, 2, 2, 1)
        self.assertEqual(self.ledger.watermark(raw(1), 1), 3)
        self.assertEqual(self.ledger.gaps, 0)

    def test_a_number_is_told_to_be_new_once_with_its_share_of_the_digest(self):
        for sequence in (1, 2, 5, 4, 3):
            before = self.ledger.digest
            weight = self.ledger.add(mid(sequence))
            self.assertEqual(weight, self.ledger.weight(mid(sequence)))
            self.assertEqual((before + weight) & MASK, self.ledger.digest)
            self.assertIsNone(self.ledger.add(mid(sequence)))
        self.assertEqual(self.ledger.watermark(raw(1), 1), 5)

    def test_every_incarnation_numbers_anew(self):
        self.add(1, 2)
        self.assertNotIn(mid(1, incarnation=2), self.ledger)
        self.ledger.add(mid(1, incarnation=2))
        self.assertEqual(self.ledger.watermark(raw(1), 2), 1)
        self.assertEqual(self.ledger.watermark(raw(1), 1), 2)

    def test_a_full_window_gives_a_gap_up_and_says_so(self):
        self.add(3, 5, 7, 9)
        self.assertEqual(self.ledger.gaps, 0)
        self.add(11)
        self.assertEqual(self.ledger.gaps, 2, "1 and 2 were given up")
        self.assertIn(mid(1), self.ledger, "too late: it counts as recorded")
        self.assertNotIn(mid(4), self.ledger)
        self.assertEqual(self.ledger.watermark(raw(1), 1), 3)

    def test_origins_are_capped(self):
        for origin in range(1, 6):
            self.ledger.add(mid(1, origin))
        self.assertIn(mid(1, 5), self.ledger)
        self.assertIn(mid(1, 3), self.ledger)
        self.assertNotIn(mid(1, 2), self.ledger)

    def test_an_origin_that_keeps_sending_is_not_forgotten_for_newcomers(self):
        self.add(1)
        for newcomer in range(2, 12):
            self.ledger.add(mid(1, newcomer))
            self.add(newcomer)
        self.assertIn(mid(1), self.ledger)
        self.assertEqual(self.ledger.watermark(raw(1), 1), 11)


class ForgettingTests(SynchronousTestCase):
    def test_what_is_forgotten_is_missing_and_may_come_again(self):
        ledger, untouched = Ledger(8, 8), Ledger(8, 8)
        for n in (1, 2, 3, 4, 5, 7):
            ledger.add(mid(n))
            untouched.add(mid(n))
        for n in (3, 7, 5):
            self.assertTrue(ledger.forget(mid(n)))
            self.assertNotIn(mid(n), ledger)
        self.assertEqual(ledger.state((raw(1), 1)).above, [4])
        self.assertNotEqual(ledger.digest, untouched.digest)
        for n in (3, 7, 5):
            ledger.add(mid(n))
        self.assertEqual(ledger.digest, untouched.digest)
        self.assertEqual(ledger.watermark(raw(1), 1), 5)

    def test_not_what_was_never_recorded_nor_beyond_the_window(self):
        ledger = Ledger(8, 8)
        for n in range(1, 12):
            ledger.add(mid(n))
        ledger.add(mid(13))
        digest = ledger.digest
        for n in (12, 14, 3):
            self.assertFalse(ledger.forget(mid(n)), n)
        self.assertFalse(ledger.forget(mid(1, 2)))
        self.assertEqual(ledger.digest, digest)
        self.assertTrue(ledger.forget(mid(4)))
        self.assertEqual(len(ledger.state((raw(1), 1)).above), 8)


class LedgerProperties(SynchronousTestCase):
    def test_below_the_caps_it_is_a_set(self):
        @settings(derandomize=True, max_examples=200)
        @given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 20))))
        def check(history: list[tuple[int, int]]) -> None:
            ledger, model = Ledger(64, 8), set()
            for origin, sequence in history:
                ledger.add(mid(sequence, origin))
                model.add((origin, sequence))
                for o in range(1, 4):
                    for s in range(1, 22):
                        assert (mid(s, o) in ledger) == ((o, s) in model)
            assert ledger.gaps == 0

        check()

    def test_beyond_them_it_never_forgets_what_it_recorded_nor_grows(self):
        for seed in range(30):
            rng = Random(seed)
            ledger, recorded = Ledger(8, 2), set()
            for _ in range(300):
                sequence = rng.randrange(1, 200)
                ledger.add(mid(sequence))
                recorded.add(sequence)
                self.assertTrue(all(mid(s) in ledger for s in recorded), f"seed {seed}")
                self.assertLessEqual(len(ledger._origins[(raw(1), 1)].above), 8, f"seed {seed}")
