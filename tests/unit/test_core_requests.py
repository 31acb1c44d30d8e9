"""Each question ends in exactly one way: an answer, silence, or the asked node's death."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import FindNext, GetState, Next, Ping, Pong, Status, contact
from chordnet.core.kernel.requests import Ask, Requests
from tests.unit.core_support import due, make_context, raw, ref, sent, state

WRONG = [
    (Ask.STABILISE_SUCCESSOR, lambda rid: Pong(rid, int(Status.ACTIVE))),
    (Ask.JOIN_SCAN, lambda rid: Next(rid, False, [], False, None)),
    (Ask.RECTIFY, state),
    (Ask.FIND_NEXT, lambda rid: Pong(rid, int(Status.ACTIVE))),
]


class RequestTests(SynchronousTestCase):
    def setUp(self):
        self.ctx = make_context(10, request_timeout_s=0.5)
        self.requests = Requests(self.ctx)
        self.ends: list[tuple[str, int, int]] = []
        for ask in Ask:
            self.requests.handle(ask, self.answered, self.silent)

    def answered(self, question, sender, answer):
        self.ends.append(("answered", question.rid, sender.id))

    def silent(self, question):
        self.ends.append(("silent", question.rid, question.detail))

    def ask(self, target=None, ask=Ask.RECTIFY, **details):
        return self.requests.ask(ask, target or ref(20), Ping, **details)

    def pong(self, rid, sender=20):
        self.requests.answered(ref(sender), Pong(rid, int(Status.ACTIVE)))

    def test_a_question_carries_its_number(self):
        question = self.ask()
        self.assertEqual(sent(self.ctx), [(20, Ping(question.rid))])

    def test_an_answer_ends_a_question_once(self):
        rid = self.ask().rid
        self.pong(rid)
        self.pong(rid)
        self.ctx.now = 10.0
        self.requests.tick()
        self.assertEqual(self.ends, [("answered", rid, 20)])
        self.assertIsNone(due(self.requests))

    def test_silence_ends_a_question_once(self):
        rid = self.ask(detail=7).rid
        self.ctx.now = 0.4
        self.requests.tick()
        self.assertEqual(self.ends, [])
        self.ctx.now = due(self.requests)
        self.requests.tick()
        self.requests.tick()
        self.pong(rid)
        self.assertEqual(self.ends, [("silent", rid, 7)])

    def test_death_ends_all_questions_to_the_dead_and_no_others(self):
        first, second, other = self.ask(), self.ask(), self.ask(ref(30))
        self.requests.died(ref(20))
        self.requests.died(ref(20))
        self.assertEqual([(e, rid) for e, rid, _ in self.ends],
                         [("silent", first.rid), ("silent", second.rid)])  # fmt: skip
        self.pong(other.rid, sender=30)
        self.assertEqual(self.ends[-1], ("answered", other.rid, 30))

    def test_a_question_asked_in_answer_to_a_death_is_not_ended_by_it(self):
        follow_up = []
        self.requests.handle(
            Ask.AUDIT, self.answered, lambda _: follow_up.append(self.ask(ref(20)).rid)
        )
        self.ask(ask=Ask.AUDIT)
        self.requests.died(ref(20))
        self.pong(follow_up[0])
        self.assertEqual(self.ends, [("answered", follow_up[0], 20)])

    def test_a_question_that_is_ended_by_the_end_of_another_ends_once(self):
        def silent(question):
            self.silent(question)
            self.requests.died(question.target)

        self.requests.handle(Ask.RECTIFY, self.answered, silent)
        for detail in (7, 8):
            self.ask(detail=detail)
        self.ctx.now = 10.0
        self.requests.tick()
        self.assertEqual([(end[0], end[2]) for end in self.ends], [("silent", 7), ("silent", 8)])

    def test_only_the_node_that_was_asked_may_answer(self):
        question = self.ask()
        self.pong(question.rid, sender=30)
        self.assertEqual(self.ends, [])
        self.pong(question.rid)
        self.assertEqual(len(self.ends), 1)

    def test_whoever_listens_at_a_contact_may_answer(self):
        question = self.ask(contact("n20:1"))
        self.pong(question.rid, sender=33)
        self.assertEqual(self.ends, [("answered", question.rid, 33)])

    def test_a_question_to_a_contact_ends_when_its_address_is_dead(self):
        one, other = self.ask(contact("a:1")), self.ask(contact("b:1"))
        self.requests.died(contact("a:1"))
        self.assertEqual([rid for _, rid, _ in self.ends], [one.rid])
        self.pong(other.rid)
        self.assertEqual(self.ends[-1][:2], ("answered", other.rid))

    def test_an_answer_of_another_kind_is_no_answer(self):
        for ask, make in WRONG:
            self.ends.clear()
            question = self.ask(ask=ask)
            self.requests.answered(ref(20), make(question.rid))
            self.assertEqual(self.ends, [], ask.name)
            self.ctx.now += 1.0
            self.requests.tick()
            self.assertEqual(self.ends, [("silent", question.rid, 0)], ask.name)

    def test_every_kind_takes_the_answer_to_its_question(self):
        """What the asked node sends back for the message that each kind asks with."""
        for ask in Ask:
            self.ends.clear()
            if ask in (Ask.RECTIFY, Ask.OFFERED_PREDECESSOR):
                question = self.requests.ask(ask, ref(20), Ping)
                answer = Pong(question.rid, int(Status.ACTIVE))
            elif ask == Ask.FIND_NEXT:
                question = self.requests.ask(
                    ask, ref(20), lambda rid: FindNext(rid, raw(1), 0, [], False)
                )
                answer = Next(question.rid, True, [], False, None)
            else:
                question = self.requests.ask(ask, ref(20), lambda rid: GetState(rid, 3))
                answer = state(question.rid)
            self.requests.answered(ref(20), answer)
            self.assertEqual(self.ends, [("answered", question.rid, 20)], ask.name)
