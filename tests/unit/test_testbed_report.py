"""What the doctor says of messages, and what the compose file says of nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.commands.doctor import Examination, examine, verdict_lines
from chordnet.cli.commands.ring import take_model
from chordnet.survey.errors import NetworkNotRunning
from chordnet.survey.examination import Messages, examine_messages
from chordnet.survey.findings import in_words
from chordnet.survey.observer import Snapshot
from chordnet.survey.report import Side
from chordnet.testbed.actions.looking import look
from chordnet.testbed.base.faults import Faults, save_faults
from chordnet.testbed.engines.compose_file import (
    HOME_LABEL,
    STATE_DIRECTORY,
    compose_project,
    project_name,
    service_number,
)
from chordnet.wire.rpc import RouteHop
from tests.unit.testbed_fakes import World, ideal_status, network, record


class MessageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()), network(3))
        self.world.up()
        self.world.nodes.logs = {n: [] for n in (1, 2, 3)}

    def log(self, message: str, *routes: tuple[int, ...]) -> None:
        for position, route in enumerate(routes):
            entry = record(self.world.described, message, *route, received_at=1000.0 + position)
            self.world.nodes.logs[route[-1]].append(entry)

    def examined(self) -> Messages:
        observer = self.world.testbed.observer(self.world.described)

        async def check() -> Messages:
            report = await look(self.world.testbed, observer, self.world.described)
            self.assertEqual(report.problems, ())
            return await examine_messages(
                self.world.testbed.reactor, observer, report, report.sides[0]
            )

        done = Deferred.fromCoroutine(check())
        self.world.clock.pump([0.1] * 250)
        return self.successResultOf(done)

    def problems(self) -> tuple[list[str], list[str]]:
        found = self.examined()
        return in_words(found.problems), in_words(found.notes)

    def test_a_message_is_drawn_as_far_as_the_visitors(self) -> None:
        described = self.world.described
        visitor = described.space.hash(b"visitor")
        members = [*(described.identifier(n) for n in described.numbers), visitor]
        self.world.nodes.statuses = {
            n: ideal_status(described, described.identifier(n), members) for n in described.numbers
        }
        guest = ideal_status(described, visitor, members)
        self.world.nodes.visitors[guest.node.address] = guest
        self.log("a", (1,), (1, 2), (1, 2, 3))
        route = [*self.world.nodes.logs[2][0].route, RouteHop(guest.node.id, "visitor", "finger")]
        entry = msgspec.structs.replace(self.world.nodes.logs[2][0], route=route)
        self.world.nodes.logs[self.world.nodes.number(guest.node.address)] = [entry]
        waiting = Deferred.fromCoroutine(take_model(self.world.testbed, "last", 2.0))
        self.world.clock.pump([0.1] * 10)
        tree = self.successResultOf(waiting).tree
        self.assertEqual({len(a.route) for a in tree.arrivals.values()}, {1, 2, 3})
        self.assertEqual(len(tree.arrivals), 4)

    def lacks(self, who: str, message: str) -> str:
        origin = self.world.described.space.hex(self.world.described.identifier(1))
        return f"{who} lacks 1 message of Node 1, number 1 (from {origin}.1.1)"

    def test_every_message_on_every_node_once_is_right(self) -> None:
        self.log("a", (1,), (1, 2), (1, 2, 3))
        self.assertEqual(self.problems(), ([], []))

    def test_a_missing_message_is_named(self) -> None:
        self.log("a", (1,), (1, 2))
        self.assertEqual(self.problems(), ([self.lacks("Node 3", "a")], []))

    def test_a_message_on_its_way_is_waited_for(self) -> None:
        self.log("a", (1,), (1, 2))
        late = record(self.world.described, "a", 1, 2, 3, received_at=1002.0)
        self.world.clock.callLater(0.3, self.world.nodes.logs[3].append, late)
        self.assertEqual(self.problems(), ([], []))

    def test_what_a_node_that_just_started_lacks_is_only_a_note(self) -> None:
        self.log("a", (1,), (1, 2))
        self.started_ago(3, 5.0)
        problems, notes = self.problems()
        self.assertEqual(problems, [])
        self.assertEqual(notes, ["Node 3 started just now and still lacks 1 message"])

    def test_a_node_must_have_caught_up_after_a_while(self) -> None:
        self.log("a", (1,), (1, 2))
        self.started_ago(3, 10.0)
        self.assertEqual(self.problems(), ([self.lacks("Node 3", "a")], []))

    def started_ago(self, number: int, seconds: float) -> None:
        statuses = self.world.nodes.statuses
        statuses[number] = msgspec.structs.replace(statuses[number], uptime=seconds)

    def test_a_message_recorded_twice_is_a_problem(self) -> None:
        self.log("a", (1,), (1, 2), (1, 2, 3), (1, 3))
        (problem,) = self.problems()[0]
        self.assertEqual(problem, "Node 3 recorded the message a twice")

    def test_a_route_must_be_the_senders_own_and_one_step_more(self) -> None:
        self.log("a", (1,), (1, 2), (2, 3))
        self.world.nodes.logs[3] = [
            msgspec.structs.replace(
                record(self.world.described, "a", 1, 3, 2, 3), received_at=1009.0
            )
        ]
        (problem,) = self.problems()[0]
        self.assertIn("Node 3 recorded another route", problem)
        self.assertIn("than Node 2, which sent it", problem)

    def test_a_sender_that_got_a_message_back_later_proves_nothing(self) -> None:
        self.log("a", (1,), (1, 2), (1, 2, 3))
        self.world.nodes.logs[2] = [
            record(self.world.described, "a", 1, 2, 3, 2, received_at=1090.0)
        ]
        self.assertEqual(self.problems(), ([], []))

    def test_a_node_that_cannot_be_asked_in_time_is_named_and_is_not_every_node(self) -> None:
        self.log("a", (1,), (1, 2), (1, 2, 3))
        self.world.nodes.mute = {2}
        found = self.examined()
        (problem,) = in_words(found.problems)
        self.assertIn("Node 2 cannot be asked what it has recorded: nobody listens", problem)
        self.assertEqual(found.asked, 2)
        self.assertIn("on each of the 2 nodes that could be asked", found.headline)

    def test_a_node_that_says_nothing_costs_ten_seconds(self) -> None:
        self.log("a", (1,), (1, 2), (1, 2, 3))

        async def check() -> Messages:
            observer = self.world.testbed.observer(self.world.described)
            report = await look(self.world.testbed, observer, self.world.described)
            self.world.nodes.frozen = {3}
            return await examine_messages(
                self.world.testbed.reactor, observer, report, report.sides[0]
            )

        done = Deferred.fromCoroutine(check())
        self.world.clock.advance(9.9)
        self.assertNoResult(done)
        self.world.clock.advance(0.2)
        (problem,) = in_words(self.successResultOf(done).problems)
        self.assertEqual(
            problem, "Node 3 cannot be asked what it has recorded: nothing heard for 10 s"
        )

    def test_a_visitor_is_asked_for_its_messages(self) -> None:
        described = self.world.described
        visitor = described.space.hash(b"visitor")
        members = [*(described.identifier(n) for n in described.numbers), visitor]
        self.world.nodes.statuses = {
            n: ideal_status(described, described.identifier(n), members) for n in described.numbers
        }
        guest = ideal_status(described, visitor, members)
        self.world.nodes.visitors[guest.node.address] = guest
        self.log("a", (1,), (1, 2), (1, 2, 3))
        self.world.nodes.logs[self.world.nodes.number(guest.node.address)] = []
        self.assertEqual(in_words(self.examined().problems), [self.lacks("visitor", "a")])

    def test_only_members_of_the_side_are_asked_what_they_have_recorded(self) -> None:
        async def check() -> Messages:
            observer = self.world.testbed.observer(self.world.described)
            report = await look(self.world.testbed, observer, self.world.described)
            statuses = dict(report.snapshot.statuses)
            statuses[2] = msgspec.structs.replace(statuses[2], state="joining")
            side = Side(frozenset({1, 2}), Snapshot(statuses, {}))
            self.world.nodes.asked.clear()
            return await examine_messages(self.world.testbed.reactor, observer, report, side)

        found = self.successResultOf(Deferred.fromCoroutine(check()))
        self.assertEqual((found.asked, set(self.world.nodes.asked)), (1, {1}))

    def test_an_empty_network_has_no_messages_yet(self) -> None:
        self.assertEqual(self.examined().headline, "no messages yet")

    def test_what_comes_between_the_two_looks_is_not_lacking(self) -> None:
        """At either look another message is on its way to Node 3."""
        self.log("a", (1,), (1, 2))
        described, logs = self.world.described, self.world.nodes.logs

        def go_on() -> None:
            logs[3].append(record(described, "a", 1, 2, 3, received_at=1002.0))
            logs[1].append(record(described, "b", 1, received_at=1003.0))
            logs[2].append(record(described, "b", 1, 2, received_at=1004.0))

        self.world.clock.callLater(0.3, go_on)
        self.assertEqual(self.problems(), ([], []))


class LookTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()), network(3))

    def look(self) -> Deferred[Any]:
        observer = self.world.testbed.observer(self.world.described, 1.0)
        done = Deferred.fromCoroutine(look(self.world.testbed, observer, self.world.described))
        self.world.clock.pump([0.1] * 20)
        return done

    def test_a_node_that_stopped_by_itself_is_a_problem_and_a_removed_one_is_not(self) -> None:
        self.world.up()
        self.world.described = network(3).with_removed(3)
        self.world.engine.alive = {1}
        self.world.engine.ring()
        report = self.successResultOf(self.look())
        (problem,) = in_words(report.problems)
        self.assertIn("Node 2 has stopped by itself", problem)
        self.assertEqual([report.state(n) for n in (1, 2, 3)], ["active", "stopped", "stopped"])

    def test_a_frozen_node_is_unreachable(self) -> None:
        self.world.up()
        self.world.nodes.frozen = {2}
        self.assertEqual(self.successResultOf(self.look()).state(2), "unreachable")

    def test_a_network_of_which_nothing_runs_has_no_report(self) -> None:
        self.failureResultOf(self.look(), NetworkNotRunning)


class ExamineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()), network(4))
        self.world.up()
        self.world.nodes.logs = {n: [] for n in (1, 2, 3, 4)}

    def examine(self, *, wait: bool = False) -> Examination:
        done = Deferred.fromCoroutine(examine(self.world.testbed, wait=wait, timeout=5.0))
        self.world.clock.pump([0.1] * 250)
        return self.successResultOf(done)

    def part(self) -> None:
        faults = Faults().with_partition([{1, 2}], range(1, 5))
        save_faults(self.world.testbed.home, faults)
        self.world.engine.lines = {n: faults.line(n, range(1, 5)) for n in (1, 2, 3, 4)}
        self.world.engine.ring()

    def test_each_side_of_a_partition_is_judged_by_itself(self) -> None:
        self.part()
        described, logs = self.world.described, self.world.nodes.logs
        for route in ((1,), (1, 2)):
            logs[route[-1]].append(record(described, "left", *route))
        found = self.examine()
        self.assertEqual(found.problems, ())
        self.assertEqual(
            verdict_lines(found),
            [
                "side 1-2: 2 nodes: one ring, in order; every pointer right",
                "side 1-2: 1 message: each on every node, once, by a true route",
                "side 3-4: 2 nodes: one ring, in order; every pointer right",
                "side 3-4: no messages yet",
                "note: on purpose, until p2pnet chaos heal: partition 1-2 | 3-4",
            ],
        )
        self.assertEqual((found.members, found.recorded), (4, 1))

    def test_what_is_wrong_on_one_side_names_the_side(self) -> None:
        self.part()
        self.world.nodes.logs[3].append(record(self.world.described, "a", 3))
        (problem,) = in_words(self.examine().problems)
        self.assertIn("side 3-4: Node 4 lacks 1 message of Node 3, number 1", problem)

    def test_the_examination_waits_until_everything_is_right(self) -> None:
        described, logs = self.world.described, self.world.nodes.logs
        for number in (2, 3, 4):
            logs[number].append(record(described, "a", 1, number, received_at=1001.0))
        late = record(described, "a", 1)
        self.world.clock.callLater(2.0, logs[1].append, late)
        self.assertEqual(self.examine(wait=True).problems, ())


class ComposeTests(SynchronousTestCase):
    """The template is what ``docker compose config`` says of the checkout's file, shortened."""

    template: dict[str, Any] = {  # noqa: RUF012 - read only
        "name": "chordnet",
        "services": {
            "node-1": {"image": "chordnet-node:latest", "build": {"context": "/src"}},
            "node-2": {
                "image": "chordnet-node:latest",
                "cap_drop": ["ALL"],
                "environment": {"CHORDNET_ADVERTISE": "auto", "CHORDNET_NAME": "Node 2"},
                "networks": {"default": None},
                "ports": [{"published": "7002"}],
            },
        },
    }

    def project(self, size: int = 4) -> dict[str, Any]:
        return compose_project(
            self.template,
            network(size, name="lab", engine="docker", base_port=8001),
            "/somewhere/lab",
            "chordnet-lab",
        )

    def test_every_node_gets_the_shape_and_its_own_name_port_and_peers(self) -> None:
        project = self.project()
        self.assertEqual(project["name"], project_name("lab"))
        self.assertEqual(project["volumes"]["node-4"], {"labels": {HOME_LABEL: "/somewhere/lab"}})
        self.assertEqual(list(project["services"]), ["node-1", "node-2", "node-3", "node-4"])
        node = project["services"]["node-4"]
        self.assertEqual(node["ports"], ["127.0.0.1:8004:8004"])
        self.assertEqual(node["cap_drop"], ["ALL"])
        self.assertEqual(node["labels"], {HOME_LABEL: "/somewhere/lab"})
        self.assertEqual(node["volumes"], [f"node-4:{STATE_DIRECTORY}"])
        self.assertEqual(
            node["environment"],
            {
                "CHORDNET_ADVERTISE": "auto",
                "CHORDNET_NAME": "Node 4",
                "CHORDNET_NETWORK": "lab",
                "CHORDNET_PORT": "8004",
                "CHORDNET_PEERS": "node-1:8001,node-2:8002",
                "CHORDNET_FOUNDERS": "Node 1,Node 2,Node 3",
                "CHORDNET_INSECURE": "yes",
            },
        )

    def test_only_the_first_node_builds_the_image(self) -> None:
        services = self.project()["services"]
        self.assertEqual([name for name in services if "build" in services[name]], ["node-1"])

    def test_a_service_is_a_node_and_nothing_else_is(self) -> None:
        self.assertEqual(service_number("node-12"), 12)
        for other in ("node-", "node-1x", "redis", ""):
            self.assertIsNone(service_number(other))
