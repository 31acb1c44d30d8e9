"""Messages to bytes and back; whatever is wrong with the bytes gives one kind of error."""

from __future__ import annotations

import random

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import messages as core
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import LocalProtocolError, RemoteProtocolError
from chordnet.wire import codec, greeting, rpc
from chordnet.wire.trust.bundles import BundleMessage
from tests.unit.wire_examples import EXAMPLES, NODE, reader_of


class RoundTripTests(SynchronousTestCase):
    def test_every_message_survives(self):
        for message in EXAMPLES:
            frame = codec.encode_frame(message)
            self.assertEqual(int.from_bytes(frame[:4]), len(frame) - 4)
            self.assertEqual(reader_of(message)(frame[4:]), message)

    def test_the_examples_cover_every_message(self):
        unions = (core.PeerMessage, BundleMessage, rpc.ClientRequest, rpc.ServerReply)
        expected = {member for union in unions for member in union.__args__}
        expected |= {greeting.Hello, greeting.Welcome, greeting.Refuse, greeting.Bye}
        self.assertEqual({type(message) for message in EXAMPLES}, expected)

    def test_tags_are_distinct(self):
        tags = [msgspec.inspect.type_info(type(m)).tag for m in EXAMPLES]
        self.assertEqual(len(set(tags)), len({type(m) for m in EXAMPLES}))

    def test_fields_at_the_end_that_are_not_known_are_ignored(self):
        longer = msgspec.msgpack.encode([1, 7, "from a later version", {"any": ["thing"]}])
        self.assertEqual(codec.read_peer(longer), core.Ping(7))

    def test_a_bodiless_broadcast_keeps_none_apart_from_empty(self):
        bcast = next(m for m in EXAMPLES if type(m) is core.Bcast)
        without = msgspec.structs.replace(bcast, bodies=None)
        self.assertIsNone(codec.read_peer(codec.encode_frame(without)[4:]).bodies)

    def test_what_cannot_be_expressed_is_our_own_fault(self):
        self.assertRaises(LocalProtocolError, codec.encode_frame, core.Ping(2**70))
        self.assertRaises(
            LocalProtocolError, codec.encode_frame, rpc.Lookup(1, "a lone surrogate \udc80")
        )


class MalformedTests(SynchronousTestCase):
    readers = (
        codec.read_hello, codec.read_answer, codec.read_peer, codec.read_request, codec.read_reply,
    )  # fmt: skip

    def refuse(self, data: bytes) -> None:
        for reader in self.readers:
            error = self.assertRaises(RemoteProtocolError, reader, data)
            self.assertLess(len(str(error)), 200)

    def test_an_empty_frame_is_no_message(self):
        self.refuse(b"")

    def test_what_is_not_messagepack_is_refused(self):
        self.refuse(b"\xc1")
        self.refuse(b"GET / HTTP/1.1\r\n")

    def test_what_is_no_message_is_refused(self):
        for value in (None, 1, "text", [], {}, [None], [99], ["Ping", 1], [1.5], [[1], 2]):
            self.refuse(msgspec.msgpack.encode(value))

    def test_wrong_types_and_missing_fields_are_refused(self):
        for value in ([1], [1, "seven"], [1, None], [101, 1], [60, "chordnet"], [20, [], 1]):
            self.refuse(msgspec.msgpack.encode(value))

    def test_trailing_bytes_are_refused(self):
        self.refuse(codec.encode_frame(core.Ping(1))[4:] + b"\0")

    def test_nesting_without_end_is_refused(self):
        self.refuse(b"\x93\x01\x05" + b"\x91" * 100_000)

    def test_a_refusal_quotes_160_letters_of_what_is_wrong(self):
        error = codec.malformed(ValueError("x" * 500))
        self.assertEqual(str(error), f"malformed frame: {'x' * 160}")

    def test_text_that_is_not_utf8_is_refused(self):
        self.refuse(b"\x93\x0c\x01\xa2\xff\xfe")

    def test_lengths_that_are_not_there_are_refused(self):
        for header in (b"\xdd\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"):
            self.refuse(header)
            self.refuse(b"\x97\x04\x01\x01\xc0\xc0" + header + b"\xc0")

    def test_bytes_flipped_cut_and_made_up_give_a_message_or_a_refusal(self):
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        frames = [codec.encode_frame(message)[4:] for message in EXAMPLES]
        refused = read = 0
        for _ in range(4000):
            data = bytearray(rng.choice(frames))
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            data = data[: rng.randrange(1, len(data) + 1)] if rng.random() < 0.3 else data
            data = rng.randbytes(rng.randrange(64)) if rng.random() < 0.1 else data
            for reader in self.readers:
                try:
                    reader(bytes(data))
                    read += 1
                except RemoteProtocolError:
                    refused += 1
                except BaseException as error:  # noqa: BLE001 - nothing else may come
                    self.fail(f"seed {seed}: {type(error).__name__} for {bytes(data).hex()}")
        self.assertGreater(min(read, refused), 100, f"seed {seed}: damage of one kind only")


class LimitTests(SynchronousTestCase):
    def test_the_longest_broadcast_fits_into_a_frame(self):
        hop = core.Hop(bytes(32), "\U0001f34e" * 255, 5)
        longest = ProtocolConfig().max_route
        bcast = core.Bcast(
            core.MessageId(bytes(32), 2**63, 2**63), 1, 1.0, 64, bytes(32), 5, [hop] * longest,
            [bytes(65536)],
        )  # fmt: skip
        self.assertLess(len(codec.encode_frame(bcast)), codec.frame_limit(65536))

    def test_a_lookup_at_the_end_of_the_longest_path_fits_into_a_frame(self):
        node = core.NodeRef(bytes(32), 2**63, "a" * 255, "n" * 255)
        find = core.Find(1, node, bytes(32), 0, [node] * 65, 64, False)
        self.assertLess(len(codec.encode_frame(find)), codec.frame_limit(65536))

    def test_a_greeting_with_the_longest_names_is_within_its_limit(self):
        longest = NODE.__class__(bytes(32), 2**63, "a" * 255, "n" * 255)
        hello = greeting.Hello("chordnet", 1, "w" * 255, 160, "peer", longest, 1)
        self.assertLess(len(codec.encode_frame(hello)), greeting.GREETING_LIMIT)
