"""What can be wrong with a broadcast, field by field, and where each limit lies."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import Detour, EdgeKind, MessageId
from chordnet.core.base.outcomes import Fault
from chordnet.core.broadcast.faults import bodies_fault, fault_of
from tests.unit.core_support import make_context, raw, ref
from tests.unit.test_core_broadcast import bcast, hop

HUGE = 1 << 62


class FaultTests(SynchronousTestCase):
    """Up to four messages of ten bytes together, with routes of up to six hops."""

    def setUp(self):
        self.ctx = make_context(max_batch=4, max_body_bytes=10, max_hops=5, max_route=6)

    def check(self, fault: Fault, count: int = 1, **changes) -> None:
        message = bcast(5, 50, bodies=[b"x"] * count, **changes)
        self.assertEqual(fault_of(message, ref(5), self.ctx), fault, (count, changes))

    def test_one_to_four_messages_may_travel_together(self):
        for count, fault in ((0, Fault.COUNT), (1, ""), (4, ""), (5, Fault.COUNT)):
            self.check(fault, count)

    def test_every_number_of_the_messages_has_to_be_possible(self):
        for incarnation, sequence, fault in (
            (0, 1, ""), (HUGE - 1, 1, ""), (1, HUGE - 2, ""),
            (-1, 1, Fault.IDENTIFIER), (HUGE, 1, Fault.IDENTIFIER),
            (1, 0, Fault.IDENTIFIER), (1, -1, Fault.IDENTIFIER), (1, HUGE - 1, Fault.IDENTIFIER),
        ):  # fmt: skip
            self.check(fault, 2, id=MessageId(raw(50), incarnation, sequence))

    def test_identifiers_have_the_width_of_the_ring(self):
        for wrong in (b"", b"\x05\x05"):
            self.check(Fault.IDENTIFIER, id=MessageId(wrong, 1, 1))
            self.check(Fault.IDENTIFIER, limit=wrong)

    def test_a_time_is_finite(self):
        for created in (float("inf"), float("-inf"), float("nan")):
            self.check(Fault.TIME, created=created)
        self.check("", created=-1e300)

    def test_a_route_has_room_for_this_node_and_ends_at_the_sender(self):
        here = hop(5)
        for hops, fault in (
            ([], Fault.ROUTE), ([here], ""), ([hop(50)] * 4 + [here], ""),
            ([hop(50)] * 5 + [here], Fault.ROUTE), ([here, hop(6)], Fault.ROUTE_END),
        ):  # fmt: skip
            self.check(fault, hops=hops)

    def test_detours_lie_within_the_messages_and_end_at_the_sender(self):
        here = hop(5)
        for first, count, hops, fault in (
            (0, 1, [here], ""), (0, 3, [here], ""), (2, 1, [here], ""),
            (0, 1, [hop(50)] * 3 + [here], ""),
            (0, 1, [hop(50)] * 4 + [here], Fault.DETOURS),
            (-1, 2, [here], Fault.DETOURS), (0, 0, [here], Fault.DETOURS),
            (2, 2, [here], Fault.DETOURS), (3, 1, [here], Fault.DETOURS),
            (0, 4, [here], Fault.DETOURS), (1, -1, [here], Fault.DETOURS),
            (0, 1, [], Fault.DETOURS), (0, 1, [here, hop(6)], Fault.DETOURS),
        ):  # fmt: skip
            self.check(fault, 3, detours=[Detour(first, count, hops)])
        self.check(Fault.DETOURS, 3, detours=[Detour(0, 1, [here]), Detour(1, 1, [hop(6)])])
        self.check(Fault.DETOURS, 3, detours=[Detour(0, 1, [hop(6)]), Detour(1, 1, [here])])

    def test_bodies_are_as_many_as_was_said_and_no_longer_than_allowed_together(self):
        for bodies, count, fault in (
            ([b"x" * 10], 1, ""), ([b"x" * 4, b"x" * 6], 2, ""), ([b""], 1, ""),
            ([b"x" * 11], 1, Fault.BODY_SIZE), ([b"x" * 5, b"x" * 6], 2, Fault.BODY_SIZE),
            ([b"x"], 2, Fault.BODY_COUNT), ([b"x", b"x"], 1, Fault.BODY_COUNT),
        ):  # fmt: skip
            self.assertEqual(bodies_fault(bodies, count, self.ctx), fault, bodies)
        message = bcast(5, 50, EdgeKind.REASSIGN, header_only=True, bodies=[b"x" * 50])
        self.assertEqual(fault_of(message, ref(5), self.ctx), "", "a header has none")
        message = bcast(5, 50, bodies=[b"x" * 11])
        self.assertEqual(fault_of(message, ref(5), self.ctx), Fault.BODY_SIZE)
