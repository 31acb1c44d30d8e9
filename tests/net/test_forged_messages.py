"""A member of a secured ring that speaks in another's name: what its peers record and log."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import deferLater

from chordnet import ChordService
from chordnet.core.base.messages import (
    Bcast,
    Hop,
    MarkedBcast,
    MarkedCovered,
    MessageId,
    PeerMessage,
    Seal,
)
from chordnet.core.seals.merkle import HashTree
from chordnet.core.seals.statements import seal_text
from tests.net.test_secured_services import NAMES, SecuredCase

BODY = b"forged"


class ForgedTests(SecuredCase):
    async def begin(self) -> None:
        self.victim, self.other, self.liar = await self.ring(3)

    def next_id(self, service: ChordService) -> MessageId:
        me = service.node.me
        return MessageId(me.raw, me.incarnation, 1)

    def bcast(self, first: MessageId, *hops: Hop) -> Bcast:
        return Bcast(first, 1, self.now, 9, self.liar.node.me.raw, 2, list(hops), [BODY])

    def in_the_victims_name(self) -> Bcast:
        victim, liar = self.victim.node.me, self.liar.node.me
        hops = [Hop(victim.raw, victim.name, 0), Hop(liar.raw, liar.name, 2)]
        return self.bcast(self.next_id(self.victim), *hops)

    def seal(self, first: MessageId, network: bytes | None = None) -> Seal:
        """Return what the liar's own key has to say."""
        identity = self.trusted[NAMES[2]]
        known = bytes.fromhex(identity.network)
        text = seal_text(network or known, first, 1, self.now, HashTree([BODY]).root)
        return Seal(list(identity.chain), identity.sign(text))

    def marked(self, plain: Bcast, seal: Seal | None) -> MarkedBcast:
        values = {name: getattr(plain, name) for name in Bcast.__struct_fields__}
        return MarkedBcast(**values, seal=seal)

    async def say(self, message: PeerMessage, reason: str) -> None:
        """Have the liar say it, and wait for what its peer logs."""
        node = self.liar.node
        with node.turn:
            node.transport.send(self.other.node.me, message)
        await self.until_logged(f"{NAMES[2]} broke a rule: {reason}")
        self.assertEqual(len(self.other.node.log), 0)

    async def test_a_message_in_anothers_name_is_dropped_and_the_log_says_who_sent_it(self):
        await self.begin()
        plain = self.in_the_victims_name()
        await self.say(
            self.marked(plain, self.seal(plain.id)),
            "a message with a seal that its origin has not made",
        )
        receipt = await self.victim.broadcast("true")
        self.assertEqual((receipt.recorded, receipt.partial, receipt.conflict), (3, False, 0))

    async def test_a_message_without_a_seal_is_dropped(self):
        await self.begin()
        await self.say(
            self.in_the_victims_name(), "a message without the seal that this network asks for"
        )

    async def test_a_seal_for_another_network_is_dropped(self):
        await self.begin()
        liar = self.liar.node.me
        plain = self.bcast(self.next_id(self.liar), Hop(liar.raw, liar.name, 0))
        await self.say(
            self.marked(plain, self.seal(plain.id, bytes(16))),
            "a message with a seal that its origin has not made",
        )

    async def test_names_that_nobody_asked_for_change_no_receipt(self):
        await self.begin()
        receipt = await self.victim.broadcast("true")
        first = MessageId.parse(receipt.id)
        node = self.liar.node
        with node.turn:
            report = MarkedCovered(first, node.me.raw, 9, 9, 9, True, [])
            node.transport.send(self.victim.node.me, report)
        await deferLater(reactor, 0.1)
        again = await self.victim.broadcast("again", receipt="signed")
        self.assertEqual((again.recorded, again.partial, len(again.named)), (3, False, 3))
