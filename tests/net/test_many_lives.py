"""What a node holds after others have died and come back many times."""

from __future__ import annotations

import gc

from chordnet.net.links.dialler import Dial
from tests.net.hostile import HostileCase


class ManyLivesTests(HostileCase):
    nodes = 3

    def setUp(self):
        super().setUp()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    def live(self, times: int) -> int:
        """Let the last node die and come back; return how many dials of the others there are."""
        for _ in range(times):
            gone = self.services.pop()
            self.network.kill(self.address(self.nodes))
            gone.stopService()
            self.network.run(1.5)
            self.broadcast(self.services[0], "without")
            self.service(self.nodes)
            self.network.run(4)
            self.assert_confirmed(self.services[0], f"with-{self.clock.seconds()}")
        turns = [service.node.turn for service in self.services[:-1]]
        return sum(isinstance(each, Dial) and each._turn in turns for each in gc.get_objects())

    def test_dials_to_a_node_that_dies_again_and_again_are_freed_without_the_collector(self):
        self.ring()
        self.assertEqual([self.live(2), self.live(6)], [0, 0])
