"""The gate: of every field of every message, what an honest node never sends is refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, product
from random import Random
from typing import Any, get_args

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import Hop, MessageId, NodeRef, RingLabel, Status
from chordnet.core.base.naming import Names
from chordnet.core.base.outcomes import Fault
from chordnet.core.kernel.checks import (
    CACHE_BYTES,
    Checks,
    is_message_id,
    is_origin_state,
    is_range,
)
from chordnet.core.node import ChordNode, real_node

SPACE = IdentifierSpace(160)
CONFIG = ProtocolConfig()


def raw(name: str) -> bytes:
    return SPACE.raw(SPACE.hash(name.encode()))


def node(number: int = 1, **changes: Any) -> NodeRef:
    name = f"Node {number}"
    return replace(NodeRef(raw(name), 7, f"10.0.0.{number}:7001", name), **changes)


def hop(number: int = 1, **changes: Any) -> Hop:
    return replace(Hop(raw(f"Node {number}"), f"Node {number}", 2), **changes)


def named(name: str) -> NodeRef:
    """A pointer whose identifier fits its name, whatever that is."""
    return NodeRef(raw(name), 7, "10.0.0.1:7001", name)


def hop_named(name: str) -> Hop:
    return Hop(raw(name), name, 2)


KEY = raw("some key")
SHORT, LONG = KEY[:-1], KEY + b"\0"
LABEL = RingLabel(0, 5)
MID = MessageId(raw("Node 1"), 7, 3)
DETOUR = msg.Detour(0, 1, [hop(2), hop(1)])

CHAIN = [b"c" * 4096, b"i" * 4096]
SEAL = msg.Seal(CHAIN, bytes(64))
PROOF = msg.Proof(3, 256, bytes(64), bytes(32), [bytes(32)] * 32, CHAIN)


def witness(number: int, **changes: Any) -> msg.Witness:
    name = f"Node {number}"
    return replace(msg.Witness(raw(name), name, 7, bytes(64), CHAIN), **changes)


GOOD: dict[type, Any] = {
    msg.Ping: msg.Ping(1),
    msg.Pong: msg.Pong(1, 3),
    msg.GetState: msg.GetState(1, 3),
    msg.State: msg.State(1, 3, LABEL, node(1), [node(2), node(3)], node(4), 5),
    msg.Notify: msg.Notify(),
    msg.Changed: msg.Changed(),
    msg.Leaving: msg.Leaving(node(1), [node(2)]),
    msg.FingerHint: msg.FingerHint(node(1), True, KEY, KEY, 9),
    msg.TryMerge: msg.TryMerge(node(1), 9),
    msg.Find: msg.Find(1, node(1), KEY, 1, [node(2)], 9, False),
    msg.Found: msg.Found(1, node(1), [node(2)], LABEL),
    msg.FindFailed: msg.FindFailed(1, "Node 1 is in no ring"),
    msg.FindNext: msg.FindNext(1, KEY, 1, [KEY], False),
    msg.Next: msg.Next(1, False, [node(1)], False, LABEL),
    msg.Bcast: msg.Bcast(MID, 1, 1.0, 9, KEY, 2, [hop(1), hop(2)], [b"x"], [DETOUR]),
    msg.Ack: msg.Ack(MID, KEY, False),
    msg.Bodies: msg.Bodies(MID, [b"x"]),
    msg.Covered: msg.Covered(MID, KEY, 3, 3, 2, False, [node(1)]),
    msg.Compare: msg.Compare(5),
    msg.Caught: msg.Caught(MID, 1.0, [hop(1)], b"x"),
    msg.MarkedBcast: msg.MarkedBcast(
        MID, 1, 1.0, 9, KEY, 2, [hop(1), hop(2)], [b"x"], [DETOUR], b"", SEAL, 2
    ),
    msg.MarkedCovered: msg.MarkedCovered(
        MID, KEY, 3, 3, 2, False, [node(1)], 0, 0, [witness(3), witness(4, signature=b"", chain=[])]
    ),
    msg.MarkedCaught: msg.MarkedCaught(MID, 1.0, [hop(1)], b"x", PROOF),
}

WRONG_SIGNED = (
    {"chain": [b"c"] * 3},
    {"chain": [b"c" * 4097]},
    {"signature": bytes(63)},
    {"signature": bytes(65)},
    {"signature": b""},
)
WRONG_NUMBERS = (-1, 1 << 62, 1 << 63, (1 << 64) - 1)
HUGE = 1 << 62
WRONG_NODES = [
    (named(""), Fault.WRONG_NODE),
    (named("x" * 256), Fault.WRONG_NODE),
    (named("Node\n1"), Fault.WRONG_NODE),
    (named("Node\x1b[2J"), Fault.WRONG_NODE),
    (named("Node\x85"), Fault.WRONG_NODE),
    (named("\u202e1 edoN"), Fault.WRONG_NODE),
    (named("Node\u20661"), Fault.WRONG_NODE),
    (node(1, raw=raw("Node 2")), Fault.WRONG_NODE),
    (node(1, raw=b""), Fault.WRONG_IDENTIFIER),
    (node(1, raw=SHORT), Fault.WRONG_IDENTIFIER),
    (node(1, raw=LONG), Fault.WRONG_IDENTIFIER),
    (node(1, incarnation=-1), Fault.WRONG_NUMBER),
    (node(1, incarnation=HUGE), Fault.WRONG_NUMBER),
    (node(1, address=""), Fault.WRONG_NODE),
    (node(1, address="nowhere"), Fault.WRONG_NODE),
    (node(1, address="host:0"), Fault.WRONG_NODE),
    (node(1, address="host:65536"), Fault.WRONG_NODE),
    (node(1, address="host:" + "1" * 5000), Fault.WRONG_NODE),
    (node(1, address="tcp:host:1"), Fault.WRONG_NODE),
    (node(1, address="a..b:1"), Fault.WRONG_NODE),
    (node(1, address="x" * 64 + ".org:1"), Fault.WRONG_NODE),
    (node(1, address="x." * 200 + "org:1"), Fault.WRONG_NODE),
    (node(1, address="ho\x07st:1"), Fault.WRONG_NODE),
    (node(1, address="ho\0st:1"), Fault.WRONG_NODE),
    (node(1, address="\u202ehost:1"), Fault.WRONG_NODE),
]
WRONG_HOPS = [
    (hop_named(""), Fault.WRONG_NODE),
    (hop_named("x" * 255_000), Fault.WRONG_NODE),
    (hop_named("Node\n1"), Fault.WRONG_NODE),
    (hop_named("Node\x9b2J"), Fault.WRONG_NODE),
    (hop_named("\u202e1 edoN"), Fault.WRONG_NODE),
    (hop(1, raw=raw("Node 2")), Fault.WRONG_NODE),
    (hop(1, raw=SHORT), Fault.WRONG_IDENTIFIER),
    (hop(1, raw=LONG), Fault.WRONG_IDENTIFIER),
    (hop(1, kind=-1), Fault.WRONG_NUMBER),
    (hop(1, kind=7), Fault.WRONG_NUMBER),
]

NUMBERS = {
    msg.Ping: {"rid": WRONG_NUMBERS},
    msg.Pong: {"rid": WRONG_NUMBERS, "status": (-1, len(Status), HUGE)},
    msg.GetState: {"rid": WRONG_NUMBERS, "status": (-1, len(Status), HUGE)},
    msg.State: {"rid": WRONG_NUMBERS, "status": (-1, len(Status), HUGE), "digest": (-1, 1 << 64)},
    msg.FingerHint: {"ttl": (-1, 65, HUGE)},
    msg.TryMerge: {"ttl": (-1, 4097, HUGE)},
    msg.Find: {"lookup": WRONG_NUMBERS, "kind": (-1, 2), "ttl": (-1, 256, HUGE)},
    msg.Found: {"lookup": WRONG_NUMBERS},
    msg.FindFailed: {"lookup": WRONG_NUMBERS},
    msg.FindNext: {"rid": WRONG_NUMBERS, "kind": (-1, 2)},
    msg.Next: {"rid": WRONG_NUMBERS},
    msg.Bcast: {"ttl": (-1, 256, HUGE), "kind": (-1, 7)},
    msg.Covered: {
        "count": (-1, 1 << 31), "messages": (-1, 1 << 31), "depth": (-1, 1 << 31),
        "conflict": (-1, 1 << 31), "lost": (-1, 1 << 31),
    },
    msg.Compare: {"digest": (-1, 1 << 64)},
    msg.MarkedBcast: {"ttl": (-1, 256, HUGE), "kind": (-1, 7), "ask": (-1, 3, HUGE)},
    msg.MarkedCovered: {"count": (-1, 1 << 31), "lost": (-1, 1 << 31)},
}  # fmt: skip
IDENTIFIERS = {
    msg.FingerHint: ("low", "high"),
    msg.Find: ("key",),
    msg.FindNext: ("key",),
    msg.Ack: ("limit",),
    msg.Covered: ("limit",),
    msg.MarkedCovered: ("limit",),
}
ONE_POINTER = {
    msg.State: ("predecessor", "candidate"),
    msg.Leaving: ("predecessor",),
    msg.FingerHint: ("subject",),
    msg.TryMerge: ("candidate",),
    msg.Find: ("origin",),
    msg.Found: ("node",),
}
POINTERS = {
    msg.State: {"successors": 64},
    msg.Leaving: {"successors": 64},
    msg.Find: {"path": 160},
    msg.Found: {"path": 160},
    msg.Next: {"nodes": 64},
    msg.Covered: {"unreached": 32},
    msg.MarkedCovered: {"unreached": 32},
}
"""The lists of pointers, and how long each may be."""
LABELS = (msg.State, msg.Found, msg.Next)
RIGHT_LABELS = (None, RingLabel(0, 0), RingLabel(HUGE - 1, (1 << 63) - 1))
WRONG_LABELS = (RingLabel(-1, 5), RingLabel(HUGE, 5), RingLabel(0, -1), RingLabel(0, 1 << 63))


Case = tuple[type, str, Any, str]


def wrong_scalars() -> Iterator[Case]:
    for kind, fields in NUMBERS.items():
        for field, values in fields.items():
            yield from ((kind, field, value, Fault.WRONG_NUMBER) for value in values)
    for kind, names in IDENTIFIERS.items():
        for field, value in product(names, (b"", SHORT, LONG)):
            yield kind, field, value, Fault.WRONG_IDENTIFIER
    for kind, label in product(LABELS, WRONG_LABELS):
        yield kind, "label", label, Fault.WRONG_NUMBER
    yield msg.FindNext, "exclude", [KEY, SHORT], Fault.WRONG_IDENTIFIER
    yield msg.FindNext, "exclude", [KEY] * 65, Fault.TOO_LONG
    yield msg.FindFailed, "reason", "x" * 501, Fault.TOO_LONG
    yield msg.FindFailed, "reason", "no\nring", Fault.TOO_LONG


def wrong_pointers() -> Iterator[Case]:
    for kind, names in ONE_POINTER.items():
        for field, (value, fault) in product(names, WRONG_NODES):
            yield kind, field, value, fault
    for kind, lists in POINTERS.items():
        for (field, most), (value, fault) in product(lists.items(), WRONG_NODES):
            yield kind, field, [node(5), value], fault
            yield kind, field, [value, node(5)], fault
            yield kind, field, [node(5)] * (most + 1), Fault.TOO_LONG


def wrong_routes() -> Iterator[Case]:
    for kind in (msg.Bcast, msg.Caught, msg.MarkedBcast, msg.MarkedCaught):
        for value, fault in WRONG_HOPS:
            yield kind, "hops", [hop(5), value], fault
            yield kind, "hops", [value, hop(5)], fault
        yield kind, "hops", [hop(5)] * 161, Fault.TOO_LONG
    for value, fault in WRONG_HOPS:
        yield msg.Bcast, "detours", [DETOUR, msg.Detour(0, 1, [value, hop(1)])], fault
    yield msg.Bcast, "detours", [msg.Detour(0, 1, [hop(1)] * 100)] * 2, Fault.TOO_LONG
    yield msg.Bcast, "detours", [msg.Detour(0, 1, [])] * 161, Fault.TOO_LONG


def wrong_marks() -> Iterator[Case]:
    for change in WRONG_SIGNED:
        yield msg.MarkedBcast, "seal", replace(SEAL, **change), Fault.TOO_LONG
        yield msg.MarkedCaught, "proof", replace(PROOF, **change), Fault.TOO_LONG
        yield msg.MarkedCovered, "witnesses", [witness(2, **change)], Fault.TOO_LONG
    for field, value in product(("first", "count"), (0, *WRONG_NUMBERS)):
        yield msg.MarkedCaught, "proof", replace(PROOF, **{field: value}), Fault.WRONG_NUMBER
    for certificate in (b"", bytes(31), bytes(33)):
        yield msg.MarkedCaught, "proof", replace(PROOF, certificate=certificate), Fault.TOO_LONG
    for path in ([bytes(32)] * 33, [bytes(31)], [bytes(32), b""]):
        yield msg.MarkedCaught, "proof", replace(PROOF, path=path), Fault.TOO_LONG
    few = {"signature": b"", "chain": []}
    for number in WRONG_NUMBERS:
        wrong = [witness(2, incarnation=number, **few)]
        yield msg.MarkedCovered, "witnesses", wrong, Fault.WRONG_NUMBER
    for one, fault in ((hop(1, raw=SHORT), Fault.WRONG_IDENTIFIER), *WRONG_HOPS[:5]):
        wrong = [witness(2), witness(3, raw=one.raw, name=one.name, **few)]
        too_long = len(one.name) > 255
        yield msg.MarkedCovered, "witnesses", wrong, Fault.TOO_LONG if too_long else fault
    yield msg.MarkedCovered, "witnesses", [witness(2, **few)] * 1025, Fault.TOO_LONG
    yield msg.MarkedCovered, "witnesses", [witness(2)] * 20, Fault.TOO_LONG


def wrong() -> Iterator[tuple[str, Any, str]]:
    """Every wrong message: what of it is wrong, itself, and the complaint expected."""
    for kind, field, value, fault in chain(
        wrong_scalars(), wrong_pointers(), wrong_routes(), wrong_marks()
    ):
        what = f"{kind.__name__}.{field} = {value!r}"[:150]
        yield what, replace(GOOD[kind], **{field: value}), fault


class TableTests(SynchronousTestCase):
    def setUp(self):
        self.checks = Checks(CONFIG, SPACE, Names(SPACE))

    def test_what_honest_nodes_send_passes_also_a_second_time(self):
        for _ in range(2):
            for message in GOOD.values():
                self.assertEqual(self.checks.fault(message), "", message)

    def test_every_message_with_one_wrong_field_is_refused_with_the_reason(self):
        for what, message, fault in wrong():
            self.assertEqual(self.checks.fault(message), fault, what)

    def test_a_wrong_field_is_refused_though_the_same_node_was_found_good_before(self):
        for message in GOOD.values():
            self.checks.fault(message)
        for what, message, fault in wrong():
            self.assertEqual(self.checks.fault(message), fault, what)

    def test_every_message_that_names_nodes_or_numbers_is_in_this_table(self):
        here = {*NUMBERS, *IDENTIFIERS, *ONE_POINTER, *POINTERS, msg.Caught, msg.MarkedCaught}
        elsewhere = {msg.Bodies, msg.Have, msg.Want, msg.Lost, msg.Given, msg.Notify, msg.Changed}
        elsewhere.add(msg.StoreMail)  # the store reads its letters itself
        self.assertEqual(here | elsewhere, set(get_args(msg.PeerMessage)))

    def test_the_smallest_and_the_largest_number_that_is_not_wrong_passes(self):
        for kind, fields in NUMBERS.items():
            for field, values in fields.items():
                beyond = min(each for each in values if each > 0)
                for value in (0, (beyond if field == "digest" else min(beyond, HUGE)) - 1):
                    message = replace(GOOD[kind], **{field: value})
                    self.assertEqual(self.checks.fault(message), "", (kind, field, value))

    def test_lists_may_be_as_long_as_honest_ones(self):
        for kind, lists in POINTERS.items():
            for field, most in lists.items():
                message = replace(GOOD[kind], **{field: [node(5)] * most})
                self.assertEqual(self.checks.fault(message), "", field)

    def test_routes_may_be_as_long_as_honest_ones_whether_their_hops_are_known_or_not(self):
        for kind in (msg.Bcast, msg.Caught):
            checks = Checks(CONFIG, SPACE, Names(SPACE))
            for _ in range(2):
                message = replace(GOOD[kind], hops=[hop(5)] * 160)
                self.assertEqual(checks.fault(message), "", kind)
            for _ in range(2):
                message = replace(GOOD[kind], hops=[hop(5)] * 161)
                self.assertEqual(checks.fault(message), Fault.TOO_LONG, kind)

    def test_all_detours_together_may_be_as_many_and_as_long_as_a_route(self):
        for lengths, fault in (
            ((80, 80), ""),
            ((80, 81), Fault.TOO_LONG),
            ((0,) * 160, ""),
            ((0,) * 161, Fault.TOO_LONG),
        ):
            detours = [msg.Detour(0, 1, [hop(1)] * length) for length in lengths]
            message = replace(GOOD[msg.Bcast], detours=detours)
            self.assertEqual(self.checks.fault(message), fault, lengths[:2])

    def test_what_is_at_its_limit_passes(self):
        for kind, field, value in (
            (msg.FindNext, "exclude", [KEY] * 64),
            (msg.FindFailed, "reason", "x" * 500),
            (msg.Found, "node", node(1, incarnation=0)),
            (msg.Found, "node", node(1, incarnation=HUGE - 1)),
            (msg.Caught, "hops", [hop(1, kind=0), hop(2, kind=6)]),
            *((kind, "label", label) for kind, label in product(LABELS, RIGHT_LABELS)),
        ):
            message = replace(GOOD[kind], **{field: value})
            self.assertEqual(self.checks.fault(message), "", (kind, field))

    def test_a_ring_with_a_longer_way_to_live_may_send_messages_that_far(self):
        checks = Checks(ProtocolConfig(max_hops=300, max_route=400), SPACE, Names(SPACE))
        for ttl, fault in ((300, ""), (301, Fault.WRONG_NUMBER)):
            for kind in (msg.Find, msg.Bcast):
                self.assertEqual(checks.fault(replace(GOOD[kind], ttl=ttl)), fault, kind)

    def test_a_ring_with_longer_successor_lists_may_tell_them(self):
        config = ProtocolConfig(successors=100)
        message = replace(GOOD[msg.State], successors=[node(5)] * 200)
        self.assertEqual(Checks(config, SPACE, Names(SPACE)).fault(message), "")
        self.assertEqual(self.checks.fault(message), Fault.TOO_LONG)
        message = replace(GOOD[msg.State], successors=[node(5)] * 201)
        self.assertEqual(Checks(config, SPACE, Names(SPACE)).fault(message), Fault.TOO_LONG)

    def test_a_page_of_a_ledger_lies_between_two_origins_that_may_be(self):
        state = msg.OriginState(KEY, 1, [1, 2])
        for change, fault in (
            ({}, ""), ({"after": []}, ""), ({"last": []}, ""), ({"origins": [state] * 16_384}, ""),
            ({"origins": [state] * 16_385}, Fault.TOO_LONG),
            ({"after": [(KEY, 0)] * 2}, Fault.TOO_LONG),
            ({"last": [(KEY, 0)] * 2}, Fault.TOO_LONG),
            ({"after": [(SHORT, 0)]}, Fault.WRONG_IDENTIFIER),
            ({"last": [(LONG, 0)]}, Fault.WRONG_IDENTIFIER), ({"after": [(KEY, 0)]}, ""),
            ({"last": [(KEY, HUGE - 1)]}, ""), ({"after": [(KEY, -1)]}, Fault.WRONG_NUMBER),
            ({"last": [(KEY, HUGE)]}, Fault.WRONG_NUMBER),
        ):  # fmt: skip
            page = replace(msg.Have([(KEY, 1)], [(KEY, 2)], [state]), **change)
            self.assertEqual(self.checks.fault(page), fault, {k: v[:2] for k, v in change.items()})

    def test_ranges_that_are_asked_for_or_not_kept_may_be_256(self):
        for kind in (msg.Want, msg.Lost):
            for count, end, fault in (
                (256, 2, ""), (257, 2, Fault.TOO_LONG), (1, 1, Fault.WRONG_NUMBER),
            ):  # fmt: skip
                message = kind([msg.Range(KEY, 1, 1, end)] * count)
                self.assertEqual(self.checks.fault(message), fault, (kind, count, end))


class NumberTests(SynchronousTestCase):
    """Ids and ranges of messages, which broadcast and anti-entropy check themselves."""

    def test_an_id_has_an_origin_a_life_and_a_number_that_may_be(self):
        for origin, incarnation, sequence, may_be in (
            (KEY, 0, 1, True), (KEY, HUGE - 1, HUGE - 1, True), (KEY, -1, 1, False),
            (KEY, HUGE, 1, False), (KEY, 1, 0, False), (KEY, 1, HUGE, False), (SHORT, 1, 1, False),
        ):  # fmt: skip
            found = is_message_id(MessageId(origin, incarnation, sequence), SPACE)
            self.assertEqual(found, may_be, (incarnation, sequence))

    def test_what_is_known_of_an_origin_are_intervals_of_numbers_that_may_be(self):
        for origin, incarnation, known, may_be in (
            (KEY, 0, [1, 2], True), (KEY, HUGE - 1, [1, HUGE], True), (KEY, 1, [], True),
            (KEY, -1, [1, 2], False), (KEY, HUGE, [1, 2], False), (KEY, 1, [1, HUGE + 1], False),
            (KEY, 1, [0, 2], False), (LONG, 1, [1, 2], False),
        ):  # fmt: skip
            found = is_origin_state(msg.OriginState(origin, incarnation, known), SPACE)
            self.assertEqual(found, may_be, (incarnation, known))

    def test_a_range_is_not_empty_and_has_numbers_that_may_be(self):
        for origin, incarnation, first, end, may_be in (
            (KEY, 0, 1, 2, True), (KEY, HUGE - 1, 1, HUGE, True), (KEY, -1, 1, 2, False),
            (KEY, HUGE, 1, 2, False), (KEY, 1, 0, 2, False), (KEY, 1, 2, 2, False),
            (KEY, 1, 3, 2, False), (KEY, 1, 1, HUGE + 1, False), (b"", 1, 1, 2, False),
        ):  # fmt: skip
            found = is_range(msg.Range(origin, incarnation, first, end), SPACE)
            self.assertEqual(found, may_be, (incarnation, first, end))


class UncheckedNameTests(SynchronousTestCase):
    """Without the rules for names, all of them are accepted, and nothing else."""

    def test_any_name_and_address_is_accepted(self):
        gate = Checks(CONFIG, SPACE)
        for what, message, fault in wrong():
            expected = "" if fault == Fault.WRONG_NODE else fault
            self.assertEqual(gate.fault(message), expected, what)

    def test_identifiers_of_a_width_that_is_no_whole_byte_are_checked(self):
        space = IdentifierSpace(6)
        gate = Checks(ProtocolConfig(bits=6), space)
        ref = NodeRef(b"\x3f", 1, "a", "a")
        self.assertTrue(gate.accepts(ref))
        self.assertFalse(gate.accepts(replace(ref, raw=b"\x40")))
        for value, fault in ((b"\x3f", ""), (b"\x40", Fault.WRONG_IDENTIFIER)):
            route = replace(GOOD[msg.Caught], hops=[Hop(value, "a", 1)])
            report = replace(GOOD[msg.Covered], limit=value, unreached=[])
            self.assertEqual([gate.fault(route), gate.fault(report)], [fault, fault])


class CacheTests(SynchronousTestCase):
    class Counting(Names):
        asked = 0

        def identifier(self, name):
            self.asked += 1
            return super().identifier(name)

    def test_a_node_that_was_found_good_is_not_looked_into_again(self):
        names = self.Counting(SPACE)
        gate = Checks(CONFIG, SPACE, names)
        for _ in range(3):
            gate.fault(GOOD[msg.Leaving])
        self.assertEqual(names.asked, 2)

    def test_what_is_remembered_is_bounded_in_bytes(self):
        gate = Checks(CONFIG, SPACE, Names(SPACE))
        most = 0
        for number in range(3000):
            ref = named("x" * 240 + f"{number:04}")
            self.assertTrue(gate.accepts(ref))
            most = max(most, gate.remembered)
        self.assertLessEqual(most, CACHE_BYTES)
        self.assertGreater(most, CACHE_BYTES // 2)

    def test_what_is_remembered_costs_four_bytes_a_letter_and_400(self):
        gate = Checks(CONFIG, SPACE, Names(SPACE))
        gate.accepts(named("x" * 10))
        self.assertEqual(gate.remembered, 4 * (10 + len("10.0.0.1:7001")) + 400)
        gate.fault(replace(GOOD[msg.Caught], hops=[hop_named("y" * 7)]))
        self.assertEqual(gate.remembered, 492 + 4 * 7 + 400)

    def test_the_room_is_used_up_to_its_last_byte_before_all_is_forgotten(self):
        gate = Checks(CONFIG, SPACE, Names(SPACE))
        for number in range(1024):
            gate.accepts(named(f"{number:0143}"))
            self.assertEqual(gate.remembered, (number + 1) * 1024)
        gate.accepts(named("x" * 143))
        self.assertEqual(gate.remembered, 1024)

    def test_nodes_that_are_refused_take_no_room(self):
        gate = Checks(CONFIG, SPACE, Names(SPACE))
        for _what, message, _fault in wrong():
            gate.fault(message)
        known = gate.remembered
        for _ in range(100):
            gate.accepts(node(1, raw=raw("Node 2")))
            gate.accepts(node(1, address="a..b:1"))
        self.assertEqual(gate.remembered, known)


class NodeTests(SynchronousTestCase):
    def alone(self) -> ChordNode:
        me = real_node(CONFIG, node(9), Random(1))
        me.step(ev.Start([], []), 0.0)
        return me

    def test_a_node_does_nothing_with_what_is_refused_but_say_so(self):
        me = self.alone()
        me.step(ev.Received(node(2), msg.Ping(1)), 1.0)
        for what, message, fault in wrong():
            effects = me.step(ev.Received(node(2), message), 1.0)
            self.assertEqual(effects, [fx.Misbehaved(node(2), fault)], what)

    def test_known_peers_from_the_disk_that_cannot_be_nodes_are_left_out(self):
        me = real_node(CONFIG, node(9), Random(1))
        me.step(ev.Start([], [node(1), node(2, address="a..b:1"), node(3, raw=raw("x"))]), 0.0)
        self.assertEqual(me.ctx.peers.known, [node(1)])
