"""The docker engine's parts: one project, what an answer means, how a container is described."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.conditions import Matter
from chordnet.survey.errors import CannotWrite, EngineUnavailable, NodeStopped
from chordnet.testbed.engines.adoption import (
    LOOK_TIMEOUT_S,
    SOCKET,
    describe,
    look_in_docker,
    words,
)
from chordnet.testbed.engines.code import code_digest, digest_of
from chordnet.testbed.engines.compose_file import (
    BY_HAND,
    HOME_LABEL,
    compose_project,
    service_number,
)
from chordnet.testbed.engines.docker_host import DockerHost, is_passing, tolerated, why
from chordnet.testbed.engines.docker_project import DockerProject
from chordnet.testbed.engines.docker_state import (
    Found,
    address,
    condition_alive,
    condition_ended,
    networks,
    other_home,
    published,
)
from tests.unit.docker_fakes import AtOnce, FakeDocker, at_once, lab, refusal
from tests.unit.test_testbed_commands import Threads
from tests.unit.test_testbed_docker import OTHER
from tests.unit.testbed_fakes import network

LOG_LIMIT = 4 * 1024 * 1024
TEMPLATE: dict[str, Any] = {
    "services": {
        "node-1": {"build": {"context": "/checkout"}, "environment": {}},
        "node-2": {
            "build": {"context": "/nowhere"}, "networks": {"default": None},
            "environment": {"KEPT": "yes", "CHORDNET_PORT": "1"}, "labels": {"a": "b"},
            "mem_limit": "256m",
        },
    }
}  # fmt: skip


class ProjectCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = lab(Path(self.mktemp()))
        self.docker = FakeDocker()
        host = DockerHost(AtOnce(), lambda: self.docker, at_once)
        self.project = DockerProject(self.home, host)
        self.mine = str(self.home.root.resolve())


class OneContainerTests(ProjectCase):
    def test_a_container_that_was_removed_already_needs_no_end(self) -> None:
        self.assertIsNone(self.project.stop(1))
        self.project.kill(1)
        self.assertEqual(self.project.pid("chordnet-lab/1"), 0)
        problem = self.assertRaises(NodeStopped, self.project.container, 1)
        self.assertEqual(str(problem), "Node 1 has no container")

    def test_a_container_that_is_removed_while_it_ends_was_not_late(self) -> None:
        for call in ("stop", "kill"):
            self.docker.there = []
            self.docker.add(1, ended={"ExitCode": 137})
            self.docker[1].refuses = [(call, refusal(404, "No such container"), "exited")]
            self.assertIsNone(getattr(self.project, call)(1))

    def test_a_container_that_was_killed_for_taking_too_long_is_named(self) -> None:
        for code, late in ((137, 1), (143, None), (0, None)):
            self.docker.there = []
            self.docker.add(1, ended={"ExitCode": code})
            self.assertEqual(self.project.stop(1), late)

    def test_a_container_that_the_engine_refuses_to_end_has_not_ended(self) -> None:
        self.docker.add(1)
        for call in ("stop", "kill"):
            self.docker[1].refuses = [(call, refusal(403, "forbidden"), "running")]
            self.assertRaises(APIError, getattr(self.project, call), 1)

    def test_what_may_pass_is_told_when_a_container_is_paused_and_nothing_else(self) -> None:
        self.docker.add(1)
        for code in (404, 409, 500):
            self.docker[1].refuses = [("pause", refusal(code, "not\nnow"), "running")]
            self.assertEqual(self.project.pause("chordnet-lab/1", "pause"), "not now")
        self.docker[1].refuses = [("pause", refusal(403, "forbidden"), "running")]
        self.assertRaises(APIError, self.project.pause, "chordnet-lab/1", "pause")
        self.assertEqual(self.project.pause("chordnet-lab/1", "pause"), "")

    def test_a_container_that_is_connected_already_is_restarted_all_the_same(self) -> None:
        self.docker.add(1)
        self.docker.networks_there = {"net": "chordnet-lab", "other": "chordnet-other"}
        for code in (403, 409):
            self.docker.refuses_to_connect = [refusal(code, "already exists")]
            self.project.connect(1)
        self.assertEqual(self.docker[1].calls, ["restart", "restart"])
        self.docker.refuses_to_connect = [refusal(404, "no such network")]
        self.assertRaises(APIError, self.project.connect, 1)
        self.project.connect(1)
        self.assertEqual(self.docker.connected, [("chordnet-lab/1", "net", ["node-1"])])


class SavedLogTests(ProjectCase):
    def save(self) -> Path:
        self.project.save_log(1, "chordnet-lab/1")
        return self.project.log_path(1)

    def test_what_a_container_wrote_later_is_added_to_the_saved_log(self) -> None:
        self.docker.add(1, log=b"one\n")
        path = self.project.log_path(1)
        self.assertEqual(path, self.home.node_directory(1) / "log")
        path.parent.mkdir(parents=True)
        path.write_text("before\n")
        os.utime(path, (0, 0))
        self.save()
        self.assertEqual(path.read_text(), "before\none\n")
        self.assertEqual(self.docker.tails, [20_000])

    def test_a_long_saved_log_is_put_aside_first(self) -> None:
        self.docker.add(1, log=b"new\n")
        path = self.save()
        for size, aside in ((LOG_LIMIT, False), (LOG_LIMIT + 1, True)):
            path.write_bytes(b"x" * size)
            self.save()
            self.assertEqual(path.with_name("log.1").exists(), aside)

    def test_a_log_that_cannot_be_read_says_so_in_its_place(self) -> None:
        self.docker.add(1)
        self.docker.unreadable = refusal(500, "configured logging driver does not support reading")
        self.assertEqual(
            self.save().read_text(),
            "this log could not be saved: configured logging driver does not support reading\n",
        )

    def test_a_place_that_cannot_be_written_is_named(self) -> None:
        self.docker.add(1)
        path = self.project.log_path(1)
        path.mkdir(parents=True)
        problem = self.assertRaises(CannotWrite, self.save)
        self.assertIn(f"cannot write {path}: Is a directory", str(problem))


class RemovalTests(ProjectCase):
    def test_what_is_gone_already_is_removed(self) -> None:
        self.project.remove_container("chordnet-lab/9")
        self.docker.networks_there = {"net": "chordnet-lab"}
        self.docker.leaving = [refusal(404, "No such network")]
        self.project.remove_networks()
        self.docker.leaving = [refusal(409, "in use")]
        self.assertRaises(APIError, self.project.remove_networks)

    def test_images_of_which_nothing_is_known_are_left_alone(self) -> None:
        self.docker.images_there = {"bare": [], "ours": ["CHORDNET_STATE_DIR=/x"]}
        self.docker.without_configuration = {"bare"}
        self.project.remove_untagged()
        self.assertEqual(list(self.docker.images_there), ["bare"])


class FoundTests(ProjectCase):
    def test_all_that_docker_has_of_a_network_is_counted(self) -> None:
        self.docker.add(1, 2, home=self.mine)
        self.docker.add(3, state="exited", home=self.mine)
        self.docker.add(4, port=0, home=self.mine)
        self.docker.volumes_there = {"chordnet-lab_node-1": {}, "chordnet-lab_node-2": {}}
        self.docker.networks_there = {"net": "chordnet-lab"}
        self.assertEqual(
            self.project.found(),
            Found(
                project="chordnet-lab", ports={1: 8001, 2: 8002}, containers=4, volumes=2,
                networks=1, home=self.mine,
            ),
        )  # fmt: skip

    def test_whose_a_network_is_is_said_by_containers_and_by_volumes(self) -> None:
        self.assertEqual(self.project.found(), Found(project="chordnet-lab"))
        self.docker.volumes_there = {"chordnet-lab_node-1": {HOME_LABEL: self.mine}}
        self.assertEqual(self.project.found().home, self.mine)
        self.docker.volumes_there["chordnet-lab_node-2"] = {HOME_LABEL: OTHER}
        self.assertEqual(self.project.found().home, OTHER)
        self.docker.volumes_there = {}
        self.docker.add(1, home=OTHER)
        found = self.project.found()
        self.assertEqual((found.home, found.containers, found.ports), (OTHER, 1, {1: 8001}))


class StateTests(SynchronousTestCase):
    def test_a_container_may_lack_anything(self) -> None:
        for bare in (
            {}, {"Ports": None, "NetworkSettings": None},
            {"Ports": [{}], "NetworkSettings": {"Networks": None}},
        ):  # fmt: skip
            self.assertIsNone(published(bare))
            self.assertEqual((networks(bare), address(bare)), ({}, ""))

    def test_the_first_port_and_the_first_address_of_a_container_are_its_own(self) -> None:
        container = {
            "Ports": [{"PrivatePort": 1}, {"PublicPort": 8001}, {"PublicPort": 8002}],
            "NetworkSettings": {"Networks": {"a": {"IPAddress": "10.0.0.1"},
                                             "b": {"IPAddress": "10.0.0.2"}}},
        }  # fmt: skip
        self.assertEqual((published(container), address(container)), (8001, "10.0.0.1"))

    def test_of_several_other_homes_the_first_is_named(self) -> None:
        labelled = [{HOME_LABEL: home} for home in ("/c", "/mine", "/b")]
        self.assertEqual(other_home([*labelled, {}, {HOME_LABEL: ""}], "/mine"), "/b")
        self.assertEqual(other_home([{}, {HOME_LABEL: "/mine"}], "/mine"), "")

    def test_why_a_container_has_ended_is_told(self) -> None:
        for state, more, text in (
            ({"OOMKilled": True, "ExitCode": 137}, {}, "was killed: out of memory"),
            ({"OOMKilled": True}, {"HostConfig": {"Memory": 0}}, "was killed: out of memory"),
            ({"OOMKilled": True}, {"HostConfig": None}, "was killed: out of memory"),
            ({"ExitCode": 128}, {}, "ended by itself with status 128"),
            ({"ExitCode": 129}, {}, "was ended by signal 1"),
            ({}, {}, "was stopped, by docker stop or by a client"),
            ({"Error": "x" * 300}, {}, f"could not be started: {'x' * 200}"),
        ):
            condition = condition_ended({"State": state, **more})
            self.assertEqual((condition.matter, condition.text), (Matter.ENDED, text))

    def test_nothing_is_the_matter_with_a_container_that_runs_and_has_a_network(self) -> None:
        container: dict[str, Any] = {
            "State": "running", "NetworkSettings": {"Networks": {"a": {"IPAddress": ""}}}
        }  # fmt: skip
        self.assertIsNone(condition_alive(container))


class AnswerTests(SynchronousTestCase):
    def test_an_answer_that_may_pass_is_told_from_one_that_may_not(self) -> None:
        refused = RequestsConnectionError(ConnectionRefusedError(111, "Connection refused"))
        for problem, passing in (
            (refusal(500, "busy"), True),
            (refusal(499, "gone"), False),
            (refusal(403, "network net has active endpoints"), True),
            (refusal(403, "endpoint exists"), False),
            (refusal(409, "network net has active endpoints"), False),
            (ReadTimeout("read timed out"), True),
            (RequestsConnectionError("broken"), True),
            (refused, False),
            (DockerException("what?"), False),
        ):
            self.assertEqual(is_passing(problem), passing, problem)

    def test_which_engine_does_not_answer_is_said(self) -> None:
        self.addCleanup(os.environ.pop, "DOCKER_HOST", None)
        os.environ["DOCKER_HOST"] = "tcp://10.0.0.9:2375"
        refused = RequestsConnectionError(ConnectionRefusedError(111, "Connection refused"))
        self.assertEqual(
            why(refused),
            "no Docker engine answers at tcp://10.0.0.9:2375 (Connection refused); "
            "start Docker, then try again",
        )
        self.assertIn("at tcp://10.0.0.9:2375 was asked and has said", why(TimeoutError()))

    def test_without_a_reason_of_the_system_its_own_words_are_shown_up_to_200(self) -> None:
        text = why(DockerException("a\n b " + "x" * 300))
        self.assertIn(f"(a b {'x' * 196}); start Docker", text)

    def test_of_a_long_refusal_300_are_shown(self) -> None:
        text = why(refusal(400, "x" * 400))
        self.assertTrue(text.endswith("is asked: " + "x" * 300), text)

    def test_the_innermost_reason_of_several_is_shown(self) -> None:
        outer = OSError(5, "Input/output error")
        outer.__cause__ = PermissionError(13, "Permission denied")
        self.assertIn("(Permission denied)", why(RequestsConnectionError(outer)))

    def test_only_what_is_tolerated_is_told(self) -> None:
        def refuse() -> None:
            raise refusal(409, "in\nuse")

        self.assertEqual(tolerated(refuse, 404, 409), "in use")
        self.assertRaises(APIError, tolerated, refuse, 404)
        self.assertEqual(tolerated(lambda: None, 404), "")

    def test_a_question_is_asked_again_after_half_a_second_if_it_may_be_asked_twice(self) -> None:
        for again, times in ((True, 2), (False, 1)):
            clock, asked = AtOnce(), list[float]()
            host = DockerHost(clock, lambda: "client", at_once)
            self.assertEqual(host.client, "client")

            def busy(asked: list[float] = asked, clock: AtOnce = clock) -> None:
                asked.append(clock.seconds())
                raise refusal(500, "busy")

            done = Deferred.fromCoroutine(host.ask(busy, what="It failed", again=again))
            clock.pump([0.25] * 8)
            problem = self.failureResultOf(done, EngineUnavailable).value
            self.assertEqual(
                str(problem), "It failed: the Docker engine does not do what it is asked: busy"
            )
            self.assertEqual(asked, [0.0, 0.5][:times])


class LookTests(SynchronousTestCase):
    def test_where_no_engine_answers_nothing_is_found(self) -> None:
        nowhere = {"DOCKER_HOST": f"unix://{Path(self.mktemp()).absolute()}/docker.sock"}
        self.addCleanup(os.environ.pop, "DOCKER_HOST", None)
        os.environ |= nowhere
        asked: list[object] = []

        class Noting(Threads):
            def getThreadPool(self) -> Threads:
                asked.append(None)
                return super().getThreadPool()

        for environment, times in ((nowhere, 1), ({}, 0)):
            if times or not SOCKET.exists():
                asked.clear()
                look = look_in_docker(Noting(), lab(Path(self.mktemp())), environment)
                self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(look)))
                self.assertEqual(len(asked), times)

    def test_an_engine_that_hangs_holds_no_command_up_for_long(self) -> None:
        self.assertLessEqual(LOOK_TIMEOUT_S, 3)

    def test_a_network_is_what_its_ports_say(self) -> None:
        for ports, base, size, removed in (
            ({1: 8001, 2: 8002}, 8001, 2, set()),
            ({2: 8002, 4: 8004}, 8001, 4, {1, 3}),
            ({3: 3}, 1, 3, {1, 2}),
        ):
            described = describe("lab", Found(project="x", ports=ports))
            assert described is not None
            found = (described.engine, described.base_port, described.size, described.removed)
            self.assertEqual(found, ("docker", base, size, removed))

    def test_ports_that_make_no_network_are_none(self) -> None:
        for ports in ({}, {1: 8001, 2: 8003}, {5: 4}):
            self.assertIsNone(describe("lab", Found(project="x", ports=ports)))

    def test_where_a_network_that_was_found_came_from_is_said(self) -> None:
        ports = {1: 8001, 2: 8002}
        start = "2 containers of network 'lab' in Docker"
        for project, home, text in (
            (BY_HAND, "", f"{start}, which Compose alone has started (project {BY_HAND})"),
            ("chordnet-lab", "/mine", f"{start}, left by this home"),
            ("chordnet-lab", "", f"{start}, which belong to no home"),
        ):
            self.assertEqual(words("lab", Found(project=project, ports=ports, home=home)), text)


class ComposeTests(SynchronousTestCase):
    def test_each_node_is_the_second_service_with_its_own_name_port_peers_and_data(self) -> None:
        described = network(3, name="lab", base_port=8001)
        file = compose_project(TEMPLATE, described, "/home", "chordnet-lab")
        labels = {"a": "b", HOME_LABEL: "/home"}
        self.assertEqual(
            file["services"]["node-3"],
            {
                "environment": {
                    "KEPT": "yes", "CHORDNET_NETWORK": "lab", "CHORDNET_NAME": "Node 3",
                    "CHORDNET_PORT": "8003", "CHORDNET_PEERS": "node-1:8001,node-2:8002",
                    "CHORDNET_FOUNDERS": "Node 1,Node 2,Node 3", "CHORDNET_INSECURE": "yes",
                },
                "labels": labels, "mem_limit": "256m", "ports": ["127.0.0.1:8003:8003"],
                "volumes": ["node-3:/var/lib/chordnet"], "pull_policy": "never",
            },
        )  # fmt: skip
        self.assertEqual(file["services"]["node-1"]["build"], {"context": "/checkout"})
        self.assertNotIn("build", file["services"]["node-2"])
        self.assertEqual(file["name"], "chordnet-lab")
        self.assertEqual(
            file["volumes"], {f"node-{n}": {"labels": {HOME_LABEL: "/home"}} for n in (1, 2, 3)}
        )

    def test_a_secured_node_is_told_where_its_identity_is_and_nothing_of_it(self) -> None:
        secured = network(3, name="lab", base_port=8001, secured=True)
        plain = network(3, name="lab", base_port=8001)
        told, untold = (
            compose_project(TEMPLATE, each, "/home", "lab")["services"]["node-3"]
            for each in (secured, plain)
        )
        insecure = {"CHORDNET_INSECURE": "yes"}
        identity = {"CHORDNET_IDENTITY": "/var/lib/chordnet/identity"}
        shared = told["environment"].items() & untold["environment"].items()
        self.assertEqual(told["environment"], dict(shared) | identity)
        self.assertEqual(untold["environment"], dict(shared) | insecure)
        self.assertEqual({**told, "environment": {}}, {**untold, "environment": {}})

    def test_a_service_that_is_no_node_has_no_number(self) -> None:
        for service, number in (("node-12", 12), ("node-", None), ("node-1x", None), ("db", None)):
            self.assertEqual(service_number(service), number)


class CodeTests(SynchronousTestCase):
    def test_the_digest_changes_with_a_files_name_and_with_what_it_holds(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        one, two = directory / "one.py", directory / "two.py"
        one.write_text("same")
        two.write_text("same")
        found = [digest_of([one]), digest_of([two]), digest_of([one, two])]
        one.write_text("other")
        found += [digest_of([one]), digest_of([one, two])]
        self.assertEqual(len(set(found)), 5)
        self.assertEqual({len(each) for each in found}, {16})

    def test_the_digest_is_of_this_package_and_of_what_is_beside_it_in_a_checkout(self) -> None:
        root = Path(__file__).parents[2]
        files = sorted((root / "chordnet").rglob("*.py"))
        beside = ("pyproject.toml", "requirements/runtime.txt", "compose/Dockerfile")
        self.assertEqual(code_digest(), digest_of([*files, *(root / name for name in beside)]))
