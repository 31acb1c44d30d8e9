"""The state directory at its edges: numbers, locks and modes, and the words when it is damaged."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

from chordnet.core.base.errors import ConfigError
from chordnet.core.base.messages import NodeRef
from chordnet.storage.base.private import make_directory, narrow, private, sync_directory
from tests.unit.storage_support import StateDirectoryCase


class IncarnationTests(StateDirectoryCase):
    def after(self, written: str) -> int:
        """Return the incarnation that follows on what is written."""
        state = self.open()
        (self.path / "incarnation").write_text(written)
        self.warnings.clear()
        found = state.next_incarnation()
        state.close()
        return found

    def test_a_number_is_followed_by_the_next_or_by_the_clocks_if_that_is_higher(self) -> None:
        rows = [
            ("0", 1_000_000),
            ("999998", 1_000_000),
            ("999999", 1_000_000),
            ("1000000\n", 1_000_001),
            # A day and a second ahead of the clock is the farthest that is believed.
            (str(1_000_000 + 86_400_000), 1_000_001 + 86_400_000),
        ]
        for written, expected in rows:
            self.assertEqual(self.after(written), expected, written)
            self.assertEqual(self.warnings, [])

    def test_a_number_from_more_than_a_day_ahead_is_not_believed_and_told_of(self) -> None:
        self.assertEqual(self.after(str(1_000_001 + 86_400_000)), 1_000_000)
        said = "is from more than a day ahead of this clock; going on with the clock's"
        self.assertEqual(self.warnings, [f"{self.path / 'incarnation'} {said}"])

    def test_a_number_that_no_node_can_have_had_is_set_aside(self) -> None:
        for written in ("-1", str(1 << 62), "x", "", "1 2"):
            self.assertEqual(self.after(written), 1_000_000, written)
            said = "is damaged; kept as incarnation.damaged, going on with the clock's"
            self.assertEqual(self.warnings, [f"{self.path / 'incarnation'} {said}"])
            self.assertEqual((self.path / "incarnation.damaged").read_text(), written)

    def test_the_highest_number_is_no_damage(self) -> None:
        self.wall = float((1 << 62) - 1) / 1000
        self.after(str((1 << 62) - 1))
        self.assertFalse((self.path / "incarnation.damaged").exists())

    def test_a_directory_that_cannot_be_written_is_a_failure_in_words(self) -> None:
        state = self.open()
        (self.path / "incarnation.new").mkdir()
        error = self.assertRaises(ConfigError, state.next_incarnation)
        self.assertEqual(
            str(error), f"the state directory {self.path} cannot be written: Is a directory"
        )


class LockTests(StateDirectoryCase):
    def test_the_process_that_holds_a_directory_is_named_in_20_letters(self) -> None:
        self.path.mkdir()
        for written, named in (("7" * 25, "7" * 20), (" 5 \n", "5"), ("", "unknown")):
            with (self.path / "lock").open("w") as file:
                file.write(written)
                file.flush()
                fcntl.flock(file, fcntl.LOCK_EX)
                error = self.assertRaises(ConfigError, self.open)
            self.assertEqual(
                str(error),
                f"the state directory {self.path} is in use by another node (process {named});"
                " give every node its own",
            )

    def test_the_lock_has_the_number_of_the_process_and_nothing_of_earlier_ones(self) -> None:
        self.path.mkdir()
        (self.path / "lock").write_text("7" * 25)
        self.open()
        self.assertEqual((self.path / "lock").read_text(), f"{os.getpid()}\n")

    def test_a_directory_may_be_closed_twice(self) -> None:
        state = self.open()
        state.close()
        state.close()
        self.open()

    def test_a_directory_that_is_a_file_is_said_to_be_none(self) -> None:
        self.path.write_text("")
        error = self.assertRaises(ConfigError, self.open)
        self.assertEqual(
            str(error),
            f"the state directory {self.path} cannot be used: File exists;"
            " choose another directory",
        )


class PeersTests(StateDirectoryCase):
    def test_peers_are_written_one_a_line(self) -> None:
        state = self.open()
        rows = [NodeRef(bytes([n] * 2), n, f"host:{n}", f"Nœud {n}") for n in (1, 2)]
        state.keep_peers(rows)
        lines = (self.path / "peers.json").read_text("utf-8").splitlines()
        self.assertEqual((lines[0], lines[-1], len(lines)), ("[", "]", 4))
        self.assertEqual(
            json.loads(lines[1].rstrip(",")),
            {"id": "0101", "incarnation": 1, "address": "host:1", "name": "Nœud 1"},
        )
        self.assertEqual(state.known_peers(), rows)

    def test_an_entry_that_can_be_no_peer_is_damage(self) -> None:
        state = self.open()
        right = {"id": "01", "incarnation": 1, "address": "host:1", "name": "x"}
        wrong = [
            {"id": ""}, {"id": "xx"}, {"id": 5}, {"incarnation": "x"}, {"incarnation": None},
            {"address": 5}, {"address": None}, {"name": 5}, {"name": None},
        ]  # fmt: skip
        for change in ({}, *wrong):
            self.warnings.clear()
            (self.path / "peers.json").write_text(json.dumps([right | change]))
            found = state.known_peers()
            self.assertEqual(len(found), 0 if change else 1, change)
            said = (
                f"{self.path / 'peers.json'} is damaged; kept as peers.json.damaged, going on with"
                " the bootstrap peers alone"
            )
            self.assertEqual(self.warnings, [said] if change else [], change)

    def test_a_damaged_file_that_cannot_be_set_aside_is_told_of(self) -> None:
        state = self.open()
        (self.path / "peers.json").write_text("{")
        (self.path / "peers.json.damaged").mkdir()
        self.assertEqual(state.known_peers(), [])
        (warning,) = self.warnings
        start = f"{self.path / 'peers.json'} cannot be read ("
        self.assertTrue(warning.startswith(start), warning)
        self.assertTrue(warning.endswith("), going on with the bootstrap peers alone"), warning)


class PrivateTests(StateDirectoryCase):
    def mode(self, path: Path) -> int:
        return path.stat().st_mode & 0o7777

    def test_the_rights_of_others_are_taken_away_and_the_owners_stay(self) -> None:
        self.path.mkdir()
        rows = [
            (0o640, 0o600), (0o604, 0o600), (0o777, 0o700), (0o400, 0o400), (0o500, 0o500),
            (0o4755, 0o4700), (0o610, 0o600), (0o601, 0o600), (0o620, 0o600), (0o602, 0o600),
        ]  # fmt: skip
        for before, after in rows:
            file = self.path / f"{before:o}"
            file.touch()
            file.chmod(before)
            narrow([self.path / "missing", file])
            self.assertEqual(self.mode(file), after, oct(before))

    def test_a_directory_is_made_with_those_above_it_for_its_owner_alone(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        deep = self.path / "a" / "b"
        make_directory(deep)
        make_directory(deep)
        for each in (deep, deep.parent, self.path):
            self.assertEqual(self.mode(each), 0o700)

    def test_a_file_is_made_for_its_owner_alone(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.path.mkdir()
        with open(self.path / "x", "w", opener=private) as file:
            file.write("x")
        self.assertEqual(self.mode(self.path / "x"), 0o600)

    def test_a_directory_is_synced_by_its_descriptor_which_is_closed_after_it(self) -> None:
        self.path.mkdir()
        seen: list[int] = []

        def sync(descriptor: int) -> None:
            self.assertTrue(os.path.samestat(os.fstat(descriptor), self.path.stat()))
            seen.append(descriptor)

        sync_directory(self.path, sync)
        self.assertRaises(OSError, os.fstat, seen[0])
