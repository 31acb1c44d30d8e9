"""The keys that a node's clients watch, and the nodes that want to hear of keys: by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.effects import NodeEffect, Revised, Unwatched, WatchEnd
from chordnet.core.store.base.outcomes import Found, Outcome, Unavailable
from chordnet.core.store.base.records import EMPTY, Content
from chordnet.core.store.watch import watchers as watchers_module
from chordnet.core.store.watch import watching as watching_module
from chordnet.core.store.watch.host import Bell
from chordnet.core.store.watch.messages import AsideMessage, Stirred, Watch
from chordnet.core.store.watch.watchers import (
    COST,
    HINT_S,
    MOST_BYTES,
    MOST_KEYS_OF_ONE,
    WATCHER_S,
    Watchers,
)
from chordnet.core.store.watch.watching import (
    EXPIRED_S,
    LONGEST_PAUSE_S,
    MOST_KEYS,
    MOST_READS,
    MOST_WATCHES,
    POLL_S,
    RENEW_S,
    SHORTEST_PAUSE_S,
    Watching,
)

KEY, OTHER = b"config", b"other"
FORMATION = bytes(16)


class FakeHost:
    """A node whose reads end when the test says so, and whose alarms are a table."""

    formation = FORMATION
    me = "A"

    def __init__(self) -> None:
        self.now, self.wall = 100.0, 5000.0
        self.said: list[tuple[str, AsideMessage]] = []
        self.told: list[NodeEffect] = []
        self.reads: list[tuple[bytes, Callable[[Outcome], None]]] = []
        self.alarms: dict[tuple[Bell, int], float] = {}
        self.nodes = ["A", "B", "C"]
        self._rid = 0

    def rid(self) -> int:
        self._rid += 1
        return self._rid

    def jittered(self, delay: float) -> float:
        return delay

    def say(self, to: str, message: AsideMessage) -> None:
        self.said.append((to, message))

    def tell(self, effect: NodeEffect) -> None:
        self.told.append(effect)

    def read(self, key: bytes, then: Callable[[Outcome], None]) -> None:
        self.reads.append((key, then))

    def members(self, _key: bytes) -> list[str]:
        return self.nodes

    def sooner(self, bell: Bell, number: int, delay: float) -> None:
        at = self.now + delay
        self.alarms[bell, number] = min(at, self.alarms.get((bell, number), at))

    def later(self, bell: Bell, number: int, delay: float) -> None:
        self.alarms[bell, number] = self.now + delay

    def cancel(self, bell: Bell, number: int) -> None:
        self.alarms.pop((bell, number), None)

    def due_in(self, bell: Bell, number: int = 0) -> float | None:
        at = self.alarms.get((bell, number))
        return None if at is None else round(at - self.now, 6)


def content(version: int, value: bytes | None = b"v", expires: float | None = None) -> Content:
    return Content(value, version, expires, ())


class WatchingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.host = FakeHost()
        self.watching = Watching(self.host)

    def found(self, present: Content) -> None:
        """End the read under way."""
        _key, then = self.host.reads.pop(0)
        then(Found(present))

    def told(self) -> list[Any]:
        """Return what was told since the last time: (watch, version, gap), or why it ended."""
        told, self.host.told = self.host.told, []
        return [
            (each.watch, each.content.version, each.gap)
            if isinstance(each, Revised)
            else (each.watch, each.end)
            for each in told
            if isinstance(each, Revised | Unwatched)
        ]

    def hint(self, version: int, sender: str = "B", key: bytes = KEY) -> None:
        self.watching.on_stirred(sender, Stirred(FORMATION, ((key, version),)))

    def ring(self, bell: Bell, number: int = 1) -> None:
        """Let the time of an alarm come."""
        self.host.now = self.host.alarms.pop((bell, number))
        self.watching.look(number) if bell is Bell.LOOK else self.watching.renew()

    def watch(self, *, at: int = 3, since: int | None = None) -> None:
        """Begin a watch that has been told of a version."""
        self.watching.start(1, KEY, since)
        self.found(content(at))
        self.told()
        self.host.said.clear()

    # ---- what is told -----------------------------------------------------------------------

    def test_the_first_revision_is_what_there_is_and_has_no_gap(self) -> None:
        self.watching.start(1, KEY, None)
        self.assertEqual(self.told(), [])
        self.found(content(3))
        self.assertEqual(self.told(), [(1, 3, None)])

    def test_a_key_that_was_never_written_is_told_as_version_0_once(self) -> None:
        self.watching.start(1, KEY, None)
        self.found(EMPTY)
        self.ring(Bell.LOOK)
        self.found(EMPTY)
        self.assertEqual(self.told(), [(1, 0, None)])

    def test_a_watch_since_a_version_is_told_what_it_missed_as_a_gap(self) -> None:
        for since, told in ((0, [(1, 4, (1, 3))]), (3, [(1, 4, None)]), (4, [])):
            watching = Watching(self.host)
            watching.start(1, KEY, since)
            self.found(content(4))
            self.assertEqual(self.told(), told, since)

    def test_each_revision_is_told_once_and_what_was_passed_over_is_a_gap(self) -> None:
        self.watch(at=3)
        for version in (4, 4, 7):
            self.hint(version)
            self.ring(Bell.LOOK) if not self.host.reads else None
            self.found(content(version)) if self.host.reads else None
        self.assertEqual(self.told(), [(1, 4, None), (1, 7, (5, 6))])

    def test_a_deletion_is_a_revision(self) -> None:
        self.watch(at=3)
        self.hint(4)
        self.found(content(4, None))
        [revised] = self.host.told
        assert isinstance(revised, Revised)
        self.assertIsNone(revised.content.value)
        self.assertEqual(self.told(), [(1, 4, None)])

    def test_a_tombstone_that_was_collected_before_it_was_read_is_told_as_version_0_once(
        self,
    ) -> None:
        self.watch(at=3)
        self.hint(0)
        self.found(EMPTY)
        self.ring(Bell.LOOK)
        self.found(EMPTY)
        self.assertEqual(self.told(), [(1, 0, None)])
        self.hint(9)
        self.found(content(9))
        self.assertEqual(self.told(), [(1, 9, (4, 8))])

    def test_a_tombstone_that_is_collected_after_it_was_told_is_no_news(self) -> None:
        self.watch(at=3)
        self.hint(4)
        self.found(content(4, None))
        self.told()
        self.hint(0)
        self.found(EMPTY)
        self.assertEqual(self.told(), [])

    def test_a_version_below_the_known_one_ends_the_watch(self) -> None:
        self.watching.start(1, KEY, 9)
        self.watching.start(2, KEY, None)
        self.found(content(3))
        self.assertEqual(self.told(), [(1, WatchEnd.BACK)])
        self.ring(Bell.LOOK)
        self.found(content(3))
        self.assertEqual(self.told(), [(2, 3, None)])
        self.assertEqual(len(self.watching), 1)

    def test_two_watches_of_one_key_share_its_reads(self) -> None:
        self.watch(at=3)
        self.watching.start(2, KEY, 3)
        self.found(content(3))
        self.hint(4)
        self.assertEqual(len(self.host.reads), 1)
        self.found(content(4))
        self.assertEqual(self.told(), [(1, 4, None), (2, 4, None)])

    def test_a_read_that_began_before_a_watch_tells_it_nothing(self) -> None:
        self.watching.start(1, KEY, None)
        self.watching.start(2, KEY, None)
        self.found(content(3))
        self.assertEqual(self.told(), [(1, 3, None)])
        self.assertEqual(self.host.due_in(Bell.LOOK, 1), 0.0)
        self.ring(Bell.LOOK)
        self.found(content(4))
        self.assertEqual(self.told(), [(1, 4, None), (2, 4, None)])

    # ---- when a key is read -----------------------------------------------------------------

    def test_a_hint_of_a_member_has_the_key_read(self) -> None:
        self.watch(at=3)
        self.hint(4)
        self.assertEqual([key for key, _then in self.host.reads], [KEY])

    def test_no_other_hint_does(self) -> None:
        self.watch(at=3)
        self.hint(3)
        self.hint(2)
        self.hint(9, sender="E")
        self.hint(9, key=OTHER)
        self.assertEqual(self.host.reads, [])

    def test_hints_during_a_read_have_it_read_again_only_if_it_did_not_find_them(self) -> None:
        self.watch(at=3)
        self.hint(4)
        self.hint(4, "C")
        self.found(content(4))
        self.assertEqual(self.host.due_in(Bell.LOOK, 1), POLL_S)
        self.hint(5)
        self.hint(6, "C")
        self.found(content(5))
        self.assertEqual(self.host.due_in(Bell.LOOK, 1), SHORTEST_PAUSE_S)
        self.ring(Bell.LOOK)
        self.found(content(6))
        self.assertEqual(self.host.due_in(Bell.LOOK, 1), POLL_S)

    def test_hints_in_vain_are_heeded_later_and_later_and_never_too_late(self) -> None:
        self.watch(at=3)
        pauses = []
        for _ in range(9):
            self.hint(1 << 61)
            if not self.host.reads:
                pauses.append(self.host.due_in(Bell.LOOK, 1))
                self.ring(Bell.LOOK)
            self.found(content(3))
        self.assertEqual(
            pauses, [min(SHORTEST_PAUSE_S * 2.0**n, LONGEST_PAUSE_S) for n in range(1, 9)]
        )
        self.hint(4)
        self.ring(Bell.LOOK)
        self.found(content(4))
        self.hint(5)
        self.assertEqual(len(self.host.reads), 1)

    def test_a_hint_long_after_one_in_vain_is_heeded_at_once(self) -> None:
        self.watch(at=3)
        self.hint(4)
        self.found(content(3))
        self.host.now += 2 * SHORTEST_PAUSE_S
        self.hint(4)
        self.assertEqual(len(self.host.reads), 1)

    def test_a_key_is_read_when_its_value_expires_and_again_until_it_has(self) -> None:
        self.watching.start(1, KEY, None)
        self.found(content(3, expires=self.host.wall + 2.0))
        self.assertEqual(self.host.due_in(Bell.LOOK, 1), 2.0 + EXPIRED_S)
        self.ring(Bell.LOOK)
        self.host.wall += 2.0 + EXPIRED_S
        self.found(content(3, expires=self.host.wall - EXPIRED_S))
        self.assertEqual(self.host.due_in(Bell.LOOK, 1), EXPIRED_S)
        self.ring(Bell.LOOK)
        self.found(content(4, None))
        self.assertEqual(self.told(), [(1, 3, None), (1, 4, None)])

    def test_a_key_is_read_now_and_then_without_a_hint(self) -> None:
        self.watch(at=3)
        self.assertEqual(self.host.due_in(Bell.LOOK, 1), POLL_S)
        self.ring(Bell.LOOK)
        self.found(content(4))
        self.assertEqual(self.told(), [(1, 4, None)])

    def test_a_key_that_is_unavailable_is_read_again_and_nothing_is_told(self) -> None:
        self.watching.start(1, KEY, None)
        for pause in (0.04, 0.08, 0.16):
            self.host.reads.pop()[1](Unavailable(1, (), 3))
            self.assertAlmostEqual(self.host.due_in(Bell.LOOK, 1) or 0.0, pause)
            self.ring(Bell.LOOK)
        self.assertEqual(self.told(), [])
        self.found(content(3))
        self.assertEqual(self.told(), [(1, 3, None)])

    def test_only_so_many_keys_are_read_at_a_time_and_the_others_after_them(self) -> None:
        for number in range(MOST_READS + 2):
            self.watching.start(number, b"%d" % number, None)
        self.assertEqual(len(self.host.reads), MOST_READS)
        self.watching.stop(MOST_READS)
        self.found(content(1))
        self.assertEqual(self.host.reads[-1][0], b"%d" % (MOST_READS + 1))

    # ---- what members are told --------------------------------------------------------------

    def watched(self) -> list[tuple[str, tuple[tuple[bytes, int], ...]]]:
        said, self.host.said = self.host.said, []
        return [(to, message.keys) for to, message in said if isinstance(message, Watch)]

    def test_members_are_told_what_is_watched_once_it_was_read_and_again_and_again(self) -> None:
        self.watching.start(1, KEY, None)
        self.assertEqual(self.watched(), [])
        self.found(content(3))
        self.assertEqual(self.watched(), [(node, ((KEY, 3),)) for node in "ABC"])
        self.assertEqual(self.host.due_in(Bell.RENEW), RENEW_S)
        self.ring(Bell.RENEW, 0)
        self.assertEqual(self.watched(), [(node, ((KEY, 3),)) for node in "ABC"])
        self.assertEqual(self.host.due_in(Bell.RENEW), RENEW_S)

    def test_the_members_of_a_slot_that_has_moved_are_told_soon(self) -> None:
        self.watch(at=3)
        self.host.nodes = ["D"]
        self.watching.moved()
        self.assertLess(self.host.due_in(Bell.RENEW) or 9.0, 0.1)
        self.ring(Bell.RENEW, 0)
        self.assertEqual(self.watched(), [("D", ((KEY, 3),))])

    def test_nobody_is_told_when_nothing_is_watched(self) -> None:
        self.watch(at=3)
        self.watching.stop(1)
        self.ring(Bell.RENEW, 0)
        self.watching.moved()
        self.assertEqual((self.watched(), self.host.due_in(Bell.RENEW)), ([], None))

    # ---- their ends and their number --------------------------------------------------------

    def test_a_watch_that_was_stopped_is_told_nothing_more(self) -> None:
        self.watch(at=3)
        self.hint(4)
        self.watching.stop(1)
        self.watching.stop(1)
        self.found(content(4))
        self.assertEqual(
            (self.told(), self.watching.keys, self.host.alarms.keys() & {(Bell.LOOK, 1)}),
            ([], 0, set()),
        )

    def test_a_watch_too_many_is_refused(self) -> None:
        for number in range(MOST_WATCHES):
            self.watching.start(number, b"%d" % (number % MOST_KEYS), None)
        self.assertEqual((len(self.watching), self.watching.keys), (MOST_WATCHES, MOST_KEYS))
        self.watching.start(MOST_WATCHES, b"0", None)
        self.assertEqual(self.told(), [(MOST_WATCHES, WatchEnd.FULL)])

    def test_a_key_too_many_is_refused_and_another_watch_of_one_is_not(self) -> None:
        for number in range(MOST_KEYS):
            self.watching.start(number, b"%d" % number, None)
        self.watching.start(9000, b"new", None)
        self.watching.start(9001, b"0", None)
        self.assertEqual(self.told(), [(9000, WatchEnd.FULL)])

    def test_all_end_when_the_node_leaves_its_formation(self) -> None:
        self.watch(at=3)
        self.watching.start(2, OTHER, None)
        self.watching.close()
        self.assertEqual(self.told(), [(1, WatchEnd.CLOSED), (2, WatchEnd.CLOSED)])
        self.assertEqual(self.watching.keys, 0)


class WatchersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.host = FakeHost()
        self.versions: dict[bytes, int | None] = {KEY: 3, OTHER: 0}
        self.watchers = Watchers(self.host, lambda key: self.versions.get(key, 0))

    def watch(self, version: int, sender: str = "B", key: bytes = KEY) -> None:
        self.watchers.on_watch(sender, Watch(FORMATION, ((key, version),)))

    def accept(self, version: int, key: bytes = KEY) -> None:
        self.versions[key] = version
        self.watchers.accepted(key)

    def hints(self) -> list[tuple[str, tuple[tuple[bytes, int], ...]]]:
        self.watchers.hint()
        said, self.host.said = self.host.said, []
        return [(to, message.keys) for to, message in said if isinstance(message, Stirred)]

    def test_who_watches_is_told_of_what_is_accepted_a_moment_later_and_once(self) -> None:
        self.watch(3)
        self.watch(3, "C")
        self.accept(4)
        self.accept(5)
        self.assertEqual(self.host.said, [])
        self.assertEqual(self.host.due_in(Bell.HINT), HINT_S)
        self.assertEqual(self.hints(), [("B", ((KEY, 5),)), ("C", ((KEY, 5),))])
        self.accept(5)
        self.assertEqual(self.hints(), [])

    def test_nobody_is_told_of_what_nobody_watches(self) -> None:
        self.accept(4)
        self.assertEqual((self.host.alarms, self.hints()), ({}, []))

    def test_who_knows_less_than_is_accepted_here_is_told_at_once(self) -> None:
        self.watch(2)
        self.assertEqual(self.hints(), [("B", ((KEY, 3),))])

    def test_a_hint_that_was_lost_comes_again_with_the_next_word_of_the_watcher(self) -> None:
        self.watch(3)
        self.accept(4)
        self.hints()
        self.watch(3)
        self.assertEqual(self.hints(), [("B", ((KEY, 4),))])

    def test_who_knows_more_than_is_accepted_here_is_told_nothing(self) -> None:
        self.watch(9)
        self.accept(8)
        self.assertEqual(self.hints(), [])

    def test_who_knows_of_a_record_that_is_gone_is_told_so(self) -> None:
        self.watch(2, key=OTHER)
        self.assertEqual(self.hints(), [("B", ((OTHER, 0),))])
        self.watch(0, key=OTHER)
        self.assertEqual(self.hints(), [])

    def test_a_key_that_is_not_held_here_is_not_noted_and_no_longer_told_of(self) -> None:
        self.versions[OTHER] = None
        self.watch(1, key=OTHER)
        self.assertEqual(len(self.watchers), 0)
        self.watch(2)
        self.versions[KEY] = None
        self.assertEqual(self.hints(), [])

    def test_who_says_nothing_more_is_forgotten(self) -> None:
        self.watch(3)
        self.host.now += WATCHER_S / 2
        self.watch(3, "C")
        self.host.now += WATCHER_S / 2
        self.watchers.sweep()
        self.accept(4)
        self.assertEqual([to for to, _keys in self.hints()], ["C"])
        self.assertEqual(self.watchers.bytes, len(KEY) + COST)
        self.host.now += WATCHER_S / 2
        self.host.alarms.clear()
        self.watchers.sweep()
        self.assertEqual((len(self.watchers), self.watchers.bytes, self.host.alarms), (0, 0, {}))

    def test_one_node_may_watch_only_so_many_keys_here(self) -> None:
        for number in range(MOST_KEYS_OF_ONE + 1):
            self.watch(0, key=b"%d" % number)
        self.assertEqual(len(self.watchers), MOST_KEYS_OF_ONE)
        self.watch(0, "C", b"x")
        self.watch(5, "B", b"0")
        self.assertEqual(len(self.watchers), MOST_KEYS_OF_ONE + 1)

    def test_all_together_may_have_only_so_much_noted_here(self) -> None:
        for number in range(5000):
            self.watch(0, f"n{number % 9}", b"%01024d" % number)
        self.assertLessEqual(self.watchers.bytes, MOST_BYTES)
        self.assertEqual(len(self.watchers), MOST_BYTES // (1024 + COST))

    def test_the_limits_leave_room_for_what_one_node_watches(self) -> None:
        self.assertGreaterEqual(watchers_module.MOST_KEYS_OF_ONE, watching_module.MOST_KEYS)
        self.assertGreater(WATCHER_S, 3 * RENEW_S)
