"""Sets of numbers as intervals: each operation against Python's own sets, and its edges."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import intervals

SMALL = [
    frozenset(numbers) for size in range(6) for numbers in combinations(range(1, 6), size)
]  # fmt: skip
"""Every set of numbers from 1 to 5."""


def of(numbers: frozenset[int]) -> list[int]:
    return intervals.of(sorted(numbers))


class SmallTests(SynchronousTestCase):
    """Every set of few numbers, with every other."""

    def test_the_bounds_ascend_strictly_so_what_touches_is_one_interval(self):
        for bounds, numbers in (
            ([], []), ([1, 2], [1]), ([1, 3], [1, 2]), ([1, 2, 3, 4], [1, 3]),
            ([2, 6], [2, 3, 4, 5]), ([1, 2, 4, 6], [1, 4, 5]),
        ):  # fmt: skip
            self.assertEqual(intervals.of(numbers), bounds)
            self.assertEqual(intervals.count(bounds), len(numbers))
            self.assertEqual([n for n in range(8) if intervals.contains(bounds, n)], numbers)

    def test_what_is_in_both_or_in_one_alone(self):
        for these in SMALL:
            for those in SMALL:
                self.assertEqual(intervals.minus(of(these), of(those)), of(these - those))
                self.assertEqual(intervals.both(of(these), of(those)), of(these & those))

    def test_what_is_added_is_in_the_set_and_what_is_removed_is_not(self):
        for numbers in SMALL:
            for first, end in combinations(range(1, 7), 2):
                span = set(range(first, end))
                added, removed = of(numbers), of(numbers)
                intervals.add(added, first, end)
                intervals.remove(removed, first, end)
                self.assertEqual(added, of(numbers | span))
                self.assertEqual(removed, of(numbers - span))

    def test_the_narrowest_gap_is_found_and_of_several_the_lowest(self):
        for bounds, gap in (
            ([1, 2, 3, 4], (2, 3)),
            ([1, 5, 9, 10, 13, 14, 18, 20], (10, 13)),
            ([1, 3, 5, 6, 8, 9], (3, 5)),
            ([1, 10, 20, 21, 25, 90, 91, 99], (90, 91)),
        ):
            self.assertEqual(intervals.narrowest_gap(bounds), gap)


class IntervalProperties(SynchronousTestCase):
    def test_intervals_are_sets(self):
        span = st.tuples(st.integers(1, 30), st.integers(1, 6))

        def made(spans: list[tuple[int, int]]) -> tuple[list[int], set[int]]:
            bounds, members = [], set()
            for first, width in spans:
                intervals.add(bounds, first, first + width)
                members |= set(range(first, first + width))
            return bounds, members

        @settings(derandomize=True, max_examples=300)
        @given(st.lists(span), st.lists(span), st.lists(span))
        def check(one: list, other: list, gone: list) -> None:
            (a, left), (b, right) = made(one), made(other)
            assert a == intervals.of(sorted(left))
            assert intervals.minus(a, b) == intervals.of(sorted(left - right))
            assert intervals.both(a, b) == intervals.of(sorted(left & right))
            assert intervals.count(a) == len(left)
            assert intervals.is_sound(a, 40)
            for first, width in gone:
                intervals.remove(a, first, first + width)
                left -= set(range(first, first + width))
            assert a == intervals.of(sorted(left))
            assert all(intervals.contains(a, n) == (n in left) for n in range(40))

        check()

    def test_half_an_interval_is_an_error(self):
        for bounds in ([1], [1, 3, 5]):
            self.assertRaises(ValueError, lambda bounds=bounds: list(intervals.pairs(bounds)))
        self.assertRaises(ValueError, intervals.narrowest_gap, [1, 3, 5])

    def test_bounds_that_are_no_intervals_are_found_unsound(self):
        for wrong in ([1], [0, 2], [2, 2], [3, 1], [1, 3, 3, 4], [-1, 2], [1, 41]):
            self.assertFalse(intervals.is_sound(wrong, 40), wrong)
        self.assertTrue(intervals.is_sound([1, 3, 4, 40], 40))
