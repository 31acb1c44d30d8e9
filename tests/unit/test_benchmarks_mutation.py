"""Faults put into a program: which there are, where they go, which tests are asked about them."""

from __future__ import annotations

import random
import re

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.mutants import Mutant, mutants
from benchmarks.mutation import EQUIVALENTS, ROOT, Test, concerned, equivalents, sample

SOURCE = '''"""A module."""
from __future__ import annotations

LIMIT = 64
FIRST = 0
__all__ = ["f"]


class Table:
    """A table."""

    size: int = 3

    @property
    def full(self) -> bool:
        """Whether it is full."""
        return self.count >= LIMIT and not self.open

    def clear(self) -> None:
        if self.count < 1:
            raise ValueError("é", 1.5)
        self.count = 0
        here = self.count + 1
        assert here
'''


def changes(source: str = SOURCE) -> set[tuple[str, str]]:
    return {(each.function, each.after(source)) for each in mutants("a.py", source)}


class MutantTests(SynchronousTestCase):
    maxDiff = None

    def test_every_change_that_is_made(self) -> None:
        self.assertEqual(
            changes(),
            {
                ("", "LIMIT = (64 * 1000)"),
                ("", "FIRST = 1"),
                ("", "size: int = (3 * 1000)"),
                ("Table.full", "pass"),
                ("Table.full", "return self.count > LIMIT and not self.open"),
                ("Table.full", "return self.count >= LIMIT or not self.open"),
                ("Table.full", "return self.count >= LIMIT and (self.open)"),
                ("Table.clear", "if not (self.count < 1):"),
                ("Table.clear", "if self.count <= 1:"),
                ("Table.clear", "if self.count < 2:"),
                ("Table.clear", "pass"),
                ("Table.clear", 'raise ValueError("é", 2.5)'),
                ("Table.clear", "self.count = 1"),
                ("Table.clear", "here = self.count - 1"),
                ("Table.clear", "here = self.count + 2"),
            },
        )

    def test_a_function_within_a_function_has_its_own_name(self) -> None:
        source = "def f():\n    def g():\n        return 1\n    return g\n"
        self.assertEqual({each.function for each in mutants("a.py", source)}, {"f", "f.<locals>.g"})

    def test_texts_and_types_are_left_alone(self) -> None:
        source = "A = f'{x + 1}'\nB = 'a' + c\nC = Sent | Done | None\n"
        self.assertEqual(changes(source), set())

    def test_the_default_of_a_function_without_a_body_is_left_alone(self) -> None:
        self.assertEqual(
            changes("class P(Protocol):\n    def f(self, x: bool = True): ...\n"), set()
        )
        source = "def f(x: bool = True):\n    return x\n"
        self.assertIn(("", "def f(x: bool = False):"), changes(source))

    def test_mutants_of_equal_lines_in_two_functions_have_different_keys(self) -> None:
        source = "N = 3\ndef f():\n    n = 1\ndef g():\n    n = 1\n"
        keys = [each.key(source) for each in mutants("a.py", source)]
        expected = ["a.py: N = 3 => N = (3 * 1000)", "a.py, f: n = 1 => n = 2"]
        self.assertEqual(keys, [*expected, "a.py, g: n = 1 => n = 2"])

    def test_one_place_is_changed_and_nothing_else(self) -> None:
        for each in mutants("a.py", SOURCE):
            changed = each.applied(SOURCE).splitlines()
            old = SOURCE.splitlines()
            different = [
                n for n, pair in enumerate(zip(old, changed, strict=True), 1) if pair[0] != pair[1]
            ]
            self.assertEqual(different, [each.line])


class SampleTests(SynchronousTestCase):
    def test_the_same_seed_gives_the_same_sample_without_repetition(self) -> None:
        sources = {"a.py": SOURCE, "b.py": SOURCE, "empty.py": "\n" * 1000}
        drawn = sample(sources, random.Random(7), 20)
        self.assertEqual(drawn, sample(sources, random.Random(7), 20))
        self.assertNotEqual(drawn, sample(sources, random.Random(8), 20))
        self.assertEqual(len({(each.path, each.start, each.new) for each in drawn}), 20)

    def test_a_sample_has_no_more_mutants_than_there_are(self) -> None:
        self.assertEqual(len(sample({"a.py": "A = 1\n"}, random.Random(7), 20)), 1)


class ConcernedTests(SynchronousTestCase):
    PATH = "chordnet/core/kernel/peers.py"
    MUTANT = Mutant(PATH, "not", 0, 1, "", 1, "Book.note")
    OUTSIDE = Mutant(PATH, "constant", 0, 1, "", 1, "")

    def chosen(self, budget: float, *tests: Test, mutant: Mutant = MUTANT) -> list[str]:
        return [test.name.partition("::")[2] for test in concerned(mutant, tests, budget)]

    def made(self, name: str, seconds: float, *functions: str, file: str = "any") -> Test:
        ran = frozenset((self.PATH, each) for each in functions)
        return Test(f"tests/unit/test_{file}.py::{name}", seconds, ran)

    def test_tests_named_like_the_module_come_first_then_the_quick(self) -> None:
        found = self.chosen(
            100.0, self.made("slow", 9.0, "Book.note"), self.made("quick", 1.0, "Book.note"),
            self.made("named", 20.0, "Book.note", file="core_peers"),
            self.made("other", 1.0, "Book.died"),
        )  # fmt: skip
        self.assertEqual(found, ["named", "quick", "slow", "other"])

    def test_the_budget_ends_the_list_but_for_the_first(self) -> None:
        tests = [self.made(f"t{n}", 10.0 + n, "Book.note") for n in range(5)]
        self.assertEqual(len(self.chosen(5.0, *tests)), 1)
        self.assertEqual(len(self.chosen(22.0, *tests)), 2)

    def test_where_no_test_runs_the_function_those_of_its_file_or_of_its_name_are_chosen(
        self,
    ) -> None:
        found = self.chosen(
            9.0, self.made("runs", 1.0, "Book.died"), self.made("named", 2.0, file="core_peers"),
            self.made("other", 1.0),
        )  # fmt: skip
        self.assertEqual(found, ["named", "runs"])
        self.assertEqual(self.chosen(9.0, self.made("other", 1.0)), [])

    def test_outside_of_functions_the_tests_of_figures_come_first(self) -> None:
        figures = self.made("figures", 9.0, file="limits")
        runs = self.made("runs", 1.0, "Book.note", file="core_peers")
        self.assertEqual(self.chosen(99.0, runs, figures, mutant=self.OUTSIDE), ["figures", "runs"])
        self.assertEqual(self.chosen(99.0, runs, figures), ["runs"])


class EquivalentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = EQUIVALENTS.read_text()

    def test_each_equivalent_mutant_has_its_reason(self) -> None:
        text = "# words\n\na.py: x => y\n    nobody can tell\n"
        self.assertEqual(equivalents(text), {"a.py: x => y": "nobody can tell"})
        self.assertRaises(ValueError, equivalents, "a.py: x => y\n")

    def test_each_mutant_in_the_list_of_equivalent_ones_is_one_of_this_program(self) -> None:
        listed = equivalents(self.text)
        paths = {re.split(",|:", key, maxsplit=1)[0] for key in listed}
        found: set[str] = set()
        for path in paths:
            source = (ROOT / path).read_text()
            for mutant in mutants(path, source):
                if f": {mutant.before.strip()} => " in self.text:
                    found.add(mutant.key(source))
        self.assertEqual(sorted(set(listed) - found), [])

    def test_no_mutant_is_in_the_list_of_equivalent_ones_twice(self) -> None:
        keys = [line for line in self.text.splitlines() if line.startswith("chordnet/")]
        self.assertEqual(len(keys), len(set(keys)))
