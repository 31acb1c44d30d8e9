"""How much of the ring and of the store each node has, and what ``status`` says of it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.commands.status import (
    COLUMNS,
    COLUMNS_OF_SHARES,
    status_table,
    take_report_and_store,
)
from chordnet.survey.store.merged import Circle, Slot, Store
from chordnet.survey.store.shares import Share, share_of
from tests.unit.test_cli_commands import WorldCase
from tests.unit.testbed_fakes import network, proper_members, slot_state, store_state


class ShareTests(SynchronousTestCase):
    def test_a_node_owns_the_keys_of_the_slots_of_which_it_is_the_first(self) -> None:
        described = network(5)
        slots = [slot_state(0, 1, 2, keys=5), slot_state(1, 2, 1, keys=7)]
        states = {
            n: store_state(described, n, range(1, 6), slots=slots, keys=12, seats=2) for n in (1, 2)
        }
        store = Store(
            states,
            slots=(Slot(0, 1, 1, (1, 2), proper=(1, 2)), Slot(1, 1, 1, (1, 2), proper=(2, 1))),
            formation="0f", slot_count=2, circle=Circle(4, {1: 2, 2: 6}),
        )  # fmt: skip
        self.assertEqual(share_of(store, 1), Share(12, 5, 2, 2, 12 / 16))
        self.assertEqual(share_of(store, 2), Share(12, 7, 2, 2, 4 / 16))
        self.assertIsNone(share_of(store, 3))
        self.assertIsNone(share_of(Store(states), 1))

    def test_a_node_alone_has_the_whole_ring(self) -> None:
        circle = Circle(4, {1: 3})
        self.assertEqual((circle.share(1, [1]), circle.share(2, [1])), (1.0, 0.0))

    def test_the_first_nodes_from_a_place_on_are_found_across_zero(self) -> None:
        circle = Circle(4, {1: 2, 2: 6, 3: 14})
        self.assertEqual(circle.first(13, [1, 2, 3, 9], 2), (3, 1))
        self.assertEqual(circle.first(6, [1, 2, 3], 5), (2, 3, 1))


class StatusTests(WorldCase):
    def test_the_document_says_what_each_node_has(self) -> None:
        nodes = self.document("status")["nodes"]
        self.assertAlmostEqual(sum(node["ring_share"] for node in nodes), 1.0, 4)
        self.assertEqual({node["keys_owned"] for node in nodes}, {0})
        keeper = proper_members(self.world.described, range(1, 6), 0)[0]
        for number in range(1, 6):
            members = proper_members(self.world.described, range(1, 6), 0)
            self.world.nodes.stores[number] = store_state(
                self.world.described, number, range(1, 6), keys=3, seats=1,
                slots=[slot_state(0, *members, keys=3)],
            )  # fmt: skip
        nodes = self.document("status")["nodes"]
        owners = [node["node"] for node in nodes if node["keys_owned"]]
        self.assertEqual((owners, nodes[0]["slots"]), ([keeper], 1))

    def test_a_network_without_a_store_has_no_shares(self) -> None:
        for number in range(1, 6):
            self.world.nodes.stores[number] = store_state(
                self.world.described, number, range(1, 6), formation="", slots=[]
            )
        (node, *_) = self.document("status")["nodes"]
        self.assertEqual((node["keys_owned"], node["slots"], node["ring_share"]), (0, 0, None))

    def test_a_wide_table_has_columns_for_the_shares_and_a_narrow_one_has_not(self) -> None:
        report, store = self.world.run(
            "default", lambda testbed: take_report_and_store(testbed, 2.0)
        )
        wide = status_table(report, store, short=False)
        narrow = status_table(report, store, short=True)
        headers = [column.header for column in wide.columns]
        self.assertEqual(headers, [*COLUMNS, *COLUMNS_OF_SHARES])
        self.assertEqual([column.header for column in narrow.columns], list(COLUMNS))
        (share,) = [column for column in wide.columns if column.header == "of ring"]
        self.assertTrue(all(cell.endswith("%") for cell in share.cells))
