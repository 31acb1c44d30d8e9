"""Each check of a value: what passes to the edge, and the words in which the rest is refused."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ConfigError, LocalProtocolError
from chordnet.net.base.addresses import (
    advertised_address,
    checked_advertise,
    checked_name,
    client_endpoint,
    leads_here,
    source_address,
)
from chordnet.net.base.arguments import CALL, SETTING, shown
from chordnet.net.base.limits import NetworkLimits


class Callable:
    def __call__(self) -> None:
        pass


async def coroutine() -> None:
    pass


class ChecksTests(SynchronousTestCase):
    def test_every_check_lets_through_what_it_says_and_refuses_the_rest_in_words(self) -> None:
        check: Any = SETTING
        inf = float("inf")
        rows: list[tuple[Any, tuple[Any, ...], list[Any], list[Any], str]] = [
            (check.text, (), ["", "a"], [b"a", None, 5], "a text (str)"),
            (
                check.texts, (), [[], ["a"], ("a", "b")], ["a", b"a", [b"a"], ["a", 5], None],
                "a list of texts (str)",
            ),
            (check.count, (), [0, 1], [-1, True, 1.0, "1", None], "a whole number from 0 on"),
            (check.flag, (), [True, False], [0, 1, "yes", None], "True or False"),
            (
                check.seconds, (), [0, 0.0, 1, 0.5], [-0.5, inf, float("nan"), True, "1", None],
                "a number of seconds from 0 on",
            ),
            (check.one_of, (("a", "b"),), ["a", "b"], ["c", "", 5, None], "'a' or 'b'"),
            (check.instance, (int,), [5], ["5", None], "a int"),
            (check.instance, (int, str), [5, "5"], [b"5", None], "a int or str"),
            (check.function, (), [print, Callable()], [None, "print"], "a function"),
            (
                check.plain_function, (), [print, Callable()], [coroutine, None],
                "a plain function (def, not async def)",
            ),
        ]  # fmt: skip
        for method, more, right, wrong, kind in rows:
            for value in right:
                method("it", value, *more)
            for value in wrong:
                error = self.assertRaises(ConfigError, method, "it", value, *more)
                self.assertEqual(str(error), f"it must be {kind}, not {value!r}")

    def test_none_is_an_instance_where_it_may_be(self) -> None:
        SETTING.instance("it", None, int, optional=True)
        error = self.assertRaises(ConfigError, SETTING.instance, "it", "5", int, optional=True)
        self.assertEqual(str(error), "it must be a int, not '5'")

    def test_a_span_is_a_limit_and_a_place(self) -> None:
        CALL.span(0, "")
        for limit, since, text in (
            (-1, "", "limit must be a whole number from 0 on, not -1"),
            (0, None, "since must be a text (str), not None"),
        ):
            error = self.assertRaises(LocalProtocolError, CALL.span, limit, since)
            self.assertEqual(str(error), text)

    def test_an_object_must_have_all_the_methods_and_an_example_is_named(self) -> None:
        SETTING.methods("reactor", Clock(), ("seconds", "callLater"), "so")
        wrong = object()
        error = self.assertRaises(
            ConfigError, SETTING.methods, "reactor", wrong, ("__str__", "seconds"), "it so"
        )
        self.assertEqual(str(error), f"reactor cannot be {wrong!r}; write it so")

    def test_a_value_is_shown_in_60_letters(self) -> None:
        self.assertEqual(shown("x" * 58), repr("x" * 58))
        self.assertEqual(shown("x" * 59), "'" + "x" * 59 + "...")
        self.assertEqual(shown(10**5000), "a number of very many digits")

    def test_each_limit_of_connections_is_a_number_above_0_and_whole_where_it_counts(self) -> None:
        self.assertEqual(NetworkLimits(max_peers=1, idle_s=0.001).idle_s, 0.001)
        self.assertEqual(NetworkLimits(idle_s=5).idle_s, 5)
        above, whole = "greater than 0", "a whole number"
        rows: list[tuple[str, Any, str]] = [
            ("max_peers", 0, above), ("max_peers", -1, above), ("max_peers", True, above),
            ("max_peers", "5", above), ("max_peers", None, above), ("max_peers", 1.5, whole),
            ("idle_s", 0, above), ("idle_s", 0.0, above), ("idle_s", float("nan"), above),
            ("idle_s", True, above), ("idle_s", "5", above),
        ]  # fmt: skip
        for name, value, kind in rows:
            error = self.assertRaises(ConfigError, NetworkLimits, **{name: value})
            self.assertEqual(str(error), f"{name} must be {kind}, not {value!r}")


class AddressTests(SynchronousTestCase):
    def test_a_name_has_1_to_255_printable_characters(self) -> None:
        self.assertEqual(checked_name("name", "x" * 255), "x" * 255)
        for wrong in ("", "x" * 256, "a\nb"):
            error = self.assertRaises(ConfigError, checked_name, "name", wrong)
            self.assertEqual(str(error), f"name {wrong!r} must be 1 to 255 printable characters")

    def test_a_literal_address_is_dialled_as_it_is_and_a_name_is_resolved(self) -> None:
        clock: Any = Clock()
        rows: list[tuple[str, type, Any]] = [
            ("10.0.0.1:5", TCP4ClientEndpoint, ("10.0.0.1", 5, 2.5)),
            ("[::1]:5", TCP6ClientEndpoint, ("::1", 5, 2.5)),
        ]
        for address, kind, expected in rows:
            endpoint: Any = client_endpoint(clock, address, 2.5)
            self.assertIs(type(endpoint), kind)
            self.assertEqual((endpoint._host, endpoint._port, endpoint._timeout), expected)

    def test_a_name_is_resolved_by_the_reactor_in_its_own_letters(self) -> None:
        from twisted.internet.testing import MemoryReactorClock  # noqa: PLC0415

        reactor: Any = MemoryReactorClock()
        endpoint: Any = client_endpoint(reactor, "bücher.example:5", 2.5)
        self.assertIs(type(endpoint), HostnameEndpoint)
        self.assertEqual((endpoint._hostBytes, endpoint._port), (b"xn--bcher-kva.example", 5))
        self.assertEqual(endpoint._timeout, 2.5)

    def test_an_address_of_this_machine_leads_to_it_unless_it_names_none_or_an_interface(
        self,
    ) -> None:
        rows = [
            ("10.0.0.1", True), ("127.0.0.1", True), ("2001:db8::1", True), ("::1", True),
            ("0.0.0.0", False), ("::", False), ("", False), ("fe80::1", False),
        ]  # fmt: skip
        for host, expected in rows:
            self.assertIs(leads_here(host), expected, host)

    def test_the_address_towards_others_is_one_of_this_machine_or_none(self) -> None:
        expected = None
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
            contextlib.suppress(OSError),
        ):
            probe.connect(("192.0.2.1", 9))
            expected = probe.getsockname()[0]
        self.assertEqual(source_address(socket.AF_INET), expected)

    def test_what_is_advertised_has_the_bound_port_unless_it_names_one(self) -> None:
        here = IPv4Address("TCP", "127.0.0.1", 7001)
        rows = [
            ("host", "host:7001"),
            ("host:0", "host:7001"),
            ("host:5", "host:5"),
            ("::1", "[::1]:7001"),
            ("[::1]:5", "[::1]:5"),
            ("10.0.0.5", "10.0.0.5:7001"),
            (None, "127.0.0.1:7001"),
            ("", "127.0.0.1:7001"),
        ]
        for advertise, expected in rows:
            self.assertEqual(advertised_address(here, advertise), expected, advertise)
        there = IPv6Address("TCP", "::1", 7001)
        self.assertEqual(advertised_address(there, None), "[::1]:7001")

    def test_what_listens_on_no_port_has_a_port_only_if_one_is_named(self) -> None:
        self.assertEqual(advertised_address(UNIXAddress("/x"), "host:5"), "host:5")
        self.assertRegex(advertised_address(UNIXAddress("/x"), None), ":0$")

    def test_why_an_address_cannot_be_advertised_is_said(self) -> None:
        for wrong, host in (("0.0.0.0", "0.0.0.0"), ("[::]:5", "::"), ("0.0.0.0:5", "0.0.0.0")):
            error = self.assertRaises(ConfigError, checked_advertise, wrong)
            self.assertEqual(
                str(error), f"{wrong!r} cannot be advertised: no node can connect to {host}"
            )
