"""Seals of origin and signed receipts in simulated rings, one member of which lies."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.events import Publish
from chordnet.core.base.messages import Ask, Hop, MessageId
from chordnet.core.base.outcomes import Fault
from chordnet.core.seals.merkle import HashTree
from chordnet.core.seals.statements import seal_text
from chordnet.sim.campaign.notaries import Registry
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.host import Host
from chordnet.sim.world.network import Network

NAMES = [f"n{number}" for number in range(12)]
SENDER, LIAR = "n3", "n7"


class SealedRing(SynchronousTestCase):
    always = True

    def setUp(self) -> None:
        self.registry = Registry(Random(1), always=self.always)
        self.network = Network(5, ProtocolConfig(successors=4))
        self.network.notary_of = self.registry.notary
        self.hosts = right_ring(self.network, NAMES, NAMES[:2])
        self.liar = self.network.hosts[LIAR]

    def others(self) -> list[Host]:
        return [host for host in self.hosts if host is not self.liar]

    def send(self, body: str = "apple", ask: int = Ask.NOTHING) -> fx.BroadcastDone:
        op = self.network.publish(SENDER, body, ask)
        self.network.run(1.0)
        done = self.network.hosts[SENDER].done[op]
        assert isinstance(done, fx.BroadcastDone)
        return done

    def bcast(self, first: MessageId, body: bytes, seal: msg.Seal | None) -> msg.MarkedBcast:
        hops = [Hop(first.origin, SENDER, 0), Hop(self.liar.ref.raw, LIAR, 2)]
        limit = self.liar.ref.raw
        now = self.network.now
        return msg.MarkedBcast(first, 1, now, 9, limit, 2, hops, [body], [], b"", seal)

    def say(self, message: msg.PeerMessage) -> None:
        for host in self.others():
            self.network.say(LIAR, host.ref, message)
        self.network.run(1.0)

    def forged(self, first: MessageId, body: bytes, network: bytes | None = None) -> msg.Seal:
        """Return the liar's own signature with its own certificate."""
        text = seal_text(
            self.registry.network if network is None else network,
            first,
            1,
            self.network.now,
            HashTree([body]).root,
        )
        return msg.Seal(*self.registry.notary(self.liar.ref.raw).sign(text))

    def next_id(self) -> MessageId:
        sender = self.network.hosts[SENDER].ref
        return MessageId(sender.raw, sender.incarnation, 1)

    def assert_nothing_recorded(self, fault: Fault) -> None:
        for host in self.others():
            self.assertEqual(host.records, [], host.ref.name)
            faults = {each.reason for each in host.misbehaved}
            if host.ref.name != SENDER:
                self.assertEqual(faults, {fault}, host.ref.name)
                self.assertGreater(host.node.counters["seals_refused"], 0)


class SealTests(SealedRing):
    def test_every_node_records_a_sealed_message_with_its_seal(self):
        done = self.send()
        self.assertEqual((done.recorded, done.partial), (12, False))
        for host in self.hosts:
            (record,) = host.records
            assert record.proof is not None
            self.assertEqual((record.proof.first, record.proof.count), (1, 1))
            self.assertTrue(record.proof.chain)

    def test_all_messages_of_an_origin_share_its_certificates_in_memory(self):
        for body in ("apple", "pear"):
            self.send(body)
        one, two = [record.proof for record in self.liar.records]
        assert one is not None
        assert two is not None
        self.assertIs(one.chain, two.chain)

    def test_a_message_in_anothers_name_is_not_recorded_and_its_sender_is_blamed(self):
        first = self.next_id()
        self.say(self.bcast(first, b"forged", self.forged(first, b"forged")))
        self.assert_nothing_recorded(Fault.SEAL_FORGED)
        self.assertEqual(self.send().recorded, 12)

    def test_a_message_without_its_seal_is_not_recorded(self):
        first = self.next_id()
        self.say(self.bcast(first, b"stripped", None))
        self.assert_nothing_recorded(Fault.UNSEALED)

    def test_a_plain_message_is_not_recorded(self):
        marked = self.bcast(self.next_id(), b"plain", None)
        fields = [getattr(marked, name) for name in msg.Bcast.__struct_fields__]
        self.say(msg.Bcast(*fields))
        self.assert_nothing_recorded(Fault.UNSEALED)

    def test_a_seal_of_another_network_is_not_taken(self):
        first = MessageId(self.liar.ref.raw, self.liar.ref.incarnation, 1)
        seal = self.forged(first, b"x", network=bytes(16))
        self.say(replace(self.bcast(first, b"x", seal), hops=[Hop(self.liar.ref.raw, LIAR, 0)]))
        for host in self.others():
            self.assertEqual(host.records, [])
            self.assertEqual({each.reason for each in host.misbehaved}, {Fault.SEAL_FORGED})

    def test_a_sealed_message_with_another_body_or_number_or_time_or_life_is_not_recorded(self):
        self.network.publish(SENDER, "apple")
        self.network.run(0.0005)
        (record,) = self.network.hosts[SENDER].records
        assert record.proof is not None
        seal = msg.Seal(record.proof.chain, record.proof.signature)
        good = replace(self.bcast(record.id, b"apple", seal), created=record.created)
        self.network.run(1.0)
        later = MessageId(record.id.origin, record.id.incarnation + 1, record.id.sequence)
        for changed in (
            replace(good, id=record.id.plus(1), bodies=[b"pear"]),
            replace(good, id=record.id.plus(1)),
            replace(good, id=later),
            replace(good, id=record.id.plus(1), count=2, bodies=[b"apple", b"pear"]),
        ):
            self.say(changed)
        for host in self.hosts:
            self.assertEqual([each.body for each in host.records], [b"apple"])

    def test_a_message_of_a_revoked_origin_is_dropped_without_blame_and_its_receipt_says_so(self):
        self.registry.revoked.add(self.network.hosts[SENDER].ref.raw)
        done = self.send()
        self.assertEqual((done.recorded, done.partial), (1, True))
        for host in self.hosts:
            self.assertEqual(host.misbehaved, [])

    def test_messages_that_travel_together_share_one_signature_and_each_keeps_its_path(self):
        bodies = [(op, b"%d" % op) for op in range(100, 105)]
        host = self.network.hosts[SENDER]
        self.network._step(host, Publish(bodies, self.network.now))
        self.network.run(1.0)
        proofs = [record.proof for record in self.liar.records]
        self.assertEqual({len(proof.path) for proof in proofs if proof}, {1, 3})
        self.assertEqual(len({proof.signature for proof in proofs if proof}), 1)


class CatchingUpTests(SealedRing):
    def catch_up(self) -> Host:
        """Have a node come back without what was sent meanwhile, and get it from its neighbours."""
        self.network.kill("n5")
        self.network.run(3.0)
        self.send()
        self.network.restart("n5")
        self.network.run(20.0)
        return self.network.hosts["n5"]

    def test_a_node_that_comes_back_gets_messages_with_their_seals(self):
        (record,) = self.catch_up().records
        assert record.proof is not None
        self.assertEqual(record.route[-1].kind, msg.EdgeKind.CAUGHT_UP)
        self.assertTrue(record.proof.chain)

    def test_what_a_revoked_origin_sent_is_given_up_by_a_node_that_lacks_it(self):
        self.network.kill("n5")
        self.network.run(3.0)
        self.send()
        self.network.run(30.0)
        self.registry.revoked.add(self.network.hosts[SENDER].ref.raw)
        host = self.network.restart("n5")
        self.network.run(30.0)
        self.assertEqual(host.records, [])
        self.assertEqual(host.misbehaved, [])
        self.assertEqual(host.node.counters["gaps"], 1)
        before = self.network.sent["Have"]
        self.network.run(60.0)
        self.assertEqual(self.network.sent["Have"], before)

    def test_a_message_that_is_kept_without_a_seal_is_told_as_lost(self):
        self.network.kill("n5")
        self.network.run(3.0)
        self.send()
        self.network.run(30.0)
        for host in self.network.live():
            host.records[:] = [replace(record, proof=None) for record in host.records]
        host = self.network.restart("n5")
        self.network.run(30.0)
        self.assertEqual(host.records, [])
        self.assertEqual(host.node.counters["gaps"], 1)
        self.assertEqual(host.misbehaved, [])


class ReceiptTests(SealedRing):
    def test_a_signed_receipt_names_every_node(self):
        done = self.send(ask=Ask.SIGNATURE)
        assert isinstance(done, fx.WitnessedDone)
        self.assertEqual({each.name for each in done.witnesses}, set(NAMES))
        self.assertTrue(all(each.signature and each.chain for each in done.witnesses))
        self.assertEqual((done.partial, done.unsigned), (False, 0))

    def test_a_receipt_with_names_has_no_signatures(self):
        done = self.send(ask=Ask.NAME)
        assert isinstance(done, fx.WitnessedDone)
        self.assertEqual({each.name for each in done.witnesses}, set(NAMES))
        self.assertFalse(any(each.signature or each.chain for each in done.witnesses))


class AskedRingTests(SealedRing):
    always = False

    def test_a_message_is_sealed_only_if_signatures_are_asked_for(self):
        for ask, sealed in ((Ask.NOTHING, False), (Ask.NAME, False), (Ask.SIGNATURE, True)):
            done = self.send(f"ask-{ask}", ask)
            self.assertEqual((done.recorded, done.partial), (12, False))
            for host in self.hosts:
                self.assertEqual(host.records[-1].proof is not None, sealed)


class PlainRingTests(SynchronousTestCase):
    def test_a_ring_without_certificates_names_the_nodes_if_asked(self):
        network = Network(5, ProtocolConfig(successors=4))
        right_ring(network, NAMES, NAMES[:2])
        op = network.publish(SENDER, "apple", Ask.NAME)
        network.run(1.0)
        done = network.hosts[SENDER].done[op]
        assert isinstance(done, fx.WitnessedDone)
        self.assertEqual({each.name for each in done.witnesses}, set(NAMES))
        self.assertFalse(done.partial)
