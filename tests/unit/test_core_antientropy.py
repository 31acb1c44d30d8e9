"""Anti-entropy: neighbours compare, and whoever lacks a message gets it.

The wire's nodes have no store of their own, so the tests perform ``SendStored`` from what the giver
recorded, as a runtime does.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import intervals
from chordnet.core.base.effects import Gap, Misbehaved, Record, SendStored
from chordnet.core.base.messages import (
    Bcast,
    Caught,
    Compare,
    Detour,
    EdgeKind,
    Given,
    Have,
    Hop,
    Lost,
    MessageId,
    NodeRef,
    OriginState,
    Range,
    Status,
    Want,
)
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.log.antientropy import PAGE_ORIGINS, AntiEntropy
from chordnet.core.log.ledger import Ledger
from chordnet.core.seals.sealing import Seals
from tests.unit.core_support import Parts, effects_of, raw, ref, sent, targets


def mid(sequence: int, origin: int = 50) -> MessageId:
    return MessageId(raw(origin), 1, sequence)


def numbers(first: int, end: int = 0, origin: int = 50) -> Range:
    return Range(raw(origin), 1, first, end or first + 1)


def within(given: SendStored) -> list[int]:
    return [number for each in given.ranges for number in range(each.first, each.end)]


class Side:
    """One node's half of the exchange, with everything that it recorded."""

    def __init__(self, me: int, *sequences: int, ledger: Ledger | None = None) -> None:
        self.parts = Parts(me, grace_s=1.0)
        self.parts.place(5, 20, 30)
        self.ctx = self.parts.ctx
        self.ledger = ledger or Ledger(8)
        self.dropped: set[int] = set()
        self.sync = AntiEntropy(self.ctx, self.ledger, self.parts.routes, Seals(self.ctx, None))
        for sequence in sequences:
            self.record(sequence)
        self.ripen()

    def record(self, sequence: int) -> None:
        weight = self.ledger.add(mid(sequence))
        self.sync.recorded(mid(sequence), weight)

    def ripen(self) -> None:
        self.parts.advance(1.1)
        self.sync.tick()

    def drop(self, *sequences: int) -> None:
        """Keep these messages no more."""
        self.dropped.update(sequences)

    def ask(self, peer: NodeRef) -> None:
        """Compare with ``peer``, which has something else."""
        self.sync.compared(peer, self.sync.digest + 1)
        self.ctx.effects = []

    def has(self, *sequences: int) -> bool:
        return all(mid(n) in self.ledger for n in sequences)


def caught(sequence: int, sender: int, **changes) -> Caught:
    hops = [Hop(raw(50), "n50", int(EdgeKind.ORIGIN)), Hop(raw(sender), "", int(EdgeKind.FINGER))]
    given = {"hops": hops, "body": b"x", **changes}
    return Caught(mid(sequence), given.get("created", 0.0), given["hops"], given["body"])


def converse(one: Side, other: Side) -> int:
    """Carry messages between two sides until both are silent; return how many."""
    carried = 0
    while True:
        found = [
            (giver, taker, effect)
            for giver, taker in ((one, other), (other, one))
            for effect in giver.ctx.effects
        ]
        one.ctx.effects, other.ctx.effects = [], []
        if not found:
            return carried
        for giver, taker, effect in found:
            peer = giver.ctx.me
            if isinstance(effect, SendStored):
                found_all = perform(giver, taker, effect)
                if effect.more is not None:
                    taker.sync.on_given(peer, Given(effect.more or not found_all))
            elif isinstance(effect, Record | Gap):
                continue
            else:
                handle(taker.sync, peer, effect.message)
            carried += 1


GO = 512
"""Messages that a runtime gives in one go."""


def perform(giver: Side, taker: Side, effect: SendStored) -> bool:
    peer, wanted = giver.ctx.me, within(effect)
    kept = [number for number in wanted if number not in giver.dropped]
    for number in kept[:GO]:
        taker.sync.on_caught(peer, caught(number, peer.id))
    lost = intervals.of(number for number in wanted if number in giver.dropped)
    if lost:
        taker.sync.on_lost(peer, Lost([numbers(*each) for each in intervals.pairs(lost)]))
    return len(kept) <= GO


def handle(sync: AntiEntropy, peer, message) -> None:
    if isinstance(message, Have):
        sync.on_have(peer, message)
    elif isinstance(message, Want):
        sync.on_want(peer, message)
    elif isinstance(message, Compare):
        sync.compared(peer, message.digest)
    elif isinstance(message, Lost):
        sync.on_lost(peer, message)
    else:
        raise AssertionError(f"unexpected {message}")


class DigestTests(SynchronousTestCase):
    def test_the_same_messages_in_any_order_have_the_same_digest(self):
        self.assertEqual(Side(10, 1, 2, 3).sync.digest, Side(20, 3, 1, 2).sync.digest)
        self.assertNotEqual(Side(10, 1, 2, 3).sync.digest, Side(20, 1, 2, 4).sync.digest)

    def test_a_message_that_is_damaged_counts_as_missing_young_or_not(self):
        for young in (True, False):
            side = Side(10, 1, 2)
            if young:
                side.sync.recorded(mid(2), side.ledger.weight(mid(2)))
            side.sync.spoiled([mid(2), mid(9)])
            self.assertEqual(side.sync.digest, Side(20, 1).sync.digest)
            self.assertEqual(side.ctx.counters.number(CoreMetric.SPOILED), 1)
            side.ripen()
            self.assertEqual(side.sync.digest, Side(20, 1).sync.digest)

    def test_a_young_message_is_left_to_the_tree(self):
        side, other = Side(10, 1, 2), Side(20, 1, 2)
        side.record(3)
        self.assertEqual(side.sync.digest, other.sync.digest)
        side.parts.advance(1.1)
        self.assertNotEqual(side.sync.digest, other.sync.digest, "of age, whatever the timers")


class ExchangeTests(SynchronousTestCase):
    def test_equal_digests_begin_no_exchange(self):
        side = Side(10, 1, 2)
        side.sync.compared(ref(20), Side(20, 1, 2).sync.digest)
        self.assertEqual(side.ctx.effects, [])

    def test_each_side_gets_what_it_lacks(self):
        for one, other in (((1, 2, 5), (1, 3)), ((), (1, 2, 3)), ((2, 9), (1,))):
            a, b = Side(10, *one), Side(20, *other)
            a.sync.compared(ref(20), b.sync.digest)
            self.assertGreater(converse(a, b), 0)
            self.assertTrue(a.has(*one, *other) and b.has(*one, *other), (one, other))
            a.ripen()
            b.ripen()
            self.assertEqual(a.sync.digest, b.sync.digest)

    def test_what_is_too_much_for_one_exchange_comes_in_several(self):
        a, b = Side(10), Side(20, *range(1, GO + 200))
        a.sync.compared(ref(20), b.sync.digest)
        converse(a, b)
        self.assertTrue(a.has(*range(1, GO + 200)))
        self.assertEqual(a.ctx.counters.number(CoreMetric.EXCHANGES), 2)

    def test_a_young_message_is_not_given_when_asked_for(self):
        side = Side(10, 1)
        side.record(2)
        side.ask(ref(20))
        side.sync.on_want(ref(20), Want([numbers(1, 1 << 40)]))
        self.assertEqual(side.ctx.effects, [SendStored(ref(20), [numbers(1)], None)])

    def test_what_has_just_come_of_age_is_given_whatever_the_timers(self):
        for ask in (Have([], [], []), Want([numbers(1, 3)])):
            side = Side(10, 1)
            side.record(2)
            side.parts.advance(1.0)
            side.record(3)
            side.ask(ref(20))
            if isinstance(ask, Have):
                side.sync.on_have(ref(20), ask)
            else:
                side.sync.on_want(ref(20), ask)
            (given,) = effects_of(side.ctx.effects, SendStored)
            self.assertEqual(within(given), [1, 2])

    def test_there_is_more_when_there_are_more_ranges_than_one_exchange_names(self):
        for count, more in ((256, False), (257, True)):
            side = Side(10, *range(2, 2 * count + 1, 2))
            side.ctx.effects = []
            side.sync.on_have(ref(20), Have([], [], []))
            (given,) = side.ctx.effects
            self.assertEqual((len(given.ranges), given.more), (256, more))

    def test_an_exchange_that_has_ended_makes_room_for_the_next(self):
        side = Side(10, 1)
        side.sync.compared(ref(20), 1)
        side.sync.on_given(ref(20), Given(False))
        side.sync.compared(ref(30), 1)
        self.assertEqual(targets(side.ctx, Have), [20, 30])
        self.assertEqual(side.ctx.counters.number(CoreMetric.EXCHANGES), 2)

    def test_there_is_one_exchange_at_a_time_and_a_silent_partner_is_not_waited_for(self):
        side = Side(10, 1)
        side.sync.compared(ref(20), 1)
        side.sync.compared(ref(30), 1)
        self.assertEqual(targets(side.ctx, Have), [20])
        side.parts.advance(5.1)
        side.sync.compared(ref(30), 1)
        self.assertEqual(targets(side.ctx, Have), [20, 30])

    def test_outside_of_a_ring_nothing_is_exchanged(self):
        side = Side(10, 1)
        side.ctx.set_status(Status.LEAVING)
        side.sync.compared(ref(20), 1)
        side.sync.on_have(ref(20), Have([], [], []))
        side.sync.compare_with_some()
        self.assertEqual(side.ctx.effects, [])

    def test_the_first_comparison_comes_within_one_period(self):
        side = Side(10, 1)
        now, period = side.ctx.now, side.ctx.config.sync_s
        side.sync.start()
        self.assertEqual(side.ctx.alarms.next(), now + period)
        side = Side(10, 1)
        for _ in range(20):
            side.sync.place()
            self.assertTrue(now <= side.ctx.alarms.next() <= now + period)

    def test_a_random_neighbour_is_compared_with_now_and_then(self):
        side = Side(10, 1)
        asked = set()
        for _ in range(30):
            side.ctx.effects = []
            side.sync.compare_with_some()
            asked |= set(targets(side.ctx, Compare))
        self.assertEqual(asked, {20, 30})
        side.parts.routes.rebuild([], [])
        side.ctx.effects = []
        side.sync.compare_with_some()
        self.assertEqual(side.ctx.effects, [])
        self.assertTrue(side.ctx.alarms.is_set("sync"))


class CaughtTests(SynchronousTestCase):
    def setUp(self):
        self.side = Side(10, 1)
        self.side.ask(ref(20))

    def test_a_message_that_is_handed_over_twice_is_recorded_once(self):
        for _ in range(2):
            self.side.sync.on_caught(ref(20), caught(2, 20))
        (record,) = effects_of(self.side.ctx.effects, Record)
        self.assertEqual(record.route[-1], Hop(raw(10), "n10", int(EdgeKind.CAUGHT_UP)))
        counters = self.side.ctx.counters.named()
        self.assertEqual((counters["caught_up"], counters["caught_up_twice"]), (1, 1))

    def test_a_message_handed_over_is_young_and_its_way_kept_for_as_long_as_its_tree_may_come(self):
        side, digest = self.side, self.side.sync.digest
        side.sync.on_caught(ref(20), caught(2, 20))
        self.assertEqual(side.sync.digest, digest)
        side.ripen()
        self.assertEqual(side.sync.digest, Side(20, 1, 2).sync.digest)
        self.assertEqual(list(side.sync.ways), [mid(2)])
        side.parts.advance(side.ctx.config.broadcast_deadline_s)
        side.sync.tick()
        self.assertEqual(side.sync.ways, {})

    def test_the_origin_itself_may_hand_over_a_message_of_the_greatest_length(self):
        hops = [Hop(raw(50), "n50", int(EdgeKind.ORIGIN))]
        body = b"x" * self.side.ctx.config.max_body_bytes
        self.side.parts.advance(5.1)
        self.side.ask(ref(50))
        self.side.sync.on_caught(ref(50), caught(2, 50, hops=hops, body=body))
        self.assertEqual(len(effects_of(self.side.ctx.effects, Record)), 1)

    def test_a_message_handed_over_that_is_out_of_bounds_is_refused(self):
        for wrong in (
            caught(2, 30),
            caught(0, 20),
            caught(1 << 62, 20),
            caught(2, 20, created=float("nan")),
            caught(2, 20, hops=[]),
            caught(2, 20, hops=[Hop(raw(20), "", int(EdgeKind.CAUGHT_UP))] * 160),
            caught(2, 20, body=b"x" * 70_000),
        ):
            self.side.ctx.effects = []
            self.side.sync.on_caught(ref(20), wrong)
            self.assertEqual(len(effects_of(self.side.ctx.effects, Misbehaved)), 1)
            self.assertEqual(effects_of(self.side.ctx.effects, Record), [])

    def test_impossible_claims_are_refused(self):
        for state in (
            OriginState(b"", 1, [1, 4]), OriginState(raw(50), 1, [1, 1 << 63]),
            OriginState(raw(50), 1 << 63, [1, 2]), OriginState(raw(50), 1, [3, 2]),
            OriginState(raw(50), 1, [-1, 2]), OriginState(raw(50), 1, [1]),
            OriginState(raw(50), 1, [0, 2]),
        ):  # fmt: skip
            self.side.ctx.effects = []
            self.side.sync.on_have(ref(20), Have([], [], [state]))
            (fault,) = self.side.ctx.effects
            self.assertIsInstance(fault, Misbehaved)

    def test_more_than_may_be_asked_for_at_once_is_not_given(self):
        self.side.sync.on_want(ref(20), Want([numbers(1)] * 257))
        (fault,) = self.side.ctx.effects
        self.assertIsInstance(fault, Misbehaved)
        self.side.ctx.effects = []
        self.side.sync.on_want(ref(20), Want([numbers(1)] * 256))
        (given,) = self.side.ctx.effects
        self.assertEqual(len(given.ranges), 256)

    def test_what_cannot_have_been_recorded_cannot_be_lost_nor_wanted(self):
        for wrong in (
            Range(b"", 1, 1, 2), Range(raw(50), 1 << 63, 1, 2), numbers(0, 2), numbers(3, 3),
            numbers(1, (1 << 62) + 1),
        ):  # fmt: skip
            self.side.ctx.effects = []
            self.side.sync.on_lost(ref(20), Lost([numbers(7), wrong]))
            self.side.sync.on_want(ref(20), Want([numbers(7), wrong]))
            self.assertEqual(len(effects_of(self.side.ctx.effects, Misbehaved)), 2)
            self.assertEqual(len(self.side.ctx.effects), 2)

    def test_a_boundless_claim_makes_a_question_of_one_range(self):
        self.side.sync.on_have(ref(20), Have([], [], [OriginState(raw(50), 1, [1, 1 << 61])]))
        self.assertEqual(sent(self.side.ctx, Want), [(20, Want([numbers(2, 1 << 61)]))])

    def test_a_question_names_a_bounded_number_of_ranges(self):
        known = list(range(2, 2 + 4 * 600, 2))
        self.side.sync.on_have(ref(20), Have([], [], [OriginState(raw(50), 1, known)]))
        ((_, question),) = sent(self.side.ctx, Want)
        self.assertEqual(len(question.ranges), 256)

    def test_the_word_of_one_that_is_no_partner_ends_no_exchange(self):
        self.side.sync.on_given(ref(30), Given(True))
        self.assertEqual(targets(self.side.ctx, Have), [])
        self.side.sync.on_caught(ref(20), caught(2, 20))
        self.side.sync.on_given(ref(20), Given(True))
        self.assertEqual(targets(self.side.ctx, Have), [20])


class UnaskedTests(SynchronousTestCase):
    """An answer is taken from who was asked, for what was asked, and for a while."""

    def setUp(self):
        self.side = Side(10, 1)
        self.side.ctx.effects = []

    def refused(self, peer: int, *messages: Caught | Lost) -> None:
        for message in messages:
            if isinstance(message, Caught):
                self.side.sync.on_caught(ref(peer), message)
            else:
                self.side.sync.on_lost(ref(peer), message)
        self.assertEqual(self.side.ctx.effects, [])
        self.assertEqual(self.side.ledger.states()[0].known, [1, 2])
        self.assertEqual(self.side.ctx.counters.number(CoreMetric.ANSWERS_IGNORED), len(messages))

    def test_nothing_is_taken_that_was_not_asked_for(self):
        self.refused(20, caught(2, 20), Lost([numbers(2, 514)]))

    def test_nothing_is_taken_from_another_than_the_one_asked(self):
        self.side.ask(ref(20))
        self.refused(30, caught(2, 30), Lost([numbers(2, 514)]))

    def test_nothing_is_taken_when_the_exchange_is_long_over(self):
        self.side.ask(ref(20))
        self.side.parts.advance(5.1)
        self.refused(20, caught(2, 20), Lost([numbers(2, 514)]))

    def test_when_numbers_were_asked_for_no_other_numbers_are_taken(self):
        self.side.sync.on_have(ref(20), Have([], [], [OriginState(raw(50), 1, [5, 9])]))
        self.side.ctx.effects = []
        self.refused(20, caught(4, 20), caught(9, 20), Lost([numbers(4, 6)]))
        self.side.sync.on_caught(ref(20), caught(5, 20))
        self.assertTrue(self.side.has(5))

    def test_when_a_page_was_asked_for_only_the_origins_of_that_page_are_taken(self):
        ledger = Ledger(4096)
        for incarnation in range(1, PAGE_ORIGINS + 10):
            ledger.add(MessageId(raw(50), incarnation, 1))
        side = Side(10, ledger=ledger)
        side.ask(ref(20))
        beyond = MessageId(raw(50), PAGE_ORIGINS + 5, 2)
        side.sync.on_caught(ref(20), Caught(beyond, 0.0, caught(1, 20).hops, b""))
        self.assertNotIn(beyond, ledger)
        side.sync.on_caught(ref(20), Caught(beyond, 0.0, caught(1, 20).hops, b""))
        within = MessageId(raw(50), PAGE_ORIGINS, 2)
        side.sync.on_caught(ref(20), Caught(within, 0.0, caught(1, 20).hops, b""))
        self.assertIn(within, ledger)
        side.sync.on_given(ref(20), Given(False))
        side.ask(ref(20))
        for incarnation, taken in ((PAGE_ORIGINS, False), (PAGE_ORIGINS + 1, True)):
            each = MessageId(raw(50), incarnation, 3)
            side.sync.on_caught(ref(20), Caught(each, 0.0, caught(1, 20).hops, b""))
            self.assertEqual(each in ledger, taken, "the second page begins after the first")

    def test_of_this_nodes_own_life_only_what_it_has_published_is_taken_or_asked_for(self):
        side = self.side
        side.sync.published = 3
        own = [Hop(raw(10), "n10", int(EdgeKind.ORIGIN)), Hop(raw(20), "", int(EdgeKind.FINGER))]
        side.sync.on_have(ref(20), Have([], [], [OriginState(raw(10), 1, [1, 900])]))
        self.assertEqual(sent(side.ctx, Want), [(20, Want([numbers(1, 4, origin=10)]))])
        side.sync.on_have(ref(20), Have([], [], [OriginState(raw(10), 1, [3, 900])]))
        self.assertEqual(sent(side.ctx, Want)[1:], [(20, Want([numbers(3, 4, origin=10)]))])
        del side.ctx.effects[-1]
        side.sync.on_have(ref(20), Have([], [], [OriginState(raw(10), 1, [4, 900])]))
        self.assertEqual(len(sent(side.ctx, Want)), 1)
        side.ask(ref(20))
        side.sync.on_caught(ref(20), Caught(mid(4, 10), 0.0, own, b""))
        side.sync.on_lost(ref(20), Lost([numbers(3, 5, origin=10)]))
        self.assertEqual(side.ledger.last(raw(10), 1), 0)
        side.sync.on_caught(ref(20), Caught(mid(3, 10), 0.0, own, b""))
        self.assertEqual(side.ledger.last(raw(10), 1), 3)

    def test_a_question_is_served_once_for_each_page_of_ours_and_never_without_one(self):
        want = Want([numbers(1)])
        self.side.sync.on_want(ref(20), want)
        self.assertEqual(self.side.ctx.effects, [])
        self.side.ask(ref(20))
        self.side.sync.on_want(ref(20), want)
        self.side.sync.on_want(ref(20), want)
        self.assertEqual(len(self.side.ctx.effects), 1)
        self.assertEqual(self.side.ctx.counters.number(CoreMetric.WANTS_IGNORED), 2)


class GivingUpTests(SynchronousTestCase):
    """What no node keeps is given up, on the word of two."""

    def setUp(self):
        self.side = Side(10, 1)
        for peer in (20, 30):
            self.side.ask(ref(peer))
            self.side.sync.on_given(ref(peer), Given(False))

    def test_the_word_of_one_node_is_not_enough_to_give_a_message_up(self):
        for _ in range(3):
            self.side.sync.on_lost(ref(20), Lost([numbers(2, 514)]))
        self.assertEqual(self.side.ctx.effects, [])
        self.assertFalse(self.side.ledger.is_known(mid(2)))

    def test_what_two_nodes_do_not_keep_is_a_gap_and_asked_for_no_more(self):
        self.side.sync.on_lost(ref(20), Lost([numbers(2, 9)]))
        self.side.sync.on_lost(ref(30), Lost([numbers(4, 7), numbers(8, 20)]))
        self.assertEqual(self.side.ctx.effects, [Gap(ref(30), [numbers(4, 7), numbers(8, 9)])])
        self.assertEqual(self.side.ledger.states()[0].lost, [4, 7, 8, 9])
        self.assertEqual(self.side.ctx.counters.number(CoreMetric.GAPS), 4)
        self.assertFalse(self.side.has(4))
        self.side.sync.on_lost(ref(20), Lost([numbers(4, 7)]))
        self.side.sync.on_lost(ref(20), Lost([numbers(9, 12)]))
        self.assertEqual(self.side.ledger.states()[0].lost, [4, 7, 8, 12])

    def test_where_no_other_node_is_known_the_word_of_one_is_enough(self):
        self.side.parts.routes.rebuild([ref(20)], [])
        self.side.sync.on_lost(ref(20), Lost([numbers(2, 9)]))
        self.assertEqual(self.side.ledger.states()[0].lost, [2, 9])

    def test_a_message_that_was_given_up_and_comes_after_all_is_recorded(self):
        for peer in (20, 30):
            self.side.sync.on_lost(ref(peer), Lost([numbers(2, 9)]))
        self.side.ask(ref(20))
        self.side.sync.on_caught(ref(20), caught(4, 20))
        self.assertEqual(len(effects_of(self.side.ctx.effects, Record)), 1)
        self.assertEqual(self.side.ledger.states()[0].lost, [2, 4, 5, 9])

    def test_the_doubts_that_one_node_casts_are_bounded(self):
        for n in range(2, 20_000, 512):
            self.side.sync.on_lost(ref(20), Lost([numbers(m) for m in range(n, n + 512, 2)]))
        self.assertLessEqual(len(self.side.sync._doubts), 1024)

    def test_a_newcomer_gives_up_what_no_neighbour_keeps_and_has_the_rest(self):
        newcomer, neighbours = Side(10), [Side(20, *range(1, 800)), Side(30, *range(1, 800))]
        for neighbour in neighbours:
            neighbour.drop(*range(1, 600))
        for _ in range(6):
            for neighbour in neighbours:
                newcomer.parts.advance(8.1)
                newcomer.sync.compared(neighbour.ctx.me, neighbour.sync.digest)
                converse(newcomer, neighbour)
        self.assertTrue(newcomer.has(*range(600, 800)))
        self.assertEqual(newcomer.ledger.states()[0].lost, [1, 600])
        newcomer.ripen()
        self.assertEqual(newcomer.sync.digest, neighbours[0].sync.digest)


class EdgeOfTimeTests(SynchronousTestCase):
    """What is allowed for a while is no longer allowed when the time is up, to the instant."""

    def setUp(self):
        self.side = Side(10, 1)
        self.side.ctx.now = 1000.0
        self.side.ctx.effects = []

    def test_an_answer_is_taken_for_less_than_five_seconds_after_the_page_of_the_ledger(self):
        for seconds, taken in ((4.75, True), (5.0, False)):
            side = Side(10, 1)
            side.ctx.now = 1000.0
            side.ask(ref(20))
            side.parts.advance(seconds)
            side.sync.on_caught(ref(20), caught(2, 20))
            self.assertEqual(side.has(2), taken, seconds)

    def test_an_answer_is_taken_for_less_than_five_seconds_after_the_question(self):
        for seconds, taken in ((4.75, True), (5.0, False)):
            side = Side(10, 1)
            side.ctx.now = 1000.0
            side.sync.on_have(ref(20), Have([], [], [OriginState(raw(50), 1, [2, 4])]))
            side.parts.advance(seconds)
            side.sync.on_caught(ref(20), caught(2, 20))
            self.assertEqual(side.has(2), taken, seconds)

    def test_a_question_is_served_for_less_than_five_seconds_after_the_page(self):
        for seconds, served in ((4.75, 1), (5.0, 0)):
            side = Side(10, 1)
            side.ctx.now = 1000.0
            side.ask(ref(20))
            side.parts.advance(seconds)
            side.sync.on_want(ref(20), Want([numbers(1)]))
            self.assertEqual(len(side.ctx.effects), served, seconds)

    def test_another_exchange_may_begin_five_seconds_after_one_that_has_not_ended(self):
        self.side.sync.compared(ref(20), 1)
        self.side.parts.advance(4.75)
        self.side.sync.compared(ref(30), 1)
        self.side.parts.advance(0.25)
        self.side.sync.compared(ref(40), 1)
        self.assertEqual(targets(self.side.ctx, Have), [20, 40])

    def test_a_node_that_gave_nothing_is_compared_with_after_1_2_4_8_and_8_seconds(self):
        begun = []
        for step in range(4 * 32):
            self.side.sync.compared(ref(20), 1)
            if sent(self.side.ctx, Have):
                begun.append(step / 4)
            self.side.ctx.effects = []
            self.side.sync.on_given(ref(20), Given(False))
            self.side.parts.advance(0.25)
        self.assertEqual(begun, [0.0, 1.0, 3.0, 7.0, 15.0, 23.0, 31.0])

    def test_after_an_exchange_that_brought_something_the_pauses_begin_at_one_second_again(self):
        side = self.side
        for gives in (False, True, False):
            side.parts.advance(8.0)
            side.sync.compared(ref(20), 1)
            if gives:
                side.sync.on_caught(ref(20), caught(2, 20))
            side.sync.on_given(ref(20), Given(False))
        side.ctx.effects = []
        for seconds, begun in ((0.75, 0), (0.25, 1)):
            side.parts.advance(seconds)
            side.sync.compared(ref(20), 1)
            self.assertEqual(len(sent(side.ctx, Have)), begun, seconds)

    def test_a_node_that_has_only_just_begun_to_count_the_time_may_compare_as_well(self):
        self.side.ctx.now = 0.0
        self.side.sync.compared(ref(20), 1)
        self.assertEqual(targets(self.side.ctx, Have), [20])

    def test_a_message_comes_of_age_after_a_second(self):
        self.side.record(2)
        young = self.side.sync.digest
        self.side.parts.advance(0.875)
        self.assertEqual(self.side.sync.digest, young)
        self.side.parts.advance(0.125)
        self.assertEqual(self.side.sync.digest, Side(20, 1, 2).sync.digest)


class RoomTests(SynchronousTestCase):
    """What is remembered has room for as much as is said, and no more."""

    def setUp(self):
        self.side = Side(10, 1)

    def test_256_nodes_are_remembered_and_the_one_not_used_for_longest_goes_first(self):
        side, peers = self.side, [NodeRef(n.to_bytes(20), 1, "h:1", "") for n in range(1, 258)]
        for peer in peers[:256]:
            side.sync.compared(peer, 1)
            side.sync.on_given(peer, Given(False))
        self.assertEqual(len(side.sync._partners), 256)
        side.ctx.now += 8.0
        side.sync.compared(peers[0], 1)
        side.sync.on_given(peers[0], Given(False))
        side.sync.compared(peers[256], 1)
        kept = [peer.raw in side.sync._partners for peer in peers]
        self.assertEqual([n for n, each in enumerate(kept) if not each], [1])

    def test_with_a_node_its_doubts_are_forgotten(self):
        side = self.side
        side.ask(ref(20))
        side.sync.on_given(ref(20), Given(False))
        side.sync.on_lost(ref(20), Lost([numbers(2, 9)]))
        self.assertEqual(len(side.sync._doubts), 2)
        for n in range(1, 257):
            side.sync.compared(NodeRef(n.to_bytes(20), 1, "h:1", ""), 1)
            side.sync.on_given(NodeRef(n.to_bytes(20), 1, "h:1", ""), Given(False))
        self.assertEqual(len(side.sync._doubts), 0)

    def test_a_gap_that_is_closed_for_want_of_room_is_told_with_the_numbers_in_it(self):
        ledger = Ledger(8)
        for n in range(1024):
            ledger.add(mid(10 * n + 1))
        side = Side(10, ledger=ledger)
        side.ask(ref(20))
        side.sync.on_caught(ref(20), caught(5, 20))
        gaps = effects_of(side.ctx.effects, Gap)
        self.assertEqual(gaps, [Gap(side.ctx.me, [numbers(2, 5)])])
        self.assertEqual(side.ctx.counters.number(CoreMetric.GAPS), 3)
        side.sync.tell_gaps()
        self.assertEqual(len(effects_of(side.ctx.effects, Gap)), 1)

    def test_16384_routes_are_remembered_and_the_oldest_goes_first(self):
        for n in range(1, 16_385):
            self.side.sync.remember(mid(n), [])
        self.assertEqual(len(self.side.sync.ways), 16_384)
        self.side.sync.remember(mid(16_385), [])
        self.assertEqual(len(self.side.sync.ways), 16_384)
        self.assertEqual([mid(n) in self.side.sync.ways for n in (1, 2)], [False, True])

    def test_eight_megabytes_of_routes_are_remembered_and_the_last_whatever_its_length(self):
        hop = Hop(raw(50), "x" * 56, int(EdgeKind.FINGER))
        for n in range(1, 33):
            self.side.sync.remember(mid(n), [hop] * 1024)
        self.assertEqual(len(self.side.sync.ways), 32)
        self.side.sync.remember(mid(32), [hop] * 1024)
        self.assertEqual(len(self.side.sync.ways), 32, "one that comes again is counted once")
        self.side.sync.remember(mid(33), [hop])
        self.assertEqual(next(iter(self.side.sync.ways)), mid(2))
        self.side.sync.remember(mid(40), [hop] * 40_000)
        self.assertEqual(list(self.side.sync.ways), [mid(40)])

    def test_what_is_left_of_a_page_after_256_ranges_waits_for_the_next_exchange(self):
        ledger = Ledger(64)
        for sequence in range(2, 513, 2):
            ledger.add(mid(sequence, 50))
        ledger.lose(numbers(1, 2, origin=60))
        side = Side(10, ledger=ledger)
        side.ctx.effects = []
        side.sync.on_have(ref(20), Have([], [], []))
        self.assertEqual(sent(side.ctx, Lost), [])
        (given,) = effects_of(side.ctx.effects, SendStored)
        self.assertEqual((len(given.ranges), given.more), (256, True))

    def test_256_ranges_of_what_is_not_kept_are_told_and_the_rest_with_the_next_exchange(self):
        for count, more in ((256, False), (257, True)):
            ledger = Ledger(64)
            for n in range(1, count + 1):
                ledger.lose(numbers(2 * n, 2 * n + 1))
            side = Side(10, ledger=ledger)
            side.ctx.effects = []
            side.sync.on_have(ref(20), Have([], [], []))
            ((_to, lost),) = sent(side.ctx, Lost)
            (given,) = effects_of(side.ctx.effects, SendStored)
            self.assertEqual((len(lost.ranges), given.more), (256, more))
            ledger.add(mid(1, 60))
            side.ctx.effects = []
            side.sync.on_have(ref(20), Have([], [], []))
            (given,) = effects_of(side.ctx.effects, SendStored)
            self.assertEqual((given.ranges, given.more), ([], True))


class PaceTests(SynchronousTestCase):
    """A ledger that can never agree costs next to nothing."""

    def exchanges(self, side: Side, seconds: float, *peers: int) -> list[int]:
        side.ctx.effects = []
        for _ in range(round(seconds * 10)):
            side.parts.advance(0.1)
            for peer in peers:
                side.sync.compared(ref(peer), 1)
                side.sync.on_given(ref(peer), Given(True))
        return targets(side.ctx, Have)

    def test_an_exchange_that_brings_nothing_is_repeated_less_and_less_often(self):
        side = Side(10, 1)
        self.assertEqual(len(self.exchanges(side, 16, 20)), 5, "after 1, 2, 4, 8 seconds")
        self.assertLessEqual(len(self.exchanges(side, 80, 20)), 11)

    def test_while_exchanges_with_one_node_bring_nothing_another_node_is_compared_with(self):
        side = Side(10, 1)
        self.exchanges(side, 60, 20)
        self.assertEqual(self.exchanges(side, 0.2, 30), [30])

    def test_after_an_exchange_that_brings_something_the_next_may_begin_at_once(self):
        side = Side(10, 1)
        for sequence in range(2, 30):
            side.ctx.effects = []
            side.sync.compared(ref(20), 1)
            side.sync.on_caught(ref(20), caught(sequence, 20))
            side.sync.on_given(ref(20), Given(False))
            self.assertEqual(targets(side.ctx, Have), [20])

    def test_what_is_remembered_of_partners_is_bounded(self):
        side = Side(10, 1)
        for n in range(1, 2000):
            peer = NodeRef(n.to_bytes(20), 1, "h:1", "")
            side.sync.compared(peer, 1)
            side.sync.on_given(peer, Given(False))
        self.assertLessEqual(len(side.sync._partners), 256)


class DetourTests(SynchronousTestCase):
    """What travels together and came on several ways, in one frame."""

    def setUp(self):
        self.side = Side(10)
        self.here = Hop(raw(10), "n10", int(EdgeKind.FINGER))

    def bcast(self, count: int, *detours: Detour) -> Bcast:
        hops = [Hop(raw(50), "n50", int(EdgeKind.ORIGIN)), Hop(raw(20), "", int(EdgeKind.FINGER))]
        return Bcast(mid(1), count, 0.0, 9, raw(30), 1, hops, [b""] * count, list(detours))

    def route(self, length: int) -> list[Hop]:
        return [Hop(raw(n % 60), "", int(EdgeKind.FINGER)) for n in range(length)]

    def test_the_routes_fill_what_the_trees_leaves_of_a_frame(self):
        room = self.side.ctx.config.max_route - 3
        for lengths, kept in (
            ((room,), [0]),
            ((room + 1,), []),
            ((room - 5, 5), [0, 1]),
            ((room - 4, 5), [0]),
            ((room + 1, 5), [1]),
        ):
            for k, length in enumerate(lengths):
                self.side.sync.remember(mid(1 + k), self.route(length))
            found = self.side.sync.detours(self.bcast(len(lengths)), self.here)
            self.assertEqual([d.first for d in found], kept, lengths)

    def test_detours_of_the_sender_go_on_from_here_in_whatever_order_they_came(self):
        one, other = self.route(3), self.route(4)
        message = self.bcast(3, Detour(1, 1, one), Detour(0, 1, other))
        expected = [Detour(0, 1, [*other, self.here]), Detour(1, 1, [*one, self.here])]
        self.assertEqual(self.side.sync.detours(message, self.here), expected)


class PagingTests(SynchronousTestCase):
    def converse(self, mine: Ledger, theirs: Ledger) -> list[Have]:
        """Let node 10 tell node 20 its whole ledger; return the pages.

        Nobody lacks anything, so nothing may be given nor asked for.
        """
        one, other = Side(10, ledger=mine), Side(20, ledger=theirs)
        one.sync.compared(ref(20), other.sync.digest + 1)
        pages = []
        while True:
            ((_, page),) = sent(one.ctx, Have)
            one.ctx.effects = []
            pages.append(page)
            other.sync.on_have(ref(10), page)
            (given,) = other.ctx.effects
            self.assertEqual((given.ranges, given.more), ([], False))
            other.ctx.effects = []
            if not page.last:
                return pages
            one.sync.on_given(ref(20), Given(False))
            one.parts.advance(8.1)
            one.sync.compared(ref(20), other.sync.digest + 1)

    def test_many_origins_are_told_page_by_page_and_then_from_the_beginning(self):
        ledgers = Ledger(4096), Ledger(4096)
        for ledger in ledgers:
            for incarnation in range(1, PAGE_ORIGINS + 100):
                ledger.add(MessageId(raw(50), incarnation, 1))
        one, two = self.converse(*ledgers)
        self.assertEqual([len(one.origins), len(two.origins)], [PAGE_ORIGINS, 99])
        self.assertEqual((one.after, one.last), ([], [(raw(50), PAGE_ORIGINS)]))
        self.assertEqual((two.after, two.last), (one.last, []))
        side = Side(10, ledger=ledgers[0])
        side.sync.compared(ref(20), 1)
        for _ in range(2):
            side.sync.on_given(ref(20), Given(False))
            side.parts.advance(8.1)
            side.sync.compared(ref(20), 1)
        pages = [page.after for _, page in sent(side.ctx, Have)]
        self.assertEqual(pages, [[], two.after, []])

    def test_a_page_that_is_full_of_intervals_does_not_look_like_the_whole(self):
        ledgers = Ledger(64), Ledger(64)
        for ledger in ledgers:
            for origin in range(1, 20):
                for sequence in range(2, 2002, 2):
                    ledger.add(mid(sequence, origin))
        one, two, three = self.converse(*ledgers)
        self.assertEqual([len(page.origins) for page in (one, two, three)], [8, 8, 3])
        self.assertEqual((two.after, two.last), (one.last, three.after))
        self.assertEqual(three.last, [])

    def test_a_ledger_without_anything_recorded_is_told_as_one_empty_page(self):
        (page,) = self.converse(Ledger(8), Ledger(8))
        self.assertEqual(page, Have([], [], []))
