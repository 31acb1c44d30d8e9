"""The node as the sole purpose of its process: signals, ends, and what is checked beforehand."""

from __future__ import annotations

import gc
import signal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.usage import Options as TwistedOptions
from twisted.trial.unittest import SynchronousTestCase

from chordnet import ChordService
from chordnet.core.base.errors import ConfigError
from chordnet.tap import (
    _M_MMAP_THRESHOLD,
    MAPPED_BYTES,
    CannotStart,
    NodeProcess,
    Options,
    _starts_in_the_background,
)
from chordnet.testing import FailingServer
from tests.net.test_service import COOKIE, ServiceCase


class FakeReactor:
    """Notes what is asked of it; its own signal handlers note what they are called with."""

    def __init__(self) -> None:
        self.stops = 0
        self.running: list[Any] = []
        self.signals: list[tuple[str, int]] = []

    def stop(self) -> None:
        self.stops += 1

    def callWhenRunning(self, function: Any) -> None:
        self.running.append(function)

    def sigInt(self, number: int, _frame: Any) -> None:
        self.signals.append(("int", number))

    def sigTerm(self, number: int, _frame: Any) -> None:
        self.signals.append(("term", number))


class LateServer:
    """A server endpoint of which it is not known yet whether it can listen."""

    def __init__(self) -> None:
        self.listening: Deferred[Any] = Deferred()

    def listen(self, _factory: Any) -> Deferred[Any]:
        return self.listening


class ProcessTests(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = FakeReactor()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGINT, self.reactor.sigInt)
        signal.signal(signal.SIGTERM, self.reactor.sigTerm)

    def process(self) -> NodeProcess:
        node = self.network.service(self.address(1), name="Node 1", cookies=[COOKIE])
        self.services.append(node)
        process = NodeProcess(node, self.reactor)
        process.privilegedStartService()
        process.startService()
        self.network.run(1)
        for function in self.reactor.running:
            function()
        return process

    def send(self, number: int) -> None:
        handler = signal.getsignal(number)
        assert callable(handler)
        handler(number, None)

    def test_the_first_signal_is_handled_as_twisted_does_and_further_ones_are_not(self) -> None:
        for first, expected in (
            (signal.SIGINT, ("int", signal.SIGINT)),
            (signal.SIGTERM, ("term", signal.SIGTERM)),
            (signal.SIGHUP, ("term", signal.SIGHUP)),
        ):
            with self.subTest(first.name):
                self.setUp()
                self.process()
                self.assertEqual(self.reactor.signals, [])
                self.send(first)
                for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                    self.send(number)
                self.assertEqual(self.reactor.signals, [expected])
                self.assertEqual(self.reactor.stops, 0)
                self.tearDown()

    def test_handlers_that_are_not_twisteds_own_are_left_alone(self) -> None:
        own = lambda _number, _frame: None  # noqa: E731 - a handler of the program
        signal.signal(signal.SIGINT, own)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.process()
        self.assertIs(signal.getsignal(signal.SIGINT), own)
        self.assertIs(signal.getsignal(signal.SIGTERM), signal.SIG_IGN)
        self.assertIs(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)

    def test_a_client_that_makes_the_node_leave_ends_the_process_once(self) -> None:
        self.process()
        client = self.client(1)
        self.result(client.leave())
        self.assertEqual(self.reactor.stops, 1)
        self.result(client.leave())
        self.assertEqual(self.reactor.stops, 1)
        self.send(signal.SIGTERM)
        self.assertEqual(self.reactor.signals, [])

    def test_a_node_that_cannot_start_is_one_line(self) -> None:
        server = FailingServer(OSError(5, "broken"))
        process = NodeProcess(ChordService(self.clock, server, name="Node 1"), self.reactor)
        error = self.assertRaises(CannotStart, process.startService)
        self.assertEqual(str(error), f"cannot listen on {server}: [Errno 5] broken")
        self.assertEqual((self.reactor.running, self.reactor.stops), ([], 0))

    def test_a_node_that_turns_out_later_to_be_unable_to_start_ends_the_process(self) -> None:
        server = LateServer()
        NodeProcess(ChordService(self.clock, server, name="Node 1"), self.reactor).startService()
        self.assertEqual(self.reactor.stops, 0)
        server.listening.errback(ConfigError("no"))
        self.assertEqual(self.reactor.stops, 1)

    def test_the_collector_of_cycles_comes_less_often(self) -> None:
        self.process()
        self.assertEqual(gc.get_threshold(), (2_000, 50, 100))
        self.assertGreater(gc.get_freeze_count(), 0)


class MemoryTests(SynchronousTestCase):
    def test_blocks_from_256_kib_on_are_returned_by_glibc_s_own_option(self) -> None:
        """The number of the option is that of malloc.h."""
        self.assertEqual((_M_MMAP_THRESHOLD, MAPPED_BYTES), (-3, 262_144))


class BackgroundTests(SynchronousTestCase):
    def test_what_can_be_checked_beforehand_is_checked_for_a_process_in_the_background(
        self,
    ) -> None:
        rows: list[tuple[dict[str, Any] | None, bool]] = [
            (None, False),
            ({}, False),
            ({"nodaemon": 1}, False),
            ({"nodaemon": 0}, True),
            ({"nodaemon": 0, "rundir": "."}, True),
            ({"nodaemon": 0, "rundir": "/"}, False),
            ({"nodaemon": 0, "chroot": None, "uid": None, "gid": None}, True),
            ({"nodaemon": 0, "chroot": "/x"}, False),
            ({"nodaemon": 0, "uid": 0}, False),
            ({"nodaemon": 0, "gid": 0}, False),
            ({"nodaemon": 1, "uid": 0}, False),
        ]
        for twistd, expected in rows:
            self.assertIs(_starts_in_the_background(twistd), expected, twistd)


class IgnoredTests(SynchronousTestCase):
    def test_three_variables_of_kubernetes_are_named_and_the_others_counted(self) -> None:
        names = [f"CHORDNODE_{letter}_SERVICE_HOST" for letter in "ABCDE"]
        rows = [
            (1, "A_SERVICE_HOST"),
            (3, "C_SERVICE_HOST"),
            (4, "C_SERVICE_HOST and 1 more"),
            (5, "C_SERVICE_HOST and 2 more"),
        ]
        for count, end in rows:
            said: list[str] = []
            options = Options(dict.fromkeys(names[:count], "10.0.0.1"), said.append)
            TwistedOptions.parseOptions(options, [])
            (line,) = said
            self.assertTrue(line.startswith("ignored CHORDNODE_A_SERVICE_HOST"), line)
            self.assertTrue(line.endswith(f"_{end}: set by Kubernetes for a service"), line)
