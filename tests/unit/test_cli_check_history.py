"""``p2pnet check-history`` on files that are right, wrong, damaged and too hard."""

from __future__ import annotations

import json
import re
from pathlib import Path

from chordnet.cli.lab.check_history import found_lines
from chordnet.judge.store.check import check_history
from chordnet.judge.store.history import Operation, line_of
from chordnet.judge.store.registers import Limits
from tests.unit.store_histories import conflict, delete, get, operation, put
from tests.unit.test_cli import CommandCase

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "histories.md"

RIGHT = [put(0, 1, "a", 1), get(2, 3, "a", 1), get(2, 3, "a", 1, stale=True), delete(4, None, None)]
LOST = [
    put(0, 1, "a", 1, client="one"), put(2, 3, "b", 2, client="one"), get(2, 2.5, "b", 2),
    get(4, 5, None, None, client="two"),
]  # fmt: skip


class CheckHistoryTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.root.mkdir()
        self.file = self.root / "history.jsonl"

    def check(self, history: list[Operation], *words: str) -> tuple[int, str]:
        self.file.write_bytes(b"".join(map(line_of, history)))
        status, out, err = self.p2pnet("check-history", str(self.file), *words)
        self.assertEqual(err, "")
        return status, out

    def test_a_right_history_is_one_line(self) -> None:
        status, out = self.check(RIGHT)
        size, aside = "4 operations of 3 clients on 1 key", "1 unconfirmed, 1 stale read left out"
        self.assertEqual((status, out), (0, f"right: {size} ({aside})\n"))
        self.assertEqual(self.check([]), (0, "right: 0 operations of 0 clients on 0 keys\n"))

    def test_the_example_of_the_page_is_found_as_the_page_shows_it(self) -> None:
        page = PAGE.read_text("utf-8")
        lines, shown = (
            re.findall(rf"```{kind}\n(.*?)```", page, re.S)[0] for kind in ("json", "console")
        )
        self.file.write_text(lines, "utf-8")
        status, out, _ = self.p2pnet("check-history", str(self.file))
        command, _, expected = shown.partition("\n")
        self.assertEqual((status, command), (1, "$ p2pnet check-history history.jsonl"))
        self.assertEqual(out, expected)

    def test_a_counterexample_shows_what_contradicts_what(self) -> None:
        status, out = self.check(LOST)
        self.assertEqual(status, 1)
        self.assertEqual(
            out.splitlines(),
            [
                "wrong: 4 operations of 3 clients on 1 key",
                "key 'k': no order of its 4 operations explains every answer",
                "  These contradict each other, whenever the other writes happened:",
                "    line 2: one asked put 'b' at 2.000000, told at 3.000000: done, version 2",
                "    line 3: at 2 asked get at 2.000000, told at 2.500000: version 2, 'b'",
                "    line 4: two asked get at 4.000000, told at 5.000000: absent",
                "  The longest order that explains what it contains has 3 steps:",
                "    line 1: put 'a'; then there is version 1, 'a'",
                "    line 2: put 'b'; then there is version 2, 'b'",
                "    line 3: get; then there is version 2, 'b'",
                "  Next would have to come one of:",
                "    line 4: two asked get at 4.000000, told at 5.000000: absent",
                "      it was told that there is nothing, and there is version 2, 'b'",
            ],
        )

    def test_json(self) -> None:
        other = [operation("get", 9, 10, "value", key="x", found="z", version=4)]
        status, out = self.check(LOST + other, "--json")
        document = json.loads(out)
        self.assertEqual((status, document["verdict"]), (1, "wrong"))
        self.assertEqual(document["keys"], {"right": 0, "wrong": 2, "undecided": 0})
        searched, seen = document["found"]
        self.assertEqual(searched["counterexample"]["core"], [2, 3, 4])
        self.assertEqual(searched["counterexample"]["stuck"], [{"line": 4, "reason": "present"}])
        self.assertEqual(
            searched["counterexample"]["longest"][1],
            {"line": 2, "expiry": False, "version": 2, "value": "b"},
        )
        self.assertEqual(seen["anomalies"], [{"kind": "value-nobody-wrote", "lines": [5]}])
        self.assertIsNone(seen["counterexample"])
        status, out = self.check(RIGHT, "--json")
        self.assertEqual((status, json.loads(out)["found"]), (0, []))

    def test_clocks_that_differ(self) -> None:
        history = [put(0, 1, "a", 1), get(1.25, 1.5, None, None)]
        self.assertEqual(self.check(history)[0], 1)
        self.assertEqual(self.check(history, "--clock-skew", "0.2")[0], 1)
        self.assertEqual(self.check(history, "--clock-skew", "0.25")[0], 0)
        self.assertIn("'--clock-skew'", self.refused("check-history", "x", "--clock-skew", "-1"))
        self.assertIn("'--clock-skew'", self.refused("check-history", "x", "--clock-skew", "nan"))

    def test_what_is_too_large_to_decide_is_said_and_never_right(self) -> None:
        status, out = self.check(LOST, "--steps", "1")
        self.assertEqual(status, 3)
        first, second = out.splitlines()
        self.assertEqual(first, "too large to decide: 4 operations of 3 clients on 1 key")
        self.assertRegex(second, r"^key 'k': not decided after \d+ steps; raise them with --steps$")
        document = json.loads(self.check(LOST, "--steps", "1", "--json")[1])
        self.assertEqual(document["verdict"], "undecided")
        self.assertEqual(document["found"][0]["verdict"], "undecided")

    def test_a_history_of_which_only_the_beginning_was_looked_at_says_so(self) -> None:
        found = check_history(RIGHT, Limits(operations=2))
        self.assertEqual(
            list(found_lines(found, RIGHT)),
            [
                "too large to decide: 2 operations of 2 clients on 1 key",
                "only the first 2 operations were looked at",
            ],
        )

    def test_a_damaged_line_is_refused_in_one_line_with_its_number(self) -> None:
        self.file.write_bytes(line_of(RIGHT[0]) + b'{"client": "c\n')
        words = self.refused("check-history", str(self.file))
        self.assertIn(f"{self.file}: line 2 is no operation: ", words)

    def test_a_file_that_cannot_be_read_is_refused(self) -> None:
        words = self.refused("check-history", str(self.root / "none"))
        self.assertIn("none: No such file or directory", words)
        self.assertIn(": Is a directory", self.refused("check-history", str(self.root)))

    def test_many_faults_are_counted_and_not_all_shown(self) -> None:
        history = [put(0, 1, "a", 1)]
        history += [get(n, n + 0.5, "z", 2, client=f"c{n}") for n in range(2, 10)]
        history += [get(1, 2, "z", 1, key=f"k{n:02}", client="many") for n in range(12)]
        lines = self.check(history)[1].splitlines()
        self.assertEqual(lines[-1], "and 3 keys more")
        self.assertIn("  and 3 more", lines)
        self.assertEqual(sum(text.startswith("key ") for text in lines), 10)

    def test_only_the_end_of_a_long_order_is_shown(self) -> None:
        history = [put(n, n + 0.5, f"v{n}", n + 1) for n in range(9)]
        out = self.check([*history, get(20, 21, None, None)])[1]
        self.assertIn("has 9 steps:\n    4 before, then\n    line 5: put 'v4'; then", out)

    def test_nothing_in_a_history_reaches_the_terminal_as_it_is(self) -> None:
        bell = "\x1b]0;\x07"
        out = self.check([get(0, 1, bell, 1, client=bell, key=bell)])[1]
        self.assertNotIn("\x1b", out)
        self.assertIn("'\\x1b]0;\\x07'", out)

    def test_every_answer_has_its_words(self) -> None:
        history = [
            put(0, 1, "a", 1, if_version=0, expires=2.5), conflict(2, 3, 0, 1, found="z"),
            conflict(4, 5, 7, 0, key="other"), put(6, None, "b", None, key="other", if_version=7),
            operation("put", 6, 7, "unavailable", value="u", key="other"),
            get(8, 9, "u", 2, key="other"), put(0, 1, "q", 0, key="third"),
        ]  # fmt: skip
        out = self.check(history)[1]
        for words in (
            "put 'a' if there is nothing for 2.5 s at 0.000000, told at 1.000000: done, version 1",
            "if there is nothing at 2.000000, told at 3.000000: conflict, version 1, 'z'",
            "put 'u' at 6.000000, told at 7.000000: unavailable",
            "told at 9.000000: version 2, 'u'",
        ):
            self.assertIn(words, out)
        history = [conflict(4, 5, 7, 0), put(0, 1, "a", 1), put(0, None, "b", None, if_version=7)]
        out = self.check(history)[1]
        self.assertIn("told at 5.000000: conflict, there is nothing", out)

    def test_an_expiry_is_a_step_of_its_own(self) -> None:
        history = [
            put(0, 1, "a", 1, expires=5), get(8, 9, None, None),
            operation("get", 10, 11, "value", found="a"),
        ]  # fmt: skip
        out = self.check(history)[1]
        self.assertIn("line 1: what it wrote expires; then there is nothing", out)
        self.assertIn("it was told of a value, and there is nothing", out)
