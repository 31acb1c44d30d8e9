"""Per-origin order over a node's log: readers, subscribers, clients."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Record
from chordnet.core.base.errors import LocalProtocolError, NotInRing, RemoteProtocolError, TimedOut
from chordnet.core.base.events import Recent
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import EdgeKind, Hop, MessageId, digest_of
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.net.observe.views import Views
from chordnet.net.runtime.keeping import RECENT_MESSAGES, recent_messages
from chordnet.net.serve.reading import Reader, ReceivedReader, open_reader
from chordnet.storage.log.memory import MemoryLog
from chordnet.storage.log.sqlite import SqliteLog
from chordnet.wire.rpc import MessageRecord, Messages, OrderedEntry
from tests.net.test_service import ServiceCase

SPACE = IdentifierSpace(160)
WAIT_S = NetworkLimits().order_wait_s


def message(name: str, size: int = 0) -> Record:
    """Return the record of a message such as ``a3``: origin a, number 3."""
    message_id = MessageId(SPACE.raw(ord(name[0])), 1, int(name[1:]))
    route = [Hop(message_id.origin, f"Node {name[0]}", int(EdgeKind.ORIGIN))]
    return Record(message_id, 0.0, name.encode() + b"x" * size, route)


def told(entry: OrderedEntry | MessageRecord) -> str:
    """Return ``a3``, ``late a3`` or ``gap a1-2``."""
    if isinstance(entry, MessageRecord):
        return entry.body.rstrip("x")
    if entry.record is not None:
        return ("late " if entry.late else "") + entry.record.body.rstrip("x")
    gap = entry.gap
    assert gap is not None
    kind = "dropped" if gap.dropped else "gap"
    return f"{kind} {chr(int(gap.origin, 16))}{gap.first}-{gap.last} {gap.name}".rstrip()


class Source:
    """A log with a clock, as a node has them."""

    def __init__(self, log: MemoryLog | SqliteLog | None = None, **limits: float) -> None:
        self.log = log if log is not None else MemoryLog()
        self.views = Views(SPACE)
        self.limits = NetworkLimits(**limits)
        self.now = 1000.0

    def wall(self) -> float:
        return self.now

    def record(self, *names: str, size: int = 0) -> None:
        for name in names:
            self.log.append(message(name, size), self.now)


def read(reader: Reader) -> list[str]:
    """Return all that there is to read now."""
    entries, more = reader.read()
    lines = list(map(told, entries))
    while more:
        entries, more = reader.read()
        lines += map(told, entries)
    return lines


def name_of(line: str) -> str:
    return line.rsplit(maxsplit=1)[-1]


class ReaderTests(SynchronousTestCase):
    def setUp(self):
        self.source = Source()

    def test_gaps_are_marked_with_the_name_of_the_origin_and_what_fills_them_is_late(self):
        source = self.source
        reader = open_reader(source, "origin", "")
        source.record("a1", "a3", "b1")
        self.assertEqual(read(reader), ["a1", "b1"])
        self.assertEqual(reader.deadline, source.now + WAIT_S)
        source.now += WAIT_S
        self.assertEqual(read(reader), ["gap a2-2 Node a", "a3"])
        self.assertIsNone(reader.deadline)
        source.record("a2", "a4")
        self.assertEqual(read(reader), ["late a2", "a4"])

    def test_a_reader_from_now_on_gets_what_comes(self):
        source = self.source
        source.record("a1", "a3", "b1")
        reader = open_reader(source, "origin", None)
        source.record("b2", "a2")
        self.assertEqual(read(reader), ["b2", "a2", "a3"])
        received = open_reader(source, "received", None)
        source.record("b3")
        self.assertEqual(read(received), ["b3"])

    def test_an_unknown_message_or_order_is_refused(self):
        with self.assertRaises(LocalProtocolError) as caught:
            open_reader(self.source, "origin", "nonsense")
        self.assertIn("no message 'nonsense' is kept here", str(caught.exception))
        with self.assertRaises(LocalProtocolError) as caught:
            open_reader(self.source, "sideways", "")
        self.assertIn("use received or origin", str(caught.exception))

    def test_history_that_was_dropped_before_is_a_gap_that_nobody_waits_for(self):
        source = self.source = Source(MemoryLog(max_messages=3))
        source.record("a1", "b1", "a2", "a3", "b2")
        reader = open_reader(source, "origin", "")
        self.assertEqual(
            read(reader), ["dropped a1-1 Node a", "a2", "a3", "dropped b1-1 Node b", "b2"]
        )

    def test_history_that_was_dropped_before_it_was_read_is_a_gap(self):
        source = self.source = Source(MemoryLog(max_messages=3))
        reader = open_reader(source, "origin", "")
        source.record("a1", "b1")
        self.assertEqual(read(reader), ["a1", "b1"])
        source.record("a2", "b2", "b3", "a3", "a4")
        self.assertEqual(
            read(reader), ["dropped b2-2 Node b", "b3", "dropped a2-2 Node a", "a3", "a4"]
        )

    def test_a_message_dropped_while_it_was_held_back_is_a_gap_of_its_own(self):
        source = self.source = Source(MemoryLog(max_messages=2))
        reader = open_reader(source, "origin", "")
        source.record("a2")
        self.assertEqual(read(reader), [])
        source.record("b1", "c1")
        self.assertEqual(read(reader), ["b1", "c1"])
        source.now += WAIT_S
        self.assertEqual(read(reader), ["gap a1-1", "dropped a2-2"])

    def test_a_place_that_is_dropped_while_it_is_looked_for_is_refused(self):
        source = self.source = Source(MemoryLog(max_messages=400))
        source.record(*(f"a{n}" for n in range(1, 401)))
        reader = open_reader(source, "origin", str(message("a300").id))
        self.assertEqual(reader.read(), ([], True))
        source.record(*(f"a{n}" for n in range(401, 800)))
        error = self.assertRaises(LocalProtocolError, read, reader)
        self.assertIn("were dropped from the log", str(error))

    def test_long_messages_come_in_pieces(self):
        source = self.source = Source(reply_bytes=1000)
        source.record(*(f"a{n}" for n in range(10, 0, -1)), size=300)
        reader = open_reader(source, "origin", "")
        entries, more = reader.read()
        self.assertEqual((len(entries), more), (2, True))
        self.assertEqual(read(reader), [f"a{n}" for n in range(3, 11)])

    def test_a_reply_in_the_order_received_is_as_long_as_it_may_be_and_no_longer(self):
        size = len("a1") + 300 + 160 + 128
        for most, expected in ((3 * size, 3), (3 * size - 1, 2), (1, 1)):
            source = self.source = Source(reply_bytes=most)
            source.record("a1", "a2", "a3", "a4", size=300)
            records, more = ReceivedReader(source, -1).read()
            self.assertEqual((len(records), more), (expected, True))

    def test_a_reply_in_the_order_of_origins_goes_beyond_its_size_by_one_message_at_most(self):
        size = len("a1") + 300 + 160 + 128
        for most, expected in ((2 * size, 3), (2 * size - 1, 2), (1, 1)):
            source = self.source = Source(reply_bytes=most)
            source.record("a1", "a2", "a3", "a4", size=300)
            entries, more = open_reader(source, "origin", "").read()
            self.assertEqual((len(entries), more), (expected, True))

    def test_every_hop_of_a_route_counts_as_160_bytes_of_a_reply(self):
        size = len("a1") + 5 * 160 + 128
        for most, expected in ((2 * size, 2), (2 * size - 1, 1)):
            source = self.source = Source(reply_bytes=most)
            for name in ("a1", "a2"):
                single = message(name)
                record = Record(single.id, single.created, single.body, single.route * 5)
                source.log.append(record, source.now)
            self.assertEqual(len(ReceivedReader(source, -1).read()[0]), expected)

    def test_a_reply_with_as_many_messages_as_were_asked_for_is_the_last(self):
        source = self.source
        source.record("a1", "a2", "a3")
        answers = [ReceivedReader(source, -1).read(limit) for limit in (2, 3, 4)]
        self.assertEqual(
            [(len(found), more) for found, more in answers], [(2, False), (3, False), (3, False)]
        )

    def test_what_is_held_back_is_limited(self):
        source = self.source = Source(order_held=2)
        reader = open_reader(source, "origin", "")
        source.record("a2", "b2", "c2")
        self.assertEqual(read(reader), ["gap a1-1 Node a", "a2"])

    def test_received_order_is_refused_when_something_was_dropped_unread(self):
        source = self.source = Source(MemoryLog(max_messages=2))
        source.record("a1")
        reader = ReceivedReader(source, source.log.position(""))
        source.record("a2", "a3")
        error = self.assertRaises(LocalProtocolError, reader.read)
        self.assertIn("1 messages were dropped", str(error))


class FloodTests(SynchronousTestCase):
    """One origin sends far more than there is room for; the log has holes from then on."""

    def logs(self, max_bytes: int = 100_000) -> list[MemoryLog | SqliteLog]:
        on_disk = SqliteLog(Path(self.mktemp()), max_bytes=max_bytes, wall=lambda: 1000.0)
        self.addCleanup(on_disk.close)
        return [MemoryLog(max_bytes=max_bytes), on_disk]

    def sources(self) -> Iterator[Source]:
        """Logs in which b and c have said a little, then a far too much, then b something."""
        for log in self.logs():
            source = Source(log)
            self.record(source, "b1", "c1", "b2")
            for number in range(1, 301):
                self.record(source, f"a{number}", size=1000)
            self.record(source, "b3")
            self.assertLess(len(log), 110)
            yield source

    def record(self, source: Source, *names: str, size: int = 0) -> None:
        source.record(*names, size=size)
        source.log.commit()

    def test_what_came_from_those_who_sent_little_stays_and_so_does_the_end_of_a_flood(self):
        for source in self.sources():
            lines = read(open_reader(source, "received", ""))
            self.assertEqual(lines[:3], ["b1", "c1", "b2"])
            self.assertEqual(lines[-2:], ["a300", "b3"])
            kept = [int(line[1:]) for line in lines if line[0] == "a"]
            self.assertEqual(kept, list(range(kept[0], 301)))
            self.assertGreater(len(kept), 50)
            self.assertEqual(len(lines), len(source.log))

    def test_per_origin_order_has_one_gap_where_the_flood_begins(self):
        for source in self.sources():
            lines = read(open_reader(source, "origin", ""))
            self.assertEqual(lines[:3], ["b1", "c1", "b2"])
            (gap,) = (line for line in lines if "dropped" in line or "gap" in line)
            self.assertTrue(gap.startswith("dropped a1-"), gap)
            self.assertEqual(lines[-1], "b3")

    def test_per_origin_order_goes_on_after_a_message_in_front_of_a_hole(self):
        for source in self.sources():
            lines = read(open_reader(source, "origin", str(message("b2").id)))
            self.assertEqual((lines[0][:9], lines[-1]), ("dropped a", "b3"))

    def test_pages_are_full_and_the_newest_are_as_many_as_asked_for(self):
        for source in self.sources():
            log = source.log
            self.assertEqual(len(log.beyond(log.first - 1, 50)), 50)
            for count in (1, 3, 50, len(log) - 1, len(log), len(log) + 1):
                self.assertEqual(len(log.newest(count)), min(count, len(log)))
            self.assertEqual(log.newest(len(log))[0].position, log.first)

    def test_a_follower_that_missed_something_in_the_middle_is_told_how_much(self):
        for log in self.logs():
            source = Source(log)
            self.record(source, "b1")
            reader = open_reader(source, "received", None)
            for number in range(1, 301):
                self.record(source, f"a{number}", size=1000)
            error = self.assertRaises(LocalProtocolError, read, reader)
            missed = 301 - len(log)
            self.assertIn(f"{missed} messages were dropped", str(error))
            self.assertEqual(log.first, 0)

    def test_a_follower_that_keeps_up_misses_nothing(self):
        for log in self.logs():
            source = Source(log)
            self.record(source, "b1")
            readers = [open_reader(source, order, None) for order in ("received", "origin")]
            for number in range(1, 301):
                self.record(source, f"a{number}", size=1000)
                for reader in readers:
                    self.assertEqual(read(reader), [f"a{number}"])

    def test_a_place_that_is_dropped_out_of_the_middle_is_refused_not_waited_for(self):
        for log in self.logs(300_000):
            source = Source(log)
            self.record(source, *(f"b{n}" for n in range(1, 301)))
            self.record(source, "a1", size=1000)
            reader = open_reader(source, "origin", str(message("a1").id))
            self.assertEqual(reader.read(), ([], True))
            for number in range(2, 301):
                self.record(source, f"a{number}", size=1000)
            error = self.assertRaises(LocalProtocolError, read, reader)
            self.assertIn("were dropped from the log", str(error))
            self.assertIsNotNone(log.find(message("b1").id))


class RecentRoutesTests(SynchronousTestCase):
    def test_recent_routes_are_those_recorded_lately_and_no_more_than_asked_for(self):
        source = Source()
        source.record(*(f"a{n}" for n in range(1, 301)))
        source.now += 10
        source.record(*(f"b{n}" for n in range(1, 601)))
        found = recent_messages(source.log, source.now - 5)
        self.assertEqual(
            sorted(found, key=lambda each: each.id),
            [
                Recent(r.id, r.route, digest_of([r.body]))
                for n in range(1, 601)
                for r in [message(f"b{n}")]
            ],
        )
        self.assertEqual(len(recent_messages(source.log, 0.0)), 900)
        self.assertEqual(recent_messages(source.log, source.now + 1), [])
        self.assertEqual(recent_messages(MemoryLog(), 0.0), [])

    def test_recent_routes_end_at_the_page_with_an_older_one_even_if_the_clock_was_set_back(self):
        source = Source()
        source.now += 10
        source.record(*(f"a{n}" for n in range(1, 257)))
        source.now -= 10
        source.record("b1")
        source.now += 10
        source.record(*(f"c{n}" for n in range(1, 256)))
        self.assertEqual(len(recent_messages(source.log, source.now - 5)), 255)

    def test_recent_routes_are_bounded(self):
        source = Source()
        source.record(*(f"a{n}" for n in range(1, RECENT_MESSAGES + 600)))
        self.assertLess(len(recent_messages(source.log, 0.0)), RECENT_MESSAGES + 256)


class ResumeTests(SynchronousTestCase):
    """Any message of the ordered stream is a place to go on from: no gap, no repeat."""

    def history(self, rng: random.Random, source: Source) -> list[str]:
        """Record a history while a reader follows it; return what it read to the end."""
        left = {origin: list(range(1, 400)) for origin in "abc"}
        reader = open_reader(source, "origin", "")
        lines: list[str] = []
        for _ in range(300):
            numbers = left[rng.choice("abc")]
            origin = next(o for o, n in left.items() if n is numbers)
            source.record(f"{origin}{numbers.pop(rng.choice((0, 0, 0, 0, 1, 4)))}")
            source.now += rng.random()
            if rng.random() < 0.5:
                lines += read(reader)
        source.now += WAIT_S
        return lines + read(reader)

    def check(self, source: Source) -> None:
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        lines = self.history(rng, source)
        self.assertEqual(read(open_reader(source, "origin", "")), lines, f"seed {seed}")
        for index in rng.sample(range(len(lines)), 60):
            if not lines[index].startswith("gap"):
                since = str(message(name_of(lines[index])).id)
                again = read(open_reader(source, "origin", since))
                self.assertEqual(again, lines[index + 1 :], f"seed {seed}: {lines[index]}")

    def test_a_reader_of_a_log_in_memory_resumes_anywhere(self):
        self.check(Source())

    def test_a_reader_of_a_log_on_disk_resumes_anywhere(self):
        log = SqliteLog(Path(self.mktemp()))
        self.addCleanup(log.close)
        self.check(Source(log))

    def test_the_history_is_whole_whatever_is_missing(self):
        source = Source()
        lines = self.history(random.Random(7), source)
        delivered = [name_of(line) for line in lines if not line.startswith("gap")]
        recorded = [stored.record.body.decode() for stored in source.log.newest(1000)]
        self.assertEqual(sorted(delivered), sorted(recorded))
        self.assertTrue(any(line.startswith("late") for line in lines))


class RingCase(ServiceCase):
    """One node alone whose log is given what comes from others."""

    def setUp(self):
        super().setUp()
        self.log = MemoryLog()
        (self.node,) = self.ring(1, log=self.log)
        self.lines: list[str] = []

    def take(self, entry: OrderedEntry | MessageRecord) -> None:
        self.lines.append(told(entry))

    def record(self, *names: str) -> None:
        """Let the node record messages, as if they had come from others."""
        node = self.node.node
        with node.turn:
            for name in names:
                node.history.record(message(name))
        self.network.run(0.05)


class SubscribeTests(RingCase):
    def test_in_per_origin_order_from_now_on(self):
        self.record("a1")
        subscription = self.node.subscribe(self.take, order="origin")
        self.network.run(0.01)
        self.record("a3", "b1")
        self.assertEqual(self.lines, ["b1"])
        self.network.run(WAIT_S)
        self.assertEqual(self.lines, ["b1", "gap a2-2 Node a", "a3"])
        self.record("a2")
        self.assertEqual(self.lines[3:], ["late a2"])
        subscription.stop()
        subscription.stop()
        self.record("a4")
        self.assertEqual(len(self.lines), 4)

    def test_in_the_order_received_after_a_message(self):
        self.record("a1", "a2", "b1")
        self.node.subscribe(self.take, since=str(message("a1").id))
        self.record("b2")
        self.assertEqual(self.lines, ["a2", "b1", "b2"])

    def test_a_long_history_is_handed_over_in_turns(self):
        self.record(*(f"a{n}" for n in range(1, 1001)))
        meanwhile: list[int] = []

        def take(entry: OrderedEntry) -> None:
            self.take(entry)
            self.clock.callLater(0, lambda: meanwhile.append(len(self.lines)))

        self.node.subscribe(take, since="", order="origin")
        self.network.run(0.1)
        self.assertEqual(self.lines, [f"a{n}" for n in range(1, 1001)])
        self.assertEqual(sorted(set(meanwhile)), [256, 512, 768, 1000])

    def test_a_callback_that_raises_is_counted_and_one_may_stop_itself(self):
        self.node.subscribe(lambda _entry: 1 / 0, since="")

        def once(entry: MessageRecord) -> None:
            self.take(entry)
            subscription.stop()

        subscription = self.node.subscribe(once, since="")
        self.record("a1", "a2")
        self.assertEqual(self.lines, ["a1"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(self.node.journal.counters.number(NetMetric.CALLBACK_ERRORS), 2)

    def test_a_subscription_to_a_stopped_node_or_after_an_unknown_message_is_refused(self):
        with self.assertRaises(LocalProtocolError):
            self.node.subscribe(self.take, since="nonsense")
        self.result(self.node.stopService(), 2)
        with self.assertRaises(NotInRing):
            self.node.subscribe(self.take, order="origin")

    def test_what_was_dropped_unread_ends_the_subscription_with_a_line(self):
        self.log = MemoryLog(max_messages=5)
        service = self.service(2, log=self.log)
        self.network.run(2)
        self.node = service
        self.record("a1")
        service.subscribe(self.take, since="")
        node = service.node
        with node.turn:
            for n in range(2, 20):
                node.history.record(message(f"a{n}"))
        self.network.run(0.1)
        self.assertEqual(self.lines, [])
        self.assertEqual(service._life.deliveries, set())

    def test_a_stop_of_the_node_ends_the_waiting(self):
        self.node.subscribe(self.take, order="origin")
        self.record("a2")
        self.result(self.node.stopService(), 2)
        self.network.run(WAIT_S)
        self.assertEqual(self.lines, [])


class ClientOrderTests(RingCase):
    def ordered(self, limit: int = 0, since: str = "") -> list[str]:
        since = str(message(since).id) if since else ""
        return [told(e) for e in self.result(self.client(1).get_ordered(limit, since))]

    def test_following_in_per_origin_order_and_going_on_from_there(self):
        self.record("a1", "a3")
        following = self.client(1).follow(self.take, order="origin")
        self.network.run(0.1)
        self.assertEqual(self.lines, ["a1"])
        self.record("b1")
        self.network.run(WAIT_S)
        self.assertEqual(self.lines, ["a1", "b1", "gap a2-2 Node a", "a3"])
        following.stop()
        self.record("a2", "b2")
        after = str(message("b1").id)
        self.client(1).follow(self.take, since=after, order="origin")
        self.network.run(0.1)
        self.assertEqual(self.lines[4:], ["gap a2-2 Node a", "a3", "late a2", "b2"])

    def test_what_was_held_back_comes_although_nothing_else_happens(self):
        self.client(1).follow(self.take, order="origin")
        self.network.run(0.1)
        self.record("a2")
        self.network.run(WAIT_S - 0.2)
        self.assertEqual(self.lines, [])
        self.network.run(0.2)
        self.assertEqual(self.lines, ["gap a1-1 Node a", "a2"])

    def test_asking_for_what_there_is_tells_messages_and_gaps(self):
        self.assertEqual(self.ordered(), [])
        self.record("a2", "a1", "b1", "a4")
        self.assertEqual(self.ordered(), ["a1", "a2", "b1"])
        self.network.run(WAIT_S)
        self.assertEqual(self.ordered(), ["a1", "a2", "b1", "gap a3-3 Node a", "a4"])
        self.assertEqual(self.ordered(limit=1), ["gap a3-3 Node a", "a4"])
        self.assertEqual(self.ordered(limit=2, since="a1"), ["a2", "b1"])
        self.assertEqual(self.ordered(since="a4"), [])
        self.assertFalse(any(session.followings for session in self.node._life.desk._sessions))

    def test_a_long_history_is_listed_in_order(self):
        self.record(*(f"a{n}" for n in range(2000, 0, -1)))
        self.assertEqual(self.ordered(since="a1990"), [f"a{n}" for n in range(1991, 2001)])

    def test_a_slow_follower_gets_everything_in_order(self):
        client = self.client(1)
        client.follow(self.take, order="origin")
        self.network.run(0.1)
        self.network.frozen.add("10.9.9.9:1")
        node = self.node.node
        for n in range(200):
            with node.turn:
                node.history.record(message(f"a{2 * n + 2}", 4000))
                node.history.record(message(f"a{2 * n + 1}", 4000))
            self.network.run(0.002)
        ((_near, far),) = self.network.connections
        self.assertLess(far.buffered, 400_000)
        self.network.thaw("10.9.9.9:1")
        self.network.run(1)
        self.assertEqual(self.lines, [f"a{n}" for n in range(1, 401)])

    def test_errors_and_a_node_that_does_not_answer_are_told(self):
        client = self.client(1)
        self.failure(client.get_ordered(since="nonsense"), LocalProtocolError)
        following = client.follow(self.take, order="sideways")
        self.failure(following.finished, LocalProtocolError)
        self.network.frozen.add(self.address(1))
        self.failure(client.get_ordered(), TimedOut, 16)

    def test_a_node_of_an_older_version_answers_in_the_order_received(self):
        client = self.client(1)
        following = client.follow(self.take, order="origin")
        asked = client.get_ordered()
        for rid in (1, 2):
            client._channel.on_reply(Messages(rid, [], False))
        for waiting in (following.finished, asked):
            self.assertIn("too old", self.failure(waiting, RemoteProtocolError))

    def test_a_listing_that_was_cancelled_ends_once(self):
        asked = self.client(1).get_ordered()
        ended = []
        asked.addErrback(ended.append)
        asked.cancel()
        self.network.run(0.1)
        self.assertEqual(len(ended), 1)
