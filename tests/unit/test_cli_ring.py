"""The drawings of a ring: in SVG and in the terminal."""

from __future__ import annotations

import io
import random
import re
from functools import cache
from itertools import pairwise
from xml.etree import ElementTree

import attrs
import msgspec
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.commands.ring import model_json
from chordnet.draw.canvas import Canvas
from chordnet.draw.layout import spread
from chordnet.draw.model import Arrival, Ref, RingModel, message_tree, point, ring_model
from chordnet.draw.svg import LABEL_GAP, draw_svg
from chordnet.draw.text import print_ring
from chordnet.survey.errors import TestbedError
from chordnet.survey.observer import Snapshot
from chordnet.survey.report import Report
from chordnet.survey.verdict import Names
from tests.unit.testbed_fakes import ideal_ring, network, record

SVG = "{http://www.w3.org/2000/svg}"
CHAIN = (4, 9, 5, 2, 14)


@cache
def model(size: int, *, message: bool = False) -> RingModel:
    described = network(size)
    statuses = ideal_ring(described, described.numbers)
    report = Report(described, frozenset(statuses), Snapshot(statuses, {}), ())
    if not message:
        return ring_model(report)
    logs = {
        route[-1]: [record(described, "m", *route)]
        for route in (CHAIN[: length + 1] for length in range(len(CHAIN)))
        if max(route) <= size
    }
    return ring_model(report, message_tree(Names(described), logs, "last"))


class SpreadTests(SynchronousTestCase):
    def test_labels_with_room_stay_where_they_belong(self) -> None:
        self.assertEqual(spread([1, 5, 9], 2, 0, 10), [1, 5, 9])

    def test_close_labels_part_evenly(self) -> None:
        self.assertEqual(spread([5, 5], 2, 0, 10), [4, 6])
        self.assertEqual(spread([5, 5], 8, 0, 10), [1, 9])

    def test_nobody_is_pushed_off_the_edge(self) -> None:
        self.assertEqual(spread([0, 0, 0], 2, 0, 10), [0, 2, 4])
        self.assertEqual(spread([10, 10], 2, 0, 10), [8, 10])

    def test_too_many_labels_share_what_room_there_is(self) -> None:
        self.assertEqual(spread([5, 5, 5], 9, 0, 10), [0, 5, 10])
        self.assertEqual(spread([], 9, 0, 10), [])

    def test_no_labels_at_random_places_overlap_or_leave_the_edge(self) -> None:
        seed = random.randrange(1 << 32)
        generator = random.Random(seed)
        for _ in range(200):
            wanted = sorted(generator.uniform(-5, 105) for _ in range(generator.randint(1, 12)))
            places = spread(wanted, 8, 0, 100)
            self.assertEqual(len(places), len(wanted), seed)
            self.assertTrue(all(0 <= p <= 100.000001 for p in places), seed)
            self.assertTrue(all(b - a >= 7.999999 for a, b in pairwise(places)), seed)


class SvgTests(SynchronousTestCase):
    def draw(self, drawn: RingModel) -> ElementTree.Element:
        return ElementTree.fromstring(draw_svg(drawn))  # noqa: S314 - our own

    def texts(self, root: ElementTree.Element, style: str) -> list[str]:
        return [t.text or "" for t in root.iter(f"{SVG}text") if t.get("class") == style]

    def test_every_node_has_a_dot_and_a_name(self) -> None:
        for size in (1, 2, 16, 64):
            root = self.draw(model(size))
            names = self.texts(root, "name")
            self.assertEqual(sorted(names), sorted(f"Node {n}" for n in range(1, size + 1)))
            dots = [c for c in root.iter(f"{SVG}circle") if "dot" in (c.get("class") or "")]
            self.assertEqual(len(dots), size)

    def test_no_two_names_of_one_side_overlap(self) -> None:
        for size in (16, 64):
            root = self.draw(model(size))
            for anchor in ("start", "end"):
                places = sorted(
                    float(t.get("y") or 0)
                    for t in root.iter(f"{SVG}text")
                    if t.get("class") == "name" and t.get("text-anchor") == anchor
                )
                self.assertTrue(all(b - a >= LABEL_GAP - 0.2 for a, b in pairwise(places)), size)

    def test_everything_that_is_drawn_lies_on_the_sheet(self) -> None:
        root = self.draw(model(64))
        width, height = float(root.get("width") or 0), float(root.get("height") or 0)
        for text in root.iter(f"{SVG}text"):
            self.assertTrue(0 < float(text.get("x") or -1) < width)
            self.assertTrue(0 < float(text.get("y") or -1) < height)

    def test_a_message_shows_its_tree_and_every_route(self) -> None:
        root = self.draw(model(16, message=True))
        edges = [p for p in root.iter(f"{SVG}path") if p.get("class") == "edge"]
        self.assertEqual(len(edges), len(CHAIN) - 1)
        notes = self.texts(root, "note")
        self.assertIn("4 → 9 → 5", notes)
        self.assertIn("sent it", notes)
        self.assertIn("did not record it", notes)

    def test_the_picture_has_colours_for_a_dark_screen(self) -> None:
        self.assertIn("prefers-color-scheme: dark", draw_svg(model(3)))

    def test_a_body_cannot_break_the_picture(self) -> None:
        described = network(16)
        entry = record(described, "m", 4)
        bad = type(entry)("m", "<b>&\x1b\"'", 0.0, 0.0, entry.route)
        drawn = model(16)
        tree = message_tree(Names(described), {4: [bad]}, "m")
        root = self.draw(type(drawn)(drawn.network, drawn.bits, drawn.nodes, tree))
        self.assertIn("<b>&", "".join(root.itertext()), "and is in it")


class TextTests(SynchronousTestCase):
    def draw(self, drawn: RingModel, width: int = 80, *, ascii_only: bool = False) -> str:
        out = Console(file=io.StringIO(), width=width, highlight=False, _environ={})
        print_ring(out, drawn, drawn.nodes[0].ref, ascii_only=ascii_only)
        text: str = out.file.getvalue()  # type: ignore[attr-defined]
        return text

    def test_a_ring_in_text_fits_into_80_columns_and_shows_every_node(self) -> None:
        for size in (1, 2, 16, 24, 40):
            text = self.draw(model(size))
            self.assertLessEqual(max(map(len, text.splitlines())), 80)
            rows = re.findall(r"^.*?(\d+)  [0-9a-f]{8}(?:  |$)", text, re.MULTILINE)
            self.assertEqual(sorted(map(int, rows)), list(range(1, size + 1)))
            self.assertEqual(text.count("●"), len(set(self.cells(model(size)))) or 1)

    def cells(self, drawn: RingModel) -> list[tuple[int, int]]:
        """Two nodes whose identifiers are very close share a character."""
        rows = 19 if len(drawn.nodes) <= 24 else 38
        width, height = 2 * rows + 8, rows + 2
        places = (n.at(rows * 2 - 2, (width, height * 2)) for n in drawn.nodes)
        return [(round(x) // 2, round(y) // 4) for x, y in places]

    def test_no_line_is_wider_than_the_terminal_and_none_is_cut(self) -> None:
        for size in (1, 2, 16, 23, 24, 40, 64):
            for width in (80, 60, 40, 30):
                for drawn in (model(size), model(max(size, 4), message=True)):
                    lines = self.draw(drawn, width).splitlines()
                    self.assertLessEqual(max(map(len, lines)), width)
                    self.assertNotIn("…", "".join(lines))

    def test_a_long_row_goes_on_below_itself(self) -> None:
        farthest = max(model(64).nodes, key=lambda node: len(node.fingers))
        wide, narrow = self.draw(model(64), 200), self.draw(model(64), 30)
        fingers = " ".join(str(finger.node) for finger in farthest.fingers)
        row = rf"\b{farthest.ref}  [0-9a-f]{{8}}  {fingers}$"
        self.assertTrue(re.search(row, wide, re.MULTILINE))
        self.assertTrue(re.search(row, re.sub(r"\n {16}(?=\d)", " ", narrow), re.MULTILINE))

    def test_a_table_longer_than_the_circle_keeps_its_place(self) -> None:
        lines = self.draw(model(24)).splitlines()[2:]
        starts = {m.start() for line in lines if (m := re.search(r"(?<=  )[0-9a-f]{8}  ", line))}
        self.assertEqual(len(starts), 1)

    def test_a_visitor_is_labelled_with_its_whole_name_or_a_mark_where_it_is_cut(self) -> None:
        names: dict[Ref, Ref] = {3: "laptop", 8: "a-very-long-name-indeed"}
        plain = model(8)
        nodes = tuple(
            attrs.evolve(
                node,
                ref=names.get(node.ref, node.ref),
                fingers=tuple(
                    attrs.evolve(f, node=names.get(f.node, f.node)) for f in node.fingers
                ),
            )
            for node in plain.nodes
        )
        text = self.draw(attrs.evolve(plain, nodes=nodes))
        circle = "".join(line[:66] for line in text.splitlines() if "id  " not in line)
        self.assertRegex(circle, r"[● ]laptop\b")
        self.assertIn("a-very-long…", circle)
        self.assertIn("a-very-long~", self.draw(attrs.evolve(plain, nodes=nodes), ascii_only=True))
        self.assertNotRegex(text, r"\blap\b")

    def test_more_than_24_nodes_have_their_table_below(self) -> None:
        for size, below in ((24, False), (25, True)):
            rows = [line for line in self.draw(model(size), 200).splitlines()
                    if re.search(r"\d+  [0-9a-f]{8}  ", line)]  # fmt: skip
            self.assertEqual(len(rows), size)
            self.assertEqual(all(len(row) - len(row.lstrip()) < 4 for row in rows), below, size)

    def test_of_a_long_body_the_beginning_is_shown_in_40_columns(self) -> None:
        described = network(16)
        for length, terminal, picture in (
            (40, "a" * 40, "a" * 40), (41, "a" * 37 + "...", "a" * 39 + "…"),
        ):  # fmt: skip
            entry = msgspec.structs.replace(record(described, "m", 4), body="a" * length)
            tree = message_tree(Names(described), {4: [entry]}, "m")
            drawn = attrs.evolve(model(16), tree=tree)
            self.assertIn(f"{terminal} from Node 4: 0 messages, depth 0", self.draw(drawn))
            self.assertIn(f"“{picture}” from Node 4: 0 messages to 0 other", draw_svg(drawn))

    def test_colours_go_round_where_a_tree_is_deeper_than_there_are_any(self) -> None:
        route = (4, 9, 5, 2, 14, 1, 3, 6)
        described = network(16)
        logs = {route[depth]: [record(described, "m", *route[: depth + 1])] for depth in range(8)}
        drawn = attrs.evolve(model(16), tree=message_tree(Names(described), logs, "m"))
        out = Console(
            file=io.StringIO(), width=120, highlight=False, color_system="standard",
            force_terminal=True, legacy_windows=False, _environ={},
        )  # fmt: skip
        print_ring(out, drawn, None, ascii_only=False)
        text: str = out.file.getvalue()  # type: ignore[attr-defined]
        colours = [re.search(rf"\x1b\[1;(\d+)m +{ref}  4 ", text) for ref in route[1:]]
        found = [match[1] for match in colours if match]
        self.assertEqual(len(found), 7)
        self.assertEqual(len(set(found)), 6)
        self.assertEqual(found[0], found[6])

    def test_ascii_is_ascii(self) -> None:
        self.assertTrue(self.draw(model(16), ascii_only=True).isascii())
        self.assertTrue(self.draw(model(16, message=True), ascii_only=True).isascii())

    def test_a_message_lists_its_routes(self) -> None:
        text = self.draw(model(16, message=True))
        self.assertIn("4 → 9 → 5 → 2", text)
        self.assertIn("sent it", text)

    def test_with_a_message_the_fingers_of_the_chosen_node_are_not_drawn(self) -> None:
        drawn = model(16, message=True)
        pictures = []
        for chosen in (None, 4, 5):
            out = Console(file=io.StringIO(), width=100, highlight=False, _environ={})
            print_ring(out, drawn, chosen, ascii_only=True)
            pictures.append(out.file.getvalue())  # type: ignore[attr-defined]
        self.assertEqual(pictures, pictures[:1] * 3)

    def test_a_dot_is_a_bit_of_its_character(self) -> None:
        for x, y, letter in (
            (0, 0, "⠁"), (0, 1, "⠂"), (0, 2, "⠄"), (0, 3, "⡀"),
            (1, 0, "⠈"), (1, 1, "⠐"), (1, 2, "⠠"), (1, 3, "⢀"), (0.4, 3.4, "⡀"),
        ):  # fmt: skip
            canvas = Canvas(1, 1)
            canvas.dot(x, y, "red")
            (line,) = canvas.lines()
            self.assertEqual(line.plain, letter)
        canvas.dot(0, 0, "red")
        self.assertEqual(canvas.lines()[0].plain, "⡁")
        ascii_canvas = Canvas(2, 1, ascii_only=True)
        ascii_canvas.dot(3, 0, "red")
        self.assertEqual(ascii_canvas.lines()[0].plain, " .")

    def test_a_line_has_a_dot_at_every_step_from_end_to_end(self) -> None:
        canvas = Canvas(4, 1)
        canvas.line((0, 0), (7, 0), "red")
        self.assertEqual(canvas.lines()[0].plain, "⠉⠉⠉⠉")
        canvas = Canvas(1, 2)
        canvas.line((0, 7), (0, 0), "red")
        self.assertEqual([line.plain for line in canvas.lines()], ["⡇", "⡇"])
        canvas = Canvas(1, 1)
        canvas.line((1, 1), (1, 1), "red")
        self.assertEqual(canvas.lines()[0].plain, "⠐")

    def test_a_text_is_free_where_it_fits_with_a_cell_to_spare_beside_others(self) -> None:
        canvas = Canvas(9, 2)
        canvas.text(4, 0, "x", "red")
        for column, row, length, free in (
            (0, 0, 3, True), (0, 0, 4, False), (1, 0, 3, False), (6, 0, 3, True),
            (5, 0, 2, False), (6, 0, 4, False), (4, 1, 5, True), (-1, 1, 2, False),
            (0, 2, 1, False), (0, -1, 1, False), (0, 1, 9, True),
        ):  # fmt: skip
            self.assertEqual(canvas.free(column, row, length), free, (column, row, length))

    def test_nothing_is_drawn_outside_the_canvas(self) -> None:
        canvas = Canvas(2, 2)
        canvas.line((-5, -5), (50, 50), "")
        canvas.text(5, 5, "x", "")
        self.assertEqual([len(line) for line in canvas.lines()], [2, 2])


class ModelTests(SynchronousTestCase):
    def test_nodes_stand_in_the_order_of_the_ring(self) -> None:
        drawn = model(16)
        self.assertEqual([n.id for n in drawn.nodes], sorted(n.id for n in drawn.nodes))
        for node, after in pairwise(drawn.nodes):
            self.assertEqual(node.successor, after.ref)

    def test_the_farthest_finger_reaches_half_the_ring(self) -> None:
        for node in model(16).nodes:
            self.assertEqual(min(finger.reach for finger in node.fingers), 0)

    def test_the_last_message_is_the_one_that_was_sent_last(self) -> None:
        described = network(4)
        sent = [
            msgspec.structs.replace(record(described, name, 4), created=created)
            for name, created in (("a", 1.0), ("b", 9.0), ("c", 5.0))
        ]
        for logs in ({4: sent}, {4: sent[:2], 3: sent[2:]}, {3: sent[1:], 4: sent[:1]}):
            tree = message_tree(Names(described), logs, "last")
            self.assertEqual((tree.message, tree.body), ("b", "body-of-b"))

    def test_an_arrival_is_a_route_and_says_if_it_was_a_repair(self) -> None:
        arrival = Arrival((4, 12, "guest"), "reassign")
        self.assertEqual((arrival.depth, arrival.is_repair), (2, True))
        self.assertEqual((arrival.text(), arrival.text("->")),
                         ("4 → 12 → guest", "4 -> 12 -> guest"))  # fmt: skip
        self.assertFalse(Arrival((4,), "origin").is_repair)

    def test_a_node_that_is_not_on_the_ring_is_not_found(self) -> None:
        drawn = model(4)
        self.assertIsNone(drawn.node(5))
        found = drawn.node(3)
        assert found is not None
        self.assertEqual((found.ref, found.label, found.gone), (3, "Node 3", False))

    def test_a_node_stands_where_its_identifier_is_clockwise_from_the_top(self) -> None:
        for turn, x, y in ((0.0, 10, 5), (0.25, 15, 10), (0.5, 10, 15), (0.75, 5, 10)):
            found = point(turn, 5.0, (10.0, 10.0))
            self.assertEqual((round(found[0], 9), round(found[1], 9)), (x, y))
        for node in model(16).nodes:
            self.assertEqual(node.turn, node.id / 2**160)

    def test_the_document_is_exact_to_a_millionth_of_the_ring(self) -> None:
        document = model_json(model(3))
        for found, node in zip(document["nodes"], model(3).nodes, strict=True):
            self.assertEqual(found["turn"], round(node.turn, 6))
            self.assertEqual((found["id"], found["node"]), (f"{node.id:040x}", node.ref))
        small = model_json(attrs.evolve(model(3), bits=10, nodes=model(3).nodes[:0]))
        self.assertEqual((small["bits"], small["nodes"]), (10, []))
        few = attrs.evolve(model(3).nodes[0], id=5)
        (found,) = model_json(attrs.evolve(model(3), bits=10, nodes=(few,)))["nodes"]
        self.assertEqual(found["id"], "005")

    def test_an_unknown_message_says_where_ids_are_found(self) -> None:
        described = network(4)
        error = self.assertRaises(TestbedError, message_tree, Names(described), {1: []}, "x")
        self.assertIn("p2pnet get-messages", str(error))
        self.assertRaises(TestbedError, message_tree, Names(described), {1: []}, "last")

    def test_the_json_document_holds_nodes_and_tree(self) -> None:
        document = model_json(model(16, message=True))
        self.assertEqual(len(document["nodes"]), 16)
        self.assertEqual(document["message"]["depth"], len(CHAIN) - 1)
