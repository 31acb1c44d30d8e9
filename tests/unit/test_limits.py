"""Figures that are written down: the fixed limits, the numbers on the wire, the commands' patience.

A test that uses a limit's own constant notices nothing when the constant is wrong. Here the
figures are those of the pages.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

import click
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.app import COMMANDS, cli
from chordnet.core.base import limits
from chordnet.core.base.effects import TraceKind
from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import EdgeKind, FindKind, Status

DOCS = Path(__file__).parents[2] / "docs"
_ROW = re.compile(r"^\| `([a-z_.]+)\.([A-Z_]+)` \| ([\d.,]+) \| (.+) \|$", re.M)

_LIMIT = re.compile(
    r"^((?:MAX|MOST)_[A-Z_]+|[A-Z][A-Z_]*_(?:S|BYTES|IN_ONE|AT_ONCE))(?:: \w+)? = [\d.]", re.M
)
ROOMS = {"client", "core", "net", "recipes", "storage", "wire"}


def sources() -> Iterator[tuple[str, str]]:
    """Return the text of each module, by its name without that of the package."""
    for path in sorted((DOCS.parent / "chordnet").rglob("*.py")):
        names = path.relative_to(DOCS.parent / "chordnet").with_suffix("").parts
        yield ".".join(names), path.read_text("utf-8")


class PageTests(SynchronousTestCase):
    def test_every_figure_is_the_programs(self) -> None:
        rows = _ROW.findall((DOCS / "reference" / "limits.md").read_text("utf-8"))
        self.assertGreater(len(rows), 90)
        for module, name, figure, _words in rows:
            value = getattr(importlib.import_module(f"chordnet.{module}"), name)
            self.assertEqual(value, float(figure.replace(",", "")), f"{module}.{name}")

    def test_every_limit_of_a_node_is_on_the_page(self) -> None:
        """Figures of the rooms that run within a node or a program; others are on it by choice."""
        rows = _ROW.findall((DOCS / "reference" / "limits.md").read_text("utf-8"))
        named = {f"{module}.{name}" for module, name, _figure, _words in rows}
        missing = {
            f"{module}.{name}"
            for module, source in sources()
            if module.split(".")[0] in ROOMS
            for name in _LIMIT.findall(source)
        }
        self.assertEqual(missing - named, set())


class WireNumberTests(SynchronousTestCase):
    """The numbers of states and kinds are spoken between nodes, so they never change."""

    def setUp(self) -> None:
        page = (DOCS / "wire-format.md").read_text("utf-8")
        (self.paragraph,) = re.findall(r"^`status`: .*?(?=\n\n)", page, re.M | re.S)

    def assert_told(self, kind: type[IntEnum], text: str) -> None:
        told = {name: int(number) for number, name in re.findall(r"(\d) (\w+)", text)}
        self.assertEqual({each.name.lower(): each.value for each in kind}, told)

    def test_the_numbers_on_the_wire_are_those_of_the_page(self) -> None:
        states, _, rest = self.paragraph.partition("`kind` of a lookup")
        lookup, _, edges = rest.partition("`kind` of a hop")
        self.assert_told(Status, states)
        self.assert_told(EdgeKind, edges.replace("`ttl`", ""))
        self.assertEqual([int(n) for n in re.findall(r"\d", lookup)], [0, 1])
        self.assertEqual((FindKind.OWNER, FindKind.PREDECESSOR), (0, 1))


class RecordedNumberTests(SynchronousTestCase):
    """Recordings have the numbers of enums, so these never change either."""

    def test_the_numbers_in_recordings_are_those_that_older_ones_have(self) -> None:
        self.assertEqual(
            {each.name: each.value for each in LinkFault},
            {
                "BROKEN": 0, "REFUSED": 1, "UNREACHABLE": 2, "REJECTED": 3, "CLOSED": 4,
                "OVERLOADED": 5, "SELF": 6,
            },
        )  # fmt: skip
        self.assertEqual(
            {each.name: each.value for each in TraceKind},
            {"DUPLICATE": 0, "RESENT": 1, "LOST_CHILD": 2, "REPAIRED": 3, "GAVE_UP": 4},
        )

    def test_every_number_that_a_peer_may_say_fits_into_64_bits_or_a_database(self) -> None:
        self.assertEqual(
            (limits.COUNT_LIMIT, limits.LABEL_LIMIT, limits.DIGEST_LIMIT, limits.NODES_LIMIT),
            (2**62, 2**63, 2**64, 2**31),
        )


class PatienceTests(SynchronousTestCase):
    def test_each_command_waits_as_long_as_its_page_says(self) -> None:
        found = {}
        with click.Context(cli) as context:
            for name in COMMANDS:
                command = cli.get_command(context, name)
                assert command is not None
                for option in command.params:
                    if option.name == "timeout":
                        found[name] = option.get_default(context)
        self.assertEqual(
            found,
            {
                "demo": 60.0, "start-network": 90.0, "stop-network": 60.0, "remove-node": 60.0,
                "add-node": 60.0, "chaos": 30.0, "send-message": 30.0, "get-messages": 30.0,
                "status": 2.0, "doctor": 30.0, "ring": 2.0, "explain": 5.0, "trace": 5.0,
                "lookup": 15.0, "put": 10.0, "get": 10.0, "delete": 10.0,
                "store": 5.0, "explain-key": 5.0, "keys": 10.0, "restart-network": 90.0,
                "certificates": 5.0, "invite": 5.0, "revoke": 15.0, "rotate-authority": 120.0,
            },
        )  # fmt: skip
