"""Rows of the message log on disk: what they weigh, which are sound, and which nobody wrote."""

from __future__ import annotations

import zlib

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Record
from chordnet.core.base.messages import Hop, LedgerState, MessageId
from chordnet.storage.base.paging import KeptMessage
from chordnet.storage.base.rows import SpoiledRow, checksum, encode, is_sound
from chordnet.storage.log.rows import (
    body_bytes,
    encoded_rows,
    id_prefix,
    kept_message,
    known_from,
    ledger_row,
    ledger_state,
    row_bytes,
)
from chordnet.storage.log.table import _not_after

ORIGIN = bytes(range(20))
FARTHEST = 1 << 62
"""No number of a message is as high."""


def kept(sequence: int, route: list[Hop], body: bytes = b"body") -> KeptMessage:
    return KeptMessage(sequence, 2.5, Record(MessageId(ORIGIN, 3, sequence), 1.5, body, route))


class MessageRowTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.route = [Hop(ORIGIN, "one", 0)]
        self.messages = [kept(1, self.route), kept(2, self.route, b"longer")]
        self.rows, self.encoded = encoded_rows(self.messages)

    def test_messages_are_read_as_they_were_written(self) -> None:
        for message, row in zip(self.messages, self.rows, strict=True):
            self.assertTrue(is_sound(row))
            found = kept_message(row)
            self.assertEqual((found.position, found.received_at), (message.position, 2.5))
            self.assertEqual(found.record, message.record)
            self.assertIs(is_sound((*row[:-1], row[-1] ^ 1)), False)
            self.assertIs(is_sound((row[0], row[1], 1.25, *row[3:])), False)

    def test_each_message_comes_with_the_bytes_that_its_checksum_is_taken_over(self) -> None:
        self.assertEqual([zlib.crc32(each) for each in self.encoded], [r[-1] for r in self.rows])

    def test_messages_that_travelled_together_share_the_bytes_of_one_route(self) -> None:
        self.assertIs(self.rows[0][4], self.rows[1][4])
        other = [Hop(bytes(20), "two", 0)]
        rows, _encoded = encoded_rows([kept(1, self.route), kept(2, other), kept(3, self.route)])
        routes = [kept_message(row).record.route for row in rows]
        self.assertEqual(routes, [self.route, other, self.route])

    def test_what_messages_weigh_is_their_bodies_and_routes(self) -> None:
        route = len(encode(self.route))
        self.assertEqual(body_bytes(self.rows), 2 * route + 4 + 6)
        self.assertEqual([row_bytes(row) for row in self.rows], [route + 4, route + 6])
        self.assertEqual(body_bytes([]), 0)
        position, raw_id, created, received, _route, _body, _sum = self.rows[0]
        damaged = (position, raw_id, created, received, 17, "text", b"sum")
        self.assertEqual(row_bytes(damaged), 4)

    def test_a_message_that_nobody_wrote_is_named_by_its_place(self) -> None:
        position, _raw_id, *rest = self.rows[1]
        for raw_id in (b"\x01", None):
            error = self.assertRaises(SpoiledRow, kept_message, (position, raw_id, *rest))
            self.assertIn("the message at position 2 is damaged (", str(error))

    def test_the_ids_of_one_origin_begin_alike_and_those_of_others_do_not(self) -> None:
        prefix = id_prefix(self.rows[0][1])
        self.assertTrue(self.rows[1][1].startswith(prefix))
        self.assertTrue(prefix.endswith(ORIGIN))
        self.assertEqual(len(prefix), 23)
        later = encode(MessageId(ORIGIN, 2**40, 1))
        self.assertEqual(id_prefix(later), prefix)
        self.assertFalse(encode(MessageId(ORIGIN[:-1], 3, 1)).startswith(prefix))
        self.assertEqual((id_prefix(b"abc"), id_prefix(b"ab\x00d")), (b"abc", b"ab\x00"))


class LedgerRowTests(SynchronousTestCase):
    def test_a_ledger_is_read_as_it_was_written_up_to_the_farthest_number(self) -> None:
        state = LedgerState(ORIGIN, 3, [1, 5, 7, FARTHEST], [2, 4, 8, FARTHEST])
        self.assertEqual(ledger_state(ledger_row(state)), state)

    def assert_refused(self, *values: object) -> None:
        row = (*values, checksum(*values))
        error = self.assertRaises(SpoiledRow, ledger_state, row)
        self.assertEqual(str(error), "a row of the ledger is damaged")

    def test_a_row_that_nobody_can_have_written_is_refused(self) -> None:
        sound, nothing = encode([1, 5]), encode([])
        self.assert_refused("text", 3, sound, nothing)
        self.assert_refused(ORIGIN, 3.0, sound, nothing)
        self.assert_refused(ORIGIN, 3, encode([5, 1]), nothing)
        self.assert_refused(ORIGIN, 3, encode([1, FARTHEST + 1]), nothing)
        self.assert_refused(ORIGIN, 3, encode([1]), nothing)
        self.assert_refused(ORIGIN, 3, sound, encode([4, 6]))
        self.assert_refused(ORIGIN, 3, encode([1, FARTHEST]), encode([2, FARTHEST + 1]))
        row = (ORIGIN, 3, sound, nothing)
        self.assertRaises(SpoiledRow, ledger_state, (*row, checksum(*row) ^ 1))


class OlderLedgerTests(SynchronousTestCase):
    def known(self, watermark: int, above: list[int]) -> list[int]:
        return msgspec.msgpack.decode(known_from(watermark, encode(above)), type=list[int])

    def test_a_watermark_and_the_numbers_above_it_are_intervals(self) -> None:
        self.assertEqual(self.known(0, []), [])
        self.assertEqual(self.known(1, []), [1, 2])
        self.assertEqual(self.known(4, [9, 7, 6, 7]), [1, 5, 6, 8, 9, 10])
        self.assertEqual(self.known(4, [5]), [1, 6])
        self.assertEqual(self.known(0, [3]), [3, 4])
        self.assertEqual(self.known(0, [FARTHEST - 1]), [FARTHEST - 1, FARTHEST])

    def test_numbers_that_nobody_can_have_written_are_damage(self) -> None:
        for watermark, above in ((-1, [3]), (0, [0]), (0, [FARTHEST]), (FARTHEST, [])):
            error = self.assertRaises(ValueError, known_from, watermark, encode(above))
            self.assertEqual(str(error), "a row of the ledger is damaged")


class AgeTests(SynchronousTestCase):
    def test_a_row_counts_as_received_no_later_than_any_row_after_it(self) -> None:
        self.assertEqual(_not_after([5.0, 9.0, 7.0, 3.0, 4.0, 8.0]), [3.0, 3.0, 3.0, 3.0, 4.0, 8.0])
        self.assertEqual(_not_after([]), [])
