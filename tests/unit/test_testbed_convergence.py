"""Judging a ring from outside, and waiting until it is right."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import pairwise
from typing import Any

import msgspec
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.errors import NotConverged
from chordnet.survey.findings import in_words
from chordnet.survey.observer import Observer, Snapshot
from chordnet.survey.verdict import Names, ring_problems
from chordnet.survey.waiting import first_of, gather, in_thread, pause
from chordnet.testbed.actions.convergence import Progress, wait_converged
from chordnet.wire.rpc import NodeInfo, NodeStatus
from tests.unit.testbed_fakes import FakeNodes, ideal_ring, ideal_status, info, network

ALL = (1, 2, 3, 4, 5)


class AskingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.nodes = FakeNodes(network(3), statuses=ideal_ring(network(3), (1, 2, 3)))
        self.observer = Observer(self.clock, self.nodes.described, self.nodes.connect, 2.0)

    def seen(self, seconds: float) -> Snapshot:
        asking = Deferred.fromCoroutine(self.observer.statuses([1, 2, 3]))
        self.clock.advance(seconds)
        return self.successResultOf(asking)

    def test_a_connection_that_failed_is_closed_and_made_anew(self) -> None:
        for spoil, seconds in ((self.nodes.frozen.add, 2.0), (self.nodes.statuses.pop, 0.0)):
            self.assertEqual(len(self.seen(0.0).statuses), 3)
            self.assertEqual(self.nodes.open, 3)
            spoil(2)
            self.assertEqual(list(self.seen(seconds).silent), [2])
            self.assertEqual(self.nodes.open, 2, "the one that failed is closed")
            self.nodes.frozen.clear()
        self.observer.close()
        self.assertEqual(self.nodes.open, 0)

    def test_silence_costs_the_observers_patience_and_no_more(self) -> None:
        self.nodes.frozen = {3}
        asking = Deferred.fromCoroutine(self.observer.statuses([1, 2, 3]))
        self.clock.advance(1.9)
        self.assertNoResult(asking)
        self.clock.advance(0.2)
        self.assertEqual(self.successResultOf(asking).silent, {3: "nothing heard for 2 s"})

    def test_a_question_may_have_a_patience_of_its_own(self) -> None:
        self.nodes.frozen = {3}
        asking = Deferred.fromCoroutine(self.observer.history(network(3).address(3), 5.0))
        self.clock.advance(4.9)
        self.assertNoResult(asking)
        self.clock.advance(0.2)
        self.assertEqual(self.successResultOf(asking).why, "nothing heard for 5 s")

    def test_64_visitors_are_asked_and_no_more(self) -> None:
        strangers = [NodeInfo(f"{n:040x}", "", f"10.0.0.9:{n}") for n in range(1, 101)]
        self.nodes.statuses[1] = msgspec.structs.replace(
            self.nodes.statuses[1], successors=strangers
        )
        for stranger in strangers[:40]:
            self.nodes.visitors[stranger.address] = msgspec.structs.replace(
                self.nodes.statuses[2], node=stranger
            )
        more = [NodeInfo(f"{n:040x}", "", f"10.0.0.9:{n}") for n in range(201, 301)]
        self.nodes.visitors[strangers[0].address] = msgspec.structs.replace(
            self.nodes.statuses[2], node=strangers[0], successors=more
        )
        for found, first in ((strangers, 64), (strangers[:10], 10)):
            self.nodes.statuses[1] = msgspec.structs.replace(
                self.nodes.statuses[1], successors=found
            )
            asking = Deferred.fromCoroutine(self.observer.snapshot([1, 2, 3]))
            visitors = self.successResultOf(asking).visitors
            self.assertEqual(len(visitors), 64)
            self.assertEqual([*visitors][:first], [each.id for each in found[:first]])
            answered = [v for v in visitors.values() if isinstance(v, NodeStatus)]
            self.assertEqual(len(answered), min(first, 40))

    def test_a_visitor_that_another_node_answers_for_has_not_answered(self) -> None:
        stranger = NodeInfo("0f" * 20, "guest", "10.0.0.9:1")
        self.nodes.statuses[1] = msgspec.structs.replace(
            self.nodes.statuses[1], successors=[stranger]
        )
        self.nodes.visitors[stranger.address] = self.nodes.statuses[2]
        asking = Deferred.fromCoroutine(self.observer.snapshot([1, 2, 3]))
        self.assertEqual(self.successResultOf(asking).visitors, {stranger.id: stranger})


class VerdictTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = network(5)
        self.statuses = ideal_ring(self.network, ALL)

    def problems(self, expected: Collection[int] = ALL, **rest: Any) -> list[str]:
        return in_words(ring_problems(self.network, expected, Snapshot(self.statuses, {}, **rest)))

    def test_a_right_ring_has_no_problem(self) -> None:
        self.assertEqual(self.problems(), [])

    def test_the_nodes_own_verdict_counts_for_nothing(self) -> None:
        """Everybody says "active", and one points wrong."""
        wrong = msgspec.structs.replace(
            self.statuses[3], predecessor=info(self.network, self.network.identifier(3))
        )
        self.statuses[3] = wrong
        (text,) = self.problems()
        self.assertRegex(text, r"^Node 3: predecessor is Node 3, should be Node \d$")

    def test_slots_that_share_a_mistake_share_a_line(self) -> None:
        right = self.statuses[3]
        stale = info(self.network, self.network.identifier(9))
        low = [msgspec.structs.replace(f, node=stale) for f in right.fingers[:100]]
        self.statuses[3] = msgspec.structs.replace(right, fingers=low + right.fingers[100:])
        (text,) = self.problems()
        self.assertIn("Node 3: each of fingers 0-99 is", text)

    def test_a_pointer_at_a_node_that_is_gone_is_a_problem(self) -> None:
        del self.statuses[5]
        found = self.problems(expected=(1, 2, 3, 4))
        self.assertTrue(found)
        self.assertTrue(all("Node 5" in text for text in found), found)

    def test_a_node_that_is_silent_or_not_in_the_ring_is_named(self) -> None:
        self.statuses = ideal_ring(self.network, (1, 2, 3))
        joining = msgspec.structs.replace(
            ideal_status(self.network, self.network.identifier(4), [self.network.identifier(4)]),
            state="joining",
        )
        statuses = self.statuses | {4: joining}
        found = in_words(ring_problems(self.network, ALL, Snapshot(statuses, {5: "no word"})))
        self.assertEqual(
            found, ["Node 5 does not answer: no word", "Node 4 is joining, not in the ring"]
        )

    def test_another_identity_or_network_is_a_problem(self) -> None:
        self.statuses[2] = msgspec.structs.replace(self.statuses[2], network="other")
        self.assertEqual(self.problems(), ["Node 2: it belongs to the network 'other'"])

    def test_a_visitor_belongs_to_the_ring(self) -> None:
        """A node started by hand joined: the ring is right with it, and wrong without."""
        visitor = self.network.space.hash(b"visitor")
        members = [*(self.network.identifier(n) for n in ALL), visitor]
        self.statuses = {
            n: ideal_status(self.network, self.network.identifier(n), members) for n in ALL
        }
        seen = ideal_status(self.network, visitor, members)
        self.assertEqual(self.problems(visitors={seen.node.id: seen}), [])
        self.assertEqual(self.problems(visitors={seen.node.id: seen.node}), [])
        self.assertIn("visitor", Names(self.network).label(seen.node.id, "visitor"))
        self.assertNotEqual(self.problems(), [])


class WaitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)  # as on a machine that did not start just now
        self.network = network(5)
        self.nodes = FakeNodes(self.network)
        self.observer = Observer(self.clock, self.network, self.nodes.connect, patience=1.0)
        self.seen: list[Progress] = []

    def wait(self, timeout: float = 30.0) -> Deferred[Snapshot]:
        return Deferred.fromCoroutine(
            wait_converged(
                self.clock,
                self.network,
                self.observer,
                ALL,
                timeout=timeout,
                watch=self.seen.append,
            )
        )

    def test_a_right_ring_needs_no_waiting(self) -> None:
        self.nodes.statuses = ideal_ring(self.network, ALL)
        snapshot = self.successResultOf(self.wait())
        self.assertEqual(sorted(snapshot.statuses), list(ALL))

    def test_only_nodes_not_seen_in_a_ring_are_asked_again(self) -> None:
        self.nodes.statuses = ideal_ring(self.network, (1, 2, 3, 4))
        waiting = self.wait()
        self.nodes.asked.clear()
        self.clock.pump([0.1] * 10)
        self.assertEqual(set(self.nodes.asked), {5})
        self.nodes.statuses = ideal_ring(self.network, ALL)
        self.clock.pump([0.1] * 10)
        self.successResultOf(waiting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nodes_that_are_all_active_are_not_yet_one_ring(self) -> None:
        self.nodes.statuses = ideal_ring(self.network, (1, 2)) | ideal_ring(self.network, (3, 4, 5))
        waiting = self.wait(timeout=5.0)
        self.clock.pump([0.1] * 10)
        self.assertNoResult(waiting)
        self.assertEqual(self.seen[-1].active, 5)
        self.assertGreater(self.seen[-1].problems, 0)
        self.clock.pump([0.1] * 60)
        error = self.failureResultOf(waiting, NotConverged)
        self.assertIn("after 5 s", str(error.value))
        self.assertTrue(error.value.details)

    def test_a_wait_ends_when_the_time_is_up_and_not_a_question_later(self) -> None:
        waiting = self.wait(timeout=2.0)
        self.clock.pump([0.5] * 3)
        self.assertNoResult(waiting)
        self.clock.advance(0.5)
        self.failureResultOf(waiting, NotConverged)

    def test_the_time_may_be_counted_from_an_earlier_moment(self) -> None:
        waiting = Deferred.fromCoroutine(
            wait_converged(
                self.clock,
                self.network,
                self.observer,
                ALL,
                timeout=2.0,
                since=self.clock.seconds() - 1.5,
            )
        )
        self.clock.advance(0.5)
        problem = self.failureResultOf(waiting, NotConverged).value
        self.assertIn("after 2 s", str(problem))

    def test_five_of_what_is_wrong_are_listed_and_the_others_counted(self) -> None:
        for size, listed in ((5, []), (7, ["and 2 more"])):
            described = network(size)
            waiting = Deferred.fromCoroutine(
                wait_converged(self.clock, described, self.observer, described.numbers, timeout=1.0)
            )
            self.clock.pump([0.5] * 4)
            problem = self.failureResultOf(waiting, NotConverged).value
            named = [f"Node {n} is not in the ring" for n in range(1, 6)]
            self.assertEqual(list(problem.details), [*named, *listed])

    def between_questions(self, patience: float) -> list[float]:
        """Return the pauses between the questions to a node that takes so long to say nothing."""
        self.observer = Observer(self.clock, self.network, self.nodes.connect, patience)
        self.nodes.statuses = ideal_ring(self.network, ALL)
        self.nodes.frozen = {5} if patience < 1000 else set()
        if not self.nodes.frozen:
            del self.nodes.statuses[5]
        waiting = self.wait(timeout=10.0)
        moments: list[float] = []
        for _ in range(300):
            before = self.nodes.asked.count(5)
            self.clock.advance(1 / 64)
            moments += [self.clock.seconds()] * (self.nodes.asked.count(5) - before)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        return [round(b - a, 2) for a, b in pairwise(moments)]

    def test_the_pause_between_two_questions_grows_with_what_the_last_one_cost(self) -> None:
        for patience, cost, wait in ((10_000.0, 0.0, 0.04), (0.125, 0.125, 0.375), (0.5, 0.5, 0.5)):
            pauses = self.between_questions(patience)
            self.assertGreater(len(pauses), 1)
            for found in pauses:
                self.assertLess(abs(found - cost - wait), 0.02, (patience, pauses))

    def test_a_frozen_node_costs_its_own_limit_and_is_named_at_the_end(self) -> None:
        self.nodes.statuses = ideal_ring(self.network, ALL)
        self.nodes.frozen = {2}
        waiting = self.wait(timeout=4.0)
        self.clock.pump([0.1] * 100)
        error = self.failureResultOf(waiting, NotConverged)
        self.assertEqual(error.value.details, ("Node 2 is not in the ring",))

    def test_a_visitor_is_found_and_asked(self) -> None:
        visitor = self.network.space.hash(b"visitor")
        members = [*(self.network.identifier(n) for n in ALL), visitor]
        self.nodes.statuses = {
            n: ideal_status(self.network, self.network.identifier(n), members) for n in ALL
        }
        seen = ideal_status(self.network, visitor, members)
        self.nodes.visitors[seen.node.address] = seen
        snapshot = self.successResultOf(self.wait())
        self.assertEqual(list(snapshot.visitors), [seen.node.id])

    def test_connections_are_kept_and_closed_at_the_end(self) -> None:
        self.nodes.statuses = ideal_ring(self.network, ALL)
        for _ in range(3):
            self.successResultOf(Deferred.fromCoroutine(self.observer.snapshot(ALL)))
        self.assertEqual(self.nodes.open, 5)
        self.observer.close()
        self.assertEqual(self.nodes.open, 0)


class Threads:
    """A reactor and its pool of threads, where everything happens at once."""

    def getThreadPool(self) -> Threads:
        return self

    def callInThreadWithCallback(
        self, told: Callable[[bool, Any], None], work: Callable[..., Any], *arguments: Any
    ) -> None:
        try:
            told(True, work(*arguments))
        except ZeroDivisionError:
            told(False, Failure())

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
        call(*arguments)


class GatherTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    async def after(self, seconds: float, result: str) -> str:
        await pause(self.clock, seconds)
        if result == "fail":
            raise ValueError(result)
        return result

    def test_results_come_in_order(self) -> None:
        done = Deferred.fromCoroutine(gather([self.after(2, "a"), self.after(1, "b")]))
        self.clock.pump([1, 1])
        self.assertEqual(self.successResultOf(done), ["a", "b"])

    def test_the_first_failure_ends_the_others(self) -> None:
        done = Deferred.fromCoroutine(gather([self.after(9, "a"), self.after(1, "fail")]))
        self.clock.advance(1)
        self.failureResultOf(done, ValueError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelling_ends_all_that_was_gathered(self) -> None:
        done = Deferred.fromCoroutine(gather([self.after(9, "a"), self.after(9, "b")]))
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_first_result_wins(self) -> None:
        done = Deferred.fromCoroutine(first_of(self.after(9, "a"), self.after(1, "b")))
        self.clock.advance(1)
        self.assertEqual(self.successResultOf(done), "b")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_failure_that_is_first_wins(self) -> None:
        done = Deferred.fromCoroutine(first_of(self.after(9, "a"), self.after(1, "fail")))
        self.clock.advance(1)
        self.failureResultOf(done, ValueError)

    def test_work_in_a_thread_gives_its_result_or_its_failure(self) -> None:
        reactor = Threads()
        done = Deferred.fromCoroutine(in_thread(reactor, divmod, 7, 2))
        self.assertEqual(self.successResultOf(done), (3, 1))
        failing = Deferred.fromCoroutine(in_thread(reactor, divmod, 7, 0))
        self.failureResultOf(failing, ZeroDivisionError)

    def test_what_is_done_already_needs_no_clock(self) -> None:
        async def of(deferred: Deferred[str]) -> str:
            return await deferred

        done = Deferred.fromCoroutine(gather([of(succeed("a"))]))
        self.assertEqual(self.successResultOf(done), ["a"])
        failing = Deferred.fromCoroutine(gather([of(fail(KeyError("a")))]))
        self.failureResultOf(failing, KeyError)
