"""What a node points at: which lists it can use, whom it asks, and who has taken it in."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import RingChanged, StatusChanged
from chordnet.core.base.events import Leave
from chordnet.core.base.messages import GetState, Leaving, NodeRef, Ping, RingLabel, Status
from chordnet.core.kernel.timers import Alarm
from chordnet.core.node import ChordNode
from chordnet.core.ring.pointers import Adoption
from tests.unit.core_support import (
    LABEL,
    Parts,
    config,
    effects_of,
    ids,
    raw,
    ref,
    refs,
    sent,
    targets,
)


class AdoptionTests(SynchronousTestCase):
    def test_at_first_nobody_has_taken_a_node_in(self) -> None:
        new = Adoption()
        self.assertEqual([new.joined, new.before, new.behind, new.answered], [False] * 4)

    def test_both_neighbours_have_to_take_a_node_in_and_that_is_told_once(self) -> None:
        for before, behind, alone, joined in (
            (False, False, False, False), (True, False, False, False),
            (False, True, False, False), (True, True, False, True), (False, False, True, True),
        ):  # fmt: skip
            adoption = Adoption()
            adoption.before, adoption.behind = before, behind
            told = [adoption.complete(alone=alone) for _ in range(2)]
            self.assertEqual((told, adoption.joined), ([joined, False], joined))


class PlacedTests(SynchronousTestCase):
    def test_a_node_that_is_placed_counts_as_long_at_rest(self) -> None:
        for seed in range(10):
            settings = config(stabilise_idle_s=4.0, fingers_idle_s=6.0, sync_s=3.0)
            node = ChordNode(settings, ref(10), Random(seed))
            effects = node.place(LABEL, ref(5), refs(20, 30), {5: ref(50)}, ["n20"], 100.0)
            adoption = node.ring.adoption
            flags = [adoption.joined, adoption.before, adoption.behind, adoption.answered]
            self.assertEqual(flags, [True, False, True, True])
            self.assertTrue(node.has_joined)
            self.assertEqual(effects_of(effects, RingChanged)[-1].label, LABEL)
            changed = StatusChanged(Status.UNJOINED, Status.ACTIVE)
            self.assertEqual(effects_of(effects, StatusChanged), [changed])
            at = {name: node.ctx.alarms._at[name] - 100.0 for name in node.ctx.alarms._at}
            self.assertTrue(0 <= at["stabilise"] <= 4.0, (seed, at))
            self.assertTrue(0 <= at["fingers"] <= 6.0, (seed, at))
            self.assertTrue(0 <= at["sync"] <= 3.0, (seed, at))
            self.assertEqual(at["predecessor"], 6.0)


class OfferTests(SynchronousTestCase):
    """A member between 5 and 20, which keeps lists of three."""

    def setUp(self) -> None:
        self.parts = Parts(10)
        self.parts.place(5, 20, 30, 40)
        self.offers = self.parts.ring.offers
        self.parts.fresh()

    def hinted(self) -> list[int]:
        return [word[1] for word in self.parts.told if word[0] == "hinted"]

    def test_a_list_is_usable_up_to_where_it_comes_round_or_does_not_go_on(self) -> None:
        for offered, usable in (
            ((11, 12, 13), [11, 12, 13]), ((11, 12, 13, 14), [11, 12, 13]), ((9,), [9]),
            ((20, 20, 30), [20]), ((20, 15, 30), [20]), ((20, 10, 30), [20]), ((10, 20), []),
            ((60, 5, 9, 11), [60, 5, 9]), ((), []),
        ):  # fmt: skip
            self.assertEqual(ids(self.offers.usable(refs(*offered))), usable, offered)

    def test_only_another_node_under_our_name_is_a_twin(self) -> None:
        for node in (None, ref(20), ref(10), ref(20, 5)):
            self.offers.notice_twin(node)
        self.assertEqual(self.hinted(), [])
        self.offers.notice_twin(ref(10, 2))
        self.assertEqual(self.hinted(), [10])

    def test_another_life_of_a_node_that_was_met_is_reported_unless_it_is_stale(
        self,
    ) -> None:
        for life, met_dead, hinted in (
            (ref(20, 2), False, True), (ref(20, 0), False, False), (ref(20, 0), True, True),
            (NodeRef(raw(20), 0, "elsewhere", "n20"), False, True),
            (NodeRef(raw(20), 1, "elsewhere", "n20"), False, True),
        ):  # fmt: skip
            self.setUp()
            if met_dead:
                self.parts.ctx.peers.died(ref(20), self.parts.ctx.now)
            self.assertTrue(self.offers.is_another(life), life)
            self.assertEqual(self.hinted(), [20] if hinted else [], life)
        self.assertFalse(self.offers.is_another(ref(20)))


class LeavingTests(SynchronousTestCase):
    """A member between 5 and 20."""

    def setUp(self) -> None:
        self.parts = Parts(10)
        self.parts.place(5, 20, 30, 40)
        self.parts.fresh()

    def leaves(self, node: int, offered: int | None) -> list[int]:
        """Let ``node`` leave and offer a predecessor; return who is asked whether it lives."""
        before = None if offered is None else ref(offered)
        self.parts.departure.on_leaving(ref(node), Leaving(before, refs(30)))
        return targets(self.parts.ctx, Ping)

    def test_only_a_leaving_predecessor_offers_the_next_one(self) -> None:
        for node, offered, asked in ((20, 15, []), (30, 25, []), (5, None, []), (5, 10, [])):
            self.setUp()
            self.assertEqual(self.leaves(node, offered), asked, (node, offered))
        self.setUp()
        self.assertEqual(self.leaves(5, 3), [3])

    def test_where_there_is_no_predecessor_none_can_leave(self) -> None:
        self.parts.ring.predecessor = None
        self.assertEqual(self.leaves(5, 3), [])

    def test_a_node_that_leaves_asks_for_no_ring_and_for_no_pointers_any_more(self) -> None:
        for status in (Status.ACTIVE, Status.SEEKING):
            self.setUp()
            self.parts.ctx.set_status(status)
            for alarm in (Alarm.JOIN, Alarm.STABILISE):
                self.parts.ctx.alarms.set(alarm, 5.0)
            self.parts.departure.leave(Leave())
            left = {alarm for alarm in Alarm if self.parts.ctx.alarms.is_set(alarm)}
            self.assertEqual(left, {"leave"} if status == Status.ACTIVE else set(), status)

    def test_the_label_that_was_given_up_is_remembered(self) -> None:
        self.parts.ring.set_label(RingLabel(0, 3))
        self.assertEqual(self.parts.ring.standing().before, LABEL)
        self.assertEqual(self.parts.ring.standing().label, RingLabel(0, 3))

    def test_a_node_that_is_asked_by_its_predecessor_is_taken_in_by_it_alone(self) -> None:
        for asking, taken_in in ((20, False), (5, True)):
            self.parts.stabilise.asked(ref(asking), GetState(1, int(Status.ACTIVE), True))
            self.assertEqual(self.parts.ring.adoption.before, taken_in)
        self.assertEqual(len(sent(self.parts.ctx)), 2)
