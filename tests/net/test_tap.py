"""The ``chordnode`` command: options from three sources, and the process made from them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.usage import Options as TwistedOptions
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chordnet import ChordService, P2PNetClient
from chordnet.core.base import errors
from chordnet.core.base.errors import ChordnetError
from chordnet.settings import listen_description
from chordnet.tap import Options


class OptionsTests(SynchronousTestCase):
    def parse(self, *words: str, file: str | None = None, **environ: str) -> Options:
        options = Options(environ)
        if file is not None:
            path = Path(self.mktemp())
            path.write_text(file)
            words = (*words, "--config", str(path))
        TwistedOptions.parseOptions(options, list(words))
        return options

    def refuse(self, expected: str, *words: str, **sources: str) -> None:
        error = self.assertRaises(UsageError, self.parse, *words, **sources)
        self.assertIn(expected, str(error))
        self.assertNotIn("\n", str(error))

    def test_every_option_has_its_default(self):
        options = self.parse()
        self.assertEqual((options["port"], options["bits"]), (7001, 160))
        self.assertEqual((options["network"], options["peers"]), ("default", []))
        for key in ("interface", "advertise", "name", "state-dir"):
            self.assertIsNone(options[key])

    def test_every_option_may_be_on_the_command_line(self):
        options = self.parse(
            "--port", "7002", "--interface", "127.0.0.1", "--name", "Node 2", "--peer", "a:1",
            "--peer", "tcp:b:2", "--peer", "[::1]:3", "--advertise", "h:4", "--state-dir", "d",
            "--network", "n", "--bits", "6", "--debug",
        )  # fmt: skip
        self.assertEqual(options["port"], 7002)
        self.assertEqual(options["peers"], ["a:1", "b:2", "[::1]:3"])
        self.assertEqual(options["name"], "Node 2")
        self.assertEqual(options["bits"], 6)
        self.assertTrue(options["debug"])

    def test_every_option_may_be_in_a_file(self):
        options = self.parse(
            file='port = 7003\npeers = ["a:1", "b:2"]\nname = "Node 3"\nstate_dir = "d"\nbits = 6\n'
            'interface = "::1"\nadvertise = "h:1"\nnetwork = "n"\ndebug = true\n'
        )
        self.assertEqual((options["port"], options["bits"]), (7003, 6))
        self.assertEqual((options["peers"], options["state-dir"]), (["a:1", "b:2"], "d"))
        self.assertTrue(options["debug"])

    def test_every_option_may_be_in_the_environment(self):
        options = self.parse(
            CHORDNODE_PORT="7004", CHORDNODE_PEERS="a:1,b:2 c:3", CHORDNODE_NAME="Node 4",
            CHORDNODE_STATE_DIR="d", CHORDNODE_DEBUG="no", CHORDNODE_BITS="",
        )  # fmt: skip
        self.assertEqual((options["port"], options["name"]), (7004, "Node 4"))
        self.assertEqual(options["peers"], ["a:1", "b:2", "c:3"])
        self.assertEqual((options["bits"], options["debug"]), (160, False))

    def test_variables_that_begin_with_chordnet_are_read_and_lose_to_chordnode(self):
        options = self.parse(CHORDNET_PORT="7005", CHORDNET_NAME="x", CHORDNODE_NAME="y")
        self.assertEqual((options["port"], options["name"]), (7005, "y"))

    def test_the_command_line_wins_over_the_environment_and_that_over_the_file(self):
        file = 'port = 1\nname = "file"\nnetwork = "file"\n'
        options = self.parse(
            "--port", "3", file=file, CHORDNODE_PORT="2", CHORDNODE_NAME="environment"
        )
        self.assertEqual(options["port"], 3)
        self.assertEqual(options["name"], "environment")
        self.assertEqual(options["network"], "file")

    def test_a_port_of_zero_on_the_command_line_wins_over_the_other_sources(self):
        self.assertEqual(self.parse("--port", "0", CHORDNODE_PORT="2")["port"], 0)

    def test_the_file_may_be_named_in_the_environment(self):
        path = Path(self.mktemp())
        path.write_text("port = 7006")
        self.assertEqual(self.parse(CHORDNODE_CONFIG=str(path))["port"], 7006)

    def test_each_bad_value_is_one_clear_line(self):
        self.refuse("port must be a whole number from 0 to 65535, not 'x'", "--port", "x")
        self.refuse("not '70000'", CHORDNODE_PORT="70000")
        self.refuse("not 7.5", file="port = 7.5")
        self.refuse("not True", file="port = true")
        self.refuse("bits must be a whole number from 3 to 256", "--bits", "2")
        self.refuse("'nonsense' is not an address; write HOST:PORT", "--peer", "nonsense")
        self.refuse("a port from 1 to 65535", "--peer", "host:0")
        self.refuse("'a..b' cannot be a host's name", "--peer", "a..b:1")
        self.refuse("'a..b' cannot be a host's name", CHORDNODE_PEERS="a..b:1")
        self.refuse("'a..b' cannot be a host's name", file='peers = ["a..b:1"]')
        self.refuse("must be 1 to 255 printable characters", "--name", "")
        self.refuse("must be 1 to 255 printable characters", "--network", "a\nb")
        self.refuse("debug must be yes or no", CHORDNODE_DEBUG="perhaps")
        self.refuse("name must be a text, not 5", file="name = 5")
        self.refuse("peers must be a list of HOST:PORT", file="peers = [5]")
        self.refuse("at most 64 peers", *["--peer", "a:1"] * 65)

    def test_bad_files_are_refused_with_the_reason(self):
        self.refuse("cannot read /does/not/exist: No such file", "--config", "/does/not/exist")
        self.refuse("is not valid TOML", file="port = ")
        self.refuse("'colour' is not an option; there are port, ", file="colour = 1")
        self.refuse("'config' is not an option", file='config = "x"')

    def test_the_options_of_recording_come_from_every_source(self):
        self.assertIsNone(self.parse()["record"])
        options = self.parse("--record", "a.rec", CHORDNODE_RECORD_BYTES="5000")
        self.assertEqual((options["record"], options["record-bytes"]), ("a.rec", 5000))
        self.assertEqual(self.parse(file='record = "b.rec"')["record"], "b.rec")
        self.refuse("record-bytes must be a whole number from 4096", "--record-bytes", "10")

    def test_a_port_and_an_interface_become_a_listen_description(self):
        self.assertEqual(listen_description(7001, None), "tcp:7001")
        self.assertEqual(listen_description(7001, "10.0.0.1"), "tcp:7001:interface=10.0.0.1")
        self.assertEqual(listen_description(0, "[::1]"), r"tcp6:0:interface=\:\:1")


RUN_TWISTD = "from twisted.scripts.twistd import run; run()"


class NodeProcess(ProcessProtocol):
    """A ``twistd chordnode`` and what it writes."""

    def __init__(self):
        self.output = ""
        self.ended: Deferred[object] = Deferred()

    def childDataReceived(self, _fd, data):
        self.output += data.decode()

    def processEnded(self, reason):
        self.ended.callback(reason.value)


class ProcessTests(TestCase):
    timeout = 60

    def start(self, *words: str, before: str = "") -> NodeProcess:
        process = NodeProcess()
        command = [
            sys.executable, "-c", f"import signal; {before}\n{RUN_TWISTD}", "-n",
            "--pidfile=", "chordnode", "--interface", "127.0.0.1", *words,
        ]  # fmt: skip
        environ = {k: v for k, v in os.environ.items() if not k.startswith("CHORDNODE_")}
        # An absolute path: trial's own directory is the working directory here.
        environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        reactor.spawnProcess(process, sys.executable, command, environ)
        self.addCleanup(self.kill, process)
        return process

    def kill(self, process: NodeProcess) -> Deferred[object] | None:
        if process.ended.called:
            return None
        process.transport.signalProcess("KILL")
        return process.ended

    async def port_of(self, process: NodeProcess) -> int:
        while "listening as" not in process.output:
            self.assertFalse(process.ended.called, process.output)
            await deferLater(reactor, 0.05)
        return int(process.output.split("listening as 127.0.0.1:")[1].split()[0])

    async def active(self, port: int) -> P2PNetClient:
        client = P2PNetClient(f"127.0.0.1:{port}", reactor)
        self.addCleanup(client.close)
        while (await client.status()).state != "active":
            await deferLater(reactor, 0.05)
        return client

    async def test_sigterm_leaves_the_ring_in_order(self):
        first = self.start("--port", "0", "--name", "Node 1")
        client = await self.active(await self.port_of(first))
        peer = (await client.status()).node.address
        second = self.start("--port", "0", "--name", "Node 2", "--peer", peer)
        await self.active(await self.port_of(second))
        second.transport.signalProcess("TERM")
        outcome = await second.ended
        self.assertIn(outcome.signal, (signal.SIGTERM, None))
        self.assertIn("Node 2: is left (was leaving)", second.output)
        self.assertIn("Node 2: stopped", second.output)
        self.assertNotIn("Traceback", second.output + first.output)
        while (receipt := await client.send_message("apple")).recorded != 1:
            await deferLater(reactor, 0.05)
        self.assertEqual(receipt.members, 1)

    async def test_signals_while_a_node_leaves_change_nothing(self):
        for signals in (("TERM", "TERM"), ("TERM", "INT"), ("TERM", "INT", "HUP")):
            process = self.start("--port", "0", "--name", "Node 1")
            await self.active(await self.port_of(process))
            for each in signals:
                with contextlib.suppress(ProcessExitedAlready):
                    process.transport.signalProcess(each)
            outcome = await process.ended
            # Which of those that wait together comes first is the system's choice.
            self.assertIn(outcome.signal, [signal.Signals[f"SIG{each}"] for each in signals])
            self.assertIn("Node 1: stopped", process.output)
            self.assertNotIn("Traceback", process.output)

    async def test_a_signal_after_an_order_to_leave_changes_nothing(self):
        process = self.start("--port", "0", "--name", "Node 1")
        client = await self.active(await self.port_of(process))
        await client.leave()
        with contextlib.suppress(ProcessExitedAlready):
            process.transport.signalProcess("TERM")
        await process.ended
        self.assertIn("Node 1: stopped", process.output)
        self.assertNotIn("Traceback", process.output)

    async def test_a_client_can_make_a_node_leave_and_its_process_ends(self):
        process = self.start("--port", "0")
        client = await self.active(await self.port_of(process))
        await client.leave()
        outcome = await process.ended
        self.assertEqual(outcome.exitCode, 0, process.output)

    async def test_a_port_in_use_is_one_line_and_status_1(self):
        node = ChordService(reactor, "tcp:0:interface=127.0.0.1")
        node.startService()
        self.addCleanup(node.stopService)
        await node.started()
        port = node.address.split(":")[1]
        process = self.start("--port", port)
        outcome = await process.ended
        self.assertEqual(outcome.exitCode, 1)
        self.assertIn(f"cannot listen on 127.0.0.1:{port}", process.output)
        self.assertNotIn("Traceback", process.output)

    async def test_a_state_directory_in_use_is_one_line_and_status_1(self):
        path = os.path.abspath(self.mktemp())  # noqa: PTH100 - mktemp's is relative
        first = self.start("--port", "0", "--state-dir", path)
        await self.port_of(first)
        second = self.start("--port", "0", "--state-dir", path)
        outcome = await second.ended
        self.assertEqual(outcome.exitCode, 1)
        self.assertIn("in use by another node", second.output)
        self.assertNotIn("Traceback", second.output)

    async def test_a_closed_terminal_lets_a_node_leave_the_ring_in_order(self):
        process = self.start("--port", "0", "--name", "Node 1")
        await self.active(await self.port_of(process))
        process.transport.signalProcess("HUP")
        outcome = await process.ended
        self.assertEqual(outcome.signal, signal.SIGHUP)
        self.assertIn("Node 1: is left (was leaving)", process.output)
        self.assertIn("Node 1: stopped", process.output)

    async def test_nohup_keeps_a_node_running_when_the_terminal_is_closed(self):
        process = self.start("--port", "0", before="signal.signal(signal.SIGHUP, signal.SIG_IGN)")
        client = await self.active(await self.port_of(process))
        process.transport.signalProcess("HUP")
        self.assertEqual((await client.status()).state, "active")

    async def test_a_wrong_option_is_one_line_and_status_1(self):
        process = self.start("--port", "x")
        outcome = await process.ended
        self.assertEqual(outcome.exitCode, 1)
        self.assertIn("port must be a whole number from 0 to 65535, not 'x'", process.output)
        self.assertNotIn("Traceback", process.output)


class StartFailureTests(SynchronousTestCase):
    """What a user sees of a node that cannot start, in the foreground and in the background."""

    def setUp(self):
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def twistd(self, *words: str) -> tuple[str, str]:
        """Run twistd, which has to fail, and return its standard error and its log."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("CHORDNODE_")}
        environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        done = subprocess.run(
            [sys.executable, "-c", RUN_TWISTD, *words], check=False, text=True, timeout=50,
            capture_output=True, env=environ, cwd=self.directory,
        )  # fmt: skip
        self.assertEqual(done.returncode, 1, done)
        self.wait_for_the_end()
        self.assertEqual([path.name for path in self.directory.glob("*.pid")], [])
        log = self.directory / "twistd.log"
        return done.stderr, done.stdout + (log.read_text() if log.exists() else "")

    def wait_for_the_end(self) -> None:
        """Wait until the process in the background, if there is one, has ended.

        It tells the one that the user started that it has failed, and only then cleans up.
        """
        for path in self.directory.glob("*.pid"):
            try:
                pid = int(path.read_text())
                for _ in range(600):
                    os.kill(pid, 0)
                    time.sleep(0.05)
            except (FileNotFoundError, ProcessLookupError):
                pass

    def taken_port(self) -> int:
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        port: int = listener.getsockname()[1]
        return port

    def refused(self, expected: str, *words: str) -> None:
        """Check that both ways end with one line on standard error, status 1 and no pid file."""
        for mode in ([], ["--nodaemon"]):
            errors, log = self.twistd(*mode, "chordnode", "--interface", "127.0.0.1", *words)
            self.assertEqual(errors.count("\n"), 1, errors)
            self.assertTrue(errors.startswith(f"chordnode: {expected}"), errors)
            self.assertNotIn("Traceback", log)

    def test_a_port_in_use_is_refused_at_the_start(self):
        port = self.taken_port()
        self.refused(
            f"cannot listen on 127.0.0.1:{port}: Address already in use; is another program",
            "--port", str(port),
        )  # fmt: skip

    def test_a_state_directory_that_is_a_file_is_refused_at_the_start(self):
        file = self.directory / "file"
        file.touch()
        self.refused(
            f"the state directory {file} cannot be used", "--port", "0", "--state-dir", str(file)
        )

    def test_a_recording_that_cannot_be_written_is_refused_at_the_start(self):
        file = self.directory / "nowhere" / "node.rec"
        self.refused(f"cannot record to {file}: No such", "--port", "0", "--record", str(file))

    def test_an_address_that_nobody_can_connect_to_is_refused_at_the_start(self):
        self.refused("'0.0.0.0' cannot be advertised", "--port", "0", "--advertise", "0.0.0.0")

    def test_a_failure_that_only_the_process_in_the_background_meets_is_in_its_log(self):
        # With --rundir nothing is looked at beforehand, as it would be looked at elsewhere.
        port = self.taken_port()
        words = ["chordnode", "--interface", "127.0.0.1", "--port", str(port)]
        errors, log = self.twistd("--rundir", str(self.directory), *words)
        self.assertIn("An error has occurred", errors)
        self.assertIn(f"cannot start: cannot listen on 127.0.0.1:{port}", log)


class ImportTests(SynchronousTestCase):
    def test_a_node_loads_nothing_of_the_command_line(self):
        code = "import sys, chordnet.tap; print(*sys.modules)"
        loaded = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        ).stdout.split()  # fmt: skip
        for heavy in ("rich", "click", "docker", "platformdirs", "chordnet.cli", "chordnet.sim"):
            self.assertNotIn(heavy, loaded)

    def test_errors_have_one_root(self):
        kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
        self.assertTrue(all(issubclass(kind, ChordnetError) for kind in kinds))
