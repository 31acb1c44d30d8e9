"""A write in one round: the promise that comes with an accept, and what it is good for."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot, Ballots
from chordnet.core.store.base.configurations import Configuration, Following, Member
from chordnet.core.store.base.effects import Follows
from chordnet.core.store.base.outcomes import Done, Unconfirmed
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.node.asking import HEDGE_S
from chordnet.core.store.slot.attempts import Phase, follows
from chordnet.core.store.slot.operations import Operation
from tests.unit.store_node_support import Node, address
from tests.unit.store_support import FIRST, KEY, WHERE, A, B, C, Disk, Led, ballot, content, to

PUT = Put(KEY, b"new", b"mine")
AHEAD = Following(FIRST, Ballot(1, 9, "X", 1), replace(content(4), value=b""))


class MemberTests(SynchronousTestCase):
    """A member promises the following ballot with the content, in one write on disk."""

    def setUp(self) -> None:
        self.member = Disk()

    def accept(self, counter: int, version: int, following: Ballot) -> msg.StoreMessage:
        known = content(version)
        message = msg.Accept(to(), 1, KEY, ballot(counter), known, following)
        (answer,) = self.member.take(message)
        return answer

    def test_the_following_ballot_is_promised_with_the_content(self) -> None:
        answer = self.accept(1, 1, ballot(4))
        self.assertEqual(answer, msg.Accepted(to(), 1, ballot(1), ballot(4)))
        record = self.member.records[KEY]
        self.assertEqual((record.promised, record.accepted), (ballot(4), ballot(1)))
        self.assertEqual(self.member.registers.changes, 1)

    def test_ballots_below_the_following_one_are_outrun_then(self) -> None:
        self.accept(1, 1, ballot(4))
        self.assertEqual(self.member.prepare(3), msg.Outrun(to(), 1, ballot(3), ballot(4)))
        self.assertEqual(self.member.accept(3, 2), msg.Outrun(to(), 1, ballot(3), ballot(4)))
        self.assertEqual(self.member.accept(4, 2), msg.Accepted(to(), 1, ballot(4)))

    def test_who_is_asked_again_says_the_same_and_writes_nothing(self) -> None:
        first = self.accept(1, 1, ballot(4))
        self.assertEqual(self.accept(1, 1, ballot(4)), first)
        self.assertEqual(self.member.registers.changes, 1)

    def test_who_has_promised_more_by_then_has_accepted_all_the_same_and_promises_nothing(self):
        self.accept(1, 1, ballot(4))
        self.member.prepare(5)
        self.assertEqual(self.accept(1, 1, ballot(4)), msg.Accepted(to(), 1, ballot(1), NONE))
        self.assertEqual(self.member.records[KEY].promised, ballot(5))

    def test_a_following_ballot_below_that_of_the_content_promises_nothing_more(self) -> None:
        answer = self.accept(4, 1, ballot(2))
        self.assertEqual(answer, msg.Accepted(to(), 1, ballot(4), NONE))
        self.assertEqual(self.member.records[KEY].promised, ballot(4))

    def test_a_following_ballot_of_another_epoch_is_refused(self) -> None:
        # Promised, it could never be outdone in this epoch.
        foreign = replace(ballot(4), epoch=2)
        message = msg.Accept(to(), 1, KEY, ballot(1), content(1), foreign)
        self.assertEqual(self.member.why(message), msg.Why.BALLOT)
        self.assertEqual(self.member.records, {})


class AskingTests(SynchronousTestCase):
    """A coordinator asks for the following ballot, and keeps it if a majority has promised it."""

    def written(self, put: Put = PUT, version: int = 0) -> Led:
        led = Led(put, lasting=True)
        for member in (A, B):
            led.promised(member, version, version)
        return led

    def following(self, led: Led) -> Ballot:
        return led.operation.attempt.following

    def accepted(self, led: Led, member: Member, following: Ballot) -> None:
        answer = msg.Accepted(to(member), 5, led.ballot, following)
        led.operation.on_accepted(member.node, answer)

    def kept(self, led: Led) -> list[Following]:
        return [each.following for each in led.effects if isinstance(each, Follows)]

    def test_the_following_ballot_is_above_that_of_the_write_and_goes_to_every_member(self):
        led = self.written()
        asks = [message for _to, message in led.asks if isinstance(message, msg.Accept)]
        self.assertEqual({each.following for each in asks}, {Ballot(1, 2, "X", 1)})
        self.assertEqual(len(asks), 3)

    def test_a_coordinator_asks_for_it_if_nobody_has_written_the_key_or_it_was_the_last(self):
        for node, lasting in (("X", True), ("A", False)):
            led = Led(PUT, counter=3, lasting=True)
            for member in (A, B):
                accepted = ballot(1, node)
                answer = msg.Promised(to(member), 5, led.ballot, accepted, content(1), 0)
                led.operation.on_promised(member.node, answer)
            self.assertEqual(self.following(led) != NONE, lasting)

    def test_nothing_is_promised_that_nobody_has_asked_for(self) -> None:
        led = Led(PUT)
        for member in (A, B):
            led.promised(member)
        self.assertEqual(self.following(led), NONE)
        led.accepted(A, B)
        self.assertEqual(self.kept(led), [])

    def test_a_majority_that_promises_it_lets_the_next_write_follow(self) -> None:
        led = self.written()
        following = self.following(led)
        for member in (A, B):
            self.accepted(led, member, following)
        (kept,) = self.kept(led)
        self.assertEqual((kept.configuration, kept.ballot), (FIRST, following))
        self.assertEqual((kept.base.version, kept.base.value), (1, b""))
        self.assertIsInstance(led.outcome, Done)

    def test_promises_of_fewer_than_a_majority_are_none(self) -> None:
        led = self.written()
        self.accepted(led, A, self.following(led))
        self.accepted(led, B, NONE)
        self.assertEqual(self.kept(led), [])
        self.assertIsInstance(led.outcome, Done)

    def test_one_member_that_promises_twice_is_no_majority(self) -> None:
        led = self.written()
        for member in (A, A):
            self.accepted(led, member, self.following(led))
        self.accepted(led, B, NONE)
        self.assertEqual(self.kept(led), [])

    def test_a_promise_of_another_ballot_does_not_count(self) -> None:
        led = self.written()
        for member in (A, B):
            self.accepted(led, member, Ballot(1, 7, "X", 1))
        self.assertEqual(self.kept(led), [])

    def test_what_is_deleted_or_expires_is_written_in_two_rounds_next_time(self) -> None:
        for put in (Put(KEY, None, b"mine"), Put(KEY, b"v", b"mine", expires=50.0)):
            led = self.written(put, version=1)
            self.assertEqual(self.following(led), NONE)
            led.accepted(A, B)
            self.assertEqual(self.kept(led), [])
            self.assertIsInstance(led.outcome, Done)


class Followed:
    """A write that was promised its ballot before it began."""

    def __init__(self, put: Put = PUT) -> None:
        self.led = led = Led(put)
        led.effects.clear()
        attempt = Operation.at_first(put, FIRST, (), AHEAD, lasting=True)
        ballots = Ballots("X", 1, 20)
        led.operation = Operation(5, put, WHERE, ballots, led.effects, attempt)
        led.operation.begin()


class FollowedTests(SynchronousTestCase):
    """A write that uses the promise."""

    def test_it_is_to_be_accepted_at_once_by_all_members_under_the_ballot_promised(self) -> None:
        led = Followed().led
        asks = led.asks
        self.assertEqual([name for name, _message in asks], ["A", "B", "C"])
        message = asks[0][1]
        assert isinstance(message, msg.Accept)
        self.assertEqual(message.ballot, AHEAD.ballot)
        self.assertEqual((message.content.version, message.content.value), (5, b"new"))
        self.assertGreater(message.following, AHEAD.ballot)

    def test_it_is_done_when_a_majority_has_accepted_it(self) -> None:
        led = Followed().led
        led.accepted(A, C)
        self.assertEqual(led.outcome, Done(*WHERE, 1, 5, (A, C), (B,)))

    def test_it_may_happen_later_if_its_time_runs_out(self) -> None:
        led = Followed().led
        led.operation.expire()
        self.assertEqual(led.outcome, Unconfirmed(4))

    def test_if_all_members_refuse_it_it_is_as_if_it_had_not_been_sent(self) -> None:
        led = Followed().led
        for member in (A, B):
            led.outrun(member, by=12)
            self.assertEqual(led.operation.attempt.phase, Phase.ACCEPT)
        led.outrun(C, by=12)
        self.assertEqual(led.operation.attempt.phase, Phase.WAIT)
        self.assertIsNone(led.operation.attempt.since)
        led.asks.clear()
        led.operation.again()
        self.assertEqual({kind for _name, kind in led.kinds}, {msg.Prepare})

    def test_it_is_done_though_others_have_written_more_often_than_a_record_remembers(self) -> None:
        led = Followed().led
        for member in (A, B, C):
            led.outrun(member, by=60)
        led.operation.again()
        for member in (A, B):
            led.promised(member, 50, 50)
        self.assertEqual(led.operation.attempt.phase, Phase.ACCEPT)
        led.accepted(A, B)
        self.assertEqual(led.outcome, Done(*WHERE, 1, 51, (A, B), (C,)))

    def test_it_may_have_been_sent_if_one_member_has_accepted_it(self) -> None:
        led = Followed().led
        led.accepted(C)
        for member in (A, B):
            led.outrun(member, by=12)
        self.assertEqual(led.operation.attempt.phase, Phase.WAIT)
        self.assertEqual(led.operation.attempt.since, 4)

    def test_a_member_that_does_not_answer_is_waited_for_until_the_others_are_reminded(self):
        led = Followed().led
        for member in (A, B):
            led.outrun(member, by=12)
        led.operation.remind()
        self.assertEqual(led.operation.attempt.phase, Phase.WAIT)
        self.assertEqual(led.operation.attempt.since, 4)

    def test_a_member_that_cannot_be_reached_is_not_waited_for(self) -> None:
        led = Followed().led
        for member in (A, B):
            led.outrun(member, by=12)
        led.operation.unreachable(C)
        self.assertEqual(led.operation.attempt.phase, Phase.WAIT)
        self.assertEqual(led.operation.attempt.since, 4)

    def test_it_ends_unconfirmed_if_too_many_cannot_be_reached(self) -> None:
        led = Followed().led
        led.operation.unreachable(A)
        led.operation.unreachable(B)
        led.operation.unreachable(C)
        self.assertEqual(led.outcome, Unconfirmed(4))

    def test_where_the_slot_has_moved_it_goes_on_in_two_rounds_when_all_have_refused_it(self):
        led = Followed().led
        second = Configuration(1, 2, (A, B, C))
        for member, why in ((A, msg.Why.MOVED), (B, msg.Why.SEALED), (C, msg.Why.MOVED)):
            led.asks.clear()
            led.refused(member, why, second if why is msg.Why.MOVED else FIRST)
        self.assertEqual({kind for _name, kind in led.kinds}, {msg.Prepare})
        attempt = led.operation.attempt
        self.assertEqual((attempt.configuration, attempt.since), (second, None))

    def test_a_member_that_has_not_installed_the_epoch_may_take_it_later(self) -> None:
        led = Followed().led
        led.refused(C, msg.Why.NOT_INSTALLED)
        for member in (A, B):
            led.outrun(member, by=12)
        led.operation.remind()
        self.assertEqual(led.operation.attempt.since, 4)

    def test_news_that_the_slot_has_moved_waits_for_the_members_too(self) -> None:
        led = Followed().led
        led.asks.clear()
        second = Configuration(1, 2, (A, B, C))
        led.operation.moved(second)
        self.assertEqual(led.asks, [])
        led.operation.remind()
        self.assertEqual({kind for _name, kind in led.kinds}, {msg.Prepare})
        self.assertEqual(led.operation.attempt.since, 4)

    def test_it_moves_in_two_rounds_even_before_it_has_begun(self) -> None:
        operation = Followed().led.operation
        operation.attempt = Operation.at_first(PUT, FIRST, (), AHEAD, lasting=True)
        operation.moved(Configuration(1, 2, (A, B, C)))
        self.assertEqual(operation.attempt.phase, Phase.PREPARE)


class CounterTests(SynchronousTestCase):
    def test_a_node_keeps_up_with_the_ballots_of_others(self) -> None:
        ballots = Ballots("X", 1)
        ballots.see(ballot(7))
        self.assertEqual(ballots.above(NONE, 1), Ballot(1, 8, "X", 1))
        ballots.see(ballot(3))
        self.assertEqual(ballots.above(NONE, 1), Ballot(1, 9, "X", 1))

    def test_one_ballot_lifts_its_counter_by_65536_at_most(self) -> None:
        ballots = Ballots("X", 1, 5)
        ballots.see(ballot(1 << 60))
        self.assertEqual(ballots.counter, 5 + 65536)

    def test_a_member_keeps_up_with_those_that_ask_it(self) -> None:
        node = Node()
        where = address()
        node.hear("X", msg.Prepare(where, 3, b"b", Ballot(1, 40, "X", 1)))
        node.ask(1, Put(b"b", b"v", b"r"))
        node.wait(HEDGE_S)
        (_to, prepare), *_ = node.take(msg.Prepare)
        self.assertEqual(prepare.ballot.counter, 41)


class UseTests(SynchronousTestCase):
    """What the promise can be used for."""

    def test_a_write_in_the_same_epoch_follows(self) -> None:
        self.assertTrue(follows(AHEAD, PUT, FIRST))
        self.assertTrue(follows(AHEAD, replace(PUT, if_version=4), FIRST))
        self.assertTrue(follows(AHEAD, replace(PUT, value=None), FIRST))

    def test_a_write_in_a_later_epoch_does_not(self) -> None:
        self.assertFalse(follows(AHEAD, PUT, Configuration(1, 2, FIRST.members)))

    def test_a_read_does_not(self) -> None:
        self.assertFalse(follows(AHEAD, Get(KEY), FIRST))

    def test_a_write_that_would_be_a_conflict_does_not_since_others_may_have_written(self) -> None:
        self.assertFalse(follows(AHEAD, replace(PUT, if_version=3), FIRST))
        self.assertFalse(follows(AHEAD, replace(PUT, if_version=0), FIRST))

    def test_a_write_that_was_asked_for_before_does_not(self) -> None:
        self.assertFalse(follows(AHEAD, replace(PUT, since=2), FIRST))
        done = AHEAD.base.requests[-1].request
        self.assertFalse(follows(AHEAD, replace(PUT, request=done), FIRST))
