"""What a client may do at a node: roles, the cookie, and what the node's log says of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from chordnet import ChordService, P2PNetClient
from chordnet.client.cookies import Cookies
from chordnet.core.base.errors import ConfigError, NotPermitted, Refused
from chordnet.home import make_cookie
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.serve.calls import CALLS
from chordnet.net.serve.permissions import Permissions
from chordnet.net.store.keys import BEGIN
from chordnet.settings import NodeSettings
from chordnet.trust.base.subjects import Role, Subject
from chordnet.wire.rpc import ClientRequest
from chordnet.wire.trust.cookies import Shown, show
from tests.net.fake_store import FakeStore
from tests.net.test_service import COOKIE, ServiceCase

ROLES: dict[str, str] = {
    "read": (
        "CanStop Follow GetCertificates GetHeldKeys GetHistory GetKey GetMembers GetMessages"
        " GetStatus GetStoreState GetTrace GetTrails InspectKey Lookup Unfollow WatchKey"
    ),
    "send": "DeleteKey PutKey SendMessage",
    "operate": (
        "AskIssuerKey BeginRing BeginStore CertifyIssuer GiveBundle Invite LeaveRing RecoverSlots"
        " SetStoreAside VacateSeats"
    ),
}
NOW = 1_790_000_000.0


class RoleTests(SynchronousTestCase):
    def test_every_request_needs_the_role_that_is_written_down_here(self) -> None:
        found = {call.request.__name__: call.role for call in CALLS}
        expected = {name: role for role, names in ROLES.items() for name in names.split()}
        self.assertEqual(found, expected)
        self.assertEqual(set(found), {each.__name__ for each in get_args(ClientRequest)})

    def test_a_certificate_allows_what_its_role_covers_and_a_refusal_names_both(self) -> None:
        permissions = Permissions([COOKIE], {7001}, lambda: NOW)
        order = [Role.PEER, Role.READ, Role.SEND, Role.OPERATE]
        for has, role in enumerate(order):
            subject = Subject("0" * 32, role, "ada", 1, NOW - 1, NOW + 1)
            access = permissions.access(subject, show([COOKIE], NOW, 7001))
            for needs, needed in enumerate(order[1:], 1):
                if needs <= has:
                    access.require(needed, "leaving")
                    continue
                problem = self.assertRaises(NotPermitted, access.require, needed, "leaving")
                self.assertEqual(
                    str(problem),
                    f"leaving takes a certificate with the role {needed}, and this client is 'ada'"
                    f" ({role})",
                )

    def test_every_call_that_is_refused_says_what_it_does(self) -> None:
        for call in CALLS:
            if call.role != "read":
                self.assertRegex(call.doing, "^[a-z]+ing\\b", call.request.__name__)


class CookieTests(SynchronousTestCase):
    """What a node makes of what a client has shown."""

    def why(self, shown: Shown | None, cookies: tuple[bytes, ...] = (COOKIE,)) -> str:
        access = Permissions(cookies, {7001, 9001}, lambda: NOW).access(None, shown)
        if access.role == "operate":
            access.require(Role.OPERATE, "leaving")
            return ""
        self.assertEqual(access.role, "send")
        problem = self.assertRaises(NotPermitted, access.require, Role.OPERATE, "leaving")
        self.assertTrue(str(problem).startswith("leaving takes the node's cookie, and "))
        return str(problem).removeprefix("leaving takes the node's cookie, and ")

    def test_the_cookie_at_the_nodes_port_and_time_opens(self) -> None:
        for at in (NOW, NOW + 120, NOW - 120):
            for port in (7001, 9001):
                self.assertEqual(self.why(show([b"other", COOKIE], at, port)), "")

    def test_each_thing_that_is_wrong_has_a_sentence_of_its_own(self) -> None:
        for shown, said in (
            (None, "this client showed none"),
            (Shown(int(NOW), 7001, []), "this client showed none"),
            (show([b"other"], NOW, 7001), "this client showed another one"),
            (
                show([COOKIE], NOW, 7002),
                "this client showed it for port 7002, but the node is at port 7001 or 9001",
            ),
            (show([COOKIE], NOW + 121, 7001), "this client's clock is 121 s ahead of the node's"),
            (show([COOKIE], NOW - 500, 7001), "this client's clock is 500 s behind the node's"),
        ):
            self.assertEqual(self.why(shown), said)

    def test_nothing_opens_a_node_without_a_cookie(self) -> None:
        said = "this node has none: start it with a state directory, or with --cookie FILE"
        for shown in (None, show([b""], NOW, 7001)):
            self.assertEqual(self.why(shown, ()), said)


class ClientTests(SynchronousTestCase):
    """Where a client finds cookies, and to whom it shows them."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.environment = {"CHORDNET_HOME": str(self.home)}

    def cookies(self, cookie: Any = None, network: str = "") -> Cookies:
        return Cookies(cookie, network, self.environment, lambda: NOW)

    def test_what_is_in_the_users_directory_is_shown_to_nodes_of_this_machine_alone(self) -> None:
        made = make_cookie(self.home / "cookie")
        for address, port in (("127.0.0.1:7001", 7001), ("[::1]:7002", 7002), ("localhost:5", 5)):
            self.assertEqual(self.cookies().shown(address), show([made], NOW, port))
        for address in ("192.0.2.1:7001", "example.org:7001", "0.0.0.0:7001"):
            self.assertIsNone(self.cookies().shown(address), address)

    def test_what_the_program_names_is_shown_to_every_node_and_nothing_else(self) -> None:
        make_cookie(self.home / "cookie")
        path = self.home / "named"
        named = make_cookie(path)
        for cookie in (path, str(path), named):
            shown = self.cookies(cookie).shown("192.0.2.1:7001")
            self.assertEqual(shown, show([named], NOW, 7001))

    def test_a_file_that_cannot_be_used_is_refused_when_the_client_is_made(
        self,
    ) -> None:
        problem = self.assertRaises(
            ConfigError, P2PNetClient, "127.0.0.1:1", cookie=self.home / "none", reactor=Clockless()
        )
        self.assertIn(f"the cookie {self.home / 'none'} cannot be read", str(problem))

    def test_a_refusal_says_where_the_cookie_was_looked_for(self) -> None:
        home, refused = self.home, NotPermitted("leaving takes the cookie")
        local = ", for nodes of this machine"
        nobody = "~nobody-of-that-name"
        nowhere = (
            f"CHORDNET_HOME is '{nobody}', and '{nobody}' has no home directory here; name a"
            " directory in full"
        )
        for cookies, said in (
            (
                self.cookies(network="blue"),
                f"it was looked for in {home}/networks/blue/cookie and {home}/cookie{local}",
            ),
            (self.cookies(b"1"), "shown was the program's own"),
            (
                Cookies(None, "", {"CHORDNET_HOME": nobody}),
                f"it was looked for nowhere: {nowhere}",
            ),
        ):
            self.assertEqual(str(cookies.explained(refused)), f"{refused} ({said})")
        other = ConfigError("something else")
        self.assertIs(self.cookies().explained(other), other)


class Clockless:
    """As much of a reactor as a client looks at when it is made."""

    def seconds(self) -> float:
        return 0.0

    def callLater(self, *_what: object) -> None:
        raise AssertionError("nothing is to be dialled")


@contextmanager
def events(audit: list[LogEvent]) -> Iterator[None]:
    """Collect the events of the log that are about what was operated."""

    def observe(event: LogEvent) -> None:
        if "audit" in event:
            audit.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)


def told(audit: list[LogEvent]) -> list[tuple[str, str]]:
    """Return what was done and how it ended, of each event."""
    return [(event.get("what", ""), event["outcome"]) for event in audit]


class NodeTests(ServiceCase):
    """Clients of nodes in a network in memory."""

    def stranger(self) -> P2PNetClient:
        return self.client(1, cookie=Cookies(b"another cookie", wall=self.wall))

    def test_who_has_no_cookie_may_ask_and_send_and_operates_nothing(self) -> None:
        store = FakeStore(self.wall)
        (service,) = self.ring(1, keys=store)
        client = self.stranger()
        self.assertEqual(self.result(client.status()).state, "active")
        self.assertEqual(self.result(client.send_message("apple")).recorded, 1)
        self.assertEqual(self.result(client.put("k", b"v")).version, 1)
        for call, doing in (
            (client.leave, "making the node leave"),
            (client.begin, "making the node create a ring"),
            (client.vacate, "making the node give up its slots"),
            (lambda: client.recover([1]), "recovering slots of the store"),
            (lambda: client.begin_store(["Node 1"]), "beginning a store"),
            (lambda: client.set_store_aside("abcd"), "setting the node's store aside"),
        ):
            text = self.failure(call(), NotPermitted)
            said = f"{doing} takes the node's cookie, and this client showed another one"
            self.assertEqual(text, f"{said} (shown was the program's own)")
        self.assertTrue(service.node.active)
        self.assertEqual(service.node.counters()["requests_not_permitted"], 6)

    def test_who_has_the_cookie_may_make_the_node_leave(self) -> None:
        services = self.ring(2)
        self.assertIsNone(self.result(self.client(1).leave(), 8))
        self.assertFalse(services[0].node.active)

    def test_who_operates_leaves_lines_in_the_log_with_who_it_was_and_what_came_of_it(
        self,
    ) -> None:
        self.ring(2, store="none")
        client, audit = self.client(1), list[LogEvent]()
        with events(audit):
            self.failure(client.set_store_aside("abcd\n"), Exception)
            self.result(client.leave(), 8)
        again = "so ask again in a moment, or begin one"
        self.assertEqual(
            told(audit),
            [
                (
                    "setting the node's store aside (formation='abcd\\n')",
                    f"failed: Node 1 has met no store yet, {again}: {BEGIN}",
                ),
                ("making the node leave", "begun"),
                ("making the node leave", "done"),
            ],
        )
        for event in audit:
            self.assertEqual(event["audit"], "operate")
            self.assertEqual(event["who"], "a client with the cookie")
            self.assertTrue(event["address"].startswith("10.9.9.9:"))
            self.assertEqual(event["node"], "Node 1")

    def test_what_strangers_try_is_logged_and_does_not_flood_the_log(self) -> None:
        self.ring(1)
        client, audit = self.stranger(), list[LogEvent]()
        with events(audit):
            for _ in range(50):
                self.failure(client.vacate(), NotPermitted, 0.1)
        self.assertLessEqual(len(audit), 6)
        self.assertTrue(audit[0]["outcome"].startswith("making the node give up its slots takes"))

    def test_what_is_asked_and_sent_leaves_no_such_line(self) -> None:
        self.ring(1, keys=FakeStore(self.wall), operate_keys="ops/")
        client, audit = self.client(1), list[LogEvent]()
        with events(audit):
            self.result(client.status())
            self.result(client.send_message("apple"))
            self.result(client.put("k", b"v"))
        self.assertEqual(audit, [])

    def test_places_are_kept_for_clients_that_show_the_cookie(self) -> None:
        limits = NetworkLimits(max_clients=1, kept_clients=1)
        (service,) = self.ring(1, limits=limits)
        self.client(1).follow(lambda _message: None)  # keeps its place
        self.network.run(1)
        text = self.failure(self.stranger().status(), Refused)
        self.assertIn("as many clients as it accepts", text)
        self.assertEqual(self.result(self.client(1).status()).node.name, "Node 1")
        self.assertEqual(service._life.desk.clients, 2)


class KeptKeyTests(ServiceCase):
    """Keys that are written by operators alone."""

    def setUp(self) -> None:
        super().setUp()
        self.store = FakeStore(self.wall)
        (self.node,) = self.ring(1, keys=self.store, operate_keys="ops/")

    def test_who_may_not_operate_reads_them_and_writes_only_others(self) -> None:
        client = self.client(1, cookie=Cookies(b"another cookie", wall=self.wall))
        for write in (client.put("ops/plan", b"v"), client.delete("ops/plan")):
            text = self.failure(write, NotPermitted)
            said = "keys that begin with 'ops/' are written by operators alone (--operate-keys)"
            self.assertTrue(text.startswith(said), text)
        self.assertEqual(self.store.asked, [])
        self.assertIsNone(self.result(client.get("ops/plan")))
        for other in ("op", "ops", "x/ops/", "OPS/"):
            self.assertEqual(self.result(client.put(other, b"v")).version, 1, other)

    def test_who_may_operate_writes_them_and_each_write_is_a_line(self) -> None:
        client, audit = self.client(1), list[LogEvent]()
        with events(audit):
            self.assertEqual(self.result(client.put("ops/plan", b"secret")).version, 1)
            self.result(client.delete("ops/plan"))
        lines = told(audit)
        self.assertEqual([outcome for _what, outcome in lines], ["done", "done"])
        self.assertTrue(lines[0][0].startswith("writing a key (key='ops/plan', "), lines[0])
        self.assertTrue(lines[1][0].startswith("deleting a key (key='ops/plan', "), lines[1])
        self.assertNotIn("secret", str(audit))

    def test_the_program_that_runs_the_node_writes_them(self) -> None:
        self.assertEqual(self.result(self.node.put("ops/plan", b"v")).version, 1)


class ExposureTests(ServiceCase):
    """Who can reach a node, and which nodes do not start."""

    def test_each_place_to_listen_is_loopback_insecure_or_refused(self) -> None:
        for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1", "localhost"):
            self.assertEqual(NodeSettings().security(host), "loopback", host)
            self.assertEqual(NodeSettings(insecure=True).security(host), "loopback", host)
        for host in ("0.0.0.0", "::", "", "192.0.2.1", "example.org", "2001:db8::1"):
            self.assertEqual(NodeSettings(insecure=True).security(host), "insecure", host)
            problem = str(self.assertRaises(ConfigError, NodeSettings().security, host))
            self.assertIn("--join TOKEN (from p2pnet invite) or --identity DIR", problem)
            self.assertIn("--insecure", problem)
        self.assertEqual(NodeSettings().security(None), "loopback", "no address of a machine")

    def test_a_node_on_loopback_with_a_peer_on_another_machine_is_refused(self) -> None:
        settings = NodeSettings(peers=["127.0.0.1:7001", "192.0.2.12:7001"])
        problem = str(self.assertRaises(ConfigError, settings.security, "127.0.0.1"))
        self.assertEqual(
            problem,
            "the peer 192.0.2.12:7001 is on another machine, which does not reach this node on"
            " 127.0.0.1: have it listen for others with --join TOKEN (from p2pnet invite) or"
            " --identity DIR, or for anybody with --insecure",
        )
        said = NodeSettings(peers=["192.0.2.12:7001"], advertise="192.0.2.1:7001")
        self.assertEqual(said.security("127.0.0.1"), "loopback", "something passes it on")

    def test_a_service_that_others_would_reach_does_not_start_and_holds_no_port(self) -> None:
        service = self.network.service(self.address(1), insecure=False)
        problem = self.failureResultOf(self.started(service)).value
        self.assertIsInstance(problem, ConfigError)
        self.assertEqual(
            str(problem),
            "on 10.0.0.1 other machines reach this node, and it has no identity: give it one with"
            " --join TOKEN (from p2pnet invite) or --identity DIR, or let anybody in with"
            " --insecure",
        )
        self.assertFalse(service.running)
        self.service(1)  # nobody has the address

    def started(self, service: ChordService) -> Any:
        service.startService()
        return service.started()

    def test_a_node_that_anybody_reaches_says_so_in_its_status(self) -> None:
        self.ring(1)
        self.assertEqual(self.result(self.client(1).status()).security, "insecure")


class FileTests(ServiceCase):
    """Where a node has its cookie from."""

    def opens(self, cookie: Any, **options: Any) -> bool:
        service = self.service(1, **options)
        self.network.run(4)
        client = self.client(1, cookie=Cookies(cookie, wall=self.wall))
        try:
            self.result(client.begin())
        finally:
            self.result(service.stopService(), 3)
        return bool(service)

    def test_a_state_directory_holds_the_cookie_unless_another_file_is_named(self) -> None:
        state, named = Path(self.mktemp()).absolute(), Path(self.mktemp()).absolute()
        self.service(2, state_dir=state, cookies=())
        self.network.run(4)
        self.assertEqual((state / "cookie").stat().st_mode & 0o777, 0o600)
        made = (state / "cookie").read_text()
        self.service(3, state_dir=Path(self.mktemp()), cookie=named, cookies=())
        self.network.run(1)
        self.assertTrue(named.exists())
        self.assertNotEqual(named.read_text(), made)

    def test_the_cookie_of_a_state_directory_opens_its_node(self) -> None:
        state = Path(self.mktemp()).absolute()
        self.assertTrue(self.opens(make_cookie(state / "cookie"), state_dir=state, cookies=()))

    def test_a_node_goes_on_without_a_shared_cookie_that_cannot_be_made(self) -> None:
        file = Path(self.mktemp()).absolute()
        file.write_text("a file")
        self.assertTrue(self.opens(COOKIE, cookies=[file / "cookie", COOKIE]))

    def test_a_node_whose_own_cookie_is_damaged_does_not_start(self) -> None:
        file = Path(self.mktemp()).absolute()
        file.write_text("nothing of the kind")
        service = self.network.service(self.address(1), cookie=os.fspath(file))
        service.startService()
        problem = self.failureResultOf(service.started()).value
        self.assertIn(f"{file} holds no cookie of 64 hexadecimal digits", str(problem))
