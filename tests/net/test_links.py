"""Which of two connections stays, and how many peers are remembered."""

from __future__ import annotations

from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import Ping, contact
from chordnet.net.base.limits import NetworkLimits
from tests.net.test_transport import A, B, C, TransportCase

D = "10.0.0.4:7001"


class UnevenDialsTests(TransportCase):
    """Two nodes dial each other, one a little later, long after the clock has begun."""

    def assert_smaller_stays(self, smaller_first: bool, later: float) -> None:
        self.clock.advance(1000)
        ends = self.host("a", A), self.host("b", B)
        smaller, greater = sorted(ends, key=lambda host: host.me.raw)
        first, second = (smaller, greater) if smaller_first else (greater, smaller)
        first.send(second, Ping(1))
        self.clock.advance(later)
        second.send(first, Ping(2))
        self.run_for(0.1)
        ((near, _far),) = self.network.connections
        self.assertEqual(near.host, smaller.me.address)
        self.assertEqual((first.got(), second.got()), ([Ping(2)], [Ping(1)]))
        self.assertEqual(first.downs + second.downs, [])

    def test_the_smaller_identifiers_dial_stays_though_it_was_later(self) -> None:
        self.assert_smaller_stays(smaller_first=False, later=0.0005)

    def test_the_smaller_identifiers_dial_stays_if_it_was_the_first(self) -> None:
        self.assert_smaller_stays(smaller_first=True, later=0.0005)

    def test_the_smaller_identifiers_dial_stays_if_it_is_up_already(self) -> None:
        self.assert_smaller_stays(smaller_first=True, later=0.0015)


class RoomTests(TransportCase):
    def test_a_link_in_use_keeps_its_place_and_one_that_leads_nowhere_makes_room(self) -> None:
        a = self.host("a", A, limits=NetworkLimits(max_links=2))
        b, c, d = self.host("b", B), self.host("c", C), self.host("d", D)
        a.send(b, Ping(1))
        a.send(c, Ping(1))
        self.run_for(0.1)
        a.send(d, Ping(1))
        self.run_for(0.1)
        self.assertEqual(a.downs, [("d", LinkFault.UNREACHABLE)])
        self.assertEqual(d.got(), [])
        b.stop()
        self.run_for(5)
        a.send(d, Ping(2))
        a.send(c, Ping(2))
        self.run_for(0.1)
        self.assertEqual(d.got(), [Ping(2)])
        self.assertEqual(c.got(), [Ping(1), Ping(2)])

    def test_as_many_other_names_are_remembered_as_links(self) -> None:
        a, b = self.host("a", A, limits=NetworkLimits(max_links=3)), self.host("b", B)
        for n in range(10):
            name = f"b{n}.example:7001"
            self.network.bind(name, b.door)
            a.send(contact(name), Ping(n))
            self.run_for(0.1)
            self.assertLessEqual(len(a.transport._aliases), 3)
        self.assertEqual(b.got(), [Ping(n) for n in range(10)])
        self.assertGreater(len(a.transport._aliases), 0)
        self.assertEqual(a.downs, [])
