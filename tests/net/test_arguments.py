"""Wrong arguments of the embedding program, and its coroutines, in memory and virtual time."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chordnet import ChordService, P2PNetClient
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import LookupDone, RingChanged, Send, StatusChanged
from chordnet.core.base.errors import (
    Busy,
    ConfigError,
    InvalidMessage,
    LocalProtocolError,
    LookupFailed,
)
from chordnet.core.base.events import FindOwner
from chordnet.core.base.messages import Status
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.observe.hooks import MAX_WAITING
from chordnet.testing import ScriptedCore
from chordnet.wire.rpc import LookupResult, MessageRecord
from tests.net.test_service import ServiceCase


class WrongCallTests(ServiceCase):
    def refused(self, kind: type, *waiting: Deferred) -> None:
        for each in waiting:
            text = self.failure(each, kind, 0)
            self.assertIn(" must be ", text)
            self.assertLess(len(text), 200)

    def test_a_wrongly_typed_call_of_the_client_fails_alone_and_connects_to_nobody(self):
        client = self.client(9)
        self.refused(
            LocalProtocolError,
            client.trace(None), client.trace(b"x"), client.get_messages(1.5),
            client.get_messages(-1), client.get_messages(True), client.get_messages("3"),
            client.get_messages(since=None), client.get_ordered(limit=1.5),
            client.get_ordered(since=7), client.trails(1.5),
            client.trails(since=None), client.lookup(5), client.lookup(b"k"), client.lookup(None),
            client.lookup("k", iterative="yes"), client.send_message("apple", wait=None),
        )  # fmt: skip
        self.refused(InvalidMessage, client.send_message(b"x"), client.send_message(None))
        self.network.run(1)
        self.assertEqual(self.network.connections, [])

    def test_a_wrongly_typed_call_leaves_the_other_calls_alone(self):
        self.ring(1)
        client = self.client(1)
        status = client.status()
        self.refused(LocalProtocolError, client.trace(None), client.get_messages(1.5))
        following = client.follow(lambda _message: None, since=None)
        self.failure(following.finished, LocalProtocolError, 0)
        self.assertEqual(self.result(status).state, "active")

    def test_a_time_limit_is_a_finite_number_of_seconds(self):
        for timeout in (float("inf"), float("nan"), -1, True, "3"):
            error = self.assertRaises(ConfigError, P2PNetClient, "127.0.0.1:9", timeout_s=timeout)
            self.assertIn("a number of seconds from 0 on", str(error))

    def test_a_node_says_that_it_keeps_no_keys(self):
        self.ring(1)
        self.assertEqual(self.result(self.client(1).status()).keys, 0)

    def test_a_wrongly_typed_follower_is_refused(self):
        client = self.client(9)

        async def coroutine(_message):
            pass

        self.refused(
            LocalProtocolError,
            client.follow(print, since=None).finished, client.follow(print, order=None).finished,
            client.follow(print, order="backwards").finished, client.follow(None).finished,
            client.follow(coroutine).finished, client.follow(print, caught_up=coroutine).finished,
        )  # fmt: skip
        self.assertEqual(self.network.connections, [])

    def test_a_follower_that_returns_a_coroutine_is_ended_with_the_reason(self):
        (service,) = self.ring(1)
        self.result(service.broadcast("apple"))

        async def coroutine():
            pass

        following = self.client(1).follow(lambda _message: coroutine())
        self.assertIn("not async def", self.failure(following.finished, LocalProtocolError))

    def test_a_wrongly_typed_call_of_the_service_is_refused(self):
        (service,) = self.ring(1)
        self.refused(
            LocalProtocolError,
            service.trace(None), service.messages(-3), service.messages(1.5),
            service.messages("1"), service.messages(since=None), service.lookup(5),
            service.lookup(b"k"), service.lookup("k", iterative=1), service.settled(1, None),
        )  # fmt: skip
        self.refused(InvalidMessage, service.broadcast(b"x"), service.broadcast(None))

    def test_subscriptions_that_could_never_be_called_are_refused(self):
        (service,) = self.ring(1)
        for wrong in (
            lambda: service.on("StatusChanged", print), lambda: service.on(Send, print),
            lambda: service.on(None, print), lambda: service.on([], print),
            lambda: service.on(StatusChanged, None), lambda: service.subscribe(None),
            lambda: service.subscribe(print, since=5),
            lambda: service.subscribe(print, order="backwards"),
            lambda: service.subscribe(print, order=None), lambda: service.on_leave_request(None),
        ):  # fmt: skip
            self.assertRaises(LocalProtocolError, wrong)
        problem = self.assertRaises(LocalProtocolError, service.on, "StatusChanged", print)
        self.assertIn("there are StatusChanged, Joined, ", str(problem))


class WrongSettingTests(ServiceCase):
    def test_a_service_is_refused_with_the_setting_named(self):
        listen = self.network.server("10.0.0.1:1")
        for options, named in (
            ({"peers": "127.0.0.1:7001"}, "peers"), ({"peers": [7001]}, "peers"),
            ({"peers": 7001}, "peers"), ({"name": 5}, "name"), ({"network": None}, "network"),
            ({"advertise": 7001}, "advertise"), ({"advertise": "0.0.0.0"}, "0.0.0.0"),
            ({"advertise": "a:b:c"}, "a:b:c"), ({"state_dir": 5}, "state_dir"),
            ({"durability": "x"}, "durability"), ({"durability": "power"}, "state directory"),
            ({"history_bytes": "1"}, "history_bytes"),
            ({"history_s": None}, "history_s"), ({"leave_timeout_s": -1}, "leave_timeout_s"),
            ({"debug": "no"}, "debug"), ({"alone": 1}, "alone"),
            ({"config": {}}, "config"), ({"limits": 5}, "limits"),
        ):  # fmt: skip
            problem = self.assertRaises(ConfigError, ChordService, self.clock, listen, **options)
            self.assertIn(named, str(problem))

    def test_a_reactor_left_out_is_named_with_an_example(self):
        for wrong in (25136, "tcp:7001", None):
            problem = self.assertRaises(ConfigError, ChordService, wrong)
            self.assertEqual(
                str(problem),
                f'reactor cannot be {wrong!r}; write ChordService(reactor, "tcp:7001")',
            )
        problem = self.assertRaises(ConfigError, ChordService, self.clock, 25136)
        self.assertIn("listen cannot be 25136", str(problem))

    def test_a_client_is_refused_with_the_setting_named(self):
        for words, options in (
            ((7001,), {}), (("127.0.0.1:7001", 5), {}), ((None,), {}),
            (("127.0.0.1:7001", self.clock), {"network": None}),
            (("127.0.0.1:7001", self.clock), {"timeout_s": "5"}),
            (("127.0.0.1:7001", self.clock), {"send_timeout_s": -1}),
        ):  # fmt: skip
            self.assertRaises(ConfigError, P2PNetClient, *words, **options)


class WrongConfigTests(SynchronousTestCase):
    def test_a_setting_of_a_wrong_type_is_named(self):
        for kind, options in (
            (ProtocolConfig, {"successors": "8"}), (ProtocolConfig, {"successors": 2.5}),
            (ProtocolConfig, {"successors": True}), (ProtocolConfig, {"jitter": "x"}),
            (ProtocolConfig, {"audit_s": None}), (ProtocolConfig, {"bits": "160"}),
            (NetworkLimits, {"max_clients": "64"}), (NetworkLimits, {"max_clients": 1.5}),
            (NetworkLimits, {"idle_s": None}),
        ):  # fmt: skip
            problem = self.assertRaises(ConfigError, kind, **options)
            self.assertIn(next(iter(options)), str(problem))


class BusyTests(ServiceCase):
    reason = ""

    def script(self, event):
        done = isinstance(event, FindOwner)
        return [LookupDone(event.op, None, [], self.reason)] if done else []

    def test_a_lookup_that_the_core_has_no_room_for_is_busy_to_everybody(self):
        def make(config, me, rng):
            core = ScriptedCore(me, self.script)
            core.now_status = Status.ACTIVE
            return core

        self.reason = "busy"
        service = self.service(1, core=make, leave_timeout_s=0.1)
        client = self.client(1)
        self.assertIn("retry after a moment", self.failure(service.lookup("k"), Busy))
        self.failure(client.lookup("k"), Busy)
        self.reason = "nobody answered"
        self.failure(service.lookup("k"), LookupFailed)


class FloodTests(ServiceCase):
    """More calls at once than the node can be sent."""

    def flood(self, client):
        calls = [client.lookup("k" * 1000) for _ in range(100)]
        self.network.run(2)
        outcomes = []
        for call in calls:
            call.addBoth(outcomes.append)
        kept = [each for each in outcomes if isinstance(each, LookupResult)]
        refused = [each for each in outcomes if not isinstance(each, LookupResult)]
        self.assertEqual({each.type for each in refused}, {Busy})
        self.assertIn("retry after a moment", refused[0].getErrorMessage())
        return len(kept)

    def test_calls_beyond_what_may_wait_fail_alone_and_the_others_are_answered(self):
        self.ring(1)
        client = self.client(1, limits=NetworkLimits(send_buffer_bytes=16_384))
        self.assertEqual(self.flood(client), 16_384 // 1020)
        self.assertEqual(self.flood(client), 16_384 // 1020)
        self.assertEqual(self.result(client.status()).state, "active")


class CoroutineTests(ServiceCase):
    """A subscriber that is a coroutine is awaited, one message after the other."""

    def subscriber(self):
        begun, finished, gates = [], [], []

        async def callback(message: MessageRecord) -> None:
            begun.append(message.body)
            gate: Deferred[None] = Deferred()
            gates.append(gate)
            await gate
            finished.append(message.body)

        return callback, begun, finished, gates

    def check_in_order(self, service: ChordService, begun, finished, gates) -> None:
        for body in ("a", "b", "c"):
            self.result(service.broadcast(body))
        for number, body in enumerate(("a", "b", "c")):
            self.assertEqual((begun[-1], len(finished)), (body, number))
            gates.pop().callback(None)
            self.network.run(0.1)
        self.assertEqual(finished, ["a", "b", "c"])

    def test_a_coroutine_gets_the_messages_from_now_on(self):
        (service,) = self.ring(1)
        callback, *heard = self.subscriber()
        service.subscribe(callback)
        self.check_in_order(service, *heard)

    def test_a_coroutine_gets_the_messages_read_from_the_log(self):
        (service,) = self.ring(1)
        callback, *heard = self.subscriber()
        subscription = service.subscribe(callback, since="")
        self.check_in_order(service, *heard)
        subscription.stop()

    def test_a_coroutine_that_raises_is_logged_and_called_again(self):
        (service,) = self.ring(1)
        heard = []

        async def callback(message):
            heard.append(message.body)
            raise ValueError("the program's own")

        service.subscribe(callback)
        service.subscribe(callback, since="")
        service.on(RingChanged, callback)
        for body in ("a", "b"):
            self.result(service.broadcast(body))
        self.assertEqual(sorted(heard), ["a", "a", "b", "b"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 4)
        self.assertEqual(self.result(service.status()).counters["callback_errors"], 4)

    def test_a_coroutine_may_broadcast_and_wait_for_the_receipt(self):
        (service,) = self.ring(1)
        receipts = []

        async def answer(message):
            if message.body == "apple":
                receipts.append(await service.broadcast("pear"))

        service.subscribe(answer)
        self.result(service.broadcast("apple"))
        self.assertEqual([receipt.recorded for receipt in receipts], [1])

    def test_a_coroutine_that_never_ends_is_dropped_when_too_many_events_wait_for_it(self):
        (service,) = self.ring(1, config=ProtocolConfig(max_broadcasts=10_000))
        callback, begun, _finished, gates = self.subscriber()
        service.subscribe(callback)
        for number in range(MAX_WAITING + 2):
            service.broadcast(f"m{number}")
        self.network.run(1)
        self.assertEqual(begun, ["m0"])
        self.assertEqual(self.result(service.status()).counters["callback_errors"], 1)
        gates.pop().callback(None)
        self.result(service.broadcast("late"))
        self.assertEqual(begun, ["m0"])

    def test_a_stop_in_the_middle_of_a_coroutine_ends_the_subscription(self):
        (service,) = self.ring(1)
        callback, begun, finished, gates = self.subscriber()
        subscription = service.subscribe(callback, since="")
        for body in ("a", "b"):
            self.result(service.broadcast(body))
        subscription.stop()
        gates.pop().callback(None)
        self.network.run(1)
        self.assertEqual((begun, finished), (["a"], ["a"]))

    def test_what_happens_when_a_client_makes_the_node_leave_may_be_a_coroutine(self):
        (service,) = self.ring(1)
        called = []

        async def callback() -> None:
            called.append(service.node.state)

        service.on_leave_request(callback)
        self.assertIsNone(self.result(self.client(1).leave()))
        self.assertEqual(called, ["left"])
