"""What the judge finds is a record; the sentence about it is made of names that are given."""

from __future__ import annotations

from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.judge.problems import (
    DeadEnd,
    Duplicate,
    FewMembers,
    FewPrincipals,
    Loopy,
    NotActive,
    OutOfOrder,
    Problem,
    Split,
    WrongFinger,
    WrongHead,
    WrongPredecessor,
    WrongSuccessors,
    together,
)

SPACE = IdentifierSpace(8)
SENTENCES: list[tuple[Problem, str, tuple[int, ...]]] = [
    (Duplicate(3), "two nodes have the identifier 03", (3,)),
    (WrongPredecessor(3, None, 250), "03: predecessor is none, should be fa", (3, 250)),
    (WrongPredecessor(3, 17, 250), "03: predecessor is 11, should be fa", (3, 17, 250)),
    (
        WrongSuccessors(3, (17, 3), (10, 17)),
        "03: successor list is [11, 03], should be [0a, 11]",
        (3, 17, 10),
    ),
    (WrongHead(3, None, 10), "03: successor is none, should be 0a", (3, 10)),
    (WrongFinger(3, (4,), 17, None), "03: finger 4 is 11, should be none", (3, 17)),
    (
        WrongFinger(3, (7, 0, 1, 2, 5), 17, 40),
        "03: each of fingers 0-2, 5, 7 is 11, should be 28",
        (3, 17, 40),
    ),
    (
        OutOfOrder(3, 10, (17, 10)),
        "03: successor list is out of order at 0a: [11, 0a]",
        (3, 10, 17),
    ),
    (DeadEnd(3), "03: no entry of its successor list is live", (3,)),
    (FewPrincipals(2, 9, 3), "2 principals among 9 members, should be 3 or more", ()),
    (FewMembers(2, 3), "2 members are too few, should be 3 or more", ()),
    (Split(()), "no member's successors lead back to it", ()),
    (Split((3, 10)), "2 rings instead of one, with the members 03, 0a", (3, 10)),
    (Loopy(3, 2), "the ring of 03 goes round 2 times", (3,)),
    (NotActive(3, "Node 1", "SEEKING"), "Node 1 is SEEKING", (3,)),
]


class WordsTests(SynchronousTestCase):
    def test_every_kind_of_problem_has_a_sentence_and_says_which_nodes_it_is_about(self) -> None:
        for problem, text, about in SENTENCES:
            self.assertEqual((problem.words(SPACE.hex), problem.nodes), (text, about))
        self.assertEqual({type(problem) for problem, _, _ in SENTENCES}, set(get_args(Problem)))

    def test_every_kind_of_problem_has_a_word_of_its_own(self) -> None:
        kinds = [cls.kind for cls in get_args(Problem)]
        self.assertEqual(len(set(kinds)), len(kinds))

    def test_a_sentence_takes_whatever_names_it_is_given(self) -> None:
        text = WrongPredecessor(3, 3, 10).words({3: "Node 1", 10: "Node 2"}.__getitem__)
        self.assertEqual(text, "Node 1: predecessor is Node 1, should be Node 2")


class TogetherTests(SynchronousTestCase):
    def test_slots_of_one_table_that_share_a_mistake_become_one_problem(self) -> None:
        found = [
            WrongFinger(3, (0,), 17, 10),
            DeadEnd(3),
            WrongFinger(3, (1,), 17, 10),
            WrongFinger(3, (2,), 17, 29),
            WrongFinger(4, (1,), 17, 10),
        ]
        self.assertEqual(
            together(found),
            [
                WrongFinger(3, (0, 1), 17, 10),
                DeadEnd(3),
                WrongFinger(3, (2,), 17, 29),
                WrongFinger(4, (1,), 17, 10),
            ],
        )
