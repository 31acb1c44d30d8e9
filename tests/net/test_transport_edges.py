"""Where each limit of connections with peers begins and ends, to the byte and the second."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.protocol import Factory, Protocol

from chordnet.core.base.events import Event, LinkFault, Received
from chordnet.core.base.messages import NodeRef, Ping, Pong, contact
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.net.links.greeters import client_hello, peer_hello
from chordnet.wire.codec import encode_frame, read_answer, read_peer
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import VERSION, Bye, Refuse, Welcome
from tests.net.hosts import FRAME_LIMIT, node_ref
from tests.net.test_transport import A, B, C, TransportCase

PING = len(encode_frame(Ping(1)))


class Scripted(Protocol):
    """The other end of a connection: says what it is told to, and keeps what it hears."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.heard: list[Any] = []
        self.closed = False
        self._read = read_peer if answer is not None else read_answer
        self._decoder = FrameDecoder(FRAME_LIMIT, FRAME_LIMIT)

    def say(self, *messages: Any) -> None:
        self.transport.write(b"".join(map(encode_frame, messages)))

    def dataReceived(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            if self.answer is not None:
                self.say(self.answer)
                self.answer = None
            else:
                self.heard.append(self._read.decode(frame))
                self._read = read_peer

    def connectionLost(self, _reason: Any = None) -> None:
        self.closed = True


class EdgesCase(TransportCase):
    def caller(self, node: NodeRef, *messages: Any) -> Scripted:
        """Return a peer that has called the node at A and greeted it."""
        end = self.network.connect(node.address, A, Factory.forProtocol(Scripted))
        assert isinstance(end, Scripted)
        end.say(peer_hello(node, "default", 160), *messages)
        self.run_for(0.01)
        return end

    def answering(self, address: str, answer: Any) -> list[Scripted]:
        """Have whatever listens at ``address`` give this answer; return the ends, as they come."""
        ends: list[Scripted] = []

        def build() -> Scripted:
            ends.append(Scripted(answer))
            return ends[-1]

        self.network.bind(address, Factory.forProtocol(build))
        return ends


class QueueTests(EdgesCase):
    def sent(self, room: int, *, trusted: bool) -> tuple[int, int]:
        """Return how many of five messages arrive and how many are dropped."""
        a, b = self.host("a", A, limits=NetworkLimits(dial_queue_bytes=room)), self.host("b", B)
        if trusted:
            a.transport.trust([B])
        a.send(b, *[Ping(1)] * 5)
        self.run_for(0.1)
        dropped = a.journal.counters.number(NetMetric.MESSAGES_DROPPED)
        return len(b.got()), dropped

    def test_what_waits_for_a_dial_may_fill_its_room_to_the_last_byte(self) -> None:
        self.assertEqual(self.sent(3 * PING, trusted=True), (3, 2))

    def test_a_message_that_is_one_byte_too_long_for_the_room_is_dropped(self) -> None:
        self.assertEqual(self.sent(3 * PING - 1, trusted=True), (2, 3))

    def test_a_dial_to_an_address_that_a_peer_named_has_a_sixteenth_of_the_room(self) -> None:
        self.assertEqual(self.sent(16 * 2 * PING, trusted=False), (2, 3))

    def test_a_byte_less_than_a_sixteenth_for_each_message_is_too_little(self) -> None:
        self.assertEqual(self.sent(16 * 2 * PING - 1, trusted=False), (1, 4))


class RoomTests(EdgesCase):
    def test_as_many_contacts_may_be_dialled_as_links_and_one_more_is_out_of_reach(self) -> None:
        a = self.host("a", A, limits=NetworkLimits(max_links=2))
        addresses = [f"10.0.9.{number}:7001" for number in range(3)]
        for address in addresses:
            self.network.unreachable.add(address)
            a.send(contact(address), Ping(1))
        self.assertEqual(a.downs, [(addresses[2], LinkFault.UNREACHABLE)])
        self.assertEqual(a.transport.dials_made, 2)

    def test_contacts_and_other_names_that_lead_nowhere_are_forgotten(self) -> None:
        a, b = self.host("a", A, limits=NetworkLimits(idle_s=10)), self.host("b", B)
        self.network.bind("bee:7001", b.door)
        a.send(contact("bee:7001"), Ping(1))
        a.send(contact("10.0.9.9:1"), Ping(1))
        self.run_for(0.1)
        self.assertEqual(list(a.transport._contacts), ["10.0.9.9:1"])
        self.assertEqual(set(a.transport._aliases), {"bee:7001", B})
        self.run_for(30)
        self.assertEqual((a.transport._contacts, a.transport._aliases), ({}, {}))
        self.assertEqual((a.transport._links, a.transport._looks), ({}, {}))

    def test_what_a_stop_lets_go_of_is_not_dialled_when_others_give_up_their_places(self) -> None:
        a, b = self.host("a", A, limits=NetworkLimits(max_dials=1)), self.host("b", B)
        self.network.unreachable.add(C)
        a.send(node_ref("c", C), Ping(1))
        a.send(b, Ping(1))
        self.assertEqual(a.transport.dials_made, 1)
        a.stop()
        self.run_for(0.1)
        self.assertEqual(a.transport.dials_made, 1)
        self.assertEqual((a.downs, b.got()), ([], []))

    def test_a_caller_gives_way_once_it_had_a_second_and_not_before(self) -> None:
        a = self.host("a", A, limits=NetworkLimits(max_peers=1))
        self.host("b", B).send(a, Ping(1))
        self.run_for(0.1)
        (session,) = a.transport._sessions
        for age, refused in ((0.75, True), (1.0, False)):
            session.since = self.clock.seconds() - age
            refusal = a.transport.refuse(node_ref("c", C))
            self.assertEqual(refusal is not None, refused, age)

    def test_of_several_callers_the_one_that_came_first_gives_way(self) -> None:
        a = self.host("a", A, limits=NetworkLimits(max_peers=3))
        callers = [self.host(f"x{n}", f"10.0.9.{n}:1") for n in range(3)]
        for caller in callers:
            caller.send(a, Ping(1))
            self.run_for(2)
        self.host("new", B).send(a, Ping(2))
        self.run_for(0.1)
        self.assertEqual([len(caller.downs) for caller in callers], [1, 0, 0])
        self.assertEqual(callers[0].downs, [("a", LinkFault.CLOSED)])
        self.assertEqual(a.downs, [])


class MetTests(EdgesCase):
    def test_a_node_that_has_called_may_be_dialled_however_much_peers_name(self) -> None:
        a = self.host("a", A, limits=NetworkLimits(told_dials=4, told_dials_per_s=0.001))
        b, c = self.host("b", B), self.host("c", C)
        b.send(a, Ping(1))
        self.run_for(0.1)
        a.transport._links[b.me.raw].session.connection.abort()
        self.run_for(0.1)
        a.transport.teller = b"x"
        a.send(c, Ping(2))
        for number in range(5):
            a.send(node_ref(f"n{number}", f"10.0.9.{number}:1"), Ping(2))
        made = a.transport.dials_made
        self.assertEqual(made, 1)
        a.send(b, Ping(3))
        self.run_for(0.1)
        self.assertEqual((b.got(), a.transport.dials_made), ([Ping(3)], made + 1))


class TwoConnectionsTests(EdgesCase):
    def test_the_newer_stays_if_it_is_of_the_same_side_or_comes_late_else_the_smaller_ones(
        self,
    ) -> None:
        """The window of a coincidence is 3 seconds, its end included."""
        a = self.host("a", A)
        smaller = NodeRef(bytes(20), 1, B, "b")
        greater = NodeRef(b"\xff" * 20, 1, B, "b")
        rows = [
            # The peer, whether the new one and the old one go out, how much later, the new stays.
            (smaller, True, True, 0.0, True),
            (smaller, False, False, 0.0, True),
            (greater, True, True, 0.0, True),
            (greater, False, False, 0.0, True),
            (smaller, True, False, 0.0, False),
            (smaller, False, True, 0.0, True),
            (greater, True, False, 0.0, True),
            (greater, False, True, 0.0, False),
            (greater, False, True, 3.0, False),
            (greater, False, True, 3.25, True),
            (smaller, True, False, 3.25, False),
        ]
        for peer, new_out, old_out, later, stays in rows:
            new = SimpleNamespace(node=peer, outgoing=new_out, since=100.0 + later)
            old = SimpleNamespace(node=peer, outgoing=old_out, since=100.0)
            with self.subTest(f"{peer.raw[0]} {new_out} {old_out} {later}"):
                self.assertIs(a.transport._preferred(new, old), stays)


class TellerTests(EdgesCase):
    def test_when_the_messages_of_a_peer_are_handled_nobody_is_the_teller_any_more(self) -> None:
        a = self.host("a", A)
        tellers: list[bytes] = []

        def post(event: Event) -> None:
            if isinstance(event, Received):
                tellers.append(a.transport.teller)

        a.transport.post = post
        for more in ([], [Bye("leaving")], [client_hello("")]):
            node = node_ref("b", B)
            self.caller(node, Ping(1), *more)
            self.assertEqual((tellers, a.transport.teller), ([node.raw], b""), more)
            tellers.clear()


class IdleTests(EdgesCase):
    def test_a_connection_is_closed_once_two_looks_in_a_row_find_no_message_on_it(self) -> None:
        """The looks come every half of the time, and the first of them finds the greeting."""
        a, b = self.host("a", A, limits=NetworkLimits(idle_s=10)), self.host("b", B)
        a.send(b, Ping(1))
        self.run_for(14.9)
        self.assertEqual(len(self.network.connections), 1)
        self.run_for(0.2)
        self.assertEqual(self.network.connections, [])

    def test_a_connection_on_which_nothing_was_said_since_the_greeting_is_given_as_long(
        self,
    ) -> None:
        self.host("a", A, limits=NetworkLimits(idle_s=10))
        end = self.caller(node_ref("b", B))
        self.run_for(14.9)
        self.assertEqual(end.heard[1:], [])
        self.run_for(0.2)
        self.assertEqual(end.heard[1:], [Bye("idle")])
        self.run_for(1.8)
        self.assertFalse(end.closed)
        self.run_for(0.2)
        self.assertTrue(end.closed)

    def test_a_goodbye_is_said_once_whatever_the_other_side_says_and_whatever_comes_after_it(
        self,
    ) -> None:
        for answered in (True, False):
            a = self.host("a", A, limits=NetworkLimits(idle_s=10))
            end = self.caller(node_ref("b", B))
            self.run_for(15)
            if answered:
                end.say(Bye("idle"))
                self.run_for(0.1)
            a.stop()
            self.run_for(0.1)
            self.assertEqual(end.heard[1:], [Bye("idle")])
            self.run_for(2)
            self.assertTrue(end.closed)

    def test_a_connection_on_which_a_node_speaks_by_the_contacts_address_alone_is_in_use(
        self,
    ) -> None:
        a, b = self.host("a", A, limits=NetworkLimits(idle_s=10)), self.host("b", B)
        for rid in range(40):
            a.send(contact(B), Ping(rid))
            self.run_for(1)
        self.assertEqual((b.downs, a.transport.dials_made, len(b.got())), ([], 1, 40))

    def test_looks_go_on_while_there_is_a_link_and_end_with_the_last_one(self) -> None:
        a, b = self.host("a", A, limits=NetworkLimits(idle_s=10)), self.host("b", B)
        a.send(b, Ping(1))
        self.run_for(30)
        self.assertEqual((a.transport._links, a.transport._sweep), ({}, None))
        a.send(b, Ping(2))
        self.run_for(14.9)
        self.assertEqual(len(self.network.connections), 1)
        self.run_for(0.2)
        self.assertEqual(self.network.connections, [])


class TextTests(EdgesCase):
    """Texts of the other side, and those that it is sent, are cut."""

    def test_the_complaint_of_a_peer_is_logged_up_to_200_letters(self) -> None:
        a = self.host("a", A)
        for code in ("protocol", "slow"):
            self.caller(node_ref(code, B), Bye(code, "x" * 199 + "yz"))
            self.assertIn(f"a: {code} closed the connection: {'x' * 199}y", a.lines)
        self.assertEqual(a.journal.counters.number(NetMetric.PEER_COMPLAINED), 2)

    def test_a_goodbye_for_another_reason_is_no_line(self) -> None:
        a = self.host("a", A)
        for code in ("idle", "duplicate", "leaving", "something else"):
            self.caller(node_ref("b", B), Bye(code, "x"))
        self.assertFalse(a.logged("closed the connection"), a.lines)
        self.assertEqual(a.downs, [("b", LinkFault.CLOSED)] * 4)

    def test_a_goodbye_is_answered_with_its_own_code_of_20_letters_at_most(self) -> None:
        self.host("a", A)
        for code in ("leaving", "x" * 20, "x" * 19 + "yz"):
            end = self.caller(node_ref("b", B), Bye(code, "no text of mine"))
            self.run_for(0.1)
            self.assertEqual(end.heard[1:], [Bye(code[:20])])
            self.assertTrue(end.closed)

    def test_another_node_than_the_expected_one_is_told_why_in_200_letters(self) -> None:
        a = self.host("a", A)
        other = node_ref("o" * 250, B)
        ends = self.answering(B, Welcome(VERSION, other, "default", 160))
        a.send(node_ref("b", B), Ping(1))
        self.run_for(0.1)
        problem = f"'{'o' * 250}' answers there, not 'b'"
        self.assertEqual(ends[0].heard, [Bye("protocol", problem[:200])])
        self.assertEqual(a.downs, [("b", LinkFault.REJECTED)])
        self.assertEqual(a.journal.counters.number(NetMetric.REJECTED, "identity"), 1)
        self.assertEqual(a.journal.counters.number(NetMetric.MESSAGES_DROPPED), 1)

    def test_an_older_life_that_answers_is_not_the_one_that_was_called(self) -> None:
        a = self.host("a", A)
        ends = self.answering(B, Welcome(VERSION, node_ref("b", B, 1), "default", 160))
        a.send(node_ref("b", B, 2), Ping(1))
        self.run_for(0.1)
        self.assertEqual(ends[0].heard, [Bye("protocol", "an older incarnation of it answers")])
        self.assertEqual(a.downs, [("b", LinkFault.REJECTED)])
        self.assertEqual(a.transport.connected, 0)

    def test_a_newer_life_that_answers_takes_the_place_of_the_one_that_was_called(self) -> None:
        a = self.host("a", A)
        self.answering(B, Welcome(VERSION, node_ref("b", B, 3), "default", 160))
        a.send(node_ref("b", B, 2), Ping(1))
        self.run_for(0.1)
        self.assertEqual(a.downs, [("b", LinkFault.BROKEN)])
        self.assertEqual([session.node.incarnation for session in a.transport._sessions], [3])

    def test_why_a_stopped_node_lets_in_no_peer_is_said_in_500_letters(self) -> None:
        a = self.host("a", A)
        self.assertIsNone(a.transport.refuse(node_ref("b", B)))
        a.transport.stop("x" * 499 + "yz")
        self.assertEqual(a.transport.refuse(node_ref("b", B)), Refuse("full", "x" * 499 + "y"))

    def test_a_refusal_of_a_kind_not_known_here_is_counted_without_its_kind(self) -> None:
        a = self.host("a", A)
        for number, (code, label) in enumerate((("network", "network"), ("news", ""))):
            address = f"10.0.9.{number}:1"
            self.answering(address, Refuse(code, "go away"))
            a.send(contact(address), Ping(1))
            self.run_for(0.1)
            self.assertEqual(a.journal.counters.number(NetMetric.REJECTED, label), 1)
            self.assertIn(f"a: {address} refused this node: go away", a.lines)
        self.assertEqual([fault for _, fault in a.downs], [LinkFault.REJECTED] * 2)
        self.assertEqual(a.journal.counters.number(NetMetric.DIALS_FAILED), 2)


class WantedTests(EdgesCase):
    def test_answers_make_no_neighbour_of_a_caller_and_any_other_message_does(self) -> None:
        a = self.host("a", A)
        b, c = self.host("b", B), self.host("c", C)
        for other in (b, c):
            other.send(a, Ping(1))
        self.run_for(0.1)
        a.send(b, Pong(1, 3))
        a.send(c, Pong(1, 3), Ping(2))
        wanted = {s.node.name: s.link.wanted for s in a.transport._sessions}
        self.assertEqual(wanted, {"b": False, "c": True})

    def test_a_node_that_is_dialled_for_an_answer_alone_is_not_wanted(self) -> None:
        a = self.host("a", A)
        for name, message, wanted in (("b", Pong(1, 3), False), ("c", Ping(1), True)):
            node = node_ref(name, B)
            a.send(node, message)
            self.assertIs(a.transport._links[node.raw].wanted, wanted)
