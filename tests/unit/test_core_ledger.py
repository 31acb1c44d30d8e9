"""New messages told from recorded ones and from lost ones, in bounded space."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import LedgerState, MessageId, OriginState, Range
from chordnet.core.log.ledger import MASK, Ledger
from tests.unit.core_support import raw

FAR = 1 << 60


def mid(sequence: int, origin: int = 1, incarnation: int = 1) -> MessageId:
    return MessageId(raw(origin), incarnation, sequence)


def numbers(first: int, end: int, origin: int = 1) -> Range:
    return Range(raw(origin), 1, first, end)


class OrderOfOriginsTests(SynchronousTestCase):
    def test_a_ledger_knows_whether_anything_stands_behind_an_origin(self) -> None:
        ledger = Ledger(8)
        self.assertFalse(ledger.any_after((b"", 0)))
        ledger.add(mid(1, origin=5))
        last = raw(5), 1
        self.assertEqual([ledger.any_after(key) for key in ((raw(4), 9), last)], [True, False])
        ledger.add(mid(1, origin=5, incarnation=2))
        self.assertTrue(ledger.any_after(last))


class LedgerTests(SynchronousTestCase):
    def setUp(self):
        self.ledger = Ledger(max_origins=3)

    def add(self, *sequences: int) -> None:
        for sequence in sequences:
            self.ledger.add(mid(sequence))

    def known(self, origin: int = 1, incarnation: int = 1) -> list[int]:
        return self.ledger.state((raw(origin), incarnation)).known

    def test_nothing_is_recorded_at_first(self):
        self.assertNotIn(mid(1), self.ledger)
        self.assertEqual(self.ledger.last(raw(1), 1), 0)
        self.assertIsNone(self.ledger.state((raw(1), 1)))

    def test_numbers_that_come_in_order_are_one_interval(self):
        self.add(1, 2, 3)
        self.assertEqual(self.known(), [1, 4])
        self.assertIn(mid(3), self.ledger)
        self.assertNotIn(mid(4), self.ledger)

    def test_a_gap_is_not_recorded_and_closes_later(self):
        self.add(1, 3, 4)
        self.assertEqual(self.known(), [1, 2, 3, 5])
        self.assertNotIn(mid(2), self.ledger)
        self.assertIn(mid(4), self.ledger)
        self.add(2)
        self.assertEqual(self.known(), [1, 5])

    def test_a_number_far_ahead_is_recorded_and_moves_nothing(self):
        self.add(1, FAR, 2, FAR + 1, 3)
        self.assertEqual(self.known(), [1, 4, FAR, FAR + 2])
        self.assertNotIn(mid(4), self.ledger)
        self.assertNotIn(mid(FAR - 1), self.ledger)
        self.assertEqual(self.ledger.last(raw(1), 1), FAR + 1)

    def test_recording_twice_is_recording_once(self):
        self.add(1, 1, 3, 3, 2, 2, 1)
        self.assertEqual(self.known(), [1, 4])

    def test_a_number_is_told_to_be_new_once_with_its_share_of_the_digest(self):
        for sequence in (1, 2, 5, 4, 3, FAR):
            before = self.ledger.digest
            weight = self.ledger.add(mid(sequence))
            self.assertEqual(weight, self.ledger.weight(mid(sequence)))
            self.assertEqual((before + weight) & MASK, self.ledger.digest)
            self.assertIsNone(self.ledger.add(mid(sequence)))

    def test_every_incarnation_numbers_anew(self):
        self.add(1, 2)
        self.assertNotIn(mid(1, incarnation=2), self.ledger)
        self.ledger.add(mid(1, incarnation=2))
        self.assertEqual(self.known(incarnation=2), [1, 2])
        self.assertEqual(self.known(), [1, 3])


class LostTests(SynchronousTestCase):
    def setUp(self):
        self.ledger = Ledger(max_origins=8)
        for sequence in (1, 2, 5):
            self.ledger.add(mid(sequence))

    def test_what_is_given_up_is_known_but_not_recorded(self):
        self.assertEqual(self.ledger.lose(numbers(1, 9)), 5)
        self.assertEqual(self.ledger.lose(numbers(1, 9)), 0)
        expected = LedgerState(raw(1), 1, [1, 9], [3, 5, 6, 9])
        self.assertEqual(self.ledger.states(), [expected])
        self.assertEqual(list(self.ledger.lost()), [numbers(3, 5), numbers(6, 9)])
        for sequence in (3, 8):
            self.assertNotIn(mid(sequence), self.ledger)
            self.assertTrue(self.ledger.is_known(mid(sequence)))
        self.assertIn(mid(5), self.ledger)

    def test_a_number_given_up_that_comes_after_all_is_recorded_and_lost_no_longer(self):
        self.ledger.lose(numbers(3, 9))
        digest = self.ledger.digest
        self.assertIsNotNone(self.ledger.add(mid(7)))
        self.assertIn(mid(7), self.ledger)
        self.assertEqual(self.ledger.state((raw(1), 1)).lost, [3, 5, 6, 7, 8, 9])
        self.assertEqual(self.ledger.digest, digest, "known before and after")
        self.assertIsNone(self.ledger.add(mid(7)))

    def test_giving_up_a_range_beyond_all_numbers_costs_an_interval(self):
        self.assertEqual(self.ledger.lose(numbers(6, 1 << 62)), (1 << 62) - 6)
        self.assertEqual(self.ledger.state((raw(1), 1)).known, [1, 3, 5, 1 << 62])

    def test_a_digest_is_the_same_however_the_numbers_became_known(self):
        other = Ledger(max_origins=8)
        for sequence in range(1, 6):
            other.add(mid(sequence))
        self.ledger.lose(numbers(1, 6))
        self.assertEqual(self.ledger.digest, other.digest)


class DigestTests(SynchronousTestCase):
    """Nodes of different versions compare their digests, so these never change."""

    def test_the_digest_of_known_numbers_is_the_one_that_it_always_was(self):
        ledger = Ledger(8)
        self.assertEqual(ledger.digest, 0)
        ledger.add(MessageId(b"\x01", 1, 1))
        self.assertEqual(ledger.digest, 0x608BA2FDD6A9AB6E)
        ledger.add(MessageId(b"\x01", 1, 2))
        self.assertEqual(ledger.digest, 0xD33AD9A22BFAE398)
        ledger.add(MessageId(b"\x02", 7, 1 << 40))
        self.assertEqual(ledger.digest, 0xCD26CDA22BFAE398)
        ledger.lose(Range(b"\x02", 7, 5, 1000))
        self.assertEqual(ledger.digest, 0xA64AA54CF1813824)

    def test_an_origin_that_is_not_known_has_no_share(self):
        self.assertEqual(Ledger(8).weight(mid(1)), 0)


class CapTests(SynchronousTestCase):
    def test_an_origin_of_63_messages_goes_before_newer_ones_and_one_of_64_stays(self):
        for count, stays in ((63, False), (64, True)):
            for restored in (False, True):
                ledger = Ledger(max_origins=2)
                if restored:
                    # An origin that is restored counts as met once more.
                    ledger.restore([LedgerState(raw(1), 1, [1, count])])
                else:
                    for sequence in range(1, count + 1):
                        ledger.add(mid(sequence))
                for newcomer in (2, 3):
                    ledger.add(mid(1, newcomer))
                self.assertEqual(mid(1) in ledger, stays, (count, restored))
                self.assertEqual(len(ledger), 2)

    def test_of_origins_with_many_messages_the_least_recently_recorded_goes_first(self):
        ledger = Ledger(max_origins=3)
        for origin in (1, 2, 3):
            for sequence in range(1, 65):
                ledger.add(mid(sequence, origin))
        ledger.add(mid(65, 1))
        ledger.add(mid(1, 4))
        self.assertEqual([state.origin for state in ledger.states()], [raw(1), raw(3), raw(4)])

    def test_of_origins_with_few_messages_the_least_recently_recorded_goes_first(self):
        ledger = Ledger(max_origins=3)
        for origin in (1, 2, 3, 1, 4):
            ledger.add(mid(len(ledger) + origin, origin))
        self.assertEqual([state.origin for state in ledger.states()], [raw(1), raw(3), raw(4)])

    def test_1024_intervals_are_kept_of_known_and_of_lost_numbers(self):
        ledger = Ledger(max_origins=8)
        for n in range(1024):
            ledger.add(mid(4 * n + 1))
        self.assertEqual((len(ledger.state((raw(1), 1)).known), ledger.given_up), (2048, []))
        for n in range(1024):
            ledger.lose(numbers(4 * n + 2, 4 * n + 4))
        state = ledger.state((raw(1), 1))
        self.assertEqual((len(state.known), len(state.lost)), (2048, 2048))
        self.assertTrue(ledger.may_record(mid(2)), "not blurred")
        ledger.lose(numbers(5000, 5001))
        self.assertEqual(len(ledger.state((raw(1), 1)).lost), 2048)
        self.assertFalse(ledger.may_record(mid(2)))

    def test_a_message_is_forgotten_up_to_the_last_interval_there_is_room_for(self):
        ledger = Ledger(max_origins=8)
        for n in range(1023):
            ledger.add(mid(5 * n + 1))
            ledger.add(mid(5 * n + 2))
            ledger.add(mid(5 * n + 3))
        self.assertTrue(ledger.forget(mid(2)))
        self.assertFalse(ledger.forget(mid(7)), "there are 1024 intervals now")
        self.assertEqual(len(ledger.state((raw(1), 1)).known), 2048)
        self.assertEqual(ledger.bounds, 2048)

    def test_as_many_bounds_as_there_is_room_for_are_kept_and_one_origin_pays_for_more(self):
        ledger = Ledger(max_origins=200)
        for origin in range(1, 129):
            ledger.restore([LedgerState(raw(origin), 1, list(range(1, 4097, 2)))])
        self.assertEqual((ledger.bounds, ledger.given_up), (262_144, []))
        ledger.add(mid(1, 200))
        self.assertEqual((ledger.bounds, ledger.given_up), (262_146, []), "its first interval")
        ledger.add(mid(5, 200))
        self.assertEqual(ledger.bounds, 262_146)
        self.assertEqual(ledger.given_up, [numbers(2, 5, 200)])
        self.assertEqual(ledger.state((raw(200), 1)).lost, [2, 5])

    def test_the_narrowest_gap_is_given_up_when_there_are_too_many_intervals(self):
        ledger = Ledger(max_origins=8)
        for n in range(1024):
            ledger.add(mid(10 * n + 1))
        ledger.add(mid(5))
        self.assertEqual(ledger.given_up, [numbers(2, 5)])
        self.assertEqual(len(ledger.state((raw(1), 1)).known), 2048)
        for sequence in (1, 5, 11, 10231):
            self.assertIn(mid(sequence), ledger)
        self.assertNotIn(mid(3), ledger)
        self.assertIsNotNone(ledger.add(mid(3)), "it may come after all")

    def test_numbers_with_too_many_lost_among_them_are_blurred_and_none_is_recorded_twice(self):
        ledger = Ledger(max_origins=8)
        for n in range(1, 6000, 2):
            ledger.add(mid(n))
        state = ledger.state((raw(1), 1))
        self.assertEqual(len(state.known), 2048)
        self.assertLessEqual(len(state.lost), 2048)
        self.assertIsNone(ledger.add(mid(2)), "lost, and not to be told from a recorded one")
        self.assertNotIn(mid(2), ledger)
        self.assertTrue(all(ledger.add(mid(n)) is None for n in range(1, 6000, 2)))

    def test_the_bounds_of_all_origins_together_are_capped(self):
        ledger = Ledger(max_origins=1000)
        for origin in range(1, 141):
            for n in range(1000):
                ledger.add(MessageId(b"%20d" % origin, 1, 3 * n + 1))
        self.assertLessEqual(ledger.bounds, 262_144 + 2 * 140)
        self.assertEqual(ledger.bounds, sum(len(state.known) for state in ledger.states()))

    def test_origins_are_capped_and_the_least_recently_recorded_goes_first(self):
        ledger = Ledger(max_origins=3)
        for origin in range(1, 6):
            ledger.add(mid(1, origin))
        self.assertEqual([state.origin for state in ledger.states()], [raw(3), raw(4), raw(5)])

    def test_an_origin_that_keeps_sending_is_not_forgotten_for_newcomers(self):
        ledger = Ledger(max_origins=3)
        ledger.add(mid(1))
        for newcomer in range(2, 12):
            ledger.add(mid(1, newcomer))
            ledger.add(mid(newcomer))
        self.assertEqual(ledger.state((raw(1), 1)).known, [1, 12])

    def test_an_origin_of_many_messages_outlives_any_number_of_origins_of_few(self):
        ledger = Ledger(max_origins=3)
        for sequence in range(1, 65):
            ledger.add(mid(sequence))
        for newcomer in range(2, 60):
            ledger.add(mid(1, newcomer))
        self.assertIn(mid(64), ledger)
        self.assertEqual(len(ledger), 3)

    def test_an_origin_that_was_met_outlives_any_number_of_invented_ones(self):
        ledger = Ledger(max_origins=3, is_met=lambda origin: origin == raw(1))
        ledger.add(mid(1))
        for newcomer in range(2, 60):
            ledger.add(mid(1, newcomer))
        self.assertIn(mid(1), ledger)
        self.assertEqual(len(ledger), 3)

    def test_a_digest_loses_what_is_forgotten(self):
        ledger, other = Ledger(max_origins=2), Ledger(max_origins=2)
        for origin in (1, 2, 3):
            ledger.add(mid(1, origin))
        for origin in (2, 3):
            other.add(mid(1, origin))
        self.assertEqual(ledger.digest, other.digest)


class BodyTests(SynchronousTestCase):
    def setUp(self):
        self.ledger = Ledger(max_origins=4096)
        self.key = raw(1), 1

    def same(self, sequence: int, body: bytes, key=None) -> bool:
        return self.ledger.digests.same(key or self.key, sequence, body)

    def test_the_body_recorded_is_told_from_every_other_also_the_empty_one(self):
        for sequence, body in ((1, b"apple"), (2, b""), (FAR, b"pear")):
            self.ledger.add(mid(sequence), body)
            self.assertTrue(self.same(sequence, body))
            self.assertFalse(self.same(sequence, body + b"x"))
            self.assertTrue(self.ledger.digests.differs(self.key, sequence, body + b"x"))
            self.assertFalse(self.ledger.digests.differs(self.key, sequence, body))

    def test_a_second_body_under_a_number_does_not_take_the_place_of_the_first(self):
        self.ledger.add(mid(1), b"apple")
        self.assertIsNone(self.ledger.add(mid(1), b"pear"))
        self.assertTrue(self.same(1, b"apple"))

    def test_of_a_number_without_a_digest_no_body_is_the_same_nor_another(self):
        self.ledger.add(mid(1))
        self.ledger.add(mid(2), b"pear")
        for sequence in (1, 3, FAR):
            self.assertFalse(self.same(sequence, b""))
            self.assertFalse(self.ledger.digests.differs(self.key, sequence, b""))

    def test_the_newest_16384_numbers_of_an_origin_are_remembered(self):
        for sequence in range(1, 20_001):
            self.ledger.add(mid(sequence), b"%d" % sequence)
        self.assertTrue(self.same(20_000, b"20000"))
        self.assertTrue(self.same(20_000 - 16_300, b"3700"))
        self.assertFalse(self.same(3_000, b"3000"))

    def test_of_each_node_the_last_two_lives_are_remembered(self):
        for life in range(1, 50):
            self.ledger.add(mid(1, incarnation=life), b"%d" % life)
        found = [life for life in range(1, 50) if self.same(1, b"%d" % life, (raw(1), life))]
        self.assertEqual(found, [48, 49])
        self.assertEqual(len(self.ledger.digests), 2)

    def test_each_origin_with_digests_is_listed_once_by_its_size(self):
        for sequence in range(1, 4 * 64, 16):
            self.ledger.add(MessageId(*self.key, sequence), b"x")
        sizes = self.ledger.digests._sizes
        self.assertEqual([n for n, keys in enumerate(sizes) if self.key in keys], [4])


class ForgettingTests(SynchronousTestCase):
    def test_what_is_forgotten_is_missing_and_may_come_again(self):
        ledger, untouched = Ledger(8), Ledger(8)
        for n in (1, 2, 3, 4, 5, 7):
            ledger.add(mid(n))
            untouched.add(mid(n))
        for n in (3, 7, 5):
            self.assertTrue(ledger.forget(mid(n)))
            self.assertNotIn(mid(n), ledger)
        self.assertEqual(ledger.state((raw(1), 1)).known, [1, 3, 4, 5])
        self.assertNotEqual(ledger.digest, untouched.digest)
        for n in (3, 7, 5):
            ledger.add(mid(n))
        self.assertEqual(ledger.digest, untouched.digest)
        self.assertEqual(ledger.states(), untouched.states())

    def test_what_was_never_recorded_is_not_forgotten_nor_anything_when_there_is_no_room(self):
        ledger = Ledger(8)
        for n in range(1024):
            ledger.add(mid(3 * n + 1))
        digest = ledger.digest
        for n in (2, 1024 * 3 + 1, 4):
            self.assertFalse(ledger.forget(mid(n)), n)
        self.assertFalse(ledger.forget(mid(1, 2)))
        self.assertEqual(ledger.digest, digest)


class RestoringTests(SynchronousTestCase):
    def test_a_restored_ledger_is_the_one_that_was(self):
        one, other = Ledger(64), Ledger(64)
        for sequence in (1, 2, 5, 9, FAR):
            one.add(mid(sequence))
        one.lose(numbers(5, 8))
        other.add(mid(3))
        other.restore(one.states())
        one.add(mid(3))
        self.assertEqual(other.digest, one.digest)
        self.assertEqual(other.states(), one.states())

    def test_what_is_recorded_stays_recorded_whatever_was_given_up_before(self):
        ledger = Ledger(64)
        ledger.add(mid(3))
        ledger.restore([LedgerState(raw(1), 1, [1, 6], [2, 5])])
        self.assertEqual(ledger.states(), [LedgerState(raw(1), 1, [1, 6], [2, 3, 4, 5])])
        ledger.restore([LedgerState(raw(1), 1, [1, 6])])
        self.assertEqual(ledger.states(), [LedgerState(raw(1), 1, [1, 6], [])])


class ComparingTests(SynchronousTestCase):
    def test_a_ledger_told_in_pages_gives_exactly_what_is_missing(self):
        one, other = Ledger(64), Ledger(64)
        for origin in range(1, 30):
            for sequence in (1, 2, 5):
                one.add(mid(sequence, origin))
                if origin % 3:
                    other.add(mid(sequence, origin))
        found, after = [], None
        while True:
            page = other.page(after, 4, 1000)
            last = (page[-1].origin, page[-1].incarnation) if len(page) == 4 else None
            found += one.missing_from(page, after, last)
            if last is None:
                break
            after = last
        expected = [((raw(o), 1), [1, 3, 5, 6], []) for o in range(3, 30, 3)]
        self.assertEqual(found, expected)

    def test_what_was_given_up_is_told_apart_from_what_was_recorded(self):
        ledger = Ledger(64)
        for sequence in (1, 2, 5):
            ledger.add(mid(sequence))
        ledger.lose(numbers(3, 5))
        theirs = [OriginState(raw(1), 1, [2, 3, 9, 12])]
        self.assertEqual(
            list(ledger.missing_from(theirs, None, None)), [((raw(1), 1), [1, 2, 5, 6], [3, 5])]
        )
        self.assertEqual(list(ledger.lacking(theirs)), [numbers(9, 12)])
        self.assertEqual(ledger.known_of(numbers(2, FAR)), ([2, 3, 5, 6], [3, 5]))
        self.assertEqual(ledger.known_of(numbers(2, FAR, origin=9)), ([], []))


class LedgerProperties(SynchronousTestCase):
    def test_below_the_caps_a_ledger_is_two_sets(self):
        step = st.tuples(st.booleans(), st.integers(1, 3), st.integers(1, 20), st.integers(1, 4))

        @settings(derandomize=True, max_examples=200)
        @given(st.lists(step))
        def check(history: list[tuple[bool, int, int, int]]) -> None:
            ledger, recorded, lost = Ledger(8), set(), set()
            for loses, origin, first, width in history:
                if loses:
                    span = {(origin, n) for n in range(first, first + width)}
                    ledger.lose(numbers(first, first + width, origin))
                    lost |= span - recorded
                else:
                    ledger.add(mid(first, origin))
                    recorded.add((origin, first))
                    lost.discard((origin, first))
                for o in range(1, 4):
                    for s in range(1, 25):
                        assert (mid(s, o) in ledger) == ((o, s) in recorded)
                        assert ledger.is_known(mid(s, o)) == ((o, s) in recorded | lost)
            fresh = Ledger(8)
            fresh.restore(ledger.states())
            assert fresh.digest == ledger.digest

        check()

    def test_beyond_the_caps_a_ledger_never_forgets_what_it_recorded_before_it_blurs(self):
        for seed in range(5):
            rng = Random(seed)
            ledger, recorded = Ledger(2), set()
            for _ in range(3000):
                sequence = rng.randrange(1, 20_000)
                ledger.add(mid(sequence))
                recorded.add(sequence)
            self.assertTrue(all(ledger.is_known(mid(s)) for s in recorded), f"seed {seed}")
            self.assertLessEqual(len(ledger.state((raw(1), 1)).known), 2048, f"seed {seed}")
