"""Greetings from both sides, listening and the log: what is said in which case, to the letter."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ConfigError, NotInRing, RemoteProtocolError
from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import Ping
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.turn import Turn
from chordnet.net.links.dialler import Dial, DialSettings
from chordnet.net.links.greeters import Caller, Door, client_hello, peer_hello, who_hello
from chordnet.net.links.listening import Entrance, server_endpoint, start_problem
from chordnet.testing import MemoryNetwork, MemoryServer
from chordnet.wire.codec import encode_frame
from chordnet.wire.greeting import Bye, Hello, Refuse, Welcome
from tests.net.hosts import FRAME_LIMIT, node_ref, quiet_journal
from tests.net.test_transport_edges import A, B, EdgesCase, Scripted

NODE = node_ref("b", B)


class HelloTests(SynchronousTestCase):
    def test_each_role_introduces_itself_with_what_it_has(self) -> None:
        rows = [
            (peer_hello(NODE, "n", 160), Hello("chordnet", 2, "n", 160, "peer", NODE, 2)),
            (client_hello("n"), Hello("chordnet", 2, "n", 0, "client", None, 2)),
            (who_hello("n", 8), Hello("chordnet", 2, "n", 8, "who", None, 2)),
        ]
        for found, expected in rows:
            self.assertEqual(found, expected)


class FakeConnection:
    """Notes what is done with it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.ends: list[str] = []
        self.handler: Any = None
        self.security: Any = None

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def close(self) -> None:
        self.ends.append("close")

    def abort(self) -> None:
        self.ends.append("abort")


class Taking:
    """Takes a connection over and notes the frames that come."""

    def __init__(self) -> None:
        self.got: list[list[bytes]] = []

    def frames(self, frames: list[bytes]) -> None:
        self.got.append(frames)


class CallerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.connection: Any = FakeConnection()
        self.taking = Taking()
        self.told: list[Any] = []

        def welcomed(_connection: Any, welcome: Welcome) -> Any:
            self.told.append(welcome)
            return self.taking

        self.caller = Caller(
            client_hello("n"), welcomed=welcomed, refused=self.told.append, failed=self.told.append
        )

    def hear(self, *messages: Any) -> None:
        self.caller.frames([encode_frame(each)[4:] for each in messages])

    def test_it_greets_and_hands_over_what_comes_behind_the_answer(self) -> None:
        self.caller.made(self.connection)
        self.assertEqual(self.connection.sent, [client_hello("n")])
        self.caller.frames([])
        welcome = Welcome(2, NODE)
        self.hear(welcome, Ping(1), Ping(2))
        self.assertEqual(self.told, [welcome])
        self.assertIs(self.connection.handler, self.taking)
        self.assertEqual(self.taking.got, [[encode_frame(Ping(n))[4:] for n in (1, 2)]])
        for event in (self.caller.overloaded, self.caller.held, self.caller.drained):
            event()
        self.caller.lost()
        self.hear(welcome)
        self.assertEqual((self.told, self.connection.ends), ([welcome], []))

    def test_an_answer_alone_brings_no_frames(self) -> None:
        self.caller.made(self.connection)
        self.hear(Welcome(2, NODE))
        self.assertEqual(self.taking.got, [])

    def test_an_answer_in_another_version_breaks_the_rules(self) -> None:
        self.caller.made(self.connection)
        for version in (0, 1, 3):
            error = self.assertRaises(RemoteProtocolError, self.hear, Welcome(version, NODE))
            self.assertEqual(str(error), f"protocol version {version} is not spoken here")
        self.assertEqual(self.told, [])

    def test_a_refusal_closes_the_connection_and_is_told_once(self) -> None:
        self.caller.made(self.connection)
        refusal = Refuse("full", "go away")
        self.hear(refusal)
        self.hear(refusal)
        self.caller.lost()
        self.caller.give_up("late")
        self.assertEqual((self.told, self.connection.ends), ([refusal], ["close"]))

    def test_an_end_before_the_answer_is_told_in_words_and_once(self) -> None:
        rows = [
            (lambda caller: caller.lost(), "the connection ended during the greeting"),
            (lambda caller: caller.give_up("cancelled"), "cancelled"),
            (lambda caller: caller.violated("junk"), "no answer of a chordnet node: junk"),
        ]
        for end, expected in rows:
            self.setUp()
            self.caller.made(self.connection)
            end(self.caller)
            end(self.caller)
            self.assertEqual((self.told, self.connection.ends), ([expected], ["abort"]))

    def test_what_is_given_up_before_it_is_connected_has_nothing_to_cut(self) -> None:
        self.caller.give_up("cancelled")
        self.assertEqual(self.told, ["cancelled"])


class DialTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.told: list[Any] = []
        self.failures: list[str] = []

    def dial(self, endpoints: Any = None, **limits: Any) -> Dial:
        clock: Any = self.clock
        turn = Turn(self.clock, self.failures.append)
        settings = DialSettings(
            clock, turn, NetworkLimits(**limits), FRAME_LIMIT,
            endpoints or self.network.dialling_from(A),
        )  # fmt: skip
        dial = Dial(
            settings, address=B, hello=client_hello(""), greeted=lambda *_: Taking(),
            failed=lambda *told: self.told.append(told),
        )  # fmt: skip
        dial.start()
        return dial

    def answer(self, *answers: Any) -> None:
        made = iter([Scripted(answer) for answer in answers])

        class Listening:
            def buildProtocol(self, _addr: Any) -> Any:
                return next(made)

        self.network.bind(B, Listening())  # type: ignore[arg-type]

    def test_a_refusal_is_told_in_300_letters_and_with_all_that_it_says(self) -> None:
        refusal = Refuse("full", "x" * 299 + "yz")
        self.answer(refusal)
        self.dial()
        self.network.run(0.01)
        self.assertEqual(self.told, [(LinkFault.REJECTED, "x" * 299 + "y", refusal)])

    def test_where_nobody_listens_the_dial_is_refused_and_where_nobody_is_it_is_unreachable(
        self,
    ) -> None:
        self.dial()
        self.network.run(0.01)
        self.network.unreachable.add(B)
        self.dial(connect_timeout_s=0.5)
        self.network.run(0.49)
        self.assertEqual([fault for fault, *_ in self.told], [LinkFault.REFUSED])
        self.network.run(0.02)
        faults = [(fault, refusal) for fault, _text, refusal in self.told]
        self.assertEqual(faults, [(LinkFault.REFUSED, None), (LinkFault.UNREACHABLE, None)])

    def test_a_greeting_may_stay_unanswered_for_its_time_and_no_longer(self) -> None:
        self.network.bind(B, _Silent())
        dial = self.dial(greeting_timeout_s=0.5)
        self.assertFalse(dial.connected)
        self.network.run(0.002)
        self.assertTrue(dial.connected)
        self.network.run(0.496)
        self.assertEqual(self.told, [])
        self.network.run(0.006)
        expected = (LinkFault.UNREACHABLE, "the greeting was not answered", None)
        self.assertEqual(self.told, [expected])
        self.assertTrue(dial.connected)
        self.assertEqual((self.network.connections, self.clock.getDelayedCalls()), ([], []))

    def test_a_dial_that_is_cancelled_tells_nothing_whenever_that_is(self) -> None:
        self.network.bind(B, _Silent())
        for seconds in (0.0, 0.002, 0.1):
            dial = self.dial()
            self.network.run(seconds)
            dial.cancel()
            dial.cancel()
            self.assertIsNone(dial.build())
            self.network.run(5)
            self.assertEqual((self.told, self.network.connections), ([], []))
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_address_without_an_endpoint_is_unreachable_with_what_is_wrong(self) -> None:
        def unusable(*_: Any) -> Any:
            raise ConfigError("that is no address")

        def broken(*_: Any) -> Any:
            raise ZeroDivisionError

        self.dial(unusable)
        self.dial(broken)
        unreachable = LinkFault.UNREACHABLE
        self.assertEqual(
            self.told,
            [
                (unreachable, "that is no address", None),
                (unreachable, "no endpoint could be made for it", None),
            ],
        )
        self.assertEqual(self.failures, [f"the endpoint for {B}"])


class _Silent:
    """Accepts connections and says nothing."""

    def buildProtocol(self, _addr: Any) -> Any:
        end = Scripted()
        end.dataReceived = lambda _data: None  # type: ignore[method-assign]
        return end


class DoorTests(EdgesCase):
    def test_who_asks_which_node_listens_is_told_and_counts_as_nobody(self) -> None:
        a = self.host("a", A)
        end = self.network.connect(B, A, _factory())
        end.say(who_hello("default", 160), Ping(1))
        self.run_for(0.01)
        self.assertEqual(end.heard, [Welcome(2, a.me, "default", 160, 0, None, None)])
        self.assertEqual((a.transport.connected, a.door.waiting, a.got()), (0, 0, []))
        self.run_for(0.1)
        self.assertTrue(end.closed)

    def test_a_refusal_is_logged_with_the_role_and_counted_by_its_reason(self) -> None:
        a = self.host("a", A)
        rows = [
            (Hello("chordnet", 2, "x", 160, "peer", NODE, 2), "peer", "network"),
            (Hello("chordnet", 2, "default", 0, "client", None, 2), "client", "full"),
            (Hello("chordnet", 2, "x", 160, "who", None, 2), "stranger", "network"),
            (Hello("chordnet", 2, "default", 160, "king", None, 2), "stranger", "greeting"),
        ]
        for hello, role, code in rows:
            before = a.journal.counters.number(NetMetric.REFUSED, code)
            end = self.network.connect(B, A, _factory())
            end.say(hello)
            self.run_for(0.05)
            (refusal,) = end.heard
            self.assertEqual(refusal.code, code)
            self.assertEqual(a.lines[-1], f"a: refused a {role} at {B}: {refusal.text}")
            self.assertEqual(a.journal.counters.number(NetMetric.REFUSED, code), before + 1)
            self.assertTrue(end.closed)

    def test_junk_is_answered_with_what_this_is_and_what_was_wrong(self) -> None:
        a = self.host("a", A)
        end = self.network.connect(B, A, _factory())
        end.transport.write(b"GET / HTTP/1.1\r\n")
        self.run_for(0.05)
        (refusal,) = end.heard
        self.assertEqual(refusal.code, "greeting")
        self.assertTrue(refusal.text.startswith("this is a chordnet node: a frame of"), refusal)
        reason = refusal.text.partition(": ")[2]
        self.assertEqual(a.lines, [f"a: refused a stranger at {B}, no chordnet greeting: {reason}"])

    def test_what_comes_with_the_greeting_is_read_and_what_comes_after_a_goodbye_is_not(
        self,
    ) -> None:
        a = self.host("a", A)
        self.caller(NODE, Ping(1), Bye("leaving"), Ping(2))
        self.assertEqual(a.got(), [Ping(1)])

    def test_a_host_gives_a_place_to_one_that_is_behind_it_by_two_and_to_no_other(self) -> None:
        for host, let_in in (("y", False), ("z", False), ("x", False), ("w", True)):
            a = self.host("a", A, limits=NetworkLimits(max_ungreeted=4), listen=False)
            waiting = [a.door.buildProtocol(_at(each)) for each in "xxyz"]
            found = a.door.buildProtocol(_at(host))
            self.assertEqual(found is not None, let_in, host)
            self.assertEqual(len(a.lines), int(let_in))
            self.assertEqual(a.journal.counters.number(NetMetric.TURNED_AWAY), int(not let_in))
            for connection in (*waiting, found):
                if connection is not None:
                    connection.handler.lost()

    def test_a_connection_may_be_turned_away_before_it_is_made(self) -> None:
        a = self.host("a", A, limits=NetworkLimits(max_ungreeted=1))
        first = a.door.buildProtocol(None)
        self.run_for(1.0)
        second = a.door.buildProtocol(None)
        self.assertEqual(a.door.waiting, 1)
        self.assertEqual(
            a.lines, ["a: closed a connection from : too many connections are waiting to greet"]
        )
        for connection in (first, second):
            assert connection is not None
            connection.handler.lost()

    def test_a_closed_door_lets_nobody_in_and_cuts_those_that_wait(self) -> None:
        a = self.host("a", A)
        end = self.network.connect(B, A, _factory())
        self.assertEqual(a.door.waiting, 1)
        a.door.close()
        self.run_for(0.01)
        self.assertTrue(end.closed)
        self.assertEqual(a.door.waiting, 0)
        self.assertIsNone(a.door.buildProtocol(None))
        self.assertEqual(a.lines, [])


def _at(host: str) -> IPv4Address:
    return IPv4Address("TCP", host, 1)


def _factory() -> Any:
    class Making:
        def buildProtocol(self, _addr: Any) -> Scripted:
            return Scripted()

    return Making()


class ListeningTests(SynchronousTestCase):
    def test_what_keeps_a_node_from_listening_is_said_with_what_to_do(self) -> None:
        rows = [
            (
                CannotListenError("", 5, OSError(errno.EADDRINUSE, "in use")),
                "cannot listen on *:5: in use; is another program using it?",
            ),
            (
                CannotListenError("::1", 5, OSError(errno.EACCES, "denied")),
                (
                    "cannot listen on ::1:5: denied; ports below 1024 are for privileged users,"
                    " choose a higher one"
                ),
            ),
            (
                CannotListenError("", 5, OSError(errno.EADDRNOTAVAIL, "none")),
                "cannot listen on *:5: none; this machine has no such address",
            ),
            (
                CannotListenError("", 5, OSError(errno.EMFILE, "too many")),
                "cannot listen on *:5: too many; raise the limit of open files (ulimit -n)",
            ),
            (CannotListenError("", 5, OSError(99999, "odd")), "cannot listen on *:5: odd"),
            (CannotListenError("", 5, "why"), "cannot listen on *:5: why"),
            (OSError(5, "broken"), "cannot listen on tcp:1: [Errno 5] broken"),
        ]
        for error, text in rows:
            problem = start_problem(Failure(error), "tcp:1")
            self.assertEqual((type(problem), str(problem)), (ConfigError, text))

    def test_a_stop_is_no_failure_to_start_and_a_bug_is_not_put_in_words(self) -> None:
        problem = start_problem(Failure(CancelledError()), "tcp:1")
        self.assertEqual((type(problem), str(problem)), (NotInRing, "the node was stopped"))
        told = ConfigError("that")
        self.assertIs(start_problem(Failure(told), "tcp:1"), told)
        self.assertIsNone(start_problem(Failure(ZeroDivisionError()), "tcp:1"))

    def test_what_describes_no_endpoint_is_refused(self) -> None:
        reactor: Any = Clock()
        for wrong in ("", "nonsense:1", "tcp", "tcp:x"):
            error = self.assertRaises(ConfigError, server_endpoint, reactor, wrong)
            start = f"listen {wrong!r} is not a server endpoint such as tcp:7001 ("
            self.assertTrue(str(error).startswith(start), str(error))
        wrong_object: Any = 7001
        error = self.assertRaises(ConfigError, server_endpoint, reactor, wrong_object)
        self.assertEqual(
            str(error), 'listen cannot be 7001; write "tcp:7001", or a server endpoint'
        )
        server = MemoryServer(MemoryNetwork(Clock()), A)
        self.assertIs(server_endpoint(reactor, server), server)

    def test_before_there_is_a_node_nobody_is_let_in(self) -> None:
        entrance = Entrance()
        self.assertIsNone(entrance.buildProtocol(None))

    def test_twisted_writes_no_lines_of_its_own_about_connections(self) -> None:
        clock: Any = Clock()
        turn = Turn(clock, self.fail)
        dial = Dial(
            DialSettings(clock, turn, NetworkLimits(), FRAME_LIMIT), address=B,
            hello=client_hello(""), greeted=lambda *_: Taking(), failed=lambda *_: None,
        )  # fmt: skip
        for factory in (Entrance(), Door, dial._factory):
            self.assertIs(factory.noisy, False)


class JournalTests(SynchronousTestCase):
    def test_after_a_burst_of_five_one_line_every_ten_seconds_says_how_many_were_left_out(
        self,
    ) -> None:
        clock = Clock()
        clock.advance(1000)
        journal, lines = quiet_journal(clock, "me")

        def said(count: int) -> list[str]:
            lines.clear()
            for _ in range(count):
                journal.limited(NetMetric.MISBEHAVED, "junk")
            return [*lines]

        self.assertEqual(said(7), ["me: junk"] * 5)
        clock.advance(9.5)
        self.assertEqual(said(1), [])
        clock.advance(0.5)
        self.assertEqual(said(2), ["me: junk (3 more of these were not logged)"])
        clock.advance(1000)
        left = "me: junk (1 more of these were not logged)"
        self.assertEqual(said(6), [left, *["me: junk"] * 4])
        self.assertEqual(journal.counters.number(NetMetric.MISBEHAVED), 16)

    def test_lines_with_different_labels_are_limited_apart(self) -> None:
        journal, lines = quiet_journal(Clock(), "me")
        for label in ("network", "bits"):
            for _ in range(9):
                journal.limited(NetMetric.REFUSED, "no", labels=(label,))
        self.assertEqual(len(lines), 10)
        self.assertEqual(journal.counters.number(NetMetric.REFUSED, "bits"), 9)

    def test_a_value_has_4000_letters_and_300_if_a_stranger_caused_it(self) -> None:
        journal, lines = quiet_journal(Clock(), "me")
        for length in (4000, 4001):
            journal.info("{it}", it="x" * length)
            self.assertEqual(lines.pop(), f"me: {'x' * 4000}")
        for length in (300, 301):
            journal.limited(NetMetric.MISBEHAVED, "{it}", it="x" * length)
            self.assertEqual(lines.pop(), f"me: {'x' * 300}")

    def test_numbers_are_formatted_as_such_and_everything_else_as_its_text(self) -> None:
        journal, lines = quiet_journal(Clock(), "me")
        journal.info("{one:03d} {two:.2f} {three}", one=7, two=0.5, three=ConfigError("a\nb"))
        self.assertEqual(lines, ["me: 007 0.50 a?b"])
