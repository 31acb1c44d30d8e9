"""What is counted of a store: each operation once, with its time; letters, entries and holdings."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import NotInRing
from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.configurations import Head
from chordnet.core.store.base.effects import AllDropped, HeadKept, Keep, RecordKept
from chordnet.core.store.base.outcomes import (
    Conflict,
    Done,
    Found,
    Outcome,
    Unavailable,
    Unconfirmed,
    Untold,
)
from chordnet.core.store.base.records import EMPTY, Applied, Content, Record
from chordnet.core.store.base.requests import Get, Put
from chordnet.net.base.journal import Journal
from chordnet.net.store.counts import StoreCounts, held
from tests.unit.store_node_support import FIRST, FORMATION, A, Node

BALLOT = Ballot(1, 1, "A", 1)
CONTENT = Content(b"value", 1, None, (Applied(1, b"r"),))
ENDS: tuple[tuple[Get | Put, Outcome | NotInRing, str], ...] = (
    (Get(b"k"), Found(CONTENT), "get_value"),
    (Get(b"k"), Found(EMPTY), "get_absent"),
    (Get(b"k"), Unavailable(1, (), 3), "get_unavailable"),
    (Put(b"k", b"v", b"r"), Done(FORMATION, 0, 1, 1, (A,), ()), "put_done"),
    (Put(b"k", b"v", b"r"), Conflict(CONTENT), "put_conflict"),
    (Put(b"k", None, b"r"), Unconfirmed(0), "delete_unconfirmed"),
    (Put(b"k", None, b"r"), Untold(), "delete_untold"),
    (Put(b"k", b"v", b"r"), NotInRing("it has ended"), "put_failed"),
)
"""An operation, how it ends, and the name under which that is counted."""


class CountedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.journal = Journal(self.clock.seconds)
        self.counts = StoreCounts(self.journal, self.clock.seconds)

    @property
    def numbers(self) -> dict[str, int]:
        return self.journal.counters.named()

    def took(self, seconds: float, op: int = 1) -> None:
        self.counts.began(op, Get(b"k"))
        self.clock.advance(seconds)
        self.counts.ended(op, Found(EMPTY))

    def test_each_operation_is_counted_once_by_what_it_was_and_how_it_ended(self) -> None:
        for op, (asked, outcome, _name) in enumerate(ENDS):
            self.counts.began(op, asked)
            self.counts.ended(op, outcome)
        names = {f"key_operations_{name}": 1 for _asked, _outcome, name in ENDS}
        found = {k: n for k, n in self.numbers.items() if k.startswith("key_operations_")}
        self.assertEqual(found, names)

    def test_times_are_added_up_in_microseconds(self) -> None:
        self.took(0.25)
        self.took(0.5, op=2)
        self.assertEqual(self.numbers["key_microseconds_get"], 750_000)

    def test_an_operation_counts_for_the_first_bound_that_it_keeps(self) -> None:
        for seconds, within in ((0.0, "1ms"), (0.001, "1ms"), (0.002, "3ms"), (3.0, "3s")):
            before = self.numbers.get(f"key_latency_get_{within}", 0)
            self.took(seconds)
            self.assertEqual(self.numbers[f"key_latency_get_{within}"], before + 1)
        self.took(3.5)
        self.assertEqual(self.numbers["key_latency_get_longer"], 1)

    def test_letters_are_counted_with_their_bytes_by_their_way(self) -> None:
        self.counts.sent(b"12345")
        self.counts.received(b"123")
        self.counts.received(b"1")
        expected = {
            "letters_sent": 1,
            "letter_bytes_sent": 5,
            "letters_received": 2,
            "letter_bytes_received": 4,
        }
        self.assertEqual(self.numbers, expected)

    def test_entries_on_disk_are_counted_and_the_configurations_that_come_with_them(self) -> None:
        head, record = Head(FORMATION, 0, FIRST), Record(BALLOT, BALLOT, CONTENT)
        self.counts.keeps(Keep((RecordKept(0, b"k", record),)))
        self.counts.keeps(Keep((HeadKept(head),)))
        self.assertEqual(self.numbers, {"store_entries": 2})
        self.counts.keeps(Keep((HeadKept(head), AllDropped(0), RecordKept(0, b"k", record))))
        self.assertEqual(self.numbers, {"store_entries": 5, "store_installed": 1})

    def test_a_slot_that_is_given_up_is_no_configuration_that_is_installed(self) -> None:
        emptied = Head(FORMATION, 0, FIRST, sealed=True, emptied=True)
        self.counts.keeps(Keep((HeadKept(emptied), AllDropped(0))))
        self.assertEqual(self.numbers, {"store_entries": 2})


class HeldTests(SynchronousTestCase):
    def test_what_a_store_holds_is_told_by_the_names_of_the_metrics(self) -> None:
        node = Node()
        held_ = node.formation.holdings.slots[0].registers
        held_.records[b"gone"] = Record(BALLOT, BALLOT, EMPTY)
        held_.records[b"k"] = Record(BALLOT, BALLOT, CONTENT)
        held_.stock.add(b"k", held_.records[b"k"], 1)
        node.formation.asking.look_up(b"k")
        expected = {
            "store_slots": 4,
            "store_records": 2,
            "store_keys": 1,
            "store_bytes": 6,
            "store_repairs": 1,
        }
        self.assertEqual(held(node.machine), expected)

    def test_a_node_without_a_formation_holds_nothing(self) -> None:
        node = Node(founding=None, near=())
        self.assertEqual(set(held(node.machine).values()), {0})
