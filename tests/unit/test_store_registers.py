"""One member of a slot: what it takes, what it refuses, and what is on disk before it answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Member, Vote
from chordnet.core.store.base.messages import Why
from chordnet.core.store.base.records import EMPTY, Applied, Content, Floor, Record
from chordnet.core.store.base.safeguards import StoreSafeguards
from tests.unit.store_node_support import encode
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
    ballot,
    content,
    record,
    to,
)


class KeyTests(SynchronousTestCase):
    def test_a_promise_is_kept_and_tells_what_was_accepted(self) -> None:
        disk = Disk()
        disk.accept(1, 1)
        answer = disk.prepare(2)
        self.assertEqual(answer, msg.Promised(to(), 1, ballot(2), ballot(1), content(1), 0))
        self.assertEqual(disk.records[KEY].promised, ballot(2))

    def test_a_promise_is_not_given_below_a_higher_one(self) -> None:
        disk = Disk()
        disk.prepare(5)
        self.assertEqual(disk.prepare(4), msg.Outrun(to(), 1, ballot(4), ballot(5)))

    def test_the_same_question_for_a_promise_is_answered_again_without_writing(self) -> None:
        disk = Disk()
        first = disk.prepare(5)
        disk.registers.on_prepare("X", msg.Prepare(to(), 1, KEY, ballot(5)))
        self.assertEqual(len(disk.effects), 1)
        self.assertEqual(disk.said(), [first])

    def test_a_content_is_not_accepted_below_a_promise(self) -> None:
        disk = Disk()
        disk.prepare(5)
        self.assertEqual(disk.accept(4, 1), msg.Outrun(to(), 1, ballot(4), ballot(5)))
        self.assertEqual(disk.records[KEY].content, EMPTY)

    def test_a_content_is_accepted_at_the_promise_and_above_it(self) -> None:
        for counter in (5, 6):
            disk = Disk()
            disk.prepare(5)
            self.assertEqual(disk.accept(counter, 1), msg.Accepted(to(), 1, ballot(counter)))
            self.assertEqual(disk.records[KEY], record(counter, 1))

    def test_an_accept_that_comes_twice_is_answered_twice_and_written_once(self) -> None:
        disk = Disk()
        disk.accept(5, 1)
        disk.registers.on_accept("X", msg.Accept(to(), 1, KEY, ballot(5), content(1)))
        self.assertEqual(len(disk.effects), 1)

    def test_a_read_tells_what_was_accepted_and_promises_nothing(self) -> None:
        disk = Disk()
        disk.accept(5, 1)
        disk.prepare(9)
        told = disk.take(msg.Read(to(), 1, KEY))
        self.assertEqual(told, [msg.Told(to(), 1, ballot(5), content(1))])

    def test_a_key_without_a_record_is_read_as_no_ballot_at_all(self) -> None:
        told = Disk().take(msg.Read(to(), 1, KEY))
        self.assertEqual(told, [msg.Told(to(), 1, NONE, EMPTY)])

    def test_a_key_without_a_record_counts_as_promised_at_the_floor(self) -> None:
        disk = Disk(floor=Floor(ballot(3), 8))
        self.assertEqual(disk.prepare(2), msg.Outrun(to(), 1, ballot(2), ballot(3)))
        self.assertEqual(disk.accept(2, 1), msg.Outrun(to(), 1, ballot(2), ballot(3)))
        answer = disk.prepare(4)
        assert isinstance(answer, msg.Promised)
        self.assertEqual(answer.floor, 8)

    def test_a_ballot_of_another_epoch_is_refused(self) -> None:
        old = ballot(9, epoch=0)
        self.assertEqual(Disk().why(msg.Prepare(to(), 1, KEY, old)), Why.BALLOT)
        self.assertEqual(Disk().why(msg.Accept(to(), 1, KEY, old, content(1))), Why.BALLOT)

    def test_a_ballot_of_another_epoch_is_refused_for_the_next_configuration_as_well(self) -> None:
        for epoch in (0, 2, 1 << 60):
            disk, other = Disk(), ballot(9, epoch=epoch)
            self.assertEqual(disk.why(msg.PrepareChange(to(), 1, other)), Why.BALLOT)
            self.assertEqual(disk.why(msg.AcceptChange(to(), 1, other, (A, B, D))), Why.BALLOT)
            self.assertEqual((disk.head.promised, disk.head.sealed), (NONE, False))
            self.assertEqual(disk.vote(1, A, B, D), msg.ChangeAccepted(to(), 1, ballot(1)))

    def test_a_promise_is_not_written_when_that_safeguard_is_off(self) -> None:
        disk = Disk(safeguards=StoreSafeguards(promise_on_disk=False))
        disk.registers.on_prepare("X", msg.Prepare(to(), 1, KEY, ballot(5)))
        self.assertEqual([type(each).__name__ for each in disk.effects], ["Say"])


class AddressTests(SynchronousTestCase):
    """Every request names where it is meant to arrive."""

    def read(self, disk: Disk, **address: object) -> Why:
        return disk.why(msg.Read(to(**address), 1, KEY))  # type: ignore[arg-type]

    def test_a_request_for_another_formation_is_refused(self) -> None:
        self.assertEqual(self.read(Disk(), formation=b"other"), Why.FORMATION)

    def test_a_request_for_another_slot_is_refused(self) -> None:
        self.assertEqual(self.read(Disk(), slot=8), Why.SLOT)

    def test_a_request_for_another_generation_is_refused(self) -> None:
        self.assertEqual(self.read(Disk(), generation=2), Why.NOT_INSTALLED)
        self.assertEqual(self.read(Disk(), generation=0), Why.GENERATION)

    def test_a_request_for_a_disk_that_was_lost_is_refused(self) -> None:
        self.assertEqual(self.read(Disk(Member("A", 2))), Why.STORE)

    def test_a_request_for_a_lost_disk_is_taken_when_that_safeguard_is_off(self) -> None:
        disk = Disk(Member("A", 2), safeguards=StoreSafeguards(store_id=False))
        self.assertIsInstance(disk.prepare(1), msg.Promised)

    def test_a_request_for_an_earlier_epoch_is_answered_with_the_present_one(self) -> None:
        disk = Disk(configuration=SECOND)
        (answer,) = disk.take(msg.Read(to(), 1, KEY))
        self.assertEqual(answer, msg.Refused(to(), 1, Why.MOVED, WHERE[0], A.store, SECOND, False))

    def test_a_member_answers_nothing_in_an_epoch_that_it_has_not_installed(self) -> None:
        disk = Disk()
        there = to(epoch=2)
        for message in (
            msg.Prepare(there, 1, KEY, ballot(1, epoch=2)),
            msg.Accept(there, 1, KEY, ballot(1, epoch=2), content(1)),
            msg.Read(there, 1, KEY),
            msg.PrepareChange(there, 1, ballot(1, epoch=2)),
            msg.AcceptChange(there, 1, ballot(1, epoch=2), (A,)),
            msg.Fetch(there, 1, 3),
        ):
            self.assertEqual(disk.why(message), Why.NOT_INSTALLED)
        self.assertFalse(disk.registers.head.sealed)

    def test_an_empty_member_answers_nothing_at_all(self) -> None:
        self.assertEqual(self.read(Disk(D, None)), Why.NOT_INSTALLED)


class SealTests(SynchronousTestCase):
    def test_a_vote_seals_in_the_same_write(self) -> None:
        disk = Disk()
        disk.registers.on_accept_change("X", msg.AcceptChange(to(), 1, ballot(3), SECOND.members))
        keep, _answer = disk.effects
        self.assertEqual(len(keep.entries), 1)  # type: ignore[union-attr]
        disk.said()
        self.assertTrue(disk.head.sealed)
        self.assertEqual(disk.head.vote, Vote(ballot(3), SECOND.members))

    def test_a_sealed_member_answers_for_no_key(self) -> None:
        disk = Disk()
        disk.vote(3, A, B, D)
        for message in (
            msg.Prepare(to(), 1, KEY, ballot(9)),
            msg.Accept(to(), 1, KEY, ballot(9), content(1)),
            msg.Read(to(), 1, KEY),
        ):
            self.assertEqual(disk.why(message), Why.SEALED)

    def test_a_sealed_member_answers_for_keys_when_that_safeguard_is_off(self) -> None:
        disk = Disk(safeguards=StoreSafeguards(seal=False))
        disk.vote(3, A, B, D)
        self.assertIsInstance(disk.prepare(9), msg.Promised)

    def test_a_sealed_member_still_promises_and_votes_on_the_next_configuration(self) -> None:
        disk = Disk()
        disk.vote(3, A, B, D)
        (answer,) = disk.take(msg.PrepareChange(to(), 1, ballot(4)))
        vote = Vote(ballot(3), SECOND.members)
        self.assertEqual(answer, msg.ChangePromised(to(), 1, ballot(4), vote))
        self.assertEqual(disk.vote(5, A, B, C), msg.ChangeAccepted(to(), 1, ballot(5)))
        self.assertTrue(disk.head.sealed)

    def test_a_vote_below_a_promise_is_not_given_and_does_not_seal(self) -> None:
        disk = Disk()
        disk.take(msg.PrepareChange(to(), 1, ballot(4)))
        self.assertEqual(disk.vote(3, A, B, D), msg.Outrun(to(), 1, ballot(3), ballot(4)))
        self.assertFalse(disk.head.sealed)

    def test_a_promise_on_the_next_configuration_is_not_given_below_a_higher_one(self) -> None:
        disk = Disk()
        disk.take(msg.PrepareChange(to(), 1, ballot(4)))
        (answer,) = disk.take(msg.PrepareChange(to(), 1, ballot(3)))
        self.assertEqual(answer, msg.Outrun(to(), 1, ballot(3), ballot(4)))

    def test_the_same_question_about_the_next_configuration_is_answered_again_unwritten(self):
        disk = Disk()
        (first,) = disk.take(msg.PrepareChange(to(), 1, ballot(4)))
        self.assertEqual(first, msg.ChangePromised(to(), 1, ballot(4), None))
        disk.registers.on_prepare_change("X", msg.PrepareChange(to(), 1, ballot(4)))
        self.assertEqual(len(disk.effects), 1)
        self.assertEqual(disk.said(), [first])
        voted = disk.vote(4, A, B, D)
        self.assertEqual(voted, msg.ChangeAccepted(to(), 1, ballot(4)))
        message = msg.AcceptChange(to(), 1, ballot(4), (A, B, D))
        disk.registers.on_accept_change("X", message)
        self.assertEqual(len(disk.effects), 1)
        self.assertEqual(disk.said(), [voted])

    def test_a_ballot_above_a_promise_on_the_next_configuration_is_promised(self) -> None:
        disk = Disk()
        disk.take(msg.PrepareChange(to(), 1, ballot(4)))
        (answer,) = disk.take(msg.PrepareChange(to(), 1, ballot(5)))
        self.assertEqual(answer, msg.ChangePromised(to(), 1, ballot(5), None))
        self.assertEqual(disk.head.promised, ballot(5))

    def test_a_member_that_knows_the_next_configuration_says_where_the_slot_has_moved(self) -> None:
        disk = Disk()
        disk.registers.learn(SECOND)
        (*_, answer) = disk.take(msg.Read(to(), 1, KEY))
        assert isinstance(answer, msg.Refused)
        self.assertEqual((answer.why, answer.newest), (Why.MOVED, SECOND))


class StateTests(SynchronousTestCase):
    def test_a_member_that_is_not_sealed_gives_no_state_for_the_next_epoch(self) -> None:
        self.assertEqual(Disk().why(msg.Fetch(to(), 1, 2)), Why.NOT_SEALED)

    def test_a_sealed_member_gives_its_final_state(self) -> None:
        disk = Disk()
        disk.accept(1, 1)
        disk.vote(3, A, B, D)
        (answer,) = disk.take(msg.Fetch(to(), 1, 2))
        self.assertEqual(
            answer, msg.Snapshot(to(), 1, None, ((KEY, record(1, 1)),), Floor(NONE, 0), False)
        )

    def test_a_member_gives_what_it_has_of_an_epoch_that_it_has_installed(self) -> None:
        disk = Disk(configuration=SECOND)
        (answer,) = disk.take(msg.Fetch(to(epoch=2), 1, 2))
        self.assertIsInstance(answer, msg.Snapshot)

    def test_installing_replaces_all_that_was_there_in_one_write(self) -> None:
        disk = Disk()
        disk.accept(7, 2)
        disk.registers.install(SECOND, [(b"other", record(3, 1))], Floor(ballot(2), 4))
        self.assertEqual(len(disk.effects), 1)
        disk.said()
        self.assertEqual(disk.records, {b"other": record(3, 1)})
        self.assertEqual(disk.registers.records, {b"other": record(3, 1)})
        self.assertEqual(disk.head.configuration, SECOND)
        self.assertEqual(disk.head.floor, Floor(ballot(2), 4))

    def test_installing_ends_the_seal_and_the_vote_which_were_on_this_epoch(self) -> None:
        disk = Disk()
        disk.vote(3, A, B, D)
        disk.registers.install(SECOND, [], Floor(NONE, 0))
        head = disk.registers.head
        self.assertEqual((head.sealed, head.vote, head.promised), (False, None, NONE))

    def test_promises_of_the_old_epoch_are_not_carried_into_the_new_one(self) -> None:
        disk = Disk()
        promised = Record(ballot(9), ballot(3), content(1))
        disk.registers.install(SECOND, [(KEY, promised)], Floor(NONE, 0))
        self.assertEqual(disk.registers.records[KEY].promised, ballot(3))

    def test_an_earlier_epoch_is_never_installed(self) -> None:
        disk = Disk(configuration=SECOND)
        disk.registers.install(FIRST, [], Floor(NONE, 0))
        self.assertEqual(disk.registers.head.configuration, SECOND)

    def test_an_installed_member_remembers_a_later_configuration_that_it_knew_of(self) -> None:
        third = Configuration(1, 3, (A, C, D))
        disk = Disk()
        disk.registers.learn(third)
        disk.registers.install(SECOND, [], Floor(NONE, 0))
        self.assertEqual(disk.registers.head.known, third)

    def test_what_is_installed_when_a_later_configuration_is_known_is_final(self) -> None:
        third = Configuration(1, 3, (A, C, D))
        disk = Disk()
        disk.registers.learn(third)
        disk.registers.install(SECOND, [(KEY, record(1, 1))], Floor(NONE, 0))
        self.assertEqual(disk.why(msg.Read(to(epoch=2), 1, KEY)), Why.MOVED)
        (*_, answer) = disk.take(msg.Fetch(to(epoch=2), 1, 3))
        assert isinstance(answer, msg.Snapshot), answer
        self.assertEqual(answer.records, ((KEY, record(1, 1)),))

    def test_a_key_of_its_own_stays_when_that_safeguard_is_off(self) -> None:
        disk = Disk(safeguards=StoreSafeguards(whole_state=False))
        disk.accept(7, 2)
        disk.registers.install(SECOND, [(KEY, record(8, 3))], Floor(NONE, 0))
        self.assertEqual(disk.registers.records[KEY], record(7, 2))

    def test_a_member_is_in_the_new_epoch_at_once_when_that_safeguard_is_off(self) -> None:
        disk = Disk(safeguards=StoreSafeguards(installed_first=False))
        disk.registers.learn(SECOND)
        self.assertEqual(disk.registers.head.configuration, SECOND)


class PagingTests(SynchronousTestCase):
    def keeping(self, **sizes: int) -> Disk:
        """Return a sealed member with values of so many bytes, by their keys."""
        disk = Disk(sealed=True)
        for key, size in reversed(sizes.items()):
            taken = Record(ballot(1), ballot(1), Content(bytes(size), 1, None, ()))
            disk.registers.records[key.encode()] = disk.records[key.encode()] = taken
        return disk

    def page(self, disk: Disk, after: bytes | None = None) -> tuple[list[bytes], bool]:
        (answer,) = disk.take(msg.Fetch(to(), 1, 2, after))
        assert isinstance(answer, msg.Snapshot)
        self.assertEqual(answer.after, after)
        return [key for key, _record in answer.records], answer.more

    def test_a_page_has_as_many_records_as_go_into_64_kib_as_they_are_sent(self) -> None:
        empty = len(encode((b"a", Record(ballot(1), ballot(1), Content(b"", 1, None, ())))))
        room = 65_536 - 30_000 - 2 * (empty + 1)  # longer values need a byte more for their length
        for second, keys in ((room, [b"a", b"b"]), (room + 1, [b"a"])):
            disk = self.keeping(a=30_000, b=second, c=1)
            self.assertEqual(self.page(disk), (keys, True))

    def test_a_page_of_records_with_the_longest_names_and_requests_is_as_long_as_any_other(self):
        disk = Disk(sealed=True)
        taken = Ballot(1, 2**40, "n" * 255, 2**40)
        requests = tuple(Applied(2**40 + number, bytes(64)) for number in range(16))
        for number in range(200):
            key = b"%03d" % number
            record = Record(taken, taken, Content(None, 2**41, None, requests))
            disk.registers.records[key] = disk.records[key] = record
        (answer,) = disk.take(msg.Fetch(to(), 1, 2))
        assert isinstance(answer, msg.Snapshot)
        self.assertTrue(answer.more)
        self.assertGreater(len(encode(answer.records)), 63_000)
        self.assertLess(len(encode(answer.records)), 65_536 + 8)

    def test_a_record_that_is_larger_than_a_page_has_one_for_itself(self) -> None:
        disk = self.keeping(a=70_000, b=70_000, c=0)
        self.assertEqual(self.page(disk), ([b"a"], True))
        self.assertEqual(self.page(disk, b"a"), ([b"b"], True))
        self.assertEqual(self.page(disk, b"b"), ([b"c"], False))

    def test_a_page_begins_after_the_key_that_was_the_last_whether_that_is_there_or_not(self):
        disk = self.keeping(a=1, c=1, e=1)
        for after, keys in ((None, "ace"), (b"", "ace"), (b"a", "ce"), (b"b", "ce"), (b"e", "")):
            expected = [key.encode() for key in keys]
            self.assertEqual(self.page(disk, after), (expected, False))

    def test_each_write_on_disk_is_counted(self) -> None:
        disk = Disk()
        self.assertEqual(disk.registers.changes, 0)
        disk.prepare(1)
        disk.prepare(1)
        self.assertEqual(disk.registers.changes, 1)
        disk.accept(1, 1)
        self.assertEqual(disk.registers.changes, 2)


class LeaverTests(SynchronousTestCase):
    def left(self) -> Disk:
        disk = Disk(C)
        disk.accept(1, 1)
        disk.vote(3, A, B, D)
        disk.take(msg.Forget(to(C), 1, SECOND))
        return disk

    def test_a_member_without_a_seat_deletes_its_records_and_keeps_its_vote_for_ever(self) -> None:
        disk = self.left()
        self.assertEqual(disk.records, {})
        self.assertTrue(disk.head.sealed)
        self.assertEqual(disk.head.vote, Vote(ballot(3), SECOND.members))

    def test_a_member_without_a_seat_gives_no_state_after_it_has_deleted_it(self) -> None:
        self.assertEqual(self.left().why(msg.Fetch(to(C), 1, 2)), Why.MOVED)

    def test_a_member_that_was_never_asked_to_vote_is_sealed_when_it_deletes(self) -> None:
        disk = Disk(C)
        (answer,) = disk.take(msg.Forget(to(C), 1, SECOND))
        self.assertIsInstance(answer, msg.Forgotten)
        self.assertTrue(disk.head.sealed)

    def test_a_member_with_a_seat_does_not_delete(self) -> None:
        disk = Disk(A)
        disk.accept(1, 1)
        self.assertEqual(disk.take(msg.Forget(to(), 1, SECOND)), [])
        self.assertIn(KEY, disk.registers.records)

    def test_a_member_without_a_seat_knows_who_holds_the_slot_now(self) -> None:
        self.assertEqual(self.left().head.known, SECOND)
        third = Configuration(1, 3, (A, B, D))
        disk = Disk(C)
        disk.registers.learn(third)
        disk.said()
        disk.take(msg.Forget(to(C), 1, SECOND))
        self.assertEqual(disk.head.known, third)

    def test_what_is_to_be_deleted_by_another_disk_or_for_no_later_epoch_stays(self) -> None:
        for message, answers in (
            (msg.Forget(to(C, store=9), 1, SECOND), [Why.STORE]),
            (msg.Forget(to(C, formation=b"other"), 1, SECOND), [Why.FORMATION]),
            (msg.Forget(to(C), 1, Configuration(1, 1, (A, B, D))), []),
        ):
            disk = Disk(C)
            disk.accept(1, 1)
            said = disk.take(message)
            self.assertEqual([each.why for each in said], answers)  # type: ignore[union-attr]
            self.assertEqual(disk.registers.records, {KEY: record(1, 1)})
            self.assertFalse(disk.registers.head.sealed)

    def test_a_member_that_comes_back_begins_with_the_state_that_it_installs(self) -> None:
        disk = self.left()
        third = Configuration(1, 3, (A, B, C))
        disk.registers.install(third, [(KEY, record(5, 2))], Floor(NONE, 0))
        self.assertFalse(disk.registers.head.emptied)
        self.assertEqual(disk.registers.records, {KEY: record(5, 2)})


class StockTests(SynchronousTestCase):
    def counted(self, disk: Disk) -> tuple[int, int]:
        stock = disk.registers.stock
        return stock.keys, stock.bytes

    def test_keys_and_bytes_are_counted_as_records_change(self) -> None:
        disk = Disk()
        self.assertEqual(self.counted(disk), (0, 0))
        disk.prepare(1)
        self.assertEqual(self.counted(disk), (0, 0))
        one = len(KEY) + len(content(1).value or b"")
        disk.accept(1, 1)
        disk.accept(2, 2)
        self.assertEqual(self.counted(disk), (1, one))
        disk.take(msg.Accept(to(), 1, KEY, ballot(3), content(2).written(None, b"gone")))
        self.assertEqual(self.counted(disk), (0, 0))

    def test_a_state_that_is_installed_is_counted_anew_and_one_that_is_deleted_no_more(
        self,
    ) -> None:
        disk = Disk()
        disk.accept(1, 1)
        disk.registers.install(SECOND, [(b"other", record(3, 1))], Floor(NONE, 0))
        self.assertEqual(self.counted(disk), (1, len(b"other") + len(content(1).value or b"")))
        third = Configuration(1, 3, (B, C, D))
        self.assertTrue(disk.registers.forget(third))
        self.assertEqual(self.counted(disk), (0, 0))
