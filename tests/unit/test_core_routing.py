"""The sorted pointers of a node: closest preceding node, alternatives, the edges of a tree."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.identifiers import between
from chordnet.core.base.messages import EdgeKind
from chordnet.core.ring.routing import Routes
from tests.unit.core_support import ids, make_context, raw, ref, refs


def routes(successors, fingers, me=10):
    made = Routes(make_context(me))
    made.rebuild(refs(*successors), refs(*fingers))
    return made


class RoutesTests(SynchronousTestCase):
    def test_nobody_is_known_at_first(self):
        empty = Routes(make_context())
        self.assertIsNone(empty.preceding(64))
        self.assertEqual(empty.closest(64, set(), 3), [])
        self.assertEqual(empty.tree, [])

    def test_nodes_stand_in_the_order_of_the_ring_each_once(self):
        made = routes([12, 15, 20], [12, 20, 30, 2])
        self.assertEqual(ids(made.nodes()), [12, 15, 20, 30, 2])
        self.assertEqual(made.raws, {raw(n) for n in (12, 15, 20, 30, 2)})

    def test_the_preceding_node_is_strictly_before(self):
        made = routes([12, 15], [30, 2])
        space = made._ctx.space
        for key, want in ((13, 12), (15, 12), (16, 15), (30, 15), (31, 30), (2, 30), (9, 2)):
            found = made.preceding(space.distance(10, key))
            self.assertEqual(found, ref(want), f"key {key}")
        self.assertIsNone(made.preceding(space.distance(10, 12)))

    def test_a_whole_turn_ends_at_the_last_node(self):
        self.assertEqual(routes([12], [30, 2]).preceding(64), ref(2))

    def test_alternatives_go_backwards_and_leave_the_excluded_out(self):
        made = routes([12, 15, 20], [30, 2])
        self.assertEqual(ids(made.closest(64, set(), 3)), [2, 30, 20])
        self.assertEqual(ids(made.closest(64, {raw(2), raw(20)}, 3)), [30, 15, 12])
        self.assertEqual(ids(made.closest(3, set(), 3)), [12])

    def test_the_tree_has_the_successor_and_the_distinct_fingers(self):
        made = routes([12, 15, 20], [12, 20, 30])
        self.assertEqual(
            [(d, node.id, kind) for d, node, kind in made.tree],
            [
                (2, 12, EdgeKind.SUCCESSOR),
                (10, 20, EdgeKind.FINGER),
                (20, 30, EdgeKind.FINGER),
            ],
        )

    def test_the_lists_incarnation_wins_over_the_fingers(self):
        made = Routes(make_context())
        made.rebuild([ref(12, 2)], [ref(12, 1)])
        self.assertEqual(made.nodes(), [ref(12, 2)])
        self.assertEqual(made.tree[0][1], ref(12, 2))

    def test_a_rebuild_forgets_the_old(self):
        made = routes([12, 15], [30])
        made.rebuild(refs(13), [])
        self.assertEqual(ids(made.nodes()), [13])
        self.assertEqual(made.raws, {raw(13)})

    def test_any_table_agrees_with_the_definition(self):
        """ToN 2003, figure 3: the node of the table closest before the key, in (self, key)."""
        for seed in range(100):
            rng = Random(seed)
            me = rng.randrange(64)
            others = rng.sample([n for n in range(64) if n != me], 9)
            made = routes(others[:3], others[3:], me)
            key = rng.randrange(64)
            before = [n for n in others if between(me, n, key)]
            best = max(before, key=lambda n: (n - me) % 64, default=None)
            found = made.preceding((key - me) % 64 or 64)
            self.assertEqual(found.id if found else None, best, f"seed {seed}")
