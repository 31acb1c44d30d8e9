"""What commands print of results: texts and JSON documents as the contract has them."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.base.output import (
    console,
    ordered_json,
    ordered_text,
    print_json,
    print_json_line,
    record_json,
    rfc3339,
    route_text,
)
from chordnet.cli.commands.doctor import Examination, verdict_lines
from chordnet.cli.commands.lookup import lookup_text
from chordnet.cli.commands.messages import receipt_json, receipt_text, unconfirmed_text
from chordnet.cli.commands.status import COLUMNS, duration, report_json, status_table
from chordnet.draw.phrases import count, plain, seconds
from chordnet.survey.examination import Messages
from chordnet.survey.findings import Finding, JustStarted, OnPurpose, RecordedTwice
from chordnet.survey.histories import Comparison
from chordnet.survey.observer import Snapshot
from chordnet.survey.report import Report
from chordnet.survey.verdict import Names
from chordnet.testbed.actions.looking import look
from chordnet.wire.rpc import (
    LookupResult,
    MessageGap,
    MessageRecord,
    NodeInfo,
    OrderedEntry,
    Receipt,
    RouteHop,
)
from tests.unit.testbed_fakes import World, ideal_ring, info, network, record

NETWORK = network(16, base_port=7001)
NAMES = Names(NETWORK)
VISITOR = NodeInfo("ab" * 20, "visitor", "10.0.0.9:1")


def gap(first: int, last: int, *, dropped: bool = False) -> OrderedEntry:
    origin = info(NETWORK, NETWORK.identifier(4))
    return OrderedEntry(None, gap=MessageGap(origin.id, origin.name, 17, first, last, dropped))


def receipt(**changes: object) -> Receipt:
    fields = {
        "id": "x.1.1",
        "body": "apple",
        "recorded": 16,
        "members": 16,
        "messages": 15,
        "depth": 4,
        "seconds": 0.009,
        "partial": False,
        "unreached": [],
    }
    return Receipt(**fields | changes)  # type: ignore[arg-type]


class TextTests(SynchronousTestCase):
    def test_a_receipt_in_words_counts_who_recorded_the_message(self) -> None:
        self.assertEqual(
            receipt_text(receipt()),
            "apple: recorded by 16 of 16 nodes in 9 ms (15 messages, depth 4)",
        )
        self.assertEqual(
            receipt_text(receipt(recorded=1, members=1, messages=0, depth=0, seconds=0.26)),
            "apple: recorded by 1 of 1 node in 0.3 s (0 messages, depth 0)",
        )
        self.assertEqual(
            receipt_text(receipt(shared=10)),
            "apple: recorded by 16 of 16 nodes in 9 ms (15 messages shared by 10 phrases, depth 4)",
        )

    def test_a_route_is_the_names_of_its_nodes(self) -> None:
        entry = record(NETWORK, "m", 4, 12, 8)
        self.assertEqual(route_text(NAMES, entry), "Node 4 -> Node 12 -> Node 8")

    def test_messages_in_per_origin_order_have_lines_for_gaps(self) -> None:
        entry = record(NETWORK, "m", 4, 12)
        lines = [
            ordered_text(NAMES, each)
            for each in (
                OrderedEntry(entry), OrderedEntry(entry, late=True), gap(3, 5), gap(3, 3),
                gap(1, 9, dropped=True), gap(2, 2, dropped=True),
            )
        ]  # fmt: skip
        self.assertEqual(
            lines,
            [
                "- body-of-m (Node 4 -> Node 12)",
                "- body-of-m (Node 4 -> Node 12, late)",
                "  messages 3 to 5 of Node 4 are missing",
                "  message 3 of Node 4 is missing",
                "  messages 1 to 9 of Node 4 are not kept any more",
                "  message 2 of Node 4 is not kept any more",
            ],
        )

    def test_a_lookup_is_told_with_owner_and_path(self) -> None:
        nodes = [info(NETWORK, NETWORK.identifier(n)) for n in (3, 12, 7)]
        result = LookupResult("apple", "00", nodes[-1], nodes)
        self.assertEqual(
            lookup_text(NAMES, result), "apple belongs to Node 7 (Node 3 -> Node 12 -> Node 7)"
        )

    def test_no_text_has_anything_that_a_terminal_would_obey(self) -> None:
        self.assertEqual(plain("a\x1b[31mb\nc\u202e"), "a\\x1b[31mb\\nc\\u202e")
        self.assertEqual(plain("Äpfel→🍎"), "Äpfel→🍎")

    def test_numbers_and_times_are_told_for_people(self) -> None:
        self.assertEqual([count(n, "node") for n in (0, 1, 2)], ["0 nodes", "1 node", "2 nodes"])
        self.assertEqual([seconds(s) for s in (0.0042, 0.1, 0.42)], ["4 ms", "0.1 s", "0.4 s"])
        for value, text in (
            (5.9, "5s"), (59.9, "59s"), (60, "1m00s"), (187, "3m07s"), (3599.9, "59m59s"),
            (3600, "1h00m"), (7500, "2h05m"),
        ):  # fmt: skip
            self.assertEqual(duration(value), text)
        self.assertEqual(rfc3339(0.25), "1970-01-01T00:00:00.250+00:00")


class UnconfirmedTests(SynchronousTestCase):
    def test_an_unconfirmed_message_says_why_not_all_have_it(self) -> None:
        self.assertIn("get it from their neighbours", unconfirmed_text(receipt(partial=True)))
        taken = unconfirmed_text(receipt(partial=True, conflict=2))
        self.assertIn(
            "conflict: 2 nodes had already recorded another message with the same number", taken
        )
        lost = unconfirmed_text(receipt(partial=True, lost=1))
        self.assertIn("1 node had given its number up as lost", lost)


def printed(show: Callable[[Any], None], document: object) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        show(document)
    return out.getvalue()


class LayoutTests(SynchronousTestCase):
    def test_a_document_is_indented_by_two_in_ascii(self) -> None:
        self.assertEqual(
            printed(print_json, {"a": ["é", 1]}), '{\n  "a": [\n    "\\u00e9",\n    1\n  ]\n}\n'
        )

    def test_a_document_on_a_line_of_its_own_is_in_ascii_as_well(self) -> None:
        self.assertEqual(printed(print_json_line, {"a": ["é", 1]}), '{"a": ["\\u00e9", 1]}\n')

    def test_what_is_written_into_a_pipe_has_160_columns_and_no_colours(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            pipe = console()
            pipe.print("8 of 'them' " * 20)
        self.assertEqual(pipe.width, 160)
        self.assertEqual([len(line) <= 160 for line in out.getvalue().splitlines()], [True, True])

    def test_numbers_and_quoted_words_have_no_colours_of_their_own(self) -> None:
        for stderr in (False, True):
            self.assertEqual(console(stderr=stderr).render_str("8 of 'them'").spans, [])


class JsonTests(SynchronousTestCase):
    def test_the_document_of_a_receipt_numbers_the_nodes_that_may_lack_the_message(self) -> None:
        document = receipt_json(
            receipt(partial=True, unreached=[info(NETWORK, NETWORK.identifier(9)), VISITOR]),
            4,
            NAMES,
        )
        self.assertEqual(
            document,
            {
                "id": "x.1.1",
                "body": "apple",
                "origin": 4,
                "recorded": 16,
                "members": 16,
                "messages": 15,
                "depth": 4,
                "seconds": 0.009,
                "partial": True,
                "unreached": [9, "visitor"],
                "shared": 1,
                "conflict": 0,
                "lost": 0,
            },
        )

    def test_the_document_of_a_message_has_its_route(self) -> None:
        self.assertEqual(
            record_json(NAMES, record(NETWORK, "m", 4, 12, 8)),
            {
                "id": "m",
                "body": "body-of-m",
                "origin": 4,
                "route": [4, 12, 8],
                "hops": [{"node": 12, "kind": "finger"}, {"node": 8, "kind": "finger"}],
                "received_at": "1970-01-01T00:16:40.000+00:00",
            },
        )

    def test_documents_in_per_origin_order_have_late_messages_and_gaps(self) -> None:
        entry = record(NETWORK, "m", 4, 12)
        document = ordered_json(NAMES, OrderedEntry(entry, late=True))
        self.assertEqual(document, {**record_json(NAMES, entry), "late": True})
        self.assertEqual(
            ordered_json(NAMES, gap(3, 5)),
            {"gap": {"origin": 4, "incarnation": 17, "first": 3, "last": 5, "dropped": False}},
        )

    def test_the_document_of_a_message_by_a_visitor_has_the_visitors_name(self) -> None:
        entry = MessageRecord("m", "x", 0.0, 0.0, [RouteHop(VISITOR.id, "visitor", "origin")])
        self.assertEqual(record_json(NAMES, entry)["route"], ["visitor"])


class ReportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()), network(4))
        self.world.up()

    def report(self) -> Report:
        observer = self.world.testbed.observer(self.world.described, 1.0)
        done = Deferred.fromCoroutine(look(self.world.testbed, observer, self.world.described))
        self.world.clock.pump([0.1] * 20)
        result: Report = self.successResultOf(done)
        return result

    def test_the_status_document_has_the_network_and_every_node(self) -> None:
        document = json.loads(json.dumps(report_json(self.report())))
        self.assertEqual(
            (document["network"], document["engine"], document["converged"], document["problems"]),
            ("default", "local", True, []),
        )
        node = document["nodes"][0]
        self.assertLessEqual(
            {
                "node": 1,
                "name": "Node 1",
                "address": "127.0.0.1:9001",
                "state": "active",
                "id": self.world.described.space.hex(self.world.described.identifier(1)),
                "messages": 0,
                "keys": 0,
            }.items(),
            node.items(),
        )
        self.assertEqual(len(node["id"]), 40)
        self.assertEqual(sorted([*node["successors"], 1]), [1, 2, 3, 4])
        self.assertEqual(node["successors"][-1], node["predecessor"])
        self.assertEqual(len(node["fingers"]), len(set(node["fingers"])))
        self.assertNotIn(1, node["fingers"])

    def test_stopped_and_unreachable_nodes_have_the_same_keys(self) -> None:
        full = set(report_json(self.report())["nodes"][0]) - {"uptime"}
        self.world.engine.alive.remove(2)
        self.world.nodes.frozen = {3}
        nodes = report_json(self.report())["nodes"]
        self.assertEqual([n["state"] for n in nodes[1:3]], ["stopped", "unreachable"])
        for node in nodes[1:3]:
            self.assertEqual(set(node), full)

    def test_how_long_a_node_has_run_is_said_to_the_millisecond(self) -> None:
        statuses = self.world.nodes.statuses
        statuses[1] = msgspec.structs.replace(statuses[1], uptime=1.23456)
        self.assertEqual(report_json(self.report())["nodes"][0]["uptime"], 1.235)

    def test_the_doctor_says_what_is_right_and_what_is_noted(self) -> None:
        fine = Messages((), (JustStarted(2, 7),), Comparison(0, 4), asked_all=True)
        fault = Finding(OnPurpose("frozen 3", "p2pnet chaos heal"))
        right = Examination(self.report(), (fine,), (fault,))
        self.assertEqual(
            verdict_lines(right),
            [
                "4 nodes: one ring, in order; every pointer right",
                "no messages yet",
                "note: Node 2 started just now and still lacks 7 messages",
                "note: on purpose, until p2pnet chaos heal: frozen 3",
            ],
        )
        bad = attrs.evolve(fine, problems=(RecordedTwice(3, "aa.1.1"),), notes=())
        wrong = Examination(self.report(), (bad,), (fault,))
        self.assertEqual(
            verdict_lines(wrong),
            [
                "Node 3 recorded the message aa.1.1 twice",
                "note: on purpose, until p2pnet chaos heal: frozen 3",
            ],
        )


class TableTests(SynchronousTestCase):
    visitors: tuple[NodeInfo, ...] = ()

    def report(self) -> Report:
        described = network(16, base_port=7001)
        statuses = ideal_ring(described, described.numbers)
        running = frozenset(statuses)
        del statuses[16]  # unreachable, the longest word for a state
        visitors = {node.id: node for node in self.visitors}
        return Report(described, running, Snapshot(statuses, {}, visitors), ())

    def lines(self, width: int) -> list[str]:
        out = Console(file=io.StringIO(), width=width, highlight=False, _environ={})
        out.print(status_table(self.report(), short=width < 140))
        text: str = out.file.getvalue()  # type: ignore[attr-defined]
        return text.splitlines()

    def test_in_80_columns_only_the_lists_give_way(self) -> None:
        lines = self.lines(80)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertEqual(
            lines[1].split(),
            [
                "node",
                "address",
                "state",
                "id",
                "pred",
                "successors",
                "fingers",
                "msgs",
                "keys",
                "uptime",
            ],
        )
        words = lines[2].split()
        self.assertEqual(words[:6], ["1", ":7001", "active", "e53ce0", "12", "8"])
        self.assertEqual(words[-3:], ["0", "0", "1m00s"])

    def test_every_column_has_a_head(self) -> None:
        table = status_table(self.report(), short=True)
        self.assertEqual([column.header for column in table.columns], [*COLUMNS])

    def test_a_visitor_has_a_row_whatever_it_is_called(self) -> None:
        self.visitors = (NodeInfo("ff" * 20, "a[/b]", "10.0.0.9:7101"),)
        (row,) = [line for line in self.lines(160) if "10.0.0.9:7101" in line]
        self.assertEqual(row.split(), ["a[/b]", "10.0.0.9:7101", "unreachable", "f" * 16])

    def test_in_a_pipe_nothing_is_left_out(self) -> None:
        (row,) = [line for line in self.lines(160) if "127.0.0.1:7001" in line]
        self.assertIn(" 8 6 4 9 5 2 14 3 ", row)
