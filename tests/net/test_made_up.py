"""Peers, clients and strangers that send any message of any type: no node fails, all are served."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import Factory, Protocol

from benchmarks.hostile import HostilePeer, hop
from chordnet import ChordService
from chordnet.core.base.messages import Hop, MessageId, NodeRef, PeerMessage, StoreMail
from chordnet.core.store.node.talk import Message as LetterMessage
from chordnet.wire.codec import encode_frame
from chordnet.wire.greeting import Bye, Hello
from chordnet.wire.rpc import ClientRequest, LeaveRing
from chordnet.wire.trust.bundles import BundleMessage
from tests.net.hostile import HostileCase
from tests.net.test_store_service import FEW
from tests.unit.made_up import Choose, damaged, encoded, members, messages

TRIES = settings(deadline=None, print_blob=True, max_examples=60)
DECIDED: dict[str, Any] = {"count": st.integers(0, 3), "ttl": st.integers(0, 9)}


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4) + payload


class Raw(Protocol):
    """A program that writes whatever it is told to, and counts what it is told."""

    lost = False
    heard = 0

    def dataReceived(self, data: bytes) -> None:
        self.heard += len(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class MadeUpCase(HostileCase):
    nodes = 4

    def setUp(self) -> None:
        super().setUp()
        self.services_made = self.ring()
        self.target = self.services_made[0]
        self.refs = [self.ref(service) for service in self.services_made]

    def choose(self) -> Choose:
        """Have every second identifier be one of this ring, so that more is believed."""
        refs = st.sampled_from(self.refs)
        raws = st.sampled_from([ref.raw for ref in self.refs])
        ids = st.builds(
            lambda ref, life, number: MessageId(ref.raw, life or ref.incarnation, number),
            refs, st.integers(0, 2), st.integers(0, 5),
        )  # fmt: skip
        hops = st.sampled_from([hop("X"), *(Hop(ref.raw, ref.name, 1) for ref in self.refs)])
        known: dict[str, st.SearchStrategy[Any]] = {
            "id": ids, "origin": raws, "limit": raws, "key": raws, "node": refs, "subject": refs,
            "candidate": refs, "predecessor": refs, "successors": st.lists(refs, max_size=3),
            "nodes": st.lists(refs, max_size=3), "hops": st.lists(hops, max_size=3), **DECIDED,
        }  # fmt: skip

        def choose(message: type, field: str) -> st.SearchStrategy[Any] | None:
            if message in (NodeRef, MessageId, Hop) or field not in known:
                return None
            kind = next(each for each in msgspec.structs.fields(message) if each.name == field)
            fits = {"id": MessageId, "node": NodeRef}.get(field)
            return known[field] if fits is None or kind.type is fits else None

        return choose

    def raw(self) -> Raw:
        """Return a program that is connected with the target and has said nothing."""
        dialler = self.network.dialling_from("10.6.6.6:1")(None, self.target.address, 3.0)
        program: Raw = self.result(dialler.connect(Factory.forProtocol(Raw)))
        self.network.run(0.01)
        return program

    def peer(self) -> HostilePeer:
        """Return a program that the target takes for a node, a new one if the last is gone."""
        if not self.peers or self.peers[-1].lost:
            self.hostile(self.target, f"X{len(self.peers)}")
        return self.peers[-1]

    def assert_unharmed(self) -> None:
        for service in self.services_made:
            self.well(service)
        self.assertEqual(self.flushLoggedErrors(), [])

    def assert_serving(self) -> None:
        self.network.run(30)
        self.assert_unharmed()
        for number, service in enumerate(self.services_made):
            assert service.node is not None
            self.assertTrue(service.node.active)
            self.broadcast(service, f"still-here-{number}")


class PeerTests(MadeUpCase):
    def test_any_messages_of_a_peer_leave_all_nodes_serving(self) -> None:
        @TRIES
        @given(st.lists(messages(PeerMessage, self.choose()), min_size=1, max_size=8))
        def check(sent: list[Any]) -> None:
            self.peer().send(*sent)
            self.network.run(0.05)
            self.assert_unharmed()

        check()
        self.assert_serving()

    def test_any_bytes_of_a_peer_leave_all_nodes_serving(self) -> None:
        payloads = messages(PeerMessage | BundleMessage | Bye, self.choose()).map(encoded)

        @TRIES
        @given(st.lists(damaged(payloads) | st.binary(max_size=60), min_size=1, max_size=5))
        def check(sent: list[bytes]) -> None:
            self.peer().transport.write(b"".join(map(framed, sent)))
            self.network.run(0.05)
            self.assert_unharmed()

        check()
        self.assert_serving()


class StoreTests(MadeUpCase):
    def ring(self, **options: Any) -> list[ChordService]:
        founders = ("Node 1", "Node 2", "Node 3")
        return super().ring(store="memory", founders=founders, settings=FEW, **options)

    def test_any_letters_to_a_store_leave_all_nodes_serving(self) -> None:
        letters = st.lists(messages(LetterMessage, self.choose()), max_size=4).map(
            msgspec.msgpack.encode
        )

        @TRIES
        @given(letters | damaged(letters) | st.binary(max_size=60))
        def check(letter: bytes) -> None:
            self.peer().send(StoreMail(letter))
            self.network.run(0.05)
            self.assert_unharmed()

        check()
        self.assert_serving()
        with_store = [s.node for s in self.services_made if s.node is not None and s.node.store]
        self.assertEqual(len(with_store), self.nodes)


class ClientTests(MadeUpCase):
    HARMLESS = tuple(each for each in members(ClientRequest) if each is not LeaveRing)
    """Stopping the node is no failure of it."""

    def client(self) -> Raw:
        program = self.raw()
        program.transport.write(encode_frame(Hello("chordnet", 2, "", 0, "client", None, 2)))
        return program

    def test_any_requests_of_a_client_leave_all_nodes_serving(self) -> None:
        requests = st.one_of([messages(each) for each in self.HARMLESS])
        payloads = requests.map(encoded)
        clients = [self.client()]

        @TRIES
        @given(st.lists(payloads | damaged(payloads), min_size=1, max_size=8))
        def check(sent: list[bytes]) -> None:
            if clients[0].lost:
                clients[0] = self.client()
            clients[0].transport.write(b"".join(map(framed, sent)))
            self.network.run(0.05)
            self.assert_unharmed()

        check()
        clients[0].transport.abortConnection()
        self.assert_serving()


class GreetingTests(MadeUpCase):
    def test_any_greeting_is_answered_or_the_connection_is_closed(self) -> None:
        hellos = messages(Hello, self.choose()).map(encoded)
        good = Hello("chordnet", 2, "default", 160, "peer", self.refs[1], 2)
        near = st.just(encoded(good))
        greetings = hellos | damaged(hellos) | damaged(near) | st.binary(max_size=60)

        @TRIES
        @given(greetings, st.booleans(), st.integers(1, 50))
        def check(greeting: bytes, whole: bool, size: int) -> None:
            stranger = self.raw()
            data = framed(greeting) if whole else greeting
            for place in range(0, len(data), size):
                stranger.transport.write(data[place : place + size])
                self.network.run(0.01)
            self.network.run(3.5)
            self.assert_unharmed()
            # It has been let in, or it is gone: nobody holds a place for longer than 3 s.
            self.assertEqual(self.waiting(), 0)
            stranger.transport.abortConnection()
            self.network.run(0.01)

        check()
        self.assert_serving()

    def waiting(self) -> int:
        factory = self.network._factories[self.target.address]
        return len(factory.door.places)
