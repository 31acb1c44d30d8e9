"""What a node answers at the edges: what is in flight, what is asked for, and what has ended."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from chordnet import ChordService
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import BroadcastDone, LookupDone, Walked
from chordnet.core.base.errors import BroadcastFailed, Busy, ConfigError, NotInRing
from chordnet.core.base.events import FindOwner, Leave, Publish, Walk
from chordnet.core.base.messages import MessageId, Status
from chordnet.settings import NodeSettings
from chordnet.storage.statedir import StateDirectory
from chordnet.testing import FailingServer, ScriptedCore
from tests.net.hosts import node_ref
from tests.net.test_service import ServiceCase


class ScriptedCase(ServiceCase):
    """A node whose core does what the test says."""

    core: Any = None

    def node_with(self, status: Status = Status.ACTIVE, **config: Any) -> Any:
        def make(_config: Any, me: Any, _rng: Any) -> ScriptedCore:
            self.core = ScriptedCore(me)
            self.core.now_status = status
            return self.core

        options: dict[str, Any] = {"config": ProtocolConfig(**config)} if config else {}
        return self.service(1, core=make, leave_timeout_s=0.1, **options).node


class InFlightTests(ScriptedCase):
    def test_so_many_lookups_may_be_in_flight_and_one_more_is_told_how_many(self) -> None:
        node = self.node_with(max_lookups=2)
        done: list[Any] = []
        for key in ("a", "b"):
            node.find(key, done.append)
        error = self.assertRaises(Busy, node.find, "c", done.append)
        self.assertEqual(str(error), "2 lookups are in flight; retry after a moment")
        self.core.script = lambda _event: [LookupDone(1, node.me, [node.me])]
        node.walk(1, done.append)
        self.assertEqual([(each.key, each.owner.name) for each in done], [("a", "Node 1")])
        node.find("c", done.append)
        self.assertRaises(Busy, node.find, "d", done.append)

    def test_so_many_broadcasts_may_be_in_flight_and_one_more_is_told_how_many(self) -> None:
        node = self.node_with(max_broadcasts=2)
        done: list[Any] = []
        for body in ("a", "b"):
            node.publish(body, done.append)
        error = self.assertRaises(Busy, node.publish, "c", done.append)
        self.assertEqual(str(error), "2 broadcasts are in flight; retry after a moment")
        self.assertEqual(node.load.held, 2)
        made = MessageId(node.me.raw, 1, 1)
        self.core.script = lambda _event: [BroadcastDone(1, made, recorded=1)]
        self.network.run(0.25)
        self.assertEqual([(each.body, each.recorded) for each in done], [("a", 1)])
        self.assertEqual(node.load.held, 1)
        node.publish("c", done.append)
        self.assertRaises(Busy, node.publish, "d", done.append)

    def test_every_request_has_a_number_of_its_own(self) -> None:
        node = self.node_with()
        node.find("a", print)
        node.publish("b", print)
        node.publish("c", print)
        node.walk(5, print)
        self.network.run(0.01)
        self.assertEqual([event.op for event in self.core.seen(FindOwner)], [1])
        (published,) = self.core.seen(Publish)
        self.assertEqual(published.messages, [(2, b"b"), (3, b"c")])
        self.assertEqual([(event.op, event.limit) for event in self.core.seen(Walk)], [(4, 5)])

    def test_what_nobody_waits_for_any_more_is_dropped(self) -> None:
        node = self.node_with()
        done: list[Any] = []
        self.core.script = lambda _event: [
            LookupDone(7, node.me, []), BroadcastDone(7, None), Walked(7, [], ""),
        ]  # fmt: skip
        node.walk(5, done.append)
        self.assertEqual((done, node.load.held), ([], 0))
        self.assertEqual(node.journal.counters.named(), {})

    def test_a_receipt_says_how_long_the_broadcast_took(self) -> None:
        node = self.node_with()
        done: list[Any] = []
        node.publish("a", done.append)
        self.network.run(0.25)
        made = MessageId(node.me.raw, 1, 1)
        self.core.script = lambda _event: [BroadcastDone(1, made, recorded=1)]
        node.walk(5, print)
        self.assertEqual(round(done[0].seconds, 6), 0.25)


class EndTests(ScriptedCase):
    def test_what_waits_when_a_node_ends_is_answered_with_the_reason(self) -> None:
        node = self.node_with()
        done: list[Any] = []
        node.find("a", done.append)
        node.walk(5, done.append)
        node.publish("b", done.append)
        self.network.run(0.01)
        node.stop()
        why = "the node is shutting down"
        self.assertEqual(
            [(type(each), str(each)) for each in done],
            [
                (NotInRing, why),
                (NotInRing, why),
                (BroadcastFailed, f"{why}; what became of the message is not known"),
            ],
        )
        node.stop()
        self.assertEqual(len(done), 3)

    def test_leaving_is_begun_once_however_many_ask_for_it_and_over_at_once_if_it_has_left(
        self,
    ) -> None:
        for status, asked, over in (
            (Status.ACTIVE, 2, 0),
            (Status.LEAVING, 0, 0),
            (Status.LEFT, 0, 2),
        ):
            node = self.node_with(status)
            done: list[str] = []
            for name in ("a", "b"):
                node.leave(partial(done.append, name))
            self.assertEqual(len(self.core.seen(Leave)), asked, status)
            self.assertEqual(done, ["a", "b"][:over], status)
            self.core.now_status = Status.LEFT
            self.services[-1].stopService()
            self.network.run(1)

    def test_why_a_node_is_no_member_is_said_with_what_is_known(self) -> None:
        rows = [
            (Status.JOINING, "", "Node 1 is joining, not in a ring; wait and ask again"),
            (Status.LEFT, "", "Node 1 is left, not in a ring; wait and ask again"),
            (Status.UNJOINED, "no peer", "Node 1 is unjoined, not in a ring: no peer"),
        ]
        for status, reason, expected in rows:
            node = self.node_with(status)
            self.core.reason = reason
            for ask in (node.find, node.publish):
                self.assertEqual(str(self.assertRaises(NotInRing, ask, "a", print)), expected)
            self.assertEqual((node.active, node.joined), (False, False))
            self.assertEqual((node.state, node.reason), (status.name.lower(), reason))
            self.core.now_status = Status.LEFT
            self.services[-1].stopService()
            self.network.run(1)


class StartTests(ServiceCase):
    def test_a_start_that_failed_leaves_the_state_directory_to_the_next(self) -> None:
        directory = Path(self.mktemp())
        server = FailingServer(OSError(5, "broken"))
        service = ChordService(self.clock, server, name="Node 1", state_dir=directory)
        for _ in range(2):
            service.startService()
            self.failure(service.started(), ConfigError, 0)
            self.assertEqual(service.running, 0)
            StateDirectory(directory, self.fail).close()
        self.assertEqual(server.tries, 2)

    def test_a_stop_leaves_the_state_directory_to_the_next(self) -> None:
        directory = Path(self.mktemp())
        service = self.service(1, state_dir=directory)
        self.network.run(1)
        self.result(service.stopService(), 1)
        StateDirectory(directory, self.fail).close()

    def test_a_check_of_the_files_leaves_them_to_the_start(self) -> None:
        directory = Path(self.mktemp())
        service = self.network.service(self.address(1), state_dir=directory)
        service.check_storage()
        StateDirectory(directory, self.fail).close()

    def test_a_check_of_the_files_is_one_of_the_recording_too(self) -> None:
        path = str(Path(self.mktemp()) / "no" / "such" / "directory.rec")
        settings = NodeSettings(record=path)
        service = ChordService(self.clock, self.network.server(self.address(1)), settings=settings)
        error = self.assertRaises(ConfigError, service.check_storage)
        self.assertEqual(str(error), f"cannot record to {path}: No such file or directory")

    def test_the_power_s_loss_is_survived_only_with_a_directory(self) -> None:
        error = self.assertRaises(
            ConfigError, ChordService, self.clock, self.network.server("10.0.0.1:1"),
            durability="power",
        )  # fmt: skip
        self.assertEqual(
            str(error),
            "durability 'power' needs a state directory: without one nothing is kept on disk",
        )


class Stuck:
    """A connection that ends only when it is cut."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self.cuts = 0

    def flush(self) -> None:
        pass

    def abort(self) -> None:
        self.cuts += 1
        self._node.turn.closed(self)


class StopTests(ScriptedCase):
    def test_what_has_not_ended_half_a_second_after_its_time_is_cut(self) -> None:
        node = self.node_with(Status.LEFT)
        stuck = Stuck(node)
        node.turn.open.add(stuck)
        ended: list[None] = []
        self.services[0].stopService().addCallback(ended.append)
        self.network.run(2.45)
        self.assertEqual((stuck.cuts, ended), (0, []))
        self.network.run(0.1)
        self.assertEqual((stuck.cuts, ended), (1, [None]))

    def test_a_stop_waits_for_the_leaving_as_long_as_it_is_told_to(self) -> None:
        self.node_with()
        service = self.services[0]
        ended: list[None] = []
        service.stopService().addCallback(ended.append)
        self.network.run(0.09)
        self.assertEqual(ended, [])
        self.assertIsNotNone(service.node)
        self.network.run(0.02)
        self.assertEqual(ended, [None])
        self.assertIsNone(service.node)


class StatusTests(ScriptedCase):
    def test_a_status_has_the_time_since_the_start_and_what_the_core_sees(self) -> None:
        node = self.node_with()
        one, two = node_ref("n1", "10.0.0.8:1"), node_ref("n2", "10.0.0.9:1")
        self.network.run(2.5)
        found = node.status()
        self.assertEqual((found.predecessor, found.successors, found.fingers), (None, [], []))
        self.assertEqual((found.joined, found.ring, found.messages, found.keys), (False, "", 0, 0))
        self.core.predecessor, self.core.successors = one, [two, one]
        self.core.finger_slots = [(3, two)]
        self.core.has_joined = True
        found = node.status()
        self.assertEqual(found.predecessor.name, "n1")
        self.assertEqual([each.name for each in found.successors], ["n2", "n1"])
        self.assertEqual([(each.index, each.node.name) for each in found.fingers], [(3, "n2")])
        self.assertEqual((found.joined, found.state, found.bits), (True, "active", 160))
        self.assertEqual((round(found.uptime, 6), found.reason), (2.5, ""))
        self.core.now_status = Status.LEAVING
        found = node.status()
        self.assertEqual((found.joined, found.state), (False, "leaving"))

    def test_as_many_messages_are_listed_as_were_asked_for(self) -> None:
        (service,) = self.ring(1)
        for number in range(4):
            self.result(service.broadcast(f"m{number}"), 0.01)
        everything = [f"m{number}" for number in range(4)]
        second = service.node.messages()[1].id
        rows = [
            (0, "", everything),
            (1, "", everything[3:]),
            (3, "", everything[1:]),
            (4, "", everything),
            (5, "", everything),
            (0, second, everything[2:]),
            (1, second, everything[2:3]),
            (9, second, everything[2:]),
        ]
        for limit, since, expected in rows:
            found = [each.body for each in service.node.messages(limit, since)]
            self.assertEqual(found, expected, (limit, since))
