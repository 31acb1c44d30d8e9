"""Which engine the demonstration runs with, and what it does where that cannot be used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.commands.demo import NETWORK, _Story, demo
from chordnet.survey.errors import EngineUnavailable, ImageNotBuilt, TestbedError
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.lifecycle import Wish
from chordnet.testbed.engines.choice import Choice
from tests.unit.testbed_fakes import FakeEngine, World, network


class EngineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()), network(5, name=NETWORK))
        self.docker = FakeEngine(self.world.nodes, kind="docker")
        self.printed = io.StringIO()
        self.testbed = Testbed(
            self.world.clock, self.world.testbed.home, self.world.nodes.connect,
            say=self.world.said.append, choose=self.choose, taken_by=lambda _port: None,
            make_engine=lambda kind, *_: self.docker if kind == "docker" else self.world.engine,
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

    def test_where_the_image_cannot_be_built_it_says_so_and_goes_on_with_processes(self) -> None:
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
