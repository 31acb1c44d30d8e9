"""A client that is given several addresses, in memory and virtual time."""

from __future__ import annotations

from twisted.internet.protocol import Factory, Protocol

from chordnet import ChordService, P2PNetClient
from chordnet.client.client import MAX_ADDRESSES
from chordnet.core.base.errors import ConfigError, ConnectFailed, Refused, TimedOut
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.wire.codec import encode_frame
from chordnet.wire.greeting import Bye, Welcome
from chordnet.wire.rpc import Messages
from tests.net.hosts import node_ref
from tests.net.test_service import ServiceCase


class Hasty(Protocol):
    """A node that is shutting down: it welcomes a client and takes its leave in one breath."""

    def dataReceived(self, _hello: bytes) -> None:
        self.factory.told += 1
        welcome = Welcome(2, node_ref("hasty", "10.0.0.1:7001"))
        bye = Bye("leaving", "the node is shutting down")
        self.transport.write(encode_frame(welcome) + encode_frame(bye))


class AddressesCase(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        self.dialled: list[str] = []

    def client_of(self, *numbers: int, **options) -> P2PNetClient:
        """Return a client of several nodes; ``dialled`` has the addresses that it tries."""
        make = self.network.dialling_from("10.9.9.9:1")

        def endpoints(clock, address, timeout_s):
            self.dialled.append(address)
            return make(clock, address, timeout_s)

        client = P2PNetClient(
            *map(self.address, numbers), self.clock, endpoints=endpoints, **options
        )
        self.clients.append(client)
        return client

    def requests(self, service: ChordService) -> int:
        return service.node.journal.counters.number(NetMetric.REQUESTS)

    def cut(self, client: P2PNetClient) -> None:
        """Break the connection of a client."""
        client._channel._session.connection.transport.abortConnection()


class ConnectingTests(AddressesCase):
    def test_a_client_connects_to_the_first_address_that_answers_and_stays_with_it(self) -> None:
        self.ring(2)
        client = self.client_of(9, 8, 2, 1)
        for _ in range(3):
            self.assertEqual(self.result(client.status()).node.name, "Node 2")
        self.assertEqual(self.dialled, [self.address(n) for n in (9, 8, 2)])
        self.assertEqual(client.address, self.address(2))
        self.assertEqual(client.addresses, tuple(map(self.address, (9, 8, 2, 1))))

    def test_every_call_that_waited_goes_once_in_order_to_the_address_that_answers(self) -> None:
        (service,) = self.ring(1)
        client = self.client_of(9, 1)
        heard: list[str] = []
        following = client.follow(lambda message: heard.append(message.body))
        receipts = [client.send_message(f"m{n}") for n in range(5)]
        for receipt in receipts:
            self.assertEqual(self.result(receipt, 0.01).recorded, 1)
        self.assertEqual(heard, [f"m{n}" for n in range(5)])
        self.assertEqual(self.requests(service), 6)
        following.stop()

    def test_an_address_that_refuses_is_passed_over(self) -> None:
        self.service(1, limits=NetworkLimits(max_clients=1))
        self.service(2)
        self.result(self.client(1).status())
        self.assertEqual(self.result(self.client_of(1, 2).status()).node.name, "Node 2")

    def test_an_address_that_accepts_connections_and_says_nothing_is_passed_over(self) -> None:
        self.service(1)
        self.network.frozen.add(self.address(1))
        self.service(2)
        self.assertEqual(self.result(self.client_of(1, 2).status(), 4).node.name, "Node 2")

    def test_when_no_address_can_be_used_each_is_tried_once_and_named_in_one_line(self) -> None:
        self.service(1)
        client = self.client_of(9, 8, 1, network="other")
        text = self.failure(client.status(), ConnectFailed)
        self.assertEqual(self.dialled, [self.address(n) for n in (9, 8, 1)])
        for named in ("none of 3 addresses can be used", *self.dialled, "network 'default'"):
            self.assertIn(named, text)
        self.assertNotIn("\n", text)
        self.failure(client.status(), ConnectFailed)
        self.assertEqual(self.dialled, [self.address(n) for n in (9, 8, 1)] * 2)

    def test_when_all_addresses_refuse_the_call_is_refused(self) -> None:
        self.ring(2)
        text = self.failure(self.client_of(1, 2, network="other").status(), Refused)
        self.assertEqual(text.count("refused this client"), 2)

    def test_a_call_whose_time_is_up_while_addresses_are_tried_is_never_sent(self) -> None:
        self.network.unreachable.add(self.address(9))
        (service,) = self.ring(1)
        client = self.client_of(9, 1, send_timeout_s=1.0)
        text = self.failure(client.send_message("apple"), TimedOut, 1.1)
        self.assertIn(f"none of {self.address(9)}, {self.address(1)} answered within 1 s", text)
        self.assertEqual(self.result(client.get_messages(), 5), [])
        self.assertEqual(self.requests(service), 1)

    def test_a_following_that_is_stopped_while_addresses_are_tried_never_begins(self) -> None:
        (service,) = self.ring(1)
        client = self.client_of(9, 1)
        following = client.follow(lambda _message: None)
        status = client.status()
        following.stop()
        self.result(status)
        self.assertEqual(self.requests(service), 1)
        self.assertFalse(any(session.followings for session in service._life.desk._sessions))

    def test_a_closed_client_tries_no_further_address(self) -> None:
        client = self.client_of(9, 8)
        waiting = client.status()
        client.close()
        self.assertIn("was closed", self.failure(waiting, ConnectFailed, 0))
        self.network.run(1)
        self.assertEqual(self.dialled, [self.address(9)])


class LosingTests(AddressesCase):
    def test_after_a_connection_was_lost_the_next_address_is_used(self) -> None:
        self.ring(2)
        client = self.client_of(1, 2)
        self.result(client.status())
        self.network.kill(self.address(1))
        self.network.run(0.1)
        self.assertEqual(self.result(client.status()).node.name, "Node 2")
        self.assertEqual(self.dialled, [self.address(1), self.address(2)])

    def test_a_request_that_was_sent_fails_and_is_sent_to_nobody_else(self) -> None:
        first, second = self.ring(2)
        client = self.client_of(1, 2)
        self.result(client.status())
        self.network.frozen.add(self.address(1))
        sent = client.send_message("apple")
        self.network.run(0.1)
        self.cut(client)
        self.assertIn(self.address(1), self.failure(sent, ConnectFailed))
        self.network.run(1)
        self.assertEqual((self.requests(first), self.requests(second)), (1, 0))
        self.assertEqual(client.address, self.address(2))

    def test_a_request_that_was_not_sent_yet_goes_to_the_next_address(self) -> None:
        first, second = self.ring(2)
        client = self.client_of(1, 2)
        self.result(client.status())
        self.cut(client)
        heard: list[str] = []
        waiting = client.send_message("apple")
        client.follow(lambda message: heard.append(message.body))
        self.assertEqual(self.result(waiting).body, "apple")
        self.assertEqual((self.requests(first), self.requests(second)), (1, 2))
        self.assertEqual(heard, ["apple"])
        messages = self.result(client.get_messages())
        self.assertEqual([message.body for message in messages], ["apple"])

    def test_a_request_that_may_have_left_before_the_end_of_its_turn_is_not_sent_again(
        self,
    ) -> None:
        _first, second = self.ring(2)
        client = self.client_of(1, 2, limits=NetworkLimits(send_buffer_bytes=100))
        self.result(client.status())
        self.cut(client)
        sent = client.send_message("a" * 200)  # too long to wait: it is handed over at once
        self.assertIn(self.address(1), self.failure(sent, ConnectFailed))
        self.assertEqual(self.requests(second), 0)

    def test_with_one_address_a_request_on_a_lost_connection_fails(self) -> None:
        self.ring(1)
        client = self.client_of(1)
        self.result(client.status())
        self.cut(client)
        self.assertIn("ended: it broke", self.failure(client.status(), ConnectFailed))
        self.assertEqual(len(self.dialled), 1)

    def test_nodes_that_welcome_and_go_at_once_are_tried_once_each(self) -> None:
        hasty = Factory.forProtocol(Hasty)
        hasty.told = 0
        for number in (1, 2):
            self.network.bind(self.address(number), hasty)
        client = self.client_of(1, 2)
        text = self.failure(client.status(), ConnectFailed)
        self.assertIn("none of 2 addresses can be used", text)
        self.assertEqual(text.count("the connection ended: the node is shutting down"), 2)
        self.assertEqual(len(self.dialled), 2)
        self.assertEqual(hasty.told, 2)  # the greeting each, and no request after the goodbye

    def test_a_node_that_sends_an_idle_client_away_is_come_back_to(self) -> None:
        self.ring(2, limits=NetworkLimits(idle_s=10))
        client = self.client_of(1, 2)
        self.result(client.status())
        self.network.run(25)
        self.assertEqual(self.result(client.status()).node.name, "Node 1")

    def test_a_node_that_is_shutting_down_is_left_for_the_next(self) -> None:
        first, _second = self.ring(2)
        client = self.client_of(1, 2)
        self.result(client.status())
        first.stopService()
        self.network.run(3)
        self.assertEqual(self.result(client.status()).node.name, "Node 2")

    def test_a_following_ends_and_begins_anew_at_the_next_address_when_asked_to(self) -> None:
        self.ring(2)
        client = self.client_of(1, 2)
        following = client.follow(lambda _message: None)
        self.result(client.send_message("apple"))
        self.network.kill(self.address(1))
        self.failure(following.finished, ConnectFailed)
        heard: list[str] = []
        client.follow(lambda message: heard.append(message.body))
        self.network.run(0.5)
        self.assertEqual(heard, ["apple"])

    def test_a_caller_who_asks_again_when_told_is_served_by_the_next(self) -> None:
        self.ring(2)
        client = self.client_of(1, 2)
        self.result(client.status())
        self.network.frozen.add(self.address(1))
        again = client.status().addErrback(lambda _failure: client.status())
        self.network.run(0.1)
        self.cut(client)
        self.assertEqual(self.result(again).node.name, "Node 2")
        self.assertEqual(len(self.dialled), 2)

    def test_one_list_is_not_put_together_from_the_orders_of_two_nodes(self) -> None:
        first, second = self.ring(2)
        self.result(first.broadcast("apple"))
        (apple,) = self.result(first.messages())
        client = self.client_of(1, 2)
        self.result(client.status())
        self.network.frozen.add(self.address(1))
        waiting = client.get_messages()
        self.network.run(0.1)
        channel = client._channel
        page = Messages(channel._rid, [apple], True)
        with channel._turn:  # both in one read, so that the next page was asked for and not sent
            channel._session.frames([encode_frame(each)[4:] for each in (page, Bye("leaving"))])
        text = self.failure(waiting, ConnectFailed)
        self.assertIn("in the middle of its answer", text)
        self.assertEqual(self.requests(second), 1)


class WordsTests(AddressesCase):
    def test_the_reactor_comes_last_or_by_its_name(self) -> None:
        one, two = "10.0.0.1:7001", "10.0.0.2:7001"
        for client in (
            P2PNetClient(one, two, self.clock),
            P2PNetClient(one, two, reactor=self.clock),
            P2PNetClient(one, f"tcp:{two}", reactor=self.clock),
        ):
            self.assertEqual(client.addresses, (one, two))
            self.assertIs(client._reactor, self.clock)
        self.assertEqual(P2PNetClient(reactor=self.clock).addresses, ("127.0.0.1:7001",))
        self.assertEqual(P2PNetClient(address=one, reactor=self.clock).address, one)

    def test_what_is_no_address_is_named(self) -> None:
        for words in (
            (self.clock, "10.0.0.1:7001"), ("10.0.0.1:7001", 5, self.clock),
            ("10.0.0.1:7001", "nowhere", self.clock), ([], self.clock),
            (["10.0.0.1:7001"], self.clock),
            (*("10.0.0.1:7001" for _ in range(MAX_ADDRESSES + 1)), self.clock),
        ):  # fmt: skip
            self.assertRaises(ConfigError, P2PNetClient, *words)
        problem = self.assertRaises(
            ConfigError, P2PNetClient, "10.0.0.1:7001", self.clock, limits=5
        )
        self.assertIn("limits", str(problem))
