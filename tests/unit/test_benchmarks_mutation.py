"""Faults put into a program: which there are, where they go, which tests are asked about them."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.mutants import Mutant, mutants
from benchmarks.mutation import TestFile, concerned, equivalents, sample

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

    def test_no_more_than_there_are(self) -> None:
        self.assertEqual(len(sample({"a.py": "A = 1\n"}, random.Random(7), 20)), 1)


class ConcernedTests(SynchronousTestCase):
    MUTANT = Mutant("chordnet/core/peers.py", "not", 0, 1, "", 1, "Book.note")

    def chosen(self, budget: float, *tests: TestFile) -> list[str]:
        return [test.name for test in concerned(self.MUTANT, tests, budget)]

    def file(self, name: str, seconds: float, *functions: str) -> TestFile:
        ran = frozenset(("chordnet/core/peers.py", each) for each in functions)
        return TestFile(f"tests/unit/test_{name}.py", seconds, ran)

    def test_those_named_like_it_come_first_then_the_quick(self) -> None:
        found = self.chosen(
            100.0, self.file("slow", 9.0, "Book.note"), self.file("quick", 1.0, "Book.note"),
            self.file("core_peers", 20.0, "Book.note"), self.file("other", 1.0, "Book.died"),
        )  # fmt: skip
        self.assertEqual(
            [name[11:-3] for name in found], ["test_core_peers", "test_quick", "test_slow"]
        )

    def test_the_budget_ends_the_list_but_for_the_first(self) -> None:
        tests = [self.file(f"t{n}", 10.0 + n, "Book.note") for n in range(5)]
        self.assertEqual(len(self.chosen(5.0, *tests)), 1)
        self.assertEqual(len(self.chosen(22.0, *tests)), 2)

    def test_where_none_runs_the_function_those_that_run_its_file(self) -> None:
        self.assertEqual(len(self.chosen(9.0, self.file("core_peers", 1.0, "Book.died"))), 1)
        self.assertEqual(self.chosen(9.0, TestFile("tests/unit/test_x.py", 1.0, frozenset())), [])


class EquivalentTests(SynchronousTestCase):
    def test_each_has_its_reason(self) -> None:
        text = "# words\n\na.py: x => y\n    nobody can tell\n"
        self.assertEqual(equivalents(text), {"a.py: x => y": "nobody can tell"})
        self.assertRaises(ValueError, equivalents, "a.py: x => y\n")
