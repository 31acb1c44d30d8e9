"""Who has a name: this node is n10 in a ring with n20, n30 and n40."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.messages import Leaving, NodeRef, Ping, Pong, RingLabel, Status, contact
from chordnet.core.ring.identities import BEHIND, MAX_CONTESTS, MAX_HELD
from tests.unit.core_support import LABEL, placed, ref, sent

ACTIVE = int(Status.ACTIVE)
WALL = 1_700_000_000.0


def life(incarnation: int, address: str = "n20", identifier: int = 20) -> NodeRef:
    name = f"n{identifier}"
    return NodeRef(bytes([identifier]), incarnation, address, name)


class IdentityTests(SynchronousTestCase):
    def setUp(self):
        self.node = placed(10, [10, 20, 30, 40])
        self.now = 0.0

    def greet(self, node: NodeRef, rival: NodeRef | None = None) -> list[fx.Effect]:
        return self.node.step(ev.Greeted(node, rival, False, WALL), self.now)

    def answer(self, asked: NodeRef, found: NodeRef | None, status: int = ACTIVE, **labels):
        standing = None
        if found is not None:
            standing = ev.Standing(found, status, labels.get("label", LABEL), labels.get("before"))
        return self.node.step(ev.Verified(asked, standing), self.now)

    def judged(self, effects: list[fx.Effect]) -> fx.Judged:
        (judged,) = [e for e in effects if isinstance(e, fx.Judged)]
        return judged

    def test_a_node_never_heard_of_and_a_known_node_are_not_doubted(self):
        self.assertFalse(self.node.doubts(life(7, "n50", 50)))
        self.assertFalse(self.node.doubts(ref(20)))

    def test_a_restart_at_the_same_address_is_dialled_and_then_has_the_name(self):
        self.assertEqual(self.greet(life(2)), [fx.Verify(life(2))])
        effects = self.answer(life(2), life(2))
        self.assertEqual(self.judged(effects), fx.Judged(life(2), ""))
        self.assertEqual(self.node.known(b"\x14"), life(2))
        self.assertNotIn(ref(20), self.node.successors)

    def test_a_claim_whose_address_does_not_answer_as_it_is_refused(self):
        for found in (None, ref(20), life(2, "elsewhere"), life(3), ref(30)):
            self.greet(life(2))
            judged = self.judged(self.answer(life(2), found))
            self.assertIn("no node 'n20' of this start answers at n20", judged.reason)
            self.assertEqual(self.node.known(b"\x14"), ref(20))
            self.assertIn(ref(20), self.node.successors)
            self.now += 2.0

    def test_a_node_elsewhere_does_not_get_the_name_while_the_first_answers(self):
        copy = life(9, "m1")
        self.greet(copy)
        self.assertEqual(self.answer(copy, copy), [fx.Verify(ref(20))])
        judged = self.judged(self.answer(ref(20), ref(20)))
        self.assertIn("belongs to the node at n20", judged.reason)
        self.assertIn("m1", judged.reason)
        self.assertEqual(judged.holder, "n20")
        self.assertIn(ref(20), self.node.successors)

    def test_a_node_elsewhere_gets_the_name_when_the_first_does_not_answer_as_itself(self):
        for found, status in (
            (None, ACTIVE), (ref(30), ACTIVE), (life(0), ACTIVE),
            (ref(20), int(Status.SUPERSEDED)), (ref(20), int(Status.LEFT)),
        ):  # fmt: skip
            self.setUp()
            copy = life(9, "m1")
            self.greet(copy)
            self.answer(copy, copy)
            self.assertEqual(self.judged(self.answer(ref(20), found, status)).reason, "")
            self.assertEqual(self.node.known(b"\x14"), copy)

    def test_a_later_start_at_the_first_address_keeps_the_name(self):
        copy = life(9, "m1")
        self.greet(copy)
        self.answer(copy, copy)
        self.assertIn("belongs", self.judged(self.answer(ref(20), life(4))).reason)

    def test_a_clock_that_went_back_is_no_obstacle_at_the_same_address(self):
        self.greet(life(0))
        self.assertEqual(self.judged(self.answer(life(0), life(0))).reason, "")
        self.assertEqual(self.node.known(b"\x14"), life(0))
        self.assertTrue(self.node.ctx.peers.is_old(ref(20)), "the life given up stays so")
        self.assertFalse(self.node.ctx.peers.is_dead(life(0), self.now))

    def test_a_node_that_was_dialled_at_its_address_need_not_be_dialled_again(self):
        effects = self.node.step(ev.Greeted(life(2), None, True, WALL), 0.0)
        self.assertEqual(self.judged(effects).reason, "")
        self.assertFalse(self.node.doubts(life(2)))

    def test_messages_of_a_node_wait_for_the_judgement_of_its_claim(self):
        effects = self.node.step(ev.Received(life(2), Ping(7)), 0.0)
        self.assertEqual(sent(effects), [])
        effects = self.answer(life(2), life(2))
        self.assertEqual(sent(effects, Pong), [(20, Pong(7, ACTIVE))])

    def test_messages_that_wait_are_limited(self):
        for rid in range(MAX_HELD + 20):
            self.node.step(ev.Received(life(2), Ping(rid)), 0.0)
        self.assertEqual(self.node.counters["messages_ignored"], 20)
        self.assertEqual(len(sent(self.answer(life(2), life(2)), Pong)), MAX_HELD)

    def test_a_refused_claim_that_spoke_changes_nothing(self):
        self.node.step(ev.Received(life(2), Leaving(None, [])), 0.0)
        self.answer(life(2), ref(20))
        self.assertIn(ref(20), self.node.successors)

    def test_contests_are_limited_in_number(self):
        for n in range(11, 64):
            self.node.ctx.peers.note(ref(n))
        dialled = 0
        for n in range(11, 64):
            for incarnation in (2, 3):
                effects = self.greet(life(incarnation, f"n{n}", n))
                dialled += len([e for e in effects if isinstance(e, fx.Verify)])
        self.assertLessEqual(dialled, MAX_CONTESTS)
        self.assertEqual(dialled, 53, "one for each name")
        self.assertEqual(self.node.counters["contests"], 53)

    def test_a_contest_that_nobody_answers_is_over_after_a_while(self):
        self.greet(life(2))
        self.assertIn("being checked", self.judged(self.greet(life(3))).reason)
        self.now = 11.0
        self.assertEqual(self.greet(life(3)), [fx.Verify(life(3))])

    def test_a_claim_that_was_lost_is_not_checked_again_at_once(self):
        self.greet(life(2))
        self.answer(life(2), None)
        self.assertEqual([type(e) for e in self.greet(life(2))], [fx.Judged])
        self.assertEqual(self.greet(life(3)), [fx.Verify(life(3))], "another one is")

    def test_who_is_connected_counts_like_who_is_known(self):
        first, second = life(1, "n50", 50), life(2, "m1", 50)
        self.assertEqual(self.greet(second, first), [fx.Verify(second)])


class TwinTests(SynchronousTestCase):
    """Another node has our name."""

    def setUp(self):
        self.node = placed(10, [10, 20, 30])
        self.me = self.node.me
        self.twin = NodeRef(self.me.raw, 9, "m1", "n10")

    def met(self, label: RingLabel | None, before: RingLabel | None = None, status: int = ACTIVE):
        asked = contact("m1")
        standing = ev.Standing(self.twin, status, label, before)
        return self.node.step(ev.Verified(asked, standing), 0.0)

    def test_who_is_refused_for_its_name_dials_who_has_it(self):
        down = ev.LinkDown(contact("x"), ev.LinkFault.REJECTED, "taken", "m1")
        self.assertIn(fx.Verify(contact("m1")), self.node.step(down, 0.0))

    def test_a_node_in_no_ring_gives_way_to_one_that_is_in_a_ring(self):
        self.node.ctx.set_status(Status.UNJOINED)
        (changed,) = [e for e in self.met(LABEL) if isinstance(e, fx.StatusChanged)]
        self.assertEqual(changed.new, Status.SUPERSEDED)
        for address in ("m1", "n10"):
            self.assertIn(address, changed.reason)
        self.assertEqual(self.node.reason, changed.reason)

    def test_of_two_twins_in_no_ring_the_first_stays(self):
        self.node.ctx.set_status(Status.UNJOINED)
        self.met(None, status=int(Status.UNJOINED))
        self.assertEqual(self.node.status(), Status.UNJOINED)
        self.twin = NodeRef(self.me.raw, 0, "m1", "n10")
        self.met(None, status=int(Status.UNJOINED))
        self.assertEqual(self.node.status(), Status.SUPERSEDED)

    def test_of_two_twins_in_one_ring_the_one_whose_label_was_given_up_leaves(self):
        self.met(LABEL)
        self.assertEqual(self.node.status(), Status.ACTIVE)
        self.node.ring.before = RingLabel(0, 9)
        effects = self.met(LABEL)
        self.assertEqual(self.node.status(), Status.SUPERSEDED)
        self.assertEqual({to for to, _ in sent(effects, Leaving)}, {20, 30})

    def test_a_member_of_another_ring_or_of_none_is_waited_for(self):
        self.node.ring.before = RingLabel(0, 9)
        self.met(RingLabel(0, 1))
        self.met(None)
        self.met(LABEL, status=int(Status.SUPERSEDED))
        self.assertEqual(self.node.status(), Status.ACTIVE)

    def test_a_superseded_node_can_only_leave(self):
        self.node.ctx.set_status(Status.UNJOINED)
        self.met(LABEL)
        self.node.step(ev.Begin(), 1.0)
        self.node.step(ev.Tick(), 2.0)
        self.assertEqual(self.node.status(), Status.SUPERSEDED)
        (done,) = self.node.step(ev.Publish([(1, b"x")], WALL), 3.0)
        self.assertIsNone(done.id)
        self.node.step(ev.Leave(), 4.0)
        self.assertEqual(self.node.status(), Status.LEFT)

    def test_an_earlier_life_of_ours_is_no_twin(self):
        self.node.ctx.hint(NodeRef(self.me.raw, 0, self.me.address, "n10"))
        self.assertEqual(self.node.ctx.effects, [])


class ClockTests(SynchronousTestCase):
    DAY = 86_400_000

    def setUp(self):
        self.node = placed(10, [10, 20, 30, 40])
        self.node.ctx.wall = WALL

    def ahead(self, identifier: int = 50) -> NodeRef:
        incarnation = int(WALL * 1000) + self.DAY + 1
        return NodeRef(bytes([identifier]), incarnation, f"n{identifier}", f"n{identifier}")

    def greet(self, node: NodeRef) -> list[fx.Effect]:
        return self.node.step(ev.Greeted(node, None, False, WALL), 0.0)

    def test_an_incarnation_further_than_a_day_ahead_is_refused(self):
        self.assertTrue(self.node.doubts(self.ahead()))
        (judged,) = self.greet(self.ahead())
        self.assertIn("more than a day ahead", judged.reason)
        near = NodeRef(b"\x32", int(WALL * 1000) + self.DAY, "n50", "n50")
        self.assertFalse(self.node.doubts(near))

    def test_an_incarnation_too_far_ahead_is_left_out_of_the_peers_known_from_before(self):
        node = placed(10, [10, 20])
        node.ctx.set_status(Status.UNJOINED)
        node.step(ev.Start(["n20"], [self.ahead(), ref(30)], wall=WALL), 0.0)
        self.assertIsNone(node.known(b"\x32"))
        self.assertEqual(node.known(b"\x1e"), ref(30))

    def test_messages_of_an_incarnation_too_far_ahead_are_dropped(self):
        effects = self.node.step(ev.Received(self.ahead(), Ping(1)), 0.0)
        self.assertEqual(sent(effects), [])
        self.assertIsNone(self.node.known(b"\x32"))

    def test_a_node_that_refuses_the_first_three_others_says_that_its_own_clock_is_behind(self):
        node = placed(10, [10, 20])
        node.ctx.peers._known.clear()
        node.ctx.set_status(Status.UNJOINED)
        node.step(ev.Start(["n50", "n51"], [], wall=WALL), 0.0)
        for n in range(50, 50 + BEHIND):
            self.assertEqual(node.status(), Status.UNJOINED)
            node.step(ev.Greeted(self.ahead(n), None, False, WALL), 0.1)
        self.assertEqual(node.status(), Status.SEEKING)
        self.assertIn("the clock of this node is behind", node.reason)

    def test_a_peer_that_was_accepted_before_shows_that_the_own_clock_is_not_behind(self):
        self.node.step(ev.Received(ref(45), Ping(1)), 0.0)
        for n in range(50, 60):
            self.greet(self.ahead(n))
        self.assertEqual(self.node.joining._clock, "")
