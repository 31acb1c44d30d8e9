"""Contests of names to the instant and to the last place, as seen by n10 in a ring with n20."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.messages import NodeRef, Ping, Pong, RingLabel, Status, contact
from chordnet.core.kernel.signals import SUPERSEDED
from chordnet.core.kernel.timers import Alarm
from tests.unit.core_support import LABEL, placed, ref, sent
from tests.unit.test_core_identities import ACTIVE, WALL, life


def other(number: int, incarnation: int = 1, address: str = "host") -> NodeRef:
    """One of many nodes, more than the small ring has room for."""
    return NodeRef(number.to_bytes(2), incarnation, f"{address}{number}", f"node {number}")


class EdgeCase(SynchronousTestCase):
    def setUp(self):
        self.node = placed(10, [10, 20, 30])
        self.now = 0.0

    def greet(self, node: NodeRef, rival: NodeRef | None = None, dialled: bool = False):
        return self.node.step(ev.Greeted(node, rival, dialled, WALL), self.now)

    def hint(self, node: NodeRef) -> list[fx.Effect]:
        """Let others name ``node``."""
        self.node.ctx.now, self.node.ctx.effects = self.now, []
        self.node.ctx.hint(node)
        return self.node.ctx.effects

    def answer(self, asked: NodeRef, found: NodeRef | None) -> list[fx.Effect]:
        standing = None if found is None else ev.Standing(found, ACTIVE, LABEL, None)
        return self.node.step(ev.Verified(asked, standing), self.now)


class TimeTests(EdgeCase):
    def test_a_contest_lasts_less_than_ten_seconds(self):
        self.greet(life(2))
        for now, dialled in ((9.75, []), (10.0, [fx.Verify(life(3))])):
            self.now = now
            effects = self.greet(life(3))
            self.assertEqual([e for e in effects if isinstance(e, fx.Verify)], dialled, now)

    def test_a_node_that_lost_loses_again_for_less_than_a_second_without_a_dial(self):
        self.greet(life(2))
        (lost,) = self.answer(life(2), None)
        self.now = 0.75
        self.assertEqual(self.greet(life(2)), [lost])
        self.now = 1.0
        self.assertEqual(self.greet(life(2)), [fx.Verify(life(2))])

    def test_what_others_say_of_a_node_that_lost_is_not_heeded_for_less_than_six_seconds(self):
        self.greet(life(2))
        self.answer(life(2), None)
        for now, dialled in ((0.5, []), (1.0, []), (5.75, []), (6.0, [fx.Verify(life(2))])):
            self.now = now
            self.assertEqual(self.hint(life(2)), dialled, now)

    def test_what_others_say_of_another_life_than_the_one_that_lost_is_heeded(self):
        self.greet(life(2))
        self.answer(life(2), None)
        self.assertEqual(self.hint(life(3)), [fx.Verify(life(3))])

    def test_an_address_with_our_name_is_dialled_once_a_second_and_our_own_never(self):
        dialled = []
        for now in (0.0, 0.75, 1.0, 1.5, 2.0):
            self.now = now
            effects = self.hint(NodeRef(self.node.me.raw, 9, "m1", "n10"))
            dialled += [now for e in effects if e == fx.Verify(contact("m1"))]
        self.assertEqual(dialled, [0.0, 1.0, 2.0])
        self.now = 9.0
        self.assertEqual(self.hint(NodeRef(self.node.me.raw, 9, "n10", "n10")), [])


class WaitingTests(EdgeCase):
    """Who waits for the end of a contest is told of it, and nobody else."""

    def test_of_a_contest_that_others_began_nobody_is_told(self):
        for found in (None, life(2)):
            self.setUp()
            self.assertEqual(self.hint(life(2)), [fx.Verify(life(2))])
            self.assertEqual(self.hint(life(2)), [], "it is under way")
            effects = self.answer(life(2), found)
            self.assertEqual([e for e in effects if isinstance(e, fx.Judged)], [])

    def test_a_node_that_greets_while_others_have_begun_its_contest_is_told(self):
        self.hint(life(2))
        self.assertEqual(self.greet(life(2)), [])
        effects = self.answer(life(2), life(2))
        self.assertEqual([e for e in effects if isinstance(e, fx.Judged)], [fx.Judged(life(2), "")])

    def test_what_others_say_during_the_contest_of_another_life_is_not_answered(self):
        self.greet(life(2))
        self.assertEqual(self.hint(life(3)), [])

    def test_a_known_node_and_one_never_heard_of_need_no_contest(self):
        for node in (ref(20), life(1, "n50", 50)):
            self.assertEqual(self.greet(node), [fx.Judged(node, "")])

    def test_the_messages_of_a_node_are_heeded_when_it_is_dialled_and_answers(self):
        self.node.step(ev.Received(life(2), Ping(7)), 0.0)
        effects = self.greet(life(2), dialled=True)
        self.assertEqual(sent(effects, Pong), [(20, Pong(7, ACTIVE))])

    def test_the_messages_of_another_life_than_the_one_that_answers_are_not_heeded(self):
        self.node.step(ev.Received(life(2), Ping(7)), 0.0)
        effects = self.greet(life(3), dialled=True)
        self.assertEqual(sent(effects, Pong), [])
        self.assertEqual(self.node.known(b"\x14"), life(3))

    def test_a_life_that_has_won_makes_room_for_the_next(self):
        self.greet(life(2))
        self.answer(life(2), life(2))
        self.assertEqual(self.greet(life(3)), [fx.Verify(life(3))])

    def test_a_life_that_lost_and_then_won_has_lost_nothing(self):
        self.greet(life(2))
        self.answer(life(2), None)
        for node in (life(2), ref(20)):
            self.greet(node, dialled=True)
            self.assertEqual(self.node.known(b"\x14"), node)
        self.assertEqual(self.greet(life(2)), [fx.Verify(life(2))])

    def test_of_two_lives_that_speak_only_the_one_in_the_contest_is_held(self):
        self.node.step(ev.Received(life(2), Ping(7)), 0.0)
        self.node.step(ev.Received(life(3), Ping(8)), 0.0)
        self.assertEqual(self.node.counters["messages_ignored"], 1)
        effects = self.answer(life(2), life(2))
        self.assertEqual(sent(effects, Pong), [(20, Pong(7, ACTIVE))])

    def test_the_answer_to_a_dial_that_is_no_longer_waited_for_changes_nothing(self):
        copy = life(9, "m1")
        self.greet(copy)
        self.answer(copy, copy)
        self.assertEqual(self.answer(copy, copy), [], "now the known node is asked")
        self.assertEqual(self.node.known(b"\x14"), ref(20))
        self.assertEqual(self.answer(other(1), other(1)), [])


class RoomTests(EdgeCase):
    def contest(self, number: int) -> list[fx.Effect]:
        return self.greet(other(number, 2), other(number, 1))

    def test_64_names_are_checked_at_the_same_time_and_another_one_is_told_so(self):
        for number in range(64):
            self.assertEqual(self.contest(number), [fx.Verify(other(number, 2))])
        (judged,) = self.contest(64)
        self.assertEqual(judged.reason, "too many names are being checked; try again")
        self.assertEqual(self.hint(life(2)), [], "nobody waits for this one")
        self.assertEqual(self.node.counters["contests"], 64)
        self.answer(other(0, 2), None)
        self.assertEqual(self.contest(64), [fx.Verify(other(64, 2))])
        self.now = 10.0
        self.assertEqual(self.contest(65), [fx.Verify(other(65, 2))])

    def test_the_last_64_nodes_that_lost_are_remembered(self):
        for number in range(65):
            self.contest(number)
            self.answer(other(number, 2), None)
        for number, dialled in ((1, []), (64, []), (0, [fx.Verify(other(0, 2))])):
            effects = self.contest(number)
            self.assertEqual([e for e in effects if isinstance(e, fx.Verify)], dialled, number)


class WordTests(EdgeCase):
    def test_a_reason_quotes_80_letters_of_a_name(self):
        long = NodeRef(b"\x32", 1, "n50", "x" * 200)
        self.assertEqual(
            self.node.doubt(long), f"whether '{'x' * 80}' may have its name is checked"
        )
        self.node.ctx.wall = WALL
        ahead = NodeRef(b"\x32", 1 << 60, "n50", "x" * 200)
        self.assertTrue(self.node.doubt(ahead).startswith(f"'{'x' * 80}' was started by a clock"))

    def test_a_superseded_node_goes_on_with_what_members_do_not_need(self):
        alarms = self.node.ctx.alarms
        for alarm in Alarm:
            alarms.set(alarm, 5.0)
        self.node.ctx.now, self.node.ctx.effects = 1.0, []
        self.node.ctx.tell(SUPERSEDED, "another node has its name")
        left = {alarm for alarm in Alarm if alarms.is_set(alarm)}
        self.assertEqual(left, {"probes", "peers", "leave"})


class RankTests(EdgeCase):
    """Of two nodes of one name and one rank neither leaves: each of them would say the same."""

    def met(self, incarnation: int, before: RingLabel | None = None, joined: bool = True) -> Status:
        twin = NodeRef(self.node.me.raw, incarnation, "m1", "n10")
        status = ACTIVE if joined else int(Status.UNJOINED)
        standing = ev.Standing(twin, status, LABEL if joined else None, before)
        self.node.step(ev.Verified(contact("m1"), standing), 0.0)
        return self.node.status()

    def test_of_two_members_with_the_same_history_the_earlier_start_stays(self):
        for incarnation, status in ((1, Status.ACTIVE), (2, Status.ACTIVE), (0, Status.SUPERSEDED)):
            self.assertEqual(self.met(incarnation), status, incarnation)

    def test_of_two_members_that_gave_up_labels_the_one_with_the_smaller_label_stays(self):
        self.node.ring.before = RingLabel(1, 5)
        for before in (RingLabel(1, 6), RingLabel(2, 0), RingLabel(1, 5)):
            self.assertEqual(self.met(1, before), Status.ACTIVE, before)
        self.assertEqual(self.met(1, RingLabel(1, 4)), Status.SUPERSEDED)

    def test_of_two_nodes_in_no_ring_that_started_together_both_stay(self):
        self.node.ctx.set_status(Status.UNJOINED)
        self.assertEqual(self.met(1, joined=False), Status.UNJOINED)
        self.assertEqual(self.met(0, joined=False), Status.SUPERSEDED)
