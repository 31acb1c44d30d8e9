"""What the page on threats promises: attacks of outsiders, members and thieves, and what they get.

The first class shows what a network without certificates allows, and the second what is left of it
in a secured one.
"""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory

from benchmarks.hostile import SPACE, HostilePeer, hop
from chordnet import ChordService
from chordnet.core.base.messages import Bcast, EdgeKind, Hop, MarkedBcast, MessageId
from chordnet.net.tls.credentials import Credentials, enrolling_end
from chordnet.trust.base.subjects import Role
from chordnet.wire.codec import encode_frame, read_answer
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import Hello, Refuse
from chordnet.wire.parts import tag_of
from chordnet.wire.rpc import SendMessage
from tests.net.hostile import HostileCase
from tests.net.members import address_of
from tests.net.programs import REFUSE, WELCOME, Program, SecuredCase
from tests.net.test_door import Transport
from tests.net.test_made_up import Raw
from tests.unit.trust_support import make_network


def ground(next_to: bytes, count: int) -> list[str]:
    """Return names whose identifiers come within a 64th of the space behind ``next_to``."""
    start, names, number = int.from_bytes(next_to), [], 0
    while len(names) < count:
        number += 1
        name = f"ground-{number}"
        if (SPACE.hash(name.encode()) - start) % SPACE.size < SPACE.size // 64:
            names.append(name)
    return names


class PlainTests(HostileCase):
    """Without certificates, a name is what its bearer says."""

    nodes = 4

    def test_names_can_be_ground_until_they_surround_a_node(self) -> None:
        ring = self.ring()
        for number, name in enumerate(ground(self.ref(ring[1]).raw, 5)):
            peer = self.hostile(ring[0], name, address=f"10.6.6.{number + 1}:7001")
            self.assertTrue(peer.welcomed)

    def test_a_message_in_the_name_of_another_node_is_recorded_as_its_own(self) -> None:
        ring = self.ring()
        peer = self.hostile(ring[0])
        first = self.next_id(ring[2])
        peer.send(peer.bcast(self.ref(ring[2]), first.sequence, [b"forged"], self.ref(ring[0]).raw))
        self.network.run(2)
        self.assertIn("forged", self.bodies(ring[0]))

    def test_a_route_is_what_the_last_hop_says_and_its_last_hop_is_the_sender(self) -> None:
        ring = self.ring()
        peer = self.hostile(ring[0])
        first = self.next_id(ring[2])
        invented = peer.bcast(
            self.ref(ring[2]), first.sequence, [b"invented"], self.ref(ring[0]).raw,
            over=[hop("Node 4"), hop("nobody")],
        )  # fmt: skip
        hops = [*invented.hops[:-1], hop("Node 4")]
        denied = replace(invented, id=first.plus(1), hops=hops, bodies=[b"denied"])
        peer.send(denied, invented)
        self.network.run(2)
        (message,) = [
            m for m in self.result(ring[0].messages()) if m.body in ("invented", "denied")
        ]
        self.assertEqual(
            [each.name for each in message.route],
            ["Node 3", "Node 4", "nobody", "X", "Node 1"],
        )


class SecuredTests(SecuredCase):
    """With certificates, a name is its owner's."""

    def node(self, name: str) -> ChordService:
        return self.network.nodes[name]

    def bodies(self) -> list[str]:
        found = []
        for service in self.network.nodes.values():
            found += [m.body for m in self.network.outcome(service.messages())]
        return found

    def refusal(self, program: Program) -> Refuse:
        (answer,) = [read_answer(each) for each in program.frames()]
        assert isinstance(answer, Refuse)
        return answer

    def member(self) -> Program:
        """Return a member that runs no node: it says what it likes."""
        identity = self.network.authority.identity(Role.PEER, "n9", self.wall())
        program = self.greet(self.showing(identity), self.hello("n9"))
        self.assertIn(WELCOME, program.tags())
        return program

    def revoke(self, name: str) -> None:
        bundle = self.network.authority.revoke(self.wall(), name=name)
        self.network.membership("n2").give_bundle(bundle.encode())
        self.net.run(1.0)

    # -- outsiders -------------------------------------------------------------------------------

    def test_who_has_no_certificate_is_refused_in_words_and_reads_nothing(self) -> None:
        foreign = make_network(["n9"], seed=9)
        self.network.outcome(self.node("n1").broadcast("secret-word"))
        programs = {
            "none": self.dial(enrolling_end()),
            "foreign": self.dial(self.showing(foreign["n9"]).dial()),
        }
        for program in programs.values():
            program.say(encode_frame(Hello("chordnet", 2, "", 0, "client", None, 2)))
            self.net.run(0.2)
            self.assertNotIn(WELCOME, program.tags())
            self.assertNotIn(b"secret-word", program.heard)
        self.assertEqual(self.refusal(programs["foreign"]).code, "certificate")
        self.assert_serving()

    def test_a_conversation_that_was_overheard_and_is_said_again_does_nothing(self) -> None:
        visitor = self.showing(self.network.trust.client(Role.SEND))
        program = self.dial(visitor.dial())
        program.say(encode_frame(Hello("chordnet", 2, "", 0, "client", None, 2)))
        program.say(encode_frame(SendMessage(1, "once")))
        self.net.run(1.0)
        self.assertEqual(self.bodies().count("once"), 3)
        dialler = self.net.dialling_from("10.6.6.6:1")(None, address_of("n1"), 3.0)  # type: ignore[arg-type]
        echo: Raw = self.network.outcome(dialler.connect(Factory.forProtocol(Raw)))
        echo.transport.write(program.written)
        self.net.run(4.0)
        self.assertTrue(echo.lost)
        self.assertEqual(self.bodies().count("once"), 3)
        self.assert_unharmed()

    def shake_hands(self, host: str, credentials: Credentials, hello: Hello) -> int | None:
        """Return the tag of the answer to a program at an address; None if it is turned away."""
        factory = self.net._factories[address_of("n1")]
        protocol = factory.buildProtocol(IPv4Address("TCP", host, 4000))
        if protocol is None:
            return None
        transport, end, heard = Transport(), credentials.dial(), b""
        protocol.makeConnection(transport)
        for _ in range(4):
            said = end.take()
            if end.established and not heard:
                said += end.protect(encode_frame(hello))
            if said:
                protocol.dataReceived(said)
            answer = transport.value()
            transport.clear()
            heard += end.receive(answer)
        protocol.connectionLost()
        (frame,) = FrameDecoder(9999).feed(heard)
        return tag_of(frame)

    def test_of_a_thousand_handshakes_that_fail_few_are_made_and_others_get_in(self) -> None:
        foreign = self.showing(make_network(["n9"], seed=9)["n9"])
        answers = Counter(
            self.shake_hands("10.6.6.6", foreign, self.hello("n9")) for _ in range(1000)
        )
        self.assertEqual(answers, {REFUSE: 64, None: 936})
        self.net.clock.advance(1.0)
        answers = Counter(
            self.shake_hands("10.6.6.6", foreign, self.hello("n9")) for _ in range(1000)
        )
        self.assertEqual(answers, {REFUSE: 4, None: 996})
        visitor = self.showing(self.network.trust.client(Role.READ))
        hello = Hello("chordnet", 2, "", 0, "client", None, 2)
        self.assertEqual(self.shake_hands("10.7.7.7", visitor, hello), WELCOME)
        lines = self.node("n1").node.counters()  # type: ignore[union-attr]
        self.assertEqual(lines["turned_away"], 1932)
        self.assert_serving()

    def test_a_member_behind_the_address_of_one_that_fails_is_let_in_if_it_was_before(self) -> None:
        foreign = self.showing(make_network(["n9"], seed=9)["n9"])
        visitor = self.showing(self.network.trust.client(Role.READ))
        hello = Hello("chordnet", 2, "", 0, "client", None, 2)
        self.assertEqual(self.shake_hands("10.6.6.6", visitor, hello), WELCOME)
        for _ in range(100):
            self.assertEqual(self.shake_hands("10.6.6.6", foreign, self.hello("n9")), REFUSE)
        self.assertEqual(self.shake_hands("10.6.6.6", visitor, hello), WELCOME)

    def test_a_plain_program_learns_nothing_but_which_network_this_is(self) -> None:
        dialler = self.net.dialling_from("10.6.6.6:1")(None, address_of("n1"), 3.0)  # type: ignore[arg-type]
        peer = HostilePeer(self.hello("n9").node)  # type: ignore[arg-type]
        self.network.outcome(dialler.connect(Factory.forProtocol(lambda: peer)))
        self.net.run(0.5)
        self.assertEqual(peer.welcome.code, "secured")
        self.assertEqual(peer.welcome.trust, self.network.trust["n1"].network)
        self.assertTrue(peer.lost)

    # -- members ---------------------------------------------------------------------------------

    def test_no_name_but_that_of_the_certificate_is_let_in_so_none_can_be_ground(self) -> None:
        node = self.node("n2").node
        assert node is not None
        identity = self.network.authority.identity(Role.PEER, "n9", self.wall())
        for name in ground(node.me.raw, 5):
            program = self.greet(self.showing(identity), self.hello(name))
            self.assertEqual(self.refusal(program).code, "certificate")
            self.assertIn("n9", self.refusal(program).text)
            self.hang_up(program)
        self.assert_serving()

    def test_a_message_in_the_name_of_another_node_is_recorded_by_nobody(self) -> None:
        program = self.member()
        node = self.node("n2").node
        target = self.node("n1").node
        assert node is not None
        assert target is not None
        first = MessageId(node.me.raw, node.me.incarnation, 1)
        hops = [
            Hop(node.me.raw, "n2", int(EdgeKind.ORIGIN)),
            Hop(SPACE.raw(SPACE.hash(b"n9")), "n9", int(EdgeKind.FINGER)),
        ]
        said = (first, 1, self.wall(), 60, target.me.raw, int(EdgeKind.FINGER), hops, [b"forged"])
        program.say(encode_frame(Bcast(*said)))
        program.say(encode_frame(MarkedBcast(*said)))
        self.net.run(2.0)
        self.assertNotIn("forged", self.bodies())
        self.assertEqual(target.counters()["misbehaved"], 2)
        receipt = self.network.outcome(self.node("n2").broadcast("my-own"))
        self.assertEqual((receipt.recorded, receipt.conflict), (3, 0))

    # -- thieves ---------------------------------------------------------------------------------

    def test_a_stolen_certificate_does_not_take_the_place_of_a_node_that_answers(self) -> None:
        program = self.greet(self.credentials("n3"), self.hello("n3", later_ms=60_000))
        self.net.run(3.5)
        self.assertNotIn(WELCOME, program.tags())
        self.assertIn(REFUSE, program.tags())
        self.hang_up(program)
        self.assert_serving()

    def test_a_stolen_certificate_is_cut_off_within_a_second_once_it_is_revoked(self) -> None:
        stolen = self.showing(self.network.authority.identity(Role.PEER, "n9", self.wall()))
        program = self.greet(stolen, self.hello("n9"))
        self.assertIn(WELCOME, program.tags())
        self.revoke("n9")
        self.assertTrue(program.lost)
        again = self.greet(stolen, self.hello("n9", later_ms=1000))
        self.assertEqual(self.refusal(again).code, "certificate")
        self.assertIn("revoked", self.refusal(again).text)
        self.hang_up(again)
        self.assert_serving()
