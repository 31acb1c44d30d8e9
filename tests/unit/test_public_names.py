"""Every name that a program needs can be imported from ``chordnet``, and none is loaded before."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import chordnet
from chordnet.core.base import errors
from chordnet.net.observe.hooks import EVENTS
from chordnet.wire import rpc

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "docs" / "how-to" / "embed.md", ROOT / "docs" / "reference" / "python-api.md"]
OTHERS = {"SSL4ServerEndpoint", "TCP4ClientEndpoint"}
"""Classes of Twisted."""


class NameTests(SynchronousTestCase):
    def test_the_table_of_homes_the_typed_imports_and_all_name_the_same(self) -> None:
        tree = ast.parse(Path(str(chordnet.__file__)).read_text("utf-8"))
        (block,) = [node for node in tree.body if isinstance(node, ast.If)]
        typed = {
            alias.name: node.module
            for node in block.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        self.assertEqual(typed, chordnet._HOMES)
        self.assertEqual(set(chordnet.__all__), set(chordnet._HOMES))
        self.assertEqual(chordnet.__all__, sorted(chordnet.__all__))

    def test_every_public_name_is_there(self) -> None:
        for name in chordnet.__all__:
            self.assertIsNotNone(getattr(chordnet, name))
            self.assertIn(name, dir(chordnet))
        self.assertRaises(AttributeError, getattr, chordnet, "Nothing")

    def test_every_error_event_and_result_is_public(self) -> None:
        raised = [kind for kind in vars(errors).values() if isinstance(kind, type)]
        values = [
            kind
            for kind in vars(rpc).values()
            if isinstance(kind, type) and issubclass(kind, rpc._Value) and kind is not rpc._Value
        ]
        self.assertGreater(len(raised), 10)
        self.assertGreater(len(values), 10)
        for kind in [*raised, *EVENTS, *values]:
            self.assertIs(getattr(chordnet, kind.__name__, None), kind)

    def test_every_class_that_the_pages_for_programmers_name_is_public(self) -> None:
        for page in GUIDES:
            text = page.read_text("utf-8")
            words = re.findall(r"`([A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*)`", text)
            own = {word for word in words if word != word.upper()} - OTHERS
            self.assertGreater(len(own), 2, page.name)
            self.assertEqual({word for word in own if not hasattr(chordnet, word)}, set())

    def test_the_pages_import_what_is_public_from_the_package_itself(self) -> None:
        for page in sorted((ROOT / "docs").rglob("*.md")):
            for module, names in re.findall(
                r"^from (chordnet\.[\w.]+) import ([\w, ]+)$", page.read_text("utf-8"), re.M
            ):
                inner = set(names.split(", ")) & set(chordnet.__all__)
                self.assertEqual(inner, set(), f"{page.name}: from {module}")


class CostTests(SynchronousTestCase):
    """In a process of its own, for here everything is loaded."""

    def loaded(self, program: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"],
            check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return set(done.stdout.split())

    def test_the_package_alone_loads_nothing_of_twisted_and_none_of_its_own_modules(self) -> None:
        modules = self.loaded("import chordnet")
        self.assertEqual({name for name in modules if name.startswith("chordnet.")}, set())
        self.assertEqual(modules & {"twisted", "msgspec", "attrs", "sqlite3"}, set())

    def test_errors_events_and_results_are_to_be_had_without_twisted(self) -> None:
        modules = self.loaded("from chordnet import Receipt, StatusChanged, TimedOut")
        self.assertIn("chordnet.wire.rpc", modules)
        self.assertNotIn("twisted", modules)
