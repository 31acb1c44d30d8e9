"""Locks and leaders in virtual time, on a store in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from secrets import token_bytes
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import (
    ChordnetError,
    ConfigError,
    InvalidKey,
    LocalProtocolError,
    NoStore,
    TimedOut,
    WatchEnded,
)
from chordnet.core.base.outcomes import Entry, Revision
from chordnet.core.store.base import outcomes
from chordnet.core.store.base.records import EMPTY, Content
from chordnet.core.store.base.requests import Get, Put
from chordnet.net.handles.watching import KeyWatch
from chordnet.net.store.keys import entry_of, unavailable, uncertain, written
from chordnet.recipes import (
    AGAIN_S,
    POLL_S,
    WATCHED_S,
    Keys,
    Leader,
    Lock,
    LockLost,
    holding_of,
    steady,
)
from chordnet.wire.rpc import DeleteKey, GetKey, KeyRequest, PutKey, Written
from tests.net.fake_store import SLOT, FakeStore
from tests.net.fake_store import unavailable as ends_unavailable
from tests.net.test_service import ServiceCase
from tests.seeds import said_seed

TTL_S = 15.0
MARGIN_S = 1.0
WALL = 1_700_000_000.0


class Program:
    """The calls of one program on a store, which may be cut off from it, or hear late of it."""

    def __init__(self, store: FakeStore, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.cut = False
        """Whether nothing that it asks for arrives."""
        self.deaf = False
        """Whether no answer arrives."""
        self.blind = False
        """Whether it can watch nothing."""
        self.late = 0.0
        self.watches: list[KeyWatch] = []

    def get(self, key: str, *, timeout_s: float = 10.0) -> Deferred[Entry | None]:
        return self._ask(GetKey(0, key, timeout_s), Get(key.encode()))

    def put(
        self,
        key: str,
        value: bytes,
        *,
        if_version: int | None = None,
        expires_s: float | None = None,
        request: bytes | None = None,
        since: int | None = None,
        timeout_s: float = 10.0,
    ) -> Deferred[Written]:
        name = request or token_bytes(8)
        expires = None if expires_s is None else WALL + self.clock.seconds() + expires_s
        asked = PutKey(0, key, value, if_version, expires_s, name, since, timeout_s)
        return self._ask(asked, Put(key.encode(), value, name, if_version, expires, since))

    def delete(
        self,
        key: str,
        *,
        if_version: int | None = None,
        request: bytes | None = None,
        since: int | None = None,
        timeout_s: float = 10.0,
    ) -> Deferred[Written]:
        name = request or token_bytes(8)
        asked = DeleteKey(0, key, if_version, name, since, timeout_s)
        return self._ask(asked, Put(key.encode(), None, name, if_version, None, since))

    def watch(
        self,
        key: str,
        callback: Callable[[Revision], object] | None = None,
        *,
        since: int | None = None,
    ) -> KeyWatch:
        stops: list[Callable[[], None]] = []
        watch = KeyWatch(lambda: [stop() for stop in stops] and None, callback, since)
        self.watches.append(watch)
        if self.blind:
            watch.ended(WatchEnded("the watch has ended"))
            return watch

        def told(content: Content, gap: Any) -> None:
            if not self.cut and not self.deaf:
                watch.received([Revision(content.version, content.value, content.expires, gap)])

        stops.append(self.store.watch(key.encode(), since, told, watch.ended))
        return watch

    def _ask(self, asked: KeyRequest, operation: Get | Put) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        if self.cut or self.deaf:
            ended = TimedOut("no answer")
            told: Any = (
                ended if isinstance(operation, Get) else uncertain(asked, operation.request, ended)
            )
            if not self.cut:
                self.store.ask(operation, asked.timeout_s, lambda _: None)
            self.clock.callLater(asked.timeout_s, done.errback, told)
            return done
        self.store.ask(operation, asked.timeout_s, partial(self._over, done, asked, operation))
        return done

    def _over(self, done: Any, asked: Any, operation: Any, ended: Any) -> None:
        told = self._told(asked, operation, ended)
        tell = done.errback if isinstance(told, Exception) else done.callback
        if self.late:
            self.clock.callLater(self.late, tell, told)
        else:
            tell(told)

    def _told(self, asked: Any, operation: Any, ended: Any) -> Any:
        if isinstance(ended, outcomes.Found):
            return entry_of(ended.content)
        if isinstance(ended, outcomes.Done):
            return written(ended, WALL)
        if isinstance(ended, outcomes.Unavailable):
            return unavailable(asked, ended, SLOT)
        if isinstance(operation, Get) or isinstance(ended, LocalProtocolError):
            return ended
        return uncertain(asked, operation.request, ended)


class LockCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.rng = Random(1)
        self.store = FakeStore(lambda: WALL + self.clock.seconds(), self.clock.callLater)
        self.first, self.second = self.program(), self.program()

    def program(self) -> Program:
        return Program(self.store, self.clock)

    def lock(self, program: Keys, **more: Any) -> Lock:
        return Lock(
            program, "job", self.clock, ttl_s=TTL_S, margin_s=MARGIN_S,
            seconds=self.clock.seconds, rng=Random(self.rng.getrandbits(64)), **more,
        )  # fmt: skip

    def run_for(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)

    def begun(self, coroutine: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(coroutine)

    def held(self, program: Program) -> Lock:
        lock = self.lock(program)
        self.successResultOf(self.begun(lock.acquire()))
        return lock

    def as_usual(self, asked: Get | Put, done: Any) -> None:
        done(self.store.outcome(asked))

    def present(self) -> Content:
        return self.store.present(b"job")


class Taking(LockCase):
    def test_the_fence_is_the_version_at_which_the_lock_was_taken(self):
        lock = self.lock(self.first)
        self.assertEqual(self.successResultOf(self.begun(lock.acquire())), 1)
        self.assertEqual((lock.fence, lock.check(), self.present().version), (1, 1, 1))

    def test_the_fence_stays_through_renewals_and_is_in_the_value(self):
        lock = self.held(self.first)
        self.run_for(4 * TTL_S)
        self.assertEqual((lock.check(), lock.fence), (1, 1))
        self.assertGreater(self.present().version, 10)
        entry = entry_of(self.present())
        assert entry is not None
        self.assertEqual(holding_of(entry).fence, 1)

    def test_another_waits_until_the_lock_is_released_and_has_a_higher_fence(self):
        lock = self.held(self.first)
        other = self.lock(self.second)
        waiting = self.begun(other.acquire())
        self.run_for(3 * TTL_S)
        self.assertNoResult(waiting)
        before = self.present().version
        self.successResultOf(self.begun(lock.release()))
        self.run_for(2 * POLL_S)
        self.assertGreater(self.successResultOf(waiting), before)
        self.assertIsNone(lock.fence)

    def test_one_that_waits_is_told_of_the_release_and_does_not_poll(self):
        lock = self.held(self.first)
        waiting = self.begun(self.lock(self.second).acquire())
        self.run_for(1.0)
        asked = len(self.store.asked)
        self.successResultOf(self.begun(lock.release()))
        self.run_for(AGAIN_S + 0.1)
        self.assertGreater(self.successResultOf(waiting), 1)
        self.assertLess(len(self.store.asked) - asked, 4)
        self.assertTrue(self.second.watches[0].over)
        self.assertEqual(self.store.watches, {})

    def test_one_that_waits_and_is_told_nothing_looks_by_itself(self):
        lock = self.held(self.first)
        waiting = self.begun(self.lock(self.second).acquire())
        self.store.watches.clear()
        self.successResultOf(self.begun(lock.release()))
        self.run_for(WATCHED_S / 2 - 0.2)
        self.assertNoResult(waiting)
        self.run_for(WATCHED_S + 0.5)
        self.assertGreater(self.successResultOf(waiting), 1)

    def test_one_that_cannot_watch_polls(self):
        lock = self.held(self.first)
        self.second.blind = True
        waiting = self.begun(self.lock(self.second).acquire())
        self.successResultOf(self.begun(lock.release()))
        self.run_for(2 * POLL_S)
        self.assertGreater(self.successResultOf(waiting), 1)

    def test_one_that_gives_up_waiting_watches_no_more(self):
        self.held(self.first)
        waiting = self.begun(self.lock(self.second).acquire())
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertEqual(self.store.watches, {})

    def test_the_lock_of_a_program_that_died_is_free_after_its_time(self):
        self.held(self.first)
        self.first.cut = True
        other = self.lock(self.second)
        waiting = self.begun(other.acquire())
        self.run_for(TTL_S - 0.5)
        self.assertNoResult(waiting)
        self.run_for(2 * POLL_S + 0.5)
        self.assertGreater(self.successResultOf(waiting), 1)

    def test_what_may_have_been_written_is_asked_for_again_and_written_once(self):
        self.store.ends = [self.as_usual, self.store.lost]
        lock = self.lock(self.first)
        taking = self.begun(lock.acquire())
        self.run_for(2 * AGAIN_S)
        self.assertEqual(self.successResultOf(taking), 1)
        self.assertEqual(self.present().version, 1)

    def test_a_store_that_does_not_answer_is_asked_again(self):
        self.store.ends = [ends_unavailable(4, 9)] * 3
        taking = self.begun(self.lock(self.first).acquire())
        self.run_for(6 * POLL_S)
        self.assertEqual(self.successResultOf(taking), 1)

    def test_a_write_that_cannot_be_told_any_more_is_looked_for(self):
        def done_and_untold(asked, done):
            self.store.outcome(asked)
            done(outcomes.Untold())

        self.store.ends = [self.as_usual, done_and_untold]
        taking = self.begun(self.lock(self.first).acquire())
        self.assertEqual(self.successResultOf(taking), 1)
        self.store.contents.clear()
        self.store.ends = [outcomes.Found(EMPTY), outcomes.Untold()]
        taking = self.begun(self.lock(self.first).acquire())
        self.assertNoResult(taking)
        self.run_for(2 * POLL_S)
        self.assertEqual(self.successResultOf(taking), 1)

    def test_an_answer_that_comes_when_the_lease_is_nearly_over_takes_no_lock(self):
        self.first.late = TTL_S - MARGIN_S + 0.1
        lock = self.lock(self.first)
        taking = self.begun(lock.acquire())
        self.run_for(2 * TTL_S)
        self.assertNoResult(taking)
        self.assertIsNone(lock.fence)

    def test_a_network_without_a_store_is_told_at_once(self):
        self.store.ends = [NoStore("this node keeps no store")]
        failure = self.failureResultOf(self.begun(self.lock(self.first).acquire()))
        failure.trap(NoStore)

    def test_one_object_takes_its_lock_once_at_a_time(self):
        lock = self.held(self.first)
        self.failureResultOf(self.begun(lock.acquire()), LocalProtocolError)
        self.successResultOf(self.begun(lock.release()))
        self.assertEqual(self.successResultOf(self.begun(lock.acquire())), 3)

    def test_a_program_that_gave_up_waiting_may_wait_again(self):
        self.held(self.first)
        other = self.lock(self.second)
        waiting = self.begun(other.acquire())
        self.run_for(3.0)
        waiting.cancel()
        self.failureResultOf(waiting)
        self.assertNoResult(self.begun(other.acquire()))

    def test_a_time_to_live_that_leaves_no_time_is_refused(self):
        for ttl_s, margin_s in ((2.0, 1.0), (0.0, 0.0), (15.0, -1.0), (float("nan"), 1.0)):
            with self.assertRaises(ConfigError):
                Lock(self.first, "job", self.clock, ttl_s=ttl_s, margin_s=margin_s)


class Losing(LockCase):
    def setUp(self) -> None:
        super().setUp()
        self.mine = self.held(self.first)
        self.lost: list[LockLost] = []
        self.mine.when_lost().addCallback(self.lost.append)

    def test_a_holder_that_cannot_renew_stops_before_another_can_have_the_lock(self):
        for how in ("cut", "deaf"):
            self.setUp()
            with said_seed() as self.rng:
                self.run_for(self.rng.uniform(0.0, 2 * TTL_S))
                other = self.lock(self.second)
                waiting = self.begun(other.acquire())
                setattr(self.first, how, True)
                while not waiting.called:
                    self.assertEqual(bool(self.lost), self.mine.fence is None)
                    self.clock.advance(0.1)
                    if waiting.called:
                        self.assertIsNone(self.mine.fence, how)
                self.assertIn("could not be renewed in time", str(self.lost[0]))

    def test_a_holder_counts_from_before_it_sent_the_last_renewal_that_was_confirmed(self):
        self.first.late = 4.0
        self.run_for(TTL_S / 3 + 4.5)  # a renewal was sent at 5 s, and confirmed at 9 s
        self.first.cut = True
        self.run_for(TTL_S / 3 + TTL_S - MARGIN_S - self.clock.seconds() - 0.2)
        self.assertEqual(self.mine.check(), 1)
        self.run_for(0.4)
        self.assertRaises(LockLost, self.mine.check)

    def test_a_check_knows_that_the_time_is_over_before_any_timer_does(self):
        self.clock.rightNow += TTL_S - MARGIN_S  # a program that was stopped for a while
        self.assertIsNone(self.mine.fence)
        self.assertRaises(LockLost, self.mine.check)
        self.assertEqual(len(self.lost), 1)

    def test_a_renewal_that_may_have_been_done_is_asked_for_again(self):
        self.store.ends = [self.store.lost]
        self.run_for(2 * TTL_S)
        self.assertEqual(self.mine.check(), 1)

    def test_a_renewal_that_was_not_done_is_tried_again(self):
        self.store.ends = [ends_unavailable(4, 9)] * 20
        self.run_for(2 * TTL_S)
        self.assertEqual((self.mine.check(), self.lost), (1, []))

    def test_what_somebody_else_writes_ends_the_lock_at_the_next_renewal(self):
        self.second.delete("job")
        self.run_for(TTL_S / 3 + 0.2)
        self.assertRaises(LockLost, self.mine.check)
        self.assertIn("something else was written", str(self.lost[0]))

    def test_what_is_lost_stays_lost_and_is_not_deleted(self):
        self.second.put("job", b"mine")
        self.run_for(TTL_S)
        self.failureResultOf(self.begun(self.mine.release()), LockLost)
        self.assertEqual(self.present().value, b"mine")
        self.assertRaises(LockLost, self.mine.check)

    def test_whoever_asks_later_is_told_of_the_loss_too(self):
        self.second.delete("job")
        self.run_for(TTL_S)
        self.assertIsInstance(self.successResultOf(self.mine.when_lost()), LockLost)


class Releasing(LockCase):
    def test_the_block_holds_the_lock_and_its_end_releases_it(self):
        lock = self.lock(self.first)

        async def work() -> int:
            async with lock as fence:
                self.assertEqual(lock.check(), fence)
                return fence

        self.assertEqual(self.successResultOf(self.begun(work())), 1)
        self.assertIsNone(self.present().value)
        self.assertRaises(LockLost, lock.check)
        self.assertRaises(LockLost, lock.when_lost)
        self.failureResultOf(self.begun(lock.release()), LockLost)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def working_while_it_is_lost(self) -> tuple[Deferred[None], Deferred[None]]:
        """Return a block that has lost its lock, and what it waits for."""
        lock, going = self.lock(self.first), Deferred()

        async def work() -> None:
            async with lock:
                await going

        working = self.begun(work())
        self.first.cut = True
        self.run_for(TTL_S)
        return working, going

    def test_a_block_whose_lock_was_lost_ends_with_that(self):
        working, going = self.working_while_it_is_lost()
        going.callback(None)
        self.failureResultOf(working, LockLost)

    def test_an_exception_of_the_block_is_not_hidden_by_the_loss(self):
        working, going = self.working_while_it_is_lost()
        going.errback(ZeroDivisionError())
        self.failureResultOf(working, ZeroDivisionError)

    def test_a_release_waits_for_the_renewal_under_way_and_deletes_its_version(self):
        lock = self.held(self.first)
        self.first.late = 1.0
        self.run_for(TTL_S / 3 + 0.5)
        releasing = self.begun(lock.release())
        self.assertNoResult(releasing)
        self.run_for(2.0)
        self.successResultOf(releasing)
        self.assertIsNone(self.present().value)

    def test_a_release_that_cannot_be_done_leaves_the_key_to_expire(self):
        lock = self.held(self.first)
        self.store.ends = [ends_unavailable(4, 9)]
        self.successResultOf(self.begun(lock.release()))
        self.assertIsNotNone(self.present().value)
        self.run_for(TTL_S)
        self.assertIsNone(self.present().value)

    def test_a_release_finds_out_that_somebody_else_has_written(self):
        lock = self.held(self.first)
        self.second.put("job", b"mine")
        self.failureResultOf(self.begun(lock.release()), LockLost)


class ManyHolders(LockCase):
    def test_two_holders_never_act_at_a_time_nor_with_the_same_fence(self):
        """Programs take a lock, work, are cut off or hear late, and give it back."""
        with said_seed() as self.rng:
            programs = [self.program() for _ in range(4)]
            locks = [self.lock(program) for program in programs]
            acted: list[tuple[int, int]] = []

            async def work(number: int) -> None:
                while True:
                    try:
                        async with locks[number]:
                            for _ in range(self.rng.randrange(200)):
                                await self.pause(0.1)
                                acted.append((locks[number].check(), number))
                    except ChordnetError:
                        continue

            working = [self.begun(work(number)) for number in range(4)]
            for _ in range(400):
                program = self.rng.choice(programs)
                program.cut, program.deaf = (self.rng.random() < 0.3 for _ in range(2))
                program.late = self.rng.choice([0.0, 0.0, 2.0, 6.0])
                for _ in range(self.rng.randrange(1, 20)):
                    self.clock.advance(0.1)
                    held = [lock.fence for lock in locks if lock.fence is not None]
                    self.assertLessEqual(len(held), 1)
            owners = dict(acted)
            own = all(owners[fence] == number for fence, number in acted)
            self.assertTrue(own)
            fences = [fence for fence, _number in acted]
            self.assertEqual(fences, sorted(fences))
            self.assertGreater(len(owners), 3)
            for each in working:
                each.addErrback(lambda _: None)
                each.cancel()
            self.run_for(2 * TTL_S)

    def pause(self, seconds: float) -> Deferred[None]:
        done: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self.clock.callLater(seconds, done.callback, None)
        return done


class Leading(LockCase):
    def leader(self, program: Program, name: str, told: list[str]) -> Leader:
        return Leader(
            self.lock(program),
            lambda fence: told.append(f"{name} leads, {fence}"),
            lambda why: told.append(f"{name} does not: {why[-12:]}"),
        )

    def setUp(self) -> None:
        super().setUp()
        self.told: list[str] = []
        self.one = self.leader(self.first, "one", self.told)
        self.two = self.leader(self.second, "two", self.told)
        self.ends = [self.one.start(), self.two.start()]
        self.addCleanup(self.end)

    def end(self) -> None:
        self.one.stop()
        self.two.stop()
        self.run_for(2 * TTL_S)

    def test_one_leads_and_the_other_follows_when_the_first_cannot_be_reached(self):
        self.run_for(2 * TTL_S)
        self.assertEqual(self.told, ["one leads, 1"])
        self.assertEqual((self.one.fence, self.one.check(), self.two.fence), (1, 1, None))
        self.first.cut = True
        self.run_for(2 * TTL_S)
        self.assertEqual(self.told[1], "one does not: ewed in time")
        self.assertTrue(self.told[2].startswith("two leads"))
        self.assertRaises(LockLost, self.one.check)

    def test_who_lost_it_stands_again(self):
        self.first.cut = True
        self.run_for(2 * TTL_S)
        self.first.cut, self.second.cut = False, True
        self.run_for(2 * TTL_S)
        self.assertTrue(self.told[-1].startswith("one leads"), self.told)

    def test_one_that_stops_says_so_and_hands_the_lead_on_at_once(self):
        self.one.stop()
        self.successResultOf(self.ends[0])
        self.assertEqual(self.told[1], "one does not: stopped")
        self.run_for(2 * POLL_S)
        self.assertEqual(len(self.told), 3)

    def test_one_that_waits_can_be_stopped(self):
        self.two.stop()
        self.successResultOf(self.ends[1])
        self.assertEqual(self.told, ["one leads, 1"])

    def test_what_the_program_does_wrong_ends_it_with_that_and_gives_the_lock_back(self):
        self.one.stop()
        self.two.stop()
        lost: list[str] = []
        ends = Leader(self.lock(self.first), lambda _fence: 1 // 0, lost.append).start()
        self.failureResultOf(ends, ZeroDivisionError)
        self.assertEqual(lost, ["stopped"])
        self.assertIsNone(self.present().value)

    def test_an_impossible_key_is_told(self):
        class Refusing(Program):
            def get(self, key, *, timeout_s=10.0):
                return fail(InvalidKey("the key is empty"))

        lock = self.lock(Refusing(self.store, self.clock))
        self.failureResultOf(Leader(lock, print, print).start(), InvalidKey)


class OnANode(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        store = FakeStore(lambda: self.network.wall + self.clock.seconds())
        (self.node,) = self.ring(1, keys=store)

    def test_the_program_of_a_node_and_a_client_of_it_wait_for_each_other(self):
        askers: list[Keys] = [self.node, self.client(1)]
        mine, other = (
            Lock(each, "job", self.clock, seconds=self.clock.seconds, rng=Random(1))
            for each in askers
        )
        self.assertEqual(self.result(Deferred.fromCoroutine(mine.acquire())), 1)
        waiting = Deferred.fromCoroutine(other.acquire())
        self.network.run(20)
        self.assertNoResult(waiting)
        self.assertEqual(mine.check(), 1)
        self.result(Deferred.fromCoroutine(mine.release()))
        fence = self.result(waiting, 2 * POLL_S)
        self.assertGreater(fence, 4)
        self.result(Deferred.fromCoroutine(other.release()))


class Values(SynchronousTestCase):
    def test_what_something_else_wrote_is_no_holding(self):
        for value in (b"", b"{}", b"\xff", b'{"owner": 5}', b"[" * 100_000):
            self.assertIsNone(holding_of(Entry(value, 1)))

    def test_the_clock_does_not_go_back(self):
        self.assertLessEqual(steady(), steady())
