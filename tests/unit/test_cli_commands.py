"""What each command does and prints, run on a network of fakes."""

from __future__ import annotations

import contextlib
import html
import io
import json
import os
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.app import run
from chordnet.cli.base.output import Progress
from chordnet.testbed.actions.convergence import Progress as RingProgress
from chordnet.testbed.base.faults import Line
from chordnet.testbed.base.home import NetworkHome
from chordnet.wire.receipts import Evidence, NodeSignature
from chordnet.wire.rpc import LookupResult, MessageGap, OrderedEntry
from tests.unit.test_cli import CommandCase
from tests.unit.testbed_fakes import World, ideal_status, info, network, record


class WorldCase(CommandCase):
    """Five nodes that run and are one right ring."""

    SIZE = 5
    NAME = "default"

    def setUp(self) -> None:
        super().setUp()
        self.world = self.bench = World(self.root, network(self.SIZE, name=self.NAME))
        self.world.up()

    @property
    def calls(self) -> list[str]:
        return self.world.engine.calls

    def printed(self, *words: str, status: int = 0) -> str:
        got, out, err = self.p2pnet(*words)
        self.assertEqual((got, err), (status, ""), out)
        return out

    def document(self, *words: str, status: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.printed(*words, "--json", status=status))
        return found

    def failed(self, *words: str, status: int = 1) -> str:
        got, out, err = self.p2pnet(*words)
        self.assertEqual((got, out), (status, ""), err)
        return err

    def log(self, *routes: tuple[int, ...], name: str = "m") -> None:
        for route in routes:
            entry = record(self.world.described, name, *route)
            self.world.nodes.logs.setdefault(route[-1], []).append(entry)

    def everywhere(self, name: str = "m") -> None:
        self.log((4,), (4, 1), (4, 1, 2), (4, 3), (4, 3, 5), name=name)


class StartTests(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        NetworkHome(self.root, self.NAME).description_path.unlink()
        self.world.engine.alive = set()
        self.world.nodes.statuses = {}

    WORDS = ("start-network", "--nodes", "5", "--engine", "local", "--base-port", "9001")

    def test_a_start_says_how_many_nodes_came_into_one_ring_and_where(self) -> None:
        out = self.printed(*self.WORDS)
        self.assertRegex(
            out,
            r"^network 'default': 5 nodes in one ring after \d\.\d s"
            r" \(local engine, ports 9001 to 9005\)\n$",
        )
        self.assertEqual(self.world.engine.alive, {1, 2, 3, 4, 5})

    def test_a_second_start_says_that_all_were_running(self) -> None:
        self.printed(*self.WORDS)
        self.assertEqual(
            self.printed("start-network"),
            "network 'default': all 5 nodes were running in one ring already"
            " (local engine, ports 9001 to 9005)\n",
        )

    def test_what_was_missing_is_counted(self) -> None:
        self.printed(*self.WORDS)
        self.world.engine.alive -= {2, 3}
        self.assertIn(
            "'default': 2 started; 5 nodes in one ring after", self.printed("start-network")
        )

    def test_one_node_listens_on_one_port(self) -> None:
        out = self.printed(
            "start-network", "--nodes", "1", "--engine", "local", "--base-port", "9001"
        )
        self.assertIn("1 node in one ring after", out)
        self.assertIn("(local engine, port 9001)", out)

    def test_the_document_of_a_start_has_all_that_is_known(self) -> None:
        directory = self.root / "recordings"
        document = self.document(*self.WORDS, "--record", str(directory))
        self.assertEqual(document.pop("seconds"), round(self.world.clock.seconds(), 3))
        self.assertEqual(
            document,
            {
                "network": "default", "engine": "local", "nodes": 5, "base_port": 9001,
                "started": [1, 2, 3, 4, 5], "members": 5, "record": str(directory.resolve()),
                "identity": None,
            },
        )  # fmt: skip
        self.assertIn("p2pnet replay", self.printed("start-network"))

    def test_the_time_limit_is_the_one_that_was_given(self) -> None:
        self.world.engine.converges = False
        self.assertIn("7 s", self.failed(*self.WORDS, "--timeout", "7"))
        self.assertLess(self.world.clock.seconds(), 9.0)


class StopTests(WorldCase):
    def test_a_stop_counts_the_nodes_that_it_stopped(self) -> None:
        self.assertEqual(self.printed("stop-network"), "network 'default': 5 nodes stopped\n")
        self.assertEqual(self.world.engine.alive, set())
        self.assertIn("clean purge=False", self.calls)

    def test_a_stop_where_nothing_runs_says_so(self) -> None:
        self.world.engine.alive = set()
        self.assertEqual(self.printed("stop-network"), "network 'default': nothing was running\n")

    def test_purging_says_that_the_data_is_gone(self) -> None:
        self.assertEqual(
            self.printed("stop-network", "--purge"),
            "network 'default': 5 nodes stopped, its data removed\n",
        )
        self.assertIn("clean purge=True", self.calls)
        self.assertEqual(
            self.printed("stop-network", "--purge"),
            "network 'default': nothing was running, and it has no data\n",
        )

    def test_the_document_of_a_stop_says_what_was_stopped(self) -> None:
        self.assertEqual(
            self.document("stop-network"),
            {"network": "default", "stopped": [1, 2, 3, 4, 5], "killed": [], "purged": False},
        )


class MemberTests(WorldCase):
    def test_a_node_is_removed_in_order_and_the_others_are_one_ring(self) -> None:
        self.assertRegex(
            self.printed("remove-node", "3"),
            r"^Node 3 removed; 4 nodes in one ring after \d\.\d s\n$",
        )
        self.assertIn("stop [3]", self.calls)
        self.assertNotIn("kill [3]", self.calls)

    def test_a_node_is_killed_where_that_was_asked_for(self) -> None:
        document = self.document("remove-node", "3", "--kill")
        self.assertEqual((document["node"], document["killed"], document["members"]), (3, True, 4))
        self.assertEqual(document["seconds"], round(document["seconds"], 3))
        self.assertIn("kill [3]", self.calls)

    def test_the_last_node_that_is_removed_leaves_nothing_running(self) -> None:
        for number in ("1", "2", "3", "4"):
            self.printed("remove-node", number)
        self.assertEqual(
            self.printed("remove-node", "5"), "Node 5 removed; no node is left running\n"
        )

    def test_a_removed_node_comes_back(self) -> None:
        self.printed("remove-node", "3")
        self.assertRegex(
            self.printed("add-node", "3"), r"^Node 3 added; 5 nodes in one ring after \d\.\d s\n$"
        )

    def test_without_a_number_the_next_node_is_added(self) -> None:
        document = self.document("add-node")
        self.assertEqual(
            (document["node"], document["address"], document["members"]), (6, "127.0.0.1:9006", 6)
        )
        self.assertIn("seconds", document)


class ChaosTests(WorldCase):
    def test_a_frozen_node_is_in_force_until_it_is_healed(self) -> None:
        lines = self.printed("chaos", "freeze", "3").splitlines()
        self.assertEqual(lines[0], "before: nodes 1-5: one right ring, 0 messages on every node")
        self.assertIn("nodes 1-2, 4-5: one right ring", lines[1])
        self.assertEqual(lines[2], "in force: frozen 3 (undo it: p2pnet chaos heal)")
        self.assertIn("after", self.printed("chaos", "heal"))
        self.assertEqual(self.world.nodes.frozen, set())

    def test_healing_that_does_not_make_one_right_ring_has_status_1(self) -> None:
        self.printed("chaos", "freeze", "3")
        self.world.engine.settles = False
        self.world.nodes.statuses.pop(2)
        self.assertFalse(self.document("chaos", "heal", "--timeout", "2", status=1)["ok"])

    def test_delay_and_loss_are_what_was_typed_and_0_ends_them(self) -> None:
        self.printed("chaos", "delay", "2", "--ms", "80", "--jitter", "20")
        self.assertEqual(self.world.engine.lines[2], Line(delay_ms=80.0, jitter_ms=20.0))
        self.printed("chaos", "loss", "2", "--percent", "5")
        self.assertEqual(self.world.engine.lines[2].loss_percent, 5.0)
        self.assertIn(
            "in force: loss of 5 % at 2", self.printed("chaos", "delay", "2", "--ms", "0")
        )
        self.assertNotIn("in force", self.printed("chaos", "loss", "2", "--percent", "0"))
        self.assertTrue(self.world.engine.lines[2].sound)

    def test_the_document_of_chaos_names_verb_and_nodes(self) -> None:
        document = self.document("chaos", "kill", "2", "4")
        self.assertEqual((document["verb"], document["nodes"]), ("kill", [2, 4]))
        self.assertEqual((document["network"], document["ok"]), ("default", True))
        self.assertEqual(document["in_force"]["killed"], [2, 4])


class SendTests(WorldCase):
    def test_a_receipt_is_one_line(self) -> None:
        self.assertEqual(
            self.printed("send-message", "4", "apple"),
            "apple: recorded by 5 of 5 nodes in 4 ms (4 messages, depth 2)\n",
        )
        self.assertEqual(self.world.nodes.words, [("send_message", "apple", True)])
        self.assertEqual(self.world.nodes.asked, [4])

    def test_the_document_of_a_receipt_names_the_origin(self) -> None:
        document = self.document("send-message", "4", "apple")
        self.assertEqual((document["body"], document["origin"]), ("apple", 4))
        self.assertFalse(document["partial"])

    def test_without_waiting_nothing_is_said_of_the_others(self) -> None:
        self.assertEqual(
            self.printed("send-message", "4", "apple", "--no-wait"),
            "apple: accepted by Node 4; not waiting for confirmation\n",
        )
        self.assertEqual(self.world.nodes.words, [("send_message", "apple", False)])
        self.assertEqual(
            self.document("send-message", "4", "apple", "--no-wait"),
            {"body": "apple", "origin": 4, "confirmed": False},
        )

    def test_a_receipt_with_names_says_who_has_it_and_who_is_missing(self) -> None:
        name = self.world.described.node_name
        signature = NodeSignature(name(1), bytes(20), 7, bytes(64), [])
        signed = {
            "partial": True,
            "recorded": 2,
            "named": [name(1), name(4)],
            "missing": [name(3), "laptop"],
            "unsigned": 1,
            "evidence": Evidence(1, 1, [], [signature]),
        }
        self.world.nodes.receipts = [signed, signed]
        words = ("send-message", "4", "apple", "--receipt", "signed", "--expect", "3")
        words += ("--expect", "laptop")
        status, out, _err = self.p2pnet(*words, "--json")
        document = json.loads(out)
        self.assertEqual((document["named"], document["signed"]), ([1, 4], [1]))
        self.assertEqual((document["missing"], document["unsigned"]), ([3, "laptop"], 1))
        self.assertEqual(self.world.nodes.words[0][3:], ("signed", [name(3), "laptop"]))
        status, out, err = self.p2pnet(*words)
        self.assertEqual(status, 1)
        self.assertIn(", signed by 1\n", out)
        self.assertIn("Node 3, laptop may lack it; 1 node counted without a signature", err)

    def test_a_receipt_that_is_not_waited_for_names_nobody(self) -> None:
        for more in (("--expect", "3"), ("--receipt", "signed")):
            status, _out, err = self.p2pnet("send-message", "4", "apple", "--no-wait", *more)
            self.assertEqual(status, 2)
            self.assertIn("need the receipt that --no-wait leaves out", err)

    def test_an_expected_number_that_no_node_has_is_refused_with_the_range(self) -> None:
        status, _out, err = self.p2pnet("send-message", "4", "apple", "--expect", "99")
        self.assertEqual((status, err), self.p2pnet("send-message", "99", "apple")[::2])

    def test_a_message_that_some_may_lack_is_told_with_status_1(self) -> None:
        described = self.world.described
        missed = [info(described, described.identifier(2)), info(described, 77)]
        self.world.nodes.receipts = [
            {"partial": True, "recorded": 3, "unreached": missed},
            {"partial": True, "recorded": 4},
            {"partial": True, "recorded": 4, "conflict": 1},
            {"partial": True, "recorded": 4, "lost": 2},
        ]
        for expected in (
            "Node 2, visitor may lack it; nodes that are alive get it from their neighbours\n",
            "some may lack it; nodes that are alive",
            "conflict: 1 node had already recorded another message with the same number",
            "2 nodes had given its number up as lost; send it again\n",
        ):
            status, out, err = self.p2pnet("send-message", "4", "apple")
            self.assertEqual(status, 1)
            self.assertRegex(out, r"recorded by [34] of 5 nodes")
            self.assertEqual(err.count("\n"), 1)
            self.assertTrue(err.startswith("p2pnet: not confirmed by every node: "), err)
            self.assertIn(expected, err)

    def test_a_frozen_node_is_named(self) -> None:
        self.world.nodes.frozen = {4}
        err = self.failed("send-message", "4", "apple", "--timeout", "3")
        self.assertIn("is frozen (by the test)", err)
        self.assertLess(self.world.clock.seconds(), 4.0)

    def test_a_node_that_does_not_run_is_named(self) -> None:
        self.world.engine.alive -= {4}
        self.assertIn("Node 4 is stopped", self.failed("send-message", "4", "apple"))


class Flushed(io.StringIO):
    """Notes what had been written whenever it was flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed: list[str] = []

    def flush(self) -> None:
        super().flush()
        self.flushed.append(self.getvalue())


class GetTests(WorldCase):
    def gap(self) -> OrderedEntry:
        described = self.world.described
        origin = described.space.hex(described.identifier(4))
        return OrderedEntry(None, gap=MessageGap(origin, "Node 4", 17, 2, 3, False))

    def test_each_message_is_a_line_with_its_route(self) -> None:
        self.everywhere()
        self.assertEqual(
            self.printed("get-messages", "2"), "- body-of-m (Node 4 -> Node 1 -> Node 2)\n"
        )
        self.assertEqual(self.world.nodes.words, [("get_messages", 0, "")])

    def test_limit_and_since_are_the_nodes_to_heed(self) -> None:
        self.everywhere()
        self.printed("get-messages", "2", "--limit", "7", "--since", "x.1.1")
        self.world.nodes.ordered[2] = []
        self.printed("get-messages", "2", "--order", "origin", "--limit", "3")
        self.assertEqual(
            self.world.nodes.words, [("get_messages", 7, "x.1.1"), ("get_ordered", 3, "")]
        )

    def test_the_document_of_messages_is_a_list(self) -> None:
        self.everywhere()
        ((found),) = json.loads(self.printed("get-messages", "2", "--json"))
        self.assertEqual((found["id"], found["route"]), ("m", [4, 1, 2]))

    def test_in_per_origin_order_gaps_are_lines_and_documents(self) -> None:
        entry = OrderedEntry(record(self.world.described, "m", 4, 2))
        self.world.nodes.ordered[2] = [entry, self.gap()]
        words = ("get-messages", "2", "--order", "origin")
        self.assertEqual(
            self.printed(*words).splitlines(),
            ["- body-of-m (Node 4 -> Node 2)", "  messages 2 to 3 of Node 4 are missing"],
        )
        first, second = json.loads(self.printed(*words, "--json"))
        self.assertEqual((first["late"], second["gap"]["last"]), (False, 3))

    def follow(self, *words: str) -> list[str]:
        status, out, err = self.p2pnet("get-messages", "2", "--follow", *words)
        self.assertEqual(status, 1)
        self.assertIn("Node 2 cannot be followed any longer", err)
        return out.splitlines()

    def test_following_goes_on_after_the_last_message_that_was_there(self) -> None:
        self.everywhere("a.1.1")
        self.everywhere("a.1.2")
        self.world.nodes.comes = [record(self.world.described, "a.1.3", 5, 2)]
        self.assertEqual(len(self.follow()), 3)
        self.assertEqual(self.world.nodes.words[-1], ("follow", "a.1.2", "received"))

    def test_following_starts_at_since_where_nothing_was_there(self) -> None:
        self.world.nodes.logs[2] = []
        self.assertEqual(self.follow("--since", "a.1.7"), [])
        self.assertEqual(self.world.nodes.words[-1], ("follow", "a.1.7", "received"))

    def test_each_line_that_is_followed_is_written_at_once(self) -> None:
        for words in ((), ("--json",)):
            out, self.world.nodes.logs[5] = Flushed(), []
            self.world.nodes.comes = [
                record(self.world.described, f"a.1.{n}", 5, 2) for n in (1, 2)
            ]
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
                run(("get-messages", "5", "--follow", *words), self.world)
            self.assertEqual([text.count("\n") for text in out.flushed[:2]], [1, 2], words)

    def test_what_is_followed_as_json_is_a_document_a_line(self) -> None:
        entry = OrderedEntry(record(self.world.described, "m", 4, 2))
        self.world.nodes.ordered[2] = [entry, self.gap()]
        self.world.nodes.comes = [msgspec.structs.replace(entry, late=True)]
        lines = self.follow("--json", "--order", "origin")
        self.assertEqual([*map(list, map(json.loads, lines))][1], ["gap"])
        self.assertTrue(json.loads(lines[2])["late"])
        self.assertEqual(self.world.nodes.words[-1], ("follow", "m", "origin"))


class LookupTests(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        described = self.world.described
        path = [info(described, described.identifier(n)) for n in (3, 5, 1)]
        self.world.nodes.lookups[3] = LookupResult("apple", "0b", path[-1], path)

    def test_owner_and_path_are_one_line(self) -> None:
        self.assertEqual(
            self.printed("lookup", "3", "apple"),
            "apple belongs to Node 1 (Node 3 -> Node 5 -> Node 1)\n",
        )
        self.printed("lookup", "3", "apple", "--iterative")
        self.assertEqual(
            self.world.nodes.words, [("lookup", "apple", False), ("lookup", "apple", True)]
        )

    def test_the_document_of_a_lookup_has_owner_and_path(self) -> None:
        self.assertEqual(
            self.document("lookup", "3", "apple"),
            {"key": "apple", "id": "0b", "owner": 1, "path": [3, 5, 1]},
        )


class LogTests(WorldCase):
    def test_the_last_lines_of_a_log_are_shown(self) -> None:
        self.assertEqual(self.printed("logs", "3"), "last words of 3\n")
        self.assertEqual(self.printed("logs", "3", "--lines", "0"), "")
        self.assertEqual(self.document("logs", "3"), {"node": 3, "lines": ["last words of 3"]})

    def test_following_prints_what_comes_and_nothing_that_a_terminal_obeys(self) -> None:
        self.assertEqual(self.printed("logs", "3", "--follow"), "50 lines of 3\\x07\n")

    def test_a_line_that_is_followed_is_written_before_the_end(self) -> None:
        with contextlib.redirect_stdout(Flushed()) as out:
            run(("logs", "3", "--follow"), self.world)
        self.assertEqual(out.flushed, ["50 lines of 3\\x07\n"] * 2)

    def test_following_is_no_document(self) -> None:
        self.assertIn("exclude each other", self.refused("logs", "3", "--follow", "--json"))


class StatusTests(WorldCase):
    def test_a_right_ring_is_said_to_be_one(self) -> None:
        out = self.printed("status")
        self.assertIn("network 'default' (local engine)", out)
        self.assertTrue(out.endswith("✓ 5 nodes in one correct ring\n"), out)

    def test_problems_are_counted_and_the_doctor_named(self) -> None:
        self.world.engine.alive -= {2}
        out = self.printed("status")
        self.assertRegex(out, r"✗ 4 nodes active; \d+ problems?; see: p2pnet doctor\n$")

    def test_a_terminal_of_140_columns_is_shown_whole_addresses(self) -> None:
        before = os.environ.get("COLUMNS")
        self.addCleanup(os.environ.__setitem__, "COLUMNS", before or "80")
        for columns, whole in ((139, False), (140, True)):
            os.environ["COLUMNS"] = str(columns)
            terminal = Terminal()
            with contextlib.redirect_stdout(terminal):
                run(("status",), self.world)
            self.assertEqual("127.0.0.1:9001" in terminal.getvalue(), whole)
            self.assertIn(":9001", terminal.getvalue())

    def test_why_a_node_is_in_no_ring_is_a_line(self) -> None:
        status = self.world.nodes.statuses[3]
        self.world.nodes.statuses[3] = msgspec.structs.replace(
            status, state="seeking", reason="no peer [red]has let it in"
        )
        out = self.printed("status")
        self.assertIn("Node 3 is seeking: no peer [red]has let it in\n", out)
        self.assertEqual(out.count(" is seeking"), 1)

    def test_a_visitor_is_counted(self) -> None:
        described = self.world.described
        numbers = [described.identifier(n) for n in described.numbers]
        members = [*numbers, 77]
        for number in described.numbers:
            self.world.nodes.statuses[number] = ideal_status(
                described, described.identifier(number), members
            )
        self.world.nodes.visitors["10.0.0.9:1"] = ideal_status(described, 77, members)
        out = self.printed("status")
        self.assertTrue(out.endswith("✓ 6 nodes in one correct ring\n"), out)
        (visitor,) = self.document("status")["visitors"]
        self.assertEqual((visitor["name"], visitor["state"]), ("visitor", "active"))

    def test_the_time_that_a_node_may_take_is_the_one_that_was_given(self) -> None:
        self.world.nodes.frozen, self.world.engine.knows = {2}, False
        node = self.document("status", "--timeout", "5")["nodes"][1]
        self.assertEqual(node["state"], "unreachable")
        self.assertLess(abs(self.world.clock.seconds() - 5.0), 0.2)
        self.assertEqual(self.world.nodes.open, 0, "a client was left open")


class DoctorTests(WorldCase):
    def test_a_right_ring_has_status_0(self) -> None:
        self.everywhere()
        lines = self.printed("doctor").splitlines()
        self.assertEqual(lines[0], "5 nodes: one ring, in order; every pointer right")
        self.assertEqual(lines[1], "1 message: each on every node, once, by a true route")
        document = self.document("doctor")
        self.assertEqual(
            {k: document[k] for k in ("network", "ok", "nodes", "messages", "problems")},
            {"network": "default", "ok": True, "nodes": 5, "messages": 1, "problems": []},
        )
        self.assertEqual((document["sides"], document["asked"]), ([], 5))

    def test_a_ring_with_a_problem_has_status_1(self) -> None:
        self.everywhere()
        self.world.nodes.logs[2] = []
        self.assertIn("Node 2", self.printed("doctor", status=1))
        document = self.document("doctor", status=1)
        self.assertFalse(document["ok"])
        self.assertEqual(len(document["problems"]), 1)

    def test_the_doctor_waits_until_everything_is_right_and_no_longer(self) -> None:
        self.world.nodes.statuses[3] = msgspec.structs.replace(
            self.world.nodes.statuses[3], successors=[]
        )
        self.world.clock.callLater(4.0, self.world.engine.ring)
        self.printed("doctor", "--wait-converged")
        self.assertLess(abs(self.world.clock.seconds() - 4.0), 1.0)

    def test_the_doctor_waits_for_as_long_as_it_was_told(self) -> None:
        self.everywhere()
        self.world.nodes.logs[2] = []
        self.printed("doctor", "--wait-converged", "--timeout", "6", status=1)
        self.assertLess(abs(self.world.clock.seconds() - 6.0), 1.0)

    def test_nodes_that_anybody_reaches_are_told_of_and_no_fault(self) -> None:
        self.everywhere()
        nodes = self.world.nodes
        for number in (1, 3):
            told = msgspec.structs.replace(nodes.statuses[number], security="insecure")
            nodes.statuses[number] = told
        said = "insecure: who reaches Node 1, 3 may join, read and send (--insecure)"
        self.assertIn(f"note: {said}", self.printed("doctor"))
        self.assertIn(said, self.printed("status"))
        found = self.document("doctor")["findings"]
        self.assertEqual([(each["kind"], each["nodes"]) for each in found], [("insecure", [1, 3])])
        seen = [node["security"] for node in self.document("status")["nodes"]]
        self.assertEqual(seen[:3], ["insecure", "", "insecure"])

    def test_faults_that_are_in_force_are_noted(self) -> None:
        self.printed("chaos", "freeze", "3")
        out = self.printed("doctor", status=1)
        self.assertIn("note: on purpose, until p2pnet chaos heal: frozen 3", out)


class RingTests(WorldCase):
    def test_the_fingers_drawn_are_those_of_node_1_or_of_the_one_that_was_named(self) -> None:
        self.assertIn("fingers of Node 1", self.printed("ring"))
        for number in ("1", "2", "3", "4", "5"):
            self.assertIn(f"fingers of Node {number}", self.printed("ring", "--node", number))

    def test_without_node_1_the_ring_is_drawn_around_another(self) -> None:
        self.printed("remove-node", "1")
        first = min((2, 3, 4, 5), key=self.world.described.identifier)
        self.assertIn(f"fingers of Node {first}", self.printed("ring"))

    def test_characters_beyond_ascii_are_drawn_where_the_output_takes_them(self) -> None:
        for encoding, words, beyond in (
            ("utf-8", (), True),
            ("utf-8", ("--ascii",), False),
            ("latin-1", (), False),
        ):
            raw = io.BytesIO()
            out = io.TextIOWrapper(raw, encoding=encoding)
            with contextlib.redirect_stdout(out):
                self.assertEqual(run(("ring", *words), self.world), 0)
                out.flush()
            self.assertEqual(raw.getvalue().isascii(), not beyond, (encoding, words))

    def test_a_picture_goes_where_it_was_told(self) -> None:
        path = self.root / "ring.svg"
        self.assertEqual(
            self.printed("ring", "--svg", str(path)), f"the ring of 5 nodes is drawn in {path}\n"
        )
        self.assertTrue(path.read_text().startswith("<svg"))
        self.assertEqual(html.unescape(self.printed("ring", "--svg", "-")), path.read_text())
        err = self.failed("ring", "--svg", str(self.root / "no" / "ring.svg"))
        self.assertIn("cannot write", err)

    def test_the_document_of_a_ring_has_the_message(self) -> None:
        self.everywhere()
        document = self.document("ring", "--message", "last")
        self.assertEqual(len(document["nodes"]), 5)
        self.assertEqual((document["message"]["id"], document["message"]["depth"]), ("m", 2))
        self.assertNotIn("message", self.document("ring"))

    def test_of_each_node_the_last_message_alone_is_read_to_find_the_last_of_all(self) -> None:
        self.everywhere()
        for words in (("ring", "--message", "last"), ("trace", "last")):
            self.world.nodes.words.clear()
            self.printed(*words)
            read = [asked for asked in self.world.nodes.words if asked[0] == "get_messages"]
            self.assertEqual(read, [("get_messages", 1, "")] * 5)

    def test_a_node_outside_of_the_ring_cannot_be_drawn(self) -> None:
        self.printed("remove-node", "3")
        self.assertIn("Node 3 is not in the ring", self.failed("ring", "--node", "3"))

    def test_the_command_says_so_where_no_node_is_in_a_ring(self) -> None:
        self.world.nodes.statuses = {}
        self.assertIn("no node is in a ring yet; see: p2pnet status", self.failed("ring"))


class JourneyTests(WorldCase):
    def test_a_predicted_tree_is_told_with_its_messages_and_depth(self) -> None:
        lines = self.printed("explain", "4").splitlines()
        self.assertRegex(lines[0], r"^a message from Node 4 would take 4 messages, depth \d$")
        self.assertEqual(sum("Node" in line for line in lines[1:]), 5)
        document = self.document("explain", "4")
        self.assertEqual((document["origin"], document["members"], document["messages"]), (4, 5, 4))
        self.assertEqual((len(document["edges"]), document["unreached"]), (4, []))

    def test_who_would_be_missed_is_told(self) -> None:
        described = self.world.described
        lost = described.space.hex(described.identifier(2))
        for number, status in list(self.world.nodes.statuses.items()):
            self.world.nodes.statuses[number] = msgspec.structs.replace(
                status,
                successors=[s for s in status.successors if s.id != lost],
                fingers=[f for f in status.fingers if f.node.id != lost],
            )
        self.assertIn("Node 2 would not get it by the tree: ", self.printed("explain", "4"))
        document = self.document("explain", "4")
        self.assertEqual((document["members"], document["unreached"]), (5, [2]))

    def test_the_way_of_a_message_is_told_from_its_body_on(self) -> None:
        self.everywhere()
        out = self.printed("trace", "last")
        self.assertIn("body-of-m", out.splitlines()[0])
        self.assertEqual(self.document("trace", "last")["id"], "m")

    def test_a_predicted_tree_and_the_way_of_a_message_are_drawn(self) -> None:
        self.everywhere()
        for words, said in (
            (("explain", "4"), "the predicted tree is drawn in"),
            (("trace", "last"), "the way of body-of-m is drawn in"),
        ):
            path = self.root / f"{words[0]}.svg"
            self.assertEqual(self.printed(*words, "--svg", str(path)), f"{said} {path}\n")
            self.assertIn("<svg", path.read_text())
            self.assertEqual(html.unescape(self.printed(*words, "--svg", "-")), path.read_text())

    def test_no_client_is_left_open(self) -> None:
        self.everywhere()
        for words in (("explain", "4"), ("trace", "last"), ("ring",), ("doctor",)):
            self.printed(*words)
            self.assertEqual(self.world.nodes.open, 0, words)


class DemoTests(WorldCase):
    NAME = "demo"
    WORDS = ("demo", "--nodes", "5", "--engine", "local", "--base-port", "9001")

    def setUp(self) -> None:
        super().setUp()
        NetworkHome(self.root, self.NAME).description_path.unlink()
        self.world.engine.alive = set()
        self.world.nodes.statuses = {}
        self.log((5,), (5, 2), (5, 2, 1), (5, 2, 3), (5, 4))

    def test_the_story_is_told_in_order(self) -> None:
        lines = self.printed(*self.WORDS).splitlines()
        chapters = [line for line in lines if line[:1].isdigit()]
        self.assertEqual(
            chapters,
            [
                "1. 5 nodes start in the same second; none is in a ring yet.",
                "2. Three of them send a message to every node.",
                "3. Every node has recorded the way by which a message came.",
                "4. Node 2 handed the last message on to 2 others. It is killed.",
                "5. A message still reaches every node; those behind it get it by another route.",
                "6. The doctor checks the whole ring from outside.",
                "7. Everything stops, and nothing is left behind.",
            ],
        )
        text = "\n".join(lines)
        self.assertIn("   one correct ring of 5 after ", text)
        sent = [line.split(": ")[0] for line in lines if " sends " in line]
        self.assertEqual(
            sent,
            [
                "   Node 1 sends apple",
                "   Node 3 sends banana",
                "   Node 5 sends cherry",
                "   Node 5 sends damson",
            ],
        )
        shown = [line for line in lines if " has body-of-m by " in line]
        self.assertEqual(
            shown,
            [
                "   Node 2 has body-of-m by Node 5 -> Node 2",
                "   Node 4 has body-of-m by Node 5 -> Node 4",
                "   Node 1 has body-of-m by Node 5 -> Node 2 -> Node 1",
                "   Node 3 has body-of-m by Node 5 -> Node 2 -> Node 3",
            ],
        )
        self.assertIn("   4 nodes are one correct ring again after ", text)
        self.assertIn("   4 nodes: one ring, in order; every pointer right", text)
        self.assertEqual(lines[-1], "   4 nodes left the ring in order")
        self.assertIn("kill [2]", self.calls)
        self.assertEqual((self.calls[-1], self.world.engine.alive), ("clean purge=True", set()))

    def test_a_network_that_is_kept_goes_on_and_is_told_how(self) -> None:
        lines = self.printed(*self.WORDS, "--keep").splitlines()
        self.assertEqual(
            lines[-5:],
            [
                "7. The network stays up. Go on with, for example:",
                "   p2pnet status --network demo",
                "   p2pnet ring --network demo",
                "   p2pnet send-message --network demo 4 elderberry",
                "   p2pnet stop-network --network demo --purge",
            ],
        )
        self.assertEqual(self.world.engine.alive, {1, 3, 4, 5})

    def test_a_demonstration_that_fails_leaves_nothing_behind(self) -> None:
        self.world.nodes.logs[4].append(record(self.world.described, "other", 5, 4))
        status, out, err = self.p2pnet(*self.WORDS, "--timeout", "5")
        self.assertEqual(status, 1)
        self.assertEqual(err, "p2pnet: the demonstration's network is not in order\n")
        self.assertIn("6. The doctor", out)
        self.assertEqual((self.calls[-1], self.world.engine.alive), ("clean purge=True", set()))

    def test_a_demonstration_that_runs_is_left_alone(self) -> None:
        self.world.up()
        self.assertIn("there is a network 'demo' already", self.failed(*self.WORDS))
        self.assertEqual(self.world.engine.alive, {1, 2, 3, 4, 5})
        self.assertEqual(self.calls, [])

    def test_the_remains_of_an_earlier_demonstration_are_no_obstacle(self) -> None:
        self.world.up()
        self.world.engine.alive = set()
        self.assertIn("7. Everything stops", self.printed(*self.WORDS))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ProgressTests(SynchronousTestCase):
    def shown(self, stream: io.StringIO, *, active: int = 8, problems: int = 0) -> str:
        with contextlib.redirect_stderr(stream), Progress() as progress:
            progress.say("first")
            progress.watch(RingProgress(active, 16, problems))
            progress.say("last")
            progress.watch(RingProgress(16, 16, 0))
        return stream.getvalue()

    def setUp(self) -> None:
        before = {name: os.environ.get(name) for name in ("TERM", "COLUMNS")}
        os.environ |= {"TERM": "xterm", "COLUMNS": "80"}
        self.addCleanup(self.restore, before)

    def restore(self, before: dict[str, str | None]) -> None:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value

    def test_on_a_terminal_one_line_changes_and_is_gone_at_the_end(self) -> None:
        wiped = "\r\x1b[K"
        self.assertEqual(
            self.shown(Terminal(), problems=3),
            f"first\n{wiped}{'█' * 8}{'░' * 8} 8 of 16 nodes in a ring, 3 pointers to mend"
            f"{wiped}last\n{wiped}{'█' * 16} 16 of 16 nodes in a ring{wiped}",
        )

    def test_a_line_that_changes_is_wiped_once(self) -> None:
        with contextlib.redirect_stderr(Terminal()) as stream, Progress() as progress:
            progress.watch(RingProgress(1, 1, 0))
            progress.say("first")
            progress.say("second")
        self.assertEqual(stream.getvalue().count("\r\x1b[K"), 2)  # once to write it, once to wipe
        self.assertTrue(stream.getvalue().endswith("first\nsecond\n"))

    def test_a_line_that_stays_controls_no_terminal(self) -> None:
        with contextlib.redirect_stderr(Terminal()) as stream, Progress() as progress:
            progress.say("no store of keys: \x1b[2J\u202e\n")
        self.assertEqual(stream.getvalue(), "no store of keys: \\x1b[2J\\u202e\\n\n")

    def test_without_a_terminal_only_lines_that_stay_are_written(self) -> None:
        self.assertEqual(self.shown(io.StringIO(), problems=3), "first\nlast\n")

    def test_a_narrow_terminal_is_not_overrun(self) -> None:
        os.environ["COLUMNS"] = "20"
        lines = self.shown(Terminal(), problems=3).replace("\n", "\r\x1b[K").split("\r\x1b[K")
        self.assertEqual(max(map(len, lines)), 19)
