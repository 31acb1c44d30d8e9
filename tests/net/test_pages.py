"""Long answers that come in many replies: how often the node is asked, and for what."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from chordnet.client.calls import HISTORY, MESSAGES, TRAILS, Call
from chordnet.client.pages import Pages
from chordnet.core.base.errors import ConnectFailed
from chordnet.wire.rpc import (
    HistoryReply,
    MessageRecord,
    Messages,
    MessageTrail,
    NodeHistory,
    OriginHistory,
    Trails,
)


def message(number: int) -> MessageRecord:
    return MessageRecord(f"id-{number}", "body", 1.0, 2.0, [])


class Channel:
    """Answers from a list, and notes what it is asked."""

    def __init__(self, *replies: Any) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[Any, ...]] = []
        self.address = "10.0.0.1:7001"
        self.moves_after = 99

    def ask(self, call: Call[Any], arguments: Any, timeout_s: float) -> Deferred[Any]:
        self.asked.append((call, *arguments, timeout_s))
        if len(self.asked) > self.moves_after:
            self.address = "10.0.0.2:7001"
        return succeed(self.replies.pop(0))


class PagesTests(SynchronousTestCase):
    def answer(self, *replies: Any) -> Pages:
        self.channel = Channel(*replies)
        return Pages(self.channel, 3.0)  # type: ignore[arg-type]

    def result(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def test_a_single_reply_is_one_question(self) -> None:
        pages = self.answer(Messages(1, [message(1), message(2)], False))
        found = self.result(pages.messages(0, "id-0"))
        self.assertEqual([each.id for each in found], ["id-1", "id-2"])
        self.assertEqual(self.channel.asked, [(MESSAGES, 0, "id-0", 3.0)])

    def test_each_further_question_goes_on_behind_the_last_message_with_what_the_limit_leaves(self):
        pages = self.answer(
            Messages(1, [message(1), message(2)], True), Messages(2, [message(3)], True),
            Messages(3, [message(4), message(5)], True),
        )  # fmt: skip
        found = self.result(pages.messages(5, ""))
        self.assertEqual([each.id for each in found], [f"id-{n}" for n in range(1, 6)])
        asked = [(MESSAGES, 5, "", 3.0), (MESSAGES, 3, "id-2", 3.0), (MESSAGES, 2, "id-3", 3.0)]
        self.assertEqual(self.channel.asked, asked)

    def test_an_empty_page_is_the_last_whatever_the_node_says(self) -> None:
        pages = self.answer(
            Trails(1, [MessageTrail("id-1", b"", 2.0, [])], True), Trails(2, [], True)
        )
        self.assertEqual(len(self.result(pages.trails(0, ""))), 1)
        self.assertEqual(self.channel.asked, [(TRAILS, 0, "", 3.0), (TRAILS, 0, "id-1", 3.0)])

    def history(self, rid: int, lives: list[int], kept: int, *, more: bool) -> HistoryReply:
        origins = [OriginHistory("0a", life, [1, 2], [], [1, 2]) for life in lives]
        return HistoryReply(rid, NodeHistory(origins, kept, kept + 1), more)

    def test_a_history_goes_on_behind_its_last_origin_and_has_the_counts_of_its_last_page(self):
        pages = self.answer(
            self.history(1, [1, 2], 7, more=True), self.history(2, [3], 8, more=False)
        )
        found = self.result(pages.history())
        self.assertEqual([each.incarnation for each in found.origins], [1, 2, 3])
        self.assertEqual((found.kept, found.dropped), (8, 9))
        self.assertEqual(self.channel.asked, [(HISTORY, "", 3.0), (HISTORY, "0a.2", 3.0)])
        pages = self.answer(self.history(1, [], 7, more=True))
        self.assertEqual(self.result(pages.history()), NodeHistory([], 7, 8))

    def test_pages_of_two_nodes_are_not_put_together(self) -> None:
        pages = self.answer(*(Messages(n, [message(n)], True) for n in (1, 2, 3)))
        self.channel.moves_after = 2
        failed = self.failureResultOf(Deferred.fromCoroutine(pages.messages(0, "")), ConnectFailed)
        self.assertEqual(
            failed.getErrorMessage(),
            "the connection with 10.0.0.1:7001 ended in the middle of its answer; ask again",
        )
        self.assertEqual(len(self.channel.asked), 3)
