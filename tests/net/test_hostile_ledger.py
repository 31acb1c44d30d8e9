"""A program on a plain connection lies about what was recorded; receipts stay true."""

from __future__ import annotations

import os
import stat

from benchmarks.hostile import identity
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import Compare, Given, Lost, MessageId, Range
from tests.net.hostile import HostileCase

NUMBERS = 512


def lost(first: MessageId, count: int) -> Lost:
    return Lost([Range(first.origin, first.incarnation, first.sequence, first.sequence + count)])


class LostTests(HostileCase):
    def test_a_loss_that_nobody_asked_about_silences_no_origin(self):
        ring = self.ring()
        self.assert_confirmed(ring[3], "before")
        peer = self.hostile(ring[0])
        peer.send(lost(self.next_id(ring[3]), NUMBERS))
        self.network.run(3)
        for count in range(4):
            self.assert_confirmed(ring[3], f"after-{count}")

    def test_a_loss_told_to_every_node_silences_no_origin(self):
        ring = self.ring()
        for service in ring:
            peer = self.hostile(service)
            peer.send(lost(self.next_id(ring[3]), NUMBERS))
        self.network.run(3)
        self.assert_confirmed(ring[3], "after")


class SeveralNamesTests(HostileCase):
    def test_one_peer_with_several_names_makes_no_node_give_up_what_it_was_away_for(self):
        ring = self.ring()
        victim, sender = ring[0], ring[3]
        self.assert_confirmed(sender, "before")
        for name in ("X0", "X1", "X2"):
            peer = self.hostile(victim, name)
            peer.send(Compare(12345))
            self.network.run(0.1)
            self.assertTrue(peer.heard["Have"])
            peer.send(lost(self.next_id(sender), 1 << 40), Given(False))
        self.network.run(1)
        self.network.frozen.add(victim.address)
        self.network.run(10)
        away = [f"away-{count}" for count in range(5)]
        for body in away:
            self.assertEqual(self.broadcast(sender, body).recorded, self.nodes - 1)
        self.network.run(60)  # the broadcasts are over: what it lacks comes by comparison alone
        self.network.thaw(victim.address)
        self.network.run(20)
        self.assertEqual([body for body in self.bodies(victim) if body in away], away)


class FarAheadTests(HostileCase):
    def test_numbers_far_ahead_hide_no_later_message_and_leave_no_endless_comparison(self):
        ring = self.ring()
        self.assert_confirmed(ring[3], "before")
        peer = self.hostile(ring[0])
        me = self.ref(ring[3])
        for batch in range(66):
            first = (1 << 60) + 256 * batch
            peer.send(peer.bcast(me, first, [b"x"] * 256, self.ref(ring[0]).raw))
            self.network.run(0.02)
        self.network.run(2)
        for number, service in enumerate((ring[3], ring[3], ring[5])):
            self.assert_confirmed(service, f"after-{number}")
        peer.hang_up()
        self.network.run(10)
        exchanges, lines = self.counted("exchanges"), len(self.lines)
        self.network.run(20)
        self.assertLess(self.counted("exchanges") - exchanges, 8 * 20)
        self.assertLess(len(self.lines) - lines, 8 * 10)
        self.assert_confirmed(ring[3], "at-last")
        for service in ring:
            self.well(service)


class ForgottenOriginTests(HostileCase):
    nodes = 2

    def test_an_old_message_after_more_origins_than_are_remembered_makes_no_node_fail(self):
        config = ProtocolConfig(max_origins=64)
        ring = [
            self.service(n, config=config, state_dir=self.state_dir())
            for n in range(1, self.nodes + 1)
        ]
        self.network.run(4)
        peer = self.hostile(ring[0])
        limit = self.ref(ring[0]).raw
        origins = [identity(f"origin-{number}", "", 1) for number in range(1, 201)]
        for origin in (*origins, *origins[:3]):
            peer.send(peer.bcast(origin, 1, [b"x"], limit))
            self.network.run(0.01)
        # The trees are forgotten after a while, and the first message comes once more.
        self.network.run(15)
        peer.send(*(peer.bcast(origin, 1, [b"x"], limit) for origin in origins[:3]))
        self.network.run(2)
        for service in ring:
            self.well(service)
        self.assert_confirmed(ring[0], "still-here")
        self.assert_confirmed(ring[1], "here-too")
        for service in ring:
            service.node.log.checkpoint()
            ids = [message.id for message in self.result(service.messages())]
            self.assertEqual(len(ids), len(set(ids)))


class QuotaTests(HostileCase):
    nodes = 4

    def test_one_sender_does_not_push_out_what_others_sent(self):
        ring = self.ring(history_bytes=1 << 20)
        for count in range(5):
            self.assert_confirmed(ring[count % 4], f"kept-{count}")
        peer = self.hostile(ring[0])
        limit = self.ref(ring[0]).raw
        for number in range(1, 41):
            peer.send(peer.bcast(peer.me, number, [bytes(65_000)], limit))
            self.network.run(0.05)
        self.network.run(5)
        for service in ring:
            held = self.bodies(service)
            self.assertEqual([f"kept-{n}" in held for n in range(5)], [True] * 5)


class FileTests(HostileCase):
    nodes = 1

    def test_only_its_own_user_can_read_what_a_node_keeps(self):
        old = os.umask(0o022)
        self.addCleanup(os.umask, old)
        directory = self.state_dir() / "state"
        service = self.service(1, peers=(), state_dir=directory)
        self.network.run(1)
        self.broadcast(service, "private")
        self.assertEqual(stat.S_IMODE(directory.stat().st_mode), 0o700)
        for file in directory.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode) & 0o077, 0, file.name)
