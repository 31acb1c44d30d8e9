"""When what a node's store changes is kept, who is told after that, and what a failure ends."""

from __future__ import annotations

import random

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import StoreFailed
from chordnet.core.store.base.effects import AllDropped, Entry, Keep
from chordnet.net.base.turn import Turn
from chordnet.net.store.records import StoreRecords
from chordnet.storage.store.memory import MemoryStore
from tests.net.hosts import Keeper

FULL = "the store cannot be written: No space left on device"


class Store(MemoryStore):
    """A store that notes what it is asked for, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))
        self.calls: list[str] = []
        self.broken = ""

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.broken:
            raise StoreFailed(self.broken)

    def put(self, entry: Entry) -> None:
        assert isinstance(entry, AllDropped)
        self.calls.append(f"put {entry.slot}")

    def drop(self) -> None:
        self.calls.append("drop")

    def commit(self) -> None:
        self._call("commit")

    def checkpoint(self) -> None:
        self._call("checkpoint")
        self.waiting = 0


class Line:
    """A connection that notes in the store's calls what becomes of what waits on it."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    def flush(self) -> None:
        self.calls.append("flush")

    def abort(self) -> None:
        self.calls.append("abort")


class StoringCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turn = Turn(self.clock, self.fail)
        self.store = Store()
        self.calls = self.store.calls
        self.failures: list[str] = []
        self.records = StoreRecords(self.turn, self.store, self.failures.append)
        self.turn.join(self.records)
        self.line = Line(self.calls)

    def keep(self, *slots: int) -> None:
        self.records.keep(Keep(tuple(AllDropped(slot) for slot in slots)))

    def note(self, name: str) -> None:
        self.records.when_kept(lambda: self.calls.append(name))


class KeepTests(StoringCase):
    def test_all_that_a_turn_changes_is_one_commit_before_anything_leaves(self) -> None:
        with self.turn:
            self.keep(1, 2)
            self.turn.mark(self.line)
            self.keep(3)
        self.assertEqual(self.calls, ["put 1", "put 2", "put 3", "commit", "flush"])
        self.assertEqual(self.failures, [])

    def test_a_turn_that_changes_nothing_commits_nothing(self) -> None:
        for _ in range(2):
            with self.turn:
                self.turn.mark(self.line)
        self.keep(1)
        self.clock.advance(0)
        with self.turn:
            self.turn.mark(self.line)
        self.assertEqual(self.calls, ["flush", "flush", "put 1", "commit", "flush"])

    def test_what_has_no_message_to_go_with_it_is_kept_too(self) -> None:
        with self.turn:
            self.keep(1)
        self.assertEqual(self.calls, ["put 1", "commit"])

    def test_what_is_changed_outside_of_a_turn_is_kept_in_the_same_turn_of_the_reactor(
        self,
    ) -> None:
        self.keep(1)
        self.keep(2)
        self.assertEqual(self.calls, ["put 1", "put 2"])
        self.clock.advance(0)
        self.assertEqual(self.calls, ["put 1", "put 2", "commit"])

    def test_a_turn_that_commits_early_commits_again_what_comes_after(self) -> None:
        with self.turn:
            self.keep(1)
            self.note("first")
            self.assertTrue(self.turn.commit())
            self.keep(2)
            self.note("second")
        self.assertEqual(self.calls, ["put 1", "commit", "put 2", "commit", "first", "second"])


class WhenKeptTests(StoringCase):
    def test_who_waits_is_called_after_the_commit_and_after_the_messages_in_order(self) -> None:
        with self.turn:
            self.keep(1)
            self.note("one")
            self.turn.mark(self.line)
            self.note("two")
            self.assertEqual(self.calls, ["put 1"])
        self.assertEqual(self.calls, ["put 1", "commit", "flush", "one", "two"])
        with self.turn:
            self.turn.mark(self.line)
        self.assertEqual(self.calls[5:], ["flush"])

    def test_who_would_wait_for_nothing_is_called_immediately(self) -> None:
        self.note("one")
        with self.turn:
            self.note("two")
            self.keep(1)
        self.note("three")
        self.assertEqual(self.calls, ["one", "two", "put 1", "commit", "three"])

    def test_what_a_callback_changes_is_kept_in_the_same_turn(self) -> None:
        with self.turn:
            self.keep(1)
            self.records.when_kept(lambda: self.keep(2))
        self.assertEqual(self.calls, ["put 1", "commit", "put 2", "commit"])


class FailureTests(StoringCase):
    def test_nothing_that_rests_on_what_cannot_be_kept_is_done_and_it_is_told_once(self) -> None:
        self.store.broken = FULL
        for _ in range(2):
            with self.turn:
                self.keep(1)
                self.note("never")
            self.note("never")
        self.assertEqual(self.failures, [FULL])
        self.assertEqual(self.calls, ["put 1", "commit", "drop"])

    def test_what_belongs_to_the_ring_leaves_although_the_store_could_not_be_kept(self) -> None:
        order: list[str] = []
        self.turn.join(Keeper(order))
        self.store.broken = FULL
        with self.turn:
            self.keep(1)
            self.turn.mark(self.line)
        self.assertEqual(self.calls, ["put 1", "commit", "drop", "flush"])
        self.assertEqual(order, ["commit", "committed"])

    def test_after_a_commit_within_a_turn_that_failed_nothing_is_done_at_its_end(self) -> None:
        self.store.broken = FULL
        with self.turn:
            self.keep(1)
            self.note("never")
            self.assertTrue(self.turn.commit())
            self.note("never")
        self.assertEqual(self.calls, ["put 1", "commit", "drop"])

    def test_a_store_that_has_given_up_holds_up_nothing(self) -> None:
        self.store.broken = FULL
        with self.turn:
            self.keep(1)
        self.assertTrue(self.turn.commit())
        self.assertEqual(self.calls, ["put 1", "commit", "drop"])

    def test_what_another_part_could_not_keep_ends_it(self) -> None:
        """Its protocol counts on what it asked for, and that is dropped with the turn."""
        order: list[str] = []
        self.turn.join(Keeper(order, keeps=False))
        with self.turn:
            self.keep(1)
            self.note("never")
            self.turn.mark(self.line)
        self.assertEqual(self.failures, ["what belongs to the same turn could not be kept"])
        self.assertEqual(self.calls, ["put 1", "commit", "drop", "abort"])
        self.assertEqual(order, ["commit", "abandon"])

    def test_an_abandoned_turn_drops_what_was_put_and_never_commits_it(self) -> None:
        turn = Turn(self.clock, self.fail)
        turn.join(Keeper([], keeps=False))
        records = StoreRecords(turn, self.store, self.failures.append)
        turn.join(records)
        with turn:
            records.keep(Keep((AllDropped(1),)))
        with turn:
            records.keep(Keep((AllDropped(2),)))
        self.assertEqual(self.calls, ["put 1", "drop"])
        self.assertEqual(len(self.failures), 1)


class CheckpointTests(StoringCase):
    def test_after_a_turn_the_store_is_kept_tidy_from_512_entries_that_wait_on(self) -> None:
        for waiting, expected in ((511, []), (512, ["checkpoint"])):
            self.calls.clear()
            self.store.waiting = waiting
            with self.turn:
                self.keep(1)
                self.turn.mark(self.line)
            self.assertEqual(self.calls, ["put 1", "commit", "flush", *expected])

    def test_at_rest_the_store_is_kept_tidy_from_128_entries_that_wait_on(self) -> None:
        for waiting, expected in ((127, []), (128, ["checkpoint"])):
            self.store.waiting = waiting
            self.records.rest()
            self.assertEqual(self.calls, expected)

    def test_a_checkpoint_that_fails_is_the_end_and_is_told_once(self) -> None:
        self.store.waiting = 128
        self.store.broken = FULL
        self.records.rest()
        self.records.rest()
        self.assertEqual((self.failures, self.calls), ([FULL], ["checkpoint", "drop"]))
        with self.turn:
            self.keep(1)
        self.store.waiting = 512
        self.assertTrue(self.turn.commit())
        with self.turn:
            self.turn.mark(self.line)
        self.assertEqual(self.calls, ["checkpoint", "drop", "flush"])
