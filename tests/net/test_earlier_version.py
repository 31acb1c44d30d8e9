"""What version 0.1.0 left on the disk goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

from chordnet.core.base.messages import EdgeKind
from chordnet.storage.log.sqlite import SqliteLog
from chordnet.storage.statedir import StateDirectory
from chordnet.testing import WALL
from tests.net.hostile import HostileCase
from tests.net.hosts import node_ref

LEFT = Path(__file__).parents[1] / "unit" / "state-0.1.0"
LIFE = 1_699_998_000_000
"""Node n began its life then, and n milliseconds."""
TWO, ONE, THREE, FOUR = (
    [f"two-{n}" for n in (5, 6, 7)],
    [f"one-{n}" for n in (1, 2, 3)],
    [f"three-{n}" for n in (1, 2, 5)],
    [f"four-{n} \u00e9" for n in (1, 2)],
)


class StateTests(HostileCase):
    nodes = 2

    def left(self) -> Path:
        """Return a copy of what was left."""
        directory = self.state_dir() / "state"
        shutil.copytree(LEFT, directory)
        return directory

    def test_the_messages_of_an_earlier_version_are_kept_in_their_order_with_their_routes(self):
        directory, warned = self.left(), []
        log = SqliteLog(directory / "messages.db", warn=warned.append, wall=lambda: WALL)
        self.addCleanup(log.close)
        kept = list(log.beyond(-1, 100))
        bodies = [each.record.body.decode() for each in kept]
        self.assertEqual([body[:10] for body in bodies[:3]], [f"dropped-{n}-" for n in (2, 3, 4)])
        self.assertEqual(bodies[3:], [*TWO, *ONE, *THREE, *FOUR])
        self.assertEqual(warned, [])
        five = next(each.record for each in kept if each.record.body == b"three-5")
        self.assertEqual([hop.name for hop in five.route], ["Node 3", "Node 4", "Node 1"])
        self.assertEqual([hop.kind for hop in five.route], [0, 2, int(EdgeKind.CAUGHT_UP)])
        self.assertEqual((five.id.incarnation, five.id.sequence), (LIFE + 3, 5))
        self.assertEqual(five.created, 1_699_999_005.0)

    def test_the_state_of_an_earlier_version_opens_a_second_time_as_the_first_time(self):
        directory = self.left()
        seen = []
        for _ in range(2):
            log = SqliteLog(directory / "messages.db", wall=lambda: WALL)
            seen.append([each.record for each in log.beyond(-1, 100)])
            log.close()
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(len(seen[0]), 14)

    def test_a_node_goes_on_with_the_incarnation_and_the_peers_of_an_earlier_version(self):
        state = StateDirectory(self.left(), self.fail, lambda: LIFE / 1000 - 3600)
        self.addCleanup(state.close)
        self.assertEqual(state.next_incarnation(), LIFE + 2)
        known = {peer.name: (peer.address, peer.incarnation) for peer in state.known_peers()}
        self.assertEqual(known, {f"Node {n}": (f"10.0.0.{n}:7001", LIFE + n) for n in (2, 3, 4)})

    def test_a_node_knows_what_an_earlier_version_recorded_and_takes_what_is_new(self):
        service = self.service(1, state_dir=self.left())
        other = self.service(2)
        self.network.run(5)
        before = self.bodies(service)
        self.assertEqual(before[3:], [*TWO, *ONE, *THREE, *FOUR])
        self.assertEqual(self.broadcast(service, "new").recorded, 2)
        peer, limit = self.hostile(service), self.ref(service).raw
        for number, sequence in ((2, 5), (2, 1), (3, 5), (4, 2), (3, 3)):
            origin = node_ref(f"Node {number}", self.address(number), LIFE + number)
            peer.send(peer.bcast(origin, sequence, [b"again"], limit))
        self.network.run(3)
        # Of Node 3 the number 3 was missing; all others were there already.
        self.assertEqual(self.bodies(service)[len(before) :], ["new", "again"])
        # What it keeps is given to a node that lacks it.
        self.assertLessEqual({*TWO, *ONE, *THREE, *FOUR}, set(self.bodies(other)))
        self.well(service)
