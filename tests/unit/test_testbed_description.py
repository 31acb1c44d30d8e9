"""The description of a network and the place where it is kept."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.survey.description import MAX_BITS, MIN_BITS, NetworkDescription
from chordnet.survey.errors import CannotWrite, TestbedError, UnreadableNetwork
from chordnet.survey.waiting import pause
from chordnet.testbed.base.home import NETWORK_NAME, NetworkHome, home_directory, write_atomically
from chordnet.testbed.base.lock import locked
from tests.unit.testbed_fakes import network


class DescriptionTests(SynchronousTestCase):
    def test_a_node_is_its_name_its_hash_and_its_port(self) -> None:
        described = network(16, base_port=7001)
        self.assertEqual(described.node_name(4), "Node 4")
        self.assertEqual(described.identifier(4), IdentifierSpace(160).hash(b"Node 4"))
        self.assertEqual(described.address(16), "127.0.0.1:7016")

    def test_everyone_is_told_two_others_of_the_first_three(self) -> None:
        described = network(16)
        self.assertEqual(described.peers(1), (2, 3))
        self.assertEqual(described.peers(2), (1, 3))
        for number in range(3, 17):
            self.assertEqual(described.peers(number), (1, 2))

    def test_a_small_network_tells_whoever_exists(self) -> None:
        self.assertEqual(network(1).peers(1), ())
        self.assertEqual([network(2).peers(n) for n in (1, 2)], [(2,), (1,)])

    def test_the_first_three_that_exist_begin_the_store(self) -> None:
        for size, founders in (
            (1, ("Node 1",)),
            (2, ("Node 1", "Node 2")),
            (3, ("Node 1", "Node 2", "Node 3")),
            (4, ("Node 1", "Node 2", "Node 3")),
        ):
            self.assertEqual(network(size).founders, founders)

    def test_a_network_of_before_recordings_is_read(self) -> None:
        fields = json.loads(network(3).to_json())
        del fields["record"]
        self.assertIsNone(NetworkDescription.from_json(json.dumps(fields)).recording(1))

    def test_a_network_of_before_identities_is_read_as_a_plain_one(self) -> None:
        fields = json.loads(network(3, secured=True).to_json())
        del fields["secured"]
        self.assertFalse(NetworkDescription.from_json(json.dumps(fields)).secured)

    def test_a_description_survives_being_written_down(self) -> None:
        described = network(7).with_removed(3, 5)
        self.assertEqual(NetworkDescription.from_json(described.to_json()), described)

    def test_adding_the_next_number_makes_the_network_grow_and_wants_the_node(self) -> None:
        grown = network(5).with_removed(2).with_wanted(6)
        self.assertEqual((grown.size, grown.removed), (6, frozenset({2})))
        self.assertEqual(grown.with_wanted(2).removed, frozenset())

    def test_nonsense_is_refused_with_one_line(self) -> None:
        described = json.loads(network(3).to_json())
        for text in (
            *("", "[]", "{}", b"\xff", '{"format": 99}', '{"format": 1, "removed": 3}'),
            *(json.dumps(described | wrong) for wrong in ({"size": "3"}, {"base_port": None})),
        ):
            error = self.assertRaises(TestbedError, NetworkDescription.from_json, text)
            self.assertNotIn("\n", str(error))

    def test_what_is_right_in_kind_and_impossible_all_the_same_is_refused(self) -> None:
        described = json.loads(network(3).to_json())
        for wrong, said in (
            ({"engine": "podman"}, "engine 'podman'"),
            ({"size": 10**12}, "1000000000000 nodes"),
            ({"size": 0}, "0 nodes"),
            ({"size": 257}, "257 nodes"),
            ({"base_port": -5}, "ports -5 to -3"),
            ({"base_port": 0}, "ports 0 to 2"),
            ({"base_port": 65534}, "ports 65534 to 65536"),
            ({"bits": 10**6}, "identifiers of 1000000 bits"),
            ({"bits": 2}, "identifiers of 2 bits"),
            ({"bits": MIN_BITS - 1}, f"identifiers of {MIN_BITS - 1} bits"),
            ({"bits": MAX_BITS + 1}, f"identifiers of {MAX_BITS + 1} bits"),
            ({"successors": 0}, "0 successors"),
            ({"successors": 257}, "257 successors"),
            ({"removed": [1, -3]}, "removed nodes [-3, 1]"),
            ({"removed": [0]}, "removed nodes [0]"),
            ({"removed": [*range(1, 8), 257]}, "removed nodes [1, 2, 3, 4, 5]"),
        ):
            with self.subTest(said):
                text = json.dumps(described | wrong)
                error = self.assertRaises(TestbedError, NetworkDescription.from_json, text)
                self.assertIn(f"it describes no network that can be ({said}", str(error))
                self.assertNotIn("\n", str(error))

    def test_all_that_is_wrong_is_said_in_one_line_and_no_long_name_in_full(self) -> None:
        described = json.loads(network(3).to_json()) | {"engine": "x" * 99, "size": 0}
        error = self.assertRaises(TestbedError, NetworkDescription.from_json, json.dumps(described))
        self.assertIn(f"(engine '{'x' * 40}', 0 nodes, ports 9001 to 9000)", str(error))

    def test_the_least_and_the_most_that_can_be_is_read(self) -> None:
        least = network(1, base_port=1, bits=MIN_BITS, successors=1, removed=frozenset({1}))
        most = network(
            256, base_port=65535 - 255, bits=MAX_BITS, successors=256,
            removed=frozenset({1, 256}), engine="docker",
        )  # fmt: skip
        for described in (least, most):
            self.assertEqual(NetworkDescription.from_json(described.to_json()), described)

    def test_another_versions_description_is_said_to_be_that(self) -> None:
        described = json.loads(network(3).to_json())
        for other in (0, 2, None):
            text = json.dumps(described | {"format": other})
            error = self.assertRaises(TestbedError, NetworkDescription.from_json, text)
            self.assertEqual(str(error), "another version has written it")


class HomeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        self.home = NetworkHome(self.root, "default")

    def test_the_environment_names_the_home(self) -> None:
        self.assertEqual(home_directory({"CHORDNET_HOME": "/x/y"}), Path("/x/y"))
        self.assertEqual(home_directory({}).name, "chordnet")

    def test_names_are_what_compose_takes(self) -> None:
        for name in ("default", "tb-1", "a_b", "0"):
            self.assertTrue(NETWORK_NAME.fullmatch(name), name)
        for name in ("", "-a", "A", "a b", "a/b", "..", "x" * 33):
            self.assertFalse(NETWORK_NAME.fullmatch(name), name)

    def test_what_was_saved_is_loaded(self) -> None:
        self.assertIsNone(self.home.load())
        self.home.save(network(5))
        self.home.save(network(6))
        self.assertEqual(self.home.load(), network(6))
        leftovers = [path.name for path in self.home.directory.iterdir()]
        self.assertEqual(leftovers, ["network.json"])

    def test_a_broken_description_names_its_file(self) -> None:
        for name, option in (("default", ""), ("other", " --network other")):
            home = NetworkHome(self.root, name)
            write_atomically(home.description_path, "broken")
            error = self.assertRaises(UnreadableNetwork, home.load)
            self.assertIn(f"cannot read {home.description_path}: ", str(error))
            self.assertTrue(str(error).endswith(f"p2pnet stop-network{option}"), error)

    def test_the_description_of_another_network_is_none_of_this_one(self) -> None:
        self.home.save(network(3, name="lab"))
        error = self.assertRaises(UnreadableNetwork, self.home.load)
        self.assertIn("it describes the network 'lab'; to stop", str(error))

    def test_a_description_that_is_a_directory_is_told_of(self) -> None:
        self.home.description_path.mkdir(parents=True)
        error = self.assertRaises(UnreadableNetwork, self.home.load)
        self.assertIn(f"cannot read {self.home.description_path}: Is a directory;", str(error))

    def test_a_place_that_cannot_be_written_is_named(self) -> None:
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.root.write_text("a file where a directory should be")
        error = self.assertRaises(TestbedError, self.home.save, network(5))
        self.assertEqual(
            str(error),
            f"cannot write {self.home.description_path}: Not a directory; let this user write "
            "there, or name another directory for networks with CHORDNET_HOME",
        )

    def test_a_full_disk_wants_room(self) -> None:
        for number in (errno.ENOSPC, errno.EDQUOT):
            text = str(CannotWrite(self.root, OSError(number, os.strerror(number))))
            self.assertIn("; make room there, or name another directory for networks", text)

    def test_purging_leaves_nothing_and_spares_the_neighbours(self) -> None:
        other = NetworkHome(self.root, "other")
        self.home.save(network(5))
        other.save(network(5, name="other"))
        self.home.purge()
        self.assertIsNone(self.home.load())
        self.assertIsNotNone(other.load())
        other.purge()
        self.assertFalse(self.root.exists())

    def test_a_description_is_a_line_for_each_field(self) -> None:
        self.home.save(network(3, base_port=7001, removed=frozenset({3, 2})))
        self.assertEqual(
            self.home.description_path.read_text(),
            """{
  "name": "default",
  "engine": "local",
  "size": 3,
  "base_port": 7001,
  "removed": [
    2,
    3
  ],
  "stopped": false,
  "bits": 160,
  "successors": 8,
  "code": "",
  "record": null,
  "secured": false,
  "advertise": null,
  "format": 1
}
""",
        )

    def test_what_is_written_down_is_for_nobody_else_to_read(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        self.home.save(network())
        directory = self.home.directory
        for path in (self.root, directory.parent, directory):
            self.assertEqual(path.stat().st_mode & 0o777, 0o700, path)
        self.assertEqual(self.home.description_path.stat().st_mode & 0o777, 0o600)

    def test_the_directory_of_an_earlier_version_is_narrowed(self) -> None:
        self.home.directory.mkdir(parents=True)
        self.home.directory.chmod(0o755)
        self.home.save(network())
        self.assertEqual(self.home.directory.stat().st_mode & 0o777, 0o700)


class LockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.path = Path(self.mktemp()) / "lock"
        self.order: list[str] = []

    async def _hold(self, name: str, seconds: float, timeout: float = 60.0) -> None:
        async with locked(self.clock, self.path, timeout):
            self.order.append(f"{name} in")
            await pause(self.clock, seconds)
            self.order.append(f"{name} out")

    def test_the_second_command_waits_for_the_first(self) -> None:
        first = Deferred.fromCoroutine(self._hold("first", 1.0))
        second = Deferred.fromCoroutine(self._hold("second", 1.0))
        self.clock.pump([0.1] * 30)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.order, ["first in", "first out", "second in", "second out"])

    def test_who_waits_too_long_is_told_why(self) -> None:
        first = Deferred.fromCoroutine(self._hold("first", 9.0))
        second = Deferred.fromCoroutine(self._hold("second", 1.0, timeout=2.0))
        self.clock.pump([0.1] * 25)
        error = self.failureResultOf(second, TestbedError)
        self.assertIn("another p2pnet command", str(error.value))
        self.clock.pump([0.1] * 80)
        self.successResultOf(first)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_lock_that_is_waited_for_leaves_no_file_open_and_is_for_this_user_alone(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        before = len([*Path("/dev/fd").iterdir()])
        first = Deferred.fromCoroutine(self._hold("first", 9.0))
        second = Deferred.fromCoroutine(self._hold("second", 1.0, timeout=2.0))
        self.clock.pump([0.1] * 100)
        self.failureResultOf(second, TestbedError)
        self.successResultOf(first)
        self.assertEqual(len([*Path("/dev/fd").iterdir()]), before)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_a_lock_whose_file_was_removed_is_no_lock(self) -> None:
        """stop-network --purge removes the file that a second command may be waiting for."""
        first = Deferred.fromCoroutine(self._hold("first", 1.0))
        self.path.unlink()
        second = Deferred.fromCoroutine(self._hold("second", 1.0))
        self.assertEqual(self.order, ["first in", "second in"])
        self.clock.advance(1.0)
        self.successResultOf(first)
        self.successResultOf(second)
