"""From one configuration of a slot to the next."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.configurations import Configuration, Head, Member, Vote
from chordnet.core.store.base.effects import Changed, Wait
from chordnet.core.store.base.messages import Why
from chordnet.core.store.base.records import Floor
from chordnet.core.store.slot.reconfigure import (
    Step,
    finish_after,
    keeps_majority,
    newest_of,
)
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
    Leader,
    ballot,
    record,
    to,
)


def promised(leader: Leader, member: Member, vote: Vote | None = None) -> None:
    answer = msg.ChangePromised(to(member), 9, leader.change.underway.ballot, vote)
    leader.change.on_change_promised(member.node, answer)


def voted(leader: Leader, *members: Member) -> None:
    for member in members:
        answer = msg.ChangeAccepted(to(member), 9, leader.change.underway.ballot)
        leader.change.on_change_accepted(member.node, answer)


def installed(leader: Leader, *members: Member) -> None:
    for member in members:
        leader.change.on_installed(member.node, msg.Installed(to(member, 2), 9))


def outrun(leader: Leader, member: Member) -> None:
    answer = msg.Outrun(to(member), 9, leader.change.underway.ballot, ballot(9))
    leader.change.on_outrun(member.node, answer)


def chosen() -> Leader:
    leader = Leader(A, B, D)
    promised(leader, A)
    promised(leader, B)
    voted(leader, A, B)
    return leader


class ProposalTests(SynchronousTestCase):
    def test_a_leader_with_a_free_choice_proposes_what_it_wants(self) -> None:
        leader = Leader(A, B, D)
        leader.asks.clear()
        promised(leader, A)
        promised(leader, C)
        asks = leader.asks
        self.assertEqual([name for name, _ in asks], ["A", "B", "C"])
        self.assertEqual({message.members for _, message in asks}, {(A, B, D)})  # type: ignore[union-attr]

    def test_a_leader_goes_on_with_the_highest_proposal_that_it_finds(self) -> None:
        leader = Leader(A, B, D)
        promised(leader, A, Vote(ballot(2), (B, C, D)))
        promised(leader, C, Vote(ballot(1), (A, C, D)))
        self.assertEqual(leader.change.underway.members, (B, C, D))

    def test_a_leader_with_a_free_choice_waits_for_the_promises_of_those_that_it_needs(
        self,
    ) -> None:
        for needed, step in (
            ((A,), Step.ACCEPT),
            ((A, C), Step.ACCEPT),
            ((B,), Step.PREPARE),
            ((A, B), Step.PREPARE),
        ):
            leader = Leader(A, B, needed=needed)
            promised(leader, A)
            self.assertEqual(leader.change.underway.step, Step.PREPARE)
            promised(leader, C)
            self.assertEqual(leader.change.underway.step, step, needed)
            promised(leader, B)
            self.assertEqual(leader.change.underway.step, Step.ACCEPT)

    def test_a_leader_waits_for_those_that_it_needs_in_each_of_its_rounds(self) -> None:
        leader = Leader(A, B, needed=(B,))
        leader.change.again()
        promised(leader, A)
        promised(leader, C)
        self.assertEqual(leader.change.underway.step, Step.PREPARE)

    def test_a_leader_that_goes_on_with_a_proposal_needs_a_majority_only(self) -> None:
        leader = Leader(A, B, needed=(B,))
        promised(leader, A, Vote(ballot(2), (A, C)))
        promised(leader, C)
        self.assertEqual(leader.change.underway.members, (A, C))

    def test_a_configuration_is_chosen_by_a_majority_and_its_members_are_told(self) -> None:
        leader = Leader(A, B, D)
        promised(leader, A)
        promised(leader, B)
        leader.asks.clear()
        voted(leader, A, A)
        self.assertEqual(leader.asks, [])
        voted(leader, C)
        told = [(name, message) for name, message in leader.asks]
        self.assertEqual([name for name, _ in told], ["A", "B", "D"])
        self.assertEqual(told[2][1], msg.Chosen(to(D, 2), 9, FIRST, SECOND))

    def test_a_leader_that_was_outrun_waits_and_then_takes_a_higher_ballot(self) -> None:
        leader = Leader(A, B, D)
        for member in (A, A, B):
            answer = msg.Outrun(to(member), 9, leader.change.underway.ballot, ballot(6))
            leader.change.on_outrun(member.node, answer)
        self.assertEqual(leader.effects.count(Wait(9)), 1)
        self.assertEqual(leader.change.underway.step, Step.WAIT)
        leader.change.again()
        self.assertEqual(leader.change.underway.ballot.counter, 7)

    def test_a_leader_ends_when_a_later_configuration_is_chosen_already(self) -> None:
        leader = Leader(A, B, D)
        refused = msg.Refused(to(A), 9, Why.MOVED, WHERE[0], 1, SECOND, True)
        leader.change.on_refused("A", refused)
        self.assertIn(Changed(9, SECOND), leader.effects)

    def test_a_member_that_knows_what_was_chosen_does_not_end_its_installation(self) -> None:
        leader = chosen()
        refused = msg.Refused(to(A), 9, Why.MOVED, WHERE[0], 1, SECOND, True)
        leader.change.on_refused("A", refused)
        self.assertEqual(leader.change.underway.step, Step.INSTALL)

    def test_answers_of_who_is_no_member_do_not_count(self) -> None:
        leader = Leader(A, B, D)
        promised(leader, D)
        promised(leader, A)
        self.assertEqual(leader.change.underway.step, Step.PREPARE)


class UnaskedTests(SynchronousTestCase):
    """What is no answer to the present question changes nothing."""

    def steps(self) -> list[Leader]:
        """Return a change at each of its steps."""
        preparing, accepting, waiting = (Leader(A, B, D) for _ in "123")
        for member in (A, B):
            promised(accepting, member)
            outrun(waiting, member)
        over = chosen()
        installed(over, A, B)
        found = [preparing, accepting, chosen(), waiting, over]
        names = [leader.change.underway.step.name for leader in found]
        self.assertEqual(names, ["PREPARE", "ACCEPT", "INSTALL", "WAIT", "OVER"])
        return found

    def assert_ignored(self, leader: Leader, sender: str, *answers: object) -> None:
        before, effects = leader.change.underway, [*leader.effects]
        for answer in answers:
            WholeTests.hear(leader, sender, answer)
            self.assertEqual((leader.change.underway, leader.effects), (before, effects), answer)

    def answers(self, leader: Leader, counter: int | None = None, **where: object) -> list[object]:
        mine = leader.change.underway.ballot
        mine = mine if counter is None else ballot(counter, "Y")
        here, there = to(**where), to(**{"epoch": 2, **where})  # type: ignore[arg-type]
        return [
            msg.ChangePromised(here, 9, mine, None),
            msg.ChangeAccepted(here, 9, mine),
            msg.Installed(there, 9),
            msg.Outrun(here, 9, mine, ballot(9)),
        ]

    def test_answers_of_who_has_no_seat_are_not_heard(self) -> None:
        for leader in self.steps():
            self.assert_ignored(leader, "E", *self.answers(leader))

    def test_answers_from_elsewhere_are_not_heard(self) -> None:
        for leader in self.steps():
            for where in (
                {"formation": b"other"},
                {"slot": 8},
                {"generation": 2},
                {"epoch": 3},
                {"store": 2},
            ):
                self.assert_ignored(leader, "A", *self.answers(leader, **where))

    def test_answers_for_another_ballot_are_not_heard(self) -> None:
        for leader in self.steps():
            asked, voted, _installed, late = self.answers(leader, counter=1)
            self.assert_ignored(leader, "A", asked, voted, late)

    def test_an_answer_to_another_question_is_not_heard(self) -> None:
        for leader, heard in zip(self.steps(), ((0, 3), (1, 3), (2,), (), ()), strict=True):
            answers = self.answers(leader)
            others = [each for at, each in enumerate(answers) if at not in heard]
            self.assert_ignored(leader, "A", *others)

    def test_a_refusal_of_another_formation_or_of_who_knows_no_slot_ends_no_change(self) -> None:
        third = Configuration(1, 3, (A, B, D))
        for leader in self.steps():
            for why, formation in ((Why.FORMATION, b"other"), (Why.SLOT, WHERE[0])):
                refused = msg.Refused(to(A), 9, why, formation, 1, third, True)
                self.assert_ignored(leader, "A", refused)

    def test_a_change_that_is_over_ends_only_once(self) -> None:
        leader = self.steps()[-1]
        third = Configuration(1, 3, (A, B, D))
        refused = msg.Refused(to(A), 9, Why.MOVED, WHERE[0], 1, third, True)
        self.assert_ignored(leader, "A", refused)
        leader.change.again()
        self.assertEqual(leader.change.underway.step, Step.OVER)

    def test_a_change_that_a_later_configuration_ends_is_over(self) -> None:
        third = Configuration(1, 3, (A, B, D))
        for leader in self.steps()[:-1]:
            refused = msg.Refused(to(A), 9, Why.MOVED, WHERE[0], 1, third, True)
            leader.change.on_refused("A", refused)
            self.assertEqual(leader.change.underway.step, Step.OVER)
            self.assertEqual(leader.effects.count(Changed(9, third)), 1)

    def test_a_leader_waits_once_the_others_can_be_no_majority_any_more(self) -> None:
        leader = Leader(A, B, D)
        for member, step in ((A, Step.PREPARE), (A, Step.PREPARE), (C, Step.WAIT)):
            outrun(leader, member)
            self.assertEqual(leader.change.underway.step, step)


class ServingTests(SynchronousTestCase):
    def test_a_change_is_over_when_a_majority_has_installed_and_the_others_may_forget(self) -> None:
        leader = chosen()
        leader.asks.clear()
        installed(leader, A)
        self.assertNotIn(Changed(9, SECOND, serves=True), leader.effects)
        installed(leader, D)
        self.assertEqual(leader.asks, [("C", msg.Forget(to(C), 9, SECOND))])
        self.assertIn(Changed(9, SECOND, serves=True), leader.effects)

    def test_an_old_member_without_a_seat_does_not_count_as_installed(self) -> None:
        leader = chosen()
        installed(leader, A, C)
        self.assertEqual(leader.change.underway.step, Step.INSTALL)

    def test_a_leader_tells_again_what_was_chosen_rather_than_to_propose_again(self) -> None:
        leader = chosen()
        leader.asks.clear()
        leader.change.again()
        self.assertEqual({type(message) for _, message in leader.asks}, {msg.Chosen})


class InstallationTests(SynchronousTestCase):
    def told(self, member: Member = D) -> Disk:
        disk = Disk(member, None if member == D else FIRST)
        self.asked = disk.take(msg.Chosen(to(member, 2), 9, FIRST, SECOND), "L")
        return disk

    def snapshot(self, disk: Disk, member: Member, epoch: int, counter: int) -> list[object]:
        records = ((KEY, record(counter, counter)),)
        floor = Floor(ballot(counter), counter)
        answer = msg.Snapshot(to(member, epoch), 9, None, records, floor, False)
        return list(disk.take(answer, member.node))

    def test_a_new_member_asks_the_old_members_and_its_fellows_for_the_state(self) -> None:
        self.told()
        wanted = [msg.Fetch(to(each), 9, 2) for each in (A, B, C)]
        wanted += [msg.Fetch(to(each, 2), 9, 2) for each in (A, B)]
        self.assertEqual(self.asked, wanted)

    def test_a_majority_of_final_states_is_installed_with_the_highest_ballot_of_each_key(self):
        disk = self.told()
        self.assertEqual(self.snapshot(disk, A, 1, 3), [])
        self.assertEqual(self.snapshot(disk, A, 1, 3), [])
        said = self.snapshot(disk, C, 1, 5)
        self.assertEqual(said, [msg.Installed(to(D, 2), 9)])
        self.assertEqual(disk.records, {KEY: record(5, 5)})
        self.assertEqual(disk.head.floor, Floor(ballot(5), 5))
        self.assertEqual(disk.head.configuration, SECOND)

    def test_the_records_of_one_member_that_has_installed_the_epoch_are_enough(self) -> None:
        disk = self.told()
        self.assertEqual(self.snapshot(disk, B, 2, 4), [msg.Installed(to(D, 2), 9)])
        self.assertEqual(disk.records, {KEY: record(4, 4)})

    def test_a_state_of_who_is_in_neither_configuration_is_not_installed(self) -> None:
        disk = self.told()
        self.snapshot(disk, Member("E", 1), 2, 4)
        self.assertEqual(disk.records, {})

    def test_a_state_is_counted_only_of_an_old_member_at_its_own_address(self) -> None:
        records = ((KEY, record(4, 4)),)
        for sender, address in (
            ("A", to(formation=b"other")),
            ("A", to(slot=8)),
            ("A", to(generation=2)),
            ("A", to(store=2)),
            ("A", to(epoch=3)),
            ("D", to()),
            ("E", to()),
            ("C", to(epoch=2)),
        ):
            disk = self.told()
            before = disk.installation.copying
            disk.take(msg.Snapshot(address, 9, None, records, Floor(ballot(4), 4), False), sender)
            self.assertEqual(disk.installation.copying, before, (sender, address))
            self.assertEqual(disk.records, {})

    def test_a_state_that_was_sent_for_another_request_is_not_counted(self) -> None:
        disk = self.told()
        before = disk.installation.copying
        disk.take(msg.Snapshot(to(A), 8, None, (), Floor(ballot(4), 4), False), "A")
        self.assertEqual(disk.installation.copying, before)

    def test_an_installation_is_over_when_it_is_done(self) -> None:
        disk = self.told()
        self.snapshot(disk, B, 2, 4)
        self.assertIsNone(disk.installation.copying)
        self.assertEqual(self.snapshot(disk, A, 2, 9), [])
        self.assertEqual(disk.registers.records, {KEY: record(4, 4)})

    def test_who_has_no_seat_is_not_told_of_the_next_epoch(self) -> None:
        disk = Disk(C)
        self.assertEqual(disk.take(msg.Chosen(to(C, 2), 9, FIRST, SECOND), "L"), [])
        self.assertIsNone(disk.installation.copying)
        self.assertEqual(disk.registers.head.known, FIRST)

    def test_news_that_are_meant_for_another_epoch_are_not_taken(self) -> None:
        disk = Disk(A)
        self.assertEqual(disk.take(msg.Chosen(to(A, 1), 9, FIRST, SECOND), "L"), [])
        self.assertIsNone(disk.installation.copying)

    def test_a_state_that_nobody_has_asked_for_is_not_installed(self) -> None:
        disk = Disk(D, None)
        self.snapshot(disk, B, 2, 4)
        self.assertEqual(disk.head.configuration.epoch, 0)

    def page(self, after: bytes | None, *keys: bytes, more: bool) -> msg.Snapshot:
        records = tuple((key, record(1, 1)) for key in keys)
        return msg.Snapshot(to(B, 2), 9, after, records, Floor(ballot(1), 1), more)

    def test_a_state_of_several_pages_is_asked_for_page_by_page_and_installed_whole(self) -> None:
        disk = self.told()
        asked = disk.take(self.page(None, b"a", b"b", more=True), "B")
        self.assertEqual(asked, [msg.Fetch(to(B, 2), 9, 2, b"b")])
        asked = disk.take(self.page(b"b", b"c", more=True), "B")
        self.assertEqual((asked, disk.records), ([msg.Fetch(to(B, 2), 9, 2, b"c")], {}))
        said = disk.take(self.page(b"c", b"d", more=False), "B")
        self.assertEqual(said, [msg.Installed(to(D, 2), 9)])
        self.assertEqual(sorted(disk.records), [b"a", b"b", b"c", b"d"])

    def test_a_page_that_comes_again_or_out_of_its_order_changes_nothing(self) -> None:
        disk = self.told()
        disk.take(self.page(None, b"a", b"b", more=True), "B")
        for late in (self.page(None, b"a", b"b", more=True), self.page(b"x", b"y", more=False)):
            self.assertEqual(disk.take(late, "B"), [])
        disk.take(self.page(b"b", b"c", more=False), "B")
        self.assertEqual(sorted(disk.records), [b"a", b"b", b"c"])

    def test_pages_of_two_old_members_are_kept_apart(self) -> None:
        disk = self.told()
        floor = Floor(ballot(1), 1)
        first = ((b"a", record(1, 1)),)
        second = ((b"b", record(2, 2)),)
        for member in (A, C):
            disk.take(msg.Snapshot(to(member), 9, None, first, floor, True), member.node)
        for member in (A, C):
            self.assertEqual(disk.records, {})
            disk.take(msg.Snapshot(to(member), 9, b"a", second, floor, False), member.node)
        self.assertEqual(disk.records, {b"a": record(1, 1), b"b": record(2, 2)})

    def test_a_member_that_learns_what_is_chosen_gives_its_final_state_without_a_vote(self) -> None:
        disk = self.told(A)
        (answer,) = disk.take(msg.Fetch(to(A), 9, 2))
        self.assertIsInstance(answer, msg.Snapshot)
        self.assertTrue(disk.head.sealed)

    def test_a_member_that_has_installed_says_so_again(self) -> None:
        disk = self.told()
        self.snapshot(disk, B, 2, 4)
        said = disk.take(msg.Chosen(to(D, 2), 9, FIRST, SECOND), "L")
        self.assertEqual(said, [msg.Installed(to(D, 2), 9)])

    def test_a_member_that_is_beyond_the_epoch_does_not_say_that_it_installed_it(self) -> None:
        disk = Disk(D, Configuration(1, 3, (A, B, D)))
        self.assertEqual(disk.take(msg.Chosen(to(D, 2), 9, FIRST, SECOND), "L"), [])

    def test_news_for_another_disk_is_not_taken(self) -> None:
        disk = Disk(Member("D", 2), None)
        self.assertEqual(disk.take(msg.Chosen(to(D, 2), 9, FIRST, SECOND), "L"), [])

    def test_a_member_that_is_told_knows_where_the_slot_has_moved_before_it_has_installed(self):
        disk = self.told(A)
        self.assertEqual(disk.head.known, SECOND)
        self.assertEqual(disk.why(msg.Read(to(A), 1, KEY)), Why.MOVED)


class WholeTests(SynchronousTestCase):
    """A change with the real members, every message arriving in order."""

    def test_a_slot_moves_from_one_configuration_to_the_next(self) -> None:
        disks = {each.node: Disk(each, None if each == D else FIRST) for each in (A, B, C, D)}
        for name in "BC":
            disks[name].accept(1, 1)
        leader = Leader(A, B, D)
        waiting = [("L", to, message) for to, message in leader.asks]
        while waiting:
            sender, to, message = waiting.pop(0)
            if to in disks and isinstance(message, msg.Refused):
                continue  # A state that another member has not got, or gives no more.
            if to in disks:
                disks[to].arrives(message, sender)
                waiting += [(to, name, said) for name, said in disks[to].sent()]
            else:
                self.hear(leader, sender, message)
                waiting += [("L", name, asked) for name, asked in leader.asks]
        self.assertIn(Changed(9, SECOND, serves=True), leader.effects)
        for name in "ABD":
            self.assertEqual(disks[name].records, {KEY: record(1, 1)}, name)
        self.assertTrue(disks["C"].head.emptied)

    @staticmethod
    def hear(leader: Leader, name: str, answer: object) -> None:
        handlers = {
            msg.ChangePromised: leader.change.on_change_promised,
            msg.ChangeAccepted: leader.change.on_change_accepted,
            msg.Installed: leader.change.on_installed,
            msg.Outrun: leader.change.on_outrun,
            msg.Refused: leader.change.on_refused,
        }
        if type(answer) is not msg.Forgotten:
            handlers[type(answer)](name, answer)  # type: ignore[index, operator]


class RuleTests(SynchronousTestCase):
    def test_a_proposal_keeps_a_majority_of_the_old_members(self) -> None:
        self.assertTrue(keeps_majority(FIRST, (A, B, D)))
        self.assertTrue(keeps_majority(FIRST, (A, B)))
        self.assertFalse(keeps_majority(FIRST, (A, D, Member("E", 1))))

    def test_a_disk_that_was_lost_is_no_old_member(self) -> None:
        self.assertFalse(keeps_majority(FIRST, (A, Member("B", 2), D)))

    def test_the_newest_record_of_each_key_is_taken(self) -> None:
        one = ((b"a", record(1, 1)), (b"b", record(5, 2)))
        two = ((b"a", record(2, 2)), (b"c", record(1, 1)))
        newest = ((b"a", record(2, 2)), (b"b", record(5, 2)), (b"c", record(1, 1)))
        self.assertEqual(newest_of([one, two]), newest)
        self.assertEqual(newest_of([two, one]), newest)

    def test_of_records_of_one_ballot_the_first_is_taken(self) -> None:
        one, two = record(2, 2), replace(record(2, 2), promised=ballot(7))
        self.assertEqual(newest_of([((KEY, one),), ((KEY, two),)]), ((KEY, one),))
        self.assertEqual(newest_of([((KEY, two),), ((KEY, one),)]), ((KEY, two),))

    def test_a_sealed_member_finishes_the_change_a_second_later_for_each_place_of_its_rank(self):
        sealed = Head(*WHERE, FIRST, sealed=True)
        self.assertEqual(finish_after(sealed, A, 0.5), 1.5)
        self.assertEqual(finish_after(sealed, B, 0.0), 2.0)
        self.assertEqual(finish_after(sealed, C, 0.5), 3.5)

    def test_a_member_has_nothing_to_finish_that_is_open_or_knows_the_result(self) -> None:
        self.assertIsNone(finish_after(Head(*WHERE, FIRST), A, 0.5))
        known = Head(*WHERE, FIRST, sealed=True, newest=SECOND)
        self.assertIsNone(finish_after(known, A, 0.5))
        self.assertIsNone(finish_after(Head(*WHERE, FIRST, sealed=True), D, 0.5))
