"""The judgement of histories: what each node says in short, and what the doctor makes of it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.findings import RecordedTwice, Want, in_words
from chordnet.survey.histories import (
    Comparison,
    Told,
    Wanting,
    confirmed,
    faults,
    find,
    headline,
    notes,
)
from chordnet.survey.verdict import Names
from chordnet.wire.rpc import KEPT_BOUNDS, MessageTrail, NodeHistory, OriginHistory
from tests.unit.testbed_fakes import network

NETWORK = network(8)
NAMES = Names(NETWORK)
LIFE = 7


def origin(number: int) -> str:
    return NETWORK.space.hex(NETWORK.identifier(number))


def told(
    known: list[int], *, lost: list[int] | None = None, kept: list[int] | None = None,
    dropped: int = 0, number: int = 4, **more: Any,
) -> Told:  # fmt: skip
    """Return what a node says that knows of Node 4's messages only."""
    kept = known if kept is None else kept
    entry = OriginHistory(origin(number), LIFE, known, lost or [], kept)
    held = sum(kept[1::2]) - sum(kept[::2])
    return Told(NodeHistory([entry] if known else [], held, dropped), **more)


def trail(sequence: int, *route: int, body: bytes = b"x", at: float = 1.0) -> MessageTrail:
    nodes = [origin(number) for number in route]
    return MessageTrail(f"{origin(4)}.{LIFE}.{sequence}", body, at, nodes)


class FindingTests(SynchronousTestCase):
    def judge(self, **nodes: Told) -> tuple[list[str], list[str], str]:
        """Return problems, notes and headline; nodes are called n1, n2, …"""
        said = {int(name[1:]): each for name, each in nodes.items()}
        found = find(said, NAMES)
        return (
            in_words(faults(found, said)),
            in_words(notes(found, said)),
            headline(found, asked_all=True),
        )

    def test_capped_histories_that_keep_different_numbers_are_right(self) -> None:
        problems, remarks, words = self.judge(
            n1=told([1, 83_457], kept=[50_000, 83_457], dropped=49_999),
            n2=told([1, 83_457], kept=[52_000, 83_457], dropped=51_999),
            n3=told([1, 83_457], kept=[49_000, 83_457], dropped=48_999),
        )
        self.assertEqual(problems, [])
        self.assertEqual(
            remarks,
            [
                (
                    "histories are capped: of 83,456 messages Node 2 keeps the newest 31,457,"
                    " Node 3 the newest 34,457"
                )
            ],
        )
        self.assertEqual(
            words,
            "83,456 messages: each recorded by every node; the newest 1,000 of each node once,"
            " by a true route",
        )

    def test_a_real_lack_is_one_line_however_many_messages_it_is(self) -> None:
        problems, _, _ = self.judge(n1=told([1, 83_457]), n2=told([1, 101, 613, 83_457]))
        self.assertEqual(
            problems,
            [f"Node 2 lacks 512 messages of Node 4, numbers 101-612 (from {origin(4)}.7.101)"],
        )

    def test_many_ranges_are_counted_beyond_the_fourth(self) -> None:
        every_other = [n for k in range(1, 20, 2) for n in (k, k + 1)]
        (problem,), _, _ = self.judge(n1=told([1, 20]), n2=told(every_other))
        self.assertEqual(
            problem,
            "Node 2 lacks 9 messages of Node 4, numbers 2, 4, 6, 8 and 5 more ranges"
            f" (from {origin(4)}.7.2)",
        )

    def test_many_origins_are_counted_beyond_the_eighth_line(self) -> None:
        entries = [OriginHistory(origin(4), life, [1, 3], [], [1, 3]) for life in range(1, 12)]
        full = Told(NodeHistory(entries, 22, 0))
        problems, _, _ = self.judge(n1=full, n2=told([]))
        self.assertEqual(len(problems), 9)
        self.assertEqual(problems[-1], "Node 2 lacks 6 messages of 3 other origins")

    def test_a_node_that_just_started_is_excused(self) -> None:
        problems, remarks, words = self.judge(
            n1=told([1, 11]), n2=told([1, 5], just_started=True), n3=told([1, 11])
        )
        self.assertEqual(problems, [])
        self.assertEqual(remarks, ["Node 2 started just now and still lacks 6 messages"])
        self.assertIn("recorded by every node except what the notes say", words)

    def test_lost_numbers_that_another_node_keeps_are_a_problem(self) -> None:
        problems, remarks, _ = self.judge(
            n1=told([1, 11]), n2=told([1, 11], lost=[3, 5], kept=[1, 3, 5, 11])
        )
        self.assertEqual(
            problems,
            [
                (
                    "Node 2 has given up 2 messages of Node 4, numbers 3-4"
                    f" (from {origin(4)}.7.3), which other nodes keep"
                )
            ],
        )
        self.assertEqual(remarks, [])

    def test_lost_numbers_that_nobody_keeps_are_told_and_not_called_everywhere(self) -> None:
        problems, remarks, words = self.judge(
            n1=told([1, 101], kept=[51, 101], dropped=50),
            n2=told([1, 101], lost=[1, 51], kept=[51, 101]),
        )
        self.assertEqual(problems, [])
        self.assertEqual(
            remarks[0],
            "Node 2 will never have 50 messages of Node 4, numbers 1-50"
            f" (from {origin(4)}.7.1): no node keeps them any more",
        )
        self.assertIn("except what the notes say", words)

    def test_what_a_log_that_dropped_nothing_does_not_keep_is_a_problem(self) -> None:
        problems, _, _ = self.judge(n1=told([1, 11]), n2=told([1, 11], kept=[1, 8]))
        self.assertEqual(
            problems,
            [
                (
                    "Node 2 counts as recorded and does not keep 3 messages of Node 4, numbers 8-10"
                    f" (from {origin(4)}.7.8)"
                )
            ],
        )

    def test_what_is_not_kept_is_a_problem_wherever_it_lies(self) -> None:
        for kept, words in (([], "10 messages of Node 4, numbers 1-10"),
                            ([4, 11], "3 messages of Node 4, numbers 1-3")):  # fmt: skip
            problems, _, _ = self.judge(n1=told([1, 11]), n2=told([1, 11], kept=kept))
            (problem,) = problems
            self.assertIn(f"Node 2 counts as recorded and does not keep {words}", problem)

    def test_of_a_log_told_in_part_only_the_part_told_is_judged(self) -> None:
        kept = [n for k in range(10_001, 10_001 + KEPT_BOUNDS, 2) for n in (k, k + 1)]
        problems, _, _ = self.judge(n1=told([1, 20_000]), n2=told([1, 20_000], kept=kept))
        (problem,) = problems
        self.assertIn("numbers 10002, 10004", problem)

    def test_few_messages_are_each_on_every_node(self) -> None:
        log = {"trails": [trail(1, 4)]}
        _, _, words = self.judge(n1=told([1, 2], **log), n2=told([1, 2], **log))
        self.assertEqual(words, "1 message: each on every node, once, by a true route")

    def test_no_more_is_said_to_be_compared_than_there_is(self) -> None:
        log = {"trails": [trail(1, 4), trail(2, 4), trail(3, 4)]}
        _, _, words = self.judge(
            n1=told([1, 4], **log), n2=told([1, 3], just_started=True, trails=log["trails"][:2])
        )
        self.assertEqual(
            words,
            "3 messages: each on every node except what the notes say, once, by a true route",
        )
        _, _, words = self.judge(
            n1=told([1, 9], kept=[6, 9], dropped=5, **log),
            n2=told([1, 9], kept=[6, 9], dropped=5, **log),
        )
        self.assertEqual(
            words, "8 messages: each recorded by every node; those kept once, by a true route"
        )

    def test_where_not_every_node_could_be_asked_the_headline_says_so(self) -> None:
        found = find({1: told([1, 3]), 2: told([1, 3])}, NAMES)
        self.assertIn(
            "recorded by each of the 2 nodes that could be asked",
            headline(found, asked_all=False),
        )
        self.assertEqual(
            headline(Comparison(0, 0), asked_all=False),
            "no node could be asked what it has recorded",
        )

    def test_what_was_lacking_at_one_look_only_does_not_count(self) -> None:
        first = find({1: told([1, 11]), 2: told([1, 9])}, NAMES)
        second = find({1: told([1, 13]), 2: told([1, 10, 11, 12])}, NAMES)
        said = {1: told([]), 2: told([])}
        self.assertEqual(
            in_words(faults(confirmed(first, second), said)),
            [f"Node 2 lacks 1 message of Node 4, number 10 (from {origin(4)}.7.10)"],
        )

    def test_whatever_may_be_wrong_is_looked_at_once_more_and_nothing_else(self) -> None:
        one = [self.lacking(1, 1, 2)]
        for kind in ("lacking", "hidden", "unkept"):
            self.assertTrue(Comparison(1, 1, **{kind: one}).suspicious, kind)
        self.assertTrue(Comparison(1, 1, newest=[RecordedTwice(1, "m")]).suspicious)
        self.assertFalse(Comparison(1, 1, lost=one).suspicious)

    def test_what_was_wrong_in_another_way_at_the_first_look_does_not_count(self) -> None:
        one, other = [self.lacking(1, 1, 4)], [self.lacking(1, 3, 6)]
        a, b, c = (RecordedTwice(1, message) for message in "abc")
        both = confirmed(
            Comparison(9, 2, lacking=one, hidden=one, unkept=one, newest=[a, b]),
            Comparison(9, 2, lacking=other, hidden=other, unkept=[], newest=[b, c]),
        )
        common = [self.lacking(1, 3, 4)]
        self.assertEqual((both.lacking, both.hidden, both.unkept), (common, common, []))
        self.assertEqual(both.newest, [b])
        elsewhere = confirmed(
            Comparison(9, 2, lacking=[self.lacking(2, 1, 4)]), Comparison(9, 2, lacking=one)
        )
        self.assertEqual(elsewhere.lacking, [])

    @staticmethod
    def lacking(node: int, *numbers: int) -> Wanting:
        return Wanting(node, Want.LACKING, 4, (origin(4), LIFE), numbers)

    def test_eight_origins_are_lines_and_four_ranges_are_named(self) -> None:
        entries = [OriginHistory(origin(4), life, [1, 2], [], [1, 2]) for life in range(1, 9)]
        problems, _, _ = self.judge(n1=Told(NodeHistory(entries, 8, 0)), n2=told([]))
        self.assertEqual(len(problems), 8)
        (problem,), _, _ = self.judge(
            n1=told([1, 9]), n2=told([n for k in range(1, 9, 2) for n in (k, k + 1)])
        )
        self.assertIn("numbers 2, 4, 6, 8 (from", problem)

    def test_where_one_node_alone_is_capped_it_alone_is_named(self) -> None:
        _, notes, _ = self.judge(n1=told([1, 11], kept=[6, 11], dropped=5), n2=told([1, 11]))
        self.assertEqual(notes, ["histories are capped: of 10 messages Node 1 keeps the newest 5"])

    def test_messages_of_each_life_of_each_origin_are_counted(self) -> None:
        entries = [
            OriginHistory(origin(4), 1, [1, 3], [], [1, 3]),
            OriginHistory(origin(4), 2, [1, 4], [2, 3], [1, 2, 3, 4]),
            OriginHistory(origin(5), 1, [1, 2], [], [1, 2]),
        ]
        found = find({1: Told(NodeHistory(entries, 5, 0))}, NAMES)
        self.assertEqual((found.messages, found.nodes), (5, 1))


class NewestTests(SynchronousTestCase):
    def wrong(self, **nodes: list[MessageTrail]) -> list[str]:
        said = {
            int(name[1:]): told([1, 2], trails=trails) for name, trails in nodes.items()
        }  # fmt: skip
        return in_words(find(said, NAMES).newest)

    def test_two_bodies_under_one_number_are_a_problem(self) -> None:
        (problem,) = self.wrong(
            n4=[trail(1, 4)], n2=[trail(1, 4, 2)], n3=[trail(1, 4, 3, body=b"y")]
        )
        self.assertEqual(
            problem,
            f"the message {origin(4)}.7.1 is not the same everywhere: it differs between"
            " Node 4, Node 2 and Node 3",
        )

    def test_false_routes_are_counted_beyond_the_eighth(self) -> None:
        numbers = range(1, 21)
        problems = self.wrong(
            n2=[trail(n, 4, 3, 2) for n in numbers], n3=[trail(n, 4, 2, 3) for n in numbers]
        )
        self.assertEqual(len(problems), 9)
        self.assertEqual(problems[-1], "and 32 more like the last")

    def test_eight_false_routes_are_named_each(self) -> None:
        problems = self.wrong(
            n2=[trail(n, 4, 3, 2) for n in range(1, 5)], n3=[trail(n, 4, 2, 3) for n in range(1, 5)]
        )
        self.assertEqual(len(problems), 8)
        self.assertNotIn("more like", problems[-1])

    def test_a_sender_with_another_route_from_the_same_moment_is_believed(self) -> None:
        sent = trail(1, 4, 5, 3, at=2.0)
        for at, wrong in ((2.0, True), (1.0, False)):
            problems = self.wrong(n3=[sent], n2=[trail(1, 4, 3, 2, at=at)])
            self.assertEqual(bool(problems), wrong)

    def test_a_route_of_one_step_is_judged_by_the_senders(self) -> None:
        (problem,) = self.wrong(n4=[trail(1, 5, 4)], n2=[trail(1, 4, 2)])
        self.assertTrue(problem.startswith("Node 2 recorded another route of the message"), problem)

    def test_the_origins_own_route_is_nobodys_to_judge(self) -> None:
        self.assertEqual(self.wrong(n4=[trail(1, 4)], n2=[trail(1, 4, 2)]), [])

    def test_a_route_whose_sender_is_not_known_proves_nothing(self) -> None:
        self.assertEqual(self.wrong(n2=[trail(1, 4, 3, 2)]), [])
