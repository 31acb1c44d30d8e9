"""The file of a store's history: what a line may say, and the recorder that writes it."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet.judge.store.history import (
    MAX_LINE_BYTES,
    Action,
    HistoryError,
    HistoryRecorder,
    Operation,
    Outcome,
    read_history,
    value_text,
)

GET = {
    "client": "c", "key": "k", "operation": "get", "call": 1, "return": 2, "outcome": "value",
    "version": 3, "found": "a",
}  # fmt: skip
PUT = {
    "client": "c", "key": "k", "operation": "put", "value": "a", "call": 1, "return": 2,
    "outcome": "done", "version": 3,
}  # fmt: skip
DELETE = {
    "client": "c", "key": "k", "operation": "delete", "call": 1, "return": 2, "outcome": "done",
}  # fmt: skip


def line(fields: dict[str, Any], **more: Any) -> bytes:
    merged = {name: value for name, value in (fields | more).items() if value != "left out"}
    return json.dumps(merged).encode() + b"\n"


class LineTests(SynchronousTestCase):
    def refused(self, last: bytes) -> str:
        """Return why the second line of a history is none."""
        with self.assertRaises(HistoryError) as caught:
            list(read_history([line(GET), last]))
        self.assertEqual(caught.exception.line, 2)
        self.assertEqual(
            str(caught.exception), f"line 2 is no operation: {caught.exception.reason}"
        )
        return caught.exception.reason

    def test_a_line_is_an_operation(self) -> None:
        get, put = read_history([line(GET), line(PUT, if_version=2, expires=1.5)])
        self.assertEqual(
            get,
            Operation(
                client="c", key="k", action=Action.GET, call=1.0, returned=2.0,
                outcome=Outcome.VALUE, version=3, found="a",
            ),
        )  # fmt: skip
        self.assertEqual((put.value, put.if_version, put.expires), ("a", 2, 1.5))

    def test_fields_that_are_not_known_are_ignored_and_null_is_left_out(self) -> None:
        (plain,) = read_history([line(PUT)])
        (more,) = read_history([line(PUT, node=7, note={"x": [1]}, if_version=None, found=None)])
        self.assertEqual(plain, more)

    def test_what_is_no_json_or_no_operation_is_refused_with_its_number(self) -> None:
        for bad in (
            b"{",
            b'{"client": "c"}\n',
            b"[]\n",
            b"7\n",
            b"\xff\xfe\n",
            b'"\xff"\n',
            b"NaN\n",
        ):
            self.assertTrue(self.refused(bad))
        self.assertEqual(self.refused(b"\n"), "it is empty")
        self.assertIn("call", self.refused(line(GET, call="soon")))
        self.assertTrue(self.refused(b"[" * 100_000))
        self.assertTrue(self.refused(line(GET)[:-20]))

    def test_a_line_without_end_is_not_read_to_its_end(self) -> None:
        reason = self.refused(line(GET, note="x" * MAX_LINE_BYTES))
        self.assertIn(f"more than {MAX_LINE_BYTES} bytes", reason)

    def test_a_line_may_have_a_mebibyte_and_no_more(self) -> None:
        more = 2**20 - len(line(GET, note=""))
        self.assertEqual(len(list(read_history([line(GET, note="x" * more)]))), 1)
        reason = self.refused(line(GET, note="x" * (more + 1)))
        self.assertEqual(reason, "it has more than 1048576 bytes")

    def test_fields_that_do_not_belong_together_are_refused(self) -> None:
        for fields, more, reason in (
            (GET, {"outcome": "done"}, "a get cannot end as done"),
            (GET, {"outcome": "conflict"}, "a get cannot end as conflict"),
            (PUT, {"outcome": "absent"}, "a put cannot end as absent"),
            (PUT, {"outcome": "value"}, "a put cannot end as value"),
            (PUT, {"value": None}, "a put has a `value`"),
            (GET, {"value": "a"}, "a get has no `value`"),
            (DELETE, {"value": "a"}, "a delete has no `value`"),
            (DELETE, {"expires": 1}, "a delete has no `expires`"),
            (GET, {"if_version": 1}, "a get has no `if_version`"),
            (PUT, {"stale": True}, "a put is never `stale`"),
            (PUT, {"return": "left out"}, "without a `return` it is unconfirmed"),
            (GET, {"found": None}, "a value that was read is in `found`"),
            (GET, {"outcome": "absent"}, "nothing is `found` by what ends as absent"),
            (PUT, {"found": "b"}, "nothing is `found` by what ends as done"),
            (
                PUT,
                {"outcome": "conflict", "version": 0, "found": "b"},
                "nothing there has no `found`",
            ),
        ):
            self.assertEqual(self.refused(line(fields, **more)), reason)

    def test_numbers_that_cannot_be_are_refused(self) -> None:
        for more in ({"version": -1}, {"version": 2**63}, {"version": 1.5}, {"if_version": -1},
                     {"expires": -1}, {"call": None}):  # fmt: skip
            self.assertTrue(self.refused(line(PUT, **more)), more)


class ValueTests(SynchronousTestCase):
    def test_a_short_text_stands_for_itself_and_all_else_for_its_digest(self) -> None:
        self.assertEqual(value_text("grün".encode()), "grün")
        self.assertEqual(value_text(b""), "")
        self.assertEqual(value_text(b"x" * 64), "x" * 64)
        for value in (b"x" * 65, b"\xff", value_text(b"\xff").encode()):
            text = value_text(value)
            self.assertRegex(text, r"^blake2b:[0-9a-f]{32}$")
            self.assertNotEqual(text.encode(), value)


class RecorderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lines: list[bytes] = []
        self.recorder = HistoryRecorder("c", self.lines.append)

    def test_a_line_is_written_when_the_answer_is_there(self) -> None:
        put = self.recorder.put(1.0, "k", b"a", if_version=0, expires=2.0)
        get = self.recorder.get(1.5, "k", stale=True)
        delete = self.recorder.delete(1.75, "k", if_version=7)
        self.assertEqual(self.lines, [])
        self.recorder.answered(get, 2.0, Outcome.VALUE, version=1, found=b"\xff")
        self.recorder.answered(delete, 2.5, Outcome.CONFLICT, version=1, found=b"a")
        self.recorder.answered(put, 3.0, Outcome.DONE, version=1)
        self.assertEqual([each.count(b"\n") for each in self.lines], [1, 1, 1])
        got, deleted, written = read_history(self.lines)
        self.assertEqual(
            (got.stale, got.call, got.returned, got.found), (True, 1.5, 2.0, value_text(b"\xff"))
        )
        self.assertEqual((deleted.if_version, deleted.found), (7, "a"))
        self.assertEqual(
            written,
            Operation(
                client="c", key="k", action=Action.PUT, value="a", if_version=0, expires=2.0,
                call=1.0, returned=3.0, outcome=Outcome.DONE, version=1,
            ),
        )  # fmt: skip

    def test_what_is_never_answered_is_unconfirmed(self) -> None:
        self.recorder.put(1.0, "k", b"a")
        answered = self.recorder.get(2.0, "k")
        self.recorder.delete(3.0, "k")
        self.recorder.answered(answered, 4.0, Outcome.ABSENT)
        self.recorder.close()
        self.recorder.close()
        got, put, delete = read_history(self.lines)
        self.assertFalse(got.stale)
        self.assertEqual([put.action, delete.action], ["put", "delete"])
        for each in (put, delete):
            self.assertEqual((each.outcome, each.returned), (Outcome.UNCONFIRMED, None))

    def test_an_answer_comes_once_and_fits(self) -> None:
        get = self.recorder.get(1.0, "k")
        self.assertRaises(ValueError, self.recorder.answered, get, 2.0, Outcome.DONE, version=1)
        self.assertRaises(ValueError, self.recorder.answered, get, 2.0, Outcome.VALUE)
        self.recorder.answered(get, 2.0, Outcome.ABSENT)
        self.assertRaises(ValueError, self.recorder.answered, get, 2.0, Outcome.ABSENT)
        put = self.recorder.put(1.0, "k", b"a")
        self.recorder.close()
        self.assertRaises(ValueError, self.recorder.answered, put, 2.0, Outcome.DONE, version=1)
        self.assertEqual(len(self.lines), 2)
