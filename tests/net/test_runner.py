"""The loop around the core: order of effects, the timer, failures; the turn and the journal."""

from __future__ import annotations

from functools import partial

from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, LogPublisher, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import PeerDied, Send, StatusChanged
from chordnet.core.base.events import LinkDown, LinkFault, Received, Tick
from chordnet.core.base.messages import Ping, Pong, Status
from chordnet.net.base.journal import Journal
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.turn import Turn
from chordnet.net.runtime.runner import Runner, Surroundings
from chordnet.testing import RecordingTransport, ScriptedCore
from tests.net.hosts import Keeper, node_ref, quiet_journal

ME, YOU = node_ref("me", "10.0.0.1:7001"), node_ref("you", "10.0.0.2:7001")


class LooseCore(ScriptedCore):
    """One whose bound may be looser than its deadline."""

    loose: float | None = None

    @property
    def bound(self):
        return super().bound if self.loose is None else self.loose


class RunnerCase(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.journal, self.lines = quiet_journal(self.clock)
        self.turn = Turn(self.clock, lambda what: self.journal.failure(NetMetric.TURN_ERRORS, what))
        self.core = LooseCore(ME)
        self.performed = []
        self.runner = Runner(
            self.clock, self.turn, self.core, self.journal, self.clock.seconds, self.surround
        )

    def surround(self, _runner):
        self.transport = RecordingTransport()
        performers = {StatusChanged: self.performed.append, PeerDied: self.died}
        return Surroundings(self.transport, performers, self.rest)

    def rest(self):
        self.performed.append("rest")

    def died(self, effect):
        raise ZeroDivisionError("a performer with a bug")

    def tearDown(self):
        self.runner.stop()
        self.turn.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LoopTests(RunnerCase):
    def test_messages_become_events_and_effects_are_performed_in_order(self):
        change = StatusChanged(Status.UNJOINED, Status.ACTIVE)
        self.core.script = lambda event: [Send(YOU, Pong(1, 3)), change, Send(YOU, Ping(2))]
        self.runner.post(Received(YOU, Ping(1)))
        self.assertEqual(self.core.events, [Received(YOU, Ping(1))])
        self.assertEqual(self.transport.sent, [(YOU, Pong(1, 3)), (YOU, Ping(2))])
        self.assertEqual(self.performed, [change])

    def test_what_an_effect_causes_waits_until_the_effects_are_done(self):
        order = []

        def script(event):
            order.append(type(event).__name__)
            return [Send(YOU, Ping(1)), Send(YOU, Ping(2))] if type(event) is Received else []

        def send(to, message):
            order.append(message.rid)
            self.runner.down(to, LinkFault.REFUSED)

        self.core.script, self.transport.send = script, send
        self.runner.post(Received(YOU, Ping(0)))
        self.assertEqual(order, ["Received", 1, 2, "LinkDown", "LinkDown"])
        self.assertEqual(self.core.seen(LinkDown)[0], LinkDown(YOU, LinkFault.REFUSED))

    def test_an_exception_in_the_core_is_logged_and_counted_and_the_node_goes_on(self):
        def script(event):
            if len(self.core.events) == 1:
                raise ZeroDivisionError("a bug")
            return []

        self.core.script = script
        self.runner.post(Received(YOU, Ping(1)))
        self.runner.post(Received(YOU, Ping(2)))
        self.assertEqual(len(self.core.events), 2)
        self.assertEqual(self.journal.counters.number(NetMetric.CORE_ERRORS), 1)
        self.assertIn("the protocol failed on Received", self.lines[0])

    def test_an_effect_that_fails_does_not_keep_the_others_from_being_performed(self):
        self.core.script = lambda event: [PeerDied(YOU), Send(YOU, Ping(1))]
        self.runner.post(Received(YOU, Ping(0)))
        self.assertEqual(self.transport.sent, [(YOU, Ping(1))])
        self.assertEqual(self.journal.counters.number(NetMetric.EFFECT_ERRORS), 1)

    def test_what_waits_when_an_effect_stops_the_runner_does_not_reach_the_core(self):
        def send(to, message):
            self.runner.down(to, LinkFault.REFUSED)
            self.runner.stop()

        self.core.script, self.transport.send = lambda event: [Send(YOU, Ping(1))], send
        self.runner.post(Received(YOU, Ping(0)))
        self.assertEqual(self.core.events, [Received(YOU, Ping(0))])

    def test_after_a_stop_nothing_reaches_the_core(self):
        self.runner.stop()
        self.runner.post(Received(YOU, Ping(1)))
        self.assertEqual(self.core.events, [])


class TimerTests(RunnerCase):
    def at(self, deadline: float | None) -> None:
        self.core.deadline = deadline
        with self.turn:
            self.runner.post(Received(YOU, Ping(0)))

    def timers(self) -> list[float]:
        """When the reactor is going to call, if at all."""
        return [call.getTime() for call in self.clock.getDelayedCalls()]

    def ticks(self) -> list[float]:
        pairs = zip(self.core.events, self.core.times, strict=True)
        return [time for event, time in pairs if type(event) is Tick]

    def test_the_deadline_is_kept(self):
        def script(event):
            if type(event) is Tick:
                self.core.deadline = None
            return []

        self.core.script = script
        self.at(2.0)
        self.clock.advance(1.9)
        self.assertEqual(self.ticks(), [])
        self.clock.advance(0.1)
        self.assertEqual(self.ticks(), [2.0])

    def test_what_no_message_waits_for_is_done_after_a_timer_and_after_its_messages_have_left(self):
        self.core.script = lambda event: self.turn.mark(Spy(self.performed, "flush")) or []
        self.at(2.0)
        self.assertEqual(self.performed, ["flush"])
        self.core.deadline = None
        self.clock.advance(2.0)
        self.assertEqual(self.performed, ["flush", "rest"])
        self.at(4.0)
        self.core.script = lambda event: (
            setattr(self.core, "deadline", None)
            or self.turn.mark(Spy(self.performed, "tick"))
            or []
        )
        self.clock.advance(2.0)
        self.assertEqual(self.performed, ["flush", "rest", "flush", "tick", "rest"])

    def test_a_nearer_deadline_moves_the_timer(self):
        self.at(5.0)
        self.at(1.0)
        self.core.script = lambda event: setattr(self.core, "deadline", None) or []
        self.clock.advance(1.0)
        self.assertEqual(self.ticks(), [1.0])

    def test_a_later_deadline_does_not_touch_the_timer(self):
        self.at(1.0)
        for deadline in (2.0, 3.0, 4.0, None):
            self.at(deadline)
            self.assertEqual(self.timers(), [1.0])

    def test_a_bound_below_the_deadline_does_not_touch_the_timer(self):
        """What was due at the bound has been settled meanwhile."""
        self.at(1.0)
        self.core.loose = 0.5
        for deadline in (2.0, 1.0, None):
            self.at(deadline)
            self.assertEqual(self.timers(), [1.0])
        self.assertEqual(self.journal.counters.named(), {})

    def test_what_is_due_already_is_not_kept_waiting(self):
        self.clock.advance(5.0)
        for deadline in (5.25, 4.0):
            self.at(deadline)
            self.assertEqual(self.timers(), [max(5.0, deadline)])
        self.core.script = lambda event: setattr(self.core, "deadline", None) or []
        self.clock.advance(0)
        self.assertEqual(self.ticks(), [5.0])

    def test_a_timer_that_fires_when_nothing_is_due_any_more_asks_the_core_nothing(self):
        self.at(1.0)
        self.at(None)
        self.clock.advance(1.0)
        self.assertEqual((self.ticks(), self.timers()), ([], []))

    def test_after_a_stop_no_timer_is_set(self):
        self.runner.stop()
        self.core.deadline = 1.0
        with self.turn:
            pass
        self.assertEqual(self.timers(), [])

    def test_a_timer_that_fires_early_asks_the_core_nothing(self):
        self.at(1.0)
        self.at(3.0)
        self.clock.advance(1.5)
        self.assertEqual(self.ticks(), [])
        self.core.script = lambda event: setattr(self.core, "deadline", None) or []
        self.clock.advance(1.5)
        self.assertEqual(self.ticks(), [3.0])

    def test_a_deadline_set_outside_of_a_turn_is_kept(self):
        self.core.deadline = 1.0
        self.runner.post(Received(YOU, Ping(0)))
        self.clock.advance(0)
        self.core.script = lambda event: setattr(self.core, "deadline", None) or []
        self.clock.advance(1.0)
        self.assertEqual(self.ticks(), [1.0])


class Spy:
    def __init__(self, order, name):
        self.order, self.name = order, name

    def flush(self):
        self.order.append(self.name)

    def abort(self):
        self.order.append(f"cut {self.name}")


class TurnTests(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.failed: list[str] = []
        self.turn = Turn(self.clock, self.failed.append)
        self.order: list[str] = []

    def test_the_end_of_a_turn_has_its_order(self):
        self.turn.settle = lambda: self.order.append("settle")
        with self.turn, self.turn:
            self.turn.after(lambda: self.order.append("after"))
            self.turn.mark(Spy(self.order, "flush"))
            self.turn.before(lambda: self.order.append("before"))
        self.assertEqual(self.order, ["before", "flush", "after", "settle"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_callback_that_sends_is_flushed_in_the_same_turn(self):
        with self.turn:
            self.turn.after(lambda: self.turn.mark(Spy(self.order, "late")))
        self.assertEqual(self.order, ["late"])

    def test_outside_of_a_turn_one_call_is_scheduled(self):
        self.turn.mark(Spy(self.order, "one"))
        self.turn.mark(Spy(self.order, "two"))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(0)
        self.assertEqual(self.order, ["one", "two"])

    def test_a_callback_given_outside_of_a_turn_is_called(self):
        self.turn.after(lambda: self.order.append("after"))
        self.assertEqual(self.order, [])
        self.clock.advance(0)
        self.assertEqual(self.order, ["after"])

    def test_a_stop_flushes_what_is_left_and_may_come_twice(self):
        self.turn.mark(Spy(self.order, "left"))
        self.turn.stop()
        self.assertEqual(self.order, ["left"])
        self.turn.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_could_not_be_kept_cuts_this_turns_connections_and_no_later_ones(self):
        keeper = Keeper([], keeps=False)
        self.turn.join(keeper)
        with self.turn:
            self.assertFalse(self.turn.commit())
            keeper.keeps = True
            self.assertFalse(self.turn.commit(), "nothing of this turn can be built on")
            self.turn.mark(Spy(self.order, "first"))
        with self.turn:
            self.assertTrue(self.turn.commit())
            self.turn.mark(Spy(self.order, "second"))
        self.assertEqual(self.order, ["cut first", "second"])

    def test_a_commit_that_fails_within_a_turn_with_nothing_to_send_does_not_cut_a_later_one(self):
        keeper = Keeper([], keeps=False)
        self.turn.join(keeper)
        with self.turn:
            self.assertFalse(self.turn.commit())
        keeper.keeps = True
        with self.turn:
            self.turn.mark(Spy(self.order, "later"))
        self.assertEqual(self.order, ["later"])

    def test_a_callback_that_raises_is_told_of_and_the_others_are_called(self):
        with self.turn:
            self.turn.after(lambda: 1 / 0)
            self.turn.after(lambda: self.order.append("next"))
        self.assertEqual(self.order, ["next"])
        self.assertEqual(self.failed, ["a callback after a turn"])

    def test_who_waits_for_the_last_connection_is_told_when_it_is_closed(self):
        spy = Spy(self.order, "it")
        self.turn.open.add(spy)
        self.turn.when_empty(lambda: self.order.append("empty"))
        self.assertEqual(self.order, [])
        self.turn.cut()
        self.turn.closed(spy)
        self.assertEqual(self.order, ["cut it", "empty"])
        self.turn.closed(spy)
        self.assertEqual(self.order, ["cut it", "empty"], "told once")
        self.turn.when_empty(lambda: self.order.append("again"))
        self.assertEqual(self.order[-1], "again")


class ParticipantTests(SynchronousTestCase):
    """Two participants in one turn, and a connection that has something to send."""

    def setUp(self):
        self.clock = Clock()
        self.events: list[LogEvent] = []
        logger = Logger(namespace="chordnet.node", observer=LogPublisher(self.events.append))
        self.journal = Journal(self.clock.seconds, "test", logger=logger)
        self.turn = Turn(self.clock, partial(self.journal.failure, NetMetric.TURN_ERRORS))
        self.order: list[str] = []
        self.log, self.store = Keeper(self.order, "log"), Keeper(self.order, "store")
        self.turn.join(self.log)
        self.turn.join(self.store)

    def end(self) -> list[str]:
        """Have a turn with something to send, and return what happened when it ended."""
        self.order.clear()
        with self.turn:
            self.turn.after(lambda: self.order.append("after"))
            self.turn.before(lambda: self.order.append("before"))
            self.turn.mark(Spy(self.order, "sent"))
        return self.order

    def fail_unexpectedly(self) -> None:
        raise ZeroDivisionError("a participant with a bug")

    def assert_logged(self, *texts: str) -> None:
        self.assertEqual(
            [formatEvent(event) for event in self.events], [f"test: {t}" for t in texts]
        )
        self.assertEqual(self.journal.counters.number(NetMetric.TURN_ERRORS), len(texts))

    def test_all_participants_commit_in_the_order_of_joining_and_are_told_before_a_send(self):
        self.assertEqual(
            self.end(),
            ["before", "log commit", "store commit", "log committed", "store committed", "sent",
             "after"],
        )  # fmt: skip

    def test_the_failure_of_the_second_participant_abandons_both_and_nothing_is_sent(self):
        self.store.keeps = False
        self.assertEqual(
            self.end(),
            ["before", "log commit", "store commit", "store abandon", "log abandon", "cut sent",
             "after"],
        )  # fmt: skip
        self.assert_logged()

    def test_after_the_first_participant_failed_the_second_is_not_asked_and_abandons(self):
        self.log.keeps = False
        self.assertEqual(
            self.end(),
            ["before", "log commit", "store abandon", "log abandon", "cut sent", "after"],
        )

    def test_a_participant_that_raises_fails_and_is_logged_with_its_traceback_and_counted(self):
        self.log.doing["commit"] = self.fail_unexpectedly
        self.assertEqual(
            self.end(),
            ["before", "log commit", "store abandon", "log abandon", "cut sent", "after"],
        )
        self.assert_logged("keeping what a turn changed")
        self.assertIn("in commit", self.events[0]["log_failure"].getTraceback())

    def test_a_participant_that_raises_when_it_is_to_abandon_keeps_no_other_from_it(self):
        self.store.keeps = False
        self.store.doing["abandon"] = self.fail_unexpectedly
        self.assertEqual(self.end()[-4:], ["store abandon", "log abandon", "cut sent", "after"])
        self.assert_logged("abandoning what a turn changed")

    def test_a_participant_that_raises_once_all_is_kept_changes_nothing_for_the_others(self):
        self.log.doing["committed"] = self.fail_unexpectedly
        self.assertEqual(self.end()[-4:], ["log committed", "store committed", "sent", "after"])
        self.assert_logged("what follows when a turn is kept")

    def test_the_turn_after_a_failure_is_a_fresh_one(self):
        self.store.keeps = False
        self.end()
        self.store.keeps = True
        self.assertIn("sent", self.end())

    def test_what_a_turn_brings_after_its_writes_is_committed_before_it_is_sent(self):
        self.turn.after(lambda: self.turn.mark(Spy(self.order, "late")))
        self.clock.advance(0)
        kept = ["log commit", "store commit", "log committed", "store committed"]
        self.assertEqual(self.order, [*kept, "late"])

    def test_a_turn_without_participants_sends(self):
        self.turn = Turn(self.clock, self.fail)
        self.assertEqual(self.end(), ["before", "sent", "after"])


class JournalTests(SynchronousTestCase):
    def test_of_one_kind_a_few_lines_are_logged_and_all_are_counted(self):
        clock = Clock()
        journal, lines = quiet_journal(clock)
        for number in range(50):
            journal.limited(NetMetric.MISBEHAVED, "junk number {number}", number=number)
        self.assertEqual(len(lines), 5)
        journal.limited(NetMetric.PEER_VIOLATIONS, "something else")
        self.assertEqual(len(lines), 6)
        clock.advance(10)
        journal.limited(NetMetric.MISBEHAVED, "junk again")
        self.assertEqual(lines[-1], "test: junk again (45 more of these were not logged)")
        self.assertEqual(journal.counters.number(NetMetric.MISBEHAVED), 51)

    def test_details_are_logged_only_when_asked_for(self):
        journal, lines = quiet_journal(Clock())
        journal.debug("a detail")
        self.assertEqual(lines, [])
        journal.debug_enabled = True
        journal.debug("a detail")
        self.assertEqual(lines, ["test: a detail"])

    def test_no_line_of_any_kind_is_broken_by_what_it_names(self):
        journal, lines = quiet_journal(Clock(), "Node\x851")
        journal.debug_enabled = True
        bad = "two\nlines \x1b[2J \x9b \u202e"
        for log in (journal.debug, journal.info, journal.warn, journal.error):
            log("they said {said} and {other}", said=bad, other=ValueError(bad))
        journal.failure(NetMetric.TURN_ERRORS, f"frames from {bad}", Failure(ValueError("x")))
        self.flushLoggedErrors()
        said = "two?lines ?[2J ? ?"
        self.assertEqual(lines[:4], [f"Node?1: they said {said} and {said}"] * 4)
        self.assertEqual(lines[4], f"Node?1: frames from {said}")

    def test_what_strangers_send_cannot_break_a_line(self):
        journal, lines = quiet_journal(Clock())
        journal.limited(NetMetric.MISBEHAVED, "they said {said}", said="{no.such.field} %s")
        journal.limited(
            NetMetric.MISBEHAVED, "they said {said}", said="two\nlines \x1b[31m" + "x" * 1000
        )
        self.assertEqual(lines[0], "test: they said {no.such.field} %s")
        self.assertTrue(lines[1].startswith("test: they said two?lines ?[31mxxx"))
        self.assertLess(len(lines[1]), 350)
