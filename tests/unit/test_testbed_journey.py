"""A message's way put together from what the nodes know, and shown in words, JSON and a picture."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import attrs
import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.draw.journey import (
    edges_json,
    incident_lines,
    journey_model,
    trace_json,
    trace_lines,
    tree_lines,
)
from chordnet.draw.model import Overlay, ring_model
from chordnet.draw.svg import draw_svg
from chordnet.survey.errors import TestbedError
from chordnet.survey.journey import (
    Cause,
    Difference,
    Incident,
    Journey,
    Leg,
    Missed,
    follow_back,
    foretell,
    put_together,
    resolve,
)
from chordnet.survey.observer import Observer, Snapshot
from chordnet.survey.report import Report
from chordnet.wire.rpc import MessageRecord, MessageTrace, RouteHop, TraceEvent
from tests.unit.testbed_fakes import FakeNodes, ideal_ring, info, network

SIZE = 8
NETWORK = network(SIZE)
ID = f"{'ab' * 20}.1.1"
START = 1024.0


def report(*gone: int) -> Report:
    statuses = ideal_ring(NETWORK, [n for n in NETWORK.numbers if n not in gone])
    return Report(NETWORK, frozenset(statuses), Snapshot(statuses, {}), ())


def route_record(*route: int, kind: str = "finger", ms: float = 0.0) -> MessageRecord:
    hops = [
        RouteHop(
            NETWORK.space.hex(NETWORK.identifier(n)), f"Node {n}",
            "origin" if not place else kind if place == len(route) - 1 else "finger",
        )
        for place, n in enumerate(route)
    ]  # fmt: skip
    return MessageRecord(ID, "apple", START, START + ms / 1000, hops)


def event(ms: float, what: str, peer: int) -> TraceEvent:
    return TraceEvent(START + ms / 1000, what, info(NETWORK, NETWORK.identifier(peer)))


def clean(origin: int) -> dict[Any, MessageTrace]:
    """What the nodes know of a message that took the predicted way."""
    told, _prediction = foretell(report(), origin)
    return {
        ref: MessageTrace(ID, route_record(*told.route(ref), kind=leg.kind, ms=leg.depth), [])
        for ref, leg in told.legs.items()
    }  # type: ignore[arg-type]


class PuttingTogetherTests(SynchronousTestCase):
    def test_a_clean_way_is_the_predicted_one(self) -> None:
        for origin in NETWORK.numbers:
            journey = put_together(report(), ID, clean(origin))
            told, prediction = foretell(report(), origin)
            self.assertEqual((journey.origin, journey.body), (origin, "apple"))
            self.assertEqual((journey.recorded, journey.depth), (SIZE, prediction.depth))
            self.assertEqual(
                {s.node: (s.parent, s.kind) for s in journey.legs.values()},
                {s.node: (s.parent, s.kind) for s in told.legs.values()},
            )
            self.assertEqual([round(s.ms or 0, 6) for s in journey.legs.values()],
                             [float(s.depth) for s in journey.legs.values()])  # fmt: skip
            self.assertEqual((journey.missed, journey.differences, journey.gone), ((), (), set()))

    def test_what_happened_beside_the_way_is_told_in_order_of_time(self) -> None:
        traces = clean(4)
        traces[2] = MessageTrace(ID, traces[2].record, [event(9, "duplicate", 5)])
        traces[4] = MessageTrace(
            ID, traces[4].record, [event(3, "resent", 7), event(20, "repaired", 2)]
        )
        journey = put_together(report(), ID, traces)
        self.assertEqual(
            [(i.node, i.what, i.peer, round(i.ms)) for i in journey.incidents],
            [(4, "resent", 7, 3), (2, "duplicate", 5, 9), (4, "repaired", 2, 20)],
        )

    def test_who_missed_a_message_and_on_which_edge_is_told(self) -> None:
        told, _ = foretell(report(), 4)
        leaf = next(n for n in told.legs if all(s.parent != n for s in told.legs.values()))
        traces = clean(4) | {leaf: MessageTrace(ID, None, [])}
        journey = put_together(report(), ID, traces)
        parent = told.legs[leaf].parent
        assert parent is not None
        self.assertEqual(journey.missed, (Missed(leaf, parent, Cause.PREDICTED),))
        self.assertEqual(journey.recorded, SIZE - 1)
        traces[1] = MessageTrace(ID, traces[1].record, [event(5, "gave_up", leaf)])
        (missed,) = put_together(report(), ID, traces).missed
        self.assertEqual((missed.edge, missed.why), ((1, leaf), "Node 1 gave up on it"))
        self.assertEqual(
            [
                Missed(6, node, cause).why
                for node, cause in ((8, Cause.LOST_CHILD), (None, Cause.NO_FINGER))
            ],
            ["Node 8 saw the death of it", "no finger leads to it"],
        )

    def test_a_node_that_died_since_stands_in_the_ways_through_it(self) -> None:
        told, _ = foretell(report(), 4)
        inner = next(s.parent for s in told.legs.values() if s.parent not in (4, None))
        traces = {ref: trace for ref, trace in clean(4).items() if ref != inner}
        journey = put_together(report(inner), ID, traces)
        self.assertEqual(journey.gone, {inner})
        self.assertEqual((journey.legs[inner].parent, journey.legs[inner].ms), (4, None))
        self.assertEqual(journey.recorded, SIZE - 1)
        children = [d.node for d in journey.differences]
        self.assertIn(next(s.node for s in told.legs.values() if s.parent == inner), children)

    def test_another_way_than_predicted_is_told(self) -> None:
        told, _ = foretell(report(), 4)
        leaf = next(n for n, s in told.legs.items() if s.parent not in (4, None))
        other = next(n for n in told.legs if n not in (4, leaf, told.legs[leaf].parent))
        record = route_record(4, other, leaf, kind="reassign", ms=50)
        journey = put_together(report(), ID, clean(4) | {leaf: MessageTrace(ID, record, [])})
        self.assertEqual(journey.differences, (Difference(leaf, other, told.legs[leaf].parent),))

    def test_without_the_origin_times_count_from_when_it_was_sent_and_nothing_is_predicted(
        self,
    ) -> None:
        traces = {ref: trace for ref, trace in clean(4).items() if ref != 4}
        journey = put_together(report(4), ID, traces)
        self.assertEqual((journey.origin, journey.gone, journey.differences), (4, {4}, ()))
        first = min(s.ms for s in journey.legs.values() if s.ms is not None)
        self.assertEqual(round(first, 6), 1.0)

    def test_a_circle_in_what_is_told_ends(self) -> None:
        traces = {
            1: MessageTrace(ID, route_record(4, 2, 1), []),
            2: MessageTrace(ID, route_record(4, 1, 2), []),
        }
        journey = put_together(report(), ID, traces)
        self.assertEqual(len(list(tree_lines(journey))), 3)
        self.assertEqual(journey.route(1), [2, 1])

    def test_a_message_that_nobody_knows_says_where_ids_are_found(self) -> None:
        error = self.assertRaises(
            TestbedError, put_together, report(), ID, {1: MessageTrace(ID, None, [])}
        )
        self.assertIn("p2pnet get-messages", str(error))

    def test_a_node_outside_of_the_ring_has_no_prediction(self) -> None:
        error = self.assertRaises(TestbedError, foretell, report(4), 4)
        self.assertIn("Node 4 is not in the ring", str(error))


class AskingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.nodes = FakeNodes(NETWORK, ideal_ring(NETWORK, NETWORK.numbers))
        self.observer = Observer(Clock(), NETWORK, self.nodes.connect)
        self.addCleanup(self.observer.close)
        for ref, trace in clean(4).items():
            assert trace.record is not None
            other = MessageRecord(f"{'cd' * 20}.1.{2 + ref}", "pear", -1.0, 1.0, trace.record.route)
            self.nodes.logs[ref] = [other, trace.record]
            self.nodes.events[ref] = []

    def ask(self, waiting: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(waiting))

    def resolve(self, text: str) -> Any:
        return Deferred.fromCoroutine(resolve(self.observer, report(), text))

    def test_an_id_is_itself_its_beginning_its_end_or_the_last(self) -> None:
        for text in (ID, "last", "abab", ".1.1", ID[3:]):
            self.assertEqual(self.successResultOf(self.resolve(text)), ID, text)

    def test_a_text_that_stands_for_no_id_or_for_several_is_refused(self) -> None:
        for text, said in (
            ("zz", "no message"),
            ("cdcd", "several messages"),
            ("", "no message"),
        ):
            problem = self.failureResultOf(self.resolve(text), TestbedError)
            self.assertIn(said, problem.getErrorMessage())

    def test_an_id_in_full_is_taken_without_asking_anybody(self) -> None:
        for text in (f"{'ef' * 20}.1.2", f"{'0' * 40}.123.456"):
            self.nodes.asked.clear()
            self.assertEqual(self.successResultOf(self.resolve(text)), text)
            self.assertEqual(self.nodes.asked, [])
        for text in (f"{'ef' * 20}.1", f"{'ef' * 20}.1.x", f"{'ef' * 19}.1.2", "ef.1.2.3"):
            self.failureResultOf(self.resolve(text), TestbedError)

    def test_the_last_message_of_an_empty_network_is_refused(self) -> None:
        self.nodes.logs = {n: [] for n in NETWORK.numbers}
        problem = self.failureResultOf(self.resolve("last"), TestbedError)
        self.assertIn("no node has recorded a message yet", problem.getErrorMessage())

    def test_who_is_no_member_is_not_asked(self) -> None:
        seen = report()
        joining = msgspec.structs.replace(seen.snapshot.statuses[3], state="joining")
        visitor = info(NETWORK, NETWORK.space.hash(b"visitor"))
        snapshot = Snapshot({**seen.snapshot.statuses, 3: joining}, {}, {visitor.id: visitor})
        self.nodes.asked.clear()
        self.ask(follow_back(self.observer, attrs.evolve(seen, snapshot=snapshot), ID))
        self.assertEqual(sorted(self.nodes.asked), [1, 2, 4, 5, 6, 7, 8])

    def test_every_member_is_asked_and_one_that_is_silent_is_left_out(self) -> None:
        journey = self.ask(follow_back(self.observer, report(), ID))
        self.assertEqual((journey.recorded, journey.message), (SIZE, ID))
        told, _ = foretell(report(), 4)
        leaf = next(n for n in told.legs if all(s.parent != n for s in told.legs.values()))
        del self.nodes.logs[leaf]
        journey = self.ask(follow_back(self.observer, report(), ID))
        self.assertEqual((journey.recorded, journey.missed), (SIZE - 1, ()))


def troubled() -> Journey:
    """A way with all that can go wrong on it."""
    told, _ = foretell(report(), 4)
    inner = next(s.parent for s in told.legs.values() if s.parent not in (4, None))
    leaf = [n for n in told.legs if all(s.parent != n for s in told.legs.values())][-1]
    traces = {r: t for r, t in clean(4).items() if r not in (inner, leaf)}
    traces[leaf] = MessageTrace(ID, None, [])
    traces[4] = MessageTrace(
        ID, traces[4].record, [event(400, "lost_child", inner), event(9, "duplicate", 1)]
    )
    return put_together(report(inner), ID, traces)


class ShowingTests(SynchronousTestCase):
    def test_the_tree_has_a_line_for_each_node_below_the_one_before(self) -> None:
        journey = put_together(report(), ID, clean(4))
        lines = list(tree_lines(journey))
        self.assertEqual(len(lines), SIZE)
        self.assertTrue(lines[0].startswith("Node 4 "))
        self.assertIn("origin         0.0 ms", lines[0])
        for line in lines[1:]:
            self.assertRegex(line, r"^[│ ]*[├└]─ Node \d+ +(finger|successor) +\d\.0 ms$")
        depths = [(len(line) - len(line.lstrip("│├└─ "))) // 3 for line in lines]
        named = [int(line.lstrip("│├└─ ").split()[1]) for line in lines]
        self.assertEqual(depths, [journey.legs[n].depth for n in named])

    def test_a_clean_way_says_that_it_is_as_predicted(self) -> None:
        lines = list(trace_lines(put_together(report(), ID, clean(4))))
        self.assertRegex(
            lines[0],
            r"^apple from Node 4: recorded by 8 of 8 nodes, the last after \d\.0 ms; depth \d$",
        )
        self.assertEqual(lines[-1], "the present fingers predict the same tree")

    def test_a_troubled_way_says_everything(self) -> None:
        journey = troubled()
        text = "\n".join(trace_lines(journey))
        (gone,), (missed,) = journey.gone, journey.missed
        self.assertIn("not in the ring any more", text)
        self.assertIn(f"Node 4 saw Node {gone} die, which was to pass it on", text)
        self.assertIn("Node 4 got it again from Node 1", text)
        self.assertRegex(
            text, rf"missed: Node {missed.node} on the edge Node \d -> Node {missed.node}"
        )
        self.assertIn("the present fingers predict otherwise:", text)

    def test_the_json_document(self) -> None:
        journey = troubled()
        document = trace_json(journey)
        self.assertEqual(document["recorded"], SIZE - 2)
        self.assertEqual(document["members"], SIZE - 1)
        self.assertEqual(document["gone"], sorted(journey.gone))
        self.assertEqual([i["what"] for i in document["incidents"]], ["duplicate", "lost_child"])
        self.assertEqual(len(document["edges"]), len(journey.legs) - 1)
        self.assertTrue(all("ms" not in e for e in edges_json(foretell(report(), 4)[0])))

    def test_times_are_told_to_a_thousandth_of_a_millisecond(self) -> None:
        journey = attrs.evolve(
            put_together(report(), ID, clean(4)),
            incidents=(Incident(4, "resent", 7, 1.23456),),
            legs={4: Leg(4, None, "origin", 0, 0.0), 7: Leg(7, 4, "finger", 1, 9.87654)},
        )
        document = trace_json(journey)
        self.assertEqual([e["ms"] for e in document["edges"]], [9.877])
        self.assertEqual(document["incidents"][0]["ms"], 1.235)

    def test_what_is_known_of_a_way_counts_those_that_are_still_there(self) -> None:
        journey = attrs.evolve(
            put_together(report(), ID, clean(4)),
            legs={4: Leg(4, None, "origin", 0, 0.0), 7: Leg(7, 4, "finger", 1),
                   2: Leg(2, 7, "finger", 2, 3.0)},
            gone=frozenset({7}),
        )  # fmt: skip
        self.assertEqual((journey.recorded, journey.depth, journey.route(2)), (2, 2, [4, 7, 2]))
        self.assertEqual(journey.route(9), [9])
        self.assertIn("the last after 3.0 ms", next(iter(trace_lines(journey))))

    def test_what_happened_beside_the_tree_is_a_line_each(self) -> None:
        happened = [
            Incident(4, what, "guest", 1234.56)
            for what in ("duplicate", "resent", "lost_child", "repaired", "gave_up", "odd")
        ]
        self.assertEqual(
            list(incident_lines(happened)),
            [
                "    1234.6 ms  Node 4 got it again from guest",
                "    1234.6 ms  Node 4 sent it to guest once more, which had not answered",
                "    1234.6 ms  Node 4 saw guest die, which was to pass it on",
                "    1234.6 ms  Node 4 gave guest a range to cover (repair)",
                "    1234.6 ms  Node 4 gave up on the range of guest",
                "    1234.6 ms  Node 4: odd guest",
            ],
        )

    def test_what_is_otherwise_than_predicted_is_a_line_each(self) -> None:
        journey = attrs.evolve(
            put_together(report(), ID, clean(4)),
            differences=(Difference(1, 2, 3), Difference(1, None, 3), Difference(1, 2, None)),
            missed=(Missed(5, None, Cause.NO_FINGER),),
        )
        *_, missed, _head, both, came, would = trace_lines(journey)
        self.assertEqual(missed, "missed: Node 5 (no finger leads to it)")
        self.assertEqual(both, "  to Node 1 it came from Node 2, and would come from Node 3")
        self.assertEqual(came, "  to Node 1 it came, and would come from Node 3")
        self.assertEqual(would, "  to Node 1 it came from Node 2, and would not come by the tree")

    def test_over_the_tree_lie_duplicates_losses_and_what_is_predicted_each_once(self) -> None:
        seen = report()
        journey = attrs.evolve(
            put_together(seen, ID, clean(4)),
            incidents=(
                Incident(4, "duplicate", 7, 1.0), Incident(4, "duplicate", 7, 2.0),
                Incident(4, "gave_up", 6, 3.0), Incident(4, "lost_child", 6, 4.0),
                Incident(4, "resent", 5, 5.0),
            ),
            missed=(Missed(3, 4, Cause.PREDICTED), Missed(2, None, Cause.NO_FINGER)),
            differences=(Difference(1, 2, 8), Difference(5, 2, None)),
        )  # fmt: skip
        tree = journey_model(ring_model(seen), seen, journey, "heading").tree
        assert tree is not None
        self.assertEqual(
            tree.overlays,
            (
                Overlay(7, 4, "duplicate"), Overlay(4, 6, "lost"), Overlay(4, 3, "lost"),
                Overlay(8, 1, "predicted"),
            ),
        )  # fmt: skip
        self.assertEqual((tree.absent, tree.start), ("did not record it", "sent it"))

    def test_a_node_that_is_gone_stands_where_it_was(self) -> None:
        journey = troubled()
        (gone,) = journey.gone
        assert isinstance(gone, int)
        seen = report(gone)
        drawn = journey_model(ring_model(seen), seen, journey, "heading")
        ghost = drawn.node(gone)
        assert ghost is not None
        self.assertTrue(ghost.gone)
        self.assertEqual(ghost.turn, NETWORK.identifier(gone) / NETWORK.space.size)
        self.assertEqual([n.id for n in drawn.nodes], sorted(n.id for n in drawn.nodes))
        self.assertEqual(len(drawn.nodes), SIZE)

    def test_the_picture_shows_who_is_gone_what_got_lost_and_the_times(self) -> None:
        journey = troubled()
        (gone,) = journey.gone
        seen = report(gone)
        drawn = draw_svg(journey_model(ring_model(seen), seen, journey, "a heading & more"))
        root = ElementTree.fromstring(drawn)  # noqa: S314 - our own
        svg = "{http://www.w3.org/2000/svg}"
        paths = [p.get("class") for p in root.iter(f"{svg}path")]
        self.assertIn("over lost", paths)
        self.assertIn("over duplicate", paths)
        self.assertEqual(sum(c.get("class") == "gone" for c in root.iter(f"{svg}circle")), 1)
        texts = [t.text or "" for t in root.iter(f"{svg}text")]
        self.assertIn(f"Network 'default': {SIZE - 1} nodes in one ring", texts)
        self.assertIn("a heading & more", texts)
        self.assertIn("sent it · 0.0 ms", texts)
        self.assertIn("did not record it", texts)
        width = float(root.get("width") or 0)
        self.assertTrue(all(0 < float(t.get("x") or -1) < width for t in root.iter(f"{svg}text")))

    def test_a_predicted_tree_is_drawn_without_times(self) -> None:
        seen = report()
        journey, _ = foretell(seen, 4)
        drawn = draw_svg(journey_model(ring_model(seen), seen, journey, "soon"))
        self.assertIn("sends it", drawn)
        self.assertNotIn(" ms<", drawn)
