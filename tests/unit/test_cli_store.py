"""``p2pnet store``, ``explain-key``, and what other commands say of the store, on fakes."""

from __future__ import annotations

from typing import Any

from chordnet.core.base.errors import Busy, ConnectFailed, Unavailable
from chordnet.core.base.outcomes import Entry
from chordnet.testbed.base.faults import Faults, save_faults
from chordnet.testbed.base.home import NetworkHome
from chordnet.wire.stores import KeyMember, KeyMembers
from tests.unit.test_cli_commands import WorldCase
from tests.unit.testbed_fakes import disk, proper_members, slot_state, store_state


def member(number: int, version: int, accepted: str) -> KeyMember:
    return KeyMember(f"Node {number}", disk(number), 0.0015, "", version, accepted, 4, None)


class StoreCase(WorldCase):
    def say(self, *slots: Any, nodes: range = range(1, 6), **changes: Any) -> None:
        for number in nodes:
            self.world.nodes.stores[number] = store_state(
                self.world.described, number, range(1, 6), slots=list(slots), **changes
            )


class StoreTests(StoreCase):
    def test_a_store_in_step_is_three_lines(self) -> None:
        self.say(slot_state(0, 1, 2, 3, keys=2, bytes=1), slot_state(1, 2, 3, 4))
        self.assertEqual(
            self.printed("store"),
            "store 0f0f0f0f of network 'default': 2 keys (1 byte) in 2 slots on 5 nodes, "
            "3 replicas\n"
            "begun by Node 1, Node 2 and Node 3\n"
            "in step: 2 of 2 slots\n",
        )

    def test_what_is_not_in_step_is_a_line_each(self) -> None:
        lost = slot_state(0, 1, 8, 9)
        behind = [slot_state(n, 1, 2, 3, epoch=2, installed=1) for n in range(1, 13)]
        self.say(lost, *behind)
        self.world.nodes.stores[5] = ConnectFailed("it has\x07 ended")
        out = self.printed("store", status=1)
        self.assertIn("in step: 0 of 13 slots\n", out)
        self.assertIn(
            "no majority: slot 0: 1 of 3 members answers; Node 8 and Node 9 are missing\n", out
        )
        self.assertIn(
            "not in step: slot 1: Node 1, Node 2 and Node 3 have not reached epoch 2 yet\n", out
        )
        self.assertIn("not in step: 2 slots more (all of them: --json)\n", out)
        self.assertIn("Node 5 does not say: it has\\x07 ended\n", out)

    def test_a_network_without_a_store_says_why(self) -> None:
        self.say(formation="", reason="the store has not begun")
        out = self.printed("store", status=1)
        self.assertTrue(out.startswith("network 'default' has no store of keys\n"))
        self.assertIn("its founders are to be Node 1, Node 2 and Node 3\n", out)
        self.assertIn("Node 4 does not belong to a store: the store has not begun\n", out)
        self.say(formation="", founders=[], reason="none")
        self.assertNotIn("founders", self.printed("store", status=1))

    def test_another_store_and_one_that_has_stopped_are_named(self) -> None:
        self.say(slot_state(0, 1, 2, 3))
        self.say(nodes=range(5, 6), formation="1e" * 16)
        self.say(slot_state(0, 1, 2, 3), nodes=range(4, 5), failed="disk full")
        out = self.printed("store", status=1)
        self.assertIn("another store, 1e1e1e1e: Node 5\n", out)
        self.assertIn("Node 4 has a store that has stopped: disk full\n", out)

    def test_of_each_side_of_a_partition_it_is_said_how_many_slots_can_be_used_there(self) -> None:
        self.say(slot_state(0, 1, 2, 3), slot_state(1, 3, 4, 5), slot_state(2, 1, 4, 5))
        home = NetworkHome(self.root, self.NAME)
        save_faults(home, Faults().with_partition([{1, 2}], range(1, 6)))
        out = self.printed("store", status=1)
        self.assertIn("in step: 3 of 3 slots\n", out)
        self.assertIn("parted from the others, nodes 1-2: 1 of 3 slots can be used\n", out)
        self.assertIn("parted from the others, nodes 3-5: 2 of 3 slots can be used\n", out)
        self.assertEqual(
            self.document("store", status=1)["parts"],
            [{"nodes": [1, 2], "unavailable": [1, 2]}, {"nodes": [3, 4, 5], "unavailable": [0]}],
        )

    def test_the_document_has_every_slot_and_every_node(self) -> None:
        self.say(slot_state(0, 1, 2, 3, keys=2, bytes=9), slot_state(1, 1, 8, 9))
        self.world.nodes.stores[5] = ConnectFailed("gone")
        document = self.document("store", status=1)
        self.assertEqual(
            {key: document[key] for key in ("network", "in_step", "formation", "founders")},
            {
                "network": "default", "in_step": False, "formation": "0f" * 16,
                "founders": [1, 2, 3],
            },
        )  # fmt: skip
        self.assertEqual((document["keys"], document["bytes"], document["replicas"]), (2, 9, 3))
        self.assertEqual(
            document["slots"][1],
            {
                "slot": 1, "generation": 1, "epoch": 1, "members": [1, "Node 8", "Node 9"],
                "in_step": False, "majority": False, "missing": ["Node 8", "Node 9"],
                "behind": [], "vacating": [], "lacking": 0, "keys": 0, "bytes": 0, "deleted": 0,
            },
        )  # fmt: skip
        self.assertEqual(
            document["nodes"][0],
            {
                "node": 1, "formation": "0f" * 16, "reason": "", "store": f"{1:016x}", "run": 1,
                "slots": 0, "keys": 0, "bytes": 0, "deleted": 0, "vacating": False,
                "changing": 0, "failed": "",
            },
        )  # fmt: skip
        self.assertEqual(document["silent"], [{"node": 5, "why": "gone"}])


class ExplainKeyTests(StoreCase):
    def test_a_key_is_explained_by_its_slot_and_the_nodes_that_hold_it(self) -> None:
        self.say(*[slot_state(n, 1, 2, 3, epoch=n + 1, installed=n + 1) for n in range(4)])
        space = self.world.described.space
        identifier = space.hash(b"config")
        number = identifier // (space.size // 4)
        self.assertEqual(
            self.printed("explain-key", "config"),
            f"config has the identifier {space.hex(identifier)}\n"
            f"which is in slot {number}, from {space.hex(number * (space.size // 4))} on\n"
            f"held by Node 1, Node 2 and Node 3 in epoch {number + 1}\n"
            "any node reads and writes it with 2 of 3 members; 3 answer\n",
        )
        document = self.document("explain-key", "config")
        self.assertEqual((document["key"], document["id"]), ("config", space.hex(identifier)))
        self.assertEqual(document["place"], space.hex(number * (space.size // 4)))
        self.assertEqual(document["slot"]["slot"], number)

    def look(self, *members: tuple[KeyMember, ...], key: Any = None) -> None:
        """Have Node 1 tell of these members before the key is read, and after."""
        self.say(*[slot_state(n, 1, 2, 3, epoch=2, installed=2) for n in range(4)])
        nodes = self.world.nodes
        nodes.inspected[1] = [KeyMembers(2, 1, 2, list(each)) for each in members]
        nodes.keys[1] = [key if key is not None else Entry(b"blue", 7)]

    def test_what_each_member_has_and_how_a_read_decides_is_told(self) -> None:
        has = [member(1, 7, "2.4 Node 9 1f"), member(2, 7, "2.4 Node 9 1f")]
        late = KeyMember("Node 3", disk(3), None, "", None, "", None, None)
        self.look((*has, late), (*has, late))
        out = self.printed("explain-key", "config")
        self.assertTrue(
            out.endswith(
                "asked by Node 1:\n"
                "  Node 1 has version 7, 4 bytes, after 1.5 ms\n"
                "  Node 2 has version 7, 4 bytes, after 1.5 ms\n"
                "  Node 3 does not answer\n"
                "a read takes one round: Node 1 and Node 2 have the same, which is a majority\n"
            ),
            out,
        )
        words = self.world.nodes.words
        self.assertEqual([each[0] for each in words], ["inspect", "get", "inspect"])

    def test_a_member_that_a_read_has_repaired_is_told(self) -> None:
        old = [member(1, 7, "2.4 Node 9 1f"), member(2, 6, "2.3 Node 8 1f"), member(3, 0, "0.0  0")]
        behind = KeyMember("Node 3", disk(3), 0.001, "NOT_INSTALLED", None, "", None, None)
        new = member(1, 7, "2.5 Node 1 2f"), member(2, 7, "2.5 Node 1 2f"), behind
        self.look(tuple(old), new)
        out = self.printed("explain-key", "config")
        self.assertIn("  Node 3 has never heard of it, after 1.5 ms\n", out)
        self.assertIn("a read takes two rounds: no majority has the same, so it has", out)
        self.assertIn("Node 2 went from version 6 to version 7\n", out)
        self.assertNotIn("Node 3 went", out)
        self.look(tuple(old), new)
        read = self.document("explain-key", "config")["read"]
        self.assertEqual((read["asked"], read["decided"], read["problem"]), (1, [], None))
        self.assertEqual(
            read["repaired"],
            [{"node": 1, "from": 7, "to": 7}, {"node": 2, "from": 6, "to": 7}],
        )
        self.assertEqual(
            read["members"][1],
            {
                "node": 2, "seconds": 0.0015, "version": 6, "accepted": "2.3 Node 8 1f",
                "bytes": 4, "expires": None, "why": None,
            },
        )  # fmt: skip

    def test_a_member_that_cannot_say_what_it_has_says_why(self) -> None:
        seen = [
            KeyMember("Node 1", disk(1), 0.001, why, None, "", None, None)
            for why in ("NOT_INSTALLED", "STORE", "\x07")
        ]
        self.look(tuple(seen), tuple(seen), key=Unavailable("too few of them answer"))
        out = self.printed("explain-key", "config")
        self.assertIn("  Node 1 has not fetched the slot yet\n", out)
        self.assertIn("  Node 1 has another disk than the one that is meant\n", out)
        self.assertIn("  Node 1 does not say what it has (\\x07)\n", out)
        self.assertIn("a read fails: too few of them answer\n", out)

    def test_a_node_that_cannot_ask_leaves_the_members_out(self) -> None:
        self.look()
        self.world.nodes.inspected[1] = [Busy("later")]
        self.assertNotIn("asked by", self.printed("explain-key", "config"))

    def test_a_key_without_a_majority_is_said_to_be_out_of_reach(self) -> None:
        self.say(*[slot_state(n, 1, 8, 9) for n in range(4)])
        out = self.printed("explain-key", "config", status=1)
        self.assertIn("it can be neither read nor written now\n", out)
        self.assertIn("1 of 3 members answers; Node 8 and Node 9 are missing\n", out)

    def test_a_key_in_a_slot_that_is_behind_has_its_line(self) -> None:
        self.say(*[slot_state(n, 1, 2, epoch=2, installed=1) for n in range(4)])
        self.assertIn("have not reached epoch 2 yet", self.printed("explain-key", "config"))

    def test_a_key_has_no_slot_where_what_nodes_say_of_the_slots_cannot_be(self) -> None:
        for count, slots in ((0, [slot_state(0, 1)]), (2**200, [slot_state(0, 1)]), (4, [])):
            self.say(*slots, slot_count=count)
            out = self.printed("explain-key", "config", status=1)
            self.assertTrue(out.endswith("there is no store that could hold it\n"))

    def test_a_key_finds_its_slot_among_any(self) -> None:
        number = self.document("explain-key", "config")["slot"]["slot"]
        self.say(slot_state(number, 1, 2, 3), slot_state(10**9, 1, 2, 3))
        self.assertEqual(self.document("explain-key", "config")["slot"]["slot"], number)

    def test_without_a_store_a_key_has_only_its_identifier(self) -> None:
        self.say(formation="")
        out = self.printed("explain-key", "config", status=1)
        self.assertTrue(out.endswith("there is no store that could hold it\n"))
        document = self.document("explain-key", "config", status=1)
        self.assertEqual((document["slot"], document["place"]), (None, None))


class OtherCommandTests(StoreCase):
    def test_the_doctor_finds_slots_without_a_majority_and_notes_what_is_not_in_step(self) -> None:
        self.say(slot_state(0, 1, 8, 9), slot_state(1, 1, 2, 8))
        out = self.printed("doctor", status=1)
        self.assertIn(
            "slot 0: 1 of 3 members answers; Node 8 and Node 9 are missing\n"
            "note: slot 1: Node 8 is missing\n",
            out,
        )
        findings = self.document("doctor", status=1)["findings"]
        self.assertEqual(
            [(each["severity"], each["kind"], each["nodes"]) for each in findings],
            [
                ("problem", "slots-without-majority", ["Node 8", "Node 9"]),
                ("note", "slots-not-in-step", ["Node 8"]),
            ],
        )

    def test_what_a_node_says_of_a_store_controls_no_terminal(self) -> None:
        self.say(formation="\x1b[2J\u202e", nodes=range(5, 6))
        self.assertIn("\\x1b[2J\\u202e of Node 5\n", self.printed("doctor", status=1))

    def test_the_doctor_waits_for_slots_that_have_not_caught_up(self) -> None:
        members = proper_members(self.world.described, range(1, 6), 0)
        self.say(slot_state(0, *members, epoch=2, installed=2))
        late = store_state(
            self.world.described, members[0], range(1, 6),
            slots=[slot_state(0, *members, epoch=2, installed=1)],
        )  # fmt: skip
        stores = self.world.nodes.stores
        stores[members[0]] = [late] * 5 + [stores[members[0]]]
        out = self.printed("doctor", "--wait-converged")
        self.assertNotIn("note", out)
        self.assertIsInstance(stores[members[0]], list)
        self.assertEqual(len(stores[members[0]]), 1)

    def test_the_doctor_notes_slots_that_other_nodes_hold_than_should(self) -> None:
        proper = proper_members(self.world.described, range(1, 6), 0)
        (other, another) = [n for n in range(1, 6) if n not in proper]
        self.say(slot_state(0, proper[0], other, another, epoch=2, installed=2))
        out = self.printed("doctor")
        instead = " and ".join(f"Node {n}" for n in sorted((other, another)))
        missing = " and ".join(f"Node {n}" for n in proper[1:])
        self.assertIn(f"note: slot 0: {instead} instead of {missing}\n", out)

    def test_a_removal_without_a_wait_leaves_the_slots_where_they_are(self) -> None:
        self.world.nodes.stores[3] = store_state(self.world.described, 3, range(1, 6), seats=7)
        document = self.document("remove-node", "3", "--no-wait")
        self.assertEqual((document["slots"], self.world.nodes.vacated), (0, []))
