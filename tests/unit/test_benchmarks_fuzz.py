"""The program that sends made-up frames: they are frames, of every type, and some are damaged."""

from __future__ import annotations

import random
from typing import Any, get_args

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.fuzz import Maker, hello
from chordnet.core.base.errors import RemoteProtocolError
from chordnet.core.base.messages import PeerMessage
from chordnet.wire.codec import encode_frame, read_hello, read_peer, read_request
from chordnet.wire.rpc import ClientRequest
from tests.seeds import said_seed

RAWS = [bytes(20), b"\x01" * 20]


class MakerTests(SynchronousTestCase):
    def test_messages_of_every_type_are_made_and_can_be_read(self) -> None:
        readers: tuple[tuple[Any, Any], ...] = (
            (PeerMessage, read_peer), (ClientRequest, read_request)
        )  # fmt: skip
        with said_seed() as rng:
            maker = Maker(rng, RAWS)
            for union, reader in readers:
                for kind in get_args(union):
                    for _ in range(20):
                        made = maker.message(kind)
                        self.assertIs(type(made), kind)
                        self.assertIs(type(reader(encode_frame(made)[4:])), kind)

    def test_from_one_seed_come_the_same_messages(self) -> None:
        kinds = get_args(PeerMessage)

        def made() -> list[bytes]:
            maker = Maker(random.Random(7), RAWS)
            return [encode_frame(maker.message(kind)) for kind in kinds for _ in range(5)]

        self.assertEqual(made(), made())

    def test_a_damaged_frame_is_cut_off_or_changed_behind_its_header(self) -> None:
        with said_seed() as rng:
            maker = Maker(rng, RAWS)
            cut = unreadable = 0
            for _ in range(300):
                frame = encode_frame(maker.message(rng.choice(get_args(PeerMessage))))
                damaged = maker.damaged(frame)
                if len(damaged) < len(frame):
                    cut += 1
                    self.assertEqual(damaged, frame[: len(damaged)])
                    continue
                self.assertEqual((damaged[:4], len(damaged)), (frame[:4], len(frame)))
                try:
                    read_peer(damaged[4:])
                except RemoteProtocolError:
                    unreadable += 1
            self.assertGreater(cut, 30)
            self.assertGreater(unreadable, 30)


class HelloTests(SynchronousTestCase):
    def test_it_greets_as_a_node_and_as_a_client(self) -> None:
        node = read_hello(encode_frame(hello(peer=True, incarnation=5))[4:])
        assert node.node is not None
        self.assertEqual(
            (node.role, node.node.name, node.node.incarnation), ("peer", "stranger", 5)
        )
        self.assertEqual(hello(peer=False, incarnation=5).node, None)
