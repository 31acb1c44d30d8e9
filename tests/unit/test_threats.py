"""The page on threats: every test that it names is there, and every attack names one."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
UNTESTED = {"listen on the wire", "the state directory of a node"}
"""Rows that say what is not prevented, and by what nature."""


def rows() -> list[list[str]]:
    """Return the cells of each row of the tables, without their heads."""
    lines = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    return [[cell.strip(" |") for cell in line] for line in lines if line[-1] != "shown by"]


class PageTests(SynchronousTestCase):
    def test_every_test_that_the_page_names_is_there(self) -> None:
        sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
        written = set(re.findall(r"def (test_\w+)\(", sources))
        named = set(re.findall(r"`(test_\w+)`", PAGE))
        self.assertGreater(len(named), 40)
        self.assertEqual(named - written, set())

    def test_every_attack_names_a_test_that_shows_it(self) -> None:
        found = rows()
        self.assertGreater(len(found), 35)
        without = {row[0] for row in found if "`test_" not in row[-1]}
        self.assertEqual(without, UNTESTED)
