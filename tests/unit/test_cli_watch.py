"""``p2pnet watch``, ``keys`` and ``get --stale``, on a network of fakes."""

from __future__ import annotations

import json
from typing import Any

from chordnet.cli.store import watch as command
from chordnet.core.base.errors import Busy, ConnectFailed, NoStore, Unavailable, WatchEnded
from chordnet.core.base.outcomes import Entry, Revision, StaleEntry
from chordnet.wire.stores import HeldKey
from tests.unit.test_cli_keys import KeysCase

REVISIONS = (
    Revision(2, b"green"),
    Revision(3, None, None, None),
    Revision(6, b"blue", 1000.0, (4, 5)),
    Revision(8, b"\xff\x00", None, (7, 7)),
)


class WatchTests(KeysCase):
    def test_each_revision_is_a_line_and_a_gap_is_one_of_its_own(self) -> None:
        self.ends(*REVISIONS)
        self.assertEqual(
            self.printed("watch", "4", "config", "--count", "4").splitlines(),
            [
                "version 2: green",
                "version 3: deleted",
                "versions 4 to 5 were not seen",
                "version 6, expires 1970-01-01T00:16:40.000+00:00: blue",
                "version 7 was not seen",
                "version 8: 2 bytes",
            ],
        )
        self.assertEqual(self.asked, ("watch", "config", None))

    def test_a_key_without_a_value_is_told_so(self) -> None:
        self.ends(Revision(0, None))
        self.assertEqual(self.printed("watch", "4", "k", "--count", "1"), "no value\n")

    def test_a_value_stays_on_its_line_and_controls_no_terminal(self) -> None:
        self.ends(Revision(1, b"a\nb\x1b[2J"), Revision(2, b"x" * 200), Revision(3, b""))
        lines = self.printed("watch", "4", "k", "--count", "3").splitlines()
        self.assertEqual(lines[0], "version 1: a b [2J... (7 bytes)")
        self.assertEqual(lines[1], f"version 2: {'x' * command.SHOWN}... (200 bytes)")
        self.assertEqual(lines[2], "version 3: ")

    def test_json_has_one_document_a_line(self) -> None:
        self.ends(*REVISIONS)
        lines = self.printed("watch", "4", "config", "--count", "4", "--json").splitlines()
        found = [json.loads(line) for line in lines]
        self.assertEqual([each["version"] for each in found], [2, 3, 6, 8])
        self.assertEqual([each["absent"] for each in found], [False, True, False, False])
        self.assertEqual([each["gap"] for each in found], [None, None, [4, 5], [7, 7]])
        self.assertEqual((found[3]["value"], found[3]["value_base64"]), (None, "/wA="))

    def test_a_watch_begins_after_the_version_that_was_asked_for(self) -> None:
        self.ends(Revision(9, b"x"))
        self.printed("watch", "4", "config", "--since", "7", "--count", "1")
        self.assertEqual(self.asked, ("watch", "config", 7))

    def test_a_node_that_ends_is_one_line_that_says_where_to_go_on(self) -> None:
        gone = ConnectFailed("the connection has ended")
        for words, ends, last in (
            ((), (REVISIONS[0], gone), "; go on through another node with --since 2"),
            ((), (gone,), ""),
            (("--since", "5"), (gone,), "; go on through another node with --since 5"),
        ):
            self.ends(*ends)
            _out, err = self.complained("watch", "4", "config", *words)
            self.assertEqual(
                err,
                "p2pnet: Node 4 cannot be asked any longer: the connection has ended" + last + "\n",
            )

    def test_a_node_that_does_not_run_is_told_as_for_every_other_question(self) -> None:
        self.world.engine.alive -= {4}
        _out, err = self.complained("watch", "4", "config")
        self.assertEqual(err, self.complained("get", "4", "config")[1])
        self.assertIn("Node 4 is stopped", err)

    def test_the_nodes_own_reason_is_one_line(self) -> None:
        for error in (WatchEnded("the watch has ended"), NoStore("no store"), Busy("too many")):
            self.ends(error)
            _out, err = self.complained("watch", "4", "config")
            self.assertEqual(err, f"p2pnet: {error}\n")

    def test_wrong_words_are_refused(self) -> None:
        for words in (
            ("watch", "4"),
            ("watch", "4", ""),
            ("watch", "4", "k", "--since", "-1"),
            ("watch", "4", "k", "--since", "x"),
            ("watch", "4", "k", "--count", "0"),
            ("keys", "4", "more"),
        ):
            status, out, err = self.p2pnet(*words)
            self.assertEqual((status, out), (2, ""), words)
            self.assertNotIn("Traceback", err)


class KeysListTests(KeysCase):
    HELD = (HeldKey("config", 7, 5, None, 63), HeldKey("a\x07", 1, 100, 1000.0, 64))

    def test_each_key_is_a_line(self) -> None:
        self.ends(list(self.HELD))
        head, first, second = self.printed("keys", "4").splitlines()
        self.assertEqual(head.split(), ["VERSION", "BYTES", "SLOT", "EXPIRES", "KEY"])
        self.assertEqual(first.split(), ["7", "5", "63", "-", "config"])
        self.assertEqual(
            second.split(), ["1", "100", "64", "1970-01-01T00:16:40.000+00:00", "a\\x07"]
        )
        self.assertEqual(self.asked, ("held_keys", "", {"limit": command.PAGE, "owned": False}))

    def test_a_node_that_holds_none_says_so(self) -> None:
        self.ends([], [])
        self.assertEqual(self.printed("keys", "4", "--owned"), "no keys\n")
        self.assertEqual(self.asked[2]["owned"], True)
        self.assertEqual(self.document("keys", "4"), [])

    def test_a_long_list_is_asked_for_in_pages(self) -> None:
        page = [HeldKey(f"k{number}", 1, 1, None, 1) for number in range(command.PAGE)]
        self.ends(page, list(self.HELD), page, [])
        self.assertEqual(len(self.printed("keys", "4").splitlines()), command.PAGE + 3)
        self.assertEqual(self.asked[1], page[-1].key)
        found: Any = self.document("keys", "4")
        self.assertEqual(len(found), command.PAGE)
        self.assertEqual(
            found[0], {"key": "k0", "version": 1, "bytes": 1, "expires": None, "slot": 1}
        )

    def test_a_node_without_a_store_is_one_line(self) -> None:
        self.ends(NoStore("this node keeps no store"))
        _out, err = self.complained("keys", "4")
        self.assertEqual(err, "p2pnet: this node keeps no store\n")


class StaleTests(KeysCase):
    def test_a_stale_value_comes_with_a_line_about_its_age(self) -> None:
        self.ends(StaleEntry(Entry(b"blue", 3), "Node 2", 4, 41.26))
        status, out, err = self.raw("get", "4", "config", "--stale")
        self.assertEqual((status, out), (0, b"blue"))
        self.assertEqual(
            err,
            "p2pnet: stale, version 3: as Node 2 has it in epoch 4, which heard from a majority of"
            " the slot's nodes 41.3 s before\n",
        )
        self.assertEqual(self.asked, ("get", "config", {"stale": True, "timeout_s": 10.0}))

    def test_a_node_that_is_cut_off_since_its_start_is_told_so(self) -> None:
        self.ends(StaleEntry(None, "visitor", 4, None))
        status, _out, err = self.raw("get", "4", "config", "--stale")
        self.assertEqual(status, 1)
        first, second = err.splitlines()
        self.assertIn("visitor has it in epoch 4, which has not heard", first)
        self.assertEqual(second, "p2pnet: there is no key config")

    def test_json_has_the_age_in_a_field_of_its_own(self) -> None:
        self.ends(StaleEntry(Entry(b"blue", 3), "Node 2", 4, 0.5))
        found = self.document("get", "4", "config", "--stale")
        self.assertEqual(found["stale"], {"node": 2, "epoch": 4, "heard_s": 0.5})
        self.assertEqual((found["outcome"], found["value"]), ("value", "blue"))

    def test_no_member_that_answers_is_unavailable(self) -> None:
        self.ends(Unavailable("slot 63: no member answers", 63, 1, 3, ["Node 2"]))
        _out, err = self.complained("get", "4", "config", "--stale")
        self.assertEqual(err, "p2pnet: slot 63: no member answers\n")
