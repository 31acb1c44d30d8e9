"""``p2pnet ring --key``: a key's slot and the nodes that hold it, in every form of the drawing."""

from __future__ import annotations

import re

from chordnet.draw.keymark import KeyMark, drawn
from chordnet.draw.model import point
from tests.unit.test_cli_commands import WorldCase
from tests.unit.testbed_fakes import proper_members, slot_state, store_state


class KeyMarkTests(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        space = self.world.described.space
        self.slot = space.hash(b"config") // (space.size // 4)
        self.members = proper_members(self.world.described, range(1, 6), self.slot)
        self.turn = space.hash(b"config") / space.size

    def test_the_picture_marks_the_key_its_slot_and_each_node_that_holds_it(self) -> None:
        svg = self.printed("ring", "--key", "config", "--svg", "-")
        self.assertEqual(svg.count('class="slot"'), 1)
        self.assertEqual(svg.count('class="key"'), 1)
        held = re.findall(r'class="holds".*?<title>(.*?)</title>', svg)
        self.assertEqual(len(held), 3)
        self.assertTrue(all(f"holds slot {self.slot} (" in text for text in held), held)
        self.assertIn(f"config is in slot {self.slot}, held by Node ", svg)

    def test_the_terminal_and_the_document_say_who_holds_the_key(self) -> None:
        out = self.printed("ring", "--key", "config")
        self.assertIn(f"config is in slot {self.slot}, held by Node ", out)
        document = self.document("ring", "--key", "config")["key"]
        self.assertEqual((document["key"], document["slot"]), ("config", self.slot))
        self.assertEqual(sorted(document["members"]), sorted(self.members))
        self.assertEqual((document["missing"], document["turn"]), ([], round(self.turn, 6)))

    def test_a_member_that_is_missing_is_said_and_drawn_so(self) -> None:
        gone = self.members[0]
        for number in range(1, 6):
            slots = [slot_state(n, gone, 8, 9) for n in range(4)]
            self.world.nodes.stores[number] = store_state(
                self.world.described, number, range(1, 6), slots=slots
            )
        out = self.printed("ring", "--key", "config", "--svg", "-")
        self.assertIn("; Node 8 and Node 9 are missing", out)
        mark = KeyMark("k", 0.1, 0, 0.0, 1.0, (1, 2), (2,))
        parts = list(drawn(mark, (0.0, 0.0), 100.0, {1: (0.0, 1.0), 2: (1.0, 0.0)}, point))
        self.assertEqual(sum('class="holds away"' in part for part in parts), 1)
        self.assertIn("; Node 2 is missing", mark.words())

    def test_without_a_store_there_is_nothing_to_mark(self) -> None:
        for number in range(1, 6):
            self.world.nodes.stores[number] = store_state(
                self.world.described, number, range(1, 6), formation="", slots=[]
            )
        err = self.failed("ring", "--key", "config")
        self.assertEqual(err, "p2pnet: no store holds the key config; see: p2pnet store\n")

    def test_an_impossible_key_is_refused_before_anything_is_asked(self) -> None:
        self.assertIn("the key is empty", self.failed("ring", "--key", "", status=2))
