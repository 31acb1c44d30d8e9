"""The ring's arithmetic, by example and by property."""

from __future__ import annotations

import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.identifiers import IdentifierSpace, between, between_left, between_right

SIZE = 64
points = st.integers(0, SIZE - 1)


def walk(a: int, b: int) -> list[int]:
    """The identifiers strictly between ``a`` and ``b``, found by walking clockwise."""
    found = []
    at = (a + 1) % SIZE
    while at not in (b, a):
        found.append(at)
        at = (at + 1) % SIZE
    return found


class IntervalTests(SynchronousTestCase):
    def test_an_interval_without_wrap_holds_what_lies_between_its_ends(self):
        self.assertTrue(between(10, 11, 20))
        self.assertFalse(between(10, 10, 20))
        self.assertFalse(between(10, 20, 20))
        self.assertFalse(between(10, 21, 20))

    def test_an_interval_over_zero_wraps(self):
        inside = [x for x in range(SIZE) if between(60, x, 3)]
        self.assertEqual(inside, [0, 1, 2, 61, 62, 63])

    def test_the_open_interval_from_a_node_to_itself_is_all_but_the_node(self):
        self.assertEqual([x for x in range(SIZE) if not between(7, x, 7)], [7])

    def test_the_half_open_interval_from_a_node_to_itself_is_the_whole_ring(self):
        self.assertTrue(all(between_right(7, x, 7) for x in range(SIZE)))
        self.assertTrue(all(between_left(7, x, 7) for x in range(SIZE)))

    def test_neighbours_have_nothing_between_them(self):
        self.assertFalse(any(between(7, x, 8) for x in range(SIZE)))
        self.assertFalse(any(between(63, x, 0) for x in range(SIZE)))

    def test_only_the_closed_end_belongs_to_a_half_open_interval(self):
        for a, b in ((10, 20), (60, 3)):
            self.assertTrue(between_right(a, b, b))
            self.assertFalse(between_right(a, a, b))
            self.assertTrue(between_left(a, a, b))
            self.assertFalse(between_left(a, b, b))


class IntervalProperties(SynchronousTestCase):
    """Every check is derandomized: the same examples at every run."""

    def test_between_is_what_a_walk_finds(self):
        @settings(derandomize=True, max_examples=300)
        @given(points, points)
        def check(a: int, b: int) -> None:
            inside = set(walk(a, b))
            assert {x for x in range(SIZE) if between(a, x, b)} == inside

        check()

    def test_a_half_open_interval_adds_its_closed_end(self):
        @settings(derandomize=True, max_examples=300)
        @given(points, points, points)
        def check(a: int, x: int, b: int) -> None:
            if a != b:
                assert between_right(a, x, b) == (between(a, x, b) or x == b)
                assert between_left(a, x, b) == (between(a, x, b) or x == a)

        check()

    def test_the_two_arcs_of_two_points_part_the_ring(self):
        @settings(derandomize=True, max_examples=300)
        @given(points, points, points)
        def check(a: int, x: int, b: int) -> None:
            if a != b:
                assert between_right(a, x, b) != between_right(b, x, a)
                assert between_left(a, x, b) != between_left(b, x, a)

        check()

    def test_turning_the_ring_changes_nothing(self):
        @settings(derandomize=True, max_examples=300)
        @given(points, points, points, points)
        def check(a: int, x: int, b: int, turn: int) -> None:
            turned = [(point + turn) % SIZE for point in (a, x, b)]
            for test in (between, between_right, between_left):
                assert test(a, x, b) == test(*turned)

        check()

    def test_an_interval_agrees_with_the_distance(self):
        space = IdentifierSpace(160)
        wide = st.integers(0, space.size - 1)

        @settings(derandomize=True, max_examples=300)
        @given(wide, wide, wide)
        def check(a: int, x: int, b: int) -> None:
            reach = space.distance(a, b) or space.size
            assert between(a, x, b) == (0 < space.distance(a, x) < reach)

        check()


class SpaceTests(SynchronousTestCase):
    def test_a_hash_is_the_leading_bits_of_sha_256(self):
        digest = int.from_bytes(hashlib.sha256(b"n00").digest())
        for bits in (3, 6, 8, 160, 256):
            self.assertEqual(IdentifierSpace(bits).hash(b"n00"), digest >> (256 - bits))

    def test_an_identifier_survives_the_wire(self):
        for bits in (3, 6, 8, 9, 160, 255, 256):
            space = IdentifierSpace(bits)
            for identifier in (0, 1, space.size - 1):
                wire = space.raw(identifier)
                self.assertEqual(len(wire), space.width)
                self.assertEqual(int.from_bytes(wire), identifier)
                self.assertTrue(space.valid_raw(wire))

    def test_hex_fills_the_whole_width(self):
        self.assertEqual(IdentifierSpace(6).hex(10), "0a")
        self.assertEqual(IdentifierSpace(160).hex(10), "0" * 39 + "a")
        self.assertEqual(IdentifierSpace(9).hex(511), "1ff")

    def test_a_distance_runs_clockwise(self):
        space = IdentifierSpace(6)
        self.assertEqual(space.distance(60, 3), 7)
        self.assertEqual(space.distance(3, 60), 57)
        self.assertEqual(space.distance(5, 5), 0)

    def test_what_is_not_of_this_space_is_told(self):
        space = IdentifierSpace(6)
        self.assertFalse(space.valid_raw(b""))
        self.assertFalse(space.valid_raw(b"\x00\x01"))
        self.assertFalse(space.valid_raw(b"\x40"), "64 is the first that does not exist")
        self.assertTrue(space.valid_raw(b"\x3f"))

    def test_every_value_is_an_identifier_where_these_fill_their_bytes(self):
        whole = [bits for bits in range(3, 257) if IdentifierSpace(bits).whole_bytes]
        self.assertEqual(whole, list(range(8, 257, 8)))

    def test_a_width_out_of_range_is_refused(self):
        for bits in (-1, 0, 2, 257):
            error = self.assertRaises(ValueError, IdentifierSpace, bits)
            self.assertIn(str(bits), str(error))
        self.assertEqual(IdentifierSpace(3).size, 8)
        self.assertEqual(IdentifierSpace(256).width, 32)
