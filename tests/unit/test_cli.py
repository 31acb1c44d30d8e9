"""The command line by itself: its words, its help, its failures. No network runs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

import chordnet
from chordnet.cli.app import COMMANDS, cli, run
from chordnet.testbed.base.home import NetworkHome
from tests.unit.testbed_fakes import NO_ENGINE, World, network


class CommandCase(SynchronousTestCase):
    """Runs commands in this process that end before they need the reactor.

    With a ``bench`` the others, too.
    """

    bench: World | None = None

    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        before = os.environ.get("CHORDNET_HOME")
        os.environ["CHORDNET_HOME"] = str(self.root)
        self.addCleanup(self._restore, before)

    def _restore(self, before: str | None) -> None:
        del os.environ["CHORDNET_HOME"]
        if before is not None:
            os.environ["CHORDNET_HOME"] = before

    def p2pnet(self, *words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run(words, self.bench)
        return status, out.getvalue(), err.getvalue()

    def refused(self, *words: str) -> str:
        """Return the one line of a command whose words are wrong."""
        status, out, err = self.p2pnet(*words)
        self.assertEqual((status, out), (2, ""), err)
        self.assertEqual(err.count("\n"), 1, err)
        return err


class HelpTests(CommandCase):
    def test_the_version(self) -> None:
        self.assertIn(chordnet.__version__, self.p2pnet("--version")[1])

    def test_the_help_of_everything_shows_an_example(self) -> None:
        for name in COMMANDS:
            status, out, _ = self.p2pnet(name, "--help")
            self.assertEqual(status, 0)
            self.assertIn(f"p2pnet {name}", out.partition("Example")[2], name)
        self.assertIn("p2pnet start-network", self.p2pnet("--help")[1].partition("Example")[2])

    def test_the_usage_says_which_words_may_be_left_out(self) -> None:
        words = {
            "remove-node": " NODE", "add-node": " [NODE]", "chaos": " VERB [NODES]...",
            "send-message": " NODE MESSAGE", "get-messages": " NODE", "explain": " NODE",
            "trace": " ID", "lookup": " NODE KEY", "put": " NODE KEY [VALUE]",
            "get": " NODE KEY", "delete": " NODE KEY", "watch": " NODE KEY", "keys": " NODE",
            "logs": " NODE", "replay": " FILE...",
            "check-history": " FILE", "explain-key": " KEY", "store": " [COMMAND]",
            "lab": " [NAME]", "join": " TOKEN", "renew": " DIR", "revoke": " [NAME]",
        }  # fmt: skip
        for name in COMMANDS:
            first = self.p2pnet(name, "--help")[1].splitlines()[0]
            self.assertEqual(first, f"Usage: p2pnet {name} [OPTIONS]{words.get(name, '')}")

    def test_what_may_not_be_left_out_is_named_where_it_is(self) -> None:
        for name in (
            "remove-node", "send-message", "get-messages", "explain", "lookup", "logs", "put",
            "get", "delete",
        ):  # fmt: skip
            self.assertIn("Missing argument 'NODE'", self.refused(name))
        self.assertIn("Missing argument 'ID'", self.refused("trace"))
        self.assertIn("Missing argument 'FILE...'", self.refused("replay"))

    def test_every_result_has_json(self) -> None:
        for name in COMMANDS:
            if name != "demo":
                self.assertIn("--json", self.p2pnet(name, "--help")[1], name)

    def test_the_words_alone_show_the_help(self) -> None:
        status, out, err = self.p2pnet()
        self.assertEqual((status, out), (2, ""))
        self.assertIn("start-network", err)
        self.assertEqual((err.count("Usage:"), err.count("p2pnet: ")), (1, 0))

    def test_the_help_lists_every_command_once_in_its_family(self) -> None:
        listed: dict[str, list[str]] = {}
        family = ""
        for line in self.p2pnet("--help")[1].splitlines():
            if re.fullmatch(r"\w.*:", line):
                family = line[:-1]
            elif entry := re.fullmatch(r"  ([a-z][a-z-]+)  +[A-Z].*\.", line):
                listed.setdefault(family, []).append(entry[1])
        self.assertEqual(
            listed,
            {
                "Start here": ["demo"],
                "Network": [
                    "start-network", "stop-network", "restart-network", "remove-node",
                    "add-node", "networks", "chaos",
                ],
                "Messages": ["send-message", "get-messages"],
                "Keys": ["put", "get", "delete", "watch", "keys", "store", "explain-key"],
                "Members of a secured network": [
                    "invite", "join", "renew", "certificates", "revoke", "rotate-authority",
                ],
                "Look inside": [
                    "status", "doctor", "ring", "explain", "trace", "lookup", "logs", "replay",
                    "check-history",
                ],
                "Simulate": ["simulate", "lab"],
            },
        )  # fmt: skip
        names = [name for family in listed.values() for name in family]
        with click.Context(cli) as context:
            self.assertEqual(sorted(cli.list_commands(context)), sorted(names))
            self.assertIsNone(cli.get_command(context, "dance"))

    def test_help_and_completion_import_no_command(self) -> None:
        """What is typed most often must be quick: no Twisted, no docker, no rich."""
        program = textwrap.dedent(
            """
            import sys
            import click
            from chordnet.cli.app import cli, run
            run(["--help"])
            names = [item.value for item in cli.shell_complete(click.Context(cli), "st")]
            assert names == ["start-network", "stop-network", "store", "status"], names
            heavy = {"twisted", "docker", "rich", "msgspec"} & set(sys.modules)
            assert not heavy, heavy
            """
        )
        subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)

    def test_commands_that_talk_to_a_node_do_without_docker_and_rich(self) -> None:
        program = textwrap.dedent(
            """
            import sys
            from chordnet.cli.commands import lookup, members, messages
            heavy = {"docker", "requests", "rich"} & set(sys.modules)
            assert not heavy, heavy
            """
        )
        subprocess.run([sys.executable, "-c", program], check=True)


class WordTests(CommandCase):
    def test_an_unknown_command_is_told_the_commands(self) -> None:
        self.assertIn("start-network", self.refused("zzz"))

    def test_a_node_is_told_the_range(self) -> None:
        NetworkHome(self.root, "default").save(network(16))
        for words in (["send-message", "{}", "x"], ["get-messages", "{}"], ["lookup", "{}", "k"]):
            for node in ("0", "17", "-1", "x", "1.5", "", "99999999999999999999", "²", "٣"):
                text = self.refused(*(word.format(node) for word in words))
                self.assertIn("NODE must be a number from 1 to 16, not", text)

    def test_a_negative_node_is_told_the_range_wherever_the_options_stand(self) -> None:
        NetworkHome(self.root, "default").save(network(16))
        for words in (
            ["send-message", "--json", "-1", "apple"],
            ["send-message", "--network", "default", "-17", "apple", "--timeout", "3"],
            ["get-messages", "--json", "-1"],
        ):
            self.assertIn("from 1 to 16, not '-1", self.refused(*words))
        self.assertIn("No such option", self.refused("send-message", "--nosuch", "1", "x"))

    def test_without_a_network_a_word_is_no_node_and_a_number_finds_nothing(self) -> None:
        self.assertIn("NODE is a number", self.refused("send-message", "x", "apple"))
        self.assertIn("NODE is a number", self.refused("send-message", "0", "apple"))

    def test_a_message_is_one_phrase_without_white_space(self) -> None:
        for message in ("two words", "tab\there", "line\n", "\u00a0", "a\u2003b"):
            self.assertIn("white space", self.refused("send-message", "1", message))
        self.assertIn("empty", self.refused("send-message", "1", ""))
        self.assertIn("UTF-8", self.refused("send-message", "1", "\udcff"))

    def test_a_message_has_at_most_64_kib_of_utf_8(self) -> None:
        text = self.refused("send-message", "1", "é" * 32769)
        self.assertIn("MESSAGE has 65538 bytes, and 65536 (64 KiB) are allowed", text)

    def test_other_wrong_words(self) -> None:
        for words in (
            ["start-network", "--nodes", "0"],
            ["start-network", "--nodes", "1000"],
            ["start-network", "--engine", "steam"],
            ["start-network", "--base-port", "65536"],
            ["start-network", "extra"],
            ["status", "--timeout", "0"],
            ["status", "--timeout", "nan"],
            ["status", "--timeout", "soon"],
            ["status", "--timeout", "inf"],
            ["status", "--network", "No Name"],
            ["status", "--network", "../x"],
            ["status", "--no-such-option"],
            ["send-message", "1"],
            ["get-messages", "1", "--limit", "0"],
            ["logs", "1", "--lines", "-1"],
            ["get-messages", "1", "--limit", "99999999999999999999"],
            ["lookup", "1", "\udcff"],
            ["simulate", "--jobs", "2"],
        ):
            self.refused(*words)
        self.assertIn("valid whole number", self.refused("start-network", "--nodes", "x"))
        self.assertIn("--nodes does not", self.refused("simulate", "--paper", "--nodes", "7"))

    def test_completion_speaks_the_shells_languages(self) -> None:
        for shell in ("bash", "zsh", "fish"):
            done = subprocess.run(
                [sys.executable, "-c", "from chordnet.cli import main; main()"],
                env=os.environ | {"_P2PNET_COMPLETE": f"{shell}_source"},
                capture_output=True,
                text=True,
                check=False,
            )
            self.assertIn("p2pnet", done.stdout, done.stderr)


class FailureTests(CommandCase):
    def p2pnet_apart(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from chordnet.cli import main; main()", *words],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | NO_ENGINE | options,
        )

    def test_the_demonstration_leaves_a_network_that_exists_alone(self) -> None:
        home = NetworkHome(self.root, "lab")
        home.save(network(3, name="lab"))
        done = self.p2pnet_apart("demo", "--network", "lab", CHORDNET_HOME=str(self.root))
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("p2pnet stop-network --purge --network lab", done.stderr)
        self.assertIsNotNone(home.load())

    def test_a_network_that_does_not_run_says_how_to_start_it(self) -> None:
        done = self.p2pnet_apart("status", "--json", "--network", "lab")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(
            done.stderr,
            "p2pnet: network 'lab' is not running; start it with: "
            "p2pnet start-network --network lab\n",
        )

    def test_stopping_what_does_not_run_is_fine(self) -> None:
        done = self.p2pnet_apart("stop-network", "--json")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(json.loads(done.stdout)["stopped"], [])
        self.assertFalse(self.root.exists())

    def test_a_home_that_cannot_be_used_is_one_line(self) -> None:
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.root.write_text("a file")
        done = self.p2pnet_apart("start-network", "--engine", "local")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_output_that_cannot_be_written_is_one_line(self) -> None:
        if not Path("/dev/full").exists():
            return
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-c", "from chordnet.cli import main; main()", "--help"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "p2pnet: the output: No space left on device\n")

    def test_a_reader_that_has_read_enough_gets_no_complaint(self) -> None:
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-c", "from chordnet.cli import main; main()", "--help"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(write)
        self.assertEqual((done.returncode, done.stderr), (1, ""))


class SignalTests(SynchronousTestCase):
    """A command's coroutine in a reactor of its own, in a process of its own."""

    program = textwrap.dedent(
        """
        import sys
        from chordnet.cli.base.failures import status_of
        from chordnet.cli.base.running import run_in_reactor
        from chordnet.survey.waiting import pause

        async def work(reactor):
            try:
                print("started", flush=True)
                await pause(reactor, 60)
            finally:
                await pause(reactor, 0.2)
                print("cleaned up", flush=True)

        try:
            run_in_reactor(work)
        except Exception as problem:
            sys.exit(status_of(problem))
        """
    )

    def test_a_signal_lets_a_command_clean_up_and_a_second_does_not_cut_that_short(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            child = subprocess.Popen(
                [sys.executable, "-c", self.program],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert child.stdout is not None
            self.assertEqual(child.stdout.readline(), "started\n")
            child.send_signal(number)
            child.send_signal(number)
            out, err = child.communicate()
            self.assertEqual(out, "cleaned up\n")
            self.assertEqual(err, "p2pnet: interrupted\n")
            self.assertEqual(child.returncode, 128 + number)

    def test_the_shell_completes_the_programs_own_options(self) -> None:
        names = [item.value for item in cli.shell_complete(click.Context(cli), "--v")]
        self.assertEqual(names, ["--version"])

    def test_the_shell_completes_the_options_of_a_command(self) -> None:
        command = cli.get_command(None, "status")  # type: ignore[arg-type]
        assert command is not None
        self.assertIn("--json", [option for p in command.params for option in p.opts])

    def test_cancelling_reaches_the_pause(self) -> None:
        from twisted.internet.task import Clock  # noqa: PLC0415

        from chordnet.survey.waiting import pause  # noqa: PLC0415

        clock = Clock()
        waiting: Deferred[None] = pause(clock, 1.0)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(clock.getDelayedCalls(), [])
