"""The judge of a key-value store on small histories: what is right, what is wrong, and why."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.judge.store.anomalies import Kind, Placed, Reason, Stuck, Verdict
from chordnet.judge.store.check import HistoryFound, KeyFound, check_history
from chordnet.judge.store.history import Operation, Outcome
from chordnet.judge.store.registers import Limits
from tests.unit.store_histories import conflict, delete, get, operation, put


class JudgeCase(SynchronousTestCase):
    def assert_right(self, *history: Operation, skew: float = 0.0) -> HistoryFound:
        found = check_history(history, skew=skew)
        self.assertIs(found.verdict, Verdict.RIGHT, found)
        return found

    def wrong(self, *history: Operation, skew: float = 0.0) -> KeyFound:
        found = check_history(history, skew=skew)
        self.assertIs(found.verdict, Verdict.WRONG, found)
        (key,) = (each for each in found.keys if each.verdict is Verdict.WRONG)
        return key

    def assert_seen(self, kind: Kind, numbers: tuple[int, ...], *history: Operation) -> None:
        key = self.wrong(*history)
        self.assertEqual([(each.kind, each.numbers) for each in key.anomalies], [(kind, numbers)])
        self.assertIsNone(key.counterexample)

    def assert_stuck(self, number: int, reason: Reason, *history: Operation) -> KeyFound:
        key = self.wrong(*history)
        assert key.counterexample is not None, key.anomalies
        self.assertIn(Stuck(number, reason), key.counterexample.stuck)
        return key


class RightTests(JudgeCase):
    def test_a_history_without_operations_is_right(self) -> None:
        found = self.assert_right()
        self.assertEqual((found.keys, found.operations, found.clients), ((), 0, 0))

    def test_a_read_beside_a_write_may_find_it_or_not(self) -> None:
        first = put(0, 1, "a", 1)
        self.assert_right(first, put(2, 5, "b", 2), get(3, 4, "a", 1))
        self.assert_right(first, put(2, 5, "b", 2), get(3, 4, "b", 2))
        self.assert_right(first, put(2, 5, "b", 2), get(3, 4, "b", 2), get(4.1, 4.9, "b", 2))

    def test_an_unconfirmed_write_may_appear_later_or_never(self) -> None:
        lost = put(0, None, "a", None)
        self.assert_right(lost, get(1, 2, None, None), get(50, 51, None, None))
        self.assert_right(lost, get(1, 2, None, None), get(50, 51, "a", 1))
        self.assert_right(lost, put(1, 2, "b", 1), get(3, 4, "b", 1), get(5, 6, "a", 2))

    def test_an_unconfirmed_answer_ends_nothing(self) -> None:
        told = operation("put", 0, 1, "unconfirmed", value="a")
        self.assert_right(told, get(2, 3, None, None), get(4, 5, "a", 1))

    def test_an_unconfirmed_delete_explains_why_nothing_is_there(self) -> None:
        self.assert_right(put(0, 1, "a", 1), delete(2, None, None), get(3, 4, None, None))

    def test_an_unconfirmed_condition_holds_at_its_version_alone(self) -> None:
        first, second = put(0, 1, "a", 1), put(2, 3, "b", 2)
        late = put(0, None, "c", None, if_version=1)
        self.assert_right(first, late, get(2, 3, "c", 2))
        self.assert_stuck(4, Reason.VERSION, first, second, late, get(4, 5, "c", 3))

    def test_which_of_the_unconfirmed_writes_came_when_is_found_out(self) -> None:
        loose = put(0, None, "a", None), put(0, None, "b", None)
        last = operation("get", 7, 8, "value", found="a")
        first = operation("get", 1, 2, "value", found="b")
        self.assert_right(*loose, first, put(3, 4, "c", 2), last)
        self.assert_right(put(0, 1, "x", 1), *loose, delete(0, None, None), put(2, 3, "c", 3), last)

    def test_which_of_two_leases_of_one_value_was_taken_is_found_out(self) -> None:
        leases = [put(0, None, "a", None, expires=seconds) for seconds in (100, 1)]
        answers = get(2, 3, "a", 1), get(5, 6, None, None), put(7, 8, "b", 3)
        self.assert_right(*leases, *answers)
        self.assert_right(*leases[::-1], *answers)

    def test_what_was_unavailable_never_happened(self) -> None:
        refused = operation("put", 0, 1, "unavailable", value="a")
        self.assert_right(refused, get(2, 3, None, None))
        self.assert_seen(Kind.UNWRITTEN_VALUE, (2, 1), refused, get(2, 3, "a", 1))

    def test_stale_reads_are_counted_and_nothing_is_asked_of_them(self) -> None:
        found = self.assert_right(
            put(0, 1, "a", 1), put(2, 3, "b", 2), get(4, 5, "a", 1, stale=True)
        )
        self.assertEqual((found.stale, found.operations), (1, 3))

    def test_a_get_without_an_answer_says_nothing(self) -> None:
        found = self.assert_right(
            put(0, 1, "a", 1), operation("get", 2, None, "unconfirmed"),
            operation("get", 3, 4, "unavailable"),
        )  # fmt: skip
        self.assertEqual(found.unconfirmed, 1)

    def test_compare_and_set_and_conflicts(self) -> None:
        self.assert_right(
            put(0, 1, "a", 1, if_version=0),
            conflict(2, 3, 0, 1, found="a"),
            put(4, 5, "b", 2, if_version=1),
            conflict(6, 7, 1, 2),
            delete(8, 9, 3, if_version=2),
            conflict(10, 11, 2, 0),
            conflict(12, 13, 3, None),
            put(14, 15, "c", 4, if_version=0),
        )

    def test_after_a_delete_any_greater_version_will_do(self) -> None:
        self.assert_right(put(0, 1, "a", 7), delete(2, 3, 8), put(4, 5, "b", 40))
        self.assert_stuck(2, Reason.VERSION, put(0, 1, "a", 7), put(4, 5, "b", 9))

    def test_a_delete_of_nothing_need_not_make_a_version(self) -> None:
        self.assert_right(delete(0, 1, None), put(2, 3, "a", 1), delete(4, 5, 2), delete(6, 7, 5))

    def test_an_unconfirmed_write_may_have_made_any_version_of_a_key_that_was_not_there(
        self,
    ) -> None:
        lost = put(0, None, "a", None)
        self.assert_right(lost, put(1, 2, "b", 9), get(3, 4, "b", 9))
        self.assert_right(lost, get(1, 2, "a", 8), put(3, 4, "b", 9))
        self.assert_right(lost, put(0, None, "x", None), put(5, 6, "b", 9, if_version=8))

    def test_keys_are_judged_one_by_one(self) -> None:
        history = [put(0, 1, "a", 1), get(2, 3, "a", 1), get(2, 3, None, None, key="other")]
        found = self.assert_right(*history)
        self.assertEqual([each.key for each in found.keys], ["k", "other"])
        key = self.wrong(*history, get(4, 5, None, None))
        self.assertEqual((key.key, key.operations), ("k", 3))


class ExpiryTests(JudgeCase):
    def test_what_expires_may_be_gone_after_its_time_and_not_before(self) -> None:
        lease = put(0, 1, "a", 1, expires=10)
        self.assert_right(lease, get(20, 21, "a", 1))
        self.assert_right(lease, get(10, 11, None, None))
        self.assert_right(lease, get(9, 10, None, None))
        self.assert_right(lease, get(12, 13, None, None), put(14, 15, "b", 3, if_version=0))
        self.assert_stuck(2, Reason.PRESENT, lease, get(8, 9.5, None, None))
        self.assert_right(lease, get(8, 9.5, None, None), skew=0.5)

    def test_only_the_lease_that_is_there_expires(self) -> None:
        lease, renewed = put(0, 1, "a", 1, expires=10), put(5, 6, "a", 2, expires=20, if_version=1)
        self.assert_right(lease, renewed, get(25, 26, None, None))
        self.assert_stuck(3, Reason.PRESENT, lease, renewed, get(12, 13, None, None))
        self.assert_stuck(3, Reason.PRESENT, lease, put(5, 6, "b", 2), get(12, 13, None, None))

    def test_an_expiry_makes_a_version(self) -> None:
        lease = put(0, 1, "a", 1, expires=10)
        self.assert_right(lease, put(20, 21, "b", 2))
        self.assert_stuck(2, Reason.CONDITION, lease, put(20, 21, "b", 2, if_version=0))
        key = self.assert_stuck(
            3,
            Reason.VALUE,
            lease,
            put(20, 21, "b", 3),
            operation("get", 22, 23, "value", found="a"),
        )
        assert key.counterexample is not None
        self.assertEqual(
            key.counterexample.longest,
            (
                Placed(1, 1, "a"),
                Placed(1, 2, None, expiry=True),
                Placed(2, 3, "b"),
            ),
        )


class WrongTests(JudgeCase):
    def test_a_stale_read(self) -> None:
        history = [put(0, 1, "a", 1), put(2, 3, "b", 2), get(4, 5, "a", 1)]
        self.assert_seen(Kind.STALE, (3, 2), *history)
        self.assert_right(*history, skew=1.0)

    def test_a_write_that_makes_a_version_after_it_was_read(self) -> None:
        lost = put(0, None, "b", None)
        self.assert_seen(
            Kind.STALE, (4, 3), put(0, 1, "a", 1), lost, get(2, 3, "b", 2), put(5, 6, "b", 2)
        )

    def test_two_reads_that_see_a_write_come_and_go(self) -> None:
        first, write = put(0, 1, "a", 1), put(2, 9, "b", 2)
        seen = get(3, 4, "b", 2), get(5, 6, "a", 1)
        self.assert_seen(Kind.STALE, (4, 3), first, write, *seen)
        own = [msgspec.structs.replace(each, client="reader") for each in seen]
        self.assert_seen(Kind.GOES_BACK, (4, 3), first, write, *own)

    def test_a_clients_own_order_holds_whatever_the_clocks_of_others(self) -> None:
        history = [
            put(0, 1, "a", 1), put(2, 9, "b", 2), get(3, 4, "b", 2, client="c"),
            get(4, 5, "a", 1, client="c"),
        ]  # fmt: skip
        key = self.wrong(*history, skew=60.0)
        self.assertEqual(key.anomalies[0].kind, Kind.GOES_BACK)
        gone = msgspec.structs.replace(history[3], outcome=Outcome.ABSENT, found=None, version=None)
        key = self.wrong(*history[:3], gone, skew=60.0)
        self.assertEqual(key.counterexample and key.counterexample.core, (3, 4))

    def test_a_lost_write_whose_version_is_made_again(self) -> None:
        self.assert_seen(Kind.VERSION_TWICE, (2, 1), put(0, 1, "a", 1), put(2, 3, "b", 1))

    def test_a_lost_write_that_no_version_tells_of(self) -> None:
        history = [put(0, 1, "a", 1), put(2, 3, "b", 2), get(4, 5, None, None)]
        key = self.assert_stuck(3, Reason.PRESENT, *history)
        assert key.counterexample is not None
        self.assertEqual(key.counterexample.core, (2, 3))
        self.assertEqual([step.number for step in key.counterexample.longest], [1, 2])

    def test_what_was_deleted_comes_back(self) -> None:
        history = [put(0, 1, "a", 1), delete(2, 3, 2)]
        self.assert_seen(Kind.STALE, (3, 2), *history, get(4, 5, "a", 1))
        self.assert_seen(Kind.UNWRITTEN_VERSION, (3, 1), *history, get(4, 5, "a", 3))
        untold = [put(0, 1, "a", None), delete(2, 3, None)]
        back = operation("get", 4, 5, "value", found="a")
        key = self.assert_stuck(3, Reason.ABSENT, *untold, back)
        self.assertEqual(key.counterexample and key.counterexample.core, (1, 2, 3))

    def test_two_holders_by_compare_and_set(self) -> None:
        holders = [put(0, 5, "a", 1, if_version=0), put(1, 6, "b", 1, if_version=0)]
        self.assert_seen(Kind.VERSION_TWICE, (2, 1), *holders)
        untold = [msgspec.structs.replace(each, version=None) for each in holders]
        self.assert_stuck(2, Reason.CONDITION, *untold)
        later = [put(0, 1, "x", 4), *(put(2, 9, v, None, if_version=4) for v in "ab")]
        self.assert_seen(Kind.VERSION_TWICE, (3, 2), *later)

    def test_a_put_that_must_not_find_anything_and_did(self) -> None:
        history = [put(0, 1, "a", 1), put(2, 3, "b", 2, if_version=0)]
        key = self.assert_stuck(2, Reason.CONDITION, *history)
        self.assertEqual(key.counterexample and key.counterexample.core, (1, 2))

    def test_a_write_that_is_done_twice(self) -> None:
        self.assert_seen(
            Kind.UNWRITTEN_VERSION, (4, 1),
            put(0, 1, "a", 1), get(2, 3, "a", 1), put(4, 5, "b", 2), get(6, 7, "a", 3),
        )  # fmt: skip
        twice = [put(0, None, "a", None), get(2, 3, "a", 1), put(4, 5, "b", 2), get(6, 7, "a", 3)]
        self.assert_stuck(4, Reason.VERSION, *twice)

    def test_a_version_told_with_two_values(self) -> None:
        lost = put(0, None, "a", None), put(0, None, "b", None)
        self.assert_seen(Kind.VERSION_TWICE, (4, 3), *lost, get(1, 2, "a", 1), get(1, 2, "b", 1))
        self.assert_seen(Kind.VERSION_TWICE, (4, 3), *lost, delete(1, 2, 2), get(1, 2, "a", 2))
        self.assert_seen(
            Kind.VERSION_TWICE, (5, 4), *lost, conflict(1, 2, 0, 1), get(1, 2, "a", 1),
            conflict(1, 2, 0, 1, found="b"),
        )  # fmt: skip

    def test_a_value_that_nobody_wrote_or_not_yet(self) -> None:
        self.assert_seen(Kind.UNWRITTEN_VALUE, (1,), get(0, 1, "a", 1))
        future = get(0, 1, "a", 1), put(2, 3, "a", None)
        self.assert_seen(Kind.UNWRITTEN_VALUE, (1, 2), *future)
        self.assert_right(*future, skew=1.0)
        told = conflict(2, 3, 0, 1, found="z")
        self.assert_seen(Kind.VERSION_TWICE, (2, 1), put(0, 1, "a", 1), told)

    def test_a_version_that_no_write_could_make(self) -> None:
        for history in (
            [put(0, 1, "a", 0)],
            [put(0, 1, "a", 1), put(2, 3, "b", 3, if_version=1)],
            [put(0, 1, "a", 1), get(2, 3, "a", 0)],
        ):
            self.assert_seen(Kind.IMPOSSIBLE_VERSION, (len(history),), *history)

    def test_a_conflict_without_a_cause(self) -> None:
        first = put(0, 1, "a", 1)
        unasked = operation("put", 2, 3, "conflict", value="b", version=1)
        self.assert_seen(Kind.NEEDLESS_CONFLICT, (2,), first, conflict(2, 3, 1, 1))
        self.assert_seen(Kind.NEEDLESS_CONFLICT, (2,), first, unasked)
        self.assert_seen(Kind.NEEDLESS_CONFLICT, (1,), conflict(2, 3, 0, None))

    def test_a_conflict_is_a_read(self) -> None:
        history = [put(0, 1, "a", 1), put(2, 3, "b", 2)]
        self.assert_seen(Kind.STALE, (3, 2), *history, conflict(4, 5, 7, 1))
        self.assert_stuck(3, Reason.PRESENT, *history, conflict(4, 5, 7, 0))

    def test_an_operation_that_ends_before_it_begins(self) -> None:
        self.assert_seen(Kind.ENDS_FIRST, (1,), put(2, 1, "a", 1))

    def test_a_write_whose_version_another_one_made(self) -> None:
        self.assert_stuck(
            2, Reason.TAKEN, put(0, 1, "a", 1), put(2, 3, "b", None), put(4, 5, "c", 2),
            get(6, 7, "c", 2),
        )  # fmt: skip

    def test_writes_whose_versions_contradict_each_other_without_any_time(self) -> None:
        history = [put(0, 9, "a", 2), put(0, 9, "b", 3, if_version=0)]
        key = self.wrong(*history)
        self.assertEqual(key.counterexample and key.counterexample.core, (1, 2))


class AddedUpTests(JudgeCase):
    def test_clocks_agree_unless_it_is_said_how_far_they_are_apart(self) -> None:
        history = [put(0, 1, "a", 1), put(2, 3, "b", 2), get(3.5, 4, "a", 1)]
        self.assertIs(check_history(history).verdict, Verdict.WRONG)
        self.assertIs(check_history(history, None, 0.5).verdict, Verdict.RIGHT)

    def test_clients_operations_and_unconfirmed_ones_are_counted_over_all_keys(self) -> None:
        history = [
            put(0, 1, "a", 1, client="one"),
            put(2, None, "b", None, client="two"),
            get(4, 5, "a", 1, client="one", key="other", stale=True),
            get(6, 7, None, None, client="three", key="third"),
        ]
        found = check_history(history)
        self.assertEqual(
            (found.operations, found.clients, found.unconfirmed, found.stale, found.complete),
            (4, 3, 1, 1, True),
        )
        self.assertEqual(
            [(each.key, each.operations, each.steps) for each in found.keys],
            [("k", 2, 4), ("other", 1, 1), ("third", 1, 3)],
        )

    def test_a_version_that_is_made_after_it_was_told_goes_back_from_the_first_version_on(self):
        lost = put(0, None, "a", None)
        self.assert_seen(Kind.STALE, (3, 2), lost, get(1, 2, "a", 1), put(3, 4, "a", 1))


class LimitTests(JudgeCase):
    HARD = tuple(put(0, 99, f"v{n}", None) for n in range(9)) + tuple(
        operation("get", 100 + n, 100.5 + n, "value", found=f"v{n}") for n in range(2)
    )
    """All orders of nine writes have to be tried to see that two of them cannot both be last."""

    def test_what_takes_too_many_steps_is_not_decided(self) -> None:
        found = check_history(self.HARD, Limits(steps=1000))
        self.assertIs(found.verdict, Verdict.UNDECIDED)
        self.assertGreater(found.keys[0].steps, 1000)
        self.assertLess(found.keys[0].steps, 1100)

    def test_what_takes_too_much_memory_is_not_decided(self) -> None:
        found = check_history(self.HARD, Limits(remembered=200))
        self.assertIs(found.verdict, Verdict.UNDECIDED)

    def test_within_the_limits_it_is_wrong(self) -> None:
        self.assertIs(check_history(self.HARD).verdict, Verdict.WRONG)

    def test_a_history_that_was_not_looked_at_to_its_end_is_not_right(self) -> None:
        history = [put(0, 1, "a", 1), get(2, 3, "a", 1), get(4, 5, None, None)]
        found = check_history(history, Limits(operations=2))
        self.assertEqual(
            (found.verdict, found.complete, found.operations), (Verdict.UNDECIDED, False, 2)
        )
        self.assertTrue(check_history(history[:2], Limits(operations=2)).complete)
        bad = [put(0, 1, "a", 1), get(2, 3, None, None), get(4, 5, "a", 1)]
        self.assertIs(check_history(bad, Limits(operations=2)).verdict, Verdict.WRONG)

    def test_a_wrong_key_is_told_beside_one_that_is_not_decided(self) -> None:
        history = [*self.HARD, get(0, 1, "a", 1, key="other")]
        found = check_history(history, Limits(steps=1000))
        self.assertEqual([each.verdict for each in found.keys], [Verdict.UNDECIDED, Verdict.WRONG])
        self.assertIs(found.verdict, Verdict.WRONG)
