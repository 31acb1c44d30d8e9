"""ChordService and its clients: whole rings in memory and virtual time."""

from __future__ import annotations

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chordnet import ChordService, P2PNetClient, P2PNetServer, p2pnetClient, p2pnetServer
from chordnet.client.cookies import Cookies
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import FingersChanged, PeerDied, RingChanged, Send, StatusChanged
from chordnet.core.base.errors import (
    Busy,
    ConfigError,
    ConnectFailed,
    InvalidMessage,
    LocalProtocolError,
    NotInRing,
    Refused,
    TimedOut,
)
from chordnet.core.base.events import Publish
from chordnet.core.base.messages import MessageId, Ping, Range, Status, contact
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.links.greeters import client_hello
from chordnet.storage.log.memory import MemoryLog
from chordnet.testing import FailingServer, MemoryNetwork, ScriptedCore
from chordnet.wire.codec import encode_frame
from chordnet.wire.rpc import MessageRecord


def only(message_id: MessageId) -> Range:
    """Return the range of one message alone."""
    number = message_id.sequence
    return Range(message_id.origin, message_id.incarnation, number, number + 1)


COOKIE = b"whoever has this may operate the nodes"


class ServiceCase(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.services: list[ChordService] = []
        self.clients: list[P2PNetClient] = []

    def tearDown(self):
        self.network.frozen.clear()
        for client in self.clients:
            client.close()
        for service in self.services:
            if service.running:
                service.stopService()
        self.network.run(8)
        self.assertEqual(self.network.connections, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def address(self, number: int) -> str:
        return f"10.0.0.{number}:7001"

    def wall(self) -> float:
        return self.network.wall + self.clock.seconds()

    def service(self, number: int, peers: tuple[int, ...] = (), **options) -> ChordService:
        options.setdefault("name", f"Node {number}")
        options.setdefault("cookies", [COOKIE])
        service = self.network.service(
            self.address(number), [self.address(peer) for peer in peers], **options
        )
        self.services.append(service)
        service.startService()
        return service

    def ring(self, size: int, **options) -> list[ChordService]:
        ring = [
            self.service(n, tuple(p for p in (1, 2) if p != n and p <= size), **options)
            for n in range(1, size + 1)
        ]
        self.network.run(4)
        self.assertTrue(all(s.node.active for s in ring))
        return ring

    def client(self, number: int, **options) -> P2PNetClient:
        options.setdefault("endpoints", self.network.dialling_from("10.9.9.9:1"))
        options.setdefault("cookie", Cookies(COOKIE, wall=self.wall))
        client = P2PNetClient(self.address(number), self.clock, **options)
        self.clients.append(client)
        return client

    def guest(self) -> P2PNetClient:
        """Return a client of the first node that may not operate it."""
        return self.client(1, cookie=Cookies(b"of another node", wall=self.wall))

    def result(self, waiting: Deferred, seconds: float = 1.0):
        """Let time pass and return what the Deferred came to."""
        outcome = []
        waiting.addBoth(outcome.append)
        self.network.run(seconds)
        self.assertEqual(len(outcome), 1, "no result in time")
        return outcome[0]

    def failure(self, waiting: Deferred, kind: type, seconds: float = 1.0) -> str:
        outcome = self.result(waiting, seconds)
        self.assertIsInstance(outcome, Failure)
        self.assertIsInstance(outcome.value, kind, outcome)
        return str(outcome.value)


class LifeTests(ServiceCase):
    def test_a_ring_forms_and_everyone_has_joined(self):
        services = [self.service(n, tuple(p for p in (1, 2) if p != n)) for n in range(1, 9)]
        joined = [service.joined() for service in services]
        for waiting in joined:
            self.assertIsNone(self.result(waiting))
        self.assertIsNone(self.result(services[0].joined(), 0))
        self.assertEqual(services[0].address, "10.0.0.1:7001")

    def test_a_node_without_peers_is_a_ring_of_its_own(self):
        service = self.service(1)
        self.assertIsNone(self.result(service.joined()))
        self.assertEqual(self.result(service.broadcast("apple")).recorded, 1)

    def test_a_stop_leaves_the_ring_and_the_others_know(self):
        ring = self.ring(4)
        self.assertIsNone(self.result(ring[0].stopService(), 2))
        for other in ring[1:]:
            status = self.result(other.status())
            nodes = {f.node.name for f in status.fingers} | {n.name for n in status.successors}
            self.assertNotIn("Node 1", nodes)
            self.assertEqual(status.state, "active")

    def test_a_stop_before_having_joined_fails_whoever_waits_for_the_joining(self):
        service = self.service(1, (9,))
        waiting = service.joined()
        stopped = service.stopService()
        self.failure(waiting, NotInRing, 2)
        self.assertIsNone(self.result(stopped))

    def test_a_service_stopped_twice_stops_once_and_both_wait_for_the_end(self):
        ring = self.ring(3)
        stops = [ring[0].stopService()]
        stops.append(ring[0].stopService())
        self.network.run(0.05)  # it is leaving the ring
        self.assertIsNotNone(ring[0].node)
        stops.append(ring[0].stopService())
        while ring[0].node is not None:
            self.network.run(0.01)
        stops.append(ring[0].stopService())  # while it closes
        self.network.run(2)
        self.assertEqual([self.successResultOf(stop) for stop in stops], [None] * 4)
        self.assertIsNone(self.result(ring[0].stopService(), 0))

    def test_a_start_before_the_stop_is_over_is_refused_and_disturbs_nothing(self):
        ring = self.ring(3)
        stopped = ring[0].stopService()
        with self.assertRaises(LocalProtocolError) as caught:
            ring[0].startService()
        self.assertIn("still being stopped", str(caught.exception))
        self.assertFalse(ring[0].running)
        self.assertIsNone(self.result(stopped, 2))
        ring[0].startService()
        self.assertIsNone(self.result(ring[0].joined(), 3))

    def test_a_service_may_be_started_again_in_the_same_object(self):
        ring = self.ring(3)
        self.result(ring[0].stopService(), 2)
        ring[0].startService()
        self.assertIsNone(self.result(ring[0].joined(), 3))
        self.assertGreater(ring[0].node.me.incarnation, 1_700_000_000_000)

    def test_a_node_may_leave_without_stopping(self):
        ring = self.ring(3)
        self.assertIsNone(self.result(ring[0].leave(), 2))
        self.assertEqual(self.result(ring[0].status()).state, "left")
        self.assertIsNone(self.result(ring[0].leave(), 0))

    def test_a_leave_that_takes_too_long_does_not_keep_a_stop(self):
        core = []

        def make(config, me, rng):
            core.append(ScriptedCore(me))
            core[0].now_status = Status.ACTIVE
            return core[0]

        service = self.service(1, core=make, leave_timeout_s=2.0)
        stopped = service.stopService()
        self.network.run(1.9)
        self.assertNoResult(stopped)
        self.assertIsNone(self.result(stopped, 0.5))

    def test_a_port_in_use_is_told_with_what_to_do(self):
        error = CannotListenError("127.0.0.1", 7001, OSError(98, "Address already in use"))
        service = ChordService(self.clock, FailingServer(error))
        waiting = service.joined()
        service.startService()
        text = self.failure(waiting, ConfigError, 0)
        self.assertEqual(
            text,
            "cannot listen on 127.0.0.1:7001: Address already in use; is another program using it?",
        )
        self.assertEqual(self.failure(service.started(), ConfigError, 0), text)
        self.failure(service.broadcast("apple"), ConfigError, 0)
        self.assertIsNone(self.result(service.stopService(), 0))

    def test_a_start_that_failed_is_in_the_log_and_can_be_tried_again(self):
        lines = []
        globalLogPublisher.addObserver(lines.append)
        self.addCleanup(globalLogPublisher.removeObserver, lines.append)
        error = CannotListenError("127.0.0.1", 7001, OSError(98, "Address already in use"))
        server = FailingServer(error)
        service = ChordService(self.clock, server, name="Node 1")
        service.startService()
        (line,) = [formatEvent(e) for e in lines if e["log_level"] is LogLevel.error]
        self.assertIn("Node 1: cannot start: cannot listen on 127.0.0.1:7001: Address", line)
        self.assertFalse(service.running)
        service.startService()
        self.assertEqual(server.tries, 2)

    def test_a_stop_while_the_service_starts_is_no_failure_in_the_log(self):
        lines = []
        globalLogPublisher.addObserver(lines.append)
        self.addCleanup(globalLogPublisher.removeObserver, lines.append)
        server = FailingServer(None)
        service = ChordService(self.clock, server, name="Node 1")
        service.startService()
        self.assertIsNone(self.result(service.stopService(), 0))
        self.assertEqual([e for e in lines if e["log_level"] is LogLevel.error], [])

    def test_a_second_start_leaves_the_running_node_as_it_is(self):
        parent = MultiService()
        parent.startService()
        service = self.network.service(self.address(1), name="Node 1")
        service.setServiceParent(parent)
        node = service.node
        service.startService()
        service.privilegedStartService()
        self.assertIs(service.node, node)
        self.assertIsNone(self.result(service.joined()))
        self.result(maybeDeferred(parent.stopService))
        self.assertIsNone(service.node)

    def test_before_the_start_there_is_nothing_to_ask(self):
        service = self.network.service(self.address(1))
        for waiting in (service.status(), service.lookup("k"), service.broadcast("b")):
            self.failure(waiting, NotInRing, 0)

    def test_settings_that_cannot_be_used_are_refused(self):
        for options in (
            {"peers": ["nonsense"]}, {"name": ""}, {"network": "two\nlines"}, {"name": "x" * 300},
            {"peers": ["a..b:1"]}, {"peers": ["x" * 64 + ".org:1"]}, {"advertise": "a..b"},
            {"advertise": "a..b:1"}, {"peers": ["a:" + "1" * 5000]},
        ):  # fmt: skip
            self.assertRaises(
                ConfigError, ChordService, self.clock, self.network.server("10.0.0.1:1"), **options
            )
        self.assertRaises(ConfigError, ChordService, self.clock, "tcp:nonsense")
        self.assertRaises(ConfigError, ChordService, self.clock, "carrier-pigeon:7001")

    def test_the_names_of_older_programs_stand_for_the_present_ones(self):
        self.assertIs(p2pnetClient, P2PNetClient)
        self.assertIs(p2pnetServer, P2PNetServer)
        self.assertTrue(issubclass(P2PNetServer, ChordService))

    def test_a_state_directory_keeps_the_identity_and_the_peers(self):
        path = self.mktemp()
        self.service(1)
        service = self.service(2, (1,), state_dir=path)
        self.network.run(5)
        first = service.node.me.incarnation
        self.result(service.stopService(), 2)
        service.startService()
        self.network.run(1)
        self.assertGreater(service.node.me.incarnation, first)
        self.assertEqual([p.name for p in service._life.state.known_peers()], ["Node 1"])
        error = self.service(3, state_dir=path)
        self.assertIn("in use", self.failure(error.started(), ConfigError, 0))


class AskingTests(ServiceCase):
    def test_broadcast_lookup_messages_and_status_are_answered(self):
        ring = self.ring(6)
        receipt = self.result(ring[2].broadcast("apple"))
        self.assertEqual((receipt.recorded, receipt.members, receipt.messages), (6, 6, 5))
        self.assertEqual((receipt.body, receipt.partial), ("apple", False))
        for service in ring:
            (message,) = self.result(service.messages())
            self.assertEqual((message.id, message.body), (receipt.id, "apple"))
            self.assertEqual(message.route[0].name, "Node 3")
        found = self.result(ring[0].lookup("apple"))
        again = self.result(ring[4].lookup("apple", iterative=True))
        self.assertEqual(found.owner, again.owner)
        self.assertEqual(found.path[0].name, "Node 1")
        self.assertEqual(found.path[-1], found.owner)

    def test_the_way_of_a_message_is_told_by_any_node(self):
        ring = self.ring(3)
        receipt = self.result(ring[0].broadcast("apple"))
        trace = self.result(ring[1].trace(receipt.id))
        self.assertEqual((trace.id, trace.record.body, trace.events), (receipt.id, "apple", []))
        self.assertEqual(self.result(self.client(2).trace(receipt.id)), trace)
        unknown = receipt.id[:-1] + "9"
        self.assertEqual(self.result(ring[1].trace(unknown)).record, None)
        text = self.failure(ring[1].trace("nonsense"), LocalProtocolError)
        self.assertIn("'nonsense' is not a message id", text)

    def test_a_message_that_is_no_phrase_is_refused(self):
        (service,) = self.ring(1)
        self.failure(service.broadcast("two words"), InvalidMessage, 0)

    def test_a_key_that_is_no_text_is_refused(self):
        (service,) = self.ring(1)
        for lookup in (service.lookup, self.client(1).lookup):
            text = self.failure(lookup("\ud800"), LocalProtocolError, 0)
            self.assertEqual(text, "the key is not valid text (UTF-8)")

    def test_more_messages_than_anybody_can_have_may_be_asked_for(self):
        (service,) = self.ring(1, state_dir=self.mktemp())
        self.result(service.broadcast("apple"))
        for limit in (1, 2**63, 2**200):
            (message,) = self.result(service.messages(limit=limit))
            self.assertEqual(message.body, "apple")

    def test_messages_after_an_unknown_one_are_refused(self):
        (service,) = self.ring(1)
        self.failure(service.messages(since="nonsense"), LocalProtocolError, 0)

    def test_a_broadcast_beyond_the_limit_in_flight_is_told_to_be_one_too_many(self):
        (service,) = self.ring(1, config=ProtocolConfig(max_broadcasts=3))
        waiting = [service.broadcast(f"m{n}") for n in range(4)]
        self.failure(waiting.pop(), Busy, 0)
        self.assertTrue(all(self.result(one).recorded == 1 for one in waiting))

    def test_a_stop_answers_what_was_asked(self):
        ring = self.ring(2)
        self.network.frozen.add(self.address(2))
        lookups = [ring[0].lookup(f"k{n}") for n in range(4)]
        ring[0].stopService()
        for waiting in lookups:
            outcome = self.result(waiting, 4)
            if isinstance(outcome, Failure):
                outcome.trap(NotInRing)


class HookTests(ServiceCase):
    def test_messages_ring_changes_and_deaths_are_told(self):
        ring = self.ring(4)
        heard: dict[type, list[object]] = {}
        kinds = (RingChanged, FingersChanged, PeerDied, StatusChanged, MessageRecord)
        for kind in kinds:
            ring[0].on(kind, heard.setdefault(kind, []).append)
        self.result(ring[1].broadcast("apple"))
        self.network.kill(self.address(4))
        self.network.run(4)
        self.assertEqual([m.body for m in heard[MessageRecord]], ["apple"])
        self.assertEqual([(d.peer.name, d.left) for d in heard[PeerDied]], [("Node 4", False)])
        self.assertTrue(heard[RingChanged])
        self.assertTrue(heard[FingersChanged])
        self.result(ring[1].leave(), 2)
        gone = heard[PeerDied][-1]
        self.assertEqual((gone.peer.name, gone.left), ("Node 2", True))
        self.result(ring[0].leave(), 2)
        self.assertEqual(heard[StatusChanged][-1].new, Status.LEFT)

    def test_a_callback_that_raises_is_counted_and_the_node_goes_on(self):
        (service,) = self.ring(1)
        heard = []
        service.subscribe(lambda message: 1 / 0)
        service.subscribe(heard.append)
        self.result(service.broadcast("apple"))
        self.result(service.broadcast("pear"))
        self.assertEqual([m.body for m in heard], ["apple", "pear"])
        self.assertEqual(self.result(service.status()).counters["callback_errors"], 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_a_subscription_that_was_stopped_hears_nothing(self):
        (service,) = self.ring(1)
        heard = []
        subscription = service.subscribe(heard.append)
        subscription.stop()
        subscription.stop()
        self.result(service.broadcast("apple"))
        self.assertEqual(heard, [])

    def test_a_callback_may_broadcast(self):
        ring = self.ring(3)
        ring[1].subscribe(lambda m: m.body == "ping" and ring[1].broadcast("pong"))
        heard = []
        ring[2].subscribe(lambda m: heard.append(m.body))
        self.result(ring[0].broadcast("ping"))
        self.assertEqual(heard, ["ping", "pong"])


class CoreFailureTests(ServiceCase):
    def test_a_bug_in_the_core_is_logged_and_the_node_goes_on(self):
        cores = []

        def script(event):
            if type(event) is Publish:
                raise ZeroDivisionError("a bug")
            return []

        def make(config, me, rng):
            cores.append(ScriptedCore(me, script))
            cores[0].now_status = Status.ACTIVE
            return cores[0]

        service = self.service(1, core=make, leave_timeout_s=0.5)
        service.broadcast("apple").addErrback(lambda _failure: None)
        self.network.run(0.1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.result(service.status()).counters["core_errors"], 1)

    def test_a_dead_contact_is_an_event_for_the_core(self):
        cores = []

        def script(event):
            return [Send(contact("10.0.0.9:1"), Ping(1))] if not cores[0].events[1:] else []

        def make(config, me, rng):
            cores.append(ScriptedCore(me, script))
            return cores[0]

        self.service(1, core=make, leave_timeout_s=0.5)
        self.network.run(0.5)
        self.assertEqual(len(cores[0].events), 2)


class ClientTests(ServiceCase):
    def test_every_call_of_a_client_is_answered(self):
        self.ring(4)
        client = self.client(2)
        receipt = self.result(client.send_message("apple"))
        self.assertEqual((receipt.recorded, receipt.body), (4, "apple"))
        accepted = self.result(client.send_message("pear", wait=False))
        self.assertEqual((accepted.recorded, accepted.body), (0, "pear"))
        messages = self.result(client.get_messages())
        self.assertEqual([m.body for m in messages], ["apple", "pear"])
        self.assertEqual([m.body for m in self.result(client.get_messages(1))], ["pear"])
        after = self.result(client.get_messages(since=messages[0].id))
        self.assertEqual([m.body for m in after], ["pear"])
        self.assertEqual(self.result(client.status()).node.name, "Node 2")
        found = self.result(client.lookup("apple"))
        self.assertEqual(found, self.result(client.lookup("apple", iterative=False)))

    def test_calls_share_one_connection(self):
        (_service,) = self.ring(1)
        client = self.client(1)
        calls = [client.lookup(f"k{n}") for n in range(100)]
        self.assertTrue(all(self.result(call, 0.01).owner for call in calls))
        self.assertEqual(len(self.network.connections), 1)

    def test_errors_keep_their_kind(self):
        self.service(1, (9,))
        client = self.client(1)
        text = self.failure(client.send_message("apple"), NotInRing)
        self.assertIn("not in a ring", text)
        self.failure(client.lookup("apple"), NotInRing)
        self.failure(client.get_messages(since="nonsense"), LocalProtocolError)

    def test_a_bad_phrase_does_not_even_connect(self):
        client = self.client(1)
        self.failure(client.send_message("two words"), InvalidMessage, 0)
        self.assertEqual(self.network.connections, [])

    def test_what_cannot_be_sent_fails_its_call_and_no_other(self):
        self.ring(1)
        client = self.client(1)
        for _connected in (False, True):
            good = client.status()
            for bad in (
                client.get_messages(10**20),
                client.lookup("\ud800"),
                client.trace("x" * 300_000),
                client.follow(print, since="\ud800").finished,
            ):
                self.failure(bad, LocalProtocolError, 0)
            self.assertEqual(self.result(good).node.name, "Node 1")
        self.assertEqual(len(self.network.connections), 1)

    def test_a_call_where_nobody_listens_fails_with_the_address(self):
        text = self.failure(self.client(9).status(), ConnectFailed)
        self.assertIn("10.0.0.9:7001", text)

    def test_a_client_of_another_network_is_refused(self):
        self.ring(1)
        text = self.failure(self.client(1, network="other").status(), Refused)
        self.assertIn("this is network 'default'", text)

    def test_a_call_to_a_frozen_node_fails_when_the_time_is_up(self):
        self.ring(1)
        client = self.client(1, timeout_s=2.0)
        self.result(client.status())
        self.network.frozen.add(self.address(1))
        self.failure(client.status(), TimedOut, 2.5)

    def test_the_connection_is_made_again_after_it_was_lost(self):
        (service,) = self.ring(1)
        client = self.client(1)
        self.result(client.status())
        waiting = client.lookup("apple")
        self.network.connections[0][0].abortConnection()
        self.failure(waiting, ConnectFailed)
        self.assertEqual(self.result(client.status()).node.name, "Node 1")
        self.assertEqual(service._life.desk.clients, 1)

    def test_a_stopping_node_says_goodbye(self):
        (service,) = self.ring(1)
        client = self.client(1)
        self.result(client.status())
        following = client.follow(lambda message: None)
        service.stopService()
        text = self.failure(following.finished, ConnectFailed, 3)
        self.assertIn("the node is shutting down", text)

    def test_leave_is_answered_and_the_program_is_told(self):
        ring = self.ring(2)
        told = []
        ring[0].on_leave_request(lambda: told.append(ring[0].stopService()))
        self.assertIsNone(self.result(self.client(1).leave(), 4))
        self.assertEqual(len(told), 1)
        self.assertIsNone(self.result(told[0], 4))

    def test_a_cancelled_call_is_forgotten(self):
        self.ring(1)
        client = self.client(1)
        waiting = client.status()
        waiting.addErrback(lambda _failure: None)
        waiting.cancel()
        self.assertEqual(client._channel._waiting, {})
        self.network.run(0.1)

    def test_requests_in_flight_are_limited(self):
        limits = NetworkLimits(client_in_flight=5)
        ring = self.ring(3, limits=limits)
        self.network.frozen.update({self.address(2), self.address(3)})
        client = self.client(1)
        outcomes = []
        for n in range(40):
            client.lookup(f"key-{n}").addBoth(outcomes.append)
        self.network.run(0.1)
        self.assertTrue(any(isinstance(o, Failure) and o.check(Busy) for o in outcomes))
        self.assertEqual(ring[0]._life.desk.clients, 1)

    def test_clients_are_limited(self):
        self.ring(1, limits=NetworkLimits(max_clients=2))
        self.result(self.guest().status())
        self.result(self.guest().status())
        self.assertIn("as many clients", self.failure(self.guest().status(), Refused))

    def test_clients_that_ask_nothing_give_way_to_one_that_asks(self):
        ring = self.ring(1, limits=NetworkLimits(max_clients=3))
        strangers = []
        for _ in range(3):
            door = ring[0]._life._entrance.door
            protocol, transport = door.buildProtocol(None), StringTransportWithDisconnection()
            transport.protocol = protocol
            transport.abortConnection = transport.loseConnection
            protocol.makeConnection(transport)
            protocol.dataReceived(encode_frame(client_hello("")))
            strangers.append(transport)
        self.assertIn("as many clients", self.failure(self.guest().status(), Refused, 0.1))
        self.network.run(1.0)
        asking = [self.guest() for _ in range(3)]
        for client in asking:
            self.assertEqual(self.result(client.status(), 0.5).state, "active")
        self.assertFalse(any(transport.connected for transport in strangers))
        self.assertEqual(ring[0]._life.desk.clients, 3)

    def test_a_quiet_client_gives_way_and_may_come_back_and_one_that_follows_stays(self):
        ring = self.ring(1, limits=NetworkLimits(max_clients=2))
        follower, quiet = self.guest(), self.client(1)
        heard = []
        follower.follow(heard.append)
        self.result(quiet.status())
        self.assertIn("as many clients", self.failure(self.guest().status(), Refused, 0.1))
        self.network.run(5.0)
        self.assertEqual(self.result(self.guest().status()).state, "active")
        self.result(ring[0].broadcast("apple"))
        self.assertEqual([message.body for message in heard], ["apple"])
        self.network.run(5.0)
        self.assertEqual(self.result(quiet.status()).state, "active")

    def test_an_idle_client_is_sent_away_and_may_come_back(self):
        self.ring(1, limits=NetworkLimits(idle_s=10))
        client = self.guest()
        self.result(client.status())
        self.network.run(25)
        self.assertEqual(self.network.connections, [])
        self.result(client.status())


class PagingTests(ServiceCase):
    def test_many_and_long_messages_come_in_several_replies(self):
        (service,) = self.ring(1)
        bodies = [f"{n:04}" + "x" * 4000 for n in range(600)]
        for body in bodies:
            self.result(service.broadcast(body), 0.001)
        client = self.guest()
        everything = self.result(client.get_messages())
        self.assertEqual([m.body for m in everything], bodies)
        newest = self.result(client.get_messages(limit=300))
        self.assertEqual([m.body for m in newest], bodies[300:])
        after = self.result(client.get_messages(limit=290, since=everything[99].id))
        self.assertEqual([m.body for m in after], bodies[100:390])

    def test_a_follower_gets_what_was_and_what_comes_once_and_in_order(self):
        ring = self.ring(3)
        for n in range(300):
            self.result(ring[0].broadcast(f"old-{n}"), 0.003)
        client, heard = self.client(2), []
        following = client.follow(heard.append)
        for n in range(300):
            ring[n % 3].broadcast(f"new-{n}")
            self.network.run(0.002)
        self.network.run(0.1)
        self.assertEqual([m.body for m in heard[:300]], [f"old-{n}" for n in range(300)])
        self.assertEqual(len({m.id for m in heard}), 600)
        following.stop()
        self.assertIsNone(self.result(following.finished))
        self.result(ring[0].broadcast("later"))
        self.assertEqual(len(heard), 600)

    def test_following_from_a_message_on(self):
        (service,) = self.ring(1)
        receipts = [self.result(service.broadcast(f"m{n}"), 0.001) for n in range(4)]
        heard = []
        self.client(1).follow(heard.append, since=receipts[1].id)
        self.network.run(0.1)
        self.assertEqual([m.body for m in heard], ["m2", "m3"])

    def test_following_from_an_unknown_message_is_refused(self):
        self.ring(1)
        following = self.client(1).follow(lambda message: None, since="nonsense")
        self.failure(following.finished, LocalProtocolError)

    def test_a_callback_that_raises_ends_the_following(self):
        (service,) = self.ring(1)
        following = self.client(1).follow(lambda message: 1 / 0)
        self.result(service.broadcast("apple"))
        self.failure(following.finished, ZeroDivisionError, 0)

    def test_a_slow_follower_costs_nothing_and_catches_up(self):
        (service,) = self.ring(1)
        client, heard = self.client(1), []
        client.follow(heard.append)
        self.network.run(0.1)
        self.network.frozen.add("10.9.9.9:1")
        for n in range(400):
            self.result(service.broadcast(f"{n:04}" + "x" * 4000), 0.002)
        ((_near, far),) = self.network.connections
        self.assertLess(far.buffered, 400_000)
        self.network.thaw("10.9.9.9:1")
        self.network.run(1)
        self.assertEqual([m.body[:4] for m in heard], [f"{n:04}" for n in range(400)])

    def test_a_follower_that_reads_nothing_is_cut_off(self):
        (service,) = self.ring(1)
        client = self.client(1)
        following = client.follow(lambda message: None)
        self.network.run(0.1)
        self.network.frozen.add("10.9.9.9:1")
        for n in range(100):
            self.result(service.broadcast(f"{n:04}" + "x" * 4000), 0.002)
        self.network.run(25)
        self.assertEqual(service._life.desk.clients, 0)
        counters = self.result(service.status()).counters
        self.assertEqual(counters["clients_overloaded"], 1)
        self.failure(following.finished, ConnectFailed, 0)

    def test_a_follower_that_falls_off_the_log_is_told_how_much_it_missed(self):
        (service,) = self.ring(1, log=MemoryLog(max_messages=20))
        client, heard = self.client(1), []
        following = client.follow(heard.append)
        self.network.run(0.1)
        self.network.frozen.add("10.9.9.9:1")
        for n in range(200):
            self.result(service.broadcast(f"{n:04}" + "x" * 4000), 0.002)
        self.network.thaw("10.9.9.9:1")
        text = self.failure(following.finished, LocalProtocolError)
        self.assertIn("messages were dropped from the log", text)
        self.assertIn(str(180 - len(heard)), text)
