"""Two nodes of one name, with whole services: the first keeps it while it answers."""

from chordnet.core.base.errors import NotInRing
from chordnet.core.base.messages import Status
from chordnet.service import ChordService
from tests.net.test_service import ServiceCase


class NameTests(ServiceCase):
    def states(self) -> list[str]:
        return [s.node.state for s in self.services if s.node is not None]

    def twin_of(self, number: int, place: int, *peers: int, **options) -> ChordService:
        """Start a second node of one name at another address, later than the first."""
        return self.service(place, peers, name=f"Node {number}", **options)

    def receipt(self, service: ChordService) -> tuple[int, int, bool]:
        answer = service.broadcast("apple")
        self.network.run(2)
        receipt = self.successResultOf(answer)
        return receipt.recorded, receipt.members, receipt.partial

    def test_the_second_node_of_a_name_is_refused_in_words_and_the_first_goes_on(self):
        ring = self.ring(4)
        before = ring[2].node.me
        twin = self.twin_of(3, 9, 1, 2)
        joined = twin.joined()
        self.network.run(4)
        self.assertEqual(self.states(), ["active"] * 4 + ["superseded"])
        text = self.failureResultOf(joined, NotInRing).getErrorMessage()
        for address in (self.address(3), self.address(9)):
            self.assertIn(address, text)
        self.assertIn("'Node 3' belongs to the node at", text)
        self.assertEqual(self.successResultOf(twin.status()).reason, text)
        self.failureResultOf(twin.joined(), NotInRing)
        refused = self.failureResultOf(twin.broadcast("apple"), NotInRing).getErrorMessage()
        self.assertIn("superseded", refused)
        self.assertEqual(ring[2].node.me, before)
        for service in ring:
            self.assertEqual(self.receipt(service), (4, 4, False))

    def test_the_second_node_of_a_name_is_refused_where_its_only_peer_is_the_first(self):
        ring = self.ring(2)
        twin = self.twin_of(1, 9, 1)
        self.network.run(4)
        self.assertIs(twin.node.core.status(), Status.SUPERSEDED)
        self.assertEqual(self.receipt(ring[0]), (2, 2, False))

    def test_another_node_may_have_the_name_of_a_node_that_is_gone(self):
        ring = self.ring(4)
        self.network.kill(self.address(3))
        ring[2].stopService()
        self.network.run(3)
        later = self.twin_of(3, 9, 1, 2)
        self.network.run(5)
        self.assertTrue(later.node.joined)
        self.assertEqual(self.receipt(ring[0]), (4, 4, False))

    def test_a_node_that_crashed_starts_again_at_the_same_address(self):
        ring = self.ring(4)
        self.network.kill(self.address(3))
        again = self.service(3, (1, 2))
        self.network.run(4)
        self.assertTrue(again.node.joined)
        self.assertEqual(self.receipt(ring[0]), (4, 4, False))
        self.assertEqual(self.receipt(again), (4, 4, False))

    def test_a_node_starts_again_with_a_clock_that_went_back_and_nothing_on_disk(self):
        ring = self.ring(4)
        before = ring[2].node.me.incarnation
        self.network.kill(self.address(3))
        ring[2].stopService()
        self.network.run(3)
        self.network.wall -= 3600.0
        again = self.service(3, (1, 2))
        self.network.run(6)
        self.assertLess(again.node.me.incarnation, before)
        self.assertTrue(again.node.joined)
        for service in (ring[0], ring[3], again):
            self.assertEqual(self.receipt(service), (4, 4, False))

    def test_a_clock_that_is_behind_by_more_than_a_day_says_so(self):
        self.ring(4)
        self.network.wall -= 3 * 86400.0
        late = self.service(9, (1, 2, 3))
        self.network.run(6)
        status = self.successResultOf(late.status())
        self.assertEqual(status.state, "seeking")
        self.assertIn("the clock of this node is behind", status.reason)

    def test_a_node_that_meets_one_peer_with_another_clock_names_both_clocks(self):
        self.ring(1)
        self.network.wall -= 3 * 86400.0
        late = self.service(9, (1,))
        self.network.run(6)
        reason = self.successResultOf(late.status()).reason
        self.assertIn("more than a day ahead of the clock of", reason)
        self.assertIn(repr(self.services[0].node.me.name), reason)

    def test_a_node_whose_clock_is_far_ahead_is_refused_in_words(self):
        ring = self.ring(3)
        self.network.wall += 3 * 86400.0
        early = self.service(9, (1, 2))
        self.network.wall -= 3 * 86400.0
        self.network.run(6)
        status = self.successResultOf(early.status())
        self.assertEqual(status.state, "seeking")
        self.assertIn("more than a day ahead", status.reason)
        self.assertEqual(self.receipt(ring[0]), (3, 3, False))

    def test_when_rings_merge_that_have_a_twin_each_one_of_them_leaves(self):
        first = [self.service(1, ()), self.service(2, (1,)), self.service(3, (1,))]
        second = [self.service(4, ()), self.service(5, (4,)), self.twin_of(3, 9, 4)]
        self.network.run(4)
        self.assertEqual(self.states(), ["active"] * 6)
        bridge = self.service(6, (1, 4))
        self.network.run(30)
        states = self.states()
        self.assertEqual(sorted(states), ["active"] * 6 + ["superseded"], states)
        gone = next(s for s in (first[2], second[2]) if s.node.state == "superseded")
        self.assertIn(self.address(3), gone.node.reason)
        self.assertIn(self.address(9), gone.node.reason)
        self.assertEqual(len({s.node.core.label for s in self.services if s is not gone}), 1)
        self.assertEqual(self.receipt(bridge), (6, 6, False))
