"""Long frames in parts: how they are cut, put together, limited, and what a liar can do."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import RemoteProtocolError
from chordnet.core.base.messages import Ping, StoreMail
from chordnet.wire.codec import (
    LONG_LIMIT,
    LONG_OF_CLIENTS,
    LONG_OF_NODES,
    LONG_OF_PEERS,
    encode_frame,
    goes_in_parts,
)
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.parts import LAST, MORE, PART_BYTES, Joining, LongFrames, PartsRoom, tag_of
from chordnet.wire.rpc import ConflictReply, EntryReply, GetKey, PutKey

WHOLE = 262_144
LIMIT = 5 * PART_BYTES


def letter(size: int, filling: bytes = b"x") -> bytes:
    """Return the frame of a letter of so many bytes in all, its header included."""
    beside = 11 if size > 65_546 else 9  # MessagePack says longer lengths with more bytes
    return encode_frame(StoreMail(filling * (size - beside)))


def parts(*frames: bytes) -> list[bytes]:
    """Return what leaves for these frames, one after another."""
    waiting = LongFrames()
    for frame in frames:
        waiting.put(frame)
    found = []
    while waiting.waiting:
        found.append(waiting.take())
    return found


def part(kind: int, content: bytes) -> bytes:
    return (kind | len(content)).to_bytes(4) + content


class PartsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dropped: list[int] = []

    def room(self, limit: int = 10 * LIMIT) -> PartsRoom:
        return PartsRoom(limit, self.clock.seconds)

    def decoder(self, room: PartsRoom | None = None, limit: int = LIMIT) -> FrameDecoder:
        decoder = FrameDecoder(WHOLE)
        room = room or self.room()
        decoder.joining = Joining(room, limit, LONG_OF_PEERS, lambda: self.dropped.append(1))
        return decoder

    def fault(self, *stream: bytes, decoder: FrameDecoder | None = None) -> str:
        decoder = decoder or self.decoder()
        error = self.assertRaises(RemoteProtocolError, decoder.feed, b"".join(stream))
        return str(error)


class CuttingTests(PartsCase):
    def test_a_frame_of_one_part_stays_whole_and_one_byte_more_makes_two_parts(self) -> None:
        short, long = letter(4 + PART_BYTES), letter(5 + PART_BYTES)
        self.assertEqual(parts(short), [short])
        first, last = parts(long)
        self.assertEqual(first[:4], (MORE | PART_BYTES).to_bytes(4))
        self.assertEqual(last[:4], (LAST | 1).to_bytes(4))
        self.assertEqual(first[4:] + last[4:], long[4:])

    def test_every_part_but_the_last_is_full(self) -> None:
        for size in (2 * PART_BYTES, 2 * PART_BYTES + 4, 2 * PART_BYTES + 5, 300_000):
            sizes = [len(each) - 4 for each in parts(letter(size))]
            self.assertEqual(set(sizes[:-1]), {PART_BYTES}, size)
            self.assertTrue(0 < sizes[-1] <= PART_BYTES, size)
            self.assertEqual(sum(sizes), size - 4)

    def test_what_waits_is_counted_until_it_has_left(self) -> None:
        waiting = LongFrames()
        frames = [letter(200_000), letter(100), letter(70_000)]
        for frame in frames:
            waiting.put(frame)
        left = sum(map(len, frames))
        self.assertEqual(waiting.waiting, left)
        while waiting.waiting:
            before = waiting.waiting
            taken = waiting.take()
            self.assertLess(waiting.waiting, before)
            self.assertLessEqual(len(taken), 4 + PART_BYTES)
        waiting.put(frames[0])
        waiting.take()
        waiting.clear()
        self.assertEqual(waiting.waiting, 0)
        waiting.put(frames[0])
        self.assertEqual(waiting.take(), parts(frames[0])[0])

    def test_only_kinds_that_carry_values_go_in_parts(self) -> None:
        self.assertTrue(goes_in_parts(letter(5 + PART_BYTES), LONG_OF_PEERS))
        self.assertFalse(goes_in_parts(letter(4 + PART_BYTES), LONG_OF_PEERS))
        put = encode_frame(PutKey(1, "k", bytes(PART_BYTES)))
        self.assertTrue(goes_in_parts(put, LONG_OF_CLIENTS))
        self.assertFalse(goes_in_parts(put, LONG_OF_PEERS))
        self.assertFalse(goes_in_parts(encode_frame(GetKey(1, "k" * PART_BYTES)), LONG_OF_CLIENTS))

    def test_the_tag_is_found_however_it_is_written(self) -> None:
        for message in (StoreMail(b""), Ping(1), EntryReply(1, None), ConflictReply(1, "", None)):
            tag = type(message).__struct_config__.tag
            self.assertEqual(tag_of(encode_frame(message)[4:] + bytes(20)), tag)
        for head in ("92", "dc0002", "dd00000002"):
            for number in ("28", "cc28", "cd0028", "ce00000028", "cf0000000000000028"):
                data = bytes.fromhex(head + number) + bytes(20)
                self.assertEqual(tag_of(data), 40, (head, number))
        for other in ("c0", "82a16128", "92c0", "92ff", "92a128"):
            self.assertIsNone(tag_of(bytes.fromhex(other) + bytes(20)), other)
        self.assertEqual(LONG_OF_NODES, {133, 134, 143, 145})


class JoiningTests(PartsCase):
    def test_a_long_frame_comes_out_as_it_went_in_with_others_between_its_parts(self) -> None:
        long, ping = letter(5 * PART_BYTES), encode_frame(Ping(1))
        decoder = self.decoder()
        cut = parts(long)
        found = decoder.feed(ping + cut[0] + ping + cut[1])
        found += decoder.feed(b"".join(cut[2:-1]))
        self.assertEqual(found, [ping[4:]] * 2)
        self.assertEqual(decoder.feed(cut[-1] + ping), [long[4:], ping[4:]])

    def test_any_cut_of_the_stream_gives_the_same_frames(self) -> None:
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        frames = [letter(rng.choice((20, 70_000, 200_000, 300_000))) for _ in range(12)]
        stream = b"".join(p for frame in frames for p in parts(frame))
        decoder, found, at = self.decoder(), list[bytes](), 0
        while at < len(stream):
            step = rng.choice((1, 3, 5, 1000, 65_536, 200_000))
            found += decoder.feed(stream[at : at + step])
            at += step
        self.assertEqual(found, [frame[4:] for frame in frames], f"seed {seed}")

    def test_the_longest_frame_is_accepted_and_one_byte_more_is_not(self) -> None:
        longest = letter(4 + LIMIT)
        self.assertEqual(self.decoder().feed(b"".join(parts(longest))), [longest[4:]])
        words = self.fault(*parts(letter(5 + LIMIT)))
        self.assertIn(f"longer than the {LIMIT} bytes", words)

    def test_a_frame_that_is_too_long_is_refused_by_the_header_of_the_part_that_makes_it_so(
        self,
    ) -> None:
        decoder = self.decoder()
        cut = parts(letter(5 + LIMIT))
        for each in cut[:-1]:
            decoder.feed(each)
        self.assertIn("longer than", self.fault(cut[-1][:4], decoder=decoder))

    def test_parts_of_another_size_are_refused_by_their_header_alone(self) -> None:
        for kind, size in ((MORE, 0), (MORE, 1), (MORE, PART_BYTES - 1), (MORE, PART_BYTES + 1)):
            words = self.fault((kind | size).to_bytes(4))
            self.assertIn(f"a part of {size} bytes is announced", words)
        begun = parts(letter(200_000))[0]
        for size in (0, PART_BYTES + 1, (1 << 30) - 1):
            self.assertIn("is announced", self.fault(begun, (LAST | size).to_bytes(4)))

    def test_a_last_part_that_nothing_came_before_is_refused(self) -> None:
        self.assertIn("without those before it", self.fault(part(LAST, b"x")))
        whole = parts(letter(200_000))
        self.assertIn("without those before it", self.fault(part(LAST, b"x"), *whole))

    def test_only_a_kind_that_may_be_long_is_put_together(self) -> None:
        long = encode_frame(GetKey(1, "k" * 200_000))
        self.assertIn("a message with tag 112 comes in parts", self.fault(*parts(long)))
        self.assertIn("tag None", self.fault(part(MORE, b"\xc0" * PART_BYTES)))

    def test_parts_are_refused_where_none_are_accepted(self) -> None:
        words = self.fault(*parts(letter(200_000)), decoder=FrameDecoder(WHOLE))
        self.assertIn(f"a frame of {MORE | PART_BYTES} bytes is announced", words)

    def test_a_length_with_the_second_bit_alone_is_too_long(self) -> None:
        self.assertIn("bytes is announced, at most", self.fault((1 << 30).to_bytes(4)))

    def test_what_came_before_a_broken_rule_still_comes_out(self) -> None:
        long, decoder = letter(100_000), self.decoder()
        self.assertEqual(decoder.feed(b"".join(parts(long)) + part(LAST, b"x")), [long[4:]])
        self.assertIn("without those before it", decoder.fault)
        self.assertRaises(RemoteProtocolError, decoder.feed, b"")

    def test_a_doubled_part_gives_another_frame_and_no_more_bytes_than_the_limit(self) -> None:
        cut = parts(letter(2 * PART_BYTES))
        (frame,) = self.decoder().feed(cut[0] + cut[0] + cut[-1])
        self.assertNotEqual(frame, letter(2 * PART_BYTES)[4:])
        self.assertIn("longer than", self.fault(*[cut[0]] * 6))


class RoomTests(PartsCase):
    def test_what_is_held_is_counted_and_let_go_of_with_the_frame_or_the_connection(self) -> None:
        room = self.room()
        one, other = self.decoder(room), self.decoder(room)
        cut = parts(letter(3 * PART_BYTES))
        one.feed(cut[0] + cut[1])
        other.feed(cut[0])
        self.assertEqual(room.held, 3 * PART_BYTES)
        one.feed(cut[2])
        self.assertEqual(room.held, PART_BYTES)
        other.joining.close()
        self.assertEqual(room.held, 0)
        other.joining.close()
        self.assertEqual(room.held, 0)

    def test_without_room_the_frame_that_needs_it_is_thrown_away_and_the_next_comes(self) -> None:
        room = self.room(4 * PART_BYTES)
        one, other = self.decoder(room), self.decoder(room)
        long, ping = letter(4 * PART_BYTES), encode_frame(Ping(1))
        cut = parts(long)
        one.feed(cut[0] + cut[1])
        self.assertEqual(other.feed(cut[0] + cut[1] + cut[2] + ping), [ping[4:]])
        self.assertEqual(self.dropped, [1])
        self.assertEqual(room.held, 2 * PART_BYTES, "it gives back what it held")
        self.assertEqual(one.feed(cut[2] + cut[3]), [long[4:]])
        self.assertEqual(other.feed(cut[3]), [])
        self.assertEqual(other.feed(b"".join(cut)), [long[4:]])
        self.assertEqual((self.dropped, room.held), ([1], 0))

    def test_a_frame_that_has_stalled_gives_way_to_another(self) -> None:
        room = self.room(3 * PART_BYTES)
        stalled, other = self.decoder(room), self.decoder(room)
        long = letter(3 * PART_BYTES)
        cut = parts(long)
        stalled.feed(cut[0])
        self.clock.advance(5.0)
        self.assertEqual(other.feed(b"".join(cut)), [long[4:]])
        self.assertEqual(self.dropped, [1])
        self.assertEqual(stalled.feed(b"".join(cut[1:])), [], "its last parts are thrown away")
        self.assertEqual(stalled.feed(b"".join(cut)), [long[4:]])

    def test_of_several_frames_the_one_that_has_stalled_longest_gives_way(self) -> None:
        room = self.room(3 * PART_BYTES)
        first, second, third = (self.decoder(room) for _ in range(3))
        cut = parts(letter(2 * PART_BYTES))
        first.feed(cut[0])
        self.clock.advance(2.0)
        second.feed(cut[0])
        self.clock.advance(4.0)
        self.assertEqual(len(third.feed(b"".join(cut))), 1)
        self.assertEqual(first.feed(cut[1]), [])
        self.assertEqual(len(second.feed(cut[1])), 1)

    def test_what_is_thrown_away_is_no_longer_than_a_frame_may_be(self) -> None:
        decoder = self.decoder(self.room(PART_BYTES))
        cut = parts(letter(LIMIT))
        decoder.feed(b"".join(cut[:-1]))
        self.assertEqual(self.dropped, [1])
        self.assertIn("longer than", self.fault(cut[0], cut[0], decoder=decoder))

    def test_the_longest_value_fits_with_all_that_goes_with_it(self) -> None:
        self.assertEqual(LONG_LIMIT, 1_048_576 + 196_608)


def _bytes(rng: random.Random, count: int) -> Iterator[bytes]:
    """Yield what a peer may send that knows the format and keeps no rule."""
    for _ in range(count):
        what = rng.randrange(6)
        if what == 0:
            yield encode_frame(Ping(rng.randrange(100)))
        elif what == 1:
            yield from parts(letter(rng.choice((80_000, 150_000, 400_000))))
        elif what == 2:
            cut = parts(letter(rng.choice((150_000, 300_000))))
            del cut[rng.randrange(len(cut))]
            yield from cut
        elif what == 3:
            yield part(rng.choice((MORE, LAST)), rng.randbytes(rng.choice((0, 9, PART_BYTES))))
        elif what == 4:
            yield parts(letter(200_000))[0]
        else:
            yield rng.randbytes(rng.randrange(20))


class FuzzTests(PartsCase):
    @given(st.integers(0, 2**32 - 1))
    def test_whatever_comes_what_is_held_stays_within_the_limits(self, seed: int) -> None:
        rng = random.Random(seed)
        clock = Clock()
        room = PartsRoom(8 * PART_BYTES, clock.seconds)
        lines = [self.decoder(room) for _ in range(4)]
        for decoder in lines:
            stream = b"".join(_bytes(rng, 6))
            at = 0
            try:
                while at < len(stream):
                    step = rng.choice((7, 4_000, 65_536, 300_000))
                    for frame in decoder.feed(stream[at : at + step]):
                        self.assertLessEqual(len(frame), LIMIT, f"seed {seed}")
                    at += step
                    clock.advance(rng.choice((0.0, 0.1, 6.0)))
                    self.assertLessEqual(room.held, 8 * PART_BYTES, f"seed {seed}")
                    self.assertLessEqual(decoder.pending, 4 + WHOLE, f"seed {seed}")
            except RemoteProtocolError:
                pass
        for decoder in lines:
            decoder.joining.close()
        self.assertEqual(room.held, 0, f"seed {seed}")
