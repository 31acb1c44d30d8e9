"""Where networks are kept, what removes them, and the hints that name them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ConnectFailed
from chordnet.survey.errors import CannotWrite, NodeStopped, TestbedError, command
from chordnet.testbed.actions.lifecycle import Wish, start_network, stop_network
from chordnet.testbed.actions.messages import follow_messages
from chordnet.testbed.base.home import (
    NetworkHome,
    home_directory,
    make_directory,
    remove_tree,
    write_atomically,
)
from tests.unit.testbed_fakes import World, network

ROOT = Path(__file__).parents[2]


class HomeTests(SynchronousTestCase):
    def refused(self, chosen: str) -> str:
        problem = self.assertRaises(TestbedError, home_directory, {"CHORDNET_HOME": chosen})
        self.assertNotIn("\n", str(problem))
        return str(problem)

    def test_a_home_of_nobody_is_named(self) -> None:
        text = self.refused("~nosuchuser/networks")
        self.assertIn("'~nosuchuser' has no home directory here; name a directory in full", text)

    def test_a_home_that_is_not_utf_8_is_refused_before_anything_is_written(self) -> None:
        self.assertIn("is not UTF-8; name another directory", self.refused("/home/\udcff"))

    def test_a_home_that_was_chosen_is_absolute(self) -> None:
        self.assertEqual(home_directory({"CHORDNET_HOME": "here"}), Path("here").absolute())


class PurgeTests(SynchronousTestCase):
    """Data is said to be removed when it is."""

    def test_what_cannot_be_removed_is_named_and_the_rest_is_removed(self) -> None:
        directory = Path(self.mktemp())
        (directory / "nodes").mkdir(parents=True)
        (directory / "network.json").touch()
        link = directory.with_name(directory.name + "-link")
        link.symlink_to(directory.absolute())  # rmtree refuses to follow it
        problem = self.assertRaises(TestbedError, remove_tree, link)
        self.assertIn(f"{link} could not be removed", str(problem))
        remove_tree(directory)
        self.assertFalse(directory.exists())
        remove_tree(directory)

    def test_how_much_could_not_be_removed_is_counted(self) -> None:
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        for name in ("one", "two", "three"):
            (directory / name).mkdir()

        def refuse(tree: Path, onerror: Any) -> None:
            for name in sorted(each.name for each in tree.iterdir()):
                info = (PermissionError, PermissionError(13, "Permission denied"), None)
                onerror(None, str(tree / name), info)
            onerror(None, "gone", (FileNotFoundError, FileNotFoundError(2, "gone"), None))

        problem = self.assertRaises(TestbedError, remove_tree, directory, refuse)
        self.assertEqual(
            str(problem),
            f"{directory / 'one'} could not be removed, nor 2 more: Permission denied; "
            "the nodes are stopped",
        )

    def test_a_purge_that_leaves_something_fails(self) -> None:
        world = World(Path(self.mktemp()))
        world.up()
        real = world.testbed.home.directory
        moved = real.with_name("elsewhere")
        real.rename(moved)
        real.symlink_to(moved.absolute())
        stopping = Deferred.fromCoroutine(stop_network(world.testbed, purge=True, timeout=9))
        world.clock.pump([0.1] * 100)
        problem = self.failureResultOf(stopping, TestbedError)
        self.assertIn("could not be removed", str(problem.value))
        self.assertEqual(world.engine.alive, set())

    def test_a_network_that_never_was_has_no_data_to_remove(self) -> None:
        world = World(Path(self.mktemp()))
        stopping = Deferred.fromCoroutine(stop_network(world.testbed, purge=True, timeout=9))
        self.assertFalse(self.successResultOf(stopping).existed)

    def test_recordings_cannot_go_to_a_directory_whose_name_is_not_utf_8(self) -> None:
        world = World(Path(self.mktemp()))
        wish = Wish(nodes=2, base_port=9001, engine="local", record=Path("/home/\udcff"))
        starting = Deferred.fromCoroutine(start_network(world.testbed, wish, 9))
        problem = self.failureResultOf(starting, TestbedError)
        self.assertIn("the name is not UTF-8", str(problem.value))
        self.assertEqual(world.engine.calls, [])


class HintTests(SynchronousTestCase):
    def test_a_hint_names_the_network_unless_it_is_the_default_one(self) -> None:
        self.assertEqual(command("add-node 3", "default"), "p2pnet add-node 3")
        self.assertEqual(command("add-node 3", "lab"), "p2pnet add-node 3 --network lab")

    def test_no_hint_of_the_testbed_is_written_without_naming_the_network(self) -> None:
        # Such as "see: p2pnet doctor", written out instead of made by command().
        hint = re.compile(r"[:,] p2pnet [a-z]+")
        folders = ("testbed", "survey", "draw")
        sources = [p for each in folders for p in (ROOT / "chordnet" / each).rglob("*.py")]
        commands = ROOT / "chordnet" / "cli" / "commands"
        sources += [commands / f"{name}.py" for name in ("ring", "status")]
        self.assertGreater(len(sources), 30)
        found = [f"{path.name}: {line.strip()}" for path in sources
                 for line in path.read_text("utf-8").splitlines() if hint.search(line)]  # fmt: skip
        self.assertEqual(found, [])


class FakeFollowing:
    def __init__(self) -> None:
        self.finished: Deferred[None] = Deferred(lambda finished: finished.callback(None))


class FakeClient:
    def __init__(self) -> None:
        self.following = FakeFollowing()
        self.closed = False

    def follow(self, *_arguments: object) -> FakeFollowing:
        return self.following

    def close(self) -> None:
        self.closed = True


class FakeTestbed:
    def __init__(self) -> None:
        self.client = FakeClient()

    def checked(self, _number: int) -> object:
        return network(3)

    def connect(self, _address: str) -> FakeClient:
        return self.client


class FollowTests(SynchronousTestCase):
    def follow(self) -> tuple[FakeTestbed, Deferred[None]]:
        testbed = FakeTestbed()
        work = follow_messages(testbed, 1, "", print)  # type: ignore[arg-type]
        return testbed, Deferred.fromCoroutine(work)

    def test_a_cancelled_following_is_cancelled_and_not_done(self) -> None:
        testbed, following = self.follow()
        following.cancel()
        self.failureResultOf(following, CancelledError)
        self.assertTrue(testbed.client.closed)

    def test_a_node_that_ends_is_a_failure(self) -> None:
        testbed, following = self.follow()
        testbed.client.following.finished.errback(ConnectFailed("it broke"))
        self.failureResultOf(following, NodeStopped)


class NetworkHomeTests(SynchronousTestCase):
    def test_directories_that_are_missing_are_made_for_nobody_else_to_look_into(self) -> None:
        root = Path(self.mktemp())
        root.mkdir(mode=0o755)
        make_directory(root / "a" / "b")
        make_directory(root / "a" / "b")
        for path, mode in ((root, 0o755), (root / "a", 0o700), (root / "a" / "b", 0o700)):
            self.assertEqual(path.stat().st_mode & 0o777, mode, path)

    def test_any_right_of_others_is_taken_away(self) -> None:
        for mode in (0o701, 0o710, 0o770):
            path = Path(self.mktemp())
            path.mkdir()
            path.chmod(mode)
            make_directory(path)
            self.assertEqual(path.stat().st_mode & 0o777, 0o700)

    def test_a_directory_that_nobody_else_may_look_into_is_left_as_it_is(self) -> None:
        path = Path(self.mktemp())
        path.mkdir()
        self.addCleanup(path.chmod, 0o700)
        path.chmod(0o500)
        make_directory(path)
        self.assertEqual(path.stat().st_mode & 0o777, 0o500)

    def test_a_file_in_the_way_is_no_directory(self) -> None:
        path = Path(self.mktemp())
        path.write_text("in the way")
        self.assertRaises(FileExistsError, make_directory, path)

    def test_what_could_not_be_written_leaves_nothing_half_written(self) -> None:
        directory = Path(self.mktemp())
        (directory / "taken").mkdir(parents=True)
        problem = self.assertRaises(CannotWrite, write_atomically, directory / "taken", "text")
        self.assertIn("cannot write", str(problem))
        self.assertRaises(UnicodeEncodeError, write_atomically, directory / "odd", "\udcff")
        self.assertEqual([each.name for each in directory.iterdir()], ["taken"])

    def test_a_description_that_cannot_be_put_aside_is_named(self) -> None:
        home = NetworkHome(Path(self.mktemp()), "lab")
        problem = self.assertRaises(CannotWrite, home.set_aside)
        self.assertIn(f"cannot move {home.description_path}: No such file", str(problem))

    def test_nodes_have_directories_of_two_digits_or_more(self) -> None:
        home = NetworkHome(Path("/x"), "lab")
        names = [home.node_directory(n).name for n in (3, 16, 256)]
        self.assertEqual(names, ["03", "16", "256"])

    def test_a_purge_removes_the_parents_that_are_empty(self) -> None:
        root = Path(self.mktemp())
        home = NetworkHome(root, "lab")
        home.save(network(3))
        home.purge()
        self.assertFalse(root.exists())
