"""``p2pnet store recover``, ``begin``, ``set-aside`` and ``adopt-copy``, on fakes."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from chordnet.cli.store.operate import recovery_words
from chordnet.storage.store.aside import formations_aside, set_copy_aside, set_formation_aside
from chordnet.survey.verdict import Names
from chordnet.wire.stores import SlotRecovery
from tests.unit.test_cli_store import StoreCase
from tests.unit.testbed_fakes import slot_state, store_state

LOST = SlotRecovery(
    1, "loses", 1, 4, ["Node 1", "Node 8", "Node 9"], ["Node 8", "Node 9"], ["Node 1"], 0, 7, 0.0
)  # fmt: skip
DONE = replace(LOST, fate="recovered", generation=1 << 40, members=["Node 1", "Node 2", "Node 3"])
FINE = replace(LOST, slot=0, fate="has_majority", missing=[])


class RecoverTests(StoreCase):
    def setUp(self) -> None:
        super().setUp()
        self.say(slot_state(0, 1, 2, 3), slot_state(1, 1, 8, 9))
        self.world.nodes.recoveries = {0: FINE, 1: LOST}

    def test_what_would_be_lost_is_said_and_nothing_is_done_without_accept_loss(self) -> None:
        self.assertEqual(
            self.printed("store", "recover", "--all", status=1),
            "slot 1 would lose what was written without Node 1: Node 8 and Node 9 gone; 7 keys"
            " left\n"
            "nothing was done. If Node 8 and Node 9 can be started or connected again with their"
            " data, do that, and nothing is lost; otherwise: p2pnet store recover --all"
            " --accept-loss\n",
        )
        self.assertEqual(self.world.nodes.words, [("recover", (1,), False)])

    def test_a_slot_that_has_its_majority_is_not_recovered(self) -> None:
        out = self.printed("store", "recover", "0", "--accept-loss", status=1)
        self.assertEqual(out, "slot 0 has its majority; nothing to recover\n")

    def test_a_slot_that_was_recovered_is_said_with_those_that_hold_it(self) -> None:
        self.world.nodes.recoveries[1] = DONE
        self.assertEqual(
            self.printed("store", "recover", "1", "--accept-loss"),
            "slot 1 was recovered from what Node 1 had; held by Node 1, Node 2 and Node 3\n",
        )
        document = self.document("store", "recover", "1", "--accept-loss")
        (slot,) = document["slots"]
        self.assertEqual((slot["fate"], slot["recoveries"], slot["left"]), ("recovered", 1, [1]))
        self.assertIsNone(slot["written"])

    def test_with_nothing_lost_there_is_nothing_to_recover(self) -> None:
        self.say(slot_state(0, 1, 2, 3))
        out = self.printed("store", "recover", "--all", "--accept-loss")
        self.assertEqual(out, "every slot has its majority; nothing to recover\n")

    def test_every_fate_has_its_words(self) -> None:
        names = Names(self.world.described)
        for change, words in (
            ({"left": [], "fate": "recovered"}, "recovered empty, for nothing was left of it"),
            ({"fate": "begun"}, "have yet to take its state; look again"),
            ({"fate": "nobody"}, "no live node can hold it"),
            ({"fate": "overtaken"}, "not recovered in time, or by others; look again"),
            ({"left": []}, "lose all its keys: Node 8 and Node 9 gone, and nothing is left"),
            ({"missing": []}, "its members cannot take its state"),
            ({"behind": 2, "written": 88.0}, "from 2 epochs before the last, last written 12 s"),
        ):
            self.assertIn(words, recovery_words(names, replace(LOST, **change), 100.0))

    def test_impossible_words_are_refused_in_one_line(self) -> None:
        for words, why in (
            ((), "give the numbers of slots, or --all"),
            (("1", "--all"), "give the numbers of slots, or --all"),
            (("x",), "'x' is not a valid whole number"),
        ):
            self.assertIn(why, self.failed("store", "recover", *words, status=2))
        self.assertIn(
            "there is no slot 7; the store has slots 0 to 3",
            self.failed("store", "recover", "7", status=1),
        )


class BeginTests(StoreCase):
    def test_a_store_begins_at_the_first_three_nodes_unless_others_are_named(self) -> None:
        for words, founders in (((), (1, 2, 3)), (("2", "4"), (2, 4))):
            self.say(formation="", founders=[], reason="none")
            nodes = self.world.nodes
            nodes.words.clear()
            nodes.then_stores = {
                n: store_state(self.world.described, n, range(1, 6)) for n in range(1, 6)
            }
            out = self.printed("store", "begin", *words)
            self.assertTrue(out.startswith("store 0f0f0f0f has begun, by Node "), out)
            told = [each[1] for each in nodes.words if each[0] == "begin_store"]
            self.assertEqual(tuple(told), founders)

    def test_a_second_store_is_not_begun(self) -> None:
        self.say(slot_state(0, 1, 2, 3))
        self.assertIn("has a store already, 0f0f0f0f", self.failed("store", "begin", status=1))


class AsideTests(StoreCase):
    def test_the_nodes_of_the_store_that_is_set_aside_say_where_it_is(self) -> None:
        self.say(slot_state(0, 1, 2, 3))
        self.say(nodes=range(5, 6), formation="1e" * 16)
        self.assertEqual(
            self.printed("store", "set-aside", "1E1E"),
            f"Node 5: its store is set aside: state/5/store-aside-{'1e' * 16}\n",
        )

    def test_the_only_store_and_an_unknown_one_are_not_set_aside(self) -> None:
        self.say(slot_state(0, 1, 2, 3))
        for formation, why, status in (
            ("0f0f", "is the only store of network", 1),
            ("abcd", "there is no store called 'abcd'; there are: 0f0f0f0f", 1),
            ("0f", "ID is at least four hexadecimal digits, not '0f'", 2),
        ):
            self.assertIn(why, self.failed("store", "set-aside", formation, status=status))


class CopyTests(StoreCase):
    def state(self) -> Path:
        directory = Path(self.mktemp())
        directory.mkdir()
        for name in ("store.db", "store.db-ahead", "store.db-wal", "messages.db"):
            (directory / name).write_text(name)
        return directory

    def test_a_copy_is_kept_beside_the_empty_store_that_begins(self) -> None:
        directory = self.state()
        out = self.printed("store", "adopt-copy", "--state-dir", str(directory))
        self.assertIn("store-copy-1; the node begins with an empty store", out)
        kept = {path.name for path in (directory / "store-copy-1").iterdir()}
        self.assertEqual(kept, {"store.db", "store.db-ahead", "store.db-wal"})
        self.assertEqual([path.name for path in directory.glob("*.db*")], ["messages.db"])
        self.assertIn(
            "there is no store in",
            self.failed("store", "adopt-copy", "--state-dir", str(directory), status=1),
        )

    def test_what_is_no_copy_is_refused_in_one_line(self) -> None:
        self.assertIn("give NODE, or --state-dir", self.failed("store", "adopt-copy", status=2))
        self.assertIn(
            "there is no directory nowhere",
            self.failed("store", "adopt-copy", "--state-dir", "nowhere", status=1),
        )
        self.say(slot_state(0, 1, 2, 3))
        self.assertIn("Node 2 runs; stop it", self.failed("store", "adopt-copy", "2", status=1))

    def test_stores_that_are_set_aside_are_known_by_their_directories(self) -> None:
        directory, formation = self.state(), bytes(range(16))
        self.assertEqual(formations_aside(directory), ())
        where = set_formation_aside(directory, formation)
        self.assertEqual(where.name, f"store-aside-{formation.hex()}")
        (directory / "store.db").write_text("another")
        second = set_formation_aside(directory, formation)
        self.assertEqual(second.name, f"store-aside-{formation.hex()}.2")
        (directory / "store-aside-nonsense").mkdir()
        self.assertEqual(formations_aside(directory), (formation,))
        self.assertIsNone(set_copy_aside(directory))
