"""Names and addresses: which are usable, and what is said of those that are not."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ConfigError
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.naming import (
    Names,
    format_address,
    parse_address,
    usable_address,
    usable_name,
)

IMPOSSIBLE_HOSTS = (
    "a..b", ".a", "a" * 64, "a." + "b" * 64 + ".org", "é" * 64, "a\0b", "a\x1bb", "a b", "-@-", "",
    "x." * 150 + "org",
)  # fmt: skip


class AddressTests(SynchronousTestCase):
    def test_hosts_that_no_resolver_can_be_asked_for_are_refused_in_one_line(self):
        for host in IMPOSSIBLE_HOSTS:
            error = self.assertRaises(ConfigError, parse_address, f"{host}:7001")
            self.assertNotIn("\n", str(error))
            self.assertIn("HOST:PORT", str(error))
            self.assertLess(len(str(error)), 600)
            self.assertFalse(usable_address(f"{host}:7001"), host)

    def test_a_complaint_quotes_120_letters_of_an_address(self):
        for text in ("x" * 300, "x" * 300 + ":0"):
            error = str(self.assertRaises(ConfigError, parse_address, text))
            self.assertTrue(error.startswith(f"'{'x' * 120}' "), error)
        error = str(self.assertRaises(ConfigError, parse_address, "y" * 200 + ":1"))
        self.assertIn(f"'{'y' * 120}' is not an address: '{'y' * 120}' cannot be", error)

    def test_what_is_no_port_is_refused_however_long_it_is(self):
        for port in ("", "x", "-1", "65536", "1" * 5000, "٣"):
            self.assertRaises(ConfigError, parse_address, f"host:{port}")

    def test_names_and_literal_addresses_are_taken(self):
        for text, parsed in (
            ("host:1", ("host", 1)),
            ("my_host.example.org:65535", ("my_host.example.org", 65535)),
            ("münchen.de:7001", ("münchen.de", 7001)),
            ("a.org.:7001", ("a.org.", 7001)),
            ("127.0.0.1:7001", ("127.0.0.1", 7001)),
            ("[::1]:7001", ("::1", 7001)),
            ("[fe80::1%eth0]:7001", ("fe80::1%eth0", 7001)),
            ("tcp:host:7001", ("host", 7001)),
        ):
            self.assertEqual(parse_address(text), parsed)

    def test_brackets_and_colons_are_taken_around_and_in_ipv6_addresses_alone(self):
        for text in ("[::1:1", "::1]:1", "[host:1", "host]:1", "[]:1", "a:b:1", "[a:b]:1", "::g:1"):
            self.assertRaises(ConfigError, parse_address, text)
        self.assertEqual(parse_address("::1:1"), ("::1", 1))
        self.assertEqual(parse_address("[host]:1"), ("host", 1))

    def test_port_0_is_taken_only_where_any_port_will_do(self):
        self.assertRaises(ConfigError, parse_address, "host:0")
        self.assertEqual(parse_address("host:0", any_port=True), ("host", 0))

    def test_a_node_advertises_no_endpoint_s_description(self):
        self.assertFalse(usable_address("tcp:host:7001"))
        self.assertTrue(usable_address(format_address("::1", 7001)))


class NameTests(SynchronousTestCase):
    def test_names_are_short_and_printable(self):
        for name in ("1", "Node 1", "ñandú", "x" * 255):
            self.assertTrue(usable_name(name), name)
        for name in ("", "x" * 256, "a\nb", "a\x7f", "a\x9b", "\u202ea", "a\u2028b", "\ud800"):
            self.assertFalse(usable_name(name), name)

    def test_an_identifier_belongs_to_a_name_and_to_no_other(self):
        space = IdentifierSpace(160)
        names = Names(space)
        self.assertEqual(names.identifier("Node 1"), space.raw(space.hash(b"Node 1")))
        self.assertIsNone(names.identifier("Node\n1"))
