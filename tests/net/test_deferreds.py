"""Deferreds made of callbacks: each fires once, and nobody is told who does not wait any more."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import Busy, NotInRing
from chordnet.net.base.deferreds import Waiters, from_call, from_callback


class AskedTests(SynchronousTestCase):
    def ask(self) -> Deferred:
        self.callbacks = []
        return from_callback(self.callbacks.append)

    def test_the_result_is_handed_over(self):
        answer = self.ask()
        self.assertNoResult(answer)
        self.callbacks[0]("a result")
        self.assertEqual(self.successResultOf(answer), "a result")

    def test_what_went_wrong_is_a_failure(self):
        answer = self.ask()
        self.callbacks[0](NotInRing("gone"))
        self.failureResultOf(answer, NotInRing)

    def test_a_refusal_is_a_failure(self):
        def refuse(_done):
            raise Busy("later")

        self.failureResultOf(from_callback(refuse), Busy)

    def test_whoever_has_cancelled_hears_nothing_more(self):
        for late in ("a result", NotInRing("gone")):
            answer = self.ask()
            answer.cancel()
            self.failureResultOf(answer, CancelledError)
            self.callbacks[0](late)


class ToldTests(SynchronousTestCase):
    def test_what_is_known_at_once_is_told_at_once(self):
        self.assertEqual(self.successResultOf(from_call(lambda: 5)), 5)

    def test_what_went_wrong_is_a_failure(self):
        def tell():
            raise NotInRing("gone")

        self.failureResultOf(from_call(tell), NotInRing)

    def test_a_bug_is_no_answer(self):
        self.assertRaises(ZeroDivisionError, from_call, lambda: 1 // 0)


class WaitersTests(SynchronousTestCase):
    def setUp(self):
        self.waiters = Waiters()

    def test_all_who_wait_are_told_once(self):
        waiting = [self.waiters.wait() for _ in range(3)]
        self.waiters.tell(None)
        self.waiters.tell(NotInRing("too late"))
        self.assertEqual([self.successResultOf(waiter) for waiter in waiting], [None] * 3)

    def test_who_waits_in_vain_is_told_why(self):
        waiter = self.waiters.wait()
        self.waiters.tell(NotInRing("stopped"))
        self.failureResultOf(waiter, NotInRing)

    def test_who_has_cancelled_is_not_told(self):
        waiter = self.waiters.wait()
        waiter.cancel()
        self.failureResultOf(waiter, CancelledError)
        self.assertEqual(self.waiters._waiting, {})
        self.waiters.tell(None)

    def test_who_is_told_may_cancel_another_who_waits(self):
        first, second, third = (self.waiters.wait() for _ in range(3))
        first.addCallback(lambda _none: second.cancel())
        self.waiters.tell(None)
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.successResultOf(third), None)

    def test_whoever_waits_again_waits_for_the_next_time(self):
        again = []
        self.waiters.wait().addCallback(lambda _none: again.append(self.waiters.wait()))
        self.waiters.tell(None)
        self.assertNoResult(again[0])
