"""``p2pnet put``, ``get`` and ``delete``, on a network of fakes."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from chordnet.cli.app import run
from chordnet.cli.store.keys import print_value
from chordnet.core.base.errors import (
    Conflict,
    NoStore,
    TimedOut,
    Unavailable,
    Unconfirmed,
    Untold,
)
from chordnet.core.base.outcomes import Entry
from chordnet.wire.rpc import Written
from tests.unit.test_cli_commands import WorldCase

WRITTEN = Written(3, "0f" * 16, 63, 2, ["Node 4", "Node 2"], ["Node 5"], 1000.0)
WHOLE = Written(4, "0f" * 16, 63, 2, ["Node 4", "visitor", "Node 2"], [], 1000.0)
ENTRY = Entry(b"blue", 3)
USUAL = {"request": None, "since": None, "timeout_s": 10.0, "if_version": None}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Raw(io.RawIOBase):
    """What is written at last, without a buffer."""

    def __init__(self, there: io.BytesIO) -> None:
        self.there = there

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self.there.write(data)


@contextlib.contextmanager
def standard_input(data: bytes) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(data))
    try:
        yield
    finally:
        sys.stdin = before


class KeysCase(WorldCase):
    def ends(self, *ends: Any, node: int = 4) -> None:
        self.world.nodes.keys[node] = list(ends)

    @property
    def asked(self) -> tuple[Any, ...]:
        """What the node was last asked."""
        return self.world.nodes.words[-1]

    def complained(self, *words: str) -> tuple[str, str]:
        """Return what a command printed that failed."""
        status, out, err = self.p2pnet(*words)
        self.assertEqual((status, err.count("\n")), (1, 1), err)
        return out, err

    def raw(self, *words: str) -> tuple[int, bytes, str]:
        """Run a command whose standard output takes bytes."""
        out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run(words, self.bench)
        out.flush()
        return status, out.buffer.getvalue(), err.getvalue()


class PutTests(KeysCase):
    def test_a_write_says_its_version_and_where_it_is(self) -> None:
        self.ends(WRITTEN, WHOLE, Written(1, "", 0, 1, ["Node 1"], [], 0.0))
        self.assertEqual(
            self.printed("put", "4", "config", "blue"),
            "config is version 3, on Node 4 and Node 2; not confirmed by Node 5 yet\n",
        )
        self.assertEqual(
            self.printed("put", "4", "config", "blue"),
            "config is version 4, on Node 4, visitor and Node 2\n",
        )
        self.assertEqual(
            self.printed("put", "4", "a\x07", "blue"), "a\\x07 is version 1, on Node 1\n"
        )

    def test_the_node_is_asked_for_what_the_words_say(self) -> None:
        self.ends(*[WRITTEN] * 13)
        file = self.root / "value"
        file.write_bytes(bytes(range(256)))
        put = {"expires_s": None, **USUAL}
        for words, key, said in (
            (("config", "blue"), "config", {"value": b"blue"}),
            (("two words", ""), "two words", {"value": b""}),
            (("k", "ä\udcff"), "k", {"value": b"\xc3\xa4\xff"}),
            (("k", "--", "--x"), "k", {"value": b"--x"}),
            (("-1", "-2"), "-1", {"value": b"-2"}),
            (("k", "--file", str(file)), "k", {"value": bytes(range(256))}),
            (("k", "v", "--if-version", "0"), "k", {"value": b"v", "if_version": 0}),
            (
                ("k", "v", "--if-version", str(2**62 - 1)), "k",
                {"value": b"v", "if_version": 2**62 - 1},
            ),
            (("k", "v", "--expires", "0.5"), "k", {"value": b"v", "expires_s": 0.5}),
            (("k", "v", "--expires", "315360000"), "k", {"value": b"v", "expires_s": 315360000.0}),
            (
                ("k", "v", "--again", "aa.123456789012345678"), "k",
                {"value": b"v", "request": b"\xaa", "since": 123456789012345678},
            ),
            (
                ("k", "v", "--again", "07" * 64 + ".0"), "k",
                {"value": b"v", "request": b"\7" * 64, "since": 0},
            ),
            (
                ("k", "v", "--again", "00ff.17", "--timeout", "3"), "k",
                {"value": b"v", "request": b"\0\xff", "since": 17, "timeout_s": 3.0},
            ),
        ):  # fmt: skip
            self.printed("put", "4", *words)
            self.assertEqual(self.asked, ("put", key, put | said))

    def test_the_value_may_come_on_standard_input(self) -> None:
        self.ends(WRITTEN, WRITTEN)
        for data in (b"\xff\n\0", bytes(1_048_576)):
            with standard_input(data):
                self.printed("put", "4", "k", "-")
            self.assertEqual(self.asked[2]["value"], data)
        with standard_input(bytes(1_100_000)):
            refused = self.refused("put", "4", "k", "-")
            self.assertIn("the value has more than 1048576 bytes (1 MiB)", refused)
            self.assertEqual(sys.stdin.buffer.tell(), 1_048_577, "no more is read than is needed")

    def test_a_file_may_have_as_much_as_a_value(self) -> None:
        file = self.root / "value"
        self.ends(WRITTEN)
        file.write_bytes(bytes(1_048_576))
        self.printed("put", "4", "k", "--file", str(file))
        file.write_bytes(bytes(1_048_577))
        self.assertIn("more than 1048576 bytes", self.refused("put", "4", "k", "--file", str(file)))
        self.assertIn("No such file", self.refused("put", "4", "k", "--file", str(file) + "x"))

    def test_wrong_words_are_refused_before_a_node_is_asked(self) -> None:
        self.ends(WRITTEN)
        for words, text in (
            (("", "v"), "the key is empty"), (("k" * 1025, "v"), "the key has 1025 bytes"),
            (("\udcff", "v"), "KEY must be UTF-8 text"),
            (("k",), "give one of VALUE, - for standard input, or --file PATH"),
            (("k", "v", "--file", "x"), "give one of VALUE, -"),
            (("k", "v", "--if-version", "-1"), "--if-version"),
            (("k", "v", "--if-version", "x"), "--if-version"),
            (("k", "v", "--if-version", str(2**62)), "--if-version"),
            (("k", "v", "--expires", "0"), "--expires takes seconds, more than 0 and at most"),
            (("k", "v", "--expires", "nan"), "--expires takes seconds"),
            (("k", "v", "--expires", "soon"), "not 'soon'"),
            (("k", "v", "--expires", "315360001"), "at most 315360000"),
            (("k", "v", "--again", "x.1"), "--again takes what the unconfirmed command told"),
            (("k", "v", "--again", "00ff"), "--again takes"),
            (("k", "v", "--again", ".1"), "--again takes"),
            (("k", "v", "--again", "00ff.-1"), "--again takes"),
            (("k", "v", "--again", "00ff.²"), "--again takes"),
            (("k", "v", "--again", "00ff.1234567890123456789"), "--again takes"),
            (("k", "v", "--again", "00" * 65 + ".1"), "--again takes"),
            (("k", "v", "--timeout", "0"), "--timeout takes seconds"),
        ):  # fmt: skip
            self.assertIn(text, self.refused("put", "4", *words))
        self.assertIn("NODE must be a number from 1 to 5", self.refused("put", "6", "k", "v"))
        self.assertEqual(self.world.nodes.words, [])

    def test_the_document_of_a_write_has_the_numbers_of_its_nodes(self) -> None:
        self.ends(WRITTEN, WHOLE)
        self.assertEqual(
            self.document("put", "4", "config", "blue"),
            {
                "key": "config", "outcome": "done", "version": 3, "formation": "0f" * 16,
                "slot": 63, "epoch": 2, "acknowledged": [4, 2], "others": [5],
                "at": "1970-01-01T00:16:40.000+00:00",
            },
        )  # fmt: skip
        self.assertEqual(
            self.document("put", "4", "config", "blue")["acknowledged"], [4, "visitor", 2]
        )


class EndTests(KeysCase):
    """Every end of a write that is not done: one line, exit status 1, and a document."""

    ENDS = (
        (
            Conflict("'config' has version 3, not 1; it was not written", ENTRY),
            "p2pnet: 'config' has version 3, not 1; it was not written\n",
            {
                "outcome": "conflict",
                "present": {"version": 3, "expires": None, "value": "blue"},
            },
        ),
        (
            Conflict("'config' has no value"),
            "p2pnet: 'config' has no value\n",
            {"outcome": "conflict", "present": None},
        ),
        (
            Unavailable("slot 63: 1 of 3 members answers", 63, 2, 3, ["Node 4", "other"]),
            "p2pnet: slot 63: 1 of 3 members answers\n",
            {
                "outcome": "unavailable", "slot": 63, "epoch": 2, "members": 3,
                "missing": [4, "other"],
            },
        ),
        (
            Unconfirmed("it is not known: gone", b"\0\xff", 7),
            "p2pnet: it is not known: gone; to be certain repeat the command with --again 00ff.7\n",
            {"outcome": "unconfirmed", "again": "00ff.7"},
        ),
        (
            Untold("it cannot be told\nany more\x07"),
            "p2pnet: it cannot be told\\nany more\\x07\n",
            {"outcome": "untold"},
        ),
    )  # fmt: skip

    def test_each_end_has_its_line_and_its_document(self) -> None:
        for words in (("put", "4", "config", "blue"), ("delete", "4", "config")):
            for end, line, document in self.ENDS:
                self.ends(end, end)
                self.assertEqual(self.complained(*words), ("", line))
                out, err = self.complained(*words, "--json")
                self.assertEqual(err, line)
                self.assertEqual(json.loads(out), {"key": "config", **document})

    def test_a_refusal_is_one_line_and_no_document(self) -> None:
        for words in (("put", "4", "config", "blue"), ("delete", "4", "config"), ("get", "4", "k")):
            for more in ((), ("--json",)):
                self.ends(NoStore("this node keeps no store"))
                self.assertEqual(self.failed(*words, *more), "p2pnet: this node keeps no store\n")

    def test_what_a_node_says_of_a_refusal_controls_no_terminal(self) -> None:
        self.ends(NoStore("none\n\x1b[2J\u202e"))
        self.assertEqual(self.failed("get", "4", "k"), "p2pnet: none \\x1b[2J\\u202e\n")

    def test_a_node_that_does_not_answer_is_named(self) -> None:
        for words, seconds in (
            (("get", "4", "k"), 15),
            (("get", "4", "k", "--timeout", "2"), 7),
            (("put", "4", "k", "v"), 15),
            (("put", "4", "k", "v", "--timeout", "2"), 7),
            (("delete", "4", "k"), 15),
            (("delete", "4", "k", "--timeout", "2"), 7),
        ):
            self.ends(TimedOut("127.0.0.1:9004 did not answer"))
            self.assertIn(f"Node 4 did not answer within {seconds} s", self.failed(*words))

    def test_a_node_that_does_not_run_is_named(self) -> None:
        self.world.engine.alive -= {4}
        self.assertIn("Node 4 is stopped", self.failed("put", "4", "k", "v"))


class DeleteTests(KeysCase):
    def test_a_deletion_says_its_version_and_where_it_is(self) -> None:
        self.ends(WHOLE, WRITTEN)
        self.assertEqual(
            self.printed("delete", "4", "config", "--if-version", "3"),
            "config is deleted (version 4), on Node 4, visitor and Node 2\n",
        )
        self.assertEqual(self.asked, ("delete", "config", {**USUAL, "if_version": 3}))
        document = self.document("delete", "4", "config", "--again", "aa.0", "--timeout", "2")
        self.assertEqual((document["outcome"], document["version"]), ("done", 3))
        said = {**USUAL, "request": b"\xaa", "since": 0, "timeout_s": 2.0}
        self.assertEqual(self.asked, ("delete", "config", said))


class GetTests(KeysCase):
    def test_a_value_is_printed_as_it_is_and_nothing_else(self) -> None:
        for value in (b"", b"blue", b"blue\r\n", b"\xff\0\x1b[31m"):
            self.ends(Entry(value, 1))
            self.assertEqual(self.raw("get", "4", "config"), (0, value, ""))
        self.assertEqual(self.asked, ("get", "config", {"timeout_s": 10.0}))

    def test_a_value_follows_what_was_printed_before_and_is_out_when_it_is_printed(self) -> None:
        there = io.BytesIO()
        out = io.TextIOWrapper(io.BufferedWriter(Raw(there)))
        with contextlib.redirect_stdout(out):
            out.write("before ")
            print_value(b"value")
            self.assertEqual(there.getvalue(), b"before value")

    def test_on_a_terminal_a_value_ends_with_a_line_feed_and_controls_nothing(self) -> None:
        for value, shown in (
            (b"blue", "blue\n"), (b"a\nb\xc3\xa4", "a\nbä\n"),
            (b"\x1b[31m\xff", "\\x1b[31m\\xff\n"),
        ):  # fmt: skip
            self.ends(Entry(value, 1))
            out = Terminal()
            with contextlib.redirect_stdout(out):
                self.assertEqual(run(("get", "4", "config"), self.bench), 0)
            self.assertEqual(out.getvalue(), shown)

    def test_a_value_may_go_into_a_file(self) -> None:
        file = self.root / "value"
        self.ends(Entry(b"\xff\n", 3), Entry(b"x", 4), ENTRY)
        self.assertEqual(
            self.printed("get", "4", "config", "--output", str(file)),
            f"{file}: 2 bytes, version 3\n",
        )
        self.assertEqual(file.read_bytes(), b"\xff\n")
        self.assertIn(": 1 byte, version 4", self.printed("get", "4", "k", "--output", str(file)))
        status, out, err = self.p2pnet("get", "4", "k", "--output", str(self.root))
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(err, f"p2pnet: {self.root}: {os.strerror(21)}\n")

    def test_a_key_without_a_value_is_one_line_and_leaves_the_file_alone(self) -> None:
        file = self.root / "value"
        for words in (("config",), ("config", "--output", str(file))):
            self.ends(None)
            self.assertEqual(self.failed("get", "4", *words), "p2pnet: there is no key config\n")
        self.assertFalse(file.exists())
        self.ends(None)
        out, err = self.complained("get", "4", "config", "--json")
        self.assertEqual(json.loads(out), {"key": "config", "outcome": "absent"})
        self.assertIn("there is no key config", err)

    def test_an_unavailable_key_is_one_line_and_a_document(self) -> None:
        end = Unavailable("'config' cannot be read now", 63, 2, 3, ["Node 1"])
        self.ends(end, end)
        self.assertEqual(
            self.complained("get", "4", "config"), ("", "p2pnet: 'config' cannot be read now\n")
        )
        out, _err = self.complained("get", "4", "config", "--json")
        self.assertEqual(
            json.loads(out),
            {
                "key": "config", "outcome": "unavailable", "slot": 63, "epoch": 2, "members": 3,
                "missing": [1],
            },
        )  # fmt: skip

    def test_the_document_has_a_text_as_it_is_and_other_bytes_in_base64(self) -> None:
        self.ends(Entry("ä\0".encode(), 3, 1000.0), Entry(b"\xff", 4))
        self.assertEqual(
            self.document("get", "4", "config"),
            {
                "key": "config", "outcome": "value", "version": 3,
                "expires": "1970-01-01T00:16:40.000+00:00", "value": "ä\0",
            },
        )  # fmt: skip
        document = self.document("get", "4", "config")
        self.assertEqual(document.pop("value_base64"), base64.b64encode(b"\xff").decode())
        self.assertEqual(
            document,
            {"key": "config", "outcome": "value", "version": 4, "expires": None, "value": None},
        )
