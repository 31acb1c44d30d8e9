"""The words of ``p2pnet chaos``, and what it prints."""

from __future__ import annotations

import click

from chordnet.cli.commands.chaos import Order, node_group, outcome_json, outcome_lines, part_text
from chordnet.survey.description import MAX_NODES
from chordnet.survey.errors import NoSuchNode
from chordnet.survey.findings import RecordedTwice, Silent, in_words
from chordnet.testbed.actions.chaos import Acted, Part
from chordnet.testbed.base.faults import Faults, WrongFault
from tests.unit.test_cli import CommandCase
from tests.unit.testbed_fakes import network

FIVE = network(5)


def order(verb: str, *words: str, ms: float = 0, jitter: float = 0, percent: float = 0) -> Order:
    return Order(verb, tuple(map(node_group, words)), ms, jitter, percent)


class WordTests(CommandCase):
    def test_nodes_are_named_by_numbers_and_ranges(self) -> None:
        self.assertEqual(node_group("3"), {3})
        self.assertEqual(node_group("1-3,7,9-10"), {1, 2, 3, 7, 9, 10})
        self.assertEqual(node_group(f"1-{MAX_NODES}"), set(range(1, MAX_NODES + 1)))
        for word in (
            f"{MAX_NODES + 1}",
            "0",
            "x",
            "",
            "3-1",
            "1-",
            "-3",
            "1,,2",
            "1-999",
            "1-8 9",
            "²",
        ):
            self.assertRaises(click.UsageError, node_group, word)

    def test_every_verb_has_its_fault(self) -> None:
        for wanted, expected in (
            (order("kill", "3"), Faults(killed=frozenset({3}))),
            (order("freeze", "1-2", "4"), Faults(frozen=frozenset({1, 2, 4}))),
            (order("delay", "2", ms=80, jitter=5), Faults(delays={2: (80, 5)})),
            (order("loss", "2", percent=5), Faults(losses={2: 5})),
            (order("partition", "1-2"), Faults().with_partition([{1, 2}], range(1, 6))),
            (order("partition", "1", "2"), Faults().with_partition([{1}, {2}], range(1, 6))),
        ):
            self.assertEqual(wanted.change(Faults(), FIVE), expected)
            self.assertEqual(order("heal").change(expected, FIVE), Faults())
        frozen = Faults(frozen=frozenset({1, 2}))
        self.assertEqual(order("thaw", "1").change(frozen, FIVE), Faults(frozen=frozenset({2})))
        self.assertEqual(order("thaw").change(frozen, FIVE), Faults())

    def test_nodes_that_the_network_lacks_are_refused(self) -> None:
        self.assertRaises(NoSuchNode, order("freeze", "4-6").change, Faults(), FIVE)
        self.assertRaises(WrongFault, order("partition", "1-5").change, Faults(), FIVE)

    def test_words_that_do_not_fit_are_one_line(self) -> None:
        for words, expected in (
            ((), "VERB"),
            (("dance",), "'dance' is not one of"),
            (("freeze",), "freeze needs nodes"),
            (("freeze", "many"), "nodes are named like 3, 1-8"),
            (("heal", "3"), "takes no nodes"),
            (("delay", "3"), "takes --ms N"),
            (("freeze", "3", "--ms", "5"), "takes --ms N"),
            (("thaw", "3", "--jitter", "5"), "takes --ms N"),
            (("loss", "3"), "takes --percent N"),
            (("kill", "3", "--percent", "5"), "takes --percent N"),
        ):
            self.assertIn(expected, self.refused("chaos", *words))


class OutputTests(CommandCase):
    fine = Part((1, 2, 3), 4, ())
    bad = Part((5,), 0, tuple(RecordedTwice(5, message) for message in "abcd"))

    def outcome(self, *after: Part, faults: Faults | None = None) -> Acted:
        return Acted(before=(self.fine,), after=after, seconds=1.26, faults=faults or Faults())

    def test_the_network_has_a_line_before_and_a_line_after(self) -> None:
        fine = "nodes 1-3: one right ring, 4 messages on every node"
        twice = "Node 5 recorded the message {} twice".format
        bad = f"node 5: 4 problems: {twice('a')}; {twice('b')}; and 2 more"
        self.assertEqual(
            outcome_lines(self.outcome(self.fine, self.bad), "default"),
            [f"before: {fine}", f"after 1.3 s: {fine} | {bad}"],
        )
        lines = outcome_lines(self.outcome(), "default")
        self.assertEqual(lines[1], "after 1.3 s: no node can be asked")
        one = "Node 1 does not answer: no word"
        self.assertEqual(
            part_text(Part((1,), 1, (Silent(1, "no word"),))), f"node 1: 1 problem: {one}"
        )
        both = Part((1,), 1, (Silent(1, "no word"), Silent(1, "x")))
        self.assertEqual(part_text(both), f"node 1: 2 problems: {one}; Node 1 does not answer: x")

    def test_json_gives_times_to_the_millisecond(self) -> None:
        outcome = Acted(before=(), after=(), seconds=1.23456, faults=Faults())
        document = outcome_json("default", order("heal"), outcome)
        self.assertEqual(document["seconds"], 1.235)

    def test_what_is_in_force_is_said_with_what_ends_it(self) -> None:
        frozen = self.outcome(self.fine, faults=Faults(frozen=frozenset({4, 5})))
        lines = outcome_lines(frozen, "default")
        self.assertEqual(lines[2], "in force: frozen 4-5 (undo it: p2pnet chaos heal)")
        killed = self.outcome(faults=Faults(killed=frozenset({1, 2, 3})))
        lines = outcome_lines(killed, "default")
        self.assertEqual(lines[2], "in force: killed 1-3 (undo it: p2pnet start-network)")

    def test_what_a_start_would_not_undo_is_healed(self) -> None:
        heal = "(undo it: p2pnet chaos heal)"
        nobody_can_be_asked = self.outcome(faults=Faults(frozen=frozenset({1, 2})))
        slow = self.outcome(self.fine, faults=Faults(delays={1: (80.0, 0.0)}))
        for outcome in (nobody_can_be_asked, slow):
            self.assertIn(heal, outcome_lines(outcome, "default")[2])

    def test_the_command_that_undoes_a_fault_names_the_network(self) -> None:
        frozen = self.outcome(self.fine, faults=Faults(frozen=frozenset({4, 5})))
        undo = "(undo it: p2pnet chaos heal --network two)"
        self.assertIn(undo, outcome_lines(frozen, "two")[2])

    def test_the_document_says_what_each_side_looks_like_afterwards(self) -> None:
        document = outcome_json("default", order("freeze", "5"), self.outcome(self.fine, self.bad))
        self.assertEqual((document["ok"], document["seconds"]), (False, 1.26))
        self.assertEqual(
            document["after"],
            [
                {"nodes": [1, 2, 3], "ok": True, "messages": 4, "problems": []},
                {"nodes": [5], "ok": False, "messages": 0, "problems": in_words(self.bad.problems)},
            ],
        )
        self.assertEqual(document["in_force"]["frozen"], [])
