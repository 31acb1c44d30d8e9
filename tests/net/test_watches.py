"""Watches of keys, reads from the past and lists of keys, on whole rings in virtual time."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from chordnet import ChordService, KeyWatch, Revision
from chordnet.core.base.errors import (
    Busy,
    InvalidKey,
    LocalProtocolError,
    NoStore,
    NotInRing,
    Unavailable,
    WatchEnded,
)
from chordnet.net.handles import watching
from chordnet.net.serve import revisions
from chordnet.net.serve.revisions import KeyWatches
from chordnet.wire.codec import read_reply
from chordnet.wire.rpc import Failure
from chordnet.wire.watches import Revisions, WatchKey
from tests.net.test_service import ServiceCase
from tests.net.test_store_service import StoreCase


def told(revisions_: list[Revision]) -> list[tuple[int, bytes | None]]:
    return [(each.version, each.value) for each in revisions_]


class WatchTests(StoreCase):
    def watch(self, node: ChordService, seen: list[Revision], since: int | None = None) -> KeyWatch:
        watch = node.watch("key", seen.append, since=since)
        watch.finished.addErrback(lambda failure: failure.trap(NotInRing))
        return watch

    def test_a_watch_tells_what_there_is_and_each_later_state_once(self):
        ring = self.founded(5)
        seen: list[Revision] = []
        self.result(ring[0].put("key", b"one"))
        watch = self.watch(ring[4], seen)
        self.network.run(1.0)
        for value in (b"two", b"three"):
            self.result(ring[1].put("key", value))
            self.network.run(0.5)
        self.result(ring[2].delete("key"))
        self.network.run(0.5)
        self.assertEqual(told(seen), [(1, b"one"), (2, b"two"), (3, b"three"), (4, None)])
        self.assertEqual((watch.last, watch.over), (4, False))
        watch.stop()
        self.successResultOf(watch.finished)
        self.result(ring[0].put("key", b"five"))
        self.network.run(0.5)
        self.assertEqual(len(seen), 4)

    def test_a_watch_since_a_version_tells_what_came_after_it(self):
        ring = self.founded(3)
        for number in range(4):
            self.result(ring[0].put("key", b"%d" % number))
        for since, expected in ((4, []), (3, [(4, None)]), (1, [(4, (2, 3))]), (0, [(4, (1, 3))])):
            seen: list[Revision] = []
            self.watch(ring[1], seen, since)
            self.network.run(1.0)
            self.assertEqual([(each.version, each.gap) for each in seen], expected)

    def test_what_expires_is_told_though_nobody_reads_it(self):
        ring = self.founded(3)
        self.result(ring[0].put("key", b"lease", expires_s=5.0))
        seen: list[Revision] = []
        self.watch(ring[1], seen)
        self.network.run(4.0)
        self.assertEqual(told(seen), [(1, b"lease")])
        self.network.run(2.0)
        self.assertEqual(told(seen), [(1, b"lease"), (2, None)])

    def test_a_watch_goes_on_while_a_member_is_away_and_when_it_is_back(self):
        ring = self.founded(4)
        seen: list[Revision] = []
        self.watch(ring[3], seen)
        self.network.run(1.0)
        self.network.frozen.add(self.address(1))
        self.result(ring[1].put("key", b"one"), 10.0)
        self.network.run(2.0)
        self.network.thaw(self.address(1))
        self.result(ring[1].put("key", b"two"), 10.0)
        self.network.run(2.0)
        self.assertEqual(told(seen), [(0, None), (1, b"one"), (2, b"two")])

    def test_a_watch_ends_with_its_node(self):
        ring = self.founded(3)
        watch = ring[1].watch("key", lambda _revision: None)
        self.network.run(0.5)
        self.result(ring[1].stopService())
        self.failureResultOf(watch.finished, NotInRing)

    def test_a_watch_that_cannot_begin_says_why(self):
        ring = self.founded(3)
        for key, since, error in (
            ("", None, InvalidKey),
            ("k", -1, LocalProtocolError),
            ("k", "x", LocalProtocolError),
        ):
            self.failureResultOf(ring[0].watch(key, print, since=since).finished, error)
        stopped = ChordService(self.clock, "tcp:1")
        self.failureResultOf(stopped.watch("k", print).finished, NotInRing)

    def test_a_version_that_the_key_has_not_reached_ends_the_watch(self):
        ring = self.founded(3)
        self.result(ring[0].put("key", b"one"))
        watch = ring[0].watch("key", print, since=7)
        self.network.run(1.0)
        failure = self.failureResultOf(watch.finished, WatchEnded)
        self.assertIn("lower version", str(failure.value))

    def test_a_callback_that_fails_ends_the_watch_with_that(self):
        ring = self.founded(3)

        def fail(_revision: Revision) -> None:
            raise ZeroDivisionError

        watch = ring[0].watch("key", fail)
        self.network.run(1.0)
        self.failureResultOf(watch.finished, ZeroDivisionError)

    def test_many_watches_of_one_key_cost_no_more_reads_than_one(self):
        ring = self.founded(3)
        seen: list[Revision] = []
        for _ in range(50):
            self.watch(ring[0], seen)
        self.network.run(1.0)
        machine = self.store(ring[0]).machine
        self.assertEqual(machine.formation.asides.watching.keys, 1)
        self.result(ring[1].put("key", b"one"))
        self.network.run(1.0)
        self.assertEqual(told(seen).count((1, b"one")), 50)


class WithoutStoreTests(ServiceCase):
    def test_a_node_without_a_store_watches_nothing_and_lists_nothing(self):
        [node] = self.ring(1, store="none")
        self.failureResultOf(node.watch("key", print).finished, NoStore)
        self.failureResultOf(node.held_keys(), NoStore)


class StaleTests(StoreCase):
    def test_a_stale_read_is_answered_where_no_other_one_is(self):
        ring = self.founded(4)
        self.result(ring[0].put("key", b"one"))
        members = self.store(ring[0]).machine.formation.directory
        [slot] = {self.store(each).slot_of(b"key") for each in ring}
        names = [member.node for member in members.of(slot).configuration.members]
        alive = next(each for each in ring if each.settings.name == names[0])
        other = next(each for each in ring if each.settings.name not in names)
        for name in names[1:]:
            self.network.frozen.add(self.address(int(name.split()[1])))
        self.network.run(8.0)
        self.failing(alive.get("key", timeout_s=3.0), Unavailable, 8.0)
        for node in (alive, other):
            stale = self.result(node.get("key", stale=True, timeout_s=5.0), 8.0)
            self.assertEqual((stale.entry.value, stale.entry.version), (b"one", 1))
            self.assertEqual(stale.node, names[0])
            self.assertGreater(stale.age_s, 5.0)
        self.failing(self.absent(other, names[0]), Unavailable, 12.0)

    def absent(self, node: ChordService, last: str) -> Deferred[Any]:
        """Read from the past when no member is left."""
        self.network.frozen.add(self.address(int(last.split()[1])))
        self.network.run(1.0)
        return node.get("key", stale=True, timeout_s=3.0)

    def failing(self, answer: Deferred[Any], error: type[Exception], seconds: float) -> None:
        self.network.run(seconds)
        self.failureResultOf(answer, error)

    def test_a_key_that_is_not_there_is_told_so(self):
        ring = self.founded(3)
        stale = self.result(ring[0].get("key", stale=True))
        self.assertIsNone(stale.entry)


class HeldTests(StoreCase):
    def test_the_owned_keys_of_all_nodes_are_all_keys_once(self):
        ring = self.founded(5)
        self.network.run(20.0)
        keys = sorted(f"key {number}" for number in range(40))
        for key in keys:
            self.result(ring[0].put(key, b"value"))
        self.result(ring[0].delete(keys[0]))
        self.network.run(1.0)
        owned = [each.key for node in ring for each in self.result(node.held_keys(owned=True))]
        self.assertEqual(sorted(owned), keys[1:])
        held = [each for node in ring for each in self.result(node.held_keys())]
        self.assertGreaterEqual(len(held), 2 * len(keys[1:]))
        self.assertEqual(
            {(each.version, each.bytes, each.expires) for each in held}, {(1, 5, None)}
        )

    def test_a_list_is_told_in_parts_that_fit_together(self):
        [node] = self.founded(1, founders=("Node 1",))
        for number in range(30):
            self.result(node.put(f"key {number}", b"value", expires_s=900.0))
        whole = self.result(node.held_keys())
        self.assertEqual(len(whole), 30)
        self.assertEqual([each.slot for each in whole], sorted(each.slot for each in whole))
        parts, after = [], ""
        while part := self.result(node.held_keys(7, after)):
            parts += part
            after = part[-1].key
        self.assertEqual(parts, whole)

    def test_a_wrong_question_is_refused(self):
        [node] = self.founded(1, founders=("Node 1",))
        for words in ((-1, ""), (0, 5), (0, "", "yes")):
            limit, after, *owned = words
            answer = node.held_keys(limit, after, **({"owned": owned[0]} if owned else {}))
            self.failureResultOf(answer, LocalProtocolError)


class HandleTests(ServiceCase):
    """:class:`KeyWatch` by itself."""

    def setUp(self):
        super().setUp()
        self.stops = 0

    def stop(self) -> None:
        self.stops += 1

    def revision(self, version: int, size: int = 1) -> Revision:
        return Revision(version, bytes(size))

    def test_an_iterator_gets_what_came_before_and_while_it_waits(self):
        watch = KeyWatch(self.stop, None)
        watch.received([self.revision(1), self.revision(2)])

        async def take(many: int) -> list[int]:
            return [(await anext(watch)).version for _ in range(many)]

        taken = Deferred.fromCoroutine(take(3))
        self.assertNoResult(taken)
        watch.received([self.revision(3)])
        self.assertEqual(self.successResultOf(taken), [1, 2, 3])
        self.assertEqual(watch.last, 3)

    def test_an_iterator_ends_with_the_watch(self):
        watch = KeyWatch(self.stop, None)

        async def take() -> list[int]:
            return [each.version async for each in watch]

        taken = Deferred.fromCoroutine(take())
        watch.received([self.revision(1)])
        watch.stop()
        self.assertEqual(self.successResultOf(taken), [1])
        self.assertEqual(self.stops, 1)

    def test_an_iterator_raises_why_the_watch_ended_after_what_had_come(self):
        watch = KeyWatch(self.stop, None)
        watch.received([self.revision(1)])
        watch.ended(Busy("too many"))
        seen = []

        async def take() -> None:
            async for each in watch:
                seen.append(each.version)  # noqa: PERF401 - it fails in between

        self.failureResultOf(Deferred.fromCoroutine(take()), Busy)
        self.assertEqual(seen, [1])
        self.assertEqual(self.successResultOf(watch.finished), None)

    def test_a_program_that_is_too_slow_is_cut_off_and_knows_where_to_go_on(self):
        for size, many in ((1, watching.MAX_WAITING), (1 << 20, 4)):
            watch = KeyWatch(self.stop, None)
            for version in range(1, many + 1):
                watch.received([self.revision(version, size)])
            self.assertFalse(watch.over)
            watch.received([self.revision(many + 1, size)])
            self.assertTrue(watch.over)

            async def take(watch: KeyWatch = watch) -> None:
                await anext(watch)

            self.failureResultOf(Deferred.fromCoroutine(take()), WatchEnded)
            self.assertEqual(watch.last, None)

    def test_a_coroutine_is_waited_for_before_the_next_call(self):
        waits: list[Deferred[None]] = []
        seen = []

        async def slow(revision: Revision) -> None:
            seen.append(revision.version)
            waits.append(Deferred())
            await waits[-1]

        watch = KeyWatch(self.stop, slow)
        watch.received([self.revision(1), self.revision(2)])
        self.assertEqual(seen, [1])
        waits[0].callback(None)
        self.assertEqual(seen, [1, 2])
        watch.ended(NotInRing("gone"))
        self.assertNoResult(watch.finished)
        waits[1].callback(None)
        self.failureResultOf(watch.finished, NotInRing)

    def test_nothing_is_told_after_the_end(self):
        seen: list[Revision] = []
        watch = KeyWatch(self.stop, seen.append)
        watch.stop()
        watch.stop()
        watch.ended(Busy("late"))
        watch.received([self.revision(1)])
        self.assertEqual((seen, self.stops), ([], 1))


class FakeConnection:
    """A client's connection that is full if the test says so."""

    def __init__(self) -> None:
        self.paused = self.closing = False
        self.waiting = 0
        self.sent: list[Any] = []

    def send(self, reply: Any) -> None:
        self.sent.append(reply)

    def send_value(self, frame: bytes) -> None:
        self.sent.append(read_reply(frame[4:]))

    def flush_now(self) -> None: ...


class FakeKeys:
    """Begins watches and remembers them."""

    def __init__(self) -> None:
        self.begun: dict[int, Any] = {}
        self.stopped: list[int] = []

    def watch(self, asked: WatchKey, told: Any, ended: Any) -> Any:
        self.begun[asked.rid] = told, ended
        return lambda: self.stopped.append(asked.rid)


class ServedTests(ServiceCase):
    """What a client is sent of its watches."""

    def setUp(self):
        super().setUp()
        [node] = self.ring(1)
        self.connection, self.keys = FakeConnection(), FakeKeys()

        class Node:
            keys = self.keys
            clock = self.clock
            turn = node.node.turn

        self.watches = KeyWatches(Node, self.connection)

    def begin(self, rid: int = 1) -> None:
        self.watches.begin(WatchKey(rid, "key"))

    def tell(self, version: int, size: int = 1, rid: int = 1) -> None:
        self.keys.begun[rid][0](Revision(version, bytes(size)))

    @property
    def versions(self) -> list[int]:
        sent = [each for each in self.connection.sent if isinstance(each, Revisions)]
        return [revision.version for each in sent for revision in each.revisions]

    @property
    def failures(self) -> list[tuple[int, str]]:
        sent = [each for each in self.connection.sent if isinstance(each, Failure)]
        return [(each.rid, each.code) for each in sent]

    def test_what_comes_is_sent_while_the_client_reads_and_waits_while_it_does_not(self):
        self.begin()
        self.tell(1)
        self.connection.paused = True
        self.tell(2)
        self.tell(3)
        self.assertEqual(self.versions, [1])
        self.connection.paused = False
        self.watches.pump()
        self.assertEqual(self.versions, [1, 2, 3])

    def test_a_client_that_reads_too_slowly_is_cut_off_from_that_watch(self):
        for size, many in ((1, revisions.MAX_WAITING), (1 << 20, 3)):
            self.setUp()
            self.begin(1)
            self.begin(2)
            self.connection.paused = True
            for version in range(1, many + 1):
                self.tell(version, size)
            self.assertEqual(self.failures, [])
            self.tell(many + 1, size)
            self.assertEqual(self.failures, [(1, "WatchEnded")])
            self.assertEqual((self.keys.stopped, len(self.watches)), ([1], 1))
            self.tell(1, 1, 2)
            self.connection.paused = False
            self.watches.pump()
            self.assertEqual(self.versions, [1])

    def test_nothing_overtakes_a_long_value_that_has_not_left(self):
        self.begin()
        self.tell(1, 200_000)
        self.connection.waiting = 100_000
        self.watches._watches[1].leaving = True
        self.tell(2)
        self.assertEqual(self.versions, [1])
        self.clock.advance(revisions.AGAIN_S)
        self.assertEqual(self.versions, [1])
        self.connection.waiting = 0
        self.clock.advance(revisions.AGAIN_S)
        self.assertEqual(self.versions, [1, 2])

    def test_a_client_may_watch_only_so_many_keys_and_each_number_once(self):
        for rid in range(revisions.MAX_WATCHES):
            self.begin(rid)
        self.assertRaises(Busy, self.begin, revisions.MAX_WATCHES)
        self.watches.end(5)
        self.begin(revisions.MAX_WATCHES)
        self.assertRaises(Busy, self.begin, 7)
        self.watches.stop()
        self.assertEqual((len(self.watches), len(self.keys.stopped)), (0, 65))

    def test_a_watch_that_the_node_ends_is_told_to_the_client(self):
        self.begin()
        self.keys.begun[1][1](NotInRing("stopped"))
        self.assertEqual((self.failures, len(self.watches)), ([(1, "NotInRing")], 0))
        self.tell(1)
        self.assertEqual(self.versions, [])
