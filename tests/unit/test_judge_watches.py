"""What the judge of a key-value store says of watches: in order, each once, never of the past."""

from __future__ import annotations

from typing import Any

from chordnet.judge.store.anomalies import Kind, Verdict
from chordnet.judge.store.check import check_history
from chordnet.judge.store.history import (
    HistoryRecorder,
    Operation,
    contradiction,
    line_of,
    read_history,
)
from tests.unit.store_histories import delete, get, operation, put
from tests.unit.test_judge_store import JudgeCase


def told(
    call: float, end: float, value: str | None, version: int, client: str = "w", **more: Any
) -> Operation:
    """Return a line of a watch."""
    outcome = "absent" if value is None else "value"
    return operation(
        "watch", call, end, outcome, found=value, version=version, client=client, **more
    )


class WatchTests(JudgeCase):
    def test_revisions_in_order_are_right_with_gaps_and_deletions(self) -> None:
        self.assert_right(
            put(0, 1, "a", 1),
            told(0.5, 2, "a", 1),
            put(3, 4, "b", 2),
            put(5, 6, "c", 3),
            told(0.5, 7, "c", 3),
            delete(8, 9, 4),
            told(0.5, 9.5, None, 4),
            put(10, 11, "d", 5),
            told(0.5, 12, "d", 5),
        )

    def test_one_that_comes_late_is_right_if_it_was_true_since_the_watch_began(self) -> None:
        history = [put(0, 1, "a", 1), put(3, 4, "b", 2)]
        self.assert_right(*history, told(0.5, 9, "a", 1))
        self.assert_right(*history, told(0.5, 9, "a", 1), told(0.5, 10, "b", 2))

    def test_what_was_overwritten_before_the_watch_began_is_of_the_past(self) -> None:
        history = [put(0, 1, "a", 1), put(3, 4, "b", 2)]
        self.assert_seen(Kind.STALE, (3, 2), *history, told(5, 9, "a", 1))

    def test_a_version_told_twice_or_below_the_last_is_wrong(self) -> None:
        history = [put(0, 1, "a", 1), put(0, 3, "b", 2)]
        first, second = told(0, 5, "a", 1), told(0, 6, "b", 2)
        self.assert_right(*history, first, second)
        self.assert_seen(Kind.WATCH_BACK, (4, 3), *history, first, told(0, 6, "a", 1))
        self.assert_seen(Kind.WATCH_BACK, (4, 3), *history, told(0, 5, "b", 2), told(0, 6, "a", 1))

    def test_two_watches_may_tell_the_same(self) -> None:
        self.assert_right(put(0, 1, "a", 1), told(0, 5, "a", 1), told(0, 6, "a", 1, "other"))

    def test_a_version_that_the_watch_was_to_begin_after_is_wrong(self) -> None:
        history = [put(0, 1, "a", 1), put(0, 3, "b", 2)]
        self.assert_right(*history, told(0, 5, "b", 2, since=1))
        self.assert_seen(Kind.WATCH_BACK, (3, 3), *history, told(0, 5, "a", 1, since=1))

    def test_a_value_that_was_never_the_registers_is_wrong(self) -> None:
        history = [put(0, 1, "a", 1), put(2, 3, "c", 2), operation("put", 0, 1, "conflict",
                   value="b", if_version=7, version=1)]  # fmt: skip
        self.assert_seen(Kind.VERSION_TWICE, (4, 2), *history, told(0, 5, "b", 2))

    def test_a_deletion_with_the_version_of_a_value_is_wrong(self) -> None:
        self.assert_seen(Kind.VERSION_TWICE, (2, 1), put(0, 1, "a", 1), told(0, 2, None, 1))

    def test_a_deletion_that_did_not_happen_is_wrong(self) -> None:
        key = self.wrong(put(0, 1, "a", 1), get(5, 6, "a", 1), told(2, 4, None, 2))
        self.assertEqual(key.anomalies, ())

    def test_a_deletion_of_a_version_that_is_not_kept_may_come_in_between(self) -> None:
        self.assert_right(
            put(0, 1, "a", 1), told(0, 2, "a", 1), delete(3, 4, 2), told(0, 5, None, 0),
            put(6, 7, "b", 9), told(0, 8, "b", 9),
        )  # fmt: skip

    def test_what_a_line_of_a_watch_may_not_say_is_told(self) -> None:
        for line, words in (
            (operation("watch", 0, 1, "done", version=1), "a watch cannot end as done"),
            (told(0, 1, "a", 1, if_version=1), "a watch has no `if_version`"),
            (told(0, 1, "a", 1, stale=True), "a watch is never `stale`"),
            (operation("get", 0, 1, "absent", since=1), "a get has no `since`"),
            (operation("watch", 0, None, "absent"), "without a `return` it is unconfirmed"),
        ):
            self.assertEqual(contradiction(line), words)

    def test_what_a_recorder_writes_is_read_and_judged(self) -> None:
        lines: list[bytes] = [line_of(put(0, 1, "a", 4))]
        recorder = HistoryRecorder("w", lines.append)
        recorder.told(0.5, 2.0, "k", version=4, found=b"a", since=3)
        recorder.told(0.5, 3.0, "k", version=0, found=None, since=3)
        lines.append(line_of(delete(2.5, 2.9, 5)))
        history = list(read_history(lines))
        self.assertEqual(history[1], told(0.5, 2.0, "a", 4, since=3))
        self.assertIs(check_history(history).verdict, Verdict.RIGHT)
