"""Anti-entropy: neighbours compare, and whoever lacks a message gets it.

The wire's nodes have no store of their own, so the tests perform ``SendStored`` from what the giver
recorded, as a runtime does.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.antientropy import MAX_GIVE, PAGE_NUMBERS, PAGE_ORIGINS, AntiEntropy
from chordnet.core.effects import Gap, Misbehaved, Record, SendStored
from chordnet.core.ledger import Ledger
from chordnet.core.messages import (
    Bcast,
    Caught,
    Compare,
    Detour,
    EdgeKind,
    Have,
    Hop,
    Lost,
    MessageId,
    OriginState,
    Want,
)  # fmt: skip
from tests.unit.core_support import Parts, effects_of, raw, ref, sent, targets


def mid(sequence: int, origin: int = 50) -> MessageId:
    return MessageId(raw(origin), 1, sequence)


class Side:
    """One node's half of the exchange, with everything that it recorded."""

    def __init__(self, me: int, *sequences: int, ledger: Ledger | None = None) -> None:
        self.parts = Parts(me, grace_s=1.0)
        self.parts.place(5, 20, 30)
        self.ctx = self.parts.ctx
        self.ledger = ledger or Ledger(64, 8)
        self.member = True
        self.sync = AntiEntropy(self.ctx, self.ledger, self.parts.routes, lambda: self.member)
        for sequence in sequences:
            self.record(sequence)
        self.ripen()

    def record(self, sequence: int) -> None:
        weight = self.ledger.add(mid(sequence))
        self.sync.recorded(mid(sequence), weight)

    def ripen(self) -> None:
        self.parts.advance(1.1)
        self.sync.tick()

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
                for message_id in effect.ids:
                    taker.sync.caught(peer, caught(message_id.sequence, peer.id))
                if effect.more is not None:
                    taker.sync.given(peer, more=effect.more)
            elif isinstance(effect, Record):
                continue
            else:
                handle(taker.sync, peer, effect.message)
            carried += 1


def handle(sync: AntiEntropy, peer, message) -> None:
    if isinstance(message, Have):
        sync.told(peer, message)
    elif isinstance(message, Want):
        sync.wanted(peer, message)
    elif isinstance(message, Compare):
        sync.compared(peer, message.digest)
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
            self.assertEqual(side.ctx.counters["spoiled"], 1)
            side.ripen()
            self.assertEqual(side.sync.digest, Side(20, 1).sync.digest)

    def test_a_young_message_is_left_to_the_tree(self):
        side, other = Side(10, 1, 2), Side(20, 1, 2)
        side.record(3)
        self.assertEqual(side.sync.digest, other.sync.digest)
        side.parts.advance(1.1)
        self.assertNotEqual(side.sync.digest, other.sync.digest, "of age, whatever the timers")


class ExchangeTests(SynchronousTestCase):
    def test_equal_digests_end_it_at_once(self):
        side = Side(10, 1, 2)
        side.sync.compared(ref(20), Side(20, 1, 2).sync.digest)
        self.assertEqual(side.ctx.effects, [])

    def test_each_gets_what_it_lacks(self):
        for one, other in (((1, 2, 5), (1, 3)), ((), (1, 2, 3)), ((2, 9), (1,))):
            a, b = Side(10, *one), Side(20, *other)
            a.sync.compared(ref(20), b.sync.digest)
            self.assertGreater(converse(a, b), 0)
            self.assertTrue(a.has(*one, *other) and b.has(*one, *other), (one, other))
            a.ripen()
            b.ripen()
            self.assertEqual(a.sync.digest, b.sync.digest)

    def test_more_than_one_exchange_can_give_comes_in_several(self):
        a, b = Side(10), Side(20, *range(1, MAX_GIVE + 200))
        a.sync.compared(ref(20), b.sync.digest)
        converse(a, b)
        self.assertTrue(a.has(*range(1, MAX_GIVE + 200)))

    def test_a_young_message_is_not_given_when_asked_for(self):
        side = Side(10, 1)
        side.record(2)
        side.ctx.effects = []
        side.sync.wanted(ref(20), Want([mid(1), mid(2), mid(3)]))
        self.assertEqual(side.ctx.effects, [SendStored(ref(20), [mid(1)], None)])

    def test_what_has_just_come_of_age_is_given_whatever_the_timers(self):
        for ask in (Have([], [], []), Want([mid(1), mid(2)])):
            side = Side(10, 1)
            side.record(2)
            side.parts.advance(1.0)
            side.record(3)
            side.ctx.effects = []
            if isinstance(ask, Have):
                side.sync.told(ref(20), ask)
            else:
                side.sync.wanted(ref(20), ask)
            (given,) = effects_of(side.ctx.effects, SendStored)
            self.assertEqual(given.ids, [mid(1), mid(2)])

    def test_there_is_more_when_there_is_more_than_one_exchange_gives(self):
        for number, more in ((MAX_GIVE, False), (MAX_GIVE + 1, True)):
            side = Side(10, *range(1, number + 1))
            side.ctx.effects = []
            side.sync.told(ref(20), Have([], [], []))
            (given,) = side.ctx.effects
            self.assertEqual((len(given.ids), given.more), (MAX_GIVE, more))

    def test_an_exchange_that_has_ended_makes_room_for_the_next(self):
        side = Side(10, 1)
        side.sync.compared(ref(20), 1)
        side.sync.given(ref(20), more=False)
        side.sync.compared(ref(30), 1)
        self.assertEqual(targets(side.ctx, Have), [20, 30])
        self.assertEqual(side.ctx.counters["exchanges"], 2)

    def test_one_exchange_at_a_time_and_a_partner_that_goes_silent_is_not_waited_for(self):
        side = Side(10, 1)
        side.sync.compared(ref(20), 1)
        side.sync.compared(ref(30), 1)
        self.assertEqual(targets(side.ctx, Have), [20])
        side.parts.advance(5.1)
        side.sync.compared(ref(30), 1)
        self.assertEqual(targets(side.ctx, Have), [20, 30])

    def test_outside_of_a_ring_nothing_is_exchanged(self):
        side = Side(10, 1)
        side.member = False
        side.sync.compared(ref(20), 1)
        side.sync.told(ref(20), Have([], [], []))
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
        self.side.ctx.effects = []

    def test_it_is_recorded_once(self):
        for _ in range(2):
            self.side.sync.caught(ref(20), caught(2, 20))
        (record,) = effects_of(self.side.ctx.effects, Record)
        self.assertEqual(record.route[-1], Hop(raw(10), "n10", int(EdgeKind.CAUGHT_UP)))
        counters = self.side.ctx.counters
        self.assertEqual((counters["caught_up"], counters["caught_up_twice"]), (1, 1))

    def test_it_is_young_and_its_way_is_remembered_for_as_long_as_its_tree_may_come(self):
        side, digest = self.side, self.side.sync.digest
        side.sync.caught(ref(20), caught(2, 20))
        self.assertEqual(side.sync.digest, digest)
        side.ripen()
        self.assertEqual(side.sync.digest, Side(20, 1, 2).sync.digest)
        self.assertEqual(list(side.sync.ways), [mid(2)])
        side.parts.advance(side.ctx.config.broadcast_deadline_s)
        side.sync.tick()
        self.assertEqual(side.sync.ways, {})

    def test_the_origin_itself_may_hand_it_over_and_it_may_be_as_long_as_any(self):
        hops = [Hop(raw(50), "n50", int(EdgeKind.ORIGIN))]
        body = b"x" * self.side.ctx.config.max_body_bytes
        self.side.sync.caught(ref(50), caught(2, 50, hops=hops, body=body))
        self.assertEqual(len(effects_of(self.side.ctx.effects, Record)), 1)

    def test_what_is_out_of_bounds_is_refused(self):
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
            self.side.sync.caught(ref(20), wrong)
            self.assertEqual(len(effects_of(self.side.ctx.effects, Misbehaved)), 1)
            self.assertEqual(effects_of(self.side.ctx.effects, Record), [])

    def test_what_is_lost_is_a_gap_and_asked_for_no_more(self):
        self.side.sync.lost(ref(20), Lost([mid(1), mid(2), mid(3)]))
        self.assertEqual(self.side.ctx.effects, [Gap(ref(20), [mid(2), mid(3)])])
        self.assertTrue(self.side.has(2, 3))
        self.assertEqual(self.side.ctx.counters["gaps"], 2)
        self.side.sync.lost(ref(20), Lost([mid(2)]))
        self.assertEqual(len(self.side.ctx.effects), 1)

    def test_impossible_claims_are_refused(self):
        for state in (
            OriginState(b"", 1, 3, []), OriginState(raw(50), 1, 1 << 63, []),
            OriginState(raw(50), 1 << 63, 1, []), OriginState(raw(50), 1, 3, [1 << 62]),
            OriginState(raw(50), 1, 3, [-1]),
        ):  # fmt: skip
            self.side.ctx.effects = []
            self.side.sync.told(ref(20), Have([], [], [state]))
            (fault,) = self.side.ctx.effects
            self.assertIsInstance(fault, Misbehaved)

    def test_more_than_may_be_asked_for_at_once_is_not_given(self):
        self.side.sync.wanted(ref(20), Want([mid(1)] * (MAX_GIVE + 1)))
        (fault,) = self.side.ctx.effects
        self.assertIsInstance(fault, Misbehaved)
        self.side.ctx.effects = []
        self.side.sync.wanted(ref(20), Want([mid(1)] * MAX_GIVE))
        (given,) = self.side.ctx.effects
        self.assertEqual(len(given.ids), MAX_GIVE)

    def test_what_cannot_have_been_recorded_cannot_be_lost(self):
        for wrong in (MessageId(b"", 1, 1), MessageId(raw(50), 1 << 63, 1), mid(1 << 62)):
            self.side.ctx.effects = []
            self.side.sync.lost(ref(20), Lost([mid(7), wrong]))
            self.assertEqual(len(effects_of(self.side.ctx.effects, Misbehaved)), 1)
            self.assertFalse(self.side.has(7))

    def test_a_boundless_claim_makes_a_bounded_question(self):
        self.side.sync.told(ref(20), Have([], [], [OriginState(raw(50), 1, 1 << 61, [])]))
        ((_, question),) = sent(self.side.ctx, Want)
        self.assertEqual(len(question.ids), MAX_GIVE)

    def test_the_word_of_one_that_is_no_partner_ends_no_exchange(self):
        self.side.sync.compared(ref(20), 1)
        self.side.sync.given(ref(30), more=True)
        self.assertEqual(targets(self.side.ctx, Have), [20])
        self.side.sync.given(ref(20), more=True)
        self.assertEqual(targets(self.side.ctx, Have), [20, 20])


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

    def test_those_of_the_sender_go_on_from_here_in_whatever_order_they_came(self):
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
            other.sync.told(ref(10), page)
            (given,) = other.ctx.effects
            self.assertEqual((given.ids, given.more), ([], False))
            other.ctx.effects = []
            if not page.last:
                return pages
            one.sync.given(ref(20), more=True)

    def test_many_origins_are_told_page_by_page_and_then_from_the_beginning(self):
        ledgers = Ledger(64, 4096), Ledger(64, 4096)
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
            side.sync.given(ref(20), more=True)
        pages = [page.after for _, page in sent(side.ctx, Have)]
        self.assertEqual(pages, [[], two.after, []])

    def test_a_page_that_is_full_of_numbers_does_not_look_like_the_whole(self):
        """Two origins, the first message of each missing: their numbers do not fit one page."""
        ledgers = Ledger(PAGE_NUMBERS, 8), Ledger(PAGE_NUMBERS, 8)
        for ledger in ledgers:
            for origin in (1, 2, 3):
                for sequence in range(2, 2 + PAGE_NUMBERS * 2 // 3):
                    ledger.add(mid(sequence, origin))
        pages = self.converse(*ledgers)
        self.assertEqual([page.last for page in pages], [[(raw(1), 1)], [(raw(2), 1)], []])

    def test_nothing_recorded_is_one_empty_page(self):
        (page,) = self.converse(Ledger(64, 8), Ledger(64, 8))
        self.assertEqual(page, Have([], [], []))

    def test_a_ledger_told_in_pages_gives_exactly_what_is_missing(self):
        one, other = Ledger(64, 64), Ledger(64, 64)
        for origin in range(1, 30):
            for sequence in (1, 2, 5):
                one.add(mid(sequence, origin))
                if origin % 3:
                    other.add(mid(sequence, origin))
        found, after = [], None
        while True:
            page = other.states(after, 4, 1000)
            last = (page[-1].origin, page[-1].incarnation) if len(page) == 4 else None
            found += one.missing_from(page, after, last)
            if last is None:
                break
            after = last
        self.assertEqual(found, [mid(n, o) for o in range(3, 30, 3) for n in (1, 2, 5)])

    def test_a_restored_ledger_is_the_one_that_was(self):
        one, other = Ledger(64, 64), Ledger(64, 64)
        for sequence in (1, 2, 5, 9):
            one.add(mid(sequence))
        other.add(mid(3))
        other.restore(one.states(None, 99, 99))
        one.add(mid(3))
        self.assertEqual(other.digest, one.digest)
        self.assertIn(mid(9), other)
        self.assertNotIn(mid(4), other)
