"""The predicted tree is the one that is travelled."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import EdgeKind
from chordnet.judge.explain import Pointers, PredictedEdge, Prediction, predict
from tests.unit.core_support import BITS, Wire, place

SPACE = IdentifierSpace(BITS)
RING = (1, 8, 14, 21, 32, 38, 42, 48, 51, 56)
"""The ring of Stoica et al., SIGCOMM 2001, figures 3 to 5."""


def pointers(wire: Wire) -> dict[int, Pointers]:
    found = {}
    for member, node in wire.nodes.items():
        before, after = node.predecessor, list(node.successors[:1])
        found[member] = Pointers(
            member,
            before.id if before is not None else None,
            after[0].id if after else None,
            frozenset(finger.id for _slot, finger in node.finger_slots),
        )
    return found


def travelled(wire: Wire, origin: int) -> list[tuple[int, int, int, int, int]]:
    """Broadcast from ``origin`` and return what was sent: sender, receiver, kind, depth, limit."""
    wire.log.clear()
    wire.event(origin, ev.Publish([(1, b"apple")], 0.0))
    wire.run(1.0)
    return sorted(
        (a, b, m.kind, len(m.hops), int.from_bytes(m.limit)) for a, b, m in wire.messages(msg.Bcast)
    )


def flat(edges: tuple[PredictedEdge, ...]) -> list[tuple[int, int, int, int, int]]:
    return sorted((e.sender, e.receiver, int(e.kind), e.depth, e.limit) for e in edges)


class PredictionTests(SynchronousTestCase):
    def predicted(self, wire: Wire, origin: int) -> Prediction:
        return predict(origin, pointers(wire), SPACE)

    def test_a_broadcast_in_the_ring_of_the_paper_is_predicted_from_every_origin(self):
        wire = Wire(RING, ticking=False)
        for origin in RING:
            told = self.predicted(wire, origin)
            self.assertEqual(flat(told.edges), travelled(wire, origin))
            self.assertEqual(told.messages, len(RING) - 1)
            self.assertEqual(
                (told.duplicates, told.unreached, told.unknown), ((), frozenset(), frozenset())
            )

    def test_a_broadcast_in_random_rings_is_predicted(self):
        seed = random.randrange(1 << 32)
        generator = random.Random(seed)
        for _ in range(60):
            members = generator.sample(range(64), generator.randint(1, 40))
            wire = Wire(members, ticking=False)
            origin = generator.choice(members)
            told = self.predicted(wire, origin)
            self.assertEqual(flat(told.edges), travelled(wire, origin), f"seed {seed}")
            self.assertEqual(told.messages, len(members) - 1, f"seed {seed}")
            routes = {m: [h.raw[0] for h in r[0].route] for m, r in wire.records().items()}
            self.assertEqual({m: told.route(m) for m in members}, routes, f"seed {seed}")
            self.assertEqual(told.depth, max(map(len, routes.values())) - 1, f"seed {seed}")

    def test_a_node_alone_is_predicted_to_send_nothing(self):
        told = predict(5, {5: Pointers(5, 5, None, frozenset())}, SPACE)
        self.assertEqual((told.messages, told.depth, told.route(5)), (0, 0, [5]))

    def test_a_newcomer_that_only_its_successor_knows_is_passed_the_message_back(self):
        wire = Wire(RING, ticking=False)
        for member, node in wire.nodes.items():
            if member != 38:
                others = [s.id for s in node.successors if s.id != 38]
                slots = {i: f.id if f.id != 38 else 42 for i, f in node.finger_slots}
                place(node, node.predecessor.id, others, slots)
        passed_back: list[int] = []
        for origin in RING:
            told = self.predicted(wire, origin)
            sent = travelled(wire, origin)
            self.assertEqual(sorted(flat(told.edges) + flat(told.duplicates)), sent)
            by_successor = told.parents.get(42)
            if origin == 38:
                continue
            if by_successor is not None and by_successor.kind == EdgeKind.SUCCESSOR:
                self.assertEqual((told.parents[38].sender, told.parents[38].kind), (42, 5))
                passed_back.append(origin)
            elif origin != 42:  # 42 was sent it by somebody who does not border on it
                self.assertEqual(told.unreached, {38})
        self.assertGreater(len(passed_back), 1)

    def test_a_node_that_nobody_points_at_is_not_reached(self):
        members = pointers(Wire(RING, ticking=False))
        lonely = 42
        known = {
            m: Pointers(m, 38 if m == 48 else p.predecessor, 48 if m == 38 else p.successor,
                        frozenset(f for f in p.fingers if f != lonely))
            for m, p in members.items()
        }  # fmt: skip
        told = predict(8, known, SPACE)
        self.assertEqual(told.unreached, {lonely})
        self.assertRaises(KeyError, told.route, lonely)

    def test_a_node_that_cannot_be_asked_is_a_leaf_and_said_to_be_unknown(self):
        members = pointers(Wire(RING, ticking=False))
        full = predict(8, members, SPACE)
        inner = next(
            e.receiver for e in full.edges if any(x.sender == e.receiver for x in full.edges)
        )
        del members[inner]
        told = predict(8, members, SPACE)
        self.assertEqual(told.unknown, {inner})
        self.assertEqual(
            told.unreached, {e.receiver for e in full.edges if inner in full.route(e.receiver)[:-1]}
        )

    def test_two_edges_to_one_node_are_told_as_such(self):
        two = {
            1: Pointers(1, 9, 5, frozenset({9})),
            5: Pointers(5, 1, 9, frozenset({9})),
            9: Pointers(9, 5, 1, frozenset({1, 5})),
        }
        wrong = two | {9: Pointers(9, 1, 1, frozenset({5}))}
        told = predict(1, wrong, SPACE)
        self.assertEqual([(e.sender, e.receiver) for e in told.edges], [(1, 9), (1, 5)])
        self.assertEqual(told.duplicates, ())
        cut = predict(1, two, SPACE, max_hops=1)
        self.assertEqual(cut.depth, 1)

    def test_an_edge_to_a_node_that_has_the_message_by_then_counts_as_a_message(self):
        members = {
            1: Pointers(1, 9, 9, frozenset({5})),
            5: Pointers(5, 1, 9, frozenset()),
            9: Pointers(9, 5, 1, frozenset()),
        }
        told = predict(1, members, SPACE)
        self.assertEqual([(e.sender, e.receiver) for e in told.edges], [(1, 9), (1, 5)])
        self.assertEqual(flat(told.duplicates), [(9, 5, int(EdgeKind.BACKFILL), 2, 9)])
        self.assertEqual((told.messages, told.depth), (3, 1))

    def test_a_node_that_points_at_itself_sends_itself_nothing(self):
        members = {
            1: Pointers(1, None, 2, frozenset({1})),
            2: Pointers(2, None, 2, frozenset({1, 2})),
        }
        told = predict(1, members, SPACE)
        self.assertEqual(flat(told.edges), [(1, 2, int(EdgeKind.SUCCESSOR), 1, 1)])
        self.assertEqual(told.duplicates, ())

    def test_an_origin_that_is_no_member_is_an_error(self):
        self.assertRaises(KeyError, predict, 3, {}, SPACE)
