"""Joining with a token before there is a reactor: what is kept, and what is said."""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chordnet.core.base.errors import ConfigError, ConnectFailed
from chordnet.net.enrol.blocking import ask_all_now
from chordnet.net.enrol.joining import Told, become_member, load_told, renew_here
from chordnet.net.enrol.rounds import MOST_ASKED, NobodyIssues, Referred, Round
from chordnet.net.enrol.talks import Gift
from chordnet.service import ChordService
from chordnet.settings import NodeSettings
from chordnet.tap import as_member
from chordnet.trust.base.errors import IdentityError, Refusal, Untrusted
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.trust.tokens import Token, authority_hash
from tests.unit.trust_support import NOW, TrustedNetwork, make_network


def token_of(network: TrustedNetwork, address: str = "10.0.0.5:7001") -> str:
    info = network.authority.root.certificate.key_info
    return str(Token((address,), authority_hash(info), b"i" * 8, b"s" * 16))


class Joining(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = make_network()
        self.directory = Path(self.mktemp()) / "identity"
        self.gift = Gift(self.network["one"], "10.0.0.6:7001", "berlin", 128)

    def give(self, _talk, _addresses) -> Gift:
        return self.gift

    def refuse(self, _talk, _addresses) -> Gift:
        raise Refusal("invitation", "the token has been used already; ask for a new one")

    def join(self, ask=None, *, peer: bool = True):
        return become_member(
            token_of(self.network), self.directory, peer=peer, ask=ask or self.give
        )

    def test_what_was_given_is_kept_and_the_token_is_not_used_again(self):
        member = self.join()
        self.assertTrue(member.new)
        self.assertEqual(Identity.load(self.directory).subject.name, "one")
        told = Told("berlin", 128, ["10.0.0.5:7001", "10.0.0.6:7001"])
        self.assertEqual((member.told, load_told(self.directory)), (told, told))
        again = self.join(self.refuse)
        self.assertFalse(again.new)
        self.assertEqual((again.identity.chain, again.told), (member.identity.chain, told))

    def test_nothing_is_kept_if_the_token_is_refused(self):
        with self.assertRaises(Refusal):
            self.join(self.refuse)
        self.assertFalse(self.directory.exists())

    def test_the_other_kind_of_member_is_refused_and_nothing_is_kept(self):
        with self.assertRaises(Untrusted):
            self.join(peer=False)
        self.assertFalse(self.directory.exists())

    def test_an_identity_of_another_network_is_not_replaced(self):
        make_network(seed=2)["one"].save(self.directory)
        with self.assertRaises(ConfigError) as caught:
            self.join()
        self.assertIn("another directory with --identity", str(caught.exception))

    def test_what_an_issuer_says_beside_cannot_keep_a_node_from_starting(self):
        self.gift = Gift(self.network["one"], "no address", "x" * 999, 9999)
        self.assertEqual(self.join().told, Told("", 0, ["10.0.0.5:7001"]))

    def test_a_damaged_file_is_told_in_one_line(self):
        self.join()
        (self.directory / "network.json").write_text("{")
        with self.assertRaises(IdentityError) as caught:
            load_told(self.directory)
        self.assertIn("is damaged", str(caught.exception))

    def test_a_node_s_settings_take_what_the_network_says_unless_somebody_has_said_otherwise(self):
        self.join()
        token = token_of(self.network)
        settings = as_member(NodeSettings(join=token, identity=self.directory))
        self.assertEqual((settings.network, settings.config.bits), ("berlin", 128))
        self.assertEqual(settings.peers, ("10.0.0.5:7001", "10.0.0.6:7001"))
        self.assertEqual((settings.identity, settings.join), (self.directory, None))
        settings = as_member(
            NodeSettings(identity=str(self.directory), network="own", peers=["h:1"])
        )
        self.assertEqual((settings.network, settings.peers), ("own", ("h:1",)))
        plain = NodeSettings()
        self.assertIs(as_member(plain), plain)


class Rounds(SynchronousTestCase):
    def test_each_address_is_asked_once_and_named_issuers_come_first(self):
        asking = Round(["a:1", "b:1", "a:1"])
        self.assertEqual(asking.next(), "a:1")
        asking.failed(Referred(["c:1", "b:1", "a:1"]))
        self.assertEqual([asking.next(), asking.next(), asking.next()], ["c:1", "b:1", None])

    def test_what_an_issuer_says_counts_most(self):
        asking = Round(["a:1", "b:1", "c:1"])
        for error in (ConnectFailed("x"), Refusal("invitation", "used"), ConnectFailed("y")):
            asking.next()
            asking.failed(error)
        self.assertEqual(str(asking.verdict()), "used")

    def test_without_an_issuer_every_address_is_told_with_its_problem(self):
        self.assertIn("no node is known", str(Round([]).verdict()))
        asking = Round(["a:1"])
        asking.next()
        asking.failed(ConnectFailed("nobody listens"))
        self.assertEqual(str(asking.verdict()), "a:1: nobody listens")

    def test_nodes_that_name_others_forever_are_left(self):
        asking = Round(["h:1"])
        for at in range(2, 99):
            if asking.next() is None:
                break
            asking.failed(Referred([f"h:{at}"]))
        self.assertEqual(at, MOST_ASKED + 2)


class OverSockets(TestCase):
    """The conversation with a node of this process, from a thread that blocks."""

    timeout = 60

    def start(self, **options) -> Deferred[None]:
        self.node = ChordService(reactor, "tcp:0:interface=127.0.0.1", **options)
        self.node.startService()
        self.addCleanup(self.node.stopService)
        return self.node.started()

    async def test_a_token_is_used_over_a_real_connection(self):
        network = make_network(["n1"], NOW, issuers=1)
        directory = Path(self.mktemp())
        network["n1"].with_bundle(network.bundle).save(directory)
        network.issuers["n1"].save(directory)
        await self.start(identity=directory, wall=lambda: NOW)
        membership = self.node.node.membership
        for role, peer in (("peer", True), ("send", False)):
            text, _expires = membership.invite(role, name="", prefix="web", uses=1, lifetime_s=60.0)
            where = Path(self.mktemp())
            member = await deferToThread(
                become_member, text, where, "x", peer=peer, wall=lambda: NOW
            )
            self.assertRegex(member.identity.subject.name, "^web-")
            self.assertEqual(member.identity.subject.role, Role(role))
            self.assertEqual(member.told.addresses, [self.node.address])
            with self.assertRaises(Refusal) as caught:
                await deferToThread(
                    become_member, text, Path(self.mktemp()), "y", peer=peer, wall=lambda: NOW
                )
            self.assertIn("used already", str(caught.exception))

    async def test_a_plain_node_and_a_closed_port_are_told_in_words(self):
        await self.start()
        network = make_network()
        plain = token_of(network, self.node.address)
        closed = token_of(network, "127.0.0.1:1")
        for text, why in ((plain, "not secured and does not speak TLS"), (closed, "refused")):
            with self.assertRaises(NobodyIssues) as caught:
                await deferToThread(
                    become_member, text, Path(self.mktemp()), peer=True, ask=ask_all_now
                )
            self.assertIn(why, str(caught.exception))


class RenewingHere(SynchronousTestCase):
    def test_what_was_given_takes_the_place_of_the_old_certificate(self):
        network = make_network()
        directory = Path(self.mktemp())
        old = network["one"]
        old.save(directory)
        chain = network.authority.root.renew(old.key.public_key(), old.subject, NOW)
        asked: list[list[str]] = []

        def give(_talk, addresses) -> Gift:
            asked.append(list(addresses))
            return Gift(old.with_chain(chain))

        new = renew_here(old, directory, ["h:1"], wall=lambda: NOW, ask=give)
        self.assertEqual((Identity.load(directory).chain, asked), (new.chain, [["h:1"]]))
