"""Identities of a network's nodes: made in its home, and given to processes and containers."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.errors import CannotWrite
from chordnet.testbed.actions.changes import add_node
from chordnet.testbed.actions.lifecycle import Wish, start_network, stop_network
from chordnet.testbed.actions.restart import restart_all
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.engines.local import LocalEngine
from chordnet.testbed.identities.archive import NODE_USER, archive_of
from tests.unit.docker_fakes import AtOnce, lab, refusal
from tests.unit.test_testbed_docker import Case as DockerCase
from tests.unit.test_testbed_lifecycle import Case as LifecycleCase
from tests.unit.testbed_fakes import network


def entries(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {entry.name: entry for entry in opened}


def identity(directory: Path, *names: str) -> Path:
    directory.mkdir(parents=True)
    for name in names:
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(f"{name} of {directory.name}")
    return directory


class ArchiveTests(SynchronousTestCase):
    def test_everything_in_an_archive_belongs_to_the_nodes_user_alone(self) -> None:
        made = identity(Path(self.mktemp()), "key.pem", "roots.pem", "issuer/key.pem")
        found = entries(archive_of(made, "identity"))
        self.assertEqual(
            {name: (entry.isdir(), oct(entry.mode)) for name, entry in found.items()},
            {
                "identity": (True, "0o700"),
                "identity/issuer": (True, "0o700"),
                "identity/issuer/key.pem": (False, "0o600"),
                "identity/key.pem": (False, "0o600"),
                "identity/roots.pem": (False, "0o600"),
            },
        )
        self.assertEqual({(e.uid, e.gid) for e in found.values()}, {(NODE_USER, NODE_USER)})

    def test_an_identity_that_cannot_be_read_is_named(self) -> None:
        missing = Path(self.mktemp())
        problem = self.assertRaises(CannotWrite, archive_of, missing, "identity")
        self.assertIn(f"cannot read {missing}", str(problem))


class DockerTests(DockerCase):
    def start(self, *numbers: int, **settings: Any) -> Any:
        self.docker.add(1, 2, 3, home=self.mine, state="created")
        return self.engine.start(self.described(3, **settings), numbers)

    def test_a_container_has_its_own_identity_and_no_other_before_it_starts(self) -> None:
        for number in (1, 2, 3):
            identity(self.home.identity_directory(number), "key.pem")
        self.result(self.start(1, 3, secured=True))
        created, started = self.programs.ran
        self.assertEqual(
            created[-6:], ["up", "--no-start", "--no-build", "--no-deps", "node-1", "node-3"]
        )
        self.assertEqual(started[-5:-2], ["--detach", "--no-build", "--no-deps"])
        self.assertEqual(self.docker[2].unpacked, [])
        for number in (1, 3):
            ((path, archive),) = self.docker[number].unpacked
            self.assertEqual(path, "/var/lib/chordnet")
            self.assertIn(f"key.pem of {number:02}".encode(), archive)
            self.assertEqual(set(entries(archive)), {"identity", "identity/key.pem"})

    def test_what_an_engine_refuses_to_take_is_one_line_and_starts_nothing(self) -> None:
        identity(self.home.identity_directory(1), "key.pem")
        starting = self.start(1, secured=True)
        self.docker[1].refuses = [("put_archive", refusal(409, "no room"), "created")]
        text = self.error(starting)
        self.assertTrue(text.startswith("Node 1 cannot be given its identity: "), text)
        self.assertEqual(self.programs.times("--detach"), 0)

    def test_a_container_of_a_plain_network_is_given_nothing(self) -> None:
        self.result(self.start(1))
        self.assertEqual(self.programs.times("--no-start"), 0)
        self.assertEqual(self.docker[1].unpacked, [])


class LocalTests(SynchronousTestCase):
    def test_a_process_is_told_where_its_identity_is(self) -> None:
        home = lab(Path(self.mktemp()))
        engine = LocalEngine(AtOnce(), home)
        words = engine._words(network(3, secured=True), 2)
        self.assertEqual(
            words[words.index("--identity") + 1], str(home.directory / "identities" / "02")
        )
        self.assertNotIn("--identity", engine._words(network(3), 2))


class LifecycleTests(LifecycleCase):
    def start(self, **wish: Any) -> Any:
        return self.result(
            start_network(self.testbed, Wish(**{"nodes": 5, "engine": "local"} | wish), 60)
        )

    def test_nodes_of_a_secured_network_have_identities_before_they_start(self) -> None:
        started = self.start(secured=True)
        self.assertTrue(started.network.secured)
        self.assertEqual(self.world.identities.provided, [[1, 2, 3, 4, 5]])

    def test_a_network_is_plain_unless_it_is_asked_to_be_secured(self) -> None:
        self.assertFalse(self.start().network.secured)
        self.assertEqual(self.world.identities.provided, [])

    def test_identities_that_cannot_be_made_leave_nothing_running(self) -> None:
        self.world.identities.broken = "no room for keys"
        text = self.error(
            start_network(self.testbed, Wish(nodes=5, engine="local", secured=True), 60)
        )
        self.assertEqual(text, "no room for keys")
        self.assertEqual(self.world.engine.alive, set())

    def test_a_network_that_was_secured_stays_so_until_it_is_told_otherwise(self) -> None:
        for wish, secured in (
            ({"secured": True}, True),
            ({}, True),
            ({"secured": False}, False),
            ({}, False),
        ):
            self.assertEqual(self.start(**wish).network.secured, secured, wish)
            self.result(stop_network(self.testbed, purge=False, timeout=60))

    def test_a_restart_keeps_a_network_secured(self) -> None:
        self.start(secured=True)
        self.result(restart_all(self.testbed, 60))
        restarted = self.testbed.home.load()
        assert restarted is not None
        self.assertTrue(restarted.secured)

    def test_a_node_that_is_added_gets_an_identity_and_the_others_keep_theirs(self) -> None:
        self.start(secured=True)
        self.result(add_node(self.testbed, None, 60))
        self.assertEqual(self.world.identities.provided[1:], [[6]])

    def test_a_running_network_does_not_become_secured(self) -> None:
        self.start()
        text = self.error(start_network(self.testbed, Wish(secured=True), 60))
        self.assertIn("is running with no identities; stop it first", text)


class HomeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = NetworkHome(Path(self.mktemp()).resolve(), "lab")

    def test_an_operators_identity_is_found_by_the_id_of_its_network_until_it_is_purged(
        self,
    ) -> None:
        identity(self.home.operator_directory, "key.pem")
        self.home.link_operator("ab" * 16)
        self.home.link_operator("ab" * 16)
        link = self.home.root / "identities" / ("ab" * 16)
        self.assertEqual((link / "key.pem").read_text(), "key.pem of operator")
        self.assertEqual(stat.S_IMODE(link.parent.stat().st_mode), 0o700)
        self.home.purge()
        self.assertFalse(self.home.root.exists())

    def test_identities_of_other_networks_outlive_a_purge(self) -> None:
        other = NetworkHome(self.home.root, "other")
        for home, network_id in ((self.home, "aa" * 16), (other, "bb" * 16)):
            identity(home.operator_directory, "key.pem")
            home.link_operator(network_id)
        enrolled = identity(self.home.links_directory / ("cc" * 16), "key.pem")
        self.home.link_operator("cc" * 16)
        self.home.purge()
        self.assertEqual(
            sorted(path.name for path in self.home.links_directory.iterdir()),
            ["bb" * 16, "cc" * 16],
        )
        self.assertEqual((enrolled / "key.pem").read_text(), f"key.pem of {'cc' * 16}")
