"""The standard streams of a command: closed ones, and encodings that lack letters."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.base.output import moves, print_json, print_json_line
from tests.unit.testbed_fakes import NO_ENGINE

PROGRAM = "from chordnet.cli import main; main()"
CLOSED = "standard output is closed, so nothing could be shown"


PREPARED = """
import os, sys
from chordnet.cli.base.streams import prepare_streams
prepare_streams()
streams = sys.stdin, sys.stdout, sys.stderr
found = [(s.fileno(), s.encoding, s.errors) for s in streams]
escaped = "utf-8", "backslashreplace"
expected = [(0, "utf-8", "strict"), (1, *escaped), (2, *escaped)]
assert sys.stdin.read() == ""
print("nobody reads this", file=sys.stderr)
for stream in streams:
    stream.close()
for number in range(3):  # the descriptors stay open for what else writes to them
    os.fstat(number)
os._exit(0 if found == expected else 3)
"""


class ClosedStreamTests(SynchronousTestCase):
    def run_with(
        self, redirections: str, *words: str, program: str = PROGRAM
    ) -> tuple[int, str, str]:
        done = subprocess.run(
            [
                "/bin/sh", "-c", f'exec "$@" {redirections}', "sh",
                sys.executable, "-c", program, *words,
            ],
            capture_output=True, text=True, check=False, timeout=60,
            env=os.environ | NO_ENGINE | {"CHORDNET_HOME": str(Path(self.mktemp()).absolute())},
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def test_a_result_for_a_closed_output_is_one_line_and_status_1(self) -> None:
        for words in (["stop-network", "--json"], ["stop-network"], ["--help"], ["simulate", "-h"]):
            self.assertEqual(self.run_with(">&-", *words), (1, "", f"p2pnet: {CLOSED}\n"))

    def test_a_command_works_with_standard_error_or_input_closed(self) -> None:
        for redirection in ("2>&-", "<&-", "<&- 2>&-"):
            status, output, errors = self.run_with(redirection, "stop-network", "--json")
            self.assertEqual((status, json.loads(output)["stopped"], errors), (0, [], ""))

    def test_every_stream_that_was_closed_is_open_again_at_its_own_number(self) -> None:
        for redirections in ("<&- >&- 2>&-", "<&- 2>&-"):
            self.assertEqual(self.run_with(redirections, program=PREPARED), (0, "", ""))

    def test_a_failure_keeps_its_status_with_everything_closed(self) -> None:
        for words, expected in ((["status"], 1), (["nonsense"], 2), (["stop-network"], 1)):
            status, output, errors = self.run_with("<&- >&- 2>&-", *words)
            self.assertEqual((status, output, errors), (expected, "", ""))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class DumbTests(SynchronousTestCase):
    def test_only_a_terminal_that_can_go_back_gets_lines_that_change(self) -> None:
        self.assertTrue(moves(Terminal(), {"TERM": "xterm"}))
        self.assertFalse(moves(Terminal(), {"TERM": "dumb"}))
        self.assertFalse(moves(io.StringIO(), {"TERM": "xterm"}))


class AsciiTests(SynchronousTestCase):
    def test_json_is_pure_ascii_and_nothing_that_a_terminal_would_obey(self) -> None:
        body = "äpfel\x9b31m\u202e\u2066\x85\x1b\x7f\N{RED APPLE}\udc80"
        for show in (print_json, print_json_line):
            shown = io.StringIO()
            with contextlib.redirect_stdout(shown):
                show({"body": body})
            text = shown.getvalue()
            self.assertTrue(text.isascii(), text)
            self.assertEqual([c for c in text.strip() if c != "\n" and not " " <= c <= "~"], [])
            self.assertEqual(json.loads(text)["body"], body)
