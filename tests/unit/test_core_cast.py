"""The books that one node keeps about one broadcast, and its memory of finished ones."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import Detour, EdgeKind, Hop, MessageId
from chordnet.core.broadcast.cast import Branch, Cast, Casts, Waiter, cost_of
from tests.unit.core_support import make_context, raw, ref, refs


def mid(sequence: int = 1) -> MessageId:
    return MessageId(raw(10), 1, sequence)


def make_cast(sequence: int = 1, hops: int = 1) -> Cast:
    route = [Hop(raw(n), f"n{n}", int(EdgeKind.FINGER)) for n in range(hops)]
    return Cast(mid(sequence), 0.0, [b"body"], route, 9, 20.0, [])


def branch(start: int, end: int, child: int = 20) -> Branch:
    return Branch(ref(child), raw(end), start, end, EdgeKind.FINGER)


class CostTests(SynchronousTestCase):
    def test_bodies_weigh_their_bytes_and_every_hop_of_a_route_or_a_detour_weighs_512(self):
        hop = Hop(raw(1), "n1", int(EdgeKind.FINGER))
        bodies = [b"ab", b"c"]
        self.assertEqual(cost_of(bodies, [hop] * 2, []), 3 + 2 * 64 + 2 * 512)
        detours = [Detour(0, 1, [hop] * 3), Detour(1, 1, [hop])]
        self.assertEqual(cost_of(bodies, [hop] * 2, detours), 3 + 2 * 64 + 6 * 512)


class NewTests(SynchronousTestCase):
    def test_of_a_new_branch_nothing_has_been_counted_yet(self):
        new = branch(10, 30)
        counted = ("resent", "looks", "bodies_sent", "count", "messages", "depth")
        for name in (*counted, "conflict", "lost", "acked", "done", "partial"):
            self.assertEqual(getattr(new, name), 0, name)

    def test_of_a_new_broadcast_nothing_is_covered_and_nobody_was_told(self):
        new = make_cast()
        for name in ("cover", "open", "told_end", "told_kind"):
            self.assertEqual(getattr(new, name), 0, name)
        self.assertEqual((new.told, new.past, new.idle), (b"", None, True))
        found = new.tally(0, 64)
        self.assertEqual((found.count, found.messages, found.conflict, found.lost), (0, 0, 0, 0))


class CastTests(SynchronousTestCase):
    def setUp(self):
        self.cast = make_cast()
        self.cast.cover = 64

    def add(self, *branches: Branch) -> None:
        for each in branches:
            self.cast.add(each)

    def test_in_a_new_cast_nothing_is_pending_and_nobody_waits(self):
        self.assertFalse(self.cast.pending(64))
        self.assertTrue(self.cast.idle)

    def test_an_open_branch_is_pending_from_its_start_on(self):
        self.add(branch(10, 30))
        self.assertTrue(self.cast.pending(64))
        self.assertTrue(self.cast.pending(11))
        self.assertFalse(self.cast.pending(10))
        self.assertFalse(self.cast.idle)

    def test_a_closed_branch_is_not_pending(self):
        first, second = branch(10, 30), branch(30, 64)
        self.add(first, second)
        self.cast.close(first)
        self.cast.close(first)
        self.assertFalse(self.cast.pending(30))
        self.assertTrue(self.cast.pending(31))
        self.cast.close(second)
        self.assertFalse(self.cast.pending(64))
        self.assertEqual(self.cast.open, 0)

    def test_what_was_covered_before_it_was_put_away_counts_when_it_is_under_way_again(self):
        first = branch(10, 30)
        first.count, first.messages, first.depth, first.conflict, first.lost = 3, 4, 5, 1, 2
        self.add(first)
        self.cast.close(first)
        again = Cast.resumed(self.cast.finish(), 30.0)
        second = branch(30, 64)
        second.count, second.messages, second.depth = 10, 20, 2
        second.conflict, second.lost, second.partial = 100, 200, True
        again.add(second)
        again.close(second)
        found = again.tally(0, 65)
        self.assertEqual((found.count, found.messages, found.depth), (13, 24, 5))
        self.assertEqual((found.conflict, found.lost, found.partial), (101, 202, True))
        later = again.tally(30, 65)
        self.assertEqual((later.count, later.conflict, later.lost), (10, 100, 200))

    def test_the_range_of_a_search_is_pending(self):
        self.cast.searching[7] = 30
        self.assertTrue(self.cast.pending(31))
        self.assertFalse(self.cast.pending(30))
        self.assertFalse(self.cast.idle)

    def test_a_range_before_this_node_is_pending_for_everybody(self):
        back = Branch(ref(5), raw(10), -1, 0, EdgeKind.BACKFILL)
        self.add(back)
        self.assertTrue(self.cast.pending(1))
        self.cast.close(back)
        self.assertFalse(self.cast.pending(1))

    def test_a_cast_for_which_somebody_waits_is_not_idle(self):
        self.cast.waiters.append(Waiter(ref(5), raw(20), 10))
        self.assertFalse(self.cast.idle)

    def test_an_answer_belongs_to_the_branch_of_its_child_and_limit(self):
        one, other = branch(10, 30, 20), branch(30, 64, 20)
        self.add(one, other)
        self.assertIs(self.cast.branch(raw(20), raw(64)), other)
        self.assertIsNone(self.cast.branch(raw(21), raw(64)))
        self.assertIsNone(self.cast.branch(raw(20), raw(40)))

    def test_of_two_branches_that_fit_an_answer_belongs_to_the_open_one(self):
        """The child was believed dead, its range looked up again, and it was the heir itself."""
        first, second = branch(10, 30, 20), branch(10, 30, 20)
        self.add(first, second)
        self.assertIs(self.cast.branch(raw(20), raw(30)), first)
        self.cast.close(first)
        self.assertIs(self.cast.branch(raw(20), raw(30)), second)
        self.cast.close(second)
        self.assertIsNotNone(self.cast.branch(raw(20), raw(30)))

    def test_a_tally_sums_what_lies_in_the_range(self):
        near, far = branch(10, 30), branch(30, 64)
        near.count, near.messages, near.depth = 3, 4, 2
        far.count, far.messages, far.depth = 5, 6, 4
        far.partial, far.unreached = True, refs(33)
        self.add(near, far)
        whole = self.cast.tally(0, 64)
        self.assertEqual((whole.count, whole.messages, whole.depth), (8, 10, 4))
        self.assertTrue(whole.partial)
        self.assertEqual(whole.unreached, refs(33))
        part = self.cast.tally(0, 30)
        self.assertEqual((part.count, part.messages, part.depth, part.partial), (3, 4, 2, False))
        self.assertEqual(self.cast.tally(30, 64).count, 5)

    def test_one_partial_branch_makes_the_whole_partial(self):
        near, far = branch(10, 30), branch(30, 64)
        near.partial = True
        self.add(near, far)
        self.assertTrue(self.cast.tally(0, 64).partial)
        self.assertFalse(self.cast.tally(30, 64).partial)

    def test_what_was_passed_back_belongs_to_whoever_is_told_of_the_beginning(self):
        back = Branch(ref(5), raw(10), -1, 0, EdgeKind.BACKFILL)
        back.count, back.messages = 2, 3
        self.add(back)
        self.assertEqual(self.cast.tally(0, 20).count, 2)
        self.assertEqual(self.cast.tally(20, 64).count, 0)
        again = Cast.resumed(self.cast.finish(), 40.0)
        self.assertEqual(again.tally(0, 64).count, 2)

    def test_the_depth_is_at_least_this_nodes_own(self):
        self.assertEqual(make_cast(hops=4).tally(0, 64).depth, 3)

    def test_what_was_covered_before_counts_once_it_is_taken_up_again(self):
        near = branch(10, 30)
        near.count, near.messages, near.depth = 3, 4, 2
        self.add(near)
        self.cast.close(near)
        self.cast.told, self.cast.told_end = raw(5), 30
        again = Cast.resumed(self.cast.finish(), 40.0)
        self.assertEqual((again.cover, again.told, again.told_end), (64, raw(5), 30))
        later = branch(40, 64)
        later.count, later.messages, later.depth = 2, 9, 1
        again.add(later)
        whole, rest = again.tally(0, 65), again.tally(30, 65)
        self.assertEqual(
            (whole.count, whole.messages, whole.depth, whole.partial), (5, 13, 2, False)
        )
        self.assertEqual((rest.count, rest.messages), (2, 9), "not what was told already")

    def test_a_branch_at_the_very_end_is_remembered_and_so_is_that_it_was_partial(self):
        last = branch(63, 64)
        last.count, last.partial = 1, True
        self.add(last)
        self.cast.told, self.cast.told_end = raw(5), 30
        again = Cast.resumed(self.cast.finish(), 40.0)
        self.assertEqual((again.tally(0, 64).count, again.tally(0, 64).partial), (1, True))
        self.assertFalse(again.tally(30, 64).partial)
        later = branch(40, 50)
        later.partial = True
        whole = Cast.resumed(make_cast().finish(), 40.0)
        whole.add(later)
        self.assertTrue(whole.tally(0, 64).partial)


COST = make_cast().cost


class MemoryTests(SynchronousTestCase):
    def setUp(self):
        self.ctx = make_context(max_casts=3, broadcast_memory_s=10.0, broadcast_deadline_s=8.0)
        self.casts = Casts(self.ctx)

    def test_a_broadcast_is_remembered_as_long_as_it_may_be_sent_again_whatever_is_set(self):
        casts = Casts(make_context(broadcast_memory_s=1.0, broadcast_deadline_s=8.0))
        casts.add(make_cast())
        casts.finish(casts.active(make_cast().id))
        for now, remembered in ((7.0, True), (9.0, False)):
            casts._ctx.now = now
            casts.forget()
            self.assertEqual(make_cast().id in casts._finished, remembered)

    def finish(self, *sequences: int) -> None:
        for sequence in sequences:
            cast = make_cast(sequence)
            self.casts.add(cast)
            self.casts.finish(cast)

    def test_the_memory_is_full_with_twice_as_many_under_way_as_are_remembered(self):
        for sequence in range(1, 7):
            self.assertFalse(self.casts.full)
            self.casts.add(make_cast(sequence))
        self.assertTrue(self.casts.full)

    def test_the_memory_is_full_with_as_many_bytes_under_way_as_are_allowed(self):
        for most, full in ((2 * COST, True), (2 * COST + 1, False)):
            casts = Casts(make_context(max_casts=3, max_active_bytes=most))
            casts.add(make_cast(1))
            self.assertFalse(casts.full)
            casts.add(make_cast(2))
            self.assertEqual(casts.full, full)
            casts.finish(casts.active(mid(1)))
            self.assertEqual((casts.full, casts.active_bytes), (False, COST))

    def test_one_origin_has_half_of_the_trees_and_another_one_still_finds_room(self):
        for sequence in range(1, 4):
            self.assertFalse(self.casts.refuses(raw(10)))
            self.casts.add(make_cast(sequence))
        self.assertTrue(self.casts.refuses(raw(10)))
        self.assertFalse(self.casts.refuses(raw(20)))
        self.casts.finish(self.casts.active(mid(1)))
        self.assertFalse(self.casts.refuses(raw(10)))

    def test_one_origin_has_half_of_the_bytes_and_another_one_still_finds_room(self):
        for most, refused in ((4 * COST, True), (4 * COST + 2, False)):
            casts = Casts(make_context(max_casts=9, max_active_bytes=most))
            casts.add(make_cast(1))
            self.assertFalse(casts.refuses(raw(10)))
            casts.add(make_cast(2))
            self.assertEqual((casts.refuses(raw(10)), casts.refuses(raw(20))), (refused, False))
            casts.finish(casts.active(mid(1)))
            self.assertFalse(casts.refuses(raw(10)))

    def test_when_all_room_is_taken_every_origin_is_refused(self):
        casts = Casts(make_context(max_casts=1))
        for sequence in (1, 2):
            casts.add(make_cast(sequence))
        self.assertTrue(casts.refuses(raw(20)))

    def test_nothing_is_remembered_of_an_origin_that_has_nothing_under_way(self):
        self.finish(1, 2, 3)
        self.assertEqual(self.casts._shares, {})
        # What is finished is resumed when it comes again, and counts again.
        self.casts.get(mid(3))
        share = self.casts._shares[raw(10)]
        self.assertEqual((share.trees, share.bytes), (1, COST))

    def test_a_broadcast_under_way_is_found_and_counted(self):
        cast = make_cast()
        self.casts.add(cast)
        self.assertIs(self.casts.get(mid()), cast)
        self.assertIs(self.casts.active(mid()), cast)
        self.assertEqual(len(self.casts), 1)

    def test_a_broadcast_that_is_not_idle_is_not_put_away(self):
        cast = make_cast()
        cast.waiters.append(Waiter(None, raw(10), 64))
        self.casts.add(cast)
        self.casts.finish(cast)
        self.assertEqual(len(self.casts), 1)

    def test_a_finished_broadcast_is_not_under_way_until_somebody_asks(self):
        self.finish(1)
        self.assertEqual(len(self.casts), 0)
        self.assertIsNone(self.casts.active(mid()))
        self.assertEqual(self.casts.get(mid()).bodies, [b"body"])
        self.assertEqual(len(self.casts), 1)

    def test_an_unknown_broadcast_is_not_found(self):
        self.assertIsNone(self.casts.get(mid(9)))

    def test_memory_is_capped_and_the_oldest_go_first(self):
        self.finish(1, 2, 3, 4)
        self.assertIsNone(self.casts.get(mid(1)))
        self.assertIsNotNone(self.casts.get(mid(2)))

    def test_memory_is_capped_in_bytes_and_the_newest_stays(self):
        self.ctx = make_context(max_casts=100, max_cast_bytes=2 * COST + 2)
        self.casts = Casts(self.ctx)
        self.finish(1, 2, 3)
        self.assertEqual(list(map(self.casts.get, (mid(1),))), [None])
        self.finish(4)
        self.assertIsNotNone(self.casts.get(mid(3)))
        self.finish(5, 6)
        self.assertEqual([each.id.sequence for each in self.casts.fresh(9)], [5, 6, 3])
        self.ctx = make_context(max_casts=100, max_cast_bytes=COST - 1)
        self.casts = Casts(self.ctx)
        self.finish(1, 2)
        self.assertEqual([each.id.sequence for each in self.casts.fresh(9)], [2])

    def test_as_many_bytes_as_are_allowed_are_kept(self):
        self.casts = Casts(make_context(max_casts=100, max_cast_bytes=2 * COST))
        self.finish(1, 2)
        self.assertEqual([each.id.sequence for each in self.casts.fresh(9)], [1, 2])

    def test_a_broadcast_that_is_under_way_again_has_a_deadline_of_its_own(self):
        self.finish(1)
        self.ctx.now = 5.0
        deadline = self.casts.get(mid()).deadline
        self.assertEqual(deadline, 5.0 + self.ctx.config.broadcast_deadline_s)

    def test_memory_ends_in_time(self):
        self.finish(1)
        self.ctx.now = 9.9
        self.casts.forget()
        self.assertEqual(len(self.casts._finished), 1)
        self.ctx.now = 10.0
        self.casts.forget()
        self.assertEqual(len(self.casts._finished), 0)

    def test_the_newest_broadcasts_are_the_fresh_ones(self):
        self.finish(1, 2, 3)
        self.casts.add(make_cast(4))
        self.assertEqual([cast.id.sequence for cast in self.casts.fresh(3)], [2, 3, 4])
        self.assertEqual(next(c.id.sequence for c in self.casts.fresh(9)), 1)
