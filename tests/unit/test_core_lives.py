"""How many new origins a node takes broadcasts of."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Record
from chordnet.core.base.messages import Ack, Bcast, EdgeKind, MessageId
from chordnet.core.log import lives
from chordnet.core.log.ledger import Ledger
from chordnet.core.log.lives import NewOrigins
from tests.unit.core_support import effects_of, make_context, raw, sent
from tests.unit.test_core_broadcast import NodeTestCase, bcast


class NewOriginsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ledger = Ledger(9)
        self.ctx = make_context()
        self.origins = NewOrigins(self.ctx, self.ledger)

    def take(self, sender: bytes, name: bytes, life: int, now: float) -> bool:
        self.ctx.now = now
        return self.origins.take(sender, MessageId(name, life, 1))

    def names(self, sender: bytes, count: int, now: float = 0.0) -> int:
        """Return how many of so many made-up names are taken of ``sender``."""
        names = (b"%s %f %d" % (sender, now, number) for number in range(count))
        return sum(self.take(sender, name, 1, now) for name in names)

    def test_one_peer_brings_so_many_at_once_and_so_many_a_second_and_others_as_many(self) -> None:
        self.assertEqual(self.names(b"s", 10_000), 4096)
        self.assertEqual(self.names(b"s", 1000, 1.0), 256)
        self.assertEqual(self.names(b"t", 10_000), 4096)
        self.assertEqual(self.names(b"s", 10_000, 1000.0), 4096)

    def test_one_name_has_so_many_lives_at_once_and_one_a_second_whoever_brings_them(self) -> None:
        def taken(now: float) -> int:
            at = int(now * 1000)
            return sum(self.take(b"%d" % n, b"name", at + n, now) for n in range(100))

        self.assertEqual(taken(0.0), 64)
        self.assertEqual(taken(5.0), 5)
        self.assertIs(self.take(b"1", b"other", 1, 5.0), True)

    def test_a_life_that_was_taken_is_taken_from_anybody_and_not_counted_again(self) -> None:
        for number in range(10_000):
            self.assertIs(self.take(b"%d" % (number % 5000), b"name", 1, 0.0), True)
        self.assertEqual(self.names(b"0", 9999), 4095)

    def test_an_origin_of_which_something_is_recorded_is_not_new(self) -> None:
        for life in range(1, 10):
            self.ledger.add(MessageId(b"name", life, 1))
        self.names(b"s", 5000)
        self.assertIs(self.take(b"s", b"name", 9, 0.0), True)
        self.assertIs(self.take(b"s", b"name", 10, 0.0), False)

    def test_what_is_refused_costs_neither_a_place_nor_a_life(self) -> None:
        self.names(b"s", 4096)
        for life in range(100):
            self.assertIs(self.take(b"s", b"name", life, 0.0), False)
        taken = [self.take(b"t", b"name", life, 0.0) for life in range(5000)]
        self.assertEqual(taken, [True] * 64 + [False] * 4936)
        self.assertEqual(self.names(b"t", 9999), 4096 - 64)

    def test_peers_that_brought_something_last_are_remembered_and_not_all_that_ever_did(
        self,
    ) -> None:
        for number in range(lives.MOST_REMEMBERED + 10):
            self.take(b"%d" % number, b"%d" % number, 1, 0.0)
        self.assertEqual(len(self.origins._taken), lives.MOST_REMEMBERED)
        for buckets in (self.origins._of_senders, self.origins._of_names):
            self.assertEqual(len(buckets._buckets), lives.MOST_REMEMBERED)
            self.assertNotIn(b"9", buckets._buckets)
            self.assertIn(b"10", buckets._buckets)


def of_life(life: int, sequence: int) -> Bcast:
    """Return a broadcast of one life of node 5."""
    return msgspec.structs.replace(
        bcast(5, 20, sequence=sequence), id=MessageId(raw(5), life, sequence)
    )


class BroadcastTests(NodeTestCase):
    def lives(self, first: int, end: int, sequence: int = 1) -> int:
        """Return how many broadcasts of different lives of node 5 are recorded."""
        recorded = 0
        for life in range(first, end):
            message = of_life(life, sequence)
            recorded += len(effects_of(self.step(5, message), Record))
        return recorded

    def test_a_node_that_starts_again_and_again_is_taken_seriously_64_times_and_once_a_second(
        self,
    ) -> None:
        self.assertEqual(self.lives(1, 200), 64)
        self.assertEqual(self.node.counters["broadcasts_refused"], 135)
        self.assertEqual(self.lives(1, 65, sequence=2), 64, "lives that are known go on")
        self.now = 3.0
        self.assertEqual(self.lives(300, 400), 3)

    def test_headers_of_a_new_origin_count_as_one_before_the_first_body_has_come(self) -> None:
        for sequence in range(1, 200):
            message = bcast(5, 20, EdgeKind.REASSIGN, header_only=True, sequence=sequence)
            self.assertEqual(len(sent(self.step(5, message), Ack)), 1)

    def test_what_is_refused_is_neither_answered_nor_passed_on(self) -> None:
        self.lives(1, 65)
        effects = self.step(5, of_life(99, 1))
        self.assertEqual(sent(effects), [])
        self.assertEqual(effects_of(effects, Record), [])
