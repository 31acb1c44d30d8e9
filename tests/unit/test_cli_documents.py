"""JSON documents and files with as many decimals, and laid out, as they ought to be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.commands.lifecycle import started_json
from chordnet.cli.commands.members import added_json, removed_json
from chordnet.cli.commands.messages import receipt_json
from chordnet.cli.lab.replay import Played, replay_json
from chordnet.survey.verdict import Names
from chordnet.testbed.actions.changes import Removed
from chordnet.testbed.actions.lifecycle import Started
from chordnet.testbed.base.faults import Faults, save_faults
from chordnet.testbed.base.home import NetworkHome
from chordnet.wire.rpc import Receipt
from tests.unit.testbed_fakes import network

SECONDS = 1.23456789


class DecimalTests(SynchronousTestCase):
    def test_how_long_a_change_took_is_given_to_the_millisecond(self) -> None:
        started = Started(network=network(2), started=(1, 2), members=2, seconds=SECONDS)
        removed = Removed(node=1, killed=False, members=1, seconds=SECONDS)
        for document in (
            started_json(started, Path()),
            added_json(1, started),
            removed_json(removed),
        ):
            self.assertEqual(document["seconds"], 1.235)

    def test_how_long_a_message_took_is_given_to_the_microsecond(self) -> None:
        receipt = Receipt("x.1.1", "apple", 1, 1, 0, 0, SECONDS, False, [])
        document = receipt_json(receipt, 4, Names(network(2)))
        self.assertEqual(document["seconds"], 1.234568)

    def test_how_long_a_recording_lasts_is_given_to_the_microsecond(self) -> None:
        me = SimpleNamespace(raw=b"\1", incarnation=1)
        replay: Any = SimpleNamespace(
            node="n1", header=SimpleNamespace(me=me), events=1, seconds=SECONDS, end="",
            difference=None,
        )  # fmt: skip
        (file,) = replay_json([Played("one", cast(Any, replay))], [])["files"]
        self.assertEqual(file["seconds"], 1.234568)


class KeptTests(SynchronousTestCase):
    """Files that are kept between commands are for people to read as well."""

    def setUp(self) -> None:
        self.home = NetworkHome(Path(self.mktemp()), "lab")

    def test_faults_are_a_line_for_each_kind(self) -> None:
        save_faults(self.home, Faults(killed=frozenset({2}), delays={3: (80.0, 20.0)}))
        self.assertEqual(
            (self.home.directory / "faults.json").read_text(),
            """{
  "killed": [
    2
  ],
  "frozen": [],
  "sides": [],
  "delays": {
    "3": [
      80.0,
      20.0
    ]
  },
  "losses": {}
}
""",
        )
