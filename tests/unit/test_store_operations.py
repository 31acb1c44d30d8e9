"""One operation on a key: what it asks, when it ends, and as what."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.configurations import Configuration
from chordnet.core.store.base.effects import Wait
from chordnet.core.store.base.messages import Why
from chordnet.core.store.base.outcomes import (
    Conflict,
    Done,
    Found,
    Unavailable,
    Unconfirmed,
    Untold,
)
from chordnet.core.store.base.records import EMPTY
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.slot.attempts import Heard, Phase
from chordnet.core.store.slot.operations import Operation
from tests.unit.store_support import (
    FIRST,
    KEY,
    SECOND,
    WHERE,
    A,
    B,
    C,
    D,
    Led,
    ballot,
    content,
    to,
)

PUT = Put(KEY, b"new", b"mine")
CREATE = Put(KEY, b"new", b"mine", if_version=0)


def to_all(kind: type) -> list[tuple[str, type]]:
    return [(name, kind) for name in "ABC"]


class GetTests(SynchronousTestCase):
    def test_a_read_asks_every_member_what_it_has_accepted(self) -> None:
        self.assertEqual(Led(Get(KEY)).kinds, to_all(msg.Read))

    def test_a_read_ends_in_one_round_when_a_majority_names_the_same_ballot(self) -> None:
        led = Led(Get(KEY))
        led.told(A, 3, 2)
        self.assertIsNone(led.outcome)
        led.told(B, 3, 2)
        self.assertEqual(led.outcome, Found(content(2)))

    def test_no_record_is_a_ballot_of_which_a_majority_may_be_told(self) -> None:
        led = Led(Get(KEY))
        led.told(A, 0, 0)
        led.told(B, 0, 0)
        self.assertEqual(led.outcome, Found(EMPTY))

    def test_one_member_that_answers_twice_is_no_majority(self) -> None:
        led = Led(Get(KEY))
        led.told(A, 3, 2)
        led.told(A, 3, 2)
        self.assertIsNone(led.outcome)

    def test_a_read_of_two_ballots_has_the_higher_accepted_before_it_ends(self) -> None:
        led = Led(Get(KEY))
        led.told(A, 3, 2)
        led.told(B, 0, 0)
        self.assertIsNone(led.outcome)
        led.asks.clear()
        self.assertEqual(led.operation.attempt.phase, Phase.PREPARE)
        self.assertGreater(led.ballot, ballot(3))
        led.promised(A, 3, 2)
        led.promised(B)
        accepts = [message for _, message in led.asks if isinstance(message, msg.Accept)]
        self.assertEqual({message.content for message in accepts}, {content(2)})
        led.accepted(B)
        self.assertIsNone(led.outcome)
        led.accepted(C)
        self.assertEqual(led.outcome, Found(content(2)))

    def test_a_read_of_two_ballots_ends_with_the_higher_when_that_safeguard_is_off(self) -> None:
        led = Led(Get(KEY), second_phase=False)
        led.told(A, 3, 2)
        led.told(B, 4, 3)
        self.assertEqual(led.outcome, Found(content(3)))

    def test_a_read_whose_promises_name_one_ballot_ends_with_it_whatever_was_told_before(
        self,
    ) -> None:
        for told in ((3, 2), (0, 0)), ((4, 3), (3, 2)):
            for second in B, C:
                led = Led(Get(KEY))
                for member, what in zip((A, B), told, strict=True):
                    led.told(member, *what)
                self.assertEqual(led.operation.attempt.phase, Phase.PREPARE)
                led.promised(A, 3, 2)
                self.assertIsNone(led.outcome)
                led.promised(second, 3, 2)
                self.assertEqual(led.outcome, Found(content(2)))

    def test_a_read_without_a_majority_is_unavailable_and_names_who_is_missing(self) -> None:
        led = Led(Get(KEY))
        led.told(A, 3, 2)
        led.operation.expire()
        self.assertEqual(led.outcome, Unavailable(1, (B, C), 3))

    def test_a_member_that_says_not_now_is_not_missing(self) -> None:
        for why in (Why.SEALED, Why.NOT_INSTALLED):
            led = Led(PUT)
            led.refused(A, why)
            led.operation.expire()
            self.assertEqual(led.outcome, Unavailable(1, (B, C), 3), why)


class PutTests(SynchronousTestCase):
    def test_a_write_is_promised_and_accepted_by_a_majority(self) -> None:
        led = Led(PUT)
        self.assertEqual(led.kinds, to_all(msg.Prepare))
        led.promised(A, 3, 2)
        led.promised(B)
        (_, accept), *others = led.asks
        assert isinstance(accept, msg.Accept)
        self.assertEqual(len(others), 2)
        self.assertEqual((accept.content.value, accept.content.version), (b"new", 3))
        led.accepted(A, A)
        self.assertIsNone(led.outcome)
        led.accepted(C)
        self.assertEqual(led.outcome, Done(*WHERE, 1, 3, (A, C), (B,)))

    def test_the_next_version_is_above_the_highest_floor_of_the_quorum(self) -> None:
        led = Led(PUT)
        led.promised(A, floor=4)
        led.promised(B, floor=9)
        led.accepted(A, B)
        assert isinstance(led.outcome, Done)
        self.assertEqual(led.outcome.version, 10)

    def test_a_delete_writes_a_tombstone_as_the_next_version(self) -> None:
        led = Led(Put(KEY, None, b"mine"))
        led.asks.clear()
        led.promised(A, 3, 2)
        led.promised(B, 3, 2)
        (_, accept), *_ = led.asks
        assert isinstance(accept, msg.Accept)
        self.assertEqual((accept.content.value, accept.content.version), (None, 3))

    def test_an_answer_for_an_earlier_ballot_does_not_count(self) -> None:
        led = Led(PUT)
        old = led.ballot
        led.operation.again()
        for member in (A, B):
            promised = msg.Promised(led_address(member), 5, old, ballot(1), content(1), 0)
            led.operation.on_promised(member.node, promised)
        self.assertEqual(led.operation.attempt.phase, Phase.PREPARE)

    def test_an_answer_of_who_is_no_member_does_not_count(self) -> None:
        led = Led(PUT)
        led.promised(D)
        led.promised(A)
        self.assertEqual(led.operation.attempt.phase, Phase.PREPARE)

    def test_nothing_that_comes_after_the_end_changes_it(self) -> None:
        led = Led(PUT)
        led.operation.expire()
        led.promised(A)
        led.operation.again()
        led.operation.expire()
        led.asks.clear()
        led.operation.moved(SECOND)
        led.operation.remind()
        self.assertEqual(led.asks, [])
        self.assertEqual(led.operation.attempt.phase, Phase.ENDED)
        self.assertEqual(led.outcome, Unavailable(1, (A, B, C), 3))


def led_address(member: object) -> msg.Address:
    return msg.Address(*WHERE, 1, 1, 1)


class ConflictTests(SynchronousTestCase):
    def test_a_conflict_with_a_confirmed_state_is_told_in_one_round(self) -> None:
        led = Led(CREATE)
        led.promised(A, 3, 2)
        led.promised(B, 3, 2)
        self.assertEqual(led.outcome, Conflict(content(2)))
        self.assertEqual(led.operation.attempt.phase, Phase.ENDED)
        self.assertNotIn(msg.Accept, {kind for _, kind in led.kinds})

    def test_a_conflict_with_what_one_member_has_is_told_once_a_majority_has_accepted_it(self):
        led = Led(CREATE)
        led.promised(A, 3, 2)
        led.promised(B)
        self.assertIsNone(led.outcome)
        led.accepted(A, B)
        self.assertEqual(led.outcome, Conflict(content(2)))

    def test_a_write_for_a_version_is_done_on_that_version_alone(self) -> None:
        for version, done in ((2, True), (1, False), (3, False)):
            led = Led(Put(KEY, b"new", b"mine", if_version=version))
            led.promised(A, 3, 2)
            led.promised(B, 3, 2)
            led.accepted(A, B)
            self.assertEqual(isinstance(led.outcome, Done), done, version)

    def test_a_deleted_key_may_be_created_and_has_no_version_to_be_changed(self) -> None:
        deleted = content(2, None)
        self.assertTrue(CREATE.fits(deleted))
        self.assertFalse(Put(KEY, b"new", b"mine", if_version=2).fits(deleted))

    def test_a_conflict_after_an_accept_was_sent_is_written_first_even_if_it_is_confirmed(self):
        """The accept may lie at one member; a later coordinator must not find it the highest."""
        led = Led(CREATE)
        led.promised(A)
        led.promised(B)
        led.operation.again()
        led.promised(B, 9, 1)
        led.promised(C, 9, 1)
        self.assertIsNone(led.outcome)
        self.assertEqual(led.operation.attempt.content, content(1))
        led.accepted(B, C)
        self.assertEqual(led.outcome, Conflict(content(1)))


class AgainTests(SynchronousTestCase):
    def test_a_write_that_ran_out_of_time_before_an_accept_never_happens(self) -> None:
        led = Led(PUT)
        led.promised(A, 3, 2)
        led.operation.expire()
        self.assertEqual(led.outcome, Unavailable(1, (B, C), 3))

    def test_a_write_that_ran_out_of_time_after_an_accept_is_unconfirmed_since_its_base(self):
        led = Led(PUT)
        led.promised(A, 3, 2)
        led.promised(B)
        led.operation.expire()
        self.assertEqual(led.outcome, Unconfirmed(2))

    def test_the_lowest_base_of_all_attempts_is_what_an_unconfirmed_write_says(self) -> None:
        led = Led(PUT)
        led.promised(A, 3, 4)
        led.promised(B)
        led.operation.again()
        led.promised(B, 2, 3)
        led.promised(C, 2, 3)
        led.operation.expire()
        self.assertEqual(led.outcome, Unconfirmed(3))

    def test_a_write_that_finds_itself_done_says_so_and_is_not_done_twice(self) -> None:
        led = Led(Put(KEY, b"new", b"request 2", since=1))
        led.asks.clear()
        led.promised(A, 3, 4)
        led.promised(B)
        (_, accept), *_ = led.asks
        assert isinstance(accept, msg.Accept)
        self.assertEqual(accept.content, content(4))
        led.accepted(A, B)
        self.assertEqual(led.outcome, Done(*WHERE, 1, 2, (A, B), (C,)))

    def test_a_write_that_was_not_done_before_is_done_now(self) -> None:
        led = Led(Put(KEY, b"new", b"mine", since=1))
        led.promised(A, 3, 4)
        led.promised(B)
        led.accepted(A, B)
        assert isinstance(led.outcome, Done)
        self.assertEqual(led.outcome.version, 5)

    def test_a_write_of_which_nobody_can_tell_any_more_is_not_done(self) -> None:
        led = Led(Put(KEY, b"new", b"mine", since=1))
        led.promised(A, 3, 40)
        led.promised(B, 3, 40)
        self.assertIsNone(led.outcome)
        self.assertEqual(led.operation.attempt.content, content(40))
        led.accepted(A, B)
        self.assertEqual(led.outcome, Untold())

    def test_asking_again_without_a_majority_leaves_it_unconfirmed(self) -> None:
        led = Led(Put(KEY, b"new", b"mine", since=1))
        led.operation.expire()
        self.assertEqual(led.outcome, Unconfirmed(1))


class UnaskedTests(SynchronousTestCase):
    """What is no answer to the present question changes nothing."""

    def assert_ignored(self, led: Led, *answers: tuple[str, object]) -> None:
        operation, handlers = led.operation, {
            msg.Told: led.operation.on_told,
            msg.Promised: led.operation.on_promised,
            msg.Accepted: led.operation.on_accepted,
            msg.Outrun: led.operation.on_outrun,
            msg.Refused: led.operation.on_refused,
        }  # fmt: skip
        before, effects = operation.attempt, [*led.effects]
        for sender, answer in answers:
            handlers[type(answer)](sender, answer)  # type: ignore[index, operator]
            self.assertEqual((operation.attempt, led.effects), (before, effects), answer)

    def answers(self, mine: Ballot, **where: object) -> list[object]:
        """Return one answer of each kind."""
        here = to(**where)  # type: ignore[arg-type]
        return [
            msg.Told(here, 5, ballot(3), content(2)),
            msg.Promised(here, 5, mine, ballot(3), content(2), 0),
            msg.Accepted(here, 5, mine),
            msg.Outrun(here, 5, mine, ballot(9)),
            msg.Refused(here, 5, Why.MOVED, WHERE[0], 1, SECOND, False),
        ]

    def phases(self) -> list[Led]:
        """Return an operation in each of the phases."""
        reading, preparing, accepting, waiting, ended = Led(Get(KEY)), *(Led(PUT) for _ in "1234")
        for member in (A, B):
            accepting.promised(member)
            waiting.outrun(member, 9)
        ended.operation.expire()
        found = [reading, preparing, accepting, waiting, ended]
        phases = [led.operation.attempt.phase.name for led in found]
        self.assertEqual(phases, ["READ", "PREPARE", "ACCEPT", "WAIT", "ENDED"])
        return found

    def test_answers_of_who_is_no_member_are_not_heard(self) -> None:
        for led in self.phases():
            self.assert_ignored(led, *(("D", each) for each in self.answers(led.ballot)))

    def test_answers_from_elsewhere_are_not_heard(self) -> None:
        for led in self.phases():
            for where in (
                {"formation": b"other"},
                {"slot": 8},
                {"generation": 2},
                {"epoch": 2},
                {"store": 2},
            ):
                answers = self.answers(led.ballot, **where)
                self.assert_ignored(led, *(("A", each) for each in answers))

    def test_answers_for_another_ballot_are_not_heard(self) -> None:
        for led in self.phases()[1:]:
            _told, *answers, _refused = self.answers(ballot(led.ballot.counter, "Y"))
            self.assert_ignored(led, *(("A", each) for each in answers))

    def test_an_answer_to_another_question_is_not_heard(self) -> None:
        for led, heard in zip(self.phases(), (0, 1, 2, None, None), strict=True):
            told, promised, accepted, outrun, refused = self.answers(led.ballot)
            others = [told, promised, accepted]
            if heard is None:
                others += [outrun, refused]
            else:
                del others[heard]
            self.assert_ignored(led, *(("A", each) for each in others))

    def test_a_member_that_cannot_be_reached_is_counted_once_and_only_while_it_is_asked(self):
        reading, preparing, accepting, waiting, ended = self.phases()
        for led in (reading, preparing, accepting):
            led.operation.unreachable(A)
            self.assertEqual(led.operation.attempt.silent, (A,))
            effects = [*led.effects]
            led.operation.unreachable(A)
            self.assertEqual((led.operation.attempt.silent, led.effects), ((A,), effects))
        for led in (waiting, ended):
            before, effects = led.operation.attempt, [*led.effects]
            led.operation.unreachable(A)
            self.assertEqual((led.operation.attempt, led.effects), (before, effects))

    def test_what_a_member_tells_is_heard_with_its_ballot_and_content(self) -> None:
        led = Led(Get(KEY))
        led.told(A, 3, 2)
        self.assertEqual(led.operation.attempt.heard, (Heard(A, ballot(3), content(2), 0),))
        self.assertEqual(led.operation.attempt.highest, ballot(3))

    def test_an_operation_that_has_not_begun_waits(self) -> None:
        attempt = Operation.at_first(PUT, FIRST)
        self.assertEqual((attempt.phase, attempt.since), (Phase.WAIT, None))
        again = Put(KEY, b"new", b"mine", since=4)
        self.assertEqual(Operation.at_first(again, FIRST).since, 4)
        self.assertIsNone(Operation.at_first(Get(KEY), FIRST).since)

    def test_one_member_outrun_and_one_silent_make_an_operation_of_three_wait(self) -> None:
        led = Led(PUT)
        led.outrun(A, 9)
        led.operation.unreachable(B)
        self.assertEqual(led.operation.attempt.phase, Phase.WAIT)
        self.assertEqual(led.effects.count(Wait(5)), 1)


class OthersTests(SynchronousTestCase):
    def test_an_operation_that_was_outrun_waits_and_then_takes_a_higher_ballot(self) -> None:
        led = Led(PUT)
        led.outrun(A, 7)
        led.outrun(A, 7)
        self.assertNotIn(Wait(5), led.effects)
        led.outrun(B, 8)
        self.assertEqual(led.effects.count(Wait(5)), 1)
        self.assertEqual(led.operation.attempt.phase, Phase.WAIT)
        led.operation.again()
        self.assertEqual(led.ballot.counter, 9)

    def test_an_operation_goes_on_where_the_slot_has_moved(self) -> None:
        led = Led(PUT)
        led.asks.clear()
        led.refused(A, Why.MOVED, SECOND)
        asks = led.asks
        self.assertEqual([name for name, _ in asks], ["A", "B", "D"])
        self.assertEqual({message.address.epoch for _, message in asks}, {2})
        self.assertEqual(led.ballot.epoch, 2)

    def test_a_read_that_has_to_move_begins_again_in_one_round(self) -> None:
        led = Led(Get(KEY))
        led.asks.clear()
        led.refused(A, Why.MOVED, SECOND)
        self.assertEqual({type(message) for _, message in led.asks}, {msg.Read})

    def test_answers_of_the_old_epoch_do_not_count_after_a_move(self) -> None:
        led = Led(Get(KEY))
        led.told(A, 3, 2)
        led.refused(C, Why.MOVED, SECOND)
        led.told(B, 3, 2)
        self.assertIsNone(led.outcome)

    def test_an_older_configuration_that_a_member_knows_is_not_followed(self) -> None:
        led = Led(PUT, where=SECOND)
        self.assertEqual(led.operation.attempt.configuration, SECOND)
        led.refused(A, Why.NOT_INSTALLED, FIRST)
        self.assertEqual(led.operation.attempt.configuration, SECOND)

    def test_a_node_of_another_formation_moves_nobody(self) -> None:
        led = Led(PUT)
        other = Configuration(1, 5, (D,))
        refused = msg.Refused(led_address(A), 5, Why.FORMATION, b"other", 1, other, False)
        led.operation.on_refused("A", refused)
        self.assertEqual(led.operation.attempt.configuration, FIRST)

    def test_an_operation_ends_at_once_when_a_majority_cannot_answer(self) -> None:
        led = Led(PUT)
        led.refused(A, Why.SLOT)
        self.assertIsNone(led.outcome)
        led.operation.unreachable(B)
        self.assertEqual(led.outcome, Unavailable(1, (A, B, C), 3))

    def test_an_operation_waits_while_the_slot_is_about_to_move_and_follows_it_then(self) -> None:
        for why in (Why.SEALED, Why.NOT_INSTALLED):
            for asked in (PUT, Get(KEY)):
                led = Led(asked)
                led.refused(A, why)
                self.assertNotIn(Wait(5), led.effects)
                led.refused(B, why)
                self.assertIn(Wait(5), led.effects)
                self.assertIsNone(led.outcome)
                led.asks.clear()
                led.operation.moved(FIRST)
                self.assertEqual(led.asks, [])
                led.operation.moved(SECOND)
                self.assertEqual([name for name, _ in led.asks], ["A", "B", "D"])

    def test_who_has_not_answered_is_asked_again_in_every_phase(self) -> None:
        led = Led(Get(KEY))
        led.asks.clear()
        led.told(A, 1, 1)
        led.operation.remind()
        self.assertEqual(led.kinds, [("B", msg.Read), ("C", msg.Read)])
        led.told(B, 2, 2)
        led.asks.clear()
        led.promised(C, 2, 2)
        led.operation.remind()
        self.assertEqual(led.kinds, [("A", msg.Prepare), ("B", msg.Prepare)])
        led.promised(A, 1, 1)
        led.asks.clear()
        led.accepted(B)
        led.operation.remind()
        self.assertEqual(led.kinds, [("A", msg.Accept), ("C", msg.Accept)])
        self.assertEqual(led.operation.attempt.answered, {B})
        led.accepted(C)
        led.operation.remind()
        self.assertEqual(led.asks, [])

    def test_nobody_is_asked_again_while_an_operation_waits(self) -> None:
        led = Led(PUT)
        led.promised(A)
        led.promised(B)
        led.outrun(A, 9)
        led.outrun(B, 9)
        self.assertEqual(led.operation.attempt.phase, Phase.WAIT)
        led.asks.clear()
        led.operation.remind()
        self.assertEqual(led.asks, [])

    def test_members_that_are_silent_or_were_faster_are_not_asked_again(self) -> None:
        led = Led(PUT)
        led.operation.unreachable(A)
        led.asks.clear()
        led.operation.remind()
        self.assertEqual(led.kinds, [("B", msg.Prepare), ("C", msg.Prepare)])

    def test_what_has_expired_by_the_clocks_of_a_majority_is_buried_before_anything_else(self):
        for asked in (PUT, Get(KEY)):
            led = Led(asked)
            if isinstance(asked, Get):
                led.told(A, 1, 1)
                led.told(B, 2, 1)
            led.asks.clear()
            led.expiring(A, wall=100.0)
            led.expiring(B, wall=100.0)
            ((_, buried), *_) = led.asks
            self.assertEqual((buried.content.value, buried.content.version), (None, 2))
            self.assertEqual(buried.content.requests[-1].request, b"")
            led.accepted(A, B)
            self.assertIsNone(led.outcome)
            self.assertEqual({kind for _, kind in led.kinds}, {msg.Prepare})

    def test_what_has_expired_by_one_clock_only_has_not(self) -> None:
        led = Led(PUT)
        led.asks.clear()
        led.expiring(A, wall=100.0)
        led.expiring(B, wall=99.9)
        ((_, taken), *_) = led.asks
        self.assertEqual((taken.content.value, taken.content.version), (b"new", 2))

    def test_a_reader_looks_closer_at_what_has_expired_by_its_own_clock(self) -> None:
        for wall, expected in ((99.9, False), (100.0, True)):
            led = Led(Get(KEY), wall=wall)
            led.asks.clear()
            for member in (A, B):
                known = replace(content(1), expires=100.0)
                led.operation.on_told(member.node, msg.Told(to(member), 5, ballot(1), known))
            self.assertEqual({kind for _, kind in led.kinds}, {msg.Prepare} if expected else set())
            self.assertEqual(led.outcome is None, expected)

    def test_a_write_that_was_sent_ends_unconfirmed_when_a_majority_cannot_answer(self) -> None:
        led = Led(PUT)
        led.promised(A)
        led.promised(B)
        led.operation.unreachable(A)
        led.operation.unreachable(C)
        self.assertEqual(led.outcome, Unconfirmed(0))

    def test_who_is_no_member_may_be_unreachable(self) -> None:
        led = Led(PUT)
        led.operation.unreachable(D)
        self.assertEqual(led.operation.attempt.silent, ())
