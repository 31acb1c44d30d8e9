"""Reads from the past: what one member has of a key, asked of a node's whole store."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import events as ev
from chordnet.core.store.base.ballots import Ballot
from chordnet.core.store.base.effects import Revised, Unwatched, WatchEnd
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.messages import Accept
from chordnet.core.store.base.outcomes import Stale, Unavailable
from chordnet.core.store.base.records import EMPTY, Applied, Content
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.node.talk import Message, letters, read
from chordnet.core.store.watch.messages import Peek, Peeked, Stirred, Watch
from chordnet.core.store.watch.peeks import NEXT_S
from chordnet.core.store.watch.watchers import HINT_S
from tests.unit.store_node_support import FORMATION, A, B, C, D, Node, address, hail

KEY = b"config"
CONTENT = Content(b"blue", 3, None, (Applied(3, b"r"),))
STALE = Get(KEY, stale=True)


def peeked(rid: int, epoch: int = 1, content: Content = CONTENT, age: float = 2.0) -> Peeked:
    return Peeked(FORMATION, rid, epoch, content, age)


class PeekTests(SynchronousTestCase):
    def outside(self) -> Node:
        """Return a node that holds nothing, and has heard of B last and then of C."""
        node = Node(D)
        for member in (A, C, B):
            node.now += 0.01
            node.hear(member.node, hail(member))
        node.sent.clear()
        return node

    def accept(self, node: Node) -> None:
        ballot = Ballot(1, 1, "B", 1)
        slot = node.formation.slots.of(KEY)
        node.hear("B", Accept(address(A, slot), 1, KEY, ballot, CONTENT))

    def test_a_member_answers_itself_at_once(self) -> None:
        node = Node(A)
        node.ask(1, STALE)
        self.assertEqual(node.outcomes[1], Stale(EMPTY, "A", 1, None))
        self.accept(node)
        node.now += 7.0
        node.ask(2, STALE)
        outcome = node.outcomes[2]
        assert isinstance(outcome, Stale)
        self.assertEqual(outcome.age_s, 7.0)
        self.assertEqual(node.take(Peek), [])

    def test_another_node_asks_the_member_that_it_has_heard_of_last(self) -> None:
        node = self.outside()
        node.ask(1, STALE)
        [(to, peek)] = node.take(Peek)
        self.assertEqual((to, peek.key), ("B", KEY))
        node.hear("B", peeked(peek.rid))
        self.assertEqual(node.outcomes[1], Stale(CONTENT, "B", 1, 2.0))
        node.hear("B", peeked(peek.rid, content=EMPTY))
        self.assertEqual(len(node.outcomes), 1)

    def test_the_next_is_asked_if_one_does_not_answer_holds_nothing_or_is_lost(self) -> None:
        node = self.outside()
        node.ask(1, STALE)
        [(_to, peek)] = node.take(Peek)
        node.wait(NEXT_S + 0.01)
        self.assertEqual(node.to(Peek), ["C"])
        node.step(ev.Lost("C"))
        self.assertEqual(node.to(Peek), ["A"])
        node.hear("A", peeked(peek.rid, epoch=0))
        self.assertEqual(node.outcomes, {})
        node.hear("B", peeked(peek.rid, age=-1.0))
        self.assertEqual(node.outcomes[1], Stale(CONTENT, "B", 1, None))

    def test_none_that_holds_it_is_unavailable(self) -> None:
        node = self.outside()
        node.ask(1, STALE)
        [(_to, peek)] = node.take(Peek)
        for member in (B, C, A):
            node.hear(member.node, peeked(peek.rid, epoch=0))
            node.wait(0.01)
        self.assertEqual(node.outcomes[1], Unavailable(1, (A, B, C), 3))

    def test_no_answer_in_time_is_unavailable(self) -> None:
        node = self.outside()
        node.ask(1, STALE, 2.0)
        node.wait(1.9)
        self.assertEqual(node.outcomes, {})
        node.wait(0.2)
        self.assertIsInstance(node.outcomes[1], Unavailable)

    def test_an_answer_of_one_that_was_not_asked_is_ignored(self) -> None:
        node = self.outside()
        node.ask(1, STALE)
        [(_to, peek)] = node.take(Peek)
        node.hear("E", peeked(peek.rid))
        node.hear("C", peeked(peek.rid))
        node.hear("B", Peeked(bytes(16), peek.rid, 1, CONTENT, 0.0))
        self.assertEqual(node.outcomes, {})

    def test_a_question_of_another_node_is_answered_with_what_is_here(self) -> None:
        node = Node(A)
        self.accept(node)
        node.hear("E", Peek(FORMATION, 5, KEY), Peek(FORMATION, 6, b"other"))
        answers = [peeked for _to, peeked in node.take(Peeked)]
        self.assertEqual([each.content for each in answers], [CONTENT, EMPTY])
        outside = self.outside()
        outside.hear("E", Peek(FORMATION, 5, KEY))
        self.assertEqual([each.epoch for _to, each in outside.take(Peeked)], [0])


class AsideTests(SynchronousTestCase):
    """Watches within a whole store."""

    def test_a_member_that_watches_its_own_key_is_told_of_an_accept(self) -> None:
        node = Node(A, Founding("net", 8, 4, 3, (A,)), founders=("A",))
        node.step(ev.Watch(2, KEY, None))
        node.ask(1, Put(KEY, b"blue", b"r"))
        node.wait(1.0)
        told = [each for each in node.told if isinstance(each, Revised)]
        self.assertEqual([(each.watch, each.content.version) for each in told], [(2, 0), (2, 1)])

    def test_a_watcher_elsewhere_is_sent_a_hint_of_an_accept(self) -> None:
        node = Node(A)
        node.hear("D", Watch(FORMATION, ((KEY, 2),)))
        slot = node.formation.slots.of(KEY)
        node.hear("B", Accept(address(A, slot), 1, KEY, Ballot(1, 1, "B", 1), CONTENT))
        self.assertEqual(node.take(Stirred), [])
        node.wait(2 * HINT_S)
        self.assertEqual(node.take(Stirred), [("D", Stirred(FORMATION, ((KEY, 3),)))])

    def test_what_is_of_another_formation_is_ignored(self) -> None:
        node = Node(A)
        node.hear("D", Watch(bytes(16), ((KEY, 2),)), Peek(bytes(16), 1, KEY))
        node.wait(1.0)
        self.assertEqual(node.take(Peeked), [])
        self.assertEqual(len(node.formation.asides.watchers), 0)

    def test_a_stopped_watch_is_told_nothing_more(self) -> None:
        node = Node(A)
        node.step(ev.Watch(1, KEY, None))
        node.step(ev.Unwatch(1))
        self.assertEqual(len(node.formation.asides.watching), 0)

    def test_watches_and_peeks_end_with_the_formation(self) -> None:
        node = Node(D)
        node.step(ev.Watch(1, KEY, None))
        node.ask(2, STALE)
        node.formation.close()
        ends = [each for each in node.machine.around.answers if isinstance(each, Unwatched)]
        self.assertEqual([each.end for each in ends], [WatchEnd.CLOSED])


class LetterTests(SynchronousTestCase):
    def test_what_no_honest_node_says_is_refused(self) -> None:
        wrong: tuple[Message, ...] = (
            Watch(FORMATION, ((b"", 1),)),
            Watch(FORMATION, ((b"x" * 1025, 1),)),
            Watch(FORMATION, ((b"x", -1),)),
            Watch(FORMATION, ((b"x", 1 << 62),)),
            Watch(FORMATION, ((b"x", 1),) * 257),
            Stirred(FORMATION, ((b"x", 1),) * 257),
            Stirred(FORMATION, ((b"", 1),)),
            Peek(FORMATION, 1, b""),
            Peek(FORMATION, -1, b"x"),
            Peeked(FORMATION, 1, 1, CONTENT, float("nan")),
            Peeked(FORMATION, 1, 1, CONTENT, float("inf")),
            Peeked(FORMATION, 1, -1, CONTENT, 0.0),
            Peeked(FORMATION, 1, 1, Content(b"", -1, None, ()), 0.0),
        )
        for message in wrong:
            [letter] = letters([message])
            with self.assertRaises(ValueError, msg=repr(message)[:80]):
                read(letter)

    def test_what_an_honest_node_says_is_read(self) -> None:
        right: list[Message] = [
            Watch(FORMATION, ((b"x", 1),) * 256),
            Stirred(FORMATION, ((b"x", 0),)),
            Peek(FORMATION, 1, b"x"),
            Peeked(FORMATION, 1, 0, EMPTY, -1.0),
        ]
        [letter] = letters(right)
        self.assertEqual(read(letter), right)
