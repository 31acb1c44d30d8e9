"""The judge of a slot's states sees what is wrong with states that are made up."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base import outcomes as end
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Head, Member
from chordnet.core.store.base.outcomes import Found
from chordnet.core.store.base.records import EMPTY, Applied, Content, Floor, Record
from chordnet.sim.slots.judge import BrokenError, Judge, Node, Past
from chordnet.sim.slots.plan import KEY, Property

A, B, C, D = (Member(name, 1) for name in "ABCD")
FIRST = Configuration(1, 1, (A, B, C))
PAST = Past((FIRST.members,))
JUDGE = Judge(frozenset(Property))
ONE = EMPTY.written(b"w1", b"w1")
OTHER = EMPTY.written(b"w2", b"w2")
TWO = ONE.written(b"w2", b"w2")


def ballot(counter: int, epoch: int = 1) -> Ballot:
    return Ballot(epoch, counter, "A", 1)


def node(me: Member = A, epoch: int = 1, held: Ballot | None = None, **head: object) -> Node:
    begun = Head(b"f", 0, Configuration(1, epoch, FIRST.members), **head)  # type: ignore[arg-type]
    records = () if held is None else ((KEY, Record(held, held, ONE)),)
    return Node(me, 1, 0, begun, records, begun, records)


def address(epoch: int = 1) -> msg.Address:
    return msg.Address(b"f", 0, 1, epoch, 1)


def chosen(past: Past, counter: int, what: Content) -> Past:
    """A content that two of three have accepted."""
    past = JUDGE.proposed(past, msg.Accept(address(), 0, KEY, ballot(counter), what))
    for me in (A, B):
        past = JUDGE.accepted(past, me, msg.Accepted(address(), 0, ballot(counter)))
    return past


def moved(past: Past, counter: int, *members: Member) -> Past:
    """A configuration for which two of three have voted."""
    message = msg.AcceptChange(address(), 0, ballot(counter), members)
    past = JUDGE.proposed(past, message)
    for me in (A, B):
        past = JUDGE.accepted(past, me, msg.ChangeAccepted(address(), 0, ballot(counter)))
    return past


class JudgeTests(SynchronousTestCase):
    def assertBroken(self, lacking: Property, what: Callable[..., object], *args: object) -> None:
        error = self.assertRaises(BrokenError, what, *args)
        self.assertIs(error.lacking, lacking)

    def test_two_configurations_for_one_epoch(self) -> None:
        past = moved(PAST, 1, A, B, D)
        self.assertEqual(past.epochs, (FIRST.members, (A, B, D)))
        self.assertEqual(moved(past, 2, A, B, D).epochs, past.epochs)
        self.assertBroken(Property.ONE_CONFIGURATION, moved, past, 2, B, C, D)

    def test_one_vote_chooses_nothing(self) -> None:
        message = msg.AcceptChange(address(), 0, ballot(1), (A, B, D))
        past = JUDGE.proposed(PAST, message)
        voted = JUDGE.accepted(past, A, msg.ChangeAccepted(address(), 0, ballot(1)))
        again = JUDGE.accepted(voted, A, msg.ChangeAccepted(address(), 0, ballot(1)))
        self.assertEqual(again.epochs, PAST.epochs)

    def test_one_ballot_for_two_contents(self) -> None:
        past = chosen(PAST, 1, ONE)
        message = msg.Accept(address(), 0, KEY, ballot(1), OTHER)
        self.assertBroken(Property.ONE_CONTENT, JUDGE.proposed, past, message)

    def test_a_lease_that_is_ended_while_most_clocks_have_not_passed_its_end(self) -> None:
        over, members = ONE.buried(0), FIRST.members
        nodes = [node(me)._replace(late=me in (A, D)) for me in (A, B, C, D)]
        self.assertBroken(Property.OVER_BY_CLOCKS, JUDGE.buried, PAST, over, members, nodes)
        JUDGE.buried(PAST, over, (A, B, D), nodes)

    def test_a_lease_that_was_ended_may_be_written_back_whatever_clocks_say(self) -> None:
        over = ONE.buried(0)
        nodes = [node(me) for me in FIRST.members]
        JUDGE.buried(chosen(PAST, 1, over), over, FIRST.members, nodes)

    def test_what_clients_write_and_delete_ends_no_lease(self) -> None:
        nodes = [node(me) for me in FIRST.members]
        after = ONE.buried(0).written(b"w2", b"w2")
        for content in (ONE, EMPTY, ONE.written(None, b"w2"), after, after.written(None, b"w3")):
            JUDGE.buried(PAST, content, FIRST.members, nodes)

    def test_leases_may_end_more_than_once(self) -> None:
        second = ONE.buried(0).written(b"w2", b"w2").buried(0)
        past = chosen(chosen(PAST, 1, ONE.buried(0)), 2, second)
        JUDGE.check(past, ())
        past = JUDGE.ended(past, Found(second), b"", 0)
        self.assertEqual(past.version, 4)

    def test_a_member_that_installed_less_than_was_chosen(self) -> None:
        past = JUDGE.installed(chosen(PAST, 5, ONE), node(D, 2, ballot(4)))
        self.assertBroken(Property.CARRIED_OVER, JUDGE.check, past, ())
        JUDGE.check(JUDGE.installed(chosen(PAST, 5, ONE), node(D, 2, ballot(5))), ())

    def test_a_content_that_is_chosen_after_a_member_has_installed_less(self) -> None:
        past = chosen(JUDGE.installed(PAST, node(D, 2, ballot(4))), 5, ONE)
        self.assertBroken(Property.CARRIED_OVER, JUDGE.check, past, ())

    def test_the_lowest_that_any_member_has_installed_counts(self) -> None:
        past = chosen(PAST, 5, ONE)
        for held in (ballot(5), None, ballot(6)):
            past = JUDGE.installed(past, node(D, 2, held))
        self.assertEqual(past.installed, ((2, NONE),))

    def test_an_answer_for_a_key_after_the_seal(self) -> None:
        told = msg.Told(address(), 0, NONE, EMPTY)
        self.assertBroken(Property.SILENT_WHEN_SEALED, JUDGE.heed, node(sealed=True), told)
        JUDGE.heed(node(), told)
        JUDGE.heed(node(sealed=True), msg.ChangeAccepted(address(), 0, ballot(1)))

    def test_an_answer_or_a_vote_in_an_epoch_that_is_not_installed(self) -> None:
        for answer in (
            msg.Told(address(2), 0, NONE, EMPTY),
            msg.ChangeAccepted(address(2), 0, ballot(1)),
        ):
            self.assertBroken(Property.SILENT_WHEN_SEALED, JUDGE.heed, node(), answer)

    def test_what_goes_back_on_one_disk(self) -> None:
        for before, after in (
            (node(held=ballot(2)), node(held=ballot(1))),
            (node(held=ballot(2)), node()),
            (node(epoch=2), node()),
            (node(sealed=True), node()),
            (node(promised=ballot(2)), node(promised=ballot(1))),
        ):
            self.assertBroken(Property.NEVER_BACK, JUDGE.moved_on, before, after)
            JUDGE.moved_on(after, before)

    def test_a_new_disk_may_be_empty(self) -> None:
        JUDGE.moved_on(node(held=ballot(2)), node(Member("A", 2)))

    def test_an_older_version_after_a_newer_one_was_told(self) -> None:
        past = JUDGE.ended(PAST, end.Found(ONE), b"", 0)
        self.assertBroken(Property.ONE_HISTORY, JUDGE.ended, past, end.Found(EMPTY), b"", 1)
        JUDGE.ended(past, end.Found(EMPTY), b"", 0)

    def test_a_write_that_makes_no_newer_version_than_was_told_before_it_began(self) -> None:
        past = JUDGE.ended(PAST, end.Found(ONE), b"", 0)
        done = end.Done(b"f", 0, 1, 1, (), ())
        self.assertBroken(Property.ONE_HISTORY, JUDGE.ended, past, done, b"w1", 1)
        JUDGE.ended(past, done, b"w1", 0)

    def test_two_requests_for_one_version_and_one_request_for_two(self) -> None:
        past = JUDGE.ended(PAST, end.Found(ONE), b"", 0)
        self.assertBroken(Property.ONE_HISTORY, JUDGE.ended, past, end.Found(OTHER), b"", 0)
        twice = Content(b"w1", 2, None, (Applied(1, b"w1"), Applied(2, b"w1")))
        self.assertBroken(Property.ONE_HISTORY, JUDGE.ended, past, end.Found(twice), b"", 0)

    def test_a_write_that_is_done_after_it_was_said_never_to_happen(self) -> None:
        for outcome in (end.Unavailable(1, (), 3), end.Conflict(ONE), end.Untold()):
            past = chosen(JUDGE.ended(PAST, outcome, b"w2", 0), 1, TWO)
            self.assertBroken(Property.NEVER_LATER, JUDGE.check, past, ())

    def test_a_write_of_which_no_more_is_known_may_be_done(self) -> None:
        past = JUDGE.ended(PAST, end.Unconfirmed(1), b"w2", 0)
        JUDGE.check(chosen(past, 1, TWO), ())

    def test_an_epoch_that_serves_while_a_majority_of_the_one_before_is_open(self) -> None:
        past = moved(PAST, 1, A, C, D)
        nodes = (node(A, 1), node(B, 1), node(C, 2), node(D, 2))
        self.assertBroken(Property.SEALED_WHEN_SERVED, JUDGE.check, past, nodes)
        JUDGE.check(past, (node(A, 1, sealed=True), *nodes[1:]))
        JUDGE.check(past, (node(A, 1), node(B, 1), node(C, 2), node(D, 0)))

    def test_a_record_without_a_value_may_go_if_the_floor_is_at_it(self) -> None:
        gone = EMPTY.written(None, b"w1")
        buried = Record(ballot(3), ballot(2), gone)
        before = node()._replace(records=((KEY, buried),))
        for floor, fits in (
            (Floor(ballot(3), 1), True),
            (Floor(ballot(4), 2), True),
            (Floor(ballot(2), 1), False),
            (Floor(ballot(3), 0), False),
        ):
            after = node(floor=floor)
            if fits:
                JUDGE.moved_on(before, after)
            else:
                self.assertBroken(Property.NEVER_BACK, JUDGE.moved_on, before, after)
        kept = node(held=ballot(2))
        self.assertBroken(
            Property.NEVER_BACK, JUDGE.moved_on, kept, node(floor=Floor(ballot(9), 9))
        )

    def test_nothing_up_to_the_floor_may_be_taken_for_a_key_without_a_record(self) -> None:
        before = node(floor=Floor(ballot(3), 1))
        taken = node(held=ballot(3), floor=Floor(ballot(3), 1))
        self.assertBroken(Property.NEVER_BACK, JUDGE.moved_on, before, taken)
        JUDGE.moved_on(before, node(held=ballot(4), floor=Floor(ballot(3), 1)))

    def test_neither_part_of_a_floor_may_go_back(self) -> None:
        before = node(floor=Floor(ballot(3), 5))
        for floor in (Floor(ballot(2), 9), Floor(ballot(9), 4)):
            self.assertBroken(Property.NEVER_BACK, JUDGE.moved_on, before, node(floor=floor))
        JUDGE.moved_on(before, node(floor=Floor(ballot(3), 5)))

    def test_nothing_may_be_told_of_a_key_whose_tombstone_was_dropped(self) -> None:
        past = JUDGE.ended(PAST, end.Found(ONE), b"", 0)
        gone = ONE.written(None, b"w2")
        buried = node()._replace(records=((KEY, Record(ballot(2), ballot(2), gone)),))
        dropped = JUDGE.dropped(past, buried, node(floor=Floor(ballot(2), 2)))
        self.assertEqual(dropped.dropped, ((ballot(2), 2),))
        self.assertEqual(JUDGE.ended(dropped, end.Found(EMPTY), b"", 1).version, 2)
        self.assertBroken(Property.ONE_HISTORY, JUDGE.ended, dropped, end.Found(EMPTY), b"", 3)
        self.assertEqual(JUDGE.dropped(past, node(), node()), past)

    def test_a_member_that_installs_nothing_of_a_dropped_key_lacks_nothing(self) -> None:
        past = chosen(PAST, 5, ONE.written(None, b"w2"))
        past = past._replace(dropped=((ballot(5), 2),))
        JUDGE.check(JUDGE.installed(past, node(D, 2)), ())
        past = chosen(past, 6, TWO)
        self.assertBroken(Property.CARRIED_OVER, JUDGE.check, JUDGE.installed(past, node(D, 2)), ())

    def test_a_write_that_is_done_twice(self) -> None:
        past = chosen(chosen(PAST, 1, ONE), 2, Content(b"w1", 3, None, (Applied(3, b"w1"),)))
        self.assertBroken(Property.ONE_HISTORY, JUDGE.check, past, ())

    def test_a_write_that_cannot_be_told_may_have_been_done_before(self) -> None:
        past = JUDGE.ended(chosen(PAST, 1, ONE), end.Untold(), b"w1", 0)
        JUDGE.check(past, ())

    def test_what_is_not_to_be_checked_is_let_pass(self) -> None:
        judge = Judge(frozenset())
        judge.moved_on(node(held=ballot(2)), node())
        past = judge.ended(PAST, end.Found(ONE), b"", 0)
        self.assertEqual(judge.ended(past, end.Found(EMPTY), b"", 1).version, 1)
