"""Digests of bodies: which are kept, in what room, and which goes first when there is none."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.log.digests import Digests, OriginKey, digest

CHUNK = 64
"""Numbers that are kept, and dropped, together."""
PER_ORIGIN = 256
IN_ALL = 4096


class DigestsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.digests = Digests()

    def fill(self, key: OriginKey, chunks: int, first: int = 0) -> None:
        """Remember one number of each of these chunks."""
        for index in range(first, first + chunks):
            self.digests.put(key, index * CHUNK, b"%d" % index)

    def has(self, key: OriginKey, index: int) -> bool:
        """Return True if the chunk's number is remembered, in which case it is the right body."""
        same = self.digests.same(key, index * CHUNK, b"%d" % index)
        self.assertEqual(same, self.digests.differs(key, index * CHUNK, b"another"))
        return same

    def held(self, key: OriginKey, chunks: int) -> list[int]:
        return [index for index in range(chunks) if self.has(key, index)]


class BodyTests(DigestsCase):
    def test_a_digest_is_never_the_one_that_stands_for_none(self) -> None:
        self.assertEqual(digest(b""), 1)
        self.assertEqual(digest(b"apple"), hash(b"apple"))

    def test_neighbours_in_a_chunk_and_chunks_beside_each_other_are_told_apart(self) -> None:
        key = b"a", 1
        for number in (0, 1, 63, 64, 127, 128):
            self.digests.put(key, number, b"%d" % number)
        self.assertEqual(len(self.digests), 3)
        for number in (0, 1, 63, 64, 127, 128):
            self.assertTrue(self.digests.same(key, number, b"%d" % number), number)
        for number in (2, 62, 65, 126, 129):
            self.assertFalse(self.digests.differs(key, number, b"x"), number)

    def test_a_chunk_takes_512_bytes(self) -> None:
        self.digests.put((b"a", 1), 5, b"apple")
        ((chunk,),) = (list(chunks.values()) for chunks in self.digests._chunks.values())
        self.assertEqual(len(chunk) * chunk.itemsize, 512)

    def test_a_number_may_be_given_another_body(self) -> None:
        self.digests.put((b"a", 1), 5, b"apple")
        self.digests.put((b"a", 1), 5, b"pear")
        self.assertTrue(self.digests.same((b"a", 1), 5, b"pear"))
        self.assertEqual(len(self.digests), 1)


class RoomTests(DigestsCase):
    def test_an_origin_has_room_for_256_chunks_and_then_loses_its_oldest(self) -> None:
        key = b"a", 1
        self.fill(key, PER_ORIGIN)
        self.assertEqual((len(self.digests), self.has(key, 0)), (PER_ORIGIN, True))
        self.fill(key, 1, PER_ORIGIN)
        self.assertEqual(len(self.digests), PER_ORIGIN)
        self.assertEqual([self.has(key, index) for index in (0, 1, 256)], [False, True, True])
        self.fill(key, 2, PER_ORIGIN + 1)
        self.assertEqual([self.has(key, index) for index in (2, 3, 258)], [False, True, True])

    def test_all_origins_have_room_for_4096_chunks_and_then_the_largest_lose_theirs(self) -> None:
        keys = [(b"%d" % number, 1) for number in range(16)]
        for key in keys:
            self.fill(key, PER_ORIGIN)
        self.assertEqual(len(self.digests), IN_ALL)
        self.assertTrue(all(self.has(key, 0) for key in keys))
        late = b"late", 1
        for count in (1, 2):
            self.fill(late, 1, count)
            self.assertEqual(len(self.digests), IN_ALL)
            self.assertEqual([self.has(key, 0) for key in keys], [False] * count + [True] * 14
                             + [True] * (2 - count))  # fmt: skip
            self.assertTrue(self.has(keys[0], 1))
            self.assertTrue(self.has(late, count))

    def test_an_origin_that_loses_its_only_chunk_leaves_nothing_behind(self) -> None:
        for number in range(IN_ALL):
            self.fill((b"%d" % number, 1), 1)
        self.assertTrue(self.has((b"0", 1), 0))
        self.fill((b"late", 1), 1)
        self.assertEqual(len(self.digests), IN_ALL)
        self.assertFalse(self.has((b"0", 1), 0))
        self.assertNotIn((b"0", 1), self.digests._chunks)
        self.assertNotIn(b"0", self.digests._lives)
        self.fill((b"0", 1), 1)
        self.fill((b"0", 2), 1)
        self.assertTrue(self.has((b"0", 1), 0), "a life that comes again is not counted twice")

    def test_what_is_forgotten_makes_room(self) -> None:
        self.fill((b"a", 1), 3)
        self.fill((b"b", 1), 2)
        self.digests.forget((b"a", 1))
        self.assertEqual(len(self.digests), 2)
        self.assertEqual((self.held((b"a", 1), 3), self.held((b"b", 1), 2)), ([], [0, 1]))
        self.assertEqual(sum(map(len, self.digests._sizes)), 1)
        self.digests.forget((b"b", 1))
        self.digests.forget((b"b", 1))
        self.assertEqual(len(self.digests), 0)
        self.assertEqual((self.digests._chunks, self.digests._lives), ({}, {}))

    def test_of_a_third_life_the_first_is_forgotten_and_the_other_nodes_keep_theirs(self) -> None:
        for life in (1, 2):
            self.fill((b"a", life), 2)
            self.fill((b"b", life), 2)
        self.assertEqual(len(self.digests), 8)
        self.fill((b"a", 3), 1)
        held = [self.held((b"a", life), 2) for life in (1, 2, 3)]
        self.assertEqual(held, [[], [0, 1], [0]])
        self.assertEqual([self.held((b"b", life), 2) for life in (1, 2)], [[0, 1], [0, 1]])
        self.assertEqual(len(self.digests), 7)
