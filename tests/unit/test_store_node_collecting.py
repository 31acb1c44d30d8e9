"""When a node collects what deleted and expired keys have left, and how much of it at a time."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.base.outcomes import Done, Found
from chordnet.core.store.base.records import EMPTY, Applied, Content, Record
from chordnet.core.store.base.requests import Get, Put
from tests.unit.store_node_support import FOUNDING, WALL, A, B, C, Network, Node

GONE = Content(None, 2, None, (Applied(2, b"r"),))
HERE = Ballot(1, 3, "A", 1)
TOMBSTONE = Record(HERE, HERE, GONE)
PROMISED = Record(HERE, NONE, EMPTY)


def keys(many: int) -> list[bytes]:
    return [b"%04d" % number for number in range(many)]


def three(records: dict[bytes, Record], *others: dict[bytes, Record]) -> Network:
    """Return three nodes that hold every slot, each with these records in slot 0."""
    having = [records, *(others or (records, records))]
    nodes = []
    for me, kept in zip((A, B, C), having, strict=True):
        found = tuple((0, key, record) for key, record in kept.items())
        near = tuple(each.node for each in (A, B, C) if each != me)
        disk = Kept(me.store, 1, FOUNDING, FOUNDING, (), found)
        node = Node(me, kept=disk, near=())
        node.near(*near, before=near[-1])
        nodes.append(node)
    network = Network(*nodes)
    network.deliver()
    return network


def left(network: Network, slot: int = 0) -> list[int]:
    """Return how many records each node has of a slot."""
    held = [node.formation.holdings.slots[slot] for node in network.nodes.values()]
    return [len(each.registers.records) for each in held]


class CollectingTests(SynchronousTestCase):
    def test_tombstones_are_dropped_by_all_members_after_a_minute(self) -> None:
        network = three(dict.fromkeys(keys(300), TOMBSTONE))
        network.wait(69.0, 0.5)
        self.assertEqual(left(network), [300, 300, 300])
        network.wait(3.0, 0.05)
        self.assertEqual(left(network), [0, 0, 0])
        first = network.nodes["A"].formation.collecting
        self.assertEqual(first.dropped, 300)
        self.assertEqual(network.nodes["B"].formation.collecting.dropped, 0)

    def test_tombstones_of_a_slot_stay_while_a_member_is_away(self) -> None:
        network = three({b"k": TOMBSTONE})
        network.down.add("C")
        network.wait(150.0, 0.5)
        self.assertEqual(left(network)[:2], [1, 1])

    def test_a_tombstone_that_one_member_lacks_is_given_to_it_and_dropped_later(self) -> None:
        network = three({b"k": TOMBSTONE}, {b"k": TOMBSTONE}, {})
        network.wait(30.0, 0.5)
        self.assertEqual(left(network), [1, 1, 1])
        network.wait(130.0, 0.5)
        self.assertEqual(left(network), [0, 0, 0])

    def test_what_was_only_promised_is_dropped_even_if_another_member_is_away(self) -> None:
        network = three({b"k": PROMISED})
        network.down.add("C")
        network.wait(75.0, 0.5)
        self.assertEqual(left(network)[:2], [0, 0])

    def test_a_member_of_the_second_rank_leads_half_a_minute_later(self) -> None:
        network = three({}, {b"k": TOMBSTONE}, {})
        for name in ("A", "C"):
            registers = network.nodes[name].formation.holdings.slots[0].registers
            registers.on_accept("B", msg.Accept(at(name), 0, b"k", HERE, GONE))
            registers.drop([(b"k", HERE)])
        network.wait(99.0, 0.5)
        self.assertEqual(left(network), [0, 1, 0])
        network.wait(5.0, 0.05)
        self.assertEqual(left(network), [0, 0, 0])

    def test_what_was_not_answered_is_asked_about_in_a_later_round(self) -> None:
        network = three({b"k": TOMBSTONE})
        node = network.nodes["A"]
        node.wait(71.0)
        self.assertEqual(node.to(msg.Collect), ["B", "C"])
        node.wait(1.5)
        self.assertEqual(node.to(msg.Collect), [])
        node.wait(12.0)
        self.assertEqual(node.to(msg.Collect), ["B", "C"])

    def test_a_value_that_has_expired_is_deleted_and_collected_though_nobody_asks_for_it(self):
        network = three({})
        node = network.nodes["B"]
        node.ask(1, Put(b"lease", b"v", b"r", expires=node.now + WALL + 5.0))
        network.deliver()
        self.assertIsInstance(node.outcomes[1], Done)
        network.wait(40.0, 0.1)
        stocks = [each.machine.stock[0] for each in network.nodes.values()]
        self.assertEqual(stocks, [0, 0, 0])
        network.wait(120.0, 0.5)
        view = network.nodes["A"].machine.view()
        self.assertEqual(sum(slot.deleted for slot in view.slots), 0)
        node.ask(2, Get(b"lease"))
        network.deliver()
        self.assertEqual(node.outcomes[2], Found(EMPTY))
        node.ask(3, Put(b"lease", b"again", b"s"))
        network.wait(1.0)
        self.assertEqual(getattr(node.outcomes[3], "version", None), 3)


def at(name: str) -> msg.Address:
    member = {"A": A, "B": B, "C": C}[name]
    return msg.Address(FOUNDING.id, 0, 1, 1, member.store)
