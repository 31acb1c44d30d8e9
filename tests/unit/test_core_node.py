"""The machine as a whole: dispatch, incarnations, status, leaving, what a peer may not cause."""

from __future__ import annotations

import itertools
from random import Random
from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.errors import LocalProtocolError
from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import (
    Bcast,
    Find,
    GetState,
    Leaving,
    NodeRef,
    Notify,
    Ping,
    Pong,
    State,
    Status,
    contact,
)
from chordnet.core.kernel.requests import Ask
from chordnet.core.kernel.signals import PLACED
from chordnet.core.node import ChordNode
from tests.unit.core_support import (
    LABEL,
    config,
    effects_of,
    ids,
    placed,
    raw,
    ref,
    refs,
    sent,
    state,
    step,
    targets,
)

RING = (5, 10, 20, 30, 40, 50, 60)


def newborn(me: int = 10, **changes) -> ChordNode:
    return ChordNode(config(**changes), ref(me), Random(me))


def start(node: ChordNode, *bootstrap: str, known: list[NodeRef] | None = None, now: float = 0.0):
    return node.step(ev.Start(list(bootstrap), known or []), now)


def tick(node: ChordNode, until: float) -> list[fx.Effect]:
    effects: list[fx.Effect] = []
    while node.deadline is not None and node.deadline <= until:
        effects += node.step(ev.Tick(), node.deadline)
    return effects


class DispatchTests(SynchronousTestCase):
    def test_every_event_and_every_message_has_a_handler(self):
        node = newborn()
        self.assertEqual(set(node._on_event), set(get_args(ev.Event)))
        self.assertEqual(set(node._on_message), set(get_args(msg.PeerMessage)))

    def test_every_alarm_that_can_be_set_has_a_handler(self):
        node = placed(10, RING)
        start(node)
        names = set(node._on_alarm)
        self.assertLessEqual(set(node.ctx.alarms._at), names)

    def test_a_digest_that_differs_begins_an_exchange_whatever_message_brings_it(self):
        members = [5, 10, 20, 30]
        for word in (
            msg.Compare(7),
            msg.State(1, int(Status.ACTIVE), LABEL, ref(5), [ref(10)], None, 7),
        ):
            node = placed(10, members)
            effects = node.step(ev.Received(ref(20), word), 1.0)
            self.assertEqual([to for to, _ in sent(effects, msg.Have)], [20], word)
            same = placed(10, members)
            effects = same.step(ev.Received(ref(20), msg.Compare(0)), 1.0)
            self.assertEqual(sent(effects, msg.Have), [], "nothing is recorded on either side")

    def test_the_effects_of_one_step_are_not_those_of_the_next(self):
        node = newborn()
        first = step(node, 20, Ping(1))
        second = step(node, 20, Ping(2))
        self.assertEqual(sent(first, Pong), [(20, Pong(1, 0))])
        self.assertEqual(sent(second, Pong), [(20, Pong(2, 0))])

    def test_pings_are_answered_at_once_in_every_state(self):
        for status in Status:
            node = newborn()
            node.ctx.set_status(status)
            self.assertEqual(sent(step(node, 20, Ping(7)), Pong), [(20, Pong(7, int(status)))])

    def test_the_same_events_at_the_same_times_give_the_same_effects(self):
        def life() -> list:
            node = placed(10, RING, jitter=0.25)
            found = [start(node, "n20", "n40")]
            found += [tick(node, 5.0)]
            found += [node.step(ev.Publish([(1, b"x")], 0.0), 5.0)]
            found += [node.step(ev.LinkDown(ref(20), LinkFault.BROKEN), 5.1), tick(node, 30.0)]
            return found

        self.assertEqual(life(), life())

    def test_ticking_always_comes_to_a_rest(self):
        """A deadline that a tick does not move would make a runtime spin."""
        for make in (newborn, lambda: placed(10, RING), lambda: placed(10, [10])):
            node = make()
            if node.is_member():
                node.ctx.tell(PLACED)
                node.audit.start()
                node.fingers.refresh()
            else:
                start(node, "n20")
            at, ticks = 0.0, 0
            for _ in range(2000):
                ticks = ticks + 1 if node.deadline <= at else 1
                at = max(at, node.deadline)
                self.assertLess(ticks, 5, f"time stands still at {at}")
                node.step(ev.Tick(), at)


class IncarnationTests(SynchronousTestCase):
    def setUp(self):
        self.node = placed(10, RING)

    def test_an_older_incarnation_is_ignored(self):
        step(self.node, ref(20, 5), Ping(1))
        effects = self.node.step(ev.Received(ref(20, 4), Ping(2)), 0.0)
        self.assertEqual(effects, [fx.Verify(ref(20, 4))])
        standing = ev.Standing(ref(20, 5), int(Status.ACTIVE), None, None)
        effects = self.node.step(ev.Verified(ref(20, 4), standing), 0.1)
        self.assertEqual(sent(effects), [])
        self.assertEqual(self.node.known(raw(20)), ref(20, 5))

    def test_a_higher_incarnation_supersedes_the_old_which_is_dead_at_that_moment(self):
        effects = step(self.node, ref(20, 2), Ping(1))
        self.assertEqual(ids(d.peer for d in effects_of(effects, fx.PeerDied)), [20])
        self.assertNotIn(ref(20, 1), self.node.successors)
        self.assertEqual(targets(effects, Pong), [20])

    def test_a_higher_incarnation_comes_in_anew(self):
        step(self.node, ref(20, 2), Ping(1))
        self.node.stabilise.consider(ref(20, 2), state(0, [30, 40]))
        self.assertEqual(self.node.successors[0], ref(20, 2))

    def test_a_superseded_incarnation_is_not_taken_back_from_stale_lists(self):
        step(self.node, ref(20, 2), Ping(1))
        self.node.stabilise.consider(ref(15), state(0, [20, 30]))
        self.assertNotIn(ref(20, 1), self.node.successors)

    def test_nobody_speaks_in_our_name(self):
        self.assertEqual(step(self.node, ref(10, 9), Ping(1)), [])

    def test_a_sender_of_the_wrong_width_is_ignored(self):
        for width in (b"", b"\0\0"):
            self.assertEqual(step(self.node, NodeRef(width, 1, "x"), Ping(1)), [])
        self.assertEqual(self.node.counters["messages_ignored"], 2)


class StatusTests(SynchronousTestCase):
    def test_a_node_alone_is_active_at_once(self):
        node = newborn()
        effects = start(node)
        self.assertEqual(node.status(), Status.ACTIVE)
        self.assertIn(fx.StatusChanged(Status.UNJOINED, Status.ACTIVE), effects)
        self.assertEqual(node.predecessor, ref(10))

    def test_an_unjoined_node_that_is_asked_says_that_it_is_and_remembers_the_asker(self):
        node = newborn(30)
        effects = step(node, 20, GetState(4, int(Status.UNJOINED)))
        ((_, answer),) = sent(effects, State)
        self.assertEqual((answer.status, answer.candidate), (int(Status.UNJOINED), ref(20)))
        self.assertEqual((answer.predecessor, answer.successors, answer.label), (None, [], None))

    def test_a_member_that_asks_is_no_candidate(self):
        node = newborn(30)
        step(node, 20, GetState(4, int(Status.ACTIVE)))
        self.assertEqual(node.joining.candidate(), ref(30))

    def test_an_unjoined_node_handles_no_lookup_and_no_broadcast(self):
        node = newborn()
        effects = step(node, 20, Find(1, ref(20), raw(3), 0, [], 9, False))
        self.assertEqual([type(m).__name__ for _, m in sent(effects)], ["FindFailed"])
        done = node.step(ev.FindOwner(1, raw(3)), 0.0)
        self.assertEqual(effects_of(done, fx.LookupDone)[0].reason, "not in a ring")

    def test_an_unjoined_node_takes_no_part_in_the_ring(self):
        node = newborn()
        for message in (
            Notify(),
            msg.Changed(),
            Leaving(ref(3), refs(7)),
            msg.TryMerge(ref(3), 9),
            msg.FingerHint(ref(3), True, raw(1), raw(63), 9),
        ):
            step(node, 20, message)
        self.assertIsNone(node.predecessor)
        self.assertEqual(list(node.successors), [])

    def test_an_impossible_change_is_a_defect_and_says_so(self):
        node = placed(10, RING)
        self.assertRaises(LocalProtocolError, node.ctx.become, Status.UNJOINED)

    def test_changing_to_the_state_that_a_node_is_in_does_nothing(self):
        node = placed(10, RING)
        node.ctx.effects = []
        node.ctx.become(Status.ACTIVE)
        self.assertEqual(node.ctx.effects, [])


class LinkTests(SynchronousTestCase):
    def setUp(self):
        self.node = placed(10, RING)

    def down(self, peer: NodeRef, fault: LinkFault) -> list[fx.Effect]:
        return self.node.step(ev.LinkDown(peer, fault), 0.0)

    def test_a_pointer_at_an_address_where_a_node_is_not_makes_nobody_take_it_for_dead(self):
        step(self.node, ref(20), Ping(1))
        elsewhere = NodeRef(ref(20).raw, ref(20).incarnation, "10.9.9.9:1", ref(20).name)
        for fault in (LinkFault.REFUSED, LinkFault.REJECTED, LinkFault.UNREACHABLE):
            effects = self.down(elsewhere, fault)
            self.assertEqual([e for e in effects if isinstance(e, fx.PeerDied)], [], fault)
            self.assertFalse(self.node.ctx.peers.is_dead(ref(20), 0.0))
        self.assertEqual(len([*self.node.detector.probes]), 0)

    def test_a_refused_neighbour_is_dead(self):
        effects = self.down(ref(20), LinkFault.REFUSED)
        self.assertEqual(effects_of(effects, fx.PeerDied), [fx.PeerDied(ref(20))])
        self.assertEqual(ids(self.node.successors), [30, 40])

    def test_a_broken_connection_starts_a_probe(self):
        self.assertEqual(targets(self.down(ref(20), LinkFault.BROKEN), Ping), [20])
        self.assertEqual(ids(self.node.successors), [20, 30, 40])

    def test_a_broken_connection_of_a_stranger_does_not_matter(self):
        self.assertEqual(self.down(ref(41), LinkFault.BROKEN), [])

    def test_a_slow_reader_is_counted(self):
        self.assertEqual(self.down(ref(20), LinkFault.OVERLOADED), [])
        self.assertEqual(self.node.counters["overloaded"], 1)

    def test_a_contact_is_no_node(self):
        self.assertEqual(self.down(contact("n20"), LinkFault.REFUSED), [])

    def test_a_node_whose_whole_neighbourhood_died_is_a_ring_of_one(self):
        for peer in RING:
            if peer != 10:
                self.down(ref(peer), LinkFault.REFUSED)
        self.assertEqual(list(self.node.successors), [])
        self.assertEqual(self.node.predecessor, ref(10))
        done = self.node.step(ev.Publish([(1, b"x")], 0.0), 1.0)
        self.assertEqual(effects_of(done, fx.BroadcastDone)[0].recorded, 1)

    def test_a_node_whose_list_is_dead_goes_on_with_a_live_finger(self):
        for peer in (20, 30, 40):
            self.down(ref(peer), LinkFault.REFUSED)
        self.assertEqual(ids(self.node.successors), [50])


class LeavingTests(SynchronousTestCase):
    def setUp(self):
        self.node = placed(10, RING, leave_drain_s=0.2, leave_limit_s=2.0)

    def test_a_leaving_node_tells_both_neighbours_and_drains_before_it_goes(self):
        effects = self.node.step(ev.Leave(), 1.0)
        word = Leaving(ref(5), refs(20, 30, 40))
        self.assertEqual(
            sorted(sent(effects, Leaving), key=lambda p: p[0]), [(5, word), (20, word)]
        )
        self.assertEqual(effects_of(effects, fx.LeftRing), [])
        self.assertEqual(self.node.status(), Status.LEAVING)
        effects = tick(self.node, 1.2)
        self.assertEqual(len(effects_of(effects, fx.LeftRing)), 1)
        self.assertEqual(self.node.status(), Status.LEFT)

    def test_in_a_ring_of_two_a_leaving_node_tells_the_other_once(self):
        node = placed(10, [10, 20])
        self.assertEqual(targets(node.step(ev.Leave(), 0.0), Leaving), [20])

    def test_a_leaving_node_that_is_alone_or_unjoined_goes_at_once(self):
        for node in (placed(10, [10]), newborn()):
            self.assertEqual(len(effects_of(node.step(ev.Leave(), 0.0), fx.LeftRing)), 1)

    def test_leaving_twice_is_leaving_once(self):
        self.node.step(ev.Leave(), 0.0)
        self.assertEqual(self.node.step(ev.Leave(), 0.1), [])

    def test_a_leaving_node_stays_for_broadcasts_that_are_not_covered_but_not_for_ever(self):
        self.node.step(ev.Publish([(1, b"x")], 0.0), 0.0)
        self.node.step(ev.Leave(), 0.0)
        self.assertEqual(effects_of(tick(self.node, 1.9), fx.LeftRing), [])
        self.assertEqual(len(effects_of(tick(self.node, 2.3), fx.LeftRing)), 1)

    def test_a_leaving_node_serves_while_it_drains(self):
        self.node.step(ev.Leave(), 0.0)
        effects = step(self.node, 40, Find(1, ref(40), raw(33), 0, [], 9, False))
        self.assertEqual(len(sent(effects, Find)), 1)

    def test_a_leaving_neighbour_is_as_good_as_dead(self):
        effects = step(self.node, 20, Leaving(ref(10), refs(30, 40, 50)))
        self.assertEqual(ids(self.node.successors), [30, 40])
        self.assertEqual(len(effects_of(effects, fx.PeerDied)), 1)

    def test_whatever_a_leaving_neighbour_still_says_does_not_bring_it_back(self):
        step(self.node, 20, Leaving(ref(10), refs(30, 40, 50)))
        step(self.node, 20, Notify())
        step(self.node, 20, Ping(3))
        self.node.stabilise.consider(ref(15), state(0, [20, 30]))
        self.assertEqual(ids(self.node.successors), [15, 30])

    def test_a_neighbour_that_left_comes_back_in_its_next_life(self):
        step(self.node, 20, Leaving(ref(10), refs(30, 40, 50)))
        step(self.node, ref(20, 2), Ping(1), 1.0)
        self.node.stabilise.consider(ref(20, 2), state(0, [30, 40]))
        self.assertEqual(self.node.successors[0], ref(20, 2))

    def test_a_pong_that_says_leaving_counts_as_leave_taking(self):
        step(self.node, 20, Pong(99, int(Status.LEAVING)))
        self.assertEqual(ids(self.node.successors), [30, 40])


class KnownPeerTests(SynchronousTestCase):
    def test_new_peers_are_told_after_a_pause_and_together(self):
        node = placed(10, RING)
        tick(node, 10.0)
        self.answer(node, 41, 10.0)
        self.answer(node, 42, 10.1)
        step(node, 43, Ping(1), 10.1)
        told = effects_of(tick(node, 12.5), fx.PeersKnown)
        self.assertEqual(len(told), 1)
        self.assertLessEqual({41, 42}, set(ids(told[0].peers)))
        self.assertNotIn(43, ids(told[0].peers))

    def answer(self, node: ChordNode, peer: int, now: float) -> None:
        """Have ``peer`` answer a question of ``node``."""
        step(node, peer, Ping(1), now)
        node.ctx.effects = []
        question = node.requests.ask(Ask.OFFERED_PREDECESSOR, ref(peer), Ping)
        step(node, peer, Pong(question.rid, int(Status.ACTIVE)), now)

    def test_who_only_calls_is_not_kept_on_disk(self):
        node = placed(10, RING)
        tick(node, 10.0)
        for caller in range(32, 40):
            step(node, caller, Ping(1), 10.0)
        told = [effect.peers for effect in effects_of(tick(node, 20.0), fx.PeersKnown)]
        self.assertEqual([peers for peers in told if set(ids(peers)) - set(RING)], [])

    def test_peers_from_the_disk_are_known(self):
        node = newborn()
        start(node, "n20", known=refs(41, 42))
        self.assertEqual(ids(node.ctx.peers.known), [41, 42])

    def test_a_lost_peer_that_speaks_again_is_evidence(self):
        node = placed(10, RING)
        node.step(ev.LinkDown(ref(20), LinkFault.REFUSED), 0.0)
        effects = step(node, 20, Ping(1), 3.0) + tick(node, 3.3)
        audits = [q for to, q in sent(effects, Find) if to == 20 and q.key == raw(11)]
        self.assertEqual(len(audits), 1)


class HostileTests(SynchronousTestCase):
    """Whatever a peer sends, a node neither raises nor follows a pointer that cannot be one."""

    BAD = (NodeRef(b"", 1, "x:1"), NodeRef(b"\0\0", 1, "x:1"), NodeRef(b"\xff", 1, "x:1"))

    def messages(self, bad: NodeRef):
        wrong = bad.raw
        yield State(1, int(Status.ACTIVE), None, bad, [bad, ref(40)], None)
        yield State(1, 99, None, bad, [bad] * 3, bad)
        yield Leaving(bad, [bad, ref(30)])
        yield msg.FingerHint(bad, True, raw(1), raw(63), 9)
        yield msg.FingerHint(bad, False, raw(1), raw(63), 9)
        yield msg.FingerHint(ref(33), True, wrong, wrong, 9)
        yield msg.TryMerge(bad, 9)
        yield Find(1, bad, raw(3), 0, [bad], 9, False)
        yield Find(1, ref(20), wrong, 0, [], 9, True)
        yield Find(1, ref(20), wrong, 7, [], 9, True)
        yield Find(1, ref(20), raw(3), 0, [], -5, True)
        yield msg.Found(1, bad, [bad], None)
        yield msg.FindFailed(1, "")
        yield msg.FindNext(1, wrong, 0, [wrong] * 40, True)
        yield msg.FindNext(1, raw(3), 9, [], False)
        yield msg.Next(1, False, [bad] * 9, True, None)
        yield msg.Next(1, True, [], True, None)
        yield Pong(1, 77)
        yield GetState(1, 77)
        yield Bcast(msg.MessageId(wrong, 1, 1), 1, 0.0, 9, wrong, 99, [], [b""])
        yield Bcast(msg.MessageId(raw(20), 1, 1), 1, 0.0, 9, raw(20), 99,
                    [msg.Hop(raw(20), "", 99)], [b""])  # fmt: skip
        yield msg.Ack(msg.MessageId(wrong, 1, 1), wrong, True)
        yield msg.Bodies(msg.MessageId(wrong, 1, 1), [b""])
        yield msg.Covered(msg.MessageId(wrong, 1, 1), wrong, -1, -1, -1, True, [bad] * 99)
        yield msg.Compare(-1)
        yield msg.Want([msg.Range(wrong, 1, 1, 2)] * 3)
        yield msg.Lost([msg.Range(wrong, 1, 1, 2)] * 3)
        yield msg.Given(True)

    def nodes(self):
        yield newborn()
        joining = newborn()
        start(joining, "n20")
        step(joining, 20, state(1, [40], predecessor=5))
        yield joining
        yield placed(10, [10])
        yield placed(10, RING)
        busy = placed(10, RING)
        start(busy, "n20")
        busy.stabilise.stabilise()
        busy.step(ev.FindOwner(1, raw(33), True), 0.0)
        busy.step(ev.Publish([(1, b"x")], 0.0), 0.0)
        yield busy

    def test_an_impossible_identifier_is_told_and_nothing_done(self):
        for bad in self.BAD:
            for message in (
                State(1, int(Status.ACTIVE), None, None, [bad], None),
                Leaving(bad, []),
                msg.TryMerge(bad, 9),
                Find(1, ref(20), bad.raw, 0, [], 9, False),
                msg.FindNext(1, raw(3), 0, [bad.raw], False),
                msg.FingerHint(ref(33), True, bad.raw, raw(3), 9),
            ):
                effects = step(placed(10, RING), 20, message)
                (fault,) = effects
                self.assertEqual(fault, fx.Misbehaved(ref(20), "names an impossible identifier"))

    def test_no_message_raises_and_no_impossible_pointer_is_kept(self):
        makers = len(list(self.nodes()))
        for bad in self.BAD:
            for kind, number in itertools.product(
                range(makers), range(len(list(self.messages(bad))))
            ):
                node = list(self.nodes())[kind]
                message = list(self.messages(bad))[number]
                for rid in range(1, 12):
                    if hasattr(message, "rid") and not isinstance(message, msg.FindNext):
                        message = type(message)(**{**as_dict(message), "rid": rid})
                    step(node, 20, message)
                tick(node, 3.0)
                kept = [
                    *node.successors,
                    *node.routes.nodes(),
                    node.predecessor,
                    *node.ctx.peers.known,
                ]
                for pointer in kept:
                    if pointer is not None:
                        self.assertTrue(node.ctx.space.valid_raw(pointer.raw), f"{message} kept")


def as_dict(message) -> dict:
    return {name: getattr(message, name) for name in message.__struct_fields__}
