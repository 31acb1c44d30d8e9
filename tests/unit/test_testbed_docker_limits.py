"""What the docker engine gives programs, containers and requests: time, attempts and room."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred

from chordnet.survey.errors import EngineUnavailable, ImageNotBuilt, OtherHome, TestbedError
from chordnet.testbed.base import netlink
from chordnet.testbed.base.commands import Finished
from chordnet.testbed.base.faults import Line
from chordnet.testbed.engines.choice import choose_engine
from chordnet.testbed.engines.compose_file import HOME_LABEL, checkout
from chordnet.testbed.engines.docker import DockerEngine
from chordnet.testbed.engines.docker_host import DockerHost
from tests.unit.docker_fakes import FakeContainer, FakePrograms, at_once, refusal
from tests.unit.test_testbed_docker import OTHER, Case


class DockerCase(Case):
    def failure(self, work: Any) -> TestbedError:
        done = Deferred.fromCoroutine(work)
        self.clock.pump([1.0] * 20)
        problem: TestbedError = self.failureResultOf(done, TestbedError).value
        return problem

    def moments(self, work: Any, seconds: float = 40.0) -> list[float]:
        """Return when ``asked`` grew while the work was done, from its beginning."""
        began, found = self.clock.seconds(), []
        seen = self.docker.asked
        done = Deferred.fromCoroutine(work)
        for _ in range(int(seconds * 8)):
            found += [self.clock.seconds() - began] * (self.docker.asked > seen)
            seen = self.docker.asked
            self.clock.advance(1 / 8)
        done.addErrback(lambda _: None)
        return found


class ProgramTests(DockerCase):
    def test_each_program_has_its_time(self) -> None:
        self.docker.add(1, 2, home=self.mine)
        self.result(self.engine.prepare(self.described(2), self.said.append))
        self.assertEqual(self.programs.limits, [180.0, 1200.0])
        self.result(self.engine.start(self.described(2), [1]))
        self.result(self.engine.shape({1: Line(loss_percent=1.0)}))
        self.assertEqual(self.programs.limits[2:], [180.0, 180.0, 60.0])

    def test_what_would_change_compose_is_kept_from_it(self) -> None:
        self.addCleanup(os.environ.pop, "COMPOSE_FILE")
        os.environ["COMPOSE_FILE"] = "/somewhere/else.yaml"
        self.docker.add(1, home=self.mine)
        self.result(self.engine.start(self.described(2), [1]))
        self.assertEqual(len(self.programs.environments), 2)
        for environment in self.programs.environments:
            assert environment is not None
            self.assertNotIn("COMPOSE_FILE", environment)
            self.assertEqual(environment["PATH"], os.environ["PATH"])

    def test_the_image_is_built_once_and_that_is_said(self) -> None:
        self.result(self.engine.prepare(self.described(2), self.said.append))
        (build,) = [words for words in self.programs.ran if "build" in words]
        self.assertEqual(build[-2:], ["build", "node-1"])
        self.assertEqual(self.said, ["building the image from the present code"])

    def test_a_build_that_fails_is_not_tried_again(self) -> None:
        self.programs.ends["build"] = [Finished(1, "", "no space left")]
        problem = self.failure(self.engine.prepare(self.described(2), self.said.append))
        self.assertIsInstance(problem, ImageNotBuilt)
        self.assertEqual(
            str(problem),
            "the image cannot be built: no space left; --engine local needs no Docker",
        )
        self.assertEqual(problem.details, ())
        self.assertEqual(self.programs.times("build"), 1)

    def test_a_compose_file_that_cannot_be_read_is_said_and_nothing_is_built(self) -> None:
        self.programs.ends["config"] = [Finished(1, "", "yaml: line 3")]
        problem = self.failure(self.engine.prepare(self.described(2), self.said.append))
        self.assertIsInstance(problem, ImageNotBuilt)
        self.assertIn("the compose file cannot be read: yaml: line 3", str(problem))
        self.assertEqual(self.programs.times("build"), 0)

    def test_of_a_long_failure_the_last_15_lines_of_each_output_are_shown_and_240_columns(
        self,
    ) -> None:
        output = "".join(f"out {n} {'x' * 300}\n" for n in range(20))
        errors = "".join(f"err {n} {'y' * 300}\n\n" for n in range(20))
        self.programs.ends["build"] = [Finished(1, output, errors)]
        problem = self.failure(self.engine.prepare(self.described(2), self.said.append))
        self.assertEqual(
            [line.split()[:2] for line in problem.details],
            [["out", str(n)] for n in range(5, 20)] + [["err", str(n)] for n in range(13, 20)],
        )
        self.assertEqual({len(line) for line in problem.details}, {240})
        self.assertEqual(len(str(problem)), len("the image cannot be built: ") + 240
                         + len("; --engine local needs no Docker"))  # fmt: skip

    def test_between_two_attempts_to_start_half_a_second_passes(self) -> None:
        self.docker.add(1, home=self.mine)
        self.programs.ends["--detach"] = [Finished(1, "", "busy")] * 2
        done = Deferred.fromCoroutine(self.engine.start(self.described(2), [1]))
        for times, seconds in ((1, 0.4), (1, 0.2), (2, 0.3), (2, 0.3)):
            self.assertEqual(self.programs.times("--detach"), times)
            self.clock.advance(seconds)
        self.successResultOf(done)
        self.assertEqual(self.programs.times("--detach"), 3)

    def test_only_the_logs_of_what_is_started_are_saved(self) -> None:
        self.docker.add(1, 2, home=self.mine, log=b"words\n")
        self.result(self.engine.start(self.described(2), [1]))
        self.assertTrue((self.home.node_directory(1) / "log").exists())
        self.assertFalse((self.home.node_directory(2) / "log").exists())


class CheckoutTests(DockerCase):
    def test_an_installed_package_builds_no_image_and_says_what_to_do(self) -> None:
        host = DockerHost(self.clock, lambda: self.docker, at_once)
        engine = DockerEngine(self.clock, self.home, host, self.programs, lambda: None)
        text = self.error(engine.prepare(self.described(2), self.said.append), EngineUnavailable)
        self.assertIn("this is an installed package; use --engine local", text)
        self.assertEqual((self.programs.ran, self.docker.asked), ([], 0))

    def choose(self, wanted: str, found: Any) -> Any:
        programs = FakePrograms()
        programs.ends = {
            "version": [Finished(0, "28.2\n", ""), Finished(0, "2.26\n", "")],
        }
        choice = choose_engine(self.clock, wanted, lambda name: name, programs, lambda: found)
        return self.result(choice), programs

    def test_without_a_checkout_docker_is_not_chosen_unless_it_is_asked_for(self) -> None:
        choice, programs = self.choose("auto", None)
        self.assertEqual(choice.kind, "local")
        self.assertEqual(
            choice.why,
            "Docker 28.2 with Compose 2.26 answers, but there is no checkout to build from",
        )
        self.assertEqual(programs.limits, [10.0, 10.0])
        self.assertEqual(self.choose("docker", None)[0].kind, "docker")

    def test_with_a_checkout_docker_is_chosen_where_it_answers(self) -> None:
        choice, _ = self.choose("auto", checkout())
        self.assertEqual(
            (choice.kind, choice.why), ("docker", "Docker 28.2 with Compose 2.26 answers")
        )

    def test_docker_without_compose_is_none(self) -> None:
        programs = FakePrograms()
        lacks = Finished(1, "", "docker: 'compose' is not a docker command.")
        programs.ends = {"compose": [lacks]}
        choice = self.result(choose_engine(self.clock, "auto", lambda name: name, programs))
        self.assertEqual(
            (choice.kind, choice.why),
            ("local", "Docker answers, but has no Compose (docker compose version fails)"),
        )
        self.assertEqual(programs.times("compose"), 1)


class GraceTests(DockerCase):
    def test_a_container_has_15_seconds_to_end(self) -> None:
        self.docker.add(1, 2, 3)
        self.docker.networks_there = {"net": "chordnet-lab"}
        self.result(self.engine.stop([1]))
        self.result(self.engine.kill([2]))
        self.result(self.engine.connect([3]))
        self.assertEqual([c.graces for c in self.docker.there], [[15], [15], [15]])

    def test_what_runs_no_more_is_neither_stopped_nor_killed(self) -> None:
        self.docker.add(1, 2, state="exited")
        self.result(self.engine.stop([1, 2, 3]))
        self.result(self.engine.kill([1, 2, 3]))
        self.assertEqual([c.calls for c in self.docker.there], [[], []])

    def test_a_node_that_cannot_be_stopped_is_named(self) -> None:
        self.docker.add(1)
        self.docker[1].refuses = [("stop", refusal(500, "no"), "running")] * 2
        self.assertTrue(
            self.error(self.engine.stop([1]), EngineUnavailable).startswith(
                "Node 1 cannot be stopped: the Docker engine does not do"
            )
        )


class CleaningTests(DockerCase):
    def late(self, count: int) -> None:
        """Let the engine still be making containers."""
        self.docker.add(1, home=self.mine)
        self.docker.comes_late = [FakeContainer(n, "chordnet-lab") for n in range(2, 2 + count)]

    def test_containers_that_are_still_being_made_are_removed(self) -> None:
        self.late(4)
        self.result(self.engine.clean(purge=True))
        self.assertEqual(self.docker.there, [])

    def test_cleaning_looks_five_times_and_no_more(self) -> None:
        self.late(9)
        self.result(self.engine.clean(purge=True))
        self.assertEqual(len(self.docker.comes_late), 4)

    def test_where_one_look_is_enough_nothing_is_waited_for(self) -> None:
        self.docker.add(1, 2, home=self.mine)
        done = Deferred.fromCoroutine(self.engine.clean(purge=True))
        self.clock.advance(0.0)
        self.assertEqual(self.docker.there, [])
        self.clock.advance(0.5)  # and then it sees that there are no more
        self.successResultOf(done)

    def test_a_purge_saves_no_logs(self) -> None:
        self.docker.add(1, home=self.mine, log=b"words\n")
        self.result(self.engine.clean(purge=True))
        self.assertFalse((self.home.node_directory(1) / "log").exists())


class FreezingTests(DockerCase):
    def test_the_pause_between_two_attempts_doubles(self) -> None:
        self.docker.add(1)
        refused = ("pause", refusal(409, "busy"), "running")
        self.docker[1].refuses = [refused] * 9
        moments = self.moments(self.engine.freeze([1]))
        self.assertEqual(moments, [0.0, 0.5, 1.5, 3.5, 7.5, 15.5])

    def test_of_several_that_cannot_be_frozen_the_first_is_named_in_240_columns(self) -> None:
        self.docker.add(1, 2, 3)
        for number in (2, 3):
            refused = ("pause", refusal(409, f"{number} " + "x" * 290), "running")
            self.docker[number].refuses = [refused] * 9
        text = self.error(self.engine.freeze([1, 2, 3]))
        self.assertEqual(text, f"Node 2 cannot be frozen: 2 {'x' * 238} (6 attempts)")

    def test_what_cannot_be_thawed_is_said_to_be_that(self) -> None:
        self.docker.add(1, state="paused")
        self.docker[1].refuses = [("unpause", refusal(409, "busy"), "paused")] * 9
        self.assertEqual(
            self.error(self.engine.thaw([1])), "Node 1 cannot be thawed: busy (6 attempts)"
        )


class ShapingTests(DockerCase):
    def shape(self, *ends: Finished) -> tuple[str, int]:
        self.programs.ran.clear()
        self.programs.ends["run"] = list(ends)
        done = Deferred.fromCoroutine(self.engine.shape({1: Line(loss_percent=5.0)}))
        said: list[str] = []
        done.addErrback(lambda failure: said.append(str(failure.value)))
        for _ in range(30):
            self.clock.advance(0.1)
        self.assertTrue(done.called)
        return "".join(said), self.programs.times("run")

    def test_what_ran_and_failed_is_not_tried_again_and_what_did_not_run_is(self) -> None:
        self.docker.add(1)
        for status, times in ((1, 1), (124, 1), (125, 3), (137, 3), (-9, 3), (netlink.GONE, 3)):
            text, ran = self.shape(*[Finished(status, "", "words")] * 5)
            self.assertEqual(ran, times, status)
            self.assertTrue(text.endswith(": words (3 attempts)" if times > 1 else ": words"), text)

    def test_a_second_attempt_that_fails_otherwise_is_counted(self) -> None:
        self.docker.add(1)
        text, ran = self.shape(Finished(137, "", "killed"), Finished(1, "", "no netem"))
        self.assertEqual(ran, 2)
        self.assertTrue(text.endswith(": no netem (2 attempts)"), text)

    def test_between_two_attempts_half_a_second_passes(self) -> None:
        self.docker.add(1)
        self.programs.ends["run"] = [Finished(137, "", "")]
        done = Deferred.fromCoroutine(self.engine.shape({1: Line(loss_percent=5.0)}))
        self.clock.advance(0.4)
        self.assertEqual(self.programs.times("run"), 1)
        self.clock.advance(0.2)
        self.successResultOf(done)
        self.assertEqual(self.programs.times("run"), 2)


class VolumeTests(DockerCase):
    def test_data_of_this_home_is_said_to_be_that(self) -> None:
        self.docker.volumes_there = {
            f"chordnet-lab_node-{n}": {HOME_LABEL: self.mine} for n in (1, 2)
        }
        self.result(self.engine.prepare(self.described(), self.said.append))
        self.assertEqual(
            self.said[0],
            "2 volumes of this home hold data of network 'lab' from before: its nodes go on with"
            " it",
        )

    def test_data_of_a_network_that_has_been_prepared_before_is_no_news(self) -> None:
        self.docker.volumes_there = {"chordnet-lab_node-1": {HOME_LABEL: self.mine}}
        self.result(self.engine.prepare(self.described(), self.said.append))
        self.said.clear()
        self.result(self.engine.prepare(self.described(), self.said.append))
        self.assertEqual(self.said, ["building the image from the present code"])

    def test_a_lack_of_data_is_no_news(self) -> None:
        self.result(self.engine.prepare(self.described(), self.said.append))
        self.assertEqual(self.said, ["building the image from the present code"])

    def test_before_it_is_known_whose_the_data_is_nothing_is_run(self) -> None:
        self.docker.volumes_there = {"chordnet-lab_node-1": {HOME_LABEL: OTHER}}
        self.error(self.engine.prepare(self.described(), self.said.append), OtherHome)
        self.assertEqual(self.programs.ran, [])


class FollowTests(DockerCase):
    def test_what_was_saved_is_written_where_there_is_no_container(self) -> None:
        path = self.home.node_directory(1) / "log"
        path.parent.mkdir(parents=True)
        path.write_text("one\ntwo\nthree\n")
        written: list[str] = []
        self.result(self.engine.follow(1, 2, written.append))
        self.assertEqual(written, ["two", "three"])
        self.assertEqual(self.result(self.engine.tail(1, 1)), ["three"])
