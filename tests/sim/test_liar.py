"""A lying node: what it makes of what it hears, and of what it would send as an honest one."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import Hop, MessageId, NodeRef, PeerMessage, Ping, Pong
from chordnet.sim.campaign.liar import Frames, Liar, LyingNode, keep_still

ME, OTHER, VICTIM = (NodeRef(bytes([n]) * 20, 1, f"10.0.0.{n}:1", f"n{n}") for n in (1, 2, 3))
KEY = MessageId(VICTIM.raw, 1, 5)


class LiarTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.liar = Liar(ME, Random(1), [OTHER, VICTIM], VICTIM)

    def test_a_liar_without_a_lie_in_mind_sends_what_an_honest_node_would(self) -> None:
        effects: list[fx.Effect] = [fx.Send(OTHER, Ping(1)), fx.LeftRing()]
        self.assertIs(self.liar.twisted(effects), effects)
        self.assertEqual(self.liar.heard(ev.Received(OTHER, Ping(2))), [])
        self.assertEqual((self.liar.lies, list(self.liar.seen)), ([], [Ping(2)]))

    def test_what_a_liar_twists_goes_to_whom_the_honest_frame_would_have_gone(self) -> None:
        def twist(to: NodeRef, message: PeerMessage) -> list[PeerMessage]:
            if to is OTHER:
                return [message, Pong(7, 1)]
            return []

        self.liar.twist = twist
        honest, left = fx.Send(OTHER, Ping(1)), fx.LeftRing()
        self.assertEqual(
            self.liar.twisted([left, honest, fx.Send(VICTIM, Ping(2)), left]),
            [left, honest, fx.Send(OTHER, Pong(7, 1)), left],
        )
        self.assertEqual(self.liar.lies, [Pong(7, 1)], "what an honest node says is no lie")

    def test_what_a_liar_answers_is_a_lie_and_only_messages_are_answered(self) -> None:
        def reply(sender: NodeRef, message: PeerMessage) -> Frames:
            return [(sender, Pong(1, 1)), (VICTIM, Pong(2, 1))]

        self.liar.reply = reply
        self.assertEqual(self.liar.heard(ev.Tick()), [])
        frames = self.liar.heard(ev.Received(OTHER, Ping(2)))
        self.assertEqual(frames, [(OTHER, Pong(1, 1)), (VICTIM, Pong(2, 1))])
        self.assertEqual(self.liar.lies, [Pong(1, 1), Pong(2, 1)])

    def test_a_liar_remembers_the_last_two_hundred_frames(self) -> None:
        for number in range(201):
            self.liar.heard(ev.Received(OTHER, Ping(number)))
        self.assertEqual((len(self.liar.seen), self.liar.seen[0]), (200, Ping(1)))

    def test_a_silent_liar_does_nothing_for_a_tree_and_all_the_rest(self) -> None:
        for message, silent in (
            (msg.Bcast(KEY, 1, 0.0, 1, b"", 2, [], None), True),
            (msg.Covered(KEY, ME.raw, 1, 0, 1, False, []), True),
            (msg.Ack(KEY, ME.raw, True), True),
            (msg.Bodies(KEY, [b"x"]), True),
            (Ping(1), False),
            (msg.Have([], [], []), False),
        ):
            self.assertEqual(keep_still(OTHER, message), [] if silent else [message])

    def test_the_victims_numbers_begin_with_one(self) -> None:
        for published, ahead, number in ((0, 0, 1), (0, 1, 1), (4, 1, 5), (4, 3, 7), (2, -9, 1)):
            self.liar.published = published
            self.assertEqual(self.liar.id(ahead), MessageId(VICTIM.raw, 1, number))

    def test_a_liar_has_a_place_in_the_route_of_what_others_are_said_to_have_sent(self) -> None:
        mine = MessageId(ME.raw, 1, 1)
        own = self.liar.bcast(mine, [b"a", b"b"])
        self.assertEqual((own.hops, own.count), ([Hop(ME.raw, "", 0)], 2))
        theirs = self.liar.bcast(KEY, None, name="v")
        last = Hop(ME.raw, ME.name, 1)
        self.assertEqual((theirs.hops[0], theirs.count), (Hop(VICTIM.raw, "v", 0), 1))
        self.assertEqual([hop.raw for hop in theirs.hops], [VICTIM.raw, ME.raw])
        self.assertEqual(theirs.hops[-1].name, last.name)
        far = self.liar.bcast(mine, None, name="n" * 300, hops=3, count=9)
        self.assertEqual((len(far.hops), far.count), (5, 9))
        self.assertEqual([len(hop.name) for hop in far.hops[1:4]], [255] * 3)


class NodeTests(SynchronousTestCase):
    def test_a_node_without_a_liar_is_an_honest_node(self) -> None:
        node = LyingNode(ProtocolConfig(), ME, Random(1))
        effects = node.step(ev.Start([OTHER.address], []), 0.0)
        self.assertTrue(any(isinstance(effect, fx.Send) for effect in effects))

    def test_what_a_liar_is_provoked_to_say_comes_before_what_its_node_does(self) -> None:
        honest, lying = (LyingNode(ProtocolConfig(), ME, Random(1)) for _ in range(2))
        lying.liar = Liar(ME, Random(1), [OTHER, VICTIM], VICTIM)
        lying.liar.reply = lambda sender, message: [(sender, Pong(9, 1))]
        for event in (ev.Start([], []), ev.Received(OTHER, Ping(4))):
            usual, found = honest.step(event, 0.0), lying.step(event, 0.0)
            provoked = [fx.Send(OTHER, Pong(9, 1))] if isinstance(event, ev.Received) else []
            self.assertEqual(found, [*provoked, *usual])
        lying.liar.twist = lambda to, message: []
        found = lying.step(ev.Received(OTHER, Ping(5)), 0.0)
        sent = [effect for effect in found if isinstance(effect, fx.Send)]
        self.assertEqual(sent, [fx.Send(OTHER, Pong(9, 1))])
