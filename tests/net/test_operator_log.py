"""The lines that an operator reads of a node's life, of its clients and of strangers."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import formatEvent, globalLogPublisher

from chordnet import ChordService
from chordnet.core.base.messages import Ping, Status, contact
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.links.greeters import client_hello
from chordnet.storage.log.memory import MemoryLog
from chordnet.testing import FailingServer, ScriptedCore
from chordnet.wire.codec import encode_frame
from chordnet.wire.rpc import Follow, Lookup
from tests.net.test_service import ServiceCase

STRANGER = "10.9.9.9:1"


class Stranger(Protocol):
    """Says what it is told to, and reads nothing."""

    def dataReceived(self, _data: bytes) -> None:
        pass


class LogCase(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def lines(self, *, level: str | None = None) -> list[str]:
        """Return what nodes have logged, without their names."""
        return [
            (formatEvent(event) or "").partition(": ")[2]
            for event in self.events
            if event["log_namespace"] == "chordnet.node"
            and level in (None, event["log_level"].name)
        ]

    def stranger(self, *says: Any) -> Any:
        factory = Factory.forProtocol(Stranger)
        end = self.network.connect(STRANGER, self.address(1), factory)
        end.transport.write(b"".join(map(encode_frame, says)))
        return end

    def count(self, counter: str) -> int:
        return self.result(self.services[0].status()).counters.get(counter, 0)


class LifeTests(LogCase):
    def test_a_life_from_the_beginning_to_the_end_in_its_order(self) -> None:
        service = self.service(1)
        self.network.run(1)
        identifier = service.node.space.hex(service.node.me.id)
        self.result(service.stopService(), 2)
        lines = self.lines()
        self.assertEqual(
            lines[0],
            f"listening as 10.0.0.1:7001 in network default, identifier {identifier}",
        )
        self.assertEqual(lines[-2:], ["is left (was leaving)", "stopped"])
        self.assertEqual(self.lines(level="warn"), [])

    def test_lines_name_what_a_node_listens_on_until_it_has_a_name_of_its_own(self) -> None:
        service = self.network.service(self.address(1))
        service.journal.info("before")
        service.startService()
        self.services.append(service)
        self.network.run(0.1)
        service.journal.info("after")
        lines = [formatEvent(e) for e in self.events if e["log_namespace"] == "chordnet.node"]
        self.assertEqual(lines[0], f"{service._listen_text}: before")
        self.assertEqual(lines[-1], "10.0.0.1:7001: after")

    def test_a_node_that_does_not_leave_in_time_is_a_warning(self) -> None:
        def make(_config: Any, me: Any, _rng: Any) -> ScriptedCore:
            core = ScriptedCore(me)
            core.now_status = Status.ACTIVE
            return core

        service = self.service(1, core=make, leave_timeout_s=2.0)
        self.result(service.stopService(), 2.5)
        self.assertEqual(
            self.lines(level="warn"), ["did not leave the ring in time; closing anyway"]
        )

    def test_a_node_that_is_stopped_while_it_starts_says_why_it_did_not_start(self) -> None:
        service = ChordService(self.clock, FailingServer(None), name="Node 1")
        service.startService()
        self.result(service.stopService(), 0)
        self.assertEqual(self.lines(), ["could not start: the node was stopped"])

    def test_a_client_that_makes_the_node_leave_is_in_the_log(self) -> None:
        (service,) = self.ring(1)

        def callback() -> None:
            raise ValueError("the program's own")

        service.on_leave_request(callback)
        self.result(self.client(1).leave())
        self.assertIn("a client asks this node to leave", self.lines(level="info"))
        self.assertEqual(self.count("callback_errors"), 1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        lines = self.lines(level="critical")
        self.assertEqual(lines, ["the callback for a leave request failed"])

    def test_a_subscriber_that_cannot_go_on_is_a_warning_that_says_why(self) -> None:
        (service,) = self.ring(1, log=MemoryLog(max_messages=5))
        gates: list[Any] = []

        async def callback(_message: Any) -> None:
            gates.append(Deferred())
            await gates[-1]

        service.subscribe(callback, since="")
        for number in range(20):
            self.result(service.broadcast(f"m{number}"), 0.1)
        gates[0].callback(None)
        self.network.run(1)
        (line,) = self.lines(level="warn")
        self.assertRegex(line, r"^a subscription has ended: \d+ messages were dropped from the log")


class StrangerTests(LogCase):
    def test_a_stranger_that_says_nothing_is_turned_away_and_told_of(self) -> None:
        self.ring(1)
        self.stranger()
        self.network.run(3.1)
        self.assertIn(
            f"closed a connection from {STRANGER}: it did not greet in time",
            self.lines(level="warn"),
        )
        self.assertEqual(self.count("refused_silent"), 1)

    def test_a_client_that_breaks_a_rule_is_closed_and_told_of(self) -> None:
        self.ring(1)
        self.stranger(client_hello(""), client_hello(""))
        self.network.run(0.1)
        (line,) = self.lines(level="warn")
        self.assertTrue(
            line.startswith(f"closed the connection with a client at {STRANGER}: "), line
        )
        self.assertEqual(self.count("client_violations"), 1)

    def test_a_client_that_is_one_too_many_is_refused_and_told_of(self) -> None:
        self.ring(1, limits=NetworkLimits(max_clients=1))
        self.stranger(client_hello(""), Follow(1, ""))
        self.network.run(0.1)
        self.stranger(client_hello(""))
        self.network.run(0.1)
        text = "this node has as many clients as it accepts; try another node"
        self.assertEqual(self.lines(level="warn"), [f"refused a client at {STRANGER}: {text}"])

    def test_a_client_that_reads_nothing_is_cut_off_and_told_of(self) -> None:
        (service,) = self.ring(1)
        self.stranger(client_hello(""), Follow(1, ""))
        self.network.run(0.1)
        self.network.frozen.add(STRANGER)
        for number in range(100):
            self.result(service.broadcast(f"{number:04}" + "x" * 4000), 0.002)
        self.network.run(25)
        self.assertEqual(
            self.lines(level="warn"), [f"cut off a client at {STRANGER}: it reads too slowly"]
        )

    def test_an_error_inside_the_node_is_in_its_log_and_the_client_is_told_to_look_there(self):
        def broken(_key: str, _done: Any, **_options: Any) -> None:
            raise ZeroDivisionError

        (service,) = self.ring(1)
        service.node.find = broken
        end = self.stranger(client_hello(""), Lookup(1, "apple"))
        heard: list[bytes] = []
        end.dataReceived = heard.append
        self.network.run(0.1)
        self.assertEqual(self.lines(level="critical"), ["a client's request failed unexpectedly"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn(b"an error inside the node; see its log", b"".join(heard))
        self.assertEqual(self.count("request_errors"), 1)


class DebugTests(LogCase):
    def test_with_debug_each_connection_and_each_dial_that_failed_is_a_line(self) -> None:
        self.service(1, (2,), debug=True)
        self.network.run(0.5)
        refused = [line for line in self.lines(level="debug") if "10.0.0.2:7001" in line]
        self.assertTrue(refused[0].startswith("cannot reach 10.0.0.2:7001: "), refused)
        self.service(2)
        self.network.run(4)
        self.assertEqual(self.lines(level="debug").count("connected with Node 2"), 1)

    def test_without_debug_a_dial_that_failed_is_no_line(self) -> None:
        (service, _other) = self.ring(2)
        service.node.transport.send(contact(self.address(9)), Ping(1))
        self.network.run(0.5)
        self.assertEqual(self.lines(level="debug"), [])
