"""Signatures with certificates: which are taken, and what is wrong with the others."""

from __future__ import annotations

from hashlib import sha256
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.seals import Pair, counts
from chordnet.core.base import effects as fx
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import Ask
from chordnet.core.base.outcomes import Fault
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.network import Network
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.trust.seals import SealNotary
from tests.unit.trust_support import DAY, HOUR, NOW, TrustedNetwork, make_network

TEXT = b"what is signed"


def identifier(name: str) -> bytes:
    return sha256(name.encode()).digest()[:20]


class NotarySupport(SynchronousTestCase):
    def setUp(self) -> None:
        self.now = NOW
        self.network = make_network()
        self.checker = self.network["two"]
        self.notary = self.notary_of(lambda: self.checker)
        self.signer = self.notary_of(lambda: self.network["one"])

    def notary_of(self, identity):
        return SealNotary(identity, identifier, lambda: self.now, always=True)

    def fault(self, at=None, *, live=True, name="one", chain=None, signature=None, text=TEXT):
        own_chain, own = self.signer.sign(TEXT)
        return self.notary.check(
            identifier(name),
            own_chain if chain is None else chain,
            own if signature is None else signature,
            text,
            self.now if at is None else at,
            live=live,
        )


class CheckTests(NotarySupport):
    def test_the_signature_of_a_member_is_taken_also_a_second_time(self):
        self.assertEqual([self.fault(), self.fault()], [Fault.NONE] * 2)

    def test_another_text_or_name_or_signature_is_a_lie(self):
        for wrong in (
            self.fault(text=b"something else"),
            self.fault(name="two"),
            self.fault(signature=bytes(64)),
            self.fault(signature=b""),
            self.fault(chain=self.checker.chain),
            self.fault(chain=[]),
            self.fault(chain=[b"nonsense"]),
        ):
            self.assertEqual(wrong, Fault.SEAL_FORGED)

    def test_a_client_seals_nothing_whatever_its_role(self):
        for role in (Role.SEND, Role.OPERATE):
            client = self.network.client(role, "one")
            chain, signature = self.notary_of(lambda client=client: client).sign(TEXT)
            fault = self.fault(chain=chain, signature=signature)
            self.assertEqual(fault, Fault.SEAL_FORGED)

    def test_a_member_of_another_network_is_a_liar_here(self):
        other = make_network(seed=2)["one"]
        chain, signature = self.notary_of(lambda: other).sign(TEXT)
        self.assertEqual(self.fault(chain=chain, signature=signature), Fault.SEAL_FORGED)

    def test_what_was_sealed_while_the_certificate_was_valid_stays_valid(self):
        self.now = NOW + 31 * DAY
        self.assertEqual(self.fault(NOW + 29 * DAY, live=False), Fault.NONE)
        self.assertEqual(self.fault(NOW + 30.5 * DAY, live=False), Fault.SEAL_EXPIRED)

    def test_what_is_sent_now_needs_a_certificate_that_is_valid_now(self):
        self.now = NOW + 30 * DAY + HOUR
        self.assertEqual(self.fault(NOW + 29.9 * DAY, live=True), Fault.SEAL_EXPIRED)
        self.assertEqual(self.fault(NOW + 29.9 * DAY, live=False), Fault.NONE)

    def test_a_seal_from_before_the_certificate_began_is_not_taken(self):
        self.assertEqual(self.fault(NOW - 2 * HOUR, live=False), Fault.SEAL_EXPIRED)

    def test_what_is_sent_now_was_sealed_within_a_day_of_now(self):
        self.now = NOW + 2 * DAY
        for at, fault in ((0.9, Fault.SEAL_TIME), (1.1, Fault.NONE), (2.9, Fault.NONE)):
            self.assertEqual(self.fault(NOW + at * DAY), fault)
        self.assertEqual(self.fault(NOW + 3.1 * DAY), Fault.SEAL_TIME)

    def test_what_is_handed_over_may_be_old_but_not_of_tomorrow(self):
        self.now = NOW + 10 * DAY
        self.assertEqual(self.fault(NOW + DAY, live=False), Fault.NONE)
        self.assertEqual(self.fault(NOW + 11.1 * DAY, live=False), Fault.SEAL_TIME)

    def test_nothing_of_a_revoked_member_is_taken_however_old(self):
        self.assertEqual(self.fault(), Fault.NONE)
        self.network.authority.revoke(NOW, name="one")
        self.assertEqual(self.fault(), Fault.NONE, "not heard of it")
        self.checker = self.checker.with_bundle(self.network.bundle)
        for live in (True, False):
            self.assertEqual(self.fault(live=live), Fault.SEAL_REVOKED)

    def test_a_member_whose_authority_is_not_known_yet_may_be_honest(self):
        self.network.authority.begin_rotation(NOW)
        self.network.authority.finish_rotation()
        new = self.network.authority.identity(Role.PEER, "one", NOW)
        chain, signature = self.notary_of(lambda: new).sign(TEXT)
        self.assertEqual(self.fault(chain=chain, signature=signature), Fault.SEAL_AUTHORITY)
        self.checker = self.checker.with_bundle(self.network.bundle)
        self.assertEqual(self.fault(chain=chain, signature=signature), Fault.NONE)

    def test_what_is_remembered_of_chains_is_bounded(self):
        notary = SealNotary(lambda: self.checker, identifier, lambda: self.now, always=True, room=3)
        for number in range(5):
            name = f"n{number}"
            one = self.network.authority.identity(Role.PEER, name, NOW)
            chain, signature = self.notary_of(lambda one=one: one).sign(TEXT)
            raw = identifier(name)
            fault = notary.check(raw, chain, signature, TEXT, self.now, live=True)
            self.assertEqual(fault, Fault.NONE)
        self.assertEqual(len(notary), 3)


class RingTests(SynchronousTestCase):
    def ring(self, network: Network, trusted: TrustedNetwork) -> None:
        by_raw: dict[bytes, Identity] = {
            identifier(name): identity for name, identity in trusted.identities.items()
        }
        network.notary_of = lambda raw: SealNotary(
            lambda: by_raw[raw], identifier, lambda: network.now, always=True
        )
        names = list(trusted.identities)
        right_ring(network, names, names[:1])

    def test_a_ring_with_certificates_records_sealed_messages_and_signs_receipts(self):
        trusted = make_network([f"n{number}" for number in range(7)], now=0.0, issuers=2)
        network = Network(3, ProtocolConfig(successors=3))
        self.ring(network, trusted)
        for ask in (Ask.NOTHING, Ask.SIGNATURE):
            op = network.publish("n3", f"apple-{Random(ask).random()}", ask)
            network.run(1.0)
            done = network.hosts["n3"].done[op]
            assert isinstance(done, fx.BroadcastDone)
            self.assertEqual((done.recorded, done.partial), (7, False))
        assert isinstance(done, fx.WitnessedDone)
        self.assertEqual({each.name for each in done.witnesses}, set(trusted.identities))
        self.assertEqual(network.hosts["n0"].misbehaved, [])


class CostTests(SynchronousTestCase):
    def test_a_broadcast_is_signed_once_and_checked_once_by_every_other_node(self):
        self.assertEqual(
            counts(2, Ask.NOTHING), {"signatures made": 2, "signatures checked": 2 * 15}
        )

    def test_a_signed_receipt_costs_one_signature_and_one_check_more_for_every_node(self):
        self.assertEqual(
            counts(2, Ask.SIGNATURE),
            {"signatures made": 2 * 17, "signatures checked": 2 * (15 + 16)},
        )

    def test_what_a_seal_adds_does_not_grow_with_the_messages_that_travel_together(self):
        pair = Pair()
        for count in (1, 16, 256):
            found = pair.costs(count, 1)
            self.assertLess(found["sealed bytes"] - found["plain bytes"], 600)
