"""A revoked node that still runs is no member, whatever it says, and holds up nothing."""

from __future__ import annotations

import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.identities.keeping import NetworkIdentities
from chordnet.trust.authority import Authority
from tests.unit.test_cli_trust import MembersCase
from tests.unit.testbed_fakes import network

LINE = (
    "Node 4 is revoked and runs, cut off from the others; take it out with:"
    " p2pnet remove-node 4 --kill"
)


class RevokedTests(MembersCase):
    """Node 4 of five is revoked, and believes to be a ring of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.world.identities.cut = frozenset({4})
        self.world.engine.apart = frozenset({4})
        self.world.engine.ring()

    def test_the_doctor_says_it_in_one_line_and_judges_the_ring_of_the_others(self) -> None:
        lines = self.printed("doctor", status=1).splitlines()
        self.assertEqual([line for line in lines if line.startswith("Node 4")], [LINE])
        self.assertEqual([line for line in lines if " should be " in line], [])
        document = self.document("doctor", status=1)
        self.assertEqual(document["problems"], [LINE])
        (found,) = (each for each in document["findings"] if each["severity"] == "problem")
        self.assertEqual((found["kind"], found["nodes"]), ("revoked", [4]))

    def test_a_node_that_answers_and_is_not_revoked_is_judged_as_ever(self) -> None:
        self.world.identities.cut = frozenset()
        self.assertIn(" should be ", self.printed("doctor", status=1))

    def test_where_certificates_cannot_be_read_that_is_said_and_the_nodes_are_asked(self) -> None:
        self.world.identities.broken = "certificate.pem is damaged"
        self.assertIn(" should be ", self.printed("doctor", status=1))
        self.assertIn("certificate.pem is damaged", self.world.said)

    def test_another_node_goes_and_comes_back_without_waiting_for_it(self) -> None:
        removed = self.printed("remove-node", "2", "--kill", "--no-wait")
        self.assertIn("Node 2 removed; 3 nodes in one ring", removed)
        self.assertIn(
            "Node 2 added; 4 nodes in one ring", self.printed("add-node", "2", "--no-wait")
        )

    def test_a_start_of_the_network_says_what_to_do_with_it(self) -> None:
        self.assertIn(LINE, self.failed("start-network", "--nodes", "5"))


class KnownTests(SynchronousTestCase):
    def test_a_node_is_revoked_if_the_certificate_that_was_made_for_it_is(self) -> None:
        home = NetworkHome(Path(self.mktemp()), "lab")
        home.save(network(3, name="lab", secured=True))
        now = time.time()
        identities = NetworkIdentities(home, lambda: now)
        self.assertEqual(identities.revoked([1, 2, 3]), frozenset())
        self.assertFalse(home.authority_directory.exists(), "to look makes nothing")
        identities.provide([1, 2, 3])
        self.assertEqual(identities.revoked([1, 2, 3]), frozenset())
        authority = Authority.load(home.authority_directory)
        authority.revoke(now, name="Node 3")
        authority.save(home.authority_directory)
        self.assertEqual(identities.revoked([1, 2, 3, 4]), frozenset({3}))
        now += 2.0
        identities.provide([3])
        self.assertEqual(identities.revoked([1, 2, 3]), frozenset(), "it was certified anew")
