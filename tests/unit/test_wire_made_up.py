"""Any message of any type survives the way; any bytes are a message or are refused in words."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import RemoteProtocolError
from chordnet.core.base.messages import PeerMessage
from chordnet.wire import codec
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import Bye, Hello, Refuse, Welcome
from chordnet.wire.rpc import ClientRequest, ServerReply
from chordnet.wire.trust.bundles import BundleMessage
from chordnet.wire.trust.enrolment import Ask, Enrol, Granted, Referral, Renew, Roots
from tests.unit.made_up import damaged, encoded, messages

READERS: dict[str, tuple[codec.Reader[Any], Any]] = {
    "a dialler's greeting": (codec.read_opening, Hello | Refuse),
    "the answer to it": (codec.read_answer, Welcome | Refuse),
    "a peer": (codec.read_peer, PeerMessage | BundleMessage | Bye),
    "a client": (codec.read_request, ClientRequest | Bye),
    "a node's reply": (codec.read_reply, ServerReply | Bye),
    "a newcomer's question": (codec.read_ask, Ask),
    "what it wants": (codec.read_wanted, Enrol | Renew),
    "what it is offered": (codec.read_offer, Roots | Referral | Refuse),
    "its certificate": (codec.read_grant, Granted | Refuse),
}
MADE_UP = {
    name: (reader, messages(union).map(encoded)) for name, (reader, union) in READERS.items()
}
BYTES = st.binary(max_size=200)
TRIES = settings(deadline=None, print_blob=True, max_examples=60)


class MadeUpTests(SynchronousTestCase):
    def there_and_back(self, reader: codec.Reader[Any], union: Any) -> None:
        @TRIES
        @given(messages(union))
        def check(message: Any) -> None:
            frame = codec.encode_frame(message)
            self.assertEqual(int.from_bytes(frame[:4]), len(frame) - 4)
            # NaN is equal to nothing, so what is compared is the bytes.
            self.assertEqual(codec.encode_frame(reader(frame[4:])), frame)

        check()

    def test_what_is_encoded_is_read_as_it_was(self) -> None:
        for name, (reader, union) in READERS.items():
            with self.subTest(name):
                self.there_and_back(reader, union)

    def read_or_refused(self, reader: codec.Reader[Any], frames: st.SearchStrategy[bytes]) -> None:
        @TRIES
        @given(damaged(frames) | BYTES)
        def check(data: bytes) -> None:
            try:
                message = reader(data)
            except RemoteProtocolError as error:
                self.assertRegex(str(error), "^malformed frame: ")
                self.assertLess(len(str(error)), 200)
            else:
                codec.encode_frame(message)

        check()

    def test_damaged_messages_are_messages_or_are_refused_in_a_short_sentence(self) -> None:
        for name, (reader, frames) in MADE_UP.items():
            with self.subTest(name):
                self.read_or_refused(reader, frames)

    def test_bytes_nested_a_million_deep_are_refused_in_words(self) -> None:
        for name, (reader, _union) in READERS.items():
            for deep in (b"\x91" * 1_000_000, b"\x81\xa1a" * 300_000):
                with self.subTest(name):
                    self.assertRaises(RemoteProtocolError, reader, deep)

    def test_lengths_that_are_announced_and_do_not_come_hold_no_memory(self) -> None:
        for name, (reader, _union) in READERS.items():
            for header in (
                b"\xdd\xff\xff\xff\xff",
                b"\xc6\xff\xff\xff\xff",
                b"\xdf\xff\xff\xff\xff",
            ):
                with self.subTest(name):
                    self.assertRaises(RemoteProtocolError, reader, header)


class FramingTests(SynchronousTestCase):
    @TRIES
    @given(
        st.lists(MADE_UP["a peer"][1] | BYTES, min_size=1, max_size=6),
        st.lists(st.integers(1, 40), min_size=1, max_size=40),
    )
    def test_frames_are_the_same_however_the_stream_is_cut(
        self, payloads: list[bytes], sizes: list[int]
    ) -> None:
        stream = b"".join(len(each).to_bytes(4) + each for each in payloads)
        decoder, frames, place, turn = FrameDecoder(1 << 20), list[bytes](), 0, 0
        while place < len(stream):
            size = sizes[turn % len(sizes)]
            frames += decoder.feed(stream[place : place + size])
            place, turn = place + size, turn + 1
        self.assertEqual((frames, decoder.pending), (payloads, 0))

    @TRIES
    @given(st.lists(st.binary(min_size=1, max_size=3000), max_size=30))
    def test_a_stream_of_any_bytes_is_read_within_the_limit_or_ends_with_a_reason(
        self, pieces: list[bytes]
    ) -> None:
        decoder = FrameDecoder(1000, 100)
        for piece in pieces:
            try:
                for frame in decoder.feed(piece):
                    self.assertLessEqual(len(frame), 1000)
            except RemoteProtocolError as error:
                self.assertIn("bytes is announced", str(error))
                self.assertEqual(str(error), decoder.fault)
            if not decoder.fault:
                self.assertLessEqual(decoder.pending, 1003)


class ValueTests(SynchronousTestCase):
    def test_values_of_every_type_in_the_place_of_a_message_are_refused(self) -> None:
        for value in (None, True, 1, -1, 1.5, "a", b"a", [], [[]], {}, {"a": 1}, [999, 1]):
            data = msgspec.msgpack.encode(value)
            for name, (reader, _union) in READERS.items():
                with self.subTest(f"{value!r} from {name}"):
                    self.assertRaises(RemoteProtocolError, reader, data)
