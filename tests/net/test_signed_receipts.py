"""Receipts with names and signatures, as programs and clients ask for them over real sockets."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs
from twisted.internet import reactor
from twisted.internet.task import deferLater

from chordnet import Receipt
from chordnet.client.receipts import checked
from chordnet.core.base.errors import LocalProtocolError
from chordnet.net.runtime.recorder import Recorder
from chordnet.record.recording import read_frames
from chordnet.record.replay import Replay
from chordnet.trust.base.subjects import Role
from chordnet.wire.receipts import NodeSignature
from tests.net.test_secured_services import NAMES, SecuredCase

MEMBERS = NAMES[:3]


class SignedTests(SecuredCase):
    async def receipt(self) -> Receipt:
        ring = await self.ring(3)
        client = self.client(ring[1], self.visitor(Role.SEND))
        return await client.send_message("apple", receipt="signed", expect=MEMBERS)

    async def test_every_node_signs_and_the_client_checks_it(self) -> None:
        receipt = await self.receipt()
        self.assertEqual((receipt.recorded, receipt.partial), (3, False))
        self.assertEqual((receipt.named, receipt.missing, receipt.unsigned), (MEMBERS, [], 0))
        assert receipt.evidence is not None
        self.assertEqual(len(receipt.evidence.signatures), 3)

    async def test_a_node_that_is_expected_and_does_not_exist_makes_the_receipt_partial(self):
        ring = await self.ring(3)
        receipt = await ring[0].broadcast("apple", receipt="signed", expect=[*MEMBERS, "nobody"])
        self.assertEqual((receipt.partial, receipt.missing), (True, ["nobody"]))
        self.assertEqual((receipt.recorded, receipt.named), (3, MEMBERS))

    async def test_a_client_leaves_out_what_its_node_invents(self) -> None:
        receipt = await self.receipt()
        evidence = receipt.evidence
        assert evidence is not None
        one, two, three = evidence.signatures
        bundle = self.trusted.bundle

        def seen(*signatures: NodeSignature, body: str = "apple") -> Receipt:
            told = structs.replace(evidence, signatures=list(signatures))
            given = structs.replace(receipt, evidence=told)
            return checked(given, body, MEMBERS, bundle, self.now)

        self.assertFalse(seen(one, two, three).partial)
        for wrong in (
            structs.replace(three, signature=bytes(64)),
            structs.replace(three, signature=two.signature),
            structs.replace(three, chain=two.chain),
            structs.replace(three, chain=[]),
            structs.replace(three, raw=bytes(20)),
            structs.replace(three, incarnation=three.incarnation + 1),
            two,
        ):
            found = seen(one, two, wrong)
            self.assertEqual((found.partial, found.missing), (True, [three.name]))
            self.assertEqual((len(found.named), found.unsigned), (2, 1))
        self.assertEqual(seen(one, two, three, body="pear").named, [])
        bare = structs.replace(receipt, evidence=None)
        self.assertTrue(checked(bare, "apple", [], bundle, self.now).partial)

    async def test_a_node_that_was_restarted_gets_sealed_messages_from_its_neighbours(self) -> None:
        directory = self.mktemp()
        ring = await self.ring(2)
        late = await self.service(
            ring[0], identity=self.trusted[NAMES[2]], state_dir=directory, store="none"
        )
        await ring[0].settled(3)
        await ring[0].broadcast("before")
        await late.stopService()
        self.services.remove(late)
        await ring[0].settled(2)
        await ring[0].broadcast("meanwhile")
        await deferLater(reactor, 1.1)
        late = await self.service(
            ring[0], identity=self.trusted[NAMES[2]], state_dir=directory, store="none"
        )
        while len(late.node.log) < 2:
            await deferLater(reactor, 0.05)
        records = [kept.record for kept in late.node.log.newest(9)]
        self.assertEqual([record.body for record in records], [b"before", b"meanwhile"])
        for record in records:
            kept = late.node.log.find(record.id)
            assert kept is not None
            assert kept.record.proof is not None
            self.assertTrue(kept.record.proof.chain)
        self.assertEqual(late.node.counters().get("misbehaved", 0), 0)

    async def test_the_recording_of_a_node_with_certificates_is_replayed(self) -> None:
        file = Path(self.mktemp())
        ring = await self.ring(2)
        third = await self.service(ring[0], identity=self.trusted[NAMES[2]], core=Recorder(file))
        await ring[0].settled(3)
        for service in (ring[0], third):
            await service.broadcast("apple", receipt="signed")
        await third.stopService()
        self.services.remove(third)
        with file.open("rb") as recording:
            replay = Replay(read_frames(recording.read)).run()
        self.assertIsNone(replay.difference)
        self.assertGreater(replay.events, 10)


class PlainTests(SecuredCase):
    async def test_nodes_without_certificates_name_themselves_and_cannot_sign(self) -> None:
        first = await self.service(name="one")
        second = await self.service(first, name="two")
        await first.settled(2)
        client = self.client(second, None)
        receipt = await client.send_message("apple", expect=["one", "two"])
        self.assertEqual((receipt.partial, receipt.named), (False, ["one", "two"]))
        self.assertIsNone(receipt.evidence)
        receipt = await client.send_message("pear", expect=["three"])
        self.assertEqual((receipt.partial, receipt.missing), (True, ["three"]))
        with self.assertRaisesRegex(LocalProtocolError, "no certificates"):
            await client.send_message("plum", receipt="signed")
        with self.assertRaisesRegex(LocalProtocolError, "at most 1024 nodes"):
            await client.send_message("plum", expect=["x"] * 1025)
        for wrong in ({"receipt": "sealed"}, {"expect": "one"}, {"expect": [1]}):
            with self.assertRaises(LocalProtocolError):
                await client.send_message("plum", **wrong)
