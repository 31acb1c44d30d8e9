"""Frames out of a stream, however it is chopped up."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import RemoteProtocolError
from chordnet.wire.framing import FrameDecoder


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4) + payload


class FrameDecoderTests(SynchronousTestCase):
    def test_whole_frames_come_out_at_once(self):
        decoder = FrameDecoder(100)
        self.assertEqual(decoder.feed(frame(b"a") + frame(b"") + frame(b"bc")), [b"a", b"", b"bc"])
        self.assertEqual(decoder.pending, 0)

    def test_any_cut_gives_the_same_frames(self):
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        payloads = [rng.randbytes(rng.choice((0, 1, 3, 4, 5, 200, 5000))) for _ in range(300)]
        stream = b"".join(map(frame, payloads))
        decoder, found, position = FrameDecoder(5000), [], 0
        while position < len(stream):
            step = rng.choice((1, 2, 3, 4, 7, 100, 9000))
            found += decoder.feed(stream[position : position + step])
            position += step
        self.assertEqual(found, payloads, f"seed {seed}")

    def test_a_frame_may_come_byte_by_byte(self):
        decoder = FrameDecoder(10)
        found = [decoder.feed(bytes([byte])) for byte in frame(b"xyz")]
        self.assertEqual(found, [[], [], [], [], [], [], [b"xyz"]])

    def test_longest_frame_is_accepted_and_one_byte_more_is_not(self):
        self.assertEqual(FrameDecoder(5).feed(frame(b"12345")), [b"12345"])
        self.assertRaises(RemoteProtocolError, FrameDecoder(5).feed, frame(b"123456"))

    def test_too_long_a_frame_is_refused_by_its_header_alone(self):
        decoder = FrameDecoder(1000)
        decoder.feed(b"\x7f\xff\xff")
        error = self.assertRaises(RemoteProtocolError, decoder.feed, b"\xff")
        self.assertIn("2147483647 bytes", str(error))
        self.assertLess(decoder.pending, 10)

    def test_frames_before_one_that_is_too_long_still_come_out(self):
        decoder = FrameDecoder(5)
        self.assertEqual(decoder.feed(frame(b"good") + frame(b"too long")), [b"good"])
        self.assertIn("8 bytes", decoder.fault)
        self.assertRaises(RemoteProtocolError, decoder.feed, b"")

    def test_the_first_frame_has_a_limit_of_its_own(self):
        self.assertRaises(RemoteProtocolError, FrameDecoder(1000, 10).feed, frame(bytes(11)))
        decoder = FrameDecoder(1000, 10)
        self.assertEqual(decoder.feed(frame(bytes(10)) + frame(bytes(11))), [bytes(10), bytes(11)])

    def test_what_is_held_is_at_most_one_frame(self):
        decoder = FrameDecoder(1000)
        for _ in range(50):
            decoder.feed(frame(bytes(1000))[:-1])
            self.assertLessEqual(decoder.pending, 1004)
            decoder.feed(b"\0")

    def test_what_is_held_is_not_looked_at_again_before_its_frame_is_whole(self):
        decoder = FrameDecoder(1000)
        for stream, needed in ((b"\0\0", 4), (b"\0\x64", 104), (bytes(99), 104), (b"x\0", 4)):
            decoder.feed(stream)
            self.assertEqual(decoder._need, needed)

    def test_the_cost_of_a_trickle_is_linear(self):
        # Quadratic copying would move 100,000 * 100,000 / 2 bytes and take a minute.
        decoder = FrameDecoder(100_000)
        stream = frame(bytes(100_000))
        found = [part for byte in stream for part in decoder.feed(bytes((byte,)))]
        self.assertEqual(len(found), 1)
