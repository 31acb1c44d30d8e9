"""From nothing into a ring: who creates it, who waits, and what a joiner does about the unexpected.

This node has the identifier 30 and the bootstrap peers n20 and n40.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import Safeguards
from chordnet.core.base.effects import StatusChanged
from chordnet.core.base.events import Begin, LinkDown, LinkFault
from chordnet.core.base.messages import Find, FindKind, GetState, Pong, Status, contact
from chordnet.core.join.joining import Joining
from chordnet.core.lookup.lookup import Purpose, Result
from tests.unit.core_support import LABEL, Parts, effects_of, ids, ref, sent, state, targets

UNJOINED, JOINING, FORMING, ACTIVE = Status.UNJOINED, Status.JOINING, Status.FORMING, Status.ACTIVE
SEEKING = Status.SEEKING


class JoiningTestCase(SynchronousTestCase):
    def setUp(self):
        self.make(30)

    def make(self, me: int, **changes) -> None:
        self.parts = Parts(
            me, join_retry_s=0.15, form_rounds=3, seed_s=2.0, request_timeout_s=0.5, **changes
        )
        self.parts.ctx.set_status(UNJOINED)
        self.ctx = self.parts.ctx
        self.joining = Joining(self.ctx, self.parts.ring, self.parts.requests, self.parts.lookups)

    def start(self, *addresses: str) -> None:
        self.joining.start(list(addresses or ("n20", "n40")))

    def round(self) -> None:
        """Let the next round begin."""
        self.parts.fresh()
        at = self.ctx.alarms.next()
        self.assertIsNotNone(at, "a round is planned")
        self.ctx.now = at
        self.ctx.alarms.due(at)
        self.parts.requests.tick()
        self.joining.tick()

    def questions(self) -> dict[str, int]:
        """Address -> request number of the latest scan."""
        return {
            effect.to.address: effect.message.rid
            for effect in self.ctx.effects
            if hasattr(effect, "message") and isinstance(effect.message, GetState)
        }

    def answer(self, sender: int, status: Status, candidate: int | None = None, **details) -> None:
        rid = self.questions()[f"n{sender}"]
        label = LABEL if status == ACTIVE else None
        self.parts.requests.answered(
            ref(sender), state(rid, status=status, label=label, candidate=candidate, **details)
        )

    @property
    def status(self) -> Status:
        return self.parts.ctx.status


class ScanTests(JoiningTestCase):
    def test_every_bootstrap_peer_is_asked_every_round(self):
        self.start()
        self.assertEqual(set(self.questions()), {"n20", "n40"})
        self.round()
        self.assertEqual(set(self.questions()), {"n20", "n40"})
        self.assertAlmostEqual(self.ctx.alarms.next() - self.ctx.now, 0.15)

    def test_this_nodes_own_address_and_duplicates_are_left_out(self):
        self.start("n20", "n30", "n20")
        self.assertEqual(self.joining.bootstrap, [contact("n20")])

    def test_with_nobody_to_ask_a_ring_is_created_at_once(self):
        self.joining.start(["n30"])
        self.assertEqual(self.status, ACTIVE)
        self.assertEqual(self.parts.ring.label.epoch, 1, "created alone")

    def test_peers_of_an_earlier_life_are_asked_while_the_bootstrap_peers_are_silent(self):
        for n in (50, 51, 52):
            self.ctx.peers.note(ref(n))
        self.start()
        self.assertEqual(set(self.questions()), {"n20", "n40", "n50", "n51", "n52"})
        self.answer(20, UNJOINED)
        self.round()
        self.assertNotIn("n51", self.questions())

    def test_of_many_peers_of_an_earlier_life_four_are_asked_a_round(self):
        for n in range(50, 60):
            self.ctx.peers.note(ref(n))
        self.start()
        asked = set(self.questions()) - {"n20", "n40"}
        self.assertEqual(len(asked), 4)
        self.assertLessEqual(asked, {f"n{n}" for n in range(50, 60)})

    def test_a_node_without_bootstrap_peers_comes_back_through_known_ones(self):
        self.ctx.peers.note(ref(50))
        self.joining.start([])
        self.assertEqual(self.status, UNJOINED)
        self.assertEqual(set(self.questions()), {"n50"})

    def test_a_candidate_is_asked_directly(self):
        self.start()
        self.answer(20, UNJOINED, candidate=10)
        self.round()
        self.assertIn("n10", self.questions())

    def test_an_answer_of_another_kind_is_no_contact(self):
        self.start()
        self.parts.requests.answered(ref(20), Pong(self.questions()["n20"], int(ACTIVE)))
        self.assertFalse(self.joining._met)


class EdgeTests(JoiningTestCase):
    """What depends on a time, to the instant, and on the state, in each of them."""

    def at(self, now: float) -> Status:
        """Let it be ``now``, and time for a round; return the state then."""
        self.ctx.now = now
        self.joining.tick()
        return self.status

    def test_a_node_that_meets_nobody_seeks_when_the_seed_time_is_up(self):
        self.start()
        self.assertEqual([self.at(1.875), self.at(2.0)], [UNJOINED, SEEKING])

    def test_a_smaller_node_that_creates_no_ring_is_waited_for_four_seed_times(self):
        self.ctx.now = 1.0
        self.start("n40")
        self.ctx.now = 3.0
        self.answer(40, UNJOINED, candidate=7)
        self.assertEqual([self.at(10.875), self.at(11.0)], [UNJOINED, ACTIVE])
        self.assertEqual(self.parts.ring.label.epoch, 1, "alone")

    def test_a_ring_that_does_not_let_a_node_in_is_given_up_after_the_seed_time(self):
        self.start()
        self.ctx.now = 1.0
        self.answer(20, ACTIVE)
        self.assertEqual([self.at(3.0), self.at(3.125)], [Status.JOINING, FORMING])

    def test_a_clock_that_is_behind_matters_only_to_a_node_that_has_met_nobody(self):
        self.start()
        self.answer(20, UNJOINED)
        self.joining.clock_behind("the clock is behind")
        self.assertEqual((self.status, self.joining.reason), (UNJOINED, "the clock is behind"))
        self.make(30)
        self.start()
        self.ctx.set_status(Status.JOINING)
        self.joining.clock_behind("the clock is behind")
        self.assertEqual(self.status, Status.JOINING)

    def test_a_node_whose_only_peer_is_itself_goes_on_if_it_has_met_another_one(self):
        for met, status, expected in (
            (False, UNJOINED, ACTIVE), (True, UNJOINED, UNJOINED),
            (False, Status.JOINING, Status.JOINING),
        ):  # fmt: skip
            self.make(30)
            self.start("n20")
            if met:
                self.answer(20, UNJOINED)
            self.ctx.set_status(status)
            self.joining.fault(LinkDown(contact("n20"), LinkFault.SELF))
            self.assertEqual(self.status, expected, (met, status))

    def test_the_number_of_a_new_ring_has_63_bits(self):
        numbers = []
        for _ in range(60):
            self.make(30)
            self.ctx.rng.seed(len(numbers))
            self.joining.start([])
            numbers.append(self.parts.ring.label.ring_id)
        self.assertLess(max(numbers), 1 << 63)
        self.assertGreater(max(numbers), 1 << 62)


class FormingTests(JoiningTestCase):
    def hear_unjoined(self, *senders: int) -> None:
        for sender in senders:
            self.answer(sender, UNJOINED)

    def test_the_smallest_creates_the_ring_after_some_rounds(self):
        self.make(15)
        self.start()
        for _ in range(2):
            self.hear_unjoined(20, 40)
            self.round()
            self.assertEqual(self.status, FORMING)
        self.hear_unjoined(20, 40)
        self.round()
        self.assertEqual(self.status, ACTIVE)
        self.assertEqual(self.parts.ring.predecessor, ref(15))
        self.assertEqual(self.parts.ring.label.epoch, 0, "by agreement, not alone")

    def test_of_two_candidates_the_smaller_wins_and_the_other_waits(self):
        self.start()
        for _ in range(6):
            self.hear_unjoined(20, 40)
            self.round()
        self.assertEqual(self.status, UNJOINED)
        self.assertEqual(self.joining.candidate(), ref(20))

    def test_word_of_a_smaller_candidate_travels_through_the_answers(self):
        self.start("n40")
        self.answer(40, UNJOINED, candidate=7)
        self.assertEqual(self.joining.candidate(), ref(7))

    def test_a_smaller_node_that_asks_is_the_candidate(self):
        self.start("n40")
        self.joining.heard_of(ref(3))
        self.assertEqual(self.joining.candidate(), ref(3))
        self.joining.heard_of(ref(9))
        self.assertEqual(self.joining.candidate(), ref(3))

    def test_hearing_of_a_smaller_candidate_ends_forming(self):
        self.make(15)
        self.start()
        self.hear_unjoined(20, 40)
        self.round()
        self.assertEqual(self.status, FORMING)
        self.joining.heard_of(ref(3))
        self.round()
        self.assertEqual(self.status, UNJOINED)

    def test_a_dead_candidate_is_not_waited_for(self):
        self.start("n40")
        self.answer(40, UNJOINED, candidate=7)
        self.ctx.peers.died(ref(7), self.ctx.now)
        self.joining.forget(ref(7))
        for _ in range(2):
            self.round()
            self.answer(40, UNJOINED, candidate=7)
        self.round()
        self.assertEqual(self.status, ACTIVE)

    def test_a_silent_candidate_is_forgotten(self):
        self.start("n40")
        self.answer(40, UNJOINED, candidate=7)
        for _ in range(5):
            self.round()
        self.assertEqual(self.joining.candidate(), ref(30))

    def test_rounds_count_anew_when_a_candidate_goes(self):
        self.make(15)
        self.start()
        self.hear_unjoined(20, 40)
        self.round()
        self.hear_unjoined(20, 40)
        self.round()
        self.joining.heard_of(ref(3))
        self.joining.forget(ref(3))
        self.round()
        self.assertEqual(self.status, FORMING)

    def seek(self) -> None:
        """Reach nobody for the seed time."""
        self.start()
        while self.ctx.now < 2.0:
            self.assertEqual(self.status, UNJOINED)
            self.round()

    def test_a_node_that_reaches_nobody_for_the_seed_time_is_seeking_and_creates_no_ring(self):
        self.seek()
        self.assertLess(self.ctx.now, 2.3)
        for _ in range(200):
            self.assertEqual(self.status, SEEKING)
            self.assertEqual(set(self.questions()), {"n20", "n40"}, "it goes on asking")
            self.round()
        self.assertIsNone(self.parts.ring.label)

    def test_why_a_node_is_seeking_is_told_once_with_what_went_wrong_at_each_peer(self):
        self.start()
        told: list[StatusChanged] = []
        for _ in range(40):
            self.joining.fault(LinkDown(contact("n20"), LinkFault.REFUSED, "no\nroom"))
            self.round()
            told += effects_of(self.ctx.effects, StatusChanged)
        reason = "no peer has let this node in yet (n20: no?room; n40: it does not answer)"
        self.assertEqual(told, [StatusChanged(UNJOINED, SEEKING, reason)])
        self.assertEqual(self.joining.reason, reason)

    def test_a_reason_names_three_peers_and_the_number_of_the_others(self):
        silent = [f"n{n}: it does not answer" for n in (20, 40, 41)]
        for count, more in ((3, []), (4, ["and 1 more"]), (5, ["and 2 more"])):
            self.start(*("n20", "n40", "n41", "n42", "n43")[:count])
            told = "; ".join([*silent, *more])
            self.assertEqual(self.joining.reason, f"no peer has let this node in yet ({told})")

    def test_only_what_went_wrong_with_a_nodes_own_peers_is_remembered(self):
        self.start()
        for n in range(100):
            self.joining.fault(LinkDown(contact(f"n{100 + n}"), LinkFault.REFUSED, "x" * 9999))
        self.joining.fault(LinkDown(contact("n20"), LinkFault.REFUSED, "x" * 9999))
        self.assertEqual(list(self.joining._faults), ["n20"])
        self.assertLess(len(self.joining.reason), 400)

    def test_a_reason_names_three_peers_and_counts_the_others(self):
        self.start("n1", "n2", "n3", "n4", "n5")
        self.assertIn("n3", self.joining.reason)
        self.assertNotIn("n4", self.joining.reason)
        self.assertIn("and 2 more", self.joining.reason)

    def test_a_reason_that_names_all_peers_counts_no_others(self):
        self.start("n1", "n2", "n3")
        self.assertTrue(self.joining.reason.endswith("n3: it does not answer)"))

    def test_a_seeking_node_joins_as_soon_as_a_member_answers(self):
        self.seek()
        self.answer(20, ACTIVE, successors=[40, 50], predecessor=10)
        self.assertEqual(self.status, JOINING)
        changes = [each.new for each in effects_of(self.ctx.effects, StatusChanged)]
        self.assertEqual(changes[-2:], [UNJOINED, JOINING])

    def test_a_seeking_node_that_meets_an_unjoined_one_agrees_with_it_on_a_ring(self):
        self.seek()
        self.answer(40, SEEKING)
        self.assertEqual(self.status, UNJOINED)
        for _ in range(3):
            self.round()
            if self.questions():
                self.answer(40, UNJOINED)
        self.assertEqual(self.status, ACTIVE)
        self.assertEqual(self.parts.ring.label.epoch, 0)

    def test_a_member_that_calls_a_seeking_node_is_joined_through(self):
        self.seek()
        self.joining.asked(ref(50), ACTIVE)
        self.assertEqual(self.status, JOINING)

    def test_an_unjoined_node_that_calls_is_company(self):
        self.seek()
        self.joining.asked(ref(50), UNJOINED)
        self.assertEqual(self.status, UNJOINED)

    def test_a_node_that_leaves_or_has_no_name_is_no_company(self):
        self.seek()
        for gone in (Status.LEAVING, Status.LEFT, Status.SUPERSEDED):
            self.joining.asked(ref(50), gone)
            self.answer(20, gone)
            self.assertEqual(self.status, SEEKING)
            self.round()

    def test_a_node_that_met_another_one_creates_a_ring_when_the_other_is_gone(self):
        self.start()
        self.answer(20, UNJOINED)
        self.joining.forget(ref(20))
        for _ in range(4):
            self.round()
        self.assertEqual(self.status, ACTIVE)

    def test_a_node_that_has_met_nobody_for_long_waits_for_the_others_when_it_meets_one(self):
        self.seek()
        self.parts.advance(100.0)
        self.answer(20, UNJOINED, candidate=7)
        self.round()
        self.assertEqual(self.status, UNJOINED)

    def test_a_node_told_to_start_alone_creates_a_ring_when_nobody_answers(self):
        self.joining.start(["n20"], alone=True)
        while self.ctx.now < 2.0:
            self.assertEqual(self.status, UNJOINED)
            self.round()
        self.assertEqual(self.status, ACTIVE)
        self.assertEqual(self.parts.ring.label.epoch, 1)

    def test_a_node_told_to_begin_creates_a_ring_now_and_only_once(self):
        self.start()
        self.joining.begin(Begin())
        self.assertEqual(self.status, ACTIVE)
        label = self.parts.ring.label
        self.assertEqual(label.epoch, 1)
        self.joining.begin(Begin())
        self.assertEqual(self.parts.ring.label, label)

    def test_a_seeking_node_told_to_begin_creates_a_ring(self):
        self.seek()
        self.joining.begin(Begin())
        self.assertEqual(self.status, ACTIVE)

    def test_a_node_without_bootstrap_peers_whose_known_peers_are_gone_creates_a_ring(self):
        self.ctx.peers.note(ref(50))
        self.joining.start([])
        while self.ctx.now < 2.0:
            self.round()
        self.assertEqual(self.status, ACTIVE)

    def test_a_peer_that_is_this_node_itself_is_no_peer(self):
        self.start("n20", "alias")
        self.joining.fault(LinkDown(contact("alias"), LinkFault.SELF))
        self.assertEqual(self.joining.bootstrap, [contact("n20")])
        self.assertEqual(self.status, UNJOINED)

    def test_a_node_whose_only_peer_is_itself_creates_a_ring(self):
        self.start("alias")
        self.joining.fault(LinkDown(contact("alias"), LinkFault.SELF))
        self.assertEqual(self.status, ACTIVE)

    def test_a_refused_contact_is_not_an_answer(self):
        self.start()
        self.parts.requests.died(contact("n20"))
        self.assertFalse(self.joining._met)
        self.round()
        self.assertIn("n20", self.questions(), "and is asked again")

    def test_a_candidate_that_never_creates_its_ring_is_not_waited_for_for_ever(self):
        self.start()
        while self.status != ACTIVE:
            if self.questions():
                self.answer(20, UNJOINED, candidate=7)
            self.round()
            self.assertLess(self.ctx.now, 4 * 2.0 + 1.0)

    def test_nobody_creates_a_ring_twice(self):
        self.joining.start([])
        label = self.parts.ring.label
        self.joining.tick()
        self.assertEqual(self.parts.ring.label, label)


class EnteringTests(JoiningTestCase):
    """Zave (TSE 2017), join: look the member up, ask it, check, and take its list in one step."""

    def find_ring(self) -> Find:
        """A bootstrap peer that is in a ring has answered."""
        self.start()
        self.answer(20, ACTIVE, successors=[40, 50], predecessor=10)
        ((target, question),) = sent(self.ctx, Find)
        self.assertEqual(target, 20)
        self.parts.fresh()
        return question

    def place_found(self, member: int) -> int:
        """The lookup names ``member``; return the number of the question to it."""
        self.parts.fresh()
        self.joining.looked_up(Result(Purpose.JOIN, 0, ref(member), [], LABEL))
        target, rid = self.parts.asked()
        self.assertEqual(target, member)
        self.parts.fresh()
        return rid

    def offer(self, member: int, rid: int, *successors: int, status: Status = ACTIVE) -> None:
        self.parts.requests.answered(ref(member), state(rid, successors, status=status))

    def test_the_place_is_looked_up_through_the_member(self):
        question = self.find_ring()
        self.assertEqual(self.status, JOINING)
        self.assertEqual((question.key, question.kind), (ref(30).raw, FindKind.PREDECESSOR))

    def test_the_member_before_the_place_is_asked_and_its_list_taken(self):
        self.find_ring()
        self.offer(20, self.place_found(20), 40, 50, 60)
        self.assertEqual(self.status, ACTIVE)
        self.assertEqual(self.parts.ring.predecessor, ref(20))
        self.assertEqual(ids(self.parts.ring.successors), [40, 50, 60])
        self.assertEqual(self.parts.ring.label, LABEL)

    def test_a_ring_of_one_is_joined_as_its_second_member(self):
        self.find_ring()
        self.offer(20, self.place_found(20))
        self.assertEqual(ids(self.parts.ring.successors), [20])
        self.assertEqual(self.parts.ring.predecessor, ref(20))

    def test_a_joiner_whose_place_is_no_longer_there_looks_again(self):
        self.find_ring()
        self.offer(20, self.place_found(20), 25, 40)
        self.assertEqual(self.status, JOINING)
        self.assertEqual(targets(self.ctx, Find), [25])

    def test_without_the_safeguard_a_joiner_takes_a_place_that_is_no_longer_there(self):
        self.make(30, safeguards=Safeguards(recheck_place=False))
        self.find_ring()
        self.offer(20, self.place_found(20), 25, 40)
        self.assertEqual(self.status, ACTIVE)

    def test_a_joiners_own_earlier_life_in_the_list_is_no_obstacle(self):
        self.find_ring()
        self.offer(20, self.place_found(20), 30, 40)
        self.assertEqual(self.status, ACTIVE)
        self.assertEqual(ids(self.parts.ring.successors), [40])

    def test_a_member_that_is_no_member_any_more_sends_the_joiner_back(self):
        for status in (Status.LEAVING, UNJOINED):
            self.setUp()
            self.find_ring()
            self.offer(20, self.place_found(20), 40, status=status)
            self.assertEqual(self.status, UNJOINED)

    def test_a_member_that_stays_silent_sends_the_joiner_back(self):
        self.find_ring()
        self.place_found(20)
        self.parts.advance(0.6)
        self.parts.requests.tick()
        self.assertEqual(self.status, UNJOINED)
        self.round()
        self.assertTrue(self.questions())

    def test_a_failed_lookup_sends_the_joiner_back(self):
        self.find_ring()
        self.joining.looked_up(Result(Purpose.JOIN, 0, None, [], None, "timed out"))
        self.assertEqual(self.status, UNJOINED)

    def test_a_joiner_that_is_told_that_it_is_in_its_own_place_is_sent_back(self):
        self.find_ring()
        self.joining.looked_up(Result(Purpose.JOIN, 0, ref(30), [], None))
        self.assertEqual(self.status, UNJOINED)

    def test_a_join_that_takes_too_long_begins_anew(self):
        self.find_ring()
        while self.status == JOINING:
            self.round()
        self.assertLess(self.ctx.now, 2.3)
        self.assertTrue(self.questions())

    def test_failing_to_join_a_ring_does_not_lead_to_another_ring(self):
        self.start()
        for _ in range(10):
            self.answer(20, ACTIVE, successors=[40], predecessor=10)
            self.assertEqual(self.status, JOINING)
            self.joining.looked_up(Result(Purpose.JOIN, 0, None, [], None, "timed out"))
            self.round()
        self.assertNotEqual(self.status, ACTIVE)

    def test_late_answers_of_a_scan_do_not_disturb_a_join(self):
        self.start()
        scan = self.questions()
        self.answer(20, ACTIVE, successors=[40])
        self.parts.fresh()
        self.parts.requests.answered(ref(40), state(scan["n40"], [50]))
        self.assertEqual(sent(self.ctx, Find), [])

    def test_a_result_after_the_join_is_over_changes_nothing(self):
        self.find_ring()
        self.offer(20, self.place_found(20), 40)
        self.parts.fresh()
        self.joining.looked_up(Result(Purpose.JOIN, 0, ref(50), [], None))
        self.assertEqual(sent(self.ctx), [])
