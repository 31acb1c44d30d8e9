"""Lookups of our own: recursive from node to node, iterative when that fails."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import LookupDone
from chordnet.core.base.events import FindOwner
from chordnet.core.base.limits import MAX_EXCLUDE
from chordnet.core.base.messages import Find, FindFailed, FindKind, FindNext, Found, Next, Status
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.base.outcomes import Failed
from chordnet.core.lookup.iterative import MAX_STEPS
from chordnet.core.lookup.lookup import Purpose
from chordnet.judge.invariants import ideal_successor
from tests.unit.core_support import LABEL, Parts, Wire, due, ids, raw, ref, refs, sent

OWNER, PREDECESSOR = FindKind.OWNER, FindKind.PREDECESSOR


class LookupTestCase(SynchronousTestCase):
    """This node is 10, between 5 and 20; its list is 20, 30, 40 and its far finger 50."""

    def setUp(self):
        self.parts = Parts(10, lookup_timeout_s=1.0, lookup_deadline_s=10.0, request_timeout_s=0.5)
        self.parts.place(5, 20, 30, 40, fingers=[20, 30, 50])
        self.ctx, self.lookups = self.parts.ctx, self.parts.lookups

    def start(self, key: int, **details) -> None:
        self.parts.fresh()
        self.lookups.start(Purpose.PROGRAM, 7, key, **details)

    def passed_on(self) -> tuple[int, Find]:
        ((target, question),) = sent(self.ctx, Find)
        return target, question

    def asked_next(self) -> tuple[int, FindNext]:
        ((target, question),) = sent(self.ctx, FindNext)
        return target, question

    def answer_next(self, sender: int, *nodes: int, done: bool = False, last: bool = False) -> None:
        rid = sent(self.ctx, FindNext)[-1][1].rid
        self.parts.fresh()
        self.parts.requests.answered(ref(sender), Next(rid, done, refs(*nodes), last, LABEL))

    def silence(self) -> None:
        self.parts.fresh()
        self.parts.advance(0.6)
        self.parts.requests.tick()

    def result(self):
        (result,) = self.parts.results
        return result


class RecursiveTests(LookupTestCase):
    def test_a_key_of_our_own_is_answered_at_once(self):
        self.start(8)
        self.assertEqual(self.result().node, ref(10))
        self.assertEqual(ids(self.result().path), [10])
        self.assertEqual(sent(self.ctx), [])

    def test_every_lookup_that_is_begun_is_counted(self):
        self.start(8)
        self.start(15)
        self.assertEqual(self.ctx.counters.number(CoreMetric.LOOKUPS), 2)

    def test_a_key_before_the_successor_goes_to_it_as_the_last_hop(self):
        self.start(15)
        target, question = self.passed_on()
        self.assertEqual((target, question.last), (20, True))
        self.assertEqual(ids(question.path), [10])

    def test_a_key_beyond_the_successor_goes_to_the_closest_node_before_it(self):
        """Stoica et al., ToN 2003, figure 3: the closest preceding node."""
        for key, want in ((20, 20), (21, 20), (31, 30), (50, 40), (51, 50), (3, 50)):
            self.setUp()
            self.start(key)
            target, question = self.passed_on()
            self.assertEqual((target, question.last), (want, key == 20), f"key {key}")

    def test_the_last_member_to_leave_still_answers(self):
        parts = Parts(10)
        parts.ring.create(LABEL)
        parts.ctx.set_status(Status.LEAVING)
        parts.lookups.start(Purpose.PROGRAM, 1, 33)
        self.assertEqual(parts.results[0].node, ref(10))

    def test_a_ring_of_one_owns_every_key(self):
        parts = Parts(10)
        parts.ring.create(LABEL)
        for key in (0, 9, 10, 11, 63):
            parts.lookups.start(Purpose.PROGRAM, key, key)
        self.assertEqual([r.node for r in parts.results], [ref(10)] * 5)

    def test_the_answer_ends_the_lookup_once(self):
        self.start(35)
        _, question = self.passed_on()
        answer = Found(question.lookup, ref(40), refs(10, 30, 40), LABEL)
        self.lookups.on_found(ref(40), answer)
        self.lookups.on_found(ref(40), answer)
        self.assertEqual(self.result().node, ref(40))
        self.assertEqual(self.result().tag, 7)
        self.assertEqual(len(self.lookups), 0)
        self.assertIsNone(due(self.lookups))

    def test_nobody_may_answer_for_another(self):
        self.start(35)
        _, question = self.passed_on()
        self.lookups.on_found(ref(50), Found(question.lookup, ref(40), refs(10, 40), LABEL))
        self.assertEqual(self.parts.results, [])

    def test_lookups_are_capped(self):
        self.parts = Parts(10, max_lookups=2)
        self.parts.place(5, 20, 30)
        for tag in range(3):
            self.parts.lookups.start(Purpose.PROGRAM, tag, 25)
        (result,) = self.parts.results
        self.assertEqual((result.tag, result.node, result.reason), (2, None, "busy"))

    def test_failures_and_hops_are_counted(self):
        self.start(35)
        _, question = self.passed_on()
        self.lookups.on_found(ref(40), Found(question.lookup, ref(40), refs(10, 30, 40), LABEL))
        self.assertEqual(self.ctx.counters.number(CoreMetric.LOOKUP_HOPS), 2)
        self.assertEqual(self.ctx.counters.number(CoreMetric.LOOKUPS_FAILED), 0)
        self.start(36)
        self.ctx.now += 11.0
        self.lookups.tick()
        self.lookups.tick()
        self.assertEqual(self.ctx.counters.number(CoreMetric.LOOKUPS_FAILED), 1)

    def test_a_lookup_through_another_node_begins_there(self):
        self.start(8, via=ref(33))
        target, question = self.passed_on()
        self.assertEqual((target, question.path), (33, []))


class FallbackTests(LookupTestCase):
    def test_a_lookup_without_an_answer_goes_on_iteratively(self):
        self.start(35)
        self.parts.fresh()
        self.ctx.now = due(self.lookups)
        self.lookups.tick()
        target, question = self.asked_next()
        self.assertEqual(target, 30)
        self.assertEqual(question.key, raw(35))
        self.assertEqual(self.ctx.counters.number(CoreMetric.LOOKUPS_RETRIED), 1)

    def test_a_refusal_on_the_way_makes_a_lookup_iterative_at_once(self):
        self.start(35)
        _, question = self.passed_on()
        self.parts.fresh()
        self.lookups.on_find_failed(ref(40), FindFailed(question.lookup, "n30 is in no ring"))
        self.assertEqual(self.asked_next()[0], 30)

    def test_a_refusal_by_the_node_at_which_a_lookup_began_ends_the_lookup(self):
        self.start(35, via=ref(33))
        _, question = self.passed_on()
        self.lookups.on_find_failed(ref(40), FindFailed(question.lookup, "n33 is in no ring"))
        self.assertEqual(self.result().node, None)
        self.assertEqual(self.result().reason, Failed.REFUSED)

    def test_a_late_answer_to_the_recursive_lookup_still_counts(self):
        self.start(35)
        _, question = self.passed_on()
        self.ctx.now = due(self.lookups)
        self.lookups.tick()
        self.lookups.on_found(ref(40), Found(question.lookup, ref(40), refs(10, 30, 40), LABEL))
        self.assertEqual(self.result().node, ref(40))

    def test_the_deadline_ends_a_lookup(self):
        self.start(35)
        while not self.parts.results:
            at = [t for t in map(due, (self.lookups, self.parts.requests)) if t is not None]
            self.ctx.now = min(at)
            self.parts.requests.tick()
            self.lookups.tick()
        self.assertIsNone(self.result().node)
        self.assertTrue(self.result().reason)
        self.assertLessEqual(self.ctx.now, 10.1)


class IterativeTests(LookupTestCase):
    def go(self, key: int, **details) -> tuple[int, FindNext]:
        self.start(key, iterative=True, **details)
        return self.asked_next()

    def test_the_asker_asks_each_node_itself(self):
        self.assertEqual(self.go(3)[0], 50)
        self.answer_next(50, 60)
        self.assertEqual(self.asked_next()[0], 60)
        self.answer_next(60, 5, last=True)
        target, question = self.asked_next()
        self.assertEqual((target, question.last), (5, True))
        self.answer_next(5, done=True)
        self.assertEqual(self.result().node, ref(5))
        self.assertEqual(ids(self.result().path), [10, 50, 60, 5])

    def test_a_key_of_our_own_needs_no_question(self):
        self.start(8, iterative=True)
        self.assertEqual(self.result().node, ref(10))
        self.assertEqual(sent(self.ctx), [])

    def test_a_silent_node_is_suspected_and_gone_round(self):
        self.go(3)
        self.silence()
        self.assertEqual(self.parts.verdicts, [("suspected", 50)])
        target, question = self.asked_next()
        self.assertEqual(target, 40)
        self.assertEqual(question.exclude, [raw(50)])

    def test_whoever_named_a_silent_node_is_asked_for_another(self):
        self.go(3)
        self.answer_next(50, 60)
        self.silence()
        target, question = self.asked_next()
        self.assertEqual((target, question.exclude), (50, [raw(60)]))
        self.answer_next(50, 62)
        self.assertEqual(self.asked_next()[0], 62)
        self.answer_next(62, done=True)
        self.assertEqual(ids(self.result().path), [10, 50, 62])

    def test_a_dead_owner_is_replaced_by_the_next_live_node(self):
        self.go(15)
        self.silence()
        target, question = self.asked_next()
        self.assertEqual((target, question.last), (30, True))
        self.assertIn(raw(20), question.exclude)

    def test_when_all_from_the_key_on_are_dead_the_last_live_node_before_the_key_answers(self):
        """Routing to the last live node before the key, rather than failing."""
        self.parts.place(20, 20)
        self.go(15)
        self.ctx.peers.died(ref(20), self.ctx.now)
        self.parts.evict(ref(20))
        self.silence()
        self.assertEqual(self.result().node, ref(10), "this one, nobody else being left")

    def test_a_silent_owner_that_its_neighbour_vouches_for_is_asked_again(self):
        """Its silence may have been one lost message."""
        self.go(3)
        self.answer_next(50, 60, last=True)
        self.silence()
        target, question = self.asked_next()
        self.assertEqual((target, question.last), (50, False))
        self.answer_next(50, 5, last=True)
        self.answer_next(5, 60, last=True)
        target, question = self.asked_next()
        self.assertEqual((target, question.last), (60, True))
        self.assertEqual(question.exclude, [])

    def test_when_nobody_is_left_to_ask_the_lookup_begins_again(self):
        self.parts.place(5, 20)
        self.go(3)
        self.silence()
        target, question = self.asked_next()
        self.assertEqual((target, question.exclude), (20, []), "not known to be dead")

    def test_a_node_is_not_asked_twice_for_the_same(self):
        self.go(3)
        self.answer_next(50, 40)
        self.assertEqual(self.asked_next()[0], 40)
        self.answer_next(40, 50, 30)
        self.assertEqual(self.asked_next()[0], 30)

    def test_two_nodes_that_name_each_other_do_not_go_on_for_ever(self):
        self.go(3)
        for _ in range(10):
            if not sent(self.ctx, FindNext):
                break
            self.answer_next(self.asked_next()[0], 50, 40)
        self.assertIsNone(self.result().node)
        self.assertIn("no way", self.result().reason)

    def test_the_number_of_questions_is_bounded(self):
        """A peer that makes up ever new nodes leads nowhere, and not for ever."""
        self.go(3)
        rng = Random(1)
        asked = 0
        while sent(self.ctx, FindNext):
            asked += 1
            target, _ = self.asked_next()
            rid = sent(self.ctx, FindNext)[-1][1].rid
            self.parts.fresh()
            made_up = [ref(rng.randrange(64), rng.randrange(1, 10**6)) for _ in range(3)]
            self.parts.requests.answered(
                ref(target), Next(rid, False, made_up, bool(asked % 2), LABEL)
            )
            self.assertLessEqual(asked, MAX_STEPS)
        self.assertIsNone(self.result().node)

    def test_a_node_that_others_name_for_its_own_lookup_takes_the_step_itself(self):
        """Its predecessors have died and it owns their keys, but does not know it yet."""
        self.go(3)
        self.ctx.peers.died(ref(5), 0.0)
        self.answer_next(50, 10, 20, last=True)
        self.assertEqual(sent(self.ctx), [])
        self.assertEqual(self.result().node, ref(10))
        self.assertEqual(ids(self.result().path), [10, 50, 10])

    def test_a_node_named_by_mistake_as_the_owner_points_back_at_its_predecessor(self):
        self.go(3)
        self.answer_next(50, 10, last=True)
        target, question = self.asked_next()
        self.assertEqual((target, question.last), (5, True))

    def test_offers_beyond_three_are_not_kept(self):
        self.go(3)
        self.answer_next(50, 60, 61, 62, 63)
        lookup = next(iter(self.lookups._open.values()))
        self.assertNotIn(ref(63), [node for node, _ in lookup.walk.candidates])

    def test_the_dead_are_excluded_from_the_start(self):
        self.ctx.peers.died(ref(50), 0.0)
        target, question = self.go(3)
        self.assertEqual((target, question.exclude), (40, [raw(50)]))

    def test_the_asker_bounds_the_excluded_names_and_tells_the_latest(self):
        for n in range(11, 11 + 2 * MAX_EXCLUDE):
            self.ctx.peers.died(ref(n), 0.0)
        self.parts.place(5, 60, fingers=[62])
        self.start(2, iterative=True)
        _, question = self.asked_next()
        latest = range(11 + MAX_EXCLUDE, 11 + 2 * MAX_EXCLUDE)
        self.assertEqual(question.exclude, [raw(n) for n in latest])
        self.silence()
        _, question = self.asked_next()
        self.assertEqual(len(question.exclude), MAX_EXCLUDE)
        self.assertEqual(question.exclude[-1], raw(62))


class WholeRingTests(SynchronousTestCase):
    """Lookups across right rings of real nodes agree with the definition of successor(key)."""

    def results(self, wire: Wire) -> dict[int, LookupDone]:
        return {done.op: done for _, done in wire.told(LookupDone)}

    def test_every_key_is_found_by_its_owner_in_both_ways(self):
        for seed in range(6):
            rng = Random(seed)
            members = sorted(rng.sample(range(64), rng.randrange(1, 14)))
            for iterative in (False, True):
                wire = Wire(members, ticking=False)
                start = rng.choice(members)
                for key in range(64):
                    wire.event(start, FindOwner(key, raw(key), iterative))
                wire.run(1.0)
                results = self.results(wire)
                for key in range(64):
                    done = results[key]
                    where = f"seed {seed} key {key} from {start} iterative {iterative}"
                    self.assertEqual(done.owner.id, ideal_successor(members, key), where)
                    self.assertEqual(done.path[0].id, start, where)
                    self.assertEqual(done.path[-1].id, done.owner.id, where)

    def test_with_half_the_ring_dead_and_unrepaired_every_lookup_is_answered(self):
        """The published protocol fails none (ToN 2003, section VI-E); neither do we."""
        for seed in range(4):
            rng = Random(seed)
            members = sorted(rng.sample(range(64), 16))
            wire = Wire(members, successors=8, stabilise_idle_s=1000.0, audit_s=1000.0)
            start, *others = rng.sample(members, 16)
            for dead in others[:7]:
                wire.kill(dead, noticed=False)
            live = sorted(set(members) - set(others[:7]))
            for key in range(0, 64, 3):
                wire.event(start, FindOwner(key, raw(key), False))
            wire.run(12.0)
            results = self.results(wire)
            for key in range(0, 64, 3):
                owner = results[key].owner
                self.assertEqual(
                    owner and owner.id, ideal_successor(live, key), f"seed {seed} key {key}"
                )
