"""A node whose message log fails: nothing of the turn leaves, the ring goes on without it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import BroadcastDone, Record, Send, SendStored
from chordnet.core.base.errors import BroadcastFailed, ConnectFailed, LogFailed, NotInRing
from chordnet.core.base.messages import Hop, MessageId, Ping, Pong, Status
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.turn import Turn
from chordnet.storage.log.memory import KeptMessage, MemoryLog
from chordnet.testing import ScriptedCore
from chordnet.wire.rpc import MessageRecord
from tests.net.hosts import Keeper
from tests.net.test_service import ServiceCase, only

FULL = "the message log cannot be written: database or disk is full"
DAMAGED = "the message log cannot be read: database disk image is malformed"


class FailingLog(MemoryLog):
    """A log on a disk that is full once ``full`` says so, and damaged once ``damaged`` does."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.damaged = False
        self.commits = 0
        self._uncommitted: list[Record] = []

    def append(self, record: Record, received_at: float) -> KeptMessage:
        self._uncommitted.append(record)
        if self.full:
            return KeptMessage(len(self), received_at, record)
        return super().append(record, received_at)

    def commit(self) -> None:
        uncommitted, self._uncommitted = self._uncommitted, []
        if uncommitted and (self.full or self.failed):
            self.failed = self.failed or FULL
            raise LogFailed(self.failed)
        self.commits += bool(uncommitted)

    def beyond(self, position: int, limit: int) -> Sequence[KeptMessage]:
        if self.damaged:
            self.failed = DAMAGED
            raise LogFailed(DAMAGED)
        return super().beyond(position, limit)

    def find(self, message_id: MessageId) -> KeptMessage | None:
        if self.damaged:
            self.failed = DAMAGED
            raise LogFailed(DAMAGED)
        return super().find(message_id)


class FailingLogTests(ServiceCase):
    def failing_ring(self, size: int, victim: int) -> FailingLog:
        """Start a ring in which the log of the node ``victim`` can be made to fail."""
        logs = [FailingLog() for _ in range(size)]
        for n in range(1, size + 1):
            peers = tuple(p for p in (1, 2) if p != n and p <= size)
            self.service(n, peers, log=logs[n - 1])
        self.network.run(4)
        self.assertTrue(all(s.node.active for s in self.services))
        return logs[victim - 1]

    def bodies(self, records: Iterable[MessageRecord]) -> list[str]:
        return [record.body for record in records]

    def test_a_full_node_leaves_the_ring_and_the_others_confirm_without_it(self):
        log = self.failing_ring(6, 3)
        self.assertEqual(self.result(self.services[0].broadcast("before")).recorded, 6)
        told: list[str] = []
        self.services[2].subscribe(lambda message: told.append(message.body))
        log.full = True
        receipt = self.result(self.services[0].broadcast("after"), 4)
        self.assertEqual((receipt.recorded, receipt.partial), (5, False))
        self.assertEqual(told, [])
        for n, service in enumerate(self.services, 1):
            status = self.result(service.status())
            seen = {node.name for node in status.successors}
            self.assertEqual(status.state, "failed" if n == 3 else "active")
            if n != 3:
                self.assertNotIn("Node 3", seen)
        self.assertEqual(self.services[2].node.failure, f"Node 3 has left its ring: {FULL}")
        self.assertEqual(self.services[2].node.counters()["log_failures"], 1)

    def test_the_peers_of_a_full_node_are_told_why_it_left(self):
        log = self.failing_ring(4, 3)
        log.full = True
        self.result(self.services[0].broadcast("after"), 4)
        transport = self.services[2].node.transport
        refusal = transport.refuse(self.services[0].node.me)
        self.assertEqual(refusal.text, f"Node 3 has left its ring: {FULL}")

    def test_the_clients_of_a_full_node_are_told_why_it_left_and_may_still_read(self):
        log = self.failing_ring(4, 3)
        client = self.client(3)
        self.result(client.send_message("before"))
        log.full = True
        text = self.failure(client.send_message("lost"), BroadcastFailed, 2)
        self.assertIn(f"Node 3 has left its ring: {FULL}", text)
        self.assertIn("what became of the message is not known", text)
        text = self.failure(client.send_message("late"), NotInRing)
        self.assertIn(FULL, text)
        self.assertIn(FULL, self.failure(client.lookup("apple"), NotInRing))
        self.assertEqual(self.bodies(self.result(client.get_messages())), ["before"])
        self.assertEqual(self.result(client.status()).state, "failed")
        self.assertEqual(self.bodies(self.result(self.client(1).get_messages())), ["before"])

    def test_a_follower_is_not_shown_what_was_not_kept(self):
        log = self.failing_ring(4, 3)
        shown: list[str] = []
        self.client(3).follow(lambda message: shown.append(message.body))
        self.result(self.services[0].broadcast("before"))
        log.full = True
        self.result(self.services[0].broadcast("after"), 4)
        self.assertEqual(shown, ["before"])

    def test_a_node_alone_in_its_ring_confirms_nothing_that_it_did_not_keep(self):
        log = self.failing_ring(1, 1)
        self.assertEqual(self.result(self.services[0].broadcast("before")).recorded, 1)
        log.full = True
        text = self.failure(self.services[0].broadcast("after"), BroadcastFailed)
        self.assertIn(FULL, text)

    def test_a_node_alone_in_its_ring_commits_before_it_confirms(self):
        log = self.failing_ring(1, 1)
        commits: list[int] = []
        waiting = self.services[0].broadcast("apple")
        waiting.addCallback(lambda _receipt: commits.append(log.commits))
        self.result(waiting)
        self.assertEqual(commits, [1])

    def test_a_client_of_a_lone_node_is_confirmed_nothing_that_was_not_kept(self):
        log = self.failing_ring(1, 1)
        client = self.client(1)
        self.result(client.send_message("before"))
        log.full = True
        self.assertIn(FULL, self.failure(client.send_message("after"), BroadcastFailed))

    def test_damage_found_while_reading_is_told_and_the_node_leaves(self):
        log = self.failing_ring(4, 3)
        client = self.client(3)
        self.result(client.send_message("before"))
        log.damaged = True
        self.assertEqual(self.failure(client.get_messages(), LogFailed), DAMAGED)
        self.network.run(2)
        self.assertEqual(self.result(client.status()).state, "failed")
        self.assertEqual(self.result(self.services[0].broadcast("after"), 2).recorded, 3)

    def test_damage_found_while_giving_messages_away_makes_the_node_leave(self):
        log = self.failing_ring(3, 3)
        self.result(self.services[0].broadcast("before"))
        log.damaged = True
        node, other = self.services[2].node, self.services[0].node
        (kept,) = self.services[0].node.log.newest(1)
        with node.turn:
            node.history.send_stored(SendStored(other.me, [only(kept.record.id)], False))
        self.network.run(2)
        self.assertEqual(node.state, "failed")
        self.assertEqual(node.journal.counters.number(NetMetric.EFFECT_ERRORS), 0)

    def test_a_failed_node_stops_at_once(self):
        log = self.failing_ring(3, 3)
        log.full = True
        self.result(self.services[0].broadcast("apple"), 3)
        self.assertIsNone(self.result(self.services[2].stopService(), 1))
        self.assertEqual(self.result(self.services[0].broadcast("pear")).recorded, 2)

    def test_a_node_started_again_with_room_gets_what_it_missed(self):
        log = self.failing_ring(4, 3)
        self.result(self.services[0].broadcast("before"))
        log.full = True
        self.result(self.services[0].broadcast("missed"), 3)
        self.result(self.services[2].stopService(), 1)
        log.full, log.failed = False, ""
        self.services[2].startService()
        self.result(self.services[2].joined(), 5)
        self.network.run(8)
        records = self.result(self.services[2].messages())
        self.assertEqual(self.bodies(records), ["before", "missed"])
        self.assertEqual(records[1].route[-1].kind, "caught_up")
        self.assertEqual(self.result(self.services[2].broadcast("after")).recorded, 4)


class WaitingLog(MemoryLog):
    """A log whose commits leave something for a checkpoint; that fails once ``full`` says so."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False
        self.checkpoints: list[int] = []

    def append(self, record: Record, received_at: float) -> KeptMessage:
        self.waiting += 1
        return super().append(record, received_at)

    def checkpoint(self) -> None:
        self.checkpoints.append(self.waiting)
        if self.full:
            self.failed = FULL
            raise LogFailed(FULL)
        self.waiting = 0


class CheckpointTests(ServiceCase):
    def start_ring(self) -> WaitingLog:
        log = WaitingLog()
        for n in (1, 2, 3):
            self.service(n, (3 - n if n < 3 else 1,), log=log if n == 3 else None)
        self.network.run(4)
        return log

    def send(self, count: int) -> None:
        sent = [self.services[0].broadcast(f"apple-{n}") for n in range(count)]
        for receipt in sent:
            self.assertEqual(self.result(receipt).recorded, 3)

    def test_a_few_messages_bring_no_checkpoint(self):
        log = self.start_ring()
        self.send(31)
        self.network.run(5)
        self.assertEqual(log.checkpoints, [])

    def test_a_timer_brings_a_checkpoint_once_it_is_worth_while(self):
        log = self.start_ring()
        self.send(40)
        self.network.run(5)
        self.assertEqual(log.checkpoints, [40])

    def test_many_messages_do_not_wait_for_a_timer(self):
        log = self.start_ring()
        waiting = [self.services[0].broadcast(f"apple-{n}") for n in range(130)]
        self.network.run(0.01)
        self.assertEqual(sum(log.checkpoints), 130)
        for receipt in waiting:
            self.assertEqual(self.result(receipt).recorded, 3)

    def test_a_node_whose_log_cannot_leaves_and_what_it_confirmed_can_be_read(self):
        log = self.start_ring()
        log.full = True
        self.send(40)
        self.network.run(5)
        self.assertEqual(log.checkpoints, [40], "it is not tried again")
        self.assertEqual(self.services[2].node.state, "failed")
        self.assertIn(FULL, self.services[2].node.failure)
        self.assertEqual(len(self.result(self.services[2].messages())), 40)
        self.assertEqual(self.result(self.services[0].broadcast("after"), 2).recorded, 2)


class UnopenedLogTests(ServiceCase):
    def test_a_log_that_cannot_be_opened_is_one_clear_failure(self):
        directory = Path(self.mktemp())
        (directory / "messages.db").mkdir(parents=True)
        service = self.service(1, state_dir=directory)
        text = self.failure(service.started(), LogFailed)
        self.assertIn("messages.db cannot be opened", text)
        self.assertIsNone(service.node)

    def test_a_log_that_cannot_be_read_at_the_start_is_the_same_and_does_not_keep_a_stop(self):
        log = FailingLog()
        log.append(Record(MessageId(bytes(20), 1, 1), 1.0, b"x", []), 1.0)
        log.damaged = True
        service = self.service(1, log=log)
        self.assertEqual(self.failure(service.started(), LogFailed, 0), DAMAGED)
        self.assertEqual((service.node, service.running), (None, 0))
        dialled = self.network.connect("10.9.9.9:1", self.address(1), Factory.forProtocol(Protocol))
        self.assertIsInstance(dialled, Failure)
        self.assertIsNone(self.result(service.stopService(), 0))
        log.damaged = False
        service.startService()
        self.result(service.joined())


class OneTurnTests(ServiceCase):
    """What a turn wanted to send when its commit fails, whatever the order."""

    def start(self, log: MemoryLog) -> tuple[ScriptedCore, object]:
        cores: list[ScriptedCore] = []

        def make(_config, me, _rng):
            cores.append(ScriptedCore(me))
            cores[0].now_status = Status.ACTIVE
            return cores[0]

        other = self.service(2)
        service = self.service(1, core=make, log=log)
        self.network.run(1)
        return cores[0], (service.node, other.node)

    def record(self, node) -> Record:
        return Record(MessageId(node.me.raw, 1, 1), 1.0, b"apple", [Hop(node.me.raw, "Node 1", 0)])

    def test_nothing_of_a_turn_whose_commit_fails_reaches_a_peer(self):
        log = FailingLog()
        core, (node, other) = self.start(log)
        node.transport.send(other.me, Ping(1))
        self.network.run(1)
        log.full = True
        received = []
        other.transport.post = lambda event: received.append(event.message)
        core.script = lambda _event: [
            Send(other.me, Ping(2)), self.record(node), Send(other.me, Ping(3)),
        ]  # fmt: skip
        other.transport.send(node.me, Pong(9, 3))
        self.network.run(1)
        self.assertNotIn(Ping(2), received)
        self.assertNotIn(Ping(3), received)
        self.assertEqual(node.state, "failed")

    def test_a_receipt_of_a_turn_whose_commit_fails_becomes_a_failure(self):
        log = FailingLog()
        core, (node, _other) = self.start(log)
        log.full = True
        done = BroadcastDone(1, MessageId(node.me.raw, 1, 1), 1, 0, 0)
        core.script = lambda _event: [self.record(node), done]
        results = []
        node.publish("apple", results.append)
        self.network.run(1)
        self.assertEqual([type(result) for result in results], [BroadcastFailed])
        core.script = lambda _event: []

    def test_who_waits_in_a_turn_whose_commit_fails_is_cut_off_rather_than_answered(self):
        log = FailingLog()
        core, (node, _other) = self.start(log)
        client = self.client(1)
        self.result(client.status())
        log.full = True
        core.script = lambda _event: [self.record(node)]
        with node.turn:  # as if both had come in one read
            node.history.record(self.record(node))
            for session in list(self.services[1]._life.desk._sessions):
                session._connection.send(Pong(1, 3))
        self.failure(client.status(), ConnectFailed)
        core.script = lambda _event: []
        self.assertEqual(self.result(self.client(1).status()).state, "failed")


class OtherParticipantTests(ServiceCase):
    """Something else than the log that a node has to keep, and cannot."""

    def start_ring(self) -> Keeper:
        """Return the second participant of the node 3, which keeps everything as yet."""
        for n in (1, 2, 3):
            self.service(n, (3 - n if n < 3 else 1,))
        self.network.run(4)
        keeper = Keeper([])
        keeper.doing["abandon"] = lambda: setattr(keeper, "keeps", True)
        self.services[2].node.turn.join(keeper)
        return keeper

    def assert_left(self) -> None:
        node = self.services[2].node
        why = "what belongs to the same turn as a message could not be kept"
        self.assertEqual(node.failure, f"Node 3 has left its ring: {why}")
        self.assertEqual(node.journal.counters.number(NetMetric.LOG_FAILURES), 1)
        receipt = self.result(self.services[0].broadcast("after"), 4)
        self.assertEqual((receipt.recorded, receipt.partial), (2, False))

    def test_a_node_confirms_while_the_participant_keeps(self):
        keeper = self.start_ring()
        self.assertEqual(self.result(self.services[0].broadcast("apple")).recorded, 3)
        self.assertIn("committed", keeper.order)

    def test_a_node_whose_participant_cannot_keep_leaves_its_ring_and_shows_nothing(self):
        keeper = self.start_ring()
        told: list[str] = []
        self.services[2].subscribe(lambda message: told.append(message.body))
        keeper.keeps = False
        receipt = self.result(self.services[0].broadcast("apple"), 4)
        self.assertEqual((receipt.recorded, receipt.partial), (2, False))
        self.assertEqual(told, [])
        self.assert_left()

    def test_a_participant_that_raises_is_logged_and_the_node_leaves_its_ring(self):
        keeper = self.start_ring()
        keeper.doing["commit"] = lambda: keeper.keeps or 1 / 0
        keeper.doing["abandon"] = keeper.doing.clear
        keeper.keeps = False
        self.assertEqual(self.result(self.services[0].broadcast("apple"), 4).recorded, 2)
        keeper.keeps = True
        self.assertEqual(self.services[2].node.journal.counters.number(NetMetric.TURN_ERRORS), 1)
        self.assert_left()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_the_first_reason_for_leaving_is_the_one_that_is_told(self):
        keeper, node = self.start_ring(), self.services[2].node
        keeper.doing["commit"] = lambda: node.history._failed("the store is full")
        keeper.keeps = False
        self.assertEqual(self.result(self.services[0].broadcast("apple"), 4).recorded, 2)
        self.assertEqual(node.failure, "Node 3 has left its ring: the store is full")


class Line:
    """Something with unsent bytes."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def flush(self) -> None:
        self.done.append("flush")

    def abort(self) -> None:
        self.done.append("abort")


class TurnTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.turn = Turn(self.clock, self.fail)
        self.answers: list[bool] = []
        self.asked = 0
        self.turn.join(self)

    def commit(self) -> bool:
        self.asked += 1
        return self.answers.pop(0) if self.answers else True

    def abandon(self) -> None:
        pass

    def committed(self) -> None:
        pass

    def test_what_is_kept_is_flushed(self):
        line = Line()
        with self.turn:
            self.turn.mark(line)
        self.assertEqual((line.done, self.asked), (["flush"], 1))

    def test_what_is_not_kept_is_cut(self):
        line, other = Line(), Line()
        self.answers = [False]
        with self.turn:
            self.turn.mark(line)
            self.turn.mark(other)
        self.assertEqual((line.done, other.done), (["abort"], ["abort"]))

    def test_a_failure_early_in_a_turn_cuts_what_the_rest_of_it_brings(self):
        line = Line()
        self.answers = [False, True]
        with self.turn:
            self.assertFalse(self.turn.commit())
            self.assertFalse(self.turn.commit())
            self.turn.mark(line)
        self.assertEqual((line.done, self.asked), (["abort"], 1))

    def test_the_turn_after_a_failure_is_a_fresh_one(self):
        line = Line()
        self.answers = [False]
        with self.turn:
            self.turn.mark(Line())
        with self.turn:
            self.turn.mark(line)
        self.assertEqual(line.done, ["flush"])

    def test_what_a_failure_itself_has_to_say_leaves(self):
        line = Line()

        def abandon() -> None:
            self.turn.before(lambda: self.turn.mark(line))
            keeper.keeps = True

        keeper = Keeper([], keeps=False, doing={"abandon": abandon})
        self.turn.join(keeper)
        with self.turn:
            self.turn.mark(Line())
        self.assertEqual(line.done, ["flush"])
