"""A program on a plain connection greets under the names of others; they keep them."""

from __future__ import annotations

from chordnet.core.base.messages import Ping
from tests.net.hostile import HostileCase

NUMBERS = 512


class NameTests(HostileCase):
    def test_a_greeting_from_the_far_future_takes_no_name_away(self):
        ring = self.ring()
        directory = self.state_dir()
        late = self.service(9, state_dir=directory)
        self.nodes = 9
        self.network.run(4)
        for service in (*ring[:4], *ring[5:], late):
            peer = self.hostile(service, "Node 5", incarnation=(1 << 62) - 1, expect=False)
            peer.send(Ping(1))
        self.network.run(5)
        self.assert_confirmed(ring[4], "still-here")
        self.assert_confirmed(ring[0], "and-the-others")
        self.result(late.stopService(), 8)
        self.services.remove(late)
        self.nodes = 8
        self.assertNotIn(str((1 << 62) - 1), (directory / "peers.json").read_text("utf-8"))
        # It comes back after a restart, as any node does.
        self.result(ring[4].stopService(), 8)
        self.network.run(2)
        ring[4].startService()
        self.network.run(5)
        self.assert_confirmed(ring[4], "back-again")
