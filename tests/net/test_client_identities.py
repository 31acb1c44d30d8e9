"""A client that is told that a network is secured comes again with the identity kept for it."""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from chordnet import ChordService, P2PNetClient
from chordnet.client.identities import Identities
from chordnet.core.base.errors import NotPermitted, Refused
from chordnet.home import identity_directory
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import CERTIFICATE
from chordnet.wire.greeting import Refuse
from tests.net.test_secured_services import SecuredCase
from tests.unit.trust_support import NOW, make_network


class FindingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.trusted = make_network(["one"])
        self.network = self.trusted["one"].network
        self.home = Path(self.mktemp()).absolute()

    def identities(self, identity: object = None) -> Identities:
        environment = {"CHORDNET_HOME": str(self.home)}
        return Identities(identity, environment, lambda: NOW)  # type: ignore[arg-type]

    def keep(self, role: Role) -> Path:
        directory = identity_directory(self.home, self.network)
        self.trusted.client(role).save(directory)
        return directory

    def test_nothing_is_looked_for_before_a_node_says_that_it_is_secured(self) -> None:
        self.keep(Role.READ)
        found = self.identities()
        self.assertIsNone(found.current())
        for refusal in (None, Refuse("full", "later"), Refuse("secured", "no network named")):
            self.assertEqual(found.find(refusal), (False, ""))
        self.assertIsNone(found.current())

    def test_an_identity_of_the_network_is_shown_from_then_on(self) -> None:
        self.keep(Role.READ)
        found = self.identities()
        self.assertEqual(found.find(Refuse("secured", "", trust=self.network)), (True, ""))
        current = found.current()
        assert current is not None
        self.assertEqual((current.network, current.subject.role), (self.network, Role.READ))
        self.assertEqual(found.find(Refuse("secured", "", trust=self.network)), (False, ""))

    def test_after_a_refusal_of_its_certificate_it_is_read_anew_the_next_time(self) -> None:
        self.keep(Role.READ)
        found = self.identities()
        found.find(Refuse("secured", "", trust=self.network))
        self.assertEqual(found.find(Refuse("certificate", "expired")), (False, ""))
        self.assertIsNone(found.current())
        self.keep(Role.OPERATE)
        found.find(Refuse("secured", "", trust=self.network))
        current = found.current()
        assert current is not None
        self.assertIs(current.subject.role, Role.OPERATE)

    def test_without_one_it_says_where_it_would_be(self) -> None:
        directory = identity_directory(self.home, self.network)
        again, why = self.identities().find(Refuse("secured", "", trust=self.network))
        self.assertEqual((again, why), (False, f"no identity for it is kept in {directory}"))

    def test_one_that_cannot_be_used_is_named(self) -> None:
        (self.keep(Role.READ) / CERTIFICATE).write_text("nothing")
        again, why = self.identities().find(Refuse("secured", "", trust=self.network))
        self.assertFalse(again)
        self.assertIn(str(identity_directory(self.home, self.network) / CERTIFICATE), why)

    def test_a_name_that_is_no_network_id_leads_nowhere(self) -> None:
        self.keep(Role.READ)
        for trust in ("../x", "", "/etc", self.network.upper(), self.network + "0", "é" * 32):
            found = self.identities()
            self.assertEqual(found.find(Refuse("secured", "", trust=trust)), (False, ""), trust)

    def test_what_the_program_names_is_shown_and_nothing_else_looked_for(self) -> None:
        directory = self.keep(Role.READ)
        other = make_network(["other"], seed=2).client(Role.SEND)
        found = self.identities(other)
        self.assertEqual(found.find(Refuse("secured", "", trust=self.network)), (False, ""))
        current = found.current()
        assert current is not None
        self.assertEqual(current.network, other.network)
        self.assertTrue(directory.exists())


class SocketTests(SecuredCase):
    def kept(self, role: Role | None) -> Identities:
        home = Path(self.mktemp()).absolute()
        if role is not None:
            identity = self.trusted.client(role, now=self.now)
            identity.save(identity_directory(home, identity.network))
        return Identities(None, {"CHORDNET_HOME": str(home)})

    def asking(self, service: ChordService, role: Role | None) -> P2PNetClient:
        client = P2PNetClient(service.address, reactor, identity=self.kept(role))
        self.clients.append(client)
        return client

    async def test_a_client_is_let_in_with_what_its_user_keeps_for_the_network(self) -> None:
        (service,) = await self.ring(1)
        client = self.asking(service, Role.SEND)
        self.assertEqual((await client.status()).security, "secured")
        self.assertEqual((await client.send_message("apple")).recorded, 1)

    async def test_a_role_allows_what_it_covers_and_the_refusal_names_the_other(self) -> None:
        (service,) = await self.ring(1)
        reader, sender = (self.asking(service, role) for role in (Role.READ, Role.SEND))
        self.assertEqual(await reader.get_messages(), [])
        problem = await self.assertFailure(reader.send_message("apple"), NotPermitted)
        self.assertEqual(
            str(problem),
            "sending a message takes a certificate with the role send, and this client is 'laptop'"
            " (read)",
        )
        problem = await self.assertFailure(sender.leave(), NotPermitted)
        self.assertIn("making the node leave takes a certificate with the role ope", str(problem))
        self.assertIsNone(await self.asking(service, Role.OPERATE).begin())
        self.assertTrue(any("audit: 'laptop' (operate) at 127.0.0.1:" in x for x in self.lines))

    async def test_a_client_without_an_identity_is_told_how_to_get_one(self) -> None:
        (service,) = await self.ring(1)
        problem = await self.assertFailure(self.asking(service, None).status(), Refused)
        self.assertIn("this network is secured, and only its members are let in", str(problem))
        self.assertIn("`p2pnet invite` makes a token", str(problem))
        self.assertIn("no identity for it is kept in ", str(problem))
