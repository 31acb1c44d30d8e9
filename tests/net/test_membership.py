"""Enrolment, renewal, revocation and rotation in whole networks, over TLS in memory."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import NotIssuer
from chordnet.net.enrol.rounds import NobodyIssues
from chordnet.trust.base.errors import Refusal, Untrusted
from chordnet.trust.identity import Identity
from chordnet.trust.issuing import read_request
from chordnet.trust.tokens import read_token
from chordnet.trust.verifying import verify
from tests.net.members import SecuredNetwork, address_of
from tests.unit.trust_support import DAY, HOUR, NOW


class Enrolling(SynchronousTestCase):
    def test_a_newcomer_with_a_token_becomes_a_member_and_joins_the_ring(self):
        world = SecuredNetwork(self, 2)
        world.start()
        gift = world.join(world.invite("n1", name="n3"))
        self.assertEqual(gift.identity.subject.name, "n3")
        self.assertEqual((gift.address, gift.ring, gift.bits), (address_of("n1"), "default", 160))
        gift.identity.save(world.root / "n3")
        world.start("n3")
        self.assertTrue(world.nodes["n3"].node.joined)
        self.assertEqual(len(world.outcome(world.nodes["n3"].settled(3))), 3)

    def test_expired_used_foreign_and_unknown_tokens_are_refused_in_words(self):
        world = SecuredNetwork(self, 1)
        world.start()
        token = world.invite("n1", name="n2")
        world.join(token)
        with self.assertRaises(Refusal) as caught:
            world.join(token)
        self.assertIn("used already", str(caught.exception))
        token = world.invite("n1")
        world.net.wall += HOUR
        with self.assertRaises(Refusal) as caught:
            world.join(token)
        self.assertIn("the token expired on 2027-01-15 09:00 UTC", str(caught.exception))
        other = SecuredNetwork(self, 1)
        other.trust = world.trust  # the same names and addresses, and another authority
        other.start()
        with self.assertRaises(Refusal) as caught:
            other.join(world.invite("n1"))
        self.assertIn("no such invitation", str(caught.exception))

    def test_a_node_of_another_network_at_the_address_is_found_out(self):
        world, other = SecuredNetwork(self, 1), SecuredNetwork(self, 1, seed=2)
        world.start()
        token = world.invite("n1")
        world.stop("n1")
        other.net = world.net
        other.start()
        with self.assertRaises(Untrusted) as caught:
            world.join(token)
        self.assertEqual(caught.exception.code, "foreign")
        other.stop("n1")

    def test_a_plain_node_at_the_address_is_told_in_words(self):
        world = SecuredNetwork(self, 1)
        world.start()
        token = world.invite("n1")
        world.stop("n1")
        plain = world.net.service(address_of("n1"))
        plain.startService()
        world.net.run(0.5)
        with self.assertRaises(NobodyIssues) as caught:
            world.join(token)
        self.assertIn("does not speak TLS", str(caught.exception))
        plain.stopService()
        world.net.run(1.0)

    def test_nobody_listens_at_the_address(self):
        world = SecuredNetwork(self, 1)
        world.start()
        token = world.invite("n1")
        world.stop("n1")
        with self.assertRaises(NobodyIssues) as caught:
            world.join(token)
        self.assertIn(address_of("n1"), str(caught.exception))

    def test_a_node_that_is_no_issuer_invites_nobody_and_says_who_does(self):
        world = SecuredNetwork(self, 2)
        world.start()
        with self.assertRaises(NotIssuer) as caught:
            world.invite("n2")
        self.assertIn("these do: n1", str(caught.exception))

    def test_a_node_that_is_no_issuer_sends_others_to_one(self):
        world = SecuredNetwork(self, 3)
        world.start()
        token = world.invite("n1", name="n4")
        moved = token_at(token, address_of("n3"))
        self.assertEqual(world.join(moved).identity.subject.name, "n4")


def token_at(token: str, address: str) -> str:
    """Return the same token with another address."""
    return str(attrs.evolve(read_token(token), addresses=(address,)))


class Renewing(SynchronousTestCase):
    def until(self, world: SecuredNetwork, name: str) -> float:
        return (Identity.load(world.root / name).subject.until - NOW) / DAY

    def test_at_half_life_every_node_has_a_new_certificate_without_a_restart(self):
        world = SecuredNetwork(self, 3)
        world.start()
        world.later(14)
        self.assertEqual([self.until(world, name) for name in world.nodes], [30, 30, 30])
        world.later(2)
        for name in world.nodes:
            self.assertApproximates(self.until(world, name), 46, 0.01)
            self.assertTrue(world.nodes[name].node.joined)
            self.assertEqual(world.membership(name).renewal.problem, "")
        world.later(20)  # what was valid at the start has expired
        self.assertEqual(len(world.outcome(world.nodes["n3"].settled(3))), 3)

    def test_a_node_that_was_off_until_its_certificate_expired_comes_back(self):
        for days in (29, 31, 119):
            with self.subTest(days):
                world = SecuredNetwork(self, 3)
                world.start("n1", "n2")
                for _ in range(days // 12):
                    world.later(12)
                world.net.wall = NOW + days * DAY - world.net.clock.seconds()
                world.later(0)
                world.start("n3")
                world.net.run(8.0)
                self.assertTrue(world.nodes["n3"].node.joined)
                self.assertApproximates(self.until(world, "n3"), days + 30, 0.1)

    def test_after_ninety_days_more_it_is_told_to_join_with_a_new_token(self):
        world = SecuredNetwork(self, 3)
        world.start("n1", "n2")
        for _ in range(10):
            world.later(12.1)
        world.start("n3")
        world.net.run(20.0)
        self.assertFalse(world.nodes["n3"].node.joined)
        self.assertIn("join with a new token", world.membership("n3").renewal.problem)

    def test_without_an_issuer_it_says_so_and_succeeds_once_one_is_back(self):
        world = SecuredNetwork(self, 3)
        world.start()
        world.stop("n1")
        world.net.run(10.0)
        world.later(20)
        world.net.run(20.0)
        problem = world.membership("n2").renewal.problem
        self.assertIn("is not renewed", problem)
        self.assertIn("reaches none that does", problem)
        world.start("n1")
        world.net.run(60.0)
        self.assertEqual(world.membership("n2").renewal.problem, "")
        self.assertApproximates(self.until(world, "n2"), 50, 0.01)


class Revoking(SynchronousTestCase):
    def test_a_revoked_node_is_cut_off_within_a_second_and_is_not_let_in_again(self):
        world = SecuredNetwork(self, 4)
        world.start()
        self.assertEqual(len(world.outcome(world.nodes["n1"].settled(4))), 4)
        bundle = world.authority.revoke(world.now, name="n4")
        world.membership("n2").give_bundle(bundle.encode())
        world.net.run(1.0)
        for name in ("n1", "n2", "n3"):
            self.assertEqual(world.membership(name).certificates().revoked, ["n4"])
            connected = {
                session.node.name for session in world.nodes[name].node.transport._sessions
            }
            self.assertNotIn("n4", connected)
        world.net.run(20.0)
        self.assertEqual(len(world.outcome(world.nodes["n1"].settled(3))), 3)

    def test_what_is_revoked_stays_so_after_a_restart(self):
        world = SecuredNetwork(self, 2)
        world.start()
        world.membership("n1").give_bundle(world.authority.revoke(world.now, name="x").encode())
        world.net.run(0.5)
        world.stop("n2")
        world.start("n2")
        self.assertEqual(world.membership("n2").certificates().revoked, ["x"])

    def test_a_node_that_was_off_hears_of_it_when_it_comes_back(self):
        world = SecuredNetwork(self, 3)
        world.start("n1", "n2")
        world.membership("n1").give_bundle(world.authority.revoke(world.now, name="x").encode())
        world.start("n3")
        self.assertEqual(
            world.membership("n3").certificates().bundle, world.authority.bundle.version
        )

    def test_a_forged_bundle_is_believed_by_nobody(self):
        world = SecuredNetwork(self, 2)
        world.start()
        liar = type(world.authority).create("x", NOW)
        with self.assertRaises(Untrusted):
            world.membership("n1").give_bundle(liar.bundle.encode())

    def test_the_issuer_of_others_is_revoked_after_they_have_got_new_certificates(self):
        world = SecuredNetwork(self, 4, issuers=2)
        world.start("n1", "n3", "n4")
        world.later(16)
        by_n1 = [
            name
            for name in ("n3", "n4")
            if len(world.membership(name)._credentials.current().chain) > 1
        ]
        self.assertEqual(by_n1, ["n3", "n4"])
        world.start("n2")
        bundle = world.authority.revoke(world.now, name="n1", start=world.now + 600)
        world.membership("n2").give_bundle(bundle.encode())
        world.net.run(30.0)
        world.net.wall += 600
        for name in ("n3", "n4"):
            chain = world.membership(name)._credentials.current().chain
            self.assertEqual(verify(chain, bundle, world.now).name, name)


class Rotating(SynchronousTestCase):
    def test_a_new_root_takes_the_place_of_the_old_one_while_the_network_runs(self):
        world = SecuredNetwork(self, 4, issuers=2)
        world.start()
        both = world.authority.begin_rotation(world.now)
        world.membership("n3").give_bundle(both.encode())
        world.net.run(1.0)
        for name in ("n1", "n2"):
            membership = world.membership(name)
            public = read_request(membership.issuer_request())
            membership.certify_issuer(world.authority.certify_issuer(public, name, world.now))
        world.net.run(60.0)
        told = [world.membership(name).certificates() for name in world.nodes]
        self.assertEqual({each.root for each in told}, {told[0].roots[-1]})
        world.membership("n1").give_bundle(world.authority.finish_rotation().encode())
        world.net.run(2.0)
        for name in world.nodes:
            certificates = world.membership(name).certificates()
            self.assertEqual(len(certificates.roots), 1)
            self.assertEqual(certificates.root, certificates.roots[0])
            self.assertEqual(certificates.problem, "")
        self.assertEqual(len(world.outcome(world.nodes["n4"].settled(4))), 4)
