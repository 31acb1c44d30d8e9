"""The fakes that programs are tested with: a network in memory, a core that follows a script."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Declined
from twisted.internet.error import TimeoutError as TimedOut
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.events import Tick
from chordnet.core.base.messages import LedgerState, Ping, Status
from chordnet.testing import FailingServer, MemoryNetwork, RecordingTransport, ScriptedCore
from tests.net.hosts import node_ref

HERE, THERE = "10.0.0.1:7001", "10.0.0.2:7001"
DELAY_S = 0.5


class End(Protocol):
    """One end of a connection: notes what happens to it, and when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.notes: list[tuple[float, Any]] = []

    def note(self, what: Any) -> None:
        self.notes.append((self.clock.seconds(), what))

    def dataReceived(self, data: bytes) -> None:
        self.note(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.note(reason.type)

    def pauseProducing(self) -> None:
        self.note("paused")

    def resumeProducing(self) -> None:
        self.note("resumed")


class Ends(Factory):
    def __init__(self, clock: Clock, *, closed: bool = False) -> None:
        self.clock = clock
        self.closed = closed
        self.made: list[End] = []

    def buildProtocol(self, _addr: Any) -> End | None:  # type: ignore[override]
        if self.closed:
            return None
        self.made.append(End(self.clock))
        return self.made[-1]


class NetworkCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock, DELAY_S)
        self.server = Ends(self.clock)
        self.network.bind(THERE, self.server)

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def dial(self, timeout_s: float = 3.0) -> Deferred[Any]:
        endpoint = self.network.dialling_from(HERE)(None, THERE, timeout_s)
        return endpoint.connect(Ends(self.clock))

    def pair(self) -> tuple[Any, Any]:
        """Return a connection made just now, this end and the other."""
        dialled = self.dial()
        self.clock.advance(DELAY_S)
        return self.successResultOf(dialled), self.server.made[-1]


class ConnectionTests(NetworkCase):
    def test_what_is_written_arrives_together_after_the_delay_of_the_network(self) -> None:
        near, far = self.pair()
        near.transport.write(b"a")
        near.transport.write(b"b")
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0.4)
        self.assertEqual((far.notes, near.transport.buffered, near.transport.writes), ([], 2, 2))
        self.clock.advance(0.1)
        self.assertEqual((far.notes, near.transport.buffered), ([(1.0, b"ab")], 0))
        self.assertEqual(near.notes, [])

    def test_who_writes_more_than_the_buffer_takes_is_paused_until_it_has_arrived(self) -> None:
        near, far = self.pair()
        near.transport.registerProducer(near, True)
        near.transport.write(b"x" * 65536)
        self.assertEqual(near.notes, [])
        self.clock.advance(DELAY_S)
        self.assertEqual(near.notes, [])
        near.transport.write(b"x" * 65537)
        self.assertEqual(near.notes, [(1.0, "paused")])
        self.clock.advance(DELAY_S)
        self.assertEqual(near.notes, [(1.0, "paused"), (1.5, "resumed")])
        near.transport.write(b"y")
        self.clock.advance(DELAY_S)
        self.assertEqual(len(near.notes), 2)
        self.assertEqual([len(data) for _at, data in far.notes], [65536, 65537, 1])

    def test_a_producer_that_is_no_longer_one_is_not_paused(self) -> None:
        near, _far = self.pair()
        near.transport.registerProducer(near, True)
        near.transport.unregisterProducer()
        near.transport.write(b"x" * 65537)
        self.clock.advance(DELAY_S)
        self.assertEqual(near.notes, [])

    def test_an_end_that_does_not_read_gets_what_was_written_after_it_reads_again(self) -> None:
        near, far = self.pair()
        far.transport.pauseProducing()
        near.transport.write(b"a")
        self.clock.advance(5)
        self.assertEqual((far.notes, near.transport.buffered), ([], 1))
        far.transport.resumeProducing()
        self.assertEqual(far.notes, [])
        self.clock.advance(DELAY_S)
        self.assertEqual(far.notes, [(6.0, b"a")])
        far.transport.resumeProducing()
        self.clock.advance(DELAY_S)
        self.assertEqual(far.notes, [(6.0, b"a")])

    def test_a_frozen_host_neither_reads_nor_writes_until_it_is_thawed(self) -> None:
        near, far = self.pair()
        self.network.frozen.add(THERE)
        near.transport.write(b"a")
        far.transport.write(b"b")
        self.clock.advance(5)
        self.assertEqual((near.notes, far.notes), ([], []))
        self.network.thaw(THERE)
        self.assertEqual((near.notes, far.notes), ([(5.5, b"b")], [(5.5, b"a")]))

    def test_a_close_comes_after_what_was_written_and_both_ends_hear_of_it(self) -> None:
        near, far = self.pair()
        near.transport.write(b"a")
        near.transport.loseConnection()
        far.transport.write(b"too late")
        self.clock.advance(DELAY_S)
        self.clock.advance(0)
        self.assertEqual(far.notes, [(1.0, b"a"), (1.0, ConnectionDone)])
        self.assertEqual(near.notes, [(1.0, ConnectionDone)])
        self.assertEqual(self.network.connections, [])

    def test_a_close_without_a_word_takes_the_delay_of_the_network(self) -> None:
        near, far = self.pair()
        near.transport.loseConnection()
        self.clock.advance(0.4)
        self.assertEqual(near.notes + far.notes, [])
        self.clock.advance(0.1)
        self.clock.advance(0)
        self.assertEqual(near.notes + far.notes, [(1.0, ConnectionDone)] * 2)

    def test_a_cut_is_told_once_in_the_next_turn_and_what_was_written_is_lost(self) -> None:
        near, far = self.pair()
        other, _far = self.pair()
        near.transport.write(b"a")
        near.transport.abortConnection()
        near.transport.abortConnection()
        self.assertEqual((near.notes, far.notes), ([], []))
        near.transport.write(b"b")
        self.assertEqual(near.transport.writes, 1)
        self.clock.advance(0)
        lost = [(1.0, ConnectionLost)]
        self.assertEqual((near.notes, far.notes), (lost, lost))
        ((kept, _),) = self.network.connections
        self.assertIs(kept, other.transport)

    def test_a_producer_that_is_stopped_closes_its_connection(self) -> None:
        near, far = self.pair()
        near.transport.stopProducing()
        self.clock.advance(DELAY_S)
        self.clock.advance(0)
        self.assertEqual(
            (near.notes, far.notes), ([(1.0, ConnectionDone)], [(1.0, ConnectionDone)])
        )

    def test_who_is_at_the_other_end_is_an_address(self) -> None:
        near, far = self.pair()
        peers = [end.transport.getPeer() for end in (near, far)]
        self.assertEqual(
            [(each.host, each.port) for each in peers], [("10.0.0.2", 7001), ("10.0.0.1", 7001)]
        )


class DialTests(NetworkCase):
    def test_where_nobody_listens_a_dial_is_refused_after_the_delay(self) -> None:
        self.network.unbind(THERE)
        dialled = self.dial()
        self.assertNoResult(dialled)
        self.clock.advance(DELAY_S)
        self.failureResultOf(dialled, Declined)

    def test_who_lets_nobody_in_refuses(self) -> None:
        self.server.closed = True
        dialled = self.dial()
        self.clock.advance(DELAY_S)
        self.failureResultOf(dialled, Declined)
        self.assertEqual(self.network.connections, [])

    def test_an_unreachable_host_is_given_up_when_the_time_is_over(self) -> None:
        self.network.unreachable.add(THERE)
        dialled = self.dial(3.0)
        self.clock.advance(2.9)
        self.assertNoResult(dialled)
        self.clock.advance(0.1)
        self.failureResultOf(dialled, TimedOut)
        self.assertEqual(self.server.made, [])

    def test_a_dial_that_is_cancelled_leaves_nothing(self) -> None:
        dialled = self.dial()
        dialled.cancel()
        self.failureResultOf(dialled, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_killed_host_loses_its_connections_alone_and_reaches_nobody(self) -> None:
        near, far = self.pair()
        others = self.network.connect("10.0.0.3:7001", THERE, Ends(self.clock))
        self.network.kill(HERE)
        self.clock.advance(0)
        self.assertEqual([what for _at, what in near.notes + far.notes], [ConnectionLost] * 2)
        self.assertEqual((others.notes, len(self.network.connections)), ([], 1))
        dialled = self.dial()
        self.clock.advance(DELAY_S)
        self.failureResultOf(dialled, Declined)
        self.network.bind(HERE, Ends(self.clock))
        self.pair()
        self.network.kill(THERE)
        dialled = self.dial()
        self.clock.advance(DELAY_S)
        self.failureResultOf(dialled, Declined)

    def test_a_port_that_is_closed_listens_no_more(self) -> None:
        port = self.successResultOf(self.network.server(HERE).listen(Ends(self.clock)))
        self.assertEqual((port.getHost().host, port.getHost().port), ("10.0.0.1", 7001))
        self.assertIsInstance(self.network.connect(THERE, HERE, Ends(self.clock)), End)
        port.stopListening()
        self.assertIsInstance(self.network.connect(THERE, HERE, Ends(self.clock)), Failure)


class ClockTests(NetworkCase):
    def test_time_passes_in_steps_of_a_millisecond_from_a_day_in_2023_on(self) -> None:
        self.assertEqual(self.network.wall, 1_700_000_000.0)
        steps: list[float] = []

        def step() -> None:
            steps.append(round(self.clock.seconds(), 6))
            if len(steps) < 5:
                self.clock.callLater(0.0001, step)

        self.clock.callLater(0, step)
        self.network.run(0.005)
        self.assertEqual(steps, [0.001, 0.002, 0.003, 0.004, 0.005])


class ServiceTests(NetworkCase):
    def test_the_chances_of_a_service_are_those_of_its_address(self) -> None:
        first, again, other = (self.network.service(each) for each in (HERE, HERE, THERE))
        chances = [service._rng.random() for service in (first, again, other)]
        self.assertEqual(chances[0], chances[1])
        self.assertNotEqual(chances[0], chances[2])


class FakeTests(SynchronousTestCase):
    def test_a_server_that_cannot_listen_says_how_often_it_was_asked(self) -> None:
        server = FailingServer(OSError(5, "no"))
        self.assertEqual(server.tries, 0)
        self.failureResultOf(server.listen(None), OSError)
        self.failureResultOf(server.listen(None), OSError)
        self.assertEqual(server.tries, 2)
        waiting = FailingServer(None).listen(None)
        self.assertNoResult(waiting)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)

    def test_a_core_does_nothing_unless_its_script_says_so_and_notes_what_it_was_told(self) -> None:
        core = ScriptedCore(node_ref("me", HERE))
        self.assertEqual(core.step(Tick(), 2.5), [])
        self.assertEqual((core.events, core.times, core.seen(Tick)), ([Tick()], [2.5], [Tick()]))
        self.assertEqual((core.bound, core.status()), (float("inf"), Status.UNJOINED))
        self.assertIsNone(core.known(core.me.raw))
        self.assertEqual((core.has_joined, core.doubts(core.me)), (False, False))
        core.deadline, core.now_status = 7.0, Status.ACTIVE
        core.doubted.add(core.me)
        self.assertEqual((core.bound, core.doubts(core.me)), (7.0, True))
        self.assertEqual(core.doubt(core.me), "'me' is doubted")
        standing = core.standing()
        self.assertEqual((standing.node, standing.status), (core.me, int(Status.ACTIVE)))

    def test_a_cores_accounts_come_in_pages_that_begin_behind_an_origin(self) -> None:
        core = ScriptedCore(node_ref("me", HERE))
        core.accounts = [LedgerState(b"a", life, [1, 2], []) for life in (1, 2, 3)]
        self.assertEqual(core.recorded(None, 2), core.accounts[:2])
        self.assertEqual(core.recorded((b"a", 1), 5), core.accounts[1:])
        self.assertEqual(core.recorded((b"a", 3), 5), [])

    def test_a_transport_notes_what_is_sent_in_order(self) -> None:
        transport, me = RecordingTransport(), node_ref("me", HERE)
        pings = [Ping(1), Ping(2)]
        for ping in pings:
            transport.send(me, ping)
        self.assertEqual(transport.sent, [(me, ping) for ping in pings])
