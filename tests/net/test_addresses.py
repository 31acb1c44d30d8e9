"""The address that a node advertises, by what it listens on and what the machine has."""

from __future__ import annotations

import socket

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ConfigError
from chordnet.net.base.addresses import advertised_address, checked_advertise, own_address
from chordnet.net.links.listening import check_port


class OwnAddressTests(SynchronousTestCase):
    def own(self, *, listens_on_ipv6: bool, ipv4: str = "", ipv6: str = "") -> str:
        has = {socket.AF_INET: ipv4 or None, socket.AF_INET6: ipv6 or None}
        return own_address(ipv6=listens_on_ipv6, source=has.__getitem__)

    def test_a_machine_with_ipv6_alone_advertises_that_address(self) -> None:
        self.assertEqual(self.own(listens_on_ipv6=True, ipv6="2001:db8:5::7"), "2001:db8:5::7")

    def test_ipv4_comes_first_where_there_is_both(self) -> None:
        self.assertEqual(self.own(listens_on_ipv6=True, ipv4="10.0.0.5", ipv6="::7"), "10.0.0.5")

    def test_a_port_of_ipv4_alone_never_advertises_ipv6(self) -> None:
        self.assertEqual(self.own(listens_on_ipv6=False, ipv6="2001:db8:5::7"), "127.0.0.1")

    def test_a_machine_without_a_way_out_advertises_itself(self) -> None:
        self.assertEqual(self.own(listens_on_ipv6=True), "::1")

    def test_an_interface_is_advertised_as_it_is(self) -> None:
        here = IPv4Address("TCP", "127.0.0.1", 7001)
        self.assertEqual(advertised_address(here, None), "127.0.0.1:7001")
        there = IPv6Address("TCP", "2001:db8:5::7", 7001)
        self.assertEqual(advertised_address(there, None), "[2001:db8:5::7]:7001")

    def test_what_can_be_nobodys_address_is_refused_beforehand(self) -> None:
        for wrong in ("0.0.0.0", "::", "0.0.0.0:7001", "a:b:c", "host:70000"):
            self.assertRaises(ConfigError, checked_advertise, wrong)
        for right in ("host", "host:0", "10.0.0.5:7001", "::1", "[::1]:7001"):
            self.assertEqual(checked_advertise(right), right)
        self.assertEqual([checked_advertise(none) for none in (None, "", "auto")], [None] * 3)


class PortTests(SynchronousTestCase):
    def test_a_hint_fits_its_reason(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            taken = server.getsockname()[1]
            text = str(self.assertRaises(ConfigError, check_port, taken, "127.0.0.1"))
        self.assertIn("is another program using it?", text)
        text = str(self.assertRaises(ConfigError, check_port, 0, "192.0.2.77"))
        self.assertTrue(text.endswith("; this machine has no such address"), text)
        check_port(0, None)

    def test_connections_of_the_past_are_no_obstacle(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)) as client:
                accepted, _address = server.accept()
                accepted.close()  # the side that closes first keeps the port for a while
                self.assertEqual(client.recv(1), b"")
        check_port(port, "127.0.0.1")
