"""A node that was given peers and meets none of them: in no ring, and it says why."""

from twisted.internet.defer import CancelledError

from chordnet.core.base.effects import StatusChanged
from chordnet.core.base.errors import ConfigError, NotInRing, TimedOut
from chordnet.core.base.messages import Status
from tests.net.test_service import ServiceCase


class SeekingTests(ServiceCase):
    def assert_seeking(self, service, *words: str) -> None:
        self.assertIs(service.node.core.status(), Status.SEEKING)
        status = self.successResultOf(service.status())
        self.assertEqual(status.state, "seeking")
        self.assertEqual(status.ring, "")
        problem = self.failureResultOf(service.broadcast("apple"), NotInRing).getErrorMessage()
        for word in words:
            self.assertIn(word, status.reason)
            self.assertIn(word, problem)

    def test_a_node_whose_peers_nobody_listens_at_is_seeking(self):
        service = self.service(1, (2, 3))
        joined = service.joined()
        self.network.run(6)
        self.assertNoResult(joined)
        self.assert_seeking(service, "10.0.0.2:7001: ", "10.0.0.3:7001: ", "refused")
        self.failureResultOf(self.stopped(service, joined), NotInRing)

    def stopped(self, service, deferred):
        service.stopService()
        self.network.run(3)
        return deferred

    def test_a_node_whose_peer_is_of_another_network_is_seeking(self):
        self.service(2, network="other")
        self.assert_seeking_after(6, self.service(1, (2,)), "this is network 'other'")

    def assert_seeking_after(self, seconds: float, service, *words: str) -> None:
        self.network.run(seconds)
        self.assert_seeking(service, *words)

    def test_a_node_whose_peers_are_unreachable_is_seeking(self):
        self.network.unreachable.add(self.address(2))
        self.assert_seeking_after(8, self.service(1, (2,)), "10.0.0.2:7001")

    def test_a_node_becomes_a_member_as_soon_as_a_peer_answers(self):
        service = self.service(1, (2,))
        joined = service.joined()
        self.network.run(6)
        self.service(2)
        self.network.run(2)
        self.successResultOf(joined)
        receipt = service.broadcast("apple")
        self.network.run(1)
        self.assertEqual(self.successResultOf(receipt).recorded, 2)

    def test_two_nodes_that_wait_for_each_other_find_together(self):
        first = self.service(1, (2,))
        self.network.run(6)
        self.assert_seeking(first)
        second = self.service(2, (1,))
        self.network.run(4)
        self.assertTrue(first.node.active)
        self.assertTrue(second.node.active)
        self.assertEqual(first.node.core.label, second.node.core.label)

    def test_a_nodes_own_address_among_its_peers_is_no_peer(self):
        service = self.service(1, (1,))
        self.network.run(1)
        self.assertTrue(service.node.active)

    def test_a_nodes_own_address_by_another_name_is_no_peer(self):
        service = self.network.service(self.address(1), ["localhost:7001"], name="Node 1")
        self.services.append(service)
        service.startService()
        self.network.bind("localhost:7001", service._life._entrance)
        self.network.run(1)
        self.assertTrue(service.node.active)
        self.network.unbind("localhost:7001")

    def test_a_node_that_is_alone_on_purpose_waits_for_no_peer(self):
        service = self.service(1, (2,), alone=True)
        self.network.run(4)
        self.assertTrue(service.node.active)

    def test_a_client_may_have_a_node_begin_a_ring(self):
        service = self.service(1, (2,))
        self.network.run(6)
        client = self.client(1)
        begun = client.begin()
        self.network.run(1)
        self.successResultOf(begun)
        self.assertTrue(service.node.active)
        self.assertEqual(service.node.core.label.epoch, 1)

    def test_the_program_may_have_a_node_begin_a_ring(self):
        service = self.service(1, (2,))
        self.network.run(1)
        self.successResultOf(service.begin())
        self.network.run(0.1)
        self.assertTrue(service.node.active)
        self.assertFalse(self.failed(service.begin()), "in a ring it changes nothing")

    def failed(self, deferred) -> bool:
        return self.successResultOf(deferred) is not None

    def test_a_member_that_is_left_alone_stays_one(self):
        first, second = self.service(1), self.service(2, (1,))
        self.network.run(4)
        self.network.kill(self.address(1))
        first.stopService()
        self.network.run(10)
        self.assertTrue(second.node.active)

    def test_why_a_node_is_seeking_is_told_once(self):
        service = self.service(1, (2,))
        changes: list[StatusChanged] = []
        service.on(StatusChanged, changes.append)
        self.network.run(20)
        (change,) = changes
        self.assertIs(change.new, Status.SEEKING)
        self.assertIn("10.0.0.2:7001: ", change.reason)


class SettledTests(ServiceCase):
    def test_a_wait_for_so_many_members_ends_with_all_of_them(self):
        ring = self.ring(4)
        settled = ring[2].settled(members=4)
        self.network.run(0.2)
        members = self.successResultOf(settled)
        self.assertEqual(members[0].name, "Node 3")
        self.assertEqual(sorted(m.name for m in members), [f"Node {n}" for n in range(1, 5)])

    def test_a_wait_for_so_many_members_waits_for_those_that_come_later(self):
        first = self.service(1)
        settled = first.settled(members=2)
        self.network.run(3)
        self.assertNoResult(settled)
        self.service(2, (1,))
        self.network.run(2)
        self.assertEqual(len(self.successResultOf(settled)), 2)

    def test_a_wait_whose_time_is_up_says_what_was_seen(self):
        ring = self.ring(2)
        settled = ring[0].settled(members=3, timeout_s=2.0)
        self.network.run(3)
        text = self.failureResultOf(settled, TimedOut).getErrorMessage()
        self.assertEqual(text, "no ring of 3 members after 2 s: the ring has 2")

    def test_a_wait_is_given_up_at_the_end_of_its_time_and_not_before(self):
        service = self.service(1)
        self.network.run(1)
        settled = service.settled(members=2, timeout_s=0.25)
        self.clock.advance(0.1)
        self.clock.advance(0.1)
        self.clock.advance(0.0625)
        self.assertNoResult(settled)
        self.clock.advance(0.0375)
        self.failureResultOf(settled, TimedOut)
        settled = service.settled(members=2, timeout_s=0)
        self.failureResultOf(settled, TimedOut)

    def test_a_ring_that_is_larger_than_awaited_does_not_count(self):
        ring = self.ring(3)
        settled = ring[0].settled(members=2, timeout_s=1.0)
        self.network.run(2)
        text = self.failureResultOf(settled, TimedOut).getErrorMessage()
        self.assertIn("there are more than 2 members", text)

    def test_a_stop_ends_the_wait(self):
        service = self.service(1)
        settled = service.settled(members=2)
        self.network.run(1)
        service.stopService()
        self.network.run(3)
        self.failureResultOf(settled, NotInRing)

    def test_when_a_stop_is_over_nobody_waits_any_more(self):
        service = self.service(1)
        settled = service.settled(members=2)
        self.network.run(1)
        ended = []
        service.stopService().addCallback(lambda _none: ended.append(settled.called))
        self.network.run(3)
        self.assertEqual(ended, [True])
        self.failureResultOf(settled, NotInRing)

    def test_numbers_that_no_ring_can_have_as_members_are_refused(self):
        service = self.service(1)
        for members in (0, -1, "5", True, 2.0, None):
            self.failureResultOf(service.settled(members), ConfigError)

    def test_a_cancelled_wait_leaves_nothing(self):
        service = self.service(1)
        settled = service.settled(members=2)
        self.network.run(1)
        settled.cancel()
        self.failureResultOf(settled, CancelledError)
