"""Connections between peers: dialling, sharing, failing, superseding, in virtual time."""

from __future__ import annotations

from itertools import pairwise

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Judged
from chordnet.core.base.errors import LocalProtocolError
from chordnet.core.base.events import Greeted, LinkFault
from chordnet.core.base.messages import FindFailed, NodeRef, Ping, Pong, StoreMail, contact
from chordnet.net.base.addresses import client_endpoint
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.testing import MemoryNetwork
from tests.net.hosts import Host, node_ref

A, B, C = "10.0.0.1:7001", "10.0.0.2:7001", "10.0.0.3:7001"


class TransportCase(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.hosts: list[Host] = []

    def host(self, name: str, address: str, **options) -> Host:
        host = Host(self.network, name, address, **options)
        self.hosts.append(host)
        return host

    def run_for(self, seconds: float) -> None:
        self.network.run(seconds)

    def tearDown(self):
        for host in self.hosts:
            host.stop()
        self.network.frozen.clear()
        self.run_for(3)
        self.assertEqual(self.network.connections, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])


class DiallingTests(TransportCase):
    def test_the_first_message_dials_and_arrives(self):
        a, b = self.host("a", A), self.host("b", B)
        a.send(b, Ping(1))
        self.run_for(0.1)
        self.assertEqual(b.received, [("a", Ping(1))])
        b.send(a, Pong(1, 3))
        self.run_for(0.1)
        self.assertEqual(a.received, [("b", Pong(1, 3))])
        self.assertEqual(len(self.network.connections), 1)

    def test_messages_that_wait_for_a_dial_keep_their_order(self):
        a, b = self.host("a", A), self.host("b", B)
        for rid in range(20):
            a.send(b, Ping(rid))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(rid) for rid in range(20)])

    def test_several_messages_of_one_turn_leave_in_one_write(self):
        a, b = self.host("a", A), self.host("b", B)
        a.send(b, Ping(0))
        self.run_for(0.1)
        near, _far = self.network.connections[0]
        before = near.writes
        a.send(b, *[Ping(rid) for rid in range(1, 11)])
        self.assertEqual(near.writes, before + 1)
        self.run_for(0.1)
        self.assertEqual(len(b.received), 11)

    def test_what_is_sent_outside_of_a_turn_leaves_in_one_write(self):
        a, b = self.host("a", A), self.host("b", B)
        a.send(b, Ping(0))
        self.run_for(0.1)
        near, _far = self.network.connections[0]
        before = near.writes
        for rid in range(5):
            a.transport.send(b.me, Ping(rid))
        self.assertEqual(near.writes, before)
        self.run_for(0.1)
        self.assertEqual(near.writes, before + 1)

    def test_nobody_listening_is_refused_once_for_each_dial(self):
        a = self.host("a", A)
        for rid in range(3):
            a.send(node_ref("b", B), Ping(rid))
        self.run_for(0.02)
        self.assertEqual(a.downs, [("b", LinkFault.REFUSED)])

    def test_an_unreachable_host_times_out(self):
        a, b = self.host("a", A), self.host("b", B)
        self.network.unreachable.add(B)
        a.send(b, Ping(1))
        self.run_for(2.9)
        self.assertEqual(a.downs, [])
        self.run_for(0.2)
        self.assertEqual(a.downs, [("b", LinkFault.UNREACHABLE)])

    def test_pauses_between_failed_dials_grow_up_to_a_limit(self):
        a = self.host("a", A)
        a.transport.trust([B])
        at = []
        for _ in range(10_000):
            before = len(a.downs)
            a.send(node_ref("b", B), Ping(1))
            self.clock.advance(0.01)
            if len(a.downs) > before:
                at.append(self.clock.seconds())
        pauses = [later - sooner for sooner, later in pairwise(at)]
        self.assertLess(pauses[0], 0.1)
        self.assertTrue(all(0.7 < pause < 1.4 for pause in pauses[6:]), pauses)
        self.assertGreater(len(at), 60)

    def test_pauses_are_short_again_when_the_peer_was_reached(self):
        a = self.host("a", A)
        a.transport.trust([B])

        def refusals() -> int:
            before = len(a.downs)
            for _ in range(50):
                a.send(node_ref("b", B), Ping(1))
                self.clock.advance(0.01)
            return len(a.downs) - before

        soon = refusals()
        for _ in range(20):
            refusals()
        self.assertLessEqual(refusals(), 1)
        b = self.host("b", B)
        b.send(a, Ping(2))
        self.run_for(0.1)
        self.assertIn(Ping(2), a.got())
        b.stop()
        self.run_for(0.1)
        self.assertGreaterEqual(refusals(), soon)

    def test_what_waits_during_a_pause_between_dials_is_sent_after_the_pause(self):
        a = self.host("a", A)
        a.send(node_ref("b", B), Ping(1))
        self.run_for(0.01)
        b = self.host("b", B)
        a.send(b, Ping(2))
        self.run_for(0.2)
        self.assertEqual(b.got(), [Ping(2)])

    def test_a_stop_lets_go_of_what_waits_for_a_dial(self):
        a, b = self.host("a", A), self.host("b", B)
        self.network.unreachable.add(B)
        a.send(b, Ping(1))
        (link,) = a.transport._links.values()
        self.assertGreater(link.queued_bytes, 0)
        a.stop()
        self.assertEqual((link.queue, link.queued_bytes), ([], 0))

    def test_what_leads_nowhere_is_counted_as_a_message_dropped(self):
        a = self.host("a", A)
        a.send(a, Ping(1), Ping(2))
        self.assertEqual(a.journal.counters.number(NetMetric.MESSAGES_DROPPED), 2)
        self.assertEqual(a.downs, [("a", LinkFault.REJECTED)] * 2)

    def test_the_queue_of_a_dial_is_limited(self):
        a, b = self.host("a", A, limits=NetworkLimits(dial_queue_bytes=100)), self.host("b", B)
        for rid in range(100):
            a.send(b, Ping(rid))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(rid) for rid in range(len(b.received))])
        self.assertLess(len(b.received), 20)
        self.assertEqual(
            a.journal.counters.number(NetMetric.MESSAGES_DROPPED), 100 - len(b.received)
        )

    def test_letters_of_the_store_leave_room_for_other_messages_in_the_queue_of_a_dial(self):
        a, b = self.host("a", A, limits=NetworkLimits(dial_queue_bytes=1000)), self.host("b", B)
        a.transport.trust([b.me.address])
        for text in ("a", "b", "c", "d"):
            a.transport.mail(b.me, text.encode() * 300)
        a.send(b, Ping(1))
        self.run_for(0.1)
        letters = [StoreMail(b"a" * 300), StoreMail(b"b" * 300)]
        self.assertEqual(b.got(), [*letters, Ping(1)])
        self.assertEqual(a.journal.counters.number(NetMetric.LETTERS_DROPPED), 2)

    def test_one_letter_may_fill_the_queue_of_a_dial(self):
        a, b = self.host("a", A, limits=NetworkLimits(dial_queue_bytes=1000)), self.host("b", B)
        a.transport.trust([b.me.address])
        a.transport.mail(b.me, b"a" * 900)
        a.transport.mail(b.me, b"b")
        self.run_for(0.1)
        self.assertEqual(b.got(), [StoreMail(b"a" * 900)])

    def test_dials_at_the_same_time_are_limited_and_the_others_follow(self):
        a = self.host("a", A, limits=NetworkLimits(max_dials=2))
        others = [self.host(f"n{i}", f"10.0.1.{i}:7001") for i in range(1, 8)]
        for other in others:
            a.send(other, Ping(1))
        self.run_for(0.1)
        self.assertTrue(all(other.got() == [Ping(1)] for other in others))

    def named(self, a: Host, teller: str, count: int, start: int = 0) -> None:
        """Have ``a`` send to so many nodes that it knows from ``teller`` alone."""
        a.transport.teller = teller.encode()
        for number in range(start, start + count):
            address = f"10.{len(teller)}.{number // 250}.{number % 250}:1"
            a.send(node_ref(f"{teller}{number}", address), Ping(1))
        a.transport.teller = b""

    def test_addresses_that_one_peer_names_are_dialled_at_a_limited_rate(self):
        a = self.host("a", A)
        self.named(a, "x", 500)
        self.run_for(0.1)
        self.assertEqual(a.transport.dials_made, 32)
        self.assertEqual(len(a.downs), 500)
        self.assertEqual(a.journal.counters.number(NetMetric.DIALS_REFUSED), 468)
        told = [line for line in a.lines if "did not dial " in line]
        self.assertEqual(len(told), 5)
        address = "10.1.0.32:1: peers name too many new addresses"
        self.assertTrue(told[0].endswith(f"did not dial {address}"), told[0])
        self.run_for(60)
        before = a.transport.dials_made
        self.named(a, "x", 500, 500)
        self.assertLessEqual(a.transport.dials_made - before, 32)
        self.assertLess(len(a.transport._links), 100)

    def test_what_is_sent_while_a_peer_s_messages_are_handled_is_on_its_word(self):
        a, b = self.host("a", A), self.host("b", B)
        tellers = []
        a.transport.post = lambda _event: tellers.append(a.transport.teller)
        b.send(a, Ping(1), Ping(2))
        self.run_for(0.1)
        self.assertEqual(tellers, [b.me.raw] * 2)
        self.assertEqual(a.transport.teller, b"")

    def test_addresses_that_many_peers_name_are_dialled_at_one_limited_rate(self):
        a = self.host("a", A)
        for teller in range(1, 21):
            self.named(a, "y" * teller, 20)
        self.run_for(0.1)
        self.assertEqual(a.transport.dials_made, 128)

    def test_trusted_addresses_and_met_nodes_are_dialled_however_much_peers_name(self):
        a, b, c = self.host("a", A), self.host("b", B), self.host("c", C)
        a.transport.trust([B])
        c.send(a, Ping(1))
        self.run_for(0.1)
        for teller in range(1, 21):
            self.named(a, "y" * teller, 40)
        self.run_for(0.1)
        a.send(b, Ping(2))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(2)])
        a.send(c, Ping(3))
        self.run_for(0.1)
        self.assertEqual(c.got(), [Ping(3)])

    def test_an_address_that_a_peer_named_and_that_fails_is_left_alone_for_longer(self):
        a = self.host("a", A)
        for _ in range(6000):
            a.send(node_ref("b", B), Ping(1))
            self.clock.advance(0.02)
        self.assertLess(a.transport.dials_made, 20)

    def test_an_address_that_cannot_be_dialled_costs_no_place_among_the_dials(self):
        dial = self.network.dialling_from(A)

        def endpoints(reactor, address, timeout):
            make = client_endpoint if address.startswith("a..") else dial
            return make(reactor, address, timeout)

        limits = NetworkLimits(max_dials=2)
        a, b = self.host("a", A, limits=limits, endpoints=endpoints), self.host("b", B)
        for number in range(5):
            a.send(contact(f"a..{number}:1"), Ping(1))
        a.send(b, Ping(1))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(1)])
        self.assertEqual([fault for _, fault in a.downs], [LinkFault.UNREACHABLE] * 5)

    def test_an_endpoint_that_cannot_be_made_is_logged_and_costs_no_place(self):
        dial = self.network.dialling_from(A)

        class Broken:
            def connect(self, _factory):
                raise ZeroDivisionError

        def endpoints(reactor, address, timeout):
            if address.startswith("unmade"):
                raise ZeroDivisionError
            return Broken() if address.startswith("broken") else dial(reactor, address, timeout)

        limits = NetworkLimits(max_dials=2)
        a, b = self.host("a", A, limits=limits, endpoints=endpoints), self.host("b", B)
        for number in range(5):
            a.send(contact(f"unmade{number}:1"), Ping(1))
            a.send(contact(f"broken{number}:1"), Ping(1))
        a.send(b, Ping(1))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(1)])
        self.assertEqual([fault for _, fault in a.downs], [LinkFault.UNREACHABLE] * 10)
        self.assertEqual(a.journal.counters.number(NetMetric.TURN_ERRORS), 5)

    def test_a_peer_that_does_not_answer_a_greeting_is_unreachable(self):
        a, b = self.host("a", A), self.host("b", B)
        self.network.frozen.add(B)
        a.send(b, Ping(1))
        self.run_for(3.1)
        self.assertEqual(a.downs, [("b", LinkFault.UNREACHABLE)])

    def test_a_message_of_a_node_to_itself_is_rejected(self):
        a = self.host("a", A)
        a.send(a, Ping(1))
        a.send(contact(A), Ping(1))
        self.assertEqual(a.downs, [("a", LinkFault.REJECTED), (A, LinkFault.REJECTED)])

    def test_a_frame_longer_than_the_other_side_accepts_is_not_sent(self):
        a, b = self.host("a", A), self.host("b", B)
        a.send(b, Ping(1))
        self.run_for(0.1)
        self.assertRaises(LocalProtocolError, a.transport.send, b.me, FindFailed(1, "x" * 300_000))


class CrowdTests(TransportCase):
    def crowd(self, a: Host, count: int) -> list[Host]:
        callers = [self.host(f"x{n}", f"10.0.9.{n}:1") for n in range(count)]
        for caller in callers:
            caller.send(a, Ping(1))
        self.run_for(0.1)
        return callers

    def test_callers_of_whom_we_want_nothing_give_way_to_a_newcomer(self):
        a, b = self.host("a", A, limits=NetworkLimits(max_peers=4)), self.host("b", B)
        a.send(b, Ping(1))
        neighbour = self.host("n", C)
        neighbour.send(a, Ping(2))
        self.run_for(0.1)
        a.send(neighbour, Ping(3))
        callers = self.crowd(a, 2)
        for caller in callers:
            a.send(caller, Pong(1, 3))
        self.run_for(1.0)
        for number in range(3):
            newcomer = self.host(f"new{number}", f"10.0.8.{number}:1")
            newcomer.send(a, Ping(10 + number))
            self.run_for(1.1)
            self.assertIn((f"new{number}", Ping(10 + number)), a.received)
        self.assertEqual(a.transport.connected, 4)
        neighbour.send(a, Ping(20))
        b.send(a, Ping(21))
        self.run_for(0.1)
        self.assertEqual(a.received[-2:], [("n", Ping(20)), ("b", Ping(21))])
        self.assertEqual(a.downs, [])

    def test_where_all_are_wanted_a_newcomer_is_refused(self):
        a = self.host("a", A, limits=NetworkLimits(max_peers=2))
        for caller in self.crowd(a, 2):
            a.send(caller, Ping(5))
        self.run_for(2.0)
        newcomer = self.host("new", B)
        newcomer.send(a, Ping(1))
        self.run_for(0.1)
        self.assertEqual(newcomer.downs, [("a", LinkFault.UNREACHABLE)])


class ContactTests(TransportCase):
    def test_a_contact_becomes_another_name_of_the_node(self):
        a, b = self.host("a", A), self.host("b", B)
        a.send(contact(B), Ping(1))
        self.run_for(0.1)
        a.send(b, Ping(2))
        a.send(contact(B), Ping(3))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(1), Ping(2), Ping(3)])
        self.assertEqual(len(self.network.connections), 1)

    def test_a_contact_may_have_another_name_than_the_node_advertises(self):
        a, b = self.host("a", A), self.host("b", B)
        self.network.bind("bee:7001", b.door)
        a.send(contact("bee:7001"), Ping(1))
        self.run_for(0.1)
        a.send(contact("bee:7001"), Ping(2))
        a.send(b, Ping(3))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(1), Ping(2), Ping(3)])
        self.assertEqual(len(self.network.connections), 1)

    def test_a_contact_that_dials_us_first_gets_what_waited(self):
        a = self.host("a", A)
        a.send(contact(B), Ping(1))
        self.run_for(0.01)
        self.assertEqual(a.downs, [(B, LinkFault.REFUSED)])
        b = self.host("b", B)
        a.send(contact(B), Ping(2))
        b.send(a, Ping(3))
        self.run_for(0.02)
        self.assertIn(Ping(2), b.got())
        self.assertEqual(len(self.network.connections), 1)

    def test_a_failing_contact_is_reported_as_a_contact(self):
        a = self.host("a", A)
        a.send(contact(B), Ping(1))
        self.run_for(0.1)
        self.assertEqual(a.downs, [(B, LinkFault.REFUSED)])

    def test_a_node_that_meets_itself_by_another_address_notices(self):
        a = self.host("a", A)
        self.network.bind("localhost:7001", a.door)
        a.send(contact("localhost:7001"), Ping(1))
        self.run_for(0.1)
        self.assertEqual(a.downs, [("localhost:7001", LinkFault.SELF)])
        self.assertEqual(a.lines, [], "a node among its own peers stays silent about itself")


class SharingTests(TransportCase):
    def test_simultaneous_dials_end_in_one_connection_and_lose_nothing(self):
        a, b = self.host("a", A), self.host("b", B)
        for rid in range(5):
            a.send(b, Ping(rid))
            b.send(a, Pong(rid, 3))
        for rid in range(5, 40):
            self.clock.advance(0.0004)
            a.send(b, Ping(rid))
            b.send(a, Pong(rid, 3))
        self.run_for(0.1)
        self.assertEqual(sorted(m.rid for m in b.got()), list(range(40)))
        self.assertEqual(sorted(m.rid for m in a.got()), list(range(40)))
        self.assertEqual(len(self.network.connections), 1)
        self.assertEqual(a.downs + b.downs, [])

    def test_the_smaller_identifiers_dial_stays(self):
        for _ in range(2):
            a, b = self.host("a", A), self.host("b", B)
            a.send(b, Ping(1))
            b.send(a, Ping(2))
            self.run_for(0.1)
            smaller = min((a.me, b.me), key=lambda ref: ref.raw)
            ((near, _far),) = self.network.connections
            self.assertEqual(near.host, smaller.address)
            a.stop()
            b.stop()
            self.run_for(0.1)
            self.hosts.clear()

    def test_whoever_dials_again_later_has_lost_the_older_connection(self):
        a, b = self.host("a", A), self.host("b", B)
        a.send(b, Ping(1))
        self.run_for(10)
        # b's end vanishes without a sound; only b knows.
        ((_near, far),) = self.network.connections
        far.write = lambda data: None
        b.transport._links[a.me.raw].detach()
        b.send(a, Ping(2))
        self.run_for(0.1)
        a.send(b, Ping(3))
        self.run_for(3)
        self.assertEqual(a.got(), [Ping(2)])
        self.assertEqual(b.got(), [Ping(1), Ping(3)])
        self.assertEqual(len(self.network.connections), 1)

    def test_three_nodes_have_three_connections(self):
        a, b, c = self.host("a", A), self.host("b", B), self.host("c", C)
        for one in (a, b, c):
            for other in (a, b, c):
                if one is not other:
                    one.send(other, Ping(1))
        self.run_for(0.2)
        self.assertEqual(len(self.network.connections), 3)
        self.assertEqual([len(host.received) for host in (a, b, c)], [2, 2, 2])


class EndTests(TransportCase):
    def connected(self, **options) -> tuple[Host, Host]:
        a, b = self.host("a", A, **options), self.host("b", B)
        a.send(b, Ping(1))
        self.run_for(0.1)
        return a, b

    def test_a_crash_breaks_the_connection(self):
        a, _b = self.connected()
        self.network.kill(B)
        self.run_for(0.1)
        self.assertEqual(a.downs, [("b", LinkFault.BROKEN)])

    def test_a_stop_closes_a_connection_in_order(self):
        a, b = self.connected()
        b.stop()
        self.run_for(0.1)
        self.assertEqual(a.downs, [("b", LinkFault.CLOSED)])
        self.assertEqual(b.downs, [])
        self.assertEqual(self.network.connections, [])

    def test_what_was_sent_before_a_stop_still_arrives(self):
        a, b = self.connected()
        b.send(a, *[Pong(rid, 3) for rid in range(50)])
        b.stop()
        self.run_for(0.1)
        self.assertEqual(len(a.received), 50)

    def test_an_idle_connection_is_closed_and_opened_again_by_the_next_message(self):
        limits = NetworkLimits(idle_s=10)
        a, b = self.connected(limits=limits)
        self.run_for(16)
        self.assertEqual(self.network.connections, [])
        self.assertEqual(a.downs, [])
        self.assertEqual(b.downs, [("a", LinkFault.CLOSED)])
        a.send(b, Ping(2))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(1), Ping(2)])

    def test_a_connection_in_use_is_not_idle(self):
        a, b = self.connected(limits=NetworkLimits(idle_s=10))
        for rid in range(30):
            b.send(a, Ping(rid))
            self.run_for(1)
        self.assertEqual(len(self.network.connections), 1)
        self.assertEqual(b.downs, [])

    def test_a_connection_on_which_only_this_node_speaks_is_in_use_on_both_sides(self):
        limits = NetworkLimits(idle_s=10)
        a, b = self.host("a", A, limits=limits), self.host("b", B, limits=limits)
        for rid in range(40):
            a.send(b, Ping(rid))
            self.run_for(1)
        self.assertEqual((a.downs, b.downs, a.transport.dials_made), ([], [], 1))
        self.assertEqual(len(b.received), 40)

    def test_a_peer_that_reads_too_slowly_is_cut_off(self):
        a, b = self.connected(limits=NetworkLimits(send_buffer_bytes=100_000))
        self.network.frozen.add(B)
        near, _far = self.network.connections[0]
        for rid in range(40):
            a.send(b, *[Ping(rid)] * 1000)
        self.run_for(0.01)
        self.assertEqual(a.downs, [("b", LinkFault.OVERLOADED)])
        self.assertLess(near.buffered, 200_000)
        self.assertTrue(a.logged("b reads too slowly"))

    def test_letters_of_the_store_do_not_have_a_slow_peer_cut_off_and_others_still_arrive(self):
        a, b = self.connected(limits=NetworkLimits(send_buffer_bytes=400_000, parts_bytes=1))
        self.network.frozen.add(B)
        for _ in range(20):
            a.transport.mail(b.me, bytes(70_000))
            self.run_for(0.001)
        a.send(b, Ping(2))
        self.run_for(0.1)
        self.network.thaw(B)
        self.run_for(0.1)
        # A part of one is in the hands of the system, and the rest of six is less than the limit.
        self.assertEqual(b.got(), [Ping(1), Ping(2), *[StoreMail(bytes(70_000))] * 6])
        self.assertEqual((a.downs, b.downs), ([], []))
        self.assertEqual(a.journal.counters.number(NetMetric.LETTERS_DROPPED), 14)
        a.transport.mail(b.me, b"hello")
        self.run_for(0.1)
        self.assertEqual(b.got()[-1], StoreMail(b"hello"))

    def test_letters_beyond_the_room_of_one_connection_share_the_room_of_all(self):
        a, b = self.connected(limits=NetworkLimits(send_buffer_bytes=100_000, parts_bytes=400_000))
        self.network.frozen.add(B)
        for _ in range(20):
            a.transport.mail(b.me, bytes(70_000))
            self.run_for(0.001)
        self.network.thaw(B)
        self.run_for(0.1)
        # Five wait here, and the first one went to the system.
        self.assertEqual(b.got(), [Ping(1), *[StoreMail(bytes(70_000))] * 6])
        self.assertEqual(a.journal.counters.number(NetMetric.LETTERS_DROPPED), 14)
        self.assertEqual((a.downs, b.downs), ([], []))

    def test_a_slow_peer_within_the_limit_gets_everything(self):
        a, b = self.connected()
        self.network.frozen.add(B)
        a.send(b, *[Ping(rid) for rid in range(30_000)])
        a.send(b, *[Ping(rid) for rid in range(30_000)])
        self.run_for(0.1)
        self.network.thaw(B)
        self.run_for(0.2)
        self.assertEqual(len(b.received), 60_001)
        self.assertEqual(a.downs, [])

    def test_a_peer_that_breaks_the_rules_is_closed_with_a_reason(self):
        a, b = self.connected()
        near, _far = self.network.connections[0]
        near.write(b"\x00\x00\x00\x02\x91\x63")
        self.run_for(0.1)
        self.assertEqual(b.downs, [("a", LinkFault.BROKEN)])
        self.assertTrue(b.logged("closed the connection with a: malformed frame"), b.lines)
        self.assertTrue(a.logged("b closed the connection: malformed frame"), a.lines)

    def test_links_that_lead_nowhere_are_forgotten(self):
        a = self.host("a", A, limits=NetworkLimits(max_links=10))
        for i in range(50):
            a.send(node_ref(f"n{i}", f"10.0.9.{i}:7001"), Ping(1))
            self.run_for(0.1)
        self.assertLessEqual(len(a.transport._links), 10)
        self.assertEqual(len(a.downs), 50)
        # Room is made again and again: each of them was dialled, not turned down for want of room.
        self.assertEqual({fault for _, fault in a.downs}, {LinkFault.REFUSED})

    def test_a_link_under_a_dial_is_not_forgotten_and_one_too_many_is_turned_down(self):
        a = self.host("a", A, limits=NetworkLimits(max_links=2))
        for number in range(3):
            address = f"10.0.9.{number}:7001"
            self.network.unreachable.add(address)
            a.send(node_ref(f"n{number}", address), Ping(1))
        self.assertEqual(a.downs, [("n2", LinkFault.UNREACHABLE)])
        self.assertEqual(a.transport.dials_made, 2)

    def test_other_names_of_links_are_limited(self):
        a = self.host("a", A, limits=NetworkLimits(max_links=3))
        for number in range(10):
            self.host(f"n{number}", f"10.0.9.{number}:7001").send(a, Ping(1))
        self.run_for(0.1)
        self.assertEqual(len(a.received), 10)
        self.assertLessEqual(len(a.transport._aliases), 3)


class Doubting:
    """Doubts every node of incarnation 1."""

    def known(self, _raw: bytes) -> NodeRef | None:
        return None

    def doubts(self, node: NodeRef) -> bool:
        return node.incarnation == 1

    def doubt(self, node: NodeRef) -> str:
        return f"{node.name} is doubted"


class IncarnationTests(TransportCase):
    def test_a_restart_supersedes_the_older_life(self):
        a, b = self.host("a", A), self.host("b", B)
        b.send(a, Ping(1))
        self.run_for(0.1)
        newer = self.host("b", "10.0.0.9:7001", incarnation=2)
        newer.send(a, Ping(2))
        self.run_for(0.1)
        self.assertEqual(a.downs, [("b", LinkFault.BROKEN)])
        a.send(newer, Pong(2, 3))
        self.run_for(0.1)
        self.assertEqual(newer.got(), [Pong(2, 3)])

    def doubted(self, judgement: str) -> tuple[Host, Host]:
        """A node that is doubted when it greets, waits, and is judged so."""
        a, first = self.host("a", A, names=Doubting()), self.host("b", B, incarnation=2)
        first.send(a, Ping(1))
        self.run_for(0.1)
        other = self.host("b", "10.0.0.9:7001", incarnation=1)
        other.send(a, Ping(2))
        self.run_for(0.1)
        (greeted,) = a.posted
        self.assertEqual((greeted.node, greeted.rival), (other.me, first.me))
        self.assertEqual((a.got(), other.downs), ([Ping(1)], []), "it waits")
        a.transport.judged(Judged(other.me, judgement, B if judgement else ""))
        self.run_for(0.2)
        return a, other

    def test_a_node_that_is_judged_not_to_have_its_name_is_refused_and_told_why(self):
        a, other = self.doubted("the name 'b' belongs to the node at 10.0.0.2:7001")
        self.assertEqual(a.got(), [Ping(1)])
        self.assertEqual(other.downs, [("a", LinkFault.REJECTED)])
        self.assertTrue(other.logged("the name 'b' belongs to the node at"), other.lines)
        self.assertTrue(a.logged("refused a peer"), a.lines)

    def test_a_node_that_is_judged_to_have_its_name_is_let_in_with_what_waited(self):
        a, other = self.doubted("")
        self.assertEqual(a.got(), [Ping(1), Ping(2)])
        self.assertEqual(other.downs, [])
        self.assertEqual(a.downs, [("b", LinkFault.BROKEN)], "the other life's connection is cut")

    def test_a_pointer_to_a_doubted_life_disturbs_no_connection(self):
        a, b = self.host("a", A, names=Doubting()), self.host("b", B, incarnation=0)
        b.send(a, Ping(1))
        self.run_for(0.1)
        a.send(node_ref("b", "10.0.0.9:7001", incarnation=1), Ping(2))
        self.run_for(0.1)
        self.assertEqual([type(event) for event in a.posted], [Greeted])
        self.assertEqual(a.downs, [])
        a.send(b, Ping(3))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(3)])

    def test_a_message_to_an_older_life_is_not_delivered_to_the_newer(self):
        a, newer = self.host("a", A), self.host("b", B, incarnation=2)
        newer.send(a, Ping(1))
        self.run_for(0.1)
        a.send(node_ref("b", B, incarnation=1), Ping(2))
        self.run_for(0.1)
        self.assertEqual(newer.got(), [])
        self.assertEqual(a.downs, [("b", LinkFault.REJECTED)])

    def test_a_message_to_a_newer_life_leaves_the_older_connection(self):
        a, b = self.host("a", A), self.host("b", B)
        a.send(b, Ping(1))
        self.run_for(0.1)
        newer = self.host("b", C, incarnation=2)
        a.send(newer, Ping(2))
        self.run_for(0.1)
        self.assertEqual(newer.got(), [Ping(2)])
        self.assertEqual(a.downs, [("b", LinkFault.BROKEN)])

    def test_another_node_at_the_address_is_not_taken_for_the_one_that_was_called(self):
        a, _c = self.host("a", A), self.host("c", B)
        a.send(node_ref("b", B), Ping(1))
        self.run_for(0.1)
        self.assertEqual(a.downs, [("b", LinkFault.REJECTED)])
        self.assertTrue(a.logged("'c' answers there, not 'b'"), a.lines)

    def test_a_full_node_is_out_of_reach_and_not_dead(self):
        a = self.host("a", A, limits=NetworkLimits(max_peers=1))
        b, c = self.host("b", B), self.host("c", C)
        b.send(a, Ping(1))
        self.run_for(0.1)
        c.send(a, Ping(2))
        self.run_for(0.1)
        self.assertEqual(a.got(), [Ping(1)])
        self.assertEqual(c.downs, [("a", LinkFault.UNREACHABLE)])
        self.assertTrue(a.logged("as many connections as it accepts"), a.lines)

    def test_another_network_is_refused(self):
        a, b = self.host("a", A, network_name="one"), self.host("b", B, network_name="two")
        b.send(a, Ping(1))
        self.run_for(0.1)
        self.assertEqual(a.got(), [])
        self.assertEqual(b.downs, [("a", LinkFault.REJECTED)])
        self.assertTrue(a.logged("this is network 'one', not 'two'"), a.lines)
        self.assertTrue(b.logged("refused this node: this is network 'one', not 'two'"), b.lines)
