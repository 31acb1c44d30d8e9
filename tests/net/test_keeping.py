"""When a node has its message log keep what was recorded, and who is told of it in which order."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Gap, Record, SendStored
from chordnet.core.base.errors import LogFailed
from chordnet.core.base.events import Event, Spoiled
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import Hop, MessageId, NodeRef, Range, contact
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.turn import Turn
from chordnet.net.observe.hooks import Hooks
from chordnet.net.observe.views import Views
from chordnet.net.runtime.history import History
from chordnet.storage.log.memory import MemoryLog
from chordnet.testing import RecordingTransport
from chordnet.wire.rpc import MessageRecord
from tests.net.hosts import node_ref, quiet_journal, shared_by

PEER = node_ref("n2", "10.0.0.2:7001")


class Log(MemoryLog):
    """A log that notes what it is asked for, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.broken = self.unreadable = ""
        self.skipped: list[Range] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.broken:
            raise LogFailed(self.broken)

    def commit(self) -> None:
        self._call("commit")

    def checkpoint(self) -> None:
        self._call("checkpoint")
        self.waiting = 0

    def skip(self, ranges: Any) -> None:
        self.skipped += ranges

    def find(self, message_id: MessageId) -> Any:
        if self.unreadable:
            raise LogFailed(self.unreadable)
        return super().find(message_id)


class HistoryCase(SynchronousTestCase):
    def setUp(self) -> None:
        clock = Clock()
        self.journal, self.lines = quiet_journal(clock, "me")
        self.turn = Turn(clock, self.fail)
        self.log = Log()
        self.hooks = Hooks(self.journal)
        self.transport = RecordingTransport()
        self.posted: list[Event] = []
        self.failures: list[str] = []
        self.told: list[str] = []
        self.history = History(
            shared_by(self.turn, self.journal, clock, wall=lambda: 1000.5), self.log,
            hooks=self.hooks, views=Views(IdentifierSpace(160)), transport=self.transport,
            post=self.posted.append, failed=self.failures.append,
        )  # fmt: skip
        self.turn.join(self.history)

    def record(self, *numbers: int) -> None:
        for number in numbers:
            message_id = MessageId(PEER.raw, 1, number)
            route = [Hop(PEER.raw, "n2", 0)]
            self.history.record(Record(message_id, 1.0, b"m%d" % number, route))

    def turn_of(self, *numbers: int) -> None:
        with self.turn:
            self.turn.before(lambda: self.record(*numbers))


class CheckpointTests(HistoryCase):
    def test_after_a_turn_the_log_is_kept_tidy_from_128_messages_that_wait_on(self) -> None:
        self.log.waiting = 127
        self.turn_of(1)
        self.assertNotIn("checkpoint", self.log.calls)
        self.log.waiting = 128
        self.turn_of(2)
        self.assertEqual(self.log.calls.count("checkpoint"), 1)
        self.assertLess(self.log.calls.index("commit"), self.log.calls.index("checkpoint"))

    def test_at_rest_the_log_is_kept_tidy_from_32_messages_that_wait_on(self) -> None:
        self.log.waiting = 31
        self.history.rest()
        self.assertEqual(self.log.calls, [])
        self.log.waiting = 32
        self.history.rest()
        self.assertEqual(self.log.calls, ["checkpoint"])

    def test_a_checkpoint_that_fails_is_the_end_and_is_told_once(self) -> None:
        self.log.waiting = 32
        self.log.broken = "the disk is full"
        self.history.rest()
        self.history.rest()
        self.assertEqual((self.failures, self.log.calls), (["the disk is full"], ["checkpoint"]))
        self.assertTrue(self.history.commit())
        self.assertEqual(self.log.calls, ["checkpoint"])


class KeepTests(HistoryCase):
    def test_of_what_a_commit_could_not_keep_nobody_is_told_and_none_is_tried_again(self) -> None:
        self.hooks.on(Record, lambda record: self.told.append(str(record.id)))
        self.log.broken = "the disk is full"
        self.turn_of(1)
        self.turn_of(2)
        self.assertEqual((self.failures, self.log.calls), (["the disk is full"], ["commit"]))
        self.assertEqual(self.told, [str(MessageId(PEER.raw, 1, 2))])

    def test_nothing_may_be_built_on_a_commit_that_failed(self) -> None:
        self.log.broken = "the disk is full"
        self.assertFalse(self.turn.commit())

    def test_a_log_that_could_not_be_read_is_the_end_and_is_told_once(self) -> None:
        self.log.failed = "an input/output error"
        self.assertTrue(self.turn.commit())
        self.assertTrue(self.turn.commit())
        self.assertEqual(self.failures, ["an input/output error"])

    def test_damaged_messages_are_asked_of_the_others_once_and_in_order(self) -> None:
        ids = [MessageId(PEER.raw, 1, number) for number in (1, 2, 3)]
        self.log.spoiled = {ids[2], ids[0], ids[1]}
        self.turn_of(4)
        self.turn_of(5)
        self.assertEqual(self.posted, [Spoiled(ids)])
        self.assertEqual(self.log.spoiled, set())

    def test_those_who_wait_are_told_after_the_commit_receipts_first_and_records_last(self) -> None:
        def told(name: str) -> Any:
            def call(*_arguments: object) -> None:
                self.told.append(f"{name} after {len(self.log.calls)}")

            return call

        end = self.history.follow(told("follower"))
        self.hooks.on(MessageRecord, told("message"))
        self.hooks.on(Record, told("record"))
        with self.turn:
            self.turn.before(lambda: self.record(1, 2))
            self.history.unkept.append((told("receipt"), None))  # type: ignore[arg-type]
            self.assertEqual(self.told, [])
        self.assertEqual([line.split()[0] for line in self.told], [
            "receipt", "follower", "message", "message", "record", "record",
        ])  # fmt: skip
        self.assertTrue(all(line.endswith(" after 1") for line in self.told), self.told)
        self.assertEqual((self.history.fresh, self.history.unkept), ([], []))
        end()
        end()
        self.turn_of(3)
        self.assertEqual([line.split()[0] for line in self.told[6:]], ["message", "record"])

    def test_what_is_recorded_is_counted_and_has_the_time_of_the_wall_clock(self) -> None:
        self.turn_of(1, 2)
        self.assertEqual(self.journal.counters.number(NetMetric.RECORDED), 2)
        self.assertEqual([kept.received_at for kept in self.log.newest(9)], [1000.5] * 2)
        self.assertEqual(self.lines, [])
        self.journal.debug_enabled = True
        self.turn_of(3)
        self.assertEqual(self.lines, [f"me: recorded {MessageId(PEER.raw, 1, 3)}"])


class GivingTests(HistoryCase):
    def test_messages_that_nobody_keeps_are_given_up_with_one_line_that_counts_them(self) -> None:
        ranges = [Range(PEER.raw, 1, 1, 4), Range(PEER.raw, 2, 7, 8)]
        self.history.gap(Gap(PEER, ranges))
        self.history.gap(Gap(contact("10.0.0.9:1"), ranges[1:]))
        self.assertEqual(self.log.skipped, [*ranges, ranges[1]])
        text = "me: {} messages are lost to this node: {} does not keep them any more"
        self.assertEqual(self.lines, [text.format(4, "n2"), text.format(1, "10.0.0.9:1")])
        self.assertEqual(self.journal.counters.number(NetMetric.GAPS_TOLD), 2)

    def asked(self, to: NodeRef, first: int, end: int) -> SendStored:
        return SendStored(to, [Range(PEER.raw, 1, first, end)], None)

    def test_a_log_that_cannot_be_read_gives_nothing(self) -> None:
        self.turn_of(1)
        self.log.unreadable = "an input/output error"
        self.history.send_stored(self.asked(PEER, 1, 2))
        self.assertEqual((self.transport.sent, self.failures), ([], []))
        self.log.unreadable = ""
        self.history.send_stored(self.asked(PEER, 1, 2))
        self.assertEqual([to for to, _message in self.transport.sent][:1], [PEER])
