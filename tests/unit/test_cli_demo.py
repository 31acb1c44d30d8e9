"""The demonstration: its engine, its ports, and the story on rings of another size or shape."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.app import run
from chordnet.cli.commands.demo import NETWORK, _Story, demo
from chordnet.survey.errors import EngineUnavailable, ImageNotBuilt, TestbedError
from chordnet.testbed.actions.context import Engines, Testbed
from chordnet.testbed.actions.lifecycle import DEFAULT_BASE_PORT, Wish
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.engines.choice import Choice
from tests.unit.test_cli_commands import WorldCase
from tests.unit.testbed_fakes import FakeEngine, World, network, record


class EngineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()), network(5, name=NETWORK))
        self.docker = FakeEngine(self.world.nodes, kind="docker")
        self.printed = io.StringIO()
        self.testbed = Testbed(
            self.world.clock, self.world.testbed.home, self.world.nodes.connect,
            say=self.world.said.append, taken_by=lambda _port: None,
            engines=Engines(
                lambda kind, *_: self.docker if kind == "docker" else self.world.engine, self.choose
            ),
        )  # fmt: skip
        self.story = _Story(self.testbed, Console(file=self.printed, width=200), 60.0)

    async def choose(self, _reactor: object, wanted: str) -> Choice:
        return Choice("docker" if wanted == "auto" else wanted, "Docker answers")

    def start(self, engine: str) -> Deferred[Any]:
        wish = Wish(nodes=5, base_port=9001, engine=engine)
        done = Deferred.fromCoroutine(self.story.start(wish))
        self.world.clock.pump([0.1] * 50)
        return done

    def test_docker_is_used_where_it_answers(self) -> None:
        chosen = next(option for option in demo.params if option.name == "engine")
        self.assertEqual(chosen.default, "auto")
        self.assertEqual(self.successResultOf(self.start("auto")), 5)
        self.assertEqual(self.docker.alive, {1, 2, 3, 4, 5})
        self.assertIn("(docker engine, ports 9001 to 9005)", self.printed.getvalue())

    def test_without_an_image_the_story_goes_on_with_processes_and_says_so(self) -> None:
        self.docker.broken = "the image cannot be built: no such host"
        self.docker.breaks_as = ImageNotBuilt
        self.assertEqual(self.successResultOf(self.start("auto")), 5)
        self.assertEqual(self.world.engine.alive, {1, 2, 3, 4, 5})
        said = self.printed.getvalue()
        self.assertIn("no such host; going on with processes instead", said)
        self.assertIn("(local engine, ports 9001 to 9005)", said)

    def test_docker_that_was_asked_for_by_name_is_not_replaced(self) -> None:
        self.docker.broken = "the image cannot be built: no such host"
        self.docker.breaks_as = ImageNotBuilt
        self.failureResultOf(self.start("docker"), EngineUnavailable)
        self.assertEqual(self.world.engine.calls, [])

    def test_a_network_that_fails_in_docker_is_no_reason_for_processes(self) -> None:
        self.docker.dies = {3}
        self.failureResultOf(self.start("auto"), TestbedError)
        self.assertEqual(self.world.engine.calls, [])


class StoryCase(WorldCase):
    """No network runs yet, and Node ``SIZE`` will have sent the last message."""

    NAME = NETWORK
    ROUTES: tuple[tuple[int, ...], ...] = ((5,), (5, 2), (5, 2, 1), (5, 2, 3), (5, 4))

    def setUp(self) -> None:
        super().setUp()
        NetworkHome(self.root, self.NAME).description_path.unlink()
        self.world.engine.alive = set()
        self.world.nodes.statuses = {}
        self.log(*self.ROUTES)

    def story(self, *words: str, status: int = 0) -> str:
        return self.printed(
            "demo", "--nodes", str(self.SIZE), "--engine", "local", *words, status=status
        )


class DrawnTests(StoryCase):
    def test_the_ring_is_drawn_as_finely_as_the_output_can_show(self) -> None:
        raw = io.BytesIO()
        out = io.TextIOWrapper(raw, encoding="utf-8")
        words = ("demo", "--nodes", "5", "--engine", "local", "--base-port", "9001")
        with contextlib.redirect_stdout(out):
            self.assertEqual(run(words, self.world), 0)
            out.flush()
        self.assertFalse(raw.getvalue().isascii())


class PortTests(StoryCase):
    def test_the_usual_ports_are_used_where_they_are_free(self) -> None:
        out = self.story()
        self.assertIn(f"ports {DEFAULT_BASE_PORT} to {DEFAULT_BASE_PORT + 4})", out)
        self.assertNotIn("are taken", out)

    def test_other_ports_are_used_and_said_where_one_of_the_usual_is_taken(self) -> None:
        for port in (DEFAULT_BASE_PORT + 4, DEFAULT_BASE_PORT + 100):
            self.world.taken[port] = "python3 (pid 4242)"
        out = self.story()
        base = DEFAULT_BASE_PORT + 200
        self.assertIn(f"ports from {DEFAULT_BASE_PORT} are taken; using those from {base}\n", out)
        self.assertIn(f"ports {base} to {base + 4})", out)

    def test_the_ports_that_were_asked_for_are_used_and_no_others(self) -> None:
        self.assertIn("ports 9001 to 9005)", self.story("--base-port", "9001"))
        self.world.taken[9001] = "python3 (pid 4242)"
        status, _out, err = self.p2pnet(
            "demo", "--nodes", "5", "--engine", "local", "--base-port", "9001"
        )
        self.assertEqual(status, 1)
        self.assertIn("Node 1 cannot have port 9001", err)

    def test_where_no_ports_are_free_the_story_says_so_and_starts_nothing(self) -> None:
        self.world.taken.update(dict.fromkeys(range(1, 65536), "python3"))
        self.assertEqual(
            self.failed("demo", "--nodes", "5"),
            "p2pnet: there are no 5 free ports in a row; name some: --base-port\n",
        )
        self.assertEqual(self.calls, [])


class BareTests(StoryCase):
    ROUTES = ((5,), (5, 1), (5, 2), (5, 3), (5, 4))

    def test_where_nobody_handed_the_last_message_on_another_node_than_its_sender_is_killed(
        self,
    ) -> None:
        out = self.story()
        self.assertIn("4. Node 1 handed the last message on to 0 others. It is killed.", out)
        self.assertIn("   Node 5 sends damson", out)
        self.assertEqual(self.world.engine.alive, set())


class LateTests(StoryCase):
    def test_the_doctor_waits_until_everything_is_right(self) -> None:
        wrong = record(self.world.described, "other", 5, 4)
        self.world.nodes.logs[4].append(wrong)
        self.world.clock.callLater(20.0, self.world.nodes.logs[4].remove, wrong)
        self.assertIn("every pointer right", self.story())
        self.assertGreaterEqual(self.world.clock.seconds(), 20.0)


class LargeTests(StoryCase):
    SIZE = 16
    ROUTES = (
        (16,), (16, 3), (16, 7), *((16, 3, n) for n in (1, 2, 4, 5, 6, 8)),
        *((16, 7, n) for n in (9, 10, 11, 12, 13, 14, 15)),
    )  # fmt: skip

    def test_of_many_nodes_four_are_shown_that_have_sent_nothing_and_are_spread_over_the_ring(
        self,
    ) -> None:
        text = self.story()
        sent = [line.split()[1] for line in text.splitlines() if " sends " in line]
        self.assertEqual(sent, ["4", "10", "16", "16"])
        shown = [line.split()[1] for line in text.splitlines() if " has body-of-m by " in line]
        self.assertEqual(shown, ["1", "3", "6", "8", "9", "10", "11", "12"])
        self.assertIn("Node 7 handed the last message on to 7 others. It is killed.", text)
