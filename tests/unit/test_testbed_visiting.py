"""A node that is started by hand and joins a secured network of the same home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.errors import TestbedError
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.identities.keeping import NetworkIdentities
from chordnet.testbed.identities.visiting import host_name, visitor_identity
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from tests.unit.testbed_fakes import network


class VisitorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp()).resolve()
        self.home = NetworkHome(self.root, "lab")
        self.describe()
        NetworkIdentities(self.home).provide([1, 2])

    def describe(self, **fields: Any) -> None:
        self.home.save(network(3, **{"name": "lab", "secured": True} | fields))

    def visit(self, *peers: str, name: str | None = "laptop") -> Path | None:
        environment = {"CHORDNET_HOME": str(self.root)}
        return visitor_identity(environment, peers, name, 7101, host=lambda: "here")

    def identity(self, *peers: str, name: str | None = "laptop") -> Identity:
        directory = self.visit(*peers, name=name)
        assert directory is not None
        return Identity.load(directory)

    def test_a_node_that_is_told_of_one_of_its_nodes_is_a_member(self) -> None:
        operator = Identity.load(self.home.operator_directory)
        for peers in (["127.0.0.1:9003"], ["10.0.0.9:7", "localhost:9001"]):
            found = self.identity(*peers)
            self.assertEqual(
                (found.network, found.subject.role, found.subject.name),
                (operator.network, Role.PEER, "laptop"),
            )

    def test_it_is_the_same_member_when_it_starts_again(self) -> None:
        first, second = (self.identity("127.0.0.1:9003") for _ in range(2))
        self.assertEqual(first.chain, second.chain)
        other = self.identity("127.0.0.1:9003", name="../o/ther")
        self.assertEqual(other.subject.name, "../o/ther")
        self.assertEqual(len(list((self.home.directory / "visitors").iterdir())), 2)

    def test_one_without_a_name_is_called_after_its_machine_and_port(self) -> None:
        self.assertEqual(self.identity("127.0.0.1:9003", name=None).subject.name, "here-7101")
        self.assertTrue(host_name())

    def test_a_network_that_other_hosts_reach_is_known_by_its_advertised_address(self) -> None:
        self.describe(advertise="192.0.2.11")
        self.assertIsNotNone(self.visit("192.0.2.11:9002"))
        self.assertIsNone(self.visit("192.0.2.12:9002"))

    def test_elsewhere_a_node_is_no_visitor(self) -> None:
        for peers in (["127.0.0.1:9004"], ["10.0.0.9:9001"], []):
            self.assertIsNone(self.visit(*peers))
        for fields in ({"secured": False}, {"stopped": True}, {"base_port": 9101}):
            self.describe(**fields)
            self.assertIsNone(self.visit("127.0.0.1:9001"), fields)

    def test_what_is_no_home_or_no_network_makes_no_visitor(self) -> None:
        self.home.description_path.write_text("{}")
        self.assertIsNone(self.visit("127.0.0.1:9001"))
        nowhere = {"CHORDNET_HOME": "~nobody-at-all/x"}
        self.assertIsNone(visitor_identity(nowhere, ["127.0.0.1:9001"], "laptop", 7101))

    def test_an_authority_that_cannot_be_used_is_one_line(self) -> None:
        (self.home.authority_directory / "authority.json").chmod(0o644)
        problem = self.assertRaises(TestbedError, self.visit, "127.0.0.1:9001")
        self.assertIn("may be read by others", str(problem))
        self.assertNotIn("\n", str(problem))
