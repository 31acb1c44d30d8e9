"""Identities of a network's nodes: made in its home, and given to processes and containers."""

from __future__ import annotations

import io
import stat
import tarfile
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.errors import CannotWrite, TestbedError
from chordnet.testbed.actions.changes import add_node
from chordnet.testbed.actions.lifecycle import Wish, start_network, stop_network
from chordnet.testbed.actions.restart import restart_all
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.engines.adoption import take_over
from chordnet.testbed.engines.choice import Choice
from chordnet.testbed.engines.compose_file import BY_HAND
from chordnet.testbed.engines.docker_state import Found
from chordnet.testbed.engines.local import LocalEngine
from chordnet.testbed.identities.__main__ import main as run_apart
from chordnet.testbed.identities.archive import NODE_USER, archive_of
from chordnet.testbed.identities.keeping import NetworkIdentities
from chordnet.trust.authority import Authority
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.trust.issuing import Issuer
from chordnet.trust.verifying import verify
from tests.unit.docker_fakes import AtOnce, lab, refusal
from tests.unit.test_testbed_docker import Case as DockerCase
from tests.unit.test_testbed_lifecycle import Case as LifecycleCase
from tests.unit.testbed_fakes import network
from tests.unit.trust_support import DAY, NOW


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
        made = identity(
            Path(self.mktemp()), ".key.pem.77", "key.pem", "roots.pem", "issuer/key.pem"
        )
        found = entries(archive_of({"identity": made, "cookie": made / "roots.pem"}))
        self.assertEqual(
            {name: (entry.isdir(), oct(entry.mode)) for name, entry in found.items()},
            {
                "cookie": (False, "0o600"),
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
        problem = self.assertRaises(CannotWrite, archive_of, {"identity": missing})
        self.assertIn(f"cannot read {missing}", str(problem))


class ApartTests(SynchronousTestCase):
    """What Compose runs in a container of its own."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).resolve()
        for number in (1, 2, 3):
            (self.root / "states" / f"node-{number}").mkdir(parents=True)
        (self.root / "home").mkdir()
        self.home = NetworkHome(self.root / "home", "lab")

    def run_it(self, *words: str) -> int:
        home, states = str(self.home.root), str(self.root / "states")
        given = ("--home", home, "--network", "lab", "--nodes", "3", "--states", states)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as self.complaints:
            return run_apart([*given, *words], owner=self.root)

    def test_each_node_has_its_own_identity_in_its_state_and_the_host_has_the_operators(
        self,
    ) -> None:
        self.assertEqual(self.run_it(), 0)
        names = []
        for number in (1, 2, 3):
            state = self.root / "states" / f"node-{number}"
            names.append(Identity.load(state / "identity").subject.name)
            self.assertEqual(oct(stat.S_IMODE(state.stat().st_mode)), "0o700")
            for path in (state / "identity").iterdir():
                self.assertEqual(oct(stat.S_IMODE(path.stat().st_mode)), "0o600")
        self.assertEqual(names, ["Node 1", "Node 2", "Node 3"])
        self.assertIs(Identity.load(self.home.operator_directory).subject.role, Role.OPERATE)
        self.assertIsNotNone(Issuer.load(self.root / "states/node-2/identity"))
        self.assertIsNone(Issuer.load(self.root / "states/node-3/identity"))

    def test_run_again_it_replaces_nothing_that_is_fresh(self) -> None:
        self.run_it()
        before = {path: path.stat().st_ino for path in self.root.rglob("*.pem")}
        self.assertEqual(self.run_it(), 0)
        self.assertEqual({path: path.stat().st_ino for path in self.root.rglob("*.pem")}, before)

    def test_what_it_cannot_do_is_one_line(self) -> None:
        (self.root / "states" / "node-2").rmdir()
        self.assertEqual(self.run_it(), 1)
        complaint = self.complaints.getvalue()
        self.assertTrue(complaint.startswith("the identities of network 'lab' cannot be made: "))
        self.assertEqual(complaint.count("\n"), 1)

    def test_words_that_describe_no_network_are_refused(self) -> None:
        for words in (("--nodes", "0"), ("--nodes", "257"), ("--network", "../other")):
            with self.subTest(words):
                self.assertEqual(self.assertRaises(SystemExit, self.run_it, *words).code, 2)
                self.assertIn("no network can be called", self.complaints.getvalue())


class AdoptionTests(DockerCase):
    def setUp(self) -> None:
        super().setUp()
        self.other = NetworkHome(Path(self.mktemp()).resolve(), "lab")

    def by_hand(self) -> None:
        variables = ["CHORDNET_NETWORK=lab", "CHORDNET_IDENTITY=/somewhere"]
        self.docker.add(1, 2, project=BY_HAND, environment=variables)
        mounts = [{"Destination": "/host-home", "Source": str(self.other.root)}]
        self.docker.add(0, project=BY_HAND, service="identities", state="exited", mounts=mounts)
        NetworkIdentities(self.other).provide([1, 2])

    def take_over(self) -> None:
        async def look(_reactor: object, _home: object) -> Found:
            return await self.engine.found()

        self.result(take_over(None, self.home, self.said.append, look))

    def test_what_compose_alone_has_started_is_operated_with_the_identity_that_it_has_made(
        self,
    ) -> None:
        self.by_hand()
        self.take_over()
        found = self.home.load()
        assert found is not None
        self.assertEqual((found.secured, found.size), (True, 2))
        operator = Identity.load(self.other.operator_directory)
        for directory in (
            self.home.operator_directory, self.home.links_directory / operator.network
        ):  # fmt: skip
            self.assertEqual(Identity.load(directory).chain, operator.chain)
        NetworkIdentities(self.home).provide([3])
        self.assertEqual(Identity.load(self.other.identity_directory(3)).network, operator.network)
        self.take_over()
        self.home.purge()
        self.assertEqual(Identity.load(self.other.operator_directory).chain, operator.chain)

    def removed_home(self) -> Identity:
        """Let containers run whose home was removed; return the operator's identity of before."""
        NetworkIdentities(self.other).provide([1, 2, 3])
        variables = ["CHORDNET_IDENTITY=/somewhere"]
        self.docker.add(3, 2, home=self.mine, environment=variables)
        for number in (2, 3):
            archive = archive_of({"identity": self.other.identity_directory(number)})
            self.docker[number].archives["/var/lib/chordnet/identity"] = archive
        return Identity.load(self.other.operator_directory)

    def test_a_network_whose_home_was_removed_is_operated_with_what_an_issuer_holds(self) -> None:
        before = self.removed_home()
        self.take_over()
        operator = Identity.load(self.home.operator_directory)
        NetworkIdentities(self.home).provide([1, 4])
        node = Identity.load(self.home.identity_directory(4))
        for identity, role in ((operator, Role.OPERATE), (node, Role.PEER)):
            subject = verify(identity.chain, before.bundle, time.time())
            self.assertEqual((subject.network, subject.role), (before.network, role))
        self.take_over()
        self.assertEqual(Identity.load(self.home.operator_directory).chain, operator.chain)
        self.home.purge()
        self.assertFalse(self.home.root.exists())

    def test_where_no_issuer_is_left_nothing_is_recovered(self) -> None:
        self.removed_home()
        not_an_issuers = self.docker[3].archives["/var/lib/chordnet/identity"]
        for archive in (not_an_issuers, b"no archive", b"x" * 2**20 + b"x"):
            self.docker[2].archives["/var/lib/chordnet/identity"] = archive
            self.take_over()
            self.assertFalse(self.home.operator_directory.exists())
        self.docker[2].archives.clear()
        self.take_over()
        self.assertTrue(self.home.load())

    def test_identities_of_another_network_of_that_name_are_put_aside(self) -> None:
        NetworkIdentities(self.home).provide([1])
        before = Identity.load(self.home.operator_directory)
        self.by_hand()
        self.take_over()
        self.assertNotEqual(Identity.load(self.home.operator_directory).network, before.network)
        aside = Identity.load(self.home.directory / "operator.before")
        self.assertEqual(aside.chain, before.chain)

    def test_a_plain_network_is_taken_over_as_a_plain_one(self) -> None:
        self.docker.add(1, 2, project=BY_HAND, environment=["CHORDNET_NETWORK=lab"])
        self.take_over()
        found = self.home.load()
        assert found is not None
        self.assertFalse(found.secured)

    def test_a_directory_that_cannot_be_linked_to_is_one_line(self) -> None:
        self.by_hand()
        identity(self.home.authority_directory, "authority.json")
        identity(self.home.directory / "authority.before", "authority.json")

        async def look(_reactor: object, _home: object) -> Found:
            return await self.engine.found()

        text = self.error(take_over(None, self.home, self.said.append, look))
        self.assertTrue(text.startswith(f"cannot take {self.other.directory} over: "), text)


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

    def test_a_container_of_a_plain_network_is_given_the_cookie_of_its_network_alone(self) -> None:
        self.result(self.start(1))
        ((_, archive),) = self.docker[1].unpacked
        self.assertEqual(list(entries(archive)), ["cookie"])
        self.assertIn(self.home.cookie_path.read_bytes(), archive)


class LocalTests(SynchronousTestCase):
    def test_a_process_is_told_where_its_identity_is(self) -> None:
        home = lab(Path(self.mktemp()))
        engine = LocalEngine(AtOnce(), home)
        words = engine._words(network(3, secured=True), 2)
        self.assertEqual(
            words[words.index("--identity") + 1], str(home.directory / "identities" / "02")
        )
        self.assertNotIn("--identity", engine._words(network(3), 2))

    def test_nodes_that_other_hosts_reach_listen_everywhere_and_say_where(self) -> None:
        engine = LocalEngine(AtOnce(), lab(Path(self.mktemp())))
        words = engine._words(network(3, secured=True, advertise="2001:db8::1"), 2)
        self.assertEqual(words[words.index("--advertise") + 1], "[2001:db8::1]:9002")
        self.assertNotIn("--interface", words)


class AdvertisingTests(LifecycleCase):
    def test_a_network_that_other_hosts_reach_is_local_and_secured(self) -> None:
        wish = Wish(nodes=5, advertise="192.0.2.11")
        started = self.result(start_network(self.testbed, wish, 60)).network
        self.assertEqual((started.engine, started.secured), ("local", True))
        self.assertEqual(self.world.said[0], "engine: local (which other hosts can reach)")
        restarted = self.result(restart_all(self.testbed, 60)).network
        self.assertEqual(restarted.advertise, "192.0.2.11")

    def test_what_does_not_go_together_with_that_is_refused_in_words(self) -> None:
        for wish, text in (
            (Wish(advertise="192.0.2.11:7001"), "without a port"),
            (Wish(advertise="127.0.0.1"), "other hosts cannot reach '127.0.0.1'"),
            (Wish(advertise="a b"), "other hosts cannot reach 'a b'"),
            (Wish(advertise=""), "other hosts cannot reach ''"),
            (Wish(advertise="192.0.2.11", engine="docker"), "use --engine local"),
            (Wish(advertise="192.0.2.11", secured=False), "has to be secured"),
        ):
            with self.subTest(text):
                self.assertIn(text, self.error(start_network(self.testbed, wish, 60)))

    def test_a_running_network_is_not_opened_to_other_hosts(self) -> None:
        self.result(start_network(self.testbed, Wish(nodes=5, engine="local"), 60))
        text = self.error(start_network(self.testbed, Wish(advertise="192.0.2.11"), 60))
        self.assertIn("is running with nodes that no other host reaches; stop it first", text)


class LifecycleTests(LifecycleCase):
    def start(self, **wish: Any) -> Any:
        return self.result(
            start_network(self.testbed, Wish(**{"nodes": 5, "engine": "local"} | wish), 60)
        )

    def choose_as_asked(self) -> None:
        async def choose(_reactor: object, kind: str) -> Choice:
            return Choice(kind, "as asked")

        self.testbed.engines = attrs.evolve(self.testbed.engines, choose=choose)

    def test_nodes_of_a_secured_network_have_identities_before_they_start(self) -> None:
        started = self.start(secured=True)
        self.assertTrue(started.network.secured)
        self.assertEqual(self.world.identities.provided, [[1, 2, 3, 4, 5]])

    def test_processes_on_loopback_are_plain_and_containers_are_secured_unless_told_otherwise(
        self,
    ) -> None:
        self.choose_as_asked()
        for engine, wish, secured in (
            ("local", None, False),
            ("docker", None, True),
            ("docker", False, False),
            ("local", True, True),
        ):
            started = self.start(engine=engine, secured=wish).network
            self.assertEqual((started.engine, started.secured), (engine, secured))
            self.result(stop_network(self.testbed, purge=True, timeout=60))

    def test_a_network_that_lost_its_nodes_goes_on_as_plain_as_it_was(self) -> None:
        described = attrs.evolve(self.world.described, engine="docker")
        self.testbed.home.save(described)
        self.choose_as_asked()
        self.assertFalse(self.start(engine="auto", nodes=None).network.secured)

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


class KeepingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = NetworkHome(Path(self.mktemp()).resolve(), "lab")
        self.now = NOW
        self.identities = NetworkIdentities(self.home, lambda: self.now)

    def node(self, number: int) -> Identity:
        return Identity.load(self.home.identity_directory(number))

    @property
    def operator(self) -> Identity:
        return Identity.load(self.home.operator_directory)

    @property
    def authority(self) -> Authority:
        return Authority.load(self.home.authority_directory)

    def test_each_node_and_the_operator_are_believed_by_the_roots_of_the_authority(self) -> None:
        self.identities.provide([1, 2, 3])
        bundle = self.authority.bundle
        subjects = [verify(self.node(n).chain, bundle, NOW) for n in (1, 2, 3)]
        self.assertEqual([each.name for each in subjects], ["Node 1", "Node 2", "Node 3"])
        self.assertEqual({each.role for each in subjects}, {Role.PEER})
        self.assertEqual(verify(self.operator.chain, bundle, NOW).role, Role.OPERATE)

    def test_every_file_is_readable_by_its_user_alone(self) -> None:
        self.identities.provide([1, 2, 3])
        for path in self.home.root.rglob("*"):
            if not path.is_symlink():
                mode = 0o700 if path.is_dir() else 0o600
                self.assertEqual(oct(stat.S_IMODE(path.stat().st_mode)), oct(mode), path)

    def test_the_first_two_nodes_can_issue_and_no_other_can(self) -> None:
        self.identities.provide([1, 2, 3])
        issuers = [Issuer.load(self.home.identity_directory(n)) for n in (1, 2, 3)]
        self.assertEqual([each is not None for each in issuers], [True, True, False])
        for number in (1, 2, 3):
            named = self.node(number).bundle.contents.issuers
            self.assertEqual([each.name for each in named], ["Node 1", "Node 2"])

    def test_the_operators_identity_is_found_by_the_id_of_the_network(self) -> None:
        self.identities.provide([1])
        found = Identity.load(self.home.links_directory / self.authority.network)
        self.assertEqual(found.chain, self.operator.chain)

    def test_a_second_start_on_the_same_day_changes_nothing(self) -> None:
        self.identities.provide([1, 2, 3])
        before = {path: path.stat().st_mtime_ns for path in self.home.root.rglob("*.*")}
        self.now += DAY / 2
        self.identities.provide([1, 2, 3])
        after = {path: path.stat().st_mtime_ns for path in self.home.root.rglob("*.*")}
        self.assertEqual(after, before)

    def test_what_is_older_than_a_day_is_issued_anew_for_the_same_key_and_line(self) -> None:
        self.identities.provide([1, 2, 3])
        before = [self.node(3), self.operator]
        for days in (2, 45, 400):
            self.now = NOW + days * DAY
            self.identities.provide([1, 2, 3])
            for old, new in zip(before, [self.node(3), self.operator], strict=True):
                self.assertEqual(new.subject.line, old.subject.line)
                self.assertEqual(new.leaf.key_info, old.leaf.key_info)
                self.assertAlmostEqual(new.subject.until, self.now + 30 * DAY, delta=DAY)
                verify(new.chain, self.authority.bundle, self.now)

    def test_a_year_later_issuers_can_still_issue(self) -> None:
        self.identities.provide([1])
        self.now += 300 * DAY
        self.identities.provide([1])
        issuer = Issuer.load(self.home.identity_directory(1))
        assert issuer is not None
        chain = issuer.renew(self.node(1).key.public_key(), self.node(1).subject, self.now)
        self.assertEqual(verify(chain, self.authority.bundle, self.now).name, "Node 1")

    def test_a_node_that_was_revoked_comes_back_with_another_key(self) -> None:
        self.identities.provide([1, 2])
        authority, before = self.authority, [self.node(1), self.node(2)]
        authority.revoke(self.now + 60, name="Node 1")
        authority.save(self.home.authority_directory)
        self.now += 3600
        self.identities.provide([1, 2])
        self.assertNotEqual(self.node(1).leaf.key_info, before[0].leaf.key_info)
        self.assertEqual(self.node(2).chain, before[1].chain)
        for number in (1, 2):
            verify(self.node(number).chain, self.node(number).bundle, self.now)
            self.assertEqual(self.node(number).bundle, self.authority.bundle)

    def test_after_a_rotation_everything_is_issued_by_the_new_root(self) -> None:
        self.identities.provide([1, 2, 3])
        authority = self.authority
        authority.begin_rotation(self.now)
        authority.finish_rotation()
        authority.save(self.home.authority_directory)
        self.now += 3600
        self.identities.provide([1, 2, 3])
        for identity in (self.node(1), self.node(3), self.operator):
            verify(identity.chain, authority.bundle, self.now)
        issuer = Issuer.load(self.home.identity_directory(1))
        assert issuer is not None
        self.assertTrue(issuer.certificate.signed_by(authority.root.certificate))

    def test_what_others_may_read_is_refused_in_a_line_that_says_what_to_do(self) -> None:
        self.identities.provide([1])
        key = self.home.identity_directory(1) / "key.pem"
        key.chmod(0o644)
        problem = self.assertRaises(TestbedError, self.identities.provide, [1])
        self.assertIn(f"chmod 600 {key}", str(problem))
        self.assertNotIn("\n", str(problem))

    def test_an_authority_that_is_damaged_is_named_and_not_replaced(self) -> None:
        self.identities.provide([1])
        file = self.home.authority_directory / "authority.json"
        file.write_text("{}")
        problem = self.assertRaises(TestbedError, self.identities.provide, [1])
        self.assertIn(f"{file} is damaged", str(problem))
        self.assertEqual(file.read_text(), "{}")
