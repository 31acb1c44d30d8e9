"""Tombstones: which records a member drops, what is left of them, and who says that they can go."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration
from chordnet.core.store.base.effects import Effect, HeadKept, Keep, RecordDropped, Say
from chordnet.core.store.base.messages import Tombstone, Why
from chordnet.core.store.base.outcomes import Done, Found, Unconfirmed, Untold
from chordnet.core.store.base.records import EMPTY, GROUND, Applied, Content, Floor, Record
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.slot.collecting import Collection, Gathering
from tests.unit.store_support import (
    FIRST,
    KEY,
    SECOND,
    WHERE,
    A,
    B,
    C,
    D,
    Disk,
    Led,
    ballot,
    content,
    record,
    to,
)

GONE = content(2, None)
"""A tombstone of version 2."""


def buried(counter: int, *, promised: int | None = None, **safeguards: bool) -> Disk:
    """Return a disk on which the key is deleted, by the ballot with this counter."""
    disk = Disk(safeguards=StoreSafeguards(**safeguards))
    disk.take(msg.Accept(to(), 1, KEY, ballot(counter), GONE))
    if promised is not None:
        disk.prepare(promised)
    return disk


def collect(disk: Disk, *tombstones: Tombstone) -> tuple[Tombstone, ...]:
    (answer,) = disk.take(msg.Collect(to(disk.registers.me), 7, tombstones))
    assert isinstance(answer, msg.Collectable), answer
    return answer.tombstones


def drop(disk: Disk, *tombstones: Tombstone) -> None:
    assert disk.take(msg.Drop(to(disk.registers.me), 7, tombstones)) == []


class MemberTests(SynchronousTestCase):
    def test_a_member_confirms_a_tombstone_that_it_has_by_the_same_ballot(self) -> None:
        disk = buried(3)
        self.assertEqual(collect(disk, (KEY, ballot(3))), ((KEY, ballot(3)),))
        for other in (2, 4):
            self.assertEqual(collect(disk, (KEY, ballot(other))), ())

    def test_a_member_that_has_a_value_or_nothing_confirms_no_tombstone(self) -> None:
        disk = Disk()
        self.assertEqual(collect(disk, (KEY, ballot(3))), ())
        disk.accept(1, 1)
        self.assertEqual(collect(disk, (KEY, ballot(3))), ())

    def test_a_member_that_has_nothing_and_takes_nothing_below_confirms_a_tombstone(self) -> None:
        promised = Disk()
        promised.prepare(4)
        for disk in (Disk(floor=Floor(ballot(3), 0)), promised):
            self.assertEqual(collect(disk, (KEY, ballot(3))), ((KEY, ballot(3)),))
            self.assertEqual(collect(disk, (KEY, ballot(4))), ())

    def test_a_record_is_dropped_and_the_floor_raised_in_one_write(self) -> None:
        disk = buried(3, promised=5)
        disk.arrives(msg.Drop(to(), 7, ((KEY, ballot(3)),)), "B")
        floor = Floor(ballot(5), 2)
        head = replace(disk.head, floor=floor)
        self.assertEqual(disk.effects, [Keep((HeadKept(head), RecordDropped(WHERE[1], KEY)))])
        self.assertEqual(disk.said(), [])
        self.assertEqual((disk.records, disk.head.floor), ({}, floor))

    def test_a_floor_is_raised_in_both_parts_and_never_lowered(self) -> None:
        disk = Disk(floor=Floor(ballot(9), 1))
        disk.registers.records[b"a"] = Record(ballot(2), ballot(2), content(6, None))
        disk.registers.records[b"b"] = Record(ballot(4), ballot(4), content(3, None))
        disk.registers.drop([(b"a", ballot(2)), (b"b", ballot(4))])
        self.assertEqual(disk.registers.head.floor, Floor(ballot(9), 6))

    def test_a_record_with_a_value_or_another_ballot_is_not_dropped(self) -> None:
        disk = Disk()
        disk.accept(3, 1)
        drop(disk, (KEY, ballot(3)), (b"none", ballot(3)))
        self.assertEqual(set(disk.records), {KEY})
        disk = buried(3)
        drop(disk, (KEY, ballot(2)), (KEY, ballot(4)))
        self.assertEqual((set(disk.records), disk.head.floor), ({KEY}, GROUND))

    def test_an_order_that_names_a_key_twice_or_comes_twice_drops_it_once(self) -> None:
        disk = buried(3)
        tombstone = (KEY, ballot(3))
        drop(disk, tombstone, tombstone)
        changes = disk.registers.changes
        drop(disk, tombstone)
        self.assertEqual((disk.registers.changes, disk.records), (changes, {}))

    def test_what_was_only_promised_is_dropped_without_the_consent_of_others(self) -> None:
        disk = Disk()
        disk.prepare(4)
        disk.registers.drop([(KEY, NONE)])
        disk.said()
        self.assertEqual((disk.records, disk.head.floor), ({}, Floor(ballot(4), 0)))
        disk = buried(3)
        disk.registers.drop([(KEY, NONE)])
        self.assertEqual(set(disk.records), {KEY})

    def test_nothing_up_to_the_floor_is_promised_or_taken_for_a_key_without_a_record(self) -> None:
        disk = buried(3)
        drop(disk, (KEY, ballot(3)))
        for counter in (1, 2, 3):
            outrun = msg.Outrun(to(), 1, ballot(counter), ballot(3))
            self.assertEqual(disk.prepare(counter), outrun)
            self.assertEqual(disk.accept(counter, 1), outrun)
        self.assertEqual(disk.records, {})
        self.assertIsInstance(disk.accept(4, 3), msg.Accepted)

    def test_a_member_in_another_epoch_or_sealed_neither_confirms_nor_drops(self) -> None:
        disk = buried(3)
        for message in (msg.Collect(to(epoch=2), 7, ()), msg.Drop(to(epoch=2), 7, ())):
            self.assertEqual(disk.why(message), Why.NOT_INSTALLED)
        disk.vote(1, A, B, D)
        tombstone = (KEY, ballot(3))
        for message in (msg.Collect(to(), 7, (tombstone,)), msg.Drop(to(), 7, (tombstone,))):
            self.assertEqual(disk.why(message), Why.SEALED)
        self.assertEqual(set(disk.records), {KEY})

    def test_a_floor_stays_when_a_later_epoch_is_installed(self) -> None:
        disk = buried(3)
        drop(disk, (KEY, ballot(3)))
        disk.registers.install(SECOND, [], Floor(ballot(1), 9))
        self.assertEqual(disk.registers.head.floor, Floor(ballot(3), 9))

    def test_without_that_safeguard_the_floor_is_not_raised(self) -> None:
        disk = buried(3, floor=False)
        drop(disk, (KEY, ballot(3)))
        self.assertEqual((disk.records, disk.head.floor), ({}, GROUND))

    def test_records_without_a_value_are_known_with_the_change_that_made_them_so(self) -> None:
        disk = buried(3)
        self.assertEqual(disk.registers.stock.dead, {KEY: 1})
        disk.prepare(5)
        self.assertEqual(disk.registers.stock.dead, {KEY: 2})
        disk.registers.stock.postpone(KEY, 8)
        disk.registers.stock.postpone(b"none", 8)
        self.assertEqual(disk.registers.stock.dead, {KEY: 8})
        disk.accept(6, 3)
        self.assertEqual(disk.registers.stock.dead, {})

    def test_values_that_expire_are_known_with_their_time(self) -> None:
        disk = Disk()
        expiring = Content(b"v", 1, 50.0, (Applied(1, b"r"),))
        disk.take(msg.Accept(to(), 1, KEY, ballot(1), expiring))
        self.assertEqual(disk.registers.stock.expiring, {KEY: 50.0})
        disk.accept(2, 2)
        self.assertEqual(disk.registers.stock.expiring, {})


class Gatherer:
    """A collection, by itself."""

    def __init__(self, *keys: bytes, where: Configuration = FIRST, **safeguards: bool) -> None:
        self.effects: list[Effect] = []
        self.tombstones = tuple((key, ballot(3)) for key in keys)
        self.collection = Collection(
            7, WHERE, self.effects, Gathering(where, self.tombstones), StoreSafeguards(**safeguards)
        )
        self.collection.begin()

    def asks(self) -> list[tuple[str, msg.StoreMessage]]:
        found = [(each.to, each.message) for each in self.effects if isinstance(each, Say)]
        self.effects.clear()
        return found

    def answers(self, member: object, *keys: bytes, counter: int = 3, epoch: int = 1) -> None:
        has = tuple((key, ballot(counter)) for key in keys)
        answer = msg.Collectable(to(member, epoch), 7, has)  # type: ignore[arg-type]
        self.collection.on_collectable(member.node, answer)  # type: ignore[attr-defined]


class LeaderTests(SynchronousTestCase):
    def test_all_members_are_asked(self) -> None:
        gatherer = Gatherer(b"a", b"b")
        asked = [(m.node, msg.Collect(to(m), 7, gatherer.tombstones)) for m in (A, B, C)]
        self.assertEqual(gatherer.asks(), asked)

    def test_all_members_are_told_to_drop_what_every_one_of_them_has(self) -> None:
        gatherer = Gatherer(b"a", b"b", b"c")
        gatherer.asks()
        gatherer.answers(A, b"a", b"b", b"c")
        gatherer.answers(B, b"b", b"c", b"other")
        self.assertEqual((gatherer.asks(), gatherer.collection.gathering.over), ([], False))
        gatherer.answers(C, b"a", b"b")
        self.assertTrue(gatherer.collection.gathering.over)
        left = ((b"b", ballot(3)),)
        self.assertEqual(gatherer.asks(), [(m.node, msg.Drop(to(m), 7, left)) for m in (A, B, C)])

    def test_an_answer_about_another_ballot_or_from_somewhere_else_does_not_count(self) -> None:
        gatherer = Gatherer(b"a")
        gatherer.asks()
        gatherer.answers(D, b"a")
        gatherer.answers(replace(B, store=9), b"a")
        gatherer.answers(B, b"a", epoch=2)
        self.assertEqual(gatherer.collection.gathering.answered, ())
        gatherer.answers(B, b"a", counter=4)
        self.assertEqual((gatherer.asks(), gatherer.collection.gathering.over), ([], True))

    def test_a_member_counts_once_however_often_it_answers(self) -> None:
        gatherer = Gatherer(b"a")
        gatherer.asks()
        for _ in range(3):
            gatherer.answers(A, b"a")
        self.assertEqual((gatherer.asks(), gatherer.collection.gathering.answered), ([], (A,)))

    def test_a_refusal_ends_a_collection_and_what_comes_later_is_not_heard(self) -> None:
        gatherer = Gatherer(b"a")
        gatherer.asks()
        refused = msg.Refused(to(B, epoch=2), 7, Why.MOVED, WHERE[0], B.store, SECOND, True)
        gatherer.collection.on_refused("B", refused)
        self.assertFalse(gatherer.collection.gathering.over)
        gatherer.collection.on_refused("B", replace(refused, address=to(B)))
        self.assertTrue(gatherer.collection.gathering.over)
        for member in (A, B, C):
            gatherer.answers(member, b"a")
        self.assertEqual(gatherer.asks(), [])

    def test_without_that_safeguard_a_majority_is_enough(self) -> None:
        gatherer = Gatherer(b"a", every_member=False)
        gatherer.asks()
        gatherer.answers(A, b"a")
        gatherer.answers(C, b"a")
        self.assertEqual(len(gatherer.asks()), 3)


class CoordinatorTests(SynchronousTestCase):
    """What was dropped, for who writes and reads."""

    def test_a_key_without_a_version_begins_above_the_highest_floor(self) -> None:
        led = Led(Put(KEY, b"v", b"r"))
        led.promised(A, floor=4)
        led.promised(B, floor=9)
        led.accepted(A, B)
        self.assertEqual(getattr(led.outcome, "version", None), 10)

    def test_a_key_with_a_version_goes_on_from_there_whatever_the_floor(self) -> None:
        led = Led(Put(KEY, b"v", b"r"))
        led.promised(A, 1, 2, floor=9)
        led.promised(B, 1, 2, floor=9)
        led.accepted(A, B)
        self.assertEqual(getattr(led.outcome, "version", None), 3)

    def test_a_write_that_may_be_below_the_floor_cannot_be_told_and_is_not_done(self) -> None:
        led = Led(Put(KEY, b"v", b"r", since=3))
        led.promised(A, floor=4)
        led.promised(B)
        content_asked = led.operation.attempt.content
        self.assertEqual(content_asked, EMPTY)
        led.accepted(A, B)
        self.assertEqual(led.outcome, Untold())

    def test_a_write_that_can_only_be_above_the_floor_is_done(self) -> None:
        led = Led(Put(KEY, b"v", b"r", since=4))
        led.promised(A, floor=4)
        led.promised(B)
        led.accepted(A, B)
        self.assertIsInstance(led.outcome, Done)

    def test_a_write_may_have_been_done_from_the_floor_on(self) -> None:
        led = Led(Put(KEY, b"v", b"r"))
        led.promised(A, floor=4)
        led.promised(B)
        led.operation.expire()
        self.assertEqual(led.outcome, Unconfirmed(4))

    def test_a_list_that_began_after_a_record_was_dropped_does_not_reach_back_further(self) -> None:
        begun = EMPTY.written(b"v", b"new", floor=4)
        self.assertEqual([begun.reaches_back(since) for since in (3, 4, 5)], [False, True, True])
        reached = [EMPTY.reaches_back(since, floor=4) for since in (3, 4)]
        self.assertEqual(reached, [False, True])
        self.assertTrue(EMPTY.reaches_back(0))

    def test_a_read_anew_has_accepted_again_what_a_majority_agrees_on(self) -> None:
        led = Led(Get(KEY, anew=True))
        led.promised(A, 1, 1)
        led.promised(B, 1, 1)
        self.assertIsNone(led.outcome)
        self.assertEqual(led.operation.attempt.content, content(1))
        led.accepted(A, B)
        self.assertEqual(led.outcome, Found(content(1)))

    def test_a_floor_is_raised_to_the_higher_of_each_part(self) -> None:
        low, high = Floor(ballot(1), 7), Floor(ballot(2), 3)
        self.assertEqual(low.raised(high), Floor(ballot(2), 7))
        self.assertEqual(high.raised(low), Floor(ballot(2), 7))


class InstalledTests(SynchronousTestCase):
    def test_the_floor_of_a_new_epoch_is_at_or_above_those_of_all_that_gave_their_state(self):
        disk = Disk(D, None)
        told = msg.Chosen(to(D, epoch=2), 9, FIRST, SECOND)
        disk.take(told, "A")
        for member, floor in ((A, Floor(ballot(5), 1)), (C, Floor(ballot(2), 8))):
            disk.take(msg.Snapshot(to(member), 9, None, (), floor, False), member.node)
        self.assertEqual(disk.head.floor, Floor(ballot(5), 8))

    def test_a_tombstone_that_was_installed_is_confirmed_by_its_old_ballot(self) -> None:
        disk = Disk(configuration=SECOND)
        disk.registers.records[KEY] = replace(record(3, 2), content=GONE)
        asked = msg.Collect(to(epoch=2), 7, ((KEY, ballot(3)),))
        (answer,) = (disk.arrives(asked, "B"), [e.message for e in disk.effects])[1]  # type: ignore[union-attr]
        self.assertEqual(answer.tombstones, ((KEY, Ballot(1, 3, "A", 1)),))
